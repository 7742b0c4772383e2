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

from shiftc.zoo.cost import Published
from shiftc.zoo.graph_builder import GraphBuilder, Tensor
from shiftc.zoo.resnet import resnet50
from shiftc.zoo.shiftnet import SHIFTNET_A, SHIFTNET_B, SHIFTNET_C, SHIFTNET_SC2, shiftnet
from shiftc.zoo.shiftresnet import shiftresnet
from shiftc.zoo.shufflenetv2 import shufflenetv2

SHIFT_PAPER = "Wu et al., CVPR 2018"
SHUFFLENETV2_PAPER = "Ma et al., ECCV 2018, Tables 5 and 8"


class UnknownNetwork(KeyError):
    """No network of that name in the zoo."""

    def __str__(self) -> str:
        return str(self.args[0])


@attrs.frozen
class Entry:
    """A network: its builder, the extents of its input, the published figures."""

    build: Callable[[GraphBuilder], Tensor]
    published: Published
    input_shape: tuple[int, int, int] = (3, 224, 224)


def _shiftresnet(blocks_per_stage: int, expansion: int, published: Published) -> Entry:
    build = partial(shiftresnet, blocks_per_stage=blocks_per_stage, expansion=expansion)
    return Entry(build, published, (3, 32, 32))


def _shufflenetv2(channels: tuple[int, int, int], last: int, parameters: float, macs: float) -> Entry:
    build = partial(shufflenetv2, stage_channels=channels, last_channels=last)
    return Entry(build, Published(parameters, macs, SHUFFLENETV2_PAPER))


_SHIFTRESNET_BLOCKS = {"shiftresnet20": 3, "shiftresnet56": 9, "shiftresnet110": 18}
_SHIFTRESNET_PARAMETERS = {
    ("shiftresnet20", 1): 0.03e6,
    ("shiftresnet20", 3): 95642,
    ("shiftresnet20", 6): 0.19e6,
    ("shiftresnet20", 9): 0.28e6,
    ("shiftresnet56", 1): 0.10e6,
    ("shiftresnet56", 3): 0.29e6,
    ("shiftresnet56", 6): 0.58e6,
    ("shiftresnet56", 9): 0.87e6,
    ("shiftresnet110", 1): 0.20e6,
    ("shiftresnet110", 3): 0.59e6,
    ("shiftresnet110", 6): 1.18e6,
    ("shiftresnet110", 9): 1.76e6,
}
_EXPANSION_SUFFIX = re.compile(r"(shiftresnet\d+)-e([1-9]\d?)")
DEFAULT_EXPANSION = 6

NETWORKS: dict[str, Entry] = {
    "shiftnet-a": Entry(partial(shiftnet, network=SHIFTNET_A), Published(4.1e6, 1.4e9, f"{SHIFT_PAPER}, Table 5")),
    "shiftnet-b": Entry(partial(shiftnet, network=SHIFTNET_B), Published(1.1e6, 371e6, f"{SHIFT_PAPER}, Table 5")),
    "shiftnet-c": Entry(partial(shiftnet, network=SHIFTNET_C), Published(0.78e6, None, f"{SHIFT_PAPER}, Table 5")),
    "shiftnet-sc2": Entry(partial(shiftnet, network=SHIFTNET_SC2), Published(None, None, SHIFT_PAPER)),
    "shufflenetv2-0.5": _shufflenetv2((48, 96, 192), 1024, 1.4e6, 41e6),
    "shufflenetv2-1.0": _shufflenetv2((116, 232, 464), 1024, 2.3e6, 146e6),
    "shufflenetv2-1.5": _shufflenetv2((176, 352, 704), 1024, 3.5e6, 299e6),
    "shufflenetv2-2.0": _shufflenetv2((244, 488, 976), 2048, 7.4e6, 591e6),
    "resnet50": Entry(resnet50, Published(25557032, 4.09e9, "torchvision ResNet50_Weights.IMAGENET1K_V1")),
}


def names() -> tuple[str, ...]:
    """Every name of the zoo; ShiftResNets also take a suffix `-e1` … `-e99`, their expansion."""
    return (*_SHIFTRESNET_BLOCKS, *NETWORKS)


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
    if name in NETWORKS:
        return NETWORKS[name]
    suffixed = _EXPANSION_SUFFIX.fullmatch(name)
    base, expansion = (suffixed[1], int(suffixed[2])) if suffixed else (name, DEFAULT_EXPANSION)
    if base in _SHIFTRESNET_BLOCKS:
        figures = Published(_SHIFTRESNET_PARAMETERS.get((base, expansion)), None, f"{SHIFT_PAPER}, Table 2")
        return _shiftresnet(_SHIFTRESNET_BLOCKS[base], expansion, figures)
    close = difflib.get_close_matches(name, names(), n=3, cutoff=0.5)
    hint = f"did you mean {', '.join(close)}?" if close else f"known: {', '.join(names())}"
    raise UnknownNetwork(f"no network {name!r} in the zoo; {hint}")
