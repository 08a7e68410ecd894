"""Images of a bundle, or others, through its design on a board, and every result against the integer reference."""

from __future__ import annotations

import time
from statistics import median

import numpy as np
from numpy.typing import NDArray

from hwprm.attached.host import Design, SerialHost
from hwprm.attached.port import open_port
from hwprm.attached.report import BoardReport
from hwprm.bundle import Bundle
from hwprm.bundle.driver import pack
from hwprm.bundle.manifest import Manifest
from hwprm.config.board import BoardConfig
from hwprm.core.errors import ConfigError
from hwprm.core.progress import Progress, silent
from hwprm.intnet.reference import logits
from hwprm.isa.frames import OVERHEAD, WINDOW
from hwprm.isa.hosts import BYTE_BITS, WORD_BYTES

__all__ = ["check_bundle", "design_of", "run_board"]

IntArray = NDArray[np.int64]
#: Images between two calls of the progress.
TOLD = 16


def run_board(
    bundle: Bundle,
    images: IntArray,
    labels: NDArray[np.integer] | None,
    config: BoardConfig,
    progress: Progress | None = None,
) -> BoardReport:
    """Send integer `images` ``(n, ...)`` of class `labels` ``(n,)`` to the board that ``config.port`` names.

    Wrong values are in the report. Raises ConfigError when no port is given or the bundle has no serial line,
    InputError and ToolError as `hwprm.attached.port.open_port` does, BundleError when the board holds another design,
    ToolError when it does not answer, or nothing gets through.
    """
    name, baud = check_bundle(bundle, config)
    manifest, tell = bundle.manifest, progress or silent
    frames = [pack(manifest, image) for image in images]
    found = logits(bundle.network, images)
    order = [layer.name for layer in manifest.layers if layer.wide]
    expected = np.concatenate([found[each].reshape(len(images), -1) for each in order], axis=1)
    design = design_of(manifest, baud, config.wait)
    got, seconds = np.zeros_like(expected), []
    with open_port(name, baud, design.wait) as port:
        host = SerialHost(port, design, retries=config.retries)
        host.greet()
        began = time.monotonic()
        try:
            for answer in host.through(frames):
                got[answer.index] = np.frombuffer(answer.payload, "<i4")
                seconds.append(answer.seconds)
                if len(seconds) % TOLD == 0 or len(seconds) == len(frames):
                    tell("images", len(seconds), len(frames), {})
        except KeyboardInterrupt as stop:
            stop.args = (f"{len(seconds)} of {len(frames)} images were through",)
            raise
        took = time.monotonic() - began
    wrong = np.argwhere(got != expected)
    return BoardReport(
        net=manifest.net,
        design_hash=manifest.design_hash,
        port=name,
        baud=baud,
        images=len(frames),
        values_compared=got.size,
        mismatches=len(wrong),
        first_wrong=_told(wrong[0], got, expected) if len(wrong) else None,
        accuracy=_accuracy(manifest, got, labels),
        seconds=took,
        latency=median(seconds),
        latency_longest=max(seconds),
        rate_limit=_clock(manifest, baud) / manifest.pace,
        tally=host.tally,
    )


def check_bundle(bundle: Bundle, config: BoardConfig) -> tuple[str, int]:
    """The port that `config` names, and the rate on it: that of `bundle`, where `config` has no other.

    Raises ConfigError when there is no port or no rate, or `bundle` has no serial line.
    """
    if bundle.manifest.serial is None:
        raise ConfigError(
            f"{bundle.folder} talks by {bundle.manifest.host}, and only a serial line can be run from here; compile it "
            "with --emit-host uart (docs/hosts.md)"
        )
    if config.port is None:
        raise ConfigError("board.port is not given: the serial port of the board; give --port, such as /dev/ttyUSB1")
    baud = config.baud or bundle.manifest.serial.baud
    if baud is None:
        raise ConfigError(f"{bundle.folder} does not keep what its emit.baud was; give --baud, or compile it again")
    return config.port, baud


def design_of(manifest: Manifest, baud: int, wait: float) -> Design:
    """What has to answer, and how long that takes on a line of `baud`, `wait` seconds with it."""
    image, result = manifest.image_words * manifest.tdata_bits // 8, manifest.result_words * WORD_BYTES
    octets = WINDOW * (image + result + 2 * OVERHEAD)
    computed = (WINDOW + 1) * manifest.cycles.image / _clock(manifest, baud)
    return Design(
        hash=manifest.design_hash,
        image=image,
        result=result,
        wait=wait + BYTE_BITS * octets / baud + computed,
        silence=manifest.way.silence / _clock(manifest, baud),
    )


def _clock(manifest: Manifest, baud: int) -> float:
    """Hertz of the design: its bits take so many cycles of it."""
    return float(baud * manifest.way.divider)


def _accuracy(manifest: Manifest, got: IntArray, labels: NDArray[np.integer] | None) -> float | None:
    outputs = [layer for layer in manifest.layers if layer.wide]
    if labels is None or len(outputs) != 1 or outputs[0].shape[1:] != (1, 1):
        return None
    return float(100 * (got.argmax(axis=1) == labels).mean())


def _told(place: NDArray[np.intp], got: IntArray, expected: IntArray) -> str:
    image, word = map(int, place)
    return f"image {image}, word {word}: {got[image, word]} came, {expected[image, word]} is right"
