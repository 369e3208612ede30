/*
** check_random.h - random columns for test programs of table images: values of every encoding, and constants to
** compare them with.
**
** A table is an array of values, row by row, that stays beside the image that was made of it.
*/
#ifndef CHECK_RANDOM_H
#define CHECK_RANDOM_H

#include <math.h>

#include "check_image.h"

static uint64_t randomState = UINT64_C(0x2545f4914f6cdd1d);

static inline uint64_t rnd(void) { /* xorshift64*: the same numbers everywhere */
  randomState ^= randomState >> 12;
  randomState ^= randomState << 25;
  randomState ^= randomState >> 27;
  return randomState * UINT64_C(2685821657736338717);
}
static inline uint64_t below(uint64_t n) { return (rnd() >> 11) % n; }

#define TWO53 INT64_C(9007199254740992)

static const int64_t edgeInts[] = {
    INT64_MIN, INT64_MIN + 1, INT64_MAX, INT64_MAX - 1, 0,          -1,  1,   TWO53, TWO53 + 1,
    TWO53 - 1, -TWO53 - 1,    -TWO53,    INT32_MAX,     UINT32_MAX, 255, 256, 65535, 65536};
static const double edgeReals[] = {0.0,
                                   -0.0,
                                   0.5,
                                   -0.5,
                                   1,
                                   255.5,
                                   9007199254740992.0,
                                   9007199254740994.0,
                                   -9007199254740992.0,
                                   9223372036854775808.0,
                                   9223372036854774784.0,
                                   -9223372036854775808.0,
                                   -9223372036854777856.0,
                                   1e300,
                                   -1e300,
                                   5e-324,
                                   -5e-324,
                                   HUGE_VAL,
                                   -HUGE_VAL};

/* Texts and blobs live until randomFree(). */
typedef struct RandomBytes {
  struct RandomBytes *next;
  char z[];
} RandomBytes;
static RandomBytes *randomBytes;

static inline void randomFree(void) {
  while (randomBytes) {
    RandomBytes *p = randomBytes;
    randomBytes = p->next;
    free(p);
  }
}

static inline mmapsync_value bytesOf(uint32_t type, const void *z, size_t n) {
  mmapsync_value v = {.type = type, .n = (uint32_t)n};
  RandomBytes *p = malloc(sizeof(*p) + n + 1);
  p->next = randomBytes;
  randomBytes = p;
  memcpy(p->z, z, n);
  v.u.p = p->z;
  return v;
}

/* A few letters of both cases, digits, blanks and NULs; n of them. */
static inline mmapsync_value randomLetters(uint32_t type, size_t n) {
  char z[64];
  size_t i;
  for (i = 0; i < n; i++) z[i] = "abAB0 \0z"[below(8)];
  return bytesOf(type, z, n);
}

/* How the values of a column are made: one for each encoding, and mixtures. */
enum {
  STYLE_SEQUENCE,
  STYLE_CONSTANT,
  STYLE_INT8,
  STYLE_INT16,
  STYLE_INT32,
  STYLE_INT64,
  STYLE_RISING,
  STYLE_CONST_REAL,
  STYLE_REAL,
  STYLE_EDGE_REAL,
  STYLE_DICT8,
  STYLE_DICT16,
  STYLE_TEXT,
  STYLE_WORDS,
  STYLE_BLOB,
  STYLE_NUMBERS,
  STYLE_ANY,
  STYLE_NULL,
  STYLES
};

static inline mmapsync_value randomValue(int style, uint64_t row) {
  char z[32];
  int n;
  switch (style) {
  case STYLE_SEQUENCE: return integer((int64_t)row - 40);
  case STYLE_CONSTANT: return integer(7);
  case STYLE_INT8: return integer(1000 + (int64_t)below(200));
  case STYLE_INT16: return integer((int64_t)below(60000) - 30000);
  case STYLE_INT32: return integer((int64_t)below(3000000) + TWO53 - 1500000);
  case STYLE_INT64: return integer(below(2) ? edgeInts[below(COUNT_OF(edgeInts))] : (int64_t)rnd());
  case STYLE_RISING: return integer((int64_t)row * 3 + (int64_t)below(3));
  case STYLE_CONST_REAL: return real(-0.0);
  case STYLE_REAL: return real((double)below(1000) / 4 - 100);
  case STYLE_EDGE_REAL: return real(edgeReals[below(COUNT_OF(edgeReals))]);
  case STYLE_DICT8: n = snprintf(z, sizeof(z), "Kind %d", (int)below(30)); break;
  case STYLE_DICT16: n = snprintf(z, sizeof(z), "of many words %d", (int)below(400)); break;
  case STYLE_TEXT: n = snprintf(z, sizeof(z), "a text, number %d", (int)below(1000000)); break;
  case STYLE_WORDS: return randomLetters(MMAPSYNC_TEXT, below(12));
  case STYLE_BLOB: return randomLetters(MMAPSYNC_BLOB, below(10));
  case STYLE_NUMBERS: return below(2) ? integer((int64_t)below(100)) : real((double)below(400) / 4);
  case STYLE_ANY: return randomValue((int)below(STYLE_ANY), row);
  default: return null();
  }
  return bytesOf(MMAPSYNC_TEXT, z, (size_t)n);
}

