"""From a model's file to a compiled program and its manifest; nothing is written."""

from __future__ import annotations

from typing import Any

import attrs

from frontends import ImportedModel, ImportOptions, import_model
from shiftc.kernel_cache import KernelCache
from shiftc.manifest import IndexMapEntry, KernelEntry, Manifest, Signature, TensorSpec, Traffic, Versions
from shiftc.options import ModelOptions, PassOptions
from shiftc.progress import Progress, silent
from shiftc.refusals import in_words_of
from shiftc.target import describe_target, machine_of, parse_target, required_features
from shiftc.tuning_records import find_records
from tvm_passes.compiled import Compiled, KernelRecord
from tvm_passes.compiled import Traffic as StepTraffic
from tvm_passes.pipeline import PipelineOptions, compile_module
from tvm_passes.report import IndexMapRecord
from tvm_passes.tiling import Tiling


@attrs.frozen
class Program:
    """A compiled model: what was imported, what became of it, and its manifest without checksums.

    cache_failure:   why its kernels could not be kept for later compilations, if so.
    skipped_records: tuning records that were not followed, with the reason.
    """

    imported: ImportedModel
    compiled: Compiled
    manifest: Manifest
    cache_failure: str | None = None
    skipped_records: tuple[str, ...] = ()


def build_program(
    model: ModelOptions, passes: PassOptions | None = None, progress: Progress = silent
) -> Program:
    """Imports and compiles a model.

    Raises TargetError, RecordsError, OperatorNotCompiledError, a ModelError of frontends, or a PassError or
    LoweringError of tvm_passes.
    """
    passes = passes or PassOptions()
    target = parse_target(model.target)
    records = find_records(model.tuning_records, target)
    progress("importing")
    imported = import_file(model)
    cache = _kernel_cache(passes)
    progress("compiling")
    options = PipelineOptions(
        threads=model.threads,
        opt_level=passes.level,
        disabled_passes=passes.disabled,
        winograd=passes.winograd,
        pairing=passes.pairing,
        tiling=Tiling(passes.chain, passes.h_tiles, passes.max_memory, forced=passes.force_chains),
        verify_passes=passes.verify,
        verify_program=passes.verify_program,
        dump_ir=passes.dump_ir,
        node_of_var=imported.node_of_var,
        records=records,
        object_store=cache,
    )
    with in_words_of(imported, model.model):
        compiled = compile_module(imported.module, target, options)
    if cache is not None and compiled.library.reused < len(compiled.library.files):
        cache.prune()
    failure = None if cache is None else cache.failure
    skipped = (*records.skipped, *compiled.refused_records)
    return Program(imported, compiled, _manifest(model, target, imported, compiled), failure, skipped)


def _kernel_cache(passes: PassOptions) -> KernelCache | None:
    if not passes.cache:
        return None
    return KernelCache() if passes.cache_dir is None else KernelCache(passes.cache_dir)


def import_file(model: ModelOptions) -> ImportedModel:
    """Imports the model's file with the shapes and shift operators asked for. Raises ModelError."""
    options = ImportOptions(input_shapes=model.input_shapes)
    if model.shift_operators:
        options = attrs.evolve(options, shift_operators=(*options.shift_operators, *model.shift_operators))
    return import_model(model.model, options)


def _manifest(model: ModelOptions, target: Any, imported: ImportedModel, compiled: Compiled) -> Manifest:
    return Manifest(
        model=model.model.name,
        signature=Signature(
            inputs=tuple(_tensor_spec(spec) for spec in imported.signature.inputs),
            outputs=tuple(_tensor_spec(spec) for spec in imported.signature.outputs),
        ),
        target=describe_target(target),
        machine=machine_of(target),
        cpu_features=required_features(target),
        threads=compiled.threads,
        threads_asked=model.threads,
        while_awake=compiled.while_awake,
        arena_bytes=int(compiled.arena_bytes),
        arena_lower_bound_bytes=int(compiled.arena_lower_bound_bytes),
        chain_gain=round(compiled.chain_gain, 4),
        pruned_macs=compiled.pruned_macs,
        kernels=tuple(map(_kernel, compiled.steps, compiled.traffic)),
        index_maps=tuple(map(_index_map, compiled.index_maps)),
        versions=Versions.installed(),
        traffic=Traffic(compiled.cache_bytes, *attrs.astuple(StepTraffic.total(compiled.traffic))),
    )


def _tensor_spec(spec: Any) -> TensorSpec:
    shape, limits = tuple(map(int, spec.shape)), tuple((int(low), int(high)) for low, high in spec.limits)
    return TensorSpec(str(spec.name), shape, str(spec.dtype), limits, spec.counted_axis)


def _index_map(record: IndexMapRecord) -> IndexMapEntry:
    """The record without the name of its variable, which means nothing once the IR is gone."""
    return {
        "nodes": tuple(record.nodes),
        "channels": int(record.channels),
        "offsets": record.offsets,
        "border": record.border,
        "folded": bool(record.folded),
        "reason": record.reason,
    }


def _kernel(record: KernelRecord, traffic: StepTraffic) -> KernelEntry:
    return KernelEntry(
        name=record.name,
        kind=record.kind,
        moves_only=bool(record.moves_only),
        macs=int(record.macs),
        bytes=int(record.bytes),
        stage=record.stage,
        decisions=record.decisions,
        reason=record.reason,
        reread=traffic.reread,
    )
