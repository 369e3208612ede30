/*
** apibench.c - the C interface on the image that sqlbench has published: no SQLite between.
**
**     apibench EXTENSION FOLDER ROWS ROUNDS
**
** Publishes items as sqlbench does, and then, through core/mmapsync.h alone:
**
**   api.int      a row by its integer key, and its price
**   api.text     a row by its text key, and its price
**   api.whole    the same with all that a service does for it: pin the newest snapshot, see that the image
**                is still of it, find, read, let go
**   api.none     a text key that is not there
**   api.range    100 rows of an index: two ends, and of each row the price
**   api.column   the price of every row, in the order of the rows
**   api.name     the name of every row
**   api.open     check the directory of the image and make it ready, once a snapshot
**
** Nothing stands beside these; the numbers are nanoseconds.  Each is compared with what data.h says the row
** holds.  To find the ends of a range this interface offers equality of a prefix only, so api.range takes the
** rows of an index from the position of one on.
*/
#define _GNU_SOURCE
#include "bench.h"
#include "cases.h"
#include "data.h"
#include "mmapsync.h"
#include "sqldb.h"

#include <string.h>

#define FINDS 200000u /* a round of finds */

static sqlite3_int64 rows;
static int rounds;
static Draw draw;
static mmapsync *h;
static mmapsync_view view;
static mmapsync_image *image;
static const mmapsync_table *items;
static int cId, cSku, cPrice, cName, cUpdated;
static int kId = -1, kSku = -1, kUpdated = -1;

static void check(int rc, const char *what) {
  if (rc != MMAPSYNC_OK) benchFail("%s: %s: %s", what, mmapsync_errstr(rc), mmapsync_errmsg(h));
}

static int64_t cents(double price) { return (int64_t)(price * 100 + 0.5); }

static int64_t centsOf(uint64_t row) {
  mmapsync_value v;
  check(mmapsync_get(items, row, cPrice, &v), "get");
  return cents(v.u.r);
}

static void openImage(void) {
  check(mmapsync_read(h, &view), "read");
  check(mmapsync_image_open(h, &view, &image), "image");
  items = mmapsync_table_find(image, "items");
  if (!items) benchFail("items: not in the image");
  cId = mmapsync_column_find(items, "id");
  cSku = mmapsync_column_find(items, "sku");
  cPrice = mmapsync_column_find(items, "price");
  cName = mmapsync_column_find(items, "name");
  cUpdated = mmapsync_column_find(items, "updated");
  for (int k = 0; k < mmapsync_table_about(items)->nkeys; k++) {
    const mmapsync_key_info *key = mmapsync_key_about(items, k);
    if (key->nparts != 1) continue;
    if (key->parts[0].column == cId) kId = k;
    if (key->parts[0].column == cSku) kSku = k;
    if (key->parts[0].column == cUpdated) kUpdated = k;
  }
  if (kId < 0 || kSku < 0 || kUpdated < 0) benchFail("items: a key is missing");
}

/* ---- the works: each gives a sum that must be that of its first run, checked against data.h ---------- */

static int64_t findInt(uint64_t n) {
  int64_t sum = 0;
  for (uint64_t i = 0; i < n; i++) {
    mmapsync_value v = {.type = MMAPSYNC_INTEGER, .u.i = draw.key[i % DRAW_KEYS].id};
    uint64_t row;
    check(mmapsync_find(items, kId, &v, 1, &row), "find");
    sum += centsOf(row);
  }
  return sum;
}

static int64_t findText(uint64_t n) {
  int64_t sum = 0;
  for (uint64_t i = 0; i < n; i++) {
    mmapsync_value v = {.type = MMAPSYNC_TEXT, .n = DATA_SKU, .u.p = draw.key[i % DRAW_KEYS].sku};
    uint64_t row;
    check(mmapsync_find(items, kSku, &v, 1, &row), "find");
    sum += centsOf(row);
  }
  return sum;
}

static int64_t findWhole(uint64_t n) {
  int64_t sum = 0;
  for (uint64_t i = 0; i < n; i++) {
    mmapsync_view mine;
    mmapsync_value v = {.type = MMAPSYNC_TEXT, .n = DATA_SKU, .u.p = draw.key[i % DRAW_KEYS].sku};
    uint64_t row;
    check(mmapsync_read(h, &mine), "read");
    if (!mmapsync_image_fits(image, &mine)) benchFail("the image does not fit its own snapshot");
    check(mmapsync_find(items, kSku, &v, 1, &row), "find");
    sum += centsOf(row);
    mmapsync_release(h, &mine);
  }
  return sum;
}

static int64_t findNone(uint64_t n) {
  for (uint64_t i = 0; i < n; i++) {
    mmapsync_value v = {.type = MMAPSYNC_TEXT, .n = DATA_SKU, .u.p = draw.key[i % DRAW_KEYS].none};
    uint64_t row;
    int rc = mmapsync_find(items, kSku, &v, 1, &row);
    if (rc != MMAPSYNC_NOTFOUND) benchFail("find: a key that should not be there");
  }
  return 0;
}

