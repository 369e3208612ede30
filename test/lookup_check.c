#define _GNU_SOURCE
/*
** lookup_check.c - what keys of table images tell: ranges, many lookups at once, many values, statistics.
**
** Random tables, and a search of the same values row by row that follows the words of mmapsync.h.
*/
#include "check_random.h"
#include "build.h"
#include "image.h"

#define PARTS 3

static const Random *sortRandom;
static const mmapsync_key_def *sortKey;

static int compareRows(uint64_t a, uint64_t b, int n) {
  int p, c = 0;
  for (p = 0; c == 0 && p < n; p++) {
    const mmapsync_part_def *d = &sortKey->parts[p];
    c = mmapsync_compare(cell(sortRandom, a, d->column), cell(sortRandom, b, d->column),
                         d->collation);
    if (d->desc) c = -c;
  }
  return c;
}

static int sortCompare(const void *pa, const void *pb) {
  uint64_t a = *(const uint64_t *)pa, b = *(const uint64_t *)pb;
  int c = compareRows(a, b, sortKey->nparts);
  return c ? c : (a > b) - (a < b);
}

/* Row numbers in the key's order, and whether it is unique. */
static uint64_t *sorted(const Random *m, const mmapsync_key_def *k, int *unique) {
  uint64_t i, *order = malloc((m->rows + 1) * sizeof(*order));
  int p, null;
  for (i = 0; i < m->rows; i++) order[i] = i;
  sortRandom = m;
  sortKey = k;
  qsort(order, m->rows, sizeof(*order), sortCompare);
  *unique = 1;
  for (i = 1; i < m->rows; i++) {
    for (null = p = 0; p < k->nparts; p++) {
      null |= cell(m, order[i], k->parts[p].column)->type == MMAPSYNC_NULL;
    }
    if (!null && compareRows(order[i - 1], order[i], k->nparts) == 0) *unique = 0;
  }
  return order;
}

/* Puts the rows themselves into the key's order. */
static void reorder(Random *m, const uint64_t *order) {
  mmapsync_value *cells = malloc((m->rows * (uint64_t)m->ncols + 1) * sizeof(*cells));
  uint64_t i;
  for (i = 0; i < m->rows; i++) {
    memcpy(&cells[i * (uint64_t)m->ncols], cell(m, order[i], 0), (size_t)m->ncols * sizeof(*cells));
  }
  free(m->cells);
  m->cells = cells;
}

/* ---- ranges ----------------------------------------------------------------------------------- */

static uint64_t rangesEmpty, rangesSome;

static void checkRange(const Random *m, const mmapsync_table *t, const mmapsync_key_def *k,
                       const uint64_t *order) {
  mmapsync_value values[PARTS], from, to;
  const mmapsync_value *pFrom = NULL, *pTo = NULL;
  int n = (int)below((uint64_t)k->nparts + 1), p, fromIn = (int)below(2), toIn = (int)below(2);
  uint64_t i, lo, hi, first = 0, count = 0;
  const mmapsync_part_def *d = &k->parts[n < k->nparts ? n : 0];

  for (p = 0; p < n; p++) {
    int c = k->parts[p].column;
    const mmapsync_value *like = m->rows ? cell(m, order[below(m->rows)], c) : NULL;
    values[p] = like && below(8) ? *like : randomConstant(m->style[c], like);
  }
  if (n && m->rows && below(2)) { /* a prefix that is there */
    uint64_t r = below(m->rows);
    for (p = 0; p < n; p++) values[p] = *cell(m, r, k->parts[p].column);
  }
  if (n < k->nparts) {
    const mmapsync_value *like = m->rows ? cell(m, below(m->rows), d->column) : NULL;
    from = randomConstant(m->style[d->column], like);
    to = randomConstant(m->style[d->column], like);
    if (below(3)) pFrom = &from;
    if (below(3)) pTo = &to;
    if (below(10) == 0) from = null();
  }
  for (i = 0; i < m->rows; i++) {
    int in = 1, c;
    for (p = 0; in && p < n; p++) {
      in = mmapsync_compare(cell(m, order[i], k->parts[p].column), &values[p],
                            k->parts[p].collation) == 0;
    }
    if (in && pFrom) {
      c = mmapsync_compare(cell(m, order[i], d->column), pFrom, d->collation);
      in = fromIn ? c >= 0 : c > 0;
    }
    if (in && pTo) {
      c = mmapsync_compare(cell(m, order[i], d->column), pTo, d->collation);
      in = toIn ? c <= 0 : c < 0;
    }
    if (in && count++ == 0) first = i;
  }
  CHECK(mmapsync_find_range(t, 0, values, n, pFrom, fromIn, pTo, toIn, &lo, &hi) == MMAPSYNC_OK);
  CHECK(lo <= hi && hi <= m->rows && hi - lo == count && (count == 0 || lo == first));
  rangesEmpty += count == 0;
  rangesSome += count > 0;
}

