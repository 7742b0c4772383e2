"""Places in the arena: what no placement goes below, and halos that are zero when they are read."""

from __future__ import annotations

import numpy as np
import pytest
from tvm.relax import op

from tests.passes.modules import Array, check_planned, conv, module, moved, through, values
from tvm_passes.fold import fold
from tvm_passes.fuse import fuse
from tvm_passes.geometry import Extent, Geometry, Halo
from tvm_passes.layout import Planner
from tvm_passes.lowering.steps import StageStep
from tvm_passes.place import lifespans
from tvm_passes.placement import Blocked
from tvm_passes.report import Report
from tvm_passes.tensors import Tensors

LANES = 8
SHAPE = (1, 8, 6, 6)


def plan(mod) -> Tensors:
    return Planner(fold(fuse(mod), Report()), LANES).run()


def weights(outputs: int, inputs: int, size: int = 1) -> Array:
    return values(outputs, inputs, size, size)


def _pyramid(emit, x):
    """Planes of three sizes, each with a halo that is read, and the largest again at the end."""
    y = emit(conv(x, weights(8, 8)))
    z = emit(conv(emit(op.nn.max_pool2d(y, (2, 2), (2, 2))), weights(24, 8, 3), 1))
    small = emit(conv(emit(op.nn.relu(z)), weights(40, 24, 3), 1, strides=2))
    gate = emit(op.mean(emit(conv(small, weights(8, 40, 3), 1)), [2, 3], keepdims=True))
    return emit(op.multiply(emit(conv(y, weights(8, 8, 3), 1)), gate))


def test_the_lower_bound_is_the_most_that_is_alive() -> None:
    """x and y; y and z; z and the result: planes of 36 pixels, 20 channels of y in 24 lanes."""

    def body(emit, x):
        return emit(conv(emit(op.nn.relu(emit(conv(x, weights(20, 8), 0)))), weights(4, 20, 3), 1))

    planned = plan(module([SHAPE], body))
    assert planned.arena.lower_bound == 4 * 36 * (8 + 20)
    assert planned.arena.bytes >= planned.arena.lower_bound


def test_extents_share_memory() -> None:
    """Tensors of every extent together need no more than those alive at once, their halos included."""
    planned = plan(module([SHAPE], _pyramid))
    tensors = {t for step in planned.steps for t in step.tensors if isinstance(t, Blocked)}
    assert len({t.extent for t in tensors}) > 3
    sizes = {t: 4 * t.blocks * t.geometry.plane for t in tensors}
    apart = sum(max(sizes[t] for t in tensors if t.extent == e) for e in {t.extent for t in tensors})
    assert planned.arena.bytes < apart


def test_a_halo_is_cleared_only_where_something_else_lay() -> None:
    def chain(emit, x):
        for _ in range(4):
            x = emit(conv(x, weights(8, 8, 3), 1))
        return x

    planned = plan(module([SHAPE], chain))
    cleared = {t for tensors in planned.arena.cleared.values() for t in tensors}
    blocked = {t for step in planned.steps for t in step.tensors if isinstance(t, Blocked)}
    assert 0 < len(cleared) < len(blocked)
    assert all(not t.halo.empty for t in cleared)


@pytest.mark.usefixtures("threads_pay")
@pytest.mark.parametrize("threads", [1, 2])
def test_halos_are_zero_whatever_lay_there(threads: int) -> None:
    """Run twice, on other numbers: what the first run leaves must not be read."""
    check_planned(module([(1, 8, 13, 11)], _pyramid), threads=threads)


def test_shifts_of_every_border_over_shared_memory() -> None:
    shape = (1, 8, 7, 5)
    offsets = [((c % 3) - 1, (c // 3) - 1) for c in range(8)]

    def body(emit, x):
        for border in ("zero", "wrap", "edge", "zero"):
            x = emit(conv(emit(op.nn.relu(emit(conv(x, weights(24, 8))))), weights(8, 24, 3), 1))
            x = emit(conv(emit(through(moved(offsets, shape, border), x)), weights(8, 8)))
        return x

    check_planned(module([shape], body))


def test_an_unread_halo_is_not_cleared() -> None:
    """The second convolution reads no border: only its input's planes have one, for the third."""

    def body(emit, x):
        y = emit(conv(x, weights(8, 8)))
        z = emit(conv(y, weights(8, 8)))
        return emit(conv(z, weights(8, 8, 3), 1))

    planned = plan(module([SHAPE], body))
    y, z, _ = (step.output for step in planned.steps if isinstance(step, StageStep))
    assert y.geometry == z.geometry
    assert y.halo.empty and not z.halo.empty


def _residuals(emit, x):
    """Two sums written over their first operand; a third whose operand is read again; activations between."""
    y = emit(conv(x, weights(16, 8)))
    for size in (3, 1):
        y = emit(
            op.nn.relu(
                emit(op.add(emit(conv(emit(conv(y, weights(8, 16))), weights(16, 8, size), size // 2)), y))
            )
        )
    z = emit(op.add(emit(conv(x, weights(16, 8))), y))
    return emit(op.add(emit(conv(z, weights(16, 16, 3), 1)), emit(op.multiply(y, z))))


def test_a_sum_is_written_over_an_operand_that_nobody_reads_later() -> None:
    planned = plan(module([SHAPE], _residuals))
    over = planned.arena.overwritten
    assert len(over) >= 2
    spans = lifespans(planned.steps)
    for result, operand in over.items():
        assert result.base == operand.base
        assert spans[operand][1] == spans[result][0]


@pytest.mark.usefixtures("threads_pay")
@pytest.mark.parametrize("threads", [1, 2])
def test_sums_over_their_operands_are_right(threads: int) -> None:
    check_planned(module([(1, 8, 13, 11)], _residuals), threads=threads)


def test_an_operand_that_is_read_in_another_way_is_kept() -> None:
    """By the same convolution, through a shift, or in another order of channels."""
    shift = moved([(0, 1)] * 16, (1, 16, 6, 6))

    def read_twice(emit, x):
        y = emit(conv(x, weights(16, 8)))
        return emit(op.add(emit(conv(y, weights(16, 16, 3), 1)), y))

    def shifted(emit, x):
        y = emit(conv(x, weights(16, 8)))
        return emit(op.add(emit(conv(x, weights(16, 8))), emit(through(shift, y))))

    for body in (read_twice, shifted):
        assert not plan(module([SHAPE], body)).arena.overwritten


def test_around_is_what_is_covered_of_the_halo() -> None:
    geometry = Geometry(Extent(2, 3, 2, 4), Halo(rows=(1, 2), columns=(2, 1)))
    planes = np.zeros(geometry.shape)
    planes[geometry.within(Halo())] = 1
    pixels = planes.reshape(-1, 4)
    around = geometry.around(Halo(rows=(1, 1), columns=(0, 1)))
    assert geometry.plane == planes.size
    assert (around % 4 == 0).all()
    assert not pixels[around // 4].any()
    # per image: a row above and one below of 2 + 1 columns, and a column on the right of 3 rows
    assert len(around) == 2 * (3 + 3 + 3)
    everything = np.concatenate([geometry.around(geometry.halo), geometry.pixels()])
    assert sorted(everything) == list(range(0, geometry.plane, 4))


def test_around_a_clip() -> None:
    geometry = Geometry(Extent(4, 1, 1, 1, clip=2), Halo(batch=(1, 1)))
    assert geometry.around(geometry.halo).tolist() == [0, 3, 4, 7]
