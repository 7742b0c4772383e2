"""Checks what a session is given against its signature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from shiftc.errors import InputDtypeError, InputNameError, InputShapeError
from shiftc.manifest import TensorSpec


def check_names(given: Mapping[str, Any], specs: tuple[TensorSpec, ...]) -> None:
    """Raises InputNameError unless `given` has exactly the inputs of `specs`."""
    names = [spec.name for spec in specs]
    for name in names:
        if name not in given:
            raise InputNameError(f"input '{name}' is missing; the model's inputs are {_listed(names)}")
    for name in given:
        if name not in names:
            raise InputNameError(f"the model has no input '{name}'; its inputs are {_listed(names)}")


def checked(value: npt.ArrayLike, spec: TensorSpec) -> npt.NDArray[Any]:
    """`value` as an array.

    Raises InputDtypeError or InputShapeError when it is not what `spec` says: nothing is converted.
    """
    array = np.asarray(value)
    if array.dtype != spec.dtype:
        raise InputDtypeError(f"input '{spec.name}' is {array.dtype}, the model takes {spec.dtype}")
    if array.shape != spec.shape:
        raise InputShapeError(
            f"input '{spec.name}' has shape {list(array.shape)}, the model takes {list(spec.shape)}"
        )
    return array


def _listed(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
