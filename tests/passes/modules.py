"""Small Relax modules for the tests of passes: writing, running and compiling them."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import numpy as np
import pytest
import tvm
from tvm import relax
from tvm.ir import Expr, IRModule, Var
from tvm.target import Target

from shiftc.kernel_cache import KernelCache
from shiftc.linker import linker_for
from tests.machines import AVX512, TARGET, executes, plans
from tests.passes.in_numpy import NotInNumpyError, run_in_numpy
from tvm_passes.apply_index_map import index_map_call, index_map_of
from tvm_passes.compiled import Compiled
from tvm_passes.fuse import fuse
from tvm_passes.graph import Graph
from tvm_passes.index_map import IndexMap, Shape, as_4d
from tvm_passes.interpret import run_program
from tvm_passes.lowered import Lowered
from tvm_passes.object_code import ObjectCode
from tvm_passes.pipeline import PipelineOptions, compile_module
from tvm_passes.recognize import recognize
from tvm_passes.relax_values import dtype_of, shape_of
from tvm_passes.report import IndexMapRecord, Report
from tvm_passes.stage import Stage, stage_of
from tvm_passes.tiling import NO_TILING
from tvm_passes.translation import Border, ChannelTranslation, Translation
from tvm_passes.verify import run_module

Array = np.ndarray
Emit = Callable[[Expr], Var]


def module(shapes: Sequence[tuple[int, ...]], body: Callable[..., Any]) -> IRModule:
    """`main` of float32 inputs: `body(emit, *inputs)` returns its output, or a tuple of them."""
    params = [relax.Var(f"x{i}", relax.TensorType(shape, "float32")) for i, shape in enumerate(shapes)]
    builder = relax.BlockBuilder()
    with builder.function("main", params):
        with builder.dataflow():
            result = body(builder.emit, *params)
            outputs = [builder.emit_output(r) for r in (result if isinstance(result, tuple) else (result,))]
        builder.emit_func_output(relax.Tuple(outputs) if isinstance(result, tuple) else outputs[0])
    return Graph.read(builder.get()).write(builder.get())


def apply_rule(rule: Callable[[Graph], None], mod: IRModule) -> IRModule:
    """The module after one rule of canonicalize."""
    graph = Graph.read(mod)
    rule(graph)
    graph.remove_dead()
    return graph.write(mod)


def assert_same(actual: IRModule, expected: IRModule) -> None:
    """The modules are equal up to the names of variables."""
    relax.analysis.well_formed(actual)
    tvm.ir.assert_structural_equal(actual, expected)


def assert_computes_the_same(before: IRModule, after: IRModule) -> None:
    """The outputs are the same up to 1e-5 of the largest, on random inputs."""
    inputs = tensors(before)
    for got, want in zip(reference(after, inputs), reference(before, inputs), strict=True):
        assert (got.shape, got.dtype) == (want.shape, want.dtype)
        scale = float(np.abs(want).max(initial=0)) or 1.0
        np.testing.assert_allclose(got / scale, want / scale, rtol=0, atol=1e-5)


def operators(mod: IRModule) -> list[str]:
    """The operators of `main`, in order, without their dialect."""
    return [node.op.removeprefix("relax.").removeprefix("nn.") for node in Graph.read(mod).nodes]


def values(*shape: int, seed: int = 0) -> Array:
    """Whole numbers from -4 to 4, so that sums and products with powers of two are exact in any order."""
    return np.random.default_rng([seed, *shape]).integers(-4, 5, shape).astype("float32")


def const(array: Any) -> Expr:
    """A float32 constant."""
    return relax.const(np.asarray(array, "float32"))


def channelwise(*numbers: float) -> Expr:
    """A constant with one number per channel, [1, C, 1, 1]."""
    return const(np.array(numbers).reshape(1, -1, 1, 1))


def conv(x: Expr, weight: Array, padding: int = 0, strides: int = 1, groups: int = 1) -> Expr:
    """A convolution by a constant weight."""
    return relax.op.nn.conv2d(x, const(weight), strides=strides, padding=padding, groups=groups)


def one_hot(taps: Sequence[tuple[int, int] | None], scale: Sequence[float] | None = None) -> Array:
    """Depthwise 3 x 3 filters with one tap per channel, at (row, column); None is a filter of zeros."""
    weight = np.zeros((len(taps), 1, 3, 3), "float32")
    for channel, tap in enumerate(taps):
        if tap is not None:
            weight[channel, 0, tap[0], tap[1]] = 1 if scale is None else scale[channel]
    return weight


def moved(offsets: Sequence[tuple[int, int]], shape: tuple[int, ...], border: Border = "zero") -> IndexMap:
    """The map of a shift: channel c is read at (h + dy, w + dx) for `offsets[c] == (dy, dx)`."""
    channels = tuple(ChannelTranslation(0, c, 0, dy, dx) for c, (dy, dx) in enumerate(offsets))
    return Translation(channels, (1, 1), border).index_map([as_4d(shape)], as_4d(shape))


def gathered(shapes: Sequence[Shape], reads: Sequence[tuple[int, int] | None]) -> IndexMap:
    """The map whose channel i is channel c of source k for `reads[i] == (k, c)`."""
    return IndexMap.gather(shapes, reads)


def through(index_map: IndexMap, *sources: Expr) -> Expr:
    """The sources, read through the map."""
    return index_map_call(index_map, sources)


def joined(first: Expr, second: Expr) -> Expr:
    """The channels of both, those of the second backwards and in front."""
    shapes = [shape_of(source) for source in (first, second)]
    reads = [(1, c) for c in range(shapes[1][1])][::-1] + [(0, c) for c in range(shapes[0][1])]
    return through(gathered(shapes, reads), first, second)


def recognized(mod: IRModule) -> tuple[IRModule, list[IndexMapRecord]]:
    """The module with index maps, and the report on them."""
    report = Report()
    result = recognize(mod, report)
    return result, report.index_maps


def maps_of(mod: IRModule) -> list[IndexMap]:
    """The index maps of `main`, in order."""
    return [index_map_of(node.call) for node in Graph.read(mod).nodes if node.op == "index_map"]


def stages(mod: IRModule) -> list[Stage]:
    """The stages that `main` calls."""
    return [stage for node in Graph.read(mod).nodes if (stage := stage_of(mod, node)) is not None]


def random_weight(random: np.random.Generator, *shape: int) -> Array:
    """Weights [outputs, …] that keep the magnitude of what they are applied to."""
    return (random.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype("float32")


def lone_convolution(
    random: np.random.Generator, kernel: int, strides: int, channels: int, size: int, groups: int
) -> Stage:
    """The stage of a square convolution with as many outputs as inputs, padded by half its kernel."""
    values = random_weight(random, channels, channels // groups, kernel, kernel)
    convolved = module(
        [(1, channels, size, size)],
        lambda emit, x: emit(conv(x, values, kernel // 2, strides, groups)),
    )
    return stages(fuse(convolved))[0]


def tensors(mod: IRModule, seed: int = 0) -> list[Array]:
    """Random inputs of `main`."""
    generator = np.random.default_rng(seed)
    return [
        generator.standard_normal(shape_of(param)).astype(dtype_of(param)) for param in mod["main"].params
    ]


def reference(mod: IRModule, inputs: Sequence[Array]) -> list[Array]:
    """What the module computes, in numpy; where that is not written, by TVM's own pipeline."""
    try:
        return run_in_numpy(mod, inputs)
    except NotInNumpyError:
        return run_with_tvm(mod, inputs)