/* Keys of one to three parts, up and down, in the order of the rows or not, unique or not. */
static void caseRanges(void) {
  mmapsync *h = channelOpen();
  Opened o;
  int round, turn, c, unique;

  for (round = 0; round < 400; round++) {
    mmapsync_part_def parts[PARTS] = {{.column = 0}};
    mmapsync_key_def key = {.name = "k", .parts = parts, .nparts = 1 + (int)below(PARTS)};
    Random m = {
        .ncols = 3, .width = round % 10 ? 3 : 2048, .rows = round % 3 ? below(40) : below(1500)};
    uint64_t *order;
    for (c = 0; c < m.ncols; c++) {
      m.style[c] = (int)below(STYLES);
      m.nulls[c] = below(2) ? (int)below(8) : 0;
    }
    if (round % 4 == 0) m.style[0] = round % 8 ? STYLE_RISING : STYLE_SEQUENCE; /* DIRECT, RANK */
    if (round % 4 == 0) m.nulls[0] = 0;
    for (c = 0; c < key.nparts; c++) {
      parts[c].column = round % 4 == 0 && c == 0 ? 0 : (int)below(3);
      parts[c].collation = (int)below(3);
      parts[c].desc = below(3) == 0;
    }
    snprintf(checkAbout, sizeof(checkAbout), "round %d: column %d style %d parts %d", round,
             parts[0].column, m.style[parts[0].column], key.nparts);
    randomFill(&m);
    order = sorted(&m, &key, &unique);
    key.flags = unique ? MMAPSYNC_KEY_UNIQUE : 0;
    if (round % 2 == 0) {
      reorder(&m, order);
      free(order);
      order = sorted(&m, &key, &unique);
      key.flags |= MMAPSYNC_KEY_ORDERED;
    }
    randomPublish(h, &m, &key, 1);
    openImage(&o, h);
    for (turn = 0; turn < 60; turn++) checkRange(&m, o.t, &key, order);
    closeImage(&o);
    free(order);
    free(m.cells);
    randomFree();
  }
  CHECK(rangesEmpty > 1000 && rangesSome > 1000);
  mmapsync_close(h);
}

static void caseRangeMisuse(void) {
  mmapsync *h = channelOpen();
  mmapsync_key_def key = keyA(0);
  mmapsync_value v[] = {integer(1), integer(2), null()};
  uint64_t lo, hi, row;
  uint32_t rows[] = {0, 3};
  Opened o;
  OK(h, publishOne(h, &key, v, 3));
  openImage(&o, h);
  CHECK(mmapsync_find_range(o.t, 0, NULL, 0, NULL, 0, NULL, 0, &lo, &hi) == MMAPSYNC_OK);
  CHECK(lo == 0 && hi == 3);
  CHECK(mmapsync_find_range(o.t, 0, NULL, 0, &v[2], 0, NULL, 0, &lo, &hi) == MMAPSYNC_OK);
  CHECK(lo == 1 && hi == 3); /* without the NULLs */
  CHECK(mmapsync_find_range(o.t, 0, &v[2], 1, NULL, 0, NULL, 0, &lo, &hi) == MMAPSYNC_OK);
  CHECK(lo == 0 && hi == 1); /* NULL is NULL */
  CHECK(mmapsync_find_range(o.t, 0, v, 1, v, 0, NULL, 0, &lo, &hi) == MMAPSYNC_MISUSE);
  CHECK(mmapsync_find_range(o.t, 0, v, 2, NULL, 0, NULL, 0, &lo, &hi) == MMAPSYNC_MISUSE);
  CHECK(mmapsync_find_range(o.t, 0, v, -1, NULL, 0, NULL, 0, &lo, &hi) == MMAPSYNC_MISUSE);
  CHECK(mmapsync_find_range(o.t, 1, v, 0, NULL, 0, NULL, 0, &lo, &hi) == MMAPSYNC_MISUSE);
  CHECK(mmapsync_find_range(o.t, -1, v, 0, NULL, 0, NULL, 0, &lo, &hi) == MMAPSYNC_MISUSE);
  CHECK(mmapsync_find_range(o.t, 0, v, 1, NULL, 0, v, 0, &lo, &hi) == MMAPSYNC_MISUSE);
  CHECK(mmapsync_find_all(o.t, -1, v, 1, &lo, &hi) == MMAPSYNC_MISUSE);
  CHECK(mmapsync_key_row(o.t, -1, 0, &row) == MMAPSYNC_MISUSE);
  CHECK(mmapsync_find_many(o.t, -1, v, 1, &row) == MMAPSYNC_MISUSE);
  CHECK(mmapsync_find_many(o.t, 0, v, -1, &row) == MMAPSYNC_MISUSE);
  CHECK(mmapsync_get_many(o.t, rows, 1, -1, v) == MMAPSYNC_MISUSE);
  CHECK(mmapsync_find_many(o.t, 0, v, 1, &row) == MMAPSYNC_MISUSE); /* not unique */
  CHECK(mmapsync_find_many(o.t, 1, v, 1, &row) == MMAPSYNC_MISUSE);
  CHECK(mmapsync_get_many(o.t, rows, 2, 0, v) == MMAPSYNC_MISUSE); /* no row 3 */
  CHECK(mmapsync_get_many(o.t, rows, 1, 1, v) == MMAPSYNC_MISUSE);
  CHECK(mmapsync_get_many(o.t, rows, 0, 0, v) == MMAPSYNC_OK);
  closeImage(&o);
  mmapsync_close(h);
}

