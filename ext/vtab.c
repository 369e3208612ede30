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
** A SNAPSHOT OF ANOTHER SHAPE.  A column that is gone is an error for statements that use it, and for
** no others: colUsed travels in the plan.  New columns stay invisible until the table is created again.
** Keys may come and go: a plan names columns, and xFilter finds a key of the pinned snapshot for them,
** or scans.  Only a WITHOUT ROWID table is held to what it declared: its primary key told the planner
** that rows are unique and not NULL, and that cannot be taken back.
**
** FILES.  vtabdecl.c declares and matches; vtabplan.c chooses keys and describes the plan that goes from
** xBestIndex to xFilter; this one opens cursors and moves them over rows.
*/
#include "vtab.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

typedef struct RowRange {
  sqlite3_uint64 lo, hi; /* lo <= position < hi */
} RowRange;

typedef struct VtabCursor {
  sqlite3_vtab_cursor base;
  int iKey;           /* positions are in this key's order; -1: they are row numbers */
  sqlite3_uint64 pos; /* where it stands, in the current range */
  sqlite3_uint64 end; /* of the current range */
  sqlite3_uint64 row; /* the row there */
  RowRange *aRange;   /* the ranges after the current one, from iRange on; sqlite3_malloc */
  int nRange, iRange, nAlloc;
} VtabCursor;

/* ---- errors ----------------------------------------------------------------------------------- */

int vtabError(VtabTable *p, int rc, char *zErr) {
  sqlite3_free(p->base.zErrMsg);
  p->base.zErrMsg = zErr;
  return zErr == NULL ? SQLITE_NOMEM : rc;
}

/*
** Says that reading the table gave rcCore.  The calls that read rows leave no sentence behind, to be
** quick, and what they find wrong is always the same.
*/
static int vtabFail(VtabTable *p, int rcCore) {
  return vtabError(p, channelRc(rcCore),
                   sqlite3_mprintf("\"%s\": damaged table image: table \"%s\" leads outside it",
                                   mmapsync_path(p->pChannel->h), p->zTable));
}

static int vtabGone(VtabTable *p, int iCol) {
  return vtabError(p, SQLITE_ERROR,
                   sqlite3_mprintf("\"%s\": table \"%s\" has no column \"%s\" any more",
                                   mmapsync_path(p->pChannel->h), p->zTable, p->aCol[iCol].zName));
}

/* ---- cursors ---------------------------------------------------------------------------------- */

static int vtabOpen(sqlite3_vtab *pVtab, sqlite3_vtab_cursor **ppCursor) {
  VtabTable *p = (VtabTable *)pVtab;
  char *zErr = NULL;
  VtabCursor *pCur;
  int rc = channelPin(p->pChannel, 1, &zErr);
  if (rc != SQLITE_OK) return vtabError(p, rc, zErr);
  rc = vtabMatch(p);
  if (rc == SQLITE_OK) {
    pCur = sqlite3_malloc64(sizeof(*pCur));
    if (pCur != NULL) {
      memset(pCur, 0, sizeof(*pCur));
      *ppCursor = &pCur->base;
    } else {
      rc = SQLITE_NOMEM;
    }
  }
  if (rc != SQLITE_OK) channelUnpin(p->pChannel);
  return rc;
}

static int vtabClose(sqlite3_vtab_cursor *pCursor) {
  VtabCursor *pCur = (VtabCursor *)pCursor;
  VtabTable *p = (VtabTable *)pCursor->pVtab;
  sqlite3_free(pCur->aRange);
  sqlite3_free(pCur);
  channelUnpin(p->pChannel);
  return SQLITE_OK;
}

/*
** Finds the row where the cursor stands, going on to the next range at the end of one.
*/
static int cursorSettle(VtabCursor *pCur) {
  VtabTable *p = (VtabTable *)pCur->base.pVtab;
  while (pCur->pos >= pCur->end && pCur->iRange < pCur->nRange) {
    pCur->pos = pCur->aRange[pCur->iRange].lo;
    pCur->end = pCur->aRange[pCur->iRange].hi;
    pCur->iRange++;
  }
  if (pCur->iKey < 0) {
    pCur->row = pCur->pos;
  } else if (pCur->pos < pCur->end) {
    uint64_t row;
    int rc = mmapsync_key_row(p->pTab, pCur->iKey, pCur->pos, &row);
    if (rc != MMAPSYNC_OK) {
      pCur->pos = pCur->end;
      return vtabFail(p, rc);
    }
    pCur->row = row;
  }
  return SQLITE_OK;
}

