#define _GNU_SOURCE
/*
** damage_check.c - table images that lie: no bytes make a reader read outside of them, or crash.
**
** A small image that has every encoding and every search structure is damaged in each way that can be
** gone through: every byte, every 8-byte number of header and directory, every length.  What was done
** to it is published as an image, opened, and everything in it is asked for.  All answers must be OK or
** CORRUPT (or NOTFOUND, of a lookup).  Each is asked for twice: in the mapping, and in a copy on the
** heap of exactly the payload's size, where the address sanitizer sees the first byte read too far.
**
** Then the sentences: one for each thing that imageopen.c looks at.  And lies that open well, each of which some line
** of a filter or of a search is there for: no row but one of the table comes of them, and where an answer can still be
** had, it is what the rows say.
*/
#include "check_damage.h"

#include <math.h>
#include <stddef.h>

static ImageHeader goodHeader(void) {
  ImageHeader hdr;
  memcpy(&hdr, good, sizeof(hdr));
  return hdr;
}

/* Publishes bytes as an image, and reads them: where they are mapped, and in a copy of exact size. */
static int tryImage(mmapsync *h, const uint8_t *bytes, size_t n) {
  mmapsync_view view, copy;
  void *exact = NULL;
  int rc;

  imagePublish(h, bytes, n);
  OK(h, mmapsync_read(h, &view));
  rc = readImage(h, &view);
  if (posix_memalign(&exact, 64, n ? n : 1) == 0) {
    memcpy(exact, bytes, n);
    copy = view;
    copy.data = exact;
    CHECK(readImage(h, &copy) == rc);
    free(exact);
  }
  mmapsync_release(h, &view);
  return rc;
}

/* ---- sweeps ----------------------------------------------------------------------------------- */

/* Each byte, turned over in several ways; some of them where branches are counted, which is slow. */
static void caseBytes(void) {
  static const uint8_t masks[] = {0x01, 0x80, 0xff};
  mmapsync *h = channelOpen();
  size_t i, m;

  goodBuild(h);
  CHECK(tryImage(h, good, goodSize) == MMAPSYNC_OK);
  for (i = 0; i < goodSize; i += CHECK_COUNTED ? 7 : 1) {
    for (m = 0; m < sizeof(masks); m++) {
      snprintf(checkAbout, sizeof(checkAbout), "byte %zu of %zu, mask %02x", i, goodSize, masks[m]);
      good[i] ^= masks[m];
      tryImage(h, good, goodSize);
      good[i] ^= masks[m];
    }
  }
  free(good);
  mmapsync_close(h);
}

/* Each number of header and directory, set to those that are worth trying. */
static void caseNumbers(void) {
  mmapsync *h = channelOpen();
  ImageHeader hdr;
  uint64_t tries[12], was;
  size_t at, i;

  goodBuild(h);
  hdr = goodHeader();
  CHECK(hdr.dir % 8 == 0);
  memcpy(tries,
         (uint64_t[12]){0, 1, 64, hdr.dir, hdr.dir_bytes, hdr.strings, goodSize,
                        goodSize & ~UINT64_C(63), UINT32_MAX, INT64_MAX, UINT64_C(1) << 63,
                        UINT64_MAX & ~UINT64_C(63)},
         sizeof(tries));
  for (at = 0; at + 8 <= goodSize; at = at + 8 == sizeof(hdr) ? hdr.dir : at + 8) {
    memcpy(&was, good + at, 8);
    for (i = 0; i < 3 * sizeof(tries) / 8; i++) {
      uint64_t x = tries[i % 12];
      /* All 64 bits; the low 32; the high 32. */
      if (i / 12 == 1) x = (was & ~(uint64_t)UINT32_MAX) | (uint32_t)x;
      if (i / 12 == 2) x = (was & UINT32_MAX) | x << 32;
      snprintf(checkAbout, sizeof(checkAbout), "number at %zu of %zu: %016llx", at, goodSize,
               (unsigned long long)x);
      memcpy(good + at, &x, 8);
      tryImage(h, good, goodSize);
    }
    memcpy(good + at, &was, 8);
  }
  free(good);
  mmapsync_close(h);
}

