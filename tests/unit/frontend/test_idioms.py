"""Equal ways to write the same function: each is taken, quantised, and means what torch computes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from hwprm.core.errors import ModelError
from hwprm.frontend import Severity, check, to_graph
from hwprm.graph import (
    AvgPool2d,
    Channels,
    Clamp,
    Crop,
    Flatten,
    Graph,
    Input,
    Linear,
    MaxPool2d,
    Multiply,
    Pointwise,
    Relu,
    evaluate,
)
from hwprm.quantization import lower
from tests.support.meaning import assert_same_meaning


class Idiom(nn.Module):
    """A function of itself and of a convolution's map (4, 6, 6) of the image (2, 8, 8)."""

    def __init__(self, function: Callable[[Idiom, Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 4, 3), nn.Conv2d(4, 4, 3)
        self.few, self.many = nn.Linear(4, 3), nn.Linear(144, 3)
        self.prelu, self.sequence, self.norm = nn.PReLU(4), nn.Conv1d(4, 5, 3, padding=1), nn.BatchNorm1d(4)
        self.spread, self.one, self.pair = nn.Conv2d(16, 2, 1), nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 1)
        self.function = function
        generator = torch.Generator().manual_seed(2)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.rand(parameter.shape, generator=generator) - 0.4)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, self.first(x))


def pooled(function: Callable[[Tensor], Tensor]) -> Callable[[Idiom, Tensor], Tensor]:
    return lambda m, a: m.few(function(a))


def flat(function: Callable[[Tensor], Tensor]) -> Callable[[Idiom, Tensor], Tensor]:
    return lambda m, a: m.many(function(a).flatten(1))


