"""The memories of a program while it is interpreted: what their words are, and what they hold."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np

from ..array import Array
from ..lowered import Lowered
from .places import NOTHING, REMAINS, WORD, ZERO, Memory, words_of


@attrs.frozen(eq=False)
class Words:
    """One memory.

    values:  float32 [words].
    holds:   int64 [words]: which element each word is, or ZERO, REMAINS, UNUSED; None: whatever is read
             there is right, and nobody may write.
    seen:    float32 [words]: NaN, but while an argument is read.
    wanted:  int64 [words]: NOTHING, but while an argument is read.
    written: bool [words]: False, but while a result is stored.
    stamp:   int64 [words]: of use while a result is stored.
    """

    values: Array
    holds: Array | None
    seen: Array
    wanted: Array
    written: Array
    stamp: Array

    @classmethod
    def of(cls, values: Array, holds: Array | None) -> Words:
        """A memory with these words."""
        size = 0 if holds is None else len(values)
        seen, wanted = np.full(size, np.nan, np.float32), np.full(size, NOTHING, np.int64)
        return cls(values, holds, seen, wanted, np.zeros(size, bool), np.zeros(size, np.int64))

    @property
    def size(self) -> int:
        return len(self.values)


class Memories:
    """All memories of a program that has these inputs."""

    def __init__(self, lowered: Lowered, inputs: Sequence[Array]) -> None:
        self.zeros = lowered.zero_bytes // WORD
        arena = words_of(lowered.arena_bytes)
        self.arena = Words.of(np.zeros(arena, np.float32), np.full(arena, ZERO))
        self.arena.seen[: self.zeros] = 0
        self.arena.wanted[: self.zeros] = ZERO
        self._lowered = lowered
        self._memories: dict[Memory, Words] = {("arena", 0): self.arena}
        self._memories["constants", 0] = Words.of(_words(lowered.constants), None)
        for index, array in enumerate(inputs):
            self._memories["input", index] = Words.of(_words(array), None)
        self.next_run()

    def next_run(self) -> None:
        """What the arena holds is now of the run before; outputs are new."""
        assert self.arena.holds is not None
        self.arena.holds[self.arena.holds >= 0] = REMAINS
        for index, tensor in enumerate(self._lowered.outputs):
            size = words_of(int(np.prod(tensor.shape, dtype=np.int64)) * np.dtype(tensor.dtype).itemsize)
            self._memories["output", index] = Words.of(
                np.full(size, np.nan, np.float32), np.full(size, REMAINS, np.int64)
            )

    def __getitem__(self, memory: Memory) -> Words:
        return self._memories[memory]

    def bytes(self, memory: Memory) -> Array:
        """A memory as bytes."""
        return self._memories[memory].values.view(np.uint8)

    def outputs(self) -> list[Array]:
        """What the program has written."""
        results = []
        for index, tensor in enumerate(self._lowered.outputs):
            size = int(np.prod(tensor.shape, dtype=np.int64)) * np.dtype(tensor.dtype).itemsize
            raw = self.bytes(("output", index))[:size]
            results.append(raw.view(tensor.dtype).reshape(tensor.shape).copy())
        return results


def _words(array: Array) -> Array:
    """The array's bytes as words, float32, the last one filled up."""
    raw = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    words = np.zeros(words_of(raw.size) * WORD, np.uint8)
    words[: raw.size] = raw
    return words.view(np.float32)
