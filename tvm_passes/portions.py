"""Which lines of memory a kernel touches, in the order it walks: cut into portions of about a size.

    for run of blocks:  for pixels:  for blocks of the run:  read, then write

with as many pixels and blocks as make a portion. Everything that a program touches is numbered in lines, one
region behind the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, product

import attrs
import numpy as np

from .array import Array
from .lowered import Lowered
from .lowering.program import TensorType
from .sweeps import ITEM, Access, Span, Sweeps

Region = tuple[str, int]

Cut = tuple[slice, slice]
"""Some blocks and some pixels."""

_SPARSE = 8
"""Numbers of which more are left out than this many times their count are sorted."""
ARENA, CONSTANTS = ("arena", 0), ("constants", 0)


@attrs.frozen(eq=False)
class Portion:
    """Lines that are read, and lines that are written: each once."""

    read: Array
    written: Array


@attrs.frozen(eq=False)
class Lines:
    """The lines of a program's memory: of the arena first, then of constants, inputs and outputs.

    starts: of every region, and of what is behind the last.
    size:   bytes of a line.
    """

    starts: dict[Region, int]
    total: int
    size: int
    _order: Array

    @classmethod
    def of(cls, lowered: Lowered, size: int) -> Lines:
        """Of a lowered program."""
        sizes: dict[Region, int] = {ARENA: lowered.arena_bytes, CONSTANTS: lowered.constants.nbytes}
        for region, tensors in (("input", lowered.inputs), ("output", lowered.outputs)):
            sizes |= {(region, index): _bytes(tensor) for index, tensor in enumerate(tensors)}
        *starts, total = accumulate((-(-number // size) for number in sizes.values()), initial=0)
        return cls(dict(zip(sizes, starts, strict=True)), total, size, np.zeros(total, np.int64))

    def of_arena(self, lines: Array) -> int:
        """Bytes of those of the arena."""
        return int((lines < self.starts[CONSTANTS]).sum()) * self.size

    def of_constants(self, lines: Array) -> int:
        """Bytes of those of weights and tables."""
        behind = min(start for start in self.starts.values() if start > self.starts[CONSTANTS])
        return int((lines < behind).sum()) * self.size - self.of_arena(lines)

    def whole(self, sweeps: Sweeps) -> Portion:
        """All that an invocation touches."""
        return self._portion(sweeps, slice(0, sweeps.blocks), slice(0, sweeps.pixels))

    def portion(self, sweeps: Sweeps, cut: Cut) -> Portion:
        """What these blocks and pixels touch."""
        return self._portion(sweeps, *cut)

    def cuts(self, sweeps: Sweeps, whole: Portion, limit: int) -> Iterator[Cut]:
        """The blocks and pixels of an invocation in order, in portions of about so many lines."""
        count = max(1, -(-(len(whole.read) + len(whole.written)) // limit))
        chunks = _cut(slice(0, sweeps.pixels), -(-sweeps.pixels // sweeps.chunk), sweeps.step)
        runs = _cut(slice(0, sweeps.blocks), -(-count // len(chunks)), sweeps.run)
        for chunk, run in product(chunks, runs):
            parts = _cut(chunk, -(-count // (len(chunks) * len(runs))), sweeps.step)
            for pixels in parts:
                for blocks in _cut(run, -(-count // (len(chunks) * len(runs) * len(parts)))):
                    yield blocks, pixels

    def _portion(self, sweeps: Sweeps, blocks: slice, pixels: slice) -> Portion:
        read = [self._spanned(span, sweeps, blocks, pixels) for span in sweeps.spans]
        written: list[Array] = []
        for access in sweeps.accesses:
            lines = self._accessed(access, blocks, pixels)
            (written if access.writes else read).append(lines)
        return Portion(self._distinct(read), self._distinct(written))

    def _accessed(self, access: Access, blocks: slice, pixels: slice) -> Array:
        """The lines of an access, some several times."""
        items = self.size // ITEM
        bases = _chosen(access.bases, blocks).reshape(-1) + access.address.offset // ITEM
        if access.width > 1:
            within = np.array([*range(0, access.width, items), access.width - 1])
            bases = (bases[:, None] + np.unique(within // items * items)).reshape(-1)
        line, rest = np.divmod(_unique(_chosen(access.pixels, pixels)), items)
        found = [
            (_unique((bases + shift) // items)[:, None] + line[rest == shift]).reshape(-1)
            for shift in (np.unique(rest) if rest.any() else (0,))
        ]
        return np.concatenate(found) + self.starts[access.address.region, access.address.index]

    def _spanned(self, span: Span, sweeps: Sweeps, blocks: slice, pixels: slice) -> Array:
        """The lines of constants that these blocks and pixels take."""
        part, parts = slice(0, 1), 1
        if span.shares == "block":
            part, parts = blocks, sweeps.blocks
        elif span.shares == "pixel":
            part, parts = pixels, sweeps.pixels
        size, start = span.items * ITEM, self.starts[span.address.region, span.address.index]
        first = span.address.offset + part.start * size // parts
        last = span.address.offset + -(-part.stop * size // parts)
        return np.arange(start + first // self.size, start + -(-last // self.size))

    def _distinct(self, arrays: Sequence[Array]) -> Array:
        """Every line once: that which wrote its number last."""
        if not arrays:
            return np.zeros(0, np.int64)
        lines = np.concatenate(arrays)
        numbers = np.arange(len(lines))
        self._order[lines] = numbers
        return np.asarray(lines[self._order[lines] == numbers])


def _unique(numbers: Array) -> Array:
    """Every number once, in order: as `np.unique`, which takes ten times as long where they are dense."""
    if not numbers.size:
        return numbers
    low, high = int(numbers.min()), int(numbers.max())
    if high - low > _SPARSE * numbers.size:
        return np.unique(numbers)
    there = np.zeros(high - low + 1, np.bool_)
    there[numbers - low] = True
    return np.flatnonzero(there) + low


def _bytes(tensor: TensorType) -> int:
    return int(np.prod(tensor.shape, dtype=np.int64)) * np.dtype(tensor.dtype).itemsize


def _chosen(table: Array, rows: slice) -> Array:
    """The rows of some blocks or pixels; one row is that of all."""
    return table if len(table) == 1 else table[rows]


def _cut(whole: slice, parts: int, unit: int = 1) -> list[slice]:
    """At most so many runs, about equal, of whole units but the last."""
    units = -(-(whole.stop - whole.start) // unit)
    size = -(-units // min(parts, units)) * unit
    return [slice(at, min(at + size, whole.stop)) for at in range(whole.start, whole.stop, size)]
