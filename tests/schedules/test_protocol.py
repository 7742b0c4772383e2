"""How tasks share phases, and claim units within them, in every order of their accesses to memory."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import pytest

from schedules import claims, launch
from tests.schedules.interleavings import Code, Frame

CODE = Code(launch.code(patience=1, spins=1), saturated=("more", 3))
LEDGER = Code(claims.CODE)


@attrs.frozen
class Walker:
    """A thread that walks for some tasks, one after the other, `runs` times.

    task: which of its tasks; frame: what it is about to do, None while it computes `unit`.
    """

    run: int = 0
    task: int = 0
    phase: int = -1
    unit: int = -1
    frame: Frame | None = None


@attrs.frozen
class World:
    memory: tuple[tuple[int, int], ...]
    walkers: tuple[Walker, ...]
    begun: frozenset[tuple[int, int, int]] = frozenset()
    done: frozenset[tuple[int, int, int]] = frozenset()


@attrs.frozen
class Program:
    """threads: the tasks that each walks for. phases: how many units each has. code: what they run."""

    threads: tuple[tuple[int, ...], ...]
    phases: tuple[int, ...]
    runs: int = 2
    code: Code = attrs.field(default=CODE, repr=False, eq=False)

    @property
    def tasks(self) -> int:
        return sum(map(len, self.threads))

    def start(self) -> World:
        return World((), tuple(self._enter(thread, Walker()) for thread in range(len(self.threads))))

    def successors(self, world: World) -> Iterator[World]:
        """What any one thread may do next."""
        for number, walker in enumerate(world.walkers):
            if walker.run == self.runs or self._waits_for_launch(world, walker):
                continue
            memory = dict(world.memory)
            begun, done = world.begun, world.done
            if walker.frame is None:
                done |= {(walker.run, walker.phase, walker.unit)}
                walker = attrs.evolve(walker, frame=self._claim(number, walker, walker.unit))
            else:
                frame = self.code.step(walker.frame, memory)
                walker = attrs.evolve(walker, frame=frame)
                if frame.returned is not None:
                    walker = self._returned(number, walker, frame.returned, world)
                    if walker.frame is None:
                        piece = (walker.run, walker.phase, walker.unit)
                        assert piece not in begun, "a unit is computed twice"
                        begun |= {piece}
            walkers = (*world.walkers[:number], walker, *world.walkers[number + 1 :])
            yield World(tuple(sorted(memory.items())), walkers, begun, done)

    def _waits_for_launch(self, world: World, walker: Walker) -> bool:
        """The pool begins a run when all threads are through with the one before."""
        return any(other.run < walker.run for other in world.walkers)

    def _enter(self, thread: int, walker: Walker) -> Walker:
        return attrs.evolve(walker, phase=-1, frame=self.code.call("shiftc_enter", 0))

    def _claim(self, thread: int, walker: Walker, previous: int) -> Frame:
        task, units = self.threads[thread][walker.task], self.phases[walker.phase]
        return self.code.call("shiftc_unit", 0, task, self.tasks, units, previous)

    def _returned(self, thread: int, walker: Walker, result: int, world: World) -> Walker:
        if walker.phase >= 0:
            if result < self.phases[walker.phase]:
                assert self._are_done(world, walker.run, walker.phase), (
                    "a phase begins before the last one ended"
                )
                return attrs.evolve(walker, unit=result, frame=None)
            assert self._are_done(world, walker.run, walker.phase + 1), (
                "a task goes on before a phase is done"
            )
        if walker.phase + 1 < len(self.phases):
            walker = attrs.evolve(walker, phase=walker.phase + 1)
            return attrs.evolve(walker, frame=self._claim(thread, walker, -1))
        if walker.task + 1 < len(self.threads[thread]):
            return self._enter(thread, attrs.evolve(walker, task=walker.task + 1))
        return self._enter(thread, Walker(walker.run + 1))

    def _are_done(self, world: World, run: int, phases: int) -> bool:
        """All units of so many phases."""
        return all(
            (run, phase, unit) in world.done for phase in range(phases) for unit in range(self.phases[phase])
        )

    def is_over(self, world: World) -> bool:
        return all(walker.run == self.runs for walker in world.walkers)


def explored(program: Program) -> int:
    """How many states there are; all are right, and from each of them there is a way to the end."""
    start = program.start()
    before: dict[World, list[World]] = {start: []}
    pending, ends = [start], []
    while pending:
        world = pending.pop()
        if program.is_over(world):
            ends.append(world)
        for following in program.successors(world):
            if following not in before:
                before[following] = []
                pending.append(following)
            before[following].append(world)
    reaching = set(ends)
    pending = list(ends)
    while pending:
        for world in before[pending.pop()]:
            if world not in reaching:
                reaching.add(world)
                pending.append(world)
    assert len(reaching) == len(before), "there is a state that no way leads out of"
    for end in ends:
        expected = {
            (run, phase, unit)
            for run in range(program.runs)
            for phase, units in enumerate(program.phases)
            for unit in range(units)
        }
        assert end.done == expected
    return len(before)


@pytest.mark.parametrize(
    "program",
    [
        Program(((0,), (1,)), (2, 1, 2)),
        Program(((0,), (1,)), (1, 2), runs=3),
        Program(((0, 1),), (2, 1, 2)),
        Program(((0, 1), (2,)), (3, 1), runs=1),
        pytest.param(Program(((0,), (1,), (2,)), (3,), runs=1), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_every_unit_once_and_phases_in_order(program: Program) -> None:
    assert explored(program) > 100


@pytest.mark.parametrize(
    ("right", "wrong", "what"),
    [
        ("%free = icmp ult i64 %held, %this", "%free = icmp ule i64 %held, %this", "computed twice"),
        ("%all = add i64 %before, %units.wide", "%all = add i64 %before, 1", "before"),
        ("%ticket = atomicrmw add ptr %state, i64 1", "%ticket = atomicrmw add ptr %state, i64 0", "no way"),
        ("%tired = icmp uge i32 %looks, %patience", "%tired = icmp ult i32 %looks, 0", "no way"),
    ],
)
def test_planted_faults_are_found(right: str, wrong: str, what: str) -> None:
    """The last one: nobody ever computes what others have not begun, so that one thread waits for itself."""
    text = launch.code(patience=1, spins=1)
    assert right in text
    code = Code(text.replace(right, wrong), saturated=("more", 3))
    threads = ((0, 1),) if "tired" in right else ((0,), (1,))
    with pytest.raises(AssertionError, match=what):
        explored(Program(threads, (2, 2), code=code))


@pytest.mark.parametrize(("tasks", "units", "rounds"), [(2, 3, 2), (2, 1, 3), (3, 3, 1)])
def test_every_unit_of_a_ledger_once(tasks: int, units: int, rounds: int) -> None:
    """A round begins when all tasks have found nothing left in the one before."""

    def claim(task: int, meeting: int, previous: int) -> Frame:
        return LEDGER.call("shiftc_claim", 0, meeting, 0, task, tasks, units, 0, previous)

    Tasks = tuple[tuple[int, Frame | None], ...]
    State = tuple[tuple[tuple[int, int], ...], Tasks, frozenset[tuple[int, int]]]
    start: State = ((), tuple((0, claim(task, 0, -1)) for task in range(tasks)), frozenset())
    seen, pending, ends = {start}, [start], 0
    while pending:
        held, walkers, claimed = pending.pop()
        for task, (meeting, frame) in enumerate(walkers):
            if frame is None or any(other < meeting for other, _ in walkers):
                continue
            memory, taken = dict(held), claimed
            following: Frame | None = frame if frame.returned is not None else LEDGER.step(frame, memory)
            at = meeting
            if following is not None and following.returned is not None:
                unit = following.returned
                if unit < units:
                    assert (meeting, unit) not in taken, "a unit is claimed twice"
                    taken |= {(meeting, unit)}
                    following = claim(task, meeting, unit)
                else:
                    at = meeting + 1
                    following = claim(task, at, -1) if at < rounds else None
            state = (
                tuple(sorted(memory.items())),
                (*walkers[:task], (at, following), *walkers[task + 1 :]),
                taken,
            )
            if state not in seen:
                seen.add(state)
                pending.append(state)
                if all(frame is None for _, frame in state[1]):
                    ends += 1
                    assert len(taken) == units * rounds, "a unit is left out"
    assert ends
