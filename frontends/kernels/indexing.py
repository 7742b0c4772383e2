"""Gathers and scatters whose indices are known at run time: negative ones count from the end, and those that
are out of bounds are read as the nearest that is not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tvm import relax, te, tirx
from tvm.ir import Call, register_op_attr
from tvm.script.ir_builder import tirx as T

from frontends.kernels.shapes import extents, linear, product, sequential, unravel

Expr = Any
Tensor = Any
Update = Callable[[Expr, Expr], Expr]

UPDATES: dict[str, Update] = {
    "none": lambda old, new: new,
    "add": lambda old, new: old + new,
    "mul": lambda old, new: old * new,
    "max": lambda old, new: tirx.Select(old < new, new, old),
    "min": lambda old, new: tirx.Select(new < old, new, old),
}
"""What a scatter makes of the element there is and the update, by ONNX's name of the reduction."""


def inside(index: Expr, size: int) -> Expr:
    """The index among `size` elements that `index` means; the nearest one where it means none."""
    counted = tirx.Select(index < 0, index + size, index)
    zero, last = (tirx.const(bound, counted.ty) for bound in (0, size - 1))
    return tirx.max(tirx.min(counted, last), zero)


def gather(data: Tensor, indices: Tensor, axis: int) -> Tensor:
    """Slices of `data` along `axis`, in the shape of `indices`."""
    shape, picked = extents(data), extents(indices)
    end = axis + len(picked)

    def element(*at: Expr) -> Expr:
        index = inside(indices[at[axis:end]], shape[axis])
        return data(*at[:axis], index, *at[end:])

    return te.compute((*shape[:axis], *picked, *shape[axis + 1 :]), element, name="gather")


def gather_elements(data: Tensor, indices: Tensor, axis: int) -> Tensor:
    """An element of `data` for each of `indices`, which stands for its coordinate along `axis`."""
    size = extents(data)[axis]

    def element(*at: Expr) -> Expr:
        return data(*at[:axis], inside(indices[at], size), *at[axis + 1 :])

    return te.compute(extents(indices), element, name="gather_elements")


def gather_nd(data: Tensor, indices: Tensor, batch: int) -> Tensor:
    """Slices of `data`; the last axis of `indices` holds the coordinates behind the first `batch` ones."""
    shape, picked = extents(data), extents(indices)
    rank, depth = len(picked) - 1, picked[-1]

    def element(*at: Expr) -> Expr:
        pointed = [inside(indices(*at[:rank], i), shape[batch + i]) for i in range(depth)]
        return data(*at[:batch], *pointed, *at[rank:])

    return te.compute((*picked[:-1], *shape[batch + depth :]), element, name="gather_nd")


def scatter_elements(data: Tensor, indices: Tensor, updates: Tensor, axis: int, reduction: str) -> Tensor:
    """`data` with each update at the coordinate along `axis` that its index says, one after the other."""
    shape, counted = extents(data), extents(indices)

    def target(number: Expr, index: Callable[[Expr], Expr]) -> Expr:
        at = unravel(number, counted)
        return linear((*at[:axis], inside(index(number), shape[axis]), *at[axis + 1 :]), shape)

    return _scatter(data, indices, updates, product(counted), 1, target, reduction)


def scatter_nd(data: Tensor, indices: Tensor, updates: Tensor, reduction: str) -> Tensor:
    """`data` with slices updated, one after the other; the last axis of `indices` holds where they begin."""
    shape, counted = extents(data), extents(indices)
    depth = counted[-1]
    size = product(shape[depth:])

    def target(number: Expr, index: Callable[[Expr], Expr]) -> Expr:
        pointed = [inside(index(number * depth + i), shape[i]) for i in range(depth)]
        return linear(pointed, shape[:depth]) * size

    return _scatter(data, indices, updates, product(counted[:-1]), size, target, reduction)


def unpool(data: Tensor, indices: Tensor, pooled: Sequence[int], shape: Sequence[int]) -> Tensor:
    """Zeros of `shape` with every element where its index says: in a tensor of the shape `pooled`, which lies
    in the front corner of the result."""

    def emit(values: Any, index: Any, result: Any) -> None:
        with T.serial(0, product(shape)) as i:
            result[i] = tirx.const(0, str(data.dtype))
        with T.serial(0, product(extents(data))) as i:
            result[linear(unravel(inside(index[i], product(pooled)), pooled), shape)] = values[i]

    return sequential("unpool", [data, indices], [(shape, str(data.dtype))], emit)


def overwrite(data: Tensor, update: Tensor, first: Tensor, axis: int, circular: bool) -> Tensor:
    """`data` with `update` in place of what lies from `first[b]` on along `axis`, for each b along axis 0;
    `circular`: what would lie behind the end lies at the start."""
    size, count = extents(data)[axis], extents(update)[axis]

    def element(*at: Expr) -> Expr:
        behind = tirx.Cast("int64", at[axis]) - first[at[0]]
        number = tirx.floormod(behind, tirx.const(size, "int64")) if circular else behind
        known = tirx.max(tirx.min(number, tirx.const(count - 1, "int64")), tirx.const(0, "int64"))
        return tirx.Select(number == known, update(*at[:axis], known, *at[axis + 1 :]), data(*at))

    return te.compute(extents(data), element, name="overwrite")


def _scatter(
    data: Tensor,
    indices: Tensor,
    updates: Tensor,
    count: int,
    size: int,
    target: Callable[[Expr, Callable[[Expr], Expr]], Expr],
    reduction: str,
) -> Tensor:
    """`count` updates of `size` elements each, update i to the elements from `target(i, …)` on."""
    update = UPDATES[reduction]

    def emit(old: Any, index: Any, new: Any, result: Any) -> None:
        with T.serial(0, product(extents(data))) as i:
            result[i] = old[i]
        with T.serial(0, count) as i, T.serial(0, size) as j:
            at = target(i, lambda number: index[number]) + j
            result[at] = update(result[at], new[i * size + j])

    return sequential("scatter", [data, indices, updates], [(extents(data), str(data.dtype))], emit)


def _legalize_gather_elements(builder: relax.BlockBuilder, call: Call) -> relax.Expr:
    return builder.call_te(
        gather_elements, *call.args, int(call.attrs.axis), primfunc_name_hint="gather_elements"
    )


def _legalize_scatter_elements(builder: relax.BlockBuilder, call: Call) -> relax.Expr:
    how = (int(call.attrs.axis), _reduction(call))
    return builder.call_te(scatter_elements, *call.args, *how, primfunc_name_hint="scatter_elements")


def _legalize_scatter_nd(builder: relax.BlockBuilder, call: Call) -> relax.Expr:
    return builder.call_te(scatter_nd, *call.args, _reduction(call), primfunc_name_hint="scatter_nd")


def _reduction(call: Call) -> str:
    """ONNX's name."""
    reduction = str(call.attrs.reduction)
    return "none" if reduction == "update" else reduction


for _name, _legalize in {
    "relax.gather_elements": _legalize_gather_elements,
    "relax.scatter_elements": _legalize_scatter_elements,
    "relax.scatter_nd": _legalize_scatter_nd,
}.items():
    # In place of TVM's, for what no pass folds: they take shapes that fit, and leave a buffer's offset open.
    register_op_attr(_name, "FLegalize", _legalize, level=11)
