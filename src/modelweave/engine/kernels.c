/* The inner loops of modelweave: decode, measure, select, vote, sum, encode, one cache-sized block at a time.
 *
 * Plain C called through ctypes, without the interpreter's lock. kernels.py describes each function and is the only caller;
 * torch_kernels.py computes the same with torch, for other devices and as the reference in the tests. */

#define _POSIX_C_SOURCE 200809L
#define _FILE_OFFSET_BITS 64

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifndef _WIN32
#include <unistd.h>
#endif

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#define CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#define WITH_AVX512
#include <immintrin.h>
#else
#define CLONES
#endif

#ifdef __GNUC__
#define INLINE inline __attribute__((always_inline))
#else
#define INLINE inline
#endif

#ifdef _WIN32
#define EXPORT __declspec(dllexport)
EXPORT void *PyInit__kernels(void) { return 0; } /* the linker asks for it; nothing imports this library */
#else
#define EXPORT
#endif

enum { BLOCK = 1024, GROUP = 4, STRIP = 256 };
enum { T_F64, T_F32, T_F16, T_BF16, T_F8_E4M3, T_F8_E5M2 };
enum { KEEP_ALL, KEEP_WINDOW, KEEP_CHANCE, KEEP_BITS };
enum { F_ADD, F_SUBTRACT, F_MULTIPLY, F_DIVIDE, F_MAXIMUM, F_MINIMUM, F_GREATER, F_AT_LEAST, F_WHERE, F_ABS, F_SIGN, F_FLOOR, F_EXP, F_TANH, F_ROUNDED };
static const long SIZE[] = {8, 4, 2, 2, 1, 1};
static float e4m3[256], e5m2[256];

/* Elements in memory, or in a file: then `data` is a window of `room` bytes, which holds the elements [from, upto). */
typedef struct {
    char *data;
    int64_t dtype, file, offset, room;
    int64_t from, upto;
} Source;

/* A run of `count` elements of n inputs and, after them, of the base. failed: whether a file could not be read. */
typedef struct {
    int64_t count, n, has_base, failed;
    Source *source;
} Inputs;

/* Where results go, in order: to memory, or through a window that holds `held` of them to a file. */
typedef struct {
    char *data;
    int64_t dtype, file, offset, room;
    int64_t held, error;
} Output;

typedef struct {
    int64_t input;
    uint64_t lo, width;
    int64_t shift;
} Query;

typedef struct {
    int64_t kind;
    uint64_t lo, hi;
    int64_t lo_quota, hi_quota;
    uint32_t key0, key1, below, unused;
    uint8_t *bits;
    uint64_t bits_from;
    double factor, voice, weight, share;
} Selection;

typedef struct {
    int64_t elect, divide, add_base;
    double zero_sign, floor, divisor, scale;
} Election;

typedef struct {
    int32_t operation, out, a, b, c;
} Step;

/* Registers, by number: the inputs, the base, the row's value, constants, temporaries. rows: a value for each `row` entries, or NULL. */
typedef struct {
    int64_t wide, n_steps, n_constants, n_temporaries, n_results, row;
    const Step *steps;
    const double *constants;
    const int32_t *results;
    const double *rows;
} Formula;

#ifdef _WIN32
static long transfer(int writing, int64_t file, char *data, int64_t size, int64_t offset) { return ENOSYS; }
#else
/* Read or write all of it. Returns 0, the system's error, or -1 at the end of the file. */
static long transfer(int writing, int64_t file, char *data, int64_t size, int64_t offset) {
    while (size > 0) {
        ssize_t moved = writing ? pwrite((int)file, data, (size_t)size, (off_t)offset) : pread((int)file, data, (size_t)size, (off_t)offset);
        if (moved < 0 && errno == EINTR) continue;
        if (moved <= 0) return moved < 0 ? errno : -1;
        data += moved, size -= moved, offset += moved;
    }
    return 0;
}
#endif

/* The elements from `at` on, n of them at least; n is at most BLOCK. */
static const char *elements(Inputs *in, Source *s, int64_t at, int64_t n) {
    int64_t size = SIZE[s->dtype];
    if (s->file >= 0 && at + n > s->upto) {
        int64_t most = s->room / size, left = in->count - at;
        s->from = at, s->upto = at + (left < most ? left : most);
        in->failed |= transfer(0, s->file, s->data, (s->upto - at) * size, s->offset + at * size) != 0;
    }
    return s->data + (at - s->from) * size;
}

