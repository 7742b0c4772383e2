"""What an artifact says about itself: `manifest.json` as frozen classes.

The manifest holds no time stamp, path or machine name: compiling the same model for the same target
twice writes the same bytes. Imports neither TVM nor the compiler, so that the runtime can read it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import attrs

from shiftc import __version__

FORMAT = 1
"""Layout of the directory and calling convention of the library; raised when either changes."""


class UnknownFormatError(ValueError):
    """A manifest that another version of shiftc wrote."""


@attrs.frozen
class TensorSpec:
    """Name, shape and numpy dtype of one input or output."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype}[{', '.join(map(str, self.shape))}]"


@attrs.frozen
class Signature:
    """Inputs and outputs of a network, in the model's order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


@attrs.frozen
class KernelEntry:
    """One step of the program: the kernel it runs and what the step costs.

    moves_only: it computes nothing, it only moves data.
    macs:       multiply-adds of the model's operators in it.
    bytes:      data read and written once.
    stage:      the model's nodes it stands for.
    decisions:  `record` where it is scheduled by a tuning record, `default` where analytically.
    reason:     where it copies an input into another layout, why that is not read where it lies.
    reread:     bytes of intermediates that it reads again after they left the cache, see `Traffic`; None in
                artifacts that were written before this was counted.
    """

    name: str
    kind: str
    moves_only: bool
    macs: int
    bytes: int
    stage: str
    decisions: str = "default"
    reason: str = ""
    reread: int | None = None


@attrs.frozen
class Traffic:
    """Bytes that a run moves beyond the second cache, counted by a model; docs/cli.md says which.

    cache_bytes:   size of the modelled cache.
    read, written: intermediates that kernels read and write.
    reread:        intermediates that were evicted before they were read.
    written_back:  intermediates that were evicted after they were written.
    constants:     weights and tables that were fetched.
    """

    cache_bytes: int
    read: int
    written: int
    reread: int
    written_back: int
    constants: int


@attrs.frozen
class Versions:
    """What wrote the artifact; the library's calling convention is TVM's."""

    shiftc: str
    tvm: str
    tvm_ffi: str

    @classmethod
    def installed(cls) -> Versions:
        """The versions that are installed here."""
        return cls(__version__, version("apache-tvm"), version("apache-tvm-ffi"))


@attrs.frozen
class Manifest:
    """Everything known about an artifact but its machine code and constants.

    model:        name of the model's file, without its folder.
    target:       TVM's description of the target (kind, mcpu, …).
    machine:      architecture as `platform.machine()` names it.
    cpu_features: features (LLVM's names) the processor must have.
    threads:      threads the program runs on.
    threads_asked: threads it was compiled for; it runs on one if more were modelled not to make it faster.
    while_awake:  only where runs follow each other: after a pause one thread is faster than waking others.
    arena_bytes:  size of the workspace, zeroed once per session.
    arena_lower_bound_bytes: most bytes of tensors alive at once; no workspace is smaller.
    chain_gain:   how many times as fast as without them its chains are modelled to make the program.
    pruned_macs:  multiply-adds of the model that the program leaves out, since nobody reads their results.
    kernels:      one entry per step, in execution order.
    traffic:      between the cache and memory; None in artifacts that were written before it was counted.
    index_maps:   every index map found: nodes, channels, offsets, border, folded, reason.
    files:        SHA-256 of every other file of the artifact.
    """

    model: str
    signature: Signature
    target: Mapping[str, Any]
    machine: str
    cpu_features: tuple[str, ...]
    threads: int
    arena_bytes: int
    arena_lower_bound_bytes: int
    pruned_macs: int
    kernels: tuple[KernelEntry, ...]
    index_maps: tuple[Mapping[str, Any], ...]
    versions: Versions
    threads_asked: int = attrs.field(
        default=attrs.Factory(lambda manifest: manifest.threads, takes_self=True)
    )
    while_awake: bool = False
    traffic: Traffic | None = None
    chain_gain: float = 1.0
    files: Mapping[str, str] = attrs.field(factory=dict)
    format: int = FORMAT

    @property
    def model_macs(self) -> int:
        """Multiply-adds of the model, of which the kernels do all but the pruned ones."""
        return self.pruned_macs + sum(kernel.macs for kernel in self.kernels)

    def to_json(self) -> str:
        """The manifest as it stands in the file."""
        return json.dumps(attrs.asdict(self), indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Reads what `to_json` wrote.

        Raises UnknownFormatError for a manifest of another format, ValueError when it is no manifest.
        """
        data = json.loads(text)
        if not isinstance(data, dict):
            raise ValueError("not a JSON object")
        if data.get("format", FORMAT) != FORMAT:
            raise UnknownFormatError(f"format {data['format']}, this shiftc reads format {FORMAT}")
        try:
            signature, traffic = data.pop("signature"), data.pop("traffic", None)
            return cls(
                signature=Signature(
                    inputs=tuple(_tensor_spec(item) for item in signature["inputs"]),
                    outputs=tuple(_tensor_spec(item) for item in signature["outputs"]),
                ),
                cpu_features=tuple(data.pop("cpu_features")),
                kernels=tuple(KernelEntry(**item) for item in data.pop("kernels")),
                index_maps=tuple(data.pop("index_maps")),
                versions=Versions(**data.pop("versions")),
                traffic=None if traffic is None else Traffic(**traffic),
                **data,
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"unexpected or missing entry: {error}") from error


def _tensor_spec(item: Mapping[str, Any]) -> TensorSpec:
    return TensorSpec(name=item["name"], shape=tuple(item["shape"]), dtype=item["dtype"])
