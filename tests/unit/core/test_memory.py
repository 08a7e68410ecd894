"""How much memory is free: what the system says, and what its container leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwprm.core import memory
from hwprm.core.memory import free_memory


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in place of the system's."""
    for name in ("MEMINFO", "LIMIT", "USED", "STAT"):
        monkeypatch.setattr(memory, name, tmp_path / name)
    return tmp_path


def test_the_least_that_anyone_says(files: Path) -> None:
    (files / "MEMINFO").write_text("MemTotal:  4000 kB\nMemFree: 10 kB\nMemAvailable:    3000 kB\n")
    assert free_memory() == 3000 * 1024
    (files / "LIMIT").write_text("max\n")
    (files / "USED").write_text("305\n")
    (files / "STAT").write_text("anon 5\ninactive_file 300\n")
    assert free_memory() == 3000 * 1024
    (files / "LIMIT").write_text("1000\n")
    assert free_memory() == 995
    (files / "USED").write_text("1301\n")
    assert free_memory() == 0


def test_without_such_a_file_all_that_is_built_in(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sysconf", {"SC_PHYS_PAGES": 7, "SC_PAGE_SIZE": 4096}.__getitem__)
    assert free_memory() == 7 * 4096
    (files / "MEMINFO").write_text("MemAvailable: many\n")
    assert free_memory() == 7 * 4096

    def unknown(name: str) -> int:
        raise ValueError(name)

    monkeypatch.setattr("os.sysconf", unknown)
    assert free_memory() is None
