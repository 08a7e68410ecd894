"""Recipes: those of the package are good, and bad ones are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwprm.config.recipes import load_recipe, recipe_names
from hwprm.core.errors import ConfigError, HwprmError, InputError
from hwprm.core.resources import recipe_dir
from hwprm.nets import NETWORKS
from hwprm.pipeline.rows import run_recipe
from hwprm.pipeline.step import Silent
from tests.unit.pipeline.tiny_row import recipe_file

ROOT = Path(__file__).resolve().parents[3]


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
        load_recipe(str(recipe_file(tmp_path, data, **changes)))
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
    recipe = load_recipe(str(recipe_file(tmp_path, data, **changes)))
    with pytest.raises(HwprmError) as caught:
        run_recipe(recipe, tmp_path / "out", 0, Silent())
    assert text in str(caught.value) and "cannot run on bars" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_unknown_rows_get_the_nearest_name():
    with pytest.raises(InputError, match="did you mean 'lenet5-conv-232x'"):
        load_recipe("lenet5-conv-231x")
