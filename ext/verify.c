/*
** verify.c - looking for damage: mmapsync_verify(path [, table]) and PRAGMA integrity_check.
**
**     mmapsync_verify(path)          the newest snapshot's bytes against their hash
**     mmapsync_verify(path, table)   the same for the snapshot that the connection reads now, and then the table:
**                                    every value, what is known of each column, every key
**     PRAGMA integrity_check         from SQLite 3.44 on: the latter, for each virtual table of the module
**     PRAGMA quick_check             likewise, but neither the hash nor the keys
**
** Damage is an answer: a sentence, where 'ok' would stand.  Only what keeps it from looking (no memory, an interrupt,
** no channel, no rights, a disk that cannot be read) is an error.  A virtual table whose table or column is gone is told
** by the pragmas as damage is, since statements that read it fail.  Of an error they give the code only, as SQLite has
** them do it; the sentence goes to SQLite's log, and mmapsync_verify() gives it.
**
** All of it can be interrupted.
*/
#include "always.h"
#include "vtab.h"

/*
** Pins the snapshot with its image.  Unless bQuick, its bytes are compared with their hash before: what is damaged
** may say anything of itself.
*/
static int verifyPin(Channel *pChannel, int bQuick, char **pzErr) {
  int rc = channelPin(pChannel, 0, pzErr);
  if (rc != SQLITE_OK) return rc;
  if (!bQuick) {
    int rcCore = mmapsync_verify_view(pChannel->h, &pChannel->view);
    if (rcCore != MMAPSYNC_OK) rc = channelFail(pChannel, rcCore, pzErr);
  }
  if (rc == SQLITE_OK) rc = channelPin(pChannel, 1, pzErr);
  channelUnpin(pChannel);
  return rc;
}

/*
** Looks at one table of the pinned snapshot.
*/
static int verifyTable(Channel *pChannel, const mmapsync_table *pTab, int bQuick, char **pzErr) {
  int rcCore = mmapsync_table_check(pChannel->h, pTab, !bQuick);
  return rcCore == MMAPSYNC_OK ? SQLITE_OK : channelFail(pChannel, rcCore, pzErr);
}

/* ---- PRAGMA integrity_check -------------------------------------------------------------------- */

/*
** xIntegrity.  The answer goes to *pzOut, and is left NULL if all is well.
*/
int vtabIntegrity(sqlite3_vtab *pVtab, const char *zSchema, const char *zName, int bQuick,
                  char **pzOut) {
  VtabTable *p = (VtabTable *)pVtab;
  Channel *pChannel = p->pChannel;
  Slow slow;
  char *zErr = NULL;
  int i, rc;
  (void)zSchema;
  (void)zName;
  rc = slowLook(&slow, pChannel, &zErr);
  if (rc == SQLITE_OK) rc = verifyPin(pChannel, bQuick, &zErr);
  if (rc == SQLITE_OK) {
    rc = vtabMatch(p);
    if (rc == SQLITE_OK && p->mMissing != 0) rc = vtabMissing(p, p->mMissing);
    for (i = 63; rc == SQLITE_OK && i < p->nCol; i++) { /* of which mMissing does not tell */
      if (p->aMap[i] < 0) rc = vtabGone(p, i);
    }
    if (rc == SQLITE_OK) {
      rc = verifyTable(pChannel, p->pTab, bQuick, &zErr);
    } else {
      zErr = p->base.zErrMsg;
      p->base.zErrMsg = NULL;
    }
    channelUnpin(pChannel);
  }
  slowEnd(&slow);
  /* These two have a sentence wherever they come from; without one the answer would be that all is well. */
  if ((rc == SQLITE_CORRUPT_VTAB || rc == SQLITE_ERROR) && ALWAYS(zErr != NULL)) {
    *pzOut = zErr;
    return SQLITE_OK;
  }
  if (zErr != NULL) sqlite3_log(rc, "%s", zErr);
  sqlite3_free(zErr);
  return rc;
}

/* ---- mmapsync_verify --------------------------------------------------------------------------- */

/*
** The check of a table by its name.
*/
static int verifyNamed(Channel *pChannel, sqlite3_value *pName, char **pzErr) {
  char *zName = NULL;
  const mmapsync_table *pTab;
  int rc = functionText("mmapsync_verify", "a table's name", pName, &zName, pzErr);
  if (rc == SQLITE_OK) rc = verifyPin(pChannel, 0, pzErr);
  if (rc == SQLITE_OK) {
    pTab = mmapsync_table_find(pChannel->pImage, zName);
    if (pTab == NULL) {
      *pzErr = vtabNoTable(pChannel, zName);
      rc = *pzErr == NULL ? SQLITE_NOMEM : SQLITE_ERROR;
    } else {
      rc = verifyTable(pChannel, pTab, 0, pzErr);
    }
    channelUnpin(pChannel);
  }
  sqlite3_free(zName);
  return rc;
}

static void verifyFunc(sqlite3_context *pCtx, int argc, sqlite3_value **argv) {
  Channel *pChannel = NULL;
  Slow slow;
  char *zErr = NULL;
  int bDamaged = 0; /* which is the answer */
  int rc = functionChannel(pCtx, "mmapsync_verify", argv[0], &pChannel, &zErr);
  if (rc == SQLITE_OK) {
    rc = slowLook(&slow, pChannel, &zErr);
    if (rc == SQLITE_OK && argc > 1) {
      rc = verifyNamed(pChannel, argv[1], &zErr);
    } else if (rc == SQLITE_OK) {
      int rcCore = mmapsync_verify(pChannel->h);
      if (rcCore != MMAPSYNC_OK) rc = channelFail(pChannel, rcCore, &zErr);
    }
    bDamaged = rc == SQLITE_CORRUPT_VTAB;
    slowEnd(&slow);
  }
  if (rc == SQLITE_OK) {
    sqlite3_result_text(pCtx, "ok", -1, SQLITE_STATIC);
  } else if (bDamaged) {
    sqlite3_result_text(pCtx, zErr, -1, sqlite3_free);
  } else {
    functionFail(pCtx, rc, zErr);
  }
}

int verifyRegister(sqlite3 *db, Registry *p) {
  int rc = functionAdd(db, p, "mmapsync_verify", 1, SQLITE_DIRECTONLY, verifyFunc);
  if (rc == SQLITE_OK) {
    rc = functionAdd(db, p, "mmapsync_verify", 2, SQLITE_DIRECTONLY, verifyFunc);
  }
  return rc;
}