def run_with_tvm(mod: IRModule, inputs: Sequence[Array]) -> list[Array]:
    """What TVM's own pipeline computes."""
    return run_module(mod, [tvm.runtime.tensor(array) for array in inputs])


@attrs.frozen
class Program(Compiled):
    """A compiled program with what it was compiled from; executed: whether this machine can run it."""

    lowered: Lowered = attrs.field(kw_only=True, repr=False)
    executed: bool = attrs.field(kw_only=True)


def compiled(mod: IRModule, target: Target = TARGET, **options: Any) -> Program:
    """The program for a machine; a step for every stage unless `tiling` says otherwise."""
    every = PipelineOptions(object_store=KernelCache(), **{"tiling": NO_TILING, **options})
    with plans() as lowered:
        program = compile_module(mod, target, every)
    fields = {field.name: getattr(program, field.name) for field in attrs.fields(Compiled)}
    return Program(**fields, lowered=lowered[-1], executed=executes(target))


def planned(mod: IRModule, target: Target, **options: Any) -> Program:
    """The same, planned but not compiled: its library has no files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tvm_passes.pipeline.compile_program", lambda *_: ObjectCode({}))
        return attrs.evolve(compiled(mod, target, **options), executed=False)


def entry_of(program: Compiled) -> Callable[..., None]:
    """The program's function, linked and loaded; where it cannot run, compiling it was the test."""
    if isinstance(program, Program) and not program.executed:
        pytest.skip("compiled, not executed: this machine lacks the target's instructions")
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/model.so"
        program.library.export_library(file, fcompile=linker_for(platform.machine()))
        return tvm.runtime.load_module(file)["main"]


def execute(program: Program, *batches: Sequence[Array], outputs: Sequence[Array]) -> list[Array]:
    """Run the program on each batch of inputs in turn, over one arena; the outputs of the last.

    Where this machine cannot run it, it is interpreted.
    """
    if not program.executed:
        return run_program(program.lowered, batches[-1])
    arena = tvm.runtime.tensor(np.zeros(program.arena_bytes, np.uint8))
    constants = tvm.runtime.tensor(program.constants)
    results = [tvm.runtime.tensor(np.full(o.shape, 7).astype(o.dtype)) for o in outputs]
    main = entry_of(program)
    for batch in batches:
        inputs = [tvm.runtime.tensor(array) for array in batch]
        main(arena, constants, *inputs, *results, 0, len(program.steps))
    return [r.numpy() for r in results]


def check_compiled(
    mod: IRModule, tolerance: float = 1e-4, target: Target = TARGET, **options: Any
) -> Program:
    """Compile the module and compare with the reference; a run on other inputs before must not matter."""
    return _checked(mod, compiled(mod, target, **options), tolerance)


def check_planned(mod: IRModule, tolerance: float = 1e-4, target: Target = AVX512, **options: Any) -> Program:
    """The same of the program as it is planned for a machine, interpreted: every access is checked."""
    return _checked(mod, planned(mod, target, **options), tolerance)


def _checked(mod: IRModule, program: Program, tolerance: float) -> Program:
    first, second = tensors(mod, 1), tensors(mod, 2)
    expected = reference(mod, second)
    for got, want in zip(execute(program, first, second, outputs=expected), expected, strict=True):
        scale = float(np.abs(want).max(initial=0)) or 1.0
        np.testing.assert_allclose(got / scale, want / scale, rtol=0, atol=tolerance)
    return program
