/*
** filter.c - the rows of a table that match all of some terms.
**
** A filter goes through a table chunk by chunk.  On entering a chunk it plans each term for it
** (filterplan.c): a term that no row of the chunk can match passes the whole chunk over, one that all
** match is left out, and the others are put in order, cheapest first.  Then blocks of at most 1024 rows are
** run through them, each term taking away from what is left of the block, until nothing is; what remains is
** turned into row numbers.
**
** HOW MANY AT ONCE.  A caller who wants one row only should not pay for a thousand.  So the first call gives
** what the first block with a match holds, and each that goes on where the one before it ended twice as
** many, up to all that fit.
*/
#include "filter.h"

#include <stdlib.h>
#include <string.h>

#include "order.h"

#define VAIN_ROWS 262144 /* looked at without a match before the caller is asked */
#define ROW_BYTES 64     /* of text count as a row */
#define NO_CHUNK  UINT64_MAX
#define IN_MOST   (1 << 26) /* so that the place in their hash table is a number of 32 bits */

struct mmapsync_filter {
  const mmapsync_table *t;
  const FilterLoops *loops;
  int n;
  int *active;    /* which terms the chunk's rows are run through, in this order */
  uint64_t chunk; /* that is planned for, or NO_CHUNK */
  uint64_t ahead; /* and how many of its rows were ahead then */
  int nactive;
  int none;          /* no row of the chunk matches */
  uint64_t expected; /* where the next call goes on, if it goes on */
  uint32_t want;     /* rows that are enough for it */
  BlockMask mask;
  FilterTerm terms[];
};

static int termOk(const mmapsync_table *t, const mmapsync_term *p) {
  int i;
  if (p->column < 0 || p->column >= t->info.ncolumns) return 0;
  if (p->op < MMAPSYNC_EQ || p->op > MMAPSYNC_HAS || !orderCollationOk(p->collation)) return 0;
  if (p->op == MMAPSYNC_IN ? p->nvalues < 0 || p->nvalues > IN_MOST : p->nvalues != 1) return 0;
  for (i = 0; i < p->nvalues; i++) {
    if (p->values[i].type > MMAPSYNC_BLOB) return 0;
  }
  if (p->op == MMAPSYNC_HAS) {
    return p->values[0].type == MMAPSYNC_TEXT && p->collation != MMAPSYNC_RTRIM;
  }
  return 1;
}

int mmapsync_filter_open(const mmapsync_table *t, const mmapsync_term *terms, int n,
                         mmapsync_filter **out) {
  mmapsync_filter *f;
  size_t bytes;
  int i, rc = MMAPSYNC_OK;
  *out = NULL;
  if (n < 0) return MMAPSYNC_MISUSE;
  for (i = 0; i < n; i++) {
    if (!termOk(t, &terms[i])) return MMAPSYNC_MISUSE;
  }
  bytes = sizeof(*f) + (size_t)n * sizeof(FilterTerm);
  f = aligned_alloc(64, (bytes + 63) & ~(size_t)63);
  if (f == NULL) return MMAPSYNC_NOMEM;
  memset(f, 0, bytes);
  f->t = t;
  f->loops = filterLoops();
  f->n = n;
  f->chunk = NO_CHUNK;
  f->expected = UINT64_MAX;
  f->want = 1; /* a first call may go on from there: backwards, from the end of any table */
  f->active = malloc((size_t)n * sizeof(*f->active) + 1);
  if (f->active == NULL) rc = MMAPSYNC_NOMEM;
  for (i = 0; rc == MMAPSYNC_OK && i < n; i++) rc = termOpen(&f->terms[i], &terms[i]);
  if (rc != MMAPSYNC_OK) {
    mmapsync_filter_close(f);
    return rc;
  }
  *out = f;
  return MMAPSYNC_OK;
}

void mmapsync_filter_close(mmapsync_filter *f) {
  int i;
  if (f == NULL) return;
  for (i = 0; i < f->n; i++) termClose(&f->terms[i]);
  free(f->active);
  free(f);
}

/* ---- chunks and blocks ----------------------------------------------------------------------- */

static uint64_t chunkFirst(const mmapsync_filter *f, uint64_t chunk) {
  return chunk << f->t->chunk_shift;
}

/* One behind the last row of the chunk. */
static uint64_t chunkEnd(const mmapsync_filter *f, uint64_t chunk) {
  return chunkFirst(f, chunk) + chunkRows(f->t->rows, f->t->chunk_shift, chunk);
}

