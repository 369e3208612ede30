/*
** buildsort.c - row numbers sorted by a key.
**
** A comparison made n log n times on values scattered over the image would wait for memory most of
** the time.  So each row's next piece of the key is turned once into a number that orders as the piece
** does, and the numbers are sorted by radix.  Rows that tie go on with the next piece:
**
**     piece     2 bits storage class, 62 bits of value
**     NULL      nothing more: a tie is a tie
**     numbers   the distance from the column's least integer, exact, if the column holds only integers
**               and their range fits; otherwise the double's bits made to order, which ties settle
**               nothing for.  Where all are reals, those bits whole, without a class: exact, too
**     text,     7 bytes (folded as the collation says) and how many they are, then the next 7 of those
**     blobs     that tie and have more
**
** A DESC part turns the number round.  What settles nothing, or has gone on too long, is left to a
** comparison sort on the few rows that are left.  The result is stable: equal keys stand by row number.
**
** VALUES THAT CHANGE.  They stand in the data file, where another process may write.  Then two rows compare now
** this way and now that, and each part of the sort keeps within its arrays whatever the answers are; the C
** library's qsort() does not promise that.
**
** MEMORY: 24 bytes a row while it sorts.  So that this never is more than SORT_ROWS allows, longer tables are sorted
** in runs, which are merged; that takes 4 bytes a row of the whole, when the rest is given back.  Threads that
** sort at the same time have that together (crewSize() in buildkeys.c).
*/
#include "build.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "imagevalue.h"
#include "order.h"

#define SMALL     32  /* below this, insertion beats eight histograms */
#define AHEAD     8   /* rows whose values are asked for before they are needed */
#define MAX_DEPTH 140 /* bytes of equal text after which ties go to the comparator */
#define MAX_LEVEL 200 /* of recursion, each a step to the next piece */

/* Packed: a third more of them in the same memory, and less of it to move. */
typedef struct __attribute__((packed, aligned(4))) SortItem {
  uint64_t prefix;
  uint32_t row;
} SortItem;
_Static_assert(2 * sizeof(SortItem) == SORT_BYTES, "an item and its place in spare[]");

/* What is known of a part of the key before its first value is looked at. */
typedef struct PartPlan {
  const mmapsync_part_def *part;
  int exact;    /* numbers of this part tie only if they are equal */
  int reals;    /* all of this part are reals, or NULL: 64 bits of value */
  int64_t base; /* then: the least of them */
} PartPlan;

typedef struct Sorter {
  const Leave *leave;
  const mmapsync_table *t;
  const Key *k;
  PartPlan *plan;  /* one for each part */
  SortItem *spare; /* as many as there are rows */
  int level;
  int rc;
  uint64_t *differ; /* see keySort() */
  uint64_t dup_a, dup_b;
  uint64_t ncompare; /* comparisons of rows */
  uint32_t count[8][256];
} Sorter;

static void partPlan(const Sorter *s, int part, PartPlan *plan) {
  const uint32_t others = ~(1u << MMAPSYNC_NULL | 1u << MMAPSYNC_REAL);
  const Column *c = &s->t->columns[s->k->parts[part].column];
  uint64_t i, n = chunkCount(s->t->rows, s->t->chunk_shift);
  int64_t min = INT64_MAX, max = INT64_MIN;
  plan->part = &s->k->parts[part];
  plan->exact = 0;
  plan->reals = !(c->info.types & others);
  plan->base = 0;
  for (i = 0; i < n; i++) {
    const Chunk *k = &c->chunks[i];
    if (k->encoding == CHUNK_NULLS) continue;
    if (k->encoding != CHUNK_INT) return;
    if (k->base < min) min = k->base;
    if (k->max > max) max = k->max;
  }
  plan->exact = min > max || (uint64_t)max - (uint64_t)min < UINT64_C(1) << 62;
  plan->base = min;
}

