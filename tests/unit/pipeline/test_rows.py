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
from hwprm.core.errors import ConfigError, DataError, HwprmError, InputError
from hwprm.core.resources import recipe_dir
from hwprm.model import Model
from hwprm.nets import NETWORKS
from hwprm.pipeline import rows
from hwprm.pipeline.results import finished, summarise
from hwprm.pipeline.rows import reproduce, run_recipe
from hwprm.pipeline.step import Silent
from hwprm.pruning.admm import admm as admm_module
from hwprm.pruning.shrinking import shrink as shrink_module
from hwprm.training import accuracy, stages
from hwprm.training.evaluate import held_out_accuracy

ROOT = Path(__file__).resolve().parents[3]
TEXT = """
[recipe]
title = "tiny"
source = "nowhere"
count = "all_weights"
compression = 10
reach = 20
steps = ["shrink", "purify", "compact", "finetune"]
seeds = [0]

[data]
name = "{data}"
validation = 60

[train]
epochs = 2
batch = 32
augment = "shift"
copies = 1

[shrink]
left = 43000
rate = 5.0
every = 3

[finetune]
epochs = 1
batch = 32
"""


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


def _recipe(folder: Path, data: Path, **changes: str) -> Path:
    text = TEXT.format(data=data)
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    file = folder / "tiny.toml"
    file.write_text(text)
    return file


