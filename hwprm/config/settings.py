"""`Settings`: every section together, read from one TOML file and overridden option by option."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hwprm.config.admm import AdmmConfig
from hwprm.config.array import ArrayConfig
from hwprm.config.board import BoardConfig
from hwprm.config.data import DataConfig
from hwprm.config.emit import EmitConfig
from hwprm.config.explore import ExploreConfig
from hwprm.config.finetune import FinetuneConfig
from hwprm.config.memory import MemoryConfig
from hwprm.config.options import convert, nearest, options_of, record
from hwprm.config.purify import PurifyConfig
from hwprm.config.qat import QatConfig
from hwprm.config.quantize import QuantizeConfig
from hwprm.config.repro import ReproConfig
from hwprm.config.run import RunConfig
from hwprm.config.shrink import ShrinkConfig
from hwprm.config.silicon import SiliconConfig
from hwprm.config.spelling import spelled
from hwprm.config.train import TrainConfig
from hwprm.config.verify import VerifyConfig
from hwprm.config.weights import WeightsConfig
from hwprm.config.widths import WidthsConfig
from hwprm.core.errors import ConfigError

__all__ = ["MACHINE", "SECTIONS", "Settings", "load_settings", "option_lines", "read_toml", "sections_toml"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One value per section, each a checked config."""

    data: DataConfig = field(default_factory=DataConfig)
    weights: WeightsConfig = field(default_factory=WeightsConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    shrink: ShrinkConfig = field(default_factory=ShrinkConfig)
    widths: WidthsConfig = field(default_factory=WidthsConfig)
    admm: AdmmConfig = field(default_factory=AdmmConfig)
    purify: PurifyConfig = field(default_factory=PurifyConfig)
    finetune: FinetuneConfig = field(default_factory=FinetuneConfig)
    quantize: QuantizeConfig = field(default_factory=QuantizeConfig)
    qat: QatConfig = field(default_factory=QatConfig)
    array: ArrayConfig = field(default_factory=ArrayConfig)
    emit: EmitConfig = field(default_factory=EmitConfig)
    memory: MemoryConfig = field(default_factory=MemoryConfig)
    verify: VerifyConfig = field(default_factory=VerifyConfig)
    silicon: SiliconConfig = field(default_factory=SiliconConfig)
    board: BoardConfig = field(default_factory=BoardConfig)
    explore: ExploreConfig = field(default_factory=ExploreConfig)
    repro: ReproConfig = field(default_factory=ReproConfig)
    run: RunConfig = field(default_factory=RunConfig)


#: Section name -> its dataclass, in the order of the flow.
SECTIONS: Mapping[str, type] = {
    item.name: item.default_factory  # type: ignore[misc]  # every field has a class as its factory
    for item in dataclasses.fields(Settings)
}

#: Options that say where things lie on one machine, or how fast it reads them: no result hangs on them.
MACHINE = frozenset({"data.data_dir", "data.download", "data.workers", "verify.work", "silicon.work"})

Values = dict[tuple[str, str], Any]


def load_settings(
    file: Path | None = None,
    overrides: Mapping[tuple[str, str], Any] | None = None,
    base: Settings | None = None,
    beside: frozenset[str] = frozenset(),
) -> Settings:
    """Settings of a TOML `file`, with `overrides` {(section, key): value} on top, `base` (else the defaults) below.

    Tables of the file named in `beside` are left to others.
    Raises ConfigError when the file cannot be read, names something unknown, or a value is of the wrong type or
    out of range.
    """
    values = read_toml(file, beside) if file else {}
    values |= overrides or {}
    made = {}
    for section, kind in SECTIONS.items():
        options = options_of(section, kind)
        given = {o.name: convert(o, values[section, o.name]) for o in options if (section, o.name) in values}
        made[section] = replace(getattr(base or Settings(), section), **given)
    return Settings(**made)


def read_toml(file: Path, beside: frozenset[str] = frozenset()) -> Values:
    """Raw values {(section, key): value} of a TOML file, without the tables `beside`, which are somebody else's.

    Raises ConfigError for unknown sections and keys.
    """
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the options in {file}: {error.strerror}; check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is no TOML file: {error}") from error
    values: Values = {}
    for section, table in tables.items():
        if section in beside:
            continue
        section = spelled(section)
        if section not in SECTIONS:
            raise ConfigError(f"{file}: unknown section [{section}]{nearest(section, SECTIONS)}")
        if not isinstance(table, dict):
            raise ConfigError(f"{file}: {section} must be a section; write [{section}] and its keys below it")
        known = {option.name for option in options_of(section, SECTIONS[section])}
        for key, value in table.items():
            if spelled(key) not in known:
                raise ConfigError(f"{file}: unknown key {section}.{key}{nearest(key, known)}")
            values[section, spelled(key)] = value
    return values


def option_lines(settings: Settings, sections: Sequence[str]) -> list[str]:
    """The options of `sections` that a result may hang on, those of `MACHINE` left out, a line each: for digests."""
    return [
        f"{option.key}={getattr(getattr(settings, section), option.name)!r}"
        for section in sections
        for option in options_of(section, SECTIONS[section])
        if option.key not in MACHINE
    ]


def sections_toml(settings: Settings, keys: Collection[str] | None = None) -> str:
    """`settings` as a TOML file that `load_settings` reads back: the options `keys` (``section.name``), else all."""
    lines = []
    for section, kind in SECTIONS.items():
        values = getattr(settings, section)
        chosen = [o for o in options_of(section, kind) if keys is None or o.key in keys]
        if chosen:
            lines += [f"[{section}]", *(f"{o.name} = {_toml(getattr(values, o.name))}" for o in chosen), ""]
    return "\n".join(lines)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if dataclasses.is_dataclass(value):
        value = record(value)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_text(key)} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return _text("none" if value is None else str(value))


def _text(value: str) -> str:
    """A TOML basic string: JSON's escapes are a subset of TOML's."""
    return json.dumps(value)
