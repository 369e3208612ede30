/*
** filterplan.c - a term of a filter and a chunk: how to find the rows that match, and finding them.
**
** PLANNING.  Once for each chunk a term is compared with what is known of all its rows: encoding, least and
** greatest value, whether there are NULLs.  Often that settles it: all rows match, or none.  Otherwise the
** term's interval is moved into the chunk's own numbers (value - base, in `width` bytes) and clipped to what
** they can hold, so that rows are compared as they are stored.  A dictionary's entries are compared once each;
** what comes out is a table, or, where the entries that match are neighbours, an interval again.
**
** RUNNING.  A plan turns a block of at most 1024 rows into bytes of 0 and 1, and these are ANDed to what terms
** before it have left.  The cheap kinds look at all rows of the block, those that compare row by row only
** at what is left.
**
** AN IMAGE THAT LIES gets wrong answers, or CORRUPT, and leads nowhere: numbers are only compared, codes of a
** dictionary are indexes into a table that has a place for each, texts go through imagevalue.h.
*/
#include <stdlib.h>
#include <string.h>

#include "filter.h"
#include "imagevalue.h"
#include "order.h"

#define ANY_MOST    6 /* values that are looked for one after the other; more are searched */
#define TABLE_BYTES 65536

/* ---- planning -------------------------------------------------------------------------------- */

static void planConst(Plan *plan, int in) {
  plan->kind = PLAN_CONST;
  plan->in = in != 0;
}

/* The greatest number that `width` bytes hold. */
static uint64_t widthMost(int width) { return UINT64_MAX >> (64 - 8 * width); }

/* Elements from lo to hi match (or with flip do not); there are elements from 0 to most. */
static void planRange(Plan *plan, PlanKind kind, uint64_t lo, uint64_t hi, uint64_t most) {
  plan->kind = kind;
  if (hi > most) hi = most;
  if (lo > hi) {
    planConst(plan, plan->flip);
  } else if (lo == 0 && hi == most) {
    planConst(plan, !plan->flip);
  } else {
    plan->lo = lo;
    plan->span = hi - lo;
  }
}

/* The term's table, made when it is first needed; NULL if there is no memory: there are slower ways. */
static uint8_t *tableOf(FilterTerm *p) {
  if (p->table == NULL) p->table = malloc(TABLE_BYTES);
  return p->table;
}

/* Of n sorted values, the first that is not below x; not above it either with `after`. */
#define SORTED_FIND(name, type)                                                                    \
  static int name(const type *a, int n, type x, int after) {                                       \
    int lo = 0;                                                                                    \
    while (n > 0) {                                                                                \
      int half = n / 2;                                                                            \
      if (a[lo + half] < x || (after && a[lo + half] == x)) {                                      \
        lo += half + 1;                                                                            \
        n -= half + 1;                                                                             \
      } else {                                                                                     \
        n = half;                                                                                  \
      }                                                                                            \
    }                                                                                              \
    return lo;                                                                                     \
  }
SORTED_FIND(intsFind, int64_t)
SORTED_FIND(realsFind, double)
#undef SORTED_FIND

/* ---- a hash table of IN's values ------------------------------------------------------------- */

/* Where an element stands in the hash table of IN's values, or would. */
static uint32_t slotOf(const FilterTerm *p, uint64_t x) {
  return (uint32_t)(x * UINT64_C(0x9e3779b97f4a7c15) >> (64 - p->slots_log));
}

static int slotsHave(const FilterTerm *p, uint64_t x) {
  uint32_t at = slotOf(p, x), mask = (UINT32_C(1) << p->slots_log) - 1;
  for (; p->used[at]; at = (at + 1) & mask) {
    if (p->slots[at] == x) return 1;
  }
  return 0;
}

/* A real's bits; of both zeros those of one. */
static uint64_t realBits(double r) {
  uint64_t bits;
  if (r == 0) r = 0;
  memcpy(&bits, &r, sizeof(bits));
  return bits;
}

