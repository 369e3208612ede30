/*
** functions.c - the scalar functions that do not publish, and what all scalar functions share.
**
**     mmapsync_version(path), mmapsync_sequence(path)    cheap; NULL if nothing was published yet
**     mmapsync_read(path)                                the payload, as a blob; NULL as above
**     mmapsync_attach(path)                              a virtual table for each table in the channel
**     mmapsync_pin(path), mmapsync_unpin(path)           one snapshot over several statements
**     mmapsync_config(path, name [, value])              a setting of this connection's channel
**     mmapsync_info()                                    what this build is
**
** Those that give numbers may stand in views and triggers, as monitoring wants it.  The others are
** SQLITE_DIRECTONLY: a schema that someone else wrote must not get to read what a channel holds, to keep
** the machine busy with hashing, or to change the connection.  In temp views, which only this connection
** can have made, all may stand.
**
** ATTACH.  The tables are made in the temp schema, so that they are this connection's own, need no right
** to write and go away with it.  Calling it again does no harm: a table that it has made before is left
** alone if it is declared as the snapshot would have it now, and made again if it is not.  Which tables it
** has made it knows by their CREATE statement, word for word.  It looks at all names before it makes the
** first table, and makes all that are to be made or none: there are never fewer tables than before.
*/
#include "ext.h"

#include <assert.h>
#include <string.h>

/* ---- shared by all scalar functions ------------------------------------------------------------- */

int functionAdd(sqlite3 *db, Registry *p, const char *zName, int nArg, int flags,
                void (*xFunc)(sqlite3_context *, int, sqlite3_value **)) {
  registryRef(p); /* given back by registryUnref() even if this fails */
  return sqlite3_create_function_v2(db, zName, nArg, SQLITE_UTF8 | flags, p, xFunc, NULL, NULL,
                                    registryUnref);
}

void functionFail(sqlite3_context *pCtx, int rc, char *zErr) {
  assert(rc != SQLITE_OK);
  /* SQLITE_ERROR always has a sentence, unless memory is short for it. */
  if (rc == SQLITE_NOMEM || (rc == SQLITE_ERROR && zErr == NULL)) {
    sqlite3_result_error_nomem(pCtx);
  } else {
    /* The code after the sentence: on its own the code would bring SQLite's words for it. */
    if (zErr != NULL) sqlite3_result_error(pCtx, zErr, -1);
    sqlite3_result_error_code(pCtx, rc);
  }
  sqlite3_free(zErr);
}

/*
** What a value is, for a sentence: `NULL`, `7`, `"abc"`, `a blob`.  sqlite3_malloc.
*/
static char *functionFound(sqlite3_value *pVal) {
  char zClip[CLIP_MOST + 4];
  const char *z;
  switch (sqlite3_value_type(pVal)) {
  case SQLITE_NULL: return sqlite3_mprintf("NULL");
  case SQLITE_INTEGER: return sqlite3_mprintf("%lld", sqlite3_value_int64(pVal));
  case SQLITE_FLOAT: return sqlite3_mprintf("%!.15g", sqlite3_value_double(pVal));
  case SQLITE_TEXT:
    z = (const char *)sqlite3_value_text(pVal);
    return z == NULL ? NULL : sqlite3_mprintf("\"%s\"", valueClip(zClip, z, CLIP_MOST));
  default: return sqlite3_mprintf("a blob");
  }
}

int functionExpected(const char *zWhere, const char *zWhat, sqlite3_value *pVal, char **pzErr) {
  char *zFound = functionFound(pVal);
  if (zFound == NULL) return SQLITE_NOMEM;
  *pzErr = sqlite3_mprintf("%s: expected %s, found %z", zWhere, zWhat, zFound);
  return *pzErr == NULL ? SQLITE_NOMEM : SQLITE_ERROR;
}

int functionBytes(sqlite3_value *pVal, const void **ppBytes, size_t *pn) {
  if (sqlite3_value_type(pVal) == SQLITE_TEXT) {
    *ppBytes = sqlite3_value_text(pVal); /* before its length, which is that of UTF-8 */
    *pn = (size_t)sqlite3_value_bytes(pVal);
    return *ppBytes == NULL ? SQLITE_NOMEM : SQLITE_OK;
  }
  *pn = (size_t)sqlite3_value_bytes(
      pVal); /* before: a zeroblob that cannot be made has none any more */
  *ppBytes = *pn == 0 ? "" : sqlite3_value_blob(pVal);
  return *ppBytes == NULL ? SQLITE_NOMEM : SQLITE_OK;
}

