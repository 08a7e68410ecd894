// Main program of a bundle's testbench under Verilator: moves the clocks of tb_hwprm.v and lets cocotb in.
//
// Edges come at the times that tb_hwprm.v gives them, and the order within a time step is that of cocotb's own main
// program. Delays in Verilog would cost more than a small design does, and so would looking for callbacks of cocotb in
// cycles in which there can be none: while py_enable is low it wakes for `progress` and for timers alone.
#include <cstdint>
#include <memory>

#include "Vtop.h"
#include "verilated.h"
#include "verilated_sym_props.h"
#include "verilated_vpi.h"

extern "C" void vlog_startup_routines_bootstrap(void);

namespace {

constexpr uint64_t NANOSECOND = 1000, NEVER = ~0ULL;

uint64_t now = 0;  // picoseconds
std::unique_ptr<Vtop> top;

template <typename Word>
volatile Word& signal_of(const char* name) {
    const VerilatedScope* const scope = Verilated::scopeFind("tb_hwprm");
    const VerilatedVar* const var = scope ? scope->varFind(name) : nullptr;
    if (!var) VL_FATAL_MT(__FILE__, __LINE__, "", name);
    return *static_cast<Word*>(var->datap());
}

void settle() {
    while (VerilatedVpi::callValueCbs()) {}
}

// All that happens at one time.
void step() {
    do {
        do {
            top->eval();
            VerilatedVpi::clearEvalNeeded();
            VerilatedVpi::doInertialPuts();
            settle();
        } while (VerilatedVpi::evalNeeded());
        VerilatedVpi::callCbs(cbReadWriteSynch);
        VerilatedVpi::doInertialPuts();
        settle();
    } while (VerilatedVpi::evalNeeded());
    VerilatedVpi::callCbs(cbReadOnlySynch);
}

void advance(uint64_t time) {
    now = time;
    VerilatedVpi::callCbs(cbNextSimTime);
    settle();
    VerilatedVpi::callTimedCbs();
    settle();
}

// Let time pass until `time`, with every timer before.
void pass(uint64_t time) {
    for (uint64_t due; !Verilated::gotFinish() && (due = VerilatedVpi::cbNextDeadline()) < time;) {
        advance(due);
        step();
    }
    if (!Verilated::gotFinish()) advance(time);
}

void edge(uint64_t time, volatile CData& clock, CData level) {
    pass(time);
    if (Verilated::gotFinish()) return;
    clock = level;
    step();
}

void run() {
    volatile CData &clk = signal_of<CData>("clk"), &py_clk = signal_of<CData>("py_clk");
    const volatile CData& py_enable = signal_of<CData>("py_enable");
    const volatile IData& progress = signal_of<IData>("progress");
    step();
    for (uint64_t cycle = 0; !Verilated::gotFinish(); cycle += 10 * NANOSECOND) {
        if (py_enable) {
            edge(cycle + 4 * NANOSECOND, py_clk, 1);
            edge(cycle + 5 * NANOSECOND, clk, 1);
            py_clk = 0;
            edge(cycle + 10 * NANOSECOND, clk, 0);
            continue;
        }
        const uint64_t due = VerilatedVpi::cbNextDeadline();
        const IData before = progress;
        while (cycle + 10 * NANOSECOND < due && progress == before && !Verilated::gotFinish()) {
            clk = 1;
            now = cycle + 5 * NANOSECOND;
            top->eval();
            if (progress != before) break;
            clk = 0;
            cycle += 10 * NANOSECOND;
            now = cycle;
            top->eval();
        }
        if (Verilated::gotFinish()) return;
        edge(cycle + 5 * NANOSECOND, clk, 1);
        edge(cycle + 10 * NANOSECOND, clk, 0);
    }
}

}  // namespace

// What Verilog's $time and cocotb ask for.
double sc_time_stamp() { return static_cast<double>(now); }

int main(int argc, char** argv) {
    Verilated::commandArgs(argc, argv);
    top = std::make_unique<Vtop>("");
    Verilated::fatalOnVpiError(false);  // cocotb tries what a simulator may not have
    vlog_startup_routines_bootstrap();
    VerilatedVpi::callCbs(cbStartOfSimulation);
    settle();
    run();
    top->final();
    VerilatedVpi::callCbs(cbEndOfSimulation);
    const bool failed = Verilated::threadContextp()->errorCount() > 0;
    top.reset();  // before Verilator's own statics
    return failed;
}
