"""Programs of several threads: the same bits as one thread, every time, and only where threads pay."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tvm
from tvm import relax

import tvm_passes.lower as lower_module
from schedules import machine_of
from schedules.sharing import ledgers_of
from shiftc.runtime.threads import use_threads
from tests.machines import AVX512
from tests.passes.modules import compiled, conv, entry_of, module, tensors
from tvm_passes.canonicalize import canonicalize
from tvm_passes.compiled import Compiled, KernelRecord
from tvm_passes.fuse import fuse
from tvm_passes.lower import lower
from tvm_passes.lowering.context import KernelCall
from tvm_passes.lowering.threads import help_pays

RANDOM = np.random.default_rng(3)
RUNS = 200


def weight(*shape: int) -> np.ndarray:
    return (RANDOM.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype("float32")


def _network(emit, x):
    """Winograd's, pointwise, depthwise and strided convolutions, pools, a matrix product, a softmax."""
    relu = relax.op.nn.relu
    x = emit(relu(emit(conv(x, WEIGHTS[0], 1))))
    x = emit(relax.op.add(emit(conv(x, WEIGHTS[1], 1)), x))
    x = emit(
        relax.op.add(emit(conv(x, WEIGHTS[6])), x)
    )  # over its operand, and with a tile that is left over
    y = emit(relu(emit(conv(x, WEIGHTS[2], 1, groups=64))))
    y = emit(
        relax.op.concat([emit(conv(y, WEIGHTS[3])), emit(relax.op.nn.max_pool2d(x, (3, 3), padding=1))], 1)
    )
    y = emit(relu(emit(conv(y, WEIGHTS[4], 1, strides=2))))
    y = emit(relax.op.mean(y, [2, 3]))
    return emit(relax.op.nn.softmax(emit(relax.op.matmul(y, relax.const(WEIGHTS[5])))))


WEIGHTS = [
    weight(*shape)
    for shape in (
        (64, 3, 3, 3),
        (64, 64, 3, 3),
        (64, 1, 3, 3),
        (48, 64, 1, 1),
        (96, 112, 3, 3),
        (96, 70),
        (64, 64, 1, 1),
    )
]
MODULE = module([(1, 3, 33, 31)], _network)


@pytest.fixture(scope="module", params=[False, True], ids=["keeping to shares", "helping each other"])
def programs(request: pytest.FixtureRequest) -> dict[int, Compiled]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lower_module, "help_pays", lambda *_: request.param)
        return {threads: compiled(MODULE, threads=threads) for threads in (1, 2, 3, 4)}


def _runner(
    program: Compiled, seed: int = 0, threads: int | None = None, stepwise: bool = False
) -> Callable[[], np.ndarray]:
    """Runs the program over an arena of its own; the bits of its output."""
    main = entry_of(program)
    arena = tvm.runtime.tensor(np.zeros(program.arena_bytes, np.uint8))
    inputs = [tvm.runtime.tensor(array) for array in tensors(MODULE, seed)]
    result = tvm.runtime.tensor(np.full((1, 70), np.nan, np.float32))
    constants, steps = tvm.runtime.tensor(program.constants), len(program.steps)

    def run() -> np.ndarray:
        use_threads(threads or program.threads)
        for first in range(steps if stepwise else 1):
            main(arena, constants, *inputs, result, first, first + 1 if stepwise else steps)
        return np.array(result.numpy().view(np.int32))

    return run


@pytest.mark.parametrize("threads", [2, 3, 4])
def test_the_same_bits_every_time(programs: dict[int, Compiled], threads: int) -> None:
    assert programs[threads].threads == threads
    assert "winograd_conv" in [step.kind for step in programs[threads].steps]
    expected = _runner(programs[1])()
    assert np.isfinite(expected.view(np.float32)).all()
    run = _runner(programs[threads])
    assert all(np.array_equal(run(), expected) for _ in range(RUNS))


def test_two_programs_at_once(programs: dict[int, Compiled]) -> None:
    def repeatedly(seed: int) -> bool:
        expected, run = _runner(programs[1], seed)(), _runner(programs[2], seed)
        return all(np.array_equal(run(), expected) for _ in range(RUNS))

    with ThreadPoolExecutor(2) as pool:
        assert all(pool.map(repeatedly, range(2)))


def test_fewer_threads_than_tasks(programs: dict[int, Compiled]) -> None:
    for threads in (1, 2, 3):
        np.testing.assert_array_equal(_runner(programs[4], threads=threads)(), _runner(programs[1])())


def test_single_steps_give_the_same_bits(programs: dict[int, Compiled]) -> None:
    np.testing.assert_array_equal(_runner(programs[2], stepwise=True)(), _runner(programs[1])())


@pytest.mark.parametrize("helps", [False, True])
def test_tasks_that_help_each_other_ask_for_the_round(helps: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lower_module, "help_pays", lambda *_: helps)
    lowered = lower(fuse(canonicalize(MODULE)), AVX512, 2, {})
    assert ("shiftc_round" in lowered.module["main"].script()) is helps
    assert any(ledgers_of(i.func) for call in lowered.calls for i in call.invocations)


def test_only_long_steps_are_worth_help() -> None:
    """Half a millisecond of work on a core, and a tenth of it."""
    machine = machine_of(AVX512)

    def helps(macs: int) -> bool:
        return help_pays(KernelCall(((),), KernelRecord("", "convolution", False, macs, 0, "")), 2, machine)

    assert helps(50_000_000) and not helps(1_000_000)


def test_tiny_networks_take_one_thread() -> None:
    mod = module([(1, 8, 6, 6)], lambda emit, x: emit(conv(x, weight(8, 8, 1, 1))))
    assert compiled(mod, threads=2).threads == 1


def test_small_programs_have_threads_while_these_are_awake_and_smaller_ones_have_one() -> None:
    """A millisecond of work, a tenth of it, and next to none."""

    def threads_of(depth: int, size: int) -> tuple[int, bool]:
        def body(emit, x):
            for _ in range(depth):
                x = emit(conv(x, weight(32, 32, 3, 3), 1))
            return x

        lowered = lower(fuse(canonicalize(module([(1, 32, size, size)], body))), AVX512, 2, {})
        return lowered.threads, lowered.while_awake

    assert threads_of(depth=10, size=28) == (2, False)
    assert threads_of(depth=1, size=28) == (2, True)
    assert threads_of(depth=1, size=2) == (1, False)


def test_one_thread_means_no_trace_of_tasks() -> None:
    script = lower(fuse(canonicalize(MODULE)), AVX512, 1, {}).module.script()
    assert "parallel" not in script
    assert "task" not in script
