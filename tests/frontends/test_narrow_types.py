"""Numbers of narrow types: weights at import, types of inputs and outputs, and what is refused."""

from __future__ import annotations

from pathlib import Path

import onnx.parser
import pytest

from frontends import ModelError, import_model


def _saved(folder: Path, text: str, opset: int = 21) -> Path:
    model = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": {opset}]> g {text}')
    path = folder / "m.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_weights_become_floats_at_import(tmp_path: Path) -> None:
    """Also where they are cast, and moved before it, and not dequantized."""
    path = _saved(
        tmp_path,
        """(float[2,1] x) => (float[2,3] y) <int4[3,2] w = {1, 2, 3, 4, 5, 6}>
        { t = Transpose<perm = [1, 0]>(w)  f = Cast<to = 1>(t)  y = Mul(f, x) }""",
    )
    imported = import_model(path)
    assert "uint8" not in str(imported.module)


def test_inputs_and_outputs_have_the_types_of_the_model(tmp_path: Path) -> None:
    path = _saved(tmp_path, "(int4[3,5] x) => (int4[5,3] y) { y = Transpose<perm = [1, 0]>(x) }")
    signature = import_model(path).signature
    assert [spec.dtype for spec in (*signature.inputs, *signature.outputs)] == ["int4", "int4"]


def test_other_operators_are_refused(tmp_path: Path) -> None:
    """ONNX's inference lets this one pass."""
    path = _saved(
        tmp_path, "(float8e4m3fn[3] x) => (float8e4m3fn[6] y) { [node] y = Concat<axis = 0>(x, x) }"
    )
    with pytest.raises(
        ModelError, match="node 'node': Concat cannot be imported: it is of float8_e4m3fn: cast"
    ):
        import_model(path)
