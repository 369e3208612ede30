#define _GNU_SOURCE
/*
** fuzz_source.c - fuzzer: what people write: publish sources, arguments of the module, names, settings, paths.
**
** An input is a byte that says which, one that says more, and texts with a NUL between them:
**
**     0  mmapsync_publish(path, text, ...)      of tables that have a bit of everything
**     1  CREATE VIRTUAL TABLE v USING mmapsync(text)
**     2  a snapshot whose table, columns, key, type and collation have these names, which mmapsync_attach()
**        makes statements of
**     3  mmapsync_config(path, text, text), and whether what it gives back is taken again
**     4  any function or table-valued function over a path that is this text
**     5  as 0, of a table or view that is made with these names first
**
** What is published must be what is attached: as many rows, in the order and under the conditions that its keys
** promise.  Whatever a name is, mmapsync_attach() makes a virtual table of this module and nothing else, and leaves
** the tables there are alone.
*/
#include <sqlite3.h>

#include "fuzz.h"

#define FUZZ_MOST 512 /* bytes of an input; run.sh reads this line */

int sqlite3_mmapsync_init(sqlite3 *db, char **pzErrMsg, const sqlite3_api_routines *pApi);

static sqlite3 *source; /* of tables that no input changes */

static const char zTables[] =
    "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT COLLATE NOCASE, b, \"c d\" REAL, e INT UNIQUE);"
    "INSERT INTO t VALUES(1,'x',5,1.5,9),(2,'Y','5',NULL,8),(5,NULL,x'00',2.0,7);"
    "CREATE INDEX ta ON t(a, b DESC); CREATE INDEX tp ON t(b) WHERE b > 1; CREATE INDEX te ON "
    "t(a||b);"
    "CREATE TABLE w(k TEXT, n, PRIMARY KEY(k DESC, n)) WITHOUT ROWID; INSERT INTO w "
    "VALUES('k',1),('k',2),('l',1);"
    "CREATE TABLE \"q \"\"t\"(x, \"KEY\", \"y,\"); INSERT INTO \"q \"\"t\" VALUES(1,2,3);"
    "CREATE TABLE \"a.b\"(\"(\", \")\"); CREATE TABLE \"t KEY(a)\"(z);"
    "CREATE VIEW v AS SELECT id, a, b AS bb, a||'!' AS s, id/2.0 AS half FROM t;"
    "CREATE VIEW bad AS SELECT x FROM nowhere;"
    "CREATE TEMP TABLE tt(a, b); INSERT INTO tt VALUES(1,1),(NULL,2);"
    "ATTACH ':memory:' AS other; CREATE TABLE other.t(o); CREATE TABLE other.\"x y\"(o COLLATE "
    "RTRIM);";

static void must(sqlite3 *db, const char *zSql) {
  char *zErr = NULL;
  if (sqlite3_exec(db, zSql, NULL, NULL, &zErr) != SQLITE_OK) fuzzDefect("%s: %s", zSql, zErr);
}

static sqlite3 *dbOpen(void) {
  sqlite3 *db;
  FUZZ_CHECK(sqlite3_open(":memory:", &db) == SQLITE_OK);
  return db;
}

static int enough; /* looks left */
static int sqlEnough(void *arg) {
  (void)arg;
  return --enough < 0;
}

/* Runs a statement with texts for its parameters: the first value of its first row, or -1 for an error, whose
** sentence must be there. */
static sqlite3_int64 run(sqlite3 *db, const char *zSql, const char *const *az, int n) {
  sqlite3_stmt *stmt = NULL;
  sqlite3_int64 x = 0;
  int i, rc, rows = 0;
  enough = 2000;
  rc = sqlite3_prepare_v2(db, zSql, -1, &stmt, NULL);
  for (i = 0; rc == SQLITE_OK && i < n; i++) {
    rc = sqlite3_bind_text(stmt, i + 1, az[i], -1, SQLITE_STATIC);
    if (rc == SQLITE_RANGE) rc = SQLITE_OK;
  }
  if (rc == SQLITE_OK) rc = sqlite3_step(stmt);
  while (rc == SQLITE_ROW && rows < 200) {
    for (i = 0; i < sqlite3_column_count(stmt); i++) {
      (void)sqlite3_column_text(stmt, i);
      if (rows == 0 && i == 0) x = sqlite3_column_int64(stmt, 0);
    }
    rows++;
    rc = sqlite3_step(stmt);
  }
  if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
    FUZZ_CHECK(sqlite3_errmsg(db)[0] != '\0');
    x = -1;
  }
  sqlite3_finalize(stmt);
  return x;
}

