/*
** vtabplan.c - xBestIndex, and the text of a plan.
**
** SQLite hands over the terms of the WHERE clause that speak of this table, and the order it would like.  All
** terms are taken that a key or a filter of the core can answer, so that only rows that match come back; a
** route through the newest snapshot is chosen (vtabroute.c), and what it costs is told.  What is chosen goes
** to xFilter as text, in which columns stand, not keys: by then the snapshot may be another.
**
** COLLATION.  sqlite3_vtab_collation() tells by which collation a term compares, but for three sorts of terms:
** for those with <>, IS NOT, LIKE and GLOB it says BINARY whatever they are; for the columns of a row value
** before IN it says BINARY, too, and hands over only one of the values that their collation calls equal; and a
** row value on the right of < and the like goes by the collation of its first column, wherever another says
** COLLATE.  So <> and IS NOT drop only what is equal by BINARY, which is equal by every collation; and a
** collation that is not the column's own is believed only beside a constant, which stands alone, or in an equality
** with a BINARY column, of which it only finds more: 'x' COLLATE NOCASE is no constant to SQLite.
**
** In a connection with UTF-16, BINARY compares the bytes of that, which is another order than the core's: there
** text is not compared with < and the like, and no order by BINARY is promised.
**
** OMIT, which spares SQLite to check a row again, is set where value.c says that it can be kept.
**
** LISTS.  The list of an IN is taken whole (sqlite3_vtab_in).  If SQLite called xFilter once for each value, a
** column without numeric affinity would be checked again by the column's affinity alone, and '5.0' IN
** (SELECT <an integer column>) would come out false.  The columns of a row value, (a,b) IN (SELECT ...), give no
** sign that they stand before an IN: there text of ours against numbers of the SELECT still goes wrong, as in
** every virtual table.  Nor does an IN that is SQLite's 33rd constraint or a later one: there an equality is left
** to SQLite.  SQLite 3.38 does not check the columns of such a row value again at all (3.39.4 does), so there an
** equality that may be one of them is taken only if it can be answered exactly (planSlice()).
**
** LIKE AND GLOB.  SQLite itself adds `c >= 'ab' AND c < 'ac'` for constant patterns, and for parameters once they
** are bound, unless the text could be a number.  Such pairs are marked (value.c says why).  For what is left, the
** LIKE or GLOB itself is a term: text that begins as the pattern does.  This holds only for the functions that
** SQLite has built in, and who adds one of that name makes all statements be prepared anew.  A filter leaves
** only text in which the longest piece of the pattern occurs that has no wildcard.  These terms are never omitted.
**
** OUTER JOINS.  A term of an ON does not keep rows of the table on the left side away, it only leaves them without a
** partner.  SQLite does not hand such terms over for that table, but for those with operators that only virtual
** tables get: <>, IS NOT, IS NOT NULL, LIKE, GLOB.  Those it hands over up to 3.50 as if they stood in the WHERE,
** and nothing tells that there is an outer join at all.  So on these hosts none of them is taken, but for LIKE and
** GLOB, which are marked: when the statement runs, its text is known (vtabouter.c).  (What SQLite itself makes of
** a LIKE or GLOB is right on all.)
**
** LIMIT AND OFFSET.  A constant LIMIT says how many rows will be asked for: a hint for the choice between an order
** and a better filter.  The OFFSET is taken over where each other term is, exactly, and the order is.  Before
** 3.51 SQLite did not tell where it had terms of its own beside (a=b), and before 3.46 where the statement had
** several SELECTs; there it is left alone.
**
** DISTINCT, GROUP BY.  sqlite3_vtab_distinct() tells that groups suffice, or that of rows alike one does.  Before
** 3.52, GROUP BY with an ORDER BY of the same columns is not told from GROUP BY alone, and before 3.40 DISTINCT
** likewise: there the order is kept.  That a statement uses the rowid, by which rows always differ, SQLite
** tells since 3.47; xRowid knows it on all (vtabwalk.c).
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

/* Rows of a table of which nothing is known. */
#define DEFAULT_ROWS     1000000.0

/* Of so many constraints sqlite3_vtab_in() tells whether they are an IN. */
#define IN_TOLD          32

#define VERSION_GROUPS   3052000 /* from here on GROUP BY alone is told */
#define VERSION_DISTINCT 3040000 /* and DISTINCT alone */
#define VERSION_SLICES   3039004 /* and row values before IN are checked again, as 3.38.5 does not */
#define VERSION_OUTER    3051001 /* and <> and the like are kept from the left side of an outer join */
#define VERSION_OFFSET   3051000 /* and OFFSET only where every term is handed over */

/* ---- the text --------------------------------------------------------------------------------- */