int functionText(const char *zFunc, const char *zWhat, sqlite3_value *pVal, char **pzOut,
                 char **pzErr) {
  int eType = sqlite3_value_type(pVal);
  const void *p;
  size_t n;
  *pzOut = NULL;
  if (eType != SQLITE_TEXT && eType != SQLITE_BLOB) {
    return functionExpected(zFunc, zWhat, pVal, pzErr);
  }
  if (functionBytes(pVal, &p, &n) != SQLITE_OK) return SQLITE_NOMEM;
  if (memchr(p, 0, n) != NULL) {
    *pzErr = sqlite3_mprintf("%s: expected %s, found a NUL byte in it", zFunc, zWhat);
    return *pzErr == NULL ? SQLITE_NOMEM : SQLITE_ERROR;
  }
  *pzOut = sqlite3_malloc64(n + 1);
  if (*pzOut == NULL) return SQLITE_NOMEM;
  memcpy(*pzOut, p, n);
  (*pzOut)[n] = '\0';
  return SQLITE_OK;
}

int functionGrace(const char *zWhat, sqlite3_value *pVal, uint32_t *pGrace, char **pzErr) {
  if (sqlite3_value_numeric_type(pVal) == SQLITE_INTEGER) {
    sqlite3_int64 i = sqlite3_value_int64(pVal);
    if (i >= 0 && i <= UINT32_MAX) {
      *pGrace = (uint32_t)i;
      return SQLITE_OK;
    }
  }
  return functionExpected(zWhat, "milliseconds from 0 to 4294967295", pVal, pzErr);
}

int functionChannel(sqlite3_context *pCtx, const char *zFunc, sqlite3_value *pPath,
                    Channel **ppChannel, char **pzErr) {
  char *zPath = NULL;
  int rc = functionText(zFunc, "a path", pPath, &zPath, pzErr);
  if (rc == SQLITE_OK) rc = channelGet(sqlite3_user_data(pCtx), zPath, ppChannel, pzErr);
  sqlite3_free(zPath);
  return rc;
}

int functionEscape(char zOut[FUNCTION_ESCAPE], char c) {
  if (c == '"' || c == '\\') {
    sqlite3_snprintf(FUNCTION_ESCAPE, zOut, "\\%c", c);
  } else if ((unsigned char)c < 0x20) {
    sqlite3_snprintf(FUNCTION_ESCAPE, zOut, "\\u%04x", (unsigned)c);
  } else {
    zOut[0] = c;
    zOut[1] = '\0';
  }
  return (int)strlen(zOut);
}

void functionJson(sqlite3_str *pStr, const char *z) {
  char zOut[FUNCTION_ESCAPE];
  sqlite3_str_appendchar(pStr, 1, '"');
  for (; *z != '\0'; z++) sqlite3_str_append(pStr, zOut, functionEscape(zOut, *z));
  sqlite3_str_appendchar(pStr, 1, '"');
}

/* ---- looking ------------------------------------------------------------------------------------ */

/*
** A number of the newest snapshot, as the core gives it.  Being 64 bits without a sign, it comes out as
** SQLite's integer of the same bits.
*/
static void lookFunc(sqlite3_context *pCtx, const char *zFunc, sqlite3_value *pPath,
                     int (*xGet)(mmapsync *, uint64_t *)) {
  Channel *pChannel = NULL;
  char *zErr = NULL;
  uint64_t v = 0;
  int rc = functionChannel(pCtx, zFunc, pPath, &pChannel, &zErr);
  if (rc == SQLITE_OK) {
    int rcCore = xGet(pChannel->h, &v);
    if (rcCore == MMAPSYNC_EMPTY) return; /* NULL */
    if (rcCore != MMAPSYNC_OK) rc = channelFail(pChannel, rcCore, &zErr);
  }
  if (rc == SQLITE_OK) {
    sqlite3_result_int64(pCtx, (sqlite3_int64)v);
  } else {
    functionFail(pCtx, rc, zErr);
  }
}

static void versionFunc(sqlite3_context *pCtx, int argc, sqlite3_value **argv) {
  (void)argc;
  lookFunc(pCtx, "mmapsync_version", argv[0], mmapsync_version);
}

