"""What new users of the functions do: paths as text, options as something else, names that are not there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

import hwprm
from hwprm.core.errors import ConfigError, HwprmError, InputError
from tests.conftest import Run, tiny_graph


def test_paths_are_text_or_paths(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    model = hwprm.Model.load(str(tiny_model))
    model.save(str(tmp_path / "again"))
    assert hwprm.Model.load(tmp_path / "again").graph.weights_digest == model.graph.weights_digest
    net = hwprm.quantize(str(tiny_model), str(tiny_data))
    net.save(str(tmp_path / "integer"))
    assert hwprm.IntegerNetwork.load(str(tmp_path / "integer")).layers[0].name == net.layers[0].name
    bundle = hwprm.compile(net, str(tiny_data), out=str(tmp_path / "bundle"))
    assert type(bundle).load(str(tmp_path / "bundle")).manifest == bundle.manifest
    model.graph.save(str(tmp_path / "graph"))
    assert hwprm.Graph.load(str(tmp_path / "graph")).weights_digest == model.graph.weights_digest
    hwprm.export(str(tiny_model), out=str(tmp_path / "exported"))
    assert hwprm.Plan.load(str(tmp_path / "exported")).layers
    with pytest.raises(InputError, match="tiny holds no study .*study.json"):
        hwprm.Study.load(str(tiny_model))


WRONG: tuple[tuple[Callable[[Any], object], str], ...] = (
    (lambda net: hwprm.estimate(net, (8, 8)), "the options of [array] are of the class ArrayConfig, not tuple; write "),  # type: ignore[arg-type]
    (lambda net: hwprm.compile(net, out="b", array={"rows": 8}), "write hwprm.config.ArrayConfig(rows=8)"),  # type: ignore[arg-type]
    (lambda net: hwprm.quantize(net, config=8), "the options of [quantize] are of the class QuantizeConfig, not int; "),  # type: ignore[arg-type]
    (lambda net: hwprm.train(net, config={"epochs": 1}), "write hwprm.config.TrainConfig(epochs=12)"),  # type: ignore[arg-type]
    (lambda net: hwprm.prune(net, options=hwprm.AdmmConfig()), "the class PruneOptions, not AdmmConfig; write "),  # type: ignore[arg-type]
    (lambda net: hwprm.quantize(net, 3), "data is a name, a path, a DataConfig, arrays (x, y)"),  # type: ignore[arg-type]
)


@pytest.mark.parametrize(("call", "text"), WRONG, ids=[text for _, text in WRONG])
def test_options_of_another_kind_are_named(call: Callable[[Any], object], text: str) -> None:
    with pytest.raises(HwprmError) as caught:
        call(tiny_graph())
    assert text in str(caught.value)


@pytest.mark.parametrize("verb", ["prune", "quantize", "compile", "estimate", "widths", "check"])
def test_a_folder_that_is_not_there_is_said_at_once(run: Run, verb: str) -> None:
    done = run(verb, "nosuch")
    said = [line for line in done.stderr.splitlines() if not line.startswith("purify: ")]
    assert (done.exit_code, len(said)) == (2, 1), said
    assert said[0].startswith("error: there is no folder or file 'nosuch', and no network is called so; give a model f")


def test_check_takes_what_train_takes(run: Run, tiny_model: Path) -> None:
    for source in ("lenet5", tiny_model):
        done = run("check", source)
        assert (done.exit_code, done.stdout) == (0, ""), done.stderr
        assert f"{source}: every operator is supported" in done.stderr
    with pytest.raises(InputError, match="did you mean 'lenet5'"):
        hwprm.check("lenet")


def test_options_say_which_kind() -> None:
    with pytest.raises(ConfigError, match="ArrayConfig, not list"):
        hwprm.ArrayConfig.given([8, 8])  # type: ignore[arg-type]
    assert hwprm.ArrayConfig.given(None) == hwprm.ArrayConfig()


def test_a_text_file_is_no_data_set(tmp_path: Path, tiny_model: Path) -> None:
    """numpy would advise to load objects, which may run code."""
    (tmp_path / "x.npz").write_text("hello")
    with pytest.raises(HwprmError, match=r"x\.npz is no readable \.npz file") as caught:
        hwprm.quantize(tiny_model, tmp_path / "x.npz")
    assert "pickle" not in str(caught.value)


def test_images_alone_and_vectors(tmp_path: Path, tiny_model: Path, tiny_data: Path) -> None:
    with np.load(tiny_data) as data:
        np.savez(tmp_path / "images.npz", x=data["x"])
    net = hwprm.quantize(tiny_model, tmp_path / "images.npz")
    assert len(hwprm.compile(net, tmp_path / "images.npz", out=tmp_path / "bundle").images) > 0
    x = np.random.default_rng(0).integers(0, 256, (40, 12)).astype(np.uint8)
    np.savez(tmp_path / "vectors.npz", x=x, y=np.arange(40) % 3)
    linear = nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3))
    assert [layer.filters for layer in hwprm.estimate(linear, data=tmp_path / "vectors.npz").layers] == [8, 3]


def test_a_place_where_nothing_can_be_written(tiny_model: Path) -> None:
    with pytest.raises(InputError, match=r"^the output folder /proc/x cannot be locked: .*; choose another place$"):
        hwprm.export(tiny_model, out="/proc/x")
