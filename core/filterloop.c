/*
** filterloop.c - compiles the loops of filters for each kind of processor; filterloop.h says why.
**
** This file includes itself: the part behind LOOP_NAME is the loops, under a name and a target.
*/
#ifndef LOOP_NAME
#include "filterloop.h"

#include <stddef.h>
#include <string.h>

/* What VECTOR_LOOPS is, which has to stand beside a target here (vector.h). */
#if defined(__GNUC__) && !defined(__clang__) && defined(__OPTIMIZE__)
#define LOOP_FAST optimize("O3"),
#else
#define LOOP_FAST
#endif

#define LOOP_NAME(x) x##Plain
#define LOOP         static __attribute__((LOOP_FAST unused))
#include "filterloop.c" /* NOLINT */
#undef LOOP_NAME
#undef LOOP

#if defined(__x86_64__) && defined(__GNUC__)
#define LOOP_AVX2
#define LOOP_NAME(x) x##Avx2
#define LOOP         static __attribute__((LOOP_FAST target("avx2"), unused))
#include "filterloop.c" /* NOLINT */
#undef LOOP_NAME
#undef LOOP
#endif

const FilterLoops *filterLoopsAt(int i) {
  if (i == 0) return &loopsPlain;
#ifdef LOOP_AVX2
  /* A machine has these or has not; tests run both.  GCOVR_EXCL_START */
  if (i == 1 && __builtin_cpu_supports("avx2")) return &loopsAvx2;
    /* GCOVR_EXCL_STOP */
#endif
  return NULL;
}

const FilterLoops *filterLoops(void) {
  const FilterLoops *best = filterLoopsAt(1);
  return best ? best : filterLoopsAt(0); /* likewise: GCOVR_EXCL_LINE */
}

#else /* ---- the loops ------------------------------------------------------------------------ */

#define LOOP_RANGE(bits)                                                                           \
  LOOP void LOOP_NAME(range##bits)(const uint##bits##_t *x, uint32_t n, uint##bits##_t lo,         \
                                   uint##bits##_t span, int flip, uint8_t *restrict out) {         \
    uint8_t f = (uint8_t)flip;                                                                     \
    uint32_t i;                                                                                    \
    for (i = 0; i < n; i++) out[i] = (uint8_t)(((uint##bits##_t)(x[i] - lo) <= span) ^ f);         \
  }
LOOP_RANGE(8)
LOOP_RANGE(16)
LOOP_RANGE(32)
LOOP_RANGE(64)
#undef LOOP_RANGE

LOOP void LOOP_NAME(rangeReal)(const double *x, uint32_t n, double lo, double hi, int flip, int nan,
                               uint8_t *restrict out) {
  uint8_t f = (uint8_t)flip, any = (uint8_t)nan;
  uint32_t i;
  for (i = 0; i < n; i++) {
    double v = x[i];
    out[i] = (uint8_t)((((v >= lo) & (v <= hi)) ^ f) & ((v == v) | any));
  }
}

LOOP void LOOP_NAME(lookup8)(const uint8_t *x, uint32_t n, const uint8_t *table,
                             uint8_t *restrict out) {
  uint32_t i;
  for (i = 0; i < n; i++) out[i] = table[x[i]];
}

LOOP void LOOP_NAME(lookup16)(const uint16_t *x, uint32_t n, const uint8_t *table,
                              uint8_t *restrict out) {
  uint32_t i;
  for (i = 0; i < n; i++) out[i] = table[x[i]];
}

LOOP void LOOP_NAME(step16)(const uint16_t *x, uint32_t n, uint16_t step, uint8_t *restrict out) {
  uint32_t i;
  for (i = 0; i < n; i++) out[i] = (uint16_t)(x[i + 1] - x[i]) == step;
}

LOOP void LOOP_NAME(step32)(const uint32_t *x, uint32_t n, uint32_t step, uint8_t *restrict out) {
  uint32_t i;
  for (i = 0; i < n; i++) out[i] = x[i + 1] - x[i] == step;
}

LOOP void LOOP_NAME(pair)(const uint8_t *x, uint32_t n, const FilterPair *pair,
                          uint8_t *restrict out) {
  const uint8_t *y = x + pair->gap;
  uint8_t a = pair->byte[0], am = pair->mask[0], b = pair->byte[1], bm = pair->mask[1];
  uint32_t i;
  for (i = 0; i < n; i++) out[i] = (uint8_t)(((x[i] | am) == a) & ((y[i] | bm) == b));
}

/* Eight rows at once: byte j of a word gets bit j of the bitmap's byte, as 0 or 255. */
LOOP void LOOP_NAME(putBits)(const uint8_t *bits, uint32_t n, int value, uint8_t *out) {
  const uint64_t ones = UINT64_C(0x0101010101010101);
  uint64_t set = value ? ones : 0;
  uint32_t i;
  for (i = 0; i < n; i += 8) {
    uint64_t b = bits[i / 8], w;
    if (b == 0) continue;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    b = (b * ones) & UINT64_C(0x8040201008040201);
    b = ((b + UINT64_C(0x00406070787c7e7f)) >> 7 & ones) * 255;
#else
    b = (b * ones) & UINT64_C(0x0102040810204080);
    b = ((b + UINT64_C(0x7f7e7c7870604000)) >> 7 & ones) * 255;
#endif
    memcpy(&w, out + i, 8);
    w = (w & ~b) | (set & b);
    memcpy(out + i, &w, 8);
  }
}

LOOP void LOOP_NAME(andBytes)(uint8_t *restrict a, const uint8_t *restrict b, uint32_t n) {
  uint32_t i;
  for (i = 0; i < n; i++) a[i] &= b[i];
}

LOOP void LOOP_NAME(orBytes)(uint8_t *restrict a, const uint8_t *restrict b, uint32_t n) {
  uint32_t i;
  for (i = 0; i < n; i++) a[i] |= b[i];
}

LOOP void LOOP_NAME(notBytes)(uint8_t *a, uint32_t n) {
  uint32_t i;
  for (i = 0; i < n; i++) a[i] ^= 1;
}

LOOP uint32_t LOOP_NAME(sumBytes)(const uint8_t *a, uint32_t n) {
  uint32_t i, sum = 0;
  for (i = 0; i < n; i++) sum += a[i];
  return sum;
}

#define LOOP_STRING(x)  LOOP_STRING1(x)
#define LOOP_STRING1(x) #x
static const FilterLoops LOOP_NAME(loops) = {LOOP_STRING(LOOP_NAME(loops)),
                                             LOOP_NAME(range8),
                                             LOOP_NAME(range16),
                                             LOOP_NAME(range32),
                                             LOOP_NAME(range64),
                                             LOOP_NAME(rangeReal),
                                             LOOP_NAME(lookup8),
                                             LOOP_NAME(lookup16),
                                             LOOP_NAME(step16),
                                             LOOP_NAME(step32),
                                             LOOP_NAME(pair),
                                             LOOP_NAME(putBits),
                                             LOOP_NAME(andBytes),
                                             LOOP_NAME(orBytes),
                                             LOOP_NAME(notBytes),
                                             LOOP_NAME(sumBytes)};
#undef LOOP_STRING
#undef LOOP_STRING1

#endif
