/*
** vtabscan.c - xFilter: where the rows are that a plan's terms lead to.
**
** xFilter has a plan with a route through the snapshot (vtabroute.c), and a value for each term.  It
**
**   1. prepares each value (value.c).  If one is such that no row can match, that is all.
**   2. looks up the terms that the route's key serves: that gives one row, or ranges of positions in the key's
**      order, or, where rows stand in that order or no key is used, ranges of rows.  Where a value does not allow
**      a lookup, the parts before it are used alone.
**   3. makes a filter of the terms that are left, which the core evaluates for many rows at once; and checks
**      (vtabcheck.c) of those that only row by row can be answered as SQLite would.  A few rows are looked
**      at there and then, which spares a filter.
**   4. sorts, if an order was promised and the route does not give it: the plan may be older than the snapshot,
**      or a value may have turned out to stand for several.
**
** WHAT STAYS.  Arguments of xFilter live until it returns.  Filters copy values, and checks that are made later
** hold copies.
*/
#include "vtab.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "always.h"

#define BYTES_FIRST 4096 /* of copied texts, in the first chunk; the next one has twice as many, */
#define BYTES_MOST  1048576 /* up to this */
#define FEW_ROWS    32      /* looked at at once */

/* The value of a term. */
typedef struct TermValue {
  int e;                 /* VALUE_... */
  int bServed;           /* by the key, or the window of rows */
  int bPrefix;           /* of PLAN_LIKE, PLAN_GLOB: vPart is how they begin */
  mmapsync_value v;      /* of PLAN_LIKE, PLAN_GLOB: the least text that begins so */
  mmapsync_value vEnd;   /* and the first behind all of them */
  mmapsync_value vPart;  /* and what is in all of them; n is 0: it says nothing */
  mmapsync_value *aList; /* of a list; sqlite3_malloc */
  int nList;
} TermValue;

/* What xFilter has at hand. */
typedef struct Scan {
  VtabCursor *pCur;
  VtabTable *p;
  const Plan *pPlan;
  sqlite3_value **argv;
  TermValue a[PLAN_TERMS];
  void **apFree; /* sqlite3_malloc */
  int nFree, nFreeAlloc;
  ByteChunk *pBytes; /* copies of texts and blobs, the newest chunk first */
} Scan;

/* ---- values ----------------------------------------------------------------------------------- */

/*
** What is to be freed when xFilter ends.  It is freed at once if there is no memory to remember it.
*/
static int scanKeep(Scan *s, void *pMem) {
  if (s->nFree == s->nFreeAlloc) {
    int nNew = s->nFreeAlloc == 0 ? 16 : s->nFreeAlloc * 2;
    void **apNew = sqlite3_realloc64(s->apFree, sizeof(*apNew) * (size_t)nNew);
    if (apNew == NULL) {
      sqlite3_free(pMem);
      return SQLITE_NOMEM;
    }
    s->apFree = apNew;
    s->nFreeAlloc = nNew;
  }
  s->apFree[s->nFree++] = pMem;
  return SQLITE_OK;
}

/*
** Copies the bytes of a text or blob, for as long as xFilter runs; what is no such value stays as it is.
*/
static int scanCopy(Scan *s, mmapsync_value *p) {
  ByteChunk *pChunk = s->pBytes;
  if (p->type != MMAPSYNC_TEXT && p->type != MMAPSYNC_BLOB) return SQLITE_OK;
  if (pChunk == NULL || pChunk->nRoom - pChunk->n < p->n) {
    size_t nRoom = pChunk == NULL ? BYTES_FIRST : 2 * pChunk->nRoom;
    if (nRoom > BYTES_MOST) nRoom = BYTES_MOST;
    if (nRoom < p->n) nRoom = p->n;
    pChunk = sqlite3_malloc64(sizeof(*pChunk) + nRoom);
    if (pChunk == NULL) return SQLITE_NOMEM;
    pChunk->pNext = s->pBytes;
    pChunk->n = 0;
    pChunk->nRoom = nRoom;
    s->pBytes = pChunk;
  }
  if (p->n > 0) memcpy(pChunk->a + pChunk->n, p->u.p, p->n);
  p->u.p = pChunk->a + pChunk->n;
  pChunk->n += p->n;
  return SQLITE_OK;
}

static void scanEnd(Scan *s) {
  int i;
  for (i = 0; i < s->nFree; i++) sqlite3_free(s->apFree[i]);
  sqlite3_free(s->apFree);
  bytesFree(s->pBytes);
}

