"""conv(s * x, W) → conv(x, W s);  conv(x + b, W) → conv(x, W) + W b  for constants s, b per input channel.

For what a normalisation leaves behind a shift, a concat or a pool, where there is no weight in front to
take it (fold_scale). A scale also goes through a shift: s * shift(x) = shift(s * x). An offset does not,
and needs a convolution that reads no padding: padding is 0, not b. Behind a convolution an offset stays:
there it is a bias, which is free. So do constants that are one number, the last factor of a GELU say:
the epilogue knows such functions as a whole.
"""

from __future__ import annotations

import numpy as np
from tvm import relax
from tvm.ir import Call, Expr

from ..array import Array
from ..graph import Graph, Node
from ..relax_values import shape_of
from ..uses import Uses
from .linear import Linear, constant_operand, linear_of


def fold_scale_forward(graph: Graph) -> None:
    """Fold constant factors and terms per channel into the convolutions and products that read them."""
    uses = Uses(graph)
    offsets: list[tuple[Linear, Array]] = []
    for node in reversed(graph.nodes):
        linear = linear_of(node)
        if linear is not None and not linear.is_movement:
            offset = _fold_operand(uses, linear)
            if offset.any():
                offsets.append((linear, offset))
    for linear, offset in offsets:
        _add_bias(graph, uses, linear, offset)


def _fold_operand(uses: Uses, linear: Linear) -> Array:
    """Walk back from the operand and fold what can be; the offset that the result lacks for it.

    reader: the node whose operand is looked at: the convolution, or a shift in front of it.
    passed: the node that read this operand when the walk began.
    """
    offset: Array = np.zeros(1)
    reader, passed, shared = linear.node, linear.node, False
    while (producer := uses.producer(reader.call.args[0])) is not None:
        takers = _takers(uses, producer, passed, linear)
        if takers is None:
            break
        shared |= len(takers) > 1
        shift = linear_of(producer)
        factor = _vector(linear, producer, "relax.multiply")
        term = _vector(linear, producer, "relax.add")
        if shift is not None and linear.is_conv and shift.is_depthwise and shift.is_movement and not shared:
            reader = producer
        elif factor is not None:
            linear = linear.scale_inputs(factor[1])
            _read(reader, factor[0])
        elif term is not None and reader is linear.node and not _is_free(uses, term[0], takers):
            offset = offset + linear.of_offset(term[1])
            _read(reader, term[0])
        else:
            break
        passed = producer
    return offset


def _takers(uses: Uses, producer: Node, passed: Node, linear: Linear) -> list[Linear] | None:
    """The convolutions that the value goes to if it goes nowhere else, else None."""
    readers = uses.consumers(producer.var)
    if uses.is_output(producer.var):
        return None
    if passed is not linear.node:
        return [linear] if readers == [passed] else None
    takers = [t for reader in readers if (t := linear_of(reader)) is not None and not t.is_movement]
    return takers if len(takers) == len(readers) else None


def _vector(linear: Linear, node: Node, op: str) -> tuple[Expr, Array] | None:
    """The operand of `x op constant` and the constant per input channel of the convolution."""
    found = constant_operand(node, op)
    if found is None or found[1].size == 1:
        return None
    vector = linear.vector(found[1], shape_of(node.var))
    return None if vector is None else (found[0], vector)


def _is_free(uses: Uses, data: Expr, takers: list[Linear]) -> bool:
    """An offset to this value has to stay, or costs nothing where it is."""
    producer = linear_of(uses.producer(data))
    is_bias = producer is not None and not producer.is_movement
    return is_bias or any(taker.is_padded for taker in takers)


def _read(reader: Node, data: Expr) -> None:
    call = reader.call
    reader.call = Call(call.op, [data, *call.args[1:]], call.attrs, call.ty_args)


def _add_bias(graph: Graph, uses: Uses, linear: Linear, offset: Array) -> None:
    """Add the offset to the bias that is there, or as a new one."""
    node, readers = linear.node, uses.consumers(linear.node.var)
    bias = constant_operand(readers[0], "relax.add") if len(readers) == 1 else None
    vector = None if bias is None else linear.vector(bias[1], shape_of(node.var))
    if vector is not None and not uses.is_output(node.var):
        readers[0].call = relax.op.add(node.var, linear.per_channel(vector + offset))
    else:
        convolved = graph.insert_before(node, node.call, node.name)
        node.call = relax.op.add(convolved.var, linear.per_channel(offset))
