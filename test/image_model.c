/*
** image_model.c - random tables through the C API, compared with a plain array of the same values.
**
** usage: image_model PATH SEED TABLES
**
** Each round publishes one snapshot of a few tables with random columns, values and keys, reads it back
** through a second handle, and compares: every value by type and bits; every key's order with the order
** that mmapsync_compare() gives; every lookup, hit and miss, with a search of the array.  Prints what it
** did; exits 1 with a sentence at the first difference.
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mmapsync.h"

#define MAX_COLS 6
#define MAX_ROWS 70000
#define MAX_KEYS 4

typedef struct Model {
  char name[32];
  int ncols, nkeys;
  uint64_t nrows;
  int style[MAX_COLS];
  mmapsync_value *cells; /* [nrows * ncols] */
  mmapsync_part_def parts[MAX_KEYS][3];
  mmapsync_key_def keys[MAX_KEYS];
} Model;

static uint64_t seed;
static long nvalues, nlookups;

static uint64_t rnd(void) { /* xorshift64*: the same numbers everywhere for one seed */
  seed ^= seed >> 12;
  seed ^= seed << 25;
  seed ^= seed >> 27;
  return seed * UINT64_C(2685821657736338717);
}

static uint64_t below(uint64_t n) { return rnd() % n; }

static void fail(const char *zWhat, const Model *m, uint64_t row, int k) {
  fprintf(stderr, "image_model: %s: table %s row %llu column or key %d\n", zWhat, m->name,
          (unsigned long long)row, k);
  exit(1);
}

static void must(int rc, mmapsync *h) {
  if (rc == MMAPSYNC_OK) return;
  fprintf(stderr, "image_model: %s\n", mmapsync_errmsg(h));
  exit(1);
}

/* Texts and blobs live until the end of the round. */
typedef struct Bytes {
  struct Bytes *next;
  char z[];
} Bytes;
static Bytes *bytes;

static void bytesFree(void) {
  while (bytes) {
    Bytes *p = bytes;
    bytes = p->next;
    free(p);
  }
}

static mmapsync_value randomBytes(uint32_t type, uint32_t n, int letters) {
  mmapsync_value v = {.type = type, .n = n};
  Bytes *pBytes = malloc(sizeof(*pBytes) + n + 1);
  char *p;
  uint32_t i;
  pBytes->next = bytes;
  bytes = pBytes;
  p = bytes->z;
  for (i = 0; i < n; i++) p[i] = (char)(letters ? "abAB 0\0z"[below(8)] : (char)rnd());
  v.u.p = p;
  return v;
}

static mmapsync_value randomInt(int style) {
  static const int64_t aEdge[] = {
      INT64_MIN, INT64_MAX, 0,     -1,   1,         INT32_MAX,       INT32_MIN,   UINT32_MAX,  255,
      256,       65535,     65536, -129, 1LL << 53, (1LL << 53) + 1, (1LL << 62), -(1LL << 62)};
  mmapsync_value v = {.type = MMAPSYNC_INTEGER};
  if (style == 1) {
    v.u.i = aEdge[below(sizeof(aEdge) / sizeof(aEdge[0]))];
  } else {
    v.u.i = (int64_t)(rnd() >> (8 * below(8)));
  }
  return v;
}

static mmapsync_value randomReal(void) {
  static const double aEdge[] = {0.0, -0.0, 1.0, 0.5, 1e300, -1e-300, 9007199254740992.0, 1e19};
  mmapsync_value v = {.type = MMAPSYNC_REAL};
  v.u.r = below(2) ? aEdge[below(8)] : (double)(int64_t)rnd() / 1024.0;
  return v;
}

