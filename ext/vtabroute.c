/*
** vtabroute.c - which key of a snapshot serves a plan.
**
** Twice for each statement the same question is asked: given these terms, and perhaps an order that is wanted,
** how are the rows reached at the least cost?  xBestIndex asks it of the newest snapshot at prepare time, to tell
** SQLite; xFilter asks it of the snapshot it has pinned, because the statement may have been prepared many
** snapshots ago.  routeChoose() answers both.  The plan between them therefore names columns, not keys; terms
** that were looked up in a key at prepare time are marked, and a key that serves just these is taken if there
** is one, because at prepare time more was known (constants).
**
** ROUTES.  Rows as they stand, or the order of one key, between two positions that come of terms: equality on
** the first parts of the key, the last of these perhaps with a list of values, then a range of the next part.
** A term serves a part if it compares by the part's collation, or if the column holds no text.  All other terms
** are a filter on the rows that a route leads to.
**
** ORDER.  Rows of a key come in the order of its parts; where these tie, by row number, hence in the order of
** the key by which the rows stand (MMAPSYNC_KEY_ORDERED), and at last by rowid where that is the row's number.
** A part for which a term gives one value does not count.  An ORDER BY is served if its columns are those parts
** in their collations (SQLite hands over only columns that are ordered by their declared collation, and never
** NULLS LAST of a rising one or NULLS FIRST of a falling), all in the key's direction or all against it: then
** the walk is from the end.  Behind a unique key without NULL nothing ties any more.
**
** DISTINCT.  If all columns the statement uses are among the first parts of a key, rows that are alike in these
** are alike to the statement, and the walk goes from one group to the next (vtabwalk.c).  Alike is more than
** equal: 'a' and 'A', 5 and 5.0 may be equal in a key, and a statement can tell them apart.
**
** ESTIMATES.  The image knows how many different values the first parts of a key have, how many NULLs a column
** has, its least and greatest number; and where a term's value is a constant, the rows are counted in the key.
** For the rest, what SQLite takes without ANALYZE, more or less.
*/
#include "vtab.h"

#include <assert.h>

/* What things cost, in units of which SQLite's own tables take 3 for a row of a full scan.  A filter looks at
** many rows for one that is handed over. */
#define COST_START    10.0
#define COST_SCAN_ROW 2.4
#define COST_KEY_ROW  3.0 /* its row is anywhere */
#define COST_LOOKUP   4.0
#define COST_UNIQUE   2.0 /* mostly by hash */
#define COST_FILTER   0.1 /* a row and term, in a scan */
#define COST_CHECK    0.8 /* a row, in a key's order */
#define COST_GROUP    6.0 /* from one group to the next */
#define COST_SORT     0.5 /* a row, for each doubling of rows */

#define LIST_VALUES   8.0 /* in the list of an IN */
#define LEAST_ROWS                                                                                 \
  1000.0 /* of which a scan is taken to be: the next snapshot may have more than this */

/* ---- columns and terms ------------------------------------------------------------------------ */

int columnOf(const VtabTable *p, int iCol) { return iCol < 0 ? p->pInfo->rowid : p->aMap[iCol]; }

char columnAffinity(const VtabTable *p, int iCol) {
  return iCol < 0 ? AFF_INTEGER : p->aCol[iCol].aff;
}

int orderDiffers(const VtabTable *p, int eColl) { return p->bUtf16 && eColl == MMAPSYNC_BINARY; }

static int textIsAscii(const mmapsync_value *p) {
  const char *z = p->u.p;
  uint32_t i;
  for (i = 0; i < p->n; i++) {
    if ((z[i] & 0x80) != 0) return 0;
  }
  return 1;
}

