"""Conv + Add as pipelined functions: their structure, their bits for every T, and what they compute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
import numpy as np
import pytest
import tvm
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tvm import tirx

import schedules
from frontends import import_model
from shiftc.options import PassOptions
from shiftc.staging import stage_model
from tests.machines import EXECUTED, TARGET
from tests.staged.pipelined_tir import check_pipeline, parts
from tests.staged.programs import CASES, ConvAdd, random_values
from tvm_passes.index_map import as_4d
from tvm_passes.staged.execute import execute
from tvm_passes.staged.halo import tile_rows
from tvm_passes.staged.program import Operand, Port, PostOperation, StagedProgram, StagedProgramError
from tvm_passes.staged.tile import tile
from tvm_passes.staged.tile_conv_add import TiledConvAdd, pipelined, tile_conv_add

MODELS = Path(__file__).parents[1] / "models"
EXACT = ("add_vector", "add", "relu", "clip", "multiply_vector")
"""Steps that the reference does not compute otherwise than kernels."""
TOLERANCE = 1e-6
"""Largest |difference| over largest |reference|, or over 1 where that is less."""
ONNXRUNTIME = 5e-6
"""The same to onnxruntime, whose own sums are up to 2e-6 from float64."""


def _tiled(case: ConvAdd, tiles: int) -> TiledConvAdd:
    return tile_conv_add(case.program, case.program.operator("conv"), tiles)


def _run(case: ConvAdd, functions: Sequence[TiledConvAdd]) -> list[np.ndarray]:
    """What each function makes of the case's inputs."""
    memory = {**case.inputs, **case.weights}
    if case.other_is_conv and "other" in functions[0].buffers:
        program = attrs.evolve(case.program, outputs=(Port("other", "other"),))
        memory |= execute(tile(program), case.weights, case.inputs)
    return _outputs(functions, memory, case.output)


def _same_bits(actual: np.ndarray, executed: np.ndarray) -> bool:
    """Whether a kernel has the reference executor's bits, which are those of fused multiply-adds.

    A processor without them rounds once more for every product, and is held to the tolerance.
    """
    if schedules.machine_of(TARGET).has_fma:
        return actual.tobytes() == executed.tobytes()
    return _close(actual, executed)


def _outputs(
    functions: Sequence[TiledConvAdd], memory: Mapping[str, np.ndarray], shape: tuple[int, ...]
) -> list[np.ndarray]:
    """What each function, all compiled together, makes of buffers; what it does not write is NaN."""
    named = {f"f{i}": f.function.with_attr("global_symbol", f"f{i}") for i, f in enumerate(functions)}
    executable = tvm.compile(tvm.IRModule(named), target=TARGET, tir_pipeline=schedules.PIPELINE_NAME)
    if not EXECUTED:
        pytest.skip("compiled, not executed: this machine lacks the target's instructions")
    results = []
    for name, function in zip(named, functions, strict=True):
        given = [memory[buffer] for buffer in function.buffers[:-1]]
        arguments = [tvm.runtime.tensor(value.reshape(_shape_4d(value))) for value in given]
        y = tvm.runtime.tensor(np.full(shape, np.nan, np.float32))
        executable[name](*arguments, y)
        results.append(y.numpy())
    return results


def _shape_4d(value: np.ndarray) -> tuple[int, ...]:
    """Matrices are planes of one pixel, vectors are vectors."""
    return as_4d(value.shape) if value.ndim == 2 else value.shape


def _close(actual: np.ndarray, expected: np.ndarray, tolerance: float = TOLERANCE) -> bool:
    return bool(np.abs(actual - expected).max() <= tolerance * max(np.abs(expected).max(), 1.0))


# --- structure -------------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "tiles"), [(8, 2), (8, 4), (9, 3), (7, 3), (7, 5), (11, 11), (13, 4)])
@pytest.mark.parametrize(("relu_first", "other_is_conv"), [(False, False), (True, False), (False, True)])
def test_prologue_body_epilogue_and_two_buffers(
    height: int, tiles: int, relu_first: bool, other_is_conv: bool
) -> None:
    case = ConvAdd(height=height, relu_first=relu_first, other_is_conv=other_is_conv, batch=2)
    batch, channels, rows, width = case.output
    highest = max(last - first for first, last in tile_rows(rows, tiles))
    check_pipeline(pipelined(_tiled(case, tiles).function), tiles, (batch, channels, highest, width))


