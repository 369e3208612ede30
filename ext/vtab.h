/*
** vtab.h - what the files of the virtual table share.
**
**     vtab.c       the module: opening cursors, handing out values.  The whole is described there
**     vtabdecl.c   declares a table to SQLite and matches it with each snapshot
**     vtabplan.c   xBestIndex, and the text of a plan
**     vtabroute.c  which key of a snapshot serves a plan, in which order rows come, what that costs
**     vtabscan.c   xFilter: the values of a plan, and where the rows are that they lead to
**     vtabwalk.c   xNext: getting these rows
**     vtabouter.c  that no running statement has an outer join
**     vtabcheck.c  what is compared row by row, and what sorts rows where no key does
*/
#ifndef MMAPSYNC_VTAB_H
#define MMAPSYNC_VTAB_H

#include "ext.h"

/* ---- plans ------------------------------------------------------------------------------------ */

#define PLAN_TERMS  24  /* terms that a plan has at most; SQLite checks what is beyond */
#define PLAN_PARTS  16  /* key parts that are looked up at most */
#define PLAN_ORDER  16  /* columns of an ORDER BY that a plan takes over at most */
#define PLAN_TEXT   160 /* a longer idxStr is parsed anew for each xFilter */
#define PLAN_KEPT   4   /* plans that a table keeps */
#define POINT_MOST  12  /* values of a row that are got at once, */
#define POINT_LEAST 3   /* where there are so many */

/* Operators beside MMAPSYNC_EQ ...: text that begins as the pattern does. */
#define PLAN_LIKE   20
#define PLAN_GLOB   21

/* One `column op value`.  Its value is the argument of xFilter of the same number. */
typedef struct PlanTerm {
  short iCol;          /* declared column, or -1: the rowid */
  unsigned char op;    /* MMAPSYNC_EQ ..., PLAN_LIKE, PLAN_GLOB */
  unsigned char eColl; /* MMAPSYNC_BINARY ... */
  unsigned char flags; /* TERM_... */
} PlanTerm;

#define TERM_LIST  1  /* the value is the list of an IN */
#define TERM_CONST 2  /* the value is a constant of the statement */
#define TERM_OMIT  4  /* SQLite does not check it again */
#define TERM_KEY   8  /* the key that was chosen at prepare time serves it */
#define TERM_PAIR  16 /* it may stand for a LIKE or GLOB */
#define TERM_NULL  32 /* IS NULL, IS NOT NULL: the argument says nothing */
#define TERM_INNER 64 /* of a LIKE or GLOB: how the text begins is not looked at */
#define TERM_DOUBT                                                                                 \
  128 /* it may be of an ON that must keep no row away: only where no outer join runs */

typedef struct PlanOrder {
  short iCol; /* declared column, or -1: the rowid */
  unsigned char bDesc;
} PlanOrder;

#define PLAN_ANY     0 /* rows in any order */
#define PLAN_ORDERED 1 /* in that of aOrder */
#define PLAN_GROUPED 2 /* rows that aOrder calls equal stand together */

/* How a snapshot's rows are reached for a plan. */
typedef struct Route {
  int iKey;            /* ROUTE_ROWS: rows as they stand */
  int nEq;             /* first parts of the key for which a term gives one value */
  int aEq[PLAN_PARTS]; /* that term, for each */
  int bList;           /* the last of them is a list */
  int bUnique;         /* one row at most (for each value of a list) */
  int iFrom, iTo;      /* terms that bound the next part, or -1 */
  int bOrdered;        /* rows come in the order that the plan promises */
  int bReverse;        /* from the last to the first */
  int nSkip; /* rows equal in so many first parts of the key are alike to the statement; 0: not so */
  double rRow; /* rows it leads to */
  double rCost;
} Route;

#define ROUTE_ROWS -1

/* An idxStr, read and matched with one snapshot. */
typedef struct Plan {
  char zText[PLAN_TEXT]; /* the idxStr */
  sqlite3_uint64 iImage; /* the Channel.iImage it was matched with; 0: nothing here yet */
  sqlite3_uint64 mUsed;  /* colUsed */
  int nTerm;
  PlanTerm aTerm[PLAN_TERMS];
  int eOrder; /* PLAN_ANY ... */
  int nOrder;
  PlanOrder aOrder[PLAN_ORDER];
  int bDistinct; /* of rows alike in all columns of mUsed, one is enough */
  int bOffset;   /* the last argument says how many rows to leave out */
  int iGone;     /* a term's declared column that the snapshot has no more, or -1 */
  Route route;
  /* Of a lookup of one row by all terms (bPoint), what can be known before: */
  int bPoint;
  int mNumber;              /* bit i: an integer is just what the key's part i is looked up by */
  int nPoint;               /* values of the row that are got at once */
  short aPoint[POINT_MOST]; /* their declared columns */
} Plan;

