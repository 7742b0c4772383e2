"""What a Relax module computes, in numpy and float64: in milliseconds, where TVM would compile it first."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from tvm.ir import Call, Expr, IRModule, TupleGetItem

from tvm_passes.apply_index_map import index_map_of
from tvm_passes.graph import Graph, Node
from tvm_passes.index_map import as_4d
from tvm_passes.relax_values import constant_of, dtype_of, scalar_of, shape_of

Array = np.ndarray
Operator = Callable[..., Array | tuple[Array, ...]]
"""Of the call, and its tensors as arrays."""


class NotInNumpyError(Exception):
    """An operator, or a form of it, that is not written here."""


def run_in_numpy(mod: IRModule, inputs: Sequence[Array]) -> list[Array]:
    """The outputs of `main`, tuples flattened. Raises NotInNumpyError."""
    return _run(mod, "main", inputs)


def _run(mod: IRModule, function: str, inputs: Sequence[Array]) -> list[Array]:
    graph = Graph.read(mod, function)
    values: dict[Expr, Any] = dict(zip(graph.params, inputs, strict=True))

    def value(expr: Expr) -> Any:
        constant = constant_of(expr)
        if constant is not None:
            return constant
        if isinstance(expr, TupleGetItem):
            return value(expr.tuple_value)[expr.index]
        return values[expr]

    for node in graph.nodes:
        kind, _, callee = node.op.partition(":")
        if kind == "tuple_get_item":
            values[node.var] = value(node.call)
        elif kind == "call":
            (values[node.var],) = _run(mod, callee, [value(argument) for argument in node.args])
        else:
            values[node.var] = _computed(node, value)
    return [np.ascontiguousarray(value(output)) for output in graph.outputs]


def _computed(node: Node, value: Callable[[Expr], Any]) -> Array | tuple[Array, ...]:
    if node.op not in OPERATORS:
        raise NotInNumpyError(node.op)
    tensors = [
        argument for argument in node.args if hasattr(argument.ty, "dtype") and hasattr(argument.ty, "shape")
    ]
    arrays = [_wide(value(tensor)) for tensor in tensors]
    result = OPERATORS[node.op](node.call, *arrays)
    if isinstance(result, tuple):
        types = node.var.ty.fields
        return tuple(part.astype(str(of.dtype)) for part, of in zip(result, types, strict=True))
    if node.op in RESHAPED:
        result = result.reshape(shape_of(node.var))
    if result.shape != shape_of(node.var):
        raise NotInNumpyError(f"{node.op} of shape {result.shape}")
    return result.astype(dtype_of(node.var))


def _wide(array: Array) -> Array:
    return array.astype(np.float64) if array.dtype.kind == "f" else array


_erf = np.vectorize(math.erf, otypes=[np.float64])


def _numbers(values: Any) -> list[int]:
    return [int(value) for value in values]


def _windows(x: Array, taps: Sequence[int], call: Call, fill: float) -> Array:
    """[n, c, rows, columns, row taps, column taps] of a plane that is padded with a number."""
    attributes = call.attrs
    top, left, bottom, right = _numbers(attributes.padding)
    padded = np.pad(x, [(0, 0), (0, 0), (top, bottom), (left, right)], constant_values=fill)
    (sy, sx), (dy, dx) = _numbers(attributes.strides), _numbers(attributes.dilation)
    extents = [(tap - 1) * step + 1 for tap, step in zip(taps, (dy, dx), strict=True)]
    views = np.lib.stride_tricks.sliding_window_view(padded, extents, (2, 3))
    return views[:, :, ::sy, ::sx, ::dy, ::dx]


def _conv2d(call: Call, x: Array, weight: Array) -> Array:
    if call.attrs.data_layout != "NCHW" or call.attrs.kernel_layout != "OIHW":
        raise NotInNumpyError("conv2d in another layout")
    groups = int(call.attrs.groups)
    windows = _windows(x, weight.shape[2:], call, 0.0)
    parts = zip(np.split(windows, groups, axis=1), np.split(weight, groups), strict=True)
    sums = [np.tensordot(window, filters, axes=[(1, 4, 5), (1, 2, 3)]) for window, filters in parts]
    return np.concatenate(sums, axis=-1).transpose(0, 3, 1, 2)


def _pooled(call: Call) -> None:
    if call.attrs.layout != "NCHW" or call.attrs.ceil_mode:
        raise NotInNumpyError("a pool of another kind")


def _max_pool2d(call: Call, x: Array) -> Array:
    _pooled(call)
    return _windows(x, _numbers(call.attrs.pool_size), call, -np.inf).max(axis=(4, 5))


def _avg_pool2d(call: Call, x: Array) -> Array:
    _pooled(call)
    taps = _numbers(call.attrs.pool_size)
    sums = _windows(x, taps, call, 0.0).sum(axis=(4, 5))
    inside = np.ones_like(x) if not call.attrs.count_include_pad else None
    count = taps[0] * taps[1] if inside is None else _windows(inside, taps, call, 0.0).sum(axis=(4, 5))
    return sums / count


def _mean(call: Call, x: Array) -> Array:
    return x.mean(axis=tuple(_numbers(call.attrs.axis)), keepdims=bool(call.attrs.keepdims))


def _softmax(call: Call, x: Array) -> Array:
    axis = int(call.attrs.axis)
    powers = np.exp(x - x.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


def _normal(x: Array, axes: tuple[int, ...], epsilon: float) -> Array:
    deviation = x - x.mean(axis=axes, keepdims=True)
    return deviation / np.sqrt(x.var(axis=axes, keepdims=True) + epsilon)


def _variance(call: Call, x: Array) -> Array:
    return x.var(axis=tuple(_numbers(call.attrs.axis)), keepdims=bool(call.attrs.keepdims))


def _batch_norm(
    call: Call, x: Array, gamma: Array, beta: Array, mean: Array, variance: Array
) -> tuple[Array, ...]:
    """The result, and the statistics as they were."""
    shape = [-1 if axis == int(call.attrs.axis) % x.ndim else 1 for axis in range(x.ndim)]
    normal = (x - mean.reshape(shape)) / np.sqrt(variance.reshape(shape) + call.attrs.epsilon)
    return _scaled(call, normal, gamma.reshape(shape), beta.reshape(shape)), mean, variance


def _scaled(call: Call, normal: Array, gamma: Array, beta: Array) -> Array:
    """As far as the operator asks for it."""
    scaled = normal * gamma if call.attrs.scale else normal
    return scaled + beta if call.attrs.center else scaled


def _layer_norm(call: Call, x: Array, gamma: Array, beta: Array) -> Array:
    axes = tuple(axis % x.ndim for axis in _numbers(call.attrs.axes))
    shape = [extent if axis in axes else 1 for axis, extent in enumerate(x.shape)]
    return _scaled(call, _normal(x, axes, call.attrs.epsilon), gamma.reshape(shape), beta.reshape(shape))


def _group_norm(call: Call, x: Array, gamma: Array, beta: Array) -> Array:
    if int(call.attrs.channel_axis) != 1 or _numbers(call.attrs.axes) != list(range(2, x.ndim)):
        raise NotInNumpyError("group_norm of other axes")
    grouped = x.reshape(x.shape[0], int(call.attrs.num_groups), -1)
    shape = [1, -1, *[1] * (x.ndim - 2)]
    return _normal(grouped, (2,), call.attrs.epsilon).reshape(x.shape) * gamma.reshape(shape) + beta.reshape(
        shape
    )


def _strided_slice(call: Call, x: Array) -> Array:
    axes, begin, end, *strides = (
        [scalar_of(number) for number in argument.fields] for argument in call.args[1:]
    )
    steps = strides[0] if strides else [1] * len(axes)
    cut = [slice(None)] * x.ndim
    for axis, first, last, step in zip(axes, begin, end, steps, strict=True):
        assert axis is not None and first is not None and last is not None and step is not None
        if step < 0:
            raise NotInNumpyError("strided_slice backwards")
        cut[int(axis)] = slice(int(first), int(last), int(step))
    return x[tuple(cut)]


def _split(call: Call, x: Array) -> tuple[Array, ...]:
    number, places = scalar_of(call.attrs.indices_or_sections), call.attrs.indices_or_sections
    sections = _numbers(places) if number is None else int(number)
    return tuple(np.split(x, sections, axis=int(call.attrs.axis)))


def _pad(call: Call, x: Array, *value: Array) -> Array:
    if value or call.attrs.pad_mode != "constant" or float(call.attrs.pad_value):
        raise NotInNumpyError("pad of another kind")
    widths = np.reshape(_numbers(call.attrs.pad_width), (-1, 2))
    return np.pad(x, [tuple(pair) for pair in widths.tolist()])


def _index_map(call: Call, *sources: Array) -> Array:
    return index_map_of(call).apply([source.reshape(as_4d(source.shape)) for source in sources])


def _bounds(call: Call) -> tuple[float, float]:
    low, high = (scalar_of(bound) for bound in call.args[1:])
    assert low is not None and high is not None
    return low, high


def _without_attributes(function: Callable[..., Array]) -> Operator:
    return lambda _, *arrays: function(*arrays)


FUNCTIONS: dict[str, Callable[..., Array]] = {
    **{name: getattr(np, name) for name in ("tanh", "exp", "abs", "sqrt", "negative", "power", "matmul")},
    **{name: getattr(np, name) for name in ("add", "subtract", "multiply", "divide", "maximum", "minimum")},
}

OPERATORS: dict[str, Operator] = {
    "relax.nn.conv2d": _conv2d,
    "relax.nn.max_pool2d": _max_pool2d,
    "relax.nn.avg_pool2d": _avg_pool2d,
    "relax.nn.softmax": _softmax,
    "relax.nn.layer_norm": _layer_norm,
    "relax.nn.group_norm": _group_norm,
    "relax.nn.relu": lambda call, x: np.maximum(x, 0),
    "relax.nn.leakyrelu": lambda call, x: np.where(x > 0, x, x * float(call.attrs.alpha)),
    "relax.nn.silu": lambda call, x: x / (1 + np.exp(-x)),
    "relax.nn.gelu": lambda call, x: x * (1 + _erf(x / math.sqrt(2))) / 2,
    "relax.nn.batch_norm": _batch_norm,
    "relax.nn.pad": _pad,
    "relax.mean": _mean,
    "relax.variance": _variance,
    "relax.erf": lambda call, x: _erf(x),
    "relax.rsqrt": lambda call, x: 1 / np.sqrt(x),
    "relax.split": _split,
    "relax.sigmoid": lambda call, x: 1 / (1 + np.exp(-x)),
    "relax.clip": lambda call, x: np.clip(x, *_bounds(call)),
    "relax.concat": lambda call, *parts: np.concatenate(parts, axis=int(call.attrs.axis)),
    "relax.strided_slice": _strided_slice,
    "relax.permute_dims": lambda call, x: x.transpose(_numbers(call.attrs.axes) if call.attrs.axes else None),
    "relax.reshape": lambda call, x: x,
    "relax.expand_dims": lambda call, x: x,
    "relax.squeeze": lambda call, x: x,
    "index_map": _index_map,
    **{f"relax.{name}": _without_attributes(function) for name, function in FUNCTIONS.items()},
}
RESHAPED = ("relax.reshape", "relax.expand_dims", "relax.squeeze", "index_map")
"""Of these the shape alone is another."""