/*
** A plan is what xBestIndex tells xFilter.
**
** idxNum   for people and tests; bits:
**     1    a key is looked up
**     2    with a list of values
**     4    a key, or the rows as they stand, are walked in an order that is promised
**     8    from the end
**    16    groups were enough
**    32    of rows that are alike one is enough
**    64    rows are filtered
**   128    the last argument is the OFFSET
**
** idxStr   used [ "u" ] [ "s" ] { ";" term } [ ">" | "#" order { "," order } ] [ " " for people ]
**   used   colUsed in hexadecimal: bit 63 stands for declared column 63 and all behind it
**   "u"    of rows alike in all columns used one is enough
**   "s"    there is one argument more, the OFFSET
**   term   column collation operator { flag }, one for each argument of xFilter, in their order
**   column "r", the rowid, or the number of a declared column
**   collation  "b" BINARY, "n" NOCASE, "t" RTRIM
**   operator   = ! < l > g for = <> < <= > >=, "i" IS, "n" IS NOT, "L" LIKE, "G" GLOB
**   flag   "i" the argument is the list of an IN; "c" it is a constant; "o" SQLite does not check again;
**          "k" the key of the route serves it; "p" it may stand for a LIKE; "0" NULL is meant;
**          "a" a piece of the pattern may be anywhere in the text; "d" used where no outer join runs
**   ">"    rows come in this order; "#": equal ones stand together
**   order  column [ "-" ], falling
**
** For people: in brackets the terms that a key answers, then behind a bar those of the filter.
*/
static const char aCollLetter[] = "bnt";

typedef struct OpName {
  unsigned char op;
  char c;
  const char *zName;
} OpName;

static const OpName aOpName[] = {
    {MMAPSYNC_EQ, '=', "="},    {MMAPSYNC_NE, '!', "<>"},          {MMAPSYNC_LT, '<', "<"},
    {MMAPSYNC_LE, 'l', "<="},   {MMAPSYNC_GT, '>', ">"},           {MMAPSYNC_GE, 'g', ">="},
    {MMAPSYNC_IS, 'i', " IS "}, {MMAPSYNC_ISNOT, 'n', " IS NOT "}, {PLAN_LIKE, 'L', " LIKE "},
    {PLAN_GLOB, 'G', " GLOB "},
};
#define OP_NAMES ((int)(sizeof(aOpName) / sizeof(aOpName[0])))

static const char aFlagLetter[] = "icokp0ad"; /* TERM_LIST, ... */
_Static_assert(TERM_LIST == 1 && TERM_DOUBT == 128, "a letter for each bit");

static const OpName *opName(int op) {
  int i = 0;
  while (i < OP_NAMES - 1 && aOpName[i].op != op) i++;
  return &aOpName[i];
}

/* Text that is put together, and the room for most.  Statements may be prepared anew each time, so this is quick. */
typedef struct Text {
  char *z; /* aRoom, or sqlite3_malloc */
  size_t n, nRoom;
  int bNomem;
  char aRoom[PLAN_TEXT];
} Text;

static void textStart(Text *t) {
  t->z = t->aRoom;
  t->n = 0;
  t->nRoom = sizeof(t->aRoom);
  t->bNomem = 0;
}

static void textAdd(Text *t, const char *z, size_t n) {
  if (t->nRoom - t->n <= n) {
    const size_t nNew = 2 * (t->nRoom + n);
    char *zNew = sqlite3_realloc64(t->z == t->aRoom ? NULL : t->z, nNew);
    if (zNew == NULL) {
      t->bNomem = 1;
      return;
    }
    if (t->z == t->aRoom) memcpy(zNew, t->aRoom, t->n);
    t->z = zNew;
    t->nRoom = nNew;
  }
  memcpy(t->z + t->n, z, n);
  t->n += n;
}

static void textWord(Text *t, const char *z) { textAdd(t, z, strlen(z)); }
static void textChar(Text *t, char c) { textAdd(t, &c, 1); }

static void textNumber(Text *t, sqlite3_uint64 x, unsigned base) {
  char z[24];
  size_t i = sizeof(z);
  do {
    z[--i] = "0123456789abcdef"[x % base];
    x /= base;
  } while (x != 0);
  textAdd(t, z + i, sizeof(z) - i);
}

/*
** The text, of sqlite3_malloc; NULL: out of memory.
*/
static char *textEnd(Text *t) {
  char *z = NULL;
  textChar(t, '\0');
  if (!t->bNomem && t->z != t->aRoom) return t->z;
  if (!t->bNomem) z = sqlite3_malloc64(t->n);
  if (z != NULL) memcpy(z, t->aRoom, t->n);
  if (t->z != t->aRoom) sqlite3_free(t->z);
  return z;
}

static void textColumn(Text *t, int iCol) {
  if (iCol < 0) {
    textChar(t, 'r');
  } else {
    textNumber(t, (sqlite3_uint64)iCol, 10);
  }
}

static const char *columnName(const VtabTable *p, int iCol) {
  return iCol < 0 ? "rowid" : p->aCol[iCol].zName;
}