static int chunkPlan(mmapsync_filter *f, uint64_t chunk, uint64_t ahead) {
  uint64_t n = chunkRows(f->t->rows, f->t->chunk_shift, chunk);
  int i, j;
  f->chunk = NO_CHUNK;
  f->none = f->nactive = 0;
  for (i = 0; i < f->n && !f->none; i++) {
    FilterTerm *p = &f->terms[i];
    int verdict, rc = planMake(p, &f->t->columns[p->def.column].chunks[chunk], n, ahead);
    if (rc != MMAPSYNC_OK) return rc;
    verdict = planVerdict(p);
    f->none = verdict == 0;
    if (verdict >= 0) continue;
    for (j = f->nactive++; j > 0 && f->terms[f->active[j - 1]].plan.kind > p->plan.kind; j--) {
      f->active[j] = f->active[j - 1];
    }
    f->active[j] = i;
  }
  f->chunk = chunk;
  f->ahead = ahead;
  return MMAPSYNC_OK;
}

/* Gets ready for rows of a chunk, of which `ahead` are to be looked at. */
static int chunkEnter(mmapsync_filter *f, uint64_t chunk, uint64_t ahead) {
  if (chunk == f->chunk && ahead <= f->ahead) return MMAPSYNC_OK;
  return chunkPlan(f, chunk, ahead);
}

/* The block's row that the chunk's row r is in, so that loops start at a multiple of 64. */
static uint64_t blockStart(uint64_t r) { return r & ~UINT64_C(63); }

/* Which of the rows from <= row < *end match, all of one chunk, which was entered, and at most as many as fit:
** f->mask.row[i] tells of row `start + i`.  Those before `from` are told not to.  *end becomes less where their
** texts are very long.  *work rises by what it took, in rows of usual length. */
static int blockRun(mmapsync_filter *f, uint64_t start, uint64_t from, uint64_t *end,
                    uint64_t *work) {
  uint64_t first = chunkFirst(f, f->chunk);
  Block b = {.t = f->t, .loops = f->loops, .at = start - first, .n = (uint32_t)(*end - start)};
  int i, rc = MMAPSYNC_OK;
  memset(f->mask.row, 1, b.n);
  memset(f->mask.row, 0, from - start);
  for (i = 0; rc == MMAPSYNC_OK && i < f->nactive; i++) {
    const FilterTerm *p = &f->terms[f->active[i]];
    if (i > 0 && p->plan.kind >= PLAN_EQUAL && f->loops->sumBytes(f->mask.row, b.n) == 0) break;
    b.k = &f->t->columns[p->def.column].chunks[f->chunk];
    rc = planRun(p, &b, &f->mask);
  }
  if (start + b.n < *end) *end = start + b.n;
  *work += *end - from + b.bytes / ROW_BYTES;
  return rc;
}

/* Row numbers of the first bytes set among n, at most `room`; how many.  *done becomes the first byte that is
** set and not told, or n.  Bytes behind the n may be looked at, and do not count. */
static uint32_t maskRows(const uint8_t *mask, uint32_t n, uint32_t row, uint32_t *rows,
                         uint32_t room, uint32_t *done) {
  uint32_t i, j, k = 0;
  for (i = 0; i < n; i += 8) {
    uint64_t w;
    memcpy(&w, mask + i, 8);
    if (w == 0) continue;
    if (n - i >= 8 && room - k >= 8) { /* without a branch for each row, which none could foresee */
      for (j = 0; j < 8; j++) {
        rows[k] = row + i + j;
        k += mask[i + j];
      }
      continue;
    }
    for (j = i; j < n && j < i + 8; j++) {
      if (!mask[j]) continue;
      if (k == room) {
        *done = j;
        return k;
      }
      rows[k++] = row + j;
    }
  }
  *done = n;
  return k;
}

/* ---- going through --------------------------------------------------------------------------- */

/* How many rows are enough for a call that starts at `row`. */
static uint32_t wantFor(mmapsync_filter *f, uint64_t row) {
  if (row != f->expected) {
    f->want = 1;
  } else if (f->want < MMAPSYNC_FILTER_ROWS) {
    f->want *= 2;
  }
  return f->want;
}

