"""Designs drawn by a seed, and what synthesis makes of them: the material of `resources.py`."""

from __future__ import annotations

import random
import shutil
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from hwprm.bundle.images import random_images
from hwprm.compiler import Program, compile_network
from hwprm.config import ArrayConfig, QuantizeConfig, SiliconConfig
from hwprm.core.errors import ConfigError, ModelError, UnsupportedError
from hwprm.emission import emit_bundle
from hwprm.frontend import to_graph
from hwprm.nets.random import random_network
from hwprm.quantization import quantize_network
from hwprm.targets.synth import silent, synthesise

__all__ = ["drawn", "measured"]

#: Arrays, each side log-uniform between these, and no larger in all than a draw may take of a processor.
SIDES = (1, 2, 3, 4, 5, 6, 8, 12, 16)
#: Images that calibrate, and redraws before a seed is given up.
CALIBRATION, ATTEMPTS = 4, 50


def drawn(seed: str, most: int) -> tuple[Program, str]:
    """The program of `seed`, an array of `most` processing elements or fewer, and the cells that it is written in."""
    for attempt in range(ATTEMPTS):
        try:
            return _drawn(random.Random(f"{seed}/{attempt}"), most)
        except (ConfigError, ModelError, UnsupportedError):  # constant networks, sums too wide, memories too large
            continue
    raise ValueError(f"no design in {ATTEMPTS} draws of {seed}")


def measured(program: Program, cells: str, target: str, work: Path) -> dict[str, Any]:
    """What synthesis for `target` makes of it, whole and by block, with the `Hardware` that it was made of."""
    begun, folder = time.process_time(), work / "bundle"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        emit_bundle(program, random_images(1, program.network.image_limits, 0), None, folder, target=cells)
        found = synthesise(folder, SiliconConfig(target=target), silent)
        return {
            "cells": cells,
            "tool": found.tool.label,
            "used": {key: value for key, value in found.used.items() if key != "io"},
            "blocks": found.blocks,
            "hardware": asdict(program.hardware) | {"design_hash": ""},
            "roms": {rom.name: _changing(rom.words(), rom.width) for rom in program.roms},
            "seconds": round(time.process_time() - begun, 1),
        }
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _changing(words: list[int], width: int) -> list[int]:
    """Bits of a table that ever change, and those that differ from all others: the rest takes no memory."""
    columns = [tuple(word >> bit & 1 for word in words) for bit in range(width)]
    kept = [column for column in columns if len(set(column)) > 1]
    return [len(kept), len(set(kept))]


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
    return compile_network(net, array), rng.choice(("any", "ecp5"))