/* The same for a statement made of a format. */
static sqlite3_int64 runText(sqlite3 *db, const char *zFormat, ...) {
  va_list args;
  char *zSql;
  sqlite3_int64 x;
  va_start(args, zFormat);
  zSql = sqlite3_vmprintf(zFormat, args);
  va_end(args);
  x = run(db, zSql, NULL, 0);
  sqlite3_free(zSql);
  return x;
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  static const char *const channel = fuzzPath;
  int i;
  (void)argc;
  (void)argv;
  fuzzBegin();
  sqlite3_auto_extension((void (*)(void))sqlite3_mmapsync_init);
  source = dbOpen();
  must(source, zTables);
  sqlite3_progress_handler(source, 1000, sqlEnough, NULL);
  for (i = 0; i < 2; i++)
    run(source, "SELECT mmapsync_publish(?1,'t')", &channel, 1); /* opens both files */
  return 0;
}

/* ---- what is published ------------------------------------------------------------------------ */

/* All that was published, attached by somebody else: its tables are of this module, their rows are `rows`, and each
** key gives as many as there are. */
static void attachCheck(sqlite3_int64 rows) {
  sqlite3 *db = dbOpen();
  sqlite3_stmt *stmt;
  sqlite3_int64 n, sum = 0, attached;

  must(db, "CREATE TABLE canary(x); INSERT INTO canary VALUES(1)");
  n = runText(db, "SELECT mmapsync_attach(%Q)", fuzzPath);
  attached = n;
  if (n < 0) {
    /* A name may be one that SQLite keeps for itself. */
    if (rows >= 0 && !strstr(sqlite3_errmsg(db), "reserved")) {
      fuzzDefect("published, but not attached: %s", sqlite3_errmsg(db));
    }
    FUZZ_CHECK(runText(db, "SELECT count(*) FROM temp.sqlite_schema") == 0);
  } else {
    FUZZ_CHECK(runText(db, "SELECT count(*) FROM temp.sqlite_schema") == n);
    FUZZ_CHECK(runText(db,
                       "SELECT count(*) FROM temp.sqlite_schema WHERE type='table' AND rootpage=0"
                       " AND sql LIKE 'CREATE VIRTUAL TABLE%%USING mmapsync(%%'") == n);
  }
  FUZZ_CHECK(sqlite3_prepare_v2(db, "SELECT name FROM temp.sqlite_schema", -1, &stmt, NULL) ==
             SQLITE_OK);
  while (sqlite3_step(stmt) == SQLITE_ROW) {
    const char *zName = (const char *)sqlite3_column_text(stmt, 0);
    sqlite3_stmt *columns;
    n = runText(db, "SELECT count(*) FROM temp.\"%w\"", zName);
    FUZZ_CHECK(n >= 0);
    sum += n;
    FUZZ_CHECK(runText(db, "SELECT * FROM temp.\"%w\"", zName) != -1 ||
               sqlite3_errcode(db) == SQLITE_OK || n == 0 || sqlite3_errcode(db) == SQLITE_DONE ||
               sqlite3_errcode(db) == SQLITE_ROW);
    FUZZ_CHECK(sqlite3_prepare_v2(db, "SELECT name FROM pragma_table_info(?1,'temp')", -1, &columns,
                                  NULL) == SQLITE_OK);
    sqlite3_bind_text(columns, 1, zName, -1, SQLITE_TRANSIENT);
    while (sqlite3_step(columns) == SQLITE_ROW) {
      const char *zColumn = (const char *)sqlite3_column_text(columns, 0);
      FUZZ_CHECK(runText(db, "SELECT count(*) FROM (SELECT 1 FROM temp.\"%w\" ORDER BY \"%w\")",
                         zName, zColumn) == n);
      FUZZ_CHECK(
          runText(
              db,
              "SELECT count(*) FROM temp.\"%w\" x WHERE x.\"%w\" IS NULL OR x.\"%w\" = x.\"%w\"",
              zName, zColumn, zColumn, zColumn) == n);
      FUZZ_CHECK(runText(db,
                         "SELECT count(*) FROM temp.\"%w\" x WHERE EXISTS(SELECT 1 FROM "
                         "temp.\"%w\" y WHERE y.\"%w\" IS x.\"%w\")",
                         zName, zName, zColumn, zColumn) == n);
    }
    sqlite3_finalize(columns);
  }
  sqlite3_finalize(stmt);
  if (rows >= 0 && attached >= 0) FUZZ_CHECK(sum == rows);
  FUZZ_CHECK(runText(db, "SELECT x FROM main.canary") == 1);
  FUZZ_CHECK(runText(db, "SELECT count(*) FROM main.sqlite_schema") == 1);
  FUZZ_CHECK(sqlite3_close(db) == SQLITE_OK);
}

