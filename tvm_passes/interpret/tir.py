"""Functions that TVM made of an operator, executed on whole tensors: compiled, each alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tvm
from tvm import tirx
from tvm.ir import GlobalVar, IRModule

from ..array import Array
from .errors import InterpretationError

Shapes = Sequence[tuple[tuple[int, ...], str]]


def evaluate_function(func: tirx.PrimFunc, inputs: Sequence[Array], outputs: Shapes) -> list[Array]:
    """What the function writes. Raises InterpretationError for one that TVM does not compile."""
    return _compiled(func, inputs, outputs)


def _compiled(func: tirx.PrimFunc, inputs: Sequence[Array], outputs: Shapes) -> list[Array]:
    module = IRModule({GlobalVar("main"): func.with_attr("global_symbol", "main")})
    try:
        executable = tvm.compile(module, target=tvm.target.Target("llvm"))
    except Exception as error:
        raise InterpretationError(f"an operator cannot be interpreted: {error}") from error
    arrays = [tvm.runtime.tensor(np.ascontiguousarray(array)) for array in inputs]
    results = [tvm.runtime.tensor(np.zeros(shape, dtype)) for shape, dtype in outputs]
    executable["main"](*arrays, *results)
    return [result.numpy() for result in results]
