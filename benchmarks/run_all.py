"""Times every network of the zoo, and the larger exported models, beside their peers.

    python -m benchmarks.run_all                                 # what was never measured, then the oldest
    python -m benchmarks.run_all --networks resnet50 --batches 1 --threads 1
    python -m benchmarks.run_all --resume --budget 30            # go on with a run, for half an hour
    python -m benchmarks.run_all --target 'llvm -mcpu=haswell'   # AVX2, into files of its own

Writes one JSON file and one Markdown table per machine and target. A measurement replaces the older one of
the same network, batch and threads; all others are kept. A network that fails is reported, the others are
still timed, and the exit status is 1.
"""

from __future__ import annotations

import sys
from functools import partial

from benchmarks.campaign import Campaign
from benchmarks.command_line import as_json, parser_of, results_path, run
from benchmarks.network_table import table
from benchmarks.networks import KEY, Network, cases, corpus_networks, measure, zoo_networks
from benchmarks.results_file import ResultsFile
from shiftc.bench.machine import this_machine


def main(arguments: list[str] | None = None) -> int:
    """Runs the benchmarks that the command line asks for."""
    parser = parser_of(__doc__)
    parser.add_argument("--networks", nargs="+", metavar="NAME", help="of the zoo or the corpus (all)")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8], help="batch sizes (1 8)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="thread counts (1 2)")
    parser.add_argument("--tvm-batches", type=int, nargs="*", default=[1], help="with plain TVM, too (1)")
    chosen = parser.parse_args(arguments)

    networks = (*zoo_networks(), *corpus_networks())
    names = [network.name for network in networks]
    unknown = set(chosen.networks or ()) - set(names)
    if unknown:
        parser.error(f"no network is called {', '.join(sorted(unknown))}; there are {', '.join(names)}")

    def is_chosen(network: Network) -> bool:
        return chosen.networks is None or network.name in chosen.networks

    machine = this_machine()
    title = f"Networks on {machine.processor}, {machine.cores} cores, target {chosen.target}"
    campaign = Campaign(
        file=ResultsFile(results_path(chosen.results, machine, chosen.target), KEY),
        machine=as_json(machine, chosen.target),
        measure=measure,
        table=partial(table, title, names),
        hours=chosen.resume,
        minutes=chosen.budget,
    )
    wanted = cases(
        tuple(filter(is_chosen, networks)),
        tuple(chosen.batches),
        tuple(chosen.threads),
        tuple(chosen.against),
        tvm_batches=tuple(chosen.tvm_batches),
        target=chosen.target,
        rounds=chosen.rounds,
        direct=chosen.direct,
    )
    return run(campaign, list(wanted), dry=chosen.list)


if __name__ == "__main__":
    sys.exit(main())
