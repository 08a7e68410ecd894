"""`Model`: a float network with its history; what training and every pruning stage save and load."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from hwprm.core.errors import ModelError
from hwprm.core.files import check_digests, digest_of
from hwprm.graph import Graph

__all__ = ["MASKED", "Model", "Stage"]

FORMAT = "hwprm-model-1"
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
    """A network at a stage.

    `meta` is plain JSON. Keys that stages agree on: ``data`` (name of the data set), ``input_scale`` (real value of
    one step of the stored images, 1/255 for bytes), ``seed``, ``accuracy`` ({stage: per cent on the test split}),
    ``judged`` (what these were measured on, where that was not the test split), ``waterfall`` (list of accounting rows,
    see `hwprm.pruning.accounting`), ``removals`` (list of what each rule took),
    ``plan`` ({layer: {"rows": [...], "cols": [...]}}, kept indices in the *original* matrix, of a compact model with
    ``mask``, see `hwprm.model.plan`), ``shapes`` (of a compact model: {layer: shape of its original weight}),
    ``teacher`` ({"name", "sha256"} of the weights of the network whose outputs last joined a loss), ``seconds``.
    """

    graph: Graph
    stage: Stage
    meta: dict[str, Any] = field(default_factory=dict)

    def advance(self, graph: Graph, stage: Stage, **meta: Any) -> Model:
        """The next stage's model: new graph, old history plus `meta` (dicts and lists of the same key are joined)."""
        joined = dict(self.meta)
        for key, value in meta.items():
            old = joined.get(key)
            if isinstance(old, dict) and isinstance(value, dict):
                joined[key] = old | value
            elif isinstance(old, list) and isinstance(value, list):
                joined[key] = old + value
            else:
                joined[key] = value
        return replace(self, graph=graph, stage=stage, meta=joined)

    def save(self, folder: Path) -> None:
        """Write ``graph.json``, ``weights.safetensors``, and ``model.json`` with their digests into `folder`."""
        self.graph.save(folder)
        digests = {name: digest_of(folder / name) for name in FILES}
        plain = {"format": FORMAT, "stage": self.stage, "meta": self.meta, "sha256": digests}
        (folder / "model.json").write_text(json.dumps(plain, indent=1, sort_keys=True) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote. Raises ModelError when it is missing, cut short, edited or of another format."""
        try:
            plan = json.loads((folder / "model.json").read_text())
            if plan["format"] != FORMAT:
                raise ModelError(f"{folder}: format {plan['format']!r}, this version reads {FORMAT!r}")
            check_digests(folder, dict(plan.get("sha256", {})), MEND)  # folders of older versions have none
            return cls(graph=Graph.load(folder), stage=Stage(plan["stage"]), meta=dict(plan["meta"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{folder} holds no model ({error}); run `hwprm train` or `hwprm prune` again") from error
