/* The kernels for one working type. Included twice by kernels.c: REAL float with UINT uint32_t, and REAL double with uint64_t.
 * Every element is computed by the same operations in the same order whatever the chunk, the thread or the processor,
 * so results are the same to the last bit; sums are accumulated over fixed lanes and blocks, in double but for the first few values of a lane. */

#include "formulas.h"

static inline UINT NAME(magnitude)(REAL x) {
    UINT u;
    memcpy(&u, &x, sizeof u);
    return u & ABS_MASK;
}

/* n elements from storage to the working type, less `minus` when there is one. Returns 1 when one of them is NaN or infinite. */
#define DECODE(TYPE, VALUE)                                   \
    do {                                                      \
        const TYPE *restrict p = src;                         \
        for (long k = 0; k < n; k++) {                        \
            REAL v = (REAL)(VALUE);                           \
            UINT u = NAME(magnitude)(v);                      \
            worst = u > worst ? u : worst;                    \
            out[k] = minus ? v - minus[k] : v;                \
        }                                                     \
    } while (0)

CLONES static int NAME(decode)(const void *restrict src, int dtype, long n, const REAL *restrict minus, REAL *restrict out) {
    UINT worst = 0;
    const float *table = dtype == T_F8_E4M3 ? e4m3 : e5m2;
    switch (dtype) {
    case T_F64: DECODE(double, p[k]); break;
    case T_F32: DECODE(float, p[k]); break;
    case T_BF16: DECODE(uint16_t, float_of_bits((uint32_t)p[k] << 16)); break;
    case T_F16: DECODE(uint16_t, float_of_half(p[k])); break;
    default: DECODE(uint8_t, table[p[k]]);
    }
    return worst >= INF_BITS;
}
#undef DECODE

CLONES static int NAME(encode)(const REAL *restrict src, int dtype, long n, void *restrict out) {
    int bad = 0;
    switch (dtype) {
    case T_F64: {
        double *p = out;
        for (long k = 0; k < n; k++) p[k] = (double)src[k];
        for (long k = 0; k < n; k++) bad |= (bits_of_double(p[k]) & 0x7fffffffffffffffull) >= 0x7ff0000000000000ull;
        break;
    }
    case T_F32: {
        float *p = out;
        for (long k = 0; k < n; k++) p[k] = (float)src[k];
        for (long k = 0; k < n; k++) bad |= (bits_of_float(p[k]) & 0x7fffffffu) >= 0x7f800000u;
        break;
    }
    case T_BF16: {
        uint16_t *p = out;
        for (long k = 0; k < n; k++) p[k] = bfloat_of_float((float)src[k]);
        for (long k = 0; k < n; k++) bad |= (p[k] & 0x7fff) >= 0x7f80;
        break;
    }
    default: {
        uint16_t *p = out;
        for (long k = 0; k < n; k++) p[k] = half_of_float((float)src[k]);
        for (long k = 0; k < n; k++) bad |= (p[k] & 0x7fff) >= 0x7c00;
    }
    }
    return bad;
}

/* Decode one block of every input, as differences from the base when there is one; input i to x + i * stride. */
static uint64_t NAME(load)(Inputs *in, long at, long n, REAL *b, REAL *x, long stride) {
    uint64_t bad = 0;
    Source *base = in->has_base ? in->source + in->n : NULL;
    if (base) bad |= (uint64_t)NAME(decode)(elements(in, base, at, n), (int)base->dtype, n, NULL, b) << 63;
    for (int i = 0; i < in->n; i++)
        bad |= (uint64_t)NAME(decode)(elements(in, in->source + i, at, n), (int)in->source[i].dtype, n, base ? b : NULL, x + i * stride) << i;
    return bad | (uint64_t)in->failed << 61;
}

CLONES static double NAME(dot)(const REAL *restrict x, const REAL *restrict y, long n) {
    double lane[16] = {0};
    long k = 0;
    for (; k + 16 <= n; k += 16)
        for (int l = 0; l < 16; l++) lane[l] += (double)x[k + l] * (double)y[k + l];
    for (; k < n; k++) lane[k & 15] += (double)x[k] * (double)y[k];
    double sum = 0;
    for (int l = 0; l < 16; l++) sum += lane[l];
    return sum;
}

/* Sums over at most BLOCK values: at most eight in the working type at each of 128 lanes, the rest in double. */
#define SUM_OF(VALUE)                                        \
    do {                                                     \
        REAL lane[128] = {0};                                \
        double sums[16] = {0}, sum = 0;                      \
        long at = 0;                                         \
        for (; at + 128 <= n; at += 128)                     \
            for (int l = 0; l < 128; l++) {                  \
                long k = at + l;                             \
                lane[l] += VALUE;                            \
            }                                                \
        for (int j = 0; j < 128; j += 16)                    \
            for (int l = 0; l < 16; l++) sums[l] += (double)lane[j + l]; \
        for (long k = at; k < n; k++) sums[k & 15] += (double)(VALUE);   \
        for (int l = 0; l < 16; l++) sum += sums[l];         \
        return sum;                                          \
    } while (0)

CLONES static double NAME(norm1)(const REAL *restrict x, long n) { SUM_OF(ABS(x[k])); }

