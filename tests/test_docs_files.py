"""What stands around the code says what the code says: picture, formats, citation, changelog, hooks, workflow."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import pytest
import typer
import yaml

from hwprm.cli.app import app, register
from hwprm.core import formats

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def _yaml(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text())


@pytest.fixture(scope="module")
def picture() -> ModuleType:
    """docs/make_picture.py."""
    spec = importlib.util.spec_from_file_location("make_picture", DOCS / "make_picture.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_picture_is_what_the_results_say(picture: ModuleType) -> None:
    assert (DOCS / "picture.svg").read_text() == picture.text(), "run python docs/make_picture.py"


def test_the_picture_says_what_the_first_page_says(picture: ModuleType) -> None:
    words = " ".join(ElementTree.fromstring(picture.text()).itertext())
    text = (ROOT / "README.md").read_text()
    for number in re.findall(r"\d+,\d{3}|12\.5", words):
        assert number in text, number


@pytest.mark.parametrize("colours", ["DAY", "NIGHT"])
def test_words_of_the_picture_can_be_read(picture: ModuleType, colours: str) -> None:
    """WCAG's contrast of words to the card, which is opaque, so that the page behind it does not matter."""
    of = getattr(picture, colours)
    for name in ("ink", "pale", "kept"):
        assert _contrast(of[name], of["card"]) >= 4.5, name
    card = ElementTree.fromstring(picture.text()).find("{http://www.w3.org/2000/svg}rect")
    assert card is not None and card.get("class") == "card"
    assert (float(card.get("width", 0)), float(card.get("height", 0))) == (picture.WIDTH - 2, picture.HEIGHT - 2)


def _contrast(one: str, other: str) -> float:
    def light(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_formats_of_files_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| `[\w.]+`[^|]*\| `(hwprm-[\w-]+)` \| ?(.*?) ?\|$", (DOCS / "versions.md").read_text(), re.M)
    now = {value for name in formats.__all__ if isinstance(value := getattr(formats, name), str)}
    assert len(rows) == len(now) and {name for name, _ in rows} == now
    older = {name for _, told in rows for name in re.findall(r"`(hwprm-\w+-\d+)` is read", told)}
    assert older == set(formats.NETWORKS) - {formats.NETWORK, formats.NETWORK_WITH_TABLES, formats.NETWORK_WITH_GATES}
    assert all(told for name, told in rows if not name.endswith("-1")), "what becomes of the version before"


def test_the_citation_is_valid() -> None:
    """The keys that the Citation File Format 1.2.0 demands, and those that have to agree with the package."""
    cited = _yaml("CITATION.cff")
    assert {"cff-version", "message", "title", "authors"} <= set(cited)
    assert cited["cff-version"] == "1.2.0" and cited["type"] == "software"
    assert (str(cited["version"]), cited["license"]) == (PROJECT["version"], PROJECT["license"])
    for author in [*cited["authors"], *(name for paper in cited["references"] for name in paper["authors"])]:
        assert set(author) in ({"name"}, {"family-names", "given-names"})
    for paper in cited["references"]:
        assert {"type", "title", "authors"} <= set(paper)
        assert all({"type", "value"} <= set(identifier) for identifier in paper["identifiers"])


def test_the_changelog_has_the_form_that_it_names() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    versions = re.findall(r"^## \[(.+?)\](?: - (\d{4}-\d{2}-\d{2}))?$", text, re.M)
    assert versions[0] == ("Unreleased", "") and all(date for _, date in versions[1:])
    kinds = re.findall(r"^### (.*)$", text, re.M)
    assert kinds and set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert len(re.findall(r"^## ", text, re.M)) == len(versions)


def test_hooks_run_the_linters_of_make_and_fetch_nothing() -> None:
    repos = _yaml(".pre-commit-config.yaml")["repos"]
    assert [repo["repo"] for repo in repos] == ["local"]
    hooks = repos[0]["hooks"]
    assert {hook["language"] for hook in hooks} == {"system"}
    lint = (ROOT / "Makefile").read_text().partition("\nlint:")[2].partition("\n\n")[0].replace("$(BIN)", ".venv/bin")
    for hook in hooks:
        command = hook["entry"].replace(" --force-exclude", "").replace(" --check", "")
        assert command in lint.replace(" --check", ""), hook["id"]
    assert {"ruff-check", "ruff-format", "mypy"} == {hook["id"] for hook in hooks}


def test_security_says_what_is_trusted_and_how_to_report() -> None:
    text = (ROOT / "SECURITY.md").read_text()
    for word in (".pt2", "Verilog", "weights_only=True", "~/.cache/hwprm", "## Reporting"):
        assert word in text


def test_the_extra_of_the_site_is_not_part_of_the_demo() -> None:
    makefile = (ROOT / "Makefile").read_text()
    setup = re.search(r"-e '\.\[([\w,]+)\]'", makefile)
    assert setup is not None and "docs" not in setup[1].split(",")
    assert "\ndocs: setup-docs\n" in makefile and "demo: setup\n" in makefile


def test_the_workflow_names_the_wheel_of_this_version() -> None:
    assert _yaml("examples/ci/verify.yml")["env"]["HWPRM"] == f"./hwprm-{PROJECT['version']}-py3-none-any.whl"


@pytest.mark.parametrize("page", ["README.md", "docs/start.md", "docs/ci.md", "docs/index.md"])
def test_commands_are_spelt_as_the_command_line_has_them(page: str) -> None:
    register()
    verbs: Any = typer.main.get_command(app)
    text = re.sub(r" +#.*", "", (ROOT / page).read_text())  # comments behind commands
    commands = re.findall(r"(?:^ {4}|`)hwprm ([a-z]+)\b([^`\n]*)", text, re.M)
    assert len(commands) > 2
    for verb, words in commands:
        assert verb in verbs.commands, f"hwprm {verb}"
        known = {flag for item in verbs.commands[verb].params for flag in (*item.opts, *item.secondary_opts)}
        assert set(re.findall(r"(?<= )--?[a-z][\w-]*", words)) <= known, f"hwprm {verb}{words}"
