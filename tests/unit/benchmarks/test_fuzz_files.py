"""Damaged files of every format: what the benchmark does by the thousand, a few of each here."""

import importlib
from pathlib import Path
from types import SimpleNamespace

import pytest

FOLDER = Path(__file__).resolve().parents[3] / "benchmarks"


@pytest.fixture(scope="module")
def fuzz():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield _scripts()


def _scripts():
    return SimpleNamespace(
        cases=importlib.import_module("fuzz_files_cases"), one=importlib.import_module("fuzz_files").one
    )


@pytest.fixture(scope="module")
def whole(fuzz, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files") / "whole"
    fuzz.cases.make_files(folder)
    return folder


def test_damaged_files_end_with_one_error_line_or_are_read(fuzz, whole, tmp_path):
    found = [fuzz.one(seed, whole, tmp_path / "case") for seed in range(14)]
    assert {case["failure"] for case in found} == {""}
    assert len({case["format"] for case in found}) > 4
    assert not (tmp_path / "case").exists()


def test_what_a_verb_may_not_do_is_told(fuzz, whole, tmp_path, monkeypatch):
    def broken(*_: object) -> None:
        raise RuntimeError("lost")

    monkeypatch.setattr(fuzz.cases, "CliRunner", lambda: SimpleNamespace(invoke=broken))
    with pytest.raises(RuntimeError, match="lost"):
        fuzz.cases.run_case(whole, "bundle")

    def ended(code, output, error=None):
        def invoke(*_: object) -> SimpleNamespace:
            (whole / "rest").mkdir(exist_ok=True)
            return SimpleNamespace(exit_code=code, output=output, stderr=output, exception=error)

        monkeypatch.setattr(fuzz.cases, "CliRunner", lambda: SimpleNamespace(invoke=invoke))
        outcome = fuzz.cases.run_case(whole, "bundle")[1]
        (whole / "rest").rmdir()
        return outcome

    assert ended(1, "", KeyError("x")) == "KeyError: 'x'"
    assert ended(70, "error: fault") == "exit code 70: error: fault"
    assert ended(0, "Traceback (most recent call last)") == "a traceback"
    assert ended(2, "what?") == "exit code 2 without an error line: what?"
    assert ended(2, "error: no") == "rest is left behind"
    assert ended(0, "") == ""
