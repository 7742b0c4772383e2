"""Whether a convolution is computed by Winograd's minimal filtering, in which form, and in what chunks.

Tiles are worked off in chunks whose patches and products stay in the second cache. Every task does so with a
part of the tiles and meets nobody; where these are too few, tasks share the tiles of a transform and deal out
the products. How a plan becomes kernels: `winograd`.
"""

from __future__ import annotations

import attrs

from schedules.machine import MachineParameters
from schedules.template import largest_divisor
from schedules.winograd import BY_OUTPUTS, Winograd

from ..anchor import Window
from ..channel_view import BlockView, ChannelView
from ..placement import Address, Blocked, Plain
from ..stage import Stage
from .context import ARENA

_ITEM = 4
_FEWEST_TILES = 12
"""Fewer leave the products' register tiles half empty."""
_MEMORY_BYTES_PER_CYCLE = 3.0
"""What one core gets from memory; transformed filters are four times as large as filters."""
WORTH = 0.85
"""Share of the direct form's cycles that must not be exceeded: the model is not that exact."""


@attrs.frozen(eq=False)
class WinogradPlan:
    """Which form, in chunks of how many tiles, and where patches and products lie meanwhile.

    parts: tasks that may each have tiles of their own; there is scratch for a chunk of each.
    """

    form: Winograd
    chunk: int
    parts: int
    blocks: BlockView
    patches: Plain
    products: Plain

    @property
    def scratch(self) -> tuple[Plain, ...]:
        """What lies in the arena meanwhile."""
        return self.patches, self.products

    def for_one_of(self, tasks: int) -> WinogradPlan:
        """For one task that shares it with nobody: with scratch of its own, a part of what all have."""
        held = self.chunk * self.parts
        chunk = -(-held // tasks)
        scratch = [Plain(s.name, (s.shape[0] // held * chunk,), s.dtype) for s in self.scratch]
        return WinogradPlan(self.form, chunk, 1, self.blocks, *scratch)

    def parts_of(self, tiles: int) -> int:
        """Among how many tasks so many tiles are divided; 1: they share what is done with all."""
        return _tasks_with_enough(tiles, self.parts)

    def of_part(self, part: int) -> WinogradPlan:
        """For the task that has this part, with its scratch."""
        scratch = (
            attrs.evolve(s, address=further(s.address or ARENA, part * (s.shape[0] // self.parts)))
            for s in self.scratch
        )
        return WinogradPlan(self.form, self.chunk, 1, self.blocks, *scratch)

    @property
    def in_common(self) -> WinogradPlan:
        """For tasks that share all, with all scratch."""
        return attrs.evolve(self, chunk=self.chunk * self.parts, parts=1)

    def in_chunks(self, tiles: int) -> WinogradPlan:
        """For so many tiles, which chunks of one part divide."""
        chunk = _chunk(tiles, self.chunk)
        return attrs.evolve(self, chunk=chunk if chunk <= self.chunk else largest_divisor(tiles, self.chunk))


def plan_winograd(
    stage: Stage, view: ChannelView, output: Blocked, machine: MachineParameters, threads: int
) -> WinogradPlan | str:
    """The plan for a stage, or why it is computed directly."""
    lanes, output_blocks = output.extent.lanes, output.blocks
    plain = Window((3, 3), (1, 1), stage.window.padding, (1, 1))
    if stage.kind != "convolution" or stage.groups != 1 or stage.window != plain:
        return "not a dense 3 x 3 convolution of stride 1"
    blocks = view.block_view()
    if blocks is None or view.extent.lanes != lanes:
        return "its operand does not lie in whole blocks"
    forms = [form for form in BY_OUTPUTS.values() if tiles_of(stage, form) >= _FEWEST_TILES]
    if not forms:
        return "its plane has too few tiles"
    cycles, form = min(
        ((_cycles(stage, len(blocks.blocks), output_blocks, lanes, f, machine), f) for f in forms),
        key=lambda pair: pair[0],
    )
    if cycles > WORTH * stage.macs / (machine.lanes * machine.fma_ports):
        return "the direct form is modelled to be as fast"
    per_tile = form.size**2 * lanes * _ITEM
    tiles = tiles_of(stage, form)
    parts = _tasks_with_enough(tiles, threads)
    limit = threads // parts * machine.l2_bytes // (per_tile * (len(blocks.blocks) + output_blocks))
    chunk = _chunk(-(-tiles // parts), limit)
    scratch = [
        Plain(f"{stage.name}.{name}", (form.size**2 * count * chunk * parts * lanes,), "float32")
        for name, count in (("patches", len(blocks.blocks)), ("products", output_blocks))
    ]
    return WinogradPlan(form, chunk, parts, blocks, *scratch)


def tiles_of(stage: Stage, form: Winograd) -> int:
    """How many tiles of the form cover the planes of a stage's result."""
    n, _, rows, columns = stage.shape
    return n * -(-rows // form.outputs) * -(-columns // form.outputs)


def _tasks_with_enough(tiles: int, tasks: int) -> int:
    """All tasks if they can have enough tiles each, else one."""
    return tasks if tiles >= tasks * _FEWEST_TILES else 1


def _chunk(tiles: int, limit: int) -> int:
    """The largest divisor of the tiles within the limit that fills register tiles; else all of them."""
    fitting = [d for d in range(_FEWEST_TILES, tiles + 1) if tiles % d == 0 and d <= limit]
    return max(fitting, default=tiles)


def _cycles(
    stage: Stage, blocks: int, output_blocks: int, lanes: int, form: Winograd, machine: MachineParameters
) -> float:
    """Modelled cycles: products, transforms, and filters read from memory beyond the direct form's."""
    tiles, points = tiles_of(stage, form), form.size**2
    _, outputs, _, _ = stage.shape
    assert stage.weight is not None
    channels = stage.weight.shape[1]
    transforms = tiles * (blocks + output_blocks) * transform_cycles(form, machine)
    products = points * tiles * channels * output_blocks * lanes / (machine.lanes * machine.fma_ports)
    extra = (points - 9) * channels * outputs * _ITEM
    total: float = products + transforms
    return total + (extra / _MEMORY_BYTES_PER_CYCLE if extra > machine.l2_bytes else 0.0)


def transform_cycles(form: Winograd, machine: MachineParameters) -> float:
    """Of one block's patch or product."""
    vector_work = 2.0 * form.size**2 + sum(sum(f != 0 for f in row) for row in form.patch) * form.size * 2
    return vector_work / machine.fma_ports


def further(address: Address, elements: int) -> Address:
    """So many elements behind an address."""
    return attrs.evolve(address, offset=address.offset + elements * _ITEM)
