"""ADMM and shrinking in somebody's own loop: the weights are those that the verbs make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import hwprm
from hwprm.core.errors import ConfigError, InputError, ModelError
from hwprm.frontend import to_graph
from hwprm.graph import evaluate
from hwprm.model import Model, Stage
from hwprm.nets import GraphModule
from hwprm.training import Context
from hwprm.training.optimisers import make_optimiser
from hwprm.training.samples import Samples
from hwprm.training.schedule import learning_rate
from tests.unit.training.synthetic import bits, blobs

#: Without a teacher, which the verb takes for shrinking.
TRAIN = hwprm.TrainConfig(batch=30, channels_last=False, distill=0.0)
ADMM = hwprm.AdmmConfig(compression=4, epochs=2, final_epochs=1)
SHAPE = (1, 8, 8)
DATA = blobs()
#: Batches of an epoch.
STEPS = -(-len(DATA.x_train) // TRAIN.batch)


class Net(nn.Module):
    """Every kind of tied parameter: convolutions, a batch norm, linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(6)
        self.part = nn.ModuleDict({"conv2": nn.Conv2d(6, 8, 2)})
        self.fc1 = nn.Linear(72, 12)
        self.fc2 = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 2)
        x = torch.relu(self.part["conv2"](x))
        return self.fc2(torch.relu(self.fc1(torch.flatten(x, 1))))


def net(kind: Callable[[], nn.Module] = Net) -> nn.Module:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return kind()


def own_epochs(module: nn.Module, loop: Any, options: hwprm.TrainConfig, in_loss: bool = False) -> list[Any]:
    """`options.epochs` epochs as the engine goes through them, in a loop that knows nothing of it."""
    graph = to_graph(module, SHAPE)
    samples = Samples(DATA, graph, Context(config=options), torch.float32)
    optimiser = make_optimiser(module, options)
    told = []
    for epoch in range(options.epochs):
        module.train()
        for step, batch in enumerate(samples.epoch(epoch)):
            rate = learning_rate(options, epoch * samples.steps + step, options.epochs * samples.steps)
            for group in optimiser.param_groups:
                group["lr"] = rate
            loss = nn.functional.cross_entropy(module(*batch.images), batch.labels)
            if in_loss:
                loss = loss + loop.penalty()
            optimiser.zero_grad()
            loss.backward()
            loop.after_backward()
            optimiser.step()
            loop.after_step()
        told.append(loop.after_epoch())
    return told


def phases(module: nn.Module, admm: hwprm.Admm, in_loss: bool = False) -> list[Any]:
    """Every phase of `admm`, an optimiser each, as the engine has it."""
    told: list[Any] = []
    while not admm.done:
        epochs = {"retrain after joint 1/2": ADMM.retrain_epochs, "final retrain": ADMM.final_epochs}
        options = replace(TRAIN, lr=admm.lr, epochs=epochs.get(admm.phase, ADMM.epochs))
        told += own_epochs(module, admm, options, in_loss)
    return told


@pytest.fixture(scope="module")
def wanted() -> Model:
    dense = Model(graph=to_graph(net(), SHAPE), stage=Stage.DENSE)
    return hwprm.prune(dense, DATA, hwprm.PruneOptions(admm=ADMM, train=TRAIN, stop_after="admm"))


def test_admm_makes_the_same_weights_to_the_bit(wanted: Model) -> None:
    module = net()
    admm = hwprm.Admm(module, ADMM, example=SHAPE, steps=STEPS)
    assert admm.epochs == 2 + 1 + 2 + 1
    told = phases(module, admm)
    assert bits(admm.model().graph) == bits(wanted.graph)
    said = [{k: v for k, v in e.items() if k not in ("stage", "epoch")} for e in admm.model().meta["log"]]
    engine = [entry for entry in wanted.meta["log"] if "rho" in entry]
    assert said == [entry for entry in told if entry]
    assert [{k: v for k, v in entry.items() if k in said[0]} for entry in engine] == said


def test_the_penalty_in_the_loss_is_the_same_but_for_rounding(wanted: Model) -> None:
    module = net()
    admm = hwprm.Admm(module, compression=4, config=replace(ADMM, compression=40), steps=STEPS)
    module(torch.zeros(5, *SHAPE))  # what tells the shapes
    phases(module, admm, in_loss=True)
    found = admm.model()
    assert found.meta["plan"] == wanted.meta["plan"]
    for ours, theirs in zip(found.graph.weighted, wanted.graph.weighted, strict=True):
        np.testing.assert_allclose(ours.weight, theirs.weight, atol=2e-3)


def test_finished_early_it_goes_on_masked_and_is_purified_and_compacted() -> None:
    module = net()
    admm = hwprm.Admm(module, ADMM, example=torch.zeros(2, *SHAPE))
    own_epochs(module, admm, replace(TRAIN, epochs=1))
    with pytest.raises(
        ModelError, match=r"^the network is not pruned yet \(phase 'joint 1/2'\); call finish\(\) first"
    ):
        admm.model()
    admm.finish()
    before = {name: value.detach() == 0 for name, value in module.named_parameters()}
    assert before["fc1.weight"].sum() > 600
    own_epochs(module, admm, replace(TRAIN, epochs=2))
    for name, value in module.named_parameters():
        assert not value.detach()[before[name]].any(), name
    model = admm.model()
    assert model.stage is Stage.ADMM and model.meta["name"] == "Net"
    small = hwprm.prune(model, DATA, hwprm.PruneOptions(purify=hwprm.PurifyConfig(mode="absolute", th1=0, th2=0)))
    assert small.stage is Stage.COMPACT and "compact" in small.meta["accuracy"]
    x = torch.from_numpy(DATA.x_test[:4]).float() / 255
    module.eval()
    with torch.no_grad():
        np.testing.assert_allclose(small.to_torch()(x), module(x), atol=1e-4)


