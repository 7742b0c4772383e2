"""Whether runs that may be made at the same time keep out of each other's way."""

from __future__ import annotations

import numpy as np

from ..array import Array
from .arguments import held
from .errors import ProgramError, Where
from .memories import Memories
from .places import ZERO, Memory, Places
from .stores import Accesses

_NOBODY, _SEVERAL, _ZEROS = -1, -2, 1


class Races:
    """The words that the runs of a phase read and write, by the run's number."""

    def __init__(self, memories: Memories, places: Places) -> None:
        self._memories, self._places = memories, places
        self._readers: dict[Memory, Array] = {}
        self._writers: dict[Memory, Array] = {}
        self._zeroed: dict[Memory, Array] = {}

    def note(self, run: int, accesses: Accesses, where: Where) -> None:
        """Takes note of what an invocation of a run did.

        Two may write zeros into the same halo: it does not matter who is the last.
        Raises ProgramError where it writes what another run reads or writes, or reads what one writes.
        """
        for memory, words in accesses.reads:
            if self._memories[memory].holds is not None:
                writers, readers = self._of(self._writers, memory), self._of(self._readers, memory)
                self._refuse(_others(writers[words], run), memory, words, where, "reads", "writes")
                before = readers[words]
                readers[words] = np.where(_others(before, run), _SEVERAL, run)
        for memory, words in accesses.writes:
            writers, readers = self._of(self._writers, memory), self._of(self._readers, memory)
            zeroed = self._of(self._zeroed, memory)
            holds = self._memories[memory].holds
            assert holds is not None
            zeros = holds[words] == ZERO
            both = _others(writers[words], run) & ~(zeros & (zeroed[words] == _ZEROS))
            self._refuse(both, memory, words, where, "writes", "writes")
            self._refuse(_others(readers[words], run), memory, words, where, "writes", "reads")
            writers[words] = run
            zeroed[words] = np.where(zeros, _ZEROS, _NOBODY)

    def _of(self, runs: dict[Memory, Array], memory: Memory) -> Array:
        if memory not in runs:
            runs[memory] = np.full(self._memories[memory].size, _NOBODY, np.int32)
        return runs[memory]

    def _refuse(self, met: Array, memory: Memory, words: Array, where: Where, does: str, also: str) -> None:
        if met.any():
            word = int(words[met].flat[0])
            holds = self._memories[memory].holds
            assert holds is not None
            what = held(self._places, int(holds[word]))
            raise ProgramError(
                where, f"{does} word {word} ({what}), which another task {also} at the same time"
            )


def _others(runs: Array, run: int) -> Array:
    return np.asarray((runs != _NOBODY) & (runs != run))
