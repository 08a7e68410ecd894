"""Estimates one after the other share what an array does not change, and come out as each would alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from hwprm.compiler import compile_network, estimate
from hwprm.config import ArrayConfig, MemoryConfig
from hwprm.intnet import IntegerNetwork
from tests.support.random_networks import random_inputs, random_products, random_residuals

#: Rows, columns, batch, weights.
SWEEP = (
    *((3, 4, 1, "rom"), (5, 4, 1, "rom"), (3, 2, 1, "rom"), (3, 4, 2, "rom"), (3, 4, 1, "rom")),
    *((3, 4, 1, "axi"), (5, 4, 1, "axi"), (3, 2, 2, "axi"), (3, 4, 1, "rom")),
)


@pytest.mark.parametrize("make", [random_inputs, random_residuals, random_products])
def test_a_sweep_equals_compilations_of_networks_of_their_own(make: Callable[..., IntegerNetwork]) -> None:
    net = make(4)
    for rows, cols, batch, weights in SWEEP:
        array = ArrayConfig(rows=rows, cols=cols, batch=batch, weights=weights)
        layers = tuple(replace(layer, bias=np.array(layer.bias)) for layer in net.layers)
        alone = compile_network(replace(net, layers=layers), array)
        assert estimate(net, array) == replace(alone.cycles, stalls=alone.stalls(MemoryConfig()))
