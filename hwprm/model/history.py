"""What is known of how a model came to be: one typed record, which every stage adds to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from hwprm.config.options import nearest
from hwprm.core.errors import ModelError

__all__ = ["History"]

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class History(Mapping[str, Any]):
    """Plain JSON by name; None is what no stage has said. As a mapping it holds what was said, as ``model.json`` does.

    Keys of a file that this version does not know are kept in `other`. Raises ModelError when a value is of another
    kind than its field.
    """

    #: What the network is called.
    name: str | None = None
    #: Of a checkpoint that the weights come from: ``{"file", "sha256"}``.
    weights: Json | None = None
    #: Name of the data set.
    data: str | None = None
    #: Real value of one step of the stored images, 1/255 for bytes; by input where there are several.
    input_scale: float | Json | None = None
    #: Of the last training.
    seed: int | None = None
    #: Of the images of the last training (`hwprm.training.augment.Augmentation`).
    augmentation: Json | None = None
    #: Per cent by stage, on the test split; by another set of images where `judged` says so.
    accuracy: Json | None = None
    #: What accuracies were measured on, where that was not the test split.
    judged: str | None = None
    #: Rows of counts, one for each stage that took something (`hwprm.pruning.accounting`).
    waterfall: list[Json] | None = None
    #: What each rule of P-RM took (`hwprm.pruning.paths.removals.Removal`).
    removals: list[Json] | None = None
    #: What could not be taken exactly, and why.
    refusals: list[str] | None = None
    #: How P-RM chose: its mode, and its thresholds by layer.
    purify: Json | None = None
    #: ``{layer: {"rows", "cols", "mask"}}``, kept indices of the original matrices (`hwprm.model.plan`).
    plan: Json | None = None
    #: Of a compact model: ``{layer: shape of its original weight}``.
    shapes: Json | None = None
    #: ``{"name", "sha256"}`` of the weights of the network whose outputs last joined a loss.
    teacher: Json | None = None
    #: What training in integers settled (`hwprm.quantization.calibration.Trained`); None where weights were trained in
    #: floats since.
    qat: Json | None = None
    #: How long training took, by stage.
    seconds: Json | None = None
    #: What each epoch measured.
    log: list[Json] | None = None
    #: What a file held beside that.
    other: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, kind in KINDS.items():
            value = getattr(self, name)
            if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
                kinds = " or ".join(one.__name__ for one in kind)
                raise ModelError(f"a model's history has {kinds} as {name!r}, not {value!r}")
        if known := sorted(set(self.other) & (KINDS.keys() | {"other"})):
            raise ModelError(f"a model's history knows {known[0]!r}; give it under its name")

    @classmethod
    def of(cls, values: Mapping[str, Any], where: Path | None = None) -> Self:
        """The history that the mapping `values`, such as ``meta`` in a ``model.json``, holds; errors name `where`."""
        if isinstance(values, cls):
            return values
        known = {name: value for name, value in values.items() if name in KINDS}
        try:
            return cls(**known, other={name: value for name, value in values.items() if name not in KINDS})
        except ModelError as error:
            raise ModelError(f"{where}: {error}" if where else str(error)) from error

    def joined(self, more: Mapping[str, Any]) -> History:
        """This history and `more`: objects and lists of the same name are joined, other values replaced.

        Raises ModelError, naming it, for what no history has.
        """
        values = self.to_json()
        for name, value in more.items():
            if name not in KINDS and name not in self.other:
                raise ModelError(f"a model's history has no {name!r}{nearest(name, KINDS)}")
            old = values.get(name)
            if isinstance(old, dict) and isinstance(value, dict):
                values[name] = old | value
            elif isinstance(old, list) and isinstance(value, list):
                values[name] = old + value
            else:
                values[name] = value
        return History.of(values)

    def to_json(self) -> Json:
        """Everything that was said, as plain JSON; `of` reads it back."""
        said = {name: getattr(self, name) for name in KINDS}
        return {name: value for name, value in said.items() if value is not None} | dict(self.other)

    def __getitem__(self, name: str) -> Any:
        return self.to_json()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.to_json())

    def __len__(self) -> int:
        return len(self.to_json())


#: Name of each field -> the kinds of its value.
KINDS: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("name", "data", "judged"), (str,)),
    **dict.fromkeys(("waterfall", "removals", "refusals", "log"), (list,)),
    **dict.fromkeys(
        ("weights", "augmentation", "accuracy", "purify", "plan", "shapes", "teacher", "qat", "seconds"), (dict,)
    ),
    "input_scale": (float, int, dict),
    "seed": (int,),
}
assert {item.name for item in fields(History)} == {*KINDS, "other"}
