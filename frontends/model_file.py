"""Read a model file, and say precisely what is wrong with one that cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx

from frontends.errors import (
    ModelFileError,
    ModelTooNewError,
    NotOnnxError,
    TruncatedModelError,
    UnknownOpsetError,
)
from frontends.external_data import load_external_data
from frontends.standard_domain import STANDARD_DOMAIN, use_one_standard_domain

_MODEL_FIELDS = frozenset(field.number for field in onnx.ModelProto.DESCRIPTOR.fields)
_VARINT, _FIXED64, _LENGTH_DELIMITED, _FIXED32 = 0, 1, 2, 5


def read_model(path: Path) -> onnx.ModelProto:
    """The model in `path`, its external data loaded, of a format and an opset the onnx package knows.

    The standard domain is "" wherever the model names it.

    Raises ModelFileError, NotOnnxError, TruncatedModelError, ModelTooNewError, UnknownOpsetError, and
    what `load_external_data` raises.
    """
    model = _parse(_read_bytes(path), str(path))
    use_one_standard_domain(model)
    _check_versions(model, str(path))
    load_external_data(model, path)
    return model


def with_graph(model: onnx.ModelProto, graph: onnx.GraphProto) -> onnx.ModelProto:
    """A model of another graph, of the same versions of ONNX and its operators."""
    result = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    result.graph.CopyFrom(graph)
    return result


def standard_opset(model: onnx.ModelProto) -> int:
    """The version of the standard operator set the model imports; 1 where it imports none."""
    versions = (entry.version for entry in model.opset_import if entry.domain == STANDARD_DOMAIN)
    return max(versions, default=1)


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"cannot be read: {error.strerror or error}", file=str(path)) from error


def _parse(content: bytes, file: str) -> onnx.ModelProto:
    if not content:
        raise NotOnnxError("the file is empty", file=file)
    try:
        model = onnx.ModelProto.FromString(content)
    except Exception as error:  # protobuf's DecodeError, whose home differs between versions
        if _ends_early(content):
            raise TruncatedModelError(
                "truncated: the model goes on after the file's end", file=file
            ) from error
        raise NotOnnxError("not an ONNX model", file=file) from error
    if not model.HasField("graph") or not model.ir_version:
        raise NotOnnxError("not an ONNX model: it holds no graph", file=file)
    return model


def _check_versions(model: onnx.ModelProto, file: str) -> None:
    if model.ir_version > onnx.IR_VERSION:
        raise ModelTooNewError(
            f"the model has ONNX IR version {model.ir_version}; onnx {onnx.__version__} reads versions up to "
            f"{onnx.IR_VERSION}",
            file=file,
        )
    newest = onnx.defs.onnx_opset_version()
    opset = standard_opset(model)
    if not 1 <= opset <= newest:
        raise UnknownOpsetError(
            f"the model uses opset {opset}; onnx {onnx.__version__} knows opsets 1 to {newest}", file=file
        )


def _ends_early(content: bytes) -> bool:
    """Whether `content` is the beginning of a model: known fields, of which the last is cut off."""
    fields = 0
    try:
        for number, wire_type in _top_level_fields(content):
            if number not in _MODEL_FIELDS or wire_type not in (_VARINT, _LENGTH_DELIMITED):
                return False
            fields += 1
    except IndexError:
        return fields > 0
    return False


def _top_level_fields(content: bytes) -> Iterator[tuple[int, int]]:
    """(number, wire type) of each protobuf field. Raises IndexError where the content ends inside one."""
    position = 0
    while position < len(content):
        tag, position = _varint(content, position)
        number, wire_type = tag >> 3, tag & 7
        yield number, wire_type
        if wire_type == _VARINT:
            _, position = _varint(content, position)
        elif wire_type == _LENGTH_DELIMITED:
            length, position = _varint(content, position)
            position += length
        else:
            position += {_FIXED64: 8, _FIXED32: 4}.get(wire_type, len(content))
    if position > len(content):
        raise IndexError(position)


def _varint(content: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, position
