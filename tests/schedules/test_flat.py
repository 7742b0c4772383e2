"""What flattening may be left out for, and that it makes no difference there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tvm
from tvm import tirx
from tvm.ir.instrument import PassTimingInstrument
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

import schedules
import schedules.pipeline
from schedules.emit import Buffers, emit
from schedules.flat import is_flat
from schedules.workload import (
    Elementwise,
    EpilogueOp,
    GroupedWinograd,
    LayerNorm,
    PairedConv,
    WinogradInput,
    Workload,
)
from schedules.x86.registers import Vectors
from tests.schedules.harness import AVX512

_PARAMETERS = {"x": ("float32", 64), "y": ("float32", 64)}


def _copied(through: Callable[[], Any]) -> tirx.PrimFunc:
    """Copies 4 vectors of 8 by way of what `through` allocates."""

    def body(buffers: Buffers) -> None:
        memory = through()
        with T.serial(4) as i, T.vectorized(8) as v:
            T.buffer_store(memory, buffers["x"][i * 8 + v], [i, v])
        with T.serial(4) as i, T.vectorized(8) as v:
            T.buffer_store(buffers["y"], memory[i, v], [i * 8 + v])

    return emit(_PARAMETERS, body)


def test_vectors_in_registers_are_flat() -> None:
    def body(buffers: Buffers) -> None:
        vectors = Vectors(4, 8)
        with T.serial(4) as i, T.vectorized(8) as v:
            vectors.store(i, v, buffers["x"][i * 8 + v])
            T.buffer_store(buffers["y"], vectors[i, v], [i * 8 + v])

    assert is_flat(emit(_PARAMETERS, body))


@pytest.mark.parametrize("allocate", [T.alloc_buffer, T.sblock_alloc_buffer])
def test_two_dimensions_are_not_flat(allocate: Callable[..., Any]) -> None:
    assert not is_flat(_copied(lambda: allocate((4, 8), "float32", scope="local")))


def test_a_view_that_begins_elsewhere_is_not_flat() -> None:
    def body(buffers: Buffers) -> None:
        view = T.decl_buffer((32,), "float32", data=buffers["x"].data, elem_offset=32)
        with T.serial(32) as i:
            T.buffer_store(buffers["y"], view[i], [i])

    assert not is_flat(emit(_PARAMETERS, body))


def test_bools_are_not_flat() -> None:
    assert not is_flat(emit({"x": ("bool", 8)}, lambda buffers: T.evaluate(buffers["x"][0])))


@pytest.mark.parametrize("shape", [(32,), (4, 8)])
def test_parameters_count(shape: tuple[int, ...]) -> None:
    with IRBuilder() as builder, T.prim_func(False, s_tir=True):
        T.func_name("main")
        x = T.match_buffer(T.arg("x", T.handle()), shape, "float32")
        with T.sblock("root"):
            T.buffer_store(x, T.float32(0), [0] * len(shape))
    assert is_flat(builder.get()) == (len(shape) == 1)


@pytest.mark.parametrize(
    "workload",
    [
        Elementwise(3, 16, 20, epilogue=(EpilogueOp("relu"),)),
        LayerNorm(40, 3, 16, 20, 1e-5),
        WinogradInput(2, 2, 16, 5, 4 * 16, 16),
        GroupedWinograd(2, 1, 1, 1, 16, 16, 8, 9, 4 * 16, 16),
        PairedConv(26, 2, 2, 16, 44, run=4, step=16),
    ],
    ids=lambda workload: type(workload).__name__,
)
def test_machine_code_is_the_same_without_flattening(
    workload: Workload, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    func = schedules.pipeline.exported(schedules.build(workload, AVX512).func, "kernel")

    def code() -> bytes:
        module = tvm.IRModule({tvm.ir.GlobalVar("kernel"): func})
        compiled: Any = tvm.compile(module, target=AVX512, tir_pipeline=schedules.PIPELINE_NAME)
        compiled.mod.write_to_file(str(tmp_path / "code.o"))
        return (tmp_path / "code.o").read_bytes()

    assert is_flat(func)
    without = code()
    monkeypatch.setattr(schedules.pipeline, "is_flat", lambda func: False)
    assert code() == without


def test_passes_may_be_timed() -> None:
    func = schedules.pipeline.exported(schedules.build(Elementwise(3, 16, 20), AVX512).func, "kernel")
    timing = PassTimingInstrument()
    with tvm.transform.PassContext(instruments=[timing]):
        module = tvm.IRModule({tvm.ir.GlobalVar("kernel"): func})
        tvm.compile(module, target=AVX512, tir_pipeline=schedules.PIPELINE_NAME)
        assert "_adapt" in timing.render()
