"""What compiler and gateware agree on, and nothing else: geometry, word formats, registers, latencies. No libraries."""

from hwprm.isa.external import HEADER, TARGETS, ExternalMemory, RowShape
from hwprm.isa.formats import entry_format, layer_format, param_format, store_format, table_formats, tile_format
from hwprm.isa.hardware import Hardware, InputGeometry, MixedRadix
from hwprm.isa.latencies import LATENCIES, Depth, Latency
from hwprm.isa.registers import REGISTERS, Register, register_offset
from hwprm.isa.word import Field, WordFormat

__all__ = [
    "HEADER",
    "LATENCIES",
    "REGISTERS",
    "TARGETS",
    "Depth",
    "ExternalMemory",
    "Field",
    "Hardware",
    "InputGeometry",
    "Latency",
    "MixedRadix",
    "Register",
    "RowShape",
    "WordFormat",
    "entry_format",
    "layer_format",
    "param_format",
    "register_offset",
    "store_format",
    "table_formats",
    "tile_format",
]
