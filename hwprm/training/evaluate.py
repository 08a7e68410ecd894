"""Float accuracy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hwprm.config.train import TrainConfig
from hwprm.core.errors import DataError, ModelError
from hwprm.data import Dataset
from hwprm.graph import Batch, Graph, Images, Scale, Shapes, by_input, fitting_batch, image_shapes, scale_of
from hwprm.nets import GraphModule
from hwprm.training.devices import choose_device, threads

__all__ = ["accuracy", "check_fit", "count_in_top", "held_out_accuracy", "in_class", "logits", "refuse_guessing"]

BATCH = 500
#: Training images that a network is tried on.
TRIED = 512
CPU = torch.device("cpu")


def held_out_accuracy(graph: Graph, dataset: Dataset, config: TrainConfig) -> float:
    """`accuracy` on the test images of `dataset`, computed where and on as many threads as `config` trains."""
    with threads(config.threads):
        return accuracy(graph, dataset.x_test, dataset.y_test, dataset.input_scale, device=choose_device(config))


def accuracy(
    graph: Graph,
    x: Images,
    y: NDArray[np.int64],
    input_scale: Scale,
    *,
    top: int = 1,
    device: torch.device = CPU,
) -> float:
    """Per cent of the images `x`, as a data set has them, times `input_scale`, that `graph` puts in class `y` ``(n,)``.

    With `top` above 1 a class among that many first ones is right. Computed in the dtype of the weights; of equal
    logits the lowest class comes first. Raises ModelError unless the network
    has one output, DataError when images and labels do not fit it or there are none.
    """
    return 100.0 * int(in_class(graph, x, y, input_scale, top=top, device=device).sum()) / len(y)


def in_class(
    graph: Graph,
    x: Images,
    y: NDArray[np.int64],
    input_scale: Scale,
    *,
    top: int = 1,
    device: torch.device = CPU,
) -> NDArray[np.bool_]:
    """Which of the images `x` are right ``(n,)``; all else as in `accuracy`."""
    check_fit(graph, image_shapes(x), int(y.max()) + 1 if y.size else 0)
    if len(x) != len(y) or len(x) == 0:
        raise DataError(f"accuracy needs as many labels as images and at least one, not {len(y)} and {len(x)}")
    return in_top(logits(graph, x, input_scale, device), y, top)


def refuse_guessing(graph: Graph, dataset: Dataset, what: str, learnt: str | None = None) -> None:
    """Raise DataError when `graph`, called `what`, is right on no more of the training images than guessing is.

    That is when it takes no more than the largest class, two standard errors above it. `learnt` is the data set that it
    is known to be trained on.
    """
    if not dataset.classes:
        return
    some = np.unique(np.linspace(0, len(dataset.x_train) - 1, TRIED).astype(np.int64))
    labels = dataset.y_train[some]
    right = accuracy(graph, dataset.x_train[some], labels, dataset.input_scale)
    share = float(np.bincount(labels).max()) / len(some)
    if right <= 100.0 * (share + 2.0 * math.sqrt(share * (1.0 - share) / len(some))):
        known = f", it was trained on {learnt}" if learnt else ""
        raise DataError(
            f"{what} is right on {right:.0f} % of {len(some)} training images of {dataset.name}, as guessing is: it "
            f"knows other classes or other data{known}; give one that was trained on these"
        )


def count_in_top(scores: NDArray[Any], labels: NDArray[np.integer], top: int) -> int:
    """How many rows are `in_top`."""
    return int(np.count_nonzero(in_top(scores, labels, top)))


def in_top(scores: NDArray[Any], labels: NDArray[np.integer], top: int) -> NDArray[np.bool_]:
    """In which rows of `scores` ``(n, classes)`` fewer than `top` classes come before the label's: ``(n,)``.

    Those with a greater score come before it, and lower ones with the same. A label that is no class is never right.
    """
    known = (labels >= 0) & (labels < scores.shape[1])
    labels = np.where(known, labels, 0)
    own = np.take_along_axis(scores, labels[:, None].astype(np.intp), axis=1)
    lower = np.arange(scores.shape[1]) < labels[:, None]
    before = np.count_nonzero((scores > own) | ((scores == own) & lower), axis=1)
    result: NDArray[np.bool_] = known & (before < top)
    return result


def logits(graph: Graph, x: Batch, input_scale: Scale, device: torch.device = CPU) -> NDArray[Any]:
    """Output ``(n, classes)`` of `graph` for `x` ``(n, *input shape)`` times `input_scale`, in inference mode."""
    module = GraphModule(graph).eval().to(device)
    dtype = next((p.dtype for p in module.parameters()), torch.float32)
    given = by_input(x, [node.name for node in graph.inputs])
    step = fitting_batch(BATCH, max(math.prod(shape) for shape in graph.shapes.values()))
    parts = []
    with torch.inference_mode():
        for start in range(0, len(next(iter(given.values()))), step):
            images = [
                torch.from_numpy(np.array(array[start : start + step])).to(device, dtype) * scale_of(input_scale, name)
                for name, array in given.items()
            ]
            parts.append(module(*images).cpu().numpy())
    return np.concatenate(parts)


def check_fit(graph: Graph, image_shape: Shapes, classes: int) -> None:
    """Raise when `graph` cannot classify images of `image_shape` into `classes` classes."""
    if len(graph.outputs) != 1:
        raise ModelError(f"the network has {len(graph.outputs)} outputs; classification needs one, the logits")
    own = {node.name: node.shape for node in graph.inputs}
    if not (image_shape == own if isinstance(image_shape, Mapping) else [tuple(image_shape)] == list(own.values())):
        reads = own if len(own) > 1 else graph.input.shape
        raise DataError(f"the network reads {reads}, the images are {image_shape}; choose a fitting data set")
    shape = graph.shapes[graph.outputs[0]]
    if len(shape) != 1 or shape[0] < classes:
        raise DataError(f"the network's output has shape {shape}, the labels need {classes} classes")
