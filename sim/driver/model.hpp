// A Verilated hwprm_top with a driver on every bus: queues for images and results, registers, external memory.
//
// This is how the accelerator is driven from C++; main.cpp is an example of its use. All of a cycle happens in tick():
// outputs are looked at just before the rising edge, inputs change just behind it, as registers around the design would.
#pragma once

#include <cstdint>
#include <cstring>
#include <deque>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "Vhwprm_top.h"
#include "verilated.h"

extern "C" {
#include "hwprm_driver.h"
}

namespace hwprm {

// Pauses of a bus: single cycles, runs, and stretches at full speed.
class Gaps {
public:
    explicit Gaps(uint64_t seed) : random_(seed) {}
    // Whether this cycle is a pause; never while it is not `on`.
    bool pause(bool on) {
        if (!on) return false;
        if (left_ == 0) {
            static const unsigned likely[4] = {0, 10, 50, 90};
            left_ = 1 + random_() % 60;
            percent_ = likely[random_() % 4];
        }
        left_--;
        return random_() % 100 < percent_;
    }

private:
    std::mt19937_64 random_;
    unsigned left_ = 0, percent_ = 0;
};

// What stands on s_axis: a beat, and whether it is the last of its image.
struct Beat {
    uint32_t data;
    bool last;
};

class Model {
public:
    Model(uint64_t seed, std::vector<uint8_t> memory)
        : memory_(std::move(memory)), source_(seed), sink_(seed + 1), answers_(seed + 2) {
        top_.clk = 0;
        reset();
    }

    // With gaps images pause, results are not taken at once, and memory answers late.
    void set_gaps(bool on) { gaps_ = on; }

    // Hold reset for 8 cycles; what was under way is lost on both sides.
    void reset() {
        beats_.clear();
        words_.clear();
        bursts_.clear();
        at_ = 0;
        top_.s_axis_tvalid = top_.m_axis_tready = 0;
        top_.s_axil_awvalid = top_.s_axil_wvalid = top_.s_axil_bready = 0;
        top_.s_axil_arvalid = top_.s_axil_rready = 0;
        top_.s_axil_awprot = top_.s_axil_arprot = 0;
        quiet_memory();
        top_.rst = 1;
        for (int i = 0; i < 8; i++) tick();
        top_.rst = 0;
    }

    // Queue an image, `values` one a beat; fewer or more than the design takes make it drop the image.
    void send(const int32_t *values, size_t count) {
        for (size_t i = 0; i < count; i++) beats_.push_back({uint32_t(values[i]), i + 1 == count});
    }

    // Whether a whole result has come; take() hands it over.
    bool has_result() const { return results_ > 0; }
    std::vector<int32_t> take() {
        std::vector<int32_t> result;
        bool last = false;
        while (!last) {
            result.push_back(int32_t(words_.front().data));
            last = words_.front().last;
            words_.pop_front();
        }
        results_--;
        return result;
    }

    uint32_t read32(uint32_t offset) {
        top_.s_axil_araddr = offset;
        top_.s_axil_arvalid = top_.s_axil_rready = 1;
        const uint64_t until = cycle_ + LATE;
        bool asked = false, answered = false;
        uint32_t value = 0;
        while (!answered) {
            top_.eval();
            const bool taken = top_.s_axil_arvalid && top_.s_axil_arready;
            answered = top_.s_axil_rvalid && top_.s_axil_rready;
            if (answered) value = top_.s_axil_rdata;
            if (answered && top_.s_axil_rresp) throw std::runtime_error("a register answered a read with an error");
            asked |= taken;
            tick();
            top_.s_axil_arvalid = !asked;
            if (cycle_ > until) throw std::runtime_error("a register did not answer a read");
        }
        top_.s_axil_rready = 0;
        return value;
    }

    void write32(uint32_t offset, uint32_t value) {
        top_.s_axil_awaddr = offset;
        top_.s_axil_wdata = value;
        top_.s_axil_wstrb = 15;
        top_.s_axil_awvalid = top_.s_axil_wvalid = top_.s_axil_bready = 1;
        const uint64_t until = cycle_ + LATE;
        bool answered = false;
        while (!answered) {
            top_.eval();
            const bool address = top_.s_axil_awvalid && top_.s_axil_awready;
            const bool data = top_.s_axil_wvalid && top_.s_axil_wready;
            answered = top_.s_axil_bvalid && top_.s_axil_bready;
            if (answered && top_.s_axil_bresp) throw std::runtime_error("a register answered a write with an error");
            tick();
            if (address) top_.s_axil_awvalid = 0;
            if (data) top_.s_axil_wvalid = 0;
            if (cycle_ > until) throw std::runtime_error("a register did not answer a write");
        }
        top_.s_axil_bready = 0;
    }

