"""Budgets of ADMM from limits: what comes out keeps to them as the compiler counts it, and uses what they allow."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

import hwprm
from hwprm import api
from hwprm.api.networks import count_meters
from hwprm.config import AdmmConfig, ArrayConfig, PruneOptions, PurifyConfig, QuantizeConfig, TrainConfig
from hwprm.core.errors import ConfigError, ModelError
from hwprm.data import Dataset
from hwprm.graph import Graph
from hwprm.nets import GraphModule
from hwprm.pruning.admm import limited
from hwprm.pruning.admm.admm import phases
from hwprm.pruning.admm.budgets import final_limits
from hwprm.pruning.admm.limited import Goal, budgeted
from tests.unit.training.synthetic import blobs, tiny_graph

ARRAY = ArrayConfig(rows=2, cols=4)
QUICK = {"stages": 1, "epochs": 1, "retrain_epochs": 0, "final_epochs": 1, "updates": 2, "rhos": 2}
#: Of the network below on `ARRAY`: cycles 1,021, multiplications 6,264, weights 1,332.
CYCLES, MACS = 600, 4000


@pytest.fixture(scope="module")
def data() -> Dataset:
    return blobs()


@pytest.fixture(scope="module")
def graph() -> Graph:
    return tiny_graph(norm=True, channels=12, hidden=24)


def _made(graph: Graph, data: Dataset, **limits: float) -> tuple[AdmmConfig, Goal]:
    config = AdmmConfig(limits=limits)  # type: ignore[arg-type]
    config, goal = budgeted(graph, config, count_meters(config, data, ARRAY, None))
    assert goal is not None and config.limits is None
    return config, goal


def _cycles(model: hwprm.Model, data: Dataset) -> int:
    return api.estimate(model, ARRAY, data=data, quantize=QuantizeConfig(images=8)).total


@pytest.mark.parametrize(
    "limits", [{"cycles": CYCLES}, {"macs": MACS}, {"cycles": CYCLES, "all_weights": 700}], ids=str
)
def test_budgets_use_what_the_limits_allow(data: Dataset, graph: Graph, limits: dict[str, float]) -> None:
    config, goal = _made(graph, data, **limits)
    left = goal.left(graph, final_limits(graph, config))
    assert goal.met(left)
    assert max(have / may for have, may in zip(left, goal.most, strict=True)) > 0.85


@pytest.mark.parametrize("limits", [{"cycles": CYCLES}, {"cycles": 350}, {"cycles": 200}], ids=str)
def test_whole_tiles_of_filters_where_they_keep_more(data: Dataset, graph: Graph, limits: dict[str, float]) -> None:
    config, goal = _made(graph, data, **limits)
    plain = AdmmConfig(limits=limits)  # type: ignore[arg-type]
    search = limited._Search(graph, plain, goal, goal.pattern(graph))
    each = [made for step in (1, ARRAY.cols) if (made := search._budgets(step)) is not None]
    assert len(each) == 2 and each[0] != each[1]
    assert all(budget.filters is None or budget.filters % ARRAY.cols == 0 for budget in each[1].values())
    assert config.budgets in each
    assert search._macs(config.budgets) == max(search._macs(one) for one in each)


def test_a_network_pruned_by_cycles_keeps_to_them(data: Dataset, graph: Graph) -> None:
    options = PruneOptions(
        admm=AdmmConfig(limits={"cycles": CYCLES, "macs": MACS}, **QUICK),
        purify=PurifyConfig(mode="absolute"),
        train=TrainConfig(batch=20),
        array=ARRAY,
        quantize=QuantizeConfig(images=8),
    )
    model = api.prune(graph, data, options)
    assert 0.6 * CYCLES < _cycles(model, data) <= CYCLES
    last = [entry for entry in model.meta["log"] if entry["stage"] == "admm"][-1]
    assert last["left_cycles"] <= CYCLES and last["left_macs"] <= MACS


def test_the_last_cut_takes_more_where_a_limit_would_be_missed(data: Dataset, graph: Graph) -> None:
    config, goal = _made(graph, data, cycles=CYCLES)
    limits = final_limits(graph, config)
    rng = np.random.default_rng(1)
    trained = graph.replace(
        *(replace(node, weight=rng.normal(size=node.weight.shape).astype(np.float32)) for node in graph.weighted)
    )
    tight = replace(goal, most=(goal.left(trained, limits)[0] - 1,))
    cut = tight.tightened(trained, limits)
    assert cut != limits and tight.met(tight.left(trained, cut))
    assert goal.tightened(graph, limits) == limits
    with pytest.raises(ModelError, match=r"^ADMM ends at \d+ cycles at least, the limits are 1 cycles; raise admm.lim"):
        replace(goal, most=(1,)).tightened(trained, limits)


def test_only_the_last_cut_counts(data: Dataset, graph: Graph) -> None:
    config, goal = _made(graph, data, cycles=CYCLES)
    for mode in ("joint", "sequential"):
        plan = phases(graph, replace(config, mode=mode, stages=2), goal)
        aims = [phase.goal for phase in plan if phase.limits is not None]
        assert aims[-1] is goal and set(aims[:-1]) == {None}
        assert [phase.goal for phase in plan if phase.limits is None] == [None] * (len(plan) - len(aims))


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ({"cycles": 1}, "admm.limits ask for 1 cycles; one filter and one column of every layer are "),
        ({"cycles": 10_000_000}, "as it is, and the limits are 10000000 cycles: there is nothing to prune; lower them"),
    ],
    ids=["too few", "too many"],
)
def test_limits_that_cannot_be_and_that_are_met(
    data: Dataset, graph: Graph, limits: dict[str, float], text: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(text)):
        _made(graph, data, **limits)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"limits": {}}, "admm.limits must name a count, such as cycles=8000; or leave it out"),
        ({"limits": {"cycles": 9.0}, "budgets": {}}, "admm.limits and admm.budgets both say how much stays"),
        ({"limits": {"macs": 9.0}, "structure": "unstructured"}, "admm.limits count whole filters and columns"),
        ({"limits": {"macs": 9.0}, "preset": "lenet5-40x"}, "admm.limits and admm.preset = lenet5-40x both say"),
        ({"limits": {"bram": 9.0}}, "admm counts bram, which is that of a device; set admm.target"),
        ({"limits": {"images_per_second": 9.0}}, "admm.limits: images_per_second is meant at a clock; set admm.clock"),
    ],
)
def test_options_that_contradict(options: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(text)):
        AdmmConfig(**options)  # type: ignore[arg-type]


def test_a_loop_of_ones_own_counts_what_needs_no_array(data: Dataset, graph: Graph) -> None:
    module = GraphModule(graph)
    with pytest.raises(ConfigError, match="cycles needs an array to count for: hwprm.prune does"):
        hwprm.Admm(module, AdmmConfig(limits={"cycles": CYCLES}), example=data.image_shape)
    course = hwprm.Admm(module, AdmmConfig(limits={"macs": MACS}, **QUICK), example=data.image_shape, steps=2)
    optimiser = torch.optim.SGD(module.parameters(), lr=0.01)
    x, y = torch.from_numpy(data.x_train[:32]).float(), torch.from_numpy(data.y_train[:32])
    while not course.done:
        for _ in range(2):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(module(x), y).backward()
            course.after_backward()
            optimiser.step()
            course.after_step()
        course.after_epoch()
    pattern = limited.Pattern.of(course.model().graph, "macs")
    assert 0.5 * MACS < pattern.counts[0] <= MACS