static void sequenceFunc(sqlite3_context *pCtx, int argc, sqlite3_value **argv) {
  (void)argc;
  lookFunc(pCtx, "mmapsync_sequence", argv[0], mmapsync_sequence);
}

/*
** mmapsync_read(path).  It shares the statement's pin, so that it is of the snapshot that the channel's
** tables show.  The bytes are copied, because the result may outlive the pin.
*/
static void readFunc(sqlite3_context *pCtx, int argc, sqlite3_value **argv) {
  Channel *pChannel = NULL;
  char *zErr = NULL;
  uint64_t version;
  int rc = functionChannel(pCtx, "mmapsync_read", argv[0], &pChannel, &zErr);
  (void)argc;
  if (rc == SQLITE_OK) {
    if (mmapsync_version(pChannel->h, &version) == MMAPSYNC_EMPTY) return; /* NULL */
    rc = channelPin(pChannel, 0, &zErr);
  }
  if (rc != SQLITE_OK) {
    functionFail(pCtx, rc, zErr);
    return;
  }
  if (pChannel->view.size >
      (size_t)sqlite3_limit(registryDb(pChannel->pRegistry), SQLITE_LIMIT_LENGTH, -1)) {
    sqlite3_result_error_toobig(pCtx);
  } else {
    sqlite3_result_blob64(pCtx, pChannel->view.data, pChannel->view.size, SQLITE_TRANSIENT);
  }
  channelUnpin(pChannel);
}

/* ---- mmapsync_attach ---------------------------------------------------------------------------- */

#define ATTACH_NEW   0 /* no such table yet */
#define ATTACH_SAME  1 /* made before, and still right */
#define ATTACH_AGAIN 2 /* made before, but the columns have changed */

/*
** The statement that makes the table, from its name on, as SQLite keeps it in the schema.
*/
static char *attachText(Channel *pChannel, const char *zName) {
  return sqlite3_mprintf("\"%w\" USING mmapsync(%Q,%Q)", zName, mmapsync_path(pChannel->h), zName);
}

/*
** What is to be done for a table of the channel.
*/
static int attachLook(Channel *pChannel, const mmapsync_table *pTab, int *peDo, char **pzErr) {
  sqlite3 *db = registryDb(pChannel->pRegistry);
  const char *zName = mmapsync_table_about(pTab)->name;
  sqlite3_stmt *pStmt = NULL;
  char *zText = attachText(pChannel, zName);
  int rc = zText == NULL ? SQLITE_NOMEM : SQLITE_OK;
  *peDo = ATTACH_NEW;
  if (rc == SQLITE_OK) {
    rc = sqlite3_prepare_v2(db,
                            "SELECT sql = 'CREATE VIRTUAL TABLE ' || ?2 FROM temp.sqlite_schema"
                            " WHERE name = ?1 COLLATE NOCASE AND type IN ('table','view')",
                            -1, &pStmt, NULL);
  }
  if (rc == SQLITE_OK) rc = sqlite3_bind_text(pStmt, 1, zName, -1, SQLITE_STATIC);
  if (rc == SQLITE_OK) rc = sqlite3_bind_text(pStmt, 2, zText, -1, SQLITE_STATIC);
  if (rc == SQLITE_OK) rc = sqlite3_step(pStmt);
  if (rc == SQLITE_ROW && sqlite3_column_int(pStmt, 0)) {
    *peDo = ATTACH_AGAIN;
  } else if (rc == SQLITE_ROW) {
    *pzErr = sqlite3_mprintf("cannot attach \"%s\": temp.%s exists already", zName, zName);
    rc = SQLITE_ERROR;
  } else if (rc != SQLITE_DONE && rc != SQLITE_NOMEM) {
    *pzErr = sqlite3_mprintf("cannot attach \"%s\": %s", zName, sqlite3_errmsg(db));
  }
  sqlite3_finalize(pStmt);
  sqlite3_free(zText);
  if (rc == SQLITE_ROW || rc == SQLITE_DONE) rc = SQLITE_OK;
  if (rc == SQLITE_OK && *peDo == ATTACH_AGAIN) {
    int bSame = 0;
    rc = vtabKnows(pChannel->pRegistry, "temp", zName, pTab, &bSame);
    if (bSame) *peDo = ATTACH_SAME;
  }
  return rc;
}

