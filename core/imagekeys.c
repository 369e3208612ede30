/*
** imagekeys.c - finding rows of a table image by key.
**
** The structures are described in image.h.  Equality goes through the search structure of a unique key
** where it has one; everything else is a binary search in the key's order.  Both end in a comparison
** by mmapsync_compare(), so what is found is what SQLite would call equal.
*/
#include "image.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "order.h"

int keyCompareValues(const mmapsync_table *t, const Key *k, uint64_t row, const mmapsync_value *v,
                     int n, int *rc) {
  int i, c = 0;
  for (i = 0; c == 0 && i < n; i++) {
    const mmapsync_part_def *p = &k->parts[i];
    mmapsync_value a;
    int rc1 = mmapsync_get(t, row, p->column, &a);
    if (rc1 != MMAPSYNC_OK) {
      *rc = rc1;
      return 0;
    }
    c = mmapsync_compare(&a, &v[i], p->collation);
    if (p->desc) c = -c;
  }
  return c;
}

int keyCompareRows(const mmapsync_table *t, const Key *k, int first, uint64_t a, uint64_t b,
                   int *rc) {
  int i, c = 0;
  for (i = first; c == 0 && i < k->info.nparts; i++) {
    const mmapsync_part_def *p = &k->parts[i];
    mmapsync_value va, vb;
    int rc1 = mmapsync_get(t, a, p->column, &va);
    if (rc1 == MMAPSYNC_OK) rc1 = mmapsync_get(t, b, p->column, &vb);
    if (rc1 != MMAPSYNC_OK) {
      *rc = rc1;
      return 0;
    }
    c = mmapsync_compare(&va, &vb, p->collation);
    if (p->desc) c = -c;
  }
  return c;
}

/* The row at a position of a key, or t->rows if the order leads nowhere. */
static uint64_t rowAt(const mmapsync_table *t, const Key *k, uint64_t pos) {
  uint64_t row;
  assert(pos < t->rows);
  if (k->order == NULL) return pos;
  row = k->order[pos];
  return row < t->rows ? row : t->rows;
}