/* Each shorter length: refused, and safe even if the header says that length. */
static void caseLengths(void) {
  mmapsync *h = channelOpen();
  uint64_t n;

  goodBuild(h);
  for (n = 0; n < goodSize; n++) {
    snprintf(checkAbout, sizeof(checkAbout), "%zu of %zu bytes", (size_t)n, goodSize);
    CHECK(tryImage(h, good, n) == MMAPSYNC_CORRUPT);
    if (n < sizeof(ImageHeader)) continue;
    memcpy(good + offsetof(ImageHeader, bytes), &n, 8);
    tryImage(h, good, n);
    memcpy(good + offsetof(ImageHeader, bytes), &(uint64_t){goodSize}, 8);
  }
  free(good);
  mmapsync_close(h);
}

/* Several bytes at once, and bytes of anything at all behind a good header. */
static void caseNoise(void) {
  mmapsync *h = channelOpen();
  uint64_t x = 88172645463325252u;
  uint8_t *bytes;
  int round, i, n;

  goodBuild(h);
  bytes = malloc(goodSize);
  for (round = 0; round < 5000; round++) {
    snprintf(checkAbout, sizeof(checkAbout), "round %d", round);
    memcpy(bytes, good, goodSize);
    n = round % 10 ? 1 + round % 7 : (int)goodSize;
    for (i = 0; i < n; i++) {
      size_t at;
      x ^= x << 13, x ^= x >> 7, x ^= x << 17;
      at = sizeof(ImageHeader) + (size_t)(x >> 8) % (goodSize - sizeof(ImageHeader));
      bytes[at] = (uint8_t)x;
    }
    tryImage(h, bytes, goodSize);
  }
  free(bytes);
  free(good);
  mmapsync_close(h);
}

/* ---- sentences -------------------------------------------------------------------------------- */

/* Publishes bytes as an image, and expects this sentence. */
static void refusedImage(int line, mmapsync *h, const uint8_t *bytes, size_t n,
                         const char *sentence) {
  mmapsync_view view;
  mmapsync_image *image;

  imagePublish(h, bytes, n);
  OK(h, mmapsync_read(h, &view));
  checkSentence(line, h, mmapsync_image_open(h, &view, &image), MMAPSYNC_CORRUPT, "\"%s\": %s",
                checkPath, sentence);
  CHECK(!image);
  mmapsync_release(h, &view);
}

/* The good image with n bytes at `at` replaced. */
static void refused(int line, mmapsync *h, uint64_t at, const void *bytes, size_t n,
                    const char *sentence) {
  uint8_t *copy = malloc(goodSize);
  memcpy(copy, good, goodSize);
  memcpy(copy + at, bytes, n);
  refusedImage(line, h, copy, goodSize, sentence);
  free(copy);
}

/* One field of a record, at its offset in the payload. */
#define REFUSED(at, record, field, value, sentence)                                                \
  do {                                                                                             \
    record r_;                                                                                     \
    memset(&r_, 0, sizeof(r_));                                                                    \
    r_.field = (value);                                                                            \
    refused(__LINE__, h, (at) + offsetof(record, field), &r_.field, sizeof(r_.field), sentence);   \
  } while (0)

static void caseHeaderSentences(void) {
  mmapsync *h = channelOpen();
  mmapsync_view view;
  mmapsync_image *image;
  ImageHeader hdr;

  WRITE(h, "raw bytes");
  OK(h, mmapsync_read(h, &view));
  FAILS(h, mmapsync_image_open(h, &view, &image), MMAPSYNC_MISUSE,
        "\"%s\": holds raw bytes, not tables", checkPath);
  CHECK(!image);
  mmapsync_release(h, &view);

  imagePublish(h, "123456789", 10);
  OK(h, mmapsync_read(h, &view));
  FAILS(h, mmapsync_image_open(h, &view, &image), MMAPSYNC_CORRUPT,
        "\"%s\": damaged table image: shorter than its header", checkPath);
  mmapsync_release(h, &view);

  goodBuild(h);
  hdr = goodHeader();
#define DAMAGED "damaged table image: "
  REFUSED(0, ImageHeader, magic[0], 'M', DAMAGED "no magic");
  REFUSED(0, ImageHeader, byteorder, UINT32_C(0x04030201),
          "table image of the other byte order: publish it on this machine");
  REFUSED(0, ImageHeader, format, 3,
          "table image of format 3 with features 0: this library reads formats 1 to 2: upgrade it");
  REFUSED(0, ImageHeader, required, 4,
          "table image of format 2 with features 4: this library reads formats 1 to 2: upgrade it");
  REFUSED(0, ImageHeader, bytes, goodSize + 1, DAMAGED "its length is not the payload's");
#define OUTSIDE DAMAGED "the directory lies outside the payload"
  REFUSED(0, ImageHeader, dir, hdr.dir + 64, OUTSIDE);
  REFUSED(0, ImageHeader, dir, hdr.dir + 1, OUTSIDE);
  REFUSED(0, ImageHeader, dir, 0, OUTSIDE);
  REFUSED(0, ImageHeader, dir_bytes, UINT64_MAX, OUTSIDE);
  REFUSED(0, ImageHeader, strings, hdr.dir_bytes + 1, OUTSIDE);
  REFUSED(0, ImageHeader, ntables, UINT32_MAX, OUTSIDE);
#undef OUTSIDE
  free(good);
  mmapsync_close(h);
}