static unsigned scanTypes(const Scan *s, int iCol) {
  int c = columnOf(s->p, iCol);
  return c < 0 ? 1u << MMAPSYNC_INTEGER : mmapsync_column_about(s->p->pTab, c)->types;
}

/*
** The values of a list.  One value for which nothing can be looked up spoils all.
*/
static int valueList(Scan *s, int i) {
  const PlanTerm *pTerm = &s->pPlan->aTerm[i];
  const char aff = columnAffinity(s->p, pTerm->iCol);
  const unsigned types = scanTypes(s, pTerm->iCol);
  TermValue *pOut = &s->a[i];
  sqlite3_value *pVal = NULL;
  int nAlloc = 0;
  int rc = sqlite3_vtab_in_first(s->argv[i], &pVal);
  pOut->e = VALUE_EXACT;
  while (rc == SQLITE_OK) {
    mmapsync_value v;
    int e;
    e = valueForTerm(pVal, MMAPSYNC_IN, aff, types, 0, &v);
    if (e == VALUE_NOMEM) return SQLITE_NOMEM;
    if (e != VALUE_NONE) {
      rc = scanCopy(s, &v); /* pVal becomes the next value */
      if (rc != SQLITE_OK) return rc;
      if (e == VALUE_SCAN) pOut->e = VALUE_SCAN;
      if (pOut->nList == nAlloc) {
        int nNew = nAlloc == 0 ? 16 : nAlloc * 2;
        mmapsync_value *aNew = sqlite3_realloc64(pOut->aList, sizeof(*aNew) * (size_t)nNew);
        if (aNew == NULL) return SQLITE_NOMEM; /* the old one is freed with the rest */
        pOut->aList = aNew;
        nAlloc = nNew;
      }
      pOut->aList[pOut->nList++] = v;
    }
    rc = sqlite3_vtab_in_next(s->argv[i], &pVal);
  }
  if (rc != SQLITE_DONE) return rc;
  if (pOut->nList == 0) pOut->e = VALUE_NONE;
  return SQLITE_OK;
}

/*
** What all text has in it, and the bounds of all text that begins, as the pattern of a LIKE or GLOB does.  A
** pattern that is too long is left to SQLite, which complains.
*/
static int valuePrefix(Scan *s, int i) {
  const PlanTerm *pTerm = &s->pPlan->aTerm[i];
  TermValue *pOut = &s->a[i];
  const char *z;
  char *zOut;
  Pattern pattern;
  size_t n, j;
  int rc;
  pOut->e = VALUE_SCAN;
  pOut->vPart.n = 0;
  if ((pTerm->flags & TERM_DOUBT) != 0) {
    if (s->pCur->eInner < 0) {
      s->pCur->eInner = (signed char)outerNone(registryDb(s->p->pRegistry));
    }
    if (!s->pCur->eInner) return SQLITE_OK;
  }
  if (sqlite3_value_type(s->argv[i]) == SQLITE_NULL) {
    pOut->e = VALUE_NONE;
    return SQLITE_OK;
  }
  z = (const char *)sqlite3_value_text(s->argv[i]);
  if (z == NULL) return SQLITE_NOMEM;
  if (sqlite3_value_bytes(s->argv[i]) >
      sqlite3_limit(registryDb(s->p->pRegistry), SQLITE_LIMIT_LIKE_PATTERN_LENGTH, -1)) {
    return SQLITE_OK;
  }
  valuePattern(z, pTerm->op == PLAN_GLOB, &pattern);
  pOut->vPart.type = MMAPSYNC_TEXT;
  pOut->vPart.n = (uint32_t)pattern.nPart;
  pOut->vPart.u.p = z + pattern.iPart;
  pOut->bPrefix = pattern.iPart == 0;
  n = pattern.nPrefix;
  if ((pTerm->flags & TERM_INNER) != 0 || n == 0) return SQLITE_OK;
  if ((scanTypes(s, pTerm->iCol) &
       ~(1u << MMAPSYNC_NULL | 1u << MMAPSYNC_TEXT | MMAPSYNC_TYPES_NUMERIC_TEXT)) != 0) {
    return SQLITE_OK;
  }
  zOut = sqlite3_malloc64(2 * n);
  if (zOut == NULL) return SQLITE_NOMEM;
  rc = scanKeep(s, zOut);
  if (rc != SQLITE_OK) return rc;
  for (j = 0; j < n; j++) {
    char c = z[j];
    if (pTerm->op == PLAN_LIKE && c >= 'A' && c <= 'Z') c = (char)(c | 0x20);
    zOut[j] = zOut[n + j] = c;
  }
  zOut[2 * n - 1]++; /* at most to 0x80, which is behind all ASCII */
  pOut->v.type = pOut->vEnd.type = MMAPSYNC_TEXT;
  pOut->v.n = pOut->vEnd.n = (uint32_t)n;
  pOut->v.u.p = zOut;
  pOut->vEnd.u.p = zOut + n;
  pOut->e = VALUE_MORE;
  return SQLITE_OK;
}

