"""Writes docs/options.md from the config dataclasses: `python docs/make_options.py`."""

from __future__ import annotations

from pathlib import Path

from hwprm.cli.app import VERBS, app, register
from hwprm.cli.verb import flags
from hwprm.config import SECTIONS
from hwprm.config.options import describe, options_of, show

HEAD = """# Options

Written by `python docs/make_options.py` from the dataclasses in `hwprm/config/`; a test keeps it current.

Every option can stand in one TOML file, which any verb reads with `--config FILE`:

```toml
[array]
rows = 8
cols = 16

[admm]
compression = 60
budgets = { conv1 = { filters = 5 }, fc1 = { filters = 60, columns = 200 } }
```

On the command line an option is `--name`; where the table says so for a verb it is `--section-name`.
Lists are written `a,b`, tables `name=value,name=value`, budgets `conv1=filters:5/columns:15`, nothing `none`.
The command line overrides the file, the file overrides the defaults. The other spellings, `optimizer`, `optimize` and
`quantise`, are understood in names of options, sections and verbs.
"""

COLUMNS = """| key | value | default | meaning | on the command line |
|---|---|---|---|---|
"""


def text() -> str:
    """The whole file."""
    register()
    taken = flags(app)
    parts = [HEAD]
    for section, kind in SECTIONS.items():
        doc = (kind.__doc__ or "").strip().splitlines()[0]
        parts.append(f"\n## [{section}]\n\n{doc}\n\n{COLUMNS}")
        for option in options_of(section, kind):
            cells = (
                f"`{option.name}`",
                describe(option.declared),
                f"`{show(option.default)}`",
                option.text,
                _flags(taken.get(option.key, {})),
            )
            parts.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n")
    return "".join(parts)


def _flags(by_verb: dict[str, str]) -> str:
    """``{verb: flag}`` as ``--flag (verb, verb)``."""
    verbs: dict[str, list[str]] = {}
    for verb, flag in sorted(by_verb.items(), key=lambda item: VERBS.index(item[0])):  # whatever was imported first
        verbs.setdefault(flag, []).append(verb)
    return "; ".join(f"`{flag}` ({', '.join(names)})" for flag, names in verbs.items())


if __name__ == "__main__":
    (Path(__file__).parent / "options.md").write_text(text())
