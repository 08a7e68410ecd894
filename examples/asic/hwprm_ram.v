// hwprm_ram of memory macros: for the place of the file of the same name in a bundle's rtl/.
// The macro has 64 words of 16 bits, a port that writes and one that reads, and enables that are low when they are on,
// as memory compilers make them. Memories of up to 512 bits stay flip-flops, which are smaller there.
// A word that is written is never read in the same cycle, and what is read in a cycle without use is not looked at.
`default_nettype none
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
    localparam WORDS = 64, LOW = 6, BITS = 16, SMALL = 512;
    localparam ROWS = (DEPTH + WORDS - 1) / WORDS, SIDES = (WIDTH + BITS - 1) / BITS;
    wire [WIDTH-1:0] word;

`ifndef SYNTHESIS
    // The layer mode of the test bench fills an array of this name, and cannot reach into macros: it is not for them.
    // The modes bulk and protocol need nothing but pins and probes.
    reg [WIDTH-1:0] mem [0:DEPTH-1];
`endif

    generate
        if (WIDTH * DEPTH <= SMALL) begin : few
            reg [WIDTH-1:0] words [0:DEPTH-1];
            reg [WIDTH-1:0] held;
            always @(posedge clk) begin
                if (write_enable) words[write_addr] <= write_data;
                held <= words[read_addr];
            end
            assign word = held;
        end else begin : macros
            // verilator lint_off WIDTHEXPAND
            wire [31:0] into = write_addr, from = read_addr;
            wire [SIDES*BITS-1:0] in = write_data;
            // verilator lint_on WIDTHEXPAND
            wire [ROWS*SIDES*BITS-1:0] out;
            wire [SIDES*BITS-1:0] chosen;
            reg [31-LOW:0] row;  // of macros: the one that was read
            genvar r, s;
            always @(posedge clk) row <= from[31:LOW];
            for (r = 0; r < ROWS; r = r + 1) begin : rows
                for (s = 0; s < SIDES; s = s + 1) begin : sides
                    example_sram_64x16 macro (
                        .CLK(clk),
                        .WEN(!(write_enable && into[31:LOW] == r)), .WA(into[LOW-1:0]), .D(in[s*BITS +: BITS]),
                        .REN(!(from[31:LOW] == r)), .RA(from[LOW-1:0]), .Q(out[(r*SIDES+s)*BITS +: BITS])
                    );
                end
            end
            assign chosen = out[row*SIDES*BITS +: SIDES*BITS];
            assign word = chosen[WIDTH-1:0];
        end
        if (OUTPUT_REGISTER) begin : registered
            reg [WIDTH-1:0] held;
            always @(posedge clk) held <= word;
            assign read_data = held;
        end else assign read_data = word;
    endgenerate
endmodule

// A model of the macro; the memory compiler's own takes its place.
module example_sram_64x16 (
    input  wire        CLK,
    input  wire        WEN,
    input  wire [5:0]  WA,
    input  wire [15:0] D,
    input  wire        REN,
    input  wire [5:0]  RA,
    output reg  [15:0] Q
);
    reg [15:0] words [0:63];
    always @(posedge CLK) begin
        if (!WEN) words[WA] <= D;
        if (!REN) Q <= words[RA];
        if (!WEN && !REN && WA == RA) Q <= ~D;  // anything may come; this is certainly wrong
    end
endmodule
`default_nettype wire
