"""Element-wise functions move in front of index maps."""

import pytest
from tvm.relax import op

from tests.passes.modules import (
    assert_computes_the_same,
    assert_same,
    channelwise,
    const,
    conv,
    gathered,
    module,
    moved,
    operators,
    stages,
    through,
    values,
)
from tvm_passes.commute import commute, refuse
from tvm_passes.fold import fold
from tvm_passes.fuse import fuse
from tvm_passes.graph import Graph
from tvm_passes.report import Report
from tvm_passes.uses import Uses

SHAPE = (1, 4, 5, 5)
W = values(4, 4, 1, 1)
SHIFT = moved([(0, 1), (1, 0), (-1, 0), (0, -1)], SHAPE)
ROLL = moved([(0, 1), (1, 0), (-1, 0), (0, -1)], SHAPE, "wrap")
SHUFFLE = gathered([SHAPE], [(0, 2), (0, 0), (0, 3), (0, 1)])
CONCAT = gathered([SHAPE, SHAPE], [(k, c) for k in (0, 1) for c in range(4)])
PADDED = gathered([SHAPE], [(0, 0), None, (0, 2), None])


@pytest.mark.parametrize(
    ("index_map", "function"),
    [
        (SHIFT, op.nn.relu),
        (SHIFT, lambda x: op.clip(x, 0, 6)),
        (SHIFT, lambda x: op.multiply(x, const(2))),
        (PADDED, op.nn.gelu),
        (ROLL, op.sigmoid),
        (SHUFFLE, lambda x: op.add(x, const(2))),
    ],
)
def test_a_function_goes_in_front(index_map, function) -> None:
    before = module([SHAPE], lambda emit, x: emit(function(emit(through(index_map, emit(conv(x, W)))))))
    after = module([SHAPE], lambda emit, x: emit(through(index_map, emit(function(emit(conv(x, W)))))))
    assert_same(commute(before), after)
    assert_computes_the_same(before, after)


def test_a_chain_goes_in_front_of_a_chain() -> None:
    def chain(emit, y, steps):
        for step in steps:
            y = emit(step(y))
        return y

    maps = [lambda y: through(SHIFT, y), lambda y: through(SHUFFLE, y)]
    functions = [op.nn.relu, lambda y: op.multiply(y, const(0.5)), op.tanh]
    before = module([SHAPE], lambda emit, x: chain(emit, emit(conv(x, W)), maps + functions))
    after = module([SHAPE], lambda emit, x: chain(emit, emit(conv(x, W)), functions + maps))
    assert_same(commute(before), after)


def test_a_function_behind_a_concat_goes_in_front_of_every_source() -> None:
    def before(emit, x):
        sources = emit(conv(x, W)), emit(conv(x, W[::-1]))
        return emit(op.nn.relu(emit(through(CONCAT, *sources))))

    def after(emit, x):
        first, second = emit(conv(x, W)), emit(conv(x, W[::-1]))
        return emit(through(CONCAT, emit(op.nn.relu(first)), emit(op.nn.relu(second))))

    assert_same(commute(module([SHAPE], before)), module([SHAPE], after))


def test_then_the_convolution_takes_the_function_and_the_next_one_the_map() -> None:
    def body(emit, x):
        return emit(conv(emit(op.nn.relu(emit(through(SHIFT, emit(conv(x, W)))))), W))

    first, second = stages(fold(fuse(commute(module([SHAPE], body))), Report()))
    assert [o.step.op.kind for o in first.epilogue] == ["relu"]
    assert second.read.map == SHIFT


def _behind_convolution(function, index_map=SHIFT):
    return lambda emit, x: emit(function(emit(through(index_map, emit(conv(x, W))))))


def _two_readers(emit, x):
    y = emit(through(SHIFT, emit(conv(x, W))))
    return emit(op.nn.relu(y)), emit(op.tanh(y))


def _map_is_returned(emit, x):
    y = emit(through(SHIFT, emit(conv(x, W))))
    return y, emit(op.nn.relu(y))


def _source_is_read_by_others(emit, x):
    y = emit(conv(x, W))
    return emit(op.nn.relu(emit(through(SHIFT, y)))), emit(op.tanh(y))


def _source_is_returned(emit, x):
    y = emit(conv(x, W))
    return y, emit(op.nn.relu(emit(through(SHIFT, y))))


REFUSALS = {
    "not zero at zero": (
        _behind_convolution(op.sigmoid),
        "relax.sigmoid is not zero at zero, and the map has a zero border",
    ),
    "channels of zeros": (
        _behind_convolution(op.exp, PADDED),
        "relax.exp is not zero at zero, and the map has a zero border",
    ),
    "not element-wise": (
        _behind_convolution(op.nn.softmax),
        "relax.nn.softmax is not an element-wise function of one value",
    ),
    "per channel": (
        _behind_convolution(lambda x: op.multiply(x, channelwise(1, 2, 3, 4))),
        "relax.multiply is not an element-wise function of one value",
    ),
    "several readers": (_two_readers, "the map has several readers"),
    "returned": (_map_is_returned, "the map has several readers"),
    "source read elsewhere": (_source_is_read_by_others, "lv has other readers"),
    "source returned": (_source_is_returned, "lv has other readers"),
    "input": (lambda emit, x: emit(op.nn.relu(emit(through(SHIFT, x)))), "x0 is an input of the graph"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusal(name: str) -> None:
    body, reason = REFUSALS[name]
    mod = module([SHAPE], body)
    graph = Graph.read(mod)
    (node,) = [n for n in graph.nodes if n.op == "index_map"]
    answer = refuse(Uses(graph), node)
    assert answer is not None
    assert answer.replace("gv has", "lv has") == reason
    assert operators(commute(mod)) == operators(mod)
