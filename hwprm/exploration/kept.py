"""What a study keeps to build its points from: the network that was explored, and the options of every point."""

from __future__ import annotations

from pathlib import Path

from hwprm.config import Settings, load_settings
from hwprm.config.options import options_of
from hwprm.config.settings import MACHINE, SECTIONS, sections_toml
from hwprm.core.errors import InputError
from hwprm.core.files import write_file
from hwprm.intnet import IntegerNetwork
from hwprm.model import Model
from hwprm.sources import holds

__all__ = ["keep_source", "kept_settings", "kept_source"]

SOURCE, OPTIONS = "source", "options.toml"
#: Sections that a point reads.
READ = ("data", "train", "shrink", "admm", "purify", "finetune", "quantize", "array", "emit", "memory", "verify")


def keep_source(folder: Path, source: Model | IntegerNetwork | None, settings: Settings) -> None:
    """Write the network and the options into the study's `folder`, which is made."""
    assert source is not None
    place = folder / SOURCE
    place.mkdir(parents=True, exist_ok=True)
    source.save(place)
    keys = {option.key for section in READ for option in options_of(section, SECTIONS[section])} - MACHINE
    if len(Path(settings.data.name).parts) > 1 or Path(settings.data.name).suffix:
        keys.remove("data.name")  # a place on this machine: whoever builds a point names the images again
    write_file(folder / OPTIONS, sections_toml(settings, keys | {"run.method", *EXPLORED}))


#: Options of the exploration that values hang on.
EXPLORED = ("explore.target", "explore.clock", "explore.rank_epochs")


def kept_settings(folder: Path) -> Settings:
    """The options of every point but for its dimensions. Raises ConfigError when the file is gone or edited badly."""
    return load_settings(folder / OPTIONS)


def kept_source(folder: Path) -> Model | IntegerNetwork:
    """The network that was explored. Raises InputError when it is gone, ModelError when it was edited."""
    place = folder / SOURCE
    match holds(place):
        case "model":
            return Model.load(place)
        case "network":
            return IntegerNetwork.load(place)
    raise InputError(f"{place} holds no network any more, so no point of the study can be built; explore again")
