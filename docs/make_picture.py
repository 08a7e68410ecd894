"""Writes docs/picture.svg, the picture of README.md, from benchmarks/results/: `python docs/make_picture.py`.

What goes in, what pruning leaves, what comes out, and one number: how many times fewer clock cycles an image takes.
The card is opaque, so that its words can be read on any page; it is dark where the reader's system is.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "docs" / "picture.svg"
RESULTS = ROOT / "benchmarks" / "results"

#: Colours of card, words, pale words, what is kept, what goes: by day and by night.
DAY = {"card": "#ffffff", "ink": "#1f2328", "pale": "#57606a", "kept": "#0b62c4", "gone": "#d8dee4"}
NIGHT = {"card": "#0d1117", "ink": "#e6edf3", "pale": "#9aa4af", "kept": "#58a6ff", "gone": "#2d333b"}
#: Rows and columns of the drawn matrix that stay.
ROWS, COLUMNS = (1, 2, 5, 8), (0, 2, 3, 6, 9, 11, 12, 15)
WIDTH, HEIGHT = 760, 330


def text() -> str:
    """The whole file."""
    dense, pruned = (_cycles(name) for name in ("LeNet-5 dense", "LeNet-5 pruned"))
    accuracy = _facts("accuracy")["accuracy_per_cent"]
    left = _facts("accuracy")["waterfall"][-1]["all_weights"]["left"]
    words = "In: a PyTorch network. Pruned: rows and columns of its weight matrices go. "
    words += f"Out: Verilog of a systolic array, {dense / pruned:.1f} times fewer clock cycles an image."
    shares = f"{accuracy['dense']:.2f} → {accuracy['integer']:.2f} per cent"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{words}">',
            f"<style>{_style()}</style>",
            f'<rect class="card" x="1" y="1" width="{WIDTH - 2}" height="{HEIGHT - 2}" rx="12"/>',
            *_panel(20, "in: a PyTorch network", "430,500 weights", _matrix(20, kept_only=False)),
            *_panel(275, "pruned: rows, columns", f"{left:,} weights, no zeros", _matrix(275, kept_only=True)),
            *_panel(530, "out: Verilog, verified", "8 x 8 systolic array", _array(530)),
            _arrow(237),
            _arrow(485),
            f'<text class="number" x="20" y="292">{dense / pruned:.1f} x</text>',
            f'<text class="ink" x="215" y="266">fewer clock cycles an image: {dense:,} → {pruned:,}</text>',
            f'<text class="pale" x="215" y="292">LeNet-5 on MNIST, {shares} in 8 bits,</text>',
            '<text class="pale" x="215" y="316">every integer in the hardware equal to PyTorch’s</text>',
            "</svg>",
            "",
        ]
    )


def _facts(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def _cycles(name: str) -> int:
    """Simulated cycles an image of a network on 8 x 8."""
    entry = next(e for e in _facts("cycles")["networks"] if (e["net"], e["rows"], e["cols"]) == (name, 8, 8))
    assert entry["simulated"] == entry["total"]
    return int(entry["simulated"])


def _style() -> str:
    def colours(of: dict[str, str]) -> str:
        fills = {"card": "card", "ink": "ink", "pale": "pale", "kept,.number": "kept", "gone": "gone"}
        lines = f".card{{stroke:{of['gone']}}}.line{{stroke:{of['pale']}}}"
        return "".join(f".{name}{{fill:{of[key]}}}" for name, key in fills.items()) + lines

    fonts = "text{font:18px system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif}"
    fonts += ".number{font-size:50px;font-weight:700}.head{font-weight:600}.line{fill:none;stroke-width:2.5}"
    return f"{fonts}{colours(DAY)}@media (prefers-color-scheme:dark){{{colours(NIGHT)}}}"


def _panel(x: int, head: str, foot: str, drawn: list[str]) -> list[str]:
    return [
        f'<text class="ink head" x="{x}" y="38">{head}</text>',
        *drawn,
        f'<text class="pale" x="{x}" y="212">{foot}</text>',
    ]


def _square(x: float, y: float, size: float, kind: str) -> str:
    return f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{size:g}" height="{size:g}" rx="1.5"/>'


def _matrix(x: int, *, kept_only: bool) -> list[str]:
    """A matrix of 10 filters and 16 columns; or what is left of it, moved together."""
    if kept_only:
        y = 55 + 3 * 13
        return [_square(x + 45 + c * 13, y + r * 13, 11, "kept") for r in range(len(ROWS)) for c in range(len(COLUMNS))]
    kinds = {(r, c): "kept" if r in ROWS and c in COLUMNS else "gone" for r in range(10) for c in range(16)}
    return [_square(x + c * 12.5, 58 + r * 13, 11, kind) for (r, c), kind in kinds.items()]


def _array(x: int) -> list[str]:
    """8 x 8 elements, with what goes east and south."""
    lines = [f'<path class="line" d="M{x + 18} {66 + r * 32}h14m-5 -5l5 5l-5 5"/>' for r in range(4)]
    return [*lines, *(_square(x + 40 + c * 16.5, 57 + r * 16.5, 13, "kept") for r in range(8) for c in range(8))]


def _arrow(x: int) -> str:
    return f'<path class="line" d="M{x} 122h22m-8 -8l8 8l-8 8"/>'


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