/* Of the squares where keep is 1 rather than 0. */
CLONES static double NAME(energy)(const REAL *restrict x, const REAL *restrict keep, long n) { SUM_OF(x[k] * x[k] * keep[k]); }
#undef SUM_OF

/* Inner products of the inputs (minus the base): added to out, or one n x n matrix written for each `row` elements. */
EXPORT CLONES uint64_t NAME(mw_gram)(Inputs *in, long row, double *out) {
    REAL *b = malloc((in->n + 1) * BLOCK * sizeof(REAL)), *x = b + BLOCK;
    uint64_t bad = 0;
    int n = in->n;
    int rows = row > 0;
    if (!rows) row = in->count;
    for (long r = 0; r * row < in->count; r++, out += n * n) {
        for (int i = 0; rows && i < n * n; i++) out[i] = 0;
        for (long at = 0; at < row; at += BLOCK) {
            long len = row - at < BLOCK ? row - at : BLOCK;
            bad |= NAME(load)(in, r * row + at, len, b, x, BLOCK);
            for (int i = 0; i < n; i++)
                for (int j = i; j < n; j++) out[i * n + j] += NAME(dot)(x + (long)i * BLOCK, x + (long)j * BLOCK, len);
        }
        for (int i = 0; i < n; i++)
            for (int j = 0; j < i; j++) out[i * n + j] = out[j * n + i];
    }
    free(b);
    return bad;
}

CLONES static void NAME(add_scaled)(REAL *restrict sum, const REAL *restrict x, REAL c, long n, int first) {
    if (first)
        for (long k = 0; k < n; k++) sum[k] = c * x[k];
    else
        for (long k = 0; k < n; k++) sum[k] += c * x[k];
}

CLONES static void NAME(finish)(REAL *restrict sum, const REAL *restrict b, REAL scale, long n) {
    if (scale != 1)
        for (long k = 0; k < n; k++) sum[k] *= scale;
    if (b)
        for (long k = 0; k < n; k++) sum[k] += b[k];
}

/* out = [base +] scale * sum_i coef_i * (input_i [- base]); one set of n coefficients for each `row` elements. */
EXPORT CLONES uint64_t NAME(mw_sum)(Inputs *in, long row, const double *coef, double scale, int add_base, Output *out) {
    REAL *b = malloc((in->n + 2) * BLOCK * sizeof(REAL)), *sum = b + BLOCK, *x = sum + BLOCK;
    uint64_t bad = 0;
    for (long r = 0; r * row < in->count; r++, coef += in->n)
        for (long at = 0; at < row; at += BLOCK) {
            long len = row - at < BLOCK ? row - at : BLOCK, place = r * row + at;
            bad |= NAME(load)(in, place, len, b, x, BLOCK);
            for (int i = 0; i < in->n; i++) NAME(add_scaled)(sum, x + (long)i * BLOCK, (REAL)coef[i], len, i == 0);
            NAME(finish)(sum, in->has_base && add_base ? b : NULL, (REAL)scale, len);
            bad |= (uint64_t)NAME(encode)(sum, (int)out->dtype, len, room_for(out, len)) << 62;
        }
    flush(out);
    free(b);
    return bad;
}

/* Population variance of the n values at each place; n is a constant for few members, so that sums stay in registers. */
static INLINE void NAME(variance_of)(const REAL *restrict x, const int n, long len, REAL *restrict out) {
    for (long k = 0; k < len; k++) {
        REAL mean = x[k], sum = 0;
        for (int i = 1; i < n; i++) mean += x[(long)i * BLOCK + k];
        mean /= (REAL)n;
        for (int i = 0; i < n; i++) {
            REAL d = x[(long)i * BLOCK + k] - mean;
            sum += d * d;
        }
        out[k] = sum / (REAL)n;
    }
}

CLONES static void NAME(variance)(const REAL *restrict x, int n, long len, REAL *restrict mean, REAL *restrict out) {
    switch (n) {
    case 1: NAME(variance_of)(x, 1, len, out); return;
    case 2: NAME(variance_of)(x, 2, len, out); return;
    case 3: NAME(variance_of)(x, 3, len, out); return;
    case 4: NAME(variance_of)(x, 4, len, out); return;
    }
    for (long k = 0; k < len; k++) mean[k] = x[k];
    for (int i = 1; i < n; i++)
        for (long k = 0; k < len; k++) mean[k] += x[(long)i * BLOCK + k];
    for (long k = 0; k < len; k++) mean[k] /= (REAL)n, out[k] = 0;
    for (int i = 0; i < n; i++)
        for (long k = 0; k < len; k++) {
            REAL d = x[(long)i * BLOCK + k] - mean[k];
            out[k] += d * d;
        }
    for (long k = 0; k < len; k++) out[k] /= (REAL)n;
}

CLONES static uint64_t NAME(count_below)(const REAL *restrict x, long n, UINT lo) {
    UINT below = 0;
    for (long k = 0; k < n; k++) below += NAME(magnitude)(x[k]) < lo;
    return below;
}

/* Append the magnitudes in [lo, lo + width), less lo, to `picked`, which has room for 16 more than n, and their places in x to
 * `where` unless that is NULL. Returns how many; adds how many are smaller to *below. n is at most BLOCK. */
