"""Weights in files of their own: read only from inside the model's folder.

ONNX lets a tensor name a file (`location`, `offset`, `length`). A model is untrusted input, so a
location that leaves the model's folder (absolute, "..", a symbolic link that escapes) is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

import onnx
from onnx.external_data_helper import ExternalDataInfo

from frontends.errors import (
    ExternalDataOutsideError,
    InvalidModelError,
    MissingExternalDataError,
    TruncatedModelError,
)


def load_external_data(model: onnx.ModelProto, model_file: Path) -> None:
    """Read every external tensor of `model` into it, in place.

    Raises ExternalDataOutsideError, MissingExternalDataError, TruncatedModelError, or InvalidModelError where
    no place in a file is named.
    """
    for tensor in _tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            info = _place_of(tensor, model_file)
            tensor.raw_data = _read(tensor.name, info, model_file)
            tensor.data_location = onnx.TensorProto.DEFAULT
            del tensor.external_data[:]


def _place_of(tensor: onnx.TensorProto, model_file: Path) -> ExternalDataInfo:
    try:
        return ExternalDataInfo(tensor)
    except ValueError as error:
        reason = f"where weight '{tensor.name}' is stored is not stated as ONNX wants it: {error}"
        raise InvalidModelError(reason, file=str(model_file)) from error


def _read(name: str, info: ExternalDataInfo, model_file: Path) -> bytes:
    path = _inside(name, info.location, model_file)
    if not path.is_file():
        raise MissingExternalDataError(
            f"weight '{name}' is stored in '{info.location}', which is not beside the model",
            file=str(model_file),
        )
    offset = info.offset or 0
    there = max(0, path.stat().st_size - offset)
    if info.length is not None and there < info.length:
        raise TruncatedModelError(
            f"weight '{name}' needs {info.length} bytes at {offset} of '{info.location}', "
            f"which ends after {there} of them",
            file=str(model_file),
        )
    with path.open("rb") as data:
        data.seek(offset)
        return data.read(there if info.length is None else info.length)


def _inside(name: str, location: str, model_file: Path) -> Path:
    folder = model_file.resolve().parent
    path = (folder / location).resolve()
    absolute = PurePosixPath(location).is_absolute() or PureWindowsPath(location).is_absolute()
    if absolute or not path.is_relative_to(folder):
        raise ExternalDataOutsideError(
            f"weight '{name}' is stored in '{location}', outside the model's folder", file=str(model_file)
        )
    return path


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    yield from _graph_tensors(model.graph)
    for function in model.functions:
        for node in function.node:
            yield from _node_tensors(node)


def _graph_tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        yield from _node_tensors(node)


def _node_tensors(node: onnx.NodeProto) -> Iterator[onnx.TensorProto]:
    for attribute in node.attribute:
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors
        if attribute.HasField("g"):
            yield from _graph_tensors(attribute.g)
        for graph in attribute.graphs:
            yield from _graph_tensors(graph)