/*
** Prepares the value of a term.
*/
static int valueGet(Scan *s, int i) {
  const PlanTerm *pTerm = &s->pPlan->aTerm[i];
  TermValue *pOut = &s->a[i];
  pOut->bServed = 0;
  pOut->aList = NULL;
  pOut->nList = 0;
  if ((pTerm->flags & TERM_NULL) != 0) {
    pOut->e = VALUE_EXACT;
    pOut->v.type = MMAPSYNC_NULL;
    pOut->v.n = 0;
    return SQLITE_OK;
  }
  if ((pTerm->flags & TERM_LIST) != 0) return valueList(s, i);
  if (pTerm->op >= PLAN_LIKE) return valuePrefix(s, i);
  pOut->e = routeValue(s->p, pTerm, s->argv[i], &pOut->v);
  return pOut->e == VALUE_NOMEM ? SQLITE_NOMEM : SQLITE_OK;
}

/* ---- terms on the row's number ---------------------------------------------------------------- */

/*
** The first row whose number, counted from 1, is not less than a value (or, with bAfter, that is greater).
*/
static sqlite3_uint64 numberBound(const VtabTable *p, const mmapsync_value *pVal, int bAfter) {
  sqlite3_uint64 lo = 0, hi = p->pInfo->rows;
  while (lo < hi) {
    sqlite3_uint64 mid = lo + (hi - lo) / 2;
    mmapsync_value n = {.type = MMAPSYNC_INTEGER, .u.i = (sqlite3_int64)mid + 1};
    int c = mmapsync_compare(&n, pVal, MMAPSYNC_BINARY);
    if (c < 0 || (c == 0 && bAfter)) {
      lo = mid + 1;
    } else {
      hi = mid;
    }
  }
  return lo;
}

/*
** Where the rowid is the row's number, a term on it is a window of rows.
*/
static int numberWindow(Scan *s, int i) {
  const PlanTerm *pTerm = &s->pPlan->aTerm[i];
  VtabCursor *pCur = s->pCur;
  TermValue *pVal = &s->a[i];
  sqlite3_uint64 lo = 0, hi = s->p->pInfo->rows;
  pVal->bServed = 1;
  if (pTerm->op == MMAPSYNC_NE || pTerm->op == MMAPSYNC_ISNOT) {
    RowCheck check = {.iColumn = -1, .op = pTerm->op, .eColl = MMAPSYNC_BINARY, .v = pVal->v};
    /* A number is not NULL, nor text. */
    if (check.v.type != MMAPSYNC_INTEGER && check.v.type != MMAPSYNC_REAL) return SQLITE_OK;
    return checkAdd(pCur, &check);
  }
  if ((pTerm->flags & TERM_LIST) != 0) {
    RowCheck check = {.iColumn = -1, .op = pTerm->op, .eColl = MMAPSYNC_BINARY};
    int j;
    assert(pVal->aList != NULL || pVal->nList == 0);
    for (j = 0; j < pVal->nList; j++) {
      if (pVal->aList[j].type > MMAPSYNC_REAL) pVal->aList[j].type = MMAPSYNC_NULL;
    }
    return checkList(pCur, &check, pVal->aList, pVal->nList);
  }
  switch (pTerm->op) {
  case MMAPSYNC_LT: hi = numberBound(s->p, &pVal->v, 0); break;
  case MMAPSYNC_LE: hi = numberBound(s->p, &pVal->v, 1); break;
  case MMAPSYNC_GT: lo = numberBound(s->p, &pVal->v, 1); break;
  case MMAPSYNC_GE: lo = numberBound(s->p, &pVal->v, 0); break;
  default:
    lo = numberBound(s->p, &pVal->v, 0);
    hi = numberBound(s->p, &pVal->v, 1);
    break;
  }
  if (lo > pCur->rowLo) pCur->rowLo = lo;
  if (hi < pCur->rowHi) pCur->rowHi = hi;
  return SQLITE_OK;
}

/* ---- lookups ---------------------------------------------------------------------------------- */

