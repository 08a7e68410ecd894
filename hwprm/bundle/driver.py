"""The driver of a bundle's C code in Python: the same calls, over whatever can read and write 32-bit registers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hwprm.bundle.manifest import Manifest
from hwprm.core.errors import BundleError, ConfigError

__all__ = ["Bus", "Driver", "pack"]

#: Bits of CONTROL and STATUS; FRAMES_OUT counts modulo 2**32.
RUN, REPEAT = 1, 2
SHORT, LONG, MEMORY_ERROR = 2, 4, 8
WORD = 1 << 32
#: What the address of the external image is a multiple of.
ALIGN = 4096


class Bus(Protocol):
    """A way to the registers, such as mapped memory; offsets count bytes."""

    def read32(self, offset: int, /) -> int:
        """The word at `offset`."""

    def write32(self, offset: int, value: int, /) -> None:
        """Write the word at `offset`."""


@dataclass(frozen=True, kw_only=True)
class Driver:
    """An accelerator behind a `bus`, made from the bundle that `manifest` describes.

    Images and results go by AXI4-Stream, whatever moves them; `pack` makes the beats of an image.
    """

    manifest: Manifest
    bus: Bus

    def read(self, name: str) -> int:
        """Value of the register called `name`. Raises KeyError when the design has none."""
        return self.bus.read32(self.manifest.register(name).offset)

    def write(self, name: str, value: int) -> None:
        """Write the register called `name`. Raises KeyError when the design has none."""
        self.bus.write32(self.manifest.register(name).offset, value)

    def check(self) -> None:
        """Raise BundleError, naming the register, unless the design of this bundle answers."""
        for name in ("ID", "VERSION", *(f"HASH{i}" for i in range(8))):
            found, wanted = self.read(name), self.manifest.register(name).value
            if found != wanted:
                raise BundleError(
                    f"register {name} reads {found:#010x}, that of this bundle {wanted:#010x}: the device holds "
                    "another design, or none; load the bitstream that was made from this bundle"
                )

    def set_base(self, address: int) -> None:
        """Tell where the external image lies and begin to read it; once after every reset.

        Raises ConfigError when there is no external memory, or `address` is no multiple of 4096.
        """
        if self.manifest.external is None:
            raise ConfigError("this design has its program in ROMs, there is no base to set")
        if address % ALIGN or not 0 <= address < 1 << 64:
            raise ConfigError(f"the external image lies at a multiple of {ALIGN} below 2**64, not at {address:#x}")
        self.write("BASE_HIGH", address >> 32)
        self.write("BASE", address & 0xFFFFFFFF)

    def set_control(self, *, run: bool = True, repeat: bool = False) -> None:
        """Whether images are started, and whether the one in the buffer is computed over and over."""
        self.write("CONTROL", RUN * run + REPEAT * repeat)

    def flush(self) -> None:
        """Start a batch that is not full; nothing in designs without batches."""
        if self.manifest.array.batch > 1:
            self.write("FLUSH", 1)

    def clear_status(self) -> None:
        """Clear the flags of images that were too short or too long."""
        self.write("STATUS", SHORT | LONG)

    def wait(self, frames: int, polls: int) -> None:
        """Poll until `frames` images have been computed since reset.

        Raises TimeoutError after `polls`, RuntimeError when the external memory has answered with an error.
        """
        for _ in range(polls):
            if (self.read("FRAMES_OUT") - frames) % WORD < WORD // 2:
                return
            if self.read("STATUS") & MEMORY_ERROR:
                raise RuntimeError("the external memory answered with an error; reset the accelerator and its memory")
        raise TimeoutError(f"{frames} images were not computed within {polls} polls")

    def pack(self, image: NDArray[np.int64]) -> bytes:
        """The beats of one image ``(C, H, W)``, or ``(beats,)``, as the stream takes them, little-endian.

        Raises ConfigError when it has another size or integers that the design cannot hold.
        """
        return pack(self.manifest, image)


def pack(manifest: Manifest, image: NDArray[np.int64]) -> bytes:
    """The activations of one image as the design of `manifest` takes them; see `Driver.pack`."""
    low, high = manifest.image_limits
    if image.size != low.size or (image.reshape(low.shape) < low).any() or (image.reshape(low.shape) > high).any():
        raise ConfigError(f"an image of this design is {low.shape}, integers from {low.min()} to {high.max()}")
    width = manifest.tdata_bits // 8
    values = image.reshape(-1, 1) >> 8 * np.arange(width) & 0xFF
    return values.astype(np.uint8).tobytes()
