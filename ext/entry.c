/*
** entry.c - where SQLite enters the extension.
**
** As a loadable extension, SQLite looks this function up by name (".load ./mmapsync") and hands over
** the table of its own functions, which every file of this folder calls through.  Compiled with
** -DSQLITE_CORE the same function is linked into a program and given to sqlite3_auto_extension(); the
** table is then not used and SQLite's functions are called directly.
**
** It is the only symbol the loadable exports.
*/
#include "ext.h"

#ifndef SQLITE_CORE
SQLITE_EXTENSION_INIT1
#endif

/* The oldest SQLite that has all that is called here: sqlite3_vtab_rhs_value() and sqlite3_vtab_in()
** came with 3.38. */
#define ENTRY_OLDEST 3038000

/*
** Whether this connection has the module already: 1, 0, or -1: out of memory.  The pragma reads no schema, so
** asking does not open the database file early.
*/
static int entryLoaded(sqlite3 *db) {
  sqlite3_stmt *pStmt = NULL;
  int found = 0;
  int rc = sqlite3_prepare_v2(db, "PRAGMA module_list", -1, &pStmt, NULL);
  while (!found && (rc == SQLITE_OK || rc == SQLITE_ROW)) {
    rc = sqlite3_step(pStmt);
    if (rc == SQLITE_ROW) {
      const char *zName = (const char *)sqlite3_column_text(pStmt, 0);
      if (zName == NULL) rc = SQLITE_NOMEM;
      found = zName != NULL && sqlite3_stricmp(zName, "mmapsync") == 0;
    }
  }
  sqlite3_finalize(pStmt);
  return rc == SQLITE_NOMEM ? -1 : found;
}

__attribute__((visibility("default"))) int sqlite3_mmapsync_init(sqlite3 *db, char **pzErr,
                                                                 const sqlite3_api_routines *pApi);

/*
** Registers everything with one connection.  Loading twice into the same connection changes nothing:
** a second registry would pin channels apart from the first, and one statement could then see two
** snapshots.
*/
int sqlite3_mmapsync_init(sqlite3 *db, char **pzErr, const sqlite3_api_routines *pApi) {
  Registry *pReg;
  int rc, loaded;
  (void)pApi;
#ifndef SQLITE_CORE
  SQLITE_EXTENSION_INIT2(pApi)
#endif
  if (sqlite3_libversion_number() < ENTRY_OLDEST) {
    *pzErr =
        sqlite3_mprintf("mmapsync: expected SQLite 3.38 or newer, found %s", sqlite3_libversion());
    return SQLITE_ERROR;
  }
  loaded = entryLoaded(db);
  if (loaded != 0) return loaded < 0 ? SQLITE_NOMEM : SQLITE_OK;
  pReg = registryNew(db);
  if (pReg == NULL) return SQLITE_NOMEM;
  rc = vtabRegister(db, pReg);
  if (rc == SQLITE_OK) rc = statusRegister(db, pReg);
  if (rc == SQLITE_OK) rc = publishRegister(db, pReg);
  if (rc == SQLITE_OK) rc = functionsRegister(db, pReg);
  if (rc == SQLITE_OK) rc = waitRegister(db, pReg);
  if (rc == SQLITE_OK) rc = verifyRegister(db, pReg);
  registryUnref(pReg); /* from here on it lives as long as what is registered with it */
  return rc;
}
