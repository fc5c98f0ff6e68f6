/* Sums of log(p + s) over rows, for each member of a pool: the inner loop of greedy selection by log loss.
 *
 * A sum of logarithms is the logarithm of a product. Sixteen running products go side by side; after sixteen factors each, which a
 * double holds, their exponents are set aside as whole numbers. The order of all operations is fixed, so the bits are the same for any
 * vector width. Plain C called through ctypes by log_sums.py, which computes the same with NumPy. */

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#define CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define CLONES
#endif

/* eight numbers side by side; the compiler splits them where the processor has narrower registers */
typedef double Reals __attribute__((vector_size(64)));
typedef float Floats __attribute__((vector_size(32)));
typedef int64_t Bits __attribute__((vector_size(64)));

enum { WIDTH = 8, LANES = 2 * WIDTH, FACTORS = 16, STEP = LANES * FACTORS, BLOCK = 8 * STEP };

static inline __attribute__((always_inline)) Reals load_f64(const double *p) {
    Reals x;
    memcpy(&x, p, sizeof x);
    return x;
}

static inline __attribute__((always_inline)) Reals load_f32(const float *p) {
    Floats x;
    memcpy(&x, p, sizeof x);
    return __builtin_convertvector(x, Reals);
}

static inline __attribute__((always_inline)) Reals at_least(Reals x, Reals least) {
    Bits over = x > least;
    return (Reals)(((Bits)x & over) | ((Bits)least & ~over));
}

/* product holds numbers in [1, 2) afterwards; what they lost is counted in exponent */
static inline __attribute__((always_inline)) void set_aside(Reals *product, Bits *exponent) {
    Bits bits = (Bits)*product;
    *exponent += (bits >> 52) - 1023;
    *product = (Reals)((bits & 0xFFFFFFFFFFFFF) | 0x3FF0000000000000);
}

/* out[j] += sum over i of log(max(p[j * stride + i] + s[i], least)) */
#define LOG_SUMS(NAME, REAL, LOAD)                                                                       \
    CLONES void NAME(const REAL *p, int64_t members, int64_t stride, const double *s, int64_t n,         \
                     double least, double *out) {                                                        \
        const Reals floor = {least, least, least, least, least, least, least, least};                    \
        for (int64_t from = 0; from < n; from += BLOCK) {                                                \
            int64_t count = n - from < BLOCK ? n - from : BLOCK, whole = count - count % STEP;           \
            for (int64_t j = 0; j < members; j++) {                                                      \
                const REAL *row = p + j * stride + from;                                                 \
                Reals one = {1, 1, 1, 1, 1, 1, 1, 1}, first = one, second = one;                         \
                Bits up = {0}, down = {0};                                                               \
                double sum = 0;                                                                          \
                int64_t powers = 0;                                                                      \
                for (int64_t i = 0; i < whole; i += STEP) {                                              \
                    for (int64_t k = i; k < i + STEP; k += LANES) {                                      \
                        first *= at_least(LOAD(row + k) + load_f64(s + from + k), floor);                \
                        second *= at_least(LOAD(row + k + WIDTH) + load_f64(s + from + k + WIDTH), floor); \
                    }                                                                                    \
                    set_aside(&first, &up);                                                              \
                    set_aside(&second, &down);                                                           \
                }                                                                                        \
                for (int l = 0; l < WIDTH; l++) {                                                        \
                    powers += up[l] + down[l];                                                           \
                    sum += log(first[l]) + log(second[l]);                                               \
                }                                                                                        \
                for (int64_t i = whole; i < count; i++) {                                                \
                    double x = (double)row[i] + s[from + i];                                             \
                    sum += log(x > least ? x : least);                                                   \
                }                                                                                        \
                out[j] += sum + (double)powers * 0.69314718055994530942;                                 \
            }                                                                                            \
        }                                                                                                \
    }

LOG_SUMS(log_sums_f32, float, load_f32)
LOG_SUMS(log_sums_f64, double, load_f64)
