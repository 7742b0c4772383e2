"""What the indexed convolution fetches ahead while a panel sweeps over a chunk: the next panel's weights.

Networks have more weights than caches: every run reads them from the third cache or from memory again, and
the first tile of a panel would wait for each line. Behind the last panel's weights lie the constants of the
program's next step, of which as many are fetched.
"""

from __future__ import annotations

from tvm import tirx

from schedules.emit import Buffers
from schedules.prefetch import Statement, prefetch_if
from schedules.template import Decisions
from schedules.workload import IndexedConv
from schedules.x86.sweep import Sweep

_ITEM = 4


def weights_ahead(
    workload: IndexedConv, decisions: Decisions, sweep: Sweep, buffers: Buffers, cache_line: int, tasks: int
) -> Statement | None:
    """In some runs of channels, equally far from each other, fetch lines of the next panel's weights.

    cache_line: bytes.
    tasks:      that share the pixels of a sweep; each fetches all lines.
    None where nothing is to be fetched, nor beside whole tiles of pixels, which have all weights fetched.
    """
    if decisions["k_panels"] == 1 or sweep.region.pixels[0] > 0:
        return None
    chunks, panels, tiles, panel = sweep.extents
    at_chunk, at_panel, at_tile, at_block = sweep.at
    size = panel * sweep.region.blocks[2] * workload.lanes * workload.virtual_channels
    line = cache_line // _ITEM
    lines = -(-size // line)
    runs = tiles * panel * sweep.runs
    apart = 1 << max(0, (runs // (lines * tasks)).bit_length() - 1)
    together = -(-lines * tasks // (runs // apart))
    number = (at_tile * panel + at_block) * sweep.runs + sweep.run
    fetch = number // apart
    if tasks > 1:
        fetch %= -(-lines // together)
    following = at_panel + 1
    if chunks > 1:  # which begins again with the first panel, but for the last chunk
        following = tirx.Select(at_chunk < chunks - 1, following % panels, following)
    first = sweep.region.blocks[0] * workload.lanes * workload.virtual_channels + following * size
    places = [first + (fetch * together + i) * line for i in range(together)]
    return prefetch_if(tirx.EQ(number % apart, tirx.IntImm("int32", 0)), buffers["k"], places)
