"""`Program`: a network compiled for one array; and the compiler's front door."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from hwprm.compiler.encoding.encode import encode_roms, list_bases
from hwprm.compiler.encoding.external import ExternalImage, build_image, plan_rings
from hwprm.compiler.encoding.onchip import check_budget, onchip_bits
from hwprm.compiler.encoding.rom import RomImage
from hwprm.compiler.layout.geometry import LayerGeometry
from hwprm.compiler.layout.hardware import accumulator_bits
from hwprm.compiler.layout.memory import MemoryPlan
from hwprm.compiler.layout.schedule import Tile
from hwprm.compiler.passes.compact import compaction, unchanged
from hwprm.compiler.passes.ordering import order_filters
from hwprm.compiler.passes.pools import split_pools
from hwprm.compiler.timing.cycles import CycleReport
from hwprm.compiler.timing.outline import draft_network
from hwprm.compiler.timing.stalls import steady_stalls
from hwprm.config import ArrayConfig, MemoryConfig
from hwprm.core.errors import UnsupportedError
from hwprm.intnet import IntegerNetwork
from hwprm.isa import Hardware

__all__ = ["Program", "compile_network", "estimate"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Program:
    """Everything that emission and verification need.

    `network` is what the hardware computes: the given one without what no output depends on, with some max pools apart
    (`split_pools`), filters in the order of their tiles (`order_filters`). `kept` maps each tensor of the given network
    that is left to the numbers its channels had, in this order.
    """

    network: IntegerNetwork
    kept: dict[str, tuple[int, ...]]
    array: ArrayConfig
    hardware: Hardware
    geometry: tuple[LayerGeometry, ...]
    plan: MemoryPlan
    tiles: tuple[Tile, ...]
    #: The tables; with external memory they are not ROMs, their words are in `external`.
    roms: tuple[RomImage, ...]
    external: ExternalImage | None
    cycles: CycleReport

    @property
    def design_hash(self) -> str:
        """SHA-256, hexadecimal, of ROM contents and hardware parameters."""
        return self.hardware.design_hash

    @property
    def layers(self) -> tuple[str, ...]:
        """Tensor that each layer number makes."""
        return tuple(layer.name for layer in self.network.layers)

    @cached_property
    def accumulator(self) -> dict[str, int]:
        """Accumulator bits each layer needs, proven from its weights."""
        return accumulator_bits(self.network)

    @property
    def onchip(self) -> dict[str, int]:
        """Bits of every memory on the chip, by name."""
        return onchip_bits(self.hardware)

    def stalls(self, memory: MemoryConfig) -> tuple[int, ...]:
        """Cycles that each layer waits for `memory` at steady state, exactly; none where nothing is read from one."""
        cycles = [layer.cycles for layer in self.cycles.layers]
        return steady_stalls(self.tiles, cycles, self.hardware, memory) if self.external else ()

    def rom(self, name: str) -> RomImage:
        """The ROM called `name`. Raises KeyError when there is none."""
        return {rom.name: rom for rom in self.roms}[name]

    def as_dict(self) -> dict[str, Any]:
        """The program without its contents, as plain data for manifests and reports."""
        return {
            "design_hash": self.design_hash,
            "hardware": asdict(self.hardware),
            "layers": list(self.layers),
            "accumulator_bits": self.accumulator,
            "memory": {
                "banks": self.plan.banks,
                "words": self.plan.words,
                "tensors": [asdict(p) for p in self.plan.placements],
            },
            "roms": {rom.name: {"width": rom.width, "depth": rom.depth, "bits": rom.bits} for rom in self.roms},
            "tiles": [asdict(tile) for tile in self.tiles],
            "onchip_bits": self.onchip,
            "cycles": self.cycles.as_dict(),
        }


def compile_network(net: IntegerNetwork, array: ArrayConfig, *, as_is: bool = False) -> Program:
    """Compile `net` for `array`: compact, lay out, order filters, encode.

    A network that was compiled before stays `as_is`: compacted again, what its sums became could lose more channels.
    Raises UnsupportedError for what this hardware cannot run, ConfigError when the array does not fit the network,
    ModelError when nothing of the network is left.
    """
    smaller = unchanged(net) if as_is else compaction(net)
    kept = dict(smaller.kept)
    split = split_pools(smaller.network, array)
    _check_supported(split)
    draft = draft_network(split, array)
    if array.order_filters:
        draft, orders = order_filters(draft, array)
        kept |= {name: tuple(kept[name][i] for i in order) for name, order in orders.items() if name in kept}
    net, hw, tiles = draft.network, draft.hardware, draft.schedule.tiles
    if array.weights == "axi":
        hw = replace(hw, external=plan_rings(array, tiles, [layer.name for layer in net.layers], hw))
    check_budget(hw, array.onchip_bits)
    roms = encode_roms(net, draft.geometry, draft.plan, draft.schedule, hw)
    image = None
    if hw.external:
        bases = list_bases(draft.schedule, draft.geometry).tolist()
        image = build_image(tiles, bases, {rom.name: rom for rom in roms}, hw)
        hw = replace(hw, external=replace(hw.external, boot_bursts=image.boot_bursts, bursts=image.bursts))
    return Program(
        network=net,
        kept=kept,
        array=array,
        hardware=replace(hw, design_hash=_design_hash(hw, roms)),
        geometry=draft.geometry,
        plan=draft.plan,
        tiles=draft.schedule.tiles,
        roms=roms,
        external=image,
        cycles=draft.cycles,
    )


def estimate(
    net: IntegerNetwork, array: ArrayConfig, memory: MemoryConfig | None = None, *, as_is: bool = False
) -> CycleReport:
    """Exact cycles of `net` on `array`, and stalls for `memory` if it reads one, without emitting or simulating.

    `as_is` is that of `compile_network`.
    """
    program = compile_network(net, array, as_is=as_is)
    return replace(program.cycles, stalls=program.stalls(memory or MemoryConfig()))


def _check_supported(net: IntegerNetwork) -> None:
    for tensor in net.tensors:
        if tensor.name not in net.outputs and tensor.bits > net.act_bits:
            raise UnsupportedError(
                f"tensor {tensor.name!r} has {tensor.bits} bits, the activation memory {net.act_bits}; "
                f"quantise it to act_bits"
            )


def _design_hash(hw: Hardware, roms: tuple[RomImage, ...]) -> str:
    digest = hashlib.sha256(json.dumps(asdict(hw), sort_keys=True).encode())
    for rom in roms:
        digest.update(f"{rom.name}:{rom.width}:{rom.depth}:".encode())
        digest.update(rom.data.tobytes())
    return digest.hexdigest()
