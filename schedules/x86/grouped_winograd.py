"""A grouped 3 x 3 convolution by Winograd's minimal filtering, in one kernel.

    V = Bᵀ d B        patches of a strip of tiles, for the input blocks of a cluster
    M_i = V_i k_i     every point's products: channels of the groups in a vector
    y = epilogue(Aᵀ M A)

A group sums over few channels, so its products are as much memory traffic as arithmetic: patches and products
of a *strip* of tiles stay in the first cache between the three, where separate kernels would write and read
them in the second. Products keep one vector for every tile of the strip in registers; each step multiplies
one vector of filters with one scalar per tile. Filters are up to four times as many bytes as the
convolution's own, and a small plane uses them only a few times: they are fetched one vector ahead.

Decisions:
    strip:   tiles that are transformed, multiplied and transformed back together.
    unroll:  steps of the products' sum in the loop body; divides its length.
    threads: how many share the clusters and strips, if the work pays for handing it over.

Source: Lavin & Gray, CVPR 2016.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tvm import tirx
from tvm.s_tir import Schedule
from tvm.tirx.script import builder as T

from schedules import applicability, epilogue
from schedules.activation import constant
from schedules.emit import UNBOUNDED, Buffers, address, emit
from schedules.machine import MachineParameters
from schedules.parallelism import tasks_for
from schedules.prefetch import fetch
from schedules.template import Decisions, Kernel, ScheduleError, kernel_of, tiles
from schedules.workload import GroupedWinograd, Workload
from schedules.x86.lane_reduction import outer_loop
from schedules.x86.registers import Vectors, numbers
from schedules.x86.winograd_strip import candidate_decisions, default_decisions, strip_fits, total_cycles
from schedules.x86.winograd_transform import form_of, transform

KIND = "grouped_winograd"


def pack_weights(workload: GroupedWinograd, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """[points * blocks * lanes, virtual channels] → [vector][point][channel][lane of the vector], flat."""
    vectors = workload.clusters * workload.vectors
    expected = (workload.points * vectors * workload.width, workload.virtual_channels)
    if weights.shape != expected:
        raise ScheduleError(
            f"weights of shape {weights.shape} for a grouped Winograd convolution of {expected}"
        )
    shape = (workload.points, vectors, workload.width, workload.virtual_channels)
    return np.ascontiguousarray(weights.reshape(shape).transpose(1, 0, 3, 2), dtype=np.float32).ravel()


def unpack_weights(workload: GroupedWinograd, packed: NDArray[np.float32]) -> NDArray[np.float32]:
    """What `pack_weights` packed: [points * blocks * lanes, virtual channels]."""
    vectors, channels = workload.clusters * workload.vectors, workload.virtual_channels
    shape = (vectors, workload.points, channels, workload.width)
    return np.asarray(packed.reshape(shape).transpose(1, 0, 3, 2).reshape(-1, channels))


def _emit_strips(
    workload: GroupedWinograd,
    unroll: int,
    shared: bool,
    buffers: Buffers,
    run: tuple[int, int, int],
    line: int,
) -> None:
    """The tiles `run` = (first, count, strip) of every cluster.

    shared: by several tasks. line: elements of a cache line.
    """
    first, count, strip = run
    strips, form = count // strip, form_of(workload.outputs)
    lanes, width, points, size = workload.lanes, workload.width, workload.points, form.size
    channels = workload.virtual_channels
    read_lanes, written_lanes = workload.reads * lanes, workload.writes * lanes
    # [point][tile][lane of the cluster]
    patches = numbers(points * strip * read_lanes)
    products = numbers(points * strip * written_lanes)
    sums = Vectors(strip, width)
    with outer_loop(workload.clusters * strips, shared) as part:
        cluster, start = part // strips, first + part % strips * strip
        with T.serial(workload.reads) as b, T.serial(strip) as t:

            def pixel(r: int, s: int, v: Any) -> Any:
                displacement = r * workload.row_stride + s * workload.column_stride
                block = buffers["xo"][cluster * workload.reads + b]
                return buffers["x"][address(block, buffers["xp"][start + t], displacement, v)]

            def keep(i: int, j: int, v: Any, value: Any) -> None:
                at = ((i * size + j) * strip + t) * read_lanes + b * lanes + v
                T.buffer_store(patches, value, [at])

            transform(form.patch, lanes, pixel, keep, range(points))
        with T.serial(workload.vectors) as w, T.serial(points) as i:
            vector = cluster * workload.vectors + w
            for t in range(strip):
                with T.vectorized(width) as v:
                    sums.store(t, v, constant(0.0))
            with T.serial(channels // unroll) as step:
                # The next vector's filters, which a cluster's first strip is the first to read.
                next_filters = (((vector + 1) * points + i) * channels + step * unroll) * width
                with T.If(tirx.EQ(part % strips, tirx.IntImm("int32", 0))), T.Then():
                    for at in range(0, unroll * width, line):
                        T.evaluate(fetch(buffers["k"], next_filters + at))
                for c in range(unroll):
                    channel = step * unroll + c
                    lane = buffers["ct"][vector * channels + channel]
                    for t in range(strip):
                        with T.vectorized(width) as v:
                            x = patches[(i * strip + t) * read_lanes + lane]
                            k = buffers["k"][((vector * points + i) * channels + channel) * width + v]
                            sums.store(t, v, sums[t, v] + x * k)
            for t in range(strip):
                with T.vectorized(width) as v:
                    at = (i * strip + t) * written_lanes + w * width + v
                    T.buffer_store(products, sums[t, v], [at])
        with T.serial(workload.writes) as o, T.serial(strip) as t:

            def product(r: int, s: int, v: Any) -> Any:
                return products[((r * size + s) * strip + t) * written_lanes + o * lanes + v]

            def deliver(i: int, j: int, v: Any, value: Any) -> None:
                pixel = (start + t) * workload.outputs**2 + i * workload.outputs + j
                at = epilogue.Position(cluster * workload.writes + o, pixel, v, lanes)
                value = epilogue.apply(workload.epilogue, value, buffers, at)
                T.buffer_store(
                    buffers["y"], value, [address(buffers["yo"][at.block], buffers["yp"][at.pixel], v)]
                )

            # The first pixel last: pixels beyond the plane are written over it before.
            transform(form.product, lanes, product, deliver, reversed(range(workload.outputs**2)))


class GroupedWinogradTemplate:
    """See the module's docstring. Weights: `pack_weights`."""

    kind = KIND
    version = 1

    def applies(self, workload: Workload, machine: MachineParameters) -> str | None:
        return applicability.refusal(workload, GroupedWinograd, "a grouped Winograd convolution")

    def defaults(self, workload: GroupedWinograd, machine: MachineParameters, threads: int) -> Decisions:
        return default_decisions(workload, machine, threads)

    def candidates(
        self, workload: GroupedWinograd, machine: MachineParameters, threads: int
    ) -> Mapping[str, tuple[int, ...]]:
        return candidate_decisions(workload, machine, threads)

    def schedule(self, workload: GroupedWinograd, decisions: Decisions, machine: MachineParameters) -> Kernel:
        blocks, vectors = workload.blocks, workload.clusters * workload.vectors
        pixels, channels = workload.tiles * workload.outputs**2, workload.virtual_channels
        if channels % decisions["unroll"]:
            raise ScheduleError(f"unroll {decisions['unroll']} does not divide {channels} virtual channels")
        if not strip_fits(workload, decisions["strip"], machine):
            raise ScheduleError(f"a strip of {decisions['strip']} tiles does not fit the registers")
        parameters = {
            "x": ("float32", UNBOUNDED),
            "xo": ("int32", workload.clusters * workload.reads),
            "xp": ("int32", workload.tiles),
            "ct": ("int32", vectors * channels),
            "k": ("float32", vectors * workload.points * channels * workload.width),
            "yo": ("int32", blocks),
            "yp": ("int32", pixels),
            "y": ("float32", UNBOUNDED),
            **epilogue.parameters(workload.epilogue, blocks, workload.lanes, pixels),
        }

        strip, unroll = decisions["strip"], decisions["unroll"]
        shared = tasks_for(total_cycles(workload, strip, machine, 1), decisions["threads"]) > 1

        def body(buffers: Buffers) -> None:
            for run in tiles(workload.tiles, strip):
                _emit_strips(workload, unroll, shared, buffers, run, machine.cache_line // 4)

        m = workload.outputs
        shape = f"{m}x{m}_{channels}x{blocks * workload.lanes}x{workload.tiles}_t{strip}"

        def scheduled() -> tirx.PrimFunc:
            return Schedule(emit(parameters, body)).mod["main"]

        return kernel_of(KIND, shape, workload, decisions, scheduled, parameters)
