"""An operator that Relax lacks: sums of elements that constant tables choose and weigh, along some axes.

    y[…, h, …, w, …] = sum_{i, j} x[…, index_h[h, i], …, index_w[w, j], …] * weight_h[h, i] * weight_w[w, j]

    y = shiftc.window_sum(x, R.shape([axes…]), index, weight, index, weight, …)     a pair for every axis

Interpolation, averages over windows whatever their padding, and sums over windows are all of this form. It is
registered with TVM like an operator of Relax's own: typed, printed, and legalized to one PrimFunc. Importing
this module registers it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
import tvm
from numpy.typing import NDArray
from tvm import relax, te
from tvm.ir import Call, Op, register_op_attr

Expr = Any

WINDOW_SUM = "shiftc.window_sum"

_NAMES = "hwdefg"
"""Of reduction axes, in the printed PrimFunc."""


@attrs.frozen(eq=False)
class Taps:
    """What every output position along an axis is summed from.

    index:  int64 [outputs, taps], inside the axis.
    weight: float64 [outputs, taps].
    """

    index: NDArray[np.int64]
    weight: NDArray[np.float64]

    @property
    def outputs(self) -> int:
        """The length of the axis afterwards."""
        return int(self.index.shape[0])

    @property
    def moves_only(self) -> bool:
        """Every output is one element."""
        return self.index.shape[1] == 1 and bool((self.weight == 1).all())


def padded_taps(rows: list[dict[int, float]]) -> Taps:
    """Taps of the rows {index: weight}, made equally long: the last one is repeated, and its weight divided.

    So no element takes part that has no weight: zero times an infinity would be no number.
    """
    count = max(map(len, rows))
    index = np.empty((len(rows), count), np.int64)
    weight = np.empty((len(rows), count))
    for number, row in enumerate(rows):
        *first, (last, share) = row.items()
        missing = count - len(first)
        index[number] = [*(i for i, _ in first), *[last] * missing]
        weight[number] = [*(w for _, w in first), *[share / missing] * missing]
    return Taps(index, weight)


def window_sum(data: Expr, taps: Mapping[int, Taps]) -> Expr:
    """The sums over `data`, float32 or float64, along the axes that are keys of `taps`."""
    tables = [
        relax.const(tvm.runtime.tensor(np.ascontiguousarray(table)))
        for axis in sorted(taps)
        for table in (taps[axis].index.astype("int32"), taps[axis].weight.astype(str(data.ty.dtype)))
    ]
    return Call(Op.get(WINDOW_SUM), [data, relax.ShapeExpr(sorted(taps)), *tables])


def _axes(call: Call) -> list[int]:
    return [int(axis) for axis in call.args[1].values]


def _infer_type(call: Call, context: Any) -> relax.TensorType:
    data = call.args[0]
    shape = list(data.ty.shape)
    for axis, index in zip(_axes(call), call.args[2::2], strict=True):
        shape[axis] = index.ty.shape[0]
    return relax.TensorType(shape, data.ty.dtype)


def _legalize(builder: relax.BlockBuilder, call: Call) -> Expr:
    axes = _axes(call)

    def compute(data: te.Tensor, *tables: te.Tensor) -> te.Tensor:
        pairs = dict(zip(axes, zip(tables[0::2], tables[1::2], strict=True), strict=True))
        over = {
            axis: te.reduce_axis((0, index.shape[1]), _NAMES[number])
            for number, (axis, (index, _)) in enumerate(pairs.items())
        }

        def term(*position: Any) -> Any:
            at, factor = list(position), None
            for axis, (index, weight) in pairs.items():
                at[axis] = index[position[axis], over[axis]]
                here = weight[position[axis], over[axis]]
                factor = here if factor is None else factor * here
            return te.sum(data(*at) * factor, axis=list(over.values()))

        shape = list(data.shape)
        for axis, (index, _) in pairs.items():
            shape[axis] = index.shape[0]
        return te.compute(shape, term, name="window_sum")

    return builder.call_te(compute, call.args[0], *call.args[2:], primfunc_name_hint="window_sum")


def _register() -> None:
    if WINDOW_SUM in Op.list_op_names():
        return
    tvm.ir._ffi_api.RegisterOp(WINDOW_SUM, __doc__)
    for attribute, value in {
        "FInferType": _infer_type,
        "FLegalize": _legalize,
        "FPurity": True,
        "TScriptPrinterName": WINDOW_SUM,
    }.items():
        register_op_attr(WINDOW_SUM, attribute, value)


_register()
