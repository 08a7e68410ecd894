"""Folders of images: what is read, when, in which order, and what is refused."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import hwprm
from hwprm.config import DataConfig, PruneOptions, PurifyConfig
from hwprm.core.errors import DataError, InputError, ToolError
from hwprm.data import Dataset, Preparation, image_folder, load_dataset, pictures, split_validation
from hwprm.data.image_folder import FolderImages, load_image_folder
from hwprm.graph import Graph, Images, LazyImages, batches, by_input, image_shapes, lazy, plain
from hwprm.model import Model, Stage
from hwprm.quantization import accuracy as quantize_accuracy
from hwprm.quantization import integer_accuracy, quantize_images, quantize_network, stored_accuracy
from hwprm.sources import as_network, as_split
from hwprm.training import accuracy
from hwprm.training.evaluate import in_class
from tests.support.pictures import small_graph, write_class_folder

MADE = Preparation(size=16, resize=18, workers=2)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """15 training and 6 validation images of each of three classes; not to be written to."""
    return write_class_folder(tmp_path_factory.mktemp("pictures") / "insects", 15, 6)


def _lazy(images: object) -> FolderImages:
    assert isinstance(images, FolderImages)
    return images


def _count_reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    read: list[Path] = []

    def counted(path: Path, min_side: int) -> Image.Image:
        read.append(path)
        return pictures.read_picture(path, min_side)

    monkeypatch.setattr(image_folder, "read_picture", counted)
    return read


def test_a_data_set_of_files(root: Path) -> None:
    data = load_dataset(str(root), preparation=MADE)
    assert (data.name, data.classes, data.source) == ("insects", 3, "class folders in insects, 16 x 16")
    assert (data.x_train.shape, data.x_test.shape) == ((45, 3, 16, 16), (18, 3, 16, 16))
    assert (data.x_train.dtype, data.input_scale, data.image_shape) == (np.uint8, 1 / 255, (3, 16, 16))
    for images, labels, split in ((data.x_train, data.y_train, "train"), (data.x_test, data.y_test, "val")):
        for file, label in zip(_lazy(images).files, labels, strict=True):
            assert file.parent == root / split / ("ant", "bee", "cat")[label]
        assert len({*_lazy(images).files}) == len(labels)
        read = np.asarray(plain(images))
        assert np.array_equal(read.mean(axis=(2, 3)).argmax(axis=1), labels)


def test_every_beginning_holds_the_classes_in_proportion(root: Path) -> None:
    data = load_image_folder(root, MADE)
    for labels in (data.y_train, data.y_test):
        for count in range(3, len(labels), 3):
            assert np.ptp(np.bincount(labels[:count], minlength=3)) <= 1


def test_nothing_is_read_before_it_is_asked_for(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = _count_reads(monkeypatch)
    data = load_image_folder(root, MADE)
    rest, held, labels = split_validation(data, 9, seed=0)
    replace(data, name="other")
    assert len(rest.fingerprint) == 64
    assert by_input(data.x_train, ["image"])["image"] is data.x_train
    assert image_shapes(data.x_train) == (3, 16, 16)
    assert not read
    held[2:4]
    assert read == [*_lazy(held).files[2:4]] or read == [*_lazy(held).files[2:4]][::-1]


def test_validation_images_are_plain_and_not_trained_with(root: Path) -> None:
    data = load_image_folder(root, MADE)
    rest, held, labels = split_validation(data, 9, seed=0)
    kept, taken = _lazy(rest.x_train).files, _lazy(held).files
    assert (len(kept), len(taken)) == (36, 9) and not {*kept} & {*taken}
    assert [file.parent.name for file in taken] == [("ant", "bee", "cat")[label] for label in labels]
    np.testing.assert_array_equal(np.bincount(labels), [3, 3, 3])
    np.testing.assert_array_equal(held[:9], [held[i] for i in range(9)])
    moved = rest.x_train
    assert not np.array_equal(moved[:9], [moved[i] for i in range(9)])


def test_indexing_is_numpys(root: Path) -> None:
    images = _lazy(load_image_folder(root, MADE).x_test)
    held = np.asarray(images)
    for index in (3, -1, np.int64(2), slice(2, 7), slice(None, None, 5), np.array([4, 1, 1]), np.zeros(0, np.int64)):
        np.testing.assert_array_equal(images[index], held[index])
    np.testing.assert_array_equal(images.take(np.array([5, 3])).take(np.array([1]))[:], held[[3]])
    assert np.asarray(images, dtype=np.float32).dtype == np.float32
    assert (len(images), images.ndim, images.size) == (18, 4, held.size)
    with pytest.raises(IndexError):
        images[18]


def test_evaluation_crops_the_middle_after_resizing(root: Path) -> None:
    images = _lazy(load_image_folder(root, MADE).x_test)
    for number, file in enumerate(images.files):
        with Image.open(file) as opened:
            width, height = opened.size
            scale = 18 / min(width, height)
            wide, high = (18 if side == min(width, height) else int(side * scale) for side in (width, height))
            small = np.asarray(opened.convert("RGB").resize((wide, high), Image.Resampling.BILINEAR))
        top, left = round((high - 16) / 2), round((wide - 16) / 2)
        expected = small[top : top + 16, left : left + 16].transpose(2, 0, 1)
        np.testing.assert_array_equal(images[number], expected)


def test_training_crops_differ_by_batch_and_repeat_with_it(root: Path) -> None:
    first, second = (load_image_folder(root, replace(MADE, workers=n)).x_train for n in (1, 3))
    one, other = np.array([7, 3, 11, 0]), np.array([7, 5, 2, 0])
    np.testing.assert_array_equal(first[one], second[one])  # whoever decodes, and whatever was read before
    np.testing.assert_array_equal(first[one], first[one])
    assert not np.array_equal(first[one][0], first[other][0])
    assert not np.array_equal(first[one][3], first[other][3])
    assert not np.array_equal(plain(first)[one], first[one])
    np.testing.assert_array_equal(plain(first)[one][0], plain(first)[other][0])
    still = load_image_folder(root, replace(MADE, random_crop=False)).x_train
    np.testing.assert_array_equal(still[one], plain(first)[one])


def test_random_crops_are_inside_and_as_large_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    for width, height, least in ((40, 30, 0.08), (30, 40, 0.5), (31, 29, 1.0), (200, 17, 0.9)):
        for _ in range(200):
            left, top, right, bottom = pictures._random_box(width, height, least, rng)
            assert 0 <= left < right <= width and 0 <= top < bottom <= height
            assert 0.7 < (right - left) / (bottom - top) < 1.4
            if width < 200:
                assert (right - left) * (bottom - top) >= (least - 0.06) * width * height or least == 1.0
    ramp = Image.fromarray(np.tile(np.arange(40, dtype=np.uint8)[None, :, None], (40, 1, 3)))
    turned = [bool(np.diff(pictures.random_crop(ramp, 16, 0.5, rng)[0, 0].astype(int)).sum() < 0) for _ in range(60)]
    assert 10 < sum(turned) < 50


def test_plain_images_are_decoded_once_while_there_is_room(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = _count_reads(monkeypatch)
    monkeypatch.setattr(image_folder, "CACHE_BYTES", 5 * 3 * 16 * 16)
    images = load_image_folder(root, replace(MADE, workers=1)).x_test
    first = images[:8]
    assert len(read) == 8
    np.testing.assert_array_equal(images[:8], first)
    assert len(read) == 8 + 3


def test_grey_palette_and_transparent_images_become_rgb(root: Path, tmp_path: Path) -> None:
    grey = Image.fromarray(np.arange(400, dtype=np.uint8).reshape(20, 20) // 2)
    for name, image in (("g", grey), ("p", grey.convert("P")), ("a", grey.convert("RGBA")), ("la", grey.convert("LA"))):
        image.save(tmp_path / f"{name}.png")
        made = pictures.read_picture(tmp_path / f"{name}.png", 16)
        assert made.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(made), np.repeat(np.asarray(grey)[..., None], 3, axis=2))


def test_too_large_to_hold(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = load_image_folder(root, MADE).x_train
    monkeypatch.setattr(lazy, "HELD_BYTES", 1000)
    words = r"^45 images of \(3, 16, 16\) are 0\.0 GiB, too many to hold at once; read them in batches$"
    with pytest.raises(DataError, match=words):
        np.asarray(images)


def test_fingerprint_tells_files_and_preparation_apart(tmp_path: Path) -> None:
    root = write_class_folder(tmp_path / "f", 4, 2)
    same = load_image_folder(root, MADE).fingerprint
    assert load_image_folder(root, MADE).fingerprint == same
    assert load_image_folder(root, replace(MADE, resize=20)).fingerprint != same
    (root / "train" / "ant" / "ant_0.JPEG").unlink()
    assert load_image_folder(root, MADE).fingerprint != same


def test_networks_of_large_maps_are_computed_in_small_batches(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, graph = load_image_folder(root, MADE), small_graph(3, 16)
    net = quantize_network(graph, plain(data.x_train), 1 / 255)
    images = quantize_images(data.x_test[:], 1 / 255, net)
    found = accuracy(graph, data.x_test, data.y_test, 1 / 255), integer_accuracy(net, images, data.y_test)
    monkeypatch.setattr(batches, "HELD_VALUES", 5000)  # the convolution makes 1024 of an image
    assert [batches.fitting_batch(500, values) for values in (1, 1024, 9999)] == [500, 4, 1]
    assert (accuracy(graph, data.x_test, data.y_test, 1 / 255), integer_accuracy(net, images, data.y_test)) == found
    again = quantize_network(graph, plain(data.x_train), 1 / 255)
    assert [tensor.scale for tensor in again.tensors] == pytest.approx([tensor.scale for tensor in net.tensors])


def test_batches_give_what_whole_arrays_give(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantize_accuracy, "BATCH", 7)
    data = load_image_folder(root, MADE)
    graph = small_graph(3, 16)
    whole = np.asarray(data.x_test)
    assert isinstance(data.x_test, LazyImages)
    assert accuracy(graph, data.x_test, data.y_test, 1 / 255) == accuracy(graph, whole, data.y_test, 1 / 255)
    net, other = (quantize_network(graph, x, 1 / 255) for x in (plain(data.x_train), np.asarray(plain(data.x_train))))
    images = quantize_images(whole, 1 / 255, other)
    for x in (data.x_test, whole):
        assert stored_accuracy(net, x, 1 / 255, data.y_test) == integer_accuracy(other, images, data.y_test)
    with pytest.raises(InputError, match=r"^accuracy needs as many labels as images and at least one, not 3/18$"):
        stored_accuracy(net, data.x_test, 1 / 255, data.y_test[:3])


def test_calibration_and_purification_see_plain_images(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = load_image_folder(root, MADE)
    graph = small_graph(3, 16)
    net, wanted = as_network(graph, data, None), quantize_network(graph, plain(data.x_train), 1 / 255)
    assert [tensor.scale for tensor in net.tensors] == [tensor.scale for tensor in wanted.tensors]
    moved = quantize_network(graph, data.x_train, 1 / 255)
    assert [tensor.scale for tensor in net.tensors] != [tensor.scale for tensor in moved.tensors]
    seen = []

    def watched(graph: Graph, x: Images, *more: Any, **named: Any) -> NDArray[np.bool_]:
        seen.append(x)
        return in_class(graph, x, *more, **named)

    monkeypatch.setattr("hwprm.training.evaluate.in_class", watched)
    model = Model(graph=graph, stage=Stage.ADMM)
    hwprm.prune(model, data, PruneOptions(purify=PurifyConfig(steps=1), stop_after="purify"))
    judged = [x[:9] for x in seen if len(x) == len(data.x_train)]  # the others are the test images
    assert judged and len(data.x_test) != len(data.x_train)
    for x in judged:
        np.testing.assert_array_equal(x, plain(data.x_train)[np.arange(9)])


def test_options_reach_the_images(root: Path) -> None:
    config = DataConfig(name=str(root), image_size=16, validation=6, workers=1)
    split = as_split(config)
    assert split.dataset.image_shape == (3, 16, 16) and split.x_validation is not None
    made = _lazy(split.dataset.x_train)._preparation
    assert made == Preparation(size=16, resize=18, workers=1)  # 8/7 of 16 is 18.3
    assert as_split(replace(config, resize=20)).dataset.fingerprint != split.dataset.fingerprint
    assert Preparation() == _lazy(as_split(DataConfig(name=str(root))).dataset.x_train)._preparation


def _refused(root: Path, words: str) -> None:
    with pytest.raises(DataError, match=f"^{words}$"):
        load_image_folder(root, MADE)


def test_layouts_that_are_refused(tmp_path: Path) -> None:
    root = write_class_folder(tmp_path / "f", 2, 1)
    shown = re.escape(str(root))
    empty = root / "train" / "dog"
    empty.mkdir()
    (empty / "dog.gif").write_bytes(b"GIF89a")
    (empty / ".DS_Store").write_bytes(b"")
    _refused(
        root,
        rf"{shown}/train/dog holds no image \(1 other file\(s\)\); put files \.jpeg, \.jpg, \.png there or delete "
        "the folder",
    )
    (empty / "dog.gif").unlink()
    (empty / ".DS_Store").unlink()
    empty.rmdir()
    (root / "val" / "dog").mkdir()
    _refused(
        root,
        rf"{shown}/val has 1 class\(es\) that train lacks, 'dog' first; name the folders of both splits alike",
    )
    (root / "val" / "dog").rmdir()
    (root / "val").rename(root / "valid")
    lay = "lay the images out as {0}/CLASS/FILE.jpg beneath it, with folders train and val"
    _refused(root, rf"{shown} has no folder 'val'; " + re.escape(lay.format("val")))
    (root / "train").rename(root / "training")
    _refused(root, rf"{shown} has no folder 'train'; " + re.escape(lay.format("train")))
    (root / "train").mkdir()
    (root / "val").mkdir()
    _refused(root, rf"{shown}/train has no folder of a class; put the images of each class into a folder of their own")


def test_one_class_is_none(tmp_path: Path) -> None:
    root = write_class_folder(tmp_path / "f", 2, 1, classes=("ant",))
    _refused(root, r"f: 1 class\(es\); give labels of at least two classes")


def test_a_class_may_lack_validation_images(tmp_path: Path) -> None:
    root = write_class_folder(tmp_path / "f", 2, 1)
    for file in (root / "val" / "bee").iterdir():
        file.unlink()
    (root / "val" / "bee").rmdir()
    data = load_image_folder(root, MADE)
    assert (data.classes, sorted(data.y_test)) == (3, [0, 2])


@pytest.mark.parametrize("broken", ["cut", "text", "empty"])
def test_files_that_are_no_image(tmp_path: Path, broken: str) -> None:
    root = write_class_folder(tmp_path / "f", 2, 1)
    file = root / "val" / "cat" / "cat_0.JPEG"
    whole = file.read_bytes()
    file.write_bytes({"cut": whole[: len(whole) // 2], "text": b"not an image", "empty": b""}[broken])
    images = load_image_folder(root, MADE).x_test
    words = rf"^{re.escape(str(file))} is no readable image \(.+\); fetch it again or delete it$"
    with pytest.raises(DataError, match=words):
        images[:3]


def test_a_file_that_went_away(tmp_path: Path) -> None:
    root = write_class_folder(tmp_path / "f", 2, 1)
    images = load_image_folder(root, MADE).x_train
    (root / "train" / "cat" / "cat_1.jpg").unlink()
    with pytest.raises(DataError, match=r"cat_1\.jpg is no readable image"):
        images[:]
    assert isinstance(images, LazyImages)
    with pytest.raises(DataError, match=r"cat_1\.jpg went away \(No such file or directory\); start again$"):
        _ = images.fingerprint


def test_images_too_small_and_too_deep(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((40, 15, 3), np.uint8)).save(tmp_path / "thin.png")
    words = r"thin\.png is 15 x 40 pixels, a side below 16; delete it or lower data\.min_side$"
    with pytest.raises(DataError, match=words):
        pictures.read_picture(tmp_path / "thin.png", 16)
    assert pictures.centre_crop(pictures.read_picture(tmp_path / "thin.png", 15), 18, 16).shape == (3, 16, 16)
    Image.fromarray(np.zeros((20, 20), np.uint16)).save(tmp_path / "deep.png")
    words = r"deep\.png has pixels of mode 'I;16', which 8 bits cannot hold; store 8 bits a channel$"
    with pytest.raises(DataError, match=words):
        pictures.read_picture(tmp_path / "deep.png", 16)


def test_without_pillow(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setattr(image_folder, "find_spec", lambda name: None)
    words = r"^a folder of images needs Pillow to be read; install it with: pip install 'hwprm\[train\]'$"
    with pytest.raises(ToolError, match=words):
        load_image_folder(root)


def test_labels_must_fit_the_images(root: Path) -> None:
    data = load_image_folder(root, MADE)
    with pytest.raises(DataError, match=r"^insects train: 45 images but 3 labels;"):
        replace(data, y_train=data.y_train[:3])
    with pytest.raises(DataError, match=r"^insects test: the set is empty, shape \(0, 3, 16, 16\);"):
        replace(data, x_test=_lazy(data.x_test).take(np.zeros(0, np.int64)), y_test=data.y_test[:0])
    assert isinstance(data, Dataset)
