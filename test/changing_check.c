#define _GNU_SOURCE
/*
** changing_check.c - an image that is another at the second look.
**
** Who reads an image takes each number out of it once, and checks what he took.  But a directory is gone through
** twice, first for how much memory it will take; and of a block of rows the bitmap is looked at, the offsets, the
** texts, and the bitmap again.  What a neighbour can do between two of those looks is done here, at chosen moments
** (check_watch.h), and not by chance as in hostile_check.c.  Answers must be OK or CORRUPT, and of a filter rows of the
** table; nothing but the image may be touched, and nothing may go on without end.
*/
#include "check_damage.h"
#include "check_watch.h"

#include <stddef.h>

#include "filter.h"

/* The image under test, in pages of our own, as a view of the handle shows it. */
static uint8_t *bytes;
static size_t room;
static mmapsync_view view;
static mmapsync_image *image;
static const mmapsync_table *t;

static void imageBegin(mmapsync *h, size_t n) {
  OK(h, mmapsync_read(h, &view));
  room = n;
  bytes = watchRoom(n);
  view.data = bytes;
  view.size = n;
}
static void imageOpen(mmapsync *h) {
  OK(h, mmapsync_image_open(h, &view, &image));
  t = mmapsync_table_at(image, 0);
}
static void imageEnd(mmapsync *h) {
  munmap(bytes, room);
  mmapsync_release(h, &view);
  goodFree();
}

static size_t pageUp(size_t n) { return (n + watchPage() - 1) / watchPage() * watchPage(); }

/* ---- the directory --------------------------------------------------------------------------------- */

static size_t records, recordsEnd; /* where the directory's records stand */

/* A good image whose directory begins a page, and whose names begin another: these are looked at first when all of the
** directory has been gone through once. */
static void directoryApart(mmapsync *h) {
  ImageHeader hdr;
  size_t names;
  goodBuild(h);
  memcpy(&hdr, good, sizeof(hdr));
  records = pageUp(hdr.dir);
  recordsEnd = records + hdr.strings;
  names = pageUp(recordsEnd);
  imageBegin(h, names + hdr.dir_bytes - hdr.strings);
  memcpy(bytes, good, hdr.dir);
  memcpy(bytes + records, good + hdr.dir, hdr.strings);
  memcpy(bytes + names, good + hdr.dir + hdr.strings, hdr.dir_bytes - hdr.strings);
  hdr.dir = records;
  hdr.strings = names - records;
  hdr.dir_bytes = view.size - records;
  hdr.bytes = view.size;
  memcpy(bytes, &hdr, sizeof(hdr));
}

/* What happens when the names are looked at. */
static struct {
  size_t at, n;
  uint64_t to;
  int times;
} change;
static void changeNow(void) {
  memcpy(bytes + change.at, &change.to, change.n);
  change.times++;
}

/* n bytes of the directory are `first` when they are looked at first, and `then` the second time.  What opening and
** reading all of it gives. */
static int changed(mmapsync *h, void *where, size_t n, uint64_t first, uint64_t then) {
  ImageHeader hdr;
  uint64_t was = 0;
  int rc;
  memcpy(&hdr, bytes, sizeof(hdr));
  change.at = (size_t)((uint8_t *)where - bytes);
  change.n = n;
  change.to = then;
  memcpy(&was, where, n);
  memcpy(where, &first, n);
  watch(bytes + hdr.dir + hdr.strings, changeNow);
  rc = readImage(h, &view);
  (void)watchEnd();
  memcpy(where, &was, n);
  return rc;
}

/* Each number, there and back. */
static void caseDirectory(void) {
  mmapsync *h = channelOpen();
  uint64_t was, tries[12];
  size_t at, i;
  int opened = 0, refused = 0;
  directoryApart(h);
  CHECK(readImage(h, &view) == MMAPSYNC_OK);
  for (at = records; at < recordsEnd; at += 8) {
    memcpy(&was, bytes + at, 8);
    memcpy(tries,
           (uint64_t[12]){0, 1, was + 1, was - 1, was + 64, was / 2, was ^ UINT64_C(1) << 32,
                          was + (UINT64_C(1) << 32), was & UINT32_MAX, was << 32 >> 32 | 7,
                          UINT64_MAX, recordsEnd - records},
           sizeof(tries));
    for (i = 0; i < 2 * sizeof(tries) / 8; i++) {
      uint64_t x = tries[i / 2];
      int rc;
      snprintf(checkAbout, sizeof(checkAbout), "number at %zu of %zu: %016llx, %016llx, turn %d",
               at, recordsEnd, (unsigned long long)was, (unsigned long long)x, (int)(i % 2));
      rc = i % 2 ? changed(h, bytes + at, 8, x, was) : changed(h, bytes + at, 8, was, x);
      opened += rc == MMAPSYNC_OK;
      refused += rc != MMAPSYNC_OK;
    }
  }
  CHECK(change.times > 0 && opened > 0 && refused > 0);
  CHECK(readImage(h, &view) == MMAPSYNC_OK);
  imageEnd(h);
  mmapsync_close(h);
}

