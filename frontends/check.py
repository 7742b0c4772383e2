"""ONNX's checker, for models as exporters write them."""

from __future__ import annotations

import onnx


def check(model: onnx.ModelProto) -> None:
    """Raises onnx.checker.ValidationError for a model that breaks a rule of ONNX."""
    checked = onnx.ModelProto()
    checked.CopyFrom(model)
    for value in [*checked.graph.input, *checked.graph.output]:
        # Exporters leave out the shape after a custom operator; the checker wants one, any one.
        if value.type.HasField("tensor_type") and not value.type.tensor_type.HasField("shape"):
            value.type.tensor_type.shape.SetInParent()
    onnx.checker.check_model(checked)
    names = [value.name for value in checked.graph.output]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise onnx.checker.ValidationError(f"'{twice}' is an output twice")
