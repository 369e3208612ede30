/*
** data.c - what the benchmark's tables hold.  See data.h.
*/
#define _GNU_SOURCE
#include "data.h"
#include "bench.h"

#define CATEGORIES 24
#define FROM       1700000000 /* the first second */

static const char *const noun[CATEGORIES] = {
    "Lamp",  "Chair", "Table",  "Shelf",   "Mug",     "Kettle", "Towel",  "Carpet",
    "Clock", "Vase",  "Mirror", "Curtain", "Basket",  "Bench",  "Stool",  "Pillow",
    "Plate", "Bowl",  "Hook",   "Drawer",  "Blanket", "Frame",  "Ladder", "Sofa"};
static const char *const kind[12] = {"Compact", "Classic", "Folding", "Garden",
                                     "Large",   "Low",     "Modern",  "Plain",
                                     "Round",   "Striped", "Tall",    "Vintage"};
static const char *const matter[10] = {"Ash",   "Bamboo", "Brass",   "Cotton", "Glass",
                                       "Linen", "Oak",    "Ceramic", "Steel",  "Wicker"};

const char dataSchema[] =
    "CREATE TABLE items(id INTEGER PRIMARY KEY, sku TEXT NOT NULL UNIQUE, name TEXT NOT NULL,"
    " category TEXT NOT NULL, price REAL NOT NULL, qty INTEGER NOT NULL, created INTEGER NOT NULL,"
    " updated INTEGER NOT NULL, discount REAL);"
    "CREATE TABLE stock(item INTEGER PRIMARY KEY, sku TEXT NOT NULL UNIQUE, place INTEGER NOT NULL,"
    " count INTEGER NOT NULL);"
    "CREATE INDEX items_category ON items(category); CREATE INDEX items_updated ON items(updated);";

const char dataCopyIndexes[] = "CREATE UNIQUE INDEX %s.copy_sku ON copy(sku);"
                               "CREATE INDEX %s.copy_category ON copy(category);"
                               "CREATE INDEX %s.copy_updated ON copy(updated);";

static uint64_t numberOf(sqlite3_int64 id, uint64_t salt) {
  uint64_t s = (uint64_t)id * UINT64_C(0x2545f4914f6cdd1d) + salt;
  return benchRandom(&s);
}

/* Category k is 1/(k+1) as common as the first: of 32-bit numbers, those below limit[k] are up to it. */
static int categoryOf(sqlite3_int64 id) {
  static uint32_t limit[CATEGORIES];
  if (!limit[0]) {
    double sum = 0, part = 0;
    for (int k = 0; k < CATEGORIES; k++) sum += 1.0 / (k + 1);
    for (int k = 0; k < CATEGORIES; k++) {
      part += 1.0 / (k + 1);
      limit[k] = (uint32_t)(part / sum * UINT32_MAX);
    }
  }
  uint32_t x = (uint32_t)numberOf(id, 1);
  int k = 0;
  while (k < CATEGORIES - 1 && x >= limit[k]) k++;
  return k;
}

