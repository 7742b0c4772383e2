"""What a reference function is given: tables, constants and memory behind a kernel's arguments, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from schedules.workload import (
    Depthwise,
    Elementwise,
    GlobalPool,
    GroupedWinograd,
    GroupNorm,
    IndexedConv,
    LayerNorm,
    PairedConv,
    Softmax,
    WindowPool,
    WindowSum,
    WinogradOutput,
)

Array = NDArray[Any]

OfBlocksAndPixels = (
    IndexedConv
    | PairedConv
    | Depthwise
    | WindowPool
    | WindowSum
    | GlobalPool
    | Elementwise
    | LayerNorm
    | GroupNorm
    | Softmax
    | WinogradOutput
    | GroupedWinograd
)
"""Workloads whose result goes to `yo` and `yp`, through an epilogue."""


class Operands(Protocol):
    """Tables, constants and memory by the names of a kernel's arguments."""

    def table(self, name: str) -> Array:
        """A table of offsets: int64, flat."""

    def constant(self, name: str) -> Array:
        """Numbers that are no addresses, as row weights and biases: float64, flat."""

    def weights(self) -> Array:
        """As `schedules.pack_weights` takes them: float64 [rows, virtual channels]."""

    def read(self, name: str, index: Array) -> Array:
        """The elements of a tensor, counted from its argument's address: float64 of the index's shape."""


class Given:
    """Operands that are arrays in a dict.

    weights: [rows, virtual channels], if the workload has any.
    """

    def __init__(self, arrays: Mapping[str, Array], weights: Array | None = None) -> None:
        self._arrays, self._weights = arrays, weights

    def table(self, name: str) -> Array:
        return np.asarray(self._arrays[name]).reshape(-1).astype(np.int64)

    def constant(self, name: str) -> Array:
        return np.asarray(self._arrays[name]).reshape(-1).astype(np.float64)

    def weights(self) -> Array:
        assert self._weights is not None, "the workload has weights"
        return self._weights.astype(np.float64)

    def read(self, name: str, index: Array) -> Array:
        return np.asarray(self._arrays[name])[index].astype(np.float64)
