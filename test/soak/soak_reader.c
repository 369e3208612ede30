/*
** soak_reader.c - a reader of the load soak: waits for a snapshot, asks, and compares every answer with what must
** be in it (soak.h).
**
**     soak_reader EXTENSION CHANNEL COUNTS NUMBER SEED
**
** Three of four readers ask in SQL, with connections that open and close and statements that outlive changes of the
** schema; the others through the C interface.  An answer must be of one snapshot, whole, and never older than the
** one before.  An error must be one of those in `refusals`, word for word, and true: half of the questions are asked
** under a pin, and then it is known which snapshot is asked.  The first wrong answer ends the reader with a
** sentence.  Ends by itself when told to (SIGTERM).
*/
#define _GNU_SOURCE
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "mmapsync.h"
#include "soak.h"

static volatile sig_atomic_t stop;
static void onTerm(int sig) {
  (void)sig;
  stop = 1;
}

static const char *extension, *channel;
static uint64_t *counts;
static int number;
static int64_t last; /* the newest snapshot seen */

static void wrong(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
static void wrong(const char *fmt, ...) {
  va_list args;
  fprintf(stderr, "reader %d: ", number);
  va_start(args, fmt);
  vfprintf(stderr, fmt, args);
  va_end(args);
  fprintf(stderr, "\n");
  counts[SOAK_WRONG]++;
  exit(1);
}

#define MUST(x, ...)                                                                               \
  do {                                                                                             \
    if (!(x)) wrong(#x ": " __VA_ARGS__);                                                          \
  } while (0)

static uint64_t seed;
static uint64_t chance(uint64_t n) {
  seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (seed >> 33) % n;
}

static void sleepMs(long ms) {
  struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
  nanosleep(&t, NULL);
}

/* A snapshot's number: what this reader sees never goes back. */
static void seen(int64_t n) {
  MUST(n >= last, "%" PRId64 " after %" PRId64, n, last);
  last = n;
  counts[SOAK_SEQUENCE] = (uint64_t)n;
}

static void checkRaw(int64_t n, const char *z, int64_t bytes) {
  char head[32];
  int64_t i, k = snprintf(head, sizeof(head), "raw %" PRId64 " ", n);
  MUST(bytes == k + soakPad(n) && memcmp(z, head, (size_t)k) == 0, "snapshot %" PRId64, n);
  for (i = k; i < bytes; i++) MUST(z[i] == 'z', "byte %" PRId64 " of %" PRId64, i, n);
}

/* Sum of all v, of all lengths of a name. */
static int64_t sumV(int64_t n) {
  int64_t id, sum = 0;
  for (id = 0; id < soakRows(n); id++) sum += soakV(n, id);
  return sum;
}
static int64_t sumName(int64_t n) {
  int64_t id, sum = 0;
  for (id = 0; id < soakRows(n); id++) sum += snprintf(NULL, 0, "r%" PRId64 "-%" PRId64, n, id);
  return sum;
}

/* ---- SQL --------------------------------------------------------------------------------------- */

enum { ASK_ALL, ASK_ROW, ASK_X, ASK_B, ASK_BOTH, ASK_VERIFY, ASK_READ, ASK_TABLES, ASK_COUNT };
static const char *const sqlText[ASK_COUNT] = {
    "SELECT m.n, count(*), min(a.seq), max(a.seq), sum(a.v), sum(length(a.name)) FROM meta m, a",
    "SELECT m.n, a.seq, a.v, a.name FROM meta m LEFT JOIN a ON a.id = ?1",
    "SELECT m.n, count(*), min(a.x), max(a.x) FROM meta m, a",
    "SELECT m.n, count(*), min(b.seq), max(b.seq), sum(b.w) FROM meta m, b",
    "SELECT m.n, (SELECT max(seq) FROM a), (SELECT max(seq) FROM b) FROM meta m",
    "SELECT mmapsync_verify(?1)",
    "SELECT mmapsync_read(?1)",
    "SELECT count(*), sum(rows) FROM mmapsync_tables(?1)"};

static sqlite3 *db;
static sqlite3_stmt *asks[ASK_COUNT];
static int attachedX, attachedB;

/* Runs a function of the channel, for its one value; NULL and the connection's message, or 0 and NULL. */
static const char *call(const char *sql, int64_t arg, int64_t *out) {
  static char message[1024];
  sqlite3_stmt *s;
  const char *z = NULL;
  int rc = sqlite3_prepare_v2(db, sql, -1, &s, NULL);
  if (rc == SQLITE_OK) {
    sqlite3_bind_text(s, 1, channel, -1, SQLITE_STATIC);
    if (sqlite3_bind_parameter_count(s) > 1) sqlite3_bind_int64(s, 2, arg);
    rc = sqlite3_step(s);
    if (rc == SQLITE_ROW) *out = sqlite3_column_int64(s, 0);
  }
  if (rc != SQLITE_ROW) {
    snprintf(message, sizeof(message), "%s", sqlite3_errmsg(db));
    z = message;
  }
  sqlite3_finalize(s);
  return z;
}

static int64_t mustCall(const char *sql, int64_t arg) {
  int64_t out = 0;
  const char *z = call(sql, arg, &out);
  MUST(!z, "%s: %s", sql, z);
  return out;
}

/* What may be refused; each with whether it is true of snapshot n, which is 0 if it is not known. */
static int trueRaw(int64_t n) { return !n || soakRaw(n); }
static int trueX(int64_t n) { return attachedX && (!n || !soakHasX(n)); }
static int trueB(int64_t n) { return attachedB && (!n || !soakHasB(n)); }
static int trueNoX(int64_t n) { return (void)n, !attachedX; }
static int trueNoB(int64_t n) { return (void)n, !attachedB; }
static const struct {
  const char *text; /* %s is the channel */
  int (*isTrue)(int64_t n);
} refusals[] = {{"\"%s\": holds raw bytes, not tables", trueRaw},
                {"\"%s\": table \"a\" has no column \"x\" any more", trueX},
                {"\"%s\": no table \"b\" any more", trueB},
                {"no such column: a.x", trueNoX},
                {"no such table: b", trueNoB}};

static void refused(const char *sql, const char *message, int64_t n) {
  char want[4096];
  size_t i;
  for (i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
    snprintf(want, sizeof(want), refusals[i].text, channel);
    if (strcmp(message, want) == 0 && refusals[i].isTrue(n)) {
      counts[SOAK_REFUSALS]++;
      return;
    }
  }
  wrong("%s: %s (snapshot %" PRId64 ", attached x %d b %d)", sql, message, n, attachedX, attachedB);
}

/* The tables of the snapshot of this moment; none if it has none. */
static int attach(void) {
  int64_t n, tables = 0;
  const char *z;
  n = mustCall("SELECT mmapsync_pin(?1)", 0); /* mmapsync_sequence() tells of the newest */
  z = call("SELECT mmapsync_attach(?1)", 0, &tables);
  if (z) refused("attach", z, n);
  if (!z) {
    MUST(!soakRaw(n) && tables == 2 + soakHasB(n), "%" PRId64 " tables of %" PRId64, tables, n);
    attachedX = soakHasX(n);
    attachedB |= soakHasB(n); /* one that has gone stays declared */
  }
  mustCall("SELECT mmapsync_unpin(?1)", 0);
  return !z;
}

static void dbClose(void) {
  int i;
  for (i = 0; i < ASK_COUNT; i++) {
    sqlite3_finalize(asks[i]);
    asks[i] = NULL;
  }
  MUST(sqlite3_close(db) == SQLITE_OK, "%s", sqlite3_errmsg(db));
  db = NULL;
}

static void dbOpen(void) {
  MUST(sqlite3_open(":memory:", &db) == SQLITE_OK, "open");
  sqlite3_enable_load_extension(db, 1);
  MUST(sqlite3_load_extension(db, extension, NULL, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(db));
  counts[SOAK_OPENS]++;
  attachedX = attachedB = 0;
  while (!attach() && !stop) sleepMs(5);
}

/* One row of answers; `n` is the pinned snapshot, or 0. */
static void check(int ask, sqlite3_stmt *s, int64_t n, int64_t id) {
  int64_t v[6] = {0};
  int i;
  for (i = 0; i < 6 && i < sqlite3_column_count(s); i++) v[i] = sqlite3_column_int64(s, i);
  if (ask == ASK_VERIFY) {
    const char *z = (const char *)sqlite3_column_text(s, 0);
    MUST(z && strcmp(z, "ok") == 0, "%s", z);
    return;
  }
  if (ask == ASK_READ) {
    const char *z = sqlite3_column_blob(s, 0);
    int bytes = sqlite3_column_bytes(s, 0);
    int64_t of = n;
    if (!n && bytes > 4 && memcmp(z, "raw ", 4) == 0) of = atoll(z + 4);
    if (of && soakRaw(of)) {
      checkRaw(of, z, bytes);
      seen(of);
    } else {
      MUST(bytes > 8 && memcmp(z, "mmsimage", 8) == 0, "%d bytes of %" PRId64, bytes, n);
    }
    return;
  }
  if (ask == ASK_TABLES) {
    if (n) {
      MUST(v[0] == 2 + soakHasB(n) && v[1] == 1 + soakRows(n) + SOAK_B_ROWS * soakHasB(n),
           "%" PRId64 " tables, %" PRId64 " rows of %" PRId64, v[0], v[1], n);
    }
    return;
  }
  MUST(!n || v[0] == n, "%" PRId64 " under a pin of %" PRId64, v[0], n);
  n = v[0];
  MUST(!soakRaw(n), "%" PRId64, n);
  seen(n);
  switch (ask) {
  case ASK_ALL:
    MUST(v[1] == soakRows(n) && v[2] == n && v[3] == n && v[4] == sumV(n) && v[5] == sumName(n),
         "%s: snapshot %" PRId64 ": %" PRId64 " rows of %" PRId64 " to %" PRId64, sqlText[ask], n,
         v[1], v[2], v[3]);
    break;
  case ASK_ROW:
    if (id >= soakRows(n)) {
      MUST(sqlite3_column_type(s, 1) == SQLITE_NULL, "row %" PRId64 " of %" PRId64, id, n);
    } else {
      char name[64];
      snprintf(name, sizeof(name), "r%" PRId64 "-%" PRId64, n, id);
      MUST(v[1] == n && v[2] == soakV(n, id) &&
               strcmp((const char *)sqlite3_column_text(s, 3), name) == 0,
           "row %" PRId64 " of %" PRId64 " is of %" PRId64, id, n, v[1]);
    }
    break;
  case ASK_X:
    MUST(soakHasX(n) && v[1] == soakRows(n) && v[2] == n * 1000 &&
             v[3] == n * 1000 + soakRows(n) - 1,
         "snapshot %" PRId64 ": %" PRId64 " rows, x %" PRId64 " to %" PRId64, n, v[1], v[2], v[3]);
    break;
  case ASK_B:
    MUST(soakHasB(n) && v[1] == SOAK_B_ROWS && v[2] == n && v[3] == n &&
             v[4] == SOAK_B_ROWS * 3 * n + SOAK_B_ROWS * (SOAK_B_ROWS - 1) / 2,
         "snapshot %" PRId64 ": %" PRId64 " rows of %" PRId64 " to %" PRId64, n, v[1], v[2], v[3]);
    break;
  default:
    MUST(soakHasB(n) && v[1] == n && v[2] == n, "%" PRId64 ", %" PRId64 " of %" PRId64, v[1], v[2],
         n);
    break;
  }
}

static void ask(int64_t n) {
  int i = (int)chance(ASK_COUNT), rc;
  int64_t id = (int64_t)chance(100);
  if (i == ASK_READ && !n && chance(4)) i = ASK_ROW; /* megabytes are copied */
  if (!asks[i] && sqlite3_prepare_v2(db, sqlText[i], -1, &asks[i], NULL) != SQLITE_OK) {
    refused(sqlText[i], sqlite3_errmsg(db), n);
    return;
  }
  if (i >= ASK_VERIFY) sqlite3_bind_text(asks[i], 1, channel, -1, SQLITE_STATIC);
  if (i == ASK_ROW) sqlite3_bind_int64(asks[i], 1, id);
  rc = sqlite3_step(asks[i]);
  if (rc == SQLITE_ROW) {
    check(i, asks[i], n, id);
    MUST(sqlite3_step(asks[i]) == SQLITE_DONE, "%s", sqlite3_errmsg(db));
    counts[SOAK_ANSWERS]++;
  } else {
    refused(sqlText[i], sqlite3_errmsg(db), n);
  }
  sqlite3_reset(asks[i]);
}

static void sqlTurn(void) {
  int64_t n = 0, newer, want = last + (int64_t)chance(60);
  int i, pin = (int)chance(2), questions = 1 + (int)chance(3);
  if (db && chance(40) == 0) dbClose();
  if (!db) dbOpen();
  if (chance(20) == 0) (void)attach();
  newer = mustCall("SELECT mmapsync_wait(?1, ?2, 1000)", want);
  if (newer) {
    MUST(newer > want, "%" PRId64 " after %" PRId64, newer, want);
    seen(newer);
  }
  counts[SOAK_TIMEOUTS] += newer == 0;
  if (pin) {
    n = mustCall("SELECT mmapsync_pin(?1)", 0);
    seen(n);
  }
  for (i = 0; i < questions; i++) {
    ask(n);
    if (pin && chance(1000) == 0) sleepMs(50); /* longer than the grace time */
  }
  if (pin) mustCall("SELECT mmapsync_unpin(?1)", 0);
}

/* ---- the C interface --------------------------------------------------------------------------- */

static mmapsync *h;

static void checkRow(const mmapsync_table *t, int64_t n, int64_t row) {
  mmapsync_value v;
  char name[64];
  int x = mmapsync_column_find(t, "x");
  MUST(mmapsync_get(t, (uint64_t)row, 1, &v) == MMAPSYNC_OK && v.u.i == n, "%" PRId64, n);
  MUST(mmapsync_get(t, (uint64_t)row, 2, &v) == MMAPSYNC_OK && v.u.i == soakV(n, row), "%" PRId64,
       n);
  snprintf(name, sizeof(name), "r%" PRId64 "-%" PRId64, n, row);
  MUST(mmapsync_get(t, (uint64_t)row, 3, &v) == MMAPSYNC_OK && v.n == strlen(name) &&
           strcmp(v.u.p, name) == 0,
       "%s", name);
  MUST((x >= 0) == soakHasX(n), "x of %" PRId64, n);
  if (x >= 0) {
    MUST(mmapsync_get(t, (uint64_t)row, x, &v) == MMAPSYNC_OK && v.u.i == n * 1000 + row,
         "%" PRId64, n);
  }
}

static void checkImage(const mmapsync_view *view) {
  int64_t i, n = (int64_t)view->sequence;
  mmapsync_image *image;
  const mmapsync_table *a;
  mmapsync_value id = {.type = MMAPSYNC_INTEGER};
  uint64_t row;
  int rc = mmapsync_image_open(h, view, &image);
  MUST(rc == MMAPSYNC_OK, "%s", mmapsync_errmsg(h));
  a = mmapsync_table_find(image, "a");
  MUST(a && mmapsync_table_about(a)->rows == (uint64_t)soakRows(n), "%" PRId64, n);
  MUST((mmapsync_table_find(image, "b") != NULL) == soakHasB(n), "b of %" PRId64, n);
  for (i = 0; i < soakRows(n); i++) checkRow(a, n, i);
  id.u.i = (int64_t)chance(100);
  rc = mmapsync_find(a, 0, &id, 1, &row);
  if (id.u.i < soakRows(n)) {
    MUST(rc == MMAPSYNC_OK && row == (uint64_t)id.u.i, "%" PRId64 " of %" PRId64, id.u.i, n);
  } else {
    MUST(rc == MMAPSYNC_NOTFOUND, "%" PRId64 " of %" PRId64, id.u.i, n);
  }
  mmapsync_image_close(image);
}

static void checkView(const mmapsync_view *view) {
  int64_t n = (int64_t)view->sequence;
  MUST((view->kind == MMAPSYNC_KIND_RAW) == soakRaw(n), "kind %u of %" PRId64, view->kind, n);
  if (soakRaw(n)) {
    checkRaw(n, view->data, (int64_t)view->size);
  } else {
    checkImage(view);
  }
  counts[SOAK_ANSWERS]++;
}

static void coreTurn(void) {
  mmapsync_view view, second;
  uint64_t newer = 0, want = (uint64_t)last + chance(60);
  int rc;
  if (h && chance(40) == 0) {
    mmapsync_close(h);
    h = NULL;
  }
  if (!h) {
    MUST(mmapsync_open(channel, NULL, &h) == MMAPSYNC_OK, "%s", mmapsync_errmsg(h));
    counts[SOAK_OPENS]++;
  }
  rc = mmapsync_wait(h, want, 1000, &newer);
  if (rc == MMAPSYNC_TIMEOUT) {
    counts[SOAK_TIMEOUTS]++;
  } else {
    MUST(rc == MMAPSYNC_OK && newer > want, "%s", mmapsync_errmsg(h));
  }
  MUST(mmapsync_read(h, &view) == MMAPSYNC_OK, "%s", mmapsync_errmsg(h));
  seen((int64_t)view.sequence);
  checkView(&view);
  if (chance(10) == 0) { /* two views at once, of which the older stays as it is */
    sleepMs((long)chance(20));
    MUST(mmapsync_read(h, &second) == MMAPSYNC_OK, "%s", mmapsync_errmsg(h));
    seen((int64_t)second.sequence);
    checkView(&second);
    checkView(&view);
    mmapsync_release(h, &second);
  }
  if (chance(1000) == 0) sleepMs(50);
  checkView(&view);
  mmapsync_release(h, &view);
}

int main(int argc, char **argv) {
  struct sigaction sa;
  if (argc != 6) {
    fprintf(stderr, "usage: soak_reader EXTENSION CHANNEL COUNTS NUMBER SEED\n");
    return 2;
  }
  memset(&sa, 0, sizeof(sa));
  sa.sa_handler = onTerm;
  sigaction(SIGTERM, &sa, NULL);
  extension = argv[1];
  channel = argv[2];
  number = atoi(argv[4]);
  counts = soakCounts(argv[3], number);
  seed = strtoull(argv[5], NULL, 10);
  chance(2);
  mallopt(M_MMAP_THRESHOLD,
          1 << 17); /* what is large is given back at once, and so does not pass for a leak */
  while (!stop) {
    if (number % 4 == 0) {
      coreTurn();
    } else {
      sqlTurn();
    }
    counts[SOAK_TURNS]++;
  }
  if (db) dbClose();
  mmapsync_close(h);
  return 0;
}
