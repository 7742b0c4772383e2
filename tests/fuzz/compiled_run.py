"""Programs compiled for this machine, linked, and run in this process."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tvm

from shiftc.linker import linker_for
from shiftc.runtime.threads import use_threads
from tests.fuzz.case import LANES, Case
from tvm_passes.lowered import Lowered
from tvm_passes.lowering.context import OperatorError
from tvm_passes.object_code import FunctionError, ObjectStore, compile_program

Array = np.ndarray[Any, Any]


class Objects(dict[str, bytes]):
    """Object code in memory."""

    put = dict.__setitem__


STORE: ObjectStore = Objects()


def runs_here(cpu: str) -> bool:
    """Whether this machine executes the instructions of a processor."""
    host = tvm.target.Target({"kind": "llvm", "mcpu": tvm.target.codegen.llvm_get_system_cpu()})
    features = {str(name) for name in tvm.target.codegen.llvm_get_cpu_features(host)}
    return {4: True, 8: "avx2" in features, 16: "avx512f" in features}[LANES[cpu]]


def run_compiled(lowered: Lowered, case: Case, batches: Sequence[Mapping[str, Array]]) -> list[Array] | None:
    """Runs the program on each of the inputs in turn, over one arena; the outputs of the last.

    It is compiled, but not run, for a machine whose instructions this one lacks: None. Raises OperatorError
    where a kernel has no code, as the compiler does.
    """
    try:
        code = compile_program(lowered.module, case.plan.target, STORE)
    except FunctionError as error:
        raise OperatorError(lowered.nodes_of(error.function)) from error
    if not runs_here(case.plan.cpu):
        return None
    arena = tvm.runtime.tensor(np.zeros(lowered.arena_bytes, np.uint8))
    constants = tvm.runtime.tensor(lowered.constants)
    outputs = [tvm.runtime.tensor(np.full(out.shape, np.nan, out.dtype)) for out in lowered.outputs]
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/model.so"
        code.export_library(file, fcompile=linker_for(platform.machine()))
        main = tvm.runtime.load_module(file)["main"]
    use_threads(lowered.threads)
    for batch in batches:
        inputs = [tvm.runtime.tensor(array) for array in batch.values()]
        main(arena, constants, *inputs, *outputs, 0, len(lowered.steps))
    return [out.numpy() for out in outputs]
