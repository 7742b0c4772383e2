"""A random model, and how it is planned: for which machine, with how many threads, in which tiles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import onnx
import tvm
from hypothesis import strategies as st

from tests.fuzz.choices import Choices, Drawn, chance, pick
from tests.fuzz.models import draw_model
from tvm_passes.tiling import Tiling

Array = np.ndarray[Any, Any]

LANES = {"x86-64": 4, "haswell": 8, "skylake-avx512": 16, "znver4": 16}
"""Of a vector, by processor: SSE2, AVX2 and AVX-512, and one where products are paired."""


@attrs.frozen
class Plan:
    """How a model is planned.

    cpu:     the machine, one of `LANES`.
    threads: that compute it, whether that pays or not.
    tiles:   of every chain, which are formed wherever they can be; 1: none is; 0: those that pay.
    bands:   each thread computes a band of a chain of its own.
    forms:   Winograd's and paired convolutions are taken "never", where it "pays" or "always" they can be.
    level:   of optimisation: 3, or 0, which leaves out every pass that a program can do without.
    simplified: the model goes through onnxslim first, as a user's does; it takes as long as planning.
    """

    cpu: str = "haswell"
    threads: int = 1
    tiles: int = 1
    bands: bool = False
    forms: str = "never"
    level: int = 3
    simplified: bool = True

    @property
    def target(self) -> tvm.target.Target:
        return tvm.target.Target({"kind": "llvm", "mcpu": self.cpu})

    @property
    def tiling(self) -> Tiling:
        if self.tiles == 0:
            return Tiling()
        return Tiling(tiles=self.tiles, bands=self.bands, forced=True)


@attrs.frozen(eq=False)
class Case:
    """What is tried: a model, its plan, and the seed of its inputs."""

    model: onnx.ModelProto
    plan: Plan
    seed: int

    def inputs(self, run: int) -> dict[str, Array]:
        """Inputs of the run of that number."""
        random = np.random.default_rng([self.seed, run])
        shapes = {
            value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
            for value in self.model.graph.input
        }
        return {name: random.standard_normal(shape).astype("float32") for name, shape in shapes.items()}

    def save(self, folder: Path) -> None:
        """Write `model.onnx` and `plan.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        onnx.save(self.model, str(folder / "model.onnx"))
        (folder / "plan.json").write_text(json.dumps({**attrs.asdict(self.plan), "seed": self.seed}))

    @classmethod
    def load(cls, folder: Path) -> Case:
        """What `save` wrote."""
        fields = json.loads((folder / "plan.json").read_text())
        seed = fields.pop("seed")
        return cls(onnx.load(str(folder / "model.onnx")), Plan(**fields), seed)


def draw_plan(choices: Choices) -> Plan:
    """A plan for one of the machines."""
    tiles = pick(choices, [0, 1, 1, 2, 3, 5])
    return Plan(
        cpu=pick(choices, ["x86-64", "haswell", "haswell", "skylake-avx512", "znver4"]),
        threads=choices.number(1, 3),
        tiles=tiles,
        bands=tiles > 1 and chance(choices, 50),
        forms=pick(choices, ["never", "pays", "always"]),
        level=0 if chance(choices, 10) else 3,
        simplified=chance(choices, 25),
    )


def draw_case(choices: Choices) -> Case:
    """A model with a plan."""
    plan = draw_plan(choices)
    return Case(draw_model(choices), plan, choices.number(0, 1 << 16))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Cases that hypothesis draws."""
    return draw_case(Drawn(draw))
