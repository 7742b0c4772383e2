"""Which tensors an invocation reads and writes, as they lie at that time.

The program does not need it: addresses are all that kernels get. It is for whoever checks a program, or asks
what lies where (`interpret`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import attrs

from ..placement import Blocked, Plain, Tensor

Part = Literal["elements", "halo", "rows"]
"""What of a tensor is written: what it holds, what is read around its planes, or rows of a ring with their
halos."""


@attrs.frozen(eq=False)
class Touched:
    """What the arguments of an invocation stand for.

    reads:  by argument, the tensors that it is an address of; the zeros that the arena begins with are never
            among them.
    writes: the tensors that are written.
    part:   which of their elements.
    """

    reads: Mapping[str, tuple[Tensor, ...]]
    writes: tuple[Tensor, ...]
    part: Part = "elements"


def touched(
    written: Blocked | Plain, reads: Mapping[str, Sequence[Tensor]], part: Part = "elements"
) -> Touched:
    """What a kernel writes, and by argument what it reads."""
    return Touched({name: tuple(tensors) for name, tensors in reads.items()}, (written,), part)
