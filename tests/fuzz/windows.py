"""Random convolutions and pools, and what networks make of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.fuzz.choices import chance, divisor, pick
from tests.fuzz.draft import Draft, Value


def _pads(draft: Draft, kernel: list[int]) -> list[int]:
    """Of rows and columns before, then after: none, half a kernel, or anything smaller than it."""
    kind = draft.choices.number(0, 2)
    if kind == 0:
        return [0, 0, 0, 0]
    if kind == 1:
        return [k // 2 for k in kernel] * 2
    return [draft.choices.number(0, k - 1) for k in kernel * 2]


def outputs_of(
    x: Value, kernel: list[int], strides: list[int], pads: list[int], dilations: list[int]
) -> list[int]:
    """Rows and columns of a window's results; fewer than one where it is larger than the plane."""
    return [
        (x.shape[2 + a] + pads[a] + pads[2 + a] - dilations[a] * (kernel[a] - 1) - 1) // strides[a] + 1
        for a in (0, 1)
    ]


def fitting_window(draft: Draft, x: Value, most: int) -> tuple[dict[str, Any], list[int]] | None:
    """Attributes of a window that fits, and the rows and columns of its results."""
    choices = draft.choices
    kernel = (
        [choices.number(1, most)] * 2
        if chance(choices, 80)
        else [choices.number(1, most), choices.number(1, most)]
    )
    strides = (
        [pick(choices, [1, 1, 1, 2, 2, 3])] * 2
        if chance(choices, 80)
        else [choices.number(1, 3) for _ in range(2)]
    )
    dilations = [pick(choices, [1, 1, 1, 1, 2])] * 2
    pads = _pads(draft, kernel)
    outputs = outputs_of(x, kernel, strides, pads, dilations)
    if min(outputs) < 1:
        return None
    return {"kernel_shape": kernel, "strides": strides, "dilations": dilations, "pads": pads}, outputs


