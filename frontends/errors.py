"""What can be wrong with a model. Every message is one line that says what, where and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence


class ModelError(Exception):
    """A model that cannot be imported.

    file: the model's file as the user named it ("" when the model did not come from a file).
    node: the ONNX node the error is about ("" when it is about the whole model).
    """

    def __init__(self, message: str, *, file: str = "", node: str = "") -> None:
        self.file = file
        self.node = node
        where = [file] if file else []
        where += [f"node '{node}'"] if node else []
        super().__init__(one_line(": ".join([*where, message])))


class ModelFileError(ModelError):
    """The file cannot be read at all (absent, a folder, no permission)."""


class NotOnnxError(ModelError):
    """The file is empty or is no ONNX model."""


class TruncatedModelError(ModelError):
    """The file, or a file of external data, ends before the data it announces."""


class InvalidModelError(ModelError):
    """The file is ONNX, and the ONNX checker rejects the model."""


class MissingExternalDataError(ModelError):
    """A weight lies in a file beside the model, and that file is not there."""


class ExternalDataOutsideError(ModelError):
    """A weight's file lies outside the model's folder (absolute path, "..", or a link that escapes)."""


class ModelTooNewError(ModelError):
    """The model was written in a newer ONNX format than the installed onnx package reads."""


class UnknownOpsetError(ModelError):
    """The model names a version of the standard operator set that the onnx package does not know."""


class UnsupportedTypeError(ModelError):
    """An input, output or weight is no dense tensor of numbers."""


class OpsetConversionError(ModelError):
    """The model's old operator set cannot be brought up to date."""


class UnsupportedOperatorError(ModelError):
    """Operators no converter exists for: one error lists them all.

    operators: (operator, node names) pairs; an operator outside the standard domain is "domain::Name".
    advice:    what to do about each, by operator.
    """

    def __init__(
        self,
        operators: Sequence[tuple[str, Sequence[str]]],
        advice: Mapping[str, str] | None = None,
        *,
        file: str = "",
    ) -> None:
        self.operators = tuple((operator, tuple(nodes)) for operator, nodes in operators)
        advised = {operator: f": {text}" for operator, text in (advice or {}).items()}
        listed = "; ".join(
            f"{operator} (nodes {_quoted(nodes)}){advised.get(operator, '')}"
            for operator, nodes in self.operators
        )
        super().__init__(f"unsupported operators: {listed}", file=file)


class OperatorImportError(ModelError):
    """A supported operator is used in a way that cannot be imported."""


class ShiftOperatorError(ModelError):
    """A Shift node's attributes or inputs make no sense."""


class ShapeInferenceError(ModelError):
    """The shapes inside the model do not fit together."""


class DynamicShapeError(ModelError):
    """A shape is not fixed: an input has symbolic dimensions, or a node's shape depends on data."""


class InputShapeError(ModelError):
    """`--input-shapes` cannot be read, names an unknown input or contradicts the model."""


def one_line(text: str) -> str:
    """`text` with every run of white space, line breaks included, as a single blank."""
    return " ".join(text.split())


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
