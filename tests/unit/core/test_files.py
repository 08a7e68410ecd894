"""Output folders are complete or absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hwprm.core.errors import InputError
from hwprm.core.files import check_file, check_output, new_folder, write_file


def test_new_folder_takes_its_name_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b"
    with new_folder(target) as work:
        (work / "x").write_text("1")
        assert not target.exists()
    assert (target / "x").read_text() == "1"
    assert [p.name for p in target.parent.iterdir()] == ["b"]


def test_empty_folder_is_taken(tmp_path: Path) -> None:
    with new_folder(tmp_path / "a") as work:
        (tmp_path / "a").mkdir()
        (work / "x").write_text("1")
    assert (tmp_path / "a" / "x").exists()


def test_failure_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "a") as work:
        (work / "x").write_text("1")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_failure_leaves_no_folder_above_either(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "mine" / "a" / "b"):
        raise ZeroDivisionError
    assert [path.name for path in tmp_path.rglob("*")] == ["mine"]


def test_full_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("1")
    with pytest.raises(InputError, match=r"is not empty; choose another one or delete it$"):
        check_output(tmp_path)


def test_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("1")
    with pytest.raises(InputError, match=r"x is a file; choose another name$"):
        check_output(tmp_path / "x")
    with pytest.raises(InputError, match=r"y lies in .*x, which is a file; choose another name$"):
        check_output(tmp_path / "x" / "y")


def test_unwritable_place_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The superuser may write anywhere, so the answer of the system is given here.
    monkeypatch.setattr(os, "access", lambda *args: False)
    with pytest.raises(InputError, match=r"is not writable; choose another place$"):
        check_output(tmp_path / "a")


def test_empty_folder_in_an_unwritable_place_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    (tmp_path / "a").mkdir()
    with pytest.raises(InputError, match=rf"a cannot be made, {tmp_path} is not writable; choose another place$"):
        check_output(tmp_path / "a")
    check_output(tmp_path / "a", inside=True)


def test_file_that_cannot_be_written(tmp_path: Path) -> None:
    check_file(tmp_path / "new" / "f")
    with pytest.raises(InputError, match=r"it is a folder; choose another name$"):
        check_file(tmp_path)
    (tmp_path / "x").write_text("1")
    with pytest.raises(InputError, match=r"x is no writable folder; choose another place$"):
        check_file(tmp_path / "x" / "f")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_write_file_replaces_and_cleans_up(tmp_path: Path) -> None:
    write_file(tmp_path / "d" / "f", "1")
    write_file(tmp_path / "d" / "f", "2")
    assert [(p.name, p.read_text()) for p in (tmp_path / "d").iterdir()] == [("f", "2")]
    with pytest.raises(InputError, match=r"^cannot write .*; choose another place$"):
        write_file(tmp_path / "d" / "f" / "g", "3")
