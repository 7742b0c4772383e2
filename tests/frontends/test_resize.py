"""Resize and Upsample of every opset: drawn at random, and the smallest cases of every kind of fault."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from frontends import import_model
from frontends.errors import OperatorImportError
from frontends.interpolation import Axis, Interpolation
from tests.frontends.relax_numpy import evaluate

Array = np.ndarray[Any, Any]
TYPES = {
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "float16": TensorProto.FLOAT16,
    "uint8": TensorProto.UINT8,
    "int8": TensorProto.INT8,
    "int32": TensorProto.INT32,
}
TOLERANCE = {"float16": 2e-3}
"""Largest |difference| over largest |value|; 2e-5 for others, one unit for integers that are interpolated."""
RANDOM_CASES = 150
_PROPORTIONAL = ("not_larger", "not_smaller")


def resize(
    shape: tuple[int, ...],
    *,
    opset: int = 19,
    operator: str = "Resize",
    dtype: str = "float32",
    scales: list[float] | None = None,
    sizes: list[int] | None = None,
    roi: list[float] | None = None,
    **attributes: Any,
) -> onnx.ModelProto:
    """A model of one node, x to y, its other inputs as exporters of that opset write them."""
    given = {
        "roi": None if roi is None else (TensorProto.FLOAT, roi),
        "scales": None if scales is None else (TensorProto.FLOAT, scales),
        "sizes": None if sizes is None else (TensorProto.INT64, sizes),
    }
    if opset < 11:
        names = ["scales"]
    else:
        names = ["roi", "scales"] + (["sizes"] if sizes is not None else [])
        if opset < 13:  # these inputs may not be left out
            given = {name: value or (TensorProto.FLOAT, []) for name, value in given.items()}
    if operator == "Upsample" and opset < 9:
        names, attributes = [], {**attributes, "scales": [float(scale) for scale in scales or ()]}
    tensors = [
        helper.make_tensor(name, value[0], [len(value[1])], value[1])
        for name in names
        if (value := given[name]) is not None
    ]
    inputs = ["x", *(name if given[name] is not None else "" for name in names)]
    graph = helper.make_graph(
        [helper.make_node(operator, inputs, ["y"], **attributes)],
        "resize",
        [helper.make_tensor_value_info("x", TYPES[dtype], shape)],
        [helper.make_tensor_value_info("y", TYPES[dtype], None)],
        tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def ours(model: onnx.ModelProto, x: Array, folder: Path) -> Array:
    """What the imported model computes."""
    path = folder / "model.onnx"
    onnx.save(model, path)
    return evaluate(import_model(path).module, [x])[0]


def theirs(model: onnx.ModelProto, x: Array) -> list[Array]:
    """What onnxruntime and ONNX's reference say, those of them that take the model."""
    answers = []
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        options = onnxruntime.RunOptions()
        options.log_severity_level = 4
        answers.append(session.run(None, {"x": x}, options)[0])
    except Exception:  # onnxruntime's errors have no common class
        pass
    if model.opset_import[0].version >= 11:
        answers.append(ReferenceEvaluator(model).run(None, {"x": x})[0])
    return answers


def drawn(shape: tuple[int, ...], dtype: str, seed: int = 0) -> Array:
    generator = np.random.default_rng(seed)
    if dtype.startswith("float"):
        return generator.standard_normal(shape).astype(dtype)
    return generator.integers(0 if dtype == "uint8" else -100, 100, shape).astype(dtype)


def agrees(actual: Array, expected: Array, dtype: str) -> bool:
    if actual.shape != expected.shape or actual.dtype != expected.dtype:
        return False
    difference = np.abs(actual.astype(float) - expected.astype(float)).max()
    if not dtype.startswith("float"):
        return bool(difference <= 1)
    return bool(difference <= TOLERANCE.get(dtype, 2e-5) * max(1.0, np.abs(expected.astype(float)).max()))


