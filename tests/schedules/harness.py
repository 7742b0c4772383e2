"""Runs one kernel on numpy arrays, through a public program of a single step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import tvm
from numpy.typing import NDArray
from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from schedules import PIPELINE_NAME, Decisions, Kernel
from schedules.claims import NO_LEDGER, Ledgers
from schedules.sharing import tasks_of
from tests.machines import AVX2, AVX512, ON_HOST, SSE2, TARGET, executes

Array = NDArray[Any]


def host_targets() -> list[tvm.target.Target]:
    """What kernels are compiled for: the target that was asked for, or the widest models executed here."""
    if not ON_HOST:
        return [TARGET]
    return executed_targets()


def executed_targets() -> list[tvm.target.Target]:
    """Models that this machine executes, the widest first."""
    return [model for model in (AVX512, AVX2) if executes(model)] or [SSE2]


def indexed_conv_decisions(
    pixel_tile: int,
    block_tile: int,
    unroll: int = 1,
    panel: int = 1,
    *,
    chunk: int = 64,
    x_tiles: int = 1,
    k_panels: int = 1,
    threads: int = 1,
) -> Decisions:
    """Of an indexed convolution that fetches nothing and runs on one thread, unless told otherwise."""
    return {
        "pixel_tile": pixel_tile,
        "block_tile": block_tile,
        "unroll": unroll,
        "panel": panel,
        "chunk": chunk,
        "x_tiles": x_tiles,
        "k_panels": k_panels,
        "threads": threads,
    }


def wrap(func: tirx.PrimFunc, arrays: Sequence[Array], only: int | None = None) -> tvm.IRModule:
    """A module whose `main` takes `arrays` as tensors and hands their addresses to `func`.

    For every task, or the one whose number is `only`.
    """
    callee = tvm.ir.GlobalVar("kernel")
    with IRBuilder() as builder, T.prim_func(False, s_tir=True):
        T.func_name("main")
        T.func_attr({"global_symbol": "main"})
        handles = [T.arg(f"a{i}", T.handle()) for i in range(len(arrays))]
        buffers = [
            T.match_buffer(handle, array.shape, str(array.dtype))
            for handle, array in zip(handles, arrays, strict=True)
        ]
        pointers = [T.address_of(buffer[0]) for buffer in buffers]
        if tasks_of(func) == 1:
            T.evaluate(tvm.ir.Call(callee, pointers, ret_ty="int32"))
        else:
            # The last one first: none may wait for another.
            for task in reversed(range(tasks_of(func))) if only is None else [only]:
                ledgers = Ledgers(tasks_of(func), lambda further: pointers[0])
                sharing = ledgers.arguments(tirx.IntImm("int32", task), NO_LEDGER, 0)
                T.evaluate(tvm.ir.Call(callee, [*pointers, *sharing], ret_ty="int32"))
    return tvm.IRModule({callee: func, tvm.ir.GlobalVar("main"): builder.get()})


def aligned(array: Array) -> Array:
    """A flat copy that starts at a multiple of 64 bytes."""
    raw = np.zeros(array.nbytes + 64, np.uint8)
    start = -raw.ctypes.data % 64
    copy = raw[start : start + array.nbytes].view(array.dtype)
    copy[:] = array.ravel()
    return copy


def compile_call(
    func: tirx.PrimFunc, arrays: Sequence[Array], target: tvm.target.Target, only: int | None = None
) -> tuple[Callable[[], None], list[Any], Any]:
    """(call once, tensors, executable)."""
    copies = [aligned(array) for array in arrays]
    executable = tvm.compile(wrap(func, copies, only), target=target, tir_pipeline=PIPELINE_NAME)
    tensors = [tvm.runtime.from_dlpack(copy) for copy in copies]
    main = executable["main"]

    def call() -> None:
        if not executes(target):
            pytest.skip("compiled, not executed: this machine lacks the target's instructions")
        main(*tensors)

    return call, tensors, executable


def run(
    kernel: Kernel, arguments: Mapping[str, Array], target: tvm.target.Target, only: int | None = None
) -> Array:
    """`y` after one call by every task, or by one."""
    arrays = [arguments[name] for name in kernel.parameters]
    call, tensors, _ = compile_call(kernel.func, arrays, target, only)
    call()
    return tensors[kernel.parameters.index("y")].numpy()
