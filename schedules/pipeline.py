"""The lowering pipeline of compiled programs, `tvm.compile(..., tir_pipeline="shiftc")`.

It is TVM's own `s_tir` pipeline followed by one pass. TVM turns every allocation inside a kernel into
a call of its workspace allocator unless the buffer is small *and* the kernel is entered through the
packed calling convention; ours are private functions called with raw pointers. Accumulators in memory
the optimiser cannot see through would cost every store and load, so buffers of scope `local` are
marked as stack allocations, which LLVM promotes to registers.
"""

from __future__ import annotations

import tvm
import tvm_ffi
from tvm import tirx
from tvm.s_tir.pipeline import default_s_tir_pipeline
from tvm.tirx import compilation_pipeline

PIPELINE_NAME = "shiftc"


def _keep_on_stack(func: tirx.PrimFunc, _mod: tvm.IRModule, _ctx: tvm.transform.PassContext) -> tirx.PrimFunc:
    def mark(stmt: tirx.AllocBuffer) -> tirx.AllocBuffer:
        if stmt.buffer.scope() != "local":
            return stmt
        return tirx.AllocBuffer(stmt.buffer, {"disable_lower_builtin": tirx.IntImm("int32", 1)})

    return func.with_body(tvm_ffi.structural_map(func.body, (tirx.AllocBuffer, mark), order="post"))


KeepLocalBuffersOnStack = tirx.transform.prim_func_pass(_keep_on_stack, opt_level=0)


def shiftc_pipeline() -> tuple[tvm.transform.Pass, tvm.transform.Pass, tvm.transform.Pass]:
    """Module passes, host finalisation, device finalisation."""
    passes, host, device = default_s_tir_pipeline()
    return tvm.transform.Sequential([passes, KeepLocalBuffersOnStack]), host, device


def register() -> None:
    """Make the pipeline known to TVM under its name; calling it again changes nothing."""
    compilation_pipeline.register_tir_pipeline(PIPELINE_NAME, shiftc_pipeline)
