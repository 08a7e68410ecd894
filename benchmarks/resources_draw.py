"""Designs drawn by a seed, and what synthesis makes of them: the material of `resources.py`."""

from __future__ import annotations

import random
import shutil
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from hwprm.bundle import Bundle
from hwprm.bundle.images import random_images
from hwprm.compiler import Program, compile_network, draft
from hwprm.compiler.encoding.rom import RomImage
from hwprm.config import ArrayConfig, QuantizeConfig, SiliconConfig
from hwprm.core.errors import ConfigError, ModelError, UnsupportedError
from hwprm.emission import emit_bundle
from hwprm.frontend import to_graph
from hwprm.isa import ExternalMemory, Hardware, InputGeometry
from hwprm.nets.random import random_network
from hwprm.quantization import quantize_network
from hwprm.sources import array_of
from hwprm.targets.sizes.columns import Columns
from hwprm.targets.sizes.design import Design, in_roms
from hwprm.targets.sizes.memories import Contents
from hwprm.targets.synth import silent, synthesise

__all__ = ["design_of", "drawn", "measured", "measured_bundle"]

#: Arrays, each side log-uniform between these, and no larger in all than a draw may take of a processor.
SIDES = (1, 2, 3, 4, 5, 6, 8, 12, 16)
#: Images that calibrate, and redraws before a seed is given up.
CALIBRATION, ATTEMPTS = 4, 50
#: Whether networks of a kind of seeds have activation tables or products of two tensors; those of others may have some.
LOOKED_UP = {"fit": False, "test": False, "unseen": False, "final": False, "tables": True}


def drawn(seed: str, most: int) -> tuple[Program, str]:
    """The program of `seed`, an array of `most` processing elements or fewer, and the cells that it is written in."""
    wanted = LOOKED_UP.get(seed.partition("/")[0])
    for attempt in range(ATTEMPTS):
        try:
            program, cells = _drawn(random.Random(f"{seed}/{attempt}"), most)
        except (ConfigError, ModelError, UnsupportedError):  # constant networks, sums too wide, memories too large
            continue
        if wanted in (None, bool(program.hardware.posts or program.hardware.gates)):
            return program, cells
    raise ValueError(f"no design in {ATTEMPTS} draws of {seed}")


def measured(program: Program, cells: str, target: str, work: Path) -> dict[str, Any]:
    """What synthesis for `target` makes of it, with its `Hardware` and the contents of its tables."""
    begun, folder = time.process_time(), work / "bundle"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        emit_bundle(program, random_images(1, program.network.image_limits, 0), None, folder, target=cells)
        return _synthesised(folder, program, target) | {"seconds": round(time.process_time() - begun, 1)}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measured_bundle(folder: Path, target: str) -> dict[str, Any]:
    """The same of a bundle."""
    bundle = Bundle.load(folder)
    return _synthesised(folder, draft(bundle.network, array_of(bundle), as_is=True), target)


def _synthesised(folder: Path, program: Program, target: str) -> dict[str, Any]:
    found = synthesise(folder, SiliconConfig(target=target), silent)
    return {
        "cells": found.bundle.manifest.target,
        "tool": found.tool.label,
        "used": {key: value for key, value in found.used.items() if key != "io"},
        "hardware": asdict(program.hardware) | {"design_hash": ""},
        "tables": {rom.name: _columns(rom) for rom in in_roms(program.hardware, program.roms)},
    }


def design_of(row: dict[str, Any]) -> Design:
    """The design of a row of `measured`, as its sizes are counted."""
    facts = row["hardware"]
    made: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in facts.items()}
    made["inputs"] = tuple(InputGeometry(**part | {"shape": tuple(part["shape"])}) for part in facts["inputs"])
    made["external"] = ExternalMemory(**facts["external"]) if facts["external"] else None
    hardware = Hardware(**made)
    columns = {name: _read_columns(text) for name, text in row["tables"].items()}
    return Design(hardware=hardware, contents=Contents(hardware, columns), cells=row["cells"])


def _columns(rom: RomImage) -> str:
    """Its depth, and for each bit the first that always is as it is."""
    columns = Columns.of(rom)
    return f"{columns.depth}: {' '.join(map(str, columns.first))}"


def _read_columns(text: str) -> Columns:
    depth, _, first = text.partition(":")
    return Columns(int(depth), tuple(map(int, first.split())))


def _drawn(rng: random.Random, most: int) -> tuple[Program, str]:
    rows, cols = rng.choice([(r, c) for r in SIDES for c in SIDES if r * c <= most])
    module = random_network(rng.getrandbits(32), steps=rng.randint(1, 7), size=rng.choice((7, 12, 17)))
    graph = to_graph(module, module.image_shapes)
    values = np.random.default_rng(rng.getrandbits(32))
    x = {node.name: values.normal(size=(CALIBRATION, *node.shape)) for node in graph.inputs}
    bits = rng.choice((8, 8, rng.randint(4, 16)))
    net = quantize_network(graph, x, 1.0, QuantizeConfig(weight_bits=bits, act_bits=rng.choice((bits, 8))))
    array = ArrayConfig(
        rows=rows,
        cols=cols,
        pipeline=rng.choice(("short", "fast")),
        batch=rng.choice((1, 1, 1, 2, 4)),
        weights=rng.choice(("rom", "rom", "axi")),
    )
    program = compile_network(net, array)
    return program, rng.choice(("any", "ecp5"))
