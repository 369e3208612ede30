#define _GNU_SOURCE
/*
** verify_check.c - mmapsync_table_check() and mmapsync_verify_view() find what is wrong, and say where.
**
** A good image is published with one thing changed that opening it cannot see: a number of the directory, an entry of a
** key's order, a bucket, a value.  Each must be found, with the sentence that names it; and the good image is good.
*/
#include "check_damage.h"

/* Publishes what `good` is now and checks its first table; this must be the answer. */
static void answers(int line, mmapsync *h, int keys, const char *sentence) {
  mmapsync_view view;
  mmapsync_image *image;
  imagePublish(h, good, goodSize);
  OK(h, mmapsync_read(h, &view));
  OK(h, mmapsync_image_open(h, &view, &image));
  if (sentence == NULL) {
    OK(h, mmapsync_table_check(h, mmapsync_table_at(image, 0), keys));
  } else {
    checkSentence(line, h, mmapsync_table_check(h, mmapsync_table_at(image, 0), keys),
                  MMAPSYNC_CORRUPT, "\"%s\": damaged table image: table \"first\": %s", checkPath,
                  sentence);
  }
  mmapsync_image_close(image);
  mmapsync_release(h, &view);
}

/* The same with one place of `good` changed for a moment. */
#define FOUND(place, value, sentence)                                                              \
  do {                                                                                             \
    __typeof__(place) was_ = (place);                                                              \
    (place) = (__typeof__(place))(value);                                                          \
    answers(__LINE__, h, 1, sentence);                                                             \
    (place) = was_;                                                                                \
  } while (0)

static void caseGood(void) {
  mmapsync *h = channelOpen();
  goodBuild(h);
  answers(__LINE__, h, 0, NULL);
  answers(__LINE__, h, 1, NULL);
  goodFree();
  mmapsync_close(h);
}

static void caseColumns(void) {
  mmapsync *h = channelOpen();
  goodBuild(h);
  FOUND(dirColumn(good, 0, 0)->types, 1u << MMAPSYNC_REAL,
        "column \"id\", row 1: a value of a type that the directory says is not there");
  FOUND(dirColumn(good, 0, 6)->types, dirColumn(good, 0, 6)->types & ~(1u << MMAPSYNC_REAL),
        "column \"any\", row 4: a value of a type that the directory says is not there");
  FOUND(dirColumn(good, 0, 6)->nulls, 11, "column \"any\": expected 11 NULLs, found 10");
  FOUND(dirColumn(good, 0, 8)->flags, MMAPSYNC_COLUMN_NOTNULL,
        "column \"wide\", row 1: NULL, which the directory says is not there");
  /* "name 7" becomes "n\0me 7", which a clean column has not; and 7, which is a number. */
  {
    uint8_t *z = memmem(good, goodSize, "name 7", 7);
    z[1] = 0;
    answers(__LINE__, h, 1,
            "column \"name\", row 2: a NUL byte in a text, which the directory says is not there");
    memcpy(z, "     7", 6);
    answers(
        __LINE__, h, 1,
        "column \"name\", row 2: a text that is a number, which the directory says is not there");
    memcpy(z, "name 7", 6);
  }
  /* price: reals from 0 to 9.75.  wide: of its rows the first that is not NULL. */
  FOUND(dirChunk(good, 0, 4)->max, 0,
        "column \"price\", row 2: a number beyond the bounds that the directory tells");
  FOUND(dirChunk(good, 0, 8)->base, dirChunk(good, 0, 8)->base + 1,
        "column \"wide\", row 2: a number beyond the bounds that the directory tells");
  FOUND(((uint16_t *)(void *)(good + dirChunk(good, 0, 2)->data))[3], 0xffff,
        "column \"name\", row 3: leads outside the image");
  FOUND(
      ((uint16_t *)(void *)(good + dirChunk(good, 0, 2)->data))[ROWS], 0xffff,
      "column \"name\", row 40: leads outside the image"); /* the last of those it looks at together */
  goodFree();
  mmapsync_close(h);
}

