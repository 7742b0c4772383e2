"""A loaded network: `load` verifies an artifact, `Session.run` executes it."""

from __future__ import annotations

import math
import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import tvm_ffi

from shiftc.artifact import OpenArtifact, check_machine, opened
from shiftc.errors import ArtifactTooLargeError, SessionClosedError
from shiftc.manifest import CONSTANTS, LIBRARY, Manifest, Signature
from shiftc.runtime.element_types import dtype_named
from shiftc.runtime.inputs import InputSlot, check_names
from shiftc.runtime.library import check_versions, load_entry
from shiftc.runtime.limits import check_memory
from shiftc.runtime.memory import aligned_empty, aligned_zeros
from shiftc.runtime.outputs import OutputSlot, check_outputs
from shiftc.runtime.profile import StepTime, time_steps
from shiftc.runtime.thread_choice import ThreadChoice
from shiftc.runtime.threads import (
    AWAKE_SECONDS,
    check_affinity,
    has_lost_pool,
    in_another_thread,
    use_threads,
)

Result = TypeVar("Result")


def load(path: str | os.PathLike[str], affinity: Sequence[int] = ()) -> Session:
    """Loads the artifact at `path`.

    affinity: the number of a core for each of the program's threads. Whoever calls `run` is the first
              thread, and stays bound to the first core. Without, workers have cores of their own and
              the calling thread is free.

    Raises AffinityError, or an ArtifactError: it is no artifact, is damaged, is of another version, was
    compiled for another processor, or needs more memory than there is.
    """
    return Session(Path(path), affinity)


