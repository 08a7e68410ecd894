"""Statistics of batch norms, taken anew on training images."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwprm.data import Dataset
from hwprm.graph import BatchNorm, Graph, by_input, scale_of
from hwprm.nets import GraphModule
from hwprm.training.augment import Augmentation

__all__ = ["image_batches", "recalibrated", "with_new_statistics"]

#: Images of a step, at least.
CHUNK = 32


def recalibrated(graph: Graph, dataset: Dataset, images: int, seed: int, trained: Augmentation | None = None) -> Graph:
    """`graph` with statistics of at most `images` training images, drawn from `seed`; as it is for fewer than two.

    `trained` as in `with_new_statistics`, drawn from `seed` too.
    """
    chosen = np.sort(np.random.default_rng([seed, 2]).permutation(len(dataset.x_train))[:images])
    return with_new_statistics(graph, dataset, chosen, trained, seed=seed) if len(chosen) > 1 else graph


def with_new_statistics(
    graph: Graph,
    dataset: Dataset,
    chosen: NDArray[np.int64],
    trained: Augmentation | None = None,
    *,
    seed: int = 0,
) -> Graph:
    """`graph` with mean and variance of its batch norms taken anew on the training images `chosen`, two or more.

    The images are augmented by `trained`, as they were in training, or as they are. Fixed batch norms stay as they are.
    Statistics are the mean of those of all batches, as training takes them.
    """
    module = GraphModule(graph).train()
    norms = [node for node in graph.nodes if isinstance(node, BatchNorm) and not node.fixed]
    if not norms:
        return graph
    for node in norms:
        holder = cast(torch.nn.BatchNorm2d, module.holder(node.name))
        holder.reset_running_stats()
        holder.momentum = None
    names = [node.name for node in graph.inputs]
    dtype = next(module.parameters()).dtype
    rng = np.random.default_rng([seed, 3])
    with torch.no_grad():
        # At least CHUNK images in each, or all: a batch of one has no variance.
        for part in np.array_split(chosen, max(1, len(chosen) // CHUNK)):
            images = image_batches(dataset, names, part, dtype)
            module(*(images if trained is None else [trained(images[0], rng), *images[1:]]))
    return module.to_graph()


def image_batches(dataset: Dataset, names: list[str], chosen: NDArray[np.int64], dtype: torch.dtype) -> list[Tensor]:
    """The training images `chosen` of `dataset` for the inputs `names`, real values ``(n, *shape)`` of each."""
    arrays = by_input(dataset.x_train[chosen], names)
    return [torch.from_numpy(arrays[name]).to(dtype) * scale_of(dataset.input_scale, name) for name in names]
