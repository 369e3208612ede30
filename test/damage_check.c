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
** Then the sentences: one for each thing that imageopen.c looks at.
*/
#include "check_damage.h"

#include <math.h>
#include <stddef.h>

#include "image.h"

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

/* Publishes the good image with n bytes at `at` replaced, and expects this sentence. */
static void refused(int line, mmapsync *h, uint64_t at, const void *bytes, size_t n,
                    const char *sentence) {
  mmapsync_view view;
  mmapsync_image *image;
  void *data;

  OK(h, mmapsync_write_begin(h, goodSize, &data));
  memcpy(data, good, goodSize);
  memcpy((uint8_t *)data + at, bytes, n);
  OK(h, mmapsync_write_commit(h, goodSize, MMAPSYNC_KIND_IMAGE, NULL));
  OK(h, mmapsync_read(h, &view));
  checkSentence(line, h, mmapsync_image_open(h, &view, &image), MMAPSYNC_CORRUPT, "\"%s\": %s",
                checkPath, sentence);
  CHECK(!image);
  mmapsync_release(h, &view);
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
  uint64_t column, chunk, chunk7, keys, part;

  goodBuild(h);
  hdr = goodHeader();
  memcpy(&table0, good + hdr.dir, sizeof(table0));
  column = hdr.dir + table0.columns;
  memcpy(&column0, good + column, sizeof(column0));
  chunk = hdr.dir + column0.chunks;
  memcpy(&column7, good + column + 7 * sizeof(column7), sizeof(column7)); /* all NULL */
  chunk7 = hdr.dir + column7.chunks;
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
#undef OUTSIDE
  REFUSED(keys, DirKey, name, UINT64_MAX, DAMAGED "a key's name lies outside the directory");
#undef DAMAGED
  free(good);
  mmapsync_close(h);
}

/* Records that many tables share ask for more memory than there are bytes to pay for it. */
static void caseSharedRecords(void) {
  enum { TABLES = 200, COLUMNS = 200 };
  size_t dir = sizeof(DirTable) * TABLES + sizeof(DirColumn) * COLUMNS + 1, n = 64 + dir;
  mmapsync *h = channelOpen();
  uint8_t *bytes = calloc(n, 1);
  ImageHeader hdr = {.byteorder = IMAGE_BYTEORDER, .format = MMAPSYNC_FORMAT, .ntables = TABLES};
  DirTable t = {.columns = sizeof(DirTable) * TABLES, .ncolumns = COLUMNS, .rowid = -1};
  mmapsync_view view;
  mmapsync_image *image;
  int i;
  memcpy(hdr.magic, IMAGE_MAGIC, sizeof(hdr.magic));
  hdr.bytes = n;
  hdr.dir = sizeof(hdr);
  hdr.dir_bytes = dir;
  hdr.strings = dir - 1;
  memcpy(bytes, &hdr, sizeof(hdr));
  for (i = 0; i < TABLES; i++) memcpy(bytes + sizeof(hdr) + sizeof(t) * (size_t)i, &t, sizeof(t));
  imagePublish(h, bytes, n);
  OK(h, mmapsync_read(h, &view));
  FAILS(h, mmapsync_image_open(h, &view, &image), MMAPSYNC_CORRUPT,
        "\"%s\": damaged table image: its records are shared", checkPath);
  mmapsync_release(h, &view);
  free(bytes);
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
    {NULL, NULL},
};

int main(int argc, char **argv) { return checkMain(argc, argv, cases); }
