"""The one rule for names of networks, inputs, nodes, layers, tensors, ports, registers and memories.

Names end up in Verilog, file names, XML, HTML and tables, so they are plain in all of these.
"""

from __future__ import annotations

import re

from hwprm.core.errors import ModelError

__all__ = ["NAME_MAX", "as_name", "check_name", "one_line"]

#: Most characters of a name; names of files are made of one and some words more.
NAME_MAX = 128
NAME = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9_.-]{{0,{NAME_MAX - 1}}}")


def check_name(what: str, name: object) -> None:
    """Raise ModelError unless `name` keeps the rule; `what` says whose it is, such as ``layer``.

    A name is 1 to 128 of the characters A-Z, a-z, 0-9, ``_``, ``.`` and ``-``, the first of them no dot and no dash.
    """
    if not (isinstance(name, str) and NAME.fullmatch(name)):
        shown = repr(name if not isinstance(name, str) or len(name) <= NAME_MAX else f"{name[:40]}...")
        raise ModelError(
            f"{what} is called {shown}; names end up in Verilog and in file names, so rename it to at most {NAME_MAX} "
            "letters without accents, digits, '_', '.' and '-', a letter, digit or '_' first"
        )


def as_name(text: str) -> str:
    """The name nearest to any `text`, such as a file's: `text` itself where that is a name.

    >>> as_name("my net (2)")
    'my_net_2_'
    """
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", text).lstrip(".-")[:NAME_MAX]
    return plain or "unnamed"


def one_line(text: str) -> str:
    """`text` with a question mark for every character that does not print, so that a comment of one line stays one."""
    return "".join(c if c.isprintable() else "?" for c in text)
