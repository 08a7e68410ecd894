"""Float accuracy."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hwprm.errors import DataError, ModelError
from hwprm.graph import Graph
from hwprm.nets import GraphModule

__all__ = ["accuracy", "check_fit", "logits"]

BATCH = 500


def accuracy(graph: Graph, x: NDArray[Any], y: NDArray[np.int64], input_scale: float) -> float:
    """Per cent of the images `x` ``(n, C, H, W)``, times `input_scale`, that `graph` puts in class `y` ``(n,)``.

    Computed in the dtype of the weights; of equal logits the lowest class wins. Raises ModelError unless the network
    has one output, DataError when images and labels do not fit it or there are none.
    """
    check_fit(graph, x.shape[1:], int(y.max()) + 1 if y.size else 0)
    if len(x) != len(y) or len(x) == 0:
        raise DataError(f"accuracy needs as many labels as images and at least one, not {len(y)} and {len(x)}")
    right = np.argmax(logits(graph, x, input_scale), axis=1) == y
    return 100.0 * int(np.count_nonzero(right)) / len(y)


def logits(graph: Graph, x: NDArray[Any], input_scale: float) -> NDArray[Any]:
    """Output ``(n, classes)`` of `graph` for `x` ``(n, *input shape)`` times `input_scale`, in inference mode."""
    module = GraphModule(graph).eval()
    dtype = next((p.dtype for p in module.parameters()), torch.float32)
    parts = []
    with torch.inference_mode():
        for start in range(0, len(x), BATCH):
            images = torch.from_numpy(np.array(x[start : start + BATCH])).to(dtype) * input_scale
            out = module(images)
            parts.append(out.numpy())
    return np.concatenate(parts)


def check_fit(graph: Graph, image_shape: tuple[int, ...], classes: int) -> None:
    """Raise when `graph` cannot classify images ``(C, H, W)`` into `classes` classes."""
    if len(graph.outputs) != 1:
        raise ModelError(f"the network has {len(graph.outputs)} outputs; classification needs one, the logits")
    if graph.input.shape != tuple(image_shape):
        raise DataError(
            f"the network reads {graph.input.shape}, the images are {tuple(image_shape)}; choose a fitting data set"
        )
    shape = graph.shapes[graph.outputs[0]]
    if len(shape) != 1 or shape[0] < classes:
        raise DataError(f"the network's output has shape {shape}, the labels need {classes} classes")
