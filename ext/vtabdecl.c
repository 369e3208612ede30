/*
** vtabdecl.c - a table of a channel, declared to SQLite as a virtual table.
**
** CREATE VIRTUAL TABLE and every later connection that opens the schema come here.  The channel is
** pinned while its newest snapshot is asked for the table; then SQLite is told its columns: their
** names, declared types and collations, so that they have the affinity and the order they have in the
** source.  A table whose source says WITHOUT ROWID is declared so, with its primary key, and thus has
** no rowid here either (SQLite allows it for any key because nothing can be written).
**
** NOT NULL is declared for the columns that the image says it of.  SQLite then leaves out what no row could change:
** `x IS NULL` is false without a look at the table.  So a snapshot in which such a column holds NULL is an error for
** all statements that use the column, when they are prepared and when they run.  A statement that SQLite prepared
** before, and found to give no rows whatever the table holds, opens no cursor and so cannot be told.
**
** What was declared is kept in VtabTable, by name, and vtabMatch() finds it again in each snapshot that
** is read later.  A WITHOUT ROWID table is held to its key: the planner was told that rows are unique
** and not NULL in it, and that cannot be taken back.
*/
#include "vtab.h"

#include <assert.h>
#include <string.h>

#include "always.h"

/* ---- what is declared ------------------------------------------------------------------------- */

/*
** The text of an argument, without its quotes.  sqlite3_malloc.
*/
static char *argDequote(const char *z) {
  size_t n = strlen(z);
  char *zOut = sqlite3_malloc64(n + 1);
  char cEnd = z[0] == '[' ? ']' : z[0];
  size_t i, j = 0;
  if (zOut == NULL) return NULL;
  if (n < 2 || strchr("'\"`[", z[0]) == NULL || z[n - 1] != cEnd) {
    memcpy(zOut, z, n + 1);
    return zOut;
  }
  for (i = 1; i < n - 1; i++) {
    if (z[i] == cEnd && cEnd != ']' && z[i + 1] == cEnd && i + 1 < n - 1) i++;
    zOut[j++] = z[i];
  }
  zOut[j] = '\0';
  return zOut;
}

/*
** The end of a number in the brackets of a declared type: spaces, at most one sign, digits, spaces.  NULL:
** there is none.
*/
static const char *typeNumber(const char *z) {
  z += strspn(z, " ");
  if (*z == '+' || *z == '-') z++;
  if (*z < '0' || *z > '9') return NULL;
  z += strspn(z, "0123456789");
  return z + strspn(z, " ");
}

/*
** True if a declared type can stand in the declaration just as it is: words that are no keywords, then
** perhaps (n) or (n,m).
*/
static int typeIsPlain(const char *zType) {
  const char *z = zType;
  int nWord = 0;
  while (*z != '\0' && *z != '(') {
    int n = 0;
    if (*z == ' ') {
      z++;
      continue;
    }
    while ((z[n] & 0x80) != 0 || z[n] == '_' || (z[n] >= '0' && z[n] <= '9') ||
           (z[n] >= 'a' && z[n] <= 'z') || (z[n] >= 'A' && z[n] <= 'Z')) {
      n++;
    }
    if (n == 0 || (z[0] >= '0' && z[0] <= '9') || sqlite3_keyword_check(z, n)) return 0;
    if (n == 6 && sqlite3_strnicmp(z, "hidden", 6) == 0) return 0;
    z += n;
    nWord++;
  }
  if (*z == '(') {
    if (nWord == 0 || (z = typeNumber(z + 1)) == NULL) return 0;
    if (*z == ',' && (z = typeNumber(z + 1)) == NULL) return 0;
    if (*z != ')') return 0;
    z++;
  }
  return z[strspn(z, " ")] == '\0';
}

/*
** Adds a declared type.  One that is not plain is quoted as an identifier, which keeps its affinity:
** SQLite looks for "INT" and the like anywhere in the text.  In a virtual table the word "hidden" in a
** type hides the column, quoted or not, so there it gets company.
*/
static void declareType(sqlite3_str *pSql, const char *zType) {
  if (zType[0] == '\0') return;
  if (typeIsPlain(zType)) {
    sqlite3_str_appendf(pSql, " %s", zType);
  } else {
    int hidden = sqlite3_strlike("%hidden%", zType, 0) == 0;
    const char *z;
    sqlite3_str_appendall(pSql, hidden ? " \"_" : " \"");
    for (z = zType; *z != '\0'; z++) {
      if (*z == '"') sqlite3_str_appendchar(pSql, 1, '"');
      sqlite3_str_appendchar(pSql, 1, hidden && *z == ' ' ? '_' : *z);
    }
    sqlite3_str_appendchar(pSql, 1, '"');
  }
}

