/*
** source.c - what an argument of mmapsync_publish() names: a table or view, and its columns.  The keys it
** gets, which also order its rows, are in sourcekeys.c.
**
** THE TEXT
**
**     source  :=  [name .] name { clause }
**     clause  :=  ( KEY | INDEX | UNIQUE ) "(" column { "," column } ")"
**     column  :=  name [ COLLATE ( BINARY | NOCASE | RTRIM ) ] [ ASC | DESC ]
**     name    :=  a word, or anything in "..", [..] or `..`
**
** Where the text begins with the name of a schema, a dot and a name, that schema is searched and no other:
** another may be locked.  Otherwise, if the whole of it is the name of a table or view, whatever characters
** it holds, it is that.
**
** The order of schemas is SQLite's: temp, main, then the attached ones as they came.  A name that no
** schema holds may still be a table that a module brings (pragma_table_list, sqlite_schema, ...).
**
** TYPES AND COLLATIONS.  A comparison with a published column must give what the source gives, so it needs
** the affinity and the collation of each column.  A table declares them.  For the columns of a view there
** is no interface to ask, so they are seen from outside: the columns of "v WHERE 0", which reads nothing,
** are put in front of two rows of literals, by UNION ALL, and compared: the column's affinity turns 5 into
** '5' or '5.0' into 5, or does not, and its collation makes 'A' or 'a ' equal to 'a', or does not.  One
** statement asks this for all columns of a view.  Hosts from 3.41 on name the affinity of every view
** column in table_xinfo, so there the declared type is taken and only the collation is asked for; they
** would give a column beside literals another affinity.  The type ANY has two meanings: NUMERIC affinity,
** as any word that SQLite does not know, but none in a STRICT table, where it is published without a type.
** A view over such a column calls it ANY as well, so there that word is not believed either.
**
** NOT NULL is carried for what a table declares so, and for the column that is its rowid.  SQLite asks for the least
** value of a column in an order of its index only if there can be no NULL in front of it.
**
** All names reach SQL through %w between double quotes, so no name can end its quotes.
*/
#include "always.h"
#include "source.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

const char *const azSourceRowid[] = {"rowid", "_rowid_", "oid"};

/* ---- memory and sentences --------------------------------------------------------------------- */