/*
** Looks up a list behind n values in the key: ranges of positions, or the rows of a unique key, which are got
** all at once.
*/
static int lookupList(Scan *s, mmapsync_value *aVal, int n, int bRows) {
  const Route *pRoute = &s->pPlan->route;
  VtabTable *p = s->p;
  const TermValue *pList = &s->a[pRoute->aEq[n]];
  int i, j, rc = SQLITE_OK;
  if (!bRows) {
    for (i = 0; i < pList->nList && rc == SQLITE_OK; i++) {
      uint64_t lo, hi;
      int rcCore;
      aVal[n] = pList->aList[i];
      rcCore = mmapsync_find_range(p->pTab, pRoute->iKey, aVal, n + 1, NULL, 0, NULL, 0, &lo, &hi);
      rc = rcCore == MMAPSYNC_OK ? rangeAdd(s->pCur, lo, hi) : vtabFail(p, rcCore);
    }
    rangeMerge(s->pCur);
    return rc;
  }
  for (i = 0; i < pList->nList && rc == SQLITE_OK; i += j) {
    enum { kMost = 64 };
    mmapsync_value aMany[kMost * PLAN_PARTS];
    uint64_t aRow[kMost];
    int m = pList->nList - i < kMost ? pList->nList - i : kMost;
    for (j = 0; j < m; j++) {
      memcpy(&aMany[j * (n + 1)], aVal, sizeof(*aVal) * (size_t)n);
      aMany[j * (n + 1) + n] = pList->aList[i + j];
    }
    rc = mmapsync_find_many(p->pTab, pRoute->iKey, aMany, m, aRow);
    if (rc != MMAPSYNC_OK) return vtabFail(p, rc);
    for (j = 0; j < m && rc == SQLITE_OK; j++) {
      if (aRow[j] != UINT64_MAX) rc = listAdd(s->pCur, aRow[j]);
    }
    j = m;
  }
  listUnique(s->pCur);
  return rc == SQLITE_OK && s->pCur->nList > 0 ? rangeAdd(s->pCur, 0, s->pCur->nList) : rc;
}

/*
** The bounds of the part behind n values, if there are terms for it.
*/
static int lookupRange(Scan *s, const mmapsync_value *aVal, int n, uint64_t *pLo, uint64_t *pHi) {
  static const mmapsync_value null = {.type = MMAPSYNC_NULL};
  const Route *pRoute = &s->pPlan->route;
  const mmapsync_value *pFrom = NULL, *pTo = NULL;
  int bFrom = 0, bTo = 0;
  int rc;
  if (n == pRoute->nEq) {
    int iFrom = pRoute->iFrom, iTo = pRoute->iTo;
    if (iFrom >= 0 && s->a[iFrom].e <= VALUE_MORE) {
      const PlanTerm *pTerm = &s->pPlan->aTerm[iFrom];
      pFrom = &s->a[iFrom].v;
      bFrom = pTerm->op == MMAPSYNC_GE || pTerm->op >= PLAN_LIKE;
      s->a[iFrom].bServed = 1;
    }
    if (iTo >= 0 && s->a[iTo].e <= VALUE_MORE) {
      const PlanTerm *pTerm = &s->pPlan->aTerm[iTo];
      pTo = pTerm->op >= PLAN_LIKE ? &s->a[iTo].vEnd : &s->a[iTo].v;
      bTo = pTerm->op == MMAPSYNC_LE;
      s->a[iTo].bServed = 1;
      if (pFrom == NULL) pFrom = &null; /* NULL is not less than anything */
    }
  }
  rc = mmapsync_find_range(s->p->pTab, pRoute->iKey, aVal, n, pFrom, bFrom, pTo, bTo, pLo, pHi);
  return rc == MMAPSYNC_OK ? SQLITE_OK : vtabFail(s->p, rc);
}

