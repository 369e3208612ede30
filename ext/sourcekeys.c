/*
** sourcekeys.c - the keys of what is published: those that a table brings along, and those that the clauses
** of the argument add.
**
** ORDER OF ROWS.  A table keeps the order of its own b-tree, which SQLite gives without sorting and in
** which its rowids are dense more often than not, so that they take no bytes:
**
**     rowid table      by rowid.  Key 0 is the rowid.  If no INTEGER PRIMARY KEY names it, a hidden last
**                      column carries it, under whichever of its three names no column has taken.
**     WITHOUT ROWID    by the primary key, which is key 0.
**     virtual table    by rowid, if its module gives one.
**     anything else    by the first KEY(...), which is key 0 then; without one as the rows come.
**
** In a connection with UTF-16 text, SQLite's BINARY is the order of these bytes, which the core does not know: there
** a key with a part that may hold text by BINARY orders no rows.  They stand as they come, and the core sorts.
**
** Then come the other constraints and indexes of the table in the order they were made, then the clauses.
** A key is not carried twice: a clause that repeats one only adds what it promises.  What cannot be
** carried (partial indexes, expressions, collations that are not built in) becomes a sentence in
** azSkipped, and publishing goes on.
*/
#include "source.h"

#include <assert.h>
#include <string.h>

/* ---- keys ------------------------------------------------------------------------------------- */

/*
** Whether rows that SQLite gives in the order of a key are in that order for the core.
*/
static int keyOrders(const SourceWork *p, unsigned flags, const mmapsync_part_def *aPart,
                     int nPart) {
  int i = 0;
  if (!p->bUtf16 || (flags & MMAPSYNC_KEY_ROWID) != 0) return 1;
  while (i < nPart && aPart[i].collation != MMAPSYNC_BINARY) i++;
  return i == nPart;
}

/*
** Adds a key, or what it promises to the same key if there is one.  Without a name it gets the names of
** its columns.
*/
static int addKey(SourceWork *p, const char *zName, unsigned flags, const mmapsync_part_def *aPart,
                  int nPart) {
  int n = p->pub.def.nkeys;
  int k, i;
  mmapsync_key_def *aKey;
  assert(nPart > 0);
  if (!keyOrders(p, flags, aPart, nPart)) flags &= ~(unsigned)MMAPSYNC_KEY_ORDERED;
  for (k = 0; k < n; k++) {
    const mmapsync_part_def *aHas = p->aKey[k].parts;
    for (i = 0; i < nPart && p->aKey[k].nparts == nPart; i++) {
      if (aHas[i].column != aPart[i].column || aHas[i].desc != aPart[i].desc) break;
      /* Numbers have no collation: one on the rowid changes nothing. */
      if (aHas[i].collation != aPart[i].collation && aHas[i].column != p->pub.def.rowid) break;
    }
    if (i == nPart) break;
  }
  if (k < n) {
    p->aKey[k].flags |= flags;
  } else {
    aKey = sourceRoom(p, p->aKey, n, sizeof(*aKey));
    if (aKey == NULL) return SQLITE_NOMEM;
    p->aKey = aKey;
    aKey[n].name = zName;
    for (i = 0; zName == NULL && i < nPart; i++) {
      aKey[n].name = sourcePrint(p, "%s%s%s", i == 0 ? "" : aKey[n].name, i == 0 ? "" : ", ",
                                 p->aColumn[aPart[i].column].name);
      if (aKey[n].name == NULL) return SQLITE_NOMEM;
    }
    aKey[n].flags = flags;
    aKey[n].parts = aPart;
    aKey[n].nparts = nPart;
    p->pub.def.nkeys++;
  }
  if ((flags & MMAPSYNC_KEY_ORDERED) != 0) p->iOrdered = k;
  p->mKeys |= flags;
  return SQLITE_OK;
}

/* An index of the table, as PRAGMA index_list tells it. */
typedef struct SourceIndex {
  char *zName;
  const char *zWhy; /* why it cannot be carried, or NULL */
  int bUnique;
  int bPrimary; /* it is the PRIMARY KEY */
  int bRowid;   /* its entries end with a rowid: the table has one */
  mmapsync_part_def *aPart;
  int nPart;
} SourceIndex;

