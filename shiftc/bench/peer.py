"""What a runtime to compare with has to offer, and which there are."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import attrs
import numpy.typing as npt

from frontends import ImportedModel
from shiftc.bench.turns import DEFAULT_BUDGET
from shiftc.errors import PeerError

Inputs = Mapping[str, npt.NDArray[Any]]
Runner = Callable[[Inputs], "list[npt.NDArray[Any]]"]
"""Runs the model; outputs in the model's order."""


@attrs.frozen
class PeerModel:
    """The model in the forms peers take.

    path:     an ONNX file of standard operators.
    imported: the same in Relax, with its signature.
    target:   what `--target` said.
    """

    path: Path
    imported: ImportedModel
    target: str


Loader = Callable[[PeerModel, int], Runner]


@attrs.frozen
class Peer:
    """A runtime: `load(model, threads)` prepares a model to run on that many threads.

    seconds:             what all its timed turns together may take.
    avx2_environment:    variables that hold it to AVX2.
    compiles_for_target: it uses the target's instructions and no others.
    """

    name: str
    package: str
    module: str
    seconds: float = DEFAULT_BUDGET
    avx2_environment: Mapping[str, str] = attrs.field(factory=dict)
    compiles_for_target: bool = False

    @property
    def version(self) -> str:
        """The installed version."""
        return version(self.package)

    def load(self, model: PeerModel, threads: int) -> Runner:
        """Prepares the model. Whatever the runtime raises is raised."""
        loader: Loader = importlib.import_module(self.module).load
        return loader(model, threads)


_PEERS = {
    peer.name: peer
    for peer in (
        Peer("onnxruntime", "onnxruntime", "shiftc.bench.onnxruntime_peer"),
        Peer(
            "openvino",
            "openvino",
            "shiftc.bench.openvino_peer",
            avx2_environment={"ONEDNN_MAX_CPU_ISA": "AVX2"},
        ),
        # Tens of times slower than the others: a second tells.
        Peer("tvm", "apache-tvm", "shiftc.bench.tvm_peer", seconds=1.0, compiles_for_target=True),
    )
}


def find_peer(name: str) -> Peer:
    """The peer of that name. Raises PeerError when it is unknown or not installed."""
    peer = _PEERS.get(name)
    if peer is None:
        raise PeerError(f"no peer is called '{name}'; there are {', '.join(_PEERS)}")
    try:
        version(peer.package)
    except PackageNotFoundError as error:
        raise PeerError(f"{name} is not installed: `pip install {peer.package}`") from error
    return peer
