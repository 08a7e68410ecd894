"""Training images in batches: drawn in a seeded order, augmented, with the teacher's outputs where there is one."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from hwprm.config.train import TrainConfig
from hwprm.core.errors import ConfigError
from hwprm.core.memory import free_memory
from hwprm.data import Dataset
from hwprm.graph import Graph, LazyImages, by_input, scale_of
from hwprm.nets import GraphModule
from hwprm.training.augment import Augmentation
from hwprm.training.context import Context
from hwprm.training.devices import NARROW, Precision, has_room, innermost_channels
from hwprm.training.loss import Mixed

__all__ = ["Batch", "Place", "Samples"]

#: Images of one step of what is computed once for the whole set.
CHUNK = 250
#: Images that a teacher is asked about at a time: more do not fit in a core's cache, and take longer.
ASKED = 125
CPU = torch.device("cpu")


def _all(count: int) -> slice:
    return slice(count)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Images ``(n, *shape)`` of every input, labels ``(n,)``, and the teacher's logits ``(n, classes)`` or None.

    `whole` is how many images the batch has over all processes; `mixed` what they show of others.
    """

    images: list[Tensor]
    labels: Tensor
    taught: Tensor | None
    whole: int
    mixed: Mixed | None = None

    @property
    def shown(self) -> Tensor:
        """The labels ``(n,)`` of what there is most of in each image."""
        if self.mixed is None:
            return self.labels
        return torch.where(self.mixed.share > 0.5, self.mixed.labels, self.labels)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where batches are: on `device`; of each batch of `count` images the slice ``part(count)`` is given."""

    device: torch.device = CPU
    part: Callable[[int], slice] = _all


class Samples:
    """The training split of `dataset` as the network `graph` reads it, in `dtype`.

    The teacher of `context` is asked in the precision that the network is trained in. With ``config.copies`` the
    augmented images and the teacher's logits of all of them are computed once and kept for the next `Samples` of the
    same data, options and teacher; a step then only gathers. Without, each step augments its images and asks the
    teacher. Raises ConfigError when the images cannot be augmented so.

    Batches are those of `place`; everything random is drawn for the whole batch, so that its images do not depend on
    the part.
    """

    def __init__(
        self, dataset: Dataset, graph: Graph, context: Context, dtype: torch.dtype, place: Place | None = None
    ) -> None:
        config, place = context.config, place or Place()
        self.dataset, self.config, self.dtype, self.device, self.part = dataset, config, dtype, place.device, place.part
        self.names = [node.name for node in graph.inputs]
        self.augment = Augmentation.of(config, dataset.name)
        self.labels = torch.from_numpy(np.array(dataset.y_train))
        self.steps = math.ceil(len(self.labels) / config.batch)
        if len(self.names) > 1 and self.augment.kind != "none":
            raise ConfigError(
                f"train.augment = {config.augment!r} moves one image, the network has {len(self.names)} inputs; "
                "set it to none"
            )
        if config.cutmix and (len(self.names) > 1 or len(graph.inputs[0].shape) != 3):
            raise ConfigError(
                "train.cutmix pastes a part of one image into another; the network does not read one image: set it to 0"
            )
        if config.ask_mirrored and any(len(node.shape) != 3 for node in graph.inputs):
            raise ConfigError("train.ask_mirrored mirrors images, and the network does not read any; set it to false")
        teacher = context.teacher if config.distill else None
        self.teacher = None if teacher is None else _reader(teacher, config, place.device)
        self.precision = Precision(config, place.device)
        #: The images as they are, and all copies of them ``(copies, n, C, H, W)``; the teacher's logits of both.
        self.clean: Tensor | None = None
        self.pool: Tensor | None = None
        self.pool_logits: Tensor | None = None
        #: Of every copy ``(copies, n)`` the image that it has a part of, and the share of that.
        self.pool_mixed: tuple[Tensor, Tensor] | None = None
        if config.copies and self.augment.draws:
            self._check_bytes()
            images = _digest(dataset.x_train)
            moved = f"{images} {self.augment.kind} {config.cutout} {config.seed}"
            moved += f" {config.cutmix}" if config.cutmix else ""
            self.clean = _tensor(dataset.x_train)
            self.pool, self.pool_mixed = _remembered("pool", f"{moved} {config.copies}", self._make_pool)
            if self.teacher is not None:
                asked = f"{dtype} {config.precision} {config.ask_mirrored} {_state_digest(self.teacher)}"
                keys = [f"{asked} {images}", *(f"{asked} {moved} {copy}" for copy in range(config.copies))]
                folder = context.checkpoint.folder if context.checkpoint is not None else None
                answers = partial(self._ask_about_pool, folder, keys)
                self.pool_logits = _remembered("logits", " ".join(keys), answers)
            self._move_pool()

    def digest(self) -> str:
        """Digest of images, labels and teacher."""
        taught = _state_digest(self.teacher) if self.teacher is not None else "-"
        return f"{_digest(self.dataset.x_train)} {_digest(self.dataset.y_train)} {taught}"

    def epoch(self, number: int) -> Iterator[Batch]:
        """Every training image once, in the order of epoch `number`, in batches of nearly equal size.

        Randomness is a function of (seed, epoch), so a resumed run needs no generator state.
        """
        rng = np.random.default_rng([self.config.seed, number])
        for chosen in np.array_split(rng.permutation(len(self.labels)), self.steps):
            yield self._gather(chosen, rng) if self.pool is not None else self._make(chosen, rng)

    def _make(self, chosen: NDArray[np.int64], rng: np.random.Generator) -> Batch:
        own, mixed = self.part(len(chosen)), None
        if not self.augment.draws:  # so nothing of the others' parts is needed
            images = self._floats(by_input(self.dataset.x_train[chosen[own]], self.names))
        else:
            whole = self._floats(by_input(self.dataset.x_train[chosen], self.names))
            moved = self.augment.moved(whole[0], rng)
            if self.augment.cutmix:
                partners = self.augment.partners(len(moved), rng)
                moved, share = self.augment.mixed(moved, moved[partners], rng)
                mixed = self._mixed(torch.from_numpy(chosen)[partners[own]], share[own])
            images = [moved[own]]
        images = [self._laid_out(array) for array in images]
        return self._batch(images, chosen, self._ask(images), mixed)

    def _gather(self, chosen: NDArray[np.int64], rng: np.random.Generator) -> Batch:
        assert self.pool is not None and self.clean is not None
        n, own = len(chosen), self.part(len(chosen))
        # Copy 0 is the set itself.
        copies = np.where(rng.random(n) < self.config.clean_share, 0, rng.integers(1, self.config.copies + 1, n))
        copy, mine = (torch.from_numpy(array[own]).to(self.pool.device) for array in (copies, chosen))
        # Rows selected by one number each are copied as wholes, which is twice as fast as two numbers are.
        images = self.pool.flatten(0, 1).index_select(0, (copy - 1).clamp(min=0) * len(self.clean) + mine)
        as_is = (copy == 0).nonzero().flatten()
        images.index_copy_(0, as_is, self.clean.index_select(0, mine[as_is]))
        taught = None if self.pool_logits is None else self.pool_logits[copy, mine]
        if taught is not None and self.config.ask_mirrored:  # the teacher said the same about both
            turned = torch.from_numpy(rng.random(n)[own] < 0.5).to(images.device)
            images = torch.where(turned[:, None, None, None], images.flip(-1), images)
        mixed = None
        if self.pool_mixed is not None:
            partner, share = (each[(copy.cpu() - 1).clamp(min=0), mine.cpu()] for each in self.pool_mixed)
            mixed = self._mixed(partner, share.masked_fill(copy.cpu() == 0, 0.0))
        laid = [self._laid_out(self._scaled(images, self.names[0]))]
        return self._batch(laid, chosen, taught, mixed)

    def _mixed(self, partners: Tensor, share: Tensor) -> Mixed:
        """What images show of those that the training split has at `partners`."""
        return Mixed(labels=self.labels[partners].to(self.device), share=share.to(self.device))

    def _batch(
        self, images: list[Tensor], chosen: NDArray[np.int64], taught: Tensor | None, mixed: Mixed | None
    ) -> Batch:
        labels = self.labels[torch.from_numpy(chosen[self.part(len(chosen))])].to(self.device)
        taught = None if taught is None else taught.to(self.device, self.dtype)
        return Batch(images=images, labels=labels, taught=taught, whole=len(chosen), mixed=mixed)

    def _floats(self, images: Mapping[str, NDArray[Any]]) -> list[Tensor]:
        return [self._scaled(torch.from_numpy(images[name]), name) for name in self.names]

    def _scaled(self, images: Tensor, name: str) -> Tensor:
        return images.to(self.dtype) * scale_of(self.dataset.input_scale, name)

    def _laid_out(self, images: Tensor) -> Tensor:
        """`images` on the device, a pixel's channels side by side where that is asked for."""
        if not self.config.channels_last or images.ndim != 4:
            return images.to(self.device)
        return innermost_channels(images, self.device)

    def _ask(self, images: list[Tensor]) -> Tensor | None:
        if self.teacher is None:
            return None
        with torch.no_grad(), self.precision.forward():
            own = next((parameter.dtype for parameter in self.teacher.parameters()), self.dtype)
            answer: Tensor = self.teacher(*(array.to(own) for array in images))
            if self.config.ask_mirrored:
                answer = (answer + self.teacher(*(array.flip(-1).to(own) for array in images))) / 2
            return answer.to(self.dtype)

    def _check_bytes(self) -> None:
        if self.dataset.x_train.dtype != np.uint8 or not isinstance(self.dataset.x_train, np.ndarray):
            raise ConfigError(
                f"train.copies = {self.config.copies} keeps augmented images as bytes in memory, those of "
                f"{self.dataset.name} are {self.dataset.x_train.dtype} or on disk; set train.copies to 0"
            )

    def _move_pool(self) -> None:
        """Where an accelerator has room, images and logits lie there: a step then waits for no transfer."""
        assert self.pool is not None and self.clean is not None
        held = [self.clean, self.pool, *([] if self.pool_logits is None else [self.pool_logits])]
        if has_room(self.device, sum(array.nbytes for array in held)):
            self.clean, self.pool = self.clean.to(self.device), self.pool.to(self.device)
            self.pool_logits = None if self.pool_logits is None else self.pool_logits.to(self.device)

    def _check_memory(self, each: int) -> None:
        """Raise ConfigError when copies of `each` bytes do not fit in memory."""
        copies, free = self.config.copies, free_memory()
        if free is not None and copies * each > free:
            raise ConfigError(
                f"train.copies = {copies} of {len(self.labels):,} images take {copies * each / 2**30:.1f} GiB of "
                f"memory, and {free / 2**30:.1f} GiB are free; {free // each} copies would fit, 0 augments at every "
                "step"
            )

    def _make_pool(self) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
        """The copies, and what each image of them shows of others."""
        assert self.clean is not None
        self._check_memory(self.clean.nbytes)
        pool = torch.empty((self.config.copies, *self.clean.shape), dtype=torch.uint8)
        augment = replace(self.augment, clean_share=0.0)
        mixed = []
        for copy, target in enumerate(pool):
            rng = np.random.default_rng([self.config.seed, copy, 1])
            for images, part in zip(torch.split(self.clean, CHUNK), torch.split(target, CHUNK), strict=True):
                part.copy_(augment.moved(images.float(), rng).round_().clamp_(0, 255))
            if augment.cutmix:
                partners, whole, shares = augment.partners(len(target), rng), target.clone(), []
                for part, partner in zip(torch.split(target, CHUNK), torch.split(partners, CHUNK), strict=True):
                    pasted, share = augment.mixed(part, whole[partner], rng)
                    part.copy_(pasted)
                    shares.append(share)
                mixed.append((partners, torch.cat(shares)))
        if not mixed:
            return pool, None
        return pool, (torch.stack([partners for partners, _ in mixed]), torch.stack([share for _, share in mixed]))

    def _ask_about_pool(self, folder: Path | None, keys: Sequence[str]) -> Tensor:
        """The teacher's logits ``(1 + copies, n, classes)``: of the set itself, then of every copy, by their `keys`."""
        assert self.pool is not None and self.clean is not None
        sets = list(zip((self.clean, *self.pool), keys, strict=True))
        # Processes that share a folder begin at different sets, and each finds there what the others have asked.
        first = self.part(len(sets)).start or 0
        found = {
            key: _kept(folder, key, partial(self._ask_about, images)) for images, key in sets[first:] + sets[:first]
        }
        return torch.stack([found[key] for key in keys])

    def _ask_about(self, images: Tensor) -> Tensor:
        """The teacher's logits ``(n, classes)`` of the bytes `images`."""
        answers = []
        for part in torch.split(images, ASKED):
            answer = self._ask([self._laid_out(self._scaled(part, self.names[0]))])
            assert answer is not None
            answers.append(answer.to("cpu", NARROW.get(self.config.precision, answer.dtype)))
        return torch.cat(answers)


