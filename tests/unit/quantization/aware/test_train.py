"""Training in integers, from model to model: what is kept of it, what it refuses, and that it helps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hwprm import api
from hwprm.config import QatConfig, QatOptions, QuantizeConfig, TrainConfig
from hwprm.core.errors import ConfigError, HwprmError, InputError, MismatchError, ModelError
from hwprm.intnet import reference
from hwprm.model import Model, Stage
from hwprm.pruning import account
from hwprm.quantization import quantize_images, quantize_network, run_torch, stored_accuracy
from hwprm.quantization.aware.module import IntegerModule
from hwprm.quantization.aware.train import compare
from hwprm.quantization.calibration import Trained
from hwprm.training import Checkpoint
from tests.unit.training.synthetic import bits, blobs, tiny_graph

DATA = blobs(480)
BITS = QuantizeConfig(weight_bits=3, act_bits=2)
TRAIN = TrainConfig(augment="none", device="cpu")
QAT = QatConfig(epochs=4, batch=24, lr=5e-3)


@pytest.fixture(scope="module")
def floats() -> Model:
    """A network with batch norm and pruned columns, trained a little."""
    graph = tiny_graph(norm=True)
    weight = graph.by_name["conv2"].weight.copy()
    weight[:, 0] = 0
    weight[:, 1, 0, 0] = 0
    graph = graph.replace(replace(graph.by_name["conv2"], weight=weight))
    model = Model(graph=graph, stage=Stage.ADMM)
    return api.train(model, DATA, replace(TRAIN, epochs=3, batch=24, lr=3e-3))


@pytest.fixture(scope="module")
def trained(floats: Model) -> Model:
    return api.qat(floats, DATA, QatOptions(quantize=BITS, qat=QAT, train=TRAIN))


def right(net) -> float:
    return stored_accuracy(net, DATA.x_test, DATA.input_scale, DATA.y_test)


def test_training_in_integers_gives_back_what_few_bits_take(floats: Model, trained: Model) -> None:
    rounded, own = api.quantize(floats, DATA, BITS), api.quantize(trained, DATA, BITS)
    assert right(rounded) < 90 and right(own) > 97
    assert trained.meta["accuracy"]["qat"] == right(own)
    assert [entry["stage"] for entry in trained.meta["log"]][-4:] == ["qat"] * 4
    assert trained.meta["teacher"]["sha256"] == floats.graph.weights_digest


def test_training_goes_on_from_compensated_weights(floats: Model) -> None:
    """What is compared at the end, integer by integer, is rounded to the nearest, as every pass was."""
    asked = replace(BITS, rounding="compensated")
    made = api.qat(floats, DATA, QatOptions(quantize=asked, qat=replace(QAT, epochs=1), train=TRAIN))
    assert right(api.quantize(made, DATA, asked)) == made.meta["accuracy"]["qat"]


def test_training_starts_from_compensated_weights(floats: Model) -> None:
    """An epoch without a step: the integers are those of the compensated weights, and pruned ones are zero."""
    asked = replace(BITS, rounding="compensated")
    still = api.qat(floats, DATA, QatOptions(quantize=asked, qat=replace(QAT, epochs=1, lr=1e-12), train=TRAIN))
    own, rounded = api.quantize(still, DATA, asked), api.quantize(floats, DATA, BITS)
    wanted = api.quantize(floats, DATA, asked)
    same = [
        np.mean(a.terms[0].weight == b.terms[0].weight)
        for a, b in zip(wanted.layers, own.layers, strict=True)
        if not a.wide
    ]
    assert min(same) > 0.9
    assert right(own) > right(rounded)
    assert not still.graph.by_name["conv2"].weight[:, 0].any()


def test_the_last_forward_pass_is_the_network_in_every_integer(trained: Model) -> None:
    net = api.quantize(trained, DATA, BITS)
    known = Trained.of(trained.meta["qat"])
    module = IntegerModule(trained.graph, DATA.x_train, DATA.input_scale, BITS)
    module.calibration = known.calibration
    compare(module, net, DATA)
    stored = quantize_images(DATA.x_test[:5], DATA.input_scale, net)
    found = run_torch(net, stored)
    for name, values in reference.run(net, stored).items():
        np.testing.assert_array_equal(found[name], values)


def test_another_integer_is_told(trained: Model) -> None:
    module = IntegerModule(trained.graph, DATA.x_train, DATA.input_scale, BITS)
    net = quantize_network(trained.graph, DATA.x_train, DATA.input_scale, BITS)
    compare(module, net, DATA)
    module.bias("conv2").detach()[0] += 0.3
    with pytest.raises(MismatchError, match="layer 'conv2': the integers that were trained are not those"):
        compare(module, net, DATA)


def test_zeros_stay_zero_and_batch_norms_are_gone(trained: Model) -> None:
    graph = trained.graph
    weight = graph.by_name["conv2"].weight
    assert not weight[:, 0].any() and not weight[:, 1, 0, 0].any() and weight[:, 1].any()
    assert "bn1" not in graph.by_name
    assert trained.stage is Stage.ADMM


def test_it_is_kept_with_the_model(trained: Model, tmp_path: Path) -> None:
    trained.save(tmp_path / "model")
    again = Model.load(tmp_path / "model")
    one, two = api.quantize(trained, DATA, BITS), api.quantize(tmp_path / "model", DATA)  # bits are the model's own
    assert Trained.of(again.meta["qat"]) == Trained.of(trained.meta["qat"])
    for a, b in zip(one.layers, two.layers, strict=True):
        np.testing.assert_array_equal(a.terms[0].weight, b.terms[0].weight)
        np.testing.assert_array_equal(a.mult, b.mult)
    assert (two.weight_bits, two.act_bits) == (3, 2)
    with pytest.raises(ConfigError, match=r"quantize.weight_bits = 4, but the network was trained in integers with 3"):
        api.quantize(trained, DATA, QuantizeConfig(weight_bits=4))
    with pytest.raises(ModelError, match="record of its training in integers cannot be read"):
        Trained.of({"weight_bits": 4})


def test_training_in_floats_forgets_it(trained: Model) -> None:
    assert "qat" not in api.train(trained, DATA, replace(TRAIN, epochs=1, batch=60)).meta


def test_what_was_stopped_goes_on_and_other_bits_start_anew(floats: Model, tmp_path: Path) -> None:
    options = replace(QAT, epochs=2)
    whole = api.qat(floats, DATA, QatOptions(quantize=BITS, qat=options, train=TRAIN))

    def stop(stage: str, done: int, total: int, metrics: object) -> None:
        if done * 2 == total:
            raise KeyboardInterrupt

    kept = Checkpoint(folder=tmp_path)
    with pytest.raises(KeyboardInterrupt, match="qat"):
        api.qat(floats, DATA, QatOptions(quantize=BITS, qat=options, train=TRAIN), checkpoint=kept, progress=stop)
    done = api.qat(floats, DATA, QatOptions(quantize=BITS, qat=options, train=TRAIN), checkpoint=kept)
    assert bits(done.graph) == bits(whole.graph) and done.meta["qat"] == whole.meta["qat"]
    wider = api.qat(
        floats, DATA, QatOptions(quantize=replace(BITS, act_bits=3), qat=options, train=TRAIN), checkpoint=kept
    )
    assert bits(wider.graph) != bits(whole.graph)


def test_fixed_ranges_are_those_of_the_calibration(floats: Model) -> None:
    done = api.qat(floats, DATA, QatOptions(quantize=BITS, qat=replace(QAT, epochs=1, ranges="fixed"), train=TRAIN))
    start = IntegerModule(floats.graph, DATA.x_train, DATA.input_scale, BITS)
    assert Trained.of(done.meta["qat"]).calibration == start.calibration


def test_a_run_that_diverges_stops_with_advice(floats: Model) -> None:
    wild = replace(QAT, lr=500.0, optimiser="sgd")
    with pytest.raises(ModelError, match=r"the range of 'conv2' is e\^.* or set qat.ranges to fixed"):
        api.qat(floats, DATA, QatOptions(quantize=BITS, qat=wild, train=TRAIN))
    with pytest.raises(ModelError, match=r"qat: training diverge.* lower the learning rate"):
        api.qat(floats, DATA, QatOptions(quantize=BITS, qat=replace(wild, ranges="fixed"), train=TRAIN))


@pytest.mark.parametrize(
    ("train", "message"), [({"precision": "bfloat16"}, "training in integers computes exact sums, which bfloat16")]
)
def test_what_it_refuses(floats: Model, train: dict, message: str) -> None:
    with pytest.raises((ConfigError, InputError, HwprmError), match=message):
        api.qat(floats, DATA, QatOptions(quantize=BITS, qat=QAT, train=replace(TRAIN, **train)))


def test_stored_bits_count_those_of_a_layer() -> None:
    graph = tiny_graph()
    even, mixed = account(graph, graph, weight_bits=4), account(graph, graph, weight_bits=4, layer_bits={"fc1": 2})
    assert even.stored_bits.left - mixed.stored_bits.left == 2 * graph.by_name["fc1"].weight.size