static void caseDirectorySentences(void) {
  mmapsync *h = channelOpen();
  ImageHeader hdr;
  DirTable table0;
  DirColumn column0, column7;
  DirKey key1;
  DirChunk any;
  uint64_t column, chunk, chunk7, chunk8, keys, part;

  goodBuild(h);
  hdr = goodHeader();
  memcpy(&table0, good + hdr.dir, sizeof(table0));
  column = hdr.dir + table0.columns;
  memcpy(&column0, good + column, sizeof(column0));
  chunk = hdr.dir + column0.chunks;
  memcpy(&column7, good + column + 7 * sizeof(column7), sizeof(column7)); /* all NULL */
  chunk7 = hdr.dir + column7.chunks;
  chunk8 = (uint64_t)((uint8_t *)dirChunk(good, 0, 8) - good); /* half of it NULL */
  CHECK(dirChunk(good, 0, 8)->flags == CHUNK_SPARSE);
  keys = hdr.dir + table0.keys;
  memcpy(&key1, good + keys + sizeof(DirKey), sizeof(key1));
  part = hdr.dir + key1.parts;

#define OUTSIDE DAMAGED "a table's record is out of bounds"
  REFUSED(hdr.dir, DirTable, rows, UINT32_MAX, OUTSIDE);
  REFUSED(hdr.dir, DirTable, chunk_shift, 32, OUTSIDE);
  REFUSED(hdr.dir, DirTable, ncolumns, 0, OUTSIDE);
  REFUSED(hdr.dir, DirTable, ncolumns, 32768, OUTSIDE);
  REFUSED(hdr.dir, DirTable, rowid, 10, OUTSIDE);
  REFUSED(hdr.dir, DirTable, rowid, -2, OUTSIDE);
  REFUSED(hdr.dir, DirTable, columns, hdr.strings, OUTSIDE);
  REFUSED(hdr.dir, DirTable, keys, UINT64_MAX, OUTSIDE);
  REFUSED(hdr.dir, DirTable, nkeys, UINT32_MAX, OUTSIDE);
#undef OUTSIDE
  REFUSED(hdr.dir, DirTable, name, UINT64_MAX, DAMAGED "a table's name lies outside the directory");

#define OUTSIDE DAMAGED "a column's name lies outside the directory"
  REFUSED(column, DirColumn, name, hdr.dir_bytes - hdr.strings, OUTSIDE);
  REFUSED(column, DirColumn, type, UINT64_MAX, OUTSIDE);
  REFUSED(column, DirColumn, collation, UINT32_MAX, OUTSIDE);
#undef OUTSIDE
  REFUSED(column, DirColumn, chunks, hdr.strings,
          DAMAGED "a column's chunks lie outside the directory");
#define OUTSIDE DAMAGED "a column's buffer lies outside the payload"
  REFUSED(chunk, DirChunk, encoding, 7, OUTSIDE);
  REFUSED(chunk, DirChunk, width, 3, OUTSIDE);
  REFUSED(chunk, DirChunk, null_bits, goodSize, OUTSIDE);
  REFUSED(chunk, DirChunk, null_bits, 65, OUTSIDE);
  REFUSED(chunk, DirChunk, encoding, CHUNK_TEXT, OUTSIDE);
  REFUSED(chunk7, DirChunk, width, 200, OUTSIDE); /* of no data */
  any = *dirChunk(good, 0, 6);
  dirChunk(good, 0, 6)->null_bits = dirChunk(good, 0, 8)->null_bits;
  REFUSED((uint64_t)((uint8_t *)dirChunk(good, 0, 6) - good), DirChunk, flags, CHUNK_SPARSE,
          OUTSIDE); /* MIXED never is */
  *dirChunk(good, 0, 6) = any;
  REFUSED(chunk8, DirChunk, null_bits, 64, OUTSIDE); /* no room before it */
#undef OUTSIDE

  REFUSED(keys, DirKey, nparts, 0, DAMAGED "a key's parts lie outside the directory");
  REFUSED(keys, DirKey, parts, hdr.strings, DAMAGED "a key's parts lie outside the directory");
  REFUSED(part, DirPart, column, 10,
          DAMAGED "a key names a column or a collation that is not there");
  REFUSED(part, DirPart, collation, 3,
          DAMAGED "a key names a column or a collation that is not there");
#define OUTSIDE DAMAGED "a key's buffer lies outside the payload"
  REFUSED(keys, DirKey, search_kind, 4, OUTSIDE);
  REFUSED(keys, DirKey, search_kind, SEARCH_HASH, OUTSIDE);   /* it has no buckets */
  REFUSED(keys, DirKey, flags, MMAPSYNC_KEY_UNIQUE, OUTSIDE); /* no order, nor ordered rows */
  REFUSED(keys + sizeof(DirKey), DirKey, order, goodSize & ~UINT64_C(63), OUTSIDE);
  REFUSED(keys + sizeof(DirKey), DirKey, order, key1.order + 4, OUTSIDE);
  REFUSED(keys + sizeof(DirKey), DirKey, search, UINT64_MAX & ~UINT64_C(63), OUTSIDE);
  REFUSED(keys + sizeof(DirKey), DirKey, search_kind, SEARCH_DIRECT, OUTSIDE);
  /* One of two parts cannot be found by its rank, whether its rows stand in order or not. */
  dirKey(good, 0, 1)->order = 0;
  dirKey(good, 0, 1)->flags |= MMAPSYNC_KEY_ORDERED;
  REFUSED(keys + sizeof(DirKey), DirKey, search_kind, SEARCH_RANK, OUTSIDE);
  REFUSED(keys + sizeof(DirKey), DirKey, search_kind, SEARCH_DIRECT, OUTSIDE);
#undef OUTSIDE
  REFUSED(keys, DirKey, name, UINT64_MAX, DAMAGED "a key's name lies outside the directory");
#undef DAMAGED
  free(good);
  mmapsync_close(h);
}

