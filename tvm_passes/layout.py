"""Decides where every tensor lies and which steps compute it: the arena, its halos, and layout changes.

Results of stages are blocked; operators no template takes work on plain tensors; a tensor changes its
layout at most once for each side. Convolutions read through any translation, so a concat, a split or a
shuffle costs nothing; channel-wise stages keep the blocks of what they read.
Place: after fold; the last step that sees Relax.
"""

from __future__ import annotations

from collections import defaultdict

from tvm.ir import IRModule, Tuple, TupleGetItem, Var

from schedules.machine import MachineParameters

from .anchor import Window
from .apply_index_map import index_map_of
from .array import Array
from .chains import form_chains
from .channel_view import BlockView, ChannelView
from .forms import ANY_FORM, Forms
from .geometry import Border
from .graph import Graph, Node
from .in_place import why_not_in_place
from .lowering.generic import is_view, legalize
from .lowering.grouped_winograd import GroupedWinogradPlan, plan_grouped_winograd
from .lowering.operands import Operand, choose_access
from .lowering.steps import GenericStep, StageStep
from .lowering.winograd_plan import WinogradPlan, plan_winograd
from .place import place
from .placement import Address, Blocked, Plain, natural_positions
from .relax_values import dtype_of, shape_of
from .stage import Operation, Read, Stage, stage_of
from .tensors import Tensors
from .tiling import NO_TILING, Tiling
from .translation import Translation, translation_of


