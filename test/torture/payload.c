/*
** payload.c - snapshots that check themselves.
**
** RAW.  Every snapshot has a number of its own, over all writers.  A payload of n bytes is
**
**     word 0            the number
**     word 1            n, exclusive-or mix(number)
**     word i, i >= 2    mix(number) + i * STEP
**     the last n % 8    the first bytes of the word that would come next
**
** so a word of another snapshot, a shift or a wrong length shows, wherever it is.
**
** IMAGE.  Table "head" has one row: the number, and how many rows "body" has.  Each row of "body" has its
** id 0, 1, 2, ..., the number, a value drawn from both, the same as text, and the sum of the row.  A check
** goes over all rows, and looks some ids up by key.
*/
#define _GNU_SOURCE
#include "torture.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define STEP UINT64_C(0x9e3779b97f4a7c15)

static uint64_t mix(uint64_t x) {
  x += STEP;
  x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
  return x ^ x >> 31;
}

/* ---- raw ---------------------------------------------------------------------------------------- */

size_t payloadSize(int sort) {
  switch (sort) {
  case CLASS_TINY: return 36;
  case CLASS_PAGE: return 4096;
  case CLASS_MIDDLE: return 40000 + (size_t)chance(25536);
  case CLASS_BIG:
    return TORTURE_TSAN ? (size_t)256 << 10 : ((size_t)1 << 20) - (size_t)chance(4096);
  default: return TORTURE_TSAN ? (size_t)8 << 20 : (size_t)(9 + chance(8)) << 20;
  }
}

static uint64_t wordAt(uint64_t number, uint64_t mixed, size_t size, size_t i) {
  return i == 0 ? number : i == 1 ? (uint64_t)size ^ mixed : mixed + (uint64_t)i * STEP;
}

/* The bytes from `from` (a multiple of 8) to before `until`. */
void payloadFill(void *to, size_t from, size_t until, size_t size, uint64_t number) {
  uint64_t mixed = mix(number), word;
  size_t i;
  for (i = from / 8; i < until / 8; i++) {
    ((uint64_t *)to)[i] = wordAt(number, mixed, size, i);
    if (i % 4096 == 0) jitter();
  }
  word = wordAt(number, mixed, size, i);
  memcpy((char *)to + i * 8, &word, until % 8);
}

static void rawCheck(const mmapsync_view *view, Finding *out) {
  const uint64_t *word = view->data;
  size_t i, n = view->size / 8;
  uint64_t mixed, want, found, bad = 0;

  if (view->size < 36) {
    snprintf(out->what, sizeof(out->what), "%zu bytes are no payload of ours", view->size);
    return;
  }
  out->number = word[0];
  mixed = mix(word[0]);
  for (i = 1; i < n; i++) {
    found = word[i];
    want = wordAt(out->number, mixed, view->size, i);
    if (found != want) {
      if (bad++ == 0) {
        snprintf(out->what, sizeof(out->what),
                 "word %zu of %zu is %016" PRIx64 ", expected %016" PRIx64 " of snapshot %" PRIu64,
                 i, n, found, want, out->number);
      }
    }
    if (i % 4096 == 0) jitter();
  }
  found = 0;
  memcpy(&found, word + n, view->size % 8);
  want = wordAt(out->number, mixed, view->size, n);
  if (memcmp(&want, &found, view->size % 8) != 0 && bad++ == 0) {
    snprintf(out->what, sizeof(out->what),
             "the last %zu bytes are %016" PRIx64 ", expected %016" PRIx64, view->size % 8, found,
             want);
  }
  if (bad) {
    size_t at = strlen(out->what);
    snprintf(out->what + at, sizeof(out->what) - at, "; %" PRIu64 " wrong; word 0 now %" PRIu64,
             bad, word[0]);
  }
}

/* ---- table image -------------------------------------------------------------------------------- */

static const mmapsync_column_def headColumns[] = {{.name = "number", .type = "INTEGER"},
                                                  {.name = "rows", .type = "INTEGER"}};
static const mmapsync_table_def headTable = {
    .name = "head", .columns = headColumns, .ncolumns = 2, .rowid = -1};

static const mmapsync_column_def bodyColumns[] = {{.name = "id", .type = "INTEGER"},
                                                  {.name = "number", .type = "INTEGER"},
                                                  {.name = "value", .type = "INTEGER"},
                                                  {.name = "words", .type = "TEXT"},
                                                  {.name = "sum", .type = "INTEGER"}};
static const mmapsync_part_def bodyParts[] = {{.column = 0}};
static const mmapsync_key_def bodyKeys[] = {{.name = "id",
                                             .flags = MMAPSYNC_KEY_UNIQUE | MMAPSYNC_KEY_PRIMARY,
                                             .parts = bodyParts,
                                             .nparts = 1}};
static const mmapsync_table_def bodyTable = {.name = "body",
                                             .columns = bodyColumns,
                                             .ncolumns = 5,
                                             .keys = bodyKeys,
                                             .nkeys = 1,
                                             .rowid = -1};

static int64_t rowValue(uint64_t number, uint64_t id) {
  return (int64_t)(mix(number ^ mix(id)) >> 20);
}