/*
** Finds where the rows are: eWalk and ranges.  *pbOrdered becomes 0 if they do not come as the route said.
*/
static int lookup(Scan *s, int *pbOrdered) {
  const Route *pRoute = &s->pPlan->route;
  VtabCursor *pCur = s->pCur;
  VtabTable *p = s->p;
  const mmapsync_key_info *pKey;
  mmapsync_value aVal[PLAN_PARTS];
  uint64_t lo = 0, hi = p->pInfo->rows;
  int bNull = 0, bList = 0;
  int n, i, rc = SQLITE_OK;
  pCur->eWalk = WALK_ROWS;
  pCur->iKey = pRoute->iKey;
  for (i = 0; i < s->pPlan->nTerm; i++) {
    const PlanTerm *pTerm = &s->pPlan->aTerm[i];
    if (pTerm->op != MMAPSYNC_EQ && pTerm->op != MMAPSYNC_IS) continue;
    if (s->a[i].e == VALUE_SCAN && (pTerm->flags & TERM_LIST) == 0) *pbOrdered = 0;
  }
  if (pRoute->iKey < 0) return rangeAdd(pCur, 0, hi);
  pKey = mmapsync_key_about(p->pTab, pRoute->iKey);
  for (n = 0; n < pRoute->nEq; n++) {
    TermValue *pVal = &s->a[pRoute->aEq[n]];
    if (pVal->e == VALUE_SCAN) break;
    pVal->bServed = 1;
    bList = (s->pPlan->aTerm[pRoute->aEq[n]].flags & TERM_LIST) != 0;
    if (bList) break;
    aVal[n] = pVal->v;
    if (pVal->v.type == MMAPSYNC_NULL) bNull = 1;
  }
  if (bList) {
    int bRows = pRoute->bUnique && !bNull && s->pPlan->eOrder == PLAN_ANY;
    pCur->eWalk = bRows ? WALK_LIST : WALK_KEY;
    rc = lookupList(s, aVal, n, bRows);
  } else if (pRoute->bUnique && n == pRoute->nEq && !bNull) {
    rc = mmapsync_find(p->pTab, pRoute->iKey, aVal, n, &lo);
    if (rc == MMAPSYNC_OK) return rangeAdd(pCur, lo, lo + 1);
    return rc == MMAPSYNC_NOTFOUND ? SQLITE_OK : vtabFail(p, rc);
  } else {
    pCur->eWalk = WALK_KEY;
    rc = lookupRange(s, aVal, n, &lo, &hi);
    if (rc == SQLITE_OK) rc = rangeAdd(pCur, lo, hi);
    if (n == 0 && lo == 0 && hi == p->pInfo->rows && pRoute->nSkip == 0 &&
        (s->pPlan->eOrder == PLAN_ANY || !*pbOrdered)) {
      pCur->eWalk = WALK_ROWS; /* all of them: as they stand is quicker */
    }
  }
  /* Where rows stand in the key's order, positions are rows. */
  if (pCur->eWalk == WALK_KEY && (pKey->flags & MMAPSYNC_KEY_ORDERED) != 0 && pRoute->nSkip == 0) {
    pCur->eWalk = WALK_ROWS;
  }
  return rc;
}

/* ---- what is left ----------------------------------------------------------------------------- */

/*
** Says that a term cannot be answered as it was promised.
*/
static int scanBroken(const Scan *s, int iCol) {
  const unsigned mNumber = 1u << MMAPSYNC_INTEGER | 1u << MMAPSYNC_REAL;
  if ((scanTypes(s, iCol) & (mNumber | MMAPSYNC_TYPES_NUMERIC_TEXT)) == 0) {
    /* The other value that such a column is not compared with exactly, and only planSlice() asks. */
    return vtabError(s->p, SQLITE_ERROR,
                     sqlite3_mprintf("\"%s\": table \"%s\": column \"%s\" cannot be compared with "
                                     "infinity before SQLite 3.39.4",
                                     mmapsync_path(s->p->pChannel->h), s->p->zTable,
                                     s->p->aCol[iCol].zName));
  }
  return vtabError(
      s->p, SQLITE_ERROR,
      sqlite3_mprintf(
          "\"%s\": table \"%s\": column \"%s\" holds %s now: prepare the statement again",
          mmapsync_path(s->p->pChannel->h), s->p->zTable, s->p->aCol[iCol].zName,
          (scanTypes(s, iCol) & mNumber) != 0 ? "numbers" : "text that looks like numbers"));
}

/*
** Leaves the bytes that were copied to the cursor.
*/
static void scanHold(Scan *s) {
  while (s->pBytes != NULL) {
    ByteChunk *pChunk = s->pBytes;
    s->pBytes = pChunk->pNext;
    pChunk->pNext = s->pCur->pBytes;
    s->pCur->pBytes = pChunk;
  }
}

/*
** Adds the checks of a term.  bHold: they are made after xFilter, too.
*/
static int termChecks(Scan *s, int i, int bNumbers, int bHold) {
  const PlanTerm *pTerm = &s->pPlan->aTerm[i];
  const TermValue *pVal = &s->a[i];
  RowCheck check = {.iColumn = columnOf(s->p, pTerm->iCol),
                    .op = pTerm->op,
                    .eColl = pTerm->eColl,
                    .bNumbers = bNumbers,
                    .v = pVal->v};
  int rc = SQLITE_OK;
  if (pTerm->op >= PLAN_LIKE) {
    check.op = MMAPSYNC_GE;
    rc = checkAdd(s->pCur, &check);
    check.op = MMAPSYNC_LT;
    check.v = pVal->vEnd;
    return rc == SQLITE_OK ? checkAdd(s->pCur, &check) : rc;
  }
  if ((pTerm->flags & TERM_LIST) == 0) {
    if (bHold) rc = scanCopy(s, &check.v);
    if (rc == SQLITE_OK) rc = checkAdd(s->pCur, &check);
    if (bHold) scanHold(s);
    return rc;
  }
  if (bHold) scanHold(s);
  return checkList(s->pCur, &check, pVal->aList, pVal->nList);
}

