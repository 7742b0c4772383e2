"""Index maps inside Relax: a call to the packed function `shiftc.index_map`, implemented in numpy.

    y = R.call_pure_packed("shiftc.index_map", source_0, ..., R.str(<IndexMap as JSON>), ty_args=...)

The call keeps a module executable between recognition and folding; a compiled artifact holds none of it
where the map was folded. Importing this module registers the function.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import attrs
import tvm
from tvm import relax
from tvm.ir import Call, Expr, StringImm

from .index_map import IndexMap, as_4d
from .node import INDEX_MAP_FUNCTION


def index_map_call(index_map: IndexMap, sources: Sequence[Expr], rank: int = 4) -> Call:
    """The call that reads `sources` through the map; `rank` 2 makes a matrix [N, K].

    It has each tensor once, and none that no channel reads: only where all is zero one is kept, for its type.
    Raises ValueError where the sources do not have the shapes of the map's, or there is none.
    """
    if not sources:
        raise ValueError("an index map without sources is a constant")
    shapes = tuple(as_4d(int(d) for d in source.ty.shape) for source in sources)
    if shapes != index_map.sources:
        raise ValueError(f"sources of shape {shapes}, the index map reads {index_map.sources}")
    index_map, kept = index_map.merge_sources(sources)
    if not kept:
        index_map, kept = attrs.evolve(index_map, sources=shapes[:1]), [0]
    return relax.call_pure_packed(
        INDEX_MAP_FUNCTION,
        *(sources[k] for k in kept),
        StringImm(index_map.to_json(rank)),
        ty_args=relax.TensorType(index_map.output[:rank], sources[0].ty.dtype),
    )


def index_map_of(call: Call) -> IndexMap:
    """The index map of a call made by `index_map_call`; its sources are the call's tensors, in order."""
    return IndexMap.from_json(str(call.args[-1].value))


def apply_index_map(*arguments: Any) -> tvm.runtime.Tensor:
    """sources..., JSON -> the output, of the rank that the JSON states."""
    *sources, text = arguments
    plain = json.loads(str(text))
    output = IndexMap.from_json(str(text)).apply([source.numpy() for source in sources])
    return tvm.runtime.tensor(output.reshape(plain["output"]))


tvm.register_global_func(INDEX_MAP_FUNCTION, apply_index_map, override=True)
