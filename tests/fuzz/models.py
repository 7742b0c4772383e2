"""Random models: of tensors of any shape, and networks."""

from __future__ import annotations

import onnx

from tests.fuzz.choices import Choices, chance, pick
from tests.fuzz.computing import compute, convolve
from tests.fuzz.draft import LARGEST, Draft, Value
from tests.fuzz.movement import move, move_planes


def draw_model(choices: Choices) -> onnx.ModelProto:
    """A model of a few operators: of any shapes, or a convolutional network's."""
    if chance(choices, 55):
        return draw_network(choices)
    draft = Draft(choices)
    shape = _first_shape(choices)
    draft.new_input(shape)
    for _ in range(choices.number(0, 2)):
        same = chance(choices, 50)
        draft.new_input(
            shape if same else (shape[0], choices.number(1, 12), *(choices.number(1, 9) for _ in "hw"))
        )
    percent = choices.number(30, 70)
    for _ in range(choices.number(2, 12)):
        x = _recent(choices, draft.values)
        results = move(draft, x) if chance(choices, percent) else [compute(draft, x)]
        draft.values.extend(v for v in results if v.size <= LARGEST)
    return draft.model(_outputs(choices, draft))


def draw_network(choices: Choices) -> onnx.ModelProto:
    """Convolutions, mostly of planes of one size, and what lies between them."""
    draft = Draft(choices)
    largest, channels, batches = pick(choices, [(20, 40, [1, 1, 2, 3])] * 5 + [(40, 4, [1])])
    rows = choices.number(largest // 7 + 1, largest)
    columns = rows if chance(choices, 50) else choices.number(largest // 7 + 1, largest)
    shape = (pick(choices, batches), choices.number(1, channels), rows, columns)
    for _ in range(pick(choices, [1, 1, 2])):
        draft.new_input(shape)
    percent = choices.number(0, 40)
    for _ in range(choices.number(2, 10)):
        x = _recent(choices, [v for v in draft.values if v.rank == 4])
        results = move_planes(draft, x) if chance(choices, percent) else [convolve(draft, x)]
        draft.values.extend(v for v in results if v.size <= 2 * LARGEST)
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
