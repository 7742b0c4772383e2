"""The shapes of a model: symbolic dimensions are pinned, those of intermediate values inferred."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import cast

import onnx

from frontends.ceil_mode import settle_ceil_mode
from frontends.errors import DynamicShapeError, InputShapeError, ShapeInferenceError
from frontends.input_shapes import Pins, Shape, written
from frontends.signature import dtype_name


def pin_shapes(model: onnx.ModelProto, pins: Pins, file: str = "") -> None:
    """Fix every input's shape, in place.

    A symbol pinned by its name or through one input is pinned in every input that uses it. Shapes recorded
    for intermediate values and outputs are dropped where they are symbolic, to be inferred again.

    Raises InputShapeError (unknown input or dimension, other rank, contradiction) or DynamicShapeError (an
    input is still symbolic).
    """
    inputs = {value.name: value for value in model.graph.input}
    known = {dim.dim_param for value in inputs.values() for dim in value.type.tensor_type.shape.dim} - {""}
    symbols = {name: size for name, size in pins.items() if isinstance(size, int)}
    for name in symbols:
        if name not in known:
            raise InputShapeError(
                f"no input has a dimension '{name}' (dimensions: {_listed(sorted(known))})", file=file
            )
    for name, shape in pins.items():
        if isinstance(shape, int):
            continue
        if name not in inputs:
            raise InputShapeError(
                f"the model has no input '{name}' (its inputs: {_listed(inputs)})", file=file
            )
        _pin_input(inputs[name], shape, symbols, file)
    for value in model.graph.input:
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param in symbols:
                dim.dim_value = symbols[dim.dim_param]
    _require_static_inputs([value for value in model.graph.input if value.name not in pins], file)
    _forget_symbolic_shapes(model.graph)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "none"


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


def _require_static_inputs(inputs: Iterable[onnx.ValueInfoProto], file: str) -> None:
    dynamic = [value for value in inputs if _is_dynamic(value)]
    if not dynamic:
        return
    described = ", ".join(f"'{value.name}' is {describe_shape(value)}" for value in dynamic)
    example = written({value.name: _example_shape(value) for value in dynamic})
    raise DynamicShapeError(
        f"input shapes are not fixed: {described}; pin them, for example --input-shapes {example}",
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


def _example_shape(value: onnx.ValueInfoProto) -> Shape:
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return (1, 3, 224, 224)
    rank = len(tensor.shape.dim)
    return tuple(
        _example_size(axis, rank) if _is_open(dim) else int(dim.dim_value)
        for axis, dim in enumerate(tensor.shape.dim)
    )


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
    """`model`, whose pools are settled in place, with the shapes of its intermediate values recorded.

    Raises ShapeInferenceError.
    """
    settle_ceil_mode(model)
    try:
        return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        reason, node = _first_reason(str(error))
        raise ShapeInferenceError(f"shapes do not fit together: {reason}", file=file, node=node) from error


def _first_reason(text: str) -> tuple[str, str]:
    """What ONNX says of the first node that does not fit, and its name; all it says if that is not known."""
    found = re.search(r"\(op_type:(\w+), node name: (.*?)\): (.*)", text)
    if found is None:
        return text, ""
    operator, node, reason = found.groups()
    cleaned = re.sub(r"\[\w+\] |Inference error\(s\): ", "", reason)
    return f"{operator}: {cleaned}", node
