/*
** differential_ctl.c - a loadable extension for differential.test: switches optimizations off.
**
** The tests run in tclsh, whose sqlite3 package has no way to sqlite3_test_control().  A loadable
** extension has one.
**
**     SELECT optimizations_off(mask)     each bit of the mask switches one optimization of this
**                                        connection off; 0 is the state at the start.  What the bits
**                                        mean differs from version to version; -1 is all of them.
**
** The sqlite3 shell has the same as `.testctrl optimizations MASK`.
*/
#include <sqlite3ext.h>
#include <stddef.h>
SQLITE_EXTENSION_INIT1

static void optimizationsOff(sqlite3_context *pCtx, int nArg, sqlite3_value **apArg) {
  int rc;
  (void)nArg;
  rc = sqlite3_test_control(SQLITE_TESTCTRL_OPTIMIZATIONS, sqlite3_context_db_handle(pCtx),
                            sqlite3_value_int(apArg[0]));
  sqlite3_result_int(pCtx, rc);
}

__attribute__((visibility("default"))) int
sqlite3_differentialctl_init(sqlite3 *db, char **pzErr, const sqlite3_api_routines *pApi);

int sqlite3_differentialctl_init(sqlite3 *db, char **pzErr, const sqlite3_api_routines *pApi) {
  SQLITE_EXTENSION_INIT2(pApi);
  (void)pzErr;
  return sqlite3_create_function_v2(db, "optimizations_off", 1, SQLITE_UTF8 | SQLITE_DIRECTONLY,
                                    NULL, optimizationsOff, NULL, NULL, NULL);
}
