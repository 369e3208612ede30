/*
** source.c - what an argument of mmapsync_publish() names: a table or view, and the keys it gets.
**
** THE TEXT.  If the whole of it is the name of a table or view of the connection, whatever characters
** it holds, it is that.  Otherwise
**
**     source  :=  [name .] name { clause }
**     clause  :=  ( KEY | INDEX | UNIQUE ) "(" column { "," column } ")"
**     column  :=  name [ COLLATE ( BINARY | NOCASE | RTRIM ) ] [ ASC | DESC ]
**     name    :=  a word, or anything in "..", [..] or `..`
**
** The order of schemas is SQLite's: temp, main, then the attached ones as they came.  A name that no
** schema holds may still be a table that a module brings (pragma_table_list, sqlite_schema, ...).
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
** Then come the other constraints and indexes of the table in the order they were made, then the clauses.
** A key is not carried twice: a clause that repeats one only adds what it promises.  What cannot be
** carried (partial indexes, expressions, collations that are not built in) becomes a sentence in
** azSkipped, and publishing goes on.
**
** TYPES AND COLLATIONS.  A comparison with a published column must give what the source gives, so it needs
** the affinity and the collation of each column.  A table declares them.  For the columns of a view there
** is no interface to ask, so they are seen from outside: the columns of "v WHERE 0", which reads nothing,
** are put in front of two rows of literals, by UNION ALL, and compared: the column's affinity turns 5 into
** '5' or '5.0' into 5, or does not, and its collation makes 'A' or 'a ' equal to 'a', or does not.  One
** statement asks this for all columns of a view.  Hosts from 3.41 on name the affinity of every view
** column in table_xinfo, so there the declared type is taken and only the collation is asked for; they
** would give a column beside literals another affinity.
**
** All names reach SQL through %w between double quotes, so no name can end its quotes.
*/
#include "ext.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

#define SOURCE_TABLE   0 /* an ordinary table */
#define SOURCE_VIRTUAL 1 /* made by CREATE VIRTUAL TABLE */
#define SOURCE_VIEW    2
#define SOURCE_MODULE  3 /* not in any schema, yet SELECT finds it */

#define COLL_CUSTOM    -1 /* not one of MMAPSYNC_BINARY, _NOCASE, _RTRIM */

static const char *const azCollation[] = {"BINARY", "NOCASE", "RTRIM"};
static const char *const azRowid[] = {"rowid", "_rowid_", "oid"};

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
  sqlite3 *db;
  Block *pBlocks;
  const char *zSpec;   /* the argument, for messages */
  const char *zSchema; /* NULL: as SQLite finds it */
  const char *zName;   /* as the schema spells it */
  int eKind;           /* SOURCE_... */
  int bChannel;        /* it is a table of a channel itself */
  SourceColumn *aInfo; /* for each of def.columns */
  mmapsync_column_def *aColumn;
  mmapsync_key_def *aKey;
  int nPk;            /* columns of the declared primary key */
  int iPk;            /* the last of them */
  unsigned mKeys;     /* the flags of all keys */
  int iOrdered;       /* the key that orders the rows, or -1 */
  unsigned mShadow;   /* bit i: a column is named azRowid[i] */
  const char *zAlias; /* the name that reaches the rowid in SQL; NULL if none does */
  char *zErr;         /* the first sentence */
} SourceWork;

/* ---- memory and sentences --------------------------------------------------------------------- */

static void *sourceAlloc(SourceWork *p, size_t n) {
  Block *pBlock = sqlite3_malloc64(sizeof(*pBlock) + n);
  if (pBlock == NULL) return NULL;
  memset(pBlock, 0, sizeof(*pBlock) + n);
  pBlock->pNext = p->pBlocks;
  p->pBlocks = pBlock;
  return pBlock->aMem;
}

/*
** Text that lives as long as the source.
*/
static char *sourcePrint(SourceWork *p, const char *zFormat, ...) {
  va_list ap;
  char *z, *zCopy = NULL;
  va_start(ap, zFormat);
  z = sqlite3_vmprintf(zFormat, ap);
  va_end(ap);
  if (z != NULL) zCopy = sourceAlloc(p, strlen(z) + 1);
  if (zCopy != NULL) memcpy(zCopy, z, strlen(z) + 1);
  sqlite3_free(z);
  return zCopy;
}

