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


def deformed_places(offsets: Tensor, mask: Tensor | None, windows: Windows, sizes: Sequence[int]) -> Any:
    """Where each tap of each window lies in planes of `sizes`: the numbers of the four pixels around it,
    int32 [N, groups, taps, 4, rows, columns], and what each weighs, times the tap's mask: nothing where there
    is no such pixel.

    offsets: [N, groups · taps · 2, rows, columns], rows before columns.
    mask:    [N, groups · taps, rows, columns].
    """
    batch, count, *plane = extents(offsets)
    taps, dtype = product(windows.kernel), str(offsets.dtype)
    shape = (batch, count // (2 * taps), taps, 4, *plane)
    zero, one = tirx.const(0, dtype), tirx.const(1, dtype)

    def moved(axis: int, at: Sequence[Expr]) -> Expr:
        n, group, tap, _, *place = at
        in_window = tap // windows.kernel[1] if axis == 0 else tap % windows.kernel[1]
        still = place[axis] * windows.strides[axis] - windows.pads[axis] + in_window * windows.dilations[axis]
        return tirx.Cast(dtype, still) + offsets(n, (group * taps + tap) * 2 + axis, *place)

    def near(axis: int, at: Sequence[Expr]) -> tuple[Expr, Expr]:
        """The last pixel that is not behind the tap, -1 in front of the plane, and how far behind it the tap
        is; of a tap that is nowhere, the place behind the last pixel."""
        place, size = moved(axis, at), tirx.const(sizes[axis], dtype)
        known = tirx.Select(tirx.all(place > -one, place < size), place, size)
        return tirx.floor(known), known - tirx.floor(known)

    def second(axis: int, at: Sequence[Expr]) -> Expr:
        return (at[3] // 2 if axis == 0 else at[3] % 2) > 0

    def pixel(*at: Expr) -> Expr:
        chosen = []
        for axis, size in enumerate(sizes):
            first = tirx.Cast("int32", near(axis, at)[0])
            chosen.append(_clamped(first + tirx.Cast("int32", second(axis, at)), size))
        return linear(chosen, sizes)

    def weight(*at: Expr) -> Expr:
        total = one if mask is None else mask(at[0], at[1] * taps + at[2], *at[4:])
        exists = []
        for axis, size in enumerate(sizes):
            first, part = near(axis, at)
            is_second = second(axis, at)
            total = total * tirx.Select(is_second, part, one - part)
            number = first + tirx.Select(is_second, one, zero)
            exists += [number >= zero, number < tirx.const(size, dtype)]
        return tirx.Select(tirx.all(*exists), total, zero)

    return [
        te.compute(shape, pixel, name="deformed_pixels"),
        te.compute(shape, weight, name="deformed_weights"),
    ]


def deformed_windows(data: Tensor, pixels: Tensor, weights: Tensor) -> Tensor:
    """[N, C, taps, rows, columns]: what each tap of each window reads of `data` [N, C, H, W], whose channels
    share places in groups; a pixel that weighs nothing does not count, whatever it is."""
    batch, channels, *sizes = extents(data)
    _, groups, taps, _, *plane = extents(pixels)
    zero = tirx.const(0, str(data.dtype))

    def element(n: Expr, channel: Expr, tap: Expr, *at: Expr) -> Expr:
        total: Expr = zero
        for corner in range(4):
            where = (n, channel // (channels // groups), tap, corner, *at)
            number = pixels(*where)
            value = data(n, channel, number // sizes[1], number % sizes[1])
            total = total + tirx.Select(weights(*where) == zero, zero, value * weights(*where))
        return total

    return te.compute((batch, channels, taps, *plane), element, name="deformed_windows")


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
