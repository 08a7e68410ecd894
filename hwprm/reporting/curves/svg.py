"""Elements of inline SVG as text: escaped, numbers short, same input same bytes. Colours are the page's classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from markupsafe import Markup, escape

__all__ = ["bar", "element", "number", "picture", "runs", "stacked"]

#: Coordinate of a bar's full length, of its height, and width of its mark.
LENGTH, HEIGHT, MARK = 1000, 10, 4


def number(value: float) -> str:
    """`value` with at most two decimals and no trailing zeros."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def element(tag: str, *children: str, **attributes: str | float) -> Markup:
    """``<tag ...>children</tag>``; ``class_`` is ``class`` and other underscores are hyphens. Text is escaped."""
    words = [tag]
    for key, value in attributes.items():
        name = key.rstrip("_").replace("_", "-")
        words.append(f'{name}="{escape(value if isinstance(value, str) else number(value))}"')
    inside = Markup("").join(children)
    return Markup(f"<{' '.join(words)}>{inside}</{tag}>" if inside else f"<{' '.join(words)}/>")


def picture(title: str, *children: str, **attributes: str | float) -> Markup:
    """An ``<svg>`` that a screen reader reads as the image `title`."""
    return element("svg", element("title", title), *children, role="img", **attributes)


def bar(solid: float, *, ghost: float = 0.0, mark: float | None = None) -> Markup:
    """A horizontal bar; shares of its full length. `ghost` is drawn behind `solid`, `mark` is a line across.

    It carries no title: the numbers stand beside it as text. Raises ValueError for a share outside 0..1.
    """
    if not all(0 <= share <= 1 for share in (solid, ghost, mark or 0.0)):
        raise ValueError(f"a bar's shares lie in 0..1, not {solid}, {ghost}, {mark}")
    parts = [element("rect", class_="track", width=LENGTH, height=HEIGHT)]
    if ghost:
        parts.append(element("rect", class_="ghost", width=LENGTH * ghost, height=HEIGHT))
    # A value that is not nothing must not look like nothing.
    parts.append(element("rect", class_="solid", width=max(LENGTH * solid, 3.0 if solid else 0.0), height=HEIGHT))
    if mark is not None:
        place = min(max(LENGTH * mark - MARK / 2, 0), LENGTH - MARK)
        parts.append(element("rect", class_="mark", x=place, width=MARK, height=HEIGHT))
    return element(
        "svg", *parts, class_="bar", viewBox=f"0 0 {LENGTH} {HEIGHT}", preserveAspectRatio="none", aria_hidden="true"
    )


def stacked(shares: Mapping[str, float]) -> Markup:
    """A horizontal bar of pieces, each a class and a share of its full length, one behind the other.

    Raises ValueError when the shares are negative or more than 1 together.
    """
    if any(share < 0 for share in shares.values()) or sum(shares.values()) > 1 + 1e-9:
        raise ValueError(f"a bar's shares lie in 0..1 together, not {dict(shares)}")
    parts, at = [element("rect", class_="track", width=LENGTH, height=HEIGHT)], 0.0
    for name, share in shares.items():
        if share:
            parts.append(element("rect", class_=name, x=at, width=LENGTH * share, height=HEIGHT))
        at += LENGTH * share
    return element(
        "svg", *parts, class_="bar", viewBox=f"0 0 {LENGTH} {HEIGHT}", preserveAspectRatio="none", aria_hidden="true"
    )


def runs(indices: Iterable[int]) -> list[tuple[int, int]]:
    """``(first, length)`` of each run of consecutive numbers in the ascending `indices`."""
    found: list[tuple[int, int]] = []
    for index in indices:
        if found and found[-1][0] + found[-1][1] == index:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((index, 1))
    return found
