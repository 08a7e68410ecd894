"""Dataclasses from plain JSON, every type checked: what a file holds may be anything."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar, cast, get_args, get_origin

__all__ = ["decode"]

T = TypeVar("T")
WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


def decode(kind: type[T], plain: object, where: str = "") -> T:
    """A `kind` (a dataclass, or an annotation of one's field) made of `plain`, what JSON left of ``asdict``.

    Lists become tuples. Raises ValueError, saying where in the file, when a key is missing or unknown, a type is
    another, or a number is not finite; and what the dataclass itself raises.
    """
    return cast(T, _decode(kind, plain, where))


def _decode(kind: Any, plain: object, where: str) -> Any:
    if kind is Any:
        return plain
    origin, args = get_origin(kind), get_args(kind)
    if origin in (types.UnionType, typing.Union):
        if plain is None and type(None) in args:
            return None
        (kind,) = (arg for arg in args if arg is not type(None))
        return _decode(kind, plain, where)
    if dataclasses.is_dataclass(kind):
        return _dataclass(cast(type, kind), plain, where)
    if origin is tuple:
        return _tuple(args, plain, where)
    if origin is Mapping or origin is dict:
        if not isinstance(plain, dict):
            raise _wrong(where, "a table", plain)
        return {key: _decode(args[1], value, f"{where}.{key}") for key, value in plain.items()}
    if kind is float and isinstance(plain, int | float) and not isinstance(plain, bool):
        if not math.isfinite(plain):
            raise _wrong(where, "a finite number", plain)
        return float(plain)
    if type(plain) is not kind:  # isinstance would let True be a number
        raise _wrong(
            where,
            {int: "a whole number", str: "text", bool: "true or false", float: "a number"}.get(kind, str(kind)),
            plain,
        )
    return plain


def _dataclass(kind: type, plain: object, where: str) -> Any:
    if not isinstance(plain, dict):
        raise _wrong(where, "a table", plain)
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    needed = {
        name
        for name, field in fields.items()
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }
    if missing := sorted(needed - plain.keys()):
        raise ValueError(f"{where or 'it'} lacks {missing[0]!r}")
    if unknown := sorted(map(str, plain.keys() - fields.keys())):
        raise ValueError(f"{where or 'it'} has an unknown key {unknown[0][:40]!r}")
    return kind(**{name: _decode(hints[name], value, f"{where}.{name}".lstrip(".")) for name, value in plain.items()})


def _tuple(args: tuple[Any, ...], plain: object, where: str) -> tuple[Any, ...]:
    if not isinstance(plain, list | tuple):
        raise _wrong(where, "a list", plain)
    kinds = [args[0]] * len(plain) if len(args) == 2 and args[1] is Ellipsis else list(args)
    if len(kinds) != len(plain):
        raise _wrong(where, f"a list of {len(kinds)}", plain)
    return tuple(
        _decode(kind, value, f"{where}[{i}]") for i, (kind, value) in enumerate(zip(kinds, plain, strict=True))
    )


def _wrong(where: str, wanted: str, found: object) -> ValueError:
    text = repr(found)
    return ValueError(f"{where or 'it'} must be {wanted}, not {text if len(text) <= 60 else text[:57] + '...'}")
