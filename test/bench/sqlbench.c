/*
** sqlbench.c - one table in three places, asked the same questions in the same words.
**
**     sqlbench EXTENSION FOLDER [ROWS [ROUNDS]]
**
** The table has five columns:
**
**     items(id INTEGER PRIMARY KEY, sku TEXT NOT NULL UNIQUE, price REAL, qty INTEGER, name TEXT)
**
** id counts up from 1, sku is random order, name is one of a thousand.  The places are
**
**   snapshot   a channel in FOLDER, published from the file below, through CREATE VIRTUAL TABLE
**   wal        a database file in FOLDER in WAL mode, all of it mapped (mmap_size)
**   memory     a :memory: database of this process
**
** and each has its own connection.  A first pass compares every value of every row across the three;
** every timed run computes a checksum of what it saw, and the three must agree, so that no engine
** leaves work out.  Lookups are prepared once and run outside a transaction, each a statement of its
** own, as a service would.
**
** Publishing stands beside CREATE TABLE AS and CREATE UNIQUE INDEX from the same source, into memory
** and into a WAL file.  All three write to where an earlier copy stood; `publish1` is the first publish
** into a channel that does not exist yet.
**
** The publisher's memory is measured in a process of its own (sqlbench publisher ...), which opens the
** file, publishes, and reports VmHWM from /proc/self/status: the most it ever had, the mapped image
** included.
*/
#define _GNU_SOURCE
#include "bench.h"

#include <errno.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOKUPS 100000 /* a run of lookups */
#define NAMES   1000   /* distinct names */

#define ITEMS                                                                                      \
  "items(id INTEGER PRIMARY KEY, sku TEXT NOT NULL UNIQUE, price REAL, qty INTEGER, name TEXT)"

enum { SNAPSHOT, WAL, MEMORY, ENGINES };
static const char *const engineName[ENGINES] = {"snapshot", "wal", "memory"};

static const char *extension; /* path of mmapsync.so */
static const char *folder;    /* where everything is made */
static sqlite3_int64 rows = 1000000;
static int rounds = 5;

/* ---- SQLite, with every failure the end of the program ----------------------------------------- */

static void sqlFail(sqlite3 *db, const char *sql) { benchFail("%s: %s", sql, sqlite3_errmsg(db)); }

/* Runs statements, formatted as sqlite3_mprintf() does it. */
static void run(sqlite3 *db, const char *format, ...) {
  va_list ap;
  va_start(ap, format);
  char *sql = sqlite3_vmprintf(format, ap);
  va_end(ap);
  if (!sql) benchFail("out of memory");
  if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) sqlFail(db, sql);
  sqlite3_free(sql);
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql) {
  sqlite3_stmt *stmt = NULL;
  if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL) != SQLITE_OK) {
    sqlFail(db, sql);
  }
  return stmt;
}

/* The first column of the first row. */
static sqlite3_int64 askInt(sqlite3 *db, const char *sql) {
  sqlite3_stmt *stmt = prepare(db, sql);
  if (sqlite3_step(stmt) != SQLITE_ROW) sqlFail(db, sql);
  sqlite3_int64 value = sqlite3_column_int64(stmt, 0);
  sqlite3_finalize(stmt);
  return value;
}

static sqlite3 *openDb(const char *file) {
  sqlite3 *db = NULL;
  char *message = NULL;
  if (sqlite3_open(file, &db) != SQLITE_OK) sqlFail(db, file);
  sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 1, NULL);
  if (sqlite3_load_extension(db, extension, NULL, &message) != SQLITE_OK) {
    benchFail("\"%s\": %s", extension, message ? message : "cannot be loaded");
  }
  return db;
}

/* Publishes items of db on the channel, and says how many bytes the payload has. */
static sqlite3_int64 publish(sqlite3 *db, const char *channel) {
  char *sql =
      sqlite3_mprintf("SELECT json_extract(mmapsync_publish(%Q, 'items'), '$.bytes')", channel);
  if (!sql) benchFail("out of memory");
  sqlite3_int64 bytes = askInt(db, sql);
  sqlite3_free(sql);
  return bytes;
}

/* ---- the data -------------------------------------------------------------------------------- */

/* The sku of row id: an odd factor permutes 32-bit numbers, so all differ and none are in order. */
static void skuOf(sqlite3_int64 id, char sku[16]) {
  uint32_t x = (uint32_t)id * 2654435761u;
  snprintf(sku, 16, "SKU-%08X", (unsigned)x);
}

