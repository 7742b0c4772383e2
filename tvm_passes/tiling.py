"""What may be computed in tiles of rows."""

from __future__ import annotations

from typing import Any

import attrs


@attrs.frozen
class Tiling:
    """Chains of stages, see `chains`, where they are modelled to pay.

    stages:     most stages of a chain; None: as many as pay; 1: there are no chains.
    tiles:      tiles of every chain; None: as many as pay; 1: there are no chains.
    max_memory: bytes that the workspace may take; None: as many as the program of the smallest that are
                modelled to be as fast as any.
    bands:      whether each of several threads computes a band of a chain, or all share its strips, see
                `bands`; None: what pays.
    forced:     every chain that can be formed is, the longest first, whatever it costs; for measurements
                and tests, and not with a `max_memory`.
    """

    stages: int | None = None
    tiles: int | None = None
    max_memory: int | None = None
    bands: bool | None = None
    forced: bool = attrs.field(default=False)

    @forced.validator
    def _check_forced(self, _: Any, forced: bool) -> None:
        if forced and self.max_memory is not None:
            raise ValueError("chains that are formed whatever they cost cannot be held to a max_memory")

    @property
    def is_off(self) -> bool:
        """There are no chains."""
        return 1 in (self.stages, self.tiles)


ANY_TILING = Tiling()
NO_TILING = Tiling(stages=1)
