"""A tiny network and a tiny data set, so that whole commands take a second, and command lines in this process."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
import typer.testing
from typer.main import Typer, get_command
from typer.testing import CliRunner, Result

from hwprm.cli.app import app, register
from hwprm.graph import Conv2d, Flatten, Graph, Input, Linear, MaxPool2d, Relu
from hwprm.model import Model, Stage
from tests.support.rounds import LONG

Run = Callable[..., Result]

#: Files that take half a minute; begun among the last they would leave the other processes with nothing to do.
FIRST = (
    "tests/unit/verification/test_broken_bundles.py",
    "tests/unit/targets/families/test_families.py",
    "tests/unit/pipeline/test_rows.py",
)

_commands: dict[tuple[Typer, int], Any] = {}


def _command(typed: Typer) -> Any:
    """What `typed` is as a command, made once while no verb is added: made of all verbs it takes longer than most."""
    key = typed, len(typed.registered_commands)
    if key not in _commands:
        _commands[key] = get_command(typed)
    return _commands[key]


typer.testing._get_command = _command  # what the runner makes anew at every call

# The same examples on every machine, so that a red run can be repeated; `--hypothesis-profile=default` looks further.
hypothesis.settings.register_profile("repeatable", derandomize=True, max_examples=100 if LONG else 50)
hypothesis.settings.load_profile("repeatable")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`FIRST` before the others, which come in the order of their folders: whole designs, then what is small."""
    items.sort(key=lambda item: not item.nodeid.startswith(FIRST))


def pytest_collection_finish() -> None:
    """What the tests and their libraries are made of stays: a collection that finds that time and again takes a fifth
    of the time that it takes to elaborate a design.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def tiny_graph(seed: int = 0) -> Graph:
    """conv 1->4 3x3, relu, pool 2, flatten, fc 36->3 over 8 x 8 images."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return (rng.normal(size=shape) / 3).astype(np.float32)

    return Graph(
        (
            Input(name="image", inputs=(), shape=(1, 8, 8)),
            Conv2d(name="conv", inputs=("image",), weight=normal(4, 1, 3, 3), bias=normal(4)),
            Relu(name="relu", inputs=("conv",)),
            MaxPool2d(name="pool", inputs=("relu",), kernel=(2, 2), stride=(2, 2)),
            Flatten(name="flat", inputs=("pool",)),
            Linear(name="fc", inputs=("flat",), weight=normal(3, 36), bias=normal(3)),
        ),
        ("fc",),
    )


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 images of three classes, bright in one third each."""
    rng = np.random.default_rng(1)
    y = np.arange(120) % 3
    x = rng.integers(0, 60, (120, 1, 8, 8))
    for image, label in zip(x, y, strict=True):
        image[:, :, 3 * label : 3 * label + 2] += 150
    path = tmp_path_factory.mktemp("data") / "tiny.npz"
    np.savez(path, x=x.astype(np.uint8), y=y)
    return path


@pytest.fixture
def tiny_model(tmp_path: Path) -> Path:
    """A dense model folder."""
    folder = tmp_path / "tiny"
    Model(graph=tiny_graph(), stage=Stage.DENSE).save(folder)
    return folder


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_data: Path) -> Path:
    """A finished run folder of a small network with a branch; not to be written to."""
    from tests.support.builds import finished_run

    return finished_run(tmp_path_factory.mktemp("finished") / "run", tiny_data)


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of compiled simulations.

    What Verilator's builds have in common, which takes five times as long as the rest of a small one, is compiled once
    for all processes that tests are spread over.
    """
    base, folder = tmp_path_factory.getbasetemp(), tmp_path_factory.mktemp("work")
    common = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "runtime"
    common.mkdir(exist_ok=True)
    (folder / "runtime").symlink_to(common)
    return folder


@pytest.fixture
def device() -> Iterator[Path]:
    """A device in a folder where nobody can make files: a fault that renames over it fails there and harms nothing.

    ``/dev/null`` would be gone from the machine, where tests run as root.
    """
    ends = os.openpty()
    yield Path(os.ttyname(ends[1]))
    for end in ends:
        os.close(end)


@pytest.fixture
def run() -> Run:
    """Runs a command line in this process: ``run("train", "lenet5", epochs=1)``."""
    register()

    def call(*words: object, **options: object) -> Result:
        flags = [text for key, value in options.items() for text in (f"--{key.replace('_', '-')}", str(value))]
        return CliRunner().invoke(app, [*map(str, words), *flags])

    return call