/* ---- tables ----------------------------------------------------------------------------------- */

typedef struct VtabCursor VtabCursor;

typedef struct DeclColumn {
  char *zName;
  int eColl; /* its declared collation: MMAPSYNC_BINARY ..., or -1 for another */
  char aff;  /* AFF_... of the declared type */
  char bNotNull;
} DeclColumn;

typedef struct DeclKeyPart {
  int iCol;
  int eColl;
} DeclKeyPart;

struct VtabTable {
  sqlite3_vtab base;
  Registry *pRegistry; /* this table is one of its users */
  VtabTable *pNext;    /* in registryTables(), the last one connected first */
  char *zSchema;       /* where it stands in the connection */
  char *zSelf;         /* and what it is called there */
  char *zDecl;         /* what was declared to SQLite */
  Channel *pChannel;
  char *zTable; /* its name in the channel */
  int bNamed; /* which an argument gave; otherwise this table's own name did, or it was the only one */
  int nCol; /* declared columns */
  DeclColumn *aCol;
  int bUtf16; /* the connection's text is UTF-16 */
  int nPk;    /* parts of the declared primary key; 0: not WITHOUT ROWID */
  DeclKeyPart *aPk;
  /* The rest is of one snapshot and good while pChannel->iImage == iImage. */
  sqlite3_uint64 iImage;
  const mmapsync_table *pTab;
  const mmapsync_table_info *pInfo;
  int *aMap; /* declared column -> column of the snapshot, or -1: gone */
  sqlite3_uint64
      mMissing; /* as in colUsed: those that are gone, but for the last bit; those of mNull */
  sqlite3_uint64 mNull;  /* those that hold NULL though they were declared NOT NULL */
  Plan aPlan[PLAN_KEPT]; /* the last plans used */
  int iPlan;             /* the one that was used last */
  VtabCursor *pFree;     /* cursors that were closed, to be opened again */
};

/* ---- cursors ---------------------------------------------------------------------------------- */

#define CURSOR_ROWS    1024  /* row numbers that a cursor has at hand */
#define CURSOR_COLUMN  64    /* values of one column that it reads at once */
#define CURSOR_PATIENT 65536 /* rows looked at before it looks for an interrupt */

typedef struct RowRange {
  sqlite3_uint64 lo, hi; /* lo <= position or row < hi */
} RowRange;

/* A term that is compared row by row (vtabcheck.c). */
typedef struct RowCheck {
  int iColumn; /* of the snapshot, or -1: the row's number, counted from 1 */
  int op, eColl;
  int bNumbers; /* text that looks like a number is one */
  int nList; /* > 0: the first of so many checks, in order of v, of which one must match; 0: it stands alone */
  mmapsync_value v;
} RowCheck;

/* Bytes that were copied, one text behind the other. */
typedef struct ByteChunk {
  struct ByteChunk *pNext;
  size_t n, nRoom;
  char a[];
} ByteChunk;

/* Values of one column, for the rows of the cursor that are around the current one: copies, or where they stand in the
** snapshot.  What is there is a mmapsync_run's, of the same names, but addresses are those that row 0 would have. */
typedef struct ColumnBlock {
  sqlite3_uint64 iFill; /* VtabCursor.iFill they belong to */
  int (*xGet)(VtabCursor *, sqlite3_context *, const struct ColumnBlock *); /* hands one out */
  mmapsync_value *aValue; /* CURSOR_COLUMN, that of aRow[i] at i modulo CURSOR_COLUMN; or NULL */
  int bEnds;              /* valueEnds(), or 0 */
  int iColumn;            /* of the snapshot */
  union {
    mmapsync_value point; /* the value itself, where the cursor has one row */
    struct {
      uintptr_t data;
      sqlite3_int64 base;
      const unsigned int *aux;
    };
  };
  const char *heap;
  sqlite3_uint64 heap_bytes;
  uintptr_t null_bits;
  int (*xValue)(VtabCursor *, sqlite3_context *, const struct ColumnBlock *); /* not NULL */
} ColumnBlock;

