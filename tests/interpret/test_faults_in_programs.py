"""Faults in a program's tables, addresses and steps are found by interpreting it."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import numpy as np
import pytest

from tests.interpret.bases import (
    CHAIN,
    GENERIC,
    IMAGE,
    IN_BANDS,
    PADDED,
    RESIDUAL,
    SHARED,
    WINOGRAD,
    WRAPPED,
    right,
)
from tests.interpret.faults import each, of_kind, phases_at_once, verdict, with_address, with_table, without
from tests.interpret.programs import Array
from tvm_passes.lowered import Lowered
from tvm_passes.lowering.context import Invocation, KernelCall
from tvm_passes.placement import Address


def off_by_one(table: Array) -> Array:
    """One entry, the last."""
    return np.append(table[:-1], table[-1] + 1)


def at(number: int, by: int) -> Callable[[Array], Array]:
    """One entry moved."""

    def change(table: Array) -> Array:
        table[number] += by
        return table

    return change


def exchanged(table: Array) -> Array:
    """The first two entries."""
    return np.concatenate([table[1::-1], table[2:]])


def exchanged_at(number: int) -> Callable[[Array], Array]:
    """An entry and the next one."""

    def change(table: Array) -> Array:
        table[[number, number + 1]] = table[[number + 1, number]]
        return table

    return change


def doubled(table: Array) -> Array:
    """The first entry in place of the second."""
    return np.concatenate([table[:1], table[:1], table[2:]])


def spread(table: Array) -> Array:
    """Twice the distances from the first entry."""
    return table[0] + 2 * (table - table[0])


def a_row_up(table: Array) -> Array:
    """Pixels of rows of eight columns, a row further up."""
    return table - (table[8] - table[0])


def last_band(_: KernelCall, invocation: Invocation) -> bool:
    """What computes the last rows of a chain's result."""
    *_, last = right(IN_BANDS)[0].calls[1].invocations
    return invocation is last


def copies(part: str) -> Callable[[KernelCall, Invocation], bool]:
    """Copies that write this part of a tensor."""
    return lambda _, invocation: invocation.touched.part == part


def clears(_: KernelCall, invocation: Invocation) -> bool:
    """Zeros where a halo is."""
    return invocation.touched.part == "halo" and not invocation.touched.reads


def operator_further(number: int) -> Callable[[Lowered], Lowered]:
    """The first operator without a template, one of its addresses a word further."""

    def plant(lowered: Lowered) -> Lowered:
        done: list[Invocation] = []

        def changed(_: KernelCall, invocation: Invocation) -> Invocation:
            if done or invocation.kernel is not None:
                return invocation
            done.append(invocation)
            arguments = list(invocation.arguments)
            arguments[number] = attrs.evolve(arguments[number], offset=arguments[number].offset + 4)
            return attrs.evolve(invocation, arguments=tuple(arguments))

        return attrs.evolve(lowered, calls=each(lowered, changed))

    return plant


FIRST, SECOND = of_kind("indexed_conv"), of_kind("indexed_conv", 1)
FAULTS = {
    "a pixel is read one element further": (RESIDUAL, with_table("pt", off_by_one, SECOND), "reads"),
    "a channel is read beyond the arena": (
        RESIDUAL,
        with_table("ct", at(0, 1 << 24), SECOND),
        "outside of the arena",
    ),
    "a channel is read before the arena": (
        RESIDUAL,
        with_table("ct", at(0, -(1 << 20)), SECOND),
        "outside of the arena",
    ),
    "two channels are exchanged": (RESIDUAL, with_table("ct", exchanged, SECOND), "other values"),
    "a channel is read from another tensor": (RESIDUAL, with_table("ct", at(5, -4096), SECOND), "reads"),
    "two blocks are written to one place": (RESIDUAL, with_table("yo", doubled, FIRST), "twice"),
    "two blocks are exchanged": (RESIDUAL, with_table("yo", exchanged, FIRST), "other values"),
    "a pixel is written into the halo": (
        RESIDUAL,
        with_table("yp", at(0, -8), FIRST),
        "where it writes its elements",
    ),
    "a pixel is written beyond its tensor": (
        RESIDUAL,
        with_table("yp", at(-1, 1 << 12), FIRST),
        "outside of",
    ),
    "rows are as far apart as two": (RESIDUAL, with_table("pt", spread, SECOND), "reads"),
    "windows of a pool are not clamped": (
        RESIDUAL,
        with_table("row", at(0, -64), of_kind("window_pool")),
        "reads",
    ),
    "a plane is averaged without its last pixel": (
        RESIDUAL,
        with_table("xp", at(-1, -8), of_kind("global_pool")),
        "other values",
    ),
    "a residual is read one pixel further": (RESIDUAL, with_table("e0_rp", off_by_one, SECOND), "e0 reads"),
    "a table is entered behind its end": (
        RESIDUAL,
        with_address("pt", lambda a: attrs.evolve(a, offset=1 << 28), FIRST),
        "beyond the constants",
    ),
    "a result is written into an input": (
        RESIDUAL,
        with_address("y", lambda _: Address("input"), FIRST),
        "outside of the input 0",
    ),
    "a result is written into the constants": (
        RESIDUAL,
        with_address("y", lambda _: Address("constants"), FIRST),
        "is written into the constants",
    ),
    "an output is not written": (
        RESIDUAL,
        without(lambda call, _: call is right(RESIDUAL)[0].calls[-1]),
        "nobody writes word 0",
    ),
    "a step is left out": (RESIDUAL, without(of_kind("window_pool")), "memory that nobody wrote"),
    "halos are not cleared": (RESIDUAL, without(clears), "reads its halo and finds"),
    "a halo is not filled": (WRAPPED, without(copies("halo")), "in its place"),
    "a halo is filled from the wrong side": (
        WRAPPED,
        with_table("xp", exchanged, copies("halo")),
        "other values",
    ),
    "rows of a ring are not carried": (CHAIN, without(copies("rows")), "reads"),
    "rows of a ring are carried from elsewhere": (
        CHAIN,
        with_table("xp", exchanged_at(3), copies("rows")),
        "gets",
    ),
    "rows outside of the plane are not zero": (CHAIN, without(clears), "reads"),
    "nobody waits between transforms and products": (SHARED, phases_at_once, "another task"),
    "a tile's patch is read a pixel further": (
        WINOGRAD,
        with_table("xp", off_by_one, of_kind("winograd_input")),
        "other values",
    ),
    "products are read from another tile": (
        WINOGRAD,
        with_table("pt", exchanged, of_kind("indexed_conv")),
        "other values",
    ),
    "a window reads beyond an input": (
        IMAGE,
        with_table("pt", off_by_one, lambda *_: True),
        "outside of the input 0",
    ),
    "zeros are read from behind the zeros": (
        PADDED,
        with_table("xl", at(0, 1 << 10), of_kind("elementwise", 1)),
        "reads",
    ),
    "two bands write a row": (IN_BANDS, with_table("yp", a_row_up, last_band), "another task"),
    "the zeros are shorter than a plane": (
        PADDED,
        lambda lowered: attrs.evolve(lowered, zero_bytes=64),
        "reads",
    ),
    "an operator reads a word further": (GENERIC, operator_further(0), "beyond the end of the arena"),
    "an operator writes a word further": (GENERIC, operator_further(-1), "outside of its place"),
}


@pytest.mark.usefixtures("threads_pay")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_the_program(fault: str) -> None:
    base, plant, message = FAULTS[fault]
    lowered, inputs, expected = right(base)
    assert message in verdict(plant(lowered), inputs, expected)
