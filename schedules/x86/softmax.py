"""Softmax over the channels of every pixel.

    y = epilogue(e / sum(e)),  e = exp(x - max(x)),  maximum and sum over the channels of a pixel

The exponentials are stored where the results go, and read back from the first cache.
"""

from __future__ import annotations

import math

from tvm import tirx
from tvm.tirx.script import builder as T

from schedules.activation import constant, exp
from schedules.workload import Softmax
from schedules.x86.lane_reduction import add, fill, reduce_lanes
from schedules.x86.over_channels import OverChannels, Tile


def _emit_tile(tile: Tile) -> None:
    y = tile.buffers["y"]
    vectors, highest, scale = tile.vectors(), tile.numbers(), tile.numbers()
    fill(vectors, -math.inf)
    with tile.elements() as (o, p, v):
        value = tile.where_used(o, v, tile.x(o, p, v), -math.inf)
        vectors.store(p, v, tirx.max(vectors[p, v], value))
    with T.unroll(tile.size) as p:
        T.buffer_store(highest, reduce_lanes(tirx.max, vectors, p), [p])
    fill(vectors)
    with tile.elements() as (o, p, v):
        value = tile.where_used(o, v, exp(tile.x(o, p, v) - highest[p]))
        T.buffer_store(y, value, [tile.y(o, p, v)])
        vectors.store(p, v, vectors[p, v] + y[tile.y(o, p, v)])
    with T.unroll(tile.size) as p:
        T.buffer_store(scale, constant(1.0) / reduce_lanes(add, vectors, p), [p])
    with tile.elements() as (o, p, v):
        tile.store(o, p, v, y[tile.y(o, p, v)] * scale[p])


SOFTMAX = OverChannels(
    kind="softmax",
    version=1,
    takes=Softmax,
    description="a softmax over channels",
    emit_tile=_emit_tile,
    vectors=8,
    cycles=20,
)
"""A vector of maxima or sums, and what an exponential takes."""
