"""Images of a tiny row, and what running it left."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hwprm.config.recipes import load_recipe
from hwprm.pipeline.rows import reproduce
from hwprm.pipeline.step import Silent
from tests.unit.pipeline.tiny_row import recipe_file


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    rng = np.random.default_rng(0)
    y = np.arange(360) % 10
    x = rng.integers(0, 60, (360, 1, 28, 28))
    for image, label in zip(x, y, strict=True):
        image[0, 2 * label : 2 * label + 8, 4:24] += 150
    file = tmp_path_factory.mktemp("data") / "bars.npz"
    np.savez(file, x=x[:240].astype(np.uint8), y=y[:240], x_test=x[240:].astype(np.uint8), y_test=y[240:])
    return file


@pytest.fixture(scope="module")
def ran(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("repro")
    recipe = load_recipe(str(recipe_file(folder, data)))
    return recipe, folder / "out", reproduce(recipe, folder / "out", (0,), Silent())
