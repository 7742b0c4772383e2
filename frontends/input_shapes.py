"""What users write to fix the shapes of inputs: `x:[1,3,224,224]`, a dimension by its name, or JSON."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from frontends.errors import InputShapeError

Shape = tuple[int, ...]
Pins = Mapping[str, Shape | int]
"""Shapes by the names of inputs, sizes by the names of dimensions."""

_QUOTED = r"""(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|"""
_END = r"\s*(?:,(?!\s*$)|(?=\s)|$)\s*"
_DIMENSION = re.compile(rf"""\s*{_QUOTED}(?P<plain>[^\s=:,'"]+))\s*=\s*(?P<size>[^\s,\[\]:]+){_END}""")
_SHAPE = re.compile(rf"\s*{_QUOTED}(?P<plain>[^\s'\"]\S*?))\s*:\s*\[(?P<dims>[^\[\]]*)\]{_END}")
_HOW = 'write NAME:[1,3,224,224] for an input, NAME=1 for a dimension, or JSON: {"NAME": [1,3,224,224]}'


def parse_input_shapes(text: str) -> dict[str, Shape | int]:
    """`x:[1,3,224,224] N=8` → `{"x": (1, 3, 224, 224), "N": 8}`; `[]` is a scalar.

    Entries are separated by blanks or commas; a name may be in quotes. The same as JSON is read, too:
    `{"x": [1,3,224,224], "N": 8}`. Raises InputShapeError.
    """
    entries = _json_entries(text) if text.lstrip().startswith("{") else _entries(text)
    pins: dict[str, Shape | int] = {}
    for name, pin in entries:
        if name in pins:
            raise InputShapeError(f"input shapes name '{name}' twice")
        pins[name] = pin
    if not pins:
        raise InputShapeError(f"input shapes are empty: {_HOW}")
    return pins


def _entries(text: str) -> Iterable[tuple[str, Shape | int]]:
    position = 0
    while position < len(text):
        entry = _DIMENSION.match(text, position) or _SHAPE.match(text, position)
        if entry is None:
            raise InputShapeError(f"cannot read input shapes at '{text[position:]}': {_HOW}")
        name = next(entry[kind] for kind in ("double", "single", "plain") if entry[kind] is not None)
        if entry.re is _DIMENSION:
            yield name, _size(name, entry["size"])
        else:
            yield name, _shape(name, entry["dims"])
        position = entry.end()


def _size(name: str, text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise InputShapeError(f"the size {text} given for dimension '{name}' is no positive number")
    return int(text)


def _shape(name: str, text: str) -> Shape:
    dims = [dim.strip() for dim in text.split(",")] if text.strip() else []
    if not all(dim.isdecimal() for dim in dims):
        raise InputShapeError(f"the shape [{text}] given for input '{name}' is no list of sizes")
    return tuple(int(dim) for dim in dims)


def _json_entries(text: str) -> Iterable[tuple[str, Shape | int]]:
    try:
        pairs = json.loads(text, object_pairs_hook=list)
    except ValueError as error:
        raise InputShapeError(f"input shapes are no JSON ({error}): {_HOW}") from error
    for name, value in pairs:
        yield name, _size(name, json.dumps(value)) if not isinstance(value, list) else _listed(name, value)


def _listed(name: str, dims: list[Any]) -> Shape:
    return _shape(name, json.dumps(dims)[1:-1])


def written(shapes: Mapping[str, Shape]) -> str:
    """The shapes as an argument for a command line that `parse_input_shapes` reads."""
    if all(re.fullmatch(r"[\w./-]+(?:::?[\w./-]+)*", name) for name in shapes):
        entries = (f"{name}:[{','.join(map(str, shape))}]" for name, shape in shapes.items())
        return f'"{" ".join(entries)}"'
    return shlex.quote(json.dumps({name: list(shape) for name, shape in shapes.items()}, ensure_ascii=False))