int imagePublish(mmapsync *h, uint64_t number, uint64_t rows, mmapsync_result *done) {
  mmapsync_builder *b;
  uint64_t id;
  int64_t value;
  char words[32];
  int n, rc = mmapsync_build_begin(h, &b);

  if (rc != MMAPSYNC_OK) return rc;
  mmapsync_build_table(b, &headTable);
  mmapsync_build_int(b, (int64_t)number);
  mmapsync_build_int(b, (int64_t)rows);
  mmapsync_build_row(b);
  mmapsync_build_table(b, &bodyTable);
  for (id = 0; id < rows; id++) {
    value = rowValue(number, id);
    n = snprintf(words, sizeof(words), "%" PRId64, value);
    mmapsync_build_int(b, (int64_t)id);
    mmapsync_build_int(b, (int64_t)number);
    mmapsync_build_int(b, value);
    mmapsync_build_text(b, words, (size_t)n);
    mmapsync_build_int(b, (int64_t)id + (int64_t)number + value + n);
    mmapsync_build_row(b);
    if (id % 256 == 0) jitter();
  }
  return mmapsync_build_commit(b, done);
}

/* An integer of a table, or 0 with the fault noted. */
static int64_t imageInt(const mmapsync_table *t, uint64_t row, int column, Finding *out) {
  mmapsync_value v = {.type = MMAPSYNC_NULL};
  int rc = mmapsync_get(t, row, column, &v);
  if (rc == MMAPSYNC_OK && v.type == MMAPSYNC_INTEGER) return v.u.i;
  snprintf(out->what, sizeof(out->what), "row %" PRIu64 " column %d: code %d, type %u", row, column,
           rc, v.type);
  return 0;
}

static void imageRow(const mmapsync_table *t, uint64_t row, Finding *out) {
  mmapsync_value text = {.type = MMAPSYNC_NULL};
  int64_t id = imageInt(t, row, 0, out), number = imageInt(t, row, 1, out);
  int64_t value = imageInt(t, row, 2, out), sum = imageInt(t, row, 4, out);
  char words[32];
  int n = snprintf(words, sizeof(words), "%" PRId64, rowValue(out->number, row));
  int rc = mmapsync_get(t, row, 3, &text);

  if (out->what[0]) return;
  if (id != (int64_t)row || number != (int64_t)out->number || value != rowValue(out->number, row) ||
      sum != id + number + value + n) {
    snprintf(out->what, sizeof(out->what),
             "row %" PRIu64 " of snapshot %" PRIu64 " has id %" PRId64 ", number %" PRId64
             ", value %" PRId64 ", sum %" PRId64,
             row, out->number, id, number, value, sum);
  } else if (rc != MMAPSYNC_OK || text.type != MMAPSYNC_TEXT || text.n != (uint32_t)n ||
             memcmp(text.u.p, words, (size_t)n + 1) != 0) {
    snprintf(out->what, sizeof(out->what),
             "row %" PRIu64 " of snapshot %" PRIu64 " has another text", row, out->number);
  }
}

static void imageCheck(mmapsync *h, const mmapsync_view *view, Finding *out) {
  mmapsync_image *image = NULL;
  const mmapsync_table *head, *body;
  uint64_t row, rows, found;
  int rc = mmapsync_image_open(h, view, &image), i;

  if (rc != MMAPSYNC_OK) {
    snprintf(out->what, sizeof(out->what), "image: %.200s", mmapsync_errmsg(h));
    return;
  }
  head = mmapsync_table_find(image, "head");
  body = mmapsync_table_find(image, "body");
  if (!head || !body || mmapsync_table_about(head)->rows != 1) {
    snprintf(out->what, sizeof(out->what), "image without its tables");
  } else {
    out->number = (uint64_t)imageInt(head, 0, 0, out);
    rows = (uint64_t)imageInt(head, 0, 1, out);
    if (!out->what[0] && rows != mmapsync_table_about(body)->rows) {
      snprintf(out->what, sizeof(out->what), "expected %" PRIu64 " rows, found %" PRIu64, rows,
               mmapsync_table_about(body)->rows);
    }
    for (row = 0; row < rows && !out->what[0]; row++) {
      imageRow(body, row, out);
      if (row % 256 == 0) jitter();
    }
    for (i = 0; i < 8 && !out->what[0]; i++) {
      mmapsync_value id = {.type = MMAPSYNC_INTEGER, .u.i = (int64_t)chance(rows)};
      rc = mmapsync_find(body, 0, &id, 1, &found);
      if (rc != MMAPSYNC_OK || found != (uint64_t)id.u.i) {
        snprintf(out->what, sizeof(out->what), "id %" PRId64 " is not found: code %d", id.u.i, rc);
      }
    }
  }
  mmapsync_image_close(image);
}

void payloadCheck(mmapsync *h, const mmapsync_view *view, Finding *out) {
  out->number = 0;
  out->what[0] = 0;
  if (view->kind == MMAPSYNC_KIND_IMAGE) {
    imageCheck(h, view, out);
  } else {
    rawCheck(view, out);
  }
}