struct VtabCursor {
  sqlite3_vtab_cursor base;
  VtabCursor *pNext;  /* among those that are closed */
  sqlite3_uint64 row; /* where it stands */
  int bEof;
  signed char eInner; /* no outer join runs: 1, 0, or -1: not asked yet */
  int bRowid;         /* xRowid was asked of this row */
  int bUsed;          /* by an xFilter, which is to be ended */
  /* Rows at hand: aRow[iRow] is where it stands, if nRow > 1. */
  unsigned int iRow, nRow;
  unsigned int nAsk;    /* how many to get next time */
  sqlite3_uint64 iFill; /* rises when they are got, and after each CURSOR_COLUMN of them */
  sqlite3_uint64 spanLo,
      spanHi;           /* the first and the last row of the CURSOR_COLUMN around this one, */
  sqlite3_uint64 iSpan; /* if this is iFill */
  /* Where more come from: the current range, and those after it. */
  int eWalk; /* WALK_... */
  int iKey;  /* of WALK_KEY */
  int bReverse;
  sqlite3_uint64 lo, hi; /* what is left of the current range */
  RowRange *aRange;      /* sqlite3_malloc */
  int nRange, iRange, nRangeAlloc;
  /* What they must be. */
  sqlite3_uint64 rowLo, rowHi; /* the row's number */
  mmapsync_filter *pFilter;    /* or NULL */
  RowCheck *aCheck;            /* sqlite3_malloc */
  int nCheck, nCheckAlloc;
  ByteChunk *pBytes;     /* what the checks point to */
  sqlite3_stmt *pNumber; /* makes numbers of text */
  int nSkip;             /* Route.nSkip, where that can be done now */
  /* Rows that were sorted or looked up all at once: WALK_LIST. */
  unsigned int *aList; /* sqlite3_malloc */
  unsigned int nList, nListAlloc;
  unsigned int aRow[CURSOR_ROWS];
  ColumnBlock aBlock[]; /* one for each declared column */
};

#define WALK_NONE 0 /* what is at hand is all */
#define WALK_ROWS 1 /* ranges are of row numbers */
#define WALK_KEY  2 /* ranges are of positions in a key's order */
#define WALK_LIST 3 /* one range, of aList[] */

/* ---- vtabdecl.c ------------------------------------------------------------------------------- */

/* The methods of these names.  xConnect is xCreate under another address: SQLite takes a module in
** which both are one function for a table that exists without being created. */
int vtabCreate(sqlite3 *db, void *pAux, int argc, const char *const *argv, sqlite3_vtab **ppVtab,
               char **pzErr);
int vtabConnect(sqlite3 *db, void *pAux, int argc, const char *const *argv, sqlite3_vtab **ppVtab,
                char **pzErr);
int vtabDisconnect(sqlite3_vtab *pVtab);

/* Matches the declared columns with the snapshot that is pinned, unless that was done before.  SQLITE_OK,
** or an error code with a sentence in base.zErrMsg. */
int vtabMatch(VtabTable *p);

/* The sentence that zWant is none of the channel's tables, and which there are (sqlite3_malloc); NULL: out of memory.
** The channel is pinned, with its image. */
char *vtabNoTable(Channel *pChannel, const char *zWant);

/* ---- verify.c --------------------------------------------------------------------------------- */

/* The method xIntegrity, which SQLite calls from 3.44 on. */
int vtabIntegrity(sqlite3_vtab *pVtab, const char *zSchema, const char *zName, int bQuick,
                  char **pzOut);

/* ---- vtabouter.c ------------------------------------------------------------------------------ */

/* Whether it is sure that no running statement of the connection has an outer join. */
int outerNone(sqlite3 *db);

/* ---- vtabplan.c ------------------------------------------------------------------------------- */

/* The method. */
int vtabBestIndex(sqlite3_vtab *pVtab, sqlite3_index_info *pInfo);

/* The plan for an idxStr, with a route through the snapshot that was matched last.  Good until PLAN_KEPT
** others have been asked for. */
const Plan *planGet(VtabTable *p, const char *zText);

/* Whether a term on a column of this affinity may be a column of a row value before IN that the host does not check
** again, though value.c does not always answer it exactly.  Where this is so, such terms are taken only while they
** are exact. */
int planSlice(const PlanTerm *pTerm, char aff);

/* ---- vtabroute.c ------------------------------------------------------------------------------ */

/* The best route for the plan's terms and order, in p's snapshot.  apValue[i], if apValue is given and
** this is, is the value of term i, known before xFilter is: then rows are counted, not guessed.  nLimit:
** how many rows will be asked for, or -1. */
void routeChoose(const VtabTable *p, const Plan *pPlan, sqlite3_value **apValue,
                 sqlite3_int64 nLimit, Route *pRoute);

