"""Running an artifact as the verb `run` does. Imports no compiler: artifacts run where there is none."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import attrs

from shiftc.options import RunOptions
from shiftc.progress import Progress, silent
from shiftc.runtime import load
from shiftc.tensors import Tensors, made_up, read_inputs, write_tensors


@attrs.frozen
class RunReport:
    """Outputs by name; `seconds` holds one average per repeat, empty when timing was not asked for.

    runs_on_threads: of a program of several threads, see `Session.runs_on_threads`.
    """

    outputs: Tensors
    seconds: tuple[float, ...]
    runs_on_threads: Mapping[int, int] = attrs.field(factory=dict)


def run_artifact(options: RunOptions, progress: Progress = silent) -> RunReport:
    """Runs an artifact once, and times it if asked.

    Raises an ArtifactError, AffinityError, an InputError, InputFileError or OutputError.
    """
    progress("loading")
    session = load(options.artifact, options.affinity)
    if options.inputs:
        inputs = read_inputs(options.inputs, session.signature.inputs)
    else:
        inputs = made_up(session.signature.inputs, options.fill_mode, options.seed)
    progress("running")
    outputs = session.run(inputs)
    if options.outputs:
        write_tensors(options.outputs, outputs)
    seconds = tuple(_average(lambda: session.run(inputs), options.number) for _ in range(options.repeat))
    return RunReport(outputs, seconds, session.runs_on_threads)


def _average(call: Callable[[], object], number: int) -> float:
    start = time.perf_counter()
    for _ in range(number):
        call()
    return (time.perf_counter() - start) / number
