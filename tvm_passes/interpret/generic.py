"""Operators without a template, executed on the whole tensors that they read and write."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np

from ..array import Array
from ..lowering.context import GenericKernel, Invocation
from ..placement import Address, Plain, Tensor
from .arguments import State, held
from .errors import ProgramError, Where
from .places import WORD, Memory, memory_of, words_of
from .stores import Accesses
from .tir import evaluate_function


def run_generic(state: State, invocation: Invocation, where: Where) -> Accesses:
    """What an operator does.

    Raises ProgramError for what it must not, InterpretationError where that is not known.
    """
    touched = invocation.touched
    assert isinstance(invocation.scheduled, GenericKernel)
    read = [tensor for tensors in touched.reads.values() for tensor in tensors]
    addresses = iter(invocation.arguments)
    reads: list[tuple[Memory, Array]] = []
    operator = invocation.scheduled.operator
    inputs = [
        _as_parameter(_read(state, tensor, next(addresses), where, reads), param)
        for tensor, param in zip(read, operator.params, strict=False)
    ]
    outputs = [_shape_of(param) for param in operator.params[len(inputs) :]]
    results = evaluate_function(operator, inputs, outputs, where)
    writes = [
        _write(state, tensor, next(addresses), result, where)
        for tensor, result in zip(touched.writes, results, strict=True)
    ]
    return Accesses(reads, writes)


def _shape_of(param: Any) -> tuple[tuple[int, ...], str]:
    return tuple(map(int, param.shape)), str(param.ty.dtype)


def _as_parameter(tensor: Array, param: Any) -> Array:
    """The bytes of a tensor as a function takes them: a copy sees them flat."""
    shape, dtype = _shape_of(param)
    return np.ascontiguousarray(tensor).reshape(-1).view(dtype).reshape(shape)


def _words(tensor: Plain, address: Address) -> tuple[Memory, Array]:
    start = address.offset // WORD
    return memory_of(address), start + np.arange(words_of(tensor.bytes))


def _within(state: State, tensor: Plain, address: Address, where: Where) -> tuple[Memory, Array]:
    memory, words = _words(tensor, address)
    if words.size and int(words[-1]) >= state.memories[memory].size:
        at = attrs.evolve(where, tensor=state.places.named(tensor.name))
        raise ProgramError(at, f"lies beyond the end of the {memory[0]}")
    return memory, words


def _read(
    state: State, tensor: Tensor, address: Address, where: Where, reads: list[tuple[Memory, Array]]
) -> Array:
    assert isinstance(tensor, Plain)
    memory, words = _within(state, tensor, address, where)
    holds = state.memories[memory].holds
    if holds is not None:
        place = state.places.of(tensor)
        wrong = holds[words] != place.holds
        if wrong.any():
            number = int(np.flatnonzero(wrong)[0])
            name, index = state.places.element(int(place.holds[number]))
            found = held(state.places, int(holds[words[number]]))
            raise ProgramError(attrs.evolve(where, tensor=name, index=index), f"reads {found} in its place")
    reads.append((memory, words))
    raw = state.memories.bytes(memory)[address.offset : address.offset + tensor.bytes]
    return raw.view(tensor.dtype).reshape(tensor.shape)


def _write(
    state: State, tensor: Tensor, address: Address, result: Array, where: Where
) -> tuple[Memory, Array]:
    assert isinstance(tensor, Plain)
    memory, words = _within(state, tensor, address, where)
    place = state.places.of(tensor)
    if (memory, address.offset // WORD) != (place.memory, place.start):
        raise ProgramError(
            attrs.evolve(where, tensor=state.places.named(tensor.name)), "is written outside of its place"
        )
    holds = state.memories[memory].holds
    assert holds is not None
    raw = np.ascontiguousarray(result).reshape(-1).view(np.uint8)
    state.memories.bytes(memory)[address.offset : address.offset + tensor.bytes] = raw
    holds[words] = place.holds
    return memory, words