/* ---- many at once ----------------------------------------------------------------------------- */

/* Each search structure; values that are there, that are not, and NULL; as many as batches and not. */
static void caseFindMany(void) {
  static const int styles[] = {STYLE_SEQUENCE, STYLE_RISING, STYLE_TEXT,  STYLE_INT32,
                               STYLE_INT64,    STYLE_ANY,    STYLE_WORDS, STYLE_REAL};
  enum { MOST = 100 };
  mmapsync *h = channelOpen();
  mmapsync_value values[MOST * 2];
  uint64_t rows[MOST], row;
  int round, turn, i, n, unique, c, rc, hits = 0;
  Opened o;

  for (round = 0; round < 64; round++) {
    mmapsync_part_def parts[2] = {{.column = 0}, {.column = 1, .collation = (int)below(3)}};
    mmapsync_key_def key = {.name = "k", .parts = parts, .nparts = round % 4 == 3 ? 2 : 1};
    Random m = {.ncols = 2, .width = 2, .rows = round % 2 ? below(2000) : below(20)};
    uint64_t *order;
    m.style[0] = styles[round % COUNT_OF(styles)];
    m.style[1] = STYLE_WORDS;
    if (round % 3 == 0) m.nulls[0] = round % 8 < 2 ? 0 : 2;
    randomFill(&m);
    order = sorted(&m, &key, &unique);
    if (!unique) { /* the first rows of it are; one is */
      m.rows = m.rows > 0;
      order[0] = 0;
    }
    if (round % 8 < 2) key.flags = MMAPSYNC_KEY_ORDERED;
    if (key.flags) reorder(&m, order);
    free(order);
    key.flags |= MMAPSYNC_KEY_UNIQUE;
    randomPublish(h, &m, &key, 1);
    openImage(&o, h);
    for (turn = 0; turn < 10; turn++) {
      n = (int)below(MOST);
      for (i = 0; i < n; i++) {
        uint64_t r = m.rows ? below(m.rows) : 0;
        for (c = 0; c < key.nparts; c++) {
          values[i * key.nparts + c] =
              m.rows && below(4) ? *cell(&m, r, c)
                                 : randomConstant(m.style[c], m.rows ? cell(&m, r, c) : NULL);
        }
      }
      CHECK(mmapsync_find_many(o.t, 0, values, n, rows) == MMAPSYNC_OK);
      for (i = 0; i < n; i++) {
        rc = mmapsync_find(o.t, 0, &values[i * key.nparts], key.nparts, &row);
        CHECK(rc == MMAPSYNC_OK ? rows[i] == row
                                : rc == MMAPSYNC_NOTFOUND && rows[i] == UINT64_MAX);
        hits += rc == MMAPSYNC_OK;
      }
    }
    closeImage(&o);
    free(m.cells);
    randomFree();
  }
  CHECK(hits > 1000);
  mmapsync_close(h);
}