/*
** Reads the columns of an index.  The rowid is found as the column it may be carried by later.
*/
static int indexParts(SourceWork *p, SourceIndex *pIdx) {
  sqlite3_stmt *pStmt;
  int rc = sourcePrepare(p, &pStmt, "PRAGMA \"%w\".index_xinfo(\"%w\")", p->zSchema, pIdx->zName);
  while (rc == SQLITE_OK && (rc = sqlite3_step(pStmt)) == SQLITE_ROW) {
    int cid = sqlite3_column_int(pStmt, 1);
    int bKey = sqlite3_column_int(pStmt, 5);
    int eColl = valueCollation(sourceText(pStmt, 4));
    mmapsync_part_def *aPart = sourceRoom(p, pIdx->aPart, pIdx->nPart, sizeof(*aPart));
    int c = 0;
    rc = SQLITE_OK;
    if (cid == -1) pIdx->bRowid = 1;
    if (!bKey) continue;
    while (c < p->pub.def.ncolumns && p->aInfo[c].cid != cid) c++;
    if (aPart == NULL) {
      rc = SQLITE_NOMEM;
    } else if (pIdx->zWhy != NULL) {
      /* one reason is enough */
    } else if (c == p->pub.def.ncolumns) {
      pIdx->zWhy = "on an expression"; /* no index can be on a rowid without a name */
    } else if (eColl == COLL_CUSTOM) {
      pIdx->zWhy = sourcePrint(p, "collation \"%s\" cannot be carried", sourceText(pStmt, 4));
      if (pIdx->zWhy == NULL) rc = SQLITE_NOMEM;
    } else {
      pIdx->aPart = aPart;
      aPart[pIdx->nPart].column = c;
      aPart[pIdx->nPart].collation = eColl;
      aPart[pIdx->nPart].desc = sqlite3_column_int(pStmt, 3);
      pIdx->nPart++;
    }
  }
  return sourceFinish(p, pStmt, rc);
}

/*
** Reads all indexes of the table, the newest first, as SQLite lists them.
*/
static int indexList(SourceWork *p, SourceIndex **paIdx, int *pnIdx) {
  sqlite3_stmt *pStmt;
  SourceIndex *aIdx = NULL;
  int n = 0;
  int rc = sourcePrepare(p, &pStmt, "PRAGMA \"%w\".index_list(\"%w\")", p->zSchema, p->zName);
  while (rc == SQLITE_OK && (rc = sqlite3_step(pStmt)) == SQLITE_ROW) {
    aIdx = sourceRoom(p, aIdx, n, sizeof(*aIdx));
    rc = SQLITE_NOMEM;
    if (aIdx == NULL) break;
    memset(&aIdx[n], 0, sizeof(*aIdx));
    aIdx[n].zName = sourcePrint(p, "%s", sourceText(pStmt, 1));
    aIdx[n].bUnique = sqlite3_column_int(pStmt, 2);
    aIdx[n].bPrimary = strcmp(sourceText(pStmt, 3), "pk") == 0;
    if (aIdx[n].zName == NULL) break;
    if (sqlite3_column_int(pStmt, 4)) {
      aIdx[n].zWhy = "partial";
    }
    rc = indexParts(p, &aIdx[n++]);
  }
  *paIdx = aIdx;
  *pnIdx = n;
  return sourceFinish(p, pStmt, rc);
}

/*
** Whether the rowid of the source can be selected; sets zAlias.
*/
static int sourceAlias(SourceWork *p) {
  sqlite3_stmt *pStmt;
  int i = 0, rc = SQLITE_OK;
  while (i < 3 && (p->mShadow & (1u << i)) != 0) i++;
  if (i == 3) return SQLITE_OK;
  if (p->eKind == SOURCE_VIRTUAL) { /* whether it has one, only its module knows */
    rc = sourcePrepare(p, &pStmt, "SELECT s.%s FROM \"%w\".\"%w\" AS s", azSourceRowid[i],
                       p->zSchema, p->zName);
    sqlite3_finalize(pStmt);
    if (rc == SQLITE_NOMEM) return rc;
  }
  if (rc == SQLITE_OK) p->zAlias = azSourceRowid[i];
  return SQLITE_OK;
}

