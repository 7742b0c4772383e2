"""What an invocation of a kernel reads and writes, by the address tables that it is called with.

Kernels read `x[base(block) + offset(pixel) + v]`, both from tables (`schedules/workload.py`), so an access is
two arrays. A kernel sweeps over its pixels once for a run of output blocks, then for the next run; how many
blocks are in a run is what its template and its decisions say.

Place: after `lower`; what `traffic` counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs
import numpy as np
import tvm_ffi
from tvm import tirx

from schedules.emit import UNBOUNDED
from schedules.template import Kernel, largest_divisor
from schedules.workload import (
    Depthwise,
    Elementwise,
    GlobalPool,
    GroupedWinograd,
    GroupNorm,
    IndexedConv,
    LayerNorm,
    PairedConv,
    Softmax,
    WindowPool,
    WindowSum,
    WinogradInput,
    WinogradOutput,
    Workload,
)

from .array import Array
from .lowering.context import Invocation
from .placement import Address
from .sweeps import ITEM, Access, Axis, Span, Sweeps


def sweeps_of(invocation: Invocation, constants: Array) -> Sweeps:
    """What the invocation touches; `constants` is the blob that its tables are in."""
    if invocation.kernel is None:
        return _whole_tensors(invocation)
    arguments = _Arguments(invocation.kernel, invocation.arguments, constants)
    workload = invocation.kernel.workload
    sweeps = _KINDS[type(workload)](workload, arguments)
    operands = arguments.operands(sweeps.blocks, sweeps.pixels)
    return attrs.evolve(sweeps, accesses=(*sweeps.accesses, *operands), spans=tuple(arguments.spans()))


class _Arguments:
    """The arguments of a kernel by their names, tables as arrays."""

    def __init__(self, kernel: Kernel, addresses: tuple[Address, ...], constants: Array) -> None:
        self.kernel = kernel
        self.at = dict(zip(kernel.parameters, addresses, strict=True))
        self._blob = constants

    def table(self, name: str, rows: int = -1) -> Array:
        """A table of offsets, int64 [rows, …]."""
        _, extent = self.kernel.buffers[name]
        start = self.at[name].offset
        values = self._blob[start : start + ITEM * extent].view(np.int32)
        return values.astype(np.int64).reshape(rows, -1) if rows > 0 else values.astype(np.int64)[:, None]

    def read(self, bases: Array, pixels: Array, width: int) -> Access:
        """Of the operand."""
        return Access(self.at["x"], bases, pixels, width)

    def written(self, blocks: int, pixels: int, lanes: int) -> Access:
        """The result."""
        return Access(self.at["y"], self.table("yo", blocks), self.table("yp", pixels), lanes, writes=True)

    def operands(self, blocks: int, pixels: int) -> Iterator[Access]:
        """Second tensors of the epilogue."""
        lanes = self.kernel.workload.lanes
        for number, op in enumerate(self.kernel.workload.epilogue):
            name = f"e{number}"
            if op.access is not None:
                of_block = self.table(f"{name}_{'rl' if op.access == 'lane' else 'rb'}", blocks)
                width = 1 if op.access == "lane" else lanes
                yield Access(self.at[name], of_block, self.table(f"{name}_rp", pixels), width)

    def spans(self) -> Iterator[Span]:
        """Weights and tables."""
        for name, (_, extent) in self.kernel.buffers.items():
            if extent < UNBOUNDED:
                yield Span(self.at[name], extent, _shares(name))


def _shares(name: str) -> Axis:
    """Whether every block has its share of a constant, or every pixel."""
    if name in ("pt", "xp", "yp") or name.endswith("_rp"):
        return "pixel"
    return "block" if name in ("k", "xo", "xb", "xl", "yo") or name.startswith("e") else "all"


def _indexed_conv(workload: IndexedConv, arguments: _Arguments) -> Sweeps:
    decisions = arguments.kernel.decisions
    of_block = np.arange(workload.blocks) * workload.tables // workload.blocks
    channels = arguments.table("ct", workload.tables)
    tile = decisions["block_tile"]
    panel = largest_divisor(max(1, workload.blocks // tile), decisions["panel"])
    chunk = largest_divisor(max(1, workload.pixels // decisions["pixel_tile"]), decisions["chunk"])
    sums = _sums(
        workload,
        arguments,
        channels[of_block] if workload.tables > 1 else channels,
        run=min(workload.blocks, tile * panel),
        step=decisions["pixel_tile"],
    )
    return attrs.evolve(sums, chunk=chunk * decisions["pixel_tile"])


def _paired_conv(workload: PairedConv, arguments: _Arguments) -> Sweeps:
    decisions = arguments.kernel.decisions
    columns = max(1, workload.pixels // decisions["pixel_tile"])
    chunks = -(-columns // decisions["columns"])
    chunk = -(-columns // chunks) * decisions["pixel_tile"]
    return _sums(workload, arguments, arguments.table("ct", 1), run=workload.blocks, step=chunk)


def _sums(
    workload: IndexedConv | PairedConv, arguments: _Arguments, channels: Array, run: int, step: int
) -> Sweeps:
    """Over virtual channels."""
    blocks, pixels = workload.blocks, workload.pixels
    read = arguments.read(channels, arguments.table("pt"), 1)
    return Sweeps(blocks, pixels, run, step, (read, arguments.written(blocks, pixels, workload.lanes)))


def _depthwise(workload: Depthwise, arguments: _Arguments) -> Sweeps:
    rows, columns = np.arange(workload.rows)[:, None], np.arange(workload.columns)[None, :]
    plane = (rows * workload.row_step + columns * workload.column_step).reshape(-1)
    pixels = (arguments.table("xn") + plane).reshape(-1, 1) + np.array(workload.taps)
    return _by_block(workload, arguments, pixels, 1)


def _windows(workload: WindowPool | WindowSum, arguments: _Arguments) -> Sweeps:
    rows, columns = arguments.table("row", workload.rows), arguments.table("col", workload.columns)
    if isinstance(workload, WindowSum):
        columns = columns * workload.column_step
    windows = rows[:, None, :, None] + columns[None, :, None, :]
    pixels = arguments.table("xn")[:, :, None] + windows.reshape(1, workload.rows * workload.columns, -1)
    return _by_block(workload, arguments, pixels.reshape(-1, pixels.shape[2]), 1)


def _global_pool(workload: GlobalPool, arguments: _Arguments) -> Sweeps:
    pixels = arguments.table("xn") + arguments.table("xp", 1)
    return _by_block(workload, arguments, pixels, workload.blocks)


def _group_norm(workload: GroupNorm, arguments: _Arguments) -> Sweeps:
    pixels = (arguments.table("xn") + arguments.table("xp", 1)).reshape(-1, 1)
    return _by_block(workload, arguments, pixels, workload.blocks // workload.clusters)


def _over_channels(workload: LayerNorm | Softmax, arguments: _Arguments) -> Sweeps:
    return _by_block(workload, arguments, arguments.table("xp"), workload.blocks)


def _by_block(workload: Workload, arguments: _Arguments, pixels: Array, run: int) -> Sweeps:
    """A block of the operand for every block of the result."""
    count = len(pixels)
    read = arguments.read(arguments.table("xo"), pixels, workload.lanes)
    written = arguments.written(workload.blocks, count, workload.lanes)
    return Sweeps(workload.blocks, count, run, 1, (read, written))


def _elementwise(workload: Elementwise, arguments: _Arguments) -> Sweeps:
    blocks, pixels, lanes = workload.blocks, workload.pixels, workload.lanes
    lane = workload.access == "lane"
    bases = arguments.table("xl" if lane else "xb", blocks)
    read = arguments.read(bases, arguments.table("xp"), 1 if lane else lanes)
    run = min(blocks, arguments.kernel.decisions.get("block_tile", workload.square))
    return Sweeps(blocks, pixels, run, 1, (read, arguments.written(blocks, pixels, lanes)))


def _patches(workload: WinogradInput | GroupedWinograd, origins: Array) -> Array:
    """Offsets of the elements of every tile's patch."""
    size = np.arange(workload.outputs + 2)
    within = size[:, None] * workload.row_stride + size[None, :] * workload.column_stride
    return np.asarray(origins + within.reshape(1, -1))


