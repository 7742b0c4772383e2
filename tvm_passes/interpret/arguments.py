"""What a kernel's arguments stand for while it is interpreted: every read is checked.

An argument is an address, and the tensors behind it are known. A read is right where the word holds what it
should hold as one of these tensors lies, or lies in the zeros that the arena begins with. What is wrong
becomes NaN, which the reference functions carry into all that is computed from it: so lanes that no channel
takes may be read by whoever computes nothing but such lanes from them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import attrs
import numpy as np

import schedules
from schedules.template import Kernel

from ..array import Array
from ..lowering.context import Invocation
from ..placement import Address, Plain
from .errors import ProgramError, Where
from .memories import Memories, Words
from .places import NOTHING, REMAINS, UNUSED, WORD, ZERO, Memory, Place, Places, memory_of, words_of


@attrs.frozen(eq=False)
class State:
    """What a program's invocations have in common.

    tables:  by offset and extent, those that were read.
    weights: by kernel and offset, unpacked.
    """

    memories: Memories
    places: Places
    tables: dict[tuple[int, int, str], Array] = attrs.Factory(dict)
    weights: dict[tuple[str, int], Array] = attrs.Factory(dict)


@attrs.frozen(eq=False)
class Fault:
    """A word that must not be read, and the argument it is read through."""

    name: str
    word: int


class Arguments:
    """Operands of a kernel for the reference functions.

    forgiving: what must not be read is zero in place of NaN, and noted in `faults`.
    reads:     the words that were read, by argument and memory.
    """

    def __init__(self, state: State, invocation: Invocation, where: Where, forgiving: bool = False) -> None:
        assert invocation.kernel is not None
        self.state, self.where, self.forgiving = state, where, forgiving
        self.kernel: Kernel = invocation.kernel
        self.touched = invocation.touched
        self.at: dict[str, Address] = dict(zip(self.kernel.parameters, invocation.arguments, strict=True))
        self.faults: list[Fault] = []
        self.reads: list[tuple[str, Memory, Array]] = []

    # --- constants --------------------------------------------------------------------------

    def table(self, name: str) -> Array:
        """Offsets, int64, flat. Raises ProgramError for one that ends beyond the constants."""
        return self._constant(name, "int32", np.int64)

    def constant(self, name: str) -> Array:
        """Numbers, float64, flat. Raises ProgramError for some that end beyond the constants."""
        return self._constant(name, "float32", np.float64)

    def weights(self) -> Array:
        """As they were before they were packed, float64."""
        key = self.kernel.name, self.at["k"].offset
        if key not in self.state.weights:
            packed = self.constant("k").astype(np.float32)
            self.state.weights[key] = schedules.unpack_weights(self.kernel, packed).astype(np.float64)
        return self.state.weights[key]

    def _constant(self, name: str, stored: str, wanted: type) -> Array:
        address, (_, extent) = self.at[name], self.kernel.buffers[name]
        key = address.offset, extent, stored
        if key not in self.state.tables:
            words = self.state.memories["constants", 0]
            start = address.offset // WORD
            if address.region != "constants" or start < 0 or start + extent > words.size:
                raise ProgramError(self.where, f"{name} reaches beyond the constants")
            values = words.values[start : start + extent].view(stored)
            self.state.tables[key] = values.astype(wanted)
        return self.state.tables[key]

    # --- memory -----------------------------------------------------------------------------

    def words(self, name: str) -> Words:
        """The memory that an argument is an address of."""
        return self.state.memories[memory_of(self.at[name])]

    def absolute(self, name: str, index: Array) -> Array:
        """The words of these elements. Raises ProgramError where there are none."""
        address = self.at[name]
        first, end = 0, self.words(name).size
        if address.region == "constants" and name in self.touched.reads:
            first = address.offset // WORD
            (tensor,) = self.touched.reads[name]
            assert isinstance(tensor, Plain)
            end = min(end, first + words_of(tensor.bytes))
        absolute = index + address.offset // WORD
        if absolute.size and (absolute.min() < first or absolute.max() >= end):
            wrong = int(absolute[(absolute < first) | (absolute >= end)].flat[0])
            does = "writes" if name == "y" else "reads"
            raise ProgramError(self.where, f"{name} {does} word {wrong} outside of {_of(address)}")
        return absolute

    def read(self, name: str, index: Array) -> Array:
        """Elements of a tensor, float64: NaN, or zero for who is forgiving, where they must not be read."""
        absolute = self.absolute(name, index)
        words = self.words(name)
        self.reads.append((name, memory_of(self.at[name]), absolute))
        if words.holds is None:
            return words.values[absolute].astype(np.float64)
        if self.forgiving:
            wrong = self.wrong(name, absolute)
            self.faults += [Fault(name, int(word)) for word in np.unique(absolute[wrong])]
            return np.where(wrong, 0, words.values[absolute]).astype(np.float64)
        with self._laid(name, absolute) as laid:
            for part, place in laid:
                right = words.holds[part] == _of_place(place, part)
                words.seen[part] = np.where(right, words.values[part], np.nan)
            values = words.seen[absolute].astype(np.float64)
            for part, _ in laid:
                words.seen[part] = np.nan
        return values

    def wrong(self, name: str, absolute: Array) -> Array:
        """Which of these words must not be read through an argument."""
        words = self.words(name)
        if words.holds is None:
            return np.zeros(absolute.shape, bool)
        with self._laid(name, absolute) as laid:
            for part, place in laid:
                words.wanted[part] = _of_place(place, part)
            wrong = words.holds[absolute] != words.wanted[absolute]
            for part, _ in laid:
                words.wanted[part] = NOTHING
        return np.asarray(wrong)

    def places(self, name: str) -> list[Place]:
        """Those of the tensors that an argument is an address of."""
        memory = memory_of(self.at[name])
        tensors = self.touched.reads.get(name, ())
        placed = (self.state.places.of(t) for t in tensors if not isinstance(t, Plain) or t.value is None)
        return [place for place in placed if place.memory == memory]

    @contextmanager
    def _laid(self, name: str, absolute: Array) -> Iterator[list[tuple[slice, Place]]]:
        """The parts of places among which these words lie."""
        laid = []
        if absolute.size:
            low, high = int(absolute.min()), int(absolute.max()) + 1
            for place in self.places(name):
                part = slice(max(low, place.start), min(high, place.stop))
                if part.start < part.stop:
                    laid.append((part, place))
        yield laid

    # --- saying what is wrong ---------------------------------------------------------------

    def explain(self, fault: Fault) -> ProgramError:
        """What is read there that must not be."""
        holds = self.words(fault.name).holds
        assert holds is not None
        found = held(self.state.places, int(holds[fault.word]))
        for place in self.places(fault.name):
            if place.start <= fault.word < place.stop:
                expected = int(place.holds[fault.word - place.start])
                where = attrs.evolve(self.where, tensor=place.name)
                if expected >= 0:
                    tensor, index = self.state.places.element(expected)
                    where = attrs.evolve(where, tensor=tensor, index=index)
                    return ProgramError(where, f"{fault.name} reads {found} in its place")
                what = "its halo" if expected == ZERO else "what is no element of it"
                return ProgramError(where, f"{fault.name} reads {what} and finds {found}")
        names = ", ".join(place.name for place in self.places(fault.name)) or "nothing"
        return ProgramError(
            attrs.evolve(self.where, tensor=names),
            f"{fault.name} reads {found} at word {fault.word}, where none of these tensors lies",
        )

    def worst(self) -> Fault:
        """Of what was read wrongly, what is not just a lane that no channel takes, if there is such."""

        def is_lane(fault: Fault) -> bool:
            holds = self.words(fault.name).holds
            return holds is not None and int(holds[fault.word]) == UNUSED

        return next((fault for fault in self.faults if not is_lane(fault)), self.faults[0])


def held(places: Places, number: int) -> str:
    """What a word holds, in words."""
    if number >= 0:
        return "{}{}".format(*places.element(number))
    known = {
        ZERO: "memory that nobody wrote",
        REMAINS: "the remains of a run",
        UNUSED: "a lane without a channel",
    }
    return known[number]


def _of_place(place: Place, part: slice) -> Array:
    return place.holds[part.start - place.start : part.stop - place.start]


def _of(address: Address) -> str:
    return f"the {address.region}" + (f" {address.index}" if address.region in ("input", "output") else "")
