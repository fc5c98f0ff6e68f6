/* Formulas: the steps of a traced part, carried out over strips of registers that stay in the first-level cache.
 * The steps of one working type; included twice by kernels.c, as kernels_real.h is. weights/formula.py writes the steps. */

#define EACH(VALUE)                                    \
    do {                                               \
        for (long k = 0; k < n; k++) out[k] = (VALUE); \
    } while (0)

CLONES static int NAME(all_within)(const REAL *a, REAL limit, long n) {
    int beyond = 0;
    for (long k = 0; k < n; k++) beyond |= !(ABS(a[k]) <= limit);
    return !beyond;
}

/* One step: out = f(a, b, c), entry by entry. out is never one of the others. */
CLONES static void NAME(step)(int operation, REAL *restrict out, const REAL *a, const REAL *b, const REAL *c, long n) {
    switch (operation) {
    case F_ADD: EACH(a[k] + b[k]); break;
    case F_SUBTRACT: EACH(a[k] - b[k]); break;
    case F_MULTIPLY: EACH(a[k] * b[k]); break;
    case F_DIVIDE: EACH(a[k] / b[k]); break;
    case F_MAXIMUM: EACH(a[k] > b[k] ? a[k] : b[k]); break;
    case F_MINIMUM: EACH(a[k] < b[k] ? a[k] : b[k]); break;
    case F_GREATER: EACH((REAL)(a[k] > b[k])); break;
    case F_AT_LEAST: EACH((REAL)(a[k] >= b[k])); break;
    case F_WHERE: EACH(a[k] != 0 ? b[k] : c[k]); break;
    case F_ABS: EACH(ABS(a[k])); break;
    case F_SIGN: EACH((REAL)(a[k] > 0) - (REAL)(a[k] < 0)); break;
    case F_FLOOR: EACH((REAL)floor((double)a[k])); break;
    case F_EXP: EACH((REAL)exp_of((double)a[k])); break;
    case F_TANH:
        if (NAME(all_within)(a, (REAL)SMALL, n)) EACH((REAL)tanh_of_small((double)a[k]));
        else EACH((REAL)(ABS(a[k]) <= (REAL)SMALL ? tanh_of_small((double)a[k]) : tanh_of_any((double)a[k])));
        break;
    case F_ROUNDED: EACH((REAL)(float)a[k]); break;
    }
}
#undef EACH

/* Fill the registers of constants, which stay as they are. */
static void NAME(set_constants)(const Formula *f, long leaves, REAL *registers) {
    for (long i = 0; i < f->n_constants; i++)
        for (long k = 0; k < STRIP; k++) registers[(leaves + i) * STRIP + k] = (REAL)f->constants[i];
}

static void NAME(take_steps)(const Formula *f, REAL *registers, long n) {
    for (const Step *s = f->steps; s < f->steps + f->n_steps; s++)
        NAME(step)(s->operation, registers + (long)s->out * STRIP, registers + (long)s->a * STRIP, registers + (long)s->b * STRIP,
                   registers + (long)s->c * STRIP, n);
}

/* The value of each entry's row, for n entries from `place` on. */
static void NAME(set_rows)(const Formula *f, uint64_t place, REAL *restrict out, long n) {
    uint64_t row = place / (uint64_t)f->row, left = (row + 1) * (uint64_t)f->row - place;
    for (long k = 0; k < n; k++) {
        if (!left--) row++, left = (uint64_t)f->row - 1;
        out[k] = (REAL)f->rows[row];
    }
}

/* Room for the registers of either type, constants filled in. */
static void *NAME(registers)(const Formula *f, long inputs) {
    void *room = malloc((size_t)(inputs + 2 + f->n_constants + f->n_temporaries) * STRIP * sizeof(double));
    if (f->wide) set_constants_d(f, inputs + 2, room);
    else NAME(set_constants)(f, inputs + 2, room);
    return room;
}

#define COMPUTE(T, SET_ROWS, TAKE_STEPS)                                                          \
    for (long at = 0; at < len; at += STRIP) {                                                    \
        long m = len - at < STRIP ? len - at : STRIP;                                             \
        T *r = registers;                                                                         \
        for (long i = 0; i < inputs; i++)                                                         \
            for (long k = 0; k < m; k++) r[i * STRIP + k] = (T)x[i * BLOCK + at + k];             \
        for (long k = 0; b && k < m; k++) r[inputs * STRIP + k] = (T)b[at + k];                   \
        if (f->rows) SET_ROWS(f, place + (uint64_t)at, r + (inputs + 1) * STRIP, m);              \
        TAKE_STEPS(f, r, m);                                                                      \
        for (long j = 0; j < f->n_results; j++)                                                   \
            for (long k = 0; k < m; k++) out[j * BLOCK + at + k] = (double)r[f->results[j] * STRIP + k]; \
    }

/* The results for one loaded block of `inputs` differences, b the base or NULL; result j to out + j * BLOCK. */
CLONES static void NAME(compute)(const Formula *f, const REAL *x, long inputs, const REAL *b, uint64_t place, long len, void *registers,
                                 double *restrict out) {
    if (f->wide) COMPUTE(double, set_rows_d, take_steps_d)
    else COMPUTE(REAL, NAME(set_rows), NAME(take_steps))
}
#undef COMPUTE
