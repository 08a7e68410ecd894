"""What a section of options is: a frozen dataclass whose annotations say bounds and texts, checked when it is made."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import typing
from collections.abc import Mapping, Sequence
from enum import Enum
from functools import cache
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, get_args, get_origin

from hwprm.config.spelling import spelled
from hwprm.config.words import choices, describe, is_union, limits, plain, show, text_of
from hwprm.core.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = ["Option", "Section", "checked", "options_of"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Option:
    """One field of a section."""

    section: str
    name: str
    kind: Any  #: its type, without bounds
    declared: Any  #: its annotation: type, bounds, text
    default: Any

    @property
    def key(self) -> str:
        """``section.name``, as errors and TOML files spell it."""
        return f"{self.section}.{self.name}"

    @property
    def text(self) -> str:
        """What it is for, in a sentence."""
        return text_of(self.declared)

    def refuse(self, value: Any) -> ConfigError:
        """The error about a `value` that it cannot be; of a table about the first entry that is wrong."""
        if (table := _table(self.declared)) and isinstance(value, Mapping):
            names, each = table
            for name, one in value.items():
                if name not in choices(names):
                    return ConfigError(
                        f"{self.key} can name {', '.join(choices(names))}, not {name!r}{_hint(name, choices(names))}"
                    )
                if not _fits(each, one):
                    return ConfigError(f"{self.key}: {name} must be {describe(each)}, not {one!r}")
        known = [name for part in (self.kind, *get_args(self.kind)) for name in choices(part)]
        return ConfigError(f"{self.key} must be {describe(self.declared)}, not {value!r}{_hint(value, known)}")


def _table(declared: Any) -> tuple[Any, Any] | None:
    """What names and values of a table are declared to be; None where `declared` is no table."""
    if get_origin(declared) is Annotated:
        return _table(get_args(declared)[0])
    if is_union(declared):
        return next((found for part in get_args(declared) if (found := _table(part))), None)
    return get_args(declared) if get_origin(declared) is Mapping else None


def _hint(value: object, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(str(value), known, n=1, cutoff=0.75)
    return f"; did you mean {near[0]!r}?" if near else ""


def _fits(declared: Any, value: object) -> bool:
    from pydantic import ValidationError

    try:
        _adapter(declared).validate_python(value)
    except ValidationError:
        return False
    return True


class _Documented:
    """The docstring of a section, with a paragraph for each option; made when somebody asks for it."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __get__(self, instance: object, owner: type[Section]) -> str:
        if "__match_args__" not in vars(owner):  # what `dataclass` adds last; types are looked up after it
            return self.text
        told = [fill(_told(option), 100, subsequent_indent="    ") for option in options_of(owner.section, owner)]
        return "\n".join((self.text, "", *told))


def _told(option: Option) -> str:
    what = limits(option.declared)
    return f"{option.name} [{what and f'{what}; '}default: {show(option.default)}]: {option.text}"


class _Signature:
    """What a section is made of, as help shows it: types and defaults, without bounds and texts."""

    def __get__(self, instance: object, owner: type[Section]) -> inspect.Signature:
        return inspect.Signature(
            [
                inspect.Parameter(o.name, inspect.Parameter.KEYWORD_ONLY, default=o.default, annotation=o.kind)
                for o in options_of(owner.section, owner)
            ]
        )


class _Spelled(type):
    """The class of sections: their options are given by name, in either spelling, and a wrong name gets the nearest."""

    if not TYPE_CHECKING:  # a checker knows one spelling, that of the fields

        def __call__(cls, *args: Any, **options: Any) -> Any:
            names = [field.name for field in dataclasses.fields(cls)]
            # `dataclasses.replace` gives every field beside what is to change: the other spelling is the change.
            others = {spelled(name): value for name, value in options.items() if spelled(name) != name}
            given = {name: value for name, value in options.items() if spelled(name) == name} | others
            for name in given:
                if name not in names:
                    near = _hint(name, names) or f"; there are {', '.join(names)}"
                    raise ConfigError(f"[{cls.section}] has no option {name!r}{near}")
            return super().__call__(*args, **given)


class Section(metaclass=_Spelled):
    """Base of the dataclasses of options. What a value may be stands in its annotation, once, with its text.

    Making one raises ConfigError where a value does not fit its annotation or the others. Text is taken for a path, and
    a list for a tuple.
    """

    section: ClassVar[str]

    def __init_subclass__(cls, *, section: str) -> None:
        super().__init_subclass__()
        cls.section = section
        cls.__doc__ = _Documented(cls.__doc__ or "")  # type: ignore[assignment]  # a descriptor of text
        cls.__signature__ = _Signature()  # type: ignore[attr-defined]  # where `inspect` looks for it

    def __post_init__(self) -> None:
        for option in options_of(self.section, type(self)):
            value = getattr(self, option.name)
            if value is not option.default:  # defaults are right, a test says
                object.__setattr__(self, option.name, checked(option, value))
        self.agree()

    @classmethod
    def given(cls, options: Self | None) -> Self:
        """What a function was given as `options`; the defaults for None. Raises ConfigError for anything else."""
        if options is not None and not isinstance(options, cls):
            some = next(iter(options_of(cls.section, cls)))
            raise ConfigError(
                f"the options of [{cls.section}] are of the class {cls.__name__}, not {type(options).__name__}; "
                f"write hwprm.config.{cls.__name__}({some.name}={some.default!r})"
            )
        return cls() if options is None else options

    def agree(self) -> None:
        """Raise ConfigError where options, each good by itself, do not go together."""


def options_of(section: str, config: type) -> tuple[Option, ...]:
    """The options of `config`, the class of `section`, in the order of its fields."""
    return _options(section, config)


@cache
def _options(section: str, config: type) -> tuple[Option, ...]:
    hints = typing.get_type_hints(config, include_extras=True)
    return tuple(
        Option(
            section=section,
            name=field.name,
            kind=plain(hints[field.name]),
            declared=hints[field.name],
            default=field.default,
        )
        for field in dataclasses.fields(config)
    )


def checked(option: Option, value: Any) -> Any:
    """`value` in the type of `option`; raises ConfigError when it does not fit."""
    from pydantic import ValidationError  # not at the top: it takes a fifth of a second, which help does without

    try:
        return _adapter(option.declared).validate_python(value)
    except ValidationError:
        raise option.refuse(value) from None


@cache
def _adapter(declared: Any) -> TypeAdapter[Any]:
    from pydantic import ConfigDict, TypeAdapter

    return TypeAdapter(_loose(declared), config=ConfigDict(strict=True, allow_inf_nan=False))


def _loose(kind: Any) -> Any:
    """`kind` with text taken for a path or a choice, a list for a tuple, and nothing else for a number."""
    from pydantic import Strict

    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return Annotated[(_loose(args[0]), *args[1:])]
    if is_union(kind):
        return typing.Union[tuple(_loose(arg) for arg in args)]  # noqa: UP007  # made of a tuple
    loose = origin is tuple or (isinstance(kind, type) and issubclass(kind, Path | Enum))
    return Annotated[kind, Strict(False)] if loose else kind
