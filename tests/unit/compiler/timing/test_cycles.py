"""The promise: the contract's formula, and how near the exact count comes to it."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from hwprm.compiler import CycleReport, estimate
from hwprm.compiler.layout.layout import lay_out
from hwprm.compiler.timing.cycles import count_cycles
from hwprm.config import ArrayConfig
from hwprm.intnet import IntegerNetwork, Term
from hwprm.isa.latencies import STORE_QUEUE, done_to_issue, issue_to_vector
from tests.support.hardware import hardware
from tests.support.measures import assert_measures
from tests.support.networks import Spec, compiled, lenet, network, weights
from tests.support.random_networks import random_network, random_products, random_residuals

ARRAYS = ((4, 4), (8, 8), (8, 16))


@cache
def _net(kind: str) -> IntegerNetwork:
    return {
        "dense": lambda: lenet(),
        "compact": lambda: lenet((5, 10, 40, 10)),
        "pruned": lambda: lenet((7, 16, 60, 10), pruned=0.8),
        "hard": lambda: lenet((3, 5, 9, 10), pruned=0.9),
    }[kind]()


@cache
def _report(kind: str, rows: int, cols: int) -> CycleReport:
    return estimate(_net(kind), ArrayConfig(rows=rows, cols=cols))


@pytest.mark.parametrize("kind", ["dense", "compact", "pruned", "hard"])
@pytest.mark.parametrize(("rows", "cols"), ARRAYS, ids=lambda v: str(v))
def test_lenet_keeps_the_promise(kind, rows, cols):
    report = _report(kind, rows, cols)
    assert_measures(report)
    for layer in report.layers:
        assert layer.busy <= layer.cycles
        if layer.phases == 1:  # of many filters, which go to several rows, more is left to store
            assert layer.limit == int(1.05 * layer.promise) + 64, "no more is allowed on arrays of this size"
    assert report.total == sum(layer.cycles for layer in report.layers)


def test_promise_is_the_formula_for_full_tiles():
    """ceil(N / R) * ceil(M / C) * window * max(K, drained / window), where C divides M."""
    rows, cols = 8, 5
    report = _report("compact", rows, cols)
    sizes = {"conv1": (5, 25, 144, 4), "conv2": (10, 125, 16, 4), "fc1": (40, 160, 1, 1), "fc2": (10, 40, 1, 1)}
    for layer in report.layers:
        m, k, n, window = sizes[layer.name]
        assert (layer.filters, layer.columns, layer.pixels, layer.window) == (m, k, n, window)
        drained = min(m, cols)
        assert layer.promise == -(-n // rows) * -(-m // cols) * window * max(k, drained / window)
        assert m * k * 0.95 < layer.weights <= m * k
        assert layer.macs == layer.weights * n * window
        assert layer.bound == max(layer.macs / (rows * cols), layer.weights / cols)


@pytest.mark.parametrize(("rows", "cols"), ARRAYS, ids=lambda v: str(v))
def test_a_fast_pipeline_adds_its_stages_and_nothing_else(rows, cols):
    short, fast = (estimate(_net("compact"), ArrayConfig(rows=rows, cols=cols, pipeline=p)) for p in ("short", "fast"))
    assert [layer.stages for layer in short.layers] == [0, 0, 0, 0]
    assert [a.cycles - b.cycles for a, b in zip(fast.layers, short.layers, strict=True)] == [
        layer.stages for layer in fast.layers
    ]
    assert fast.limit - short.limit == fast.total - short.total
    assert (fast.promise, fast.bound) == (short.promise, short.bound)
    shallow, deep = (hardware(rows=rows, cols=cols, pipeline=p) for p in ("short", "fast"))
    stages = sum(
        sign * (issue_to_vector(hw) + STORE_QUEUE(hw) + done_to_issue(hw)) for sign, hw in ((1, deep), (-1, shallow))
    )
    assert [layer.stages for layer in fast.layers] == [stages] * 4, "long lists: no idle cycles"


def test_columns_pruned_are_cycles_saved():
    """Half of the columns, half of the busy cycles, whatever columns they are."""
    rng = np.random.default_rng(0)
    weight = weights(rng, (8, 4, 3, 3))
    half = weight.copy()
    half.reshape(8, 36)[:, rng.permutation(36)[:18]] = 0

    def busy(w):
        last = Term(source="a", weight=weights(rng, (2, 8, 8, 8)))
        layers = (Spec(name="a", terms=(Term(source="image", weight=w),)), Spec(name="b", terms=(last,), wide=True))
        return compiled(network((4, 10, 10), layers), 8, 8).cycles.layers[0].busy

    assert busy(weight) == 8 * 36
    assert busy(half) == 8 * 18


def test_draining_more_filters_than_there_are_columns():
    """With one column and eight filters the drain is the longer part."""
    one = weights(np.random.default_rng(0), (8, 1, 1, 1))
    layers = (
        Spec(name="a", terms=(Term(source="image", weight=one),)),
        Spec(name="b", terms=(Term(source="a", weight=weights(np.random.default_rng(1), (2, 8, 4, 4))),), wide=True),
    )
    layer = compiled(network((1, 4, 4), layers), 4, 8).cycles.layers[0]
    assert layer.promise == 4 * 8
    assert 4 <= layer.busy < layer.promise


def test_report_as_data():
    data = _report("compact", 8, 8).as_dict()
    assert data["total"] == sum(layer["cycles"] for layer in data["layers"])
    assert data["ratio_to_bound"] == data["total"] / data["bound"]
    assert [layer["name"] for layer in data["layers"]] == ["conv1", "conv2", "fc1", "fc2"]


@pytest.mark.parametrize("make", [random_network, random_residuals, random_products])
def test_random_networks_are_between_bound_and_limit(make):
    layers = 0
    for seed in range(60):
        rows, cols = (int(v) for v in np.random.default_rng(seed).integers(1, 34, 2))
        report = count_cycles(lay_out(make(seed), ArrayConfig(rows=rows, cols=cols)))
        assert_measures(report)
        layers += len(report.layers)
    assert layers > 150


def test_a_wide_map_is_as_fast_as_the_words_leave():
    """Eight times as slow until lanes shared a requantiser."""
    term = Term(source="image", weight=weights(np.random.default_rng(0), (16, 16, 3, 3)))
    report = compiled(network((16, 10, 10), (Spec(name="map", terms=(term,), wide=True),)), 8, 8).cycles
    assert_measures(report)
    assert report.total < 1.05 * max(2 * 8 * 144, 16 * 64) + 64
