// An accelerator driven from C++, in one of two ways:
//
//   model soak IMAGES RESULTS COUNT SEED    COUNT results in episodes that each begin with a reset: images with random
//                                           gaps, results with back-pressure, short and long images in between, resets
//                                           in mid-image; every word is compared
//   model serve IMAGES                      commands on standard input, an answer each: what a driver in another
//                                           language is tried on; see serve()
//
// IMAGES and RESULTS are files of 32-bit little-endian integers, image after image, beat by beat and word by word. A
// design with external memory reads mem/external.bin. Run it in the bundle's folder, where ROM images are found.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>

#include "model.hpp"

namespace {

std::vector<int32_t> integers(const char *name) {
    std::ifstream file(name, std::ios::binary);
    std::vector<char> bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    if (bytes.empty()) throw std::runtime_error(std::string("cannot read ") + name);
    std::vector<int32_t> values(bytes.size() / 4);
    std::memcpy(values.data(), bytes.data(), 4 * values.size());
    return values;
}

std::vector<uint8_t> external_image() {
    if (HWPRM_EXTERNAL_BYTES == 0) return {};
    std::ifstream file("mem/external.bin", std::ios::binary);
    std::vector<uint8_t> bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    if (bytes.size() < HWPRM_EXTERNAL_BYTES) throw std::runtime_error("cannot read mem/external.bin");
    return bytes;
}

void expect(bool good, const std::string &what) {
    if (!good) throw std::runtime_error(what);
}

// Reset, see that it is the design that we know, and tell it where its memory lies.
void begin(hwprm::Model &model, const hwprm_device &device) {
    model.reset();
    expect(hwprm_check(&device) == HWPRM_OK, "the design is not that of hwprm_design.h");
    expect(hwprm_status(&device) == 0 && hwprm_frames_out(&device) == 0, "registers are not as after a reset");
    if (HWPRM_EXTERNAL_BYTES > 0) expect(hwprm_set_base(&device, model.BASE) == HWPRM_OK, "the base is refused");
}

struct Counts {
    unsigned long results = 0, resets = 0, dropped = 0;
};

// Images from one reset to the next; the last of them may be cut off by it.
void episode(hwprm::Model &model, std::mt19937_64 &random, const std::vector<int32_t> &images,
             const std::vector<int32_t> &results, Counts &counts) {
    const hwprm_device device = model.device();
    const size_t stored = images.size() / HWPRM_IMAGE_BEATS;
    begin(model, device);
    counts.resets++;
    model.set_gaps(random() % 4 != 0);
    const bool cut = random() % 3 == 0;
    const size_t count = (1 + random() % 12) * HWPRM_BATCH;
    std::vector<size_t> sent;
    uint32_t dropped = 0;
    for (size_t i = 0; i < count; i++) {
        if (random() % 8 == 0) {  // an image of another length: dropped
            size_t length = 1 + random() % (2 * HWPRM_IMAGE_BEATS);
            length += length == HWPRM_IMAGE_BEATS;
            std::vector<int32_t> wrong(length, 1);
            model.send(wrong.data(), length);
            dropped++;
        }
        sent.push_back(random() % stored);
        model.send(&images[sent.back() * HWPRM_IMAGE_BEATS], HWPRM_IMAGE_BEATS);
    }
    const size_t wanted = cut ? random() % count : count;
    uint64_t until = model.cycle() + 100000 + 400ull * (HWPRM_CYCLES + HWPRM_IMAGE_BEATS + HWPRM_EXTERNAL_BYTES);
    for (size_t i = 0; i < wanted; i++) {
        while (!model.has_result()) {
            if (random() % 500 == 0) (void)hwprm_status(&device);
            model.tick();
            expect(model.cycle() < until, "no result came");
        }
        until = model.cycle() + 100000 + 400ull * (HWPRM_CYCLES + HWPRM_IMAGE_BEATS + HWPRM_EXTERNAL_BYTES);
        const std::vector<int32_t> got = model.take();
        expect(got.size() == HWPRM_RESULT_WORDS, "a result has another length: TLAST is wrong");
        const int32_t *want = &results[sent[i] * HWPRM_RESULT_WORDS];
        expect(std::equal(got.begin(), got.end(), want), "a result is wrong");
        counts.results++;
    }
    for (size_t i = random() % 200; cut && i > 0; i--) model.tick();
    if (cut) return;
    expect(hwprm_wait(&device, uint32_t(count), 1000) == HWPRM_OK, "FRAMES_OUT is behind");
    expect(hwprm_frames_in(&device) == count && hwprm_frames_dropped(&device) == dropped, "images are counted wrong");
    expect(hwprm_cycles(&device) - hwprm_memory_stalls(&device) == HWPRM_CYCLES, "CYCLES is not what is predicted");
    expect(!model.has_result(), "a result came that belongs to no image");
    counts.dropped += dropped;
}

int soak(char **words) {
    const std::vector<int32_t> images = integers(words[0]), results = integers(words[1]);
    const unsigned long count = std::strtoul(words[2], nullptr, 10);
    std::mt19937_64 random(std::strtoull(words[3], nullptr, 10));
    hwprm::Model model(random(), external_image());
    Counts counts;
    try {
        while (counts.results < count) episode(model, random, images, results, counts);
    } catch (const std::exception &error) {
        std::fprintf(stderr, "%s: episode %lu, result %lu, cycle %llu\n", error.what(), counts.resets, counts.results,
                     static_cast<unsigned long long>(model.cycle()));
        return 1;
    }
    std::printf("{\"results\": %lu, \"resets\": %lu, \"dropped\": %lu, \"cycles\": %llu}\n", counts.results, counts.resets,
                counts.dropped, static_cast<unsigned long long>(model.cycle()));
    return 0;
}

// reset | read OFFSET | write OFFSET VALUE | send IMAGE | take | tick COUNT | base; numbers in decimal.
int serve(char **words) {
    const std::vector<int32_t> images = integers(words[0]);
    hwprm::Model model(1, external_image());
    std::string command;
    while (std::cin >> command) {
        uint64_t first = 0, second = 0;
        if (command == "reset") {
            model.reset();
        } else if (command == "read" && std::cin >> first) {
            std::cout << model.read32(uint32_t(first));
        } else if (command == "write" && std::cin >> first >> second) {
            model.write32(uint32_t(first), uint32_t(second));
        } else if (command == "send" && std::cin >> first) {
            model.send(&images.at(first * HWPRM_IMAGE_BEATS), HWPRM_IMAGE_BEATS);
        } else if (command == "tick" && std::cin >> first) {
            while (first-- > 0) model.tick();
        } else if (command == "take") {
            if (model.has_result())
                for (int32_t word : model.take()) std::cout << word << ' ';
        } else if (command == "base") {
            std::cout << model.BASE;
        } else {
            return 2;
        }
        std::cout << std::endl;
    }
    return 0;
}

}  // namespace

int main(int count, char **words) {
    const std::string mode = count > 1 ? words[1] : "";
    try {
        if (mode == "soak" && count == 6) return soak(words + 2);
        if (mode == "serve" && count == 3) return serve(words + 2);
    } catch (const std::exception &error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
    std::fprintf(stderr, "usage: model soak IMAGES RESULTS COUNT SEED | model serve IMAGES\n");
    return 2;
}
