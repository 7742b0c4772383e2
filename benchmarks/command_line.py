"""Flags that the scripts share, and where their results go."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from benchmarks.campaign import AnyCase, Campaign
from benchmarks.results_file import FOLDER, ResultsError
from shiftc import zoo
from shiftc.bench.machine import Machine
from shiftc.errors import ShiftcError
from shiftc.options import PassOptions
from shiftc.target import parse_target


def pass_options(direct: bool) -> PassOptions:
    """Of a case; `direct`: sums of products are computed as they are."""
    return PassOptions(winograd=not direct, pairing=not direct)


def plain_parser(documentation: str | None) -> argparse.ArgumentParser:
    """A parser with the flag that every benchmark takes."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=documentation, formatter_class=raw)
    parser.add_argument("--results", type=Path, default=FOLDER, help="folder of the results")
    return parser


def parser_of_networks(documentation: str | None, rounds: int) -> argparse.ArgumentParser:
    """A parser of a benchmark whose programs of each network take turns."""
    parser = plain_parser(documentation)
    add_networks(parser)
    parser.add_argument("--batches", nargs="+", type=int, default=[1])
    add_rounds(parser, rounds)
    return parser


def add_networks(parser: argparse.ArgumentParser) -> None:
    """Which networks of the zoo."""
    parser.add_argument("--networks", nargs="+", choices=zoo.names(), default=list(zoo.names()))


def add_rounds(parser: argparse.ArgumentParser, rounds: int) -> None:
    """How many turns each program has."""
    parser.add_argument("--rounds", type=int, default=rounds, help=f"turns of each program ({rounds})")


def add_artifacts(parser: argparse.ArgumentParser) -> None:
    """Flags that separate compiling from measuring; see `artifacts_folder`."""
    parser.add_argument("--artifacts", type=Path, help="folder of what is compiled; what it has is kept")
    parser.add_argument("--compile-only", action="store_true", help="only fill --artifacts")


@contextmanager
def artifacts_folder(parser: argparse.ArgumentParser, chosen: argparse.Namespace) -> Iterator[Path]:
    """Where to compile into: what `--artifacts` names, or a folder that is removed again."""
    if chosen.compile_only and chosen.artifacts is None:
        parser.error("--compile-only needs --artifacts")
    with tempfile.TemporaryDirectory() as temporary:
        yield chosen.artifacts or Path(temporary)


def add_resuming(parser: argparse.ArgumentParser) -> None:
    """Flags to measure for so long, and to go on the next time."""
    parser.add_argument("--budget", type=float, metavar="MINUTES", help="begin nothing after so long")
    parser.add_argument(
        "--resume",
        type=float,
        metavar="HOURS",
        nargs="?",
        const=24.0,
        help="skip what was measured in the last HOURS (24)",
    )


def parser_of(documentation: str | None) -> argparse.ArgumentParser:
    """A parser with the flags that every campaign takes."""
    parser = plain_parser(documentation)
    parser.add_argument("--target", default="host", help="host (default) or 'llvm -mcpu=haswell'")
    parser.add_argument(
        "--against", nargs="*", default=["onnxruntime", "openvino"], choices=["onnxruntime", "openvino"]
    )
    parser.add_argument(
        "--direct",
        action="store_true",
        help="sums of products as they are, as measurements beside: neither Winograd's form nor pairing",
    )
    parser.add_argument("--rounds", type=int, default=15, help="turns of each runtime (15)")
    add_resuming(parser)
    parser.add_argument("--list", action="store_true", help="only print what would be measured, in order")
    return parser


def results_path(folder: Path, machine: Machine, target: str, *parts: str) -> Path:
    """The JSON file for this machine; another target than its own is part of the name."""
    words = [machine.slug]
    if target != "host":
        words.append(str(parse_target(target).attrs.get("mcpu") or "generic"))
    return folder / f"{'-'.join([*words, *parts])}.json"


def as_json(machine: Machine, target: str) -> dict[str, Any]:
    """The machine, and what was compiled for."""
    return {**attrs.asdict(machine), "target": target}


def run(campaign: Campaign[AnyCase], cases: Sequence[AnyCase], *, dry: bool) -> int:
    """Measures the cases, or only lists them; returns the exit status."""
    try:
        if dry:
            print("\n".join(map(str, campaign.due(cases))))
            return 0
        return 1 if campaign.run(cases) else 0
    except (ResultsError, ShiftcError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
