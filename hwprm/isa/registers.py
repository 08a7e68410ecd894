"""The AXI4-Lite register map: 32-bit registers, byte offsets."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "ADDRESS_BITS",
    "BATCHED",
    "EXTERNAL",
    "ID_VALUE",
    "INTERFACE_VERSION",
    "REGISTERS",
    "Register",
    "register_offset",
]

#: Registers of designs with external memory alone, and of those with batches; elsewhere their addresses are unmapped.
EXTERNAL = ("BASE", "BASE_HIGH")
BATCHED = ("BATCH", "BATCH_SIZE", "FLUSH")

#: Width of the byte address.
ADDRESS_BITS = 8
#: "HWPR" in ASCII.
ID_VALUE = 0x48575052
#: Raised when the meaning of a register changes.
INTERFACE_VERSION = 1


@dataclass(frozen=True)
class Register:
    """One register; `access` is ``ro``, ``rw``, ``wo`` (reads 0) or ``w1c`` (write ones to clear)."""

    name: str
    offset: int
    access: str
    doc: str


REGISTERS: tuple[Register, ...] = (
    Register("ID", 0x00, "ro", "0x48575052, 'HWPR'."),
    Register("VERSION", 0x04, "ro", "Version of this register map."),
    Register(
        "CONTROL",
        0x08,
        "rw",
        "Bit 0: run; when 0 no new image is started. Bit 1: repeat; the image in the buffer is computed over and over, "
        "without waiting for one to come. 1 after reset.",
    ),
    Register(
        "STATUS",
        0x0C,
        "w1c",
        "Bit 0: busy (read only). Bit 1: an image was too short. Bit 2: an image was too long. "
        "Bit 3: the external memory answered with an error; only a reset clears it.",
    ),
    Register(
        "CYCLES", 0x10, "ro", "Clock cycles that the last finished image, or batch, took, waits for the host left out."
    ),
    Register("FRAMES_IN", 0x14, "ro", "Images received whole."),
    Register("FRAMES_OUT", 0x18, "ro", "Images computed."),
    Register("FRAMES_DROPPED", 0x1C, "ro", "Images dropped because TLAST came early or late."),
    Register("STALLS", 0x20, "ro", "Clock cycles spent waiting for room for the logits."),
    Register("ROWS", 0x24, "ro", "Rows of the array."),
    Register("COLS", 0x28, "ro", "Columns of the array."),
    Register("INPUT_BEATS", 0x2C, "ro", "Beats of one image."),
    Register("OUTPUT_BEATS", 0x30, "ro", "Beats of one result."),
    Register("MEMORY_STALLS", 0x34, "ro", "Those of CYCLES that waited for the external memory."),
    Register("BATCH", 0x38, "ro", "Images that came for the last finished batch, which CYCLES counts."),
    Register("BATCH_SIZE", 0x3C, "ro", "Images of a whole batch."),
    *(Register(f"HASH{i}", 0x40 + 4 * i, "ro", f"Design hash, bits {32 * i + 31}..{32 * i}.") for i in range(8)),
    Register(
        "BASE", 0x60, "rw", "Address of the external image, a multiple of 4096; the first write starts reading it."
    ),
    Register("BASE_HIGH", 0x64, "rw", "Its upper 32 bits; written before BASE."),
    Register(
        "FLUSH",
        0x68,
        "wo",
        "Any write: the batch that fills starts with the images that have come, and one that is coming with them. "
        "Nothing happens where there are none.",
    ),
)


def register_offset(name: str) -> int:
    """Byte offset of the register called `name`. Raises KeyError when there is none."""
    return {register.name: register.offset for register in REGISTERS}[name]
