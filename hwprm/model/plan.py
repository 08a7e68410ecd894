"""`Plan`: which rows and columns of a network's matrices pruning kept; and a pruned network as a plan and its weights.

An exported folder holds two files that need neither the network's class nor its source: ``plan.json`` (structure, plan)
and ``weights.safetensors`` (what was kept). docs/import.md describes them for readers that are not hwprm.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from hwprm.core.errors import ModelError
from hwprm.core.files import check_digests, digest_of, read_json, write_file
from hwprm.core.formats import PLAN
from hwprm.graph import Graph
from hwprm.graph.liveness import filled_lines
from hwprm.model.history import History
from hwprm.model.model import Model, Stage

__all__ = ["LayerPlan", "Plan", "load_export", "mask_of", "save_export"]

FILE, WEIGHTS = "plan.json", "weights.safetensors"
#: What of a model's history later verbs use.
META = (
    *("name", "data", "input_scale", "seed", "accuracy", "judged", "plan", "shapes", "waterfall"),
    *("removals", "refusals", "teacher", "qat"),
)
AGAIN = "an older version made it; compact it again with `hwprm prune` from the purified model"
MEND = "copy the folder again, or export the model again with `hwprm export`"


@dataclass(frozen=True, kw_only=True)
class LayerPlan:
    """What is kept of one weight of `shape`, ``(M, C, KH, KW)`` or ``(M, K)``, seen as a matrix ``(M, C*KH*KW)``.

    `rows` (filters) and `cols` are ascending numbers in the original matrix; both are empty where the layer is gone.
    `mask` says which weights of that rectangle are kept, see `mask_of`; None where all are.
    """

    shape: tuple[int, ...]
    rows: tuple[int, ...]
    cols: tuple[int, ...]
    mask: str | None = None

    def __post_init__(self) -> None:
        if len(self.shape) < 2 or not all(_index(size) and size > 0 for size in self.shape):
            raise ModelError(f"the shape {list(self.shape)} is none of a weight; give (M, C, KH, KW) or (M, K)")
        count = 1
        for size in self.shape[1:]:
            count *= size
        for what, kept, end in (("row", self.rows, self.shape[0]), ("column", self.cols, count)):
            if bad := [i for i in kept if not _index(i) or not 0 <= i < end]:
                raise ModelError(f"{what} {bad[0]!r} is outside 0..{end - 1}, of a weight of shape {list(self.shape)}")
            if any(a >= b for a, b in zip(kept, kept[1:], strict=False)):
                raise ModelError(f"its {what}s are not in ascending order, each once")
        if self.mask is not None and len(_bytes(self.mask)) != -(-len(self.rows) * len(self.cols) // 8):
            raise ModelError(f"its mask is none of {len(self.rows)} x {len(self.cols)} bits in base64")

    @property
    def kept(self) -> NDArray[np.bool_]:
        """Which weights of the original matrix ``(M, C*KH*KW)`` are kept."""
        kept = np.zeros((self.shape[0], int(np.prod(self.shape[1:]))), bool)
        size = (len(self.rows), len(self.cols))
        bits = np.ones(size, np.uint8)
        if self.mask is not None:
            bits = np.unpackbits(np.frombuffer(_bytes(self.mask), np.uint8), count=bits.size).reshape(size)
        kept[np.ix_(self.rows, self.cols)] = bits
        return kept


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What pruning kept of every weighted layer of the network that was called `network`, in the network's order."""

    network: str
    layers: Mapping[str, LayerPlan]

    @classmethod
    def of(cls, model: Model) -> Self:
        """The plan of `model`: of a compact one what its history says, of any other the weights that are not zero.

        Raises ModelError when a compact model does not know its original shapes, or which single weights it kept.
        """
        if model.stage is not Stage.COMPACT:
            layers = {layer.name: _alive(layer.weight) for layer in model.graph.weighted}
        elif "shapes" not in model.meta or "plan" not in model.meta:
            raise ModelError(f"the compact model does not say which shapes its matrices had, {AGAIN}")
        else:
            there, kept = {layer.name for layer in model.graph.weighted}, model.meta["plan"]
            if old := [layer.name for layer in model.graph.weighted if _unmasked(layer.weight, kept[layer.name])]:
                raise ModelError(f"the compact model does not say which single weights {old[0]!r} kept, {AGAIN}")
            none: dict[str, list[int]] = {"rows": [], "cols": []}
            layers = {
                name: _layer(name, {"shape": shape, **(kept[name] if name in there else none)})
                for name, shape in model.meta["shapes"].items()
            }
        return cls(network=model.meta.get("name", "network"), layers=layers)

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """The plan in a file ``plan.json``, or in an exported folder. Raises ModelError when it is none."""
        path = Path(path)
        file = path / FILE if path.is_dir() else path
        plain = _read(file)
        try:
            layers = {str(name): _layer(f"{file}: {name}", entry) for name, entry in plain["layers"].items()}
            return cls(network=str(plain["network"]), layers=layers)
        except (KeyError, TypeError, AttributeError) as error:
            raise _broken(file, error) from error

    def to_json(self) -> dict[str, Any]:
        """Plain JSON: ``{layer: {"shape", "rows", "cols"}}``, and ``"mask"`` where a layer has one."""
        return {
            name: {"shape": list(layer.shape), "rows": list(layer.rows), "cols": list(layer.cols)}
            | ({} if layer.mask is None else {"mask": layer.mask})
            for name, layer in self.layers.items()
        }


