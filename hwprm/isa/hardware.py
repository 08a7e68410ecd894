"""`Hardware`: every number the gateware is built from. The compiler works it out; nothing in it is guessed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from hwprm.isa.external import ExternalMemory

__all__ = ["Hardware", "InputGeometry", "MixedRadix"]


class MixedRadix(NamedTuple):
    """A vector-memory address: `bank` in 0..banks-1, `word` inside the bank (modulo the word address space)."""

    word: int
    bank: int


@dataclass(frozen=True, kw_only=True)
class InputGeometry:
    """Where one input of an image lies: channels, height, width; row pitch in activations; `words` of a bank from
    `base` in the first of the two input buffers."""

    shape: tuple[int, int, int]
    pitch: int
    words: int
    base: int
    #: Whether its activations are signed: a beat is sign-extended, else zero-extended to whole bytes.
    signed: bool = True
    #: Activations from one image of a batch to the next; 0 where images come one at a time.
    image: int = 0

    @property
    def beats(self) -> int:
        """Beats of this input."""
        c, h, w = self.shape
        return c * h * w

    @property
    def gap(self) -> int:
        """Activations between the end of a row and the start of the next; 0 where rows are contiguous."""
        return self.pitch - self.shape[2] if self.shape[1] > 1 else 0

    def channel_gap(self, batch: int) -> int:
        """Activations between the end of a channel and the start of the next: the other images of the batch's channel
        lie there, and what pads an image."""
        _, height, width = self.shape
        return batch * self.image - (height - 1) * self.pitch * (height > 1) - width if batch > 1 else self.gap


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """Parameters of one accelerator. Widths are in bits, depths in words, latencies in cycles.

    What later versions added has the default that designs without it have, and is then no part of the design's hash.
    """

    #: Lanes: output pixels side by side.
    rows: int
    #: Filters side by side.
    cols: int
    #: Banks of the vector memory: at least `rows`, coprime with every stride in `strides` and `store_strides`.
    banks: int
    #: Width of an activation.
    act_bits: int
    #: Width of a signed weight.
    weight_bits: int
    #: Width of an accumulator, proven from the weights.
    acc_bits: int
    #: Width of accumulator, bias and residual together, and of a bias.
    sum_bits: int
    #: Width of a residual's multiplier; 0 where no layer adds a residual.
    residual_bits: int
    #: Registers behind each multiplier.
    multiplier_stages: int
    #: How deep the other pipelines are: ``short``, or ``fast`` (`hwprm.isa.latencies`).
    pipeline: str
    #: Whether any layer pools (each PE then keeps a running maximum).
    pooling: bool
    #: Distances, in input pixels, between neighbouring lanes that occur; selects the lane permutation.
    strides: tuple[int, ...]
    #: Distances, in activations, between neighbouring lanes of a store that occur: 1, an upsampling's columns, phases.
    store_strides: tuple[int, ...]
    #: Widest repetition of a stored vector, below and beside itself; (1, 1) where no layer upsamples.
    repeats_max: tuple[int, int]
    #: Words in each bank of the vector memory.
    memory_words: int
    #: Width of a lane's output coordinate (rows and columns alike).
    coordinate_bits: int
    #: Smallest and largest requantisation shift that occur.
    shift_min: int
    shift_max: int
    #: Depths of the ROMs that every design has.
    entries: int
    weights: int
    params: int
    tiles: int
    layers: int
    stores: int
    #: Widest counts: entries of a pass, passes of a tile, idle cycles of a tile, pixel tiles of a layer.
    pass_length_max: int
    passes_max: int
    idle_max: int
    #: Whether a tile idles for another time after its last pixel tile than after the others.
    idle_differs: bool
    pixel_tiles_max: int
    #: Most pixels and filters of a stored layer.
    pixels_max: int
    filters_max: int
    #: The parts of an image, in the order of the stream; they lie one behind the other in each of two buffers.
    inputs: tuple[InputGeometry, ...]
    #: Words of one result (all outputs of an image).
    output_words: int
    #: Most pixels, and most filters times pixels, of a wide layer.
    wide_pixels_max: int
    #: Most pixels of a wide layer's tile, whose words wait for each other; 1: outputs are single pixels, none waits.
    wide_lanes: int
    #: SHA-256 of ROM contents and of these parameters, hexadecimal.
    design_hash: str
    #: Where the program is read from; None where it lies in ROMs.
    external: ExternalMemory | None
    #: Whether any tensor in the vector memory is signed, and whether any is not. With both kinds entries say which.
    signed: bool = True
    unsigned: bool = False
    #: Most neighbouring pixels of a row that are filters of their own.
    phases_max: int = 1
    #: Images that every layer runs over at once, as one raster of pixels.
    batch: int = 1
    #: Whether any layer's pixel tiles end with the image, and whether any layer stores rows and images apart.
    apart: bool = False
    image_gaps: bool = False
    #: Functions that results are looked up in behind the requantiser, a table of ``2**act_bits`` words each.
    posts: int = 0
    #: Whether any residual has a gate, another activation that it is multiplied with, and whether any gate is one
    #: pixel for all of a map, so that there are entries of which all lanes read the same.
    gates: bool = False
    common: bool = False

    @property
    def phased(self) -> bool:
        """Whether any layer's neighbouring pixels are filters of their own."""
        return self.phases_max > 1

    @property
    def post_words(self) -> int:
        """Words of all tables behind the requantiser, of `act_bits` bits; each lane reads its own copy of them."""
        return self.posts << self.act_bits

    @property
    def mixed(self) -> bool:
        """Whether the vector memory holds signed and unsigned tensors, so that only an entry knows what it reads."""
        return self.signed and self.unsigned

    @property
    def operand_bits(self) -> int:
        """Width of an activation at the array's edge, signed unless all tensors are unsigned; and of a clamp's ends."""
        return self.act_bits + self.mixed

    @property
    def word_bits(self) -> int:
        """Width of a word address inside a bank."""
        return max(1, (self.memory_words - 1).bit_length())

    @property
    def bank_bits(self) -> int:
        """Width of a bank number."""
        return max(1, (self.banks - 1).bit_length())

    @property
    def fast(self) -> bool:
        """Whether pipelines are deep."""
        return self.pipeline == "fast"

    @property
    def data_bytes(self) -> int:
        """Bytes of one AXI4-Stream beat of the image."""
        return -(-self.act_bits // 8)

    @property
    def input_beats(self) -> int:
        """Beats of one image: of all its inputs."""
        return sum(part.beats for part in self.inputs)

    @property
    def input_words(self) -> int:
        """Words of one of the two input buffers: the distance from one to the other."""
        return sum(part.words for part in self.inputs)

    @property
    def upsampling(self) -> bool:
        """Whether any layer stores its pixels more than once."""
        return self.repeats_max != (1, 1)

    @property
    def factor_bits(self) -> int:
        """Signed bits of what a residual is multiplied with, where that may be an activation."""
        return 1 + max(self.residual_bits, self.operand_bits - self.signed)

    @property
    def radix_bits(self) -> int:
        """Select bits of one level of a drain multiplexer, which has a register behind it."""
        return 3 if self.fast else 4

    @property
    def mux_levels(self) -> int:
        """Levels of the drain multiplexer, each of radix ``2**radix_bits`` and with a register."""
        return max(1, -(-(self.cols - 1).bit_length() // self.radix_bits))

    def address(self, linear: int) -> MixedRadix:
        """Mixed-radix form of a linear address or difference; words wrap, so negative ones are fine."""
        return MixedRadix((linear // self.banks) % (1 << self.word_bits), linear % self.banks)
