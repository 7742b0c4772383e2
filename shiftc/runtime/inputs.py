"""Takes in what a session is given: checks it against the signature and puts it where kernels can read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from shiftc.errors import InputDtypeError, InputNameError, InputShapeError, InputValueError
from shiftc.manifest import TensorSpec
from shiftc.runtime.element_types import dtype_named, tensor_of
from shiftc.runtime.memory import aligned_empty, is_aligned

_WORTH_ASKING = 1 << 15
"""Bytes; below, copying is cheaper than asking whether it is needed."""


class InputSlot:
    """One input of the network, with a place of its own for arrays that cannot be read where they are."""

    def __init__(self, spec: TensorSpec) -> None:
        self._spec = spec
        self._dtype = dtype_named(spec.dtype)
        self._staged = aligned_empty(spec.shape, self._dtype)
        self._tensor = tensor_of(self._staged)

    def take(self, value: npt.ArrayLike) -> Any:
        """`value` as a tensor that starts at a multiple of 64 bytes.

        Raises InputDtypeError, InputShapeError or, for an index out of bounds, InputValueError when it is not
        what the signature says: nothing is converted.
        """
        spec = self._spec
        try:
            array = np.asarray(value)
        except Exception as error:  # whatever the value's own type raises
            reason = " ".join(str(error).split())
            raise InputDtypeError(f"input '{spec.name}' is no array: {reason}") from error
        if array.dtype != self._dtype:
            raise InputDtypeError(f"input '{spec.name}' is {array.dtype}, the model takes {spec.dtype}")
        if array.shape != spec.shape:
            raise InputShapeError(
                f"input '{spec.name}' has shape {list(array.shape)}, the model takes {list(spec.shape)}"
            )
        if spec.limits:
            _check_limits(spec, array)
        if array.nbytes >= _WORTH_ASKING and is_aligned(array):
            return tensor_of(array)
        self._staged[...] = array  # sooner begun than np.copyto
        return self._tensor


def _check_limits(spec: TensorSpec, array: npt.NDArray[Any]) -> None:
    """Raises InputValueError for a number that is out of bounds where it is used as an index."""
    low, high = (np.array(bounds) for bounds in zip(*spec.limits, strict=True))
    outside = (array < low) | (array > high)
    if outside.any():
        at = tuple(int(i) for i in np.argwhere(outside)[0])
        lowest, highest = spec.limits[at[-1] if len(spec.limits) > 1 else 0]
        raise InputValueError(
            f"input '{spec.name}' is {array[at]} at {list(at)}, the model takes it as an index from "
            f"{lowest} to {highest}"
        )


def check_names(given: Mapping[str, Any], names: tuple[str, ...]) -> None:
    """Raises InputNameError unless `given` has exactly the inputs `names`."""
    if not isinstance(given, Mapping):
        raise InputNameError(f"inputs are given by name, not as {type(given).__name__}")
    for name in names:
        if name not in given:
            raise InputNameError(f"input '{name}' is missing; the model's inputs are {_listed(names)}")
    if len(given) > len(names):
        unknown = next(name for name in given if name not in names)
        raise InputNameError(f"the model has no input '{unknown}'; its inputs are {_listed(names)}")


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"'{name}'" for name in names)
