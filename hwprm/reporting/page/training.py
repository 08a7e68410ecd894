"""The curves of training and pruning: loss, accuracy and learning rate; residuals and penalty of ADMM."""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup

from hwprm.reporting.curves.axes import Axis, axis_of, counted
from hwprm.reporting.curves.panels import KINDS, Curves, Panel, Series, curves_of
from hwprm.reporting.curves.svg import element, number, picture
from hwprm.reporting.page.content import Content
from hwprm.reporting.page.parts import Figure, Figures, Section

__all__ = ["training_section"]

#: Pixels: height of a plot, room above it, height of the epochs below it, width of the axis beside it.
HEIGHT, HEAD, FOOT, AXIS = 150, 10, 22, 56
#: Units of a plot's width; it is stretched to the screen's.
WIDTH = 1000
LEADS = {
    "training": (
        "Training and pruning",
        "Each epoch once; the shades are the stages. Put the pointer on an epoch to read its numbers.",
    ),
    "residuals": (
        "ADMM residuals",
        "At each update: how far a layer's weights W are from their projection Z, and how far Z still moves.",
    ),
}


def training_section(content: Content) -> Iterator[Section]:
    """Curves of the furthest float network, which knows the epochs of those before it."""
    *_, last = content.models.values() or (None,)
    curves = curves_of(last) if last else None
    if not curves:
        return
    shades = tuple((f"span{i}", kind) for i, kind in enumerate(KINDS) if kind in {s.kind for s in curves.spans})
    for group, (title, lead) in LEADS.items():
        panels = [panel for panel in curves.panels if panel.group == group]
        if panels:
            figures = tuple(_figure(panel, curves) for panel in panels)
            if group == "training" and last and (teacher := last.meta.get("teacher")):
                lead += f" The loss asks for the outputs of a teacher: {teacher['name']}, {teacher['sha256'][:12]}."
            part = Figures(figures=figures, legend=(*shades, *_lines(panels)))
            yield Section(id=group, title=title, lead=lead, parts=(part,))


def _lines(panels: list[Panel]) -> Iterator[tuple[str, str]]:
    """Legend of the panel with the most series; panels with one line need none."""
    series = max((panel.series for panel in panels), key=len)
    if len(series) > 1:
        yield from ((f"swatch {_hue(line, i)}", line.name) for i, line in enumerate(series) if not line.faint)
        if faint := sum(line.faint for line in series):
            yield "swatch faint", f"{faint} other layers"


def _hue(line: Series, index: int) -> str:
    return "faint" if line.faint else f"line{index}"


def _figure(panel: Panel, curves: Curves) -> Figure:
    axis = axis_of(panel.values, log=panel.log)
    ends = [(line.name, line.points[-1][1]) for line in panel.series if line.points]
    if panel.marks:
        caption = panel.measured
    elif len(ends) == 1:
        caption = f"in the end {ends[0][1]:.4g}"
    else:
        name, most = max(ends, key=lambda end: end[1])
        caption = f"in the end {most:.3g} at most ({name})"
    return Figure(title=panel.title, picture=_plot(panel, curves, axis), caption=caption, axis=_axis(axis))


def _axis(axis: Axis) -> Markup:
    parts = [
        element("text", f"{mark:,.6g}", class_="head", x=AXIS - 8, y=HEAD + _y(axis, mark) + 4, text_anchor="end")
        for mark in axis.marks
    ]
    return element("svg", *parts, class_="addresses", width=AXIS, height=HEAD + HEIGHT + FOOT, aria_hidden="true")


def _plot(panel: Panel, curves: Curves, axis: Axis) -> Markup:
    places = curves.places
    inside = [element("rect", class_="plot", width=WIDTH, height=HEIGHT)]
    for span in curves.spans:
        css = f"span{KINDS.index(span.kind)}"
        box = {"x": _left(span.first, places), "width": WIDTH * (span.last - span.first + 1) / places}
        inside.append(element("rect", class_=css, height=HEIGHT, **box))
    for mark in axis.marks:
        y = _y(axis, mark)
        inside.append(element("line", class_="grid", x1=0, x2=WIDTH, y1=y, y2=y))
    # Faint lines lie below those with a colour.
    for i, line in sorted(enumerate(panel.series), key=lambda pair: not pair[1].faint):
        for piece in curves.pieces(line.points):
            inside += _line(piece, f"curve {_hue(line, i)}", axis, places, curves.dotted and not line.faint)
    for _, place, value in panel.marks:
        inside += _line(((place, value),), "curve mark", axis, places, True)
    inside += _pointed(panel, curves)
    canvas = element(
        "svg",
        *inside,
        y=HEAD,
        width="100%",
        height=HEIGHT,
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        preserveAspectRatio="none",
        overflow="visible",
        aria_hidden="true",
    )
    title = f"{panel.title} over {curves.epochs} epochs"
    return picture(title, canvas, *_epochs(curves), class_="curves", height=HEAD + HEIGHT + FOOT)


def _line(points: tuple[tuple[float, float], ...], css: str, axis: Axis, places: int, dotted: bool) -> Iterator[Markup]:
    """A line, `dotted` with a dot at each point; of a single point the dot alone."""
    spots = [f"{number(_middle(place, places))} {number(_y(axis, value))}" for place, value in points]
    if len(spots) > 1:
        yield element("path", class_=css, d="M" + "L".join(spots))
    if dotted or len(spots) == 1:
        dots = "".join(f"M{spot}h0" for spot in spots)
        yield element("path", class_=f"{css} dots", d=dots)


def _pointed(panel: Panel, curves: Curves) -> Iterator[Markup]:
    """An invisible box over each epoch, whose title has the numbers."""
    named = [line for line in panel.series if not line.faint]
    values: dict[int, list[str]] = {}
    for line in named:
        last = {int(place + 0.5): value for place, value in line.points}  # of the updates in an epoch
        for place, value in last.items():
            values.setdefault(place, []).append(f"{line.name} {value:.4g}")
    for stage, place, value in panel.marks:
        values.setdefault(place, []).append(f"test split, {stage} {value:.2f}")
    for span in curves.spans:
        for place in range(span.first, span.last + 1):
            if place in values:
                yield _box(place, curves, f"epoch {place}, {span.name}: {', '.join(values[place])}")
    for place in range(curves.epochs + 1, curves.places + 1):
        if place in values:
            yield _box(place, curves, f"then: {', '.join(values[place])}")


def _box(place: int, curves: Curves, text: str) -> Markup:
    box = {"x": _left(place, curves.places), "width": WIDTH / curves.places}
    return element("rect", element("title", text), class_="pointed", height=HEIGHT, **box)


def _epochs(curves: Curves) -> Iterator[Markup]:
    for epoch in counted(curves.epochs):
        x = f"{number(100 * (epoch - 0.5) / curves.places)}%"
        yield element("text", str(epoch), class_="head", x=x, y=HEAD + HEIGHT + 16, text_anchor="middle")


def _left(place: int, places: int) -> float:
    return WIDTH * (place - 1) / places


def _middle(place: float, places: int) -> float:
    return WIDTH * (place - 0.5) / places


def _y(axis: Axis, value: float) -> float:
    return HEIGHT * (1 - axis.place(value))
