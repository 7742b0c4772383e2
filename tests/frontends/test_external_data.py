"""Weights in files of their own: read from the model's folder and from nowhere else."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper
from onnx.external_data_helper import set_external_data

from frontends import import_model
from frontends.errors import (
    ExternalDataOutsideError,
    InvalidModelError,
    MissingExternalDataError,
    TruncatedModelError,
)

WEIGHT = np.arange(12, dtype=np.float32).reshape(3, 4)
OFFSET = 16


@pytest.fixture
def model_with_weight_at(tmp_path):
    """Writes a model whose weight lies, OFFSET bytes in, at `location` seen from the model's folder."""
    folder = tmp_path / "models" / "mine"
    folder.mkdir(parents=True)

    def write(location: str):
        model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["": 17]>
            g (float[2,3] x) => (float[2,4] y) { y = MatMul(x, w) }""")
        tensor = numpy_helper.from_array(WEIGHT, "w")
        set_external_data(tensor, location, offset=OFFSET, length=WEIGHT.nbytes)
        tensor.ClearField("raw_data")
        model.graph.initializer.append(tensor)
        path = folder / "model.onnx"
        path.write_bytes(model.SerializeToString())
        return path

    return write


def write_weight(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(OFFSET) + WEIGHT.tobytes())


@pytest.mark.parametrize("location", ["weights.bin", "parts/weights.bin", "./parts/../weights.bin"])
def test_inside(location, model_with_weight_at, run_tvm):
    path = model_with_weight_at(location)
    write_weight(path.parent / "parts" / "weights.bin")
    write_weight(path.parent / "weights.bin")
    x = np.ones((2, 3), np.float32)
    np.testing.assert_allclose(run_tvm(import_model(path), {"x": x})[0], x @ WEIGHT)


def test_link_inside_the_folder(model_with_weight_at, run_tvm):
    path = model_with_weight_at("link.bin")
    write_weight(path.parent / "weights.bin")
    (path.parent / "link.bin").symlink_to("weights.bin")
    x = np.ones((2, 3), np.float32)
    np.testing.assert_allclose(run_tvm(import_model(path), {"x": x})[0], x @ WEIGHT)


def test_missing(model_with_weight_at):
    path = model_with_weight_at("weights.bin")
    with pytest.raises(MissingExternalDataError) as raised:
        import_model(path)
    assert str(raised.value) == (
        f"{path}: weight 'w' is stored in 'weights.bin', which is not beside the model"
    )


@pytest.mark.parametrize("location", ["../weights.bin", "parts/../../weights.bin", "../mine2/weights.bin"])
def test_outside(location, model_with_weight_at):
    path = model_with_weight_at(location)
    write_weight((path.parent / location).resolve())
    with pytest.raises(ExternalDataOutsideError) as raised:
        import_model(path)
    assert str(raised.value) == f"{path}: weight 'w' is stored in '{location}', outside the model's folder"


def test_absolute_even_if_inside(model_with_weight_at, tmp_path):
    inside = tmp_path / "models" / "mine" / "weights.bin"
    path = model_with_weight_at(str(inside))
    write_weight(inside)
    with pytest.raises(ExternalDataOutsideError):
        import_model(path)


@pytest.mark.parametrize("location", ["C:\\weights.bin", "\\\\host\\share\\weights.bin"])
def test_absolute_elsewhere(location, model_with_weight_at):
    with pytest.raises(ExternalDataOutsideError):
        import_model(model_with_weight_at(location))


def test_link_that_escapes(model_with_weight_at, tmp_path):
    path = model_with_weight_at("weights.bin")
    write_weight(tmp_path / "secret.bin")
    (path.parent / "weights.bin").symlink_to(tmp_path / "secret.bin")
    with pytest.raises(ExternalDataOutsideError):
        import_model(path)


def test_linked_folder_that_escapes(model_with_weight_at, tmp_path):
    path = model_with_weight_at("parts/weights.bin")
    write_weight(tmp_path / "elsewhere" / "weights.bin")
    (path.parent / "parts").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ExternalDataOutsideError):
        import_model(path)


def test_too_short(model_with_weight_at):
    path = model_with_weight_at("weights.bin")
    (path.parent / "weights.bin").write_bytes(bytes(OFFSET + 5))
    with pytest.raises(TruncatedModelError) as raised:
        import_model(path)
    assert str(raised.value) == (
        f"{path}: weight 'w' needs 48 bytes at 16 of 'weights.bin', which ends after 5 of them"
    )


@pytest.mark.parametrize(
    ("key", "value", "kind"),
    [
        ("offset", "-4", InvalidModelError),
        ("offset", "here", InvalidModelError),
        ("length", "-1", InvalidModelError),
        ("length", str(10**18), TruncatedModelError),
        ("offset", str(10**18), TruncatedModelError),
    ],
)
def test_no_place_in_a_file(key, value, kind, model_with_weight_at):
    path = model_with_weight_at("weights.bin")
    write_weight(path.parent / "weights.bin")
    model = onnx.load(path, load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        if entry.key == key:
            entry.value = value
    path.write_bytes(model.SerializeToString())
    with pytest.raises(kind, match="weight 'w'") as caught:
        import_model(path)
    assert "\n" not in str(caught.value)
