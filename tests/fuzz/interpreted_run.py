"""Programs interpreted: every access checked, whatever the machine they are planned for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tests.fuzz.case import Case
from tests.fuzz.judge import WrongError
from tvm_passes.interpret import ProgramError, run_program
from tvm_passes.lowered import Lowered

Array = np.ndarray[Any, Any]


def run_interpreted(lowered: Lowered, case: Case, batches: Sequence[Mapping[str, Array]]) -> list[Array]:
    """What the program computes of the last inputs, twice over one arena. Raises WrongError."""
    try:
        return list(run_program(lowered, list(batches[-1].values())))
    except ProgramError as error:
        raise WrongError(str(error)) from error
