"""Useless channels go first, budgets are met to the last group, and what cannot be is refused in one line."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from hashlib import sha256 as digest_of_bytes

import numpy as np
import pytest

import hwprm
from hwprm import api
from hwprm.config import AdmmConfig, ArrayConfig, PruneOptions, PurifyConfig, TrainConfig, WidthsConfig, load_settings
from hwprm.core.errors import ConfigError, DataError, ModelError
from hwprm.core.progress import silent
from hwprm.data import Dataset
from hwprm.frontend import to_graph
from hwprm.graph import BatchNorm, Graph, LazyImages
from hwprm.model import Model, Stage
from hwprm.model.plan import Plan
from hwprm.nets import lenet5_graph
from hwprm.pruning.channels.blocks import Meter, channel_blocks, count_macs, count_weights, even_weights, narrow
from hwprm.pruning.channels.groups import channel_groups
from hwprm.pruning.compaction.compaction import compact
from hwprm.pruning.prm.purification import purify
from hwprm.pruning.widths.gates import find_gates
from hwprm.pruning.widths.selection import fill, marginal_costs, select
from hwprm.pruning.widths.widths import find_widths, rank_channels
from hwprm.reporting import describe, model_facts
from hwprm.training.augment import Augmentation
from tests.conftest import Run
from tests.support.zoo import ZOO, zoo_module
from tests.unit.pruning.widths.nets import (
    CONSTANT,
    HALVES,
    NOISE,
    UNREAD,
    USEFUL,
    bright_columns,
    known_graph,
    known_model,
)

MACS = Meter(name="macs", of=count_macs)
WEIGHTS = Meter(name="weights", of=count_weights)
QUICK = WidthsConfig(steps=40, images=64, batch=32)


def _zoo(name: str) -> tuple[Model, Dataset]:
    """A network of the zoo and random images with labels."""
    rng = np.random.default_rng(0)
    shape = ZOO[name][1]
    assert isinstance(shape, tuple)
    x, y = rng.normal(size=(48, *shape)).astype(np.float32), np.arange(48) % 3
    data = Dataset(name="zoo", source="made", x_train=x, y_train=y, x_test=x, y_test=y, classes=3)
    return Model(graph=to_graph(zoo_module(name), shape), stage=Stage.DENSE), data


class Moved(LazyImages):
    """Images that are dark when they are read for training."""

    def __init__(self, images: np.ndarray, dark: bool = True) -> None:
        self.images, self.dark = images, dark

    shape = property(lambda self: self.images.shape)
    fingerprint = property(lambda self: digest_of_bytes(self.images.tobytes()).hexdigest())

    def __getitem__(self, index: object) -> np.ndarray:
        return self.images[index] * np.uint8(not self.dark)

    def take(self, index: np.ndarray) -> Moved:
        return Moved(self.images[index], self.dark)

    def plain(self) -> Moved:
        return Moved(self.images, False)


def test_images_are_read_without_random_moves():
    data = bright_columns()
    lazy = replace(data, x_train=Moved(data.x_train), x_test=Moved(data.x_test, False))
    assert isinstance(lazy.x_train, LazyImages)
    found = [find_widths(known_model(), one, replace(QUICK, keep=0.5), MACS).to_json() for one in (data, lazy)]
    assert found[0] == found[1]


def test_useless_channels_go_first():
    groups = channel_groups(known_graph())
    blocks = channel_blocks(groups)
    config = replace(QUICK, steps=80, lr=1.0)
    ranking = rank_channels(blocks, bright_columns(), config, MACS, 0.3)
    place = {int(group): i for i, group in enumerate(ranking.order)}
    rank = [place[int(group)] for group in groups.of["relu"]]
    assert {rank[CONSTANT], rank[UNREAD]} == {5, 6}
    assert rank[NOISE] == 4
    assert {rank[c] for c in USEFUL} == {0, 1}, "a channel counts for more than each of the halves of another"
    assert {rank[c] for c in HALVES} == {2, 3}
    still = rank_channels(blocks, bright_columns(), replace(config, steps=0), MACS, 0.3)
    assert still.importance[groups.of["relu"][NOISE]] > still.importance[groups.of["relu"][HALVES[0]]]


def test_gates_alone_find_the_channel_that_only_disturbs():
    """Its variance is not small, so that without gates it would stay before the halves of a useful one."""
    blocks = channel_blocks(channel_groups(known_graph()))
    relu = blocks.groups.of["relu"]
    config = replace(QUICK, steps=80, lr=1.0)
    gates = find_gates(blocks.groups, marginal_costs(blocks, MACS, 140), 0.6, bright_columns(), config, silent).values
    assert gates[relu[NOISE]] < 0.5 * min(gates[relu[[*USEFUL, *HALVES]]])
    assert (gates[blocks.groups.fixed] == 1).all()


def test_gates_end_at_the_bound_and_a_given_lambda_is_taken():
    blocks = channel_blocks(channel_groups(known_graph()))
    costs = marginal_costs(blocks, MACS, 140 - 7)
    data = bright_columns()
    found = find_gates(blocks.groups, costs, 0.4, data, QUICK, silent)
    assert (costs * found.values).sum() <= 0.4 * costs.sum() + 1e-9
    assert len(found.strengths) == 40 and max(found.strengths) > 0
    fixed = find_gates(blocks.groups, costs, 0.4, data, replace(QUICK, strength=0.0), silent)
    assert set(fixed.strengths) == {0.0}
    assert (costs * fixed.values).sum() > (costs * found.values).sum()


def test_gates_stay_open_while_the_network_needs_them():
    """A bound below what it takes to know anything would close all gates of a layer, and none would open again."""
    blocks = channel_blocks(channel_groups(known_graph()))
    data, losses = bright_columns(), []
    config = replace(QUICK, steps=200, lr=1.0)
    costs = marginal_costs(blocks, MACS, 140)
    gates = find_gates(blocks.groups, costs, 0.0, data, config, lambda *now: losses.append(now[3]["loss"])).values
    assert min(losses[-20:]) < math.log(data.classes)
    assert (gates[blocks.groups.of["relu"][[*USEFUL]]] > 0).all()


@pytest.mark.parametrize("meter", [MACS, WEIGHTS], ids=lambda meter: meter.name)
def test_a_group_costs_what_removing_it_frees(meter):
    blocks = channel_blocks(channel_groups(lenet5_graph(0)))
    total = meter.total(blocks.groups.graph)
    costs = marginal_costs(blocks, meter, total)
    for group in (*blocks.free[:2], blocks.free[30], blocks.free[-1]):
        keep = np.arange(blocks.groups.count) != group
        assert costs[group] == pytest.approx(1 - meter.total(narrow(blocks.groups, keep)) / total)
    assert (costs[blocks.groups.fixed] == 0).all()


@pytest.mark.parametrize("meter", [MACS, WEIGHTS], ids=lambda meter: meter.name)
@pytest.mark.parametrize("step", [1, 4])
@pytest.mark.parametrize("share", [0.05, 0.2, 0.7, 1.0])
def test_budgets_are_met_to_the_last_group(meter, step, share):
    blocks = channel_blocks(channel_groups(lenet5_graph(0)))
    order = np.random.default_rng(5).permutation(blocks.free)
    budget = int(share * meter.total(blocks.groups.graph))
    found = select(blocks, order, meter, budget, step)
    assert found.cost == meter.total(narrow(blocks.groups, found.keep)) <= budget
    assert all(count % step == 0 or count == size for count, size in zip(found.counts, blocks.sizes, strict=True))
    if found.ranked < len(order):
        more = np.bincount(blocks.of[order[: found.ranked + 1]], minlength=len(blocks.sizes))
        wider = narrow(blocks.groups, blocks.first(order, blocks.rounded(more, step)))
        assert meter.total(wider) > budget
    full = fill(blocks, order, meter, budget, step, found)
    assert found.cost <= full.cost == meter.total(narrow(blocks.groups, full.keep)) <= budget
    assert full.ranked == found.ranked and (full.counts >= found.counts).all()
    for block, (count, size) in enumerate(zip(full.counts, blocks.sizes, strict=True)):
        one = full.counts + step * (np.arange(len(full.counts)) == block)
        wider = narrow(blocks.groups, blocks.first(order, np.minimum(one, blocks.sizes)))
        assert count == size or meter.total(wider) > budget


@pytest.mark.parametrize("name", ["resnet", "mobilenet", "shufflenet"])
@pytest.mark.parametrize("cost", ["macs", "weights", "cycles"])
def test_networks_of_blocks_are_narrowed_within_their_budget(name, cost):
    model, data = _zoo(name)
    array = ArrayConfig(rows=2, cols=2)
    found = api.widths(model, data, replace(QUICK, steps=2, cost=cost, keep=0.6, cut=True), array=array)
    assert found.model is not None and found.after <= found.budget == int(0.6 * found.before)
    assert found.after == sum(layer.cost[1] for layer in found.layers.values())
    for node in found.model.graph.weighted:
        assert found.layers[node.name].filters[1] == len(node.bias)
    if cost == "cycles":
        assert found.after == api.estimate(even_weights(found.model.graph), array, data=data).total
        own = api.estimate(found.model, array, data=data).total
        # A depthwise filter of the others has a weight that quantises to zero, which saves its column.
        assert own == found.after if name == "resnet" else 0.98 * found.after < own <= found.after


def test_cycles_do_not_hang_on_the_weights():
    """The narrowest network may have channels that are dead, or weights that quantise to zero."""
    model, data = _zoo("resnet")
    dead = model.graph.replace(*(replace(node, weight=node.weight * 0) for node in model.graph.weighted[:-1]))
    config, array = replace(QUICK, steps=1, cost="cycles"), ArrayConfig(rows=2, cols=2)
    found = [
        api.widths(Model(graph=graph, stage=Stage.DENSE), data, config, array=array) for graph in (model.graph, dead)
    ]
    assert found[0].before == found[1].before


def test_same_seed_same_widths_and_another_seed_other_gates():
    model, data = _zoo("resnet")
    config = replace(QUICK, steps=5, cut=True)
    one, two = (api.widths(model, data, config) for _ in range(2))
    assert one.to_json() == two.to_json()
    for a, b in zip(one.model.graph.weighted, two.model.graph.weighted, strict=True):
        np.testing.assert_array_equal(a.weight, b.weight)
        np.testing.assert_array_equal(a.bias, b.bias)
    assert api.widths(model, data, replace(config, seed=1)).to_json() != one.to_json()


def test_new_statistics_are_of_images_as_training_saw_them():
    model, data = _zoo("resnet")
    seen = model.advance(model.graph, model.stage, augmentation=Augmentation(kind="crop_flip").to_json())
    clean, augmented = (api.widths(one, data, replace(QUICK, steps=5, cut=True)).model.graph for one in (model, seen))
    differ = [
        not np.array_equal(node.mean, augmented.by_name[node.name].mean)
        for node in clean.nodes
        if isinstance(node, BatchNorm)
    ]
    assert differ and all(differ)
    for node in clean.weighted:
        np.testing.assert_array_equal(node.weight, augmented.by_name[node.name].weight)


def test_widths_go_to_admm(tmp_path):
    found = api.widths(known_model(), bright_columns(), replace(QUICK, keep=0.6))
    found.save(tmp_path / "out")
    kept = found.layers["conv"].filters[1]
    settings = load_settings(tmp_path / "out" / "widths.toml")
    budgets = settings.admm.budgets
    assert (budgets["conv"].filters, budgets["fc"].channels, budgets["fc"].filters) == (kept, kept, None)
    config = replace(AdmmConfig(stages=1, epochs=1, retrain_epochs=0, final_epochs=0), budgets=budgets)
    train = TrainConfig(augment="none")
    pruned = api.prune(known_model(), bright_columns(), PruneOptions(admm=config, train=train, stop_after="admm"))
    assert len(pruned.meta["plan"]["conv"]["rows"]) == kept


def test_command(tmp_path, run: Run, tiny_model, tiny_data):
    out = tmp_path / "widths"
    flags = {"data": tiny_data, "steps": 3, "keep": 0.5, "out": out}
    result = run("widths", tiny_model, "--cut", "--json", **flags)
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    stored = json.loads((out / "widths.json").read_text())
    assert stored == {key: value for key, value in facts.items() if key not in ("out", "accuracy")}
    assert stored["layers"]["conv"] == {"filters": [4, 2], "channels": [1, 1], "cost": [1296, 648]}
    assert stored["layers"]["fc"] == {"filters": [3, 3], "channels": [4, 2], "cost": [108, 54]}
    assert (stored["before"], stored["after"], stored["budget"]) == (1404, 702, 702)
    assert stored["blocks"][0]["layers"] == ["conv"] and stored["blocks"][0]["kept"] == 2
    tuned = run("train", out / "model", data=tiny_data, epochs=1, augment="none", out=tmp_path / "tuned")
    assert tuned.exit_code == 0, tuned.output
    assert len(Model.load(tmp_path / "tuned").graph.weighted[0].bias) == 2
    table = run("widths", tiny_model, **flags | {"out": tmp_path / "again"})
    assert all(text in table.stdout for text in ("4 -> 2", "1296 -> 648", "1404 -> 702"))
    assert not (tmp_path / "again" / "model").exists()


def test_input_that_does_not_serve(tmp_path, run: Run, tiny_model, tiny_data):
    out = tmp_path / "widths"
    wrong = tmp_path / "wrong.npz"
    np.savez(wrong, x=np.zeros((9, 1, 9, 9), np.uint8), y=np.arange(9) % 3)
    for flags, code, words in (
        ({"budget": 300}, 2, "budget of 300 macs is below the narrowest network, which takes 351 with one channel"),
        ({"budget": 700, "round-to": 4}, 2, "which takes 1404 with 4 channels in every layer; .*round_to"),
        ({"budget": 1405}, 2, "widths.budget = 1405 is more than the whole network takes, 1404 macs"),
        ({"keep": 0}, 2, "widths.keep must be a number above 0"),
        ({"cost": "money"}, 2, "widths.cost must be one of macs, weights, cycles"),
        ({"lr": "nan"}, 2, "widths.lr must be"),
        ({"data": wrong}, 2, "the network reads"),
    ):
        result = run("widths", tiny_model, **{"data": tiny_data, "steps": 1, "out": out} | flags)
        assert result.exit_code == code, result.output
        errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1
        assert re.search(words, errors[0]), errors[0]
        assert not list(tmp_path.glob("*widths*"))


@pytest.mark.parametrize("stage", [Stage.ADMM, Stage.PURIFIED, Stage.COMPACT])
def test_pruned_models_are_refused(stage):
    with pytest.raises(ModelError, match=f"this one is {stage}"):
        api.widths(replace(known_model(), stage=stage), bright_columns(), QUICK)


def test_data_and_networks_without_anything_to_learn_are_refused():
    data = bright_columns()
    none = np.zeros(0, np.int64)
    with pytest.raises(DataError, match="columns has no labels to find widths with"):
        api.widths(known_model(), replace(data, y_train=none, y_test=none, classes=0), QUICK)
    with pytest.raises(DataError, match="one training image"):
        api.widths(known_model(), replace(data, x_train=data.x_train[:1], y_train=data.y_train[:1]), QUICK)
    graph = known_graph()
    with pytest.raises(ConfigError, match="no channel of this network can go"):
        first = Graph((*graph.nodes[:2], replace(graph.by_name["flat"], inputs=("conv",))), ("flat",))
        api.widths(Model(graph=first, stage=Stage.DENSE), data, QUICK)


def test_a_loss_that_is_not_finite_is_refused():
    graph = known_graph()
    last = graph.weighted[-1]
    huge = graph.replace(replace(last, weight=np.full_like(last.weight, 3e38)))
    blocks = channel_blocks(channel_groups(huge))
    with pytest.raises(ModelError, match="widths: the loss is nan in step 1 of 40"):
        find_gates(blocks.groups, np.zeros(blocks.groups.count), 0.5, bright_columns(), QUICK, silent)


def test_a_cut_network_is_counted_against_the_one_it_was_cut_from(tmp_path, run: Run):
    found = api.widths(known_model(), bright_columns(), replace(QUICK, keep=0.6, cut=True))
    model = found.model
    kept = found.layers["conv"].filters[1]
    found.save(tmp_path / "out")
    facts = describe(tmp_path / "out" / "model")
    assert [row["stage"] for row in facts["waterfall"]] == ["dense", "widths"]
    assert facts["compression"]["conv_only"] == {"base": 7 * 16, "left": kept * 16, "ratio": 7 / kept}
    pruned = hwprm.apply_plan(model, Plan.of(model))
    assert [row["stage"] for row in model_facts(pruned)["waterfall"]] == ["dense", "widths", "admm"]
    small = compact(purify(pruned, PurifyConfig(mode="absolute")))
    rows = small.meta["waterfall"]
    assert [row["stage"] for row in rows] == ["dense", "widths", "admm", "purification", "path_removal"]
    assert {row["all_weights"]["base"] for row in rows} == {7 * 16 + 7 * 3}
    assert {row["nonzero"]["base"] for row in rows} == {7 * 16 + 7 * 3}
    again = api.widths(model, bright_columns(), replace(QUICK, keep=0.6, cut=True)).model
    assert [row["stage"] for row in again.meta["waterfall"]] == ["dense", "widths", "widths"]
    assert again.meta["waterfall"][2]["conv_only"]["base"] == 7 * 16
    shown = run("report", tmp_path / "out")
    assert shown.exit_code == 0 and f"7 -> {kept}" in shown.stdout and "importance from" in shown.stdout
    page = run("report", tmp_path / "out", html=tmp_path / "page.html")
    assert page.exit_code == 2 and "holds widths, which have no page; leave out --html" in page.stderr
