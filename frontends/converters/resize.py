"""Resize: elements that are only chosen are moved, all else is sums of elements with constant weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tvm import relax
from tvm.ir import GenericConst

from frontends.converters.node import Converter, Expr, Node, constant, constant_value, dtype_of, static_shape
from frontends.converters.weighted_sums import summed
from frontends.interpolation import CUBIC, LINEAR, NEAREST, Axis, Interpolation
from frontends.window_sum import Taps, window_sum

_NEARLY = 1e-3
"""By how much less than a whole number counts as it."""


def _resize(node: Node) -> Expr:
    data = node.inputs[0]
    axes = _axes(node)
    how = Interpolation(
        mode=node.attribute("mode", NEAREST),
        coordinate_transformation_mode=node.attribute("coordinate_transformation_mode", "half_pixel"),
        nearest_mode=node.attribute("nearest_mode", "round_prefer_floor"),
        cubic_coeff_a=float(node.attribute("cubic_coeff_a", -0.75)),
        exclude_outside=bool(node.attribute("exclude_outside", 0)),
        antialias=bool(node.attribute("antialias", 0)),
    )
    outside = float(node.attribute("extrapolation_value", 0.0))
    _refuse_senseless(how)
    resized = {axis: spec for axis, spec in _resized_axes(node, axes, how).items() if not spec.is_same}
    if any(spec.length == 0 for spec in resized.values()):
        raise ValueError("its result is empty")
    if not resized:
        return data
    if how.mode == NEAREST:
        result = _chosen(node, data, {axis: how.taps(spec) for axis, spec in resized.items()})
    else:
        result = _interpolated(node, data, how, resized)
    masks = {axis: how.outside(spec) for axis, spec in resized.items()}
    return _with_outside(node, result, masks, outside)


def _refuse_senseless(how: Interpolation) -> None:
    """What ONNX's specification excludes."""
    if how.antialias and how.mode not in (LINEAR, CUBIC):
        raise ValueError(f"antialias is not defined for mode '{how.mode}'")
    if how.exclude_outside and how.mode != CUBIC and not how.antialias:
        raise ValueError(f"exclude_outside is not defined for mode '{how.mode}' without antialias")


def _axes(node: Node) -> list[int]:
    """Those that scales, sizes and roi are about."""
    rank = len(static_shape(node.inputs[0]))
    stated = node.attribute("axes")
    return list(range(rank)) if not stated else [int(axis) % rank for axis in stated]


def _resized_axes(node: Node, axes: Sequence[int], how: Interpolation) -> dict[int, Axis]:
    """What becomes of every axis, by its number. Raises ValueError where inputs contradict each other."""
    shape = static_shape(node.inputs[0])
    scales, sizes = _numbers(node, 2, "scales"), _numbers(node, 3, "sizes")
    if (scales is None) == (sizes is None):
        raise ValueError("it needs either scales or sizes" + ("" if scales is None else ", not both"))
    given = sizes if scales is None else scales
    assert given is not None
    if len(given) != len(axes):
        what = "sizes" if scales is None else "scales"
        raise ValueError(f"it has {len(given)} {what} for {len(axes)} axes")
    if not (np.asarray(given) > 0).all():
        raise ValueError(f"it cannot resize by {given.tolist()}")
    regions = _regions(node, len(axes), how)
    policy = node.attribute("keep_aspect_ratio_policy", "stretch")
    if sizes is not None and policy != "stretch":
        return _in_proportion([shape[axis] for axis in axes], sizes, policy, axes, regions)
    found = {}
    for number, axis in enumerate(axes):
        size = shape[axis]
        if scales is None:
            length = int(given[number])
            scale = float(np.float32(length) / np.float32(size))
        else:
            scale = float(np.float32(given[number]))
            length = int(np.float32(given[number]) * np.float32(size))
        found[axis] = Axis(size, length, scale, regions[number])
    return found


