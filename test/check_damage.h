/*
** check_damage.h - what tests of damaged images share: a small image that has every encoding and every search
** structure, and asking for everything in an image.
**
** All answers must be OK or CORRUPT (or NOTFOUND, of a lookup), whatever the bytes are.
*/
#ifndef CHECK_DAMAGE_H
#define CHECK_DAMAGE_H

#include "check_image.h"

#include "image.h"

/* ---- the bytes of a snapshot -------------------------------------------------------------------- */

/* The newest payload in memory of the caller's (malloc); its bytes in *n. */
static inline uint8_t *payloadTake(mmapsync *h, size_t *n) {
  mmapsync_view view;
  uint8_t *bytes;
  OK(h, mmapsync_read(h, &view));
  *n = view.size;
  bytes = malloc(view.size);
  memcpy(bytes, view.data, view.size);
  mmapsync_release(h, &view);
  return bytes;
}

/* Publishes bytes, whatever they are, as a table image. */
static inline void imagePublish(mmapsync *h, const void *bytes, size_t n) {
  void *data;
  OK(h, mmapsync_write_begin(h, n, &data));
  memcpy(data, bytes, n);
  OK(h, mmapsync_write_commit(h, n, MMAPSYNC_KIND_IMAGE, NULL));
}

/* ---- the records of its directory, where they stand ---------------------------------------------- */

static inline void *dirRecord(uint8_t *image, uint64_t at) {
  ImageHeader hdr;
  memcpy(&hdr, image, sizeof(hdr));
  return image + hdr.dir + at;
}
static inline DirTable *dirTable(uint8_t *image, int t) {
  return (DirTable *)dirRecord(image, 0) + t;
}
static inline DirColumn *dirColumn(uint8_t *image, int t, int c) {
  return (DirColumn *)dirRecord(image, dirTable(image, t)->columns) + c;
}
/* The column's first chunk. */
static inline DirChunk *dirChunk(uint8_t *image, int t, int c) {
  return dirRecord(image, dirColumn(image, t, c)->chunks);
}
static inline DirKey *dirKey(uint8_t *image, int t, int k) {
  return (DirKey *)dirRecord(image, dirTable(image, t)->keys) + k;
}
static inline DirPart *dirPart(uint8_t *image, int t, int k, int part) {
  return (DirPart *)dirRecord(image, dirKey(image, t, k)->parts) + part;
}

/* ---- a small image of everything -------------------------------------------------------------- */

#define ROWS 40

static uint8_t *good; /* its bytes */
static size_t goodSize;

static inline void goodFree(void) {
  free(good);
  good = NULL;
}

/* Publishes it, and keeps its bytes in `good`. */
static inline void goodBuild(mmapsync *h) {
  static const mmapsync_column_def cols[] = {
      {.name = "id"},   {.name = "gaps"},    {.name = "name", .type = "TEXT"},
      {.name = "kind"}, {.name = "price"},   {.name = "bytes"},
      {.name = "any"},  {.name = "nothing"}, {.name = "wide"},
      {.name = "const"}};
  static const mmapsync_part_def parts[] = {{.column = 0},
                                            {.column = 1},
                                            {.column = 2, .collation = MMAPSYNC_NOCASE},
                                            {.column = 3, .desc = 1},
                                            {.column = 6}};
  static const mmapsync_key_def keys[] = {
      {.name = "direct",
       .flags = MMAPSYNC_KEY_UNIQUE | MMAPSYNC_KEY_ORDERED | MMAPSYNC_KEY_ROWID,
       .parts = &parts[0],
       .nparts = 1},
      {.name = "hash", .flags = MMAPSYNC_KEY_UNIQUE, .parts = &parts[2], .nparts = 2},
      {.name = "sorted", .parts = &parts[3], .nparts = 2}};
  static const mmapsync_key_def rank = {.name = "rank",
                                        .flags = MMAPSYNC_KEY_UNIQUE | MMAPSYNC_KEY_ORDERED,
                                        .parts = &parts[1],
                                        .nparts = 1};
  mmapsync_table_def first = {
      .name = "first", .columns = cols, .ncolumns = 10, .keys = keys, .nkeys = 3, .rowid = 0};
  mmapsync_table_def second = {
      .name = "second", .columns = cols, .ncolumns = 2, .keys = &rank, .nkeys = 1, .rowid = -1};
  mmapsync_builder *b;
  char name[16];
  int i;

  OK(h, mmapsync_build_begin(h, &b));
  mmapsync_build_table(b, &first);
  for (i = 0; i < ROWS; i++) {
    snprintf(name, sizeof(name), "name %d", i * 7 % ROWS);
    mmapsync_build_int(b, i + 5);
    mmapsync_build_int(b, i * 3);
    mmapsync_build_text(b, name, strlen(name));
    mmapsync_build_text(b, i % 3 ? "odd" : "even", i % 3 ? 3 : 4);
    mmapsync_build_real(b, i / 4.0);
    mmapsync_build_blob(b, name, (size_t)i % 5);
    if (i % 4 == 0) mmapsync_build_null(b);
    if (i % 4 == 1) mmapsync_build_int(b, i);
    if (i % 4 == 2) mmapsync_build_text(b, name, strlen(name));
    if (i % 4 == 3) mmapsync_build_real(b, i);
    mmapsync_build_null(b);
    if (i % 2)
      mmapsync_build_int(b, INT64_MAX - i);
    else
      mmapsync_build_null(b);
    mmapsync_build_real(b, 0.5);
    mmapsync_build_row(b);
  }
  mmapsync_build_table(b, &second);
  for (i = 0; i < ROWS; i++) {
    mmapsync_build_null(b);
    mmapsync_build_int(b, i * 3);
    mmapsync_build_row(b);
  }
  OK(h, mmapsync_build_commit(b, NULL));
  good = payloadTake(h, &goodSize);
}

