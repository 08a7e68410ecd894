"""Loaders on files made here: what loads, and what is refused with which words."""

import gzip
import json
import lzma
import pickle
import re
import struct
import tarfile

import numpy as np
import pytest

from hwprm.core.errors import DataError
from hwprm.data import Dataset, load_dataset, split_validation
from hwprm.data.idx import FILES, SHA256

RNG = np.random.default_rng(0)


def idx_images(images, magic=2051):
    return gzip.compress(struct.pack(">IIII", magic, *images.shape) + images.tobytes())


def idx_labels(labels, magic=2049):
    return gzip.compress(struct.pack(">II", magic, len(labels)) + labels.tobytes())


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    monkeypatch.delenv("HWPRM_DATA", raising=False)


@pytest.fixture
def folder(tmp_path):
    """A folder with a small, valid MNIST: 20 train and 10 test images of 28 x 28."""
    home = tmp_path / "mnist"
    home.mkdir()
    for prefix, n in (("train", 20), ("t10k", 10)):
        images = RNG.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        (home / f"{prefix}-images-idx3-ubyte.gz").write_bytes(idx_images(images))
        (home / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(idx_labels(np.arange(n, dtype=np.uint8) % 10))
    return tmp_path


def refused(folder, match, name="mnist"):
    with pytest.raises(DataError, match=match):
        load_dataset(name, data_dir=folder)


def test_idx_in_a_subfolder_and_directly(folder):
    ds = load_dataset("mnist", data_dir=folder)
    assert ds.x_train.shape == (20, 1, 28, 28) and ds.x_train.dtype == np.uint8
    assert ds.y_test.tolist() == list(range(10)) and ds.y_test.dtype == np.int64
    assert ds.source == f"full set in {folder / 'mnist'}" and ds.input_scale == 1 / 255
    direct = load_dataset("mnist", data_dir=folder / "mnist")
    assert np.array_equal(direct.x_train, ds.x_train)


def test_environment_names_the_folder_and_the_argument_wins(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HWPRM_DATA", str(folder))
    assert load_dataset("mnist").x_train.shape[0] == 20
    refused(tmp_path / "nowhere", "nowhere does not exist")


def test_no_silent_fall_back(tmp_path):
    refused(tmp_path, r"^mnist: train-images-idx3-ubyte\.gz is neither in .* nor in ")
    with pytest.raises(DataError, match=r"^fashion_mnist is not in the package; name its folder with --data-dir"):
        load_dataset("fashion-mnist")


@pytest.mark.parametrize("cut", [5, 60, -1])
def test_truncated_gzip(folder, cut):
    path = folder / "mnist" / FILES[0]
    path.write_bytes(path.read_bytes()[:cut])
    refused(folder, r"train-images-idx3-ubyte\.gz is no complete gzip file \(.*\); fetch it again$")


def test_truncated_payload(folder):
    path = folder / "mnist" / FILES[0]
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-3]))
    refused(folder, r"the header promises \(20, 28, 28\), 15680 bytes, 15677 follow; fetch it again$")
    path.write_bytes(gzip.compress(b"\0\0\x08\x03"))
    refused(folder, r"ends inside its header \(4 of 16 bytes\)")


def test_wrong_magic(folder):
    images = np.zeros((20, 28, 28), np.uint8)
    (folder / "mnist" / FILES[0]).write_bytes(idx_images(images, magic=2052))
    refused(folder, r"magic 2052, IDX images have 2051; this is another kind of file$")


def test_counts_differ(folder):
    (folder / "mnist" / FILES[1]).write_bytes(idx_labels(np.zeros(19, np.uint8)))
    refused(folder, r"^mnist train: 20 images but 19 labels; the two files do not belong together$")


def test_label_out_of_range(folder):
    (folder / "mnist" / FILES[3]).write_bytes(idx_labels(np.array([0, 1, 2, 10, 4, 5, 6, 7, 8, 9], np.uint8)))
    refused(folder, r"^mnist test: label 10 of image 3 is outside 0\.\.9; mend the label file$")


def test_empty_set(folder):
    (folder / "mnist" / FILES[0]).write_bytes(idx_images(np.zeros((0, 28, 28), np.uint8)))
    (folder / "mnist" / FILES[1]).write_bytes(idx_labels(np.zeros(0, np.uint8)))
    refused(folder, r"^mnist train: the set is empty, shape \(0, 1, 28, 28\); give at least one image$")


def test_the_other_set_in_the_folder(folder, monkeypatch):
    import hashlib

    digest = hashlib.sha256((folder / "mnist" / FILES[3]).read_bytes()).hexdigest()
    monkeypatch.setitem(SHA256, "fashion_mnist", ("", "", "", digest))
    refused(folder, r"holds fashion_mnist, not mnist; ask for 'fashion_mnist'")


