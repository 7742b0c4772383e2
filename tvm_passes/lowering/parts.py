"""One step for what the same operators of the model were cut into.

`prune` makes a convolution of every class of channels; to whoever reads a profile they are one step. Parts
that do not depend on each other may run at the same time.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import attrs

from .context import KernelCall
from .steps import StageStep, Step

Part = tuple[Step, KernelCall]


def join_parts(lowered: Sequence[Part]) -> list[KernelCall]:
    """The calls in order, neighbours that stand for the same operators joined."""
    return [_join(list(same)) for _, same in groupby(lowered, key=lambda part: _operators(part[1]))]


def _operators(call: KernelCall) -> object:
    """What a step computes of the model; copies are never the same."""
    return call if call.record.moves_only else (call.record.kind, call.record.stage)


def _join(parts: Sequence[Part]) -> KernelCall:
    """One step for the parts of one operator."""
    (_, whole), *others = parts
    beside = _independent([step for step, _ in parts])
    for _, call in others:
        last, first = whole.phases[-1], call.phases[0]
        meeting = (last + first,) if beside else (last, first)
        record = attrs.evolve(
            whole.record,
            macs=whole.record.macs + call.record.macs,
            bytes=whole.record.bytes + call.record.bytes,
        )
        whole = KernelCall((*whole.phases[:-1], *meeting, *call.phases[1:]), record)
    return whole


def _independent(steps: Sequence[Step]) -> bool:
    """Whether steps may run at the same time: they read the same tensors, and none what another writes.

    A tensor that only some of them read might lie where another writes.
    """
    stages = [step for step in steps if isinstance(step, StageStep) and step.winograd is None]
    read = [{t for t in step.tensors if t is not step.output} for step in stages]
    written = {step.output for step in stages}
    return len(stages) == len(steps) and all(r == read[0] and not r & written for r in read)
