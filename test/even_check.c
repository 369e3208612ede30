#define _GNU_SOURCE
/*
** even_check.c - texts and blobs of one length, whose place in a chunk is computed and not looked up (CHUNK_EVEN).
**
** A table has columns whose chunks are even, in each of the ways that a chunk may be stored, and some that are even in
** one chunk and not in the next.  All ways to a value must give it, and chunks that lie about it must do no
** harm: refused where they lead outside, told by mmapsync_table_check() where they do not.
*/
#include "check_damage.h"

#include "image.h"

#define COLUMNS 6
enum { SKU, MARK, RARE, LATER, UNEVEN, GAPS };

/* What row r has in a column: its length, or -1 if it is NULL. */
static int textOf(int column, uint64_t r, char *z) {
  switch (column) {
  case SKU: return sprintf(z, "sku-%08llu", (unsigned long long)(r * 7919 % 100000007));
  case MARK: return sprintf(z, "%04x", (unsigned)(r & 0xffff));
  case RARE: return r % 3 ? -1 : sprintf(z, "%09llu", (unsigned long long)r);
  /* Only in the first chunk not. */
  case LATER: return r == 5 ? sprintf(z, "longer!") : sprintf(z, "%06llu", (unsigned long long)r);
  /* As long as if it were even, but it is not. */
  case UNEVEN: return sprintf(z, r % 2 ? "%06llu" : "%08llu", (unsigned long long)r);
  default: return r % 5 == 4 ? -1 : sprintf(z, "%07llu", (unsigned long long)r);
  }
}

static void evenPublish(mmapsync *to, uint64_t rows) {
  static const mmapsync_column_def cols[COLUMNS] = {
      {.name = "sku", .type = "TEXT"},    {.name = "mark"},
      {.name = "rare", .type = "TEXT"},   {.name = "later", .type = "TEXT"},
      {.name = "uneven", .type = "TEXT"}, {.name = "gaps", .type = "TEXT"}};
  static const mmapsync_part_def parts[] = {{.column = SKU}, {.column = LATER}};
  static const mmapsync_key_def keys[] = {
      {.name = "sku", .flags = MMAPSYNC_KEY_UNIQUE, .parts = &parts[0], .nparts = 1},
      {.name = "later", .parts = &parts[1], .nparts = 1}};
  static const mmapsync_table_def table = {
      .name = "first", .columns = cols, .ncolumns = COLUMNS, .keys = keys, .nkeys = 2, .rowid = -1};
  mmapsync_builder *b;
  char z[32];
  uint64_t r;
  int c, n;
  OK(to, mmapsync_build_begin(to, &b));
  mmapsync_build_table(b, &table);
  for (r = 0; r < rows; r++) {
    for (c = 0; c < COLUMNS; c++) {
      n = textOf(c, r, z);
      if (n < 0) {
        mmapsync_build_null(b);
      } else if (c == MARK) {
        mmapsync_build_blob(b, z, (size_t)n);
      } else {
        mmapsync_build_text(b, z, (size_t)n);
      }
    }
    mmapsync_build_row(b);
  }
  OK(to, mmapsync_build_commit(b, NULL));
}

static int isEven(const mmapsync_table *t, int column, uint64_t chunk) {
  return (t->columns[column].chunks[chunk].flags & CHUNK_EVEN) != 0;
}

static void sameText(const mmapsync_value *v, int column, uint64_t r) {
  char z[32];
  int n = textOf(column, r, z);
  if (n < 0) {
    CHECK(v->type == MMAPSYNC_NULL);
    return;
  }
  CHECK(v->type == (column == MARK ? MMAPSYNC_BLOB : MMAPSYNC_TEXT));
  CHECK(v->n == (uint32_t)n && memcmp(v->u.p, z, v->n + 1u) == 0); /* with the NUL */
}

/* A table of that many rows, opened. */
static mmapsync *h;
static mmapsync_view view;
static mmapsync_image *image;
static const mmapsync_table *tableOpen(uint64_t rows) {
  h = channelOpen();
  evenPublish(h, rows);
  OK(h, mmapsync_read(h, &view));
  OK(h, mmapsync_image_open(h, &view, &image));
  return mmapsync_table_at(image, 0);
}
static void tableClose(void) {
  mmapsync_image_close(image);
  mmapsync_release(h, &view);
  mmapsync_close(h);
}

/* Two chunks and some rows. */
static const mmapsync_table *tableLarge(uint64_t *rows) {
  const mmapsync_table *t = tableOpen(1);
  CHECK(isEven(t, SKU, 0) && isEven(t, UNEVEN, 0));
  *rows = (UINT64_C(2) << t->chunk_shift) + 77;
  tableClose();
  return tableOpen(*rows);
}

static void caseValues(void) {
  mmapsync_value v;
  uint64_t r, n;
  const mmapsync_table *t = tableLarge(&n);
  int c;
  CHECK(isEven(t, SKU, 0) && isEven(t, SKU, 2) && isEven(t, MARK, 2));
  CHECK(isEven(t, RARE, 0) && (t->columns[RARE].chunks[0].flags & CHUNK_SPARSE));
  CHECK(!isEven(t, LATER, 0) && isEven(t, LATER, 1));
  CHECK(!isEven(t, UNEVEN, 0) && !isEven(t, GAPS, 0));
  OK(h, mmapsync_table_check(h, t, 1));
  for (r = 0; r < n; r++) {
    for (c = 0; c < COLUMNS; c++) {
      CHECK(mmapsync_get(t, r, c, &v) == MMAPSYNC_OK);
      sameText(&v, c, r);
    }
  }
  tableClose();
}

