"""Kinds of values in words, and values as the command line takes them; for errors, help and documentation alike."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from annotated_doc import Doc
from annotated_types import Ge, GroupedMetadata, Gt, Le, MinLen, Unit

__all__ = ["choices", "describe", "is_union", "limits", "nearest", "plain", "record", "show", "text_of"]


def plain(kind: Any) -> Any:
    """The annotation `kind` without bounds and texts: ``Annotated[int, Ge(1)] | None`` -> ``int | None``."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return plain(args[0])
    if not args or origin is Literal:
        return kind
    inner = tuple(plain(arg) for arg in args)
    return typing.Union[inner] if is_union(kind) else origin[inner]  # noqa: UP007  # made of a tuple


def text_of(kind: Any) -> str:
    """The text of the annotation `kind`, or nothing."""
    return next((mark.documentation for mark in _marks(kind) if isinstance(mark, Doc)), "")


def describe(kind: Any) -> str:
    """An annotation in words: ``Annotated[int, Ge(1), Le(8)] | None`` -> ``a whole number in 1..8 or none``."""
    bare, args = _bare(kind), get_args(_bare(kind))
    if is_union(bare):
        several = sorted((describe(arg) for arg in args), key=lambda words: "," in words)  # what is a list comes last
        return " or ".join(several)
    if options := choices(bare):
        return f"one of {', '.join(options)}"
    some = any(isinstance(mark, MinLen) for mark in _marks(kind))
    if get_origin(bare) is tuple:
        return f"a list{' of one or more' if some else ''}, each {describe(args[0])}"
    if get_origin(bare) in (Mapping, dict):
        names = f"each name {describe(args[0])}, " if choices(args[0]) else ""
        return f"a table name=value, {names}each value {describe(args[1])}"
    if dataclasses.is_dataclass(bare):
        return "/".join(f"{field.name}:value" for field in dataclasses.fields(bare))
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text", Path: "a path"}
    return f"{words.get(bare, 'none')}{' that is not empty' if some else ''}{_bounded(kind)}"


def limits(kind: Any) -> str:
    """What `kind`, or a part of the list, may be: ``1..8``, ``>= 1``, ``short, fast``; nothing where it may be all."""
    if get_origin(_bare(kind)) is tuple:
        return limits(get_args(_bare(kind))[0])
    for part in get_args(_bare(kind)) if is_union(_bare(kind)) else (kind,):
        low, high = _ends(part)
        if isinstance(low, Ge) and high is not None:
            return f"{_number(low.ge)}..{_number(high)}"
        signs = [f"> {_number(low.gt)}"] if isinstance(low, Gt) else [f">= {_number(low.ge)}"] if low else []
        if found := ", ".join(signs + ([] if high is None else [f"<= {_number(high)}"])) or ", ".join(choices(part)):
            return found
    return ""


def choices(kind: Any) -> tuple[str, ...]:
    """The values of a Literal or an Enum, as the command line takes them; nothing for other kinds."""
    kind = _bare(kind)
    if get_origin(kind) is Literal:
        return tuple(str(arg) for arg in get_args(kind))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return tuple(str(member.value) for member in kind)
    return ()


def show(value: Any) -> str:
    """A value as the command line takes it: ``(1, 2)`` -> ``1,2``, None -> ``none``."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, Mapping):
        return ",".join(f"{key}={show(item)}" for key, item in value.items())
    if isinstance(value, tuple | list):
        return ",".join(show(item) for item in value)
    if dataclasses.is_dataclass(value):
        return "/".join(f"{key}:{show(item)}" for key, item in record(value).items())
    return f"{value:g}" if isinstance(value, float) else str(value)


def record(value: Any) -> dict[str, Any]:
    """The fields of a dataclass that are not None."""
    pairs = ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
    return {name: item for name, item in pairs if item is not None}


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown `name`: the nearest known one, or all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(names)}"


def is_union(kind: Any) -> bool:
    """Whether `kind` is one of several kinds."""
    return get_origin(kind) in (types.UnionType, typing.Union)


def _bare(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _marks(kind: Any) -> Iterator[Any]:
    """What an annotation says beside the type."""
    for mark in get_args(kind)[1:] if get_origin(kind) is Annotated else ():
        yield from mark if isinstance(mark, GroupedMetadata) else (mark,)


def _ends(kind: Any) -> tuple[Ge | Gt | None, Any]:
    """The lower bound, which may be exclusive, and the upper one, which never is."""
    marks = list(_marks(kind))
    low = next((mark for mark in marks if isinstance(mark, Ge | Gt)), None)
    return low, next((mark.le for mark in marks if isinstance(mark, Le)), None)


def _bounded(kind: Any) -> str:
    low, high = _ends(kind)
    unit = next((f" {mark.unit}" for mark in _marks(kind) if isinstance(mark, Unit)), "")
    if isinstance(low, Ge) and high is not None:
        return f" in {limits(kind)}{unit}"
    if isinstance(low, Ge):
        return f" of {_number(low.ge)} or more{unit}"
    if isinstance(low, Gt):
        return f" above {_number(low.gt)}{'' if high is None else f' and at most {_number(high)}'}{unit}"
    return unit


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
