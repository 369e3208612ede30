/*
** host.c - SQLite of some version as the library that the system's shell and Tcl take for their own.
**
** hosts.tcl compiles this file once a host, with that version's sqlite3.c in a folder that is searched first,
** and puts the library where the loader looks first.  Two things differ from plain SQLite:
**
**   - The shell compares the library's source id with the one it was compiled with, and leaves if they differ.
**     HOST_SOURCE_ID is the one it wants.  The SQL function sqlite_source_id() keeps telling the truth, which
**     is how hosts.tcl knows that a test really runs under this library.
**   - HOST_ENCODING, if defined, is the encoding of every new database.  No option of SQLite's sets it, so a
**     pragma does, run in each connection that is opened.
**
** A call that the shell or Tcl is linked to and this build has not got (it is older, or built without) is
** there as hostMissing, for the loader's sake.  The extension gets its calls through a table, where such a
** call is a null pointer as in any program that has SQLite built this way.
*/
#define sqlite3_sourceid hostOwnSourceId

#ifdef HOST_ENCODING
#define SQLITE_EXTRA_INIT hostStart
#endif

#include "sqlite3.c"

#undef sqlite3_sourceid

const char *sqlite3_sourceid(void);
int hostMissing(void);

const char *sqlite3_sourceid(void) {
  return HOST_SOURCE_ID;
}

/* Whatever is asked for: it is not here.  As a size or a pointer the number is worth nothing either. */
int hostMissing(void) {
  return SQLITE_MISUSE;
}

#ifdef HOST_ENCODING
/* An error is none: a file that exists keeps its encoding, and one that is locked exists. */
static int hostOpened(sqlite3 *db, char **pzErr, const void *pApi) {
  (void)pzErr;
  (void)pApi;
  (void)sqlite3_exec(db, "PRAGMA encoding='" HOST_ENCODING "'", NULL, NULL, NULL);
  return SQLITE_OK;
}

int hostStart(const char *zUnused) {
  (void)zUnused;
  return sqlite3_auto_extension((void (*)(void))hostOpened);
}
#endif