/* A real as 64 bits that order as it does; never 0, which would be a NaN. */
static uint64_t realBits(double r) {
  uint64_t bits;
  if (r == 0) r = 0; /* -0.0 and 0.0 are one number */
  memcpy(&bits, &r, sizeof(bits));
  return bits >> 63 ? ~bits : bits | UINT64_C(1) << 63;
}

/* A number as 62 bits that order as it does. */
static uint64_t numberBits(const PartPlan *plan, const mmapsync_value *v) {
  if (plan->exact) return (uint64_t)v->u.i - (uint64_t)plan->base;
  return realBits(v->type == MMAPSYNC_INTEGER ? (double)v->u.i : v->u.r) >> 2;
}

#define CLASS_NULL   UINT64_C(0)
#define CLASS_NUMBER UINT64_C(1)
#define CLASS_TEXT   UINT64_C(2)
#define CLASS_BLOB   UINT64_C(3)

/* Bytes of a text or blob, and behind them what they leave, in 4 bits: of values with the same bytes (zeros for
** those that are missing) the shorter comes first, then those that go on; and last those of which only a
** comparison can tell, whose NUL stands where the shorter ones end. */
#define LEFT_MORE    8
#define LEFT_UNSURE  9
static uint64_t bytesBits(const mmapsync_value *v, int collation, size_t depth) {
  uint8_t left;
  uint64_t x = orderPrefix(v, collation, depth, &left) << 4;
  return x | (left == 0 ? LEFT_MORE : left == ORDER_UNSURE ? LEFT_UNSURE : left - 1u);
}

/* Takes the next piece of a row's key into its item. */
static void pieceTake(Sorter *s, const PartPlan *plan, size_t depth, SortItem *item) {
  mmapsync_value v;
  uint64_t x;
  int rc = mmapsync_get(s->t, item->row, plan->part->column, &v);
  if (rc != MMAPSYNC_OK) {
    s->rc = rc;
    return;
  }
  switch (v.type) {
  case MMAPSYNC_NULL: x = CLASS_NULL << 62; break;
  case MMAPSYNC_TEXT: x = CLASS_TEXT << 62 | bytesBits(&v, plan->part->collation, depth); break;
  case MMAPSYNC_BLOB: x = CLASS_BLOB << 62 | bytesBits(&v, MMAPSYNC_BINARY, depth); break;
  default: x = plan->reals ? realBits(v.u.r) : CLASS_NUMBER << 62 | numberBits(plan, &v); break;
  }
  item->prefix = plan->part->desc ? ~x : x;
}

static void insertionSort(SortItem *a, uint64_t n) {
  uint64_t i, j;
  for (i = 1; i < n; i++) {
    SortItem x = a[i];
    for (j = i; j > 0 && a[j - 1].prefix > x.prefix; j--) a[j] = a[j - 1];
    a[j] = x;
  }
}

/* Least significant byte first; a byte in which all agree is passed over. */
static void radixSort(Sorter *s, SortItem *a, uint64_t n) {
  SortItem *from = a, *to = s->spare;
  uint64_t i;
  int d, c;
  memset(s->count, 0, sizeof(s->count));
  for (i = 0; i < n; i++) {
    for (d = 0; d < 8; d++) s->count[d][a[i].prefix >> (8 * d) & 255]++;
  }
  for (d = 0; d < 8; d++) {
    uint32_t *count = s->count[d], at = 0;
    SortItem *swap;
    if (count[a[0].prefix >> (8 * d) & 255] == n) continue;
    for (c = 0; c < 256; c++) {
      uint32_t k = count[c];
      count[c] = at;
      at += k;
    }
    for (i = 0; i < n; i++) to[count[from[i].prefix >> (8 * d) & 255]++] = from[i];
    swap = from;
    from = to;
    to = swap;
  }
  if (from != a) memcpy(a, from, n * sizeof(*a));
}

int keyHasNull(const mmapsync_table *t, const Key *k, uint64_t row) {
  int p;
  for (p = 0; p < k->info.nparts; p++) {
    mmapsync_value v;
    if (mmapsync_get(t, row, k->parts[p].column, &v) == MMAPSYNC_OK && v.type == MMAPSYNC_NULL) {
      return 1;
    }
  }
  return 0;
}