class Planner:
    """Walks `main` in order and appends the steps that compute it.

    lanes:    channels of a block.
    machine:  what choices are modelled on; None: convolutions are direct and nothing is tiled.
    forms:    that convolutions may take.
    """

    def __init__(
        self,
        mod: IRModule,
        lanes: int,
        machine: MachineParameters | None = None,
        threads: int = 1,
        forms: Forms = ANY_FORM,
        tiling: Tiling = NO_TILING,
    ) -> None:
        self.mod = mod
        self.lanes = lanes
        self.machine = machine
        self.threads = threads
        self.forms = forms
        self.tiling = tiling
        self.graph = Graph.read(mod)
        self.tensors = Tensors(lanes)
        self.stages = {n.var: s for n in self.graph.nodes if (s := stage_of(mod, n)) is not None}

    def run(self) -> Tensors:
        """All steps, every tensor placed. Raises NothingFitsError."""
        self._note_wishes()
        for index, param in enumerate(self.graph.params):
            address = Address("input", index=index)
            self.tensors.plain[param] = Plain(param.name, shape_of(param), dtype_of(param), address)
            reason = why_not_in_place(param, self.graph.nodes, self.stages)
            if reason is None:
                self.tensors.blocked[param] = Blocked.of_caller(self.tensors.plain[param])
            else:
                self.tensors.reasons[param] = reason
        for node in self.graph.nodes:
            self._plan(node)
        for index, out in enumerate(self.graph.outputs):
            self.tensors.deliver(out, Address("output", index=index))
        if self.machine is not None and self.tensors.steps:
            chained = form_chains(self.tensors.steps, self.machine, self.threads, self.tiling, self.forms)
            self.tensors.steps, self.tensors.chain_gain = chained.steps, chained.gain
        self.tensors.arena = place(self.tensors.steps, self.tensors.memories.values())
        return self.tensors

    def _plan(self, node: Node) -> None:
        stage = self.stages.get(node.var)
        if stage is not None:
            self._plan_stage(stage)
        elif node.op == "index_map":
            self.tensors.maps[node.var] = Read(node.variables, index_map_of(node.call))
        elif isinstance(node.call, TupleGetItem):
            self.tensors.define_item(node.var, node.call.tuple_value, node.call.index)
        elif is_view(node):
            source = self.tensors.plain_of(node.variables[0])
            self.tensors.alias(node.var, source, shape_of(node.var))
        else:
            self._plan_generic(node)

    def _plan_generic(self, node: Node) -> None:
        operators, output = legalize(node, self.mod)
        for operator in operators:
            inputs = tuple(self.tensors.plain_of(value) for value in operator.inputs)
            outputs = tuple(self.tensors.new_plain(result) for result in operator.results)
            self.tensors.append(GenericStep(node.name, node.op, operator.func, inputs, outputs))
        if isinstance(output, Tuple):
            self.tensors.tuples[node.var] = tuple(output.fields)
        else:
            self.tensors.plain[node.var] = self.tensors.plain_of(output)

    # --- stages -----------------------------------------------------------------------------

    def _plan_stage(self, stage: Stage) -> None:
        view = self.tensors.view(stage.read)
        blocks = None if stage.kind == "convolution" else view.block_view()
        if blocks is None and stage.kind not in ("convolution", "elementwise"):
            view = ChannelView.whole(*self.tensors.repacked(view))
            blocks = view.block_view()
        n, channels, rows, columns = stage.shape
        if stage.taps is None:
            view.require_halo(stage.window, rows, columns)
        extents = (n, rows, columns)
        views = [None if o.read is None else self.tensors.view(o.read) for o in stage.epilogue]
        output = self._output(stage, extents, channels, blocks, views)
        operands = tuple(
            None if v is None else self._operand(o, v, output)
            for o, v in zip(stage.epilogue, views, strict=True)
        )
        winograd = self._plan_winograd(stage, view, output)
        self.tensors.append(StageStep(stage, view, blocks, operands, output, winograd))
        self.tensors.define_blocked(stage.result, output)

    def _plan_winograd(
        self, stage: Stage, view: ChannelView, output: Blocked
    ) -> WinogradPlan | GroupedWinogradPlan | None:
        """The plan of a convolution that pays; its last patches reach beyond the plane."""
        if self.machine is None or not self.forms.winograd:
            return None
        plan_form = plan_winograd if stage.groups == 1 else plan_grouped_winograd
        plan = plan_form(stage, view, output, self.machine, self.threads)
        if isinstance(plan, str):
            return None
        size = plan.form.outputs
        rows, columns = (-(-extent // size) * size for extent in stage.shape[2:])
        view.require_halo(stage.window, rows, columns)
        return plan

    def _output(
        self,
        stage: Stage,
        extents: tuple[int, int, int],
        channels: int,
        blocks: BlockView | None,
        views: list[ChannelView | None],
    ) -> Blocked:
        """The result's tensor: channel-wise stages keep their input's blocks, others follow a residual."""
        border, clip = self.tensors.border_of(stage.result), self.tensors.clips.get(stage.result)

        def lay_out(positions: Array, count: int) -> Blocked:
            return self.tensors.new_blocked(stage.name, extents, border, positions, count, clip=clip)

        if blocks is not None:
            return lay_out(blocks.positions, len(blocks.blocks))
        output = lay_out(*natural_positions(channels, self.lanes))
        for view, operation in zip(views, stage.epilogue, strict=True):
            if view is None or operation.step.per_channel or choose_access(view, output) == "block":
                continue
            followed = view.block_view()
            if followed is not None:
                return lay_out(followed.positions, len(followed.blocks))
        return output

    def _operand(self, operation: Operation, view: ChannelView, output: Blocked) -> Operand:
        if operation.step.per_channel:
            if choose_access(view, output) != "block":
                view = ChannelView.whole(*self.tensors.repacked(view, output.positions, output.blocks))
            view.require_halo(Window(), 1, 1)
            return Operand("channel", view)
        view.require_halo(Window(), output.extent.rows, output.extent.columns)
        return Operand(choose_access(view, output), view)

    # --- looking ahead ----------------------------------------------------------------------

    def _note_wishes(self) -> None:
        """Which border each tensor's halo should hold, around which clips; which inputs may stay planar."""
        borders: dict[Var, set[Border]] = defaultdict(set)
        clips: dict[Var, set[int]] = defaultdict(set)
        planar: dict[Var, bool] = dict.fromkeys(self.graph.params, True)
        for node in self.graph.nodes:
            stage = self.stages.get(node.var)
            if stage is None:
                if node.op == "index_map" and len(node.variables) > 1:  # all sources in one layout
                    planar.update(dict.fromkeys(node.variables, False))
                continue
            for read in (stage.read, *(o.read for o in stage.epilogue if o.read is not None)):
                translation = None if read.map is None else translation_of(read.map)
                if isinstance(translation, str | None):
                    translation = Translation(())
                moves = read.map is not None and not read.map.is_channels_only
                for source in read.sources:
                    if moves or stage.window.padded:
                        borders[source].add(translation.border)
                    if translation.moves_batch:
                        clips[source].add(translation.clip or shape_of(source)[0])
                stays_planar = read is stage.read and stage.kind == "convolution" and len(read.sources) == 1
                for source in read.sources:
                    planar[source] = planar.get(source, False) and stays_planar
        self.tensors.borders = {var: next(iter(b)) for var, b in borders.items() if len(b) == 1}
        self.tensors.clips = {var: next(iter(c)) for var, c in clips.items() if len(c) == 1}
        self.tensors.planar = {param for param in self.graph.params if planar[param]}