/* ---- asking for everything -------------------------------------------------------------------- */

static uint64_t readSum; /* of what was read, so that it is read */

static inline void readBytes(const void *p, size_t n) {
  const uint8_t *z = p;
  while (n--) readSum += *z++;
}

static inline void onlyCorrupt(int rc) {
  if (rc != MMAPSYNC_OK && rc != MMAPSYNC_CORRUPT)
    checkFail(__LINE__, "%s: code %d", checkAbout, rc);
}

/* The row's values; in *key those of the key's columns, if there are at most 4. */
static inline void readRow(const mmapsync_table *t, uint64_t row) {
  mmapsync_value v;
  int c, rc;
  for (c = 0; c < mmapsync_table_about(t)->ncolumns; c++) {
    rc = mmapsync_get(t, row, c, &v);
    onlyCorrupt(rc);
    if (rc != MMAPSYNC_OK) continue;
    CHECK(v.type <= MMAPSYNC_BLOB);
    if (v.type >= MMAPSYNC_TEXT) readBytes(v.u.p, v.n);
  }
}

/* Looks up the key of a row, and integers about the ends of it. */
static inline void readKey(const mmapsync_table *t, int k, uint64_t row) {
  const mmapsync_key_info *key = mmapsync_key_about(t, k);
  mmapsync_value v[4];
  uint64_t lo, hi, found;
  int p, n, rc;

  if (key->nparts > 4) return;
  for (p = 0; p < key->nparts; p++) {
    if (mmapsync_get(t, row, key->parts[p].column, &v[p]) != MMAPSYNC_OK) return;
  }
  for (n = 0; n <= key->nparts; n++) {
    rc = mmapsync_find_all(t, k, v, n, &lo, &hi);
    onlyCorrupt(rc);
    if (rc != MMAPSYNC_OK) continue;
    CHECK(lo <= hi && hi <= mmapsync_table_about(t)->rows);
    if (lo < hi) onlyCorrupt(mmapsync_key_row(t, k, lo, &found));
  }
  if (!(key->flags & MMAPSYNC_KEY_UNIQUE)) return;
  for (n = 0; n < 6; n++) {
    static const int64_t edges[] = {0, -1, 4, 44, 45, INT64_MIN};
    if (n > 0) v[0] = integer(edges[n]);
    rc = mmapsync_find(t, k, v, key->nparts, &found);
    if (rc != MMAPSYNC_NOTFOUND) onlyCorrupt(rc);
    if (rc == MMAPSYNC_OK) CHECK(found < mmapsync_table_about(t)->rows);
  }
}

/* Looks for ranges in a key, and for many values at once. */
static inline void readRanges(const mmapsync_table *t, int k, uint64_t row) {
  const mmapsync_key_info *key = mmapsync_key_about(t, k);
  mmapsync_value v[8];
  uint64_t lo, hi, rows[4];
  int p, n;

  if (key->nparts > 2) return;
  for (p = 0; p < 8; p++) v[p] = integer(p * 13);
  for (p = 0; p < key->nparts; p++) {
    if (mmapsync_get(t, row, key->parts[p].column, &v[p]) != MMAPSYNC_OK) return;
  }
  for (n = 0; n < key->nparts; n++) {
    int rc = mmapsync_find_range(t, k, v, n, &v[n], 0, &v[7], 1, &lo, &hi);
    onlyCorrupt(rc);
    if (rc == MMAPSYNC_OK) CHECK(lo <= hi && hi <= mmapsync_table_about(t)->rows);
    rc = mmapsync_find_range(t, k, v, n, NULL, 0, &v[n], 0, &lo, &hi);
    onlyCorrupt(rc);
    if (rc == MMAPSYNC_OK) CHECK(lo <= hi && hi <= mmapsync_table_about(t)->rows);
  }
  if (key->flags & MMAPSYNC_KEY_UNIQUE) onlyCorrupt(mmapsync_find_many(t, k, v, 4, rows));
}

