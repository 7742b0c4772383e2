"""Results that take the place of an operand: y = conv(x) + r is written over r.

An epilogue reads its operand at the element it writes next, so a residual that nobody reads afterwards need
not be alive beside the sum. That holds where operand and result have the same layout, channel by channel and
block by block, and the stage reads the operand nowhere else: through no window, no map and no second
operand. Excluded are the forms that write elements before their last value: Winograd's, which writes some
twice, and softmax, which keeps its exponentials there.
Place: when tensors are placed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from .lowering.operands import Operand
from .lowering.steps import StageStep, Step
from .placement import Blocked, Tensor


def overwritten(steps: Sequence[Step], spans: Mapping[Tensor, tuple[int, int]]) -> dict[Blocked, Blocked]:
    """By result, the operand that it is written over; spans: each tensor's first and last step."""
    found: dict[Blocked, Blocked] = {}
    for index, step in enumerate(steps):
        if isinstance(step, StageStep) and step.winograd is None and step.stage.kind != "softmax":
            fitting = [tensor for operand in step.operands if (tensor := _fitting(operand, step)) is not None]
            last = [t for t in fitting if spans[t][1] == index and spans[step.output][0] == index]
            if last:
                found[step.output] = last[0]
    return found


def _fitting(operand: Operand | None, step: StageStep) -> Blocked | None:
    """The operand's tensor, if the result can be written over it."""
    if operand is None or operand.access != "block" or len(operand.view.tensors) != 1:
        return None
    (tensor,), output = operand.view.tensors, step.output
    same_layout = (
        not operand.view.moves
        and not operand.view.has_zeros
        and (tensor.extent, tensor.blocks) == (output.extent, output.blocks)
        and np.array_equal(operand.view.position, output.positions)
    )
    return tensor if same_layout and step.tensors.count(tensor) == 1 else None
