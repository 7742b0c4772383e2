"""Cases of reductions, run-time indices, orders and selections."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from .elementwise_cases import types_of, values
from .joined import Case

REDUCTIONS = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")
AXES: tuple[tuple[int, ...] | None, ...] = (None, (), (0,), (-1,), (1, 2), (0, -1), (0, 1, 2, 3))
SHAPE = (2, 3, 4, 5)


def _ints(*numbers: int, dtype: str = "int64") -> np.ndarray:
    return np.array(numbers, dtype)


OF_INTEGERS: Mapping[str, Callable[..., np.ndarray]] = {
    "L2": lambda x, **over: np.sqrt((x**2).sum(**over)),
    "LogSum": lambda x, **over: np.log(x.sum(**over)),
    "LogSumExp": lambda x, **over: np.log(np.exp(x).sum(**over)),
    "SumSquare": lambda x, **over: (x**2).sum(**over),
}
"""Of float64, to be cut off: integers are what onnxruntime and the reference lack, or round on the way."""


def reduction_cases() -> Iterator[Case]:
    """Axes as an input (opset 20) and as an attribute (opset 13)."""
    random = np.random.default_rng(3)
    ways = itertools.cycle(itertools.product(AXES, (0, 1)))
    for name in REDUCTIONS:
        for dtype in types_of(f"Reduce{name}", 20):
            for axes, keepdims in itertools.islice(ways, 5 if dtype == "float32" else 1):
                x = random.uniform(0.5, 1.5, SHAPE) if dtype.kind == "f" else random.integers(1, 4, SHAPE)
                given = None if axes is None else _ints(*axes)
                expected = None
                if name in OF_INTEGERS and dtype.kind != "f":
                    of_all = {"axis": axes or None, "keepdims": bool(keepdims)}
                    expected = [np.asarray(OF_INTEGERS[name](x.astype("float64"), **of_all)).astype(dtype)]
                yield Case(
                    f"Reduce{name}-{dtype}-{axes}-{keepdims}",
                    f"Reduce{name}",
                    [x.astype(dtype), given][: 1 + (given is not None)],
                    {"keepdims": keepdims},
                    constant=(1,),
                    opset=20,
                    tolerance=2e-3 if dtype == "float16" else None,
                    expected=expected,
                )
        for noop in (0, 1):
            x = random.uniform(0.5, 1.5, SHAPE).astype("float32")
            yield Case(
                f"Reduce{name}-noop={noop}", f"Reduce{name}", [x], {"noop_with_empty_axes": noop}, opset=20,
                judge="reference",
            )  # fmt: skip
        scalar = np.array(0.7, "float32")
        expected = [scalar] if name == "LogSumExp" else None  # which nobody else reduces
        yield Case(f"Reduce{name}-scalar", f"Reduce{name}", [scalar], opset=20, expected=expected)
    yield Case(
        "LogSumExp-large", "ReduceLogSumExp", [np.array([1000.0, 999.0, -np.inf], "float32")], opset=20
    )
    yield Case("LogSumExp-inf", "ReduceLogSumExp", [np.array([np.inf, 1.0], "float32")], opset=20)
    yield Case("LogSumExp-none", "ReduceLogSumExp", [np.full(3, -np.inf, "float32")], opset=20)


def reduction_attribute_cases() -> Iterator[Case]:
    random = np.random.default_rng(4)
    x = random.uniform(0.5, 1.5, SHAPE).astype("float32")
    for name, (axes, keepdims) in itertools.product(REDUCTIONS, [((0, -2), 0), (None, 1), ((2, 3), 1)]):
        attributes = {"keepdims": keepdims} | ({} if axes is None or name == "Sum" else {"axes": axes})
        inputs = [x] if name != "Sum" or axes is None else [x, _ints(*axes)]
        yield Case(f"Reduce{name}13-{axes}", f"Reduce{name}", inputs, attributes, constant=(1,), opset=13)


def extreme_cases() -> Iterator[Case]:
    random = np.random.default_rng(5)
    ways = itertools.cycle(itertools.product((0, 1, -1, 3), (0, 1), (0, 1)))
    for name in ("ArgMax", "ArgMin"):
        for dtype in types_of(name, 20):
            for axis, keepdims, last in itertools.islice(ways, 6 if dtype == "float32" else 1):
                x = random.integers(0, 3, SHAPE).astype(dtype)  # many ties
                attributes = {"axis": axis, "keepdims": keepdims, "select_last_index": last}
                yield Case(f"{name}-{dtype}-{axis}-{keepdims}-{last}", name, [x], attributes, opset=20)


def order_cases() -> Iterator[Case]:
    random = np.random.default_rng(6)
    ways = itertools.cycle(itertools.product((0, 1, -1), (1, 0), (1, 3, None)))
    for dtype in types_of("TopK", 20):
        for axis, largest, count in itertools.islice(ways, 5 if dtype == "float32" else 1):
            shape = (4, 5, 17)
            x = random.integers(0, 9, shape).astype(dtype)
            k = shape[axis] if count is None else count
            yield Case(
                f"TopK-{dtype}-{axis}-{largest}-{k}", "TopK", [x, _ints(k)],
                {"axis": axis, "largest": largest}, constant=(1,), outputs=2, opset=20,
            )  # fmt: skip
    large = random.standard_normal((1, 1000)).astype("float32")
    for k in (5, 32):
        yield Case(f"TopK-of-1000-{k}", "TopK", [large, _ints(k)], constant=(1,), outputs=2, opset=20)
    for sign in (1, -1):
        values_ = sign * np.sort(large)
        yield Case(f"TopK-sorted-{sign}", "TopK", [values_, _ints(20)], constant=(1,), outputs=2, opset=20)


def scan_cases() -> Iterator[Case]:
    random = np.random.default_rng(7)
    ways = itertools.cycle(itertools.product((0, 1, -1), (0, 1), (0, 1)))
    for name in ("CumSum", "CumProd"):
        opset = 20 if name == "CumSum" else 26
        for dtype in types_of(name, opset):
            for axis, exclusive, reverse in itertools.islice(ways, 5 if dtype == "float32" else 1):
                x = (
                    random.integers(1, 4, (3, 4, 5)) if name == "CumSum" else random.integers(1, 3, (3, 4, 5))
                ).astype(dtype)
                attributes = {"exclusive": exclusive, "reverse": reverse}
                yield Case(
                    f"{name}-{dtype}-{axis}-{exclusive}-{reverse}", name, [x, _ints(axis).reshape(())],
                    attributes, constant=(1,), opset=opset,
                )  # fmt: skip


def index_cases() -> Iterator[Case]:
    """Indices from the caller and constant ones, negative ones among them, of data of every width."""
    random = np.random.default_rng(8)
    for dtype, index, constant in itertools.product(
        ("float32", "uint8", "bool", "float16"), ("int64", "int32"), ((), (1,))
    ):
        if dtype not in ("float32", "uint8") and (index == "int32" or (constant and dtype == "float16")):
            continue
        x = values(random, np.dtype(dtype), SHAPE)
        x = np.nan_to_num(x, nan=1, posinf=2, neginf=-2).astype(dtype) if dtype.startswith("float") else x
        name = f"{dtype}-{index}-{'constant' if constant else 'given'}"
        picked = random.integers(-3, 3, (2, 3)).astype(index)
        axes = (1, -3) if index == "int64" else (1,)
        for axis in axes:
            yield Case(f"Gather-{name}-{axis}", "Gather", [x, picked], {"axis": axis}, constant, opset=20)
        scalar = np.array(-1, index)
        yield Case(f"Gather-scalar-{name}", "Gather", [x, scalar], {"axis": 3}, constant, opset=20)
        elements = random.integers(-4, 4, (2, 3, 2, 5)).astype(index)
        yield Case(f"GatherElements-{name}", "GatherElements", [x, elements], {"axis": 2}, constant, opset=20)
        order = np.stack([random.permutation(4)[:2] for _ in range(30)], 0).reshape(2, 3, 5, 2)
        targets = (np.moveaxis(order, -1, 2) - 4 * random.integers(0, 2, (2, 3, 1, 5))).astype(index)
        updates = values(random, np.dtype(dtype), targets.shape)
        updates = (
            np.nan_to_num(updates, nan=1, posinf=2, neginf=-2).astype(dtype) if dtype[0] == "f" else updates
        )
        inputs = [x, targets, updates]
        yield Case(f"ScatterElements-{name}", "ScatterElements", inputs, {"axis": 2}, constant, opset=20)
        if index == "int64":
            points = np.stack([random.integers(-n, n, (2, 2)) for n in (3, 4)], -1)
            yield Case(f"GatherND-{name}-1", "GatherND", [x, points], {"batch_dims": 1}, constant, opset=20)
            points = np.stack([random.integers(-n, n, (2, 2)) for n in (2, 3)], -1)
            yield Case(f"GatherND-{name}-0", "GatherND", [x, points], {}, constant, opset=20)
            places = np.array([[0, -1], [1, 0], [-2, 1]], index)
            new = updates.reshape(-1)[:60].reshape(3, 4, 5)
            yield Case(f"ScatterND-{name}", "ScatterND", [x, places, new], {}, constant, opset=20)
    for reduction, constant in itertools.product(("add", "mul", "max", "min"), ((), (1,))):
        for dtype in ("float32", "uint8"):
            x = random.integers(1, 9, (4, 5)).astype(dtype)
            same = np.array([[0, 0, -1], [2, 2, 2]])
            new = random.integers(1, 9, (2, 3)).astype(dtype)
            name = f"{reduction}-{dtype}-{'constant' if constant else 'given'}"
            attributes = {"reduction": reduction}
            yield Case(
                f"ScatterElements-{name}", "ScatterElements", [x, same, new], attributes, constant, opset=20
            )
            rows, several = np.array([[1], [1], [-1]]), random.integers(1, 9, (3, 5)).astype(dtype)
            yield Case(f"ScatterND-{name}", "ScatterND", [x, rows, several], attributes, constant, opset=20)
    for dtype, axis in itertools.product(("int64", "int32"), (-1, 0, 1)):
        classes = np.array([[0, 3], [-1, 7]]).astype(dtype)
        on = np.array([2, 5], "float32")
        hot = (np.where(classes < 0, classes + 4, classes)[..., None] == np.arange(4)).astype("float32")
        yield Case(
            f"OneHot-{dtype}-{axis}", "OneHot", [classes, _ints(4), on], {"axis": axis}, (1,), opset=20,
            expected=[np.moveaxis(2 + 3 * hot, -1, axis)],
        )  # fmt: skip
    for time, batch in ((0, 1), (1, 0)):
        x = random.standard_normal((4, 4, 3)).astype("float32")
        attributes = {"time_axis": time, "batch_axis": batch}
        lengths = _ints(1, 4, 2, 3)
        yield Case(f"ReverseSequence-{time}", "ReverseSequence", [x, lengths], attributes, opset=20)


def selection_cases() -> Iterator[Case]:
    random = np.random.default_rng(9)
    for shape in ((2, 3, 2),):
        for dtype in ("float32", "int64", "bool", "uint8"):
            x = random.integers(0, 2, shape).astype(dtype)
            yield Case(f"NonZero-{dtype}-{shape}", "NonZero", [x], opset=20)
    x = random.standard_normal((3, 4, 2)).astype("float32")
    for axis, constant in itertools.product((0, 1, 2, None), ((), (1,))):
        size = 24 if axis is None else x.shape[axis]
        condition = random.integers(0, 2, size).astype(bool)
        attributes = {} if axis is None else {"axis": axis}
        yield Case(f"Compress-{axis}-{constant}", "Compress", [x, condition], attributes, constant, opset=20)
    yield Case("Compress-short", "Compress", [x, np.array([False, True])], {"axis": 1}, opset=20)
    for ordered, dtype in ((0, "float32"), (1, "int8")):
        flat = random.integers(-3, 3, 20).astype(dtype)
        yield Case(f"Unique-{dtype}-{ordered}", "Unique", [flat], {"sorted": ordered}, outputs=4, opset=20)
        rows = random.integers(0, 2, (6, 2, 2)).astype(dtype)
        for axis in (0, 1, -1):
            attributes = {"sorted": ordered, "axis": axis}
            yield Case(
                f"Unique-{dtype}-{ordered}-{axis}", "Unique", [rows], attributes, outputs=4, opset=20,
                judge="any",
            )  # fmt: skip
    yield from suppression_cases()


def suppression_cases() -> Iterator[Case]:
    random = np.random.default_rng(10)
    for centered, most, overlap, given in ((0, 2, 0.3, False), (1, 100, 0.6, True)):
        corner = random.uniform(0, 1, (2, 30, 2))
        size = random.uniform(0.1, 0.6, (2, 30, 2))
        boxes = np.concatenate([corner, size if centered else corner + size], -1).astype("float32")
        scores = random.uniform(0, 1, (2, 3, 30)).round(1).astype("float32")  # ties
        limits = [_ints(most), np.array([overlap], "float32"), np.array([0.2], "float32")]
        yield Case(
            f"NonMaxSuppression-{centered}-{most}-{overlap}-{given}", "NonMaxSuppression",
            [boxes, scores, *limits], {"center_point_box": centered}, () if given else (2, 3, 4), opset=20,
        )  # fmt: skip
    boxes = random.standard_normal((1, 20, 4)).astype("float32")  # corners in any order
    scores = random.standard_normal((1, 1, 20)).astype("float32")
    yield Case(
        "NonMaxSuppression-corners", "NonMaxSuppression", [boxes, scores, _ints(9)], {}, (2,), opset=20
    )
    yield Case("NonMaxSuppression-none", "NonMaxSuppression", [boxes, scores], opset=20)
