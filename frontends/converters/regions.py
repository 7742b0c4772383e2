"""RoiAlign: TVM's operator, with its regions where ONNX has them."""

from __future__ import annotations

from collections.abc import Mapping

from tvm import relax

from frontends.converters.node import Converter, Expr, Node, constant_scalar, dtype_of

HALF_PIXEL_OPSET = 16
"""The operator set since which coordinates are shifted by half a pixel unless the node says otherwise."""


def _roi_align(node: Node) -> Expr:
    data, regions, images = node.inputs[0], node.inputs[1], node.inputs[2]
    if node.attribute("mode") != "avg":
        raise ValueError("its mode 'max' is not supported, 'avg' is")
    scale = node.attribute("spatial_scale")
    default = "half_pixel" if node.opset >= HALF_PIXEL_OPSET else "output_half_pixel"
    shifted = node.attribute("coordinate_transformation_mode", default) == "half_pixel"
    emit = node.builder.emit
    if shifted:  # by half a pixel of the data, after scaling
        regions = emit(regions - constant_scalar(0.5 / scale, regions))
    numbers = relax.op.astype(relax.op.expand_dims(images, 1), dtype_of(regions))
    return relax.op.vision.roi_align(
        data,
        emit(relax.op.concat([emit(numbers), regions], axis=1)),
        pooled_size=(node.attribute("output_height"), node.attribute("output_width")),
        spatial_scale=scale,
        sample_ratio=node.attribute("sampling_ratio"),
        aligned=shifted,
        layout="NCHW",
        mode="avg",
    )


CONVERTERS: Mapping[str, Converter] = {"RoiAlign": _roi_align}
