/*
** source.h - what source.c and sourcekeys.c share: a source while it is put together.
*/
#ifndef MMAPSYNC_SOURCE_H
#define MMAPSYNC_SOURCE_H

#include "ext.h"

#define SOURCE_TABLE   0 /* an ordinary table */
#define SOURCE_VIRTUAL 1 /* made by CREATE VIRTUAL TABLE */
#define SOURCE_VIEW    2
#define SOURCE_MODULE  3 /* not in any schema, yet SELECT finds it */

#define COLL_CUSTOM    -1 /* not one of MMAPSYNC_BINARY, _NOCASE, _RTRIM */

/* Memory of a source: freed all at once. */
typedef struct Block Block;
struct Block {
  Block *pNext;
  double aMem[1]; /* aligned for whatever stands here */
};

/* What is known of a column beside its definition. */
typedef struct SourceColumn {
  int cid;      /* its number in the pragmas, which count hidden columns too */
  int eColl;    /* MMAPSYNC_BINARY ... or COLL_CUSTOM */
  int bNotNull; /* declared NOT NULL */
  int bProbe;   /* its affinity is not known yet */
} SourceColumn;

/* A source while it is put together; the caller sees its first member. */
typedef struct SourceWork {
  Source pub;
  Registry *pRegistry;
  sqlite3 *db;
  Block *pBlocks;
  const char *zSpec; /* the argument */
  char zShow[CLIP_MOST + 4];
  const char *zSchema; /* NULL: as SQLite finds it */
  const char *zName;   /* as the schema spells it */
  int eKind;           /* SOURCE_... */
  SourceColumn *aInfo; /* for each of def.columns */
  mmapsync_column_def *aColumn;
  mmapsync_key_def *aKey;
  int nPk;            /* columns of the declared primary key */
  int iPk;            /* the last of them */
  unsigned mKeys;     /* the flags of all keys */
  int iOrdered;       /* the key that orders the rows, or -1 */
  int bUtf16;         /* the connection's text is UTF-16 */
  unsigned mShadow;   /* bit i: a column is named azSourceRowid[i] */
  const char *zAlias; /* the name that reaches the rowid in SQL; NULL if none does */
  char *zErr;         /* the first sentence */
} SourceWork;

/* ---- source.c --------------------------------------------------------------------------------- */

extern const char *const azSourceRowid[3]; /* the names that SQLite has for the rowid */

/* Memory, zeroed, and text that live as long as the source; NULL: out of memory. */
void *sourceAlloc(SourceWork *p, size_t n);
char *sourcePrint(SourceWork *p, const char *zFormat, ...);

/* Room for element n of an array that has n, which may move. */
void *sourceRoom(SourceWork *p, void *aOld, int n, size_t size);

/* Sets the sentence, unless there is one, and returns rc. */
int sourceError(SourceWork *p, int rc, const char *zFormat, ...);

/* The argument, for a sentence. */
const char *sourceShow(SourceWork *p);

/* Notes what could not be carried; the format takes zA and zB. */
int sourceSkip(SourceWork *p, const char *zFormat, const char *zA, const char *zB);

/* Prepares a statement made from a format; the error is not turned into a sentence here, but by
** sourceFinish(), which ends a statement whose last step gave rc. */
int sourcePrepare(SourceWork *p, sqlite3_stmt **ppStmt, const char *zFormat, ...);
int sourceFinish(SourceWork *p, sqlite3_stmt *pStmt, int rc);

/* Column i of a row as text, never NULL. */
const char *sourceText(sqlite3_stmt *pStmt, int i);

/* The words of a specification.  They step over what they find, which for a word or a character is told
** by returning 1. */
const char *sourceSpace(const char *z);
int sourceReadName(SourceWork *p, const char **pz, const char *zWhat, char **pzName);
int sourceReadWord(const char **pz, const char *zWord);
int sourceReadChar(const char **pz, char c);

/* Says what should stand at z. */
int sourceExpected(SourceWork *p, const char *zWhat, const char *z);

int sourceAddColumn(SourceWork *p, const char *zName, const char *zType, const SourceColumn *pInfo);

/* ---- sourcekeys.c ----------------------------------------------------------------------------- */

/* The keys that a table brings along, and its rowid as a hidden column if it needs one. */
int sourceTableKeys(SourceWork *p);

/* Those that the clauses at z ask for. */
int sourceClauses(SourceWork *p, const char *z);

#endif