def test_unknown_name_gives_the_nearest():
    with pytest.raises(DataError, match=r"^no data set is called 'mnits'; did you mean mnist\?$"):
        load_dataset("mnits")
    with pytest.raises(DataError, match=r"known are cifar10, fashion_mnist, mnist, mnist_subset, or give an \.npz"):
        load_dataset("xyzzy")
    with pytest.raises(DataError, match=r"^nothing\.npz does not exist"):
        load_dataset("nothing.npz")


def npz(tmp_path, **arrays):
    path = tmp_path / "mine.npz"
    np.savez(path, **arrays)
    return str(path)


def test_npz_split_is_stratified_and_reproducible(tmp_path):
    x = np.arange(50 * 4, dtype=np.float64).reshape(50, 1, 2, 2)
    path = npz(tmp_path, x=x, y=np.repeat([0, 1], [40, 10]))
    ds = load_dataset(path)
    assert ds.name == "mine" and ds.classes == 2 and ds.input_scale == 1.0 and ds.x_train.dtype == np.float32
    assert np.bincount(ds.y_test).tolist() == [8, 2] and np.bincount(ds.y_train).tolist() == [32, 8]
    both = np.sort(np.concatenate([ds.x_train[:, 0, 0, 0], ds.x_test[:, 0, 0, 0]]))
    assert np.array_equal(both, x[:, 0, 0, 0])
    assert np.array_equal(load_dataset(path).x_test, ds.x_test)


def test_npz_with_its_own_test_split_and_grey_images(tmp_path):
    x = RNG.integers(0, 256, (6, 5, 4), dtype=np.uint8)
    ds = load_dataset(npz(tmp_path, x=x, y=[0, 1, 2, 0, 1, 2], x_test=x[:2], y_test=[2, 1]))
    assert ds.image_shape == (1, 5, 4) and ds.y_test.tolist() == [2, 1] and ds.source == "mine.npz"


GOOD_X = np.zeros((10, 1, 2, 2), np.float32)
GOOD_Y = np.arange(10) % 2
NAN_X = GOOD_X.copy()
NAN_X[7, 0, 1, 1] = np.nan

BAD_NPZ = {
    "nan": (
        {"x": NAN_X, "y": GOOD_Y, "x_test": GOOD_X, "y_test": GOOD_Y},
        r"^mine\.npz, x: image 7 holds NaN or infinity",
    ),
    "nan before the split": ({"x": NAN_X, "y": GOOD_Y}, r"^mine\.npz, x: image 7 holds NaN or infinity"),
    "rank": ({"x": GOOD_X[:, 0, 0, 0], "y": GOOD_Y}, r"has rank 1, shape \(10,\); store \(n, C, H, W\)"),
    "dtype": ({"x": GOOD_X.astype(complex), "y": GOOD_Y}, r"images are complex128; store them as numbers: uint8"),
    "large": ({"x": GOOD_X.astype(np.int64) + (1 << 25), "y": GOOD_Y}, r"integers beyond 16777216, which float32"),
    "negative": ({"x": GOOD_X, "y": GOOD_Y * 3 - 1}, r"^mine train: label -1 of image 0 is outside 0\.\.2; mend"),
    "counts": ({"x": GOOD_X, "y": GOOD_Y[:9]}, r"10 images in x but 9 labels in y"),
    "empty": ({"x": GOOD_X[:0], "y": GOOD_Y[:0]}, r"^mine train: the set is empty, shape"),
    "other names": (
        {"X_train": GOOD_X, "y_train": GOOD_Y, "X_test": GOOD_X, "y_test": GOOD_Y},
        r"^mine\.npz holds X_test, X_train, y_test, y_train; it needs an array named x \(images\), and to train y",
    ),
    "half test": ({"x": GOOD_X, "y": GOOD_Y, "x_test": GOOD_X}, r"has only one of x_test and y_test"),
    "shapes": ({"x": GOOD_X, "y": GOOD_Y, "x_test": GOOD_X[..., :1], "y_test": GOOD_Y}, r"store both splits alike$"),
}


@pytest.mark.parametrize(("arrays", "match"), BAD_NPZ.values(), ids=BAD_NPZ)
def test_bad_npz(tmp_path, arrays, match):
    with pytest.raises(DataError, match=match):
        load_dataset(npz(tmp_path, **arrays))


@pytest.mark.parametrize("raw", [b"", b"PK\x03\x04 cut", b"\x93NUMPY", b"hello"], ids=["empty", "zip", "npy", "text"])
def test_unreadable_npz(tmp_path, raw):
    path = tmp_path / "bad.npz"
    path.write_bytes(raw)
    with pytest.raises(DataError, match=r"bad\.npz is no readable \.npz file \(.*\); store x and y with numpy\.savez$"):
        load_dataset(str(path))


