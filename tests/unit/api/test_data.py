"""Every form of images that a Python program may hold, given to the verbs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import hwprm
from hwprm.core.errors import HwprmError
from hwprm.data import set_in_memory
from hwprm.sources import as_split

RNG = np.random.default_rng(0)
X, Y = RNG.integers(0, 256, (60, 1, 8, 8)).astype(np.uint8), np.arange(60) % 3
TENSORS = TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
FORMS: dict[str, Callable[[Path], Any]] = {
    "pair": lambda file: (X, Y),
    "four": lambda file: (X, Y, X, Y),
    "mapping": lambda file: {"x": X, "y": Y},
    "tensors": lambda file: (torch.from_numpy(X), torch.from_numpy(Y)),
    "torch set": lambda file: TENSORS,
    "loader": lambda file: DataLoader(TENSORS, batch_size=7, shuffle=True),
    "Dataset": lambda file: set_in_memory((X, Y)),
    "split": lambda file: as_split((X, Y)),
    "text": str,
    "path": lambda file: file,
    "options": lambda file: hwprm.DataConfig(name=str(file)),
}
QUICK = hwprm.TrainConfig(epochs=1, batch=20)
VERBS: dict[str, Callable[[Path, Any, Path], Any]] = {
    "train": lambda model, data, out: hwprm.train(model, data, QUICK),
    "prune": lambda model, data, out: hwprm.prune(
        model,
        data,
        hwprm.PruneOptions(
            admm=hwprm.AdmmConfig(compression=2, stages=1, epochs=1, final_epochs=1), stop_after="admm", train=QUICK
        ),
    ),
    "widths": lambda model, data, out: hwprm.widths(model, data, hwprm.WidthsConfig(steps=2, batch=20)),
    "sensitivity": lambda model, data, out: hwprm.sensitivity(model, data),
    "quantize": lambda model, data, out: hwprm.quantize(model, data),
    "estimate": lambda model, data, out: hwprm.estimate(model, data=data),
    "compile": lambda model, data, out: hwprm.compile(model, data, out=out / "bundle"),
}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "images.npz"
    np.savez(path, x=X, y=Y)
    return path


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_the_same_images(form: str, file: Path) -> None:
    dataset = as_split(FORMS[form](file)).dataset
    stored = sorted(image.tobytes() for image in np.concatenate([dataset.x_train[:], dataset.x_test[:]]))
    wanted = sorted(image.tobytes() for image in (np.concatenate([X, X]) if form == "four" else X))
    assert stored == wanted and dataset.classes == 3


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_takes_images_in_memory(verb: str, tiny_model: Path, tmp_path: Path) -> None:
    for i, form in enumerate(("pair", "mapping", "loader")[: 1 if verb == "compile" else 3]):
        (tmp_path / str(i)).mkdir()
        assert VERBS[verb](tiny_model, FORMS[form](tmp_path), tmp_path / str(i)) is not None


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    "wrong", [(X, Y, X), {}, 7, None, object()], ids=["three", "empty", "number", "None", "object"]
)
def test_what_does_not_fit_is_one_clear_error(verb: str, wrong: Any, tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(HwprmError) as found:
        VERBS[verb](tiny_model, wrong, tmp_path)
    assert "data" in str(found.value) and "\n" not in str(found.value)
    if not isinstance(wrong, tuple | dict):
        assert f"not {type(wrong).__name__}" in str(found.value)
