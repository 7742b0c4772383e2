"""`--target`: host, JSON, tvmc's form; whatever is not understood is refused by name."""

from __future__ import annotations

import json
import os
import platform
from typing import Any

import pytest

from shiftc import cpu_features
from shiftc.errors import TargetError
from shiftc.target import describe_target, machine_of, parse_target, required_features


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("llvm", {"kind": "llvm"}),
        ("llvm -mcpu=znver4", {"kind": "llvm", "mcpu": "znver4"}),
        ("llvm -mcpu=znver4 -num-cores 2", {"kind": "llvm", "mcpu": "znver4", "num-cores": 2}),
        ("llvm -mcpu znver4 --num-cores=2", {"kind": "llvm", "mcpu": "znver4", "num-cores": 2}),
        (
            "llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a72 -mattr=+neon,+fp-armv8",
            {
                "kind": "llvm",
                "mtriple": "aarch64-linux-gnu",
                "mcpu": "cortex-a72",
                "mattr": ["+neon", "+fp-armv8"],
            },
        ),
        ("llvm -target=aarch64-linux-gnu", {"kind": "llvm", "mtriple": "aarch64-linux-gnu"}),
        ('{"kind": "llvm", "mcpu": "skylake"}', {"kind": "llvm", "mcpu": "skylake"}),
    ],
)
def test_forms(text: str, expected: dict[str, Any]) -> None:
    described = describe_target(parse_target(text))
    assert expected.items() <= described.items()


def test_host_is_this_machine() -> None:
    target = parse_target("host")
    assert machine_of(target) == platform.machine()
    assert target.attrs["num-cores"] == len(os.sched_getaffinity(0))
    assert cpu_features.missing_features(required_features(target)) == ()


def test_tag() -> None:
    assert machine_of(parse_target("raspberry-pi/4b-aarch64")) == "aarch64"


def test_description_is_json_and_means_the_same() -> None:
    target = parse_target("llvm -mcpu=znver4 -num-cores 2")
    text = json.dumps(describe_target(target))
    assert describe_target(parse_target(text)) == describe_target(target)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("abacus", "abacus"),
        ("cuda", "no schedules for devices of kind 'cuda'"),
        ("llvm -mcpu=abacus", "no processor 'abacus'"),
        ("llvm -beads=3", "beads"),
        ("llvm -num-cores=two", "-num-cores takes a number"),
        ("llvm -mcpu", "-mcpu has no value"),
        ("llvm znver4", "instead of 'znver4'"),
        ("llvm '-mcpu", "llvm '-mcpu"),
        ("raspberry-pi/99", "raspberry-pi/99"),
        ("{", "not JSON"),
        ("{}", "target '{}'"),
    ],
)
def test_refusals(text: str, words: str) -> None:
    with pytest.raises(TargetError) as caught:
        parse_target(text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_device_without_schedules_is_refused_quietly(capfd: pytest.CaptureFixture[str]) -> None:
    for text in ("cuda", '{"kind": "rocm"}', "opencl -device=mali"):
        with pytest.raises(TargetError, match="no schedules for devices of kind"):
            parse_target(text)
    assert capfd.readouterr() == ("", "")


def test_features_follow_the_processor_and_mattr() -> None:
    haswell = parse_target("llvm -mtriple=x86_64-linux-gnu -mcpu=haswell")
    assert {"avx2", "fma"} <= set(required_features(haswell))
    narrowed = parse_target("llvm -mtriple=x86_64-linux-gnu -mcpu=znver4 -mattr=-avx512vnni")
    assert "avx512f" in required_features(narrowed)
    assert "avx512vnni" not in required_features(narrowed)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the flags are an x86 processor's")
def test_features_the_host_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_features, "_host_flags", lambda: frozenset({"avx", "avx2", "fma"}))
    assert cpu_features.missing_features(["avx2", "fma", "avx512f"]) == ("avx512f",)