static long NAME(pick_plain)(const REAL *restrict x, long n, UINT lo, UINT width, UINT *restrict picked, uint16_t *restrict where,
                             uint64_t *below) {
    long m = 0, k = 0;
    *below += NAME(count_below)(x, n, lo);
    for (; k + 16 <= n; k += 16) { /* few groups hold any */
        UINT any = 0;
        for (int l = 0; l < 16; l++) any |= NAME(magnitude)(x[k + l]) - lo < width;
        for (int l = 0; any && l < 16; l++) {
            UINT u = NAME(magnitude)(x[k + l]) - lo;
            picked[m] = u;
            if (where && u < width) where[m] = (uint16_t)(k + l);
            m += u < width;
        }
    }
    for (; k < n; k++) {
        UINT u = NAME(magnitude)(x[k]) - lo;
        picked[m] = u;
        if (where && u < width) where[m] = (uint16_t)k;
        m += u < width;
    }
    return m;
}

/* The same for keys. */
CLONES static long NAME(pick_keys)(const uint32_t *restrict keys, long n, uint32_t lo, uint32_t width, UINT *restrict picked, uint64_t *below) {
    long m = 0, k = 0;
    uint32_t smaller = 0;
    for (long j = 0; j < n; j++) smaller += keys[j] < lo;
    for (; k + 16 <= n; k += 16) {
        uint32_t any = 0;
        for (int l = 0; l < 16; l++) any |= keys[k + l] - lo < width;
        for (int l = 0; any && l < 16; l++) picked[m] = keys[k + l] - lo, m += keys[k + l] - lo < width;
    }
    for (; k < n; k++) picked[m] = keys[k] - lo, m += keys[k] - lo < width;
    *below += smaller;
    return m;
}

static void NAME(bin)(const UINT *restrict patterns, long n, int64_t shift, uint32_t *restrict counts, uint64_t *restrict least,
                      uint64_t *restrict most) {
    for (long k = 0; k < n; k++) {
        UINT u = patterns[k];
        long j = (long)(u >> shift);
        counts[j]++;
        if (u < least[j]) least[j] = u;
        if ((uint64_t)u + 1 > most[j]) most[j] = (uint64_t)u + 1;
    }
}

/* Squares of the n values at places whose variance lies above the bracket are summed; the values at the m places within it are
 * appended, n at each. */
CLONES static void NAME(take_energy)(const REAL *restrict x, int n, long len, const REAL *restrict var, UINT above, const uint16_t *restrict where,
                                     long m, REAL *restrict keep, REAL *restrict values, double *energy) {
    for (long k = 0; k < len; k++) keep[k] = NAME(magnitude)(var[k]) < above ? 0 : 1;
    for (int i = 0; i < n; i++) energy[i] += NAME(energy)(x + (long)i * BLOCK, keep, len);
    for (long j = 0; j < m; j++)
        for (int i = 0; i < n; i++) *values++ = x[(long)i * BLOCK + where[j]];
}

/* For each query: how many magnitudes lie below lo and above; how many lie in each of `bins` bins of 2^shift patterns from lo on, with the
 * least and most (plus one) pattern of each; how many patterns that are (held), and the patterns themselves, relative to lo, as long as
 * there is room for all of them. A query's input n stands for the variance over all inputs, n + 1 and more for the keys of a formula's
 * results; with energy (n sums) the first query is of the variance, and taken has room for n at each collected place. With least_keys, one a
 * result, the bits of `reached` are set where a result's key is at least that. */
EXPORT CLONES uint64_t NAME(mw_histogram)(Inputs *in, uint64_t place, const Formula *f, Query *queries, int n_queries, int bins,
                            uint64_t *outside, uint32_t *counts, uint64_t *least, uint64_t *most, UINT *collected, int64_t *held, long room,
                            double *energy, REAL *taken, const uint32_t *least_keys, uint8_t *reached) {
    REAL *b = malloc((in->n + 3) * BLOCK * sizeof(REAL)), *mean = b + BLOCK, *var = mean + BLOCK, *x = var + BLOCK;
    UINT *picked = malloc((BLOCK + 16) * sizeof(UINT));
    uint16_t where[BLOCK];
    double *results = f ? malloc((size_t)f->n_results * BLOCK * sizeof(double)) : NULL;
    uint32_t *keys = f ? malloc((size_t)f->n_results * BLOCK * sizeof(uint32_t)) : NULL;
    void *registers = f ? NAME(registers)(f, in->n) : NULL;
    uint64_t bad = 0;
    int spread = 0;
    for (int q = 0; q < n_queries; q++) spread |= queries[q].input == in->n;
    for (long at = 0; at < in->count; at += BLOCK) {
        long len = in->count - at < BLOCK ? in->count - at : BLOCK;
        bad |= NAME(load)(in, at, len, b, x, BLOCK);
        if (spread) NAME(variance)(x, in->n, len, mean, var);
        if (f) {
            NAME(compute)(f, x, in->n, in->has_base ? b : NULL, place + (uint64_t)at, len, registers, results);
            for (long k = 0; k < f->n_results * BLOCK; k++) keys[k] = key_of(results[k]);
            if (least_keys) mark_reached(keys, f->n_results, len, least_keys, reached, (uint64_t)at);
        }
        for (int q = 0; q < n_queries; q++) {
            Query *query = &queries[q];
            uint32_t *c = counts + (long)q * bins;
            uint64_t *lo = least + (long)q * bins, *hi = most + (long)q * bins;
            const REAL *values = query->input == in->n ? var : x + (long)query->input * BLOCK;
            uint64_t below = 0;
            int take = energy && q == 0;
            long m = query->input > in->n ? NAME(pick_keys)(keys + (query->input - in->n - 1) * BLOCK, len, (uint32_t)query->lo,
                                                            (uint32_t)query->width, picked, &below)
                                          : PICK(values, len, (UINT)query->lo, (UINT)query->width, picked, take ? where : NULL, &below);
            outside[2 * q] += below;
            outside[2 * q + 1] += (uint64_t)(len - m) - below;
            NAME(bin)(picked, m, query->shift, c, lo, hi);
            if (take && held[q] + m <= room)
                NAME(take_energy)(x, (int)in->n, len, var, (UINT)(query->lo + query->width), where, m, mean, taken + held[q] * in->n, energy);
            if (held[q] + m <= room) memcpy(collected + q * room + held[q], picked, (size_t)m * sizeof(UINT));
            held[q] += m;
        }
    }
    free(registers);
    free(keys);
    free(results);
    free(picked);
    free(b);
    return bad;
}

