"""The shell around every verb: options, exit codes, JSON, one-line errors."""

from __future__ import annotations

import io
import json
import re
import time
from pathlib import Path
from typing import Annotated
from zipfile import ZipFile

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner, Result

from hwprm.cli.talk import Outcome, Talk, numbers
from hwprm.cli.verb import CRASHED, INTERRUPTED, Take, verb
from hwprm.config import Settings
from hwprm.core.errors import ConfigError, MismatchError, TimingError, ToolError, UnsupportedError

FAULTS = {
    "mismatch": (MismatchError("layer [conv1] differs"), 1),
    "config": (ConfigError("array.rows is odd"), 2),
    "unsupported": (UnsupportedError("no softmax"), 3),
    "tool": (ToolError("no verilator"), 3),
    "timing": (TimingError("too slow"), 4),
}


def test_numbers_of_the_bar() -> None:
    metrics = {
        "rho": 0.02,
        "lr": 2e-3,
        "loss": 0.12345,
        "accuracy": 98.1,
        "primal.conv": 0.01,
        "primal.fc": 0.345,
        "dual.fc": 9.0,
    }
    assert list(numbers(metrics)) == ["loss 0.123", "acc 98.10%", "residual 0.34"]
    assert list(numbers({"removed": 1107.0})) == ["removed 1,107"]


def test_bar_holds_its_words_in_80_columns() -> None:
    screen = io.StringIO()
    talk = Talk(progress=Console(file=screen, width=80, force_terminal=True, color_system=None))
    with talk.stage("prune") as tick:
        tick("admm", 5, 10, {"loss": 0.012345, "accuracy": 98.1, "rho": 0.02, "primal.fc": 0.00345})
    lines = [line for line in re.split(r"\r|\n|\x1b\[[0-9;?]*[A-Za-z]", screen.getvalue()) if "loss" in line]
    assert lines and all(len(line) <= 80 for line in lines)
    assert re.fullmatch(
        r"\S prune: admm [━╸╺]+ +50% loss 0\.0123  acc 98\.10%  residual 0\.0034 ETA [-:\d]{7}", lines[-1]
    ), lines[-1]


def _app() -> typer.Typer:
    app = typer.Typer()

    @verb(app, Take("array"), Take("quantize", prefix=True, only=("act_bits",)))
    def build(talk: Talk, settings: Settings, name: Annotated[str, typer.Argument()] = "net") -> Outcome:
        """Build."""
        if name in FAULTS:
            raise FAULTS[name][0]
        if name == "crash":
            raise ZeroDivisionError("oh")
        if name == "full":
            raise OSError(28, "No space left on device", "rtl/core.v")
        if name == "full_rust":
            raise ValueError("Error while serializing: I/O error: No space left on device (os error 28)")
        if name == "memory":
            raise MemoryError("Unable to allocate 7 PiB")
        if name == "interrupt":
            raise KeyboardInterrupt("stopped in epoch 3; more words")
        with talk.stage("building") as tick:
            tick("building", 1, 2, {"loss": 0.5})
        talk.say("built [net]")
        rows, bits = settings.array.rows, settings.quantize.act_bits
        data = {"name": name, "rows": rows, "bits": bits, "out": str(settings.run.out)}
        return Outcome(data=data, tables=("a table",), exit_code=5 if name == "five" else 0)

    @verb(app, out=False)
    def other(talk: Talk, settings: Settings) -> Outcome:
        """Other."""
        return Outcome(data={})

    return app


def _call(*words: str) -> Result:
    return CliRunner().invoke(_app(), ["build", *words])


def test_options_come_from_the_dataclasses() -> None:
    result = _call("lenet", "--rows", "3", "--quantize-act-bits", "6", "-o", "x", "--json")
    assert json.loads(result.stdout) == {"name": "lenet", "rows": 3, "bits": 6, "out": "x"}
    assert "building: " in result.stderr
    assert "built [net]" in result.stderr
    assert result.exit_code == 0


