/* The two functions of zlib that Verilator's FST writer calls, so that waveforms need no development package.
 * The output is a valid zlib stream of stored blocks: nothing gets smaller. */
#ifndef HWPRM_ZLIB_H
#define HWPRM_ZLIB_H
#include <string.h>

typedef unsigned char Bytef;
typedef unsigned long uLong;
typedef unsigned long uLongf;
#define Z_OK 0
#define Z_BUF_ERROR (-5)

static inline uLong compressBound(uLong size) { return size + 5 * (size / 65535 + 1) + 6; }

static inline int compress2(Bytef* target, uLongf* capacity, const Bytef* source, uLong size, int level) {
    (void)level;
    if (*capacity < compressBound(size)) return Z_BUF_ERROR;
    Bytef* out = target;
    *out++ = 0x78;
    *out++ = 0x01;
    uLong low = 1, high = 0, at = 0;
    do {
        const uLong part = size - at < 65535 ? size - at : 65535;
        *out++ = at + part == size;  /* last block; type 0, stored */
        *out++ = (Bytef)(part & 255);
        *out++ = (Bytef)(part >> 8);
        *out++ = (Bytef)(~part & 255);
        *out++ = (Bytef)((~part >> 8) & 255);
        if (part) memcpy(out, source + at, part);
        out += part;
        for (uLong i = at; i < at + part; ++i) {
            low = (low + source[i]) % 65521;
            high = (high + low) % 65521;
        }
        at += part;
    } while (at < size);
    *out++ = (Bytef)(high >> 8);
    *out++ = (Bytef)(high & 255);
    *out++ = (Bytef)(low >> 8);
    *out++ = (Bytef)(low & 255);
    *capacity = (uLongf)(out - target);
    return Z_OK;
}
#endif