/*
** The terms that the route's key serves, or the others, for people.  How many there are.
*/
static int textPeople(const VtabTable *p, const Plan *pPlan, int bKey, Text *t) {
  int n = 0;
  int i;
  for (i = 0; i < pPlan->nTerm; i++) {
    const PlanTerm *pTerm = &pPlan->aTerm[i];
    if (((pTerm->flags & TERM_KEY) != 0) != bKey) continue;
    textWord(t, n++ > 0 ? " AND " : bKey ? " (" : " | ");
    textWord(t, columnName(p, pTerm->iCol));
    if ((pTerm->flags & TERM_LIST) != 0) {
      textWord(t, " IN ?");
    } else {
      textWord(t, opName(pTerm->op)->zName);
      textWord(t, (pTerm->flags & TERM_NULL) != 0 ? "NULL" : "?");
    }
  }
  if (n > 0 && bKey) textChar(t, ')');
  return n;
}

static char *planText(const VtabTable *p, const Plan *pPlan, int *pbFilter) {
  Text t;
  int i, j;
  textStart(&t);
  textNumber(&t, pPlan->mUsed, 16);
  if (pPlan->bDistinct) textChar(&t, 'u');
  if (pPlan->bOffset) textChar(&t, 's');
  for (i = 0; i < pPlan->nTerm; i++) {
    const PlanTerm *pTerm = &pPlan->aTerm[i];
    textChar(&t, ';');
    textColumn(&t, pTerm->iCol);
    textChar(&t, aCollLetter[pTerm->eColl]);
    textChar(&t, opName(pTerm->op)->c);
    for (j = 0; aFlagLetter[j] != '\0'; j++) {
      if ((pTerm->flags >> j & 1) != 0) textChar(&t, aFlagLetter[j]);
    }
  }
  if (pPlan->eOrder != PLAN_ANY) {
    for (i = 0; i < pPlan->nOrder; i++) {
      textChar(&t, i > 0 ? ',' : pPlan->eOrder == PLAN_ORDERED ? '>' : '#');
      textColumn(&t, pPlan->aOrder[i].iCol);
      if (pPlan->aOrder[i].bDesc) textChar(&t, '-');
    }
  }
  (void)textPeople(p, pPlan, 1, &t);
  *pbFilter = textPeople(p, pPlan, 0, &t) > 0;
  if (pPlan->eOrder != PLAN_ANY) {
    for (i = 0; i < pPlan->nOrder; i++) {
      const PlanOrder *pOrder = &pPlan->aOrder[i];
      textWord(&t, i > 0 ? "," : pPlan->eOrder == PLAN_ORDERED ? " ORDER BY " : " GROUP BY ");
      textWord(&t, columnName(p, pOrder->iCol));
      if (pOrder->bDesc) textWord(&t, " DESC");
    }
  }
  return textEnd(&t);
}

static short readColumn(const char **pz) {
  char *z;
  long n;
  if (**pz == 'r') {
    (*pz)++;
    return -1;
  }
  n = strtol(*pz, &z, 10);
  *pz = z;
  return (short)n;
}

/*
** Reads an idxStr into *pPlan.
*/
static void planRead(const char *zText, Plan *pPlan) {
  const char *z;
  char *zEnd;
  pPlan->mUsed = strtoull(zText, &zEnd, 16);
  z = zEnd;
  pPlan->nTerm = pPlan->nOrder = 0;
  pPlan->eOrder = PLAN_ANY;
  pPlan->bDistinct = *z == 'u';
  if (*z == 'u') z++;
  pPlan->bOffset = *z == 's';
  if (*z == 's') z++;
  while (*z == ';') {
    PlanTerm *pTerm = &pPlan->aTerm[pPlan->nTerm++];
    size_t n;
    int i = 0;
    assert(pPlan->nTerm <= PLAN_TERMS);
    z++;
    pTerm->iCol = readColumn(&z);
    pTerm->eColl = (unsigned char)(strchr(aCollLetter, *z++) - aCollLetter);
    while (i < OP_NAMES - 1 && aOpName[i].c != *z) i++;
    pTerm->op = aOpName[i].op;
    z++;
    pTerm->flags = 0;
    for (n = strspn(z, aFlagLetter); n > 0; n--) {
      pTerm->flags |= (unsigned char)(1 << (strchr(aFlagLetter, *z++) - aFlagLetter));
    }
  }
  if (*z == '>' || *z == '#') {
    pPlan->eOrder = *z == '>' ? PLAN_ORDERED : PLAN_GROUPED;
    do {
      PlanOrder *pOrder = &pPlan->aOrder[pPlan->nOrder++];
      assert(pPlan->nOrder <= PLAN_ORDER);
      z++;
      pOrder->iCol = readColumn(&z);
      pOrder->bDesc = *z == '-';
      if (*z == '-') z++;
    } while (*z == ',');
  }
  assert(*z == '\0' || *z == ' ');
}

/*
** A column of a term that the snapshot has no more, or -1.  colUsed has one bit for all columns from the 64th on, so
** it does not tell of these.
*/
static int planGone(const VtabTable *p, const Plan *pPlan) {
  int i;
  for (i = 0; i < pPlan->nTerm; i++) {
    int iCol = pPlan->aTerm[i].iCol;
    if (iCol >= 0 && p->aMap[iCol] < 0) return iCol;
  }
  return -1;
}

