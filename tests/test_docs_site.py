"""The site: every page of the repository is in it, every link leads somewhere, and no network is needed."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "docs" / "site"
ABSENT = [name for name in ("sphinx", "myst_parser", "furo") if importlib.util.find_spec(name) is None]
needs_sphinx = pytest.mark.skipif(bool(ABSENT), reason=f"the extra docs is not installed ({', '.join(ABSENT)})")


@pytest.fixture(scope="module")
def stage() -> ModuleType:
    """docs/site/stage.py, which needs nothing but Python."""
    sys.path.insert(0, str(SITE))
    try:
        return importlib.import_module("stage")
    finally:
        sys.path.remove(str(SITE))


@pytest.fixture(scope="module")
def sources(stage: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Markdown that the site is made of."""
    out = tmp_path_factory.mktemp("site")
    stage.stage(out)
    return out


def test_every_page_of_the_repository_is_in_the_navigation() -> None:
    parts = tomllib.loads((SITE / "nav.toml").read_text())["part"]
    named = [page for part in parts for page in part["pages"]]
    assert len(set(named)) == len(named)
    assert [page for page in named if not (ROOT / page).is_file()] == []
    there = {path.relative_to(ROOT).as_posix() for path in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"))}
    assert there - set(named) == {"docs/index.md"}


def test_sources_that_are_linked_to_become_pages(sources: Path) -> None:
    text = (sources / "docs" / "operators.md").read_text()
    assert "(../hwprm/graph/ops/add.py.md)" in text
    shown = (sources / "hwprm" / "graph" / "ops" / "add.py.md").read_text()
    assert shown.startswith("---\norphan: true\n---") and "```python\n" in shown and "class Add(" in shown
    assert "lenet5-conv-232x.toml" in (sources / "examples" / "recipes" / "folder.md").read_text()


def test_a_file_that_is_no_text_has_a_page_that_says_so(sources: Path) -> None:
    file = "examples/plans/resnet18-cifar-dense.tar.xz"
    page = (sources / f"{file}.md").read_text()
    assert f"# `{file}`" in page and f"{(ROOT / file).stat().st_size:,} bytes, not text" in page


@pytest.mark.parametrize("link", ["nowhere.md", "../../outside.md", "site/none.py"])
def test_a_link_to_nothing_is_an_error(stage: ModuleType, link: str) -> None:
    with pytest.raises(stage.BrokenLinkError, match=rf"docs/index\.md links to {re.escape(link)}, which is not there"):
        stage._linked("docs/index.md", f"[x]({link})")


def test_a_link_to_no_heading_is_an_error(stage: ModuleType) -> None:
    texts = {"a.md": "# One\n\n## `x`, and *more* 2.5\n\n```\n# code\n```\n## One\n"}
    for name in ("one", "x-and-more-25", "one-1"):
        stage._check_anchors("a.md", f"[x](#{name})", texts)
    for name in ("code", "One", "one-2"):
        with pytest.raises(stage.BrokenLinkError, match=rf"a\.md links to #{name}, and a\.md has no such heading"):
            stage._check_anchors("a.md", f"[x](#{name})", texts)


def test_what_stands_in_code_is_no_link(stage: ModuleType) -> None:
    text = "`[x](nowhere)` and\n\n```\n[x](nowhere)\n```\n"
    assert stage._linked("docs/index.md", text) == (text, [])


def test_the_reference_has_every_public_name(sources: Path) -> None:
    """By Python's own parser: names of `__all__` of every folder, and a sentence for each class and function."""
    for file in sorted((ROOT / "hwprm").glob("*/__init__.py")):
        folder = f"hwprm.{file.parent.name}"
        tree = ast.parse(file.read_text())
        names = [
            name
            for node in tree.body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
            for name in ast.literal_eval(node.value)
        ]
        page = sources / "docs" / "reference" / f"{'hwprm' if folder == 'hwprm.api' else folder}.md"
        text = page.read_text() if names else ""
        assert [name for name in names if not re.search(rf"[.`]{name}\b", text)] == [], folder


def test_options_in_the_reference_have_their_sentences(sources: Path) -> None:
    text = (sources / "docs" / "reference" / "hwprm.config.md").read_text()
    told = re.search(r"\{py:attribute\} hwprm\.config\.ArrayConfig\.rows\n:type: .*le=256.*\n\n(.*)\n", text)
    assert told is not None and told[1].startswith("Lanes: output pixels computed side by side")
    assert "hwprm.config.ArrayConfig(rows: int = 8, cols: int = 8, batch: int = 1," in text


@needs_sphinx
@pytest.mark.slow
def test_it_is_built_without_a_warning_and_without_a_network(tmp_path: Path) -> None:
    """Sphinx reports links to headings that are not there; nothing is loaded from elsewhere."""
    out = tmp_path / "site"
    done = _build(out)
    assert done.returncode == 0, done.stderr
    home = (out / "docs" / "index.html").read_text()
    assert "picture.svg" in home
    for word in ("ML engineer", "hardware engineer", "researcher"):
        assert word in home
    assert "url=docs/index.html" in (out / "index.html").read_text()
    assert (out / "searchindex.js").is_file()
    for page in out.rglob("*.html"):
        loaded = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(https?://[^"]+)"', page.read_text())
        assert loaded == [], page


@needs_sphinx
def test_a_heading_that_is_not_there_fails_the_build(tmp_path: Path) -> None:
    code = f"""
import sys, pathlib
sys.path.insert(0, {str(SITE)!r})
import build
def stage(out):
    (out / "docs").mkdir()
    (out / "docs" / "index.md").write_text("# One\\n\\n[x](#two)\\n")
build.stage = stage
raise SystemExit(build.main(pathlib.Path({str(tmp_path / "site")!r})))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "'two'" in done.stderr, done.stderr


@needs_sphinx
def test_a_folder_of_others_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    done = _build(tmp_path)
    assert done.returncode == 2 and "was not made by this program" in done.stderr
    assert (tmp_path / "mine.txt").exists()


def _build(out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SITE / "build.py"), str(out)]
    return subprocess.run(command, capture_output=True, text=True, check=False)
