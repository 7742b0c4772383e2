"""Sources read with another stride than their neighbours get a map of their own."""

from __future__ import annotations

from tests.passes.modules import (
    assert_computes_the_same,
    assert_same,
    check_compiled,
    conv,
    gathered,
    module,
    moved,
    through,
    values,
)
from tvm_passes.index_map import IndexMap
from tvm_passes.report import Report
from tvm_passes.separate import REASON, separate
from tvm_passes.translation import ChannelTranslation, Translation

WIDE, NARROW, JOINED = (1, 3, 8, 8), (1, 2, 4, 4), (1, 4, 4, 4)
STRIDED = Translation(tuple(ChannelTranslation(0, c) for c in (2, 0)), (2, 2))


def _mixed() -> IndexMap:
    """Channels 2 and 0 of a wide tensor with stride 2, between the two of a narrow one."""
    strided = STRIDED.index_map([WIDE], (1, 2, 4, 4))
    outer = gathered([NARROW, (1, 2, 4, 4)], [(0, 1), (1, 0), (1, 1), (0, 0)])
    return outer.compose([None, strided])


def test_the_strided_source_is_read_through_its_own_map() -> None:
    before = module([NARROW, WIDE], lambda emit, a, b: emit(through(_mixed(), a, b)))

    def body(emit, a, b):
        copied = emit(through(STRIDED.index_map([WIDE], (1, 2, 4, 4)), b))
        return emit(through(gathered([NARROW, (1, 2, 4, 4)], [(0, 1), (1, 0), (1, 1), (0, 0)]), a, copied))

    report = Report()
    after = separate(before, report)
    assert_same(after, module([NARROW, WIDE], body))
    assert_computes_the_same(before, after)
    assert [record.reason for record in report.index_maps] == [REASON]


def test_only_the_strided_channels_are_copied() -> None:
    def body(emit, a, b):
        narrow, wide = emit(conv(a, values(2, 2, 1, 1))), emit(conv(b, values(3, 3, 3, 3), 1))
        return emit(conv(emit(through(_mixed(), narrow, wide)), values(6, 4, 1, 1, seed=1)))

    program = check_compiled(module([NARROW, WIDE], body))
    assert [step.kind for step in program.steps].count("movement") == 1


def test_translations_stay_whole() -> None:
    shift = moved([(0, 1), (1, 0), (0, 0), (-1, 0)], JOINED)
    before = module([JOINED], lambda emit, x: emit(through(shift, x)))
    assert_same(separate(before, Report()), before)


def test_one_source_read_in_two_ways_stays_whole() -> None:
    """Nothing would be gained: all of it had to be copied."""
    wide = (1, 4, 8, 8)
    reads = tuple(ChannelTranslation(0, c) for c in range(4))
    skipping, cropping = (Translation(reads, s).index_map([wide], JOINED) for s in ((2, 2), (1, 1)))
    mixed = IndexMap((wide,), JOINED, tuple((skipping if c % 2 else cropping).channels[c] for c in range(4)))
    before = module([wide], lambda emit, x: emit(through(mixed, x)))
    assert_same(separate(before, Report()), before)
