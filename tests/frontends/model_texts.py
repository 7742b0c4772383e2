"""Small models in ONNX's text form, each at the opsets where its operators changed."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
from onnx import numpy_helper

HEADERS = {
    opset: f'<ir_version: {version}, opset_import: ["": {opset}]>'
    for opset, version in [(9, 4), (11, 6), (13, 7), (17, 8), (18, 8), (21, 10)]
}

MODELS = {
    "conv_bias_relu": (
        [9, 11, 13, 17, 21],
        """g (float[1,3,8,8] x) => (float[1,4,4,4] y)
        <float[4,3,3,3] w, float[4] b = {1, 2, -3, 4}>
        { a = Conv<strides=[2,2], pads=[1,1,1,1]>(x, w, b)  y = Relu(a) }""",
    ),
    "conv_same_upper": (
        [9, 17],
        """g (float[1,3,7,8] x) => (float[1,4,4,4] y)
        <float[4,3,3,2] w> { y = Conv<strides=[2,2], auto_pad="SAME_UPPER">(x, w) }""",
    ),
    "conv_same_lower": (
        [17],
        """g (float[1,3,7,8] x) => (float[1,4,7,8] y)
        <float[4,3,2,2] w> { y = Conv<auto_pad="SAME_LOWER">(x, w) }""",
    ),
    "max_pool_same_lower": (
        [17],
        """g (float[1,3,7,7] x) => (float[1,3,4,4] y)
        { y = MaxPool<kernel_shape=[2,2], strides=[2,2], auto_pad="SAME_LOWER">(x) }""",
    ),
    "average_pool_asymmetric": (
        [11, 21],
        """g (float[1,3,7,7] x) => (float[1,3,4,4] y)
        { y = AveragePool<kernel_shape=[3,3], strides=[2,2], pads=[1,0,1,2]>(x) }""",
    ),
    "average_pool_same": (
        [17],
        """g (float[1,3,7,8] x) => (float[1,3,4,4] y)
        { y = AveragePool<kernel_shape=[3,3], strides=[2,2], auto_pad="SAME_UPPER">(x) }""",
    ),
    "batch_norm": (
        [9, 17],
        """g (float[2,3,4,4] x) => (float[2,3,4,4] y)
        <float[3] s = {1,2,3}, float[3] b = {-1,0,1}, float[3] m = {0.5,0,1}, float[3] v = {1,2,0.5}>
        { y = BatchNormalization(x, s, b, m, v) }""",
    ),
    "softmax_flattens_before_13": (
        [9, 11],
        "g (float[2,3,2,2] x) => (float[2,3,2,2] y) { y = Softmax(x) }",
    ),
    "softmax": ([13, 21], "g (float[2,3,2,2] x) => (float[2,3,2,2] y) { y = Softmax<axis=1>(x) }"),
    "clip_old": ([9], "g (float[2,8] x) => (float[2,8] y) { y = Clip<min=0.0, max=1.0>(x) }"),
    "clip": (
        [13, 21],
        "g (float[2,8] x) => (float[2,8] y) <float lo = {-0.5}> { y = Clip(x, lo) }",
    ),
    "clip_integers": ([13], "g (int32[2,8] x) => (int32[2,8] y) <int32 lo = {1}> { y = Clip(x, lo) }"),
    "clip_computed": (
        [13],
        "g (float[2,8] x, float lo, float hi) => (float[2,8] y) { y = Clip(x, lo, hi) }",
    ),
    "shape_is_the_output": ([13], "g (float[2,3] x) => (int64[2] y) { y = Shape(x) }"),
    "layer_norm": (
        [17],
        """g (float[2,3,4] x) => (float[2,3,4] y) <float[4] s = {1,2,3,4}, float[4] b = {1,0,1,0}>
        { y, mean = LayerNormalization(x, s, b) }""",
    ),
    "dropout_with_mask": ([13], "g (float[2,3] x) => (float[2,3] y) { y, mask = Dropout(x) }"),
    "all_constant": (
        [13],
        """g (float[2,3] x) => (float[2,3] y) <float[2,1] a = {1,2}, float[3] b = {3,4,5}, float hi = {5}>
        { s = Sum(a, b)  c = Clip(s, , hi)  i = Identity(c)  y = Mul(x, i) }""",
    ),
    "slice_old": (
        [9],
        "g (float[2,8] x) => (float[2,3] y) { y = Slice<axes=[1], starts=[2], ends=[5]>(x) }",
    ),
    "pad_old": (
        [9],
        "g (float[2,3] x) => (float[3,5] y) { y = Pad<pads=[1,0,0,2], value=3.0>(x) }",
    ),
    "pad_axes": (
        [18, 21],
        """g (float[1,2,3,4] x) => (float[1,2,3,6] y)
        <int64[2] p = {1,1}, float v = {2}, int64[1] a = {3}> { y = Pad(x, p, v, a) }""",
    ),
    "pad_crops": (
        [13],
        """g (float[1,2,5,5] x) => (float[1,2,4,5] y)
        <int64[8] p = {0,0,-1,1,0,0,0,-1}> { y = Pad(x, p) }""",
    ),
    "pad_reflect": (
        [13],
        """g (float[1,2,5,5] x) => (float[1,2,7,7] y)
        <int64[8] p = {0,0,1,1,0,0,1,1}> { y = Pad<mode="reflect">(x, p) }""",
    ),
    "pad_edge": (
        [13],
        """g (float[1,2,5,5] x) => (float[1,2,7,7] y)
        <int64[8] p = {0,0,1,1,0,0,1,1}> { y = Pad<mode="edge">(x, p) }""",
    ),
    "pad_wrap": (
        [21],
        """g (float[1,2,5,5] x) => (float[1,2,7,7] y)
        <int64[8] p = {0,0,1,1,0,0,1,1}> { y = Pad<mode="wrap">(x, p) }""",
    ),
    "sum_broadcasts": (
        [9, 13],
        "g (float[2,3] x, float[3] b, float[2,1] c) => (float[2,3] y) { y = Sum(x, b, c) }",
    ),
    "mean_min_max": (
        [13],
        """g (float[2,3] a, float[2,3] b, float[2,3] c) => (float[2,3] x, float[2,3] y, float[2,3] z)
        { x = Mean(a, b, c)  y = Min(a, b, c)  z = Max(a, b, c) }""",
    ),
    "tile": ([13], "g (float[2,3] x) => (float[4,3] y) <int64[2] r = {2,1}> { y = Tile(x, r) }"),
    "dropout_identity": (
        [9, 13],
        "g (float[2,3] x) => (float[2,3] y) { a = Dropout(x)  y = Identity(a) }",
    ),
    "channel_shuffle": (
        [13],
        """g (float[1,6,2,2] x) => (float[1,6,2,2] y) <int64[5] s = {1,2,3,2,2}, int64[4] t = {1,6,2,2}>
        { a = Reshape(x, s)  b = Transpose<perm=[0,2,1,3,4]>(a)  y = Reshape(b, t) }""",
    ),
    "split_old": (
        [9],
        """g (float[1,6,2,2] x) => (float[1,6,2,2] y)
        { a, b = Split<axis=1, split=[2,4]>(x)  y = Concat<axis=1>(b, a) }""",
    ),
    "split_scatter": (
        [13, 18],
        """g (float[2,6] x) => (float[2,6] y) <int64[2] s = {2,4}, int64[1,1] i = {1}, float[1,6] z>
        { a, b = Split<axis=1>(x, s)  c = Concat<axis=1>(b, a)  y = ScatterND(c, i, z) }""",
    ),
    "shape_arithmetic": (
        [13],
        """g (float[2,3,4,4] x) => (float[2,48] y) <int64 zero = {0}, int64[1] rest = {-1}, int64[1] ax = {0}>
        { s = Shape(x)  n = Gather(s, zero)  m = Unsqueeze(n, ax)  t = Concat<axis=0>(m, rest)
          y = Reshape(x, t) }""",
    ),
    "gemm": (
        [9, 13],
        """g (float[2,3] x) => (float[2,4] y) <float[4,3] w, float[4] b = {1,2,3,4}>
        { y = Gemm<transB=1, alpha=0.5, beta=2.0>(x, w, b) }""",
    ),
    "einsum_pointwise": (
        [13],
        """g (float[2,3,4] x, float[4,5] w) => (float[5,3,2] y)
        { y = Einsum<equation="nwc,cd->dwn">(x, w) }""",
    ),
    "einsum_batched": (
        [13],
        """g (float[2,3,4,5] x, float[3,5,2,4] w) => (float[2,3,2] y)
        { y = Einsum<equation="ahij, hjbi -> ahb">(x, w) }""",
    ),
    "einsum_trace": ([13], 'g (float[3,3] x) => (float y) { y = Einsum<equation="ii->">(x) }'),
    "constant_of_shape": (
        [9, 13],
        """g (float[2,3] x) => (float[2,3] y) <int64[2] s = {2,3}>
        { c = ConstantOfShape<value = float[1] {0.5}>(s)  y = Add(x, c) }""",
    ),
    "input_is_output": ([13], "g (float[2,3] x) => (float[2,3] y) { y = Identity(x) }"),
    "unused_input": ([13], "g (float[2,3] x, float[2,3] z) => (float[2,3] y) { y = Relu(x) }"),
}


def model_text(name: str, opset: int) -> onnx.ModelProto:
    """The model of `name`; initializers it declares without values get random ones."""
    model = onnx.parser.parse_model(HEADERS[opset] + MODELS[name][1])
    generator = np.random.default_rng(1)
    for value in list(model.graph.value_info):
        shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        values = generator.standard_normal(shape).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(values, value.name))
    return model
