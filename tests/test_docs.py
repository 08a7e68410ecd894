"""The documents name what is there."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from hwprm.compiler import compile_network
from hwprm.config import ArrayConfig
from tests.support.networks import small_lenet
from tests.test_layers import DOORS, OUTSIDE

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
#: Stops of a walk: few enough to follow in one sitting.
STOPS = 9


def _walks() -> dict[str, list[str]]:
    text = (DOCS / "architecture.md").read_text().partition("## Three walks")[2].partition("\n## ")[0]
    parts = re.split(r"\n(?=An? [a-z ]+,)", text)[1:]
    return {part.partition(",")[0]: re.findall(r"^\| `([\w.]+:\w+)` \|", part, re.MULTILINE) for part in parts}


WALKS = _walks()


def test_there_are_three_walks() -> None:
    assert list(WALKS) == ["An image", "A weight matrix", "A list entry"]


@pytest.mark.parametrize("walk", WALKS)
def test_a_walk_is_short_and_never_goes_back(walk: str) -> None:
    stops = WALKS[walk]
    assert 5 < len(stops) <= STOPS
    modules = [stop.partition(":")[0] for stop in stops]
    assert len(set(modules)) == len(modules), "no file is read twice"


@pytest.mark.parametrize("stop", sorted({stop for stops in WALKS.values() for stop in stops}))
def test_every_stop_is_there(stop: str) -> None:
    module, _, name = stop.partition(":")
    assert getattr(importlib.import_module(module), name).__module__ == module


def test_the_glossary_is_in_order_and_linked() -> None:
    text = (DOCS / "glossary.md").read_text()
    for part in text.split("\n## ")[1:]:
        words = [line.split("|")[1].strip().lower() for line in part.splitlines()[4:] if line.startswith("| ")]
        assert len(words) > 20 and words == sorted(words)
    for place in (ROOT / "README.md", DOCS / "architecture.md"):
        assert "glossary.md" in place.read_text(), place


def test_the_flow_names_folders_of_the_package() -> None:
    first, second = re.search(
        r"nn\.Module / \.pt2 -> .*\n(.*)\n.*-> IntegerNetwork.*\n(.*)\n", (DOCS / "architecture.md").read_text()
    ).groups()
    folders = [*first.split(), *second.split()]
    assert len(folders) == 10
    assert [folder for folder in folders if not (ROOT / "hwprm" / folder.replace(".", "/")).is_dir()] == []


def test_the_architecture_names_what_folders_import_from_outside() -> None:
    rows = re.findall(r"^\| `(\w+)` \|.*\| ([\w, ]*) ?\|$", (DOCS / "architecture.md").read_text(), re.MULTILINE)
    assert len(rows) > 20
    for folder, told in rows:
        packages = {package for package in told.replace(",", " ").split() if package != "numpy"}
        used = OUTSIDE.get(folder, set()) | ({"torch"} if folder in DOORS else set())
        assert {package.lower() for package in packages} <= {package.lower() for package in used}, folder
        assert bool(told.strip()) == bool(used), folder


def test_the_roms_are_counted_and_named() -> None:
    names = [rom.name for rom in compile_network(small_lenet(), ArrayConfig()).roms]
    told = re.search(r"the (\w+) ROMs \(([^)]*)\) are the program", (DOCS / "hardware.md").read_text())
    assert told is not None and len(names) == 6
    assert (told[1], sorted(re.findall(r"`(\w+)`", told[2]))) == ("six", sorted(names))
    for path in (ROOT / "README.md", *DOCS.glob("*.md"), *(ROOT / "hwprm").rglob("*.py")):
        assert not re.search(r"\b(five|5|seven|7) ROMs\b", path.read_text()), path


def test_the_page_on_trust_is_linked() -> None:
    """Who runs what others made is told where to read what that can do."""
    assert "docs/trust.md" in (ROOT / "README.md").read_text()
    assert "may unpickle" in (DOCS / "trust.md").read_text()


PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.glob("**/*.md")), ROOT / "benchmarks" / "README.md"]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_and_modules_are_there(path: Path) -> None:
    text = path.read_text()
    for target in re.findall(r"\]\(([\w./-]+?)(?:#[\w-]+)?\)", text):
        assert (path.parent / target).exists(), f"{path.name} links to {target}"
    for name in set(re.findall(r"`(hwprm/[\w/]+(?:\.py)?)`", text)):
        assert (ROOT / name).exists(), f"{path.name} names {name}"
    for name in set(re.findall(r"`(hwprm(?:\.\w+)+)`", text)):
        assert _resolves(name), f"{path.name} names {name}"


def _resolves(name: str) -> bool:
    """Whether `name` is a module, or something in one."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            if not hasattr(found, part):
                return part in getattr(found, "__annotations__", {}) or part in getattr(
                    found, "__dataclass_fields__", {}
                )
            found = getattr(found, part)
        return True
    return False
