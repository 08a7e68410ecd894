"""The design space: dimensions, which are options with several values, and the points that they span."""

from __future__ import annotations

import itertools
import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hwprm.config import SECTIONS, ExploreConfig, Settings
from hwprm.config.options import Option, convert, nearest, options_of, show
from hwprm.core.errors import ConfigError

__all__ = [
    "HARDWARE",
    "SOFTWARE",
    "Dimension",
    "Options",
    "Space",
    "check_effect",
    "make_space",
    "typed",
    "with_options",
]

#: What a point is: values by ``section.name``.
Options = dict[str, Any]
#: Sections that change the accelerator of a network, and those that change the network.
HARDWARE, SOFTWARE = ("quantize", "array", "memory"), ("run", "train", "admm", "shrink", "purify", "finetune")
#: Fields of `run` that choose how a network is pruned; the others say how a command behaves.
RUN = ("run.method",)
#: Dimensions with a flag of their own: the field of `ExploreConfig` -> the option.
FLAGS = {
    "rows": "array.rows",
    "cols": "array.cols",
    "weight_bits": "quantize.weight_bits",
    "act_bits": "quantize.act_bits",
    "compression": "shrink.compression",
    "count": "shrink.count",
}
NUMBER = r"[-+]?[0-9]*\.?[0-9]+(?:e[-+]?[0-9]+)?"
RANGE = re.compile(rf"\s*({NUMBER})\s*\.\.\s*({NUMBER})\s*(?:([*+])\s*({NUMBER}))?\s*", re.IGNORECASE)
#: Most values of one dimension that is counted out.
VALUES_MAX = 100_000
#: Digits of a value that a search draws from an interval.
DIGITS = 3


@dataclass(frozen=True, kw_only=True)
class Dimension:
    """One option and what it may be: `values`, or with an `interval` every number from low to high."""

    option: Option
    values: tuple[Any, ...] = ()
    interval: tuple[float, float] | None = None

    @property
    def key(self) -> str:
        """``section.name``."""
        return self.option.key

    @property
    def hardware(self) -> bool:
        """Whether the network stays the same, all but its rounding."""
        return self.option.section in HARDWARE

    def describe(self) -> list[Any]:
        """Plain JSON that tells the dimension from any other."""
        return [self.key, list(self.interval) if self.interval else [show(value) for value in self.values]]


@dataclass(frozen=True, kw_only=True)
class Space:
    """All dimensions, in the order of the flow."""

    dimensions: tuple[Dimension, ...]

    @property
    def hardware_only(self) -> bool:
        """Whether no dimension changes the network: then every point is computed."""
        return all(dimension.hardware for dimension in self.dimensions)

    @property
    def size(self) -> int | None:
        """How many points there are; None where an interval has no end of them."""
        if any(dimension.interval for dimension in self.dimensions):
            return None
        return math.prod(len(dimension.values) for dimension in self.dimensions)

    def points(self) -> Iterator[Options]:
        """All points, the last dimension changing fastest. Raises ConfigError for an interval."""
        for dimension in self.dimensions:
            if dimension.interval:
                low, high = dimension.interval
                raise ConfigError(
                    f"{dimension.key} has no end of values in {low:g}..{high:g}, and all of this space is to be "
                    f"computed; say which, as in {low:g}..{high:g}*1.5"
                )
        keys = [dimension.key for dimension in self.dimensions]
        for values in itertools.product(*(dimension.values for dimension in self.dimensions)):
            yield dict(zip(keys, values, strict=True))

    def describe(self) -> list[Any]:
        """Plain JSON that tells the space from any other."""
        return [dimension.describe() for dimension in self.dimensions]


def make_space(config: ExploreConfig) -> Space:
    """The space of the file and the flags in `config`.

    Raises ConfigError when it is empty, an option is unknown (with the nearest one) or changes nothing that is
    measured, or a value is none.
    """
    texts = _read(config.space) if config.space else {}
    for field, key in FLAGS.items():
        if (text := getattr(config, field)) is not None:
            texts[key] = text
    made = [_dimension(option, texts[option.key]) for option in _options() if option.key in texts]
    if not made:
        raise ConfigError(
            "the space is empty: give dimensions, such as --rows 2..16 --cols 2..16, or a file with --space"
        )
    return Space(dimensions=tuple(made))


def check_effect(space: Space, settings: Settings) -> None:
    """Raise ConfigError for a dimension that changes nothing beside the other options of the points."""
    keys = {dimension.key for dimension in space.dimensions}
    shrinks = settings.run.method == "shrink" or "run.method" in keys
    idle: dict[str, str] = {}
    if settings.shrink.left is not None:
        idle["shrink.compression"] = "shrink.left says how far; leave that out"
    if settings.admm.limits is not None:
        idle["admm.compression"] = "admm.limits say how far; leave those out"
    if not shrinks:
        idle |= {key: "the method is admm; add --method shrink" for key in keys if key.startswith("shrink.")}
    elif "run.method" not in keys:
        idle |= {key: "the method is shrink; add --method admm" for key in keys if key.startswith("admm.")}
    own = "pruning and fine-tuning have their own: shrink, admm, finetune"
    idle |= dict.fromkeys(("train.epochs", "train.lr", "train.schedule"), own)
    if settings.array.weights == "rom" and "array.weights" not in keys:
        why = "all weights are on the chip; add --weights axi"
        idle |= {key: why for key in keys if key.startswith(("memory.", "array.axi_"))}
    for key in keys & idle.keys():
        raise ConfigError(f"the dimension {key} has no effect: {idle[key]}, or leave the dimension out")


