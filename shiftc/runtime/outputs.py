"""Hands out what a session computed: as new arrays, or in arrays of the caller."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from shiftc.errors import InputDtypeError, InputNameError, InputShapeError, OutputArrayError
from shiftc.manifest import TensorSpec
from shiftc.runtime.element_types import dtype_named, tensor_of
from shiftc.runtime.memory import aligned_empty


class OutputSlot:
    """One output of the network, in a place of its own: so arrays of the caller may share memory with
    inputs.

    rows: of an output whose size depends on data, where the program writes how many rows it has; else None.
    """

    def __init__(self, spec: TensorSpec) -> None:
        self._spec = spec
        self._array: npt.NDArray[Any] = aligned_empty(spec.shape, dtype_named(spec.dtype))
        self.tensor: Any = tensor_of(self._array)
        self._count: npt.NDArray[Any] = aligned_empty((1,), "int64")
        self.rows: Any = None if spec.counted_axis is None else tensor_of(self._count)

    def give(self, given: npt.NDArray[Any] | None) -> npt.NDArray[Any]:
        """The output as a new array, or in `given`, which `check` let pass."""
        if self._spec.counted_axis is not None:
            there = (*[slice(None)] * self._spec.counted_axis, slice(int(self._count[0])))
            rows: npt.NDArray[Any] = self._array[there].copy()
            return rows
        if given is None:
            given = self._array.copy()
        else:
            np.copyto(given, self._array)
        return given

    def check(self, given: object) -> None:
        """Raises an InputError unless the output can be written to `given`."""
        spec = self._spec
        if not isinstance(given, np.ndarray):
            raise OutputArrayError(
                f"output '{spec.name}' is given a {type(given).__name__}, it takes an array"
            )
        if spec.counted_axis is not None:
            raise OutputArrayError(f"output '{spec.name}' is given an array, but its size depends on data")
        if given.dtype != self._array.dtype:
            raise InputDtypeError(
                f"output '{spec.name}' is given {given.dtype}, the model makes {spec.dtype}"
            )
        if given.shape != spec.shape:
            raise InputShapeError(
                f"output '{spec.name}' is given shape {list(given.shape)}, the model makes {list(spec.shape)}"
            )
        if not given.flags.writeable:
            raise OutputArrayError(f"output '{spec.name}' is given an array that is read-only")
        if any(size > 1 and step == 0 for size, step in zip(given.shape, given.strides, strict=True)):
            raise OutputArrayError(f"output '{spec.name}' is given an array whose elements share memory")


def check_outputs(given: Mapping[str, object], slots: Mapping[str, OutputSlot]) -> None:
    """Raises an InputError unless every array can receive the output of its name, and no two share memory."""
    if not isinstance(given, Mapping):
        raise InputNameError(f"outputs are given by name, not as {type(given).__name__}")
    for name, array in given.items():
        if name not in slots:
            raise InputNameError(f"the model has no output '{name}'; its outputs are {_listed(slots)}")
        slots[name].check(array)
    for (one, first), (other, second) in itertools.combinations(given.items(), 2):
        if np.may_share_memory(first, second):
            raise OutputArrayError(f"outputs '{one}' and '{other}' are given arrays that share memory")


def _listed(names: Collection[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
