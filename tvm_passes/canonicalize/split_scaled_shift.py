"""depthwise(x, s W) → s * depthwise(x, W), where every filter of W is one tap of value 1.

Exporters fuse the batch normalisation behind a shift into its one-hot filters. Taken apart again, the
shift is recognised as data movement, and the scale folds into a neighbouring convolution (fold_scale,
fold_scale_forward). A filter of zeros is a channel of zeros already; a 1 x 1 filter is the scale alone.
"""

from __future__ import annotations

import numpy as np
from tvm import relax
from tvm.ir import Call

from ..graph import Graph
from ..relax_values import shape_of
from .linear import Linear, linear_of


def split_scaled_shift(graph: Graph) -> None:
    """Rewrite depthwise convolutions with at most one tap per filter, not all 1, as a shift and a scale."""
    for node in list(graph.nodes):
        linear = linear_of(node)
        if linear is None or not linear.is_depthwise or linear.is_movement:
            continue
        taps = linear.weight.reshape(len(linear.weight), -1)
        if (np.count_nonzero(taps, axis=1) > 1).any():
            continue
        scale = taps.sum(axis=1)
        data = linear.data
        if not _reads_in_place(linear):
            one_hot = relax.const(linear.weight != 0, str(linear.weight.dtype))
            call = Call(node.call.op, [data, one_hot], node.call.attrs, node.call.ty_args)
            data = graph.insert_before(node, call, node.name).var
            scale[scale == 0] = 1
        node.call = relax.op.multiply(data, linear.per_channel(scale))


def _reads_in_place(linear: Linear) -> bool:
    """Every output pixel is read from the input's pixel of the same place."""
    same_plane = shape_of(linear.data) == shape_of(linear.node.var)
    return linear.is_pointwise and same_plane
