"""What an invocation stores, checked: every word belongs to the tensor that it writes."""

from __future__ import annotations

import attrs
import numpy as np

from schedules.reference import copied, evaluate
from schedules.workload import Elementwise, GroupedWinograd, WinogradInput, WinogradOutput

from ..array import Array
from ..lowering.context import Invocation
from .arguments import Arguments, Fault, State, held
from .errors import ProgramError, Where
from .memories import Words
from .places import ELEMENT, GAP, HALO, HALO_LANE, LANE, REMAINS, UNUSED, ZERO, Memory, Place, memory_of

_ALLOWED = {"elements": (ELEMENT, LANE), "halo": (HALO, HALO_LANE), "rows": (ELEMENT, LANE, HALO, GAP)}
"""Which words of a tensor's place may be written, by what is."""
_WHAT = ("an element", "an element", "its halo", "its halo", "beside its planes")


@attrs.frozen(eq=False)
class Accesses:
    """The words that an invocation reads and writes, by memory."""

    reads: list[tuple[Memory, Array]]
    writes: list[tuple[Memory, Array]]


class _Target:
    """The tensor that a kernel writes."""

    def __init__(self, state: State, invocation: Invocation, where: Where, arguments: Arguments) -> None:
        (tensor,) = invocation.touched.writes
        self.state, self.where, self.arguments = state, where, arguments
        self.place: Place = state.places.of(tensor)
        self.memory = memory_of(arguments.at["y"])
        self.part = invocation.touched.part

    @property
    def words(self) -> Words:
        return self.state.memories[self.memory]

    def locate(self, index: Array) -> Array:
        """The words of these elements of `y`. Raises ProgramError unless they are the tensor's."""
        absolute = self.arguments.absolute("y", index)
        place = self.place
        if self.memory != place.memory:
            raise ProgramError(self.at(None), f"is written into the {self.memory[0]}")
        outside = (absolute < place.start) | (absolute >= place.stop)
        if outside.any():
            word = int(absolute[outside].flat[0])
            raise ProgramError(self.at(None), f"writes word {word} outside of its place")
        wrong = ~np.isin(place.parts[absolute - place.start], _ALLOWED[self.part])
        if wrong.any():
            word = int(absolute[wrong].flat[0])
            what = _WHAT[int(place.parts[word - place.start])]
            raise ProgramError(self.at(word), f"writes {what} at word {word} where it writes its {self.part}")
        return absolute

    def must_be_apart(self, absolute: Array, values: Array, alone: Array | None) -> None:
        """Raises ProgramError where a word is written twice.

        alone: the words that may be, because the last one counts: that of the tile's first pixel, and those
               of tiles that are computed again. None: there are none.
        """
        flat = absolute.reshape(-1)
        stamp = self.words.stamp
        stamp[flat] = np.arange(flat.size)
        again = stamp[flat] != np.arange(flat.size)
        if alone is not None and again.any():
            mine, last = values.reshape(-1), values.reshape(-1)[stamp[flat]]
            same = (mine == last) | (np.isnan(mine) & np.isnan(last))
            again &= (flat != alone.reshape(-1)) & ~same
        if again.any():
            word = int(flat[again][0])
            raise ProgramError(self.at(word), f"writes word {word} twice")

    def must_not_be_read(self, absolute: Array) -> None:
        """Raises ProgramError where the kernel reads what it writes, unless at the same element."""
        words = self.words
        words.written[absolute] = True
        try:
            for name, memory, read in self.arguments.reads:
                if memory != self.memory:
                    continue
                both = words.written[read] & ~self.arguments.wrong(name, read)
                if name != "x" and read.shape == absolute.shape:
                    both &= read != absolute
                if both.any():
                    word = int(read[both].flat[0])
                    raise ProgramError(self.at(word), f"{name} reads word {word}, which the kernel writes")
        finally:
            words.written[absolute] = False

    def overlaps_reads(self) -> bool:
        """Whether a tensor that the kernel reads lies where this one does."""
        names = {name for name, _, _ in self.arguments.reads}
        places = (place for name in names for place in self.arguments.places(name))
        return any(
            p.memory == self.place.memory and p.start < self.place.stop and self.place.start < p.stop
            for p in places
        )

    def hold(self, absolute: Array, lost: Array | None = None) -> None:
        """The words hold now what belongs there; those that are `lost`, nothing."""
        holds = self.words.holds
        assert holds is not None
        inside = absolute - self.place.start
        parts = self.place.parts[inside]
        kept = (parts == ELEMENT) | (parts == HALO)
        other = np.where((parts == LANE) | (parts == HALO_LANE), UNUSED, REMAINS)
        held = np.where(kept, self.place.holds[inside], other)
        holds[absolute] = held if lost is None else np.where(lost & kept, UNUSED, held)

    def live(self, absolute: Array) -> Array:
        """Which of the words hold something that is read later."""
        parts = self.place.parts[absolute - self.place.start]
        return np.asarray((parts == ELEMENT) | (parts == HALO))

    def wanted(self, absolute: Array) -> Array:
        """What the words are to hold."""
        return np.asarray(self.place.holds[absolute - self.place.start])

    def at(self, word: int | None) -> Where:
        where = attrs.evolve(self.where, tensor=self.place.name)
        if word is not None and self.place.start <= word < self.place.stop:
            number = int(self.place.holds[word - self.place.start])
            if number >= 0:
                tensor, index = self.state.places.element(number)
                return attrs.evolve(where, tensor=tensor, index=index)
        return where


