"""P-RM: Algorithm 1 by hand, the automatic search, and the pitfalls of the paper's wording."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from hwprm.config.purify import PurifyConfig
from hwprm.core.errors import ConfigError, ModelError, UnsupportedError
from hwprm.graph import BatchNorm, Graph, evaluate
from hwprm.model import Model, Stage
from hwprm.pruning.prm.purification import greatest_drop, purify
from hwprm.pruning.prm.thresholds import Thresholds, apply_thresholds, relative_thresholds
from hwprm.pruning.statistics import layer_statistics
from tests.unit.pruning.lenet import after_admm
from tests.unit.pruning.random_graphs import Builder


def small_net(padding=0):
    """conv (3 filters) - relu - pool - conv (4) - relu - flatten - linear 5 - relu - linear 3, all weights about 1."""
    b = Builder((2, 10, 10), seed=3, keep=2.0)
    b.conv(3)
    b.relu()
    b.pool()
    b.conv(4, padding=padding)
    b.relu()
    b.flatten()
    b.linear(5)
    b.relu()
    b.linear(3)
    graph = b.done()
    for layer in graph.weighted:
        layer.weight[:] = np.sign(layer.weight) * (1 + 0.1 * np.abs(layer.weight))
        layer.bias[:] = 0.25
    return graph


def admm_model(graph, **meta):
    return Model(graph=graph, stage=Stage.ADMM, meta=meta)


def absolute(**limits):
    return PurifyConfig(mode="absolute", **limits)


def records(model, rule):
    return {(r["layer"], r["kind"]): r["indices"] for r in model.meta["removals"] if r["rule"] == rule}


def test_statistics_are_those_of_the_matrix_view():
    graph = small_net()
    conv, conv2, fc, last = layer_statistics(graph)
    w = graph.weighted
    np.testing.assert_allclose(conv.column_sq, (w[0].weight ** 2).sum(axis=0).reshape(2, 9))
    np.testing.assert_allclose(conv2.filter_sq, (w[1].weight ** 2).sum(axis=(1, 2, 3)))
    assert fc.column_sq.shape == (4, 4)  # the flatten ties the 2 x 2 pixels of a map together
    np.testing.assert_allclose(fc.column_sq.reshape(-1), (w[2].weight ** 2).sum(axis=0))
    assert last.column_sq.shape == (5, 1)
    assert [s.reads_input for s in (conv, conv2, fc, last)] == [True, False, False, False]
    assert [s.makes_output for s in (conv, conv2, fc, last)] == [False, False, False, True]


def test_fullness_and_importance_count_small_columns_as_empty():
    """Equations 8 and 9 on a channel with columns of 0, 0.01, 1, 4, ...: the paper's eta is fullness."""
    graph = small_net()
    weight = graph.weighted[1].weight
    weight[:, 0] = 0
    weight[0, 0].flat[:4] = [0, 0.1, 1, 2]
    stats = layer_statistics(graph)[1]
    assert stats.fullness(0.0)[0] == 3 / 9
    assert stats.fullness(0.5)[0] == 2 / 9
    np.testing.assert_allclose(stats.importance(0.0)[0], 5.01 / 9)
    np.testing.assert_allclose(stats.importance(0.5)[0], 5 / 9)


def test_grouped_convolutions_have_columns_per_group():
    b = Builder((4, 6, 6), seed=1, keep=2.0)
    b.conv(6, groups=2)
    graph = b.done()
    weight = graph.weighted[0].weight
    (stats,) = layer_statistics(graph)
    np.testing.assert_allclose(stats.column_sq[3], (weight[3:, 1] ** 2).sum(axis=0).reshape(-1))
    limit = np.sort(stats.column_sq[3])[0] * 1.0001
    column_sq = stats.column_sq.copy()
    (other,) = layer_statistics(graph)
    hit = apply_thresholds(graph, (other,), {"conv1": Thresholds(th1=float(limit))})[1][0].indices
    assert set(hit) == set(np.flatnonzero((column_sq < limit).reshape(-1)))


