"""Selective kernels, local response norm, maxima and means over channels: what they become, bit-exact all the way."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from hwprm.compiler import compile_network
from hwprm.config import ArrayConfig, QuantizeConfig
from hwprm.frontend import to_graph
from hwprm.intnet import reference
from hwprm.quantization import crosscheck, quantize_images, quantize_network
from tests.support.bench import run_checked

SHAPE = (2, 4, 4)


class Shares(nn.Module):
    """Two branches, each with its share of every channel; local response norm in front, behind it the maximum and the
    mean over all channels, as in attention of blocks.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 3, 3, padding=1)
        self.branches = nn.ModuleList((nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 3, padding=1)))
        self.squeeze, self.select = nn.Conv2d(4, 3, 1), nn.Conv2d(3, 8, 1)
        self.widen, self.place, self.head = nn.Conv2d(4, 17, 1), nn.Conv2d(2, 1, 3, padding=1), nn.Linear(17, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.local_response_norm(torch.relu(self.stem(x)), 3, alpha=0.5, k=0.5)
        y = torch.stack([torch.relu(branch(x)) for branch in self.branches], 1)
        w = self.select(torch.relu(self.squeeze(y.sum(1).mean((2, 3), keepdim=True))))
        x = self.widen((y * w.unflatten(1, (2, 4)).softmax(1)).sum(1))
        both = torch.cat((x.amax(1, keepdim=True), x.mean(1, keepdim=True)), 1)
        made: Tensor = self.head((x * torch.sigmoid(self.place(both))).mean((2, 3)))
        return made


@pytest.fixture(scope="module")
def net() -> nn.Module:
    torch.manual_seed(3)
    return Shares().eval().double()


def _images(count: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, *SHAPE))


def test_sixteen_bits_are_close_to_the_float_module(net: nn.Module) -> None:
    x = _images(2)
    integers = quantize_network(to_graph(net, SHAPE), x, 1.0, QuantizeConfig(weight_bits=16, act_bits=16))
    with torch.no_grad():
        wanted = net(torch.from_numpy(x)).numpy()
    images = quantize_images(x, 1.0, integers)
    got = reference.run(integers, images)
    assert crosscheck(integers, images, got) > 0
    (name,) = integers.outputs
    np.testing.assert_allclose(
        (got[name] * integers.tensor[name].scale).reshape(wanted.shape), wanted, atol=2e-3 * np.abs(wanted).max()
    )


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "cols"), [(4, 3), (5, 8)])
def test_on_the_accelerator(net: nn.Module, rows: int, cols: int) -> None:
    x = _images(2)
    integers = quantize_network(to_graph(net, SHAPE), x, 1.0)
    images = quantize_images(x, 1.0, integers)
    run_checked(compile_network(integers, ArrayConfig(rows=rows, cols=cols)), images)