static void caseKeys(void) {
  mmapsync_value v = {.type = MMAPSYNC_TEXT};
  uint64_t r, lo, hi, found, n;
  const mmapsync_table *t = tableLarge(&n);
  char z[32];
  v.u.p = z;
  for (r = 0; r < n; r++) {
    v.n = (uint32_t)textOf(SKU, r, z);
    CHECK(mmapsync_find(t, 0, &v, 1, &found) == MMAPSYNC_OK && found == r);
    z[v.n - 1] = 'x';
    CHECK(mmapsync_find(t, 0, &v, 1, &found) == MMAPSYNC_NOTFOUND);
    v.n = (uint32_t)textOf(LATER, r, z);
    CHECK(mmapsync_find_all(t, 1, &v, 1, &lo, &hi) == MMAPSYNC_OK && hi == lo + 1);
    CHECK(mmapsync_key_row(t, 1, lo, &found) == MMAPSYNC_OK && found == r);
  }
  tableClose();
}

static void caseMany(void) {
  enum { MANY = 64 };
  mmapsync_value v[MANY];
  uint32_t rows[MANY];
  uint64_t r, i, n, found[MANY];
  const mmapsync_table *t = tableLarge(&n);
  char z[MANY][32];
  int c;
  for (r = 0; r + MANY <= n; r += MANY) {
    for (i = 0; i < MANY; i++) rows[i] = (uint32_t)(r + i);
    for (c = 0; c < COLUMNS; c++) {
      CHECK(mmapsync_get_many(t, rows, MANY, c, v) == MMAPSYNC_OK);
      for (i = 0; i < MANY; i++) sameText(&v[i], c, r + i);
    }
    for (i = 0; i < MANY; i++) {
      uint32_t length = (uint32_t)textOf(SKU, r + i, z[i]);
      v[i] = (mmapsync_value){.type = MMAPSYNC_TEXT, .n = length, .u.p = z[i]};
    }
    CHECK(mmapsync_find_many(t, 0, v, MANY, found) == MMAPSYNC_OK);
    for (i = 0; i < MANY; i++) CHECK(found[i] == r + i);
  }
  tableClose();
}

/* ---- lies ----------------------------------------------------------------------------------------- */

/* Opens it with a chunk that claims another length: refused, or told by the check with this sentence. */
static void lies(int column, int64_t base, const char *sentence) {
  DirChunk *k = dirChunk(good, 0, column), was = *k;
  int rc;
  k->flags |= CHUNK_EVEN;
  k->base = base;
  imagePublish(h, good, goodSize);
  *k = was;
  OK(h, mmapsync_read(h, &view));
  rc = mmapsync_image_open(h, &view, &image);
  if (sentence == NULL) {
    checkSentence(__LINE__, h, rc, MMAPSYNC_CORRUPT,
                  "\"%s\": damaged table image: a column's buffer lies outside the payload",
                  checkPath);
  } else {
    OK(h, rc);
    checkSentence(__LINE__, h, mmapsync_table_check(h, mmapsync_table_at(image, 0), 0),
                  MMAPSYNC_CORRUPT, "\"%s\": damaged table image: table \"first\": column %s",
                  checkPath, sentence);
    mmapsync_image_close(image);
  }
  mmapsync_release(h, &view);
}

static void caseLies(void) {
  int64_t heap;
  h = channelOpen();
  evenPublish(h, 100);
  good = payloadTake(h, &goodSize);
  CHECK(dirChunk(good, 0, SKU)->flags == CHUNK_EVEN && dirChunk(good, 0, SKU)->base == 13);
  heap = (int64_t)dirChunk(good, 0, SKU)->heap_bytes;
  CHECK(heap == 1300);
  lies(SKU, 0, NULL);
  lies(SKU, -1, NULL);
  lies(SKU, INT64_MIN, NULL);
  lies(SKU, 14, NULL); /* 100 of those do not fit */
  lies(SKU, heap, NULL);
  lies(SKU, INT64_MAX, NULL);
  lies(RARE, 11, NULL); /* nor do 34 */
  lies(SKU, 12, "\"sku\", row 1: its texts or blobs are not all of one length");
  lies(MARK, 1, "\"mark\", row 1: its texts or blobs are not all of one length");
  lies(RARE, 9, "\"rare\", row 1: its texts or blobs are not all of one length");
  lies(UNEVEN, 8, "\"uneven\", row 1: its texts or blobs are not all of one length");
  mmapsync_close(h);
  goodFree();
}

/* Without the flag the length says nothing. */
static void caseUnsaid(void) {
  mmapsync_value v;
  h = channelOpen();
  evenPublish(h, 100);
  good = payloadTake(h, &goodSize);
  dirChunk(good, 0, SKU)->flags = 0;
  dirChunk(good, 0, SKU)->base = INT64_MAX;
  imagePublish(h, good, goodSize);
  OK(h, mmapsync_read(h, &view));
  OK(h, mmapsync_image_open(h, &view, &image));
  OK(h, mmapsync_table_check(h, mmapsync_table_at(image, 0), 1));
  CHECK(mmapsync_get(mmapsync_table_at(image, 0), 99, SKU, &v) == MMAPSYNC_OK);
  sameText(&v, SKU, 99);
  tableClose();
  goodFree();
}

static const CheckCase cases[] = {{"values", caseValues}, {"keys", caseKeys},
                                  {"many", caseMany},     {"lies", caseLies},
                                  {"unsaid", caseUnsaid}, {NULL, NULL}};

int main(int argc, char **argv) { return checkMain(argc, argv, cases); }
