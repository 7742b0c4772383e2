"""What the passes found and did, for `inspect` and for tests; passes add to it as they run."""

from __future__ import annotations

from typing import Any

import attrs


@attrs.define
class IndexMapRecord:
    """One output of a movement-only region.

    nodes:    names of the operators it replaces, or would.
    channels: channels of the output.
    offsets:  summary, such as "(-1,0) x 32, (0,1) x 32".
    border:   zero | wrap | edge | none.
    variable: the index map's variable in the IR; None if there is none: an identity, or a refusal.
    reason:   why it was left as it is (set when not recognised, or when not folded), else None.
    folded:   the readers and writers take it in, no kernel moves the data.
    """

    nodes: tuple[str, ...]
    channels: int
    offsets: str
    border: str
    variable: str | None = None
    reason: str | None = None
    folded: bool = False


@attrs.define
class Report:
    """The mutable record that one compilation carries through its passes.

    pruned_macs: multiply-adds of the model whose results nobody reads, left out.
    """

    index_maps: list[IndexMapRecord] = attrs.field(factory=list)
    pruned_macs: int = 0

    def index_map(self, variable: str) -> IndexMapRecord | None:
        """The record of the index map with this variable."""
        return next((record for record in self.index_maps if record.variable == variable), None)

    def as_json(self) -> dict[str, Any]:
        """Plain lists and dictionaries."""
        return attrs.asdict(self)
