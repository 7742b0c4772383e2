"""Numbers of tiles: the blocks, one of them measured, and what the table says of choices."""

from __future__ import annotations

import os
from pathlib import Path

import onnx
import pytest

from benchmarks.blocks import BLOCKS, KINDS, Block
from benchmarks.results_file import Measurement
from benchmarks.tile_counts import (
    AUTO,
    best,
    compile_block,
    main,
    measure,
    modelled_cycles,
    over_best,
    table,
)
from benchmarks.tile_counts_plot import draw

SMALL = Block("csc", 16, 16, 16, 4)


def _measurement(name: str, us: dict[str, float], modelled: dict[str, float]) -> Measurement:
    return {
        "block": name,
        "choice": "2x4",
        "us": us,
        "us_median": us,
        "modelled_us": modelled,
        "bytes": dict.fromkeys(us, 2048),
    }


GOOD = _measurement("good", {"1": 10.4, "2": 10.0, "4": 20.0, AUTO: 10.0}, {"1": 8.0, "2": 9.0, "4": 9.0})
BAD = _measurement("bad", {"1": 10.0, "2": 15.0, "4": 20.0, AUTO: 16.0}, {"1": 8.0, "2": 7.0, "4": 9.0})


def test_thirty_different_blocks() -> None:
    assert len({str(block) for block in BLOCKS}) == 30
    assert {block.kind for block in BLOCKS} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_are_what_they_say(kind: str) -> None:
    block = min((b for b in BLOCKS if b.kind == kind), key=lambda b: b.plane * b.channels)
    model = onnx.shape_inference.infer_shapes(block.model(), strict_mode=True)
    (output,) = model.graph.output
    shape = tuple(d.dim_value for d in output.type.tensor_type.shape.dim)
    assert shape == (1, block.outputs, block.rows, block.rows)
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    widths = {w.dims[0] for w in model.graph.initializer if w.name == f"{convolutions[0].name}.weight"}
    assert widths == {block.inner}


def test_tiles_differ_in_height() -> None:
    for rows in (7, 14, 28, 32, 56, 112):
        counts = Block("csc", 16, 16, 16, rows).tile_counts()
        heights = [-(-rows // count) for count in counts]
        assert 1 not in counts and len(set(heights)) == len(counts)
    assert Block("csc", 16, 16, 16, 7).tile_counts() == (2, 3, 4, 7)
    assert Block("inverted", 16, 96, 24, 14, 2).rows == 7


def test_a_block(tmp_path: Path) -> None:
    free = os.sched_getaffinity(0)
    artifacts = compile_block(SMALL, tmp_path / "block")
    assert list(artifacts) == [AUTO, "1", *map(str, SMALL.tile_counts())]
    written = (artifacts["2"] / "manifest.json").stat().st_mtime_ns
    found = measure(SMALL, compile_block(SMALL, tmp_path / "block"), rounds=1)
    assert (artifacts["2"] / "manifest.json").stat().st_mtime_ns == written  # what is there is not compiled
    assert found["block"] == "csc 16-16-16, 4 x 4"
    assert set(found["us"]) == set(found["bytes"]) == set(artifacts)
    assert set(found["modelled_us"]) == set(artifacts) - {AUTO}
    assert all(found["us"][name] <= found["us_median"][name] for name in artifacts)
    assert os.sched_getaffinity(0) == free  # whoever measures is bound only meanwhile


def test_more_tiles_are_modelled_to_cost_more_where_all_fits_the_cache(tmp_path: Path) -> None:
    onnx.save(SMALL.model(), str(tmp_path / "model.onnx"))
    cycles = modelled_cycles(tmp_path / "model.onnx", (2, 4))
    assert list(cycles) == [1, 2, 4]
    assert cycles[1] < cycles[2] < cycles[4]


def test_choices_are_compared_with_the_best() -> None:
    assert (best(GOOD), best(GOOD, "modelled_us")) == ("2", "1")
    assert over_best(GOOD) == 1.0
    assert over_best(GOOD, "1") == pytest.approx(1.04)
    assert over_best(BAD) == pytest.approx(1.6)


def test_the_table_counts_good_choices() -> None:
    text = table("T", [GOOD, BAD])
    assert text.startswith("# T\n")
    assert "fewest modelled cycles, for 1 of 2 blocks" in text
    assert "  1 of 2; its chains" in text
    assert text.splitlines()[-2:] == [
        "| good | 10.4 | 2 | 10.0 | 1 | 1.04x | 2x4 | 1.00x | 1.00x | 2 | 2 |",
        "| bad | 10.0 | 1 | 10.0 | 2 | 1.50x | 2x4 | 1.60x | 1.60x | 2 | 2 |",
    ]


def test_the_plot_is_the_same_for_the_same_data(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        draw("Tiles", [GOOD, BAD] * 4, tmp_path / name)
    text = (tmp_path / "a.svg").read_text()
    assert text == (tmp_path / "b.svg").read_text()
    for words in ("Tiles", "measured", "predicted", "good", "bad"):
        assert words in text


def test_what_is_only_compiled_must_be_kept(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--compile-only"])
    assert "--artifacts" in capsys.readouterr().err


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.tile_counts.BLOCKS", (SMALL, Block("mlp", 16, 16, 16, 4)))
    assert main(["--kinds", "csc", "--rounds", "1", "--results", str(tmp_path)]) == 0
    (text,) = (path.read_text() for path in tmp_path.glob("*-tile-counts.md"))
    assert "csc 16-16-16" in text and "mlp" not in text
    assert len(list(tmp_path.glob("*-tile-counts.svg"))) == 1
