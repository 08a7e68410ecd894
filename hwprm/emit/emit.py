"""`emit_bundle`: a program as Verilog, ROM images, golden vectors and a manifest."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from amaranth.back import verilog
from amaranth.lib.wiring import Member
from numpy.typing import NDArray

from hwprm.bundle import Bundle
from hwprm.compile import CycleReport, Program
from hwprm.emit.ports import probe_ports, top_ports
from hwprm.emit.registers import register_entries
from hwprm.emit.writer import Parts, write_bundle
from hwprm.gateware import Accelerator, MemoryTemplates
from hwprm.isa import Hardware
from hwprm.isa.registers import ADDRESS_BITS
from hwprm.manifest import ArrayEntry, CycleEntry, PortEntry

__all__ = ["core_verilog", "emit_bundle"]


def emit_bundle(program: Program, images: NDArray[np.int64], labels: NDArray[np.int64] | None, out: Path) -> Bundle:
    """Write `program` into the new folder `out`. Same arguments, same bytes; nothing is left behind on failure.

    images ``(n, C, H, W)`` integers at the input tensor's scale, for golden vectors and simulation; labels ``(n,)``
    or None. Raises InputError when `out` is not empty or cannot be made, ConfigError when there is no image.
    """
    return write_bundle(_parts(program), images, labels, out)


def core_verilog(hardware: Hardware) -> str:
    """Verilog of ``hwprm_core``, memories as instances of the templates' modules. Holds no path and no date."""
    text: str = verilog.convert(
        Accelerator(hardware),
        name="hwprm_core",
        platform=MemoryTemplates(),
        emit_src=False,
        strip_internal_attrs=True,
    )
    return text


def _parts(program: Program) -> Parts:
    hw = program.hardware
    geometry = {
        "ROWS": hw.rows,
        "COLS": hw.cols,
        "INPUT_BEATS": hw.input_beats,
        "OUTPUT_BEATS": hw.output_words,
    }
    return Parts(
        network=program.network,
        design_hash=program.design_hash,
        array=ArrayEntry(
            rows=hw.rows,
            cols=hw.cols,
            multiplier_stages=hw.multiplier_stages,
            weight_bits=hw.weight_bits,
            act_bits=hw.act_bits,
            acc_bits=hw.acc_bits,
        ),
        cycles=_cycles(program.cycles),
        core=core_verilog(hw),
        ports=top_ports(8 * hw.data_bytes, ADDRESS_BITS),
        probes=_probes(hw),
        registers=register_entries(program.design_hash, geometry),
        roms=program.roms,
        save_program=lambda folder: _save_program(program, folder),
    )


def _cycles(report: CycleReport) -> CycleEntry:
    layers = tuple(layer.cycles for layer in report.layers)
    return CycleEntry(image=report.total, layers=layers, promise=report.promise, bound=report.bound)


def _probes(hw: Hardware) -> tuple[PortEntry, ...]:
    members: dict[str, Member] = dict(Accelerator(hw).signature.members)
    return probe_ports({name: member.shape for name, member in members.items() if name.startswith("probe_")})


def _save_program(program: Program, folder: Path) -> None:
    folder.mkdir()
    plain = program.as_dict() | {"kept_channels": {name: list(kept) for name, kept in program.kept.items()}}
    (folder / "program.json").write_text(json.dumps(plain, indent=1) + "\n")
