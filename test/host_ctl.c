/*
** host_ctl.c - a loadable extension for host.test: loads another one, as a host that lacks something would.
**
**     SELECT host_load(file, lacks)      loads the extension `file` into this connection, from a host that is older than
**                                        SQLite 3.38 ('3.38'), or was built without incremental blobs ('blobs').  What
**                                        the extension says against it is the error.
**
** An extension calls SQLite through the table that it is handed, so such a host is a table.  It holds for all
** connections of the process, until one loads the extension in the usual way.
*/
#include <dlfcn.h>
#include <sqlite3ext.h>
#include <stddef.h>
#include <string.h>
SQLITE_EXTENSION_INIT1

typedef int Init(sqlite3 *, char **, const sqlite3_api_routines *);

static int oldNumber(void) { return 3037002; }
static const char *oldVersion(void) { return "3.37.2"; }

static void hostLoad(sqlite3_context *pCtx, int nArg, sqlite3_value **apArg) {
  static sqlite3_api_routines host;
  const char *zFile = (const char *)sqlite3_value_text(apArg[0]);
  const char *zLacks = (const char *)sqlite3_value_text(apArg[1]);
  void *pFile = dlopen(zFile, RTLD_NOW);
  void *pFound = pFile == NULL ? NULL : dlsym(pFile, "sqlite3_mmapsync_init");
  char *zErr = NULL;
  Init *xInit;
  (void)nArg;
  if (pFound == NULL) {
    sqlite3_result_error(pCtx, dlerror(), -1);
    return;
  }
  memcpy(&xInit, &pFound, sizeof(xInit)); /* ISO C converts no object's address to a function's */
  host = *sqlite3_api;
  if (strcmp(zLacks, "3.38") == 0) {
    host.libversion_number = oldNumber;
    host.libversion = oldVersion;
  } else {
    host.blob_open = NULL;
  }
  if (xInit(sqlite3_context_db_handle(pCtx), &zErr, &host) != SQLITE_OK) {
    sqlite3_result_error(pCtx, zErr, -1);
    sqlite3_free(zErr);
  }
}

__attribute__((visibility("default"))) int sqlite3_hostctl_init(sqlite3 *db, char **pzErr,
                                                                const sqlite3_api_routines *pApi);

int sqlite3_hostctl_init(sqlite3 *db, char **pzErr, const sqlite3_api_routines *pApi) {
  SQLITE_EXTENSION_INIT2(pApi);
  (void)pzErr;
  return sqlite3_create_function_v2(db, "host_load", 2, SQLITE_UTF8 | SQLITE_DIRECTONLY, NULL,
                                    hostLoad, NULL, NULL, NULL);
}
