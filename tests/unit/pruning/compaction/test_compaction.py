"""Compaction: smaller, regular, equal; it proves so itself."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given

from hwprm.core.errors import ModelError
from hwprm.graph import Conv2d, Graph, evaluate
from hwprm.model import Model, Stage
from hwprm.nets import GraphModule
from hwprm.pruning.compaction.compaction import compact, compact_graph, prove_equal
from hwprm.pruning.paths.paths import remove_unused_paths
from tests.support.rounds import examples
from tests.unit.pruning.lenet import after_admm, lenet5
from tests.unit.pruning.random_graphs import Builder, graphs


@examples(150)
@given(graphs())
def test_equal_and_nothing_blank_left(graph):
    try:
        small, plan = compact_graph(graph)
    except ModelError as error:
        assert "is pruned to nothing: no weight is left in it" in str(error)
        closed, _ = remove_unused_paths(graph)
        assert any(not layer.weight.any() for layer in closed.weighted)
        return
    x = np.random.default_rng(5).normal(size=(2, *graph.input.shape))
    before, after = evaluate(graph, x), evaluate(small, x)
    size = max(1.0, max(np.abs(v).max() for v in before.values()))
    for name in graph.outputs:
        np.testing.assert_allclose(after[name], before[name], rtol=0, atol=1e-12 * size)
    grouped = any(getattr(node, "groups", 1) > 1 for node in graph.nodes)
    closed, removals = remove_unused_paths(graph)
    for layer in small.weighted:
        rows, cols = plan[layer.name]["rows"], plan[layer.name]["cols"]
        old = closed.by_name[layer.name]
        assert len(rows) == len(layer.bias)
        np.testing.assert_array_equal(layer.bias, old.bias[rows])
        matrix = old.weight.reshape(len(old.bias), -1)
        assert set(np.flatnonzero(matrix.any(axis=0))) == set(cols)
        assert np.count_nonzero(layer.weight) == np.count_nonzero(matrix[rows][:, cols]) == np.count_nonzero(matrix)
        if not grouped and not removals.refused and layer.name not in graph.outputs:
            assert (layer.weight.reshape(len(rows), -1).any(axis=1) | _outward(small, layer.name)).all()


def _outward(graph, name):
    """Does `name` reach an output without another matrix between?"""
    if name in graph.outputs:
        return True
    return any(_outward(graph, r.name) for r in graph.consumers(name) if r not in graph.weighted)


def test_lenet5_and_its_plan():
    graph = after_admm(8, 30, dtype=np.float32)
    model = Model(graph=graph, stage=Stage.ADMM, meta={"data": "mnist", "waterfall": [{"stage": "admm"}]})
    small = compact(model)
    assert small.stage is Stage.COMPACT
    assert small.meta["data"] == "mnist"
    shapes = {layer.name: layer.weight.shape for layer in small.graph.weighted}
    assert shapes == {"conv1": (2, 1, 5, 5), "conv2": (8, 2, 5, 5), "fc1": (500, 128), "fc2": (10, 500)}
    assert small.graph.shapes["flatten"] == (128,)
    assert all(layer.weight.dtype == layer.bias.dtype == np.float32 for layer in small.graph.weighted)
    plan = small.meta["plan"]
    assert plan["conv1"] == {"rows": [3, 11], "cols": list(range(25)), "mask": None}
    assert plan["conv2"]["rows"] == [1, 5, 9, 13, 17, 21, 25, 29]
    assert plan["conv2"]["cols"] == [*range(75, 90), *range(275, 290)]
    assert plan["fc1"]["cols"] == [16 * m + pixel for m in plan["conv2"]["rows"] for pixel in range(16)]
    assert not small.graph.by_name["conv2"].weight.reshape(8, 2, 25)[:, :, 15:].any()  # zero columns stay inside
    assert [row["stage"] for row in small.meta["waterfall"]] == ["admm", "path_removal"]
    json.dumps(small.meta.to_json())
    x = np.random.default_rng(0).normal(size=(3, 1, 28, 28))
    np.testing.assert_allclose(
        evaluate(small.graph, x)["fc2"], evaluate(graph, x)["fc2"], atol=1e-5
    )  # folded biases were rounded to float32 once


def test_purified_models_get_no_second_row():
    closed, _ = remove_unused_paths(after_admm(3, 20))
    assert "waterfall" not in compact(Model(graph=closed, stage=Stage.PURIFIED)).meta


def test_saved_and_loaded(tmp_path):
    small = compact(Model(graph=after_admm(3, 20), stage=Stage.ADMM))
    small.save(tmp_path / "m")
    again = Model.load(tmp_path / "m")
    assert again.meta == small.meta
    np.testing.assert_array_equal(again.graph.by_name["fc1"].weight, small.graph.by_name["fc1"].weight)


def test_depthwise_groups_go_whole():
    b = Builder((2, 6, 6), seed=4, keep=2.0)
    b.conv(4)
    b.conv(8, padding=1, groups=4)
    b.relu()
    b.conv(2, 4)
    graph = b.done()
    conv, depthwise, last = graph.weighted
    last.weight[:, [2, 3, 4]] = 0  # nobody reads group 1, nor half of group 2
    small, plan = compact_graph(graph)
    assert plan[conv.name]["rows"] == [0, 2, 3]
    assert plan[depthwise.name]["rows"] == [0, 1, 4, 5, 6, 7]
    assert small.by_name[depthwise.name].groups == 3


def test_dead_branch_goes():
    b = Builder((1, 6, 6), seed=4, keep=2.0)
    b.relu()
    b.conv(3)
    out = b.last
    b.last = "relu1"
    b.relu()
    b.conv(5)
    small, plan = compact_graph(b.done(out))
    assert [node.name for node in small.nodes] == ["x", "relu1", out]
    assert list(plan) == [out]


def test_pruned_to_nothing():
    graph = lenet5()
    graph.by_name["conv2"].weight[:] = 0
    text = r"layer 'conv2' is pruned to nothing: .* does not depend on the input any more; keep more filters"
    with pytest.raises(ModelError, match=text):
        compact(Model(graph=graph, stage=Stage.ADMM))


def test_only_once():
    small = compact(Model(graph=after_admm(3, 20), stage=Stage.ADMM))
    with pytest.raises(ModelError, match="compact already"):
        compact(small)


def test_the_proof_notices_a_difference(monkeypatch):
    graph = after_admm(3, 20)
    with pytest.raises(ModelError, match=r"compaction changed output 'fc2' by 0\.\d+"):
        prove_equal(graph, remove_unused_paths(after_admm(3, 19))[0])
    cut = Conv2d.cut

    def wrong(node, out, ins):
        done = cut(node, out, ins)
        if node.name == "conv2":
            done.bias[0] += 1e-6
        return done

    monkeypatch.setattr(Conv2d, "cut", wrong)
    with pytest.raises(ModelError, match="please report this network"):
        compact_graph(graph)


def test_unneeded_input_channel_stays():
    b = Builder((3, 6, 6), seed=4, keep=2.0)
    b.conv(3)
    graph = b.done()
    graph.weighted[0].weight[:, 1] = 0
    small, plan = compact_graph(graph)
    assert small.input.shape == (3, 6, 6)
    assert len(plan["conv1"]["cols"]) == 18
    assert isinstance(small, Graph)


def test_output_that_sees_only_a_padded_constant():
    b = Builder((1, 6, 6), seed=4, keep=2.0)
    b.conv(2)
    b.conv(2, padding=1)
    graph = b.done()
    first, second = graph.weighted
    first.weight[0], first.bias[0] = 0, 1.0
    second.weight[:, 1] = 0
    with pytest.raises(ModelError, match="layer 'conv1' is pruned to nothing"):
        compact_graph(graph)


def test_the_compact_network_is_an_ordinary_torch_module():
    graph = after_admm(8, 30, dtype=np.float32)
    small, _ = compact_graph(graph)
    images = torch.from_numpy(np.random.default_rng(0).random((4, 1, 28, 28)).astype(np.float32))
    with torch.no_grad():
        masked, compacted = GraphModule(graph)(images), GraphModule(small)(images)
    torch.testing.assert_close(compacted, masked, rtol=1e-5, atol=1e-5)
    assert sum(p.numel() for p in GraphModule(small).parameters()) < sum(
        p.numel() for p in GraphModule(graph).parameters()
    )