/* Key 1 is "hash", of name and kind; 2 is "sorted", of kind and any, kind descending. */
static void caseKeys(void) {
  mmapsync *h = channelOpen();
  uint16_t *order, first;
  HashBucket *buckets, *bucket;
  char sentence[100];
  size_t i, j;
  goodBuild(h);
  order = (uint16_t *)(void *)(good + dirKey(good, 0, 2)->order);
  CHECK(dirKey(good, 0, 2)->order_width == 2);
  snprintf(sentence, sizeof(sentence), "key \"sorted\", row %d: is in the order twice",
           order[4] + 1);
  FOUND(order[5], order[4], sentence);
  FOUND(order[5], ROWS, "key \"sorted\", row 6: as its order has it, is none of the table");
  FOUND(order[ROWS - 1], ROWS, "key \"sorted\", row 40: as its order has it, is none of the table");
  first = order[0];
  snprintf(sentence, sizeof(sentence), "key \"sorted\", row %d: out of order", order[1] + 1);
  order[0] = order[ROWS - 1];
  order[ROWS - 1] = first;
  answers(__LINE__, h, 1, sentence);
  answers(__LINE__, h, 0, NULL); /* keys are not looked at */
  order[ROWS - 1] = order[0];
  order[0] = first;
  FOUND(dirPart(good, 0, 2, 0)->distinct, 3,
        "key \"sorted\": expected 3 different values, found 2");
  FOUND(dirPart(good, 0, 2, 0)->distinct, 0, NULL); /* it does not say */

  /* Its first bucket that is used. */
  buckets = (HashBucket *)(void *)(good + dirKey(good, 0, 1)->search);
  for (i = 0; buckets[i].used == 0; i++) continue;
  for (j = 0; (buckets[i].used >> j & 1) == 0; j++) continue;
  bucket = &buckets[i];
  snprintf(sentence, sizeof(sentence), "key \"hash\", row %u: is not found by its key",
           bucket->row[j] + 1);
  FOUND(bucket->tag[j], ~bucket->tag[j], sentence);
  snprintf(sentence, sizeof(sentence), "key \"hash\", row %u: leads outside the image",
           bucket->row[j] + 1);
  FOUND(bucket->row[j], ROWS, sentence);

  /* "sorted" as if it were unique, which it is but for its NULLs. */
  FOUND(dirKey(good, 0, 2)->flags, MMAPSYNC_KEY_UNIQUE, NULL);
  FOUND(dirKey(good, 0, 2)->flags, MMAPSYNC_KEY_UNIQUE | MMAPSYNC_KEY_NOTNULL,
        "key \"sorted\", row 1: NULL, which the directory says is not there");
  goodFree();
  mmapsync_close(h);
}

/* What options.progress does at which of its calls: one at each column's beginning, then one for each key's order and, of
** a unique key, one for what it finds. */
static struct {
  int call, at;      /* calls so far; the one that counts, from 1 */
  uint16_t *heapEnd; /* what it harms then, or NULL: it says that it is enough */
} turn;

static int progress(void *unused) {
  (void)unused;
  if (++turn.call != turn.at) return 0;
  if (turn.heapEnd == NULL) return 1;
  *turn.heapEnd = 0xffff;
  return 0;
}

/* Stopped at each of its questions. */
static void caseStopped(void) {
  mmapsync *h = channelOpen();
  mmapsync_options opt;
  mmapsync_view view;
  mmapsync_image *image;
  int rc = MMAPSYNC_INTERRUPT;
  goodBuild(h);
  mmapsync_options_init(&opt);
  opt.progress = progress;
  OK(h, mmapsync_read(h, &view));
  OK(h, mmapsync_image_open(h, &view, &image));
  OK(h, mmapsync_configure(h, &opt));
  for (turn.at = 1; rc != MMAPSYNC_OK; turn.at++) {
    turn.call = 0;
    rc = mmapsync_table_check(h, mmapsync_table_at(image, 0), 1);
    if (rc != MMAPSYNC_OK) FAILS(h, rc, MMAPSYNC_INTERRUPT, "interrupted");
  }
  CHECK(turn.call == 10 + 2 + 2 + 1);
  mmapsync_image_close(image);
  mmapsync_release(h, &view);
  goodFree();
  mmapsync_close(h);
}

/* Values that somebody harms when their columns have been looked at: at the order of key "hash", and at what it finds. */
static void caseHarmed(void) {
  static const int at[] = {13, 14};
  mmapsync *h = channelOpen();
  mmapsync_options opt;
  mmapsync_view view, copy;
  mmapsync_image *image;
  uint8_t *bytes;
  size_t i;
  goodBuild(h);
  mmapsync_options_init(&opt);
  opt.progress = progress;
  OK(h, mmapsync_read(h, &view));
  OK(h, mmapsync_configure(h, &opt));
  bytes = aligned_alloc(64, (goodSize + 63) / 64 * 64);
  for (i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
    memcpy(bytes, good, goodSize);
    copy = view;
    copy.data = bytes;
    OK(h, mmapsync_image_open(h, &copy, &image));
    turn.call = 0;
    turn.at = at[i];
    turn.heapEnd = (uint16_t *)(void *)(bytes + dirChunk(good, 0, 2)->data) + ROWS;
    CHECK(mmapsync_table_check(h, mmapsync_table_at(image, 0), 1) == MMAPSYNC_CORRUPT);
    CHECK(strstr(mmapsync_errmsg(h), "key \"hash\", row ") != NULL);
    CHECK(strstr(mmapsync_errmsg(h), ": leads outside the image") != NULL);
    mmapsync_image_close(image);
  }
  turn.heapEnd = NULL;
  free(bytes);
  mmapsync_release(h, &view);
  goodFree();
  mmapsync_close(h);
}

