"""What a compiled model consists of, for people and for scripts. Imports no compiler."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from shiftc.artifact import read_manifest
from shiftc.manifest import Manifest


@attrs.frozen
class Inspection:
    """A manifest and the totals that can be read off it.

    skipped_records: of a model, the tuning records that were not followed, with the reason.
    """

    manifest: Manifest
    skipped_records: tuple[str, ...] = ()

    @property
    def macs(self) -> int:
        """Multiply-adds that the program does."""
        return sum(kernel.macs for kernel in self.manifest.kernels)

    @property
    def bytes(self) -> int:
        """Bytes that all steps read and write."""
        return sum(kernel.bytes for kernel in self.manifest.kernels)

    @property
    def folded(self) -> tuple[Mapping[str, Any], ...]:
        """Index maps that cost nothing any more."""
        return tuple(item for item in self.manifest.index_maps if item["folded"])

    @property
    def refused(self) -> tuple[Mapping[str, Any], ...]:
        """Index maps that still move data, each with its reason."""
        return tuple(item for item in self.manifest.index_maps if not item["folded"])

    def as_json(self) -> dict[str, Any]:
        """One object for `--json`."""
        manifest = attrs.asdict(self.manifest)
        return {
            "model": manifest["model"],
            "signature": manifest["signature"],
            "target": manifest["target"],
            "threads": manifest["threads"],
            "threads_asked": manifest["threads_asked"],
            "while_awake": manifest["while_awake"],
            "versions": manifest["versions"],
            "macs": self.macs,
            "pruned_macs": manifest["pruned_macs"],
            "flops": 2 * self.macs,
            "bytes": self.bytes,
            "arena_bytes": manifest["arena_bytes"],
            "arena_lower_bound_bytes": manifest["arena_lower_bound_bytes"],
            "chain_gain": manifest["chain_gain"],
            "index_maps": manifest["index_maps"],
            "traffic": manifest["traffic"],
            "kernels": manifest["kernels"],
            "skipped_records": list(self.skipped_records),
        }


def inspect_artifact(path: Path) -> Inspection:
    """What the artifact at `path` holds. Raises an ArtifactError."""
    return Inspection(read_manifest(path))
