"""What the planner decides to do, in order: stages, copies between layouts, halo fills, generic operators."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from tvm import tirx

from ..channel_view import BlockView, ChannelView
from ..placement import Blocked, Plain
from ..stage import Stage
from .operands import Operand

if TYPE_CHECKING:
    from .winograd import WinogradPlan


@attrs.frozen(eq=False)
class StageStep:
    """Run a stage.

    blocks: how a channel-wise anchor sees its operand; None for convolutions.
    winograd: how a convolution is computed if not directly.
    """

    stage: Stage
    view: ChannelView
    blocks: BlockView | None
    operands: tuple[Operand | None, ...]
    output: Blocked
    winograd: WinogradPlan | None = None


@attrs.frozen(eq=False)
class PackStep:
    """Plain to blocked: `output[c, n, h, w] = source[n, c, h, w]`."""

    source: Plain
    output: Blocked


@attrs.frozen(eq=False)
class UnpackStep:
    """Blocked, through a view, to plain."""

    view: ChannelView
    output: Plain


@attrs.frozen(eq=False)
class RepackStep:
    """Blocked, through a view, to blocked."""

    view: ChannelView
    output: Blocked


@attrs.frozen(eq=False)
class FillStep:
    """Write a tensor's halo from its own elements: wrap around, or repeat the edge."""

    tensor: Blocked


@attrs.frozen(eq=False)
class GatherStep:
    """Any movement: every element of `output` from the element of a plain source the map names, or zero."""

    index_map: object
    sources: tuple[Plain, ...]
    output: Plain


@attrs.frozen(eq=False)
class GenericStep:
    """An operator no template takes, in plain layout, as TVM legalizes it."""

    name: str
    operator: str
    func: tirx.PrimFunc
    inputs: tuple[Plain, ...]
    outputs: tuple[Plain, ...]


Step = StageStep | PackStep | UnpackStep | RepackStep | FillStep | GatherStep | GenericStep
