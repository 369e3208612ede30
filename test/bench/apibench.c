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
**   api.enter    pin the newest snapshot, and let it go
**   api.range    100 rows of an index: two ends, and of each row the price
**   api.column   the price of every row, in the order of the rows
**   api.name     the name of every row
**   api.open     check the directory of the image and make it ready, once a snapshot
**   api.load     publish all rows anew, all columns and the two keys, without SQLite, a row
**
** Beside the first five and the last stands LMDB, if it was there to build with, with the same rows and keys: mdb_get()
** in a transaction that is there already; with a transaction renewed and reset for each; and
** both keys filled anew in one transaction (lmdbitems.h).  api.begin is api.enter once more, beside a transaction that
** is made and ended.  Each is compared with what data.h says the row holds.  To find the ends of a range this
** interface offers equality of a prefix only, so api.range takes the rows of an index from the position of one on.
*/
#define _GNU_SOURCE
#include "bench.h"
#include "cases.h"
#include "data.h"
#include "lmdbitems.h"
#include "loops.h"
#include "sqldb.h"

#include <string.h>

#define FINDS  200000u  /* a round of finds */
#define ENTERS 1000000u /* of reads that look at nothing */

static sqlite3_int64 rows;
static int rounds;
static Draw draw;
static mmapsync *h;
static mmapsync *loaded; /* a handle of the channel that is loaded */
static mmapsync_view view;
static mmapsync_image *image;
static const mmapsync_table *items;
static int cId, cSku, cPrice, cName, cUpdated;
static const Item *all; /* items as data.h has them */
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
    const mmapsync_view *mine;
    mmapsync_value v = {.type = MMAPSYNC_TEXT, .n = DATA_SKU, .u.p = draw.key[i % DRAW_KEYS].sku};
    uint64_t row;
    check(mmapsync_enter(h, &mine), "enter");
    if (!mmapsync_image_fits(image, mine)) benchFail("the image does not fit its own snapshot");
    check(mmapsync_find(items, kSku, &v, 1, &row), "find");
    sum += centsOf(row);
    mmapsync_leave(h);
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

static int64_t enter(uint64_t n) {
  for (uint64_t i = 0; i < n; i++) {
    const mmapsync_view *mine;
    int rc = mmapsync_enter(h, &mine);
    if (rc != MMAPSYNC_OK) check(rc, "enter");
    mmapsync_leave(h);
  }
  return 0;
}

static void buildItem(mmapsync_builder *b, const Item *item) {
  mmapsync_build_int(b, item->id);
  mmapsync_build_text(b, item->sku, DATA_SKU);
  mmapsync_build_text(b, item->name, strlen(item->name));
  mmapsync_build_text(b, item->category, strlen(item->category));
  mmapsync_build_real(b, item->price);
  mmapsync_build_int(b, item->qty);
  mmapsync_build_int(b, item->created);
  mmapsync_build_int(b, item->updated);
  if (item->discount > 0) {
    mmapsync_build_real(b, item->discount);
  } else {
    mmapsync_build_null(b);
  }
  check(mmapsync_build_row(b), "row");
}