/* A bitmap of whole words that ends within a word of the payload's end. */
static void caseSparseEnd(void) {
  mmapsync *h = channelOpen();
  uint8_t *bytes;
  size_t at, n;
  goodBuild(h);
  at = (goodSize + 63) & ~(size_t)63;
  bytes = calloc(at + 64, 1);
  memcpy(bytes, good, goodSize);
  memcpy(bytes + at, good + dirChunk(good, 0, 8)->null_bits, (ROWS + 7) / 8);
  /* The counts are the 64 bytes before, which are of names: how many rows are before the first, and none is. */
  memset(bytes + at - 2, 0, 2);
  dirChunk(bytes, 0, 8)->null_bits = at;
  for (n = at + (ROWS + 7) / 8; n <= at + 8; n++) {
    ((ImageHeader *)(void *)bytes)->bytes = n;
    if (n < at + 8) {
      refusedImage(__LINE__, h, bytes, n,
                   "damaged table image: a column's buffer lies outside the payload");
    } else {
      CHECK(tryImage(h, bytes, n) == MMAPSYNC_OK);
    }
  }
  free(bytes);
  goodFree();
  mmapsync_close(h);
}

/* Records that many share ask for more memory than there are bytes to pay for it: of an image of so many tables, each
** of the same columns, each of the same chunks, and of the same keys, each of the same parts. */
static void shared(mmapsync *h, uint32_t ntables, uint32_t ncolumns, uint32_t nchunks,
                   uint32_t nkeys, uint32_t nparts, size_t names) {
  ImageHeader hdr = {.byteorder = IMAGE_BYTEORDER, .format = MMAPSYNC_FORMAT, .ntables = ntables};
  DirTable t = {.ncolumns = ncolumns, .rowid = -1, .rows = nchunks, .nkeys = nkeys};
  DirColumn c = {.chunks = 0};
  DirKey k = {.nparts = nparts, .flags = MMAPSYNC_KEY_ORDERED};
  uint8_t *bytes, *to;
  uint32_t i;
  t.columns = sizeof(t) * ntables;
  c.chunks = t.columns + sizeof(c) * ncolumns;
  t.keys = c.chunks + sizeof(DirChunk) * nchunks;
  k.parts = t.keys + sizeof(k) * nkeys;
  hdr.strings = k.parts + sizeof(DirPart) * nparts;
  memcpy(hdr.magic, IMAGE_MAGIC, sizeof(hdr.magic));
  hdr.dir = sizeof(hdr);
  hdr.dir_bytes = hdr.strings + names;
  hdr.bytes = hdr.dir + hdr.dir_bytes;
  bytes = calloc(hdr.bytes, 1); /* chunks of NULLs, parts of the first column */
  to = bytes + hdr.dir;
  memcpy(bytes, &hdr, sizeof(hdr));
  for (i = 0; i < ntables; i++) memcpy(to + sizeof(t) * i, &t, sizeof(t));
  for (i = 0; i < ncolumns; i++) memcpy(to + t.columns + sizeof(c) * i, &c, sizeof(c));
  for (i = 0; i < nkeys; i++) memcpy(to + t.keys + sizeof(k) * i, &k, sizeof(k));
  if (ntables + ncolumns + nkeys > 3) {
    refusedImage(__LINE__, h, bytes, hdr.bytes, "damaged table image: its records are shared");
  } else {
    CHECK(tryImage(h, bytes, hdr.bytes) == MMAPSYNC_OK);
  }
  free(bytes);
}