    // One clock cycle of everything.
    void tick() {
        offer();
        top_.eval();
        check_offers();
        const bool taken = top_.s_axis_tvalid && top_.s_axis_tready && !top_.rst;
        const bool came = top_.m_axis_tvalid && top_.m_axis_tready && !top_.rst;
        if (came) {
            words_.push_back({top_.m_axis_tdata, bool(top_.m_axis_tlast)});
            results_ += top_.m_axis_tlast;
        }
        look_at_memory();
        top_.clk = 1;
        top_.eval();
        top_.clk = 0;
        top_.eval();
        cycle_++;
        if (taken) {
            beats_.pop_front();
            top_.s_axis_tvalid = 0;
        }
        move_memory();
        if (top_.rst) words_.clear(), results_ = 0;
    }

    uint64_t cycle() const { return cycle_; }

    // The C driver's way to the registers.
    hwprm_device device() {
        return {this, [](void *self, uint32_t offset) { return static_cast<Model *>(self)->read32(offset); },
                [](void *self, uint32_t offset, uint32_t value) { static_cast<Model *>(self)->write32(offset, value); }};
    }

private:
    static constexpr uint64_t LATE = 10000;

    // An image's beat stands until it is taken; a result is taken where there is no pause.
    void offer() {
        if (!top_.s_axis_tvalid && !beats_.empty() && !top_.rst && !source_.pause(gaps_)) {
            top_.s_axis_tvalid = 1;
            top_.s_axis_tdata = beats_.front().data & ((1ull << (8 * HWPRM_BEAT_BYTES)) - 1);
            top_.s_axis_tlast = beats_.front().last;
        }
        top_.m_axis_tready = !sink_.pause(gaps_);
    }

    // A word that was offered and not taken is offered unchanged.
    void check_offers() {
        if (waiting_ && (!top_.m_axis_tvalid || top_.m_axis_tdata != offered_.data || top_.m_axis_tlast != offered_.last))
            throw std::runtime_error("m_axis does not hold what it offers until it is taken");
        waiting_ = top_.m_axis_tvalid && !top_.m_axis_tready && !top_.rst;
        offered_ = {top_.m_axis_tdata, bool(top_.m_axis_tlast)};
    }

#if HWPRM_EXTERNAL_BYTES > 0
    void quiet_memory() { top_.m_axi_arready = top_.m_axi_rvalid = top_.m_axi_rresp = top_.m_axi_rlast = 0; }

    // Sampled before the edge, as the design does.
    void look_at_memory() {
        address_taken_ = top_.m_axi_arvalid && top_.m_axi_arready && !top_.rst;
        beat_taken_ = top_.m_axi_rvalid && top_.m_axi_rready && !top_.rst;
        address_ = top_.m_axi_araddr;
    }

    // Addresses are taken and beats come in order, both with pauses.
    void move_memory() {
        const size_t bytes = size_t(1) << top_.m_axi_arsize;
        if (address_taken_) bursts_.push_back({address_, size_t(top_.m_axi_arlen) + 1});
        if (beat_taken_) {
            top_.m_axi_rvalid = 0;
            if (++at_ == bursts_.front().beats) bursts_.pop_front(), at_ = 0;
        }
        top_.m_axi_arready = bursts_.size() < 8 && !answers_.pause(gaps_);
        if (!top_.m_axi_rvalid && !bursts_.empty() && !answers_.pause(gaps_)) {
            const size_t place = size_t(bursts_.front().address - BASE) + at_ * bytes;
            std::vector<uint8_t> beat(sizeof top_.m_axi_rdata, 0);
            if (place + bytes > memory_.size()) throw std::runtime_error("memory is read behind the image");
            std::memcpy(beat.data(), &memory_[place], bytes);
            std::memcpy(&top_.m_axi_rdata, beat.data(), sizeof top_.m_axi_rdata);
            top_.m_axi_rlast = at_ + 1 == bursts_.front().beats;
            top_.m_axi_rvalid = 1;
        }
    }
    bool address_taken_ = false, beat_taken_ = false;
    uint64_t address_ = 0;
#else
    void quiet_memory() {}
    void look_at_memory() {}
    void move_memory() {}
#endif

public:
    // Where the external image lies: above the first 4 GiB.
    static constexpr uint64_t BASE = 0x140000000ull;

private:
    struct Burst {
        uint64_t address;
        size_t beats;
    };
    Vhwprm_top top_;
    std::vector<uint8_t> memory_;
    Gaps source_, sink_, answers_;
    std::deque<Beat> beats_, words_;
    std::deque<Burst> bursts_;
    size_t at_ = 0, results_ = 0;
    uint64_t cycle_ = 0;
    bool gaps_ = false, waiting_ = false;
    Beat offered_ = {0, false};
};

}  // namespace hwprm
