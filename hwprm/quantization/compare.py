"""Checks between neighbouring descriptions of one network: float against integer, torch against numpy."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hwprm.core.errors import MismatchError
from hwprm.graph import Batch, Graph, Scale
from hwprm.intnet import IntegerNetwork, quantize_images, real_images, reference
from hwprm.quantization.calibrate import float_tensors
from hwprm.quantization.emulate import run_torch
from hwprm.quantization.lowering.lower import lower

__all__ = ["crosscheck", "noise_ratio", "signal_to_noise"]

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


def crosscheck(net: IntegerNetwork, images: IntArray, expected: Mapping[str, IntArray] | None = None) -> int:
    """Compare the torch reference with the numpy one on every tensor of integer `images`; returns how many values.

    `expected` is ``hwprm.intnet.reference.run(net, images)`` where the caller has it; without, images are computed and
    compared one by one. Raises MismatchError with layer, image, channel, row, column, expected (numpy) and got (torch),
    or when a tensor is missing.
    """
    if expected is not None:
        return _compare(net, expected, run_torch(net, images))
    singly = (images[i : i + 1] for i in range(len(images)))
    return sum(_compare(net, reference.run(net, one), run_torch(net, one), i) for i, one in enumerate(singly))


def _compare(net: IntegerNetwork, expected: Mapping[str, IntArray], got: Mapping[str, IntArray], first: int = 0) -> int:
    """Number of the values compared; `first` is the number of the first image among all."""
    if set(expected) != set(got):
        raise MismatchError(f"numpy makes the tensors {sorted(expected)}, torch {sorted(got)}")
    for name in (tensor.name for tensor in net.tensors):
        if expected[name].shape != got[name].shape:
            raise MismatchError(f"layer {name!r}: numpy makes {expected[name].shape}, torch {got[name].shape}")
        wrong = np.argwhere(expected[name] != got[name])
        if len(wrong):
            image, channel, row, column = (int(i) for i in wrong[0])
            where = (image, channel, row, column)
            raise MismatchError(
                f"layer {name!r}, image {first + image}, channel {channel}, row {row}, column {column}: "
                f"expected {expected[name][where]} (numpy), got {got[name][where]} (torch); {len(wrong)} values differ"
            )
    return sum(array.size for array in expected.values())


def signal_to_noise(graph: Graph, net: IntegerNetwork, x: Batch, input_scale: Scale) -> dict[str, float]:
    """{tensor: 10 log10(power of the float tensor / power of its quantisation error)} in dB on stored images `x`.

    `net` must come from `graph`. Infinite where the integers are exact; minus infinity for a silent float tensor.
    """
    fused = lower(graph, separate=net.tensor)
    wanted = float_tensors(fused, real_images(x, input_scale, {name: fused.shapes[name] for name in fused.inputs}))
    integers = run_torch(net, quantize_images(x, input_scale, net))
    return {name: noise_ratio(array, integers[name] * net.tensor[name].scale) for name, array in wanted.items()}


def noise_ratio(wanted: FloatArray, got: NDArray[np.floating]) -> float:
    """10 log10(power of `wanted` / power of what `got` differs by), in dB; inf where it does not, -inf of silence."""
    signal, noise = float(np.square(wanted).sum()), float(np.square(wanted - got).sum())
    return math.inf if noise == 0 else 10 * math.log10(signal / noise) if signal else -math.inf
