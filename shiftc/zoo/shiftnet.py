"""ShiftNet-A, -B, -C and the SC² variant for 224×224 images.

Wu et al., "Shift: A Zero FLOP, Zero Parameter Alternative to Spatial Convolutions", CVPR 2018,
its CSC (Conv-Shift-Conv) and SC² modules and its table of the ShiftNet architecture. A stem
convolution 7×7/2 is followed by four groups of modules; the first module of a group halves the
image, with the stride on the shift, and doubles the channels by concatenating its output to the
average-pooled input. The paper normalizes and activates before each 1×1; here that stands after it,
as in the authors' published ShiftResNet code, at the same number of multiply-adds.
"""

from __future__ import annotations

from typing import Literal

import attrs

from shiftc.zoo.blocks import RESIDUAL_GAIN, classifier, conv_bn, conv_bn_relu
from shiftc.zoo.graph_builder import GraphBuilder
from shiftc.zoo.shift import shift
from shiftc.zoo.tensor import Tensor

CLASSES = 1000


@attrs.frozen
class Group:
    """One row pair of the table.

    channels, modules: output channels, and how many modules the group has.
    kernel:            extent of the shift's neighbourhood.
    expansions:        ε of the first (down-sampling) module and of the others.
    """

    channels: int
    modules: int
    kernel: int
    expansions: tuple[int, int]


@attrs.frozen
class ShiftNet:
    """A member of the family.

    module:   csc = 1×1, shift, 1×1; sc2 = shift, 1×1, shift, 1×1.
    shortcut: what a down-sampling module does with its pooled input: `concat` it to the output, or
              `pad` its channels with zeros and add it.
    """

    stem: int
    groups: tuple[Group, ...]
    module: Literal["csc", "sc2"] = "csc"
    shortcut: Literal["concat", "pad"] = "concat"


SHIFTNET_A = ShiftNet(
    stem=32,
    groups=(
        Group(64, modules=5, kernel=5, expansions=(4, 4)),
        Group(128, modules=6, kernel=5, expansions=(4, 3)),
        Group(256, modules=7, kernel=3, expansions=(3, 2)),
        Group(512, modules=3, kernel=3, expansions=(2, 1)),
    ),
)
"""The paper's architecture table."""

SHIFTNET_B = ShiftNet(
    stem=SHIFTNET_A.stem // 2,
    groups=tuple(attrs.evolve(group, channels=group.channels // 2) for group in SHIFTNET_A.groups),
)
"""ShiftNet-A with half the channels."""

SHIFTNET_C = ShiftNet(
    stem=16,
    groups=tuple(
        Group(channels, modules=modules, kernel=3, expansions=(1, 1))
        for channels, modules in ((32, 1), (64, 4), (128, 4), (256, 3))
    ),
    shortcut="pad",
)
"""{1, 4, 4, 3} modules of {32, 64, 128, 256} channels. The paper describes it in one sentence; of the
possible readings, additive padded shortcuts at ε = 1 give its published number of parameters."""

SHIFTNET_SC2 = attrs.evolve(SHIFTNET_A, module="sc2")
"""ShiftNet-A of SC² modules, which the paper proposes for a larger receptive field."""


def shiftnet(graph: GraphBuilder, network: ShiftNet) -> Tensor:
    """[batch, 3, 224, 224] → logits [batch, 1000]."""
    x = conv_bn_relu(graph, graph.input, network.stem, 7, stride=2)
    for group in network.groups:
        for module in range(group.modules):
            x = shift_module(graph, x, network, group, downsample=module == 0)
    return classifier(graph, x, CLASSES)


def shift_module(
    graph: GraphBuilder, x: Tensor, network: ShiftNet, group: Group, *, downsample: bool
) -> Tensor:
    """A CSC or SC² module with its shortcut."""
    concat = downsample and network.shortcut == "concat"
    channels = group.channels - x.channels if concat else group.channels
    expansion = group.expansions[0 if downsample else 1]

    y = shift(graph, x, group.kernel) if network.module == "sc2" else x
    y = conv_bn_relu(graph, y, channels * expansion)
    y = shift(graph, y, group.kernel, stride=2 if downsample else 1)
    y = conv_bn(graph, y, channels, gain=1.0 if concat else RESIDUAL_GAIN)

    if not downsample:
        return graph.relu(graph.add(y, x))
    pooled = graph.average_pool(x, 3, stride=2, padding=1)
    if concat:
        return graph.relu(graph.concat([y, pooled]))
    missing = channels - x.channels
    return graph.relu(graph.add(y, graph.pad_channels(pooled, missing)))
