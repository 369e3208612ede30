/*
** publish.c - mmapsync_publish(path, source, ...) and mmapsync_write(path, bytes [, grace_ms]).
**
** What is published cannot be taken back, so both refuse to run inside an open write transaction: it might
** be rolled back.
**
** A publish goes so:
**
**   1. Read all specifications and prepare one SELECT for each source.  Whatever is wrong with them ends
**      here, before a file of the channel is touched or anybody is waited for.
**   2. Begin the write: take the writer's lock, for which another writer is waited for as long as the
**      connection's busy timeout says, and wait for readers of the older snapshot.
**   3. Step the SELECTs, one after the other, within one read transaction, and hand over their rows.
**   4. Commit, which switches readers to the new snapshot.
**
** The data is read after the writer's lock was taken, so that of two processes that publish the same
** database the one that comes second never publishes the older state.  If the schema has changed
** between 1 and 3, a SELECT was prepared for another table than it now reads; SQLite prepares it again by
** itself and counts that, and then the source is read anew.
**
** ONE READ TRANSACTION.  All sources are one state of the database: the first statement that reads a
** database starts its read transaction, and in autocommit mode the last one to end ends it.  A guard, a
** statement that is stepped onto its first row and left there, is therefore all it takes.  It reads the
** temp schema, which nobody else can have locked.  (A SAVEPOINT would do as well, but an interrupted
** connection refuses to run its RELEASE, and the transaction would stay open.)  Inside BEGIN the state is
** that of the transaction.
**
** INTERRUPT.  sqlite3_interrupt() stops the SELECTs by itself, and the core's own slow work, waiting and
** sorting, as wait.c says.
**
** The result is written as JSON by hand, not with json_object(), and into memory that was taken before: after
** the commit nothing should fail, and an interrupted connection would refuse to run that as well.
*/
#include "ext.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

/* Functions that set a subtype say so from 3.45 on; older hosts ignore the bit. */
#define PUBLISH_SUBTYPE 0x001000000

/* ---- what every write has ------------------------------------------------------------------------ */

/*
** True, with a sentence, if what is published could still be rolled back.
*/
static int writeRefused(sqlite3 *db, char **pzErr) {
  if (sqlite3_txn_state(db, NULL) != SQLITE_TXN_WRITE) return 0;
  *pzErr = sqlite3_mprintf("cannot publish inside an open write transaction: commit first");
  return 1;
}

/*
** A write needs the data file that is not active.  If this connection has pinned a snapshot there by counter,
** the write would wait for itself the whole grace time and then change rows that its own statements still
** read; so that is refused, with a sentence.  One publish while a statement reads the newest snapshot is none
** of this: it writes the other file.  Nor are pins of the other kinds: the core leaves the file to them and
** writes a new one, at once.
*/
static int writeReads(Channel *pChannel, char **pzErr) {
  uint64_t version = pChannel->view.version;
  if (pChannel->nPin == 0 || pChannel->view.pin != MMAPSYNC_PIN_COUNTER) return SQLITE_OK;
  (void)mmapsync_version(pChannel->h, &version); /* who cannot see it cannot write either */
  if ((pChannel->view.version & 1) == (version & 1)) return SQLITE_OK;
  *pzErr = sqlite3_mprintf("\"%s\": this connection still reads the older snapshot: finish its "
                           "statements first",
                           mmapsync_path(pChannel->h));
  return *pzErr == NULL ? SQLITE_NOMEM : SQLITE_BUSY;
}

/* ---- the result ---------------------------------------------------------------------------------- */

/* Memory for a result, of which nothing was written yet but zTail, if there is one, which is to come last. */
typedef struct Result {
  char *z;
  int n, nRoom;
  char *zTail; /* sqlite3_malloc; owned */
} Result;

/* All but the tail fits into this: some numbers, and who held, of at most 200 bytes each. */
#define RESULT_MOST (512 + 200 * MMAPSYNC_HELD_MOST)

static int resultNew(Result *p) {
  p->nRoom = RESULT_MOST + (p->zTail == NULL ? 0 : (int)strlen(p->zTail));
  p->z = sqlite3_malloc(p->nRoom);
  return p->z == NULL ? SQLITE_NOMEM : SQLITE_OK;
}

static void resultFree(Result *p) {
  sqlite3_free(p->z);
  sqlite3_free(p->zTail);
}