def test_each_rule_removes_what_it_says():
    graph = small_net()
    conv, conv2, fc, last = graph.weighted
    conv.weight[:, 0, 1, 1] = 0.01  # a column of the network's input: Th1 may take it
    conv2.weight[:, 1] *= 0.2  # channel 1: importance small, but full; then thinned out
    conv2.weight[:, 1].reshape(4, 9)[:, 3:] = 0
    fc.weight[2] *= 0.01  # a filter
    last.weight[1] *= 0.01  # an output row: must stay
    done = purify(admm_model(graph), absolute(th1=0.01, th2=0.5, th3=0.5, th4=0.1))
    assert done.stage is Stage.PURIFIED
    assert records(done, "column") == {("conv1", "columns"): [4]}
    assert records(done, "channel") == {("conv4", "channels"): [1]}
    assert records(done, "filter") == {("fc7", "filters"): [2]}
    assert records(done, "path") == {("conv1", "filters"): [1], ("fc7", "filters"): [2], ("fc9", "columns"): [2]}
    new = done.graph
    assert new.shapes == graph.shapes
    assert new.by_name["fc9"].weight[1].any()
    assert not new.by_name["conv1"].weight[:, 0, 1, 1].any()
    np.testing.assert_allclose(  # the removed neuron's constant relu(0.25) went into the biases
        new.by_name["fc9"].bias, last.bias + 0.25 * last.weight[:, 2]
    )


def test_channel_needs_both_conditions():
    graph = small_net()
    graph.weighted[1].weight[:, 1] *= 0.2  # small but full
    stats = layer_statistics(graph)
    eta, sigma = stats[1].fullness(0.0)[1], stats[1].importance(0.0)[1]
    for th2, th3, gone in ((eta, sigma * 2, False), (1.0, sigma, False), (1.0, sigma * 2, False)):
        limits = {s.name: Thresholds(th2=th2, th3=th3) for s in stats}
        assert bool(apply_thresholds(graph, stats, limits)[1]) == gone
    graph.weighted[1].weight[0:, 1, 0, 0] = 0
    stats = layer_statistics(graph)
    removed = apply_thresholds(graph, stats, {s.name: Thresholds(th2=1.0, th3=sigma * 2) for s in stats})[1]
    assert [(r.layer, r.indices) for r in removed] == [("conv4", (1,))]


def test_only_unused_paths_with_thresholds_of_zero():
    graph = after_admm(8, 30)
    done = purify(admm_model(graph), absolute())
    x = np.random.default_rng(0).normal(size=(2, 1, 28, 28))
    np.testing.assert_allclose(evaluate(done.graph, x)["fc2"], evaluate(graph, x)["fc2"], atol=1e-12)
    stages = [(row["stage"], f"{row['conv_only']['ratio']:.2f}") for row in done.meta["waterfall"]]
    assert stages == [("dense", "1.00"), ("admm", "34.46"), ("purification", "34.46"), ("path_removal", "87.93")]
    json.dumps(done.meta.to_json())


def test_rows_that_are_there_are_not_repeated():
    rows = [{"stage": "dense"}, {"stage": "admm"}]
    done = purify(admm_model(small_net(), waterfall=rows), absolute())
    assert [row["stage"] for row in done.meta["waterfall"]] == ["dense", "admm", "purification", "path_removal"]


def test_statistics_are_taken_once():
    """Columns that drop below Th4's limit only because others went must survive: no chain reaction."""
    graph = small_net()
    fc = graph.weighted[2]
    fc.weight[0, :8] = 0.3  # neuron 0: half of its norm in columns that go
    fc.weight[1:, :8] = 0.01
    fc.weight[0, 8:] = 0.3
    norm = float((fc.weight[0] ** 2).sum())
    column = float((fc.weight[:, 0] ** 2).sum())
    done = purify(admm_model(graph), absolute(th1=column * 1.01, th2=0.0, th4=norm * 0.9))
    assert ("fc7", "columns") in records(done, "column")
    assert ("fc7", "filters") not in records(done, "filter")
    assert done.graph.by_name["fc7"].weight[0].any()


