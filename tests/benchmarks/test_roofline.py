"""Points, roofs and the plot of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.roofline import main
from benchmarks.roofline_data import Point, Roofs, points_of, read_sizes
from benchmarks.roofline_plot import draw
from schedules.bandwidth import measure_read_bandwidth
from shiftc.bench import machine
from shiftc.manifest import KernelEntry
from shiftc.runtime import StepTime
from shiftc.target import parse_target

ROOFS = Roofs(peak=1e11, bandwidths={"L2": 5e10, "memory": 1e10})


def _step(kind: str, macs: int, seconds: float) -> StepTime:
    return StepTime(KernelEntry("k", kind, False, macs, 1000, "Conv_0"), seconds)


def test_points() -> None:
    steps = [_step("conv", 5000, 1e-6), _step("pool", 0, 3e-6), _step("conv", 5000, 0.0)]
    assert points_of(steps) == (Point("conv", 10.0, pytest.approx(1e10), pytest.approx(0.25)),)


def test_roofs() -> None:
    assert ROOFS.at(1.0, "L2") == 5e10
    assert ROOFS.at(1.0, "memory") == 1e10
    assert ROOFS.at(100.0, "memory") == 1e11


def test_sizes_lie_in_their_level() -> None:
    kib = 1 << 10
    sizes = read_sizes(512 * kib, 8192 * kib)
    assert sizes == {"L2": 256 * kib, "L3": 2048 * kib, "memory": 32768 * kib}
    assert list(read_sizes(512 * kib, None)) == ["L2", "memory"]


def test_reading_is_measured() -> None:
    assert measure_read_bandwidth(parse_target("host"), 1 << 16) > 1e8


def test_plot(tmp_path: Path) -> None:
    points = [Point("indexed_conv", 10.0 + i, 9e10, 0.004) for i in range(200)]
    paths = [tmp_path / name for name in ("a.svg", "b.svg")]
    for path in paths:
        draw("A network", [*points, Point("depthwise", 1.0, 2e10, 0.2)], ROOFS, path)
    text = paths[0].read_text()
    assert text == paths[1].read_text()
    assert len(text) < 300_000
    for words in ("A network", "indexed_conv, 80% of the time", "memory, 10 GB/s", "100 GFLOP/s measured"):
        assert words in text


def test_a_network_is_drawn(tmp_path: Path) -> None:
    assert main(["exported/conv3x3", "--results", str(tmp_path)]) == 0
    (path,) = tmp_path.glob("*-roofline-exported-conv3x3.svg")
    assert "exported/conv3x3" in path.read_text()


def test_unknown_network(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["lenet"])
    assert "no network is called lenet" in capsys.readouterr().err


def test_caches_are_read_from_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    caches = {
        "index0": ("1", "Data", "48K"),
        "index1": ("1", "Instruction", "32K"),
        "index2": ("2", "Unified", "1024K"),
    }
    for name, values in caches.items():
        (tmp_path / name).mkdir()
        for file, value in zip(("level", "type", "size"), values, strict=True):
            (tmp_path / name / file).write_text(f"{value}\n")
    monkeypatch.setattr(machine, "_CACHES", tmp_path)
    assert [machine.cache_bytes(level) for level in (1, 2, 3)] == [48 << 10, 1 << 20, None]
