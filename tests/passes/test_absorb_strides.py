"""Pointwise convolutions give their strides to the maps they read."""

import pytest
from tvm import relax

from tests.passes.modules import (
    assert_computes_the_same,
    assert_same,
    const,
    conv,
    module,
    moved,
    through,
    values,
)
from tvm_passes.absorb_strides import absorb_strides, every, refuse
from tvm_passes.graph import Graph
from tvm_passes.report import IndexMapRecord, Report

SHAPE = (1, 4, 6, 6)
W = values(3, 4, 1, 1)
SHIFT = moved([(0, 1), (1, 0), (-1, 0), (0, -1)], SHAPE)


def test_the_map_takes_the_stride() -> None:
    def body(strides, index_map):
        return lambda emit, x: emit(conv(emit(through(index_map, x)), W, strides=strides))

    before = module([SHAPE], body(2, SHIFT))
    after = absorb_strides(before, Report())
    assert_same(after, module([SHAPE], body(1, every(SHAPE, (2, 2)).compose([SHIFT]))))
    assert_computes_the_same(before, after)


def test_a_map_that_others_read_stays_for_them_and_the_report_follows_the_only_reader() -> None:
    def body(shared):
        def build(emit, x):
            shifted = emit(through(SHIFT, x))
            strided = emit(conv(shifted, W, strides=2))
            return (strided, emit(conv(shifted, W))) if shared else strided

        return build

    for shared in (False, True):
        mod = module([SHAPE], body(shared))
        shift = next(node for node in Graph.read(mod).nodes if node.op == "index_map")
        report = Report([IndexMapRecord(("shift",), 4, "", "zero", shift.name)])
        after = absorb_strides(mod, report)
        assert_computes_the_same(mod, after)
        maps = [node.name for node in Graph.read(after).nodes if node.op == "index_map"]
        assert len(maps) == (2 if shared else 1)
        assert report.index_maps[0].variable in maps
        assert (report.index_maps[0].variable == shift.name) == shared


@pytest.mark.parametrize(
    ("emitted", "reason"),
    [
        (lambda x: relax.op.nn.relu(x), "relax.nn.relu is not a convolution by a constant"),
        (lambda x: conv(x, W), "the convolution has no stride"),
        (lambda x: conv(x, W, padding=1, strides=2), "the convolution is not pointwise"),
        (lambda x: conv(x, values(3, 4, 3, 3), strides=2), "the convolution is not pointwise"),
        (lambda x: relax.op.add(x, const(1)), "relax.add is not a convolution by a constant"),
    ],
)
def test_refusals(emitted, reason) -> None:
    mod = module([SHAPE], lambda emit, x: emit(emitted(emit(through(SHIFT, x)))))
    assert refuse(Graph.read(mod).nodes[-1]) == reason
    assert_same(absorb_strides(mod, Report()), mod)


def test_every_reads_from_a_start_on() -> None:
    x = values(1, 2, 5, 6)
    assert (every((1, 2, 5, 6), (2, 3), (1, 2)).apply([x]) == x[:, :, 1::2, 2::3]).all()
