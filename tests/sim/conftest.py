"""One folder of compiled simulations for all tests, and one stand-in bundle."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwprm.bundle import Bundle
from tests.sim.standin import standin_bundle


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="session")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return standin_bundle(tmp_path_factory.mktemp("standin") / "bundle")
