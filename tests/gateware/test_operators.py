"""Every operator alone, from torch.export to ROM contents: the same integers three times, close to the float module.

A choice of them runs on the simulated accelerator; those that are left differ from them in ROM contents alone.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from hwprm.compiler import compile_network
from hwprm.config import ArrayConfig, QuantizeConfig
from hwprm.frontend import check, export, to_graph
from hwprm.intnet import reference
from hwprm.quantization import crosscheck, quantize_images, quantize_network
from tests.support.bench import run_checked
from tests.support.interpreter import Interpreter
from tests.support.measures import assert_measures

Forward = Callable[["Operator", Tensor], Tensor | tuple[Tensor, ...]]


class Operator(nn.Module):
    """A function of the image, and what it may need: a convolution 4 -> 4, batch norm, constants."""

    def __init__(self, function: Forward) -> None:
        super().__init__()
        self.function = function
        self.conv, self.norm, self.fc = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.Linear(4, 3)
        self.register_buffer("scale", torch.tensor([0.5, -1.5, 0.25, 2.0]))
        generator = torch.Generator().manual_seed(3)
        with torch.no_grad():
            for tensor in (*self.parameters(), self.norm.running_mean, self.norm.running_var):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) - 0.4)
            self.norm.running_var.add_(0.7)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        return self.function(self, x)


def made(module: nn.Module) -> nn.Module:
    """`module` with seeded parameters."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.rand(parameter.shape, generator=generator) - 0.4)
    return module


def conv(*sizes: int, **options: object) -> nn.Module:
    """A seeded convolution."""
    return made(nn.Conv2d(*sizes, **options))


