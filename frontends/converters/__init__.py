"""ONNX → Relax converters, in place of TVM's where later passes cannot read those, or where they are wrong.

One file a family of operators; each has a table `CONVERTERS` of its own, by operator of ONNX's own domain.
"""

from __future__ import annotations

from collections.abc import Mapping

from frontends.converters import (
    arithmetic,
    batch_normalization,
    bits,
    deformed,
    dropout,
    einsum,
    elementwise,
    fourier,
    indexing,
    matrices,
    narrow,
    normalization,
    ordering,
    padding,
    patches,
    pools,
    quantization,
    reductions,
    regions,
    resize,
    selection,
    shapes,
    space_to_depth,
    splitting,
    transposed,
    windows,
)
from frontends.converters.node import Attributes, Converter, Inputs, Node, constant

CONVERTERS: Mapping[str, Converter] = {
    operator: converter
    for family in (
        arithmetic,
        batch_normalization,
        bits,
        deformed,
        dropout,
        einsum,
        elementwise,
        fourier,
        indexing,
        matrices,
        narrow,
        normalization,
        ordering,
        padding,
        patches,
        pools,
        quantization,
        reductions,
        regions,
        resize,
        selection,
        shapes,
        space_to_depth,
        splitting,
        transposed,
        windows,
    )
    for operator, converter in family.CONVERTERS.items()
}

__all__ = ["CONVERTERS", "Attributes", "Converter", "Inputs", "Node", "constant"]
