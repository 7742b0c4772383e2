"""Blocked channels to planar ones: squares of channels and pixels are transposed in registers.

    y[yo[b] + yp[p]] = x[xb[b] + xp[p]]

with groups of as many blocks (channels) and as many pixels as a vector has lanes. The channels of a group lie
beside each other in x, its pixels beside each other in y: so a square of both is read in vectors of channels
and written in vectors of pixels. What is left over of pixels is copied one by one.

Decisions:
    threads: how many share the squares, if the work pays for handing it over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tvm import tirx
from tvm.s_tir import Schedule
from tvm.tirx.script import builder as T

from schedules.applicability import refusal
from schedules.emit import UNBOUNDED, Buffers, address, emit
from schedules.machine import MachineParameters
from schedules.parallelism import tasks_for
from schedules.template import Decisions, Kernel, kernel_of
from schedules.workload import Elementwise, Workload
from schedules.x86.lane_reduction import outer_loop
from schedules.x86.registers import numbers

KIND = "unpack"

_QUARTER = 4
"""Lanes within which instructions interleave two vectors."""
_CYCLES_PER_VECTOR = 4
_PARTS = 8
"""Of the pixels, that several tasks share."""

Expr = Any


class UnpackTemplate:
    """See the module's docstring."""

    kind = KIND
    version = 1

    def applies(self, workload: Workload, machine: MachineParameters) -> str | None:
        reason = refusal(workload, Elementwise, "an element-wise workload")
        if reason is not None or not isinstance(workload, Elementwise):
            return reason
        if workload.access != "block" or workload.lanes != 1 or workload.epilogue:
            return "it is no copy of single channels"
        if workload.square != machine.lanes:
            return f"squares of {workload.square} channels and pixels, a vector has {machine.lanes} lanes"
        return None if workload.pixels >= machine.lanes else "a vector has more lanes than there are pixels"

    def defaults(self, workload: Elementwise, machine: MachineParameters, threads: int) -> Decisions:
        return {"threads": threads}

    def candidates(
        self, workload: Elementwise, machine: MachineParameters, threads: int
    ) -> Mapping[str, tuple[int, ...]]:
        return {"threads": tuple(sorted({1, threads}))}

    def schedule(self, workload: Elementwise, decisions: Decisions, machine: MachineParameters) -> Kernel:
        blocks, pixels = workload.blocks, workload.pixels
        parameters = {
            "x": ("float32", UNBOUNDED),
            "xb": ("int32", blocks),
            "xp": ("int32", pixels),
            "yo": ("int32", blocks),
            "yp": ("int32", pixels),
            "y": ("float32", UNBOUNDED),
        }
        vectors = blocks * pixels / machine.lanes
        tasks = tasks_for(vectors * _CYCLES_PER_VECTOR, decisions["threads"])
        func = Schedule(emit(parameters, lambda buffers: _emit(workload, tasks, buffers))).mod["main"]
        return kernel_of(KIND, f"{blocks}x{pixels}", workload, decisions, func, parameters)


def _emit(workload: Elementwise, tasks: int, buffers: Buffers) -> None:
    """Loops over groups of channels, and over parts of the pixels where several tasks share them."""
    lanes = workload.square
    whole, left = divmod(workload.blocks, lanes)
    if whole:
        _emit_groups(workload, tasks, buffers, whole, 0, lanes)
    if left:
        _emit_groups(workload, tasks, buffers, 1, whole * lanes, left)


def _emit_groups(
    workload: Elementwise, tasks: int, buffers: Buffers, groups: int, first: int, channels: int
) -> None:
    """So many groups from the block `first` on, of which `channels` blocks are there."""
    lanes, squares = workload.square, workload.pixels // workload.square
    parts = min(squares, _PARTS) if tasks > 1 else 1
    with outer_loop(groups * parts, tasks > 1) as i:
        block, part = first + i // parts * lanes, i % parts
        start = part * squares // parts
        with T.serial((part + 1) * squares // parts - start) as square:
            _emit_square(buffers, block, (start + square) * lanes, lanes, channels)
        if workload.pixels % lanes:
            with (
                T.serial(tirx.Select(part == parts - 1, workload.pixels % lanes, 0)) as p,
                T.serial(channels) as c,
            ):
                pixel = squares * lanes + p
                x = buffers["x"][address(buffers["xb"][block + c], buffers["xp"][pixel])]
                T.buffer_store(buffers["y"], x, [address(buffers["yo"][block + c], buffers["yp"][pixel])])


def _emit_square(buffers: Buffers, block: Expr, pixel: Expr, lanes: int, channels: int) -> None:
    rows, results = numbers(lanes * lanes), numbers(lanes * lanes)
    for row in range(lanes):
        start = address(buffers["xb"][block], buffers["xp"][pixel + row])
        T.buffer_store(rows, buffers["x"][_vector(start, lanes)], [_vector(row * lanes, lanes)])
    for step in interleavings(lanes):
        for one, other, low, high in step:
            pair = [rows[_vector(row * lanes, lanes)] for row in (one, other)]
            T.buffer_store(results, tirx.Shuffle(pair, low), [_vector(one * lanes, lanes)])
            T.buffer_store(results, tirx.Shuffle(pair, high), [_vector(other * lanes, lanes)])
        rows, results = results, rows
    for channel in range(channels):
        target = address(buffers["yo"][block + channel], buffers["yp"][pixel])
        value = rows[_vector(row_of(channel) * lanes, lanes)]
        T.buffer_store(buffers["y"], value, [_vector(target, lanes)])


Interleaving = tuple[int, int, list[int], list[int]]
"""Two rows, and which lanes of both become the one and the other: those of the second row count on."""


def interleavings(lanes: int) -> Iterator[list[Interleaving]]:
    """The steps that transpose a square of vectors, each for all rows; `row_of` says where a column is then.

    First the numbers within quarters of four lanes change places, then the quarters.
    """

    def pairs(width: int, low: list[int], high: list[int]) -> list[Interleaving]:
        return [(one, one + width, low, high) for one in range(lanes) if not one & width]

    for width, within in ((1, (0, 4, 1, 5)), (2, (0, 1, 4, 5))):
        low = [_of_pair(quarter, lane, lanes) for quarter in range(0, lanes, _QUARTER) for lane in within]
        yield pairs(width, low, [lane + 2 for lane in low])
    width = _QUARTER
    while width < lanes:
        low = [lane if not lane & width else lanes + lane - width for lane in range(lanes)]
        high = [lane + width if not lane & width else lanes + lane for lane in range(lanes)]
        yield pairs(width, low, high)
        width *= 2


def _of_pair(quarter: int, lane: int, lanes: int) -> int:
    """A lane of two vectors' quarters, the second vector's from 4 on, among the lanes of both vectors."""
    vector, within = divmod(lane, _QUARTER)
    return vector * lanes + quarter + within


def row_of(column: int) -> int:
    """Which row holds a column of the square: quarters leave their middle two exchanged."""
    within = column % _QUARTER
    return column - within + (0, 2, 1, 3)[within]


def _vector(start: Expr, lanes: int) -> Expr:
    """The index of so many elements from `start` on."""
    if isinstance(start, int):
        return tirx.Ramp(tirx.IntImm("int32", start), tirx.IntImm("int32", 1), lanes)
    return tirx.Ramp(start, tirx.IntImm("int64", 1), lanes)
