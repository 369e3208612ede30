/*
** imagerange.c - positions in the order of a key: where rows begin and end that lie between bounds.
**
** Every question comes down to one: how many rows of the order come before a bound?  A bound is the values of
** the first parts, perhaps a value for the next, and whether rows equal to it come before it or behind.
**
** NUMBERS.  Most keys begin with a column that holds only integers, or only reals.  Then the bound's first value
** is turned once into a number of that kind and what it means to be equal to it, and rows are compared with
** that as they are stored.  Only rows that are equal in it are looked at further.  Text that is compared byte by byte
** is compared where it stands, too.
**
** SHORT CUTS.  DIRECT and RANK tell the number at once.  Where the rows themselves stand in the order, the
** chunks' bounds, which are in private memory, leave one chunk to search, mostly.
**
** The second end of a stretch is looked for from the first on, in steps that double: mostly it is near, and
** its lines are at hand.  (To ask early for the lines that the next two steps may need was tried: it cost as much
** as it gained.)
*/
#include <assert.h>
#include <string.h>

#include "image.h"
#include "imagevalue.h"
#include "order.h"
#include "vector.h"

typedef struct Bound {
  const mmapsync_value *values;
  int n;
  const mmapsync_value *edge; /* of part n, or NULL: the n parts alone */
  int after;                  /* rows equal to it come before the bound */
  /* The first part, if its column is numbers: rows below the pivot come before it, those above behind, and
  ** those at it are, as `at` says, -1 before, 0 equal to it, or 1 behind. */
  int numbers; /* CHUNK_INT, CHUNK_REAL, or 0 */
  int64_t pivot;
  double rpivot;
  int at;
  int null; /* how a NULL row compares: 0 or -1 */
  const mmapsync_value
      *text; /* the first part's value, if it is text that is compared byte by byte, or NULL */
  int desc;  /* the first part's: all this is the other way round */
} Bound;

/* The row at a position of a key, or t->rows if the order leads nowhere. */
static uint64_t rowAt(const mmapsync_table *t, const Key *k, uint64_t pos) {
  uint64_t row;
  assert(pos < t->rows);
  if (k->order == NULL) return pos;
  row = loadWidth(k->order, k->order_width, pos);
  return row < t->rows ? row : t->rows;
}

int mmapsync_key_row(const mmapsync_table *t, int ik, uint64_t pos, uint64_t *row) {
  if (ik < 0 || ik >= t->info.nkeys || pos >= t->rows) return MMAPSYNC_MISUSE;
  *row = rowAt(t, &t->keys[ik], pos);
  return *row < t->rows ? MMAPSYNC_OK : MMAPSYNC_CORRUPT;
}

/* The greatest of n numbers. */
VECTOR_LOOPS static uint32_t rowsMost(const uint32_t *rows, uint32_t n) {
  uint32_t i, most = 0;
  for (i = 0; i < n; i++) most = rows[i] > most ? rows[i] : most;
  return most;
}

VECTOR_LOOPS static void rowsWiden(const uint16_t *narrow, uint32_t n, uint32_t *restrict rows) {
  uint32_t i;
  for (i = 0; i < n; i++) rows[i] = narrow[i];
}

VECTOR_LOOPS static void rowsCount(uint32_t from, uint32_t n, uint32_t *rows) {
  uint32_t i;
  for (i = 0; i < n; i++) rows[i] = from + i;
}

int mmapsync_key_rows(const mmapsync_table *t, int ik, uint64_t pos, uint32_t n, uint32_t *rows) {
  const Key *k;
  if (ik < 0 || ik >= t->info.nkeys || pos > t->rows || n > t->rows - pos) return MMAPSYNC_MISUSE;
  k = &t->keys[ik];
  if (!k->order) {
    rowsCount((uint32_t)pos, n, rows);
    return MMAPSYNC_OK;
  }
  if (k->order_width == 2) {
    rowsWiden((const uint16_t *)k->order + pos, n, rows);
    sharedTaken(rows);
  } else {
    sharedCopy(rows, (const uint32_t *)k->order + pos, (size_t)n * sizeof(*rows));
  }
  return n == 0 || rowsMost(rows, n) < t->rows ? MMAPSYNC_OK : MMAPSYNC_CORRUPT;
}

/* ---- the first part as a number -------------------------------------------------------------- */