/*
** Makes the virtual table, in place of the old one if there is one.
*/
static int attachMake(Channel *pChannel, const mmapsync_table *pTab, int eDo, char **pzErr) {
  sqlite3 *db = registryDb(pChannel->pRegistry);
  const char *zName = mmapsync_table_about(pTab)->name;
  char *zText = attachText(pChannel, zName);
  char *zDrop = sqlite3_mprintf("DROP TABLE temp.\"%w\"", zName);
  char *zMake = sqlite3_mprintf("CREATE VIRTUAL TABLE temp.%s", zText);
  int rc = SQLITE_NOMEM;
  if (zText != NULL && zDrop != NULL && zMake != NULL) {
    rc = eDo == ATTACH_AGAIN ? sqlite3_exec(db, zDrop, NULL, NULL, NULL) : SQLITE_OK;
    if (rc == SQLITE_OK) rc = sqlite3_exec(db, zMake, NULL, NULL, NULL);
    if (rc != SQLITE_OK) {
      *pzErr = sqlite3_mprintf("cannot attach \"%s\": %s", zName, sqlite3_errmsg(db));
    }
  }
  sqlite3_free(zText);
  sqlite3_free(zDrop);
  sqlite3_free(zMake);
  return rc;
}

/*
** Undoes all that was made since the savepoint if bUndo, and ends it.
**
** An interrupted connection refuses to prepare a statement, ROLLBACK TO and RELEASE too.  But a write that
** is interrupted rolls back the whole transaction, and opening a blob for writing is a write that needs
** no statement of ours: then nothing is left half made, nor is a transaction left open.  Out of memory it
** refuses that as well; if it has not rolled back by itself, the savepoint then stays open until the next
** COMMIT or ROLLBACK.  So it does in a host that was built without blobs.
*/
#ifdef SQLITE_CORE
#define HAS_BLOBS 1
#else
#define HAS_BLOBS (sqlite3_api->blob_open != NULL)
#endif

static int attachEnd(sqlite3 *db, int bUndo) {
  int rc = SQLITE_OK;
  if (bUndo) rc = sqlite3_exec(db, "ROLLBACK TO mmapsync_attach", NULL, NULL, NULL);
  if (rc == SQLITE_OK) rc = sqlite3_exec(db, "RELEASE mmapsync_attach", NULL, NULL, NULL);
#ifndef SQLITE_OMIT_INCRBLOB
  if (rc == SQLITE_INTERRUPT && !sqlite3_get_autocommit(db) && HAS_BLOBS) {
    sqlite3_blob *pBlob = NULL;
    (void)sqlite3_blob_open(db, "temp", "sqlite_temp_master", "sql", 1, 1, &pBlob);
    sqlite3_blob_close(pBlob);
  }
#endif
  return rc;
}

/*
** Makes the tables that aDo tells, all of them or none.
*/
static int attachRun(Channel *pChannel, const int *aDo, int n, char **pzErr) {
  sqlite3 *db = registryDb(pChannel->pRegistry);
  int i = 0, rc;
  while (i < n && aDo[i] == ATTACH_SAME) i++;
  if (i == n) return SQLITE_OK;
  rc = sqlite3_exec(db, "SAVEPOINT mmapsync_attach", NULL, NULL, NULL);
  if (rc == SQLITE_OK) {
    int rcEnd;
    for (; rc == SQLITE_OK && i < n; i++) {
      if (aDo[i] == ATTACH_SAME) continue;
      rc = attachMake(pChannel, mmapsync_table_at(pChannel->pImage, i), aDo[i], pzErr);
    }
    rcEnd = attachEnd(db, rc != SQLITE_OK);
    if (rc == SQLITE_OK) rc = rcEnd;
  }
  if (rc != SQLITE_OK && *pzErr == NULL) {
    *pzErr = sqlite3_mprintf("cannot attach: %s", sqlite3_errmsg(db));
  }
  return rc;
}

