"""Compiles a model, loads it in its peers, checks them against each other and times them in turns."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import attrs

from schedules.peak import fma_loop
from shiftc import __version__
from shiftc.bench.contention import busy_cores, time_contended
from shiftc.bench.contestants import OURS, OURS_ALONE, Contestants, load_contestants
from shiftc.bench.floor import floor_of
from shiftc.bench.instruction_set import hold_to
from shiftc.bench.lookout import lookout
from shiftc.bench.machine import this_machine
from shiftc.bench.peer import Peer, find_peer
from shiftc.bench.pinning import on_one_core, on_threads
from shiftc.bench.report import BenchReport, Comparison, Timing
from shiftc.bench.turns import Measured, time_in_turns
from shiftc.build import build_program
from shiftc.options import BenchOptions
from shiftc.progress import Progress, silent
from shiftc.target import parse_target

FMA_LOOP = "multiply-adds"
"""The floor's loop takes its turns among the runtimes: it sees the same clock and the same neighbours."""

PAUSE_SECONDS = 0.1
"""Between turns, so that a runtime's worker threads stop looking for work before the next one is timed."""


def compare(options: BenchOptions, progress: Progress = silent) -> BenchReport:
    """Times the model beside every peer at every thread count.

    Raises PeerError for a peer that is unknown or not installed. A peer that cannot run the model is
    reported with its reason.
    """
    peers = [find_peer(name) for name in options.against]
    machine = this_machine()
    held = hold_to(options.model.target, peers)
    comparisons = [_compare(options, peers, held, threads, progress) for threads in options.threads]
    return BenchReport(options.model.model.name, machine, options.rounds, tuple(comparisons))


def _compare(
    options: BenchOptions,
    peers: Sequence[Peer],
    held: frozenset[str],
    threads: int,
    progress: Progress,
) -> Comparison:
    model = attrs.evolve(options.model, threads=threads)
    program = build_program(model, options.passes, progress)
    alone = None
    if options.is_contended and threads > 1:
        alone = build_program(attrs.evolve(model, threads=1), options.passes, progress)
    with tempfile.TemporaryDirectory() as folder:
        contestants = load_contestants(program, model, peers, Path(folder), progress, alone)
    loop = fma_loop(parse_target(options.model.target), threads)
    runnables = {**contestants.runnables, FMA_LOOP: on_threads(threads, loop.run)}
    budgets = {peer.name: peer.seconds for peer in peers}
    progress(f"timing, threads: {threads}")
    if options.is_contended:
        with busy_cores(options.busy):
            measured = time_contended(runnables, options.rounds, options.back_to_back)
    else:
        with on_one_core(threads):
            pause = PAUSE_SECONDS if threads > 1 else 0.0
            measured = time_in_turns(runnables, options.rounds, lookout(threads), pause, budgets)

    def timing(name: str, version: str, wider: bool = False) -> Timing:
        return _timing(contestants, name, version, wider, measured, options.is_contended)

    manifest = program.manifest
    ours_alone = () if alone is None else (timing(OURS_ALONE, __version__),)
    return Comparison(
        threads=threads,
        ours=timing(OURS, __version__),
        peers=(*ours_alone, *(timing(peer.name, peer.version, peer.name not in held) for peer in peers)),
        floor=floor_of(manifest.model_macs, loop.flops, measured.seconds[FMA_LOOP]),
        disturbed=measured.disturbed,
        busy=options.busy,
        back_to_back=options.back_to_back,
        macs=manifest.model_macs,
        arena_bytes=manifest.arena_bytes,
        arena_lower_bound_bytes=manifest.arena_lower_bound_bytes,
    )


def _timing(
    contestants: Contestants, name: str, version: str, wider: bool, measured: Measured, of_calls: bool
) -> Timing:
    if name in contestants.failures:
        return Timing(name, version, wider=wider, failure=contestants.failures[name])
    return Timing(name, version, measured.seconds[name], contestants.error(name), wider, of_calls=of_calls)
