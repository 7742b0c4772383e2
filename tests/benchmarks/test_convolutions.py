"""The sweep's shapes and chains, and what is made of their times."""

from __future__ import annotations

from collections import Counter
from typing import Any

import attrs
import pytest

from benchmarks.chains import KEY, ConvolutionCase, measure
from benchmarks.convolutions import DEPTHWISE, EDGE_LINKS, POINTWISE, SHIFTED, Convolution, sets
from benchmarks.link import LinkTime, gflops, link_time, speeds
from benchmarks.sweep import main
from benchmarks.sweep_table import summary, table
from shiftc import zoo
from shiftc.options import ModelOptions, PassOptions

EVERY = [convolution for these in sets() for convolution in these]


def test_there_are_sixty() -> None:
    assert len(set(EVERY)) == len(EVERY) == 60
    assert {c.plane for c in EVERY} == {56, 28, 14, 7}
    assert {min(c.channels for c in EVERY), max(c.channels for c in EVERY)} == {32, 1024}
    kinds = Counter(c.kind for c in EVERY)
    assert kinds[POINTWISE] == kinds[SHIFTED]


def test_a_shifted_one_is_measured_beside_its_plain_one() -> None:
    for these in sets():
        if these[-1].kind == SHIFTED:
            assert attrs.evolve(these[-1], kind=POINTWISE) == these[0]
        else:
            assert len(these) == 1


def test_some_of_every_dense_kind_stay_in_a_cache() -> None:
    cached = [c for c in EVERY if c.channels >= 64 and c.stays_in(1 << 20, c.links(1 << 20))]
    assert {c.kind for c in cached} == {c.kind for c in EVERY}


@pytest.mark.parametrize("convolution", [these[-1] for these in sets() if these[-1].plane == 7], ids=str)
def test_a_chain_costs_its_links(convolution: Convolution) -> None:
    cost = zoo.count(convolution.chain(3))
    assert cost.macs == 3 * convolution.macs  # a shift costs nothing
    assert cost.parameters == 3 * convolution.weights


def test_links() -> None:
    tiny, large = Convolution(DEPTHWISE, 64, 7, 64), Convolution(POINTWISE, 512, 56)
    assert tiny.links(1 << 20) == 32
    assert large.links(1 << 20) == 4
    fitting = Convolution(POINTWISE, 128, 14)
    assert fitting.stays_in(1 << 20, fitting.links(1 << 20))
    assert not fitting.stays_in(1 << 20, fitting.links(1 << 20) + 1)
    assert fitting.links(1 << 30) > fitting.links(1 << 20)


def test_link_time() -> None:
    time = link_time(long=[9.0, 7.0, 8.0], short=[3.0, 2.0, 4.0], links=5)
    assert time == LinkTime(1.0, 1.0)
    assert link_time([3.0], [1.0], 4) == LinkTime(0.5, 0.5)


def test_speeds() -> None:
    convolution = Convolution(SHIFTED, 100, 10)
    assert convolution.macs == 1_000_000
    times = {"shiftc": LinkTime(2e-5, 1e-5), "openvino": LinkTime(3e-5, 4e-5)}
    data = speeds(convolution, times, LinkTime(1e-11, 0.5e-11), LinkTime(1e-5, 1e-5))
    assert data["times"]["shiftc"] == {"us": pytest.approx(20), "us_min": pytest.approx(10), "gflops": 100.0}
    assert (data["of_peak"], data["of_peak_min"]) == (pytest.approx(1.0), pytest.approx(1.0))
    assert data["ratios"] == {"openvino": pytest.approx(1.5)}
    assert data["ratios_of_minima"] == {"openvino": pytest.approx(4.0)}
    assert (data["times_of_plain"], data["times_of_plain_min"]) == (pytest.approx(2.0), pytest.approx(1.0))
    assert data["fma_peak_gflops"] == pytest.approx(100)


def test_what_the_clock_hides_is_unknown() -> None:
    hidden = {"shiftc": LinkTime(-1e-9, 1e-9), "openvino": LinkTime(1e-5, 0.0)}
    data = speeds(Convolution(POINTWISE, 32, 7), hidden, LinkTime(1e-11, 1e-11), None)
    assert data["of_peak"] is None
    assert data["ratios"] == data["ratios_of_minima"] == {}
    assert data["times"]["shiftc"]["gflops"] is None
    assert "times_of_plain" not in data
    assert gflops(1, 0.0) is None