static void noteEqual(Sorter *s, uint64_t a, uint64_t b) {
  if (s->dup_a != NO_ROW || keyHasNull(s->t, s->k, a)) return;
  s->dup_a = a < b ? a : b;
  s->dup_b = a < b ? b : a;
}

/* Whether row b comes before row a, in the parts from `part` on and by row number. */
static int rowAfter(Sorter *s, int part, uint32_t a, uint32_t b) {
  int c;
  if (s->rc != MMAPSYNC_OK) return 0; /* to be done with it */
  if ((++s->ncompare & 0xffff) == 0) s->rc = leaveAsk(s->leave);
  c = keyCompareRows(s->t, s->k, &part, a, b, &s->rc);
  if (c == 0) noteEqual(s, a, b);
  return c ? c > 0 : a > b;
}

/* Sorts by comparing, from `part` on: halves, then the first of them aside, and merges. */
static void mergeSort(Sorter *s, SortItem *a, uint64_t n, int part) {
  uint64_t i, j, at, half = n / 2;
  SortItem *first = s->spare;
  if (n < 2) return;
  mergeSort(s, a, half, part);
  mergeSort(s, a + half, n - half, part);
  if (!rowAfter(s, part, a[half - 1].row, a[half].row)) return;
  memcpy(first, a, half * sizeof(*a));
  for (at = 0, i = 0, j = half; i < half; at++) {
    if (j < n && rowAfter(s, part, first[i].row, a[j].row)) {
      a[at] = a[j++];
    } else {
      a[at] = first[i++];
    }
  }
}

/* Counts the neighbours that differ in a run which a comparison sort has put in order. */
static void differCount(Sorter *s, const SortItem *a, uint64_t n, int first) {
  uint64_t i;
  for (i = 1; i < n && s->rc == MMAPSYNC_OK; i++) {
    int part = first;
    if (keyCompareRows(s->t, s->k, &part, a[i - 1].row, a[i].row, &s->rc)) s->differ[part]++;
  }
}

static void sortPart(Sorter *s, SortItem *a, uint64_t n, int part, size_t depth);

/* Goes on with n > 1 items that tie in the piece at `depth` of a part. */
static void sortTie(Sorter *s, SortItem *a, uint64_t n, int part, size_t depth) {
  const PartPlan *plan = &s->plan[part];
  uint64_t x = plan->part->desc ? ~a[0].prefix : a[0].prefix, class = x >> 62;
  int equal = plan->reals || class == CLASS_NULL || (class == CLASS_NUMBER && plan->exact);
  if (!plan->reals && class >= CLASS_TEXT) {
    if ((x & 15) == LEFT_MORE) {
      sortPart(s, a, n, part, depth + ORDER_PREFIX);
      return;
    }
    equal = (x & 15) < LEFT_MORE;
  }
  if (!equal) {
    sortPart(s, a, n, part, MAX_DEPTH + 1);
  } else if (part + 1 < s->k->info.nparts) {
    sortPart(s, a, n, part + 1, 0);
  } else {
    noteEqual(s, a[0].row, a[1].row);
  }
}

/* Sorts rows that are equal in all parts before `part`, and in the first `depth` bytes of it. */
static void sortPart(Sorter *s, SortItem *a, uint64_t n, int part, size_t depth) {
  uint64_t i, from;
  int column = s->k->parts[part].column;
  if (s->level >= MAX_LEVEL || depth > MAX_DEPTH) {
    mergeSort(s, a, n, part);
    differCount(s, a, n, part);
    return;
  }
  for (i = 0; i < n && s->rc == MMAPSYNC_OK; i++) {
    if (i + 2 * AHEAD < n) valuePrefetch(s->t, column, a[i + 2 * AHEAD].row, 0);
    if (i + AHEAD < n) valuePrefetch(s->t, column, a[i + AHEAD].row, 1);
    pieceTake(s, &s->plan[part], depth, &a[i]);
    if ((i & 0xffff) == 0xffff) s->rc = leaveAsk(s->leave);
  }
  if (s->rc != MMAPSYNC_OK) return;
  if (n < SMALL) {
    insertionSort(a, n);
  } else {
    radixSort(s, a, n);
  }
  s->level++;
  for (from = 0; from < n && s->rc == MMAPSYNC_OK; from = i) {
    for (i = from + 1; i < n && a[i].prefix == a[from].prefix; i++) {
    }
    s->differ[part] += from > 0; /* what ties here may still differ in this part: counted there */
    if (i - from > 1) sortTie(s, a + from, i - from, part, depth);
  }
  s->level--;
}