int routeValue(const VtabTable *p, const PlanTerm *pTerm, sqlite3_value *pVal,
               mmapsync_value *pOut) {
  const int c = columnOf(p, pTerm->iCol);
  const unsigned types = c < 0 ? 1u << MMAPSYNC_INTEGER : mmapsync_column_about(p->pTab, c)->types;
  const unsigned mOnlyText =
      1u << MMAPSYNC_NULL | 1u << MMAPSYNC_TEXT | MMAPSYNC_TYPES_NUMERIC_TEXT;
  int e = valueForTerm(pVal, pTerm->op, columnAffinity(p, pTerm->iCol), types,
                       (pTerm->flags & TERM_CONST) != 0, pOut);
  if (e != VALUE_EXACT && e != VALUE_MORE) return e;
  if ((pTerm->flags & TERM_PAIR) != 0 && ((types & ~mOnlyText) != 0 || !textIsAscii(pOut))) {
    return VALUE_SCAN;
  }
  if (pOut->type == MMAPSYNC_TEXT && pTerm->op >= MMAPSYNC_LT && pTerm->op <= MMAPSYNC_GE &&
      orderDiffers(p, pTerm->eColl)) {
    return VALUE_SCAN;
  }
  return e;
}

static int columnHolds(const VtabTable *p, int c, unsigned m) {
  return (mmapsync_column_about(p->pTab, c)->types & m) != 0;
}

/*
** Whether a term compares as a key's part does.
*/
static int termServes(const VtabTable *p, const PlanTerm *pTerm, const mmapsync_part_def *pPart) {
  return columnOf(p, pTerm->iCol) == pPart->column &&
         (pTerm->eColl == pPart->collation || (pTerm->flags & TERM_NULL) != 0 ||
          !columnHolds(p, pPart->column, 1u << MMAPSYNC_TEXT));
}

static int termIsEqual(const PlanTerm *pTerm) {
  return pTerm->op == MMAPSYNC_EQ || pTerm->op == MMAPSYNC_IS;
}

static int termIsPrefix(const PlanTerm *pTerm) {
  return pTerm->op == PLAN_LIKE || pTerm->op == PLAN_GLOB;
}

/*
** The term that gives one value, or else the one that gives a list, for a part; -1: none.
*/
static int partEqual(const VtabTable *p, const Plan *pPlan, const mmapsync_part_def *pPart) {
  int iList = -1;
  int i;
  for (i = 0; i < pPlan->nTerm; i++) {
    const PlanTerm *pTerm = &pPlan->aTerm[i];
    if (!termIsEqual(pTerm) || !termServes(p, pTerm, pPart)) continue;
    if ((pTerm->flags & TERM_LIST) == 0) return i;
    if (iList < 0) iList = i;
  }
  return iList;
}

/*
** The terms that bound a part.  A constant is better than NOT NULL, and the first better than the next.
*/
static void partBounds(const VtabTable *p, const Plan *pPlan, const mmapsync_part_def *pPart,
                       Route *pRoute) {
  int i;
  for (i = 0; i < pPlan->nTerm; i++) {
    const PlanTerm *pTerm = &pPlan->aTerm[i];
    const int op = pTerm->op;
    if (!termServes(p, pTerm, pPart)) continue;
    if ((pTerm->flags & TERM_INNER) != 0) continue;
    if (termIsPrefix(pTerm)) {
      pRoute->iFrom = pRoute->iTo = i;
      return;
    }
    if (op == MMAPSYNC_GT || op == MMAPSYNC_GE) {
      if (pRoute->iFrom < 0 || (pPlan->aTerm[pRoute->iFrom].flags & TERM_NULL) != 0) {
        pRoute->iFrom = i;
      }
    } else if (op == MMAPSYNC_ISNOT && (pTerm->flags & TERM_NULL) != 0) {
      if (pRoute->iFrom < 0) pRoute->iFrom = i;
    } else if ((op == MMAPSYNC_LT || op == MMAPSYNC_LE) && pRoute->iTo < 0) {
      pRoute->iTo = i;
    }
  }
}

/* ---- order ------------------------------------------------------------------------------------ */

#define PART_NUMBER -1 /* in place of a column: the row's number */

