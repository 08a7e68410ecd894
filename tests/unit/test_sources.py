"""From names and paths to nouns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import hwprm
from hwprm.bundle import Bundle
from hwprm.config import DataConfig, EmitConfig, QuantizeConfig, TrainConfig
from hwprm.core.errors import ConfigError, InputError, ModelError
from hwprm.emission import host_of
from hwprm.graph import Conv2d
from hwprm.isa.hosts import Host
from hwprm.model import Model, Stage
from hwprm.sources import as_dataset, as_model, as_network, as_split, emit_of, holds, plain_network, title
from tests.conftest import tiny_graph
from tests.support.silicon import make_bundle


def test_split_holds_out_the_same_images_every_time(tiny_data: Path) -> None:
    config = DataConfig(name=str(tiny_data), validation=12)
    first, second = as_split(config), as_split(config)
    assert first.x_validation is not None and second.x_validation is not None
    assert len(first.dataset.x_train) + 12 == len(as_dataset(tiny_data).x_train)
    np.testing.assert_array_equal(first.x_validation, second.x_validation)
    assert as_split(first) is first
    assert as_split(first.dataset).x_validation is None


def test_models_from_everything(tiny_model: Path, tmp_path: Path) -> None:
    graph = tiny_graph()
    model = Model(graph=graph, stage=Stage.ADMM)
    assert as_model(model, (1, 8, 8)) is model
    assert as_model(graph, (1, 8, 8)).graph is graph
    assert as_model(str(tiny_model), (1, 8, 8)).stage is Stage.DENSE
    assert as_model("lenet5", (1, 28, 28)).graph.input.shape == (1, 28, 28)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
    assert as_model(net, (1, 8, 8)).graph.outputs
    path = tmp_path / "net.pt2"
    torch.export.save(torch.export.export(net.eval(), (torch.zeros(1, 1, 8, 8),)), path)
    assert as_model(path, (1, 8, 8)).graph.input.shape == (1, 8, 8)


def test_networks_and_their_names(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    data = as_dataset(tiny_data)
    net = as_network(tiny_model, data, None)
    assert net.name == "tiny" == title(tiny_model)
    assert as_network(tiny_graph(), data, None, "mine").name == "mine"
    assert plain_network(net) is net
    assert plain_network(tiny_model) is None
    net.save(tmp_path / "net")
    loaded = plain_network(tmp_path / "net")
    assert loaded is not None and loaded.name == "tiny"


def test_what_a_folder_holds(tiny_model: Path, tmp_path: Path) -> None:
    assert holds(tiny_model) == "model"
    assert holds(tmp_path) is None
    assert holds("lenet5") is None
    assert holds(tiny_graph()) is None


@pytest.mark.parametrize(("mark", "word"), [("network.json", "an integer network"), ("manifest.json", "a bundle")])
def test_wrong_folders(tmp_path: Path, mark: str, word: str) -> None:
    (tmp_path / mark).write_text("{}")
    with pytest.raises(ModelError, match=rf"holds {word}, a float model is needed; give the folder it came from$"):
        as_model(tmp_path, (1, 8, 8))


def test_unknown_name() -> None:
    with pytest.raises(
        InputError, match=r"^there is no folder or file 'mlp', .*; give .* or one of lenet5, vgg16-cifar, "
    ):
        as_model("mlp", (1, 8, 8))


def test_a_pruned_model_without_history_keeps_its_zeros(tiny_data: Path) -> None:
    graph = tiny_graph()
    conv = graph.by_name["conv"]
    assert isinstance(conv, Conv2d)
    weight = conv.weight.copy()
    weight[0] = 0
    model = Model(graph=graph.replace(replace(conv, weight=weight)), stage=Stage.ADMM)
    done = hwprm.train(model, tiny_data, TrainConfig(epochs=1))
    assert done.stage is Stage.ADMM
    after = done.graph.by_name["conv"]
    assert isinstance(after, Conv2d) and not after.weight[0].any() and after.weight[1:].any()


def test_widths_of_integers_cannot_be_chosen_again(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    as_network(tiny_model, str(tiny_data), QuantizeConfig(act_bits=6)).save(tmp_path / "q")
    for good in (None, QuantizeConfig(), QuantizeConfig(act_bits=6)):
        assert as_network(tmp_path / "q", "no data set is read here", good).act_bits == 6
    with pytest.raises(
        ConfigError,
        match=r"^quantize\.act_bits = 5, but 'q' is a network of integers already, with 6; "
        r"give the float model, or leave the option out$",
    ):
        as_network(tmp_path / "q", str(tiny_data), QuantizeConfig(act_bits=5))


@pytest.mark.parametrize(
    "host",
    [
        Host(),
        Host(kind="stream8"),
        host_of(EmitConfig(host="uart", clock=75.0, baud=3_000_000)),
        Host(kind="uart", divider=7, silence=200),  # of a bundle that does not keep what these were made of
    ],
    ids=["axi", "stream8", "uart", "older"],
)
def test_options_that_a_bundle_was_emitted_with(host: Host, tmp_path: Path) -> None:
    cells = "ice40" if host.kind == "stream8" else "ecp5"
    own = emit_of(Bundle.load(make_bundle(tmp_path / "bundle", target=cells, host=host)))
    found = host_of(own)
    assert own.target == cells and (found.kind, found.divider, found.silence) == (
        host.kind,
        host.divider,
        host.silence,
    )
    assert host.clock in (None, found.clock) and host.baud in (None, found.baud)