/* Room for element n of an array that has n, which may move.  NULL: out of memory. */
static void *sourceRoom(SourceWork *p, void *aOld, int n, size_t size) {
  void *aNew;
  if (n > 0 && (n & (n - 1)) != 0) return aOld; /* it grows when n is 0 or a power of two */
  aNew = sourceAlloc(p, size * (n == 0 ? 1 : 2 * (size_t)n));
  if (aNew != NULL && n > 0) memcpy(aNew, aOld, size * (size_t)n);
  return aNew;
}

/*
** Sets the sentence, unless there is one, and returns rc.
*/
static int sourceError(SourceWork *p, int rc, const char *zFormat, ...) {
  va_list ap;
  if (p->zErr != NULL) return rc;
  va_start(ap, zFormat);
  p->zErr = sqlite3_vmprintf(zFormat, ap);
  va_end(ap);
  return p->zErr == NULL ? SQLITE_NOMEM : rc;
}

/*
** What SQLite said about the source.
*/
static int sourceSqlError(SourceWork *p, int rc) {
  if (rc == SQLITE_NOMEM) return rc;
  return sourceError(p, rc, "\"%s\": %s", p->zName != NULL ? p->zName : p->zSpec,
                     sqlite3_errmsg(p->db));
}

/*
** Notes what could not be carried.
*/
static int sourceSkip(SourceWork *p, const char *zFormat, const char *zA, const char *zB) {
  char **az = sourceRoom(p, p->pub.azSkipped, p->pub.nSkipped, sizeof(*az));
  char *zSentence = sourcePrint(p, zFormat, zA, zB);
  if (zSentence == NULL || az == NULL) return SQLITE_NOMEM;
  p->pub.azSkipped = az;
  az[p->pub.nSkipped++] = zSentence;
  return SQLITE_OK;
}

/*
** Prepares a statement made from a format.  The error is not turned into a sentence here.
*/
static int sourcePrepare(SourceWork *p, sqlite3_stmt **ppStmt, const char *zFormat, ...) {
  va_list ap;
  char *zSql;
  int rc;
  *ppStmt = NULL;
  va_start(ap, zFormat);
  zSql = sqlite3_vmprintf(zFormat, ap);
  va_end(ap);
  if (zSql == NULL) return SQLITE_NOMEM;
  rc = sqlite3_prepare_v2(p->db, zSql, -1, ppStmt, NULL);
  sqlite3_free(zSql);
  return rc;
}

/*
** Ends a statement whose last step gave rc: SQLITE_OK, or its error with a sentence.
*/
static int sourceFinish(SourceWork *p, sqlite3_stmt *pStmt, int rc) {
  if (rc == SQLITE_DONE || rc == SQLITE_ROW) rc = SQLITE_OK;
  if (rc != SQLITE_OK) rc = sourceSqlError(p, rc);
  sqlite3_finalize(pStmt);
  return rc;
}

static const char *columnText(sqlite3_stmt *pStmt, int i) {
  const char *z = (const char *)sqlite3_column_text(pStmt, i);
  return z == NULL ? "" : z;
}

/* `"schema".` in front of a name, or nothing. */
static char *sourcePrefix(SourceWork *p, const char *zSchema) {
  return zSchema == NULL ? sourcePrint(p, "%s", "") : sourcePrint(p, "\"%w\".", zSchema);
}

/* ---- the words of a specification ------------------------------------------------------------- */

