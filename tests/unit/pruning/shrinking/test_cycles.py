"""Shrinking by cycles: the pattern's count is the compiler's, limits hold, and a few rows are worth a tile together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from hwprm import api
from hwprm.api.networks import count_meters
from hwprm.compiler import draft
from hwprm.config import ArrayConfig, EmitConfig, QuantizeConfig
from hwprm.config.shrink import ShrinkConfig
from hwprm.core.errors import ConfigError
from hwprm.data import Dataset
from hwprm.graph import Graph
from hwprm.nets import GraphModule, lenet5_graph
from hwprm.pruning.channels.pattern import Meters, Pattern
from hwprm.pruning.compaction.compaction import compact_graph
from hwprm.pruning.compaction.narrowing import narrow
from hwprm.pruning.shrinking.hooks import Course, ShrinkHooks
from hwprm.pruning.shrinking.shrink import shrink_limits
from hwprm.sources import as_dataset, as_network

ARRAYS = {"8x8": ArrayConfig(), "3x5, batch 2": ArrayConfig(rows=3, cols=5, batch=2), "axi": ArrayConfig(weights="axi")}


@pytest.fixture(scope="module")
def data() -> Dataset:
    return as_dataset("mnist_subset")


@pytest.fixture(scope="module")
def graph() -> Graph:
    return lenet5_graph(seed=3)


def _meters(data: Dataset, array: ArrayConfig) -> Meters:
    return count_meters(ShrinkConfig(count="cycles"), data, array, None)


def _hooks(graph: Graph, meters: Meters, seed: int, limits: dict[str, int]) -> ShrinkHooks:
    """Hooks at the end of a round whose importances are drawn, not measured."""
    module, counts = GraphModule(graph), tuple(limits)
    full = Pattern.of(graph, *counts, meters=meters).counts
    course = Course(
        counts=counts,
        limits=tuple(limits.values()),
        begin=tuple(map(float, full)),
        rates=tuple(have / may for have, may in zip(full, limits.values(), strict=True)),
        steps=10,
    )
    first, *others = counts
    config = ShrinkConfig(count=first, also=dict.fromkeys(others, 2.0), target="ecp5-85k")
    hooks = ShrinkHooks(module, config, course, meters)
    rng = np.random.default_rng(seed)
    hooks.channels = torch.from_numpy(rng.random(len(hooks.channels)))
    hooks.columns = {name: torch.from_numpy(rng.random(len(of))) for name, of in hooks.columns.items()}
    hooks.step = course.steps - 1
    hooks.every = 1
    return hooks


def _pruned(graph: Graph, hooks: ShrinkHooks) -> Graph:
    """`graph` with its own weights where the pattern of `hooks` keeps them, large enough that none becomes 0."""
    rng, changed = np.random.default_rng(0), []
    for node in graph.weighted:
        kept = np.outer(hooks.pattern.rows[node.name], hooks.pattern.cols[node.name]).reshape(node.weight.shape)
        weight = rng.choice([-1.0, 1.0], node.weight.shape) * rng.uniform(0.5, 1.0, node.weight.shape)
        changed.append(replace(node, weight=(weight * kept / np.sqrt(kept[0].size)).astype(np.float32)))
    return graph.replace(*changed)


@pytest.mark.parametrize(
    ("name", "seed", "limit"),
    [
        ("8x8", 0, 9000),
        pytest.param("3x5, batch 2", 1, 40000, marks=pytest.mark.slow),
        pytest.param("axi", 2, 12000, marks=pytest.mark.slow),
    ],
)
def test_count_is_that_of_estimate_and_within_the_limit(
    data: Dataset, graph: Graph, name: str, seed: int, limit: int
) -> None:
    hooks = _hooks(graph, _meters(data, ARRAYS[name]), seed, {"cycles": limit})
    with torch.no_grad():
        hooks.after_step(GraphModule(graph))
    report = api.estimate(compact_graph(narrow(_pruned(graph, hooks))[0])[0], ARRAYS[name], data=data)
    assert hooks.pattern.counts == (report.total + sum(report.stalls),)
    assert not hooks.stuck
    assert 0.9 * limit < hooks.pattern.counts[0] <= limit


def test_all_of_several_limits_hold(data: Dataset, graph: Graph) -> None:
    limits = {"cycles": 15000, "all_weights": 12000, "macs": 500_000}
    hooks = _hooks(graph, _meters(data, ArrayConfig()), 4, limits)
    with torch.no_grad():
        hooks.after_step(GraphModule(graph))
    assert all(have <= may for have, may in zip(hooks.pattern.counts, limits.values(), strict=True))


def test_rows_that_save_a_tile_together_are_worth_it_together(data: Dataset, graph: Graph) -> None:
    pattern = Pattern.of(graph, "cycles", meters=_meters(data, ArrayConfig()))
    before = pattern.by_layer()[0]["conv1"]
    row, column = pattern.gains("conv1")  # 20 filters: tiles of 8, 8 and 4
    pattern.rows["conv1"][:4] = False
    assert before - pattern.by_layer()[0]["conv1"] == pytest.approx(4 * row[0], rel=0.02)
    assert pattern.gains("conv1")[0][0] == pytest.approx(row[0] * 4 / 8, rel=0.02)
    assert column[0] * 25 == pytest.approx(before)
    pattern.rows["conv1"][:12] = False
    assert pattern.gains("conv1")[0][0] == 0  # one tile, whose rows take nothing by themselves


def test_cycles_need_an_array(graph: Graph) -> None:
    with pytest.raises(ConfigError, match="needs an array"):
        shrink_limits(graph, ShrinkConfig(count="cycles"))


def test_limit_above_the_network_says_what_it_takes(data: Dataset, graph: Graph) -> None:
    with pytest.raises(ConfigError, match=r"at most 1000000 of \d+ \(cycles\)"):
        shrink_limits(graph, ShrinkConfig(count="cycles", left=1_000_000), _meters(data, ArrayConfig()))


def test_memory_and_cells_are_those_of_the_pruned_network(data: Dataset, graph: Graph) -> None:
    config = ShrinkConfig(count="cycles", also={"onchip_bits": 2.0, "bram": 2.0, "lut4": 1.01}, target="ecp5-85k")
    meters = count_meters(config, data, ArrayConfig(), None)
    limits = {"cycles": 40_000, "onchip_bits": 400_000, "bram": 36}
    hooks = _hooks(graph, meters, 5, limits)
    with torch.no_grad():
        hooks.after_step(GraphModule(graph))
    assert not hooks.stuck
    assert all(have <= may for have, may in zip(hooks.pattern.counts, limits.values(), strict=True))
    left = compact_graph(narrow(_pruned(graph, hooks))[0])[0]
    program = draft(as_network(left, data, QuantizeConfig(images=8)), ArrayConfig())
    found = api.size(left, data=data, quantize=QuantizeConfig(images=8), emit=EmitConfig(target="ecp5")).used
    cycles, bits, blocks = hooks.pattern.counts
    assert cycles == program.cycles.total
    # Biases and factors have a few bits more or less once they are trained; of constant ones fewer blocks are made.
    assert bits == pytest.approx(sum(program.onchip.values()), rel=0.005)
    assert found["bram"] <= blocks <= found["bram"] + 2
    assert sum(meters["lut4"].of(left).values()) == pytest.approx(found["lut4"], rel=0.05)


def test_images_a_second_are_cycles_of_a_batch(data: Dataset, graph: Graph) -> None:
    meters = _meters(data, ArrayConfig(batch=2))
    many = ShrinkConfig(count="macs", limits={"images_per_second": 2500}, clock=100.0)
    assert many.counts == ("macs", "cycles")
    assert shrink_limits(graph, many, meters)[1] == 100_000_000 * 2 // 2500
    both = replace(many, limits={"images_per_second": 2500, "cycles": 50_000})
    assert shrink_limits(graph, both, meters)[1] == 50_000


def test_a_limit_that_is_met_already_is_none(data: Dataset, graph: Graph) -> None:
    full = Pattern.of(graph, "macs").counts[0]
    config = ShrinkConfig(compression=4, limits={"macs": 10 * full})
    assert shrink_limits(graph, config)[1] == full