/* The places of a block whose bits are set, and how many they are. */
static long NAME(places_of)(const uint8_t *bits, uint64_t from, long len, uint16_t *restrict places) {
    long m = 0;
    for (long k = 0; k < len; k++) places[m] = (uint16_t)k, m += bits[(from + (uint64_t)k) >> 3] >> ((from + (uint64_t)k) & 7) & 1;
    return m;
}

/* out = [base +] scale * the formula's one result; where `only` is given and its bit is not set, the result is 0. */
EXPORT CLONES uint64_t NAME(mw_formula)(Inputs *in, uint64_t place, const Formula *f, double scale, int add_base, const uint8_t *only,
                                        Output *out) {
    REAL *b = malloc((in->n + 3) * BLOCK * sizeof(REAL)), *direction = b + BLOCK, *ground = direction + BLOCK, *x = ground + BLOCK;
    uint16_t places[BLOCK];
    void *registers = NAME(registers)(f, in->n);
    double result[BLOCK];
    uint64_t bad = 0;
    for (long at = 0; at < in->count; at += BLOCK) {
        long len = in->count - at < BLOCK ? in->count - at : BLOCK;
        bad |= NAME(load)(in, at, len, b, x, BLOCK);
        if (only && !f->rows) {
            long m = NAME(places_of)(only, (uint64_t)at, len, places);
            for (int i = 0; i < in->n; i++)
                for (long j = 0; j < m; j++) x[(long)i * BLOCK + j] = x[(long)i * BLOCK + places[j]];
            for (long j = 0; in->has_base && j < m; j++) ground[j] = b[places[j]];
            NAME(compute)(f, x, in->n, in->has_base ? ground : NULL, 0, m, registers, result);
            for (long k = 0; k < len; k++) direction[k] = 0;
            for (long j = 0; j < m; j++) direction[places[j]] = (REAL)result[j];
        } else {
            NAME(compute)(f, x, in->n, in->has_base ? b : NULL, place + (uint64_t)at, len, registers, result);
            for (long k = 0; k < len; k++) direction[k] = (REAL)result[k];
        }
        NAME(finish)(direction, in->has_base && add_base ? b : NULL, (REAL)scale, len);
        bad |= (uint64_t)NAME(encode)(direction, (int)out->dtype, len, room_for(out, len)) << 62;
    }
    flush(out);
    free(registers);
    free(b);
    return bad;
}

/* The first `marks` results are conditions, which set the bits of their own array, lowest bit first. Of each that follows the sum is added,
 * block by block. */
EXPORT CLONES uint64_t NAME(mw_measure)(Inputs *in, uint64_t place, const Formula *f, double *sums, int marks, uint8_t *const *bits) {
    REAL *b = malloc((in->n + 1) * BLOCK * sizeof(REAL)), *x = b + BLOCK;
    double *results = malloc((size_t)f->n_results * BLOCK * sizeof(double));
    void *registers = NAME(registers)(f, in->n);
    uint8_t keep[BLOCK];
    uint64_t bad = 0;
    for (long at = 0; at < in->count; at += BLOCK) {
        long len = in->count - at < BLOCK ? in->count - at : BLOCK;
        bad |= NAME(load)(in, at, len, b, x, BLOCK);
        NAME(compute)(f, x, in->n, in->has_base ? b : NULL, place + (uint64_t)at, len, registers, results);
        for (long j = marks; j < f->n_results; j++) sums[j - marks] += sum_of(results + j * BLOCK, len);
        for (int j = 0; j < marks; j++) {
            for (long k = 0; k < len; k++) keep[k] = results[(long)j * BLOCK + k] != 0;
            pack_bits(keep, len, bits[j], (uint64_t)at);
        }
    }
    free(registers);
    free(results);
    free(b);
    return bad;
}

/* Zero what the selection leaves out. `place` is the flat index of x[0] in the tensor. */
CLONES static void NAME(keep_window)(REAL *restrict x, long n, UINT lo, UINT width) {
    for (long k = 0; k < n; k++) {
        UINT u = NAME(magnitude)(x[k]) - lo;
        x[k] = u < width ? x[k] : 0;
    }
}

