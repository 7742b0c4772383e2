"""The staged program: a network as data for a convolution and a vector engine, and its reference executor.

Nothing here imports TVM or ONNX but `collect`, which reads Relax, and `tile_conv_add` with `tir_rows`, which
write TIR.
"""
