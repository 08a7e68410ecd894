"""A first convolution that begins with whitening filters: its outputs on natural images are uncorrelated at once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch.nn import functional

from hwprm.core.errors import ConfigError
from hwprm.data import Dataset
from hwprm.graph import Conv2d, Graph, plain, scale_of

__all__ = ["whitened"]

#: Share of the mean variance that is added to each direction's: the smallest ones are noise.
FLOOR = 0.01


def whitened(graph: Graph, dataset: Dataset, images: int, seed: int) -> Graph:
    """`graph` whose first convolution has the principal directions of its patches as filters.

    Filter i is ``v_i / sqrt(l_i + floor)`` for the i-th largest eigenvalue l_i of the covariance of the patches of at
    most `images` training images, drawn from `seed`; behind them come the same with their signs turned. Filters beyond
    twice as many as a patch has numbers stay as they are. A bias takes the mean of the patches away. After Coates and
    Ng, "Learning feature representations with k-means" (2012), section 2, and Jordan, arXiv 2404.00498, section 3.2.

    Raises ConfigError unless one convolution, without groups, reads the one input.
    """
    first = [node for node in graph.nodes if isinstance(node, Conv2d) and node.inputs == (graph.inputs[0].name,)]
    if len(graph.inputs) != 1 or len(first) != 1 or first[0].groups != 1:
        raise ConfigError(
            "train.whiten begins the one convolution that reads the images, without groups, with whitening filters; "
            "this network has no such one; set it to 0"
        )
    node = first[0]
    rows, *kernel = node.weight.shape
    chosen = np.sort(np.random.default_rng([seed, 4]).permutation(len(dataset.x_train))[:images])
    some = torch.from_numpy(np.asarray(plain(dataset.x_train)[chosen], dtype=np.float32))
    some *= scale_of(dataset.input_scale, graph.inputs[0].name)
    patches = functional.unfold(some, (kernel[1], kernel[2]), dilation=node.dilation).transpose(1, 2).flatten(0, 1)
    mean = patches.mean(0).double()
    values, directions = torch.linalg.eigh(torch.cov(patches.T.double()))
    scaled = (directions / (values + FLOOR * values.mean()).sqrt()).T.flip(0)
    few = scaled[: (rows + 1) // 2]
    filters = torch.cat([few, -few])[:rows].numpy().reshape(-1, *kernel)
    weight, bias = node.weight.copy(), node.bias.copy()
    weight[: len(filters)] = filters
    bias[: len(filters)] = -(filters.reshape(len(filters), -1) @ mean.numpy())
    return graph.replace(replace(node, weight=weight, bias=bias))