CLONES static void NAME(keep_chance)(REAL *restrict x, long n, uint32_t place, uint32_t key0, uint32_t key1, uint32_t below) {
    for (long k = 0; k < n; k++) x[k] = draw(place + (uint32_t)k, key0, key1) < below ? x[k] : 0;
}

CLONES static void NAME(keep_bits_plain)(REAL *restrict x, long n, const uint8_t *restrict bits, uint64_t from) {
    long k = 0;
    if ((from & 7) == 0)
        for (bits += from >> 3, from = 0; k + 8 <= n; k += 8)
            for (int l = 0; l < 8; l++) x[k + l] = bits[k >> 3] >> l & 1 ? x[k + l] : 0;
    for (; k < n; k++) x[k] = bits[(from + (uint64_t)k) >> 3] >> ((from + (uint64_t)k) & 7) & 1 ? x[k] : 0;
}

CLONES static long NAME(count_equal)(const REAL *restrict x, long n, UINT value) {
    UINT equal = 0;
    for (long k = 0; k < n; k++) equal += NAME(magnitude)(x[k]) == value;
    return (long)equal;
}

/* Equal magnitudes just under an edge of the window: the first `quota` of them, by place, count as larger. n is at most BLOCK. */
static void NAME(keep_edges)(REAL *restrict x, long n, Selection *s) {
    UINT lo = (UINT)s->lo, hi = (UINT)s->hi;
    long at_lo = s->lo_quota > 0 ? NAME(count_equal)(x, n, lo - 1) : 0, at_hi = s->hi_quota > 0 ? NAME(count_equal)(x, n, hi - 1) : 0;
    if (at_lo <= s->lo_quota && at_hi <= s->hi_quota) { /* all of them */
        lo -= s->lo_quota > 0, hi -= s->hi_quota > 0;
        NAME(keep_window)(x, n, lo, hi > lo ? hi - lo : 0);
        s->lo_quota -= at_lo, s->hi_quota -= at_hi;
        return;
    }
    for (long k = 0; k < n; k++) {
        UINT u = NAME(magnitude)(x[k]);
        int keep = u >= lo && u < hi;
        if (u == lo - 1 && s->lo_quota > 0) keep = 1, s->lo_quota--;
        if (u == hi - 1 && s->hi_quota > 0) keep = 0, s->hi_quota--;
        x[k] = keep ? x[k] : 0;
    }
}

static void NAME(select)(REAL *x, long n, uint64_t place, Selection *s) {
    switch (s->kind) {
    case KEEP_WINDOW:
        if (s->lo_quota > 0 || s->hi_quota > 0) NAME(keep_edges)(x, n, s);
        else NAME(keep_window)(x, n, (UINT)s->lo, (UINT)(s->hi > s->lo ? s->hi - s->lo : 0));
        break;
    case KEEP_CHANCE: {
        /* 32-bit counters: the high half of the place goes into the key */
        for (long k = 0; k < n;) {
            uint64_t p = place + (uint64_t)k;
            long room = (long)(0x100000000ull - (p & 0xffffffffull)), len = n - k < room ? n - k : room;
            NAME(keep_chance)(x + k, len, (uint32_t)p, s->key0, s->key1 ^ mix((uint32_t)(p >> 32), 0), s->below);
            k += len;
        }
        break;
    }
    case KEEP_BITS: KEEP_THE_BITS(x, n, s->bits, place - s->bits_from); break;
    }
}

/* Per input: sum of magnitudes and of selected magnitudes, or the sum of selected squares. */
EXPORT CLONES uint64_t NAME(mw_selected_sums)(Inputs *in, uint64_t place, Selection *selections, Selection *shared, int squares, double *out) {
    REAL *b = malloc((in->n + 3) * BLOCK * sizeof(REAL)), *mean = b + BLOCK, *var = mean + BLOCK, *x = var + BLOCK;
    uint64_t bad = 0;
    for (long at = 0; at < in->count; at += BLOCK) {
        long len = in->count - at < BLOCK ? in->count - at : BLOCK;
        bad |= NAME(load)(in, at, len, b, x, BLOCK);
        if (shared) NAME(variance)(x, in->n, len, mean, var), NAME(select)(var, len, place + (uint64_t)at, shared);
        for (int i = 0; i < in->n; i++) {
            REAL *d = x + (long)i * BLOCK;
            double *o = out + 3 * i;
            if (!squares) o[0] += NAME(norm1)(d, len);
            if (shared)
                for (long k = 0; k < len; k++) d[k] = var[k] != 0 ? d[k] : 0;
            NAME(select)(d, len, place + (uint64_t)at, &selections[i]);
            if (squares) o[2] += NAME(dot)(d, d, len);
            else o[1] += NAME(norm1)(d, len);
        }
    }
    free(b);
    return bad;
}

/* The loops of a vote for a group of n members; inlined with n a constant, so that a place's sums stay in registers. */
static INLINE void NAME(add_group)(const REAL *restrict x, const int n, long len, const REAL *factors, const REAL *voices, REAL *restrict votes) {
    REAL factor[GROUP], voice[GROUP];
    for (int i = 0; i < n; i++) factor[i] = factors[i], voice[i] = voices[i];
    for (long k = 0; k < len; k++) {
        REAL sum = votes[k];
        for (int i = 0; i < n; i++) sum += voice[i] * (factor[i] * x[i * BLOCK + k]);
        votes[k] = sum;
    }
}