static int cursorStart(VtabCursor *pCur, int iKey, sqlite3_uint64 lo, sqlite3_uint64 hi) {
  pCur->iKey = iKey;
  pCur->pos = lo;
  pCur->end = hi;
  return cursorSettle(pCur);
}

static int cursorScan(VtabCursor *pCur) {
  VtabTable *p = (VtabTable *)pCur->base.pVtab;
  return cursorStart(pCur, -1, 0, p->pInfo->rows);
}

static int rangeAdd(VtabCursor *pCur, sqlite3_uint64 lo, sqlite3_uint64 hi) {
  if (lo >= hi) return SQLITE_OK;
  if (pCur->nRange == pCur->nAlloc) {
    int nNew = pCur->nAlloc == 0 ? 16 : pCur->nAlloc * 2;
    RowRange *aNew = sqlite3_realloc64(pCur->aRange, sizeof(*aNew) * (size_t)nNew);
    if (aNew == NULL) return SQLITE_NOMEM;
    pCur->aRange = aNew;
    pCur->nAlloc = nNew;
  }
  pCur->aRange[pCur->nRange].lo = lo;
  pCur->aRange[pCur->nRange].hi = hi;
  pCur->nRange++;
  return SQLITE_OK;
}

static int rangeCompare(const void *pA, const void *pB) {
  const RowRange *a = pA, *b = pB;
  return (a->lo > b->lo) - (a->lo < b->lo);
}

/*
** Puts ranges in order and makes one of those that overlap, so that no row comes twice.
*/
static void rangeMerge(VtabCursor *pCur) {
  int i, n = 0;
  if (pCur->nRange == 0) return;
  qsort(pCur->aRange, (size_t)pCur->nRange, sizeof(RowRange), rangeCompare);
  for (i = 1; i < pCur->nRange; i++) {
    if (pCur->aRange[i].lo < pCur->aRange[n].hi) {
      if (pCur->aRange[i].hi > pCur->aRange[n].hi) pCur->aRange[n].hi = pCur->aRange[i].hi;
    } else {
      pCur->aRange[++n] = pCur->aRange[i];
    }
  }
  pCur->nRange = n + 1;
}

/*
** Prepares a value for a lookup in the column of a part.  VALUE_...
*/
static int partValue(const VtabTable *p, const PlanPart *pPart, sqlite3_value *pVal,
                     mmapsync_value *pOut, sqlite3_value **ppHold) {
  int c = pPart->iCol < 0 ? p->pInfo->rowid : p->aMap[pPart->iCol];
  char aff = pPart->iCol < 0 ? AFF_INTEGER : p->aCol[pPart->iCol].aff;
  return valueForLookup(pVal, aff, mmapsync_column_about(p->pTab, c)->types, pOut, ppHold);
}

/*
** Looks up each value of a list as the n-th value of the key, behind those in aVal, and leaves the
** ranges in the cursor.  *pbScan is set, and there are none, if one of the values asks for a scan.
*/
static int listLookup(VtabCursor *pCur, const Plan *pPlan, sqlite3_value *pList,
                      mmapsync_value *aVal, int n, int *pbScan) {
  VtabTable *p = (VtabTable *)pCur->base.pVtab;
  const PlanPart *pPart = &pPlan->aPart[pPlan->match.aPart[n]];
  sqlite3_value *pVal = NULL;
  int rc = sqlite3_vtab_in_first(pList, &pVal);
  while (rc == SQLITE_OK) {
    sqlite3_value *pHold = NULL;
    int e = partValue(p, pPart, pVal, &aVal[n], &pHold);
    if (e == VALUE_LOOKUP) {
      uint64_t lo, hi;
      int rcCore = mmapsync_find_all(p->pTab, pPlan->match.iKey, aVal, n + 1, &lo, &hi);
      rc = rcCore == MMAPSYNC_OK ? rangeAdd(pCur, lo, hi) : vtabFail(p, rcCore);
    } else if (e == VALUE_NOMEM) {
      rc = SQLITE_NOMEM;
    }
    sqlite3_value_free(pHold);
    if (e == VALUE_SCAN) {
      pCur->nRange = 0;
      *pbScan = 1;
      return SQLITE_OK;
    }
    if (rc == SQLITE_OK) rc = sqlite3_vtab_in_next(pList, &pVal);
  }
  if (rc != SQLITE_DONE) return rc;
  rangeMerge(pCur);
  return SQLITE_OK;
}

