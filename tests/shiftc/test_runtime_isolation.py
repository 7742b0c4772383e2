"""The runtime needs no compiler: what a process that only runs artifacts has loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

COMPILER = {"frontends", "schedules", "tvm_passes", "tvm", "onnx", "onnxslim"}


def _modules_after(code: str) -> set[str]:
    """Top-level modules a fresh interpreter has imported after running `code`."""
    script = f"import json, sys\n{code}\nprint(json.dumps(sorted(sys.modules)))"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    return {name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


def test_importing_the_package_is_light() -> None:
    assert not _modules_after("import shiftc") & (COMPILER | {"numpy", "tvm_ffi", "click", "rich"})


def test_running_an_artifact_loads_no_compiler(artifact: Path) -> None:
    code = (
        "import numpy, shiftc\n"
        f"session = shiftc.load({str(artifact)!r})\n"
        "session.run({'x': numpy.zeros((4, 16), 'float32')})"
    )
    modules = _modules_after(code)
    assert not modules & COMPILER
    assert "tvm_ffi" in modules


def test_executing_a_staged_program_loads_no_compiler() -> None:
    modules = _modules_after("import shiftc.staged_file, tvm_passes.staged.execute, tvm_passes.staged.tile")
    assert not modules & (COMPILER - {"tvm_passes"})


@pytest.mark.parametrize("verb", ["run", "inspect"])
def test_verbs_on_artifacts_load_no_compiler(artifact: Path, verb: str) -> None:
    code = f"from shiftc.cli import main\nassert main([{verb!r}, {str(artifact)!r}], {{}}) == 0"
    assert not _modules_after(code) & COMPILER
