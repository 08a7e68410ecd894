"""Output folders are complete or absent."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hwprm.core.errors import InputError
from hwprm.core.files import check_file, check_output, lock_folder, new_folder, put_file, write_file
from hwprm.model import Model, Stage
from tests.conftest import tiny_graph
from tests.sim.standin import network


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


def test_links_to_folders_are_followed(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("empty", "absent"):
        (tmp_path / f"to-{name}").symlink_to(name)
        with new_folder(tmp_path / f"to-{name}") as work:
            (work / "x").write_text("1")
        assert (tmp_path / name / "x").read_text() == "1"
        assert (tmp_path / f"to-{name}").is_symlink()


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


def put(target: Path, text: str) -> None:
    source = target.parent / "source"
    source.write_text(text)
    put_file(source, target)


@pytest.mark.parametrize("write", [write_file, put], ids=["write_file", "put_file"])
class TestWhatStandsThere:
    """An output file is an ordinary file or leads to one; nothing else is ever renamed over."""

    def test_a_pipe(self, tmp_path: Path, write: Callable[[Path, str], None]) -> None:
        os.mkfifo(tmp_path / "f")
        with pytest.raises(InputError, match=r"f: it is a pipe; choose another name$"):
            write(tmp_path / "f", "1")
        assert stat.S_ISFIFO((tmp_path / "f").stat().st_mode)

    def test_a_device(self, write: Callable[[Path, str], None], tmp_path: Path, device: Path) -> None:
        (tmp_path / "f").symlink_to(device)
        with pytest.raises(InputError, match=r"f: it is a device; choose another name$"):
            write(tmp_path / "f", "1")
        assert stat.S_ISCHR(device.stat().st_mode)

    def test_a_link_is_written_through(self, tmp_path: Path, write: Callable[[Path, str], None]) -> None:
        (tmp_path / "real").mkdir()
        (tmp_path / "f").symlink_to("real/g")
        for text in ("1", "2"):  # a link to nothing, a link to a file
            write(tmp_path / "f", text)
            assert (tmp_path / "f").is_symlink()
            assert (tmp_path / "real" / "g").read_text() == text
        assert [path.name for path in (tmp_path / "real").iterdir()] == ["g"]

    def test_links_in_a_circle(self, tmp_path: Path, write: Callable[[Path, str], None]) -> None:
        (tmp_path / "f").symlink_to("f")
        with pytest.raises(InputError, match=r"^cannot write .*f: "):
            write(tmp_path / "f", "1")
        assert (tmp_path / "f").is_symlink()

    def test_a_folder(self, tmp_path: Path, write: Callable[[Path, str], None]) -> None:
        (tmp_path / "f").mkdir()
        with pytest.raises(InputError, match=r"f: it is a folder; choose another name$"):
            write(tmp_path / "f", "1")
        assert list((tmp_path / "f").iterdir()) == []

    def test_a_name_that_no_system_has(self, tmp_path: Path, write: Callable[[Path, str], None]) -> None:
        for name in ("a\0b", 300 * "n"):
            with pytest.raises(InputError, match=r"^cannot write "):
                write(tmp_path / name, "1")


@pytest.fixture
def umask() -> Iterator[int]:
    before = os.umask(0o027)
    yield 0o027
    os.umask(before)


def test_files_and_folders_have_ordinary_modes(tmp_path: Path, umask: int) -> None:
    write_file(tmp_path / "f", b"1")
    with new_folder(tmp_path / "d"):
        pass
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("f", "d")]
    assert modes == [0o666 & ~umask, 0o777 & ~umask]


def test_weights_have_ordinary_modes_too(tmp_path: Path, umask: int) -> None:
    """The library that writes them makes files that nobody else can read."""
    Model(graph=tiny_graph(), stage=Stage.DENSE).save(tmp_path / "model")
    network().save(tmp_path / "network")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sum(path.name == "weights.safetensors" for path in files) == 2
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o666 & ~umask}


def test_the_umask_is_never_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def touched(mask: int) -> int:
        raise AssertionError("another thread would make files that everybody can write")

    monkeypatch.setattr(os, "umask", touched)
    with new_folder(tmp_path / "d"):
        write_file(tmp_path / "f", "1")


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    texts = [100_000 * letter for letter in "abcdefgh"]
    threads = [threading.Thread(target=write_file, args=(tmp_path / "f", text)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "f").read_text() in texts
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


HOLD = """
import sys
from pathlib import Path
from hwprm.core.files import lock_folder
with lock_folder(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock of ``tmp_path / "out"`` until its input ends."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "out")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        yield process
        process.kill()


def test_a_folder_that_another_process_writes(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    words = rf"out is being written by process {holder.pid} on .* since .*; wait until that has ended, or choose"
    for _ in range(2):
        with pytest.raises(InputError, match=words), new_folder(tmp_path / "out"):
            pass
    (tmp_path / "link").symlink_to("out")
    with pytest.raises(InputError, match="is being written by"), lock_folder(tmp_path / "link"):
        pass
    with new_folder(tmp_path / "other"):
        pass
    holder.communicate("")
    with new_folder(tmp_path / "out"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "other", "out"]


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    assert (tmp_path / ".out.lock").is_file()
    with new_folder(tmp_path / "out"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_locks_of_one_thread_lie_inside_one_another(tmp_path: Path) -> None:
    refused: list[str] = []

    def other() -> None:
        try:
            with lock_folder(tmp_path / "a"):
                pass
        except InputError as error:
            refused.append(str(error))

    with lock_folder(tmp_path / "a"):
        with new_folder(tmp_path / "a"):
            pass
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    other()
    assert len(refused) == 1
    assert "is being written by another thread of this program" in refused[0]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_lock_without_room_beside_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    with lock_folder(tmp_path / "a"):
        assert list((tmp_path / "a").iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_lock_leaves_nothing_above_it(tmp_path: Path) -> None:
    with lock_folder(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / ".b.lock").is_file()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "x").write_text("1")
    with (
        pytest.raises(InputError, match=r"y cannot be locked: .*; choose another place$"),
        lock_folder(tmp_path / "x" / "y"),
    ):
        pass
