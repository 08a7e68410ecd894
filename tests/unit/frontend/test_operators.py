"""Exported graphs compute what the module computes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import prune

from hwprm.frontend import check, load_pt2, to_graph
from hwprm.graph import Conv2d, Flatten, Linear, MaxPool2d, evaluate

from .modules import Branches, Everything, randomise


def assert_same(network: object, module: nn.Module, shape: tuple[int, ...]) -> None:
    """The graph's last tensor equals the module's result to float64 rounding."""
    graph = to_graph(network, shape)
    x = torch.randn(3, *shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        expected = torch.cat([module(one[None]) for one in x])
    np.testing.assert_allclose(evaluate(graph, x.numpy())[graph.outputs[0]], expected.numpy(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("decomposed", [False, True])
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
@pytest.mark.filterwarnings("ignore:`isinstance:FutureWarning")  # torch's own copy of its tree specs
def test_every_operator_exported_and_decomposed(dynamic: bool, decomposed: bool) -> None:
    module = randomise(Everything())
    example = torch.zeros(2 if dynamic else 1, 2, 18, 17, dtype=torch.float64)
    shapes = {"x": {0: torch.export.Dim("batch")}} if dynamic else None
    program = torch.export.export(module, (example,), dynamic_shapes=shapes)
    if decomposed:
        program = program.run_decompositions()
    assert check(program) == []
    assert_same(program, module, (2, 18, 17))


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("decomposed", [False, True])
@pytest.mark.filterwarnings("ignore:`isinstance:FutureWarning")  # torch's own copy of its tree specs
def test_every_branch_exported_and_decomposed(dynamic: bool, decomposed: bool) -> None:
    module = randomise(Branches())
    example = torch.zeros(2 if dynamic else 1, 3, 8, 8, dtype=torch.float64)
    shapes = {"x": {0: torch.export.Dim("batch")}} if dynamic else None
    program = torch.export.export(module, (example,), dynamic_shapes=shapes)
    if decomposed:
        program = program.run_decompositions()
    assert check(program) == []
    assert_same(program, module, (3, 8, 8))


def test_names_are_the_paths_of_the_modules() -> None:
    graph = to_graph(Everything(), (2, 18, 17))
    layers = [node.name for node in graph.nodes if isinstance(node, Conv2d | Linear)]
    assert layers == ["conv1", "features.0", "features.2", "fc1", "fc2"]
    assert [node.name for node in graph.nodes if isinstance(node, MaxPool2d)] == ["max_pool2d"]


def test_padding_is_merged_into_the_conv() -> None:
    graph = to_graph(Everything(), (2, 18, 17))
    assert graph.by_name["conv1"].padding == (0, 1, 1, 2)
    assert graph.by_name["features.0"].padding == (1, 2, 2, 2)


class Lambda(nn.Module):
    """A module around a function of itself and the image."""

    def __init__(self, function: object, **parts: nn.Module) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(self, x)


VARIANTS = {
    "pad then relu then conv": lambda m, x: m.conv(torch.relu(functional.pad(x, (1, 0, 2, 1)))),
    "two pads": lambda m, x: m.conv(functional.pad(functional.pad(x, (1, 0, 2, 1)), (0, 1))),
    "functional pool, default stride": lambda m, x: functional.max_pool2d(m.conv(x), (2, 3)),
    "pool with dilation": lambda m, x: functional.max_pool2d(m.conv(x), 2, stride=1, dilation=2),
    "shared layer": lambda m, x: m.conv(m.conv(x)),
    "reshape": lambda m, x: m.conv(x).reshape(1, -1),
    "flatten twice": lambda m, x: m.conv(x).flatten(1).flatten(1),
    "squeeze step by step": lambda m, x: functional.max_pool2d(m.conv(x), (6, 5)).squeeze(-1).squeeze(-1),
    "detach": lambda m, x: m.conv(x.detach()),
    "full slice": lambda m, x: m.conv(x)[:, :],
    "matmul with a transposed weight": lambda m, x: m.conv(x).flatten(1) @ m.fc.weight.t(),
    "masked weight": lambda m, x: functional.conv2d(x, m.conv.weight * (m.conv.weight > 0), m.conv.bias),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_variants(name: str) -> None:
    module = randomise(Lambda(VARIANTS[name], conv=nn.Conv2d(2, 2, 3), fc=nn.Linear(2 * 6 * 5, 4)))
    assert_same(module, module, (2, 8, 7))


def test_flattening_a_vector_adds_no_second_flatten() -> None:
    module = Lambda(VARIANTS["flatten twice"], conv=nn.Conv2d(2, 2, 3))
    assert sum(isinstance(node, Flatten) for node in to_graph(module, (2, 8, 7)).nodes) == 1


def test_a_shared_weight_gives_two_layers_of_different_names() -> None:
    module = Lambda(VARIANTS["shared layer"], conv=nn.Conv2d(2, 2, 3), conv_2=nn.Conv2d(2, 2, 3))
    graph = to_graph(module, (2, 8, 7))
    assert [node.name for node in graph.weighted] == ["conv", "conv_3"]
    np.testing.assert_array_equal(graph.weighted[0].weight, graph.weighted[1].weight)


def test_weight_norm_is_carried_out_and_keeps_the_layers_name() -> None:
    conv = torch.nn.utils.parametrizations.weight_norm(nn.Conv2d(2, 3, 3))
    module = randomise(nn.Sequential(conv))
    assert_same(module, module, (2, 8, 7))
    assert [node.name for node in to_graph(module, (2, 8, 7)).weighted] == ["0"]


def test_several_outputs_keep_their_order() -> None:
    heads = Lambda(lambda m, x: (m.b(x), m.a(x)), a=nn.Conv2d(2, 2, 3), b=nn.Conv2d(2, 1, 3))
    assert to_graph(heads, (2, 8, 7)).outputs == ("b", "a")


def test_a_vector_network() -> None:
    module = randomise(nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3)))
    assert_same(module, module, (5,))


def test_half_precision_weights_become_float32() -> None:
    graph = to_graph(nn.Sequential(nn.Linear(5, 4)).to(torch.bfloat16), (5,))
    assert graph.weighted[0].weight.dtype == np.float32


def test_pruning_masks_of_torch_are_carried_out() -> None:
    conv = prune.random_unstructured(nn.Conv2d(2, 3, 3), "weight", 0.5)
    module = nn.Sequential(conv).double()
    assert_same(module, module, (2, 8, 7))
    (layer,) = to_graph(module, (2, 8, 7)).weighted
    assert layer.name == "0" and np.count_nonzero(layer.weight) == 27


@pytest.mark.filterwarnings("ignore:`isinstance:FutureWarning")  # torch's own copy of its tree specs
def test_a_decomposed_program_from_a_file(tmp_path: Path) -> None:
    """Written and read again, it unpacks the indices of max_pool2d, which nothing reads."""
    module = randomise(nn.Sequential(nn.Conv2d(2, 3, 3), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(18, 4)))
    program = torch.export.export(module, (torch.zeros(1, 2, 8, 7, dtype=torch.float64),)).run_decompositions()
    torch.export.save(program, tmp_path / "net.pt2")
    loaded = load_pt2(tmp_path / "net.pt2")
    assert check(loaded) == []
    assert_same(loaded, module, (2, 8, 7))


def test_a_module_used_under_two_names() -> None:
    shared = nn.Linear(5, 5)
    module = randomise(nn.Sequential(shared, nn.ReLU(), shared))
    assert check(module, (5,)) == []
    assert_same(module, module, (5,))
