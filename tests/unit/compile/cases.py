"""Networks that several tests of the compiler share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hwprm.compile import Program
from hwprm.errors import ModelError, UnsupportedError
from hwprm.intnet import IntegerNetwork
from tests.support.networks import compiled
from tests.support.random_networks import random_network

__all__ = ["random_programs"]


def random_programs(
    seeds: range, *, largest: int = 10, make: Callable[..., IntegerNetwork] = random_network
) -> list[Program]:
    """Programs of random networks on random arrays; nets that are pruned to nothing are left out."""
    programs = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        try:
            programs.append(compiled(make(seed, largest=largest), *(int(v) for v in rng.integers(1, 18, 2))))
        except (ModelError, UnsupportedError) as error:
            assert "does not depend on the input" in str(error)  # nothing else may be refused
    assert len(programs) > len(seeds) / 2
    return programs
