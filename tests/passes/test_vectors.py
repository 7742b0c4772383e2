"""How kernels cut the channels of their output into vectors."""

import numpy as np
import pytest
from tvm.relax import op

from tests.passes.modules import channelwise, check_planned, conv, module, values
from tvm_passes.geometry import Extent
from tvm_passes.lowering.vectors import Vectors, ways_to_cut
from tvm_passes.placement import Blocked


def blocked(positions, lanes=16):
    positions = np.asarray(positions)
    return Blocked("y", Extent(1, 4, 4, lanes), positions, int(positions.max()) // lanes + 1)


@pytest.mark.parametrize("positions", [range(24), range(16), range(40), [0, 1, 20, 21, 47], [3], range(100)])
def test_every_way_computes_every_channel_once(positions) -> None:
    output = blocked(list(positions))
    ways = list(ways_to_cut(output))
    assert len(ways) >= 3
    for way in ways:
        rows = np.concatenate([vectors.rows for vectors in way])
        assert len(set(rows)) == len(rows)
        assert set(positions) <= set(rows)
        found = np.stack([vectors.of(output.positions) for vectors in way])
        assert ((found >= 0).sum(axis=0) == 1).all()
        for vectors, index in zip(way, found, strict=True):
            inside = index >= 0
            lane = output.positions[inside] - vectors.starts[index[inside]]
            assert ((lane >= 0) & (lane < vectors.lanes)).all()


def test_whole_blocks_then_the_half_of_the_last() -> None:
    cuts = [[(v.lanes, v.starts.tolist()) for v in way] for way in ways_to_cut(blocked(range(24)))]
    assert cuts[0] == [(16, [0, 16])]
    assert cuts[1:3] == [[(8, [0, 8, 16])], [(16, [0]), (8, [16])]]
    assert Vectors.whole(blocked(range(24))).rows.tolist() == list(range(32))


@pytest.mark.parametrize(
    ("channels", "groups"), [(24, 1), (40, 1), (6, 1), (32, 4), (48, 6), (32, 8), (20, 5)]
)
def test_convolutions_of_any_width(channels: int, groups: int) -> None:
    """Bias, a residual and an activation follow, which are cut alike."""
    weight = values(channels, 32 // groups if groups > 1 and 32 % groups == 0 else 1, 3, 3)
    inputs = weight.shape[1] * groups

    def body(emit, x, r):
        y = emit(op.add(emit(conv(x, weight, padding=1, groups=groups)), channelwise(*range(channels))))
        return emit(op.nn.relu(emit(op.add(y, r))))

    check_planned(module([(2, inputs, 5, 7), (2, channels, 5, 7)], body), winograd=False)


def test_narrow_vectors_where_they_are_cheaper() -> None:
    """24 channels take one and a half blocks, groups of 8 half a block; 32 in one group take whole ones."""

    def lanes(channels, groups):
        weight = values(channels, 32 // groups, 1, 1)
        program = check_planned(
            module([(1, 32, 28, 28)], lambda emit, x: emit(conv(x, weight, groups=groups)))
        )
        return next(step.name for step in program.steps if step.kind == "indexed_conv").split("_")[2]

    assert lanes(32, 1) == "32x32x784"
    assert lanes(24, 1) in ("32x24x784", "32x16x784")
    assert lanes(32, 4) == "8x32x784"
