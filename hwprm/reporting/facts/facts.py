"""Facts about every noun, as plain JSON with the keys of docs/report.md."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwprm.bundle import Bundle
from hwprm.compiler import CycleReport
from hwprm.core.errors import InputError
from hwprm.core.files import read_json
from hwprm.core.formats import QUALITY, REPORT, ROW, SILICON, STUDY, WIDTHS
from hwprm.intnet import IntegerNetwork
from hwprm.model import MASKED, Model, Stage
from hwprm.pruning.accounting import account, against
from hwprm.sources import as_model, holds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hwprm.verification import VerifyReport

__all__ = [
    "bundle_facts",
    "compression",
    "coverage_facts",
    "coverage_of",
    "cycle_facts",
    "describe",
    "in_order",
    "model_facts",
    "network_facts",
    "read_quality",
    "removal_facts",
    "verify_facts",
]

Facts = dict[str, Any]
#: Beside an integer network: per cent of the float network that it was made of, and its own, on the same images.
ACCURACY = "accuracy.json"
#: ... what `hwprm.quantization.measure_quality` found.
QUALITY_FILE = "quality.json"
#: Stages in the order of the flow, as accuracies are listed.
STAGES = ("dense", "narrowed", "shrunk", "admm", "purified", "compact", "finetuned", "rounded", "qat", "integer")


def describe(folder: Path) -> Facts:
    """What is known about a run, a row, a model (exported ones too), an integer network, a bundle, widths, or a study.

    Raises InputError when `folder` holds none of them, and what loading it raises.
    """
    kind = holds(folder)
    if kind in ("model", "plan"):
        return model_facts(as_model(folder, ()))
    if kind == "network":
        facts = network_facts(IntegerNetwork.load(folder))
        if (file := folder / ACCURACY).is_file():
            facts["accuracy"] = in_order(_read(file, "hwprm quantize"))
        if quality := read_quality(folder):
            facts["quality"] = quality
        return facts
    if kind == "bundle":
        return bundle_facts(Bundle.load(folder))
    if kind == "run":
        return _seed(folder) if (folder / "result.json").is_file() else _run(folder)
    if kind == "row":
        return _row(folder)
    if kind == "widths":
        return _widths(folder)
    if kind == "silicon":
        return _read(folder / "silicon.json", "hwprm synth or pnr", SILICON)
    if kind == "study":
        return _study(folder)
    raise InputError(
        f"{folder} holds no run, model, integer network, bundle, widths, silicon or study; give a folder that "
        "hwprm made"
    )


def model_facts(model: Model) -> Facts:
    """Stage, shapes, accuracy and compression of a float network."""
    meta = model.meta
    facts: Facts = {
        "net": meta.get("name", "network"),
        "stage": str(model.stage),
        "layers": {layer.name: list(layer.weight.shape) for layer in model.graph.weighted},
        "accuracy": in_order(meta.get("accuracy", {})),
        "seconds": in_order(meta.get("seconds", {})),
    }
    if "judged" in meta:
        facts["judged"] = meta["judged"]
    if rows := _waterfall(model):
        facts |= {"waterfall": rows, "compression": compression(rows)}
    if "teacher" in meta:
        facts["teacher"] = meta["teacher"]
    return facts | removal_facts(model)


def removal_facts(model: Model) -> Facts:
    """What P-RM took, a row for each rule, layer and kind, and what it had to leave; empty of a model without P-RM."""
    meta = model.meta
    if "removals" not in meta:
        return {}
    keys = ("rule", "layer", "kind", "weights")
    rows = [{key: one[key] for key in keys} | {"count": len(one["indices"])} for one in meta["removals"]]
    return {"removals": rows, "refusals": meta.get("refusals", [])}


def _waterfall(model: Model) -> list[Facts]:
    """The waterfall of `model`; one that was pruned and not purified still has its shapes, and gets its row here."""
    rows: list[Facts] = model.meta.get("waterfall", [])
    if model.stage not in MASKED or model.stage in {row["stage"] for row in rows}:
        return rows
    counts = account(model.graph, model.graph)
    rows = rows or [counts.dense().row(Stage.DENSE.value)]
    return [*rows, against(counts.row(model.stage.value), rows)]


def read_quality(folder: Path) -> Facts | None:
    """What quantisation did to the integer network in `folder`, where that was measured."""
    file = folder / QUALITY_FILE
    return _read(file, "hwprm quantize", QUALITY) if file.is_file() else None


def in_order(values: Mapping[str, float]) -> dict[str, float]:
    """`values` by stage, in the order of the flow."""
    return {stage: values[stage] for stage in STAGES if stage in values}


def compression(waterfall: list[Facts]) -> Facts:
    """The three counts of the last row of a waterfall."""
    return {key: waterfall[-1][key] for key in ("conv_only", "all_weights", "stored_bits")}


def network_facts(net: IntegerNetwork) -> Facts:
    """Shapes and widths of an integer network."""
    return {
        "net": net.name,
        "array": None,
        "weight_bits": net.weight_bits,
        "act_bits": net.act_bits,
        "unsigned": [tensor.name for tensor in net.tensors if not tensor.signed],
        "layers": {layer.name: [list(term.weight.shape) for term in layer.terms] for layer in net.layers},
    }


def bundle_facts(bundle: Bundle) -> Facts:
    """Array and exact cycles of a bundle."""
    own = bundle.manifest.array
    unsigned = [entry.name for entry in bundle.manifest.inputs if not entry.signed]
    unsigned += [layer.name for layer in bundle.manifest.layers if not layer.signed]
    return {
        "net": bundle.manifest.net,
        "design_hash": bundle.manifest.design_hash,
        "images": bundle.manifest.images,
        "array": asdict(own),
        "unsigned": unsigned,
        "cycles": cycle_facts(bundle.program.cycles),
        "memory": {
            "onchip_bits": dict(bundle.program.onchip_bits),
            "external_bytes": bundle.manifest.external.bytes if bundle.manifest.external else 0,
        },
    }


def cycle_facts(report: CycleReport, simulated: dict[str, int] | None = None, total: int | None = None) -> Facts:
    """Predicted, promised and bound cycles per image and per layer; simulated ones where they are known.

    Where the report has stalls, they stand beside the predicted cycles, not in them. With batches all counts are of a
    batch, and `per_image` is its part of `predicted`.
    """
    simulated = simulated or {}
    waits = [{"stalls": waited} for waited in report.stalls] or [{} for _ in report.layers]
    rows = [
        {
            "name": layer.name,
            "predicted": layer.cycles,
            "simulated": simulated.get(layer.name),
            "promise": layer.promise,
            "limit": layer.limit,
            "bound": layer.bound,
            "utilisation": layer.utilisation(report.rows, report.cols),
            "macs": layer.macs,
            "weights": layer.weights,
            "listed": layer.listed,
            "regular": layer.regular,
            "slots": layer.slots,
            "unordered": {"predicted": layer.unordered_cycles, "listed": layer.unordered_listed},
            **waited,
        }
        for layer, waited in zip(report.layers, waits, strict=True)
    ]
    return {
        "predicted": report.total,
        "simulated": total,
        "promise": report.promise,
        "bound": report.bound,
        "limit": report.limit,
        "utilisation": report.utilisation,
        "unordered": report.unordered,
        **({"stalls": sum(report.stalls)} if report.stalls else {}),
        **({"batch": report.batch, "per_image": report.total / report.batch} if report.batch > 1 else {}),
        "layers": rows,
    }


def verify_facts(report: VerifyReport) -> Facts:
    """What was simulated and compared."""
    plain = report.as_dict()
    return {
        "net": report.net,
        "verify": {
            "simulator": ", ".join(report.simulators),
            "images": report.images,
            "values_compared": report.values_compared,
            "mismatches": report.mismatches,
            "failures": [asdict(case) for case in report.failures],
            "seed": report.seed,
            **({} if report.memory_stalls is None else {"memory_stalls": report.memory_stalls}),
            **({"coverage": coverage_facts(report)} if report.coverage else {}),
            "ok": report.ok,
        },
        "simulated": {"image": report.cycles_simulated, "layers": plain["layer_cycles_simulated"]},
        "predicted": {"image": report.cycles_predicted, "layers": plain["layer_cycles_predicted"]},
        "waves": plain["waves"],
        "seconds": {"verify": report.seconds},
    }


def coverage_facts(report: VerifyReport) -> Facts:
    """Which goals the images of a verification reached, in all and of every input and layer."""
    rows = [
        {
            "name": layer.name,
            "goals": layer.goals,
            "reached": layer.reached,
            "compared": layer.compared,
            "unreachable": layer.ruled_out,
            "open": layer.left,
            "names": {"unreachable": list(layer.unreachable), "open": list(layer.open)},
            "filters": {
                count.kind: {"of": count.filters, "reached": count.reached, "unreachable": count.unreachable}
                for count in layer.filters
            },
        }
        for layer in report.coverage
    ]
    return coverage_of(rows)


def coverage_of(rows: list[Facts]) -> Facts:
    """The ``coverage`` part of a report from its layers' parts."""
    counts = ("goals", "reached", "compared", "unreachable", "open")
    return {key: sum(row[key] for row in rows) for key in counts} | {"layers": rows}


