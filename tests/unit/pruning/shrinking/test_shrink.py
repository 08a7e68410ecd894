"""Gradual shrinking: limits met exactly, paths consistent, rounds shared, networks narrowed without a change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from hwprm.config import ShrinkConfig, TrainConfig
from hwprm.core.errors import ConfigError, ModelError
from hwprm.data import Dataset
from hwprm.frontend import to_graph
from hwprm.graph import BatchNorm, Graph, evaluate
from hwprm.model import Model, Stage
from hwprm.nets import GraphModule
from hwprm.pruning.accounting import account
from hwprm.pruning.channels.pattern import Pattern
from hwprm.pruning.compaction.narrowing import narrow, widen
from hwprm.pruning.paths.paths import remove_unused_paths
from hwprm.pruning.prm.purification import purify
from hwprm.pruning.shrinking.hooks import Course, ShrinkHooks
from hwprm.pruning.shrinking.shrink import shrink
from hwprm.training import Checkpoint, Context, train
from hwprm.training.schedule import learning_rate
from tests.support.zoo import ZOO, zoo_module
from tests.unit.training.synthetic import blobs, tiny_graph

TRAIN = TrainConfig(batch=12, epochs=3, seed=1)
QUICK = ShrinkConfig(rate=2.0, every=3)


@pytest.fixture(scope="module")
def dense() -> Model:
    return train(tiny_graph(), blobs(), Context(config=TRAIN))


@pytest.mark.parametrize(("count", "key"), [("all_weights", "all_weights"), ("conv_only", "conv_only")])
def test_meets_the_limit_by_as_little_as_possible(dense, count, key):
    done = shrink(dense, blobs(), replace(QUICK, count=count, compression=6.0), Context(config=TRAIN))
    left = getattr(account(done.graph, dense.graph), key)
    assert left.left <= left.base / 6.0
    # Nothing fits into what is left of the limit: even the column that frees least would not have had to go.
    counted = [x for x in account(done.graph, dense.graph).layers if x.conv or count == "all_weights"]
    assert left.left > left.base // 6.0 - min(x.rows for x in counted)
    assert done.stage is Stage.SHRUNK
    assert done.meta["log"][-1]["left"] == left.left
    assert done.meta["accuracy"]["shrunk"] > 90


@pytest.mark.parametrize("norm", [False, True])
def test_paths_agree_so_that_nothing_is_left_to_remove(norm):
    graph = tiny_graph(norm=norm, padding=1)
    done = shrink(
        Model(graph=graph, stage=Stage.DENSE), blobs(), replace(QUICK, compression=8.0), Context(config=TRAIN)
    )
    closed, removed = remove_unused_paths(done.graph)
    assert account(closed, graph).all_weights == account(done.graph, graph).all_weights
    assert not removed.refused


@pytest.mark.parametrize("name", ["resnet", "mobilenet", "densenet"])
def test_shrinks_networks_of_any_form(name):
    graph = to_graph(zoo_module(name), ZOO[name][1])
    rng = np.random.default_rng(0)
    shape = ZOO[name][1]
    data = blobs(72)
    data = replace(
        data,
        x_train=rng.normal(size=(54, *shape)).astype(np.float32),
        x_test=rng.normal(size=(18, *shape)).astype(np.float32),
    )
    done = shrink(
        Model(graph=graph, stage=Stage.DENSE),
        data,
        replace(QUICK, compression=2.0),
        Context(config=replace(TRAIN, batch=6)),
    )
    left = account(done.graph, graph).all_weights
    assert left.left <= left.base / 2


@pytest.mark.parametrize("seed", range(3))
def test_no_branch_of_a_concatenation_dies(seed):
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Conv2d(1, 2, 3), nn.Conv2d(1, 6, 3), nn.Conv2d(8, 6, 1)
            self.pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(6, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            both = torch.cat([torch.relu(self.a(x)), torch.relu(self.b(x))], 1)
            return self.fc(self.pool(torch.relu(self.c(both))).flatten(1))

    torch.manual_seed(seed)
    graph = to_graph(Branches().eval(), (1, 6, 6))
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 255, (48, 1, 6, 6), dtype=np.uint8), np.arange(48) % 3
    data = Dataset(name="noise", source="", x_train=x, y_train=y, x_test=x, y_test=y, classes=3)
    done = shrink(Model(graph=graph, stage=Stage.DENSE), data, replace(QUICK, left=8, every=1), Context(config=TRAIN))
    left = {node.name: int((node.weight != 0).sum()) for node in done.graph.weighted}
    assert min(left.values()) >= 1 and sum(left.values()) <= 8


def _course(limit: int, begin: float, steps: int) -> Course:
    return Course(counts=("all_weights",), limits=(limit,), begin=(begin,), rates=(QUICK.rate,), steps=steps)


def _averages(graph: Graph, *steps: float) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Of channels and columns, after steps with these numbers times the weights' number as gradients."""
    module = GraphModule(graph)
    hooks = ShrinkHooks(module, QUICK, _course(10, 1e6, 100))
    for step in steps:
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.grad = step * torch.arange(parameter.numel()).reshape(parameter.shape).float()
            hooks.after_backward(module)
    return hooks.channels.numpy(), {name: average.numpy() for name, average in hooks.columns.items()}


