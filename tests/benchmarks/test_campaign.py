"""A campaign takes the oldest first, survives failures and can be continued."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

import attrs
import pytest

from benchmarks import campaign as module
from benchmarks.campaign import Campaign, in_a_process
from benchmarks.results_file import Key, Measurement, ResultsFile


@attrs.frozen
class Letter:
    name: str

    @property
    def keys(self) -> tuple[Key, ...]:
        return ((self.name,),)

    def __str__(self) -> str:
        return self.name


def _measure(letter: Letter) -> list[Measurement]:
    if letter.name == "x":
        raise ValueError("x cannot be\nmeasured")
    return [{"letter": letter.name, "value": 1}]


def _table(measurements: Sequence[Measurement]) -> str:
    return " ".join(m["letter"] for m in measurements)


@pytest.fixture
def campaign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Campaign[Letter]:
    monkeypatch.setattr(module, "in_a_process", lambda function, argument: function(argument))
    return Campaign(ResultsFile(tmp_path / "results.json", ("letter",)), {}, _measure, _table)


def _ago(hours: float) -> str:
    return (datetime.now(timezone.utc) - timedelta(hours=hours)).isoformat(timespec="seconds")


def test_a_failure_ends_its_case_alone(
    campaign: Campaign[Letter], capsys: pytest.CaptureFixture[str]
) -> None:
    assert campaign.run(map(Letter, "axb")) == 1
    assert [m["letter"] for m in campaign.file.read()] == ["a", "b"]
    assert campaign.file.path.with_suffix(".md").read_text() == "a b"
    captured = capsys.readouterr()
    assert "[2/3] x" in captured.out
    assert captured.err == "  failed: ValueError: x cannot be measured\n"


def test_a_failure_keeps_the_older_measurement(campaign: Campaign[Letter]) -> None:
    campaign.file.write({}, [{"letter": "x", "value": 7, "measured": _ago(1)}])
    assert campaign.run([Letter("x")]) == 1
    assert campaign.file.read()[0]["value"] == 7


def test_the_oldest_are_measured_first(campaign: Campaign[Letter]) -> None:
    times = {"a": 1, "b": 3, "c": 2}
    campaign.file.write({}, [{"letter": k, "measured": _ago(hours)} for k, hours in times.items()])
    assert "".join(map(str, campaign.due(list(map(Letter, "abcde"))))) == "debca"


def test_what_is_recent_is_skipped(campaign: Campaign[Letter]) -> None:
    campaign.file.write({}, [{"letter": "a", "measured": _ago(1)}, {"letter": "b", "measured": _ago(30)}])
    resumed = attrs.evolve(campaign, hours=24)
    assert resumed.due(list(map(Letter, "abc"))) == [Letter("c"), Letter("b")]


def test_nothing_is_begun_when_time_is_up(
    campaign: Campaign[Letter], capsys: pytest.CaptureFixture[str]
) -> None:
    assert attrs.evolve(campaign, minutes=-1).run(map(Letter, "abc")) == 0
    assert campaign.file.read() == []
    assert "3 of 3 left" in capsys.readouterr().out


def test_a_process_of_its_own() -> None:
    assert in_a_process(str.upper, "a") == "A"


def test_a_process_that_dies_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="the process that measured it died"):
        in_a_process(os._exit, 3)
