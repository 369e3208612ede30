/*
** vtabwalk.c - getting rows: from ranges of rows, of positions in a key's order, or from a list.
**
** xNext hands out what is at hand, and gets more: one row at first, for many statements want no more, then
** 16 times as many each time.  What is got has passed the window of row numbers, the filter and the checks that
** xFilter made.  SQLite looks for interrupts only between rows, so whoever looks at many rows in vain must look here.
**
** DISTINCT.  Where rows alike in the first parts of a key are alike to the statement, the walk goes on behind all
** of them: in steps that double, then halving.  It does not if xRowid was asked of the row, for then they are
** not alike.  That this row was not asked, which is seen before the next is chosen, tells that no other of its
** kind would be: until a statement reads the rowid it can only do the same with all of them.  Zeros are not skipped,
** for 0.0 and -0.0 are equal and not alike.
*/
#include "vtab.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define ASK_FIRST   1   /* rows to get the first time */
#define ASK_GROWTH  16  /* times as many the next */
#define RADIX_LEAST 256 /* rows for which a sort by bytes is quicker */

/* ---- cursors ---------------------------------------------------------------------------------- */

void bytesFree(ByteChunk *pChunk) {
  while (pChunk != NULL) {
    ByteChunk *pNext = pChunk->pNext;
    sqlite3_free(pChunk);
    pChunk = pNext;
  }
}

void cursorReset(VtabCursor *pCur) {
  if (pCur->pBytes != NULL) {
    bytesFree(pCur->pBytes);
    pCur->pBytes = NULL;
  }
  if (pCur->pFilter != NULL) {
    mmapsync_filter_close(pCur->pFilter);
    pCur->pFilter = NULL;
  }
  if (pCur->pNumber != NULL) {
    (void)sqlite3_finalize(pCur->pNumber);
    pCur->pNumber = NULL;
  }
  pCur->nCheck = pCur->nRange = pCur->iRange = 0;
  pCur->nList = 0;
  pCur->nSkip = 0;
  pCur->eWalk = WALK_NONE;
  pCur->bReverse = 0;
  pCur->bRowid = 0;
  pCur->iRow = pCur->nRow = 0;
  pCur->iFill++;
  pCur->lo = pCur->hi = 0;
  pCur->nAsk = ASK_FIRST;
  pCur->bEof = 1;
  pCur->bUsed = 0;
}

void cursorFree(VtabCursor *pCur) {
  int i;
  cursorReset(pCur);
  for (i = 0; i < ((const VtabTable *)pCur->base.pVtab)->nCol; i++) {
    sqlite3_free(pCur->aBlock[i].aValue);
  }
  sqlite3_free(pCur->aRange);
  sqlite3_free(pCur->aCheck);
  sqlite3_free(pCur->aList);
  sqlite3_free(pCur);
}

