"""The embedded subset: what it holds, and that damage is noticed."""

from importlib.resources import files

import numpy as np
import pytest

from hwprm.core.errors import DataError
from hwprm.data import Dataset, load_dataset
from hwprm.data.embedded import FILE, PER_CLASS, unpack
from hwprm.data.embedded.make import pack


def test_counts_balance_and_source(monkeypatch):
    monkeypatch.delenv("HWPRM_DATA", raising=False)
    ds = load_dataset("mnist")
    assert ds.source == "embedded subset (10,000 train, 2,000 test images)"
    assert ds.x_train.shape == (10_000, 1, 28, 28) and ds.x_test.shape == (2_000, 1, 28, 28)
    assert np.bincount(ds.y_train).tolist() == [PER_CLASS[0]] * 10
    assert np.bincount(ds.y_test).tolist() == [PER_CLASS[1]] * 10
    # The first labels of the released files; both sets begin unthinned.
    assert ds.y_train[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert ds.y_test[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]


def test_subset_ignores_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("HWPRM_DATA", str(tmp_path))
    assert len(load_dataset("mnist_subset").y_train) == 10_000
    with pytest.raises(DataError, match="is neither in"):
        load_dataset("mnist")


def test_every_flipped_byte_is_noticed():
    packed = bytearray(files("hwprm.data.embedded").joinpath(FILE).read_bytes())
    assert len(packed) < 4 << 20
    packed[len(packed) // 2] ^= 1
    with pytest.raises(DataError, match=r"the installation is damaged, install hwprm again$"):
        unpack(bytes(packed))


def test_terms_lie_beside_the_data():
    assert "CC BY-SA 3.0" in files("hwprm.data.embedded").joinpath("LICENSE.md").read_text()


def test_the_maker_makes_the_same_bytes():
    # From the subset itself, followed by images that must not be taken.
    ds = load_dataset("mnist_subset")
    longer = Dataset(
        name="mnist",
        source="test",
        x_train=np.concatenate([ds.x_train, ds.x_test]),
        y_train=np.concatenate([ds.y_train, ds.y_test]),
        x_test=np.concatenate([ds.x_test, ds.x_train[:50]]),
        y_test=np.concatenate([ds.y_test, ds.y_train[:50]]),
        classes=10,
    )
    import gzip

    shipped = files("hwprm.data.embedded").joinpath(FILE).read_bytes()
    assert gzip.decompress(pack(longer)) == gzip.decompress(shipped)
