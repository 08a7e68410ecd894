"""Help for who does not know the verb: what most need first, choices, defaults, two examples; completion; spellings."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

import hwprm
from hwprm.cli.app import VERBS, app, register
from hwprm.config import TrainConfig, load_settings
from hwprm.config.spelling import spelled
from tests.conftest import Run


def _help(verb: str) -> str:
    register()
    return CliRunner().invoke(app, [verb, "--help"], env={"COLUMNS": "160"}).stdout


@pytest.mark.parametrize("verb", VERBS)
def test_two_examples_that_are_understood(verb: str) -> None:
    text = _help(verb)
    examples = re.findall(rf"^ +(hwprm {verb}\b.*?) *$", text.partition("Examples:")[2].partition("╭")[0], re.MULTILINE)
    assert len(examples) == 2, text
    group = get_command(app)
    for line in examples:
        words = shlex.split(line)[1:]
        with group.make_context("hwprm", list(words), resilient_parsing=False) as context:
            command = group.get_command(context, verb)  # type: ignore[attr-defined]  # the root is a group
            given = command.make_context(verb, words[1:], parent=context).params
        assert any(value is not None for value in given.values()) or words[1:] == [], line


def test_what_most_need_stands_in_the_first_group() -> None:
    text = _help("compile")
    first, second = text.index("─ Options ─"), text.index("─ Options: array ─")
    places = {flag: text.index(f"│ {flag} ") for flag in ("--rows", "--data", "--out", "--batch", "--axi-burst")}
    assert first < places["--rows"] < places["--data"] < places["--out"] < second < places["--batch"]
    words = re.sub(r"[\s│]+", " ", text)
    assert "--weights rom|axi Where" in words and "[2, 4, 8, 16, 32, 64, 128, 256; default: 32]" in words


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("hwprm veri", {"verify"}),
        ("hwprm verify --sim ver", {"verilator"}),
        ("hwprm verify --icarus", {"--icarus-images"}),
        ("hwprm prune --stop-after ", {"admm", "shrink", "purify", "compact", "finetune"}),
    ],
)
def test_shells_complete_verbs_options_and_choices(words: str, found: set[str]) -> None:
    register()
    count = str(len(words.split(" ")) - 1)
    env = {"_HWPRM_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": count}
    done = CliRunner().invoke(app, [], prog_name="hwprm", env=env)
    assert set(done.stdout.split()) == found


def test_both_spellings_are_understood(run: Run, tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    assert [spelled(word) for word in ("train-optimizer", "quantise_images", "rows")] == [
        *("train-optimiser", "quantize_images", "rows")
    ]
    assert hwprm.quantise is hwprm.quantize and hwprm.QuantiseConfig is hwprm.QuantizeConfig
    for verb in ("quantise", "quantize"):
        done = run(verb, tiny_model, "--json", data=tiny_data, out=tmp_path / verb)
        assert json.loads(done.stdout)["out"] == str(tmp_path / verb)
    bad = run("train", tiny_model, "--optimizer=adam")
    assert bad.stderr == "error: train.optimiser must be one of adamw, sgd, not 'adam'; did you mean 'adamw'?\n"
    assert run("compile", tiny_model, "--quantise-images", "x").stderr.startswith("error: quantize.images must be")
    file = tmp_path / "o.toml"
    file.write_text('[train]\noptimizer = "sgd"\n[quantise]\nimages = 7\n')
    settings = load_settings(file)
    assert (settings.train, settings.quantize.images) == (TrainConfig(optimiser="sgd"), 7)


def test_words_behind_the_dashes_are_nobodys_business() -> None:
    other = typer.Typer(cls=type(get_command(app)))

    @other.command()
    def say(words: list[str], optimiser: str = "") -> None:
        print(words, optimiser)

    @other.callback()
    def root() -> None: ...

    told = CliRunner().invoke(other, ["say", "optimizer", "--optimizer", "quantise", "--", "--optimizer"]).stdout
    assert told == "['optimizer', '--optimizer'] quantise\n"
