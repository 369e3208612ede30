/*
** imagekeys.c - finding rows of a table image by the values of a unique key.
**
** The structures are described in image.h.  Equality goes through the search structure of a unique key
** where it has one; everything else is a search in the key's order (imagerange.c).  What is found has been
** compared by mmapsync_compare(), or as an integer by its value, so it is what SQLite would call equal.
**
** MANY AT ONCE.  A lookup in a large table waits for memory two or three times, one after the other: for the
** bucket, for the row's value, for the text that it leads to.  Of many lookups the waits of one kind are had
** together: all buckets are asked for before the first is read, and so on.
*/
#include "image.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "imagevalue.h"
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

int keyCompareRows(const mmapsync_table *t, const Key *k, int *part, uint64_t a, uint64_t b,
                   int *rc) {
  int c = 0;
  for (; *part < k->info.nparts; ++*part) {
    const mmapsync_part_def *p = &k->parts[*part];
    mmapsync_value va, vb;
    int rc1 = mmapsync_get(t, a, p->column, &va);
    if (rc1 == MMAPSYNC_OK) rc1 = mmapsync_get(t, b, p->column, &vb);
    if (rc1 != MMAPSYNC_OK) {
      *rc = rc1;
      return 0;
    }
    c = mmapsync_compare(&va, &vb, p->collation);
    if (c) return p->desc ? -c : c;
  }
  return 0;
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

/* Bits set before bit number x of the lines, and whether it is set itself.  There is a line for it. */
static uint64_t rankBefore(const Key *k, uint64_t x, int *set) {
  const uint64_t *line = (const uint64_t *)(const void *)(k->search + x / RANK_BITS * 64);
  uint64_t bit = x % RANK_BITS + 32, w, count, aWord[8];
  for (w = 0; w < 8; w++) aWord[w] = SHARED_LOAD(line + w);
  count = (uint32_t)aWord[0];
  *set = (int)(aWord[bit / 64] >> (bit % 64) & 1);
  aWord[0] &= ~(uint64_t)UINT32_MAX; /* the counter is not part of the bitmap */
  aWord[bit / 64] &= (UINT64_C(1) << (bit % 64)) - 1;
  for (w = 0; w <= bit / 64; w++) count += (uint64_t)__builtin_popcountll(aWord[w]);
  return count;
}

static int rankFind(const Key *k, uint64_t x, uint64_t *row) {
  int set;
  if (x / RANK_BITS >= k->nsearch) return MMAPSYNC_NOTFOUND;
  *row = rankBefore(k, x, &set);
  return set ? MMAPSYNC_OK : MMAPSYNC_NOTFOUND;
}

uint64_t rankCount(const mmapsync_table *t, const Key *k, uint64_t x) {
  uint64_t count;
  int set;
  if (x / RANK_BITS >= k->nsearch) return t->rows;
  count = rankBefore(k, x, &set);
  return count < t->rows ? count : t->rows;
}

/* Which bucket a key's values are looked for in, and their tag. */
static uint64_t hashOf(const Key *k, const mmapsync_value *v, uint64_t *bucket) {
  uint64_t h = 0;
  int i;
  for (i = 0; i < k->info.nparts; i++) h = orderHash(&v[i], k->parts[i].collation, h);
  *bucket = (h >> 32) * k->nsearch >> 32;
  return h;
}

static int hashFind(const mmapsync_table *t, const Key *k, const mmapsync_value *v, uint64_t h,
                    uint64_t b, uint64_t *row) {
  uint64_t turn;
  int rc = MMAPSYNC_OK;
  for (turn = 0; turn < k->nsearch && turn < HASH_REACH; turn++) {
    const HashBucket *p = (const HashBucket *)(const void *)(k->search + b * 64);
    uint32_t s, used = SHARED_LOAD(&p->used);
    if (used > HASH_SLOTS) return MMAPSYNC_CORRUPT;
    for (s = 0; s < used; s++) {
      uint64_t r;
      if (p->tag[s] != (uint8_t)h) continue;
      r = SHARED_LOAD(&p->row[s]);
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
  uint64_t lo, hi, h, bucket;
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
  case SEARCH_HASH: h = hashOf(k, values, &bucket); return hashFind(t, k, values, h, bucket, row);
  default:
    rc = mmapsync_find_all(t, ik, values, n, &lo, &hi);
    if (rc != MMAPSYNC_OK) return rc;
    return lo < hi ? mmapsync_key_row(t, ik, lo, row) : MMAPSYNC_NOTFOUND;
  }
}

/* ---- many at once ---------------------------------------------------------------------------- */

/* The first row of a bucket that has the tag, or t->rows. */
static uint64_t tagged(const mmapsync_table *t, const HashBucket *p, uint64_t h) {
  uint32_t s;
  for (s = 0; s < HASH_SLOTS; s++) {
    if (p->tag[s] == (uint8_t)h) {
      uint64_t row = SHARED_LOAD(&p->row[s]);
      return row < t->rows ? row : t->rows;
    }
  }
  return t->rows;
}

#define BATCH 16 /* lookups that wait for memory together */

/* Asks for all lines that n lookups by hash will read, each kind in a round of its own; then looks. */
static int hashFindBatch(const mmapsync_table *t, const Key *k, const mmapsync_value *values, int n,
                         uint64_t *rows) {
  uint64_t h[BATCH], bucket[BATCH], row[BATCH];
  size_t np = (size_t)k->info.nparts;
  int i, p, turn, rc = MMAPSYNC_OK;
  for (i = 0; i < n; i++) {
    h[i] = hashOf(k, values + (size_t)i * np, &bucket[i]);
    __builtin_prefetch(k->search + bucket[i] * 64);
  }
  for (i = 0; i < n; i++) {
    row[i] = tagged(t, (const HashBucket *)(const void *)(k->search + bucket[i] * 64), h[i]);
  }
  for (turn = 0; turn < 2; turn++) {
    for (i = 0; i < n; i++) {
      for (p = 0; row[i] < t->rows && p < k->info.nparts; p++) {
        valuePrefetch(t, k->parts[p].column, row[i], turn);
      }
    }
  }
  for (i = 0; i < n && rc == MMAPSYNC_OK; i++) {
    const mmapsync_value *v = values + (size_t)i * np;
    int null = 0;
    for (p = 0; p < k->info.nparts; p++) null |= orderIsNull(&v[p]);
    rc = null ? MMAPSYNC_NOTFOUND : hashFind(t, k, v, h[i], bucket[i], &rows[i]);
    if (rc == MMAPSYNC_NOTFOUND) {
      rows[i] = UINT64_MAX;
      rc = MMAPSYNC_OK;
    }
  }
  return rc;
}

int mmapsync_find_many(const mmapsync_table *t, int ik, const mmapsync_value *values, int n,
                       uint64_t *rows) {
  const Key *k;
  size_t np;
  int i, rc = MMAPSYNC_OK;
  int64_t x;
  if (ik < 0 || ik >= t->info.nkeys || n < 0) return MMAPSYNC_MISUSE;
  k = &t->keys[ik];
  np = (size_t)k->info.nparts;
  if (!(k->info.flags & MMAPSYNC_KEY_UNIQUE)) return MMAPSYNC_MISUSE;
  for (i = 0; k->search_kind == SEARCH_HASH && i < n && rc == MMAPSYNC_OK; i += BATCH) {
    rc = hashFindBatch(t, k, values + (size_t)i * np, n - i < BATCH ? n - i : BATCH, rows + i);
  }
  for (; i < n && rc == MMAPSYNC_OK; i++) {
    if (k->search_kind == SEARCH_RANK && i + BATCH < n && asInteger(&values[i + BATCH], &x)) {
      uint64_t line = ((uint64_t)x - (uint64_t)k->base) / RANK_BITS;
      if (line < k->nsearch) __builtin_prefetch(k->search + line * 64);
    }
    rc = mmapsync_find(t, ik, values + (size_t)i * np, k->info.nparts, &rows[i]);
    if (rc == MMAPSYNC_NOTFOUND) {
      rows[i] = UINT64_MAX;
      rc = MMAPSYNC_OK;
    }
  }
  return rc;
}