def _run(folder: Path) -> Facts:
    """The report that a finished run left."""
    if not (folder / "report.json").exists():
        raise InputError(
            f"{folder} has no report.json yet; finish it with `hwprm demo --out {folder}`, or with `hwprm repro` where "
            "that made it"
        )
    return _read(folder / "report.json", "the demo", REPORT)


def _seed(folder: Path) -> Facts:
    """One seed of a row: what it left, with the keys of ``report.json``."""
    result = _read(folder / "result.json", "hwprm repro")
    try:
        keys = ("row", "seed", "data", "accuracy", "validation", "compression", "waterfall", "seconds")
        facts = {"net": result["row"], **{key: result[key] for key in keys}, "predicted": {"image": result["cycles"]}}
        return facts | {"accuracy": in_order(facts["accuracy"]), "validation": in_order(facts["validation"])}
    except (KeyError, TypeError) as error:
        raise InputError(f"{folder / 'result.json'} lacks {error}; delete it and run hwprm repro again") from error


def _row(folder: Path) -> Facts:
    """The summary of a row over its seeds."""
    facts = _read(folder / "result.json", "hwprm repro", ROW)
    keys = ("title", "source", "count", "paper", "reach", "accuracy", "compression", "reached", "seeds")
    if lacking := [key for key in keys if key not in facts]:
        raise InputError(f"{folder / 'result.json'} lacks {', '.join(lacking)}; delete it and run hwprm repro again")
    return facts


def _study(folder: Path) -> Facts:
    """What an exploration that came to its end left."""
    if not (folder / "explored.json").exists():
        raise InputError(
            f"{folder} has no explored.json yet: its exploration was interrupted; run the same `hwprm explore` again, "
            f"or look at what there is with `hwprm explore {folder}`"
        )
    facts = _read(folder / "explored.json", "hwprm explore", STUDY)
    if "importance" not in facts:
        raise InputError(f"{folder / 'explored.json'} is of an earlier version; run the same `hwprm explore` again")
    return facts


def _widths(folder: Path) -> Facts:
    """What `hwprm widths` found."""
    return _read(folder / "widths.json", "hwprm widths", WIDTHS)


def _read(file: Path, maker: str, kind: str | None = None) -> Facts:
    try:
        facts = read_json(file)
        if not isinstance(facts, dict) or (kind and facts.get("format") != kind):
            raise ValueError(f"its format is not {kind!r}" if kind else "it is no object")
        return facts
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read ({error}); delete it and run {maker} again") from error
