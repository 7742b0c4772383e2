"""Winograd's minimal filtering F(m x m, 3 x 3): its matrices, as data.

`y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A` computes m x m outputs of a 3 x 3 convolution from an (m + 2) x (m + 2)
patch d with (m + 2)² multiplications instead of 9 m². Lavin & Gray, "Fast Algorithms for Convolutional
Neural Networks", CVPR 2016; interpolation points 0, ±1, ∞ for m = 2 and 0, ±1, ±2, ∞ for m = 4.
"""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import NDArray

Matrix = tuple[tuple[float, ...], ...]


@attrs.frozen
class Winograd:
    """Transforms of the patch (Bᵀ), the filter (G) and the product (Aᵀ)."""

    outputs: int
    patch: Matrix
    filter: Matrix
    product: Matrix

    @property
    def size(self) -> int:
        """Rows of a patch, m + 2."""
        return self.outputs + 2

    def transform_filters(self, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """[O, C, 3, 3] → [(m + 2)², O, C], computed in float64."""
        g = np.array(self.filter, np.float64)
        transformed: NDArray[np.float64] = np.einsum("ia,ocab,jb->ijoc", g, weights.astype(np.float64), g)
        return transformed.reshape(-1, *weights.shape[:2]).astype(np.float32)


F2 = Winograd(
    outputs=2,
    patch=((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1)),
    filter=((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1)),
    product=((1, 1, 1, 0), (0, 1, -1, -1)),
)

F4 = Winograd(
    outputs=4,
    patch=(
        (4, 0, -5, 0, 1, 0),
        (0, -4, -4, 1, 1, 0),
        (0, 4, -4, -1, 1, 0),
        (0, -2, -1, 2, 1, 0),
        (0, 2, -1, -2, 1, 0),
        (0, 4, 0, -5, 0, 1),
    ),
    filter=(
        (1 / 4, 0, 0),
        (-1 / 6, -1 / 6, -1 / 6),
        (-1 / 6, 1 / 6, -1 / 6),
        (1 / 24, 1 / 12, 1 / 6),
        (1 / 24, -1 / 12, 1 / 6),
        (0, 0, 1),
    ),
    product=((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1)),
)

BY_OUTPUTS = {2: F2, 4: F4}
