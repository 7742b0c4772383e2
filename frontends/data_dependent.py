"""Values whose size depends on data: computed into room for the most there can be, their number beside.

NonMaxSuppression, NonZero, Compress and Unique make such values. Operators that treat every row along the
counted axis by itself may follow; what comes behind the last row counted is anything. The session cuts an
output to its number of rows. Everything else would compute with rows that are not there, and is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from frontends.converters.node import Counted, Node, constant_value, static_shape

_ROWWISE = frozenset(
    """
    Abs Acos Acosh Add And Asin Asinh Atan Atanh BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Cast Ceil Clip Cos
    Cosh Div Elu Equal Erf Exp Floor Greater GreaterOrEqual HardSigmoid HardSwish Identity IsInf IsNaN
    LeakyRelu Less LessOrEqual Log Max Mean Min Mod Mul Neg Not Or Pow Reciprocal Relu Round Sigmoid Sign Sin
    Sinh Softplus Softsign Sqrt Sub Sum Tan Tanh Where Xor
    """.split()  # noqa: SIM905
)
"""Element-wise operators, which broadcast."""

Rule = Callable[[Node, Mapping[int, Counted]], int]


def carried(node: Node, counted: Mapping[int, Counted]) -> dict[int, Counted]:
    """What the outputs of a node are, some of whose inputs are counted. Raises ValueError where rows mix."""
    first = next(iter(counted.values()))
    rule = _broadcast if node.operator in _ROWWISE else _RULES.get(node.operator)
    if node.counted or rule is None or any(value.count is not first.count for value in counted.values()):
        raise ValueError(
            "the number of its input's rows depends on data, and it does not treat each row by itself: "
            "cut the model in front of it, and do the rest in your program"
        )
    result = Counted(rule(node, counted), first.count)
    return dict.fromkeys(range(node.outputs), result)


def _refuse_axis() -> ValueError:
    return ValueError("it works along an axis whose size depends on data: cut the model in front of it")


def _broadcast(node: Node, counted: Mapping[int, Counted]) -> int:
    shapes = [() if value is None else static_shape(value) for value in node.inputs.peek()]
    rank = max(map(len, shapes))
    axes = {rank - len(shapes[index]) + value.axis for index, value in counted.items()}
    axis = axes.pop()
    for index, shape in enumerate(shapes):
        position = axis - rank + len(shape)
        if axes or (index not in counted and position >= 0 and shape[position] != 1):
            raise _refuse_axis()
    return axis


def _gather(node: Node, counted: Mapping[int, Counted]) -> int:
    axis = int(node.attribute("axis")) % len(static_shape(node.inputs[0]))
    if list(counted) == [1]:
        return axis + counted[1].axis
    if len(counted) > 1 or counted[0].axis == axis:
        raise _refuse_axis()
    shift = len(static_shape(node.inputs[1])) - 1 if counted[0].axis > axis else 0
    return counted[0].axis + shift


def _gather_nd(node: Node, counted: Mapping[int, Counted]) -> int:
    last = len(static_shape(node.inputs[1])) - 1
    if list(counted) != [1] or counted[1].axis == last or node.attribute("batch_dims", 0):
        raise _refuse_axis()
    return counted[1].axis


def _along(others: Callable[[Node, int], Sequence[int]]) -> Rule:
    """Operators that work along axes of their own."""

    def rule(node: Node, counted: Mapping[int, Counted]) -> int:
        rank = len(static_shape(node.inputs[0]))
        axis = next(iter(counted.values())).axis
        if len(counted) < len(node.inputs) and node.operator == "Concat":
            raise _refuse_axis()
        if any(value.axis != axis for value in counted.values()) or axis in [
            other % rank for other in others(node, rank)
        ]:
            raise _refuse_axis()
        return axis

    return rule


def _transpose(node: Node, counted: Mapping[int, Counted]) -> int:
    rank = len(static_shape(node.inputs[0]))
    return int(list(node.attribute("perm", range(rank)[::-1])).index(counted[0].axis))


def _constants(node: Node, index: int) -> list[int]:
    value = node.optional(index)
    return [] if value is None else [int(axis) for axis in constant_value(value, "list of axes").reshape(-1)]


def _slice_axes(node: Node, rank: int) -> Sequence[int]:
    return _constants(node, 3) or range(len(_constants(node, 1)))


def _squeeze(node: Node, counted: Mapping[int, Counted]) -> int:
    shape, axis = static_shape(node.inputs[0]), counted[0].axis
    axes = [a % len(shape) for a in _constants(node, 1)] or [a for a, size in enumerate(shape) if size == 1]
    if axis in axes:
        raise _refuse_axis()
    return axis - sum(other < axis for other in axes)


def _unsqueeze(node: Node, counted: Mapping[int, Counted]) -> int:
    rank = len(static_shape(node.inputs[0])) + len(_constants(node, 1))
    new = {axis % rank for axis in _constants(node, 1)}
    return [axis for axis in range(rank) if axis not in new][counted[0].axis]


_RULES: Mapping[str, Rule] = {
    "Concat": _along(lambda node, rank: [node.attribute("axis")]),
    "Gather": _gather,
    "GatherND": _gather_nd,
    "LogSoftmax": _along(lambda node, rank: [node.attribute("axis")]),
    "Slice": _along(_slice_axes),
    "Softmax": _along(lambda node, rank: [node.attribute("axis")]),
    "Split": _along(lambda node, rank: [node.attribute("axis")]),
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
