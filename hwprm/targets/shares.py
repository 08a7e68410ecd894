"""What each layer of a network takes of the hardware: its cycles, and its part of memories and of a device's cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from hwprm.compiler import Outline, Program, RomImage, draft, outline
from hwprm.config import ArrayConfig, MemoryConfig
from hwprm.intnet import IntegerNetwork
from hwprm.targets.catalogue import find_target
from hwprm.targets.model import predict
from hwprm.targets.sizes.design import Design

__all__ = ["shares"]

#: ROMs whose contents training makes.
TRAINED = ("weights", "params")
#: What every program has, without a device.
OF_ARRAY = ("cycles", "onchip_bits")


def shares(
    net: IntegerNetwork, array: ArrayConfig, names: Iterable[str], target: str | None = None
) -> dict[str, dict[str, int]]:
    """By the `names` cycles, onchip_bits, and resources of the device `target`: what each layer takes, by its name.

    Cycles are a layer's own, stalls of external memory included, of a batch where the array has one. Everything else
    is the design's whole number, spread over layers by how many columns their lists hold, as memories of weights and
    lists are filled; so that the sum is exact and a layer's part is near what it would free. Cells are those that any
    weights of this pattern fit in. Raises ConfigError for an unknown device, UnsupportedError for one without a size
    model, and what `hwprm.compiler.draft` raises.
    """
    wanted = list(names)
    sized = [name for name in wanted if name not in OF_ARRAY]
    program: Outline | Program = draft(net, array) if sized else outline(net, array)
    report = program.cycles
    if isinstance(program, Program):
        report = replace(report, stalls=program.stalls(MemoryConfig()))
    layers = [layer.name for layer in report.layers]
    listed = [layer.listed for layer in report.layers]
    found: dict[str, dict[str, int]] = {}
    if "cycles" in wanted:
        stalls = report.stalls or (0,) * len(layers)
        found["cycles"] = {layer.name: layer.cycles + stall for layer, stall in zip(report.layers, stalls, strict=True)}
    if "onchip_bits" in wanted:
        found["onchip_bits"] = dict(zip(layers, _spread(sum(program.onchip.values()), listed), strict=True))
    if isinstance(program, Program):
        cells = find_target(str(target)).cells
        used = predict(Design.of(program.hardware, _any_weights(program.roms), cells), str(target)).used
        found |= {name: dict(zip(layers, _spread(used[name], listed), strict=True)) for name in sized}
    return found


def _any_weights(roms: Iterable[RomImage]) -> list[RomImage]:
    """`roms` with weights, biases and factors in which no bit is constant: what they are is not known before training
    ends, and synthesis leaves constant bits out.
    """
    return [rom.varied() if rom.name in TRAINED else rom for rom in roms]


def _spread(total: int, parts: Sequence[int]) -> list[int]:
    """`total` in proportion to `parts`, whole numbers whose sum is `total`."""
    every, done, given, out = max(1, sum(parts)), 0, 0, []
    for part in parts:
        done += part
        out.append(total * done // every - given)
        given += out[-1]
    out[-1] += total - given
    return out
