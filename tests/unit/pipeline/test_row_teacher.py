"""A row whose shrinking and fine-tuning another model teaches."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hwprm.config.recipes import load_recipe
from hwprm.core.errors import ConfigError, DataError
from hwprm.model import Model
from hwprm.pipeline.rows import reproduce
from hwprm.pipeline.step import Silent
from tests.unit.pipeline.tiny_row import recipe_file


@pytest.fixture(scope="module")
def taught(data, ran, tmp_path_factory) -> tuple[Path, Path, dict]:
    """A teacher, and what it made of the row, in the folder where the row was run without it."""
    _, out, _ = ran
    folder = tmp_path_factory.mktemp("teacher")
    dense = next((out / "shared").glob("dense-*")) / "stages/train"
    model = Model.load(dense)
    wise = {node.name: node for node in model.graph.nodes}[model.graph.weighted[-1].name]
    wise.bias[:] = wise.bias[::-1]
    model.advance(model.graph, model.stage, name="wise").save(folder / "wise")
    recipe = load_recipe(str(recipe_file(folder, data)), {("repro", "teacher"): folder / "wise"})
    return folder / "wise", out, reproduce(recipe, out, (0,), Silent())


def test_it_takes_the_place_of_the_dense_network_in_all_that_trains(ran, taught):
    _, _, plain = ran
    wise, out, facts = taught
    digest = Model.load(wise).graph.weights_digest
    assert facts["seeds"][0]["teacher"] == {"name": "wise", "sha256": digest}
    for stage in ("shrink", "finetune"):
        assert Model.load(out / "tiny/seed-0/stages" / stage).meta["teacher"]["sha256"] == digest
    assert plain["seeds"][0]["teacher"]["sha256"] != digest
    assert facts["recipe"] != plain["recipe"], "what the one left is no result of the other"
    assert len(list((out / "shared").glob("dense-*"))) == 1, "the dense network is the same"
    assert len(list((out / "shared").glob("rounds-*"))) == 2, "rounds that another taught are others"
    assert json.loads((out / "tiny/seed-0/result.json").read_text())["recipe"] == facts["recipe"]


def test_one_that_knows_other_classes_or_images_is_refused_before_anything_begins(data, tmp_path):
    recipe = load_recipe(str(recipe_file(tmp_path, data)), {("repro", "teacher"): Path("resnet18-cifar")})
    with pytest.raises(DataError, match="^the teacher resnet18-cifar does not fit: "):
        reproduce(recipe, tmp_path / "out", (0,), Silent())
    assert not (tmp_path / "out").exists()


def test_with_a_pruned_network_nothing_is_taught():
    with pytest.raises(ConfigError, match="with repro.pruned nothing is; leave one out"):
        load_recipe("lenet5-conv-88x", {("repro", "teacher"): Path("a"), ("repro", "pruned"): Path("b")})