static void publish(sqlite3 *db, char **az, int n) {
  const char *args[5] = {fuzzPath};
  static const char *const zSql[] = {"SELECT mmapsync_publish(?1,?2)->>'rows'",
                                     "SELECT mmapsync_publish(?1,?2,?3)->>'rows'",
                                     "SELECT mmapsync_publish(?1,?2,?3,?4)->>'rows'"};
  sqlite3_int64 rows;
  int i;
  if (n == 0) return;
  if (n > 3) n = 3;
  for (i = 0; i < n; i++) args[i + 1] = az[i];
  rows = run(db, zSql[n - 1], args, n + 1);
  if (rows >= 0) attachCheck(rows);
}

/* A snapshot by the C interface, which has names of any kind. */
static void names(char **az, int n, unsigned how) {
#define NAME(i) (n > (i) ? az[i] : "name")
  mmapsync_column_def columns[] = {
      {.name = NAME(1), .type = NAME(2), .collation = NAME(3)},
      {.name = NAME(4), .type = how & 16 ? NAME(2) : NULL},
      {.name = NAME(6), .flags = how & 1 ? MMAPSYNC_COLUMN_HIDDEN : 0}};
  mmapsync_part_def parts[] = {{.column = 1, .collation = how & 32 ? 1 : 0, .desc = how >> 6 & 1},
                               {.column = 0}};
  mmapsync_key_def key = {.name = NAME(5),
                          .flags = MMAPSYNC_KEY_UNIQUE | MMAPSYNC_KEY_NOTNULL,
                          .parts = parts,
                          .nparts = how & 2 ? 2 : 1};
  mmapsync_table_def def = {.name = NAME(0),
                            .columns = columns,
                            .ncolumns = 3,
                            .keys = &key,
                            .nkeys = 1,
                            .rowid = -1,
                            .flags = how & 4 ? MMAPSYNC_TABLE_WITHOUT_ROWID : 0};
#undef NAME
  mmapsync_builder *b;
  mmapsync *h;
  int i, rc;
  if (how & 8) key.flags |= MMAPSYNC_KEY_PRIMARY;
  FUZZ_CHECK(mmapsync_open(fuzzPath, NULL, &h) == MMAPSYNC_OK);
  FUZZ_CHECK(mmapsync_build_begin(h, &b) == MMAPSYNC_OK);
  mmapsync_build_table(b, &def);
  for (i = 0; i < 5; i++) {
    mmapsync_build_text(b, "text", (size_t)i % 5);
    mmapsync_build_int(b, i * 3);
    mmapsync_build_null(b);
    mmapsync_build_row(b);
  }
  rc = mmapsync_build_commit(b, NULL);
  if (rc != MMAPSYNC_OK) FUZZ_CHECK(mmapsync_errmsg(h)[0] != '\0');
  mmapsync_close(h);
  if (rc == MMAPSYNC_OK) attachCheck(-1); /* a table may have names that SQLite does not take */
}

/* ---- the others ------------------------------------------------------------------------------- */

static void module(const char *z) {
  static const char *const args[] = {fuzzPath, "t", "w"};
  sqlite3 *db = dbOpen();
  char *zSql = sqlite3_mprintf("CREATE VIRTUAL TABLE temp.v USING mmapsync(%s)", z);
  run(source, "SELECT mmapsync_publish(?1,?2,?3)", args, 3);
  must(db, "CREATE TABLE canary(x); INSERT INTO canary VALUES(1)");
  /* One statement: the text may end it and begin another, which is its writer's to do. */
  run(db, zSql, NULL, 0);
  sqlite3_free(zSql);
  run(db, "SELECT * FROM v", NULL, 0);
  run(db, "SELECT count(*) FROM v x JOIN v y USING (a)", NULL, 0);
  /* The same text as a value. */
  runText(db, "CREATE VIRTUAL TABLE temp.v2 USING mmapsync('%q', '%q')", fuzzPath, z);
  runText(db, "CREATE VIRTUAL TABLE temp.v3 USING mmapsync(\"%w\", %s)", fuzzPath, "'t'");
  FUZZ_CHECK(runText(db, "SELECT count(*) FROM v3") == 3);
  FUZZ_CHECK(runText(db, "SELECT x FROM main.canary") == 1);
  FUZZ_CHECK(sqlite3_close(db) == SQLITE_OK);
}

