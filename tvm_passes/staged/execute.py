"""Runs a staged program on two workers, one for each engine, which meet at every stage's barrier.

The reference of the format: what it computes is what a backend has to, and what compiled kernels compute to
the bit where their convolutions are direct (see `anchors`). Buffers begin as NaN, so that rows that are read
before they are written show in the result.
"""

from __future__ import annotations

from collections.abc import Mapping
from threading import Barrier, BrokenBarrierError, Thread
from typing import Any

import numpy as np
import numpy.typing as npt

from ..index_map import IndexMap, as_4d
from .anchors import compute, convolve
from .elementwise import apply
from .fused import Values
from .halo import crop
from .program import (
    ENGINES,
    Engine,
    Operand,
    Operator,
    PostOperation,
    Rows,
    StagedProgram,
    StagedProgramError,
    Step,
)

Arrays = Mapping[str, npt.NDArray[Any]]


def execute(program: StagedProgram, weights: Arrays, inputs: Arrays) -> dict[str, npt.NDArray[Any]]:
    """The outputs by the model's names, of inputs by the model's names.

    Raises StagedProgramError where an input or weight is missing or has another shape or dtype, and for an
    operator that has no reference implementation.
    """
    given = {port.buffer: inputs[port.name] for port in program.inputs if port.name in inputs}
    memory: dict[str, npt.NDArray[Any]] = {}
    for buffer in program.buffers:
        if buffer.kind in ("input", "weight"):
            values = (given if buffer.kind == "input" else weights).get(buffer.name)
            if values is None:
                raise StagedProgramError(f"{buffer.kind} '{buffer.name}' is missing")
            if values.shape != buffer.shape or str(values.dtype) != buffer.dtype:
                found = f"{values.dtype}{list(values.shape)}, not {buffer.dtype}{list(buffer.shape)}"
                raise StagedProgramError(f"{buffer.kind} '{buffer.name}' is {found}")
            memory[buffer.name] = values
        else:
            empty = np.nan if buffer.dtype.startswith("float") else 0
            memory[buffer.name] = np.full(buffer.shape, empty, buffer.dtype)
    _Machine(program, memory).run()
    return {port.name: memory[port.buffer] for port in program.outputs}


class _Machine:
    """The memory, and a worker for each engine."""

    def __init__(self, program: StagedProgram, memory: dict[str, npt.NDArray[Any]]) -> None:
        self._program = program
        self._memory = memory
        self._barrier = Barrier(len(ENGINES))
        self._errors: list[Exception] = []

    def run(self) -> None:
        workers = [Thread(target=self._work, args=(engine,), name=engine) for engine in ENGINES]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        if self._errors:
            raise self._errors[0]

    def _work(self, engine: Engine) -> None:
        try:
            for stage in self._program.stages:
                for step in stage.steps:
                    if step.engine == engine:
                        self._step(step)
                self._barrier.wait()
        except BrokenBarrierError:
            pass  # the other worker failed, and has said why
        except Exception as error:
            self._errors.append(error)
            self._barrier.abort()

    def _step(self, step: Step) -> None:
        operator = self._program.operator(step.operator)
        if operator.kind == "generic":
            raise StagedProgramError(f"{operator.name}: {operator.relax} has no reference implementation")
        if step.part == "epilogue":
            first, last = step.reads[0].rows
            value = self._tensor(step.reads[0].buffer)[:, :, first:last]
        else:
            value = self._anchor(operator, step)
        posts = operator.posts(step.part)
        value = apply(posts, value, [self._other(post, step.rows) for post in posts])
        first, last = step.writes.rows
        self._tensor(step.writes.buffer)[:, :, first:last] = value

    def _anchor(self, operator: Operator, step: Step) -> Values:
        x = self._read(operator.operand, step.operand_rows)
        _, channels, _, width = self._program.shape(operator.output)
        if operator.weight is None:
            return compute(operator, x, step, width, [self._memory[name] for name in operator.tables])
        starts = self._memory[operator.starts] if operator.starts else np.zeros(channels, np.float32)
        return convolve(operator, x, self._memory[operator.weight], starts, step, width)

    def _other(self, post: PostOperation, rows: Rows) -> Values | None:
        if post.vector is not None:
            return self._memory[post.vector][:, None, None]
        if post.operand is not None:
            return self._read(post.operand, (0, 1) if post.per_channel else rows)
        return None

    def _read(self, operand: Operand, rows: Rows) -> Values:
        """Rows of an operand through its map, [N, C, rows, W]."""
        tensors = [self._tensor(name) for name in operand.tensors]
        if operand.map is None:
            return tensors[0][:, :, rows[0] : rows[1]]
        if rows[0] == rows[1]:
            batch, channels, _, width = operand.map.output
            return np.zeros((batch, channels, 0, width), tensors[0].dtype)
        return _rows_of(operand.map, rows).apply(tensors)

    def _tensor(self, name: str) -> Values:
        """A buffer as (N, C, H, W)."""
        return self._memory[name].reshape(as_4d(self._memory[name].shape))


def _rows_of(index_map: IndexMap, rows: Rows) -> IndexMap:
    return index_map if rows == (0, index_map.output[2]) else crop(index_map, rows)
