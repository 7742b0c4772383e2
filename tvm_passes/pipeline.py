"""The order of the passes, stated once.

    canonicalize   one form per operator; normalisations and scales folded into weights
    recognize      movement-only subgraphs → index maps
    commute        element-wise operators go in front of the maps they follow
    absorb-strides pointwise convolutions give their strides to the maps they read
    prune          pixels that strided maps do not read are not computed
    compose        maps that read maps become one
    separate       sources with another stride or other planes than their neighbours get a map of their own
    fuse           anchor + epilogue = one stage
    fold           index maps → the reads of stages
    lower          arena, kernels, program

Up to `lower` the module is valid, executable Relax.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs
import tvm
import tvm_ffi
from tvm.ir import IRModule

from schedules.machine import machine_of
from schedules.tuning.records import NO_RECORDS, Records

from .absorb_strides import absorb_strides
from .canonicalize import canonicalize
from .commute import commute
from .compiled import Compiled
from .compose import compose
from .fold import fold
from .forms import Forms
from .fuse import fuse
from .interpret import InterpretationError, ProgramError, verify_program
from .lower import lower
from .lowered import Lowered
from .lowering.context import OperatorError
from .node import origin
from .object_code import FunctionError, ObjectStore, compile_program
from .prune import prune
from .recognize import recognize
from .report import IndexMapRecord, Report
from .separate import separate
from .tiling import ANY_TILING, Tiling
from .traffic import traffic_of
from .verify import verify_same


class DumpError(Exception):
    """A file of `dump_ir` cannot be written."""


class PassError(Exception):
    """A pass that is not known, or whose output is wrong; the message names it."""


@attrs.frozen
class PipelineOptions:
    """How to compile.

    threads:         threads the program may use; it uses one where more do not pay.
    opt_level:       0 turns off every pass that a program can do without (recognize, commute, fold).
    disabled_passes: passes by name that are left out.
    winograd:        3 x 3 convolutions may take Winograd's form (only at opt_level 3): faster, less exact.
    pairing:         products may be paired (only at opt_level 3): faster, less exact.
    verify_passes:   run the module before and after every pass on random inputs and compare.
    verify_program:  interpret the planned program on random inputs, every access checked, and compare.
    dump_ir:         directory for the module after every pass, or None.
    node_of_var:     names of the model's nodes by names of the variables they became.
    tiling:          what may be computed in tiles of rows, at opt_level 3.
    records:         tuning records that kernels follow where they fit.
    object_store:    where object code of functions is kept between compilations, or None.
    """

    threads: int = 1
    opt_level: int = 3
    disabled_passes: tuple[str, ...] = ()
    winograd: bool = True
    pairing: bool = True
    tiling: Tiling = ANY_TILING
    verify_passes: bool = False
    verify_program: bool = False
    dump_ir: Path | None = None
    node_of_var: Mapping[str, str] = attrs.field(factory=dict)
    records: Records = NO_RECORDS
    object_store: ObjectStore | None = None


PASSES = (
    "canonicalize",
    "recognize",
    "commute",
    "absorb-strides",
    "prune",
    "compose",
    "separate",
    "fuse",
    "fold",
    "lower",
)
REQUIRED_PASSES = ("canonicalize", "fuse", "lower")
OPTIONAL_PASSES = tuple(name for name in PASSES if name not in REQUIRED_PASSES)


def compile_module(mod: IRModule, target: tvm.target.Target, options: PipelineOptions) -> Compiled:
    """Compile `main` of a Relax module with bound parameters and static shapes.

    Raises PassError for an unknown or indispensable disabled pass and for a failed verification,
    OperatorError for an operator that has no kernel, another LoweringError where the program cannot be built.
    """
    report = Report()
    times: dict[str, float] = {}
    lowered = _lowered(mod, target, options, report, times)
    started = time.perf_counter()
    try:
        library = compile_program(lowered.module, target, options.object_store)
    except FunctionError as error:
        raise OperatorError(lowered.nodes_of(error.function)) from error
    times["build"] = time.perf_counter() - started
    started = time.perf_counter()
    machine = machine_of(target)
    traffic = traffic_of(lowered, machine)
    times["traffic"] = time.perf_counter() - started
    return Compiled(
        library=library,
        constants=lowered.constants,
        arena_bytes=lowered.arena_bytes,
        arena_lower_bound_bytes=lowered.arena_lower_bound_bytes,
        steps=lowered.steps,
        index_maps=tuple(_of_model(record, options.node_of_var) for record in report.index_maps),
        pass_times=times,
        pruned_macs=report.pruned_macs,
        traffic=traffic,
        cache_bytes=machine.l2_bytes,
        threads=lowered.threads,
        chain_gain=lowered.chain_gain,
        refused_records=lowered.refused_records,
        while_awake=lowered.while_awake,
    )


def lower_module(mod: IRModule, target: tvm.target.Target, options: PipelineOptions) -> Lowered:
    """The program `compile_module` would build, as TIR. Raises what it raises."""
    return _lowered(mod, target, options, Report(), {})


def staged_module(mod: IRModule, options: PipelineOptions) -> IRModule:
    """What `lower` gets in `compile_module`: executable Relax whose work is in stages. Raises PassError."""
    return _through_passes(mod, options, Report(), {})


def _lowered(
    mod: IRModule,
    target: tvm.target.Target,
    options: PipelineOptions,
    report: Report,
    times: dict[str, float],
) -> Lowered:
    """All passes; fills in what they found and how long each took."""
    imported, mod = mod, _through_passes(mod, options, report, times)
    started = time.perf_counter()
    all_forms = options.opt_level == 3
    forms = Forms(options.winograd and all_forms, options.pairing and all_forms)
    tiling = options.tiling if all_forms else attrs.evolve(options.tiling, stages=1)
    lowered = lower(mod, target, options.threads, options.node_of_var, forms, options.records, tiling)
    times["lower"] = time.perf_counter() - started
    if options.verify_program:
        _verify(imported, lowered, options.node_of_var)
    if options.dump_ir is not None:
        _dump(options, len(PASSES) - 1, "lower", lowered.module)
    return lowered


def _verify(mod: IRModule, lowered: Lowered, node_of_var: Mapping[str, str]) -> None:
    try:
        differs = verify_program(mod, lowered, node_of_var)
    except (ProgramError, InterpretationError) as error:
        verdict = "is wrong" if isinstance(error, ProgramError) else "cannot be verified"
        raise PassError(f"the program {verdict}: {error}") from error
    if differs is not None:
        raise PassError(f"the program computes something else than the model: {differs}")


def _through_passes(
    mod: IRModule, options: PipelineOptions, report: Report, times: dict[str, float]
) -> IRModule:
    """All passes but `lower`."""
    _check_disabled(options)
    relax_passes: dict[str, Callable[[IRModule], IRModule]] = {
        "canonicalize": canonicalize,
        "recognize": lambda m: recognize(m, report),
        "commute": commute,
        "absorb-strides": lambda m: absorb_strides(m, report),
        "prune": lambda m: prune(m, report),
        "compose": lambda m: compose(m, report),
        "separate": lambda m: separate(m, report),
        "fuse": fuse,
        "fold": lambda m: fold(m, report),
    }
    for number, (name, relax_pass) in enumerate(relax_passes.items()):
        if name in options.disabled_passes or (options.opt_level == 0 and name in OPTIONAL_PASSES):
            continue
        started = time.perf_counter()
        changed = relax_pass(mod)
        times[name] = time.perf_counter() - started
        if not tvm_ffi.structural_equal(mod["main"].ret_ty, changed["main"].ret_ty):
            types = (str(each["main"].ret_ty) for each in (mod, changed))
            raise PassError(f"pass {name} changes the outputs' types: {' became '.join(types)}")
        if options.verify_passes:
            difference = verify_same(mod, changed)
            if difference is not None:
                raise PassError(f"pass {name} changes what the module computes: {difference}")
        mod = changed
        _dump(options, number, name, mod)
    return mod


def _of_model(record: IndexMapRecord, node_of_var: Mapping[str, str]) -> IndexMapRecord:
    """The record with the names of the model's nodes, each once, in place of variables'."""
    names = (node_of_var.get(origin(name), origin(name)) for name in record.nodes)
    return attrs.evolve(record, nodes=tuple(dict.fromkeys(names)))


def _check_disabled(options: PipelineOptions) -> None:
    for name in options.disabled_passes:
        if name in REQUIRED_PASSES:
            raise PassError(f"pass {name} cannot be disabled")
        if name not in OPTIONAL_PASSES:
            known = ", ".join(OPTIONAL_PASSES)
            raise PassError(f"there is no pass {name}; passes that can be disabled: {known}")


def _dump(options: PipelineOptions, number: int, name: str, mod: IRModule) -> None:
    if options.dump_ir is not None:
        file = options.dump_ir / f"{number:02d}-{name}.py"
        try:
            options.dump_ir.mkdir(parents=True, exist_ok=True)
            file.write_text(mod.script(), encoding="utf-8")
        except OSError as error:
            raise DumpError(f"cannot write '{file}': {error.strerror}") from error