/* The first position whose row does not come before the values (or, with after, that comes behind
** them).  Equal ones stand between the two. */
static int boundFind(const mmapsync_table *t, const Key *k, const mmapsync_value *v, int n,
                     int after, uint64_t *pos) {
  uint64_t lo = 0, hi = t->rows;
  int rc = MMAPSYNC_OK;
  while (lo < hi) {
    uint64_t mid = lo + (hi - lo) / 2, row = rowAt(t, k, mid);
    int c = row < t->rows ? keyCompareValues(t, k, row, v, n, &rc) : (rc = MMAPSYNC_CORRUPT);
    if (rc != MMAPSYNC_OK) return rc;
    if (c < 0 || (c == 0 && after)) {
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
  int i, rc;
  if (ik < 0 || ik >= t->info.nkeys) return MMAPSYNC_MISUSE;
  k = &t->keys[ik];
  if (n < 0 || n > k->info.nparts) return MMAPSYNC_MISUSE;
  *lo = *hi = 0;
  for (i = 0; i < n; i++) {
    if (orderIsNull(&values[i])) return MMAPSYNC_OK; /* NULL equals nothing */
  }
  rc = boundFind(t, k, values, n, 0, lo);
  if (rc == MMAPSYNC_OK) rc = boundFind(t, k, values, n, 1, hi);
  if (rc == MMAPSYNC_OK && *hi < *lo) rc = MMAPSYNC_CORRUPT; /* an order that is none */
  return rc;
}

/* A bound of part n behind n parts that are equal. */
typedef struct Bound {
  const mmapsync_value *values;
  int n;
  const mmapsync_value *edge; /* or NULL: the parts alone */
  int after;                  /* behind what equals it */
} Bound;

static int rangeFind(const mmapsync_table *t, const Key *k, const Bound *b, uint64_t *pos) {
  uint64_t lo = 0, hi = t->rows;
  int rc = MMAPSYNC_OK;
  while (lo < hi) {
    uint64_t mid = lo + (hi - lo) / 2, row = rowAt(t, k, mid);
    int c =
        row < t->rows ? keyCompareValues(t, k, row, b->values, b->n, &rc) : (rc = MMAPSYNC_CORRUPT);
    if (rc != MMAPSYNC_OK) return rc;
    if (c == 0 && b->edge) {
      const mmapsync_part_def *p = &k->parts[b->n];
      mmapsync_value a;
      rc = mmapsync_get(t, row, p->column, &a);
      if (rc != MMAPSYNC_OK) return rc;
      c = mmapsync_compare(&a, b->edge, p->collation);
      if (p->desc) c = -c;
    }
    if (c < 0 || (c == 0 && b->after)) {
      lo = mid + 1;
    } else {
      hi = mid;
    }
  }
  *pos = lo;
  return MMAPSYNC_OK;
}

int mmapsync_find_range(const mmapsync_table *t, int ik, const mmapsync_value *values, int n,
                        const mmapsync_value *from, int from_inclusive, const mmapsync_value *to,
                        int to_inclusive, uint64_t *lo, uint64_t *hi) {
  const Key *k;
  Bound first = {values, n, from, !from_inclusive}, last = {values, n, to, to_inclusive != 0};
  int rc;
  if (ik < 0 || ik >= t->info.nkeys) return MMAPSYNC_MISUSE;
  k = &t->keys[ik];
  if (n < 0 || n > k->info.nparts || (n == k->info.nparts && (from || to))) return MMAPSYNC_MISUSE;
  if ((from || to) && k->parts[n].desc) {
    first = (Bound){values, n, to, !to_inclusive};
    last = (Bound){values, n, from, from_inclusive != 0};
  }
  if (!first.edge) first.after = 0;
  if (!last.edge) last.after = 1;
  rc = rangeFind(t, k, &first, lo);
  if (rc == MMAPSYNC_OK) rc = rangeFind(t, k, &last, hi);
  if (rc == MMAPSYNC_OK && *hi < *lo) *hi = *lo;
  return rc;
}

int mmapsync_key_row(const mmapsync_table *t, int ik, uint64_t pos, uint64_t *row) {
  if (ik < 0 || ik >= t->info.nkeys || pos >= t->rows) return MMAPSYNC_MISUSE;
  *row = rowAt(t, &t->keys[ik], pos);
  return *row < t->rows ? MMAPSYNC_OK : MMAPSYNC_CORRUPT;
}

/* The integer that a value equals, if it equals one. */
static int asInteger(const mmapsync_value *v, int64_t *out) {
  if (v->type == MMAPSYNC_INTEGER) {
    *out = v->u.i;
    return 1;
  }
  if (v->type == MMAPSYNC_REAL && v->u.r >= -9223372036854775808.0 &&
      v->u.r < 9223372036854775808.0 && v->u.r == floor(v->u.r)) {
    *out = (int64_t)v->u.r;
    return 1;
  }
  return 0;
}

/* The rank of a bit among the bits set in the lines, or NOTFOUND if it is not set. */
static int rankFind(const Key *k, uint64_t x, uint64_t *row) {
  uint64_t line = x / RANK_BITS, bit = x % RANK_BITS + 32, w, aWord[8];
  uint32_t before;
  if (line >= k->nsearch) return MMAPSYNC_NOTFOUND;
  memcpy(aWord, k->search + line * 64, 64);
  before = (uint32_t)aWord[0];
  if (!(aWord[bit / 64] >> (bit % 64) & 1)) return MMAPSYNC_NOTFOUND;
  aWord[0] &= ~(uint64_t)UINT32_MAX; /* the counter is not part of the bitmap */
  aWord[bit / 64] &= (UINT64_C(1) << (bit % 64)) - 1;
  *row = before;
  for (w = 0; w <= bit / 64; w++) *row += (uint64_t)__builtin_popcountll(aWord[w]);
  return MMAPSYNC_OK;
}

static int hashFind(const mmapsync_table *t, const Key *k, const mmapsync_value *v, uint64_t *row) {
  uint64_t h = 0, b, turn;
  int i, rc = MMAPSYNC_OK;
  for (i = 0; i < k->info.nparts; i++) h = orderHash(&v[i], k->parts[i].collation, h);
  b = (h >> 32) * k->nsearch >> 32;
  for (turn = 0; turn < k->nsearch && turn < HASH_REACH; turn++) {
    const HashBucket *p = (const HashBucket *)(const void *)(k->search + b * 64);
    uint32_t s, used = p->used;
    if (used > HASH_SLOTS) return MMAPSYNC_CORRUPT;
    for (s = 0; s < used; s++) {
      uint64_t r = p->row[s];
      if (p->tag[s] != (uint8_t)h) continue;
      if (r >= t->rows) return MMAPSYNC_CORRUPT;
      if (keyCompareValues(t, k, r, v, k->info.nparts, &rc) == 0 && rc == MMAPSYNC_OK) {
        *row = r;
        return MMAPSYNC_OK;
      }
      if (rc != MMAPSYNC_OK) return rc;
    }
    if (used < HASH_SLOTS) return MMAPSYNC_NOTFOUND;
    if (++b == k->nsearch) b = 0;
  }
  return MMAPSYNC_NOTFOUND;
}

int mmapsync_find(const mmapsync_table *t, int ik, const mmapsync_value *values, int n,
                  uint64_t *row) {
  const Key *k;
  uint64_t lo, hi;
  int64_t x;
  int i, rc;
  if (ik < 0 || ik >= t->info.nkeys) return MMAPSYNC_MISUSE;
  k = &t->keys[ik];
  if (n != k->info.nparts || !(k->info.flags & MMAPSYNC_KEY_UNIQUE)) return MMAPSYNC_MISUSE;
  for (i = 0; i < n; i++) {
    if (orderIsNull(&values[i])) return MMAPSYNC_NOTFOUND;
  }
  switch (k->search_kind) {
  case SEARCH_DIRECT:
    if (!asInteger(values, &x)) return MMAPSYNC_NOTFOUND;
    *row = (uint64_t)x - (uint64_t)k->base; /* wraps to something large if x is below base */
    return *row < t->rows ? MMAPSYNC_OK : MMAPSYNC_NOTFOUND;
  case SEARCH_RANK:
    if (!asInteger(values, &x) || x < k->base) return MMAPSYNC_NOTFOUND;
    rc = rankFind(k, (uint64_t)x - (uint64_t)k->base, row);
    if (rc == MMAPSYNC_OK && *row >= t->rows) rc = MMAPSYNC_CORRUPT;
    return rc;
  case SEARCH_HASH: return hashFind(t, k, values, row);
  default:
    rc = mmapsync_find_all(t, ik, values, n, &lo, &hi);
    if (rc != MMAPSYNC_OK) return rc;
    return lo < hi ? mmapsync_key_row(t, ik, lo, row) : MMAPSYNC_NOTFOUND;
  }
}

int mmapsync_find_many(const mmapsync_table *t, int ik, const mmapsync_value *values, int n,
                       uint64_t *rows) {
  int i, rc, np;
  if (ik < 0 || ik >= t->info.nkeys || n < 0) return MMAPSYNC_MISUSE;
  np = t->keys[ik].info.nparts;
  if (!(t->keys[ik].info.flags & MMAPSYNC_KEY_UNIQUE)) return MMAPSYNC_MISUSE;
  for (i = 0; i < n; i++) {
    rc = mmapsync_find(t, ik, values + (size_t)i * (size_t)np, np, &rows[i]);
    if (rc == MMAPSYNC_NOTFOUND) {
      rows[i] = UINT64_MAX;
    } else if (rc != MMAPSYNC_OK) {
      return rc;
    }
  }
  return MMAPSYNC_OK;
}
