"""Data movement becomes index maps: on Relax written here."""

import json
from collections.abc import Callable

import numpy as np
import pytest
import tvm
from tvm.ir import Expr, Var
from tvm.relax import op

from tests.passes.modules import (
    assert_computes_the_same,
    assert_same,
    const,
    conv,
    gathered,
    maps_of,
    module,
    moved,
    one_hot,
    operators,
    recognized,
    through,
)
from tvm_passes.graph import Graph
from tvm_passes.index_map import Shape
from tvm_passes.recognize import recognize
from tvm_passes.regions import MOST_CHANNELS
from tvm_passes.report import Report

SHAPE: Shape = (2, 6, 5, 7)
Emit = Callable[..., Var]


def indices(values: object) -> Expr:
    return tvm.relax.const(np.array(values, "int64"), "int64")


# --- Before and Expected --------------------------------------------------------------------------


OFFSETS = [(-1, 0), (0, 1), (1, 1), (0, 0), (-1, -1), (1, 0)]


def one_hot_depthwise(emit: Emit, x: Var) -> Var:
    taps = [(dy + 1, dx + 1) for dy, dx in OFFSETS]
    return emit(conv(x, one_hot(taps), padding=1, groups=6), "shift")


def pad_slice_concat(emit: Emit, x: Var) -> Expr:
    padded = emit(op.nn.pad(x, (0, 0, 0, 0, 1, 1, 1, 1)))
    parts = [
        emit(op.strided_slice(padded, [1, 2, 3], [c, 1 + dy, 1 + dx], [c + 1, 6 + dy, 8 + dx], [1, 1, 1]))
        for c, (dy, dx) in enumerate(OFFSETS)
    ]
    return emit(op.concat(parts, 1), "shift")


def pad_slice_concat_in_te(emit: Emit, x: Var) -> Expr:
    builder = tvm.relax.BlockBuilder.current()
    padded = builder.emit_te(tvm.topi.nn.pad, x, [0, 0, 1, 1], [0, 0, 1, 1], 0.0)
    parts = [
        emit(op.strided_slice(padded, [1, 2, 3], [c, 1 + dy, 1 + dx], [c + 1, 6 + dy, 8 + dx], [1, 1, 1]))
        for c, (dy, dx) in enumerate(OFFSETS)
    ]
    return emit(op.concat(parts, 1), "shift")


def scatter_into_zeros(emit: Emit, x: Var) -> Expr:
    result = emit(op.zeros_like(x))
    for channel, (dy, dx) in enumerate(OFFSETS):
        target = np.indices(SHAPE).reshape(4, -1).T
        _, c, h, w = target.T
        keep = (c == channel) & (h + dy >= 0) & (h + dy < 5) & (w + dx >= 0) & (w + dx < 7)
        values = emit(op.gather_nd(x, indices(target[keep] + [0, 0, dy, dx])))
        result = emit(op.scatter_nd(result, indices(target[keep]), values), "shift")
    return result


@pytest.mark.parametrize(
    "spelling", [one_hot_depthwise, pad_slice_concat, pad_slice_concat_in_te, scatter_into_zeros]
)
def test_every_spelling_of_a_shift_is_the_same_index_map(spelling: Callable[..., Var]) -> None:
    before = module([SHAPE], lambda emit, x: op.nn.relu(spelling(emit, x)))
    after, (record,) = recognized(before)

    def expected(emit: Emit, x: Var) -> Expr:
        return op.nn.relu(emit(through(moved(OFFSETS, SHAPE), x)))

    assert_same(after, module([SHAPE], expected))
    assert (record.channels, record.border, record.reason) == (6, "zero", None)
    assert record.offsets == "(-1,-1) x 1, (-1,0) x 1, (0,0) x 1, (0,1) x 1, (1,0) x 1, (1,1) x 1"
    assert record.variable in [node.name for node in Graph.read(after).nodes]
    assert_computes_the_same(before, after)


def test_channel_shuffle_of_a_concat_reads_from_both() -> None:
    def before(emit: Emit, x: Var, y: Var) -> Expr:
        both = emit(op.concat([x, y], 1))
        halves = emit(op.permute_dims(op.reshape(both, (2, 2, 6, 5, 7)), (0, 2, 1, 3, 4)))
        return op.nn.relu(emit(op.reshape(halves, (2, 12, 5, 7))))

    def expected(emit: Emit, x: Var, y: Var) -> Expr:
        reads = [(source, channel) for channel in range(6) for source in (0, 1)]
        return op.nn.relu(emit(through(gathered([SHAPE, SHAPE], reads), x, y)))

    after, _ = recognized(module([SHAPE, SHAPE], before))
    assert_same(after, module([SHAPE, SHAPE], expected))
    assert_computes_the_same(module([SHAPE, SHAPE], before), after)


def test_flatten_is_an_index_map_of_rank_two() -> None:
    before = module([SHAPE], lambda emit, x: op.nn.relu(emit(op.reshape(x, (2, 210)))))
    after, _ = recognized(before)
    (found,) = maps_of(after)
    assert found.output == (2, 210, 1, 1)
    assert_computes_the_same(before, after)


def test_identities_disappear() -> None:
    def before(emit: Emit, x: Var) -> Expr:
        there = emit(op.permute_dims(x, (0, 2, 3, 1)))
        halves = emit(op.split(emit(op.permute_dims(there, (0, 3, 1, 2))), 2, 1))
        return op.nn.relu(emit(op.concat([halves[0], halves[1]], 1)))

    after, (record,) = recognized(module([SHAPE], before))
    assert_same(after, module([SHAPE], lambda emit, x: op.nn.relu(x)))
    assert (record.variable, record.folded, record.reason) == (None, True, None)