IDIOMS: dict[str, Callable[[Idiom, Tensor], Tensor]] = {
    "mean of a view": pooled(lambda a: a.view(a.size(0), a.size(1), -1).mean(2)),
    "mean of flattened pixels": pooled(lambda a: a.flatten(2).mean(-1)),
    "mean in two steps": pooled(lambda a: a.mean(3).mean(2)),
    "mean in two steps, axes kept": pooled(lambda a: a.mean(-2, keepdim=True).mean(-1, keepdim=True).flatten(1)),
    "mean of squares of a view": lambda m, a: m.second(a.view(-1, 4, 3, 2, 6).mean(3).repeat_interleave(2, 2)),
    "mean of NHWC": pooled(lambda a: a.permute(0, 2, 3, 1).mean((1, 2))),
    "sum": pooled(lambda a: a.sum((-1, -2)) / 36),
    "maximum over pixels": pooled(lambda a: a.amax((2, 3))),
    "maximum in two steps": pooled(lambda a: a.max(3)[0].max(2).values),
    "minimum over pixels": pooled(lambda a: a.amin((2, 3))),
    "mean of a crop": pooled(lambda a: a[:, :, 1:-1, 1:-1].mean((2, 3))),
    "flattening in two steps": flat(lambda a: a.flatten(2).flatten(1)),
    "flattening NHWC": flat(lambda a: a.permute(0, 2, 3, 1)),
    "flattening columns first": flat(lambda a: a.transpose(2, 3)),
    "flattening mirrored": flat(lambda a: a.flip(3)),
    "there and back": lambda m, a: m.second(a.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)),
    "vector as a map": lambda m, a: m.second(a.flatten(1).view(-1, 4, 6, 6)),
    "channels mirrored": flat(lambda a: a.flip(1)),
    "channels rolled": lambda m, a: m.second(a.roll(1, 1)),
    "channels unbound and stacked": lambda m, a: m.second(torch.stack(a.unbind(1)[::-1], 1)),
    "channels stacked with others": lambda m, a: m.second(torch.stack((a[:, :2], a[:, 2:]), 2).flatten(1, 2)),
    "channels one by one": lambda m, a: m.second(torch.cat([a.select(1, c).unsqueeze(1) for c in (2, 0, 3, 1)], 1)),
    "cropped by slices": lambda m, a: m.second(a[:, :, 1:, :-1]),
    "cropped by padding": lambda m, a: m.second(functional.pad(a, (-1, 0, 0, -1))),
    "every other pixel": lambda m, a: m.second(functional.pad(a[:, :, ::2, 1::2], (1, 1, 1, 1))),
    "padded channels": lambda m, a: m.second(functional.pad(a[:, :2], (0, 0, 0, 0, 1, 1))),
    "joined with zeros": lambda m, a: m.second(torch.cat((a[:, :3], torch.zeros_like(a[:, :1])), 1)),
    "repeated pixels": lambda m, a: m.second(a.repeat_interleave(2, 2).repeat_interleave(2, dim=3)),
    "broadcast pixels": lambda m, a: m.second(a.mean((2, 3), keepdim=True).expand(-1, -1, 6, 6) + a),
    "maximum with zero": flat(lambda a: torch.maximum(a, torch.zeros(1, dtype=a.dtype))),
    "minimum with a number": flat(lambda a: torch.minimum(a, torch.tensor(0.5, dtype=a.dtype))),
    "larger of two": lambda m, a: m.second(torch.maximum(a, m.prelu(a.flip(1)))),
    "smaller of two": lambda m, a: m.second(torch.minimum(a[:, :1], a[:, 1:2]).expand(-1, 4, -1, -1)),
    "larger than numbers by channel": lambda m, a: m.second(torch.maximum(a, m.prelu.weight[:, None, None])),
    "where above zero": flat(lambda a: torch.where(a > 0, a, 0.0)),
    "where below": flat(lambda a: torch.where(a < 0.25, 0.25, a)),
    "where, upside down": flat(lambda a: torch.where(a > 0.5, 0.5, a)),
    "where above zero, else a share": flat(lambda a: torch.where(a >= 0, a, a * 0.25)),
    "masked": flat(lambda a: a.masked_fill(a < 0, 0.0)),
    "clamp by tensors": flat(lambda a: a.clamp(torch.tensor(-0.5), torch.tensor(0.5))),
    "threshold": flat(lambda a: functional.threshold(a, 0.0, 0.0)),
    "clip of split channels": lambda m, a: m.second(a.view(-1, 2, 2, 6, 6).clip(0, 6).transpose(1, 2).flatten(1, 2)),
    "relu6 by hand": flat(lambda a: torch.minimum(torch.relu(a), torch.full_like(a, 6.0))),
    "leaky ReLU": flat(lambda a: functional.leaky_relu(a, 0.125)),
    "slopes by channel": lambda m, a: m.second(m.prelu(a)),
    "absolute value": flat(lambda a: a.abs()),
    "swish by hand": flat(lambda a: a * torch.sigmoid(a)),
    "hard swish by hand": lambda m, a: m.second(a * functional.relu6(a + 3) / 6),
    "hard swish of a hard sigmoid": flat(lambda a: functional.hardsigmoid(a) * a),
    "mish by hand": flat(lambda a: a * functional.softplus(a).tanh()),
    "GELU by hand": flat(lambda a: 0.5 * a * (1 + torch.erf(a / 2**0.5))),
    "a gate that is read besides": flat(lambda a: a * torch.sigmoid(a) + torch.sigmoid(a)),
    "swish": flat(functional.silu),
    "GELU of two kinds": flat(lambda a: functional.gelu(functional.gelu(a), approximate="tanh")),
    "sigmoid inside": lambda m, a: m.second(torch.sigmoid(a)),
    "ELUs": flat(lambda a: functional.celu(functional.selu(functional.elu_(a * 2, 0.5)), 2.0)),
    "softplus in other places": lambda m, a: m.second(functional.softplus(a.flip(1), 2.0).flip(1)),
    "hard sigmoid": flat(lambda a: functional.hardsigmoid(a)),
    "factors of NHWC": lambda m, a: m.second((a.permute(0, 2, 3, 1) * m.prelu.weight + 1).permute(0, 3, 1, 2)),
    "linear over NHWC": lambda m, a: m.few(a.permute(0, 2, 3, 1)).permute(0, 3, 1, 2),
    "space to depth": lambda m, a: m.spread(a.view(-1, 4, 3, 2, 3, 2).permute(0, 3, 5, 1, 2, 4).flatten(1, 3)),
    "space to depth, mirrored": lambda m, a: m.spread(
        functional.pad(a.view(-1, 4, 3, 2, 3, 2).permute(0, 3, 5, 1, 2, 4).flatten(1, 3), (1, 1, 1, 1), mode="reflect")
    ),
    "space to depth, cut": lambda m, a: m.spread(
        a.view(-1, 4, 3, 2, 3, 2).permute(0, 3, 5, 1, 2, 4).flatten(1, 3)[:, :, 1:, :2]
    ),
    "depth to space": lambda m, a: m.one(a.view(-1, 1, 2, 2, 6, 6).permute(0, 1, 4, 2, 5, 3).reshape(-1, 1, 12, 12)),
    "vector as a square map": lambda m, a: m.one(m.few(a.mean((2, 3))).repeat(1, 3).view(-1, 1, 3, 3)),
    "sum of a stack": lambda m, a: m.second(torch.stack((a, torch.relu(a)), 1).sum(1)),
    "mean of an ensemble": lambda m, a: m.second(torch.stack((a, torch.relu(a)), 0).mean(0)),
    "largest of an ensemble": lambda m, a: m.second(torch.stack((a, -a)).amax(0)),
    "mean of an ensemble's scores": lambda m, a: torch.stack((m.few(a.mean((2, 3))), m.few(a.amax((2, 3))))).mean(0),
    "largest of an ensemble's scores": lambda m, a: torch.stack([m.few(a[:, :, 0, k]) for k in (1, 2, 3)]).amax(0),
    "a constant of its own": lambda m, a: m.second(a + torch.zeros_like(a[:1, :, :1, :1]).sub_(0.5).relu_()),
    "mean of channels": lambda m, a: m.one(a.mean(1, keepdim=True)),
    "maxout": lambda m, a: m.pair(a.view(-1, 2, 2, 6, 6).max(2).values),
    "mean of many channels": lambda m, a: m.one(torch.cat((a, a * 2, -a, a + 1, a * 3), 1).mean(1, keepdim=True)),
    "largest of many channels": lambda m, a: m.one(torch.cat((a, a * 2, -a, a + 1, a * 3), 1).amax(1).unsqueeze(1)),
    "largest of many, in groups": lambda m, a: m.pair(
        torch.cat([a * k for k in range(-8, 9)], 1)[:, :34].view(-1, 17, 2, 6, 6).amax(1)
    ),
    "shares of two branches": lambda m, a: m.second(
        (torch.stack((a, a.flip(1)), 1) * a.mean((2, 3)).repeat(1, 2).view(-1, 2, 4, 1, 1).softmax(1)).sum(1)
    ),
    "shares of three maps": lambda m, a: m.second(torch.stack((a, -a, a.flip(1)), 1).softmax(1)[:, 1]),
    "local response norm": lambda m, a: m.second(functional.local_response_norm(torch.relu(a), 3, 0.5, 0.75, 0.5)),
    "local response norm of any sign": lambda m, a: m.second(functional.local_response_norm(a, 2, 0.5, 0.5, 2.0)),
    "powers": lambda m, a: m.second((torch.relu(a) * 2 + 1) ** -1.5 + (a - 1).square() + torch.relu(a).sqrt()),
    "times where above zero": lambda m, a: m.second(a * (a > 0)),
    "times where below zero": lambda m, a: m.second((a < 0).to(a.dtype) * a),
    "sequences": lambda m, a: functional.max_pool1d(torch.relu(m.norm(m.sequence(a[:, :, 0])[:, :4])), 2).mean(-1),
    "sequences, transposed": lambda m, a: m.few(a.flatten(2).transpose(1, 2)).mean(1),
}


