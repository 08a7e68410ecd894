"""One damaged file: small whole ones to begin with, how they are damaged, and what a verb may make of it."""

from __future__ import annotations

import hashlib
import random
import re
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from typer.testing import CliRunner

from hwprm.bundle import Bundle
from hwprm.cli.app import app, register
from hwprm.compiler import compile_network
from hwprm.config import ArrayConfig
from hwprm.emission import emit_bundle
from hwprm.graph import Conv2d, Flatten, Graph, Input, Linear, Relu
from hwprm.model import Model, Stage
from hwprm.model.plan import save_export
from hwprm.quantization import quantize_images, quantize_network

__all__ = ["FORMATS", "damaged", "make_files", "run_case"]

#: A short simulation, of a bundle whose files need not be those of its manifest.
SIMULATE = ("--allow-edited", "--sim", "icarus", "--modes", "bulk", "--images", "1", "--timeout", "60", "--work", "W")
#: Where files of a format lie, and the command that reads them; OUT is a folder that may be made, W one of its own.
FORMATS: dict[str, tuple[str, tuple[str, ...]]] = {
    "model": ("model/*", ("quantize", "model", "--data", "data.npz", "-o", "OUT")),
    "integer network": ("net/*", ("compile", "net", "--data", "data.npz", "-o", "OUT")),
    "plan": ("plan/*", ("quantize", "plan", "--data", "data.npz", "-o", "OUT")),
    "bundle": ("bundle/**/*.json", ("estimate", "bundle")),
    "edited bundle": ("bundle/**/*", ("verify", "bundle", *SIMULATE)),
    "data set": ("data.npz", ("quantize", "model", "--data", "data.npz", "-o", "OUT")),
    "options": ("options.toml", ("compile", "net", "--data", "data.npz", "--config", "options.toml", "-o", "OUT")),
    "recipe": ("recipe.toml", ("repro", "recipe.toml", "--data-dir", "nowhere", "-o", "OUT")),
    "traced program": ("net.pt2", ("check", "net.pt2")),
    "ONNX": ("net.onnx", ("check", "net.onnx")),
}
RECIPE = Path(__file__).resolve().parent.parent / "examples" / "recipes"
#: What stands in place of a number or a word of a text.
VALUES = ("-1", "0", "1e999", "null", "true", '"x"', "[]", "{}", "99999999999999999999", "NaN", "", '"\\ud800"', "[[[[")


def make_files(out: Path) -> None:
    """Write a whole file of every format into the new folder `out`."""
    out.mkdir(parents=True)
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(2, 1, 3, 3)).astype(np.float32)
    matrix = rng.normal(size=(3, 32)).astype(np.float32)
    nodes = (
        Input(name="image", inputs=(), shape=(1, 6, 6)),
        Conv2d(name="conv", inputs=("image",), weight=weight, bias=np.ones(2, np.float32)),
        Relu(name="relu", inputs=("conv",)),
        Flatten(name="flat", inputs=("relu",)),
        Linear(name="fc", inputs=("flat",), weight=matrix, bias=np.ones(3, np.float32)),
    )
    graph = Graph(nodes, ("fc",))
    x = rng.integers(0, 255, (24, 1, 6, 6)).astype(np.uint8)
    np.savez(out / "data.npz", x=x, y=np.arange(24) % 3)
    model = Model(graph=graph, stage=Stage.DENSE)
    model.save(out / "model")
    (out / "plan").mkdir()
    save_export(model, out / "plan")
    net = quantize_network(graph, x, 1 / 255)
    net.save(out / "net")
    program = compile_network(net, ArrayConfig(rows=2, cols=2))
    bundle: Bundle = emit_bundle(program, quantize_images(x[:2], 1 / 255, net), None, out / "bundle")
    assert bundle.folder.is_dir()
    (out / "options.toml").write_text('[array]\nrows = 2\ncols = 2\nweights = "rom"\n\n[emit]\ntarget = "any"\n')
    (out / "recipe.toml").write_text(sorted(RECIPE.glob("*.toml"))[0].read_text())
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3)).eval()
    torch.export.save(torch.export.export(module, (torch.zeros(1, 1, 6, 6),)), out / "net.pt2")
    tensors = [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(matrix.T.copy(), "m")]
    ops = [helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node("Relu", ["c"], ["r"])]
    ops += [helper.make_node("Flatten", ["r"], ["f"]), helper.make_node("MatMul", ["f", "m"], ["y"])]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("x", [1, 1, 6, 6]), ("y", [1, 3]))
    ]
    onnx.save(helper.make_model(helper.make_graph(ops, "net", ends[:1], ends[1:], tensors)), str(out / "net.onnx"))