/*
** Makes a filter of the terms that are left.
*/
static int scanFilter(Scan *s) {
  mmapsync_term aTerm[PLAN_TERMS];
  int n = 0;
  int i;
  for (i = 0; i < s->pPlan->nTerm; i++) {
    const PlanTerm *pTerm = &s->pPlan->aTerm[i];
    const TermValue *pVal = &s->a[i];
    mmapsync_term *pOut = &aTerm[n];
    if (pTerm->op >= PLAN_LIKE) {
      if (pVal->vPart.n == 0 || (pVal->bServed && pVal->bPrefix)) continue;
    } else if (pVal->bServed || pVal->e > VALUE_MORE) {
      continue;
    }
    pOut->column = columnOf(s->p, pTerm->iCol);
    pOut->collation = pTerm->eColl;
    pOut->op = pTerm->op;
    pOut->nvalues = 1;
    pOut->values = &pVal->v;
    n++;
    if ((pTerm->flags & TERM_LIST) != 0) {
      pOut->op = MMAPSYNC_IN;
      pOut->nvalues = pVal->nList;
      pOut->values = pVal->aList;
    } else if (pTerm->op >= PLAN_LIKE) {
      pOut->op = MMAPSYNC_HAS;
      pOut->values = &pVal->vPart;
    }
  }
  if (n > 0) {
    int rc = mmapsync_filter_open(s->p->pTab, aTerm, n, &s->pCur->pFilter);
    if (rc == MMAPSYNC_NOMEM) return SQLITE_NOMEM;
    /* Each term is a good one; of the values of a list there are 2^26 at most, for SQLite gives no more memory. */
    if (NEVER(rc != MMAPSYNC_OK)) return vtabFail(s->p, rc);
  }
  return SQLITE_OK;
}

/*
** Leaves out the first rows.
*/
static int scanOffset(VtabCursor *pCur, sqlite3_int64 nOffset) {
  while (nOffset > 0) {
    if (pCur->pFilter == NULL && pCur->nCheck == 0 && pCur->lo < pCur->hi && pCur->rowLo == 0 &&
        pCur->rowHi == ((VtabTable *)pCur->base.pVtab)->pInfo->rows) {
      sqlite3_uint64 n = pCur->hi - pCur->lo;
      if (n > (sqlite3_uint64)nOffset) n = (sqlite3_uint64)nOffset;
      if (pCur->bReverse) {
        pCur->hi -= n;
      } else {
        pCur->lo += n;
      }
      nOffset -= (sqlite3_int64)n;
    } else if (pCur->pFilter == NULL && pCur->nCheck == 0 && walkRange(pCur)) {
      continue;
    } else {
      int rc = cursorFill(pCur);
      if (pCur->bEof) return rc; /* also where it failed */
      if (pCur->nRow > nOffset) {
        pCur->iRow = (unsigned int)nOffset;
        pCur->row = pCur->aRow[pCur->iRow];
        return rc;
      }
      nOffset -= pCur->nRow;
    }
  }
  return cursorFill(pCur);
}

/*
** Lists all rows that match and sorts them.
*/
static int scanSort(Scan *s) {
  VtabCursor *pCur = s->pCur;
  unsigned int i;
  int rc;
  assert(pCur->eWalk != WALK_LIST && pCur->nList == 0);
  pCur->nAsk = CURSOR_ROWS;
  pCur->bReverse = pCur->nSkip = 0;
  do {
    rc = cursorFill(pCur);
    for (i = 0; i < pCur->nRow && rc == SQLITE_OK; i++) rc = listAdd(pCur, pCur->aRow[i]);
  } while (rc == SQLITE_OK && !pCur->bEof);
  if (rc == SQLITE_OK) {
    if (pCur->eWalk == WALK_KEY) listUnique(pCur); /* by number, so that those that tie stay so */
    rc = listSort(pCur, s->pPlan);
  }
  mmapsync_filter_close(pCur->pFilter); /* they all match */
  pCur->pFilter = NULL;
  pCur->nCheck = 0;
  pCur->rowLo = 0;
  pCur->rowHi = s->p->pInfo->rows;
  pCur->eWalk = WALK_LIST;
  pCur->nRange = pCur->iRange = 0;
  pCur->lo = 0;
  pCur->hi = pCur->nList;
  pCur->nAsk = 1;
  return rc;
}

