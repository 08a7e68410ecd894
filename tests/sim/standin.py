"""A bundle around ``standin_core.v``: the harness's own test object."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwprm.bundle import Bundle
from hwprm.bundle.manifest import ArrayEntry, CycleEntry
from hwprm.compiler import compile_network
from hwprm.compiler.encoding.rom import pack_vectors
from hwprm.config import ArrayConfig
from hwprm.emission.ports import probe_ports, top_ports
from hwprm.emission.registers import register_entries
from hwprm.emission.writer import Parts, write_bundle
from hwprm.intnet import GemmLayer, IntegerNetwork, Tensor, Term

__all__ = ["CORE", "HASH", "images", "network", "parts", "standin_bundle"]

CORE = Path(__file__).with_name("standin_core.v")
HASH = "a5" * 32
WEIGHTS = np.array([[3, -1, 4, 1, -5, 9], [2, 6, -5, 3, 5, -8]], dtype=np.int64)


def network() -> IntegerNetwork:
    """relu of six pixels, then two dot products."""
    one = np.array([1 << 15], dtype=np.int64)
    fifteen = np.array([15], dtype=np.int64)
    squash = GemmLayer(
        name="squash",
        terms=(Term(source="image", weight=np.ones((1, 1, 1, 1), np.int64)),),
        bias=np.zeros(1, np.int64),
        mult=one,
        shift=fifteen,
        clamp=(0, 127),
    )
    score = GemmLayer(
        name="score",
        terms=(Term(source="squash", weight=WEIGHTS.reshape(2, 1, 2, 3)),),
        bias=np.zeros(2, np.int64),
        mult=one.repeat(2),
        shift=fifteen.repeat(2),
        clamp=(-(1 << 31), (1 << 31) - 1),
        wide=True,
    )
    return IntegerNetwork(
        name="standin",
        tensors=(
            Tensor(name="image", shape=(1, 2, 3), bits=8, scale=1.0),
            Tensor(name="squash", shape=(1, 2, 3), bits=8, scale=1.0),
            Tensor(name="score", shape=(2, 1, 1), bits=32, scale=1.0),
        ),
        layers=(squash, score),
        inputs=("image",),
        outputs=("score",),
        weight_bits=8,
        act_bits=8,
    )


def images(count: int = 5) -> NDArray[np.int64]:
    """Test images ``(count, 1, 2, 3)``."""
    return np.random.default_rng(5).integers(-128, 128, (count, 1, 2, 3), dtype=np.int64)


def parts(core: str | None = None, cycles: int = 45) -> Parts:
    """Parts of the stand-in bundle, with another `core` text or cycle prediction where asked for."""
    return Parts(
        network=network(),
        design_hash=HASH,
        array=ArrayEntry(rows=2, cols=2, multiplier_stages=1, pipeline="short", weight_bits=8, act_bits=8, acc_bits=20),
        cycles=CycleEntry(
            image=cycles,
            layers=(5, cycles - 5),
            promise=cycles,
            bound=9.0,
            listed=(1, 1),
            unordered_layers=(5, cycles - 5),
            unordered_listed=(1, 1),
        ),
        core=CORE.read_text() if core is None else core,
        ports=top_ports(8, 8),
        probes=probe_ports({"probe_layer": 2, "probe_filter": 2, "probe_pixel": 4, "probe_lanes": 2, "probe_data": 16}),
        registers=register_entries(HASH, {"ROWS": 2, "COLS": 2, "INPUT_BEATS": 6, "OUTPUT_BEATS": 2}),
        roms=(pack_vectors("weights", WEIGHTS.T, 8),),
        save_program=_save_program,
    )


def _save_program(folder: Path) -> None:
    """A program that nobody runs: the stand-in's core knows its network."""
    folder.mkdir()
    compile_network(network(), ArrayConfig(rows=2, cols=2)).record.save(folder)


def standin_bundle(out: Path, core: str | None = None, cycles: int = 45, count: int = 5) -> Bundle:
    """Write the stand-in bundle into `out`."""
    return write_bundle(parts(core, cycles), images(count), np.arange(count), out)