static void config(char **az, int n) {
  sqlite3 *db = dbOpen();
  const char *args[3] = {fuzzPath, n > 0 ? az[0] : "", n > 1 ? az[1] : ""};
  static const char *const how[] = {
      "SELECT mmapsync_config(?1,?2,?3)", "SELECT mmapsync_config(?1,?2,CAST(?3 AS INTEGER))",
      "SELECT mmapsync_config(?1,?2,CAST(?3 AS REAL))",
      "SELECT mmapsync_config(?1,?2,CAST(?3 AS BLOB))", "SELECT mmapsync_config(?1,?2,NULL)"};
  size_t i;
  for (i = 0; i < sizeof(how) / sizeof(*how); i++) {
    if (run(db, how[i], args, 3) < 0) continue;
    FUZZ_CHECK(run(db,
                   "SELECT mmapsync_config(?1,?2,mmapsync_config(?1,?2)) IS mmapsync_config(?1,?2)",
                   args, 2) == 1);
  }
  FUZZ_CHECK(sqlite3_close(db) == SQLITE_OK);
}

/* Nothing here makes a file. */
static void path(char **az, int n, unsigned which) {
  static const char *const zSql[] = {"SELECT mmapsync_sequence(?1)",
                                     "SELECT mmapsync_version(?1)",
                                     "SELECT * FROM mmapsync_status(?1)",
                                     "SELECT * FROM mmapsync_tables(?1)",
                                     "SELECT * FROM mmapsync_columns(?1)",
                                     "SELECT * FROM mmapsync_readers(?1)",
                                     "SELECT mmapsync_wait(?1,?2,0)",
                                     "SELECT mmapsync_wait(?1,-1,?2||'0')",
                                     "SELECT mmapsync_verify(?1)",
                                     "SELECT mmapsync_read(?1)",
                                     "SELECT mmapsync_pin(?1)",
                                     "SELECT mmapsync_unpin(?1)",
                                     "SELECT mmapsync_attach(?1)",
                                     "SELECT mmapsync_info(?1)",
                                     "SELECT * FROM mmapsync_tables WHERE path=?1 AND name=?2",
                                     "SELECT * FROM mmapsync_readers(?1,?2)"};
  const char *args[2] = {n > 0 ? az[0] : "", n > 1 ? az[1] : ""};
  sqlite3 *db = dbOpen();
  char *zLong;
  if (which % 16 != 7) run(db, zSql[which % 16], args, 2);
  /* In the folder: the path of the channel, and what comes after it. */
  zLong = sqlite3_mprintf("%s%s", fuzzPath, args[0]);
  args[0] = zLong;
  if (which % 16 != 7) run(db, zSql[which % 16], args, 2);
  sqlite3_free(zLong);
  FUZZ_CHECK(sqlite3_close(db) == SQLITE_OK);
}

/* A table, and a view of it, of these names. */
static void named(char **az, int n, unsigned how) {
#define NAME(i) (n > (i) ? az[i] : "name")
  sqlite3 *db = dbOpen();
  char *specs[1];
  sqlite3_progress_handler(db, 1000, sqlEnough, NULL);
  runText(db, "CREATE TABLE \"%w\"(\"%w\" \"%w\", \"%w\" \"%w\" %s, w)%s", NAME(0), NAME(1),
          NAME(2), NAME(3), NAME(4), how & 1 ? "PRIMARY KEY" : "COLLATE RTRIM",
          how & 2 ? " WITHOUT ROWID" : "");
  runText(db, "INSERT INTO \"%w\" VALUES(1,2,3),('a','b','c'),(NULL,5.5,x'61')", NAME(0));
  runText(db, "CREATE INDEX \"%w\" ON \"%w\"(\"%w\" COLLATE NOCASE)", NAME(5), NAME(0), NAME(1));
  if (how & 4)
    runText(db, "CREATE VIEW \"%w\" AS SELECT *, \"%w\"||1 AS \"%w\" FROM \"%w\"", NAME(6), NAME(1),
            NAME(7), NAME(0));
  specs[0] = how & 4 ? sqlite3_mprintf("\"%w\" KEY(\"%w\") INDEX(\"%w\" COLLATE nocase DESC)",
                                       NAME(6), NAME(3), NAME(1))
                     : sqlite3_mprintf("%s", NAME(0));
#undef NAME
  publish(db, specs, 1);
  sqlite3_free(specs[0]);
  FUZZ_CHECK(sqlite3_close(db) == SQLITE_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  FuzzOpen was = fuzzOpen();
  Take t = {data, n};
  char *az[8];
  unsigned which = takeByte(&t), how = takeByte(&t);
  int i, nText = 0;

  if (n == 0) return 0;
  while (nText < 8 && t.n > 0) az[nText++] = takeText(&t);
  switch (which % 6) {
  case 0: publish(source, az, nText); break;
  case 1: module(nText > 0 ? az[0] : ""); break;
  case 2: names(az, nText, how); break;
  case 3: config(az, nText); break;
  case 4: path(az, nText, how); break;
  default: named(az, nText, how);
  }
  for (i = 0; i < nText; i++) free(az[i]);
  fuzzClosed(was);
  return 0;
}
