"""British and American spellings of verbs and options, both understood; help shows one."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

from hwprm.config.spelling import spelled

__all__ = ["Spelled"]


class Spelled(TyperGroup):
    """A group of commands that reads its words in either spelling."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As click does, after the verb and the names of options got the spelling that they are declared in."""
        end = args.index("--") if "--" in args else len(args)
        verb = next((i for i, word in enumerate(args[:end]) if not word.startswith("-")), end)
        words = [
            _named(word) if word.startswith("--") else spelled(word) if i == verb else word
            for i, word in enumerate(args[:end])
        ]
        return super().parse_args(ctx, [*words, *args[end:]])


def _named(word: str) -> str:
    """``--name`` or ``--name=value``, its name spelled as declared."""
    name, equals, value = word.partition("=")
    return spelled(name) + equals + value