/* Into a channel of its own. */
static int64_t load(uint64_t n) {
  static const mmapsync_column_def columns[] = {
      {.name = "id", .type = "INTEGER"},      {.name = "sku", .type = "TEXT"},
      {.name = "name", .type = "TEXT"},       {.name = "category", .type = "TEXT"},
      {.name = "price", .type = "REAL"},      {.name = "qty", .type = "INTEGER"},
      {.name = "created", .type = "INTEGER"}, {.name = "updated", .type = "INTEGER"},
      {.name = "discount", .type = "REAL"}};
  static const mmapsync_part_def byId[] = {{.column = 0}}, bySku[] = {{.column = 1}};
  static const mmapsync_key_def keys[] = {
      {.name = "id",
       .flags = MMAPSYNC_KEY_UNIQUE | MMAPSYNC_KEY_PRIMARY | MMAPSYNC_KEY_ORDERED,
       .parts = byId,
       .nparts = 1},
      {.name = "sku", .flags = MMAPSYNC_KEY_UNIQUE, .parts = bySku, .nparts = 1}};
  static const mmapsync_table_def def = {.name = "items",
                                         .columns = columns,
                                         .ncolumns = sizeof(columns) / sizeof(columns[0]),
                                         .keys = keys,
                                         .nkeys = 2,
                                         .rowid = -1};
  mmapsync_builder *b;
  mmapsync_result done;
  check(mmapsync_build_begin(loaded, &b), "begin");
  check(mmapsync_build_table(b, &def), "table");
  for (uint64_t i = 0; i < n; i++) buildItem(b, &all[i]);
  check(mmapsync_build_commit(b, &done), "commit");
  return (int64_t)done.rows;
}

static int64_t expectLoad(uint64_t n) { return (int64_t)n; }

/* ---- the same in LMDB ---------------------------------------------------------------------------- */

static int64_t lmdbInt(uint64_t n) {
  int64_t sum = 0;
  lmdbRenew();
  for (uint64_t i = 0; i < n; i++) sum += cents(lmdbPriceOfId(draw.key[i % DRAW_KEYS].id));
  lmdbReset();
  return sum;
}

static int64_t lmdbText(uint64_t n) {
  int64_t sum = 0;
  lmdbRenew();
  for (uint64_t i = 0; i < n; i++) sum += cents(lmdbPriceOfSku(draw.key[i % DRAW_KEYS].sku));
  lmdbReset();
  return sum;
}

static int64_t lmdbWhole(uint64_t n) {
  int64_t sum = 0;
  for (uint64_t i = 0; i < n; i++) {
    lmdbRenew();
    sum += cents(lmdbPriceOfSku(draw.key[i % DRAW_KEYS].sku));
    lmdbReset();
  }
  return sum;
}

static int64_t lmdbNone(uint64_t n) {
  lmdbRenew();
  for (uint64_t i = 0; i < n; i++) {
    if (lmdbPriceOfSku(draw.key[i % DRAW_KEYS].none) >= 0) benchFail("LMDB has what is not there");
  }
  lmdbReset();
  return 0;
}

static int64_t lmdbEnter(uint64_t n) {
  for (uint64_t i = 0; i < n; i++) {
    lmdbRenew();
    lmdbReset();
  }
  return 0;
}

static int64_t lmdbAnew(uint64_t n) {
  lmdbAbort();
  for (uint64_t i = 0; i < n; i++) {
    lmdbBegin();
    if (i < n - 1) lmdbAbort();
  }
  lmdbReset();
  return 0;
}

static int64_t lmdbLoads(uint64_t n) {
  lmdbLoad(all, (sqlite3_int64)n);
  return (int64_t)n;
}

/* ---- all of them --------------------------------------------------------------------------------- */

static const struct {
  const char *name;
  const char *title;
  int64_t (*work)(uint64_t n);
  int64_t (*lmdb)(uint64_t n);   /* NULL: it does not do this */
  int64_t (*expect)(uint64_t n); /* NULL: what the first run gave */
  uint64_t n;                    /* how often in a round; 0: once for each row */
  int alone;                     /* no other view is held meanwhile: the image is kept without */
} works[] = {
    {"api.int", "find by integer key, get", findInt, lmdbInt, expectFound, FINDS, 0},
    {"api.text", "find by text key, get", findText, lmdbText, expectFound, FINDS, 0},
    {"api.whole", "  with enter and leave", findWhole, lmdbWhole, expectFound, FINDS, 1},
    {"api.none", "find a text key not there", findNone, lmdbNone, expectNone, FINDS, 0},
    {"api.enter", "enter, leave (LMDB: renew, reset)", enter, lmdbEnter, expectNone, ENTERS, 1},
    {"api.begin", "the same (LMDB: begin, abort)", enter, lmdbAnew, expectNone, ENTERS, 1},
    {"api.range", "100 rows of an index, get each", range, NULL, NULL, FINDS / 100, 0},
    {"api.column", "get a real of all, a row", column, NULL, expectColumn, 0, 0},
    {"api.name", "get a text of all, a row", name, NULL, expectName, 0, 0},
    {"api.open", "open the image", openAgain, NULL, expectOpen, 1000, 0},
    {"api.load", "load all rows, two keys, a row", load, lmdbLoads, expectLoad, 0, 0},
};