def with_options(settings: Settings, options: Mapping[str, Any]) -> Settings:
    """`settings` with the values of a point. Raises ConfigError when they do not go together."""
    by_section: dict[str, dict[str, Any]] = {}
    for key, value in options.items():
        section, _, name = key.partition(".")
        by_section.setdefault(section, {})[name] = value
    return replace(settings, **{key: replace(getattr(settings, key), **values) for key, values in by_section.items()})


def typed(options: Mapping[str, Any]) -> Options:
    """The `options` of a point, plain JSON, as values of their options. Raises ConfigError for what is no dimension."""
    known = {option.key: option for option in _options()}
    if gone := options.keys() - known:
        key = min(gone)
        raise ConfigError(f"no option is called {key}{nearest(key, known)}")
    return {key: convert(known[key], value) for key, value in options.items()}


def _options() -> Iterator[Option]:
    """Every option that can be a dimension."""
    for section in (*SOFTWARE, *HARDWARE):
        for option in options_of(section, SECTIONS[section]):
            if section != "run" or option.key in RUN:
                yield option


def _read(file: Path) -> dict[str, Any]:
    """``{section.name: text or list}`` of a TOML file."""
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the space in {file}: {error.strerror}; check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is no TOML file: {error}") from error
    known = {option.key for option in _options()}
    found = {}
    for section, table in tables.items():
        if section not in SECTIONS:
            raise ConfigError(f"{file}: unknown section [{section}]{nearest(section, (*SOFTWARE, *HARDWARE))}")
        if not isinstance(table, dict):
            raise ConfigError(f"{file}: {section} must be a section; write [{section}] and its dimensions below it")
        for name, value in table.items():
            key = f"{section}.{name}"
            names = {option.name for option in options_of(section, SECTIONS[section])}
            if name not in names:
                raise ConfigError(f"{file}: no option is called {key}{nearest(key, known)}")
            if key not in known:
                raise ConfigError(
                    f"{file}: {key} changes nothing that is measured; dimensions are options of "
                    f"{', '.join((*SOFTWARE[1:], *HARDWARE))}, and run.method"
                )
            found[key] = value
    return found


def _dimension(option: Option, given: Any) -> Dimension:
    """The dimension of `option` that a text or list describes. Every value is tried in its section."""
    if isinstance(given, str) and (match := RANGE.fullmatch(given)):
        return _ranged(option, given, *match.groups())
    items = given if isinstance(given, list) else given.split(",") if isinstance(given, str) else [given]
    values = tuple(convert(option, item.strip() if isinstance(item, str) else item) for item in items)
    if not values or given == "":
        raise ConfigError(f"{option.key} has no values; write them as 8,6,4 or 2..32, or leave the dimension out")
    double = next((value for i, value in enumerate(values) if value in values[:i]), None)
    if double is not None:
        raise ConfigError(f"{option.key} names {show(double)} twice; name it once")
    return _checked(Dimension(option=option, values=values))


def _ranged(option: Option, text: str, low: str, high: str, kind: str | None, step: str | None) -> Dimension:
    if not {int, float} & {option.kind, *getattr(option.kind, "__args__", ())}:
        raise ConfigError(f"{option.key} is no number, and {text!r} is a range; list its values: a,b")
    first, last = convert(option, low), convert(option, high)
    if first >= last:
        raise ConfigError(f"{option.key}: {text!r} holds nothing to choose from; the first number must be the smaller")
    whole = isinstance(first, int)
    if kind is None and not whole:
        return _checked(Dimension(option=option, interval=(first, last)))
    by = float(step) if step else 1.0
    if by <= (1.0 if kind == "*" else 0.0) or (kind == "*" and first <= 0):
        raise ConfigError(f"{option.key}: {text!r} never ends; steps are above 0, factors above 1 and from above 0 on")
    values: list[Any] = []
    for i in range(VALUES_MAX + 1):
        value = first * by**i if kind == "*" else first + by * i
        if value > last * (1 + 1e-9):
            break
        value = round(value) if whole else float(f"{value:.6g}")
        if value not in values[-1:]:
            values.append(value)
    if len(values) > VALUES_MAX:
        raise ConfigError(f"{option.key}: {text!r} holds more than {VALUES_MAX} values; take a larger step")
    return _checked(Dimension(option=option, values=tuple(values)), ranged=True)


def _checked(dimension: Dimension, *, ranged: bool = False) -> Dimension:
    """`dimension`; its section refuses, in its own words, what is out of range."""
    ends = (dimension.values[0], dimension.values[-1]) if ranged and dimension.values else dimension.values
    for value in dimension.interval or ends:
        with_options(Settings(), {dimension.key: value})
    return dimension
