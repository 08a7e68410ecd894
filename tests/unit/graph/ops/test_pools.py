"""Zero padding ahead of pools, on all sides, on one, and wider than the window: as torch computes it, or refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from hwprm.frontend import Severity, check
from tests.support.meaning import assert_same_meaning
from tests.unit.frontend.modules import randomise

SHAPE = (2, 5, 6)
#: Left, right, top, bottom, as torch has them: on one side, on all; narrower than the windows below, as wide, wider.
PADS = [
    *((1, 0, 0, 0), (0, 0, 0, 1), (1, 1, 1, 1)),
    *((0, 3, 0, 0), (0, 0, 2, 0), (4, 1, 0, 3), (0, 0, 7, 0)),
]
Pool = Callable[[torch.Tensor], torch.Tensor]
MAXIMA: list[Pool] = [
    lambda x: functional.max_pool2d(x, 2),
    lambda x: functional.max_pool2d(x, 3, 2),
    lambda x: functional.max_pool2d(x, (2, 1), 3),
    lambda x: functional.max_pool2d(x, 2, 1, dilation=3),
]
MEANS: list[Pool] = [
    lambda x: functional.avg_pool2d(x, 2),
    lambda x: functional.avg_pool2d(x, 3, 2),
    lambda x: functional.avg_pool2d(x, (2, 1), 3),
    lambda x: functional.avg_pool2d(x, 3, 1, count_include_pad=False),
]


class Padded(nn.Module):
    """A convolution, a ReLU, zero padding, pools of that, and a convolution of each, so that their results are kept."""

    def __init__(self, pad: tuple[int, ...], pools: Sequence[Pool]) -> None:
        super().__init__()
        self.pad, self.pools = pad, pools
        self.conv, self.heads = nn.Conv2d(2, 3, 1), nn.ModuleList(nn.Conv2d(3, 2, 1) for _ in pools)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = torch.relu(self.conv(x))
        return tuple(head(pool(functional.pad(x, self.pad))) for head, pool in zip(self.heads, self.pools, strict=True))


def reads_nothing(pad: tuple[int, ...], pool: Pool) -> bool:
    """Whether some window of `pool` lies wholly in the padding: a map of ones then has a maximum of 0."""
    return bool((pool(functional.pad(torch.ones(1, 1, *SHAPE[1:]), pad)) == 0).any())


def images() -> np.ndarray:
    return np.random.default_rng(2).normal(size=(3, *SHAPE))


@pytest.mark.parametrize("pad", PADS, ids=str)
def test_padded_maxima(pad: tuple[int, ...]) -> None:
    empty = [reads_nothing(pad, pool) for pool in MAXIMA]
    errors = [f for f in check(Padded(pad, MAXIMA), SHAPE) if f.severity == Severity.ERROR]
    names = [f"max_pool2d{f'_{i}' if i else ''}" for i, refused in enumerate(empty) if refused]
    assert [error.node for error in errors] == names
    assert {(error.problem, error.remedy) for error in errors} <= {
        ("one of its windows lies wholly in the padding", "pad by less than a window reaches"),
    }
    if good := [pool for pool, refused in zip(MAXIMA, empty, strict=True) if not refused]:
        assert_same_meaning(randomise(Padded(pad, good)), images())


@pytest.mark.parametrize("pad", PADS, ids=str)
def test_padded_averages(pad: tuple[int, ...]) -> None:
    assert_same_meaning(randomise(Padded(pad, MEANS)), images())


def test_both_kinds_of_padding_are_there() -> None:
    found = [reads_nothing(pad, pool) for pool in MAXIMA for pad in PADS]
    assert 8 < sum(found) < len(found) - 8
