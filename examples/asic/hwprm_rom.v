// hwprm_rom with the weights in a ROM macro: for the place of the file of the same name in a bundle's rtl/.
// A memory compiler makes the macro of the image mem/weights.mem, for DEPTH words of WIDTH bits. All other tables become
// gates: synthesis reads their images, as it does for an FPGA.
`default_nettype none
module hwprm_rom #(
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
);
    wire [WIDTH-1:0] word;
    wire [ADDR_BITS-1:0] at;

    generate
        if (ADDRESS_REGISTER) begin : early
            reg [ADDR_BITS-1:0] held;
            always @(posedge clk) held <= addr;
            assign at = held;
        end else assign at = addr;
        if (FILE == "mem/weights.mem") begin : macro
            example_rom #(.WIDTH(WIDTH), .DEPTH(DEPTH), .ADDR_BITS(ADDR_BITS), .FILE(FILE)) weights (
                .CLK(clk), .CEN(1'b0), .A(at), .Q(word)
            );
        end else begin : gates
            reg [WIDTH-1:0] mem [0:DEPTH-1];
            reg [WIDTH-1:0] held;
            if (FILE != "") initial $readmemh(FILE, mem);
            always @(posedge clk) held <= mem[at];
            assign word = held;
        end
        if (OUTPUT_REGISTER) begin : registered
            reg [WIDTH-1:0] held;
            always @(posedge clk) held <= word;
            assign data = held;
        end else assign data = word;
    endgenerate
endmodule

// A model of the macro, whose parameters a real one has not; the memory compiler's own takes its place.
module example_rom #(
    parameter WIDTH = 8,
    parameter DEPTH = 2,
    parameter ADDR_BITS = 1,
    parameter FILE = ""
) (
    input  wire                 CLK,
    input  wire                 CEN,
    input  wire [ADDR_BITS-1:0] A,
    output reg  [WIDTH-1:0]     Q
);
    reg [WIDTH-1:0] words [0:DEPTH-1];
    initial $readmemh(FILE, words);
    always @(posedge CLK) if (!CEN) Q <= words[A];
endmodule
`default_nettype wire
