"""Data sets of networks with several inputs: an array for each in one .npz file, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hwprm.core.errors import DataError
from hwprm.data import Dataset, load_dataset, split_validation
from hwprm.graph import by_input, image_shapes, join_inputs, scale_of

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (20, 4, 3), dtype=np.uint8)
FACTS = RNG.normal(size=(20, 5))
Y = np.arange(20) % 4
BOTH = {"x.image": IMAGE, "x.facts": FACTS}


def load(folder: Path, **arrays: np.ndarray) -> Dataset:
    np.savez(folder / "mine.npz", **arrays)
    return load_dataset(str(folder / "mine.npz"))


def test_a_field_for_each_input(tmp_path: Path) -> None:
    ds = load(tmp_path, **BOTH, y=Y)
    assert ds.image_shape == {"image": (1, 4, 3), "facts": (5,)}
    assert ds.input_scale == {"image": 1 / 255, "facts": 1.0}
    assert (ds.x_train["image"].dtype, ds.x_train["facts"].dtype) == (np.uint8, np.float32)
    assert (len(ds.x_train), len(ds.x_test), ds.classes) == (16, 4, 4)
    assert np.bincount(ds.y_test).tolist() == [1, 1, 1, 1]
    for x, y in ((ds.x_train, ds.y_train), (ds.x_test, ds.y_test)):
        for image, facts, label in zip(x["image"], x["facts"], y, strict=True):  # the parts stay together
            index = int(np.flatnonzero((image[0] == IMAGE).all(axis=(1, 2)))[0])
            assert (facts == FACTS[index].astype(np.float32)).all() and label == Y[index]
    assert ds.test_labels is ds.y_test


def test_without_labels(tmp_path: Path) -> None:
    ds = load(tmp_path, **BOTH)
    assert (len(ds.x_train), len(ds.x_test), ds.classes, ds.test_labels) == (16, 4, 0, None)
    with pytest.raises(
        DataError, match=r"^mine has no labels \(there is no y\), so nothing can be judged on validation images"
    ):
        split_validation(ds, 3, 0)


def test_own_test_images(tmp_path: Path) -> None:
    test = {"x_test.image": IMAGE[:3], "x_test.facts": FACTS[:3]}
    ds = load(tmp_path, **BOTH, **test)
    assert (len(ds.x_train), len(ds.x_test), ds.source) == (20, 3, "mine.npz")
    ds = load(tmp_path, **BOTH, **test, y=Y, y_test=Y[:3])
    assert ds.test_labels is not None and ds.test_labels.tolist() == [0, 1, 2]
    rest, held, labels = split_validation(ds, 8, 0)
    assert (len(rest.x_train), len(held), np.bincount(labels).tolist()) == (12, 8, [2, 2, 2, 2])
    assert held.dtype.names == ("image", "facts")


BAD = {
    "mixed": (BOTH | {"x": IMAGE}, r"mine\.npz holds x beside the arrays of several inputs; it needs x\.NAME for each"),
    "unknown": (BOTH | {"z": Y}, r"holds z beside the arrays of several inputs"),
    "counts": (
        BOTH | {"x.facts": FACTS[:9]},
        r"inputs of x have different numbers of images \({'image': 20, 'facts': 9}",
    ),
    "labels": (BOTH | {"y": Y[:9]}, r"20 images in x but 9 labels in y"),
    "half test": (
        BOTH | {"x_test.image": IMAGE},
        r"only one of x\.NAME and x_test\.NAME is there for facts; store both",
    ),
    "no test labels": (
        BOTH | {"y": Y, "x_test.image": IMAGE, "x_test.facts": FACTS},
        r"has only one of x_test and y_test",
    ),
    "rank": (
        BOTH | {"x.facts": FACTS[:, 0]},
        r"x\.facts has rank 1, shape \(20,\); store \(n, C, H, W\), \(n, H, W\), \(n, K\)",
    ),
    "type": (BOTH | {"x.facts": FACTS.astype(complex)}, r"x\.facts: images are complex128; store them as numbers"),
    "nan": (BOTH | {"x.facts": FACTS * np.nan}, r"^mine\.npz, x\.facts: image 0 holds NaN or infinity"),
    "empty": ({"x.a": IMAGE[:0], "x.b": FACTS[:0]}, r"^mine train: the set is empty"),
    "split differs": (
        BOTH | {"x_test.image": IMAGE, "x_test.facts": FACTS[:, :4]},
        r"train images are .* store both splits alike$",
    ),
}


@pytest.mark.parametrize(("arrays", "message"), BAD.values(), ids=BAD)
def test_bad_files(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(tmp_path, **arrays)


def test_by_input() -> None:
    parts = {"a": np.zeros((3, 2)), "b": np.ones((3, 1, 2, 2), np.uint8)}
    for batch in (parts, join_inputs(parts)):
        got = by_input(batch, ["b", "a"])
        assert list(got) == ["b", "a"]
        assert all(np.array_equal(got[name], parts[name]) for name in parts)
        assert image_shapes(batch) == {"a": (2,), "b": (1, 2, 2)}
    assert list(by_input(parts["a"], ["x"])) == ["x"] and image_shapes(parts["a"]) == (2,)
    with pytest.raises(DataError, match=r"^the images are one array, the network has 2 inputs \(a, b\); give an array"):
        by_input(parts["a"], ["a", "b"])
    with pytest.raises(DataError, match=r"^the images are for the inputs a, b, the network's are a, c; give an array"):
        by_input(parts, ["a", "c"])
    with pytest.raises(
        DataError, match=r"^the inputs have different numbers of images \({'a': 3, 'b': 2}\); give as many"
    ):
        by_input(parts | {"b": parts["b"][:2]}, ["a", "b"])


def test_scale_of() -> None:
    assert [scale_of(0.5, "a"), scale_of({"a": 2.0}, "a")] == [0.5, 2.0]
    with pytest.raises(DataError, match=r"^no scale is given for input 'b', only for a; give one for each$"):
        scale_of({"a": 2.0}, "b")