/* The value of row r, which stands in a run, as the header says that it is read there; of RUN_NONE, as it is got. */
static mmapsync_value runValue(const mmapsync_table *t, const mmapsync_run *run, uint64_t r) {
  uint64_t i = r - run->row, from = 0, to = 0;
  mmapsync_value v = {.type = MMAPSYNC_INTEGER};
  CHECK(r >= run->row && i < run->rows);
  if (run->null_bits && run->null_bits[i / 8] >> (i & 7) & 1) return null();
  switch (run->kind) {
  case MMAPSYNC_RUN_INT8: v.u.i = run->base + ((const uint8_t *)run->data)[i]; return v;
  case MMAPSYNC_RUN_INT16: v.u.i = run->base + ((const uint16_t *)run->data)[i]; return v;
  case MMAPSYNC_RUN_INT32: v.u.i = run->base + ((const uint32_t *)run->data)[i]; return v;
  case MMAPSYNC_RUN_INT64:
    v.u.i = (int64_t)((uint64_t)run->base + ((const uint64_t *)run->data)[i]);
    return v;
  case MMAPSYNC_RUN_SEQUENCE: v.u.i = run->base + (int64_t)i; return v;
  case MMAPSYNC_RUN_REAL: return real(((const double *)run->data)[i]);
  case MMAPSYNC_RUN_TEXT16:
    from = ((const uint16_t *)run->data)[i];
    to = ((const uint16_t *)run->data)[i + 1];
    break;
  case MMAPSYNC_RUN_TEXT32:
    from = ((const uint32_t *)run->data)[i];
    to = ((const uint32_t *)run->data)[i + 1];
    break;
  case MMAPSYNC_RUN_DICT8:
  case MMAPSYNC_RUN_DICT16:
    i = run->kind == MMAPSYNC_RUN_DICT8 ? ((const uint8_t *)run->data)[i]
                                        : ((const uint16_t *)run->data)[i];
    CHECK(i < (uint64_t)run->base);
    from = run->aux[i];
    to = run->aux[i + 1];
    break;
  default: CHECK(mmapsync_get(t, r, 0, &v) == MMAPSYNC_OK); return v;
  }
  CHECK(from < to && to <= run->heap_bytes);
  v.type = MMAPSYNC_TEXT;
  v.n = (uint32_t)(to - from - 1);
  v.u.p = run->heap + from;
  return v;
}

/* Each kind of run is met, with NULLs and without (but for a sequence), and gives the values. */
static void caseRun(void) {
  mmapsync *h = channelOpen();
  unsigned met = 0, metNulls = 0;
  mmapsync_run run;
  uint64_t i;
  int round;
  Opened o;

  for (round = 0; round < 6 * STYLES; round++) {
    Random m = {.ncols = 1,
                .style = {round % STYLES},
                .nulls = {round / STYLES % 3 == 0   ? 0
                          : round / STYLES % 3 == 1 ? 8
                                                    : 1},
                .width = round / STYLES < 3 ? 2048 : 64, /* several chunks; one */
                .rows = 1700};
    randomFill(&m);
    randomPublish(h, &m, NULL, 0);
    openImage(&o, h);
    for (i = 0; i < m.rows; i++) {
      mmapsync_value v;
      CHECK(mmapsync_run_of(o.t, i, 0, &run) == MMAPSYNC_OK);
      v = runValue(o.t, &run, i);
      CHECK(same(&v, cell(&m, i, 0)));
      *(run.null_bits ? &metNulls : &met) |= 1u << run.kind;
    }
    CHECK(mmapsync_run_of(o.t, m.rows, 0, &run) == MMAPSYNC_MISUSE);
    CHECK(mmapsync_run_of(o.t, 0, mmapsync_table_about(o.t)->ncolumns, &run) == MMAPSYNC_MISUSE);
    CHECK(mmapsync_run_of(o.t, 0, -1, &run) == MMAPSYNC_MISUSE);
    closeImage(&o);
    free(m.cells);
    randomFree();
  }
  /* TEXT32 takes more text than there is here: vtab-9 has it. */
  for (round = MMAPSYNC_RUN_NONE; round <= MMAPSYNC_RUN_DICT16; round++) {
    if (round == MMAPSYNC_RUN_TEXT32) continue;
    if (!(met >> round & 1)) checkFail(__LINE__, "no run of kind %d", round);
    if (!(metNulls >> round & 1) && round != MMAPSYNC_RUN_SEQUENCE) {
      checkFail(__LINE__, "no run of kind %d with NULLs", round);
    }
  }
  mmapsync_close(h);
}