static void flush(Output *out) {
    if (out->file < 0 || !out->held) return;
    int64_t size = out->held * SIZE[out->dtype];
    if (!out->error) out->error = transfer(1, out->file, out->data, size, out->offset);
    out->offset += size, out->held = 0;
}

/* Where the next n results go; n is at most BLOCK. */
static char *room_for(Output *out, int64_t n) {
    int64_t size = SIZE[out->dtype];
    if (out->file >= 0 && (out->held + n) * size > out->room) flush(out);
    out->held += n;
    return out->data + (out->held - n) * size;
}

static inline float float_of_bits(uint32_t u) {
    float f;
    memcpy(&f, &u, 4);
    return f;
}

static inline uint32_t bits_of_float(float f) {
    uint32_t u;
    memcpy(&u, &f, 4);
    return u;
}

static inline uint64_t bits_of_double(double f) {
    uint64_t u;
    memcpy(&u, &f, 8);
    return u;
}

/* A number of the same order as the value rounded to float32; both zeros are one. */
static inline uint32_t key_of(double value) {
    uint32_t u = bits_of_float((float)value + 0.0f);
    return u & 0x80000000u ? ~u : u | 0x80000000u;
}

static inline double double_of_bits(uint64_t u) {
    double f;
    memcpy(&f, &u, 8);
    return f;
}

/* e^x - 1 = 2^k (1 + p) - 1 with e^r = 1 + p: x = k ln 2 + r, abs(r) <= ln 2 / 2. Returns p and sets *scale to 2^k, x within -708 and 709.
 * Only sums and products, so that every processor and every vector length finds the same bits. */
static INLINE double exp_parts(double x, double *scale) {
    const double magic = 0x1.8p52, t = x * 0x1.71547652b82fep+0 + magic, k = t - magic;
    const double r = (x - k * 0x1.62e42feep-1) - k * 0x1.a39ef35793c76p-33, q = r * r, qq = q * q;
    const double low = (1.0 / 2 + r * (1.0 / 6)) + q * (1.0 / 24 + r * (1.0 / 120));
    const double middle = (1.0 / 720 + r * (1.0 / 5040)) + q * (1.0 / 40320 + r * (1.0 / 362880));
    const double high = (1.0 / 3628800 + r * (1.0 / 39916800)) + q * (1.0 / 479001600 + r * (1.0 / 6227020800));
    *scale = double_of_bits((bits_of_double(t) - bits_of_double(magic) + 1023) << 52);
    return r + q * (low + qq * (middle + qq * high));
}

/* Within two units in the last place (tanh_of: six); 0 below -708 and infinite above 709. */
static INLINE double exp_of(double x) {
    double scale, inside = x < -708 ? -708 : x > 709 ? 709 : x, p = exp_parts(inside, &scale), y = scale + scale * p;
    return x < -708 ? 0 : x > 709 ? (double)INFINITY : y;
}

/* (1 - e^(-2 abs(x))) / (1 + e^(-2 abs(x))), with the sign of x. */
static INLINE double tanh_of_any(double x) {
    double scale, size = fabs(x), p = exp_parts(size > 20 ? -40 : -2 * size, &scale), less = scale * p + (scale - 1), y = -less / (less + 2);
    return x < 0 ? -y : x > 0 ? y : x;
}

/* The same by its series, up to abs(x) = SMALL. */
static INLINE double tanh_of_small(double x) {
    double q = x * x, qq = q * q;
    return x + x * q * ((-1.0 / 3 + q * (2.0 / 15)) + qq * ((-17.0 / 315 + q * (62.0 / 2835)) + qq * (-1382.0 / 155925)));
}
#define SMALL 0.03125

/* Exact for every half, subnormals included: shift the exponent into place and scale by 2^112. */
static inline float float_of_half(uint16_t h) {
    uint32_t magnitude = (uint32_t)(h & 0x7fff) << 13;
    float scaled = float_of_bits(magnitude) * 0x1p112f;
    uint32_t u = magnitude >= 0x0f800000u ? magnitude | 0x7f800000u : bits_of_float(scaled);
    return float_of_bits(u | (uint32_t)(h & 0x8000) << 16);
}

