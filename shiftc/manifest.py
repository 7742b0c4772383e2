"""What an artifact says about itself: `manifest.json` as frozen classes.

The manifest holds no time stamp, path or machine name: compiling the same model for the same target
twice writes the same bytes. Imports neither TVM nor the compiler, so that the runtime can read it.
Whatever is read has passed the types of these classes, with their limits.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from importlib.metadata import version
from typing import Annotated, Any, TypedDict

import attrs
import msgspec
from msgspec import Meta

from shiftc import __version__
from shiftc.bounds import (
    MOST_STEPS,
    Axis,
    Bytes,
    Count,
    Digest,
    Dtype,
    Limits,
    Name,
    Names,
    Ratio,
    Shape,
    Text,
    Threads,
)

FORMAT = 2
"""Layout of the directory and calling convention of the library; raised when either changes."""

MOST_CHARACTERS = 64 << 20
"""Of the file; those of networks have some hundred thousand."""

LIBRARY = "model.so"
CONSTANTS = "constants.bin"

Scalar = str | int | float | bool | None


class UnknownFormatError(ValueError):
    """A manifest that another version of shiftc wrote."""


@attrs.frozen
class TensorSpec:
    """Name, shape and numpy dtype of one input or output.

    limits:       of an input that holds indices, the lowest and highest number: one pair for all of them, or
                  one for each position along the last axis.
    counted_axis: of an output, the axis along which data decides how many rows a run returns; shape says how
                  many at most.
    """

    name: Name
    shape: Shape
    dtype: Dtype
    limits: Limits = ()
    counted_axis: Axis | None = None

    def __attrs_post_init__(self) -> None:
        if math.prod(self.shape) >= 2**44:
            raise ValueError("a tensor of 2^44 elements or more")
        if len(self.limits) > 1 and (not self.shape or len(self.limits) != self.shape[-1]):
            raise ValueError("limits for another number of positions than there are")
        if self.counted_axis is not None and self.counted_axis >= len(self.shape):
            raise ValueError("rows along an axis that does not exist")

    def __str__(self) -> str:
        sizes = [f"≤{n}" if axis == self.counted_axis else str(n) for axis, n in enumerate(self.shape)]
        limits = dict.fromkeys(f"{low} to {high}" for low, high in self.limits)
        numbers = f" of {', '.join(limits)}" if limits else ""
        return f"{self.name}: {self.dtype}[{', '.join(sizes)}]{numbers}"


@attrs.frozen
class Signature:
    """Inputs and outputs of a network, in the model's order."""

    inputs: Annotated[tuple[TensorSpec, ...], Meta(max_length=2**16)]
    outputs: Annotated[tuple[TensorSpec, ...], Meta(max_length=2**16)]

    def __attrs_post_init__(self) -> None:
        for specs in (self.inputs, self.outputs):
            if len({spec.name for spec in specs}) < len(specs):
                raise ValueError("two tensors of one name")


@attrs.frozen
class KernelEntry:
    """One step of the program: the kernel it runs and what the step costs.

    moves_only: it computes nothing, it only moves data.
    macs:       multiply-adds of the model's operators in it.
    bytes:      data read and written once.
    stage:      the model's nodes it stands for.
    decisions:  `record` where it is scheduled by a tuning record, `default` where analytically.
    reason:     where it copies an input into another layout, why that is not read where it lies.
    reread:     bytes of intermediates that it reads again after they left the cache, see `Traffic`; None
                where this was not counted.
    """

    name: Text
    kind: Text
    moves_only: bool
    macs: Count
    bytes: Count
    stage: Text
    decisions: Text = "default"
    reason: Text = ""
    reread: Count | None = None


@attrs.frozen
class Traffic:
    """Bytes that a run moves beyond the second cache, counted by a model; docs/cli.md says which.

    cache_bytes:   size of the modelled cache.
    read, written: intermediates that kernels read and write.
    reread:        intermediates that were evicted before they were read.
    written_back:  intermediates that were evicted after they were written.
    constants:     weights and tables that were fetched.
    """

    cache_bytes: Count
    read: Count
    written: Count
    reread: Count
    written_back: Count
    constants: Count


class IndexMapEntry(TypedDict):
    """An index map that was found in the model; reason: why it was not folded."""

    nodes: Names
    channels: Count
    offsets: Text
    border: Text
    folded: bool
    reason: Text | None


@attrs.frozen
class FileEntry:
    """SHA-256 and size of a file of the artifact."""

    sha256: Digest
    size: Bytes

    @classmethod
    def of(cls, content: bytes | memoryview) -> FileEntry:
        return cls(hashlib.sha256(content).hexdigest(), memoryview(content).nbytes)


@attrs.frozen
class Versions:
    """What wrote the artifact; the library's calling convention is TVM's."""

    shiftc: Text
    tvm: Text
    tvm_ffi: Text

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
    traffic:      between the cache and memory; None where it was not counted.
    index_maps:   every index map found.
    files:        every other file of the artifact.
    """

    model: Text
    signature: Signature
    target: Mapping[Name, Scalar | list[Scalar]]
    machine: Name
    cpu_features: Names
    threads: Threads
    threads_asked: Threads
    arena_bytes: Bytes
    arena_lower_bound_bytes: Bytes
    pruned_macs: Count
    kernels: Annotated[tuple[KernelEntry, ...], Meta(max_length=MOST_STEPS)]
    index_maps: Annotated[tuple[IndexMapEntry, ...], Meta(max_length=MOST_STEPS)]
    versions: Versions
    while_awake: bool = False
    traffic: Traffic | None = None
    chain_gain: Ratio = 1.0
    files: Mapping[Name, FileEntry] = attrs.field(factory=dict)
    format: int = FORMAT

    @property
    def model_macs(self) -> int:
        """Multiply-adds of the model, of which the kernels do all but the pruned ones."""
        return self.pruned_macs + sum(kernel.macs for kernel in self.kernels)

    @property
    def identity(self) -> str:
        """SHA-256 of all that it says but `files`: the library has it as its build ID."""
        return _identity(msgspec.to_builtins(self))

    def to_json(self) -> str:
        """The manifest as it stands in the file."""
        return json.dumps(msgspec.to_builtins(self), indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> tuple[Manifest, str]:
        """Reads what `to_json` wrote; also returns its identity, that of every word in the text.

        Raises UnknownFormatError for a manifest of another format, ValueError when it is no manifest.
        """
        try:
            data = msgspec.json.decode(text)
            if not isinstance(data, dict):
                raise ValueError("not a JSON object")
            if "format" in data and data["format"] != FORMAT:
                raise UnknownFormatError(f"format {data['format']!r:.20}, this shiftc reads format {FORMAT}")
            manifest = msgspec.convert(data, cls)
            if set(manifest.files) != {CONSTANTS, LIBRARY}:
                raise ValueError("other files than an artifact has - at `$.files`")
            return manifest, _identity(data)
        except RecursionError:
            raise ValueError("nested too deep") from None


def _identity(data: Mapping[str, Any]) -> str:
    said = {name: value for name, value in data.items() if name != "files"}
    return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
