"""What each step declares: options, each in turn, and inputs; it reads them all, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwprm.config import SECTIONS, Settings
from hwprm.config.options import Option, options_of
from hwprm.config.settings import MACHINE
from hwprm.core.errors import ConfigError
from hwprm.core.progress import silent
from hwprm.data import Dataset
from hwprm.model import Model, Stage
from hwprm.nets import lenet5_graph
from hwprm.pipeline import step as step_module
from hwprm.pipeline.flow import FLOW, dense_flow, row_flow
from hwprm.pipeline.step import Step, UndeclaredError, step_keys
from hwprm.pipeline.steps import hardware, integers, models
from hwprm.pipeline.steps.given import Given
from hwprm.sources import Split
from tests.unit.pipeline.flows import INPUTS, ROW, run_in

OPTIONS = [option for section, kind in SECTIONS.items() for option in options_of(section, kind)]
#: What each step of the two flows reads, beside what the steps before it left. Said here a second time on purpose.
READ = {
    "train": {"data", "train"},
    "admm": {"data", "train", "admm"},
    "shrink": {"data", "train", "shrink", "array", "quantize"},
    "purify": {"data", "purify"},
    "compact": {"data", "purify"},
    "finetune": {"data", "train", "finetune"},
    "quantize": {"quantize"},
    "compile": {"array", "emit", "quantize"},
    "verify": {"memory", "verify"},
    "score": set(),
    "count": {"array"},
}


class _Other:
    """A value of an option that no other one equals."""

    def __repr__(self) -> str:
        return "another value"


def _with(option: Option) -> Settings:
    """Settings with another value of `option`, unchecked: only keys are made of it."""
    section = replace(getattr(Settings(), option.section))
    object.__setattr__(section, option.name, _Other())
    return replace(Settings(), **{option.section: section})


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.key)
@pytest.mark.parametrize("flow", [FLOW, row_flow(ROW)], ids=["demo", "row"])
def test_another_option_runs_exactly_the_steps_again_that_hang_on_it(
    flow: tuple[Step, ...], option: Option, tmp_path: Path
) -> None:
    before, after = step_keys(run_in(tmp_path), flow), step_keys(run_in(tmp_path, _with(option)), flow)
    readers = [i for i, step in enumerate(flow) if option.section in READ[step.name] and option.key not in MACHINE]
    first = min(readers, default=len(flow))
    assert [old == new for old, new in zip(before, after, strict=True)] == [i < first for i in range(len(flow))]


@pytest.mark.parametrize("name", INPUTS)
def test_another_input_runs_its_readers_again(name: str, tmp_path: Path) -> None:
    flow = (*dense_flow(ROW), *row_flow(ROW))
    first = {
        "network": "train",
        "width": "train",
        "whole": "train",
        "name": "quantize",
        "steps": "score",
        "top": "score",
    }[name]
    before, after = step_keys(run_in(tmp_path), flow), step_keys(run_in(tmp_path, **{name: "another"}), flow)
    changed = [step.name for step, old, new in zip(flow, before, after, strict=True) if old != new]
    assert changed == [step.name for step in flow][[step.name for step in flow].index(first) :]


def test_machine_options_are_options() -> None:
    assert {option.key for option in OPTIONS} >= MACHINE


class _Api:
    """Stands for `hwprm.api`: reads every option that it is given, and does nothing."""

    def __getattr__(self, name: str) -> Any:
        def verb(*given: Any, **named: Any) -> Any:
            for value in (*given, *named.values()):
                if type(value).__name__.endswith(("Config", "Options", "_Hidden")):
                    _read(value)
            raise _DoneError

        return verb


class _DoneError(ConfigError):
    """The verb has been reached."""


def _read(value: Any) -> None:
    if type(value).__name__ == "_Hidden":
        _ = value.anything
    for item in vars(value).values():
        if type(item).__name__.endswith(("Config", "_Hidden")):
            _read(item)


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Given]:
    """Data and a dense network, with verbs that only read."""
    for module in (models, integers, hardware):
        monkeypatch.setattr(module, "api", _Api())
    monkeypatch.setattr(integers, "estimate", lambda net, array: _Api().estimate(array))
    monkeypatch.setattr(integers.IntegerNetwork, "load", lambda place: None)
    monkeypatch.setattr(hardware, "dense_of", lambda task: None)
    Model(graph=lenet5_graph(), stage=Stage.DENSE).save(_made(tmp_path / "dense"))
    x, y = np.zeros((4, 1, 28, 28), np.uint8), np.arange(4) % 2
    data = Dataset(name="none", source="none", x_train=x, y_train=y, x_test=x, y_test=y, classes=2)
    yield Given(split=Split(dataset=data), test=data, dense=tmp_path / "dense", weights=tmp_path)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


#: Sections of which a step reads no more than the record beside its model.
RECORDED = {("data", step) for step in ("train", "admm", "shrink", "purify", "compact", "finetune")}


@pytest.mark.parametrize(
    ("step", "section"),
    [
        (step, section)
        for step in {step.name: step for step in (*dense_flow(ROW), *FLOW, *row_flow(ROW))}.values()
        for section in step.options
        if (section, step.name) not in RECORDED and (step.name, section) != ("compile", "quantize")
    ],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_no_step_declares_what_it_does_not_read(step: Step, section: str, given: Given, tmp_path: Path) -> None:
    assert set(step.options) == READ[step.name]
    less = replace(step, options=tuple(other for other in step.options if other != section))
    run = run_in(tmp_path / "run", given=given)

    def start(one: Step) -> None:
        task = step_module._task(run, one, "0" * 64, given.dense, silent, print)
        one.run(task)

    with pytest.raises(UndeclaredError, match=rf"reads {section}\."):
        start(less)
    with pytest.raises(_DoneError):
        start(step)
