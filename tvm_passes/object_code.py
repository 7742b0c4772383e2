"""Program → object code: every function is an object file of its own, and a function met before is not
compiled again.

A kernel knows neither its callers nor other kernels: addresses are arguments. So its machine code depends
on nothing but its TIR, the target and the compiler, whose digest is the key under which an `ObjectStore`
keeps it. `main` calls kernels as C functions; the linker joins the files. Equal keys give equal bytes, so
a library is the same whether its objects were compiled or found.
Place: after lower.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import attrs
import tvm
import tvm_ffi
from tvm import tirx
from tvm.ir import Call, GlobalVar, IRModule
from tvm.target import codegen

import schedules
import schedules.pipeline
from schedules import claims, flat, gate_lookup, gates, machine, parallelism, piecewise, sharing

_PASSES = (schedules.pipeline, flat, gate_lookup, gates, piecewise, machine, sharing, claims, parallelism)
"""What our own passes below TIR are made of."""


class ObjectStore(Protocol):
    """Remembers object code by key; it may forget, but must not change a byte.

    Several threads ask at once.
    """

    def get(self, key: str) -> bytes | None:
        """What was put under the key, if it is still there."""

    def put(self, key: str, code: bytes) -> None:
        """Keep the code."""


@attrs.frozen
class ObjectCode:
    """The object files of a program by function, `main` first, and how many of them a store had.

    Linked together they are a library that exports
    `main(arena uint8[], constants uint8[], inputs..., outputs..., first, last)`.
    """

    files: Mapping[str, bytes]
    reused: int = 0

    def export_library(self, file: str, *, fcompile: Callable[..., object]) -> None:
        """Link with `fcompile(file, objects)`, as TVM's modules do."""
        with tempfile.TemporaryDirectory() as folder:
            paths = []
            for number, code in enumerate(self.files.values()):
                paths.append(f"{folder}/{number}.o")
                Path(paths[-1]).write_bytes(code)
            fcompile(file, paths)


class FunctionError(Exception):
    """A function that TVM does not compile; `function` is its name."""

    def __init__(self, function: str) -> None:
        super().__init__(f"no code for the function {function}")
        self.function = function


def compile_program(
    module: IRModule, target: tvm.target.Target, store: ObjectStore | None = None
) -> ObjectCode:
    """Compile every function of a lowered program that the store does not know, on all cores.

    Raises FunctionError.
    """
    functions = _separated(module)
    compiler = _compiler(target)

    def found_or_compiled(name: str) -> tuple[bytes, bool]:
        if store is None:
            return _compile(name, functions[name], target), False
        key = _key(compiler, functions[name])
        if (found := store.get(key)) is not None:
            return found, True
        code = _compile(name, functions[name], target)
        store.put(key, code)
        return code, False

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        results = dict(zip(functions, pool.map(found_or_compiled, functions), strict=True))
    files = {name: code for name, (code, _) in results.items()}
    return ObjectCode(files, sum(found for _, found in results.values()))


def _separated(module: IRModule) -> dict[str, tirx.PrimFunc]:
    """The functions by name, `main` first because it takes longest, each fit to be compiled alone."""
    functions = {gvar.name_hint: func for gvar, func in module.functions.items()}
    public = [name for name, func in functions.items() if "global_symbol" in func.attrs]
    return {
        **{name: _calling_symbols(functions[name]) for name in public},
        **{n: schedules.pipeline.exported(f, n) for n, f in functions.items() if n not in public},
    }


def _calling_symbols(func: tirx.PrimFunc) -> tirx.PrimFunc:
    """Calls of the module's functions become calls of C functions with their names."""

    def symbol(call: Call) -> Call:
        if not isinstance(call.op, GlobalVar):
            return call
        return tirx.call_extern("int32", call.op.name_hint, *call.args)

    return func.with_body(tvm_ffi.structural_map(func.body, (Call, symbol), order="post"))


def _compiler(target: tvm.target.Target) -> str:
    """All that shapes machine code besides a function."""
    passes = [inspect.getsource(module) for module in _PASSES]
    return repr((tvm.__version__, codegen.llvm_version_major(), str(target), *passes))


def _key(compiler: str, func: tirx.PrimFunc) -> str:
    return hashlib.sha256(f"{compiler}\n{tvm.ir.save_json(func)}".encode()).hexdigest()


def _compile(name: str, func: tirx.PrimFunc, target: tvm.target.Target) -> bytes:
    module = IRModule({GlobalVar(name): func})
    try:
        executable: Any = tvm.compile(module, target=target, tir_pipeline=schedules.PIPELINE_NAME)
    except Exception as error:  # of LLVM's or of TVM's, of many kinds
        raise FunctionError(name) from error
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "code.o"
        executable.mod.write_to_file(str(path))
        return path.read_bytes()
