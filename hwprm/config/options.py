"""What a config dataclass offers, read from the dataclass itself, so that no option is written down twice.

The command line, the TOML reader and ``docs/options.md`` all take names, types, defaults and explanations from here.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from hwprm.core.errors import ConfigError

__all__ = ["Option", "convert", "describe", "nearest", "options_of", "record", "show"]


@dataclass(frozen=True, kw_only=True)
class Option:
    """One field of a section."""

    section: str
    name: str
    kind: Any  #: resolved annotation
    default: Any
    text: str  #: the sentence above the field

    @property
    def key(self) -> str:
        """``section.name``, as errors and TOML files spell it."""
        return f"{self.section}.{self.name}"


@cache
def options_of(section: str, config: type) -> tuple[Option, ...]:
    """The options of the dataclass `config`, in the order of its fields."""
    hints = typing.get_type_hints(config)
    texts = _field_texts(config)
    return tuple(
        Option(
            section=section,
            name=field.name,
            kind=hints[field.name],
            default=field.default if field.default is not dataclasses.MISSING else _made(field.default_factory),
            text=texts.get(field.name, ""),
        )
        for field in dataclasses.fields(config)
    )


def convert(option: Option, value: Any) -> Any:
    """`value`, a string of the command line or a TOML value, as the type of `option`.

    Lists are written ``a,b``, tables ``key=a,key=b``, records ``field:a/field:b``, nothing at all ``none``.
    Raises ConfigError when it cannot be read so; ranges are the config's own business.
    """
    try:
        return _convert(option.kind, value)
    except _UnknownKeyError as error:
        raise ConfigError(f"unknown key {option.key}.{error}") from error
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{option.key} must be {describe(option.kind)}, not {value!r}") from error


def describe(kind: Any) -> str:
    """An annotation in words: ``int | None`` -> ``an integer or none``."""
    origin, args = get_origin(kind), get_args(kind)
    if _is_union(kind):
        return " or ".join(describe(arg) for arg in args)
    if origin is Literal:
        return "one of " + ", ".join(str(arg) for arg in args)
    if origin is tuple:
        return f"a list, each {describe(args[0])}"
    if origin in (Mapping, dict):
        return f"a table name=value, each value {describe(args[1])}"
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "one of " + ", ".join(str(member.value) for member in kind)
    if dataclasses.is_dataclass(kind):
        return "/".join(f"{field.name}:value" for field in dataclasses.fields(kind))
    words = {int: "an integer", float: "a number", bool: "true or false", str: "text", Path: "a path"}
    return words.get(kind, "none")


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


def _convert(kind: Any, value: Any) -> Any:
    origin, args = get_origin(kind), get_args(kind)
    if _is_union(kind):
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
    hints = typing.get_type_hints(kind)
    pairs = _pairs(value, "/", ":")
    for name in sorted(set(pairs) - set(hints)):
        raise _UnknownKeyError(f"{name}{nearest(name, hints)}")
    return kind(**{key: _convert(hints[key], item) for key, item in pairs.items()})


class _UnknownKeyError(Exception):
    """A record has no such field; not a ValueError, so that no union tries its next member."""


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown `name`: the nearest known one, or all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(names)}"


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


def _is_union(kind: Any) -> bool:
    return get_origin(kind) in (types.UnionType, typing.Union)


def _made(factory: Any) -> Any:
    return None if factory is dataclasses.MISSING else factory()


def _field_texts(config: type) -> dict[str, str]:
    """The ``#:`` lines above each field. Comments are in no attribute, so the source is read."""
    texts: dict[str, str] = {}
    pending: list[str] = []
    for line in inspect.getsource(config).splitlines():
        text = line.strip()
        if text.startswith("#:"):
            pending.append(text[2:].strip())
            continue
        name, colon, _ = text.partition(":")
        if colon and name.isidentifier():
            texts[name] = " ".join(pending)
        pending = []
    return texts