/* Round to nearest, ties to even. */
static inline uint16_t half_of_float(float f) {
    uint32_t u = bits_of_float(f), sign = u >> 16 & 0x8000u, a = u & 0x7fffffffu;
    uint32_t normal = (a - (112u << 23) + 0xfffu + (a >> 13 & 1)) >> 13;
    uint32_t tiny = bits_of_float(float_of_bits(a) + 0.5f) - bits_of_float(0.5f);
    uint32_t h = a < 0x38800000u ? tiny : normal;
    h = a >= 0x477ff000u ? 0x7c00u : h;
    h = a > 0x7f800000u ? 0x7e00u : h;
    return (uint16_t)(h | sign);
}

static inline uint16_t bfloat_of_float(float f) {
    uint32_t u = bits_of_float(f);
    uint32_t rounded = (u + 0x7fffu + (u >> 16 & 1)) >> 16;
    return (uint16_t)((u & 0x7fffffffu) > 0x7f800000u ? 0x7fc0u : rounded);
}

/* Counter-based randomness: an avalanche of the place with the keys in its midst, the same for any order of work. */
static inline uint32_t mix(uint32_t x, uint32_t key) {
    x ^= x >> 16;
    x *= 0x7feb352du;
    x ^= x >> 15;
    x += key;
    x *= 0x846ca68bu;
    x ^= x >> 16;
    return x;
}

static inline uint32_t draw(uint32_t place, uint32_t key0, uint32_t key1) { return mix(place ^ key0, key1) >> 8; }

/* Over fixed lanes. */
CLONES static double sum_of(const double *restrict x, long n) {
    double lane[16] = {0}, sum = 0;
    long k = 0;
    for (; k + 16 <= n; k += 16)
        for (int l = 0; l < 16; l++) lane[l] += x[k + l];
    for (; k < n; k++) lane[k & 15] += x[k];
    for (int l = 0; l < 16; l++) sum += lane[l];
    return sum;
}

static void pack_bits(const uint8_t *keep, long n, uint8_t *bits, uint64_t from) {
    long k = 0;
    if ((from & 7) == 0)
        for (; k + 8 <= n; k += 8) { /* eight 0/1 bytes gathered into the top byte of a product */
            uint64_t eight;
            memcpy(&eight, keep + k, 8);
            bits[(from + (uint64_t)k) >> 3] = (uint8_t)(eight * 0x0102040810204080ull >> 56);
        }
    for (; k < n; k++) {
        uint64_t p = from + (uint64_t)k;
        bits[p >> 3] = (uint8_t)(bits[p >> 3] | keep[k] << (p & 7));
    }
}

/* Set the bits of the places where one of n results' keys is at least its least. */
CLONES static void mark_reached(const uint32_t *restrict keys, long n, long len, const uint32_t *least, uint8_t *bits, uint64_t from) {
    uint8_t keep[BLOCK] = {0};
    for (long j = 0; j < n; j++)
        for (long k = 0; k < len; k++) keep[k] |= keys[j * BLOCK + k] >= least[j];
    pack_bits(keep, len, bits, from);
}

static float small_float(int byte, int exponent_bits, int mantissa_bits, int ieee) {
    int bias = (1 << (exponent_bits - 1)) - 1, e = byte >> mantissa_bits & ((1 << exponent_bits) - 1), m = byte & ((1 << mantissa_bits) - 1);
    float sign = byte & 0x80 ? -1.0f : 1.0f;
    if (ieee && e == (1 << exponent_bits) - 1) return m ? NAN : sign * INFINITY;
    if (!ieee && (byte & 0x7f) == 0x7f) return NAN;
    if (e == 0) return sign * ldexpf((float)m, 1 - bias - mantissa_bits);
    return sign * ldexpf((float)(m + (1 << mantissa_bits)), e - bias - mantissa_bits);
}

/* Counted up with every change of a signature or of a record that Python fills: kernels.py has the same number. */
EXPORT int mw_interface(void) { return 1; }

EXPORT void mw_prepare(void) {
    for (int byte = 0; byte < 256; byte++) {
        e4m3[byte] = small_float(byte, 4, 3, 0);
        e5m2[byte] = small_float(byte, 5, 2, 1);
    }
}

