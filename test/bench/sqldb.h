/*
** sqldb.h - SQLite for the benchmark programs, with every failure the end of the program.
*/
#ifndef SQLDB_H
#define SQLDB_H

#include <sqlite3.h>

/* Ends the program with what SQLite says of `sql`, or of a file. */
#if defined(__GNUC__)
__attribute__((noreturn))
#endif
void sqlFail(sqlite3 *db, const char *sql);

/* Opens a file (":memory:" too, and a URI) with the extension at that path in it.  The caller closes it. */
sqlite3 *sqlOpen(const char *file, const char *extension);

/* Runs statements, formatted as sqlite3_mprintf() does it. */
void sqlRun(sqlite3 *db, const char *format, ...);

/* A statement to be kept; the caller finalizes it. */
sqlite3_stmt *sqlPrepare(sqlite3 *db, const char *sql);

/* Resets a statement that has ended with rc, which must be SQLITE_DONE. */
void sqlDone(sqlite3_stmt *stmt, int rc);

/* The first column of the first row. */
sqlite3_int64 sqlInt(sqlite3 *db, const char *sql);

/* Publishes sources, each given as an SQL string literal, on a channel; how many bytes that made. */
sqlite3_int64 sqlPublish(sqlite3 *db, const char *channel, const char *sources);

/* Removes the files of a channel. */
void channelRemove(const char *channel);

#endif
