"""Which networks are measured: the zoo, and what of the exporters' models has enough arithmetic to be
timed."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import attrs
import onnx

from benchmarks.command_line import pass_options
from benchmarks.results_file import Key, Measurement
from frontends import ImportOptions, load_model
from shiftc import zoo
from shiftc.bench.compare import compare
from shiftc.options import BenchOptions, ModelOptions

KEY = ("network", "batch", "threads", "direct")

CORPUS = Path(__file__).parent.parent / "tests" / "models"
EXPORTED = "exported/"
"""What names of the corpus begin with."""

CORPUS_EXPORTER = "dynamo"
CORPUS_MACS = 1_000_000
"""Smaller models of the corpus are over before a call of Python's is."""


@attrs.frozen
class Network:
    """A model and the batches it can have.

    file:   of the corpus; None for a network of the zoo.
    shapes: of dynamic inputs, the batch first.
    batch:  the only one that the model takes; None where it takes any.
    """

    name: str
    file: Path | None = None
    shapes: tuple[tuple[str, tuple[int, ...]], ...] = ()
    batch: int | None = None

    def options(self, batch: int, target: str, folder: Path) -> ModelOptions:
        """How to compile it; a network of the zoo is written into `folder` first."""
        if self.file is not None:
            shapes = {name: (batch, *shape[1:]) for name, shape in self.shapes}
            return ModelOptions(self.file, target, shapes)
        path = folder / f"{self.name}.onnx"
        onnx.save(zoo.build(self.name, batch), str(path))
        return ModelOptions(path, target)


def zoo_networks() -> tuple[Network, ...]:
    """Every network of the zoo."""
    return tuple(map(Network, zoo.names()))


@cache
def corpus_networks() -> tuple[Network, ...]:
    """The larger models of the corpus, the largest first; static ones only with the batch they have."""
    entries = json.loads((CORPUS / "catalogue.json").read_text(encoding="utf-8"))["files"]
    found = []
    for entry in entries:
        if entry["exporter"] != CORPUS_EXPORTER:
            continue
        shapes = {name: tuple(shape) for name, shape in entry["input_shapes"].items()}
        model = load_model(CORPUS / entry["file"], ImportOptions(input_shapes=shapes))
        macs = zoo.count(model).macs
        if macs >= CORPUS_MACS:
            batch = None if shapes else model.graph.input[0].type.tensor_type.shape.dim[0].dim_value
            network = Network(EXPORTED + entry["model"], CORPUS / entry["file"], tuple(shapes.items()), batch)
            found.append((macs, network))
    return tuple(network for _, network in sorted(found, key=lambda pair: -pair[0]))


@attrs.frozen
class NetworkCase:
    """A network with a batch, beside `peers`, with each of `threads`.

    direct: sums of products are computed as they are.
    """

    network: Network
    batch: int
    threads: tuple[int, ...]
    peers: tuple[str, ...]
    target: str = "host"
    rounds: int = 15
    direct: bool = False

    @property
    def keys(self) -> tuple[Key, ...]:
        return tuple((self.network.name, self.batch, count, self.direct) for count in self.threads)

    def __str__(self) -> str:
        direct = ", direct" if self.direct else ""
        return f"{self.network.name}, batch {self.batch}{direct}"


def cases(
    networks: tuple[Network, ...],
    batches: tuple[int, ...],
    threads: tuple[int, ...],
    peers: tuple[str, ...],
    *,
    tvm_batches: tuple[int, ...] = (),
    target: str = "host",
    rounds: int = 15,
    direct: bool = False,
) -> Iterator[NetworkCase]:
    """Every network with every batch it takes; plain TVM is a peer only at `tvm_batches`."""
    for batch in batches:
        also = ("tvm",) if batch in tvm_batches else ()
        for network in networks:
            if network.batch in (None, batch):
                yield NetworkCase(network, batch, threads, (*peers, *also), target, rounds, direct)


def measure(case: NetworkCase) -> list[Measurement]:
    """Compiles and times a case: a measurement for every thread count."""
    with tempfile.TemporaryDirectory() as folder:
        model = case.network.options(case.batch, case.target, Path(folder))
        passes = pass_options(case.direct)
        report = compare(BenchOptions(model, case.peers, case.threads, case.rounds, passes))
    identity = {"network": case.network.name, "batch": case.batch, "direct": case.direct}
    return [{**identity, **comparison.as_json()} for comparison in report.comparisons]
