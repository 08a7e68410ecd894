"""One stand-in bundle, and one that was compiled and emitted."""

from __future__ import annotations

import numpy as np
import pytest

from hwprm.bundle import Bundle
from hwprm.bundle.images import random_images
from hwprm.compiler import compile_network
from hwprm.config import ArrayConfig
from hwprm.emission import emit_bundle
from tests.sim.standin import standin_bundle
from tests.support.networks import small_lenet


@pytest.fixture(scope="session")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return standin_bundle(tmp_path_factory.mktemp("standin") / "bundle")


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A small LeNet on 4 x 3."""
    program = compile_network(small_lenet(), ArrayConfig(rows=4, cols=3))
    images = random_images(3, program.network.image_limits, seed=3)
    return emit_bundle(program, images, np.arange(3), tmp_path_factory.mktemp("small") / "bundle")
