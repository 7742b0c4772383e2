"""Classes of a convolution's output pixels: those whose windows have the same taps inside the plane.

A tensor of the arena has its padding around it, and all pixels are one class. Around the caller's own tensor
lies something else, so that at its border the taps outside the plane are left out:

    y[c, p] = sum_{t in T(p)} w[c, t] x[p * stride + t],   T(p) = {t : p * stride + t in the plane}

T(p) is some rows of the window and some of its columns. With a kernel of 3 x 3, a padding of 1 and a stride
of 2 there are four such sets: the whole window, at nearly all pixels, those of the first row and column, and
the first pixel's.
"""

from __future__ import annotations

from itertools import product

import attrs
import numpy as np

from ..anchor import Window
from ..array import Array


@attrs.frozen(eq=False)
class Pixels:
    """A class of pixels.

    numbers: int [P]: which of the output's pixels, counted row by row and image by image.
    taps:    int [T]: which of the window's taps they read, counted row by row.
    """

    numbers: Array
    taps: Array

    def among(self, chosen: Array) -> Pixels | None:
        """Those of the class that are among the chosen numbers; None if none is."""
        numbers = self.numbers[np.isin(self.numbers, chosen)]
        return Pixels(numbers, self.taps) if numbers.size else None


def one_class(window: Window, _plane: tuple[int, int], output: tuple[int, int, int]) -> list[Pixels]:
    """All pixels and all taps; arguments as in `classes_of_pixels`."""
    return [Pixels(np.arange(np.prod(output)), np.arange(np.prod(window.kernel)))]


def classes_of_pixels(window: Window, plane: tuple[int, int], output: tuple[int, int, int]) -> list[Pixels]:
    """Every output pixel in one class, the largest class first.

    plane:  rows and columns that can be read.
    output: images, rows and columns of the result.
    """
    numbers = np.arange(np.prod(output)).reshape(output)
    taps = np.arange(np.prod(window.kernel)).reshape(window.kernel)
    rows, columns = (_along(window, axis, plane[axis], output[axis + 1]) for axis in range(2))
    classes = [
        Pixels(numbers[:, y[:, None], x].reshape(-1), taps[i[:, None], j].reshape(-1))
        for (y, i), (x, j) in product(rows, columns)
    ]
    return sorted(classes, key=lambda pixels: -len(pixels.numbers))


def _along(window: Window, axis: int, size: int, outputs: int) -> list[tuple[Array, Array]]:
    """Along one axis, the outputs that have the same taps inside, and these taps."""
    starts = np.arange(outputs) * window.stride[axis] - window.padding[axis]
    reads = starts[:, None] + np.arange(window.kernel[axis]) * window.dilation[axis]
    patterns, which = np.unique((reads >= 0) & (reads < size), axis=0, return_inverse=True)
    which = which.reshape(-1)
    return [(np.flatnonzero(which == n), np.flatnonzero(taps)) for n, taps in enumerate(patterns)]