static void makeFile(const char *file) {
  uint64_t seed = 1;
  sqlite3 *db = openDb(file);
  run(db, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-200000;"
          "CREATE TABLE " ITEMS "; BEGIN");
  sqlite3_stmt *stmt = prepare(db, "INSERT INTO items VALUES(?1, ?2, ?3, ?4, ?5)");
  for (sqlite3_int64 id = 1; id <= rows; id++) {
    char sku[16], name[40];
    skuOf(id, sku);
    uint64_t x = benchRandom(&seed);
    snprintf(name, sizeof(name), "product number %u", (unsigned)(x % NAMES));
    sqlite3_bind_int64(stmt, 1, id);
    sqlite3_bind_text(stmt, 2, sku, -1, SQLITE_STATIC);
    sqlite3_bind_double(stmt, 3, (double)(x >> 40) / 100.0);
    sqlite3_bind_int64(stmt, 4, (sqlite3_int64)(x >> 20 & 1023));
    sqlite3_bind_text(stmt, 5, name, -1, SQLITE_STATIC);
    if (sqlite3_step(stmt) != SQLITE_DONE) sqlFail(db, "INSERT");
    sqlite3_reset(stmt);
  }
  sqlite3_finalize(stmt);
  run(db, "COMMIT; VACUUM; PRAGMA journal_mode=WAL");
  benchFact("file_bytes", (uint64_t)(askInt(db, "SELECT page_count*page_size FROM "
                                                "pragma_page_count, pragma_page_size")));
  sqlite3_close(db);
}

/* ---- checksums ------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t h, uint64_t x) { return (h ^ x) * UINT64_C(0x100000001b3); }

/* All of the current row: storage classes, numbers bit for bit, every byte of text. */
static uint64_t mixRowFully(uint64_t h, sqlite3_stmt *stmt) {
  for (int c = 0; c < sqlite3_column_count(stmt); c++) {
    int type = sqlite3_column_type(stmt, c);
    h = mix(h, (uint64_t)type);
    if (type == SQLITE_INTEGER) {
      h = mix(h, (uint64_t)sqlite3_column_int64(stmt, c));
    } else if (type == SQLITE_FLOAT) {
      double r = sqlite3_column_double(stmt, c);
      uint64_t bits;
      memcpy(&bits, &r, sizeof(bits));
      h = mix(h, bits);
    } else if (type != SQLITE_NULL) {
      const unsigned char *p = sqlite3_column_blob(stmt, c);
      int n = sqlite3_column_bytes(stmt, c);
      h = mix(h, (uint64_t)n);
      for (int i = 0; i < n; i++) h = mix(h, p[i]);
    }
  }
  return h;
}

/* The same at little cost, so that what is timed is the engine: of text the length, first and last. */
static uint64_t mixNumber(uint64_t h, double r) {
  uint64_t bits;
  memcpy(&bits, &r, sizeof(bits));
  return mix(h, bits);
}

static uint64_t mixText(uint64_t h, sqlite3_stmt *stmt, int c) {
  const unsigned char *p = sqlite3_column_text(stmt, c);
  int n = sqlite3_column_bytes(stmt, c);
  return n > 0 ? mix(h, (uint64_t)n << 16 | (uint64_t)p[0] << 8 | p[n - 1]) : mix(h, 0);
}

/* ---- the questions --------------------------------------------------------------------------- */

typedef uint64_t (*Question)(sqlite3_stmt *stmt, uint64_t *ops);

static void finish(sqlite3_stmt *stmt, int rc) {
  if (rc != SQLITE_DONE) sqlFail(sqlite3_db_handle(stmt), sqlite3_sql(stmt));
  sqlite3_reset(stmt);
}

static uint64_t askEverything(sqlite3_stmt *stmt, uint64_t *ops) {
  uint64_t h = 0;
  int rc;
  for (*ops = 0; (rc = sqlite3_step(stmt)) == SQLITE_ROW; ++*ops) h = mixRowFully(h, stmt);
  finish(stmt, rc);
  return h;
}

static uint64_t askRows(sqlite3_stmt *stmt, uint64_t *ops) {
  uint64_t h = 0;
  int rc;
  for (*ops = 0; (rc = sqlite3_step(stmt)) == SQLITE_ROW; ++*ops) {
    h = mix(h, (uint64_t)sqlite3_column_int64(stmt, 0));
    h = mixText(h, stmt, 1);
    h = mixNumber(h, sqlite3_column_double(stmt, 2));
    h = mix(h, (uint64_t)sqlite3_column_int64(stmt, 3));
    h = mixText(h, stmt, 4);
  }
  finish(stmt, rc);
  return h;
}

