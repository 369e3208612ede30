/*
** vtabplan.c - which key answers which constraints.
**
** Twice for each statement the same question is asked: given values for some columns, which key of the
** snapshot leaves the fewest rows?  xBestIndex asks it of the newest snapshot at prepare time, to tell
** SQLite what a lookup costs; xFilter asks it of the snapshot it has pinned, because the statement may
** have been prepared many snapshots ago.  keyChoose() answers both.  The plan between them therefore
** names columns, not keys.
**
** A constraint counts if its collation is that of the key's part.  None is ever omitted: SQLite checks
** each row again, so what a lookup gives may be more than asked but never less (value.c says when a
** lookup is allowed).  For a column without numeric affinity the list of an IN is taken whole
** (sqlite3_vtab_in): if SQLite called xFilter once for each value it would check again by the column's
** affinity alone, and '5.0' IN (SELECT <an integer column>) would come out false.  The columns of a row
** value, (a,b) IN (SELECT ...), give no sign that they stand before an IN: there text of ours against
** numbers of the SELECT still goes wrong, as in every virtual table.
**
** SQLITE_INDEX_SCAN_UNIQUE says that one row at most comes back.  The planner then leaves out a LEFT JOIN
** whose columns nobody asks for, or an ORDER BY: xFilter and xOpen of such a table are never called, so
** nothing could tell a statement that was prepared long ago when the snapshot it reads keeps the promise no
** more.  Therefore it is given only for what no later snapshot can break: a lookup by rowid.  Of every
** snapshot that is the rowid of the source, or, where there is none, the number of the row.  A column with a
** unique key does not qualify, not even the column that is the rowid (INTEGER PRIMARY KEY): in the next
** snapshot it may be a column like any other.
*/
#include "vtab.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* ---- finding a key ---------------------------------------------------------------------------- */

/*
** Which part gives a value for column c under collation eColl; -1: none.  A single value is better
** than a list.
*/
static int partFind(const VtabTable *p, const PlanPart *aPart, int nPart, int c, int eColl) {
  int iList = -1;
  int i;
  for (i = 0; i < nPart; i++) {
    if (aPart[i].iCol < 0) {
      if (p->pInfo->rowid != c) continue; /* holds integers, which no collation tells apart */
    } else {
      if (p->aMap[aPart[i].iCol] != c || aPart[i].eColl != eColl) continue;
    }
    if (!aPart[i].bIn) return i;
    if (iList < 0) iList = i;
  }
  return iList;
}

/*
** How many rows a lookup by the first n parts of a key may give.  How many distinct values a prefix has
** is not known.  For a unique key of m parts, each part is taken to have as many as any other: that
** leaves rows to the power of (m-n)/m.  For another key, what SQLite takes without ANALYZE: 10 rows
** for the first column, one less for each further, at least 5.
*/
static double keyRows(const mmapsync_key_info *pKey, int n, sqlite3_uint64 nRow) {
  sqlite3_uint64 nEst = 1;
  if ((pKey->flags & MMAPSYNC_KEY_UNIQUE) != 0) {
    int nBit = 0;
    while (nBit < 63 && (nRow >> nBit) > 1) nBit++;
    nEst = (sqlite3_uint64)1 << (nBit * (pKey->nparts - n) / pKey->nparts);
  } else {
    nEst = n >= 6 ? 5 : (sqlite3_uint64)(11 - n);
  }
  if (nEst > nRow) nEst = nRow;
  return nEst < 1 ? 1.0 : (double)nEst;
}

/*
** The key of the snapshot that leaves the fewest rows, given values for aPart.
*/
static void keyChoose(const VtabTable *p, const PlanPart *aPart, int nPart, KeyMatch *pBest) {
  int k, i;
  pBest->iKey = MATCH_SCAN;
  pBest->nPart = 0;
  pBest->bUnique = 0;
  pBest->rRow = (double)p->pInfo->rows;
  if (p->pInfo->rowid < 0) {
    for (i = 0; i < nPart; i++) {
      if (aPart[i].iCol < 0 && !aPart[i].bIn) {
        pBest->iKey = MATCH_NUMBER;
        pBest->nPart = 1;
        pBest->aPart[0] = i;
        pBest->bUnique = 1;
        pBest->rRow = 1;
        return;
      }
    }
  }
  for (k = 0; k < p->pInfo->nkeys; k++) {
    const mmapsync_key_info *pKey = mmapsync_key_about(p->pTab, k);
    KeyMatch m;
    m.iKey = k;
    m.nPart = 0;
    while (m.nPart < pKey->nparts && m.nPart < PLAN_PARTS) {
      const mmapsync_part_def *pPart = &pKey->parts[m.nPart];
      i = partFind(p, aPart, nPart, pPart->column, pPart->collation);
      if (i < 0) break;
      m.aPart[m.nPart++] = i;
      if (aPart[i].bIn) break; /* a list gives ranges, and a range has no next part */
    }
    if (m.nPart == 0) continue;
    m.bUnique = (pKey->flags & MMAPSYNC_KEY_UNIQUE) != 0 && m.nPart == pKey->nparts;
    m.rRow = keyRows(pKey, m.nPart, p->pInfo->rows);
    if (pBest->iKey == MATCH_SCAN || m.rRow < pBest->rRow ||
        (m.rRow == pBest->rRow && m.bUnique > pBest->bUnique) ||
        (m.rRow == pBest->rRow && m.bUnique == pBest->bUnique && m.nPart > pBest->nPart)) {
      *pBest = m;
    }
  }
}