def test_one_tile_is_the_plain_function() -> None:
    case = ConvAdd()
    found = parts(pipelined(_tiled(case, 1).function))
    assert [part.block.name_hint for part in found] == ["convolution", "epilogue"]
    assert all(tuple(map(int, part.buffers["tile"].shape)) == case.output for part in found)


def _annotated(function: tirx.PrimFunc, order: list[int]) -> tirx.PrimFunc:
    """The function with another order of its engines; with none, not annotated."""
    root = function.body.block
    loop = root.body
    annotations = {"software_pipeline_stage": [0, 1], "software_pipeline_order": order} if order else {}
    changed = tirx.For(loop.loop_var, loop.min, loop.extent, loop.kind, loop.body, annotations=annotations)
    block = type(root)([], [], [], root.name_hint, changed)
    return function.with_body(type(function.body)([], True, block))


@pytest.mark.parametrize("order", [[], [1, 0]])
def test_what_is_no_such_pipeline_is_refused(order: list[int]) -> None:
    """Without annotations nothing overlaps; with the Add in front, one buffer does."""
    case = ConvAdd(height=8)
    function = _tiled(case, 4).function
    check_pipeline(pipelined(_annotated(function, [0, 1])), 4, (1, 6, 2, 5))
    with pytest.raises(AssertionError):
        check_pipeline(pipelined(_annotated(function, order)), 4, (1, 6, 2, 5))


def test_a_body_without_its_last_epilogue_is_refused() -> None:
    case = ConvAdd(height=8)
    function = pipelined(_tiled(case, 4).function)
    rows = function.body.block.body.block
    torn = type(rows)(
        [],
        rows.reads,
        rows.writes,
        "",
        tirx.SeqStmt(list(rows.body.seq)[:-1]),
        alloc_buffers=rows.alloc_buffers,
    )
    realize = type(function.body)
    block = type(rows)([], [], [], "root", realize([], True, torn))
    with pytest.raises(AssertionError):
        check_pipeline(function.with_body(realize([], True, block)), 4, (1, 6, 2, 5))


def test_its_script_can_be_read_back() -> None:
    for function in (_tiled(ConvAdd(offset=(1, -1)), 3).function, _tiled(ConvAdd(), 2).function):
        tvm.ir.assert_structural_equal(tvm.script.from_source(function.script()), function)


# --- numbers ---------------------------------------------------------------------------------


def _check(case: ConvAdd, tiles: int) -> None:
    whole, tiled = _run(case, [_tiled(case, 1), _tiled(case, tiles)])
    assert tiled.tobytes() == whole.tobytes(), "tiles change bits"
    assert _close(tiled, case.exact()), "not what float64 computes"
    assert _close(tiled, case.expected(), ONNXRUNTIME), "not what onnxruntime computes"
    executed = execute(tile(case.program, tiles), case.weights, case.inputs)["y"]
    assert _same_bits(tiled, executed), "not the reference executor's bits"


def _sweep(examples: int) -> settings:
    return settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))


@_sweep(12)
@given(CASES, st.data())
def test_every_tile_count_has_the_bits_of_the_whole(case: ConvAdd, data: st.DataObject) -> None:
    _check(case, data.draw(st.integers(2, max(2, case.output[2]))))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(6))
@_sweep(100)
@given(CASES, st.data())
def test_many_shapes(part: int, case: ConvAdd, data: st.DataObject) -> None:
    _check(case, data.draw(st.integers(2, max(2, case.output[2]))))


def test_all_tile_counts_of_a_strided_convolution() -> None:
    case = ConvAdd(height=15, kernel=5, stride=2, dilation=2, padding=3, relu_first=True, other_is_conv=True)
    results = _run(case, [_tiled(case, tiles) for tiles in range(1, case.output[2] + 1)])
    assert len({result.tobytes() for result in results}) == 1
    assert _close(results[0], case.exact())


@pytest.mark.parametrize("tiles", [2, 3])
def test_a_tile_reads_the_rows_of_its_step_and_no_others(tiles: int) -> None:
    case = ConvAdd(height=14, kernel=3, stride=2, dilation=2, padding=1)
    conv = case.program.operator("conv")
    conv = attrs.evolve(conv, epilogue=conv.epilogue[:2])  # a ReLU would hide what is no number
    function = tile_conv_add(case.program, conv, tiles)
    x = case.inputs["x"]
    for stage in tile(case.program, tiles).stages:
        for step in stage.steps:
            if step.part == "convolution":
                needed, rows = slice(*step.operand_rows), slice(*step.rows)
                torn = np.full_like(x, np.nan)
                torn[:, :, needed] = x[:, :, needed]
                (y,) = _run(attrs.evolve(case, given={"x": torn}), [function])
                assert np.isfinite(y[:, :, rows]).all() and np.isnan(y).any()
                torn = np.where(np.isnan(torn), x, np.float32(np.nan))
                (y,) = _run(attrs.evolve(case, given={"x": torn}), [function])
                assert np.isnan(y[:, :, rows]).all()


