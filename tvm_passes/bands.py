"""A chain cut into bands: each task computes all stages for a part of the last one's result.

    task 0:  for tile of its rows: rows of stage; rows of stage; rows of stage
    task 1:  the same of its own rows, without waiting for anyone

Where the tasks divide the images evenly, a band is some of the images. Else it is some rows of each, and the
rows of the halo at a seam (`row_cuts`) are computed by both of its neighbours, each in memory of its own: so
whatever two bands compute rows of has to lie in a ring. The last result is written by one band or the other.

Source: overlapped tiling, Krishnamoorthy et al., "Effective Automatic Parallelization of Stencil
Computations", PLDI 2007.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise

from .lowering.steps import StageStep
from .placement import Blocked
from .row_cuts import WHOLE, Cuts, Part, cuts_of, reads_of
from .row_tiles import RowTiles, ring_groups, ring_of, rows_of_plane


def bands_of(
    stages: Sequence[StageStep], read_elsewhere: Collection[Blocked], height: int, tasks: int
) -> tuple[RowTiles, ...] | str:
    """The chain in as many bands as there are tasks, each in tiles of `height` rows; or why it has none.

    read_elsewhere: tensors that other steps read, which exist as a whole.
    """
    batch, reads = stages[0].stage.shape[0], reads_of(stages)
    by_image = batch % tasks == 0
    if by_image:
        each = batch // tasks
        images = [range(task * each, (task + 1) * each) for task in range(tasks)]
        cuts = [cuts_of(stages, reads, height, WHOLE)] * tasks
    else:
        parts = [Part(task, tasks) for task in range(tasks)]
        if not all(part.rows(stages[-1]) for part in parts):
            return "its result has too few rows for all tasks"
        images = [range(batch)] * tasks
        cuts = [cuts_of(stages, reads, height, part) for part in parts]
    seams = {} if by_image else _seams(stages, cuts)
    twice = {tensor for tensor, at in seams.items() if any(end > start for end, start in at)}
    never = {tensor for tensor, at in seams.items() if any(end < start for end, start in at)}
    groups = ring_groups(stages, reads, read_elsewhere)
    for tensor in twice.difference(*groups):
        return f"tasks would write the same rows of {tensor.name}, which not each can have for itself"
    for tensor in never.intersection(read_elsewhere):
        return f"rows of {tensor.name} would be left out that other steps read"
    found = [
        rings
        for group in groups
        for rings in [[ring_of(stages, reads, of_task, group) for of_task in cuts]]
        if twice.intersection(group) or sum(r.kept for r in rings) < batch * rows_of_plane(group[0])
    ]
    return tuple(
        RowTiles(tuple(stages), cuts[task], tuple(rings[task] for rings in found), images[task])
        for task in range(tasks)
    )


def _seams(
    stages: Sequence[StageStep], cuts: Sequence[Sequence[Cuts]]
) -> dict[Blocked, list[tuple[int, int]]]:
    """By result, where each task's rows end and the next one's begin."""
    return {
        step.output: [(before[number][-1], after[number][0]) for before, after in pairwise(cuts)]
        for number, step in enumerate(stages)
    }
