"""Classes of a convolution's output pixels: those whose windows take the same taps.

A tensor of the arena has its padding around it, and all pixels of an ordinary convolution are one class.
Around the caller's own tensor lies something else, so that at its border the taps outside the plane are left
out:

    y[c, p] = sum_{t in T(p)} w[c, t] x[p * stride + t],   T(p) = {t : p * stride + t in the plane}

T(p) is some rows of the window and some of its columns. With a kernel of 3 x 3, a padding of 1 and a stride
of 2 there are four such sets: the whole window, at nearly all pixels, those of the first row and column, and
the first pixel's.

A transposed convolution's window goes over elements that lie apart. Which taps fall on elements depends on
where between them a pixel lies: so with a stride of 2 there are four classes, each an ordinary convolution
with a fourth of the taps whose results lie two rows and two columns apart. No zero is multiplied.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import attrs
import numpy as np

from ..anchor import Window
from ..array import Array


@attrs.frozen(eq=False)
class Pixels:
    """A class of pixels.

    numbers: int [P]: which of the output's pixels, counted row by row and image by image.
    taps:    int [T]: which of the window's taps they read, counted row by row; none where all fall between
             elements.
    columns: in how many columns of the output they lie; P is a multiple of it.
    residue: how many rows and columns they lie beyond an element of the operand, where elements are spaced.
    beside:  a tap of the window that reads an element or one next to it, for classes without taps.
    """

    numbers: Array
    taps: Array
    columns: int
    residue: tuple[int, int] = (0, 0)
    beside: int = 0

    def among(self, chosen: Array) -> Pixels | None:
        """Those of the class that are in the chosen rows, given by their numbers; None if none is."""
        numbers = self.numbers[np.isin(self.numbers, chosen)]
        return attrs.evolve(self, numbers=numbers) if numbers.size else None


def classes_of_pixels(
    window: Window, output: tuple[int, int, int], plane: tuple[int, int] | None = None
) -> list[Pixels]:
    """Every output pixel in one class, the largest class first.

    output: images, rows and columns of the result.
    plane:  rows and columns that can be read; None where padding can be, too.
    """
    numbers = np.arange(np.prod(output)).reshape(output)
    taps = np.arange(np.prod(window.kernel)).reshape(window.kernel)
    rows, columns = (
        list(_along(window, axis, output[axis + 1], None if plane is None else plane[axis]))
        for axis in (0, 1)
    )
    classes = [
        Pixels(
            numbers[:, y.outputs[:, None], x.outputs].reshape(-1),
            taps[y.taps[:, None], x.taps].reshape(-1),
            len(x.outputs),
            (y.residue, x.residue),
            int(taps[y.beside, x.beside]),
        )
        for y, x in product(rows, columns)
    ]
    return sorted(classes, key=lambda pixels: -len(pixels.numbers))


@attrs.frozen(eq=False)
class _Class:
    """Along one axis, the outputs that take the same taps, and these."""

    outputs: Array
    taps: Array
    residue: int

    @property
    def beside(self) -> int:
        return int(self.taps[0]) if self.taps.size else 0


def _along(window: Window, axis: int, outputs: int, size: int | None) -> Iterator[_Class]:
    reads = np.add.outer(np.arange(outputs) * window.stride[axis], window.places(axis))
    residues = window.residues(axis, outputs)
    element, between = np.divmod(reads, window.spacing[axis])
    taken = between == 0
    if size is not None:
        taken &= (element >= 0) & (element < size)
    patterns, which = np.unique(np.column_stack([residues, taken]), axis=0, return_inverse=True)
    which = which.reshape(-1)
    for number, (residue, *taps) in enumerate(patterns.tolist()):
        yield _Class(np.flatnonzero(which == number), np.flatnonzero(taps), int(residue))
