"""`shiftc compile`: from an ONNX model to an artifact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import click

from shiftc.bounds import MOST_THREADS
from shiftc.cli.flags import (
    PATH,
    debug_flag,
    form_flags,
    form_options,
    model_flags,
    model_options,
    records_flags,
)
from shiftc.cli.terminal import Terminal
from shiftc.cli.units import duration, quantity
from shiftc.options import CompileOptions


@click.command("compile")
@click.argument("model", type=PATH)
@click.option("-o", "--output", type=PATH, required=True, help="The artifact, a directory.")
@model_flags
@records_flags
@click.option(
    "--threads",
    type=click.IntRange(1, MOST_THREADS),
    default=1,
    show_default=True,
    help="Threads it runs on.",
)
@click.option(
    "-O",
    "--opt-level",
    type=click.IntRange(0, 3),
    default=3,
    show_default=True,
    help="How much is optimized.",
)
@click.option("--dump-ir", type=PATH, help="Write the module after every pass into this folder.")
@click.option("--print-pass-times", is_flag=True, help="Print how long every pass took.")
@click.option("--verify-passes", is_flag=True, help="Run the module before and after every pass and compare.")
@click.option(
    "--verify-program", is_flag=True, help="Interpret the planned program, every access checked, and compare."
)
@click.option("--disabled-pass", "disabled_passes", multiple=True, metavar="NAME", help="Leave a pass out.")
@form_flags
@click.option("--no-cache", is_flag=True, help="Compile every kernel anew, and keep none.")
@click.option("--cache-dir", type=PATH, metavar="DIR", help="Where kernels are kept between compilations.")
@click.option(
    "--emit-stages",
    type=PATH,
    metavar="FILE.json",
    help="Write the network as stages of a convolution and a vector engine, its weights beside it.",
)
@click.option("--verbose", is_flag=True, help="Say which tuning records are not followed, and why.")
@debug_flag
@click.pass_obj
def compile_(
    terminal: Terminal,
    /,
    model: Path,
    output: Path,
    threads: int,
    opt_level: int,
    dump_ir: Path | None,
    print_pass_times: bool,
    verify_passes: bool,
    verify_program: bool,
    disabled_passes: tuple[str, ...],
    verbose: bool,
    no_cache: bool,
    cache_dir: Path | None,
    emit_stages: Path | None,
    **values: Any,
) -> None:
    """Compile MODEL, an ONNX file, to an artifact that runs without the compiler."""
    from shiftc.driver import compile_model

    forms = form_options(values)
    options = CompileOptions(
        model=model_options(model, threads=threads, **values),
        output=output,
        passes=attrs.evolve(
            forms,
            level=opt_level,
            disabled=disabled_passes,
            verify=verify_passes,
            verify_program=verify_program,
            dump_ir=dump_ir,
            cache=not no_cache,
            cache_dir=cache_dir,
        ),
        emit_stages=emit_stages,
    )
    with terminal.progress() as progress:
        report = compile_model(options, progress)
    kernels, maps = report.manifest.kernels, report.manifest.index_maps
    if print_pass_times:
        times = [(name, duration(seconds)) for name, seconds in report.pass_times.items()]
        terminal.show("passes", ("pass", "time"), times)
        terminal.say(f"object code: {report.reused} of {report.functions} functions from the cache")
    if report.cache_failure is not None:
        terminal.warn(f"kernels are not kept: {report.cache_failure}")
    tuned = sum(kernel.decisions == "record" for kernel in kernels)
    for reason in report.skipped_records if verbose else ():
        terminal.say(f"tuning record not followed: {reason}")
    if report.staged is not None:
        terminal.say(
            f"{model.name} -> {emit_stages}: {len(report.staged.operators)} operators in "
            f"{len(report.staged.stages)} stages, {len(report.staged.residual)} Conv + Add pipelined"
        )
    terminal.say(
        f"{model.name} -> {output}: {len(kernels)} kernels, "
        f"{f'{tuned} by tuning records, ' if tuned else ''}"
        f"{sum(bool(item['folded']) for item in maps)} of {len(maps)} index maps folded, "
        f"{quantity(sum(kernel.macs for kernel in kernels))}MACs, "
        f"workspace {quantity(report.manifest.arena_bytes)}B"
    )
