"""The program: one function that runs a compiled network's steps in order over its arena.

`main(arena u8[], constants u8[], inputs..., outputs..., first i32, last i32)` calls, for every step i with
first <= i < last, its kernel with pointers into these memories. Running a range of steps is how a
network is profiled and inspected; running all of them costs no more than the branches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import tvm
from tvm import tirx
from tvm.ir import GlobalVar, IRModule
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from ..placement import Address
from .context import KernelCall

ENTRY = "main"


@attrs.frozen
class TensorType:
    """Shape and element type of an input or output of the program."""

    shape: tuple[int, ...]
    dtype: str


def build_program(
    calls: Sequence[KernelCall],
    arena_bytes: int,
    constant_bytes: int,
    inputs: Sequence[TensorType],
    outputs: Sequence[TensorType],
) -> IRModule:
    """The kernels, each once, and `main`."""
    symbols: dict[str, GlobalVar] = {}
    functions: dict[GlobalVar, tirx.PrimFunc] = {}
    for invocation in (i for call in calls for i in call.invocations):
        if invocation.symbol not in symbols:
            symbols[invocation.symbol] = GlobalVar(invocation.symbol)
            functions[symbols[invocation.symbol]] = invocation.func
    functions[GlobalVar(ENTRY)] = _entry(calls, symbols, arena_bytes, constant_bytes, inputs, outputs)
    return IRModule(functions)


def _entry(
    calls: Sequence[KernelCall],
    symbols: dict[str, GlobalVar],
    arena_bytes: int,
    constant_bytes: int,
    inputs: Sequence[TensorType],
    outputs: Sequence[TensorType],
) -> tirx.PrimFunc:
    with IRBuilder() as builder, T.prim_func(False, s_tir=True):
        T.func_name(ENTRY)
        T.func_attr({"global_symbol": ENTRY, "tirx.noalias": True})
        arena = _parameter("arena", TensorType((arena_bytes,), "uint8"))
        constants = _parameter("constants", TensorType((constant_bytes,), "uint8"))
        ins = [_parameter(f"input{i}", t) for i, t in enumerate(inputs)]
        outs = [_parameter(f"output{i}", t) for i, t in enumerate(outputs)]
        first, last = T.arg("first", T.int32()), T.arg("last", T.int32())

        def pointer(address: Address) -> Any:
            if address.region in ("arena", "constants"):
                memory = arena if address.region == "arena" else constants
                return T.address_of(memory[tirx.IntImm("int64", address.offset)])
            tensor = (ins if address.region == "input" else outs)[address.index]
            return T.address_of(tensor[tuple(tirx.IntImm("int64", 0) for _ in tensor.shape)])

        for number, call in enumerate(calls):
            with T.If(tirx.all(first <= number, number < last)), T.Then():
                for invocation in call.invocations:
                    arguments = [pointer(address) for address in invocation.arguments]
                    T.evaluate(tvm.ir.Call(symbols[invocation.symbol], arguments, ret_ty="int32"))
    return builder.get()


def _parameter(name: str, tensor: TensorType) -> Any:
    return T.arg(name, T.buffer(tuple(tirx.IntImm("int64", d) for d in tensor.shape), tensor.dtype))
