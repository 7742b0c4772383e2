"""`shiftc run`: executes an artifact."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import click
import numpy as np
import numpy.typing as npt

from shiftc.cli.flags import PATH, Cores, debug_flag
from shiftc.cli.terminal import Terminal
from shiftc.cli.units import duration
from shiftc.options import FillMode, RunOptions


@click.command()
@click.argument("artifact", type=PATH)
@click.option("--inputs", type=PATH, help="An .npz file with an array for every input.")
@click.option("--outputs", type=PATH, help="The .npz file that receives the outputs.")
@click.option(
    "--fill-mode",
    type=click.Choice(get_args(FillMode)),
    default="random",
    show_default=True,
    help="What inputs hold when --inputs is not given.",
)
@click.option("--print-time", is_flag=True, help="Time the run.")
@click.option(
    "--repeat", type=click.IntRange(min=1), default=10, show_default=True, help="How many averages."
)
@click.option(
    "--number",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="How many runs an average takes.",
)
@click.option("--affinity", type=Cores(), default=(), help="A core for each thread, as in 0,1.")
@click.option("--print-top", type=click.IntRange(min=1), metavar="K", help="Print the K largest outputs.")
@debug_flag
@click.pass_obj
def run(
    terminal: Terminal,
    /,
    artifact: Path,
    inputs: Path | None,
    outputs: Path | None,
    fill_mode: FillMode,
    print_time: bool,
    repeat: int,
    number: int,
    affinity: tuple[int, ...],
    print_top: int | None,
) -> None:
    """Run ARTIFACT, a directory written by `shiftc compile`."""
    from shiftc.execution import run_artifact

    options = RunOptions(
        artifact=artifact,
        inputs=inputs,
        outputs=outputs,
        fill_mode=fill_mode,
        repeat=repeat if print_time else 0,
        number=number,
        affinity=affinity,
    )
    with terminal.progress() as progress:
        report = run_artifact(options, progress)
    for name, array in report.outputs.items():
        terminal.say(f"{name}: {array.dtype}{list(array.shape)}{_range(array)}")
        if print_top:
            terminal.show(f"{name}, largest {print_top}", ("index", "value"), _top(array, print_top))
    if print_time:
        statistic = (statistics.median, statistics.fmean, min, max)
        times = [duration(function(report.seconds)) for function in statistic]
        terminal.show(f"{repeat} averages of {number} runs", ("median", "mean", "min", "max"), [times])
        if report.runs_on_threads:
            on = ", ".join(f"{runs} on {threads}" for threads, runs in report.runs_on_threads.items())
            terminal.say(f"runs on threads: {on}")


def _range(array: npt.NDArray[Any]) -> str:
    return f" from {array.min():.6g} to {array.max():.6g}" if array.size else ""


def _top(array: npt.NDArray[Any], count: int) -> Iterator[tuple[str, str]]:
    values = array.reshape(-1)
    for index in np.argsort(-values.astype(np.float64), kind="stable")[:count]:
        yield str(index), f"{values[index]:.6g}"
