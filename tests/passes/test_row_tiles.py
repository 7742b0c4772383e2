"""Which rows a chain computes in each tile, and where the rows that it keeps lie: followed row by row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm.ir import Expr, IRModule, Var
from tvm.relax import op

from schedules.machine import MachineParameters
from tests.passes.modules import Emit, apply_rule, const, conv, joined, module, moved, through, values
from tests.passes.test_clips import temporal
from tvm_passes.anchor import Window
from tvm_passes.chains import why_not_chained
from tvm_passes.fold import fold
from tvm_passes.fuse import fuse
from tvm_passes.layout import Planner
from tvm_passes.lowering.chain import _outside
from tvm_passes.lowering.steps import StageStep, Step
from tvm_passes.placement import Blocked
from tvm_passes.relax_values import shape_of
from tvm_passes.report import Report
from tvm_passes.roll import at_tile, roll, stage_at
from tvm_passes.row_tiles import Ring, RowTiles, row_tiles

LANES = 8
CHANNELS = 8
MACHINE = MachineParameters(lanes=16, vector_registers=32, fma_ports=2, load_ports=2)


def steps_of(mod: IRModule, machine: MachineParameters | None = None) -> list[Step]:
    """All steps of the program; convolutions are direct unless there is a machine."""
    lanes = LANES if machine is None else machine.lanes
    return Planner(fold(fuse(mod), Report()), lanes, machine).run().steps


def stages_among(steps: Sequence[Step]) -> list[StageStep]:
    return [step for step in steps if isinstance(step, StageStep)]


def tiled(steps: Sequence[Step], chain: Sequence[StageStep], height: int) -> RowTiles:
    others = [step for step in steps if step not in chain]
    return row_tiles(chain, {t for step in others for t in step.tensors if isinstance(t, Blocked)}, height)


def tall(x: Expr, kernel: int, stride: int = 1, dilation: int = 1, padding: tuple[int, int] = (0, 0)) -> Expr:
    """A convolution along rows."""
    weight = const(values(CHANNELS, shape_of(x)[1], kernel, 1))
    pads = (padding[0], 0, padding[1], 0)
    return op.nn.conv2d(x, weight, strides=(stride, 1), padding=pads, dilation=(dilation, 1))


def input_of(rows: int, batch: int = 1) -> tuple[int, int, int, int]:
    return batch, CHANNELS, rows, 3


# --- followed row by row --------------------------------------------------------------------------------


def rows_read(step: StageStep, row: int) -> Iterator[tuple[Blocked, int]]:
    """Rows of operands that computing a row of the result reads, with all rows that are computed with it."""
    first = row - row % step.row_step
    views = [(step.view, step.stage.window)]
    views += [(o.view, Window()) for o in step.operands if o is not None and o.access != "channel"]
    for view, window in views:
        for source, move in {
            (int(s), int(m)) for s, m in zip(view.source, view.offset[:, 1], strict=True) if s >= 0
        }:
            for at in range(first, first + step.row_step):
                for tap in range(window.kernel[0]):
                    y = at * window.stride[0] + tap * window.dilation[0] - window.padding[0]
                    yield view.tensors[source], y * view.stride[0] + move


class Rows:
    """Which row lies at which place of every ring, and which rows of every result are computed."""

    def __init__(self, tiles: RowTiles) -> None:
        self.tiles = tiles
        self.lying: dict[Blocked, dict[int, int]] = {t: {} for ring in tiles.rings for t in ring.tensors}
        self.computed: dict[Blocked, list[int]] = {stage.output: [] for stage in tiles.stages}

    def run(self) -> None:
        """All tiles; twice, as for two images."""
        for _ in range(2):
            for rows in self.computed.values():
                rows.clear()
            for tile in range(self.tiles.tiles):
                self._prepare(tile)
                self._compute(tile)
            for stage, cuts in zip(self.tiles.stages, self.tiles.cuts, strict=True):
                assert self.computed[stage.output] == list(range(cuts[0], cuts[-1]))

    def place(self, tensor: Blocked, tile: int, row: int) -> int:
        """The place of a row by the ring's geometry: among those that it has."""
        geometry = at_tile(self.tiles, tile)[tensor].geometry
        place, column = divmod(int(geometry.offset(0, row, 0)), geometry.row_stride)
        assert column == geometry.halo.columns[0] * geometry.column_stride
        assert 0 <= place < geometry.batch_stride // geometry.row_stride
        return place

    def _prepare(self, tile: int) -> None:
        for ring, tensor in self._kept():
            lying = self.lying[tensor]
            for before, rows in self.tiles.carries(ring, tensor):
                if before == tile:
                    sources = [self.place(tensor, tile - 1, row) for row in rows]
                    places = [self.place(tensor, tile, row) for row in rows]
                    assert not set(sources) & set(places)
                    lying.update(zip(places, [lying[source] for source in sources], strict=True))
            for rows in _outside(ring, tensor, tile):
                assert not set(rows) & set(range(tensor.extent.rows))
                lying.update({self.place(tensor, tile, row): row for row in rows})

    def _compute(self, tile: int) -> None:
        for stage, cuts in zip(self.tiles.stages, self.tiles.cuts, strict=True):
            for row in range(cuts[tile], cuts[tile + 1]):
                for tensor, read in rows_read(stage, row):
                    if tensor in self.lying:
                        assert self.lying[tensor].get(self.place(tensor, tile, read)) == read
                    elif tensor in self.computed and 0 <= read < tensor.extent.rows:
                        assert read in self.computed[tensor]
                    else:
                        above, below = tensor.geometry.halo.rows
                        assert -above <= read < tensor.extent.rows + below
            for row in range(cuts[tile], cuts[tile + 1]):
                self.computed[stage.output].append(row)
                if stage.output in self.lying:
                    self.lying[stage.output][self.place(stage.output, tile, row)] = row

    def _kept(self) -> Iterator[tuple[Ring, Blocked]]:
        for ring in self.tiles.rings:
            for tensor in ring.tensors:
                yield ring, tensor


