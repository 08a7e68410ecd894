"""`Program`: a network compiled for one array; and the compiler's front door."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwprm.compiler.encoding.encode import encode_roms, list_bases
from hwprm.compiler.encoding.external import ExternalImage, boot_bursts, build_image, size_rings
from hwprm.compiler.encoding.onchip import check_budget, onchip_bits
from hwprm.compiler.encoding.rom import RomImage
from hwprm.compiler.layout.geometry import LayerGeometry
from hwprm.compiler.layout.hardware import accumulator_bits
from hwprm.compiler.layout.layout import Layout
from hwprm.compiler.layout.memory import MemoryMap
from hwprm.compiler.layout.schedule import Tile
from hwprm.compiler.passes.gates import spread_gates
from hwprm.compiler.passes.ordering import order_filters
from hwprm.compiler.passes.pools import split_pools
from hwprm.compiler.passes.proof import Proof, rewrite, sample_images
from hwprm.compiler.passes.remainders import split_remainders
from hwprm.compiler.passes.rewritten import Pass, Rewritten
from hwprm.compiler.passes.unneeded import remove_unneeded
from hwprm.compiler.record import ProgramRecord, RomSize
from hwprm.compiler.timing.cycles import CycleReport, count_cycles
from hwprm.compiler.timing.phases import best_layout
from hwprm.compiler.timing.stalls import steady_stalls
from hwprm.config import ArrayConfig, MemoryConfig
from hwprm.core.errors import UnsupportedError
from hwprm.core.memo import kept
from hwprm.intnet import IntegerNetwork
from hwprm.isa import Hardware

__all__ = ["PASSES", "Outline", "Program", "compile_network", "draft", "estimate", "outline"]

#: What the compiler does to a network before it lays it out, in this order. `hwprm.compiler.passes.proof` shows
#: that they changed no integer, and which one did where that fails.
PASSES: tuple[Pass, ...] = (remove_unneeded, spread_gates, split_pools, order_filters, split_remainders)


@dataclass(frozen=True, kw_only=True, eq=False)
class Program:
    """Everything that emission and verification need.

    `network` is what the hardware computes: the given one after all `PASSES`. `kept` maps each tensor of the given
    network that is left to the numbers its channels had, in this order.
    """

    network: IntegerNetwork
    kept: dict[str, tuple[int, ...]]
    #: None where the passes were not proven, in estimates only.
    proof: Proof | None
    array: ArrayConfig
    hardware: Hardware
    geometry: tuple[LayerGeometry, ...]
    memory_map: MemoryMap
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

    @property
    def record(self) -> ProgramRecord:
        """The program without its contents, as a bundle keeps it."""
        return ProgramRecord(
            hardware=self.hardware,
            layers=self.layers,
            accumulator_bits=self.accumulator,
            memory_map=self.memory_map,
            roms=tuple(RomSize(name=rom.name, width=rom.width, depth=rom.depth) for rom in self.roms),
            tiles=self.tiles,
            onchip_bits=self.onchip,
            cycles=self.cycles,
            kept_channels=self.kept,
        )


@dataclass(frozen=True, kw_only=True)
class Outline:
    """A program without its tables: how long it takes, on what. The hardware's `design_hash` may be missing."""

    cycles: CycleReport
    hardware: Hardware

    @property
    def onchip(self) -> dict[str, int]:
        """Bits of every memory on the chip, by name."""
        return onchip_bits(self.hardware)


def compile_network(
    net: IntegerNetwork, array: ArrayConfig, *, as_is: bool = False, images: NDArray[np.int64] | None = None
) -> Program:
    """Compile `net` for `array`: rewrite it in passes, each of them proven, lay it out, encode it.

    A network that was compiled before stays `as_is`: without what it does not need removed again, because what its sums
    became could lose more channels. `images`, as in `hwprm.intnet.images`, are to prove the passes on, beside some that
    are made up. Raises UnsupportedError for what this hardware cannot run, ConfigError when the array does not fit the
    network, ModelError when nothing of the network is left, PassError when a pass is at fault.
    """
    return _compiled(net, array, PASSES[1:] if as_is else PASSES, sample_images(net, images))


