"""Faults in what plans a program are found by interpreting the program."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

from tests.interpret.bases import (
    CHAIN,
    IMAGE,
    IN_BANDS,
    RESIDUAL,
    TWICE,
    WINOGRAD_OF_TWO,
    Base,
    right,
)
from tests.interpret.faults import verdict
from tvm_passes import overwrite, place, row_tiles
from tvm_passes.arena import allocate
from tvm_passes.lowering import borders, chain, convolution, winograd
from tvm_passes.lowering.steps import ChainStep, StageStep
from tvm_passes.lowering.winograd_plan import WinogradPlan
from tvm_passes.reach import Reach
from tvm_passes.row_tiles import RowTiles

Patch = pytest.MonkeyPatch


def _halves(patch: Patch) -> None:
    def of_half(lifetimes: Any, alignment: int) -> tuple[list[int], int]:
        offsets, size = allocate(
            [attrs.evolve(t, size=t.size // 2 // alignment * alignment) for t in lifetimes], alignment
        )
        return offsets, size + max(t.size for t in lifetimes)

    patch.setattr(place, "allocate", of_half)


def _die_early(patch: Patch) -> None:
    lifespans = place.lifespans
    patch.setattr(
        place,
        "lifespans",
        lambda steps: {t: (first, max(first, last - 1)) for t, (first, last) in lifespans(steps).items()},
    )


def _born_late(patch: Patch) -> None:
    lifespans = place.lifespans
    patch.setattr(
        place,
        "lifespans",
        lambda steps: {t: (min(first + 1, last), last) for t, (first, last) in lifespans(steps).items()},
    )


def _overwrite_all(patch: Patch) -> None:
    def whoever_reads_later(steps: Any, spans: Any) -> Any:
        return {
            step.output: tensor
            for step in steps
            if isinstance(step, StageStep)
            for operand in step.operands[:1]
            if (tensor := overwrite._fitting(operand, step)) is not None
        }

    patch.setattr(place, "overwritten", whoever_reads_later)


def _narrow_halos(patch: Patch) -> None:
    last = Reach.last
    patch.setattr(Reach, "last", lambda self, rows: last(self, rows) - 1)


def _short_carries(patch: Patch) -> None:
    carries = RowTiles.carries

    def without_the_last(self: RowTiles, ring: Any, tensor: Any) -> Iterator[tuple[int, range]]:
        for tile, rows in carries(self, ring, tensor):
            yield tile, rows[:-1]

    patch.setattr(RowTiles, "carries", without_the_last)


def _small_rings(patch: Patch) -> None:
    ring_of = row_tiles.ring_of
    patch.setattr(
        row_tiles, "ring_of", lambda *given: attrs.evolve(ring := ring_of(*given), kept=ring.kept - 1)
    )


def _short_band(patch: Patch) -> None:
    lower_chain = chain.lower_chain

    def shorter(context: Any, step: Any, *given: Any) -> Any:
        first, *others = step.bands
        *stages, last = first.cuts
        cuts = (*stages, (*last[:-1], last[-1] - 1))
        return lower_chain(context, ChainStep((attrs.evolve(first, cuts=cuts), *others)), *given)

    patch.setattr("tvm_passes.lower.lower_chain", shorter)


def _moved_shares(by: int) -> Callable[[Patch], None]:
    def moved(patch: Patch) -> None:
        share = winograd.share

        def shared(task: int, *given: Any, **named: Any) -> range:
            mine = share(task, *given, **named)
            return range(mine.start, mine.stop + by) if task == 0 else mine

        patch.setattr(winograd, "share", shared)

    return moved


def _one_scratch(patch: Patch) -> None:
    of_part = WinogradPlan.of_part
    patch.setattr(WinogradPlan, "of_part", lambda self, part: of_part(self, 0))


FAULTS: dict[str, tuple[Base, Callable[[Patch], None], str]] = {
    "tensors get half of their memory": (RESIDUAL, _halves, "which the kernel writes"),
    "tensors die a step early": (RESIDUAL, _die_early, "which the kernel writes"),
    "tensors are born a step late": (RESIDUAL, _born_late, "which the kernel writes"),
    "a residual is overwritten that is read later": (TWICE, _overwrite_all, "in its place"),
    "halos that lost their zeros are forgotten": (
        RESIDUAL,
        lambda patch: patch.setattr(place, "lost_halos", lambda *_: {}),
        "reads its halo and finds",
    ),
    "halos are a row too narrow": (RESIDUAL, _narrow_halos, "reads"),
    "carrying a ring stops a row short": (CHAIN, _short_carries, "reads"),
    "a ring keeps a row too little": (CHAIN, _small_rings, "outside of its place"),
    "rows outside of the plane are not cleared": (
        CHAIN,
        lambda patch: patch.setattr(chain, "_outside", lambda *_: iter(())),
        "reads",
    ),
    "a band ends a row early": (IN_BANDS, _short_band, "reads memory that nobody wrote"),
    "a task leaves out a tile": (WINOGRAD_OF_TWO, _moved_shares(-1), "reads"),
    "two tasks compute a tile": (WINOGRAD_OF_TWO, _moved_shares(1), "another task"),
    "two tasks have one scratch": (WINOGRAD_OF_TWO, _one_scratch, "another task"),
    "an input is read as if it had a halo": (
        IMAGE,
        lambda patch: patch.setattr(
            convolution,
            "classes_of_pixels",
            lambda window, output, _: borders.classes_of_pixels(window, output),
        ),
        "outside of the input 0",
    ),
}


@pytest.mark.usefixtures("threads_pay")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_planning(fault: str, monkeypatch: Patch) -> None:
    base, plant, message = FAULTS[fault]
    _, inputs, expected = right(base)
    plant(monkeypatch)
    assert message in verdict(base.plan(), inputs, expected)
