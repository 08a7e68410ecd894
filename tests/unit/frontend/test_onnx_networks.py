"""Whole networks as torch and others export them to ONNX: the graph of the torch frontend, what onnxruntime computes,
and the verbs.
"""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from hwprm.cli.app import app, register
from hwprm.frontend import load, to_graph
from hwprm.graph import Batch, Graph, evaluate
from tests.support.onnx_models import inferred
from tests.support.zoo import ZOO, zoo_module

register()

#: Of several inputs; and with windows that share a map unevenly, which torch does not export.
LEFT_OUT = ("fusion", "two-heads")


def _exported(name: str, file: Path) -> torch.nn.Module:
    """Network `name` of the zoo, which is in `file`, with a free batch."""
    module, shape = zoo_module(name).float(), ZOO[name][1]
    assert not isinstance(shape, dict)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch would rather export in its newer way, which needs another package
        torch.onnx.export(
            module,
            (torch.zeros(1, *shape),),
            str(file),
            dynamo=False,
            input_names=["image"],
            dynamic_axes={"image": {0: "batch"}},
        )
    return module


def _evaluated(graph: Graph, x: Batch) -> list[np.ndarray]:
    found = evaluate(graph, x)
    return [found[name] for name in graph.outputs]


@pytest.mark.parametrize("name", [name for name in ZOO if name not in LEFT_OUT])
def test_networks_mean_the_same_as_modules_and_as_models(name: str, tmp_path: Path) -> None:
    file = tmp_path / "net.onnx"
    module = _exported(name, file)
    own, graph = to_graph(module, ZOO[name][1]), to_graph(load(file))
    x = np.random.default_rng(2).random((3, *graph.input.shape), dtype=np.float32)
    for got, same, wanted in zip(_evaluated(graph, x), _evaluated(own, x), inferred(file, x), strict=True):
        np.testing.assert_allclose(got.ravel(), same.ravel(), atol=1e-5)
        np.testing.assert_allclose(got.ravel(), wanted.ravel(), atol=1e-4, rtol=1e-4)
    layers = [node.name for node in graph.weighted]
    assert [node.name for node in own.weighted] == layers, "layers are called as the modules are"


def test_the_verbs_take_models(tmp_path: Path, tiny_data: Path) -> None:
    torch.manual_seed(1)
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(72, 3))
    file = tmp_path / "small.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net.eval(), (torch.zeros(1, 1, 8, 8),), str(file), dynamo=False)
    for words in (
        ["check", str(file)],
        ["quantize", str(file), "--data", str(tiny_data), "-o", str(tmp_path / "integers")],
        ["compile", str(file), "--data", str(tiny_data), "--rows", "2", "--cols", "2", "-o", str(tmp_path / "rtl")],
        ["estimate", str(file), "--data", str(tiny_data), "--rows", "2", "--cols", "2"],
    ):
        result = CliRunner().invoke(app, [*words, "--json"])
        assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "rtl" / "manifest.json").read_text())["net"] == "small"


def test_without_the_package_the_error_says_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"\0")
    code = "import sys; sys.modules['onnx'] = None; from hwprm.cli import main; sys.argv[1:] = ['check', 'net.onnx']; "
    code += "main()"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    wanted = "error: net.onnx needs the package onnx, which is not installed; pip install 'hwprm[onnx]'"
    assert " ".join(done.stderr.split()) == wanted
