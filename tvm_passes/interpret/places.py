"""What every word of a tensor's place should hold: numbers that tell all elements of all tensors apart.

The memories of a program are words of four bytes. An element of a tensor has a number of its own, the same
whenever the tensor lies elsewhere, as in the course of a chain; a word of a halo of zeros has none, it is
just zero.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import numpy as np

from ..array import Array
from ..geometry import Halo
from ..placement import Address, Blocked, Plain, RollingMemory, Tensor

WORD = 4
"""Bytes."""
ZERO = -1
"""A word that nobody wrote since the arena was zeroed, or that was cleared."""
REMAINS = -2
"""A word of a tensor that is no longer alive, or of the run before."""
UNUSED = -3
"""A word of a lane that no channel takes: it may hold anything."""
NOTHING = -4
"""Of what is expected: nothing, nobody may read the word."""

ELEMENT, LANE, HALO, HALO_LANE, GAP = range(5)
"""What a word of a place is for: an element, a lane that no channel takes, what is read around the planes,
lanes there that no channel takes, what is not read."""

Memory = tuple[str, int]
"""A memory of the program: its region and, of inputs and outputs, which."""


@attrs.frozen(eq=False)
class Place:
    """Where a tensor lies.

    start: its first word.
    holds: by word, what it should hold: an element's number, ZERO or NOTHING.
    parts: by word, what it is for.
    """

    name: str
    memory: Memory
    start: int
    holds: Array
    parts: Array

    @property
    def stop(self) -> int:
        return self.start + len(self.holds)

    @property
    def slice(self) -> slice:
        return slice(self.start, self.stop)


@attrs.frozen(eq=False)
class _Numbered:
    """The numbers of a tensor's elements.

    shape: the array that they count, a row-major one.
    """

    tensor: Tensor
    first: int
    shape: tuple[int, ...]


class Places:
    """Numbers all tensors' elements; says where tensors lie, and whose element a number is.

    named: what a tensor is called in messages, by its name.
    """

    def __init__(self, named: Callable[[str], str] = str) -> None:
        self.named = named
        self._numbered: dict[Tensor, _Numbered] = {}
        self._places: dict[tuple[Tensor, int, int], Place] = {}
        self._firsts: list[int] = []
        self._end = 0

    def of(self, tensor: Tensor) -> Place:
        """The place of a tensor as it lies; of a constant, none is known."""
        root = tensor.root or tensor
        memory = tensor.memory if isinstance(tensor, Blocked) else None
        key = (root, memory.first, memory.image) if isinstance(memory, RollingMemory) else (root, 0, 0)
        if key not in self._places:
            self._places[key] = _plain(self, root) if isinstance(root, Plain) else self._blocked(tensor)
        return self._places[key]

    def numbered(self, tensor: Tensor, shape: tuple[int, ...]) -> int:
        """The number of the tensor's first element, of an array of so many."""
        if tensor not in self._numbered:
            self._numbered[tensor] = _Numbered(tensor, self._end, shape)
            self._firsts.append(self._end)
            self._end += int(np.prod(shape, dtype=np.int64))
        return self._numbered[tensor].first

    def element(self, number: int) -> tuple[str, str]:
        """The name of the tensor whose element has this number, and the element's index."""
        position = int(np.searchsorted(self._firsts, number, side="right")) - 1
        numbered = list(self._numbered.values())[position]
        inside = np.unravel_index(number - numbered.first, numbered.shape)
        return self.named(numbered.tensor.name), _index(numbered.tensor, [int(i) for i in inside])

    def _blocked(self, tensor: Tensor) -> Place:
        assert isinstance(tensor, Blocked)
        holds, parts = (
            _rolling(self, tensor) if isinstance(tensor.memory, RollingMemory) else _planes(self, tensor)
        )
        assert tensor.base is not None
        start = tensor.address.offset // WORD + tensor.base
        name = self.named(tensor.name)
        return Place(name, memory_of(tensor.address), start, holds.reshape(-1), parts.reshape(-1))


def memory_of(address: Address) -> Memory:
    """The memory that an address lies in."""
    return address.region, address.index