static int isWordChar(char c, int bFirst) {
  if ((c & 0x80) != 0 || c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return 1;
  return !bFirst && (c == '$' || (c >= '0' && c <= '9'));
}

static const char *skipSpace(const char *z) { return z + strspn(z, " \t\r\n\f"); }

/*
** Says what should stand at z.
*/
static int expected(SourceWork *p, const char *zWhat, const char *z) {
  int n = (int)strlen(z);
  if (n == 0) {
    return sourceError(p, SQLITE_ERROR, "publish source \"%s\": expected %s at the end", p->zSpec,
                       zWhat);
  }
  if (n > 30) {
    for (n = 30; (z[n] & 0xc0) == 0x80; n--) {
    }
  }
  return sourceError(p, SQLITE_ERROR, "publish source \"%s\": expected %s at \"%.*s%s\"", p->zSpec,
                     zWhat, n, z, z[n] == '\0' ? "" : "...");
}

/* Reads a name at *pz into *pzName and steps over it. */
static int readName(SourceWork *p, const char **pz, const char *zWhat, char **pzName) {
  const char *z = skipSpace(*pz);
  char cEnd = z[0] == '[' ? ']' : z[0];
  size_t n = 0, i = 1;
  char *zOut = sourceAlloc(p, strlen(z) + 1);
  if (zOut == NULL) return SQLITE_NOMEM;
  if (z[0] == '"' || z[0] == '`' || z[0] == '[') {
    for (;; i++) {
      if (z[i] == '\0') return expected(p, "the end of a quoted name", z + i);
      if (z[i] == cEnd && (cEnd == ']' || z[i + 1] != cEnd)) break;
      if (z[i] == cEnd) i++; /* a doubled quote stands for one */
      zOut[n++] = z[i];
    }
    *pz = z + i + 1;
  } else {
    while (isWordChar(z[n], n == 0)) n++;
    if (n == 0) return expected(p, zWhat, z);
    memcpy(zOut, z, n);
    *pz = z + n;
  }
  *pzName = zOut;
  return SQLITE_OK;
}

/* Steps over a bare word, in any case, and returns 1 if it is there. */
static int readWord(const char **pz, const char *zWord) {
  const char *z = skipSpace(*pz);
  int n = (int)strlen(zWord);
  if (sqlite3_strnicmp(z, zWord, n) != 0 || isWordChar(z[n], 0)) return 0;
  *pz = z + n;
  return 1;
}

static int readChar(const char **pz, char c) {
  const char *z = skipSpace(*pz);
  if (*z != c) return 0;
  *pz = z + 1;
  return 1;
}

/* ---- finding the table or view ---------------------------------------------------------------- */

static int findInSchema(SourceWork *p, const char *zSchema, const char *zName, int *pbFound) {
  sqlite3_stmt *pStmt;
  int rc = sourcePrepare(
      p, &pStmt,
      "SELECT name, type, rootpage, instr(upper(sql), ' USING MMAPSYNC') FROM \"%w\".sqlite_schema"
      " WHERE name = ?1 COLLATE NOCASE AND type IN ('table','view')",
      zSchema);
  if (rc == SQLITE_OK) rc = sqlite3_bind_text(pStmt, 1, zName, -1, SQLITE_STATIC);
  if (rc == SQLITE_OK) rc = sqlite3_step(pStmt);
  if (rc == SQLITE_ROW) {
    *pbFound = 1;
    if (strcmp(columnText(pStmt, 1), "view") == 0) {
      p->eKind = SOURCE_VIEW;
    } else {
      p->eKind = sqlite3_column_int64(pStmt, 2) == 0 ? SOURCE_VIRTUAL : SOURCE_TABLE;
    }
    p->bChannel = p->eKind == SOURCE_VIRTUAL && sqlite3_column_int(pStmt, 3);
    p->zSchema = sourcePrint(p, "%s", zSchema);
    p->zName = sourcePrint(p, "%s", columnText(pStmt, 0));
    if (p->zSchema == NULL || p->zName == NULL) rc = SQLITE_NOMEM;
  }
  return sourceFinish(p, pStmt, rc);
}

/*
** A name without a schema has found a table of a channel.  If it hides another table (as it does after
** mmapsync_attach() on the connection that publishes), publishing it would bring the old rows back as
** new ones, so the schema must be named.
*/
static int findHidden(SourceWork *p, sqlite3_stmt *pSchemas, const char *zName) {
  const SourceWork found = *p;
  int bFound = 0, rc = SQLITE_OK;
  while (rc == SQLITE_OK && !bFound && (rc = sqlite3_step(pSchemas)) == SQLITE_ROW) {
    rc = findInSchema(p, columnText(pSchemas, 0), zName, &bFound);
  }
  if (rc == SQLITE_OK && bFound) {
    return sourceError(p, SQLITE_ERROR,
                       "\"%s\" is a table of a channel and hides another: publish "
                       "\"%s.%s\" or \"%s.%s\"",
                       found.zName, p->zSchema, p->zName, found.zSchema, found.zName);
  }
  p->zSchema = found.zSchema;
  p->zName = found.zName;
  p->eKind = found.eKind;
  return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/*
** Looks a name up in the schema given, or in all of them.
*/
static int sourceFind(SourceWork *p, const char *zSchema, const char *zName, int *pbFound) {
  sqlite3_stmt *pStmt;
  char *zPrefix;
  int rc = sourcePrepare(p, &pStmt,
                         "SELECT name FROM pragma_database_list"
                         " WHERE ?1 IS NULL OR name = ?1 COLLATE NOCASE"
                         " OR (seq = 0 AND 'main' = ?1 COLLATE NOCASE)"
                         " ORDER BY seq <> 1, seq");
  *pbFound = 0;
  if (rc == SQLITE_OK) rc = sqlite3_bind_text(pStmt, 1, zSchema, -1, SQLITE_STATIC);
  while (rc == SQLITE_OK && !*pbFound && (rc = sqlite3_step(pStmt)) == SQLITE_ROW) {
    rc = findInSchema(p, columnText(pStmt, 0), zName, pbFound);
    if (rc == SQLITE_OK && *pbFound && p->bChannel && zSchema == NULL) {
      rc = findHidden(p, pStmt, zName);
    }
  }
  rc = sourceFinish(p, pStmt, rc);
  if (rc != SQLITE_OK || *pbFound) return rc;

  zPrefix = sourcePrefix(p, zSchema);
  if (zPrefix == NULL) return SQLITE_NOMEM;
  rc = sourcePrepare(p, &pStmt, "SELECT * FROM %s\"%w\"", zPrefix, zName);
  sqlite3_finalize(pStmt);
  if (rc == SQLITE_OK) {
    *pbFound = 1;
    p->eKind = SOURCE_MODULE;
    p->zSchema = zSchema;
    p->zName = sourcePrint(p, "%s", zName);
    if (p->zName == NULL) rc = SQLITE_NOMEM;
  }
  return rc == SQLITE_NOMEM ? rc : SQLITE_OK;
}

/*
** Finds what the specification names; *pzClauses is what follows the name.
*/
static int sourceResolve(SourceWork *p, const char **pzClauses) {
  const char *z = p->zSpec;
  char *zSchema = NULL;
  char *zName = NULL;
  int bFound = 0;
  int rc = sourceFind(p, NULL, p->zSpec, &bFound);
  *pzClauses = "";
  if (rc != SQLITE_OK || bFound) return rc;

  rc = readName(p, &z, "a name", &zName);
  if (rc == SQLITE_OK && readChar(&z, '.')) {
    zSchema = zName;
    rc = readName(p, &z, "a name", &zName);
  }
  if (rc == SQLITE_OK) rc = sourceFind(p, zSchema, zName, &bFound);
  if (rc == SQLITE_OK && !bFound) {
    /* What follows may be clauses, or the rest of a name with spaces. */
    const char *zNext = z;
    if (*skipSpace(z) != '\0' && !readWord(&zNext, "KEY") && !readWord(&zNext, "INDEX") &&
        !readWord(&zNext, "UNIQUE")) {
      rc = sourceError(p, SQLITE_ERROR, "no such table or view: \"%s\"", p->zSpec);
    } else {
      rc = sourceError(p, SQLITE_ERROR, "no such table or view: \"%s%s%s\"",
                       zSchema == NULL ? "" : zSchema, zSchema == NULL ? "" : ".", zName);
    }
  }
  *pzClauses = z;
  return rc;
}

/* ---- columns ---------------------------------------------------------------------------------- */

static int addColumn(SourceWork *p, const char *zName, const char *zType,
                     const SourceColumn *pInfo) {
  int n = p->pub.def.ncolumns;
  mmapsync_column_def *aColumn = sourceRoom(p, p->aColumn, n, sizeof(*aColumn));
  SourceColumn *aInfo = sourceRoom(p, p->aInfo, n, sizeof(*aInfo));
  if (aColumn == NULL || aInfo == NULL) return SQLITE_NOMEM;
  p->aColumn = aColumn;
  p->aInfo = aInfo;
  aInfo[n] = *pInfo;
  aColumn[n].name = sourcePrint(p, "%s", zName);
  aColumn[n].type = zType[0] == '\0' ? NULL : sourcePrint(p, "%s", zType);
  aColumn[n].collation = azCollation[MMAPSYNC_BINARY];
  aColumn[n].flags = 0;
  if (aColumn[n].name == NULL || (zType[0] != '\0' && aColumn[n].type == NULL)) return SQLITE_NOMEM;
  p->pub.def.ncolumns++;
  return SQLITE_OK;
}

/*
** Takes a column's collation from the table's declaration.
*/
static int columnCollation(SourceWork *p, int c) {
  const char *zColl = NULL;
  int rc = sqlite3_table_column_metadata(p->db, p->zSchema, p->zName, p->aColumn[c].name, NULL,
                                         &zColl, NULL, NULL, NULL);
  if (rc != SQLITE_OK) return sourceSqlError(p, rc);
  if (zColl == NULL) return SQLITE_OK;
  p->aInfo[c].eColl = valueCollation(zColl);
  p->aColumn[c].collation = p->aInfo[c].eColl == COLL_CUSTOM ? sourcePrint(p, "%s", zColl)
                                                             : azCollation[p->aInfo[c].eColl];
  return p->aColumn[c].collation == NULL ? SQLITE_NOMEM : SQLITE_OK;
}

static int sourceColumns(SourceWork *p) {
  sqlite3_stmt *pStmt;
  int bView = p->eKind == SOURCE_VIEW || p->eKind == SOURCE_MODULE;
  int i, c;
  char *zPrefix = sourcePrefix(p, p->zSchema);
  int rc = zPrefix == NULL
               ? SQLITE_NOMEM
               : sourcePrepare(p, &pStmt, "PRAGMA %stable_xinfo(\"%w\")", zPrefix, p->zName);
  if (rc != SQLITE_OK) return sourceSqlError(p, rc);
  while (rc == SQLITE_OK && (rc = sqlite3_step(pStmt)) == SQLITE_ROW) {
    const char *zName = columnText(pStmt, 1);
    SourceColumn info = {.cid = sqlite3_column_int(pStmt, 0),
                         .eColl = MMAPSYNC_BINARY,
                         .bNotNull = sqlite3_column_int(pStmt, 3)};
    for (i = 0; i < 3; i++) {
      if (sqlite3_stricmp(zName, azRowid[i]) == 0) p->mShadow |= 1u << i;
    }
    rc = SQLITE_OK;
    if (sqlite3_column_int(pStmt, 6) == 1) continue; /* hidden: an argument of a virtual table */
    if (sqlite3_column_int(pStmt, 5) > 0) {
      p->nPk++;
      p->iPk = p->pub.def.ncolumns;
    }
    info.bProbe = bView && columnText(pStmt, 2)[0] == '\0' && sqlite3_libversion_number() < 3041000;
    rc = addColumn(p, zName, columnText(pStmt, 2), &info);
  }
  rc = sourceFinish(p, pStmt, rc);
  if (rc == SQLITE_OK && p->pub.def.ncolumns == 0) {
    rc = sourceError(p, SQLITE_ERROR, "\"%s\" has no columns", p->zName);
  }
  for (c = 0; rc == SQLITE_OK && !bView && c < p->pub.def.ncolumns; c++) rc = columnCollation(p, c);
  return rc;
}

/*
** Sees the affinity (bProbe) and the collation of the columns of a view from outside.  The two rows
** hold '5.0' and 'a' in every column; what each column gives for a row is
**
**     1  equals 5      2  equals 5.0      4  equals 'A'      8  equals 'a '      16  greater than 'B'
**
** so that bits 1 and 2 of the first row tell the affinity (numeric gives both, text 2, none 0) and the
** others of the second row the collation.  LIMIT keeps SQLite from merging the rows into the outer
** query, which would compare the literals and not the columns.
*/
static int sourceProbe(SourceWork *p) {
  sqlite3_stmt *pStmt = NULL;
  sqlite3_str *pSql = sqlite3_str_new(p->db);
  char *zPrefix = sourcePrefix(p, p->zSchema);
  char *zSql;
  int i, n = p->pub.def.ncolumns, rc = SQLITE_NOMEM;
  for (i = 0; i < n; i++) {
    sqlite3_str_appendf(pSql, "%s(x%d=5)+(x%d=5.0)*2+(x%d='A')*4+(x%d='a ')*8+(x%d>'B')*16",
                        i == 0 ? "SELECT " : ",", i, i, i, i, i);
  }
  for (i = 0; i < n; i++) {
    sqlite3_str_appendf(pSql, "%ss.\"%w\" AS x%d", i == 0 ? " FROM (SELECT " : ",",
                        p->aColumn[i].name, i);
  }
  if (zPrefix != NULL) {
    sqlite3_str_appendf(pSql, " FROM %s\"%w\" AS s WHERE 0", zPrefix, p->zName);
  }
  for (i = 0; i < n; i++)
    sqlite3_str_appendall(pSql, i == 0 ? " UNION ALL SELECT '5.0'" : ",'5.0'");
  for (i = 0; i < n; i++) sqlite3_str_appendall(pSql, i == 0 ? " UNION ALL SELECT 'a'" : ",'a'");
  sqlite3_str_appendall(pSql, " LIMIT 2)");
  zSql = sqlite3_str_finish(pSql);
  if (zPrefix != NULL && zSql != NULL) rc = sqlite3_prepare_v2(p->db, zSql, -1, &pStmt, NULL);
  sqlite3_free(zSql);
  if (rc == SQLITE_OK) rc = sqlite3_step(pStmt);
  for (i = 0; rc == SQLITE_ROW && i < n; i++) {
    int m = sqlite3_column_int(pStmt, i) & 3;
    if (p->aInfo[i].bProbe && m != 0) {
      p->aColumn[i].type = m == 3 ? "NUM" : "TEXT";
    }
  }
  if (rc == SQLITE_ROW) rc = sqlite3_step(pStmt);
  for (i = 0; rc == SQLITE_ROW && i < n; i++) {
    SourceColumn *pInfo = &p->aInfo[i];
    switch (sqlite3_column_int(pStmt, i) & (4 | 8 | 16)) {
    case 16: pInfo->eColl = MMAPSYNC_BINARY; break;
    case 4: pInfo->eColl = MMAPSYNC_NOCASE; break;
    case 8 | 16: pInfo->eColl = MMAPSYNC_RTRIM; break;
    default: pInfo->eColl = COLL_CUSTOM;
    }
  }
  return sourceFinish(p, pStmt, rc);
}

static int sourceViewColumns(SourceWork *p) {
  int c, rc = sourceProbe(p);
  for (c = 0; rc == SQLITE_OK && c < p->pub.def.ncolumns; c++) {
    if (p->aInfo[c].eColl != COLL_CUSTOM) {
      p->aColumn[c].collation = azCollation[p->aInfo[c].eColl];
    } else {
      rc = sourceSkip(p, "collation of column \"%s\" of \"%s\": not binary, nocase or rtrim",
                      p->aColumn[c].name, p->zName);
    }
  }
  return rc;
}

/* ---- keys ------------------------------------------------------------------------------------- */

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
    for (i = 0; zName == NULL && i < nPart; i++) {
      if (i == 0) zName = "";
      zName = sourcePrint(p, "%s%s%s", zName, i == 0 ? "" : ", ", p->aColumn[aPart[i].column].name);
      if (zName == NULL) return SQLITE_NOMEM;
    }
    aKey[n].name = zName;
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
    int eColl = valueCollation(columnText(pStmt, 4));
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
      pIdx->zWhy = cid == -1 ? "on the rowid" : "on an expression";
    } else if (eColl == COLL_CUSTOM) {
      pIdx->zWhy = sourcePrint(p, "collation \"%s\" cannot be carried", columnText(pStmt, 4));
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
    aIdx[n].zName = sourcePrint(p, "%s", columnText(pStmt, 1));
    aIdx[n].bUnique = sqlite3_column_int(pStmt, 2);
    aIdx[n].bPrimary = strcmp(columnText(pStmt, 3), "pk") == 0;
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
    rc = sourcePrepare(p, &pStmt, "SELECT s.%s FROM \"%w\".\"%w\" AS s", azRowid[i], p->zSchema,
                       p->zName);
    sqlite3_finalize(pStmt);
    if (rc == SQLITE_NOMEM) return rc;
  }
  if (rc == SQLITE_OK) p->zAlias = azRowid[i];
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
  } else {
    SourceColumn info = {.cid = -1, .eColl = MMAPSYNC_BINARY, .bNotNull = 1};
    int nMost = sqlite3_limit(p->db, SQLITE_LIMIT_COLUMN, -1);
    int rc = sourceAlias(p);
    if (rc != SQLITE_OK || p->zAlias == NULL) return rc;
    if (p->pub.def.ncolumns >= nMost) {
      return sourceSkip(p, "rowid of \"%s\": no room for one more column%s", p->zName, "");
    }
    c = p->pub.def.ncolumns;
    rc = addColumn(p, p->zAlias, "INTEGER", &info);
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
static int sourceTableKeys(SourceWork *p) {
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
    if (sqlite3_stricmp(azRowid[i], zName) == 0) return p->pub.def.rowid;
  }
  return -1;
}