/* Fills it with the integers, or with the reals. */
static void slotsFill(FilterTerm *p, int encoding) {
  uint32_t mask = (UINT32_C(1) << p->slots_log) - 1;
  int i, n = encoding == CHUNK_REAL ? p->nreals : p->nints;
  p->plan.kind = PLAN_SEARCH;
  if (p->slots_of == encoding) return;
  memset(p->used, 0, (size_t)mask + 1);
  for (i = 0; i < n; i++) {
    uint64_t x = encoding == CHUNK_REAL ? realBits(p->reals[i]) : (uint64_t)p->ints[i];
    uint32_t at = slotOf(p, x);
    while (p->used[at]) at = (at + 1) & mask;
    p->used[at] = 1;
    p->slots[at] = x;
  }
  p->slots_of = encoding;
}

/* ---- plans of each encoding ------------------------------------------------------------------ */

/* IN, on a chunk whose values lie between base and max. */
static void planIntsIn(FilterTerm *p, const Chunk *k, int64_t max) {
  Plan *plan = &p->plan;
  uint64_t first, last;
  int i;
  plan->first = intsFind(p->ints, p->nints, k->base, 0);
  plan->n = intsFind(p->ints, p->nints, max, 1) - plan->first;
  if (plan->n <= 0) {
    planConst(plan, 0);
    return;
  }
  first = (uint64_t)p->ints[plan->first] - (uint64_t)k->base;
  last = (uint64_t)p->ints[plan->first + plan->n - 1] - (uint64_t)k->base;
  if (last - first == (uint64_t)plan->n - 1) { /* one behind the other */
    planRange(plan, PLAN_RANGE, first, last, widthMost(k->width));
  } else if (plan->n <= ANY_MOST) {
    plan->kind = PLAN_ANY;
  } else if (k->width <= 2 && tableOf(p)) {
    plan->kind = PLAN_LOOKUP;
    memset(p->table, 0, widthMost(k->width) + 1);
    for (i = 0; i < plan->n; i++) {
      uint64_t x = (uint64_t)p->ints[plan->first + i] - (uint64_t)k->base;
      if (x < TABLE_BYTES) p->table[x] = 1;
    }
  } else {
    slotsFill(p, CHUNK_INT);
  }
}

static void planInts(FilterTerm *p, const Chunk *k, uint64_t n) {
  Plan *plan = &p->plan;
  int64_t base = k->base, max = k->max;
  mmapsync_value v = {.type = MMAPSYNC_INTEGER, .u.i = base};
  if (k->width == 0 && !(k->flags & CHUNK_SEQUENCE)) {
    planConst(plan, termMatches(p, &v));
  } else if (k->width == 0) {
    max = base > INT64_MAX - (int64_t)(n - 1) ? INT64_MAX : base + (int64_t)(n - 1);
    if (p->def.op == MMAPSYNC_IN) {
      plan->kind = PLAN_VALUES;
    } else if (p->lo > p->hi || p->hi < base || p->lo > max) {
      planConst(plan, plan->flip);
    } else {
      planRange(plan, PLAN_ROWS, p->lo <= base ? 0 : (uint64_t)p->lo - (uint64_t)base,
                (uint64_t)p->hi - (uint64_t)base, n - 1);
    }
  } else if (p->def.op == MMAPSYNC_IN) {
    planIntsIn(p, k, max);
  } else if (p->lo > p->hi || p->hi < base || p->lo > max) {
    planConst(plan, plan->flip);
  } else if (p->lo <= base && p->hi >= max) {
    planConst(plan, !plan->flip);
  } else {
    planRange(plan, PLAN_RANGE, p->lo <= base ? 0 : (uint64_t)p->lo - (uint64_t)base,
              (uint64_t)(p->hi < max ? p->hi : max) - (uint64_t)base, widthMost(k->width));
  }
}

static double asReal(int64_t bits) {
  double r;
  memcpy(&r, &bits, sizeof(r));
  return r;
}

static void planReals(FilterTerm *p, const Chunk *k) {
  Plan *plan = &p->plan;
  double min = asReal(k->base), max = asReal(k->max);
  mmapsync_value v = {.type = MMAPSYNC_REAL, .u.r = min};
  if (k->width == 0) {
    planConst(plan, termMatches(p, &v));
  } else if (p->def.op == MMAPSYNC_IN) {
    plan->first = realsFind(p->reals, p->nreals, min, 0);
    plan->n = realsFind(p->reals, p->nreals, max, 1) - plan->first;
    if (plan->n <= 0) {
      planConst(plan, 0);
    } else if (plan->n <= ANY_MOST) {
      plan->kind = PLAN_ANY;
    } else {
      slotsFill(p, CHUNK_REAL);
    }
  } else {
    plan->kind = PLAN_REALS;
    /* What all rows are, they are with NaN among them, too, which only a damaged image has: that is NULL. */
    if (p->rlo > p->rhi || p->rhi < min || p->rlo > max) {
      if (plan->flip == p->null_in) planConst(plan, plan->flip);
    } else if (p->rlo <= min && p->rhi >= max) {
      if (plan->flip != p->null_in) planConst(plan, !plan->flip);
    }
  }
}

