"""`shiftc inspect`: what became of a model's data movement, and which kernels are left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from shiftc.artifact import is_artifact
from shiftc.cli.flags import PATH, debug_flag, model_flags, model_options, records_flags
from shiftc.cli.pipeline import pipeline_flags, print_pipelines
from shiftc.cli.terminal import Terminal
from shiftc.cli.units import quantity
from shiftc.inspection import Inspection, inspect_artifact
from shiftc.manifest import KernelEntry, Manifest, Traffic
from shiftc.options import InspectOptions


@click.command()
@click.argument("path", metavar="MODEL|ARTIFACT", type=PATH)
@model_flags
@records_flags
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
@pipeline_flags
@debug_flag
@click.pass_obj
def inspect(
    terminal: Terminal,
    /,
    path: Path,
    as_json: bool,
    pipeline: bool,
    h_tiles: int | None,
    engine_rates: tuple[float, float] | None,
    timeline: Path | None,
    emit_tir: Path | None,
    **model_values: Any,
) -> None:
    """Show every index map found in MODEL or ARTIFACT, where it was folded, and the kernels that are left."""
    if pipeline:
        print_pipelines(
            terminal,
            model_options(path, **model_values),
            h_tiles,
            engine_rates,
            timeline,
            emit_tir,
            as_json=as_json,
        )
        return
    if any(value is not None for value in (h_tiles, engine_rates, timeline, emit_tir)):
        raise click.UsageError("--h-tiles, --engine-rates, --timeline and --emit-tir go with --pipeline")

    if is_artifact(path):
        inspection = inspect_artifact(path)
    else:
        from shiftc.driver import inspect_model

        with terminal.progress() as progress:
            inspection = inspect_model(InspectOptions(model_options(path, **model_values)), progress)
    if as_json:
        terminal.write_json(inspection.as_json())
        return
    _print_signature(terminal, inspection)
    index_maps, kernels = inspection.manifest.index_maps, inspection.manifest.kernels
    if index_maps:
        columns = ("nodes", "channels", "border", "folded", "offsets")
        terminal.show("index maps", columns, map(_index_map, index_maps))
    steps = ("step", "kind", "decisions", "MACs", "bytes", "re-read", "stage")
    terminal.show("kernels", steps, (_kernel(step, kernel) for step, kernel in enumerate(kernels)))
    if inspection.manifest.traffic is not None:
        _show_traffic(terminal, inspection.manifest.traffic)
    for item in inspection.refused:
        terminal.say(f"not folded: {', '.join(item['nodes'])}: {item['reason']}")
    for kernel in kernels:
        if kernel.reason:
            terminal.say(f"{kernel.stage}: {kernel.reason}")
    for reason in inspection.skipped_records:
        terminal.say(f"tuning record not followed: {reason}")
    terminal.say(summary(inspection))


def _show_traffic(terminal: Terminal, traffic: Traffic) -> None:
    rows = (
        ("intermediates, read", quantity(traffic.read), f"{quantity(traffic.reread)} re-read after eviction"),
        (
            "intermediates, written",
            quantity(traffic.written),
            f"{quantity(traffic.written_back)} written back",
        ),
        ("weights and tables", "", f"{quantity(traffic.constants)} fetched"),
    )
    title = f"traffic, modelled with a cache of {quantity(traffic.cache_bytes)}B"
    terminal.show(title, ("bytes of", "by kernels", "beyond the cache"), rows)


def summary(inspection: Inspection) -> str:
    """The last line: index maps found and folded, kernels, work."""
    kernels = inspection.manifest.kernels
    moving = sum(kernel.moves_only and kernel.kind != "layout" for kernel in kernels)
    return (
        f"{len(inspection.manifest.index_maps)} index maps found, {len(inspection.folded)} folded, "
        f"{len(inspection.refused)} refused; {len(kernels)} kernels, "
        f"{moving} of them only move data (the layout of inputs and outputs aside); "
        f"{quantity(2 * inspection.macs)}FLOPs{_pruned(inspection)}, {quantity(inspection.bytes)}B moved; "
        f"workspace {quantity(inspection.manifest.arena_bytes)}B, "
        f"at least {quantity(inspection.manifest.arena_lower_bound_bytes)}B are alive at once"
        f"{_chained(inspection)}"
    )


def _chained(inspection: Inspection) -> str:
    if not any(kernel.kind == "chain" for kernel in inspection.manifest.kernels):
        return ""
    return f"; chains modelled to make it {inspection.manifest.chain_gain:.2f} times as fast"


def _pruned(inspection: Inspection) -> str:
    left_out = inspection.manifest.pruned_macs
    return (
        f" ({quantity(2 * left_out)} of the model's left out: nobody reads their results)" if left_out else ""
    )


def _print_signature(terminal: Terminal, inspection: Inspection) -> None:
    manifest = inspection.manifest
    terminal.say(
        f"{manifest.model} for {manifest.target.get('mcpu', manifest.machine)}, "
        f"threads: {threads_of(manifest)}"
    )
    for spec in manifest.signature.inputs:
        terminal.say(f"  input  {spec}")
    for spec in manifest.signature.outputs:
        terminal.say(f"  output {spec}")


def threads_of(manifest: Manifest) -> str:
    """How many threads a program runs on, and why they are not always as many as asked for."""
    if manifest.while_awake:
        return f"{manifest.threads} (1 after a pause: too little work to wake others)"
    if manifest.threads == manifest.threads_asked:
        return str(manifest.threads)
    return f"{manifest.threads} ({manifest.threads_asked} would not make it faster)"


def _index_map(item: Mapping[str, Any]) -> tuple[str, ...]:
    folded = "yes" if item["folded"] else "no"
    nodes = _shortened(item["nodes"])
    return nodes, str(item["channels"]), item["border"], folded, item["offsets"]


def _kernel(step: int, kernel: KernelEntry) -> tuple[str, ...]:
    kind = kernel.name if kernel.kind == "chain" else kernel.kind  # how many stages, tiles and bands it has
    work = quantity(kernel.macs), quantity(kernel.bytes), _known(kernel.reread)
    return str(step), kind, kernel.decisions, *work, kernel.stage


def _known(number: int | None) -> str:
    return "" if number is None else quantity(number)


def _shortened(names: Sequence[str], shown: int = 3) -> str:
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f", … {more} more" if more > 0 else "")