static void caseSharedRecords(void) {
  mmapsync *h = channelOpen();
  size_t names;
  shared(h, 1, 1, 200, 1, 200, 1); /* one of each may have as many as it likes */
  shared(h, 200, 200, 0, 0, 0, 1);
  shared(h, 1, 200, 200, 0, 0, 1);
  shared(h, 200, 1, 0, 200, 1, 1);
  /* Each byte of names pays for some, so that it ends now with one piece of a key, now with another. */
  for (names = 1; names < 700; names++) shared(h, 1, 1, 0, 200, 200, names);
  mmapsync_close(h);
}

/* NaN, which only a damaged or foreign image holds, is NULL: it equals nothing. */
static void caseNan(void) {
  mmapsync_value zero = {.type = MMAPSYNC_REAL}, nan = {.type = MMAPSYNC_REAL};
  mmapsync_value one = {.type = MMAPSYNC_INTEGER, .u.i = 1}, null = {.type = MMAPSYNC_NULL};
  nan.u.r = (double)NAN;
  CHECK(mmapsync_compare(&nan, &zero, MMAPSYNC_BINARY) < 0);
  CHECK(mmapsync_compare(&one, &nan, MMAPSYNC_BINARY) > 0);
  CHECK(mmapsync_compare(&nan, &null, MMAPSYNC_BINARY) == 0);
}

/* The same in filters: whether rows are looked at one by one or many at once. */
static void nanFilter(int mixed) {
  enum { NANS = 3000, AT = 1234 };
  static const int ops[] = {MMAPSYNC_EQ, MMAPSYNC_NE, MMAPSYNC_LT,    MMAPSYNC_LE, MMAPSYNC_GT,
                            MMAPSYNC_GE, MMAPSYNC_IS, MMAPSYNC_ISNOT, MMAPSYNC_IN};
  static const double constants[] = {7.25, -1e9, 1e9, 0.5, NANS + 0.25};
  const double nan = (double)NAN;
  mmapsync *h = channelOpen();
  mmapsync_value v[NANS], c;
  mmapsync_term term = {.column = 0, .nvalues = 1, .values = &c};
  uint32_t rows[MMAPSYNC_FILTER_ROWS];
  uint8_t *bytes;
  Opened o;
  size_t i, k, j;
  for (i = 0; i < NANS; i++) {
    v[i] = real((double)((i * 7919) % NANS) + 0.25);
    if (mixed && i % 3 == 0) v[i] = i % 2 ? text("x") : integer((int64_t)i);
  }
  OK(h, publishOne(h, NULL, v, NANS));
  bytes = payloadTake(h, &k);
  for (i = 0; i + 8 <= k && memcmp(bytes + i, &v[AT].u.r, 8) != 0;) i += 8;
  CHECK(i + 8 <= k);
  memcpy(bytes + i, &nan, 8);
  imagePublish(h, bytes, k);
  free(bytes);
  openImage(&o, h);
  for (i = 0; i < COUNT_OF(ops) * COUNT_OF(constants); i++) {
    uint8_t got[NANS] = {0};
    mmapsync_filter *f;
    uint64_t at = 0;
    uint32_t n;
    term.op = ops[i % COUNT_OF(ops)];
    c = real(constants[i / COUNT_OF(ops)]);
    snprintf(checkAbout, sizeof(checkAbout), "%d, op %d, %f", mixed, term.op, c.u.r);
    OK(h, mmapsync_filter_open(o.t, &term, 1, &f));
    while (at < NANS) {
      OK(h, mmapsync_filter_next(f, &at, NANS, rows, &n));
      for (k = 0; k < n; k++) got[rows[k]] = 1;
    }
    CHECK(got[AT] == (term.op == MMAPSYNC_ISNOT));
    for (j = 0; j < NANS; j++) CHECK(got[j] == mmapsync_filter_row(f, j));
    mmapsync_filter_close(f);
  }
  closeImage(&o);
  mmapsync_close(h);
}