/*
** Makes the rowid key 0.  bAlias: the declared primary key is another name of it.
*/
static int sourceRowid(SourceWork *p, int bAlias) {
  unsigned flags =
      MMAPSYNC_KEY_UNIQUE | MMAPSYNC_KEY_ROWID | MMAPSYNC_KEY_ORDERED | MMAPSYNC_KEY_NOTNULL;
  int c = p->iPk;
  mmapsync_part_def *aPart = sourceAlloc(p, sizeof(*aPart));
  if (aPart == NULL) return SQLITE_NOMEM;
  if (bAlias) {
    flags |= MMAPSYNC_KEY_PRIMARY;
    p->aColumn[c].flags |= MMAPSYNC_COLUMN_NOTNULL;
  } else {
    SourceColumn info = {.cid = -1, .eColl = MMAPSYNC_BINARY, .bNotNull = 1};
    int nMost = sqlite3_limit(p->db, SQLITE_LIMIT_COLUMN, -1);
    int rc = sourceAlias(p);
    if (rc != SQLITE_OK || p->zAlias == NULL) return rc;
    if (p->pub.def.ncolumns >= nMost) {
      return sourceSkip(p, "rowid of \"%s\": no room for one more column%s", p->zName, "");
    }
    c = p->pub.def.ncolumns;
    rc = sourceAddColumn(p, p->zAlias, "INTEGER", &info);
    if (rc != SQLITE_OK) return rc;
    p->aColumn[c].flags = MMAPSYNC_COLUMN_HIDDEN;
  }
  p->pub.def.rowid = c;
  aPart[0].column = c;
  return addKey(p, NULL, flags, aPart, 1);
}

/*
** The keys that a table brings along.
**
** A rowid table lists an index of origin "pk" unless its primary key is the rowid itself; the entries of
** its indexes end with the rowid.  The index of a WITHOUT ROWID table's primary key is the table, and
** there is no rowid in it.
*/
int sourceTableKeys(SourceWork *p) {
  SourceIndex *aIdx = NULL;
  int i, c, nIdx = 0, iPk = -1, bWithout = 0;
  int rc;
  if (p->eKind == SOURCE_VIRTUAL) return sourceRowid(p, 0); /* its keys cannot be seen */
  rc = indexList(p, &aIdx, &nIdx);
  if (rc != SQLITE_OK) return rc;
  for (i = 0; i < nIdx; i++) {
    if (aIdx[i].bPrimary) iPk = i;
  }
  if (iPk >= 0 && !aIdx[iPk].bRowid) {
    bWithout = 1;
    p->pub.def.flags |= MMAPSYNC_TABLE_WITHOUT_ROWID;
  } else {
    rc = sourceRowid(p, iPk < 0 && p->nPk == 1);
  }
  if (rc == SQLITE_OK && iPk >= 0) {
    unsigned flags = MMAPSYNC_KEY_UNIQUE | MMAPSYNC_KEY_PRIMARY | MMAPSYNC_KEY_NOTNULL;
    const SourceIndex *pPk = &aIdx[iPk];
    for (c = 0; c < pPk->nPart && !bWithout; c++) {
      /* SQLite lets NULLs into the primary key of a rowid table. */
      if (!p->aInfo[pPk->aPart[c].column].bNotNull) flags &= ~(unsigned)MMAPSYNC_KEY_NOTNULL;
    }
    if (pPk->zWhy != NULL) {
      rc = sourceSkip(p, "primary key of \"%s\": %s", p->zName, pPk->zWhy);
    } else {
      rc = addKey(p, NULL, flags | (bWithout ? MMAPSYNC_KEY_ORDERED : 0u), pPk->aPart, pPk->nPart);
    }
  }
  for (i = nIdx - 1; rc == SQLITE_OK && i >= 0; i--) {
    const SourceIndex *pIdx = &aIdx[i];
    if (pIdx->bPrimary) continue;
    if (pIdx->zWhy != NULL) {
      rc = sourceSkip(p, "index \"%s\": %s", pIdx->zName, pIdx->zWhy);
    } else {
      int bAuto = sqlite3_strnicmp(pIdx->zName, "sqlite_", 7) == 0; /* made for a constraint */
      rc = addKey(p, bAuto ? NULL : pIdx->zName, pIdx->bUnique ? MMAPSYNC_KEY_UNIQUE : 0,
                  pIdx->aPart, pIdx->nPart);
    }
  }
  return rc;
}

/* ---- clauses ---------------------------------------------------------------------------------- */