static uint64_t askSum(sqlite3_stmt *stmt, uint64_t *ops) {
  uint64_t h = 0;
  int rc;
  while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) h = mixNumber(h, sqlite3_column_double(stmt, 0));
  finish(stmt, rc);
  *ops = (uint64_t)rows;
  return h;
}

/* One lookup: exactly one row of price and name. */
static uint64_t askOne(uint64_t h, sqlite3_stmt *stmt) {
  int rc = sqlite3_step(stmt);
  if (rc != SQLITE_ROW) benchFail("%s: a row was not found", sqlite3_sql(stmt));
  h = mixNumber(h, sqlite3_column_double(stmt, 0));
  h = mixText(h, stmt, 1);
  rc = sqlite3_step(stmt);
  finish(stmt, rc);
  return h;
}

static uint64_t askById(sqlite3_stmt *stmt, uint64_t *ops) {
  uint64_t h = 0, seed = 2;
  for (*ops = 0; *ops < LOOKUPS; ++*ops) {
    sqlite3_bind_int64(stmt, 1, 1 + (sqlite3_int64)(benchRandom(&seed) % (uint64_t)rows));
    h = askOne(h, stmt);
  }
  return h;
}

static uint64_t askBySku(sqlite3_stmt *stmt, uint64_t *ops) {
  uint64_t h = 0, seed = 3;
  for (*ops = 0; *ops < LOOKUPS; ++*ops) {
    char sku[16];
    skuOf(1 + (sqlite3_int64)(benchRandom(&seed) % (uint64_t)rows), sku);
    sqlite3_bind_text(stmt, 1, sku, 12, SQLITE_STATIC);
    h = askOne(h, stmt);
  }
  return h;
}

static const struct {
  const char *work;
  const char *sql;
  Question ask;
  int timed;
} questions[] = {
    {"all", "SELECT * FROM items ORDER BY id", askEverything, 0},
    {"byid", "SELECT price, name FROM items WHERE id = ?1", askById, 1},
    {"bysku", "SELECT price, name FROM items WHERE sku = ?1", askBySku, 1},
    {"sum", "SELECT sum(price) FROM items", askSum, 1},
    {"scan", "SELECT * FROM items", askRows, 1},
};

static void benchQuestions(sqlite3 *db[ENGINES]) {
  for (size_t q = 0; q < sizeof(questions) / sizeof(questions[0]); q++) {
    sqlite3_stmt *stmt[ENGINES];
    uint64_t expect = 0, ops = 0;
    for (int e = 0; e < ENGINES; e++) {
      stmt[e] = prepare(db[e], questions[q].sql);
      uint64_t h = questions[q].ask(stmt[e], &ops); /* also warms up */
      if (e == 0) expect = h;
      if (h != expect) {
        benchFail("%s: %s and %s differ", questions[q].sql, engineName[0], engineName[e]);
      }
    }
    for (int i = 0; questions[q].timed && i < rounds; i++) {
      for (int k = 0; k < ENGINES; k++) {
        int e = i % 2 ? ENGINES - 1 - k : k;
        uint64_t t = benchNow();
        uint64_t h = questions[q].ask(stmt[e], &ops);
        t = benchNow() - t;
        if (h != expect) benchFail("%s: %s gave something else", questions[q].sql, engineName[e]);
        benchTime(questions[q].work, engineName[e], i, t, ops);
      }
    }
    for (int e = 0; e < ENGINES; e++) sqlite3_finalize(stmt[e]);
  }
}

/* ---- publishing ------------------------------------------------------------------------------ */

/* Copies items into the attached schema as SQLite does it, and counts what arrived. */
static uint64_t timeCopy(sqlite3 *db, const char *schema) {
  run(db, "DROP TABLE IF EXISTS %s.copy", schema);
  uint64_t t = benchNow();
  run(db,
      "BEGIN; CREATE TABLE %s.copy AS SELECT * FROM items;"
      "CREATE UNIQUE INDEX %s.copy_sku ON copy(sku); COMMIT",
      schema, schema);
  return benchNow() - t;
}

static void benchPublish(sqlite3 *db, const char *channel) {
  uint64_t ops = (uint64_t)rows;
  run(db,
      "ATTACH ':memory:' AS ram; ATTACH '%q/copy.db' AS wal; PRAGMA wal.journal_mode=WAL;"
      "PRAGMA wal.synchronous=NORMAL",
      folder);
  timeCopy(db, "ram");
  timeCopy(db, "wal");
  for (int i = 0; i < rounds; i++) {
    for (int k = 0; k < ENGINES; k++) {
      int e = i % 2 ? ENGINES - 1 - k : k;
      uint64_t t = benchNow();
      if (e == SNAPSHOT) {
        publish(db, channel);
        t = benchNow() - t;
      } else {
        t = timeCopy(db, e == WAL ? "wal" : "ram");
      }
      benchTime("publish", engineName[e], i, t, ops);
    }
  }
  run(db, "DETACH ram; DETACH wal");
}

