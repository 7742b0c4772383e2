"""Batches that are clips of video: channels move along time, and no frame of another clip is read.

Temporal shift: Lin, Gan, Han, "TSM: Temporal Shift Module for Efficient Video Understanding", ICCV 2019.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tvm import relax
from tvm.relax import op

from tests.passes.modules import check_planned, conv, module, moved, through, values
from tvm_passes.fold import fold
from tvm_passes.fuse import fuse
from tvm_passes.geometry import Extent, Geometry, Halo
from tvm_passes.index_map import IndexMap
from tvm_passes.layout import Planner
from tvm_passes.lowering.steps import RepackStep, StageStep
from tvm_passes.recognize import recognize
from tvm_passes.report import Report
from tvm_passes.translation import Border, ChannelTranslation, Translation

LANES = 8
CLIPS, FRAMES = 2, 4
SHAPE = (CLIPS * FRAMES, 8, 5, 3)
MOVES = (1, -1, 0, 0, 0, 0, 0, 0)


def temporal(
    frames: int | None = FRAMES,
    moves: tuple[int, ...] = MOVES,
    border: Border = "zero",
    shape: tuple[int, int, int, int] = SHAPE,
) -> IndexMap:
    """Channel c of frame t is channel c of frame t + moves[c] of the clip."""
    channels = tuple(ChannelTranslation(0, c, dn) for c, dn in enumerate(moves))
    return Translation(channels, border=border, clip=frames).index_map([shape], shape)


def in_numpy(x: np.ndarray, frames: int, moves: tuple[int, ...], border: str) -> np.ndarray:
    out = np.zeros_like(x)
    for n in range(len(x)):
        clip, frame = divmod(n, frames)
        for channel, dn in enumerate(moves):
            read = frame + dn
            read = read % frames if border == "wrap" else read
            read = min(max(read, 0), frames - 1) if border == "edge" else read
            if 0 <= read < frames:
                out[n, channel] = x[clip * frames + read, channel]
    return out


# --- the map --------------------------------------------------------------------------------------------


@given(
    st.sampled_from([(2, 3), (3, 4), (4, 2), (2, 5)]),
    st.lists(st.integers(-2, 2), min_size=2, max_size=2),
    st.sampled_from(["zero", "wrap"]),
)
@example((2, 3), [1, -1], "edge")
def test_the_clip_is_found(clips: tuple[int, int], two: list[int], border: Border) -> None:
    count, frames = clips
    moves = [*two, 0]
    shape = (count * frames, 3, 2, 2)
    index_map = temporal(frames, tuple(moves), border, shape)
    index_map.check()
    x = np.arange(1.0, 1 + np.prod(shape)).reshape(shape)
    np.testing.assert_array_equal(index_map.apply([x]), in_numpy(x, frames, tuple(moves), border))
    found = index_map.translation()
    assert isinstance(found, Translation)  # with other moves, perhaps: of two wrapped frames, -1 is 1
    assert found.index_map([shape], shape) == index_map


def test_a_move_through_the_whole_batch_has_no_clip() -> None:
    found = temporal(None).translation()
    assert isinstance(found, Translation)
    assert found.clip is None
    assert found.moves_batch
    assert not Translation((None, ChannelTranslation(0, 0, 0, 1, 1))).moves_batch


def test_clips_of_different_lengths_are_refused() -> None:
    half, quarter = temporal(4), temporal(2)
    mixed = IndexMap((SHAPE,), SHAPE, (half.channels[0], *quarter.channels[1:]))
    assert mixed.translation() == "channel 0 is 2 boxes"


def test_a_clip_among_moves_through_the_batch_is_refused() -> None:
    clip, whole = temporal(), temporal(None)
    mixed = IndexMap((SHAPE,), SHAPE, (clip.channels[0], *whole.channels[1:]))
    assert mixed.translation() == "channel 0 is 2 boxes"


def test_a_reshape_slice_and_concat_is_recognized() -> None:
    """TSM as it is written: a view as [clips, frames, C, H, W], slices along time, zeros at the ends."""

    def body(emit, x):
        y = emit(conv(x, values(8, 8, 1, 1)))
        video = emit(op.reshape(y, (CLIPS, FRAMES, 8, 5, 3)))
        zero = relax.const(np.zeros((CLIPS, 1, 1, 5, 3), "float32"))

        def part(channels, frames):
            first = emit(op.strided_slice(video, [2], [channels[0]], [channels[1]]))
            return emit(op.strided_slice(first, [1], [frames[0]], [frames[1]]))

        left = emit(op.concat([part((0, 1), (1, FRAMES)), zero], axis=1))
        right = emit(op.concat([zero, part((1, 2), (0, FRAMES - 1))], axis=1))
        joined = emit(op.concat([left, right, part((2, 8), (0, FRAMES))], axis=2))
        return emit(conv(emit(op.reshape(joined, SHAPE)), values(4, 8, 1, 1)))

    mod = module([SHAPE], body)
    report = Report()
    recognize(mod, report)
    (record,) = report.index_maps
    assert (record.offsets, record.border) == ("(-1,0,0) x 1, (0,0) x 6, (1,0,0) x 1", "zero")
    program = check_planned(mod)
    assert [r.folded for r in program.index_maps] == [True]
    assert [step.kind for step in program.steps] == ["layout", "indexed_conv", "indexed_conv", "layout"]


# --- memory ---------------------------------------------------------------------------------------------


@given(
    st.integers(1, 4), st.integers(1, 4), st.tuples(st.integers(0, 3), st.integers(0, 3)), st.integers(1, 3)
)
def test_every_clip_has_a_halo_of_its_own(clips: int, frames: int, halo: tuple[int, int], rows: int) -> None:
    geometry = Geometry(Extent(clips * frames, rows, 2, 4, clip=frames), Halo(batch=halo))
    clip = np.arange(clips)[:, None] * frames
    starts = geometry.offset(clip, 0, 0)
    inside = geometry.offset(clip + np.arange(frames), 0, 0)
    np.testing.assert_array_equal(inside, starts + geometry.displacement(np.arange(frames), 0, 0))
    around = starts + geometry.displacement(np.arange(-halo[0], frames + halo[1]), 0, 0)
    frame_size = rows * 2 * 4
    np.testing.assert_array_equal(around.reshape(-1), np.arange(around.size) * frame_size)
    assert geometry.plane == around.size * frame_size


def test_the_whole_batch_is_one_clip_by_default() -> None:
    assert Extent(6, 5, 5, 8) == Extent(6, 5, 5, 8, clip=6)
    assert Extent(6, 5, 5, 8).clips == 1
    assert Extent(6, 5, 5, 8, clip=2).clips == 3


def plan(mod):
    return Planner(fold(fuse(mod), Report()), LANES).run()


def copies(mod) -> int:
    return sum(isinstance(step, RepackStep) for step in plan(mod).steps)


def test_whoever_writes_what_a_clip_is_read_from_lays_it_out_in_clips() -> None:
    def body(emit, x):
        y = emit(conv(x, values(8, 8, 1, 1)))
        return emit(op.add(emit(conv(emit(through(temporal(), y)), values(8, 8, 1, 1))), y))

    mod = module([SHAPE], body)
    assert copies(mod) == 0
    planned = plan(mod)
    outputs = [step.output.extent for step in planned.steps if isinstance(step, StageStep)]
    assert [extent.clip for extent in outputs] == [FRAMES, CLIPS * FRAMES]
    assert planned.memories[outputs[0]].halo.batch == (1, 1)


def test_a_spatial_shift_reads_clips_too() -> None:
    shift = moved([(0, 1), (1, 0)] * 4, SHAPE)

    def body(emit, x):
        y = emit(conv(x, values(8, 8, 1, 1)))
        parts = [emit(conv(emit(through(m, y)), values(8, 8, 1, 1))) for m in (temporal(), shift)]
        return emit(op.add(*parts))

    assert copies(module([SHAPE], body)) == 0


def test_readers_that_want_different_clips_share_one_copy_each() -> None:
    def body(emit, x):
        y = emit(conv(x, values(8, 8, 1, 1)))
        maps = (temporal(), temporal(2), temporal(2, MOVES[::-1]), temporal(None))
        return tuple(emit(conv(emit(through(m, y)), values(8, 8, 1, 1))) for m in maps)

    assert copies(module([SHAPE], body)) == 2


# --- numbers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("border", ["zero", "wrap", "edge"])
def test_computes_what_tvm_does(border: Border) -> None:
    """Clips of 4, 2 and 8 frames of one tensor, and a tensor in clips beside one that is not."""
    both = IndexMap.gather([SHAPE, SHAPE], [(c % 2, c // 2) for c in range(16)])

    def body(emit, x):
        y = emit(op.nn.relu(emit(conv(x, values(8, 8, 1, 1)))))
        z = emit(op.nn.relu(emit(conv(emit(through(temporal(4, border=border), y)), values(8, 8, 1, 1)))))
        others = [temporal(frames, (2, 0, -1, 0, 1, -2, 0, 0), border) for frames in (2, None)]
        return (
            emit(conv(emit(through(both, y, z)), values(3, 16, 3, 3), 1)),
            emit(conv(emit(through(temporal(2, border=border), z)), values(3, 8, 1, 1), strides=2)),
            *(emit(conv(emit(through(m, z)), values(8, 8, 1, 1))) for m in others),
            emit(through(temporal(4, MOVES[::-1], border), z)),
        )

    check_planned(module([SHAPE], body))