def _measurement(kind: str, **changes: Any) -> dict[str, Any]:
    data = {
        "kind": kind,
        "channels": 64,
        "plane": 14,
        "groups": 1,
        "direct": False,
        "in_l2": True,
        "times": {"shiftc": {"us": 2.0, "us_min": 1.9, "gflops": 50.0}, "openvino": {"us": 3.0}},
        "of_peak": 0.9,
        "of_peak_min": 0.95,
        "ratios": {"openvino": 1.5},
        "ratios_of_minima": {"openvino": 1.4},
        "failures": {"onnxruntime": "cannot"},
        "wider_instructions": [],
    }
    return data | changes


def test_summary_of_shifted() -> None:
    times = [1.01, 1.05, 1.02]
    group = [
        _measurement(SHIFTED, times_of_plain=t, times_of_plain_min=t - 0.01, of_peak=t - 0.1) for t in times
    ]
    group.append(_measurement(SHIFTED, channels=32, of_peak=0.1, ratios={"openvino": 6.0}))
    assert summary(SHIFTED, group) == [
        "Faster of two: geometric mean 2.12x, least 1.50x.",
        "Beside the plain ones, by medians: median 1.020x the time, worst 1.050x.",
        "Beside the plain ones, by minima: median 1.010x the time, worst 1.040x.",
        "At least 64 channels, in L2: median 92% of peak, least 91%; by minima least 95%.",
    ]


def test_table() -> None:
    measurements = [
        _measurement(SHIFTED, times_of_plain=1.01, times_of_plain_min=None),
        _measurement(POINTWISE, plane=7, wider_instructions=["openvino"]),
        _measurement(POINTWISE, of_peak=None),
        _measurement("3x3", direct=True),
    ]
    text = table("T", measurements)
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "# T",
        "## pointwise",
        "## shifted",
        "## 3x3, direct",
    ]
    rows = [line for line in text.splitlines() if line.startswith("| 64")]
    assert rows == [
        "| 64 | 14 | 1 | 2.0 | 50.0 |  | 95% | yes | failed | 3.0 (1.50x) |",
        "| 64 | 7 | 1 | 2.0 | 50.0 | 90% | 95% | yes | failed | 3.0 (1.50x)* |",
        "| 64 | 14 | 1 | 2.0 | 50.0 | 90% | 95% | yes | failed | 3.0 (1.50x) | 1.010x |  |",
        "| 64 | 14 | 1 | 2.0 | 50.0 | 90% | 95% | yes | failed | 3.0 (1.50x) |",
    ]


def test_measuring_yields_what_the_keys_promise() -> None:
    plain = Convolution(POINTWISE, 16, 4)
    case = ConvolutionCase((plain, attrs.evolve(plain, kind=SHIFTED)), ("onnxruntime",), rounds=1)
    found = measure(case)
    assert [tuple(m[name] for name in KEY) for m in found] == list(case.keys)
    assert all(m["error"] < 1e-5 and not m["failures"] for m in found)
    assert found[0]["links"] + EDGE_LINKS > EDGE_LINKS
    assert "times_of_plain" in found[1]
    assert "times_of_plain" not in found[0]
    assert table("T", found).count("| 16 | 4 |") == 2


class _RefusedError(Exception):
    """Ends a case where it would be compiled."""


@pytest.mark.parametrize("direct", [False, True])
def test_direct_takes_neither_form(direct: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def build_program(model: ModelOptions, passes: PassOptions) -> None:
        assert (passes.winograd, passes.pairing) == (not direct, not direct)
        raise _RefusedError

    monkeypatch.setattr("benchmarks.chains.build_program", build_program)
    with pytest.raises(_RefusedError):
        measure(ConvolutionCase((Convolution(POINTWISE, 16, 4),), (), direct=direct))


def test_list(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--list", "--results", str(tmp_path), "--kinds", "shifted", "--planes", "7", "--channels", "64"]
    assert main(flags) == 0
    assert capsys.readouterr().out == "pointwise, 64 channels, 7 x 7 and shifted, 64 channels, 7 x 7\n"
    assert main([*flags, "--direct"]) == 0
    assert capsys.readouterr().out.endswith("shifted, 64 channels, 7 x 7, direct\n")
