/*
** firebench.c - how long a lookup takes while somebody rewrites the whole table without pause.
**
**     firebench EXTENSION FOLDER ROWS ROUNDS MILLISECONDS
**
** One process, this one, looks up rows by their integer key through a prepared statement, each lookup a
** statement of its own, one after the other with nothing between.  Another process writes.  There are four
** loads, in turns within a round, each for so many milliseconds:
**
**   snapshot quiet   a snapshot; nobody writes
**   snapshot fire    the writer publishes all rows of items anew, with all keys, and again, and again
**   wal quiet        a file in WAL mode, all of it mapped; nobody writes
**   wal fire         the writer gives all rows another price in one transaction, and again, and again
**
** With two processors the reader has one and the writer the other.  A time is from before the first
** parameter is bound to after the statement is reset, as the caller sees it: it holds the scheduler's
** doings and the machine's other work too, in the quiet loads as in the others, which is what the quiet ones
** are there to tell.  A lookup that is late delays the next, which then is not counted as waiting.
**
** p99.9* and max* leave out those lookups during which the scheduler gave the processor to somebody else
** (ru_nivcsw, looked at after each that took more than SLOW_NS).  To wait for a lock or to sleep is not that.
**
** Each generation of the writer raises all prices by 1, so the reader can see of each row which generation
** it is of; a generation that is not whole, or that goes back, ends the program.
**
** Prints, beside what bench.h describes,
**
**     hist  <place>  <load>  <nanoseconds>  <lookups that took up to so long and longer than the line before>
*/
#define _GNU_SOURCE
#include "bench.h"
#include "data.h"
#include "sqldb.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLOW_NS 5000

enum { SNAPSHOT, WAL, PLACES };
static const char *const placeName[PLACES] = {"snapshot", "wal"};
static const char *const loadName[2] = {"quiet", "fire"};

static const char *extension;
static const char *folder;
static sqlite3_int64 rows;
static uint64_t millis;

/* What this process and the writers share. */
typedef struct Shared {
  _Atomic int go[PLACES];      /* write! */
  _Atomic int resting[PLACES]; /* it does not write now, and will not before it is told to */
  _Atomic uint64_t written[PLACES];
} Shared;

static Shared *shared;

static char *path(const char *name) {
  char *p = sqlite3_mprintf("%s/%s", folder, name);
  if (!p) benchFail("out of memory");
  return p;
}

/* ---- the writers ------------------------------------------------------------------------------- */

#define SOURCES "'items KEY(id) KEY(sku) INDEX(category) INDEX(updated)'"

static sqlite3 *openWriter(int place, char *where) {
  char *file = path("fire.db");
  sqlite3 *db;
  if (place == WAL) {
    db = sqlOpen(file, extension);
    sqlRun(db,
           "PRAGMA mmap_size=%lld; PRAGMA cache_size=-200000; PRAGMA synchronous=NORMAL;"
           "PRAGMA busy_timeout=10000",
           (long long)1 << 40);
  } else {
    db = sqlOpen(":memory:", extension);
    sqlRun(db,
           "%s ATTACH '%q' AS source; INSERT INTO main.items SELECT * FROM source.items;"
           "DETACH source; ALTER TABLE items RENAME TO base;"
           "CREATE TABLE generation(n); INSERT INTO generation VALUES(0);"
           "CREATE VIEW items AS SELECT id, sku, name, category, price + n AS price, qty, created,"
           " updated, discount FROM generation, base",
           dataSchema, file);
    sqlPublish(db, where, SOURCES);
    sqlPublish(db, where, SOURCES); /* the second data file */
  }
  sqlite3_free(file);
  return db;
}

static void writerMain(int place) {
  char *where = path("fire");
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  sqlite3 *db = openWriter(place, where);
  for (;;) {
    if (!atomic_load(&shared->go[place])) {
      atomic_store(&shared->resting[place], 1);
      usleep(500);
      continue;
    }
    atomic_store(&shared->resting[place], 0);
    if (place == WAL) {
      sqlRun(db, "UPDATE items SET price = price + 1");
    } else {
      sqlRun(db, "UPDATE generation SET n = n + 1");
      sqlPublish(db, where, SOURCES);
    }
    atomic_fetch_add(&shared->written[place], 1);
  }
}

static pid_t startWriter(int place) {
  fflush(stdout);
  pid_t pid = fork();
  if (pid < 0) benchFail("fork: %s", strerror(errno));
  if (pid == 0) writerMain(place);
  return pid;
}

