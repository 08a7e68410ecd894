"""A bundle as small as one can be, and stand-ins for the tools."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hwprm.config import SiliconConfig
from tests.support.silicon import make_bundle, stand_in

Configured = Callable[..., SiliconConfig]


@pytest.fixture(scope="session")
def small_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One linear layer, 9 -> 2, on 1 x 1."""
    return make_bundle(tmp_path_factory.mktemp("silicon") / "bundle")


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand-ins are found in place of the tools; what ran stands in this file, a line each."""
    file = tmp_path / "notes"
    file.touch()
    stand_in(monkeypatch, file)
    return file


@pytest.fixture
def configured(tmp_path: Path) -> Configured:
    """A `SiliconConfig` that keeps its results in a folder of the test's own."""

    def made(**options: object) -> SiliconConfig:
        return SiliconConfig(work=tmp_path / "cache", **options)  # type: ignore[arg-type]  # options of a test

    return made
