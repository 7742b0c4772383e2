"""Simplify a graph with onnxslim: fold shape arithmetic, drop identities, merge what is computed twice.

onnxslim helps and is not needed: where it fails, or changes the model's inputs or outputs, the model
goes on as it is, and the reason is logged. What it leaves, the importer folds itself.
"""

from __future__ import annotations

import logging

import onnx

from frontends.errors import one_line
from frontends.shapes import infer_shapes

logger = logging.getLogger(__name__)

LARGEST_FOLDED_CONSTANT = 1 << 20
"""Bytes. Larger results (weights written as ConstantOfShape, say) stay computed in the ONNX graph."""


def simplify(model: onnx.ModelProto, file: str = "") -> onnx.ModelProto:
    """A model that computes the same with fewer nodes; its intermediate shapes are recorded as before."""
    try:
        return _slim(model)
    except Exception as error:  # onnxslim documents no exception of its own
        logger.warning("%s: imported without simplification: %s", file, one_line(str(error)))
        return model


def _slim(model: onnx.ModelProto) -> onnx.ModelProto:
    # Imported here because it sets up logging handlers, and only simplification needs it.
    import onnxslim

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    slimmed = onnxslim.slim(copy, size_threshold=LARGEST_FOLDED_CONSTANT)
    _require_same_interface(model, slimmed)
    slimmed = infer_shapes(slimmed)
    onnx.checker.check_model(slimmed)
    return slimmed


def _require_same_interface(before: onnx.ModelProto, after: onnx.ModelProto) -> None:
    for kind in ("input", "output"):
        old, new = (
            [(value.name, value.type.tensor_type.elem_type) for value in getattr(model.graph, kind)]
            for model in (before, after)
        )
        if old != new:
            raise ValueError(f"onnxslim changed the model's {kind}s from {old} to {new}")