/* Tells a writer to write, or to rest, and waits until it does. */
static void command(int place, pid_t pid, int go) {
  uint64_t from = atomic_load(&shared->written[place]);
  atomic_store(&shared->go[place], go);
  while (go ? atomic_load(&shared->written[place]) == from
            : !atomic_load(&shared->resting[place])) {
    if (waitpid(pid, NULL, WNOHANG) == pid) benchFail("the writer has ended");
    usleep(500);
  }
}

/* ---- times ------------------------------------------------------------------------------------- */

/* A histogram of times whose cells are a 64th of their value wide. */
#define CELLS (64 * 40)
typedef struct Hist {
  uint64_t n;
  uint64_t most;
  uint64_t cell[CELLS];
} Hist;

static Hist hist[PLACES][2];

static int cellOf(uint64_t ns) {
  if (ns < 64) return (int)ns;
  int bits = 63 - __builtin_clzll(ns) - 6;
  int cell = (bits + 1) * 64 + (int)(ns >> bits & 63);
  return cell < CELLS ? cell : CELLS - 1;
}

/* The longest time of a cell. */
static uint64_t cellEnd(int cell) {
  if (cell < 64) return (uint64_t)cell;
  int bits = cell / 64 - 1;
  return ((uint64_t)(cell % 64 + 64 + 1) << bits) - 1;
}

static void histAdd(Hist *h, uint64_t ns) {
  h->n++;
  h->cell[cellOf(ns)]++;
  if (ns > h->most) h->most = ns;
}

/* The time that all but one of `of` lookups keep to. */
static uint64_t histQuantile(const Hist *h, uint64_t of) {
  uint64_t late = 0;
  for (int i = CELLS - 1; i >= 0; i--) {
    late += h->cell[i];
    if (late * of >= h->n && late) return cellEnd(i) < h->most ? cellEnd(i) : h->most;
  }
  return 0;
}

/* ---- the reader --------------------------------------------------------------------------------- */

static double *price; /* of each row, in generation 0 */

/* How often this thread had to give the processor away. */
static long takenAway(void) {
  struct rusage use;
  getrusage(RUSAGE_THREAD, &use);
  return use.ru_nivcsw;
}

/* Every lookup goes to h, those that the scheduler did not disturb also to own. */
static void readFor(sqlite3_stmt *stmt, Hist *h, Hist *own, double *last, uint64_t *seed) {
  long taken = takenAway();
  uint64_t end = benchNow() + millis * 1000000;
  uint64_t now;
  do {
    sqlite3_int64 id = 1 + (sqlite3_int64)(benchRandom(seed) % (uint64_t)rows);
    uint64_t from = benchNow();
    sqlite3_bind_int64(stmt, 1, id);
    if (sqlite3_step(stmt) != SQLITE_ROW) sqlFail(sqlite3_db_handle(stmt), sqlite3_sql(stmt));
    double p = sqlite3_column_double(stmt, 0);
    sqlite3_int64 seen = sqlite3_column_int64(stmt, 1);
    int rc = sqlite3_step(stmt);
    sqlDone(stmt, rc);
    now = benchNow();
    histAdd(h, now - from);
    if (now - from > SLOW_NS) {
      long n = takenAway();
      if (n == taken) histAdd(own, now - from);
      taken = n;
    } else {
      histAdd(own, now - from);
    }
    double generation = (double)(sqlite3_int64)(p - price[id] + 0.5);
    double off = p - price[id] - generation;
    if (seen != id || off > 1e-3 || off < -1e-3) benchFail("row %lld: not what it was", id);
    if (generation < *last) benchFail("row %lld: an older generation", id);
    *last = generation;
  } while (now < end);
}

static void quantiles(const char *place, const char *load, int round, const Hist *h,
                      const Hist *own) {
  static const struct {
    const char *name;
    uint64_t of;
  } q[] = {{"p50", 2}, {"p99", 100}, {"p99.9", 1000}};
  char engine[32];
  snprintf(engine, sizeof(engine), "%s.%s", place, load);
  for (size_t i = 0; i < sizeof(q) / sizeof(q[0]); i++) {
    benchTime(q[i].name, engine, round, histQuantile(h, q[i].of), 1);
  }
  benchTime("max", engine, round, h->most, 1);
  benchTime("p99.9*", engine, round, histQuantile(own, 1000), 1);
  benchTime("max*", engine, round, own->most, 1);
}

static void printHist(const char *place, const char *load, const Hist *h) {
  for (int i = 0; i < CELLS; i++) {
    if (h->cell[i]) {
      printf("hist\t%s\t%s\t%llu\t%llu\n", place, load, (unsigned long long)cellEnd(i),
             (unsigned long long)h->cell[i]);
    }
  }
}