static void resultAdd(Result *p, const char *zFormat, ...) {
  va_list args;
  va_start(args, zFormat);
  sqlite3_vsnprintf(p->nRoom - p->n, p->z + p->n, zFormat, args);
  va_end(args);
  p->n += (int)strlen(p->z + p->n);
  assert(p->n < p->nRoom - 1);
}

/*
** The members that both results have, after an opening brace.
*/
static void resultDone(Result *p, const mmapsync_result *pDone) {
  resultAdd(p, "{\"sequence\":%lld,\"version\":%lld,\"bytes\":%lld", (sqlite3_int64)pDone->sequence,
            (sqlite3_int64)pDone->version, (sqlite3_int64)pDone->size);
}

/*
** Who held at the end of the grace time: as much of it as is known.
*/
static void resultHeld(Result *p, const mmapsync_reader *pHeld) {
  resultAdd(p, "{\"kind\":\"%s\"", channelPinNames[pHeld->kind]);
  if (pHeld->kind == MMAPSYNC_PIN_SLOT) {
    char zOut[FUNCTION_ESCAPE];
    const char *z = pHeld->program;
    resultAdd(p, ",\"slot\":%u,\"pid\":%u,\"program\":\"", pHeld->slot, pHeld->pid);
    for (; *z != '\0'; z++) {
      (void)functionEscape(zOut, *z);
      resultAdd(p, "%s", zOut);
    }
    resultAdd(p, "\"");
  } else if (pHeld->kind == MMAPSYNC_PIN_COUNTER) {
    resultAdd(p, ",\"count\":%u", pHeld->pins[0] + pHeld->pins[1]);
  }
  resultAdd(p, "}");
}

static void resultWait(Result *p, const mmapsync *h, const mmapsync_result *pDone) {
  size_t i, n;
  const mmapsync_reader *aHeld = mmapsync_held(h, &n);
  resultAdd(p, ",\"waited_ms\":%u,\"reset\":%s,\"replaced\":%s,\"held\":[", pDone->waited_ms,
            pDone->reset ? "true" : "false", pDone->replaced ? "true" : "false");
  for (i = 0; i < n; i++) {
    if (i > 0) resultAdd(p, ",");
    resultHeld(p, &aHeld[i]);
  }
  resultAdd(p, "]");
}

/*
** Makes it the function's, which has it from then on.
*/
static void resultJson(sqlite3_context *pCtx, Result *p) {
  resultAdd(p, "%s}", p->zTail == NULL ? "" : p->zTail);
  sqlite3_result_text(pCtx, p->z, -1,
                      sqlite3_free); /* with a length SQLite would copy it to end it */
  sqlite3_result_subtype(pCtx, 'J');
  p->z = NULL;
}

/* ---- mmapsync_publish ---------------------------------------------------------------------------- */

typedef struct PublishItem {
  char *zSpec; /* the argument */
  Source *pSource;
  sqlite3_stmt *pStmt; /* its SELECT */
} PublishItem;

typedef struct Publish {
  sqlite3 *db;
  Channel *pChannel;
  int nItem;
  PublishItem *aItem;
  sqlite3_stmt *pGuard; /* keeps the read transaction open */
  mmapsync_builder *pBuilder;
  Result result;
} Publish;

static void itemClear(PublishItem *p) {
  sqlite3_finalize(p->pStmt);
  sourceClose(p->pSource);
  p->pStmt = NULL;
  p->pSource = NULL;
}

/*
** SQLite's sentence about a source.
*/
static int itemError(const PublishItem *p, sqlite3 *db, int rc, char **pzErr) {
  *pzErr = sqlite3_mprintf("\"%s\": %s", p->pSource->def.name, sqlite3_errmsg(db));
  return rc;
}

/*
** Reads the specification of an item and prepares its SELECT.
*/
static int itemOpen(PublishItem *p, Registry *pRegistry, char **pzErr) {
  sqlite3 *db = registryDb(pRegistry);
  int rc = sourceOpen(pRegistry, p->zSpec, &p->pSource, pzErr);
  if (rc == SQLITE_OK) {
    rc = sqlite3_prepare_v2(db, p->pSource->zSelect, -1, &p->pStmt, NULL);
    if (rc != SQLITE_OK) rc = itemError(p, db, rc, pzErr);
  }
  return rc;
}