def _in_proportion(
    extents: Sequence[int],
    sizes: NDArray[Any],
    policy: str,
    axes: Sequence[int],
    regions: Sequence[tuple[float, float]],
) -> dict[int, Axis]:
    """All axes by one scale: the largest (smallest) whose results are not larger (smaller) than the sizes."""
    choose = {"not_larger": np.min, "not_smaller": np.max}.get(policy)
    if choose is None:
        raise ValueError(f"keep_aspect_ratio_policy '{policy}' is not known")
    scale = np.float32(choose(sizes.astype(np.float32) / np.array(extents, np.float32)))
    return {
        axis: Axis(size, int(np.floor(scale * np.float32(size) + np.float32(0.5))), float(scale), region)
        for axis, size, region in zip(axes, extents, regions, strict=True)
    }


def _regions(node: Node, count: int, how: Interpolation) -> list[tuple[float, float]]:
    """The part of every axis that is resized."""
    if how.coordinate_transformation_mode != "tf_crop_and_resize":
        node.optional(1)  # means nothing then
        return [(0.0, 1.0)] * count
    roi = _numbers(node, 1, "roi")
    if roi is None or len(roi) != 2 * count:
        raise ValueError("tf_crop_and_resize needs a roi of two numbers for every axis")
    return [(float(start), float(end)) for start, end in zip(roi[:count], roi[count:], strict=True)]


def _numbers(node: Node, index: int, what: str) -> NDArray[Any] | None:
    """An input's values; None where it is left out or empty."""
    given = node.optional(index)
    if given is None or 0 in static_shape(given):
        return None
    if not isinstance(given, GenericConst):
        raise ValueError(f"its {what} are known at run time only; make them constants")
    return constant_value(given, what).reshape(-1)


def _chosen(node: Node, data: Expr, taps: Mapping[int, Taps]) -> Expr:
    """Elements along every axis: movement where the passes can see it, else one operator for all axes."""
    result, planes = data, {}
    for axis, chosen in taps.items():
        index = chosen.index[:, 0]
        steps = np.unique(np.diff(index))
        if len(steps) == 0 or (len(steps) == 1 and steps[0] > 0):
            step = int(steps[0]) if len(steps) else 1
            sliced = relax.op.strided_slice(
                result, [axis], [int(index[0])], [int(index[-1]) + 1], [step], assume_inbound=True
            )
            result = node.builder.normalize(sliced)
        elif _is_plane(node, axis):
            planes[axis] = chosen
        else:
            result = node.builder.normalize(relax.op.take(result, constant(index), axis, "clip"))
    return window_sum(result, planes) if planes else result


def _is_plane(node: Node, axis: int) -> bool:
    """Whether the axis is a row or column of planes that kernels compute on."""
    return len(static_shape(node.inputs[0])) == 4 and axis in (2, 3) and dtype_of(node.inputs[0]) == "float32"


def _interpolated(node: Node, data: Expr, how: Interpolation, axes: Mapping[int, Axis]) -> Expr:
    """In float32, or float64 for float64."""
    dtype = dtype_of(data)
    wide = "float64" if dtype == "float64" else "float32"
    taps = {axis: how.taps(spec) for axis, spec in axes.items()}
    if dtype == wide:
        return summed(node, data, taps)
    result = summed(node, node.builder.normalize(relax.op.astype(data, wide)), taps)
    if dtype.startswith(("int", "uint")):
        result = _whole(result, truncated=how.mode == LINEAR and not how.antialias)
        limits = np.iinfo(dtype)
        result = relax.op.clip(result, limits.min, limits.max)
    return relax.op.astype(result, dtype)


def _whole(result: Expr, truncated: bool) -> Expr:
    """Float32 numbers as integers: rounded, or cut as onnxruntime does where it interpolates linearly.

    ONNX says nothing about it. What is whole but for its rounding errors is not cut.
    """
    if not truncated:
        return relax.op.round(result)
    return relax.op.add(result, relax.op.multiply(relax.op.sign(result), relax.const(_NEARLY, "float32")))


def _with_outside(node: Node, result: Expr, masks: Mapping[int, NDArray[np.bool_]], value: float) -> Expr:
    """`value` where a coordinate along any axis lies outside the input."""
    result = node.builder.normalize(result)
    for axis, mask in masks.items():
        if mask.any():
            shape = [-1 if i == axis else 1 for i in range(len(static_shape(result)))]
            filled = constant(np.asarray(value).astype(dtype_of(result)))
            result = node.builder.normalize(relax.op.where(constant(mask.reshape(shape)), filled, result))
    return result


CONVERTERS: Mapping[str, Converter] = {"Resize": _resize}
