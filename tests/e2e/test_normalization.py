"""Normalizations as ONNX has them and as exporters spell them out, beside onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper

from shiftc.options import PassOptions
from tests.e2e.agreement import TOLERANCE, agreement
from tests.machines import AVX2

CONVNEXT = """<ir_version: 8, opset_import: ["" : 17]>
g (float[2,37,6,5] x) => (float[2,37,6,5] y) {
    a = Conv<group=37, pads=[1,1,1,1]>(x, depthwise)
    last = Transpose<perm=[0,2,3,1]>(a)
    normal = LayerNormalization<axis=-1, epsilon=0.000001>(last, gamma, beta)
    wide = MatMul(normal, widen)
    active = Relu(wide)
    narrow = MatMul(active, narrow_weight)
    first = Transpose<perm=[0,3,1,2]>(narrow)
    y = Add(x, first)
}"""
"""A block of ConvNeXt."""

SPELLED_OUT = """<ir_version: 8, opset_import: ["" : 13]>
g (float[2,30,37] x) => (float[2,30,11] y) <float two = {2}, float epsilon = {0.00001}> {
    mean = ReduceMean<axes=[-1]>(x)
    deviation = Sub(x, mean)
    square = Pow(deviation, two)
    variance = ReduceMean<axes=[-1]>(square)
    biased = Add(variance, epsilon)
    root = Sqrt(biased)
    normal = Div(deviation, root)
    scaled = Mul(normal, gamma)
    moved = Add(scaled, beta)
    y = MatMul(moved, head)
}"""
"""LayerNormalization of tokens before opset 17."""

GROUPS = """<ir_version: 8, opset_import: ["" : 17]>
g (float[2,37,6,5] x) => (float[2,36,6,5] y) <int64[3] grouped = {2,4,-1}, int64[4] planes = {2,36,6,5},
    float[4] ones = {1,1,1,1}, float[4] zeros = {0,0,0,0}> {
    a = Conv(x, pointwise)
    b = Reshape(a, grouped)
    c = InstanceNormalization(b, ones, zeros)
    d = Reshape(c, planes)
    e = Mul(d, plane_gamma)
    f = Add(e, plane_beta)
    y = Sigmoid(f)
}"""
"""GroupNormalization before opset 18: nine channels a group, no multiple of a vector."""

INSTANCES = """<ir_version: 8, opset_import: ["" : 17]>
g (float[2,37,6,5] x) => (float[2,36,1,1] y) {
    a = Conv(x, pointwise)
    b = InstanceNormalization(a, instance_gamma, instance_beta)
    c = Relu(b)
    d = Softmax<axis=1>(c)
    y = GlobalAveragePool(d)
}"""

GROUP_NORMALIZATION = """<ir_version: 10, opset_import: ["" : 21]>
g (float[2,37,6,5] x) => (float[2,36,6,5] y) <float[2,36,6,5] b> {
    a = Conv(x, pointwise)
    b = GroupNormalization<num_groups=3>(a, instance_gamma, instance_beta)
    y = Relu(b)
}"""

WEIGHTS = {
    "depthwise": (37, 1, 3, 3), "gamma": (37,), "beta": (37,), "widen": (37, 45), "narrow_weight": (45, 37),
    "head": (37, 11), "pointwise": (36, 37, 1, 1), "plane_gamma": (36, 1, 1), "plane_beta": (36, 1, 1),
    "instance_gamma": (36,), "instance_beta": (36,),
}  # fmt: skip

MODELS = {
    "convnext": (CONVNEXT, ["layout", "depthwise", "layer_norm", "indexed_conv", "indexed_conv", "layout"]),
    "groups": (GROUPS, ["layout", "indexed_conv", "group_norm", "layout"]),
    "instances": (INSTANCES, ["layout", "indexed_conv", "group_norm", "softmax", "global_pool", "layout"]),
    "group normalization": (GROUP_NORMALIZATION, ["layout", "indexed_conv", "group_norm", "layout"]),
}
"""Models of planes, and the steps they become."""


def save(text: str, folder: Path) -> Path:
    """The model with random weights for the names that nothing in it computes."""
    model = onnx.parser.parse_model(text)
    read = {name for node in model.graph.node for name in node.input}
    rng = np.random.default_rng(0)
    for name, shape in WEIGHTS.items():
        values = rng.standard_normal(shape).astype(np.float32)
        if name in read:
            model.graph.initializer.append(numpy_helper.from_array(values, name))
    onnx.save(model, folder / "model.onnx")
    return folder / "model.onnx"


@pytest.mark.parametrize("name", MODELS)
def test_agrees_with_onnxruntime(name: str, tmp_path: Path) -> None:
    text, steps = MODELS[name]
    result = agreement(save(text, tmp_path), tmp_path)
    assert result.error < TOLERANCE
    assert [kernel.kind for kernel in result.manifest.kernels] == steps


def test_tokens_agree(tmp_path: Path) -> None:
    result = agreement(save(SPELLED_OUT, tmp_path), tmp_path)
    assert result.error < TOLERANCE
    assert "layer_norm" in [kernel.kind for kernel in result.manifest.kernels]


@pytest.mark.parametrize("options", [{"target": AVX2}, {"passes": PassOptions(level=0)}])
def test_options(options: dict[str, Any], tmp_path: Path) -> None:
    assert agreement(save(CONVNEXT, tmp_path), tmp_path, **options).error < TOLERANCE
