"""Reads a pipelined function: which engine works in front of, inside and behind the loop over tiles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import tvm_ffi
from tvm import s_tir, tirx
from tvm.sym import Analyzer

_ENGINES = ("convolution", "branch", "epilogue")


@attrs.frozen(eq=False)
class Part:
    """A block of one engine. loop: the loop over tiles around it, None in front of and behind that.

    buffers: those that its surroundings hold, by name.
    """

    block: s_tir.SBlock
    loop: tirx.For | None
    buffers: dict[str, Any]

    def versions(self, tile: str) -> list[int]:
        """Which of a tile's buffers it uses: in every iteration of its loop, or once."""
        regions = [r for r in (*self.block.reads, *self.block.writes) if r.source.name == tile]
        assert regions, f"{self.block.name_hint} does not touch the {tile}"
        index = regions[0].region[0].min
        iterations = range(1 if self.loop is None else int(self.loop.extent))
        return [self._at(index, i) for i in iterations]

    def _at(self, index: Any, iteration: int) -> int:
        def replaced(variable: tirx.Var) -> Any:
            is_loops = self.loop is not None and variable.same_as(self.loop.loop_var)
            return tirx.IntImm("int32", iteration) if is_loops else variable

        return int(Analyzer().simplify(tvm_ffi.structural_map(index, (tirx.Var, replaced))))


def parts(function: tirx.PrimFunc) -> list[Part]:
    """The blocks of the engines, in order."""
    return list(_parts(function.body, None, {}))


def check_pipeline(function: tirx.PrimFunc, tiles: int, tile: tuple[int, ...] | None = None) -> None:
    """Assert that a function is a pipeline of two tiles or more, each in one of two buffers of shape `tile`.

    Prologue: convolution(0). Body: convolution(t + 1) and epilogue(t). Epilogue: epilogue(tiles - 1). Where
    the other branch is a convolution, too, that stands beside the first.
    """
    found = parts(function)
    names = [part.block.name_hint for part in found]
    first = ["convolution", "branch"] if "branch" in names else ["convolution"]
    assert names == [*first, *first, "epilogue", "epilogue"]
    prologue, body, last = found[: len(first)], found[len(first) : -1], found[-1]
    outside = [part.loop for part in (*prologue, last)]
    assert outside == [None] * len(outside), "the first convolution or the last epilogue is in the loop"
    assert all(part.loop is body[0].loop for part in body), (
        "convolution and epilogue are in loops of their own"
    )
    assert (body[0].loop is None) == (tiles == 2), "one iteration is no loop, more are"
    for number, name in enumerate(("tile", "branch_tile")[: len(first)]):
        versions, *shape = map(int, found[0].buffers[name].shape)
        assert versions == 2 and (tile is None or tuple(shape) == tile), "no double buffer"
        assert prologue[number].versions(name) == [0]
        assert body[number].versions(name) == [(t + 1) % 2 for t in range(tiles - 1)]
        assert body[-1].versions(name) == [t % 2 for t in range(tiles - 1)]
        assert last.versions(name) == [(tiles - 1) % 2]


def _parts(statement: Any, loop: tirx.For | None, buffers: dict[str, Any]) -> Iterator[Part]:
    if isinstance(statement, tirx.SeqStmt):
        for child in statement.seq:
            yield from _parts(child, loop, buffers)
    elif isinstance(statement, tirx.For):
        yield from _parts(statement.body, statement, buffers)
    elif isinstance(statement, s_tir.SBlockRealize):
        block = statement.block
        if block.name_hint in _ENGINES:
            yield Part(block, loop, buffers)
        else:
            yield from _parts(block.body, loop, buffers | {b.name: b for b in block.alloc_buffers})
