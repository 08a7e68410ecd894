"""Pictures of matrices: what is drawn is what is kept."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest

from hwprm.graph import Conv2d
from hwprm.model import Model, Stage
from hwprm.pruning import account
from hwprm.pruning.compaction.compaction import compact
from hwprm.reporting.page.matrices import Kept, MatrixLayer, float_matrices, integer_matrices, matrix_picture
from tests.conftest import tiny_graph
from tests.support.networks import small_lenet


def _drawn(svg: str, index: int, rows: int, cols: int) -> np.ndarray:
    """The boolean matrix that stage `index` paints: its columns, cut to its rows."""
    root = ET.fromstring(svg)
    (group,) = (child for child in root if child.tag == "g")
    clips = {clip.attrib["id"]: clip[0].attrib["d"] for clip in group if clip.tag == "clipPath"}
    path = [child for child in group if child.tag == "path"][index]
    clip = clips[path.attrib["clip-path"].removeprefix("url(#").removesuffix(")")]

    def paint(d: str) -> np.ndarray:
        canvas = np.zeros((rows, cols), bool)
        for x, y, w, h in re.findall(r"M(\d+) (\d+)h(\d+)v(\d+)h-\d+z", d):
            canvas[int(y) : int(y) + int(h), int(x) : int(x) + int(w)] = True
        return canvas

    return paint(path.attrib["d"]) & paint(clip)


def _layer(rows: int, cols: int, *stages: Kept) -> MatrixLayer:
    return MatrixLayer(name="a<b", rows=rows, cols=cols, channel=1, stages=stages)


def test_kept_rows_and_columns_are_drawn() -> None:
    rng = np.random.default_rng(0)
    rows, cols = np.flatnonzero(rng.random(13) < 0.5), np.flatnonzero(rng.random(40) < 0.3)
    kept = Kept(css="kept", rows=tuple(rows.tolist()), cols=tuple(cols.tolist()))
    wanted = np.zeros((13, 40), bool)
    wanted[np.ix_(rows, cols)] = True
    svg = matrix_picture(_layer(13, 40, kept), "m")
    assert np.array_equal(_drawn(svg, 0, 13, 40), wanted)
    assert f"a&lt;b: {len(rows)} of 13 filters and {len(cols)} of 40 columns kept" in svg
    assert matrix_picture(_layer(13, 40, kept), "m") == svg


def test_the_compact_matrix_has_the_same_scale() -> None:
    kept = Kept(css="kept", rows=(1, 2), cols=(0, 3, 4))
    root = ET.fromstring(matrix_picture(_layer(4, 6, kept), "m"))
    scale = re.search(r"scale\((\S+) (\S+)\)", next(c for c in root if c.tag == "g").attrib["transform"])
    assert scale
    (small,) = (c for c in root if c.tag == "rect")
    assert float(small.attrib["width"]) == 3 * float(scale[1])
    assert float(small.attrib["height"]) == 2 * float(scale[2])


def test_a_removed_layer_is_all_grey() -> None:
    svg = matrix_picture(_layer(3, 5, Kept(css="kept", rows=(), cols=())), "m")
    assert not _drawn(svg, 0, 3, 5).any()
    assert not [child for child in ET.fromstring(svg) if child.tag == "rect"]


def test_a_large_matrix_is_a_small_picture() -> None:
    every_other = Kept(css="kept", rows=tuple(range(0, 512, 2)), cols=tuple(range(0, 4608, 2)))
    assert len(matrix_picture(_layer(512, 4608, every_other), "m")) < 60_000


@pytest.mark.parametrize(("rows", "cols"), [(1, 1), (1, 100_000), (100_000, 1), (10, 500)])
def test_any_shape_has_a_visible_picture(rows: int, cols: int) -> None:
    layer = _layer(rows, cols, Kept(css="kept", rows=tuple(range(rows)), cols=tuple(range(cols))))
    view = ET.fromstring(matrix_picture(layer, "m")).attrib["viewBox"].split()
    width, height = map(float, view[2:])
    assert 4 <= width <= 860
    assert 4 <= height <= 700


def _stages() -> dict[Stage, Model]:
    dense = Model(graph=tiny_graph(), stage=Stage.DENSE)
    conv = dense.graph.by_name["conv"]
    assert isinstance(conv, Conv2d)
    weight = conv.weight.copy()
    weight[2] = 0
    weight[:, :, 0] = 0
    rows = [account(dense.graph, dense.graph).dense().row("dense")]
    masked = dense.graph.replace(replace(conv, weight=weight))
    admm = dense.advance(masked, Stage.ADMM, waterfall=rows)
    return {Stage.DENSE: dense, Stage.ADMM: admm, Stage.COMPACT: compact(admm)}


def test_stages_of_a_run() -> None:
    conv, fc = float_matrices(_stages())
    assert (conv.name, conv.rows, conv.cols, conv.channel) == ("conv", 4, 9, 9)
    assert [stage.css for stage in conv.stages] == ["admm", "kept"]
    assert conv.left == Kept(css="kept", rows=(0, 1, 3), cols=tuple(range(3, 9)))
    assert fc.stages[0].cols == tuple(range(36))
    assert fc.left.cols == (*range(18), *range(27, 36)), "the columns of filter 2 went with it"


def test_counts_are_those_of_the_waterfall() -> None:
    stages = _stages()
    counts = account(stages[Stage.COMPACT].graph, stages[Stage.DENSE].graph)
    for layer, count in zip(float_matrices(stages), counts.layers, strict=True):
        assert (len(layer.left.rows), len(layer.left.cols)) == (count.rows, count.cols)


def test_a_compact_model_alone_knows_its_origin() -> None:
    stages = _stages()
    alone = float_matrices({Stage.COMPACT: stages[Stage.COMPACT]})
    together = float_matrices(stages)
    assert [(layer.rows, layer.cols, layer.left) for layer in alone] == [
        (layer.rows, layer.cols, layer.left) for layer in together
    ]


def test_a_dense_model_is_kept_whole_even_where_a_weight_is_zero() -> None:
    conv = float_matrices({Stage.DENSE: _stages()[Stage.DENSE]})[0]
    assert (len(conv.left.rows), len(conv.left.cols)) == (4, 9)


def test_integer_networks() -> None:
    net = small_lenet()
    for layer, matrix in zip(net.layers, integer_matrices(net), strict=True):
        weight = layer.terms[0].weight.reshape(len(layer.bias), -1)
        assert (matrix.rows, matrix.cols) == weight.shape
        assert matrix.left.cols == tuple(np.flatnonzero(weight.any(axis=0)).tolist())