static long pick_plain_f(const float *x, long n, uint32_t lo, uint32_t width, uint32_t *picked, uint16_t *where, uint64_t *below);
static void keep_bits_plain_f(float *x, long n, const uint8_t *bits, uint64_t from);

static void set_constants_d(const Formula *f, long leaves, double *registers);
static void set_rows_d(const Formula *f, uint64_t place, double *restrict out, long n);
static void take_steps_d(const Formula *f, double *registers, long n);

#ifdef WITH_AVX512
/* What pick_plain does, sixteen at a time; with_places is a constant, so that the loop is compiled without the places too. */
__attribute__((target("avx512f"), always_inline)) static inline long pick_sixteen(const float *x, long n, uint32_t lo, uint32_t width,
                                                                                   uint32_t *picked, uint16_t *where, uint64_t *below,
                                                                                   const int with_places) {
    const __m512i sign = _mm512_set1_epi32(0x7fffffff), base = _mm512_set1_epi32((int)lo), span = _mm512_set1_epi32((int)width);
    long m = 0, k = 0;
    uint64_t smaller = 0;
    for (; k + 16 <= n; k += 16) {
        __m512i magnitude = _mm512_and_si512(_mm512_loadu_si512(x + k), sign), u = _mm512_sub_epi32(magnitude, base);
        __mmask16 inside = _mm512_cmplt_epu32_mask(u, span);
        _mm512_storeu_si512(picked + m, _mm512_maskz_compress_epi32(inside, u));
        if (with_places)
            for (uint32_t left = inside, j = (uint32_t)m; left; left &= left - 1) where[j++] = (uint16_t)(k + __builtin_ctz(left));
        m += __builtin_popcount(inside);
        smaller += (uint64_t)__builtin_popcount(_mm512_cmplt_epu32_mask(magnitude, base));
    }
    *below += smaller;
    long rest = pick_plain_f(x + k, n - k, lo, width, picked + m, with_places ? where + m : NULL, below);
    for (long j = m; with_places && j < m + rest; j++) where[j] = (uint16_t)(where[j] + k);
    return m + rest;
}

__attribute__((target("avx512f"))) static long pick_avx512(const float *x, long n, uint32_t lo, uint32_t width, uint32_t *picked, uint16_t *where,
                                                            uint64_t *below) {
    return where ? pick_sixteen(x, n, lo, width, picked, where, below, 1) : pick_sixteen(x, n, lo, width, picked, NULL, below, 0);
}

/* What keep_bits_plain does, sixteen at a time. */
__attribute__((target("avx512f"))) static void keep_bits_avx512(float *x, long n, const uint8_t *bits, uint64_t from) {
    long k = 0;
    for (; (from & 7) == 0 && k + 16 <= n; k += 16) {
        uint16_t keep;
        memcpy(&keep, bits + ((from + (uint64_t)k) >> 3), 2);
        _mm512_storeu_ps(x + k, _mm512_maskz_loadu_ps(keep, x + k));
    }
    keep_bits_plain_f(x + k, n - k, bits, from + (uint64_t)k);
}
#define KEEP_BITS_FLOAT (__builtin_cpu_supports("avx512f") ? keep_bits_avx512 : keep_bits_plain_f)
#define PICK_FLOAT (__builtin_cpu_supports("avx512f") ? pick_avx512 : pick_plain_f)
#else
#define PICK_FLOAT pick_plain_f
#define KEEP_BITS_FLOAT keep_bits_plain_f
#endif

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define NAME(f) JOIN(f, SUFFIX)

#define REAL float
#define ABS fabsf
#define UINT uint32_t
#define INT int32_t
#define ABS_MASK 0x7fffffffu
#define INF_BITS 0x7f800000u
#define SUFFIX _f
#define PICK PICK_FLOAT
#define KEEP_THE_BITS KEEP_BITS_FLOAT
#include "kernels_real.h"
#undef REAL
#undef ABS
#undef UINT
#undef INT
#undef ABS_MASK
#undef INF_BITS
#undef SUFFIX
#undef PICK
#undef KEEP_THE_BITS

#define REAL double
#define ABS fabs
#define UINT uint64_t
#define INT int64_t
#define ABS_MASK 0x7fffffffffffffffull
#define INF_BITS 0x7ff0000000000000ull
#define SUFFIX _d
#define PICK pick_plain_d
#define KEEP_THE_BITS keep_bits_plain_d
#include "kernels_real.h"
