"""Networks that several tests of the compiler share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hwprm.compiler import Program
from hwprm.core.errors import ModelError, UnsupportedError
from hwprm.intnet import IntegerNetwork
from tests.support.networks import compiled
from tests.support.random_networks import random_network, random_residuals

__all__ = ["random_programs", "residual_programs"]


def random_programs(
    seeds: range,
    *,
    largest: int = 10,
    make: Callable[..., IntegerNetwork] = random_network,
    pipeline: str = "short",
) -> list[Program]:
    """Programs of random networks on random arrays; nets that are pruned to nothing are left out."""
    return _compiled([make(seed, largest=largest) for seed in seeds], seeds, pipeline)


def residual_programs(seeds: range, *, largest: int = 7) -> list[Program]:
    """The same of networks with residuals."""
    programs = _compiled([random_residuals(seed, largest=largest) for seed in seeds], seeds)
    assert sum(program.hardware.residual_bits > 0 for program in programs) > len(programs) / 2
    return programs


def _compiled(nets: list[IntegerNetwork], seeds: range, pipeline: str = "short") -> list[Program]:
    programs = []
    for net, seed in zip(nets, seeds, strict=True):
        rng = np.random.default_rng(seed)
        try:
            programs.append(compiled(net, *(int(v) for v in rng.integers(1, 18, 2)), pipeline=pipeline))
        except (ModelError, UnsupportedError) as error:
            assert "does not depend on the input" in str(error)  # nothing else may be refused
    assert len(programs) > len(nets) / 2
    return programs
