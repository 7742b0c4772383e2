"""What every test may count on."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from shiftc.kernel_cache import ENVIRONMENT

# Examples take as long as the machine has time; a deadline would make tests depend on its load.
settings.register_profile("shiftc", deadline=None)
settings.load_profile("shiftc")


@pytest.fixture
def threads_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs have the threads that are asked for, however small they are."""
    monkeypatch.setattr("tvm_passes.lower.threads_pay", lambda *_: True)


@pytest.fixture(autouse=True)
def cores_as_they_were() -> Iterator[None]:
    """A test that leaves its process on fewer cores fails: the next one would compile and run for those."""
    before = os.sched_getaffinity(0)
    yield
    after = os.sched_getaffinity(0)
    os.sched_setaffinity(0, before)
    assert after == before


@pytest.fixture(scope="session", autouse=True)
def kernel_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Kernels are kept between tests, of all workers of a run, and nowhere else."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ENVIRONMENT, str(folder / "kernels"))
        yield
