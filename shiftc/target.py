"""From what a user writes after `--target` to a TVM target.

Three forms are understood: `host`, TVM's JSON, and the form tvmc took, `llvm -mcpu=znver4 -num-cores 2`,
which TVM itself no longer reads. A bare tag of TVM's (`raspberry-pi/4b-aarch64`) works as well.
"""

from __future__ import annotations

import json
import os
import platform
import shlex
from typing import Any

from tvm.target import Target, codegen

from shiftc.cpu_features import missing_features, relevant_features
from shiftc.errors import TargetError

_INTEGERS = frozenset({"num-cores", "opt-level"})
_LISTS = frozenset({"keys", "libs", "mattr"})
_RENAMED = {"target": "mtriple"}  # its name before TVM 0.8
_KINDS = frozenset({"llvm"})


def parse_target(text: str) -> Target:
    """The target that `text` names.

    Raises TargetError when the text is not understood, TVM does not know the target, LLVM does not
    know the processor, or no schedule exists for the kind of device.
    """
    text = text.strip()
    config = host_config() if text == "host" else _config(text)
    if isinstance(config, dict):
        _require_schedules(config.get("kind"), text)  # TVM looks for the toolkits of others, and complains
    target = _create(config, text)
    _require_schedules(target.kind.name, text)
    mcpu, triple = target.attrs.get("mcpu"), _triple(target)
    if mcpu and not codegen.llvm_is_valid_cpu(mcpu, triple):
        raise TargetError(f"target '{text}': LLVM knows no processor '{mcpu}' for {triple}")
    return target


def _require_schedules(kind: object, text: str) -> None:
    if kind in Target.list_kinds() and kind not in _KINDS:
        raise TargetError(f"target '{text}': no schedules for devices of kind '{kind}'")


def host_config() -> dict[str, Any]:
    """Describes this machine: its processor, without features a hypervisor hides, and its cores."""
    mcpu = str(codegen.llvm_get_system_cpu())
    config: dict[str, Any] = {"kind": "llvm", "mcpu": mcpu, "num-cores": len(os.sched_getaffinity(0))}
    promised = relevant_features(codegen.llvm_get_cpu_features(Target(config)), platform.machine())
    hidden = missing_features(promised)
    if hidden:
        config["mattr"] = [f"-{feature}" for feature in hidden]
    return config


def describe_target(target: Target) -> dict[str, Any]:
    """The target as plain JSON data, defaults left out."""
    return {key: value for key, value in json.loads(str(target)).items() if value not in ("", [], None)}


def machine_of(target: Target) -> str:
    """The target's architecture, as `platform.machine()` would name it there."""
    architecture = _triple(target).split("-")[0]
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(architecture, architecture)


def required_features(target: Target) -> tuple[str, ...]:
    """Features (LLVM's names) that a processor must have to run code for this target."""
    features = {str(feature) for feature in codegen.llvm_get_cpu_features(target)}
    for attribute in map(str, target.attrs.get("mattr") or ()):
        if attribute.startswith("-"):
            features.discard(attribute[1:])
        else:
            features.add(attribute.removeprefix("+"))
    return relevant_features(features, machine_of(target))


def _triple(target: Target) -> str:
    return str(target.attrs.get("mtriple") or codegen.llvm_get_system_triple())


def _config(text: str) -> dict[str, Any] | str:
    if text.startswith("{"):
        try:
            config = json.loads(text)
        except json.JSONDecodeError as error:
            raise TargetError(f"target '{text}' is not JSON: {error}") from error
        if not isinstance(config, dict):
            raise TargetError(f"target '{text}' is not a JSON object")
        return config
    words = _words(text)
    if not words:
        raise TargetError("target is empty; write host, JSON or 'llvm -mcpu=…'")
    if len(words) == 1 and "/" in words[0]:
        return words[0]
    config = {"kind": words[0]}
    rest = iter(words[1:])
    for word in rest:
        if not word.startswith("-") or word.strip("-") == "":
            raise TargetError(f"target '{text}': expected -option=value instead of '{word}'")
        key, equals, value = word.lstrip("-").partition("=")
        if not equals:
            value = next(rest, "")
        if not value:
            raise TargetError(f"target '{text}': -{key} has no value")
        config[_RENAMED.get(key, key)] = _value(text, key, value)
    return config


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise TargetError(f"target '{text}': {error}") from error


def _value(text: str, key: str, value: str) -> int | str | list[str]:
    if key in _LISTS:
        return value.split(",")
    if key not in _INTEGERS:
        return value
    try:
        return int(value)
    except ValueError as error:
        raise TargetError(f"target '{text}': -{key} takes a number, not '{value}'") from error


def _create(config: dict[str, Any] | str, text: str) -> Target:
    try:
        return Target(config)
    except (ValueError, TypeError, RuntimeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise TargetError(f"target '{text}': {reason}") from error
