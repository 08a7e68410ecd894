"""What an installation may lack: one sentence about it, whoever finds out."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from hwprm.core.errors import ToolError

__all__ = ["lacking", "says_what_it_lacks"]

P = ParamSpec("P")
R = TypeVar("R")


def lacking(error: BaseException) -> ToolError | None:
    """What to say of `error` when it is that of importing torch; None when it is not."""
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] == "torch":
        return ToolError("this needs torch, which is not installed; pip install 'hwprm[train]'")
    return None


def says_what_it_lacks(verb: Callable[P, R]) -> Callable[P, R]:
    """`verb`, which imports torch where it uses it, raising ToolError instead of ModuleNotFoundError."""

    @wraps(verb)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return verb(*args, **kwargs)
        except ModuleNotFoundError as error:
            if (said := lacking(error)) is not None:
                raise said from None
            raise

    return wrapped