/* Two rows of one value, and what is answered of their key when `change` was made to it. */
static void twoRows(void (*change)(uint8_t *image, DirKey *), const char *sentence) {
  static const mmapsync_part_def part = {.column = 0};
  static const mmapsync_key_def def = {.name = "k", .parts = &part, .nparts = 1};
  const mmapsync_table_def t = table(1, &def, 1);
  mmapsync *h = channelOpen();
  mmapsync_builder *b;
  mmapsync_view view;
  mmapsync_image *image;
  uint8_t *bytes;
  size_t n;
  OK(h, mmapsync_build_begin(h, &b));
  mmapsync_build_table(b, &t);
  mmapsync_build_int(b, 7);
  mmapsync_build_row(b);
  mmapsync_build_int(b, 7);
  mmapsync_build_row(b);
  OK(h, mmapsync_build_commit(b, NULL));
  bytes = payloadTake(h, &n);
  change(bytes, dirKey(bytes, 0, 0));
  imagePublish(h, bytes, n);
  OK(h, mmapsync_read(h, &view));
  OK(h, mmapsync_image_open(h, &view, &image));
  FAILS(h, mmapsync_table_check(h, mmapsync_table_at(image, 0), 1), MMAPSYNC_CORRUPT,
        "\"%s\": damaged table image: table \"t\": key \"k\", %s", checkPath, sentence);
  mmapsync_image_close(image);
  mmapsync_release(h, &view);
  free(bytes);
  mmapsync_close(h);
}

static void makeUnique(uint8_t *image, DirKey *k) {
  (void)image;
  k->flags |= MMAPSYNC_KEY_UNIQUE;
}

static void turnOrder(uint8_t *image, DirKey *k) {
  uint16_t *order = (uint16_t *)(void *)(image + k->order);
  CHECK(k->order_width == 2 && order[0] == 0 && order[1] == 1);
  order[0] = 1;
  order[1] = 0;
}

/* A unique key over values that are not unique: of two rows one is found for both.  And rows that tie stand by their
** numbers, as an ORDER BY is promised. */
static void caseTwice(void) {
  twoRows(makeUnique, "row 2: another row is found by its key");
  twoRows(turnOrder, "row 1: out of order");
}

/* The pinned snapshot's hash, however many newer ones there are. */
static void caseView(void) {
  enum { MANY = 20 << 20 };
  mmapsync *h = channelOpen();
  mmapsync_view view, bad;
  mmapsync_options opt;
  void *many;
  WRITE(h, "the first");
  OK(h, mmapsync_read(h, &view));
  WRITE(h, "the second");
  OK(h, mmapsync_verify_view(h, &view));
  bad = view;
  bad.hash = 1;
  CHECK(mmapsync_verify_view(h, &bad) == MMAPSYNC_CORRUPT);
  CHECK(strstr(mmapsync_errmsg(h), "damaged: expected hash 0000000000000001, found ") != NULL);
  bad.sequence = 0; /* another writer's, which has none */
  OK(h, mmapsync_verify_view(h, &bad));
  mmapsync_release(h, &view);
  /* So much that options.progress is asked, and says that it is enough. */
  many = calloc(MANY, 1);
  OK(h, mmapsync_write(h, many, MANY, NULL));
  free(many);
  OK(h, mmapsync_read(h, &view));
  mmapsync_options_init(&opt);
  opt.progress = progress;
  OK(h, mmapsync_configure(h, &opt));
  turn.call = 0;
  turn.at = 1;
  FAILS(h, mmapsync_verify_view(h, &view), MMAPSYNC_INTERRUPT, "interrupted");
  OK(h, mmapsync_verify_view(h, &view)); /* asked again, it says no more */
  mmapsync_release(h, &view);
  mmapsync_close(h);
}

static const CheckCase cases[] = {
    {"good", caseGood},     {"columns", caseColumns}, {"keys", caseKeys}, {"stopped", caseStopped},
    {"harmed", caseHarmed}, {"twice", caseTwice},     {"view", caseView}, {NULL, NULL},
};

int main(int argc, char **argv) { return checkMain(argc, argv, cases); }
