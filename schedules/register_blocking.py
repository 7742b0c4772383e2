"""The schedule shared by all reductions: a tile of the output lives in registers while it is summed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm.s_tir import Schedule

from schedules.sharing import share_loops

Loop = Any


def accumulate_in_registers(
    schedule: Schedule,
    reduce: str,
    store: str,
    outer: Sequence[Loop],
    tile: Sequence[Loop],
    unroll: Sequence[int],
    tasks: int,
    near: Sequence[Loop] = (),
    rounds: int = 1,
) -> None:
    """Compute block `reduce` tile by tile of block `store`, in vector registers.

    outer, tile: loops of `store`, split and ordered by the caller, `tile` innermost but for its last
                 loop, the lanes.
    unroll:      for each loop of the reduction, how many steps its body holds (a divisor of its extent).
    tasks, near: how many tasks share the outer loops, and which of these walk over pixels; see `share_loops`.
    rounds:      how many times the body runs in a loop inside the first loop of the reduction (a divisor).
    """
    multiply_add, write = schedule.get_sblock(reduce), schedule.get_sblock(store)
    lanes = schedule.get_loops(write)[-1]
    # Before decompose_reduction, which forbids it afterwards.
    at = share_loops(schedule, outer, near, tasks)
    schedule.compute_at(multiply_add, at, preserve_unit_loops=True)
    schedule.set_scope(multiply_add, 0, "local")
    loops = schedule.get_loops(multiply_add)
    reductions = loops[len(loops) - len(unroll) :]
    *spatial, vector = loops[: len(loops) - len(unroll)][-schedule_rank(schedule, multiply_add) :]
    split = [schedule.split(loop, [None, factor]) for loop, factor in zip(reductions, unroll, strict=True)]
    rolled, unrolled = [pair[0] for pair in split], [pair[1] for pair in split]
    if rounds > 1:
        rolled[:1] = schedule.split(rolled[0], [None, rounds])
    # The last spatial loop, usually blocks, is innermost: one broadcast serves all of them.
    schedule.reorder(*rolled, *unrolled, *reversed(spatial), vector)
    for loop in (*unrolled, *spatial, *tile):
        schedule.unroll(loop)
    schedule.vectorize(vector)
    schedule.vectorize(lanes)
    init = schedule.get_loops(schedule.decompose_reduction(multiply_add, rolled[0]))
    for loop in init[len(init) - len(spatial) - 1 : -1]:
        schedule.unroll(loop)
    schedule.vectorize(init[-1])


def schedule_rank(schedule: Schedule, block: Any) -> int:
    """Number of spatial axes of a block."""
    return sum(1 for var in schedule.get(block).iter_vars if var.iter_type == 0)
