"""Whether a convolution is computed by Winograd's minimal filtering, in which form, and in what chunks.

Tiles are worked off in chunks: some patches are transformed, multiplied and transformed back, then the next.
Every task does so with a part of the tiles and meets nobody; where these are too few, tasks share the tiles
of a transform and deal out the products. How a plan becomes kernels: `winograd`.
"""

from __future__ import annotations

import attrs

import schedules
from schedules.machine import MachineParameters
from schedules.parallelism import divides_evenly
from schedules.winograd import BY_OUTPUTS, Winograd
from schedules.workload import IndexedConv

from ..anchor import Window
from ..channel_view import BlockView, ChannelView
from ..placement import Address, Blocked, Plain
from ..stage import Stage
from .context import ARENA

_ITEM = 4
_FEWEST_TILES = 12
"""Fewer leave the products' register tiles half empty."""
_FEWEST_OF_A_TASK = 7
"""What a task of its own must have at least: a register tile of pixels."""
_FEWEST_OF_A_CHUNK, _MOST_OF_A_CHUNK = 5, 32
_CLOSE_TO_LEAST = 1.05
"""Times the least modelled cycles that a smaller chunk may take: it gains by what is not modelled."""
PRODUCT_CALL_CYCLES = 45.0
"""To call the kernel of a product: all have the same tables."""
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
            Plain(s.name, (size,), s.dtype, further(s.address or ARENA, part * size))
            for s in self.scratch
            for size in [s.shape[0] // self.parts]
        )
        return WinogradPlan(self.form, self.chunk, 1, self.blocks, *scratch)

    @property
    def in_common(self) -> WinogradPlan:
        """For tasks that share all, with all scratch."""
        return attrs.evolve(self, chunk=self.chunk * self.parts, parts=1)

    def in_chunks(self, tiles: int) -> WinogradPlan:
        """For so many tiles: as few chunks as scratch allows, all of as many tiles."""
        return attrs.evolve(self, chunk=_evenly(tiles, self.chunk))


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
        ((_cycles(stage, blocks, output, form, machine, threads), form) for form in forms),
        key=lambda pair: pair[0],
    )
    if cycles > WORTH * stage.macs / (machine.lanes * machine.fma_ports * threads):
        return "the direct form is modelled to be as fast"
    tiles = tiles_of(stage, form)
    parts = _tasks_with_enough(tiles, threads)
    bytes_per_tile = form.size**2 * lanes * _ITEM * (len(blocks.blocks) + output_blocks)
    if parts < threads:
        chunk = _evenly(tiles, max(1, threads * machine.l2_bytes // bytes_per_tile))
    else:
        assert stage.weight is not None
        product = IndexedConv(stage.weight.shape[1], output_blocks, lanes, tiles)
        chunk = _chunk(-(-tiles // parts), product, form, bytes_per_tile, machine)
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
    return tasks if tiles >= tasks * _FEWEST_OF_A_TASK else 1


def _evenly(tiles: int, limit: int) -> int:
    """The tiles of each of as few chunks as keep within the limit."""
    return -(-tiles // -(-tiles // limit))


def _chunk(
    tiles: int, product: IndexedConv, form: Winograd, bytes_per_tile: int, machine: MachineParameters
) -> int:
    """The smallest that takes hardly more cycles than any: one register tile of pixels, mostly.

    It reads filters as a stream, which the processor follows by itself, and finds its patches near. But all
    chunks read all filters: those that the second cache cannot keep beside it must arrive fast enough.
    """
    filters = product.blocks * product.lanes * product.virtual_channels * _ITEM
    costs: dict[int, float] = {}
    for number in range(1, max(1, tiles // _FEWEST_OF_A_CHUNK) + 1):
        chunk = -(-tiles // number)
        if divides_evenly(tiles, number) and (number == 1 or chunk <= _MOST_OF_A_CHUNK):
            cycles = schedules.modelled_cycles(attrs.evolve(product, pixels=chunk), machine)
            if form.size**2 * filters + chunk * bytes_per_tile > machine.l2_bytes:
                cycles = max(cycles, filters / machine.stream_bytes_per_cycle)
            costs[chunk] = number * (cycles + PRODUCT_CALL_CYCLES)
    most = _CLOSE_TO_LEAST * min(costs.values())
    return min(chunk for chunk, cost in costs.items() if cost <= most)


def _cycles(
    stage: Stage, view: BlockView, output: Blocked, form: Winograd, machine: MachineParameters, threads: int
) -> float:
    """Modelled cycles: of transforms, and of products or of reading their filters, whichever takes longer."""
    assert stage.weight is not None
    tiles = tiles_of(stage, form)
    filters = form.size**2 * stage.weight.shape[1] * output.blocks * output.extent.lanes
    transforms = tiles * (len(view.blocks) + output.blocks) * transform_cycles(form, machine)
    products = tiles * filters / (machine.lanes * machine.fma_ports)
    in_a_cache = filters * _ITEM <= machine.l3_bytes
    rate = machine.stream_bytes_per_cycle if in_a_cache else machine.memory_bytes_per_cycle
    return float(max(products / threads, filters * _ITEM / rate) + transforms / threads)


def transform_cycles(form: Winograd, machine: MachineParameters) -> float:
    """Of one block's patch or product."""
    vector_work = 2.0 * form.size**2 + sum(sum(f != 0 for f in row) for row in form.patch) * form.size * 2
    return vector_work / machine.fma_ports


def further(address: Address, elements: int) -> Address:
    """So many elements behind an address."""
    return attrs.evolve(address, offset=address.offset + elements * _ITEM)