/*
** Positions the cursor on the row whose number, counted from 1, the value is.
*/
static int cursorNumber(VtabCursor *pCur, sqlite3_value *pVal) {
  VtabTable *p = (VtabTable *)pCur->base.pVtab;
  mmapsync_value v;
  sqlite3_value *pHold = NULL;
  sqlite3_uint64 n = p->pInfo->rows;
  sqlite3_uint64 row = n;
  int e = valueForLookup(pVal, AFF_INTEGER, 1u << MMAPSYNC_INTEGER, &v, &pHold);
  sqlite3_value_free(pHold);
  if (e == VALUE_NOMEM) return SQLITE_NOMEM;
  if (e == VALUE_LOOKUP) {
    if (v.type == MMAPSYNC_INTEGER && v.u.i >= 1 && (sqlite3_uint64)v.u.i <= n) {
      row = (sqlite3_uint64)v.u.i - 1;
    } else if (v.type == MMAPSYNC_REAL && v.u.r >= 1 && v.u.r <= (double)n) {
      row = (sqlite3_uint64)v.u.r - 1; /* a fraction is found out by SQLite's own check */
    }
  }
  return cursorStart(pCur, -1, row, row < n ? row + 1 : row);
}

/*
** Positions the cursor on the rows whose key begins with n values.
*/
static int cursorFind(VtabCursor *pCur, const KeyMatch *pMatch, const mmapsync_value *aVal, int n) {
  VtabTable *p = (VtabTable *)pCur->base.pVtab;
  uint64_t lo, hi;
  int rc;
  if (pMatch->bUnique && n == pMatch->nPart) {
    rc = mmapsync_find(p->pTab, pMatch->iKey, aVal, n, &lo);
    if (rc == MMAPSYNC_OK) return cursorStart(pCur, -1, lo, lo + 1);
    if (rc == MMAPSYNC_NOTFOUND) return cursorStart(pCur, -1, 0, 0);
  } else {
    rc = mmapsync_find_all(p->pTab, pMatch->iKey, aVal, n, &lo, &hi);
    if (rc == MMAPSYNC_OK) return cursorStart(pCur, pMatch->iKey, lo, hi);
  }
  return vtabFail(p, rc);
}

/*
** Positions the cursor on the rows that the plan's key gives for the arguments.  Where a value does not
** allow a lookup, the values before it are used alone; if there are none, that is a scan.
*/
static int cursorLookup(VtabCursor *pCur, const Plan *pPlan, sqlite3_value **argv) {
  const KeyMatch *pMatch = &pPlan->match;
  mmapsync_value aVal[PLAN_PARTS];
  sqlite3_value *apHold[PLAN_PARTS];
  int rc = SQLITE_OK;
  int e = VALUE_LOOKUP;
  int bList = 0;
  int n = 0; /* values that are ready */
  int i;
  while (n < pMatch->nPart && e == VALUE_LOOKUP && !bList && rc == SQLITE_OK) {
    int iArg = pMatch->aPart[n];
    if (pPlan->aPart[iArg].bIn) {
      int bScan = 0;
      rc = listLookup(pCur, pPlan, argv[iArg], aVal, n, &bScan);
      if (bScan) e = VALUE_SCAN;
      bList = !bScan;
    } else {
      e = partValue((VtabTable *)pCur->base.pVtab, &pPlan->aPart[iArg], argv[iArg], &aVal[n],
                    &apHold[n]);
      if (e == VALUE_LOOKUP) n++;
      if (e == VALUE_NOMEM) rc = SQLITE_NOMEM;
    }
  }
  if (rc == SQLITE_OK) {
    if (e == VALUE_NONE || bList) {
      rc = cursorStart(pCur, pMatch->iKey, 0, 0); /* a list's ranges are in the cursor */
    } else if (n == 0) {
      rc = cursorScan(pCur);
    } else {
      rc = cursorFind(pCur, pMatch, aVal, n);
    }
  }
  for (i = 0; i < n; i++) sqlite3_value_free(apHold[i]);
  return rc;
}

