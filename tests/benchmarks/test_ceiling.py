"""The ceiling of chains: programs in a few KiB, measured on a small network, and the table."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

import attrs
import numpy as np
import pytest
import tvm

import schedules
from benchmarks.ceiling import AUTO, IN_L1, OFF, OpenSession, compared, compiled, main, measure, table
from benchmarks.first_cache import WINDOW, in_first_cache, with_narrow_rows
from schedules.eviction import eviction_of
from schedules.machine import machine_of
from schedules.workload import Depthwise
from schedules.x86.depthwise_tile import DepthwiseTile
from shiftc.target import parse_target
from shiftc.tensors import made_up
from tests.machines import AVX512
from tests.passes.modules import conv, module, random_weight
from tvm_passes.accesses import sweeps_of
from tvm_passes.pipeline import PipelineOptions, lower_module
from tvm_passes.portions import Lines
from tvm_passes.tiling import NO_TILING

LINE = 64
on_x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="evicts with x86 instructions")


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return compiled("shiftresnet20", 1, tmp_path_factory.mktemp("ceiling"))


@on_x86
def test_a_network(artifacts: dict[str, Path]) -> None:
    free = os.sched_getaffinity(0)
    found = measure(artifacts, rounds=1)
    assert all(found[f"{program}_ms"] > 0 for program in ("off", "auto", "in_l1", "steps"))
    assert os.sched_getaffinity(0) == free  # whoever measures is bound only meanwhile


def test_gains_and_shares() -> None:
    """Gains of medians and of minima; shares of the way from memory to the first cache, of minima."""
    seconds = {OFF: [2e-3, 5e-3, 3e-3], AUTO: [1.5e-3, 2e-3, 4e-3], IN_L1: [1e-3, 1e-3, 2e-3]}
    assert compared(seconds, natural=4e-3, evicted=6e-3) == {
        "off_ms": 3.0,
        "auto_ms": 2.0,
        "in_l1_ms": 1.0,
        "from_memory_ms": 5.0,
        "steps_ms": 4.0,
        "in_l1_gain": 3.0,
        "in_l1_gain_of_minima": 2.0,
        "auto_gain": 1.5,
        "auto_gain_of_minima": 1.333,
        "off_share": 0.667,
        "auto_share": 0.833,
    }


def test_what_is_compiled_is_kept(artifacts: dict[str, Path]) -> None:
    written = {path: (path / "manifest.json").stat().st_mtime_ns for path in artifacts.values()}
    assert compiled("shiftresnet20", 1, artifacts[OFF].parent) == artifacts
    assert {path: (path / "manifest.json").stat().st_mtime_ns for path in written} == written


def test_values_in_the_first_cache_are_ordinary(artifacts: dict[str, Path]) -> None:
    """What is read is never written: not one number grows or vanishes on its way through the network."""
    session = OpenSession(artifacts[IN_L1])
    size = OpenSession(artifacts[OFF]).workspace.size
    read = session.workspace[size + 16 * WINDOW + LINE :]
    numbers = np.random.default_rng(1).uniform(0.5, 1.5, read.size // 4).astype(np.float32)
    read[: 4 * numbers.size] = numbers.view(np.uint8)
    (output,) = session.run(made_up(session.signature.inputs, "random")).values()
    assert np.isfinite(output).all() and np.abs(output).max() < 1e3
    np.testing.assert_array_equal(read[: 4 * numbers.size].view(np.float32), numbers)


def test_the_steps_are_the_same(artifacts: dict[str, Path]) -> None:
    off, in_l1 = (json.loads((artifacts[p] / "manifest.json").read_text()) for p in (OFF, IN_L1))
    assert [k["stage"] for k in off["kernels"]] == [k["stage"] for k in in_l1["kernels"]]
    assert AUTO in artifacts


def test_intermediates_take_a_few_kib() -> None:
    """Two windows and an image that is read in place, where tensors of a megabyte were."""

    def body(emit, x):  # type: ignore[no-untyped-def]
        y = emit(conv(x, random_weight(np.random.default_rng(0), 128, 3, 1, 1)))
        z = emit(conv(y, random_weight(np.random.default_rng(1), 128, 1, 3, 3), padding=1, groups=128))
        return emit(conv(z, random_weight(np.random.default_rng(2), 16, 128, 1, 1)))

    lowered = lower_module(module([(1, 3, 56, 56)], body), AVX512, PipelineOptions(tiling=NO_TILING))
    windowed = in_first_cache(lowered, AVX512)
    assert lines_in_arena(lowered) > 40 * lines_in_arena(windowed.lowered)
    assert lines_in_arena(windowed.lowered) < 2 * machine_of(AVX512).l1_bytes // LINE
    assert [c.record for c in windowed.lowered.calls] == [c.record for c in lowered.calls]


def lines_in_arena(lowered) -> int:  # type: ignore[no-untyped-def]
    lines = Lines.of(lowered, LINE)
    whole = [lines.whole(sweeps_of(i, lowered.constants)) for c in lowered.calls for i in c.invocations]
    touched = np.unique(np.concatenate([part for w in whole for part in (w.read, w.written)]))
    return lines.of_arena(touched) // LINE


@pytest.mark.parametrize("stride", [1, 2])
def test_narrow_rows_cost_as_many_loads(stride: int) -> None:
    """No vector of a tile is another one's: the kernel loads and computes what it did."""
    target = tvm.target.Target({"kind": "llvm", "mcpu": "znver4"})
    pitch, column = 58 * 16, 16
    taps = tuple(r * pitch + c * column - pitch for r in range(3) for c in range(3))
    workload = Depthwise(4, 16, 1, 28, 28, stride * pitch, stride * column, taps)
    kernel = schedules.build(workload, target)
    narrow = with_narrow_rows(kernel, target)
    assert isinstance(narrow.workload, Depthwise)
    assert narrow.decisions == kernel.decisions
    assert max(narrow.workload.taps) < pitch
    tile = DepthwiseTile(kernel.decisions["row_tile"], kernel.decisions["column_tile"])
    assert len(list(tile.reads(narrow.workload))) == len(list(tile.reads(workload)))
    assert attrs.evolve(narrow.workload, row_step=0, taps=()) == attrs.evolve(workload, row_step=0, taps=())