def follow(tiles: RowTiles) -> None:
    """Every row that is read is there, in place; every row is computed once."""
    for stage, cuts in zip(tiles.stages, tiles.cuts, strict=True):
        assert len(cuts) == tiles.tiles + 1
        assert list(cuts) == sorted(cuts)
        assert (cuts[0], cuts[-1]) == (0, stage.stage.shape[2])
        assert all(cut % stage.row_step == 0 for cut in cuts if cut < cuts[-1])
    for ring in tiles.rings:
        memory = ring.tensors[0].geometry
        assert ring.kept < memory.batch_stride // memory.row_stride
        assert list(ring.firsts) == sorted(ring.firsts)
    stage_of = {stage.output: number for number, stage in enumerate(tiles.stages)}
    firsts = [stage_of[ring.tensors[0]] for ring in tiles.rings]
    assert firsts == sorted(firsts)  # whatever order sets have: compiling again gives the same program
    (rolled,) = roll([tiles]).bands
    for tile in range(rolled.tiles):
        for stage in rolled.stages:
            here = stage_at(stage, at_tile(rolled, tile))
            for view in (here.view, *(o.view for o in here.operands if o is not None)):
                assert all(tensor.geometry == view.geometry for tensor in view.tensors)
    Rows(rolled).run()


def chains_of(steps: Sequence[Step]) -> Iterator[list[StageStep]]:
    """The longest runs of stages that can be a chain."""
    run: list[StageStep] = []
    for step in (*steps, None):
        if isinstance(step, StageStep) and why_not_chained(step) is None:
            run.append(step)
        else:
            if len(run) > 1:
                yield run
            run = []


# --- random chains --------------------------------------------------------------------------------------


@attrs.frozen
class Choice:
    """An operator of one of the last results, or of that and another of the same plane."""

    kind: str
    of: int
    other: int
    kernel: int
    stride: int
    dilation: int
    padding: tuple[int, int]
    moves: tuple[int, int]

    def apply(self, emit: Emit, known: Sequence[Var]) -> Var:
        x = known[-1 - self.of % len(known)]
        others = [v for v in known if shape_of(v)[2:] == shape_of(x)[2:]]
        y = others[self.other % len(others)]
        channels = shape_of(x)[1]
        if self.kind == "depthwise":
            return emit(conv(x, values(channels, 1, 3, 3), 1, (self.stride, 1), groups=channels))
        if self.kind in ("max", "avg"):
            pool = op.nn.max_pool2d if self.kind == "max" else op.nn.avg_pool2d
            return emit(pool(x, (3, 3), (self.stride, 1), (1, 1)))
        if self.kind == "shift":
            x = emit(
                through(moved([(self.moves[c % 2], c % 3 - 1) for c in range(channels)], shape_of(x)), x)
            )
        elif self.kind == "concat":
            x = emit(joined(x, y))
        elif self.kind == "add":
            return emit(op.nn.relu(emit(op.add(x, y if shape_of(y) == shape_of(x) else x))))
        result = emit(self._convolved(x))
        return emit(op.add(result, y)) if shape_of(y) == shape_of(result) else result

    def _convolved(self, x: Var) -> Expr:
        """Moves and joined tensors are read with the zeros around them that a map has: without padding."""
        padding = self.padding if self.kind == "convolution" else (0, 0)
        reach = (self.kernel - 1) * self.dilation
        kernel = self.kernel if reach < shape_of(x)[2] + sum(padding) else 1
        return tall(x, kernel, self.stride, self.dilation, padding)