def mask_of(kept: NDArray[np.bool_]) -> str | None:
    """Base64 of the bits of `kept` ``(rows, cols)``, row by row, the first one the highest of its byte.

    The last byte is filled with zeros. None where all weights are kept.
    """
    return None if kept.all() else base64.b64encode(np.packbits(kept).tobytes()).decode()


def save_export(model: Model, folder: Path) -> None:
    """Write ``plan.json`` and ``weights.safetensors`` into `folder`. Raises ModelError as `Plan.of` does."""
    plan = Plan.of(model)
    write_file(folder / WEIGHTS, save(model.graph.arrays))
    plain = {
        "format": PLAN,
        "network": plan.network,
        "stage": model.stage,
        "meta": {key: model.meta[key] for key in META if key in model.meta},
        "layers": plan.to_json(),
        "graph": model.graph.structure,
        "sha256": {WEIGHTS: digest_of(folder / WEIGHTS)},
    }
    (folder / FILE).write_text(json.dumps(plain, indent=1) + "\n")


def load_export(folder: Path) -> Model:
    """The model that `save_export` wrote, as it was but for the longer parts of its history.

    Raises ModelError when a file is missing, edited, cut short or of another format, or a layer's matrix is not as
    large as the plan says.
    """
    plain = _read(folder / FILE)
    plan = Plan.load(folder)
    try:
        check_digests(folder, dict(plain["sha256"]), MEND)
        graph = Graph.assemble(plain["graph"], load_file(folder / WEIGHTS), folder)
        model = Model(graph=graph, stage=Stage(plain["stage"]), meta=History.of(dict(plain["meta"]), folder))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, SafetensorError) as error:
        raise _broken(folder / FILE, error) from error
    if model.stage is Stage.COMPACT and (wrong := [n.name for n in graph.weighted if not _as_planned(n, plan)]):
        raise ModelError(f"{folder / FILE}: its plan does not belong to its structure in layer {wrong[0]!r}; {MEND}")
    return model


def _as_planned(layer: Any, plan: Plan) -> bool:
    return layer.name in plan.layers and len(plan.layers[layer.name].rows) == len(layer.weight)


def _alive(weight: Any) -> LayerPlan:
    matrix = weight.reshape(len(weight), -1) != 0
    rows, cols = (tuple(line.nonzero()[0].tolist()) for line in filled_lines(weight))
    return LayerPlan(shape=weight.shape, rows=rows, cols=cols, mask=mask_of(matrix[np.ix_(rows, cols)]))


def _unmasked(weight: Any, entry: Mapping[str, Any]) -> bool:
    """Whether `entry` is that of an older version, which noted rows and columns only, and `weight` has other zeros."""
    return "mask" not in entry and _alive(weight).mask is not None


def _bytes(text: object) -> bytes:
    try:
        return base64.b64decode(str(text), validate=True)
    except ValueError as error:
        raise ModelError(f"its mask is no base64 ({error})") from error


def _layer(what: str, entry: Mapping[str, Any]) -> LayerPlan:
    try:
        return LayerPlan(**{key: tuple(entry[key]) for key in ("shape", "rows", "cols")}, mask=entry.get("mask"))
    except ModelError as error:
        raise ModelError(f"{what}: {error}; {MEND}") from error


def _read(file: Path) -> dict[str, Any]:
    try:
        plain = read_json(file)
        if plain["format"] != PLAN:
            raise ModelError(f"{file}: format {plain['format']!r}, this version reads {PLAN!r}; {MEND}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _broken(file, error) from error
    return dict(plain)


def _broken(file: Path, error: Exception) -> ModelError:
    return ModelError(f"{file} is no readable plan ({error}); {MEND}")


def _index(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
