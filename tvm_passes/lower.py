"""Stages to a program: every planned step becomes a kernel call with its tables and packed weights.

Place: last. What comes out is no longer Relax: kernels over raw pointers and one entry function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs
import numpy as np
import tvm
from tvm.ir import IRModule

import schedules
from schedules.parallelism import LAUNCH_CYCLES, WAKING_CYCLES
from schedules.tuning.records import NO_RECORDS, Records

from .compiled import KernelRecord
from .forms import ANY_FORM, Forms
from .graph import Graph
from .lowered import Lowered
from .lowering.chain import lower_chain
from .lowering.channelwise import lower_depthwise, lower_elementwise, lower_global_pool, lower_window_pool
from .lowering.clearing import with_clearing
from .lowering.context import (
    GenericKernel,
    Invocation,
    KernelCall,
    LoweringContext,
    OperatorError,
    side_by_side,
)
from .lowering.convolution import lower_convolution
from .lowering.copies import (
    address_of,
    lower_fill,
    lower_gather,
    lower_pack,
    lower_repack,
    lower_unpack,
)
from .lowering.grouped_winograd import lower_grouped_winograd
from .lowering.normalization import lower_group_norm, lower_layer_norm, lower_softmax
from .lowering.parts import join_parts
from .lowering.program import TensorType, with_barrier
from .lowering.steps import (
    ChainStep,
    FillStep,
    GatherStep,
    GenericStep,
    PackStep,
    RepackStep,
    StageStep,
    Step,
    UnpackStep,
)
from .lowering.threads import help_pays, threads_pay
from .lowering.touched import Touched
from .lowering.winograd import lower_winograd
from .lowering.winograd_plan import WinogradPlan
from .node import origin
from .placement import Blocked, Plain, Region
from .relax_values import dtype_of, shape_of
from .tiling import NO_TILING, Tiling
from .within_memory import plan_within_memory

_STAGE_KINDS: dict[str, tuple[str, Callable[[LoweringContext, StageStep, KernelRecord], KernelCall]]] = {
    "convolution": ("indexed_conv", lower_convolution),
    "depthwise": ("depthwise", lower_depthwise),
    "window_pool": ("window_pool", lower_window_pool),
    "global_pool": ("global_pool", lower_global_pool),
    "elementwise": ("elementwise", lower_elementwise),
    "layer_norm": ("layer_norm", lower_layer_norm),
    "group_norm": ("group_norm", lower_group_norm),
    "softmax": ("softmax", lower_softmax),
}


def lower(
    mod: IRModule,
    target: tvm.target.Target,
    threads: int,
    node_of_var: Mapping[str, str],
    forms: Forms = ANY_FORM,
    records: Records = NO_RECORDS,
    tiling: Tiling = NO_TILING,
) -> Lowered:
    """Plan the arena of `main` and lower every step of it.

    forms: of convolutions that may be taken. Kernels follow the `records` of their workloads. A program that
    several threads are modelled not to make faster, even while they are awake, is lowered for one.

    Raises MemoryLimitError, LoweringError; an OperatorError names the model's nodes.
    """
    try:
        return _lower(mod, target, threads, node_of_var, forms, records, tiling)
    except OperatorError as error:
        nodes = (_of_model(name, node_of_var) for name in error.nodes)
        raise OperatorError(nodes, error.reason) from error.__cause__


def _lower(
    mod: IRModule,
    target: tvm.target.Target,
    threads: int,
    node_of_var: Mapping[str, str],
    forms: Forms,
    records: Records,
    tiling: Tiling,
) -> Lowered:
    lowered = _lower_for(mod, target, threads, node_of_var, forms, records, tiling)
    machine = schedules.machine_of(target)
    if threads == 1 or threads_pay(lowered.calls, threads, machine, WAKING_CYCLES):
        return lowered
    if threads_pay(lowered.calls, threads, machine, LAUNCH_CYCLES):
        return attrs.evolve(lowered, while_awake=True)
    return _lower_for(mod, target, 1, node_of_var, forms, records, tiling)


def _lower_for(
    mod: IRModule,
    target: tvm.target.Target,
    threads: int,
    node_of_var: Mapping[str, str],
    forms: Forms,
    records: Records,
    tiling: Tiling,
) -> Lowered:
    machine = schedules.machine_of(target)
    planned = plan_within_memory(mod, machine, threads, forms, tiling)
    context = LoweringContext(target, threads, forms, records)
    cleared = planned.arena.cleared
    lowered = [
        (step, call)
        for step in planned.steps
        if (call := _lower_step(context, step, cleared.get(step, ()), node_of_var)) is not None
    ]
    calls = join_parts(lowered)
    constants = context.pool.blob()
    graph = Graph.read(mod)
    inputs, outputs = (
        tuple(TensorType(shape_of(v), dtype_of(v)) for v in values)
        for values in (graph.params, graph.outputs)
    )
    arena_bytes = with_barrier(planned.arena.bytes, threads)
    helped = tuple(help_pays(call, threads, machine) for call in calls)
    return Lowered(
        constants,
        arena_bytes,
        planned.arena.lower_bound,
        tuple(calls),
        inputs,
        outputs,
        threads,
        planned.chain_gain,
        planned.arena.zeros,
        helped,
        tuple(context.refused),
    )


def _lower_step(
    context: LoweringContext, step: Step, cleared: Sequence[Blocked], node_of_var: Mapping[str, str]
) -> KernelCall | None:
    call = _call(context, step, node_of_var)
    if call is None:
        return None
    followed = any(invocation.symbol in context.followed for invocation in call.invocations)
    name = call.record.name or call.invocations[0].symbol
    record = attrs.evolve(call.record, name=name, decisions="record" if followed else "default")
    phases = with_clearing(context, step, call.phases, cleared)
    return attrs.evolve(call, phases=phases, record=record)


def _call(context: LoweringContext, step: Step, node_of_var: Mapping[str, str]) -> KernelCall | None:
    if isinstance(step, ChainStep):
        return _chain(context, step, node_of_var)
    if isinstance(step, StageStep):
        kind, lower_stage = _STAGE_KINDS[step.stage.kind]
        names = dict.fromkeys(_of_model(name, node_of_var) for name in step.stage.operators)
        moves_only = kind == "elementwise" and not step.stage.epilogue
        record = KernelRecord("", kind, moves_only, step.stage.macs, _stage_bytes(step), " + ".join(names))
        if step.winograd is not None:
            record = attrs.evolve(record, kind="winograd_conv")
            if isinstance(step.winograd, WinogradPlan):
                return lower_winograd(context, step, step.winograd, record)
            return lower_grouped_winograd(context, step, step.winograd, record)
        return lower_stage(context, step, record)
    if isinstance(step, GenericStep):
        return _generic(context, step, node_of_var)

    def named(variable: str) -> str:
        return _of_model(variable, node_of_var)

    if isinstance(step, PackStep):
        kind = _copy_kind(step.source, "input")
        record = _copy_record(kind, 2 * step.source.bytes, f"layout of {named(step.source.name)}")
        return lower_pack(context, step, attrs.evolve(record, reason=step.reason))
    if isinstance(step, UnpackStep):
        kind = _copy_kind(step.output, "output")
        record = _copy_record(kind, 2 * step.output.bytes, f"layout of {named(step.output.name)}")
        return lower_unpack(context, step, record)
    if isinstance(step, RepackStep):
        size = 8 * step.view.channels * int(np.prod(step.view.plane))
        record = _copy_record("movement", size, f"copy of {named(step.view.tensors[0].name)}")
        return lower_repack(context, step, record)
    if isinstance(step, FillStep):
        return lower_fill(context, step, _copy_record("movement", 0, f"halo of {named(step.tensor.name)}"))
    assert isinstance(step, GatherStep)
    record = _copy_record("movement", 2 * step.output.bytes, f"movement to {named(step.output.name)}")
    return lower_gather(context, step, record)


def _chain(context: LoweringContext, step: ChainStep, node_of_var: Mapping[str, str]) -> KernelCall:
    def lower_stage(context: LoweringContext, part: StageStep) -> KernelCall:
        call = _call(context, part, node_of_var)
        assert call is not None
        return call

    stages = step.stages
    names = dict.fromkeys(_of_model(name, node_of_var) for stage in stages for name in stage.stage.operators)
    macs = sum(stage.stage.macs for stage in stages)
    size = sum(_stage_bytes(stage) for stage in stages)
    bands = len(step.bands)
    tiles = max(band.tiles for band in step.bands)
    name = f"chain_{len(stages)}x{tiles}" if bands == 1 else f"chain_{len(stages)}x{tiles}_in_{bands}_bands"
    record = KernelRecord(name, "chain", False, macs, size, " + ".join(names))
    return lower_chain(context, step, record, lower_stage)


def _copy_kind(tensor: Plain, edge: Region) -> str:
    """`layout` where an input or output of the network changes its layout, else `movement`."""
    address = (tensor.root or tensor).address
    return "layout" if address is not None and address.region == edge else "movement"


def _copy_record(kind: str, size: int, stage: str) -> KernelRecord:
    return KernelRecord("", kind, True, 0, size, stage)


def _stage_bytes(step: StageStep) -> int:
    """Operands, weights and result, each once, in bytes of float32."""
    views = [step.view, *(o.view for o in step.operands if o is not None)]
    read = sum(int((v.source >= 0).sum()) * v.extent.batch * v.extent.rows * v.extent.columns for v in views)
    weights = 0 if step.stage.weight is None else step.stage.weight.size
    return 4 * (read + weights + int(np.prod(step.stage.shape)))


def _of_model(name: str, node_of_var: Mapping[str, str]) -> str:
    return node_of_var.get(origin(name), origin(name))


def _generic(context: LoweringContext, step: GenericStep, node_of_var: Mapping[str, str]) -> KernelCall:
    machine = schedules.machine_of(context.target)
    kernel = GenericKernel(_of_model(step.name, node_of_var), step.func, machine, context.threads)
    symbol = f"{step.operator.split('.')[-1]}_{kernel.digest}"
    tensors = (*step.inputs, *step.outputs)
    record = KernelRecord(
        symbol, "generic", False, 0, sum(t.bytes for t in tensors), _of_model(step.name, node_of_var)
    )
    addresses = tuple(address_of(context, t) for t in tensors)
    reads = {f"input{i}": (tensor,) for i, tensor in enumerate(step.inputs)}
    invocation = Invocation(symbol, addresses, Touched(reads, step.outputs), kernel)
    return KernelCall((side_by_side([invocation]),), record)
