"""Non-maximum suppression: of boxes that overlap, the one of the highest score."""

from __future__ import annotations

from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from frontends.kernels.order import sort_indices
from frontends.kernels.shapes import extents, local, sequential

Expr = Any
Tensor = Any


def non_max_suppression(
    boxes: Tensor, scores: Tensor, most: Tensor, overlap: Tensor, threshold: Tensor, rows: int, centered: bool
) -> Any:
    """(batch, class, box) of the selected boxes, int64 [at most batches · classes · rows, 3], and their
    number, int64 [1].

    boxes:     [batches, N, 4]: two opposite corners, or centre and size if `centered`.
    scores:    [batches, classes, N].
    most:      int64 [1], boxes of a class and batch at most; never more than `rows`.
    overlap:   float32 [1], boxes that share more of their union than this are suppressed.
    threshold: float32 [1], boxes of no higher score are left out.
    """
    batches, classes, count = extents(scores)
    total = batches * classes * rows

    def emit(box: Any, score: Any, limit: Any, allowed: Any, lowest: Any, result: Any, found: Any) -> None:
        order, spare = (local((max(count, 1),), "int32") for _ in range(2))
        chosen = local((max(rows, 1),), "int32")
        state = local((2,), "int32")  # how many are chosen; whether one may be

        def corners(batch: Expr, number: Expr) -> tuple[Expr, Expr, Expr, Expr]:
            a, b, c, d = (box[(batch * count + number) * 4 + i] for i in range(4))
            if centered:
                return a - c / 2, b - d / 2, a + c / 2, b + d / 2
            return tirx.min(a, c), tirx.min(b, d), tirx.max(a, c), tirx.max(b, d)

        def suppresses(batch: Expr, one: Expr, other: Expr) -> Expr:
            first, second = corners(batch, one), corners(batch, other)
            sides = [tirx.min(first[i + 2], second[i + 2]) - tirx.max(first[i], second[i]) for i in range(2)]
            shared = sides[0] * sides[1]
            union = sum((c[2] - c[0]) * (c[3] - c[1]) for c in (first, second)) - shared
            apart = tirx.any(sides[0] <= 0.0, sides[1] <= 0.0)
            return tirx.all(tirx.Not(apart), shared / union > allowed[0])

        with T.serial(0, total * 3) as i:
            result[i] = tirx.const(0, "int64")
        found[0] = tirx.const(0, "int64")
        with T.serial(0, batches) as batch, T.serial(0, classes) as group:
            start = (batch * classes + group) * count
            sort_indices(order, spare, count, lambda one, other: score[start + one] > score[start + other])
            state[0] = tirx.const(0, "int32")
            with T.serial(0, count) as rank:
                number = order[rank]
                full = tirx.any(state[0] >= rows, tirx.Cast("int64", state[0]) >= limit[0])
                state[1] = tirx.Select(
                    tirx.any(full, tirx.Not(score[start + number] > lowest[0])),
                    tirx.const(0, "int32"),
                    tirx.const(1, "int32"),
                )
                with T.If(state[1] == 1), T.Then(), T.serial(0, state[0]) as i:
                    one = chosen[i]
                    with T.If(suppresses(batch, one, number)), T.Then():
                        state[1] = tirx.const(0, "int32")
                with T.If(state[1] == 1), T.Then():
                    chosen[state[0]] = number
                    state[0] = state[0] + 1
                    for column, value in enumerate((batch, group, number)):
                        result[found[0] * 3 + column] = tirx.Cast("int64", value)
                    found[0] = found[0] + 1

    inputs = [boxes, scores, most, overlap, threshold]
    return sequential("suppress", inputs, [((total, 3), "int64"), ((1,), "int64")], emit)
