"""Whether a function's buffers are flat already, so that TVM need not make one index of several.

`FlattenBuffer` would leave such a function as it is, but simplifies every address on the way: a third of all
the time that a long kernel takes to compile.
"""

from __future__ import annotations

import tvm_ffi
from tvm import tirx
from tvm.s_tir import SBlock
from tvm.tirx.buffer import BufferType


def is_flat(func: tirx.PrimFunc) -> bool:
    """Every buffer has one dimension, begins where its memory does, and holds no bool (stored as int8)."""
    buffers = [parameter for parameter in func.params if isinstance(parameter.ty, BufferType)]

    def declared(statement: tirx.AllocBuffer | tirx.DeclBuffer) -> None:
        buffers.append(statement.buffer)

    def of_block(block: SBlock) -> None:
        buffers.extend(block.alloc_buffers)
        buffers.extend(match.buffer for match in block.match_buffers)

    found = ((tirx.AllocBuffer, declared), (tirx.DeclBuffer, declared), (SBlock, of_block))
    tvm_ffi.structural_walk(func.body, found, order="post")
    return all(map(_is_flat, buffers))


def _is_flat(buffer: tirx.Buffer) -> bool:
    begins = isinstance(buffer.elem_offset, tirx.IntImm) and int(buffer.elem_offset) == 0
    return len(buffer.shape) == 1 and not buffer.strides and begins and str(buffer.dtype) != "bool"
