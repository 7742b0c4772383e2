"""`shiftc bench`: a model beside its peers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from shiftc.options import BenchOptions

if TYPE_CHECKING:
    from shiftc.bench.report import BenchReport, Comparison, Timing


class CommaSeparated(click.ParamType):  # type: ignore[type-arg]
    """`a,b,c` as a tuple of another type."""

    def __init__(self, item: Any) -> None:
        self._item = item
        self.name = f"{item.name}[,…]"

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> tuple[Any, ...]:
        if isinstance(value, tuple):
            return value
        return tuple(self._item.convert(part.strip(), param, context) for part in str(value).split(","))


@click.command()
@click.argument("model", type=PATH)
@model_flags
@records_flags
@click.option(
    "--against",
    type=CommaSeparated(click.STRING),
    default="onnxruntime",
    show_default=True,
    help="Peers: onnxruntime, openvino, tvm.",
)
@click.option(
    "--threads",
    type=CommaSeparated(click.IntRange(1, MOST_THREADS)),
    default="1",
    show_default=True,
    help="Thread counts, one comparison each.",
)
@click.option(
    "--rounds", type=click.IntRange(min=1), default=15, show_default=True, help="Turns of each runtime."
)
@click.option(
    "--busy",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Keep N cores busy with other processes meanwhile.",
)
@click.option("--back-to-back", is_flag=True, help="Call the runtimes one after the other, without pauses.")
@form_flags
@click.option("--json", "destination", metavar="FILE|-", help="Write the report as JSON; - is stdout.")
@debug_flag
@click.pass_obj
def bench(
    terminal: Terminal,
    /,
    model: Path,
    against: tuple[str, ...],
    threads: tuple[int, ...],
    rounds: int,
    busy: int,
    back_to_back: bool,
    destination: str | None,
    **values: Any,
) -> None:
    """Time MODEL beside other runtimes, in turns, in one process."""
    from shiftc.driver import bench_model

    if busy > (cores := len(os.sched_getaffinity(0))):
        raise click.BadParameter(f"{busy} cores cannot be kept busy, there are {cores}", param_hint="--busy")
    forms = form_options(values)
    options = BenchOptions(
        model=model_options(model, **values),
        against=against,
        threads=threads,
        rounds=rounds,
        passes=forms,
        busy=busy,
        back_to_back=back_to_back,
    )
    with terminal.progress() as progress:
        report = bench_model(options, progress)
    if destination:
        terminal.write_json(report.as_json(), destination)
    if destination != "-":
        _print(terminal, report)


def _print(terminal: Terminal, /, report: BenchReport) -> None:
    machine = report.machine
    terminal.say(f"{report.model} on {machine.processor}, {machine.cores} cores, {report.rounds} rounds")
    for comparison in report.comparisons:
        timings = (comparison.ours, *comparison.peers)
        others = ("90 %", "of 90 %") if comparison.ours.of_calls else ("min", "of minima")
        columns = ("runtime", "version", "median", others[0], "speed-up", others[1], "error")
        rows = [_row(timing, comparison) for timing in timings]
        terminal.show(f"threads: {comparison.threads}{_conditions(comparison)}", columns, rows)
        floor = comparison.floor
        terminal.say(
            f"floor: {duration(floor.seconds)} = {quantity(floor.flops)}FLOP at "
            f"{quantity(floor.median_peak)}FLOP/s measured; "
            f"shiftc runs at {floor.seconds / comparison.ours.median:.0%} of that speed"
        )
        wider = [peer.name for peer in comparison.peers if peer.wider]
        if wider:
            terminal.say(f"with wider instructions than the target has: {', '.join(wider)}")
        if comparison.disturbed:
            terminal.say("the machine was hardly ever calm: something else shared its cores")


def _row(timing: Timing, comparison: Comparison) -> tuple[str, ...]:
    if timing.failure:
        return timing.name, timing.version, "", "", "", "", timing.failure
    error = "" if timing.error is None else f"{timing.error:.1e}"
    others = comparison.ratios_of_90 if timing.of_calls else comparison.ratios_of_minima
    ratios = (comparison.ratios, others)
    speed_ups = [f"{found[timing.name]:.2f}x" if timing.name in found else "" for found in ratios]
    second = timing.percentile_90 if timing.of_calls else timing.minimum
    return timing.name, timing.version, duration(timing.median), duration(second), *speed_ups, error


def _conditions(comparison: Comparison) -> str:
    cores = "1 core" if comparison.busy == 1 else f"{comparison.busy} cores"
    busy = f", {cores} busy" if comparison.busy else ""
    return busy + (", back to back" if comparison.back_to_back else "")
