"""Inputs and outputs of a run: read, made up, written."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shiftc.atomic_file import replacing
from shiftc.errors import InputFileError
from shiftc.manifest import TensorSpec
from shiftc.options import FillMode
from shiftc.runtime.element_types import as_bits, dtype_named, from_bits
from shiftc.runtime.memory import aligned_empty

Tensors = dict[str, npt.NDArray[Any]]


def read_tensors(path: Path) -> Tensors:
    """The arrays of an .npz file by name. Raises InputFileError when it is none."""
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise InputFileError(f"'{path}' is not an .npz file")
        with archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError as error:
        raise InputFileError(f"'{path}' does not exist") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputFileError(f"'{path}' is not an .npz file: {error}") from error


def read_inputs(path: Path, specs: tuple[TensorSpec, ...]) -> Tensors:
    """The arrays of an .npz file, those of inputs in the types of these, which may be stored as bits. Raises
    InputFileError."""
    tensors = read_tensors(path)
    for spec in specs:
        if spec.name in tensors:
            tensors[spec.name] = from_bits(tensors[spec.name], dtype_named(spec.dtype))
    return tensors


def write_tensors(path: Path, tensors: Mapping[str, npt.NDArray[Any]]) -> None:
    """Writes arrays to an .npz file, all or nothing; of types that numpy lacks, their bits.

    Raises OutputError.
    """
    # Written by hand: as keywords of np.savez, some names of outputs would be arguments.
    with replacing(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, tensor in tensors.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, as_bits(tensor), allow_pickle=False)


def made_up(specs: tuple[TensorSpec, ...], mode: FillMode, seed: int = 0) -> Tensors:
    """An array for every spec: zeros, ones, or random (uniform in [0, 1); integers 0 or 1).

    Within the limits of inputs that have some.
    """
    random = np.random.default_rng(seed)
    tensors: Tensors = {}
    for spec in specs:
        tensor = aligned_empty(spec.shape, dtype_named(spec.dtype))
        if mode == "random":
            numbers = random.random(spec.shape)
            tensor[...] = numbers if "float" in spec.dtype else numbers < 0.5
        else:
            tensor.fill(mode == "ones")
        if spec.limits:
            np.clip(tensor, *np.transpose(spec.limits), out=tensor)
        tensors[spec.name] = tensor
    return tensors