@pytest.mark.parametrize(("offset", "what"), [(6, "encrypted"), (8, "compressed in an unknown way")], ids=str)
def test_npz_of_an_unknown_kind(tmp_path, offset, what):
    path = tmp_path / "bad.npz"
    np.savez(path, x=GOOD_X, y=GOOD_Y)
    raw = bytearray(path.read_bytes())
    for place, field in ((raw.find(b"PK\x03\x04"), offset), (raw.find(b"PK\x01\x02"), offset + 2)):
        raw[place + field] |= 0x41  # the flag of encryption, or a method that nobody has
    path.write_bytes(raw)
    with pytest.raises(DataError, match=r"bad\.npz is no readable \.npz file"):
        load_dataset(str(path))


UNLABELLED = {
    "none": ({}, "there is no y"),
    "maps": ({"y": np.zeros((10, 2, 2), np.int64)}, "y holds int64 of shape (10, 2, 2), not one integer class number"),
    "reals": ({"y": GOOD_Y * 1.0}, "y holds float64 of shape (10,), not one integer class number an image"),
    "one class": ({"y": 0 * GOOD_Y}, "y holds a single class"),
}


@pytest.mark.parametrize(("more", "why"), UNLABELLED.values(), ids=UNLABELLED)
def test_labels_matter_only_where_something_is_trained(tmp_path, more, why):
    ds = load_dataset(npz(tmp_path, x=GOOD_X, **more))
    assert (ds.classes, len(ds.x_train), len(ds.x_test), ds.test_labels) == (0, 8, 2, None)
    assert ds.unlabelled.startswith(why)
    with pytest.raises(DataError, match=re.escape(f"mine has no labels ({ds.unlabelled}), so nothing can be judged")):
        split_validation(ds, 2, 0)


@pytest.mark.parametrize(("count", "train"), [(1, 1), (2, 1), (3, 2)])
def test_a_few_images_are_enough(tmp_path, count, train):
    ds = load_dataset(npz(tmp_path, x=GOOD_X[:count]))
    assert (len(ds.x_train), len(ds.x_test)) == (train, 1)


def test_vectors_and_numbers_of_other_types(tmp_path):
    ds = load_dataset(npz(tmp_path, x=np.arange(40).reshape(10, 4)))
    assert (ds.image_shape, ds.x_train.dtype, ds.input_scale) == ((4,), np.float32, 1.0)
    assert sorted(np.concatenate([ds.x_train, ds.x_test])[:, 0].tolist()) == list(range(0, 40, 4))
    ds = load_dataset(npz(tmp_path, x=GOOD_X > 0))
    assert ds.x_train.dtype == np.float32
    ds = load_dataset(npz(tmp_path, x=np.full((3, 1, 2, 2), 65535, np.uint16)))
    assert ds.x_train.max() == 65535


def test_one_array_is_the_images(tmp_path):
    np.save(tmp_path / "one.npy", GOOD_X)
    ds = load_dataset(str(tmp_path / "one.npy"))
    assert (ds.name, ds.image_shape, ds.classes) == ("one", (1, 2, 2), 0)
    np.savez(tmp_path / "images.npz", GOOD_X)
    assert load_dataset(str(tmp_path / "images.npz")).image_shape == (1, 2, 2)


OTHER_FILES = {
    "picture": (b"\x89PNG\r\n", r"is no \.npz file but a picture; give the folder"),
    "pickle": (pickle.dumps(1), r"but a pickle, which may run code; store x and y with numpy\.savez"),
}


@pytest.mark.parametrize(("raw", "match"), OTHER_FILES.values(), ids=OTHER_FILES)
def test_files_of_another_kind_are_called_by_it(tmp_path, raw, match):
    (tmp_path / "bad.npz").write_bytes(raw)
    with pytest.raises(DataError, match=match):
        load_dataset(str(tmp_path / "bad.npz"))


def test_npz_never_unpickles(tmp_path):
    path = tmp_path / "evil.npz"
    np.savez(path, x=np.array([{}], dtype=object), y=GOOD_Y)
    with pytest.raises(DataError, match="is no readable"):
        load_dataset(str(path))


def batch(n, seed):
    data = np.random.default_rng(seed).integers(0, 256, (n, 3072), dtype=np.uint8)
    return pickle.dumps({b"data": data, b"labels": [i % 10 for i in range(n)], b"batch_label": b"x"}, protocol=2)


