"""What QuantizeLinear and DequantizeLinear mean, in every operator set, on numpy arrays.

    quantized   = saturate(round_half_even(x / scale) + zero_point)
    dequantized = (x - zero_point) * scale

Scales and zero points are of the whole tensor, of the slices along an axis, or of blocks along it.
ONNX's reference has neither operator below opset 19.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

Array = NDArray[Any]

BOUNDS: Mapping[str, tuple[int, int]] = {
    "int2": (-2, 1),
    "uint2": (0, 3),
    "int4": (-8, 7),
    "uint4": (0, 15),
    "int8": (-128, 127),
    "uint8": (0, 255),
    "int16": (-(2**15), 2**15 - 1),
    "uint16": (0, 2**16 - 1),
}
"""The least and the greatest number of the types that results are rounded to."""


def parameter_shape(
    parameter: Sequence[int], shape: Sequence[int], axis: int, block_size: int
) -> tuple[tuple[int, ...], int]:
    """The shape in which a scale or zero point broadcasts to `shape`, and how often it repeats along `axis`.

    Raises ValueError where it fits neither the tensor, nor an axis, nor blocks along it.
    """
    rank = len(shape)
    if len(parameter) <= 1 and (not parameter or parameter[0] == 1):
        return (1,) * rank, 1
    axis += rank if axis < 0 else 0
    if not 0 <= axis < rank:
        raise ValueError(f"its axis {axis} is none of a tensor of {rank} dimensions")
    if len(parameter) == 1 and not block_size:
        if parameter[0] != shape[axis]:
            raise ValueError(f"it has {parameter[0]} scales for {shape[axis]} slices")
        return tuple(parameter[0] if i == axis else 1 for i in range(rank)), 1
    blocks = -(-shape[axis] // block_size) if block_size else 0
    if tuple(parameter) != tuple(blocks if i == axis else size for i, size in enumerate(shape)):
        raise ValueError(f"its scales {list(parameter)} do not fit blocks of {list(shape)}")
    return tuple(parameter), block_size


def spread(parameter: Array, shape: Sequence[int], axis: int, block_size: int) -> Array:
    """A scale or zero point that broadcasts to `shape`. Raises ValueError where it does not fit."""
    fitting, repeats = parameter_shape(parameter.shape, shape, axis, block_size)
    if repeats == 1:
        return parameter.reshape(fitting)
    axis %= len(shape)
    return np.repeat(parameter, repeats, axis).take(range(shape[axis]), axis)


def quantized_type(zero_point: str | None, attributes: Mapping[str, Any]) -> str:
    """The type of QuantizeLinear's result, by numpy's name.

    zero_point: the name of its type, if there is one.
    """
    if zero_point is not None:
        return zero_point
    kind = int(attributes.get("output_dtype") or 0)
    return str(helper.tensor_dtype_to_np_dtype(kind).name) if kind else "uint8"


def _quantize(node: onnx.NodeProto, inputs: Sequence[Array | None]) -> Array | None:
    x, scale, zero_point = (*inputs, None)[:3]
    attributes = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
    assert x is not None and scale is not None
    dtype = quantized_type(None if zero_point is None else zero_point.dtype.name, attributes)
    if dtype not in BOUNDS:
        return None
    axis, block_size = attributes.get("axis", 1), attributes.get("block_size", 0)
    result = np.rint(x.astype(scale.dtype) / spread(scale, x.shape, axis, block_size))
    if zero_point is not None:
        result = result + spread(zero_point.astype(np.int32), x.shape, axis, block_size)
    kind = zero_point.dtype if zero_point is not None else _numpy_type(dtype)
    return np.asarray(np.clip(result, *BOUNDS[dtype]).astype(np.int32).astype(kind))


def _dequantize(node: onnx.NodeProto, inputs: Sequence[Array | None]) -> Array:
    x, scale, zero_point = (*inputs, None)[:3]
    attributes = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
    assert x is not None and scale is not None
    axis, block_size = attributes.get("axis", 1), attributes.get("block_size", 0)
    kind = int(attributes.get("output_dtype") or 0)
    result_type = _numpy_type(TensorProto.DataType.Name(kind).lower()) if kind else scale.dtype
    # Integers are subtracted as such; floats of 8 bits have no zero point but 0.
    exact = np.int32 if x.dtype.name in BOUNDS or x.dtype == np.int32 else np.float32
    values = x.astype(exact)
    if zero_point is not None:
        values = values - spread(zero_point.astype(exact), x.shape, axis, block_size)
    scales = spread(scale, x.shape, axis, block_size).astype(np.float32)
    return np.asarray((values.astype(np.float32) * scales).astype(result_type))


def _numpy_type(name: str) -> Any:
    names = {"float": "float32", "double": "float64"}
    kind = TensorProto.DataType.Value(names.get(name, name).upper().replace("FLOAT32", "FLOAT"))
    return helper.tensor_dtype_to_np_dtype(kind)


EVALUATORS: Mapping[str, Callable[[onnx.NodeProto, Sequence[Array | None]], Array | None]] = {
    "DequantizeLinear": _dequantize,
    "QuantizeLinear": _quantize,
}
"""By operator: its result; None for a type that is not rounded to here."""
