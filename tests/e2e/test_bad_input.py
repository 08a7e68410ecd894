"""Bad input to the command line: one clear line, the right exit code, nothing half-written."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import struct
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import Result

from hwprm.core.files import digest_of, lock_folder
from hwprm.graph import Linear
from hwprm.model import History, Model, Stage
from tests.conftest import Run, tiny_graph


def _refused(result: Result, code: int, pattern: str, *absent: Path) -> None:
    """`result` is one error line that matches, with exit `code`, and none of `absent` was made."""
    assert (result.exit_code, result.stdout) == (code, ""), result.output
    lines = [line for line in result.stderr.splitlines() if not line.startswith(("data: ", "purify: "))]
    assert len(lines) == 1, lines
    assert re.search(r"^error: " + pattern, lines[0]), lines[0]
    for path in absent:
        assert not list(path.parent.glob(f"*{path.name}*")), f"{path} was left behind"


def _idx(folder: Path, images: bytes, labels: bytes) -> None:
    for split in ("train", "t10k"):
        (folder / f"{split}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
        (folder / f"{split}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))


IMAGES = struct.pack(">IIII", 2051, 2, 28, 28) + bytes(2 * 784)
LABELS = struct.pack(">II", 2049, 2) + bytes([0, 1])


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (IMAGES[:-1], LABELS, r".*images.*"),
        (b"\0\0\x08\x04" + IMAGES[4:], LABELS, r".*magic.*"),
        (IMAGES, LABELS[:-1], r".*labels.*"),
        (IMAGES, LABELS[:-1] + b"\x0b", r".*label 11 .*"),
        (struct.pack(">IIII", 2051, 0, 28, 28), struct.pack(">II", 2049, 0), r".*(empty|no images).*"),
    ],
    ids=["truncated", "magic", "short_labels", "label_range", "empty"],
)
def test_data_files(tmp_path: Path, run: Run, images: bytes, labels: bytes, words: str) -> None:
    folder = tmp_path / "mnist"
    folder.mkdir()
    _idx(folder, images, labels)
    _refused(run("train", data_dir=tmp_path, out=tmp_path / "model"), 2, words, tmp_path / "model")


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (np.zeros((0, 1, 8, 8), np.uint8), np.zeros(0, np.int64), ".*(empty|at least)"),
        (np.zeros((9, 1, 8, 8), np.uint8), np.arange(9) % 3 - 1, ".*label -1"),
        (np.full((9, 1, 8, 8), np.nan, np.float32), np.arange(9) % 3, ".*NaN"),
        (np.zeros((9, 1, 8, 8), np.uint8), np.arange(8), ".*9 images in x but 8 labels"),
    ],
    ids=["empty", "label", "nan", "lengths"],
)
def test_npz(tmp_path: Path, run: Run, tiny_model: Path, x: np.ndarray, y: np.ndarray, words: str) -> None:
    np.savez(tmp_path / "bad.npz", x=x, y=y)
    out = tmp_path / "model"
    _refused(run("train", tiny_model, data=tmp_path / "bad.npz", out=out), 2, words, out)


def test_unknown_data(tmp_path: Path, run: Run) -> None:
    words = r"no data set is called 'mnits'; did you mean 'mnist'|.*mnits.*"
    _refused(run("train", data="mnits", out=tmp_path / "model"), 2, words, tmp_path / "model")


def test_data_that_does_not_fit(tmp_path: Path, run: Run, tiny_model: Path) -> None:
    words = r"the network reads \(1, 8, 8\), the images are \(1, 28, 28\); choose a fitting data set$"
    _refused(run("train", tiny_model, out=tmp_path / "model"), 2, words, tmp_path / "model")


def test_unknown_network(tmp_path: Path, run: Run) -> None:
    words = r"no network is called 'lenet'; did you mean 'lenet5'\?$"
    _refused(run("train", "lenet", out=tmp_path / "model"), 2, words, tmp_path / "model")


def test_nan_weights(tmp_path: Path, run: Run, tiny_model: Path, tiny_data: Path) -> None:
    from safetensors.numpy import load_file, save_file

    weights = load_file(tiny_model / "weights.safetensors")
    weights["conv.weight"] = np.full_like(weights["conv.weight"], np.nan)
    save_file(weights, tiny_model / "weights.safetensors")
    mark = json.loads((tiny_model / "model.json").read_text())
    mark["sha256"]["weights.safetensors"] = digest_of(tiny_model / "weights.safetensors")
    (tiny_model / "model.json").write_text(json.dumps(mark))
    words = r"weight of 'conv' holds NaN or infinity; retrain with a smaller learning rate$"
    _refused(run("compile", tiny_model, data=tiny_data, out=tmp_path / "rtl"), 2, words, tmp_path / "rtl")


@pytest.mark.parametrize("verb", ["prune", "quantize", "compile", "estimate", "check"])
def test_file_that_is_no_model(tmp_path: Path, run: Run, tiny_data: Path, verb: str) -> None:
    (tmp_path / "junk.pt2").write_text("not a model")
    options = {} if verb == "check" else {"data": tiny_data}
    words = r".*junk\.pt2 is no torch\.export file"
    _refused(run(verb, tmp_path / "junk.pt2", **options), 2, words)


@pytest.mark.parametrize("verb", ["prune", "quantize", "compile"])
def test_folder_that_is_no_model(tmp_path: Path, run: Run, tiny_data: Path, verb: str) -> None:
    (tmp_path / "empty").mkdir()
    out = tmp_path / "made"
    _refused(run(verb, tmp_path / "empty", data=tiny_data, out=out), 2, r".*empty holds no model", out)


def test_unsupported_operators(tmp_path: Path, run: Run, tiny_data: Path) -> None:
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3), torch.nn.Softmax(-1), torch.nn.LayerNorm(3))
    path = tmp_path / "net.pt2"
    torch.export.save(torch.export.export(net.eval(), (torch.zeros(1, 1, 8, 8),)), path)
    found = run("check", path)
    assert found.exit_code == 3
    assert "layer_norm" in found.stdout
    made = run("compile", path, data=tiny_data, out=tmp_path / "rtl")
    assert made.exit_code == 3
    assert "layer_norm" in made.stderr
    assert not list(tmp_path.glob("*rtl*"))


def test_layer_pruned_to_nothing(tmp_path: Path, run: Run, tiny_data: Path) -> None:
    graph = tiny_graph()
    fc = graph.by_name["fc"]
    assert isinstance(fc, Linear)
    blank = graph.replace(replace(fc, weight=fc.weight * 0))
    Model(graph=blank, stage=Stage.ADMM).save(tmp_path / "blank")
    words = r".*'fc'.*"
    _refused(run("prune", tmp_path / "blank", data=tiny_data, out=tmp_path / "p"), 2, words, tmp_path / "p")
    _refused(run("compile", tmp_path / "blank", data=tiny_data, out=tmp_path / "rtl"), 2, words, tmp_path / "rtl")


def test_thresholds_that_empty_a_layer(tmp_path: Path, run: Run, tiny_data: Path) -> None:
    Model(graph=tiny_graph(), stage=Stage.ADMM).save(tmp_path / "m")
    result = run("prune", tmp_path / "m", data=tiny_data, out=tmp_path / "p", purify_mode="absolute", purify_th4=1e9)
    _refused(result, 2, r".*layer 'conv'.*lower the threshold$", tmp_path / "p")


def test_thresholds_after_admm_keep_what_was_computed(
    tmp_path: Path, run: Run, tiny_model: Path, tiny_data: Path
) -> None:
    options = {"admm_stages": 1, "admm_epochs": 1, "admm_final_epochs": 1, "admm_compression": 2, "data": tiny_data}
    bad = run("prune", tiny_model, out=tmp_path / "p", purify_mode="absolute", purify_th4=1e9, **options)
    kept = list(tmp_path.glob(".p.resume-*"))
    assert (bad.exit_code, len(kept)) == (2, 1)
    assert f"prune: epochs that were finished are kept in {kept[0]} for the next try" in bad.stderr
    assert run("prune", tiny_model, out=tmp_path / "p", **options).exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p", "tiny"]


@pytest.mark.parametrize(("method", "other"), [("admm", "shrink"), ("shrink", "admm")])
def test_stopping_after_the_other_method(
    tmp_path: Path, run: Run, tiny_model: Path, tiny_data: Path, method: str, other: str
) -> None:
    result = run("prune", tiny_model, data=tiny_data, out=tmp_path / "p", method=method, stop_after=other)
    _refused(result, 2, f"prune is to stop after {other}, but its method is {method}; let both be", tmp_path / "p")


@pytest.mark.parametrize(
    ("stage", "options", "words"),
    [
        ("dense", {"shrink_compression": 20}, "--shrink-compression has no effect: the method is admm; add --method"),
        (
            "dense",
            {"method": "shrink", "admm_compression": 9},
            "--admm-compression has no effect: the method is shrin",
        ),
        ("admm", {"admm_compression": 9}, "--admm-compression has no effect: the model is admm already; start from a"),
        ("admm", {"method": "shrink"}, "--method has no effect: the model is admm already; start from a dense one"),
        ("compact", {"purify_drop": 1}, "--purify-drop has no effect: the model is compact already; start from an"),
        ("dense", {"stop_after": "admm", "purify_drop": 1}, "--purify-drop has no effect: the last step is to be admm"),
        ("dense", {"stop_after": "compact", "finetune_epochs": 1}, "--finetune-epochs has no effect: the last step is"),
        ("dense", {"finetune_lr": 1}, "--finetune-lr has no effect: nothing is fine-tuned; add --finetune-epochs N"),
    ],
)
def test_flags_of_what_does_not_run(
    tmp_path: Path, run: Run, tiny_data: Path, stage: str, options: dict[str, object], words: str
) -> None:
    Model(graph=tiny_graph(), stage=Stage(stage)).save(tmp_path / "m")
    result = run("prune", tmp_path / "m", data=tiny_data, out=tmp_path / "p", **options)
    _refused(result, 2, re.escape(words), tmp_path / "p")


def test_a_file_of_options_may_say_more_than_a_command_needs(tmp_path: Path, run: Run, tiny_data: Path) -> None:
    file = tmp_path / "all.toml"
    file.write_text("[admm]\ncompression = 9\n[shrink]\nrate = 3.0\n[finetune]\nlr = 1e-3\n")
    Model(graph=tiny_graph(), stage=Stage.ADMM).save(tmp_path / "m")
    done = run("prune", tmp_path / "m", data=tiny_data, config=file, stop_after="purify", out=tmp_path / "p")
    assert done.exit_code == 0, done.stderr


def test_another_teacher_starts_anew(tmp_path: Path, run: Run, tiny_model: Path, tiny_data: Path) -> None:
    options = {"method": "shrink", "shrink_compression": 2, "shrink_rate": 1.5, "train_batch": 12, "data": tiny_data}
    options |= {"finetune_epochs": 1, "teacher": tmp_path / "teacher", "out": tmp_path / "p"}
    training = {"data": tiny_data, "epochs": 20, "lr": 0.01}
    assert run("train", tiny_model, out=tmp_path / "teacher", **training).exit_code == 0
    assert run("prune", tiny_model, purify_mode="absolute", purify_th4=1e9, **options).exit_code == 2
    kept = list(tmp_path.glob(".p.resume-*"))
    assert run("train", tmp_path / "teacher", out=tmp_path / "more", **training).exit_code == 0
    shutil.rmtree(tmp_path / "teacher")
    (tmp_path / "more").rename(tmp_path / "teacher")
    again = run("prune", tiny_model, purify_mode="absolute", purify_th4=1e9, **options)
    assert again.exit_code == 2 and "lower the threshold" in again.stderr
    assert f"an interrupted run with other options is kept in {kept[0]}" in again.stderr
    assert kept[0].exists() and len(list(tmp_path.glob(".p.resume-*"))) == 2


@pytest.mark.parametrize("verb", ["train", "prune", "quantize"])
def test_a_teacher_that_knows_nothing_of_these_images(
    tmp_path: Path, run: Run, tiny_model: Path, tiny_data: Path, verb: str
) -> None:
    """One of other data gives scores as well, and its pupil would learn them."""
    graph = tiny_graph()
    last = graph.weighted[-1]
    graph = graph.replace(replace(last, weight=0 * last.weight))
    Model(graph=graph, stage=Stage.DENSE, meta=History(name="wise", data="others")).save(tmp_path / "teacher")
    options = {"train": {"epochs": 1}, "prune": {"finetune_epochs": 1}, "quantize": {"qat_epochs": 1}}[verb]
    result = run(verb, tiny_model, data=tiny_data, teacher=tmp_path / "teacher", out=tmp_path / "p", **options)
    words = (
        r"the teacher wise is right on \d+ % of 96 training images of tiny, as guessing is: .*, it was trained on oth"
    )
    _refused(result, 2, words, tmp_path / "p")


def test_more_copies_than_memory(
    tmp_path: Path, run: Run, tiny_model: Path, tiny_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hwprm.training.samples.free_memory", lambda: 2 * 96 * 64)
    options = {"data": tiny_data, "epochs": 1, "augment": "shift"}
    assert run("train", tiny_model, out=tmp_path / "fits", copies=2, **options).exit_code == 0
    result = run("train", tiny_model, out=tmp_path / "p", copies=3, **options)
    words = r"train\.copies = 3 of 96 images take 0\.0 GiB of memory, and 0\.0 GiB are free; 2 copies would fit, 0 augm"
    _refused(result, 2, words, tmp_path / "p")


def test_what_was_interrupted_outlives_a_command_that_fails(
    tmp_path: Path, run: Run, tiny_model: Path, tiny_data: Path
) -> None:
    options = {"admm_stages": 1, "admm_epochs": 1, "admm_final_epochs": 1, "admm_compression": 2, "out": tmp_path / "p"}
    bad = {"purify_mode": "absolute", "purify_th4": 1e9}
    assert run("prune", tiny_model, data=tiny_data, **options, **bad).exit_code == 2
    (kept,) = tmp_path.glob(".p.resume-*")
    mistyped = run("prune", tiny_model, data=tiny_data, admm_budgets="nope=filters:1", **options)
    assert mistyped.exit_code == 2 and "nope" in mistyped.stderr and kept.is_dir()
    # What does not change the result does not start anew.
    assert run("prune", tiny_model, data=tiny_data, data_dir=tmp_path, workers=2, **options, **bad).exit_code == 2
    assert list(tmp_path.glob(".p.resume-*")) == [kept]
    file = tmp_path / "unused.toml"
    file.write_text("[shrink]\ncompression = 7\n")
    assert run("prune", tiny_model, data=tiny_data, config=file, **options, **bad).exit_code == 2
    assert list(tmp_path.glob(".p.resume-*")) == [kept]
    options["admm_compression"] = 3
    assert run("prune", tiny_model, data=tiny_data, **options).exit_code == 0
    assert not list(tmp_path.glob(".p.resume-*")), "a run that ended well cleans up"


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("rows", 0, r"array\.rows must be a whole number in 1\.\.256, not 0$"),
        ("cols", -1, r"array\.cols must be a whole number in 1\.\.256, not -1$"),
        ("weight_bits", 1, r"quantize\.weight_bits must be a whole number in 2\.\.16, not 1$"),
        ("act_bits", 17, r"quantize\.act_bits must be a whole number in 2\.\.16, not 17$"),
        ("acc_bits", 3, r"array\.acc_bits must be a whole number in 4\.\.46 or none, not 3$"),
        (
            "acc_bits",
            8,
            r"array\.acc_bits = 8 is too narrow: layer 'fc' can reach \d+ bits; set it to \d+ or leave it out$",
        ),
    ],
)
def test_arrays_that_cannot_be(
    tmp_path: Path, run: Run, tiny_model: Path, tiny_data: Path, option: str, value: int, words: str
) -> None:
    out = tmp_path / "b"
    _refused(run("compile", tiny_model, data=tiny_data, out=out, **{option: value}), 2, words, out)


@pytest.mark.parametrize("verb", ["train", "prune", "quantize", "compile"])
def test_output_that_is_not_empty(tmp_path: Path, run: Run, tiny_model: Path, tiny_data: Path, verb: str) -> None:
    out = tmp_path / "full"
    out.mkdir()
    (out / "thesis.tex").write_text("x")
    words = r"the output folder .*full is not empty; choose another one or delete it$"
    _refused(run(verb, tiny_model, data=tiny_data, out=out), 2, words)
    assert [path.name for path in out.iterdir()] == ["thesis.tex"]


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[Path]:
    """An output folder that somebody is at work on."""
    held, over = threading.Event(), threading.Event()

    def hold() -> None:
        with lock_folder(tmp_path / "busy"):
            held.set()
            over.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(60)
    yield tmp_path / "busy"
    over.set()
    thread.join()


@pytest.mark.parametrize("verb", ["train", "prune", "quantize", "compile", "export", "widths", "demo"])
def test_output_that_another_run_is_at_work_on(
    busy: Path, run: Run, tiny_model: Path, tiny_data: Path, verb: str
) -> None:
    words = (
        r"the output folder .*busy is being written by another thread of this program; wait until that has ended, or"
    )
    data = {} if verb == "export" else {"data": tiny_data}
    _refused(run(verb, *([] if verb == "demo" else [tiny_model]), out=busy, **data), 2, words)


def test_output_inside_a_file(tmp_path: Path, run: Run, tiny_data: Path, tiny_model: Path) -> None:
    (tmp_path / "file").write_text("x")
    words = r"the output folder .* lies in .*file, which is a file; choose another name$"
    _refused(run("quantize", tiny_model, data=tiny_data, out=tmp_path / "file" / "q"), 2, words)


def test_demo_into_a_folder_of_something_else(tmp_path: Path, run: Run) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    words = r"the output folder .* is not empty; choose another one or delete it$"
    _refused(run("demo", out=tmp_path), 2, words)


def test_demo_without_its_data(tmp_path: Path, run: Run) -> None:
    words = r"mnist: the data folder .*absent does not exist; mend --data-dir or HWPRM_DATA$"
    _refused(run("demo", out=tmp_path / "run", data_dir=tmp_path / "absent"), 2, words, tmp_path / "run")


def test_report_of_nothing(tmp_path: Path, run: Run) -> None:
    _refused(
        run("report", tmp_path),
        2,
        r".* holds no run, model, integer network, bundle, widths, silicon or study; give a folder",
    )


def test_options_file(tmp_path: Path, run: Run) -> None:
    file = tmp_path / "o.toml"
    file.write_text("[train]\nepocs = 3\n")
    _refused(run("train", config=file), 2, r".*unknown key train\.epocs; did you mean 'epochs'\?$")