def words_of(size: int) -> int:
    """Of so many bytes."""
    return -(-size // WORD)


def _plain(places: Places, tensor: Plain) -> Place:
    words = words_of(tensor.bytes)
    first = places.numbered(tensor, (words,))
    address = tensor.address
    assert address is not None, f"{tensor.name} was never placed"
    holds = first + np.arange(words)
    name = places.named(tensor.name)
    return Place(name, memory_of(address), address.offset // WORD, holds, np.zeros(words, np.int8))


def _lanes(tensor: Blocked) -> Array:
    """Which lanes of all blocks hold a channel: bool [blocks, lanes]."""
    used = np.zeros(tensor.blocks * tensor.extent.lanes, bool)
    used[tensor.positions] = True
    return used.reshape(tensor.blocks, -1)


def _planes(places: Places, tensor: Blocked) -> tuple[Array, Array]:
    """(holds, parts) of whole planes: [blocks, clips, batch of a clip, rows, columns, lanes]."""
    geometry = tensor.geometry
    if tensor.is_callers:  # row-major, and no halo: [images, channels, rows, columns]
        e = tensor.extent
        of_images = (e.batch, tensor.channels, e.rows, e.columns)
        first = places.numbered(tensor, of_images)
        return first + np.arange(np.prod(of_images)), np.zeros(of_images, np.int8)
    shape = (tensor.blocks, *geometry.shape)
    numbers = places.numbered(tensor, shape) + np.arange(np.prod(shape)).reshape(shape)
    used = _lanes(tensor)[:, None, None, None, None, :]
    if tensor.extent.border == "zero":
        parts = np.full(shape, GAP, np.int8)
        parts[geometry.within(tensor.halo)] = HALO
    else:  # filled for whoever reads tensors of its extent
        parts = np.broadcast_to(np.where(used, HALO, HALO_LANE).astype(np.int8), shape).copy()
    lanes = np.where(used, ELEMENT, LANE)
    inner = parts[geometry.within(Halo())]
    parts[geometry.within(Halo())] = np.broadcast_to(lanes, inner.shape)
    halo = ZERO if tensor.extent.border == "zero" else numbers
    holds = np.where(parts == ELEMENT, numbers, np.where(parts == HALO, halo, NOTHING))
    return holds, parts


def _rolling(places: Places, tensor: Blocked) -> tuple[Array, Array]:
    """(holds, parts) of the rows that a ring keeps now: [blocks, rows, columns, lanes]."""
    memory, e = tensor.memory, tensor.extent
    assert isinstance(memory, RollingMemory)
    (before, after), lanes = memory.halo.columns, e.lanes
    first = places.numbered(tensor.root or tensor, (tensor.blocks, e.batch, e.rows, e.columns, lanes))
    shape = (tensor.blocks, memory.kept, before + e.columns + after, lanes)
    parts = np.full(shape, GAP, np.int8)
    parts[:, :, before - tensor.halo.columns[0] : before + e.columns + tensor.halo.columns[1]] = HALO
    rows = memory.first + np.arange(memory.kept)
    inside = (rows >= 0) & (rows < e.rows)
    parts[:, ~inside] = HALO
    used = np.where(_lanes(tensor), ELEMENT, LANE)[:, None, None, :]
    parts[:, inside, before : before + e.columns] = used
    image = (np.arange(tensor.blocks) * e.batch + memory.image)[:, None, None, None]
    row = (image * e.rows + rows[:, None, None]) * e.columns
    column = np.arange(-before, e.columns + after)[:, None]
    numbers = first + (row + column) * lanes + np.arange(lanes)
    holds = np.where(parts == ELEMENT, numbers, np.where(parts == HALO, ZERO, NOTHING))
    return holds, parts


def _index(tensor: Tensor, inside: list[int]) -> str:
    """An element's index as a person would write it: [n, c, y, x], or the word of a plain tensor."""
    if isinstance(tensor, Plain):
        return f" word {inside[0]}"
    if tensor.is_callers:
        return str(inside)
    block, *image, y, x, lane = inside
    channel = _channel(tensor, block * tensor.extent.lanes + lane)
    if isinstance(tensor.memory, RollingMemory):
        return f"[{image[0]}, {channel}, {y}, {x}]"
    halo, clip = tensor.geometry.halo, tensor.extent.clip
    n = image[0] * clip + image[1] - halo.batch[0]
    return f"[{n}, {channel}, {y - halo.rows[0]}, {x - halo.columns[0]}]"


def _channel(tensor: Blocked, position: int) -> str:
    found = np.flatnonzero(tensor.positions == position)
    return str(int(found[0])) if len(found) else f"lane {position}"
