"""What compiling a module yields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import attrs

from .array import Array
from .object_code import ObjectCode
from .report import IndexMapRecord


@attrs.frozen
class KernelRecord:
    """One step of the program, in execution order.

    name:       the kernel it runs (several steps may share one).
    kind:       chain: several stages, tile by tile;
                indexed_conv, winograd_conv, depthwise, window_pool, global_pool, elementwise,
                layer_norm, group_norm, softmax, generic;
                layout: an input or output of the network changes its layout; movement: any other copy.
    moves_only: the step computes nothing, it only moves data.
    stage:      the operators it stands for, by the names of the model's nodes.
    macs:       multiply-adds of the model's operators (padding not counted).
    bytes:      data read and written once: operands, weights, result.
    decisions:  `record` where a kernel of it follows a tuning record, else `default`.
    reason:     of a step that changes an input's layout, why the input is not read where it lies.
    """

    name: str
    kind: str
    moves_only: bool
    macs: int
    bytes: int
    stage: str
    decisions: Literal["default", "record"] = "default"
    reason: str = ""


@attrs.frozen
class Traffic:
    """Bytes that move between kernels, the cache and what lies beyond it, as `traffic` counts them.

    read, written: lines of intermediates that kernels read and write, each once a call.
    reread:        lines of intermediates that were evicted before they were read, and are fetched again.
    written_back:  lines of intermediates that were evicted after they were written.
    constants:     lines of weights and tables that were fetched.
    """

    read: int = 0
    written: int = 0
    reread: int = 0
    written_back: int = 0
    constants: int = 0

    @classmethod
    def total(cls, parts: Iterable[Traffic]) -> Traffic:
        """Of all of them."""
        sums = [0] * len(attrs.fields(cls))
        for part in parts:
            sums = [mine + others for mine, others in zip(sums, attrs.astuple(part), strict=True)]
        return cls(*sums)


@attrs.frozen
class Compiled:
    """A program ready to be saved: its machine code, its constants and what it is made of.

    library is linked to one function
    `main(arena uint8[arena_bytes], constants uint8[...], inputs..., outputs..., first, last)`
    that runs the steps `first` to `last - 1`. The arena must be zeroed once before the first call and
    then be left alone. No placement of the tensors could make it smaller than its lower bound, the
    most bytes of tensors alive at one step.

    pruned_macs:     multiply-adds of the model that are left out, since nobody reads their results.
    traffic:         of every step beyond a cache of `cache_bytes`, see `traffic`.
    chain_gain:      how many times as fast its chains are modelled to make it.
    threads:         how many share the steps: those asked for, or one where they do not pay.
    while_awake:     only where runs follow each other: the program is too small to wake threads for it.
    refused_records: tuning records that no longer fit their workload, with the reason.
    """

    library: ObjectCode
    constants: Array
    arena_bytes: int
    arena_lower_bound_bytes: int
    steps: tuple[KernelRecord, ...]
    index_maps: tuple[IndexMapRecord, ...]
    pass_times: Mapping[str, float]
    pruned_macs: int
    traffic: tuple[Traffic, ...]
    cache_bytes: int
    threads: int
    chain_gain: float = 1.0
    refused_records: tuple[str, ...] = ()
    while_awake: bool = False
