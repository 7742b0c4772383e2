"""Weighted sums along any axes of a tensor, in the order and along as many axes at once as is cheap."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from tvm import relax

from frontends.converters.node import Expr, Node, static_shape
from frontends.window_sum import Taps, window_sum

_MANY_TAPS = 16
"""Of a window along two axes: with more, it is cheaper to sum along one axis and then along the other."""


def summed(node: Node, data: Expr, taps: Mapping[int, Taps]) -> Expr:
    """`window_sum` of `data`; planes [N, H, W, C] are summed as [N, C, H, W]."""
    if len(static_shape(data)) == 4 and set(taps) in ({1}, {1, 2}):
        turned = node.builder.normalize(relax.op.permute_dims(data, [0, 3, 1, 2]))
        result = _in_turns(node, turned, {axis + 1: chosen for axis, chosen in taps.items()})
        return relax.op.permute_dims(node.builder.normalize(result), [0, 2, 3, 1])
    return _in_turns(node, data, taps)


def _in_turns(node: Node, data: Expr, taps: Mapping[int, Taps]) -> Expr:
    at_once: dict[int, Taps] = {}
    for axis, chosen in taps.items():
        window = prod([t.index.shape[1] for t in (*at_once.values(), chosen)])
        if at_once and window > _MANY_TAPS:
            data, at_once = node.builder.normalize(window_sum(data, at_once)), {}
        at_once[axis] = chosen
    return node.builder.normalize(window_sum(data, at_once))