/* Compares the term with each text of a dictionary.  What is no code of it does not match. */
static int planDict(FilterTerm *p, const Chunk *k) {
  Plan *plan = &p->plan;
  uint64_t i, n = (uint64_t)k->base, most = widthMost(k->width), in = 0, lo = 0, hi = 0, lo0 = 0,
              hi0 = 0, bytes = 0;
  uint8_t *table = tableOf(p);
  if (table == NULL) {
    plan->kind = PLAN_VALUES;
    return MMAPSYNC_OK;
  }
  if (n > most + 1) n = most + 1; /* no code names the rest */
  for (i = 0; i < n; i++) {
    mmapsync_value v;
    int rc = dictValue(k, i, &v);
    if (rc != MMAPSYNC_OK) return rc;
    if ((bytes += v.n) > k->heap_bytes) return MMAPSYNC_CORRUPT; /* they do not overlap */
    table[i] = (uint8_t)termMatches(p, &v);
    if (table[i]) {
      if (in++ == 0) lo = i;
      hi = i;
    } else {
      if (i == in) lo0 = i; /* the first that does not match */
      hi0 = i;
    }
  }
  plan->flip = 0;
  if (in == 0 || in == n) {
    planConst(plan, in > 0);
  } else if (hi - lo + 1 == in) {
    planRange(plan, PLAN_RANGE, lo, hi, most);
  } else if (hi0 - lo0 + 1 == n - in) {
    plan->flip = 1;
    planRange(plan, PLAN_RANGE, lo0, hi0, most);
  } else {
    plan->kind = PLAN_LOOKUP;
    memset(table + n, 0, most + 1 - n);
  }
  return MMAPSYNC_OK;
}

/* Texts, or blobs, against one value of their kind or several. */
static void planBytes(FilterTerm *p, const Chunk *k) {
  Plan *plan = &p->plan;
  int equal, op = p->def.op,
             collation = k->encoding == CHUNK_BLOB ? MMAPSYNC_BINARY : p->def.collation;
  if (op == MMAPSYNC_HAS) {
    plan->kind = memchr(p->def.values[0].u.p, 0, p->def.values[0].n) ? PLAN_VALUES : PLAN_HAS;
    return;
  }
  equal = op == MMAPSYNC_EQ || op == MMAPSYNC_NE || op == MMAPSYNC_IS || op == MMAPSYNC_ISNOT;
  if (equal && collation != MMAPSYNC_RTRIM) {
    uint64_t step = (uint64_t)p->def.values[0].n + 1; /* the NUL counts */
    plan->kind = PLAN_EQUAL;
    plan->lo = step;
    if (step > widthMost(k->width)) planConst(plan, plan->flip);
  } else {
    plan->kind = op != MMAPSYNC_IN ? PLAN_BYTES : PLAN_VALUES;
    plan->flip = 0;
  }
}

int planMake(FilterTerm *p, const Chunk *k, uint64_t n, uint64_t ahead) {
  int class;
  memset(&p->plan, 0, sizeof(p->plan));
  p->plan.flip = p->flip;
  p->plan.nulls = k->null_bits != NULL;
  switch (k->encoding) {
  case CHUNK_NULLS: planConst(&p->plan, p->null_in); return MMAPSYNC_OK;
  case CHUNK_MIXED:
    p->plan.nulls = 0; /* they are among the types, too, but a bitmap is not expected */
    p->plan.kind =
        k->null_bits || p->def.op == MMAPSYNC_IN || termClass(p, 1) >= 0 ? PLAN_VALUES : PLAN_MIXED;
    return MMAPSYNC_OK;
  case CHUNK_INT:
  case CHUNK_REAL: class = 1; break;
  case CHUNK_BLOB: class = 3; break;
  default: class = 2; break;
  }
  if (termClass(p, class) >= 0) {
    planConst(&p->plan, termClass(p, class));
    return MMAPSYNC_OK;
  }
  switch (k->encoding) {
  case CHUNK_INT: planInts(p, k, n); return MMAPSYNC_OK;
  case CHUNK_REAL: planReals(p, k); return MMAPSYNC_OK;
  case CHUNK_DICT:
    if (ahead >= (uint64_t)k->base) return planDict(p, k);
    p->plan.kind = PLAN_VALUES;
    p->plan.nulls = 0;
    return MMAPSYNC_OK;
  default: planBytes(p, k); return MMAPSYNC_OK;
  }
}

