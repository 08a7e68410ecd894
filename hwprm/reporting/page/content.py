"""Everything that a page shows, read from a folder once; what is not there is None or empty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwprm.bundle import Bundle
from hwprm.core.errors import InputError
from hwprm.intnet import IntegerNetwork
from hwprm.model import Model, Stage
from hwprm.reporting.facts.facts import describe, read_quality
from hwprm.reporting.page.silicon import read_silicon
from hwprm.reporting.page.verification import NETLIST_RESULTS, RESULTS, Results, read_results
from hwprm.sources import as_model, holds

if TYPE_CHECKING:
    from hwprm.graph import Graph

__all__ = ["Content", "gather"]

#: Folders of a run that hold the float network, in the order of the flow.
STAGES = ("train", "widths", "shrink", "admm", "purify", "compact", "finetune")


@dataclass(frozen=True, kw_only=True, eq=False)
class Content:
    """What is known of a build. `facts` has the keys of docs/report.md, those that apply."""

    facts: Mapping[str, Any]
    models: Mapping[Stage, Model]
    network: IntegerNetwork | None = None
    bundle: Bundle | None = None
    results: Results | None = None
    #: Of the netlist that was made of the bundle.
    netlist_results: Results | None = None
    #: What quantisation did, the object of ``quality.json``.
    quality: Mapping[str, Any] | None = None
    #: What devices it was synthesised for: objects of ``silicon.json``.
    silicon: tuple[Mapping[str, Any], ...] = ()

    @property
    def masked(self) -> Graph | None:
        """The earliest float network that still has the original shapes."""
        return next((model.graph for model in self.models.values() if model.stage is not Stage.COMPACT), None)

    @property
    def compact(self) -> Graph | None:
        """The float network in smaller matrices."""
        return self.models[Stage.COMPACT].graph if Stage.COMPACT in self.models else None


def gather(folder: Path) -> Content:
    """Read the run, model, integer network or bundle in `folder`.

    Raises InputError when it holds none of them or a run is not finished, and what loading its parts raises.
    """
    kind = holds(folder)
    if kind == "bundle":
        return _bundle(folder)
    facts = describe(folder)
    if kind == "widths":
        raise InputError(f"{folder} holds widths, which have no page; leave out --html, or give a model")
    if kind == "silicon":
        raise InputError(f"{folder} holds figures of one device; give the bundle beside it, whose page shows them")
    if kind == "row":
        raise InputError(f"{folder} sums up several seeds, which have a page each; give {folder}/seed-N")
    if kind == "run":
        return _run(folder, facts)
    if kind == "network":
        return Content(facts=facts, models={}, network=IntegerNetwork.load(folder), quality=read_quality(folder))
    model = as_model(folder, ())
    return Content(facts=facts, models={model.stage: model})


def _run(folder: Path, facts: Mapping[str, Any]) -> Content:
    places = [folder / "stages" / name for name in STAGES]
    models = [Model.load(place) for place in places if holds(place) == "model"]
    if "seed" in facts:  # a row ends with integers
        network = IntegerNetwork.load(folder / "stages/quantize")
        quality = read_quality(folder / "stages/quantize")
        return Content(facts=facts, models={model.stage: model for model in models}, network=network, quality=quality)
    bundle = Bundle.load(folder / "bundle")
    return Content(
        facts=facts,
        models={model.stage: model for model in models},
        network=bundle.network,
        bundle=bundle,
        results=read_results(folder / RESULTS, bundle.manifest.design_hash),
        netlist_results=read_results(folder / NETLIST_RESULTS, bundle.manifest.design_hash, netlist=True),
        quality=read_quality(folder / "stages/quantize"),
        silicon=read_silicon(folder, bundle.manifest.design_hash),
    )


def _bundle(folder: Path) -> Content:
    """A bundle alone, and the results beside it where they are its own."""
    facts = describe(folder)
    bundle = Bundle.load(folder)
    beside = folder.absolute().parent
    design, netlist = bundle.manifest.design_hash, bundle.manifest.netlist
    of_netlist = read_results(beside / NETLIST_RESULTS, design, netlist=True)
    results = of_netlist if netlist else read_results(beside / RESULTS, design)
    if netlist and results is None:
        results = read_results(beside / RESULTS, design, netlist=True)
    silicon = read_silicon(beside, bundle.manifest.design_hash)
    if results:
        cycles = facts["cycles"] | {"simulated": results.cycles}
        simulated = [row | {"simulated": results.layer_cycles.get(row["name"])} for row in cycles["layers"]]
        facts = facts | {"verify": results.facts(), "cycles": cycles | {"layers": simulated}}
    return Content(
        facts=facts,
        models={},
        network=bundle.network,
        bundle=bundle,
        results=results,
        netlist_results=of_netlist,
        silicon=silicon,
    )
