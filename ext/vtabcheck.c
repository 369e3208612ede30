/*
** vtabcheck.c - what is compared row by row, and what sorts rows where no key does.
**
** CHECKS.  SQLite was told not to check some terms again (vtabplan.c).  Where the core's comparison is not exact for
** one of them, because a column of numeric affinity holds text that looks like a number, it becomes a check:
** each row's value is compared as SQLite would, such text as the number it is.  Only SQLite knows which that is, so
** a statement that does nothing but hand its argument back makes values of text.  This is slow, and rare: a table
** keeps no such text in such a column, only a view can.  The terms that a lookup of one row leaves over are checks,
** too, which spares a filter.
**
** SORTING.  A plan that promised an order may meet a snapshot without a key for it.  Then all rows are listed and
** sorted here: by merging, from the bottom up, which is stable (rows that tie stay by number, as in a key), and
** looks for an interrupt now and then.
*/
#include "vtab.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* ---- checks ----------------------------------------------------------------------------------- */

int checkAdd(VtabCursor *pCur, const RowCheck *pCheck) {
  if (pCur->nCheck == pCur->nCheckAlloc) {
    int nNew = pCur->nCheckAlloc == 0 ? 4 : pCur->nCheckAlloc * 2;
    RowCheck *aNew = sqlite3_realloc64(pCur->aCheck, sizeof(*aNew) * (size_t)nNew);
    if (aNew == NULL) return SQLITE_NOMEM;
    pCur->aCheck = aNew;
    pCur->nCheckAlloc = nNew;
  }
  pCur->aCheck[pCur->nCheck++] = *pCheck;
  return SQLITE_OK;
}

static int checkOrderBinary(const void *a, const void *b) {
  return mmapsync_compare(&((const RowCheck *)a)->v, &((const RowCheck *)b)->v, MMAPSYNC_BINARY);
}
static int checkOrderNocase(const void *a, const void *b) {
  return mmapsync_compare(&((const RowCheck *)a)->v, &((const RowCheck *)b)->v, MMAPSYNC_NOCASE);
}
static int checkOrderRtrim(const void *a, const void *b) {
  return mmapsync_compare(&((const RowCheck *)a)->v, &((const RowCheck *)b)->v, MMAPSYNC_RTRIM);
}

/*
** They stand in order, so that a row need not be compared with each.
*/
int checkList(VtabCursor *pCur, const RowCheck *pCheck, const mmapsync_value *aValue, int nValue) {
  int (*const aOrder[])(const void *, const void *) = {[MMAPSYNC_BINARY] = checkOrderBinary,
                                                       [MMAPSYNC_NOCASE] = checkOrderNocase,
                                                       [MMAPSYNC_RTRIM] = checkOrderRtrim};
  const int iFirst = pCur->nCheck;
  RowCheck check = *pCheck;
  int i, rc = SQLITE_OK;
  assert(check.op == MMAPSYNC_EQ && check.nList == 0 && nValue > 0);
  for (i = 0; i < nValue && rc == SQLITE_OK; i++) {
    check.v = aValue[i];
    rc = checkAdd(pCur, &check);
  }
  if (rc != SQLITE_OK) return rc;
  qsort(&pCur->aCheck[iFirst], (size_t)nValue, sizeof(check), aOrder[check.eColl]);
  pCur->aCheck[iFirst].nList = nValue;
  return SQLITE_OK;
}

/*
** Whether v, which is not NULL, is one of the values of a list.
*/
static int checkInList(const RowCheck *pCheck, const mmapsync_value *v) {
  int lo = 0, hi = pCheck->nList;
  while (lo < hi) {
    int mid = lo + (hi - lo) / 2;
    int c = mmapsync_compare(&pCheck[mid].v, v, pCheck->eColl);
    if (c == 0) return 1;
    if (c < 0) {
      lo = mid + 1;
    } else {
      hi = mid;
    }
  }
  return 0;
}

