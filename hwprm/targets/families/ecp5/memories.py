"""Memories in cells of the ECP5: block RAMs with their output registers, which yosys does not use by itself.

What stands in for the bundle's ``hwprm_rom`` and ``hwprm_ram``: same parameters, ports and latency. Memories without an
output register, and small ones, stay what the bundle's own text says of them, and yosys chooses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from hwprm.targets.families.ecp5.block_ram import HALF, Access, block_ram, initial_values
from hwprm.targets.flow.family import Image

__all__ = ["BLOCKS", "cut", "memories", "ram_verilog", "rom_verilog"]

#: Words of a block -> bits of a word; the widest takes both ports, each with half of the words' bits.
BLOCKS: Mapping[int, int] = {512: 2 * HALF, 1024: HALF, 2048: 9, 4096: 4, 8192: 2, 16384: 1}
#: Memories of no more bits stay what yosys makes of them; and those of more, which no device has.
SMALL, LARGE = 256, 1 << 23
#: Bits that choose between two blocks' words and cost as much as a cell.
CHOICE = 32
#: Cells that share the registers of an address, where it has some: no wire has to reach all cells in one cycle.
SHARING = 8

ROM_HEAD = """module hwprm_rom #(
    parameter WIDTH = 8,
    parameter DEPTH = 2,
    parameter ADDR_BITS = 1,
    parameter ADDRESS_REGISTER = 0,
    parameter OUTPUT_REGISTER = 0,
    parameter FILE = ""
) (
    input  wire                 clk,
    input  wire [ADDR_BITS-1:0] addr,
    output wire [WIDTH-1:0]     data
);"""
ROM_PLAIN = """    reg [WIDTH-1:0] word;
    (* ram_style = "block" *)
    reg [WIDTH-1:0] mem [0:DEPTH-1];
    if (FILE != "") initial $readmemh(FILE, mem);
    wire [ADDR_BITS-1:0] at;
    if (ADDRESS_REGISTER) begin : early
        reg [ADDR_BITS-1:0] held;
        always @(posedge clk) held <= addr;
        assign at = held;
    end else assign at = addr;
    always @(posedge clk) word <= mem[at];
    if (OUTPUT_REGISTER) begin : registered
        reg [WIDTH-1:0] held;
        always @(posedge clk) held <= word;
        assign data = held;
    end else assign data = word;"""
RAM_HEAD = """`default_nettype none
module hwprm_ram #(
    parameter WIDTH = 8,
    parameter DEPTH = 2,
    parameter ADDR_BITS = 1,
    parameter OUTPUT_REGISTER = 0
) (
    input  wire                 clk,
    input  wire                 write_enable,
    input  wire [ADDR_BITS-1:0] write_addr,
    input  wire [WIDTH-1:0]     write_data,
    input  wire [ADDR_BITS-1:0] read_addr,
    output wire [WIDTH-1:0]     read_data
);
genvar i;"""
RAM_PLAIN = """    reg [WIDTH-1:0] word;
    (* no_rw_check *)
    reg [WIDTH-1:0] mem [0:DEPTH-1];
    always @(posedge clk) if (write_enable) mem[write_addr] <= write_data;
    always @(posedge clk) word <= mem[read_addr];
    if (OUTPUT_REGISTER) begin : registered
        reg [WIDTH-1:0] held;
        always @(posedge clk) held <= word;
        assign read_data = held;
    end else assign read_data = word;"""


@cache
def cut(depth: int, width: int) -> tuple[int, ...]:
    """Depths of the blocks, one behind the other, that hold `depth` words of `width` bits.

    Deep ones come first, so that each begins at a multiple of its own depth. Few cells are wanted, and few blocks,
    whose words need a multiplexer.
    """
    if depth <= 0:
        return ()
    if depth > 2 * max(BLOCKS):
        return (max(BLOCKS), *cut(depth - max(BLOCKS), width))
    choices = [tuple(sorted((words, *cut(depth - words, width)), reverse=True)) for words in BLOCKS]

    def price(blocks: tuple[int, ...]) -> tuple[float, tuple[int, ...]]:
        cells = sum(-(-width // BLOCKS[words]) for words in blocks)
        return cells + (len(blocks) - 1) * width / CHOICE, blocks

    return min(choices, key=price)


def memories(images: Mapping[str, Image]) -> Mapping[str, str]:
    """``hwprm_rom.v`` and ``hwprm_ram.v`` for a design with those ROM images, by the names that it opens them with."""
    return {"hwprm_rom.v": rom_verilog(images), "hwprm_ram.v": ram_verilog()}


def rom_verilog(images: Mapping[str, Image]) -> str:
    """``hwprm_rom`` with the contents of `images` in block RAMs, a module for each, where it has an output register."""
    large = {name: image for name, image in images.items() if SMALL < image.width * len(image.words) <= LARGE}
    bodies = {
        f'OUTPUT_REGISTER && FILE == "{name}"': (
            f"    wire [{image.width - 1}:0] word;\n"
            f"    hwprm_rom_{i} #(.EARLY(ADDRESS_REGISTER)) rom (.clk(clk), .addr(addr), .data(word));\n"
            "    assign data = word;"
        )
        for i, (name, image) in enumerate(large.items())
    }
    modules = [_contents(f"hwprm_rom_{i}", image) for i, image in enumerate(large.values())]
    parts = ["`default_nettype none", *modules, ROM_HEAD, _first_of(bodies, ROM_PLAIN), "endmodule"]
    return "\n".join([*parts, "`default_nettype wire", ""])


