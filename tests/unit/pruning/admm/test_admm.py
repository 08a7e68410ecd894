"""ADMM on a tiny network: constraints met exactly, zeros kept, paths, refusals, resumption."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from hwprm.compiler import estimate
from hwprm.config import ArrayConfig
from hwprm.config.admm import AdmmConfig, LayerBudget
from hwprm.config.train import TrainConfig
from hwprm.core.errors import ConfigError, ModelError
from hwprm.model import Stage
from hwprm.nets import GraphModule
from hwprm.pruning.admm.admm import admm, phases
from hwprm.pruning.admm.budgets import layer_matrices
from hwprm.pruning.admm.hooks import LEAST, AdmmHooks
from hwprm.pruning.admm.projections import Limits, project
from hwprm.quantization import quantize_network
from hwprm.training import Checkpoint, Context, train
from hwprm.training.engine import fit
from hwprm.training.masks import ZeroMasks
from tests.unit.training.synthetic import bits, blobs, tiny_graph

BASE = TrainConfig(epochs=4, batch=20, lr=5e-3)
BUDGETS = {
    "conv1": LayerBudget(filters=4, columns=6),
    "conv2": LayerBudget(filters=4, columns=10, channels=4),
    "fc1": LayerBudget(filters=6, columns=12, channels=4),
    "fc2": LayerBudget(columns=6),
}
CONFIG = AdmmConfig(
    budgets=BUDGETS,
    mode="sequential",
    stages=2,
    epochs=3,
    retrain_epochs=1,
    final_epochs=3,
    rho_end=2.0,
    lr=3e-3,
    retrain_lr=2e-3,
)


@pytest.fixture(scope="module")
def dense():
    return train(tiny_graph(), blobs(), Context(config=BASE))


def prune(model, **changes):
    return admm(model, blobs(), replace(CONFIG, **changes), Context(config=BASE))


def counts(graph):
    """Rows, columns and channels that are not all zero, per layer."""
    found = {}
    for node in graph.weighted:
        alive = node.weight.reshape(len(node.weight), -1) != 0
        group = layer_matrices(graph)[node.name].group
        cols = alive.any(axis=0)
        found[node.name] = (int(alive.any(axis=1).sum()), int(cols.sum()), int(cols.reshape(-1, group).any(1).sum()))
    return found


@pytest.mark.parametrize("mode", ["sequential", "joint"])
@pytest.mark.parametrize("path_aware", [True, False])
def test_budgets_are_met_and_the_network_still_works(dense, mode, path_aware):
    pruned = prune(dense, mode=mode, path_aware=path_aware)
    assert pruned.stage is Stage.ADMM and pruned.meta["accuracy"]["admm"] >= 80
    for name, (rows, cols, channels) in counts(pruned.graph).items():
        budget = BUDGETS[name]
        assert rows <= (budget.filters or rows) and cols <= budget.columns and channels <= (budget.channels or channels)
        kept = pruned.meta["plan"][name]
        assert len(kept["rows"]) == rows and len(kept["cols"]) == cols
    assert counts(pruned.graph)["fc2"][0] == 3
    for node in pruned.graph.weighted[:-1]:
        empty = ~node.weight.reshape(len(node.weight), -1).any(axis=1)
        assert empty.any() and np.all(node.bias[empty] == 0), "biases of pruned filters are zero too"


def test_path_aware_filters_are_read(dense):
    graph = prune(dense).graph
    conv2, fc1, fc2 = (graph.by_name[name].weight for name in ("conv2", "fc1", "fc2"))
    filters = conv2.reshape(8, -1).any(axis=1)
    assert not (filters & ~fc1.any(axis=0).reshape(8, -1).any(axis=1)).any()
    assert not (fc1.any(axis=1) & ~fc2.any(axis=0)).any()


@pytest.mark.parametrize("mode", ["sequential", "joint"])
def test_it_converges_to_feasibility_and_logs_the_way(dense, mode):
    config = replace(CONFIG, stages=1, epochs=8, lr=1e-2, rho_start=0.1, rho_end=2.0, mode=mode)
    pruned = admm(dense, blobs(1200), config, Context(config=replace(BASE, schedule="constant")))
    phases = ["joint 1/1"] if mode == "joint" else ["columns 1/1", "filters 1/1"]
    for phase in phases:
        epochs = [entry for entry in pruned.meta["log"] if entry.get("phase") == phase]
        assert len(epochs) == 8
        updates = [update for entry in epochs for update in entry["updates"]]
        assert [round(update["rho"], 3) for update in updates] == [0.1] * 8 + [0.447] * 8 + [2.0] * 8
        layers = [name for name in BUDGETS if f"primal.{name}" in updates[0]]
        assert layers == [name for name in BUDGETS if phase != "filters 1/1" or BUDGETS[name].filters]
        for name in layers:
            assert updates[-1][f"primal.{name}"] < 0.02 < updates[0][f"primal.{name}"]
            dual = [update[f"dual.{name}"] for update in updates]
            assert dual[-1] < 0.2 * max(dual)
            assert epochs[-1][f"primal.{name}"] == updates[-1][f"primal.{name}"]
    assert pruned.meta["accuracy"]["admm"] >= 98


def test_residuals_by_hand():
    """One layer, one update: primal, dual, Z and U are what equations 4 to 7 say."""
    module = GraphModule(tiny_graph())
    config = replace(CONFIG, updates=1, rhos=2, dual_step=0.5, rho_start=0.5, rho_end=2.0, path_aware=False)
    hooks = AdmmHooks(module, {"fc1": Limits(cols=5)}, config, 2)
    hooks.begin(2 * LEAST)
    w0 = tiny_graph().by_name["fc1"].weight
    z0 = project(w0, Limits(cols=5))
    assert np.array_equal(hooks.z["fc1"].numpy(), z0) and not hooks.u["fc1"].any()
    weight = module.weight("fc1")
    weight.grad = torch.ones_like(weight)
    with torch.no_grad():
        hooks.after_backward(module)
        np.testing.assert_allclose(weight.grad.numpy(), 1 + 0.5 * (w0 - z0), rtol=1e-6)
        for _ in range(LEAST - 1):  # of the steps that every update waits for
            hooks.after_step(module)
        assert hooks.after_epoch(module, 1, 4) == {}
        module.weight("fc1").mul_(0.75).add_(0.01)
        hooks.after_step(module)
        metrics = hooks.after_epoch(module, 2, 4)
    w1 = (w0 * np.float32(0.75) + np.float32(0.01)).astype(np.float32)
    z1 = project(w1, Limits(cols=5))
    assert np.array_equal(hooks.z["fc1"].numpy(), z1)
    assert metrics["primal.fc1"] == pytest.approx(np.linalg.norm(w1 - z1) / np.linalg.norm(w1), rel=1e-5)
    assert metrics["dual.fc1"] == pytest.approx(0.5 * np.linalg.norm(z1 - z0), rel=1e-5)
    assert metrics["penalty"] == pytest.approx(0.25 * np.square(w1 - z0).sum(), rel=1e-5)
    assert hooks.rho == 2.0
    np.testing.assert_allclose(hooks.u["fc1"].numpy(), (w1 - z1) * 0.5 * 0.25, rtol=1e-6)


def test_same_seed_same_bits(dense):
    assert bits(prune(dense).graph) == bits(prune(dense).graph)


@pytest.mark.parametrize("calls", [4, 14, 30])
def test_resume_after_ctrl_c_equals_an_uninterrupted_run(dense, tmp_path, calls):
    whole = prune(dense)
    left = calls

    def stop(*_):
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="stopped in epoch . of . of admm-0.; run again"):
        admm(dense, blobs(), CONFIG, Context(config=BASE, progress=stop, checkpoint=Checkpoint(folder=tmp_path)))
    resumed = admm(dense, blobs(), CONFIG, Context(config=BASE, checkpoint=Checkpoint(folder=tmp_path, resume=True)))
    assert bits(resumed.graph) == bits(whole.graph)
    assert [e for e in resumed.meta["log"] if "phase" in e] == [e for e in whole.meta["log"] if "phase" in e]


def test_one_progress_bar_for_all_phases(dense):
    calls = []
    admm(dense, blobs(), CONFIG, Context(config=BASE, progress=lambda *call: calls.append(call)))
    done = [call[1] for call in calls]
    epochs = sum(phase.epochs for phase in phases(dense.graph, CONFIG))
    assert (
        done == sorted(done)
        and done[-1] == epochs * 9
        and {call[0:1] + call[2:3] for call in calls} == {("admm", epochs * 9)}
    )


def test_phases_in_order():
    names = [phase.name for phase in phases(tiny_graph(), replace(CONFIG, retrain_epochs=0))]
    assert names == ["columns 1/2", "columns 2/2", "filters 1/2", "filters 2/2", "final retrain"]
    joint = phases(tiny_graph(), replace(CONFIG, mode="joint"))
    assert [p.name for p in joint] == ["joint 1/2", "retrain after joint 1/2", "joint 2/2", "final retrain"]
    half, full = joint[0].limits["conv1"], joint[2].limits["conv1"]
    assert (half.rows, half.cols) == (5, 7) and (full.rows, full.cols) == (4, 6)


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_masked_retraining_keeps_zeros_bitwise(dense, optimiser):
    module = GraphModule(dense.graph)
    with torch.no_grad():
        module.weight("conv2")[2].zero_()
        module.bias("conv2")[2] = 0
        module.weight("fc1")[:, 5:20].zero_()
    before = {name: parameter.detach() == 0 for name, parameter in module.named_parameters()}
    untouched = bits(module.to_graph())
    fit(
        module,
        blobs(),
        Context(config=replace(BASE, epochs=2, optimiser=optimiser)),
        stage="masked",
        hooks=ZeroMasks.of(module),
    )
    assert bits(module.to_graph()) != untouched
    for name in ("conv2.weight", "fc1.weight", "conv2.bias"):
        values = module.get_parameter(name).detach()[before[name]]
        assert values.numel() and values.numpy().tobytes() == b"\0" * 4 * values.numel(), "plus zero, all bits"


def test_batch_norm_of_pruned_filters_goes_too():
    graph = tiny_graph(norm=True, padding=1)
    model = train(graph, blobs(), Context(config=replace(BASE, epochs=2)))
    pruned = admm(
        model, blobs(), replace(CONFIG, stages=1, budgets={"conv1": BUDGETS["conv1"]}), Context(config=BASE)
    ).graph
    conv, norm = pruned.by_name["conv1"], pruned.by_name["bn1"]
    empty = ~conv.weight.reshape(6, -1).any(axis=1)
    assert empty.sum() == 2
    assert np.all(norm.weight[empty] == 0) and np.all(norm.bias[empty] == 0) and np.all(norm.weight[~empty] != 0)
    image = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.all(GraphModule(pruned).eval().run(image)["relu1"][0, torch.from_numpy(empty)] == 0)


def test_pruning_again_keeps_the_zeros(dense):
    once = prune(dense)
    twice = admm(
        once, blobs(), replace(CONFIG, budgets={"fc1": LayerBudget(columns=6)}, stages=1), Context(config=BASE)
    )
    for old, new in zip(once.graph.weighted, twice.graph.weighted, strict=True):
        assert np.all(new.weight[old.weight == 0] == 0)
    assert counts(twice.graph)["fc1"][1] <= 6


STEEP = {"fc1": LayerBudget(columns=1)}


def test_divergence_stops_with_advice(dense):
    with pytest.raises(
        ModelError, match=r"^ADMM diverges: after epoch \d+ the primal residual of 'fc1' .* raise admm\.rho_start"
    ):
        # The penalty is far too weak for this learning rate: U piles up and W does not follow.
        prune(dense, stages=1, lr=0.03, residual_limit=1.01, rho_start=1e-4, rho_end=1e-4, epochs=6, budgets=STEEP)


BAD_BUDGETS = [
    ({"conv9": LayerBudget()}, "admm.budgets names 'conv9', the layers with weights are conv1, conv2, fc1, fc2"),
    ({"conv1": LayerBudget(filters=7)}, "admm.budgets.conv1.filters asks for 7, the layer has 6; ask for less"),
    ({"conv2": LayerBudget(channels=7)}, "admm.budgets.conv2.channels asks for 7, the layer has 6; ask for less"),
    ({"fc1": LayerBudget(channels=9)}, "admm.budgets.fc1.channels asks for 9, the layer has 8; ask for less"),
    (
        {"fc2": LayerBudget(filters=2)},
        "admm.budgets.fc2.filters asks for 2 of 3, but these rows are the outputs of the network; leave it out",
    ),
]


@pytest.mark.parametrize(("budgets", "text"), BAD_BUDGETS, ids=range(len(BAD_BUDGETS)))
def test_budgets_that_do_not_fit(dense, budgets, text):
    with pytest.raises(ConfigError, match=f"^{re.escape(text)}$"):
        prune(dense, budgets=budgets)


def test_purified_models_are_refused(dense):
    with pytest.raises(ModelError, match=r"^ADMM works on a dense or masked model, this one is purified"):
        prune(replace(dense, stage=Stage.PURIFIED))


@pytest.mark.parametrize("mode", ["sequential", "joint"])
def test_unstructured_pruning(dense, mode):
    """Single weights go, exactly as many as asked for, and stay away in retraining."""
    budgets = {"conv1": LayerBudget(weights=25), "conv2": LayerBudget(weights=50), "fc1": LayerBudget(weights=60)}
    pruned = prune(dense, budgets=budgets, mode=mode)
    assert pruned.meta["accuracy"]["admm"] >= 80
    for name, budget in budgets.items():
        node = pruned.graph.by_name[name]
        matrix = node.weight.reshape(len(node.weight), -1)
        assert np.count_nonzero(matrix) == budget.weights
        alive = matrix != 0
        assert (alive.any(axis=1)[:, None] & alive.any(axis=0)).sum() > budget.weights, "a rectangle after all"
        assert np.all(node.bias[~alive.any(axis=1)] == 0)
    assert np.all(pruned.graph.by_name["fc2"].weight != 0)


def test_a_class_without_weights_is_refused(dense):
    """Two single weights are too few for three classes."""
    with pytest.raises(ModelError, match=r"^class \d of 'fc2' was lost: .* raise the budget of the last layer"):
        prune(dense, budgets={"fc2": LayerBudget(weights=2)}, stages=1)


WIDE = {"conv2": LayerBudget(filters=7), "fc1": LayerBudget(filters=18, columns=24)}


def test_rounded_filters_fill_whole_tiles():
    """Kept filters after ADMM are multiples of the array's columns, and a filter tile less is its cycles less."""
    model = train(tiny_graph(hidden=48), blobs(), Context(config=BASE))
    cycles = {}
    for step in (1, 8):
        pruned = admm(model, blobs(), replace(CONFIG, budgets=WIDE, mode="joint", round_to=step), Context(config=BASE))
        kept = {name: len(plan["rows"]) for name, plan in pruned.meta["plan"].items()}
        assert kept == {"conv1": 6, "fc2": 3} | ({"conv2": 7, "fc1": 18} if step == 1 else {"conv2": 8, "fc1": 16})
        net = quantize_network(pruned.graph, blobs().x_train, pruned.meta["input_scale"])
        report = estimate(net, ArrayConfig(rows=4, cols=8))
        cycles[step] = {layer.name: layer for layer in report.layers}
    loose, whole = (cycles[step]["fc1"] for step in (1, 8))
    assert (loose.filters, loose.listed) == (18, 3 * loose.columns)
    assert (whole.filters, whole.listed) == (16, 2 * whole.columns)
    assert whole.cycles < loose.cycles
