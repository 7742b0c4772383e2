"""Staged programs as files: JSON, and the weights beside it. Imports no compiler."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from shiftc.atomic_file import replacing
from shiftc.errors import OutputError
from shiftc.tensors import read_tensors, write_tensors
from tvm_passes.staged.json_form import from_json, to_json
from tvm_passes.staged.program import StagedProgram


@attrs.frozen(eq=False)
class Staged:
    """A staged program and its weights, by the names of their buffers."""

    program: StagedProgram
    weights: Mapping[str, npt.NDArray[Any]]


def write_staged(path: Path, staged: Staged) -> None:
    """Writes the program as JSON to `path`, and its weights beside it as .npz. Raises OutputError."""
    weights = path.with_suffix(".npz")
    if weights == path:
        raise OutputError(f"cannot write '{path}': its weights would have the same name")
    write_tensors(weights, {name: np.asarray(values) for name, values in staged.weights.items()})
    with replacing(path) as file:
        file.write(to_json(attrs.evolve(staged.program, weights=weights.name)).encode())


def read_staged(path: Path) -> Staged:
    """What `write_staged` wrote.

    Raises StagedProgramError for a file that is no staged program, OSError where it cannot be read,
    InputFileError for its weights.
    """
    program = from_json(path.read_bytes().decode(errors="replace"))
    return Staged(program, read_tensors(path.parent / program.weights))
