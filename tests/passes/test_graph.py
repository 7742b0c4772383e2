"""Graph reads, edits and writes Relax functions without changing what they compute."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tvm
from tvm import relax
from tvm.relax import op
from tvm.script import ir as I
from tvm.script import relax as R

from tests.passes.modules import const, module, run_with_tvm, values
from tvm_passes.graph import Graph, GraphError, Node
from tvm_passes.outline import Outlined, outline


@I.ir_module
class Residual:
    @R.function
    def main(x: R.Tensor((1, 4, 3, 3), "float32"), y: R.Tensor((1, 4, 3, 3), "float32")):  # noqa: N805
        with R.dataflow():
            halves = R.split(x, 2, axis=1)
            low = halves[0]
            high = halves[1]
            pair = (high, low)
            swapped = R.concat((pair[0], pair[1]), axis=1)
            alias = swapped
            total = R.add(alias, y)
            act = R.nn.relu(total)
            twice = R.add(act, swapped)
            R.output(act, twice)
        return (act, twice)


X, Y = values(1, 4, 3, 3), values(1, 4, 3, 3, seed=1)
ACT = np.maximum(X[:, [2, 3, 0, 1]] + Y, 0)
EXPECTED = [ACT, ACT + X[:, [2, 3, 0, 1]]]


def check(mod: tvm.IRModule) -> None:
    relax.analysis.well_formed(mod)
    for got, wanted in zip(run_with_tvm(mod, [X, Y]), EXPECTED, strict=True):
        np.testing.assert_array_equal(got, wanted)


def named(graph: Graph, *names: str) -> list[Node]:
    return [node for node in graph.nodes if node.name in names]


def test_aliases_and_spelled_out_tuples_are_resolved() -> None:
    graph = Graph.read(Residual)
    assert [(node.name, node.op) for node in graph.nodes] == [
        ("halves", "relax.split"),
        ("low", "tuple_get_item"),
        ("high", "tuple_get_item"),
        ("swapped", "relax.concat"),
        ("total", "relax.add"),
        ("act", "relax.nn.relu"),
        ("twice", "relax.add"),
    ]
    swapped = graph.nodes[3]
    assert [arg.name for arg in swapped.args] == ["high", "low"]
    assert [node.name for node in graph.consumers(swapped.var)] == ["total", "twice"]
    assert graph.producer(swapped.args[0]).name == "high"
    assert graph.producer(graph.params[0]) is None
    assert [out.name for out in graph.outputs] == ["act", "twice"]
    assert graph.all_consumers()[swapped.var] == graph.consumers(swapped.var)


def test_written_graph_computes_the_same_and_keeps_names() -> None:
    written = Graph.read(Residual).write(Residual)
    check(written)
    names = [node.name for node in Graph.read(written).nodes]
    assert names == ["halves", "low", "high", "swapped", "total", "act", "twice"]
    tvm.ir.assert_structural_equal(Graph.read(written).write(written), written)


def test_attributes_of_the_function_are_kept() -> None:
    mod = tvm.IRModule({"main": Residual["main"].with_attr("num_input", 2)})
    assert Graph.read(mod).write(mod)["main"].attrs["num_input"] == 2


def test_insert_replace_and_remove_dead() -> None:
    graph = Graph.read(Residual)
    (relu,) = named(graph, "act")
    tanh = graph.insert_before(relu, op.tanh(relu.args[0]), "tanh")
    graph.replace(relu.var, tanh.var)
    graph.remove_dead()
    assert "act" not in [node.name for node in graph.nodes]
    got = run_with_tvm(graph.write(Residual), [X, Y])
    np.testing.assert_allclose(got[0], np.tanh(X[:, [2, 3, 0, 1]] + Y), rtol=1e-5, atol=1e-6)


def test_outline_one_result() -> None:
    graph = Graph.read(Residual)
    mod = outline(
        Residual, graph, [Outlined(named(graph, "total", "act"), "add_relu", {"Composite": "shiftc.stage"})]
    )
    mod = graph.write(mod)
    check(mod)
    assert mod["add_relu"].attrs["Composite"] == "shiftc.stage"
    assert "call:add_relu" in [node.op for node in Graph.read(mod).nodes]
    assert [node.op for node in Graph.read(mod, "add_relu").nodes] == ["relax.add", "relax.nn.relu"]


def test_outline_several_results() -> None:
    graph = Graph.read(Residual)
    mod = outline(Residual, graph, [Outlined(named(graph, "swapped", "total", "act"), "front", {})])
    mod = graph.write(mod)
    check(mod)
    assert [node.op for node in Graph.read(mod).nodes][3] == "call:front"


def test_outline_several_groups() -> None:
    graph = Graph.read(Residual)
    groups = [Outlined(named(graph, name), "one", {}) for name in ("twice", "act", "swapped")]
    mod = graph.write(outline(Residual, graph, groups))
    check(mod)
    assert sorted(gv.name_hint for gv in mod.get_global_vars()) == ["main", "one", "one_1", "one_2"]


def test_outline_of_an_outlined_function_is_flat() -> None:
    graph = Graph.read(Residual)
    mod = outline(Residual, graph, [Outlined(named(graph, "total", "act"), "inner", {"Composite": "a"})])
    mod = outline(mod, graph, [Outlined(named(graph, "act", "twice"), "outer", {"Composite": "b"})])
    mod = graph.write(mod)
    check(mod)
    assert sorted(gv.name_hint for gv in mod.get_global_vars()) == ["main", "outer"]
    assert [n.op for n in Graph.read(mod, "outer").nodes] == ["relax.add", "relax.nn.relu", "relax.add"]


def test_constants_stay_in_the_body() -> None:
    def biased(emit: Callable[..., Any], x: tvm.ir.Var) -> tvm.ir.Expr:
        return op.nn.relu(emit(op.add(x, const(np.ones((2, 2), "float32")))))

    mod = module([(2, 2)], biased)
    graph = Graph.read(mod)
    mod = graph.write(outline(mod, graph, [Outlined(graph.nodes[:1], "bias", {})]))
    assert len(mod["bias"].params) == 1
    value = values(2, 2)
    np.testing.assert_array_equal(run_with_tvm(mod, [value])[0], np.maximum(value + 1, 0))


def test_a_group_that_is_left_and_entered_again_is_refused() -> None:
    graph = Graph.read(Residual)
    with pytest.raises(GraphError, match="own result"):
        outline(Residual, graph, [Outlined(named(graph, "swapped", "act"), "torn", {})])
