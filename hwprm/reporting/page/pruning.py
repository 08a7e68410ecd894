"""The parts of a page that tell of pruning: shapes, matrices, what is left after each step, accuracy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hwprm.model import Stage
from hwprm.reporting.curves.svg import bar
from hwprm.reporting.facts.facts import removal_facts
from hwprm.reporting.page.content import Content
from hwprm.reporting.page.matrices import MatrixLayer, float_matrices, integer_matrices, matrix_picture
from hwprm.reporting.page.network import graph_steps, integer_steps, network_part
from hwprm.reporting.page.parts import Bar, Bars, Column, Figure, Figures, Section, Table
from hwprm.reporting.tables import RULES

__all__ = ["accuracy_section", "matrices_section", "network_section", "removals_section", "waterfall_section"]

#: Title, key of a waterfall's row, and unit.
COUNTS = (
    ("Weights of the convolutions", "conv_only"),
    ("All weights", "all_weights"),
    ("Stored bits", "stored_bits"),
)
#: Names of stages and of rows of the waterfall, for people.
NAMES = {
    "dense": "Dense",
    "widths": "Widths",
    "narrowed": "Narrowed",
    "shrunk": "Shrunk",
    "admm": "ADMM",
    "purified": "P-RM",
    "purification": "Purification",
    "path_removal": "Unused paths",
    "compact": "Compact",
    "finetuned": "Fine-tuned",
    "integer": "Integer",
}


def network_section(content: Content) -> Iterator[Section]:
    """Steps of the float network where it is there, else of the integer network."""
    masked, compact = content.masked, content.compact
    pruned = masked is not None and compact is not None
    if masked or compact:
        steps = graph_steps(masked, compact) if masked else graph_steps(compact) if compact else ()
        unit = "Shapes are channels × height × width" + (", before → after pruning." if pruned else ".")
    elif content.network:
        steps = integer_steps(content.network)
        unit = "Shapes are channels × height × width; each step is one layer of the accelerator."
    else:
        return
    yield Section(id="network", title="Network", lead=unit, parts=(network_part(steps, pruned=pruned),))


def matrices_section(content: Content) -> Iterator[Section]:
    """One picture per weight matrix."""
    if content.models:
        layers = float_matrices(content.models)
        lead = (
            "One row per filter, one column per position (channel, ky, kx) of im2col; marks above a matrix part its "
            "input channels. What is kept is drawn in its place, and below as the smaller, regular matrix that is left."
        )
    elif content.network:
        layers = integer_matrices(content.network)
        lead = (
            "One row per filter, one column per position (channel, ky, kx) of im2col, as the accelerator holds them. "
            "Columns without a weight are in no column list: they take neither memory nor time."
        )
    else:
        layers, lead = (), ""
    if not layers:
        return
    figures = tuple(
        Figure(title=layer.name, picture=matrix_picture(layer, f"matrix-{i}"), caption=_sizes(layer))
        for i, layer in enumerate(layers)
    )
    yield Section(
        id="matrices", title="Weight matrices", lead=lead, parts=(Figures(figures=figures, legend=_legend(layers)),)
    )


def _sizes(layer: MatrixLayer) -> str:
    before, after = layer.rows * layer.cols, len(layer.left.rows) * len(layer.left.cols)
    sizes = f"{layer.rows:,} × {layer.cols:,}"
    if after == before:
        return f"{sizes}, all kept"
    if not after:
        return f"{sizes}, removed"
    return f"{sizes} → {len(layer.left.rows):,} × {len(layer.left.cols):,}, {100 * after / before:.3g} % of the weights"


def _legend(layers: tuple[MatrixLayer, ...]) -> tuple[tuple[str, str], ...]:
    if len(layers[0].stages) > 1:
        return (("kept", "kept"), ("admm", "removed by P-RM"), ("gone", "removed by ADMM"))
    return (("kept", "kept"), ("gone", "removed"))


def waterfall_section(content: Content) -> Iterator[Section]:
    """What is left after each step, counted three ways."""
    rows = content.facts.get("waterfall")
    if not rows:
        return
    charts = tuple((title, tuple(_falls(rows, key))) for title, key in COUNTS)
    lead = (
        "What is left after each step. Convolutions only is what the P-RM paper counts; stored bits are weights, "
        "column lists and biases, against the dense network in 32-bit floats."
    )
    legend = (("solid", "left"), ("ghost", "removed by this step"))
    yield Section(id="compression", title="Compression", lead=lead, parts=(Bars(charts=charts, legend=legend),))


def _falls(rows: list[Mapping[str, Any]], key: str) -> Iterator[Bar]:
    base = rows[0][key]["base"]
    before = base
    for row in rows:
        left, ratio = row[key]["left"], row[key]["ratio"]
        share, ghost = (left / base, before / base) if base else (0.0, 0.0)
        yield Bar(
            label=NAMES.get(row["stage"], row["stage"]),
            value=f"{left:,}",
            note=f"{ratio:.2f}×",
            picture=bar(min(share, 1.0), ghost=min(ghost, 1.0)),
        )
        before = left


def removals_section(content: Content) -> Iterator[Section]:
    """What each rule of P-RM took of each layer, folded, and what it had to leave."""
    *_, last = content.models.values() or (None,)
    facts = removal_facts(last) if last else {}
    titles = ("Rule", "Layer", "What")
    heads = tuple(Column(title=title, numeric=False) for title in titles)
    tables = []
    if rows := facts.get("removals"):
        cells = [(RULES[r["rule"]], r["layer"], r["kind"], f"{r['count']:,}", f"{r['weights']:,}") for r in rows]
        cells.append(("all", "", "", "", f"{sum(r['weights'] for r in rows):,}"))
        columns = (*heads, Column(title="How many"), Column(title="Weights freed"))
        tables.append(Table(caption="Removed", columns=columns, rows=tuple(cells), total=True, folded=True))
    if texts := facts.get("refusals"):
        column = (Column(title="Could not be removed exactly", numeric=False),)
        tables.append(Table(caption="Left", columns=column, rows=tuple((text,) for text in texts), folded=True))
    if tables:
        lead = "What purification's thresholds (Th1 to Th4) and unused-path removal took of each layer."
        yield Section(id="removals", title="P-RM", lead=lead, parts=tuple(tables))


def accuracy_section(content: Content) -> Iterator[Section]:
    """Per cent on the test split, stage by stage, and what each stage cost."""
    accuracy = content.facts.get("accuracy")
    if not accuracy:
        return
    first = next(iter(accuracy.values()))
    rows = []
    before = first
    for stage, percent in accuracy.items():
        rows.append((NAMES.get(stage, stage), f"{percent:.2f}", _points(percent - before), _points(percent - first)))
        before = percent
    columns = (
        Column(title="Stage", numeric=False),
        Column(title="Per cent"),
        Column(title="Step"),
        Column(title="In all"),
    )
    lead = "On the test split. The integer network is what the hardware computes; the others are floats."
    if Stage.DENSE not in accuracy:
        lead = "On the test split."
    table = Table(caption="Accuracy by stage, per cent and percentage points", columns=columns, rows=tuple(rows))
    yield Section(id="accuracy", title="Accuracy", lead=lead, parts=(table,))


def _points(value: float) -> str:
    return "±0.00" if abs(value) < 0.005 else f"{value:+.2f}".replace("-", "−")
