"""The staged program: a network as data for a convolution and a vector engine, and its reference executor.

Everything here but `collect` imports neither TVM nor ONNX.
"""
