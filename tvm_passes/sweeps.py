"""What an invocation touches, as data: accesses through address tables, constants, and the order of both."""

from __future__ import annotations

from typing import Literal

import attrs

from .array import Array
from .placement import Address

ITEM = 4
"""Bytes of an element, and of a table's entry."""


@attrs.frozen(eq=False)
class Access:
    """Elements `bases[o, i] + pixels[p, j] + v`, v < width, from `address`, for output block o and pixel p.

    bases:  int [blocks, I]; with one row, the same for all blocks.
    pixels: int [pixels, J]; with one row, the same for all pixels.
    """

    address: Address
    bases: Array
    pixels: Array
    width: int
    writes: bool = False


Axis = Literal["block", "pixel", "all"]


@attrs.frozen
class Span:
    """Items from `address` on: equal shares of them are read for every block or pixel, or all for each."""

    address: Address
    items: int
    shares: Axis


@attrs.frozen(eq=False)
class Sweeps:
    """All accesses of an invocation, and their order: in each chunk, for each run of blocks, over the pixels.

    blocks: of the result.
    pixels: of the result; for Winograd's forms, tiles of them.
    run:    blocks of a sweep.
    step:   pixels that meet all blocks of the run before the next ones do.
    spans:  weights and tables.
    chunk:  pixels that meet all runs before the next ones do.
    """

    blocks: int
    pixels: int
    run: int
    step: int
    accesses: tuple[Access, ...]
    spans: tuple[Span, ...] = ()
    chunk: int = attrs.field(default=attrs.Factory(lambda self: self.pixels, takes_self=True))
