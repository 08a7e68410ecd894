"""Values of options from text or TOML. Names, types, bounds and explanations come from the sections themselves."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from hwprm.config.section import Option, options_of
from hwprm.config.words import describe, is_union, nearest, record, show
from hwprm.core.errors import ConfigError

__all__ = ["Option", "convert", "describe", "nearest", "options_of", "record", "show"]


def convert(option: Option, value: Any) -> Any:
    """`value`, a string of the command line or a TOML value, as the type of `option`.

    Lists are written ``a,b``, tables ``key=a,key=b``, records ``field:a/field:b``, nothing at all ``none``.
    Raises ConfigError when it cannot be read so; bounds are checked when a section is made of the values.
    """
    try:
        return _convert(option.kind, value)
    except _UnknownKeyError as error:
        raise ConfigError(f"unknown key {option.key}.{error}") from error
    except (TypeError, ValueError) as error:
        raise option.refuse(value) from error


def _convert(kind: Any, value: Any) -> Any:
    origin, args = get_origin(kind), get_args(kind)
    if is_union(kind):
        return _convert_union(args, value)
    if origin is Literal:
        return _choose({str(arg): arg for arg in args}, value)
    if origin is tuple:
        return _convert_tuple(args, value)
    if origin in (Mapping, dict):
        return _convert_table(args[1], value)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(value)
    if dataclasses.is_dataclass(kind):
        return _convert_record(kind, value)
    if kind is type(None):
        if value is None or value == "none":
            return None
        raise ValueError(value)
    return _convert_plain(kind, value)


def _convert_plain(kind: Any, value: Any) -> Any:
    if kind is bool:
        if isinstance(value, bool):
            return value
        return _choose({"true": True, "false": False}, value)
    if isinstance(value, bool) or not isinstance(value, str | int | float | Path):
        raise TypeError(value)
    if kind is int and isinstance(value, float):
        raise TypeError(value)
    if kind in (str, Path) and not isinstance(value, str | Path):
        raise TypeError(value)
    return kind(value)


def _convert_union(args: tuple[Any, ...], value: Any) -> Any:
    # None first: "none" is also good text, and a union with None means it as nothing.
    for arg in sorted(args, key=lambda arg: arg is not type(None)):
        try:
            return _convert(arg, value)
        except (TypeError, ValueError):
            continue
    raise ValueError(value)


def _convert_tuple(args: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    items = [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value
    if not isinstance(items, list | tuple):
        raise TypeError(value)
    if len(args) == 2 and args[1] is Ellipsis:
        return tuple(_convert(args[0], item) for item in items)
    if len(items) != len(args):
        raise ValueError(value)
    return tuple(_convert(arg, item) for arg, item in zip(args, items, strict=True))


def _convert_table(kind: Any, value: Any) -> dict[str, Any]:
    return {key: _convert(kind, item) for key, item in _pairs(value, ",", "=").items()}


def _convert_record(kind: Any, value: Any) -> Any:
    if isinstance(value, kind):
        return value
    hints = {option.name: option.kind for option in options_of(kind.section, kind)}
    pairs = _pairs(value, "/", ":")
    for name in sorted(set(pairs) - set(hints)):
        raise _UnknownKeyError(f"{name}{nearest(name, hints)}")
    return kind(**{key: _convert(hints[key], item) for key, item in pairs.items()})


class _UnknownKeyError(Exception):
    """A record has no such field; not a ValueError, so that no union tries its next member."""


def _pairs(value: Any, between: str, equals: str) -> Mapping[str, Any]:
    """A mapping itself, or one from text such as ``a=1,b=2``."""
    if isinstance(value, str):
        parts = [item.partition(equals) for item in value.split(between) if item.strip()]
        if any(not sign for _, sign, _ in parts):
            raise ValueError(value)
        return {key.strip(): item.strip() for key, _, item in parts}
    if not isinstance(value, Mapping):
        raise TypeError(value)
    return value


def _choose(choices: Mapping[str, Any], value: Any) -> Any:
    if str(value) not in choices:
        raise ValueError(value)
    return choices[str(value)]
