/*
** sqlbench.c - the same tables in three places, asked the same questions in the same words.
**
**     sqlbench EXTENSION FOLDER ROWS ROUNDS [CASES [PLACES]]
**
** CASES is a glob pattern for the names of cases (default "*"); "publish*" are the publishes.  PLACES names
** those to time (default "snapshot,wal,immutable,memory").  The places are
**
**   snapshot   a channel in FOLDER, published from the file below, through CREATE VIRTUAL TABLE
**   wal        a database file in FOLDER in WAL mode, all of it mapped (mmap_size), its pages touched
**   immutable  a copy of that file without a WAL, opened with immutable=1: no locks, and all of it mapped.
**              For what nobody changes; publishing there would be another file, and other connections
**   memory     a :memory: database of this process
**
** and each has its own connection, with the table `orders` in a database in memory beside it.  data.h says
** what the tables hold, cases.h what is asked.
**
** Every run computes a checksum of the values it was given, and the places must agree, so that no engine
** leaves work out.  A first run of each case compares every byte of every value; in the timed ones each value
** is fetched, and of a text the length, the first and the last byte counted, so that it is the engine that is
** timed.  Statements are prepared once and run outside a transaction, as a service would, unless the case
** says otherwise.  Times are processor time, of this process: nothing here waits for anybody, and what else the
** machine does should not count.  With ROUNDS 0 everything is asked once, for a test.  A run repeats its query, with other parameters each time, until it lasts some
** milliseconds; each round draws other parameters, the same for all places.
**
** Publishing stands beside CREATE TABLE AS and CREATE INDEX from the same source, into memory and into a WAL
** file.  All three write to where an earlier copy stood; `publish.first` is the first publish into a channel
** that does not exist yet.
**
** The publisher's memory is measured in a process of its own (sqlbench publisher ...), which opens the
** file, publishes, and reports VmHWM from /proc/self/status: the most it ever had, the mapped image
** included.
*/
#define _GNU_SOURCE
#include "bench.h"
#include "cases.h"
#include "data.h"
#include "sqldb.h"

#include <errno.h>
#include <fnmatch.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define RUN_NS     UINT64_C(10000000)   /* a run lasts about so long, if a query is shorter */
#define CASE_NS    UINT64_C(2500000000) /* a case that would take longer gets fewer rounds, */
#define ROUNDS_MIN 3                    /* but not fewer than these */

enum { SNAPSHOT, WAL, IMMUTABLE, MEMORY, PLACES };
static const char *const placeName[PLACES] = {"snapshot", "wal", "immutable", "memory"};

static const char *extension;
static const char *folder;
static sqlite3_int64 rows;
static int rounds;
static const char *pattern = "*";
static const char *places = "snapshot,wal,immutable,memory";

static int wanted(const char *name) { return fnmatch(pattern, name, 0) == 0; }

static int timed(int place) { return strstr(places, placeName[place]) != NULL; }

/* How many rounds to make if one takes so long. */
static int roundsFor(uint64_t ns) {
  uint64_t n = CASE_NS / (ns + 1);
  if (rounds == 0) return 1;
  if (n >= (uint64_t)rounds) return rounds;
  return n < ROUNDS_MIN ? (rounds < ROUNDS_MIN ? rounds : ROUNDS_MIN) : (int)n;
}

