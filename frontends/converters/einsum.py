"""Einsum of two operands as a matrix product; others as Relax's operator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from tvm import relax

from frontends.converters.node import Converter, Expr, Node, static_shape


def _einsum(node: Node) -> Expr:
    equation = node.attribute("equation").replace(" ", "")
    terms, arrow, result = equation.partition("->")
    labels = terms.split(",")
    plain = arrow and all(term.isalpha() and len(set(term)) == len(term) for term in [*labels, result])
    if plain and len(labels) == 2 and set(labels[0]) ^ set(labels[1]) <= set(result):
        return _contraction(node.inputs, labels, result)
    return relax.op.einsum(tuple(node.inputs), equation)


def _contraction(inputs: Sequence[Expr], labels: Sequence[str], result: str) -> Expr:
    """A two-operand einsum as a (batched) matrix product: sum over the labels `result` lacks."""
    left, right = labels
    sizes = {
        label: size
        for operand, term in zip(inputs, labels, strict=True)
        for label, size in zip(term, static_shape(operand), strict=True)
    }
    batch = [label for label in left if label in right and label in result]
    summed = [label for label in left if label in right and label not in result]
    rows = [label for label in left if label not in right]
    columns = [label for label in right if label not in left]

    def arrange(operand: Expr, term: str, *groups: Sequence[str]) -> Expr:
        order = [term.index(label) for group in [batch, *groups] for label in group]
        merged = [prod(sizes[label] for label in group) for group in groups]
        moved = relax.op.permute_dims(operand, order)
        return relax.op.reshape(moved, [*(sizes[label] for label in batch), *merged])

    product = relax.op.matmul(
        arrange(inputs[0], left, rows, summed), arrange(inputs[1], right, summed, columns)
    )
    computed = [*batch, *rows, *columns]
    unmerged = relax.op.reshape(product, [sizes[label] for label in computed])
    return relax.op.permute_dims(unmerged, [computed.index(label) for label in result])


CONVERTERS: Mapping[str, Converter] = {"Einsum": _einsum}
