"""The smallest models that the core has computed wrongly, each named by what was wrong."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import pytest

from tests.fuzz.case import LANES, Case, Plan
from tests.fuzz.compiled_run import run_compiled, runs_here
from tests.fuzz.interpreted_run import run_interpreted
from tests.fuzz.judge import Clock, judge

FAULTS = {
    "planes of several sizes were read as if all were as large as the first": """
        (float[1,1,2,2] a, float[1,1,2,3] b) => (float[1,2,2,2] y)
        <int64[1] zero = {0}, int64[1] two = {2}, int64[1] three = {3}>
        {   cropped = Slice(b, zero, two, three)
            y = Concat<axis = 1>(a, cropped) }""",
    "the same, the cut planes first, and computed": """
        (float[2,3,4,4] a, float[2,2,7,9] b) => (float[2,5,4,4] y)
        <int64[2] from = {2, 4}, int64[2] to = {6, 8}, int64[2] axes = {2, 3}, float[5,5,3,3] w>
        {   c = Relu(b)
            d = Sigmoid(a)
            cropped = Slice(c, from, to, axes)
            both = Concat<axis = 1>(cropped, d)
            y = Conv<pads = [1, 1, 1, 1]>(both, w) }""",
    "the same, of planes that are padded, cut and strided, for several readers": """
        (float[1,2,3,3] a, float[1,3,7,7] b, float[1,1,10,10] c)
            => (float[1,4,5,5] y, float[1,6,5,5] z, float[1,6,5,5] both)
        <int64[8] pads = {0, 0, 2, 0, 0, 0, 0, 2}, int64[2] from = {1, 2}, int64[2] to = {6, 7},
         int64[2] axes = {2, 3}, int64[2] zero = {0, 0}, int64[2] ten = {10, 10}, int64[2] two = {2, 2},
         float[4,6,1,1] w>
        {   padded = Pad(a, pads)
            cropped = Slice(b, from, to, axes)
            strided = Slice(c, zero, ten, axes, two)
            both = Concat<axis = 1>(padded, cropped, strided)
            y = Conv(both, w)
            z = Tanh(both) }""",
    "the same, turned around and rolled": """
        (float[1,2,4,4] a, float[1,2,4,6] b) => (float[1,4,4,4] y)
        <int64[1] last = {-1}, int64[1] least = {-100}, int64[1] two = {2}, int64[1] three = {3},
         int64[1] zero = {0}, int64[1] one = {1}, int64[1] four = {4}, int64[1] five = {5}>
        {   c = Relu(a)
            flipped = Slice(c, last, least, two, last)
            cropped = Slice(b, one, five, three)
            low = Slice(cropped, zero, one, two)
            high = Slice(cropped, one, four, two)
            rolled = Concat<axis = 2>(high, low)
            y = Concat<axis = 1>(flipped, rolled) }""",
    "the images behind the first were looked for as if a slice were the whole batch": """
        (float[3,16,4,4] x, float[1,16,4,4] a) => (float[2,16,4,4] y)
        <int64[1] one = {1}, int64[1] three = {3}, int64[1] zero = {0}>
        {   r = Relu(x)
            later = Slice(r, one, three, zero)
            y = Sub(later, a) }""",
    "the same, behind a convolution, with an operand for each image": """
        (float[3,3,4,4] x, float[2,16,4,4] a) => (float[2,16,4,4] y)
        <int64[1] one = {1}, int64[1] three = {3}, int64[1] zero = {0}, float[16,3,3,3] w>
        {   c = Conv<pads = [1, 1, 1, 1]>(x, w)
            later = Slice(c, one, three, zero)
            y = Add(later, a) }""",
    "the same, split into images that meet again": """
        (float[3,5,4,4] x) => (float[1,5,4,4] y, float[1,10,4,4] z)
        <int64[3] each = {1, 1, 1}>
        {   r = Sigmoid(x)
            a, b, c = Split<axis = 0>(r, each)
            y = Mul(b, c)
            z = Concat<axis = 1>(c, a) }""",
    "a column that is repeated was read as the columns beside it, next to a plane that is not": """
        (float[2,4,6,2] a, float[2,4,6,2] b) => (float[2,8,6,3] y, float[2,8,7,2] z)
        <int64[1] zero = {0}, int64[1] one = {1}, int64[1] three = {3}, int64[1] two = {2},
         int64[4] shape = {2, 4, 6, 2}, int64[8] left = {0, 0, 0, 1, 0, 0, 0, 0},
         int64[8] top = {0, 0, 1, 0, 0, 0, 0, 0}>
        {   column = Slice(b, zero, one, three)
            columns = Expand(column, shape)
            right = Pad(columns, left)
            aside = Pad(a, left)
            y = Concat<axis = 1>(aside, right)
            row = Slice(b, zero, one, two)
            rows = Expand(row, shape)
            lower = Pad(rows, top)
            below = Pad(a, top)
            z = Concat<axis = 1>(lower, below) }""",
    "a plane of another size counted among those that a strided convolution reads": """
        (float[2,4,1,7] a, float[2,4,3,3] b) => (float[2,5,1,1] y)
        <int64[8] above = {0, 0, 2, 0, 0, 0, 0, 0}, int64[1] four = {4}, int64[1] seven = {7},
         int64[1] three = {3}, float[5,8,1,1] w>
        {   padded = Pad(a, above)
            cropped = Slice(padded, four, seven, three)
            both = Concat<axis = 1>(cropped, b)
            y = Conv<strides = [3, 3]>(both, w) }""",
    "a number of five axes gave its axes to planes": """
        (float[1,3,4,5] x) => (float[1,3,2,2,5] y)
        <int64[5] shape = {1, 3, 2, 2, 5}, float[1,1,1,1,1] number>
        {   r = Reshape(x, shape)
            a = Add(r, number)
            y = Softmax<axis = 2>(a) }""",
    "indices of some rows were taken for those of all": """
        (float[1,3,4,5] x, float[1,1,2,5] a) => (float[1,3,4,5] y, float[1,1,3,2] z)
        <int64[1,1,2,5] at = {0, 2, 1, 1, 0, 3, 0, 2, 2, 1}, int64[1,1,3,2] from = {0, 2, 1, 1, 0, 3}>
        {   r = Relu(x)
            y = ScatterElements<axis = 2>(r, at, a)
            z = GatherElements<axis = 2>(r, from) }""",
    "a scatter that no pass folds had no code": """
        (float[1,1,1,6] x, float[2,1] a) => (float[1,1,1,6] y)
        <int64[2,4] at = {0, 0, 0, 4, 0, 0, 0, 1}, int64[1] two = {2}>
        {   updates = Reshape(a, two)
            y = ScatterND(x, at, updates) }""",
    "the first tile of a chain read a halo before it was cleared": """
        (float[1,3,6,4] x) => (float[1,6,8,4] y)
        <int64[8] above = {0, 0, 2, 0, 0, 0, 0, 0}>
        {   s = Softplus(x)
            a = Pad(s, above)
            b = Pad(x, above)
            both = Concat<axis = 1>(a, b)
            y = Abs(both) }""",
}


def case_of(text: str, plan: Plan) -> Case:
    """The model of a text; weights that it names without saying what they are become random."""
    head, body = text.split("{   ", 1)
    model = onnx.parser.parse_model(f'<ir_version: 9, opset_import: ["": 19]> fault {head}{{ {body}')
    random = np.random.default_rng(0)
    for value in list(model.graph.value_info):
        shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        weight = random.standard_normal(shape).astype("float32")
        model.graph.initializer.append(onnx.numpy_helper.from_array(weight, value.name))
    return Case(model, plan, 0)


@pytest.mark.parametrize("cpu", LANES)
@pytest.mark.parametrize("name", FAULTS)
def test_right_for_every_machine(name: str, cpu: str) -> None:
    others = Plan(cpu, tiles=4), Plan(cpu, threads=2, tiles=2, bands=True, forms="always")
    for plan in (Plan(cpu), *others):
        assert judge(case_of(FAULTS[name], plan), run_interpreted, Clock(), "interpret").kind == "right"


@pytest.mark.parametrize("name", FAULTS)
def test_right_when_it_runs(name: str) -> None:
    cpu = "haswell" if runs_here("haswell") else "x86-64"
    for plan in (Plan(cpu), Plan(cpu, level=0)):
        assert judge(case_of(FAULTS[name], plan), run_compiled, Clock(), "run").kind == "right"
