"""What each layer costs when it alone is cut: against cuts made by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import hwprm
from hwprm.config import ArrayConfig, DataConfig
from hwprm.core.errors import DataError
from hwprm.graph import Conv2d, Graph
from hwprm.pruning.channels.blocks import Meter, count_weights
from hwprm.pruning.sensitivity import sensitivity
from hwprm.sources import as_dataset
from hwprm.training.evaluate import accuracy
from tests.conftest import tiny_graph


def weights(graph: Graph) -> dict[str, int]:
    """Weights that are not zero, by layer."""
    return {layer.name: int(np.count_nonzero(layer.weight)) for layer in graph.weighted}


def test_cuts_are_those_made_by_hand(tiny_data: Path) -> None:
    graph, data = tiny_graph(), as_dataset(DataConfig(name=str(tiny_data)))
    x, y, scale = data.x_test, data.y_test, data.input_scale
    found = sensitivity(graph, x, y, scale, Meter(name="weights", of=weights, grain=2))
    conv = graph.weighted[0]
    assert isinstance(conv, Conv2d)
    # conv has 9 columns, 4 filters in 2 tiles of 2; fc makes the output and has 36 columns.
    assert [(cut.layer, cut.kind, cut.kept, cut.of) for cut in found] == [
        *(("conv", "columns", 8, 9), ("conv", "columns", 7, 9), ("conv", "columns", 5, 9), ("conv", "filters", 2, 4)),
        *(("fc", "columns", 32, 36), ("fc", "columns", 27, 36), ("fc", "columns", 18, 36)),
    ]
    matrix, bias = conv.weight.reshape(4, 9).copy(), conv.bias.copy()
    weak = np.argsort((matrix.astype(np.float64) ** 2).sum(axis=1))[:2]
    matrix[weak], bias[weak] = 0, 0
    by_hand = graph.replace(replace(conv, weight=matrix.reshape(conv.weight.shape), bias=bias))
    cut = found[3]
    assert cut.saved == 18
    assert cut.lost == pytest.approx(accuracy(graph, x, y, scale) - accuracy(by_hand, x, y, scale), abs=1e-4)
    assert cut.rate == pytest.approx(1000 * cut.lost / 18)


def test_cycles_are_the_compilers(tiny_model: Path, tiny_data: Path) -> None:
    data, array = DataConfig(name=str(tiny_data), validation=30), ArrayConfig(rows=4, cols=2)
    cuts = hwprm.sensitivity(tiny_model, data, array=array)
    half = next(cut for cut in cuts if cut.kind == "filters")
    assert (half.layer, half.kept, half.of) == ("conv", 2, 4) and half.saved > 0
    assert any(cut.saved > 0 for cut in cuts if cut.layer == "fc")
    assert all(cut.rate is None for cut in cuts if cut.saved <= 0)


def test_it_needs_labels() -> None:
    with pytest.raises(DataError, match="needs labelled images, and there are 3 with 0 labels"):
        nothing = np.zeros(0, np.int64)
        sensitivity(tiny_graph(), np.zeros((3, 1, 8, 8), np.uint8), nothing, 1.0, Meter(name="w", of=count_weights))