static int clauseColumn(SourceWork *p, const char **pz, mmapsync_part_def *pPart) {
  char *zName = NULL;
  int rc = readName(p, pz, "a column name", &zName);
  if (rc != SQLITE_OK) return rc;
  pPart->column = columnFind(p, zName);
  if (pPart->column < 0) {
    return sourceError(p, SQLITE_ERROR, "\"%s\" has no column \"%s\"", p->zName, zName);
  }
  pPart->collation = p->aInfo[pPart->column].eColl;
  if (readWord(pz, "COLLATE")) {
    rc = readName(p, pz, "a collation", &zName);
    if (rc != SQLITE_OK) return rc;
    pPart->collation = valueCollation(zName);
    if (pPart->collation == COLL_CUSTOM) {
      return sourceError(p, SQLITE_ERROR,
                         "collation \"%s\" cannot be carried: expected binary, nocase or rtrim",
                         zName);
    }
  }
  if (pPart->collation == COLL_CUSTOM) {
    return sourceError(p, SQLITE_ERROR,
                       "the collation of column \"%s\" of \"%s\" cannot be carried: add COLLATE "
                       "binary, nocase or rtrim",
                       zName, p->zName);
  }
  pPart->desc = 0;
  if (readWord(pz, "DESC")) {
    pPart->desc = 1;
  } else {
    (void)readWord(pz, "ASC");
  }
  return SQLITE_OK;
}

