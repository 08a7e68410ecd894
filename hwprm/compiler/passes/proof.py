"""That no pass changed an integer: the network before and after them all, computed on sample images and compared.

Golden vectors come from the network that is compiled, so that no simulation could ever see a fault of a pass. Both
networks therefore run through the numpy reference, and every tensor that is left is compared, channel by channel, with
==. Only where something differs the networks between the passes run too, to find the one at fault. Sample images are
the same ones every time: given images in turn with images of random and of extreme integers, which reach clamps that
real ones may not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hwprm.compiler.passes.rewritten import Pass, Rewritten, as_it_is
from hwprm.compiler.passes.rules import check_rules
from hwprm.config import ArrayConfig
from hwprm.core.errors import PassError
from hwprm.intnet import IntegerNetwork
from hwprm.intnet.reference import run

__all__ = ["Proof", "compare", "rewrite", "sample_images"]

IntArray = NDArray[np.int64]

#: Images are as many as keep multiply-accumulates and values of one run below, so that proofs take a few per cent of
#: the time of a compilation, whose golden vectors need a run of every image of the bundle. Two at least: one that was
#: given, and one that was not.
WORK, FEWEST, MOST = 6 * 10**7, 2, 8
#: A value of a tensor takes about as long as so many multiply-accumulates.
VALUE_WORK = 30


@dataclass(frozen=True, kw_only=True)
class Proof:
    """Passes that were shown to change no integer, by name in the order they ran, on how many sample images."""

    passes: tuple[str, ...]
    images: int


def rewrite(
    net: IntegerNetwork, array: ArrayConfig, passes: Sequence[Pass], samples: IntArray | None
) -> tuple[Rewritten, tuple[IntegerNetwork, ...]]:
    """`net` after all `passes`, and the network that each of them was given.

    `samples` are images as in `hwprm.intnet.images` to prove the passes on; None leaves the proof out. Raises PassError
    for a pass that breaks a rule or changes an integer, and what the passes raise.
    """
    done, given = as_it_is(net), []
    steps: dict[str, Rewritten] = {}
    for one in passes:
        before = done.network
        given.append(before)
        after = steps[one.__name__] = one(before, array)
        check_rules(one.__name__, before, after)
        kept = {name: tuple(done.kept[name][i] for i in now) for name, now in after.kept.items() if name in done.kept}
        done = replace(after, kept=kept)
    if samples is not None and done.network is not net:
        _prove(net, steps, done, samples)
    return done, tuple(given)


def _prove(net: IntegerNetwork, steps: Mapping[str, Rewritten], done: Rewritten, samples: IntArray) -> None:
    """Raise PassError, naming the first of `steps` at fault, where `done`, made of `net` by all, differs from it."""
    tensors = run(net, samples)
    try:
        compare(", ".join(steps), tensors, run(done.network, samples), done.kept)
    except PassError:
        for name, after in steps.items():
            made = run(after.network, samples)
            compare(name, tensors, made, after.kept)
            tensors = made
        raise  # equal steps have equal ends, so that this is never reached


def compare(
    name: str, before: Mapping[str, IntArray], after: Mapping[str, IntArray], kept: Mapping[str, tuple[int, ...]]
) -> None:
    """Raise PassError for the pass called `name` at the first integer ``(n, C, H, W)`` of `after` that differs."""
    for tensor, channels in kept.items():
        wanted, got = before[tensor][:, list(channels)], after[tensor]
        if np.array_equal(wanted, got):
            continue
        wrong = np.argwhere(wanted != got)
        image, channel, row, column = (int(i) for i in wrong[0])
        raise PassError(
            name,
            f"changed tensor {tensor!r}, channel {channels[channel]} (now {channel}), row {row}, column {column}: "
            f"{int(wanted[image, channel, row, column])} before, {int(got[image, channel, row, column])} after "
            f"(sample image {image}; {len(wrong)} integers differ)",
        )


def sample_images(net: IntegerNetwork, given: IntArray | None = None) -> IntArray:
    """The images, as in `hwprm.intnet.images`, to prove passes over `net` on: the first of `given`, where there are
    some, in turn with random and extreme ones. Same arguments, same images.
    """
    low, high = net.image_limits
    rng = np.random.default_rng(0)
    real = [] if given is None else list(given[:MOST])
    images = []
    for number in range(_how_many(net)):
        if number % 2 == 0 and real:
            images.append(real.pop(0))
        elif number % 4 == 1:
            images.append(np.where(rng.random(low.shape) < 0.5, low, high))
        else:
            images.append(rng.integers(low, high, endpoint=True))
    return np.stack(images).astype(np.int64)


def _how_many(net: IntegerNetwork) -> int:
    work = 0
    for layer in net.layers:
        height, width = net.conv_size(layer)
        work += height * width * sum(term.weight.size for term in layer.terms)
        work += VALUE_WORK * int(np.prod(net.tensor[layer.name].shape))
    return min(MOST, max(FEWEST, WORK // work))