/* A value in the style of its column: so that every encoding is met. */
static mmapsync_value randomValue(int style, uint64_t row) {
  mmapsync_value v = {.type = MMAPSYNC_NULL};
  switch (style) {
  case 0:
    v.type = MMAPSYNC_INTEGER;
    v.u.i = (int64_t)row - 50;
    return v;
  case 1: return randomInt(1);
  case 2: return randomInt(0);
  case 3: return randomReal();
  case 4: return randomBytes(MMAPSYNC_TEXT, (uint32_t)below(3), 1);
  case 5: return randomBytes(MMAPSYNC_TEXT, (uint32_t)below(40), 1);
  case 6: return randomBytes(MMAPSYNC_BLOB, (uint32_t)below(20), 0);
  case 7: return v;
  case 8:
    v.type = MMAPSYNC_INTEGER;
    v.u.i = (int64_t)below(4);
    return below(5) ? v : (v.type = 0, v);
  case 9:
    v.type = MMAPSYNC_REAL;
    v.u.r = -0.0;
    return v;
  /* Of one length, one with NULLs. */
  case 10: return randomBytes(MMAPSYNC_TEXT, 7, 1);
  case 11: return randomBytes(MMAPSYNC_BLOB, 3, 0);
  case 12: return below(3) ? v : randomBytes(MMAPSYNC_TEXT, 5, 1);
  default: return randomValue((int)below(10), row);
  }
}

static int sameValue(const mmapsync_value *a, const mmapsync_value *b) {
  if (a->type != b->type) return 0;
  switch (a->type) {
  case MMAPSYNC_NULL: return 1;
  case MMAPSYNC_INTEGER: return a->u.i == b->u.i;
  case MMAPSYNC_REAL: return memcmp(&a->u.r, &b->u.r, 8) == 0;
  default: return a->n == b->n && (a->n == 0 || memcmp(a->u.p, b->u.p, a->n) == 0);
  }
}

static int compareRows(const Model *m, const mmapsync_key_def *k, uint64_t a, uint64_t b, int n) {
  int i, c = 0;
  for (i = 0; c == 0 && i < n; i++) {
    const mmapsync_part_def *p = &k->parts[i];
    c = mmapsync_compare(&m->cells[a * (uint64_t)m->ncols + (uint64_t)p->column],
                         &m->cells[b * (uint64_t)m->ncols + (uint64_t)p->column], p->collation);
    if (p->desc) c = -c;
  }
  return c;
}

static const Model *sortModel;
static const mmapsync_key_def *sortKey;
static int sortCompare(const void *pa, const void *pb) {
  uint64_t a = *(const uint64_t *)pa, b = *(const uint64_t *)pb;
  int c = compareRows(sortModel, sortKey, a, b, sortKey->nparts);
  return c ? c : (a > b) - (a < b);
}

/* The rows in the order of a key, ties by row number. */
static uint64_t *sorted(const Model *m, const mmapsync_key_def *k) {
  uint64_t i, *a = malloc((m->nrows + 1) * sizeof(*a));
  for (i = 0; i < m->nrows; i++) a[i] = i;
  sortModel = m;
  sortKey = k;
  qsort(a, m->nrows, sizeof(*a), sortCompare);
  return a;
}

static int hasNull(const Model *m, const mmapsync_key_def *k, uint64_t row) {
  int p;
  for (p = 0; p < k->nparts; p++) {
    if (m->cells[row * (uint64_t)m->ncols + (uint64_t)k->parts[p].column].type == MMAPSYNC_NULL) {
      return 1;
    }
  }
  return 0;
}

/* A key is declared unique if it happens to be. */
static void findUnique(const Model *m, mmapsync_key_def *k) {
  uint64_t i, *a = sorted(m, k);
  int unique = 1, ordered = 1;
  for (i = 0; i < m->nrows; i++) {
    if (a[i] != i) ordered = 0;
    if (i && compareRows(m, k, a[i - 1], a[i], k->nparts) == 0 && !hasNull(m, k, a[i])) unique = 0;
  }
  free(a);
  k->flags = (unique ? MMAPSYNC_KEY_UNIQUE : 0u) | (ordered ? MMAPSYNC_KEY_ORDERED : 0u);
}