def fake_accuracy(original):
    """Falls with the distance of the logits from the original's: a smooth stand-in for a validation split."""
    x = np.random.default_rng(1).random((2, *original.input.shape))
    expected, calls = evaluate(original, x)[original.outputs[0]], []

    def measure(graph: Graph) -> float:
        calls.append(1)
        error = np.abs(evaluate(graph, x)[graph.outputs[0]] - expected).max() / np.abs(expected).max()
        return right(99.0 - 100 * float(error))

    return measure, calls


def right(percent, images=1000):
    """The first images are right, the others wrong."""
    return np.arange(images) < round(percent / 100 * images)


@pytest.mark.parametrize("scale", ["quantile", "median"])
def test_automatic_thresholds_keep_the_floor_and_use_the_slack(scale):
    rng = np.random.default_rng(0)
    graph = after_admm(12, 50)
    for layer in graph.weighted:  # columns of very different size, as ADMM leaves them
        flat = layer.weight.reshape(len(layer.bias), -1)
        flat *= 10.0 ** -rng.uniform(0, 3, flat.shape[1])
    paths_only = purify(admm_model(graph), absolute())  # what is lost without thresholds
    measure, calls = fake_accuracy(paths_only.graph)
    ticks = []
    config = PurifyConfig(scale=scale, drop=1.0, steps=5, confidence=0.5)
    done = purify(
        admm_model(paths_only.graph), config, measure, lambda stage, n, total, metrics: ticks.append((stage, n, total))
    )
    facts = done.meta["purify"]
    assert facts["validation"]["before"] == 99.0
    assert 100 * measure(done.graph).mean() == facts["validation"]["after"] >= 98.0
    assert facts["validation"]["drop"] == pytest.approx(99.0 - facts["validation"]["after"])
    assert facts["validation"]["allowed"] == 1.0
    assert facts["validation"]["after"] < 99.0
    assert sum(r["weights"] for r in done.meta["removals"] if r["rule"] == "column") > 10_000
    assert ticks[-1] == ("purify", 15, 15)
    assert len(calls) <= 1 + 15 + 1  # the start, each step, and the one above
    assert set(facts["thresholds"]) == {"conv1", "conv2", "fc1", "fc2"}
    again = purify(admm_model(paths_only.graph), config, measure)
    assert again.meta == done.meta


def test_the_drop_is_bounded_with_confidence():
    before = right(90.0)
    assert greatest_drop(before, before, 0.999) == 0.0
    lost, swapped = right(89.0), before.copy()
    swapped[890:900], swapped[990:] = False, True  # ten wrong, ten right: no drop was measured
    assert greatest_drop(before, lost, 0.5) == pytest.approx(1.0)
    # 1.645 standard errors of ten images of a thousand that changed sides: sqrt(10 - 0.1) / 1000.
    assert greatest_drop(before, lost, 0.95) == pytest.approx(1.0 + 164.485 * np.sqrt(9.9) / 1000, rel=1e-4)
    assert greatest_drop(before, swapped, 0.95) == pytest.approx(164.485 * np.sqrt(20) / 1000, rel=1e-4)
    rng, held = np.random.default_rng(0), 0
    for _ in range(400):  # the true drop is 1 point: 2 % of the images turn wrong, 1 % right
        sides = rng.random(2000)
        after = np.where(sides < 0.02, False, sides < 0.91)  # right before: sides < 0.9
        held += greatest_drop(sides < 0.9, after, 0.9) >= 1.0
    assert 0.85 <= held / 400 <= 0.95