/* ---- runs ------------------------------------------------------------------------------------ */

/* Sorts rows from..from+n-1 into order[]. */
static void runSort(Sorter *s, SortItem *a, uint32_t *order, uint64_t from, uint64_t n) {
  uint64_t i;
  for (i = 0; i < n; i++) a[i].row = (uint32_t)(from + i);
  if (n > 1) sortPart(s, a, n, 0, 0);
  for (i = 0; i < n; i++) order[from + i] = a[i].row;
}

/* A row with the first two pieces of its key. */
typedef struct Head {
  uint64_t prefix, second;
  uint32_t row;
  int part; /* that the second piece is of; -1: there is none */
} Head;

static Head headTake(Sorter *s, uint32_t row) {
  const PartPlan *plan = &s->plan[0];
  SortItem item = {.row = row};
  Head head = {.row = row, .part = -1};
  uint64_t x;
  pieceTake(s, plan, 0, &item);
  head.prefix = item.prefix;
  x = plan->part->desc ? ~item.prefix : item.prefix;
  if (!plan->reals && x >> 62 >= CLASS_TEXT) {
    if ((x & 15) == LEFT_UNSURE) return head;
    head.part = (x & 15) != LEFT_MORE;
  } else if (plan->reals || plan->exact || x >> 62 == CLASS_NULL) {
    head.part = 1;
  }
  if (head.part >= s->k->info.nparts) head.part = -1;
  if (head.part >= 0) {
    pieceTake(s, &s->plan[head.part], head.part ? 0 : ORDER_PREFIX, &item);
    head.second = item.prefix;
  }
  return head;
}

/* Compares two rows, by their pieces if these tell; *part becomes the part in which they differ.  Rows with
** equal first pieces have second pieces of the same part. */
static int headsCompare(Sorter *s, const Head *a, const Head *b, int *part) {
  *part = 0;
  if (a->prefix != b->prefix) return a->prefix < b->prefix ? -1 : 1;
  if (a->part >= 0 && a->second != b->second) {
    *part = a->part;
    return a->second < b->second ? -1 : 1;
  }
  return keyCompareRows(s->t, s->k, part, a->row, b->row, &s->rc);
}

/* Asks for the values of the next rows of a run. */
static void runPrefetch(const Sorter *s, const uint32_t *run, uint64_t at, uint64_t end) {
  int p, column;
  for (p = 0; p < s->k->info.nparts && p < 3; p++) {
    column = s->k->parts[p].column;
    if (at + 2 * AHEAD < end) valuePrefetch(s->t, column, run[at + 2 * AHEAD], 0);
    if (at + AHEAD < end) valuePrefetch(s->t, column, run[at + AHEAD], 1);
  }
}

/* One run while it is merged. */
typedef struct Run {
  Head head;
  uint64_t at, end; /* of the head, and of the run */
} Run;

/* Which of n runs has the row that comes first: of equal ones the first run, whose rows have lower numbers. */
static uint64_t runsFirst(Sorter *s, const Run *runs, uint64_t n) {
  uint64_t i, best = n;
  int part;
  for (i = 0; i < n; i++) {
    if (runs[i].at == runs[i].end) continue;
    if (best == n || headsCompare(s, &runs[i].head, &runs[best].head, &part) < 0) best = i;
  }
  return best;
}