/* One that asks for more than was counted. */
static void caseMore(void) {
  mmapsync *h = channelOpen();
  uint64_t first, then;
  directoryApart(h);
  /* More rows are more chunks of each column, with a chunk for each row; more parts of a key; more keys. */
  dirTable(bytes, 0)->chunk_shift = 0;
#define GROWS(record, field, from, to)                                                             \
  do {                                                                                             \
    first = (from), then = (to);                                                                   \
    FAILS(h, changed(h, &(record)->field, sizeof((record)->field), first, then), MMAPSYNC_CORRUPT, \
          "\"%s\": damaged table image: it changes while it is read", checkPath);                  \
    CHECK(change.times == 1);                                                                      \
    change.times = 0;                                                                              \
  } while (0)
  GROWS(dirTable(bytes, 0), rows, 0, 20);
  dirTable(bytes, 0)->chunk_shift = 16;
  GROWS(dirKey(bytes, 0, 2), nparts, 1, 60);
  GROWS(dirTable(bytes, 0), nkeys, 0, 3);
  GROWS(dirTable(bytes, 1), ncolumns, 1, 10);
#undef GROWS
  CHECK(readImage(h, &view) == MMAPSYNC_OK);
  imageEnd(h);
  mmapsync_close(h);
}

/* ---- a column's buffers ------------------------------------------------------------------------------ */

/* Where they stand in `bytes`: each ends a page, behind which is one that nobody may look at; but of the bitmap the
** first 8 words end a page, and the others begin the next. */
static struct {
  uint8_t *data, *aux, *heap;
  uint64_t *bitmap;
} apart;

static size_t placed; /* what comes next has its pages from here on */

/* Moves a buffer of the good image there, and points a record at it. */
static uint8_t *placeBuffer(uint64_t *record, size_t n) {
  size_t to = placed + pageUp(n) - ((n + 63) & ~(size_t)63);
  if (*record == 0) return NULL;
  placed += pageUp(n) + watchPage();
  memcpy(bytes + to, good + *record, n);
  CHECK(mprotect(bytes + placed - watchPage(), watchPage(), PROT_NONE) == 0);
  *record = to;
  return bytes + to;
}

/* All those of the only column's only chunk. */
static void chunkApart(mmapsync *h) {
  DirChunk *k = dirChunk(good, 0, 0);
  const size_t rows = dirTable(good, 0)->rows, page = watchPage(), words = (rows + 63) / 64 * 8,
               counts = sparseCounts(rows);
  size_t n = rows - (k->flags & CHUNK_SPARSE ? k->nulls : 0);
  placed = pageUp(goodSize);
  imageBegin(h, placed + pageUp((n + 1) * k->width) + pageUp(k->heap_bytes) + 8 * page);
  memcpy(bytes, good, goodSize);
  ((ImageHeader *)(void *)bytes)->bytes = view.size;
  k = dirChunk(bytes, 0, 0);
  apart.data = placeBuffer(&k->data, (n + (k->encoding == CHUNK_TEXT)) * k->width);
  apart.aux = placeBuffer(&k->aux, ((size_t)k->base + 1) * 4);
  apart.heap = placeBuffer(&k->heap, k->heap_bytes);
  if (k->null_bits) {
    memcpy(bytes + placed + page - 64 - counts, good + k->null_bits - counts, counts + words);
    k->null_bits = placed + page - 64;
    apart.bitmap = (uint64_t *)(void *)(bytes + k->null_bits);
  }
}

/* Publishes one column of values, and takes it apart. */
static void columnApart(mmapsync *h, const mmapsync_value *v, int n) {
  OK(h, publishOne(h, NULL, v, n));
  good = payloadTake(h, &goodSize);
  chunkApart(h);
  imageOpen(h);
}

