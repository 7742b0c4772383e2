"""`shiftc bench`: a model beside its peers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shiftc.cli.flags import PATH, debug_flag, model_flags, model_options
from shiftc.cli.terminal import Terminal
from shiftc.cli.units import duration, quantity
from shiftc.options import BenchOptions

if TYPE_CHECKING:
    from shiftc.bench.report import BenchReport, Timing


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
@click.option(
    "--against",
    type=CommaSeparated(click.STRING),
    default="onnxruntime",
    show_default=True,
    help="Peers: onnxruntime, openvino, tvm.",
)
@click.option(
    "--threads",
    type=CommaSeparated(click.IntRange(min=1)),
    default="1",
    show_default=True,
    help="Thread counts, one comparison each.",
)
@click.option("--json", "destination", metavar="FILE|-", help="Write the report as JSON; - is stdout.")
@debug_flag
@click.pass_obj
def bench(
    terminal: Terminal,
    /,
    model: Path,
    against: tuple[str, ...],
    threads: tuple[int, ...],
    destination: str | None,
    **model_values: Any,
) -> None:
    """Time MODEL beside other runtimes, in turns, in one process."""
    from shiftc.driver import bench_model

    options = BenchOptions(model=model_options(model, **model_values), against=against, threads=threads)
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
        columns = ("runtime", "version", "median", "min", "speed-up", "error")
        rows = [_row(timing, comparison.ours) for timing in timings]
        terminal.show(f"threads: {comparison.threads}", columns, rows)
        floor = comparison.floor
        terminal.say(
            f"floor: {duration(floor.seconds)} = {quantity(floor.flops)}FLOP at "
            f"{quantity(floor.flops_per_second)}FLOP/s measured; "
            f"shiftc runs at {floor.seconds / comparison.ours.median:.0%} of that speed"
        )


def _row(timing: Timing, ours: Timing) -> tuple[str, ...]:
    if timing.failure:
        return timing.name, timing.version, "", "", "", timing.failure
    error = "" if timing.error is None else f"{timing.error:.1e}"
    ratio = "" if timing is ours else f"{timing.median / ours.median:.2f}x"
    times = duration(timing.median), duration(timing.minimum)
    return timing.name, timing.version, *times, ratio, error
