"""Weight matrices with what pruning left of them, as in Figure 1 of the P-RM paper.

A layer's matrix has a row per filter and a column per position (channel, ky, kx) of im2col. What is left after a stage
is the rectangle *rows with a weight x columns with a weight*, as `hwprm.pruning.accounting` counts it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from hwprm.graph import Graph
from hwprm.graph.liveness import filled_lines
from hwprm.intnet import IntegerNetwork
from hwprm.model import Model, Stage
from hwprm.reporting.curves.svg import element, number, picture, runs
from hwprm.reporting.page.network import channelwise

__all__ = ["Kept", "MatrixLayer", "float_matrices", "integer_matrices", "matrix_picture"]

#: Pixels: most of a picture's width and of a matrix's height, least of its height, most of a cell's side, gap, axis.
WIDTH, TALL, LOW, CELL, GAP, AXIS = 860, 320, 24, 12, 14, 5
#: Channels are marked where their marks are so many pixels apart.
MARKS_APART = 4


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Filters and columns that have a weight after a stage, ascending; `css` is the class they are drawn in."""

    css: str
    rows: tuple[int, ...]
    cols: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class MatrixLayer:
    """One matrix: its first size, columns of an input channel, and what each stage left (each part of the one before).

    What no stage has is drawn in the class ``gone``.
    """

    name: str
    rows: int
    cols: int
    channel: int
    stages: tuple[Kept, ...]

    @property
    def left(self) -> Kept:
        """What is left in the end."""
        return self.stages[-1]


def float_matrices(models: Mapping[Stage, Model]) -> tuple[MatrixLayer, ...]:
    """Every weighted layer of the furthest of `models`, and of the earlier ones where they are there."""
    *earlier, last = models.values()
    base = _base_shapes(models)
    final = _left(last)
    admm = models[Stage.ADMM] if len(models) > 1 and Stage.ADMM in models and last.stage is not Stage.ADMM else None
    middle = _left(admm) if admm else {}
    pruned = last.stage is not Stage.DENSE
    layers = []
    for name, (rows, cols, channel) in base.items():
        nothing: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
        stages = [Kept(css="admm", rows=middle[name][0], cols=middle[name][1])] if name in middle else []
        found = final.get(name, nothing) if pruned else (tuple(range(rows)), tuple(range(cols)))
        stages.append(Kept(css="kept", rows=found[0], cols=found[1]))
        layers.append(MatrixLayer(name=name, rows=rows, cols=cols, channel=channel, stages=tuple(stages)))
    return tuple(layers)


def integer_matrices(net: IntegerNetwork) -> tuple[MatrixLayer, ...]:
    """Every term of an integer network with more than a factor per channel.

    Columns without a weight are what the column lists skip.
    """
    layers = []
    for layer in net.layers:
        for i, term in enumerate(layer.terms):
            if channelwise(term):
                continue
            matrix = np.asarray(term.weight).reshape(len(layer.bias), -1)
            name = layer.name if len(layer.terms) == 1 else f"{layer.name}, summand {i + 1}"
            channel = int(np.prod(term.weight.shape[2:]))
            stages = (Kept(css="kept", **_nonzero(matrix)),)
            layers.append(
                MatrixLayer(name=name, rows=len(matrix), cols=matrix.shape[1], channel=channel, stages=stages)
            )
    return tuple(layers)


