"""Which rows of the papers' tables are reproduced, and how often."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from annotated_doc import Doc

from hwprm.config.kinds import Seed
from hwprm.config.section import Section
from hwprm.core.errors import ConfigError

__all__ = ["ReproConfig"]


@dataclass(frozen=True, kw_only=True)
class ReproConfig(Section, section="repro"):
    """The verb `repro`."""

    list: Annotated[bool, Doc("Print the rows that there are recipes for, and stop.")] = False
    seeds: Annotated[
        tuple[Seed, ...] | None, Doc("Seeds to run the recipe with, one after the other; none takes the recipe's own.")
    ] = None
    weights: Annotated[
        Path | None,
        Doc(
            "Public checkpoint of the dense network, to start from instead of training it; [weights] says what it "
            "expects."
        ),
    ] = None
    teacher: Annotated[
        Path | None,
        Doc(
            "Model that teaches what is shrunk and fine-tuned, in place of the row's dense network: one that knows "
            "more."
        ),
    ] = None
    pruned: Annotated[
        Path | None,
        Doc(
            "Pruned network of the row, a model folder or an exported one: it is scored, compiled and simulated, and "
            "nothing is trained."
        ),
    ] = None

    def agree(self) -> None:
        if self.teacher is not None and self.pruned is not None:
            raise ConfigError("repro.teacher teaches what is trained, and with repro.pruned nothing is; leave one out")
        if self.seeds is not None and (not self.seeds or len(set(self.seeds)) < len(self.seeds)):
            raise ConfigError(f"repro.seeds must be one or more, each once, such as 0,1,2, not {self.seeds!r}")
