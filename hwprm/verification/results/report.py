"""`VerifyReport`: what was simulated, what was compared, what differed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from hwprm.core.errors import MismatchError
from hwprm.core.shown import html_table
from hwprm.verification.coverage.summary import LayerCoverage, coverage_line

__all__ = ["Case", "VerifyReport"]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One line of the report and one test case of the JUnit file. `failure` is None when it passed."""

    simulator: str
    mode: str
    name: str
    #: Integers compared, and how many of them were wrong.
    values: int = 0
    wrong: int = 0
    seconds: float = 0.0
    failure: str | None = None
    properties: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class VerifyReport:
    """Outcome of `hwprm.verification.verify_bundle`."""

    net: str
    design_hash: str
    #: Simulators with their versions, such as ``verilator 5.48``.
    simulators: tuple[str, ...]
    #: Images that the bulk mode ran (of the first simulator), and where they came from.
    images: int
    image_source: str
    seed: int
    #: Integers compared, and how many of them were wrong.
    values_compared: int
    mismatches: int
    #: Steady-state clock cycles per image and per layer; simulated is None when no run got so far.
    cycles_predicted: int
    cycles_simulated: int | None
    layer_cycles_predicted: tuple[tuple[str, int], ...]
    layer_cycles_simulated: tuple[tuple[str, int], ...]
    cases: tuple[Case, ...]
    waves: tuple[str, ...]
    seconds: float
    #: Cycles that the last image of the bulk mode waited for external memory besides; None where there is none.
    memory_stalls: int | None = None
    #: What the images made every input and layer do.
    coverage: tuple[LayerCoverage, ...] = ()
    #: Of whose cells the netlist is that was simulated; None for the bundle's own Verilog.
    netlist: str | None = None

    def __repr__(self) -> str:
        cycles = "not simulated" if self.cycles_simulated is None else f"{self.cycles_simulated:,} simulated"
        return (
            f"<VerifyReport {self.net}: {'PASS' if self.ok else 'FAIL'}, {self.values_compared:,} integers compared, "
            f"{self.mismatches:,} mismatches, cycles {self.cycles_predicted:,} predicted, {cycles}>"
        )

    def _repr_html_(self) -> str:
        rows = [(c.simulator, c.mode, c.name, c.values, c.wrong, c.failure or "passed") for c in self.cases]
        head = ("simulator", "mode", "case", "integers", "wrong", "outcome")
        return html_table(repr(self)[1:-1], head, rows)

    @property
    def ok(self) -> bool:
        """Whether everything passed and something was compared."""
        return self.values_compared > 0 and self.mismatches == 0 and not self.failures

    @property
    def coverage_line(self) -> str:
        """How many goals the images reached, in one line."""
        return coverage_line((c.goals, c.reached, c.ruled_out, c.left) for c in self.coverage)

    @property
    def failures(self) -> tuple[Case, ...]:
        """The cases that failed."""
        return tuple(case for case in self.cases if case.failure)

    def raise_on_failure(self) -> None:
        """Raise MismatchError with the first failures unless `ok`."""
        if self.ok:
            return
        lines = [f"{case.simulator} {case.mode}, {case.name}: {case.failure}" for case in self.failures[:4]]
        lines = lines or ["nothing was compared"]
        more = len(self.failures) - 4
        tail = [f"... and {more} more failures"] if more > 0 else []
        head = f"{self.net!r} in RTL is not what the integer reference computes:"
        raise MismatchError("\n".join([head, *lines, *tail]))

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        plain = asdict(self)
        plain["layer_cycles_predicted"] = dict(self.layer_cycles_predicted)
        plain["layer_cycles_simulated"] = dict(self.layer_cycles_simulated)
        for case in plain["cases"]:
            case["properties"] = dict(case["properties"])
        return plain | {"ok": self.ok}
