"""What a step hangs on: options, each in turn, inputs, and the code that it reaches; it reads nothing else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwprm.config import SECTIONS, Settings
from hwprm.config.options import Option, options_of
from hwprm.config.recipes import load_recipe
from hwprm.config.settings import MACHINE
from hwprm.core.errors import ConfigError
from hwprm.core.progress import silent
from hwprm.data import Dataset
from hwprm.model import Model, Stage
from hwprm.nets import lenet5_graph
from hwprm.pipeline import step as step_module
from hwprm.pipeline.code import Unit, code_of
from hwprm.pipeline.flow import FLOW, dense_flow, row_flow
from hwprm.pipeline.step import Run, Step, Task, UndeclaredError, run_steps, start_run, step_keys
from hwprm.pipeline.step import Silent as Quiet
from hwprm.pipeline.steps import hardware, integers, models
from hwprm.pipeline.steps.given import Given
from hwprm.sources import Split

OPTIONS = [option for section, kind in SECTIONS.items() for option in options_of(section, kind)]
#: What each step of the two flows reads, beside what the steps before it left. Said here a second time on purpose.
READ = {
    "train": {"data", "train"},
    "admm": {"data", "train", "admm"},
    "shrink": {"data", "train", "shrink"},
    "purify": {"data", "purify"},
    "compact": {"data", "purify"},
    "finetune": {"data", "train", "finetune"},
    "quantize": {"quantize"},
    "compile": {"array", "emit", "quantize"},
    "verify": {"memory", "verify"},
    "score": set(),
    "count": {"array"},
}
ROW = load_recipe("lenet5-conv-232x")
INPUTS = {"network": "lenet5", "width": None, "name": "lenet5", "steps": ROW.steps, "top": 1}


def _run(out: Path, settings: Settings | None = None, given: Any = None, **inputs: Any) -> Run:
    return Run(out=out, settings=settings or Settings(), inputs=INPUTS | inputs, given=given, origin={"data": "0"})


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
    before, after = step_keys(_run(tmp_path), flow), step_keys(_run(tmp_path, _with(option)), flow)
    readers = [i for i, step in enumerate(flow) if option.section in READ[step.name] and option.key not in MACHINE]
    first = min(readers, default=len(flow))
    assert [old == new for old, new in zip(before, after, strict=True)] == [i < first for i in range(len(flow))]


@pytest.mark.parametrize("name", INPUTS)
def test_another_input_runs_its_readers_again(name: str, tmp_path: Path) -> None:
    flow = (*dense_flow(ROW), *row_flow(ROW))
    first = {"network": "train", "width": "train", "name": "quantize", "steps": "score", "top": "score"}[name]
    before, after = step_keys(_run(tmp_path), flow), step_keys(_run(tmp_path, **{name: "another"}), flow)
    changed = [step.name for step, old, new in zip(flow, before, after, strict=True) if old != new]
    assert changed == [step.name for step in flow][[step.name for step in flow].index(first) :]


def test_machine_options_are_options() -> None:
    assert {option.key for option in OPTIONS} >= MACHINE


def _names(function: Any) -> set[str]:
    return {f"{unit.module}:{unit.name}".rstrip(":") for unit in code_of(function)}


def test_the_code_of_a_step_is_all_that_it_imports() -> None:
    code = {step.name: _names(step.run) for step in (*FLOW, *row_flow(ROW))}
    # What the lists by hand had forgotten.
    for module in ("model.model", "config.train", "frontend.convert", "training.engine", "data.load", "nets.module"):
        assert f"hwprm.{module}" in code["train"], module
    assert {"hwprm.api:train", "hwprm.sources:as_dataset"} <= code["train"]
    assert {"hwprm.pruning.admm.admm", "hwprm.pruning.compaction.compaction"} <= code["admm"]
    assert "hwprm.pruning.shrinking.shrink" in code["shrink"]
    assert "hwprm.quantization.lowering.lower" in code["quantize"]
    assert {"hwprm.gateware.accelerator", "hwprm.emission.emit"} <= code["compile"]
    assert {"hwprm.verification.verify", "hwprm.verification.bench"} <= code["verify"]
    folders = {name: {unit.name for unit in code_of(step.run) if unit.folder} for step in FLOW for name in [step.name]}
    assert folders["compile"] >= {"rtl_templates"} and folders["verify"] >= {"sim"} and not folders["train"]


def test_what_only_shows_or_talks_is_no_code_of_a_step() -> None:
    for step in (*FLOW, *row_flow(ROW), *dense_flow(ROW)):
        names = _names(step.run)
        assert not [name for name in names if name.startswith(("hwprm.cli", "hwprm.reporting.page"))]
        assert "hwprm.api" not in names and "hwprm.api.networks" not in names and "hwprm.sources" not in names, (
            "of the doors only what is used"
        )
    assert not [name for name in _names(FLOW[0].run) if name.startswith(("hwprm.verification", "hwprm.gateware"))]


def test_code_is_what_python_loads(tmp_path: Path) -> None:
    """Every module of the package that importing the modules of training loads counts, but what only shows."""
    code = "import sys, hwprm.training, hwprm.data, hwprm.frontend; print(*(m for m in sys.modules if 'hwprm' in m))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert len(loaded) > 50
    assert {name for name in loaded if "." in name} <= _names(FLOW[0].run)


def test_a_function_of_another_package_counts_itself_and_what_it_uses() -> None:
    found = code_of(_reads_array)
    assert Unit(__name__, "_reads_array") in found and Unit("hwprm.pipeline.step", "Task") in found
    assert Unit(__name__, "_reads_verify") not in found


def _reads_array(task: Task) -> dict[str, Any]:
    task.place.write_text(str(task.settings.array.rows))
    return {}


def _reads_verify(task: Task) -> dict[str, Any]:
    task.place.write_text(str(task.settings.verify.sim))
    return {}


def _reads_input(task: Task) -> dict[str, Any]:
    task.place.write_text(str(task.inputs["top"]))
    return {}


@pytest.mark.parametrize(
    ("function", "words"),
    [(_reads_array, r"reads array\.rows; declare 'array'"), (_reads_input, "reads the input 'top'; declare it")],
)
def test_reading_what_is_not_declared_is_an_error(function: Any, words: str, tmp_path: Path) -> None:
    start_run(tmp_path)
    with pytest.raises(UndeclaredError, match=words):
        run_steps(_run(tmp_path), (Step(name="first", place="first", run=function, options=("verify",)),), Quiet())
    assert not (tmp_path / "first").exists()
    good = Step(name="first", place="first", run=function, options=("array",), inputs=("top",))
    run_steps(_run(tmp_path), (good,), Quiet())
    assert (tmp_path / "first").exists()


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
    run = _run(tmp_path / "run", given=given)

    def start(one: Step) -> None:
        task = step_module._task(run, one, "0" * 64, given.dense, silent, print)
        one.run(task)

    with pytest.raises(UndeclaredError, match=rf"reads {section}\."):
        start(less)
    with pytest.raises(_DoneError):
        start(step)


def test_settings_of_a_step_are_settings(tmp_path: Path) -> None:
    task = step_module._task(_run(tmp_path), Step(name="a", place="a", run=_reads_array), "0" * 64, None, silent, print)
    assert isinstance(task.settings, Settings)
    with pytest.raises(UndeclaredError):
        _ = task.settings.train.epochs
    assert set(asdict(Settings())) == set(SECTIONS)
