"""Traffic beyond the second cache, counted by a model: intermediates that are read again after they left it.

The lowered program is walked as one core runs it: step by step, invocation by invocation, tile by tile of
a chain. Its address tables say which lines of memory a kernel reads and writes (`accesses`), and an LRU
cache of `MachineParameters.l2_bytes` says which of them are still there (`line_cache`). Lines are those of
the arena: tensors that are overlaid on others, rings of chains and scratch memory count as the memory that
they lie in. Weights, tables, inputs and outputs go through the same cache.

What counts as an intermediate is what lies in the arena. Every line of it that is read was written before, so
one that has to be fetched was in the cache and has been evicted: the bytes of intermediates *re-read after
eviction* are the bytes of these lines, as often as that happens. Evicted lines that were written since they
were fetched are *written back*, whether somebody reads them later or not. Counted is the second of two runs:
the first leaves in the cache what a run that follows another finds there.

The model leaves out: how lines are mapped to sets (the cache is fully associative), that hits in the first
cache do not refresh a line in the second, and prefetching, which moves the same bytes earlier. Stores fetch
nothing: lines of intermediates are written whole. A kernel is walked in portions of a sixteenth of the
cache, in its own order of blocks and pixels; within a portion order does not count. Of a kernel of very many
portions the first and the last are walked, and those between count as the last of the first do. Threads that
share a program have more caches than one; the count is that of one core that runs all of it.

Place: after `lower`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from schedules.machine import MachineParameters

from .accesses import sweeps_of
from .compiled import Traffic
from .line_cache import LineCache
from .lowered import Lowered
from .lowering.context import KernelCall
from .portions import Lines, Portion
from .sweeps import Sweeps

_PORTIONS = 16
"""Of what the cache holds, a portion takes about one."""
_WALKED = 128
"""Portions at the beginning of a kernel, and at its end, that are walked; more than the cache holds."""
_WARM = 8
"""Times the cache that the run before touches at its end: nothing before that is still there."""


def traffic_of(lowered: Lowered, machine: MachineParameters) -> tuple[Traffic, ...]:
    """What each step moves beyond the second cache of `machine`, in a run that follows another."""
    lines = Lines.of(lowered, machine.cache_line)
    cache = LineCache(lines.total, machine.l2_bytes // lines.size)

    def run(call: KernelCall) -> Traffic:
        return Traffic.total(
            [
                moved
                for invocation in call.invocations
                for moved in _invoked(sweeps_of(invocation, lowered.constants), lines, cache)
            ]
        )

    for call in _last(lowered.calls, _WARM * machine.l2_bytes):
        run(call)
    return tuple(map(run, lowered.calls))


def _invoked(sweeps: Sweeps, lines: Lines, cache: LineCache) -> Iterator[Traffic]:
    """What an invocation touches, and what its portions move."""
    whole = lines.whole(sweeps)
    yield Traffic(lines.of_arena(whole.read), lines.of_arena(whole.written))
    cuts = list(lines.cuts(sweeps, whole, cache.capacity // _PORTIONS))
    if len(cuts) == 1:
        yield _used(whole, lines, cache)
        return
    skipped = max(0, len(cuts) - 2 * _WALKED)
    steady: list[Traffic] = []
    for number, cut in enumerate(cuts):
        if not _WALKED <= number < _WALKED + skipped:
            used = _used(lines.portion(sweeps, cut), lines, cache)
            if number < _WALKED:
                steady = [*steady[-_PORTIONS + 1 :], used]
            yield used
    if skipped:
        yield _times(Traffic.total(steady), skipped / len(steady), lines.size)


def _used(portion: Portion, lines: Lines, cache: LineCache) -> Traffic:
    """What a portion moves."""
    missed, back = cache.use(portion.read, portion.written)
    return Traffic(
        reread=lines.of_arena(missed),
        written_back=lines.of_arena(back),
        constants=lines.of_constants(missed),
    )


def _times(traffic: Traffic, factor: float, line: int) -> Traffic:
    """So many times as much, in whole lines."""
    return Traffic(*(round(count * factor / line) * line for count in attrs.astuple(traffic)))


def _last(calls: Sequence[KernelCall], enough: int) -> Sequence[KernelCall]:
    """The last steps, which touch so many bytes or more; all if they do not."""
    touched = 0
    for number in reversed(range(len(calls))):
        touched += calls[number].record.bytes
        if touched >= enough:
            return calls[number:]
    return calls