def convolution(draft: Draft, x: Value) -> Value:
    window = fitting_window(draft, x, pick(draft.choices, [1, 3, 3, 5]))
    attributes, extents = window or ({"kernel_shape": [1, 1]}, list(x.shape[2:]))
    n, c = x.shape[:2]
    kind = draft.choices.number(0, 5)
    if kind == 0:
        groups, each = c, pick(draft.choices, [1, 1, 1, 2])
    elif kind == 1:
        groups = divisor(draft.choices, c)
        each = draft.choices.number(1, max(1, 40 // groups))
    else:
        groups, each = 1, draft.choices.number(1, 40)
    outputs, kernel = groups * each, attributes["kernel_shape"]
    fan_in = c // groups * kernel[0] * kernel[1]
    inputs: list[Value | str] = [x, draft.floats(outputs, c // groups, *kernel, scale=fan_in**-0.5)]
    if chance(draft.choices, 50):
        inputs.append(draft.floats(outputs))
    return draft.one("Conv", inputs, [n, outputs, *extents], group=groups, **attributes)


def same_plane(draft: Draft, x: Value) -> Value:
    """A dense or grouped convolution that keeps the plane."""
    n, c, *extents = x.shape
    kernel = pick(draft.choices, [1, 1, 3, 3, 3, 5])
    groups = divisor(draft.choices, c) if chance(draft.choices, 25) else 1
    outputs = groups * draft.choices.number(1, max(1, 48 // groups))
    fan_in = c // groups * kernel**2
    inputs: list[Value | str] = [x, draft.floats(outputs, c // groups, kernel, kernel, scale=fan_in**-0.5)]
    if chance(draft.choices, 50):
        inputs.append(draft.floats(outputs))
    return draft.one("Conv", inputs, [n, outputs, *extents], group=groups, pads=[kernel // 2] * 4)


def depthwise(draft: Draft, x: Value) -> Value:
    n, c, h, w = x.shape
    kernel, stride = pick(draft.choices, [3, 3, 5, 7]), pick(draft.choices, [1, 1, 2])
    extents = [(h - 1) // stride + 1, (w - 1) // stride + 1]
    weight = draft.floats(c, 1, kernel, kernel, scale=1 / kernel)
    pads = [kernel // 2] * 4
    return draft.one("Conv", [x, weight], [n, c, *extents], group=c, pads=pads, strides=[stride] * 2)


def one_hot(draft: Draft, x: Value) -> Value:
    """A shift, written as a depthwise convolution with one tap per channel."""
    n, c, h, w = x.shape
    weight = np.zeros((c, 1, 3, 3))
    taps = draft.random.integers(0, 3, (2, c))
    weight[np.arange(c), 0, taps[0], taps[1]] = 1.0
    stride = pick(draft.choices, [1, 1, 2])
    extents = [(h - 1) // stride + 1, (w - 1) // stride + 1]
    return draft.one(
        "Conv", [x, draft.constant(weight)], [n, c, *extents], group=c, pads=[1] * 4, strides=[stride] * 2
    )  # fmt: skip


def transposed(draft: Draft, x: Value) -> Value:
    n, c, h, w = x.shape
    stride, kernel = draft.choices.number(1, 2), draft.choices.number(2, 3)
    outputs = draft.choices.number(1, 16)
    extents = [(h - 1) * stride + kernel, (w - 1) * stride + kernel]
    weight = draft.floats(c, outputs, kernel, kernel, scale=(c * kernel) ** -0.5)
    return draft.one("ConvTranspose", [x, weight], [n, outputs, *extents], strides=[stride] * 2)


def residual(draft: Draft, x: Value) -> Value:
    """A convolution of the same shape, added to what it reads or to another value."""
    c = x.shape[1]
    kernel = pick(draft.choices, [1, 3])
    weight = draft.floats(c, c, kernel, kernel, scale=(c * kernel**2) ** -0.5)
    inner = draft.one("Conv", [x, weight], x.shape, pads=[kernel // 2] * 4)
    return draft.one("Add", [inner, draft.like(x)], x.shape)


def _pointwise(draft: Draft, x: Value, outputs: int, stride: int = 1) -> Value:
    n, c, h, w = x.shape
    shape = [n, outputs, (h - 1) // stride + 1, (w - 1) // stride + 1]
    return draft.one("Conv", [x, draft.floats(outputs, c, 1, 1, scale=c**-0.5)], shape, strides=[stride] * 2)


def shift_module(draft: Draft, x: Value) -> Value:
    """Pointwise, shift, pointwise, the stride at the shift or behind it; a shortcut where shapes allow."""
    choices = draft.choices
    inner = _pointwise(draft, x, choices.number(1, 40))
    if chance(choices, 70):
        inner = draft.one(pick(choices, ["Relu", "Sigmoid"]), [inner], inner.shape)
    outputs = x.shape[1] if chance(choices, 50) else choices.number(1, 40)
    result = _pointwise(draft, one_hot(draft, inner), outputs, pick(choices, [1, 1, 2]))
    return draft.one("Add", [result, x], x.shape) if result.shape == x.shape else result


def bottleneck(draft: Draft, x: Value) -> Value:
    """Pointwise, depthwise, pointwise, with activations, and a shortcut where shapes allow."""
    inner = _pointwise(draft, x, draft.choices.number(1, 48))
    inner = draft.one("Relu", [inner], inner.shape)
    inner = depthwise(draft, inner)
    inner = draft.one("Clip", [inner, draft.constant(0.0), draft.constant(6.0)], inner.shape)
    result = _pointwise(draft, inner, x.shape[1])
    return draft.one("Add", [x, result], x.shape) if result.shape == x.shape else result


def squeeze_excite(draft: Draft, x: Value) -> Value:
    n, c = x.shape[:2]
    pooled = draft.one("GlobalAveragePool", [x], [n, c, 1, 1])
    scale = draft.one("Sigmoid", [_pointwise(draft, pooled, c)], [n, c, 1, 1])
    return draft.one("Mul", [x, scale], x.shape)


def pool(draft: Draft, x: Value) -> Value:
    """Dilated, padded, and with a last window beyond the plane now and then."""
    kind = pick(draft.choices, ["MaxPool", "AveragePool"])
    window = fitting_window(draft, x, 3)
    if window is None:
        return draft.one("GlobalAveragePool", [x], [*x.shape[:2], 1, 1])
    attributes, extents = window
    kernel, strides, pads = attributes["kernel_shape"], attributes["strides"], attributes["pads"]
    if chance(draft.choices, 50):
        attributes["dilations"] = [1, 1]
        extents = outputs_of(x, kernel, strides, pads, [1, 1])
    if chance(draft.choices, 20):
        extents = [_rounded_up(a, x, attributes) for a in (0, 1)]
        attributes["ceil_mode"] = 1
    if not _have_elements(x, attributes, extents):  # of padding alone the judges make 0 and minus infinity
        return draft.one("GlobalAveragePool", [x], [*x.shape[:2], 1, 1])
    if kind == "AveragePool" and chance(draft.choices, 30):
        attributes["count_include_pad"] = 1
    return draft.one(kind, [x], [*x.shape[:2], *extents], **attributes)


def _have_elements(x: Value, attributes: dict[str, Any], extents: Sequence[int]) -> bool:
    """No window lies in the padding alone, as dilated ones may where a plane is small."""

    def reads(axis: int, window: int) -> bool:
        start = window * attributes["strides"][axis] - attributes["pads"][axis]
        taps = range(attributes["kernel_shape"][axis])
        return any(0 <= start + tap * attributes["dilations"][axis] < x.shape[2 + axis] for tap in taps)

    return all(reads(axis, window) for axis in (0, 1) for window in range(extents[axis]))


def _rounded_up(axis: int, x: Value, attributes: dict[str, Any]) -> int:
    """Results along rows or columns, the last window cut where it does not fit, none behind the plane."""
    kernel, stride = attributes["kernel_shape"][axis], attributes["strides"][axis]
    before, after = attributes["pads"][axis], attributes["pads"][2 + axis]
    size, reach = x.shape[2 + axis], attributes["dilations"][axis] * (kernel - 1) + 1
    count = -(-(size + before + after - reach) // stride) + 1
    return count - 1 if (count - 1) * stride >= size + before else count


def resized(draft: Draft, x: Value) -> Value:
    """To any size, by any interpolation."""
    choices = draft.choices
    n, c, h, w = x.shape
    mode = pick(choices, ["nearest", "linear", "linear", "cubic"])
    coordinates = pick(choices, ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"])
    attributes: dict[str, Any] = {"mode": mode, "coordinate_transformation_mode": coordinates}
    if mode == "nearest":
        attributes["nearest_mode"] = pick(
            choices, ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]
        )
    sizes = [choices.number(1, 2 * extent) for extent in (h, w)]
    if chance(choices, 50):
        return draft.one(
            "Resize", [x, "", "", draft.integers([n, c, *sizes])], [n, c, *sizes], **attributes
        )  # fmt: skip
    # Of a part of an element at the end, ONNX's reference and onnxruntime make different things there.
    whole = coordinates == "align_corners"
    scales = [
        pick(
            choices,
            [
                scale
                for scale in (0.5, 1.0, 1.5, 2.0, 2.0, 2.0, 3.0)
                if extent * scale >= 1 and not (whole and extent * scale % 1)
            ],
        )
        for extent in (h, w)
    ]
    sizes = [int(extent * scale) for extent, scale in zip((h, w), scales, strict=True)]
    return draft.one("Resize", [x, "", draft.constant([1, 1, *scales])], [n, c, *sizes], **attributes)


def global_pool(draft: Draft, x: Value) -> Value:
    kind = pick(draft.choices, ["GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "ReduceMax"])
    n, c = x.shape[:2]
    if kind.startswith("Global"):
        return draft.one(kind, [x], [n, c, 1, 1])
    keep = draft.choices.number(0, 1)
    return draft.one(kind, [x, draft.integers([2, 3])], [n, c, 1, 1] if keep else [n, c], keepdims=keep)
