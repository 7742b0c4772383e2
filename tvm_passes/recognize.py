"""Find data movement and write it as index maps.

    region of movement-only operators, sources s_0 ... s_k, output y
      ->  y = index_map(s_0, ..., s_k),   y[n, c, h, w] = s_k[n + dn, c', h*sy + dy, w*sx + dx] or 0

Recognition is by evaluation: the maximal movement-only regions are run, with numpy, on tensors of
coordinates, and what comes out is fitted channel by channel. So it does not matter how an exporter
spelled a shift: as a one-hot depthwise convolution, Pad + Slice + Concat, a chain of ScatterND, Gather,
torch.roll. Shift: Wu et al., "Shift: a zero FLOP, zero parameter alternative to spatial convolutions",
CVPR 2018.

Precondition: static shapes, parameters bound. Place: after canonicalize, before commute and fold. What
does not fit stays as it is, with the reason in the report; where a region does not fit as a whole, the
operators that do not are left out, and what lies before and behind them is tried on its own.
"""

from __future__ import annotations

import tvm
from tvm.ir import Expr, Var

from .apply_index_map import index_map_call
from .graph import Graph, Node
from .regions import Regions
from .report import IndexMapRecord, Report
from .translation import summarize


def recognize(mod: tvm.IRModule, report: Report | None = None, name: str = "main") -> tvm.IRModule:
    """The module with every movement-only region that fits replaced by index maps, one per output.

    Adds an `IndexMapRecord` to the report for every output of a region, and for every operator that
    moves data in a way that is no index map.
    """
    graph = Graph.read(mod, name)
    regions = Regions(mod, graph)
    found = regions.fit_all()
    values: dict[Var, Expr] = regions.constants()
    for node in graph.nodes:
        region = found.get(node.var)
        if region is not None:
            offsets, border = summarize(region.index_map)
            record = IndexMapRecord(region.nodes, region.index_map.output[1], offsets, border)
            if region.is_identity:
                record.folded = True
                values[node.var] = region.sources[0]
            else:
                record.variable = node.name
                node.call = index_map_call(region.index_map, region.sources, len(node.var.ty.shape))
        elif node.var in regions.left_out:
            record = IndexMapRecord(
                (node.name,), _channels(node), "", "none", reason=regions.left_out[node.var]
            )
        else:
            continue
        if report is not None:
            report.index_maps.append(record)
    graph.replace_all(values)
    graph.remove_dead()
    return graph.write(mod, name)


def _channels(node: Node) -> int:
    shape = getattr(node.var.ty, "shape", None)
    return int(shape[1]) if shape is not None and len(shape) > 1 else 0
