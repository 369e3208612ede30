/*
** sqldb.c - SQLite for the benchmark programs, with every failure the end of the program.
*/
#define _GNU_SOURCE
#include "sqldb.h"
#include "bench.h"

#include <stdarg.h>
#include <unistd.h>

void sqlFail(sqlite3 *db, const char *sql) { benchFail("%.200s: %s", sql, sqlite3_errmsg(db)); }

sqlite3 *sqlOpen(const char *file, const char *extension) {
  sqlite3 *db = NULL;
  char *message = NULL;
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI;
  if (sqlite3_open_v2(file, &db, flags, NULL) != SQLITE_OK) sqlFail(db, file);
  sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 1, NULL);
  if (sqlite3_load_extension(db, extension, "sqlite3_mmapsync_init", &message) != SQLITE_OK) {
    benchFail("\"%s\": %s", extension, message ? message : "cannot be loaded");
  }
  return db;
}

void sqlRun(sqlite3 *db, const char *format, ...) {
  va_list ap;
  va_start(ap, format);
  char *sql = sqlite3_vmprintf(format, ap);
  va_end(ap);
  if (!sql) benchFail("out of memory");
  if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) sqlFail(db, sql);
  sqlite3_free(sql);
}

sqlite3_stmt *sqlPrepare(sqlite3 *db, const char *sql) {
  sqlite3_stmt *stmt = NULL;
  if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL) != SQLITE_OK) {
    sqlFail(db, sql);
  }
  return stmt;
}

void sqlDone(sqlite3_stmt *stmt, int rc) {
  if (rc != SQLITE_DONE) sqlFail(sqlite3_db_handle(stmt), sqlite3_sql(stmt));
  sqlite3_reset(stmt);
}

sqlite3_int64 sqlInt(sqlite3 *db, const char *sql) {
  sqlite3_stmt *stmt = sqlPrepare(db, sql);
  if (sqlite3_step(stmt) != SQLITE_ROW) sqlFail(db, sql);
  sqlite3_int64 value = sqlite3_column_int64(stmt, 0);
  sqlite3_finalize(stmt);
  return value;
}

sqlite3_int64 sqlPublish(sqlite3 *db, const char *channel, const char *sources) {
  char *sql =
      sqlite3_mprintf("SELECT json_extract(mmapsync_publish(%Q, %s), '$.bytes')", channel, sources);
  if (!sql) benchFail("out of memory");
  sqlite3_int64 bytes = sqlInt(db, sql);
  sqlite3_free(sql);
  return bytes;
}

void channelRemove(const char *channel) {
  static const char *const suffix[] = {"_state",   "_data_0",     "_data_1",    "_writer",
                                       "_readers", "_data_0_new", "_data_1_new"};
  for (size_t i = 0; i < sizeof(suffix) / sizeof(suffix[0]); i++) {
    char path[4200];
    if (snprintf(path, sizeof(path), "%s%s", channel, suffix[i]) < (int)sizeof(path)) unlink(path);
  }
}