/* Rows of the column that match, to found[]; what the filter says at last. */
static int filtered(int op, mmapsync_value v, uint8_t *found) {
  mmapsync_term term = {.op = op, .nvalues = 1, .values = &v};
  uint64_t at = 0, n = mmapsync_table_about(t)->rows, last;
  uint32_t rows[MMAPSYNC_FILTER_ROWS], got, i;
  mmapsync_filter *f;
  int rc = MMAPSYNC_OK;
  memset(found, 0, n);
  CHECK(mmapsync_filter_open(t, &term, 1, &f) == MMAPSYNC_OK);
  while (at < n && rc == MMAPSYNC_OK) {
    last = at;
    rc = mmapsync_filter_next(f, &at, n, rows, &got);
    CHECK(rc != MMAPSYNC_OK || (at > last && at <= n));
    for (i = 0; rc == MMAPSYNC_OK && i < got; i++) {
      CHECK(rows[i] < n && !found[rows[i]]);
      found[rows[i]] = 1;
    }
  }
  mmapsync_filter_close(f);
  return rc;
}

/* ---- a bitmap ------------------------------------------------------------------------------------------ */

#define SPARSE_ROWS 1024 /* one block: 16 words of its bitmap, half of them on each page */

static void someNulls(void) { memset(apart.bitmap, 0xff, 64); }
static void fewerNulls(void) { apart.bitmap[0] = 0; }

/* Every fourth row is a number; the others are NULL. */
static void sparseBegin(mmapsync *h) {
  static mmapsync_value v[SPARSE_ROWS];
  int i;
  for (i = 0; i < SPARSE_ROWS; i++) v[i] = i % 4 ? null() : integer(i * 100);
  columnApart(h, v, SPARSE_ROWS);
  CHECK(dirChunk(bytes, 0, 0)->flags == CHUNK_SPARSE && dirChunk(bytes, 0, 0)->width == 4);
}

static void caseBitmap(void) {
  static uint8_t found[SPARSE_ROWS];
  mmapsync *h = channelOpen();
  int i, j, rc;
  for (i = 0; i < 5; i++) {
    snprintf(checkAbout, sizeof(checkAbout), "turn %d", i);
    sparseBegin(h);
    /* When rows have been counted in the first half of the block: fewer of these than were counted, or more. */
    if (i == 1) watch(apart.bitmap + 8, someNulls);
    if (i == 2) watch(apart.bitmap + 8, fewerNulls);
    /* When rows are compared that have been gathered. */
    if (i == 3) watch(apart.data, someNulls);
    if (i == 4) watch(apart.data, fewerNulls);
    rc = filtered(MMAPSYNC_GE, integer(200), found);
    CHECK(watchEnd() == 0);
    CHECK(rc == (i == 1 || i == 2 ? MMAPSYNC_CORRUPT : MMAPSYNC_OK));
    /* Those that are NULL at last are not told, though what is told of others is another row's. */
    for (j = 0; j < SPARSE_ROWS && rc == MMAPSYNC_OK; j++) {
      int is = (j % 4 == 0 && !(i == 3 && j < 512)) || (i == 4 && j < 64);
      CHECK(found[j] == (is && j != (i == 3 ? 512 : 0))); /* all match but the first there is */
    }
    mmapsync_image_close(image);
    imageEnd(h);
  }
  mmapsync_close(h);
}

/* ---- a dictionary ------------------------------------------------------------------------------------- */

#define DICT_ROWS 40

static void dictBegin(mmapsync *h) {
  static const char *const texts[] = {"the first text", "another one"};
  mmapsync_value v[DICT_ROWS];
  int i;
  for (i = 0; i < DICT_ROWS; i++) v[i] = text(texts[i % 2]);
  columnApart(h, v, DICT_ROWS);
  CHECK(dirChunk(bytes, 0, 0)->encoding == CHUNK_DICT && dirChunk(bytes, 0, 0)->base == 2);
}

/* When the first text of it is compared, the second becomes all of the heap: who went on so would look at all of it as
** often as there are texts. */
static void textGrows(void) {
  uint32_t *offset = (uint32_t *)(void *)apart.aux;
  offset[1] = 0;
}

static void caseDictionary(void) {
  uint8_t found[DICT_ROWS];
  mmapsync *h = channelOpen();
  dictBegin(h);
  CHECK(filtered(MMAPSYNC_LT, text("b"), found) == MMAPSYNC_OK);
  CHECK(found[1] && !found[0]);
  watch(apart.heap, textGrows);
  CHECK(filtered(MMAPSYNC_LT, text("b"), found) == MMAPSYNC_CORRUPT);
  CHECK(watchEnd() == 0);
  mmapsync_image_close(image);
  imageEnd(h);
  mmapsync_close(h);
}

/* ---- texts that are searched as one -------------------------------------------------------------------- */

static uint32_t *offsets, *offsetsEnd;
static void noTexts(void) { memset(offsets, 0, (size_t)(offsetsEnd - offsets) * 4); }