def images(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(4, *shape))


@pytest.mark.parametrize("name", IDIOMS)
def test_an_idiom_means_what_torch_computes(name: str) -> None:
    module = Idiom(IDIOMS[name]).double().eval()
    assert [f for f in check(module, (2, 8, 8)) if f.severity == Severity.ERROR] == []
    assert_same_meaning(module, images(2, 8, 8), simulated=name == "every other pixel")


def kinds(function: Callable[[Idiom, Tensor], Tensor]) -> list[type]:
    """What stands between the convolution and the layer behind the idiom."""
    return [type(node) for node in to_graph(Idiom(function).double().eval(), (2, 8, 8)).nodes[2:-1]]


def test_equal_functions_become_equal_graphs() -> None:
    assert kinds(IDIOMS["mean of a view"]) == kinds(IDIOMS["mean of NHWC"]) == [AvgPool2d, Flatten]
    assert kinds(IDIOMS["maximum over pixels"]) == [MaxPool2d, Flatten]
    assert kinds(IDIOMS["where above zero"]) == kinds(IDIOMS["maximum with zero"]) == [Relu, Flatten]
    assert kinds(IDIOMS["clamp by tensors"]) == [Clamp, Flatten]
    assert kinds(IDIOMS["there and back"]) == kinds(IDIOMS["vector as a map"]) == []
    assert kinds(IDIOMS["channels unbound and stacked"])[-1:] == [Channels]
    assert kinds(IDIOMS["cropped by slices"]) == kinds(IDIOMS["cropped by padding"]) == [Crop]


