"""Results are merged measurement by measurement and read back as they were written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.results_file import ResultsError, ResultsFile, hours_since, now


@pytest.fixture
def file(tmp_path: Path) -> ResultsFile:
    return ResultsFile(tmp_path / "folder" / "results.json", ("network", "batch"))


def test_what_is_measured_again_replaces_its_entry(file: ResultsFile) -> None:
    old = [{"network": "a", "batch": 1, "ms": 1}, {"network": "b", "batch": 1, "ms": 2}]
    new = [{"network": "a", "batch": 8, "ms": 3}, {"network": "a", "batch": 1, "ms": 4}]
    assert file.merged(old, new) == [new[1], old[1], new[0]]


def test_round_trip(file: ResultsFile) -> None:
    assert file.read() == []
    measurements = [{"network": "ä", "batch": 1, "turns": [1.5, 2.5]}, {"network": "b", "batch": 8}]
    file.write({"processor": "x"}, measurements)
    assert file.read() == measurements
    assert json.loads(file.path.read_text())["machine"] == {"processor": "x"}


def test_a_measurement_is_a_line(file: ResultsFile) -> None:
    file.write({}, [{"network": name, "batch": 1, "turns": [1, 2]} for name in "abc"])
    lines = file.path.read_text().splitlines()
    assert [json.loads(line.rstrip(","))["network"] for line in lines if "network" in line] == list("abc")


def test_an_empty_file_is_valid(file: ResultsFile) -> None:
    file.write({}, [])
    assert file.read() == []


def test_what_lacks_a_part_of_the_key_is_left_out(file: ResultsFile) -> None:
    whole = {"network": "a", "batch": 1, "ms": 2}
    file.write({}, [{"network": "a", "ms": 1}, whole])
    assert file.read() == [whole]


@pytest.mark.parametrize("content", ["{", "[]", '{"networks": {}}'])
def test_what_is_no_results_file_is_refused(file: ResultsFile, content: str) -> None:
    file.path.parent.mkdir()
    file.path.write_text(content)
    with pytest.raises(ResultsError, match=r"results\.json"):
        file.read()


def test_time() -> None:
    assert 0 <= hours_since(now()) < 0.1
    assert hours_since("2020-01-01T00:00:00+00:00") > 24 * 365
