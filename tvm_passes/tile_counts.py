"""What a chain of all stages of a network costs in so many tiles, modelled: for looking at the model.

    cycles(1) = Σ cycles of every stage as it is;   cycles(T) = cycles of the chain of all stages in T tiles

Place: beside `chains`, which asks the same of every run of stages.
"""

from __future__ import annotations

from collections.abc import Iterable

from tvm.ir import IRModule

from schedules.machine import MachineParameters

from .chain_cost import Costs
from .layout import Planner
from .lowering.steps import StageStep


def modelled_by_tiles(
    mod: IRModule, machine: MachineParameters, counts: Iterable[int], threads: int = 1
) -> dict[int, float]:
    """Modelled cycles by number of tiles: one, for stages one after the other, and each of `counts`.

    mod: a module before `lower` whose stages can all be in one chain.
    """
    steps = Planner(mod, machine.lanes, machine, threads).run().steps
    costs = Costs(steps, machine, threads)
    numbers = [number for number, step in enumerate(steps) if isinstance(step, StageStep)]
    first, last = numbers[0], numbers[-1] + 1
    result = {1: sum(costs.alone(number).cycles for number in numbers)}
    end = steps[last - 1]
    assert isinstance(end, StageStep)
    for count in counts:
        if count > 1:
            tiles = costs.tiled(first, last, -(-end.stage.shape[2] // count))
            result[count] = costs.of_chain(first, last, [tiles]).cycles
    return result
