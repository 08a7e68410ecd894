"""Batches: the copies made once, the teacher's logits, and what they are remembered by."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from hwprm.config.train import TrainConfig
from hwprm.core.errors import ConfigError
from hwprm.data import Dataset
from hwprm.graph import Flatten, Graph, Input, Linear, Relu
from hwprm.training import Context, logits
from hwprm.training.augment import augment_batch
from hwprm.training.devices import has_room
from hwprm.training.samples import Place, Samples

SHAPE = (1, 8, 8)


def _graph(seed: int) -> Graph:
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(3, 64)).astype(np.float32)
    return Graph(
        (
            Input(name="image", inputs=(), shape=SHAPE),
            Flatten(name="flat", inputs=("image",)),
            Linear(name="fc", inputs=("flat",), weight=weight, bias=np.zeros(3, np.float32)),
        ),
        ("fc",),
    )


def _data(dtype: type = np.uint8) -> Dataset:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, *SHAPE)).astype(dtype)
    labels = rng.integers(0, 3, 40)
    return Dataset(name="mnist", source="test", x_train=images, y_train=labels, x_test=images, y_test=labels, classes=3)


CONFIG = TrainConfig(batch=10, augment="elastic", copies=2, clean_share=0.5)


def _epoch(samples: Samples, number: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    batches = list(samples.epoch(number))
    taught = None if batches[0].taught is None else torch.cat([b.taught for b in batches if b.taught is not None])
    return torch.cat([b.images[0] for b in batches]), torch.cat([b.labels for b in batches]), taught


def test_taught_logits_are_those_of_the_images_in_the_batch():
    teacher, data = _graph(1), _data()
    for config in (CONFIG, replace(CONFIG, copies=0)):
        images, _, taught = _epoch(Samples(data, _graph(0), Context(config=config, teacher=teacher), torch.float32))
        assert taught is not None
        expected = logits(teacher, (images * 255).round().numpy().astype(np.float32), 1 / 255)
        # At every step images keep fractions of a byte: then only nearly.
        np.testing.assert_allclose(taught.numpy(), expected, atol=1e-4 if config.copies else 0.1)


def test_images_come_from_the_set_and_its_copies_in_the_share_asked_for():
    data = _data()
    samples = Samples(data, _graph(0), Context(config=CONFIG), torch.float32)
    clean = {image.tobytes() for image in data.x_train}
    seen = [np.rint(_epoch(samples, epoch)[0].numpy() * 255).astype(np.uint8) for epoch in range(20)]
    share = np.mean([image.tobytes() in clean for epoch in seen for image in epoch])
    assert 0.4 < share < 0.6
    moved = {image.tobytes() for epoch in seen for image in epoch} - clean
    assert len(moved) == 2 * len(data.x_train), "every image has two copies, and all of them are met"


def test_batches_do_not_hang_on_where_the_copies_lie(monkeypatch):
    """An accelerator with room keeps them; a CPU has them already."""
    context, asked = Context(config=CONFIG, teacher=_graph(1)), []
    plain = _epoch(Samples(_data(), _graph(0), context, torch.float32), 3)
    assert not has_room(torch.device("cpu"), 1)
    monkeypatch.setattr("hwprm.training.samples.has_room", lambda device, count: asked.append(count) or True)
    samples = Samples(_data(), _graph(0), context, torch.float32)
    assert asked == [samples.clean.nbytes + samples.pool.nbytes + samples.pool_logits.nbytes]
    for mine, other in zip(_epoch(samples, 3), plain, strict=True):
        assert torch.equal(mine, other)


def test_same_seed_same_batches_other_epoch_others():
    first, again, other = (
        _epoch(Samples(_data(), _graph(0), Context(config=CONFIG), torch.float32), n)[0] for n in (3, 3, 4)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_copies_and_answers_are_made_again_only_for_another_teacher_or_seed():
    first = Samples(_data(), _graph(0), Context(config=CONFIG, teacher=_graph(1)), torch.float32)
    same = Samples(_data(), _graph(5), Context(config=CONFIG, teacher=_graph(1)), torch.float32)
    assert same.pool is first.pool and same.pool_logits is first.pool_logits
    taught = Samples(_data(), _graph(0), Context(config=CONFIG, teacher=_graph(2)), torch.float32)
    assert taught.pool is first.pool and taught.pool_logits is not first.pool_logits
    assert Samples(_data(), _graph(0), Context(config=replace(CONFIG, seed=1)), torch.float32).pool is not first.pool


def test_digest_tells_data_and_teacher_apart():
    base, data = Samples(_data(), _graph(0), Context(config=CONFIG), torch.float32), _data()
    other = replace(data, x_train=data.x_train[::-1].copy())
    assert Samples(_data(), _graph(9), Context(config=CONFIG), torch.float32).digest() == base.digest()
    assert Samples(other, _graph(0), Context(config=CONFIG), torch.float32).digest() != base.digest()
    assert (
        Samples(_data(), _graph(0), Context(config=CONFIG, teacher=_graph(1)), torch.float32).digest() != base.digest()
    )


def test_a_teacher_is_more_than_its_weights():
    teacher = _graph(1)
    capped = Graph((*teacher.nodes, Relu(name="relu", inputs=("fc",))), ("relu",))
    plain, other = (
        Samples(_data(), _graph(0), Context(config=CONFIG, teacher=graph), torch.float32) for graph in (teacher, capped)
    )
    assert plain.digest() != other.digest()
    assert plain.pool_logits is not None and plain.pool_logits.min() < 0 == other.pool_logits.min()
    wide = Samples(_data(), _graph(0), Context(config=CONFIG, teacher=capped), torch.float64)
    assert wide.pool_logits is not None and wide.pool_logits.dtype == torch.float64


def test_copies_of_float_images_are_refused():
    with pytest.raises(ConfigError, match=r"train\.copies = 2 keeps augmented images as bytes.*set train\.copies to 0"):
        Samples(_data(np.float32), _graph(0), Context(config=CONFIG), torch.float32)


def test_crop_flip_moves_and_mirrors_whole_pixels():
    image = torch.arange(1.0, 65.0).reshape(1, 1, 8, 8).expand(200, 1, 8, 8)
    moved = augment_batch(image, "crop_flip", 0.0, np.random.default_rng(0))
    padded = torch.nn.functional.pad(image[0, 0], (4, 4, 4, 4))
    windows = [padded[top : top + 8, left : left + 8] for top in range(9) for left in range(9)]
    known = {w.numpy().tobytes() for window in windows for w in (window.contiguous(), window.flip(1).contiguous())}
    found = {one.contiguous().numpy().tobytes() for one in moved[:, 0]}
    assert found <= known and len(found) > 80


def _distinct() -> Dataset:
    """Image i has the one value 6 * i + 1."""
    images = np.broadcast_to((np.arange(40, dtype=np.uint8) * 6 + 1)[:, None, None, None], (40, *SHAPE)).copy()
    return replace(_data(), x_train=images, y_train=np.arange(40) % 3)


@pytest.mark.parametrize("copies", [0, 2])
@pytest.mark.parametrize("augment", ["none", "shift"])
def test_labels_and_shares_say_what_is_seen_in_mixed_images(augment, copies):
    data = _distinct()
    config = replace(CONFIG, augment=augment, copies=copies, cutmix=0.8, clean_share=0.25)
    samples = Samples(data, _graph(0), Context(config=config), torch.float32)
    of_others = []
    for batch in samples.epoch(2):
        assert batch.mixed is not None
        seen = (batch.images[0] * 255).round().int()
        for image, label, other, share, shown in zip(
            seen, batch.labels, batch.mixed.labels, batch.mixed.share, batch.shown, strict=True
        ):
            found = {int(value): int((image == value).sum()) for value in image.unique() if value}
            assert 1 <= len(found) <= 2
            of_others.append(float(share))
            if augment == "none":
                parts = {(value - 1) // 6 % 3: 0.0 for value in found}
                for value, count in found.items():
                    parts[(value - 1) // 6 % 3] += count / 64
                expected = {int(label): 0.0, int(other): 0.0}
                expected[int(label)] += 1 - float(share)
                expected[int(other)] += float(share)
                assert {k: v for k, v in expected.items() if v} == pytest.approx(parts)
                assert expected[int(shown)] == max(expected.values())
    # Of 80 per cent of what is not clean some 39 per cent.
    assert 0.1 < np.mean(of_others) < 0.4 and 0.25 < np.mean(np.array(of_others) == 0) < 0.7


def test_processes_share_a_batch_of_mixed_images():
    config = replace(CONFIG, augment="shift", copies=0, cutmix=1.0)
    whole = list(Samples(_distinct(), _graph(0), Context(config=config), torch.float32).epoch(1))
    for part in (lambda n: slice(0, n // 2), lambda n: slice(n // 2, n)):
        own = Samples(_distinct(), _graph(0), Context(config=config), torch.float32, Place(part=part))
        for batch, all_of_it in zip(own.epoch(1), whole, strict=True):
            mine = part(len(all_of_it.labels))
            assert torch.equal(batch.images[0], all_of_it.images[0][mine])
            assert torch.equal(batch.shown, all_of_it.shown[mine])
            assert torch.equal(batch.mixed.share, all_of_it.mixed.share[mine])


def test_mixed_images_need_one_image():
    graph = Graph(
        (
            Input(name="numbers", inputs=(), shape=(4,)),
            Linear(name="fc", inputs=("numbers",), weight=np.zeros((3, 4), np.float32), bias=np.zeros(3, np.float32)),
        ),
        ("fc",),
    )
    with pytest.raises(ConfigError, match=r"cutmix pastes .* does not read one image: set it to 0"):
        Samples(_data(), graph, Context(config=replace(CONFIG, augment="none", cutmix=0.5)), torch.float32)