/*
** The order in which rows of a route come: the parts of its key, those of the key by which rows stand, the
** row's number.  Part i of that, or 0 behind the last.  *pbDone: nothing ties from here on.
*/
static int routePart(const VtabTable *p, int iKey, int i, mmapsync_part_def *pOut, int *pbDone) {
  int k, n;
  *pbDone = 0;
  if (iKey >= 0) {
    const mmapsync_key_info *pKey = mmapsync_key_about(p->pTab, iKey);
    if (i < pKey->nparts) {
      *pOut = pKey->parts[i];
      return 1;
    }
    i -= pKey->nparts;
    if (i == 0 && (pKey->flags & MMAPSYNC_KEY_UNIQUE) != 0) {
      for (n = 0; n < pKey->nparts; n++) {
        if (columnHolds(p, pKey->parts[n].column, 1u << MMAPSYNC_NULL)) break;
      }
      *pbDone = n == pKey->nparts;
      if (*pbDone) return 0;
    }
  }
  for (k = 0; k < p->pInfo->nkeys; k++) {
    const mmapsync_key_info *pKey = mmapsync_key_about(p->pTab, k);
    if ((pKey->flags & MMAPSYNC_KEY_ORDERED) == 0) continue;
    if (k == iKey) break;
    if (i < pKey->nparts) {
      *pOut = pKey->parts[i];
      return 1;
    }
    i -= pKey->nparts;
    break;
  }
  if (p->pInfo->rowid >= 0) return 0;
  if (i > 0) {
    *pbDone = 1;
    return 0;
  }
  pOut->column = PART_NUMBER;
  pOut->collation = MMAPSYNC_BINARY;
  pOut->desc = 0;
  return 1;
}

/*
** Whether a term leaves a part one value.  (If that value turns out to be one that does not, vtabscan.c sorts.)
*/
static int partIsFixed(const VtabTable *p, const Plan *pPlan, const mmapsync_part_def *pPart) {
  int i;
  if (pPart->column == PART_NUMBER) return 0;
  i = partEqual(p, pPlan, pPart);
  return i >= 0 && (pPlan->aTerm[i].flags & TERM_LIST) == 0;
}

/*
** A column of the ORDER BY as a part of a key.  0 if it is not ordered as any key can be.
*/
static int orderPart(const VtabTable *p, const PlanOrder *pOrder, mmapsync_part_def *pOut) {
  pOut->desc = pOrder->bDesc;
  if (pOrder->iCol < 0) {
    pOut->column = p->pInfo->rowid >= 0 ? p->pInfo->rowid : PART_NUMBER;
    pOut->collation = MMAPSYNC_BINARY;
    return 1;
  }
  if (p->aCol[pOrder->iCol].eColl < 0 || p->aMap[pOrder->iCol] < 0) return 0;
  pOut->column = p->aMap[pOrder->iCol];
  pOut->collation = p->aCol[pOrder->iCol].eColl;
  return 1;
}

static int partsAgree(const VtabTable *p, const mmapsync_part_def *a, const mmapsync_part_def *b) {
  if (a->column != b->column) return 0;
  return a->column == PART_NUMBER || a->collation == b->collation ||
         !columnHolds(p, a->column, 1u << MMAPSYNC_TEXT);
}

/*
** Whether one of the columns of the ORDER BY from the i-th on is this part.
*/
static int orderHas(const VtabTable *p, const Plan *pPlan, int i, const mmapsync_part_def *pPart) {
  mmapsync_part_def want;
  for (; i < pPlan->nOrder; i++) {
    if (orderPart(p, &pPlan->aOrder[i], &want) && partsAgree(p, &want, pPart)) return 1;
  }
  return 0;
}