/*
** mmapsync_attach(path)
*/
static void attachFunc(sqlite3_context *pCtx, int argc, sqlite3_value **argv) {
  Channel *pChannel = NULL;
  char *zErr = NULL;
  int *aDo = NULL;
  int i, n = 0;
  int rc = functionChannel(pCtx, "mmapsync_attach", argv[0], &pChannel, &zErr);
  (void)argc;
  if (rc == SQLITE_OK) rc = channelPin(pChannel, 1, &zErr);
  if (rc != SQLITE_OK) {
    functionFail(pCtx, rc, zErr);
    return;
  }
  n = mmapsync_table_count(pChannel->pImage);
  aDo = sqlite3_malloc64(sizeof(*aDo) * ((size_t)n + 1));
  if (aDo == NULL) rc = SQLITE_NOMEM;
  for (i = 0; rc == SQLITE_OK && i < n; i++) {
    rc = attachLook(pChannel, mmapsync_table_at(pChannel->pImage, i), &aDo[i], &zErr);
  }
  if (rc == SQLITE_OK) rc = attachRun(pChannel, aDo, n, &zErr);
  channelUnpin(pChannel);
  sqlite3_free(aDo);
  if (rc == SQLITE_OK) {
    sqlite3_result_int(pCtx, n);
  } else {
    functionFail(pCtx, rc, zErr);
  }
}

/* ---- mmapsync_pin, mmapsync_unpin ------------------------------------------------------------------ */

/*
** mmapsync_pin(path).  It shares the snapshot that is pinned, if one is, and makes it stay: what this
** connection reads of the channel is of that snapshot until as many calls of mmapsync_unpin() have been made,
** and no statement has a cursor on it any more.  Gives its sequence.
*/
static void pinFunc(sqlite3_context *pCtx, int argc, sqlite3_value **argv) {
  Channel *pChannel = NULL;
  char *zErr = NULL;
  int rc = functionChannel(pCtx, "mmapsync_pin", argv[0], &pChannel, &zErr);
  (void)argc;
  if (rc == SQLITE_OK) rc = channelPin(pChannel, 0, &zErr);
  if (rc != SQLITE_OK) {
    functionFail(pCtx, rc, zErr);
    return;
  }
  pChannel->nKept++;
  sqlite3_result_int64(pCtx, (sqlite3_int64)pChannel->view.sequence);
}

/*
** mmapsync_unpin(path).  Gives the number of pins that are left.
*/
static void unpinFunc(sqlite3_context *pCtx, int argc, sqlite3_value **argv) {
  Channel *pChannel = NULL;
  char *zErr = NULL;
  int rc = functionChannel(pCtx, "mmapsync_unpin", argv[0], &pChannel, &zErr);
  (void)argc;
  if (rc == SQLITE_OK && pChannel->nKept == 0) {
    zErr = sqlite3_mprintf("\"%s\": this connection has not pinned it", mmapsync_path(pChannel->h));
    rc = zErr == NULL ? SQLITE_NOMEM : SQLITE_ERROR;
  }
  if (rc != SQLITE_OK) {
    functionFail(pCtx, rc, zErr);
    return;
  }
  pChannel->nKept--;
  channelUnpin(pChannel);
  sqlite3_result_int(pCtx, pChannel->nKept);
}

/* ---- mmapsync_config ---------------------------------------------------------------------------- */

enum { SET_GRACE, SET_DURABLE, SET_VERIFY, SET_PINS, SET_THREADS, SET_FOREIGN, SET_TRUST };
static const char *const azSetting[] = {"grace_ms", "durable",           "verify", "pins",
                                        "threads",  "on_foreign_reader", "trust",  NULL};

static const char *const azVerify[] = {"never", "attach", "snapshot",
                                       NULL};                   /* MMAPSYNC_VERIFY_... */
static const char *const azForeign[] = {"reset", "busy", NULL}; /* MMAPSYNC_FOREIGN_... */
static const char *const azTrust[] = {"map", "copy", NULL};     /* MMAPSYNC_TRUST_... */

/*
** The place of a word in a list, or -1.
*/
static int configFind(const char *const *az, const char *z) {
  int i;
  for (i = 0; az[i] != NULL; i++) {
    if (strcmp(az[i], z) == 0) return i;
  }
  return -1;
}

/*
** Adds the words of a list, each in zQuote: a, b or c.
*/
static void configList(sqlite3_str *pStr, const char *const *az, const char *zQuote) {
  int i;
  for (i = 0; az[i] != NULL; i++) {
    if (i > 0) sqlite3_str_appendall(pStr, az[i + 1] == NULL ? " or " : ", ");
    sqlite3_str_appendf(pStr, "%s%s%s", zQuote, az[i], zQuote);
  }
}