/* ---- xFilter ---------------------------------------------------------------------------------- */

/*
** Whatever is not a lookup of one row by all terms.
*/
static int scanStart(Scan *s) {
  const Plan *pPlan = s->pPlan;
  const Route *pRoute = &pPlan->route;
  VtabCursor *pCur = s->pCur;
  int bOrdered = pRoute->bOrdered;
  int bFew;
  int i, rc = SQLITE_OK;
  pCur->rowLo = 0;
  pCur->rowHi = s->p->pInfo->rows;
  for (i = 0; i < pPlan->nTerm; i++) {
    rc = valueGet(s, i);
    if (s->a[i].aList != NULL) {
      int rcKeep = scanKeep(s, s->a[i].aList);
      if (rc == SQLITE_OK) rc = rcKeep;
    }
    if (rc != SQLITE_OK) return rc;
    if (s->a[i].e == VALUE_NONE) return SQLITE_OK;
  }
  rc = lookup(s, &bOrdered);
  if (rc != SQLITE_OK) return rc;
  for (i = 0; i < pPlan->nTerm; i++) {
    const PlanTerm *pTerm = &pPlan->aTerm[i];
    if (columnOf(s->p, pTerm->iCol) < 0) {
      rc = numberWindow(s, i);
    } else if ((pTerm->flags & TERM_OMIT) != 0 && s->a[i].e != VALUE_EXACT) {
      if (columnAffinity(s->p, pTerm->iCol) < AFF_NUMERIC) return scanBroken(s, pTerm->iCol);
      rc = termChecks(s, i, 1, 1);
    } else if (s->a[i].e == VALUE_SCAN && planSlice(pTerm, columnAffinity(s->p, pTerm->iCol))) {
      return scanBroken(s, pTerm->iCol);
    }
    if (rc != SQLITE_OK) return rc;
  }
  if (pPlan->eOrder == PLAN_ANY) bOrdered = 1;
  pCur->bReverse = pPlan->eOrder != PLAN_ANY && bOrdered && pRoute->bReverse;
  pCur->nSkip = bOrdered && pCur->eWalk == WALK_KEY ? pRoute->nSkip : 0;
  bFew = pCur->nRange <= 1 && bOrdered && pCur->nSkip == 0 && !pPlan->bOffset;
  if (bFew && pCur->nRange == 1) bFew = pCur->aRange[0].hi - pCur->aRange[0].lo <= FEW_ROWS;
  if (bFew) {
    for (i = 0; i < pPlan->nTerm && rc == SQLITE_OK; i++) {
      if (!s->a[i].bServed && s->a[i].e <= VALUE_MORE) rc = termChecks(s, i, 0, 0);
    }
    pCur->nAsk = FEW_ROWS;
    if (rc == SQLITE_OK) rc = cursorFill(pCur);
    pCur->eWalk = WALK_NONE; /* the checks point to what ends now, and are done */
    return rc;
  }
  rc = scanFilter(s);
  if (rc == SQLITE_OK && !bOrdered) rc = scanSort(s);
  if (rc != SQLITE_OK) return rc;
  if (pPlan->bOffset) return scanOffset(pCur, sqlite3_value_int64(s->argv[pPlan->nTerm]));
  return cursorFill(pCur);
}

/*
** Gets values of the row.  What cannot be got is left to xColumn, which says why.
*/
static void pointValues(VtabCursor *pCur, const Plan *pPlan) {
  const VtabTable *p = (const VtabTable *)pCur->base.pVtab;
  int i;
  for (i = 0; i < pPlan->nPoint; i++) {
    const int iCol = pPlan->aPoint[i];
    ColumnBlock *pBlock = &pCur->aBlock[iCol];
    if (mmapsync_get(p->pTab, pCur->row, p->aMap[iCol], &pBlock->point) == MMAPSYNC_OK) {
      pBlock->iFill = pCur->iFill;
      pBlock->xGet = columnPoint;
      pBlock->bEnds = 0; /* asking takes longer than looking at one text */
    }
  }
}

