"""The normalisation that a network was trained with, as its first layer, so that it reads images as they are stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hwprm.core.errors import ModelError
from hwprm.graph import BatchNorm, Graph, Input

__all__ = ["normalised"]

NAME = "normalise"


def normalised(graph: Graph, mean: Sequence[float], std: Sequence[float]) -> Graph:
    """`graph` behind ``(image - mean) / std`` per channel, which training leaves alone.

    The layer is exact with any padding: a padded zero of the first convolution stands for the mean, as it did in
    training. Where that convolution has no padding, quantisation folds the layer into it exactly; where it has,
    folding the mean would change the border, so the layer stays, one multiplication for each sample.
    Raises ModelError when the network has several inputs or another number of channels.
    """
    image = graph.input
    channels = image.shape[0]
    if not len(mean) == len(std) == channels:
        raise ModelError(
            f"mean and std have {len(mean)} and {len(std)} numbers, the network reads {channels} channel(s); "
            "give one for each channel"
        )
    name = NAME
    while name in graph.by_name:
        name += "_"
    kind = next((node.weight.dtype for node in graph.weighted), np.dtype(np.float32))
    deviation = np.asarray(std, np.float64)
    layer = BatchNorm(
        name=name,
        inputs=(image.name,),
        # As one factor and one shift: a variance would be squared here and rooted there.
        weight=(1 / deviation).astype(kind),
        bias=(-np.asarray(mean, np.float64) / deviation).astype(kind),
        mean=np.zeros(channels, kind),
        var=np.ones(channels, kind),
        eps=0.0,
        fixed=True,
    )
    nodes = []
    for node in graph.nodes:
        changed = tuple(name if source == image.name else source for source in node.inputs)
        nodes.append(replace(node, inputs=changed))
        if isinstance(node, Input):
            nodes.append(layer)
    return Graph(tuple(nodes), graph.outputs)
