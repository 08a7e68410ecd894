// A stand-in for the generated core, small enough to be read: relu of six pixels, then two dot products with
// weights from a ROM, then a rest, so that an image takes longer to compute than to load. It keeps the core's contract on every port, so that the harness can be tested without it.
module hwprm_core (
    input wire clk, input wire rst,
    input wire [7:0] s_axis_tdata, input wire s_axis_tvalid, output wire s_axis_tready, input wire s_axis_tlast,
    output wire [31:0] m_axis_tdata, output wire m_axis_tvalid, input wire m_axis_tready, output wire m_axis_tlast,
    input wire [7:0] s_axil_awaddr, input wire s_axil_awvalid, output wire s_axil_awready,
    input wire [31:0] s_axil_wdata, input wire [3:0] s_axil_wstrb, input wire s_axil_wvalid, output wire s_axil_wready,
    output wire [1:0] s_axil_bresp, output reg s_axil_bvalid, input wire s_axil_bready,
    input wire [7:0] s_axil_araddr, input wire s_axil_arvalid, output wire s_axil_arready,
    output reg [31:0] s_axil_rdata, output wire [1:0] s_axil_rresp, output reg s_axil_rvalid, input wire s_axil_rready,
    output wire probe_valid, output wire [1:0] probe_layer, output wire [1:0] probe_filter,
    output wire [3:0] probe_pixel, output wire [1:0] probe_lanes, output wire [15:0] probe_data,
    output wire probe_frame_start, output wire probe_layer_start, output wire probe_frame_done
);
    localparam LOAD = 0, DRAIN = 1, CALC = 2, SEND = 3;
    reg [1:0] state = LOAD;
    reg [5:0] count = 0;
    reg signed [7:0] x0 = 0, x1 = 0, x2 = 0, x3 = 0, x4 = 0, x5 = 0;
    reg signed [31:0] acc0 = 0, acc1 = 0;
    reg run = 1, too_short = 0, too_long = 0;
    reg [31:0] cycles = 0, running = 0, frames_in = 0, frames_out = 0, dropped = 0;

    wire [15:0] weights;
    hwprm_rom #(.WIDTH(16), .DEPTH(6), .ADDR_BITS(3), .FILE("mem/weights.mem")) rom (
        .clk(clk), .addr(count[2:0]), .data(weights));

    wire signed [7:0] w0 = weights[7:0], w1 = weights[15:8];
    wire signed [7:0] head = x0 < 0 ? 8'sd0 : x0;
    wire signed [7:0] second = x1 < 0 ? 8'sd0 : x1;
    reg signed [7:0] operand = 0;

    assign s_axis_tready = (state == LOAD && (run || count != 0)) || state == DRAIN;
    assign m_axis_tvalid = state == SEND;
    assign m_axis_tdata = count == 0 ? acc0 : acc1;
    assign m_axis_tlast = count == 1;
    assign probe_valid = state == CALC && !count[0] && count < 6;
    assign probe_layer = 0;
    assign probe_filter = 0;
    assign probe_pixel = count;
    assign probe_lanes = 2;
    assign probe_data = {second, head};
    assign probe_frame_start = state == CALC && count == 0;
    assign probe_layer_start = state == CALC && (count == 0 || count == 5);
    assign probe_frame_done = state == CALC && count == 36;

    wire write = s_axil_awvalid && s_axil_wvalid && !s_axil_bvalid;
    wire clear = write && s_axil_awaddr == 8'h0c && s_axil_wstrb[0];
    always @(posedge clk) begin
        if ((state == LOAD && s_axis_tvalid && s_axis_tready) || state == CALC || (state == SEND && m_axis_tready))
            running <= running + 1;
        if (clear && s_axil_wdata[1]) too_short <= 0;
        if (clear && s_axil_wdata[2]) too_long <= 0;
        case (state)
            LOAD: if (s_axis_tvalid && s_axis_tready) begin
                {x0, x1, x2, x3, x4, x5} <= {x1, x2, x3, x4, x5, s_axis_tdata};
                count <= count + 1;
                acc0 <= 0;
                acc1 <= 0;
                if (s_axis_tlast) begin
                    count <= 0;
                    if (count == 5) begin state <= CALC; frames_in <= frames_in + 1; end
                    else begin too_short <= 1; dropped <= dropped + 1; running <= 0; end
                end else if (count == 5) state <= DRAIN;
            end
            DRAIN: if (s_axis_tvalid && s_axis_tlast) begin
                too_long <= 1; dropped <= dropped + 1; running <= 0; count <= 0; state <= LOAD;
            end
            CALC: begin
                if (count > 0 && count <= 6) begin acc0 <= acc0 + w0 * operand; acc1 <= acc1 + w1 * operand; end
                operand <= head;
                {x0, x1, x2, x3, x4} <= {x1, x2, x3, x4, x5};
                count <= count + 1;
                if (count == 36) begin state <= SEND; count <= 0; frames_out <= frames_out + 1; end
            end
            SEND: if (m_axis_tready) begin
                count <= count + 1;
                if (count == 1) begin state <= LOAD; count <= 0; cycles <= running + 1; running <= 0; end
            end
        endcase
        if (rst) begin
            state <= LOAD; count <= 0; too_short <= 0; too_long <= 0; running <= 0; cycles <= 0;
            frames_in <= 0; frames_out <= 0; dropped <= 0;
        end
    end

    assign s_axil_awready = write;
    assign s_axil_wready = write;
    assign s_axil_bresp = 0;
    assign s_axil_rresp = 0;
    assign s_axil_arready = !s_axil_rvalid;
    always @(posedge clk) begin
        if (write) begin
            s_axil_bvalid <= 1;
            if (s_axil_awaddr == 8'h08 && s_axil_wstrb[0]) run <= s_axil_wdata[0];
        end else if (s_axil_bready) s_axil_bvalid <= 0;
        if (s_axil_arvalid && s_axil_arready) begin
            s_axil_rvalid <= 1;
            case (s_axil_araddr)
                8'h00: s_axil_rdata <= 32'h48575052;
                8'h04: s_axil_rdata <= 1;
                8'h08: s_axil_rdata <= run;
                8'h0c: s_axil_rdata <= {29'd0, too_long, too_short, state != LOAD || count != 0};
                8'h10: s_axil_rdata <= cycles;
                8'h14: s_axil_rdata <= frames_in;
                8'h18: s_axil_rdata <= frames_out;
                8'h1c: s_axil_rdata <= dropped;
                8'h24: s_axil_rdata <= 2;
                8'h28: s_axil_rdata <= 2;
                8'h2c: s_axil_rdata <= 6;
                8'h30: s_axil_rdata <= 2;
                default: s_axil_rdata <= s_axil_araddr[7:5] == 2 ? 32'ha5a5a5a5 : 0;
            endcase
        end else if (s_axil_rready) s_axil_rvalid <= 0;
        if (rst) begin run <= 1; s_axil_bvalid <= 0; s_axil_rvalid <= 0; end
    end
endmodule
