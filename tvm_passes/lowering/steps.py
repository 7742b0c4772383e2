"""What the planner decides to do, in order: stages, copies between layouts, halo fills, generic operators."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import numpy as np
from tvm import tirx

from ..array import Array
from ..channel_view import BlockView, ChannelView
from ..index_map import IndexMap
from ..placement import Blocked, Plain, Tensor
from ..stage import Stage
from .operands import Operand
from .touched import Touched, touched

if TYPE_CHECKING:
    from ..row_tiles import RowTiles
    from .grouped_winograd import GroupedWinogradPlan
    from .winograd_plan import WinogradPlan


@attrs.frozen
class Strip:
    """Rows of one image of a stage's result: from `first` up to, but not including, `last`."""

    image: int
    first: int
    last: int

    @property
    def rows(self) -> int:
        return self.last - self.first


@attrs.frozen(eq=False)
class StageStep:
    """Run a stage.

    blocks: how a channel-wise anchor sees its operand; None for convolutions.
    winograd: how a convolution is computed if not directly.
    strip: the rows of the result to compute; None: all of every image.
    """

    stage: Stage
    view: ChannelView
    blocks: BlockView | None
    operands: tuple[Operand | None, ...]
    output: Blocked
    winograd: WinogradPlan | GroupedWinogradPlan | None = None
    strip: Strip | None = None

    @property
    def batch(self) -> int:
        """How many images are computed."""
        return self.stage.shape[0] if self.strip is None else 1

    @property
    def rows(self) -> int:
        """How many rows of each image are computed."""
        return self.stage.shape[2] if self.strip is None else self.strip.rows

    @property
    def row_range(self) -> slice:
        """Which rows of each image are computed."""
        return slice(None) if self.strip is None else slice(self.strip.first, self.strip.last)

    @property
    def pixels(self) -> Array:
        """Which pixels of the result are computed: numbers int [P], counted row by row and image by image."""
        n, _, rows, columns = self.stage.shape
        numbers = np.arange(n * rows * columns).reshape(n, rows, columns)
        images = slice(None) if self.strip is None else self.strip.image
        return numbers[images, ..., self.row_range, :].reshape(-1)

    @property
    def row_step(self) -> int:
        """Rows that are computed together."""
        return 1 if self.winograd is None else self.winograd.form.outputs

    @property
    def second_tensors(self) -> dict[str, tuple[Blocked, ...]]:
        """Those of the epilogue, by the kernel's argument that is an address of them."""
        return {f"e{i}": o.view.tensors for i, o in enumerate(self.operands) if o is not None}

    @property
    def touched(self) -> Touched:
        """By a kernel that computes all of it."""
        return touched(self.output, {"x": self.view.tensors, **self.second_tensors})

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        views = [self.view, *(o.view for o in self.operands if o is not None)]
        scratch = () if self.winograd is None else self.winograd.scratch
        return (*(t for view in views for t in view.tensors), *scratch, self.output)


@attrs.frozen(eq=False)
class ChainStep:
    """Run several stages together, some rows of each at a time.

    bands: one, whose strips all tasks share, or one for every task, which computes it alone.
    """

    bands: tuple[RowTiles, ...]

    @property
    def stages(self) -> tuple[StageStep, ...]:
        """What it computes; each band has these stages with tensors of its own."""
        return self.bands[0].stages

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return tuple(dict.fromkeys(t for band in self.bands for stage in band.stages for t in stage.tensors))


@attrs.frozen(eq=False)
class PackStep:
    """Plain to blocked: `output[c, n, h, w] = source[n, c, h, w]`.

    reason: of an input of the program, why it is not read where it lies.
    """

    source: Plain
    output: Blocked
    reason: str = ""

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return (self.source, self.output)


@attrs.frozen(eq=False)
class UnpackStep:
    """Blocked, through a view, to plain."""

    view: ChannelView
    output: Plain

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return (*self.view.tensors, self.output)


@attrs.frozen(eq=False)
class RepackStep:
    """Blocked, through a view, to blocked."""

    view: ChannelView
    output: Blocked

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return (*self.view.tensors, self.output)


@attrs.frozen(eq=False)
class FillStep:
    """Write a tensor's halo from its own elements: wrap around, or repeat the edge."""

    tensor: Blocked

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return (self.tensor,)


@attrs.frozen(eq=False)
class GatherStep:
    """Any movement: every element of `output` from the element of a plain source the map names, or zero."""

    index_map: IndexMap
    sources: tuple[Plain, ...]
    output: Plain

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return (*self.sources, self.output)


@attrs.frozen(eq=False)
class GenericStep:
    """An operator no template takes, in plain layout, as TVM legalizes it."""

    name: str
    operator: str
    func: tirx.PrimFunc
    inputs: tuple[Plain, ...]
    outputs: tuple[Plain, ...]

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return (*self.inputs, *self.outputs)


Step = StageStep | ChainStep | PackStep | UnpackStep | RepackStep | FillStep | GatherStep | GenericStep
