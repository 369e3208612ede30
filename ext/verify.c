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
** no channel) is an error.  A virtual table whose table or column is gone is told by the pragmas as damage is, since
** statements that read it fail.
**
** All of it can be interrupted.
*/
#include "vtab.h"

/*
** Looks at one table of the pinned snapshot.  OK or a code of the core, with its sentence in the handle.
*/
static int verifyTable(Channel *pChannel, const mmapsync_table *pTab, int bQuick) {
  int rc = bQuick ? MMAPSYNC_OK : mmapsync_verify_view(pChannel->h, &pChannel->view);
  return rc == MMAPSYNC_OK ? mmapsync_table_check(pChannel->h, pTab, !bQuick) : rc;
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
  int rc, rcCore;
  (void)zSchema;
  (void)zName;
  rc = slowStart(&slow, pChannel, &pChannel->opt, &zErr);
  if (rc == SQLITE_OK) rc = channelPin(pChannel, 1, &zErr);
  if (rc == SQLITE_OK) {
    rc = vtabMatch(p);
    if (rc == SQLITE_OK && p->mMissing != 0) rc = vtabMissing(p, p->mMissing);
    if (rc == SQLITE_OK) {
      rcCore = verifyTable(pChannel, p->pTab, bQuick);
      if (rcCore != MMAPSYNC_OK) rc = channelFail(pChannel, rcCore, &zErr);
    } else {
      zErr = p->base.zErrMsg;
      p->base.zErrMsg = NULL;
    }
    channelUnpin(pChannel);
  }
  slowEnd(&slow);
  if (rc != SQLITE_OK && rc != SQLITE_NOMEM && rc != SQLITE_INTERRUPT) {
    *pzOut = zErr;
    return zErr == NULL ? SQLITE_NOMEM : SQLITE_OK;
  }
  sqlite3_free(zErr);
  return rc;
}

/* ---- mmapsync_verify --------------------------------------------------------------------------- */

/*
** The check of a table by its name.  *pbLooked: whether it came to it, and so whether a failure is the answer.
*/
static int verifyNamed(Channel *pChannel, sqlite3_value *pName, int *pbLooked, char **pzErr) {
  char *zName = NULL;
  const mmapsync_table *pTab;
  int rcCore = MMAPSYNC_OK;
  int rc = functionText("mmapsync_verify", "a table's name", pName, &zName, pzErr);
  if (rc == SQLITE_OK) rc = channelPin(pChannel, 1, pzErr);
  if (rc == SQLITE_OK) {
    pTab = mmapsync_table_find(pChannel->pImage, zName);
    if (pTab == NULL) {
      *pzErr = vtabNoTable(pChannel, zName);
      rc = *pzErr == NULL ? SQLITE_NOMEM : SQLITE_ERROR;
    } else {
      rcCore = verifyTable(pChannel, pTab, 0);
      if (rcCore != MMAPSYNC_OK) rc = channelFail(pChannel, rcCore, pzErr);
    }
    channelUnpin(pChannel);
  }
  sqlite3_free(zName);
  *pbLooked = rcCore == MMAPSYNC_CORRUPT;
  return rc;
}

static void verifyFunc(sqlite3_context *pCtx, int argc, sqlite3_value **argv) {
  Channel *pChannel = NULL;
  Slow slow;
  char *zErr = NULL;
  int bLooked = 0;
  int rc = functionChannel(pCtx, "mmapsync_verify", argv[0], &pChannel, &zErr);
  if (rc == SQLITE_OK) {
    rc = slowStart(&slow, pChannel, &pChannel->opt, &zErr);
    if (rc == SQLITE_OK && argc > 1) {
      rc = verifyNamed(pChannel, argv[1], &bLooked, &zErr);
    } else if (rc == SQLITE_OK) {
      int rcCore = mmapsync_verify(pChannel->h);
      bLooked = rcCore == MMAPSYNC_CORRUPT;
      if (rcCore != MMAPSYNC_OK) rc = channelFail(pChannel, rcCore, &zErr);
    }
    slowEnd(&slow);
  }
  if (rc == SQLITE_OK) {
    sqlite3_result_text(pCtx, "ok", -1, SQLITE_STATIC);
  } else if (bLooked && zErr != NULL) {
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
