"""Discrete Fourier transforms as products with constant matrices of cosines and sines."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from tvm import relax

from frontends.converters.node import (
    Converter,
    Expr,
    Node,
    constant,
    constant_value,
    dtype_of,
    static_shape,
)

AXIS_IS_AN_INPUT = 20
"""The operator set since which DFT takes its axis as an input, and the last but one is the default."""


def _dft(node: Node) -> Expr:
    """The last axis holds real numbers alone, or real and imaginary parts."""
    data = node.inputs[0]
    shape = static_shape(data)
    axis = _axis(node) % len(shape)
    stated = node.optional(1)
    inverse, one_sided = bool(node.attribute("inverse")), bool(node.attribute("onesided"))
    samples = 2 * (shape[axis] - 1) if inverse and one_sided else shape[axis]
    length = samples if stated is None else _scalar(stated, "dft_length")
    if inverse and one_sided:
        return _real_signal(node, data, axis, length)
    matrix = _matrix(length, min(length, shape[axis]), inverse)
    if one_sided:
        matrix = matrix[: length // 2 + 1]
    return _transformed(node, data, axis, matrix)


def _real_signal(node: Node, data: Expr, axis: int, length: int) -> Expr:
    """The signal of real numbers, [..., 1], of which `data` is the first half of the spectrum."""
    half = length // 2 + 1
    matrix = _matrix(length, min(half, static_shape(data)[axis]), inverse=True)
    matrix[:, 1 : (length + 1) // 2] *= 2
    signal = node.builder.emit(_transformed(node, data, axis, matrix))
    return relax.op.strided_slice(signal, [len(static_shape(data)) - 1], [0], [1])


def _axis(node: Node) -> int:
    if node.opset < AXIS_IS_AN_INPUT:
        return int(node.attribute("axis", 1))
    stated = node.optional(2)
    return -2 if stated is None else _scalar(stated, "axis")


def _scalar(value: Expr, what: str) -> int:
    return int(constant_value(value, what).reshape(()))


def _matrix(length: int, taken: int, inverse: bool) -> NDArray[np.complex128]:
    """[frequencies, samples taken]: what is taken of a longer signal, or filled up with zeros."""
    turns = np.outer(np.arange(length), np.arange(taken)) % length / length
    matrix: NDArray[np.complex128] = np.exp((2j if inverse else -2j) * np.pi * turns)
    return matrix / length if inverse else matrix


def _transformed(node: Node, data: Expr, axis: int, matrix: NDArray[np.complex128]) -> Expr:
    """The samples along `axis` of [..., 1 or 2] by `matrix`: [..., 2], frequencies along `axis`."""
    emit = node.builder.emit
    shape = static_shape(data)
    if matrix.shape[1] < shape[axis]:
        data = emit(relax.op.strided_slice(data, [axis], [0], [matrix.shape[1]]))
        shape = static_shape(data)
    dtype = dtype_of(data)
    # [..., parts, samples] times [samples, 2 × frequencies]: parts of the signal by parts of the matrix.
    order = [position for position in range(len(shape)) if position != axis]
    parts = emit(relax.op.permute_dims(data, [*order, axis]))
    both = constant(np.concatenate([matrix.real, matrix.imag]).T.astype(dtype))
    products = emit(relax.op.matmul(parts, both, out_dtype=dtype))
    frequencies = matrix.shape[0]
    last = len(order)

    def product(part: int, imaginary: bool) -> Expr:
        begin = [part, frequencies if imaginary else 0]
        end = [part + 1, begin[1] + frequencies]
        return emit(relax.op.strided_slice(products, [last - 1, last], begin, end))

    real, imaginary = product(0, False), product(0, True)
    if shape[-1] == 2:
        real, imaginary = emit(real - product(1, True)), emit(imaginary + product(1, False))
    result = emit(relax.op.concat([real, imaginary], axis=last - 1))
    back = [*range(last)]
    back.insert(axis, last)
    return relax.op.permute_dims(result, back)


def _stft(node: Node) -> Expr:
    """[batch, frames, frequencies, 2]: every frame is cut out, weighted by the window and transformed."""
    signal, step = node.inputs[0], _scalar(node.inputs[1], "frame_step")
    window, stated = node.optional(2), node.optional(3)
    size = static_shape(window)[0] if stated is None else _scalar(stated, "frame_length")
    shape = static_shape(signal)
    frames = 1 + (shape[1] - size) // step
    index = step * np.arange(frames)[:, None] + np.arange(size)
    cut = node.builder.emit(relax.op.take(signal, constant(index.ravel()), 1, "clip"))
    parts = shape[2] if len(shape) == 3 else 1
    framed = node.builder.emit(relax.op.reshape(cut, [shape[0], frames, size, parts]))
    if window is not None:
        framed = node.builder.emit(framed * relax.op.reshape(window, [size, 1]))
    matrix = _matrix(size, size, inverse=False)
    if node.attribute("onesided"):
        matrix = matrix[: size // 2 + 1]
    return _transformed(node, framed, 2, matrix)


CONVERTERS: Mapping[str, Converter] = {"DFT": _dft, "STFT": _stft}
