"""What chains of stages gain: every network compiled without them, as modelled best, and for least memory.

    python -m benchmarks.tiling                                  # every network of the zoo at batch 1
    python -m benchmarks.tiling --networks mobilenetv2 --batches 1 8

The programs take turns in warm bursts in one process, on one core; where two are the same program it is
measured once. Beside their times stand their workspaces,
and what they move beyond the second cache by the model of `tvm_passes/traffic.py`.
Writes `<machine>-tiling.json` and a Markdown table.
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
from shiftc.manifest import Manifest
from shiftc.options import PassOptions

LEAST = 8
"""Stages of a chain of the program for least memory."""
PROGRAMS: Mapping[str, Variant] = {
    "off": Variant(PassOptions(chain=1)),
    "auto": Variant(),
    "least": Variant(PassOptions(chain=LEAST)),
}


def main(arguments: list[str] | None = None) -> int:
    """Measures the networks that the command line asks for."""
    comparison = Comparison("tiling", "Chains", PROGRAMS, measure, table, "auto_gain")
    return comparison.run(__doc__, arguments)


def measure(artifacts: Mapping[str, Path], rounds: int) -> Measurement:
    """Milliseconds, and bytes of workspaces and re-read; how much faster and smaller than without chains."""
    manifests = {program: read_manifest(artifact) for program, artifact in artifacts.items()}
    measured = time_variants(artifacts, rounds)
    turns = measured.seconds
    off = turns["off"]
    whole = manifests["off"].arena_bytes
    result: dict[str, float] = {"off_ms": round(1e3 * median(off), 4), "off_bytes": whole}
    result["disturbed"] = measured.disturbed
    for program in list(PROGRAMS)[1:]:
        result |= {
            f"{program}_ms": round(1e3 * median(turns[program]), 4),
            f"{program}_gain": round(median(off) / median(turns[program]), 3),
            f"{program}_gain_of_minima": round(min(off) / min(turns[program]), 3),
            f"{program}_modelled": manifests[program].chain_gain,
            f"{program}_bytes": manifests[program].arena_bytes,
            f"{program}_memory": round(manifests[program].arena_bytes / whole, 3),
        }
    return result | {f"{program}_reread": _reread(manifest) for program, manifest in manifests.items()}


def _reread(manifest: Manifest) -> int:
    """Bytes of intermediates that are read again after they left the second cache."""
    assert manifest.traffic is not None
    return manifest.traffic.reread


_COLUMNS = (
    *("network", "batch", "off ms", "off KiB", "re-read"),
    *("auto", "of minima", "modelled", "KiB", "of off", "re-read"),
    *("least", "of minima", "modelled", "KiB", "of off", "re-read"),
)


def table(title: str, measurements: Iterable[Measurement]) -> str:
    """Markdown: one row a measurement, the longest networks first."""
    text = [
        "One thread, programs in turns in one process. Without chains: milliseconds (medians) and workspace.",
        f"With chains as modelled best, and for least memory (at most {LEAST} stages a chain): times",
        "as fast, by medians, by minima and as modelled, and the workspace, also as a share of the one",
        "without. Re-read: KiB of intermediates that are fetched again after they left the second cache,",
        "by a model.",
        DISTURBED_LEGEND,
    ]
    longest_first = sorted(measurements, key=lambda m: -m["off_ms"])
    return document(title, text, _COLUMNS, map(_row, longest_first))


def _row(m: Measurement) -> str:
    cells = [named(m), f"{m['batch']}", f"{m['off_ms']:.3f}", f"{m['off_bytes'] // 1024}"]
    cells.append(f"{m['off_reread'] // 1024}")
    for program in list(PROGRAMS)[1:]:
        cells += [times(m.get(f"{program}_{gain}")) for gain in ("gain", "gain_of_minima", "modelled")]
        cells += [f"{m[f'{program}_bytes'] // 1024}", f"{m[f'{program}_memory']:.2f}"]
        cells.append(f"{m[f'{program}_reread'] // 1024}")
    return row(cells)


if __name__ == "__main__":
    sys.exit(main())
