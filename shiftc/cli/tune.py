"""`shiftc tune`: searches the decisions of models' kernels on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shiftc.bounds import MOST_THREADS
from shiftc.cli.flags import PATH, debug_flag, model_flags, model_options
from shiftc.cli.terminal import Terminal
from shiftc.cli.units import duration
from shiftc.options import TuneOptions

if TYPE_CHECKING:
    from shiftc.tuning import WorkloadReport


@click.command()
@click.argument("models", metavar="MODEL…", type=PATH, nargs=-1, required=True)
@click.option(
    "-o", "--output", type=PATH, metavar="DIR", help="The records' folder.  [default: tuning_logs/<machine>]"
)
@model_flags
@click.option(
    "--threads",
    type=click.IntRange(1, MOST_THREADS),
    default=1,
    show_default=True,
    help="Threads kernels run on.",
)
@click.option(
    "--trials",
    type=click.IntRange(min=1),
    metavar="N",
    help="Candidates to measure, shared out by time.  [default: 32 a workload]",
)
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="End after so long.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    help="Seconds a candidate may take to build and measure.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the search.")
@debug_flag
@click.pass_obj
def tune(
    terminal: Terminal,
    /,
    models: tuple[Path, ...],
    output: Path | None,
    threads: int,
    trials: int | None,
    minutes: float | None,
    timeout: float,
    seed: int,
    **model_values: Any,
) -> None:
    """Search the decisions of every MODEL's kernels on this machine; keep those that beat the defaults."""
    from schedules.tuning.records import describe
    from shiftc.driver import tune_models

    def line(report: WorkloadReport) -> None:
        outcome = report.outcome
        width = len(str(report.total))
        terminal.say(
            f"{report.number:{width}}/{report.total} {report.template.partition('/')[0]} "
            f"{describe(outcome.workload)}, {outcome.calls} calls: {_result(report)}"
        )
        for fault in outcome.faults:
            terminal.say(f"{'':{2 * width}}  failed: {fault}")

    options = TuneOptions(
        models=tuple(model_options(model, threads=threads, **model_values) for model in models),
        output=output,
        trials=trials,
        minutes=minutes,
        timeout=timeout,
        seed=seed,
    )
    with terminal.progress() as progress:
        report = tune_models(options, line, progress)
    better = sum(outcome.best is not None for outcome in report.outcomes)
    terminal.say(
        f"{report.folder}: {report.records} records; "
        f"{better} of {len(report.outcomes)} workloads run faster than with their defaults"
    )


def _result(report: WorkloadReport) -> str:
    outcome = report.outcome
    if outcome.failure is not None:
        return f"cannot be measured: {outcome.failure}"
    failed = f", {len(outcome.faults)} failed" if outcome.faults else ""
    start = f"{duration(outcome.default_seconds)}, {outcome.trials} trials{failed}: "
    if outcome.best is None:
        return start + "the default stays"
    changed = {name: v for name, v in sorted(outcome.best.items()) if v != outcome.default[name]}
    return start + f"{outcome.gain:.2f}x with {', '.join(f'{name} {v}' for name, v in changed.items())}"
