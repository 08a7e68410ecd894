"""`emit_bundle`: a program as Verilog, ROM images, golden vectors and a manifest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwprm.bundle import Bundle
from hwprm.bundle.manifest import ArrayEntry, CycleEntry, ExternalEntry, SerialEntry
from hwprm.compiler import CycleReport, Program
from hwprm.compiler.encoding.external import entry_shape, weight_shape
from hwprm.emission.core import core_verilog
from hwprm.emission.hosts import check_host
from hwprm.emission.ports import octet_ports, probe_ports, read_ports, serial_ports, top_ports
from hwprm.emission.registers import register_entries
from hwprm.emission.writer import ExternalParts, Parts, write_bundle
from hwprm.isa.hosts import AXI, Host
from hwprm.isa.registers import ADDRESS_BITS

__all__ = ["emit_bundle"]


def emit_bundle(
    program: Program,
    images: NDArray[np.int64],
    labels: NDArray[np.int64] | None,
    out: Path,
    *,
    target: str = "any",
    host: Host = AXI,
) -> Bundle:
    """Write `program` into the new folder `out`. Same arguments, same bytes; nothing is left behind on failure.

    images as in `hwprm.intnet.images`, integers at the input tensors' scales, for golden vectors and simulation; labels
    ``(n,)`` or None. Raises InputError when `out` is not empty or cannot be made, ConfigError when there is no image,
    or `host` cannot serve the program.
    """
    check_host(host, external=program.hardware.external is not None, batch=program.hardware.batch)
    return write_bundle(_parts(program, target, host), images, labels, out)


def _parts(program: Program, target: str, host: Host) -> Parts:
    hw = program.hardware
    ext = hw.external
    core = core_verilog(hw, cells=None if target == "any" else target, host=host)
    geometry = {
        "ROWS": hw.rows,
        "COLS": hw.cols,
        "INPUT_BEATS": hw.input_beats,
        "OUTPUT_BEATS": hw.output_words,
        **({"BATCH_SIZE": hw.batch} if hw.batch > 1 else {}),
    }
    signs = [part.signed for part in hw.inputs]
    ports = {
        "axi": top_ports(8 * hw.data_bytes, ADDRESS_BITS, signs),
        "stream8": octet_ports(hw.data_bytes, signs),
        "uart": serial_ports(),
    }[host.kind]
    return Parts(
        network=program.network,
        design_hash=program.design_hash,
        array=ArrayEntry(
            rows=hw.rows,
            cols=hw.cols,
            multiplier_stages=hw.multiplier_stages,
            pipeline=hw.pipeline,
            weight_bits=hw.weight_bits,
            act_bits=hw.act_bits,
            acc_bits=hw.acc_bits,
            batch=hw.batch,
        ),
        target=target,
        host=host.kind,
        serial=SerialEntry(divider=host.divider, silence=host.silence, clock=host.clock, baud=host.baud)
        if host.divider
        else None,
        cycles=_cycles(program.cycles),
        core=core.text,
        ports=ports + (read_ports(ext.beat_bits) if ext else ()),
        probes=probe_ports(core.probe_widths),
        registers=register_entries(program.design_hash, geometry, external=ext is not None, batched=hw.batch > 1)
        if host.registers
        else (),
        roms=tuple(rom for rom in program.roms if rom.name == "posts" or not ext),
        external=_external(program) if ext else None,
        banks=hw.banks,
        save_program=lambda folder: _save_program(program, folder),
        proof=program.proof,
        channel_lanes=frozenset(program.layers[geo.index] for geo in program.geometry if geo.channel_lanes),
        phases={program.layers[geo.index]: geo.phases for geo in program.geometry},
    )


def _external(program: Program) -> ExternalParts:
    hw, image = program.hardware, program.external
    ext = hw.external
    assert ext is not None
    assert image is not None
    entry = ExternalEntry(
        bytes=image.bytes,
        boot_bytes=image.boot_bursts * ext.burst_bytes,
        beat_bits=ext.beat_bits,
        burst_beats=ext.burst_beats,
        outstanding=ext.outstanding,
        entry_buffer=ext.entry_rows * entry_shape(hw, ext).words,
        weight_buffer=ext.weight_rows * weight_shape(hw, ext).words,
    )
    return ExternalParts(entry=entry, data=image.data)


def _cycles(report: CycleReport) -> CycleEntry:
    layers = report.layers
    return CycleEntry(
        image=report.total,
        layers=tuple(layer.cycles for layer in layers),
        promise=report.promise,
        bound=report.bound,
        listed=tuple(layer.listed for layer in layers),
        unordered_layers=tuple(layer.unordered_cycles for layer in layers),
        unordered_listed=tuple(layer.unordered_listed for layer in layers),
    )


def _save_program(program: Program, folder: Path) -> None:
    folder.mkdir()
    program.record.save(folder)
