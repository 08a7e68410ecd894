"""`Model`: a float network with its history; what training and every pruning stage save and load."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from hwprm.core.errors import ModelError
from hwprm.core.files import check_digests, digest_of, read_json
from hwprm.core.formats import MODEL
from hwprm.graph import Graph
from hwprm.model.history import History

__all__ = ["MASKED", "Model", "Stage"]

#: Files whose digests stand in ``model.json``.
FILES = ("graph.json", "weights.safetensors")
MEND = "copy the folder again, or make it again with the verb that made it"


class Stage(StrEnum):
    """How far a network has come; each stage needs the one before it."""

    DENSE = "dense"  #: trained, every weight present
    ADMM = "admm"  #: hard-pruned after ADMM and retrained with masks; pruned rows and columns are exact zeros
    SHRUNK = "shrunk"  #: after gradual shrinking; pruned rows and columns are exact zeros
    PURIFIED = "purified"  #: after P-RM; still the original shapes, more rows and columns are exact zeros
    COMPACT = "compact"  #: zero filters and channels are gone; zero columns inside kept channels remain as zeros


#: Stages of pruned networks in their original shapes that P-RM has not seen.
MASKED = (Stage.ADMM, Stage.SHRUNK)


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """A network at a stage, and how it came there. A mapping given as `meta` becomes a `History`."""

    graph: Graph
    stage: Stage
    meta: History = field(default_factory=History)

    def __post_init__(self) -> None:
        object.__setattr__(self, "meta", History.of(self.meta))

    def advance(self, graph: Graph, stage: Stage, **meta: Any) -> Model:
        """The next stage's model: new graph, old history joined with `meta` as `History.joined` says."""
        return replace(self, graph=graph, stage=stage, meta=self.meta.joined(meta))

    def save(self, folder: Path) -> None:
        """Write ``graph.json``, ``weights.safetensors``, and ``model.json`` with their digests into `folder`."""
        self.graph.save(folder)
        digests = {name: digest_of(folder / name) for name in FILES}
        plain = {"format": MODEL, "stage": self.stage, "meta": self.meta.to_json(), "sha256": digests}
        (folder / "model.json").write_text(json.dumps(plain, indent=1, sort_keys=True) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote. Raises ModelError when it is missing, cut short, edited or of another format."""
        try:
            plain = read_json(folder / "model.json")
            if plain["format"] != MODEL:
                raise ModelError(f"{folder}: format {plain['format']!r}, this version reads {MODEL!r}")
            check_digests(folder, dict(plain.get("sha256", {})), MEND)  # folders of older versions have none
            return cls(
                graph=Graph.load(folder), stage=Stage(plain["stage"]), meta=History.of(dict(plain["meta"]), folder)
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{folder} holds no model ({error}); run `hwprm train` or `hwprm prune` again") from error