/* Filters of a column, by its own first value and by others, over some of the first rows and the last. */
static inline void readFilters(const mmapsync_table *t, int c) {
  enum { VALUES = 12 };
  uint64_t n = mmapsync_table_about(t)->rows, from = n > 4 * ROWS ? n - 2 * ROWS : 0, at, count;
  mmapsync_value v[VALUES], out[MMAPSYNC_FILTER_ROWS];
  uint32_t rows[MMAPSYNC_FILTER_ROWS], got, i;
  int op, rc;

  if (n == 0 || mmapsync_get(t, 0, c, &v[0]) != MMAPSYNC_OK) v[0] = text("name 7");
  for (i = 1; i < VALUES; i++) v[i] = i % 2 ? integer(i * 5) : real(i * 2.5);
  v[VALUES - 1] = text("name 14");
  for (op = MMAPSYNC_EQ; op <= MMAPSYNC_HAS; op++) {
    mmapsync_term terms[2] = {{.column = c, .op = op, .nvalues = 1, .values = v},
                              {.column = 0, .op = MMAPSYNC_GE, .nvalues = 1, .values = v + 2}};
    mmapsync_filter *f;
    if (op == MMAPSYNC_IN) terms[0].nvalues = VALUES;
    if (op == MMAPSYNC_LT || op == MMAPSYNC_HAS) terms[0].values = &v[VALUES - 1];
    if (mmapsync_filter_open(t, terms, op % 2 ? 2 : 1, &f) != MMAPSYNC_OK) {
      checkFail(__LINE__, "%s: no filter", checkAbout);
    }
    at = 0;
    onlyCorrupt(mmapsync_filter_count(f, &at, 4 * ROWS, &count));
    for (at = from; at < n;) {
      rc = mmapsync_filter_next(f, &at, n, rows, &got);
      onlyCorrupt(rc);
      if (rc != MMAPSYNC_OK) break;
      for (i = 0; i < got; i++) CHECK(rows[i] < n);
      onlyCorrupt(mmapsync_get_many(t, rows, got, c, out));
      if (mmapsync_table_about(t)->nkeys > 0) {
        rc = mmapsync_key_rows(t, 0, 0, n < 9 ? (uint32_t)n : 9, rows);
        onlyCorrupt(rc);
        for (i = 0; i < 9 && i < n && rc == MMAPSYNC_OK; i++) CHECK(rows[i] < n);
      }
    }
    for (at = n; at > from;) {
      rc = mmapsync_filter_prev(f, from, &at, rows, &got);
      onlyCorrupt(rc);
      if (rc != MMAPSYNC_OK) break;
      for (i = 0; i < got; i++) CHECK(rows[i] < n);
    }
    for (i = 0; i < 4 && i < n; i++) {
      rc = mmapsync_filter_row(f, i * 3);
      CHECK(rc == 0 || rc == 1 || rc == -MMAPSYNC_CORRUPT);
    }
    mmapsync_filter_close(f);
  }
}

static inline void readTable(const mmapsync_table *t) {
  const mmapsync_table_info *about = mmapsync_table_about(t);
  uint64_t row, i;
  int c, k;

  readBytes(about->name, strlen(about->name));
  for (c = 0; c < about->ncolumns; c++) {
    const mmapsync_column_info *column = mmapsync_column_about(t, c);
    readBytes(column->name, strlen(column->name));
    readBytes(column->type, strlen(column->type));
    readBytes(column->collation, strlen(column->collation));
    readBytes(column->encoding, strlen(column->encoding));
    CHECK(column->min.type <= MMAPSYNC_REAL && column->max.type <= MMAPSYNC_REAL);
    readFilters(t, c);
  }
  (void)mmapsync_column_find(t, "no such column");
  for (row = 0; row < about->rows && row < 2 * ROWS; row++) readRow(t, row);
  if (about->rows > row) readRow(t, about->rows - 1); /* its rows may be billions */
  for (k = 0; k < about->nkeys; k++) {
    const mmapsync_key_info *key = mmapsync_key_about(t, k);
    readBytes(key->name, strlen(key->name));
    readBytes(key->search, strlen(key->search));
    for (i = 0; i < about->rows && i < 2 * ROWS; i++) {
      onlyCorrupt(mmapsync_key_row(t, k, i, &row));
      if (i % 8 == 0) readKey(t, k, i);
    }
    for (c = 0; c < key->nparts; c++) CHECK(key->distinct[c] <= about->rows);
    if (about->rows > 0) readRanges(t, k, about->rows / 2);
    if (about->rows > i) readKey(t, k, about->rows - 1);
  }
}

/* Opens an image and reads all of it.  The code of the opening. */
static inline int readImage(mmapsync *h, const mmapsync_view *view) {
  mmapsync_image *image;
  int i, rc = mmapsync_image_open(h, view, &image);
  onlyCorrupt(rc);
  if (rc != MMAPSYNC_OK) {
    CHECK(!image && strstr(mmapsync_errmsg(h), checkPath));
    return rc;
  }
  (void)mmapsync_table_find(image, "no such table");
  for (i = 0; i < mmapsync_table_count(image); i++) {
    readTable(mmapsync_table_at(image, i));
    onlyCorrupt(mmapsync_table_check(h, mmapsync_table_at(image, i), 1));
  }
  mmapsync_image_close(image);
  return rc;
}

#endif
