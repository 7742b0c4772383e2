"""Which networks are measured with which batches, and how measurements become a table."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest

from benchmarks.command_line import results_path
from benchmarks.network_table import faster_of_two, geometric_mean, table
from benchmarks.networks import KEY, Network, cases, corpus_networks, measure, zoo_networks
from benchmarks.run_all import main
from shiftc import zoo
from shiftc.bench.machine import this_machine
from shiftc.options import BenchOptions


def test_every_network_of_the_zoo_takes_part() -> None:
    assert [network.name for network in zoo_networks()] == list(zoo.names())


def test_the_larger_exported_models_take_part() -> None:
    networks = {network.name: network for network in corpus_networks()}
    assert "exported/conv3x3" in networks
    assert "exported/shift_only" not in networks
    assert networks["exported/conv3x3"].batch == 1
    assert networks["exported/one_hot_csc_dynamic_batch"].batch is None


def test_a_static_model_has_its_own_batch_only() -> None:
    networks = (Network("any"), Network("static", batch=1))
    found = list(cases(networks, (1, 8), (1, 2), ("onnxruntime",), tvm_batches=(1,)))
    assert [(case.network.name, case.batch) for case in found] == [("any", 1), ("static", 1), ("any", 8)]
    assert [case.peers for case in found] == [("onnxruntime", "tvm")] * 2 + [("onnxruntime",)]
    assert found[2].keys == (("any", 8, 1, False), ("any", 8, 2, False))


def test_the_batch_reaches_the_model(tmp_path: Path) -> None:
    options = Network("shiftresnet20").options(8, "host", tmp_path)
    shape = onnx.load(options.model).graph.input[0].type.tensor_type.shape
    assert [dimension.dim_value for dimension in shape.dim] == [8, 3, 32, 32]
    dynamic = Network("exported", Path("m.onnx"), (("x", (2, 3, 16, 16)),))
    assert dynamic.options(8, "host", tmp_path).input_shapes == {"x": (8, 3, 16, 16)}


def test_measuring_yields_what_the_keys_promise() -> None:
    network = next(n for n in corpus_networks() if n.name == "exported/resnet")
    (case,) = cases((network,), (1,), (1,), ("onnxruntime",), rounds=1)
    found = measure(case)
    assert [tuple(m[name] for name in KEY) for m in found] == list(case.keys)
    assert found[0]["runtimes"]["onnxruntime"]["median_ms"] > 0
    assert found[0]["runtimes"]["shiftc"]["error"] < 1e-5
    assert found[0]["arena_bytes"] >= found[0]["arena_lower_bound_bytes"] > 0
    assert "exported/resnet" in table("T", ["exported/resnet"], found)


@pytest.mark.parametrize("direct", [False, True])
def test_direct_takes_neither_form(direct: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[BenchOptions] = []

    def compare(options: BenchOptions) -> SimpleNamespace:
        asked.append(options)
        return SimpleNamespace(comparisons=())

    monkeypatch.setattr("benchmarks.networks.compare", compare)
    (case,) = cases((Network("any", Path("any.onnx")),), (1,), (1,), (), direct=direct)
    assert measure(case) == []
    assert [(o.passes.winograd, o.passes.pairing) for o in asked] == [(not direct, not direct)]


def _measurement(name: str, **changes: Any) -> dict[str, Any]:
    run = {"version": "1", "median_ms": 2.0, "min_ms": 1.0}
    data = {
        "network": name,
        "batch": 1,
        "threads": 1,
        "direct": False,
        "runtimes": {"shiftc": run, "onnxruntime": run | {"median_ms": 3.0}, "openvino": {"version": "2"}},
        "ratios": {"onnxruntime": 1.5},
        "ratios_of_minima": {"onnxruntime": 1.25},
        "of_floor": 0.5,
        "of_floor_min": 1.0,
        "arena_bytes": 2048,
    }
    return data | changes


def test_table() -> None:
    failed = {"version": "2", "failure": "cannot"}
    measurements = [
        _measurement("b"),
        _measurement("a", ratios={"onnxruntime": 6.0, "openvino": 9.0}),
        _measurement("a", batch=8, threads=2, direct=True),
        _measurement("a", batch=8),
    ]
    measurements[0]["runtimes"]["openvino"] = failed
    measurements[1]["runtimes"]["openvino"] = {"version": "3", "median_ms": 18.0, "min_ms": 9.0}
    text = table("Title", ["a", "b"], measurements)
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings == [
        "# Title",
        "## Batch 1, 1 thread",
        "## Batch 8, 1 thread",
        "## Batch 8, 2 threads, direct",
    ]
    rows = [line for line in text.splitlines() if line.startswith(("| a", "| b", "| geo"))]
    assert rows[0].startswith(
        "| a | 2.000 | 1.000 | 50% | 100% | 2 | 3.000 (6.00x) | 18.000 (9.00x) |  | 6.00x |"
    )
    assert rows[1].startswith(
        "| b | 2.000 | 1.000 | 50% | 100% | 2 | 3.000 (1.50x) | failed |  | 1.50x | 1.25x"
    )
    assert rows[2].startswith("| geometric mean, the zoo |")
    assert rows[2].endswith("| 3.00x | 1.25x |")
    assert text.splitlines()[-1] == "onnxruntime 1, openvino 2 and 3, shiftc 1"


def test_exported_models_have_a_mean_of_their_own() -> None:
    ratios = {"a": 2.0, "exported/b": 3.0, "c": 8.0}
    measurements = [_measurement(name, ratios={"onnxruntime": ratio}) for name, ratio in ratios.items()]
    rows = [line for line in table("T", list(ratios), measurements).splitlines() if "geometric" in line]
    assert [row.split(" | ")[0] for row in rows] == [
        "| geometric mean, the zoo",
        "| geometric mean, exported models",
    ]
    assert [row.split(" | ")[-2] for row in rows] == ["4.00x", "3.00x"]


def test_threads_are_compared_with_one() -> None:
    two = _measurement("a", threads=2)
    two["runtimes"]["shiftc"] = two["runtimes"]["shiftc"] | {"median_ms": 1.25}
    text = table("T", ["a", "b"], [two, _measurement("a"), _measurement("b", threads=2)])
    single, double = text.split("## Batch 1, 2 threads")
    assert "of 1 thread" not in single.split("## Batch 1, 1 thread")[1]
    assert next(line for line in double.splitlines() if line.startswith("| a")).endswith("| 1.60x |")
    assert next(line for line in double.splitlines() if line.startswith("| b")).endswith("|  |")


def test_table_says_who_was_not_held_to_the_target() -> None:
    measurement = _measurement("a")
    measurement["runtimes"]["onnxruntime"]["wider_instructions"] = True
    assert "With wider instructions than the target has: onnxruntime." in table("T", ["a"], [measurement])


def test_arena_beside_its_lower_bound() -> None:
    text = table("T", ["a"], [_measurement("a", arena_bytes=3072, arena_lower_bound_bytes=2048)])
    assert "| 3 (1.50x) |" in text


def test_summaries() -> None:
    assert faster_of_two({"onnxruntime": 2.0, "openvino": 1.5, "tvm": 1.0}) == 1.5
    assert faster_of_two({"tvm": 40.0}) is None
    assert geometric_mean([2.0, 8.0]) == pytest.approx(4.0)


def test_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--list", "--results", str(tmp_path), "--networks", "roll-like", "--batches", "1", "8"]
    assert main(flags) == 0
    assert capsys.readouterr().out.splitlines() == ["roll-like, batch 1", "roll-like, batch 8"]
    assert main([*flags, "--direct"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "roll-like, batch 1, direct",
        "roll-like, batch 8, direct",
    ]


def test_unknown_network(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--networks", "lenet"])
    assert "no network is called lenet" in capsys.readouterr().err


def test_a_foreign_results_file_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--list", "--results", str(tmp_path), "--networks", "roll-like"]

    results_path(tmp_path, this_machine(), "host").write_text("{}")
    assert main(flags) == 1
    assert "format" in capsys.readouterr().err