@pytest.mark.parametrize("name", ["resnet", "densenet"])
def test_importance_is_the_average_of_squared_effects_to_the_bit(name):
    graph = to_graph(zoo_module(name), ZOO[name][1])
    cols = Pattern.of(graph, "all_weights").groups.cols
    channels, columns = np.zeros(Pattern.of(graph, "all_weights").groups.count), {}
    for step in (0.5, -0.3, 0.1):
        gates = np.zeros(len(channels))
        for node in graph.weighted:
            if node.name in cols:
                grad = step * torch.arange(node.weight.size).reshape(node.weight.shape).float()
                effect = (torch.from_numpy(node.weight) * grad).flatten(1).sum(dim=0).double().numpy()
                gates += np.bincount(cols[node.name], weights=effect, minlength=len(gates))
                columns[node.name] = QUICK.memory * columns.get(node.name, 0.0) + (1 - QUICK.memory) * effect**2
        channels = QUICK.memory * channels + (1 - QUICK.memory) * gates**2
    found = _averages(graph, 0.5, -0.3, 0.1)
    np.testing.assert_array_equal(found[0], channels)
    for name, average in columns.items():
        np.testing.assert_array_equal(found[1][name], average)


@pytest.mark.parametrize("overflow", [torch.inf, torch.nan])
def test_a_step_whose_gradients_overflow_leaves_the_ranking_alone(dense, overflow):
    expected, found = _averages(dense.graph, 0.5, -0.25), _averages(dense.graph, 0.5, overflow, -0.25)
    np.testing.assert_array_equal(found[0], expected[0])
    assert np.isfinite(found[0]).all() and found[0].any()
    for name, average in expected[1].items():
        np.testing.assert_array_equal(found[1][name], average)


def test_the_rate_is_constant_over_all_rounds(dense, monkeypatch):
    used = []
    monkeypatch.setattr("hwprm.training.engine.learning_rate", lambda *at: used.append(learning_rate(*at)) or used[-1])
    shrink(dense, blobs(), replace(QUICK, compression=3.0), Context(config=replace(TRAIN, warmup=0.5, schedule="step")))
    assert set(used) == {QUICK.lr}


def test_divergence_is_judged_over_all_rounds(dense, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "hwprm.training.engine.refuse_growth", lambda stage, losses, *more: seen.append((losses, more[1]))
    )
    done = shrink(dense, blobs(), replace(QUICK, compression=6.0), Context(config=TRAIN))
    losses = [entry["loss"] for entry in done.meta["log"] if entry["stage"] == "shrink"]
    assert [one for one, _ in seen] == [losses[:count] for count in range(1, len(losses) + 1)] and len(losses) > 2
    # A network that is cut smaller and smaller may come to know nothing.
    assert [least for _, least in seen[1:]] == pytest.approx([np.log(3)] * (len(losses) - 1))
    with pytest.raises(ModelError, match=r"^shrink: training diverges, the loss of epoch \d is .* \(now 1000\)"):
        shrink(dense, blobs(), replace(QUICK, compression=6.0, lr=1000.0), Context(config=TRAIN))


def test_an_epoch_of_few_steps_removes_something_too(dense):
    config = ShrinkConfig(rate=2.0, every=40, compression=3.0)
    done = shrink(dense, blobs(), config, Context(config=replace(TRAIN, batch=60)))
    steps = [entry["left"] for entry in done.meta["log"] if entry["stage"] == "shrink"]
    assert len(steps) == 2 and steps[0] <= 0.6 * account(dense.graph, dense.graph).all_weights.base


def test_lower_limit_goes_on_from_the_rounds_of_a_higher_one(dense, tmp_path):
    kept = Checkpoint(folder=tmp_path, resume=True)
    config = replace(QUICK, compression=10.0)
    straight = shrink(dense, blobs(), config, Context(config=TRAIN))
    shrink(dense, blobs(), replace(config, compression=5.0), Context(config=TRAIN, checkpoint=kept))
    rounds: list[float] = []

    def tell(stage: str, done: int, total: int, metrics: object) -> None:
        rounds.append(done / total)

    onward = shrink(dense, blobs(), config, Context(config=TRAIN, checkpoint=kept, progress=tell))
    assert rounds[0] > 0.4, "the first rounds were not run again"
    for layer in straight.graph.weighted:
        np.testing.assert_array_equal(layer.weight, onward.graph.by_name[layer.name].weight)
    higher = shrink(dense, blobs(), replace(config, compression=2.5), Context(config=TRAIN, checkpoint=kept))
    again = shrink(dense, blobs(), replace(config, compression=2.5), Context(config=TRAIN))
    for layer in again.graph.weighted:
        np.testing.assert_array_equal(layer.weight, higher.graph.by_name[layer.name].weight)


