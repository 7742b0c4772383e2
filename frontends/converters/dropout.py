"""Dropout as models are used: nothing is dropped."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from frontends.converters.node import Converter, Expr, Node, constant, constant_value, static_shape


def _dropout(node: Node) -> list[Expr]:
    """The data and, where anything reads it, a mask that keeps all of it."""
    data, ratio, training = node.inputs[0], node.optional(1), node.optional(2)
    drops = ratio is None or bool(constant_value(ratio, "ratio").any())
    if drops and training is not None and constant_value(training, "training_mode").any():
        raise ValueError("training mode is not supported, since it drops elements at random")
    if node.outputs_read == 1:
        return [data]
    return [data, constant(np.ones(static_shape(data), np.bool_))]


CONVERTERS: Mapping[str, Converter] = {"Dropout": _dropout}