/* What a column's values may be compared with: one of them, a neighbour of one, an edge, or anything. */
static inline mmapsync_value randomConstant(int style, const mmapsync_value *like) {
  mmapsync_value v = like && below(4) ? *like : randomValue(style, below(5000));
  if (below(8) == 0) v = integer(edgeInts[below(COUNT_OF(edgeInts))]);
  if (below(8) == 0) v = real(edgeReals[below(COUNT_OF(edgeReals))]);
  if (below(16) == 0) v = randomValue(STYLE_ANY, below(5000));
  if (below(24) == 0) v = null();
  if (below(64) == 0) v = real((double)NAN); /* stands for NULL */
  if (v.type == MMAPSYNC_INTEGER) {
    switch (below(5)) {
    case 0: v = integer((int64_t)((uint64_t)v.u.i + below(3) - 1)); break;
    case 1: v = real((double)v.u.i); break;
    case 2: v = real((double)v.u.i + 0.5); break;
    default: break;
    }
  } else if (v.type == MMAPSYNC_REAL) {
    switch (below(5)) {
    case 0: v = real(nextafter(v.u.r, HUGE_VAL)); break;
    case 1: v = real(nextafter(v.u.r, -HUGE_VAL)); break;
    case 2:
      if (v.u.r > -9e18 && v.u.r < 9e18) v = integer((int64_t)v.u.r);
      break;
    default: break;
    }
  } else if (v.type >= MMAPSYNC_TEXT) {
    char z[64];
    size_t n = v.n;
    memcpy(z, v.u.p, n);
    switch (below(6)) {
    case 0: z[n++] = "\0 aZ"[below(4)]; break;
    case 1: n -= n > 0; break;
    case 2:
      if (n) z[below(n)] ^= 0x20; /* the case of letters, and other things of other bytes */
      break;
    case 3: v.type = v.type == MMAPSYNC_TEXT ? MMAPSYNC_BLOB : MMAPSYNC_TEXT; break;
    default: break;
    }
    v = bytesOf(v.type, z, n);
  }
  return v;
}

/* ---- tables ----------------------------------------------------------------------------------- */

#define RANDOM_COLS 6

typedef struct Random {
  int ncols;              /* that hold something */
  int style[RANDOM_COLS]; /* STYLE_... */
  int nulls[RANDOM_COLS]; /* how many in 16 rows are NULL */
  int width;              /* columns of the table: the more, the shorter its chunks */
  uint64_t rows;
  mmapsync_value *cells; /* [rows * ncols] */
} Random;

static inline const mmapsync_value *cell(const Random *m, uint64_t row, int c) {
  return &m->cells[row * (uint64_t)m->ncols + (uint64_t)c];
}

static inline void randomFill(Random *m) {
  uint64_t i, n = m->rows * (uint64_t)m->ncols;
  m->cells = malloc((n + 1) * sizeof(*m->cells));
  for (i = 0; i < n; i++) {
    int c = (int)(i % (uint64_t)m->ncols);
    m->cells[i] = randomValue(m->style[c], i / (uint64_t)m->ncols);
    if (below(16) < (uint64_t)m->nulls[c]) m->cells[i] = null();
  }
}

/* Publishes it with these keys as a table "t" of columns c0, c1, ... */
static inline void randomPublish(mmapsync *h, const Random *m, const mmapsync_key_def *keys,
                                 int nkeys) {
  static char names[2048][16];
  static mmapsync_column_def cols[2048];
  mmapsync_table_def def = {.name = "t",
                            .columns = cols,
                            .ncolumns = m->width,
                            .keys = keys,
                            .nkeys = nkeys,
                            .rowid = -1};
  mmapsync_builder *b;
  uint64_t r;
  int c;
  CHECK(m->width <= 2048 && m->width >= m->ncols);
  for (c = 0; c < m->width; c++) {
    snprintf(names[c], sizeof(names[c]), "c%d", c);
    cols[c].name = names[c];
  }
  OK(h, mmapsync_build_begin(h, &b));
  OK(h, mmapsync_build_table(b, &def));
  for (r = 0; r < m->rows; r++) {
    for (c = 0; c < m->ncols; c++) put(b, cell(m, r, c));
    for (; c < m->width; c++) mmapsync_build_null(b);
    OK(h, mmapsync_build_row(b));
  }
  OK(h, mmapsync_build_commit(b, NULL));
}

#endif