static INLINE void NAME(count_group)(const REAL *restrict x, const int n, long len, const REAL *factors, const REAL *voices,
                                     const REAL *weights, const REAL *shares, const REAL *restrict elected, REAL *restrict mix, REAL *restrict share) {
    REAL factor[GROUP], voice[GROUP], weight[GROUP], portion[GROUP];
    for (int i = 0; i < n; i++) factor[i] = factors[i], voice[i] = voices[i], weight[i] = weights[i], portion[i] = shares[i];
    for (long k = 0; k < len; k++) {
        REAL sum = mix[k], all = share[k], sign = elected[k];
        for (int i = 0; i < n; i++) {
            REAL v = factor[i] * x[i * BLOCK + k], agrees = voice[i] * v * sign > 0;
            sum += agrees * (weight[i] * v);
            all += agrees * portion[i];
        }
        mix[k] = sum;
        share[k] = all;
    }
}

#define BY_COUNT(n, CALL) \
    switch (n) {          \
    case 1: CALL(1); break; \
    case 2: CALL(2); break; \
    case 3: CALL(3); break; \
    default: CALL(GROUP); \
    }

/* votes = sum over members of voice * (factor * value). */
CLONES static void NAME(add_votes)(const REAL *restrict x, int n, long len, const REAL *factor, const REAL *voice, REAL *restrict votes) {
    for (long k = 0; k < len; k++) votes[k] = 0;
    for (int i = 0; i < n; i += GROUP) {
#define ADD(count) NAME(add_group)(x + (long)i * BLOCK, count, len, factor + i, voice + i, votes)
        BY_COUNT(n - i, ADD)
#undef ADD
    }
}

/* Sums of votes become signs. Comparisons as numbers, not branches: the loops then run on whole vectors. */
CLONES static void NAME(elect)(REAL *restrict votes, REAL zero_sign, long n) {
    for (long k = 0; k < n; k++) {
        REAL up = votes[k] > 0, down = votes[k] < 0;
        votes[k] = up - down + (1 - up - down) * zero_sign;
    }
}

/* Weighted values and shares of the members that agree with the elected sign. */
CLONES static void NAME(count_agreeing)(const REAL *restrict x, int n, long len, const REAL *factor, const REAL *voice, const REAL *weight,
                                        const REAL *portion, const REAL *restrict elected, REAL *restrict mix, REAL *restrict share) {
    for (long k = 0; k < len; k++) mix[k] = share[k] = 0;
    for (int i = 0; i < n; i += GROUP) {
#define COUNT(count) NAME(count_group)(x + (long)i * BLOCK, count, len, factor + i, voice + i, weight + i, portion + i, elected, mix, share)
        BY_COUNT(n - i, COUNT)
#undef COUNT
    }
}

CLONES static void NAME(divide)(REAL *restrict mix, const REAL *restrict share, REAL floor, long n) {
    for (long k = 0; k < n; k++) {
        REAL none = share[k] == 0, by = share[k] < floor ? floor : share[k];
        mix[k] /= by + none * (1 - by);
    }
}

/* out = [base +] scale * mix, the mix being the weighted sum of selected differences, of all or of those that agree with the
 * elected sign; divided as `election` says. */
EXPORT CLONES uint64_t NAME(mw_vote)(Inputs *in, uint64_t place, Selection *selections, Selection *shared, const Election *e, Output *out) {
    REAL *b = malloc((in->n + 6) * BLOCK * sizeof(REAL) + 4 * in->n * sizeof(REAL));
    REAL *mean = b + BLOCK, *var = mean + BLOCK, *votes = var + BLOCK, *mix = votes + BLOCK, *share = mix + BLOCK, *x = share + BLOCK;
    REAL *factor = x + in->n * BLOCK, *voice = factor + in->n, *weight = voice + in->n, *portion = weight + in->n;
    uint64_t bad = 0;
    for (int i = 0; i < in->n; i++) {
        factor[i] = (REAL)selections[i].factor;
        weight[i] = (REAL)selections[i].weight;
        portion[i] = (REAL)selections[i].share;
        voice[i] = e->elect ? (REAL)selections[i].voice : weight[i];
    }
    for (long at = 0; at < in->count; at += BLOCK) {
        long len = in->count - at < BLOCK ? in->count - at : BLOCK;
        bad |= NAME(load)(in, at, len, b, x, BLOCK);
        if (shared) NAME(variance)(x, in->n, len, mean, var), NAME(select)(var, len, place + (uint64_t)at, shared);
        for (int i = 0; i < in->n; i++) NAME(select)(x + (long)i * BLOCK, len, place + (uint64_t)at, &selections[i]);
        REAL *result = votes;
        NAME(add_votes)(x, in->n, len, factor, voice, votes);
        if (e->elect) {
            result = mix;
            NAME(elect)(votes, (REAL)e->zero_sign, len);
            NAME(count_agreeing)(x, in->n, len, factor, voice, weight, portion, votes, mix, share);
            if (e->divide) NAME(divide)(mix, share, (REAL)e->floor, len);
        } else if (e->divide) {
            for (long k = 0; k < len; k++) votes[k] /= (REAL)e->divisor;
        }
        if (shared)
            for (long k = 0; k < len; k++) result[k] = var[k] != 0 ? result[k] : 0;
        NAME(finish)(result, e->add_base ? b : NULL, (REAL)e->scale, len);
        bad |= (uint64_t)NAME(encode)(result, (int)out->dtype, len, room_for(out, len)) << 62;
    }
    flush(out);
    free(b);
    return bad;
}