class Draw:
    """A Resize whose every attribute is drawn."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.opset = self.random.choice([10, 11, 13, 18, 19])
        self.mode = self.random.choice(["nearest", "linear", "cubic"])
        self.dtype = self.random.choice(["float32"] * 5 + list(TYPES)) if self.opset > 10 else "float32"
        rank = self.random.choice([4, 4, 4, 4, 3, 5, 2])
        spatial = list(range(2, rank)) if rank > 2 else [0, 1]
        if rank == 4 and self.random.random() < 0.2:
            spatial = [1, 2]
        self.spatial = spatial
        self.shape = tuple(
            self.random.randint(1, 9) if axis in spatial else self.random.randint(1, 3)
            for axis in range(rank)
        )

    def model(self) -> onnx.ModelProto:
        attributes: dict[str, Any] = {"mode": self.mode}
        choose = self.random.choice
        if self.opset > 10:
            attributes |= self._modes()
        if self.opset >= 18 and self.mode != "nearest" and self.random.random() < 0.4:
            attributes["antialias"] = 1
        axes = list(range(len(self.shape)))
        if self.opset >= 18 and self.random.random() < 0.5:
            axes = self.random.sample(self.spatial, len(self.spatial))
            attributes["axes"] = axes
        if attributes.get("coordinate_transformation_mode") == "tf_crop_and_resize":
            regions = [self._region(axis) for axis in axes]
            attributes["roi"] = [start for start, _ in regions] + [end for _, end in regions]
            attributes["extrapolation_value"] = choose([0.0, 3.0])
        if self.opset > 10 and self.random.random() < 0.5:
            if "axes" in attributes:
                attributes["keep_aspect_ratio_policy"] = choose(["stretch", *_PROPORTIONAL])
            # To one element, cubic: ONNX's reference does not do what ONNX's text says of pytorch_half_pixel.
            least = 4 if attributes.get("keep_aspect_ratio_policy") in _PROPORTIONAL else 2
            sizes = [self.random.randint(least, 14) if a in self.spatial else self.shape[a] for a in axes]
            return resize(self.shape, opset=self.opset, dtype=self.dtype, sizes=sizes, **attributes)
        scales = [self._scale(axis) if axis in self.spatial else 1.0 for axis in axes]
        return resize(self.shape, opset=self.opset, dtype=self.dtype, scales=scales, **attributes)

    def _modes(self) -> dict[str, Any]:
        choose = self.random.choice
        symmetric = ["half_pixel_symmetric"] if self.opset >= 19 else []
        coordinates = [
            "half_pixel",
            "pytorch_half_pixel",
            "align_corners",
            "asymmetric",
            "tf_crop_and_resize",
        ]
        modes: dict[str, Any] = {"coordinate_transformation_mode": choose([*coordinates, *symmetric])}
        if self.mode == "nearest":
            modes["nearest_mode"] = choose(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
        if self.mode == "cubic":
            modes |= {"cubic_coeff_a": choose([-0.75, -0.5]), "exclude_outside": choose([0, 1])}
        return modes

    def _region(self, axis: int) -> tuple[float, float]:
        if axis not in self.spatial:
            return 0.0, 1.0
        return round(self.random.uniform(-0.2, 0.5), 2), round(self.random.uniform(0.55, 1.3), 2)

    def _scale(self, axis: int) -> float:
        scale = self.random.choice([1.0, 2.0, 3.0, 0.5, 1.5, 2.5, 0.6, 1.3333333, 1.7, 0.75])
        return scale if int(np.float32(scale) * np.float32(self.shape[axis])) > 1 else 2.0


@pytest.mark.parametrize("block", range(5))
def test_random_resizes(block: int, tmp_path: Path) -> None:
    """Right is what onnxruntime or ONNX's reference says: they differ in what a resized length is."""
    judged = 0
    for seed in range(block * RANDOM_CASES // 5, (block + 1) * RANDOM_CASES // 5):
        draw = Draw(seed)
        model, x = draw.model(), drawn(draw.shape, draw.dtype, seed)
        expected = theirs(model, x)
        actual = ours(model, x, tmp_path)
        if expected:
            judged += 1
            assert any(agrees(actual, answer, draw.dtype) for answer in expected), (seed, model.graph.node[0])
    assert judged > 0.7 * RANDOM_CASES / 5


FAULTS: dict[str, onnx.ModelProto] = {
    "scale times size is not whole": resize((1, 1, 3, 3), scales=[1, 1, 1.5, 1.5], mode="linear", opset=13),
    "ties are rounded down": resize((1, 2, 3, 3), scales=[1, 1, 1.5, 1.5], mode="nearest", opset=13),
    "ties are rounded up": resize(
        (1, 2, 3, 3),
        scales=[1, 1, 2, 2],
        nearest_mode="round_prefer_ceil",
        coordinate_transformation_mode="align_corners",
    ),
    "antialias": resize((1, 3, 16, 16), sizes=[1, 3, 7, 7], mode="linear", antialias=1),
    "antialias, cubic": resize((1, 2, 16, 11), sizes=[1, 2, 5, 7], mode="cubic", antialias=1),
    "not larger": resize(
        (1, 3, 8, 9), sizes=[16, 12], axes=[2, 3], mode="nearest", keep_aspect_ratio_policy="not_larger"
    ),
    "not larger, all axes": resize(
        (1, 3, 8, 9), sizes=[1, 3, 16, 12], mode="nearest", keep_aspect_ratio_policy="not_larger"
    ),
    "corners of one pixel": resize(
        (1, 1, 3, 3), sizes=[1, 1, 1, 1], mode="linear", coordinate_transformation_mode="align_corners"
    ),
    "one axis": resize((1, 1, 3), scales=[1, 1, 2], mode="linear"),
    "half_pixel_symmetric": resize(
        (1, 1, 5, 4),
        scales=[1, 1, 0.7, 2.2],
        mode="linear",
        coordinate_transformation_mode="half_pixel_symmetric",
    ),
    "cubic, smaller": resize((1, 1, 8, 8), scales=[1, 1, 0.6, 0.6], mode="cubic"),
    "empty scales beside sizes": resize((1, 4, 5, 6), sizes=[1, 4, 10, 9], mode="linear", opset=11),
    "axes": resize((1, 3, 8, 8), scales=[2, 2], axes=[2, 3], mode="linear"),
    "axes in another order": resize((1, 3, 8, 8), scales=[2, 0.5], axes=[3, 2], mode="cubic"),
    "planes [N, H, W, C]": resize((1, 5, 4, 3), scales=[1, 2, 2, 1], mode="linear", opset=13),
    "Upsample 7": resize((1, 1, 2, 2), scales=[1, 1, 2, 2], mode="linear", opset=7, operator="Upsample"),
    "Upsample 9": resize((1, 1, 2, 2), scales=[1, 1, 2, 3], mode="linear", opset=9, operator="Upsample"),
    "Upsample 9, nearest": resize((1, 2, 3, 2), scales=[1, 1, 1.7, 2], opset=9, operator="Upsample"),
    "Resize 10": resize((1, 2, 5, 4), scales=[1, 1, 1.5, 2], mode="linear", opset=10),
    "Resize 10, nearest, smaller": resize((1, 1, 2, 4), scales=[1, 1, 0.6, 0.6], opset=10),
    "Resize 10, nearest, smaller and larger": resize((1, 2, 7, 4), scales=[1, 1, 0.6, 1.7], opset=10),
    "tf_half_pixel_for_nn": resize(
        (1, 2, 5, 4),
        scales=[1, 1, 2, 1.5],
        nearest_mode="floor",
        coordinate_transformation_mode="tf_half_pixel_for_nn",
        opset=11,
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_every_kind_of_fault(name: str, tmp_path: Path) -> None:
    model = FAULTS[name]
    shape = tuple(dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim)
    x = drawn(shape, "float32")
    expected = theirs(model, x) if name != "tf_half_pixel_for_nn" else [_onnxruntimes(model, x)]
    assert agrees(ours(model, x, tmp_path), expected[0], "float32")


def _onnxruntimes(model: onnx.ModelProto, x: Array) -> Array:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0])


def test_infinities_stay_where_they_count(tmp_path: Path) -> None:
    """Zero times an infinity is no number: elements that have no part in a result are not multiplied."""
    model = resize(
        (1, 1, 1, 4), scales=[1, 1, 1, 2], mode="linear", coordinate_transformation_mode="asymmetric"
    )
    x = np.array([1, 2, np.inf, 4], np.float32).reshape(1, 1, 1, 4)
    np.testing.assert_array_equal(ours(model, x, tmp_path).ravel(), [1, 1.5, 2, np.inf, np.inf, np.inf, 4, 4])


REFUSED: dict[str, tuple[onnx.ModelProto, str]] = {
    "roi": (
        resize((1, 1, 2, 2), scales=[1, 1, 2, 2], coordinate_transformation_mode="tf_crop_and_resize"),
        "tf_crop_and_resize needs a roi of two numbers for every axis",
    ),
    "empty": (
        resize(
            (1, 1, 2, 6), sizes=[9, 1], axes=[2, 3], keep_aspect_ratio_policy="not_larger", mode="nearest"
        ),
        "its result is empty",
    ),
    "antialias": (
        resize((1, 1, 2, 2), scales=[1, 1, 2, 2], antialias=1),
        "antialias is not defined for mode 'nearest'",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str, tmp_path: Path) -> None:
    model, reason = REFUSED[name]
    with pytest.raises(OperatorImportError, match=reason):
        ours(model, np.zeros((1, 1, 2, 2), np.float32), tmp_path)


def test_scales_that_are_computed_at_run_time_are_refused(tmp_path: Path) -> None:
    model = resize((1, 1, 2, 2), scales=[1, 1, 2, 2])
    del model.graph.initializer[:]
    model.graph.input.append(helper.make_tensor_value_info("scales", TensorProto.FLOAT, [4]))
    with pytest.raises(OperatorImportError, match="its scales are known at run time only"):
        ours(model, np.zeros((1, 1, 2, 2), np.float32), tmp_path)


@pytest.mark.parametrize("coordinates", ["half_pixel", "half_pixel_symmetric", "asymmetric", "align_corners"])
def test_nearest_elements_are_onnxruntimes(coordinates: str) -> None:
    """Between all lengths, ties included, which a scale of float32 seldom hits."""
    for rounding in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"):
        attributes = {
            "mode": "nearest",
            "coordinate_transformation_mode": coordinates,
            "nearest_mode": rounding,
        }
        graph = helper.make_graph(
            [helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], **attributes)],
            "resize",
            [
                helper.make_tensor_value_info("x", TensorProto.FLOAT, [None]),
                helper.make_tensor_value_info("sizes", TensorProto.INT64, [1]),
            ],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=8)
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        for size, length in itertools.product((1, 3, 6, 7, 11, 14, 18, 20, 23), range(1, 41)):
            x, sizes = np.arange(size, dtype="float32"), np.array([length])
            expected = session.run(None, {"x": x, "sizes": sizes})[0]
            taps = Interpolation(**attributes).taps(Axis(size, length, length / size))
            assert taps.index.ravel().tolist() == expected.tolist(), (rounding, size, length)