/*
** Notes what a lookup of one row by all terms need not find out each time.  The columns whose values are got at once are
** all that the statement may want, where these are some: then the waits for the memory they are in overlap.
*/
static void planPoint(const VtabTable *p, Plan *pPlan) {
  const Route *pRoute = &pPlan->route;
  sqlite3_uint64 m = pPlan->mUsed;
  int n = 0;
  int i;
  pPlan->mNumber = pPlan->nPoint = 0;
  pPlan->bPoint =
      pRoute->bUnique && pRoute->nEq == pPlan->nTerm && !pRoute->bList && !pPlan->bOffset;
  if (!pPlan->bPoint) return;
  for (i = 0; i < pRoute->nEq; i++) {
    const PlanTerm *pTerm = &pPlan->aTerm[pRoute->aEq[i]];
    const unsigned types = mmapsync_column_about(p->pTab, columnOf(p, pTerm->iCol))->types;
    if ((pTerm->flags & TERM_NULL) == 0 && columnAffinity(p, pTerm->iCol) >= AFF_NUMERIC &&
        (types & MMAPSYNC_TYPES_NUMERIC_TEXT) == 0) {
      pPlan->mNumber |= 1 << i;
    }
  }
  for (i = 0; i < p->nCol && i < 63; i++) {
    if ((m >> i & 1) == 0 || p->aMap[i] < 0) continue;
    if (n < POINT_MOST) pPlan->aPoint[n] = (short)i;
    n++;
  }
  if (n >= POINT_LEAST && n <= POINT_MOST) pPlan->nPoint = n;
}

/*
** The plan for an idxStr.  Statements run again and again with the same ones, so the last few are kept.
*/
const Plan *planGet(VtabTable *p, const char *zText) {
  Plan *pPlan;
  int i;
  for (i = 0; i < PLAN_KEPT; i++) {
    pPlan = &p->aPlan[(p->iPlan + i) % PLAN_KEPT];
    if (pPlan->iImage == p->iImage && strcmp(pPlan->zText, zText) == 0) {
      p->iPlan = (p->iPlan + i) % PLAN_KEPT;
      return pPlan;
    }
  }
  p->iPlan = (p->iPlan + PLAN_KEPT - 1) % PLAN_KEPT;
  pPlan = &p->aPlan[p->iPlan];
  planRead(zText, pPlan);
  pPlan->iGone = planGone(p, pPlan);
  routeChoose(p, pPlan, NULL, -1, &pPlan->route);
  planPoint(p, pPlan);
  pPlan->iImage = 0;
  if (strlen(zText) < PLAN_TEXT) {
    strcpy(pPlan->zText, zText);
    pPlan->iImage = p->iImage;
  }
  return pPlan;
}

/* ---- terms ------------------------------------------------------------------------------------ */

/* What is known of the constraints while xBestIndex runs. */
typedef struct PlanWork {
  VtabTable *p;
  sqlite3_index_info *pInfo;
  Plan plan;
  int aCons[PLAN_TERMS];              /* which constraint each term is */
  sqlite3_value *apValue[PLAN_TERMS]; /* its value if it is a constant, or NULL */
  int bLike;            /* LIKE and GLOB are SQLite's own: 1, 0, or -1: not asked yet */
  sqlite3_int64 nLimit; /* rows asked for, or -1 */
  int iOffset;          /* the constraint, or -1 */
} PlanWork;

/*
** Whether the functions behind LIKE and GLOB are those that SQLite has built in.
*/
static int planLike(PlanWork *w) {
  if (w->bLike < 0) {
    sqlite3_stmt *pStmt = NULL;
    w->bLike = 0;
    if (sqlite3_prepare_v2(registryDb(w->p->pRegistry),
                           "SELECT 1 FROM pragma_function_list"
                           " WHERE name IN ('like','glob') AND narg IN (2,-1) AND NOT builtin",
                           -1, &pStmt, NULL) == SQLITE_OK &&
        sqlite3_step(pStmt) == SQLITE_DONE) {
      w->bLike = 1;
    }
    sqlite3_finalize(pStmt);
  }
  return w->bLike;
}

int planSlice(const PlanTerm *pTerm, char aff) {
  if (pTerm->op != MMAPSYNC_EQ || (pTerm->flags & (TERM_LIST | TERM_CONST)) != 0) return 0;
  return aff < AFF_NUMERIC && sqlite3_libversion_number() < VERSION_SLICES;
}

/*
** Whether there is a value for which such a term is not answered exactly in the newest snapshot (value.c).
*/
static int termInexact(const VtabTable *p, const PlanTerm *pTerm) {
  const unsigned mDoubt =
      1u << MMAPSYNC_INTEGER | 1u << MMAPSYNC_REAL | MMAPSYNC_TYPES_NUMERIC_TEXT;
  return (mmapsync_column_about(p->pTab, p->aMap[pTerm->iCol])->types & mDoubt) != 0;
}

