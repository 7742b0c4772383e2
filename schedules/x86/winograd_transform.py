"""The two-sided products M d Mᵀ of Winograd's transforms, as straight-line code on vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tvm.tirx.script import builder as T

from schedules.activation import constant
from schedules.template import ScheduleError
from schedules.winograd import BY_OUTPUTS, Matrix, Winograd
from schedules.x86.registers import Vectors

Expr = Any


def form_of(outputs: int) -> Winograd:
    """F(outputs x outputs, 3 x 3). Raises ScheduleError if there is none."""
    if outputs not in BY_OUTPUTS:
        raise ScheduleError(f"no Winograd form with {outputs} x {outputs} outputs")
    return BY_OUTPUTS[outputs]


def transform(
    matrix: Matrix,
    lanes: int,
    read: Callable[[int, int, Expr], Expr],
    write: Callable[[int, int, Expr, Expr], None],
    order: Iterable[int],
) -> None:
    """`write(i, j, v, (M d Mᵀ)[i, j])` for the elements i * rows + j in `order`; `d[r, s] = read(r, s, v)`.

    Columns first; the half-way result stays on the stack. v is a vectorized loop over the lanes.
    """
    rows, size = len(matrix), len(matrix[0])
    half_way = Vectors(rows * size, lanes)
    for j in range(size):
        with T.vectorized(lanes) as v:
            column = _product(matrix, [read(r, j, v) for r in range(size)])
            for i, value in enumerate(column):
                half_way.store(i * size + j, v, value)
    for element in order:
        i, j = divmod(element, rows)
        with T.vectorized(lanes) as v:
            write(i, j, v, _product(matrix, [half_way[i * size + c, v] for c in range(size)])[j])


def _product(matrix: Matrix, terms: Sequence[Expr]) -> list[Expr]:
    """The vector `matrix @ terms`; what several of its elements need is one expression.

    Interpolation points come in pairs ±p. So columns of Aᵀ, and rows of Bᵀ, come in pairs that differ in
    signs alone: of such terms sum and difference are used, and such elements are sums and differences.
    """
    factors = np.array(matrix)
    terms = list(terms)
    for k, other in _pairs(factors.T):
        sums, differences = (factors[:, k] + factors[:, other]) / 2, (factors[:, k] - factors[:, other]) / 2
        factors[:, k], factors[:, other] = sums, differences
        terms[k], terms[other] = terms[k] + terms[other], terms[k] - terms[other]
    pairs = _pairs(factors)
    alone = set(range(len(factors))) - {i for pair in pairs for i in pair}
    elements = {i: _sum(factors[i], terms) for i in alone}
    for i, other in pairs:
        even = _sum((factors[i] + factors[other]) / 2, terms)
        odd = _sum((factors[i] - factors[other]) / 2, terms)
        elements[i], elements[other] = even + odd, even - odd
    return [elements[i] for i in range(len(factors))]


def _pairs(rows: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Disjoint pairs of rows whose elements differ in signs alone, and of which two at least are not zero."""
    found: list[tuple[int, int]] = []
    for i, j in combinations(range(len(rows)), 2):
        alike = (np.abs(rows[i]) == np.abs(rows[j])).all() and np.count_nonzero(rows[i]) > 1
        if alike and not any({i, j} & set(pair) for pair in found):
            found.append((i, j))
    return found


def _sum(factors: Iterable[float], terms: Sequence[Expr]) -> Expr:
    """sum_k factors[k] * terms[k]; a factor that all share is multiplied last.

    A term of factor 1 comes first: the others are then multiplied and added at once.
    """
    used = [(float(f), t) for f, t in zip(factors, terms, strict=True) if f]
    common = abs(used[0][0])
    if common != 1 and all(abs(f) == common for f, _ in used):
        return _sum([f / common for f, _ in used], [t for _, t in used]) * constant(common)
    used.sort(key=lambda pair: pair[0] != 1)
    total = None
    for factor, term in used:
        if total is None:
            total = term if factor == 1 else term * constant(factor)
        elif abs(factor) == 1:
            total = total + term if factor > 0 else total - term
        else:
            total = total + term * constant(factor)
    return total