int planVerdict(const FilterTerm *p) {
  const Plan *plan = &p->plan;
  if (plan->kind != PLAN_CONST || (plan->nulls && plan->in != p->null_in)) return -1;
  return plan->in;
}

/* ---- running --------------------------------------------------------------------------------- */

/* Rows of the block from lo to lo + span, which are counted from the chunk's first. */
static void runRows(const Plan *plan, const Block *b, uint8_t *out) {
  uint64_t lo = plan->lo > b->at ? plan->lo - b->at : 0, end = plan->lo + plan->span + 1;
  uint64_t hi = end > b->at ? end - b->at : 0;
  if (lo > b->n) lo = b->n;
  if (hi > b->n) hi = b->n;
  memset(out, plan->flip, b->n);
  if (lo < hi) memset(out + lo, !plan->flip, hi - lo);
}

static void runRange(const Block *b, uint64_t lo, uint64_t span, int flip, uint8_t *out) {
  const void *x = b->k->data + b->at * b->k->width;
  switch (b->k->width) {
  case 1: b->loops->range8(x, b->n, (uint8_t)lo, (uint8_t)span, flip, out); break;
  case 2: b->loops->range16(x, b->n, (uint16_t)lo, (uint16_t)span, flip, out); break;
  case 4: b->loops->range32(x, b->n, (uint32_t)lo, (uint32_t)span, flip, out); break;
  default: b->loops->range64(x, b->n, lo, span, flip, out); break;
  }
}

static void runAny(const FilterTerm *p, const Block *b, uint8_t *out) {
  BlockMask one;
  int i;
  for (i = 0; i < p->plan.n; i++) {
    uint8_t *to = i ? one.row : out;
    if (b->k->encoding == CHUNK_REAL) {
      double r = p->reals[p->plan.first + i];
      b->loops->rangeReal((const double *)(const void *)(b->k->data + 8 * b->at), b->n, r, r, 0, 0,
                          to);
    } else {
      uint64_t x = (uint64_t)p->ints[p->plan.first + i] - (uint64_t)b->k->base;
      runRange(b, x, 0, 0, to); /* it fits the width: it lies between base and max */
    }
    if (i) b->loops->orBytes(out, one.row, b->n);
  }
}

static void runLookup(const FilterTerm *p, const Block *b, uint8_t *out) {
  const void *x = b->k->data + b->at * b->k->width;
  if (b->k->width == 1) {
    b->loops->lookup8(x, b->n, p->table, out);
  } else {
    b->loops->lookup16(x, b->n, p->table, out);
  }
}

/* The next row of the block from i on whose byte is set in both, or n. */
static uint32_t nextSet(const uint8_t *a, const uint8_t *b, uint32_t i, uint32_t n) {
  while (i + 8 <= n) {
    uint64_t x, y;
    memcpy(&x, a + i, 8);
    memcpy(&y, b + i, 8);
    if (x & y) break;
    i += 8;
  }
  while (i < n && !(a[i] & b[i])) i++;
  return i;
}