/*
** Whether the rows of the route come in the order that the plan wants, or groups for which that suffices.
*/
static int routeOrders(const VtabTable *p, const Plan *pPlan, Route *pRoute) {
  mmapsync_part_def want, part;
  int eDirection = -1;
  int nLeft = 0; /* columns of the ORDER BY that groups still have to agree in */
  int bDone = 0;
  int iPart = 0;
  int i;
  for (i = 0; i < pPlan->nOrder; i++) {
    if (!orderPart(p, &pPlan->aOrder[i], &want)) return 0;
    if (!partIsFixed(p, pPlan, &want) && !orderHas(p, pPlan, i + 1, &want)) nLeft++;
  }
  for (i = 0; i < pPlan->nOrder && nLeft > 0; i++) {
    (void)orderPart(p, &pPlan->aOrder[i], &want);
    if (partIsFixed(p, pPlan, &want)) continue;
    do {
      if (!routePart(p, pRoute->iKey, iPart++, &part, &bDone)) return bDone;
    } while (partIsFixed(p, pPlan, &part));
    if (pPlan->eOrder == PLAN_GROUPED) {
      if (!orderHas(p, pPlan, 0, &part)) return 0;
      nLeft--;
    } else {
      int e = (part.desc != 0) != (want.desc != 0);
      if (!partsAgree(p, &want, &part)) return 0;
      if (eDirection >= 0 && e != eDirection) return 0;
      eDirection = e;
      pRoute->bReverse = e;
    }
  }
  return 1;
}

/* ---- DISTINCT --------------------------------------------------------------------------------- */

/*
** How many parts of the route's key tell all rows apart that the statement can tell apart; 0: all of them, or
** more.
*/
static int routeSkip(const VtabTable *p, const Plan *pPlan, const Route *pRoute) {
  const mmapsync_key_info *pKey;
  sqlite3_uint64 mLeft = pPlan->mUsed;
  int i, n;
  if (!pPlan->bDistinct || pRoute->iKey < 0 || (mLeft >> 63) != 0) return 0;
  for (i = 0; i < pPlan->nTerm; i++) {
    if (pPlan->aTerm[i].iCol < 0) return 0;
  }
  pKey = mmapsync_key_about(p->pTab, pRoute->iKey);
  for (n = 0; n < pKey->nparts && mLeft != 0; n++) {
    const mmapsync_part_def *pPart = &pKey->parts[n];
    unsigned types = mmapsync_column_about(p->pTab, pPart->column)->types;
    const unsigned mNumbers = 1u << MMAPSYNC_INTEGER | 1u << MMAPSYNC_REAL;
    if ((types & 1u << MMAPSYNC_TEXT) != 0 && pPart->collation != MMAPSYNC_BINARY) return 0;
    if ((types & mNumbers) == mNumbers) return 0;
    for (i = 0; i < p->nCol && i < 63; i++) {
      if (p->aMap[i] == pPart->column) mLeft &= ~((sqlite3_uint64)1 << i);
    }
  }
  if (mLeft != 0 || n > PLAN_PARTS) return 0;
  return n == pKey->nparts && (pKey->flags & MMAPSYNC_KEY_UNIQUE) != 0 ? 0 : n;
}

/* ---- estimates -------------------------------------------------------------------------------- */

/*
** How many rows the first n parts of a key leave, on the average.  Where an image does not tell how many
** values they have: for a unique key of m parts, each part is taken to have as many as any other, which
** leaves rows to the power of (m-n)/m; for another key, 10 rows for the first part, one less for each
** further, at least 5.
*/
static double keyRows(const mmapsync_key_info *pKey, int n, sqlite3_uint64 nRow) {
  sqlite3_uint64 nEst = 1;
  if (n == 0) return (double)nRow;
  assert(pKey != NULL);
  if (pKey->distinct[n - 1] > 0) {
    return (double)nRow / (double)pKey->distinct[n - 1];
  }
  if ((pKey->flags & MMAPSYNC_KEY_UNIQUE) != 0) {
    int nBit = 0;
    while (nRow >> nBit > 1) nBit++;
    nEst = (sqlite3_uint64)1 << (nBit * (pKey->nparts - n) / pKey->nparts);
  } else {
    nEst = n >= 6 ? 5 : (sqlite3_uint64)(11 - n);
  }
  if (nEst > nRow) nEst = nRow;
  return nEst < 1 ? 1.0 : (double)nEst;
}