static int columnFind(const SourceWork *p, const char *zName) {
  int c, i;
  for (c = 0; c < p->pub.def.ncolumns; c++) {
    if (sqlite3_stricmp(p->aColumn[c].name, zName) == 0) return c;
  }
  for (i = 0; i < 3; i++) { /* the rowid, under whichever of its names */
    if (sqlite3_stricmp(azSourceRowid[i], zName) == 0) return p->pub.def.rowid;
  }
  return -1;
}

static int clauseColumn(SourceWork *p, const char **pz, mmapsync_part_def *pPart) {
  char zClip[CLIP_MOST + 4];
  char *zName = NULL;
  int rc = sourceReadName(p, pz, "a column name", &zName);
  if (rc != SQLITE_OK) return rc;
  pPart->column = columnFind(p, zName);
  if (pPart->column < 0) {
    return sourceError(p, SQLITE_ERROR, "\"%s\" has no column \"%s\"", p->zName,
                       valueClip(zClip, zName, CLIP_MOST));
  }
  pPart->collation = p->aInfo[pPart->column].eColl;
  if (sourceReadWord(pz, "COLLATE")) {
    rc = sourceReadName(p, pz, "a collation", &zName);
    if (rc != SQLITE_OK) return rc;
    pPart->collation = valueCollation(zName);
    if (pPart->collation == COLL_CUSTOM) {
      return sourceError(p, SQLITE_ERROR,
                         "collation \"%s\" cannot be carried: expected binary, nocase or rtrim",
                         valueClip(zClip, zName, CLIP_MOST));
    }
  }
  if (pPart->collation == COLL_CUSTOM) {
    return sourceError(p, SQLITE_ERROR,
                       "the collation of column \"%s\" of \"%s\" cannot be carried: add COLLATE "
                       "binary, nocase or rtrim",
                       zName, p->zName);
  }
  pPart->desc = 0;
  if (sourceReadWord(pz, "DESC")) {
    pPart->desc = 1;
  } else {
    (void)sourceReadWord(pz, "ASC");
  }
  return SQLITE_OK;
}

static int clauseKey(SourceWork *p, const char **pz, unsigned flags) {
  mmapsync_part_def *aPart = NULL;
  int i, n = 0, rc = SQLITE_OK;
  if (!sourceReadChar(pz, '(')) return sourceExpected(p, "\"(\"", sourceSpace(*pz));
  do {
    aPart = sourceRoom(p, aPart, n, sizeof(*aPart));
    if (aPart == NULL) return SQLITE_NOMEM;
    rc = clauseColumn(p, pz, &aPart[n]);
    for (i = 0; rc == SQLITE_OK && i < n; i++) {
      if (aPart[i].column == aPart[n].column) {
        rc = sourceError(p, SQLITE_ERROR,
                         "publish source \"%s\": column \"%s\" stands twice in a key",
                         sourceShow(p), p->aColumn[aPart[n].column].name);
      }
    }
    n++;
  } while (rc == SQLITE_OK && sourceReadChar(pz, ','));
  if (rc == SQLITE_OK && !sourceReadChar(pz, ')'))
    rc = sourceExpected(p, "\",\" or \")\"", sourceSpace(*pz));
  if (rc == SQLITE_OK) rc = addKey(p, NULL, flags, aPart, n);
  return rc;
}

int sourceClauses(SourceWork *p, const char *z) {
  int rc = SQLITE_OK;
  while (rc == SQLITE_OK && *sourceSpace(z) != '\0') {
    if (sourceReadWord(&z, "KEY")) {
      unsigned flags = MMAPSYNC_KEY_UNIQUE | MMAPSYNC_KEY_NOTNULL;
      if ((p->mKeys & MMAPSYNC_KEY_PRIMARY) == 0) flags |= MMAPSYNC_KEY_PRIMARY;
      if (p->iOrdered < 0) flags |= MMAPSYNC_KEY_ORDERED;
      rc = clauseKey(p, &z, flags);
    } else if (sourceReadWord(&z, "INDEX")) {
      rc = clauseKey(p, &z, 0);
    } else if (sourceReadWord(&z, "UNIQUE")) {
      rc = clauseKey(p, &z, MMAPSYNC_KEY_UNIQUE);
    } else {
      rc = sourceExpected(p, "KEY, INDEX or UNIQUE", sourceSpace(z));
    }
  }
  return rc;
}
