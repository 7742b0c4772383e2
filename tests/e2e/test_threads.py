"""Exported models on two threads, small as they are: steps of every kind, shared or beside each other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import shiftc

from .agreement import TOLERANCE, agreement, random_inputs

MODELS = Path(__file__).parents[1] / "models"
CHOSEN = (
    "activations",  # generic operators
    "as_mlp_group_norm",
    "concat_of_five",
    "cyclic_shift",  # halos that are filled
    "depthwise_strided",
    "one_hot_csc",
    "shufflenet_v2",  # halos that are cleared beside kernels
    "squeeze_excite_block",
    "temporal_shift",
)


@pytest.mark.usefixtures("threads_pay")
@pytest.mark.parametrize("name", CHOSEN)
def test_the_same_bits_as_on_one(name: str, tmp_path: Path) -> None:
    model = MODELS / f"{name}.dynamo.onnx"
    (tmp_path / "one").mkdir()
    alone = shiftc.load(agreement(model, tmp_path / "one").artifact)
    together = agreement(model, tmp_path, threads=2)
    assert together.manifest.threads == 2
    assert together.error <= TOLERANCE

    def repeatedly(seed: int) -> None:
        """Sessions of their own run at once."""
        session = shiftc.load(together.artifact)
        inputs = random_inputs(session.signature, seed)
        expected = alone.run(inputs)
        for _ in range(20):
            for output, array in session.run(inputs).items():
                np.testing.assert_array_equal(array.view(np.int32), expected[output].view(np.int32))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(repeatedly, range(2)))