static void modelMake(Model *m, int i) {
  int c, k, p, ordered = 0;
  uint64_t r;
  memset(m, 0, sizeof(*m));
  snprintf(m->name, sizeof(m->name), "t%d", i);
  m->ncols = 1 + (int)below(MAX_COLS);
  m->nrows = below(10) == 0 ? below(MAX_ROWS) : below(2) ? below(300) : below(8);
  for (c = 0; c < m->ncols; c++) m->style[c] = (int)below(15);
  m->cells = malloc((m->nrows * (uint64_t)m->ncols + 1) * sizeof(*m->cells));
  for (r = 0; r < m->nrows; r++) {
    for (c = 0; c < m->ncols; c++) {
      m->cells[r * (uint64_t)m->ncols + (uint64_t)c] = randomValue(m->style[c], r);
      if (m->style[c] == 0 && i % 2 && r) { /* rising, with gaps: a rank or a hash */
        uint64_t up = 1 + below(i % 4 == 1 ? 5 : 1000);
        m->cells[r * (uint64_t)m->ncols + (uint64_t)c].u.i =
            m->cells[(r - 1) * (uint64_t)m->ncols + (uint64_t)c].u.i + (int64_t)up;
      }
    }
  }
  m->nkeys = (int)below(MAX_KEYS + 1);
  for (k = 0; k < m->nkeys; k++) {
    m->keys[k].name = "k";
    m->keys[k].parts = m->parts[k];
    m->keys[k].nparts = 1 + (int)below(3);
    for (p = 0; p < m->keys[k].nparts; p++) {
      m->parts[k][p].column = (int)below((uint64_t)m->ncols);
      m->parts[k][p].collation = (int)below(3);
      m->parts[k][p].desc = below(4) == 0;
    }
    findUnique(m, &m->keys[k]);
    if (m->keys[k].flags & MMAPSYNC_KEY_ORDERED && ordered++) {
      m->keys[k].flags &= ~(uint32_t)MMAPSYNC_KEY_ORDERED;
    }
  }
}

static void modelPublish(const Model *m, mmapsync *h, mmapsync_builder *b) {
  static const mmapsync_column_def aCol[MAX_COLS] = {{.name = "a"}, {.name = "b"}, {.name = "c"},
                                                     {.name = "d"}, {.name = "e"}, {.name = "f"}};
  mmapsync_table_def def = {.name = m->name,
                            .columns = aCol,
                            .ncolumns = m->ncols,
                            .keys = m->keys,
                            .nkeys = m->nkeys,
                            .rowid = -1};
  uint64_t i, n = m->nrows * (uint64_t)m->ncols;
  must(mmapsync_build_table(b, &def), h);
  for (i = 0; i < n; i++) {
    const mmapsync_value *v = &m->cells[i];
    switch (v->type) {
    case MMAPSYNC_NULL: mmapsync_build_null(b); break;
    case MMAPSYNC_INTEGER: mmapsync_build_int(b, v->u.i); break;
    case MMAPSYNC_REAL: mmapsync_build_real(b, v->u.r); break;
    case MMAPSYNC_TEXT: mmapsync_build_text(b, v->u.p, v->n); break;
    default: mmapsync_build_blob(b, v->u.p, v->n); break;
    }
    if ((i + 1) % (uint64_t)m->ncols == 0) must(mmapsync_build_row(b), h);
  }
}

/* Lookups of n values in key k: what the array says, against what the image says. */
static void checkLookup(const Model *m, const mmapsync_table *t, int k, const uint64_t *order,
                        const mmapsync_value *v, int n) {
  const mmapsync_key_def *def = &m->keys[k];
  uint64_t lo = 0, hi = 0, row, i, first = m->nrows, count = 0;
  int p, rc, null = 0;
  for (p = 0; p < n; p++) null |= v[p].type == MMAPSYNC_NULL;
  for (i = 0; !null && i < m->nrows; i++) {
    int c = 0;
    for (p = 0; c == 0 && p < n; p++) {
      const mmapsync_part_def *pd = &def->parts[p];
      c = mmapsync_compare(&m->cells[order[i] * (uint64_t)m->ncols + (uint64_t)pd->column], &v[p],
                           pd->collation);
    }
    if (c == 0 && count++ == 0) first = i;
  }
  nlookups++;
  if (mmapsync_find_all(t, k, v, n, &lo, &hi) != MMAPSYNC_OK) fail("find_all failed", m, 0, k);
  if (hi - lo != count || (count && lo != first)) fail("find_all differs", m, first, k);
  if (n != def->nparts || !(def->flags & MMAPSYNC_KEY_UNIQUE)) return;
  rc = mmapsync_find(t, k, v, n, &row);
  if (rc != (count ? MMAPSYNC_OK : MMAPSYNC_NOTFOUND)) fail("find differs", m, first, k);
  if (count && row != order[first]) fail("find gives another row", m, row, k);
}

