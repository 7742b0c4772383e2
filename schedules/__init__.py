"""Workload descriptions, schedule templates and machine parameters. Imports TVM and nothing of ours."""

from schedules.machine import MachineParameters, UnknownMachineError, machine_of
from schedules.pipeline import PIPELINE_NAME, register
from schedules.registry import (
    build,
    is_taken,
    modelled_cycles,
    pack_weights,
    refusal,
    unpack_weights,
)
from schedules.template import Decisions, Kernel, ScheduleError, Template

__all__ = [
    "PIPELINE_NAME",
    "Decisions",
    "Kernel",
    "MachineParameters",
    "ScheduleError",
    "Template",
    "UnknownMachineError",
    "build",
    "is_taken",
    "machine_of",
    "modelled_cycles",
    "pack_weights",
    "refusal",
    "unpack_weights",
]

register()