/* One round of a work by one of the two; the first, -1, warms up. */
static void timeWork(size_t w, int lmdb, int round, uint64_t n, int64_t *expect) {
  int64_t (*work)(uint64_t) = lmdb ? works[w].lmdb : works[w].work;
  if (!work || (lmdb && !lmdbBuilt())) return;
  if (works[w].alone) mmapsync_release(h, &view);
  uint64_t t = benchSpent();
  int64_t sum = work(n);
  t = benchSpent() - t;
  if (works[w].alone) {
    check(mmapsync_read(h, &view), "read");
    if (!mmapsync_image_fits(image, &view)) benchFail("the image does not fit its own snapshot");
  }
  if (*expect == INT64_MIN) *expect = sum;
  if (sum != *expect) benchFail("%s: wrong values%s", works[w].name, lmdb ? " in LMDB" : "");
  if (round >= 0) benchTime(works[w].name, lmdb ? "lmdb" : "api", round, t, n);
}

static void makeAll(void) {
  Item *made = malloc((size_t)rows * sizeof(*made));
  if (!made) benchFail("out of memory");
  for (sqlite3_int64 i = 0; i < rows; i++) dataItem(i + 1, rows, &made[i]);
  all = made;
}

static void openLmdb(const char *folder) {
  char path[4000];
  if (!lmdbBuilt()) return;
  snprintf(path, sizeof(path), "%s/lmdb", folder);
  lmdbOpen(path, rows);
  lmdbFill(all, rows);
  lmdbBegin();
  lmdbReset();
}

int main(int argc, char **argv) {
  char file[4000], channel[4000], second[4000];
  if (argc > 3) rows = atoll(argv[3]);
  if (argc > 4) rounds = atoi(argv[4]);
  if (argc != 5 || rows < 1 || rounds < 0) {
    benchFail("usage: apibench EXTENSION FOLDER ROWS ROUNDS");
  }
  snprintf(file, sizeof(file), "%s/shop.db", argv[2]);
  snprintf(channel, sizeof(channel), "%s/api", argv[2]);
  snprintf(second, sizeof(second), "%s/load", argv[2]);
  sqlite3 *db = sqlOpen(file, argv[1]);
  sqlPublish(db, channel, "'items'");
  sqlite3_close(db);
  makeAll();
  openLmdb(argv[2]);
  h = loopOpen(channel, NULL);
  loaded = loopOpen(second, NULL);
  openImage();
  for (size_t w = 0; w < sizeof(works) / sizeof(works[0]); w++) {
    uint64_t n = works[w].n ? works[w].n : (uint64_t)rows;
    benchCaseName(works[w].name, works[w].title);
    drawKeys(&draw, rows, 1);
    int64_t expect = works[w].expect ? works[w].expect(n) : INT64_MIN;
    for (int i = -1; i < rounds || i < 1; i++) {
      for (int k = 0; k < 2; k++) timeWork(w, (k ^ i) & 1, i, n, &expect);
    }
  }
  mmapsync_image_close(image);
  mmapsync_release(h, &view);
  mmapsync_close(h);
  mmapsync_close(loaded);
  if (lmdbBuilt()) {
    lmdbAbort();
    lmdbClose();
  }
  free((void *)(uintptr_t)all);
  channelRemove(channel);
  channelRemove(second);
  return 0;
}
