"""Clock cycles from input to output of every block of the accelerator: the one table of them.

Gateware takes the lengths of its pipelines and delay lines from here, the models of cycles and stalls their sums, and
a test measures each block against it on a simulator. ``n`` cycles mean: what a block is given in cycle t shows at its
output in cycle t + n. Whatever depends on the design (rows, multiplier stages, pooling, the drain's multiplexers) is
in `Hardware` and is added by the functions at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from hwprm.isa.hardware import Hardware

__all__ = [
    "LATENCIES",
    "Latency",
    "issue_to_result",
    "issue_to_vector",
    "issue_to_word",
    "operand_to_sum",
    "setup_to_issue",
    "tag_to_sum",
]


class Latency(int):
    """Cycles of one path through one block: a plain number that knows what it counts."""

    block: str
    path: str

    def __new__(cls, cycles: int, block: str, path: str) -> Self:
        """`cycles` of `block`; `path` says from where to where."""
        latency = super().__new__(cls, cycles)
        latency.block, latency.path = block, path
        return latency


# The program's way to the array.
SETUP = Latency(2, "Sequencer", "last entry of a layer to the lanes' start: LOAD, START")
FIRST_ISSUE = Latency(1, "Sequencer", "all waits over to the next layer's first entry")
LAYER_DONE = Latency(1, "Sequencer", "last store of a layer to the end of the wait for it")
MEMORY_READ = Latency(1, "Rom, Ram, RowMemory", "address to word")
LANES_START = Latency(1, "LaneAddresses", "start to the walker at lane 0; one more for every lane until they are ready")
LANE_ADDRESS = Latency(1, "LaneAddresses", "list entry to the words of the lanes")
VECTOR_READ = Latency(2, "VectorMemory", "words of the lanes to their activations: RAM, rotation")
# From the array to the activation memory.
OPERAND = Latency(1, "ProcessingElement", "operands at the edge to the multiplier; and on to the next element")
ACCUMULATE = Latency(1, "ProcessingElement", "product behind the multiplier's stages to the sum")
MAXIMUM = Latency(1, "ProcessingElement", "sum to the maximum of the pooling window, where there is pooling")
TAG_TO_SELECT = Latency(1, "Drain", "tag to the first filter's select")
DRAIN_LEVEL = Latency(1, "SystolicArray", "one level of a row's drain multiplexer")
RESIDUAL_PRODUCT = Latency(1, "Requantiser", "residual and factor to their product, beside the drain's multiplexer")
SUM = Latency(1, "Requantiser", "sum to bias and residual added: the first part of what follows")
REQUANTISE = Latency(4, "Requantiser", "sum to result: bias and residual, product, shift, clamp")
WORD_QUEUE = Latency(2, "WordQueue", "sum to the same in front of the multiplier of lane 0, where outputs are maps")
STORE_QUEUE = Latency(1, "StoreUnit", "vector to its first write, where the queue was empty")
VECTOR_WRITE = Latency(3, "VectorMemory", "write to the first address that reads what was written")
# External memory.
READER_ASK = Latency(1, "StreamReader", "room for a burst to its address on the bus")
READER_ROOM = Latency(1, "StreamReader", "beat taken to its room counted")
FIFO_HEAD = Latency(2, "BeatFifo", "beat into an empty FIFO to the same at its head")
ROW_READY = Latency(1, "Ring", "last beat of a row to its first word ready")
ROW_FREED = Latency(1, "Ring", "row freed to room for a beat")

#: All of them by name.
LATENCIES: Mapping[str, Latency] = {name: value for name, value in globals().items() if isinstance(value, Latency)}

#: Issue of an entry to its words at the activation memory, and to its operands at the array's edge.
ISSUE_TO_MEMORY = MEMORY_READ + LANE_ADDRESS
ISSUE_TO_ARRAY = ISSUE_TO_MEMORY + VECTOR_READ
#: Issue of an entry to the address of its weights, which arrive with the operands.
ISSUE_TO_WEIGHT_ADDRESS = ISSUE_TO_ARRAY - MEMORY_READ
#: Last store of a layer to the first entry of the next.
DONE_TO_ISSUE = LAYER_DONE + FIRST_ISSUE


def operand_to_sum(hw: Hardware) -> int:
    """Operands at the array's edge to the result in element (0, 0), its maximum where there is pooling."""
    return OPERAND + hw.multiplier_stages + ACCUMULATE + (MAXIMUM if hw.pooling else 0)


def tag_to_sum(hw: Hardware) -> int:
    """By how much a tag comes before the result in element (0, 0)."""
    return TAG_TO_SELECT + (RESIDUAL_PRODUCT if hw.residual_bits else 0)


def issue_to_result(hw: Hardware) -> int:
    """Last entry of a pixel tile to the first filter's result of lane 0."""
    return ISSUE_TO_ARRAY + operand_to_sum(hw) + DRAIN_LEVEL * hw.mux_levels + REQUANTISE


def issue_to_word(hw: Hardware) -> int:
    """Last entry of a pixel tile to its first output word, where the layer is wide."""
    return issue_to_result(hw) + (WORD_QUEUE if hw.wide_lanes > 1 else 0)


def issue_to_vector(hw: Hardware) -> int:
    """Last entry of a pixel tile to the first filter's vector: the lanes' skew is squared up."""
    return issue_to_result(hw) + hw.rows - 1


def setup_to_issue(hw: Hardware) -> int:
    """Last entry of a layer to the first entry of the next, were nothing drained: lanes are set up."""
    return SETUP + LANES_START + hw.rows + FIRST_ISSUE