/*
** The share of rows that have one value of a column, on the average.
*/
static double columnShare(const VtabTable *p, int c) {
  int k;
  for (k = 0; k < p->pInfo->nkeys; k++) {
    const mmapsync_key_info *pKey = mmapsync_key_about(p->pTab, k);
    if (pKey->parts[0].column == c && pKey->distinct[0] > 0) {
      return 1.0 / (double)pKey->distinct[0];
    }
  }
  return 0.1;
}

static double numberOf(const mmapsync_value *p) {
  return p->type == MMAPSYNC_INTEGER ? (double)p->u.i : p->u.r;
}

/*
** The share of rows that match a term.
*/
static double termShare(const VtabTable *p, const PlanTerm *pTerm, sqlite3_value *pVal) {
  const double nRow = p->pInfo->rows > 0 ? (double)p->pInfo->rows : 1.0;
  const int c = columnOf(p, pTerm->iCol);
  const mmapsync_column_info *pCol;
  if (c < 0) return termIsEqual(pTerm) ? 1.0 / nRow : 0.3; /* the row's number */
  pCol = mmapsync_column_about(p->pTab, c);
  if ((pTerm->flags & TERM_NULL) != 0) {
    double rNull = (double)pCol->nulls / nRow;
    return pTerm->op == MMAPSYNC_IS ? rNull : 1.0 - rNull;
  }
  if (termIsEqual(pTerm)) {
    double r = columnShare(p, c);
    if ((pTerm->flags & TERM_LIST) != 0) r *= LIST_VALUES;
    return r < 0.5 ? r : 0.5;
  }
  if (pTerm->op == MMAPSYNC_NE || pTerm->op == MMAPSYNC_ISNOT) return 0.95;
  if (termIsPrefix(pTerm)) return 0.05;
  if (pVal != NULL && pCol->min.type != MMAPSYNC_NULL) {
    mmapsync_value v;
    int e = routeValue(p, pTerm, pVal, &v);
    if ((e == VALUE_EXACT || e == VALUE_MORE) &&
        (v.type == MMAPSYNC_INTEGER || v.type == MMAPSYNC_REAL)) {
      double rMin = numberOf(&pCol->min), rMax = numberOf(&pCol->max);
      double r = rMax > rMin ? (numberOf(&v) - rMin) / (rMax - rMin) : 0.5;
      if (!(r >= 0)) r = 0;
      if (r > 1) r = 1;
      return pTerm->op == MMAPSYNC_LT || pTerm->op == MMAPSYNC_LE ? r : 1 - r;
    }
  }
  return 0.25;
}

double routeMatches(const VtabTable *p, const Plan *pPlan, sqlite3_value **apValue) {
  double r = 1;
  int i;
  for (i = 0; i < pPlan->nTerm; i++) {
    r *= termShare(p, &pPlan->aTerm[i], apValue[i]);
  }
  return r;
}

