/*
** imagecheck.c - mmapsync_table_check(): whether a table says of itself what is true.
**
** A hash tells that the bytes are those which were published, and not that they were right.  This looks at what
** answers are made of: each value, what the directory says of its column (a filter that is told "no text in here"
** looks for none), and each key: that its order has each row once and is one, that the counts of different values
** are right, and that a unique key finds each row by its own values.  So a mistake of a publisher is found, and a
** hostile one's lie.
**
** All is asked through the calls that a query uses.  What they find damaged is told as such.  Rows are taken
** LOOK_ROWS at a time, and after each few of these options.progress is asked.
*/
#include <stdlib.h>
#include <string.h>

#include "handle.h"
#include "image.h"
#include "imagevalue.h"
#include "order.h"

#define LOOK_ROWS  64
#define LOOK_PAUSE 1024 /* looks, at a power of two, between two questions whether to go on */

/* One check of a table.  `what` and `name` are the column or key that is looked at, for sentences. */
typedef struct Look {
  mmapsync *h;
  const mmapsync_table *t;
  const char *what, *name;
} Look;

/* Says what is wrong with the column or key at hand, in a row. */
static int lookWrong(const Look *l, uint64_t row, const char *why) {
  return handleError(
      l->h, MMAPSYNC_CORRUPT, "\"%s\": damaged table image: table \"%s\": %s \"%s\", row %llu: %s",
      mmapsync_path(l->h), l->t->info.name, l->what, l->name, (unsigned long long)row + 1, why);
}

/* As lookWrong(), of all rows together. */
static int lookWrongCount(const Look *l, const char *of, uint64_t expected, uint64_t found) {
  return handleError(
      l->h, MMAPSYNC_CORRUPT,
      "\"%s\": damaged table image: table \"%s\": %s \"%s\": expected %llu %s, found %llu",
      mmapsync_path(l->h), l->t->info.name, l->what, l->name, (unsigned long long)expected, of,
      (unsigned long long)found);
}

static int lookPause(const Look *l, uint64_t row) {
  return row % (LOOK_ROWS * LOOK_PAUSE) == 0 ? handleProgress(l->h) : MMAPSYNC_OK;
}

static uint32_t lookRows(const Look *l, uint64_t row) {
  return l->t->rows - row < LOOK_ROWS ? (uint32_t)(l->t->rows - row) : LOOK_ROWS;
}

/* ---- columns ---------------------------------------------------------------------------------- */

/* What the directory says wrongly of a value, or NULL. */
static const char *valueWrong(const mmapsync_column_info *c, const mmapsync_value *v) {
  if ((c->types >> v->type & 1) == 0)
    return "a value of a type that the directory says is not there";
  if (v->type == MMAPSYNC_NULL) {
    return c->flags & MMAPSYNC_COLUMN_NOTNULL ? "NULL, which the directory says is not there"
                                              : NULL;
  }
  if (v->type == MMAPSYNC_TEXT) {
    if ((c->flags & MMAPSYNC_COLUMN_CLEAN) && memchr(v->u.p, 0, v->n) != NULL) {
      return "a NUL byte in a text, which the directory says is not there";
    }
    if (!(c->types & MMAPSYNC_TYPES_NUMERIC_TEXT) && orderNumericText(v->u.p, v->n)) {
      return "a text that is a number, which the directory says is not there";
    }
  }
  if (c->min.type != MMAPSYNC_NULL && (mmapsync_compare(v, &c->min, MMAPSYNC_BINARY) < 0 ||
                                       mmapsync_compare(v, &c->max, MMAPSYNC_BINARY) > 0)) {
    return "a number beyond the bounds that the directory tells";
  }
  return NULL;
}

/* Chunks of texts of one length: whether the offsets, which nobody then looks at, say the same. */
static int evenLook(Look *l, int column) {
  const mmapsync_table *t = l->t;
  uint64_t i, e, chunks = chunkCount(t->rows, t->chunk_shift);
  for (i = 0; i < chunks; i++) {
    const Chunk *k = &t->columns[column].chunks[i];
    uint64_t n = k->flags & CHUNK_SPARSE ? k->stored : chunkRows(t->rows, t->chunk_shift, i);
    if ((k->encoding != CHUNK_TEXT && k->encoding != CHUNK_BLOB) || k->base == 0) continue;
    for (e = 0; e <= n; e++) {
      if (loadWidth(k->data, k->width, e) == e * (uint64_t)k->base) continue;
      return lookWrong(l, i << t->chunk_shift, "its texts or blobs are not all of one length");
    }
  }
  return MMAPSYNC_OK;
}

static int columnLook(Look *l, int column) {
  const mmapsync_column_info *c = mmapsync_column_about(l->t, column);
  mmapsync_value values[LOOK_ROWS];
  uint32_t rows[LOOK_ROWS], i, n;
  uint64_t row, nulls = 0;
  int rc;
  l->what = "column";
  l->name = c->name;
  rc = evenLook(l, column);
  if (rc != MMAPSYNC_OK) return rc;
  for (row = 0; row < l->t->rows; row += n) {
    rc = lookPause(l, row);
    if (rc != MMAPSYNC_OK) return rc;
    n = lookRows(l, row);
    for (i = 0; i < n; i++) rows[i] = (uint32_t)(row + i);
    /* If one of them is damaged: which? */
    if (mmapsync_get_many(l->t, rows, n, column, values) != MMAPSYNC_OK) {
      for (i = 0; i < n; i++) {
        if (mmapsync_get(l->t, row + i, column, &values[i]) != MMAPSYNC_OK) break;
      }
      return lookWrong(l, row + i, "leads outside the image");
    }
    for (i = 0; i < n; i++) {
      const char *why = valueWrong(c, &values[i]);
      if (why != NULL) return lookWrong(l, row + i, why);
      nulls += values[i].type == MMAPSYNC_NULL;
    }
  }
  return nulls == c->nulls ? MMAPSYNC_OK : lookWrongCount(l, "NULLs", c->nulls, nulls);
}

