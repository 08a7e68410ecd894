"""Random networks whose layers gain from column phases: depthwise ones, and such of few filters."""

from __future__ import annotations

import numpy as np

from hwprm.intnet import IntegerNetwork, Pool, Residual, Term
from tests.support.networks import Spec, network, weights

__all__ = ["depthwise", "phased_network"]


def depthwise(rng: np.random.Generator, source: str, channels: int, kernel: tuple[int, int], **options: object) -> Term:
    """A depthwise term of random weights; `pruned` is the share of taps that are zero, other ones in every channel."""
    pruned = options.pop("pruned", 0.0)
    weight = weights(rng, (channels, 1, *kernel))
    weight[weight == 0] = 1
    weight[rng.random(weight.shape) < pruned] = 0
    return Term(source=source, weight=weight, groups=channels, **options)  # type: ignore[arg-type]  # options of any field


def phased_network(seed: int) -> IntegerNetwork:
    """An expansion, two depthwise layers of every kind (strides, dilation, pruned taps, a residual, a pool, several
    filters a channel), a convolution of few filters, and an output; maps of 4 to 12 columns.
    """
    rng = np.random.default_rng(seed)
    channels, image = int(rng.integers(2, 6)), int(rng.integers(1, 3))
    height, width = int(rng.integers(2, 7)), 2 * int(rng.integers(2, 7))

    expand = Spec(
        name="expand",
        terms=(Term(source="image", weight=weights(rng, (channels, image, 1, 1))),),
        relu=bool(rng.integers(2)),
    )
    kernel, dilation = (int(rng.integers(1, 4)), int(rng.integers(1, 4))), (1, int(rng.integers(1, 3)))
    reach = (kernel[1] - 1) * dilation[1]
    first = depthwise(
        rng,
        "expand",
        channels,
        kernel,
        pruned=float(rng.choice([0, 0, 0.4])),
        dilation=dilation,
        padding=((kernel[0] - 1) // 2, kernel[0] // 2, reach // 2, reach - reach // 2),
    )
    residual = Residual(
        source="expand",
        channel=rng.permutation(channels),
        mult=rng.integers(0, 3, channels),
    )
    pool = Pool(kernel=(1, 2), stride=(1, 2)) if not rng.integers(3) else None
    layers = [
        expand,
        Spec(
            name="first",
            terms=(first,),
            residual=residual if pool is None and rng.integers(2) else None,
            pool=pool,
            relu=bool(rng.integers(2)),
        ),
    ]
    stride = int(rng.integers(1, 3))
    times = int(rng.integers(1, 3))
    second = Term(
        source="first",
        weight=weights(rng, (channels * times, 1, 3, 3)),
        groups=channels,
        stride=(1, stride),
        padding=(1, 1, 1, 1),
    )
    shape = (int(rng.integers(1, 4)), channels * times, 3, 3)
    few = Term(source="second", weight=weights(rng, shape), padding=(1, 1, 1, 1))
    layers += [
        Spec(name="second", terms=(second,), relu=bool(rng.integers(2))),
        Spec(name="few", terms=(few,)),
    ]
    count = few.weight.shape[0]
    layers.append(
        Spec(name="out", terms=(Term(source="few", weight=weights(rng, (2, count, 1, 1)), stride=(9, 9)),), wide=True)
    )
    return network((image, height, width), layers, seed=seed, unsigned=("image",) if rng.integers(2) else ())
