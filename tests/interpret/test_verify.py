"""`--verify-program`: a program that is right compiles, one that is wrong is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from shiftc.cli import main
from shiftc.exit_status import ExitStatus
from tests.interpret.bases import RESIDUAL, TWICE, WRAPPED
from tests.interpret.programs import planned
from tvm_passes import pipeline, place
from tvm_passes.interpret import InterpretationError, ProgramError
from tvm_passes.lowered import Lowered
from tvm_passes.pipeline import PassError

MODEL = Path(__file__).parents[1] / "models" / "shift_into_conv3x3.torchscript.onnx"
ARGUMENTS = ["compile", str(MODEL), "--target", "llvm -mcpu=haswell", "--verify-program", "-o"]


def test_what_is_right_compiles(tmp_path: Path) -> None:
    assert main([*ARGUMENTS, str(tmp_path / "artifact")], {}) == 0


def test_what_is_wrong_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lifespans = place.lifespans
    monkeypatch.setattr(
        place, "lifespans", lambda steps: {t: (first, first) for t, (first, _) in lifespans(steps).items()}
    )
    assert main([*ARGUMENTS, str(tmp_path / "artifact")], {}) == ExitStatus.COMPILATION_FAILED
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "the program is wrong: " in line and "kernel" in line
    assert "lv" not in line, "tensors have the names of the model's nodes"
    assert not (tmp_path / "artifact").exists()


def test_a_program_of_another_module(monkeypatch: pytest.MonkeyPatch) -> None:
    other = TWICE.plan()
    monkeypatch.setattr(pipeline, "lower", lambda *_: other)
    with pytest.raises(PassError, match=r"^the program computes something else than the model: output 0"):
        planned(WRAPPED.module, verify_program=True)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ProgramError, r"^the program is wrong: here: this"),
        (InterpretationError, "^the program cannot be verified: "),
    ],
)
def test_errors_are_told_apart(error: type[Exception], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise error("here", "this") if error is ProgramError else error("an operator is not known")

    monkeypatch.setattr(pipeline, "verify_program", fails)
    with pytest.raises(PassError, match=message):
        planned(RESIDUAL.module, verify_program=True)


def test_nothing_is_scheduled_for_it() -> None:
    lowered: Lowered = planned(RESIDUAL.module)
    kernels = [i.kernel for call in lowered.calls for i in call.invocations if i.kernel is not None]
    assert kernels
    assert not any("func" in getattr(kernel, "__dict__", {}) for kernel in kernels)