def test_a_small_held_out_set_removes_less():
    graph = after_admm(12, 50)
    rng = np.random.default_rng(0)
    for layer in graph.weighted:
        flat = layer.weight.reshape(len(layer.bias), -1)
        flat *= 10.0 ** -rng.uniform(0, 3, flat.shape[1])
    paths_only = purify(admm_model(graph), absolute())
    measure, _ = fake_accuracy(paths_only.graph)

    def gone(images, confidence):
        config = PurifyConfig(drop=1.0, steps=5, confidence=confidence)
        done = purify(
            admm_model(paths_only.graph), config, lambda g: right(100 * float(measure(g).mean()), images=images)
        )
        return sum(r["weights"] for r in done.meta["removals"] if r["rule"] == "column")

    assert gone(300, 0.95) < gone(30_000, 0.95) <= gone(30_000, 0.5)


def test_the_literal_reading_keeps_small_columns_unless_their_channel_goes():
    graph = small_net()
    conv = graph.weighted[1]  # 4 filters, 3 channels of 9 columns
    conv.weight[:, 0] = 0.0
    conv.weight[:, 0, 0, :2] = 0.1  # two small columns
    conv.weight[:, 1] = 0.0
    conv.weight[:, 1, 0, 0], conv.weight[:, 1, 0, 1] = 0.1, 2.0  # a small and a large one
    conv.weight[:, 2, 0, 0] = 0.1  # a small one of nine
    limits = {"th1": 0.05, "th2": 0.5, "th3": 0.009}
    literal = purify(admm_model(graph), absolute(**limits, reading="literal"))
    # Evidence against channel 0 is 2 * 0.04 / 9 = 0.0089, against 1 half of that: its large column does not speak.
    assert records(literal, "column") == {} and records(literal, "channel") == {("conv4", "channels"): [0, 1]}
    extended = purify(admm_model(graph), absolute(**limits))
    assert records(extended, "column")[("conv4", "columns")] == [0, 1, 9, 18]
    assert ("conv4", "channels") not in records(extended, "channel")


def test_norms_are_those_of_the_folded_network():
    b = Builder((2, 6, 6), seed=3, keep=2.0)
    b.conv(3)
    b.norm()
    b.relu()
    b.flatten()
    b.linear(3)
    graph = b.done()
    norm = next(node for node in graph.nodes if isinstance(node, BatchNorm))
    norm.weight[:] = (0.5, -2.0, 0.0)
    norm.var[:] = (1.0, 4.0, 1.0)
    weight = graph.by_name[graph.weighted[0].name].weight
    gain = np.array([0.5, 1.0, 0.0]) / np.sqrt(1 + norm.eps / np.array([1.0, 4.0, 1.0]))
    stats = layer_statistics(graph)[0]
    np.testing.assert_allclose(stats.filter_sq, (weight**2).sum(axis=(1, 2, 3)) * gain**2, rtol=1e-6)
    np.testing.assert_allclose(
        stats.column_sq.ravel(), (weight**2 * gain[:, None, None, None] ** 2).sum(axis=0).ravel(), rtol=1e-6
    )
    norm.weight[:] = 0.0  # as a residual branch begins
    np.testing.assert_allclose(layer_statistics(graph)[0].filter_sq, (weight**2).sum(axis=(1, 2, 3)), rtol=1e-6)


def test_automatic_search_never_empties_a_layer():
    done = purify(admm_model(small_net()), PurifyConfig(drop=100, steps=6), lambda graph: right(50.0))
    assert all(layer.weight.any() for layer in done.graph.weighted)
    assert done.graph.by_name["fc9"].weight.any(axis=1).all()  # every class keeps its row


def test_quantile_removes_the_share_it_says():
    stats = layer_statistics(small_net())[2]
    share = 0.5
    limits = relative_thresholds(stats, "quantile", (share, 0.0, share), 0.5)
    assert (stats.column_sq < limits.th1).sum() == int(share**2 * 0.9 * (stats.column_sq.size - 1))
    assert limits.th3 == 0
    median = relative_thresholds(stats, "median", (share, 0.0, 0.0), 0.5)
    np.testing.assert_allclose(median.th1, share**2 * np.median(stats.column_sq))


