"""The generic schedule computes what the unscheduled operator does, alone and in threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tvm
from tvm import relax, tirx

import schedules
from schedules.generic import schedule_generic
from tests.machines import SSE2
from tests.schedules.harness import compile_call, host_targets

TARGETS = [pytest.param(target, id=str(target.attrs["mcpu"])) for target in host_targets()]
Operator = Callable[..., Any]

OPERATORS: list[tuple[str, Operator, list[tuple[int, ...]]]] = [
    ("softmax", relax.op.nn.softmax, [(40, 1000)]),
    ("gelu", relax.op.nn.gelu, [(3, 7, 64)]),
    ("matmul", relax.op.matmul, [(4, 2, 10, 33), (4, 2, 33, 48)]),
    ("layer_norm", lambda x, g, b: relax.op.nn.layer_norm(x, g, b, axes=[-1]), [(5, 11, 96), (96,), (96,)]),
    ("transpose", lambda x: relax.op.permute_dims(x, [0, 2, 3, 1]), [(1, 48, 7, 7)]),
    ("concat", lambda x, y: relax.op.concat([x, y], 1), [(1, 48, 7, 7), (1, 16, 7, 7)]),
    ("resize", lambda x: relax.op.image.resize2d(x, (14, 14)), [(1, 8, 7, 7)]),
    ("conv", lambda x, w: relax.op.nn.conv2d(x, w, padding=1), [(1, 16, 14, 14), (32, 16, 3, 3)]),
    ("mean", lambda x: relax.op.mean(x, axis=[2, 3]), [(1, 16, 14, 14)]),
    (
        "group_norm",
        lambda x, g, b: relax.op.nn.group_norm(x, g, b, 4, 1, [2, 3]),
        [(1, 16, 7, 7), (16,), (16,)],
    ),
    ("avg_pool", lambda x: relax.op.nn.avg_pool2d(x, (3, 3), padding=1), [(1, 16, 7, 7)]),
    ("argmax", lambda x: relax.op.argmax(x, 1), [(3, 16)]),
    ("broadcast_add", relax.op.add, [(1, 24, 40, 50), (24, 1, 1)]),
    ("tanh", relax.op.tanh, [(2, 3, 5, 13)]),
    ("scalar", relax.op.exp, [()]),
]


def legalized(operator: Operator, shapes: list[tuple[int, ...]]) -> tirx.PrimFunc:
    """The PrimFunc of one operator over float32 tensors."""
    builder = relax.BlockBuilder()
    inputs = [relax.Var(f"x{i}", relax.TensorType(shape, "float32")) for i, shape in enumerate(shapes)]
    with builder.function("main", inputs):
        with builder.dataflow():
            output = builder.emit_output(builder.emit(operator(*inputs)))
        builder.emit_func_output(output)
    module = relax.transform.LegalizeOps()(builder.get())
    (func,) = [func for func in module.functions.values() if isinstance(func, tirx.PrimFunc)]
    return func


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("operator", "shapes"), [case[1:] for case in OPERATORS], ids=[case[0] for case in OPERATORS]
)
def test_generic(
    target: tvm.target.Target, threads: int, operator: Operator, shapes: list[tuple[int, ...]]
) -> None:
    func = legalized(operator, shapes)
    rng = np.random.default_rng(0)
    arrays = [
        rng.standard_normal([int(extent) for extent in param.shape]).astype(str(param.ty.dtype))
        for param in func.params
    ]
    tensors = [tvm.runtime.tensor(array) for array in arrays]
    plain = tvm.compile(tvm.IRModule({"main": func.with_attr("global_symbol", "main")}), target=SSE2)
    plain["main"](*tensors)
    scheduled = schedule_generic(func, schedules.machine_of(target), threads)
    assert threads > 1 or "T.parallel" not in scheduled.script()
    call, outputs, _ = compile_call(scheduled, arrays, target)
    call()
    expected = tensors[-1].numpy()
    found = outputs[-1].numpy().reshape(expected.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-5)  # SSE2 rounds products and sums apart


def test_large_operators_share_threads() -> None:
    target = host_targets()[0]
    func = legalized(relax.op.add, [(1, 64, 112, 112), (64, 1, 1)])
    scheduled = schedule_generic(func, schedules.machine_of(target), 2).script()
    assert "T.parallel" in scheduled
    assert "T.vectorized" in scheduled


def test_parameters_are_raw_pointers_in_order() -> None:
    target = host_targets()[0]
    func = legalized(relax.op.add, [(4, 4), (4, 4)])
    scheduled = schedule_generic(func, schedules.machine_of(target), 1)
    assert [param.name for param in scheduled.params] == [param.name for param in func.params]
    assert all(isinstance(param.ty, tvm.ir.PointerType) for param in scheduled.params)


@pytest.mark.parametrize(("operator", "infinity"), [(relax.op.max, -np.inf), (relax.op.min, np.inf)])
@pytest.mark.parametrize("shape", [(4, 16), (3, 5)])
def test_extremes_of_infinities_alone_are_infinite(
    operator: Operator, infinity: float, shape: tuple[int, int]
) -> None:
    """TVM begins them at the largest finite number."""
    target = host_targets()[0]
    scheduled = schedule_generic(
        legalized(lambda x: operator(x, axis=1), [shape]), schedules.machine_of(target), 1
    )
    arrays = [np.full(shape, infinity, np.float32), np.zeros(shape[0], np.float32)]
    call, outputs, _ = compile_call(scheduled, arrays, target)
    call()
    np.testing.assert_array_equal(outputs[-1].numpy().ravel(), np.full(shape[0], infinity, np.float32))
