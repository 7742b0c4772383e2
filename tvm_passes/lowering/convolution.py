"""Dense and grouped convolutions of any kernel, and matrix multiplications, as indexed convolutions.

`y[o, p] = sum_{c,t} w[o, c, t] x[c, p * stride + t]` becomes a sum over virtual channels (c, t) read at
`ct[c, t] + pt[p]`; channels of zeros drop out, and so do their weights. Products are
paired where that is allowed and modelled to pay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs
import numpy as np

import schedules
from schedules.paired_products import Pairing
from schedules.workload import IndexedConv, PairedConv

from ..array import Array
from ..channel_view import ChannelView
from ..compiled import KernelRecord
from ..placement import Address, Blocked
from ..stage import Stage
from ..summation import virtual_order
from .borders import Pixels, classes_of_pixels, one_class
from .context import Invocation, KernelCall, LoweringContext, side_by_side
from .groups import VectorGroups, share_tables
from .operands import epilogue_arguments, epilogue_of, output_arguments, spread_rows
from .pairing import cheapest_pairing, in_fewest_lines
from .steps import StageStep
from .vectors import Vectors, ways_to_cut

Weights = Callable[[], Array]

WORTH_PAIRING = 0.95
"""Share of the direct form's cycles that must not be exceeded: it is the more exact one."""

_SHORT = 8
"""Pixels of a run up to which columns may have several; longer ones fill them, and share more kernels."""


@attrs.frozen(eq=False)
class Part:
    """Some of the output's vectors, and the convolution that computes them.

    tables:  arguments that only the kernel of this workload takes; `ct` are the virtual channels' offsets.
    weights: [vectors * lanes, virtual channels]; made when asked for: most parts are only compared.
    """

    vectors: Vectors
    workload: IndexedConv | PairedConv
    tables: Mapping[str, Array]
    weights: Weights

    def of(self, starts: Array) -> Part:
        """The same convolution of the pixels whose windows begin there."""
        return attrs.evolve(self, workload=of_pixels(self.workload, starts))


def of_pixels(workload: IndexedConv | PairedConv, starts: Array) -> IndexedConv | PairedConv:
    """The same workload for the pixels whose windows begin there."""
    workload = attrs.evolve(workload, pixels=len(starts))
    return in_runs(workload, starts) if isinstance(workload, PairedConv) else workload


def in_runs(workload: PairedConv, starts: Array) -> PairedConv:
    """With what is known of the distances between the pixels whose windows begin there."""
    run, step = _runs(starts)
    rows, row_step = _runs(starts[::run]) if run <= _SHORT else (1, 0)
    return attrs.evolve(workload, run=run, step=step, rows=rows, row_step=row_step)


def lower_convolution(context: LoweringContext, step: StageStep, record: KernelRecord) -> KernelCall:
    """The kernel calls of a convolution stage.

    One for all pixels, or for each class of them at the border of an input that is read where it lies; two of
    each where narrower vectors finish the last block.
    """
    stage, view = step.stage, step.view
    n, _, rows, columns = stage.shape
    plane = view.extent.rows, view.extent.columns
    starts = view.pixels(stage.window, rows, columns)
    find = classes_of_pixels if view.tensors[0].is_callers else one_class
    calls = [
        _invocation(context, step, part.of(starts[pixels.numbers]), pixels.numbers, starts[pixels.numbers])
        for whole in find(stage.window, plane, (n, rows, columns))
        if (pixels := whole.among(step.pixels)) is not None
        for part in _cheapest(context, step, whole, starts)  # so a strip has the same sums as the plane
    ]
    return KernelCall((side_by_side(calls),), record)


def _invocation(
    context: LoweringContext, step: StageStep, part: Part, order: Array, starts: Array
) -> Invocation:
    """The part for the pixels `order`, whose windows begin at `starts`."""
    stage, view, output, vectors = step.stage, step.view, step.output, part.vectors
    kernel = context.kernel(part.workload)
    arguments = {
        "x": view.address,
        "pt": context.table(starts),
        **{name: _stored(context, table) for name, table in part.tables.items()},
        **output_arguments(context, output, order, vectors),
        **epilogue_arguments(context, stage.epilogue, step.operands, output, order, vectors),
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
    convolve = _dense if stage.groups == 1 else _grouped
    offsets, weights = convolve(stage, step.view, output, pixels.taps, vectors)
    workload = IndexedConv(
        virtual_channels=offsets.shape[1],
        blocks=vectors.count,
        lanes=vectors.lanes,
        pixels=len(pixels.numbers),
        tables=offsets.shape[0],
        epilogue=epilogue_of(stage.epilogue, step.operands),
    )
    return Part(vectors, workload, {"ct": offsets}, weights)


def _runs(starts: Array) -> tuple[int, int]:
    """(run, step): into what equally long runs they fall, each number `step` from the one before."""
    steps = np.diff(starts)
    if not steps.size:
        return 1, 0
    breaks = np.flatnonzero(steps != steps[0]) + 1
    run = int(np.gcd.reduce(np.append(breaks, len(starts))))
    return run, int(steps[0]) if run > 1 else 0


def _pairing(
    context: LoweringContext, step: StageStep, pixels: Pixels, part: Part, starts: Array
) -> Pairing | None:
    """Which virtual channels are multiplied in pairs; None where that cannot be or is not allowed.

    starts: of the windows of these pixels.
    """
    if not context.forms.pairing or step.stage.groups > 1:
        return None
    workload = in_runs(_paired_workload(part), starts)
    if schedules.refusal(workload, context.target) is not None:
        return None
    machine = schedules.machine_of(context.target)
    (offsets,) = part.tables["ct"]
    return cheapest_pairing(
        offsets,
        in_fewest_lines(workload, step, pixels.taps),
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


def _taps(stage: Stage, view: ChannelView, chosen: Array) -> tuple[Array, Array]:
    """Of the chosen taps, what each adds to an offset, [T], and their weights, [O, I / groups, T]."""
    assert stage.weight is not None
    weight = stage.weight.reshape(*stage.weight.shape[:2], -1)
    return view.tap_offsets(stage.window)[chosen], weight[:, :, chosen]


def _dense(
    stage: Stage, view: ChannelView, output: Blocked, chosen: Array, vectors: Vectors
) -> tuple[Array, Weights]:
    """Channel offsets [1, virtual channels] and weights [vectors * lanes, virtual channels]."""
    used = np.flatnonzero(view.source >= 0)
    taps, weight = _taps(stage, view, chosen)
    if not used.size:  # everything reads zero: one virtual channel of weight zero keeps the kernel whole
        used, weight = np.zeros(1, np.int64), np.zeros_like(weight)
    channel, tap = virtual_order(len(used), len(taps), view.extent.lanes)
    offsets = view.bases()[used][channel] + taps[tap]
    return offsets[None, :], lambda: spread_rows(weight[:, used[channel], tap], output)[vectors.rows]


def _grouped(
    stage: Stage, view: ChannelView, output: Blocked, chosen: Array, vectors: Vectors
) -> tuple[Array, Weights]:
    """One table per vector: the channels of all groups whose outputs lie in it, zero-weighted across.

    Returns channel offsets [tables, virtual channels] and weights [vectors * lanes, virtual channels].
    """
    taps, weight = _taps(stage, view, chosen)
    groups = VectorGroups.of(stage.groups, output, vectors)
    channel, tap = virtual_order(weight.shape[1], len(taps), view.extent.lanes)
    offsets = groups.tables(view.bases().reshape(stage.groups, -1)[:, channel] + taps[tap])
    return share_tables(offsets), lambda: groups.weights(weight[:, channel, tap])
