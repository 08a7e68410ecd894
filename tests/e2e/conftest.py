"""Command lines in this process."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from typer.testing import CliRunner, Result

from hwprm.cli.app import app, register

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    """Runs a command line in this process: ``run("train", "lenet5", epochs=1)``."""
    register()

    def call(*words: object, **options: object) -> Result:
        flags = [text for key, value in options.items() for text in (f"--{key.replace('_', '-')}", str(value))]
        return CliRunner().invoke(app, [*map(str, words), *flags])

    return call
