"""Compact networks as ONNX models with random weights, built from their papers' tables.

No training framework is needed: the graphs are written with `onnx.helper`, in the forms real
exporters write.
"""

from __future__ import annotations

from shiftc.zoo.cost import Cost, Published, count
from shiftc.zoo.registry import UnknownNetwork, build, names, published

__all__ = ["Cost", "Published", "UnknownNetwork", "build", "count", "names", "published"]