/*
** Counts the rows of a route whose terms' values are all known.  0 if they are not.
*/
static int routeCount(const VtabTable *p, const Plan *pPlan, sqlite3_value **apValue,
                      Route *pRoute) {
  const mmapsync_value null = {.type = MMAPSYNC_NULL};
  mmapsync_value aVal[PLAN_PARTS], from, to;
  const mmapsync_value *pFrom = NULL, *pTo = NULL;
  int aTerm[PLAN_PARTS + 2];
  uint64_t lo, hi;
  int n = 0, bFrom = 0, bTo = 0;
  int i;
  if (pRoute->bList || (pRoute->nEq == 0 && pRoute->iFrom < 0 && pRoute->iTo < 0)) return 0;
  for (i = 0; i < pRoute->nEq; i++) aTerm[n++] = pRoute->aEq[i];
  if (pRoute->iFrom >= 0) aTerm[n++] = pRoute->iFrom;
  if (pRoute->iTo >= 0) aTerm[n++] = pRoute->iTo;
  for (i = 0; i < n; i++) {
    const PlanTerm *pTerm = &pPlan->aTerm[aTerm[i]];
    mmapsync_value *pOut = i < pRoute->nEq ? &aVal[i] : aTerm[i] == pRoute->iFrom ? &from : &to;
    if (termIsPrefix(pTerm)) return 0;
    if ((pTerm->flags & TERM_NULL) != 0) {
      *pOut = null;
    } else if (apValue[aTerm[i]] == NULL) {
      return 0;
    } else {
      int e = routeValue(p, pTerm, apValue[aTerm[i]], pOut);
      if (e == VALUE_NONE) {
        pRoute->rRow = 0;
        return 1;
      }
      if (e != VALUE_EXACT && e != VALUE_MORE) {
        pRoute->rRow = (double)p->pInfo->rows;
        return 1;
      }
    }
  }
  if (pRoute->iFrom >= 0) {
    pFrom = &from;
    bFrom = pPlan->aTerm[pRoute->iFrom].op == MMAPSYNC_GE;
  } else if (pRoute->iTo >= 0) {
    pFrom = &null;
  }
  if (pRoute->iTo >= 0) {
    pTo = &to;
    bTo = pPlan->aTerm[pRoute->iTo].op == MMAPSYNC_LE;
  }
  if (mmapsync_find_range(p->pTab, pRoute->iKey, aVal, pRoute->nEq, pFrom, bFrom, pTo, bTo, &lo,
                          &hi) != MMAPSYNC_OK) {
    return 0; /* running it says why */
  }
  pRoute->rRow = (double)(hi - lo);
  return 1;
}

/* ---- choosing --------------------------------------------------------------------------------- */

static sqlite3_uint64 routeTerms(const Route *pRoute) {
  sqlite3_uint64 m = 0;
  int i;
  for (i = 0; i < pRoute->nEq; i++) m |= (sqlite3_uint64)1 << pRoute->aEq[i];
  if (pRoute->iFrom >= 0) m |= (sqlite3_uint64)1 << pRoute->iFrom;
  if (pRoute->iTo >= 0) m |= (sqlite3_uint64)1 << pRoute->iTo;
  return m;
}

static double logTwo(double r) {
  double n = 1;
  for (; r > 2; r /= 2) n++;
  return n;
}

/*
** Fills in what a route with this key, or none, is good for.  The result is what it costs altogether: with the
** sort that is left to SQLite, but only as many rows as are wanted.
*/
static double routeWeigh(const VtabTable *p, const Plan *pPlan, sqlite3_value **apValue,
                         sqlite3_int64 nLimit, Route *r) {
  const mmapsync_key_info *pKey = r->iKey < 0 ? NULL : mmapsync_key_about(p->pTab, r->iKey);
  const double nRow = (double)p->pInfo->rows;
  const sqlite3_uint64 mTerm = routeTerms(r);
  double rLookup = 1, rOut, rScan, rStart, rWork, rShare = 1;
  int nFilter = 0;
  int i;
  r->rRow = nRow;
  for (i = 0; i < pPlan->nTerm; i++) {
    if ((mTerm >> i & 1) != 0) continue;
    if (pKey == NULL && columnOf(p, pPlan->aTerm[i].iCol) < 0) { /* the row's number: a window */
      r->rRow *= termShare(p, &pPlan->aTerm[i], NULL);
      continue;
    }
    rShare *= termShare(p, &pPlan->aTerm[i], apValue != NULL ? apValue[i] : NULL);
    nFilter++;
  }
  if (pKey != NULL && (apValue == NULL || !routeCount(p, pPlan, apValue, r))) {
    r->rRow = r->bUnique ? 1 : keyRows(pKey, r->nEq, p->pInfo->rows);
    if (r->bList) {
      rLookup = LIST_VALUES;
      r->rRow *= LIST_VALUES;
    }
    if (r->iFrom >= 0) r->rRow *= termShare(p, &pPlan->aTerm[r->iFrom], NULL);
    if (r->iTo >= 0 && r->iTo != r->iFrom) r->rRow *= 0.25;
    if (r->rRow > nRow) r->rRow = nRow;
  }
  if (r->rRow < 1) r->rRow = 1; /* the next snapshot may have it */
  r->bReverse = 0;
  r->bOrdered = pPlan->eOrder == PLAN_ANY || routeOrders(p, pPlan, r);
  r->nSkip = routeSkip(p, pPlan, r);
  rOut = r->rRow * rShare;
  rScan = r->rRow < nRow || nRow > LEAST_ROWS ? r->rRow : LEAST_ROWS;
  rStart = pKey == NULL ? COST_START : rLookup * (r->bUnique ? COST_UNIQUE : COST_LOOKUP);
  if (r->nSkip > 0) {
    double rGroup = nRow / keyRows(pKey, r->nSkip, p->pInfo->rows);
    if (rGroup > r->rRow) rGroup = r->rRow;
    if (rOut > rGroup) rOut = rGroup;
    rWork = rGroup * COST_GROUP;
    if (rWork > r->rRow * COST_KEY_ROW) rWork = r->rRow * COST_KEY_ROW;
  } else if (pKey == NULL) {
    rWork = rScan * COST_FILTER * nFilter + (nFilter > 0 ? rOut : rScan) * COST_SCAN_ROW;
  } else if ((pKey->flags & MMAPSYNC_KEY_ORDERED) != 0) {
    rWork = r->rRow * COST_FILTER * nFilter + rOut * COST_SCAN_ROW;
  } else {
    rWork = (nFilter > 0 ? r->rRow * COST_CHECK : 0) + rOut * COST_KEY_ROW;
  }
  r->rCost = rStart + rWork;
  if (!r->bOrdered) return r->rCost + rOut * COST_SORT * logTwo(rOut);
  if (nLimit >= 0 && (double)nLimit < rOut) rWork *= (double)nLimit / rOut;
  return rStart + rWork;
}

