"""What compiling a module yields."""

from __future__ import annotations

from collections.abc import Mapping
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
class Compiled:
    """A program ready to be saved: its machine code, its constants and what it is made of.

    library is linked to one function
    `main(arena uint8[arena_bytes], constants uint8[...], inputs..., outputs..., first, last)`
    that runs the steps `first` to `last - 1`. The arena must be zeroed once before the first call and
    then be left alone. No placement of the tensors could make it smaller than its lower bound, the
    most bytes of tensors alive at one step.

    pruned_macs:     multiply-adds of the model that are left out, since nobody reads their results.
    threads:         how many share the steps: those asked for, or one where they do not pay.
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
    threads: int
    refused_records: tuple[str, ...] = ()
