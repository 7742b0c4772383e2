"""The reference executor: the same bits however the rows are cut, and the values onnxruntime computes."""

from __future__ import annotations

from pathlib import Path

import attrs
import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frontends import import_model
from shiftc.options import PassOptions
from shiftc.staging import stage_model
from tests.staged.programs import CASES, ConvAdd
from tvm_passes.staged.execute import execute
from tvm_passes.staged.program import Operand, Operator, PostOperation, StagedProgramError
from tvm_passes.staged.tile import tile

MODELS = Path(__file__).parents[1] / "models"
TOLERANCE = 1e-5
"""Largest |difference| over largest |reference|."""


def _close(actual: np.ndarray, expected: np.ndarray) -> bool:
    return bool(np.abs(actual - expected).max() <= TOLERANCE * max(np.abs(expected).max(), 1.0))


@settings(deadline=None, max_examples=150)
@given(CASES, st.data())
def test_conv_add_in_tiles_has_the_bits_of_the_whole(case: ConvAdd, data: st.DataObject) -> None:
    tiles = data.draw(st.integers(1, case.output[2]))
    whole = execute(tile(case.program, 1), case.weights, case.inputs)["y"]
    tiled = execute(tile(case.program, tiles), case.weights, case.inputs)["y"]
    assert tiled.tobytes() == whole.tobytes()
    assert _close(tiled, case.expected())


@pytest.mark.parametrize("tiles", range(1, 8))
def test_every_number_of_tiles(tiles: int) -> None:
    case = ConvAdd(height=7, relu_first=True, other_is_conv=True)
    assert _close(execute(tile(case.program, tiles), case.weights, case.inputs)["y"], case.expected())


@pytest.mark.parametrize("kind", ["gelu", "gelu_tanh", "sigmoid", "silu", "tanh", "exp", "erf", "hard_swish"])
def test_functions_have_the_same_bits_in_tiles(kind: str) -> None:
    case = ConvAdd(height=11, width=9)
    conv = case.program.operators[-1]
    epilogue = (*conv.epilogue[:2], PostOperation(kind))
    program = attrs.evolve(case.program, operators=(attrs.evolve(conv, epilogue=epilogue),))
    results = [execute(tile(program, tiles), case.weights, case.inputs)["y"] for tiles in (1, 4, 11)]
    assert results[0].tobytes() == results[1].tobytes() == results[2].tobytes()


@pytest.mark.parametrize(
    "name",
    [
        "asymmetric_conv",
        "convnext",
        "csc_downsample",
        "depthwise_strided",
        "dilated_conv",
        "gemm_head",
        "mobilenet_v2",
        "multiple_inputs_outputs",
        "pooling",
        "resnet",
        "shift_conv_shift_conv",
        "shift_into_residual",
        "shiftvit_group_norm",
        "shufflenet_v2",
        "squeeze_excite_block",
        "temporal_shift",
        "vargnet",
    ],
)
def test_exported_models(name: str) -> None:
    path = MODELS / f"{name}.dynamo.onnx"
    imported = import_model(path)
    inputs = {
        spec.name: np.random.default_rng(0).standard_normal(spec.shape).astype(spec.dtype)
        for spec in imported.signature.inputs
    }
    whole, tiled = (stage_model(imported, path.name, PassOptions(h_tiles=tiles)) for tiles in (1, 3))
    outputs = execute(tiled.program, tiled.weights, inputs)
    for output, untiled in execute(whole.program, whole.weights, inputs).items():
        assert outputs[output].tobytes() == untiled.tobytes()
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for port, expected in zip(session.get_outputs(), session.run(None, inputs), strict=True):
        assert _close(outputs[port.name], expected), port.name


def test_missing_and_wrong_inputs_are_named() -> None:
    case = ConvAdd()
    program = tile(case.program, 2)
    with pytest.raises(StagedProgramError, match="input 'r' is missing"):
        execute(program, case.weights, {"x": case.inputs["x"]})
    with pytest.raises(StagedProgramError, match=r"input 'x' is float64\[1, 4, 7, 5\], not float32"):
        execute(program, case.weights, {**case.inputs, "x": case.inputs["x"].astype(np.float64)})
    with pytest.raises(StagedProgramError, match=r"weight 'conv\.bias' is missing"):
        execute(program, {"conv.weight": case.weights["conv.weight"]}, case.inputs)


@pytest.mark.parametrize("kind", ["generic", "orchestra"])
def test_an_operator_without_arithmetic_ends_both_workers(kind: str) -> None:
    case = ConvAdd(other_is_conv=True)
    odd = Operator("other", kind, ("odd",), Operand(("r",)), "other", relax="relax.odd")
    program = attrs.evolve(case.program, operators=(odd, case.program.operators[1]))
    with pytest.raises(StagedProgramError, match=r"other: relax\.odd has no reference implementation"):
        execute(tile(program, 2), case.weights, case.inputs)


def test_rows_that_nobody_wrote_show() -> None:
    case = ConvAdd()
    program = tile(case.program, 3)
    torn = attrs.evolve(program, stages=program.stages[:-1])
    y = execute(torn, case.weights, case.inputs)["y"]
    assert np.isnan(y[:, :, -2:]).all() and not np.isnan(y[:, :, :-2]).any()
