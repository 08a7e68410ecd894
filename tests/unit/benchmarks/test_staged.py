"""Plans of stages: each from what another left, finished ones left alone, archives to go on from."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from hwprm.config.recipes import load_recipe
from hwprm.core.errors import ConfigError, HwprmError
from hwprm.graph import AvgPool2d
from hwprm.model import Model, Stage
from hwprm.nets import reference_network
from hwprm.pipeline.results import finished, summarise
from hwprm.sources import as_model, as_split

ROOT = Path(__file__).parents[3]
RECIPE = """
[recipe]
title = "LeNet-5, 5x"
source = "none"
network = "lenet5"
count = "all_weights"
compression = 5
steps = ["shrink", "purify", "compact", "finetune"]
[data]
name = "mnist"
validation = 200
[finetune]
epochs = 20
"""
PLAN = """
[plan]
network = "lenet5"
[data]
name = "mnist"
validation = 200
[train]
epochs = 10
augment = "none"
[[stage]]
name = "dense"
do = "train"
images = 300
[[stage]]
name = "thin"
do = "widths"
images = 300
[stage.widths]
keep = 0.7
steps = 5
images = 100
[[stage]]
name = "small"
do = "shrink"
teacher = "dense"
images = 300
[stage.shrink]
compression = 3.0
rate = 2.0
also = { macs = 2.0 }
[[stage]]
name = "smaller"
do = "shrink"
images = 300
[stage.shrink]
compression = 5.0
[[stage]]
name = "compact"
do = "compact"
[stage.purify]
mode = "absolute"
[[stage]]
name = "fine"
do = "finetune"
teacher = "small"
images = 300
[stage.finetune]
epochs = 10
[[stage]]
name = "finer"
do = "finetune"
teacher = "dense"
images = 300
[stage.finetune]
epochs = 10
[[stage]]
name = "integer"
do = "quantize"
[[stage]]
name = "scores.json"
do = "score"
"""


@pytest.fixture
def staged(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    yield import_module("staged")
    for name in ("staged", "staged_row", "common"):
        sys.modules.pop(name, None)


@pytest.fixture
def call(staged, monkeypatch, tmp_path):
    (tmp_path / "plan.toml").write_text(PLAN)

    def run(*more: str) -> None:
        given = ["staged", str(tmp_path / "plan.toml"), "--device", "cpu", *more]
        monkeypatch.setattr(sys, "argv", given)
        staged.main()

    return run


@pytest.mark.slow
def test_a_plan_runs_to_its_end_and_goes_on_from_an_archive(call, staged, tmp_path, capsys):
    out, other = tmp_path / "out", tmp_path / "other"
    call("--out", str(out), "--epochs", "0.1")
    scores = json.loads((out / "scores.json").read_text())
    made = ["dense", "thin", "small", "smaller", "compact", "fine", "finer", "integer"]
    assert [key for key in scores if " " not in key] == made
    assert 1 < scores["thin compression"]["all_weights"]["ratio"] < 3, "what is cut away counts as removed"
    assert scores["small compression"]["all_weights"]["ratio"] >= 3
    assert scores["smaller compression"]["all_weights"]["ratio"] >= 5
    stages = [Model.load(out / name).stage for name in ("dense", "thin", "small", "smaller", "compact")]
    assert stages == [Stage.DENSE, Stage.DENSE, Stage.SHRUNK, Stage.SHRUNK, Stage.COMPACT]
    assert not list(out.glob(".*")), "nothing to go on from is left"
    call("--out", str(out), "--pack", "smaller", str(tmp_path / "smaller.tar.xz"))
    whole, packed = Model.load(out / "smaller"), tmp_path / "smaller.tar.xz"
    for teacher in ("small", "dense"):  # of what follows
        shutil.copytree(out / teacher, other / teacher)
    call("--out", str(other), "--epochs", "0.1", "--start", str(packed))
    assert "smaller: finished before" in capsys.readouterr().err
    assert not (other / "thin").exists() and (other / "scores.json").exists()
    for node in Model.load(other / "smaller").graph.weighted:
        own = whole.graph.by_name[node.name].weight
        np.testing.assert_allclose(node.weight, own, rtol=2**-8)
        assert np.array_equal(node.weight == 0, own == 0)
        assert not (node.weight.view(np.uint32) & 0xFFFF).any(), "bfloat16"
    staged.unpack(f"mine={packed}", other)
    assert Model.load(other / "mine").graph == Model.load(other / "smaller").graph, "by another name"


@pytest.mark.slow
def test_a_plan_s_result_is_one_of_its_row(call, staged, monkeypatch, tmp_path):
    call("--out", str(tmp_path / "out"), "--epochs", "0.1")
    row = tmp_path / "small-lenet.toml"

    def collect(recipe: str) -> None:
        row.write_text(recipe)
        more = ["--stages", str(tmp_path / "out"), "--score", "scores.json", "--out", str(tmp_path / "rows")]
        monkeypatch.setattr(sys, "argv", ["staged_row", str(row), str(tmp_path / "plan.toml"), *more])
        import_module("staged_row").main()

    collect(RECIPE)
    facts = finished(load_recipe(str(row)), tmp_path / "rows/small-lenet/seed-0")
    assert facts is not None and facts["plan"] == "plan.toml"
    scores = json.loads((tmp_path / "out/scores.json").read_text())
    found = facts["accuracy"]
    assert (found["finetuned"], found["integer"]) == (scores["finer"], scores["integer"])
    assert found["shrunk"] == scores["smaller"], "the last one"
    assert Model.load(tmp_path / "out/finer").meta["judged"] == "images held out of the training split"
    shrunk = [Model.load(tmp_path / "out" / name).meta["seconds"]["shrunk"] for name in ("small", "smaller")]
    assert facts["seconds"]["shrunk"] == round(sum(shrunk), 1), "of all"
    first, both = (Model.load(tmp_path / "out" / name).meta["seconds"]["finetuned"] for name in ("fine", "finer"))
    assert facts["seconds"]["finetuned"] == round(both, 1) and both > first, "the second round knows the first one's"
    assert facts["compression"]["all_weights"] == facts["waterfall"][-1]["all_weights"]
    assert facts["compression"]["all_weights"]["ratio"] >= 5 and facts["cycles"] > 0
    assert summarise(load_recipe(str(row)), [facts])["compression"] == facts["compression"]["all_weights"]["ratio"]
    for change, why in (
        (("epochs = 20", "epochs = 21"), "the plan fine-tunes by"),
        (('"lenet5"', '"vgg16-cifar"'), "the plan is of lenet5"),
        (("compression = 5", "compression = 500"), "at least 500x"),
    ):
        with pytest.raises(HwprmError, match=why):
            collect(RECIPE.replace(*change))


def test_what_a_plan_cannot_mean(staged, tmp_path):
    file = tmp_path / "plan.toml"
    file.write_text(PLAN.replace('do = "compact"', 'do = "compakt"'))
    with pytest.raises(ConfigError, match=r"stage 'compact' is not one: compakt; did you mean 'compact'\?"):
        staged.read_plan(file, {})
    file.write_text(PLAN.replace("images = 300", "images = 300\nepochs = 3", 1))
    with pytest.raises(ConfigError, match="stage 'dense' is not one"):
        staged.read_plan(file, {})


def test_a_teacher_may_be_another_network(staged, tmp_path):
    file = tmp_path / "plan.toml"
    wise = '\n[[stage]]\nname = "wise"\ndo = "train"\nnetwork = "fast8-cifar"\n'
    last = '[[stage]]\nname = "again"\ndo = "finetune"\nstart = "compact"\nteacher = "wise"\n'
    file.write_text(PLAN + wise + last)
    plan = staged.read_plan(file, {})
    step = plan.steps[-2]
    assert (step.name, step.network, step.start) == ("wise", "fast8-cifar", None)
    file.write_text(PLAN.replace("[[stage]]", wise.strip() + "\n[[stage]]", 1))
    assert [other.start for other in staged.read_plan(file, {}).steps[:3]] == [None, None, "dense"]
    assert "wise" in staged.needed(plan, tmp_path, "again")
    assert "wise" not in [other.name for other in staged.way_to(plan, plan.steps[-1])]
    images, labels = np.zeros((10, 3, 32, 32), np.uint8), np.arange(10)
    split = as_split("mnist")
    data = replace(split.dataset, x_train=images, y_train=labels, x_test=images, y_test=labels)
    bench = staged.Bench(plan=plan, out=tmp_path, split=replace(split, dataset=data), test=data)
    both = '[[stage]]\nname = "both"\ndo = "ensemble"\nof = ["dense", "wise"]\n'
    file.write_text(PLAN + wise + both + last.replace('"wise"', '"both"'))
    joined = staged.read_plan(file, {})
    assert (joined.steps[-2].of, joined.steps[-2].start) == (("dense", "wise"), None)
    assert {"dense", "wise", "both"} <= staged.needed(joined, tmp_path, "again")
    bench.other(step.network).save(tmp_path / "wise")
    bench.other("resnet18-cifar").save(tmp_path / "dense")
    staged._run(bench, joined.steps[-2], staged.Group())
    assert Model.load(tmp_path / "both").meta["name"] == "resnet18-cifar + fast8-cifar"
    model = bench.other(step.network)
    assert model.meta["name"] == "fast8-cifar" and model.graph.weighted[0].weight.shape == (24, 3, 2, 2)
    file.write_text(PLAN + wise.replace('"train"', '"compact"'))
    with pytest.raises(ConfigError, match="stage 'wise' has a network of its own, which can only be trained"):
        staged.read_plan(file, {})
    file.write_text(PLAN + wise.replace('"fast8-cifar"', '"resnet18-cifar"\nwidth = 0.25'))
    narrow = staged.read_plan(file, {}).steps[-1]
    assert bench.other(narrow.network, narrow.width).graph.weighted[0].weight.shape == (16, 3, 3, 3)
    file.write_text(PLAN + wise.replace("network", "width = 0.25 #"))
    with pytest.raises(ConfigError, match="stage 'wise' has a width but no network"):
        staged.read_plan(file, {})


def test_the_committed_plans_can_be_read(staged):
    for file in (ROOT / "examples/plans").glob("*.toml"):
        plan = staged.read_plan(file, {})
        names = [step.name for step in plan.steps]
        assert len(set(names)) == len(names)
        for step in plan.steps:
            assert step.start is None or names.index(step.start) < names.index(step.name)
            assert step.teacher is None or names.index(step.teacher) < names.index(step.name)


def test_a_stage_needs_what_leads_to_it(staged, tmp_path):
    file = tmp_path / "plan.toml"
    branch = (
        '\n[[stage]]\nname = "other"\ndo = "shrink"\nstart = "small"\n[[stage]]\nname = "last.json"\ndo = "score"\n'
    )
    file.write_text(PLAN + branch)
    plan = staged.read_plan(file, {})
    assert staged.needed(plan, tmp_path, "last.json") == {"dense", "thin", "small", "other", "last.json"}
    (tmp_path / "thin").mkdir()
    assert staged.needed(plan, tmp_path, "fine") == {"small", "smaller", "compact", "fine", "dense"}
    assert [step.name for step in staged.way_to(plan, plan.steps[-1])] == ["dense", "thin", "small", "other"]
    with pytest.raises(ConfigError, match=r"no stage 'fin'; did you mean 'fine'\?"):
        staged.needed(plan, tmp_path, "fin")


def test_a_teacher_is_asked_once_for_all_stages(staged, tmp_path):
    kept, one, two = (tmp_path / name for name in ("kept", ".one", ".two"))
    with staged.kept_answers(kept, one):
        assert not list(one.iterdir())
        (one / "logits-a.safetensors").write_text("a")
        (one / "train.json").write_text("{}")
    assert [file.name for file in kept.iterdir()] == ["logits-a.safetensors"]
    with pytest.raises(KeyboardInterrupt), staged.kept_answers(kept, two):
        assert (two / "logits-a.safetensors").read_text() == "a"
        (two / "logits-b.safetensors").write_text("b")
        raise KeyboardInterrupt
    shutil.rmtree(two)
    with staged.kept_answers(kept, one):
        assert {file.read_text() for file in one.glob("logits-*")} == {"a", "b"}
    assert {file.name for file in kept.iterdir()} == {"logits-a.safetensors", "logits-b.safetensors"}


def test_a_narrow_network_counts_from_the_whole_one(staged, tmp_path):
    split = as_split("mnist")
    images, labels = np.zeros((10, 3, 32, 32), np.uint8), np.arange(10)
    data = replace(split.dataset, x_train=images, y_train=labels, x_test=images, y_test=labels)
    plan = staged.Plan(network="resnet18-cifar", width=0.5, seed=0, steps=())
    bench = staged.Bench(plan=plan, out=tmp_path, split=replace(split, dataset=data), test=data)
    rows = bench.model(None).meta["waterfall"]
    assert [row["stage"] for row in rows] == ["dense", "widths"]
    assert {row["conv_only"]["base"] for row in rows} == {11_159_232} and rows[1]["conv_only"]["left"] == 2_790_240
    assert [row["layers"]["layer4.1.conv2"] for row in rows] == [[512, 4608], [256, 2304]]
    assert not replace(bench, plan=replace(plan, width=1.0)).model(None).meta.get("waterfall")


def test_networks_and_images_become_smaller_together(staged):
    network = reference_network("resnet18-cifar", width=0.0625).train(False)
    graph = as_model(network, (3, 32, 32)).graph
    for pixels in (16, 24, 32):
        small = staged._resized(graph, (3, pixels, pixels))
        (pool,) = (node for node in small.nodes if isinstance(node, AvgPool2d))
        assert small.shapes[pool.name][1:] == (1, 1) and pool.kernel == (pixels // 8, pixels // 8)
    back = staged._resized(staged._resized(graph, (3, 16, 16)), (3, 32, 32))
    assert back.structure == graph.structure
    split = as_split("mnist")
    half = staged._smaller(split, 14).dataset
    first = split.dataset.x_train[0, 0].reshape(14, 2, 14, 2).astype(np.float32).mean((1, 3))
    assert half.x_train.shape[1:] == (1, 14, 14) and abs(half.x_train[0, 0] - first).max() <= 0.5
    few = staged._fewer(split, 50).dataset
    assert np.bincount(few.y_train).tolist() == [5] * 10 and few.x_test is split.dataset.x_test
