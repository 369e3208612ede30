/*
** filterloop.h - the inner loops of filters, compiled once for each kind of processor.
**
** A filter looks at a block of rows of one column, and writes a byte for each: 1 it matches, 0 it does not.
** The loops that do so for plain arrays of numbers are kept here, free of branches and calls, in the form that
** compilers turn into vector instructions.  filterloop.c compiles them for what every processor of the
** architecture has, and once more for AVX2, and tells at run time which to take.  No ifunc is needed for
** that, which sanitizers and some C libraries do not bear.
**
** What they read is in the mapping, and may be anything at all, and change.  So each element is read once;
** it is compared, or, in lookup, is an index that its own type bounds.
*/
#ifndef MMAPSYNC_FILTERLOOP_H
#define MMAPSYNC_FILTERLOOP_H

#include <stdint.h>

/* Two bytes at a distance.  A mask of 0x20 is for a letter in either case, which `byte` gives the lower of. */
typedef struct FilterPair {
  uint8_t byte[2], mask[2];
  uint32_t gap; /* from the first to the second */
} FilterPair;

typedef struct FilterLoops {
  const char *name; /* for people */
  /* out[i] = (lo <= x[i] <= lo + span) != flip, in unsigned arithmetic of the element's width */
  void (*range8)(const uint8_t *x, uint32_t n, uint8_t lo, uint8_t span, int flip, uint8_t *out);
  void (*range16)(const uint16_t *x, uint32_t n, uint16_t lo, uint16_t span, int flip,
                  uint8_t *out);
  void (*range32)(const uint32_t *x, uint32_t n, uint32_t lo, uint32_t span, int flip,
                  uint8_t *out);
  void (*range64)(const uint64_t *x, uint32_t n, uint64_t lo, uint64_t span, int flip,
                  uint8_t *out);
  /* out[i] = (lo <= x[i] <= hi) != flip; but that of NaN is 0 unless `nan` */
  void (*rangeReal)(const double *x, uint32_t n, double lo, double hi, int flip, int nan,
                    uint8_t *out);
  /* out[i] = table[x[i]], a table for every value of the element's width */
  void (*lookup8)(const uint8_t *x, uint32_t n, const uint8_t *table, uint8_t *out);
  void (*lookup16)(const uint16_t *x, uint32_t n, const uint8_t *table, uint8_t *out);
  /* out[i] = x[i + 1] - x[i] == step */
  void (*step16)(const uint16_t *x, uint32_t n, uint16_t step, uint8_t *out);
  void (*step32)(const uint32_t *x, uint32_t n, uint32_t step, uint8_t *out);
  /* out[i] = both bytes of the pair are there: the first at x[i], the second at x[i + gap] */
  void (*pair)(const uint8_t *x, uint32_t n, const FilterPair *pair, uint8_t *out);
  /* out[i] = value where bit i of a bitmap is set; n is rounded up to a multiple of 8 */
  void (*putBits)(const uint8_t *bits, uint32_t n, int value, uint8_t *out);
  /* Of bytes that are 0 or 1: a[i] &= b[i]; a[i] |= b[i]; a[i] ^= 1; their sum */
  void (*andBytes)(uint8_t *a, const uint8_t *b, uint32_t n);
  void (*orBytes)(uint8_t *a, const uint8_t *b, uint32_t n);
  void (*notBytes)(uint8_t *a, uint32_t n);
  uint32_t (*sumBytes)(const uint8_t *a, uint32_t n);
} FilterLoops;

/* The loops for this processor; or all that it can run, i = 0, 1, ..., then NULL. */
const FilterLoops *filterLoops(void);
const FilterLoops *filterLoopsAt(int i);

#endif
