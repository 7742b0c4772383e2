"""Input shapes: read what the user wrote, and pin a model's symbolic dimensions to it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import cast

import onnx

from frontends.errors import DynamicShapeError, InputShapeError, ShapeInferenceError
from frontends.signature import dtype_name

_ENTRY = re.compile(r"\s*(?P<name>\S+?)\s*:\s*\[(?P<dims>[^\[\]]*)\]\s*(?:,(?!\s*$)|(?=\s)|$)\s*")

Shape = tuple[int, ...]


def parse_input_shapes(text: str) -> dict[str, Shape]:
    """`"x:[1,3,224,224] y:[1,8]"` → `{"x": (1, 3, 224, 224), "y": (1, 8)}`; `[]` is a scalar.

    Entries are separated by blanks or commas. Raises InputShapeError.
    """
    shapes: dict[str, Shape] = {}
    position = 0
    while position < len(text):
        entry = _ENTRY.match(text, position)
        if entry is None:
            raise InputShapeError(
                f"cannot read input shapes at '{text[position:]}': write NAME:[1,3,224,224], one per input"
            )
        name = entry["name"]
        if name in shapes:
            raise InputShapeError(f"input shapes name '{name}' twice")
        shapes[name] = _parse_dimensions(name, entry["dims"])
        position = entry.end()
    if not shapes:
        raise InputShapeError("input shapes are empty: write NAME:[1,3,224,224], one per input")
    return shapes


def _parse_dimensions(name: str, text: str) -> Shape:
    dims = [dim.strip() for dim in text.split(",")] if text.strip() else []
    if not all(dim.isdecimal() and int(dim) > 0 for dim in dims):
        raise InputShapeError(f"the shape [{text}] given for input '{name}' is no list of positive numbers")
    return tuple(int(dim) for dim in dims)


def pin_shapes(model: onnx.ModelProto, shapes: Mapping[str, Shape], file: str = "") -> None:
    """Fix every input's shape, in place.

    A symbol pinned through one input is pinned in every input that uses it. Shapes recorded for
    intermediate values and outputs are dropped where they are symbolic, to be inferred again.

    Raises InputShapeError (unknown input, other rank, contradiction) or DynamicShapeError (an input
    is still symbolic).
    """
    inputs = {value.name: value for value in model.graph.input}
    symbols: dict[str, int] = {}
    for name, shape in shapes.items():
        if name not in inputs:
            known = ", ".join(f"'{known}'" for known in inputs) or "none"
            raise InputShapeError(f"the model has no input '{name}' (its inputs: {known})", file=file)
        _pin_input(inputs[name], shape, symbols, file)
    for value in model.graph.input:
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param in symbols:
                dim.dim_value = symbols[dim.dim_param]
    _require_static_inputs(model, file)
    _forget_symbolic_shapes(model.graph)


def _pin_input(value: onnx.ValueInfoProto, shape: Shape, symbols: dict[str, int], file: str) -> None:
    dims = _declared_dimensions(value, rank=len(shape))
    if len(dims) != len(shape) or any(_is_fixed_otherwise(*pair) for pair in zip(dims, shape, strict=True)):
        raise InputShapeError(
            f"input '{value.name}' is {describe_shape(value)}, which contradicts the shape {list(shape)} "
            "given for it",
            file=file,
        )
    for dim, size in zip(dims, shape, strict=True):
        if dim.dim_param and symbols.setdefault(dim.dim_param, size) != size:
            raise InputShapeError(
                f"dimension '{dim.dim_param}' is given as {symbols[dim.dim_param]} and, by input "
                f"'{value.name}', as {size}",
                file=file,
            )
        dim.dim_value = size


def _declared_dimensions(value: onnx.ValueInfoProto, rank: int) -> Sequence[onnx.TensorShapeProto.Dimension]:
    """The dimensions of an input; `rank` new, open ones where the model does not even tell its rank."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        tensor.shape.SetInParent()
        for _ in range(rank):
            tensor.shape.dim.add()
    return cast("Sequence[onnx.TensorShapeProto.Dimension]", tensor.shape.dim)


def _is_fixed_otherwise(dim: onnx.TensorShapeProto.Dimension, size: int) -> bool:
    return not _is_open(dim) and bool(dim.dim_value != size)


def _is_open(dim: onnx.TensorShapeProto.Dimension) -> bool:
    """Whether a dimension is not fixed; some exporters write that as 0 or -1."""
    return bool(dim.dim_value <= 0)


def _require_static_inputs(model: onnx.ModelProto, file: str) -> None:
    dynamic = [value for value in model.graph.input if _is_dynamic(value)]
    if not dynamic:
        return
    described = ", ".join(f"'{value.name}' is {describe_shape(value)}" for value in dynamic)
    example = " ".join(f"{value.name}:{_example_shape(value)}" for value in dynamic)
    raise DynamicShapeError(
        f'input shapes are not fixed: {described}; pin them, for example --input-shapes "{example}"',
        file=file,
    )


def _is_dynamic(value: onnx.ValueInfoProto) -> bool:
    tensor = value.type.tensor_type
    return not tensor.HasField("shape") or any(_is_open(dim) for dim in tensor.shape.dim)


def describe_shape(value: onnx.ValueInfoProto) -> str:
    """A value's shape as declared, symbols included: `[N,3,224,224]`; `?` where nothing is said."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return "of unknown rank"
    return f"[{','.join(_describe_dimension(dim) for dim in tensor.shape.dim)}]"


def describe_type(value: onnx.ValueInfoProto) -> str:
    """A tensor's element type and shape: `float32[1,3,224,224]`."""
    return f"{dtype_name(value.type.tensor_type.elem_type)}{describe_shape(value)}"


def _describe_dimension(dim: onnx.TensorShapeProto.Dimension) -> str:
    return dim.dim_param or "?" if _is_open(dim) else str(dim.dim_value)


def _example_shape(value: onnx.ValueInfoProto) -> str:
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return "[1,3,224,224]"
    sizes = (
        _example_size(axis, len(tensor.shape.dim)) if _is_open(dim) else dim.dim_value
        for axis, dim in enumerate(tensor.shape.dim)
    )
    return f"[{','.join(map(str, sizes))}]"


def _example_size(axis: int, rank: int) -> int:
    return 224 if rank == 4 and axis >= 2 else 1


def _forget_symbolic_shapes(graph: onnx.GraphProto) -> None:
    static = [value for value in graph.value_info if not _is_dynamic(value)]
    del graph.value_info[:]
    graph.value_info.extend(static)
    for value in graph.output:
        if value.type.HasField("tensor_type") and _is_dynamic(value):
            value.type.tensor_type.ClearField("shape")


def infer_shapes(model: onnx.ModelProto, file: str = "") -> onnx.ModelProto:
    """`model` with the shapes of its intermediate values recorded. Raises ShapeInferenceError."""
    try:
        return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        raise ShapeInferenceError(f"shapes do not fit together: {error}", file=file) from error
