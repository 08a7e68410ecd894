"""Teachers: models whose outputs are part of the loss, given by the user or made of several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hwprm.core.extras import says_what_it_lacks

if TYPE_CHECKING:
    from torch import nn

    from hwprm.config import DataConfig
    from hwprm.data import Dataset
    from hwprm.graph import Graph, Shapes
    from hwprm.model import Model
    from hwprm.sources import Split

    Data = Dataset | Split | DataConfig | str | Path
    Network = nn.Module | Graph | Model | str | Path

__all__ = ["ensemble", "given_teacher", "noted", "teacher_of"]


@says_what_it_lacks
def ensemble(models: Sequence[Network], data: Data = "mnist") -> Model:
    """One model of stage dense whose output is the mean of those of `models`, which read the images of `data`.

    It knows more than any of them, and is a teacher as any other. Raises ModelError where they do not fit together.
    """
    from hwprm.graph import ensemble as joined
    from hwprm.model import History, Model, Stage
    from hwprm.sources import as_dataset
    from hwprm.training import accuracy

    dataset = as_dataset(data)
    members = [teacher_of(model, dataset.image_shape) for model in models]
    graph = joined([member.graph for member in members])
    percent = accuracy(graph, dataset.x_test, dataset.y_test, dataset.input_scale)
    name = " + ".join(member.meta["name"] for member in members)
    made = Model(graph=graph, stage=Stage.DENSE, meta=History(name=name))
    facts = {"data": dataset.name, "input_scale": dataset.input_scale, "accuracy": {Stage.DENSE.value: percent}}
    return made.advance(graph, Stage.DENSE, **facts)


def teacher_of(source: Network, image_shape: Shapes) -> Model:
    """The model that `source` is, with a name."""
    from hwprm.sources import as_model, title

    model = as_model(source, image_shape)
    return model.advance(model.graph, model.stage, name=model.meta.get("name", title(source)))


def given_teacher(source: Network, dataset: Dataset) -> Model:
    """The model that `source` is. Raises DataError or ModelError unless it has learnt what `dataset` has to teach.

    One of other classes, or of other data, is right on no more of the training images than guessing is.
    """
    from hwprm.core.errors import DataError, ModelError
    from hwprm.training.evaluate import check_fit, refuse_guessing

    teacher = teacher_of(source, dataset.image_shape)
    name = teacher.meta["name"]
    try:
        check_fit(teacher.graph, dataset.image_shape, dataset.classes)
    except (DataError, ModelError) as error:
        raise type(error)(f"the teacher {name} does not fit: {error}") from error
    learnt = teacher.meta.get("data")
    if learnt != dataset.name:  # what was trained on these may know little yet
        refuse_guessing(teacher.graph, dataset, f"the teacher {name}", learnt)
    return teacher


def noted(model: Model, teacher: Model | None) -> Model:
    """`model` with the name of its `teacher` and the SHA-256 that the teacher's ``weights.safetensors`` has."""
    if teacher is None:
        return model
    note = {"name": teacher.meta.get("name", "network"), "sha256": teacher.graph.weights_digest}
    return model.advance(model.graph, model.stage, teacher=note)
