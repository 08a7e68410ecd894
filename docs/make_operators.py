"""Writes docs/operators.md from the operators' files: `python docs/make_operators.py`."""

from __future__ import annotations

from pathlib import Path

from hwprm.frontend.operators import HANDLERS
from hwprm.frontend.remedies import REMEDIES
from hwprm.graph import OPERATORS
from hwprm.graph.rules.node import RULES, WEIGHTED_RULES, Node

HEAD = """# Operators

Written by `python docs/make_operators.py` from the files in `hwprm/graph/ops/`; a test keeps it current.

"""

PLACES = """
## Calls that are no operator of their own

Views, splits, padding and arithmetic with constants become one of the operators above, several, or none:

"""

REMEDIED = """
## What to use instead

`hwprm check` says this of operators that are not supported:

| operator | instead |
|---|---|
"""

RULES_HEAD = """
## What an operator's file says

| rule | says |
|---|---|
"""


def text() -> str:
    """The whole file."""
    parts = [HEAD, "| operator | what it is | calls of `torch.export` that mean it |\n|---|---|---|\n"]
    taken: set[str] = set()
    for name, kind in OPERATORS.items():
        calls = [target for entry in kind.imports() for target in entry.targets]
        taken |= set(calls)
        parts.append(f"| [`{name}`](../{_file(kind)}) | {_first_sentence(kind)} | {_listed(calls)} |\n")
    parts += [PLACES, _listed(sorted(set(HANDLERS) - taken)) + "\n", REMEDIED]
    parts += [f"| `{name}` | {remedy} |\n" for name, remedy in sorted(REMEDIES.items())]
    parts.append(RULES_HEAD)
    parts += [f"| `{rule}` | {says} |\n" for rule, says in RULES.items()]
    parts += [f"| `{rule}` (with a weight matrix) | {says} |\n" for rule, says in WEIGHTED_RULES.items()]
    return "".join(parts)


def _file(kind: type[Node]) -> str:
    return kind.__module__.replace(".", "/") + ".py"


def _first_sentence(kind: type[Node]) -> str:
    words = " ".join((kind.__doc__ or "").split("\n\n")[0].split())
    return words.replace("``", "`").replace("|", "\\|")


def _listed(calls: list[str]) -> str:
    names = [call.removeprefix("aten.").removesuffix(".default") for call in calls]
    return ", ".join(f"`{name}`" for name in dict.fromkeys(names) if " " not in name)


if __name__ == "__main__":
    (Path(__file__).parent / "operators.md").write_text(text())
