"""Times one convolution inside a network: a long chain of it less a short one.

A model of a single convolution would mostly measure a model's edges: the call from Python, the layout of
input and output. So every runtime runs a chain of n + 2 links and one of 2, and a link takes

    (seconds of n + 2 links − seconds of 2 links) / n

The same for all: no runtime's own profile is needed, and nothing that happens once per call counts.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
import onnx

from benchmarks.command_line import pass_options
from benchmarks.convolutions import EDGE_LINKS, SHIFTED, Convolution
from benchmarks.link import LinkTime, link_time, speeds
from benchmarks.results_file import Key, Measurement
from schedules.machine import machine_of
from schedules.peak import fma_loop
from shiftc import __version__
from shiftc.bench.contestants import OURS, Contestants, load_contestants
from shiftc.bench.instruction_set import hold_to
from shiftc.bench.lookout import lookout
from shiftc.bench.peer import Peer, find_peer
from shiftc.bench.pinning import on_one_core
from shiftc.bench.turns import Runnable, time_in_turns
from shiftc.build import build_program
from shiftc.options import ModelOptions
from shiftc.target import parse_target

KEY = ("kind", "channels", "plane", "groups", "direct")

_FMA_LOOP = "multiply-adds"


@attrs.frozen
class ConvolutionCase:
    """Convolutions to time in the same turns, on one thread; a plain one comes before its shifted one.

    direct: sums of products are computed as they are.
    """

    convolutions: tuple[Convolution, ...]
    peers: tuple[str, ...]
    target: str = "host"
    rounds: int = 15
    direct: bool = False

    @property
    def keys(self) -> tuple[Key, ...]:
        return tuple((*attrs.astuple(convolution), self.direct) for convolution in self.convolutions)

    def __str__(self) -> str:
        return " and ".join(map(str, self.convolutions)) + (", direct" if self.direct else "")


@attrs.frozen
class Chains:
    """Both chains of a convolution, loaded everywhere; the long one has `links` links more."""

    convolution: Convolution
    links: int
    long: Contestants
    short: Contestants

    @property
    def runnables(self) -> dict[str, Runnable]:
        """Both chains in every runtime that can run them."""
        return {
            self._name(length, name): run
            for length, contestants in (("long", self.long), ("short", self.short))
            for name, run in contestants.runnables.items()
        }

    @property
    def failures(self) -> Mapping[str, str]:
        """Why a runtime cannot run one of the chains."""
        return {**self.short.failures, **self.long.failures}

    def times(self, seconds: Mapping[str, Sequence[float]]) -> dict[str, LinkTime]:
        """Of a link, by runtime, from the turns of the runnables."""
        names = [name for name in self.long.runnables if name in self.short.runnables]
        return {
            name: link_time(seconds[self._name("long", name)], seconds[self._name("short", name)], self.links)
            for name in names
        }

    def _name(self, length: str, runtime: str) -> str:
        return f"{self.convolution}, {length}, {runtime}"


def measure(case: ConvolutionCase) -> list[Measurement]:
    """Compiles and times a case: a measurement for every convolution."""
    peers = [find_peer(name) for name in case.peers]
    target = parse_target(case.target)
    held = hold_to(case.target, peers)
    loop, cache_bytes = fma_loop(target), machine_of(target).l2_bytes
    chains = [_load(case, convolution, peers, cache_bytes) for convolution in case.convolutions]
    runnables = {name: run for chain in chains for name, run in chain.runnables.items()}
    with on_one_core(threads=1):
        measured = time_in_turns({**runnables, _FMA_LOOP: loop.run}, case.rounds, lookout(threads=1))
    peak = link_time(measured.seconds[_FMA_LOOP], [0.0], loop.flops)
    times = {chain.convolution.kind: chain.times(measured.seconds) for chain in chains}
    plain = times[case.convolutions[0].kind][OURS]
    return [
        {
            **attrs.asdict(chain.convolution),
            "direct": case.direct,
            "links": chain.links,
            "in_l2": chain.convolution.stays_in(cache_bytes, chain.links),
            "macs": chain.convolution.macs,
            **speeds(
                chain.convolution,
                times[chain.convolution.kind],
                peak,
                plain if chain.convolution.kind == SHIFTED else None,
            ),
            "error": chain.long.error(OURS),
            "failures": dict(chain.failures),
            "disturbed": measured.disturbed,
            "wider_instructions": [peer.name for peer in peers if peer.name not in held],
            "versions": {OURS: __version__, **{peer.name: peer.version for peer in peers}},
        }
        for chain in chains
    ]


def _load(case: ConvolutionCase, convolution: Convolution, peers: Sequence[Peer], cache_bytes: int) -> Chains:
    links = convolution.links(cache_bytes)
    long, short = (
        _contestants(case, convolution, count, peers) for count in (links + EDGE_LINKS, EDGE_LINKS)
    )
    return Chains(convolution, links, long, short)


def _contestants(
    case: ConvolutionCase, convolution: Convolution, links: int, peers: Sequence[Peer]
) -> Contestants:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chain.onnx"
        onnx.save(convolution.chain(links), str(path))
        options = ModelOptions(path, case.target)
        # a link by itself: not several of them tile by tile
        program = build_program(options, attrs.evolve(pass_options(case.direct), chain=1))
        return load_contestants(program, options, peers, Path(folder))
