"""A network as stages of two engines: operators, buffers, and what runs when, as frozen classes.

A stage is what runs side by side; a barrier closes it. Steps of one stage run on different engines and
neither reads what the other writes. See docs/staged-program.md for what every field means to a backend,
and `staged.json_form` for the file.
"""

from __future__ import annotations

from functools import cached_property
from typing import Literal

import attrs

from ..index_map import IndexMap, Shape, as_4d

FORMAT = 1
"""Layout of the JSON; raised when a field changes its meaning."""

Engine = Literal["convolution", "vector"]
ENGINES: tuple[Engine, Engine] = ("convolution", "vector")

BufferKind = Literal["input", "plane", "tile", "weight"]
Part = Literal["whole", "convolution", "epilogue"]
Rows = tuple[int, int]
"""Rows [first, last) of a tensor, of all batch elements and channels."""

TENSOR_KINDS = ("add", "subtract", "multiply", "divide", "maximum", "minimum")
"""Steps of an epilogue that read a second tensor."""


class StagedProgramError(ValueError):
    """A staged program that cannot be read, or that holds what its reader does not know."""


@attrs.frozen
class Buffer:
    """A tensor in memory, row-major.

    kind: `input` (the caller's), `plane` (a whole tensor), `tile` (some rows of one) or `weight` (constant).
    """

    name: str
    kind: BufferKind
    shape: tuple[int, ...]
    dtype: str = "float32"


@attrs.frozen
class Port:
    """An input or output of the network: the model's name for it, and the buffer that holds it."""

    name: str
    buffer: str


@attrs.frozen
class Operand:
    """The tensors that are read, by the names of their buffers, and the map they are read through."""

    tensors: tuple[str, ...]
    map: IndexMap | None = None


@attrs.frozen
class PostOperation:
    """One element-wise step behind an operator; kinds and constants are `schedules.workload.EpilogueOp`'s.

    vector:      a buffer of one float32 per channel: bias, scale, slope.
    operand:     the second tensor; the operator's own value is the left one unless `swapped`.
    per_channel: the second tensor is [N, C, 1, 1].
    """

    kind: str
    constants: tuple[float, ...] = ()
    swapped: bool = False
    vector: str | None = None
    operand: Operand | None = None
    per_channel: bool = False


@attrs.frozen
class Operator:
    """One operator with its epilogue.

    kind:    convolution, depthwise, window_pool, global_pool, layer_norm, group_norm, softmax, elementwise,
             movement (the operand through its map, no more) or generic (`relax` names Relax's operator).
    nodes:   the model's nodes it stands for.
    operand: what it is computed from; of a generic operator, all of its tensors.
    output:  the buffer of its result.
    padding: top, left, bottom, right.
    weight:  buffer of [O, I / groups, kh, kw].
    tables:  of a window_pool whose windows are given one by one: four buffers, the rows that every row of
             the result is made of [rows, taps], int32, their weights, and the same of columns.
    attributes: of a generic operator, as text.
    """

    name: str
    kind: str
    nodes: tuple[str, ...]
    operand: Operand
    output: str
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    weight: str | None = None
    lanes: int = 1
    reduce: str = "max"
    count_include_pad: bool = False
    tables: tuple[str, ...] = ()
    epsilon: float = 0.0
    epilogue: tuple[PostOperation, ...] = ()
    relax: str = ""
    attributes: tuple[tuple[str, str], ...] = ()

    @property
    def engine(self) -> Engine:
        """Convolutions run on the convolution engine, everything else on the other."""
        return "vector" if self.weight is None else "convolution"

    @property
    def split(self) -> int:
        """How many steps of the epilogue come before the part that needs a second tensor.

        A product that the tensor is added to goes with the sum, which is rounded once.
        """
        tensor_steps = (i for i, post in enumerate(self.epilogue) if post.operand is not None)
        first = next(tensor_steps, len(self.epilogue))
        if 0 < first < len(self.epilogue) and self.epilogue[first].kind in ("add", "subtract"):
            return first - int(self.epilogue[first - 1].kind in ("multiply_scalar", "multiply_vector"))
        return first

    @property
    def starts(self) -> str | None:
        """The vector that the sums of a convolution start from: its bias, if that is the first step."""
        first = self.epilogue[0] if self.weight is not None and self.epilogue else None
        return first.vector if first is not None and first.kind == "add_vector" else None

    def posts(self, part: Part) -> tuple[PostOperation, ...]:
        """The steps of the epilogue that a part applies; the bias that sums start from is none of them."""
        first = int(self.starts is not None)
        if part == "epilogue":
            return self.epilogue[self.split :]
        return self.epilogue[first : self.split if part == "convolution" else None]

    @property
    def is_residual(self) -> bool:
        """A convolution to which another tensor is added."""
        return self.weight is not None and any(p.kind == "add" and p.operand for p in self.epilogue)


@attrs.frozen
class Access:
    """Rows of a buffer that a step reads or writes."""

    buffer: str
    rows: Rows


@attrs.frozen
class Step:
    """What one engine does in one stage.

    part:    `whole`: the operator with its epilogue; `convolution`: with the first `split` steps of it, into
             a tile; `epilogue`: the other steps, from the tile into the result.
    tile:    number of the tile; rows: those of the operator's result.
    operand_rows: rows of the operand (as seen through its map) that these need, inside its plane.
    padding_rows: how many rows of zeros the window reaches above and below the plane.
    reads:   rows of the buffers that are read (weights aside).
    writes:  where the rows go: into a tile, counted from its beginning.
    """

    operator: str
    part: Part
    engine: Engine
    tile: int
    rows: Rows
    operand_rows: Rows
    padding_rows: tuple[int, int]
    reads: tuple[Access, ...]
    writes: Access


@attrs.frozen
class Stage:
    """Steps that run side by side; a barrier follows."""

    steps: tuple[Step, ...]


@attrs.frozen
class StagedProgram:
    """A whole network.

    model:   name of its file.
    weights: name of the .npz file beside this one that holds the weights by the names of their buffers.
    """

    model: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    buffers: tuple[Buffer, ...]
    operators: tuple[Operator, ...]
    stages: tuple[Stage, ...] = ()
    weights: str = ""
    format: int = FORMAT

    @cached_property
    def _buffers(self) -> dict[str, Buffer]:
        return {buffer.name: buffer for buffer in self.buffers}

    @cached_property
    def _operators(self) -> dict[str, Operator]:
        return {operator.name: operator for operator in self.operators}

    def buffer(self, name: str) -> Buffer:
        """The buffer of this name. Raises StagedProgramError where there is none."""
        if name not in self._buffers:
            raise StagedProgramError(f"there is no buffer '{name}'")
        return self._buffers[name]

    def operator(self, name: str) -> Operator:
        """The operator of this name. Raises StagedProgramError where there is none."""
        if name not in self._operators:
            raise StagedProgramError(f"there is no operator '{name}'")
        return self._operators[name]

    def shape(self, buffer: str) -> Shape:
        """The shape of a buffer as (N, C, H, W)."""
        return as_4d(self.buffer(buffer).shape)

    def view_shape(self, operand: Operand) -> Shape:
        """The shape of an operand as seen through its map."""
        return self.shape(operand.tensors[0]) if operand.map is None else operand.map.output

    @property
    def residual(self) -> tuple[Operator, ...]:
        """The convolutions that are pipelined with their Adds."""
        return tuple(operator for operator in self.operators if operator.is_residual)
