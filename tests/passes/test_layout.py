"""Where tensors lie and which steps move them: no copy where none is needed."""

from __future__ import annotations

from tvm import relax
from tvm.relax import op

from tests.passes.modules import Array, channelwise, const, conv, gathered, module, moved, through, values
from tvm_passes.fold import fold
from tvm_passes.fuse import fuse
from tvm_passes.layout import Planner
from tvm_passes.lowering.steps import PackStep, StageStep
from tvm_passes.place import ZERO_BYTES, lifespans
from tvm_passes.placement import Blocked, Plain
from tvm_passes.report import Report
from tvm_passes.tensors import Tensors

LANES = 8
SHAPE = (1, 16, 6, 6)
HALF = (1, 8, 6, 6)


def plan(mod) -> Tensors:
    return Planner(fold(fuse(mod), Report()), LANES).run()


def steps(mod) -> list[str]:
    """The steps, by kind; stages by the kind of their anchor."""
    return [
        step.stage.kind if isinstance(step, StageStep) else type(step).__name__.removesuffix("Step").lower()
        for step in plan(mod).steps
    ]


def pointwise(outputs: int = 16, inputs: int = 16) -> Array:
    return values(outputs, inputs, 1, 1)


def test_a_convolution_reads_a_planar_input() -> None:
    mod = module([SHAPE], lambda emit, x: emit(conv(emit(conv(x, pointwise())), pointwise())))
    planned = plan(mod)
    assert steps(mod) == ["pack", "convolution", "convolution", "unpack"]
    assert isinstance(planned.steps[0], PackStep)
    assert planned.steps[0].output.extent.lanes == 1


def test_an_input_that_a_pool_reads_is_blocked() -> None:
    mod = module([SHAPE], lambda emit, x: emit(op.nn.max_pool2d(x, (2, 2))))
    first = plan(mod).steps[0]
    assert isinstance(first, PackStep)
    assert first.output.extent.lanes == LANES


def test_a_shift_between_convolutions_is_no_step() -> None:
    shift = moved([(0, 1), (1, 0)] * 8, SHAPE)

    def body(emit, x):
        return emit(conv(emit(through(shift, emit(conv(x, pointwise())))), pointwise()))

    assert steps(module([SHAPE], body)) == ["pack", "convolution", "convolution", "unpack"]


def test_the_halo_is_what_the_shift_and_the_window_need() -> None:
    shift = moved([(0, 1), (2, 0)] * 8, SHAPE)

    def body(emit, x):
        y = emit(conv(x, pointwise()))
        return emit(
            op.add(emit(conv(y, values(16, 16, 3, 3), 1)), emit(conv(emit(through(shift, y)), pointwise())))
        )

    planned = plan(module([SHAPE], body))
    (memory,) = [m for extent, m in planned.memories.items() if extent.lanes == LANES]
    assert memory.halo.rows == (1, 2)
    assert memory.halo.columns == (1, 1)
    assert memory.halo.batch == (0, 0)


def test_concat_and_shuffle_are_no_steps() -> None:
    concat = gathered([HALF, HALF], [(k, c) for c in range(8) for k in (0, 1)])

    def body(emit, x):
        y = emit(conv(x, pointwise(8, 8)))
        z = emit(op.nn.relu(emit(conv(y, values(8, 1, 3, 3), 1, groups=8))))
        pooled = emit(op.nn.max_pool2d(emit(through(concat, y, z)), (2, 2)))
        return emit(conv(pooled, pointwise()))

    mod = module([HALF], body)
    assert steps(mod) == ["pack", "convolution", "depthwise", "window_pool", "convolution", "unpack"]


def test_a_residual_keeps_its_lanes_without_a_copy() -> None:
    """A channel-wise stage hands its permuted lanes on; the convolution that adds to it follows."""
    shuffle = gathered([SHAPE], [(0, c) for c in (*range(1, 16, 2), *range(0, 16, 2))])

    def body(emit, x):
        y = emit(conv(x, pointwise()))
        pooled = emit(op.nn.avg_pool2d(emit(through(shuffle, y)), (3, 3), padding=(1, 1)))
        return emit(op.add(emit(conv(y, pointwise())), pooled))

    planned = plan(module([SHAPE], body))
    last = [step for step in planned.steps if isinstance(step, StageStep)][-1]
    assert last.operands[0] is not None
    assert last.operands[0].access == "block"
    assert last.output.positions.tolist() == last.operands[0].view.position.tolist()


