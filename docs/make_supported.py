"""Writes docs/supported.md from the tables of the frontend: `python docs/make_supported.py`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from hwprm.frontend.onnx_file import BEHIND, OPSETS, RULES
from hwprm.frontend.operators import HOST
from hwprm.frontend.remedies import ONNX_REMEDIES, ONNX_WHY, REMEDIES, WHY
from hwprm.graph import OPERATORS
from hwprm.graph.rules.functions import FUNCTIONS

HEAD = """# What is supported

Written by `python docs/make_supported.py` from the tables that the frontend itself reads; a test keeps it current.
`hwprm check NETWORK` says the same of one network, with the names of its nodes; [import.md](import.md) has the forms in
which networks and images come.

## In

| operator | what |
|---|---|
"""


def text() -> str:
    """The whole file."""
    parts = [HEAD]
    for name, kind in OPERATORS.items():
        words = " ".join((kind.__doc__ or "").split("\n\n")[0].split()).replace("``", "`").replace("|", "\\|")
        parts.append(f"| `{name}` | {words} |\n")
    parts += [
        "\nSpellings of these, views, splits, paddings, reductions and arithmetic with constants are in ",
        "[operators.md](operators.md), by the names of `torch.export`.\n\n",
        "Functions of one number go through tables of the accelerator: ",
        _listed(name for name in FUNCTIONS if name not in ("affine", "clamp")),
        f".\n\n## ONNX\n\nOpsets {OPSETS[0]} to {OPSETS[-1]}: ",
        _listed(sorted(RULES)),
        ". What reads constants only, whatever operator, is computed when the model is read.\n\n",
        "## Left to the host\n\nBehind the last layer, where nothing but an output follows: ",
        _listed(dict.fromkeys(call.split(".")[1].lstrip("_") for call in HOST)),
        ". Of ONNX models: ",
        _listed(BEHIND),
        ".\n\n## Refused\n\n| operator | why | instead |\n|---|---|---|\n",
        _refused(REMEDIES, WHY),
        _refused(ONNX_REMEDIES, ONNX_WHY),
        "\nAll others are refused by their name.\n",
    ]
    return "".join(parts)


def _refused(remedies: Mapping[str, str], why: Mapping[str, str]) -> str:
    """Rows of operators that are refused alike."""
    alike: dict[tuple[str, str], list[str]] = {}
    for name, remedy in sorted(remedies.items()):
        alike.setdefault((why.get(name, ""), remedy), []).append(name)
    return "".join(f"| {_listed(names)} | {reason} | {remedy} |\n" for (reason, remedy), names in alike.items())


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    (Path(__file__).parent / "supported.md").write_text(text(), encoding="utf-8")
