"""The bulk mode's trace: every vector that the design stored for the first images, one line of fixed length each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwprm.bundle.manifest import Manifest
from hwprm.intnet.reference import run
from hwprm.verification.comparison.compare import Comparison, compare_layers
from hwprm.verification.comparison.vectors import Vectors, hex_values
from hwprm.verification.modes.simulation import Simulation

__all__ = ["compare_trace", "read_trace"]

#: Digits of the image's (or batch's) number and of the cycle, which are no probes.
IMAGE_DIGITS, CYCLE_DIGITS = 8, 16


def read_trace(path: Path, manifest: Manifest, images: int) -> list[dict[int, Vectors]]:
    """Vectors of each of `images` images, or batches, by layer number; -1 is a layer whose number is unknown.

    A line that is cut short, and what follows it, is left out, so that a crashed run shows as values that never came.
    """
    widths = [IMAGE_DIGITS, CYCLE_DIGITS]
    for name in ("probe_layer", "probe_filter", "probe_pixel", "probe_lanes"):
        widths.append(-(-manifest.port(name).width // 4))
    widths.append(manifest.array.rows * -(-manifest.array.act_bits // 4))
    line = sum(widths) + 1
    data = np.fromfile(path, np.uint8) if path.is_file() else np.empty(0, np.uint8)
    lines = data[: len(data) // line * line].reshape(-1, line)
    broken = np.flatnonzero(lines[:, -1] != ord("\n"))
    lines = lines[: broken[0]] if len(broken) else lines
    fields = np.split(lines[:, :-1], np.cumsum(widths)[:-1], axis=1)
    image, cycle, layer, filters, pixel, lanes = (hex_values(field) for field in fields[:-1])
    found: list[dict[int, Vectors]] = [{} for _ in range(images)]
    order = np.lexsort((layer, image))  # stable: vectors of one layer stay in the order of their cycles
    starts = np.flatnonzero(np.diff(image[order] * (1 << 32) + layer[order], prepend=-(1 << 62)))
    for mine in np.split(order, starts[1:]):
        if len(mine) and 0 <= image[mine[0]] < images:
            found[int(image[mine[0]])][int(layer[mine[0]])] = Vectors(
                cycle=cycle[mine],
                filter=filters[mine],
                pixel=pixel[mine],
                lanes=lanes[mine],
                text=fields[-1][mine],
            )
    return found


def compare_trace(simulation: Simulation, path: Path, images: NDArray[np.int64]) -> dict[str, Comparison]:
    """Every stored layer of `images` ``(n, C, H, W)`` as traced in `path` against the reference, by tensor name."""
    manifest, kept = simulation.bundle.manifest, simulation.bundle.program.kept_channels
    total: dict[str, Comparison] = {}
    batch = manifest.array.batch
    batches = read_trace(path, manifest, -(-len(images) // batch))
    for i in range(len(images)):
        tensors = {name: tensor[0] for name, tensor in run(simulation.bundle.network, images[i : i + 1]).items()}
        vectors, within = batches[i // batch], (i % batch, batch)
        compared = compare_layers(vectors, i, manifest.layers, tensors, manifest.array.act_bits, within)
        for name, comparison in compared.items():
            total[name] = total.get(name, Comparison()) + comparison.of(kept.get(name))
    return total