static int64_t expectFound(uint64_t n) {
  int64_t sum = 0;
  for (uint64_t i = 0; i < n; i++) {
    Item item;
    dataItem(draw.key[i % DRAW_KEYS].id, rows, &item);
    sum += cents(item.price);
  }
  return sum;
}

static int64_t expectNone(uint64_t n) { return (void)n, 0; }

/* The range starts at the row of a key, and goes round to the first after the last. */
static int64_t range(uint64_t n) {
  int64_t sum = 0;
  for (uint64_t i = 0; i < n; i++) {
    mmapsync_value v;
    uint64_t row, lo, hi;
    v = (mmapsync_value){.type = MMAPSYNC_INTEGER, .u.i = draw.key[i % DRAW_KEYS].id};
    check(mmapsync_find(items, kId, &v, 1, &row), "find");
    check(mmapsync_get(items, row, cUpdated, &v), "get");
    check(mmapsync_find_all(items, kUpdated, &v, 1, &lo, &hi), "find_all");
    if (hi != lo + 1) benchFail("updated: not unique");
    for (uint64_t pos = lo; pos < lo + 100; pos++) {
      check(mmapsync_key_row(items, kUpdated, pos % (uint64_t)rows, &row), "key_row");
      sum += centsOf(row);
    }
  }
  return sum;
}

static int64_t column(uint64_t n) {
  int64_t sum = 0;
  for (uint64_t row = 0; row < n; row++) sum += centsOf(row);
  return sum;
}

static int64_t name(uint64_t n) {
  int64_t sum = 0;
  for (uint64_t row = 0; row < n; row++) {
    mmapsync_value v;
    check(mmapsync_get(items, row, cName, &v), "get");
    sum += ((const unsigned char *)v.u.p)[v.n - 1] + (int64_t)v.n;
  }
  return sum;
}

static int64_t expectColumn(uint64_t n) {
  int64_t sum = 0;
  for (uint64_t i = 0; i < n; i++) {
    Item item;
    dataItem((sqlite3_int64)i + 1, rows, &item);
    sum += cents(item.price);
  }
  return sum;
}

static int64_t expectName(uint64_t n) {
  int64_t sum = 0;
  for (uint64_t i = 0; i < n; i++) {
    Item item;
    dataItem((sqlite3_int64)i + 1, rows, &item);
    size_t len = strlen(item.name);
    sum += (unsigned char)item.name[len - 1] + (int64_t)len;
  }
  return sum;
}

static int64_t openAgain(uint64_t n) {
  int64_t sum = 0;
  for (uint64_t i = 0; i < n; i++) {
    mmapsync_image *again;
    check(mmapsync_image_open(h, &view, &again), "image");
    sum += mmapsync_table_count(again);
    mmapsync_image_close(again);
  }
  return sum;
}

static int64_t expectOpen(uint64_t n) { return (int64_t)n; }

static const struct {
  const char *name;
  const char *title;
  int64_t (*work)(uint64_t n);
  int64_t (*expect)(uint64_t n); /* NULL: what the first run gave */
  uint64_t n;                    /* how often in a round; 0: once for each row */
} works[] = {
    {"api.int", "find by integer key, get", findInt, expectFound, FINDS},
    {"api.text", "find by text key, get", findText, expectFound, FINDS},
    {"api.whole", "  with pin and release", findWhole, expectFound, FINDS},
    {"api.none", "find a text key not there", findNone, expectNone, FINDS},
    {"api.range", "100 rows of an index, get each", range, NULL, FINDS / 100},
    {"api.column", "get a real of all, a row", column, expectColumn, 0},
    {"api.name", "get a text of all, a row", name, expectName, 0},
    {"api.open", "open the image", openAgain, expectOpen, 1000},
};

int main(int argc, char **argv) {
  char file[4000], channel[4000];
  if (argc > 3) rows = atoll(argv[3]);
  if (argc > 4) rounds = atoi(argv[4]);
  if (argc != 5 || rows < 1 || rounds < 0) {
    benchFail("usage: apibench EXTENSION FOLDER ROWS ROUNDS");
  }
  snprintf(file, sizeof(file), "%s/shop.db", argv[2]);
  snprintf(channel, sizeof(channel), "%s/api", argv[2]);
  sqlite3 *db = sqlOpen(file, argv[1]);
  sqlPublish(db, channel, "'items'");
  sqlite3_close(db);

  check(mmapsync_open(channel, NULL, &h), "open");
  openImage();
  for (size_t w = 0; w < sizeof(works) / sizeof(works[0]); w++) {
    uint64_t n = works[w].n ? works[w].n : (uint64_t)rows;
    benchCaseName(works[w].name, works[w].title);
    drawKeys(&draw, rows, 1);
    int64_t expect = works[w].expect ? works[w].expect(n) : works[w].work(n);
    for (int i = -1; i < rounds || i < 1; i++) { /* the first warms up */
      uint64_t t = benchSpent();
      int64_t sum = works[w].work(n);
      t = benchSpent() - t;
      if (sum != expect) benchFail("%s: wrong values", works[w].name);
      if (i >= 0) benchTime(works[w].name, "api", i, t, n);
    }
  }
  mmapsync_image_close(image);
  mmapsync_release(h, &view);
  mmapsync_close(h);
  channelRemove(channel);
  return 0;
}