static int clauseKey(SourceWork *p, const char **pz, unsigned flags) {
  mmapsync_part_def *aPart = NULL;
  int i, n = 0, rc = SQLITE_OK;
  if (!readChar(pz, '(')) return expected(p, "\"(\"", skipSpace(*pz));
  do {
    aPart = sourceRoom(p, aPart, n, sizeof(*aPart));
    if (aPart == NULL) return SQLITE_NOMEM;
    rc = clauseColumn(p, pz, &aPart[n]);
    for (i = 0; rc == SQLITE_OK && i < n; i++) {
      if (aPart[i].column == aPart[n].column) {
        rc = sourceError(p, SQLITE_ERROR,
                         "publish source \"%s\": column \"%s\" stands twice in a key", p->zSpec,
                         p->aColumn[aPart[n].column].name);
      }
    }
    n++;
  } while (rc == SQLITE_OK && readChar(pz, ','));
  if (rc == SQLITE_OK && !readChar(pz, ')')) rc = expected(p, "\",\" or \")\"", skipSpace(*pz));
  if (rc == SQLITE_OK) rc = addKey(p, NULL, flags, aPart, n);
  return rc;
}

static int sourceClauses(SourceWork *p, const char *z) {
  int rc = SQLITE_OK;
  while (rc == SQLITE_OK && *skipSpace(z) != '\0') {
    if (readWord(&z, "KEY")) {
      unsigned flags = MMAPSYNC_KEY_UNIQUE | MMAPSYNC_KEY_NOTNULL;
      if ((p->mKeys & MMAPSYNC_KEY_PRIMARY) == 0) flags |= MMAPSYNC_KEY_PRIMARY;
      if (p->iOrdered < 0) flags |= MMAPSYNC_KEY_ORDERED;
      rc = clauseKey(p, &z, flags);
    } else if (readWord(&z, "INDEX")) {
      rc = clauseKey(p, &z, 0);
    } else if (readWord(&z, "UNIQUE")) {
      rc = clauseKey(p, &z, MMAPSYNC_KEY_UNIQUE);
    } else {
      rc = expected(p, "KEY, INDEX or UNIQUE", skipSpace(z));
    }
  }
  return rc;
}

