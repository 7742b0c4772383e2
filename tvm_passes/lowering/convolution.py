"""Dense and grouped convolutions of any kernel, and matrix multiplications, as indexed convolutions.

`y[o, p] = sum_{c,t} w[o, c, t] x[c, p * stride + t]` becomes a sum over virtual channels (c, t) read at
`ct[c, t] + pt[p]`; channels of zeros drop out, and so do their weights. Products are
paired where that is allowed and modelled to pay.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

import schedules
from schedules.paired_products import Pairing
from schedules.workload import IndexedConv, PairedConv

from ..array import Array
from ..compiled import KernelRecord
from ..placement import Address
from .borders import Pixels, classes_of_pixels
from .context import Invocation, KernelCall, LoweringContext, side_by_side
from .convolution_part import Part, in_runs, together
from .operands import epilogue_arguments, epilogue_of, output_arguments
from .pairing import cheapest_pairing, in_fewest_lines
from .steps import StageStep
from .vectors import Vectors, ways_to_cut
from .virtual_channels import taps_of, virtual_channels

WORTH_PAIRING = 0.95
"""Share of the direct form's cycles that must not be exceeded: it is the more exact one."""


def lower_convolution(context: LoweringContext, step: StageStep, record: KernelRecord) -> KernelCall:
    """The kernel calls of a convolution stage.

    One for all pixels, or for each class of them at the border of an input that is read where it lies; two of
    each where narrower vectors finish the last block.
    """
    stage, view = step.stage, step.view
    n, _, rows, columns = stage.shape
    plane = (view.extent.rows, view.extent.columns) if view.tensors[0].is_callers else None
    starts = view.pixels(stage.window, rows, columns)
    parts = [
        (part, pixels.numbers)
        for whole in classes_of_pixels(stage.window, (n, rows, columns), plane)
        if (pixels := whole.among(step.pixels)) is not None
        for part in _cheapest(context, step, whole, starts)  # so a strip has the same sums as the plane
    ]
    calls = [_invocation(context, step, part, orders, starts) for part, orders in together(parts, starts)]
    return KernelCall((side_by_side(calls),), record)


def _invocation(
    context: LoweringContext, step: StageStep, part: Part, orders: Sequence[Array], starts: Array
) -> Invocation:
    """The part for the pixels of the first of `orders`, and what the others add to them.

    starts: of the windows of all pixels.
    """
    stage, view, output, vectors = step.stage, step.view, step.output, part.vectors
    kernel = context.kernel(part.workload)
    arguments = {
        "x": view.address,
        "pt": context.table(starts[orders[0]]),
        **{name: _stored(context, table) for name, table in part.tables.items()},
        **output_arguments(context, output, orders, vectors),
        **epilogue_arguments(context, stage.epilogue, step.operands, output, orders, vectors),
        # The last: while these are used, what follows them is fetched, and that is the next step's.
        "k": context.constant(schedules.pack_weights(kernel, part.weights())),
    }
    return context.invoke(kernel, arguments, step.touched)


def _stored(context: LoweringContext, table: Array) -> Address:
    return context.table(table) if table.dtype.kind == "i" else context.constant(table)


def _cheapest(context: LoweringContext, step: StageStep, pixels: Pixels, starts: Array) -> tuple[Part, ...]:
    """Of the ways to cut the output into vectors, the one with the fewest modelled cycles.

    starts: of the windows of all pixels.
    """
    machine = schedules.machine_of(context.target)

    def cycles(parts: Sequence[Part]) -> float:
        return sum(schedules.modelled_cycles(p.workload, machine, context.threads) for p in parts)

    direct = [[_part(step, pixels, vectors) for vectors in way] for way in ways_to_cut(step.output)]
    exact = min(direct, key=cycles)
    of_these = starts[pixels.numbers]
    pairing = _pairing(context, step, pixels, direct[0][0], of_these)
    if pairing is not None:
        ways = (_paired(context, way, pairing) for way in direct)
        paired = min(([part.of(of_these) for part in way] for way in ways), key=cycles)
        if cycles(paired) < WORTH_PAIRING * cycles(exact):
            return tuple(paired)
    return tuple(exact)


def _part(step: StageStep, pixels: Pixels, vectors: Vectors) -> Part:
    stage, output = step.stage, step.output
    offsets, weights = virtual_channels(stage, step.view, output, pixels, vectors)
    workload = IndexedConv(
        virtual_channels=offsets.shape[1],
        blocks=vectors.count,
        lanes=vectors.lanes,
        pixels=len(pixels.numbers),
        tables=offsets.shape[0],
        epilogue=epilogue_of(stage.epilogue, step.operands),
    )
    return Part(vectors, workload, {"ct": offsets}, weights)


def _pairing(
    context: LoweringContext, step: StageStep, pixels: Pixels, part: Part, starts: Array
) -> Pairing | None:
    """Which virtual channels are multiplied in pairs; None where that cannot be or is not allowed.

    starts: of the windows of these pixels.
    """
    if not context.forms.pairing or step.stage.groups > 1 or not pixels.taps.size:
        return None
    workload = in_runs(_paired_workload(part), starts)
    if schedules.refusal(workload, context.target) is not None:
        return None
    machine = schedules.machine_of(context.target)
    (offsets,) = part.tables["ct"]
    return cheapest_pairing(
        offsets,
        in_fewest_lines(workload, step, taps_of(step.stage, step.view, pixels)[0]),
        lambda way: schedules.modelled_cycles(way, machine, context.threads),
    )


def _paired(context: LoweringContext, parts: Sequence[Part], pairing: Pairing) -> list[Part]:
    """The parts, with products in pairs where a template takes that.

    All sum in the same order, so that equal filters have equal sums where inputs forbid to pair.
    """
    return [_in_pairs(context, _reordered(part, pairing.order), pairing) for part in parts]


def _paired_workload(part: Part, pairing: Pairing | None = None) -> PairedConv:
    """Without a pairing, what any has in common."""
    direct = part.workload
    lines, line_lanes = (1, direct.lanes) if pairing is None else pairing.signs.shape
    return PairedConv(
        virtual_channels=direct.virtual_channels,
        lines=lines,
        blocks=direct.blocks,
        lanes=direct.lanes,
        pixels=direct.pixels,
        epilogue=direct.epilogue,
        line_lanes=line_lanes,
    )


def _in_pairs(context: LoweringContext, part: Part, pairing: Pairing) -> Part:
    workload = _paired_workload(part, pairing)
    if schedules.refusal(workload, context.target) is not None:
        return part
    return attrs.evolve(
        part, workload=workload, tables={**part.tables, "line": pairing.lines, "sign": pairing.signs}
    )


def _reordered(part: Part, order: Array) -> Part:
    """The part with its virtual channels in another order."""
    return attrs.evolve(
        part, tables={"ct": part.tables["ct"][:, order]}, weights=lambda: part.weights()[:, order]
    )
