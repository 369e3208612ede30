/*
** vtab.c - CREATE VIRTUAL TABLE t USING mmapsync(path [, table]).
**
** A table over a channel: read only, always the newest snapshot.  What is declared to SQLite when the
** table is created or connected (column names, types, collations, perhaps WITHOUT ROWID) stays for as
** long as the table is connected; what is read is whatever snapshot a statement pins.  The two meet in
** vtabMatch(), which finds each declared column in the snapshot by its name.  It runs once for each
** snapshot, not for each cursor: Channel.iImage tells whether the match still holds.
**
** SNAPSHOTS.  xOpen takes a pin on the channel and xClose gives it back (channel.c counts).  SQLite
** opens all cursors of a query before it reads, and where a subquery is opened again for each row the new
** cursor is open before the old one is closed.  So while a query runs the count stays above zero: all its
** cursors, over all tables of the channel, read one snapshot, and text handed out in place is good for just
** as long.
**
** What a trigger reads is not part of that.  (Only TEMP triggers may read these tables.)  Its program opens
** its own cursors each time it fires and closes them when it is done, so two firings of one statement may
** see two snapshots, unless the statement itself, or another of the connection, has a cursor on the channel,
** or mmapsync_pin() holds one.  Nothing tells the module that the statement around goes on.
**
** A SNAPSHOT OF ANOTHER SHAPE.  A column that is gone, or holds NULL though it was declared NOT NULL, is an error for
** statements that use it, and for no others: colUsed travels in the plan.  New columns stay invisible until the table is created again.
** Keys may come and go: a plan names columns, and xFilter finds a key of the pinned snapshot for them, or scans; an
** order that was promised it makes by sorting, if it must.  Only a WITHOUT ROWID table is held to what it declared:
** its primary key told the planner that rows are unique and not NULL, and that cannot be taken back.
**
** CURSORS that are closed are kept for the next xOpen: with the rows and values they have room for they are
** large, and a lookup is quick.
**
** VALUES.  A cursor has row numbers at hand (vtabwalk.c).  Where there are several, xColumn gets the values of its
** column for CURSOR_COLUMN of them at once, when it is first asked for one of these.
**
** FILES.  vtab.h says what each is for.
*/
#include "vtab.h"

#include <assert.h>
#include <string.h>

/* ---- errors ----------------------------------------------------------------------------------- */

int vtabError(VtabTable *p, int rc, char *zErr) {
  sqlite3_free(p->base.zErrMsg);
  p->base.zErrMsg = zErr;
  return zErr == NULL ? SQLITE_NOMEM : rc;
}

int vtabFail(VtabTable *p, int rcCore) {
  return vtabError(p, channelRc(rcCore),
                   sqlite3_mprintf("\"%s\": damaged table image: table \"%s\" leads outside it",
                                   mmapsync_path(p->pChannel->h), p->zTable));
}

int vtabMissing(VtabTable *p, sqlite3_uint64 mUsed) {
  const sqlite3_uint64 m = mUsed & p->mMissing;
  int i = 0;
  assert(m != 0);
  while (i < 63 && (m >> i & 1) == 0) i++;
  if ((p->mNull >> i & 1) == 0) return vtabGone(p, i);
  while (!p->aCol[i].bNotNull || p->aMap[i] < 0 ||
         mmapsync_column_about(p->pTab, p->aMap[i])->nulls == 0) {
    i++; /* the last bit stands for several */
  }
  return vtabError(p, SQLITE_ERROR,
                   sqlite3_mprintf("\"%s\": table \"%s\": column \"%s\" was declared NOT NULL, and "
                                   "holds NULL now: create the table again",
                                   mmapsync_path(p->pChannel->h), p->zTable, p->aCol[i].zName));
}

int vtabGone(VtabTable *p, int iCol) {
  return vtabError(p, SQLITE_ERROR,
                   sqlite3_mprintf("\"%s\": table \"%s\" has no column \"%s\" any more",
                                   mmapsync_path(p->pChannel->h), p->zTable, p->aCol[iCol].zName));
}

/* ---- cursors ---------------------------------------------------------------------------------- */

static int vtabOpen(sqlite3_vtab *pVtab, sqlite3_vtab_cursor **ppCursor) {
  VtabTable *p = (VtabTable *)pVtab;
  char *zErr = NULL;
  VtabCursor *pCur = NULL;
  int rc = channelPin(p->pChannel, 1, &zErr);
  if (rc != SQLITE_OK) return vtabError(p, rc, zErr);
  rc = vtabMatch(p);
  if (rc == SQLITE_OK) {
    pCur = p->pFree;
    if (pCur != NULL) {
      p->pFree = pCur->pNext;
    } else {
      const size_t nBlock = sizeof(*pCur->aBlock) * (size_t)p->nCol;
      pCur = sqlite3_malloc64(sizeof(*pCur) + nBlock);
      if (pCur == NULL) {
        rc = SQLITE_NOMEM;
      } else {
        memset(pCur, 0, sizeof(*pCur) + nBlock);
        pCur->aBlock = (ColumnBlock *)&pCur[1];
        pCur->iFill = 1; /* no block is of it, nor of what follows */
      }
    }
  }
  if (rc == SQLITE_OK) {
    *ppCursor = &pCur->base;
  } else {
    channelUnpin(p->pChannel);
  }
  return rc;
}