static int runEqual(const FilterTerm *p, const Block *b, const BlockMask *left, uint8_t *out) {
  const mmapsync_value *v = &p->def.values[0];
  const Chunk *k = b->k;
  const void *x = k->data + b->at * k->width;
  uint32_t i;
  int fold = k->encoding == CHUNK_TEXT && p->def.collation == MMAPSYNC_NOCASE;
  if (k->width == 2) {
    b->loops->step16(x, b->n, (uint16_t)p->plan.lo, out);
  } else {
    b->loops->step32(x, b->n, (uint32_t)p->plan.lo, out);
  }
  for (i = nextSet(out, left->row, 0, b->n); i < b->n; i = nextSet(out, left->row, i + 1, b->n)) {
    uint64_t from = loadWidth(k->data, k->width, b->at + i);
    if (from > k->heap_bytes || v->n >= k->heap_bytes - from) return MMAPSYNC_CORRUPT;
    if (fold) {
      mmapsync_value a = {.type = MMAPSYNC_TEXT, .n = v->n, .u.p = k->heap + from};
      out[i] = mmapsync_compare(&a, v, MMAPSYNC_NOCASE) == 0;
    } else {
      out[i] = memcmp(k->heap + from, v->u.p, v->n) == 0;
    }
  }
  if (p->plan.flip) b->loops->notBytes(out, b->n);
  return MMAPSYNC_OK;
}

static void runSearch(const FilterTerm *p, const Block *b, const BlockMask *left, uint8_t *out) {
  const Chunk *k = b->k;
  uint32_t i;
  for (i = 0; i < b->n; i++) {
    uint64_t x;
    out[i] = 0;
    if (!left->row[i]) continue;
    x = loadWidth(k->data, k->width, b->at + i);
    x = k->encoding == CHUNK_REAL ? realBits(asReal((int64_t)x)) : x + (uint64_t)k->base;
    out[i] = (uint8_t)slotsHave(p, x);
  }
}

/* Row i's value of n bytes was looked at: after too many, it is the last. */
static void blockLooked(Block *b, uint64_t n, uint32_t i) {
  b->bytes += n;
  if (b->bytes > FILTER_BYTES) b->n = i + 1;
}

/* How two texts or blobs compare whose first 8 bytes are x and y, in lower case if case does not count; 0: these do not
** tell.  NOCASE looks at nothing behind a NUL that both have, and RTRIM, at a space, at what is behind. */
static int prefixCompare(uint64_t x, uint64_t y, int collation) {
  const uint64_t ones = UINT64_C(0x0101010101010101);
  unsigned at;
  if (x == y) return 0;
  at = (unsigned)__builtin_clzll(x ^ y) / 8; /* the first byte that differs */
  if (collation == MMAPSYNC_NOCASE && at > 0) {
    uint64_t z = x | UINT64_MAX >> 8 * at;
    if (((z - ones) & ~z & 0x80 * ones) != 0) return 0;
  } else if (collation == MMAPSYNC_RTRIM) {
    unsigned shift = 56 - 8 * at;
    if ((x >> shift & 255) == ' ' || (y >> shift & 255) == ' ') return 0;
  }
  return x < y ? -1 : 1;
}

/* Texts or blobs: mostly the first 8 bytes tell. */
static int runBytes(const FilterTerm *p, Block *b, const BlockMask *left, uint8_t *out) {
  const Chunk *k = b->k;
  const mmapsync_value *v = &p->def.values[0];
  const int collation = k->encoding == CHUNK_BLOB ? MMAPSYNC_BINARY : p->def.collation;
  uint32_t i;
  for (i = 0; i < b->n; i++) {
    mmapsync_value a;
    uint64_t x, from, to;
    int c;
    out[i] = 0;
    if (!left->row[i]) continue;
    from = loadWidth(k->data, k->width, b->at + i);
    to = loadWidth(k->data, k->width, b->at + i + 1);
    if (from == to) continue; /* NULL has no bytes, not even a NUL */
    if (heapValue(k, from, to, v->type, &a) != MMAPSYNC_OK) return MMAPSYNC_CORRUPT;
    x = bytesPrefix(a.u.p, a.n, from + 8 <= k->heap_bytes);
    if (collation == MMAPSYNC_NOCASE) x = bytesFold(x);
    c = prefixCompare(x, p->prefix, collation);
    if (c == 0) {
      c = mmapsync_compare(&a, v, collation);
      if (collation != MMAPSYNC_BINARY) blockLooked(b, a.n, i); /* byte by byte */
    }
    out[i] = p->match[(c > 0) - (c < 0) + 1];
  }
  return MMAPSYNC_OK;
}

