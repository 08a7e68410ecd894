"""Compiled simulations do not pile up: those used least recently go."""

from __future__ import annotations

import os
from pathlib import Path

from hwprm.core.cache import size_of, trim

HOUR, NOW = 3600.0, 1e9


def entry(cache: Path, name: str, size: int, hours: float) -> Path:
    folder = cache / name
    folder.mkdir(parents=True)
    (folder / "sim").write_bytes(bytes(size))
    os.utime(folder, (NOW - hours * HOUR, NOW - hours * HOUR))
    return folder


def test_the_oldest_go_first(tmp_path: Path) -> None:
    old = entry(tmp_path, "builds/a", 100, 50)
    older = entry(tmp_path, "runtime/b", 100, 60)
    new = entry(tmp_path, "builds/c", 100, 2)
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / "images").write_bytes(bytes(500))
    assert trim(tmp_path, 250, NOW) == 200
    assert (old.exists(), older.exists(), new.exists()) == (True, False, True)
    assert trim(tmp_path, 0, NOW) == 0
    assert size_of(tmp_path) == 500, "data sets are nobody's to delete"


def test_what_was_just_used_stays(tmp_path: Path) -> None:
    entry(tmp_path, "builds/a", 100, 0.5)
    assert trim(tmp_path, 0, NOW) == 100


def test_what_killed_runs_left(tmp_path: Path) -> None:
    names = ("builds/.build-", "runs/")
    places = [entry(tmp_path, f"{name}{hours}", 1, hours) for name in names for hours in (100, 200)]
    trim(tmp_path, 1 << 30, NOW)
    assert [place.exists() for place in places] == [True, False, True, False]


def test_no_cache(tmp_path: Path) -> None:
    assert (trim(tmp_path / "none", 0), size_of(tmp_path / "none")) == (0, 0)