/* Positions of a key at once: where rows stand in its order and where not, of few rows and of many. */
static void caseKeyRows(void) {
  mmapsync *h = channelOpen();
  uint32_t *rows = malloc(70000 * sizeof(*rows)), i;
  mmapsync_value *values = malloc(70000 * sizeof(*values));
  int round;
  Opened o;
  CHECK(rows && values);

  for (round = 0; round < 3; round++) {
    uint32_t n = round < 2 ? 300 : 70000;
    mmapsync_key_def key = keyA(round == 0 ? MMAPSYNC_KEY_ORDERED : 0);
    for (i = 0; i < n; i++) values[i] = integer(round == 0 ? i : i * 7919 % n);
    OK(h, publishOne(h, &key, values, (int)n));
    openImage(&o, h);
    CHECK(mmapsync_key_rows(o.t, 0, 0, n, rows) == MMAPSYNC_OK);
    for (i = 0; i < n; i++) {
      uint64_t row;
      CHECK(mmapsync_key_row(o.t, 0, i, &row) == MMAPSYNC_OK && row == rows[i]);
    }
    CHECK(mmapsync_key_rows(o.t, 0, n - 2, 2, rows + 9) == MMAPSYNC_OK);
    CHECK(rows[9] == rows[n - 2] && rows[10] == rows[n - 1]);
    CHECK(mmapsync_key_rows(o.t, 0, n, 0, rows) == MMAPSYNC_OK);
    CHECK(mmapsync_key_rows(o.t, 0, n - 2, 3, rows) == MMAPSYNC_MISUSE);
    CHECK(mmapsync_key_rows(o.t, 0, (uint64_t)n + 1, 0, rows) == MMAPSYNC_MISUSE);
    CHECK(mmapsync_key_rows(o.t, 0, 1, UINT32_MAX, rows) == MMAPSYNC_MISUSE);
    CHECK(mmapsync_key_rows(o.t, 1, 0, 1, rows) == MMAPSYNC_MISUSE);
    CHECK(mmapsync_key_rows(o.t, -1, 0, 1, rows) == MMAPSYNC_MISUSE);
    closeImage(&o);
  }
  free(rows);
  free(values);
  mmapsync_close(h);
}

/* Rows that rise, that repeat and that do not, across chunks. */
static void caseGetMany(void) {
  enum { MOST = 500 };
  mmapsync *h = channelOpen();
  mmapsync_value out[MOST];
  uint32_t rows[MOST], n, i;
  int style, turn;
  Opened o;

  for (style = 0; style < STYLES; style++) {
    Random m = {
        .ncols = 1, .style = {style}, .nulls = {style % 2 * 4}, .width = 2048, .rows = 1700};
    randomFill(&m);
    randomPublish(h, &m, NULL, 0);
    openImage(&o, h);
    for (turn = 0; turn < 10; turn++) {
      n = (uint32_t)below(MOST);
      for (i = 0; i < n; i++) {
        rows[i] =
            (uint32_t)(turn % 2 ? below(m.rows) : (i * 3 + (uint32_t)turn) % (uint32_t)m.rows);
      }
      CHECK(mmapsync_get_many(o.t, rows, n, 0, out) == MMAPSYNC_OK);
      for (i = 0; i < n; i++) CHECK(same(&out[i], cell(&m, rows[i], 0)));
    }
    closeImage(&o);
    free(m.cells);
    randomFree();
  }
  mmapsync_close(h);
}

/* ---- statistics ------------------------------------------------------------------------------- */

/* Columns of any style, and the parts of a key over the first three of them. */
static void keyRandom(Random *m, const mmapsync_key_def *key, mmapsync_part_def *parts) {
  int c;
  for (c = 0; c < m->ncols; c++) {
    m->style[c] = (int)below(STYLES);
    m->nulls[c] = below(2) ? (int)below(8) : 0;
  }
  for (c = 0; c < key->nparts; c++) {
    parts[c].column = (int)below(3);
    parts[c].collation = (int)below(3);
    parts[c].desc = below(3) == 0;
  }
  randomFill(m);
}

/* Different values of each prefix, of keys that are sorted and of one that rows stand in already. */
static void caseDistinct(void) {
  mmapsync *h = channelOpen();
  uint64_t *order, i, count;
  int round, c, unique;
  Opened o;

  for (round = 0; round < 300; round++) {
    mmapsync_part_def parts[PARTS] = {{.column = 0}};
    mmapsync_key_def key = {.name = "k", .parts = parts, .nparts = 1 + (int)below(PARTS)};
    Random m = {.ncols = 3, .width = 3, .rows = round % 3 ? below(60) : below(3000)};
    keyRandom(&m, &key, parts);
    order = sorted(&m, &key, &unique);
    if (round % 2) {
      reorder(&m, order);
      free(order);
      order = sorted(&m, &key, &unique);
      key.flags = MMAPSYNC_KEY_ORDERED;
    }
    randomPublish(h, &m, &key, 1);
    openImage(&o, h);
    for (c = 0; c < key.nparts; c++) {
      for (count = m.rows > 0, i = 1; i < m.rows; i++) {
        count += compareRows(order[i - 1], order[i], c + 1) != 0;
      }
      snprintf(checkAbout, sizeof(checkAbout), "round %d part %d: %llu, not %llu", round, c,
               (unsigned long long)mmapsync_key_about(o.t, 0)->distinct[c],
               (unsigned long long)count);
      CHECK(mmapsync_key_about(o.t, 0)->distinct[c] == count);
    }
    closeImage(&o);
    free(order);
    free(m.cells);
    randomFree();
  }
  mmapsync_close(h);
}