/*
** Takes the first step of an item's SELECT.  If that finds another schema than the one that the item was
** read from, the item is read anew: the read transaction keeps it from happening twice.
*/
static int itemStart(PublishItem *p, Registry *pRegistry, char **pzErr) {
  sqlite3 *db = registryDb(pRegistry);
  int rc = sqlite3_step(p->pStmt);
  int bStale = sqlite3_stmt_status(p->pStmt, SQLITE_STMTSTATUS_REPREPARE, 0) > 0;
  if (rc != SQLITE_ROW && rc != SQLITE_DONE) itemError(p, db, rc, pzErr);
  if (rc == SQLITE_ERROR && !bStale) { /* it could not be prepared again, or else it is the data */
    sqlite3_stmt *pStmt = NULL;
    bStale = sqlite3_prepare_v2(db, p->pSource->zSelect, -1, &pStmt, NULL) != SQLITE_OK;
    sqlite3_finalize(pStmt);
  }
  if (bStale) {
    sqlite3_free(*pzErr);
    *pzErr = NULL;
    itemClear(p);
    rc = itemOpen(p, pRegistry, pzErr);
    if (rc != SQLITE_OK) return rc;
    rc = sqlite3_step(p->pStmt);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) itemError(p, db, rc, pzErr);
  }
  return rc;
}

/*
** Hands over a value.  Failures of the core show at the end of the row.
**
** The sqlite3_column_...() functions lock the connection's mutex, each of them; the statement that runs
** mmapsync_publish() holds it all the while, so the value may be asked itself, which does not.
*/
static int publishValue(mmapsync_builder *pBuilder, sqlite3_stmt *pStmt, int i) {
  sqlite3_value *pVal = sqlite3_column_value(pStmt, i);
  const void *pBytes;
  int n;
  switch (sqlite3_value_type(pVal)) {
  case SQLITE_INTEGER: mmapsync_build_int(pBuilder, sqlite3_value_int64(pVal)); break;
  case SQLITE_FLOAT: mmapsync_build_real(pBuilder, sqlite3_value_double(pVal)); break;
  case SQLITE_TEXT:
    pBytes = sqlite3_value_text(pVal);
    if (pBytes == NULL) return SQLITE_NOMEM;
    n = sqlite3_value_bytes(pVal);
    mmapsync_build_text(pBuilder, pBytes, (size_t)n);
    break;
  case SQLITE_BLOB:
    n = sqlite3_value_bytes(pVal); /* before: a zeroblob that cannot be made has none any more */
    pBytes = sqlite3_value_blob(pVal); /* NULL for an empty one */
    if (pBytes == NULL && n > 0) return SQLITE_NOMEM;
    mmapsync_build_blob(pBuilder, pBytes == NULL ? "" : pBytes, (size_t)n);
    break;
  default: mmapsync_build_null(pBuilder); break;
  }
  return SQLITE_OK;
}

/*
** Hands over a table.
*/
static int publishTable(Publish *p, PublishItem *pItem, char **pzErr) {
  int i, nCol, rcCore;
  int rc = itemStart(pItem, p->pChannel->pRegistry, pzErr);
  if (rc != SQLITE_ROW && rc != SQLITE_DONE) return rc;
  nCol = pItem->pSource->def.ncolumns;
  rcCore = mmapsync_build_table(p->pBuilder, &pItem->pSource->def);
  while (rcCore == MMAPSYNC_OK && rc == SQLITE_ROW) {
    for (i = 0; i < nCol; i++) {
      rc = publishValue(p->pBuilder, pItem->pStmt, i);
      if (rc != SQLITE_OK) return rc;
    }
    rcCore = mmapsync_build_row(p->pBuilder);
    if (rcCore != MMAPSYNC_OK) break;
    rc = sqlite3_step(pItem->pStmt);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) return itemError(pItem, p->db, rc, pzErr);
  }
  if (rcCore == MMAPSYNC_OK) rcCore = mmapsync_build_end(p->pBuilder);
  if (rcCore != MMAPSYNC_OK) return channelFail(p->pChannel, rcCore, pzErr);
  (void)sqlite3_reset(pItem->pStmt);
  return SQLITE_OK;
}

/*
** Opens the read transaction, or makes sure it is one if there is one.
*/
static int publishGuard(Publish *p, char **pzErr) {
  int rc = sqlite3_prepare_v2(p->db, "SELECT 1 UNION ALL SELECT 1 FROM temp.sqlite_schema", -1,
                              &p->pGuard, NULL);
  if (rc == SQLITE_OK) rc = sqlite3_step(p->pGuard);
  if (rc == SQLITE_ROW) return SQLITE_OK;
  *pzErr = sqlite3_mprintf("%s", sqlite3_errmsg(p->db));
  return rc;
}

