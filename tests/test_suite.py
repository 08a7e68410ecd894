"""The tests themselves: where they stand, and that they find something to test."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
#: What unit tests are about that is no folder of the package.
BESIDE = {"benchmarks"}


def test_folders_of_unit_tests_mirror_the_package() -> None:
    folders = {path.parent.relative_to(TESTS / "unit") for path in TESTS.glob("unit/*/**/test_*.py")}
    assert len(folders) > 25
    missing = [str(folder) for folder in folders if not (ROOT / "hwprm" / folder).is_dir()]
    assert [folder for folder in missing if not (folder in BESIDE and (ROOT / folder).is_dir())] == []


def test_no_test_depends_on_the_folder_it_is_started_from() -> None:
    """A glob of a relative path finds nothing elsewhere, and tests nothing."""
    pattern = re.compile(r"Path\(\"(?!/)[\w./-]+\"\)\s*(?:\.r?glob|/)|(?<![\w.])open\(\"(?!/)")
    for path in TESTS.rglob("*.py"):
        found = [line.strip() for line in path.read_text().splitlines() if pattern.search(line)]
        assert path == Path(__file__) or found == [], f"{path.relative_to(ROOT)}: {found}"
