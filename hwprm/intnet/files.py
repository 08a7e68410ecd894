"""Integer networks on disk: ``network.json`` plus ``weights.safetensors``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from hwprm.core.errors import ModelError
from hwprm.core.files import read_json, write_file
from hwprm.core.formats import NETWORK, NETWORK_WITH_GATES, NETWORK_WITH_TABLES, NETWORKS
from hwprm.intnet.layers import Gate, GemmLayer, Pool, Residual, Tensor, Term
from hwprm.intnet.structure import Structure

__all__ = ["load_parts", "save_parts"]

Net = TypeVar("Net", bound=Structure)


def save_parts(net: Structure, folder: Path) -> None:
    """Write `net` into `folder`, which is made if absent."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {}
    layers = []
    for layer in net.layers:
        for key in ("bias", "mult", "shift"):
            arrays[f"{layer.name}.{key}"] = np.ascontiguousarray(getattr(layer, key), dtype=np.int64)
        terms = []
        for i, term in enumerate(layer.terms):
            arrays[f"{layer.name}.weight{i}"] = np.ascontiguousarray(term.weight, dtype=np.int16)
            plain = ("source", "stride", "padding", "dilation", "groups", "region")
            terms.append({key: getattr(term, key) for key in plain})
        if layer.residual:
            for key in ("channel", "mult"):
                array = getattr(layer.residual, key)
                arrays[f"{layer.name}.residual_{key}"] = np.ascontiguousarray(array, dtype=np.int64)
            if layer.residual.gate:
                arrays[f"{layer.name}.gate_channel"] = np.ascontiguousarray(layer.residual.gate.channel, dtype=np.int64)
        if layer.table is not None:
            arrays[f"{layer.name}.table"] = np.ascontiguousarray(layer.table, dtype=np.int64)
        layers.append(
            {
                "name": layer.name,
                "terms": terms,
                "residual": layer.residual.source if layer.residual else None,
                **({"gate": layer.residual.gate.source} if layer.residual and layer.residual.gate else {}),
                "clamp": layer.clamp,
                "pool": asdict(layer.pool) if layer.pool else None,
                "wide": layer.wide,
                "upsample": layer.upsample,
            }
        )
    document = {
        "format": _format(net),
        "name": net.name,
        "weight_bits": net.weight_bits,
        "act_bits": net.act_bits,
        "inputs": net.inputs,
        "outputs": net.outputs,
        "tensors": [asdict(tensor) for tensor in net.tensors],
        "layers": layers,
    }
    if net.crosschecked:
        document["crosschecked"] = net.crosschecked
    write_file(folder / "weights.safetensors", save(arrays))
    (folder / "network.json").write_text(json.dumps(document, indent=1) + "\n")


def _format(net: Structure) -> str:
    """The oldest format that says all there is to say of `net`."""
    if any(layer.residual and layer.residual.gate for layer in net.layers):
        return NETWORK_WITH_GATES
    return NETWORK if all(layer.table is None for layer in net.layers) else NETWORK_WITH_TABLES


def load_parts(cls: type[Net], folder: Path) -> Net:
    """Read a network of class `cls` from `folder`. Raises ModelError when that cannot be done."""
    try:
        document = read_json(folder / "network.json")
        if document["format"] not in NETWORKS:
            raise ModelError(
                f"{folder}: format {document['format']!r}, this version reads {' and '.join(map(repr, NETWORKS))}; "
                "quantise again, or use it with the version that made it"
            )
        arrays = load_file(folder / "weights.safetensors")
        return cls(
            name=document["name"],
            tensors=tuple(Tensor(**_with_tuples(entry)) for entry in document["tensors"]),
            layers=tuple(_load_layer(entry, arrays) for entry in document["layers"]),
            inputs=tuple(document["inputs"]),
            outputs=tuple(document["outputs"]),
            weight_bits=document["weight_bits"],
            act_bits=document["act_bits"],
            crosschecked=int(document.get("crosschecked", 0)),
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, SafetensorError) as error:
        raise ModelError(f"{folder} holds no readable integer network ({error}); quantise again") from error


def _load_layer(entry: dict[str, Any], arrays: dict[str, Any]) -> GemmLayer:
    name, source, gate = entry["name"], entry["residual"], None
    parts = {key: arrays[f"{name}.residual_{key}"] for key in ("channel", "mult")} if source else {}
    if entry.get("gate"):
        gate = Gate(source=entry["gate"], channel=arrays[f"{name}.gate_channel"])
    return GemmLayer(
        name=name,
        terms=tuple(
            Term(weight=arrays[f"{name}.weight{i}"].astype(np.int64), **_with_tuples(term))
            for i, term in enumerate(entry["terms"])
        ),
        bias=arrays[f"{name}.bias"],
        mult=arrays[f"{name}.mult"],
        shift=arrays[f"{name}.shift"],
        clamp=tuple(entry["clamp"]),
        pool=Pool(**_with_tuples(entry["pool"])) if entry["pool"] else None,
        residual=Residual(source=source, gate=gate, **parts) if source else None,
        wide=entry["wide"],
        upsample=tuple(entry["upsample"]),
        table=arrays.get(f"{name}.table"),
    )


def _with_tuples(plain: Mapping[str, Any]) -> dict[str, Any]:
    """`plain` with tuples where it has lists, one level deep: what the fields of frozen dataclasses take."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in plain.items()}
