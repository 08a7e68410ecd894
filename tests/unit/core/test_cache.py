"""Compiled simulations do not pile up: those used least recently go."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from hwprm.core.cache import keep, size_of, trim
from hwprm.core.errors import ConfigError

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


def test_what_is_kept_is_whole_and_made_once(tmp_path: Path) -> None:
    made: list[Path] = []

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "result").write_text("42")

    first = keep(tmp_path, "silicon", "key", make)
    assert (first / "result").read_text() == "42"
    os.utime(first, (NOW, NOW))
    assert keep(tmp_path, "silicon", "key", make) == first == tmp_path / "silicon" / "key"
    assert len(made) == 1
    assert first.stat().st_mtime > NOW, "its last use"
    assert trim(tmp_path, 0, first.stat().st_mtime + 2 * HOUR) == 0


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    def make(folder: Path) -> None:
        (folder / "half").touch()
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        keep(tmp_path, "silicon", "key", make)
    assert list((tmp_path / "silicon").iterdir()) == []


def test_what_cannot_be_moved_into_place_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: Path) -> Path:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(ConfigError, match=r"key cannot be kept \(Permission denied\); choose another cache"):
        keep(tmp_path, "silicon", "key", lambda folder: None)
    assert list((tmp_path / "silicon").iterdir()) == []


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "silicon").touch()
    with pytest.raises(ConfigError, match=r"results cannot be kept in .*; choose another with --work"):
        keep(tmp_path, "silicon", "key", lambda folder: None)