/* ---- keys ------------------------------------------------------------------------------------- */

/* The key's values of a row, in values[]; *null tells whether one of them is NULL. */
static int keyValues(const Look *l, const Key *k, uint64_t row, mmapsync_value *values, int *null) {
  int i, rc = MMAPSYNC_OK;
  *null = 0;
  for (i = 0; rc == MMAPSYNC_OK && i < k->info.nparts; i++) {
    rc = mmapsync_get(l->t, row, k->parts[i].column, &values[i]);
    if (rc == MMAPSYNC_OK) *null |= orderIsNull(&values[i]);
  }
  return rc;
}

/*
** The row at each position: whether it is there for the first time, and not before the one at the last position, nor
** equal to it and of a lower number (vtabroute.c promises an order by that).
** differ[p] counts the rows whose part p is the first that is another than that of the row before.
*/
static int keyOrder(const Look *l, const Key *k, int index, uint8_t *seen, uint64_t *differ) {
  uint32_t rows[LOOK_ROWS], i, n;
  uint64_t pos, last = 0;
  for (pos = 0; pos < l->t->rows; pos += n) {
    int rc = lookPause(l, pos);
    if (rc != MMAPSYNC_OK) return rc;
    n = lookRows(l, pos);
    if (mmapsync_key_rows(l->t, index, pos, n, rows) != MMAPSYNC_OK) {
      for (i = 0; i < n && mmapsync_key_row(l->t, index, pos + i, &last) == MMAPSYNC_OK;) i++;
      return lookWrong(l, pos + i, "as its order has it, is none of the table");
    }
    for (i = 0; i < n; i++) {
      uint32_t row = rows[i];
      int part = 0, c = -1;
      if (seen[row / 8] >> (row & 7) & 1) return lookWrong(l, row, "is in the order twice");
      seen[row / 8] = (uint8_t)(seen[row / 8] | 1 << (row & 7));
      if (pos + i > 0) {
        c = keyCompareRows(l->t, k, &part, last, row, &rc);
        if (rc != MMAPSYNC_OK) return lookWrong(l, row, "leads outside the image");
        if (c > 0 || (c == 0 && row < last)) return lookWrong(l, row, "out of order");
      }
      if (c < 0) differ[part]++;
      last = row;
    }
  }
  return MMAPSYNC_OK;
}

/* Whether a unique key finds each row that has no NULL in it. */
static int keyFinds(const Look *l, const Key *k, int index, mmapsync_value *values) {
  uint64_t row, found;
  for (row = 0; row < l->t->rows; row++) {
    int null, rc = lookPause(l, row);
    if (rc != MMAPSYNC_OK) return rc;
    rc = keyValues(l, k, row, values, &null);
    if (rc != MMAPSYNC_OK) return lookWrong(l, row, "leads outside the image");
    if (null) {
      if (k->info.flags & MMAPSYNC_KEY_NOTNULL) {
        return lookWrong(l, row, "NULL, which the directory says is not there");
      }
      continue;
    }
    rc = mmapsync_find(l->t, index, values, k->info.nparts, &found);
    if (rc == MMAPSYNC_CORRUPT) return lookWrong(l, row, "leads outside the image");
    if (rc != MMAPSYNC_OK) return lookWrong(l, row, "is not found by its key");
    if (found != row) return lookWrong(l, row, "another row is found by its key");
  }
  return MMAPSYNC_OK;
}

static int keyLook(Look *l, int index) {
  const Key *k = &l->t->keys[index];
  const size_t nparts = (size_t)k->info.nparts;
  mmapsync_value *values = malloc(nparts * sizeof(*values));
  uint64_t *differ = calloc(nparts, sizeof(*differ));
  uint8_t *seen = calloc((size_t)(l->t->rows / 8 + 1), 1);
  uint64_t different = 0;
  size_t p;
  int rc;
  l->what = "key";
  l->name = k->info.name;
  if (values == NULL || differ == NULL || seen == NULL) {
    rc = handleNomem(l->h);
  } else {
    rc = keyOrder(l, k, index, seen, differ);
    for (p = 0; rc == MMAPSYNC_OK && p < nparts; p++) {
      different += differ[p];
      if (k->info.distinct[p] != 0 && k->info.distinct[p] != different) {
        rc = lookWrongCount(l, "different values", k->info.distinct[p], different);
      }
    }
    if (rc == MMAPSYNC_OK && (k->info.flags & MMAPSYNC_KEY_UNIQUE))
      rc = keyFinds(l, k, index, values);
  }
  free(seen);
  free(differ);
  free(values);
  return rc;
}

int mmapsync_table_check(mmapsync *h, const mmapsync_table *t, int keys) {
  Look look = {.h = h, .t = t};
  int i, rc = MMAPSYNC_OK;
  for (i = 0; rc == MMAPSYNC_OK && i < t->info.ncolumns; i++) rc = columnLook(&look, i);
  if (!keys) return rc;
  for (i = 0; rc == MMAPSYNC_OK && i < t->info.nkeys; i++) rc = keyLook(&look, i);
  return rc;
}
