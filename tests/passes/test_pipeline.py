"""The order of the passes, and what can be asked of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tvm.relax import op

from tests.passes.modules import check_planned, compiled, const, conv, module, one_hot, values
from tvm_passes import pipeline
from tvm_passes.pipeline import OPTIONAL_PASSES, PASSES, REQUIRED_PASSES, PassError

SHAPE = (1, 8, 6, 6)
TAPS = [(c % 3, 1) for c in range(8)]


def _network(emit, x):
    y = emit(op.nn.relu(emit(conv(x, values(8, 8, 1, 1)))))
    shifted = emit(op.nn.relu(emit(conv(y, one_hot(TAPS), 1, groups=8))))
    return emit(conv(shifted, values(4, 8, 1, 1)))


NETWORK = module([SHAPE], _network)


def test_the_shift_is_gone() -> None:
    program = check_planned(NETWORK)
    assert [step.kind for step in program.steps] == ["layout", "indexed_conv", "indexed_conv", "layout"]
    (record,) = program.index_maps
    assert record.folded
    assert record.channels == 8
    assert set(program.pass_times) == {*PASSES, "build", "traffic"}
    assert all(seconds >= 0 for seconds in program.pass_times.values())


@pytest.mark.parametrize("name", OPTIONAL_PASSES)
def test_any_optional_pass_can_be_left_out(name: str) -> None:
    program = check_planned(NETWORK, disabled_passes=(name,))
    assert name not in program.pass_times
    if name not in ("absorb-strides", "prune", "compose", "separate"):  # one map, of stride 1, stands alone
        assert len(program.steps) > 4


def test_level_zero_is_without_optional_passes() -> None:
    program = check_planned(NETWORK, opt_level=0)
    assert set(program.pass_times) == {*REQUIRED_PASSES, "build", "traffic"}
    assert program.index_maps == ()


@pytest.mark.parametrize("name", REQUIRED_PASSES)
def test_a_required_pass_cannot_be_disabled(name: str) -> None:
    with pytest.raises(PassError, match=f"^pass {name} cannot be disabled$"):
        compiled(NETWORK, disabled_passes=(name,))


def test_an_unknown_pass_is_named() -> None:
    message = f"^there is no pass unroll; passes that can be disabled: {', '.join(OPTIONAL_PASSES)}$"
    with pytest.raises(PassError, match=message):
        compiled(NETWORK, disabled_passes=("unroll",))


@pytest.mark.usefixtures("verified_in_numpy")
def test_verification_accepts_what_is_right() -> None:
    check_planned(NETWORK, verify_passes=True)


@pytest.mark.usefixtures("verified_in_numpy")
@pytest.mark.parametrize("name", ["canonicalize", "commute", "fuse"])
def test_verification_names_the_pass_that_is_wrong(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(mod):
        return module([SHAPE], lambda emit, x: emit(op.multiply(_network(emit, x), const(1.5))))

    monkeypatch.setattr(pipeline, name, wrong)
    with pytest.raises(
        PassError, match=f"^pass {name} changes what the module computes: output 0 differs by "
    ):
        compiled(NETWORK, verify_passes=True)


def test_no_pass_changes_the_outputs_types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "fuse", lambda mod: module([SHAPE], lambda emit, x: emit(op.nn.relu(x))))
    with pytest.raises(PassError, match=r"^pass fuse changes the outputs' types: R.Tensor.* became R.Tensor"):
        compiled(NETWORK)


@pytest.mark.usefixtures("verified_in_numpy")
def test_verification_of_the_program_holds_passes_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = module([SHAPE], lambda emit, x: emit(op.multiply(_network(emit, x), const(1.5))))
    monkeypatch.setattr(pipeline, "commute", lambda _: wrong)
    with pytest.raises(
        PassError, match=r"^the program computes something else than the model: output 0 differs"
    ):
        compiled(NETWORK, verify_program=True)


def test_the_module_after_every_pass_is_written(tmp_path: Path) -> None:
    directory = tmp_path / "ir" / "network"
    compiled(NETWORK, dump_ir=directory)
    files = sorted(directory.iterdir())
    assert [file.name for file in files] == [f"{i:02d}-{name}.py" for i, name in enumerate(PASSES)]
    texts = [file.read_text(encoding="utf-8") for file in files]
    after = dict(zip(PASSES, texts, strict=True))
    assert "shiftc.index_map" not in after["canonicalize"]
    assert "shiftc.index_map" in after["recognize"]
    assert "shiftc.stage" in after["fuse"]
    assert "T.address_of" in after["lower"]


def test_passes_left_out_are_not_written(tmp_path: Path) -> None:
    compiled(NETWORK, dump_ir=tmp_path, disabled_passes=("commute",))
    assert [f.name for f in sorted(tmp_path.iterdir())] == [
        f"{i:02d}-{name}.py" for i, name in enumerate(PASSES) if name != "commute"
    ]


def test_the_constants_are_aligned_and_the_arena_holds_the_tensors() -> None:
    program = compiled(NETWORK)
    assert program.constants.dtype == np.uint8
    assert program.constants.size % 64 == 0
    assert program.arena_bytes >= 4 * 2 * 8 * 36
