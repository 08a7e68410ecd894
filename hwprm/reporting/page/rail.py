"""The picture of a network's connections beside a list of its steps: one lane per tensor that is still needed."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from hwprm.reporting.curves.svg import element, number

__all__ = ["lanes", "rail"]

#: Height of a step and distance of lanes; heights are stretched to the list's, widths are pixels.
STEP, PITCH, MARGIN = 10, 16, 12


def lanes(inputs: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """Lane of each step, where ``inputs[i]`` are the earlier steps that step i reads.

    A step takes the leftmost lane of what it reads for the last time, else the leftmost free one; the lane is taken
    until the last step that reads it. So no line ever runs through the dot of another step.
    """
    last = {source: i for i, sources in enumerate(inputs) for source in sources}
    chosen: list[int] = []
    for i, sources in enumerate(inputs):
        taken = {chosen[j] for j in range(i) if last.get(j, j) > i}
        ends = sorted(chosen[j] for j in sources if last[j] == i and chosen[j] not in taken)
        free = next(lane for lane in range(i + 1) if lane not in taken)
        chosen.append(ends[0] if ends else free)
    return tuple(chosen)


def rail(inputs: Sequence[Sequence[int]], kinds: Sequence[str]) -> tuple[Markup, int]:
    """The picture of steps that read `inputs`, and its width in pixels; ``kinds[i]`` is the class of dot i.

    It is hidden from screen readers, for which the list names what each step reads.
    """
    chosen = lanes(inputs)
    width = 2 * MARGIN + PITCH * max(chosen)
    edges = [_edge(j, i, chosen) for i, sources in enumerate(inputs) for j in sorted(set(sources))]
    dots = [
        # A line of no length with round ends stays round however the picture is stretched.
        element("path", class_=f"dot {kind}", d=f"M{_x(lane)} {_y(i)}h0")
        for i, (lane, kind) in enumerate(zip(chosen, kinds, strict=True))
    ]
    view = f"0 0 {width} {STEP * len(inputs)}"
    svg = element(
        "svg", *edges, *dots, class_="rail", viewBox=view, width=width, preserveAspectRatio="none", aria_hidden="true"
    )
    return svg, width


def _edge(source: int, reader: int, chosen: Sequence[int]) -> Markup:
    """Down the lane of `source` until the step before `reader`, then over to its lane."""
    x0, y0, x1, y1 = _x(chosen[source]), _y(source), _x(chosen[reader]), _y(reader)
    bend = number(float(y1) - STEP)
    middle = number(float(y1) - STEP / 2)
    return element("path", class_="edge", d=f"M{x0} {y0}V{bend}C{x0} {middle} {x1} {middle} {x1} {y1}")


def _x(lane: int) -> str:
    return number(MARGIN + PITCH * lane)


def _y(step: int) -> str:
    return number(STEP * step + STEP / 2)
