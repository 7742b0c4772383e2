"""The nine `light_*.onnx` networks that the onnx package ships: classic architectures, old opsets.

Their weights are constants of one value, so what a Softmax makes of the scores is uniform whatever they
are; the scores in front of it are compared too.
"""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from .agreement import TOLERANCE, agreement

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
MODELS = sorted(LIGHT.glob("light_*.onnx"))


def test_all_nine_are_there() -> None:
    assert len(MODELS) == 9


def _with_scores(path: Path, folder: Path) -> Path:
    """The model with the Softmax's operand as a further output."""
    model = onnx.load(path)
    shapes = {value.name: value for value in onnx.shape_inference.infer_shapes(model).graph.value_info}
    for node in model.graph.node:
        if node.op_type == "Softmax":
            model.graph.output.append(shapes[node.input[0]])
    onnx.save(model, folder / path.name)
    return folder / path.name


SMALL = ("light_shufflenet", "light_squeezenet")


@pytest.mark.parametrize(
    "path",
    [pytest.param(m, marks=[] if m.stem in SMALL else pytest.mark.slow, id=m.stem) for m in MODELS],
)
def test_agrees_with_onnxruntime(path: Path, tmp_path: Path) -> None:
    result = agreement(_with_scores(path, tmp_path), tmp_path)
    assert result.error <= TOLERANCE
