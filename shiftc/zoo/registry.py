"""Names of the zoo, how each network is built, and what its paper publishes about it."""

from __future__ import annotations

import difflib
import re
import zlib
from collections.abc import Callable
from functools import partial

import attrs
import numpy as np
import onnx

from shiftc.zoo.compconv import compconv_resnet50, compconv_vgg16
from shiftc.zoo.cost import Published
from shiftc.zoo.graph_builder import GraphBuilder
from shiftc.zoo.mobilenetv2 import mobilenetv2
from shiftc.zoo.resnet import resnet50
from shiftc.zoo.shift_mlps import Block, asmlp_block, roll_block, shift_mlp, shiftvit_block
from shiftc.zoo.shiftnet import SHIFTNET_A, SHIFTNET_B, SHIFTNET_C, SHIFTNET_SC2, ShiftNet, shiftnet
from shiftc.zoo.shiftresnet import shiftresnet
from shiftc.zoo.shufflenetv2 import shufflenetv2
from shiftc.zoo.tensor import Tensor
from shiftc.zoo.vargnet import vargnet

SHIFT_PAPER = "Wu et al., CVPR 2018"


class UnknownNetwork(KeyError):  # noqa: N818 - says what is the matter, like LookupError
    """No network of that name in the zoo."""

    def __str__(self) -> str:
        return str(self.args[0])


@attrs.frozen
class Entry:
    """A network: its builder, its authors' figures, the extents of its input."""

    build: Callable[[GraphBuilder], Tensor]
    published: Published
    input_shape: tuple[int, int, int] = (3, 224, 224)


def _shufflenetv2(channels: tuple[int, int, int], last: int, parameters: float, macs: float) -> Entry:
    build = partial(shufflenetv2, stage_channels=channels, last_channels=last)
    return Entry(build, Published(parameters, macs, "Ma et al., ECCV 2018, Tables 5 and 8"))


def _shiftnet(network: ShiftNet, parameters: float | None, macs: float | None) -> Entry:
    figures = Published(parameters, macs, f"{SHIFT_PAPER}, ShiftNet on ImageNet")
    return Entry(partial(shiftnet, network=network), figures)


def _shift_mlp(channels: int, blocks: int, block: Block, model: str) -> Entry:
    build = partial(shift_mlp, channels=channels, blocks=blocks, block=block)
    return Entry(build, Published(None, None, f"none: a block of {model}, not its network"))


_SHIFTRESNET_BLOCKS = {"shiftresnet20": 3, "shiftresnet56": 9, "shiftresnet110": 18}
_SHIFTRESNET_PARAMETERS = {
    "shiftresnet20": {1: 0.03e6, 3: 95642, 6: 0.19e6, 9: 0.28e6},
    "shiftresnet56": {1: 0.10e6, 3: 0.29e6, 6: 0.58e6, 9: 0.87e6},
    "shiftresnet110": {1: 0.20e6, 3: 0.59e6, 6: 1.18e6, 9: 1.76e6},
}
"""By expansion; the exact one is what the authors' counting script prints."""

_EXPANSION_SUFFIX = re.compile(r"(shiftresnet\d+)-e([1-9]\d?)")
_DEFAULT_EXPANSION = 6

_COMPCONV = Published(None, None, "none for this variant; the paper's cost formula is tested instead")

_NETWORKS: dict[str, Entry] = {
    "shiftnet-a": _shiftnet(SHIFTNET_A, 4.1e6, 1.4e9),
    "shiftnet-b": _shiftnet(SHIFTNET_B, 1.1e6, 371e6),
    "shiftnet-c": _shiftnet(SHIFTNET_C, 0.78e6, None),
    "shiftnet-sc2": _shiftnet(SHIFTNET_SC2, None, None),
    "shufflenetv2-0.5": _shufflenetv2((48, 96, 192), 1024, 1.4e6, 41e6),
    "shufflenetv2-1.0": _shufflenetv2((116, 232, 464), 1024, 2.3e6, 146e6),
    "shufflenetv2-1.5": _shufflenetv2((176, 352, 704), 1024, 3.5e6, 299e6),
    "shufflenetv2-2.0": _shufflenetv2((244, 488, 976), 2048, 7.4e6, 591e6),
    "compconv-vgg16": Entry(compconv_vgg16, _COMPCONV, (3, 32, 32)),
    "compconv-resnet50": Entry(compconv_resnet50, _COMPCONV),
    "vargnet": Entry(vargnet, Published(5.33e6, 590e6, "Zhang et al., arXiv 1907.05653, Table 3, G = 8")),
    "mobilenetv2": Entry(mobilenetv2, Published(3.4e6, 300e6, "Sandler et al., CVPR 2018, Table 4")),
    "resnet50": Entry(resnet50, Published(25557032, 4.09e9, "torchvision, ResNet50_Weights.IMAGENET1K_V1")),
    "asmlp-like": _shift_mlp(80, 2, asmlp_block, "AS-MLP"),
    "roll-like": _shift_mlp(80, 2, roll_block, "cyclically shifting networks"),
    "shiftvit-like": _shift_mlp(96, 6, shiftvit_block, "ShiftViT"),
}


def names() -> tuple[str, ...]:
    """Every name of the zoo; ShiftResNets also take a suffix `-e1` … `-e99`, their expansion."""
    return (*_SHIFTRESNET_BLOCKS, *_NETWORKS)


def build(name: str, batch: int = 1, seed: int = 0) -> onnx.ModelProto:
    """The network `name` with random weights: input [batch, 3, rows, columns], output `output`.

    The same name, batch and seed give the same bytes. Raises UnknownNetwork, and ValueError for a
    batch below 1.
    """
    entry = _entry(name)
    if batch < 1:
        raise ValueError(f"batch must be at least 1, not {batch}")
    random = np.random.default_rng([seed, zlib.crc32(name.encode())])
    graph = GraphBuilder(name, (batch, *entry.input_shape), random)
    return graph.model(entry.build(graph))


def published(name: str) -> Published:
    """The figures the network's authors give. Raises UnknownNetwork."""
    return _entry(name).published


def _entry(name: str) -> Entry:
    if name in _NETWORKS:
        return _NETWORKS[name]
    suffixed = _EXPANSION_SUFFIX.fullmatch(name)
    base, expansion = (suffixed[1], int(suffixed[2])) if suffixed else (name, _DEFAULT_EXPANSION)
    if base in _SHIFTRESNET_BLOCKS:
        network = partial(shiftresnet, blocks_per_stage=_SHIFTRESNET_BLOCKS[base], expansion=expansion)
        parameters = _SHIFTRESNET_PARAMETERS[base].get(expansion)
        figures = Published(parameters, None, f"{SHIFT_PAPER}, ShiftResNet on CIFAR")
        return Entry(network, figures, (3, 32, 32))
    close = difflib.get_close_matches(name, names(), n=3, cutoff=0.5)
    hint = f"did you mean {', '.join(close)}?" if close else f"known: {', '.join(names())}"
    raise UnknownNetwork(f"no network {name!r} in the zoo; {hint}")