/*
** How many columns are shown.  Hidden ones come last.
*/
static int tableShown(const mmapsync_table *pTab) {
  int nAll = mmapsync_table_about(pTab)->ncolumns;
  int n = 0;
  while (n < nAll && (mmapsync_column_about(pTab, n)->flags & MMAPSYNC_COLUMN_HIDDEN) == 0) n++;
  return n;
}

/*
** The primary key of a table whose source says WITHOUT ROWID, or -1.  (In an image that lies a column may come behind
** the hidden ones; it is not declared.)
*/
static int tablePrimary(const mmapsync_table *pTab) {
  const unsigned mPromise = MMAPSYNC_KEY_PRIMARY | MMAPSYNC_KEY_UNIQUE | MMAPSYNC_KEY_NOTNULL;
  const mmapsync_table_info *pInfo = mmapsync_table_about(pTab);
  int k, i;
  if ((pInfo->flags & MMAPSYNC_TABLE_WITHOUT_ROWID) == 0) return -1;
  for (k = 0; k < pInfo->nkeys; k++) {
    const mmapsync_key_info *pKey = mmapsync_key_about(pTab, k);
    if ((pKey->flags & mPromise) != mPromise) continue;
    for (i = 0; i < pKey->nparts; i++) {
      if (pKey->parts[i].column >= tableShown(pTab)) break;
    }
    if (i == pKey->nparts) return k;
  }
  return -1;
}

static int columnNotNull(const mmapsync_column_info *pCol) {
  return (pCol->flags & MMAPSYNC_COLUMN_NOTNULL) != 0 && pCol->nulls == 0;
}

/*
** The CREATE TABLE that tells SQLite the columns.  A primary key is declared for WITHOUT ROWID only:
** "INTEGER PRIMARY KEY" would make a column of a rowid table vanish into xRowid.  sqlite3_malloc, or
** NULL: out of memory.
*/
static char *tableDeclaration(sqlite3 *db, const mmapsync_table *pTab) {
  sqlite3_str *pSql = sqlite3_str_new(db);
  int iPk = tablePrimary(pTab);
  int nCol = tableShown(pTab);
  int i;
  for (i = 0; i < nCol; i++) {
    const mmapsync_column_info *pCol = mmapsync_column_about(pTab, i);
    sqlite3_str_appendf(pSql, "%s\"%w\"", i == 0 ? "CREATE TABLE x(" : ", ", pCol->name);
    declareType(pSql, pCol->type);
    if (columnNotNull(pCol)) sqlite3_str_appendall(pSql, " NOT NULL");
    if (sqlite3_stricmp(pCol->collation, "BINARY") != 0) {
      sqlite3_str_appendf(pSql, " COLLATE \"%w\"", pCol->collation);
    }
  }
  if (iPk >= 0) {
    const mmapsync_key_info *pKey = mmapsync_key_about(pTab, iPk);
    for (i = 0; i < pKey->nparts; i++) {
      sqlite3_str_appendf(pSql, "%s\"%w\" COLLATE %s", i == 0 ? ", PRIMARY KEY(" : ", ",
                          mmapsync_column_about(pTab, pKey->parts[i].column)->name,
                          valueCollationName(pKey->parts[i].collation));
    }
    sqlite3_str_appendall(pSql, ")) WITHOUT ROWID");
  } else {
    sqlite3_str_appendall(pSql, ")");
  }
  return sqlite3_str_finish(pSql);
}

char *vtabNoTable(Channel *pChannel, const char *zWant) {
  enum { kMost = 20 };
  sqlite3_str *pStr = sqlite3_str_new(registryDb(pChannel->pRegistry));
  int n = mmapsync_table_count(pChannel->pImage);
  int i;
  char zClip[CLIP_MOST + 4];
  sqlite3_str_appendf(pStr, "\"%s\": no table \"%s\": it holds ", mmapsync_path(pChannel->h),
                      valueClip(zClip, zWant, CLIP_MOST));
  if (n == 0) sqlite3_str_appendall(pStr, "no tables");
  for (i = 0; i < n && i < kMost; i++) {
    const mmapsync_table *pTab = mmapsync_table_at(pChannel->pImage, i);
    sqlite3_str_appendf(pStr, "%s\"%s\"", i == 0 ? "" : ", ", mmapsync_table_about(pTab)->name);
  }
  if (n > kMost) sqlite3_str_appendf(pStr, " and %d more", n - kMost);
  return sqlite3_str_finish(pStr);
}

