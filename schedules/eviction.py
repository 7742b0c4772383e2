"""Puts memory out of all caches, on x86: what is read next comes from memory itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import tvm
import tvm_ffi
from numpy.typing import NDArray
from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from schedules.machine import machine_of
from schedules.pipeline import PIPELINE_NAME


def evict_module(size: int, line: int) -> tvm.IRModule:
    """`main(memory: uint8[size])`: its lines are written back and held by no cache, when it returns."""
    with IRBuilder() as builder, T.prim_func(False, s_tir=True):
        T.func_name("main")
        T.func_attr({"global_symbol": "main"})
        memory = T.match_buffer(T.arg("memory", T.handle()), (size,), "uint8")
        with T.sblock("root"):
            with T.serial(0, -(-size // line)) as number:
                at = tirx.address_of(memory[number * line])
                T.evaluate(tirx.call_llvm_intrin("void", "llvm.x86.sse2.clflush", at))
            T.evaluate(tirx.call_llvm_intrin("void", "llvm.x86.sse2.mfence"))
    return tvm.IRModule({tvm.ir.GlobalVar("main"): builder.get()})


def eviction_of(memory: NDArray[np.uint8], target: tvm.target.Target) -> Callable[[], object]:
    """A function that evicts `memory`. The target must be x86."""
    module = evict_module(memory.size, machine_of(target).cache_line)
    main = tvm.compile(module, target=target, tir_pipeline=PIPELINE_NAME)["main"]
    return partial(main, tvm_ffi.from_dlpack(memory))
