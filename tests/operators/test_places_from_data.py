"""Places in planes that data gives and that are none: no kernel leaves its memory, whatever they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import shiftc
from frontends import import_model
from frontends.errors import OperatorImportError
from shiftc.driver import compile_model
from shiftc.errors import InputValueError
from shiftc.options import CompileOptions, ModelOptions, PassOptions
from shiftc.runtime import Session

MODEL = """<ir_version: 11, opset_import: ["": 24]>
    places (float[2,2,5,5] x, float[2,18,3,3] offset, float[3,4] boxes, int64[3] images, float[3] computed,
            int64[2,2,2,2] index, float[2,2,2,2] small, float[2,2,2,2] far, int64[2] first,
            float[2,3,5,5] cache, float[1,2,3,3] weight, float[2,3,2,5] update)
    => (float[2,1,3,3] deformed, float[3,2,2,2] mean, float[3,2,2,2] largest,
        float[2,2,4,4] given, float[2,2,4,4] computed_index, float[2,3,5,5] linear, float[2,3,5,5] circular)
    <int64[1] zero = {0}, int64[1] two = {2}> {
        deformed = DeformConv(x, weight, offset)
        number = Cast<to = 7>(computed)
        mean = RoiAlign<output_height = 2, output_width = 2>(x, boxes, images)
        largest = RoiAlign<output_height = 2, output_width = 2, mode = "max",
                           sampling_ratio = 2>(x, boxes, number)
        given = MaxUnpool<kernel_shape = [2, 2], strides = [2, 2]>(small, index)
        whole = Cast<to = 7>(far)
        computed_index = MaxUnpool<kernel_shape = [2, 2], strides = [2, 2]>(small, whole)
        linear = TensorScatter(cache, update, first)
        batch = Slice(number, zero, two)
        circular = TensorScatter<mode = "circular">(cache, update, batch)
    }"""
NONSENSE = (np.nan, np.inf, -np.inf, 3e38, -3e38, 2.0**31, -(2.0**31), 2.0**63)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """Interpreted before it is compiled: every access is checked there too."""
    folder = tmp_path_factory.mktemp("places")
    onnx.save(onnx.parser.parse_model(MODEL), folder / "model.onnx")
    passes = PassOptions(verify_program=True)
    compile_model(CompileOptions(ModelOptions(folder / "model.onnx"), folder / "artifact", passes))
    return shiftc.load(folder / "artifact")


def _inputs() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return random.standard_normal(shape).astype("float32")

    return {
        "x": normal(2, 2, 5, 5),
        "offset": normal(2, 18, 3, 3),
        "boxes": np.array([[0, 0, 3, 3], [1, 2, 4, 4], [-1, 0, 2, 9]], "float32"),
        "images": np.array([0, 1, 1]),
        "computed": np.array([0, 1, 1], "float32"),
        "index": np.arange(0, 64, 4).reshape(2, 2, 2, 2),
        "small": normal(2, 2, 2, 2),
        "far": np.arange(0, 64, 4).reshape(2, 2, 2, 2).astype("float32"),
        "first": np.array([0, 3]),
        "cache": normal(2, 3, 5, 5),
        "weight": normal(1, 2, 3, 3),
        "update": normal(2, 3, 2, 5),
    }


@pytest.mark.parametrize("number", NONSENSE)
def test_a_tap_that_is_nowhere_reads_zero(session: Session, number: float) -> None:
    inputs = _inputs()
    inputs["x"][:] = 1
    inputs["offset"][:] = 0
    inputs["offset"][:, 8] = number  # the rows of the tap in the middle
    found = session.run(inputs)["deformed"]
    left = inputs["weight"].copy()
    left[:, :, 1, 1] = 0
    np.testing.assert_allclose(found, np.full((2, 1, 3, 3), left.sum()), rtol=1e-4, atol=1e-5)


def test_a_pixel_beside_the_tap_does_not_count(session: Session) -> None:
    inputs = _inputs()
    inputs["offset"][:] = 0
    inputs["x"][0, 0, 0, 0] = inputs["x"][1, 1, 4, 4] = np.inf
    found = np.isfinite(session.run(inputs)["deformed"])
    expected = np.ones((2, 1, 3, 3), bool)
    expected[0, 0, 0, 0] = expected[1, 0, 2, 2] = False
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("number", NONSENSE)
@pytest.mark.parametrize("corner", range(4))
def test_regions_that_are_nowhere_read_zeros(session: Session, number: float, corner: int) -> None:
    inputs = _inputs()
    expected = session.run(inputs)
    inputs["boxes"][1, corner] = number
    inputs["boxes"][1, (corner + 1) % 4] = number
    found = session.run(inputs)
    for name in ("mean", "largest"):
        assert np.isfinite(found[name]).all()
        np.testing.assert_array_equal(found[name][[0, 2]], expected[name][[0, 2]])
    if not np.isfinite(number):
        assert not found["mean"][1].any() and not found["largest"][1].any()


@pytest.mark.parametrize(("number", "image"), [(7.0, 1), (-9.0, 0), (2e9, 1), (-2e9, 0)])
def test_an_image_that_is_computed_is_the_nearest(session: Session, number: float, image: int) -> None:
    inputs = _inputs()
    inputs["computed"][1] = number
    found = session.run(inputs)["largest"]
    inputs["computed"][1] = image
    np.testing.assert_array_equal(found, session.run(inputs)["largest"])


@pytest.mark.parametrize(("number", "place"), [(64.0, 63), (1e18, 63), (-1e18, 0), (-64.0, 0)])
def test_an_element_that_is_computed_is_the_nearest(session: Session, number: float, place: int) -> None:
    inputs = _inputs()
    inputs["far"].flat[5] = number
    found = session.run(inputs)["computed_index"]
    inputs["far"].flat[5] = place
    np.testing.assert_array_equal(found, session.run(inputs)["computed_index"])


@pytest.mark.parametrize("number", [-1.0, 8.0, 1e18, -1e18])
def test_a_circle_has_no_end(session: Session, number: float) -> None:
    inputs = _inputs()
    inputs["computed"][:2] = number
    expected = inputs["cache"].copy()
    for row in range(2):
        expected[:, :, (int(np.float32(number)) + row) % 5] = inputs["update"][:, :, row]
    np.testing.assert_array_equal(session.run(inputs)["circular"], expected)


@pytest.mark.parametrize(
    ("name", "value", "limits"),
    [("images", 2, "from 0 to 1"), ("images", -1, "from 0 to 1"), ("index", 64, "from 0 to 63"),
     ("index", -1, "from 0 to 63"), ("first", 4, "from 0 to 3"), ("first", -1, "from 0 to 3")],
)  # fmt: skip
def test_what_a_caller_gives_is_refused(session: Session, name: str, value: int, limits: str) -> None:
    inputs = _inputs()
    inputs[name].flat[1] = value
    with pytest.raises(InputValueError, match=f"'{name}' is {value} at .* {limits}"):
        session.run(inputs)


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (
            "(float[1,2,5] x, float[3,2,2] w, float[1,2,4] o) => (float[a,b,c] y) "
            "{ [n] y = DeformConv(x, w, o) }",
            "planes of 1 axes are not supported, those of 2 are",
        ),
        (
            "(float[1,2,5,5] x, float[3,2,2,2] w, float[1,4,4,4] o) => (float[a,b,c,d] y) "
            "{ [n] y = DeformConv(x, w, o) }",
            r"its offset is \[1, 4, 4, 4\] in place of \[1, 8, 4, 4\]",
        ),
        (
            "(float[1,1,2,2] x, int64[1,1,2,2] i) => (float[a,b,c,d] y) <int64[4] s = {1, 1, 3, 3}> "
            "{ [n] y = MaxUnpool<kernel_shape = [2, 2], strides = [2, 2]>(x, i, s) }",
            r"its output_shape \[1, 1, 3, 3\] has no room for \[1, 1, 4, 4\]",
        ),
        (
            "(float[1,1,1,2] x) => (float[a,b,c,d] y) <int64[1,1,1,2] i = {1, 8}> "
            "{ [n] y = MaxUnpool<kernel_shape = [2, 2], strides = [2, 2]>(x, i) }",
            "its index 8 is out of bounds for 8 elements",
        ),
        (
            "(float[1,3,2] x, float[1,2,2] u) => (float[a,b,c] y) <int64[1] w = {2}> "
            "{ [n] y = TensorScatter(x, u, w) }",
            "its index 2 is out of bounds for 2 elements",
        ),
    ],
)
def test_refused_by_name(graph: str, message: str, tmp_path: Path) -> None:
    model = onnx.parser.parse_model(f'<ir_version: 11, opset_import: ["": 24]> g {graph}')
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(OperatorImportError, match=f"node 'n': .* cannot be imported: {message}"):
        import_model(tmp_path / "model.onnx")