/* Texts with the term's bytes in them.  The block's texts stand one behind the other, and what is looked for holds no
** NUL and so does not reach from one into the next: they are searched as one. */
static int runHas(const FilterTerm *p, Block *b, const BlockMask *left, uint8_t *out) {
  const Chunk *k = b->k;
  uint32_t i, row = nextSet(left->row, left->row, 0, b->n); /* the first that is asked about */
  uint64_t at = loadWidth(k->data, k->width, b->at + row);
  uint64_t end = loadWidth(k->data, k->width, b->at + b->n), stop = 0;
  uint64_t next, past; /* where it can stand no more */
  uint32_t n;
  BlockMask found;
  memset(out, 0, b->n);
  if (at > end || end > k->heap_bytes) return MMAPSYNC_CORRUPT;
  if (end - at < p->def.values[0].n) return MMAPSYNC_OK;
  past = end - p->def.values[0].n + 1;
  while (at < past) {
    if (b->bytes > FILTER_BYTES) { /* up to the end of the text where it is */
      while (row < b->n && (stop = loadWidth(k->data, k->width, b->at + row + 1)) <= at) row++;
      if (row + 1 < b->n) {
        b->n = row + 1;
        past = stop < past ? stop : past;
      }
    }
    n = past - at < FILTER_BLOCK ? (uint32_t)(past - at) : FILTER_BLOCK;
    next = at + n;
    b->bytes += n;
    b->loops->pair(k->heap + at + p->pair_at, n, &p->pair, found.row);
    for (i = nextSet(found.row, found.row, 0, n); i < n;
         i = nextSet(found.row, found.row, i + 1, n)) {
      if (!termStandsAt(p, k->heap + at + i)) continue;
      while (row < b->n && (stop = loadWidth(k->data, k->width, b->at + row + 1)) <= at + i) row++;
      if (row == b->n) return MMAPSYNC_OK;
      out[row] = 1; /* and the rest of this text does not matter */
      if (stop - at >= n) {
        next = stop;
        break;
      }
      i = (uint32_t)(stop - at) - 1;
    }
    at = next;
  }
  return MMAPSYNC_OK;
}

/* Integers and reals of a MIXED chunk by the term's intervals, both, without a branch on which it is. */
static int runMixed(const FilterTerm *p, Block *b, const BlockMask *left, uint8_t *out) {
  const Chunk *k = b->k;
  const uint8_t *types = k->aux + b->at;
  int64_t lo = p->lo, hi = p->hi;
  double rlo = p->rlo, rhi = p->rhi;
  uint8_t flip = p->flip;
  uint32_t i;
  for (i = 0; i < b->n; i++) {
    uint64_t bits = loadWidth(k->data, 8, 2 * (b->at + i));
    int64_t x = (int64_t)bits;
    double r = asReal(x);
    uint8_t type = types[i], in = (uint8_t)((x >= lo) & (x <= hi));
    uint8_t real_in = (uint8_t)((r >= rlo) & (r <= rhi));
    in = (uint8_t)(((in & -(type == MMAPSYNC_INTEGER)) | (real_in & -(type == MMAPSYNC_REAL))) ^
                   flip);
    if (type == MMAPSYNC_REAL && r != r) in = (uint8_t)p->null_in; /* NaN is NULL */
    if (type != MMAPSYNC_INTEGER && type != MMAPSYNC_REAL) {
      mmapsync_value v;
      in = 0;
      if (left->row[i]) {
        if (chunkValue(b->t, k, b->at + i, &v) != MMAPSYNC_OK) return MMAPSYNC_CORRUPT;
        in = (uint8_t)termMatches(p, &v);
        blockLooked(b, v.n, i);
      }
    }
    out[i] = in;
  }
  return MMAPSYNC_OK;
}

static int runValues(const FilterTerm *p, Block *b, const BlockMask *left, uint8_t *out) {
  uint32_t i;
  memset(out, 0, b->n);
  for (i = nextSet(left->row, left->row, 0, b->n); i < b->n;
       i = nextSet(left->row, left->row, i + 1, b->n)) {
    mmapsync_value v;
    int rc = chunkValue(b->t, b->k, b->at + i, &v);
    if (rc != MMAPSYNC_OK) return rc;
    out[i] = (uint8_t)termMatches(p, &v);
    blockLooked(b, v.n, i);
  }
  return MMAPSYNC_OK;
}

static int planBlock(const FilterTerm *p, Block *b, const BlockMask *mask, uint8_t *out);

