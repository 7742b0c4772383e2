"""What tests of passes may count on."""

from __future__ import annotations

import pytest
import tvm
from tvm.ir import IRModule

from tests.passes.modules import Array, reference


@pytest.fixture
def verified_in_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever verifies passes runs modules in numpy, where TVM would compile every one of them."""

    def run_module(mod: IRModule, inputs: list[tvm.runtime.Tensor]) -> list[Array]:
        return reference(mod, [tensor.numpy() for tensor in inputs])

    monkeypatch.setattr("tvm_passes.verify.run_module", run_module)
