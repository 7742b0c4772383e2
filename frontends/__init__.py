"""ONNX in: load, check, simplify and import a model to Relax."""

from frontends.errors import ModelError
from frontends.import_onnx import ImportedModel, import_loaded, import_model
from frontends.input_shapes import Pins, parse_input_shapes
from frontends.load import ImportOptions, load_model
from frontends.shift_operator import parse_operator_name
from frontends.signature import Signature, TensorSpec

__all__ = [
    "ImportOptions",
    "ImportedModel",
    "ModelError",
    "Pins",
    "Signature",
    "TensorSpec",
    "import_loaded",
    "import_model",
    "load_model",
    "parse_input_shapes",
    "parse_operator_name",
]
