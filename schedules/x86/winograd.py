"""The two transforms around the products of a Winograd convolution; see schedules/winograd.py.

    input:  v[i, b, t] = (Bᵀ d B)_i      d = the patch of tile t in block b
    output: y[o, t, j] = epilogue((Aᵀ m A)_j),  m_i = product i of tile t in block o

Both walk blocks and tiles and transform one patch of vectors at a time (`winograd_transform`). Products lie
in between as `[(m + 2)²][block][tile][lane]`, so that each of the (m + 2)² multiplications is an indexed
convolution over tiles.

There is nothing to decide: the code is straight-line, a patch is smaller than the first cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tvm.s_tir import Schedule
from tvm.tirx.script import builder as T

from schedules import epilogue
from schedules.applicability import refusal
from schedules.emit import UNBOUNDED, Buffers, address, emit
from schedules.machine import MachineParameters
from schedules.template import Decisions, Kernel, kernel_of
from schedules.workload import WinogradInput, WinogradOutput, Workload
from schedules.x86.lane_reduction import outer_loop
from schedules.x86.winograd_transform import form_of, transform


class WinogradInputTemplate:
    """Patches to products' operands."""

    kind = "winograd_input"
    version = 2

    def applies(self, workload: Workload, machine: MachineParameters) -> str | None:
        return refusal(workload, WinogradInput, "a Winograd input transform")

    def defaults(self, workload: WinogradInput, machine: MachineParameters, threads: int) -> Decisions:
        return {"threads": threads}

    def candidates(
        self, workload: WinogradInput, machine: MachineParameters, threads: int
    ) -> Mapping[str, tuple[int, ...]]:
        return {"threads": tuple(sorted({1, threads}))}

    def schedule(self, workload: WinogradInput, decisions: Decisions, machine: MachineParameters) -> Kernel:
        form, lanes = form_of(workload.outputs), workload.lanes
        size, plane = form.size, workload.tiles * lanes

        def body(buffers: Buffers) -> None:
            with T.serial(workload.blocks) as b, outer_loop(workload.tiles, decisions["threads"] > 1) as t:

                def read(r: int, j: int, v: Any) -> Any:
                    displacement = r * workload.row_stride + j * workload.column_stride
                    return buffers["x"][address(buffers["xo"][b], buffers["xp"][t], displacement, v)]

                def write(i: int, j: int, v: Any, value: Any) -> None:
                    at = address((i * size + j) * workload.blocks * plane, b * plane, t * lanes, v)
                    T.buffer_store(buffers["y"], value, [at])

                transform(form.patch, lanes, read, write, range(size * size))

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
    version = 2

    def applies(self, workload: Workload, machine: MachineParameters) -> str | None:
        return refusal(workload, WinogradOutput, "a Winograd output transform")

    def defaults(self, workload: WinogradOutput, machine: MachineParameters, threads: int) -> Decisions:
        return {"threads": threads}

    def candidates(
        self, workload: WinogradOutput, machine: MachineParameters, threads: int
    ) -> Mapping[str, tuple[int, ...]]:
        return {"threads": tuple(sorted({1, threads}))}

    def schedule(self, workload: WinogradOutput, decisions: Decisions, machine: MachineParameters) -> Kernel:
        form, lanes, outputs = form_of(workload.outputs), workload.lanes, workload.outputs
        size, plane = form.size, workload.tiles * lanes
        pixels = workload.tiles * outputs * outputs

        def body(buffers: Buffers) -> None:
            with T.serial(workload.blocks) as o, outer_loop(workload.tiles, decisions["threads"] > 1) as t:

                def read(r: int, j: int, v: Any) -> Any:
                    product = (r * size + j) * workload.blocks * plane
                    return buffers["x"][address(product, o * plane, t * lanes, v)]

                def write(i: int, j: int, v: Any, value: Any) -> None:
                    at = epilogue.Position(o, t * (outputs * outputs) + i * outputs + j, v, lanes)
                    value = epilogue.apply(workload.epilogue, value, buffers, at)
                    y = address(buffers["yo"][at.block], buffers["yp"][at.pixel], v)
                    T.buffer_store(buffers["y"], value, [y])

                # The first pixel last: pixels beyond the plane are written over it before.
                transform(form.product, lanes, read, write, reversed(range(outputs * outputs)))

        parameters = {
            "x": ("float32", UNBOUNDED),
            "yo": ("int32", workload.blocks),
            "yp": ("int32", pixels),
            "y": ("float32", UNBOUNDED),
            **epilogue.parameters(workload.epilogue, workload.blocks, lanes, pixels),
        }
        return _kernel(self.kind, workload, decisions, parameters, body)


def _kernel(
    kind: str, workload: Any, decisions: Decisions, parameters: dict[str, tuple[str, int]], body: Any
) -> Kernel:
    shape = f"{workload.outputs}x{workload.outputs}_{workload.blocks * workload.lanes}x{workload.tiles}"
    return kernel_of(
        kind,
        shape,
        workload,
        decisions,
        lambda: Schedule(emit(parameters, body)).mod["main"],
        parameters,
    )
