// The bare C++ loop that benchmarks/simulation_speed.py compares the bulk mode with: no Python, no VPI, no log.
//   bare_loop IMAGES N WORDS LOGITS OUT
// IMAGES holds N images of WORDS bytes; OUT gets N x LOGITS 32-bit words as they left. One word goes in a cycle whenever
// the design takes it, the sink is always ready. Prints the clock cycles from the end of reset to the last logit.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "Vtop.h"
#include "verilated.h"

int main(int argc, char** argv) {
    if (argc < 6) return 2;
    const size_t count = std::strtoul(argv[2], nullptr, 10), words = std::strtoul(argv[3], nullptr, 10);
    const size_t logits = std::strtoul(argv[4], nullptr, 10);
    std::vector<uint8_t> images(count * words);
    std::FILE* file = std::fopen(argv[1], "rb");
    if (!file || std::fread(images.data(), 1, images.size(), file) != images.size()) return 3;
    std::fclose(file);
    std::vector<uint32_t> out;
    out.reserve(count * logits);

    VerilatedContext context;
    context.commandArgs(argc, argv);
    context.randReset(2);
    Vtop top{&context};
    top.s_axis_tvalid = 0;
    top.m_axis_tready = 1;
    top.rst = 1;
    for (int i = 0; i < 8; ++i) {
        top.clk = 0;
        top.eval();
        top.clk = 1;
        top.eval();
    }
    top.rst = 0;

    uint64_t cycles = 0;
    size_t sent = 0, word = 0;
    const uint64_t limit = 10000000ull + count * 10000000ull;
    while (out.size() < count * logits && cycles < limit) {
        const bool more = sent < images.size();
        top.s_axis_tvalid = more;
        top.s_axis_tdata = more ? images[sent] : 0;
        top.s_axis_tlast = word == words - 1;
        top.clk = 0;
        top.eval();
        if (more && top.s_axis_tready) {
            ++sent;
            word = word == words - 1 ? 0 : word + 1;
        }
        if (top.m_axis_tvalid) out.push_back(top.m_axis_tdata);
        top.clk = 1;
        top.eval();
        ++cycles;
    }
    file = std::fopen(argv[5], "wb");
    if (!file || std::fwrite(out.data(), 4, out.size(), file) != out.size()) return 4;
    std::fclose(file);
    std::printf("%llu\n", static_cast<unsigned long long>(cycles));
    return out.size() == count * logits ? 0 : 1;
}