/* The same in runs that are merged: the order, the counts, and a duplicate that no run has by itself. */
static void caseRuns(void) {
  mmapsync *h = channelOpen();
  mmapsync_builder *b;
  uint64_t *order, i, row, count;
  int round, c, unique, refused = 0;
  Opened o;

  for (round = 0; round < 200; round++) {
    mmapsync_part_def parts[PARTS] = {{.column = 0}};
    mmapsync_key_def key = {.name = "k", .parts = parts, .nparts = 1 + (int)below(PARTS)};
    mmapsync_table_def def = table(3, &key, 1);
    Random m = {.ncols = 3, .width = 3, .rows = below(900)};
    keyRandom(&m, &key, parts);
    order = sorted(&m, &key, &unique);
    key.flags = unique || round % 4 == 0 ? MMAPSYNC_KEY_UNIQUE : 0;
    OK(h, mmapsync_build_begin(h, &b));
    b->sort_rows = 1 + below(round % 2 ? 20 : 400);
    snprintf(checkAbout, sizeof(checkAbout), "round %d: %llu rows, %llu at once", round,
             (unsigned long long)m.rows, (unsigned long long)b->sort_rows);
    OK(h, mmapsync_build_table(b, &def));
    for (i = 0; i < m.rows; i++) {
      for (c = 0; c < 3; c++) put(b, cell(&m, i, c));
      OK(h, mmapsync_build_row(b));
    }
    if (key.flags && !unique) {
      CHECK(mmapsync_build_commit(b, NULL) == MMAPSYNC_CONSTRAINT);
      refused++;
    } else {
      OK(h, mmapsync_build_commit(b, NULL));
      openImage(&o, h);
      for (i = 0; i < m.rows; i++) {
        CHECK(mmapsync_key_row(o.t, 0, i, &row) == MMAPSYNC_OK && row == order[i]);
      }
      for (c = 0; c < key.nparts; c++) {
        for (count = m.rows > 0, i = 1; i < m.rows; i++) {
          count += compareRows(order[i - 1], order[i], c + 1) != 0;
        }
        CHECK(mmapsync_key_about(o.t, 0)->distinct[c] == count);
      }
      closeImage(&o);
    }
    free(order);
    free(m.cells);
    randomFree();
  }
  CHECK(refused > 10);
  mmapsync_close(h);
}

/* Texts of a length at which the sorter gives up on pieces, and numbers that its pieces do not tell apart. */
static void caseDistinctLong(void) {
  enum { N = 400, LENGTH = 300 };
  mmapsync *h = channelOpen();
  mmapsync_key_def key = keyA(0);
  mmapsync_value v[N];
  char *bytes = malloc(N * LENGTH);
  Opened o;
  int i;
  memset(bytes, 'x', N * LENGTH);
  for (i = 0; i < N; i++) {
    bytes[i * LENGTH + LENGTH - 1] = (char)('a' + i * 7 % 20);
    v[i] = blob(bytes + i * LENGTH, LENGTH);
  }
  OK(h, publishOne(h, &key, v, N));
  openImage(&o, h);
  CHECK(mmapsync_key_about(o.t, 0)->distinct[0] == 20);
  closeImage(&o);
  for (i = 0; i < N; i++) v[i] = i % 2 ? integer(TWO53 + i % 9) : real((double)(TWO53 + i % 4 * 2));
  OK(h, publishOne(h, &key, v, N));
  openImage(&o, h);
  CHECK(mmapsync_key_about(o.t, 0)->distinct[0] == 9);
  closeImage(&o);
  free(bytes);
  mmapsync_close(h);
}