def test_means_over_maps_of_many_pixels_keep_their_places() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Unflatten(1, (2, 1)), Mean(), nn.Conv2d(2, 1, 1)).double().eval()
    x = images(1, 80, 80)[:1]
    graph = to_graph(module, (1, 80, 80))
    with torch.no_grad():
        wanted = module(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(evaluate(graph, x)[graph.outputs[0]], wanted, atol=1e-12)


class Mean(nn.Module):
    """Over the second axis behind the batch."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(2)


def test_another_order_of_flattening_goes_into_the_matrix() -> None:
    module = Idiom(IDIOMS["flattening NHWC"]).double().eval()
    layer = to_graph(module, (2, 8, 8)).nodes[-1]
    assert isinstance(layer, Linear)
    wanted = module.many.weight.detach().reshape(3, 6, 6, 4).permute(0, 3, 1, 2).reshape(3, -1)
    np.testing.assert_array_equal(layer.weight, wanted.numpy())


def test_a_network_of_sequences() -> None:
    layers = (
        nn.Conv1d(3, 4, 3, padding=1, stride=2),
        nn.BatchNorm1d(4),
        nn.ReLU(),
        nn.AvgPool1d(2),
        nn.Conv1d(4, 2, 2),
    )
    module = nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten()).double().eval()
    graph = to_graph(module, (3, 16))
    assert graph.input.shape == (3, 1, 16)
    x = torch.from_numpy(images(3, 16))
    with torch.no_grad():
        wanted = module(x).numpy()
    np.testing.assert_allclose(graph_values(graph, x[:, :, None].numpy()), wanted, atol=1e-12)


def graph_values(graph: Graph, x: np.ndarray) -> np.ndarray:
    return evaluate(graph, x)[graph.outputs[0]]


@pytest.mark.parametrize(
    "function",
    [
        lambda m, a: a.view(-1, 2, 2, 36).permute(0, 3, 1, 2),
        lambda m, a: a.transpose(2, 3),
        lambda m, a: m.few(a.flatten(2).mT),
    ],
    ids=["heads of a detector", "columns first", "sequence last"],
)
def test_a_view_behind_the_last_layer_is_left_to_the_host_where_no_operator_makes_it(function: object) -> None:
    findings = [f for f in check(Idiom(function), (2, 8, 8)) if f.op == "output"]
    assert [f.severity for f in findings] == [Severity.NOTE]
    assert "left to the host; the accelerator returns" in str(findings[0])


@pytest.mark.parametrize(
    ("function", "left"),
    [
        (lambda m, x: m.first(x.float() / 255), 2),
        (lambda m, x: m.first((x.to(torch.float32) / 255 - 0.5) / 0.25), 4),
        (lambda m, x: m.first(x.permute(0, 2, 3, 1).permute(0, 3, 1, 2) / 255), 2),
        (lambda m, x: m.first(x.float() - 128), 3),
        (lambda m, x: m.first(x.float()), 3),
    ],
    ids=["scaled", "mean and deviation", "promoted", "shifted", "as they are"],
)
def test_a_network_of_bytes_scales_them_itself(function: Callable[[Idiom, Tensor], Tensor], left: int) -> None:
    class Bytes(Idiom):
        def forward(self, x: Tensor) -> Tensor:
            return self.function(self, x)

    module = Bytes(function).eval()
    x = np.random.default_rng(0).integers(0, 256, (2, 2, 8, 8), dtype=np.uint8)
    graph = to_graph(torch.export.export(module, (torch.from_numpy(x[:1]),)))
    assert len(graph.nodes) == left
    with torch.no_grad():
        wanted = torch.cat([module(torch.from_numpy(image[None])) for image in x]).numpy()
    # Images of bytes stand for 0 to 1, whatever a network makes of them.
    np.testing.assert_allclose(graph_values(graph, x / 255), wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())


def test_a_crop_stays_inside() -> None:
    node = Crop(name="s", inputs=("x",), rows=(1, 2, 2), cols=(0, 1, 4))
    with pytest.raises(ModelError, match=r"^crop 's' takes 2 of 3 from 1 on in steps of 2; stay inside"):
        Graph((Input(name="x", inputs=(), shape=(1, 3, 4)), node), ("s",))


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (lambda a: a * torch.sigmoid(a), "silu"),
        (lambda a: a * functional.relu6(a + 3) / 6, "hardswish"),
        (lambda a: functional.softplus(a).tanh() * a, "mish"),
        (lambda a: 0.5 * a * (1 + torch.erf(a / 2**0.5)), "gelu"),
    ],
)
def test_a_product_with_a_function_of_itself_is_one_function(function: Callable[[Tensor], Tensor], name: str) -> None:
    graph = to_graph(Idiom(flat(function)), (2, 8, 8))
    assert [node.function for node in graph.nodes if isinstance(node, Pointwise)] == [name]
    read = {source for node in graph.nodes for source in node.inputs} | set(graph.outputs)
    assert [node.name for node in graph.nodes if node.name not in read] == []
    lowered = lower(graph)
    assert [bool(layer.functions) for layer in lowered.layers] == [True, False]


@pytest.mark.parametrize(
    ("function", "gate"),
    [
        (lambda a: a * torch.tanh(a), (4, 6, 6)),
        (lambda a: a * torch.sigmoid(2 * a), (4, 6, 6)),
        (lambda a: a * a, (4, 6, 6)),
        (lambda a: a * a.mean((2, 3), keepdim=True).sigmoid(), (4, 1, 1)),
        (lambda a: a.mean((2, 3)).sigmoid()[:, :, None, None] * a, (4, 1, 1)),
        (lambda a: a * a.mean((2, 3)).sigmoid().view(-1, 4, 1, 1).expand_as(a), (4, 1, 1)),
        (lambda a: a * a.amax(1, keepdim=True), (4, 6, 6)),
        (lambda a: a * a[:, 1:2].mean((2, 3), keepdim=True), (4, 1, 1)),
        (lambda a: a.mean(2, keepdim=True) * a, (4, 6, 6)),
        (lambda a: a.mean((2, 3), keepdim=True) * a[:, :1], (4, 1, 1)),
        (lambda a: a.mean(2, keepdim=True) * a.mean(3, keepdim=True), (4, 6, 6)),
    ],
)
def test_other_products_are_products(function: Callable[[Tensor], Tensor], gate: tuple[int, ...]) -> None:
    module = Idiom(flat(function)).double().eval()
    graph = to_graph(module, (2, 8, 8))
    (product,) = (node for node in graph.nodes if isinstance(node, Multiply))
    assert min(graph.shapes[name] for name in product.inputs) == gate
    assert_same_meaning(module, images(2, 8, 8))
