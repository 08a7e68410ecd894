// Behaviour of the ECP5's block RAM, as far as hwprm and yosys use it: both ports at their own widths, synchronous, a
// port that writes keeps its output or reads what was there, with or without output registers. Words of 36 bits are
// written through port A, read through port B, and take the data pins of both. Resets, chip selects and other modes are
// left out: asked for, they show as unknown bits.
`default_nettype none
module DP16KD (
    input  wire CLKA, CEA, OCEA, RSTA, WEA, CSA0, CSA1, CSA2, ADA0, ADA1, ADA2, ADA3, ADA4, ADA5, ADA6, ADA7, ADA8,
        ADA9, ADA10, ADA11, ADA12, ADA13, DIA0, DIA1, DIA2, DIA3, DIA4, DIA5, DIA6, DIA7, DIA8, DIA9, DIA10, DIA11,
        DIA12, DIA13, DIA14, DIA15, DIA16, DIA17,
    input  wire CLKB, CEB, OCEB, RSTB, WEB, CSB0, CSB1, CSB2, ADB0, ADB1, ADB2, ADB3, ADB4, ADB5, ADB6, ADB7, ADB8,
        ADB9, ADB10, ADB11, ADB12, ADB13, DIB0, DIB1, DIB2, DIB3, DIB4, DIB5, DIB6, DIB7, DIB8, DIB9, DIB10, DIB11,
        DIB12, DIB13, DIB14, DIB15, DIB16, DIB17,
    output wire DOA0, DOA1, DOA2, DOA3, DOA4, DOA5, DOA6, DOA7, DOA8, DOA9, DOA10, DOA11, DOA12, DOA13, DOA14, DOA15,
        DOA16, DOA17,
    output wire DOB0, DOB1, DOB2, DOB3, DOB4, DOB5, DOB6, DOB7, DOB8, DOB9, DOB10, DOB11, DOB12, DOB13, DOB14, DOB15,
        DOB16, DOB17
);
    parameter DATA_WIDTH_A = 18, DATA_WIDTH_B = 18, REGMODE_A = "NOREG", REGMODE_B = "NOREG";
    parameter RESETMODE = "SYNC", ASYNC_RESET_RELEASE = "SYNC", GSR = "ENABLED";
    parameter CSDECODE_A = "0b000", CSDECODE_B = "0b000", WRITEMODE_A = "NORMAL", WRITEMODE_B = "NORMAL";
    parameter CLKAMUX = "CLKA", CLKBMUX = "CLKB";
    parameter [319:0] INITVAL_00 = 0, INITVAL_01 = 0, INITVAL_02 = 0, INITVAL_03 = 0;
    parameter [319:0] INITVAL_04 = 0, INITVAL_05 = 0, INITVAL_06 = 0, INITVAL_07 = 0;
    parameter [319:0] INITVAL_08 = 0, INITVAL_09 = 0, INITVAL_0A = 0, INITVAL_0B = 0;
    parameter [319:0] INITVAL_0C = 0, INITVAL_0D = 0, INITVAL_0E = 0, INITVAL_0F = 0;
    parameter [319:0] INITVAL_10 = 0, INITVAL_11 = 0, INITVAL_12 = 0, INITVAL_13 = 0;
    parameter [319:0] INITVAL_14 = 0, INITVAL_15 = 0, INITVAL_16 = 0, INITVAL_17 = 0;
    parameter [319:0] INITVAL_18 = 0, INITVAL_19 = 0, INITVAL_1A = 0, INITVAL_1B = 0;
    parameter [319:0] INITVAL_1C = 0, INITVAL_1D = 0, INITVAL_1E = 0, INITVAL_1F = 0;
    parameter [319:0] INITVAL_20 = 0, INITVAL_21 = 0, INITVAL_22 = 0, INITVAL_23 = 0;
    parameter [319:0] INITVAL_24 = 0, INITVAL_25 = 0, INITVAL_26 = 0, INITVAL_27 = 0;
    parameter [319:0] INITVAL_28 = 0, INITVAL_29 = 0, INITVAL_2A = 0, INITVAL_2B = 0;
    parameter [319:0] INITVAL_2C = 0, INITVAL_2D = 0, INITVAL_2E = 0, INITVAL_2F = 0;
    parameter [319:0] INITVAL_30 = 0, INITVAL_31 = 0, INITVAL_32 = 0, INITVAL_33 = 0;
    parameter [319:0] INITVAL_34 = 0, INITVAL_35 = 0, INITVAL_36 = 0, INITVAL_37 = 0;
    parameter [319:0] INITVAL_38 = 0, INITVAL_39 = 0, INITVAL_3A = 0, INITVAL_3B = 0;
    parameter [319:0] INITVAL_3C = 0, INITVAL_3D = 0, INITVAL_3E = 0, INITVAL_3F = 0;

    // Words of 18 bits. Each INITVAL has 16 of them, with two bits between.
    reg [17:0] memory [0:1023];
    integer group;
    task fill(input integer number, input [319:0] value);
        for (group = 0; group < 16; group = group + 1) memory[16*number+group] = value[20*group+:18];
    endtask
    initial begin
        fill(0, INITVAL_00); fill(1, INITVAL_01); fill(2, INITVAL_02);
        fill(3, INITVAL_03); fill(4, INITVAL_04); fill(5, INITVAL_05);
        fill(6, INITVAL_06); fill(7, INITVAL_07); fill(8, INITVAL_08);
        fill(9, INITVAL_09); fill(10, INITVAL_0A); fill(11, INITVAL_0B);
        fill(12, INITVAL_0C); fill(13, INITVAL_0D); fill(14, INITVAL_0E);
        fill(15, INITVAL_0F); fill(16, INITVAL_10); fill(17, INITVAL_11);
        fill(18, INITVAL_12); fill(19, INITVAL_13); fill(20, INITVAL_14);
        fill(21, INITVAL_15); fill(22, INITVAL_16); fill(23, INITVAL_17);
        fill(24, INITVAL_18); fill(25, INITVAL_19); fill(26, INITVAL_1A);
        fill(27, INITVAL_1B); fill(28, INITVAL_1C); fill(29, INITVAL_1D);
        fill(30, INITVAL_1E); fill(31, INITVAL_1F); fill(32, INITVAL_20);
        fill(33, INITVAL_21); fill(34, INITVAL_22); fill(35, INITVAL_23);
        fill(36, INITVAL_24); fill(37, INITVAL_25); fill(38, INITVAL_26);
        fill(39, INITVAL_27); fill(40, INITVAL_28); fill(41, INITVAL_29);
        fill(42, INITVAL_2A); fill(43, INITVAL_2B); fill(44, INITVAL_2C);
        fill(45, INITVAL_2D); fill(46, INITVAL_2E); fill(47, INITVAL_2F);
        fill(48, INITVAL_30); fill(49, INITVAL_31); fill(50, INITVAL_32);
        fill(51, INITVAL_33); fill(52, INITVAL_34); fill(53, INITVAL_35);
        fill(54, INITVAL_36); fill(55, INITVAL_37); fill(56, INITVAL_38);
        fill(57, INITVAL_39); fill(58, INITVAL_3A); fill(59, INITVAL_3B);
        fill(60, INITVAL_3C); fill(61, INITVAL_3D); fill(62, INITVAL_3E);
        fill(63, INITVAL_3F);
    end

    // Bit of its word of 18 that bit `k` of a word of `width` bits at `address` is; narrow words skip each ninth bit.
    function integer place(input integer width, input [13:0] address, input integer k);
        case (width)
            18: place = k;
            9: place = 9 * address[3] + k;
            4: place = 9 * address[3] + 4 * address[2] + k;
            2: place = 9 * address[3] + 2 * address[2:1] + k;
            default: place = 9 * address[3] + address[2:0];
        endcase
    endfunction

    // A narrow word, out of the word of 18 bits that it lies in.
    function [17:0] narrow(input integer width, input [13:0] address, input [17:0] word);
        integer i;
        for (i = 0; i < 18; i = i + 1) narrow[i] = i < width && word[place(width, address, i)];
    endfunction

    wire [13:0] address_A = {
        ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0
    };
    wire [17:0] in_A = {
        DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4,
        DIA3, DIA2, DIA1, DIA0
    };
    wire [13:0] address_B = {
        ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0
    };
    wire [17:0] in_B = {
        DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4,
        DIB3, DIB2, DIB1, DIB0
    };
    reg [17:0] word_A, held_A, word_B, held_B, wide, wide_held;  // `wide` is the low half of a word of 36 bits
    integer k;
    initial {word_A, held_A, word_B, held_B, wide, wide_held} = 0;

    always @(posedge CLKA) begin
        if (CEA === 1'b1) begin
            if (WEA === 1'b1) begin
                if (DATA_WIDTH_A == 36) begin
                    for (k = 0; k < 36; k = k + 1)
                        if (address_A[k/9] === 1'b1)  // enables of its four bytes
                            memory[{address_A[13:5], k >= 18}][k%18] <= k < 18 ? in_A[k] : in_B[k-18];
                end else
                for (k = 0; k < DATA_WIDTH_A; k = k + 1)
                    if (DATA_WIDTH_A < 18 || address_A[k/9] === 1'b1)  // enables of its two bytes
                        memory[address_A[13:4]][place(DATA_WIDTH_A, address_A, k)] <= in_A[k];
            end
            if (WEA !== 1'b1 || WRITEMODE_A == "READBEFOREWRITE") begin
                word_A <= narrow(DATA_WIDTH_A, address_A, memory[address_A[13:4]]);
            end
        end
        if (OCEA === 1'b1) held_A <= word_A;
    end

    always @(posedge CLKB) begin
        if (CEB === 1'b1) begin
            if (WEB === 1'b1) begin
                for (k = 0; k < DATA_WIDTH_B; k = k + 1)
                    if (DATA_WIDTH_B < 18 || address_B[k/9] === 1'b1)  // enables of its two bytes
                        memory[address_B[13:4]][place(DATA_WIDTH_B, address_B, k)] <= in_B[k];
            end
            if (WEB !== 1'b1 || WRITEMODE_B == "READBEFOREWRITE") begin
                if (DATA_WIDTH_B == 36) begin
                    wide <= memory[{address_B[13:5], 1'b0}];
                    word_B <= memory[{address_B[13:5], 1'b1}];
                end else
                word_B <= narrow(DATA_WIDTH_B, address_B, memory[address_B[13:4]]);
            end
        end
        if (OCEB === 1'b1) held_B <= word_B;
    end
    always @(posedge CLKB) if (OCEB === 1'b1) wide_held <= wide;

    wire good_A = RSTA === 1'b0 && {CSA2, CSA1, CSA0} === 3'b000 && WRITEMODE_A != "WRITETHROUGH"
        && CLKAMUX == "CLKA";
    wire good_B = RSTB === 1'b0 && {CSB2, CSB1, CSB0} === 3'b000 && WRITEMODE_B != "WRITETHROUGH"
        && CLKBMUX == "CLKB";
    wire [17:0] out_A = DATA_WIDTH_B == 36 ? (REGMODE_B == "OUTREG" ? wide_held : wide)
        : REGMODE_A == "OUTREG" ? held_A : word_A;
    wire [17:0] out_B = REGMODE_B == "OUTREG" ? held_B : word_B;
    assign {
        DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4,
        DOA3, DOA2, DOA1, DOA0
    } = good_A && (DATA_WIDTH_B < 36 || good_B) ? out_A : {18{1'bx}};
    assign {
        DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4,
        DOB3, DOB2, DOB1, DOB0
    } = good_B ? out_B : {18{1'bx}};
endmodule
`default_nettype wire