/*
** The table that the arguments mean: the one named; or else the one of the virtual table's own name;
** or else the only one.  The channel is pinned.
*/
static const mmapsync_table *tableChoose(Channel *pChannel, const char *zArg, const char *zSelf,
                                         char **pzErr) {
  const char *zWant = zArg != NULL ? zArg : zSelf;
  const mmapsync_table *pTab = mmapsync_table_find(pChannel->pImage, zWant);
  if (pTab == NULL && zArg == NULL && mmapsync_table_count(pChannel->pImage) == 1) {
    pTab = mmapsync_table_at(pChannel->pImage, 0);
  }
  if (pTab == NULL) *pzErr = vtabNoTable(pChannel, zWant);
  return pTab;
}

/*
** What comes of a sentence that was just made.
*/
static int declError(int rc, const char *zErr) { return zErr == NULL ? SQLITE_NOMEM : rc; }

/* ---- connecting ------------------------------------------------------------------------------- */

int vtabDisconnect(sqlite3_vtab *pVtab) {
  VtabTable *p = (VtabTable *)pVtab;
  VtabTable **pp = registryTables(p->pRegistry);
  int i;
  while (*pp != NULL && *pp != p) pp = &(*pp)->pNext;
  if (*pp != NULL) *pp = p->pNext;
  while (p->pFree != NULL) {
    VtabCursor *pCur = p->pFree;
    p->pFree = pCur->pNext;
    cursorFree(pCur);
  }
  for (i = 0; i < p->nCol; i++) sqlite3_free(p->aCol[i].zName);
  sqlite3_free(p->aCol);
  sqlite3_free(p->aPk);
  sqlite3_free(p->aMap);
  sqlite3_free(p->zTable);
  sqlite3_free(p->zSchema);
  sqlite3_free(p->zSelf);
  sqlite3_free(p->zDecl);
  registryUnref(p->pRegistry);
  sqlite3_free(p);
  return SQLITE_OK;
}

/*
** Keeps what is declared: names and affinities of columns, the primary key.
*/
static int tableKeep(VtabTable *p, const mmapsync_table *pTab) {
  int iPk = tablePrimary(pTab);
  int nCol = tableShown(pTab);
  int i;
  p->zTable = sqlite3_mprintf("%s", mmapsync_table_about(pTab)->name);
  p->aCol = sqlite3_malloc64(sizeof(*p->aCol) * (size_t)nCol);
  p->aMap = sqlite3_malloc64(sizeof(*p->aMap) * (size_t)nCol);
  if (p->zTable == NULL || p->aCol == NULL || p->aMap == NULL) return SQLITE_NOMEM;
  memset(p->aCol, 0, sizeof(*p->aCol) * (size_t)nCol);
  p->nCol = nCol;
  for (i = 0; i < nCol; i++) {
    const mmapsync_column_info *pCol = mmapsync_column_about(pTab, i);
    p->aCol[i].aff = valueAffinity(pCol->type);
    p->aCol[i].eColl = valueCollation(pCol->collation);
    p->aCol[i].bNotNull = (char)columnNotNull(pCol);
    p->aCol[i].zName = sqlite3_mprintf("%s", pCol->name);
    if (p->aCol[i].zName == NULL) return SQLITE_NOMEM;
  }
  if (iPk >= 0) {
    const mmapsync_key_info *pKey = mmapsync_key_about(pTab, iPk);
    p->aPk = sqlite3_malloc64(sizeof(*p->aPk) * (size_t)pKey->nparts);
    if (p->aPk == NULL) return SQLITE_NOMEM;
    p->nPk = pKey->nparts;
    for (i = 0; i < p->nPk; i++) {
      p->aPk[i].iCol = pKey->parts[i].column;
      p->aPk[i].eColl = pKey->parts[i].collation;
    }
  }
  return SQLITE_OK;
}

