"""Clock cycles from input to output of every block of the accelerator: the one table of them.

Gateware takes the lengths of its pipelines and delay lines from here, the models of cycles and stalls their sums, and
a test measures each block against it on a simulator. ``n`` cycles mean: what a block is given in cycle t shows at its
output in cycle t + n. Blocks whose depth a design chooses have two numbers (`Depth`), for its short and its fast
pipeline. Whatever else depends on the design (rows, multiplier stages, pooling, the drain's multiplexers) is in
`Hardware` and is added by the functions at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from hwprm.isa.hardware import Hardware

__all__ = [
    "LATENCIES",
    "Depth",
    "Latency",
    "done_to_issue",
    "issue_to_array",
    "issue_to_memory",
    "issue_to_result",
    "issue_to_vector",
    "issue_to_weight_address",
    "issue_to_word",
    "operand_to_sum",
    "post_depth",
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


@dataclass(frozen=True)
class Depth:
    """Cycles of one path through one block whose depth a design chooses: a function of its `Hardware`."""

    short: int
    fast: int
    block: str
    path: str

    def __call__(self, hw: Hardware) -> int:
        """Cycles in the design `hw`."""
        return self.of(hw.pipeline)

    def of(self, pipeline: str) -> int:
        """Cycles in a design with that pipeline."""
        return self.fast if pipeline == "fast" else self.short


# The program's way to the array.
SETUP = Latency(2, "Sequencer", "last entry of a layer to the lanes' start: LOAD, START")
FIRST_ISSUE = Latency(1, "Sequencer", "all waits over to the next layer's first entry")
LAYER_DONE = Depth(1, 2, "Sequencer", "last store of a layer to the end of the wait for it; fast: through a register")
MEMORY_READ = Latency(1, "Ram", "address to word")
TABLE_READ = Depth(1, 2, "Rom, RowMemory", "address to word; fast: through the memory's output register")
WEIGHT_READ = Depth(
    1,
    4,
    "Rom",
    "address to weights; fast: in registers beside the memory, through its output's and one more",
)
LANES_START = Depth(1, 2, "LaneAddresses", "start to ready, besides the lanes' steps")
LANE_STEP = Depth(1, 2, "LaneAddresses", "from a lane's first pixel to that of the next lane")
LANE_ADDRESS = Depth(1, 3, "LaneAddresses", "list entry to the words of the lanes; fast: register, sums, carries")
VECTOR_READ = Depth(
    2,
    7,
    "VectorMemory",
    "words of the lanes to their activations; fast: order, rotation, RAM, its register, another, rotation, mask",
)
# From the array to the activation memory.
OPERAND = Latency(1, "ProcessingElement", "operands at the edge to the multiplier; and on to the next element")
ACCUMULATE = Latency(1, "ProcessingElement", "product behind the multiplier's stages to the sum")
MAXIMUM = Latency(1, "ProcessingElement", "sum to the maximum of the pooling window, where there is pooling")
TAG_TO_SELECT = Latency(1, "Drain", "tag to the first filter's select")
DRAIN_LEVEL = Latency(1, "SystolicArray", "one level of a row's drain multiplexer")
RESIDUAL_PRODUCT = Depth(
    1, 2, "Requantiser", "residual and factor to their product, beside the drain's multiplexer; fast: through registers"
)
SUM = Depth(1, 2, "Requantiser", "sum to bias and residual added: the first part of what follows")
REQUANTISE = Depth(
    4,
    9,
    "Requantiser",
    "sum to result: bias and residual, product, shift, clamp; fast: all but the bias in two",
)
POST = Depth(1, 3, "Drain", "result to what a table makes of it, in designs with tables; fast: both in registers")
WORD_QUEUE = Latency(2, "WordQueue", "sum to the same in front of the multiplier of lane 0, where outputs are maps")
EGRESS_WORD = Depth(0, 1, "Egress", "output word to its place in the buffer; fast: through a register")
STORE_QUEUE = Depth(1, 2, "StoreUnit", "vector to its first write, where the queue was empty; fast: through a register")
DESCRIPTOR = Depth(
    2, 9, "PixelTiles", "end of a layer to the next one's first pixel tile ready; fast: descriptor through a register"
)
SPACING = Depth(1, 6, "StoreUnit", "from one pixel tile to the next, at least: its place is prepared meanwhile")
VECTOR_WRITE = Latency(3, "VectorMemory", "write to the first address that reads what was written")
# External memory.
READER_ASK = Latency(1, "StreamReader", "room for a burst to its address on the bus")
READER_ROOM = Latency(1, "StreamReader", "beat taken to its room counted")
FIFO_HEAD = Latency(2, "BeatFifo", "beat into an empty FIFO to the same at its head")
ROW_READY = Latency(1, "Ring", "last beat of a row to its first word ready")
ROW_FREED = Latency(1, "Ring", "row freed to room for a beat")

#: All of them by name.
LATENCIES: Mapping[str, Latency | Depth] = {
    name: value for name, value in globals().items() if isinstance(value, Latency | Depth)
}


def done_to_issue(hw: Hardware) -> int:
    """Last store of a layer to the first entry of the next."""
    return LAYER_DONE(hw) + FIRST_ISSUE


def issue_to_memory(hw: Hardware) -> int:
    """Issue of an entry to its words at the activation memory."""
    return TABLE_READ(hw) + LANE_ADDRESS(hw)


def issue_to_array(hw: Hardware) -> int:
    """Issue of an entry to its operands at the array's edge."""
    return issue_to_memory(hw) + VECTOR_READ(hw)


def issue_to_weight_address(hw: Hardware) -> int:
    """Issue of an entry to the address of its weights, which arrive with the operands."""
    return issue_to_array(hw) - (TABLE_READ if hw.external else WEIGHT_READ)(hw)


def operand_to_sum(hw: Hardware) -> int:
    """Operands at the array's edge to the result in element (0, 0), its maximum where there is pooling."""
    return OPERAND + hw.multiplier_stages + ACCUMULATE + (MAXIMUM if hw.pooling else 0)


def tag_to_sum(hw: Hardware) -> int:
    """By how much a tag comes before the result in element (0, 0): parameters are read meanwhile."""
    return TAG_TO_SELECT + (RESIDUAL_PRODUCT(hw) if hw.residual_bits else 0) + TABLE_READ(hw) - MEMORY_READ


def post_depth(hw: Hardware) -> int:
    """Cycles of the slot behind the requantiser, through which all stored results go."""
    return POST(hw) if hw.posts else 0


def issue_to_result(hw: Hardware) -> int:
    """Last entry of a pixel tile to the first filter's result of lane 0."""
    return issue_to_array(hw) + operand_to_sum(hw) + DRAIN_LEVEL * hw.mux_levels + REQUANTISE(hw)


def issue_to_word(hw: Hardware) -> int:
    """Last entry of a pixel tile to its first output word's place, where the layer is wide."""
    return issue_to_result(hw) + (WORD_QUEUE if hw.wide_lanes > 1 else 0) + EGRESS_WORD(hw)


def issue_to_vector(hw: Hardware) -> int:
    """Last entry of a pixel tile to the first filter's vector: through the tables, and the lanes' skew squared up."""
    return issue_to_result(hw) + post_depth(hw) + hw.rows - 1


def setup_to_issue(hw: Hardware) -> int:
    """Last entry of a layer to the first entry of the next, were nothing drained: lanes are set up."""
    return SETUP + LANES_START(hw) + LANE_STEP(hw) * hw.rows + FIRST_ISSUE