def test_recognizing_twice_changes_nothing() -> None:
    once, _ = recognized(module([SHAPE], lambda emit, x: op.nn.relu(one_hot_depthwise(emit, x))))
    twice, _ = recognized(once)
    assert_same(twice, once)


def test_outputs_of_one_region_get_a_map_each() -> None:
    def before(emit: Emit, x: Var) -> Expr:
        rolled = emit(op.concat([op.strided_slice(x, [2], [b], [e], [1]) for b, e in ((2, 5), (0, 2))], 2))
        return rolled, op.nn.relu(emit(op.strided_slice(rolled, [2, 3], [0, 0], [5, 7], [2, 2])))

    mod = module([SHAPE], before)
    after, records = recognized(mod)
    assert [record.border for record in records] == ["wrap", "none"]
    assert operators(after) == ["index_map", "index_map", "relu"]
    assert_computes_the_same(mod, after)


def test_the_report_is_plain_json() -> None:
    report = Report()
    recognize(module([SHAPE], lambda emit, x: op.nn.relu(one_hot_depthwise(emit, x))), report)
    (entry,) = json.loads(json.dumps(report.as_json()))["index_maps"]
    assert entry["nodes"] == ["shift"] and entry["border"] == "zero" and entry["folded"] is False
    assert report.index_map("shift") is report.index_maps[0] and report.index_map("other") is None


# --- what does not fit -------------------------------------------------------------------------------

REFUSALS: dict[str, tuple[Callable, str]] = {
    "transposed": (lambda emit, x: op.permute_dims(x, (0, 1, 3, 2)), "spatial axes are transposed"),
    "channels last": (lambda emit, x: op.permute_dims(x, (0, 2, 3, 1)), "moves along channels per pixel"),
    "tokens": (lambda emit, x: op.reshape(x, (2, 6, 35)), "has rank 3, not [N, C, H, W] or [N, K]"),
    "scrambled": (
        lambda emit, x: op.take(x, indices([3, 0, 4, 2, 6, 1, 5]), 3),
        None,
    ),
    "reshaped": (lambda emit, x: op.reshape(x, (2, 6, 7, 5)), "not a per-channel translation"),
}


@pytest.mark.parametrize("case", [name for name, (_, reason) in REFUSALS.items() if reason])
def test_refusals_have_a_reason_and_change_nothing(case: str) -> None:
    make, reason = REFUSALS[case]
    before = module([SHAPE], lambda emit, x: op.nn.relu(emit(make(emit, x))))
    after, (record,) = recognized(before)
    assert_same(after, before)
    assert record.variable is None and not record.folded and reason in record.reason


def test_any_order_of_columns_is_boxes() -> None:
    make, _ = REFUSALS["scrambled"]
    before = module([SHAPE], lambda emit, x: op.nn.relu(emit(make(emit, x))))
    after, (record,) = recognized(before)
    assert record.reason is None and isinstance(maps_of(after)[0].translation(), str)
    assert_computes_the_same(before, after)


def test_what_lies_before_and_behind_an_obstacle_is_taken() -> None:
    def before(emit: Emit, x: Var) -> Expr:
        shift = one_hot_depthwise(emit, x)
        turned = emit(op.permute_dims(shift, (0, 1, 3, 2)), "turned")
        half = emit(op.strided_slice(turned, [1], [0], [3], [1]), "half")
        return op.nn.relu(half)

    mod = module([SHAPE], before)
    after, records = recognized(mod)
    ops = operators(after)
    assert ops == ["index_map", "permute_dims", "index_map", "relu"]
    assert [(r.nodes, r.reason is None) for r in records] == [
        (("shift",), True),
        (("turned",), False),
        (("half",), True),
    ]
    assert_computes_the_same(mod, after)


def test_a_sibling_that_does_not_fit_does_not_matter() -> None:
    def before(emit: Emit, x: Var) -> Expr:
        shift = one_hot_depthwise(emit, x)
        tokens = emit(op.reshape(shift, (2, 6, 35)), "tokens")
        return op.nn.relu(shift), op.nn.relu(tokens)

    mod = module([SHAPE], before)
    after, records = recognized(mod)
    assert operators(after)[:2] == ["index_map", "reshape"]
    assert {r.nodes: r.reason is None for r in records} == {("shift",): True, ("tokens",): False}
    assert_computes_the_same(mod, after)


def test_a_constant_that_is_not_zero_is_a_boundary() -> None:
    ones = const(np.ones((2, 1, 5, 7), "float32"))

    def build(emit: Emit, x: Var) -> Expr:
        return op.nn.relu(emit(op.concat([one_hot_depthwise(emit, x), ones], 1)))

    before = module([SHAPE], build)
    after, _ = recognized(before)
    assert operators(after) == ["index_map", "concat", "relu"]
    assert_computes_the_same(before, after)


def test_a_matrix_of_many_columns_has_no_map() -> None:
    """It would be written column by column."""
    shape = (1, 2, MOST_CHANNELS, 1)
    _, (record,) = recognized(
        module([shape], lambda emit, x: op.nn.relu(emit(op.reshape(x, (1, 2 * MOST_CHANNELS)))))
    )
    assert record.reason.endswith(f"has more than {MOST_CHANNELS} channels")
