"""A row from its pruned network alone: nothing is trained, what is proven is the network that was given."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hwprm import api, sources
from hwprm.config import ArrayConfig, VerifyConfig
from hwprm.config.recipes import Recipe, load_recipe
from hwprm.core.errors import DataError, InputError, ModelError
from hwprm.intnet import IntegerNetwork
from hwprm.model import Model
from hwprm.pipeline.proof import prove
from hwprm.pipeline.step import Silent
from hwprm.pruning.compaction.compaction import compact_graph
from hwprm.quantization import stored_accuracy
from tests.conftest import Run

RECIPE = """
[recipe]
title = "tiny"
source = "nowhere"
count = "all_weights"
compression = 20
reach = 20
steps = ["shrink", "purify", "compact"]
[data]
name = "{data}"
validation = 60
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    folder = tmp_path_factory.mktemp("proof")
    rng, y = np.random.default_rng(0), np.arange(200) % 10
    x = rng.integers(0, 256, (200, 1, 28, 28), dtype=np.uint8)
    np.savez(folder / "data.npz", x=x, y=y, x_test=x[:50], y_test=y[:50])
    (folder / "tiny.toml").write_text(RECIPE.format(data=folder / "data.npz"))
    made = load_recipe(str(folder / "tiny.toml"))
    quick = VerifyConfig(sim="icarus", modes=("layers",), images=2)
    return replace(made, settings=replace(made.settings, array=ArrayConfig(rows=4, cols=4), verify=quick))


def _lenet(keep: int) -> Model:
    """LeNet-5 with every `keep`-th weight of each row of its last three layers, compacted, with random weights."""
    model = sources.as_model("lenet5", (1, 28, 28), 0)
    nodes = []
    for node in model.graph.weighted:
        weight = node.weight.copy()
        flat = weight.reshape(len(weight), -1)
        flat[:, np.arange(flat.shape[1]) % keep != 0] = 0 if node.name != "conv1" else flat[:, :1]
        if node.name != "fc2":
            flat[np.arange(len(flat)) % 2 == 1] = 0
        nodes.append(replace(node, weight=weight))
    graph, _ = compact_graph(model.graph.replace(*nodes))
    return model.advance(graph, model.stage)


def test_a_pruned_network_is_proven(recipe: Recipe, tmp_path: Path) -> None:
    api.export(_lenet(25), out=tmp_path / "pruned")
    facts = prove(recipe, tmp_path / "pruned", tmp_path / "out", Silent())
    place = tmp_path / "out/tiny/proof"
    assert json.loads((place / "result.json").read_text()) == facts
    data = sources.as_split(recipe.settings.data).dataset
    net = IntegerNetwork.load(place / "stages/quantize")
    assert facts["accuracy"]["integer"] == stored_accuracy(net, data.x_test, data.input_scale, data.y_test)
    assert facts["compression"]["all_weights"]["base"] == 430_500 and facts["compression"]["all_weights"]["ratio"] > 20
    assert facts["verify"]["mismatches"] == 0 < facts["verify"]["values_compared"]
    assert facts["cycles"]["simulated"] == facts["cycles"]["predicted"] < facts["cycles"]["dense"]["image"]
    said: list[str] = []

    class Listening(Silent):
        def say(self, text: str) -> None:
            said.append(text)

    assert prove(recipe, tmp_path / "pruned", tmp_path / "out", Listening()) == facts
    assert sum("reused" in line for line in said) == 4
    # Another network makes everything anew.
    api.export(_lenet(30), out=tmp_path / "other")
    said.clear()
    other = prove(recipe, tmp_path / "other", tmp_path / "out", Listening())
    assert not any("reused" in line for line in said) and other["accuracy"] != facts["accuracy"]


def test_what_is_no_network_of_the_row(recipe: Recipe, tmp_path: Path) -> None:
    api.export(_lenet(2), out=tmp_path / "large")
    with pytest.raises(ModelError, match="tiny is at least 20x, counted on all_weights, and this network is"):
        prove(recipe, tmp_path / "large", tmp_path / "out", Silent())
    with pytest.raises(InputError):
        prove(recipe, tmp_path / "none", tmp_path / "out", Silent())
    lost = replace(recipe.settings, data=replace(recipe.settings.data, name=str(tmp_path / "lost.npz")))
    with pytest.raises(DataError):
        prove(replace(recipe, settings=lost), tmp_path / "large", tmp_path / "out", Silent())
    assert not (tmp_path / "out/tiny/proof/stages").exists(), "nothing half-written stays behind"


def test_the_command_says_what_was_proven(recipe: Recipe, tmp_path: Path, run: Run) -> None:
    api.export(_lenet(25), out=tmp_path / "pruned")
    text = (
        recipe.file.read_text().replace("all_weights", "nonzero")
        + '[array]\nrows = 4\ncols = 4\n[verify]\nsim = "icarus"\nmodes = ["layers"]\nimages = 2\n'
    )
    (tmp_path / "tiny.toml").write_text(text)
    done = run("repro", str(tmp_path / "tiny.toml"), "--pruned", str(tmp_path / "pruned"), "-o", str(tmp_path / "out"))
    assert done.exit_code == 0 and "integers compared in RTL, 0 wrong" in done.output