@pytest.mark.parametrize(
    "step", [PostOperation("clip", (0.0, 6.0)), PostOperation("leaky_relu", (0.1,)), PostOperation("gelu")]
)
def test_other_activations_behind_the_add(step: PostOperation) -> None:
    case = ConvAdd(height=9)
    conv = case.program.operator("conv")
    changed = attrs.evolve(conv, epilogue=(*conv.epilogue[:2], step))
    program = attrs.evolve(case.program, operators=(changed,))
    (y,) = _run(case, [tile_conv_add(program, changed, 4)])
    assert _close(y, execute(tile(program, 4), case.weights, case.inputs)["y"])


def test_a_branch_that_others_read_is_no_part_of_it() -> None:
    case = ConvAdd(other_is_conv=True)
    program = attrs.evolve(case.program, outputs=(Port("y", "conv"), Port("o", "other")))
    conv = program.operator("conv")
    apart, together = tile_conv_add(program, conv, 2), _tiled(case, 2)
    assert "other" in apart.buffers and "r" not in apart.buffers
    assert "r" in together.buffers and "other" not in together.buffers
    assert _same_bits(_run(case, [together])[0], _run(case, [apart])[0])  # the executor made what is read


@pytest.mark.parametrize(
    "name",
    [
        *("resnet", "shift_into_residual"),
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("csc_downsample", "mobilenet_v2", "shiftvit_batch_norm", "vargnet")
        ),
    ],
)
def test_every_residual_of_exported_models(name: str) -> None:
    """Each as a program of its own, on random operands: shifts, several tensors and groups included."""
    path = MODELS / f"{name}.dynamo.onnx"
    staged = stage_model(import_model(path), path.name, PassOptions(), lanes=16)
    assert staged.program.residual
    for operator in staged.program.residual:
        read = [buffer for buffer in staged.program.buffers if buffer.kind != "weight"]
        buffers = tuple(attrs.evolve(b, kind="plane" if b.name == operator.output else "input") for b in read)
        weights = tuple(b for b in staged.program.buffers if b.kind == "weight")
        ports = tuple(Port(b.name, b.name) for b in buffers if b.kind == "input")
        alone = StagedProgram(
            path.name, ports, (Port("y", operator.output),), (*buffers, *weights), (operator,)
        )
        inputs = {b.name: random_values(b.shape, seed) for seed, b in enumerate(buffers) if b.kind == "input"}
        expected = execute(tile(alone, 3), staged.weights, inputs)["y"]
        functions = [tile_conv_add(alone, operator, tiles) for tiles in (1, 3)]
        for y in _outputs(functions, {**inputs, **staged.weights}, alone.shape(operator.output)):
            exact = all(post.kind in EXACT for post in operator.epilogue)
            assert _same_bits(y, expected) if exact else _close(y, expected), operator.name


# --- refusals --------------------------------------------------------------------------------


def test_what_cannot_be_tiled() -> None:
    case = ConvAdd(other_is_conv=True)
    with pytest.raises(StagedProgramError, match="other: no convolution to which a tensor is added"):
        tile_conv_add(case.program, case.program.operator("other"), 2)
    with pytest.raises(StagedProgramError, match="conv: cannot be cut into 0 tiles"):
        _tiled(case, 0)
    added = ConvAdd()
    half = (attrs.evolve(b, dtype="float16") if b.name == "r" else b for b in added.program.buffers)
    program = attrs.evolve(added.program, buffers=tuple(half))
    with pytest.raises(StagedProgramError, match="conv: float16 in 'r', not float32"):
        tile_conv_add(program, program.operator("conv"), 2)
    odd = PostOperation("orchestra", operand=Operand(("r",)))
    conv = added.program.operator("conv")
    with pytest.raises(StagedProgramError, match="the step 'orchestra' is not known"):
        tile_conv_add(added.program, attrs.evolve(conv, epilogue=(*conv.epilogue, odd)), 2)