/* The share of all rows that match the plan's terms, of which apValue has the values that are known. */
double routeMatches(const VtabTable *p, const Plan *pPlan, sqlite3_value **apValue);

/* Whether SQLite orders text otherwise than the core does, by this collation: BINARY compares UTF-16 byte by
** byte where the connection has that. */
int orderDiffers(const VtabTable *p, int eColl);

/* What valueForTerm() gives for a term's value. */
int routeValue(const VtabTable *p, const PlanTerm *pTerm, sqlite3_value *pVal,
               mmapsync_value *pOut);

/* The snapshot's column for a declared one, or for the rowid (-1), which may have none (-1); its affinity. */
int columnOf(const VtabTable *p, int iCol);
char columnAffinity(const VtabTable *p, int iCol);

/* ---- vtabscan.c ------------------------------------------------------------------------------- */

/* The method. */
int vtabFilter(sqlite3_vtab_cursor *pCursor, int idxNum, const char *idxStr, int argc,
               sqlite3_value **argv);

/* ---- vtabwalk.c ------------------------------------------------------------------------------- */

/* The method. */
int vtabNext(sqlite3_vtab_cursor *pCursor);

/* Ends what the last xFilter began; what is allocated stays for the next.  And that, too. */
void cursorReset(VtabCursor *pCur);
void cursorFree(VtabCursor *pCur);

/* Frees a chunk and all behind it. */
void bytesFree(ByteChunk *pChunk);

/* Adds a range to those that are walked, unless it is empty; puts them in order and makes one of those that
** overlap, so that no row comes twice. */
int rangeAdd(VtabCursor *pCur, sqlite3_uint64 lo, sqlite3_uint64 hi);
void rangeMerge(VtabCursor *pCur);

/* Adds a row to the list; puts it in order of row numbers, each once. */
int listAdd(VtabCursor *pCur, sqlite3_uint64 row);
void listUnique(VtabCursor *pCur);

/* Goes on to the next range.  0 if there is none. */
int walkRange(VtabCursor *pCur);

/* Gets rows, and stands on the first of them; or at the end. */
int cursorFill(VtabCursor *pCur);

/* Stands on the first row of the current range, which is all rows, none of which is left out; or stays at the end: for
** a cursor that was reset. */
int walkFirst(VtabCursor *pCur);

/* ---- vtabcheck.c ------------------------------------------------------------------------------ */

/* Adds a term that is to be compared row by row.  Bytes that its value points to stay where they are. */
int checkAdd(VtabCursor *pCur, const RowCheck *pCheck);

/* Adds a term of which one value of a list must be equal, of at least one; pCheck is without it. */
int checkList(VtabCursor *pCur, const RowCheck *pCheck, const mmapsync_value *aValue, int nValue);

/* Whether a row matches all of them: SQLITE_OK or an error. */
int checkRow(VtabCursor *pCur, sqlite3_uint64 row, int *pbMatch);

/* Whether `a op b` holds; op is no MMAPSYNC_IN. */
int checkCompare(const mmapsync_value *a, int op, const mmapsync_value *b, int eColl);

/* Sorts aList[] as the plan's ORDER BY has it. */
int listSort(VtabCursor *pCur, const Plan *pPlan);

/* SQLITE_INTERRUPT if the connection's statements are to stop, else SQLITE_OK. */
int vtabInterrupted(VtabTable *p);

/* ---- vtab.c ----------------------------------------------------------------------------------- */

/* Gives the table the sentence zErr (sqlite3_malloc, or NULL: out of memory), which SQLite then shows,
** and returns rc, or SQLITE_NOMEM. */
int vtabError(VtabTable *p, int rc, char *zErr);

/* Says that reading the table gave rcCore.  The calls that read rows leave no sentence behind, to be
** quick, and what they find wrong is always the same. */
int vtabFail(VtabTable *p, int rcCore);

/* Says which of the columns used (as in colUsed), of which p->mMissing has one, cannot be used, and why. */
int vtabMissing(VtabTable *p, sqlite3_uint64 mUsed);

/* ColumnBlock.xGet where the value is in the block. */
int columnPoint(VtabCursor *pCur, sqlite3_context *pCtx, const ColumnBlock *pBlock);

/* Says that declared column iCol is not there any more. */
int vtabGone(VtabTable *p, int iCol);

#endif
