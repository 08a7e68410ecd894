"""The verb that trains a network through its integers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hwprm.config import QatOptions
    from hwprm.core.progress import Progress
    from hwprm.model import Model
    from hwprm.training import Checkpoint

__all__ = ["qat"]


def qat(
    model: Any,
    data: Any = "mnist",
    options: QatOptions | None = None,
    *,
    teacher: Any = None,
    progress: Progress | None = None,
    checkpoint: Checkpoint | None = None,
) -> Model:
    """Train `model` on through the integers that `options` name: quantisation-aware training, docs/training.md.

    The outputs of `teacher`, by default of `model` as it is, are part of the loss. The result is a model that
    `quantize`, `compile` and `estimate` quantise with the bits and ranges that it was trained with. Raises what
    `hwprm.quantization.aware.train.train_integers` raises.
    """
    from hwprm.api.teachers import given_teacher, noted, teacher_of
    from hwprm.config import QatOptions
    from hwprm.core.progress import silent
    from hwprm.quantization.aware.train import train_integers
    from hwprm.sources import as_dataset, as_model
    from hwprm.training import Context

    options = options or QatOptions()
    dataset = as_dataset(data)
    start = as_model(model, dataset.image_shape)
    own = teacher_of(model, dataset.image_shape) if teacher is None else given_teacher(teacher, dataset)
    context = Context(config=options.train, progress=progress or silent, checkpoint=checkpoint, teacher=own.graph)
    return noted(train_integers(start, dataset, options.quantize, options.qat, context), own)
