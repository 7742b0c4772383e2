"""Pixels that strided maps do not read are not computed."""

import numpy as np
import pytest
from tvm.relax import op

from tests.machines import AVX512
from tests.passes.modules import (
    assert_computes_the_same,
    assert_same,
    channelwise,
    check_planned,
    const,
    conv,
    gathered,
    module,
    moved,
    through,
    values,
)
from tvm_passes.absorb_strides import every
from tvm_passes.graph import Graph
from tvm_passes.index_map import IndexMap
from tvm_passes.pipeline import PipelineOptions, lower_module
from tvm_passes.prune import prune, refuse
from tvm_passes.report import Report
from tvm_passes.uses import Uses

SHAPE = (2, 5, 6, 8)
W = values(5, 5, 1, 1)
BACK = values(3, 5, 1, 1)
OFFSETS = [(0, 0), (0, 1), (1, 0), (-1, 1), (0, -2)]
STRIDED = every(SHAPE, (2, 2)).compose([moved(OFFSETS, SHAPE)])


def convolutions(mod):
    """Shapes of the results of `main`'s convolutions."""
    nodes = Graph.read(mod).nodes
    return [tuple(int(d) for d in n.var.ty.shape) for n in nodes if n.op == "relax.nn.conv2d"]


def pruned(mod):
    return prune(mod, Report())


def strided(index_map=STRIDED, function=op.nn.relu, weight=W):
    return lambda emit, x: emit(through(index_map, emit(function(emit(conv(x, weight))))))


def test_every_class_is_computed_at_its_pixels() -> None:
    def after(emit, x):
        parts = []
        for start, channels in (((0, 0), [0, 4]), ((0, 1), [1]), ((1, 0), [2]), ((1, 1), [3])):
            read = emit(through(every(SHAPE, (2, 2), start), x))
            parts.append(emit(op.nn.relu(emit(conv(read, W[channels])))))
        reads = [(0, 0), (1, 0), (2, 0), (3, 0), (0, 1)]
        shapes = [(2, 2, 3, 4), (2, 1, 3, 4), (2, 1, 3, 4), (2, 1, 3, 4)]
        joined = gathered(shapes, reads).compose([moved(o, s) for o, s in zip(SHIFTS, shapes, strict=True)])
        return emit(through(joined, *parts))

    # of every class, in units of two pixels
    SHIFTS = [[(0, 0), (0, -1)], [(0, 0)], [(0, 0)], [(-1, 0)]]
    before = module([SHAPE], strided())
    assert_same(pruned(before), module([SHAPE], after))
    assert_computes_the_same(before, pruned(before))


