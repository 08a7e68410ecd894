"""What each channel gives its readers, measured on images: variances to rank it by, means to replace it by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from hwprm.data import Dataset
from hwprm.graph import Conv2d, Graph, Linear
from hwprm.nets import GraphModule
from hwprm.pruning.channels.groups import ChannelGroups
from hwprm.pruning.statistics import columns_per_channel
from hwprm.training.statistics import image_batches

__all__ = ["ChannelMoments", "channel_moments", "compensated", "scores"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: Images of one step of what is measured.
CHUNK = 32


@dataclass(frozen=True, kw_only=True, eq=False)
class ChannelMoments:
    """What one layer reads, C channels of delta columns each (`columns_per_channel`), over images and output pixels.

    A channel's deviation is its value less its mean (of each column for a linear layer), zero in the padding.
    """

    #: Mean of each column ``(C, delta)``, zeros of the padding included.
    mean: FloatArray
    #: Mean products of the deviations ``(C, delta, delta)``.
    square: FloatArray


def channel_moments(groups: ChannelGroups, dataset: Dataset, chosen: NDArray[np.int64]) -> Mapping[str, ChannelMoments]:
    """The moments of every layer in `groups.cols` on the training images `chosen`."""
    graph = groups.graph
    readers = [node for node in graph.weighted if node.name in groups.cols]
    count = len(chosen)
    means: dict[str, Tensor] = {}
    for values in _runs(graph, dataset, chosen):
        for name in {node.inputs[0] for node in readers}:
            x = values[name]
            total = x.sum(dim=(0, *range(2, x.ndim)), dtype=torch.float64) / x[0, 0].numel()
            means[name] = means.get(name, 0) + total / count
    sums: dict[str, tuple[Tensor, Tensor]] = {}
    for values in _runs(graph, dataset, chosen):
        for node in readers:
            mean = means[node.inputs[0]]
            x = values[node.inputs[0]]
            deviation = x - mean.to(x.dtype).reshape(1, -1, *[1] * (x.ndim - 2))
            columns = _columns(graph, node, deviation)
            first = columns.sum(dim=2, dtype=torch.float64) / columns.shape[2]
            second = (columns @ columns.transpose(1, 2)).double() / columns.shape[2]
            share = len(x) / count
            old = sums.get(node.name, (torch.zeros_like(first), torch.zeros_like(second)))
            sums[node.name] = (old[0] + first * share, old[1] + second * share)
    found = {}
    for node in readers:
        first, second = sums[node.name]
        x = torch.ones((1, *graph.shapes[node.inputs[0]]), dtype=torch.float64)
        inside = _columns(graph, node, x * means[node.inputs[0]].reshape(1, -1, *[1] * (x.ndim - 2))).mean(dim=2)
        found[node.name] = ChannelMoments(mean=(first + inside).numpy(), square=second.numpy())
    return found


def scores(groups: ChannelGroups, moments: Mapping[str, ChannelMoments]) -> FloatArray:
    """``(groups.count,)``: how much of what its readers compute each group contributes.

    For each reader: the mean square, over images and output pixels, of what the channel's deviation from its mean adds
    to the filters' sums, all filters together, relative to the mean of that over the reader's channels; then the sum
    over readers. 0 for a constant.
    """
    found = np.zeros(groups.count)
    for node in groups.graph.weighted:
        if node.name in moments:
            square = moments[node.name].square
            weight = node.weight.astype(np.float64).reshape(len(node.bias), len(square), -1)
            given = np.einsum("mck,ckl,mcl->c", weight, square, weight, optimize=True).clip(min=0)
            if given.any():
                np.add.at(found, _channel_groups_of(groups, node), given / given.mean())
    return found


def compensated(groups: ChannelGroups, moments: Mapping[str, ChannelMoments], keep: BoolArray) -> Graph:
    """The graph of `groups` with the mean of what each group outside `keep` contributes moved into biases.

    Where no tap meets zero padding that replaces the channel by its mean exactly; elsewhere the filter's mean over the
    map is right, and pixels at the border get what the inner ones have too much.
    """
    changed = []
    for node in groups.graph.weighted:
        if node.name in moments:
            mean = moments[node.name].mean * ~keep[_channel_groups_of(groups, node)][:, None]
            weight = node.weight.astype(np.float64).reshape(len(node.bias), -1)
            bias = node.bias.astype(np.float64) + weight @ mean.reshape(-1)
            changed.append(replace(node, bias=bias.astype(node.bias.dtype)))
    return groups.graph.replace(*changed)


def _runs(graph: Graph, dataset: Dataset, chosen: NDArray[np.int64]) -> Iterator[dict[str, Tensor]]:
    """Every tensor of `graph` for the images `chosen`, some at a time."""
    module = GraphModule(graph).eval()
    names = [node.name for node in graph.inputs]
    dtype = next((p.dtype for p in module.parameters()), torch.float32)
    with torch.inference_mode():
        for start in range(0, len(chosen), CHUNK):
            yield module.run(*image_batches(dataset, names, chosen[start : start + CHUNK], dtype))


def _columns(graph: Graph, node: Conv2d | Linear, x: Tensor) -> Tensor:
    """What `node` multiplies of `x` ``(n, *shape)``: ``(C, delta, samples)``, samples over images and pixels."""
    delta = columns_per_channel(graph, node)
    if isinstance(node, Linear):
        return x.reshape(len(x), -1, delta).permute(1, 2, 0)
    top, bottom, left, right = node.padding
    padded = functional.pad(x, (left, right, top, bottom))
    kernel = (node.weight.shape[2], node.weight.shape[3])
    patches = functional.unfold(padded, kernel, dilation=node.dilation, stride=node.stride)
    return patches.reshape(len(x), x.shape[1], delta, -1).permute(1, 2, 0, 3).flatten(2)


def _channel_groups_of(groups: ChannelGroups, node: Conv2d | Linear) -> NDArray[np.int64]:
    """The group of each channel that `node` reads ``(C,)``."""
    return groups.cols[node.name][:: columns_per_channel(groups.graph, node)]
