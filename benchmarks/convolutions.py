"""The sweep's sixty convolutions, and models that chain one of them."""

from __future__ import annotations

import math
from collections.abc import Iterator

import attrs
import numpy as np
import onnx

from shiftc.zoo.graph_builder import GraphBuilder
from shiftc.zoo.shift import shift

POINTWISE, SHIFTED, DENSE, DEPTHWISE, GROUPED = KINDS = (
    "pointwise",
    "shifted",
    "3x3",
    "depthwise",
    "grouped",
)

EDGE_LINKS = 2
"""Links of the short chain: one that reads the model's input, one that writes its output."""

_FEWEST_LINKS, _USUAL_LINKS, _MOST_LINKS = 2, 4, 32
_CHAIN_MACS = 40_000_000

_CACHE_SHARE = 0.75

_SEED = 7
_BYTES = 4


@attrs.frozen
class Convolution:
    """As many outputs as inputs, stride 1, on a square plane; `groups` of them are independent.

    kind: pointwise (1×1), shifted (a shift by the nine directions, which costs nothing, and 1×1), 3x3,
          depthwise (3×3), grouped (3×3).
    """

    kind: str
    channels: int
    plane: int
    groups: int = 1

    @property
    def kernel(self) -> int:
        """Rows and columns of the filters."""
        return 1 if self.kind in (POINTWISE, SHIFTED) else 3

    @property
    def macs(self) -> int:
        """Multiply-adds, taps on the padding included."""
        return self.plane**2 * self.weights

    @property
    def weights(self) -> int:
        """How many."""
        return self.channels * self.channels // self.groups * self.kernel**2

    def footprint(self, links: int) -> int:
        """Bytes of a chain: the weights of all links, two activations."""
        return _BYTES * (links * self.weights + 2 * self.channels * self.plane**2)

    def stays_in(self, cache_bytes: int, links: int) -> bool:
        """The long chain finds all it reads in the cache, with room for tables and halos."""
        return self.footprint(links + EDGE_LINKS) <= _CACHE_SHARE * cache_bytes

    def links(self, cache_bytes: int) -> int:
        """Inner links of the long chain: enough to be timed, few enough to stay in the cache where it can."""
        wanted = min(_MOST_LINKS, max(_USUAL_LINKS, math.ceil(_CHAIN_MACS / self.macs)))
        for links in range(wanted, _FEWEST_LINKS - 1, -1):
            if self.stays_in(cache_bytes, links):
                return links
        return wanted

    def chain(self, links: int) -> onnx.ModelProto:
        """`links` times this convolution and ReLU, each with weights of its own: [1, channels, plane, plane].

        ReLU keeps a compiler from multiplying two matrices in advance; all runtimes fuse it.
        """
        shape = (1, self.channels, self.plane, self.plane)
        graph = GraphBuilder(str(self), shape, np.random.default_rng(_SEED))
        x = graph.input
        for _ in range(links):
            if self.kind == SHIFTED:
                x = shift(graph, x)
            x = graph.relu(graph.conv(x, self.channels, self.kernel, groups=self.groups))
        return graph.model(x)

    def __str__(self) -> str:
        groups = f" in {self.groups} groups" if self.kind == GROUPED else ""
        return f"{self.kind}, {self.channels} channels{groups}, {self.plane} x {self.plane}"


_POINTWISE_CHANNELS = {
    56: (32, 64, 128),
    28: (32, 64, 128, 256),
    14: (64, 96, 128, 256, 512),
    7: (64, 128, 256, 512, 1024),
}
_DENSE_CHANNELS = {56: (32, 64), 28: (64, 128), 14: (64, 128, 256), 7: (64, 256, 512)}
_DEPTHWISE_CHANNELS = {56: (32, 128), 28: (64, 256), 14: (128, 512), 7: (256, 1024)}
_GROUPED_CHANNELS = {
    56: ((64, 8), (128, 32)),
    28: ((128, 8), (256, 32)),
    14: ((256, 8), (512, 32)),
    7: ((512, 8), (1024, 32)),
}
"""Channels and channels in a group: VarGNet's eight, and half of a ResNeXt's 64."""


def sets() -> Iterator[tuple[Convolution, ...]]:
    """The sixty, in sets that are measured together: a shifted one beside the plain one of its shape."""
    for plane, widths in _POINTWISE_CHANNELS.items():
        for channels in widths:
            yield Convolution(POINTWISE, channels, plane), Convolution(SHIFTED, channels, plane)
    for plane, widths in _DENSE_CHANNELS.items():
        for channels in widths:
            yield (Convolution(DENSE, channels, plane),)
    for plane, widths in _DEPTHWISE_CHANNELS.items():
        for channels in widths:
            yield (Convolution(DEPTHWISE, channels, plane, groups=channels),)
    for plane, pairs in _GROUPED_CHANNELS.items():
        for channels, width in pairs:
            yield (Convolution(GROUPED, channels, plane, groups=channels // width),)
