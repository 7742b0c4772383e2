"""Simplify a graph with onnxslim: fold shape arithmetic, drop identities, merge what is computed twice.

onnxslim helps and is not needed: where it fails, or changes the model's outputs, the model goes on as it
is, and that is logged. What it leaves, the importer folds itself.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

import onnx

from frontends.check import check
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
    if _types(slimmed.graph.output) != _types(model.graph.output):
        raise ValueError("the simplified model has other outputs")
    # onnxslim leaves out inputs that nothing reads, which callers pass all the same.
    del slimmed.graph.input[:]
    slimmed.graph.input.extend(model.graph.input)
    slimmed = infer_shapes(slimmed)
    check(slimmed)
    return slimmed


def _types(values: Iterable[onnx.ValueInfoProto]) -> list[tuple[str, int]]:
    return [(value.name, value.type.tensor_type.elem_type) for value in values]
