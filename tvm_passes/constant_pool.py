"""One blob for everything a compiled network reads but never writes: packed weights and address tables."""

from __future__ import annotations

import hashlib

import numpy as np

from .array import Array

ALIGNMENT = 64
"""Bytes; a cache line and the widest vector."""


class ConstantPool:
    """Collects arrays into one byte blob; equal contents are stored once."""

    def __init__(self) -> None:
        self._chunks: list[Array] = []
        self._offsets: dict[bytes, int] = {}
        self._size = 0

    def add(self, array: Array) -> int:
        """Store `array` (any dtype, C order) and return its byte offset in the blob, 64-byte aligned."""
        data = np.ascontiguousarray(array)
        raw = data.view(np.uint8).reshape(-1) if data.size else np.zeros(0, np.uint8)
        key = hashlib.sha256(raw.tobytes()).digest()
        if key not in self._offsets:
            self._offsets[key] = self._size
            self._chunks.append(raw)
            self._size += -(-raw.size // ALIGNMENT) * ALIGNMENT
        return self._offsets[key]

    def blob(self) -> Array:
        """All contents as one uint8 array; gaps are zero."""
        out = np.zeros(max(self._size, ALIGNMENT), np.uint8)
        position = 0
        for chunk in self._chunks:
            out[position : position + chunk.size] = chunk
            position += -(-chunk.size // ALIGNMENT) * ALIGNMENT
        return out