@pytest.mark.parametrize("strides", [(2, 2), (3, 1), (1, 2), (3, 4)])
@pytest.mark.parametrize("border", ["zero", "wrap", "edge"])
def test_any_stride_and_border(strides, border) -> None:
    index_map = every(SHAPE, strides).compose([moved(OFFSETS, SHAPE, border)])
    before = module([SHAPE], strided(index_map))
    after = pruned(before)
    assert_computes_the_same(before, after)
    if border != "edge":  # a repeated edge is read at stride 0 besides
        planes = {(h, w) for _, _, h, w in convolutions(after)}
        assert planes == {(6 // strides[0], 8 // strides[1])}


def test_constants_of_the_chain_are_cut_to_the_class() -> None:
    numbers = np.arange(1, 6, dtype="float32")

    def body(emit, x):
        y = emit(conv(x, W))
        for call in (
            lambda y: op.add(y, channelwise(*numbers)),
            lambda y: op.multiply(y, const(0.5)),
            lambda y: op.nn.prelu(y, const(numbers)),
            lambda y: op.multiply(channelwise(*numbers[::-1]), y),
            lambda y: op.clip(y, -3, 3),
        ):
            y = emit(call(y))
        return emit(through(STRIDED, y))

    before = module([SHAPE], body)
    assert len(convolutions(pruned(before))) == 4
    assert_computes_the_same(before, pruned(before))


def test_other_sources_of_the_map_stay() -> None:
    joined = gathered([SHAPE, SHAPE], [(1, 2), *((0, c) for c in range(5)), (1, 0)])
    index_map = every((2, 7, 6, 8), (2, 2)).compose([joined])

    def body(emit, x, y):
        return emit(through(index_map, emit(op.nn.relu(emit(conv(x, W)))), y))

    before = module([SHAPE, SHAPE], body)
    after = pruned(before)
    assert convolutions(after) == [(2, 5, 3, 4)]
    assert_computes_the_same(before, after)


def test_channels_nobody_reads_are_not_computed() -> None:
    index_map = every((2, 3, 6, 8), (2, 2)).compose([gathered([SHAPE], [(0, 1), (0, 3), (0, 1)])])
    before = module([SHAPE], strided(index_map))
    assert convolutions(pruned(before)) == [(2, 2, 3, 4)]
    assert_computes_the_same(before, pruned(before))


REFUSALS = {
    "neighbouring pixels are read": strided(moved(OFFSETS, SHAPE)),
    "the convolution is not pointwise": lambda emit, x: emit(
        through(STRIDED, emit(conv(x, values(5, 5, 3, 3), padding=1)))
    ),
    "the convolution is grouped": lambda emit, x: emit(
        through(STRIDED, emit(conv(x, values(5, 1, 1, 1), groups=5)))
    ),
    "relax.nn.avg_pool2d is neither a pointwise convolution nor a function of one value": lambda emit, x: (
        emit(through(STRIDED, emit(op.nn.avg_pool2d(x, (3, 3), padding=1))))
    ),
    "relax.add is neither a pointwise convolution nor a function of one value": lambda emit, x: emit(
        through(STRIDED, emit(op.add(emit(conv(x, W)), x)))
    ),
    "it is an input of the graph": lambda emit, x: emit(through(STRIDED, x)),
    "relax.add has a constant that differs from pixel to pixel": lambda emit, x: emit(
        through(STRIDED, emit(op.add(emit(conv(x, W)), const(values(1, 5, 6, 8)))))
    ),
}


@pytest.mark.parametrize("reason", REFUSALS)
def test_refusals(reason) -> None:
    mod = module([SHAPE], REFUSALS[reason])
    graph = Graph.read(mod)
    node = graph.nodes[-1]
    assert refuse(Uses(graph), node, node.variables[0]) == reason
    assert_same(pruned(mod), mod)


def test_a_source_with_other_readers_stays_whole() -> None:
    def body(emit, x):
        y = emit(op.nn.relu(emit(conv(x, W))))
        return emit(through(STRIDED, y)), y

    mod = module([SHAPE], body)
    graph = Graph.read(mod)
    node = next(n for n in graph.nodes if n.op == "index_map")
    assert str(refuse(Uses(graph), node, node.variables[0])).endswith("has other readers")
    assert_same(pruned(mod), mod)


def test_a_plane_that_the_stride_does_not_divide() -> None:
    shape = (1, 5, 7, 8)
    index_map = every(shape, (2, 2)).compose([moved(OFFSETS, shape)])
    mod = module([shape], strided(index_map))
    graph = Graph.read(mod)
    node = graph.nodes[-1]
    reason = refuse(Uses(graph), node, node.variables[0])
    assert reason == "a stride of (2, 2) does not divide planes of (7, 8)"


def test_most_pixels() -> None:
    """Every channel is read at every start, by one output channel each."""
    maps = [every(SHAPE, (2, 2), start) for start in ((0, 0), (0, 1), (1, 0), (1, 1))]
    channels = tuple(c for m in maps for c in m.channels)
    index_map = IndexMap((SHAPE,), (2, len(channels), 3, 4), channels)
    mod = module([SHAPE], strided(index_map))
    graph = Graph.read(mod)
    assert refuse(Uses(graph), graph.nodes[-1], graph.nodes[-1].variables[0]) == "most pixels are read"


@pytest.mark.usefixtures("verified_in_numpy")
def test_a_strided_unit_of_shiftnet_has_a_quarter_of_the_multiply_adds_and_no_copy() -> None:
    shape = (1, 16, 8, 8)
    shift = moved([(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)] * 4, (1, 36, 8, 8))
    expand, reduce = values(36, 16, 1, 1), values(16, 36, 1, 1)

    def body(emit, x):
        y = emit(op.nn.relu(emit(conv(x, expand))))
        return emit(op.nn.relu(emit(conv(emit(through(shift, y)), reduce, strides=2))))

    compiled = check_planned(module([shape], body), verify_passes=True)
    stages = [step for step in compiled.steps if step.kind == "indexed_conv"]
    assert [step.macs for step in stages] == [36 * 16 * 8 * 8 // 4, 16 * 36 * 4 * 4]
    assert compiled.pruned_macs == 36 * 16 * 8 * 8 * 3 // 4
    assert not [step for step in compiled.steps if step.kind == "movement"]


def test_classes_run_at_the_same_time() -> None:
    """They read the same tensor and write others, so threads need not meet between them."""
    expand, reduce = values(36, 16, 1, 1), values(16, 36, 1, 1)
    shift = moved([(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)] * 4, (1, 36, 16, 16))

    def body(emit, x):
        y = emit(op.nn.relu(emit(conv(x, expand))))
        return emit(op.nn.relu(emit(conv(emit(through(shift, y)), reduce, strides=2))))

    lowered = lower_module(module([(1, 16, 16, 16)], body), AVX512, PipelineOptions())
    phases = [len(call.phases) for call in lowered.calls if call.record.kind == "indexed_conv"]
    assert phases == [1, 1]
