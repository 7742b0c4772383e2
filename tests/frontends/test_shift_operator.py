"""The shift operator, against its definition in numpy and against onnxruntime on what it is lowered to."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from frontends import ImportOptions, import_model, load_model
from frontends.errors import ShiftOperatorError
from frontends.shift_lowering import lower_shift_operators
from frontends.shift_operator import parse_operator_name, shift_offsets


def shift_reference(x, offsets):
    """y[n, c, h, w] = x[n, c, h + dy(c), w + dx(c)], 0 outside: the definition, element by element."""
    y = np.zeros_like(x)
    _, channels, height, width = x.shape
    for c in range(channels):
        for h in range(height):
            for w in range(width):
                source = h + offsets[c][0], w + offsets[c][1]
                if 0 <= source[0] < height and 0 <= source[1] < width:
                    y[:, c, h, w] = x[:, c, source[0], source[1]]
    return y


def paper_offsets(channels, k, dilation):
    """Groups of channels in order, displacements in row-major order, the rest in the centre."""
    group = channels // (k * k)
    rows = [
        (dy * dilation, dx * dilation)
        for dy in range(-(k // 2), k // 2 + 1)
        for dx in range(-(k // 2), k // 2 + 1)
        for _ in range(group)
    ]
    return rows + [(0, 0)] * (channels - len(rows))


def kernel_offsets(channels, k, dilation):
    """What the public CUDA kernel computes for each channel."""
    moved = channels // (k * k) * (k * k)
    return [
        (dilation * ((c // k) % k - k // 2), dilation * (c % k - k // 2)) if c < moved else (0, 0)
        for c in range(channels)
    ]


def shift_model(
    channels,
    *,
    opset=17,
    domain="shiftc",
    operator="Shift",
    offsets=None,
    nodes=1,
    dtype=np.float32,
    **attributes,
):
    """A chain of shift nodes between an input and an output of 2 x channels x 6 x 7."""
    inputs = ["offsets"] if offsets is not None else []
    values = ["x", *(f"v{index}" for index in range(nodes - 1)), "y"]
    chain = [
        helper.make_node(
            operator, [values[i], *inputs], [values[i + 1]], f"shift{i}", domain=domain, **attributes
        )
        for i in range(nodes)
    ]
    elem_type = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    graph = helper.make_graph(
        chain,
        "g",
        [helper.make_tensor_value_info("x", elem_type, [2, channels, 6, 7])],
        [helper.make_tensor_value_info("y", elem_type, None)],
        [numpy_helper.from_array(np.asarray(offsets), "offsets")] if inputs else [],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid(domain, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def random_planes(channels, dtype=np.float32):
    return np.random.default_rng(0).integers(-50, 50, (2, channels, 6, 7)).astype(dtype)


IRREGULAR = np.array([[0, 0], [2, -1], [2, -1], [-3, 5], [0, 6], [7, 0], [1, 1], [-6, -7]], np.int64)

CASES = {
    "grouped": ({"kernel_size": 3}, 20, paper_offsets(20, 3, 1)),
    "grouped_named": ({"kernel_size": 3, "layout": "grouped"}, 9, paper_offsets(9, 3, 1)),
    "grouped_dilated": ({"kernel_size": 3, "dilation": 2}, 19, paper_offsets(19, 3, 2)),
    "grouped_7": ({"kernel_size": 7}, 50, paper_offsets(50, 7, 1)),
    "modulo": ({"kernel_size": 3, "layout": "modulo"}, 20, kernel_offsets(20, 3, 1)),
    "modulo_dilated": ({"kernel_size": 3, "dilation": 3, "layout": "modulo"}, 18, kernel_offsets(18, 3, 3)),
    "modulo_5": ({"kernel_size": 5, "layout": "modulo"}, 27, kernel_offsets(27, 5, 1)),
    "too_few_channels": ({"kernel_size": 3}, 8, [(0, 0)] * 8),
    "explicit_still": ({"offsets": np.zeros((4, 2), np.int64)}, 4, [(0, 0)] * 4),
    "explicit_irregular": ({"offsets": IRREGULAR}, 8, IRREGULAR),
    "explicit_rows_only": ({"offsets": IRREGULAR * [1, 0]}, 8, IRREGULAR * [1, 0]),
    "explicit_wide_steps": ({"offsets": IRREGULAR[:3] * 2}, 3, IRREGULAR[:3] * 2),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("opset", [9, 17])
def test_computes_the_definition(case, opset, save, run_tvm, run_onnxruntime):
    attributes, channels, offsets = CASES[case]
    imported = import_model(save(shift_model(channels, opset=opset, **attributes)))
    x = random_planes(channels)
    expected = shift_reference(x, offsets)
    np.testing.assert_array_equal(run_tvm(imported, {"x": x})[0], expected)
    np.testing.assert_array_equal(run_onnxruntime(imported.onnx_model, {"x": x})[0], expected)


def test_layout_formulas():
    for channels, k, dilation in [(9, 3, 1), (20, 3, 2), (130, 5, 1), (7, 3, 1), (83, 9, 1)]:
        np.testing.assert_array_equal(
            shift_offsets(channels, k, dilation, "grouped"), paper_offsets(channels, k, dilation)
        )
        np.testing.assert_array_equal(
            shift_offsets(channels, k, dilation, "modulo"), kernel_offsets(channels, k, dilation)
        )


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(-8, 8), st.integers(-8, 8)), min_size=1, max_size=6))
def test_any_table_is_lowered_right(run_onnxruntime, table):
    offsets = np.array(table, np.int64)
    lowered = lower_shift_operators(shift_model(len(table), offsets=offsets))
    x = random_planes(len(table))
    np.testing.assert_array_equal(run_onnxruntime(lowered, {"x": x})[0], shift_reference(x, offsets))


@pytest.mark.parametrize(
    ("case", "operators"),
    [
        ("grouped_7", ["Conv"]),
        ("grouped_dilated", ["Conv"]),
        ("explicit_wide_steps", ["Conv"]),
        ("explicit_still", ["Identity"]),
        ("explicit_irregular", ["Pad", *["Slice"] * 7, "Concat"]),
    ],
)
def test_lowered_form(case, operators):
    attributes, channels, _ = CASES[case]
    lowered = lower_shift_operators(shift_model(channels, **attributes))
    assert [node.op_type for node in lowered.graph.node] == operators
    assert lowered.graph.node[-1].name == "shift0"


def test_integers_are_sliced():
    lowered = lower_shift_operators(shift_model(9, kernel_size=3, dtype=np.int32))
    assert "Conv" not in {node.op_type for node in lowered.graph.node}


def test_a_chain_of_shifts(save, run_tvm):
    """Each one's channel count is known although no shape inference knows the operator."""
    imported = import_model(save(shift_model(9, nodes=3, kernel_size=3)))
    x = random_planes(9)
    expected = x
    for _ in range(3):
        expected = shift_reference(expected, paper_offsets(9, 3, 1))
    np.testing.assert_array_equal(run_tvm(imported, {"x": x})[0], expected)


