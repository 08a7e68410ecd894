"""What quantisation does to each layer: ratios by hand, one layer alone, clipping, counts."""

from __future__ import annotations

import numpy as np
import pytest

from hwprm.config import QuantizeConfig
from hwprm.graph import Graph
from hwprm.quantization import measure_quality, quantize_network, signal_to_noise, stored_accuracy
from hwprm.quantization.accuracy import stored_classes
from hwprm.quantization.quality import BINS, Quality
from tests.conftest import tiny_graph

SCALE = 1 / 255


def images(count: int = 150, seed: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (count, 1, 8, 8)).astype(np.uint8)


@pytest.fixture(scope="module")
def graph() -> Graph:
    return tiny_graph(seed=1)


def measured(graph: Graph, x, labels, **options) -> Quality:
    net = quantize_network(graph, x, SCALE, QuantizeConfig(**options))
    return measure_quality(graph, net, x, SCALE, labels)


def test_the_first_layer_is_alone_anyway_and_others_have_the_noise_before_them(graph):
    x = images()
    net = quantize_network(graph, x, SCALE)
    found = measure_quality(graph, net, x, SCALE)
    assert [layer.name for layer in found.layers] == [layer.name for layer in net.layers]
    ratios = signal_to_noise(graph, net, x, SCALE)
    for layer in found.layers:
        assert layer.sqnr_db == pytest.approx(ratios[layer.name])
        assert layer.alone_lost is None  # nobody said what is right
    first, last = found.layers[0], found.layers[-1]
    assert first.alone_db == pytest.approx(first.sqnr_db)
    assert last.alone_db != pytest.approx(last.sqnr_db)  # errors of two layers may also cancel
    assert found.confusion is None


def test_noise_follows_the_bits(graph):
    x = images()
    eight, five = (measured(graph, x, None, act_bits=bits, weight_bits=bits) for bits in (8, 5))
    for many, few in zip(eight.layers, five.layers, strict=True):
        assert 13 < many.sqnr_db - few.sqnr_db < 24  # three bits are 18 dB


def test_what_a_range_cuts_off_is_clipped(graph):
    x = images()
    whole, cut = (measured(graph, x, None, percentile=share) for share in (100.0, 90.0))
    assert whole.layers[0].clipped == 0
    # Of the values above 0 the percentile counts, of all values those are a part.
    assert 1 < cut.layers[0].clipped <= 10
    assert cut.layers[0].high == 255


def test_histograms_and_the_matrix_hold_every_value(graph):
    x = images(130)
    labels = np.arange(130) % 3
    net = quantize_network(graph, x, SCALE)
    found = measure_quality(graph, net, x, SCALE, labels)
    for layer in found.layers:
        assert len(layer.histogram) == BINS
        assert sum(layer.histogram) == found.images * np.prod(net.tensor[layer.name].shape)
    counts = np.array(found.confusion)
    assert counts.sum(axis=1).tolist() == np.bincount(labels).tolist()
    assert 100 * np.trace(counts) / 130 == pytest.approx(stored_accuracy(net, x, SCALE, labels))
    assert all(layer.alone_lost is not None and abs(layer.alone_lost) < 10 for layer in found.layers)


def test_a_coarse_layer_alone_loses_what_it_costs(graph):
    """With labels that are the floats' own answers, a layer of two bits loses answers, by itself."""
    x = images(200)
    fine = quantize_network(graph, x, SCALE, QuantizeConfig(act_bits=16, weight_bits=16))
    labels = stored_classes(fine, x, SCALE)
    coarse = measured(graph, x, labels, weight_bits=2)
    assert max(layer.alone_lost for layer in coarse.layers) > 5
    exact = measured(graph, x, labels, act_bits=16, weight_bits=16)
    assert all(layer.alone_lost == 0 for layer in exact.layers)


def test_large_networks_are_measured_on_fewer_images(graph, monkeypatch):
    x = images(150)
    monkeypatch.setattr("hwprm.quantization.quality.WORK", 1e5)
    found = measured(graph, x, np.zeros(150, np.int64))
    assert 2 <= found.images < 100
    assert found.layers[0].alone_lost is None
