"""Index maps move into the stages that read through them, or stay and say why."""

import pytest
from tvm.relax import op

from tests.passes.modules import (
    assert_computes_the_same,
    assert_same,
    conv,
    gathered,
    module,
    moved,
    operators,
    stages,
    through,
    values,
)
from tvm_passes.fold import fold
from tvm_passes.fuse import fuse
from tvm_passes.graph import Graph
from tvm_passes.index_map import IndexMap, Shape
from tvm_passes.report import IndexMapRecord, Report
from tvm_passes.translation import ChannelTranslation, Translation

SHAPE = (2, 4, 6, 6)
W = values(4, 4, 1, 1)
OFFSETS = [(0, 1), (1, 0), (-1, 0), (0, -1)]
SHIFT, ROLL = moved(OFFSETS, SHAPE), moved(OFFSETS, SHAPE, "wrap")
SHUFFLE = gathered([SHAPE], [(0, 2), (0, 0), (0, 3), (0, 1)])
CONCAT = gathered([SHAPE, SHAPE], [(k, c) for c in (0, 1) for k in (0, 1)])


def folded(mod) -> tuple:
    """The folded module and the report, with a record for every index map."""
    report = Report()
    for node in Graph.read(mod).nodes:
        if node.op == "index_map":
            report.index_maps.append(IndexMapRecord((node.name,), 0, "", "none", node.name))
    return fold(fuse(mod), report), report


def strided(shape: Shape, stride: tuple[int, int], output: tuple[int, int]) -> IndexMap:
    channels = tuple(ChannelTranslation(0, c) for c in range(shape[1]))
    return Translation(channels, stride).index_map([shape], (shape[0], shape[1], *output))


READERS = {
    "convolution": (SHIFT, lambda y: conv(y, W)),
    "convolution of a roll": (ROLL, lambda y: conv(y, W)),
    "unpadded 3 x 3": (SHIFT, lambda y: conv(y, values(3, 4, 3, 3), strides=2)),
    "padded, channels alone": (SHUFFLE, lambda y: conv(y, values(3, 4, 3, 3), 1)),
    "grouped": (SHIFT, lambda y: conv(y, values(4, 2, 1, 1), groups=2)),
    "channels of zeros": (gathered([SHAPE], [(0, 1), None, (0, 2), None]), lambda y: conv(y, W)),
    "strided": (strided(SHAPE, (2, 2), (3, 3)), lambda y: conv(y, W)),
    "depthwise": (SHUFFLE, lambda y: conv(y, values(4, 1, 3, 3), 1, groups=4)),
    "pool": (SHUFFLE, lambda y: op.nn.max_pool2d(y, (2, 2))),
    "global pool": (SHUFFLE, lambda y: op.mean(y, [2, 3])),
    "element-wise": (SHIFT, op.sigmoid),
}


@pytest.mark.parametrize("name", READERS)
def test_a_map_folds_into_its_reader(name: str) -> None:
    index_map, reader = READERS[name]
    mod = module([SHAPE], lambda emit, x: emit(reader(emit(through(index_map, x)))))
    result, report = folded(mod)
    (stage,) = stages(result)
    assert operators(result) == ["call:stage_0_mapped"]
    assert stage.read.map == index_map
    assert [source.name for source in stage.read.sources] == ["x0"]
    (record,) = report.index_maps
    assert (record.folded, record.reason) == (True, None)


def test_the_folded_module_computes_the_same() -> None:
    def body(emit, x, y):
        joined = emit(through(CONCAT, emit(conv(x, W)), y))
        total = emit(op.add(emit(conv(joined, W)), emit(through(SHIFT, x))))
        return emit(op.nn.relu(total))

    mod = module([SHAPE, SHAPE], body)
    result, _ = folded(mod)
    assert operators(result) == ["call:stage_0", "call:stage_1_mapped"]
    assert_computes_the_same(mod, result)


def test_a_map_that_two_stages_read_folds_into_each() -> None:
    def body(emit, x):
        y = emit(through(SHIFT, x))
        return emit(conv(y, W)), emit(conv(y, W[::-1]))

    result, report = folded(module([SHAPE], body))
    assert [stage.read.map for stage in stages(result)] == [SHIFT, SHIFT]
    assert operators(result) == ["call:stage_0_mapped", "call:stage_1_mapped"]
    assert report.index_maps[0].folded


def test_a_map_of_an_operand_folds() -> None:
    def body(emit, x, y):
        return emit(op.add(emit(conv(x, W)), emit(through(SHIFT, y))))

    (stage,) = stages(folded(module([SHAPE, SHAPE], body))[0])
    (operation,) = stage.epilogue
    assert stage.read.map is None
    assert operation.read.map == SHIFT
    assert [source.name for source in operation.read.sources] == ["x1"]


def test_a_shuffled_factor_per_channel_folds() -> None:
    gates = (2, 4, 1, 1)
    shuffle = gathered([gates], [(0, 2), (0, 0), (0, 3), (0, 1)])

    def body(emit, x, y):
        return emit(op.multiply(emit(conv(x, W)), emit(through(shuffle, y))))

    (stage,) = stages(folded(module([SHAPE, gates], body))[0])
    assert stage.epilogue[0].read.map == shuffle