static int vtabClose(sqlite3_vtab_cursor *pCursor) {
  VtabCursor *pCur = (VtabCursor *)pCursor;
  VtabTable *p = (VtabTable *)pCursor->pVtab;
  cursorReset(pCur);
  pCur->pNext = p->pFree;
  p->pFree = pCur;
  channelUnpin(p->pChannel);
  return SQLITE_OK;
}

static int vtabEof(sqlite3_vtab_cursor *pCursor) { return ((const VtabCursor *)pCursor)->bEof; }

/*
** Hands out a value that is not at hand.  Where the cursor has several rows, those of the rows around this one are
** got with it.  (If one of these is damaged that is not told: it may be none that is asked for.)
*/
static __attribute__((noinline)) int columnGet(VtabCursor *pCur, sqlite3_context *pCtx, int iCol) {
  VtabTable *p = (VtabTable *)pCur->base.pVtab;
  mmapsync_value v;
  int rc;
  if (p->aMap[iCol] < 0) return vtabGone(p, iCol); /* one that colUsed has no bit of its own for */
  if (pCur->nRow > 1) {
    ColumnBlock *pBlock = &pCur->aBlock[iCol];
    unsigned int from = pCur->iRow - pCur->iRow % CURSOR_COLUMN;
    unsigned int n = pCur->nRow - from < CURSOR_COLUMN ? pCur->nRow - from : CURSOR_COLUMN;
    if (pBlock->aValue == NULL) {
      pBlock->aValue = sqlite3_malloc64(CURSOR_COLUMN * sizeof(*pBlock->aValue));
      if (pBlock->aValue == NULL) return SQLITE_NOMEM;
    }
    pBlock->iFill = 0;
    if (mmapsync_get_many(p->pTab, pCur->aRow + from, n, p->aMap[iCol], pBlock->aValue) ==
        MMAPSYNC_OK) {
      pBlock->iFill = pCur->iFill;
      valueResult(pCtx, &pBlock->aValue[pCur->iRow - from]);
      return SQLITE_OK;
    }
  }
  rc = mmapsync_get(p->pTab, pCur->row, p->aMap[iCol], &v);
  if (rc != MMAPSYNC_OK) return vtabFail(p, rc);
  valueResult(pCtx, &v);
  return SQLITE_OK;
}

/*
** A scan of all columns is mostly this, so it is kept small: what is rare stays outside.
*/
static int vtabColumn(sqlite3_vtab_cursor *pCursor, sqlite3_context *pCtx, int iCol) {
  VtabCursor *pCur = (VtabCursor *)pCursor;
  const ColumnBlock *pBlock = &pCur->aBlock[iCol];
  assert(iCol >= 0 && iCol < ((VtabTable *)pCursor->pVtab)->nCol);
  if (pBlock->iFill != pCur->iFill) return columnGet(pCur, pCtx, iCol);
  valueResult(pCtx, &pBlock->aValue[pCur->iRow % CURSOR_COLUMN]);
  return SQLITE_OK;
}

static int vtabRowid(sqlite3_vtab_cursor *pCursor, sqlite3_int64 *pRowid) {
  VtabCursor *pCur = (VtabCursor *)pCursor;
  VtabTable *p = (VtabTable *)pCursor->pVtab;
  mmapsync_value v;
  int rc;
  pCur->bRowid = 1;
  if (p->pInfo->rowid < 0) {
    *pRowid = (sqlite3_int64)pCur->row + 1;
    return SQLITE_OK;
  }
  rc = mmapsync_get(p->pTab, pCur->row, p->pInfo->rowid, &v);
  if (rc != MMAPSYNC_OK) return vtabFail(p, rc);
  if (v.type != MMAPSYNC_INTEGER) {
    return vtabError(
        p, SQLITE_CORRUPT_VTAB,
        sqlite3_mprintf("\"%s\": table \"%s\": expected an integer as the rowid of row "
                        "%lld, found none",
                        mmapsync_path(p->pChannel->h), p->zTable, (sqlite3_int64)pCur->row));
  }
  *pRowid = v.u.i;
  return SQLITE_OK;
}

/*
** ALTER TABLE RENAME.  A table that has its name in the channel from its own would look for another one
** after the next connect.
*/
static int vtabRename(sqlite3_vtab *pVtab, const char *zNew) {
  VtabTable *p = (VtabTable *)pVtab;
  if (p->bNamed || sqlite3_stricmp(zNew, p->zTable) == 0) return SQLITE_OK;
  return vtabError(p, SQLITE_ERROR,
                   sqlite3_mprintf("cannot rename to \"%s\": expected a table made USING "
                                   "mmapsync(path, table), found mmapsync(path)",
                                   zNew));
}

int vtabRegister(sqlite3 *db, Registry *p) {
  static const sqlite3_module module = {
      .iVersion = 2,
      .xCreate = vtabCreate,
      .xConnect = vtabConnect,
      .xBestIndex = vtabBestIndex,
      .xDisconnect = vtabDisconnect,
      .xDestroy = vtabDisconnect,
      .xOpen = vtabOpen,
      .xClose = vtabClose,
      .xFilter = vtabFilter,
      .xNext = vtabNext,
      .xEof = vtabEof,
      .xColumn = vtabColumn,
      .xRowid = vtabRowid,
      .xRename = vtabRename,
  };
  registryRef(p);
  return sqlite3_create_module_v2(db, "mmapsync", &module, p, registryUnref);
}
