"""Thirty blocks of the zoo's networks, each a model whose stages can all be in one chain."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs
import numpy as np
import onnx

from shiftc.zoo.blocks import RESIDUAL_GAIN, conv_bn, conv_bn_relu
from shiftc.zoo.graph_builder import GraphBuilder
from shiftc.zoo.mobilenetv2 import inverted_residual
from shiftc.zoo.resnet import bottleneck, conv3x3
from shiftc.zoo.shift_mlps import mlp_residual
from shiftc.zoo.shiftresnet import csc_block
from shiftc.zoo.shufflenetv2 import main_branch
from shiftc.zoo.tensor import Tensor
from shiftc.zoo.vargnet import separable_unit

_SEED = 7

_TILES = (2, 3, 4, 6, 7, 8, 14, 16, 28, 32, 56)


@attrs.frozen
class Block:
    """What stands between two blocks of a network.

    kind:  inverted (1×1, depthwise 3×3, 1×1), branch (the same without a shortcut), csc (1×1, shift, 1×1),
           grouped (3×3 in groups, 1×1), basic (3×3, 3×3), bottleneck (1×1, 3×3, 1×1), mlp (1×1, 1×1).
    inner: channels of what lies between.
    plane: rows and columns of the input [1, channels, plane, plane].
    """

    kind: str
    channels: int
    inner: int
    outputs: int
    plane: int
    stride: int = 1

    def model(self) -> onnx.ModelProto:
        """The block alone, with random weights."""
        shape = (1, self.channels, self.plane, self.plane)
        graph = GraphBuilder(str(self), shape, np.random.default_rng(_SEED))
        return graph.model(KINDS[self.kind](graph, graph.input, self))

    @property
    def rows(self) -> int:
        """Of the result."""
        return -(-self.plane // self.stride)

    def tile_counts(self) -> tuple[int, ...]:
        """Numbers of tiles, more than one, that make tiles of different heights."""
        by_height = {-(-self.rows // count): count for count in reversed(_TILES) if count <= self.rows}
        return tuple(sorted(by_height.values()))

    def __str__(self) -> str:
        stride = f" / {self.stride}" if self.stride > 1 else ""
        return f"{self.kind} {self.channels}-{self.inner}-{self.outputs}, {self.plane} x {self.plane}{stride}"


def _inverted(graph: GraphBuilder, x: Tensor, block: Block) -> Tensor:
    expansion = block.inner // block.channels
    return inverted_residual(graph, x, block.outputs, stride=block.stride, expansion=expansion)


def _branch(graph: GraphBuilder, x: Tensor, block: Block) -> Tensor:
    return main_branch(graph, x, block.outputs, stride=block.stride)


def _csc(graph: GraphBuilder, x: Tensor, block: Block) -> Tensor:
    expansion = block.inner // block.outputs
    return csc_block(graph, x, block.outputs, stride=block.stride, expansion=expansion)


def _grouped(graph: GraphBuilder, x: Tensor, block: Block) -> Tensor:
    expansion = block.inner // block.channels
    return separable_unit(graph, x, block.outputs, expansion, stride=block.stride)


def _basic(graph: GraphBuilder, x: Tensor, block: Block) -> Tensor:
    """He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, Figure 5, left."""
    y = conv_bn_relu(graph, x, block.inner, 3)
    return graph.relu(graph.add(conv_bn(graph, y, block.outputs, 3, gain=RESIDUAL_GAIN), x))


def _bottleneck(graph: GraphBuilder, x: Tensor, block: Block) -> Tensor:
    return bottleneck(graph, x, block.inner, block.stride, conv3x3)


def _mlp(graph: GraphBuilder, x: Tensor, block: Block) -> Tensor:
    return mlp_residual(graph, x, block.inner // block.channels)


KINDS: Mapping[str, Callable[[GraphBuilder, Tensor, Block], Tensor]] = {
    "inverted": _inverted,
    "branch": _branch,
    "csc": _csc,
    "grouped": _grouped,
    "basic": _basic,
    "bottleneck": _bottleneck,
    "mlp": _mlp,
}

BLOCKS = (
    # MobileNet V2
    Block("inverted", 32, 32, 16, 112),
    Block("inverted", 16, 96, 24, 112, 2),
    Block("inverted", 24, 144, 24, 56),
    Block("inverted", 24, 144, 32, 56, 2),
    Block("inverted", 32, 192, 32, 28),
    Block("inverted", 32, 192, 64, 28, 2),
    Block("inverted", 64, 384, 64, 14),
    Block("inverted", 96, 576, 160, 14, 2),
    Block("inverted", 160, 960, 160, 7),
    # ShuffleNet V2 1.0
    Block("branch", 24, 58, 58, 56, 2),
    Block("branch", 58, 58, 58, 28),
    Block("branch", 116, 116, 116, 28, 2),
    Block("branch", 116, 116, 116, 14),
    Block("branch", 232, 232, 232, 7),
    # ShiftResNets and ShiftNet-A
    Block("csc", 16, 96, 16, 32),
    Block("csc", 32, 192, 32, 16),
    Block("csc", 64, 256, 64, 56),
    Block("csc", 128, 384, 128, 28),
    Block("csc", 256, 512, 256, 14),
    Block("csc", 512, 512, 512, 7),
    # VarGNet
    Block("grouped", 32, 32, 32, 112, 2),
    Block("grouped", 32, 64, 128, 56, 2),
    Block("grouped", 128, 256, 128, 28),
    Block("grouped", 256, 256, 256, 14),
    Block("grouped", 512, 512, 512, 7),
    # ResNets
    Block("basic", 64, 64, 64, 56),
    Block("basic", 128, 128, 128, 28),
    Block("basic", 256, 256, 256, 14),
    Block("bottleneck", 256, 64, 256, 56),
    # AS-MLP
    Block("mlp", 80, 320, 80, 56),
)
