"""GraphModule against torch's own layers, and LeNet-5's geometry."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from hwprm.core.errors import ModelError
from hwprm.graph import BatchNorm, Conv2d, Flatten, Graph, Input, Linear, MaxPool2d, Node, Relu
from hwprm.nets import GraphModule, lenet5, lenet5_graph
from tests.support.rounds import examples


def test_lenet5_counts_names_and_seed():
    graph = lenet5_graph(3)
    assert {node.name: node.weight.shape for node in graph.weighted} == {
        "conv1": (20, 1, 5, 5),
        "conv2": (50, 20, 5, 5),
        "fc1": (500, 800),
        "fc2": (10, 500),
    }
    assert sum(node.weight.size for node in graph.weighted) == 430_500
    assert sum(node.bias.size for node in graph.weighted) == 580
    before = torch.random.get_rng_state()
    again = lenet5_graph(3)
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(np.array_equal(a.weight, b.weight) for a, b in zip(graph.weighted, again.weighted, strict=True))
    assert not np.array_equal(lenet5_graph(4).weighted[0].weight, graph.weighted[0].weight)


def test_graph_and_module_are_the_same_lenet():
    images = torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    module = GraphModule(lenet5_graph(1))
    with torch.no_grad():
        assert torch.equal(module(images), lenet5(1)(images))
    assert sorted(module.state_dict()) == sorted(lenet5(1).state_dict())


def test_to_graph_returns_copies_of_the_parameters():
    module = GraphModule(lenet5_graph(0))
    with torch.no_grad():
        module.weight("fc2").fill_(2.0)
        module.bias("conv1").fill_(-1.0)
    graph = module.to_graph()
    assert np.all(graph.by_name["fc2"].weight == 2.0) and np.all(graph.by_name["conv1"].bias == -1.0)
    with torch.no_grad():
        module.weight("fc2").zero_()
    assert np.all(graph.by_name["fc2"].weight == 2.0)
    assert not np.all(lenet5_graph(0).by_name["fc2"].weight == 2.0)


def small_graph(padding=(1, 0, 2, 1), norm=True, seed=0):
    rng = np.random.default_rng(seed)
    nodes: list[Node] = [
        Input(name="in", inputs=(), shape=(2, 9, 8)),
        Conv2d(
            name="a.conv",
            inputs=("in",),
            weight=rng.normal(size=(4, 1, 3, 2)),
            bias=rng.normal(size=4),
            stride=(2, 1),
            padding=padding,
            dilation=(1, 2),
            groups=2,
        ),
    ]
    last = "a.conv"
    if norm:
        arrays = {key: rng.normal(size=4) for key in ("weight", "bias", "mean")} | {"var": rng.uniform(0.5, 2, 4)}
        nodes.append(BatchNorm(name="bn", inputs=(last,), eps=1e-3, **arrays))
        last = "bn"
    nodes += [
        Relu(name="relu", inputs=(last,)),
        MaxPool2d(name="pool", inputs=("relu",), kernel=(2, 2), stride=(2, 2), ceil_mode=True),
        Flatten(name="flat", inputs=("pool",)),
    ]
    size = Graph(tuple(nodes), ("flat",)).shapes["flat"][0]
    nodes.append(Linear(name="fc", inputs=("flat",), weight=rng.normal(size=(3, size)), bias=rng.normal(size=3)))
    return Graph(tuple(nodes), ("fc",))


def test_every_operator_in_float64_against_torch_layers():
    graph = small_graph()
    conv, norm = graph.by_name["a.conv"], graph.by_name["bn"]
    x = torch.rand(5, 2, 9, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    layer = nn.Conv2d(2, 4, (3, 2), (2, 1), 0, (1, 2), groups=2, dtype=torch.float64)
    bn = nn.BatchNorm2d(4, eps=1e-3, dtype=torch.float64).eval()
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(conv.weight)), layer.bias.copy_(torch.from_numpy(conv.bias))
        bn.weight.copy_(torch.from_numpy(norm.weight)), bn.bias.copy_(torch.from_numpy(norm.bias))
        bn.running_mean.copy_(torch.from_numpy(norm.mean)), bn.running_var.copy_(torch.from_numpy(norm.var))
        hidden = torch.relu(bn(layer(nn.functional.pad(x, (2, 1, 1, 0)))))
        hidden = nn.functional.max_pool2d(hidden, 2, 2, ceil_mode=True).flatten(1)
        fc = graph.by_name["fc"]
        want = hidden @ torch.from_numpy(fc.weight).T + torch.from_numpy(fc.bias)
        got = GraphModule(graph).eval()(x)
    assert got.shape == (5, 3)
    torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)


def test_train_mode_updates_batch_statistics_and_to_graph_takes_them():
    module = GraphModule(small_graph())
    x = torch.rand(64, 2, 9, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    module.train()
    module(x)
    old, new = small_graph().by_name["bn"], module.to_graph().by_name["bn"]
    batch_mean = module.run(x)["a.conv"].mean(dim=(0, 2, 3)).detach().numpy()
    np.testing.assert_allclose(new.mean, 0.9 * old.mean + 0.1 * batch_mean, rtol=1e-12)


@examples(60)
@given(
    size=st.tuples(st.integers(4, 11), st.integers(4, 11)),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilation=st.integers(1, 2),
    ceil=st.booleans(),
    padded=st.booleans(),
)
def test_max_pool_like_torch(size, kernel, stride, dilation, ceil, padded):
    span = max(dilation * (k - 1) + 1 for k in kernel)
    if span > min(size):
        return
    pad = (kernel[0] // 2, kernel[1] // 2) if padded else (0, 0)
    node = MaxPool2d(
        name="p",
        inputs=("x",),
        kernel=kernel,
        stride=stride,
        padding=(pad[0], pad[0], pad[1], pad[1]),
        dilation=(dilation, dilation),
        ceil_mode=ceil,
    )
    graph = Graph((Input(name="x", inputs=(), shape=(1, *size)), node), ("p",))
    x = torch.randn(2, 1, *size, generator=torch.Generator().manual_seed(0))
    want = nn.functional.max_pool2d(x, kernel, stride, pad, dilation, ceil_mode=ceil)
    assert torch.equal(GraphModule(graph)(x), want)
    assert tuple(want.shape[1:]) == graph.shapes["p"]


def test_relu_behind_pooling_gives_the_same_bits():
    graph = small_graph(padding=(0, 0, 0, 0))
    module = GraphModule(graph).eval()
    assert module.late == {"relu"}
    x = torch.randn(4, 2, 9, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        assert torch.equal(module(x), module.run(x)["fc"])
        assert (module.run(x)["relu"] >= 0).all()
    exposed = GraphModule(Graph(graph.nodes, ("fc", "relu"))).eval()
    assert exposed.late == frozenset()
    assert len(exposed(x)) == 2


def test_batch_norm_on_a_vector():
    arrays = {key: np.full(3, 2.0, np.float32) for key in ("weight", "bias", "mean", "var")}
    nodes = (Input(name="x", inputs=(), shape=(3,)), BatchNorm(name="n", inputs=("x",), eps=0.0, **arrays))
    out = GraphModule(Graph(nodes, ("n",))).eval()(torch.full((1, 3), 2.0))
    assert torch.equal(out, torch.full((1, 3), 2.0))


def test_refusals():
    x = Input(name="x", inputs=(), shape=(3,))
    fc = Linear(name="forward", inputs=("x",), weight=np.eye(3), bias=np.zeros(3))
    with pytest.raises(ModelError, match=r"^layer name 'forward' is taken in torch modules; rename the layer$"):
        GraphModule(Graph((x, fc), ("forward",)))
    with pytest.raises(ModelError, match=r"^'relu1' has no parameters; layers that have are conv1, conv2, fc1, fc2$"):
        GraphModule(lenet5_graph()).weight("relu1")


@pytest.mark.parametrize("channels", [2, 3, 5])
def test_gradients_of_strided_single_pixels_with_few_channels(channels):
    """oneDNN's own gradient of this form corrupts memory on processors without AVX-512."""
    rng = np.random.default_rng(channels)
    weight = rng.normal(size=(6, channels, 1, 1)).astype(np.float32)
    image = Input(name="x", inputs=(), shape=(channels, 6, 6))
    conv = Conv2d(name="conv", inputs=("x",), weight=weight, bias=np.zeros(6, np.float32), stride=(2, 2))
    module = GraphModule(Graph((image, conv), ("conv",)))
    for parameter in module.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    for _ in range(40):
        x = torch.randn(6, channels, 6, 6).contiguous(memory_format=torch.channels_last).requires_grad_()
        module(x).square().sum().backward()
        made = torch.einsum("oc,nchw->nohw", torch.from_numpy(weight[:, :, 0, 0]), x.detach()[:, :, ::2, ::2])
        wanted = torch.zeros_like(x).detach()
        wanted[:, :, ::2, ::2] = torch.einsum("oc,nohw->nchw", torch.from_numpy(weight[:, :, 0, 0]), 2 * made)
        torch.testing.assert_close(x.grad, wanted)
