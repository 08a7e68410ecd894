"""Rows of papers' tables: recipes read and checked; decisions on held-out images; the test split scored at the end."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hwprm import sources
from hwprm.config import Settings
from hwprm.config.recipes import load_recipe, recipe_names
from hwprm.core.errors import ConfigError, DataError
from hwprm.model import Model
from hwprm.pipeline import rows
from hwprm.pipeline.results import finished, summarise
from hwprm.pipeline.rows import reproduce, run_recipe
from hwprm.pipeline.step import Silent
from hwprm.pruning.admm import admm as admm_module
from hwprm.pruning.shrinking import shrink as shrink_module
from hwprm.training import accuracy, stages
from hwprm.training.evaluate import held_out_accuracy
from tests.unit.pipeline.tiny_row import recipe_file

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.slow
def test_a_row_may_end_with_training_in_integers(data, tmp_path):
    changes = {
        '"finetune"]': '"finetune", "qat"]',
        "seeds = [0]": "seeds = [0]\n[quantize]\nweight_bits = 4\n[qat]\nepochs = 1\nbatch = 32\n",
    }
    recipe = load_recipe(str(recipe_file(tmp_path, data, **changes)))
    (result,) = reproduce(recipe, tmp_path / "out", (0,), Silent())["seeds"]
    assert {"finetuned", "rounded", "integer"} <= result["accuracy"].keys() and "qat" in result["validation"]
    assert Model.load(tmp_path / "out" / "tiny" / "seed-0" / "stages" / "qat").meta["qat"]["weight_bits"] == 4
    assert "[qat]" in (tmp_path / "out" / "tiny" / "seed-0" / "recipe.toml").read_text()


def test_a_row_may_be_cut_to_widths(data, tmp_path):
    changes = {'["shrink", "purify", "compact", "finetune"]': '["widths", "finetune"]'}
    changes |= {"seeds = [0]": "seeds = [0]\n[widths]\ncost = 'weights'\nkeep = 0.09\nsteps = 2\nimages = 64\n"}
    recipe = load_recipe(str(recipe_file(tmp_path, data, **changes)))
    (result,) = reproduce(recipe, tmp_path / "out", (0,), Silent())["seeds"]
    assert list(result["accuracy"]) == ["dense", "narrowed", "finetuned", "integer"]
    assert result["validation"]["narrowed"] != result["validation"]["dense"]
    assert [row["stage"] for row in result["waterfall"]] == ["dense", "widths", "integer"]
    assert 10 <= result["compression"]["all_weights"]["ratio"] < 15
    low = replace(recipe, settings=replace(recipe.settings, widths=replace(recipe.settings.widths, keep=1e-5)))
    with pytest.raises(ConfigError, match=r"tiny \(lenet5, width 1\) cannot run on .* below the narrowest network"):
        run_recipe(low, tmp_path / "low", 0, Silent())
    assert not (tmp_path / "low/tiny/seed-0/stages").exists()
    for steps in ('["widths", "compact", "finetune"]', '["shrink", "widths", "compact"]'):
        with pytest.raises(ConfigError, match="or widths and then finetune"):
            load_recipe(str(recipe_file(tmp_path, data, **(changes | {next(iter(changes)): steps}))))


def test_a_row_may_start_narrow_and_counts_from_the_whole_network(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 255, (96, 3, 32, 32)).astype(np.uint8), np.arange(96) % 10
    np.savez(tmp_path / "noise.npz", x=x[:80], y=y[:80], x_test=x[80:], y_test=y[80:])
    changes = {
        "seeds = [0]": 'seeds = [0]\nnetwork = "resnet18-cifar"\nwidth = 0.125\nstart_width = 0.5\n',
        "validation = 60": "validation = 16",
        "left = 43000\nrate = 5.0": "left = 17000\nrate = 9.0",
        "epochs = 2": "epochs = 1",
    }
    recipe = load_recipe(str(recipe_file(tmp_path, tmp_path / "noise.npz", **changes)))
    (result,) = reproduce(recipe, tmp_path / "out", (0,), Silent())["seeds"]
    first, second, *_, last = result["waterfall"]
    assert (first["stage"], second["stage"], last["stage"]) == ("dense", "widths", "integer")
    assert first["layers"]["conv1"] == [8, 27] and second["layers"]["conv1"] == [4, 27]
    (base,) = {row["all_weights"]["base"] for row in result["waterfall"]}
    assert result["compression"]["nonzero"]["base"] == base == first["all_weights"]["left"]
    assert 10 <= result["compression"]["all_weights"]["ratio"] < 16
    with pytest.raises(ConfigError, match=r"start_width counts from the whole network, .*; give shrink\.left$"):
        load_recipe(
            str(recipe_file(tmp_path, tmp_path / "noise.npz", **(changes | {"left = 43000\nrate = 5.0": "rate = 9.0"})))
        )
    again = load_recipe(str(tmp_path / "out/tiny/seed-0/recipe.toml"))
    assert again.digest() == recipe.digest() != replace(recipe, start_width=1.0).digest()
    # The dense network of a row that counts from the narrow one is another, with another history.
    rows.dense_network(replace(recipe, width=0.0625, start_width=1.0), tmp_path / "out", 0)
    assert len(list((tmp_path / "out/shared").glob("dense-*"))) == 2


def test_training_in_integers_ends_a_row_and_has_epochs(data, tmp_path):
    for steps, found in (('"qat", "finetune"]', "must be of"), ('"finetune", "qat"]', "qat.epochs is 0")):
        with pytest.raises(ConfigError, match=found):
            load_recipe(str(recipe_file(tmp_path, data, **{'"finetune"]': steps})))


def test_a_row_is_what_its_stages_are(ran):
    recipe, out, facts = ran
    assert json.loads((out / "tiny" / "result.json").read_text()) == facts
    (result,) = facts["seeds"]
    assert result["compression"]["all_weights"]["left"] <= 43000
    assert facts["compression"] == result["compression"]["all_weights"]["ratio"] >= 10
    assert facts["reached"] is (facts["accuracy"]["mean"] >= 20)
    split = sources.as_split(recipe.settings.data)
    test = split.dataset
    place = out / "tiny" / "seed-0" / "stages"
    final = Model.load(place / "finetune")
    assert result["accuracy"]["finetuned"] == accuracy(final.graph, test.x_test, test.y_test, test.input_scale)
    assert list(result["accuracy"]) == ["dense", "shrunk", "purified", "compact", "finetuned", "integer"]
    # What the stages noted on the way is the accuracy on the images held out.
    held = accuracy(final.graph, split.x_validation, split.y_validation, test.input_scale)
    assert final.meta["accuracy"]["finetuned"] == result["validation"]["finetuned"] == held
    assert [row["stage"] for row in result["waterfall"]] == [
        "dense",
        "shrunk",
        "purification",
        "path_removal",
        "integer",
    ]


def test_the_test_split_is_read_by_the_score_alone(ran, data, tmp_path, monkeypatch):
    recipe, out, _ = ran
    test = sources.as_split(recipe.settings.data).dataset.x_test
    seen: list[bytes] = []

    def watching(graph, dataset, config):
        seen.append(dataset.x_test.tobytes())
        return held_out_accuracy(graph, dataset, config)

    for module in (stages, admm_module, shrink_module):
        monkeypatch.setattr(module, "held_out_accuracy", watching)
    run_recipe(recipe, tmp_path / "again", 0, Silent())
    assert seen and test.tobytes() not in seen


def test_finished_work_is_reused_and_the_dense_network_shared(ran):
    recipe, out, facts = ran
    said: list[str] = []

    class Listening(Silent):
        def say(self, text: str) -> None:
            said.append(text)

    assert reproduce(recipe, out, (0,), Listening()) == facts
    assert sum("reused" in line for line in said) == 8
    said.clear()
    other = replace(recipe, name="other", settings=replace(recipe.settings, shrink=_lower(recipe.settings)))
    reproduce(other, out, (0,), Listening())
    assert [line for line in said if "reused" in line] == ["train: reused, its inputs are the same"]
    said.clear()
    longer = replace(recipe.settings.finetune, epochs=recipe.settings.finetune.epochs + 1)
    other = replace(recipe, name="longer", settings=replace(recipe.settings, finetune=longer))
    reproduce(other, out, (0,), Listening())
    same = ", its inputs are the same, and another run has it"
    assert [line for line in said if "another run" in line] == [
        f"{step}: reused{same}" for step in ("shrink", "purify", "compact")
    ]
    assert len(list((out / "shared").glob("dense-*"))) == len(list((out / "shared").glob("rounds-*"))) == 1


@pytest.mark.slow
def test_a_row_can_be_watched(data, tmp_path):
    recipe = load_recipe(str(recipe_file(tmp_path, data)))
    stages = []

    class Watching(Silent):
        @contextmanager
        def stage(self, name):
            def tick(stage, done, total, metrics):
                for log in tmp_path.rglob("log.jsonl"):
                    lines = [json.loads(line) for line in log.read_text().splitlines()]
                    if name in ("train", "finetune") and log.parent.name.startswith(f".{name}-"):
                        stages.append((name, len(lines)))

            yield tick

    run_recipe(recipe, tmp_path / "out", 0, Watching())
    assert ("train", 1) in stages
    (rounds,) = (tmp_path / "out/shared").glob("rounds-*/log.jsonl")
    assert all(json.loads(line)["left"] > 43000 for line in rounds.read_text().splitlines())


def test_a_result_says_which_recipe_made_it(ran, data, tmp_path):
    recipe, out, facts = ran
    (result,) = facts["seeds"]
    place = out / "tiny" / "seed-0"
    assert result["recipe"] == facts["recipe"] == recipe.digest() and finished(recipe, place) == result
    settings = recipe.settings
    moved = replace(settings, data=replace(settings.data, data_dir="elsewhere", workers=1))
    unread = replace(settings, admm=replace(settings.admm, compression=7.0))
    for same in (
        replace(recipe, title="other", reach=1.0),
        replace(recipe, settings=moved),
        replace(recipe, settings=unread),
    ):
        assert finished(same, place) == result
    trained = replace(settings, train=replace(settings.train, threads=2))
    for other in (replace(recipe, settings=trained), replace(recipe, top=2)):
        assert finished(other, place) is None
    assert "data_dir =" not in (text := (place / "recipe.toml").read_text()) and "[admm]" not in text
    again = load_recipe(str(place / "recipe.toml"))
    assert (again.digest(), again.seeds, again.title) == (recipe.digest(), (0,), "tiny")


def test_a_summary_counts_every_finished_seed_of_therecipe_file(ran, monkeypatch, tmp_path):
    recipe, _, facts = ran
    (result,) = facts["seeds"]
    place = tmp_path / "tiny"
    old = {key: value for key, value in result.items() if key != "recipe"}
    for seed, left in ((2, result | {"recipe": "0" * 64}), (3, old), (4, result | {"seed": 4})):
        (place / f"seed-{seed}").mkdir(parents=True)
        (place / f"seed-{seed}" / "result.json").write_text(json.dumps(left))

    def run_one(recipe, out, seed, listener):
        if seed == 1:
            raise KeyboardInterrupt
        (place / "seed-0").mkdir()
        (place / "seed-0" / "result.json").write_text(json.dumps(result))

    monkeypatch.setattr(rows, "run_recipe", run_one)
    with pytest.raises(KeyboardInterrupt):
        reproduce(recipe, tmp_path, (0, 1), Silent())
    summary = json.loads((place / "result.json").read_text())
    assert [one["seed"] for one in summary["seeds"]] == [0, 4]


def test_what_another_recipe_left_is_no_result(ran, tmp_path):
    recipe, _, facts = ran
    stale = tmp_path / "tiny" / "seed-0"
    rows._start(recipe, 0, stale)
    (stale / "result.json").write_text(json.dumps(facts["seeds"][0]))
    rows._start(recipe, 0, stale)
    assert (stale / "result.json").is_file()
    rows._start(replace(recipe, width=0.5), 0, stale)
    assert not (stale / "result.json").exists()


def _lower(settings: Settings):
    return replace(settings.shrink, left=20000)


def test_summary_counts_over_seeds(ran):
    recipe, _, facts = ran
    (result,) = facts["seeds"]
    better = json.loads(json.dumps(result))
    better["accuracy"]["integer"] = result["accuracy"]["integer"] + 1.0
    both = summarise(replace(recipe, reach=result["accuracy"]["integer"] + 0.5), [result, better])
    assert both["accuracy"]["mean"] == pytest.approx(result["accuracy"]["integer"] + 0.5)
    assert both["accuracy"]["spread"] == pytest.approx(1.0)
    assert both["reached"]
    assert not summarise(replace(recipe, reach=result["accuracy"]["integer"] + 0.6), [result, better])["reached"]
    assert not summarise(replace(recipe, compression=1e6), [result])["reached"]
    assert summarise(replace(recipe, reach=None), [result])["reached"] is None
    limited = replace(recipe.settings, shrink=replace(recipe.settings.shrink, count="cycles", left=result["cycles"]))
    by_cycles = replace(recipe, steps=("shrink", *recipe.steps[1:]), compression=1e6, settings=limited)
    assert summarise(replace(by_cycles, reach=1.0), [result])["reached"]
    above = json.loads(json.dumps(result)) | {"cycles": result["cycles"] + 1}
    assert not summarise(replace(by_cycles, reach=1.0), [result, above])["reached"]
    dense = result["accuracy"]["dense"] - result["accuracy"]["integer"]
    below = replace(recipe, reach=None, reach_below_dense=dense + 0.01)
    assert summarise(below, [result])["reached"]
    assert not summarise(replace(below, reach_below_dense=dense - 0.01), [result])["reached"]


def test_report_shows_a_seed_and_the_row(ran, run, tmp_path):
    _, out, facts = ran
    (result,) = facts["seeds"]
    seed = json.loads(run("report", out / "tiny" / "seed-0", "--json").stdout)
    assert seed["accuracy"] == result["accuracy"] and seed["waterfall"] == result["waterfall"]
    assert seed["predicted"]["image"] == result["cycles"]
    assert list(seed["validation"]) == ["dense", "shrunk", "purified", "compact", "finetuned"]
    words = run("report", out / "tiny" / "seed-0", html=tmp_path / "page.html").stdout
    for word in ("finetuned", f"{result['accuracy']['integer']:.2f}", "path_removal", "of 800", "held-out images"):
        assert word in words, word
    assert "Training and pruning" in (tmp_path / "page.html").read_text()
    assert json.loads(run("report", out / "tiny", "--json").stdout) == facts
    assert "seeds within" in (shown := run("report", out / "tiny").stdout) and "seed 0" in shown and "nowhere" in shown
    refused = run("report", out / "tiny", html=tmp_path / "row.html")
    assert refused.exit_code == 2 and "give " in refused.stderr and not (tmp_path / "row.html").exists()


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"format": "other"}', '{"format": "hwprm-repro-1"}'])
@pytest.mark.parametrize("mark", [True, False])
def test_report_of_a_broken_result(run, tmp_path, text, mark):
    (tmp_path / "result.json").write_text(text)
    if mark:
        (tmp_path / "run.json").write_text("{}")
    refused = run("report", tmp_path)
    assert refused.exit_code == 2 and refused.stderr.startswith("error: "), refused.stderr


def test_report_of_a_row_that_is_not_finished(run, tmp_path):
    (tmp_path / "run.json").write_text("{}")
    refused = run("report", tmp_path)
    assert refused.exit_code == 2 and "hwprm repro" in refused.stderr


def test_what_is_given_goes_over_the_recipe_even_where_it_is_the_default(run, tmp_path, data, monkeypatch):
    seen = []
    monkeypatch.setattr(rows, "reproduce", lambda recipe, *rest: seen.append(recipe) or summarise(recipe, []))
    file = recipe_file(tmp_path, data)
    run("repro", file, data="mnist", out=tmp_path / "out")
    options = tmp_path / "options.toml"
    options.write_text('[data]\nname = "mnist"\n[run]\nquiet = true\n')
    run("repro", file, config=options, out=tmp_path / "out")
    assert [recipe.settings.data.name for recipe in seen] == ["mnist", "mnist"]
    run("repro", file, device="cpu", out=tmp_path / "out")
    assert seen.pop().settings.train.device == "cpu" and seen[0].settings.train.device == "auto"
    options.write_text("[train]\nepochs = 1\n[data]\nvalidation = 3\n")
    refused = run("repro", file, config=options, out=tmp_path / "out")
    assert refused.exit_code == 2 and len(seen) == 2
    assert "`hwprm repro` does not take data.validation, train.epochs: a recipe's options are in its" in refused.stderr


def test_the_embedded_subset_is_no_data_for_a_row(tmp_path, monkeypatch):
    monkeypatch.delenv("HWPRM_DATA", raising=False)
    with pytest.raises(DataError, match="needs the full MNIST set, the embedded subset is too small"):
        run_recipe(load_recipe("lenet5-conv-232x"), tmp_path / "out", 0, Silent())
    assert not (tmp_path / "out").exists()


def test_a_row_of_imagenet_asks_for_its_folder(tmp_path, monkeypatch, run):
    monkeypatch.chdir(tmp_path)
    refused = run("repro", "alexnet-5x", out=tmp_path / "out")
    assert refused.exit_code == 2
    assert "by --data IMAGENET and the checkpoint by --weights FILE" in refused.stderr


def test_rows_are_listed_a_line_each_in_a_pipe(run):
    lines = run("repro", "--list").stdout.splitlines()
    assert len(lines) == len(recipe_names()) + 4, "header and borders"


def test_rows_without_held_out_images_are_refused(tmp_path, data):
    recipe = load_recipe(str(recipe_file(tmp_path, data, **{"validation = 60": ""})))
    with pytest.raises(DataError, match="set data.validation"):
        run_recipe(recipe, tmp_path / "out", 0, Silent())