/* Merges the runs of `width` rows in from[] into order[].  Counts the neighbours that differ anew. */
static void runsMerge(Sorter *s, const uint32_t *from, uint64_t width, Run *runs, uint64_t n,
                      uint32_t *order) {
  uint64_t i, rows = s->t->rows;
  Head last = {.part = -1};
  for (i = 0; i < n; i++) {
    runs[i].at = i * width;
    runs[i].end = rows - runs[i].at < width ? rows : runs[i].at + width;
    runs[i].head = headTake(s, from[runs[i].at]);
  }
  memset(s->differ, 0, (size_t)s->k->info.nparts * sizeof(*s->differ));
  for (i = 0; i < rows && s->rc == MMAPSYNC_OK; i++) {
    Run *run;
    int part;
    if ((i & 0xffff) == 0) s->rc = leaveAsk(s->leave);
    run = &runs[runsFirst(s, runs, n)];
    order[i] = run->head.row;
    if (i > 0 && headsCompare(s, &last, &run->head, &part)) {
      s->differ[part]++;
    } else if (i > 0) { /* or a failure, and then it does not matter */
      noteEqual(s, last.row, run->head.row);
    }
    last = run->head;
    if (++run->at < run->end) {
      runPrefetch(s, from, run->at, run->end);
      run->head = headTake(s, from[run->at]);
    }
  }
}

/* Copies the runs out of the data file, and looks that they are row numbers still. */
static void runsTake(Sorter *s, uint32_t *from, const uint32_t *order) {
  uint64_t i, rows = s->t->rows;
  memcpy(from, order, rows * sizeof(*from));
  for (i = 0; i < rows; i++) {
    if (from[i] >= rows) s->rc = MMAPSYNC_CORRUPT;
  }
}

static void runsMergeAll(Sorter *s, uint32_t *order, uint64_t width) {
  uint64_t rows = s->t->rows, n = (rows + width - 1) / width;
  uint32_t *from = malloc(rows * sizeof(*from));
  Run *runs = malloc(n * sizeof(*runs));
  if (from && runs) {
    runsTake(s, from, order);
    if (s->rc == MMAPSYNC_OK) runsMerge(s, from, width, runs, n, order);
  } else {
    s->rc = MMAPSYNC_NOMEM;
  }
  free(from);
  free(runs);
}

int keySort(const Leave *leave, uint64_t most, const mmapsync_table *t, const Key *k,
            uint32_t *order, uint64_t *differ, uint64_t *dup_a, uint64_t *dup_b) {
  uint64_t width = t->rows < most ? t->rows : most, from;
  Sorter *s = calloc(1, sizeof(*s));
  SortItem *a = malloc(width * sizeof(*a) + 1); /* one more: no rows is no failure */
  int p, rc = MMAPSYNC_OK;
  *dup_a = *dup_b = NO_ROW;
  if (s) s->spare = malloc(width * sizeof(*a) + 1);
  if (s) s->plan = malloc((size_t)k->info.nparts * sizeof(*s->plan));
  if (!s || !a || !s->spare || !s->plan) {
    rc = MMAPSYNC_NOMEM;
  } else {
    s->leave = leave;
    s->t = t;
    s->k = k;
    s->differ = differ;
    s->dup_a = s->dup_b = NO_ROW;
    assert(k->info.nparts > 0);
    for (p = 0; p < k->info.nparts; p++) partPlan(s, p, &s->plan[p]);
    for (from = 0; from < t->rows && s->rc == MMAPSYNC_OK; from += width) {
      runSort(s, a, order, from, t->rows - from < width ? t->rows - from : width);
    }
  }
  free(a);
  if (s) free(s->spare);
  if (rc == MMAPSYNC_OK && width < t->rows && s->rc == MMAPSYNC_OK) runsMergeAll(s, order, width);
  if (s) free(s->plan);
  if (rc == MMAPSYNC_OK) {
    rc = s->rc;
    *dup_a = s->dup_a;
    *dup_b = s->dup_b;
  }
  free(s);
  return rc;
}
