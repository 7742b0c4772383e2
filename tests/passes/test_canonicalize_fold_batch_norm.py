"""Batch normalisation with fixed statistics is a scale and an offset per channel."""

from functools import partial

import numpy as np
import pytest
from tvm import relax
from tvm.ir import TupleGetItem
from tvm.relax import op

from tests.passes.modules import (
    apply_rule,
    assert_computes_the_same,
    assert_same,
    channelwise,
    const,
    module,
    operators,
)
from tvm_passes.canonicalize.fold_batch_norm import fold_batch_norm
from tvm_passes.graph import Graph

SHAPE = (2, 3, 4, 4)
GAMMA, BETA, MEAN, VARIANCE = [2.0, -1.0, 0.5], [1.0, 2.0, 3.0], [0.5, 0.0, -2.0], [4.0, 16.0, 0.25]

folded = partial(apply_rule, fold_batch_norm)


def normalised(emit, x, axis=1, statistics=(GAMMA, BETA, MEAN, VARIANCE), **attributes):
    constants = [const(s) if isinstance(s, list) else s for s in statistics]
    norm = emit(op.nn.batch_norm(x, *constants, axis=axis, **attributes))
    return emit(TupleGetItem(norm, 0))


def test_scale_and_offset() -> None:
    before = module([SHAPE], lambda emit, x: normalised(emit, x, epsilon=0.0))
    after = module(
        [SHAPE],
        lambda emit, x: emit(op.add(emit(op.multiply(x, channelwise(1, -0.25, 1))), channelwise(0.5, 2, 5))),
    )
    assert_same(folded(before), after)


@pytest.mark.parametrize(
    "attributes",
    [{}, {"epsilon": 0.1}, {"scale": False}, {"center": False}, {"axis": 3}, {"axis": -2}],
    ids=str,
)
def test_computes_the_same(attributes) -> None:
    shape = (2, 3, 3, 3)
    before = module([shape], lambda emit, x: normalised(emit, x, **attributes))
    after = folded(before)
    assert operators(after) == ["multiply", "add"]
    assert_computes_the_same(before, after)


def test_statistics_that_are_inputs_stay() -> None:
    mod = module(
        [SHAPE, (3,)], lambda emit, x, mean: normalised(emit, x, statistics=(GAMMA, BETA, mean, VARIANCE))
    )
    assert operators(folded(mod)) == ["batch_norm", "tuple_get_item"]


def test_double_precision_stays_double() -> None:
    x = relax.Var("x", relax.TensorType(SHAPE, "float64"))
    builder = relax.BlockBuilder()
    with builder.function("main", [x]):
        with builder.dataflow():
            constants = [relax.const(np.array(s), "float64") for s in (GAMMA, BETA, MEAN, VARIANCE)]
            norm = builder.emit(op.nn.batch_norm(x, *constants, axis=1))
            out = builder.emit_output(TupleGetItem(norm, 0))
        builder.emit_func_output(out)
    mod = folded(builder.get())
    assert {str(node.var.ty.dtype) for node in Graph.read(mod).nodes} == {"float64"}
