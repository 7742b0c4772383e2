"""Where a command prints: results to stdout, progress and errors to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, cast

import attrs
from rich import box
from rich.console import Console
from rich.progress import Progress as ProgressBar
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from shiftc.atomic_file import replacing
from shiftc.cli.streams import Remarks, Results, printable
from shiftc.progress import Progress

_WIDTH = 120
_FAIR_SHARE = 32


@attrs.define
class Terminal:
    """debug: show tracebacks."""

    out: Console
    err: Console
    debug: bool = False

    @classmethod
    def from_environment(cls, env: Mapping[str, str]) -> Terminal:
        """Consoles on stdout and stderr that honour NO_COLOR, TERM and COLUMNS of `env`.

        Tables that go to a file or pipe are as wide as `COLUMNS` says, or 120.
        """
        out = Results(sys.stdout)
        width = None if out.isatty() or "COLUMNS" in env else _WIDTH
        return cls(
            out=Console(file=cast(TextIO, out), highlight=False, width=width, _environ=env),
            err=Console(file=cast(TextIO, Remarks(sys.stderr)), highlight=False, _environ=env),
        )

    def say(self, text: str) -> None:
        """One line of the result, as it is: no markup, not wrapped."""
        self.out.print(printable(text), markup=False, soft_wrap=True)

    def complain(self, text: str) -> None:
        """One line of error, whatever line breaks the text has."""
        self.err.print(f"shiftc: error: {printable(' '.join(text.split()))}", markup=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        """One line about what went wrong beside the result, which is whole."""
        self.err.print(f"shiftc: warning: {printable(' '.join(text.split()))}", markup=False, soft_wrap=True)

    def show(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """A table; cells are taken literally, and cut off rather than wrapped."""
        table = Table(*columns, title=Text(printable(title)), title_justify="left", box=box.SIMPLE_HEAD)
        cells = [[printable(cell) for cell in row] for row in rows]
        for row in fitted(columns, cells, self.out.width):
            table.add_row(*(Text(cell, no_wrap=True) for cell in row))
        self.out.print(table)

    def write_json(self, data: Any, destination: str = "-") -> None:
        """Writes one JSON document to stdout (`-`) or to a file, wholly or not at all."""
        text = json.dumps(data, indent=2) + "\n"
        if destination == "-":
            self.out.file.write(text)
            return
        with replacing(Path(destination)) as file:
            file.write(text.encode())

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """A spinner on stderr with the current phase and its time; nothing where stderr is no terminal."""
        bar = ProgressBar(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=self.err,
            transient=True,
            disable=not self.err.is_terminal,
        )
        with bar:
            task = bar.add_task("starting", total=None)

            def report(phase: str) -> None:
                bar.update(task, description=phase)

            yield report


def fitted(columns: Sequence[str], rows: Iterable[Sequence[str]], width: int) -> list[list[str]]:
    """Rows with every cell cut to a fair share, and the last one to what is left of `width`."""
    cut = [[_cut(cell, _FAIR_SHARE) for cell in row[:-1]] + [row[-1]] for row in rows]
    others = zip(columns[:-1], *(row[:-1] for row in cut), strict=True)
    rules = 3 * len(columns) + 1
    rest = width - rules - sum(max(map(len, cells)) for cells in others)
    return [[*row[:-1], _cut(row[-1], max(rest, _FAIR_SHARE))] for row in cut]


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