/* Makes the pivot of integers for v. */
static void pivotInt(Bound *b, const mmapsync_value *v) {
  static const mmapsync_value least = {.type = MMAPSYNC_INTEGER, .u.i = INT64_MIN};
  static const mmapsync_value most = {.type = MMAPSYNC_INTEGER, .u.i = INT64_MAX};
  if (v->type == MMAPSYNC_INTEGER) {
    b->pivot = v->u.i;
    b->at = 0;
  } else if (mmapsync_compare(&most, v, MMAPSYNC_BINARY) < 0) {
    b->pivot = INT64_MAX;
    b->at = -1;
  } else if (mmapsync_compare(&least, v, MMAPSYNC_BINARY) > 0) {
    b->pivot = INT64_MIN;
    b->at = 1;
  } else { /* a real that the cast below, toward zero, is next to */
    b->pivot = (int64_t)v->u.r;
    b->at = orderIntReal(b->pivot, v->u.r);
  }
}

static void pivotReal(Bound *b, const mmapsync_value *v) {
  static const mmapsync_value number = {.type = MMAPSYNC_INTEGER, .u.i = 0};
  if (orderIsNull(v)) {
    b->rpivot = -(double)__builtin_inf();
    b->at = 1;
  } else if (v->type == MMAPSYNC_REAL) {
    b->rpivot = v->u.r;
    b->at = 0;
  } else if (v->type == MMAPSYNC_INTEGER) {
    b->rpivot = (double)v->u.i; /* the nearest: no double lies between the two */
    b->at = -orderIntReal(v->u.i, b->rpivot);
  } else {
    b->rpivot = (double)__builtin_inf();
    b->at = mmapsync_compare(&number, v, MMAPSYNC_BINARY);
  }
}

static void boundMake(Bound *b, const mmapsync_table *t, const Key *k) {
  const mmapsync_value *v = b->n > 0 ? &b->values[0] : b->edge;
  assert(v != NULL); /* boundFind() */
  b->numbers = t->columns[k->parts[0].column].numbers;
  b->text = NULL;
  b->desc = k->parts[0].desc;
  if (b->numbers == 0) {
    b->text = v->type == MMAPSYNC_TEXT && k->parts[0].collation == MMAPSYNC_BINARY ? v : NULL;
    return;
  }
  b->null = orderIsNull(v) ? 0 : -1;
  if (b->numbers == CHUNK_INT) {
    pivotInt(b, v);
  } else {
    pivotReal(b, v);
  }
}

/* How the first part of a row compares, by number. */
static int numberCompare(const Bound *b, const mmapsync_table *t, const Column *c, uint64_t row) {
  const Chunk *k = &c->chunks[row >> t->chunk_shift];
  uint64_t r = row & t->chunk_mask, x;
  double real;
  if (k->encoding == CHUNK_NULLS) return b->null;
  if (k->null_bits && (k->null_bits[r >> 3] >> (r & 7) & 1)) return b->null;
  if (k->flags & CHUNK_SPARSE) {
    r = sparsePlace(k, r);
    if (r >= k->stored) return b->null; /* damaged: any answer will do that stays inside */
  }
  if (b->numbers == CHUNK_INT) {
    x = k->width ? loadWidth(k->data, k->width, r) : k->flags & CHUNK_SEQUENCE ? r : 0;
    x += (uint64_t)k->base;
    return (int64_t)x < b->pivot ? -1 : (int64_t)x > b->pivot ? 1 : b->at;
  }
  memcpy(&real, k->width ? (const void *)(k->data + 8 * r) : (const void *)&k->base, 8);
  return real < b->rpivot ? -1 : real > b->rpivot ? 1 : b->at;
}

