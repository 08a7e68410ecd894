"""The three counts, against the paper's table and by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hwprm.core.errors import ConfigError, ModelError
from hwprm.graph import Conv2d, Flatten, Graph, Input, Linear
from hwprm.pruning.accounting import Count, account
from hwprm.pruning.compaction.compaction import compact_graph
from hwprm.pruning.paths.paths import remove_unused_paths
from tests.unit.pruning.lenet import TABLE_1, after_admm, lenet5


def test_dense_lenet5():
    dense = account(lenet5(), lenet5())
    assert dense.conv_only == Count(base=25_500, left=25_500)
    assert dense.all_weights == Count(base=430_500, left=430_500)
    assert dense.stored_bits == Count(base=(430_500 + 580) * 32, left=(430_500 + 580) * 32)
    assert dense.conv_only.ratio == 1
    assert dense.nonzero == dense.dense().nonzero == dense.all_weights


@pytest.mark.parametrize(("left", "before", "after"), TABLE_1, ids=[row[2] for row in TABLE_1])
def test_table_1_of_the_paper(left, before, after):
    """P-RM took exactly 450 weights in every LeNet-5 row: 18 of conv1's 20 filters."""
    graph = after_admm(*left)
    admm = account(graph, lenet5())
    assert f"{admm.conv_only.ratio:.2f}" == before
    closed, _ = remove_unused_paths(graph)
    prm = account(closed, lenet5())
    assert admm.conv_only.left - prm.conv_only.left == 450
    assert f"{prm.conv_only.ratio:.2f}" == after
    assert [(x.rows, x.cols) for x in prm.layers] == [(2, 25), left, (500, 16 * left[0]), (10, 500)]
    small, _ = compact_graph(graph)
    assert account(small, lenet5()) == prm


def test_stored_bits_by_hand():
    conv = np.zeros((3, 2, 2, 2))
    conv[0, 0, 0, 0] = conv[2, 1, 1, 1] = conv[2, 0, 0, 1] = 1  # 2 rows x 3 columns of 3 x 8
    fc = np.ones((2, 3 * 3 * 3))
    nodes = (
        Input(name="x", inputs=(), shape=(2, 4, 4)),
        Conv2d(name="c", inputs=("x",), weight=conv, bias=np.array([0, 5.0, 0])),  # a blank filter with a bias
        Flatten(name="f", inputs=("c",)),
        Linear(name="l", inputs=("f",), weight=fc, bias=np.zeros(2)),
    )
    graph = Graph(nodes, ("l",))
    result = account(graph, graph, weight_bits=8, bias_bits=20)
    c, fully = result.layers
    assert (c.rows, c.cols, c.base, c.left) == (2, 3, 24, 6)
    assert (c.weight_bits, c.list_bits, c.bias_bits) == (6 * 8, 3 * 3, 3 * 20)
    assert (c.nonzero, fully.nonzero, result.nonzero) == (3, 54, Count(base=78, left=57))
    assert (fully.weight_bits, fully.list_bits, fully.bias_bits) == (54 * 8, 0, 2 * 20)
    assert result.stored_bits == Count(base=(24 + 3 + 54 + 2) * 32, left=48 + 9 + 60 + 432 + 40)
    assert result.all_weights == Count(base=78, left=60)


def test_rows_and_json():
    result = account(after_admm(12, 50), lenet5())
    row = json.loads(json.dumps(result.row("admm")))
    assert row["stage"] == "admm"
    assert row["conv_only"] == {"base": 25_500, "left": 1_100, "ratio": 25_500 / 1_100}
    assert row["nonzero"]["layers"] == {"conv1": 500, "conv2": 600, "fc1": 400_000, "fc2": 5_000}
    assert (row["nonzero"]["base"], row["nonzero"]["left"]) == (430_500, 406_100)
    assert row["layers"] == {"conv1": [20, 25], "conv2": [12, 50], "fc1": [500, 800], "fc2": [10, 500]}
    assert json.loads(json.dumps(result.to_json()))["layers"][1]["cols"] == 50
    assert Count(base=0, left=0).ratio == 1
    assert Count(base=3, left=0).ratio == float("inf")


def test_a_layer_that_is_gone_counts_nothing():
    graph = lenet5()
    front = Graph(graph.nodes[:4], ("pool1",))
    assert account(front, graph).conv_only == Count(base=25_500, left=500)


def test_refusals():
    graph = lenet5()
    front = Graph(graph.nodes[:4], ("pool1",))
    with pytest.raises(ModelError, match="layer 'conv2' is not in the original network"):
        account(graph, front)
    with pytest.raises(ConfigError, match=r"weight_bits must be in 1..64, not 0"):
        account(graph, graph, weight_bits=0)
    with pytest.raises(ConfigError, match=r"bias_bits must be in 1..64, not 65"):
        account(graph, graph, bias_bits=65)