/* An odd factor permutes 32-bit numbers, so all differ and none are in order. */
void dataSku(sqlite3_int64 id, char sku[DATA_SKU + 1]) {
  static const char digit[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  uint32_t x = (uint32_t)id * 2654435761u;
  const char *word = noun[categoryOf(id)];
  for (int i = 0; i < 3; i++) sku[i] = (char)(word[i] & ~32);
  sku[3] = '-';
  for (int i = DATA_SKU - 1; i > 3; i--) {
    sku[i] = digit[x % 36];
    x /= 36;
  }
  sku[DATA_SKU] = 0;
}

sqlite3_int64 dataUpdatedFrom(void) { return FROM; }

void dataItem(sqlite3_int64 id, sqlite3_int64 rows, Item *out) {
  static const int cents[4] = {99, 49, 95, 0};
  uint64_t x = numberOf(id, 2);
  uint64_t euros = (x & 1023) * (x >> 10 & 31) / 8 + 1;
  int category = categoryOf(id);
  out->id = id;
  dataSku(id, out->sku);
  snprintf(out->name, sizeof(out->name), "%s %s %s", kind[(x >> 15 & 15) % 12],
           matter[(x >> 19 & 31) % 10], noun[category]);
  out->category = noun[category];
  out->price = (double)(euros * 100 + (uint64_t)cents[x >> 26 & 3]) / 100.0;
  out->qty = (int)((x >> 32) % 1000);
  out->created = FROM - 100000000 + id * 37 + (sqlite3_int64)((x >> 44) % 37);
  out->updated = FROM + (sqlite3_int64)((uint64_t)id * 2654435761u % (uint64_t)rows) * 7 +
                 (sqlite3_int64)((x >> 50) % 7);
  out->discount = numberOf(id, 3) % 5 ? 0.0 : (double)(1 + numberOf(id, 4) % 10) * 5 / 100.0;
}

static void insert(sqlite3_stmt *stmt) { sqlDone(stmt, sqlite3_step(stmt)); }

static void bindSku(sqlite3_stmt *stmt, int at, const char *sku) {
  sqlite3_bind_text(stmt, at, sku, DATA_SKU, SQLITE_TRANSIENT);
}

static void createItems(sqlite3 *db, sqlite3_int64 rows) {
  sqlite3_stmt *stmt = sqlPrepare(db, "INSERT INTO items VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9)");
  for (sqlite3_int64 id = 1; id <= rows; id++) {
    Item item;
    dataItem(id, rows, &item);
    sqlite3_bind_int64(stmt, 1, id);
    bindSku(stmt, 2, item.sku);
    sqlite3_bind_text(stmt, 3, item.name, -1, SQLITE_TRANSIENT);
    sqlite3_bind_text(stmt, 4, item.category, -1, SQLITE_STATIC);
    sqlite3_bind_double(stmt, 5, item.price);
    sqlite3_bind_int(stmt, 6, item.qty);
    sqlite3_bind_int64(stmt, 7, item.created);
    sqlite3_bind_int64(stmt, 8, item.updated);
    if (item.discount > 0) {
      sqlite3_bind_double(stmt, 9, item.discount);
    } else {
      sqlite3_bind_null(stmt, 9);
    }
    insert(stmt);
  }
  sqlite3_finalize(stmt);
}

static void createStock(sqlite3 *db, sqlite3_int64 rows) {
  sqlite3_stmt *stmt = sqlPrepare(db, "INSERT INTO stock VALUES(?1,?2,?3,?4)");
  for (sqlite3_int64 id = 1; id <= rows; id++) {
    char sku[DATA_SKU + 1];
    uint64_t x = numberOf(id, 5);
    if (x % 8 == 0) continue;
    dataSku(id, sku);
    sqlite3_bind_int64(stmt, 1, id);
    bindSku(stmt, 2, sku);
    sqlite3_bind_int(stmt, 3, (int)((x >> 8) % 100));
    sqlite3_bind_int(stmt, 4, (int)(x >> 40 & 63));
    insert(stmt);
  }
  sqlite3_finalize(stmt);
}

void dataCreate(sqlite3 *db, sqlite3_int64 rows) {
  sqlRun(db, "BEGIN; %s", dataSchema);
  createItems(db, rows);
  createStock(db, rows);
  sqlRun(db, "COMMIT");
}

void dataCreateOrders(sqlite3 *db, const char *schema, sqlite3_int64 rows) {
  sqlRun(db,
         "BEGIN; CREATE TABLE %s.orders(id INTEGER PRIMARY KEY, item INTEGER NOT NULL,"
         " sku TEXT NOT NULL, n INTEGER NOT NULL)",
         schema);
  sqlite3_stmt *stmt = sqlPrepare(db, "INSERT INTO orders VALUES(NULL,?1,?2,?3)");
  for (sqlite3_int64 i = 0; i < rows / 10 + 1; i++) {
    char sku[DATA_SKU + 1];
    uint64_t x = numberOf(i, 6);
    sqlite3_int64 item = 1 + (sqlite3_int64)((x >> 8) % (uint64_t)rows);
    dataSku(item, sku);
    sqlite3_bind_int64(stmt, 1, item);
    bindSku(stmt, 2, sku);
    sqlite3_bind_int(stmt, 3, 1 + (int)(x & 7));
    insert(stmt);
  }
  sqlite3_finalize(stmt);
  sqlRun(db, "COMMIT");
}
