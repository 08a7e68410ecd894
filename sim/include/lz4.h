/* The two functions of lz4 that Verilator's FST writer calls, so that waveforms need no development package.
 * The output is a valid LZ4 block that holds everything as one literal run: nothing gets smaller. */
#ifndef HWPRM_LZ4_H
#define HWPRM_LZ4_H
#include <string.h>

static inline int LZ4_compressBound(int size) { return size + size / 255 + 16; }

static inline int LZ4_compress_default(const char* source, char* target, int size, int capacity) {
    if (capacity < LZ4_compressBound(size)) return 0;
    unsigned char* out = (unsigned char*)target;
    if (size < 15) {
        *out++ = (unsigned char)(size << 4);
    } else {
        int rest = size - 15;
        *out++ = 15 << 4;
        for (; rest >= 255; rest -= 255) *out++ = 255;
        *out++ = (unsigned char)rest;
    }
    if (size) memcpy(out, source, (size_t)size);
    return (int)(out - (unsigned char*)target) + size;
}
#endif