static void bench(sqlite3_stmt *stmt[PLACES], const pid_t pid[PLACES], int rounds) {
  double last[PLACES] = {0, 0};
  uint64_t seed = 1;
  static Hist one, own;
  for (int i = 0; i < rounds; i++) {
    for (int k = 0; k < PLACES * 2; k++) {
      int at = i & 1 ? PLACES * 2 - 1 - k : k;
      int p = at / 2, load = at % 2;
      uint64_t from = 0;
      char name[32];
      if (load) {
        command(p, pid[p], 1);
        from = atomic_load(&shared->written[p]);
      }
      memset(&one, 0, sizeof(one));
      memset(&own, 0, sizeof(own));
      readFor(stmt[p], &one, &own, &last[p], &seed);
      if (load) {
        snprintf(name, sizeof(name), "%s.written", placeName[p]);
        benchFact(name, atomic_load(&shared->written[p]) - from);
        command(p, pid[p], 0);
      }
      quantiles(placeName[p], loadName[load], i, &one, &own);
      Hist *sum = &hist[p][load];
      sum->n += one.n;
      if (one.most > sum->most) sum->most = one.most;
      for (int c = 0; c < CELLS; c++) sum->cell[c] += one.cell[c];
    }
  }
}

static void makeFile(void) {
  char *file = path("fire.db");
  sqlite3 *db = sqlOpen(file, extension);
  sqlRun(db, "PRAGMA journal_mode=OFF");
  dataCreate(db, rows);
  sqlRun(db, "DROP TABLE stock; VACUUM; PRAGMA journal_mode=WAL");
  sqlite3_close(db);
  sqlite3_free(file);
}

static sqlite3_stmt *openReader(int place) {
  char *file = path(place == WAL ? "fire.db" : "fire");
  sqlite3 *db = sqlOpen(place == WAL ? file : ":memory:", extension);
  if (place == WAL) {
    sqlRun(db, "PRAGMA mmap_size=%lld; PRAGMA busy_timeout=10000", (long long)1 << 40);
  } else {
    sqlRun(db, "CREATE VIRTUAL TABLE temp.items USING mmapsync('%q', 'items')", file);
  }
  sqlite3_free(file);
  return sqlPrepare(db, "SELECT price, id FROM items WHERE id = ?1");
}

int main(int argc, char **argv) {
  int rounds = argc > 4 ? atoi(argv[4]) : 0;
  if (argc > 3) rows = atoll(argv[3]);
  if (argc > 5) millis = strtoull(argv[5], NULL, 10);
  if (argc != 6 || rows < 1 || rounds < 1 || millis < 1) {
    benchFail("usage: firebench EXTENSION FOLDER ROWS ROUNDS MILLISECONDS");
  }
  extension = argv[1];
  folder = argv[2];
  shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  price = malloc(((size_t)rows + 1) * sizeof(*price));
  if (shared == MAP_FAILED || !price) benchFail("out of memory");
  for (sqlite3_int64 id = 1; id <= rows; id++) {
    Item item;
    dataItem(id, rows, &item);
    price[id] = item.price;
  }

  /* A process of its own makes the file: SQLite must not have been used before a fork. */
  pid_t pid[PLACES];
  sqlite3_stmt *stmt[PLACES];
  fflush(stdout);
  pid_t maker = fork();
  if (maker < 0) benchFail("fork: %s", strerror(errno));
  if (maker == 0) {
    makeFile();
    _exit(0);
  }
  int status = 0;
  if (waitpid(maker, &status, 0) != maker || status != 0) benchFail("the file was not made");
  for (int p = 0; p < PLACES; p++) pid[p] = startWriter(p);
  for (int p = 0; p < PLACES; p++) command(p, pid[p], 0);
  for (int p = 0; p < PLACES; p++) {
    double last = 0;
    uint64_t seed = 2;
    stmt[p] = openReader(p);
    readFor(stmt[p], &hist[p][0], &hist[p][1], &last, &seed); /* warms up */
    memset(hist[p], 0, sizeof(hist[p]));
  }
  bench(stmt, pid, rounds);
  for (int p = 0; p < PLACES; p++) {
    kill(pid[p], SIGKILL);
    waitpid(pid[p], NULL, 0);
    for (int load = 0; load < 2; load++) printHist(placeName[p], loadName[load], &hist[p][load]);
  }
  struct stat st;
  char *log = path("fire.db-wal");
  if (stat(log, &st) == 0) benchFact("wal.log_bytes", (uint64_t)st.st_size);
  sqlite3_free(log);
  for (int p = 0; p < PLACES; p++) {
    sqlite3 *db = sqlite3_db_handle(stmt[p]);
    sqlite3_finalize(stmt[p]);
    sqlite3_close(db);
  }
  free(price);
  return 0;
}