@pytest.fixture(scope="module")
def ran(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("repro")
    recipe = load_recipe(str(_recipe(folder, data)))
    return recipe, folder / "out", reproduce(recipe, folder / "out", (0,), Silent())


@pytest.mark.slow
def test_a_row_may_end_with_training_in_integers(data, tmp_path):
    changes = {
        '"finetune"]': '"finetune", "qat"]',
        "seeds = [0]": "seeds = [0]\n[quantize]\nweight_bits = 4\n[qat]\nepochs = 1\nbatch = 32\n",
    }
    recipe = load_recipe(str(_recipe(tmp_path, data, **changes)))
    (result,) = reproduce(recipe, tmp_path / "out", (0,), Silent())["seeds"]
    assert {"finetuned", "rounded", "integer"} <= result["accuracy"].keys() and "qat" in result["validation"]
    assert Model.load(tmp_path / "out" / "tiny" / "seed-0" / "stages" / "qat").meta["qat"]["weight_bits"] == 4
    assert "[qat]" in (tmp_path / "out" / "tiny" / "seed-0" / "recipe.toml").read_text()


def test_a_row_may_be_cut_to_widths(data, tmp_path):
    changes = {'["shrink", "purify", "compact", "finetune"]': '["widths", "finetune"]'}
    changes |= {"seeds = [0]": "seeds = [0]\n[widths]\ncost = 'weights'\nkeep = 0.09\nsteps = 2\nimages = 64\n"}
    recipe = load_recipe(str(_recipe(tmp_path, data, **changes)))
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
            load_recipe(str(_recipe(tmp_path, data, **(changes | {next(iter(changes)): steps}))))


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
    recipe = load_recipe(str(_recipe(tmp_path, tmp_path / "noise.npz", **changes)))
    (result,) = reproduce(recipe, tmp_path / "out", (0,), Silent())["seeds"]
    first, second, *_, last = result["waterfall"]
    assert (first["stage"], second["stage"], last["stage"]) == ("dense", "widths", "integer")
    assert first["layers"]["conv1"] == [8, 27] and second["layers"]["conv1"] == [4, 27]
    (base,) = {row["all_weights"]["base"] for row in result["waterfall"]}
    assert result["compression"]["nonzero"]["base"] == base == first["all_weights"]["left"]
    assert 10 <= result["compression"]["all_weights"]["ratio"] < 16
    with pytest.raises(ConfigError, match=r"start_width counts from the whole network, .*; give shrink\.left$"):
        load_recipe(
            str(_recipe(tmp_path, tmp_path / "noise.npz", **(changes | {"left = 43000\nrate = 5.0": "rate = 9.0"})))
        )
    again = load_recipe(str(tmp_path / "out/tiny/seed-0/recipe.toml"))
    assert again.digest() == recipe.digest() != replace(recipe, start_width=1.0).digest()
    # The dense network of a row that counts from the narrow one is another, with another history.
    rows.dense_network(replace(recipe, width=0.0625, start_width=1.0), tmp_path / "out", 0)
    assert len(list((tmp_path / "out/shared").glob("dense-*"))) == 2


def test_training_in_integers_ends_a_row_and_has_epochs(data, tmp_path):
    for steps, found in (('"qat", "finetune"]', "must be of"), ('"finetune", "qat"]', "qat.epochs is 0")):
        with pytest.raises(ConfigError, match=found):
            load_recipe(str(_recipe(tmp_path, data, **{'"finetune"]': steps})))


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
    recipe = load_recipe(str(_recipe(tmp_path, data)))
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


def test_a_summary_counts_every_finished_seed_of_the_recipe(ran, monkeypatch, tmp_path):
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


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_of_the_package_is_good(name):
    recipe = load_recipe(name)
    assert recipe.network == "lenet5" or recipe.network in NETWORKS
    assert f"hwprm repro {name}" in (recipe_dir() / f"{name}.toml").read_text()
    assert recipe.settings.data.validation > 0, "nothing may be judged on the test split"


@pytest.mark.parametrize("file", sorted((ROOT / "examples/rows").glob("*.toml")), ids=lambda file: file.stem)
def test_every_row_beside_them_is_good(file):
    recipe = load_recipe(str(file))
    assert recipe.settings.data.validation > 0 and f"hwprm repro examples/rows/{file.name}" in file.read_text()


BAD = [
    ({"[recipe]": "[nothing]"}, "unknown section [nothing]"),
    ({'source = "nowhere"': ""}, "recipe.source is missing; write it into the table [recipe]"),
    (
        {"compression = 10": 'compression = "ten"'},
        "recipe.compression must be a number above 0 and at most 1e+09",
    ),
    ({'count = "all_weights"': 'count = "all"'}, "recipe.count must be one of conv_only, all_weights, nonzero"),
    ({'["shrink", "purify"': '["purify", "shrink"'}, "recipe.steps must be of admm, shrink, purify"),
    ({"reach = 20": "reech = 20"}, "unknown key recipe.reech; did you mean 'reach'?"),
    ({"seeds = [0]": "seeds = 0"}, "recipe.seeds must be a list, each a whole number of 0 or more, not 0"),
    ({"seeds = [0]": "seeds = []"}, "recipe.seeds must be one or more, each once, not []"),
    ({"seeds = [0]": 'seeds = ["a"]'}, "recipe.seeds must be a list, each a whole number of 0 or more, not ['a']"),
    ({"seeds = [0]": "seeds = [1, 1]"}, "recipe.seeds must be one or more, each once, not [1, 1]"),
    (
        {"compression = 10": "compression = nan"},
        "compression must be a number above 0 and at most 1e+09, not nan",
    ),
    ({"reach = 20": "reach = 9848"}, "recipe.reach must be a number above 0 and at most 100 or none, not 9848"),
    (
        {'"shrink", "purify"': '"shrink", "admm"'},
        "either admm or shrink first and finetune after compact only, or widths",
    ),
    ({'"shrink", "purify"': '"purify"'}, "recipe.steps must be of admm, shrink, purify"),
    (
        {'"purify", "compact", "finetune"': '"finetune"'},
        "or widths and then finetune, not ['shrink', 'finetune']",
    ),
    ({"[finetune]\nepochs = 1": "[finetune]\nepochs = 0"}, "recipe.steps has finetune, but finetune.epochs is 0"),
]


@pytest.mark.parametrize(("changes", "text"), BAD, ids=[text for _, text in BAD])
def test_bad_recipes_are_named(changes, text, tmp_path, data):
    with pytest.raises(ConfigError) as caught:
        load_recipe(str(_recipe(tmp_path, data, **changes)))
    assert text in str(caught.value)


IMPOSSIBLE = [
    ({"seeds = [0]": 'network = "lenet9"'}, "tiny (lenet9, width 1) cannot run on bars (10 classes"),
    ({"seeds = [0]": "width = 0.5"}, "lenet5 has ten classes and one width"),
    ({"left = 43000": "left = 2"}, "shrink asks for at most 2 of 430500"),
    (
        {'["shrink", "purify"': '["admm", "purify"', "[shrink]": "[admm.budgets]\nconv9 = { filters = 1 }\n[shrink]"},
        "conv9",
    ),
]


@pytest.mark.parametrize(("changes", "text"), IMPOSSIBLE, ids=[text for _, text in IMPOSSIBLE])
def test_what_cannot_end_well_does_not_begin(changes, text, tmp_path, data):
    recipe = load_recipe(str(_recipe(tmp_path, data, **changes)))
    with pytest.raises(HwprmError) as caught:
        run_recipe(recipe, tmp_path / "out", 0, Silent())
    assert text in str(caught.value) and "cannot run on bars" in str(caught.value)
    assert not (tmp_path / "out").exists()


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
    file = _recipe(tmp_path, data)
    run("repro", file, data="mnist", out=tmp_path / "out")
    options = tmp_path / "options.toml"
    options.write_text('[data]\nname = "mnist"\n[run]\nquiet = true\n')
    run("repro", file, config=options, out=tmp_path / "out")
    assert [recipe.settings.data.name for recipe in seen] == ["mnist", "mnist"]
    options.write_text("[train]\nepochs = 1\n[data]\nvalidation = 3\n")
    refused = run("repro", file, config=options, out=tmp_path / "out")
    assert refused.exit_code == 2 and len(seen) == 2
    assert "`hwprm repro` does not take data.validation, train.epochs: a recipe's options are in its" in refused.stderr


def test_unknown_rows_get_the_nearest_name():
    with pytest.raises(InputError, match="did you mean 'lenet5-conv-232x'"):
        load_recipe("lenet5-conv-231x")


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
    recipe = load_recipe(str(_recipe(tmp_path, data, **{"validation = 60": ""})))
    with pytest.raises(DataError, match="set data.validation"):
        run_recipe(recipe, tmp_path / "out", 0, Silent())
