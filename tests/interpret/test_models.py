"""Exported models and small networks, planned for every machine model, touch nothing that they must not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from frontends import import_model
from tests.interpret.programs import BANDS, CHAINS, MACHINES, check_interpreted, planned
from tvm_passes.tiling import ANY_TILING, Tiling
from tvm_passes.verify import on_device, random_inputs, run_module

MODELS = Path(__file__).parents[1] / "models"
QUICK = ("as_mlp_group_norm", "shufflenet_v2", "temporal_shift")
"""Of every kind of stage, with wide halos, and with clips."""
STATIC = sorted(p.name.split(".")[0] for p in MODELS.glob("*.torchscript.onnx") if "dynamic" not in p.name)

pytestmark = pytest.mark.usefixtures("threads_pay")


ALL = ((1, ANY_TILING), (2, ANY_TILING), (1, CHAINS), (2, CHAINS), (2, BANDS))
"""Threads, and what is computed in tiles: as it is compiled, and with chains and bands forced."""


def check(name: str, machine: str, ways: Sequence[tuple[int, Tiling]]) -> None:
    """The model's programs touch nothing that they must not, and compute what TVM does."""
    module = import_model(MODELS / f"{name}.torchscript.onnx").module
    inputs = random_inputs(module, seed=0)
    expected = run_module(module, on_device(inputs))
    for threads, tiling in ways:
        check_interpreted(planned(module, machine, threads, tiling=tiling), inputs, expected)


@pytest.mark.parametrize(("name", "machine"), list(zip(QUICK, MACHINES, strict=True)))
def test_some_models(name: str, machine: str) -> None:
    check(name, machine, (ALL[0], ALL[3], ALL[4]))


@pytest.mark.slow
@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", STATIC)
def test_all_models(name: str, machine: str) -> None:
    check(name, machine, ALL)