static void checkKey(const Model *m, const mmapsync_table *t, int k) {
  uint64_t i, row, *order = sorted(m, &m->keys[k]);
  int p, turn, np = m->keys[k].nparts;
  for (i = 0; i < m->nrows; i++) {
    if (mmapsync_key_row(t, k, i, &row) != MMAPSYNC_OK || row != order[i]) {
      fail("order differs", m, i, k);
    }
  }
  for (turn = 0; turn < (m->nrows > 1000 ? 10 : 60); turn++) {
    mmapsync_value v[3];
    for (p = 0; p < np; p++) {
      int c = m->keys[k].parts[p].column;
      if (m->nrows && below(4)) {
        v[p] = m->cells[below(m->nrows) * (uint64_t)m->ncols + (uint64_t)c];
      } else {
        v[p] = randomValue(m->style[c], below(m->nrows + 1));
      }
      if (v[p].type == MMAPSYNC_INTEGER && below(3) == 0) { /* the same number as a real */
        double r = (double)v[p].u.i;
        v[p].type = MMAPSYNC_REAL;
        v[p].u.r = r;
      }
    }
    if (m->nrows && below(2)) { /* a row's whole key: a sure hit */
      uint64_t r = below(m->nrows);
      for (p = 0; p < np; p++) {
        v[p] = m->cells[r * (uint64_t)m->ncols + (uint64_t)m->keys[k].parts[p].column];
      }
    }
    checkLookup(m, t, k, order, v, 1 + (int)below((uint64_t)np));
    checkLookup(m, t, k, order, v, np);
  }
  free(order);
}

static void modelCheck(const Model *m, const mmapsync_image *image) {
  const mmapsync_table *t = mmapsync_table_find(image, m->name);
  uint64_t r;
  int c, k;
  if (t == NULL || mmapsync_table_about(t)->rows != m->nrows) fail("no such table", m, 0, 0);
  for (r = 0; r < m->nrows; r++) {
    for (c = 0; c < m->ncols; c++) {
      mmapsync_value v;
      if (mmapsync_get(t, r, c, &v) != MMAPSYNC_OK) fail("get failed", m, r, c);
      if (!sameValue(&v, &m->cells[r * (uint64_t)m->ncols + (uint64_t)c])) {
        fail("value differs", m, r, c);
      }
      if (v.type >= MMAPSYNC_TEXT && ((const char *)v.u.p)[v.n]) fail("no NUL behind", m, r, c);
      nvalues++;
    }
  }
  for (k = 0; k < m->nkeys; k++) checkKey(m, t, k);
}

int main(int argc, char **argv) {
  mmapsync *writer = NULL, *reader = NULL;
  mmapsync_image *image = NULL;
  mmapsync_view view;
  int i, n, done, total = argc > 3 ? atoi(argv[3]) : 40;
  Model aModel[4];
  if (argc < 3) return 2;
  seed = strtoull(argv[2], NULL, 10) * 2 + 1;
  must(mmapsync_open(argv[1], NULL, &writer), writer);
  must(mmapsync_open(argv[1], NULL, &reader), reader);
  for (done = 0; done < total; done += n) {
    mmapsync_builder *b;
    n = 1 + (int)below(4);
    for (i = 0; i < n; i++) modelMake(&aModel[i], i + done);
    must(mmapsync_build_begin(writer, &b), writer);
    for (i = 0; i < n; i++) modelPublish(&aModel[i], writer, b);
    must(mmapsync_build_commit(b, NULL), writer);
    must(mmapsync_read(reader, &view), reader);
    must(mmapsync_image_open(reader, &view, &image), reader);
    for (i = 0; i < n; i++) modelCheck(&aModel[i], image);
    mmapsync_image_close(image);
    mmapsync_release(reader, &view);
    for (i = 0; i < n; i++) free(aModel[i].cells);
    bytesFree();
  }
  mmapsync_close(reader);
  mmapsync_close(writer);
  printf("%d tables, %ld values, %ld lookups\n", done, nvalues, nlookups);
  return 0;
}
