// A flip-flop of the ECP5, which holds its reset value when the device starts. The model that comes with yosys takes
// that from a wire, which some simulators have not driven by then: it begins with an unknown bit there.
`default_nettype none
module TRELLIS_FF (
    input  wire CLK, LSR, CE, DI, M,
    output reg  Q
);
    parameter GSR = "ENABLED", CLKMUX = "CLK", LSRMUX = "LSR", SRMODE = "LSR_OVER_CE", REGSET = "RESET";
    parameter [127:0] CEMUX = "1", LSRMODE = "LSR";

    localparam START = REGSET == "SET";
    wire clock = CLKMUX == "INV" ? ~CLK : CLK;
    wire reset = LSRMUX == "INV" ? ~LSR : LSR;
    wire enable = CEMUX == "1" || (CEMUX == "INV" ? ~CE : CE);
    wire value = LSRMODE == "PRLD" ? M : START;
    initial Q = START;
    generate
        if (SRMODE == "ASYNC") begin : asynchronous
            always @(posedge clock, posedge reset)
                if (reset) Q <= value;
                else if (enable) Q <= DI;
        end else begin : synchronous
            always @(posedge clock)
                if (reset) Q <= value;
                else if (enable) Q <= DI;
        end
    endgenerate
endmodule
`default_nettype wire
