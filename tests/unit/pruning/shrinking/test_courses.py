"""Several counts at once, rates that vary, and an optimiser that goes on from round to round."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from hwprm.config import ShrinkConfig, TrainConfig
from hwprm.core.errors import ConfigError
from hwprm.graph import Graph
from hwprm.model import Model, Stage
from hwprm.nets import GraphModule
from hwprm.pruning.channels.pattern import Pattern, cost_of
from hwprm.pruning.compaction.narrowing import narrow
from hwprm.pruning.shrinking.hooks import Candidate, Course, ShrinkHooks
from hwprm.pruning.shrinking.moments import narrowed, widened
from hwprm.pruning.shrinking.shrink import shrink
from hwprm.training import Checkpoint, Context, Earlier, fit, train
from tests.unit.training.synthetic import bits, blobs, tiny_graph

TRAIN = TrainConfig(batch=12, epochs=3, seed=1)
QUICK = ShrinkConfig(rate=2.0, every=3)


@pytest.fixture(scope="module")
def dense() -> Model:
    return train(tiny_graph(norm=True), blobs(), Context(config=TRAIN))


def _counts(graph: Graph, *names: str) -> tuple[int, ...]:
    return Pattern.of(graph, *names).counts


@pytest.mark.parametrize("also", [{"macs": 3.0}, {"macs": 12.0, "conv_only": 2.0}])
def test_every_count_meets_its_own_limit(dense, also):
    config = replace(QUICK, compression=6.0, also=also)
    done = shrink(dense, blobs(), config, Context(config=TRAIN))
    full, left = (_counts(graph, *config.counts) for graph in (dense.graph, done.graph))
    for whole, rest, ratio in zip(full, left, (6.0, *also.values()), strict=True):
        assert rest <= whole / ratio
    last = done.meta["log"][-1]
    assert (last["left"], *(last[f"left_{name}"] for name in also)) == left


def test_counts_reach_their_limits_together(dense):
    config = replace(QUICK, compression=8.0, also={"macs": 2.0})
    done = shrink(dense, blobs(), config, Context(config=TRAIN))
    full = _counts(dense.graph, *config.counts)
    log = [entry for entry in done.meta["log"] if entry["stage"] == "shrink"]
    assert len(log) == 3
    for epoch, entry in enumerate(log, 1):
        # What would free more than has to go waits for the next removal.
        assert entry["left"] <= 1.1 * full[0] / 2.0**epoch
        assert entry["left_macs"] <= 1.1 * full[1] / 2.0 ** (epoch / 3)


def test_a_single_count_is_ranked_by_what_it_was(dense):
    """What is counted twice is still worth the same: the bits of one count alone."""
    module = GraphModule(dense.graph)
    course = Course(counts=("macs",), limits=(10,), begin=(1e6,), rates=(2.0,), steps=9)
    hooks = ShrinkHooks(module, QUICK, course)
    rng = np.random.default_rng(0)
    channels = rng.random(hooks.pattern.groups.count)
    columns = {name: rng.random(len(mask)) for name, mask in hooks.pattern.cols.items()}
    cost = cost_of(dense.graph, "macs")
    found = list(hooks._candidates(channels, columns, np.array([1.0])))
    assert found == sorted(found, key=lambda one: (one.layer != "", 0))
    for one in found:
        assert isinstance(one, Candidate) and len(one.freed) == 1
        if one.layer:
            rows = int(hooks.pattern.rows[one.layer].sum())
            assert one.freed == (rows * cost[one.layer],) and one.rank == columns[one.layer][one.number] / one.freed[0]
        else:
            assert one.rank == channels[one.number] / one.freed[0]


def test_the_rate_falls_where_little_is_left(dense):
    config = replace(QUICK, compression=10.0, late_rate=1.25, late_from=4.0)
    done = shrink(dense, blobs(), config, Context(config=TRAIN))
    full = _counts(dense.graph, "all_weights")[0]
    left = [entry["left"] for entry in done.meta["log"] if entry["stage"] == "shrink"]
    # 2, 4, then 4 * 1.25, and so on, to 10.
    assert len(left) == 2 + math.ceil(math.log(2.5) / math.log(1.25))
    steps = [2.0, 4.0, *(4.0 * 1.25**k for k in range(1, 5)), 10.0]
    for have, ratio in zip(left, steps, strict=True):
        assert 0.8 * full / ratio < have <= 1.1 * full / ratio


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_moments_go_the_way_of_their_weights(dense, optimiser):
    """Through a cut and back they are what they were, and an optimiser takes them up."""
    graph = shrink(dense, blobs(), replace(QUICK, compression=4.0), Context(config=TRAIN)).graph
    small, keep = narrow(graph)
    module = GraphModule(small)
    config = replace(TRAIN, optimiser=optimiser, epochs=1)
    moments = fit(module, blobs(), Context(config=config), stage="test").moments
    back = narrowed(widened(moments, small, graph, keep), graph, keep)
    assert set(back) == set(moments) and len(back) >= len(list(module.parameters()))
    for name, value in moments.items():
        assert torch.equal(back[name], value), name
    wide = widened(moments, small, graph, keep)
    for name, parameter in GraphModule(graph).named_parameters():
        key = f"{name}/{'momentum_buffer' if optimiser == 'sgd' else 'exp_avg'}"
        assert wide[key].shape == parameter.shape
    once, twice = (GraphModule(small) for _ in range(2))
    fit(once, blobs(), Context(config=config), stage="test", earlier=Earlier(moments=back))
    fit(twice, blobs(), Context(config=config), stage="test")
    assert bits(once.to_graph()) != bits(twice.to_graph())


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_kept_moments_survive_a_stop(dense, optimiser, tmp_path):
    config = replace(QUICK, compression=10.0, keep_moments=True)
    options = replace(TRAIN, optimiser=optimiser)
    straight = shrink(dense, blobs(), config, Context(config=options))
    anew = shrink(dense, blobs(), replace(config, keep_moments=False), Context(config=options))
    assert bits(straight.graph) != bits(anew.graph)
    kept = Checkpoint(folder=tmp_path, resume=True)
    shrink(dense, blobs(), replace(config, compression=4.0), Context(config=options, checkpoint=kept))
    onward = shrink(dense, blobs(), config, Context(config=options, checkpoint=kept))
    assert bits(onward.graph) == bits(straight.graph)


def test_several_counts_do_not_share_rounds_with_other_limits(dense, tmp_path):
    from hwprm.core.errors import ModelError

    kept = Context(config=TRAIN, checkpoint=Checkpoint(folder=tmp_path, resume=True))
    config = replace(QUICK, compression=6.0, also={"macs": 3.0})
    first = shrink(dense, blobs(), config, kept)
    assert bits(shrink(dense, blobs(), config, kept).graph) == bits(first.graph)
    with pytest.raises(ModelError, match="other options, another network or other data"):
        shrink(dense, blobs(), replace(config, compression=9.0), kept)


COUNTS = "all_weights, conv_only, macs, cycles, onchip_bits, lut4, bram"


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (
            {"also": {"mac": 2.0}},
            f"shrink.also can name {COUNTS}, not 'mac'; did you mean 'macs'?",
        ),
        (
            {"also": {"all_weights": 2.0}},
            "shrink.also must name others beside shrink.count, not 'all_weights'; leave it out",
        ),
        ({"also": {"macs": 0.5}}, "shrink.also: macs must be a number in 1..1e+09, not 0.5"),
        ({"limits": {"bram": 0}}, "shrink.limits: bram must be a number above 0, not 0"),
        (
            {"limits": {"images_per_second": 100}},
            "shrink.limits: images_per_second is meant at a clock; set shrink.clock, in MHz",
        ),
        ({"limits": {"lut4": 100}}, "shrink counts lut4, which is that of a device; set shrink.target"),
        (
            {"also": {"macs": 2.0}, "limits": {"macs": 100}},
            "shrink.also and shrink.limits both name macs; keep one of them",
        ),
        ({"late_rate": 1.0}, "shrink.late_rate must be a number in 1.001..100 or none, not 1.0"),
        ({"keep_moments": 1}, "shrink.keep_moments must be true or false, not 1"),
    ],
)
def test_bad_options(values, text):
    with pytest.raises(ConfigError) as caught:
        ShrinkConfig(**values)
    assert str(caught.value) == text


def test_a_further_limit_that_cannot_be_met_is_refused(dense):
    with pytest.raises(ConfigError, match=r"\(macs\), the network can be shrunk to .*; mend shrink.also$"):
        shrink(dense, blobs(), replace(QUICK, compression=2.0, also={"macs": 1e6}), Context(config=TRAIN))
    assert dense.stage is Stage.DENSE
