"""One spelling of each word in names of options and verbs; the other one is understood too."""

from __future__ import annotations

import re

__all__ = ["spelled"]

#: The other spelling -> the one that names are declared in.
WORDS = {"optimizer": "optimiser", "optimize": "optimise", "quantise": "quantize"}


def spelled(name: str) -> str:
    """`name`, words joined by ``-`` or ``_``, in the spelling that options and verbs are declared in."""
    return re.sub(r"[a-z]+", lambda word: WORDS.get(word[0], word[0]), name)
