"""What a step hangs on beside what it declares: the code that it reaches; what it does not declare it cannot read."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from hwprm.config import SECTIONS, Settings
from hwprm.core.progress import silent
from hwprm.pipeline import step as step_module
from hwprm.pipeline.code import Unit, code_of
from hwprm.pipeline.flow import FLOW, dense_flow, row_flow
from hwprm.pipeline.step import Silent as Quiet
from hwprm.pipeline.step import Step, Task, UndeclaredError, run_steps, start_run
from tests.unit.pipeline.flows import ROW, run_in


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
    assert {"hwprm.verification.verify", "hwprm.testbench.bench"} <= code["verify"]
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
        run_steps(run_in(tmp_path), (Step(name="first", place="first", run=function, options=("verify",)),), Quiet())
    assert not (tmp_path / "first").exists()
    good = Step(name="first", place="first", run=function, options=("array",), inputs=("top",))
    run_steps(run_in(tmp_path), (good,), Quiet())
    assert (tmp_path / "first").exists()


def test_settings_of_a_step_are_settings(tmp_path: Path) -> None:
    task = step_module._task(
        run_in(tmp_path), Step(name="a", place="a", run=_reads_array), "0" * 64, None, silent, print
    )
    assert isinstance(task.settings, Settings)
    with pytest.raises(UndeclaredError):
        _ = task.settings.train.epochs
    assert set(asdict(Settings())) == set(SECTIONS)