def test_foreign_operator_is_modulo_unless_it_says_otherwise(save, run_onnxruntime):
    options = ImportOptions(shift_operators=(("shiftc", "Shift"), ("shiftnet", "ShiftFunction")))
    x = random_planes(18)
    for attributes, offsets in [
        ({}, kernel_offsets(18, 3, 1)),
        ({"layout": "grouped"}, paper_offsets(18, 3, 1)),
    ]:
        model = shift_model(18, domain="shiftnet", operator="ShiftFunction", kernel_size=3, **attributes)
        plain = load_model(save(model), options)
        np.testing.assert_array_equal(run_onnxruntime(plain, {"x": x})[0], shift_reference(x, offsets))


def test_operator_names_as_text():
    assert parse_operator_name("shiftnet::Shift") == ("shiftnet", "Shift")
    assert parse_operator_name(" org.lab::nested::Shift ") == ("org.lab::nested", "Shift")
    for text in ("Shift", "::Shift", "shiftnet::", ""):
        with pytest.raises(ShiftOperatorError) as raised:
            parse_operator_name(text)
        assert str(raised.value) == f"'{text}' names no custom operator: write DOMAIN::OPERATOR"


def test_offsets_may_come_from_a_constant_node(save, run_tvm):
    model = shift_model(8, offsets=IRREGULAR)
    tensor = model.graph.initializer.pop()
    model.graph.node.insert(0, helper.make_node("Constant", [], ["offsets"], value=tensor))
    x = random_planes(8)
    np.testing.assert_array_equal(
        run_tvm(import_model(save(model)), {"x": x})[0], shift_reference(x, IRREGULAR)
    )


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({}, "it has neither a kernel_size nor a second input with offsets"),
        ({"kernel_size": 4}, "its kernel_size is 4, not a positive odd number"),
        ({"kernel_size": [3, 3]}, "its kernel_size is [3, 3], not a positive odd number"),
        ({"kernel_size": 3, "dilation": 0}, "its dilation is 0, not a positive number"),
        ({"kernel_size": 3, "layout": "spiral"}, "its layout is b'spiral', not 'grouped' or 'modulo'"),
        ({"kernel_size": 3, "offsets": IRREGULAR}, "it has both offsets and a kernel_size"),
        ({"offsets": IRREGULAR[:5]}, "its offsets are int64 [5, 2], not int64 [8, 2] of (dy, dx)"),
        (
            {"offsets": IRREGULAR.astype(np.float32)},
            "its offsets are float32 [8, 2], not int64 [8, 2] of (dy, dx)",
        ),
    ],
)
def test_refuses_nonsense(attributes, message, save):
    path = save(shift_model(8, **attributes))
    with pytest.raises(ShiftOperatorError) as raised:
        import_model(path)
    assert str(raised.value) == f"{path}: node 'shift0': {message}"


def test_refuses_offsets_computed_at_run_time(save):
    model = shift_model(8, offsets=IRREGULAR)
    model.graph.initializer.pop()
    model.graph.input.append(helper.make_tensor_value_info("offsets", onnx.TensorProto.INT64, [8, 2]))
    with pytest.raises(ShiftOperatorError, match="its offsets 'offsets' are not constant"):
        import_model(save(model))


def test_refuses_other_ranks(save):
    model = shift_model(8, kernel_size=3)
    model.graph.input[0].type.tensor_type.shape.dim.pop()
    with pytest.raises(ShiftOperatorError, match=r"its input is not \[N,C,H,W\] with a fixed C"):
        import_model(save(model))