def _compiled(
    net: IntegerNetwork, array: ArrayConfig, passes: tuple[Pass, ...], samples: NDArray[np.int64] | None
) -> Program:
    rewritten, layout, unordered = _laid_out(net, array, passes, samples)
    net, hw, tiles = rewritten.network, _with_rings(layout, array), layout.schedule.tiles
    roms = encode_roms(net, layout.geometry, layout.memory_map, layout.schedule, hw)
    image = None
    if hw.external:
        bases = list_bases(layout.schedule, layout.geometry).tolist()
        image = build_image(tiles, bases, {rom.name: rom for rom in roms}, hw)
        hw = replace(hw, external=replace(hw.external, boot_bursts=image.boot_bursts, bursts=image.bursts))
    return Program(
        network=net,
        kept=dict(rewritten.kept),
        proof=None if samples is None else Proof(passes=tuple(one.__name__ for one in passes), images=len(samples)),
        array=array,
        hardware=replace(hw, design_hash=_design_hash(hw, roms)),
        geometry=layout.geometry,
        memory_map=layout.memory_map,
        tiles=tiles,
        roms=roms,
        external=image,
        cycles=count_cycles(layout, unordered),
    )


def _laid_out(
    net: IntegerNetwork, array: ArrayConfig, passes: tuple[Pass, ...], samples: NDArray[np.int64] | None
) -> tuple[Rewritten, Layout, Layout | None]:
    """`net` after the passes, its layout, and that of the network before its filters were ordered, if they were."""
    rewritten, given = rewrite(net, array, passes, samples)
    made = rewritten.network
    _check_supported(made)
    layout = best_layout(made, array)
    unordered = None
    if order_filters in passes:
        before, after = [*given, made][passes.index(order_filters) :][:2]
        unordered = best_layout(before, array) if before is not after else None
    return rewritten, layout, unordered


def _with_rings(layout: Layout, array: ArrayConfig) -> Hardware:
    """The hardware of `layout`, with the rings of what it reads from external memory; their bursts are not counted."""
    hw = layout.hardware
    if array.weights == "axi":
        layers = [layer.name for layer in layout.network.layers]
        hw = replace(hw, external=size_rings(array, layout.schedule.tiles, layers, hw))
    check_budget(hw, array.onchip_bits)
    return hw


def estimate(
    net: IntegerNetwork, array: ArrayConfig, memory: MemoryConfig | None = None, *, as_is: bool = False
) -> CycleReport:
    """Exact cycles of `net` on `array`, and stalls for `memory` if it reads one, without emitting or simulating.

    `as_is` is that of `compile_network`. The passes are not proven: searches ask for thousands of estimates, whatever
    is emitted in the end is compiled and proven once, and a pass that changed integers would still be counted right.
    """
    return outline(net, array, memory, as_is=as_is).cycles


def outline(
    net: IntegerNetwork, array: ArrayConfig, memory: MemoryConfig | None = None, *, as_is: bool = False
) -> Outline:
    """What `estimate` counts, with the parameters of the hardware it was counted on."""
    _, layout, unordered = _laid_out(_needed(net, array, as_is), array, PASSES[1:], None)
    report, hw = count_cycles(layout, unordered), _with_rings(layout, array)
    if hw.external is None:
        return Outline(cycles=report, hardware=hw)
    hw = replace(hw, external=replace(hw.external, boot_bursts=boot_bursts(hw, hw.external)))
    cycles = [layer.cycles for layer in report.layers]
    stalls = steady_stalls(layout.schedule.tiles, cycles, hw, memory or MemoryConfig())
    return Outline(cycles=replace(report, stalls=stalls), hardware=hw)


def draft(net: IntegerNetwork, array: ArrayConfig, *, as_is: bool = False) -> Program:
    """`net` compiled without a proof of the passes: for figures, as `estimate`, never for emission."""
    return _compiled(_needed(net, array, as_is), array, PASSES[1:], None)


def _needed(net: IntegerNetwork, array: ArrayConfig, as_is: bool) -> IntegerNetwork:
    return net if as_is else kept(net, "needed", lambda: rewrite(net, array, PASSES[:1], None)[0].network)


def _check_supported(net: IntegerNetwork) -> None:
    for tensor in net.tensors:
        if tensor.name not in net.outputs and tensor.bits > net.act_bits:
            raise UnsupportedError(
                f"tensor {tensor.name!r} has {tensor.bits} bits, the activation memory {net.act_bits}; "
                f"quantise it to act_bits"
            )


def _telling(part: Any) -> dict[str, Any]:
    """The fields of a dataclass that are not at their defaults: a feature that a design lacks changes no hash."""
    return {f.name: getattr(part, f.name) for f in fields(part) if getattr(part, f.name) != f.default}


def _design_hash(hw: Hardware, roms: tuple[RomImage, ...]) -> str:
    digest = hashlib.sha256(json.dumps(hw, default=_telling, sort_keys=True).encode())
    for rom in roms:
        digest.update(f"{rom.name}:{rom.width}:{rom.depth}:".encode())
        digest.update(rom.data.tobytes())
    return digest.hexdigest()