/*
** Declares pTab to SQLite and makes *pp, a table over it.  azName: its schema and its name.
*/
static int tableConnect(sqlite3 *db, Channel *pChannel, const mmapsync_table *pTab,
                        const char *const *azName, int bNamed, VtabTable **pp, char **pzErr) {
  const char *zTable = mmapsync_table_about(pTab)->name;
  VtabTable *p;
  char *zDecl;
  int rc;
  if (tableShown(pTab) == 0) {
    *pzErr =
        sqlite3_mprintf("\"%s\": table \"%s\" has no columns", mmapsync_path(pChannel->h), zTable);
    return declError(SQLITE_ERROR, *pzErr);
  }
  zDecl = tableDeclaration(db, pTab);
  if (zDecl == NULL) return SQLITE_NOMEM;
  rc = sqlite3_declare_vtab(db, zDecl);
  if (rc != SQLITE_OK) {
    *pzErr = sqlite3_mprintf("\"%s\": table \"%s\": %s", mmapsync_path(pChannel->h), zTable,
                             sqlite3_errmsg(db));
    sqlite3_free(zDecl);
    return declError(rc, *pzErr);
  }
  p = sqlite3_malloc64(sizeof(*p));
  if (p == NULL) {
    sqlite3_free(zDecl);
    return SQLITE_NOMEM;
  }
  memset(p, 0, sizeof(*p));
  p->pRegistry = pChannel->pRegistry;
  registryRef(p->pRegistry);
  p->pChannel = pChannel;
  p->bNamed = bNamed;
  p->zDecl = zDecl;
  p->zSchema = sqlite3_mprintf("%s", azName[0]);
  p->zSelf = sqlite3_mprintf("%s", azName[1]);
  rc = tableKeep(p, pTab);
  if (rc == SQLITE_OK) rc = registryUtf16(p->pRegistry, &p->bUtf16);
  if (p->zSchema == NULL || p->zSelf == NULL) rc = SQLITE_NOMEM;
  if (rc != SQLITE_OK) {
    vtabDisconnect(&p->base);
    return rc;
  }
  p->pNext = *registryTables(p->pRegistry);
  *registryTables(p->pRegistry) = p;
  *pp = p;
  return SQLITE_OK;
}

int vtabConnect(sqlite3 *db, void *pAux, int argc, const char *const *argv, sqlite3_vtab **ppVtab,
                char **pzErr) {
  Registry *pRegistry = pAux;
  Channel *pChannel = NULL;
  VtabTable *pNew = NULL;
  char *zPath = NULL;
  char *zArg = NULL;
  int rc = SQLITE_NOMEM;
  if (argc < 4 || argc > 5) {
    *pzErr = sqlite3_mprintf("expected USING mmapsync(path [, table])");
    return declError(SQLITE_ERROR, *pzErr);
  }
  zPath = argDequote(argv[3]);
  if (argc == 5) zArg = argDequote(argv[4]);
  if (zPath == NULL || (argc == 5 && zArg == NULL)) goto done;
  rc = channelGet(pRegistry, zPath, &pChannel, pzErr);
  if (rc != SQLITE_OK) goto done;
  rc = channelPin(pChannel, 1, pzErr);
  if (rc == SQLITE_OK) {
    const mmapsync_table *pTab = tableChoose(pChannel, zArg, argv[2], pzErr);
    rc = declError(SQLITE_ERROR, *pzErr); /* if there is none */
    if (pTab != NULL) rc = tableConnect(db, pChannel, pTab, argv + 1, zArg != NULL, &pNew, pzErr);
    channelUnpin(pChannel);
  }
  if (rc == SQLITE_OK) {
    /* It opens whatever path the schema names, so a schema that someone else wrote must not get to use
    ** it from views and triggers. */
    rc = sqlite3_vtab_config(db, SQLITE_VTAB_DIRECTONLY);
    if (ALWAYS(rc == SQLITE_OK)) { /* it is xConnect that asks, and the oldest host knows it */
      *ppVtab = &pNew->base;
    } else {
      vtabDisconnect(&pNew->base);
    }
  }
done:
  sqlite3_free(zPath);
  sqlite3_free(zArg);
  return rc;
}

/*
** The same as connecting.  It is another function because SQLite takes a module whose xCreate is its
** xConnect for a table that exists without being created.
*/
int vtabCreate(sqlite3 *db, void *pAux, int argc, const char *const *argv, sqlite3_vtab **ppVtab,
               char **pzErr) {
  return vtabConnect(db, pAux, argc, argv, ppVtab, pzErr);
}