/* How the first part of a row compares, as text, where it stands in one of the ways that texts mostly do. */
static int textCompare(const Bound *b, const mmapsync_table *t, const Column *c, uint64_t row,
                       int *rc) {
  const Chunk *k = &c->chunks[row >> t->chunk_shift];
  const size_t nb = b->text->n;
  uint64_t r = row & t->chunk_mask, from = 0, to = 0;
  mmapsync_value a;
  size_t na;
  int d;
  if (k->encoding == CHUNK_TEXT && !k->null_bits && k->base) {
    from = r * (uint64_t)k->base;
    to = from + (uint64_t)k->base;
  } else if (k->encoding == CHUNK_TEXT && !k->null_bits) {
    from = loadWidth(k->data, k->width, r);
    to = loadWidth(k->data, k->width, r + 1);
  } else if (k->encoding == CHUNK_DICT && !k->null_bits) {
    r = loadWidth(k->data, k->width, r);
    if (r < (uint64_t)k->base) { /* else from and to stay as no text has them */
      from = loadWidth(k->aux, 4, r);
      to = loadWidth(k->aux, 4, r + 1);
    }
  } else {
    *rc = chunkValue(t, k, r, &a);
    return *rc == MMAPSYNC_OK ? mmapsync_compare(&a, b->text, MMAPSYNC_BINARY) : 0;
  }
  if (from >= to || to > k->heap_bytes) {
    *rc = MMAPSYNC_CORRUPT;
    return 0;
  }
  na = (size_t)(to - from - 1);
  d = memcmp(k->heap + from, b->text->u.p, na < nb ? na : nb);
  return d ? d : (na > nb) - (na < nb);
}

/* How a row compares with the bound: negative if it comes before. */
static int boundCompare(const Bound *b, const mmapsync_table *t, const Key *k, uint64_t row,
                        int *rc) {
  int i, c = 0, n = b->n + (b->edge != NULL);
  for (i = 0; c == 0 && i < n; i++) {
    const mmapsync_part_def *p = &k->parts[i];
    mmapsync_value a;
    if (i == 0 && b->numbers) {
      c = numberCompare(b, t, &t->columns[p->column], row);
    } else if (i == 0 && b->text) {
      c = textCompare(b, t, &t->columns[p->column], row, rc);
      if (*rc != MMAPSYNC_OK) return 0;
    } else {
      *rc = mmapsync_get(t, row, p->column, &a);
      if (*rc != MMAPSYNC_OK) return 0;
      c = mmapsync_compare(&a, i < b->n ? &b->values[i] : b->edge, p->collation);
    }
    if (p->desc) c = -c;
  }
  return c ? c : b->after ? -1 : 1;
}

/* ---- short cuts ------------------------------------------------------------------------------ */

/* DIRECT and RANK: how many keys come before the bound. */
static uint64_t boundCount(const Bound *b, const mmapsync_table *t, const Key *k) {
  int with = b->at < 0 || (b->at == 0 && b->after); /* those at the pivot, too */
  uint64_t x;
  if (b->pivot < k->base) return 0;
  x = (uint64_t)b->pivot - (uint64_t)k->base;
  if (with && ++x == 0) return t->rows;
  if (k->search_kind == SEARCH_DIRECT) return x < t->rows ? x : t->rows;
  return rankCount(t, k, x);
}

/* Rows stand in the order of integers: narrows lo and hi to what the chunks' bounds leave. */
static void chunksNarrow(const Bound *b, const mmapsync_table *t, const Column *c, uint64_t *lo,
                         uint64_t *hi) {
  uint64_t n = chunkCount(t->rows, t->chunk_shift), from = 0, end = n, to;
  while (from < end) { /* the first chunk that does not end before the pivot */
    uint64_t mid = from + (end - from) / 2;
    const Chunk *k = &c->chunks[mid];
    if (b->desc ? k->base > b->pivot : k->max < b->pivot) {
      from = mid + 1;
    } else {
      end = mid;
    }
  }
  for (to = from, end = n; to < end;) { /* the first that begins behind it */
    uint64_t mid = to + (end - to) / 2;
    const Chunk *k = &c->chunks[mid];
    if (b->desc ? k->max < b->pivot : k->base > b->pivot) {
      end = mid;
    } else {
      to = mid + 1;
    }
  }
  *lo = from << t->chunk_shift;
  *hi = to < n ? to << t->chunk_shift : t->rows;
  if (*lo > *hi) *lo = *hi;
  if (to == from + 1 && c->chunks[from].flags & CHUNK_SEQUENCE && !b->desc) {
    uint64_t at = *lo + ((uint64_t)b->pivot - (uint64_t)c->chunks[from].base);
    if (at >= *lo && at < *hi) *lo = at;
    if (*lo + 1 < *hi) *hi = *lo + 1;
  }
}

/* ---- searching ------------------------------------------------------------------------------- */

