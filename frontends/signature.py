"""A model's inputs and outputs: names, shapes and types, in ONNX order."""

from __future__ import annotations

from collections.abc import Iterable

import attrs
import onnx
from onnx import helper

from frontends.errors import DynamicShapeError


@attrs.frozen
class TensorSpec:
    """One input or output. dtype is numpy's name ("float32"); shape has no symbolic dimension.

    limits:       of an input, the lowest and highest number it may hold: none where it holds no indices, one
                  pair for all, or one for each position along the last axis.
    counted_axis: of an output, the axis along which data decides how many rows it has; shape says how many
                  at most. None where every run has the same shape.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    limits: tuple[tuple[int, int], ...] = ()
    counted_axis: int | None = None


@attrs.frozen
class Signature:
    """What a model takes and returns."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


def static_shape(value: onnx.ValueInfoProto) -> tuple[int, ...] | None:
    """The shape of a tensor value, or None if its rank or any dimension is not a fixed number."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape") or not all(dim.HasField("dim_value") for dim in tensor.shape.dim):
        return None
    return tuple(dim.dim_value for dim in tensor.shape.dim)


def dtype_name(elem_type: int) -> str:
    """numpy's name of an ONNX element type: 1 → "float32"."""
    return str(helper.tensor_dtype_to_np_dtype(elem_type).name)


def tensor_specs(values: Iterable[onnx.ValueInfoProto], file: str = "") -> tuple[TensorSpec, ...]:
    """Raises DynamicShapeError for a value whose shape is not fixed."""
    specs = []
    for value in values:
        shape = static_shape(value)
        if shape is None:
            raise DynamicShapeError(f"the shape of '{value.name}' is not fixed", file=file)
        specs.append(TensorSpec(value.name, shape, dtype_name(value.type.tensor_type.elem_type)))
    return tuple(specs)