/*
** Reads a value that is one of some words.
*/
static int configWord(const char *zName, const char *const *az, sqlite3_value *pVal, int *pOut,
                      char **pzErr) {
  sqlite3_str *pStr;
  char *zWords;
  int rc;
  if (sqlite3_value_type(pVal) == SQLITE_TEXT) {
    const char *z = (const char *)sqlite3_value_text(pVal);
    int i;
    if (z == NULL) return SQLITE_NOMEM;
    i = configFind(az, z);
    if (i >= 0) {
      *pOut = i;
      return SQLITE_OK;
    }
  }
  pStr = sqlite3_str_new(NULL);
  configList(pStr, az, "\"");
  zWords = sqlite3_str_finish(pStr);
  rc = zWords == NULL ? SQLITE_NOMEM : functionExpected(zName, zWords, pVal, pzErr);
  sqlite3_free(zWords);
  return rc;
}

/*
** A number from 0 to iMost, which zWhat says in words.
*/
static int configNumber(const char *zName, const char *zWhat, int iMost, sqlite3_value *pVal,
                        int *pOut, char **pzErr) {
  if (sqlite3_value_numeric_type(pVal) == SQLITE_INTEGER) {
    sqlite3_int64 v = sqlite3_value_int64(pVal);
    if (v >= 0 && v <= iMost) {
      *pOut = (int)v;
      return SQLITE_OK;
    }
  }
  return functionExpected(zName, zWhat, pVal, pzErr);
}

_Static_assert(MMAPSYNC_THREADS_MOST == 4, "the sentence says so");

/*
** Reads a value into a setting.
*/
static int configSet(int eSet, sqlite3_value *pVal, mmapsync_options *pOpt, char **pzErr) {
  const char *zName = azSetting[eSet];
  switch (eSet) {
  case SET_GRACE: return functionGrace(zName, pVal, &pOpt->grace_ms, pzErr);
  case SET_DURABLE: return configNumber(zName, "0 or 1", 1, pVal, &pOpt->durable, pzErr);
  case SET_THREADS:
    return configNumber(zName, "0 to 4", MMAPSYNC_THREADS_MOST, pVal, &pOpt->threads, pzErr);
  case SET_VERIFY: return configWord(zName, azVerify, pVal, &pOpt->verify, pzErr);
  case SET_PINS: return configWord(zName, channelPinNames, pVal, &pOpt->pins, pzErr);
  case SET_FOREIGN: return configWord(zName, azForeign, pVal, &pOpt->foreign, pzErr);
  default: assert(eSet == SET_TRUST); return configWord(zName, azTrust, pVal, &pOpt->trust, pzErr);
  }
}

/*
** By which kind of pin this connection reads now, which only a read can tell; before the first publish, what
** was set.
*/
static int configPins(Channel *pChannel, int *pePin, char **pzErr) {
  uint64_t sequence;
  int rc = mmapsync_sequence(pChannel->h, &sequence);
  *pePin = rc == MMAPSYNC_OK ? mmapsync_pin_kind(pChannel->h) : pChannel->opt.pins;
  return rc == MMAPSYNC_OK || rc == MMAPSYNC_EMPTY ? SQLITE_OK : channelFail(pChannel, rc, pzErr);
}

/*
** Makes a setting the function's result.
*/
static int configResult(sqlite3_context *pCtx, Channel *pChannel, int eSet, int bAsked,
                        char **pzErr) {
  const mmapsync_options *pOpt = &pChannel->opt;
  const char *zWord = NULL;
  int rc = SQLITE_OK, ePin = pOpt->pins;
  switch (eSet) {
  case SET_GRACE: sqlite3_result_int64(pCtx, pOpt->grace_ms); break;
  case SET_DURABLE: sqlite3_result_int(pCtx, pOpt->durable); break;
  case SET_THREADS: sqlite3_result_int(pCtx, pOpt->threads); break;
  case SET_VERIFY: zWord = azVerify[pOpt->verify]; break;
  case SET_PINS:
    if (bAsked) rc = configPins(pChannel, &ePin, pzErr);
    zWord = channelPinNames[ePin];
    break;
  case SET_FOREIGN: zWord = azForeign[pOpt->foreign]; break;
  default: zWord = azTrust[pOpt->trust]; break;
  }
  if (zWord != NULL) sqlite3_result_text(pCtx, zWord, -1, SQLITE_STATIC);
  return rc;
}