def matrix_picture(layer: MatrixLayer, key: str) -> Markup:
    """The matrix with what is left in place, and below it the compact matrix at the same scale.

    `key` is unique on the page: clip paths are named after it.
    """
    # Cells are square where the matrix is neither too flat nor too tall for that.
    width = min(WIDTH, CELL * layer.cols)
    height = min(max(width * layer.rows / layer.cols, min(LOW, CELL * layer.rows)), TALL, CELL * layer.rows)
    dx, dy = width / layer.cols, height / layer.rows
    small = (max(dx * len(layer.left.cols), 2), max(dy * len(layer.left.rows), 2))
    compact = element("rect", class_="kept", y=AXIS + height + GAP, width=small[0], height=small[1])
    whole = AXIS + height + (GAP + small[1] if layer.left.rows else 0)
    matrix = element(
        "g",
        element("rect", class_="gone", width=layer.cols, height=layer.rows),
        *_stages(layer, key),
        transform=f"translate(0 {AXIS}) scale({_fine(dx)} {_fine(dy)})",
    )
    left = f"{len(layer.left.rows)} of {layer.rows} filters and {len(layer.left.cols)} of {layer.cols} columns kept"
    parts = [*_channel_marks(layer, dx), matrix, *([compact] if layer.left.rows else [])]
    # A very narrow matrix still has a picture of a width that can be seen.
    view = f"0 0 {number(max(width, CELL))} {number(whole)}"
    return picture(
        f"{layer.name}: {left}", *parts, class_="matrix", viewBox=view, style=f"max-width:{number(max(width, CELL))}px"
    )


def _stages(layer: MatrixLayer, key: str) -> Iterator[Markup]:
    """Each stage's columns, cut to its rows: sizes grow with rows plus columns, not with their product."""
    for i, kept in enumerate(layer.stages):
        rows = "".join(f"M0 {start}h{layer.cols}v{length}h-{layer.cols}z" for start, length in runs(kept.rows))
        cols = "".join(f"M{start} 0h{length}v{layer.rows}h-{length}z" for start, length in runs(kept.cols))
        yield element("clipPath", element("path", d=rows), id=f"{key}-{i}")
        yield element("path", class_=kept.css, d=cols, clip_path=f"url(#{key}-{i})")


def _channel_marks(layer: MatrixLayer, dx: float) -> Iterator[Markup]:
    step = layer.channel * dx
    if layer.channel > 1 and step >= MARKS_APART:
        places = range(layer.cols // layer.channel + 1)
        yield element("path", class_="axis", d="".join(f"M{number(i * step)} 0v{AXIS - 1}" for i in places))


def _base_shapes(models: Mapping[Stage, Model]) -> dict[str, tuple[int, int, int]]:
    """Filters, columns, and columns of a channel, of every layer before it was compacted."""
    masked = [model.graph for model in models.values() if model.stage is not Stage.COMPACT]
    if masked:
        return _shapes(masked[0])
    compact = next(iter(models.values()))
    channel = {name: shape[2] for name, shape in _shapes(compact.graph).items()}
    dense = next((row["layers"] for row in compact.meta.get("waterfall", ()) if row["stage"] == "dense"), None)
    if dense is None or "plan" not in compact.meta:  # then nobody knows where its rows and columns were
        return _shapes(compact.graph)
    return {name: (rows, cols, channel.get(name, 1)) for name, (rows, cols) in dense.items()}


def _shapes(graph: Graph) -> dict[str, tuple[int, int, int]]:
    found = {}
    for layer in graph.weighted:
        rows = len(layer.bias)
        found[layer.name] = (rows, layer.weight.size // rows, int(np.prod(layer.weight.shape[2:])))
    return found


def _left(model: Model) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
    """Filters and columns with a weight, by layer, in numbers of the original matrix."""
    plan = model.meta.get("plan") if model.stage is Stage.COMPACT else None
    found = {}
    for layer in model.graph.weighted:
        kept = _nonzero(np.asarray(layer.weight).reshape(len(layer.bias), -1))
        rows, cols = kept["rows"], kept["cols"]
        if plan:
            rows = tuple(plan[layer.name]["rows"][i] for i in rows)
            cols = tuple(plan[layer.name]["cols"])
        found[layer.name] = (rows, cols)
    return found


def _nonzero(matrix: np.ndarray[Any, Any]) -> dict[str, tuple[int, ...]]:
    rows, cols = filled_lines(matrix)
    return {"rows": tuple(np.flatnonzero(rows).tolist()), "cols": tuple(np.flatnonzero(cols).tolist())}


def _fine(value: float) -> str:
    """A scale, to six digits: its error is multiplied by the matrix's size."""
    return f"{value:.6g}"
