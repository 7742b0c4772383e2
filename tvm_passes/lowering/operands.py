"""Arguments that kernels have in common: the output's tables and the epilogue's operands."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np

from schedules.workload import Access, Epilogue

from ..anchor import Window
from ..array import Array
from ..channel_view import ChannelView
from ..placement import Address, Blocked
from ..stage import Operation
from .context import ARENA, LoweringContext
from .vectors import Vectors


@attrs.frozen(eq=False)
class Operand:
    """A second tensor of the epilogue: how it is read, and through which view."""

    access: Access
    view: ChannelView


def choose_access(view: ChannelView, output: Blocked) -> Access:
    """`block` where every output block finds its lanes together in one block of the operand, else `lane`."""
    return "lane" if _block_bases(view, output) is None else "block"


def epilogue_of(operations: Sequence[Operation], operands: Sequence[Operand | None]) -> Epilogue:
    """The workload's epilogue: the operations with the access of their operands filled in."""
    return tuple(
        operation.step.op if operand is None else attrs.evolve(operation.step.op, access=operand.access)
        for operation, operand in zip(operations, operands, strict=True)
    )


def output_arguments(
    context: LoweringContext, output: Blocked, orders: Sequence[Array] = (), vectors: Vectors | None = None
) -> dict[str, Address]:
    """`y`, `yo`, `yp`: where the result's blocks and pixels lie.

    orders:  which pixel is the kernel's i-th; none: row by row. With several, the kernel has every block once
             for each of them, whose pixels all lie equally far from the first order's.
    vectors: what the kernel takes for blocks; None: the layout's.
    """
    vectors = vectors or Vectors.whole(output)
    pixels, apart = _in_orders(output.geometry.pixels(), orders)
    return {
        "y": output.address,
        "yo": context.table(np.add.outer(output.channel_base(vectors.starts), apart)),
        "yp": context.table(pixels),
    }


def epilogue_arguments(
    context: LoweringContext,
    operations: Sequence[Operation],
    operands: Sequence[Operand | None],
    output: Blocked,
    orders: Sequence[Array] = (),
    vectors: Vectors | None = None,
) -> dict[str, Address]:
    """The operands of the epilogue, by the kernel's argument names; the rest as in `output_arguments`."""
    vectors = vectors or Vectors.whole(output)
    arguments: dict[str, Address] = {}
    for index, (operation, operand) in enumerate(zip(operations, operands, strict=True)):
        name = f"e{index}"
        if operation.step.vector is not None:
            lanes = spread_rows(operation.step.vector, output)[vectors.rows].reshape(vectors.count, -1)
            arguments[name] = context.constant(lanes.repeat(max(1, len(orders)), axis=0))
        elif operand is not None:
            arguments[name] = ARENA
            arguments |= _operand_tables(context, name, operand, output, orders, vectors)
    return arguments


def _in_orders(offsets: Array, orders: Sequence[Array]) -> tuple[Array, Array]:
    """The pixels' offsets in the first order, and how far from it each order's lie."""
    if not orders:
        return offsets, np.zeros(1, np.int64)
    first = offsets[orders[0]]
    further = [np.unique(offsets[order] - first) for order in orders]
    assert all(len(distances) == 1 for distances in further), "pixels at different distances"
    return first, np.concatenate(further)


def spread_rows(rows: Array, output: Blocked) -> Array:
    """One number (or row) per channel, put where the output's channels lie: float32 [blocks * lanes, ...]."""
    out = np.zeros((output.blocks * output.extent.lanes, *rows.shape[1:]), np.float32)
    out[output.positions] = rows
    return out


def lane_bases(view: ChannelView, output: Blocked) -> Array:
    """Where each lane of the output's blocks reads; lanes no channel takes read the first channel."""
    bases = view.bases()
    lanes = np.full(output.blocks * output.extent.lanes, bases[0], np.int64)
    lanes[output.positions] = bases
    return lanes


def _operand_tables(
    context: LoweringContext,
    name: str,
    operand: Operand,
    output: Blocked,
    orders: Sequence[Array],
    vectors: Vectors,
) -> dict[str, Address]:
    view = operand.view
    if operand.access == "channel":  # one pixel per batch element, read for all of the output's
        per_batch = output.extent.rows * output.extent.columns
        offsets = np.repeat(view.pixels(Window(), 1, 1), per_batch)
    else:
        offsets = view.pixels(Window(), output.extent.rows, output.extent.columns)
    pixels, apart = _in_orders(offsets, orders)
    tables = {f"{name}_rp": context.table(pixels)}
    if operand.access != "lane":
        bases = _block_bases(view, output)
        assert bases is not None
        block, lane = np.divmod(vectors.starts, output.extent.lanes)
        return tables | {f"{name}_rb": context.table(np.add.outer(bases[block] + lane, apart))}
    lanes = lane_bases(view, output)[vectors.rows].reshape(vectors.count, 1, -1)
    return tables | {f"{name}_rl": context.table(lanes + apart[:, None])}


def _block_bases(view: ChannelView, output: Blocked) -> Array | None:
    """Per output block the operand's block base, if lanes agree throughout; None otherwise.

    Before memory is laid out the bases are not known yet, only whether they exist.
    """
    lanes = output.extent.lanes
    if view.extent.lanes != lanes:
        return None
    source, position = view.source, view.position
    zero = source < 0
    if ((position % lanes != output.positions % lanes) & ~zero).any():
        return None
    block = output.positions // lanes
    key = np.column_stack([source, np.where(zero, 0, position // lanes), view.offset * ~zero[:, None]])
    first: dict[int, int] = {}
    for channel in range(view.channels):
        known = first.setdefault(int(block[channel]), channel)
        if not np.array_equal(key[known], key[channel]):
            return None
    if any(tensor.base is None for tensor in (*view.tensors, output)):
        return np.zeros(0, np.int64)
    channel_bases = view.bases()
    bases = np.full(output.blocks, channel_bases[0] - position[0] % lanes, np.int64)
    for number, channel in first.items():
        lane = 0 if zero[channel] else position[channel] % lanes
        bases[number] = channel_bases[channel] - lane
    return bases