class Session:
    """One network with a workspace of its own.

    Sessions are independent: use one per thread for speed. A session shared by threads gives right answers,
    one call at a time. After a fork, parent and child have each their own. What stands at the artifact's path
    later does not matter to it.
    """

    def __init__(self, path: Path, affinity: Sequence[int] = ()) -> None:
        with opened(path) as artifact:
            manifest = artifact.manifest
            check_versions(path, manifest)
            check_machine(path, manifest)
            check_memory(path, _needed(manifest))
            try:
                self._constants = _constants(artifact)
                self._library, self._main = load_entry(path / LIBRARY, artifact.read_library())
                self._arena = aligned_zeros(manifest.arena_bytes)
                self._slots = {spec.name: InputSlot(spec) for spec in manifest.signature.inputs}
                self._outputs = {spec.name: OutputSlot(spec) for spec in manifest.signature.outputs}
            except MemoryError as error:
                raise ArtifactTooLargeError(
                    f"'{path}' needs more memory than this process can have"
                ) from error
        self.manifest: Manifest = manifest
        self._workspace: tuple[Any, ...] = (
            tvm_ffi.from_dlpack(self._arena),
            tvm_ffi.from_dlpack(self._constants),
        )
        self._input_names = tuple(self._slots)
        self._output_tensors: tuple[Any, ...] = (
            *(slot.tensor for slot in self._outputs.values()),
            *(slot.rows for slot in self._outputs.values() if slot.rows is not None),
        )
        self._steps = len(manifest.kernels)
        self._threads = manifest.threads
        self._choice = ThreadChoice(manifest.threads)
        self._affinity = check_affinity(affinity, manifest.threads) if affinity else ()
        self._ended = -math.inf  # seconds, when the last run did
        self._lock = threading.Lock()
        self._closed = False
        self._torn = False  # the workspace is as a run left it that did not end
        _sessions.add(self)

    @property
    def signature(self) -> Signature:
        """Names, shapes and dtypes of the inputs and outputs."""
        return self.manifest.signature

    @property
    def threads(self) -> int:
        """On how many threads runs go now that follow each other: the program's, or fewer while something
        else takes its cores."""
        return self._choice.threads

    @property
    def runs_on_threads(self) -> dict[int, int]:
        """How many such runs there were on each number of threads."""
        return self._choice.runs

    def run(
        self,
        inputs: Mapping[str, npt.ArrayLike],
        outputs: Mapping[str, npt.NDArray[Any]] | None = None,
    ) -> dict[str, npt.NDArray[Any]]:
        """Executes the network; returns an array for every output, by name.

        inputs:  with the signature's names, shapes and dtypes; nothing is converted, and nothing is written
                 to them. Arrays made by `shiftc.runtime.aligned_empty` are read in place, others are copied
                 first.
        outputs: arrays that receive outputs of these names and are returned, with the signature's shapes and
                 dtypes. They may share memory with inputs, but not with each other. The other outputs are new
                 arrays. Nothing is written to them unless the run succeeds.

        An output whose size depends on data is always a new array, of as many rows as there are.

        Raises an InputError, an OutputArrayError, ArtifactTooLargeError where its threads cannot be started,
        or SessionClosedError.
        """
        with self._lock:
            self._check_open()
            if outputs is not None:
                check_outputs(outputs, self._outputs)
            tensors = self._take(inputs)
            self._run_on_some(partial(self._main, *tensors, 0, self._steps))
            given = outputs or {}
            return {name: slot.give(given.get(name)) for name, slot in self._outputs.items()}

    def profile(self, inputs: Mapping[str, npt.ArrayLike], repeat: int = 10) -> tuple[StepTime, ...]:
        """Median time of every step over `repeat` passes through the program, on `threads` threads.

        Raises what `run` raises.
        """
        with self._lock:
            self._check_open()
            call = partial(self._main, *self._take(inputs))
            kernels = self.manifest.kernels
            return self._execute(lambda: time_steps(call, kernels, repeat), self.threads)

    def close(self) -> None:
        """Gives the memory back; a run under way ends first. Afterwards the session cannot run."""
        with self._lock:
            self._closed = True
            self._main = self._library = None
            self._workspace = ()
            self._output_tensors = ()
            self._slots, self._outputs = {}, {}
            self._arena = self._constants = aligned_empty((0,), np.uint8)

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise SessionClosedError("the session is closed")
        if self._torn:
            self._arena.fill(0)
            self._torn = False

    def _execute(self, call: Callable[[], Result], threads: int) -> Result:
        if has_lost_pool():
            return in_another_thread(partial(self._execute, call, threads))
        use_threads(threads, self._affinity, self._threads)
        return call()

    def _run_on_some(self, call: Callable[[], object]) -> None:
        """Call on as many threads as is fastest now; on one after a pause in which others fell asleep, if it
        is not worth waking them."""
        if self._threads == 1:
            self._execute(call, 1)
            return
        began = time.perf_counter()
        paused = self.manifest.while_awake and began - self._ended > AWAKE_SECONDS
        self._execute(call, 1 if paused else self._choice.threads)
        self._ended = time.perf_counter()
        if not paused:
            self._choice.took(self._ended - began)

    def _take(self, inputs: Mapping[str, npt.ArrayLike]) -> tuple[Any, ...]:
        """The tensors of a call, in the order of the program's parameters."""
        check_names(inputs, self._input_names)
        taken = [slot.take(inputs[name]) for name, slot in self._slots.items()]
        return (*self._workspace, *taken, *self._output_tensors)

    def _after_fork(self) -> None:
        """In the child: nobody holds the lock any more, and nobody ends the run that was under way."""
        if self._lock.locked():
            self._lock = threading.Lock()
            self._torn = True


_sessions: weakref.WeakSet[Session] = weakref.WeakSet()


def _after_fork() -> None:
    for session in tuple(_sessions):
        session._after_fork()


os.register_at_fork(after_in_child=_after_fork)


def _constants(artifact: OpenArtifact) -> npt.NDArray[np.uint8]:
    constants: npt.NDArray[np.uint8] = aligned_empty((artifact.manifest.files[CONSTANTS].size,), np.uint8)
    artifact.read_constants(constants.data)
    return constants


def _needed(manifest: Manifest) -> int:
    """Bytes of all that a session keeps in memory."""
    files = sum(file.size for file in manifest.files.values())
    specs = (*manifest.signature.inputs, *manifest.signature.outputs)
    return (
        files
        + manifest.arena_bytes
        + sum(math.prod(spec.shape) * dtype_named(spec.dtype).itemsize for spec in specs)
    )
