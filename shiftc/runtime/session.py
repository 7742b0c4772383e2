"""A loaded network: `load` verifies an artifact, `Session.run` executes it."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm_ffi

from shiftc.artifact import CONSTANTS, LIBRARY, check_machine, read_manifest, verify_file
from shiftc.errors import ArtifactCorruptedError
from shiftc.manifest import Manifest, Signature
from shiftc.runtime.inputs import InputSlot, check_names
from shiftc.runtime.library import check_versions, load_entry
from shiftc.runtime.memory import aligned_empty, aligned_zeros
from shiftc.runtime.profile import StepTime, time_steps
from shiftc.runtime.threads import AWAKE_SECONDS, check_affinity, use_threads


def load(path: str | os.PathLike[str], affinity: Sequence[int] = ()) -> Session:
    """Loads the artifact at `path`.

    affinity: the number of a core for each of the program's threads. Whoever calls `run` is the first
              thread, and stays bound to the first core. Without, workers have cores of their own and
              the calling thread is free.

    Raises AffinityError, or an ArtifactError: it is no artifact, is damaged, is of another version, or was
    compiled for another processor.
    """
    return Session(Path(path), affinity)


class Session:
    """One network with a workspace of its own.

    Sessions are independent: use one per thread for speed. A session shared by threads gives right
    answers, one call at a time.
    """

    def __init__(self, path: Path, affinity: Sequence[int] = ()) -> None:
        manifest = read_manifest(path)
        check_versions(path, manifest)
        check_machine(path, manifest)
        self.manifest: Manifest = manifest
        self._constants = _read_constants(path / CONSTANTS, manifest)
        _verify_library(path / LIBRARY, manifest)
        self._library, self._main = load_entry(path / LIBRARY)
        self._arena = aligned_zeros(manifest.arena_bytes)
        self._workspace = (tvm_ffi.from_dlpack(self._arena), tvm_ffi.from_dlpack(self._constants))
        self._slots = {spec.name: InputSlot(spec) for spec in self.signature.inputs}
        self._input_names = tuple(self._slots)
        self._outputs = {spec.name: aligned_empty(spec.shape, spec.dtype) for spec in self.signature.outputs}
        self._output_tensors = tuple(tvm_ffi.from_dlpack(array) for array in self._outputs.values())
        self._steps = len(manifest.kernels)
        self._threads = manifest.threads
        self._affinity = check_affinity(affinity, manifest.threads) if affinity else ()
        self._ended = -math.inf  # seconds, when the last run did
        self._lock = threading.Lock()

    @property
    def signature(self) -> Signature:
        """Names, shapes and dtypes of the inputs and outputs."""
        return self.manifest.signature

    def run(self, inputs: Mapping[str, npt.ArrayLike]) -> dict[str, npt.NDArray[Any]]:
        """Executes the network; returns a new array for every output, by name.

        Inputs must have the signature's names, shapes and dtypes; nothing is converted. Arrays made by
        `shiftc.runtime.aligned_empty` are read in place, others are copied first.

        Raises InputNameError, InputShapeError or InputDtypeError.
        """
        with self._lock:
            tensors = self._take(inputs)
            use_threads(self._threads_now(), self._affinity, self._threads)
            self._main(*tensors, 0, self._steps)
            self._ended = time.perf_counter()
            return {name: array.copy() for name, array in self._outputs.items()}

    def profile(self, inputs: Mapping[str, npt.ArrayLike], repeat: int = 10) -> tuple[StepTime, ...]:
        """Median time of every step over `repeat` passes through the program."""
        with self._lock:
            tensors = self._take(inputs)
            use_threads(self._threads, self._affinity)
            return time_steps(partial(self._main, *tensors), self.manifest.kernels, repeat)

    def _threads_now(self) -> int:
        """The program's; one after a pause in which others fell asleep, if it is not worth waking them."""
        paused = self.manifest.while_awake and time.perf_counter() - self._ended > AWAKE_SECONDS
        return 1 if paused else self._threads

    def _take(self, inputs: Mapping[str, npt.ArrayLike]) -> tuple[Any, ...]:
        """The tensors of a call, in the order of the program's parameters."""
        check_names(inputs, self._input_names)
        taken = [slot.take(inputs[name]) for name, slot in self._slots.items()]
        return (*self._workspace, *taken, *self._output_tensors)


def _read_constants(path: Path, manifest: Manifest) -> npt.NDArray[np.uint8]:
    try:
        with path.open("rb") as file:
            constants = aligned_zeros(os.fstat(file.fileno()).st_size)
            file.readinto(constants.data)
    except OSError as error:
        raise ArtifactCorruptedError(f"'{path}' cannot be read: {error.strerror}") from error
    verify_file(path, manifest, constants.data)
    return constants


def _verify_library(path: Path, manifest: Manifest) -> None:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ArtifactCorruptedError(f"'{path}' cannot be read: {error.strerror}") from error
    verify_file(path, manifest, content)
