"""Downloading, with the network replaced by a function."""

import hashlib
import io

import pytest

from hwprm.core.errors import DataError
from hwprm.data import load as load_module
from hwprm.data import load_dataset
from hwprm.data.download import MIRRORS, download_mnist
from hwprm.data.idx import FILES, SHA256


@pytest.fixture
def released(monkeypatch):
    """Stand-ins for the released files, with their digests in place of the real ones."""
    files = {name: f"content of {name}".encode() for name in FILES}
    monkeypatch.setitem(SHA256, "mnist", tuple(hashlib.sha256(files[name]).hexdigest() for name in FILES))
    return files


def mirror(files, broken=(), log=None):
    def opener(url):
        (log if log is not None else []).append(url)
        host, _, name = url.rpartition("/")
        if f"{host}/" in broken:
            raise OSError("unreachable")
        return io.BytesIO(files[name])

    return opener


def test_fetches_all_then_keeps_them(released, tmp_path):
    log = []
    download_mnist(tmp_path, mirror(released, log=log))
    assert {p.name: p.read_bytes() for p in (tmp_path / "mnist").iterdir()} == released
    assert log == [MIRRORS[0] + name for name in FILES]
    download_mnist(tmp_path, mirror(released, log=log))
    assert len(log) == len(FILES)


def test_second_mirror_helps(released, tmp_path):
    download_mnist(tmp_path, mirror(released, broken=MIRRORS[:1]))
    assert len(list((tmp_path / "mnist").iterdir())) == len(FILES)


def test_wrong_digest_is_refused_and_nothing_is_kept(released, tmp_path):
    forged = dict(released) | {FILES[0]: b"forged"}
    with pytest.raises(DataError, match=r"^no mirror delivered train-images-idx3-ubyte\.gz \(.*SHA-256 .*; fetch the"):
        download_mnist(tmp_path, mirror(forged))
    assert list((tmp_path / "mnist").iterdir()) == []


def test_no_mirror_reachable(released, tmp_path):
    with pytest.raises(DataError, match=r"unreachable; .*unreachable\); fetch the four files elsewhere"):
        download_mnist(tmp_path, mirror(released, broken=MIRRORS))


def test_a_damaged_file_is_fetched_again(released, tmp_path):
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / FILES[2]).write_bytes(b"damaged")
    download_mnist(tmp_path, mirror(released))
    assert (tmp_path / "mnist" / FILES[2]).read_bytes() == released[FILES[2]]


def test_load_dataset_downloads_into_the_folder(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(load_module, "download_mnist", seen.append)
    with pytest.raises(DataError, match="is neither in"):
        load_dataset("mnist", data_dir=tmp_path, download=True)
    assert seen == [tmp_path]
    with pytest.raises(DataError, match=r"^cifar10: only mnist can be downloaded"):
        load_dataset("cifar10", data_dir=tmp_path, download=True)
