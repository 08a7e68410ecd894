"""Transposed convolutions, bilinear resizing, paddings with what is inside, and constants that are joined: each means
what torch computes, in float64 and in integers, and in hardware.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from hwprm.compiler import compile_network
from hwprm.config import ArrayConfig
from hwprm.core.errors import UnsupportedError
from hwprm.frontend import to_graph
from hwprm.graph import Bilinear, Conv2d, Crop, Remap, evaluate
from hwprm.graph.ops.pixel_shuffle import PixelShuffle
from tests.support.meaning import assert_same_meaning
from tests.unit.frontend.modules import randomise


class Form(nn.Module):
    """A function of the map (4, 4, 3) that a convolution makes of the image (2, 5, 4), with a transposed convolution
    and one that reads 4 channels of its own.
    """

    def __init__(self, function: Callable[[Form, Tensor], Tensor], **options: Any) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(2, 4, 2), nn.Conv2d(4, 2, 2)
        self.up = nn.ConvTranspose2d(4, options.pop("filters", 3), **{"kernel_size": 2, "stride": 2, **options})
        self.function = function
        randomise(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, self.first(x))


def up(**options: Any) -> Form:
    return Form(lambda m, a: m.up(a), **options)


def bilinear(*size: int, corners: bool = False, scale: Any = None) -> Form:
    return Form(
        lambda m, a: m.last(functional.interpolate(a, size or None, scale, "bilinear", align_corners=corners) * 1.5)
    )


def padded(mode: str, *pads: int) -> Form:
    return Form(lambda m, a: m.last(functional.pad(a, pads, mode)))


FORMS: dict[str, Callable[[], Form]] = {
    "transposed, side by side": up,
    "transposed, as most do": lambda: up(kernel_size=4, padding=1, bias=False),
    "transposed, with more output": lambda: up(kernel_size=3, padding=1, output_padding=1),
    "transposed, uneven": lambda: up(kernel_size=(3, 5), padding=(2, 1), stride=2),
    "transposed, far apart": lambda: up(kernel_size=2, stride=3),
    "transposed, dilated": lambda: up(kernel_size=2, stride=2, dilation=3),
    "transposed, of stride 1": lambda: up(kernel_size=3, stride=1, padding=1),
    "transposed, cut": lambda: up(kernel_size=3, stride=2, padding=2),
    "transposed, in groups": lambda: up(kernel_size=3, groups=2, filters=4, padding=1),
    "transposed, depthwise": lambda: up(kernel_size=4, groups=4, filters=4, padding=1),
    "bilinear by 2": lambda: bilinear(scale=2),
    "bilinear by 3": lambda: bilinear(scale=3),
    "bilinear by 4 and 1": lambda: bilinear(16, 3),
    "bilinear, corners": lambda: bilinear(8, 6, corners=True),
    "bilinear, any size": lambda: bilinear(7, 5),
    "bilinear, smaller": lambda: bilinear(2, 2),
    "bilinear, odd scale": lambda: bilinear(scale=1.7),
    "reflected": lambda: padded("reflect", 1, 2, 2, 1),
    "replicated": lambda: padded("replicate", 1, 1, 1, 1),
    "circular": lambda: padded("circular", 1, 0, 2, 1),
    "flipped": lambda: Form(lambda m, a: m.last(a.flip(2))),
    "rolled": lambda: Form(lambda m, a: m.last(a.roll((1, 2), (2, 3)))),
    "uneven nearest": lambda: Form(lambda m, a: m.last(functional.interpolate(a, (6, 7)))),
    "uneven rows": lambda: Form(lambda m, a: m.last(a[:, :, [0, 3, 3, 1]])),
}
#: In hardware as well: one of each kind of layer.
SIMULATED = ("transposed, as most do", "bilinear by 2", "bilinear, corners", "reflected")


@pytest.mark.parametrize("name", FORMS)
def test_a_form_means_what_torch_computes(name: str) -> None:
    x = np.random.default_rng(3).normal(size=(3, 2, 5, 4))
    assert_same_meaning(FORMS[name](), x, simulated=name in SIMULATED)


def test_each_form_is_few_nodes() -> None:
    def kinds(name: str) -> list[type]:
        return [type(node) for node in to_graph(FORMS[name](), (2, 5, 4)).nodes[2:]]

    assert kinds("transposed, side by side") == [Conv2d, PixelShuffle]
    assert kinds("transposed, uneven") == [Conv2d, PixelShuffle, Crop]
    assert kinds("transposed, of stride 1") == [Conv2d]
    assert kinds("bilinear by 2")[0] is Bilinear
    assert kinds("reflected") == kinds("rolled") == [Remap, Conv2d]


def test_layers_keep_their_names_and_the_taps_that_fall_on_no_pixel_are_zero() -> None:
    conv = to_graph(FORMS["transposed, with more output"](), (2, 5, 4)).by_name["up"]
    assert isinstance(conv, Conv2d) and conv.weight.shape == (12, 4, 2, 2)
    assert np.count_nonzero(conv.weight) == 4 * 3 * 9


def test_whole_factors_cost_a_few_entries_whatever_the_size() -> None:
    """A bilinear upsampling by 2 is two layers of three kernels, not one of a kernel for every row."""
    program = assert_same_meaning(FORMS["bilinear by 2"](), np.random.default_rng(1).normal(size=(3, 2, 5, 4)))[0]
    rows = next(layer for layer in program.layers if "interp" in layer.name or "upsample" in layer.name)
    report = compile_network(program, ArrayConfig(rows=4, cols=3)).cycles
    assert len(rows.terms) <= 3
    assert all(layer.bound <= layer.cycles <= layer.limit for layer in report.layers)


def test_constants_are_joined() -> None:
    class Joined(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Conv2d(2, 2, 2), nn.Conv2d(5, 2, 2)
            self.register_buffer("facts", torch.tensor([0.5, -1.0, 2.0]).reshape(1, 3, 1, 1).expand(1, 3, 4, 3).clone())
            randomise(self)
            self.facts.copy_(torch.tensor([0.5, -1.0, 2.0]).reshape(1, 3, 1, 1))

        def forward(self, x: Tensor) -> Tensor:
            return self.last(torch.cat([self.first(x), self.facts.expand(x.shape[0], -1, -1, -1)], 1))

    x = np.random.default_rng(3).normal(size=(3, 2, 5, 4))
    graph, module = to_graph(Joined(), (2, 5, 4)), Joined()
    with torch.no_grad():
        wanted = module(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(evaluate(graph, x)[graph.outputs[0]], wanted, atol=1e-12)


REFUSED: dict[str, tuple[Callable[[], Form], str]] = {
    "strides": (lambda: up(stride=(2, 1)), r"its strides \(2, 1\) differ; use one stride for rows and columns"),
    "padding": (
        lambda: Form(lambda m, a: m.last(functional.pad(a, (1, 1), value=2.0))),
        r"padding with 2.0 is not sup",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_says_why(name: str) -> None:
    made, wanted = REFUSED[name]
    with pytest.raises(UnsupportedError, match=wanted):
        to_graph(made(), (2, 5, 4))
