"""Where a command prints: results to stdout, progress and errors to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
from rich.console import Console
from rich.progress import Progress as ProgressBar
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

from shiftc.atomic_file import replacing
from shiftc.progress import Progress


@attrs.define
class Terminal:
    """debug: show tracebacks."""

    out: Console
    err: Console
    debug: bool = False

    @classmethod
    def from_environment(cls, env: Mapping[str, str]) -> Terminal:
        """Consoles on stdout and stderr that honour NO_COLOR, TERM and COLUMNS of `env`."""
        return cls(
            out=Console(file=sys.stdout, highlight=False, _environ=env),
            err=Console(file=sys.stderr, highlight=False, _environ=env),
        )

    def say(self, text: str) -> None:
        """One line of the result, as it is: no markup, not wrapped."""
        self.out.print(text, markup=False, soft_wrap=True)

    def complain(self, text: str) -> None:
        """One line of error, whatever line breaks the text has."""
        self.err.print(f"shiftc: error: {' '.join(text.split())}", markup=False, soft_wrap=True)

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
