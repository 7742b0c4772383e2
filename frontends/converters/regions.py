"""RoiAlign: means or maxima of regions, at places that data decides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from frontends.converters.node import Converter, Expr, Node, static_shape
from frontends.kernels import sampling

HALF_PIXEL_OPSET = 16
"""The operator set since which coordinates are shifted by half a pixel unless the node says otherwise."""


def _roi_align(node: Node) -> Expr:
    """The largest of a region is, as ONNX's reference has it, a pixel times its weight in a sample."""
    data, boxes, images = node.inputs
    mode = node.attribute("mode")
    if mode not in ("avg", "max"):
        raise ValueError(f"its mode '{mode}' is not supported, 'avg' and 'max' are")
    default = "half_pixel" if node.opset >= HALF_PIXEL_OPSET else "output_half_pixel"
    regions = sampling.Regions(
        cells=(node.attribute("output_height"), node.attribute("output_width")),
        scale=node.attribute("spatial_scale"),
        samples=max(node.attribute("sampling_ratio"), 0),
        shifted=node.attribute("coordinate_transformation_mode", default) == "half_pixel",
        largest=mode == "max",
    )
    node.limit(images, [(0, static_shape(data)[0] - 1)])

    def pooled_regions(planes: Any, places: Any, numbers: Any) -> Any:
        return sampling.pooled_regions(planes, places, numbers, regions)

    return node.builder.emit_te(pooled_regions, data, boxes, images)


CONVERTERS: Mapping[str, Converter] = {"RoiAlign": _roi_align}