def run_kernel(state: State, invocation: Invocation, where: Where) -> Accesses:
    """What a kernel does. Raises ProgramError for what it must not."""
    assert invocation.kernel is not None
    workload = invocation.kernel.workload
    arguments = Arguments(state, invocation, where)
    target = _Target(state, invocation, where, arguments)
    if isinstance(workload, Elementwise) and not workload.epilogue:
        absolute = _copy(workload, arguments, target)
    else:
        absolute = _compute(workload, invocation, arguments, target)
    reads = [(memory, words) for _, memory, words in arguments.reads]
    return Accesses(reads, [(target.memory, absolute)])


def _copy(workload: Elementwise, arguments: Arguments, target: _Target) -> Array:
    """Copies words, whatever they mean. The words that are written."""
    source, index = copied(workload, arguments)
    source, absolute = arguments.absolute("x", source), target.locate(index)
    words = arguments.words("x")
    wrong, live = arguments.wrong("x", source), target.live(absolute)
    if (wrong & live).any():
        raise arguments.explain(Fault("x", int(source[wrong & live].flat[0])))
    arguments.reads.append(("x", memory_of(arguments.at["x"]), source))
    values = words.values.view(np.uint32)[source]
    if target.part != "elements" and words.holds is not None:
        found, wanted = words.holds[source], target.wanted(absolute)
        # rows keep what they are, and a halo of zeros gets zeros
        differs = live & (found != wanted) & ((target.part == "rows") | (wanted == ZERO))
        if differs.any():
            word = int(absolute[differs].flat[0])
            what = held(arguments.state.places, int(found[differs].flat[0]))
            raise ProgramError(target.at(word), f"gets {what} at word {word}")
    target.must_be_apart(absolute, values, None)
    if target.overlaps_reads():
        target.must_not_be_read(absolute)
    target.words.values.view(np.uint32)[absolute] = values
    target.hold(absolute, wrong)
    return absolute


def _compute(workload: object, invocation: Invocation, arguments: Arguments, target: _Target) -> Array:
    """Evaluates a workload and stores its results. The words that are written."""
    stores = evaluate(workload, arguments)  # type: ignore[arg-type]
    absolute, values = target.locate(stores.index), stores.values
    lost = None
    if (np.isnan(values) & target.live(absolute)).any():
        again = Arguments(arguments.state, invocation, arguments.where, forgiving=True)
        clean = evaluate(workload, again).values  # type: ignore[arg-type]
        lost = np.isnan(values) & ~np.isnan(clean)
        # lanes of scratch memory are not told apart: what is lost there must not be read
        if (lost & target.live(absolute)).any() and not isinstance(workload, WinogradInput):
            raise again.explain(again.worst())
    alone = None
    if isinstance(workload, WinogradOutput | GroupedWinograd):
        alone = np.broadcast_to(absolute[:, :, -1:], absolute.shape)
    target.must_be_apart(absolute, values, alone)
    if target.overlaps_reads():
        target.must_not_be_read(absolute)
    with np.errstate(over="ignore", invalid="ignore"):
        target.words.values[absolute] = values.astype(np.float32)
    target.hold(absolute, lost)
    return absolute
