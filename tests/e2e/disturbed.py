"""Sessions of two threads in several threads, on cores that are busy, held up at any instruction.

    python -m tests.e2e.disturbed --minutes 10

A signal whose handler sleeps holds up one thread, as a system that takes its core away does. What is asked is
that every answer has the bits that an undisturbed run gave, and that every run ends.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import platform
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest.mock import patch

import numpy as np

import shiftc
from shiftc.bench.contention import busy_cores
from shiftc.driver import compile_model
from shiftc.linker import linker_for
from shiftc.options import CompileOptions, ModelOptions
from shiftc.tensors import made_up

SESSIONS, THREADS = 4, 2
_LONGEST = 20e-3
"""Seconds that a thread is held up."""
_HANG = 120.0
"""Seconds after which a run that has not ended never will."""

_HANDLER = """
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#ifdef __cplusplus
extern "C" {
#endif
static long nanoseconds = 0;
static void hold(int number) { struct timespec rest = {0, nanoseconds}; nanosleep(&rest, 0); (void)number; }
void set_hold(long length) { nanoseconds = length; }
int install(int number) {
    struct sigaction action = {0};
    action.sa_handler = hold;
    action.sa_flags = SA_RESTART;
    return sigaction(number, &action, 0);
}
#ifdef __cplusplus
}
#endif
"""


@contextmanager
def _held_up(folder: Path, seed: int) -> Iterator[None]:
    """While the context is open, threads of this process are held up, any of them, again and again."""
    (folder / "hold.c").write_text(_HANDLER)
    linker_for(platform.machine())(str(folder / "hold.so"), [str(folder / "hold.c")])
    library, system = ctypes.CDLL(str(folder / "hold.so")), ctypes.CDLL(None)
    before = signal.getsignal(signal.SIGUSR1)
    assert library.install(signal.SIGUSR1) == 0
    ended, chance = threading.Event(), random.Random(seed)

    def disturb() -> None:
        while not ended.wait(chance.uniform(0, 5e-3)):
            own = threading.get_native_id()
            tasks = [int(path.name) for path in Path("/proc/self/task").iterdir()]
            others = [task for task in tasks if task != own]
            library.set_hold(ctypes.c_long(int(1e9 * chance.uniform(0, _LONGEST))))
            system.syscall(_TGKILL, os.getpid(), chance.choice(others), int(signal.SIGUSR1))

    disturber = threading.Thread(target=disturb)
    disturber.start()
    try:
        yield
    finally:
        ended.set()
        disturber.join()
        time.sleep(2 * _LONGEST)  # no signal is on its way any more
        signal.signal(signal.SIGUSR1, before)


_TGKILL = 234 if os.uname().machine == "x86_64" else 131
"""The number of the system call."""


def disturbed_runs(model: Path, folder: Path, seconds: float, seed: int) -> int:
    """How many runs there were, all with the right bits. Raises AssertionError for wrong ones or a hang."""
    with patch("tvm_passes.lower.threads_pay", lambda *_: True):
        compile_model(CompileOptions(ModelOptions(model, threads=THREADS), folder / "artifact"))
    sessions = [shiftc.load(folder / "artifact") for _ in range(SESSIONS)]
    assert sessions[0].manifest.threads == THREADS
    inputs = [made_up(sessions[0].signature.inputs, "random", number) for number in range(SESSIONS)]
    expected = [session.run(given) for session, given in zip(sessions, inputs, strict=True)]
    counts, problems, began = [0] * SESSIONS, list[str](), [0.0] * SESSIONS
    until = time.monotonic() + seconds

    def work(number: int) -> None:
        while time.monotonic() < until and not problems:
            began[number] = time.monotonic()
            outputs = sessions[number].run(inputs[number])
            if not all(np.array_equal(outputs[name], array) for name, array in expected[number].items()):
                problems.append(f"session {number}, run {counts[number]}: other bits")
            counts[number] += 1
        began[number] = np.inf

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(SESSIONS)]
    chance = random.Random(seed)
    with _held_up(folder, seed):
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            with busy_cores(chance.randint(0, len(os.sched_getaffinity(0)))):
                time.sleep(chance.uniform(0, 0.5))
            late = [
                number for number, start in enumerate(began) if start and time.monotonic() - start > _HANG
            ]
            assert not late, f"sessions {late} hang"
    assert not problems, problems
    assert all(counts)
    return sum(counts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", type=Path, help="default: shiftresnet20 of the zoo")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = options.model
        if model is None:
            import onnx

            from shiftc import zoo

            model = Path(folder) / "model.onnx"
            onnx.save(zoo.build("shiftresnet20", 1), str(model))
        with suppress(KeyboardInterrupt):
            runs = disturbed_runs(model, Path(folder), 60 * options.minutes, options.seed)
            print(f"{runs} runs, all with the right bits")
    return 0


if __name__ == "__main__":
    sys.exit(main())
