"""Normalization over the channels of every pixel.

    y = epilogue((x - mean) / sqrt(variance + epsilon)),  mean and variance over the channels of a pixel

(Ba, Kiros & Hinton, "Layer Normalization", 2016.) Two passes for the statistics, a mean m and the moments
around it, by which the rounding of m is corrected; a third to write:

    c = mean(x - m),  variance = mean((x - m)²) - c²,  y = ((x - m) - c) / sqrt(variance + epsilon)

(Chan, Golub & LeVeque, "Algorithms for computing the sample variance", 1983.)
"""

from __future__ import annotations

from typing import Any

from tvm import tirx
from tvm.tirx.script import builder as T

from schedules.activation import bound, constant
from schedules.workload import LayerNorm
from schedules.x86.lane_reduction import add, fill, reduce_lanes
from schedules.x86.over_channels import OverChannels, Tile


def _emit_tile(tile: Tile) -> None:
    workload = tile.workload
    assert isinstance(workload, LayerNorm)
    share = constant(1.0 / workload.channels)
    sums, squares = tile.vectors(), tile.vectors()
    mean, scale, offset = tile.numbers(), tile.numbers(), tile.numbers()

    def deviation(o: Any, p: Any, v: Any) -> Any:
        return tile.x(o, p, v) - mean[p]

    fill(sums)
    with tile.elements() as (o, p, v):
        sums.store(p, v, sums[p, v] + tile.where_used(o, v, tile.x(o, p, v)))
    with T.unroll(tile.size) as p:
        T.buffer_store(mean, reduce_lanes(add, sums, p) * share, [p])
    fill(sums)
    fill(squares)
    with tile.elements() as (o, p, v):
        value = tile.where_used(o, v, deviation(o, p, v))
        sums.store(p, v, sums[p, v] + value)
        squares.store(p, v, squares[p, v] + bound(value, lambda d: d * d))
    with T.unroll(tile.size) as p:
        correction = reduce_lanes(add, sums, p) * share
        variance = reduce_lanes(add, squares, p) * share - bound(correction, lambda c: c * c)
        positive = tirx.max(variance, constant(0.0)) + constant(workload.epsilon)
        T.buffer_store(scale, constant(1.0) / tirx.sqrt(positive), [p])
        T.buffer_store(offset, constant(0.0) - correction * scale[p], [p])
    with tile.elements() as (o, p, v):
        tile.store(o, p, v, deviation(o, p, v) * scale[p] + offset[p])


LAYER_NORM = OverChannels(
    kind="layer_norm",
    version=1,
    takes=LayerNorm,
    description="a normalization over channels",
    emit_tile=_emit_tile,
    vectors=4,
    cycles=6,
)
"""Two vectors of sums, the mean and what is loaded; three loads, a store and their arithmetic."""
