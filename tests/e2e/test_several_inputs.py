"""A network with two inputs: .pt2 and .npz in, a bundle out, verified by commands alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hwprm.bundle import Bundle
from hwprm.data import load_dataset
from hwprm.quantization import quantize_images
from tests.conftest import Run

pytestmark = pytest.mark.sim


class Two(nn.Module):
    """An image and a vector of facts about it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.facts, self.head = nn.Conv2d(1, 4, 3), nn.Linear(5, 6), nn.Linear(42, 3)

    def forward(self, image: Tensor, facts: Tensor) -> Tensor:
        x = nn.functional.max_pool2d(torch.relu(self.conv(image)), 2).flatten(1)
        return self.head(torch.cat((x, torch.relu(self.facts(facts))), 1))


@pytest.fixture(scope="module")
def pt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("pt2") / "two.pt2"
    program = torch.export.export(Two().eval(), (torch.zeros(1, 1, 8, 8), torch.zeros(1, 5)))
    torch.export.save(program, path)
    return path


def _arrays() -> dict[str, np.ndarray]:
    """Bytes and reals of two ranges."""
    rng = np.random.default_rng(0)
    return {"x.image": rng.integers(0, 256, (40, 8, 8), dtype=np.uint8), "x.facts": rng.normal(size=(40, 5)) * 20}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "pairs.npz"
    np.savez(path, **_arrays())
    return path


def test_one_command_from_files_to_a_verified_bundle(pt2: Path, data: Path, run: Run, tmp_path: Path) -> None:
    assert json.loads(run("check", pt2, "--json").stdout)["good"] is True
    out = tmp_path / "rtl"
    result = run("compile", pt2, "--json", data=data, rows=3, cols=2, out=out)
    assert result.exit_code == 0, result.output
    bundle = Bundle.load(out)
    assert [(entry.name, entry.shape) for entry in bundle.manifest.inputs] == [
        ("image", (1, 8, 8)),
        ("facts", (5, 1, 1)),
    ]
    ds = load_dataset(str(data))
    want = quantize_images(ds.x_test[: len(bundle.images)], ds.input_scale, bundle.network)
    np.testing.assert_array_equal(bundle.images, want)
    assert bundle.labels is None

    result = run("verify", out, "--json", sim="icarus", images=4, work=tmp_path / "work")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert facts["verify"]["ok"] is True and facts["verify"]["values_compared"] > 0
    assert facts["simulated"] == facts["predicted"]
    assert json.loads(run("estimate", out, "--json").stdout)["cycles"]["predicted"] == facts["predicted"]["image"]


def test_quantise_with_and_without_labels(pt2: Path, data: Path, run: Run, tmp_path: Path) -> None:
    result = run("quantize", pt2, "--json", data=data, out=tmp_path / "plain")
    assert result.exit_code == 0, result.output
    assert "accuracy" not in json.loads(result.stdout)
    np.savez(tmp_path / "named.npz", **_arrays(), y=np.arange(40) % 3)
    result = run("quantize", pt2, "--json", data=tmp_path / "named.npz", out=tmp_path / "named")
    assert result.exit_code == 0, result.output
    assert 0 <= json.loads(result.stdout)["accuracy"]["integer"] <= 100
    predicted = json.loads(run("estimate", tmp_path / "named", "--json", rows=2, cols=2).stdout)["cycles"]["predicted"]
    assert (
        predicted == json.loads(run("estimate", pt2, "--json", data=data, rows=2, cols=2).stdout)["cycles"]["predicted"]
    )


BAD = {
    "one set of images": ({"x": np.zeros((9, 1, 8, 8), np.uint8), "y": np.arange(9) % 3}, r"(1, 8, 8)"),
    "missing": ({"x.image": _arrays()["x.image"]}, "image (1, 8, 8)"),
    "shape": (_arrays() | {"x.facts": np.ones((40, 4))}, "image (1, 8, 8), facts (4,)"),
    "unknown": (_arrays() | {"x.more": np.ones((40, 4))}, "image (1, 8, 8), facts (5,), more (4,)"),
}


@pytest.mark.parametrize(("arrays", "found"), BAD.values(), ids=BAD)
def test_other_images_are_refused(pt2: Path, run: Run, tmp_path: Path, arrays: dict, found: str) -> None:
    np.savez(tmp_path / "bad.npz", **arrays)
    result = run("compile", pt2, data=tmp_path / "bad.npz", out=tmp_path / "rtl")
    assert (result.exit_code, result.stdout) == (2, "")
    message = f"the network was exported for images image (1, 8, 8), facts (5,), not {found}"
    assert message in " ".join(result.stderr.split())
    assert not (tmp_path / "rtl").exists()


def test_training_without_labels_is_refused(pt2: Path, data: Path, run: Run, tmp_path: Path) -> None:
    result = run("train", pt2, data=data, out=tmp_path / "model")
    assert result.exit_code == 2
    assert "pairs has no labels to train with" in " ".join(result.stderr.split())
