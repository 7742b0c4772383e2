"""Planned programs touch nothing that they must not, and compute what TVM does, whatever the machine."""

from __future__ import annotations

import pytest

from tests.interpret.programs import BANDS, CHAINS, MACHINES, check_interpreted, expected_of, planned
from tests.passes import test_lower, test_random_networks
from tests.passes.modules import module
from tvm_passes.tiling import NO_TILING

pytestmark = pytest.mark.usefixtures("threads_pay")
WAYS = [(1, NO_TILING), (2, NO_TILING), (1, CHAINS), (2, CHAINS), (2, BANDS)]
"""Threads, and what is computed in tiles."""


@pytest.mark.parametrize("body", test_lower.NETWORKS)
def test_stages_of_every_kind(body) -> None:
    mod = module([test_lower.SHAPE], body)
    inputs, expected = expected_of(mod)
    for machine in MACHINES:
        check_interpreted(planned(mod, machine), inputs, expected)


@pytest.mark.parametrize("machine", MACHINES)
def test_random_networks_in_chains_and_bands(machine: str) -> None:
    mod = test_random_networks.network(1)
    inputs, expected = expected_of(mod)
    for threads, tiling in WAYS:
        check_interpreted(planned(mod, machine, threads, tiling=tiling), inputs, expected)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 60))
def test_more_random_networks(seed: int) -> None:
    mod = test_random_networks.network(seed)
    inputs, expected = expected_of(mod)
    for machine in MACHINES:
        for threads, tiling in WAYS:
            check_interpreted(planned(mod, machine, threads, tiling=tiling), inputs, expected)