void routeChoose(const VtabTable *p, const Plan *pPlan, sqlite3_value **apValue,
                 sqlite3_int64 nLimit, Route *pBest) {
  sqlite3_uint64 mMarked = 0;
  double rBest = 0;
  int k, i;
  for (i = 0; i < pPlan->nTerm; i++) {
    if ((pPlan->aTerm[i].flags & TERM_KEY) != 0) mMarked |= (sqlite3_uint64)1 << i;
  }
  for (k = ROUTE_ROWS; k < p->pInfo->nkeys; k++) {
    Route r = {.iKey = k, .iFrom = -1, .iTo = -1};
    double rCost;
    if (k >= 0) {
      const mmapsync_key_info *pKey = mmapsync_key_about(p->pTab, k);
      const int nPart = pKey->nparts < PLAN_PARTS ? pKey->nparts : PLAN_PARTS;
      while (r.nEq < nPart && !r.bList) {
        i = partEqual(p, pPlan, &pKey->parts[r.nEq]);
        if (i < 0) break;
        r.aEq[r.nEq++] = i;
        r.bList = (pPlan->aTerm[i].flags & TERM_LIST) != 0;
      }
      r.bUnique = (pKey->flags & MMAPSYNC_KEY_UNIQUE) != 0 && r.nEq == pKey->nparts;
      if (r.nEq < nPart && !r.bList) partBounds(p, pPlan, &pKey->parts[r.nEq], &r);
    }
    if (k >= 0 && r.nEq == 0 && r.iFrom < 0 && r.iTo < 0 && pPlan->eOrder == PLAN_ANY &&
        !pPlan->bDistinct) {
      continue; /* nothing that the rows as they stand do not give */
    }
    rCost = routeWeigh(p, pPlan, apValue, nLimit, &r);
    if (k >= 0 && routeTerms(&r) == 0 && r.nSkip == 0 &&
        (pPlan->eOrder == PLAN_ANY || !r.bOrdered)) {
      continue; /* nor does this */
    }
    if (mMarked != 0 && routeTerms(&r) == mMarked) rCost /= 1000;
    if (k == ROUTE_ROWS || rCost < rBest) {
      *pBest = r;
      rBest = rCost;
    }
  }
}