/* Their ends are taken away when they are looked for; and when so much has been looked at that it is to end with the
** text where it is. */
static void caseSearched(void) {
  enum { MANY = 100, FROM = 90, LONG = 64 << 10 };
  static uint8_t found[MANY];
  static char z[MANY][LONG];
  mmapsync_value v[MANY];
  mmapsync *h = channelOpen();
  int i, j, rc;
  CHECK((uint64_t)FROM * LONG > FILTER_BYTES + FILTER_BYTES / 4);
  for (i = 0; i < MANY; i++) {
    memset(z[i], 'a' + i % 7, LONG);
    if (i >= FROM) memcpy(z[i] + 100, "needle", 6); /* where much has been looked at */
    v[i] = (mmapsync_value){.type = MMAPSYNC_TEXT, .n = (uint32_t)(LONG - i), .u.p = z[i]};
  }
  for (i = 0; i < 3; i++) {
    snprintf(checkAbout, sizeof(checkAbout), "turn %d", i);
    columnApart(h, v, MANY);
    CHECK(dirChunk(bytes, 0, 0)->encoding == CHUNK_TEXT && dirChunk(bytes, 0, 0)->width == 4);
    offsets = (uint32_t *)(void *)apart.data;
    offsetsEnd = offsets + MANY + 1;
    if (i == 1) watch(apart.heap, noTexts);
    if (i == 2) watch(apart.heap + FILTER_BYTES - LONG / 2, noTexts);
    rc = filtered(MMAPSYNC_HAS, text("needle"), found);
    CHECK(watchEnd() == 0);
    CHECK(rc == MMAPSYNC_OK || (i > 0 && rc == MMAPSYNC_CORRUPT));
    for (j = 0; i == 0 && j < MANY; j++) CHECK(found[j] == (j >= FROM));
    mmapsync_image_close(image);
    imageEnd(h);
  }
  mmapsync_close(h);
}

/* ---- a check that meets damage which is gone when it asks where -------------------------------------- */

static void dictHeals(void) { memcpy(apart.aux, good + dirChunk(good, 0, 0)->aux, 3 * 4); }
static void dictMet(void) { watch(apart.data, dictHeals); }

static void caseGoneValue(void) {
  mmapsync *h = channelOpen();
  dictBegin(h);
  OK(h, mmapsync_table_check(h, t, 1));
  ((uint32_t *)(void *)apart.aux)[1] = UINT32_MAX;
  watch(apart.aux, dictMet); /* by the first row; then come the codes of the next */
  FAILS(h, mmapsync_table_check(h, t, 1), MMAPSYNC_CORRUPT,
        "\"%s\": damaged table image: table \"t\": column \"a\", row 40: leads outside the image",
        checkPath);
  CHECK(watchEnd() == 0);
  OK(h, mmapsync_table_check(h, t, 1));
  mmapsync_image_close(image);
  imageEnd(h);
  mmapsync_close(h);
}

/* The order of a key, of which the first 64 bytes end a page. */
static uint16_t *order, orderFirst;
static void orderHeals(void) { order[0] = orderFirst; }

static void caseGoneRow(void) {
  mmapsync *h = channelOpen();
  size_t at;
  goodBuild(h);
  at = pageUp(goodSize) + watchPage() - 64;
  imageBegin(h, at + watchPage());
  memcpy(bytes, good, goodSize);
  memcpy(bytes + at, good + dirKey(good, 0, 2)->order, ROWS * sizeof(*order));
  ((ImageHeader *)(void *)bytes)->bytes = view.size;
  CHECK(dirKey(bytes, 0, 2)->order_width == 2);
  dirKey(bytes, 0, 2)->order = at;
  imageOpen(h);
  OK(h, mmapsync_table_check(h, t, 1));
  order = (uint16_t *)(void *)(bytes + at);
  orderFirst = order[0];
  order[0] = ROWS;
  watch(order + 32, orderHeals);
  FAILS(h, mmapsync_table_check(h, t, 1), MMAPSYNC_CORRUPT,
        "\"%s\": damaged table image: table \"first\": key \"sorted\", row 40: as its order has "
        "it, is none of the "
        "table",
        checkPath);
  CHECK(watchEnd() == 0);
  OK(h, mmapsync_table_check(h, t, 1));
  mmapsync_image_close(image);
  imageEnd(h);
  mmapsync_close(h);
}

static const CheckCase cases[] = {
    {"directory", caseDirectory}, {"more", caseMore},
    {"bitmap", caseBitmap},       {"dictionary", caseDictionary},
    {"searched", caseSearched},   {"gone_value", caseGoneValue},
    {"gone_row", caseGoneRow},    {NULL, NULL},
};

int main(int argc, char **argv) { return checkMain(argc, argv, cases); }