/* Adds how many places elect plus less how many elect minus. */
EXPORT CLONES uint64_t NAME(mw_balance)(Inputs *in, uint64_t place, Selection *selections, double *out) {
    REAL *b = malloc((in->n + 2) * BLOCK * sizeof(REAL) + 2 * in->n * sizeof(REAL));
    REAL *votes = b + BLOCK, *x = votes + BLOCK, *factor = x + in->n * BLOCK, *voice = factor + in->n;
    uint64_t bad = 0;
    for (int i = 0; i < in->n; i++) factor[i] = (REAL)selections[i].factor, voice[i] = (REAL)selections[i].voice;
    for (long at = 0; at < in->count; at += BLOCK) {
        long len = in->count - at < BLOCK ? in->count - at : BLOCK, balance = 0;
        bad |= NAME(load)(in, at, len, b, x, BLOCK);
        for (int i = 0; i < in->n; i++) NAME(select)(x + (long)i * BLOCK, len, place + (uint64_t)at, &selections[i]);
        NAME(add_votes)(x, in->n, len, factor, voice, votes);
        for (long k = 0; k < len; k++) balance += (votes[k] > 0) - (votes[k] < 0);
        *out += (double)balance;
    }
    free(b);
    return bad;
}

/* Magnitudes rounded to bfloat16, as numbers under `buckets` in the order of size: the largest gets the last. */
CLONES static void NAME(rank_keys)(const REAL *restrict x, long n, uint16_t *restrict key, int buckets) {
    uint16_t most = 0;
    for (long k = 0; k < n; k++) key[k] = bfloat_of_float((float)x[k]) & 0x7fff;
    for (long k = 0; k < n; k++) most = key[k] > most ? key[k] : most;
    uint16_t least = most > buckets - 1 ? (uint16_t)(most - (buckets - 1)) : 0;
    for (long k = 0; k < n; k++) key[k] = (uint16_t)((key[k] > least ? key[k] : least) - least);
}

CLONES static void NAME(draw_row)(const REAL *restrict x, long n, const uint16_t *restrict key, const uint32_t *restrict below, uint64_t place,
                                  uint32_t key0, uint32_t key1, uint8_t *bits, uint64_t from, double *out) {
    uint8_t keep[BLOCK];
    REAL kept[BLOCK];
    for (long at = 0; at < n; at += BLOCK) {
        long len = n - at < BLOCK ? n - at : BLOCK;
        uint64_t p = place + (uint64_t)at;
        if ((p & 0xffffffffull) + (uint64_t)len <= 0x100000000ull) {
            uint32_t p0 = (uint32_t)p, high = key1 ^ mix((uint32_t)(p >> 32), 0);
            for (long k = 0; k < len; k++) keep[k] = draw(p0 + (uint32_t)k, key0, high) < below[key[at + k]];
        } else
            for (long k = 0; k < len; k++)
                keep[k] = draw((uint32_t)(p + (uint64_t)k), key0, key1 ^ mix((uint32_t)((p + (uint64_t)k) >> 32), 0)) < below[key[at + k]];
        for (long k = 0; k < len; k++) kept[k] = keep[k] ? x[at + k] : 0;
        out[0] += NAME(norm1)(x + at, len);
        out[1] += NAME(norm1)(kept, len);
        pack_bits(keep, len, bits, from + (uint64_t)at);
    }
}

/* Draw which elements of one row stay; see mw_rank_chance. */
CLONES static void NAME(rank_row)(const REAL *restrict x, long row, uint16_t *restrict key, uint64_t place, const Selection *s, double low,
                                  double high, double *out) {
    enum { BUCKETS = 1024 };
    int32_t even[BUCKETS] = {0}, odd[BUCKETS] = {0};
    uint32_t below[BUCKETS];
    double first = row > 1 ? low : 0.5 * (low + high), slope = row > 1 ? (high - low) / (double)(row - 1) : 0;
    NAME(rank_keys)(x, row, key, BUCKETS);
    for (long k = 0; k + 1 < row; k += 2) even[key[k]]++, odd[key[k + 1]]++; /* equal neighbours need not wait */
    if (row & 1) even[key[row - 1]]++;
    int32_t seen[BUCKETS], sum = 0;
    for (int j = 0; j < BUCKETS; j++) even[j] += odd[j];
    for (int j = 0; j < BUCKETS; j++) seen[j] = sum, sum += even[j];
    for (int j = 0; j < BUCKETS; j++)
        below[j] = (uint32_t)(int32_t)((first + slope * ((double)seen[j] + 0.5 * (double)(even[j] - 1))) * 16777216.0 + 0.5);
    NAME(draw_row)(x, row, key, below, place, s->key0, s->key1, s->bits, place - s->bits_from, out);
}

/* For each row of each input with KEEP_BITS: draw which elements stay, with a chance that grows linearly with the rank of the
 * magnitude from chance[0] to chance[1] of the input; equal magnitudes share the mean of their ranks. Magnitudes are compared as
 * bfloat16, and those under 2^-8 of the row's largest count as equal. Sets bits, adds the sums of all and of the kept magnitudes to the
 * first two of the input's three in out. */
