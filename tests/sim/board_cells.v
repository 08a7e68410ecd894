// PLLs and a host, as little of them as a test of a board's top needs.
`timescale 1ps / 1ps
`default_nettype none
// A clock of CLKI by TIMES / BY, after it was measured; locked eight cycles later.
module measured #(parameter TIMES = 1, parameter BY = 1) (
    input  wire from,
    output reg  clk,
    output reg  locked
);
    time last, period;
    initial begin
        clk = 0;
        locked = 0;
        @(posedge from) last = $time;
        @(posedge from) period = $time - last;
        repeat (16) #(period * BY / TIMES / 2) clk = ~clk;
        locked = 1;
        forever #(period * BY / TIMES / 2) clk = ~clk;
    end
endmodule

module EHXPLLL #(
    parameter PLLRST_ENA = "", parameter INTFB_WAKE = "", parameter STDBY_ENABLE = "", parameter DPHASE_SOURCE = "",
    parameter OUTDIVIDER_MUXA = "", parameter OUTDIVIDER_MUXB = "", parameter OUTDIVIDER_MUXC = "",
    parameter OUTDIVIDER_MUXD = "", parameter CLKI_DIV = 1, parameter CLKFB_DIV = 1, parameter FEEDBK_PATH = "",
    parameter CLKOP_ENABLE = "", parameter CLKOP_DIV = 1, parameter CLKOP_CPHASE = 0, parameter CLKOP_FPHASE = 0
) (
    input wire CLKI, input wire CLKFB, input wire RST, input wire STDBY, input wire PHASESEL0, input wire PHASESEL1,
    input wire PHASEDIR, input wire PHASESTEP, input wire PHASELOADREG, input wire PLLWAKESYNC, input wire ENCLKOP,
    output wire CLKOP, output wire CLKINTFB, output wire LOCK
);
    measured #(.TIMES(CLKFB_DIV), .BY(CLKI_DIV)) clock (.from(CLKI), .clk(CLKOP), .locked(LOCK));
endmodule

module SB_PLL40_PAD #(
    parameter FEEDBACK_PATH = "", parameter DIVR = 0, parameter DIVF = 0, parameter DIVQ = 0,
    parameter FILTER_RANGE = 0, parameter PLLOUT_SELECT = ""
) (
    input wire PACKAGEPIN, input wire RESETB, input wire BYPASS, output wire PLLOUTGLOBAL, output wire LOCK
);
    measured #(.TIMES(DIVF + 1), .BY((DIVR + 1) << DIVQ)) clock (
        .from(PACKAGEPIN), .clk(PLLOUTGLOBAL), .locked(LOCK)
    );
endmodule

// Sends what sent.mem holds once the design has greeted; what comes it prints, a byte a line.
module bench;
    parameter CLOCK_PS = 40000, BIT_PS = 333333, SENT = 1, COUNT = 1, PRESSED = 1'b1;
    reg clk_pin = 0, rx = 1, button = ~PRESSED;
    wire tx;
    always #(CLOCK_PS / 2) clk_pin = ~clk_pin;
    hwprm_board #(.RESET_BITS(4), .LIGHT_BITS(4)) board (
        .clk_pin(clk_pin), .rx(rx), .tx(tx), .button(button), .busy(), .error()
    );
    reg [7:0] sent [0:SENT-1];
    reg [7:0] came;
    integer i, k, seen = 0;
    initial begin
        $readmemh("sent.mem", sent);
        wait (seen == `GREETING);
        for (i = 0; i < SENT; i = i + 1) begin
            rx = 0;
            #BIT_PS for (k = 0; k < 8; k = k + 1) begin
                rx = sent[i][k];
                #BIT_PS;
            end
            rx = 1;
            #BIT_PS;
        end
        wait (seen == COUNT);
        button = PRESSED;  // the design begins anew
        #(CLOCK_PS * 4) button = ~PRESSED;
        wait (seen == COUNT + `GREETING);
        $finish;
    end
    always @(negedge tx) if (board.locked) begin
        #(BIT_PS / 2);
        read;
    end
    task read;
        integer n;
        begin
            for (n = 0; n < 8; n = n + 1) begin
                #BIT_PS came[n] = tx;
            end
            #BIT_PS if (!tx) $display("broken");
            $display("%02x", came);
            seen = seen + 1;
        end
    endtask
    initial #(64'd40 * COUNT * BIT_PS) begin
        $display("too long");
        $finish;
    end
endmodule
`default_nettype wire