void *sourceAlloc(SourceWork *p, size_t n) {
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
char *sourcePrint(SourceWork *p, const char *zFormat, ...) {
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
void *sourceRoom(SourceWork *p, void *aOld, int n, size_t size) {
  void *aNew;
  if (n > 0 && (n & (n - 1)) != 0) return aOld; /* it grows when n is 0 or a power of two */
  aNew = sourceAlloc(p, size * (n == 0 ? 1 : 2 * (size_t)n));
  if (aNew != NULL && n > 0) memcpy(aNew, aOld, size * (size_t)n);
  return aNew;
}

/*
** Sets the sentence, unless there is one, and returns rc.
*/
int sourceError(SourceWork *p, int rc, const char *zFormat, ...) {
  va_list ap;
  if (p->zErr != NULL) return rc;
  va_start(ap, zFormat);
  p->zErr = sqlite3_vmprintf(zFormat, ap);
  va_end(ap);
  return p->zErr == NULL ? SQLITE_NOMEM : rc;
}

/*
** The argument, for a sentence.
*/
const char *sourceShow(SourceWork *p) { return valueClip(p->zShow, p->zSpec, CLIP_MOST); }

/*
** What SQLite said about the source.
*/
static int sourceSqlError(SourceWork *p, int rc) {
  const char *zWhat = p->zName;
  if (rc == SQLITE_NOMEM) return rc;
  if (zWhat == NULL) zWhat = sourceShow(p); /* it was not found yet */
  return sourceError(p, rc, "\"%s\": %s", zWhat, sqlite3_errmsg(p->db));
}

/*
** Notes what could not be carried.
*/
int sourceSkip(SourceWork *p, const char *zFormat, const char *zA, const char *zB) {
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
int sourcePrepare(SourceWork *p, sqlite3_stmt **ppStmt, const char *zFormat, ...) {
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
int sourceFinish(SourceWork *p, sqlite3_stmt *pStmt, int rc) {
  if (rc == SQLITE_DONE || rc == SQLITE_ROW) rc = SQLITE_OK;
  if (rc != SQLITE_OK) rc = sourceSqlError(p, rc);
  sqlite3_finalize(pStmt);
  return rc;
}

const char *sourceText(sqlite3_stmt *pStmt, int i) {
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

const char *sourceSpace(const char *z) { return z + strspn(z, " \t\r\n\f"); }

/*
** Says what should stand at z.
*/
int sourceExpected(SourceWork *p, const char *zWhat, const char *z) {
  char zClip[CLIP_MOST + 4];
  if (*z == '\0') {
    return sourceError(p, SQLITE_ERROR, "publish source \"%s\": expected %s at the end",
                       sourceShow(p), zWhat);
  }
  return sourceError(p, SQLITE_ERROR, "publish source \"%s\": expected %s at \"%s\"", sourceShow(p),
                     zWhat, valueClip(zClip, z, 30));
}

/* Reads a name at *pz into *pzName and steps over it. */
int sourceReadName(SourceWork *p, const char **pz, const char *zWhat, char **pzName) {
  const char *z = sourceSpace(*pz);
  char cEnd = z[0] == '[' ? ']' : z[0];
  size_t n = 0, i = 1;
  char *zOut = sourceAlloc(p, strlen(z) + 1);
  if (zOut == NULL) return SQLITE_NOMEM;
  if (z[0] == '"' || z[0] == '`' || z[0] == '[') {
    for (;; i++) {
      if (z[i] == '\0') return sourceExpected(p, "the end of a quoted name", z + i);
      if (z[i] == cEnd && (cEnd == ']' || z[i + 1] != cEnd)) break;
      if (z[i] == cEnd) i++; /* a doubled quote stands for one */
      zOut[n++] = z[i];
    }
    *pz = z + i + 1;
  } else {
    while (isWordChar(z[n], n == 0)) n++;
    if (n == 0) return sourceExpected(p, zWhat, z);
    memcpy(zOut, z, n);
    *pz = z + n;
  }
  *pzName = zOut;
  return SQLITE_OK;
}

/* Steps over a bare word, in any case, and returns 1 if it is there. */
int sourceReadWord(const char **pz, const char *zWord) {
  const char *z = sourceSpace(*pz);
  int n = (int)strlen(zWord);
  if (sqlite3_strnicmp(z, zWord, n) != 0 || isWordChar(z[n], 0)) return 0;
  *pz = z + n;
  return 1;
}

int sourceReadChar(const char **pz, char c) {
  const char *z = sourceSpace(*pz);
  if (*z != c) return 0;
  *pz = z + 1;
  return 1;
}

/* ---- finding the table or view ---------------------------------------------------------------- */

static int findInSchema(SourceWork *p, const char *zSchema, const char *zName, int *pbFound) {
  sqlite3_stmt *pStmt;
  int rc = sourcePrepare(p, &pStmt,
                         "SELECT name, type, rootpage FROM \"%w\".sqlite_schema"
                         " WHERE name = ?1 COLLATE NOCASE AND type IN ('table','view')",
                         zSchema);
  if (rc == SQLITE_OK) rc = sqlite3_bind_text(pStmt, 1, zName, -1, SQLITE_STATIC);
  if (rc == SQLITE_OK) rc = sqlite3_step(pStmt);
  if (rc == SQLITE_ROW) {
    *pbFound = 1;
    if (strcmp(sourceText(pStmt, 1), "view") == 0) {
      p->eKind = SOURCE_VIEW;
    } else {
      p->eKind = sqlite3_column_int64(pStmt, 2) == 0 ? SOURCE_VIRTUAL : SOURCE_TABLE;
    }
    p->zSchema = sourcePrint(p, "%s", zSchema);
    p->zName = sourcePrint(p, "%s", sourceText(pStmt, 0));
    if (p->zSchema == NULL || p->zName == NULL) rc = SQLITE_NOMEM;
  }
  return sourceFinish(p, pStmt, rc);
}

/*
** A name without a schema has found a virtual table.  If it is of a channel and hides another table (as it
** does after mmapsync_attach() on the connection that publishes), publishing it would bring the old rows
** back as new ones, so the schema must be named.
*/
static int findHidden(SourceWork *p, sqlite3_stmt *pSchemas, const char *zName) {
  const SourceWork found = *p;
  int bFound = 0;
  int rc = vtabKnows(p->pRegistry, p->zSchema, p->zName, NULL, &bFound);
  if (rc != SQLITE_OK || !bFound) return rc;
  bFound = 0;
  while (rc == SQLITE_OK && !bFound && (rc = sqlite3_step(pSchemas)) == SQLITE_ROW) {
    rc = findInSchema(p, sourceText(pSchemas, 0), zName, &bFound);
  }
  if (rc == SQLITE_OK) { /* another was found */
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
** Prepares a list of the schema of this name, or of all in their order.  (The first has the name main
** besides its own, and temp is listed only once something is in it.)
*/
static int schemaList(SourceWork *p, const char *zSchema, sqlite3_stmt **ppStmt) {
  int rc = sourcePrepare(p, ppStmt,
                         "SELECT name FROM pragma_database_list"
                         " WHERE ?1 IS NULL OR name = ?1 COLLATE NOCASE"
                         " OR (seq = 0 AND 'main' = ?1 COLLATE NOCASE)"
                         " ORDER BY seq <> 1, seq");
  if (rc == SQLITE_OK) rc = sqlite3_bind_text(*ppStmt, 1, zSchema, -1, SQLITE_STATIC);
  return rc;
}

/*
** Looks a name up in the schema given, or in all of them.
*/
static int sourceFind(SourceWork *p, const char *zSchema, const char *zName, int *pbFound) {
  sqlite3_stmt *pStmt;
  char *zPrefix;
  int rc = schemaList(p, zSchema, &pStmt);
  *pbFound = 0;
  while (rc == SQLITE_OK && !*pbFound && (rc = sqlite3_step(pStmt)) == SQLITE_ROW) {
    rc = findInSchema(p, sourceText(pStmt, 0), zName, pbFound);
    if (rc == SQLITE_OK && *pbFound && p->eKind == SOURCE_VIRTUAL && zSchema == NULL) {
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
** Whether the specification begins with the name of a schema that there is, and a dot and a name.
*/
static int sourceQualified(SourceWork *p, int *pbSchema) {
  sqlite3_stmt *pStmt;
  const char *z = p->zSpec;
  char *zSchema = NULL;
  char *zName = NULL;
  int rc = sourceReadName(p, &z, "a name", &zSchema);
  if (rc == SQLITE_OK)
    rc = sourceReadChar(&z, '.') ? sourceReadName(p, &z, "a name", &zName) : SQLITE_ERROR;
  if (rc == SQLITE_NOMEM) return rc;
  sqlite3_free(p->zErr); /* if it is no name by these rules, it may still be one as a whole */
  p->zErr = NULL;
  if (rc != SQLITE_OK) return SQLITE_OK;
  rc = schemaList(p, zSchema, &pStmt);
  if (rc == SQLITE_OK) rc = sqlite3_step(pStmt);
  *pbSchema = rc == SQLITE_ROW;
  return sourceFinish(p, pStmt, rc);
}

/*
** Finds what the specification names; *pzClauses is what follows the name.
*/
static int sourceResolve(SourceWork *p, const char **pzClauses) {
  const char *z = p->zSpec;
  char *zSchema = NULL;
  char *zName = NULL;
  int bFound = 0;
  int bSchema = 0;
  int rc = sourceQualified(p, &bSchema);
  *pzClauses = "";
  if (rc == SQLITE_OK && !bSchema) rc = sourceFind(p, NULL, p->zSpec, &bFound);
  if (rc != SQLITE_OK || bFound) return rc;

  rc = sourceReadName(p, &z, "a name", &zName);
  if (rc == SQLITE_OK && sourceReadChar(&z, '.')) {
    zSchema = zName;
    rc = sourceReadName(p, &z, "a name", &zName);
  }
  if (rc == SQLITE_OK) rc = sourceFind(p, zSchema, zName, &bFound);
  if (rc == SQLITE_OK && !bFound) {
    /* What follows may be clauses, or the rest of a name with spaces. */
    const char *zNext = z;
    char zClip[CLIP_MOST + 4], zClip2[CLIP_MOST + 4];
    if (*sourceSpace(z) != '\0' && !sourceReadWord(&zNext, "KEY") &&
        !sourceReadWord(&zNext, "INDEX") && !sourceReadWord(&zNext, "UNIQUE")) {
      rc = sourceError(p, SQLITE_ERROR, "no such table or view: \"%s\"", sourceShow(p));
    } else {
      rc = sourceError(p, SQLITE_ERROR, "no such table or view: \"%s%s%s\"",
                       zSchema == NULL ? "" : valueClip(zClip2, zSchema, CLIP_MOST),
                       zSchema == NULL ? "" : ".", valueClip(zClip, zName, CLIP_MOST));
    }
  }
  *pzClauses = z;
  return rc;
}

/* ---- columns ---------------------------------------------------------------------------------- */

int sourceAddColumn(SourceWork *p, const char *zName, const char *zType,
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
  aColumn[n].collation = valueCollationName(MMAPSYNC_BINARY);
  aColumn[n].flags = 0;
  if (aColumn[n].name == NULL || (zType[0] != '\0' && aColumn[n].type == NULL)) return SQLITE_NOMEM;
  p->pub.def.ncolumns++;
  return SQLITE_OK;
}

static int typeIsAny(const char *zType) {
  return zType != NULL && sqlite3_stricmp(zType, "ANY") == 0;
}

/*
** Takes a column's collation from the table's declaration.
*/
static int columnCollation(SourceWork *p, int c) {
  const char *zColl = NULL;
  int rc = sqlite3_table_column_metadata(p->db, p->zSchema, p->zName, p->aColumn[c].name, NULL,
                                         &zColl, NULL, NULL, NULL);
  /* The pragma has just listed this column, and what it has read of the schema is held by a transaction. */
  if (NEVER(rc != SQLITE_OK)) return sourceSqlError(p, rc);
  p->aInfo[c].eColl = valueCollation(zColl);
  p->aColumn[c].collation = p->aInfo[c].eColl == COLL_CUSTOM
                                ? sourcePrint(p, "%s", zColl)
                                : valueCollationName(p->aInfo[c].eColl);
  return p->aColumn[c].collation == NULL ? SQLITE_NOMEM : SQLITE_OK;
}

/*
** Takes the type away from the ANY columns of a table that is STRICT.
*/
static int columnsStrict(SourceWork *p) {
  sqlite3_stmt *pStmt;
  int c = 0, bStrict = 0;
  int rc = SQLITE_OK;
  while (c < p->pub.def.ncolumns && !typeIsAny(p->aColumn[c].type)) c++;
  if (c == p->pub.def.ncolumns) return SQLITE_OK;
  rc = sourcePrepare(p, &pStmt, "PRAGMA \"%w\".table_list(\"%w\")", p->zSchema, p->zName);
  if (rc == SQLITE_OK) rc = sqlite3_step(pStmt);
  if (rc == SQLITE_ROW) bStrict = sqlite3_column_int(pStmt, 5);
  rc = sourceFinish(p, pStmt, rc);
  for (; rc == SQLITE_OK && bStrict && c < p->pub.def.ncolumns; c++) {
    if (typeIsAny(p->aColumn[c].type)) p->aColumn[c].type = NULL;
  }
  return rc;
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
    const char *zName = sourceText(pStmt, 1);
    const char *zType;
    SourceColumn info = {.cid = sqlite3_column_int(pStmt, 0),
                         .eColl = MMAPSYNC_BINARY,
                         .bNotNull = sqlite3_column_int(pStmt, 3)};
    for (i = 0; i < 3; i++) {
      if (sqlite3_stricmp(zName, azSourceRowid[i]) == 0) p->mShadow |= 1u << i;
    }
    rc = SQLITE_OK;
    if (sqlite3_column_int(pStmt, 6) == 1) continue; /* hidden: an argument of a virtual table */
    if (sqlite3_column_int(pStmt, 5) > 0) {
      p->nPk++;
      p->iPk = p->pub.def.ncolumns;
    }
    zType = sourceText(pStmt, 2);
    info.bProbe =
        bView && (zType[0] == '\0' || typeIsAny(zType)) && sqlite3_libversion_number() < 3041000;
    rc = sourceAddColumn(p, zName, zType, &info);
    /* Only tables enforce what they declare, and columns that are computed when they are read need not keep it. */
    if (rc == SQLITE_OK && p->eKind == SOURCE_TABLE && info.bNotNull &&
        sqlite3_column_int(pStmt, 6) != 2) {
      p->aColumn[p->pub.def.ncolumns - 1].flags = MMAPSYNC_COLUMN_NOTNULL;
    }
  }
  rc = sourceFinish(p, pStmt, rc);
  if (rc == SQLITE_OK && p->pub.def.ncolumns == 0) {
    rc = sourceError(p, SQLITE_ERROR, "\"%s\" has no columns", p->zName);
  }
  for (c = 0; rc == SQLITE_OK && !bView && c < p->pub.def.ncolumns; c++) rc = columnCollation(p, c);
  if (rc == SQLITE_OK && p->eKind == SOURCE_TABLE) rc = columnsStrict(p);
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
    if (!p->aInfo[i].bProbe) continue;
    if (m == 0) p->aColumn[i].type = NULL;
    if (m == 2) p->aColumn[i].type = "TEXT";
    if (m == 3 && p->aColumn[i].type == NULL) p->aColumn[i].type = "NUM"; /* ANY says it too */
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
      p->aColumn[c].collation = valueCollationName(p->aInfo[c].eColl);
    } else {
      rc = sourceSkip(p, "collation of column \"%s\" of \"%s\": not binary, nocase or rtrim",
                      p->aColumn[c].name, p->zName);
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
        sqlite3_str_appendf(pSql, " COLLATE %s", valueCollationName(pKey->parts[i].collation));
      }
      if (pKey->parts[i].desc) sqlite3_str_appendall(pSql, " DESC");
    }
  }
  p->pub.zSelect = sqlite3_str_finish(pSql);
  return zPrefix == NULL || p->pub.zSelect == NULL ? SQLITE_NOMEM : SQLITE_OK;
}

int sourceOpen(Registry *pRegistry, const char *zSpec, Source **ppSource, char **pzErr) {
  const char *zClauses;
  int rc = SQLITE_NOMEM;
  SourceWork *p = sqlite3_malloc64(sizeof(*p));
  *ppSource = NULL;
  if (p == NULL) return SQLITE_NOMEM;
  memset(p, 0, sizeof(*p));
  p->pRegistry = pRegistry;
  p->db = registryDb(pRegistry);
  p->iOrdered = -1;
  p->pub.def.rowid = -1;
  p->zSpec = sourcePrint(p, "%s", zSpec);
  if (p->zSpec != NULL) rc = registryUtf16(pRegistry, &p->bUtf16);
  if (rc == SQLITE_OK) rc = sourceResolve(p, &zClauses);
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