/*
** Ends the read transaction, unless the caller has begun it.
*/
static void publishRelease(Publish *p) {
  sqlite3_finalize(p->pGuard);
  p->pGuard = NULL;
}

/*
** Reads the specifications, as of one state of the schema.
*/
static int publishSources(Publish *p, char **pzErr) {
  int i, j;
  int rc = publishGuard(p, pzErr);
  for (i = 0; rc == SQLITE_OK && i < p->nItem; i++) {
    rc = itemOpen(&p->aItem[i], p->pChannel->pRegistry, pzErr);
    for (j = 0; rc == SQLITE_OK && j < i; j++) {
      const char *zName = p->aItem[i].pSource->def.name;
      if (sqlite3_stricmp(zName, p->aItem[j].pSource->def.name) == 0) {
        *pzErr = sqlite3_mprintf("two sources are named \"%s\"", zName);
        rc = SQLITE_ERROR;
      }
    }
  }
  publishRelease(p);
  return rc;
}

/*
** Takes the memory for the result, and writes its end: what could not be carried.
*/
static int publishRoom(Publish *p) {
  sqlite3_str *pStr = sqlite3_str_new(p->db);
  const char *zSep = "";
  int i, j;
  sqlite3_str_appendall(pStr, ",\"skipped\":[");
  for (i = 0; i < p->nItem; i++) {
    for (j = 0; j < p->aItem[i].pSource->nSkipped; j++) {
      sqlite3_str_appendall(pStr, zSep);
      functionJson(pStr, p->aItem[i].pSource->azSkipped[j]);
      zSep = ",";
    }
  }
  sqlite3_str_appendchar(pStr, 1, ']');
  p->result.zTail = sqlite3_str_finish(pStr);
  return p->result.zTail == NULL ? SQLITE_NOMEM : resultNew(&p->result);
}

/*
** Publishes the sources.
*/
static int publishRun(Publish *p, mmapsync_result *pDone, char **pzErr) {
  int i, rcCore;
  Slow slow;
  int rc = publishSources(p, pzErr);
  if (rc != SQLITE_OK) return rc;
  rc = slowStart(&slow, p->pChannel, &p->pChannel->opt, pzErr);
  if (rc == SQLITE_OK) rc = writeReads(p->pChannel, pzErr);
  while (rc == SQLITE_OK) {
    rcCore = mmapsync_build_begin(p->pChannel->h, &p->pBuilder);
    if (rcCore == MMAPSYNC_OK) break;
    rc = slowAgain(&slow, rcCore, pzErr);
  }
  if (rc == SQLITE_OK) {
    rc = publishGuard(p, pzErr);
    for (i = 0; rc == SQLITE_OK && i < p->nItem; i++) rc = publishTable(p, &p->aItem[i], pzErr);
    publishRelease(p);
    if (rc == SQLITE_OK) rc = publishRoom(p);
    if (rc != SQLITE_OK) {
      mmapsync_build_abort(p->pBuilder);
    } else {
      rcCore = mmapsync_build_commit(p->pBuilder, pDone);
      if (rcCore != MMAPSYNC_OK) rc = channelFail(p->pChannel, rcCore, pzErr);
    }
    p->pBuilder = NULL;
  }
  slowEnd(&slow);
  return rc;
}

/*
** The JSON that tells what was published.
*/
static void publishResult(sqlite3_context *pCtx, Publish *p, const mmapsync_result *pDone) {
  resultDone(&p->result, pDone);
  resultAdd(&p->result, ",\"rows\":%lld,\"tables\":%u", (sqlite3_int64)pDone->rows, pDone->tables);
  resultWait(&p->result, p->pChannel->h, pDone);
  resultJson(pCtx, &p->result);
}