/* ---- checksums ------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t h, uint64_t x) {
  h = (h ^ x) * UINT64_C(0x9e3779b97f4a7c15);
  return h ^ h >> 29;
}

/* Every byte of the current row; a sum that depends on the order of adding to the cent. */
static uint64_t rowWhole(sqlite3_stmt *stmt, int whole) {
  uint64_t h = 0;
  for (int c = 0; c < sqlite3_column_count(stmt); c++) {
    int type = sqlite3_column_type(stmt, c);
    h = mix(h, (uint64_t)type);
    if (type == SQLITE_INTEGER) {
      h = mix(h, (uint64_t)sqlite3_column_int64(stmt, c));
    } else if (type == SQLITE_FLOAT) {
      double r = sqlite3_column_double(stmt, c);
      uint64_t bits = (uint64_t)(int64_t)(r * 100 + 0.5);
      if (whole) memcpy(&bits, &r, sizeof(bits));
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

/* The same at little cost. */
static uint64_t rowQuick(sqlite3_stmt *stmt, const char *columns) {
  uint64_t h = 0;
  for (int c = 0; columns[c]; c++) {
    if (columns[c] == 'i') {
      h = mix(h, (uint64_t)sqlite3_column_int64(stmt, c));
    } else if (columns[c] == 'r') {
      h = mix(h, (uint64_t)(int64_t)(sqlite3_column_double(stmt, c) * 100 + 0.5));
    } else {
      const unsigned char *p = sqlite3_column_text(stmt, c);
      int n = sqlite3_column_bytes(stmt, c);
      h = mix(h, n > 0 ? (uint64_t)n << 16 | (uint64_t)p[0] << 8 | p[n - 1] : 0);
    }
  }
  return h;
}

/* ---- running a case ---------------------------------------------------------------------------- */

/* "?*9" becomes "?,?,?,?,?,?,?,?,?".  The caller frees it. */
static char *expand(const char *sql) {
  const char *at = strstr(sql, "?*");
  if (!at) return sqlite3_mprintf("%s", sql);
  char *end;
  long n = strtol(at + 2, &end, 10);
  char *list = malloc((size_t)n * 2);
  if (!list) benchFail("out of memory");
  for (long i = 0; i < n; i++) memcpy(list + i * 2, i < n - 1 ? "?," : "?", 2);
  char *whole = sqlite3_mprintf("%.*s%s%s", (int)(at - sql), sql, list, end);
  free(list);
  return whole;
}

/* One case at one place. */
typedef struct Asked {
  const Case *c;
  sqlite3 *db;
  sqlite3_stmt *stmt;
  char *sql;
} Asked;

static uint64_t askOnce(const Asked *a, sqlite3_stmt *stmt, int whole) {
  uint64_t sum = 0;
  int rc;
  while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
    uint64_t h = whole ? rowWhole(stmt, a->c->flags & ONCE) : rowQuick(stmt, a->c->columns);
    sum = a->c->flags & ORDERED ? mix(sum, h) : sum + h;
  }
  sqlDone(stmt, rc);
  return sum;
}

static Draw draw;

/* Asks n times; the checksum of the first `same` answers. */
static uint64_t ask(const Asked *a, uint64_t n, uint64_t same, int whole) {
  uint64_t sum = 0, first = 0;
  draw.next = 0;
  if (a->c->flags & TOGETHER) sqlRun(a->db, "BEGIN");
  for (uint64_t i = 0; i < n; i++) {
    sqlite3_stmt *stmt = a->c->flags & ANEW ? sqlPrepare(a->db, a->sql) : a->stmt;
    if (a->c->bind) a->c->bind(stmt, &draw);
    sum = mix(sum, askOnce(a, stmt, whole));
    if (a->c->flags & ANEW) sqlite3_finalize(stmt);
    if (i + 1 == same) first = sum;
  }
  if (a->c->flags & TOGETHER) sqlRun(a->db, "COMMIT");
  return first;
}

/* Asks each place as often as n[] says, the same to begin with, and fails if they differ; how long it took
** at each. */
static void askAll(const Asked asked[PLACES], int backwards, const uint64_t n[PLACES],
                   uint64_t seed, int whole, uint64_t ns[PLACES]) {
  uint64_t sum = 0, same = UINT64_MAX;
  int first = -1;
  if (asked[0].c->bind) drawKeys(&draw, rows, seed);
  for (int p = 0; p < PLACES; p++) {
    if (timed(p) && n[p] < same) same = n[p];
  }
  for (int k = 0; k < PLACES; k++) {
    int p = backwards ? PLACES - 1 - k : k;
    if (!timed(p)) continue;
    uint64_t t = benchSpent();
    uint64_t s = ask(&asked[p], n[p], same, whole);
    ns[p] = benchSpent() - t;
    if (first < 0) {
      first = p;
      sum = s;
    } else if (s != sum) {
      benchFail("%s: %s and %s differ: %.200s", asked[p].c->name, placeName[first], placeName[p],
                asked[p].sql);
    }
  }
}

/* How often to ask each place in a run, so that it takes about RUN_NS.  Warms up, too. */
static void timesFor(const Asked asked[PLACES], uint64_t n[PLACES]) {
  if (asked[0].c->bind) drawKeys(&draw, rows, 1);
  for (int p = 0; p < PLACES; p++) {
    n[p] = 1;
    while (rounds && timed(p)) {
      uint64_t t = benchSpent();
      ask(&asked[p], n[p], 1, 0);
      t = benchSpent() - t;
      if (t >= RUN_NS / 4) {
        n[p] = (n[p] * RUN_NS + t - 1) / t;
        break;
      }
      n[p] = t < RUN_NS / 64 ? n[p] * 8 : n[p] * RUN_NS / t;
    }
  }
}

static void benchCase(sqlite3 *db[PLACES], const Case *c) {
  static const uint64_t once[PLACES] = {1, 1, 1, 1}, few[PLACES] = {10, 10, 10, 10};
  Asked asked[PLACES];
  uint64_t ns[PLACES] = {0}, n[PLACES];
  for (int p = 0; p < PLACES; p++) {
    char *sql = expand(c->sql);
    if (!sql) benchFail("out of memory");
    asked[p] = (Asked){c, db[p], sqlPrepare(db[p], sql), sql};
  }
  askAll(asked, 0, c->bind ? few : once, 1, 1, ns);
  if (!(c->flags & ONCE)) {
    benchCaseName(c->name, c->title);
    timesFor(asked, n);
    int many = 1;
    for (int i = 0; i < many; i++) {
      askAll(asked, i & 1, n, (uint64_t)i + 1000, 0, ns);
      for (int p = 0; p < PLACES; p++) {
        uint64_t ops = c->unit == PER_ROW ? n[p] * (uint64_t)rows : n[p];
        if (timed(p)) benchTime(c->name, placeName[p], i, ns[p], ops);
      }
      if (i == 0) many = roundsFor(ns[0] + ns[1] + ns[2] + ns[3]);
    }
  }
  for (int p = 0; p < PLACES; p++) {
    sqlite3_finalize(asked[p].stmt);
    sqlite3_free(asked[p].sql);
  }
}

/* ---- publishing ------------------------------------------------------------------------------ */

/* What is published, and how SQLite copies it. */
typedef struct Publish {
  const char *name;
  const char *title;
  const char *table;
  const char *indexes; /* a format with the schema three times */
} Publish;

static const Publish publishes[] = {
    {"publish.items", "publish, 9 columns, 4 keys, a row", "items", dataCopyIndexes},
    {"publish.stock", "publish, 4 columns, 2 keys, a row", "stock",
     "CREATE UNIQUE INDEX %s.copy_sku ON copy(sku);"},
};

/* Copies a table into an attached schema as SQLite does it. */
static uint64_t timeCopy(sqlite3 *db, const Publish *what, const char *schema) {
  char *indexes = sqlite3_mprintf(what->indexes, schema, schema, schema);
  sqlRun(db, "DROP TABLE IF EXISTS %s.copy", schema);
  uint64_t t = benchSpent();
  sqlRun(db, "BEGIN; CREATE TABLE %s.copy AS SELECT * FROM %s; %s COMMIT", schema, what->table,
         indexes);
  t = benchSpent() - t;
  sqlite3_free(indexes);
  return t;
}

static uint64_t timePublish(sqlite3 *db, const Publish *what, int place) {
  char channel[4096], source[64];
  if (place != SNAPSHOT) return timeCopy(db, what, place == WAL ? "wal" : "ram");
  snprintf(channel, sizeof(channel), "%s/%s", folder, what->name);
  snprintf(source, sizeof(source), "'%s'", what->table);
  uint64_t t = benchSpent();
  sqlPublish(db, channel, source);
  return benchSpent() - t;
}

static void benchPublish(sqlite3 *db, const Publish *what) {
  char channel[4096];
  snprintf(channel, sizeof(channel), "%s/%s", folder, what->name);
  sqlRun(db,
         "ATTACH ':memory:' AS ram; ATTACH '%q/copy.db' AS wal; PRAGMA wal.journal_mode=WAL;"
         "PRAGMA wal.synchronous=NORMAL",
         folder);
  benchCaseName(what->name, what->title);
  uint64_t ops = (uint64_t)sqlInt(db, what->table[0] == 'i' ? "SELECT count(*) FROM items"
                                                            : "SELECT count(*) FROM stock");
  for (int p = 0; p < PLACES; p++) {
    if (p != IMMUTABLE) timePublish(db, what, p);
  }
  timePublish(db, what, SNAPSHOT); /* the second data file */
  int many = 1;
  for (int i = 0; i < many; i++) {
    uint64_t sum = 0;
    for (int k = 0; k < PLACES; k++) {
      int p = i & 1 ? PLACES - 1 - k : k;
      if (p == IMMUTABLE) continue;
      uint64_t t = timePublish(db, what, p);
      benchTime(what->name, placeName[p], i, t, ops);
      sum += t;
    }
    if (i == 0) many = roundsFor(sum);
  }
  channelRemove(channel);
  sqlRun(db, "DROP TABLE ram.copy; DETACH ram; DROP TABLE wal.copy; DETACH wal");
}

/* The first publish of a channel, each time into new files. */
static void benchFirst(const char *file) {
  char fresh[4096];
  snprintf(fresh, sizeof(fresh), "%s/fresh", folder);
  benchCaseName("publish.first", "  the first of a channel");
  for (int i = 0; i < roundsFor(CASE_NS); i++) {
    sqlite3 *db = sqlOpen(file, extension);
    sqlRun(db, "PRAGMA mmap_size=%lld", (long long)1 << 40);
    uint64_t t = benchSpent();
    sqlPublish(db, fresh, "'items'");
    benchTime("publish.first", placeName[SNAPSHOT], i, benchSpent() - t, (uint64_t)rows);
    sqlite3_close(db);
    channelRemove(fresh);
  }
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
  sqlite3 *db = sqlOpen(file, extension);
  if (sqlInt(db, "SELECT count(*) FROM sqlite_schema") < 1) benchFail("\"%s\": empty", file);
  benchFact("publisher_image", (uint64_t)sqlPublish(db, channel, "'items'"));
  benchFact("publisher_peak", statusOf("VmHWM"));
  sqlite3_close(db);
  return 0;
}

static void benchMemory(const char *file) {
  char channel[4096];
  snprintf(channel, sizeof(channel), "%s/peak", folder);
  fflush(stdout);
  pid_t pid = fork();
  if (pid < 0) benchFail("fork: %s", strerror(errno));
  if (pid == 0) {
    execl("/proc/self/exe", "sqlbench", "publisher", extension, file, channel, (char *)NULL);
    fprintf(stderr, "/proc/self/exe: %s\n", strerror(errno));
    _exit(1);
  }
  int status = 0;
  if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    benchFail("the publisher process failed");
  }
  channelRemove(channel);
}

/* ---- the places -------------------------------------------------------------------------------- */

static void makeFile(const char *file) {
  sqlite3 *db = sqlOpen(file, extension);
  sqlRun(db, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-200000");
  dataCreate(db, rows);
  sqlRun(db, "VACUUM; PRAGMA journal_mode=WAL");
  benchFact("file_bytes", (uint64_t)sqlInt(db, "SELECT page_count * page_size FROM "
                                               "pragma_page_count, pragma_page_size"));
  sqlite3_close(db);
}

/* Of the copy, which is made only if it is asked. */
static sqlite3 *openImmutable(const char *file) {
  char name[4096];
  if (!timed(IMMUTABLE)) return sqlOpen(file, extension);
  sqlite3 *from = sqlOpen(file, extension);
  sqlRun(from, "VACUUM INTO '%q/still.db'", folder);
  sqlite3_close(from);
  snprintf(name, sizeof(name), "file:%s/still.db?immutable=1", folder);
  sqlite3 *db = sqlOpen(name, extension);
  sqlRun(db, "PRAGMA mmap_size=%lld", (long long)1 << 40);
  return db;
}

static void openPlaces(sqlite3 *db[PLACES], const char *file, const char *channel) {
  db[SNAPSHOT] = sqlOpen(":memory:", extension);
  sqlRun(db[SNAPSHOT],
         "CREATE VIRTUAL TABLE temp.items USING mmapsync('%q', 'items');"
         "CREATE VIRTUAL TABLE temp.stock USING mmapsync('%q', 'stock')",
         channel, channel);
  db[WAL] = sqlOpen(file, extension);
  sqlRun(db[WAL], "PRAGMA mmap_size=%lld", (long long)1 << 40);
  db[IMMUTABLE] = openImmutable(file);
  db[MEMORY] = sqlOpen(":memory:", extension);
  sqlRun(db[MEMORY],
         "%s ATTACH '%q' AS source; INSERT INTO main.items SELECT * FROM source.items;"
         "INSERT INTO main.stock SELECT * FROM source.stock; DETACH source",
         dataSchema, file);
  for (int p = 0; p < PLACES; p++) {
    sqlRun(db[p], "ATTACH ':memory:' AS native");
    dataCreateOrders(db[p], "native", rows);
  }
}

/* Whether the pattern names anything that is measured.  Cases that are asked once only compare answers. */
static int wantedAny(void) {
  int any = wanted("publish.memory") || wanted("publish.first");
  for (size_t i = 0; i < sizeof(publishes) / sizeof(publishes[0]); i++) {
    any |= wanted(publishes[i].name);
  }
  for (int i = 0; i < nCase; i++) any |= !(cases[i].flags & ONCE) && wanted(cases[i].name);
  return any;
}

int main(int argc, char **argv) {
  if (argc == 5 && strcmp(argv[1], "publisher") == 0) {
    extension = argv[2];
    return publisherMain(argv[3], argv[4]);
  }
  if (argc > 3) rows = atoll(argv[3]);
  if (argc > 4) rounds = atoi(argv[4]);
  if (argc > 5) pattern = argv[5];
  if (argc > 6) places = argv[6];
  if (argc < 5 || rows < 1 || rows > UINT32_MAX / 2 || rounds < 0) {
    benchFail("usage: sqlbench EXTENSION FOLDER ROWS ROUNDS [CASES [PLACES]]");
  }
  extension = argv[1];
  folder = argv[2];
  if (!wantedAny()) {
    benchFail("no case that is measured is named like \"%s\": names are in test/bench/cases.c",
              pattern);
  }

  char file[4000], channel[4000];
  sqlite3 *db[PLACES];
  snprintf(file, sizeof(file), "%s/shop.db", folder);
  snprintf(channel, sizeof(channel), "%s/shop", folder);
  makeFile(file);
  if (wanted("publish.memory")) benchMemory(file); /* in a process that has done nothing else */

  db[WAL] = sqlOpen(file, extension);
  sqlRun(db[WAL], "PRAGMA mmap_size=%lld", (long long)1 << 40);
  benchFact("image_bytes", (uint64_t)sqlPublish(db[WAL], channel, "'items', 'stock'"));
  for (size_t i = 0; i < sizeof(publishes) / sizeof(publishes[0]); i++) {
    if (wanted(publishes[i].name)) benchPublish(db[WAL], &publishes[i]);
  }
  sqlite3_close(db[WAL]);
  if (wanted("publish.first")) benchFirst(file);

  openPlaces(db, file, channel);
  for (int i = 0; i < nCase; i++) {
    if (wanted(cases[i].name) || cases[i].flags & ONCE) benchCase(db, &cases[i]);
  }
  for (int p = 0; p < PLACES; p++) sqlite3_close(db[p]);
  return 0;
}
