"""Maps that read maps become one map."""

from __future__ import annotations

import pytest
from tvm.relax import op

from tests.passes.modules import (
    assert_computes_the_same,
    assert_same,
    check_compiled,
    conv,
    gathered,
    module,
    moved,
    operators,
    through,
    values,
)
from tvm_passes.apply_index_map import index_map_of
from tvm_passes.commute import commute
from tvm_passes.compose import compose
from tvm_passes.graph import Graph
from tvm_passes.report import IndexMapRecord, Report

SHAPE = (1, 4, 6, 6)
SHIFT = moved([(0, 1), (1, 0), (-1, 0), (0, -1)], SHAPE)
SHUFFLE = gathered([SHAPE], [(0, 2), (0, 0), (0, 3), (0, 1)])
UNSHUFFLE = gathered([SHAPE], [(0, 1), (0, 3), (0, 0), (0, 2)])
CONCAT = gathered([SHAPE, SHAPE], [(k, c) for c in range(4) for k in (0, 1)][:4])


@pytest.mark.parametrize(("outer", "inner"), [(SHIFT, SHUFFLE), (SHUFFLE, SHIFT)])
def test_two_maps_become_one(outer, inner) -> None:
    before = module([SHAPE], lambda emit, x: emit(through(outer, emit(through(inner, x)))))
    after = module([SHAPE], lambda emit, x: emit(through(outer.compose([inner]), x)))
    composed = compose(before, Report())
    assert_same(composed, after)
    assert_computes_the_same(before, composed)


def test_a_map_of_several_sources_reads_each_tensor_once() -> None:
    before = module(
        [SHAPE], lambda emit, x: emit(through(CONCAT, emit(through(SHIFT, x)), emit(through(SHUFFLE, x))))
    )
    composed = compose(before, Report())
    (joined,) = (index_map_of(node.call) for node in Graph.read(composed).nodes)
    assert joined.sources == (SHAPE,)
    assert_computes_the_same(before, composed)


def test_maps_that_undo_each_other_vanish() -> None:
    before = module(
        [SHAPE], lambda emit, x: emit(op.nn.relu(emit(through(UNSHUFFLE, emit(through(SHUFFLE, x))))))
    )
    assert operators(compose(before, Report())) == ["relu"]


def test_the_inner_map_is_reported_as_folded() -> None:
    before = module([SHAPE], lambda emit, x: emit(through(SHIFT, emit(through(SHUFFLE, x)))))
    names = [node.name for node in Graph.read(before).nodes]
    report = Report([IndexMapRecord((name,), 4, "", "none", name) for name in names])
    compose(before, report)
    assert [record.folded for record in report.index_maps] == [True, False]


def test_what_kernels_could_not_read_stays_apart() -> None:
    """Out and back: the composition has a band of zeros inside, neither map alone has."""
    out, back = (moved([(0, d)] * 4, SHAPE) for d in (1, -1))
    before = module([SHAPE], lambda emit, x: emit(through(back, emit(through(out, x)))))
    assert operators(compose(before, Report())) == ["index_map", "index_map"]


def test_a_shift_behind_a_concat_and_its_relu_reads_the_convolutions() -> None:
    def body(emit, x):
        parts = [emit(conv(x, values(4, 4, 1, 1, seed=s))) for s in (1, 2)]
        joined = emit(op.nn.relu(emit(through(CONCAT, *parts))))
        return emit(conv(emit(through(SHIFT, joined)), values(5, 4, 1, 1, seed=3)))

    before = module([SHAPE], body)
    after = compose(commute(before), Report())
    assert operators(after).count("index_map") == 1
    assert_computes_the_same(before, after)
    program = check_compiled(before)
    assert not any(step.kind == "movement" for step in program.steps)