/* What is told of columns: bounds, and whether a text looks like a number. */
static void caseColumns(void) {
  mmapsync *h = channelOpen();
  const mmapsync_column_info *c;
  Opened o;
  int i;
#define COLUMN(...)                                                                                \
  do {                                                                                             \
    mmapsync_value v_[] = {__VA_ARGS__};                                                           \
    OK(h, publishOne(h, NULL, v_, COUNT_OF(v_)));                                                  \
    openImage(&o, h);                                                                              \
    c = mmapsync_column_about(o.t, 0);                                                             \
  } while (0)
#define BOUNDS(least, greatest)                                                                    \
  do {                                                                                             \
    mmapsync_value a_ = (least), b_ = (greatest);                                                  \
    CHECK(same(&c->min, &a_) && same(&c->max, &b_));                                               \
    closeImage(&o);                                                                                \
  } while (0)
  COLUMN(integer(3), integer(-5), null(), integer(9));
  BOUNDS(integer(-5), integer(9));
  COLUMN(integer(INT64_MAX), integer(INT64_MIN));
  BOUNDS(integer(INT64_MIN), integer(INT64_MAX));
  COLUMN(real(0.5), real(-HUGE_VAL), null());
  BOUNDS(real(-HUGE_VAL), real(0.5));
  COLUMN(integer(4), integer(5), integer(6)); /* a sequence */
  BOUNDS(integer(4), integer(6));
  COLUMN(integer(1), real(0.5));
  BOUNDS(null(), null());
  COLUMN(integer(1), text("x"));
  BOUNDS(null(), null());
  COLUMN(null(), null());
  BOUNDS(null(), null());
#undef BOUNDS
#define NUMERIC(yes, ...)                                                                          \
  do {                                                                                             \
    COLUMN(__VA_ARGS__);                                                                           \
    CHECK(!!(c->types & MMAPSYNC_TYPES_NUMERIC_TEXT) == (yes));                                    \
    closeImage(&o);                                                                                \
  } while (0)
  NUMERIC(0, text("A-17"), text(""), text("x1"));
  NUMERIC(1, text("A-17"), text("17"));
  NUMERIC(1, text("A-17"), null(), text(" -.5e3 "));
  NUMERIC(0, blob("17", 2), text("17 Main Street"));
  NUMERIC(0, integer(17));
#undef NUMERIC
#undef COLUMN
  { /* numbers in one chunk and text in another: no bounds of the whole */
    Random m = {.ncols = 2, .style = {STYLE_INT8, STYLE_INT8}, .width = 2048, .rows = 600};
    randomFill(&m);
    m.cells[2 * 599] = text("x");
    for (i = 512; i < 600; i++) m.cells[2 * i + 1] = i % 2 ? null() : real(1e9);
    randomPublish(h, &m, NULL, 0);
    openImage(&o, h);
    c = mmapsync_column_about(o.t, 0);
    CHECK(strcmp(c->encoding, "varied") == 0 && c->min.type == MMAPSYNC_NULL);
    CHECK(c->max.type == MMAPSYNC_NULL);
    c = mmapsync_column_about(o.t, 1); /* integers in one, reals in another: there are */
    CHECK(c->min.type == MMAPSYNC_INTEGER && c->min.u.i >= 1000 && c->max.u.r == 1e9);
    closeImage(&o);
    free(m.cells);
  }
  mmapsync_close(h);
}

/* An image of format 1, which this library wrote before: the same, but key parts without counts. */
static void caseFormat1(void) {
  mmapsync *h = channelOpen();
  static const mmapsync_part_def parts[] = {{.column = 1, .collation = 1, .desc = 1},
                                            {.column = 0}};
  mmapsync_key_def keys[] = {{.name = "k", .parts = parts, .nparts = 2}, keyA(MMAPSYNC_KEY_UNIQUE)};
  mmapsync_table_def def = table(2, keys, 2);
  mmapsync_builder *b;
  mmapsync_view view;
  mmapsync_value v;
  ImageHeader hdr;
  DirTable t;
  uint8_t *bytes;
  uint64_t lo, hi, row;
  uint32_t i, k;
  void *data;
  Opened o;

  OK(h, mmapsync_build_begin(h, &b));
  OK(h, mmapsync_build_table(b, &def));
  for (i = 0; i < 100; i++) {
    mmapsync_build_int(b, i * 7 % 100);
    mmapsync_build_text(b, i % 2 ? "odd" : "even", i % 2 ? 3 : 4);
    OK(h, mmapsync_build_row(b));
  }
  OK(h, mmapsync_build_commit(b, NULL));
  OK(h, mmapsync_read(h, &view));
  bytes = malloc(view.size);
  memcpy(bytes, view.data, view.size);
  memcpy(&hdr, bytes, sizeof(hdr));
  CHECK(hdr.format == 2);
  hdr.format = 1;
  memcpy(bytes, &hdr, sizeof(hdr));
  memcpy(&t, bytes + hdr.dir, sizeof(t));
  for (k = 0; k < t.nkeys; k++) { /* parts were 8 bytes, one behind the other */
    DirKey dk;
    memcpy(&dk, bytes + hdr.dir + t.keys + k * sizeof(dk), sizeof(dk));
    for (i = 0; i < dk.nparts; i++) {
      uint8_t *at = bytes + hdr.dir + dk.parts;
      memmove(at + i * 8, at + i * sizeof(DirPart), 8);
    }
  }
  OK(h, mmapsync_write_begin(h, view.size, &data));
  memcpy(data, bytes, view.size);
  OK(h, mmapsync_write_commit(h, view.size, MMAPSYNC_KIND_IMAGE, NULL));
  mmapsync_release(h, &view);
  free(bytes);

  openImage(&o, h);
  CHECK(mmapsync_key_about(o.t, 0)->distinct[0] == 0 &&
        mmapsync_key_about(o.t, 0)->distinct[1] == 0);
  CHECK(mmapsync_key_about(o.t, 0)->parts[0].column == 1 &&
        mmapsync_key_about(o.t, 0)->parts[0].desc);
  CHECK(mmapsync_key_about(o.t, 0)->parts[1].column == 0);
  CHECK(mmapsync_column_about(o.t, 0)->types == 1u << MMAPSYNC_INTEGER);
  CHECK(mmapsync_column_about(o.t, 1)->types ==
        (1u << MMAPSYNC_TEXT | MMAPSYNC_TYPES_NUMERIC_TEXT));
  v = text("ODD");
  CHECK(mmapsync_find_all(o.t, 0, &v, 1, &lo, &hi) == MMAPSYNC_OK && lo == 0 && hi == 50);
  v = integer(14);
  CHECK(mmapsync_find(o.t, 1, &v, 1, &row) == MMAPSYNC_OK && row == 2);
  closeImage(&o);
  mmapsync_close(h);
}

