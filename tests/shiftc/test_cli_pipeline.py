"""`compile --emit-stages` and `inspect --pipeline` on an exported residual network."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from tvm.script import from_source

import shiftc
from shiftc.cli import main
from shiftc.exit_status import ExitStatus
from shiftc.staged_file import read_staged
from tests.shiftc.models import save, shift_network
from tests.staged.pipelined_tir import check_pipeline
from tvm_passes.staged.execute import execute
from tvm_passes.staged.program import StagedProgramError
from tvm_passes.staged.tile_conv_add import pipelined

RESNET = Path(__file__).parents[1] / "models" / "resnet.dynamo.onnx"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def emitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("staged")
    arguments = ["-o", str(folder / "artifact"), "--emit-stages", str(folder / "net.json"), "--h-tiles", "3"]
    assert main(["compile", str(RESNET), *arguments], {}) == 0
    return folder


@pytest.mark.parametrize("direct", [False, True])
def test_the_staged_program_computes_what_the_artifact_does(
    emitted: Path, direct: bool, tmp_path: Path
) -> None:
    """With the same bits where convolutions are direct."""
    staged, artifact = read_staged(emitted / "net.json"), emitted / "artifact"
    if direct:
        artifact = tmp_path / "direct"
        assert main(["compile", str(RESNET), "-o", str(artifact), "--no-winograd", "--no-pairing"], {}) == 0
    session = shiftc.load(artifact)
    inputs = {
        spec.name: np.random.default_rng(0).standard_normal(spec.shape).astype(spec.dtype)
        for spec in session.signature.inputs
    }
    outputs = execute(staged.program, staged.weights, inputs)
    for name, expected in session.run(inputs).items():
        assert np.abs(outputs[name] - expected).max() <= 1e-5 * np.abs(expected).max()
        assert outputs[name].tobytes() == expected.tobytes() or not direct
    assert {step.tile for stage in staged.program.stages for step in stage.steps} == {0, 1, 2}


def test_what_is_written_is_always_the_same(emitted: Path, tmp_path: Path) -> None:
    arguments = ["-o", str(tmp_path / "a"), "--emit-stages", str(tmp_path / "net.json"), "--h-tiles", "3"]
    assert main(["compile", str(RESNET), *arguments], {}) == 0
    for file in ("net.json", "net.npz"):
        assert (tmp_path / file).read_bytes() == (emitted / file).read_bytes(), file


def test_files_that_are_no_staged_programs(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(StagedProgramError):
        read_staged(path)


def test_weights_do_not_replace_the_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["-o", str(tmp_path / "a"), "--emit-stages", str(tmp_path / "net.npz")]
    assert main(["compile", str(RESNET), *arguments], {}) == ExitStatus.OUTPUT_UNWRITABLE
    assert "same name" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_every_residual_has_its_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(RESNET), "--pipeline", "--engine-rates", "2000,100"], {}) == 0
    out = capsys.readouterr().out
    pipelines = len(_pipelines(capsys))
    assert pipelines > 0
    assert out.count("conv(0)") == out.count("add(0)") == pipelines
    assert f"{pipelines} Conv + Add in " in out
    assert "predicted" in out


def _pipelines(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, object]]:
    assert main(["inspect", str(RESNET), "--pipeline", "--json", *arguments], {}) == 0
    found = json.loads(capsys.readouterr().out)["pipelines"]
    assert isinstance(found, list)
    return found


def test_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    for pipeline in _pipelines(capsys, "--h-tiles", "2", "--engine-rates", "1000,1000"):
        assert pipeline["tiles"] == 2
        assert isinstance(pipeline["stages"], list) and len(pipeline["stages"]) == 3
        assert isinstance(pipeline["predicted"], dict) and pipeline["predicted"]["speed_up"] > 1


def test_the_timeline_draws_every_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "timeline.svg"
    arguments = ["--engine-rates", "2000,100", "--timeline", str(path)]
    pipelines = _pipelines(capsys, *arguments)
    root = ElementTree.fromstring(path.read_text(encoding="utf-8"))
    bars = [rect for rect in root.iter(f"{SVG}rect") if rect.find(f"{SVG}title") is not None]
    barriers = list(root.iter(f"{SVG}line"))
    stages = [stage for pipeline in pipelines for stage in pipeline["stages"]]  # type: ignore[attr-defined]
    assert len(bars) == sum(len(stage) for stage in stages)
    assert len(barriers) == len(stages)
    right = max(float(bar.attrib["x"]) + float(bar.attrib["width"]) for bar in bars)
    assert right < float(root.attrib["width"])


def test_every_residual_has_its_tir(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = _pipelines(capsys, "--h-tiles", "3", "--emit-tir", str(tmp_path / "tir"))
    annotated = sorted(p for p in (tmp_path / "tir").iterdir() if not p.name.endswith(".pipelined.py"))
    assert len(annotated) == len(found) > 0
    for path in annotated:
        check_pipeline(pipelined(from_source(path.read_text(encoding="utf-8"))), 3)
        check_pipeline(from_source(path.with_suffix(".pipelined.py").read_text(encoding="utf-8")), 3)


def test_a_folder_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tir").write_text("a file")
    arguments = ["inspect", str(RESNET), "--pipeline", "--emit-tir", str(tmp_path / "tir")]
    assert main(arguments, {}) == ExitStatus.OUTPUT_UNWRITABLE
    assert "cannot write" in capsys.readouterr().err


def test_a_network_without_sums(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = save(shift_network(), tmp_path / "model.onnx")
    svg = tmp_path / "t.svg"
    arguments = ["--pipeline", "--engine-rates", "1,1", "--timeline", str(svg)]
    assert main(["inspect", str(model), *arguments], {}) == 0
    assert "0 Conv + Add" in capsys.readouterr().out
    ElementTree.fromstring(svg.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--engine-rates", "1,1"], "go with --pipeline"),
        (["--timeline", "x.svg"], "go with --pipeline"),
        (["--h-tiles", "2"], "go with --pipeline"),
        (["--emit-tir", "tir"], "go with --pipeline"),
        (["--pipeline", "--timeline", "x.svg"], "takes --engine-rates"),
        (["--pipeline", "--engine-rates", "fast"], "not two numbers"),
        (["--pipeline", "--engine-rates", "1,0"], "not above 0"),
        (["--pipeline", "--engine-rates", "nan,1"], "not above 0"),
    ],
)
def test_flags_that_do_not_go_together(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(RESNET), *arguments], {}) == ExitStatus.USAGE
    assert message in capsys.readouterr().err


def test_an_artifact_has_no_stages(emitted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(emitted / "artifact"), "--pipeline"], {}) == ExitStatus.USAGE
    assert "takes a model" in capsys.readouterr().err