def _reader(graph: Graph, config: TrainConfig, device: torch.device) -> GraphModule:
    """`graph` as a module that reads images as the trained network does."""
    module = GraphModule(graph).eval().to(device)
    for parameter in module.parameters():
        if parameter.ndim == 4 and config.channels_last:
            parameter.data = innermost_channels(parameter.data)
    return module


def _tensor(images: Any) -> Tensor:
    """`images`, bytes in memory, as a tensor over the same memory where that may be written to."""
    return torch.from_numpy(images if images.flags.writeable else images.copy())


#: The last result of each kind, by what it was made from: the stages of one recipe share their images and teacher.
_LAST: dict[str, tuple[str, Any]] = {}


def _remembered(kind: str, key: str, make: Any) -> Any:
    if kind not in _LAST or _LAST[kind][0] != key:
        _LAST.pop(kind, None)  # before the new one is made: both would not fit in memory where one just does
        _LAST[kind] = key, make()
    return _LAST[kind][1]


def _kept(folder: Path | None, key: str, make: Callable[[], Tensor]) -> Tensor:
    """What `make` gives, kept in `folder` for a run that goes on; as good as not there where it cannot be read."""
    if folder is None:
        return make()
    file = folder / f"logits-{hashlib.sha256(key.encode()).hexdigest()[:16]}.safetensors"
    try:
        kept: Tensor = load_file(file)["logits"]
        return kept
    except (OSError, SafetensorError, KeyError):
        made = make()
    part = file.with_suffix(f".{os.getpid()}.part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file({"logits": made}, part)
        part.replace(file)
    except (OSError, SafetensorError):  # a full disk costs the time to ask again, no more
        part.unlink(missing_ok=True)
    return made


def _digest(array: Any) -> str:
    if isinstance(array, LazyImages):
        return array.fingerprint
    head = f"{array.dtype} {array.shape}".encode()
    return hashlib.sha256(head + np.ascontiguousarray(array).tobytes()).hexdigest()


def _state_digest(module: GraphModule) -> str:
    total = hashlib.sha256(repr(module.graph.structure).encode())
    for name, value in module.state_dict().items():
        total.update(name.encode() + value.cpu().numpy().tobytes())
    return total.hexdigest()