EXPORT CLONES uint64_t NAME(mw_rank_chance)(Inputs *in, long row, uint64_t place, const Selection *selections, const double *chance, double *out) {
    REAL *b = malloc((size_t)BLOCK * sizeof(REAL) + (size_t)(in->n * row) * sizeof(REAL)), *x = b + BLOCK;
    uint16_t *key = malloc((size_t)row * sizeof(uint16_t));
    uint64_t bad = 0;
    for (long r = 0; r * row < in->count; r++) {
        for (long at = 0; at < row; at += BLOCK) bad |= NAME(load)(in, r * row + at, row - at < BLOCK ? row - at : BLOCK, b, x + at, row);
        for (int i = 0; i < in->n; i++)
            if (selections[i].kind == KEEP_BITS)
                NAME(rank_row)(x + i * row, row, key, place + (uint64_t)(r * row), selections + i, chance[2 * i], chance[2 * i + 1], out + 3 * i);
    }
    free(key);
    free(b);
    return bad;
}

/* The n-th largest of the sizes, of which at least n are not negative; a good guess saves steps and changes nothing. */
CLONES static INT NAME(nth_largest)(const INT *restrict size, long len, long n, INT guess) {
    INT lo = 0, hi = 0;
    for (long k = 0; k < len; k++) hi = size[k] > hi ? size[k] : hi;
    while (lo < hi) { /* it is among [lo, hi] */
        INT middle = guess > lo && guess <= hi ? guess : hi - (hi - lo) / 2, from = hi, under = 0, count = 0;
        for (long k = 0; k < len; k++) {
            INT in = size[k] >= middle ? size[k] : hi, out = size[k] < middle ? size[k] : 0;
            from = in < from ? in : from;
            under = out > under ? out : under;
            count += size[k] >= middle;
        }
        if (count == n) return from;
        if (count > n) lo = from;
        else hi = under;
        guess = 0;
    }
    return lo;
}

/* Keep the n largest of those that are not taken, of equal ones the first, and take them. Returns the smallest size kept, as a guess. */
CLONES static INT NAME(take_largest)(const REAL *restrict x, long len, long n, INT *restrict size, uint8_t *restrict taken, uint8_t *restrict keep,
                                     INT guess) {
    INT left = 0, more = 0, equal = 0;
    for (long k = 0; k < len; k++) size[k] = taken[k] ? -1 : (INT)NAME(magnitude)(x[k]);
    for (long k = 0; k < len; k++) left += size[k] >= 0;
    INT edge = left > n ? NAME(nth_largest)(size, len, n, guess) : 0;
    for (long k = 0; k < len; k++) more += size[k] > edge, equal += size[k] == edge;
    int split = more + equal > n;
    for (long k = 0; k < len; k++) keep[k] = split ? size[k] > edge : size[k] >= edge;
    for (long k = 0, quota = n - more; split && quota > 0; k++)
        if (size[k] == edge) keep[k] = 1, quota--;
    for (long k = 0; k < len; k++) taken[k] |= keep[k];
    return edge;
}

/* For each row of each input with KEEP_BITS, one input after another: of every blocks[2i + 1] neighbours the blocks[2i] largest stay that
 * no earlier input keeps; a shorter block at the end keeps its share, rounded up. Sets bits; sums as mw_rank_chance. */
EXPORT CLONES uint64_t NAME(mw_mark_blocks)(Inputs *in, long row, uint64_t place, const Selection *selections, const int64_t *blocks, double *out) {
    REAL *b = malloc((size_t)(2 * BLOCK + in->n * row) * sizeof(REAL)), *kept = b + BLOCK, *x = kept + BLOCK;
    INT *size = malloc((size_t)(row + in->n) * sizeof(INT)), *guess = size + row;
    uint8_t *taken = malloc((size_t)(2 * row)), *keep = taken + row;
    uint64_t bad = 0;
    for (int i = 0; i < in->n; i++) guess[i] = 0;
    for (long r = 0; r * row < in->count; r++) {
        for (long at = 0; at < row; at += BLOCK) bad |= NAME(load)(in, r * row + at, row - at < BLOCK ? row - at : BLOCK, b, x + at, row);
        memset(taken, 0, (size_t)row);
        for (int i = 0; i < in->n; i++) {
            const REAL *values = x + i * row;
            const long n = blocks[2 * i], m = blocks[2 * i + 1];
            if (selections[i].kind != KEEP_BITS) continue;
            for (long at = 0; at < row; at += m) {
                long len = row - at < m ? row - at : m, stay = len < m ? (n * len + m - 1) / m : n;
                guess[i] = NAME(take_largest)(values + at, len, stay, size, taken + at, keep + at, guess[i]);
            }
            for (long at = 0; at < row; at += BLOCK) {
                long len = row - at < BLOCK ? row - at : BLOCK;
                for (long k = 0; k < len; k++) kept[k] = keep[at + k] ? values[at + k] : 0;
                out[3 * i] += NAME(norm1)(values + at, len);
                out[3 * i + 1] += NAME(norm1)(kept, len);
            }
            pack_bits(keep, row, selections[i].bits, place + (uint64_t)(r * row) - selections[i].bits_from);
        }
    }
    free(taken);
    free(size);
    free(b);
    return bad;
}
