"""Operators that no Relax operator computes as ONNX says, as tensor expressions.

Each takes and returns `te.Tensor`s, for `emit_te`; nothing here reads or writes outside a tensor, whatever
its indices are (`indexing.inside`).
"""
