"""A random model, and how it is planned: for which machine, with how many threads, in which tiles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import onnx
from hypothesis import strategies as st

from tests.fuzz.choices import Choices, Drawn, chance, pick
from tests.fuzz.computing import compute
from tests.fuzz.draft import LARGEST, Draft, Value
from tests.fuzz.movement import move
from tvm_passes.tiling import Tiling

Array = np.ndarray[Any, Any]

TARGETS = {
    4: {"kind": "llvm", "mcpu": "x86-64"},
    8: {"kind": "llvm", "mcpu": "haswell"},
    16: {"kind": "llvm", "mcpu": "skylake-avx512"},
}
"""By lanes: SSE2, AVX2 and AVX-512."""


@attrs.frozen
class Plan:
    """How a model is planned.

    lanes:   float32 values of the machine's vectors.
    threads: that compute it, whether that pays or not.
    tiles:   of every chain, which are formed wherever they can be; 1: none is; 0: those that pay.
    bands:   each thread computes a band of a chain of its own.
    forms:   Winograd's and paired convolutions may be taken.
    simplified: the model goes through onnxslim first, as a user's does; it takes as long as planning.
    """

    lanes: int = 8
    threads: int = 1
    tiles: int = 1
    bands: bool = False
    forms: bool = True
    simplified: bool = True

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
        lanes=pick(choices, sorted(TARGETS)),
        threads=choices.number(1, 3),
        tiles=tiles,
        bands=tiles > 1 and chance(choices, 50),
        forms=chance(choices, 70),
        simplified=chance(choices, 25),
    )


def draw_model(choices: Choices) -> onnx.ModelProto:
    """A model of a few operators that move data and a few that compute."""
    draft = Draft(choices)
    shape = _first_shape(choices)
    draft.new_input(shape)
    for _ in range(choices.number(0, 2)):
        same = chance(choices, 50)
        draft.new_input(
            shape if same else (shape[0], choices.number(1, 12), *(choices.number(1, 9) for _ in "hw"))
        )
    percent = choices.number(30, 70)
    for _ in range(choices.number(2, 14)):
        x = _recent(choices, draft.values)
        results = move(draft, x) if chance(choices, percent) else [compute(draft, x)]
        draft.values.extend(v for v in results if v.size <= LARGEST)
    return draft.model(_outputs(choices, draft))


def _first_shape(choices: Choices) -> tuple[int, ...]:
    batch = pick(choices, [1, 1, 2, 3])
    channels = pick(choices, [1, 3, 4, 8, 16, choices.number(1, 40)])
    if chance(choices, 8):
        return (batch, channels)
    largest = pick(choices, [4, 8, 8, 16])
    rows = choices.number(1, largest)
    return (batch, channels, rows, rows if chance(choices, 40) else choices.number(1, largest))


def _recent(choices: Choices, values: list[Value]) -> Value:
    """One of the last three, or any."""
    first = 0 if chance(choices, 20) else max(0, len(values) - 3)
    return values[choices.number(first, len(values) - 1)]


def _outputs(choices: Choices, draft: Draft) -> list[Value]:
    """The last value, and some of the others; inputs as well, through a node of their own."""
    computed = [v for v in draft.values if v not in draft.inputs]
    outputs = [v for v in computed[:-1] if chance(choices, 15)] + computed[-1:]
    if not outputs or chance(choices, 4):
        source = pick(choices, draft.inputs)
        outputs.append(draft.one("Identity", [source], source.shape))
    return outputs


def draw_case(choices: Choices) -> Case:
    """A model with a plan."""
    plan = draw_plan(choices)
    return Case(draw_model(choices), plan, choices.number(0, 1 << 16))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Cases that hypothesis draws."""
    return draw_case(Drawn(draw))