int mmapsync_filter_next(mmapsync_filter *f, uint64_t *from, uint64_t until, uint32_t *rows,
                         uint32_t *n) {
  uint64_t row = *from, end = until < f->t->rows ? until : f->t->rows, vain = 0;
  uint32_t want = wantFor(f, row), count = 0;
  *n = 0;
  while (row < end && count < want && vain < VAIN_ROWS) {
    uint64_t chunk = row >> f->t->chunk_shift, stop = chunkEnd(f, chunk), start;
    uint32_t got, done;
    int rc;
    if (stop > end) stop = end;
    rc = chunkEnter(f, chunk, stop - row);
    if (rc != MMAPSYNC_OK) return rc;
    if (f->none) {
      vain += FILTER_BLOCK;
      row = stop;
      continue;
    }
    start = chunkFirst(f, chunk) + blockStart(row - chunkFirst(f, chunk));
    if (stop > start + FILTER_BLOCK) stop = start + FILTER_BLOCK;
    rc = blockRun(f, start, row, &stop, &vain);
    if (rc != MMAPSYNC_OK) return rc;
    got = maskRows(f->mask.row, (uint32_t)(stop - start), (uint32_t)start, rows + count,
                   MMAPSYNC_FILTER_ROWS - count, &done);
    if (got) vain = 0;
    count += got;
    if (start + done < stop) want = 0; /* no more room */
    row = start + done;
  }
  *n = count;
  if (row < end) {
    *from = row;
  } else if (*from < until) {
    *from = until;
  }
  f->expected = *from;
  return MMAPSYNC_OK;
}

int mmapsync_filter_prev(mmapsync_filter *f, uint64_t from, uint64_t *until, uint32_t *rows,
                         uint32_t *n) {
  uint64_t row = *until < f->t->rows ? *until : f->t->rows, vain = 0;
  uint32_t want = wantFor(f, *until), count = 0, at = MMAPSYNC_FILTER_ROWS;
  *n = 0;
  while (row > from && count < want && vain < VAIN_ROWS) {
    uint64_t chunk = (row - 1) >> f->t->chunk_shift, first = chunkFirst(f, chunk), start = first;
    uint64_t stop = first > from ? first : from;
    uint32_t i;
    int rc = chunkEnter(f, chunk, row - stop);
    if (rc != MMAPSYNC_OK) return rc;
    if (f->none) {
      vain += FILTER_BLOCK;
      row = stop;
      continue;
    }
    if (row - first > FILTER_BLOCK) start = first + blockStart(row - 1 - first) + 64 - FILTER_BLOCK;
    if (start > stop) stop = start;
    if (start < stop) start = first + blockStart(stop - first);
    for (;;) {
      uint64_t end = row;
      rc = blockRun(f, start, stop, &end, &vain);
      if (rc != MMAPSYNC_OK) return rc;
      if (end == row) break;
      stop = row - (row - stop) / 2; /* the last ones are wanted: fewer of them */
      start = first + blockStart(stop - first);
    }
    for (i = (uint32_t)(row - start); i > 0 && at > 0; i--) {
      if (f->mask.row[i - 1]) rows[--at] = (uint32_t)(start + i - 1);
    }
    if (at < MMAPSYNC_FILTER_ROWS - count) vain = 0;
    count = MMAPSYNC_FILTER_ROWS - at;
    row = at == 0 ? rows[0] : stop;
  }
  memmove(rows, rows + at, count * sizeof(*rows));
  *n = count;
  if (row > from) {
    *until = row;
  } else if (*until > from) {
    *until = from;
  }
  f->expected = *until;
  return MMAPSYNC_OK;
}

int mmapsync_filter_row(mmapsync_filter *f, uint64_t row) {
  int i;
  if (row >= f->t->rows) return 0;
  for (i = 0; i < f->n; i++) {
    mmapsync_value v;
    if (mmapsync_get(f->t, row, f->terms[i].def.column, &v) != MMAPSYNC_OK) {
      return -MMAPSYNC_CORRUPT;
    }
    if (!termMatches(&f->terms[i], &v)) return 0;
  }
  return 1;
}

int mmapsync_filter_count(mmapsync_filter *f, uint64_t *from, uint64_t until, uint64_t *count) {
  uint64_t row = *from, work = 0, end = until < f->t->rows ? until : f->t->rows;
  *count = 0;
  while (row < end && work < VAIN_ROWS) {
    uint64_t chunk = row >> f->t->chunk_shift, stop = chunkEnd(f, chunk), start;
    int rc;
    if (stop > end) stop = end;
    rc = chunkEnter(f, chunk, stop - row);
    if (rc != MMAPSYNC_OK) return rc;
    if (f->none || f->nactive == 0) {
      *count += f->none ? 0 : stop - row;
      work += FILTER_BLOCK;
      row = stop;
      continue;
    }
    start = chunkFirst(f, chunk) + blockStart(row - chunkFirst(f, chunk));
    if (stop > start + FILTER_BLOCK) stop = start + FILTER_BLOCK;
    rc = blockRun(f, start, row, &stop, &work);
    if (rc != MMAPSYNC_OK) return rc;
    *count += f->loops->sumBytes(f->mask.row, (uint32_t)(stop - start));
    row = stop;
  }
  if (row < end) {
    *from = row;
  } else if (*from < until) {
    *from = until;
  }
  return MMAPSYNC_OK;
}
