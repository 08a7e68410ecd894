"""Options of a design on a board."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_doc import Doc
from annotated_types import Interval, Len, Unit

from hwprm.config.kinds import MaybeRepeats, Positive, Seconds
from hwprm.config.section import Section

__all__ = ["BoardConfig"]


@dataclass(frozen=True, kw_only=True)
class BoardConfig(Section, section="board"):
    """Which board a design is for, emitted with `emit.host = uart`, and how to talk to it there."""

    name: Annotated[
        Annotated[str, Len(1)] | None,
        Doc("Board that a bitstream is made for, such as `icebreaker` or `ulx3s-85f`; docs/hosts.md lists them."),
    ] = None
    port: Annotated[
        Annotated[str, Len(1)] | None,
        Doc("Serial port that the board hangs on, such as /dev/ttyUSB1, or COM4 on Windows."),
    ] = None
    baud: Annotated[
        Annotated[int, Interval(ge=1, le=10**9)] | None,
        Unit("bit/s"),
        Doc(
            "Bits a second on the line; without it what `emit.baud` was, which the bundle keeps. Another one is for a "
            "board whose clock is not `emit.clock`."
        ),
    ] = None
    images: Annotated[Positive | None, Doc("Images that are sent, the first ones; all without it.")] = None
    wait: Annotated[
        Seconds, Doc("Longest wait for an answer, beyond what the line and the design take; then the board is asked.")
    ] = 1.0
    retries: Annotated[
        MaybeRepeats, Doc("Failures in a row, without a result between them, that are borne; the next one is an error.")
    ] = 8
