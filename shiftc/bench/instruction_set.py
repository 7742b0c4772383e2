"""Holds peers to the instruction set that the target has, where they can be held.

A library for AVX2 is to be compared with peers that use AVX2. oneDNN, inside OpenVINO, reads a variable of
the environment, once, before its first kernel. onnxruntime's kernel library asks the processor and nothing
else.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from shiftc.bench.peer import Peer
from shiftc.cpu_features import missing_features
from shiftc.target import parse_target, required_features

_WIDE = "avx512f"


def hold_to(target: str, peers: Sequence[Peer]) -> frozenset[str]:
    """Names of the peers that compute with no wider instructions than `target`, from now on, in this process.

    All of them where the target has AVX-512 or this machine has not; TVM compiles for the target.
    """
    if _WIDE in required_features(parse_target(target)) or missing_features((_WIDE,)):
        return frozenset(peer.name for peer in peers)
    for peer in peers:
        for key, value in peer.avx2_environment.items():
            os.environ.setdefault(key, value)
    return frozenset(peer.name for peer in peers if peer.avx2_environment or peer.compiles_for_target)
