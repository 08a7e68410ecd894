"""What stands beside a model in its folder: the options it was made with, its epochs as lines, and their curves."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwprm.config.options import options_of
from hwprm.config.settings import SECTIONS, sections_toml
from hwprm.reporting.curves.history import history_of
from hwprm.reporting.facts.run import PRIVATE
from hwprm.reporting.page import write_curves

if TYPE_CHECKING:
    from collections.abc import Collection

    from hwprm.config import Settings
    from hwprm.model import Model

__all__ = ["LOG", "OPTIONS", "applied", "write_record"]

#: Names of the files.
OPTIONS, LOG, PICTURE, PAGE = "config.toml", "log.jsonl", "curves.png", "curves.html"

#: Keys that begin a line of the log.
FIRST = ("stage", "phase", "epoch", "loss")
HEAD = (
    "# What this model was made with; --config reads it. data.data_dir and run.teacher, places on one machine, are not "
    "among it.\n\n"
)


def applied(*sections: str, without: Collection[str] = ()) -> frozenset[str]:
    """Keys of all options of `sections` but those `without`, and but those that say where things lie on one machine."""
    keys = (option.key for section in sections for option in options_of(section, SECTIONS[section]))
    return frozenset(keys) - frozenset(without) - PRIVATE


def write_record(model: Model, folder: Path, settings: Settings, keys: Collection[str]) -> None:
    """Write ``config.toml`` (the options `keys`), ``log.jsonl`` and, of a model with epochs, the curves into `folder`.

    ``curves.png`` is left out where matplotlib, a part of ``hwprm[train]``, is not installed.
    """
    (folder / OPTIONS).write_text(HEAD + sections_toml(settings, keys), encoding="utf-8")
    lines = (json.dumps(dict(sorted(entry.items(), key=_place))) for entry in model.meta.get("log", []))
    (folder / LOG).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    if history := history_of(model):
        write_curves(model, folder / PAGE)
        if find_spec("matplotlib"):
            from hwprm.reporting.curves.plot import write_plot

            write_plot(history, model.meta.get("name", "network"), folder / PICTURE)


def _place(item: tuple[str, Any]) -> tuple[int, str]:
    """Where a number stands in its line: what says which epoch it is of comes first, numbers of single layers last."""
    key = item[0]
    return (FIRST.index(key) if key in FIRST else len(FIRST) + key.count("."), key)
