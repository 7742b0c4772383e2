"""ONNX's windows along one axis: how many there are, what pads them, what each of them reads.

Padding is never an element: a window's taps are those inside the input. Where a tap outside counts, it counts
in the divisor of an average.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from frontends.window_sum import Taps, padded_taps


@attrs.frozen
class Windows:
    """Windows along an axis of `size` elements.

    before, after: padding. The last windows may reach beyond `after` (ceil_mode).
    outputs:       how many windows there are.
    """

    size: int
    kernel: int
    stride: int
    dilation: int
    before: int
    after: int
    outputs: int

    @property
    def reach(self) -> int:
        """From a window's first tap to the element behind its last."""
        return (self.kernel - 1) * self.dilation + 1

    @property
    def needed_after(self) -> int:
        """The padding at the end with which as many windows fit as there are; with more, another might."""
        return max(0, (self.outputs - 1) * self.stride + self.reach - self.size - self.before)

    def inside(self, output: int) -> list[int]:
        """The elements that a window reads, in order."""
        start = output * self.stride - self.before
        taps = (start + tap * self.dilation for tap in range(self.kernel))
        return [tap for tap in taps if 0 <= tap < self.size]

    def counted(self, output: int) -> int:
        """How many of a window's taps lie in the input or in the padding, none of them behind it."""
        start = output * self.stride - self.before
        taps = (start + tap * self.dilation for tap in range(self.kernel))
        return sum(tap < self.size + self.after for tap in taps)

    @property
    def have_elements(self) -> bool:
        """No window lies in the padding alone."""
        return all(self.inside(output) for output in range(self.outputs))

    def sums(self) -> Taps:
        """Every window's elements, once each."""
        return self._taps([1.0] * self.outputs)

    def averages(self, count_padding: bool) -> Taps:
        """Every window's elements, each its share. Raises ValueError for the average of nothing."""
        divisors = [
            self.counted(output) if count_padding else len(self.inside(output))
            for output in range(self.outputs)
        ]
        if 0 in divisors:
            raise ValueError("one of its windows has only padding, whose average is not defined")
        return self._taps([1.0 / divisor for divisor in divisors])

    def _taps(self, weights: Sequence[float]) -> Taps:
        return padded_taps(
            [dict.fromkeys(self.inside(number), weight) or {0: 0.0} for number, weight in enumerate(weights)]
        )

    def choices(self) -> list[list[int]]:
        """The elements of every window in order, the last repeated where others have more.

        Raises ValueError for a window without elements.
        """
        if not self.have_elements:
            raise ValueError("one of its windows has only padding")
        inside = [self.inside(output) for output in range(self.outputs)]
        count = max(map(len, inside))
        return [taps + taps[-1:] * (count - len(taps)) for taps in inside]


def windows(
    sizes: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int] | None,
    dilations: Sequence[int] | None,
    pads: Sequence[int] | None,
    auto_pad: str,
    ceil_mode: bool,
) -> list[Windows]:
    """The windows along every axis, by ONNX's attributes. Raises ValueError where they do not fit."""
    count = len(sizes)
    if len(kernel) != count:
        raise ValueError(f"its kernel_shape has {len(kernel)} numbers for {count} axes")
    strides, dilations = strides or [1] * count, dilations or [1] * count
    pads = pads or [0] * (2 * count)
    if (len(strides), len(dilations), len(pads)) != (count, count, 2 * count):
        raise ValueError(f"its strides, dilations or pads do not fit {count} axes")
    if min(pads) < 0:
        raise ValueError("its pads are negative")
    found = []
    for axis, size in enumerate(sizes):
        form = {"size": size, "kernel": kernel[axis], "stride": strides[axis], "dilation": dilations[axis]}
        if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
            found.append(_same(form, auto_pad == "SAME_UPPER"))
        elif auto_pad in ("NOTSET", "VALID", ""):
            before, after = (0, 0) if auto_pad == "VALID" else (pads[axis], pads[axis + count])
            found.append(_padded(form, before, after, ceil_mode))
        else:
            raise ValueError(f"auto_pad '{auto_pad}' is not known")
    return found


def _padded(form: dict[str, int], before: int, after: int, ceil_mode: bool) -> Windows:
    size, stride = form["size"], form["stride"]
    room = size + before + after - (form["kernel"] - 1) * form["dilation"] - 1
    if room < 0:
        raise ValueError("its window is larger than its input with the padding")
    outputs = (-(-room // stride) if ceil_mode else room // stride) + 1
    if ceil_mode and (outputs - 1) * stride >= size + before:  # no window starts in the padding at the end
        outputs -= 1
    return Windows(**form, before=before, after=after, outputs=outputs)


def _same(form: dict[str, int], more_after: bool) -> Windows:
    size, stride = form["size"], form["stride"]
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + (form["kernel"] - 1) * form["dilation"] + 1 - size, 0)
    smaller, larger = total // 2, total - total // 2
    before, after = (smaller, larger) if more_after else (larger, smaller)
    return Windows(**form, before=before, after=after, outputs=outputs)
