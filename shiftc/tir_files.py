"""Every Conv + Add of a staged program as TVMScript: `shiftc inspect --pipeline --emit-tir`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tvm import tirx

from shiftc.atomic_file import replacing
from shiftc.errors import OutputError
from tvm_passes.staged.predict import Pipeline
from tvm_passes.staged.program import StagedProgram
from tvm_passes.staged.tile_conv_add import identifier, pipelined, tile_conv_add


def write_tir(folder: Path, program: StagedProgram, pipelines: Iterable[Pipeline]) -> None:
    """Two files for each pipeline: its annotated loop over tiles, and that behind InjectSoftwarePipeline.

    They are named after the pipeline's first stage and its operator. Raises OutputError.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write '{folder}': {error.strerror}") from error
    for pipeline in pipelines:
        tiled = tile_conv_add(program, pipeline.operator, pipeline.tiles)
        name = f"{pipeline.first:04d}_{identifier(pipeline.operator.name)}"
        about = (
            f"# {', '.join(pipeline.operator.nodes)} in {pipeline.tiles} tiles of rows\n"
            f"# parameters: {', '.join(tiled.buffers)}\n"
        )
        _write(folder / f"{name}.py", about, tiled.function)
        _write(folder / f"{name}.pipelined.py", about, pipelined(tiled.function))


def _write(path: Path, about: str, function: tirx.PrimFunc) -> None:
    with replacing(path) as file:
        file.write(f"{about}{function.script()}\n".encode())