/* Is the row at a position before the bound? */
static int positionBefore(const Bound *b, const mmapsync_table *t, const Key *k, uint64_t pos,
                          int *rc) {
  uint64_t row = rowAt(t, k, pos);
  if (row >= t->rows) *rc = MMAPSYNC_CORRUPT;
  return row < t->rows && boundCompare(b, t, k, row, rc) < 0;
}

/* Narrows lo and hi to a stretch behind lo as long as the way there: the other end of what was looked for is
** mostly near, where lines are at hand. */
static void gallop(const Bound *b, const mmapsync_table *t, const Key *k, uint64_t *lo,
                   uint64_t *hi, int *rc) {
  uint64_t step = 1, at = *lo;
  while (at < *hi && positionBefore(b, t, k, at, rc)) { /* not after a failure */
    *lo = at + 1;
    at += step;
    step *= 2;
  }
  if (at < *hi) *hi = at;
}

/* The first position, not below `start`, of a row that does not come before the bound. */
static int boundFind(const mmapsync_table *t, const Key *k, Bound *b, uint64_t start,
                     uint64_t *pos) {
  const Column *c = &t->columns[k->parts[0].column];
  uint64_t lo = 0, hi = t->rows;
  int rc = MMAPSYNC_OK;
  if (b->n == 0 && b->edge == NULL) {
    *pos = b->after ? hi : start;
    return MMAPSYNC_OK;
  }
  boundMake(b, t, k);
  if (b->numbers == CHUNK_INT && c->info.nulls == 0 && k->order == NULL) {
    if (k->search_kind == SEARCH_DIRECT || k->search_kind == SEARCH_RANK) {
      *pos = boundCount(b, t, k);
      if (*pos < start) *pos = start;
      return MMAPSYNC_OK;
    }
    chunksNarrow(b, t, c, &lo, &hi);
  }
  if (start > 0) {
    if (lo < start) lo = start;
    gallop(b, t, k, &lo, &hi, &rc);
    if (rc != MMAPSYNC_OK) return rc;
  }
  while (lo < hi) {
    uint64_t mid = lo + (hi - lo) / 2;
    int before;
    before = positionBefore(b, t, k, mid, &rc);
    if (rc != MMAPSYNC_OK) return rc;
    if (before) {
      lo = mid + 1;
    } else {
      hi = mid;
    }
  }
  *pos = lo;
  return MMAPSYNC_OK;
}

int mmapsync_find_all(const mmapsync_table *t, int ik, const mmapsync_value *values, int n,
                      uint64_t *lo, uint64_t *hi) {
  const Key *k;
  Bound first = {.values = values, .n = n}, last = {.values = values, .n = n, .after = 1};
  int i, rc;
  if (ik < 0 || ik >= t->info.nkeys) return MMAPSYNC_MISUSE;
  k = &t->keys[ik];
  if (n < 0 || n > k->info.nparts) return MMAPSYNC_MISUSE;
  *lo = *hi = 0;
  for (i = 0; i < n; i++) {
    if (orderIsNull(&values[i])) return MMAPSYNC_OK; /* NULL equals nothing */
  }
  rc = boundFind(t, k, &first, 0, lo);
  return rc == MMAPSYNC_OK ? boundFind(t, k, &last, *lo, hi) : rc;
}

int mmapsync_find_range(const mmapsync_table *t, int ik, const mmapsync_value *values, int n,
                        const mmapsync_value *from, int from_inclusive, const mmapsync_value *to,
                        int to_inclusive, uint64_t *lo, uint64_t *hi) {
  const Key *k;
  Bound first = {.values = values, .n = n}, last = first;
  int rc;
  if (ik < 0 || ik >= t->info.nkeys) return MMAPSYNC_MISUSE;
  k = &t->keys[ik];
  if (n < 0 || n > k->info.nparts || (n == k->info.nparts && (from || to))) return MMAPSYNC_MISUSE;
  if ((from || to) && k->parts[n].desc) {
    const mmapsync_value *swap = from;
    int inclusive = from_inclusive;
    from = to;
    from_inclusive = to_inclusive;
    to = swap;
    to_inclusive = inclusive;
  }
  first.edge = from;
  first.after = from && !from_inclusive;
  last.edge = to;
  last.after = !to || to_inclusive;
  rc = boundFind(t, k, &first, 0, lo);
  return rc == MMAPSYNC_OK ? boundFind(t, k, &last, *lo, hi) : rc;
}
