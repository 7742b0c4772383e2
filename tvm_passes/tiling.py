"""What may be computed in tiles of rows."""

from __future__ import annotations

import attrs


@attrs.frozen
class Tiling:
    """Chains of stages, see `chains`, where they are modelled to pay.

    stages:     most stages of a chain; None: as many as pay; 1: there are no chains.
    tiles:      tiles of every chain; None: as many as pay; 1: there are no chains.
    max_memory: bytes that the workspace may take; None: as many as the program of the smallest that are
                modelled to be as fast as any.
    """

    stages: int | None = None
    tiles: int | None = None
    max_memory: int | None = None

    @property
    def is_off(self) -> bool:
        """There are no chains."""
        return 1 in (self.stages, self.tiles)


ANY_TILING = Tiling()
NO_TILING = Tiling(stages=1)
