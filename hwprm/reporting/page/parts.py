"""What a page is made of; `page.html.j2` knows how each part looks. Text is plain, the template escapes it."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

__all__ = [
    "Bar",
    "Bars",
    "Column",
    "Dial",
    "Figure",
    "Figures",
    "Network",
    "NetworkRow",
    "Part",
    "Section",
    "Table",
    "Tile",
]


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One of the figures at the top. `state` is ``good``, ``bad`` or empty."""

    label: str
    value: str
    note: str = ""
    state: str = ""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A labelled bar with its number as text."""

    label: str
    value: str
    picture: Markup
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Bars:
    """Charts side by side, each a title and its bars."""

    charts: tuple[tuple[str, tuple[Bar, ...]], ...]
    #: ``(class, meaning)`` of what the bars show.
    legend: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A picture with a heading and a caption. One with an `axis` beside it can be moved sideways, in its own box."""

    title: str
    picture: Markup
    caption: str = ""
    axis: Markup | None = None


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Pictures that share a legend; `small` ones stand side by side."""

    figures: tuple[Figure, ...]
    legend: tuple[tuple[str, str], ...] = ()
    small: bool = False


@dataclass(frozen=True, kw_only=True)
class NetworkRow:
    """One step of the network: shapes of what it makes, ``before`` empty where nothing is known."""

    name: str
    what: str
    before: str
    after: str
    removed: bool = False


@dataclass(frozen=True, kw_only=True)
class Network:
    """Steps from input to output, and the picture of their connections, equally high."""

    rows: tuple[NetworkRow, ...]
    rail: Markup
    #: Width of the rail in pixels.
    width: int


@dataclass(frozen=True, kw_only=True)
class Column:
    """Head of a table's column."""

    title: str
    numeric: bool = True


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table; the first cell of each row is the row's head. A folded one opens on a click on its caption."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    #: The last row is a sum.
    total: bool = False
    folded: bool = False


@dataclass(frozen=True, kw_only=True)
class Dial:
    """Images per second at a clock in MHz that the reader moves, between 1 and `most`; it stands at `clock` first."""

    cycles: float
    clock: int
    most: int

    @property
    def rate(self) -> str:
        """Images per second at the clock that it stands at first."""
        return f"{self.clock * 1e6 / self.cycles:,.0f}"


Part = Bars | Dial | Figures | Network | Table


@dataclass(frozen=True, kw_only=True)
class Section:
    """A headed part of the page. `id` is its anchor."""

    id: str
    title: str
    lead: str
    parts: tuple[Part, ...]
