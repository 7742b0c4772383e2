"""What the shipped tuning records gain: every network compiled with them and by the analytic defaults alone.

    python -m benchmarks.records                                  # every network of the zoo at batch 1
    python -m benchmarks.records --networks vargnet --rounds 21

Both programs take turns in warm bursts in one process, on one core. A network that no record concerns has
one program, which is measured once.
Writes `<machine>-records.json` and a Markdown table.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median

from benchmarks.markdown import DISTURBED_LEGEND, document, named, row, times
from benchmarks.results_file import Measurement
from benchmarks.variants import Comparison, Variant, time_variants
from shiftc.artifact import read_manifest

_WITH, _WITHOUT = "with", "without"
VARIANTS: Mapping[str, Variant] = {_WITHOUT: Variant(records=False), _WITH: Variant()}


def main(arguments: list[str] | None = None) -> int:
    """Measures the networks that the command line asks for."""
    comparison = Comparison("records", "Tuning records", VARIANTS, measure, table, "gain")
    return comparison.run(__doc__, arguments)


def measure(artifacts: Mapping[str, Path], rounds: int) -> Measurement:
    """Milliseconds of both programs, how much faster the one with records is, and in how many kernels."""
    measured = time_variants(artifacts, rounds)
    defaults, recorded = (measured.seconds[variant] for variant in (_WITHOUT, _WITH))
    kernels = read_manifest(artifacts[_WITH]).kernels
    return {
        "defaults_ms": round(1e3 * median(defaults), 4),
        "records_ms": round(1e3 * median(recorded), 4),
        "gain": round(median(defaults) / median(recorded), 3),
        "gain_of_minima": round(min(defaults) / min(recorded), 3),
        "recorded": sum(kernel.decisions == "record" for kernel in kernels),
        "kernels": len(kernels),
        "disturbed": measured.disturbed,
    }


_COLUMNS = ("network", "batch", "defaults ms", "records ms", "gain", "of minima", "by record", "kernels")


def table(title: str, measurements: Iterable[Measurement]) -> str:
    """Markdown: one row a measurement, the longest networks first."""
    text = [
        "One thread, both programs in turns in one process; medians, and the ratios of medians and of",
        "minima. The last columns say how many of the program's kernels follow a record. Where none does,",
        "both programs are the same one.",
        DISTURBED_LEGEND,
    ]
    longest_first = sorted(measurements, key=lambda m: -m["defaults_ms"])
    return document(title, text, _COLUMNS, map(_row, longest_first))


def _row(m: Measurement) -> str:
    figures = (f"{m[name]:.3f}" for name in ("defaults_ms", "records_ms"))
    gains = (times(m[name]) for name in ("gain", "gain_of_minima"))
    return row([named(m), f"{m['batch']}", *figures, *gains, f"{m['recorded']}", f"{m['kernels']}"])


if __name__ == "__main__":
    sys.exit(main())
