/*
** lmdbitems.c - the items of data.h in LMDB.  See lmdbitems.h.
**
** An item is packed as a program that uses LMDB would: the numbers first, where they are found without a look at the
** rest, then the texts with their lengths before them.
*/
#define _GNU_SOURCE
#include "lmdbitems.h"
#include "bench.h"

#ifdef BENCH_LMDB
#include <errno.h>
#include <lmdb.h>
#include <string.h>
#include <sys/stat.h>

#define ROOM_LEAST ((size_t)64 << 20)
#define ROOM_ROW   2000 /* bytes of address space for a row, in all databases; no more than that */

/* The numbers of an item; the price stands first. */
typedef struct Numbers {
  double price, discount;
  int64_t id, created, updated;
  int32_t qty;
  uint8_t sku, name, category; /* bytes of the texts that follow */
} Numbers;

enum { IDS, SKUS, LOAD1, LOAD2, DATABASES };
static const struct {
  const char *name;
  unsigned flags;
} database[DATABASES] = {
    {"ids", MDB_INTEGERKEY}, {"skus", 0}, {"load1", MDB_INTEGERKEY}, {"load2", 0}};

static MDB_env *env;
static MDB_txn *reader;
static MDB_dbi dbi[DATABASES];

static void must(int rc, const char *what) {
  if (rc != 0) benchFail("%s: %s", what, mdb_strerror(rc));
}

const char *lmdbBuilt(void) { return mdb_version(NULL, NULL, NULL); }

void lmdbOpen(const char *folder, sqlite3_int64 rows) {
  MDB_txn *txn;
  if (mkdir(folder, 0700) != 0 && errno != EEXIST) benchFail("%s: %s", folder, strerror(errno));
  must(mdb_env_create(&env), "mdb_env_create");
  must(mdb_env_set_maxdbs(env, DATABASES), "mdb_env_set_maxdbs");
  must(mdb_env_set_mapsize(env, ROOM_LEAST + (size_t)rows * ROOM_ROW), "mdb_env_set_mapsize");
  must(mdb_env_open(env, folder, MDB_NOSYNC | MDB_WRITEMAP, 0600), folder);
  must(mdb_txn_begin(env, NULL, 0, &txn), "mdb_txn_begin");
  for (int i = 0; i < DATABASES; i++) {
    must(mdb_dbi_open(txn, database[i].name, MDB_CREATE | database[i].flags, &dbi[i]),
         database[i].name);
  }
  must(mdb_txn_commit(txn), "mdb_txn_commit");
}

void lmdbClose(void) {
  mdb_env_close(env);
  env = NULL;
}

static size_t put(char *to, const void *from, size_t n) {
  memcpy(to, from, n);
  return n;
}

/* Packs an item into `to`; how many bytes that takes. */
static size_t pack(const Item *item, char to[256]) {
  Numbers numbers = {.price = item->price,
                     .discount = item->discount,
                     .id = item->id,
                     .created = item->created,
                     .updated = item->updated,
                     .qty = item->qty,
                     .sku = DATA_SKU,
                     .name = (uint8_t)strlen(item->name),
                     .category = (uint8_t)strlen(item->category)};
  size_t n = put(to, &numbers, sizeof(numbers));
  n += put(to + n, item->sku, numbers.sku);
  n += put(to + n, item->name, numbers.name);
  return n + put(to + n, item->category, numbers.category);
}

static void fill(MDB_txn *txn, int byId, int bySku, const Item *items, sqlite3_int64 rows) {
  for (sqlite3_int64 i = 0; i < rows; i++) {
    char packed[256];
    size_t id = (size_t)items[i].id; /* what MDB_INTEGERKEY takes */
    MDB_val key = {sizeof(id), &id}, value = {pack(&items[i], packed), packed};
    MDB_val sku = {DATA_SKU, (void *)(uintptr_t)items[i].sku};
    MDB_val which = bySku == LOAD2 ? key : value;
    must(mdb_put(txn, dbi[byId], &key, &value, MDB_APPEND), "mdb_put");
    must(mdb_put(txn, dbi[bySku], &sku, &which, 0), "mdb_put");
  }
}

void lmdbFill(const Item *items, sqlite3_int64 rows) {
  MDB_txn *txn;
  must(mdb_txn_begin(env, NULL, 0, &txn), "mdb_txn_begin");
  fill(txn, IDS, SKUS, items, rows);
  must(mdb_txn_commit(txn), "mdb_txn_commit");
}

void lmdbLoad(const Item *items, sqlite3_int64 rows) {
  MDB_txn *txn;
  must(mdb_txn_begin(env, NULL, 0, &txn), "mdb_txn_begin");
  must(mdb_drop(txn, dbi[LOAD1], 0), "mdb_drop");
  must(mdb_drop(txn, dbi[LOAD2], 0), "mdb_drop");
  fill(txn, LOAD1, LOAD2, items, rows);
  must(mdb_txn_commit(txn), "mdb_txn_commit");
}

void lmdbBegin(void) { must(mdb_txn_begin(env, NULL, MDB_RDONLY, &reader), "mdb_txn_begin"); }

void lmdbAbort(void) { mdb_txn_abort(reader); }

void lmdbReset(void) { mdb_txn_reset(reader); }

void lmdbRenew(void) { must(mdb_txn_renew(reader), "mdb_txn_renew"); }

static double price(int at, MDB_val *key) {
  MDB_val value;
  double found;
  int rc = mdb_get(reader, dbi[at], key, &value);
  if (rc == MDB_NOTFOUND) return -1;
  must(rc, "mdb_get");
  memcpy(&found, value.mv_data, sizeof(found));
  return found;
}

double lmdbPriceOfId(sqlite3_int64 id) {
  size_t number = (size_t)id;
  return price(IDS, &(MDB_val){sizeof(number), &number});
}

double lmdbPriceOfSku(const char *sku) {
  return price(SKUS, &(MDB_val){DATA_SKU, (void *)(uintptr_t)sku});
}

#else

const char *lmdbBuilt(void) { return NULL; }
void lmdbOpen(const char *folder, sqlite3_int64 rows) { (void)folder, (void)rows; }
void lmdbClose(void) {}
void lmdbFill(const Item *items, sqlite3_int64 rows) { (void)items, (void)rows; }
void lmdbLoad(const Item *items, sqlite3_int64 rows) { (void)items, (void)rows; }
void lmdbBegin(void) {}
void lmdbAbort(void) {}
void lmdbReset(void) {}
void lmdbRenew(void) {}
double lmdbPriceOfId(sqlite3_int64 id) { return (double)id; }
double lmdbPriceOfSku(const char *sku) { return sku[0]; }

#endif
