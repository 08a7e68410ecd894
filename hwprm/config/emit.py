"""What goes into a bundle beside the design."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_doc import Doc

from hwprm.config.kinds import Positive
from hwprm.config.section import Section

__all__ = ["TARGETS", "EmitConfig"]

#: What Verilog can be emitted for.
TARGETS = ("any", "ecp5")


@dataclass(frozen=True, kw_only=True)
class EmitConfig(Section, section="emit"):
    """Content of a bundle."""

    images: Annotated[
        Positive,
        Doc(
            "Images of the test split stored with their golden logits, the first ones; fewer where the split is "
            "smaller."
        ),
    ] = 128
    target: Annotated[
        Literal["any", "ecp5"],
        Doc(
            "Whose cells the Verilog may use: any, plain Verilog for every tool; ecp5, registered multipliers and "
            "accumulators of Lattice ECP5 (simulators see plain twins)."
        ),
    ] = "any"
    host: Annotated[
        Literal["axi", "stream8"],
        Doc(
            "How the outside talks to the design: axi, AXI4-Stream with AXI4-Lite registers; stream8, streams of bytes "
            "and two status pins, 26 pins in all, for weights on the chip."
        ),
    ] = "axi"
    device: Annotated[
        str | None,
        Doc("Device that the design must fit, by the size model, such as `ecp5-25k`; without one none is too large."),
    ] = None
