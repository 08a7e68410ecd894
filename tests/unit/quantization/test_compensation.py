"""Compensated rounding: less noise in a layer's sums than the nearest integers make, and zeros that stay zero."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch

from hwprm.config import QuantizeConfig
from hwprm.core.numerics import quantize
from hwprm.graph import Conv2d, Flatten, Graph, Input, Linear, MaxPool2d, Relu
from hwprm.intnet import reference
from hwprm.quantization import lower, quantize_images, quantize_network
from hwprm.quantization.calibrate import float_layer, float_tensors
from hwprm.quantization.calibration import Calibration, Trained
from hwprm.quantization.compensation import compensated, lost_mean
from hwprm.quantization.moments import Moments, input_moments


def moments(x: np.ndarray) -> Moments:
    """Of inputs ``(G, K, n)``."""
    mean = x.mean(axis=2)
    return Moments(mean=mean, covariance=np.stack([np.cov(part, bias=True).reshape(len(part), -1) for part in x]))


def correlated(rng: np.random.Generator, groups: int, columns: int, count: int = 400) -> np.ndarray:
    """Inputs of which a few directions hold most."""
    mixed = rng.normal(size=(groups, columns, 3)) @ rng.normal(size=(groups, 3, count))
    return mixed + 0.1 * rng.normal(size=mixed.shape) + 1.0


def noise(weight: np.ndarray, integers: np.ndarray, steps: np.ndarray, x: np.ndarray) -> float:
    """Variance of the error of all sums over the inputs ``(G, K, n)``."""
    lost = (weight - integers * steps[:, None, None, None]).reshape(len(x), -1, x.shape[1])
    return float((lost @ x).var(axis=2).sum())


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("limit", [127, 7, 1])
def test_sums_have_less_noise(groups: int, limit: int) -> None:
    rng = np.random.default_rng(limit)
    weight, x = rng.normal(size=(6, 12, 3, 1)), correlated(rng, groups, 36)
    steps = np.abs(weight).max(axis=(1, 2, 3)) / limit
    nearest = quantize(weight, steps.reshape(-1, 1, 1, 1), -limit, limit)
    made = compensated(weight, steps, limit, moments(x))
    assert made.shape == weight.shape
    assert np.abs(made).max() <= limit
    assert noise(weight, made, steps, x) < 0.35 * noise(weight, nearest, steps, x)


def test_columns_that_vary_alone_are_rounded_to_the_nearest() -> None:
    rng = np.random.default_rng(0)
    weight, steps = rng.normal(size=(4, 9, 1, 1)), np.full(4, 0.3)
    alone = Moments(mean=np.zeros((1, 9)), covariance=np.diag(rng.uniform(0, 2, 9))[None])
    assert np.array_equal(compensated(weight, steps, 7, alone), quantize(weight, 0.3, -7, 7))


def test_no_choice_of_neighbours_is_much_better() -> None:
    """All roundings up and down of five weights, for twenty layers, beside which others may be used: none is better."""
    made = best = nearest = 0.0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        weight, x = rng.normal(size=(1, 5, 1, 1)), correlated(rng, 1, 5)
        steps = np.array([0.5])
        floor = np.floor(weight / 0.5).astype(np.int64)
        ups = [floor + np.array(up).reshape(floor.shape) for up in product((0, 1), repeat=5)]
        made += noise(weight, compensated(weight, steps, 50, moments(x)), steps, x)
        nearest += noise(weight, quantize(weight, 0.5, -50, 50), steps, x)
        best += min(noise(weight, each, steps, x) for each in ups)
    assert made < best < 0.6 * nearest


def test_pruned_weights_stay_zero_and_silent_columns_change_nothing() -> None:
    rng = np.random.default_rng(0)
    weight, x = rng.normal(size=(5, 20, 1, 1)), correlated(rng, 1, 20)
    weight[rng.random(weight.shape) < 0.5] = 0
    gone = np.array([3, 8, 9])
    weight[:, gone] = 0
    steps, left = np.full(5, 0.1), np.delete(np.arange(20), gone)
    made = compensated(weight, steps, 127, moments(x))
    assert not made[weight == 0].any()
    assert np.array_equal(made[:, left], compensated(weight[:, left], steps, 127, moments(x[:, left])))


def test_many_columns_are_brought_up_to_date_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    weight, x = rng.normal(size=(3, 50, 1, 1)), correlated(rng, 1, 50)
    whole = compensated(weight, np.full(3, 0.2), 15, moments(x))
    monkeypatch.setattr("hwprm.quantization.compensation.BLOCK", 7)
    assert np.array_equal(whole, compensated(weight, np.full(3, 0.2), 15, moments(x)))


def graph() -> Graph:
    """Padding, strides, groups, a pool, a vector: every form that columns take."""
    rng = np.random.default_rng(5)
    return Graph(
        (
            Input(name="x", inputs=(), shape=(3, 9, 9)),
            Conv2d(
                name="a", inputs=("x",), weight=rng.normal(size=(8, 3, 3, 3)), bias=rng.normal(size=8),
                padding=(1, 1, 1, 1),
            ),
            Relu(name="r", inputs=("a",)),
            MaxPool2d(name="p", inputs=("r",), kernel=(2, 2), stride=(2, 2)),
            Conv2d(
                name="b", inputs=("p",), weight=rng.normal(size=(8, 2, 3, 3)), bias=rng.normal(size=8), groups=4,
                stride=(2, 2), padding=(1, 1, 1, 1),
            ),
            Relu(name="s", inputs=("b",)),
            Flatten(name="f", inputs=("s",)),
            Linear(name="o", inputs=("f",), weight=rng.normal(size=(5, 32)), bias=rng.normal(size=5)),
        ),
        ("o",),
    )  # fmt: skip


def images(count: int) -> np.ndarray:
    """Smooth ones, whose pixels vary together."""
    rng = np.random.default_rng(count)
    return rng.normal(size=(count, 3, 3, 3)).repeat(3, axis=2).repeat(3, axis=3) + 0.2 * rng.normal(
        size=(count, 3, 9, 9)
    )


def test_moments_are_those_of_what_the_layers_read() -> None:
    """Mean and variance of every sum follow from them; the sums are computed another way, by a convolution."""
    fused, real = lower(graph()), {"x": images(50)}
    found = input_moments(fused, real)
    tensors = {name: torch.from_numpy(array) for name, array in float_tensors(fused, real).items()}
    for layer in fused.layers:
        sums = float_layer(replace(layer, pool=None, low=None, high=None), tensors).numpy()
        (term,), (mine,) = layer.terms, found[layer.name]
        rows = term.weight.reshape(term.groups, len(term.weight) // term.groups, -1)
        mean = np.einsum("gmk,gk->gm", rows, mine.mean).reshape(-1) + layer.bias
        variance = np.einsum("gmk,gkl,gml->gm", rows, mine.covariance, rows).reshape(-1)
        np.testing.assert_allclose(mean, sums.mean(axis=(0, 2, 3)), atol=1e-9)
        np.testing.assert_allclose(variance, sums.var(axis=(0, 2, 3)), rtol=1e-9)


@pytest.mark.parametrize(("bits", "better"), [(8, 2.0), (5, 2.0), (4, 2.0)])
def test_networks_gain_decibels(bits: int, better: float) -> None:
    x = images(150)
    shown, measured = x[:100], x[100:]
    wanted = float_tensors(lower(graph()), {"x": measured})["o"].reshape(len(measured), -1)
    decibels = {}
    for rounding in ("nearest", "compensated"):
        config = QuantizeConfig(weight_bits=bits, act_bits=12, rounding=rounding)
        net = quantize_network(graph(), shown, 1.0, config)
        got = reference.logits(net, quantize_images(measured, 1.0, net))["o"].reshape(wanted.shape)
        error = got * net.tensor["o"].scale - wanted
        decibels[rounding] = 10 * np.log10(wanted.var() / np.square(error).mean())
    assert decibels["compensated"] > decibels["nearest"] + better


def test_the_bias_takes_what_sums_lose_on_average() -> None:
    rng = np.random.default_rng(0)
    weight, x = rng.normal(size=(4, 6, 1, 1)), correlated(rng, 1, 6) + 5
    steps = np.full(4, 0.4)
    made = compensated(weight, steps, 7, moments(x))
    lost = (weight - made * 0.4).reshape(4, 6) @ x[0]
    np.testing.assert_allclose(lost_mean(weight, made, steps, moments(x)), lost.mean(axis=1))


def test_networks_trained_in_integers_keep_the_nearest() -> None:
    trained = Trained(weight_bits=4, act_bits=8, layer_bits={}, calibration=Calibration(ranges={}, inputs={}))
    assert trained.over(QuantizeConfig(rounding="compensated")).rounding == "nearest"
