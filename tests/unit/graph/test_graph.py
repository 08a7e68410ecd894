"""Float graphs: shapes against torch's own, refusals, files."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch.nn import functional

from hwprm.core.errors import ModelError
from hwprm.core.geometry import conv_output_size, pool_output_size
from hwprm.graph import (
    BatchNorm,
    Conv2d,
    Flatten,
    Graph,
    Input,
    Linear,
    MaxPool2d,
    Node,
    Relu,
)


def nodes() -> dict[str, Node]:
    """conv 2 -> 4, batch norm, ReLU, pool, flatten, linear -> 3."""
    rng = np.random.default_rng(0)
    stats = {key: rng.uniform(0.5, 1, 4) for key in ("weight", "bias", "mean", "var")}
    chain = (
        Input(name="x", inputs=(), shape=(2, 8, 7)),
        Conv2d(
            name="conv", inputs=("x",), weight=rng.normal(size=(4, 1, 3, 3)), bias=np.zeros(4), groups=2, stride=(1, 2)
        ),
        BatchNorm(name="norm", inputs=("conv",), **stats),
        Relu(name="relu", inputs=("norm",)),
        MaxPool2d(name="pool", inputs=("relu",), kernel=(2, 2), stride=(2, 2), ceil_mode=True),
        Flatten(name="flat", inputs=("pool",)),
        Linear(name="fc", inputs=("flat",), weight=rng.normal(size=(3, 24)).astype(np.float32), bias=np.ones(3)),
    )
    return {node.name: node for node in chain}


def graph(**changes: dict[str, object]) -> Graph:
    made = nodes()
    return Graph(tuple(replace(node, **changes.get(name, {})) for name, node in made.items()), ("fc",))


def test_shapes() -> None:
    assert dict(graph().shapes) == {
        "x": (2, 8, 7),
        "conv": (4, 6, 3),
        "norm": (4, 6, 3),
        "relu": (4, 6, 3),
        "pool": (4, 3, 2),
        "flat": (24,),
        "fc": (3,),
    }


def test_views() -> None:
    g = graph()
    assert g.input.name == "x"
    assert [node.name for node in g.weighted] == ["conv", "fc"]
    assert [node.name for node in g.consumers("relu")] == ["pool"]
    new = replace(nodes()["fc"], bias=np.zeros(3))
    assert g.replace(new).by_name["fc"] is new and g.by_name["fc"] is not new


BROKEN = {
    "twice": (lambda: Graph((*nodes().values(), nodes()["fc"]), ("fc",)), "two nodes are named 'fc'"),
    "later": (lambda: Graph(tuple(nodes().values())[::-1], ("fc",)), "reads 'flat', which no earlier node makes"),
    "no output": (lambda: Graph(tuple(nodes().values()), ()), "a graph needs an output"),
    "unknown output": (lambda: Graph(tuple(nodes().values()), ("y",)), "output 'y' is no node of the graph"),
    "nan": (lambda: graph(fc={"bias": np.array([0, np.nan, 0])}), "bias of 'fc' holds NaN or infinity; retrain"),
    "infinity": (lambda: graph(conv={"bias": np.full(4, np.inf)}), "bias of 'conv' holds NaN or infinity"),
    "channels": (lambda: graph(conv={"groups": 1}), r"conv 'conv' expects 1 input channels, it reads \(2, 8, 7\)"),
    "groups": (
        lambda: graph(conv={"weight": np.zeros((5, 1, 3, 3)), "bias": np.zeros(5)}),
        "conv 'conv' has 5 filters, which 2 groups cannot share",
    ),
    "bias": (lambda: graph(conv={"bias": np.zeros(3)}), r"'conv' has 4 filters and a bias of shape \(3,\)"),
    "linear": (lambda: graph(fc={"weight": np.zeros((3, 9))}), r"linear 'fc' expects 9 inputs, it reads \(24,\)"),
    "pool of a vector": (lambda: graph(pool={"inputs": ("x",)}, x={"shape": (2,)}), "expects 2 input channels"),
    "norm": (lambda: graph(norm={"mean": np.zeros(3)}), r"batch norm 'norm' has 3 channels, it reads \(4, 6, 3\)"),
    "empty": (lambda: graph(x={"shape": (2, 2, 7)}), r"'conv' makes an empty tensor \(4, 0, 3\)"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_graphs_are_refused(name: str) -> None:
    make, message = BROKEN[name]
    with pytest.raises(ModelError, match=message):
        make()


def test_a_pool_of_a_vector_is_refused() -> None:
    vector = Input(name="x", inputs=(), shape=(5,))
    pool = MaxPool2d(name="pool", inputs=("x",), kernel=(2, 2), stride=(2, 2))
    with pytest.raises(ModelError, match=r"max pool 'pool' needs a map \(C, H, W\), it reads \(5,\)"):
        Graph((vector, pool), ("pool",))


def test_two_inputs_have_no_single_one() -> None:
    two = Graph((*nodes().values(), Input(name="y", inputs=(), shape=(1,))), ("fc",))
    with pytest.raises(ModelError, match="the network has 2 inputs, one is needed here"):
        _ = two.input


def test_round_trip_and_same_bytes(tmp_path: Path) -> None:
    graph().save(tmp_path / "a")
    loaded = Graph.load(tmp_path / "a")
    loaded.save(tmp_path / "b")
    for name in ("graph.json", "weights.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert dict(loaded.shapes) == dict(graph().shapes)
    assert loaded.weighted[1].weight.dtype == np.float32
    np.testing.assert_array_equal(loaded.weighted[0].weight, graph().weighted[0].weight)


def test_unreadable_folders(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no readable graph .*; make it again"):
        Graph.load(tmp_path)
    graph().save(tmp_path)
    plan = json.loads((tmp_path / "graph.json").read_text())
    (tmp_path / "graph.json").write_text(json.dumps(plan | {"format": "other"}))
    with pytest.raises(ModelError, match="format 'other', this version reads 'hwprm-graph-1'"):
        Graph.load(tmp_path)
    plan["nodes"][1]["op"] = "Conv9d"
    (tmp_path / "graph.json").write_text(json.dumps(plan))
    with pytest.raises(ModelError, match="holds no readable graph"):
        Graph.load(tmp_path)
    plan["nodes"][1] = {"op": "Input", "name": "conv", "inputs": [], "shape": []}
    plan["nodes"] = plan["nodes"][1:]
    (tmp_path / "graph.json").write_text(json.dumps(plan))
    with pytest.raises(ModelError, match="holds no readable graph"):
        Graph.load(tmp_path)
    graph().save(tmp_path)
    data = (tmp_path / "weights.safetensors").read_bytes()
    (tmp_path / "weights.safetensors").write_bytes(data[:-4])
    with pytest.raises(ModelError, match="holds no readable graph"):
        Graph.load(tmp_path)


small = st.integers(1, 4)


@given(size=st.integers(1, 12), kernel=small, stride=small, pad=st.integers(0, 3), dilation=small)
def test_conv_sizes_are_torchs(size: int, kernel: int, stride: int, pad: int, dilation: int) -> None:
    assume(size + 2 * pad >= dilation * (kernel - 1) + 1)
    y = functional.conv1d(torch.zeros(1, 1, size), torch.zeros(1, 1, kernel), None, stride, pad, dilation)
    assert conv_output_size(size + 2 * pad, kernel, stride, dilation) == y.shape[2]


@given(
    size=st.integers(1, 12), kernel=small, stride=small, pad=st.integers(0, 2), dilation=small, ceil_mode=st.booleans()
)
def test_pool_sizes_are_torchs(size: int, kernel: int, stride: int, pad: int, dilation: int, ceil_mode: bool) -> None:
    assume(pad <= kernel // 2 and size + 2 * pad >= dilation * (kernel - 1) + 1)
    y = functional.max_pool1d(torch.zeros(1, 1, size), kernel, stride, pad, dilation, ceil_mode)
    assert pool_output_size(size, kernel, stride, (pad, pad), dilation, ceil_mode) == y.shape[2]
