"""Writing a bundle folder, whole or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwprm.bundle import MANIFEST, SEAL, Bundle
from hwprm.bundle.images import CHUNK_IMAGES
from hwprm.bundle.manifest import (
    ArrayEntry,
    ChecksEntry,
    CycleEntry,
    ExternalEntry,
    InputEntry,
    LayerEntry,
    Manifest,
    PortEntry,
    RegisterEntry,
    RomEntry,
    SerialEntry,
)
from hwprm.compiler import Proof
from hwprm.compiler.encoding.rom import RomImage
from hwprm.core.errors import ConfigError
from hwprm.core.files import digest_of, new_folder
from hwprm.core.limits import RESET_CYCLES
from hwprm.emission.golden import LAYER_IMAGES, storage_type, write_golden
from hwprm.emission.ports import AXI, AXIL
from hwprm.emission.software import core_name, write_core, write_driver
from hwprm.emission.templates import render
from hwprm.intnet import IntegerNetwork

__all__ = ["ExternalParts", "Parts", "seal", "template_values", "write_bundle"]

IntArray = NDArray[np.int64]


#: Registers' ports that the testbench drives itself to start the reading of external memory.
BOOTED = tuple(f"{AXIL}{name}" for name in ("awaddr", "awvalid", "wdata", "wstrb", "wvalid", "bready"))


@dataclass(frozen=True, kw_only=True, eq=False)
class ExternalParts:
    """The external image. data ``(beats, bytes)``."""

    entry: ExternalEntry
    data: NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, eq=False)
class Parts:
    """What a bundle is made of, besides test images. `core` is the Verilog text of ``hwprm_core``."""

    network: IntegerNetwork
    design_hash: str
    array: ArrayEntry
    cycles: CycleEntry
    core: str
    #: Whose cells the core instantiates (`hwprm.config.emit`).
    target: str = "any"
    #: By what the outside talks to it (`hwprm.isa.hosts`).
    host: str = "axi"
    serial: SerialEntry | None = None
    ports: tuple[PortEntry, ...]
    probes: tuple[PortEntry, ...]
    registers: tuple[RegisterEntry, ...]
    roms: tuple[RomImage, ...]
    #: Banks of the activation memory, which the testbench reads and writes; none in a design that has no such memory.
    banks: int = 0
    #: Writes the program into the folder it is given.
    save_program: Callable[[Path], None]
    #: Layers whose lanes run over channels.
    channel_lanes: frozenset[str] = frozenset()
    #: Neighbouring pixels that are filters of their own, by layer; 1 where it is not named.
    phases: Mapping[str, int] = field(default_factory=dict)
    #: In place of all ROMs but the tables behind the requantiser.
    external: ExternalParts | None = None
    #: What the compiler showed of its passes.
    proof: Proof | None = None


def write_bundle(parts: Parts, images: IntArray, labels: IntArray | None, out: Path) -> Bundle:
    """Write a bundle into the new folder `out`. Same arguments, same bytes.

    images as in `hwprm.intnet.images`, integers at the input tensors' scales, labels ``(n,)`` or None.
    Raises InputError when `out` is not empty or cannot be made, ConfigError when there is no image.
    """
    if len(images) == 0:
        raise ConfigError("a bundle needs at least one test image; pass some of the data set's")
    if labels is not None and len(labels) != len(images):
        raise ConfigError(f"{len(images)} test images need as many labels, not {len(labels)}")
    with new_folder(out) as work:
        manifest = _describe(parts, len(images))
        _write_rtl(parts, manifest, work)
        (work / "mem").mkdir()
        for rom in parts.roms:
            (work / "mem" / f"{rom.name}.mem").write_text(rom.hex_text())
        if parts.external:
            (work / "mem" / "external.bin").write_bytes(parts.external.data.tobytes())
        write_golden(parts.network, images, labels, work / "golden")
        parts.network.save(work / "network")
        parts.save_program(work / "program")
        values = _readme_values(parts, manifest, labels is not None)
        (work / "README.md").write_text(render("README.md.j2", **values))
        write_driver(manifest, values, work)
        write_core(manifest, work)
        seal(manifest, work)
    return Bundle.load(out)


def _describe(parts: Parts, images: int) -> Manifest:
    net = parts.network
    return Manifest(
        net=net.name,
        design_hash=parts.design_hash,
        array=parts.array,
        target=parts.target,
        host=parts.host,
        serial=parts.serial,
        inputs=tuple(
            InputEntry(name=name, shape=shape, scale=net.tensor[name].scale, signed=net.tensor[name].signed)
            for name, shape in net.input_shapes.items()
        ),
        layers=tuple(
            LayerEntry(
                index=i,
                name=layer.name,
                shape=net.tensor[layer.name].shape,
                wide=layer.wide,
                upsample=layer.upsample,
                channel_lanes=layer.name in parts.channel_lanes,
                phases=parts.phases.get(layer.name, 1),
                signed=net.tensor[layer.name].signed,
            )
            for i, layer in enumerate(net.layers)
        ),
        cycles=parts.cycles,
        ports=parts.ports,
        probes=parts.probes,
        registers=parts.registers,
        roms=tuple(RomEntry(name=rom.name, width=rom.width, depth=rom.depth) for rom in parts.roms),
        external=parts.external.entry if parts.external else None,
        images=images,
        layer_images=min(images, LAYER_IMAGES),
        chunk_images=CHUNK_IMAGES,
        checks=ChecksEntry(
            passes=parts.proof.passes if parts.proof else (),
            pass_images=parts.proof.images if parts.proof else 0,
            crosscheck_images=net.crosschecked,
        ),
        files={},
    )


def _write_rtl(parts: Parts, manifest: Manifest, work: Path) -> None:
    values = template_values(manifest)
    (work / "rtl").mkdir()
    (work / "rtl" / "hwprm_core.v").write_text(parts.core)
    for name in ("hwprm_top", "hwprm_ram") if not parts.roms else ("hwprm_top", "hwprm_rom", "hwprm_ram"):
        (work / "rtl" / f"{name}.v").write_text(render(f"{name}.v.j2", **values))
    if parts.target != "any":
        (work / "rtl" / "hwprm_cells.v").write_text(render(f"hwprm_cells_{parts.target}.v.j2"))
    (work / "tb").mkdir()
    (work / "tb" / "tb_hwprm.v").write_text(render("tb_hwprm.v.j2", **values, banks=parts.banks))


def template_values(manifest: Manifest) -> dict[str, object]:
    """Names that the templates of Verilog use, but for ``banks``."""
    fields = {name: getattr(manifest, name) for name in manifest.__dataclass_fields__}
    return fields | {
        "axil": [port for port in manifest.ports if port.name.startswith(AXIL)],
        "axi": [port for port in manifest.ports if port.name.startswith(AXI)],
        "booted": BOOTED,
        "offset": lambda name: manifest.register(name).offset,
        "tdata_bits": manifest.tdata_bits,
        "pin_bits": manifest.tdata_bits if manifest.host == "axi" else 8,
        "image_words": manifest.image_words,
        "host_cycles": manifest.host_cycles,
        "result_words": manifest.result_words,
        # Two images in flight and one arriving; a design that is silent for longer hangs.
        "watchdog": 4 * (manifest.cycles.image + manifest.array.batch * manifest.host_cycles[0]) + 10_000,
    }


def _readme_values(parts: Parts, manifest: Manifest, labels: bool) -> dict[str, object]:
    """Names that the README uses besides."""
    net = parts.network
    low, high = net.image_limits
    return template_values(manifest) | {
        "output_scales": {entry.name: net.tensor[entry.name].scale for entry in manifest.layers if entry.wide},
        "image_shape": list(manifest.image_shape),
        "image_type": storage_type(int(low.min()), int(high.max())).__name__,
        "types": {layer.name: storage_type(*net.tensor[layer.name].limits).__name__ for layer in net.layers},
        "labels": labels,
        "vlnv": core_name(manifest),
        "reset_cycles": RESET_CYCLES,
    }


def seal(manifest: Manifest, work: Path) -> None:
    """Write the manifest with the hashes of everything in `work`, and the manifest's own hash beside it."""
    names = sorted(path.relative_to(work).as_posix() for path in work.rglob("*") if path.is_file())
    plain = manifest.to_json() | {"files": {name: digest_of(work / name) for name in names}}
    text = (json.dumps(plain, indent=1) + "\n").encode()
    (work / MANIFEST).write_bytes(text)
    (work / SEAL).write_text(f"{hashlib.sha256(text).hexdigest()}  {MANIFEST}\n")