def _products(workload: WinogradInput | WinogradOutput) -> tuple[Array, Array]:
    """Where products lie, `[(m + 2)²][blocks][tiles][lanes]`: by block and by tile."""
    points = np.arange((workload.outputs + 2) ** 2)[None, :] * workload.blocks
    plane = workload.tiles * workload.lanes
    bases = (points + np.arange(workload.blocks)[:, None]) * plane
    return bases, np.arange(workload.tiles)[:, None] * workload.lanes


def _winograd_input(workload: WinogradInput, arguments: _Arguments) -> Sweeps:
    patches = _patches(workload, arguments.table("xp"))
    read = arguments.read(arguments.table("xo"), patches, workload.lanes)
    products = Access(arguments.at["y"], *_products(workload), workload.lanes, writes=True)
    return Sweeps(workload.blocks, workload.tiles, 1, 1, (read, products))


def _winograd_output(workload: WinogradOutput, arguments: _Arguments) -> Sweeps:
    read = arguments.read(*_products(workload), workload.lanes)
    written = arguments.written(workload.blocks, workload.tiles, workload.lanes)
    return Sweeps(workload.blocks, workload.tiles, 1, 1, (read, written))


def _grouped_winograd(workload: GroupedWinograd, arguments: _Arguments) -> Sweeps:
    clusters = np.repeat(arguments.table("xo", workload.clusters), workload.writes, axis=0)
    patches = _patches(workload, arguments.table("xp"))
    read = arguments.read(clusters, patches, workload.lanes)
    written = arguments.written(workload.blocks, workload.tiles, workload.lanes)
    return Sweeps(workload.blocks, workload.tiles, workload.writes, 1, (read, written))


_KINDS: dict[type, Callable[[Any, _Arguments], Sweeps]] = {
    IndexedConv: _indexed_conv,
    PairedConv: _paired_conv,
    Depthwise: _depthwise,
    WindowPool: _windows,
    WindowSum: _windows,
    GlobalPool: _global_pool,
    Elementwise: _elementwise,
    LayerNorm: _over_channels,
    GroupNorm: _group_norm,
    Softmax: _over_channels,
    WinogradInput: _winograd_input,
    WinogradOutput: _winograd_output,
    GroupedWinograd: _grouped_winograd,
}


def _whole_tensors(invocation: Invocation) -> Sweeps:
    """Of a function that came without a template: it reads or writes all of each of its tensors."""
    buffers: dict[Any, Any] = {}
    stored: set[Any] = set()
    declared = (tirx.DeclBuffer, lambda node: buffers.update({node.data: node.buffer}))
    walked = (tirx.BufferStore, lambda node: stored.add(node.buffer))
    tvm_ffi.structural_walk(invocation.func.body, [declared, walked])
    nothing = np.zeros((1, 1), np.int64)
    accesses = []
    for parameter, address in zip(invocation.func.params, invocation.arguments, strict=False):
        buffer = buffers[parameter]
        size = int(np.prod([int(d) for d in buffer.shape])) * np.dtype(str(buffer.dtype)).itemsize
        accesses.append(Access(address, nothing, nothing, -(-size // ITEM), buffer in stored))
    return Sweeps(1, 1, 1, 1, tuple(accesses))
