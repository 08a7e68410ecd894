// Read-only memory, synchronous read: the bundle's hwprm_rom for iCE40, with the same latency.
// A table of 32 words or less would fill a block of 4 kbit all the same, so it goes into LUTs.
`default_nettype none
module hwprm_rom #(
    parameter WIDTH = 8,
    parameter DEPTH = 2,
    parameter ADDR_BITS = 1,
    parameter ADDRESS_REGISTER = 0,
    parameter OUTPUT_REGISTER = 0,
    parameter FILE = ""  // one hexadecimal word a line, DEPTH lines
) (
    input  wire                 clk,
    input  wire [ADDR_BITS-1:0] addr,
    output wire [WIDTH-1:0]     data
);
    reg [WIDTH-1:0] word;
    wire [ADDR_BITS-1:0] at;

    generate
        if (ADDRESS_REGISTER) begin : early
            reg [ADDR_BITS-1:0] held;
            always @(posedge clk) held <= addr;
            assign at = held;
        end else assign at = addr;
        if (DEPTH <= 32) begin : luts
            (* rom_style = "logic", ram_style = "logic" *)
            reg [WIDTH-1:0] mem [0:DEPTH-1];
            if (FILE != "") initial $readmemh(FILE, mem);
            always @(posedge clk) word <= mem[at];
        end else begin : blocks
            (* ram_style = "block" *)
            reg [WIDTH-1:0] mem [0:DEPTH-1];
            if (FILE != "") initial $readmemh(FILE, mem);
            always @(posedge clk) word <= mem[at];
        end
        if (OUTPUT_REGISTER) begin : registered
            reg [WIDTH-1:0] held;
            always @(posedge clk) held <= word;
            assign data = held;
        end else assign data = word;
    endgenerate
endmodule
`default_nettype wire
