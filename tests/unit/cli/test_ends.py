"""How verbs end: where the result lies, what comes next, PASS or FAIL, times that add up; and what was resumed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from hwprm.cli.onward import onward
from hwprm.cli.talk import Talk
from hwprm.config import Settings, load_settings
from hwprm.verification import VerifyReport
from tests.conftest import Run

#: Quick ADMM.
QUICK = {"admm_epochs": 1, "admm_stages": 1, "admm_retrain_epochs": 0, "admm_final_epochs": 1, "admm_compression": 2}


def test_the_next_command_names_the_data() -> None:
    assert onward("prune", Path("a b")) == "hwprm prune 'a b'"
    settings = load_settings(None, {("data", "name"): "x.npz", ("data", "data_dir"): "d"})
    assert onward("quantize", "p", settings=settings) == "hwprm quantize p --data x.npz --data-dir d"
    assert onward("quantize", "p", settings=Settings()) == "hwprm quantize p"


def _last(text: str) -> str:
    return text.splitlines()[-1]


@pytest.mark.sim
def test_every_step_says_where_and_what_next(
    run: Run, tmp_path: Path, tiny_model: Path, tiny_data: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands that are told, one after the other, as who copies them would run them."""
    monkeypatch.chdir(tmp_path)
    data = f" --data {tiny_data}"
    made = run("train", tiny_model, data=tiny_data, epochs=1)
    assert _last(made.stderr) == f"result: model; next: hwprm prune model{data}"
    pruned = run("prune", "model", data=tiny_data, **QUICK)
    assert _last(pruned.stderr) == f"result: pruned; next: hwprm quantize pruned{data}"
    integer = run("quantize", "pruned", data=tiny_data)
    assert _last(integer.stderr) == f"result: integer; next: hwprm compile integer{data}"
    made = run("compile", "integer", rows=2, cols=2, data=tiny_data)
    assert _last(made.stderr) == "result: bundle; next: hwprm verify bundle"
    done = run("verify", "bundle", sim="icarus", modes="bulk", images=2, work=work)
    assert re.fullmatch(
        r"PASS: 2 images, 6 values compared, 0 wrong; cycles: (\d+), predicted \1", _last(done.stdout)
    ), done.stdout
    reached = r"coverage: (\d+) of \d+ goals reached, \d+ unreachable, \d+ open"
    assert re.fullmatch(reached, done.stdout.strip().splitlines()[-2]), done.stdout
    assert _last(done.stderr) == "next: hwprm synth bundle"
    assert _last(run("estimate", "integer").stderr) == "next: hwprm compile integer --rows 8 --cols 8"
    assert _last(run("export", "pruned").stderr) == "result: exported; next: hwprm report exported"
    page = run("report", "bundle", html="page.html")
    assert _last(page.stderr) == "result: page.html"
    assert "next:" not in run("report", "bundle", "--quiet").stderr


def test_times_are_those_of_the_command(run: Run, tmp_path: Path, tiny_model: Path, tiny_data: Path) -> None:
    """What an earlier command took is not in the table, purification is, and all of it is the time that passed."""
    model, out = tmp_path / "model", tmp_path / "pruned"
    first = json.loads(run("train", tiny_model, "--json", data=tiny_data, epochs=1, out=model).stdout)
    assert list(first["seconds"]) == ["dense", "other"]
    done = run("prune", model, "--json", data=tiny_data, out=out, **QUICK)
    seconds = json.loads(done.stdout)["seconds"]
    assert list(seconds) == ["admm", "purified", "compact", "other"]
    assert all(value > 0 for value in seconds.values())
    again = json.loads(run("prune", out, "--json", data=tiny_data, finetune_epochs=1, out=tmp_path / "f").stdout)
    assert list(again["seconds"]) == ["finetuned", "other"]


def test_seconds_add_up_to_those_that_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    talk = Talk(started=100.0)
    monkeypatch.setattr("time.monotonic", lambda: 110.0)
    assert talk.account({"admm": 4.0}) == {"admm": 4.0, "other": 6.0}
    assert talk.account({"admm": 14.0}) == {"admm": 14.0, "earlier attempts": -4.0}


def test_resuming_is_said(
    run: Run, tmp_path: Path, tiny_model: Path, tiny_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "model"
    options = {"data": tiny_data, "epochs": 3, "out": out}

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("hwprm.reporting.record.live.Watch._epoch", stop)
        assert run("train", tiny_model, **options).exit_code == 130
    again = run("train", tiny_model, **options)
    assert again.exit_code == 0
    assert "train: goes on where it was interrupted, after epoch 1 of train\n" in again.stderr
    assert "goes on" not in run("train", tiny_model, **(options | {"out": tmp_path / "other"})).stderr


@pytest.mark.parametrize(
    ("wrong", "simulated", "text"),
    [
        (0, 6938, "PASS: 100 images, 22,816 values compared, 0 wrong; cycles: 6,938, predicted 6,938"),
        (3, None, "FAIL: 100 images, 22,816 values compared, 3 wrong; cycles: not measured, predicted 6,938"),
    ],
)
def test_the_last_line_of_verify(
    wrong: int, simulated: int | None, text: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = VerifyReport(
        **{"net": "lenet5", "design_hash": "", "simulators": ("verilator 5.48",), "images": 100, "image_source": ""},
        **{"seed": 1, "values_compared": 22816, "mismatches": wrong, "cycles_predicted": 6938},
        **{"cycles_simulated": simulated, "layer_cycles_predicted": (), "layer_cycles_simulated": ()},
        **{"cases": (), "waves": (), "seconds": 1.0},
    )
    monkeypatch.setattr("hwprm.api.verify", lambda *given, **options: report)
    done = run("verify", "bundle")
    assert (_last(done.stdout), done.exit_code) == (text, bool(wrong))
    assert "coverage: " not in done.stdout, "of nothing there is nothing to tell"
    again = "hwprm synth bundle" if not wrong else "hwprm verify bundle --wave 0:20000"
    assert _last(done.stderr) == f"next: {again}"