/* ---- the whole -------------------------------------------------------------------------------- */

/*
** The statement that reads the rows.  Columns are qualified with the alias, so that a quoted name cannot
** be taken for a string.
*/
static int sourceSelect(SourceWork *p) {
  sqlite3_str *pSql = sqlite3_str_new(p->db);
  char *zPrefix = sourcePrefix(p, p->zSchema);
  int i;
  for (i = 0; i < p->pub.def.ncolumns; i++) {
    sqlite3_str_appendf(pSql, "%ss.\"%w\"", i == 0 ? "SELECT " : ",", p->aColumn[i].name);
  }
  if (zPrefix != NULL) sqlite3_str_appendf(pSql, " FROM %s\"%w\" AS s", zPrefix, p->zName);
  if (p->iOrdered >= 0) {
    const mmapsync_key_def *pKey = &p->aKey[p->iOrdered];
    for (i = 0; i < pKey->nparts; i++) {
      sqlite3_str_appendf(pSql, "%ss.\"%w\"", i == 0 ? " ORDER BY " : ",",
                          p->aColumn[pKey->parts[i].column].name);
      if ((pKey->flags & MMAPSYNC_KEY_ROWID) == 0) {
        sqlite3_str_appendf(pSql, " COLLATE %s", azCollation[pKey->parts[i].collation]);
      }
      if (pKey->parts[i].desc) sqlite3_str_appendall(pSql, " DESC");
    }
  }
  p->pub.zSelect = sqlite3_str_finish(pSql);
  return zPrefix == NULL || p->pub.zSelect == NULL ? SQLITE_NOMEM : SQLITE_OK;
}

