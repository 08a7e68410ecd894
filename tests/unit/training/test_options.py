"""What the options of training do, and what is refused of them."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from hwprm.config.train import TrainConfig
from hwprm.core.errors import ConfigError, DataError, ModelError
from hwprm.nets import GraphModule
from hwprm.training import Context, Hooks, train
from hwprm.training.devices import Precision, choose_device
from hwprm.training.divergence import guessing_loss, refuse_excess, refuse_growth
from hwprm.training.engine import fit
from hwprm.training.masks import ZeroMasks
from tests.unit.training.synthetic import bits, blobs, tiny_graph

FAST = TrainConfig(epochs=2, batch=30, lr=5e-3)

BAD = [
    ({"schedule": "linear"}, "train.schedule must be one of cosine, constant, step, not 'linear'"),
    ({"momentum": 1.0}, "train.momentum must be a number in 0..0.9999, not 1.0"),
    ({"gamma": 0.0}, "train.gamma must be a number in 1e-06..1, not 0.0"),
    ({"milestones": (0.5, 1.5)}, "train.milestones must be a list, each a number in 0..1, not (0.5, 1.5)"),
    ({"milestones": (0.5, 0.5)}, "train.milestones must rise, not 0.5, 0.5"),
    ({"warmup": 0.95}, "train.warmup must be a number in 0..0.9, not 0.95"),
    ({"clip": -1.0}, "train.clip must be a number in 0..1e+09, not -1.0"),
    ({"loss_limit": 0.5}, "train.loss_limit must be a number in 1..1e+09, not 0.5"),
    ({"precision": "half"}, "train.precision must be one of float32, bfloat16, float16, not 'half'"),
    ({"device": "gpu"}, "train.device must be one of auto, cpu, cuda, not 'gpu'"),
    ({"channels_last": 1}, "train.channels_last must be true or false, not 1"),
]


@pytest.mark.parametrize(("options", "text"), BAD, ids=[str(options) for options, _ in BAD])
def test_bad_options(options, text):
    with pytest.raises(ConfigError, match=f"^{re.escape(text)}$"):
        TrainConfig(**options)


@pytest.fixture
def no_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.usefixtures("no_cuda")
def test_what_needs_cuda_is_refused_without_it():
    with pytest.raises(ConfigError, match=r"^train\.device = cuda, but torch finds no CUDA device here; set it to cpu"):
        train(tiny_graph(), blobs(), Context(config=replace(FAST, device="cuda")))
    for device in ("cpu", "auto"):
        with pytest.raises(ConfigError, match=r"^train\.precision = float16 needs a CUDA device.*; set it to bfloat16"):
            train(tiny_graph(), blobs(), Context(config=replace(FAST, device=device, precision="float16")))
    assert choose_device(FAST) == torch.device("cpu")


def test_each_process_has_its_own_cuda_device(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert choose_device(FAST) == torch.device("cuda", 3)
    assert choose_device(replace(FAST, device="cpu")) == torch.device("cpu")


class Gradients(Hooks):
    """Keeps the norm of all gradients and their formats, and the memory layout of a convolution weight."""

    def __init__(self):
        self.norms, self.seen = [], set()

    def after_step(self, module):
        grads = [p.grad for p in module.parameters()]
        self.norms.append(float(torch.linalg.vector_norm(torch.cat([g.flatten() for g in grads]))))
        last = module.weight("conv2").is_contiguous(memory_format=torch.channels_last)
        self.seen.add((*{g.dtype for g in grads}, last))


def _norms(**options):
    hooks = Gradients()
    module = GraphModule(tiny_graph())
    fit(module, blobs(), Context(config=replace(FAST, **options)), stage="test", hooks=hooks)
    return hooks, bits(module.to_graph())


def test_clipped_gradients_are_no_longer_than_asked():
    free, straight = _norms()
    clipped, other = _norms(clip=0.3)
    assert max(free.norms) > 0.4 and max(clipped.norms) <= 0.3 + 1e-5 and other != straight
    assert clipped.norms[0] == pytest.approx(0.3, rel=1e-4)
    assert _norms(clip=1e6)[1] == straight


def test_bfloat16_keeps_weights_and_gradients_in_float32_and_learns():
    hooks, narrow = _norms(precision="bfloat16")
    assert hooks.seen == {(torch.float32, True)} and narrow != _norms()[1]
    model = train(tiny_graph(norm=True), blobs(), Context(config=replace(FAST, epochs=4, precision="bfloat16")))
    assert model.meta["accuracy"]["dense"] >= 95


def test_layout_changes_rounding_only():
    hooks, plain = _norms(channels_last=False)
    assert hooks.seen == {(torch.float32, False)}
    last = _norms()[1]
    for key, value in plain.items():
        np.testing.assert_allclose(np.frombuffer(value, np.float32), np.frombuffer(last[key], np.float32), atol=1e-4)


def test_momentum_of_sgd():
    first, second = (_norms(optimiser="sgd", momentum=m)[1] for m in (0.0, 0.9))
    assert first != second and second == _norms(optimiser="sgd")[1]


def test_the_scale_of_the_loss_goes_through_a_checkpoint():
    """On the CPU float16 is refused, but the scaler itself runs there."""
    module = torch.nn.Linear(2, 1)
    optimiser = torch.optim.SGD(module.parameters(), 0.1)
    first, second = (Precision(TrainConfig(precision="float16"), torch.device("cpu")) for _ in range(2))
    before = module.weight.detach().clone()
    first.backward(module(torch.ones(1, 2)).sum(), optimiser)
    assert torch.equal(module.weight.grad, torch.ones(1, 2)), "unscaled"
    first.step(optimiser)
    torch.testing.assert_close(module.weight.detach(), before - 0.1)
    module.weight.grad = None
    first.backward(module(torch.full((1, 2), torch.inf)).sum(), optimiser)
    first.step(optimiser)
    torch.testing.assert_close(module.weight.detach(), before - 0.1)
    second.unpack(first.pack())
    assert second.scaler.state_dict() == first.scaler.state_dict()
    assert second.scaler.get_scale() == 32768.0, "an overflow halved it"


def test_gradients_that_are_not_finite_stop_the_run():
    class Spoil(Hooks):
        def after_backward(self, module):
            module.weight("fc1").grad[0, 0] = torch.nan

    with pytest.raises(
        ModelError, match=r"^test: training diverged, the gradients' norm is nan in epoch 1 of 2; lower"
    ):
        fit(GraphModule(tiny_graph()), blobs(), Context(config=FAST), stage="test", hooks=Spoil())


GROWTH = [
    ([2.0, 0.3, 1.0, 2.0, 3.1], True),
    ([2.0, 0.3, 1.0, 2.0, 3.0], False),  # just the limit
    ([0.3, 4.0, 3.9, 4.0, 4.1], False),  # not three times in a row
    ([0.01, 0.2, 0.4, 0.9], False),  # judged against 0.1, not 0.01
    ([0.01, 0.2, 0.4, 1.1], True),
    ([9.0, 10.0, 11.0], False),
]


@pytest.mark.parametrize(("losses", "grown"), GROWTH)
def test_growth_of_the_loss(losses, grown):
    if not grown:
        return refuse_growth("test", losses, FAST)
    with pytest.raises(ModelError, match=r"^test: training diverges, the loss grew to .* lower the learning rate lr "):
        refuse_growth("test", losses, FAST)
    refuse_growth("test", losses, replace(FAST, loss_limit=100.0))


def test_a_loss_that_grows_stops_the_run():
    class Worsen(Hooks):
        def after_step(self, module):
            module.weight("fc2").mul_(-1.4)

    config = replace(FAST, epochs=12, lr=1e-6, augment="none")
    with pytest.raises(
        ModelError, match=r"^test: training diverges, .* \(now 1e-06\) or, if .* raise train\.loss_limit$"
    ):
        fit(GraphModule(tiny_graph()), blobs(), Context(config=config), stage="test", hooks=Worsen())


def test_growth_up_to_what_guessing_costs_may_be_due_to_a_smaller_network():
    guessing = guessing_loss(3, False, FAST)
    assert guessing == pytest.approx(np.log(3))
    refuse_growth("test", [0.01, 0.2, 0.4, 1.09], FAST, guessing)
    with pytest.raises(ModelError, match="diverges, the loss grew to 1.11 over"):
        refuse_growth("test", [0.01, 0.2, 0.4, 1.11], FAST, guessing)
    assert guessing_loss(3, True, replace(FAST, distill=0.5, temperature=2.0)) == pytest.approx(2.5 * np.log(3))


def test_a_loss_far_above_the_start_stops_the_run():
    refuse_excess("test", [30.0, 20.0], FAST, 2.0)
    with pytest.raises(
        ModelError,
        match=r"^test: training diverges, the loss of epoch 2 is 20.1, more than 10 times that of the start or of "
        r"guessing \(2\); lower the learning rate lr \(now 0.005\) or, if .* raise train.loss_limit$",
    ):
        refuse_excess("test", [30.0, 20.1], FAST, 2.0)
    # A rate beyond all reason, from which a run may come back with a network that knows little.
    with pytest.raises(ModelError, match=r"^train: training diverges, the loss of epoch 1 is .* \(now 1000\)"):
        train(tiny_graph(), blobs(), Context(config=replace(FAST, epochs=2, lr=1000.0)))
    # Images of a large scale cost much at first.
    data = blobs()
    loud = replace(data, x_train=data.x_train.astype(np.float32), x_test=data.x_test.astype(np.float32))
    assert train(tiny_graph(), loud, Context(config=replace(FAST, epochs=2, lr=1e-4))).meta["log"][0]["loss"] > 20


def test_module_and_masks_come_back_to_the_cpu():
    module = GraphModule(tiny_graph())
    with torch.no_grad():
        module.weight("conv2")[1].zero_()
    hooks = ZeroMasks.of(module)
    moved = []
    to = hooks.to
    hooks.to = lambda device: moved.append(device) or to(device)
    fit(module, blobs(), Context(config=replace(FAST, epochs=1)), stage="test", hooks=hooks)
    assert moved == [torch.device("cpu")] * 2
    assert {p.device.type for p in module.parameters()} == {"cpu"}


TEACHERS = [
    (tiny_graph(padding=1), None),
    ("shape", r"^the teacher does not fit: the network reads \(1, 8, 8\), the images are \(1, 9, 9\); choose"),
    ("classes", r"^the teacher gives logits of shape \(3,\), the network \(5,\); take a teacher of its classes$"),
]


@pytest.mark.parametrize(("teacher", "text"), TEACHERS, ids=["fits", "shape", "classes"])
def test_teachers_that_do_not_fit_are_refused_before_the_first_step(teacher, text):
    data, graph = blobs(), tiny_graph()
    if text is None:
        assert train(graph, data, Context(config=FAST, teacher=teacher))
        return
    if teacher == "shape":
        data = _padded(data)
        graph = _graph_of((1, 9, 9), 3)
    else:
        graph = _graph_of((1, 8, 8), 5)
    calls = []
    with pytest.raises((DataError, ModelError), match=text):
        train(graph, data, Context(config=FAST, teacher=tiny_graph(), progress=lambda *call: calls.append(call)))
    assert calls == []


def _padded(data):
    wide = ((0, 0), (0, 0), (0, 1), (0, 1))
    return replace(data, x_train=np.pad(data.x_train, wide), x_test=np.pad(data.x_test, wide))


def _graph_of(shape, classes):
    from hwprm.graph import Flatten, Graph, Input, Linear

    weight = np.zeros((classes, int(np.prod(shape))), np.float32)
    return Graph(
        (
            Input(name="image", inputs=(), shape=shape),
            Flatten(name="flat", inputs=("image",)),
            Linear(name="fc", inputs=("flat",), weight=weight, bias=np.zeros(classes, np.float32)),
        ),
        ("fc",),
    )