/*
** Whether rows for which a constraint with this operator is false can be left out (OUTER JOINS above).
*/
static int opTrusted(int op) {
  switch (op) {
  case SQLITE_INDEX_CONSTRAINT_NE:
  case SQLITE_INDEX_CONSTRAINT_ISNOT:
  case SQLITE_INDEX_CONSTRAINT_ISNOTNULL: return sqlite3_libversion_number() >= VERSION_OUTER;
  default: return 1;
  }
}

/*
** Whether a term finds at least the rows that it should, whatever its collation may be in truth: what equals a value by
** BINARY equals it by each of the others.  It is then checked again (termOmits()).  To be asked for one whose collation
** is not its column's.
*/
static int termWider(const VtabTable *p, const PlanTerm *pTerm) {
  const DeclColumn *pCol = &p->aCol[pTerm->iCol];
  return (pTerm->op == MMAPSYNC_EQ || pTerm->op == MMAPSYNC_IS) && pCol->eColl == MMAPSYNC_BINARY &&
         pCol->aff < AFF_NUMERIC;
}

/*
** A constraint as a term.  0 if it is none that can be answered.
*/
static int planTerm(PlanWork *w, int i, PlanTerm *pTerm, sqlite3_value **ppValue) {
  static const unsigned char aOp[][2] = {
      {SQLITE_INDEX_CONSTRAINT_EQ, MMAPSYNC_EQ},
      {SQLITE_INDEX_CONSTRAINT_LT, MMAPSYNC_LT},
      {SQLITE_INDEX_CONSTRAINT_LE, MMAPSYNC_LE},
      {SQLITE_INDEX_CONSTRAINT_GT, MMAPSYNC_GT},
      {SQLITE_INDEX_CONSTRAINT_GE, MMAPSYNC_GE},
      {SQLITE_INDEX_CONSTRAINT_NE, MMAPSYNC_NE},
      {SQLITE_INDEX_CONSTRAINT_IS, MMAPSYNC_IS},
      {SQLITE_INDEX_CONSTRAINT_ISNOT, MMAPSYNC_ISNOT},
      {SQLITE_INDEX_CONSTRAINT_ISNULL, MMAPSYNC_IS},
      {SQLITE_INDEX_CONSTRAINT_ISNOTNULL, MMAPSYNC_ISNOT},
      {SQLITE_INDEX_CONSTRAINT_LIKE, PLAN_LIKE},
      {SQLITE_INDEX_CONSTRAINT_GLOB, PLAN_GLOB},
  };
  const struct sqlite3_index_constraint *pCons = &w->pInfo->aConstraint[i];
  const VtabTable *p = w->p;
  int eColl;
  size_t k = 0;
  while (k < sizeof(aOp) / sizeof(aOp[0]) && aOp[k][0] != pCons->op) k++;
  if (!pCons->usable || k == sizeof(aOp) / sizeof(aOp[0])) return 0;
  if (!opTrusted(pCons->op)) return 0;
  memset(pTerm, 0, sizeof(*pTerm));
  *ppValue = NULL;
  pTerm->op = aOp[k][1];
  pTerm->iCol = (short)(pCons->iColumn < 0 ? -1 : pCons->iColumn);
  if (pTerm->iCol >= 0 && p->aMap[pTerm->iCol] < 0) return 0;
  if (pCons->op == SQLITE_INDEX_CONSTRAINT_ISNULL ||
      pCons->op == SQLITE_INDEX_CONSTRAINT_ISNOTNULL) {
    pTerm->flags = TERM_NULL | TERM_CONST;
    return 1;
  }
  if (sqlite3_vtab_rhs_value(w->pInfo, i, ppValue) == SQLITE_OK) {
    pTerm->flags = TERM_CONST;
  } else {
    *ppValue = NULL;
  }
  switch (pTerm->op) {
  case PLAN_LIKE:
  case PLAN_GLOB:
    pTerm->eColl = pTerm->op == PLAN_LIKE ? MMAPSYNC_NOCASE : MMAPSYNC_BINARY;
    if (pTerm->iCol < 0 || p->aCol[pTerm->iCol].aff > AFF_TEXT) return 0;
    if (p->aCol[pTerm->iCol].aff != AFF_TEXT) pTerm->flags |= TERM_INNER;
    if (sqlite3_libversion_number() < VERSION_OUTER) pTerm->flags |= TERM_DOUBT;
    if (*ppValue != NULL && sqlite3_value_type(*ppValue) == SQLITE_TEXT) {
      const char *z = (const char *)sqlite3_value_text(*ppValue);
      Pattern pattern;
      if (z == NULL) return 0;
      valuePattern(z, pTerm->op == PLAN_GLOB, &pattern);
      if (pattern.nPart == 0) return 0;
      if (pattern.nPrefix == 0) pTerm->flags |= TERM_INNER;
    }
    return planLike(w);
  case MMAPSYNC_NE:
  case MMAPSYNC_ISNOT: return pTerm->iCol >= 0 || p->pInfo->rowid >= 0;
  default: break;
  }
  if (pTerm->iCol >= 0) {
    eColl = valueCollation(sqlite3_vtab_collation(w->pInfo, i));
    if (eColl < 0) return 0;
    if (eColl != p->aCol[pTerm->iCol].eColl && *ppValue == NULL && !termWider(p, pTerm)) {
      return 0;
    }
    pTerm->eColl = (unsigned char)eColl;
  }
  if (pTerm->op == MMAPSYNC_EQ && i >= IN_TOLD) return 0;
  if (pTerm->op == MMAPSYNC_EQ && columnOf(p, pTerm->iCol) >= 0 &&
      sqlite3_vtab_in(w->pInfo, i, -1)) {
    pTerm->flags |= TERM_LIST;
  }
  return !planSlice(pTerm, columnAffinity(p, pTerm->iCol)) || !termInexact(p, pTerm);
}