def test_ctrl_c_says_which_epoch_and_where_it_goes_on(dense, tmp_path):
    class Ended(KeyboardInterrupt):
        """SIGTERM, say."""

    calls = 0

    def stop(*_: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 8:  # of 4 an epoch
            raise Ended

    config = replace(QUICK, compression=10.0)
    kept = Checkpoint(folder=tmp_path)
    with pytest.raises(Ended) as told:
        shrink(dense, blobs(), config, Context(config=TRAIN, progress=stop, checkpoint=kept))
    after = f"; run again with the same options and resume on, it goes on from {tmp_path}"
    assert str(told.value) == "stopped in epoch 2 of shrink" + after
    assert [path.name for path in tmp_path.glob("*.json")] == ["shrink-001.json"]
    calls = 7
    with pytest.raises(Ended, match="^stopped in epoch 1 of shrink; nothing was kept, as no checkpoint folder was giv"):
        shrink(dense, blobs(), config, Context(config=TRAIN, progress=stop))


def test_other_options_do_not_take_up_the_rounds(dense, tmp_path):
    kept = Checkpoint(folder=tmp_path, resume=True)
    shrink(dense, blobs(), replace(QUICK, compression=5.0), Context(config=TRAIN, checkpoint=kept))
    with pytest.raises(ModelError, match="other options, another network or other data"):
        shrink(dense, blobs(), replace(QUICK, compression=5.0, every=4), Context(config=TRAIN, checkpoint=kept))


def test_zeros_stay_and_p_rm_takes_it_from_there(dense):
    first = shrink(dense, blobs(), replace(QUICK, compression=3.0), Context(config=TRAIN))
    second = shrink(first, blobs(), replace(QUICK, compression=9.0), Context(config=TRAIN))
    for layer in second.graph.weighted:
        assert not np.any(layer.weight[first.graph.by_name[layer.name].weight == 0])
    rows = [row["stage"] for row in purify(second, _absolute()).meta["waterfall"]]
    assert rows == ["dense", "shrunk", "purification", "path_removal"]


def _absolute():
    from hwprm.config import PurifyConfig

    return PurifyConfig(mode="absolute", th1=0.0, th2=0.0, th3=0.0, th4=0.0)


@pytest.mark.parametrize("name", ["vgg", "resnet", "mobilenet", "shufflenet", "inception", "densenet", "unet"])
def test_narrow_and_widen_change_nothing(name):
    graph = to_graph(zoo_module(name), ZOO[name][1])
    pattern = Pattern.of(graph, "all_weights")
    free = np.flatnonzero(~pattern.groups.fixed)
    gone = free[::3]
    for key, ids in pattern.groups.rows.items():
        pattern.rows[key] &= ~np.isin(ids, gone)
    for key, ids in pattern.groups.cols.items():
        pattern.cols[key] &= ~np.isin(ids, gone)
    if not all(mask.any() for masks in (pattern.rows, pattern.cols) for mask in masks.values()):
        pytest.skip("a layer would be empty")
    pattern.close()
    module = GraphModule(graph)
    for parameter, mask in pattern.masks(module).items():
        module.get_parameter(parameter).data.masked_fill_(mask, 0.0)
    masked = module.to_graph()
    small, keep = narrow(masked)
    images = {node.name: np.random.default_rng(0).normal(size=(2, *node.shape)) for node in graph.inputs}
    size = [sum(node.weight.size for node in one.weighted) for one in (small, masked)]
    assert size[0] < size[1]
    expected, got = evaluate(masked, images), evaluate(small, images)
    for output in graph.outputs:
        np.testing.assert_allclose(got[output], expected[output], rtol=1e-5, atol=1e-5)
    back = widen(small, masked, keep)
    for node in _with_arrays(masked):
        np.testing.assert_array_equal(back.by_name[node.name].weight, node.weight)
        np.testing.assert_array_equal(back.by_name[node.name].bias, node.bias)


def _with_arrays(graph: Graph):
    return [*graph.weighted, *(node for node in graph.nodes if isinstance(node, BatchNorm))]


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"compression": 1e6}, "the network can be shrunk to .*mend shrink.compression or shrink.left"),
        ({"left": 10**6}, "shrink asks for at most 1000000 of"),
    ],
)
def test_limits_that_cannot_be_met_are_refused_before_training(dense, config, text):
    with pytest.raises(ConfigError, match=text):
        shrink(dense, blobs(), replace(QUICK, **config), Context(config=TRAIN))


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (
            {"count": "flops"},
            "shrink.count must be one of all_weights, conv_only, macs, cycles, onchip_bits, lut4, bram, not 'flops'",
        ),
        ({"rate": 1.0}, "shrink.rate must be a number in 1.001..100, not 1.0"),
        ({"every": 0}, "shrink.every must be a whole number of 1 or more, not 0"),
        ({"left": True}, "shrink.left must be a whole number of 1 or more or none, not True"),
    ],
)
def test_bad_options(values, text):
    with pytest.raises(ConfigError) as caught:
        ShrinkConfig(**values)
    assert str(caught.value) == text


def test_purified_models_are_refused(dense):
    with pytest.raises(ModelError, match="shrinking works on a dense or masked model, this one is purified"):
        shrink(replace(dense, stage=Stage.PURIFIED), blobs(), QUICK)
