"""Kernels and index maps go by the names of the model's nodes, whatever the passes derived from them."""

from __future__ import annotations

from tvm.relax import op

from tests.passes.modules import compiled, const, conv, module, one_hot, values
from tvm_passes.graph import Graph
from tvm_passes.node import origin

SHAPE = (1, 4, 6, 6)


def test_derived_names_are_new_and_know_their_origin() -> None:
    graph = Graph.read(module([SHAPE], lambda emit, x: emit(op.exp(x))))
    (node,) = graph.nodes
    first = graph.insert_before(node, op.exp(node.call.args[0]), node.name)
    second = graph.insert_before(node, op.exp(node.call.args[0]), first.name)
    assert [first.name, second.name] == [f"{node.name}'1", f"{node.name}'2"]
    assert {origin(n.name) for n in graph.nodes} == {node.name}
    assert origin(node.name) == node.name


def test_records_name_the_nodes_of_the_model() -> None:
    """A shift with a scale in its taps is two operators after canonicalize, and one node of the model."""
    taps = [(1, 0), (0, 1), (2, 1), (1, 1)]

    def body(emit, x):
        y = emit(conv(x, values(4, 4, 1, 1)))
        shifted = emit(conv(y, one_hot(taps, [1.0, 2, 3, 4]), 1, groups=4))
        return emit(op.matmul(emit(op.permute_dims(shifted, [0, 2, 3, 1])), const(values(4, 5))))

    mod = module([SHAPE], body)
    nodes = [f"/block/{node.op.split('.')[-1]}_{i}" for i, node in enumerate(Graph.read(mod).nodes)]
    node_of_var = dict(zip((node.name for node in Graph.read(mod).nodes), nodes, strict=True))
    program = compiled(mod, node_of_var=node_of_var)
    shift, permute = program.index_maps
    assert shift.folded
    assert shift.nodes == (nodes[1],)
    assert permute.nodes == (nodes[3],)
    stages = [step.stage for step in program.steps if step.kind == "indexed_conv"]
    assert stages == [nodes[0], f"{nodes[1]} + {nodes[3]}"]
    assert not any("'" in step.stage for step in program.steps)