/*
** mmapsync_config(path, name [, value])
*/
static void configFunc(sqlite3_context *pCtx, int argc, sqlite3_value **argv) {
  static const char zFunc[] = "mmapsync_config";
  Channel *pChannel = NULL;
  char *zName = NULL;
  char *zErr = NULL;
  int eSet = -1;
  int rc = functionChannel(pCtx, zFunc, argv[0], &pChannel, &zErr);
  if (rc == SQLITE_OK) rc = functionText(zFunc, "the name of a setting", argv[1], &zName, &zErr);
  if (rc == SQLITE_OK) eSet = configFind(azSetting, zName);
  if (rc == SQLITE_OK && eSet < 0) {
    char zClip[CLIP_MOST + 4];
    sqlite3_str *pStr = sqlite3_str_new(NULL);
    sqlite3_str_appendf(pStr, "unknown setting \"%s\": expected ",
                        valueClip(zClip, zName, CLIP_MOST));
    configList(pStr, azSetting, "");
    zErr = sqlite3_str_finish(pStr);
    rc = zErr == NULL ? SQLITE_NOMEM : SQLITE_ERROR;
  }
  if (rc == SQLITE_OK && argc == 3) {
    mmapsync_options opt = pChannel->opt;
    rc = configSet(eSet, argv[2], &opt, &zErr);
    if (rc == SQLITE_OK) {
      int rcCore = mmapsync_configure(pChannel->h, &opt);
      if (rcCore == MMAPSYNC_OK) {
        pChannel->opt = opt;
      } else {
        rc = channelFail(pChannel, rcCore, &zErr);
      }
    }
  }
  if (rc == SQLITE_OK) rc = configResult(pCtx, pChannel, eSet, argc == 2, &zErr);
  if (rc != SQLITE_OK) functionFail(pCtx, rc, zErr);
  sqlite3_free(zName);
}

/* ---- mmapsync_info ------------------------------------------------------------------------------ */

#ifdef SQLITE_CORE
#define INFO_LINK "static"
#else
#define INFO_LINK "loadable"
#endif

#ifdef __clang__
#define INFO_COMPILER __VERSION__
#else
#define INFO_COMPILER "gcc " __VERSION__
#endif

static void infoFunc(sqlite3_context *pCtx, int argc, sqlite3_value **argv) {
  sqlite3_str *pStr = sqlite3_str_new(sqlite3_context_db_handle(pCtx));
  char *z;
  (void)argc;
  (void)argv;
  sqlite3_str_appendall(pStr, "{\"version\":");
  functionJson(pStr, MMAPSYNC_VERSION);
  sqlite3_str_appendall(pStr, ",\"build\":");
  functionJson(pStr, INFO_COMPILER);
  sqlite3_str_appendf(
      pStr,
      ",\"format\":%d,\"features\":[\"tables\",\"raw\",\"slots\",\"locks\",\"counters\","
      "\"wait\",\"%s\"]}",
      MMAPSYNC_FORMAT, INFO_LINK);
  z = sqlite3_str_finish(pStr);
  if (z == NULL) {
    sqlite3_result_error_nomem(pCtx);
  } else {
    sqlite3_result_text(pCtx, z, -1, sqlite3_free);
  }
}

int functionsRegister(sqlite3 *db, Registry *p) {
  static const struct {
    const char *zName;
    int nArg;
    int flags;
    void (*xFunc)(sqlite3_context *, int, sqlite3_value **);
  } aFunc[] = {
      {"mmapsync_version", 1, 0, versionFunc},
      {"mmapsync_sequence", 1, 0, sequenceFunc},
      {"mmapsync_read", 1, SQLITE_DIRECTONLY, readFunc},
      {"mmapsync_attach", 1, SQLITE_DIRECTONLY, attachFunc},
      {"mmapsync_pin", 1, SQLITE_DIRECTONLY, pinFunc},
      {"mmapsync_unpin", 1, SQLITE_DIRECTONLY, unpinFunc},
      {"mmapsync_config", 2, SQLITE_DIRECTONLY, configFunc},
      {"mmapsync_config", 3, SQLITE_DIRECTONLY, configFunc},
      {"mmapsync_info", 0, SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS, infoFunc},
  };
  size_t i;
  int rc = SQLITE_OK;
  for (i = 0; rc == SQLITE_OK && i < sizeof(aFunc) / sizeof(aFunc[0]); i++) {
    rc = functionAdd(db, p, aFunc[i].zName, aFunc[i].nArg, aFunc[i].flags, aFunc[i].xFunc);
  }
  return rc;
}