static void caseNanFilter(void) {
  nanFilter(0);
  nanFilter(1);
}

/* ---- lies that open well ----------------------------------------------------------------------- */

/* How many rows of a column match, when they are filtered by block; they must be those that match by themselves. */
static uint64_t told(const mmapsync_table *t, int column, int op, mmapsync_value v) {
  mmapsync_term term = {.column = column, .op = op, .nvalues = 1, .values = &v};
  uint64_t at = 0, n = mmapsync_table_about(t)->rows, count = 0, single = 0, r;
  uint32_t rows[MMAPSYNC_FILTER_ROWS], got, i;
  mmapsync_filter *f;
  CHECK(mmapsync_filter_open(t, &term, 1, &f) == MMAPSYNC_OK);
  while (at < n) {
    CHECK(mmapsync_filter_next(f, &at, n, rows, &got) == MMAPSYNC_OK);
    for (i = 0; i < got; i++) {
      CHECK(rows[i] < n && (i == 0 || rows[i] > rows[i - 1]));
      CHECK(mmapsync_filter_row(f, rows[i]) == 1);
    }
    count += got;
  }
  for (r = 0; r < n; r++) single += mmapsync_filter_row(f, r) == 1;
  CHECK(single == count);
  mmapsync_filter_close(f);
  return count;
}

/* Publishes what `good` is now, and opens it. */
static const mmapsync_table *lieOpen(Opened *o, mmapsync *h) {
  imagePublish(h, good, goodSize);
  openImage(o, h);
  return o->t;
}

/* A greatest value that the bytes of one cannot hold: "gaps" is 0, 3, ... 117, of one byte each.  Who asks for what lies
** between gets no row, or all. */
static void caseLieMost(void) {
  static const int64_t asked[] = {256, 300, 99999};
  mmapsync *h = channelOpen();
  const mmapsync_table *t;
  Opened o;
  int i;
  goodBuild(h);
  CHECK(dirChunk(good, 0, 1)->width == 1 && dirChunk(good, 0, 1)->max == 3 * (ROWS - 1));
  dirChunk(good, 0, 1)->max = 100000;
  t = lieOpen(&o, h);
  for (i = 0; i < COUNT_OF(asked); i++) {
    CHECK(told(t, 1, MMAPSYNC_EQ, integer(asked[i])) == 0);
    CHECK(told(t, 1, MMAPSYNC_GE, integer(asked[i])) == 0);
    CHECK(told(t, 1, MMAPSYNC_LT, integer(asked[i])) == ROWS);
    CHECK(told(t, 1, MMAPSYNC_NE, integer(asked[i])) == ROWS);
    CHECK(told(t, 1, MMAPSYNC_GT, integer(114)) == 1);
  }
  closeImage(&o);
  goodFree();
  mmapsync_close(h);
}

/* Integers that rise by one a row, as the directory says, and end where it says otherwise: the place that is worked out
** is none of the chunk's. */
static void caseLieSequence(void) {
  static const struct {
    int64_t base, max;
  } bounds[] = {{5, 1000}, {5, INT64_MAX}, {INT64_MIN, INT64_MAX}, {4, 4 + ROWS}, {0, 0}};
  static const int64_t asked[] = {INT64_MIN, -1, 0, 5, 44, 45, 500, INT64_MAX - 1, INT64_MAX};
  mmapsync *h = channelOpen();
  const mmapsync_table *t;
  uint64_t lo, hi;
  Opened o;
  int i, j, desc;
  goodBuild(h);
  CHECK(dirChunk(good, 0, 0)->flags == CHUNK_SEQUENCE);
  dirKey(good, 0, 0)->search_kind = SEARCH_SORTED;
  for (desc = 0; desc < 2; desc++) { /* and an order that falls, over rows that rise */
    dirPart(good, 0, 0, 0)->desc = (uint16_t)desc;
    for (i = 0; i < COUNT_OF(bounds); i++) {
      dirChunk(good, 0, 0)->base = bounds[i].base;
      dirChunk(good, 0, 0)->max = bounds[i].max;
      t = lieOpen(&o, h);
      for (j = 0; j < COUNT_OF(asked); j++) {
        mmapsync_value v = integer(asked[j]), w = integer(asked[COUNT_OF(asked) - 1 - j]);
        CHECK(mmapsync_find_all(t, 0, &v, 1, &lo, &hi) == MMAPSYNC_OK);
        CHECK(lo <= hi && hi <= ROWS);
        CHECK(mmapsync_find_range(t, 0, NULL, 0, &v, 1, &w, 0, &lo, &hi) == MMAPSYNC_OK);
        CHECK(lo <= hi && hi <= ROWS);
      }
      closeImage(&o);
    }
  }
  goodFree();
  mmapsync_close(h);
}