int rangeAdd(VtabCursor *pCur, sqlite3_uint64 lo, sqlite3_uint64 hi) {
  if (lo >= hi) return SQLITE_OK;
  if (pCur->nRange == pCur->nRangeAlloc) {
    int nNew = pCur->nRangeAlloc == 0 ? 16 : pCur->nRangeAlloc * 2;
    RowRange *aNew = sqlite3_realloc64(pCur->aRange, sizeof(*aNew) * (size_t)nNew);
    if (aNew == NULL) return SQLITE_NOMEM;
    pCur->aRange = aNew;
    pCur->nRangeAlloc = nNew;
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
** Puts ranges in order and makes one of those that overlap, so that no row comes twice.  (The values of a list are
** all different, but an image that lies may lead them to the same rows.)
*/
void rangeMerge(VtabCursor *pCur) {
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

int listAdd(VtabCursor *pCur, sqlite3_uint64 row) {
  if (pCur->nList == pCur->nListAlloc) {
    unsigned int nNew = pCur->nListAlloc == 0 ? CURSOR_ROWS : pCur->nListAlloc * 2;
    unsigned int *aNew = sqlite3_realloc64(pCur->aList, sizeof(*aNew) * (size_t)nNew);
    if (aNew == NULL) return SQLITE_NOMEM;
    pCur->aList = aNew;
    pCur->nListAlloc = nNew;
  }
  pCur->aList[pCur->nList++] = (unsigned int)row;
  return SQLITE_OK;
}

static int rowCompare(const void *pA, const void *pB) {
  unsigned int a = *(const unsigned int *)pA, b = *(const unsigned int *)pB;
  return (a > b) - (a < b);
}

/*
** Sorts many rows by their numbers, byte by byte.  0 if there is no memory for it.
*/
static int listRadix(VtabCursor *pCur) {
  const unsigned int n = pCur->nList;
  unsigned int *aTo = sqlite3_malloc64(sizeof(*aTo) * (size_t)n), *aFrom = pCur->aList;
  sqlite3_uint64 most = 0;
  unsigned int i, k;
  if (aTo == NULL) return 0;
  for (i = 0; i < n; i++) most = aFrom[i] > most ? aFrom[i] : most;
  for (k = 0; most >> k != 0; k += 8) {
    unsigned int aAt[257] = {0};
    unsigned int *aSwap = aFrom;
    for (i = 0; i < n; i++) aAt[(aFrom[i] >> k & 255) + 1]++;
    for (i = 0; i < 256; i++) aAt[i + 1] += aAt[i];
    for (i = 0; i < n; i++) aTo[aAt[aFrom[i] >> k & 255]++] = aFrom[i];
    aFrom = aTo;
    aTo = aSwap;
  }
  if (aFrom != pCur->aList) {
    memcpy(pCur->aList, aFrom, sizeof(*aFrom) * (size_t)n);
    aTo = aFrom;
  }
  sqlite3_free(aTo);
  return 1;
}

void listUnique(VtabCursor *pCur) {
  unsigned int i, n = 0;
  if (pCur->nList == 0) return;
  if (pCur->nList < RADIX_LEAST || !listRadix(pCur)) {
    qsort(pCur->aList, pCur->nList, sizeof(*pCur->aList), rowCompare);
  }
  for (i = 1; i < pCur->nList; i++) {
    if (pCur->aList[i] != pCur->aList[n]) pCur->aList[++n] = pCur->aList[i];
  }
  pCur->nList = n + 1;
}

/* ---- getting rows ----------------------------------------------------------------------------- */

/*
** The next range.  0 if there is none.
*/
int walkRange(VtabCursor *pCur) {
  const RowRange *pRange;
  if (pCur->iRange >= pCur->nRange) return 0;
  pRange = &pCur->aRange[pCur->bReverse ? pCur->nRange - 1 - pCur->iRange : pCur->iRange];
  pCur->iRange++;
  pCur->lo = pRange->lo;
  pCur->hi = pRange->hi;
  if (pCur->eWalk == WALK_ROWS) {
    if (pCur->lo < pCur->rowLo) pCur->lo = pCur->rowLo;
    if (pCur->hi > pCur->rowHi) pCur->hi = pCur->rowHi;
    if (pCur->hi < pCur->lo) pCur->hi = pCur->lo;
  }
  return 1;
}

/*
** Turns the n rows at hand round.
*/
static void rowsReverse(VtabCursor *pCur, unsigned int n) {
  unsigned int i;
  for (i = 0; i < n / 2; i++) {
    unsigned int row = pCur->aRow[i];
    pCur->aRow[i] = pCur->aRow[n - 1 - i];
    pCur->aRow[n - 1 - i] = row;
  }
}

/*
** Rows of the current range, in ascending order; *pn may be 0.
*/
static int walkRows(VtabCursor *pCur, unsigned int *pn) {
  VtabTable *p = (VtabTable *)pCur->base.pVtab;
  unsigned int i, n;
  if (pCur->pFilter != NULL) {
    uint64_t at = pCur->bReverse ? pCur->hi : pCur->lo;
    uint32_t nGot = 0;
    int rc;
    if (pCur->bReverse) {
      rc = mmapsync_filter_prev(pCur->pFilter, pCur->lo, &at, pCur->aRow, &nGot);
      pCur->hi = at;
    } else {
      rc = mmapsync_filter_next(pCur->pFilter, &at, pCur->hi, pCur->aRow, &nGot);
      pCur->lo = at;
    }
    if (rc != MMAPSYNC_OK) return vtabFail(p, rc);
    *pn = nGot;
    return nGot == 0 && pCur->lo < pCur->hi ? vtabInterrupted(p) : SQLITE_OK;
  }
  n = pCur->nAsk;
  if (n > pCur->hi - pCur->lo) n = (unsigned int)(pCur->hi - pCur->lo);
  if (pCur->bReverse) {
    pCur->hi -= n;
    for (i = 0; i < n; i++) pCur->aRow[i] = (unsigned int)(pCur->hi + i);
  } else {
    for (i = 0; i < n; i++) pCur->aRow[i] = (unsigned int)(pCur->lo + i);
    pCur->lo += n;
  }
  *pn = n;
  return SQLITE_OK;
}

/*
** Whether the row at a position of the key is alike to the one with the values aVal in the parts that count.
*/
static int walkAlike(VtabCursor *pCur, sqlite3_uint64 pos, const mmapsync_value *aVal,
                     int *pbAlike) {
  VtabTable *p = (VtabTable *)pCur->base.pVtab;
  const mmapsync_key_info *pKey = mmapsync_key_about(p->pTab, pCur->iKey);
  uint64_t row;
  int rc = mmapsync_key_row(p->pTab, pCur->iKey, pos, &row);
  int i;
  *pbAlike = 1;
  /* The last part differs most often. */
  for (i = pCur->nSkip - 1; i >= 0 && rc == MMAPSYNC_OK && *pbAlike; i--) {
    mmapsync_value v;
    rc = mmapsync_get(p->pTab, row, pKey->parts[i].column, &v);
    if (rc == MMAPSYNC_OK) {
      *pbAlike = mmapsync_compare(&v, &aVal[i], pKey->parts[i].collation) == 0;
    }
  }
  return rc == MMAPSYNC_OK ? SQLITE_OK : vtabFail(p, rc);
}

/*
** Goes on behind the rows of the current range that are alike to `row`, which was the last one got.
*/
static int walkSkip(VtabCursor *pCur, sqlite3_uint64 row) {
  VtabTable *p = (VtabTable *)pCur->base.pVtab;
  const mmapsync_key_info *pKey = mmapsync_key_about(p->pTab, pCur->iKey);
  mmapsync_value aVal[PLAN_PARTS];
  sqlite3_uint64 n = pCur->hi - pCur->lo; /* how many there are to look at */
  sqlite3_uint64 nAlike = 0;              /* so many of them are alike */
  sqlite3_uint64 nOther = n;              /* and the one behind so many is not, or is none */
  sqlite3_uint64 nStep = 1;
  int bAlike;
  int i, rc;
  assert(pCur->nSkip <= PLAN_PARTS);
  for (i = 0; i < pCur->nSkip; i++) {
    rc = mmapsync_get(p->pTab, row, pKey->parts[i].column, &aVal[i]);
    if (rc != MMAPSYNC_OK) return vtabFail(p, rc);
    if (aVal[i].type == MMAPSYNC_REAL && aVal[i].u.r == 0) return SQLITE_OK;
  }
  while (nAlike < nOther) {
    sqlite3_uint64 at = nAlike + nStep - 1;
    if (at >= nOther) at = nAlike + (nOther - nAlike) / 2;
    rc = walkAlike(pCur, pCur->bReverse ? pCur->hi - 1 - at : pCur->lo + at, aVal, &bAlike);
    if (rc != SQLITE_OK) return rc;
    if (bAlike) {
      nAlike = at + 1;
      if (nOther == n) nStep *= 2;
    } else {
      nOther = at;
      nStep = n; /* from here on halving */
    }
  }
  if (pCur->bReverse) {
    pCur->hi -= nAlike;
  } else {
    pCur->lo += nAlike;
  }
  return SQLITE_OK;
}

/*
** Rows at positions of the current range of a key, of which all match.
*/
static int walkAll(VtabCursor *pCur, unsigned int *pn) {
  VtabTable *p = (VtabTable *)pCur->base.pVtab;
  unsigned int n = pCur->nAsk;
  int rc;
  if (n > pCur->hi - pCur->lo) n = (unsigned int)(pCur->hi - pCur->lo);
  if (pCur->bReverse) pCur->hi -= n;
  rc = mmapsync_key_rows(p->pTab, pCur->iKey, pCur->bReverse ? pCur->hi : pCur->lo, n, pCur->aRow);
  if (rc != MMAPSYNC_OK) return vtabFail(p, rc);
  if (pCur->bReverse) {
    rowsReverse(pCur, n);
  } else {
    pCur->lo += n;
  }
  *pn = n;
  return SQLITE_OK;
}

/*
** Rows at positions of the current range of a key, or of the list.
*/
static int walkPositions(VtabCursor *pCur, unsigned int *pn) {
  VtabTable *p = (VtabTable *)pCur->base.pVtab;
  unsigned int n = 0, nTried = 0;
  int rc = SQLITE_OK;
  if (pCur->eWalk == WALK_KEY && pCur->pFilter == NULL && pCur->nCheck == 0 && pCur->rowLo == 0 &&
      pCur->rowHi == p->pInfo->rows) {
    return walkAll(pCur, pn);
  }
  while (n < pCur->nAsk && pCur->lo < pCur->hi && nTried < CURSOR_PATIENT) {
    sqlite3_uint64 pos = pCur->bReverse ? --pCur->hi : pCur->lo++;
    uint64_t row;
    int bMatch;
    if (pCur->eWalk == WALK_LIST) {
      row = pCur->aList[pos];
    } else {
      rc = mmapsync_key_row(p->pTab, pCur->iKey, pos, &row);
      if (rc != MMAPSYNC_OK) return vtabFail(p, rc);
    }
    nTried++;
    bMatch = row >= pCur->rowLo && row < pCur->rowHi;
    if (bMatch && pCur->pFilter != NULL) {
      bMatch = mmapsync_filter_row(pCur->pFilter, row);
      if (bMatch < 0) return vtabFail(p, -bMatch);
    }
    if (bMatch && pCur->nCheck > 0) {
      rc = checkRow(pCur, row, &bMatch);
      if (rc != SQLITE_OK) return rc;
    }
    if (bMatch) {
      pCur->aRow[n++] = (unsigned int)row;
    } else if (pCur->nSkip > 0) {
      rc = walkSkip(pCur, row);
      if (rc != SQLITE_OK) return rc;
    }
  }
  *pn = n;
  return nTried == CURSOR_PATIENT ? vtabInterrupted(p) : SQLITE_OK;
}

/*
** Keeps of the rows at hand those that the checks let through.
*/
static int walkCheck(VtabCursor *pCur, unsigned int *pn) {
  unsigned int i, n = 0;
  for (i = 0; i < *pn; i++) {
    int bMatch;
    int rc = checkRow(pCur, pCur->aRow[i], &bMatch);
    if (rc != SQLITE_OK) return rc;
    if (bMatch) pCur->aRow[n++] = pCur->aRow[i];
  }
  *pn = n;
  return SQLITE_OK;
}

/*
** Gets rows, and stands on the first of them; or at the end.
*/
int cursorFill(VtabCursor *pCur) {
  unsigned int n = 0, nVain = 0;
  int rc = SQLITE_OK;
  pCur->iFill++;
  pCur->iRow = pCur->nRow = 0;
  pCur->bRowid = 0;
  pCur->bEof = 1;
  if (pCur->eWalk == WALK_NONE) return SQLITE_OK;
  while (n == 0 && rc == SQLITE_OK) {
    if (pCur->lo >= pCur->hi && !walkRange(pCur)) return SQLITE_OK;
    if (pCur->lo >= pCur->hi) continue;
    if (pCur->eWalk == WALK_ROWS) {
      rc = walkRows(pCur, &n);
      if (rc == SQLITE_OK && pCur->nCheck > 0) {
        nVain += n;
        rc = walkCheck(pCur, &n);
        if (n == 0 && nVain >= CURSOR_PATIENT) {
          nVain = 0;
          rc = vtabInterrupted((VtabTable *)pCur->base.pVtab);
        }
      }
      if (pCur->bReverse) rowsReverse(pCur, n);
    } else {
      rc = walkPositions(pCur, &n);
    }
    if (pCur->nSkip == 0 && pCur->nAsk < CURSOR_ROWS) {
      pCur->nAsk *= ASK_GROWTH;
      if (pCur->nAsk > CURSOR_ROWS) pCur->nAsk = CURSOR_ROWS;
    }
  }
  if (rc != SQLITE_OK) return rc;
  pCur->nRow = n;
  pCur->row = pCur->aRow[0];
  pCur->bEof = 0;
  return SQLITE_OK;
}

int walkFirst(VtabCursor *pCur) {
  VtabTable *p = (VtabTable *)pCur->base.pVtab;
  uint64_t row;
  if (pCur->lo >= pCur->hi) return SQLITE_OK;
  row = pCur->bReverse ? --pCur->hi : pCur->lo++;
  if (pCur->eWalk == WALK_KEY) {
    int rc = mmapsync_key_row(p->pTab, pCur->iKey, row, &row);
    if (rc != MMAPSYNC_OK) return vtabFail(p, rc);
  }
  pCur->row = pCur->aRow[0] = (unsigned int)row;
  pCur->nRow = 1;
  pCur->bEof = 0;
  if (pCur->nSkip == 0) pCur->nAsk = ASK_FIRST * ASK_GROWTH;
  return SQLITE_OK;
}

int vtabNext(sqlite3_vtab_cursor *pCursor) {
  VtabCursor *pCur = (VtabCursor *)pCursor;
  if (++pCur->iRow < pCur->nRow) {
    pCur->row = pCur->aRow[pCur->iRow];
    if (pCur->iRow % CURSOR_COLUMN == 0) pCur->iFill++;
    return SQLITE_OK;
  }
  if (pCur->nSkip > 0 && !pCur->bRowid) {
    int rc = walkSkip(pCur, pCur->row);
    if (rc != SQLITE_OK) return rc;
  }
  return cursorFill(pCur);
}
