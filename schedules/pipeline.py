"""The lowering pipeline of compiled programs, `tvm.compile(..., tir_pipeline="shiftc")`.

It is TVM's own `s_tir` pipeline, without what flat functions do not need (`schedules/flat.py`), followed by
three passes. `ChooseGates` says how GELU and SiLU are computed, now that vectors are known
(`schedules/gate_lookup.py`). `ShareLoops` lets tasks claim parts of a parallel loop
(`schedules/sharing.py`). `AdaptPrivateKernels` is there because our kernels are private functions called
with raw pointers, where TVM expects entry through its packed calling convention:

- Large buffers inside a kernel come from TVM's workspace allocator, which needs the device that the packed
  entry would have stated: it is stated in every function.
- A failed allocation returns an error code, so these functions return int32.
- Functions are compiled one by one (`exported`): a kernel's name becomes a C symbol, but only after the pass
  that would give public functions TVM's packed convention. A function alone in its module counts as the
  library's entry to TVM, which only `main` is.
- Buffers of scope `local` (accumulators) are marked as stack allocations, which LLVM promotes to
  registers. From the allocator they would be memory, a load and a store for every multiply-add.
"""

from __future__ import annotations

import tvm
import tvm_ffi
from tvm import tirx
from tvm.s_tir.pipeline import default_s_tir_pipeline
from tvm.tirx import compilation_pipeline

from schedules.flat import is_flat
from schedules.gate_lookup import ChooseGates
from schedules.sharing import ShareLoops

PIPELINE_NAME = "shiftc"
_SYMBOL = "shiftc.symbol"
_CPU = 1
"""DLPack's device type."""


def exported(func: tirx.PrimFunc, symbol: str) -> tirx.PrimFunc:
    """The private function, to be compiled to a C function that other object files can call."""
    return func.with_attr(_SYMBOL, symbol)


def _adapt(func: tirx.PrimFunc, _mod: tvm.IRModule, _ctx: tvm.transform.PassContext) -> tirx.PrimFunc:
    def keep_on_stack(stmt: tirx.AllocBuffer) -> tirx.AllocBuffer:
        if stmt.buffer.scope() != "local":
            return stmt
        return tirx.AllocBuffer(stmt.buffer, {"disable_lower_builtin": tirx.IntImm("int32", 1)})

    body = tvm_ffi.structural_map(func.body, (tirx.AllocBuffer, keep_on_stack), order="post")
    for key, value in (("device_type", _CPU), ("device_id", 0)):
        body = tirx.AttrStmt("default", key, tirx.IntImm("int32", value), body)
    if "calling_conv" in func.attrs:
        return func.with_body(body)
    kernel = tirx.PrimFunc(func.params, body, tvm.ir.PrimType("int32"), func.attrs)
    if _SYMBOL not in func.attrs:
        return kernel
    symbol = func.attrs[_SYMBOL]
    return kernel.without_attr(_SYMBOL).without_attr("tirx.is_entry_func").with_attr("global_symbol", symbol)


AdaptPrivateKernels = tirx.transform.prim_func_pass(_adapt, opt_level=0)


def shiftc_pipeline() -> tuple[tvm.transform.Pass, tvm.transform.Pass, tvm.transform.Pass]:
    """Module passes, host finalisation, device finalisation."""
    passes, host, device = default_s_tir_pipeline()

    @tvm.transform.module_pass(opt_level=0)
    def lowered(mod: tvm.IRModule, context: tvm.transform.PassContext) -> tvm.IRModule:
        if not all(map(is_flat, mod.functions.values())):
            return passes(mod)
        needless = [*context.disabled_pass, "tirx.FlattenBuffer"]
        # Without its instruments: they would take the end of this context for that of theirs.
        with tvm.transform.PassContext(
            context.opt_level, context.required_pass, needless, config=context.config
        ):
            return passes(mod)

    return tvm.transform.Sequential([lowered, ChooseGates, ShareLoops, AdaptPrivateKernels]), host, device


def register() -> None:
    """Make the pipeline known to TVM under its name; calling it again changes nothing."""
    compilation_pipeline.register_tir_pipeline(PIPELINE_NAME, shiftc_pipeline)
