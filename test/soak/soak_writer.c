/*
** soak_writer.c - the writer of the load soak: publishes snapshots of soak.h, so many a second.
**
**     soak_writer EXTENSION CHANNEL COUNTS RATE
**
** Goes on until it is told to end (SIGTERM).  The tables are views over one number, which are made anew when the
** schema changes.  Who holds a snapshot for longer than the grace time, which is short here, costs a new file.
*/
#define _GNU_SOURCE
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <time.h>

#include "soak.h"

static volatile sig_atomic_t stop;
static void onTerm(int sig) {
  (void)sig;
  stop = 1;
}

static uint64_t *counts;
static char raw[32 + SOAK_PAD]; /* room for the first words, and then z */
static sqlite3 *db;

static void fail(const char *what) {
  fprintf(stderr, "writer: %s: %s\n", what, sqlite3_errmsg(db));
  counts[SOAK_WRONG]++;
  exit(1);
}

static void run(const char *sql) {
  if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) fail(sql);
}

static void schema(int64_t n) {
  run("DROP VIEW IF EXISTS a");
  run(soakHasX(n)
          ? "CREATE VIEW a AS SELECT id, n AS seq, (n*7919+id*104729)%1000003 AS v, "
            "'r'||n||'-'||id AS name, n*1000+id AS x FROM ids, now WHERE id < 50+n%50 ORDER BY id"
          : "CREATE VIEW a AS SELECT id, n AS seq, (n*7919+id*104729)%1000003 AS v, "
            "'r'||n||'-'||id AS name FROM ids, now WHERE id < 50+n%50 ORDER BY id");
}

int main(int argc, char **argv) {
  static const char *const publish[] = {
      "SELECT mmapsync_publish(?1, 'meta', 'a KEY(id) INDEX(v)')",
      "SELECT mmapsync_publish(?1, 'meta', 'a KEY(id) INDEX(v)', 'b KEY(id)')",
      "SELECT mmapsync_write(?1, ?2)"};
  struct sigaction sa;
  struct timespec next, now;
  sqlite3_stmt *did, *set, *how[3];
  int64_t n, rate = argc == 5 ? atoll(argv[4]) : 0;
  int i;

  if (rate <= 0) {
    fprintf(stderr, "usage: soak_writer EXTENSION CHANNEL COUNTS RATE\n");
    return 2;
  }
  memset(&sa, 0, sizeof(sa));
  sa.sa_handler = onTerm;
  sigaction(SIGTERM, &sa, NULL);
  counts = soakCounts(argv[3], 0);
  memset(raw, 'z', sizeof(raw));
  if (sqlite3_open(":memory:", &db) != SQLITE_OK) fail("open");
  sqlite3_enable_load_extension(db, 1);
  if (sqlite3_load_extension(db, argv[1], NULL, NULL) != SQLITE_OK) fail("load");
  run("CREATE TABLE now(n INTEGER); INSERT INTO now VALUES(0);"
      "CREATE TABLE ids(id INTEGER PRIMARY KEY);"
      "WITH RECURSIVE i(x) AS (SELECT 0 UNION ALL SELECT x+1 FROM i WHERE x < 99)"
      "INSERT INTO ids SELECT x FROM i;"
      "CREATE VIEW meta AS SELECT n FROM now;"
      "CREATE VIEW b AS SELECT id, n AS seq, n*3+id AS w FROM ids, now WHERE id < 20 ORDER BY id");
  if (sqlite3_prepare_v2(db, "SELECT mmapsync_config(?1, 'grace_ms', 20)", -1, &did, NULL)) {
    fail("prepare");
  }
  sqlite3_bind_text(did, 1, argv[2], -1, SQLITE_STATIC);
  if (sqlite3_step(did) != SQLITE_ROW) fail("configure");
  sqlite3_finalize(did);
  for (i = 0; i < 3; i++) {
    if (sqlite3_prepare_v2(db, publish[i], -1, &how[i], NULL) != SQLITE_OK) fail(publish[i]);
  }
  if (sqlite3_prepare_v2(db, "UPDATE now SET n = ?1", -1, &set, NULL) != SQLITE_OK) fail("set");
  schema(1);
  clock_gettime(CLOCK_MONOTONIC, &next);
  for (n = 1; !stop; n++) {
    const char *z;
    if (soakHasX(n) != soakHasX(n - 1)) schema(n);
    sqlite3_bind_int64(set, 1, n);
    if (sqlite3_step(set) != SQLITE_DONE) fail("set");
    sqlite3_reset(set);
    did = how[soakRaw(n) ? 2 : soakHasB(n)];
    sqlite3_bind_text(did, 1, argv[2], -1, SQLITE_STATIC);
    if (soakRaw(n)) {
      char head[32];
      int k = snprintf(head, sizeof(head), "raw %lld ", (long long)n);
      memcpy(raw + sizeof(head) - k, head, (size_t)k);
      sqlite3_bind_blob(did, 2, raw + sizeof(head) - k, k + (int)soakPad(n), SQLITE_STATIC);
    }
    if (sqlite3_step(did) != SQLITE_ROW) fail("publish");
    z = (const char *)sqlite3_column_text(did, 0);
    if (!z || !strstr(z, "\"sequence\":") || atoll(strstr(z, "\"sequence\":") + 11) != n) {
      fail(z ? z : "no answer");
    }
    counts[SOAK_ANSWERS] += strstr(z, "\"replaced\":true") != NULL;
    if (strstr(z, "\"waited_ms\":")) {
      counts[SOAK_REFUSALS] += (uint64_t)atoll(strstr(z, "\"waited_ms\":") + 12);
    }
    sqlite3_reset(did);
    counts[SOAK_TURNS]++;
    counts[SOAK_SEQUENCE] = (uint64_t)n;
    next.tv_nsec += 1000000000 / rate;
    if (next.tv_nsec >= 1000000000) {
      next.tv_nsec -= 1000000000;
      next.tv_sec++;
    }
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec > next.tv_sec || (now.tv_sec == next.tv_sec && now.tv_nsec > next.tv_nsec)) {
      counts[SOAK_LATE]++;
      /* What was missed by more than a second is not made up for. */
      if (now.tv_sec > next.tv_sec + 1) next = now;
    }
    while (!stop && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL) != 0) {
    }
  }
  for (i = 0; i < 3; i++) sqlite3_finalize(how[i]);
  sqlite3_finalize(set);
  if (sqlite3_close(db) != SQLITE_OK) fail("close");
  return 0;
}
