"""The two transforms around the products of a Winograd convolution; see schedules/winograd.py.

    input:  v[i, b, t] = (Bᵀ d B)_i      d = the patch of tile t in block b
    output: y[o, t, j] = epilogue((Aᵀ m A)_j),  m_i = product i of tile t in block o

Both walk blocks and tiles and transform one patch of vectors at a time, columns first; the half-way
result stays on the stack. Products lie in between as `[(m + 2)²][block][tile][lane]`, so that each of the
(m + 2)² multiplications is an indexed convolution over tiles.

There is nothing to decide: the code is straight-line, a patch is smaller than the first cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tvm import tirx
from tvm.s_tir import Schedule
from tvm.tirx.script import builder as T

from schedules import epilogue
from schedules.applicability import refusal
from schedules.emit import UNBOUNDED, Buffers, address, emit
from schedules.machine import MachineParameters
from schedules.template import Decisions, Kernel, ScheduleError, kernel_of
from schedules.winograd import BY_OUTPUTS, Matrix
from schedules.workload import WinogradInput, WinogradOutput, Workload
from schedules.x86.lane_reduction import outer_loop


def _combination(row: tuple[float, ...], terms: list[Any]) -> Any:
    """sum_k row[k] * terms[k], without what is multiplied by 0 or 1."""
    total = None
    for factor, term in zip(row, terms, strict=True):
        if factor == 0:
            continue
        if total is not None and abs(factor) == 1:
            total = total + term if factor > 0 else total - term
            continue
        scaled = term if factor == 1 else term * tirx.FloatImm("float32", factor)
        total = scaled if total is None else total + scaled
    return total


def _columns(matrix: Matrix, size: int, lanes: int, half_way: Any, read: Any) -> None:
    """half_way[i, j] = sum_r matrix[i, r] * read(r, j), a vector each."""
    for j in range(size):
        for i, row in enumerate(matrix):
            with T.vectorized(lanes) as v:
                T.buffer_store(half_way, _combination(row, [read(r, j, v) for r in range(size)]), [i, j, v])


class WinogradInputTemplate:
    """Patches to products' operands."""

    kind = "winograd_input"
    version = 1

    def applies(self, workload: Workload, machine: MachineParameters) -> str | None:
        return refusal(workload, WinogradInput, "a Winograd input transform")

    def defaults(self, workload: WinogradInput, machine: MachineParameters, threads: int) -> Decisions:
        return {"threads": threads}

    def candidates(
        self, workload: WinogradInput, machine: MachineParameters, threads: int
    ) -> Mapping[str, tuple[int, ...]]:
        return {"threads": tuple(sorted({1, threads}))}

    def schedule(self, workload: WinogradInput, decisions: Decisions, machine: MachineParameters) -> Kernel:
        form, lanes = _form(workload.outputs), workload.lanes
        size, plane = form.size, workload.tiles * lanes

        def body(buffers: Buffers) -> None:
            half_way = T.sblock_alloc_buffer((size, size, lanes), "float32", scope="local")
            with T.serial(workload.blocks) as b, outer_loop(workload.tiles, decisions["threads"] > 1) as t:

                def read(r: int, j: int, v: Any) -> Any:
                    displacement = r * workload.row_stride + j * workload.column_stride
                    return buffers["x"][address(buffers["xo"][b], buffers["xp"][t], displacement, v)]

                _columns(form.patch, size, lanes, half_way, read)
                for i in range(size):
                    for j, row in enumerate(form.patch):
                        with T.vectorized(lanes) as v:
                            value = _combination(row, [half_way[i, c, v] for c in range(size)])
                            at = address((i * size + j) * workload.blocks * plane, b * plane, t * lanes, v)
                            T.buffer_store(buffers["y"], value, [at])

        parameters = {
            "x": ("float32", UNBOUNDED),
            "xo": ("int32", workload.blocks),
            "xp": ("int32", workload.tiles),
            "y": ("float32", UNBOUNDED),
        }
        return _kernel(self.kind, workload, decisions, parameters, body)


class WinogradOutputTemplate:
    """Products to outputs."""

    kind = "winograd_output"
    version = 1

    def applies(self, workload: Workload, machine: MachineParameters) -> str | None:
        return refusal(workload, WinogradOutput, "a Winograd output transform")

    def defaults(self, workload: WinogradOutput, machine: MachineParameters, threads: int) -> Decisions:
        return {"threads": threads}

    def candidates(
        self, workload: WinogradOutput, machine: MachineParameters, threads: int
    ) -> Mapping[str, tuple[int, ...]]:
        return {"threads": tuple(sorted({1, threads}))}

    def schedule(self, workload: WinogradOutput, decisions: Decisions, machine: MachineParameters) -> Kernel:
        form, lanes, outputs = _form(workload.outputs), workload.lanes, workload.outputs
        size, plane = form.size, workload.tiles * lanes
        pixels = workload.tiles * outputs * outputs

        def body(buffers: Buffers) -> None:
            half_way = T.sblock_alloc_buffer((outputs, size, lanes), "float32", scope="local")
            with T.serial(workload.blocks) as o, outer_loop(workload.tiles, decisions["threads"] > 1) as t:

                def read(r: int, j: int, v: Any) -> Any:
                    product = (r * size + j) * workload.blocks * plane
                    return buffers["x"][address(product, o * plane, t * lanes, v)]

                _columns(form.product, size, lanes, half_way, read)
                # The first pixel last: pixels beyond the plane are written over it before.
                for pixel in reversed(range(outputs * outputs)):
                    i, j = divmod(pixel, outputs)
                    with T.vectorized(lanes) as v:
                        value = _combination(form.product[j], [half_way[i, c, v] for c in range(size)])
                        at = epilogue.Position(o, t * (outputs * outputs) + pixel, v, lanes)
                        value = epilogue.apply(workload.epilogue, value, buffers, at)
                        y = address(buffers["yo"][at.block], buffers["yp"][at.pixel], v)
                        T.buffer_store(buffers["y"], value, [y])

        parameters = {
            "x": ("float32", UNBOUNDED),
            "yo": ("int32", workload.blocks),
            "yp": ("int32", pixels),
            "y": ("float32", UNBOUNDED),
            **epilogue.parameters(workload.epilogue, workload.blocks, lanes, pixels),
        }
        return _kernel(self.kind, workload, decisions, parameters, body)


def _form(outputs: int) -> Any:
    if outputs not in BY_OUTPUTS:
        raise ScheduleError(f"no Winograd form with {outputs} x {outputs} outputs")
    return BY_OUTPUTS[outputs]


def _kernel(
    kind: str, workload: Any, decisions: Decisions, parameters: dict[str, tuple[str, int]], body: Any
) -> Kernel:
    shape = f"{workload.outputs}x{workload.outputs}_{workload.blocks * workload.lanes}x{workload.tiles}"
    return kernel_of(
        kind,
        shape,
        workload,
        decisions,
        Schedule(emit(parameters, body)).mod["main"],
        parameters,
    )