def ram_verilog() -> str:
    """``hwprm_ram`` in the widest block RAMs that are deep enough, where it has an output register."""
    bodies = {
        f"OUTPUT_REGISTER && WIDTH * DEPTH > {SMALL} && DEPTH <= {words}": _banks(words, width)
        for words, width in BLOCKS.items()
        if width <= HALF
    }
    return "\n".join([RAM_HEAD, _first_of(bodies, RAM_PLAIN), "endmodule", "`default_nettype wire", ""])


def _first_of(bodies: Mapping[str, str], otherwise: str) -> str:
    """The one of `bodies` whose condition holds first."""
    lines = ["generate"]
    for i, (condition, body) in enumerate(bodies.items()):
        lines += [f"{'end else ' if i else ''}if ({condition}) begin : kind{i}", body]
    lines += ["end else begin : plain" if bodies else "begin : plain", otherwise, "end", "endgenerate"]
    return "\n".join(lines)


def _contents(name: str, image: Image) -> str:
    """A module with the words of `image`. Bits that never change, or always as another one does, take no memory."""
    columns = [tuple(word >> bit & 1 for word in image.words) for bit in range(image.width)]
    kept = [column for column in dict.fromkeys(columns) if len(set(column)) > 1]
    place = {column: f"word[{i}]" for i, column in enumerate(kept)}
    bits = max(1, (len(image.words) - 1).bit_length())
    width = max(1, len(kept))
    lines = [
        (
            f"module {name} #(parameter EARLY = 0) "
            f"(input wire clk, input wire [{bits - 1}:0] addr, output wire [{image.width - 1}:0] data);"
        ),
        "genvar k;",
        f"wire [{width - 1}:0] word;",
        f"assign data = {{{', '.join(place.get(column) or _bit(column[0]) for column in reversed(columns))}}};",
    ]
    start, chosen = 0, "block0"
    for i, words in enumerate(cut(len(image.words), len(kept))):
        within = words.bit_length() - 1
        lines.append(f"wire [{width - 1}:0] block{i};")
        for number, first in enumerate(range(0, len(kept), BLOCKS[words])):
            at = f"at{i}_{number // SHARING}"
            if number % SHARING == 0:
                lines.append(_address(at, min(bits, within), within))
            part = [column[start : start + words] for column in kept[first : first + BLOCKS[words]]]
            lines.append(_read_only(f"block{i}", at, words, first, part))
        if i:
            lines += [
                f"reg [2:0] here{i};",
                f"always @(posedge clk) here{i} <= {{here{i}[1:0], addr[{bits - 1}:{within}] == {start >> within}}};",
            ]
            chosen = f"here{i}[1+EARLY] ? block{i} : {chosen}"
        start += words
    return "\n".join([*lines, f"assign word = {chosen};" if kept else "assign word = 0;", "endmodule"])


def _address(name: str, bits: int, width: int) -> str:
    """A wire of `width` bits with the low `bits` of the address, behind registers that are its own where it is EARLY.

    As cells: yosys would make one of registers that hold the same.
    """
    flip_flop = (
        '(* keep *) TRELLIS_FF #(.GSR("DISABLED"), .CEMUX("1"), .CLKMUX("CLK"), .LSRMUX("LSR"), .REGSET("RESET"), '
        f".SRMODE(\"LSR_OVER_CE\")) held (.CLK(clk), .LSR(1'b0), .CE(1'b1), .DI(addr[k]), .Q({name}[k]));"
    )
    return "\n".join(
        [
            f"wire [{width - 1}:0] {name};",
            "generate",
            f"for (k = 0; k < {bits}; k = k + 1) begin : {name}_bits",
            f"    if (EARLY) {flip_flop}",
            f"    else assign {name}[k] = addr[k];",
            "end",
            *([f"assign {name}[{width - 1}:{bits}] = 0;"] if width > bits else []),
            "endgenerate",
        ]
    )


def _bit(value: int) -> str:
    return f"1'b{value}"


def _read_only(block: str, at: str, words: int, first: int, columns: Sequence[Sequence[int]]) -> str:
    """The cell that holds `columns`, from the first of its words on, and drives ``block[first]`` and the following."""
    if words > min(BLOCKS):
        outputs = [f"{block}[{first + k}]" for k in range(len(columns))]
        values = initial_values(columns, BLOCKS[words], words)
        return block_ram(f"{block}_{first}", BLOCKS[words], {"A": Access(at, outputs)}, values)
    # Both ports: the second one reads the second half of the cell.
    halves = [columns[:HALF], columns[HALF:]]
    ports = {
        port: Access(f"{{{_bit(k)}, {at}}}", [f"{block}[{first + HALF * k + j}]" for j in range(len(half))])
        for k, (port, half) in enumerate(zip("AB", halves, strict=True))
    }
    values = [value for half in halves for value in initial_values(half, HALF, words)]
    return block_ram(f"{block}_{first}", HALF, ports, values)


def _banks(words: int, width: int) -> str:
    """As many cells side by side as ``WIDTH`` takes; port A writes, port B reads."""
    within = words.bit_length() - 1
    writes = Access("into", [], enable="write_enable", inputs=[f"in[i*{width}+{k}]" for k in range(width)])
    reads = Access("from", [f"out[i*{width}+{k}]" for k in range(width)])
    return "\n".join(
        [
            f"    localparam CELLS = (WIDTH + {width - 1}) / {width};",
            f"    wire [{width}*CELLS-1:0] in = write_data;",
            f"    wire [{width}*CELLS-1:0] out;",
            f"    wire [{within - 1}:0] into = write_addr, from = read_addr;",
            "    assign read_data = out[WIDTH-1:0];",
            "    for (i = 0; i < CELLS; i = i + 1) begin : side",
            block_ram("ram", width, {"A": writes, "B": reads}),
            "    end",
        ]
    )
