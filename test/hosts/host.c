/*
** host.c - what makes SQLite of some version a library that the system's shell and Tcl take for their own.
**
** hosts.tcl compiles that version's sqlite3.c, links it with this file, and puts the library where the loader
** looks first.  Two things differ from plain SQLite:
**
**   - The shell compares the library's source id with the one it was compiled with, and leaves if they differ.
**     HOST_SOURCE_ID is the one it wants; sqlite3.c is compiled with its own function under another name.  The
**     SQL function sqlite_source_id() keeps telling the truth, which is how hosts.tcl knows that a test really
**     runs under this library.
**   - HOST_ENCODING, if defined, is the encoding of every new database.  No option of SQLite's sets it, so a
**     pragma does, run in each connection that is opened: sqlite3.c is compiled with hostStart as what it
**     calls when it starts.
**
** A call that the shell or Tcl is linked to and this build has not got (it is older, or built without) is
** there as hostMissing, for the loader's sake.  The extension gets its calls through a table, where such a
** call is a null pointer as in any program that has SQLite built this way.
*/
#include <sqlite3.h>
#include <stddef.h>

#ifndef HOST_SOURCE_ID
#define HOST_SOURCE_ID SQLITE_SOURCE_ID
#endif

int hostMissing(void);
int hostStart(const char *zUnused);

const char *sqlite3_sourceid(void) { return HOST_SOURCE_ID; }

/* Whatever is asked for: it is not here.  As a size or a pointer the number is worth nothing either. */
int hostMissing(void) { return SQLITE_MISUSE; }

#ifdef HOST_ENCODING
/* An error is none: a file that exists keeps its encoding, and one that is locked exists. */
static int hostOpened(sqlite3 *db, char **pzErr, const void *pApi) {
  (void)pzErr;
  (void)pApi;
  (void)sqlite3_exec(db, "PRAGMA encoding='" HOST_ENCODING "'", NULL, NULL, NULL);
  return SQLITE_OK;
}
#endif

int hostStart(const char *zUnused) {
  (void)zUnused;
#ifdef HOST_ENCODING
  return sqlite3_auto_extension((void (*)(void))hostOpened);
#else
  return SQLITE_OK;
#endif
}
