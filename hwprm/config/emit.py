"""What goes into a bundle beside the design."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hwprm.core.errors import ConfigError

__all__ = ["TARGETS", "EmitConfig"]

#: What Verilog can be emitted for.
TARGETS = ("any", "ecp5")


@dataclass(frozen=True, kw_only=True)
class EmitConfig:
    """Content of a bundle."""

    #: Images of the test split stored with their golden logits, the first ones; fewer where the split is smaller.
    images: int = 128
    #: Whose cells the Verilog may use: any, plain Verilog for every tool; ecp5, registered multipliers and accumulators
    #: of Lattice ECP5 (simulators see plain twins).
    target: Literal["any", "ecp5"] = "any"
    #: Device that the design must fit, by the size model, such as `ecp5-25k`; without one none is too large.
    device: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.images, int) or isinstance(self.images, bool) or self.images < 1:
            raise ConfigError(f"emit.images must be 1 or more, not {self.images!r}")
        if self.target not in TARGETS:
            raise ConfigError(f"emit.target must be one of {', '.join(TARGETS)}, not {self.target!r}")
