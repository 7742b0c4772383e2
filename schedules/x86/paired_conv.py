"""The paired convolution: a dense indexed convolution with two multiply-adds for every three products.

    y[yo[o] + yp[p] + v] = epilogue(sum_c x[ct[c] + pt[p]] * k[o, c, v])

computed as `schedules/paired_products.py` says. A column of pixels by one output block is kept in registers;
every sum takes one scalar of x, broadcast from memory as the addition's own operand. What the pairs of x add
up to is computed first, for all columns of a chunk, a vector of channels at a time; and so is the largest of
these x. Where it is far from what the weights are scaled to, a column's products are not paired, so that no
input costs accuracy. Channels that do not fill a group are multiplied as they are.

While a panel is computed, the weights of the next one are fetched: a first column that waits for them would
cost more than all others, where planes are small and weights are many. Behind the last panel's lie the
constants of the program's next step, which are fetched as well.

Decisions:
    pixel_tile: pixels of a column. At known distances, as many as half of the vector registers; else as many
                as there are registers for their addresses.
    columns:    of a chunk, over which all panels sweep.
    panel:      how many blocks share a sweep, so that a column meets them one after the other. By default
                one: its weights stay in the first cache, which gains more than a column's x that does.
    unroll:     groups of channels in the loop body; divides their number.
    threads:    how many share the chunks, in parts of their blocks; if the work pays for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext

from tvm import tirx
from tvm.s_tir import Schedule
from tvm.tirx.script import builder as T

from schedules import epilogue
from schedules.applicability import refusal
from schedules.claims import units_of
from schedules.emit import UNBOUNDED, Buffers, Expr, emit
from schedules.machine import MachineParameters
from schedules.paired_products import GROUP, HEADER
from schedules.parallelism import tasks_for
from schedules.template import (
    Decisions,
    Kernel,
    ScheduleError,
    divisors,
    doublings,
    kernel_of,
    tiles,
)
from schedules.workload import PairedConv, Workload
from schedules.x86.lane_reduction import outer_loop
from schedules.x86.paired_column import (
    LARGEST_CHUNK,
    candidate_columns,
    cheapest_column,
    columns_of_chunk,
    modelled_cycles,
    refuse_column,
    weight_bytes,
)
from schedules.x86.paired_sums import Ahead, Columns, Prepared

KIND = "paired_conv"
_LARGEST_UNROLL = 4
_BEYOND = 8
"""The share of the second cache that the next step's constants may take before it begins."""