/*
** Whether two constants may be the bounds that SQLite makes of a LIKE or GLOB: of one length, and but for their
** last character the same, perhaps without case.
*/
static int valuesPair(sqlite3_value *pA, sqlite3_value *pB) {
  const char *a, *b;
  int n;
  if (sqlite3_value_type(pA) != SQLITE_TEXT || sqlite3_value_type(pB) != SQLITE_TEXT) return 0;
  a = (const char *)sqlite3_value_text(pA);
  b = (const char *)sqlite3_value_text(pB);
  n = sqlite3_value_bytes(pA);
  if (a == NULL || b == NULL || n != sqlite3_value_bytes(pB)) return 0;
  return n <= 4 || sqlite3_strnicmp(a, b, n - 4) == 0;
}

/*
** Whether a LIKE or GLOB says more than how the text begins.
*/
static int termPart(const PlanTerm *pTerm, sqlite3_value *pVal) {
  const char *z = (const char *)(pVal == NULL ? NULL : sqlite3_value_text(pVal));
  Pattern pattern;
  if (z == NULL) return 0;
  valuePattern(z, pTerm->op == PLAN_GLOB, &pattern);
  return pattern.iPart > 0;
}

/*
** Marks pairs of terms that may stand for a LIKE or GLOB, and takes out the LIKE or GLOB beside them, or what it says
** of how the text begins.
*/
static void planPairs(PlanWork *w) {
  Plan *pPlan = &w->plan;
  int i, j, n;
  for (i = 0; i < pPlan->nTerm; i++) {
    PlanTerm *a = &pPlan->aTerm[i];
    if (a->op != MMAPSYNC_GE || w->apValue[i] == NULL) continue;
    for (j = 0; j < pPlan->nTerm; j++) {
      PlanTerm *b = &pPlan->aTerm[j];
      if (b->op != MMAPSYNC_LT || w->apValue[j] == NULL) continue;
      if (a->iCol != b->iCol || a->eColl != b->eColl) continue;
      if (valuesPair(w->apValue[i], w->apValue[j])) {
        a->flags |= TERM_PAIR;
        b->flags |= TERM_PAIR;
      }
    }
  }
  for (i = n = 0; i < pPlan->nTerm; i++) {
    PlanTerm *a = &pPlan->aTerm[i];
    if ((a->op == PLAN_LIKE || a->op == PLAN_GLOB) && (a->flags & TERM_INNER) == 0) {
      for (j = 0; j < pPlan->nTerm; j++) {
        const PlanTerm *b = &pPlan->aTerm[j];
        if ((b->flags & TERM_PAIR) != 0 && b->iCol == a->iCol && b->eColl == a->eColl) break;
      }
      if (j < pPlan->nTerm) {
        if (!termPart(a, w->apValue[i])) continue;
        a->flags |= TERM_INNER;
      }
    }
    w->aCons[n] = w->aCons[i];
    w->apValue[n] = w->apValue[i];
    pPlan->aTerm[n++] = *a;
  }
  pPlan->nTerm = n;
}

/*
** Whether a term can be answered exactly in every snapshot (value.c).
*/
static int termOmits(const VtabTable *p, const PlanTerm *pTerm, sqlite3_value *pVal) {
  const char aff = columnAffinity(p, pTerm->iCol);
  int eType = pVal != NULL ? sqlite3_value_type(pVal) : SQLITE_NULL;
  if ((pTerm->flags & TERM_NULL) != 0) return 1;
  if ((pTerm->flags & TERM_PAIR) != 0 || pTerm->op >= PLAN_LIKE) return 0;
  if (pTerm->op >= MMAPSYNC_LT && pTerm->op <= MMAPSYNC_GE && orderDiffers(p, pTerm->eColl) &&
      pTerm->iCol >= 0 && eType != SQLITE_INTEGER && eType != SQLITE_FLOAT) {
    return 0;
  }
  if (eType == SQLITE_BLOB) return 1;
  if (pTerm->op == MMAPSYNC_NE || pTerm->op == MMAPSYNC_ISNOT) {
    return aff >= AFF_NUMERIC && (eType == SQLITE_INTEGER || eType == SQLITE_FLOAT);
  }
  if (aff >= AFF_NUMERIC) return 1;
  if (eType != SQLITE_TEXT) return 0;
  if (aff == AFF_BLOB) return 1;
  return (p->pInfo->flags & MMAPSYNC_TABLE_VIEW) == 0 &&
         (mmapsync_column_about(p->pTab, p->aMap[pTerm->iCol])->types &
          (1u << MMAPSYNC_INTEGER | 1u << MMAPSYNC_REAL)) == 0;
}

