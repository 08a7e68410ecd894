"""Python as a shared library: simulators are programs in C++ that load it, to run the test bench."""

from __future__ import annotations

from functools import cache

import find_libpython

from hwprm.core.errors import ToolError

__all__ = ["MEND", "shared_python"]

#: Debian and Ubuntu link their Python without it, and have it in a package of its own.
MEND = (
    "Debian and Ubuntu: apt-get install libpython3-dev; conda and most other systems have it with Python; "
    "pyenv: PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install"
)


@cache
def _found() -> str | None:
    return find_libpython.find_libpython()


def shared_python() -> str:
    """Path of this interpreter's shared library (``libpython3.11.so``). Raises ToolError where there is none."""
    if (found := _found()) is None:
        raise ToolError(
            "this Python has no shared library (libpython), which a simulator loads to run the test bench; " + MEND
        )
    return found
