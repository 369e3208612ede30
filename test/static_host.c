/*
** static_host.c - a program that brings SQLite and the extension along, linked statically.
**
** usage: static_host PATH
**
** The extension is compiled with -DSQLITE_CORE and registered by sqlite3_auto_extension(), so every
** connection of the process has it without load_extension().  Publishes a table from one connection and
** prints it from another.
*/
#include <sqlite3.h>
#include <stdio.h>

int sqlite3_mmapsync_init(sqlite3 *db, char **pzErrMsg, const sqlite3_api_routines *pApi);

static int printRow(void *pArg, int n, char **azValue, char **azName) {
  int i;
  (void)pArg;
  (void)azName;
  for (i = 0; i < n; i++) printf("%s%s", i ? "|" : "", azValue[i] ? azValue[i] : "NULL");
  printf("\n");
  return 0;
}

/* Runs one statement with ?1 replaced by the channel's path. */
static int run(sqlite3 *db, const char *zFormat, const char *zPath) {
  char *zErr = NULL;
  char *zSql = sqlite3_mprintf(zFormat, zPath);
  int rc = zSql ? sqlite3_exec(db, zSql, printRow, NULL, &zErr) : SQLITE_NOMEM;
  if (rc != SQLITE_OK) fprintf(stderr, "static_host: %s\n", zErr ? zErr : sqlite3_errstr(rc));
  sqlite3_free(zErr);
  sqlite3_free(zSql);
  return rc;
}

int main(int argc, char **argv) {
  sqlite3 *writer = NULL, *reader = NULL;
  int rc;
  if (argc != 2) {
    fprintf(stderr, "usage: static_host PATH\n");
    return 2;
  }
  sqlite3_auto_extension((void (*)(void))sqlite3_mmapsync_init);
  rc = sqlite3_open(":memory:", &writer);
  if (rc == SQLITE_OK) rc = sqlite3_open(":memory:", &reader);
  if (rc == SQLITE_OK) {
    rc = run(writer,
             "CREATE TABLE stars(name TEXT PRIMARY KEY, magnitude REAL);"
             "INSERT INTO stars VALUES('Sirius',-1.46),('Vega',0.03),('Deneb',1.25);"
             "SELECT 'published ' || json_extract(mmapsync_publish(%Q,'stars'),'$.rows');",
             argv[1]);
  }
  if (rc == SQLITE_OK) {
    rc = run(reader,
             "SELECT 'attached ' || mmapsync_attach(%Q);"
             "SELECT name, magnitude FROM stars ORDER BY magnitude;",
             argv[1]);
  }
  sqlite3_close(reader);
  sqlite3_close(writer);
  return rc != SQLITE_OK;
}
