"""The table has no third kind, and a few cases of every family are what it says."""

from __future__ import annotations

import os
from pathlib import Path

from tests.onnx_suite import table
from tests.onnx_suite.cases import BOUND, collect
from tests.onnx_suite.pool import run_cases

QUICK = (
    "test_attention_4d_gqa",
    "test_averagepool_2d_ceil",
    "test_basic_conv_with_padding",
    "test_batchnorm_example_training_mode",
    "test_bitcast_float32_to_int32",
    "test_celu",
    "test_center_crop_pad_crop_and_pad" + BOUND,
    "test_col2im_pads" + BOUND,
    "test_convtranspose_pads",
    "test_cumsum_2d_axis_1" + BOUND,
    "test_depthtospace_crd_mode_example",
    "test_dft_irfft" + BOUND,
    "test_dropout_default_mask",
    "test_eyelike_with_dtype",
    "test_edge_pad" + BOUND,
    "test_einsum_batch_diagonal",
    "test_gather_elements_1",
    "test_gridsample_bilinear",
    "test_group_normalization_epsilon",
    "test_hardmax_axis_1",
    "test_instancenorm_epsilon",
    "test_isinf_positive",
    "test_layer_normalization_4d_axis1",
    "test_linear_attention_delta",
    "test_lstm_defaults",
    "test_maxpool_2d_dilations",
    "test_nonmaxsuppression_two_classes" + BOUND,
    "test_quantizelinear_axis" + BOUND,
    "test_reduce_log_sum_exp_keepdims_random" + BOUND,
    "test_resize_upsample_scales_linear" + BOUND,
    "test_scan9_sum",
    "test_scatter_elements_with_axis",
    "test_slice_neg_steps" + BOUND,
    "test_softmax_large_number",
    "test_spacetodepth_crd_mode_example",
    "test_top_k" + BOUND,
    "test_where_example",
)
"""One or two of every family."""


def test_every_row_is_right_or_refused_with_a_reason() -> None:
    rows = table.read()
    assert len(rows) > 2000
    third = {name: row for name, row in rows.items() if row != "right" and not row.startswith("refused: ")}
    assert not third
    assert not [name for name, row in rows.items() if row == "refused: "]


def test_a_few_cases_of_every_family_are_what_the_table_says(tmp_path: Path) -> None:
    cases = [case for case in collect() if case.name in QUICK]
    assert len(cases) == len(QUICK)
    verdicts = run_cases(cases, tmp_path, workers=min(2, len(os.sched_getaffinity(0))))
    assert not table.problems(verdicts)