def test_operand_and_data_read_through_maps_of_one_tensor() -> None:
    def body(emit, x):
        return emit(op.add(emit(conv(emit(through(SHIFT, x)), W)), emit(through(ROLL, x))))

    mod = module([SHAPE], body)
    result, report = folded(mod)
    (stage,) = stages(result)
    assert (stage.read.map, stage.epilogue[0].read.map) == (SHIFT, ROLL)
    assert all(record.folded for record in report.index_maps)
    assert_computes_the_same(mod, result)


MIDDLE = Translation(tuple(ChannelTranslation(0, c, 0, 1, 1) for c in range(4))).index_map(
    [(2, 4, 3, 3)], (2, 4, 1, 1)
)
TWO_PLANES = Translation((ChannelTranslation(0, 0), ChannelTranslation(1, 0))).index_map(
    [(2, 1, 6, 6), (2, 1, 5, 5)], (2, 2, 5, 5)
)
FLIP = IndexMap.from_json(
    '{"sources":[[2,4,6,6]],"output":[2,4,6,6],"channels":[[4,1,[[0,0,0,0,5,1,1,-1,0,0,0,2,6,6]]]]}'
)

REFUSALS = {
    "padding": (
        SHIFT,
        lambda y: conv(y, values(4, 4, 3, 3), 1),
        "the convolution pads what it reads, and padding is not the map's border",
    ),
    "depthwise": (
        SHIFT,
        lambda y: conv(y, values(4, 1, 3, 3), groups=4),
        "a depthwise reads whole vectors, and the map moves channels apart",
    ),
    "global pool": (
        SHIFT,
        lambda y: op.mean(y, [2, 3]),
        "a global pool reads whole vectors, and the map moves channels apart",
    ),
    "zeros": (
        gathered([SHAPE], [(0, 0), None, (0, 1), (0, 2)]),
        lambda y: op.nn.max_pool2d(y, (2, 2)),
        "a window pool has no channels of zeros to read",
    ),
    "twice": (
        gathered([SHAPE], [(0, 0), (0, 0)]),
        lambda y: op.nn.max_pool2d(y, (2, 2)),
        "a channel is read twice",
    ),
    "normalization": (
        SHIFT,
        lambda y: op.nn.softmax(y, axis=1),
        "a softmax reads whole vectors, and the map moves channels apart",
    ),
    "no translation": (
        FLIP,
        lambda y: conv(y, W),
        "the map is not one translation per channel: "
        "stride (1, 1, -1) over (n, h, w) is a broadcast, a flip, or skips batch elements",
    ),
    "no stage": (
        SHIFT,
        lambda y: op.nn.softmax(y),
        "relax.nn.softmax is not a stage that reads through maps",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_map_stays_and_says_why(name: str) -> None:
    index_map, reader, reason = REFUSALS[name]
    mod = module([SHAPE], lambda emit, x: emit(reader(emit(through(index_map, x)))))
    result, report = folded(mod)
    assert operators(result)[0] == "index_map"
    (record,) = report.index_maps
    assert (record.folded, record.reason) == (False, reason)


def test_sources_of_different_planes_are_refused() -> None:
    shapes = TWO_PLANES.sources
    mod = module(shapes, lambda emit, x, y: emit(conv(emit(through(TWO_PLANES, x, y)), values(3, 2, 1, 1))))
    _, report = folded(mod)
    assert str(report.index_maps[0].reason).endswith(
        "its sources have different planes: [(2, 5, 5), (2, 6, 6)]"
    )


@pytest.mark.parametrize(
    ("index_map", "shape", "reason"),
    [
        (
            FLIP,
            SHAPE,
            "the map is not one translation per channel: "
            "stride (1, 1, -1) over (n, h, w) is a broadcast, a flip, or skips batch elements",
        ),
        (MIDDLE, (2, 4, 3, 3), "a factor per channel has no pixels to move"),
    ],
)
def test_an_operand_is_refused(index_map: IndexMap, shape: Shape, reason: str) -> None:
    def body(emit, x, y):
        return emit(op.multiply(emit(conv(x, W)), emit(through(index_map, y))))

    result, report = folded(module([SHAPE, shape], body))
    assert "index_map" in operators(result)
    assert report.index_maps[0].reason == reason


def test_a_map_that_one_of_two_readers_refuses_stays_for_that_reader() -> None:
    def body(emit, x):
        y = emit(through(SHIFT, x))
        return emit(conv(y, W)), emit(op.nn.softmax(y))

    mod = module([SHAPE], body)
    result, report = folded(mod)
    assert sorted(operators(result)) == ["call:stage_0_mapped", "index_map", "softmax"]
    (stage,) = stages(result)
    assert stage.read.map == SHIFT
    assert not report.index_maps[0].folded
    assert_computes_the_same(mod, result)


def test_a_map_that_is_returned_is_the_layout_of_the_output() -> None:
    mod = module([SHAPE], lambda emit, x: emit(through(SHIFT, x)))
    result, report = folded(mod)
    assert_same(result, mod)
    assert report.index_maps[0].folded
