"""Export the test models to ONNX with PyTorch's two exporters, check every file, write the catalogue.

    python tests/models/export_models.py            export everything, rewrite catalogue.json
    python tests/models/export_models.py roll tsm   only models whose name contains a word; no catalogue
    python tests/models/export_models.py --check    export to a temporary folder, compare with the files

Files are what the exporters write with their default options, less what ties them to a machine (doc
strings, metadata with source paths and stack traces). Every file is run by onnxruntime (custom
operators: by onnx's reference evaluator), before and after onnxslim, and compared with PyTorch.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import attrs
import onnx
import torch
from google.protobuf.message import Message

from definitions.catalogue import CATALOGUE, Model, example_inputs, randomize
from definitions.verification import verify

FOLDER = Path(__file__).resolve().parent
EXPORTERS = ("torchscript", "dynamo")
DEFINITIONS = (
    "shift_blocks",
    "one_hot_shifts",
    "shift_variants",
    "roll_shifts",
    "joint_shifts",
    "custom_shifts",
    "compact_networks",
    "classic_networks",
    "layers",
)


def export(model: Model, exporter: str, path: Path) -> None:
    """Write `path` with one of the exporters and strip it.

    The module is built anew: the exporters may leave traces in it.
    """
    module = randomize(model.build())
    inputs = example_inputs(model)
    arguments = tuple(inputs.values())
    common: dict[str, Any] = {
        "input_names": list(inputs),
        "output_names": list(model.outputs),
        "verbose": False,
    }
    with torch.no_grad():
        if exporter == "dynamo":
            batch = torch.export.Dim("N")
            torch.onnx.export(
                module,
                arguments,
                path,
                dynamo=True,
                external_data=False,
                dynamic_shapes={name: {0: batch} for name in inputs} if model.dynamic_batch else None,
                **common,
            )
        else:
            names = [*inputs, *model.outputs]
            torch.onnx.export(
                module,
                arguments,
                path,
                dynamo=False,
                dynamic_axes={name: {0: "N"} for name in names} if model.dynamic_batch else None,
                custom_opsets={"shiftc": 1} if model.custom_op else None,
                autograd_inlining=False,  # the custom operator's autograd function stays one node
                **common,
            )
    proto = onnx.load(path)
    strip(proto)
    proto.producer_version = torch.__version__.split("+")[0]
    path.write_bytes(proto.SerializeToString(deterministic=True))


def strip(message: Message) -> None:
    """Clear doc strings and metadata (stack traces, source paths) at every depth."""
    for field, value in message.ListFields():
        if field.name in ("doc_string", "metadata_props"):
            message.ClearField(field.name)
        elif field.message_type is not None:
            for child in [value] if isinstance(value, Message) else value:
                strip(child)


def catalogue_entry(model: Model, exporter: str) -> dict[str, Any]:
    """What catalogue.json says of a file."""
    entry: dict[str, Any] = {
        "file": f"{model.name}.{exporter}.onnx",
        "model": model.name,
        "exporter": exporter,
        "input_shapes": {k: list(v) for k, v in model.inputs.items()} if model.dynamic_batch else {},
        "shifts": {"count": model.shifts, "expected_folded": model.folded},
        "custom_op": model.custom_op,
        "notes": model.notes,
    }
    if model.same_as is not None:
        entry["same_as"] = f"{model.same_as}.{exporter}.onnx"
    return entry


@attrs.define
class Outcome:
    """What happened over all models: catalogue entries, exporters' refusals, our complaints."""

    files: list[dict[str, Any]] = attrs.field(factory=list)
    not_exported: list[dict[str, str]] = attrs.field(factory=list)
    complaints: list[str] = attrs.field(factory=list)


def export_all(models: list[Model], folder: Path) -> Outcome:
    """Export every model through both exporters into `folder` and verify what came out."""
    outcome = Outcome()
    for model in models:
        for exporter in EXPORTERS:
            path = folder / f"{model.name}.{exporter}.onnx"
            try:
                export(model, exporter, path)
            except Exception as error:  # exporters raise whatever they like; the reason is recorded
                path.unlink(missing_ok=True)
                reason = str(error).strip().splitlines()[0]
                outcome.not_exported.append({"model": model.name, "exporter": exporter, "reason": reason})
                print(f"{path.name:46} not exported: {reason}")
                continue
            outcome.files.append(catalogue_entry(model, exporter))
            try:
                deviation = verify(model, path)
            except Exception as complaint:  # report all files before giving up
                outcome.complaints.append(f"{path.name}: {complaint}")
                print(f"{path.name:46} WRONG: {complaint}")
                continue
            print(f"{path.name:46} {path.stat().st_size:>8} bytes   error {deviation:.0e}")
    return outcome


def differences(folder: Path) -> list[str]:
    """Names of the files in `folder` whose bytes are not those beside this script."""
    return [
        path.name
        for path in sorted(folder.glob("*.onnx"))
        if not (FOLDER / path.name).exists() or path.read_bytes() != (FOLDER / path.name).read_bytes()
    ]


def main() -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description="Export the ONNX test models.")
    parser.add_argument("words", nargs="*", help="export only models whose name contains one of these")
    parser.add_argument("--check", action="store_true", help="compare a fresh export with the files")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    for name in DEFINITIONS:
        importlib.import_module(f"definitions.{name}")
    models = [m for m in CATALOGUE if not options.words or any(w in m.name for w in options.words)]

    if options.check:
        with tempfile.TemporaryDirectory() as folder:
            outcome = export_all(models, Path(folder))
            outcome.complaints += [
                f"{name}: differs from the file here" for name in differences(Path(folder))
            ]
    else:
        outcome = export_all(models, FOLDER)
        if not options.words:
            catalogue = {
                "torch": torch.__version__.split("+")[0],
                "files": outcome.files,
                "not_exported": outcome.not_exported,
            }
            (FOLDER / "catalogue.json").write_text(json.dumps(catalogue, indent=1, ensure_ascii=False) + "\n")
    print("\n".join(outcome.complaints) or f"{len(outcome.files)} files, all as PyTorch computes them")
    return 1 if outcome.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
