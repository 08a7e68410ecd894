"""The history of a model: typed, joined, kept as it was in files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hwprm.config.steps import PruneStep
from hwprm.core.errors import ModelError
from hwprm.model import History, Model, Stage, steps_from
from hwprm.nets import lenet5_graph

VALUES: dict[str, Any] = {
    "name": "tiny",
    "accuracy": {"dense": 95.0},
    "input_scale": 1 / 255,
    "seed": 0,
    "log": [{"stage": "train", "epoch": 1}],
    "refusals": [],
    "own": {"of": "a user"},
}


def test_what_was_not_said_is_not_there() -> None:
    assert dict(History()) == {} and History().accuracy is None
    history = History.of(VALUES)
    assert dict(history) == history.to_json() == VALUES == history
    assert (history.name, history.seed, history.other) == ("tiny", 0, {"own": {"of": "a user"}})
    assert "waterfall" not in history and history.get("waterfall", []) == [] and "refusals" in history
    assert History.of(history) is history


def test_objects_and_lists_are_joined_the_rest_is_replaced() -> None:
    after = History.of(VALUES).joined({"accuracy": {"admm": 94.0}, "log": [{"epoch": 2}], "seed": 3, "own": 1})
    assert after.accuracy == {"dense": 95.0, "admm": 94.0} and after.seed == 3 and after.other == {"own": 1}
    assert after.log == [{"stage": "train", "epoch": 1}, {"epoch": 2}]
    assert VALUES["accuracy"] == {"dense": 95.0}, "nothing that was given is changed"


def test_what_no_history_has_is_refused_by_name() -> None:
    with pytest.raises(ModelError, match=r"^a model's history has no 'acuracy'; did you mean 'accuracy'\?$"):
        Model(graph=lenet5_graph(), stage=Stage.DENSE).advance(lenet5_graph(), Stage.DENSE, acuracy={"dense": 1.0})


@pytest.mark.parametrize(("name", "value"), [("seed", True), ("accuracy", [1.0]), ("name", 3), ("log", {})])
def test_values_of_another_kind_are_refused(name: str, value: Any) -> None:
    with pytest.raises(ModelError, match=rf"as '{name}', not {value!r}".replace("[", r"\[").replace("]", r"\]")):
        History.of({name: value})


def test_known_names_are_not_hidden_among_others() -> None:
    with pytest.raises(ModelError, match="knows 'seed'; give it under its name"):
        History(other={"seed": 1})


def test_model_json_is_as_it_was(tmp_path: Path) -> None:
    """The bytes are those of the versions before, which saved a plain dict; what a user has added stays."""
    model = Model(graph=lenet5_graph(), stage=Stage.DENSE, meta=History.of(VALUES))
    model.save(tmp_path)
    text = (tmp_path / "model.json").read_text()
    plain = json.loads(text)
    assert plain["meta"] == VALUES
    assert text == json.dumps(plain | {"meta": VALUES}, indent=1, sort_keys=True) + "\n"
    assert Model.load(tmp_path).meta == VALUES
    assert replace(model, meta=VALUES).meta == model.meta  # type: ignore[arg-type]  # a mapping will do
    plain["meta"]["seed"] = "zero"
    (tmp_path / "model.json").write_text(json.dumps(plain))
    with pytest.raises(ModelError, match=r": a model's history has int as 'seed', not 'zero'"):
        Model.load(tmp_path)


@pytest.mark.parametrize(
    ("stage", "last", "steps"),
    [
        ("dense", "finetune", "admm purify compact finetune"),
        ("dense", "admm", "admm"),
        ("dense", "compact", "admm purify compact"),
        ("admm", "admm", ""),
        ("shrunk", "compact", "purify compact"),
        ("purified", "purify", ""),
        ("purified", "finetune", "compact finetune"),
        ("compact", "finetune", "finetune"),
        ("compact", "purify", ""),
    ],
)
def test_steps_from_a_stage(stage: str, last: str, steps: str) -> None:
    assert " ".join(steps_from(Stage(stage), PruneStep.ADMM, PruneStep(last))) == steps
