"""What the frontend has to say about an operator."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Finding", "Severity"]


class Severity(StrEnum):
    """How much a finding matters."""

    ERROR = "error"  #: the network cannot be compiled
    NOTE = "note"  #: it can; something is left to the host or ignored


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One operator or attribute worth telling about."""

    #: Name of the node in the exported graph, or of the parameter.
    node: str
    #: The operator, as torch.export writes it (``aten.gelu.default``).
    op: str
    #: What is wrong.
    problem: str
    #: How to mend it.
    remedy: str
    #: Error or note.
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        return f"{self.node} ({self.op}): {self.problem}; {self.remedy}"
