"""Amaranth layouts of the words that compiler and gateware share, and of what travels between blocks."""

from amaranth.hdl import Shape, signed, unsigned
from amaranth.lib import data

from hwprm.isa import Hardware, WordFormat

__all__ = [
    "LayoutOf",
    "address_layout",
    "flags_layout",
    "layout_of",
    "operand_shape",
    "tag_layout",
    "use_layout",
]

LayoutOf = data.StructLayout


def layout_of(form: WordFormat) -> data.StructLayout:
    """The struct layout with `form`'s fields, least significant first."""
    return data.StructLayout({f.name: signed(f.width) if f.signed else unsigned(f.width) for f in form.fields})


def operand_shape(hw: Hardware) -> Shape:
    """An activation at the array's edge: one bit wider than in the memory where that holds both kinds of tensors."""
    return signed(hw.operand_bits) if hw.signed else unsigned(hw.operand_bits)


def address_layout(hw: Hardware) -> data.StructLayout:
    """A vector-memory address in mixed radix."""
    return data.StructLayout({"word": unsigned(hw.word_bits), "bank": unsigned(hw.bank_bits)})


def tag_layout(hw: Hardware) -> data.StructLayout:
    """What accompanies the end of a pixel tile from the sequencer to the drain."""
    return data.StructLayout(
        {
            "valid": 1,
            "filters": max(1, (hw.cols - 1).bit_length()),
            "param_base": max(1, (hw.params - 1).bit_length()),
            "layer_first": 1,  # first filter tile of its layer
            "pixel_first": 1,  # first pixel tile of its filter tile
            "layer_last": 1,  # last pixel tile of the last filter tile
            "frame_last": 1,
        }
    )


def flags_layout() -> data.StructLayout:
    """Where an output word stands: first and last filter of its tile, and what the tag says."""
    return data.StructLayout(
        dict.fromkeys(("tile_first", "tile_last", "layer_first", "pixel_first", "layer_last", "frame_last"), 1)
    )


def use_layout() -> data.StructLayout:
    """How an issued entry and its weights are used, for the rings they lie in."""
    return data.StructLayout(
        {
            "valid": 1,
            "entry_ends": 1,  # last entry of the list
            "entry_release": 1,  # the list is not used again
            "weight_ends": 1,  # last weights of a pass
            "weight_release": 1,  # they are not used again
        }
    )
