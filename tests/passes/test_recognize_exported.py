"""Every shift that an exporter wrote becomes an index map, with its border."""

import json
from pathlib import Path

import pytest
import tvm

from frontends import ImportOptions, import_model
from tests.passes.modules import (
    assert_computes_the_same,
    maps_of,
    operators,
    recognized,
)
from tvm_passes.canonicalize import canonicalize
from tvm_passes.report import IndexMapRecord

MODELS = Path(__file__).parent.parent / "models"
CATALOGUE = {entry["file"]: entry for entry in json.loads((MODELS / "catalogue.json").read_text())["files"]}


def imported(file: str) -> tvm.IRModule:
    shapes = {name: tuple(shape) for name, shape in CATALOGUE[file]["input_shapes"].items()}
    return import_model(MODELS / file, ImportOptions(input_shapes=shapes)).module


def moving(record: IndexMapRecord) -> bool:
    """True for a map that moves something in space or time: some offset is not (0, 0)."""
    return record.reason is None and record.offsets.replace("(0,0)", "").count("(") > 0


BORDERS = {
    "roll": "wrap", "cyclic_shift": "wrap", "joint_shift": "wrap", "s2_mlp_nchw": "edge",
    "one_hot_csc": "zero", "csc_downsample": "zero", "shift_conv_shift_conv": "zero", "dilated_shift": "zero",
    "strided_shift": "zero", "irregular_offsets": "zero", "modulo_layout": "zero", "odd_channels": "zero",
    "pad_slice_concat": "zero", "shiftvit_batch_norm": "zero", "shiftvit_group_norm": "zero",
    "temporal_shift": "zero", "as_mlp_batch_norm": "zero", "as_mlp_group_norm": "zero", "unext": "zero",
    "addressnet": "zero", "shift_then_shuffle": "zero", "custom_offsets": "zero", "custom_window": "zero",
    "grouped_pointwise": "zero", "two_consumers": "zero", "shift_of_input": "zero", "shift_is_output": "zero",
    "shiftvit_dynamic_batch": "zero",
}  # fmt: skip
"""The variants of shift that a model can be exported with, and the border each comes out with."""


@pytest.mark.parametrize("exporter", ["torchscript", "dynamo"])
@pytest.mark.parametrize("model", BORDERS)
def test_exported_shifts_are_found(model: str, exporter: str) -> None:
    file = f"{model}.{exporter}.onnx"
    after, records = recognized(imported(file))
    shifts = [record for record in records if moving(record)]
    assert len(shifts) == CATALOGUE[file]["shifts"]["count"]
    assert {record.border for record in shifts} == {BORDERS[model]}
    for index_map in maps_of(after):
        index_map.check()


@pytest.mark.parametrize(
    "file",
    [
        "roll.torchscript.onnx",
        "temporal_shift.dynamo.onnx",
        "s2_mlp_nchw.dynamo.onnx",
        "as_mlp_batch_norm.torchscript.onnx",
        "shiftvit_batch_norm.torchscript.onnx",
        "strided_shift.dynamo.onnx",
        "shufflenet_v2.dynamo.onnx",
        "unext.dynamo.onnx",
    ],
)
def test_exported_models_compute_the_same(file: str) -> None:
    mod = imported(file)
    assert_computes_the_same(mod, recognized(mod)[0])


@pytest.mark.parametrize("exporter", ["torchscript", "dynamo"])
def test_shuffles_splits_and_concats_leave_channels_only(exporter: str) -> None:
    after, records = recognized(canonicalize(imported(f"shufflenet_v2.{exporter}.onnx")))
    assert not [record for record in records if record.reason]
    assert all(m.is_channels_only for m in maps_of(after) if m.output[2:] != (1, 1))
    movement = {"split", "concat", "permute_dims", "reshape", "strided_slice"}
    assert not movement & set(operators(after))


def test_real_valued_offsets_are_no_index_map() -> None:
    _, records = recognized(imported("active_shift.dynamo.onnx"))
    assert not any(record.border in ("wrap", "edge") or "(0,1)" in record.offsets for record in records)
