"""Measurements in a JSON file, one a line: measuring again replaces a measurement, all others are kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import attrs

from shiftc.atomic_file import replacing

FORMAT = 2
FOLDER = Path(__file__).parent / "results"

Measurement = Mapping[str, Any]
Key = tuple[Any, ...]


class ResultsError(Exception):
    """A results file that is damaged or of another format."""


@attrs.frozen
class ResultsFile:
    """path: of the JSON; key_names: the fields that tell measurements apart."""

    path: Path
    key_names: tuple[str, ...]

    def key(self, measurement: Measurement) -> Key:
        """What identifies a measurement."""
        return tuple(measurement[name] for name in self.key_names)

    def read(self) -> list[Measurement]:
        """All measurements; none where there is no file. Raises ResultsError.

        One that lacks a field of the key was made before there was such a field, and is left out.
        """
        try:
            document = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return []
        except ValueError as error:
            raise ResultsError(f"'{self.path}' is not JSON: {error}") from error
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise ResultsError(f"'{self.path}' is not a results file of format {FORMAT}; move it away")
        return [m for m in document["measurements"] if all(name in m for name in self.key_names)]

    def write(self, machine: Mapping[str, Any], measurements: Iterable[Measurement]) -> None:
        """Replaces the file; raises shiftc.errors.OutputError where that is not possible."""
        lines = ",\n".join(json.dumps(measurement, ensure_ascii=False) for measurement in measurements)
        header = json.dumps({"format": FORMAT, "machine": machine}, indent=1).removesuffix("\n}")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.path) as file:
            file.write(f'{header},\n "measurements": [\n{lines}\n ]\n}}\n'.encode())

    def merged(self, old: Sequence[Measurement], new: Iterable[Measurement]) -> list[Measurement]:
        """`old` with `new` in place of what has the same key; keys not met before come last."""
        by_key = {self.key(measurement): measurement for measurement in old}
        by_key.update((self.key(measurement), measurement) for measurement in new)
        return list(by_key.values())

    def add(
        self,
        machine: Mapping[str, Any],
        new: Iterable[Measurement],
        table: Callable[[Sequence[Measurement]], str],
    ) -> None:
        """Merges new measurements into the file, and writes the Markdown `table` of all beside it.

        Raises ResultsError, shiftc.errors.OutputError or OSError.
        """
        everything = self.merged(self.read(), new)
        self.write(machine, everything)
        self.path.with_suffix(".md").write_text(table(everything), encoding="utf-8")


def now() -> str:
    """The time as measurements hold it, in UTC."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def hours_since(time: str) -> float:
    """Hours since `now()` said `time`."""
    return (datetime.now(timezone.utc) - datetime.fromisoformat(time)).total_seconds() / 3600
