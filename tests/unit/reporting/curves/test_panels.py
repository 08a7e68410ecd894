"""The curves: spans, series and marks of a model's log; axes; both pictures of them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwprm.model import Model, Stage
from hwprm.reporting.curves.axes import axis_of, counted
from hwprm.reporting.curves.panels import LAYERS, curves_of
from hwprm.reporting.curves.plot import heading, write_plot
from hwprm.reporting.page import write_curves
from tests.conftest import tiny_graph
from tests.support.builds import pruned_log, trained_log

NAMES = [f"layer{i}" for i in range(LAYERS + 4)]


def _model(*logs: list[dict[str, object]], **accuracy: float) -> Model:
    log = [entry for part in logs for entry in part]
    return Model(graph=tiny_graph(), stage=Stage.COMPACT, meta={"name": "tiny", "log": log, "accuracy": accuracy})


def test_spans_are_the_runs_of_the_engine() -> None:
    curves = curves_of(_model(trained_log(3), trained_log(2), pruned_log(), trained_log(1)))
    assert curves is not None
    assert [(span.name, span.kind, span.first, span.last) for span in curves.spans] == [
        ("training", "training", 1, 3),
        ("training", "training", 4, 5),
        ("ADMM joint 1/1", "pruning", 6, 9),
        ("final retrain", "retraining", 10, 11),
        ("fine-tuning", "retraining", 12, 12),
    ]
    assert curves.epochs == 12
    loss = curves.panels[0].series[0].points
    assert [len(piece) for piece in curves.pieces(loss)] == [3, 2, 4, 2, 1]


def test_marks_stand_where_their_stage_ended() -> None:
    curves = curves_of(_model(trained_log(6), pruned_log(), dense=95.0, admm=94.0, purified=93.0, compact=93.5))
    assert curves is not None
    panel = next(panel for panel in curves.panels if panel.marks)
    assert panel.marks == (("dense", 6, 95.0), ("admm", 12, 94.0), ("purified", 13, 93.0), ("compact", 14, 93.5))
    assert curves.places == 14
    assert panel.measured.startswith("test split: dense 95.00, admm 94.00")


def test_shrinking_and_fine_tuning() -> None:
    shrink = [{"stage": "shrink", "epoch": i, "loss": 0.5} for i in (1, 2)]
    curves = curves_of(_model(trained_log(2), shrink, [{"stage": "finetune", "epoch": 1, "loss": 0.4}], dense=95.0))
    assert curves is not None
    spans = [(span.name, span.kind, span.last) for span in curves.spans]
    assert spans == [("training", "training", 2), ("shrinking", "pruning", 4), ("fine-tuning", "retraining", 5)]


def test_what_was_not_logged_is_not_drawn() -> None:
    assert curves_of(_model()) is None
    curves = curves_of(_model([{"stage": "train", "epoch": 1, "loss": 0.5}]))
    assert curves is not None
    assert [panel.title for panel in curves.panels] == ["Loss"]
    assert curves.places == 1


def test_residuals_of_many_layers() -> None:
    curves = curves_of(_model(pruned_log(NAMES)))
    assert curves is not None
    primal, dual = (panel for panel in curves.panels if len(panel.series) > 1)
    assert [line.name for line in primal.series if not line.faint] == NAMES[:LAYERS], "those that ended highest"
    assert [line.name for line in primal.series] == [line.name for line in dual.series]
    assert [place for place, _ in dual.series[0].points] == [2, 3, 4], "a logarithmic axis has no zero"


@given(st.lists(st.floats(1e-9, 1e9), min_size=1), st.booleans())
def test_an_axis_holds_its_values(values: list[float], log: bool) -> None:
    axis = axis_of(values, log=log)
    assert all(-1e-6 <= axis.place(value) <= 1 + 1e-6 for value in values)
    assert list(axis.marks) == sorted(set(axis.marks))
    assert 2 <= len(axis.marks) <= 8
    assert (axis.low, axis.high) == (axis.marks[0], axis.marks[-1])


def test_axes_by_hand() -> None:
    assert axis_of([0.3, 1.9], log=False).marks == pytest.approx((0, 0.5, 1, 1.5, 2))
    assert axis_of([7.0], log=False).place(7.0) == pytest.approx(0, abs=1)
    assert axis_of([0.02, 30.0], log=True).marks == pytest.approx((0.01, 0.1, 1, 10, 100))
    assert axis_of([0.2, 0.7], log=True).marks == pytest.approx((0.1, 0.2, 0.5, 1))
    assert axis_of([0.02, 30.0], log=True).place(1.0) == pytest.approx(0.5)
    assert list(counted(1)) == [1]
    assert list(counted(29)) == [5, 10, 15, 20, 25]


def test_page_names_the_numbers_of_an_epoch(tmp_path: Path) -> None:
    write_curves(_model(trained_log(), pruned_log(), dense=95.0, purified=93.0), tmp_path / "curves.html")
    text = (tmp_path / "curves.html").read_text()
    assert re.findall(r'<section id="(\w+)"', text) == ["training", "residuals"]
    assert "<title>epoch 6, training: loss 0.1667</title>" in text
    assert "<title>epoch 6, training: accuracy 88.33, test split, dense 95.00</title>" in text
    assert "<title>epoch 8, ADMM joint 1/1: fc 0.2, branch 0.2667, stem 0.4</title>" in text
    assert "<title>then: test split, purified 93.00</title>" in text
    assert "<script" not in text


def test_a_long_log_has_no_dots(tmp_path: Path) -> None:
    write_curves(_model(trained_log(61)), tmp_path / "curves.html")
    assert " dots" not in (tmp_path / "curves.html").read_text()


def test_picture(tmp_path: Path) -> None:
    curves = curves_of(_model(trained_log(), pruned_log(NAMES), dense=95.0, purified=93.0))
    assert curves is not None
    for name in ("one", "two"):
        write_plot(curves, "tiny", tmp_path / f"{name}.png")
    data = (tmp_path / "one.png").read_bytes()
    assert data == (tmp_path / "two.png").read_bytes()
    chunks = _chunks(data)
    assert set(chunks) == {b"IHDR", b"pHYs", b"IDAT", b"IEND"}, "no date, no name of a program"
    width, height = (int.from_bytes(chunks[b"IHDR"][at : at + 4]) for at in (0, 4))
    assert (width, height) == (990, 1397)


def test_every_layer_has_its_colour(tmp_path: Path) -> None:
    from matplotlib.image import imread

    curves = curves_of(_model(pruned_log(NAMES[:LAYERS])))
    assert curves is not None
    write_plot(curves, "tiny", tmp_path / "curves.png")
    pixels = (imread(tmp_path / "curves.png")[:, :, :3] * 255).round().astype(int).reshape(-1, 3)
    seen = {tuple(int(part) for part in colour) for colour in np.unique(pixels, axis=0)}
    okabe_ito = ("0072b2", "d55e00", "009e73", "cc79a7", "56b4e9", "e69f00", "000000")
    assert {tuple(bytes.fromhex(colour)) for colour in okabe_ito} <= seen


def _chunks(data: bytes) -> dict[bytes, bytes]:
    """First content of each kind of chunk of a PNG file."""
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    found: dict[bytes, bytes] = {}
    at = 8
    while at < len(data):
        size = int.from_bytes(data[at : at + 4])
        found.setdefault(data[at + 4 : at + 8], data[at + 8 : at + 8 + size])
        at += 12 + size
    return found


def test_the_headings_fit(tmp_path: Path) -> None:
    """Five stages, measured once each, are more than a line holds: nothing is drawn over the edge of the picture."""
    from matplotlib.image import imread

    stages = ("dense", "admm", "purified", "compact", "finetuned")
    curves = curves_of(_model(trained_log(3), pruned_log(NAMES), trained_log(2), **dict.fromkeys(stages, 98.76)))
    heading_of = [heading(panel) for panel in curves.panels if panel.marks]
    assert len(heading_of) == 1 and heading_of[0].count("\n") == 1, heading_of
    write_plot(curves, "tiny", tmp_path / "curves.png")
    picture = imread(tmp_path / "curves.png")[:, :, :3]
    assert (picture[:, -4:] == 1.0).all(), "something is drawn up to the right edge"