/* A dictionary of 300 texts, of which half is left when its codes are taken for bytes, and a code that is none. */
static void caseLieDictionary(void) {
  enum { TEXTS = 300, MANY = 1300 };
  mmapsync *h = channelOpen();
  static mmapsync_value v[MANY];
  static char texts[MANY][24];
  uint32_t rows[3] = {0, 7, MANY - 1};
  mmapsync_value out[3];
  Opened o;
  DirChunk *k;
  uint16_t *code;
  int i;
  for (i = 0; i < MANY; i++) {
    snprintf(texts[i], sizeof(texts[i]), "kind %d", i % TEXTS);
    v[i] = text(texts[i]);
  }
  OK(h, publishOne(h, NULL, v, MANY));
  good = payloadTake(h, &goodSize);
  k = dirChunk(good, 0, 0);
  code = (uint16_t *)(void *)(good + k->data);
  CHECK(k->encoding == CHUNK_DICT && k->width == 2 && k->base == TEXTS && code[7] == 7);

  code[7] = TEXTS + 2; /* and what stands there looks like two offsets */
  ((uint32_t *)(void *)(good + k->aux))[TEXTS + 3] = 7;
  CHECK(k->heap >= k->aux + 4 * (TEXTS + 4));
  (void)lieOpen(&o, h);
  CHECK(mmapsync_get_many(o.t, rows, 1, 0, out) == MMAPSYNC_OK && same(&out[0], &v[0]));
  CHECK(mmapsync_get_many(o.t, rows, 3, 0, out) == MMAPSYNC_CORRUPT);
  CHECK(mmapsync_get(o.t, 7, 0, out) == MMAPSYNC_CORRUPT);
  closeImage(&o);

  code[7] = 7;
  k->width = 1; /* its codes are 0, 0, 1, 0, 2, 0, ... then */
  (void)lieOpen(&o, h);
  CHECK(told(o.t, 0, MMAPSYNC_EQ, text("kind 1")) > 0);
  CHECK(told(o.t, 0, MMAPSYNC_HAS, text("5")) > 0);           /* some here, some there */
  CHECK(told(o.t, 0, MMAPSYNC_NE, text("kind 280")) == MANY); /* which no byte names */
  closeImage(&o);
  goodFree();
  mmapsync_close(h);
}

/* Offsets that lead outside, of the texts that are there where most are NULL. */
static void caseLieSparse(void) {
  enum { MANY = 400 };
  static const int ops[] = {MMAPSYNC_EQ, MMAPSYNC_LT, MMAPSYNC_HAS};
  mmapsync *h = channelOpen();
  static mmapsync_value v[MANY];
  static char texts[MANY][24];
  uint32_t rows[MMAPSYNC_FILTER_ROWS], n;
  mmapsync_value one = text("text 12");
  mmapsync_filter *f;
  uint16_t *offset;
  uint64_t at;
  Opened o;
  int i, bad;
  for (i = 0; i < MANY; i++) {
    snprintf(texts[i], sizeof(texts[i]), "text %d", i);
    v[i] = i % 4 ? null() : text(texts[i]);
  }
  OK(h, publishOne(h, NULL, v, MANY));
  good = payloadTake(h, &goodSize);
  CHECK(dirChunk(good, 0, 0)->flags == CHUNK_SPARSE);
  CHECK(dirChunk(good, 0, 0)->encoding == CHUNK_TEXT && dirChunk(good, 0, 0)->width == 2);
  offset = (uint16_t *)(void *)(good + dirChunk(good, 0, 0)->data);
  for (bad = 0; bad < 2; bad++) {
    if (bad) {
      offset[3] = 60000; /* a text of the length that is asked for, and more than all there are */
      offset[4] = 60008;
      offset[MANY / 4] = 65000;
    }
    (void)lieOpen(&o, h);
    for (i = 0; i < COUNT_OF(ops); i++) {
      mmapsync_term term = {.op = ops[i], .nvalues = 1, .values = &one};
      OK(h, mmapsync_filter_open(o.t, &term, 1, &f));
      at = 0;
      CHECK(mmapsync_filter_next(f, &at, MANY, rows, &n) == (bad ? MMAPSYNC_CORRUPT : MMAPSYNC_OK));
      CHECK(bad || n > 0);
      mmapsync_filter_close(f);
    }
    closeImage(&o);
  }
  /* No text at all, though the bitmap has some, and all of one length. */
  dirChunk(good, 0, 0)->nulls = MANY;
  dirChunk(good, 0, 0)->flags |= CHUNK_EVEN;
  dirChunk(good, 0, 0)->base = INT64_MAX;
  (void)lieOpen(&o, h);
  for (i = 0; i < MANY; i++) {
    CHECK(mmapsync_get(o.t, (uint64_t)i, 0, &one) == (i % 4 ? MMAPSYNC_OK : MMAPSYNC_CORRUPT));
    CHECK(one.type == MMAPSYNC_NULL);
  }
  closeImage(&o);
  goodFree();
  mmapsync_close(h);
}

