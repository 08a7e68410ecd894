// Read-only memory, synchronous read, one cycle of latency, or two: the bundle's hwprm_rom for iCE40.
// A table of 32 words or less would fill a block of 4 kbit all the same, so it goes into LUTs.
`default_nettype none
module hwprm_rom #(
    parameter WIDTH = 8,
    parameter DEPTH = 2,
    parameter ADDR_BITS = 1,
    parameter OUTPUT_REGISTER = 0,  // 1: one more cycle of latency
    parameter FILE = ""  // one hexadecimal word a line, DEPTH lines
) (
    input  wire                 clk,
    input  wire [ADDR_BITS-1:0] addr,
    output wire [WIDTH-1:0]     data
);
    reg [WIDTH-1:0] word;

    generate
        if (DEPTH <= 32) begin : luts
            (* rom_style = "logic", ram_style = "logic" *)
            reg [WIDTH-1:0] mem [0:DEPTH-1];
            if (FILE != "") initial $readmemh(FILE, mem);
            always @(posedge clk) word <= mem[addr];
        end else begin : blocks
            (* ram_style = "block" *)
            reg [WIDTH-1:0] mem [0:DEPTH-1];
            if (FILE != "") initial $readmemh(FILE, mem);
            always @(posedge clk) word <= mem[addr];
        end
        if (OUTPUT_REGISTER) begin : registered
            reg [WIDTH-1:0] held;
            always @(posedge clk) held <= word;
            assign data = held;
        end else assign data = word;
    endgenerate
endmodule
`default_nettype wire
