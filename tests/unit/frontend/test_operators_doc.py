"""docs/operators.md is what the operators' files say."""

from __future__ import annotations

import runpy
from pathlib import Path

DOCS = Path(__file__).resolve().parents[3] / "docs"


def test_operators_md_is_current() -> None:
    made = runpy.run_path(str(DOCS / "make_operators.py"))["text"]()
    assert (DOCS / "operators.md").read_text() == made, "run: python docs/make_operators.py"


def test_supported_md_is_current() -> None:
    made = runpy.run_path(str(DOCS / "make_supported.py"))["text"]()
    assert (DOCS / "supported.md").read_text(encoding="utf-8") == made, "run: python docs/make_supported.py"