/* A key over values of which most are NULL, whose places in front of the bitmap are told wrongly; and over texts that
** lead outside, where some are NULL.  A search takes any answer to be one, so long as it stays inside, or says so. */
static void caseLieSearched(void) {
  enum { MANY = 400 };
  mmapsync *h = channelOpen();
  static mmapsync_value v[MANY];
  static char texts[MANY][24];
  mmapsync_key_def key = keyA(0);
  mmapsync_value asked;
  uint64_t lo, hi;
  Opened o;
  int i, kind;
  for (kind = 0; kind < 2; kind++) {
    for (i = 0; i < MANY; i++) {
      snprintf(texts[i], sizeof(texts[i]), "text %d", i);
      v[i] = kind ? text(texts[i]) : integer(i * 1000);
      if (kind ? i % 9 == 0 : i % 9 != 0) v[i] = null();
    }
    OK(h, publishOne(h, &key, v, MANY));
    good = payloadTake(h, &goodSize);
    CHECK(dirChunk(good, 0, 0)->flags == (kind ? 0 : CHUNK_SPARSE));
    CHECK(dirChunk(good, 0, 0)->encoding == (kind ? CHUNK_TEXT : CHUNK_INT));
    CHECK(dirChunk(good, 0, 0)->null_bits != 0);
    asked = v[198 + kind];
    (void)lieOpen(&o, h);
    CHECK(mmapsync_find_all(o.t, 0, &asked, 1, &lo, &hi) == MMAPSYNC_OK && hi == lo + 1);
    closeImage(&o);
    if (kind) {
      memset(good + dirChunk(good, 0, 0)->data, 0xff, (MANY + 1) * 2);
    } else {
      memset(good + dirChunk(good, 0, 0)->null_bits - (MANY + 63) / 64 * 2, 0xff,
             (MANY + 63) / 64 * 2);
    }
    (void)lieOpen(&o, h);
    i = mmapsync_find_all(o.t, 0, &asked, 1, &lo, &hi);
    if (kind) {
      CHECK(i == MMAPSYNC_CORRUPT);
    } else { /* all are taken for NULL, which comes before it */
      CHECK(i == MMAPSYNC_OK && lo == MANY && hi == MANY);
    }
    CHECK(mmapsync_get(o.t, 198 + (uint64_t)kind, 0, &v[0]) == MMAPSYNC_CORRUPT);
    closeImage(&o);
    goodFree();
  }
  mmapsync_close(h);
}

static const CheckCase cases[] = {
    {"shared_records", caseSharedRecords},
    {"nan", caseNan},
    {"nan_filter", caseNanFilter},
    {"bytes", caseBytes},
    {"numbers", caseNumbers},
    {"lengths", caseLengths},
    {"noise", caseNoise},
    {"header_sentences", caseHeaderSentences},
    {"directory_sentences", caseDirectorySentences},
    {"sparse_end", caseSparseEnd},
    {"lie_most", caseLieMost},
    {"lie_sequence", caseLieSequence},
    {"lie_dictionary", caseLieDictionary},
    {"lie_sparse", caseLieSparse},
    {"lie_searched", caseLieSearched},
    {NULL, NULL},
};

int main(int argc, char **argv) { return checkMain(argc, argv, cases); }
