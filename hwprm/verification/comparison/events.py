"""Reading the event log that ``tb_hwprm.v`` writes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Frame", "Section", "Store", "instability", "read_sections", "strayed"]

#: Buses whose offers have to stand still, in the order of their numbers in the log.
BUSES = ("m_axis", "s_axil_b", "s_axil_r", "m_axi_ar")


@dataclass(frozen=True, slots=True)
class Store:
    """A vector of `lanes` pixels of a filter, stored in `cycle`; `data` is hexadecimal and may hold x."""

    cycle: int
    layer: int
    filter: int
    pixel: int
    lanes: int
    data: str


@dataclass(slots=True)
class Frame:
    """What happened to one image: stored vectors until it was done, and the beats that left for it.

    With batches the frame of number k has the beats of image k, and all else of batch k.
    """

    stores: list[Store] = field(default_factory=list)
    #: Cycle in which each of its layers started.
    starts: list[int] = field(default_factory=list)
    #: Cycles lost to external memory before each of them, since reset; empty without external memory.
    waited: list[int] = field(default_factory=list)
    #: Cycle in which its last output word was computed.
    done: int | None = None
    #: Cycle and hexadecimal data of every beat of the result.
    beats: list[tuple[int, str]] = field(default_factory=list)
    #: Whether TLAST was seen.
    complete: bool = False


@dataclass(slots=True)
class Section:
    """Frames between a mark, or a reset inside it, and the next mark."""

    mark: int
    frames: list[Frame] = field(default_factory=list)
    #: Cycle in which the external memory took the first address.
    first_accept: int | None = None
    #: Whether the watchdog barked.
    stuck: bool = False
    #: Cycle and bus, as tb_hwprm.v numbers them, of everything that was offered and gone before it was taken.
    unstable: list[tuple[int, int]] = field(default_factory=list)
    #: Cycles in which an address outside of the external image was offered.
    strayed: list[int] = field(default_factory=list)

    def batches(self, batch: int) -> list[Frame]:
        """The frames that hold what was computed, where `batch` images come at a time and none are missing but last."""
        return self.frames[: -(-len(self.frames) // batch)]


def read_sections(log: Path) -> list[Section]:
    """Sections of the event `log` in order; a section that was reset keeps only what came after the last reset.

    A log that ends in mid-line, after a crash, is read up to there.
    """
    sections = [Section(0)]
    reader = _Reader(sections[0])
    for fields in _lines(log):
        kind, values = fields[0], fields[1:]
        if kind == "M":
            sections.append(Section(int(values[0])))
            reader = _Reader(sections[-1])
        elif kind == "R":
            sections[-1].frames.clear()
            reader = _Reader(sections[-1])
        else:
            reader.take(kind, values)
    return sections


def instability(sections: Sequence[Section]) -> str | None:
    """What was offered on a bus and gone, or changed, before it was taken; None where everything stood still."""
    found = [(section.mark, *event) for section in sections for event in section.unstable]
    if not found:
        return None
    mark, cycle, bus = found[0]
    more = f", and {len(found) - 1} times more" if len(found) > 1 else ""
    return f"{BUSES[bus]} does not hold what it offers until it is taken: cycle {cycle}, test {mark}{more}"


def strayed(sections: Sequence[Section]) -> str | None:
    """When the external memory was asked for what is no part of the image; None where it never was."""
    found = next((section for section in sections if section.strayed), None)
    if found is None:
        return None
    return f"an address outside of the external image is offered in cycle {found.strayed[0]}, test {found.mark}"


def _lines(log: Path) -> Iterator[list[str]]:
    count = {"M": 2, "R": 2, "A": 2, "W": 3, "L": 2, "P": 7, "F": 2, "O": 4, "S": 2, "U": 3, "B": 2}
    if not log.is_file():
        return
    with log.open() as file:
        for line in file:
            fields = line.split()
            if line.endswith("\n") and fields and len(fields) == count.get(fields[0]):
                yield fields


class _Reader:
    """Files events under their frame: computing and sending may be a frame apart."""

    def __init__(self, section: Section) -> None:
        self.section = section
        self.computing = 0
        self.sending = 0

    def _frame(self, index: int) -> Frame:
        while len(self.section.frames) <= index:
            self.section.frames.append(Frame())
        return self.section.frames[index]

    def take(self, kind: str, values: list[str]) -> None:
        if kind == "P":
            cycle, layer, filter, pixel, lanes = map(int, values[:5])
            self._frame(self.computing).stores.append(Store(cycle, layer, filter, pixel, lanes, values[5]))
        elif kind == "L":
            self._frame(self.computing).starts.append(int(values[0]))
        elif kind == "W":
            self._frame(self.computing).waited.append(int(values[1]))
        elif kind == "A":
            self.section.first_accept = int(values[0])
        elif kind == "F":
            self._frame(self.computing).done = int(values[0])
            self.computing += 1
        elif kind == "O":
            frame = self._frame(self.sending)
            frame.beats.append((int(values[0]), values[1]))
            if values[2] == "1":
                frame.complete = True
                self.sending += 1
        elif kind == "S":
            self.section.stuck = True
        elif kind == "U":
            self.section.unstable.append((int(values[0]), int(values[1])))
        elif kind == "B":
            self.section.strayed.append(int(values[0]))
