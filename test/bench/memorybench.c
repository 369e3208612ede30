/*
** memorybench.c - one reader process of a large table, for somebody else to look how much memory it takes.
**
**     memorybench make EXTENSION FOLDER MEGABYTES     makes the table, and ends
**     memorybench PLACE EXTENSION FOLDER              reads all of it, and stays until standard input ends
**
** The table has long texts that are all different, and a second key.  A reader opens it at a place, asks for something
** that depends on every byte of every row and walks the second key, prints the sum that came of it, which is the same
** at all places, and then holds what it has, as a service does between two requests.  The places are
**
**     snapshot    a virtual table over the channel
**     immutable   a copy of the file without a WAL, immutable=1, all of it mapped
**     wal         the file in WAL mode, all of it mapped
**     cache       the same through SQLite's page cache, with the size that it has by itself
**     memory      a copy in :memory:
**
** peers.tcl starts some of them, one after the other, and reads what the kernel says of each.
*/
#define _GNU_SOURCE
#include "bench.h"
#include "sqldb.h"

#include <string.h>
#include <sys/stat.h>

#define ROW_BYTES 440 /* about, as a snapshot */

static const char *extension, *folder;

static const char schema[] =
    "CREATE TABLE texts(id INTEGER PRIMARY KEY, sku TEXT UNIQUE, body TEXT NOT NULL);";

static char *path(const char *format) {
  char *p = sqlite3_mprintf(format, folder);
  if (!p) benchFail("out of memory");
  return p;
}

static void make(sqlite3_int64 megabytes) {
  char *file = path("%s/large.db"), *channel = path("%s/large");
  struct stat st;
  sqlite3 *db = sqlOpen(file, extension);
  sqlRun(db,
         "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; %s BEGIN;"
         "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i < %lld)"
         " INSERT INTO texts SELECT i, printf('%%012x', i * 2654435761 %% 4294967296),"
         " hex(randomblob(200)) FROM n; COMMIT; PRAGMA journal_mode=WAL;"
         "VACUUM INTO '%q/still.db'",
         schema, megabytes * 1000000 / ROW_BYTES, folder);
  benchFact("image_bytes", (uint64_t)sqlPublish(db, channel, "'texts'"));
  sqlite3_close(db);
  if (stat(file, &st) != 0) benchFail("\"%s\": missing", file);
  benchFact("file_bytes", (uint64_t)st.st_size);
  sqlite3_free(channel);
  sqlite3_free(file);
}

static sqlite3 *openAt(const char *place) {
  int file = strcmp(place, "wal") == 0 || strcmp(place, "cache") == 0;
  int still = strcmp(place, "immutable") == 0;
  char *name = path(still ? "file:%s/still.db?immutable=1" : "%s/large.db");
  sqlite3 *db = sqlOpen(file || still ? name : ":memory:", extension);
  sqlite3_free(name);
  if (still || strcmp(place, "wal") == 0) {
    sqlRun(db, "PRAGMA mmap_size=%lld", (long long)1 << 40);
  } else if (strcmp(place, "snapshot") == 0) {
    sqlRun(db, "CREATE VIRTUAL TABLE temp.texts USING mmapsync('%q/large')", folder);
  } else if (strcmp(place, "memory") == 0) {
    sqlRun(db,
           "%s ATTACH '%q/large.db' AS source; INSERT INTO main.texts SELECT * FROM source.texts;"
           "DETACH source",
           schema, folder);
  } else if (!file) {
    benchFail("no such place: %s", place);
  }
  return db;
}

int main(int argc, char **argv) {
  if (argc < 4 || argc != (strcmp(argv[1], "make") == 0 ? 5 : 4)) {
    benchFail("usage: memorybench make EXTENSION FOLDER MEGABYTES, or PLACE EXTENSION FOLDER");
  }
  extension = argv[2];
  folder = argv[3];
  if (argc == 5) {
    make(atoll(argv[4]));
    return 0;
  }
  sqlite3 *db = openAt(argv[1]);
  /* No body has "zz" in it, so all of each must be looked at. */
  sqlite3_int64 rows = sqlInt(db, "SELECT sum(1 + instr(body, 'zz')) FROM texts");
  sqlite3_int64 keys = sqlInt(db, "SELECT sum(length(sku)) FROM texts WHERE sku > ''");
  printf("%lld %lld\n", (long long)rows, (long long)keys);
  fflush(stdout);
  while (getchar() != EOF) {
  }
  sqlite3_close(db);
  return 0;
}