/* Bounds at both ends of what integers there are, where keys are counted; and in a column of which a whole chunk is
** NULL. */
static void caseExtremes(void) {
  static const mmapsync_part_def partA[] = {{.column = 0}};
  mmapsync_key_def key = keyA(MMAPSYNC_KEY_ORDERED | MMAPSYNC_KEY_UNIQUE);
  mmapsync_table_def def;
  mmapsync_builder *b;
  mmapsync *h = channelOpen();
  mmapsync_value v[3], most = integer(INT64_MAX), least = integer(INT64_MIN), some = integer(1000);
  uint64_t lo, hi, row;
  uint32_t rows[3];
  Opened o;
  int i;

  for (i = 0; i < 3; i++) v[i] = integer(INT64_MIN + i);
  OK(h, publishOne(h, &key, v, 3));
  openImage(&o, h);
  CHECK(mmapsync_find_range(o.t, 0, NULL, 0, &least, 1, &most, 1, &lo, &hi) == MMAPSYNC_OK);
  CHECK(lo == 0 && hi == 3);
  CHECK(mmapsync_find_range(o.t, 0, NULL, 0, &least, 0, &most, 0, &lo, &hi) == MMAPSYNC_OK);
  CHECK(lo == 1 && hi == 3);
  CHECK(mmapsync_find_range(o.t, 0, NULL, 0, &most, 0, NULL, 0, &lo, &hi) == MMAPSYNC_OK);
  CHECK(lo == 3 && hi == 3);
  closeImage(&o);

  key = (mmapsync_key_def){.name = "k", .parts = partA, .nparts = 1};
  def = table(1, &key, 1);
  OK(h, mmapsync_build_begin(h, &b));
  mmapsync_build_table(b, &def);
  for (i = 0; i < 67000; i++) {
    if (i < 65536) {
      mmapsync_build_null(b);
    } else {
      mmapsync_build_int(b, (int64_t)i * UINT32_MAX);
    }
    mmapsync_build_row(b);
  }
  OK(h, mmapsync_build_commit(b, NULL));
  openImage(&o, h);
  CHECK(mmapsync_find_range(o.t, 0, NULL, 0, &some, 1, NULL, 0, &lo, &hi) == MMAPSYNC_OK);
  CHECK(lo == 65536 && hi == 67000);
  some = integer((int64_t)65540 * UINT32_MAX);
  CHECK(mmapsync_find_all(o.t, 0, &some, 1, &lo, &hi) == MMAPSYNC_OK && lo == 65540 &&
        hi == lo + 1);
  CHECK(mmapsync_key_row(o.t, 0, lo, &row) == MMAPSYNC_OK && row == 65540);
  for (i = 0; i < 3; i++) rows[i] = (uint32_t)(66000 - i);
  CHECK(mmapsync_get_many(o.t, rows, 3, 0, v) == MMAPSYNC_OK);
  for (i = 0; i < 3; i++) CHECK(v[i].u.i == (int64_t)rows[i] * UINT32_MAX);
  closeImage(&o);
  mmapsync_close(h);
}

static const CheckCase cases[] = {
    {"ranges", caseRanges},
    {"range_misuse", caseRangeMisuse},
    {"find_many", caseFindMany},
    {"get_many", caseGetMany},
    {"distinct", caseDistinct},
    {"distinct_long", caseDistinctLong},
    {"runs", caseRuns},
    {"columns", caseColumns},
    {"format_1", caseFormat1},
    {"run", caseRun},
    {"key_rows", caseKeyRows},
    {"extremes", caseExtremes},
    {NULL, NULL},
};

int main(int argc, char **argv) { return checkMain(argc, argv, cases); }
