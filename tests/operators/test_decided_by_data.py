"""What a session does with indices that are out of bounds, and with rows whose number data decides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import shiftc
from frontends import import_model
from frontends.errors import OperatorImportError
from shiftc.driver import compile_model
from shiftc.errors import InputValueError, OutputArrayError
from shiftc.exit_status import ExitStatus
from shiftc.options import CompileOptions, ModelOptions
from shiftc.runtime import Session
from shiftc.tensors import made_up

MODEL = """<ir_version: 8, opset_import: ["": 17]>
    detector (float[1,20,4] boxes, float[1,1,20] scores, int64[2] picked, float[4] shift, int64[3,2] points)
    => (float[M,4] kept, int64[M,3] selected, float[1,2,4] given, float[4] computed, float[3,4] at)
    <int64[1] most = {5}, float[1] overlap = {0.5}, float[1] lowest = {0.1}, int64[1] column = {2},
     int64[1] first = {0}, int64[1] one = {1}, float[4] far = {-1e6, 1e6, 1.0, 0.0}> {
        selected = NonMaxSuppression(boxes, scores, most, overlap, lowest)
        numbers = Gather<axis = 1>(selected, column)
        flat = Squeeze(numbers, one)
        all = Squeeze(boxes, first)
        kept = Gather(all, flat)
        given = Gather<axis = 1>(boxes, picked)
        moved = Add(shift, far)
        whole = Cast<to = 7>(moved)
        computed = Gather(shift, whole)
        at = GatherND(boxes, points)
    }"""
GIVEN = {
    "picked": np.array([-1, 3]),
    "shift": np.arange(4, dtype="float32"),
    "points": np.array([[0, 1], [-1, -20], [0, 19]]),
}


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    folder = tmp_path_factory.mktemp("decided")
    onnx.save(onnx.parser.parse_model(MODEL), folder / "model.onnx")
    compile_model(CompileOptions(ModelOptions(folder / "model.onnx"), folder / "artifact"))
    return shiftc.load(folder / "artifact")


def _inputs(seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    boxes = random.uniform(0, 1, (1, 20, 4)).astype("float32")
    return {"boxes": boxes, "scores": random.uniform(0, 1, (1, 1, 20)).astype("float32"), **GIVEN}


def test_as_many_rows_as_were_found(session: Session) -> None:
    inputs = _inputs()
    found = session.run(inputs)
    assert 0 < len(found["selected"]) <= 5
    np.testing.assert_array_equal(found["kept"], inputs["boxes"][0, found["selected"][:, 2]])
    nothing = session.run(inputs | {"scores": np.zeros((1, 1, 20), "float32")})
    assert (nothing["selected"].shape, nothing["kept"].shape) == ((0, 3), (0, 4))


def test_signature_says_how_many_rows_at_most(session: Session) -> None:
    outputs = {spec.name: str(spec) for spec in session.signature.outputs}
    assert outputs["selected"] == "selected: int64[≤5, 3]"
    assert outputs["kept"] == "kept: float32[≤5, 4]"


def test_rows_need_a_new_array(session: Session) -> None:
    with pytest.raises(OutputArrayError, match="'selected' is given an array, but its size depends on data"):
        session.run(_inputs(), {"selected": np.zeros((5, 3), "int64")})


@pytest.mark.parametrize(
    ("name", "at", "value", "limits"),
    [
        ("picked", (1,), 10**9, "from -20 to 19"),
        ("picked", (0,), -21, "from -20 to 19"),
        ("points", (2, 0), 1, "from -1 to 0"),
        ("points", (1, 1), 20, "from -20 to 19"),
    ],
)
def test_index_out_of_bounds(
    session: Session, name: str, at: tuple[int, ...], value: int, limits: str
) -> None:
    inputs = _inputs()
    inputs[name] = inputs[name].copy()
    inputs[name][at] = value
    with pytest.raises(InputValueError) as raised:
        session.run(inputs)
    assert str(raised.value) == (
        f"input '{name}' is {value} at {list(at)}, the model takes it as an index {limits}"
    )
    assert raised.value.status == ExitStatus.INPUT_VALUE_WRONG


def test_indices_that_are_computed_mean_the_nearest_element(session: Session) -> None:
    found = session.run(_inputs())
    np.testing.assert_array_equal(found["computed"], np.array([0, 3, 3, 3], "float32"))


def test_made_up_inputs_keep_the_limits(session: Session) -> None:
    for seed in range(4):
        session.run(made_up(session.signature.inputs, "random", seed))
    session.run(made_up(session.signature.inputs, "ones"))


def test_constant_index_out_of_bounds(tmp_path: Path) -> None:
    model = """<ir_version: 8, opset_import: ["": 17]>
        g (float[2,3] x) => (float[2,1] y) <int64[1] i = {3}> { [pick] y = Gather<axis = 1>(x, i) }"""
    onnx.save(onnx.parser.parse_model(model), tmp_path / "model.onnx")
    with pytest.raises(OperatorImportError, match="'pick': Gather cannot be imported: its index 3 is out of"):
        import_model(tmp_path / "model.onnx")


def test_nan_is_not_zero_and_slices_that_end_before_they_begin_are_empty(tmp_path: Path) -> None:
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["": 17]>
        g (float[1,4] x, float16[1,4] h, float[1,3,6,7] p)
        => (int64[2,N] y, int64[2,M] z, float[1,3,0,7] forward, float[1,3,0,7] back, float[4,0] none)
        <int64[1] one = {1}, int64[1] two = {2}, int64[1] three = {3}, int64[1] five = {5},
         int64[1] last = {-1}> {
            y = NonZero(x)
            z = NonZero(h)
            forward = Slice(p, five, one, two)
            rows = Relu(p)
            backward = Slice(rows, one, five, two, last)
            back = Relu(backward)
            column = Transpose<perm = [1, 0]>(x)
            none = Slice(column, three, one, one)
        }""")
    onnx.save(model, tmp_path / "model.onnx")
    compile_model(CompileOptions(ModelOptions(tmp_path / "model.onnx"), tmp_path / "artifact"))
    x = np.array([[0, np.nan, 1, -np.inf]], "float32")
    found = shiftc.load(tmp_path / "artifact").run(
        {"x": x, "h": x.astype("float16"), "p": np.ones((1, 3, 6, 7), "float32")}
    )
    for name in "yz":
        np.testing.assert_array_equal(found[name], np.nonzero(x))
    assert [found[name].shape for name in ("forward", "back", "none")] == [(1, 3, 0, 7), (1, 3, 0, 7), (4, 0)]
