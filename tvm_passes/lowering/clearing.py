"""Where in a step the halos are cleared that have lost their zeros: before anyone reads them.

What is read in a phase has been written in one before, so halos are cleared beside the first phase. In a
chain a phase of its own comes before: where the first rows of a later stage are made of a halo alone, that
stage is the first. In a chain of bands there is one phase, of runs that write and read: there, a halo is
cleared in front of the run that reads it, or in a phase of its own if several do.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from ..placement import Blocked
from .context import LoweringContext, Phase, side_by_side
from .copies import lower_clear
from .steps import ChainStep, Step

Phases = tuple[Phase, ...]


def with_clearing(context: LoweringContext, step: Step, phases: Phases, cleared: Sequence[Blocked]) -> Phases:
    """The step's phases, and the halos of these tensors of it cleared."""
    if isinstance(step, ChainStep) and len(step.bands) > 1:
        return _in_runs(context, step, phases, cleared)
    if not cleared:
        return phases
    clearing = side_by_side(lower_clear(context, tensor) for tensor in cleared)
    if isinstance(step, ChainStep):
        return clearing, *phases
    first, *others = phases
    return first + clearing, *others


def _in_runs(context: LoweringContext, step: ChainStep, phases: Phases, cleared: Sequence[Blocked]) -> Phases:
    (runs,) = phases
    alone = attrs.evolve(context, threads=1)
    mine = list(runs)
    ahead: list[Blocked] = []
    for tensor in cleared:
        readers = [
            number
            for number, band in enumerate(step.bands)
            if any(tensor in stage.tensors and tensor is not stage.output for stage in band.stages)
        ]
        if len(readers) > 1:
            ahead.append(tensor)
        else:
            number = readers[0] if readers else len(mine) - 1
            mine[number] = (lower_clear(alone, tensor), *mine[number])
    clearing = side_by_side(lower_clear(context, tensor) for tensor in ahead)
    return (*([clearing] if clearing else []), tuple(mine))
