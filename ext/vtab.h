/*
** vtab.h - what the three files of the virtual table share: vtabdecl.c declares a table to SQLite,
** vtabplan.c plans, vtab.c reads.  The whole is described in vtab.c.
*/
#ifndef MMAPSYNC_VTAB_H
#define MMAPSYNC_VTAB_H

#include "ext.h"

#define PLAN_PARTS 16 /* key columns that a lookup uses at most */
#define PLAN_TEXT  64 /* a longer idxStr is parsed anew for each xFilter */

/* One `column = value` that a lookup may use. */
typedef struct PlanPart {
  int iCol;  /* declared column, or -1: the rowid */
  int eColl; /* MMAPSYNC_BINARY ... */
  int bIn;   /* the value is the list of an IN */
  int iCons; /* xBestIndex only: which constraint */
} PlanPart;

/* A key that serves some parts. */
typedef struct KeyMatch {
  int iKey;              /* MATCH_... if negative */
  int nPart;             /* how many parts of the key have values */
  int aPart[PLAN_PARTS]; /* for each of them, which PlanPart gives it */
  int bUnique;           /* one row at most (for each value of a list) */
  double rRow;           /* rows expected (for each value of a list) */
} KeyMatch;

#define MATCH_SCAN   -1 /* no key serves */
#define MATCH_NUMBER -2 /* the rowid is the row's number: no key needed */

/* An idxStr, read and matched with one snapshot. */
typedef struct Plan {
  char zText[PLAN_TEXT]; /* the idxStr */
  sqlite3_uint64 iImage; /* the Channel.iImage it was matched with; 0: nothing here yet */
  sqlite3_uint64 mUsed;  /* colUsed */
  int nPart;
  PlanPart aPart[PLAN_PARTS];
  KeyMatch match;
} Plan;

typedef struct DeclColumn {
  char *zName;
  int eColl; /* its declared collation: MMAPSYNC_BINARY ..., or -1 for another */
  char aff;  /* AFF_... of the declared type */
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
  int nPk; /* parts of the declared primary key; 0: not WITHOUT ROWID */
  DeclKeyPart *aPk;
  /* The rest is of one snapshot and good while pChannel->iImage == iImage. */
  sqlite3_uint64 iImage;
  const mmapsync_table *pTab;
  const mmapsync_table_info *pInfo;
  int *aMap;               /* declared column -> column of the snapshot, or -1: gone */
  sqlite3_uint64 mMissing; /* those that are gone, as in colUsed, but without the last bit */
  Plan plan;               /* the last plan used */
};

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

/* ---- vtabplan.c ------------------------------------------------------------------------------- */

/* The method. */
int vtabBestIndex(sqlite3_vtab *pVtab, sqlite3_index_info *pInfo);

/* The plan for an idxStr, with a key of the snapshot that was matched last.  Good until the next call. */
const Plan *planGet(VtabTable *p, const char *zText);

/* ---- vtab.c ----------------------------------------------------------------------------------- */

/* Gives the table the sentence zErr (sqlite3_malloc, or NULL: out of memory), which SQLite then shows,
** and returns rc, or SQLITE_NOMEM. */
int vtabError(VtabTable *p, int rc, char *zErr);

#endif