/* A block of a SPARSE chunk: of its rows that are not NULL, which stand together, as of a block of their own; then
** each of them at its row. */
static int runSparse(const FilterTerm *p, Block *b, const BlockMask *left, uint8_t *out) {
  BlockMask all, packed;
  Chunk k = *b->k;
  Block in = *b;
  uint32_t i, n = 0;

  k.flags &= (uint16_t)~CHUNK_SPARSE;
  k.null_bits = NULL;
  in.k = &k;
  in.at = sparsePlace(b->k, b->at);
  for (i = 0; i < b->n; i += 64) {
    uint64_t rows = b->n - i < 64 ? (UINT64_C(1) << (b->n - i)) - 1 : UINT64_MAX;
    n += (uint32_t)__builtin_popcountll(~bitsWord(b->k->null_bits, (b->at + i) / 64) & rows);
  }
  memset(out, p->null_in, b->n);
  if (n == 0) return MMAPSYNC_OK;
  if (in.at > k.stored || n > k.stored - in.at) return MMAPSYNC_CORRUPT;
  in.n = n;
  for (i = 0, n = 0; i < b->n; i += 64) {
    uint64_t rows = ~bitsWord(b->k->null_bits, (b->at + i) / 64);
    if (b->n - i < 64) rows &= (UINT64_C(1) << (b->n - i)) - 1;
    for (; rows; rows &= rows - 1) { /* of b->n rows: there is a place for each */
      all.row[n++] = left->row[i + (uint32_t)__builtin_ctzll(rows)];
    }
  }
  if (n != in.n) return MMAPSYNC_CORRUPT; /* the bitmap became another */
  memset(packed.row, 0, n);
  if (planBlock(p, &in, &all, packed.row) != MMAPSYNC_OK) return MMAPSYNC_CORRUPT;
  b->bytes = in.bytes;
  for (i = 0, n = 0; i < b->n; i += 64) {
    uint64_t rows = ~bitsWord(b->k->null_bits, (b->at + i) / 64);
    if (b->n - i < 64) rows &= (UINT64_C(1) << (b->n - i)) - 1;
    for (; rows; rows &= rows - 1) {
      uint32_t row = i + (uint32_t)__builtin_ctzll(rows);
      if (n == in.n) { /* it ended early, or the bitmap became another */
        b->n = row;    /* not 0: n is not, so there is one before it */
        return MMAPSYNC_OK;
      }
      out[row] = packed.row[n++];
    }
  }
  return MMAPSYNC_OK;
}

static int planBlock(const FilterTerm *p, Block *b, const BlockMask *mask, uint8_t *out) {
  const Plan *plan = &p->plan;
  switch (plan->kind) {
  case PLAN_CONST: memset(out, plan->in, b->n); break;
  case PLAN_ROWS: runRows(plan, b, out); break;
  case PLAN_RANGE: runRange(b, plan->lo, plan->span, plan->flip, out); break;
  case PLAN_REALS:
    b->loops->rangeReal((const double *)(const void *)(b->k->data + 8 * b->at), b->n, p->rlo,
                        p->rhi, plan->flip, p->null_in, out);
    break;
  case PLAN_ANY: runAny(p, b, out); break;
  case PLAN_LOOKUP: runLookup(p, b, out); break;
  case PLAN_EQUAL: return runEqual(p, b, mask, out);
  case PLAN_SEARCH: runSearch(p, b, mask, out); break;
  case PLAN_HAS: return runHas(p, b, mask, out);
  case PLAN_BYTES: return runBytes(p, b, mask, out);
  case PLAN_MIXED: return runMixed(p, b, mask, out);
  default: return runValues(p, b, mask, out);
  }
  return MMAPSYNC_OK;
}

int planRun(const FilterTerm *p, Block *b, BlockMask *mask) {
  BlockMask found;
  uint8_t *out = found.row;
  int rc;
  if (b->k->flags & CHUNK_SPARSE) {
    rc = runSparse(p, b, mask, out);
  } else {
    rc = planBlock(p, b, mask, out);
    if (rc == MMAPSYNC_OK && p->plan.nulls) {
      b->loops->putBits(b->k->null_bits + b->at / 8, b->n, p->null_in, out);
    }
  }
  if (rc != MMAPSYNC_OK) return rc;
  b->loops->andBytes(mask->row, out, b->n);
  return MMAPSYNC_OK;
}
