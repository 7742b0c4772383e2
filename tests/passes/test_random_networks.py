"""Random small networks of every kind of stage and movement, against TVM: a search for what no test names."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tvm.ir import Expr, Var
from tvm.relax import op

from tests.passes.modules import check_compiled, const, conv, module, moved, one_hot, random_weight, through

MOST_CHANNELS = 40
EPSILON = 0.1
"""Of normalizations: with less, the rounding of TVM's group_norm shows where planes are nearly constant."""


class Chooser:
    """Random choices, weights and operators; the seed decides everything."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def number(self, low: int, high: int) -> int:
        return int(self.random.integers(low, high + 1))

    def weight(self, *shape: int) -> np.ndarray:
        return random_weight(self.random, *shape)

    def divisor(self, number: int) -> int:
        return int(self.random.choice([d for d in range(1, number + 1) if number % d == 0]))

    def per_channel(self, x: Var) -> Expr:
        return const(self.weight(1, channels(x), 1, 1))

    def taps(self, x: Var) -> list[tuple[int, int] | None]:
        """One-hot filters, one in ten of them zeros."""
        taps = [(self.number(0, 2), self.number(0, 2)) for _ in range(channels(x))]
        return [tap if self.random.random() < 0.9 else None for tap in taps]

    def shift(self, x: Var) -> Expr:
        offsets = [(self.number(-2, 2), self.number(-2, 2)) for _ in range(channels(x))]
        border = str(self.random.choice(["zero", "wrap", "edge"]))
        return through(moved(offsets, shape(x), border), x)

    def shuffle(self, x: Var) -> Expr:
        order = self.random.permutation(channels(x)).tolist()
        return op.concat([op.strided_slice(x, [1], [c], [c + 1]) for c in order], 1)

    def depthwise(self, x: Var, weight: np.ndarray) -> Expr:
        return conv(x, weight, 1, self.number(1, 2), groups=channels(x))


def shape(x: Var) -> tuple[int, ...]:
    return tuple(int(d) for d in x.ty.shape)


def channels(x: Var) -> int:
    return shape(x)[1]


def neutral(x: Var) -> tuple[Expr, Expr]:
    """Scale and offset of a normalization that changes nothing more."""
    return const(np.ones(channels(x))), const(np.zeros(channels(x)))


Operator = Callable[[Chooser, Var, Var], Expr]
"""Of a tensor and another of the same plane, which has as many channels where the operator needs it."""

OPERATORS: list[Operator] = [
    lambda c, x, y: conv(x, c.weight(c.number(1, 24), channels(x), 1, 1), 0, c.number(1, 2)),
    lambda c, x, y: conv(x, c.weight(c.number(1, 24), channels(x), 3, 3), 1, c.number(1, 2)),
    lambda c, x, y: c.depthwise(x, c.weight(channels(x), 1, 3, 3)),
    lambda c, x, y: c.depthwise(x, one_hot(c.taps(x))),
    lambda c, x, y: c.depthwise(x, one_hot(c.taps(x), c.weight(channels(x)))),
    lambda c, x, y: op.nn.max_pool2d(x, (3, 3), (c.number(1, 2),) * 2, (1, 1)),
    lambda c, x, y: op.nn.avg_pool2d(x, (3, 3), (c.number(1, 2),) * 2, (1, 1)),
    lambda c, x, y: op.nn.relu(x),
    lambda c, x, y: op.sigmoid(x),
    lambda c, x, y: op.multiply(x, c.per_channel(x)),
    lambda c, x, y: op.add(x, c.per_channel(x)),
    lambda c, x, y: op.multiply(x, op.sigmoid(op.mean(x, [2, 3], keepdims=True))),
    lambda c, x, y: op.subtract(x, y) if shape(x) == shape(y) else op.concat([y, x], 1),
    lambda c, x, y: op.add(x, y) if shape(x) == shape(y) else op.concat([x, y], 1),
    lambda c, x, y: op.concat([x, y], 1),
    lambda c, x, y: op.strided_slice(x, [1], [channels(x) // 3], [channels(x)]),
    lambda c, x, y: op.nn.pad(x, [0, 0, 0, 0, *(c.number(0, 1) for _ in range(4))]),
    lambda c, x, y: c.shift(x),
    lambda c, x, y: c.shuffle(x),
    lambda c, x, y: op.nn.softmax(x, axis=1),
    lambda c, x, y: op.add(x, op.nn.layer_norm(x, *neutral(x), [1], EPSILON)),
    lambda c, x, y: op.add(x, op.nn.group_norm(x, *neutral(x), c.divisor(channels(x)), 1, [2, 3], EPSILON)),
]


def network(seed: int):
    """Four to twelve operators on one or two inputs; some of the results are returned."""
    chooser = Chooser(seed)
    extents = (chooser.number(1, 2), chooser.number(1, 20), chooser.number(1, 7), chooser.number(1, 7))

    def body(emit, *inputs: Var):
        values = list(inputs)
        for _ in range(chooser.number(4, 12)):
            x = values[chooser.number(max(0, len(values) - 3), len(values) - 1)]
            others = [v for v in values if shape(v)[2:] == shape(x)[2:]]
            y = others[chooser.number(0, len(others) - 1)]
            result = emit(OPERATORS[chooser.number(0, len(OPERATORS) - 1)](chooser, x, y))
            if channels(result) <= MOST_CHANNELS:
                values.append(result)
        results = values[len(inputs) :] or [emit(op.nn.relu(inputs[0]))]
        return *(r for r in results[:-1] if chooser.random.random() < 0.25), results[-1]

    return module([extents] * chooser.number(1, 2), body)


@pytest.mark.parametrize("seed", range(5))
def test_network(seed: int) -> None:
    check_compiled(network(seed))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5, 71))
def test_more_networks(seed: int) -> None:
    check_compiled(network(seed))
