"""What quantisation did to each layer, and which classes the integers confuse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from hwprm.reporting.curves.svg import bar, element, number, picture
from hwprm.reporting.page.content import Content
from hwprm.reporting.page.parts import Bar, Bars, Column, Figure, Figures, Section, Table

__all__ = ["quality_section"]

Facts = Mapping[str, Any]
#: dB of a bar's full length; 8 bits of noise spread evenly are 50.
FULL = 60.0
#: Size of a histogram, side of a square of the confusion matrix, room for its labels, pixels.
WIDE, TALL, SIDE, EDGE = 220, 56, 32, 34
#: Most classes whose matrix is drawn, and rows of the list that stands for a larger one.
DRAWN, LISTED = 20, 12


def quality_section(content: Content) -> Iterator[Section]:
    """Signal to noise and histograms of the layers' integers, and the confusion matrix; nothing where none is known."""
    quality = content.quality
    if quality is None:
        return
    rows = quality["layers"]
    charts = (
        ("Signal to noise, dB, all layers in integers", tuple(_bars(rows, "sqnr_db"))),
        ("... this layer alone in integers", tuple(_bars(rows, "alone_db"))),
    )
    lead = (
        f"Measured on {quality['images']} test images against the same layers in float64. A layer that is much noisier "
        "alone than the others is the one to give more bits; one that clips has a range that its calibration images do "
        "not reach."
    )
    histograms = Figures(
        figures=tuple(
            Figure(title=row["name"], picture=_histogram(row), caption=f"{row['low']:,} to {row['high']:,}")
            for row in rows
        ),
        small=True,
    )
    parts = (Bars(charts=charts), _table(rows), histograms)
    yield Section(id="quality", title="Quantisation", lead=lead, parts=parts)
    if (matrix := quality["confusion"]) is not None:
        yield _confusion(matrix)


def _bars(rows: Sequence[Facts], key: str) -> Iterator[Bar]:
    for row in rows:
        ratio = row[key]
        share = 1.0 if ratio is None else min(max(ratio / FULL, 0.0), 1.0)
        yield Bar(label=row["name"], value="exact" if ratio is None else f"{ratio:.1f}", picture=bar(share))


def _table(rows: Sequence[Facts]) -> Table:
    heads = ("S/N, dB", "alone, dB", "alone loses, points", "clipped, %", "lowest", "highest")
    return Table(
        caption="Layers in integers",
        columns=(Column(title="Layer", numeric=False), *(Column(title=head) for head in heads)),
        rows=tuple(
            (
                row["name"],
                _decibels(row["sqnr_db"]),
                _decibels(row["alone_db"]),
                "-" if row["alone_lost"] is None else f"{row['alone_lost']:.2f}",
                f"{row['clipped']:.3f}",
                f"{row['low']:,}",
                f"{row['high']:,}",
            )
            for row in rows
        ),
    )


def _decibels(ratio: float | None) -> str:
    return "exact" if ratio is None else f"{ratio:.1f}"


def _histogram(row: Facts) -> Markup:
    """Square roots of the counts, so that the few large values are seen beside the many zeros."""
    counts = row["histogram"]
    step, most = WIDE / len(counts), max(max(counts), 1) ** 0.5
    bars = "".join(
        f"M{number(step * i)} {TALL}v-{number(TALL * count**0.5 / most)}h{number(step - 1)}V{TALL}z"
        for i, count in enumerate(counts)
        if count
    )
    parts = [element("rect", class_="plot", width=WIDE, height=TALL), element("path", class_="solid", d=bars)]
    title = f"{row['name']}: how often its integers from {row['low']} to {row['high']} occur, square roots"
    return picture(title, *parts, class_="histogram", viewBox=f"0 0 {WIDE} {TALL}", style=f"max-width:{WIDE}px")


def _confusion(matrix: Sequence[Sequence[int]]) -> Section:
    images, right = sum(map(sum, matrix)), sum(row[i] for i, row in enumerate(matrix))
    lead = f"{right:,} of {images:,} test images are classified as they are labelled, by the integers."
    wrong = sorted(
        (
            (count, label, answer)
            for label, row in enumerate(matrix)
            for answer, count in enumerate(row)
            if label != answer
        ),
        key=lambda entry: (-entry[0], entry[1:]),
    )
    table = Table(
        caption="Most frequent mistakes",
        columns=(
            Column(title="Label", numeric=False),
            Column(title="Answer"),
            Column(title="Images"),
            Column(title="% of the label"),
        ),
        rows=tuple(
            (str(label), str(answer), f"{count:,}", f"{100 * count / sum(matrix[label]):.1f}")
            for count, label, answer in wrong[:LISTED]
            if count
        ),
    )
    parts: tuple[Figures | Table, ...] = (table,) if table.rows else ()
    if len(matrix) <= DRAWN:
        figure = Figure(
            title="Confusion matrix",
            picture=_matrix_picture(matrix),
            caption="rows: labels, columns: answers; darker is more, of the label's images",
        )
        parts = (Figures(figures=(figure,)), *parts)
    return Section(id="confusion", title="Answers", lead=lead, parts=parts)


def _matrix_picture(matrix: Sequence[Sequence[int]]) -> Markup:
    size = EDGE + SIDE * len(matrix)
    parts = []
    for label, row in enumerate(matrix):
        place = EDGE + SIDE * label
        for x, y in ((EDGE / 2, place + SIDE / 2 + 4), (place + SIDE / 2, EDGE / 2 + 4)):
            parts.append(element("text", str(label), class_="head", x=x, y=y, text_anchor="middle"))
        for answer, count in enumerate(row):
            at = {"x": EDGE + SIDE * answer, "y": place}
            told = element("title", f"label {label}, answer {answer}: {count:,}")
            share = count / max(sum(row), 1)
            css = "kept" if answer == label else "admm"
            # A square root: one in a hundred is what one looks for.
            square = element(
                "rect", class_=css, width=SIDE - 1, height=SIDE - 1, fill_opacity=number(0.45 * share**0.5), **at
            )
            under = element("rect", told, class_="plot", width=SIDE - 1, height=SIDE - 1, **at)
            parts += [under, square] if count else [under]
            if count:
                text = {"x": at["x"] + SIDE / 2, "y": at["y"] + SIDE / 2 + 4}
                parts.append(
                    element(
                        "text",
                        f"{count}",
                        class_="count",
                        text_anchor="middle",
                        **text,
                    )
                )
    title = f"confusion matrix of {len(matrix)} classes"
    return picture(
        title, *parts, class_="confusion", viewBox=f"0 0 {size} {size}", style=f"min-width:{size}px; max-width:{size}px"
    )