static int vtabFilter(sqlite3_vtab_cursor *pCursor, int idxNum, const char *idxStr, int argc,
                      sqlite3_value **argv) {
  VtabCursor *pCur = (VtabCursor *)pCursor;
  VtabTable *p = (VtabTable *)pCursor->pVtab;
  const Plan *pPlan;
  sqlite3_uint64 mGone;
  assert(p->iImage == p->pChannel->iImage); /* pinned since xOpen */
  (void)idxNum;
  (void)argc;
  pCur->pos = pCur->end = 0;
  pCur->nRange = pCur->iRange = 0;
  pPlan = planGet(p, idxStr);
  assert(argc == pPlan->nPart);
  mGone = pPlan->mUsed & p->mMissing;
  if (mGone != 0) {
    int i = 0;
    while ((mGone >> i & 1) == 0) i++;
    return vtabGone(p, i);
  }
  if (pPlan->match.iKey == MATCH_SCAN) return cursorScan(pCur);
  if (pPlan->match.iKey == MATCH_NUMBER) {
    return cursorNumber(pCur, argv[pPlan->match.aPart[0]]);
  }
  return cursorLookup(pCur, pPlan, argv);
}

static int vtabNext(sqlite3_vtab_cursor *pCursor) {
  VtabCursor *pCur = (VtabCursor *)pCursor;
  pCur->pos++;
  return cursorSettle(pCur);
}

static int vtabEof(sqlite3_vtab_cursor *pCursor) {
  const VtabCursor *pCur = (const VtabCursor *)pCursor;
  return pCur->pos >= pCur->end;
}

static int vtabColumn(sqlite3_vtab_cursor *pCursor, sqlite3_context *pCtx, int iCol) {
  VtabCursor *pCur = (VtabCursor *)pCursor;
  VtabTable *p = (VtabTable *)pCursor->pVtab;
  mmapsync_value v;
  int rc;
  assert(iCol >= 0 && iCol < p->nCol);
  if (p->aMap[iCol] < 0) return vtabGone(p, iCol); /* one that colUsed has no bit of its own for */
  rc = mmapsync_get(p->pTab, pCur->row, p->aMap[iCol], &v);
  if (rc != MMAPSYNC_OK) return vtabFail(p, rc);
  valueResult(pCtx, &v);
  return SQLITE_OK;
}

static int vtabRowid(sqlite3_vtab_cursor *pCursor, sqlite3_int64 *pRowid) {
  VtabCursor *pCur = (VtabCursor *)pCursor;
  VtabTable *p = (VtabTable *)pCursor->pVtab;
  if (p->pInfo->rowid < 0) {
    *pRowid = (sqlite3_int64)pCur->row + 1;
  } else {
    mmapsync_value v;
    int rc = mmapsync_get(p->pTab, pCur->row, p->pInfo->rowid, &v);
    if (rc != MMAPSYNC_OK) return vtabFail(p, rc);
    if (v.type != MMAPSYNC_INTEGER) {
      return vtabError(
          p, SQLITE_CORRUPT_VTAB,
          sqlite3_mprintf("\"%s\": table \"%s\": expected an integer as the rowid of row "
                          "%lld, found none",
                          mmapsync_path(p->pChannel->h), p->zTable, (sqlite3_int64)pCur->row));
    }
    *pRowid = v.u.i;
  }
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