IMAGE = (4, 6, 5)
#: Name to a module, or a function of an `Operator` and an image, with another shape than IMAGE behind it.
CASES: dict[str, nn.Module | Forward | tuple[Forward, tuple[int, ...]]] = {
    "conv, odd kernel": conv(4, 3, (2, 3)),
    "conv, stride and padding": conv(4, 3, 3, stride=(2, 1), padding=(2, 1)),
    "conv, asymmetric padding": lambda m, x: m.conv(functional.pad(x, (1, 0, 2, 1))),
    "conv, same": conv(4, 2, (4, 3), padding="same"),
    "conv, dilated": conv(4, 2, 3, dilation=(2, 1), padding=1),
    "conv, groups": conv(4, 6, 3, groups=2),
    "conv, depthwise": conv(4, 4, 3, groups=4, padding=1),
    "conv, depthwise with multiplier": conv(4, 8, 2, groups=4),
    "linear": (lambda m, x: m.fc(x), (4,)),
    "linear of a flattened map": made(nn.Sequential(nn.Flatten(), nn.Linear(120, 2))),
    "batch norm alone": lambda m, x: m.norm(x),
    "batch norm before a padded conv": lambda m, x: functional.conv2d(m.norm(x), m.conv.weight, padding=1),
    "batch norm before an unpadded conv": lambda m, x: m.conv(m.norm(x)),
    "batch norm behind a conv": lambda m, x: m.norm(m.conv(x)),
    "relu alone": lambda m, x: torch.relu(x),
    "relu6": lambda m, x: functional.relu6(m.conv(4 * x)),
    "hardtanh": lambda m, x: functional.hardtanh(m.conv(x), -0.5, 0.25),
    "clamp, low end": lambda m, x: torch.clamp(m.conv(x), min=-0.25),
    "clamp, high end": lambda m, x: m.conv(x).clamp_max(0.5),
    "residual sum": lambda m, x: torch.relu(m.conv(x) + x),
    "sum of a tensor and itself": lambda m, x: x + x,
    "scaled sum": lambda m, x: torch.add(m.conv(x), x, alpha=0.5),
    "difference": lambda m, x: m.conv(x) - torch.relu(x),
    "sum with one number per channel": lambda m, x: x + m.norm(x).mean((2, 3), True),
    "sum with one channel": lambda m, x: x + m.conv(x)[:, :1],
    "constant sum": lambda m, x: torch.relu(x + 0.5),
    "constant difference": lambda m, x: 1 - (m.conv(x) - 0.25),
    "constant product": lambda m, x: torch.relu(x * 2) / 3,
    "product with one number per channel": lambda m, x: m.conv(x) * m.scale[:, None, None] + m.scale.view(1, 4, 1, 1),
    "product of a vector": (lambda m, x: -m.fc(x * m.scale), (4,)),
    "in place": lambda m, x: m.conv(x).mul_(2).sub_(0.25).div_(3).add_(0.5),
    "concatenation of three": lambda m, x: torch.cat((m.conv(x), x, torch.relu(x)), 1),
    "split": lambda m, x: (pieces := x.split([1, 3], 1))[1] + m.conv(x)[:, 1:] + pieces[0],
    "chunk": lambda m, x: torch.relu(torch.cat(x.chunk(2, 1)[::-1], 1)),
    "slice": lambda m, x: m.conv(x)[:, 1::2],
    "channels by number": lambda m, x: m.conv(x)[:, [2, 0, -1]],
    "channel shuffle": lambda m, x: m.conv(functional.channel_shuffle(x, 2)),
    "channel shuffle by views": lambda m, x: x.view(-1, 2, 2, 6, 5).transpose(1, 2).reshape(-1, 4, 6, 5),
    "max pool": lambda m, x: functional.max_pool2d(m.conv(x), 2),
    "max pool, padded": lambda m, x: functional.max_pool2d(x, 3, 2, 1),
    "max pool, padding of its own": lambda m, x: functional.max_pool2d(
        functional.pad(torch.relu(m.conv(x)), (0, 1, 1, 0)), 2
    ),
    "max pool, dilated": lambda m, x: functional.max_pool2d(m.conv(x), (2, 2), (1, 2), dilation=(3, 2)),
    "max pool, ceil mode": lambda m, x: functional.max_pool2d(m.conv(x), 2, 2, ceil_mode=True),
    "max pool, adaptive": lambda m, x: functional.adaptive_max_pool2d(m.conv(x), (3, 1)),
    "max pool of a max pool": lambda m, x: functional.max_pool2d(functional.max_pool2d(m.conv(x), 2, 1), 2),
    "average": lambda m, x: functional.avg_pool2d(x, 2),
    "average, padded": lambda m, x: functional.avg_pool2d(x, 3, 2, 1),
    "average, padding left out": lambda m, x: functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False),
    "average, large divisors": lambda m, x: functional.avg_pool2d(x, 5, 1, 2, count_include_pad=False),
    "average, ceil mode": lambda m, x: functional.avg_pool2d(m.conv(x), 2, 2, ceil_mode=True),
    "average, ceil mode and padding": lambda m, x: functional.avg_pool2d(x, 3, 2, 1, True, False),
    "average, padding of its own": lambda m, x: functional.avg_pool2d(functional.pad(x, (1, 0, 0, 1)), 2, 1),
    "average of a view": lambda m, x: functional.avg_pool2d(
        torch.cat((m.conv(x)[:, :1], x), 1), 3, 1, 1, count_include_pad=False
    ),
    "average and max pool": lambda m, x: functional.max_pool2d(
        functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False), 2, 2, 1
    ),
    "average, global": lambda m, x: functional.adaptive_avg_pool2d(m.conv(x), 1),
    "average, adaptive": lambda m, x: functional.adaptive_avg_pool2d(x, (4, 3)),
    "average, adaptive, larger than the map": lambda m, x: functional.adaptive_avg_pool2d(x, (7, 2)),
    "mean": lambda m, x: m.fc(x.mean((2, 3))),
    "flatten": lambda m, x: m.conv(x).flatten(1),
    "reshape": lambda m, x: m.fc(m.conv(x).mean((2, 3), True).reshape(-1, 4)),
    "vector as a map": lambda m, x: m.conv(torch.relu(x.mean((2, 3)))[..., None, None]),
    "linear as a map": lambda m, x: (
        torch.relu(functional.linear(x.mean((2, 3)), m.conv.weight[:, :, 0, 0])).view(-1, 4, 1, 1) + x
    ),
    "views that change nothing": lambda m, x: m.conv(x.permute(0, 1, 2, 3).reshape(-1, 4, 6, 5).contiguous().clone()),
    "identity and dropout": lambda m, x: functional.dropout2d(nn.Identity()(m.conv(x)), training=False),
    "upsample": lambda m, x: functional.interpolate(m.conv(x), scale_factor=2),
    "upsample, rows and columns": lambda m, x: m.conv(nn.Upsample(size=(6, 15))(torch.relu(x))),
    "upsample, exact": lambda m, x: m.conv(functional.interpolate(x, scale_factor=2, mode="nearest-exact")),
    "upsample of a pixel": lambda m, x: m.conv(functional.interpolate(x.mean((2, 3), True), (3, 4))),
    "upsample of a view": lambda m, x: functional.interpolate(
        torch.cat((x, m.conv(x)), 1)[:, 2:6], scale_factor=(1, 3)
    ),
    "upsample of a residual sum": lambda m, x: m.conv(nn.Upsample(scale_factor=2)(torch.relu(m.conv(x) + x))),
    "upsample twice": lambda m, x: nn.Upsample(scale_factor=2)(torch.relu(nn.Upsample(scale_factor=(2, 1))(m.conv(x)))),
    "max pool of an upsample": lambda m, x: functional.max_pool2d(nn.Upsample(scale_factor=2)(m.conv(x)), 3),
    "several outputs": lambda m, x: (m.conv(x), torch.relu(m.norm(x))),
    "an output that is read": lambda m, x: ((y := m.conv(x)), m.norm(torch.relu(y))),
    "an output that is a view": lambda m, x: ((y := m.conv(x))[:, 1:3], y),
    "the input as output": lambda m, x: (x, m.conv(x)),
}