/*
** Makes a number of text that looks like one.
*/
static int checkNumber(VtabCursor *pCur, mmapsync_value *pVal) {
  sqlite3 *db = registryDb(((VtabTable *)pCur->base.pVtab)->pRegistry);
  int rc = SQLITE_OK;
  int eDigits = 0;
  if (pCur->pNumber == NULL) {
    rc = sqlite3_prepare_v2(db, "SELECT ?1", -1, &pCur->pNumber, NULL);
    if (rc != SQLITE_OK) return rc;
  }
  rc = sqlite3_bind_text64(pCur->pNumber, 1, pVal->u.p, pVal->n, SQLITE_STATIC, SQLITE_UTF8);
  if (rc == SQLITE_OK) rc = sqlite3_step(pCur->pNumber);
  if (rc == SQLITE_ROW) {
    eDigits = valueDigits(sqlite3_column_value(pCur->pNumber, 0), pVal);
    rc = eDigits < 0 ? SQLITE_NOMEM : SQLITE_OK;
  }
  (void)sqlite3_reset(pCur->pNumber);
  return rc;
}

int checkCompare(const mmapsync_value *a, int op, const mmapsync_value *b, int eColl) {
  int c;
  if ((a->type == MMAPSYNC_NULL || b->type == MMAPSYNC_NULL) && op != MMAPSYNC_IS &&
      op != MMAPSYNC_ISNOT) {
    return 0;
  }
  c = mmapsync_compare(a, b, eColl);
  switch (op) {
  case MMAPSYNC_EQ:
  case MMAPSYNC_IS: return c == 0;
  case MMAPSYNC_NE:
  case MMAPSYNC_ISNOT: return c != 0;
  case MMAPSYNC_LT: return c < 0;
  case MMAPSYNC_LE: return c <= 0;
  case MMAPSYNC_GT: return c > 0;
  default: assert(op == MMAPSYNC_GE); return c >= 0;
  }
}

int checkRow(VtabCursor *pCur, sqlite3_uint64 row, int *pbMatch) {
  VtabTable *p = (VtabTable *)pCur->base.pVtab;
  int i, n;
  *pbMatch = 0;
  for (i = 0; i < pCur->nCheck; i += n) {
    const RowCheck *pCheck = &pCur->aCheck[i];
    mmapsync_value v;
    int bMatch, rc;
    if (pCheck->iColumn < 0) {
      v.type = MMAPSYNC_INTEGER;
      v.u.i = (sqlite3_int64)row + 1;
    } else {
      rc = mmapsync_get(p->pTab, row, pCheck->iColumn, &v);
      if (rc != MMAPSYNC_OK) return vtabFail(p, rc);
    }
    if (v.type == MMAPSYNC_TEXT && pCheck->bNumbers) {
      rc = checkNumber(pCur, &v);
      if (rc != SQLITE_OK) return rc;
    }
    n = pCheck->nList > 0 ? pCheck->nList : 1;
    if (pCheck->nList > 0) {
      bMatch = v.type != MMAPSYNC_NULL && checkInList(pCheck, &v);
    } else {
      bMatch = checkCompare(&v, pCheck->op, &pCheck->v, pCheck->eColl);
    }
    if (!bMatch) return SQLITE_OK;
  }
  *pbMatch = 1;
  return SQLITE_OK;
}

/* ---- sorting ---------------------------------------------------------------------------------- */

typedef struct Sorter {
  VtabTable *p;
  int n;
  struct {
    int iColumn; /* of the snapshot, or -1: the row's number */
    int eColl;
    int bDesc;
  } aBy[PLAN_ORDER];
  unsigned int nCompare;
  int rc;
} Sorter;

