"""`Model`: a float network with its history; what training and every pruning stage save and load."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from hwprm.core.errors import ModelError
from hwprm.core.extras import says_what_it_lacks
from hwprm.core.files import check_digests, digest_of, read_json
from hwprm.core.formats import MODEL
from hwprm.core.shown import html_table
from hwprm.graph import Graph
from hwprm.model.history import History

if TYPE_CHECKING:
    from torch import nn

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

    def __repr__(self) -> str:
        weights = sum(node.weight.size for node in self.graph.weighted)
        left = sum(int((node.weight != 0).sum()) for node in self.graph.weighted)
        accuracy = [f", {percent:.2f} % ({stage})" for stage, percent in (self.meta.accuracy or {}).items()]
        layers = len(self.graph.weighted)
        return (
            f"<Model {self.meta.name or 'network'}: {self.stage}, {layers} layers, {left:,} of {weights:,} weights"
            f"{(accuracy or [''])[-1]}>"
        )

    def _repr_html_(self) -> str:
        rows = [
            (node.name, type(node).__name__, " x ".join(map(str, node.weight.shape)), int((node.weight != 0).sum()))
            for node in self.graph.weighted
        ]
        return html_table(repr(self)[1:-1], ("layer", "operator", "shape", "weights left"), rows)

    def advance(self, graph: Graph, stage: Stage, **meta: Any) -> Model:
        """The next stage's model: new graph, old history joined with `meta` as `History.joined` says."""
        return replace(self, graph=graph, stage=stage, meta=self.meta.joined(meta))

    @says_what_it_lacks
    def to_torch(self) -> nn.Module:
        """The network as a torch module with copies of the weights, in evaluation mode; to be trained on, or exported.

        It takes ``(n, *shape)`` of each input, in real values (a byte of an image is ``meta.input_scale``), and gives
        what the graph means; its parameters are called ``<layer>.weight`` and ``<layer>.bias``, dots as underscores.
        """
        # Looked up by name: models are read, saved and compiled where torch is not installed.
        module: nn.Module = import_module("hwprm.nets").GraphModule(self.graph)
        return module.eval()

    def save(self, folder: Path | str) -> None:
        """Write ``graph.json``, ``weights.safetensors``, and ``model.json`` with their digests into `folder`."""
        folder = Path(folder)
        self.graph.save(folder)
        digests = {name: digest_of(folder / name) for name in FILES}
        plain = {"format": MODEL, "stage": self.stage, "meta": self.meta.to_json(), "sha256": digests}
        (folder / "model.json").write_text(json.dumps(plain, indent=1, sort_keys=True) + "\n")

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Read what `save` wrote. Raises ModelError when it is missing, cut short, edited or of another format."""
        folder = Path(folder)
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
