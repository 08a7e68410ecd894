"""Budgets: defaults, presets, multiples of the array, and what cannot be asked for."""

import re
from typing import get_args

import pytest

from hwprm.config.admm import AdmmConfig, AdmmPreset, LayerBudget
from hwprm.core.errors import ConfigError
from hwprm.frontend import to_graph
from hwprm.nets import lenet5_graph
from hwprm.pruning.admm.admm import phases
from hwprm.pruning.admm.budgets import PRESETS, layer_matrices, preset_of, resolve_budgets
from tests.support.zoo import ZOO, zoo_module
from tests.unit.training.synthetic import tiny_graph

BAD_OPTIONS = [
    ({"mode": "both"}, "admm.mode must be one of sequential, joint, not 'both'"),
    ({"stages": 0}, "admm.stages must be a whole number in 1..10000, not 0"),
    ({"rho_start": 0.0}, "admm.rho_start must be a number above 0, not 0.0"),
    ({"rho_start": 2.0}, "admm.rho_end (1) must not be below admm.rho_start (2)"),
    ({"dual_step": 1.7}, "admm.dual_step must be a number above 0 and at most 1.6, not 1.7"),
    ({"compression": 0.5}, "admm.compression must be a number of 1 or more, not 0.5"),
]


@pytest.mark.parametrize(
    ("options", "text"), BAD_OPTIONS, ids=[next(iter(o)) + str(i) for i, (o, _) in enumerate(BAD_OPTIONS)]
)
def test_bad_options(options, text):
    with pytest.raises(ConfigError, match=f"^{re.escape(text)}$"):
        AdmmConfig(**({"epochs": 2, "rho_end": 1.0} | options))


def test_an_empty_layer_cannot_be_asked_for():
    with pytest.raises(
        ConfigError, match=r"^admm\.budgets\.filters must be a whole number of 1 or more or none, not 0$"
    ):
        LayerBudget(filters=0)


def test_default_budgets_of_lenet5_reach_forty():
    graph = lenet5_graph()
    budgets = resolve_budgets(graph, AdmmConfig())
    matrices = layer_matrices(graph)
    assert (matrices["fc1"].group, matrices["conv2"].group, matrices["fc2"].group) == (16, 25, 1)
    left = sum((b.filters or matrices[n].rows) * (b.columns or matrices[n].cols) for n, b in budgets.items())
    assert 39 <= 430_500 / left <= 42


def test_tuned_budgets_have_a_name():
    graph = lenet5_graph()
    assert preset_of(graph, AdmmConfig()) == preset_of(graph, AdmmConfig(preset="lenet5-40x")) == "lenet5-40x"
    tuned = resolve_budgets(graph, AdmmConfig())
    assert tuned == PRESETS["lenet5-40x"].budgets == resolve_budgets(graph, AdmmConfig(preset="lenet5-40x"))
    for other in (AdmmConfig(preset="none"), AdmmConfig(compression=39.0), AdmmConfig(structure="unstructured")):
        assert preset_of(graph, other) is None and resolve_budgets(graph, other) != tuned
    assert preset_of(tiny_graph(), AdmmConfig()) is None
    with pytest.raises(ConfigError, match=r"lenet5-40x was tuned for a network of conv1 20 x 25, .*; use admm.preset"):
        resolve_budgets(tiny_graph(), AdmmConfig(preset="lenet5-40x"))
    with pytest.raises(ConfigError, match=r"^admm.preset must be one of auto, none, lenet5-40x, not 'x'$"):
        AdmmConfig(preset="x")
    assert set(get_args(AdmmPreset)) == {"auto", "none", *PRESETS}


@pytest.mark.parametrize("compression", [2.0, 9.0])
def test_default_budgets_of_any_network(compression):
    graph = tiny_graph(hidden=40)
    budgets = resolve_budgets(graph, AdmmConfig(compression=compression))
    matrices = layer_matrices(graph)
    left = sum((b.filters or matrices[n].rows) * b.columns for n, b in budgets.items())
    total = sum(m.rows * m.cols for m in matrices.values())
    assert total / left == pytest.approx(compression, rel=0.2)
    assert budgets["fc2"].filters is None


def test_default_budgets_of_unstructured_pruning():
    graph = tiny_graph(hidden=40)
    budgets = resolve_budgets(graph, AdmmConfig(structure="unstructured", compression=8.0))
    for name, m in layer_matrices(graph).items():
        assert budgets[name] == LayerBudget(weights=round(m.rows * m.cols / 8))


ROUNDED = [
    # asked, rows of the layer, step -> kept
    (10, 20, 8, 8),
    (12, 20, 8, 16),  # of two as near, the larger
    (11, 20, 8, 8),
    (1, 20, 8, 8),
    (19, 20, 8, 16),
    (20, 20, 8, 20),  # 24 is more than there are
    (3, 6, 8, 6),
    (7, 20, 1, 7),
]


@pytest.mark.parametrize(("asked", "rows", "step", "kept"), ROUNDED)
def test_filters_in_multiples_of_the_array(asked, rows, step, kept):
    graph = tiny_graph(hidden=rows)
    by_option = AdmmConfig(budgets={"fc1": LayerBudget(filters=asked)}, round_to=step)
    by_layer = AdmmConfig(budgets={"fc1": LayerBudget(filters=asked, round_to=step)}, round_to=5)
    for config in (by_option, by_layer):
        assert resolve_budgets(graph, config)["fc1"].filters == kept


def test_rounding_leaves_the_classes_and_the_rest_alone():
    graph = tiny_graph(hidden=40)
    budgets = {"fc1": LayerBudget(filters=20, columns=30, channels=3), "fc2": LayerBudget(filters=3, columns=30)}
    rounded = resolve_budgets(graph, AdmmConfig(budgets=budgets, round_to=8))
    assert rounded["fc1"] == LayerBudget(filters=24, columns=30, channels=8)
    assert rounded["fc2"] == budgets["fc2"]
    both = resolve_budgets(graph, AdmmConfig(budgets=budgets, round_to=8, round_columns_to=4))
    assert (both["fc1"].columns, both["fc2"].columns) == (32, 32)
    by_rate = resolve_budgets(graph, AdmmConfig(compression=4.0, round_to=4))
    assert by_rate["fc1"].filters == 20 and by_rate["conv2"].filters == 4


@pytest.mark.parametrize(("name", "most"), [("lenet5", 33_115), ("resnet", 104)])
def test_a_compression_that_cannot_be_met_is_refused_and_no_other(name, most):
    graph = lenet5_graph(0) if name == "lenet5" else to_graph(zoo_module(name), ZOO[name][1])
    matrices = layer_matrices(graph)
    full = sum(matrix.rows * matrix.cols for matrix in matrices.values())
    # Sixteen values up to the greatest that a row and a column of every layer can reach.
    for step in range(16):
        config = AdmmConfig(compression=most ** (step / 15))
        budgets = resolve_budgets(graph, config)
        assert sum((b.filters or matrices[n].rows) * (b.columns or 0) for n, b in budgets.items()) <= full
    with pytest.raises(ConfigError) as told:
        resolve_budgets(graph, AdmmConfig(compression=most + 1))
    assert str(told.value) == (
        f"admm.compression = {most + 1} cannot be met: one filter and one column of every layer, and all outputs, make "
        f"at most about {most} x here; lower it, or set admm.structure to unstructured"
    )
    assert phases(graph, AdmmConfig(compression=most + 1, structure="unstructured"))
