"""Which inputs are read where the caller has them, and why others are copied.

A copy in the arena, for the sake of the zeros around it, misses the caches when it reads and when it writes.
A convolution can read the caller's tensor itself if at the border it leaves out the taps that lie outside
(`lowering/borders`). It then is several kernels: one for nearly all pixels, and small ones for the border.
Place: the planner asks before it lays out the first tensor.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tvm.ir import Var

from .graph import Node
from .index_map import as_4d
from .lowering.borders import classes_of_pixels
from .relax_values import shape_of
from .stage import Stage

MOST_CHANNELS = 8
"""Planes of images often are whole pages apart, so that their elements share a set of the first cache, which
has at least so many ways."""
MOST_CLASSES = 64
"""Of pixels whose windows have the same taps inside: each has a kernel to compile and to call."""
FEWEST_BYTES = 8192
"""Less is copied in the time that it takes to call kernels for the border."""


def why_not_in_place(var: Var, nodes: Iterable[Node], stages: Mapping[Var, Stage]) -> str | None:
    """Why stages do not read an input where it lies; None if they do.

    stages: by their results, those that nodes of `nodes` call.
    """
    readers = [node for node in nodes if var in node.variables]
    if any(node.op == "index_map" for node in readers):
        return "its elements are moved"
    reasons = [_why_not_by(stages[node.var], var) for node in readers if node.var in stages]
    if not reasons:
        return "only operators that are no stages read it"
    return next((reason for reason in reasons if reason is not None), None)


def _why_not_by(stage: Stage, var: Var) -> str | None:
    """Why a stage does not read the input where it lies."""
    n, channels, rows, columns = as_4d(shape_of(var))
    if stage.kind != "convolution":
        return f"{stage.kind} reads it"
    if any(var in operation.read.sources for operation in stage.epilogue if operation.read is not None):
        return "an epilogue reads it"
    if stage.read.map is not None:
        return "a convolution reads it through an index map"
    if channels > MOST_CHANNELS:
        return f"it has more than {MOST_CHANNELS} channels"
    if 4 * n * channels * rows * columns < FEWEST_BYTES:
        return f"it has less than {FEWEST_BYTES} bytes"
    classes = classes_of_pixels(stage.window, (n, *stage.shape[2:]), (rows, columns))
    if len(classes) > MOST_CLASSES:
        return f"a window of {stage.window.kernel[0]} x {stage.window.kernel[1]} has too many borders"
    return None if all(len(pixels.taps) for pixels in classes) else "some windows lie in the padding"
