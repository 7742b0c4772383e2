"""Times sixty shapes of convolution, alone on one thread, beside their peers.

    python -m benchmarks.sweep                                  # what was never measured, then the oldest
    python -m benchmarks.sweep --kinds pointwise shifted --planes 14
    python -m benchmarks.sweep --resume --budget 10             # go on with a run, for ten minutes

A shifted convolution is timed in the same turns as the plain one of its shape; asking for either measures
both. How a single convolution is timed is in chains.py. Writes one JSON file and one Markdown table per
machine and target.
"""

from __future__ import annotations

import sys
from functools import partial

from benchmarks.campaign import Campaign
from benchmarks.chains import KEY, ConvolutionCase, measure
from benchmarks.command_line import as_json, parser_of, results_path, run
from benchmarks.convolutions import KINDS, Convolution, sets
from benchmarks.results_file import ResultsFile
from benchmarks.sweep_table import table
from shiftc.bench.machine import this_machine


def main(arguments: list[str] | None = None) -> int:
    """Runs the part of the sweep that the command line asks for."""
    parser = parser_of(__doc__)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--planes", type=int, nargs="+", metavar="ROWS", help="rows of the plane (all)")
    parser.add_argument("--channels", type=int, nargs="+", help="numbers of channels (all)")
    chosen = parser.parse_args(arguments)

    def is_chosen(convolution: Convolution) -> bool:
        return (
            convolution.kind in chosen.kinds
            and (chosen.planes is None or convolution.plane in chosen.planes)
            and (chosen.channels is None or convolution.channels in chosen.channels)
        )

    machine = this_machine()
    title = f"Convolutions on {machine.processor}, target {chosen.target}"
    campaign = Campaign(
        file=ResultsFile(results_path(chosen.results, machine, chosen.target, "sweep"), KEY),
        machine=as_json(machine, chosen.target),
        measure=measure,
        table=partial(table, title),
        hours=chosen.resume,
        minutes=chosen.budget,
    )
    cases = [
        ConvolutionCase(these, tuple(chosen.against), chosen.target, chosen.rounds, chosen.direct)
        for these in sets()
        if any(map(is_chosen, these))
    ]
    return run(campaign, cases, dry=chosen.list)


if __name__ == "__main__":
    sys.exit(main())
