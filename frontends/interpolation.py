"""ONNX's Resize, axis by axis: from which elements an output is interpolated, and how much of each.

Coordinates are computed in float32 and in onnxruntime's order of operations, so that ties fall as there.
Where scale * size is not whole, align_corners and tf_crop_and_resize mean the exact product by the resized
length, as ONNX's reference has it, where onnxruntime means the length of the output.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from frontends.window_sum import Taps, padded_taps

Floats = NDArray[np.float64]

CUBIC, LINEAR, NEAREST = "cubic", "linear", "nearest"
_TIE = 1e-6
"""Coordinates this near to the middle between two elements lie there, as in onnxruntime: scales round."""
_WHOLE = 1e-5
"""Products of a float32 scale and a size that are this near to a whole number were meant to be it."""


@attrs.frozen
class Axis:
    """An axis that is resized.

    size, length: of the input, of the output.
    scale:        as stated, or length / size.
    region:       where the part that is resized starts and ends, in lengths of the input.
    """

    size: int
    length: int
    scale: float
    region: tuple[float, float] = (0.0, 1.0)

    @property
    def is_same(self) -> bool:
        """Nothing happens along it."""
        return self.size == self.length and self.scale == 1.0 and self.region == (0.0, 1.0)

    @property
    def resized(self) -> float:
        """scale * size; the length, if that is what was meant."""
        exact = self.scale * self.size
        return float(self.length) if abs(exact - self.length) < _WHOLE * self.length else exact


@attrs.frozen
class Interpolation:
    """How to interpolate: the attributes of Resize, by their names there."""

    mode: str = NEAREST
    coordinate_transformation_mode: str = "half_pixel"
    nearest_mode: str = "round_prefer_floor"
    cubic_coeff_a: float = -0.75
    exclude_outside: bool = False
    antialias: bool = False

    def taps(self, axis: Axis) -> Taps:
        """What every position of the output is summed from. Raises ValueError for an unknown attribute."""
        where = self.coordinates(axis)
        if self.mode == NEAREST:
            index = _rounded(where, self.nearest_mode).clip(0, axis.size - 1)
            return Taps(index[:, None], np.ones((axis.length, 1)))
        kernel = _kernel(self.mode, self.cubic_coeff_a)
        narrowing = min(axis.scale, 1.0) if self.antialias else 1.0
        reach = int(np.ceil(_SUPPORT[self.mode] / narrowing))
        index = np.floor(where).astype(np.int64)[:, None] + np.arange(-reach, reach + 1)
        weight = kernel((index - where[:, None]) * narrowing)
        if self.exclude_outside:
            weight = np.where((index >= 0) & (index < axis.size), weight, 0.0)
        if self.exclude_outside or self.antialias:
            total = weight.sum(axis=1, keepdims=True)
            weight = weight / np.where(total == 0, 1.0, total)
        return _gathered(index.clip(0, axis.size - 1), weight)

    def outside(self, axis: Axis) -> NDArray[np.bool_]:
        """Which positions of the output are the extrapolation value instead."""
        if self.coordinate_transformation_mode != "tf_crop_and_resize":
            return np.zeros(axis.length, bool)
        where = self.coordinates(axis)
        return (where < 0) | (where > axis.size - 1)

    def coordinates(self, axis: Axis) -> Floats:
        """Where in the input every position of the output lies. Raises ValueError for an unknown mode."""
        name = self.coordinate_transformation_mode
        if name not in _COORDINATES:
            raise ValueError(f"coordinate_transformation_mode '{name}' is not known")
        x = np.arange(axis.length, dtype=np.float32)
        return np.broadcast_to(_COORDINATES[name](x, axis), x.shape).astype(np.float64)


def _half_pixel(x: Any, axis: Axis) -> Any:
    half = np.float32(0.5)
    return (x + half) / np.float32(axis.scale) - half


def _asymmetric(x: Any, axis: Axis) -> Any:
    return x / np.float32(axis.scale)


def _align_corners(x: Any, axis: Axis) -> Any:
    if axis.resized == 1:
        return x * 0
    return x * np.float32(axis.size - 1) / np.float32(axis.resized - 1)


def _pytorch_half_pixel(x: Any, axis: Axis) -> Any:
    return _half_pixel(x, axis) if axis.length > 1 else x * 0


def _half_pixel_symmetric(x: Any, axis: Axis) -> Any:
    resized = np.float32(axis.scale) * np.float32(axis.size)
    margin = np.float32(axis.size / 2) * (1 - np.float32(axis.length) / resized)
    return (margin + (x.astype(np.float64) + 0.5) / np.float32(axis.scale) - 0.5).astype(np.float32)


def _tf_half_pixel_for_nn(x: Any, axis: Axis) -> Any:
    return (x + np.float32(0.5)) / np.float32(axis.scale)


def _tf_crop_and_resize(x: Any, axis: Axis) -> Any:
    start, end = (np.float32(bound) for bound in axis.region)
    last = np.float32(axis.size - 1)
    if axis.resized == 1:
        return 0.5 * (start + end) * last
    return start * last + x * (end - start) * last / np.float32(axis.resized - 1)


_COORDINATES: dict[str, Callable[[Any, Axis], Any]] = {
    "align_corners": _align_corners,
    "asymmetric": _asymmetric,
    "half_pixel": _half_pixel,
    "half_pixel_symmetric": _half_pixel_symmetric,
    "pytorch_half_pixel": _pytorch_half_pixel,
    "tf_crop_and_resize": _tf_crop_and_resize,
    "tf_half_pixel_for_nn": _tf_half_pixel_for_nn,
}


def _rounded(where: Floats, mode: str) -> NDArray[np.int64]:
    rounding: dict[str, Callable[[Floats], Floats]] = {
        "ceil": np.ceil,
        "floor": np.floor,
        "round_prefer_ceil": lambda x: np.floor(x + 0.5 + _TIE),
        "round_prefer_floor": lambda x: np.ceil(x - 0.5 - _TIE),
    }
    if mode not in rounding:
        raise ValueError(f"nearest_mode '{mode}' is not known")
    return rounding[mode](where).astype(np.int64)


_SUPPORT = {CUBIC: 2.0, LINEAR: 1.0}
"""How far from a coordinate elements count."""


def _kernel(mode: str, a: float) -> Callable[[Floats], Floats]:
    if mode == LINEAR:
        return lambda x: np.maximum(1 - np.abs(x), 0)
    if mode != CUBIC:
        raise ValueError(f"mode '{mode}' is not known")

    def cubic(x: Floats) -> Floats:
        x = np.abs(x)
        near = ((a + 2) * x - (a + 3)) * x * x + 1
        far = (((x - 5) * x + 8) * x - 4) * a
        return np.where(x <= 1, near, np.where(x < 2, far, 0.0))

    return cubic


def _gathered(index: NDArray[np.int64], weight: Floats) -> Taps:
    """The taps whose weight is not zero, each index once, rows made equally long."""
    rows = []
    for indices, weights in zip(index.tolist(), weight.tolist(), strict=True):
        row: dict[int, float] = {}
        for i, w in zip(indices, weights, strict=True):
            row[i] = row.get(i, 0.0) + w
        rows.append({i: w for i, w in row.items() if w != 0} or {indices[0]: 0.0})
    return padded_taps(rows)