/*
** A table that was dropped may stay connected for as long as a statement that knew it is not finalized, so
** several may have one name: the one connected last is meant.
*/
int vtabKnows(Registry *pRegistry, const char *zSchema, const char *zName,
              const mmapsync_table *pTab, int *pbKnown) {
  sqlite3 *db = registryDb(pRegistry);
  sqlite3_stmt *pStmt = NULL;
  const VtabTable *p;
  char *zDecl;
  int rc;
  char *zSql = sqlite3_mprintf("SELECT 1 FROM \"%w\".\"%w\"", zSchema, zName);
  *pbKnown = 0;
  if (zSql == NULL) return SQLITE_NOMEM;
  rc = sqlite3_prepare_v2(db, zSql, -1, &pStmt, NULL);
  sqlite3_finalize(pStmt);
  sqlite3_free(zSql);
  if (rc != SQLITE_OK) return rc == SQLITE_NOMEM ? rc : SQLITE_OK;
  p = *registryTables(pRegistry);
  while (p != NULL &&
         (sqlite3_stricmp(p->zSchema, zSchema) != 0 || sqlite3_stricmp(p->zSelf, zName) != 0)) {
    p = p->pNext;
  }
  if (p == NULL) return SQLITE_OK;
  if (pTab == NULL) {
    *pbKnown = 1;
    return SQLITE_OK;
  }
  zDecl = tableDeclaration(db, pTab);
  if (zDecl == NULL) return SQLITE_NOMEM;
  *pbKnown = strcmp(p->zDecl, zDecl) == 0;
  sqlite3_free(zDecl);
  return SQLITE_OK;
}

/* ---- declared columns and the snapshot's ------------------------------------------------------ */

/*
** True if the snapshot keeps what a WITHOUT ROWID declaration promised.
*/
static int matchPrimary(const VtabTable *p, const mmapsync_table *pTab) {
  int iPk = tablePrimary(pTab);
  const mmapsync_key_info *pKey;
  int i;
  if (iPk < 0) return 0;
  pKey = mmapsync_key_about(pTab, iPk);
  if (pKey->nparts != p->nPk) return 0;
  for (i = 0; i < p->nPk; i++) {
    if (p->aMap[p->aPk[i].iCol] != pKey->parts[i].column) return 0;
    if (p->aPk[i].eColl != pKey->parts[i].collation) return 0;
  }
  return 1;
}

/*
** Matches the declared columns with the snapshot that is pinned, unless that was done before.
*/
int vtabMatch(VtabTable *p) {
  const mmapsync_table *pTab;
  const char *zPath = mmapsync_path(p->pChannel->h);
  int i;
  assert(p->pChannel->nPin > 0 && p->pChannel->pImage != NULL);
  if (p->iImage == p->pChannel->iImage) return SQLITE_OK;
  p->iImage = 0;
  pTab = mmapsync_table_find(p->pChannel->pImage, p->zTable);
  if (pTab == NULL) {
    return vtabError(p, SQLITE_ERROR,
                     sqlite3_mprintf("\"%s\": no table \"%s\" any more", zPath, p->zTable));
  }
  p->pTab = pTab;
  p->pInfo = mmapsync_table_about(pTab);
  p->mMissing = p->mNull = 0;
  for (i = 0; i < p->nCol; i++) {
    int c = mmapsync_column_find(pTab, p->aCol[i].zName);
    if (c >= 0 && (mmapsync_column_about(pTab, c)->flags & MMAPSYNC_COLUMN_HIDDEN) != 0) c = -1;
    if (c < 0 && i < 63) p->mMissing |= (sqlite3_uint64)1 << i;
    p->aMap[i] = c;
    if (c >= 0 && p->aCol[i].bNotNull && mmapsync_column_about(pTab, c)->nulls > 0) {
      p->mNull |= (sqlite3_uint64)1 << (i < 63 ? i : 63);
    }
  }
  p->mMissing |= p->mNull;
  if (p->nPk > 0 && !matchPrimary(p, pTab)) {
    return vtabError(
        p, SQLITE_ERROR,
        sqlite3_mprintf("\"%s\": table \"%s\" is not WITHOUT ROWID with the same primary "
                        "key any more: create the virtual table again",
                        zPath, p->zTable));
  }
  p->iImage = p->pChannel->iImage;
  return SQLITE_OK;
}
