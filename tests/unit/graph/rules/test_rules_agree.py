"""What the rules of each operator promise is what its float meaning does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hwprm.graph import (
    OPERATORS,
    AdaptiveAvgPool2d,
    Add,
    AvgPool2d,
    BatchNorm,
    Bilinear,
    ChannelMean,
    Channels,
    Clamp,
    Concat,
    Conv2d,
    Crop,
    Flatten,
    Linear,
    MaxPool2d,
    Multiply,
    Node,
    Pointwise,
    Relu,
    Remap,
    Rounded,
    Unflatten,
    Upsample,
)
from hwprm.graph.rules.constants import Constants
from hwprm.graph.rules.links import Links
from tests.support.rules import assert_rules_agree

TESTS = Path(__file__).resolve().parents[3]
MAP = (4, 5, 6)


def array(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape)


def case(kind: type[Node], *shapes: tuple[int, ...], **fields: Any) -> tuple[Node, tuple[tuple[int, ...], ...]]:
    """A node of `kind` that reads inputs of `shapes`, and these."""
    names = tuple(chr(ord("a") + i) for i in range(len(shapes)))
    return kind(name="node", inputs=names, **fields), shapes


def conv(groups: int, filters: int, **fields: Any) -> tuple[Node, tuple[tuple[int, ...], ...]]:
    weight = array(filters, 4 // groups, 3, 2)
    return case(Conv2d, MAP, weight=weight, bias=array(filters), groups=groups, **fields)


NORM = {"weight": array(4), "bias": array(5)[:4], "mean": array(6)[:4], "var": np.abs(array(7)[:4]) + 0.5}
CASES = {
    "conv": conv(1, 3, padding=(1, 0, 2, 1), stride=(1, 2)),
    "conv of groups": conv(2, 6, dilation=(2, 1)),
    "depthwise conv": conv(4, 8),
    "linear": case(Linear, (6,), weight=array(3, 6), bias=array(3)),
    "norm": case(BatchNorm, MAP, **NORM),
    "norm of a vector": case(BatchNorm, (4,), **NORM),
    "silent norm": case(BatchNorm, MAP, **{**NORM, "weight": array(4) * [0, 1, 0, 1]}),
    "mean over channels": case(ChannelMean, MAP, windows=((0, 1), (0, 1, 2), (2, 3)), divisor=3),
    "rounded": case(Rounded, MAP, step=0.25, low=-3, high=4),
    "relu": case(Relu, MAP),
    "clamp": case(Clamp, MAP, low=-0.5, high=0.25),
    "open clamp": case(Clamp, MAP),
    "silu": case(Pointwise, MAP, function="silu"),
    "sigmoid of a vector": case(Pointwise, (6,), function="sigmoid"),
    "elu": case(Pointwise, MAP, function="elu", numbers=(0.5, 1.5, 2.0)),
    "clamp above zero": case(Clamp, (4,), low=0.5),
    "max pool": case(MaxPool2d, MAP, kernel=(3, 2), stride=(2, 2), padding=(1, 1, 0, 1)),
    "max pool, ceil mode": case(MaxPool2d, MAP, kernel=(2, 3), stride=(2, 2), ceil_mode=True, dilation=(2, 1)),
    "average": case(AvgPool2d, MAP, kernel=(2, 2), stride=(2, 2)),
    "padded average": case(AvgPool2d, MAP, kernel=(3, 3), stride=(2, 1), padding=(1, 1, 1, 1), ceil_mode=True),
    "average without padding": case(
        AvgPool2d, MAP, kernel=(3, 3), stride=(1, 1), padding=(1, 1, 1, 1), count_include_pad=False
    ),
    "adaptive average": case(AdaptiveAvgPool2d, MAP, size=(3, 4)),
    "sum": case(Add, MAP, MAP, MAP),
    "product": case(Multiply, MAP, MAP),
    "product with a gate": case(Multiply, MAP, (4, 1, 1)),
    "gate of a map": case(Multiply, (4, 1, 1), MAP),
    "product of vectors": case(Multiply, (6,), (6,)),
    "concatenation": case(Concat, MAP, (2, 5, 6), MAP),
    "channels": case(Channels, MAP, indices=(3, 0, 0)),
    "all channels": case(Channels, MAP, indices=(0, 1, 2, 3)),
    "channels of a vector": case(Channels, (6,), indices=(5, 1)),
    "crop": case(Crop, MAP, rows=(0, 1, 4), cols=(2, 1, 3)),
    "every other pixel": case(Crop, MAP, rows=(1, 2, 2), cols=(0, 3, 2)),
    "one pixel": case(Crop, MAP, rows=(4, 1, 1), cols=(2, 5, 1)),
    "any pixels": case(Remap, MAP, rows=(1, 0, 0, 4, 3), cols=(5, 2)),
    "padded by reflection": case(Remap, MAP, rows=(1, 0, 1, 2, 3, 4, 3), cols=(0, 1, 2, 3, 4, 5)),
    "bilinear by 2": case(Bilinear, MAP, size=(10, 12), steps=(0.5, 0.5)),
    "bilinear, corners": case(Bilinear, MAP, size=(7, 3), steps=(1.0, 1.0), corners=True),
    "upsampling": case(Upsample, MAP, factors=(2, 3)),
    "flatten": case(Flatten, MAP),
    "flattened vector": case(Flatten, (6,)),
    "unflatten": case(Unflatten, (6,)),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("seed", range(3))
def test_rules_agree(name: str, seed: int) -> None:
    assert_rules_agree(*CASES[name], seed=seed)


def wrong(rule: str, result: object, kind: type[Node] = Concat) -> type[Node]:
    """`kind`, by its own name, with a `rule` that gives `result`."""
    return type(kind.__name__, (kind,), {rule: lambda self, *args, **kwargs: result})


TWO = ((2, 2, 2), (2, 2, 2))
SWAPPED = (Links.same(2, 2), Links.same(2))
WHOLE = Channels(name="node", inputs=("a",), indices=(3, 0, 0))
FAULTS = {
    "links": case(wrong("links", SWAPPED), *TWO),
    "shape": case(wrong("infer_shape", (3, 2, 2)), *TWO),
    "constants": case(wrong("constants", Constants(np.ones(4, bool), np.ones(4))), *TWO),
    "torch": case(wrong("compute", torch.zeros(2, 4, 2, 2)), *TWO),
    "cut": case(wrong("cut", WHOLE, Channels), MAP, indices=(3, 0, 0)),
    "describe": case(wrong("describe", ""), *TWO),
    "stages": case(wrong("quantised", ()), *TWO),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_wrong_rule_is_noticed(name: str) -> None:
    assert_rules_agree(*case(Concat, *TWO))
    with pytest.raises((AssertionError, ValueError, IndexError)):
        assert_rules_agree(*FAULTS[name])


def test_every_operator_is_tried_out() -> None:
    """Here, or in a test file of its own."""
    here = {type(node).__name__ for node, _ in CASES.values()}
    for name, kind in OPERATORS.items():
        own = list(TESTS.rglob(f"test_{kind.__module__.rpartition('.')[2]}.py"))
        tried = any("assert_rules_agree" in path.read_text() for path in own)
        assert name in here or tried or name == "Input", f"try {name} out with tests.support.rules.assert_rules_agree"