def cifar(home, suffix=None, **replaced):
    """CIFAR-10 with 10 images a batch: extracted, or an archive of kind `suffix`."""
    folder = home / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for i, name in enumerate([*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]):
        (folder / name).write_bytes(replaced.get(name, batch(10, i)))
    if suffix:
        with tarfile.open(home / f"cifar-10-python.tar.{suffix}", f"w:{suffix}") as archive:
            archive.add(folder, "cifar-10-batches-py")
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()


@pytest.mark.parametrize("suffix", [None, "gz", "xz"])
@pytest.mark.parametrize("sub", ["cifar10", "."])
def test_cifar(tmp_path, suffix, sub):
    cifar(tmp_path / sub, suffix)
    ds = load_dataset("cifar-10", data_dir=tmp_path)
    assert ds.x_train.shape == (50, 3, 32, 32) and ds.x_test.shape == (10, 3, 32, 32)
    first = np.random.default_rng(0).integers(0, 256, (10, 3072), dtype=np.uint8)
    assert np.array_equal(ds.x_train[3, 1, 2], first[3, 1024 + 64 : 1024 + 96])
    assert "rebuilt" not in ds.source


def test_cifar_rebuilt_copies_say_so(tmp_path):
    cifar(tmp_path)
    rows = {"note": "text", "train": {"data_batch_1": [1, 2]}, "test": {"test_batch": [3]}}
    (tmp_path / "cifar-10-batches-py" / "inexact_rows.json").write_text(json.dumps(rows))
    assert load_dataset("cifar10", data_dir=tmp_path).source.endswith(
        "rebuilt: 3 images approximate, 1 of them test rows: 3"
    )


class Evil:
    def __reduce__(self):
        return (print, ("executed",))


BAD_BATCHES = {
    "code": (pickle.dumps({b"data": Evil()}, protocol=2), r"test_batch is no CIFAR-10 batch \(it asks for \S+print\)"),
    "cut": (batch(10, 0)[:-100], r"is no CIFAR-10 batch"),
    "keys": (pickle.dumps({}), r"is no CIFAR-10 batch \(b'data'\)"),
    "shape": (pickle.dumps({b"data": np.zeros((1, 3), np.uint8), b"labels": [0]}), r"no uint8 array \(n, 3072\)"),
    "count": (
        pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [0]}),
        r"2 images but labels of shape \(1,\)",
    ),
    "nested": (pickle.dumps({b"data": np.zeros((1, 3072), np.uint8), b"labels": [[0]]}), r"labels of shape \(1, 1\)"),
    "huge": (pickle.dumps({b"data": np.zeros((1, 3072), np.uint8), b"labels": [2**70]}), r"is no CIFAR-10 batch"),
    "length": (b"\x80\x05\x96" + b"\xff" * 8, r"is no CIFAR-10 batch"),  # a byte array of 2**64 - 1 bytes
}


@pytest.mark.parametrize(("raw", "match"), BAD_BATCHES.values(), ids=BAD_BATCHES)
def test_bad_cifar_batch(tmp_path, raw, match, capsys):
    cifar(tmp_path, test_batch=raw)
    refused(tmp_path, match, "cifar10")
    assert capsys.readouterr().out == ""


def test_cifar_missing_or_cut(tmp_path):
    refused(tmp_path, r"^cifar10: neither cifar-10-batches-py/ nor cifar-10-python\.tar\.gz is in ", "cifar10")
    (tmp_path / "cifar-10-python.tar.xz").write_bytes(lzma.compress(b"x" * 4096)[:-9])
    refused(tmp_path, r"is no complete archive", "cifar10")


def test_cifar_missing_batch(tmp_path):
    cifar(tmp_path)
    (tmp_path / "cifar-10-batches-py" / "data_batch_3").unlink()
    refused(tmp_path, r"data_batch_3 is missing; fetch the set again$", "cifar10")


def tiny(n=40):
    x = np.arange(n, dtype=np.float32).reshape(n, 1, 1, 1)
    y = np.arange(n) % 4
    return Dataset(name="t", source="here", x_train=x, y_train=y, x_test=x[:4], y_test=y[:4], classes=4)


def test_split_validation_is_a_stratified_seeded_partition():
    ds = tiny()
    rest, x, y = split_validation(ds, 12, seed=3)
    assert np.bincount(y).tolist() == [3, 3, 3, 3] and len(rest.y_train) == 28
    both = np.concatenate([rest.x_train, x])[:, 0, 0, 0]
    assert sorted(both.tolist()) == list(range(40))
    assert np.array_equal(split_validation(ds, 12, seed=3)[1], x)
    assert not np.array_equal(split_validation(ds, 12, seed=4)[1], x)


@pytest.mark.parametrize("n", [0, 40, -1])
def test_split_validation_refuses(n):
    with pytest.raises(DataError, match=re.escape(f"t: {n} validation images asked of 40 training images; take 1..39")):
        split_validation(tiny(), n, seed=0)
