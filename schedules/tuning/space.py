"""The decisions of a workload as a MetaSchedule search space.

A template emits other statements for other decisions (tiles that do not divide become regions of their own),
so a kernel is no trace of schedule primitives on one function. What MetaSchedule schedules is instead a
*marker*: a function with an empty body whose attributes name the workload. Every decision is a
`sample_categorical` whose value is annotated at the marker's root block; the trace is what a database keeps,
and the kernel is built from the workload and the annotations of the replayed trace.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import attrs
import tvm
from tvm.s_tir import Schedule
from tvm.s_tir.schedule import Trace
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from schedules.machine import machine_of
from schedules.registry import template_of
from schedules.template import Decisions
from schedules.tuning.workload_json import workload_from_json, workload_to_json
from schedules.workload import Workload

_WORKLOAD, _TEMPLATE, _THREADS = "shiftc.workload", "shiftc.template", "shiftc.threads"
_DECISION = "shiftc.decision."


@attrs.frozen
class Key:
    """What a record is for: the workload, the template (`kind/version`) whose decisions they are, threads."""

    workload: Workload
    template: str
    threads: int


@attrs.frozen
class Space:
    """All that may be decided about one workload.

    candidates: the values of every decision, ascending; the default's are among them.
    default:    the template's analytic decisions.
    """

    key: Key
    candidates: Mapping[str, tuple[int, ...]]
    default: Decisions

    @classmethod
    def of(cls, workload: Workload, target: tvm.target.Target, threads: int) -> Space:
        """The space of the template that takes the workload. Raises ScheduleError if none does."""
        template, machine = template_of(workload, target), machine_of(target)
        default = dict(template.defaults(workload, machine, threads))
        given = template.candidates(workload, machine, threads)
        candidates = {name: tuple(sorted({*given[name], value})) for name, value in sorted(default.items())}
        return cls(key_of(workload, target, threads), candidates, default)

    @property
    def size(self) -> int:
        """Combinations, whether `schedule` follows them or not."""
        return prod(map(len, self.candidates.values()))

    def sample(self, schedule: Schedule) -> None:
        """The ScheduleFn: decides everything at random, for `space_generator.ScheduleFn(space.sample)`."""
        self._decide(schedule, None)

    def trace(self, decisions: Decisions) -> Trace:
        """The trace that makes these decisions. Raises ValueError for one that is no candidate."""
        schedule = Schedule(marker(self.key))
        self._decide(schedule, decisions)
        return schedule.trace

    def _decide(self, schedule: Schedule, decisions: Decisions | None) -> None:
        root = schedule.get_sblock("root")
        for name, values in self.candidates.items():
            choice = None if decisions is None else values.index(decisions[name])
            chosen = schedule.sample_categorical(list(values), [1 / len(values)] * len(values), choice)
            schedule.annotate(root, _DECISION + name, chosen)


def key_of(workload: Workload, target: tvm.target.Target, threads: int) -> Key:
    """The key under which records of a workload are found. Raises ScheduleError if no template takes it."""
    template = template_of(workload, target)
    return Key(workload, f"{template.kind}/{template.version}", threads)


def marker(key: Key) -> tvm.IRModule:
    """The module that stands for a workload in the database."""
    with IRBuilder() as builder, T.prim_func(False, s_tir=True):
        T.func_name("main")
        T.func_attr(
            {
                "global_symbol": "main",
                _WORKLOAD: workload_to_json(key.workload),
                _TEMPLATE: key.template,
                _THREADS: key.threads,
            }
        )
        with T.sblock("root"):
            T.evaluate(0)
    return tvm.IRModule({"main": builder.get()})


def read_marker(module: tvm.IRModule) -> Key:
    """The key of a module that `marker` made. Raises ValueError for any other module."""
    attributes = module["main"].attrs if "main" in {v.name_hint for v in module.get_global_vars()} else {}
    if not all(name in attributes for name in (_WORKLOAD, _TEMPLATE, _THREADS)):
        raise ValueError("not the marker of a workload")
    workload = workload_from_json(str(attributes[_WORKLOAD]))
    return Key(workload, str(attributes[_TEMPLATE]), int(attributes[_THREADS]))


def decisions_of(trace: Trace, module: tvm.IRModule) -> dict[str, int]:
    """What `trace` decides when it is replayed on a marker."""
    schedule = Schedule(module)
    trace.apply_to_schedule(schedule, remove_postproc=False)
    return scheduled_decisions(schedule)


def scheduled_decisions(schedule: Schedule) -> dict[str, int]:
    """The decisions annotated on a scheduled marker."""
    annotations = schedule.get(schedule.get_sblock("root")).annotations
    return {
        str(name).removeprefix(_DECISION): int(value)
        for name, value in annotations.items()
        if str(name).startswith(_DECISION)
    }