static void planTerms(PlanWork *w) {
  Plan *pPlan = &w->plan;
  int i;
  for (i = 0; i < w->pInfo->nConstraint; i++) {
    const struct sqlite3_index_constraint *pCons = &w->pInfo->aConstraint[i];
    sqlite3_value *pVal = NULL;
    if (pCons->op == SQLITE_INDEX_CONSTRAINT_LIMIT) {
      if (pCons->usable && sqlite3_vtab_rhs_value(w->pInfo, i, &pVal) == SQLITE_OK) {
        w->nLimit = sqlite3_value_int64(pVal);
      }
    } else if (pCons->op == SQLITE_INDEX_CONSTRAINT_OFFSET) {
      if (pCons->usable) w->iOffset = i;
    } else if (pPlan->nTerm < PLAN_TERMS) {
      w->aCons[pPlan->nTerm] = i;
      if (planTerm(w, i, &pPlan->aTerm[pPlan->nTerm], &w->apValue[pPlan->nTerm])) pPlan->nTerm++;
    }
  }
  planPairs(w);
  for (i = 0; i < pPlan->nTerm; i++) {
    if (termOmits(w->p, &pPlan->aTerm[i], w->apValue[i])) pPlan->aTerm[i].flags |= TERM_OMIT;
  }
}

/* ---- planning --------------------------------------------------------------------------------- */

static void planOrder(PlanWork *w) {
  const sqlite3_index_info *pInfo = w->pInfo;
  Plan *pPlan = &w->plan;
  int eMode = sqlite3_vtab_distinct(w->pInfo);
  int i;
  if (pInfo->nOrderBy == 0 || pInfo->nOrderBy > PLAN_ORDER) return;
  pPlan->bDistinct = eMode >= 2;
  for (i = 0; i < pInfo->nOrderBy; i++) {
    PlanOrder *pOrder = &pPlan->aOrder[i];
    pOrder->iCol = (short)(pInfo->aOrderBy[i].iColumn < 0 ? -1 : pInfo->aOrderBy[i].iColumn);
    pOrder->bDesc = pInfo->aOrderBy[i].desc;
    if (pOrder->iCol >= 0 && orderDiffers(w->p, w->p->aCol[pOrder->iCol].eColl)) return;
  }
  pPlan->nOrder = pInfo->nOrderBy;
  pPlan->eOrder = PLAN_ORDERED;
  if (eMode == 1 || eMode == 2) {
    int nNeed = eMode == 1 ? VERSION_GROUPS : VERSION_DISTINCT;
    if (sqlite3_libversion_number() >= nNeed) pPlan->eOrder = PLAN_GROUPED;
  }
}

/*
** Whether the OFFSET can be taken over: SQLite is left nothing to check and nothing to sort.  What it calls <= or
** >= may be the comparison of a row value, of which it hands over the first column and checks the rest itself,
** unless a constant stands there.
*/
static int planOffset(const PlanWork *w) {
  const sqlite3_index_info *pInfo = w->pInfo;
  int n = 0;
  int i;
  if (w->iOffset < 0 || sqlite3_libversion_number() < VERSION_OFFSET) return 0;
  if (pInfo->nOrderBy > 0 && (w->plan.eOrder == PLAN_ANY || !w->plan.route.bOrdered)) return 0;
  for (i = 0; i < pInfo->nConstraint; i++) {
    int op = pInfo->aConstraint[i].op;
    if (op != SQLITE_INDEX_CONSTRAINT_LIMIT && op != SQLITE_INDEX_CONSTRAINT_OFFSET) n++;
  }
  if (n != w->plan.nTerm) return 0;
  for (i = 0; i < w->plan.nTerm; i++) {
    const PlanTerm *pTerm = &w->plan.aTerm[i];
    if ((pTerm->flags & TERM_OMIT) == 0 || w->aCons[i] >= 16) return 0;
    if ((pTerm->op == MMAPSYNC_LE || pTerm->op == MMAPSYNC_GE) &&
        (pTerm->flags & TERM_CONST) == 0) {
      return 0;
    }
  }
  return 1;
}

