"""The project's own promises: packages listed, arrows kept, statuses and verbs documented."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from shiftc import __version__
from shiftc.cli.main import shiftc as command_line
from shiftc.exit_status import ExitStatus

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = ("frontends", "schedules", "tvm_passes", "shiftc")


def test_every_package_is_listed() -> None:
    found = {
        ".".join(file.parent.relative_to(ROOT).parts)
        for package in PACKAGES
        for file in (ROOT / package).rglob("*.py")
    }
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == found | {"tuning_logs"}


def test_one_version() -> None:
    assert PROJECT["project"]["version"] == __version__
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_import_contracts() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([str(lint)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_exit_statuses_are_documented() -> None:
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", (ROOT / "docs" / "cli.md").read_text(), re.MULTILINE)
    assert {(int(number), name) for number, name in rows} == {(int(s), s.name) for s in ExitStatus}


def test_every_flag_is_documented() -> None:
    text = (ROOT / "docs" / "cli.md").read_text()
    for name, verb in command_line.commands.items():
        assert f"## shiftc {name}" in text
        for parameter in verb.params:
            if parameter.param_type_name == "option":
                assert f"`{max(parameter.opts, key=len)}" in text, (name, parameter.opts)
