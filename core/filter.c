/*
** filter.c - rows that match terms.
**
** Row by row, for now.
*/
#include <stdlib.h>
#include <string.h>

#include "image.h"
#include "order.h"

#define MOST_ROWS 262144 /* looked at in vain before the caller is asked */

struct mmapsync_filter {
  const mmapsync_table *t;
  int n;
  mmapsync_term *terms;
  mmapsync_value *values;
  uint8_t *bytes;
};

int mmapsync_filter_open(const mmapsync_table *t, const mmapsync_term *terms, int n,
                         mmapsync_filter **out) {
  mmapsync_filter *f;
  size_t nvalues = 0, nbytes = 0;
  int i, j;
  *out = NULL;
  if (n < 0) return MMAPSYNC_MISUSE;
  for (i = 0; i < n; i++) {
    const mmapsync_term *p = &terms[i];
    if (p->column < 0 || p->column >= t->info.ncolumns || p->op < MMAPSYNC_EQ ||
        p->op > MMAPSYNC_IN || !orderCollationOk(p->collation) ||
        (p->op == MMAPSYNC_IN ? p->nvalues < 0 : p->nvalues != 1)) {
      return MMAPSYNC_MISUSE;
    }
    nvalues += (size_t)p->nvalues;
    for (j = 0; j < p->nvalues; j++) {
      if (p->values[j].type > MMAPSYNC_BLOB) return MMAPSYNC_MISUSE;
      if (p->values[j].type >= MMAPSYNC_TEXT) nbytes += p->values[j].n;
    }
  }
  f = calloc(1, sizeof(*f));
  if (f == NULL) return MMAPSYNC_NOMEM;
  f->t = t;
  f->n = n;
  f->terms = malloc((size_t)n * sizeof(*f->terms) + 1);
  f->values = malloc(nvalues * sizeof(*f->values) + 1);
  f->bytes = malloc(nbytes + 1);
  if (!f->terms || !f->values || !f->bytes) {
    mmapsync_filter_close(f);
    return MMAPSYNC_NOMEM;
  }
  nvalues = nbytes = 0;
  for (i = 0; i < n; i++) {
    f->terms[i] = terms[i];
    f->terms[i].values = &f->values[nvalues];
    for (j = 0; j < terms[i].nvalues; j++) {
      mmapsync_value *v = &f->values[nvalues++];
      *v = terms[i].values[j];
      if (v->type < MMAPSYNC_TEXT) continue;
      if (v->n) memcpy(f->bytes + nbytes, v->u.p, v->n);
      v->u.p = f->bytes + nbytes;
      nbytes += v->n;
    }
  }
  *out = f;
  return MMAPSYNC_OK;
}

void mmapsync_filter_close(mmapsync_filter *f) {
  if (f == NULL) return;
  free(f->terms);
  free(f->values);
  free(f->bytes);
  free(f);
}

static int termMatches(const mmapsync_term *p, const mmapsync_value *a) {
  int i, c;
  if (p->op == MMAPSYNC_IN) {
    if (orderIsNull(a)) return 0;
    for (i = 0; i < p->nvalues; i++) {
      if (mmapsync_compare(a, &p->values[i], p->collation) == 0) return 1;
    }
    return 0;
  }
  if (p->op < MMAPSYNC_IS && (orderIsNull(a) || orderIsNull(&p->values[0]))) return 0;
  c = mmapsync_compare(a, &p->values[0], p->collation);
  switch (p->op) {
  case MMAPSYNC_EQ:
  case MMAPSYNC_IS: return c == 0;
  case MMAPSYNC_NE:
  case MMAPSYNC_ISNOT: return c != 0;
  case MMAPSYNC_LT: return c < 0;
  case MMAPSYNC_LE: return c <= 0;
  case MMAPSYNC_GT: return c > 0;
  default: return c >= 0;
  }
}

int mmapsync_filter_row(mmapsync_filter *f, uint64_t row) {
  int i;
  if (row >= f->t->rows) return 0;
  for (i = 0; i < f->n; i++) {
    mmapsync_value v;
    if (mmapsync_get(f->t, row, f->terms[i].column, &v) != MMAPSYNC_OK) return -MMAPSYNC_CORRUPT;
    if (!termMatches(&f->terms[i], &v)) return 0;
  }
  return 1;
}

int mmapsync_filter_next(mmapsync_filter *f, uint64_t *from, uint64_t until, uint32_t *rows,
                         uint32_t *n) {
  uint64_t row = *from, end = until < f->t->rows ? until : f->t->rows, looked = 0;
  *n = 0;
  while (row < end && *n < MMAPSYNC_FILTER_ROWS && looked < MOST_ROWS) {
    int is = mmapsync_filter_row(f, row);
    if (is < 0) return -is;
    if (is) rows[(*n)++] = (uint32_t)row;
    row++;
    looked = *n ? 0 : looked + 1;
  }
  *from = row >= end ? (*from < until ? until : *from) : row;
  return MMAPSYNC_OK;
}

int mmapsync_filter_prev(mmapsync_filter *f, uint64_t from, uint64_t *until, uint32_t *rows,
                         uint32_t *n) {
  uint64_t row = *until < f->t->rows ? *until : f->t->rows, looked = 0;
  uint32_t i, count = 0;
  *n = 0;
  while (row > from && count < MMAPSYNC_FILTER_ROWS && looked < MOST_ROWS) {
    int is = mmapsync_filter_row(f, row - 1);
    if (is < 0) return -is;
    row--;
    if (is) rows[MMAPSYNC_FILTER_ROWS - ++count] = (uint32_t)row;
    looked = count ? 0 : looked + 1;
  }
  for (i = 0; i < count; i++) rows[i] = rows[MMAPSYNC_FILTER_ROWS - count + i];
  *n = count;
  *until = row <= from ? (*until > from ? from : *until) : row;
  return MMAPSYNC_OK;
}

int mmapsync_filter_count(mmapsync_filter *f, uint64_t from, uint64_t until, uint64_t *count) {
  uint64_t row, end = until < f->t->rows ? until : f->t->rows;
  *count = 0;
  for (row = from; row < end; row++) {
    int is = mmapsync_filter_row(f, row);
    if (is < 0) return -is;
    *count += (uint64_t)is;
  }
  return MMAPSYNC_OK;
}