/*
** Compares two rows, while p->rc is SQLITE_OK.  Without an answer, it is set.
*/
static int sortCompare(Sorter *p, unsigned int a, unsigned int b) {
  int i, c = 0;
  for (i = 0; i < p->n && c == 0; i++) {
    if (p->aBy[i].iColumn < 0) {
      c = (a > b) - (a < b);
    } else {
      mmapsync_value va, vb;
      int rc = mmapsync_get(p->p->pTab, a, p->aBy[i].iColumn, &va);
      if (rc == MMAPSYNC_OK) rc = mmapsync_get(p->p->pTab, b, p->aBy[i].iColumn, &vb);
      if (rc != MMAPSYNC_OK) {
        p->rc = vtabFail(p->p, rc);
        return 0;
      }
      c = mmapsync_compare(&va, &vb, p->aBy[i].eColl);
    }
    if (p->aBy[i].bDesc) c = -c;
  }
  if (++p->nCompare % CURSOR_PATIENT == 0) p->rc = vtabInterrupted(p->p);
  return c;
}

static void sortMerge(Sorter *p, const unsigned int *a, unsigned int na, const unsigned int *b,
                      unsigned int nb, unsigned int *out) {
  while (na > 0 && nb > 0 && p->rc == SQLITE_OK) {
    if (sortCompare(p, *a, *b) <= 0) {
      *out++ = *a++;
      na--;
    } else {
      *out++ = *b++;
      nb--;
    }
  }
  memcpy(out, a, na * sizeof(*a));
  memcpy(out + na, b, nb * sizeof(*b));
}

int listSort(VtabCursor *pCur, const Plan *pPlan) {
  VtabTable *p = (VtabTable *)pCur->base.pVtab;
  const unsigned int n = pCur->nList;
  Sorter sort;
  unsigned int *aFrom = pCur->aList, *aTo;
  unsigned int nRun, i;
  int j;
  memset(&sort, 0, sizeof(sort));
  sort.p = p;
  for (j = 0; j < pPlan->nOrder; j++) {
    const PlanOrder *pOrder = &pPlan->aOrder[j];
    if (pOrder->iCol >= 0 && p->aMap[pOrder->iCol] < 0) return vtabGone(p, pOrder->iCol);
    sort.aBy[j].iColumn = columnOf(p, pOrder->iCol);
    sort.aBy[j].eColl = pOrder->iCol < 0 ? MMAPSYNC_BINARY : p->aCol[pOrder->iCol].eColl;
    sort.aBy[j].bDesc = pOrder->bDesc;
  }
  sort.n = pPlan->nOrder;
  if (n < 2) return SQLITE_OK;
  aTo = sqlite3_malloc64(sizeof(*aTo) * pCur->nListAlloc);
  if (aTo == NULL) return SQLITE_NOMEM;
  for (nRun = 1; nRun < n && sort.rc == SQLITE_OK; nRun = nRun > n / 2 ? n : nRun * 2) {
    unsigned int *aSwap = aFrom;
    for (i = 0;; i += 2 * nRun) {
      unsigned int na = n - i < nRun ? n - i : nRun;
      unsigned int nb = n - i - na < nRun ? n - i - na : nRun;
      sortMerge(&sort, aFrom + i, na, aFrom + i + na, nb, aTo + i);
      if (n - i <= nRun || n - i - nRun <= nRun)
        break; /* i + 2 * nRun might be too large a number */
    }
    aFrom = aTo;
    aTo = aSwap;
  }
  pCur->aList = aFrom;
  sqlite3_free(aTo);
  return sort.rc;
}

/* ---- interrupts ------------------------------------------------------------------------------- */

/*
** A statement that does nothing fails once the connection is interrupted, on every version of SQLite.
*/
int vtabInterrupted(VtabTable *p) {
  sqlite3_stmt *pStmt = NULL;
  int rc = sqlite3_prepare_v2(registryDb(p->pRegistry), "SELECT 1", -1, &pStmt, NULL);
  if (rc == SQLITE_OK) rc = sqlite3_step(pStmt);
  (void)sqlite3_finalize(pStmt);
  return rc == SQLITE_INTERRUPT || rc == SQLITE_NOMEM ? rc : SQLITE_OK;
}
