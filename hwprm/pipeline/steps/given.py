"""What the steps of a run are given from outside."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hwprm.data import Dataset
from hwprm.model import Model
from hwprm.pipeline.step import Task
from hwprm.sources import Split

__all__ = ["Given", "dense_of", "teacher_in"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Given:
    """The data, and what a run has from other runs. What identifies each is in ``Run.origin``."""

    #: What every step but the last reads; where `judged` is said, held-out images stand where the test split would.
    split: Split
    #: The real test split.
    test: Dataset
    #: What the accuracies that stages note are those of, where that is not the test split.
    judged: str | None = None
    #: Folder of the dense network, where another run makes it; else the step ``train`` of this run does.
    dense: Path | None = None
    #: What teaches in place of the dense network.
    teacher: Model | None = None
    #: A checkpoint to take the dense network's weights from, instead of training it.
    weights: Path | None = None
    #: Folder for the epochs of `shrink`, where runs share them.
    rounds: Path | None = None


def dense_of(task: Task) -> Model:
    """The dense network of the run."""
    given: Given = task.given
    return Model.load(given.dense or task.out / "stages/train")


def teacher_in(task: Task) -> Model:
    """What teaches the steps that train: a model that was given, else the dense network."""
    given: Given = task.given
    return given.teacher or dense_of(task)
