"""The tensors of a program while it is planned: in which layouts each exists, and the steps to get there."""

from __future__ import annotations

import attrs
import numpy as np
from tvm.ir import Expr, GenericConst, Var

from .anchor import Window
from .array import Array
from .channel_view import ChannelView
from .geometry import Border, Extent
from .index_map import IndexMap, as_4d
from .lowering.context import LoweringError, OperatorError
from .lowering.generic import copy_of_bytes
from .lowering.steps import (
    FillStep,
    GatherStep,
    GenericStep,
    PackStep,
    RepackStep,
    Step,
    UnpackStep,
)
from .place import Arena
from .placement import Address, Blocked, BlockedMemory, Plain, natural_positions
from .relax_values import constant_of, dtype_of, shape_of
from .stage import Read
from .translation import translation_of


class Tensors:
    """Every variable's tensors by layout; asking for a layout appends the step that makes it."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        self.steps: list[Step] = []
        self.chain_gain = 1.0
        self.memories: dict[Extent, BlockedMemory] = {}
        self.plain: dict[Var, Plain] = {}
        self.blocked: dict[Var, Blocked] = {}
        self.maps: dict[Var, Read] = {}
        self.tuples: dict[Var, tuple[Expr, ...]] = {}
        self.borders: dict[Var, Border] = {}
        self.clips: dict[Var, int] = {}
        self.planar: set[Var] = set()
        self.reasons: dict[Var, str] = {}
        self.arena = Arena(0, 0)
        self._copies: dict[tuple[Blocked, Border, int], Blocked] = {}
        self._constants: dict[Expr, Plain] = {}
        self._pinned: set[Plain] = set()

    # --- making tensors ---------------------------------------------------------------------

    def append(self, step: Step) -> None:
        """Add a step at the end of the program."""
        self.steps.append(step)

    def memory(self, extent: Extent) -> BlockedMemory:
        """The memory that holds the tensors of an extent."""
        return self.memories.setdefault(extent, BlockedMemory(extent))

    def new_blocked(
        self, name: str, plane: tuple[int, int, int], border: Border, positions: Array, blocks: int,
        lanes: int | None = None, clip: int | None = None,
    ) -> Blocked:  # fmt: skip
        """A blocked tensor over a plane (N, H, W), not yet placed."""
        extent = Extent(*plane, lanes or self.lanes, border, clip or plane[0])
        return Blocked(name, extent, positions, blocks, memory=self.memory(extent))

    def new_plain(self, var: Var) -> Plain:
        """A plain tensor for a variable."""
        self.plain[var] = Plain(var.name, shape_of(var), dtype_of(var))
        return self.plain[var]

    def alias(self, var: Var, source: Plain, shape: tuple[int, ...]) -> None:
        """The variable is the source under another shape."""
        self.plain[var] = attrs.evolve(source, shape=shape, root=source.root or source)

    def border_of(self, var: Var) -> Border:
        """What the halo of a variable's tensor holds."""
        return self.borders.get(var, "zero")

    def define_blocked(self, var: Var, tensor: Blocked) -> None:
        """The variable is this tensor; a halo that is not zero is filled at once."""
        self.blocked[var] = tensor
        if tensor.extent.border != "zero":
            self.append(FillStep(tensor))

    def define_item(self, var: Var, whole: Expr, index: int) -> None:
        """The variable is one field of a tuple."""
        field = self.tuples[whole][index]
        if field in self.blocked:
            self.blocked[var] = self.blocked[field]
        else:
            self.plain[var] = self.plain_of(field)

    # --- asking for a layout ----------------------------------------------------------------

    def blocked_of(self, var: Var) -> Blocked:
        """The variable in blocked layout (planar for an input that only convolutions read)."""
        if var in self.blocked:
            return self.blocked[var]
        if dtype_of(var) != "float32":
            raise OperatorError([var.name], f"no blocked layout for {dtype_of(var)}")
        n, channels, rows, columns = as_4d(shape_of(var))
        if var in self.maps and not isinstance(translation_of(self._map(var)), str):
            tensor, _ = self.repacked(self.view(self.maps[var]))
        else:
            lanes = 1 if var in self.planar else self.lanes
            positions, blocks = natural_positions(channels, lanes)
            plane = (n, rows, columns)
            border, clip = self.border_of(var), self.clips.get(var)
            tensor = self.new_blocked(var.name, plane, border, positions, blocks, lanes, clip)
            self.append(PackStep(self.plain_of(var), tensor, self.reasons.get(var, "")))
        self.define_blocked(var, tensor)
        return tensor

    def plain_of(self, value: Expr) -> Plain:
        """The value in plain layout."""
        if isinstance(value, GenericConst):
            if value not in self._constants:
                array = constant_of(value)
                assert array is not None
                self._constants[value] = Plain("constant", array.shape, str(array.dtype), value=array)
            return self._constants[value]
        if value in self.plain:
            return self.plain[value]
        result = Plain(value.name, shape_of(value), dtype_of(value))
        self._write_plain(value, result)
        self.plain[value] = result
        return result

    def _write_plain(self, var: Var, result: Plain) -> None:
        read = self.maps.get(var)
        if read is not None and isinstance(translation_of(self._map(var)), str):
            sources = tuple(self._in_arena(self.plain_of(s)) for s in read.sources)
            self.append(GatherStep(self._map(var), sources, result))
        else:
            view = self.view(read or Read((var,)))
            view.require_halo(Window(), view.plane[1], view.plane[2])
            view.memory.needs_zeros |= view.has_zeros
            self.append(UnpackStep(view, result))

    def deliver(self, value: Expr, address: Address) -> None:
        """Bring a value to an output of the program; there is nothing to bring where it has no elements."""
        if 0 in shape_of(value):
            return
        known = self.plain.get(value) if isinstance(value, Var) else None
        root = None if known is None else known.root or known
        if root is not None and root.address is None and root not in self._pinned:
            root.address = address
        elif isinstance(value, Var) and value not in self.plain:
            self._write_plain(value, Plain(value.name, shape_of(value), dtype_of(value), address))
        else:
            self._copy(self.plain_of(value), address)

    def _copy(self, source: Plain, address: Address | None = None) -> Plain:
        """A copy of a plain tensor, at an address or placed later."""
        copy = attrs.evolve(source, address=address, root=None, value=None)
        if source.bytes % 4:
            self.append(GenericStep(source.name, "copy", copy_of_bytes(source.bytes), (source,), (copy,)))
            return copy
        words = (1, 1, 1, source.bytes // 4)  # in one channel: a map is as large as it has channels
        self.append(GatherStep(IndexMap.identity(words), (source,), copy))
        return copy

    def _in_arena(self, tensor: Plain) -> Plain:
        """The tensor itself if it lies in the arena for good, else a copy that does."""
        root = tensor.root or tensor
        if root.address is not None or root.value is not None:
            return self._copy(tensor)
        self._pinned.add(root)
        return tensor

    def _map(self, var: Var) -> IndexMap:
        index_map = self.maps[var].map
        assert index_map is not None
        return index_map

    # --- views ------------------------------------------------------------------------------

    def view(self, read: Read) -> ChannelView:
        """An operand as a view of blocked tensors. The map must be a translation."""
        if read.map is None:
            tensor = self.blocked_of(read.sources[0])
            return ChannelView.whole(tensor, tensor.memory or self.memory(tensor.extent))
        translation = translation_of(read.map)
        if isinstance(translation, str):
            raise LoweringError(f"a map that is no translation was folded: {translation}")
        reads = translation.channels
        moves = not read.map.is_channels_only
        tensors = [self.blocked_of(source) for source in read.sources]
        if moves or len({t.extent for t in tensors}) > 1:
            # who does not move along the batch reads nothing between clips
            whole = tensors[0].extent
            clip = whole.clip if not translation.moves_batch else translation.clip or whole.batch
            tensors = [self._with_halo(t, translation.border, clip) for t in tensors]
        zero = np.array([r is None for r in reads])
        source = np.array([-1 if r is None else r.source for r in reads], np.int64)
        channel = np.array([0 if r is None else r.channel for r in reads], np.int64)
        position = np.zeros(len(reads), np.int64)
        for index, tensor in enumerate(tensors):
            position[source == index] = tensor.positions[channel[source == index]]
        offset = np.array([(0, 0, 0) if r is None else r.offset for r in reads], np.int64)
        offset[zero] = 0
        n, _, rows, columns = read.map.output
        memory = self.memory(tensors[0].extent)
        return ChannelView(
            tuple(tensors), memory, source, position, offset, translation.stride, (n, rows, columns)
        )

    def repacked(
        self, view: ChannelView, positions: Array | None = None, blocks: int | None = None
    ) -> tuple[Blocked, BlockedMemory]:
        """A copy of what a view shows, as a tensor of its own."""
        if positions is None or blocks is None:
            positions, blocks = natural_positions(view.channels, self.lanes)
        copy = self.new_blocked("copy", view.plane, "zero", positions, blocks)
        view.require_halo(Window(), view.plane[1], view.plane[2])
        view.memory.needs_zeros |= view.has_zeros
        self.append(RepackStep(view, copy))
        return copy, self.memory(copy.extent)

    def _with_halo(self, tensor: Blocked, border: Border, clip: int) -> Blocked:
        """The tensor, or a copy of it, with this border around every clip."""
        e = tensor.extent
        if (e.border, e.clip) == (border, clip) and e.lanes in (1, self.lanes):
            return tensor
        key = (tensor, border, clip)
        if key not in self._copies:
            plane = (e.batch, e.rows, e.columns)
            copy = self.new_blocked(
                tensor.name, plane, border, tensor.positions, tensor.blocks, e.lanes, clip
            )
            self.append(RepackStep(ChannelView.whole(tensor, self.memory(e)), copy))
            self._copies[key] = copy
            if border != "zero":
                self.append(FillStep(copy))
        return self._copies[key]