def test_file_and_command_line(tmp_path: Path) -> None:
    file = tmp_path / "o.toml"
    file.write_text("[array]\nrows = 4\n[quantize]\nact_bits = 5\n[run]\njson = true\nquiet = true\n")
    result = _call("--config", str(file), "--rows", "2")
    assert json.loads(result.stdout) == {"name": "net", "rows": 2, "bits": 5, "out": "None"}
    assert result.stderr == ""


def test_tables_for_people() -> None:
    assert _call().stdout == "a table\n"
    assert _call("--quiet").stdout == ""


def test_exit_code_of_the_outcome() -> None:
    assert _call("five").exit_code == 5


@pytest.mark.parametrize("name", FAULTS)
def test_deliberate_errors_are_one_line(name: str) -> None:
    error, code = FAULTS[name]
    result = _call(name)
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", f"error: {error}\n")


def test_error_as_json() -> None:
    result = _call("mismatch", "--json")
    message = {"kind": "MismatchError", "message": "layer [conv1] differs", "exit_code": 1}
    assert json.loads(result.stdout) == {"error": message}


def test_bad_value_names_the_option() -> None:
    result = _call("--rows", "many")
    assert (result.exit_code, result.stderr) == (2, "error: array.rows must be a whole number in 1..256, not 'many'\n")


def test_unknown_option_is_usage() -> None:
    assert _call("--rowz", "1").exit_code == 2


def test_crash_keeps_its_traceback() -> None:
    result = _call("crash")
    assert result.exit_code == CRASHED
    assert "ZeroDivisionError: oh" in result.stderr
    assert "fault in hwprm itself" in result.stderr


@pytest.mark.parametrize(("name", "where"), [("full", " at rtl/core.v"), ("full_rust", "")])
def test_full_disk_is_no_fault_of_ours(name: str, where: str) -> None:
    result = _call(name)
    words = f"error: the system refused{where}: No space left on device; make room or choose another place\n"
    assert (result.exit_code, result.stderr) == (2, words)


def test_memory_that_does_not_suffice_is_no_fault_of_ours() -> None:
    result = _call("memory")
    assert (result.exit_code, "Traceback" in result.stderr) == (2, False)
    assert "error: memory does not suffice (Unable to allocate 7 PiB); ask for less at once" in result.stderr


def test_a_warning_where_a_file_may_run_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ZipFile("m.pt2", "w").close()
    Path("text.pt2").write_text("no archive")
    words = "warning: reading m.pt2 may run code that is in it (pickled objects); open only what you trust\n"
    assert words in _call("m.pt2").stderr
    assert "warning" not in _call("m").stderr + _call("text.pt2").stderr + _call("m.pt2", "--quiet").stderr


def test_interrupt_says_how_to_continue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["hwprm", "build", "a b"])
    result = _call("interrupt")
    assert (result.exit_code, result.stderr) == (
        INTERRUPTED,
        "interrupted, stopped in epoch 3; continue with: hwprm build 'a b'\n",
    )


def test_the_bar_moves_before_anything_is_done() -> None:
    """A compiler says nothing for a minute; what is drawn changes all the same."""
    screen = io.StringIO()
    talk = Talk(progress=Console(file=screen, width=80, force_terminal=True, color_system=None))
    with talk.stage("verify") as tick:
        tick("verilator 5.48: compiling", 0, 10, {})
        time.sleep(0.5)
    lines = [line for line in re.split(r"\r|\n|\x1b\[[0-9;?]*[A-Za-z]", screen.getvalue()) if "compiling" in line]
    assert len({line[0] for line in lines}) > 1, lines
    assert all(len(line) <= 80 for line in lines)


def test_help_shows_defaults_and_sentences() -> None:
    result = CliRunner().invoke(_app(), ["build", "--help"], env={"COLUMNS": "200"})
    assert "--rows" in result.stdout
    assert "Lanes: output pixels computed side by side" in result.stdout
    assert "[1..256; default: 8]" in result.stdout
    assert "--cols" not in CliRunner().invoke(_app(), ["other", "--help"]).stdout