/* ---- planning --------------------------------------------------------------------------------- */

/*
** A plan is what xBestIndex tells xFilter.
**
** idxNum   0  scan all rows
**          1  look up the values in the key that serves them
**          3  the same, and the last value is the list of an IN
**
** idxStr   used { ";" part } [ " (" for people ")" ]
**   used   colUsed in hexadecimal: bit 63 stands for declared column 63 and all behind it
**   part   column collation [ "i" ], one for each argument of xFilter, in their order
**   column "r", the rowid, or the number of a declared column
**   collation  "b" BINARY, "n" NOCASE, "t" RTRIM
**   "i"    the argument is the list of an IN
**
** "5;0b (sku=?)": declared columns 0 and 2 are used, and column 0 has a value, to be compared as bytes.
** No key is named: the snapshot that is read may have others than the one that was planned for.
*/
#define PLAN_KEY      1
#define PLAN_LIST     2

#define DEFAULT_ROWS  1048576.0 /* if no snapshot can be read; what SQLite takes without ANALYZE */
#define LIST_VALUES   25.0      /* in an IN, likewise */

/* In the planner's units, in which SQLite steps over a row of its own in 3 and finds one by rowid in 10
** or more. */
#define COST_START    10.0
#define COST_SCAN_ROW 2.4
#define COST_LOOKUP   4.0
#define COST_KEY_ROW  3.0

static const char aCollLetter[] = "bnt";

static char *planText(const VtabTable *p, const sqlite3_index_info *pInfo, const PlanPart *aPart,
                      const KeyMatch *pMatch) {
  sqlite3_str *pStr = sqlite3_str_new(registryDb(p->pRegistry));
  int i;
  sqlite3_str_appendf(pStr, "%llx", (sqlite3_uint64)pInfo->colUsed);
  for (i = 0; i < pMatch->nPart; i++) {
    const PlanPart *pPart = &aPart[pMatch->aPart[i]];
    sqlite3_str_appendchar(pStr, 1, ';');
    if (pPart->iCol < 0) {
      sqlite3_str_appendchar(pStr, 1, 'r');
    } else {
      sqlite3_str_appendf(pStr, "%d", pPart->iCol);
    }
    sqlite3_str_appendchar(pStr, 1, aCollLetter[pPart->eColl]);
    if (pPart->bIn) sqlite3_str_appendchar(pStr, 1, 'i');
  }
  for (i = 0; i < pMatch->nPart; i++) {
    const PlanPart *pPart = &aPart[pMatch->aPart[i]];
    sqlite3_str_appendf(pStr, "%s%s%s", i == 0 ? " (" : " AND ",
                        pPart->iCol < 0 ? "rowid" : p->aCol[pPart->iCol].zName,
                        pPart->bIn ? " IN ?" : "=?");
  }
  if (pMatch->nPart > 0) sqlite3_str_appendchar(pStr, 1, ')');
  return sqlite3_str_finish(pStr);
}

/*
** Whether constraint i compares column iCol by the collation that SQLite names.  For the columns of a row
** value before IN it names BINARY whatever they are compared by, and hands over only one of the values that
** their collation calls equal.  Nothing says that it is one of these; but a single value that is known now
** stands alone on its side, and what is compared by the column's own collation needs no knowing.
*/
static int planCollates(const VtabTable *p, sqlite3_index_info *pInfo, int i, int iCol, int eColl) {
  sqlite3_value *pVal = NULL;
  return eColl == p->aCol[iCol].eColl || sqlite3_vtab_rhs_value(pInfo, i, &pVal) == SQLITE_OK;
}

/*
** The constraints that a lookup may use.
*/
static int planParts(const VtabTable *p, sqlite3_index_info *pInfo, PlanPart *aPart, int nMax) {
  int nPart = 0;
  int i;
  for (i = 0; i < pInfo->nConstraint && nPart < nMax; i++) {
    const struct sqlite3_index_constraint *pCons = &pInfo->aConstraint[i];
    PlanPart *pPart = &aPart[nPart];
    if (!pCons->usable || pCons->op != SQLITE_INDEX_CONSTRAINT_EQ) continue;
    pPart->iCol = pCons->iColumn < 0 ? -1 : pCons->iColumn;
    pPart->eColl = valueCollation(sqlite3_vtab_collation(pInfo, i));
    pPart->iCons = i;
    if (pPart->iCol < 0) {
      pPart->eColl = MMAPSYNC_BINARY;
    } else if (pPart->eColl < 0 || p->aMap[pPart->iCol] < 0 ||
               !planCollates(p, pInfo, i, pPart->iCol, pPart->eColl)) {
      continue;
    }
    pPart->bIn =
        pPart->iCol >= 0 && p->aCol[pPart->iCol].aff < AFF_NUMERIC && sqlite3_vtab_in(pInfo, i, -1);
    nPart++;
  }
  return nPart;
}

