"""What convolutions are modelled to cost, as a whole and in strips, and what a chain costs besides."""

from __future__ import annotations

from itertools import pairwise

import attrs
import pytest
from tvm.ir import Expr, IRModule, Var
from tvm.relax import op

import schedules
from schedules.machine import MachineParameters
from schedules.workload import IndexedConv, PairedConv
from tests.machines import AVX512
from tests.passes.modules import Emit, conv, module, values
from tests.passes.test_row_tiles import steps_of
from tvm_passes.chain_cost import Costs
from tvm_passes.chains import form_chains
from tvm_passes.convolution_cost import convolution_cycles
from tvm_passes.forms import Forms
from tvm_passes.lowering.steps import StageStep
from tvm_passes.pipeline import PipelineOptions, lower_module
from tvm_passes.place import bytes_of
from tvm_passes.tiling import ANY_TILING

FUSED = MachineParameters(lanes=16, vector_registers=32, fma_ports=1, load_ports=1, l2_bytes=1 << 20)
"""Additions share the ports of multiply-adds: products are not paired."""
PAIRING = attrs.evolve(FUSED, add_ports=1, embeds_broadcast=True)

ROWS = 28


def pointwise(inputs: int, outputs: int, groups: int = 1) -> StageStep:
    """A convolution of a convolution's result over a plane of 28 x 28."""

    def body(emit: Emit, x: Var) -> Expr:
        y = emit(conv(x, values(inputs, 16, 1, 1)))
        return emit(conv(y, values(outputs, inputs // groups, 1, 1), groups=groups))

    return stages(module([(1, 16, ROWS, ROWS)], body))[-1]


def stages(mod: IRModule) -> list[StageStep]:
    return [step for step in steps_of(mod, PAIRING) if isinstance(step, StageStep)]


def test_products_are_paired_where_that_pays() -> None:
    step = pointwise(128, 64)
    direct = schedules.modelled_cycles(IndexedConv(128, 4, 16, ROWS * ROWS), FUSED)
    assert convolution_cycles(step, ROWS, FUSED, 1) == direct
    paired = convolution_cycles(step, ROWS, PAIRING, 1)
    assert 0.6 * direct < paired < 0.8 * direct  # two multiply-adds for every three products


def test_groups_are_not_paired() -> None:
    step = pointwise(128, 128, groups=2)
    assert convolution_cycles(step, ROWS, PAIRING, 1) == convolution_cycles(step, ROWS, FUSED, 1)


def test_what_is_not_allowed_to_be_paired_is_not_modelled_so() -> None:
    def body(emit: Emit, x: Var) -> Expr:
        return emit(conv(emit(conv(x, values(128, 16, 1, 1))), values(64, 128, 1, 1)))

    steps = stages(module([(1, 16, ROWS, ROWS)], body))
    direct, paired = Costs(steps, FUSED, 1), Costs(steps, PAIRING, 1)
    forbidden = Costs(steps, PAIRING, 1, Forms(pairing=False))
    assert forbidden.alone(1) == direct.alone(1)
    assert forbidden.alone(1).cycles > paired.alone(1).cycles
    tiles = forbidden.tiled(0, 2, 7)
    assert forbidden.of_chain(0, 2, (tiles,)) == direct.of_chain(0, 2, (tiles,))


def test_chains_are_chosen_by_the_forms_that_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Forms] = []

    def segments_cost(steps: object, machine: object, threads: int, forms: Forms) -> Costs:
        asked.append(forms)
        return Costs(steps, machine, threads, forms)  # type: ignore[arg-type]

    monkeypatch.setattr("tvm_passes.chains.Costs", segments_cost)
    mod = module([(1, 16, ROWS, ROWS)], lambda emit, x: emit(conv(x, values(32, 16, 1, 1))))
    forms = Forms(pairing=False)
    lower_module(mod, AVX512, PipelineOptions(pairing=forms.pairing))
    assert asked == [forms]


def test_strips_cost_a_little_more() -> None:
    """They leave more columns that are not full."""
    step = pointwise(384, 128)
    whole = convolution_cycles(step, ROWS, PAIRING, 1)
    assert whole < ROWS / 2 * convolution_cycles(step, 2, PAIRING, 1) < 1.15 * whole


def test_weights_that_no_template_pairs() -> None:
    assert schedules.is_taken(PairedConv(64, 4, 4, 16, 100), PAIRING)
    assert not schedules.is_taken(PairedConv(64, 4, 4, 16, 100), FUSED)
    assert not schedules.is_taken(PairedConv(4, 1, 4, 16, 100), PAIRING)


def test_a_program_that_nothing_is_modelled_of_gains_nothing() -> None:
    mod = module([(1, 4, 4)], lambda emit, x: emit(op.matmul(x, x)))
    steps = steps_of(mod, PAIRING)
    assert not any(isinstance(step, StageStep) for step in steps)
    assert form_chains(steps, PAIRING, 1, ANY_TILING).gain == 1.0


def test_what_exceeds_the_last_cache_costs_its_way_through_memory() -> None:
    """A chain keeps it, as far as it lies in rings."""

    def body(emit: Emit, x: Var) -> Expr:
        return emit(conv(emit(conv(x, values(256, 32, 1, 1))), values(32, 256, 1, 1)))

    steps = stages(module([(4, 32, ROWS, ROWS)], body))
    small, wide = (bytes_of(step.output) for step in reversed(steps))
    roomy = attrs.evolve(PAIRING, l2_bytes=wide // 2, l3_bytes=4 * wide)
    tight = attrs.evolve(roomy, l3_bytes=wide // 4)

    def cycles(machine: MachineParameters) -> tuple[float, ...]:
        costs = Costs(steps, machine, 1)
        chain = costs.of_chain(0, 2, (costs.tiled(0, 2, ROWS // 4),))
        return *(costs.alone(number).cycles for number in range(2)), chain.cycles

    assert small < wide // 8 + 1
    lost = 0.75 * wide  # a fourth is still there
    way = lost / tight.memory_bytes_per_cycle - lost / tight.far_bytes_per_cycle
    by_itself = [b - a for a, b in zip(cycles(roomy), cycles(tight), strict=True)]
    assert by_itself == pytest.approx([way, way, 0.0])


@pytest.mark.parametrize("read_again", [False, True])
def test_sums_are_written_over_their_operand_by_a_stage_alone(read_again: bool) -> None:
    def body(emit: Emit, x: Var) -> tuple[Expr, ...]:
        r = emit(conv(x, values(16, 16, 1, 1)))
        y = emit(conv(emit(conv(r, values(32, 16, 1, 1))), values(16, 32, 1, 1)))
        total = emit(op.add(y, r))
        return (total, emit(conv(r, values(16, 16, 1, 1)))) if read_again else (total,)

    steps = stages(module([(1, 16, ROWS, ROWS)], body))
    costs = Costs(steps, PAIRING, 1)
    tiles = costs.tiled(1, 3, ROWS // 2)
    arithmetic = sum(
        convolution_cycles(step, end - start, PAIRING, 1) + 100
        for step, cuts in zip(tiles.stages, tiles.cuts, strict=True)
        for start, end in pairwise(cuts)
    )
    further = 0 if read_again else bytes_of(steps[2].output) / 16
    assert costs.of_chain(1, 3, (tiles,)).cycles == pytest.approx(arithmetic + further)