int sourceOpen(sqlite3 *db, const char *zSpec, Source **ppSource, char **pzErr) {
  const char *zClauses;
  int rc = SQLITE_NOMEM;
  SourceWork *p = sqlite3_malloc64(sizeof(*p));
  *ppSource = NULL;
  if (p == NULL) return SQLITE_NOMEM;
  memset(p, 0, sizeof(*p));
  p->db = db;
  p->iOrdered = -1;
  p->pub.def.rowid = -1;
  p->zSpec = sourcePrint(p, "%s", zSpec);
  if (p->zSpec != NULL) rc = sourceResolve(p, &zClauses);
  if (rc == SQLITE_OK) rc = sourceColumns(p);
  if (rc == SQLITE_OK) {
    if (p->eKind == SOURCE_TABLE || p->eKind == SOURCE_VIRTUAL) {
      rc = sourceTableKeys(p);
    } else {
      if (p->eKind == SOURCE_VIEW) p->pub.def.flags |= MMAPSYNC_TABLE_VIEW;
      rc = sourceViewColumns(p);
    }
  }
  if (rc == SQLITE_OK) rc = sourceClauses(p, zClauses);
  if (rc == SQLITE_OK) rc = sourceSelect(p);
  if (rc != SQLITE_OK) {
    *pzErr = p->zErr;
    p->zErr = NULL;
    sourceClose(&p->pub);
    return rc;
  }
  p->pub.def.name = p->zName;
  p->pub.def.columns = p->aColumn;
  p->pub.def.keys = p->aKey;
  *ppSource = &p->pub;
  return SQLITE_OK;
}

void sourceClose(Source *pSource) {
  SourceWork *p = (SourceWork *)pSource; /* pub is its first member */
  if (p == NULL) return;
  while (p->pBlocks != NULL) {
    Block *pBlock = p->pBlocks;
    p->pBlocks = pBlock->pNext;
    sqlite3_free(pBlock);
  }
  sqlite3_free(p->pub.zSelect);
  sqlite3_free(p->zErr);
  sqlite3_free(p);
}