def damaged(case: Path, kind: str, rng: random.Random) -> str:
    """Damage one file of the format `kind` in the folder `case`, once to three times; its name.

    Every second time the files that hold its SHA-256 hold that of the damaged one, so that it is read all the same.
    """
    path = rng.choice(sorted(path for path in case.glob(FORMATS[kind][0]) if path.is_file()))
    data = path.read_bytes()
    for _ in range(rng.randint(1, 3)):
        is_text = path.suffix in (".json", ".toml", ".v") and rng.random() < 0.7
        data = _other_text(data, rng) if is_text else _other_bytes(data, rng)
    if rng.random() < 0.5:
        _note_digest(case, path.read_bytes(), data)
    path.write_bytes(data)
    return path.relative_to(case).as_posix()


def _note_digest(case: Path, before: bytes, after: bytes) -> None:
    old, new = (hashlib.sha256(data).hexdigest() for data in (before, after))
    for path in case.rglob("*.json"):
        path.write_text(path.read_text().replace(old, new))


def _other_bytes(data: bytes, rng: random.Random) -> bytes:
    if not data:
        return bytes([rng.randrange(256)])
    place, length = rng.randrange(len(data)), rng.choice((1, 1, 4, 64))
    part = data[place : place + length]
    other = rng.choice(
        (bytes([part[0] ^ 1 << rng.randrange(8)]) + part[1:], b"", part * 2, bytes(len(part)), b"\xff" * 8)
    )
    return data[:place] + other + (data[place + length :] if rng.random() < 0.9 else b"")


def _other_text(data: bytes, rng: random.Random) -> bytes:
    """A value, a key or a bracket of JSON or TOML as something else."""
    text = data.decode(errors="replace")
    tokens = list(re.finditer(r'"[^"]*"|-?\d[\w.+-]*|\w+|[\[\]{}:,=]', text))
    if not tokens:
        return _other_bytes(data, rng)
    token = rng.choice(tokens)
    other = rng.choice((*VALUES, rng.choice(tokens)[0], token[0] * 2))
    return (text[: token.start()] + other + text[token.end() :]).encode(errors="replace")


def run_case(case: Path, kind: str) -> tuple[int, str]:
    """The exit code of the verb that reads the format `kind`, and what is wrong with how it ended, if anything."""
    register()
    before = {path.name for path in case.iterdir()}
    words = [str(case / word) if (case / word).exists() else word for word in FORMATS[kind][1]]
    words = [str(case / "out") if word == "OUT" else word for word in words]
    words = [str(case.parent / "work") if word == "W" else word for word in words]
    result = CliRunner().invoke(app, words)
    left = sorted({path.name for path in case.iterdir()} - before)
    # A simulation that finds differences says so in a line of its own; it is no error.
    errors = [line for line in result.output.splitlines() if line.startswith(("error: ", "FAIL: "))]
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return result.exit_code, f"{type(result.exception).__name__}: {result.exception}"[:200]
    if not 0 <= result.exit_code <= 4:
        return result.exit_code, f"exit code {result.exit_code}: {result.stderr[-200:]}"
    if "Traceback" in result.output:
        return result.exit_code, "a traceback"
    if result.exit_code and not errors:
        return result.exit_code, f"exit code {result.exit_code} without an error line: {result.output[-200:]}"
    if result.exit_code and left:
        return result.exit_code, f"{', '.join(left)} is left behind"
    return result.exit_code, ""