/*
** Stands on the row that a unique key has for the values of all terms.  0 if it takes more than that.
*/
static int scanPoint(VtabCursor *pCur, const Plan *pPlan, sqlite3_value **argv, int *pRc) {
  const Route *pRoute = &pPlan->route;
  VtabTable *p = (VtabTable *)pCur->base.pVtab;
  mmapsync_value aVal[PLAN_PARTS];
  uint64_t row;
  int i, rc;
  for (i = 0; i < pRoute->nEq; i++) {
    const PlanTerm *pTerm = &pPlan->aTerm[pRoute->aEq[i]];
    sqlite3_value *pVal = argv[pRoute->aEq[i]];
    int e;
    if ((pPlan->mNumber >> i & 1) != 0 && sqlite3_value_type(pVal) == SQLITE_INTEGER) {
      aVal[i].type = MMAPSYNC_INTEGER;
      aVal[i].n = 0;
      aVal[i].u.i = sqlite3_value_int64(pVal);
      continue;
    }
    if (pTerm->flags & TERM_NULL) return 0;
    e = routeValue(p, pTerm, pVal, &aVal[i]);
    if (e == VALUE_NONE) return 1;
    if (e != VALUE_EXACT || aVal[i].type == MMAPSYNC_NULL) return 0;
  }
  rc = mmapsync_find(p->pTab, pRoute->iKey, aVal, pRoute->nEq, &row);
  if (rc == MMAPSYNC_OK) {
    pCur->row = row;
    pCur->bEof = 0;
    pointValues(pCur, pPlan);
  } else if (rc != MMAPSYNC_NOTFOUND) {
    *pRc = vtabFail(p, rc);
  }
  return 1;
}

/*
** Begins a walk over all rows, in an order that the route gives, or in any: what lookup() comes to without terms.
*/
static int scanWhole(VtabCursor *pCur, const Plan *pPlan) {
  const Route *pRoute = &pPlan->route;
  const VtabTable *p = (const VtabTable *)pCur->base.pVtab;
  pCur->rowLo = pCur->lo = 0;
  pCur->rowHi = pCur->hi = p->pInfo->rows;
  pCur->eWalk = WALK_ROWS;
  pCur->iKey = pRoute->iKey;
  pCur->bReverse = pPlan->eOrder != PLAN_ANY && pRoute->bReverse;
  if (pRoute->iKey >= 0 && pRoute->nSkip > 0) {
    pCur->eWalk = WALK_KEY;
    pCur->nSkip = pRoute->nSkip;
  } else if (pRoute->iKey >= 0 &&
             (mmapsync_key_about(p->pTab, pRoute->iKey)->flags & MMAPSYNC_KEY_ORDERED) == 0) {
    pCur->eWalk = WALK_KEY;
  }
  return walkFirst(pCur);
}

/*
** All others.  Apart, because what it has at hand is large.
*/
static __attribute__((noinline)) int scanTerms(VtabCursor *pCur, const Plan *pPlan,
                                               sqlite3_value **argv) {
  Scan s;
  int rc;
  s.pCur = pCur;
  s.p = (VtabTable *)pCur->base.pVtab;
  s.pPlan = pPlan;
  s.argv = argv;
  s.apFree = NULL;
  s.pBytes = NULL;
  s.nFree = s.nFreeAlloc = 0;
  rc = scanStart(&s);
  scanEnd(&s);
  if (rc != SQLITE_OK) cursorReset(pCur);
  return rc;
}

int vtabFilter(sqlite3_vtab_cursor *pCursor, int idxNum, const char *idxStr, int argc,
               sqlite3_value **argv) {
  VtabCursor *pCur = (VtabCursor *)pCursor;
  VtabTable *p = (VtabTable *)pCursor->pVtab;
  const Plan *pPlan;
  int rc = SQLITE_OK;
  assert(p->iImage == p->pChannel->iImage); /* pinned since xOpen */
  (void)idxNum;
  (void)argc;
  if (pCur->bUsed) cursorReset(pCur);
  pCur->bUsed = 1;
  pPlan = &p->aPlan[p->iPlan]; /* mostly the same as the last time */
  if (pPlan->iImage != p->iImage || strcmp(pPlan->zText, idxStr) != 0) pPlan = planGet(p, idxStr);
  assert(argc == pPlan->nTerm + pPlan->bOffset);
  if ((pPlan->mUsed & p->mMissing) != 0) return vtabMissing(p, pPlan->mUsed);
  if (pPlan->iGone >= 0) return vtabGone(p, pPlan->iGone);
  if (pPlan->bPoint && scanPoint(pCur, pPlan, argv, &rc)) return rc;
  if (pPlan->nTerm == 0 && !pPlan->bOffset && pPlan->route.bOrdered) {
    return scanWhole(pCur, pPlan);
  }
  return scanTerms(pCur, pPlan, argv);
}
