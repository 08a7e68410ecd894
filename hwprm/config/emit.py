"""What goes into a bundle beside the design."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_doc import Doc
from annotated_types import Interval, Unit

from hwprm.config.kinds import Clock, Positive
from hwprm.config.section import Section
from hwprm.core.errors import ConfigError

__all__ = ["TARGETS", "EmitConfig"]

#: What Verilog can be emitted for.
TARGETS = ("any", "ecp5", "ice40")
#: Of a serial line: least clock cycles of a bit; most that its length may be off, a fifth of a bit behind ten of them;
#: bits of the shortest silence, which two bytes take.
DIVIDER_MIN, BAUD_ERROR, SILENCE_BITS = 4, 0.02, 20


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
        Literal["any", "ecp5", "ice40"],
        Doc(
            "Whose cells the Verilog may use: any, plain Verilog for every tool; ecp5, registered multipliers and "
            "accumulators of Lattice ECP5; ice40, registered multipliers of iCE40 UltraPlus (simulators see plain "
            "twins)."
        ),
    ] = "any"
    host: Annotated[
        Literal["axi", "stream8", "uart"],
        Doc(
            "How the outside talks to the design: axi, AXI4-Stream with AXI4-Lite registers; stream8, streams of bytes "
            "and two status pins, 26 pins in all; uart, these bytes in frames on a serial line. The last two are for "
            "weights on the chip."
        ),
    ] = "axi"
    clock: Annotated[Clock, Doc("Clock of a design with a serial line, of which its bits are made.")] = 12.0
    baud: Annotated[
        Annotated[int, Interval(ge=1, le=10**9)],
        Unit("bit/s"),
        Doc("Bits a second on the serial line, within 2 per cent."),
    ] = 115200
    silence: Annotated[
        float,
        Interval(gt=0, le=60000),
        Unit("ms"),
        Doc(
            "How long the serial line has to be high for a transfer to be over: more than the longest gap that the "
            "host leaves inside one."
        ),
    ] = 20.0
    device: Annotated[
        str | None,
        Doc("Device that the design must fit, by the size model, such as `ecp5-25k`; without one none is too large."),
    ] = None

    def agree(self) -> None:
        if self.host != "uart":
            return
        hertz = self.clock * 1e6
        made = hertz / max(self.divider, DIVIDER_MIN)
        if abs(made / self.baud - 1) > BAUD_ERROR:
            fastest = hertz / DIVIDER_MIN
            raise ConfigError(
                f"emit.baud = {self.baud} cannot be made of a clock of {self.clock:g} MHz within "
                f"{100 * BAUD_ERROR:g} per cent, the nearest is {made:.0f}; take that, at most {fastest:.0f}, or "
                "another emit.clock"
            )
        if self.silence_cycles < SILENCE_BITS * self.divider:
            raise ConfigError(
                f"emit.silence = {self.silence:g} ms is less than two bytes take at {self.baud} baud, so no frame "
                f"could come whole; take {1.01e3 * SILENCE_BITS / self.baud:.2g} ms or more"
            )

    @property
    def divider(self) -> int:
        """Clock cycles of a bit on the serial line."""
        return round(self.clock * 1e6 / self.baud)

    @property
    def silence_cycles(self) -> int:
        """Clock cycles of `silence`."""
        return round(self.clock * 1e3 * self.silence)
