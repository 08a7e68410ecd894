"""The command that usually comes next, to be copied from the end of a verb's output."""

from __future__ import annotations

import shlex

from hwprm.config import DataConfig, Settings

__all__ = ["onward"]


def onward(*words: object, settings: Settings | None = None) -> str:
    """``hwprm WORD...``, with the data of `settings` where that is not the usual set."""
    chosen = (settings or Settings()).data
    data = [
        text
        for flag, value, usual in (
            ("--data", chosen.name, DataConfig().name),
            ("--data-dir", chosen.data_dir, None),
        )
        if value != usual
        for text in (flag, str(value))
    ]
    return shlex.join(["hwprm", *map(str, words), *data])