/*
** mmapsync_publish(path, source, ...)
*/
static void publishFunc(sqlite3_context *pCtx, int argc, sqlite3_value **argv) {
  static const char zFunc[] = "mmapsync_publish";
  Publish run = {.db = sqlite3_context_db_handle(pCtx), .nItem = argc - 1};
  mmapsync_result done;
  char *zErr = NULL;
  int i, rc = SQLITE_OK;
  if (argc < 2) {
    functionFail(pCtx, SQLITE_ERROR,
                 sqlite3_mprintf("%s: expected a path and at least one table or view", zFunc));
    return;
  }
  run.aItem = sqlite3_malloc64(sizeof(*run.aItem) * (size_t)run.nItem);
  if (run.aItem == NULL) {
    sqlite3_result_error_nomem(pCtx);
    return;
  }
  memset(run.aItem, 0, sizeof(*run.aItem) * (size_t)run.nItem);
  for (i = 0; rc == SQLITE_OK && i < run.nItem; i++) {
    rc =
        functionText(zFunc, "the name of a table or view", argv[i + 1], &run.aItem[i].zSpec, &zErr);
  }
  if (rc == SQLITE_OK && writeRefused(run.db, &zErr)) rc = SQLITE_ERROR;
  if (rc == SQLITE_OK) rc = functionChannel(pCtx, zFunc, argv[0], &run.pChannel, &zErr);
  if (rc == SQLITE_OK) rc = publishRun(&run, &done, &zErr);
  if (rc == SQLITE_OK) {
    publishResult(pCtx, &run, &done);
  } else {
    functionFail(pCtx, rc, zErr);
  }
  for (i = 0; i < run.nItem; i++) {
    itemClear(&run.aItem[i]);
    sqlite3_free(run.aItem[i].zSpec);
  }
  sqlite3_free(run.aItem);
  resultFree(&run.result);
}

/* ---- mmapsync_write ------------------------------------------------------------------------------ */

/*
** The bytes of a text or blob, as they are.
*/
static int writeBytes(const char *zFunc, sqlite3_value *pVal, const void **ppBytes, size_t *pn,
                      char **pzErr) {
  int eType = sqlite3_value_type(pVal);
  if (eType != SQLITE_TEXT && eType != SQLITE_BLOB) {
    return functionExpected(zFunc, "text or a blob", pVal, pzErr);
  }
  return functionBytes(pVal, ppBytes, pn);
}

/*
** mmapsync_write(path, bytes [, grace_ms])
*/
static void writeFunc(sqlite3_context *pCtx, int argc, sqlite3_value **argv) {
  static const char zFunc[] = "mmapsync_write";
  sqlite3 *db = sqlite3_context_db_handle(pCtx);
  Channel *pChannel = NULL;
  mmapsync_options opt;
  mmapsync_result done;
  const void *pBytes = NULL;
  Result result = {NULL, 0, 0, NULL};
  size_t n = 0;
  char *zErr = NULL;
  int rc = writeBytes(zFunc, argv[1], &pBytes, &n, &zErr);
  if (rc == SQLITE_OK && writeRefused(db, &zErr)) rc = SQLITE_ERROR;
  if (rc == SQLITE_OK) rc = functionChannel(pCtx, zFunc, argv[0], &pChannel, &zErr);
  if (rc == SQLITE_OK) {
    opt = pChannel->opt;
    if (argc == 3) rc = functionGrace(zFunc, argv[2], &opt.grace_ms, &zErr);
  }
  if (rc == SQLITE_OK) rc = resultNew(&result);
  if (rc == SQLITE_OK) {
    Slow slow;
    rc = slowStart(&slow, pChannel, &opt, &zErr);
    if (rc == SQLITE_OK) rc = writeReads(pChannel, &zErr);
    while (rc == SQLITE_OK) {
      int rcCore = mmapsync_write(pChannel->h, pBytes, n, &done);
      if (rcCore == MMAPSYNC_OK) break;
      rc = slowAgain(&slow, rcCore, &zErr);
    }
    slowEnd(&slow);
  }
  if (rc == SQLITE_OK) {
    resultDone(&result, &done);
    resultWait(&result, pChannel->h, &done);
    resultJson(pCtx, &result);
  } else {
    functionFail(pCtx, rc, zErr);
  }
  resultFree(&result);
}

int publishRegister(sqlite3 *db, Registry *p) {
  const int flags = SQLITE_DIRECTONLY | PUBLISH_SUBTYPE;
  int rc = functionAdd(db, p, "mmapsync_publish", -1, flags, publishFunc);
  if (rc == SQLITE_OK) rc = functionAdd(db, p, "mmapsync_write", 2, flags, writeFunc);
  if (rc == SQLITE_OK) rc = functionAdd(db, p, "mmapsync_write", 3, flags, writeFunc);
  return rc;
}
