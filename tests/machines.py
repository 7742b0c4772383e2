"""The machines that tests are about.

Tests of plans, costs and decisions name one of the three models. Tests that execute code take `TARGET`,
which the environment variable SHIFTC_TEST_TARGET chooses: sse2, avx2, avx512 or host, the default.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tvm.target import Target

from shiftc.cpu_features import missing_features
from shiftc.target import describe_target, parse_target, required_features
from tvm_passes.lower import lower
from tvm_passes.lowered import Lowered

ENVIRONMENT = "SHIFTC_TEST_TARGET"

SSE2 = Target({"kind": "llvm", "mcpu": "x86-64"})
"""Four lanes, sixteen registers, no fused multiply-add."""
AVX2 = Target({"kind": "llvm", "mcpu": "haswell"})
"""Eight lanes, sixteen registers, additions on the ports of multiply-adds."""
AVX512 = Target({"kind": "llvm", "mcpu": "znver4"})
"""Sixteen lanes, thirty-two registers, additions on ports of their own: products are paired."""

MODELS = {"sse2": SSE2, "avx2": AVX2, "avx512": AVX512}

_ESSENTIAL = frozenset({"avx2", "fma", "avx512f", "avx512bw", "avx512dq", "avx512vl"})
"""Features that make a model what it is; it can do without its others."""


def executes(target: Target) -> bool:
    """Whether this machine executes code for the target."""
    return not missing_features(required_features(target))


@contextmanager
def plans() -> Iterator[list[Lowered]]:
    """The programs that are lowered meanwhile: what a machine that does not execute them interprets."""
    noted: list[Lowered] = []

    def noting(*arguments: Any) -> Lowered:
        noted.append(lower(*arguments))
        return noted[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tvm_passes.pipeline.lower", noting)
        yield noted


def as_text(target: Target) -> str:
    """The target as a user writes it after `--target`."""
    return json.dumps(describe_target(target))


def _as_far_as_executed(model: Target) -> Target:
    """The model without the features this machine lacks, if it has all those that make the model."""
    missing = missing_features(required_features(model))
    if not missing or _ESSENTIAL & set(missing):
        return model
    return Target({**describe_target(model), "mattr": [f"-{feature}" for feature in missing]})


def _chosen() -> Target:
    name = os.environ.get(ENVIRONMENT, "host")
    if name == "host":
        return parse_target("host")
    if name not in MODELS:
        raise ValueError(f"{ENVIRONMENT} is '{name}'; it may be host, {', '.join(MODELS)}")
    return _as_far_as_executed(MODELS[name])


TARGET = _chosen()
"""What end-to-end tests compile for."""
ON_HOST = os.environ.get(ENVIRONMENT, "host") == "host"
"""Whether that is this machine."""
EXECUTED = executes(TARGET)
"""Whether they can also run it here."""
