"""Cases of operators that read or write planes where data says, and of matrices."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from .elementwise_cases import types_of, values
from .joined import Array, Case

HALF_TOLERANCE = 2e-2
"""ONNX's reference sums in float16."""


def _tolerance(dtype: np.dtype) -> float | None:
    return HALF_TOLERANCE if dtype == np.float16 else None


def deform_cases() -> Iterator[Case]:
    """(groups, groups of offsets, kernel, strides, dilations, pads, with mask, with bias) × types."""
    random = np.random.default_rng(20)
    forms = (
        (1, 1, (3, 3), (1, 1), (1, 1), (0, 0, 0, 0), True, True),
        (2, 2, (3, 3), (2, 1), (1, 1), (1, 1, 1, 1), False, True),
        (1, 4, (2, 3), (1, 2), (2, 1), (0, 2, 1, 0), True, False),
        (4, 1, (1, 1), (1, 1), (1, 1), (0, 0, 0, 0), False, False),
        (2, 1, (3, 1), (1, 1), (1, 2), (2, 0, 2, 0), True, True),
    )
    types = [np.dtype(name) for name in ("float32", "float64", "float16")]
    for dtype, form in [*itertools.product(types[:1], forms), *itertools.product(types[1:], forms[1:3])]:
        group, shared, kernel, strides, dilations, pads, masked, biased = form
        x = random.standard_normal((2, 4, 5, 4)).astype(dtype)
        weight = random.standard_normal((4, 4 // group, *kernel)).astype(dtype)
        sizes = [
            (x.shape[axis + 2] + pads[axis] + pads[axis + 2] - (kernel[axis] - 1) * dilations[axis] - 1)
            // strides[axis]
            + 1
            for axis in (0, 1)
        ]
        count = shared * kernel[0] * kernel[1]
        offset = (random.standard_normal((2, 2 * count, *sizes)) * random.choice([0, 1, 4])).astype(dtype)
        mask = random.uniform(0, 1, (2, count, *sizes)).astype(dtype) if masked else None
        bias = random.standard_normal(4).astype(dtype) if biased else None
        attributes = {
            "group": group, "offset_group": shared, "strides": strides, "dilations": dilations, "pads": pads,
        }  # fmt: skip
        for constant in ((), (1, 3)) if dtype == "float32" else ((1,),):
            yield Case(
                f"DeformConv-{dtype}-{group}-{shared}-{kernel}-{constant}", "DeformConv",
                [x, weight, offset, bias, mask], attributes, constant if biased else constant[:1], opset=19,
                judge="reference", tolerance=_tolerance(dtype) or 1e-4,
            )  # fmt: skip


def pooled(x: Array, kernel: Sequence[int], strides: Sequence[int]) -> tuple[Array, Array]:
    """The maxima of windows, and the indices of these elements of `x`."""
    sizes = [(n - k) // s + 1 for n, k, s in zip(x.shape[2:], kernel, strides, strict=True)]
    numbers = np.arange(x.size).reshape(x.shape)
    largest = np.zeros((*x.shape[:2], *sizes), x.dtype)
    index = np.zeros(largest.shape, np.int64)
    for at in np.ndindex(largest.shape):
        window = (
            *at[:2],
            *(slice(i * s, i * s + k) for i, s, k in zip(at[2:], strides, kernel, strict=True)),
        )
        place = int(x[window].argmax())
        largest[at], index[at] = x[window].flat[place], numbers[window].flat[place]
    return largest, index


def unpool_cases() -> Iterator[Case]:
    """Of 1 to 3 axes, windows that overlap or leave elements out, results larger than what was pooled."""
    random = np.random.default_rng(21)
    forms = (
        ((9,), (3,), (2,), (0,)),
        ((6, 7), (2, 3), (2, 2), (1, 3)),
        ((5, 5), (2, 2), (3, 3), (0, 0)),
        ((4, 4, 6), (2, 2, 2), (2, 2, 2), (1, 0, 2)),
    )
    for (sizes, kernel, strides, more), dtype in itertools.product(forms, types_of("MaxUnpool", 21)):
        data, index = pooled(random.standard_normal((2, 3, *sizes)).astype(dtype), kernel, strides)
        attributes = {"kernel_shape": kernel, "strides": strides}
        name = f"MaxUnpool-{dtype}-{sizes}".replace(" ", "")
        yield Case(f"{name}-given", "MaxUnpool", [data, index], attributes, judge="reference")
        yield Case(f"{name}-constant", "MaxUnpool", [data, index], attributes, (1,), judge="reference")
        shape = np.array([2, 3, *(n + m for n, m in zip(sizes, more, strict=True))])
        yield Case(f"{name}-larger", "MaxUnpool", [data, index, shape], attributes, (2,), judge="reference")
    data, index = pooled(random.standard_normal((1, 2, 6, 6)).astype("float32"), (3, 3), (3, 3))
    attributes = {"kernel_shape": (5, 5), "strides": (3, 3), "pads": (1, 0, 1, 2)}
    yield Case("MaxUnpool-padded", "MaxUnpool", [data, index], attributes, judge="reference")


def region_cases() -> Iterator[Case]:
    """Regions inside, across the border, beyond it, of less than a pixel, and with corners exchanged."""
    random = np.random.default_rng(22)
    boxes = [
        [0, 0, 6, 4], [1.5, 2.5, 30, 20], [-3, -2, 4, 3], [5, 5, 2, 2], [3, 3, 3.2, 3.1], [40, 40, 50, 60],
        [-1e9, 2, 1e9, 4], [0, 0, 8.999, 6.999],
    ]  # fmt: skip
    images = np.array([0, 1, 1, 0, 1, 0, 0, 1])
    ways = itertools.product(
        ("avg", "max"), ("half_pixel", "output_half_pixel"), (0, 2), ("float32", "float64")
    )
    for mode, shifted, samples, dtype in ways:
        attributes = {
            "mode": mode, "coordinate_transformation_mode": shifted, "sampling_ratio": samples,
            "output_height": 3, "output_width": 2, "spatial_scale": 0.7 if samples else 1.0,
        }  # fmt: skip
        x = random.standard_normal((2, 3, 7, 9)).astype(dtype)
        kept = [i for i, box in enumerate(boxes) if samples or box[0] > -1e8]
        places = np.array(boxes, dtype)[kept]
        yield Case(
            f"RoiAlign-{mode}-{shifted}-{samples}-{dtype}", "RoiAlign", [x, places, images[kept]], attributes,
            opset=16, tolerance=1e-4, judge="any" if dtype == "float32" else "reference",
        )  # fmt: skip
    x = random.standard_normal((2, 2, 8, 8)).astype("float16")
    few = [x, np.array(boxes[:2], "float16"), images[:2]]
    yield Case("RoiAlign-float16", "RoiAlign", few, {}, opset=16, judge="reference", tolerance=HALF_TOLERANCE)


def cache_cases() -> Iterator[Case]:
    random = np.random.default_rng(23)
    ways = itertools.cycle(itertools.product(((2, 3), (0, 3), None), ("linear", "circular"), (1, -2, -1)))
    for dtype in types_of("TensorScatter", 24):
        for first, mode, axis in itertools.islice(ways, 18 if dtype == "float32" else 1):
            cache = values(random, dtype, (2, 5, 5, 5))
            shape = [2, 5, 5, 5]
            shape[axis] = 2
            update = values(random, dtype, tuple(shape))
            inputs = [cache, update, None if first is None else np.array(first)]
            yield Case(
                f"TensorScatter-{dtype}-{first}-{mode}-{axis}", "TensorScatter", inputs,
                {"mode": mode, "axis": axis}, opset=24, judge="reference",
            )  # fmt: skip
    around = [np.array([-1, 4, 103]), np.array([4, -6, -200])]
    for number, first in enumerate(around):
        inputs = [values(random, np.dtype("float32"), shape) for shape in ((3, 5, 2), (3, 5, 2))]
        yield Case(
            f"TensorScatter-around-{number}", "TensorScatter", [*inputs, first], {"mode": "circular"}, (2,),
            opset=24, judge="reference",
        )  # fmt: skip


def determinant_cases() -> Iterator[Case]:
    random = np.random.default_rng(24)
    for n, outer in ((1, (2,)), (2, ()), (3, (2, 2)), (9, (3,))):
        for dtype in ("float32", "float64"):
            x = random.standard_normal((*outer, n, n)).astype(dtype)
            yield Case(f"Det-{n}-{dtype}", "Det", [x], judge="reference", tolerance=1e-4)
    exchanged = np.array([[[0, 2, 1], [3, 0, 0], [0, 0, 4]], [[1, 2, 3], [2, 4, 6], [1, 1, 1]]], "float32")
    yield Case("Det-exchanged", "Det", [exchanged], expected=[np.array([-24, 0], "float32")])
    half = np.array([[1.5, 2], [0.25, 3]], "float16")
    yield Case("Det-float16", "Det", [half], expected=[np.array(4, "float16")])


def triangle_cases() -> Iterator[Case]:
    random = np.random.default_rng(25)
    numbers = itertools.cycle((0, 2, -1, 9, -9))
    for dtype, upper in itertools.product(types_of("Trilu", 14), (0, 1)):
        for constant in ((), (1,)):
            x = values(random, dtype, (2, 4, 5))
            k = np.array(next(numbers))
            name = f"Trilu-{dtype}-{upper}-{'constant' if constant else 'given'}"
            yield Case(name, "Trilu", [x, k], {"upper": upper}, constant, judge="reference")


def spectrum_cases() -> Iterator[Case]:
    random = np.random.default_rng(26)
    x = random.standard_normal((2, 40, 1)).astype("float32")
    for attributes in ({"onesided": 0}, {"onesided": 1}):
        for size in (8, 9):
            inputs = [x, np.array(3), None, np.array(size)]
            yield Case(
                f"STFT-{size}-{attributes}", "STFT", inputs, attributes, (1, 3), opset=17, tolerance=1e-4
            )
