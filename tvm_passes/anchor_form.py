"""What heads a stage, as plain data."""

from __future__ import annotations

import attrs
import numpy as np
from tvm.ir import Expr

from .array import Array
from .window_taps import WindowTaps


@attrs.frozen
class Window:
    """Kernel, stride, padding (top, left, bottom, right) and dilation of a convolution or pool.

    spacing: how far apart the operand's elements lie; between them are zeros. A convolution over such an
             operand is a transposed one; its stride is 1.
    """

    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    spacing: tuple[int, int] = (1, 1)

    @property
    def padded(self) -> bool:
        """The window reads zeros that lie beyond the operand's plane, or may."""
        return any(self.padding) or self.spaced

    @property
    def spaced(self) -> bool:
        """Between the operand's elements are zeros."""
        return self.spacing != (1, 1)

    def places(self, axis: int) -> Array:
        """Where along an axis the first output reads its taps, zeros between elements counted: int [taps]."""
        return np.arange(self.kernel[axis]) * self.dilation[axis] - self.padding[axis]

    def residues(self, axis: int, outputs: int) -> Array:
        """How far beyond an element of the operand each output lies: int [outputs]."""
        return np.arange(outputs) * self.stride[axis] % self.spacing[axis]

    def taps_of(self, axis: int, residue: int) -> Array:
        """The taps along an axis that fall on the operand's elements for outputs of this residue."""
        return np.flatnonzero((residue + self.places(axis)) % self.spacing[axis] == 0)

    def taken(self, axis: int, outputs: int) -> int:
        """How many taps along an axis all outputs together take."""
        numbers, counts = np.unique(self.residues(axis, outputs), return_counts=True)
        return sum(
            int(count) * self.taps_of(axis, int(residue)).size
            for residue, count in zip(numbers, counts, strict=True)
        )

    def skips(self, axis: int) -> bool:
        """Some outputs read nothing: all their taps fall between elements."""
        return any(not self.taps_of(axis, residue).size for residue in range(self.spacing[axis]))


@attrs.frozen(eq=False)
class Anchor:
    """What an operator is as the head of a stage, before its operand and epilogue are known."""

    kind: str
    data: Expr
    window: Window = Window()
    groups: int = 1
    weight: Array | None = None
    reduce: str = "max"
    count_include_pad: bool = False
    taps: tuple[WindowTaps, WindowTaps] | None = None
    epsilon: float = 0.0


def ints(values: object) -> tuple[int, ...]:
    """The numbers of an attribute that is a list."""
    return tuple(int(v) for v in values)  # type: ignore[attr-defined]