def test_a_roll_fills_its_halo_once() -> None:
    roll = moved([(0, 1), (1, 0)] * 8, SHAPE, "wrap")

    def body(emit, x):
        y = emit(through(roll, emit(conv(x, pointwise()))))
        return emit(op.add(emit(conv(y, pointwise())), emit(conv(y, pointwise()))))

    kinds = steps(module([SHAPE], body))
    assert kinds.count("fill") == 1
    assert "repack" not in kinds


def test_zero_and_wrapped_halos_are_different_memories() -> None:
    roll = moved([(0, 1), (1, 0)] * 8, SHAPE, "wrap")

    def body(emit, x):
        y = emit(conv(x, pointwise()))
        return emit(
            op.add(emit(conv(emit(through(roll, y)), pointwise())), emit(conv(y, values(16, 16, 3, 3), 1)))
        )

    planned = plan(module([SHAPE], body))
    borders = {e.border for e in planned.memories if e.lanes == LANES}
    assert borders == {"zero", "wrap"}


def test_flattening_in_front_of_a_matrix_product_is_no_step() -> None:
    def body(emit, x):
        pooled = emit(op.mean(emit(conv(x, pointwise())), [2, 3]))
        return emit(op.matmul(pooled, const(values(16, 5))))

    assert steps(module([SHAPE], body)) == ["pack", "convolution", "global_pool", "convolution", "unpack"]


def test_generic_operators_share_plain_tensors() -> None:
    def body(emit, x):
        y = emit(op.reshape(emit(op.nn.softmax(emit(conv(x, pointwise())))), (1, 16, 36)))
        return emit(op.sum(emit(op.sin(y)), [2]))

    assert steps(module([SHAPE], body)) == ["pack", "convolution", "unpack", "generic", "generic", "generic"]


def overlaps(a: tuple[int, int], b: tuple[int, int]) -> bool:
    return a[0] < b[1] and b[0] < a[1]


def test_nothing_that_is_alive_shares_memory() -> None:
    """Every step's operands and results lie apart in the arena, and inside it."""
    concat = gathered([HALF, HALF], [(0, c) for c in range(8)] + [(1, c) for c in range(8)])

    def body(emit, x):
        a = emit(op.nn.relu(emit(conv(x, pointwise(8, 16)))))
        b = emit(op.tanh(emit(conv(a, values(8, 1, 3, 3), 1, groups=8))))
        y = emit(op.add(emit(conv(emit(through(concat, a, b)), pointwise())), x))
        scores = emit(op.nn.softmax(y))
        gate = emit(op.sigmoid(emit(op.mean(y, [2, 3], keepdims=True))))
        return emit(
            op.multiply(emit(op.add(emit(conv(y, pointwise())), channelwise(*range(16)))), gate)
        ), scores

    planned = plan(module([SHAPE], body))
    alive = lifespans(planned.steps)

    def spaces(tensor: Blocked | Plain) -> tuple[int, int] | None:
        if isinstance(tensor, Blocked):
            plane = 4 * tensor.geometry.plane
            start = 4 * int(tensor.block_base(0))
            return start, start + tensor.blocks * plane
        if tensor.address is None or tensor.address.region != "arena":
            return None
        return tensor.address.offset, tensor.address.offset + tensor.bytes

    placed = [(tensor, span, space) for tensor, span in alive.items() if (space := spaces(tensor))]
    over = planned.arena.overwritten
    for index, (tensor, span, space) in enumerate(placed):
        assert ZERO_BYTES <= space[0] <= space[1] <= planned.arena.bytes
        for other, other_span, other_space in placed[:index]:
            if over.get(tensor) is not other and overlaps(
                (span[0], span[1] + 1), (other_span[0], other_span[1] + 1)
            ):
                assert not overlaps(space, other_space)


def test_an_output_is_written_where_it_is_wanted() -> None:
    mod = module([(2, 3)], lambda emit, x: (emit(op.nn.log_softmax(x)), x, emit(op.sin(x))))
    planned = plan(mod)
    scores, sine, copy = planned.steps
    assert scores.outputs[0].address.region == "output"
    assert copy.output.address.index == 1
    assert sine.outputs[0].address.index == 2


def test_a_constant_output_is_copied_from_the_constants() -> None:
    x = relax.Var("x", relax.TensorType((1, 4), "float32"))
    builder = relax.BlockBuilder()
    with builder.function("main", [x]):
        with builder.dataflow():
            y = builder.emit_output(op.nn.softmax(x))
        builder.emit_func_output(relax.Tuple([y, const(values(1, 4))]))
    planned = plan(builder.get())
    assert planned.steps[-1].sources[0].value.tolist() == values(1, 4).tolist()