def test_shrinking_takes_what_the_verb_takes_and_meets_the_limit() -> None:
    config = hwprm.ShrinkConfig(compression=3, rate=3.0, every=2)
    options = hwprm.PruneOptions(shrink=config, train=TRAIN, stop_after="shrink")
    wanted = hwprm.prune(Model(graph=to_graph(net(), SHAPE), stage=Stage.DENSE), DATA, options)
    assert len(wanted.meta["log"]) == 1
    rounds = {}
    for rate in (3.0, 1.6):
        module = net()
        shrink = hwprm.Shrink(module, replace(config, rate=rate), steps=6, example=SHAPE)
        rounds[rate] = 0
        while not shrink.done:
            left = own_epochs(module, shrink, replace(TRAIN, lr=config.lr, schedule="constant", epochs=1))[-1]
            rounds[rate] += 1
        assert left["left"] <= sum(p.numel() for p in module.parameters() if p.ndim > 1) / 3
        model = shrink.model()
        assert model.stage is Stage.SHRUNK
        if rate == 3.0:
            assert model.meta["plan"] == wanted.meta["plan"]
            # The verb trains a narrower network, whose sums are rounded otherwise.
            for ours, theirs in zip(model.graph.weighted, wanted.graph.weighted, strict=True):
                np.testing.assert_allclose(ours.weight, theirs.weight, atol=1e-3)
        own_epochs(module, shrink, replace(TRAIN, epochs=1))
        assert shrink.model().meta["plan"] == model.meta["plan"]
    assert rounds == {3.0: 1, 1.6: 3}


def test_shrinking_can_be_finished_at_once_after_some_steps() -> None:
    module = net()
    shrink = hwprm.Shrink(module, steps=100, compression=5, example=SHAPE)
    with pytest.raises(ModelError, match="nothing says yet which channels matter"):
        shrink.finish()
    own_epochs(module, shrink, replace(TRAIN, epochs=1))
    assert not shrink.done
    shrink.finish()
    assert shrink.done
    alive = sum(int((p != 0).sum()) for p in module.parameters() if p.ndim > 1)
    assert alive <= sum(p.numel() for p in module.parameters() if p.ndim > 1) / 5


class Sequence(nn.Module):
    """A Conv1d, whose weight has another shape in the graph, without bias."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(8, 6, 3, bias=False)
        self.out = nn.Linear(36, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.relu(self.conv(x)).flatten(1))


def test_weights_of_another_shape_in_the_graph_are_pruned_in_place() -> None:
    module = net(Sequence)
    budgets = {"conv": hwprm.LayerBudget(filters=2, columns=5)}
    admm = hwprm.Admm(module, replace(ADMM, budgets=budgets, epochs=1, stages=1, final_epochs=0), example=(8, 8))
    weight = module.conv.weight
    module(torch.rand(4, 8, 8)).sum().backward()
    before = weight.grad.clone()
    admm.after_backward()
    assert not torch.equal(weight.grad, before), "the penalty's gradient"
    admm.after_step()
    admm.after_epoch()
    assert admm.done and int((weight != 0).sum()) == 10 and weight is module.conv.weight
    model = admm.model()
    x = torch.rand(2, 8, 8)
    with torch.no_grad():
        np.testing.assert_allclose(model.to_torch()(x[:, :, None]), module(x), atol=1e-6)


class Twice(nn.Module):
    """One layer read twice."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(64, 64)
        self.out = nn.Linear(64, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        return self.out(torch.relu(self.inner(torch.relu(self.inner(x)))))


def test_what_cannot_be_pruned_in_place_is_said() -> None:
    with pytest.raises(ConfigError, match="^the weight of 'inner' is no parameter of the module .* name the other"):
        hwprm.Admm(net(Twice), ADMM, example=SHAPE)
    hwprm.Admm(net(Twice), ADMM, budgets={"out": hwprm.LayerBudget(columns=9)}, example=SHAPE)
    with pytest.raises(ConfigError, match="^the weight of 'inner' is no parameter of the module"):
        hwprm.Shrink(net(Twice), compression=2, steps=3, example=SHAPE)
    with pytest.raises(ConfigError, match=r"^steps must be the optimiser's steps of an epoch"):
        hwprm.Shrink(net(), compression=2, steps=0, example=SHAPE)
    with pytest.raises(InputError, match=r"^the network is a torch.nn.Module .* not Model; .* to_torch\(\)"):
        hwprm.Admm(Model(graph=to_graph(net(), SHAPE), stage=Stage.DENSE))  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=r"^no batch has run through the network yet"):
        hwprm.Admm(net(), compression=4).after_step()


def test_a_model_becomes_a_module_and_a_network_again(wanted: Model) -> None:
    module = wanted.to_torch()
    assert not module.training and set(module.state_dict()) >= {"conv1.weight", "part_conv2.bias", "bn1.running_var"}
    x = torch.rand(3, *SHAPE)
    with torch.no_grad():
        found = module(x)
        np.testing.assert_allclose(found, evaluate(wanted.graph, x.numpy())["fc2"], atol=1e-5)
        again = GraphModule(to_graph(module, SHAPE)).eval()
        torch.testing.assert_close(again(x), found)
        assert module.load_state_dict(module.state_dict())
        next(iter(module.parameters())).zero_()
    assert bits(wanted.to_torch().to_graph()) == bits(wanted.graph), "copies"
