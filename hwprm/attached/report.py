"""What a run on a board found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from hwprm.attached.host import Tally
from hwprm.core.errors import MismatchError

__all__ = ["BoardReport"]


@dataclass(frozen=True, kw_only=True)
class BoardReport:
    """Images that a board answered, compared with the integer reference."""

    net: str
    design_hash: str
    port: str
    baud: int
    images: int
    values_compared: int
    mismatches: int
    #: Of the first image that is wrong, in words.
    first_wrong: str | None
    #: Per cent of the images in the class of their label, by the board's results; None without labels or classes.
    accuracy: float | None
    #: From the first byte to the last result.
    seconds: float
    #: Seconds from handing an image to the port to its result, that of an image before it included: half of all took
    #: no longer, and the longest.
    latency: float
    latency_longest: float
    #: Images a second that line and layers allow.
    rate_limit: float
    tally: Tally

    @property
    def ok(self) -> bool:
        """Whether every value was right."""
        return self.mismatches == 0

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.images / self.seconds

    def raise_on_failure(self) -> None:
        """Raise MismatchError unless every value was right."""
        if self.first_wrong:
            raise MismatchError(f"{self.mismatches} of {self.values_compared} values are wrong; {self.first_wrong}")

    def facts(self) -> dict[str, Any]:
        """Plain JSON; docs/hosts.md names the keys."""
        plain = {name: value for name, value in asdict(self).items() if name != "tally"}
        retries = asdict(self.tally) | {"dropped": dict(sorted(self.tally.dropped.items()))}
        return {"board": {"ok": self.ok, **plain, "images_per_second": self.rate, "retries": retries}}