KINDS = ["convolution", "convolution", "depthwise", "max", "avg", "shift", "concat", "add"]
PADDINGS = st.one_of(st.integers(0, 3).map(lambda p: (p, p)), st.tuples(st.integers(0, 4), st.integers(0, 4)))
MOVES = st.tuples(st.integers(-3, 3), st.integers(-3, 3))
CHOICES = st.builds(
    Choice,
    st.sampled_from(KINDS),
    st.integers(0, 2),
    st.integers(0, 9),
    st.integers(1, 7),
    st.integers(1, 3),
    st.integers(1, 2),
    PADDINGS,
    MOVES,
)


def network(rows: int, batch: int, choices: Sequence[Choice]) -> IRModule:
    """The operators in order; the result of the first and of the last are returned."""

    def body(emit: Emit, x: Var) -> tuple[Expr, ...]:
        known = [emit(tall(x, 1))]
        for choice in choices:
            known.append(choice.apply(emit, known))
        return known[1], known[-1]

    return apply_rule(
        lambda graph: None, module([input_of(rows, batch)], body)
    )  # what nobody reads is left out


@settings(max_examples=100)
@given(st.integers(2, 17), st.integers(1, 2), st.lists(CHOICES, min_size=2, max_size=7), st.data())
def test_every_row_is_there_when_it_is_read(
    rows: int, batch: int, choices: list[Choice], data: st.DataObject
) -> None:
    steps = steps_of(network(rows, batch, choices))
    for chain in chains_of(steps):
        first = data.draw(st.integers(0, len(chain) - 2))
        last = data.draw(st.integers(first + 2, len(chain)))
        part = chain[first:last]
        height = data.draw(st.integers(1, part[-1].stage.shape[2]))
        tiles = tiled(steps, part, height)
        assert tiles.tiles == -(-part[-1].stage.shape[2] // height)
        follow(tiles)


@settings(max_examples=20)
@given(
    st.integers(13, 30), st.integers(1, 30), st.sampled_from([1, 8]), st.tuples(st.booleans(), st.booleans())
)
def test_winograds_rows_are_there(
    rows: int, height: int, groups: int, winograd_last: tuple[bool, bool]
) -> None:
    """Its patches read rows beyond the last one that is computed."""

    def body(emit: Emit, x: Var) -> Expr:
        y = emit(conv(x, values(64, 16, 1, 1)))
        for last in winograd_last:
            z = emit(conv(y, values(64, 64 // groups, 3, 3), 1, groups=groups))
            y = z if last else emit(op.add(emit(conv(z, values(64, 64, 1, 1))), y))
        return y

    steps = steps_of(module([(1, 16, rows, 16)], body), MACHINE)
    (chain,) = chains_of(steps)
    assert any(step.winograd is not None for step in chain)
    follow(tiled(steps, chain, min(height, rows)))


# --- examples that are small enough to check by hand ----------------------------------------------------


def two_convolutions(rows: int, kernel: int = 3, stride: int = 1) -> IRModule:
    pads = (kernel // 2, kernel // 2)

    def body(emit: Emit, x: Var) -> Expr:
        return emit(tall(emit(tall(x, kernel, 1, 1, pads)), kernel, stride, 1, pads))

    return module([input_of(rows)], body)


def only_ring(steps: Sequence[Step], height: int) -> tuple[RowTiles, Ring, list[tuple[int, range]]]:
    tiles = tiled(steps, stages_among(steps), height)
    (ring,) = tiles.rings
    (tensor,) = ring.tensors
    return tiles, ring, list(tiles.carries(ring, tensor))


def test_two_convolutions_in_tiles_of_two_rows() -> None:
    tiles, ring, carries = only_ring(steps_of(two_convolutions(8)), 2)
    assert tiles.cuts == ((0, 3, 5, 7, 8), (0, 2, 4, 6, 8))
    assert (ring.kept, ring.firsts, ring.lasts) == (4, (-1, 1, 3, 5), (3, 5, 7, 9))
    assert carries == [(1, range(1, 3)), (2, range(3, 5)), (3, range(5, 7))]


def test_rows_move_when_they_fit_in_front_of_themselves() -> None:
    """Two rows are read again in every tile of one row: they move by two rows in every other tile."""
    tiles, ring, carries = only_ring(steps_of(two_convolutions(6)), 1)
    assert tiles.cuts == ((0, 2, 3, 4, 5, 6, 6), (0, 1, 2, 3, 4, 5, 6))
    assert (ring.kept, ring.firsts, ring.lasts) == (4, (-1, -1, 1, 1, 3, 3), (2, 3, 4, 5, 6, 7))
    assert carries == [(2, range(1, 3)), (4, range(3, 5))]


def test_a_stride_of_two() -> None:
    tiles, ring, carries = only_ring(steps_of(two_convolutions(8, stride=2)), 1)
    assert tiles.cuts == ((0, 2, 4, 6, 8), (0, 1, 2, 3, 4))
    assert (ring.kept, ring.firsts, ring.lasts) == (3, (-1, 1, 3, 5), (2, 4, 6, 8))
    assert carries == [(1, range(1, 2)), (2, range(3, 4)), (3, range(5, 6))]


def test_the_last_tile_is_shorter() -> None:
    tiles, ring, _ = only_ring(steps_of(two_convolutions(7)), 3)
    assert tiles.cuts == ((0, 4, 7, 7), (0, 3, 6, 7))
    assert (ring.kept, ring.firsts, ring.lasts) == (5, (-1, 2, 5), (4, 7, 8))


def test_rows_that_nothing_reads_are_computed_at_the_end() -> None:
    """The last convolution, of one row, stride 3, does not read the last two."""

    def body(emit: Emit, x: Var) -> Expr:
        return emit(tall(emit(tall(x, 1)), 1, 3))

    tiles, ring, carries = only_ring(steps_of(module([input_of(9)], body)), 1)
    assert tiles.cuts == ((0, 1, 4, 9), (0, 1, 2, 3))
    assert (ring.kept, ring.firsts, carries) == (5, (0, 1, 4), [])


def test_a_shift_reads_the_rows_that_its_channels_do() -> None:
    shift = moved([(-1, 0), (2, 0)] * 4, input_of(8))

    def body(emit: Emit, x: Var) -> Expr:
        return emit(tall(emit(through(shift, emit(tall(x, 1)))), 1))

    tiles, ring, carries = only_ring(steps_of(module([input_of(8)], body)), 4)
    assert tiles.cuts == ((0, 6, 8), (0, 4, 8))
    assert (ring.kept, ring.firsts, ring.lasts) == (7, (-1, 3), (6, 10))
    assert carries == [(1, range(3, 6))]


def test_tensors_that_are_read_together_are_kept_together() -> None:
    """One is read by a window too: what they have in common begins with the earliest row of any."""

    def body(emit: Emit, x: Var) -> Expr:
        a, b = emit(tall(x, 1)), emit(tall(x, 5, 1, 1, (2, 2)))
        return emit(op.add(emit(tall(emit(joined(a, b)), 1)), emit(tall(b, 3, 1, 1, (1, 1)))))

    steps = steps_of(module([input_of(12)], body))
    tiles = tiled(steps, stages_among(steps), 3)
    together = [ring for ring in tiles.rings if len(ring.tensors) == 2]
    assert len(together) == 1
    assert together[0].firsts == (-1, 2, 5, 8)
    follow(tiles)


def test_winograd_computes_rows_in_steps() -> None:
    def body(emit: Emit, x: Var) -> Expr:
        return emit(conv(emit(conv(x, values(64, 16, 1, 1))), values(64, 64, 3, 3), 1))

    steps = steps_of(module([(1, 16, 16, 16)], body), MACHINE)
    assert stages_among(steps)[1].row_step == 4
    tiles, ring, _ = only_ring(steps, 2)
    assert tiles.cuts == ((0, 5, 5, 9, 9, 13, 13, 16, 16), (0, 4, 4, 8, 8, 12, 12, 16, 16))
    assert ring.kept == 6
    assert ring.lasts[6] == 17


def test_what_others_read_stays_a_plane() -> None:
    """An output of the program beside the chain's, and an operand of a step behind it."""

    def output(emit: Emit, x: Var) -> tuple[Expr, ...]:
        y = emit(tall(x, 1))
        return y, emit(tall(y, 1))

    def behind(emit: Emit, x: Var) -> Expr:
        y = emit(tall(x, 1))
        gate = emit(op.mean(emit(tall(y, 1)), [2, 3], keepdims=True))
        return emit(op.multiply(emit(tall(y, 3)), gate))

    for body in (output, behind):
        steps = steps_of(module([input_of(8)], body))
        tiles = tiled(steps, next(chains_of(steps)), 2)
        assert tiles.rings == ()
        follow(tiles)


def test_all_rows_are_a_plane() -> None:
    """A window as high as the plane: a ring would be no smaller."""
    steps = steps_of(two_convolutions(4, kernel=7))
    assert tiled(steps, stages_among(steps), 1).rings == ()


def test_one_tile_computes_all() -> None:
    steps = steps_of(two_convolutions(6))
    tiles = tiled(steps, stages_among(steps), 6)
    assert tiles.cuts == ((0, 6), (0, 6))
    follow(tiles)


# --- what cannot be part of a chain ---------------------------------------------------------------------


def refusals(body: object, shape: tuple[int, ...] = (2, 8, 6, 3)) -> list[str | None]:
    return [why_not_chained(step) for step in steps_of(module([shape], body))]


def test_stages_computed_row_by_row_can_be_chained() -> None:
    def body(emit: Emit, x: Var) -> Expr:
        y = emit(conv(emit(tall(x, 3, 1, 1, (1, 1))), values(8, 1, 3, 3), 1, groups=8))
        z = emit(op.nn.max_pool2d(y, (3, 3), padding=(1, 1)))
        return emit(op.add(emit(tall(z, 1)), emit(op.nn.relu(emit(op.add(y, z))))))

    chainable = [reason is None for reason in refusals(body)]
    assert chainable[0] is False and chainable[-1] is False  # pack and unpack
    assert all(chainable[1:-1]) and len(chainable) >= 6


@pytest.mark.parametrize(
    ("operator", "reason"),
    [
        (lambda x: op.nn.softmax(x, axis=1), "softmax needs all rows at once"),
        (lambda x: op.mean(x, [2, 3], keepdims=True), "global_pool needs all rows at once"),
        (lambda x: tall(x, 6), "it has one row"),
    ],
)
def test_stages_that_cannot(operator: object, reason: str) -> None:
    assert refusals(lambda emit, x: emit(operator(emit(tall(x, 1)))))[2] == reason  # type: ignore[operator]


def test_steps_that_are_no_stages_cannot() -> None:
    assert refusals(lambda emit, x: emit(tall(x, 1)))[0] == "it is no stage"


@pytest.mark.parametrize("border", ["wrap", "edge"])
def test_halos_that_are_filled_when_all_rows_are_there_refuse(border: str) -> None:
    shift = moved([(1, 0), (-1, 1)] * 4, (2, 8, 6, 3), border)  # type: ignore[arg-type]

    def body(emit: Emit, x: Var) -> Expr:
        return emit(tall(emit(through(shift, emit(tall(x, 1)))), 1))

    assert refusals(body)[1] == f"its halo is a {border}, which is filled when all rows are there"


@pytest.mark.parametrize("frames", [2, None])
def test_other_images_refuse(frames: int | None) -> None:
    """Clips have halos between them; a shift through the whole batch reads images that come later."""
    shape = (4, 8, 6, 3)
    along_time = temporal(frames, (1, -1, *[0] * 6), "zero", shape)

    def body(emit: Emit, x: Var) -> Expr:
        return emit(tall(emit(through(along_time, emit(tall(x, 1)))), 1))

    _, before, after, _ = refusals(body, shape)
    if frames is not None:
        assert before == "it computes clips of several images"
    assert after == "it reads other images than those it computes, which are computed later"
