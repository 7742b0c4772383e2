"""The nine `light_*.onnx` networks that the onnx package ships: classic architectures, old opsets.

Their weights are constants of one value, so outputs behind a softmax are uniform: the tensors in front of
it are made outputs too.
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


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_agrees_with_onnxruntime(path: Path, tmp_path: Path) -> None:
    result = agreement(path, tmp_path)
    assert result.error <= TOLERANCE