/*
** Fills in *pInfo for a lookup in the key of *pMatch.
*/
static void planLookup(const VtabTable *p, sqlite3_index_info *pInfo, const PlanPart *aPart,
                       const KeyMatch *pMatch) {
  double rLookup = 1;
  int i;
  pInfo->idxNum = PLAN_KEY;
  for (i = 0; i < pMatch->nPart; i++) {
    const PlanPart *pPart = &aPart[pMatch->aPart[i]];
    pInfo->aConstraintUsage[pPart->iCons].argvIndex = i + 1;
    if (pPart->bIn) {
      pInfo->idxNum |= PLAN_LIST;
      rLookup = LIST_VALUES;
      sqlite3_vtab_in(pInfo, pPart->iCons, 1);
    } else if (pPart->iCol < 0) {
      pInfo->idxFlags |= SQLITE_INDEX_SCAN_UNIQUE;
    }
  }
  {
    double rScan = COST_START + COST_SCAN_ROW * (double)p->pInfo->rows;
    double rRow = rLookup * pMatch->rRow;
    double rCost = rLookup * COST_LOOKUP + rRow * COST_KEY_ROW;
    if (rRow > (double)p->pInfo->rows) rRow = (double)p->pInfo->rows;
    pInfo->estimatedRows = rRow < 1 ? 1 : (sqlite3_int64)rRow;
    pInfo->estimatedCost = rCost < rScan ? rCost : rScan;
  }
}

int vtabBestIndex(sqlite3_vtab *pVtab, sqlite3_index_info *pInfo) {
  enum { kMost = 2 * PLAN_PARTS };
  VtabTable *p = (VtabTable *)pVtab;
  PlanPart aPart[kMost];
  KeyMatch match = {.iKey = MATCH_SCAN};
  double rRows = DEFAULT_ROWS;
  char *zErr = NULL;
  /* Keys and counts are those of the newest snapshot.  If there is none to be read, any plan will do:
  ** running it says why. */
  int pinned = channelPin(p->pChannel, 1, &zErr) == SQLITE_OK;
  if (pinned && vtabMatch(p) == SQLITE_OK) {
    rRows = (double)p->pInfo->rows;
    int nPart = planParts(p, pInfo, aPart, kMost);
    keyChoose(p, aPart, nPart, &match);
  }
  sqlite3_free(zErr);
  sqlite3_free(p->base.zErrMsg);
  p->base.zErrMsg = NULL;
  if (match.iKey != MATCH_SCAN) {
    planLookup(p, pInfo, aPart, &match);
  } else {
    pInfo->idxNum = 0;
    pInfo->estimatedRows = rRows < 1 ? 1 : (sqlite3_int64)rRows;
    pInfo->estimatedCost = COST_START + COST_SCAN_ROW * rRows;
  }
  if (pinned) channelUnpin(p->pChannel);
  pInfo->idxStr = planText(p, pInfo, aPart, &match);
  pInfo->needToFreeIdxStr = 1;
  return pInfo->idxStr == NULL ? SQLITE_NOMEM : SQLITE_OK;
}

/*
** Reads an idxStr into *pPlan and finds the key for it in the snapshot that is pinned.
*/
static void planRead(const VtabTable *p, const char *zText, Plan *pPlan) {
  char *z;
  pPlan->mUsed = strtoull(zText, &z, 16);
  pPlan->nPart = 0;
  while (*z == ';') {
    PlanPart *pPart = &pPlan->aPart[pPlan->nPart++];
    assert(pPlan->nPart <= PLAN_PARTS);
    z++;
    pPart->iCol = -1;
    if (*z == 'r') {
      z++;
    } else {
      pPart->iCol = (int)strtol(z, &z, 10);
    }
    assert(pPart->iCol < p->nCol);
    pPart->eColl = (int)(strchr(aCollLetter, *z++) - aCollLetter);
    pPart->bIn = *z == 'i';
    if (pPart->bIn) z++;
    pPart->iCons = -1;
  }
  assert(*z == '\0' || *z == ' ');
  keyChoose(p, pPlan->aPart, pPlan->nPart, &pPlan->match);
}

/*
** The plan for an idxStr.  Statements run again and again with the same one, so the last is kept.
*/
const Plan *planGet(VtabTable *p, const char *zText) {
  if (p->plan.iImage == p->iImage && strcmp(p->plan.zText, zText) == 0) return &p->plan;
  planRead(p, zText, &p->plan);
  p->plan.iImage = 0;
  if (strlen(zText) < PLAN_TEXT) {
    strcpy(p->plan.zText, zText);
    p->plan.iImage = p->iImage;
  }
  return &p->plan;
}