def _case(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    case = CASES[name]
    if isinstance(case, nn.Module):
        return copy.deepcopy(case).eval(), IMAGE
    function, shape = case if isinstance(case, tuple) else (case, IMAGE)
    return Operator(function).eval(), shape


#: What differs in more than the numbers in a list: operands, pooling passes, bounds, stores, wide words.
SIMULATED = (
    "conv, depthwise with multiplier",
    "linear",
    "difference",
    "max pool, padded",
    "average, adaptive",
    "upsample of a pixel",
    "upsample of a residual sum",
    "upsample twice",
    "an output that is read",
)


@pytest.mark.parametrize("name", CASES)
def test_operator(name: str) -> None:
    module, shape = _case(name)
    assert all("does not use" in finding.problem for finding in check(module, shape))
    graph = to_graph(module, shape)
    x = np.random.default_rng(1).normal(size=(4, *shape))
    net = quantize_network(graph, x, 1.0)
    images = quantize_images(x, 1.0, net)
    assert crosscheck(net, images, reference.run(net, images)) > 0
    program = compile_network(net, ArrayConfig(rows=4, cols=3))
    assert_measures(program.cycles)
    wanted = reference.run(program.network, images)
    got = Interpreter(program).run(images[0])
    for tensor in program.layers:
        if tensor not in program.network.outputs:
            np.testing.assert_array_equal(got[tensor], wanted[tensor][0])
    words = [wanted[tensor][0].reshape(-1) for tensor in program.layers if tensor in program.network.outputs]
    np.testing.assert_array_equal(got["output"], np.concatenate(words))
    if name in SIMULATED:
        run_checked(program, images[:1])
    _assert_close(module, graph, x)


def _assert_close(module: nn.Module, graph: object, x: np.ndarray) -> None:
    """Sixteen bits come close to the float module, output by output in its own order."""
    net = quantize_network(graph, x, 1.0, QuantizeConfig(weight_bits=16, act_bits=16))
    with torch.no_grad():
        wanted = module.double()(torch.from_numpy(x))
    got = reference.run(net, quantize_images(x, 1.0, net))
    for tensor, array in zip(net.outputs, wanted if isinstance(wanted, tuple) else (wanted,), strict=True):
        real = got[tensor] * net.tensor[tensor].scale
        np.testing.assert_allclose(real.reshape(array.shape), array.numpy(), atol=2e-3 * float(array.abs().max()))


DECOMPOSED = (
    "channel shuffle",
    "channels by number",
    "vector as a map",
    "constant difference",
    "in place",
    "max pool, adaptive",
    "relu6",
    "split",
    "upsample, exact",
)


@pytest.mark.parametrize("name", DECOMPOSED)
@pytest.mark.filterwarnings("ignore:`isinstance:FutureWarning")  # torch's own copy of its tree specs
def test_decomposed_operator_means_the_same(name: str) -> None:
    """What `run_decompositions` makes of the operator converts to a network of the same values."""
    module, shape = _case(name)
    x = np.random.default_rng(1).normal(size=(4, *shape))
    _assert_close(module, to_graph(export(module, shape).run_decompositions(), shape), x)


TAILS: dict[str, Forward] = {
    "softmax": lambda m, x: torch.softmax(m.conv(x).flatten(1), 1),
    "log softmax": lambda m, x: functional.log_softmax(m.conv(x), 1),
    "argmax": lambda m, x: m.conv(x).flatten(1).argmax(1),
    "argmax of a softmax": lambda m, x: torch.softmax(m.conv(x), 1).argmax(1),
}


@pytest.mark.parametrize("name", TAILS)
def test_tail_is_left_to_the_host_with_a_note(name: str) -> None:
    module = Operator(TAILS[name])
    notes = [finding for finding in check(module, IMAGE) if "left to the host" in finding.problem]
    assert notes and all(finding.severity == "note" for finding in notes)
    assert to_graph(module, IMAGE).outputs == ("conv",) or name in ("softmax", "argmax")


def test_outputs_that_are_one_tensor_leave_once_with_a_note() -> None:
    module = Operator(lambda m, x: ((y := m.conv(x)), y, y.flatten(1), torch.relu(y).flatten(1)))
    notes = [finding for finding in check(module, IMAGE) if "another output" in finding.problem]
    assert len(notes) == 2 and all(finding.severity == "note" for finding in notes)
    x = np.random.default_rng(1).normal(size=(4, *IMAGE))
    assert len(quantize_network(to_graph(module, IMAGE), x, 1.0).outputs) == 2
