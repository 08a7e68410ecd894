"""`hwprm quantize` with and without training in integers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

import hwprm
from hwprm.intnet import IntegerNetwork
from hwprm.model import Model
from tests.conftest import Run


def test_a_model_is_trained_in_its_integers(tiny_model: Path, tiny_data: Path, tmp_path: Path, run: Run) -> None:
    out = tmp_path / "integer"
    flags = ("--weight-bits", "4", "--qat-epochs", "1", "--qat-batch", "32", "--train-augment", "none")
    done = run("quantize", str(tiny_model), *flags, "-o", str(out), data=tiny_data)
    assert done.exit_code == 0, done.stderr
    net, model = IntegerNetwork.load(out), Model.load(out / "model")
    assert net.weight_bits == 4 and model.meta["qat"]["weight_bits"] == 4
    assert set(json.loads((out / "accuracy.json").read_text())) == {"dense", "rounded", "integer"}
    again = hwprm.quantize(out / "model", tiny_data)
    for one, two in zip(net.layers, again.layers, strict=True):
        np.testing.assert_array_equal(one.terms[0].weight, two.terms[0].weight)


def test_flags_of_a_training_that_does_not_run_are_refused(tiny_model: Path, tiny_data: Path, run: Run) -> None:
    for flags in (("--qat-lr", "0.1"), ("--train-seed", "3"), ("--teacher", str(tiny_model))):
        done = run("quantize", str(tiny_model), *flags, data=tiny_data)
        assert done.exit_code == 2
        assert f"{flags[0]} has no effect: nothing is trained; add --qat-epochs N" in done.stderr


def test_integers_are_not_trained(tiny_model: Path, tiny_data: Path, tmp_path: Path, run: Run) -> None:
    hwprm.quantize(tiny_model, tiny_data).save(tmp_path / "integer")
    done = run("quantize", str(tmp_path / "integer"), "--qat-epochs", "1", "-o", str(tmp_path / "o"), data=tiny_data)
    assert "is of integers already, which are not trained; give the float model" in done.stderr
