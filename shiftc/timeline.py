"""Predicted pipelines as a drawing: two lanes for each residual convolution, a line for each barrier.

The whole width is the time of convolution, then Add: what is left blank at the right is what is saved.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from shiftc.staging import PipelineReport
from tvm_passes.staged.predict import Interval, Prediction
from tvm_passes.staged.program import ENGINES

_LEFT, _WIDTH, _RIGHT = 110, 760, 90
_LANE, _TITLE, _GAP = 18, 16, 14
_BLOCK = _TITLE + 2 * _LANE + _GAP
_TOP = 34
_COLOURS = dict(zip(ENGINES, ("#3b6ea8", "#d98f2b"), strict=True))


def timeline(report: PipelineReport) -> str:
    """An SVG document of the report's predictions."""
    height = _TOP + _BLOCK * len(report.predictions) + _GAP
    width = _LEFT + _WIDTH + _RIGHT
    body = "\n".join(
        line for row, prediction in enumerate(report.predictions) for line in _pipeline(row, prediction)
    )
    title = f"{report.model}: Conv + Add as pipelines, {report.speed_up:.2f}x"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">\n'
        f'<rect width="{width}" height="{height}" fill="white"/>\n'
        f"{_text(8, 20, title, size=14)}\n{body}\n</svg>\n"
    )


def _pipeline(row: int, prediction: Prediction) -> Iterator[str]:
    top = _TOP + row * _BLOCK
    scale = _WIDTH / prediction.sequential
    operator = prediction.pipeline.operator
    yield _text(8, top + 11, f"{', '.join(operator.nodes)} ({prediction.pipelined * 1e6:.3g} µs)")
    lanes = top + _TITLE
    yield (
        f'<rect x="{_LEFT}" y="{lanes}" width="{_WIDTH}" height="{2 * _LANE}" '
        'fill="#f2f2f2" stroke="#cccccc"/>'
    )
    for lane, engine in enumerate(ENGINES):
        yield _text(8, lanes + lane * _LANE + 13, engine)
    for interval in prediction.intervals:
        yield from _bar(interval, lanes + ENGINES.index(interval.step.engine) * _LANE, scale)
    for barrier in prediction.barriers:
        x = _LEFT + barrier * scale
        yield f'<line x1="{x:.2f}" y1="{lanes}" x2="{x:.2f}" y2="{lanes + 2 * _LANE}" stroke="#333333"/>'
    yield _text(_LEFT + _WIDTH + 8, lanes + _LANE + 4, f"{prediction.speed_up:.2f}x")


def _bar(interval: Interval, top: int, scale: float) -> Iterator[str]:
    step = interval.step
    x, width = _LEFT + interval.start * scale, (interval.stop - interval.start) * scale
    first, last = step.rows
    seconds = interval.stop - interval.start
    label = f"{step.part}({step.tile}): rows {first} to {last - 1}, {seconds * 1e6:.3g} µs"
    yield (
        f'<rect x="{x:.2f}" y="{top + 2}" width="{width:.2f}" height="{_LANE - 4}" '
        f'fill="{_COLOURS[step.engine]}"><title>{escape(label)}</title></rect>'
    )
    if width > 14:
        yield _text(x + 4, top + 13, str(step.tile), colour="white")


def _text(x: float, y: float, text: str, size: int = 11, colour: str = "#222222") -> str:
    return f'<text x="{x:.2f}" y="{y}" font-size="{size}" fill="{colour}">{escape(text)}</text>'