def test_refusals_are_recorded_or_raised():
    graph = small_net(padding=1)
    graph.weighted[0].weight[0] *= 1e-3
    config = absolute(th4=1e-3)
    done = purify(admm_model(graph), config)
    (text,) = done.meta["refusals"]
    assert text.startswith("filter 0 of 'conv1' puts out nothing but the constant 0.25")
    assert done.graph.by_name["conv1"].bias[0] == 0.25
    with pytest.raises(UnsupportedError, match="filter 0 of 'conv1'"):
        purify(admm_model(graph), replace(config, inexact="refuse"))


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ({"th1": 1e9}, r"layer 'conv1' would be emptied: Th1 = 1e\+09 removes its last weights \(squared norms reach"),
        ({"th2": 1.0, "th3": 1e9}, r"layer 'conv4' would be emptied: Th2 = 1 and Th3 = 1e\+09 removes"),
        ({"th4": 1e9}, r"layer 'conv1' would be emptied: Th4 = 1e\+09 removes"),
    ],
    ids=["columns", "channels", "filters"],
)
def test_a_threshold_that_empties_a_layer(limits, text):
    graph = small_net()
    graph.weighted[1].weight[:, :, 0, 0] = 0  # no channel is completely full
    with pytest.raises(ModelError, match=text):
        purify(admm_model(graph), absolute(**limits))


def test_thresholds_of_neighbours_can_empty_a_layer():
    graph = small_net()
    conv, conv2 = graph.weighted[:2]
    conv.weight[0] *= 0.01  # Th4 takes filter 0,
    conv2.weight[:, 1:] *= 0.01  # Th1 leaves conv4 only the columns of filter 0
    text = r"layer 'conv4' would be emptied: after its thresholds \(th1 = 0.1, .* no path from input to output is left"
    with pytest.raises(ModelError, match=text):
        purify(admm_model(graph), absolute(th1=0.1, th4=0.1))


def test_thresholds_that_lose_a_class():
    graph = small_net()
    last = graph.weighted[-1]
    own = last.weight.shape[1] - 1  # one class lives on its own column alone, and that one is weak
    last.weight[1] = 0
    last.weight[:, own] = 0
    last.weight[1, own] = 0.01
    text = rf"^class 1 of '{graph.outputs[0]}' would be lost: .* lower the thresholds$"
    with pytest.raises(ModelError, match=text):
        purify(admm_model(graph), absolute(th1=1e-3))
    purify(admm_model(graph), absolute(th1=1e-5))
    last.weight[1] = 0  # a class that was lost before is no fault of the thresholds
    purify(admm_model(graph), absolute(th1=1e-5))


def test_wrong_models():
    graph = small_net()
    with pytest.raises(
        ModelError, match="the model is purified already; .* a second purification would remove ever more"
    ):
        purify(purify(admm_model(graph), absolute()), absolute())
    with pytest.raises(ConfigError, match=r"purify.mode 'auto' needs validation images"):
        purify(admm_model(graph), PurifyConfig())
    graph.weighted[1].weight[:] = 0
    with pytest.raises(ModelError, match="layer 'conv4' has no weight left even before purification"):
        purify(admm_model(graph), absolute())


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"th1": -1.0}, r"purify.th1 must be a number of 0 or more, not -1.0"),
        ({"th2": 1.5}, r"purify.th2 must be a number in 0..1, not 1.5"),
        ({"th3": float("nan")}, r"purify.th3 must be a number of 0 or more, not nan"),
        ({"th4": True}, r"purify.th4 must be a number of 0 or more, not True"),
        ({"drop": 101}, r"purify.drop must be a number in 0..100, not 101"),
        ({"steps": 0}, r"purify.steps must be a whole number in 1..30, not 0"),
        ({"mode": "best"}, r"purify.mode must be one of auto, absolute, not 'best'"),
        ({"scale": "mean"}, r"purify.scale must be one of quantile, median, not 'mean'"),
        ({"inexact": "drop"}, r"purify.inexact must be one of keep, refuse, not 'drop'"),
    ],
)
def test_config(values, text):
    with pytest.raises(ConfigError, match=text):
        PurifyConfig(**values)