@on_x86
def test_what_is_evicted_is_unchanged() -> None:
    memory = np.arange(1 << 16, dtype=np.uint32).view(np.uint8)
    evict = eviction_of(memory, parse_target("host"))
    evict()
    np.testing.assert_array_equal(memory.view(np.uint32), np.arange(1 << 16))


def test_only_compiling_needs_a_place(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--compile-only"])
    assert "--artifacts" in capsys.readouterr().err


def test_the_table() -> None:
    gains = {
        "in_l1_gain": 2.0,
        "in_l1_gain_of_minima": 1.9,
        "auto_gain": 1.25,
        "auto_gain_of_minima": 1.2,
        "off_share": 0.5,
        "auto_share": 0.75,
    }
    small = {
        "network": "a",
        "batch": 1,
        "from_memory_ms": 1.5,
        "off_ms": 1.0,
        "auto_ms": 0.8,
        "in_l1_ms": 0.5,
    }
    text = table("T", [{**small, **gains}, {**small, **gains, "network": "b", "off_ms": 2.0}])
    assert text.startswith("# T\n")
    assert text.splitlines()[-2:] == [
        "| b | 1 | 1.500 | 2.000 | 0.800 | 0.500 | 2.00x | 1.90x | 1.25x | 1.20x | 50% | 75% |",
        "| a | 1 | 1.500 | 1.000 | 0.800 | 0.500 | 2.00x | 1.90x | 1.25x | 1.20x | 50% | 75% |",
    ]
