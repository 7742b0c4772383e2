"""Normalization over the plane and groups of channels, in the blocked layout.

    y = epilogue((x - mean) / sqrt(variance + epsilon)),  mean and variance over a group's channels and plane

(Wu & He, "Group Normalization", 2018; with a group per channel: Ulyanov, Vedaldi & Lempitsky, "Instance
Normalization", 2016.) Every lane is summed over the plane by itself; the lanes of a group are added up
through the table `member`, so that channels may lie anywhere. The planes of a cluster of blocks are read
three times: for a mean m, for the moments around it, and to be written. Rounding of m is corrected:

    c = mean(x - m),  variance = mean((x - m)²) - c²,  y = ((x - m) - c) / sqrt(variance + epsilon)

(Chan, Golub & LeVeque, "Algorithms for computing the sample variance", 1983.)

Decisions:
    unroll:  pixels in the loop body, each added to a vector of its own.
    threads: how many share batch elements and clusters, if the work pays for handing it over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tvm import tirx
from tvm.s_tir import Schedule
from tvm.tirx.script import builder as T

from schedules import epilogue
from schedules.activation import bound, constant
from schedules.applicability import refusal
from schedules.emit import UNBOUNDED, Buffers, address, emit
from schedules.machine import MachineParameters
from schedules.parallelism import worth_threads
from schedules.template import Decisions, Kernel, kernel_of, tiles
from schedules.workload import GroupNorm, Workload
from schedules.x86.lane_reduction import add, fill, outer_loop, reduce_vectors
from schedules.x86.registers import Vectors, numbers

KIND = "group_norm"
_UNROLL = 8
_CYCLES_PER_VECTOR = 8
"""Three loads, a store and their arithmetic, from the second cache."""

Read = Callable[[Any, Any, Any], Any]


class _Cluster:
    """The statements for one batch element `n` and one cluster of blocks, `first` being its first block."""

    def __init__(self, workload: GroupNorm, buffers: Buffers, unroll: int, n: Any, cluster: Any) -> None:
        self.workload, self.buffers, self.unroll = workload, buffers, unroll
        self.blocks = workload.blocks // workload.clusters
        self.groups = workload.groups // workload.clusters
        self.n, self.first, self.first_group = n, cluster * self.blocks, cluster * self.groups
        positions = self.blocks * workload.lanes
        self.mean, self.scale, self.offset = (numbers(positions) for _ in range(3))

    def emit(self) -> None:
        with T.serial(self.blocks) as o, T.vectorized(self.workload.lanes) as v:  # also lanes of no group
            for statistic in (self.mean, self.scale, self.offset):
                T.buffer_store(statistic, constant(0.0), [o * self.workload.lanes + v])
        self._sum_plane([(self.mean, self._value)])
        self._share_mean()
        self._sum_plane([(self.offset, self._deviation), (self.scale, self._square)])
        self._share_moments()
        self._write()

    def _value(self, o: Any, p: Any, v: Any) -> Any:
        plane = (self.buffers["xo"][self.first + o], self.buffers["xn"][self.n])
        return self.buffers["x"][address(*plane, self.buffers["xp"][p], v)]

    def _deviation(self, o: Any, p: Any, v: Any) -> Any:
        return self._value(o, p, v) - self.mean[o * self.workload.lanes + v]

    def _square(self, o: Any, p: Any, v: Any) -> Any:
        return bound(self._deviation(o, p, v), lambda d: d * d)

    def _sum_plane(self, sums: list[tuple[Any, Read]]) -> None:
        """Each (result, term): `result[o * lanes + v]` = the sum of the term over the plane."""
        lanes, pixels = self.workload.lanes, self.workload.pixels
        vectors = [Vectors(self.unroll, lanes) for _ in sums]
        with T.serial(self.blocks) as o:
            for accumulators in vectors:
                fill(accumulators)
            for start, count, tile in tiles(pixels, self.unroll):
                with T.serial(count // tile) as i, T.unroll(tile) as u, T.vectorized(lanes) as v:
                    for accumulators, (_, term) in zip(vectors, sums, strict=True):
                        value = accumulators[u, v] + term(o, start + i * tile + u, v)
                        accumulators.store(u, v, value)
            for accumulators, (result, _) in zip(vectors, sums, strict=True):
                reduce_vectors(add, accumulators)
                with T.vectorized(lanes) as v:
                    T.buffer_store(result, accumulators[0, v], [o * lanes + v])

    def _member(self, g: Any, j: Any) -> Any:
        """The position, within the cluster, of channel j of its group g."""
        member = self.buffers["member"][(self.first_group + g) * self.workload.channels + j]
        return member - self.first * self.workload.lanes

    def _total(self, g: Any, lanes: Any) -> Any:
        """The sum of a group's lanes, over the number of its elements."""
        total = numbers(1)
        T.buffer_store(total, constant(0.0), [0])
        with T.serial(self.workload.channels) as j:
            T.buffer_store(total, total[0] + lanes[self._member(g, j)], [0])
        share = constant(1.0 / (self.workload.channels * self.workload.pixels))
        T.buffer_store(total, total[0] * share, [0])
        return total[0]

    def _share_mean(self) -> None:
        with T.serial(self.groups) as g:
            mean = self._total(g, self.mean)
            with T.serial(self.workload.channels) as j:
                T.buffer_store(self.mean, mean, [self._member(g, j)])

    def _share_moments(self) -> None:
        with T.serial(self.groups) as g:
            correction, squares = self._total(g, self.offset), self._total(g, self.scale)
            variance = tirx.max(squares - correction * correction, constant(0.0))
            scale = numbers(1)
            root = tirx.sqrt(variance + constant(self.workload.epsilon))
            T.buffer_store(scale, constant(1.0) / root, [0])
            with T.serial(self.workload.channels) as j:
                T.buffer_store(self.scale, scale[0], [self._member(g, j)])
                T.buffer_store(self.offset, constant(0.0) - correction * scale[0], [self._member(g, j)])

    def _write(self) -> None:
        workload, buffers, lanes = self.workload, self.buffers, self.workload.lanes
        with T.serial(self.blocks) as o:
            for start, count, tile in tiles(workload.pixels, self.unroll):
                with T.serial(count // tile) as i, T.unroll(tile) as u, T.vectorized(lanes) as v:
                    p = start + i * tile + u
                    lane = o * lanes + v
                    value = self._deviation(o, p, v) * self.scale[lane] + self.offset[lane]
                    at = epilogue.Position(self.first + o, self.n * workload.pixels + p, v, lanes)
                    value = epilogue.apply(workload.epilogue, value, buffers, at)
                    y = address(buffers["yo"][at.block], buffers["yp"][at.pixel], v)
                    T.buffer_store(buffers["y"], value, [y])


class GroupNormTemplate:
    """See the module's docstring."""

    kind = KIND
    version = 1

    def applies(self, workload: Workload, machine: MachineParameters) -> str | None:
        if isinstance(workload, GroupNorm):
            for name, count in (("groups", workload.groups), ("blocks", workload.blocks)):
                if count % workload.clusters:
                    return f"{count} {name} are not shared evenly by {workload.clusters} clusters"
        return refusal(workload, GroupNorm, "a normalization over planes")

    def defaults(self, workload: GroupNorm, machine: MachineParameters, threads: int) -> Decisions:
        return {"unroll": min(_UNROLL, machine.vector_registers // 4, workload.pixels), "threads": threads}

    def candidates(
        self, workload: GroupNorm, machine: MachineParameters, threads: int
    ) -> Mapping[str, tuple[int, ...]]:
        return {
            "unroll": tuple(range(1, min(machine.vector_registers // 2, workload.pixels) + 1)),
            "threads": tuple(sorted({1, threads})),
        }

    def schedule(self, workload: GroupNorm, decisions: Decisions, machine: MachineParameters) -> Kernel:
        blocks, lanes, batch, pixels = workload.blocks, workload.lanes, workload.batch, workload.pixels
        parameters = {
            "x": ("float32", UNBOUNDED),
            "xo": ("int32", blocks),
            "xn": ("int32", batch),
            "xp": ("int32", pixels),
            "member": ("int32", workload.groups * workload.channels),
            "yo": ("int32", blocks),
            "yp": ("int32", batch * pixels),
            "y": ("float32", UNBOUNDED),
            **epilogue.parameters(workload.epilogue, blocks, lanes, batch * pixels),
        }
        cycles = blocks * lanes * batch * pixels * _CYCLES_PER_VECTOR / machine.lanes
        tasks = batch * workload.clusters
        parallel = tasks > 1 and worth_threads(cycles, decisions["threads"])

        def body(buffers: Buffers) -> None:
            with outer_loop(tasks, parallel) as task:
                n, cluster = task // workload.clusters, task % workload.clusters
                _Cluster(workload, buffers, decisions["unroll"], n, cluster).emit()

        def scheduled() -> tirx.PrimFunc:
            return Schedule(emit(parameters, body)).mod["main"]

        shape = f"{workload.groups}x{workload.channels}x{pixels}x{batch}"
        return kernel_of(KIND, shape, workload, decisions, scheduled, parameters)
