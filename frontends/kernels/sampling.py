"""Planes read between their pixels: places that data decides, interpolated along both axes. A place that is
no number, or too far away, is never an address."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
from tvm import te, tirx
from tvm.script.ir_builder import tirx as T

from frontends.kernels.indexing import inside
from frontends.kernels.shapes import extents, linear, local, product, sequential

Expr = Any
Tensor = Any

_FEWEST_CAPPED = 1024
"""Samples along an axis of a cell that are always taken where its size asks for them."""


@attrs.frozen
class Windows:
    """The taps of a convolution over planes: one value for rows and one for columns each; pads: in front."""

    kernel: Sequence[int]
    strides: Sequence[int]
    pads: Sequence[int]
    dilations: Sequence[int]


def deformed_windows(data: Tensor, offsets: Tensor, mask: Tensor | None, windows: Windows) -> Tensor:
    """[N, C, taps, rows, columns]: what each tap of each window reads of `data` [N, C, H, W], moved by its
    offset and times its mask; zeros lie around the plane.

    offsets: [N, groups · taps · 2, rows, columns], rows before columns; a group of channels shares them.
    mask:    [N, groups · taps, rows, columns].
    """
    batch, channels, *sizes = extents(data)
    taps = product(windows.kernel)
    per_group = channels * taps * 2 // extents(offsets)[1]

    def element(n: Expr, channel: Expr, tap: Expr, row: Expr, column: Expr) -> Expr:
        number = channel // per_group * taps + tap
        in_window = (tap // windows.kernel[1], tap % windows.kernel[1])
        places = []
        for axis, at in enumerate((row, column)):
            place = (
                at * windows.strides[axis] - windows.pads[axis] + in_window[axis] * windows.dilations[axis]
            )
            moved = offsets(n, number * 2 + axis, row, column)
            places.append(tirx.Cast(str(moved.ty), place) + moved)
        value = _among_zeros(lambda y, x: data(n, channel, y, x), places, sizes)
        return value if mask is None else value * mask(n, number, row, column)

    return te.compute((batch, channels, taps, *extents(offsets)[2:]), element, name="deformed_windows")


def _among_zeros(load: Any, places: Sequence[Expr], sizes: Sequence[int]) -> Expr:
    """The plane at a place, where it is surrounded by zeros."""
    dtype = str(places[0].ty)
    zero, one = tirx.const(0, dtype), tirx.const(1, dtype)
    reached = tirx.all(
        *(
            tirx.all(place > tirx.const(-1, dtype), place < tirx.const(size, dtype))
            for place, size in zip(places, sizes, strict=True)
        )
    )
    near = []  # along each axis the two pixels, each with its weight and whether it exists
    for place, size in zip(places, sizes, strict=True):
        known = tirx.Select(reached, place, zero)
        floor = tirx.floor(known)
        first, part = floor.astype("int32"), known - floor
        # Not of `first`: TVM would take what is known of it for granted in the address of the value.
        exist = (floor >= zero, floor < tirx.const(size - 1, dtype))
        near.append([(first, one - part, exist[0]), (first + 1, part, exist[1])])
    total: Expr = zero
    for y, y_weight, y_exists in near[0]:
        for x, x_weight, x_exists in near[1]:
            value = load(*(_clamped(at, size) for at, size in zip((y, x), sizes, strict=True)))
            total = total + tirx.Select(tirx.all(y_exists, x_exists), value, zero) * (y_weight * x_weight)
    return tirx.Select(reached, total, zero)


def _clamped(index: Expr, size: int) -> Expr:
    return tirx.max(tirx.min(index, size - 1), 0)


@attrs.frozen
class Regions:
    """How regions of an image are cut into cells.

    cells:   rows and columns of them.
    scale:   from the regions' coordinates to pixels.
    samples: of a cell along each axis; 0: as many as it has pixels.
    shifted: pixels are half a pixel from their coordinates, and regions may be of any size.
    largest: the largest weighted pixel of all samples in place of their mean.
    """

    cells: tuple[int, int]
    scale: float
    samples: int
    shifted: bool
    largest: bool


def pooled_regions(data: Tensor, boxes: Tensor, images: Tensor, regions: Regions) -> Tensor:
    """[R, C, rows, columns] of `data` [N, C, H, W]: every cell of the R regions, from samples of its own.

    boxes:  [R, 4]: left, top, right and bottom.
    images: [R], which of the N images each region lies in.

    A sample more than a pixel outside is 0. Of cells much larger than the plane, no more samples are taken
    than `_FEWEST_CAPPED`, or four for each of the plane's pixels.
    """
    batch, channels, *sizes = extents(data)
    count, dtype = extents(boxes)[0], str(data.dtype)
    cells = regions.cells
    shape = (count, channels, *cells)

    def number(value: float) -> Expr:
        return tirx.const(value, dtype)

    def emit(plane: Any, box: Any, image: Any, result: Any) -> None:
        starts, steps, near = local((2,), dtype), local((2,), dtype), local((4,), "int32")
        samples, weights = local((2,), "int32"), local((4,), dtype)

        def measure(region: Expr, cell: Sequence[Expr]) -> None:
            """Where the cell starts along each axis, how many samples it has, how far from each other."""
            for axis in range(2):
                shift = number(0.5 if regions.shifted else 0)
                low, high = (
                    box[region * 4 + 1 - axis + 2 * i] * number(regions.scale) - shift for i in (0, 1)
                )
                length = high - low if regions.shifted else tirx.max(high - low, number(1))
                extent = length / number(cells[axis])
                starts[axis] = low + tirx.Cast(dtype, cell[axis]) * extent
                most = number(max(_FEWEST_CAPPED, 4 * sizes[axis]))
                pixels = tirx.Select(extent > number(0), tirx.min(extent, most), number(0))
                samples[axis] = tirx.const(regions.samples, "int32")
                if not regions.samples:
                    samples[axis] = tirx.Cast("int32", tirx.ceil(pixels))
                steps[axis] = extent / tirx.Cast(dtype, samples[axis])

        def look(sample: Sequence[Expr]) -> None:
            """The four pixels around a sample, and what they weigh: nothing where it lies outside."""
            halves = [tirx.Cast(dtype, place) + number(0.5) for place in sample]
            places = [starts[axis] + halves[axis] * steps[axis] for axis in range(2)]
            reached = tirx.all(
                *(tirx.all(p >= number(-1), p <= number(size)) for p, size in zip(places, sizes, strict=True))
            )
            ends: list[tuple[Expr, Expr]] = []
            parts: list[tuple[Expr, Expr]] = []
            for place, size in zip(places, sizes, strict=True):
                known = tirx.Select(
                    reached, tirx.max(tirx.min(place, number(size - 1)), number(0)), number(0)
                )
                first = _clamped(tirx.Cast("int32", known), size)
                part = known - tirx.Cast(dtype, first)
                ends.append((first, tirx.min(first + 1, size - 1)))
                parts.append((number(1) - part, part))
            for i in range(4):
                near[i] = ends[0][i // 2] * sizes[1] + ends[1][i % 2]
                weights[i] = tirx.Select(reached, parts[0][i // 2] * parts[1][i % 2], number(0))

        def take(region: Expr, cell: Sequence[Expr], is_first: Expr) -> None:
            """A sample of every channel, into the cell."""
            with T.serial(0, channels) as channel:
                at = linear([region, channel, *cell], shape)
                start = (inside(image[region], batch) * channels + channel) * product(sizes)
                pixels = [weights[i] * plane[start + near[i]] for i in range(4)]
                if regions.largest:
                    value = tirx.max(tirx.max(pixels[0], pixels[1]), tirx.max(pixels[2], pixels[3]))
                    result[at] = tirx.Select(is_first, value, tirx.max(result[at], value))
                else:
                    result[at] = result[at] + (pixels[0] + pixels[1] + pixels[2] + pixels[3])

        with T.serial(0, product(shape)) as i:
            result[i] = number(0)
        with T.serial(0, count) as region, T.serial(0, cells[0]) as row, T.serial(0, cells[1]) as column:
            measure(region, (row, column))
            with T.serial(0, samples[0]) as y, T.serial(0, samples[1]) as x:
                look((y, x))
                take(region, (row, column), tirx.all(y == 0, x == 0))
            if not regions.largest:
                taken = tirx.Cast(dtype, tirx.max(samples[0] * samples[1], 1))
                with T.serial(0, channels) as channel:
                    at = linear([region, channel, row, column], shape)
                    result[at] = result[at] / taken

    return sequential("pooled_regions", [data, boxes, images], [(shape, dtype)], emit)
