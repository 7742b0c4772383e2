"""One case through the whole product: import, compile, link, load, run, compare. Run as a worker process.

Reads folders from stdin, one a line, and answers each with one line of JSON: [kind, detail].
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

import shiftc
from shiftc.driver import compile_model
from shiftc.errors import InputError, ShiftcError
from shiftc.exit_status import ExitStatus
from shiftc.failures import status_of
from shiftc.options import CompileOptions, ModelOptions, PassOptions
from tests.onnx_suite.cases import read_arrays

Kind = Literal["right", "refused", "wrong", "fault", "crash", "timeout"]

_INTERNAL = re.compile(
    r"\brelax\.|\btirx?\b|\btvm\b|\b[lg]v\d*\b|Traceback|Error:|Check failed|0x[0-9a-f]{6}", re.I
)
"""What no user should read: names of TVM, of its variables, of Python's exceptions."""


def judge(folder: Path) -> tuple[Kind, str]:
    """What becomes of the case in `folder`, and why; a refusal's detail is its message."""
    case = json.loads((folder / "case.json").read_text())
    try:
        outputs = _run(folder)
    except Exception as error:  # which of them is a refusal is what is asked here
        return _judged_error(error, folder)
    for name, expected in read_arrays(folder, "out").items():
        difference = _difference(outputs[name], expected, case["rtol"], case["atol"])
        if difference is not None:
            return "wrong", f"{name}: {difference}"
    return "right", ""


def _run(folder: Path) -> dict[str, NDArray[np.generic]]:
    inputs = read_arrays(folder, "in")
    with tempfile.TemporaryDirectory() as place:
        artifact = Path(place) / "artifact"
        options = ModelOptions(folder / "model.onnx", tuning_records=None, input_shapes=_empty(inputs))
        compile_model(CompileOptions(options, artifact, PassOptions(cache_dir=folder.parent / "kernels")))
        return shiftc.load(artifact).run(inputs)


def _empty(inputs: Mapping[str, NDArray[np.generic]]) -> dict[str, tuple[int, ...]]:
    """The shapes of tensors without elements: in a model, a size of 0 is one that is not known."""
    return {name: array.shape for name, array in inputs.items() if not array.size}


def _judged_error(error: Exception, folder: Path) -> tuple[Kind, str]:
    status = error.status if isinstance(error, ShiftcError) else status_of(error)
    message = str(error).replace(f"{folder / 'model.onnx'}: ", "")
    if status is None or status == ExitStatus.INTERNAL:
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}:{place.lineno}"
        return "fault", f"{type(error).__name__} at {where}: {message[:300]}"
    if isinstance(error, InputError):
        return "wrong", f"the signature is not the model's: {message}"
    if _INTERNAL.search(message) or "\n" in message:
        return "fault", f"a refusal that no user can read: {message}"
    return "refused", message


def _difference(
    actual: NDArray[np.generic], expected: NDArray[np.generic], rtol: float, atol: float
) -> str | None:
    if actual.dtype != expected.dtype or actual.shape != expected.shape:
        return f"{actual.dtype}{list(actual.shape)} is not {expected.dtype}{list(expected.shape)}"
    precision = expected.dtype.name
    if not np.issubdtype(expected.dtype, np.number) and expected.dtype != bool:
        actual, expected = actual.astype(np.float32), expected.astype(np.float32)
    if expected.size and "float" in precision:
        # Nobody is asked for more than the last bit of the largest element.
        largest = np.abs(expected[np.isfinite(expected)]).max(initial=0)
        atol = max(atol, float(ml_dtypes.finfo(precision).eps * largest))
    close = np.isclose(actual, expected, rtol=rtol, atol=atol, equal_nan=True)
    if close.all():
        return None
    worst = np.unravel_index(int(np.argmin(close)), close.shape)
    where = [int(index) for index in worst]
    return f"{int((~close).sum())} of {close.size} differ, {actual[worst]} for {expected[worst]} at {where}"


def main() -> None:
    """Answers until stdin ends. What libraries print goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        print(json.dumps(judge(Path(line.rstrip("\n")))), file=answers, flush=True)


if __name__ == "__main__":
    main()
