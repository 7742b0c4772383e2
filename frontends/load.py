"""From a model file to a checked, static, simplified ONNX model made of standard operators only."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import attrs
import onnx
from onnx import version_converter

from frontends import old_resize
from frontends.ceil_mode import settle_ceil_mode
from frontends.check import check
from frontends.control_flow import write_out_control_flow
from frontends.element_types import require_supported_interface
from frontends.errors import InvalidModelError, OpsetConversionError
from frontends.functions import inline_functions
from frontends.input_shapes import Pins
from frontends.model_file import read_model, standard_opset
from frontends.names import name_nodes, names_by_value, restore_names
from frontends.old_hardmax import flatten_hardmax
from frontends.operators import require_known_operators
from frontends.quantized_operators import write_out_quantized
from frontends.quantized_weights import dequantize_weights
from frontends.shapes import infer_shapes, pin_shapes
from frontends.shift_lowering import lower_shift_operators
from frontends.shift_operator import DEFAULT_OPERATORS, OperatorName
from frontends.simplify import simplify
from frontends.standard_functions import inline_standard_functions, spell_out_defaults
from frontends.weights import attach_weights, detach_weights, drop_initializers_from_inputs

OLDEST_OPSET = 13
"""Older models are converted to it: between 9 and 13 Softmax, Slice, Clip, Split, Squeeze … changed."""


@attrs.frozen
class ImportOptions:
    """How to read a model.

    input_shapes:    shapes by input name, sizes by the names of dimensions, where the model declares symbols.
    shift_operators: (domain, operator) names read as the shift operator, see `frontends.shift_operator`.
    """

    input_shapes: Pins = attrs.field(factory=dict)
    shift_operators: tuple[OperatorName, ...] = DEFAULT_OPERATORS


DEFAULT_OPTIONS = ImportOptions()


def load_model(path: str | PathLike[str], options: ImportOptions = DEFAULT_OPTIONS) -> onnx.ModelProto:
    """Load, check, pin and simplify the model in `path`.

    The result is plain ONNX (no custom operator, no model-local function, opset ≥ 13) with static input
    shapes, uniquely named nodes and all weights inside. Raises a `ModelError`.
    """
    file = str(path)
    model = read_model(Path(path))
    drop_initializers_from_inputs(model)
    weights = detach_weights(model)
    model = inline_functions(model, file)
    name_nodes(model.graph)
    require_known_operators(model, options.shift_operators, file)
    _check(model, file)
    require_supported_interface(model.graph, file)
    pin_shapes(model, options.input_shapes, file)
    model = lower_shift_operators(model, options.shift_operators, file)
    names = names_by_value(model.graph)
    opset = standard_opset(model)
    model = _convert_old_opset(model, file)
    model = write_out_quantized(model)
    spell_out_defaults(model)
    model = _write_out(infer_shapes(model, file), file)
    names = {**names_by_value(model.graph), **names}
    model = simplify(model, file)
    while write_out_control_flow(model):  # simplification may have found conditions and counts
        model = simplify(_write_out(infer_shapes(model, file), file), file)
    if opset < old_resize.FIRST_WITH_ATTRIBUTES:
        old_resize.state_rounding(model)
    attach_weights(model, weights)
    dequantize_weights(model)
    restore_names(model.graph, names)
    return model


def _write_out(model: onnx.ModelProto, file: str) -> onnx.ModelProto:
    """Standard functions, and control flow of a course that is known, as ordinary nodes of the graph."""
    model = inline_standard_functions(model, file)
    while write_out_control_flow(model):
        name_nodes(model.graph)
        model = inline_standard_functions(infer_shapes(model, file), file)
    return model


def _check(model: onnx.ModelProto, file: str) -> None:
    try:
        check(model)
    except onnx.checker.ValidationError as error:
        raise InvalidModelError(f"invalid ONNX model: {error}", file=file) from error


def _convert_old_opset(model: onnx.ModelProto, file: str) -> onnx.ModelProto:
    opset = standard_opset(model)
    if opset >= OLDEST_OPSET:
        return model
    flatten_hardmax(model.graph)
    settle_ceil_mode(model)  # the converter records the shapes that it infers
    given = model.graph.input
    try:
        if opset < old_resize.FIRST_WITH_ATTRIBUTES:
            model = version_converter.convert_version(model, old_resize.FIRST_WITH_ATTRIBUTES - 1)
            old_resize.state_coordinates(model.graph)
        converted = version_converter.convert_version(model, OLDEST_OPSET)
    except Exception as error:  # the converter raises plain RuntimeErrors
        raise OpsetConversionError(
            f"cannot be converted from opset {opset} to {OLDEST_OPSET}: {error}", file=file
        ) from error
    for old, new in zip(given, converted.graph.input, strict=True):
        if old.type != new.type:  # so it treats the inputs of Scan, which had a batch once
            raise OpsetConversionError(
                f"conversion from opset {opset} to {OLDEST_OPSET} changes the input '{old.name}'", file=file
            )
    return converted
