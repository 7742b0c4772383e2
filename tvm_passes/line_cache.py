"""A cache of lines, least recently used: what `traffic` counts with."""

from __future__ import annotations

from collections import deque

import numpy as np

from .array import Array


class LineCache:
    """A fully associative cache: evicts what was used least recently, writes it back if it was written.

    Lines come in portions: within one, order does not count, and a portion is evicted as a whole, as far as
    later ones did not use its lines again.

    lines:    of the memory behind it, numbered from 0.
    capacity: how many it holds.
    """

    def __init__(self, lines: int, capacity: int) -> None:
        self.capacity = capacity
        self._held = np.zeros(lines, bool)
        self._dirty = np.zeros(lines, bool)
        self._last = np.zeros(lines, np.int64)
        self._portions: deque[tuple[int, Array]] = deque()
        self._now = 0
        self._size = 0

    def use(self, read: Array, written: Array) -> tuple[Array, Array]:
        """Read some lines, then write some: which of those read were not held, and which are written back.

        Each array names a line once. A line that is written need not be fetched.
        """
        missed = read[~self._held[read]]
        for lines in (read, written):
            self._size += int((~self._held[lines]).sum())
            self._held[lines] = True
        self._dirty[written] = True
        self._now += 1
        for lines in (read, written):
            self._last[lines] = self._now
            self._portions.append((self._now, lines))
        return missed, self._evict()

    def _evict(self) -> Array:
        """The lines that are written back so that no more are held than can be."""
        back = [np.zeros(0, np.int64)]
        while self._size > self.capacity:
            used, lines = self._portions.popleft()
            gone = lines[self._held[lines] & (self._last[lines] == used)]
            back.append(gone[self._dirty[gone]])
            self._held[gone] = self._dirty[gone] = False
            self._size -= len(gone)
        return np.concatenate(back)