/* ---- the publisher's memory ------------------------------------------------------------------- */

/* A line of /proc/self/status, in bytes; 0 where there is none. */
static uint64_t statusOf(const char *name) {
  char line[256];
  unsigned long long kb = 0;
  FILE *f = fopen("/proc/self/status", "r");
  while (f && fgets(line, sizeof(line), f)) {
    if (strncmp(line, name, strlen(name)) == 0) kb = strtoull(line + strlen(name) + 1, NULL, 10);
  }
  if (f) fclose(f);
  return kb * 1024;
}

static int publisherMain(const char *file, const char *channel) {
  sqlite3 *db = openDb(file);
  if (askInt(db, "SELECT count(*) FROM sqlite_schema") < 1) benchFail("\"%s\": empty", file);
  benchFact("publisher_before", statusOf("VmHWM"));
  benchFact("publisher_image", (uint64_t)publish(db, channel));
  benchFact("publisher_peak", statusOf("VmHWM"));
  sqlite3_close(db);
  return 0;
}

static void benchMemory(const char *self, const char *file) {
  char channel[4096];
  snprintf(channel, sizeof(channel), "%s/peak", folder);
  fflush(stdout);
  pid_t pid = fork();
  if (pid < 0) benchFail("fork: %s", strerror(errno));
  if (pid == 0) {
    execl(self, self, "publisher", extension, file, channel, (char *)NULL);
    fprintf(stderr, "\"%s\": %s\n", self, strerror(errno));
    _exit(1);
  }
  int status = 0;
  if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    benchFail("the publisher process failed");
  }
}

/* Where a channel's files are no longer wanted. */
static void removeChannel(const char *channel) {
  static const char *const suffix[] = {"_state",   "_data_0",     "_data_1",    "_writer",
                                       "_readers", "_data_0_new", "_data_1_new"};
  for (size_t i = 0; i < sizeof(suffix) / sizeof(suffix[0]); i++) {
    char path[4200];
    snprintf(path, sizeof(path), "%s%s", channel, suffix[i]);
    unlink(path);
  }
}

int main(int argc, char **argv) {
  if (argc == 5 && strcmp(argv[1], "publisher") == 0) {
    extension = argv[2];
    return publisherMain(argv[3], argv[4]);
  }
  if (argc > 3) rows = atoll(argv[3]);
  if (argc > 4) rounds = atoi(argv[4]);
  if (argc < 3 || rows < 1 || rounds < 1) {
    benchFail("usage: sqlbench EXTENSION FOLDER [ROWS [ROUNDS]]");
  }
  extension = argv[1];
  folder = argv[2];

  char file[4000], channel[4000];
  snprintf(file, sizeof(file), "%s/items.db", folder);
  snprintf(channel, sizeof(channel), "%s/items", folder);
  makeFile(file);

  /* The publisher's memory first, in a process that has done nothing else. */
  benchMemory("/proc/self/exe", file);

  /* The first publish of a channel, each time into new files. */
  sqlite3 *db[ENGINES];
  db[WAL] = openDb(file);
  run(db[WAL], "PRAGMA mmap_size=%lld", (long long)1 << 40);
  for (int i = 0; i < rounds; i++) {
    char fresh[4096];
    snprintf(fresh, sizeof(fresh), "%s/fresh%d", folder, i);
    sqlite3 *once = openDb(file);
    run(once, "PRAGMA mmap_size=%lld", (long long)1 << 40);
    uint64_t t = benchNow();
    publish(once, fresh);
    benchTime("publish1", engineName[SNAPSHOT], i, benchNow() - t, (uint64_t)rows);
    sqlite3_close(once);
    removeChannel(fresh);
  }
  publish(db[WAL], channel);
  benchFact("image_bytes", (uint64_t)publish(db[WAL], channel));
  benchPublish(db[WAL], channel);

  db[SNAPSHOT] = openDb(":memory:");
  run(db[SNAPSHOT], "CREATE VIRTUAL TABLE temp.items USING mmapsync('%q', 'items')", channel);
  db[MEMORY] = openDb(":memory:");
  run(db[MEMORY],
      "CREATE TABLE " ITEMS "; ATTACH '%q' AS source;"
      "INSERT INTO main.items SELECT * FROM source.items; DETACH source",
      file);
  benchQuestions(db);
  for (int e = 0; e < ENGINES; e++) sqlite3_close(db[e]);
  return 0;
}