class PairedConvTemplate:
    """See the module's docstring. Weights: `pack_paired`."""

    kind = KIND
    version = 4

    def applies(self, workload: Workload, machine: MachineParameters) -> str | None:
        if not machine.add_ports:
            return "additions share the ports of multiply-adds"
        if not machine.embeds_broadcast:
            return "additions do not take one scalar from memory for all lanes"
        if isinstance(workload, PairedConv) and workload.virtual_channels < GROUP:
            return f"{workload.virtual_channels} channels, a group has {GROUP}"
        if isinstance(workload, PairedConv) and workload.lanes != machine.lanes:
            return f"blocks of {workload.lanes} lanes, a vector has {machine.lanes}"
        return refusal(workload, PairedConv, "a paired convolution")

    def defaults(self, workload: PairedConv, machine: MachineParameters, threads: int) -> Decisions:
        tile, _ = cheapest_column(workload, machine, threads)
        return {
            "pixel_tile": tile,
            "columns": columns_of_chunk(workload, tile, machine, threads),
            "panel": 1,
            "unroll": 1,
            "threads": threads,
        }

    def candidates(
        self, workload: PairedConv, machine: MachineParameters, threads: int
    ) -> Mapping[str, tuple[int, ...]]:
        return {
            "pixel_tile": tuple(candidate_columns(workload, machine)),
            "columns": doublings(max(1, min(workload.pixels, LARGEST_CHUNK) // machine.address_registers)),
            "unroll": divisors(workload.virtual_channels // GROUP, _LARGEST_UNROLL),
            "panel": divisors(workload.blocks, workload.blocks),
            "threads": tuple(sorted({1, threads})),
        }

    def schedule(self, workload: PairedConv, decisions: Decisions, machine: MachineParameters) -> Kernel:
        _check(workload, decisions, machine)
        blocks, lanes, pixels = workload.blocks, workload.lanes, workload.pixels
        channels = workload.virtual_channels
        parameters = {
            "x": ("float32", UNBOUNDED),
            "ct": ("int32", channels),
            "pt": ("int32", pixels),
            "line": ("int32", workload.lines * 2),
            "sign": ("float32", workload.lines * workload.line_lanes),
            "k": ("float32", blocks * (HEADER + channels) * lanes),
            "yo": ("int32", blocks),
            "yp": ("int32", pixels),
            "y": ("float32", UNBOUNDED),
            **epilogue.parameters(workload.epilogue, blocks, lanes, pixels),
        }

        def body(buffers: Buffers) -> None:
            _emit(workload, decisions, machine, buffers)

        def scheduled() -> tirx.PrimFunc:
            return Schedule(emit(parameters, body)).mod["main"]

        shape = f"{channels}x{blocks * lanes}x{pixels}_t{decisions['pixel_tile']}"
        return kernel_of(KIND, shape, workload, decisions, scheduled, parameters)


def _emit(workload: PairedConv, decisions: Decisions, machine: MachineParameters, buffers: Buffers) -> None:
    """Loops over the chunks; the column that is left is part of the only chunk, or one of its own."""
    panel, panels = decisions["panel"], workload.blocks // decisions["panel"]
    tasks = tasks_for(modelled_cycles(workload, machine, 1), decisions["threads"])
    (_, pixels, tile), *left = tiles(workload.pixels, decisions["pixel_tile"])
    count = pixels // tile
    chunks = -(-count // decisions["columns"])
    most = -(-count // chunks)
    prepared, rests = Prepared(most, tile), [Prepared(1, tile) for _, _, tile in left]
    beyond = min(panel, machine.l2_bytes // _BEYOND // weight_bytes(workload))

    def whole(chunk: Expr) -> list[Columns]:
        first = chunk * count // chunks
        columns = most if count % chunks == 0 else (chunk + 1) * count // chunks - first
        return [Columns(workload, buffers, first * tile, columns, prepared)]

    def rest(chunk: Expr) -> list[Columns]:
        return [
            Columns(workload, buffers, first, 1, kept)
            for (first, _, _), kept in zip(left, rests, strict=True)
        ]

    def loop(chunks: int, columns_of: Callable[[Expr], list[Columns]]) -> None:
        parts = _parts(panels, chunks, tasks)
        latest = _Latest() if parts > 1 else None
        with outer_loop(chunks * parts, tasks > 1) as i:
            chunk = columns_of(i // parts)
            last = i // parts >= chunks - tasks
            end = workload.blocks + tirx.Select(last, beyond, 0)
            with nullcontext() if latest is None else latest.changed_to(i // parts):
                for columns in chunk:
                    columns.prepare()
            first = i % parts * panels // parts
            with T.serial((i % parts + 1) * panels // parts - first) as sweep:
                for columns in chunk:
                    first_block = (first + sweep) * panel
                    columns.sweep(first_block, panel, decisions["unroll"], Ahead(panel, end))

    if chunks == 1:
        loop(1, lambda chunk: whole(chunk) + rest(chunk))
    else:
        loop(chunks, whole)
        if left:
            loop(1, rest)


def _parts(panels: int, chunks: int, tasks: int) -> int:
    """In how many parts the panels of a chunk are dealt out: tasks help each other with whole parts."""
    return 1 if tasks == 1 else -(-units_of(chunks * panels, tasks) // chunks)


class _Latest:
    """The number that something was last done for: a task that claims parts of a chunk prepares it once."""

    def __init__(self) -> None:
        self._number = T.alloc_buffer((1,), "int32", scope="local")
        T.buffer_store(self._number, -1, [0])

    @contextmanager
    def changed_to(self, number: Expr) -> Iterator[None]:
        """The statements for another number than before."""
        with T.If(tirx.NE(self._number[0], number)), T.Then():
            yield
            T.buffer_store(self._number, number, [0])


def _check(workload: PairedConv, decisions: Decisions, machine: MachineParameters) -> None:
    groups = workload.virtual_channels // GROUP
    if groups % decisions["unroll"]:
        raise ScheduleError(f"unroll {decisions['unroll']} does not divide {groups} groups of channels")
    if workload.blocks % decisions["panel"]:
        raise ScheduleError(f"panel {decisions['panel']} does not divide {workload.blocks} blocks")
    if decisions["columns"] * decisions["pixel_tile"] > LARGEST_CHUNK:
        raise ScheduleError(
            f"{decisions['columns']} columns of {decisions['pixel_tile']} pixels exceed {LARGEST_CHUNK}"
        )
    if (reason := refuse_column(workload, decisions["pixel_tile"], machine)) is not None:
        raise ScheduleError(reason)
