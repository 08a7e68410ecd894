"""What the result takes in place of the last weights, and what options change of images, decay and teacher."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from hwprm import api
from hwprm.config import FinetuneConfig, TrainConfig
from hwprm.core.errors import ConfigError
from hwprm.graph import BatchNorm
from hwprm.model import Model, Stage
from hwprm.nets import GraphModule
from hwprm.sources import Split
from hwprm.training import Checkpoint, Context, accuracy, finetune, fit, train
from hwprm.training.augment import Augmentation, cut_out
from hwprm.training.hooks import Hooks
from hwprm.training.optimisers import make_optimiser
from hwprm.training.samples import Samples
from hwprm.training.schedule import learning_rate
from tests.unit.training.synthetic import bits, blobs, tiny_graph

FAST = TrainConfig(epochs=2, batch=30, lr=5e-3)


class Noted(Hooks):
    """Every parameter after every step."""

    def __init__(self):
        self.seen = []

    def after_step(self, module):
        self.seen.append({name: value.detach().clone() for name, value in module.named_parameters()})


def test_the_result_is_the_moving_average_of_the_weights():
    noted, module = Noted(), GraphModule(tiny_graph(norm=True))
    begin = {name: value.detach().clone() for name, value in module.named_parameters()}
    fit(module, blobs(), Context(config=replace(FAST, average=0.5)), stage="test", hooks=noted)
    assert len(noted.seen) == 12
    for name, value in module.named_parameters():
        mean = begin[name].double()
        for step, weights in enumerate(noted.seen, 1):
            past = min(0.5, (1 + step) / (10 + step))
            mean = past * mean + (1 - past) * weights[name].double()
        torch.testing.assert_close(value.detach().double(), mean, rtol=1e-5, atol=1e-6)


def test_averaging_changes_nothing_on_the_way_and_goes_through_a_stop(tmp_path):
    class Stop:
        def __call__(self, stage, done, total, metrics):
            if "accuracy" in metrics and done > 6:
                raise KeyboardInterrupt

    config = replace(FAST, epochs=3, average=0.9)
    plain, whole = (
        train(tiny_graph(norm=True), blobs(), Context(config=replace(config, average=a))) for a in (0.0, 0.9)
    )
    assert plain.meta["log"] == whole.meta["log"] and bits(plain.graph) != bits(whole.graph)
    with pytest.raises(KeyboardInterrupt):
        train(
            tiny_graph(norm=True),
            blobs(),
            Context(config=config, progress=Stop(), checkpoint=Checkpoint(folder=tmp_path)),
        )
    kept = Context(config=config, checkpoint=Checkpoint(folder=tmp_path, resume=True))
    assert bits(train(tiny_graph(norm=True), blobs(), kept).graph) == bits(whole.graph)


def test_zeros_are_zeros_of_the_average():
    graph = tiny_graph()
    weight = graph.by_name["fc1"].weight.copy()
    weight[:, ::2] = 0
    model = Model(graph=graph.replace(replace(graph.by_name["fc1"], weight=weight)), stage=Stage.COMPACT)
    done = finetune(model, blobs(), Context(config=replace(FAST, average=0.9)))
    assert not done.graph.by_name["fc1"].weight[:, ::2].any() and done.graph.by_name["fc1"].weight[:, 1::2].any()


def test_batch_norms_take_the_statistics_of_the_images():
    model = train(tiny_graph(norm=True), blobs(), Context(config=replace(FAST, recalibrate=10_000)))
    norm = next(node for node in model.graph.nodes if isinstance(node, BatchNorm))
    module = GraphModule(model.graph).eval()
    images = torch.from_numpy(blobs().x_train).float() / 255
    before = module.run(images)[norm.inputs[0]]
    np.testing.assert_allclose(norm.mean, before.mean((0, 2, 3)).detach(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(norm.var, before.var((0, 2, 3)).detach(), rtol=0.05)
    plain = train(tiny_graph(norm=True), blobs(), Context(config=FAST))
    assert plain.meta["log"] == model.meta["log"]
    assert not np.array_equal(plain.graph.by_name[norm.name].mean, norm.mean)


def test_batch_norms_take_the_statistics_of_what_training_sees():
    """An image is never wholly bright in training, where its borders come in from outside."""
    data = replace(blobs(), x_train=np.full_like(blobs().x_train, 255))
    config = replace(FAST, augment="crop_flip", clean_share=0.25, recalibrate=10_000)
    model = train(tiny_graph(norm=True), data, Context(config=config))
    norm = next(node for node in model.graph.nodes if isinstance(node, BatchNorm))
    module = GraphModule(model.graph).eval()
    samples = Samples(data, model.graph, Context(config=config), torch.float32)
    seen = torch.cat([batch.images[0] for batch in samples.epoch(5)])
    assert 0.1 < (seen == 0).float().mean() < 0.6
    with torch.no_grad():
        before = module.run(seen)[norm.inputs[0]]
        clean = module.run(torch.from_numpy(data.x_train).float() / 255)[norm.inputs[0]]
    far = (clean.mean((0, 2, 3)) - before.mean((0, 2, 3))).abs()
    assert (np.abs(norm.mean - before.mean((0, 2, 3)).numpy()) < 0.3 * far.numpy()).all()
    np.testing.assert_allclose(norm.var, before.var((0, 2, 3)), rtol=0.2)


def test_a_model_notes_how_its_images_were_augmented():
    config = replace(FAST, augment="shift", clean_share=0.25, cutout=2, cutmix=0.5)
    model = train(tiny_graph(norm=True), blobs(), Context(config=config))
    assert model.meta["augmentation"] == {"kind": "shift", "clean_share": 0.25, "cutout": 2, "cutmix": 0.5}
    again = train(model, blobs(), Context(config=replace(config, augment="none")))
    assert Augmentation.noted(again.meta) == Augmentation(kind="none", clean_share=0.25, cutout=2, cutmix=0.5)
    assert Augmentation.noted({}) is None
    older = {"augmentation": {"kind": "shift", "clean_share": 0.25, "cutout": 2}}
    assert Augmentation.noted(older) == Augmentation(kind="shift", clean_share=0.25, cutout=2)


def test_what_the_result_would_be_is_measured_on_the_way():
    """Every other epoch and the last one, with averaged weights, and training is the same to the bit."""
    other = blobs(seed=7)
    data = Split(dataset=blobs(), x_validation=other.x_test, y_validation=other.y_test)
    config = replace(FAST, epochs=5, average=0.9)
    plain, watched = (api.train(tiny_graph(norm=True), data, replace(config, validate=every)) for every in (0, 2))
    assert bits(plain.graph) == bits(watched.graph)
    found = [entry.get("held_out_accuracy") for entry in watched.meta["log"]]
    assert [value is not None for value in found] == [False, True, False, True, True]
    assert found[-1] == accuracy(watched.graph, other.x_test, other.y_test, other.input_scale)
    assert not any("held_out_accuracy" in entry for entry in plain.meta["log"])
    with pytest.raises(ConfigError, match=r"none are; set data\.validation"):
        api.train(tiny_graph(), blobs(), replace(config, validate=1))


def test_one_image_has_no_statistics():
    one = train(tiny_graph(norm=True), blobs(), Context(config=replace(FAST, recalibrate=1)))
    assert bits(one.graph) == bits(train(tiny_graph(norm=True), blobs(), Context(config=FAST)).graph)


def test_the_square_that_is_cut_out():
    images = torch.ones(400, 2, 8, 6)
    cut = cut_out(images, 3, 0.25, np.random.default_rng(0))
    gone = (cut == 0).flatten(2).sum(2)
    assert torch.equal(gone[:, 0], gone[:, 1]), "all channels alike"
    whole = (gone[:, 0] == 0).float().mean()
    assert 0.18 < whole < 0.32 and gone.max() == 9 and set(gone[gone > 0].tolist()) == {4, 6, 9}
    state = np.random.default_rng(0)
    assert cut_out(images, 0, 0.0, state) is images
    assert state.random() == np.random.default_rng(0).random(), "nothing was drawn"


@pytest.mark.parametrize("copies", [0, 2])
def test_cutting_out_is_part_of_augmentation(copies):
    config = replace(FAST, augment="shift", clean_share=0.0, cutout=4, copies=copies)
    data = replace(blobs(), x_train=np.full_like(blobs().x_train, 255))
    samples = Samples(data, tiny_graph(), Context(config=config), torch.float32)
    images = torch.cat([batch.images[0] for batch in samples.epoch(0)])
    # An inner square, which no shift reaches.
    inner = (images[:, 0, 2:6, 2:6] == 0).flatten(1).any(1)
    assert 0.5 < inner.float().mean() <= 1


def test_decay_spares_what_has_one_axis():
    module = GraphModule(tiny_graph(norm=True))
    spared = make_optimiser(module, replace(FAST, decayed="matrices"))
    assert [group["weight_decay"] for group in spared.param_groups] == [1e-3, 0.0]
    assert {p.ndim for p in spared.param_groups[0]["params"]} == {2, 4}
    assert {p.ndim for p in spared.param_groups[1]["params"]} == {1}
    assert len(make_optimiser(module, FAST).param_groups) == 1


def test_where_the_cosine_ends():
    config = TrainConfig(lr=0.5, lr_end=0.0)
    assert learning_rate(config, 999, 1000) < 1e-5 and learning_rate(config, 0, 1000) == 0.5
    assert learning_rate(replace(config, lr_end=1.0), 700, 1000) == 0.5


BAD = [
    ({"nesterov": True}, "train.nesterov is a form of sgd's momentum; set train.optimiser to sgd, or leave it out"),
    ({"nesterov": 1}, "train.nesterov must be true or false, not 1"),
    ({"decayed": "some"}, "train.decayed must be one of all, matrices, not 'some'"),
    ({"lr_end": 2.0}, "train.lr_end must be a number in 0..1, not 2.0"),
    ({"average": 1.0}, "train.average must be a number in 0..0.999999, not 1.0"),
    ({"cutout": -1}, "train.cutout must be a whole number in 0..10000 pixels, not -1"),
    ({"cutmix": 1.5}, "train.cutmix must be a number in 0..1, not 1.5"),
    ({"recalibrate": 0.5}, "train.recalibrate must be a whole number in 0..1099511627776, not 0.5"),
]


@pytest.mark.parametrize(("options", "text"), BAD, ids=str)
def test_bad_options(options, text):
    with pytest.raises(ConfigError) as caught:
        TrainConfig(**options)
    assert str(caught.value) == text


def test_fine_tuning_has_an_optimiser_and_a_schedule_of_its_own():
    base = TrainConfig(optimiser="sgd", nesterov=True, average=0.9, recalibrate=7)
    plain = FinetuneConfig(epochs=3).over(base)
    assert (plain.optimiser, plain.nesterov, plain.schedule) == ("sgd", True, "cosine")
    assert (plain.average, plain.recalibrate) == (0.0, 0)
    other = FinetuneConfig(epochs=3, optimiser="adamw", schedule="step", average=0.99, recalibrate=50).over(base)
    assert (other.optimiser, other.nesterov, other.schedule) == ("adamw", False, "step")
    assert (other.average, other.recalibrate) == (0.99, 50)
    with pytest.raises(
        ConfigError, match=r"^finetune\.optimiser must be none or one of adamw, sgd, not 'adam'; did you"
    ):
        FinetuneConfig(optimiser="adam")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_teacher_is_asked_in_the_precision_of_training(precision):
    config = replace(FAST, precision=precision, augment="none")
    graph = tiny_graph(seed=1)
    batch = next(iter(Samples(blobs(), tiny_graph(), Context(config=config, teacher=graph), torch.float32).epoch(0)))
    exact = GraphModule(graph).eval()(batch.images[0]).detach()
    assert batch.taught.dtype == torch.float32
    assert torch.equal(batch.taught, exact) == (precision == "float32")
    torch.testing.assert_close(batch.taught, exact, rtol=0.1, atol=0.1)


@pytest.mark.parametrize("copies", [0, 2])
def test_a_teacher_may_be_asked_about_mirror_images_too(copies):
    config = replace(FAST, augment="crop_flip", copies=copies, ask_mirrored=True)
    graph = tiny_graph(seed=1)
    batch = next(iter(Samples(blobs(), tiny_graph(), Context(config=config, teacher=graph), torch.float32).epoch(0)))
    module = GraphModule(graph).eval()
    with torch.no_grad():
        one, other = module(batch.images[0]), module(batch.images[0].flip(-1))
    torch.testing.assert_close(batch.taught, (one + other) / 2)
    assert not torch.allclose(batch.taught, one, atol=1e-3)


def test_copies_are_drawn_mirrored_too_where_the_teacher_says_the_same_of_both():
    config = replace(FAST, augment="shift", clean_share=0.5, copies=1)
    data, graph = blobs(), tiny_graph()

    def met(**options):
        samples = Samples(data, graph, Context(config=replace(config, **options), teacher=graph), torch.float32)
        return {image.numpy().tobytes() for epoch in range(20) for b in samples.epoch(epoch) for image in b.images[0]}

    plain, mirrored = met(), met(ask_mirrored=True)
    flipped = {torch.frombuffer(bytearray(i), dtype=torch.float32).view(8, 8).flip(-1).numpy().tobytes() for i in plain}
    assert mirrored <= plain | flipped
    assert 0.3 < len(mirrored - plain) / len(mirrored) < 0.7


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_logits_of_copies_are_kept_on_disk(precision, tmp_path, monkeypatch):
    config = replace(FAST, augment="shift", copies=2, precision=precision)
    context = Context(config=config, teacher=tiny_graph(seed=1), checkpoint=Checkpoint(folder=tmp_path))
    first = Samples(blobs(), tiny_graph(), context, torch.float32).pool_logits
    assert first.dtype == {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]
    assert len(files := sorted(tmp_path.iterdir())) == 3, "one of the set, and of every copy"
    monkeypatch.setattr("hwprm.training.samples._LAST", {})
    monkeypatch.setattr(Samples, "_ask_about", lambda self, images: pytest.fail("asked again"))
    assert torch.equal(Samples(blobs(), tiny_graph(), context, torch.float32).pool_logits, first)
    monkeypatch.undo()
    monkeypatch.setattr("hwprm.training.samples._LAST", {})
    files[0].write_bytes(b"cut short")
    assert torch.equal(Samples(blobs(), tiny_graph(), context, torch.float32).pool_logits, first)
