"""The engine: it learns, repeats itself bit for bit, stops and resumes, and refuses divergence."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from hwprm.config.train import TrainConfig
from hwprm.core.errors import ConfigError, DataError, ModelError
from hwprm.graph import BatchNorm, Graph
from hwprm.model import Model, Stage
from hwprm.nets import GraphModule
from hwprm.training import Checkpoint, Context, accuracy, train
from hwprm.training.evaluate import held_out_accuracy
from tests.unit.training.synthetic import bits, blobs, tiny_graph

FAST = TrainConfig(epochs=4, batch=30, lr=5e-3)


def test_it_learns_and_tells_how_far_it_is():
    calls = []
    model = train(tiny_graph(), blobs(), Context(config=FAST, progress=lambda *call: calls.append(call)))
    assert model.stage is Stage.DENSE and model.meta["accuracy"]["dense"] >= 95
    assert model.meta["data"] == "blobs" and model.meta["input_scale"] == 1 / 255 and model.meta["seed"] == 0
    assert [entry["epoch"] for entry in model.meta["log"]] == [1, 2, 3, 4]
    assert model.meta["log"][-1]["loss"] < model.meta["log"][0]["loss"] / 2
    done = [call[1] for call in calls]
    assert done == sorted(done) and done[-1] == calls[-1][2] == 4 * 6 and {call[0] for call in calls} == {"train"}


@pytest.mark.parametrize(
    "options", [{}, {"augment": "affine"}, {"optimiser": "sgd"}, {"label_smoothing": 0.1}], ids=str
)
def test_same_seed_same_bits_other_seed_others(options):
    config = replace(FAST, epochs=2, **options)
    first = train(tiny_graph(norm=True), blobs(), Context(config=config)).graph
    assert bits(train(tiny_graph(norm=True), blobs(), Context(config=config)).graph) == bits(first)
    assert bits(train(tiny_graph(norm=True), blobs(), Context(config=replace(config, seed=1))).graph) != bits(first)


class StopAt:
    """Ctrl-C at the n-th call of the progress function."""

    def __init__(self, n):
        self.n = n

    def __call__(self, stage, done, total, metrics):
        self.n -= 1
        if self.n < 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("options", [{"augment": "affine"}, {"optimiser": "sgd", "augment": "shift"}], ids=str)
@pytest.mark.parametrize("calls", [3, 5])
def test_resume_equals_an_uninterrupted_run(tmp_path, options, calls):
    config = replace(FAST, **options)
    whole = train(tiny_graph(norm=True), blobs(), Context(config=config))
    folder = tmp_path / "run"
    with pytest.raises(
        KeyboardInterrupt, match=r"^stopped in epoch \d of 4 of train; run again .* resume on, it goes on"
    ):
        train(
            tiny_graph(norm=True),
            blobs(),
            Context(config=config, progress=StopAt(calls), checkpoint=Checkpoint(folder=folder)),
        )
    epoch = json.loads((folder / "train.json").read_text())["epoch"]
    assert 1 <= epoch < 4
    seen = []
    resumed = train(
        tiny_graph(norm=True),
        blobs(),
        Context(
            config=config,
            progress=lambda *call: seen.append(call[1]),
            checkpoint=Checkpoint(folder=folder, resume=True),
        ),
    )
    assert seen[0] > epoch * 6
    assert bits(resumed.graph) == bits(whole.graph)
    assert resumed.meta["log"] == whole.meta["log"]
    assert [p.name for p in sorted(folder.iterdir())] == ["train-4.safetensors", "train.json"]


def test_resume_of_a_finished_run_does_nothing_more(tmp_path):
    config = replace(FAST, epochs=1)
    first = train(tiny_graph(), blobs(), Context(config=config, checkpoint=Checkpoint(folder=tmp_path)))
    calls = []
    again = train(
        tiny_graph(),
        blobs(),
        Context(
            config=config,
            progress=lambda *call: calls.append(call),
            checkpoint=Checkpoint(folder=tmp_path, resume=True),
        ),
    )
    assert calls == [] and bits(again.graph) == bits(first.graph)
    assert again.meta["seconds"] == first.meta["seconds"]


def test_interrupt_without_a_folder_says_that_nothing_was_kept():
    with pytest.raises(KeyboardInterrupt, match="nothing was kept, as no checkpoint folder was given"):
        train(tiny_graph(), blobs(), Context(config=FAST, progress=StopAt(1)))


@pytest.mark.parametrize("change", ["options", "network", "data"])
def test_a_checkpoint_of_another_run_is_refused(tmp_path, change):
    config = replace(FAST, epochs=1)
    train(tiny_graph(), blobs(), Context(config=config, checkpoint=Checkpoint(folder=tmp_path)))
    other = {"options": config, "network": tiny_graph(), "data": blobs()}
    changed = {"options": replace(config, lr=1e-3), "network": tiny_graph(seed=1), "data": blobs(seed=1)}
    other[change] = changed[change]
    with pytest.raises(ModelError, match=r"train\.json belongs to a run with other options, another network or other"):
        train(
            other["network"],
            other["data"],
            Context(config=other["options"], checkpoint=Checkpoint(folder=tmp_path, resume=True)),
        )


@pytest.mark.parametrize("damage", ["json", "tensors", "missing"])
def test_a_damaged_checkpoint_is_refused(tmp_path, damage):
    config = replace(FAST, epochs=1)
    train(tiny_graph(), blobs(), Context(config=config, checkpoint=Checkpoint(folder=tmp_path)))
    tensors = tmp_path / "train-1.safetensors"
    if damage == "json":
        (tmp_path / "train.json").write_text('{"format"')
    elif damage == "tensors":
        tensors.write_bytes(tensors.read_bytes()[:-50])
    else:
        tensors.unlink()
    with pytest.raises(ModelError, match=r"train\.json is no readable checkpoint \(.*\); delete .* to start anew$"):
        train(tiny_graph(), blobs(), Context(config=config, checkpoint=Checkpoint(folder=tmp_path, resume=True)))


def test_divergence_stops_with_advice():
    config = replace(FAST, optimiser="sgd", lr=1e3, epochs=20)
    with pytest.raises(
        ModelError,
        match=r"^train: training diverged, the (loss|gradients' norm) is (nan|inf) in epoch \d+ of 20; lower the "
        r"learning rate lr \(now 1000\) or check the images$",
    ):
        train(tiny_graph(), blobs(), Context(config=config))


def test_threads_are_restored():
    before = torch.get_num_threads()
    seen = []
    train(
        tiny_graph(),
        blobs(),
        Context(
            config=replace(FAST, epochs=1, threads=before + 1),
            progress=lambda *call: seen.append(torch.get_num_threads()),
        ),
    )
    assert set(seen) == {before + 1} and torch.get_num_threads() == before


def test_accuracy_is_computed_as_training_is(monkeypatch):
    before, seen = torch.get_num_threads(), []
    forward = GraphModule.forward

    def spy(module, *images):
        if not module.training:
            seen.append((torch.get_num_threads(), images[0].device.type))
        return forward(module, *images)

    monkeypatch.setattr(GraphModule, "forward", spy)
    train(tiny_graph(), blobs(), Context(config=replace(FAST, epochs=1, threads=before + 1)))
    assert seen == [(before + 1, "cpu")] and torch.get_num_threads() == before
    # A device that computes nothing shows where the images would go.
    monkeypatch.setattr("hwprm.training.evaluate.choose_device", lambda config: torch.device("meta"))
    with pytest.raises(NotImplementedError):
        held_out_accuracy(tiny_graph(), blobs(), FAST)
    assert seen[-1][1] == "meta" and torch.get_num_threads() == before


def test_training_on_keeps_the_stage_and_zeros():
    model = train(tiny_graph(), blobs(), Context(config=replace(FAST, epochs=1)))
    conv = model.graph.by_name["conv2"]
    weight, bias = conv.weight.copy(), conv.bias.copy()
    weight[3], bias[3], weight[:, 1] = 0, 0, 0
    pruned = model.advance(model.graph.replace(replace(conv, weight=weight, bias=bias)), Stage.ADMM)
    tuned = train(pruned, blobs(), Context(config=replace(FAST, epochs=1)))
    assert tuned.stage is Stage.ADMM and set(tuned.meta["accuracy"]) == {"dense", "admm"}
    new = tuned.graph.by_name["conv2"]
    assert np.array_equal(new.weight == 0, weight == 0) and new.bias[3] == 0
    assert not np.array_equal(new.weight, weight)


def test_networks_and_data_that_do_not_fit():
    graph = tiny_graph()
    wide = Graph(graph.nodes, ("fc2", "fc1"))
    with pytest.raises(ModelError, match=r"^the network has 2 outputs; classification needs one, the logits$"):
        train(wide, blobs(), Context(config=FAST))
    with pytest.raises(DataError, match=r"^the network reads \(1, 8, 8\), the images are \(1, 7, 8\); choose"):
        accuracy(graph, np.zeros((2, 1, 7, 8)), np.zeros(2, np.int64), 1.0)
    with pytest.raises(DataError, match=r"^the network's output has shape \(3,\), the labels need 5 classes$"):
        accuracy(graph, np.zeros((1, 1, 8, 8)), np.array([4]), 1.0)
    with pytest.raises(DataError, match=r"^accuracy needs as many labels as images and at least one, not 0 and 0$"):
        accuracy(graph, np.zeros((0, 1, 8, 8)), np.zeros(0, np.int64), 1.0)


def test_accuracy_counts_and_breaks_ties_low():
    from hwprm.graph import Input, Linear

    nodes = (
        Input(name="x", inputs=(), shape=(3,)),
        Linear(name="y", inputs=("x",), weight=np.eye(3, dtype=np.float32), bias=np.zeros(3, np.float32)),
    )
    x = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [2, 2, 1]], np.float32)
    graph = Graph(nodes, ("y",))
    assert accuracy(graph, x, np.array([0, 1, 2, 0]), 1.0) == 100.0
    assert accuracy(graph, x, np.array([0, 1, 1, 1]), 0.5) == 50.0


BAD = [
    ("epochs", 0, "train.epochs must be a whole number in 1..10000, not 0"),
    ("batch", 2.5, "train.batch must be a whole number in 1..1048576, not 2.5"),
    ("lr", float("nan"), "train.lr must be a number in 1e-12..1000, not nan"),
    ("weight_decay", -1, "train.weight_decay must be a number in 0..1000, not -1"),
    ("optimiser", "adam", "train.optimiser must be one of adamw, sgd, not 'adam'; did you mean 'adamw'?"),
    ("augment", "flip", "train.augment must be one of auto, none, shift, affine, elastic, crop_flip, not 'flip'"),
    ("threads", True, "train.threads must be a whole number in 1..1024, not True"),
]


@pytest.mark.parametrize(("key", "value", "text"), BAD, ids=[key for key, _, _ in BAD])
def test_bad_options(key, value, text):
    with pytest.raises(ConfigError, match=f"^{re.escape(text)}$"):
        TrainConfig(**{key: value})


def test_a_model_goes_through_its_files(tmp_path):
    model = train(tiny_graph(), blobs(), Context(config=replace(FAST, epochs=1)))
    model.save(tmp_path)
    again = Model.load(tmp_path)
    assert bits(again.graph) == bits(model.graph) and again.meta == model.meta
    plan = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(plan | {"meta": 5}))
    with pytest.raises(ModelError, match=r"holds no model \(.*\); run `hwprm train` or `hwprm prune` again$"):
        Model.load(tmp_path)


def test_nothing_to_train():
    from hwprm.graph import Flatten, Input, Linear

    image = Input(name="image", inputs=(), shape=(1, 8, 8))
    with pytest.raises(ModelError, match=r"^the network has no weights, so there is nothing to train; give it a layer"):
        train(Graph((image, Flatten(name="flat", inputs=("image",))), ("flat",)), blobs(), Context(config=FAST))
    flat, fc = Flatten(name="flat", inputs=("image",)), np.ones((3, 64), np.float32)
    ones = np.ones(3, np.float32)
    norm = BatchNorm(name="norm", inputs=("fc",), weight=ones, bias=ones, mean=ones, var=ones)
    graph = Graph((image, flat, Linear(name="fc", inputs=("flat",), weight=fc, bias=ones), norm), ("norm",))
    words = (
        r"^batch norm 'norm' cannot be trained on batches of one image \(180 images, train.batch = 1\): they have no"
    )
    with pytest.raises(ModelError, match=words):
        train(graph, blobs(), Context(config=replace(FAST, batch=1)))
    assert train(graph, blobs(), Context(config=replace(FAST, epochs=1, batch=2))).meta["log"]


def test_what_stopped_a_run_is_still_told_apart():
    class Ended(KeyboardInterrupt):
        """SIGTERM, say."""

    def stop(*_: object) -> None:
        raise Ended

    with pytest.raises(Ended, match="^stopped in epoch 1 of 1 of train"):
        train(tiny_graph(), blobs(), Context(config=replace(FAST, epochs=1), progress=stop))


def test_a_stop_after_the_last_epoch_says_so():
    class AtTheEnd:
        def __call__(self, stage, done, total, metrics):
            if done == total:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="^stopped in epoch 2 of 2 of train; nothing was kept"):
        train(tiny_graph(), blobs(), Context(config=replace(FAST, epochs=2), progress=AtTheEnd()))


def test_classes_among_the_first_few():
    from hwprm.training.evaluate import count_in_top

    rng = np.random.default_rng(0)
    scores = rng.integers(0, 4, (200, 6))  # many of them equal
    labels = rng.integers(0, 6, 200)
    for top in (1, 2, 5, 6):
        order = np.argsort(-scores, axis=1, kind="stable")[:, :top]
        assert count_in_top(scores, labels, top) == int((order == labels[:, None]).any(axis=1).sum())
    assert count_in_top(scores, labels, 1) == int((scores.argmax(axis=1) == labels).sum())
    assert count_in_top(scores, np.full(200, 6), 6) == 0
