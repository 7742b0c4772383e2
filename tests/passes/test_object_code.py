"""Functions compiled one by one: what makes object code another, and what does not."""

from __future__ import annotations

import re

import pytest
import tvm
from tvm import relax
from tvm.ir import IRModule
from tvm.relax import op

import schedules.pipeline
from tests.machines import AVX2
from tests.passes.modules import conv, module, values
from tvm_passes.fuse import fuse
from tvm_passes.lower import lower
from tvm_passes.object_code import compile_program


class Objects(dict[str, bytes]):
    """Object code in memory."""

    put = dict.__setitem__


def _program(channels: int = 16, activation: bool = True) -> IRModule:
    """A convolution between two copies."""

    def body(emit: object, x: relax.Var) -> relax.Var:
        y = emit(conv(x, values(channels, 16, 1, 1)))
        return emit(op.nn.relu(y)) if activation else y

    return lower(fuse(module([(1, 16, 4, 4)], body)), AVX2, 1, {}).module


def test_main_is_first_and_every_kernel_has_a_file() -> None:
    program = _program()
    code = compile_program(program, AVX2)
    assert next(iter(code.files)) == "main"
    assert set(code.files) == {gvar.name_hint for gvar in program.get_global_vars()}
    assert all(content.startswith(b"\x7fELF") for content in code.files.values())


def test_equal_functions_are_compiled_once() -> None:
    store = Objects()
    first = compile_program(_program(), AVX2, store)
    again = compile_program(_program(), AVX2, store)
    assert (first.reused, again.reused) == (0, len(again.files))
    assert first.files == again.files == compile_program(_program(), AVX2).files


def test_networks_share_kernels() -> None:
    store = Objects()
    compile_program(_program(), AVX2, store)
    other = compile_program(_program(activation=False), AVX2, store)
    assert other.reused == len(other.files) - 2  # the convolution and `main` differ


def test_another_target_is_another_key() -> None:
    store = Objects()
    compile_program(_program(), AVX2, store)
    plain = tvm.target.Target({"kind": "llvm", "mcpu": "x86-64-v3"})
    assert compile_program(_program(), plain, store).reused == 0


def test_another_lowering_is_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Objects()
    compile_program(_program(), AVX2, store)
    monkeypatch.setattr("inspect.getsource", lambda module: f"# changed: {module.__name__}")
    assert compile_program(_program(), AVX2, store).reused == 0


def test_a_kernel_alone_is_not_the_librarys_entry() -> None:
    """TVM takes a function that is alone in its module for the entry, of which a library has one."""
    program = _program()
    kernel = next(gvar for gvar in program.get_global_vars() if gvar.name_hint != "main")
    func = schedules.pipeline.exported(program[kernel], "kernel")
    executable = tvm.compile(IRModule({"kernel": func}), target=AVX2, tir_pipeline=schedules.PIPELINE_NAME)
    text = executable.mod.inspect_source("ll")
    assert re.search(r"^define .*@kernel\(", text, re.MULTILINE)
    assert "__tvm_ffi_main" not in text