/*
** Marks the terms that the route's key serves.
*/
static void planMark(Plan *pPlan) {
  const Route *pRoute = &pPlan->route;
  int i;
  for (i = 0; i < pRoute->nEq; i++) pPlan->aTerm[pRoute->aEq[i]].flags |= TERM_KEY;
  if (pRoute->iFrom >= 0) pPlan->aTerm[pRoute->iFrom].flags |= TERM_KEY;
  if (pRoute->iTo >= 0) pPlan->aTerm[pRoute->iTo].flags |= TERM_KEY;
}

/*
** Tells SQLite what was chosen.
*/
static void planTell(PlanWork *w) {
  sqlite3_index_info *pInfo = w->pInfo;
  Plan *pPlan = &w->plan;
  const Route *pRoute = &pPlan->route;
  double rOut = routeMatches(w->p, pPlan, w->apValue) * (double)w->p->pInfo->rows;
  int i;
  for (i = 0; i < pPlan->nTerm; i++) {
    const PlanTerm *pTerm = &pPlan->aTerm[i];
    struct sqlite3_index_constraint_usage *pUse = &pInfo->aConstraintUsage[w->aCons[i]];
    pUse->argvIndex = i + 1;
    pUse->omit = (pTerm->flags & TERM_OMIT) != 0;
    if ((pTerm->flags & TERM_LIST) != 0) {
      sqlite3_vtab_in(pInfo, w->aCons[i], 1);
      pInfo->idxNum |= 2;
    } else if (pTerm->iCol < 0 && pTerm->op == MMAPSYNC_EQ) {
      pInfo->idxFlags |= SQLITE_INDEX_SCAN_UNIQUE;
    }
    if ((pTerm->flags & TERM_KEY) != 0) pInfo->idxNum |= 1;
  }
  if (pPlan->bOffset) {
    pInfo->aConstraintUsage[w->iOffset].argvIndex = pPlan->nTerm + 1;
    pInfo->aConstraintUsage[w->iOffset].omit = 1;
    pInfo->idxNum |= 128;
  }
  if (pPlan->eOrder != PLAN_ANY) {
    pInfo->orderByConsumed = 1;
    pInfo->idxNum |= 4;
    if (pRoute->bReverse) pInfo->idxNum |= 8;
    if (pPlan->eOrder == PLAN_GROUPED) pInfo->idxNum |= 16;
  }
  if (pPlan->bDistinct) pInfo->idxNum |= 32;
  if (rOut > pRoute->rRow) rOut = pRoute->rRow;
  pInfo->estimatedRows = rOut < 1 ? 1 : (sqlite3_int64)rOut;
  pInfo->estimatedCost = pRoute->rCost;
}

int vtabBestIndex(sqlite3_vtab *pVtab, sqlite3_index_info *pInfo) {
  VtabTable *p = (VtabTable *)pVtab;
  PlanWork w;
  char *zErr = NULL;
  int bFilter = 0;
  int rc = SQLITE_OK;
  /* Keys and counts are those of the newest snapshot.  If there is none to be read, any plan will do:
  ** running it says why. */
  int pinned = channelPin(p->pChannel, 1, &zErr) == SQLITE_OK;
  memset(&w, 0, sizeof(w));
  w.p = p;
  w.pInfo = pInfo;
  w.bLike = w.iOffset = -1;
  w.nLimit = -1;
  w.plan.mUsed = pInfo->colUsed;
  pInfo->estimatedRows = (sqlite3_int64)DEFAULT_ROWS;
  pInfo->estimatedCost = 3 * DEFAULT_ROWS;
  if (pinned) rc = vtabMatch(p);
  if (pinned && rc == SQLITE_OK) {
    planTerms(&w);
    planOrder(&w);
    routeChoose(p, &w.plan, w.apValue, w.iOffset < 0 ? w.nLimit : -1, &w.plan.route);
    planMark(&w.plan);
    w.plan.bOffset = planOffset(&w);
    if (!w.plan.route.bOrdered) w.plan.eOrder = PLAN_ANY;
    planTell(&w);
  }
  sqlite3_free(zErr);
  /* But IS NULL of what was declared NOT NULL, or is in the key of a table WITHOUT ROWID, is false to SQLite, and perhaps
  ** will not be run. */
  if (rc != SQLITE_NOMEM && (p->nPk == 0 || pInfo->colUsed == 0)) rc = SQLITE_OK;
  if (rc == SQLITE_OK) {
    sqlite3_free(p->base.zErrMsg);
    p->base.zErrMsg = NULL;
  }
  if (pinned && p->iImage == p->pChannel->iImage && (pInfo->colUsed & p->mNull) != 0) {
    rc = vtabMissing(p, pInfo->colUsed & p->mNull);
  }
  if (pinned) channelUnpin(p->pChannel);
  if (rc != SQLITE_OK) return rc;
  pInfo->idxStr = planText(p, &w.plan, &bFilter);
  if (bFilter) pInfo->idxNum |= 64;
  pInfo->needToFreeIdxStr = 1;
  return pInfo->idxStr == NULL ? SQLITE_NOMEM : SQLITE_OK;
}
