"""One form per operator: what later passes may rely on.

Constants are computed, sums of many tensors are additions, linear layers are pointwise convolutions of
planes, normalizations are one operator over them or, with fixed statistics, in the weights like scales,
shifts are free of them, and operators that change nothing are gone.
"""

from __future__ import annotations

from tvm.ir import IRModule

from ..graph import Graph
from .channels_first import channels_first
from .drop_identities import drop_identities
from .fold_batch_norm import fold_batch_norm
from .fold_constants import fold_constants
from .fold_scale import fold_scale
from .fold_scale_forward import fold_scale_forward
from .split_scaled_shift import split_scaled_shift
from .split_sums import split_sums

RULES = (
    fold_constants,
    split_sums,
    drop_identities,
    fold_batch_norm,
    channels_first,
    split_scaled_shift,
    fold_scale,
    fold_scale_forward,
)
"""In this order; each edits the graph in place."""


def canonicalize(mod: IRModule) -> IRModule:
    """Apply all rules to `main`."""
    graph = Graph.read(mod)
    for rule in RULES:
        rule(graph)
        graph.remove_dead()
    return graph.write(mod)
