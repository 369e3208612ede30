/*
** vtab.c - CREATE VIRTUAL TABLE t USING mmapsync(path [, table]).
**
** A table over a channel: read only, always the newest snapshot.  What is declared to SQLite when the
** table is created or connected (column names, types, collations, perhaps WITHOUT ROWID) stays for as
** long as the table is connected; what is read is whatever snapshot a statement pins.  The two meet in
** vtabMatch(), which finds each declared column in the snapshot by its name.  It runs once for each
** snapshot, not for each cursor: Channel.iImage tells whether the match still holds.
**
** SNAPSHOTS.  xOpen takes a pin on the channel and xClose gives it back (channel.c counts).  SQLite
** opens all cursors of a query before it reads, and where a subquery is opened again for each row the new
** cursor is open before the old one is closed.  So while a query runs the count stays above zero: all its
** cursors, over all tables of the channel, read one snapshot, and text handed out in place is good for just
** as long.
**
** What a trigger reads is not part of that.  (Only TEMP triggers may read these tables.)  Its program opens
** its own cursors each time it fires and closes them when it is done, so two firings of one statement may
** see two snapshots, unless the statement itself, or another of the connection, has a cursor on the channel,
** or mmapsync_pin() holds one.  Nothing tells the module that the statement around goes on.
**
** A SNAPSHOT OF ANOTHER SHAPE.  A column that is gone, or holds NULL though it was declared NOT NULL, is an error for
** statements that use it, and for no others: colUsed travels in the plan.  New columns stay invisible until the table is created again.
** Keys may come and go: a plan names columns, and xFilter finds a key of the pinned snapshot for them, or scans; an
** order that was promised it makes by sorting, if it must.  Only a WITHOUT ROWID table is held to what it declared:
** its primary key told the planner that rows are unique and not NULL, and that cannot be taken back.
**
** CURSORS that are closed are kept for the next xOpen: with the rows and values they have room for they are
** large, and a lookup is quick.
**
** VALUES.  A cursor has row numbers at hand (vtabwalk.c).  Where there are several, xColumn finds where the
** values of its column stand for CURSOR_COLUMN of them, when it is first asked for one of these, or gets all these
** values at once where they stand apart.
**
** FILES.  vtab.h says what each is for.
*/
#include "vtab.h"

#include <assert.h>
#include <string.h>

#include "always.h"
#include "shared.h"
#include "vector.h"

#define RUN_BYTES                                                                                  \
  64 /* of a run, for each row that is wanted, at most: then no line of memory is passed over */

/* ---- errors ----------------------------------------------------------------------------------- */

int vtabError(VtabTable *p, int rc, char *zErr) {
  sqlite3_free(p->base.zErrMsg);
  p->base.zErrMsg = zErr;
  return zErr == NULL ? SQLITE_NOMEM : rc;
}

int vtabFail(VtabTable *p, int rcCore) {
  return vtabError(p, channelRc(rcCore),
                   sqlite3_mprintf("\"%s\": damaged table image: table \"%s\" leads outside it",
                                   mmapsync_path(p->pChannel->h), p->zTable));
}

int vtabMissing(VtabTable *p, sqlite3_uint64 mUsed) {
  const sqlite3_uint64 m = mUsed & p->mMissing;
  int i = 0;
  assert(m != 0);
  while (i < 63 && (m >> i & 1) == 0) i++;
  if ((p->mNull >> i & 1) == 0) return vtabGone(p, i);
  while (!p->aCol[i].bNotNull || p->aMap[i] < 0 ||
         mmapsync_column_about(p->pTab, p->aMap[i])->nulls == 0) {
    i++; /* the last bit stands for several */
  }
  return vtabError(p, SQLITE_ERROR,
                   sqlite3_mprintf("\"%s\": table \"%s\": column \"%s\" was declared NOT NULL, and "
                                   "holds NULL now: create the table again",
                                   mmapsync_path(p->pChannel->h), p->zTable, p->aCol[i].zName));
}

int vtabGone(VtabTable *p, int iCol) {
  return vtabError(p, SQLITE_ERROR,
                   sqlite3_mprintf("\"%s\": table \"%s\" has no column \"%s\" any more",
                                   mmapsync_path(p->pChannel->h), p->zTable, p->aCol[iCol].zName));
}

/* ---- cursors ---------------------------------------------------------------------------------- */

static int vtabOpen(sqlite3_vtab *pVtab, sqlite3_vtab_cursor **ppCursor) {
  VtabTable *p = (VtabTable *)pVtab;
  char *zErr = NULL;
  VtabCursor *pCur = NULL;
  int rc = channelPin(p->pChannel, 1, &zErr);
  if (rc != SQLITE_OK) return vtabError(p, rc, zErr);
  if (p->iImage != p->pChannel->iImage) rc = vtabMatch(p);
  if (rc == SQLITE_OK) {
    pCur = p->pFree;
    if (pCur != NULL) {
      p->pFree = pCur->pNext;
    } else {
      const size_t nBlock = sizeof(*pCur->aBlock) * (size_t)p->nCol;
      pCur = sqlite3_malloc64(sizeof(*pCur) + nBlock);
      if (pCur == NULL) {
        rc = SQLITE_NOMEM;
      } else {
        memset(pCur, 0, sizeof(*pCur) + nBlock);
        cursorReset(pCur); /* no block is of iFill, nor of what follows */
      }
    }
  }
  if (rc == SQLITE_OK) {
    pCur->eInner = -1;
    *ppCursor = &pCur->base;
  } else {
    channelUnpin(p->pChannel);
  }
  return rc;
}

static int vtabClose(sqlite3_vtab_cursor *pCursor) {
  VtabCursor *pCur = (VtabCursor *)pCursor;
  VtabTable *p = (VtabTable *)pCursor->pVtab;
  cursorReset(pCur);
  pCur->pNext = p->pFree;
  p->pFree = pCur;
  channelUnpin(p->pChannel);
  return SQLITE_OK;
}

static int vtabEof(sqlite3_vtab_cursor *pCursor) { return ((const VtabCursor *)pCursor)->bEof; }

/* ---- values ----------------------------------------------------------------------------------- */

/*
** What hands out the current row's value, from where the block of its column says.  A scan of all columns is mostly
** this, so there is a function for each kind, as short as it can be.
*/
#define COLUMN_INT(name, word)                                                                     \
  static int name(VtabCursor *pCur, sqlite3_context *pCtx, const ColumnBlock *p) {                 \
    word x = *(const word *)(p->data + sizeof(word) * pCur->row);                                  \
    sqlite3_result_int64(pCtx, (sqlite3_int64)((sqlite3_uint64)p->base + x));                      \
    return SQLITE_OK;                                                                              \
  }
COLUMN_INT(columnInt8, uint8_t)
COLUMN_INT(columnInt16, uint16_t)
COLUMN_INT(columnInt32, uint32_t)
COLUMN_INT(columnInt64, uint64_t)

static int columnSequence(VtabCursor *pCur, sqlite3_context *pCtx, const ColumnBlock *p) {
  sqlite3_result_int64(pCtx, (sqlite3_int64)((sqlite3_uint64)p->base + pCur->row));
  return SQLITE_OK;
}

static int columnReal(VtabCursor *pCur, sqlite3_context *pCtx, const ColumnBlock *p) {
  sqlite3_result_double(pCtx, *(const double *)(p->data + sizeof(double) * pCur->row));
  return SQLITE_OK;
}

static __attribute__((noinline)) int columnDamaged(VtabCursor *pCur) {
  return vtabFail((VtabTable *)pCur->base.pVtab, MMAPSYNC_CORRUPT);
}

/*
** The text between two offsets into the heap, less its NUL.
*/
static inline int columnText(VtabCursor *pCur, sqlite3_context *pCtx, const ColumnBlock *p,
                             sqlite3_uint64 from, sqlite3_uint64 to) {
  const char *z = p->heap + from;
  if (__builtin_expect(from >= to || to > p->heap_bytes, 0)) return columnDamaged(pCur);
  valueText(pCtx, z, (uint32_t)(to - from - 1), p->bEnds);
  return SQLITE_OK;
}

#define COLUMN_TEXT(name, word)                                                                    \
  static int name(VtabCursor *pCur, sqlite3_context *pCtx, const ColumnBlock *p) {                 \
    const word *at = (const word *)(p->data + sizeof(word) * pCur->row);                           \
    return columnText(pCur, pCtx, p, SHARED_LOAD(at), SHARED_LOAD(at + 1));                        \
  }
COLUMN_TEXT(columnText16, uint16_t)
COLUMN_TEXT(columnText32, uint32_t)

#define COLUMN_DICT(name, word)                                                                    \
  static int name(VtabCursor *pCur, sqlite3_context *pCtx, const ColumnBlock *p) {                 \
    word x = SHARED_LOAD((const word *)(p->data + sizeof(word) * pCur->row));                      \
    if (__builtin_expect(x >= p->base, 0)) return columnDamaged(pCur);                             \
    return columnText(pCur, pCtx, p, SHARED_LOAD(p->aux + x), SHARED_LOAD(p->aux + x + 1));        \
  }
COLUMN_DICT(columnDict8, uint8_t)
COLUMN_DICT(columnDict16, uint16_t)

/*
** One that is none of these, in place.
*/
static int columnOther(VtabCursor *pCur, sqlite3_context *pCtx, const ColumnBlock *p) {
  VtabTable *pTab = (VtabTable *)pCur->base.pVtab;
  mmapsync_value v;
  int rc = mmapsync_get(pTab->pTab, pCur->row, p->iColumn, &v);
  if (rc != MMAPSYNC_OK) return vtabFail(pTab, rc);
  valueResult(pCtx, &v, p->bEnds);
  return SQLITE_OK;
}

/*
** Where some are NULL, which is what SQLite has if it is given nothing.
*/
static int columnNullable(VtabCursor *pCur, sqlite3_context *pCtx, const ColumnBlock *p) {
  const uint8_t *pBits = (const uint8_t *)(p->null_bits + pCur->row / 8);
  if ((*pBits >> (pCur->row & 7) & 1) != 0) return SQLITE_OK;
  return p->xValue(pCur, pCtx, p);
}

int columnPoint(VtabCursor *pCur, sqlite3_context *pCtx, const ColumnBlock *p) {
  (void)pCur;
  valueResult(pCtx, &p->point, p->bEnds);
  return SQLITE_OK;
}

static int columnCopied(VtabCursor *pCur, sqlite3_context *pCtx, const ColumnBlock *p) {
  valueResult(pCtx, &p->aValue[pCur->iRow % CURSOR_COLUMN], p->bEnds);
  return SQLITE_OK;
}

/*
** Makes a column's block point to the run of the n rows from aRow[from] on, if they are in one and stand close
** together: where they do not, getting many values at once makes the waits for memory overlap.
*/
static int columnRun(const VtabTable *p, const VtabCursor *pCur, ColumnBlock *pBlock,
                     unsigned int n) {
  static const struct {
    int (*xGet)(VtabCursor *, sqlite3_context *, const ColumnBlock *);
    unsigned int width; /* bytes of an element */
    unsigned int
        apart; /* bytes from one to the next, about: of the bitmap alone, or of a short text, too */
  } aKind[] = {
      [MMAPSYNC_RUN_NONE] = {columnOther, 0, 4},
      [MMAPSYNC_RUN_INT8] = {columnInt8, 1, 1},
      [MMAPSYNC_RUN_INT16] = {columnInt16, 2, 2},
      [MMAPSYNC_RUN_INT32] = {columnInt32, 4, 4},
      [MMAPSYNC_RUN_INT64] = {columnInt64, 8, 8},
      [MMAPSYNC_RUN_SEQUENCE] = {columnSequence, 0, 0},
      [MMAPSYNC_RUN_REAL] = {columnReal, 8, 8},
      [MMAPSYNC_RUN_TEXT16] = {columnText16, 2, 16},
      [MMAPSYNC_RUN_TEXT32] = {columnText32, 4, 16},
      [MMAPSYNC_RUN_DICT8] = {columnDict8, 1, 1},
      [MMAPSYNC_RUN_DICT16] = {columnDict16, 2, 2},
  };
  mmapsync_run run;
  int rc = mmapsync_run_of(p->pTab, pCur->spanLo, pBlock->iColumn, &run);
  if (NEVER(rc != MMAPSYNC_OK) || /* row and column were looked up in the table */
      pCur->spanHi - run.row >= run.rows ||
      (run.kind == MMAPSYNC_RUN_NONE && run.null_bits == NULL) ||
      (pCur->spanHi - pCur->spanLo) * aKind[run.kind].apart > RUN_BYTES * n) {
    return 0;
  }
  pBlock->data = (uintptr_t)run.data - aKind[run.kind].width * run.row;
  pBlock->base = run.base;
  if (run.kind == MMAPSYNC_RUN_SEQUENCE) {
    pBlock->base = (sqlite3_int64)((sqlite3_uint64)run.base - run.row);
  }
  pBlock->aux = run.aux;
  pBlock->heap = run.heap;
  pBlock->heap_bytes = run.heap_bytes;
  pBlock->xGet = pBlock->xValue = aKind[run.kind].xGet;
  if (run.null_bits != NULL) {
    pBlock->null_bits =
        (uintptr_t)run.null_bits - run.row / 8; /* a run starts at a multiple of 64 */
    pBlock->xGet = columnNullable;
  }
  return 1;
}

/*
** Which rows are the first and the last of n, if that is not known.
*/
VECTOR_LOOPS static void cursorSpan(VtabCursor *pCur, const unsigned int *aRow, unsigned int n) {
  unsigned int i, lo = aRow[0], hi = aRow[0];
  if (pCur->iSpan == pCur->iFill) return;
  for (i = 1; i < n; i++) {
    lo = aRow[i] < lo ? aRow[i] : lo;
    hi = aRow[i] > hi ? aRow[i] : hi;
  }
  pCur->spanLo = lo;
  pCur->spanHi = hi;
  pCur->iSpan = pCur->iFill;
}

/*
** Hands out a value that is not at hand, where the cursor has several rows: those of the rows around this one are got
** with it.  (If one of these is damaged that is not told: it may be none that is asked for.)
*/
static __attribute__((noinline)) int columnGetMany(VtabCursor *pCur, sqlite3_context *pCtx,
                                                   ColumnBlock *pBlock) {
  VtabTable *p = (VtabTable *)pCur->base.pVtab;
  const unsigned int from = pCur->iRow - pCur->iRow % CURSOR_COLUMN;
  const unsigned int n = pCur->nRow - from < CURSOR_COLUMN ? pCur->nRow - from : CURSOR_COLUMN;
  pBlock->iFill = 0;
  pBlock->bEnds = valueEnds(mmapsync_column_about(p->pTab, pBlock->iColumn)->flags);
  cursorSpan(pCur, pCur->aRow + from, n);
  if (columnRun(p, pCur, pBlock, n)) {
    pBlock->iFill = pCur->iFill;
    return pBlock->xGet(pCur, pCtx, pBlock);
  }
  if (pBlock->aValue == NULL) {
    pBlock->aValue = sqlite3_malloc64(CURSOR_COLUMN * sizeof(*pBlock->aValue));
    if (pBlock->aValue == NULL) return SQLITE_NOMEM;
  }
  if (mmapsync_get_many(p->pTab, pCur->aRow + from, n, pBlock->iColumn, pBlock->aValue) ==
      MMAPSYNC_OK) {
    pBlock->iFill = pCur->iFill;
    pBlock->xGet = columnCopied;
    return columnCopied(pCur, pCtx, pBlock);
  }
  return columnOther(pCur, pCtx, pBlock);
}

static __attribute__((noinline)) int columnGet(VtabCursor *pCur, sqlite3_context *pCtx, int iCol) {
  VtabTable *p = (VtabTable *)pCur->base.pVtab;
  ColumnBlock *pBlock = &pCur->aBlock[iCol];
  assert(iCol < p->nCol);
  pBlock->iColumn = p->aMap[iCol];
  if (pBlock->iColumn < 0) return vtabGone(p, iCol); /* colUsed has no bit of its own for it */
  if (pCur->nRow > 1) return columnGetMany(pCur, pCtx, pBlock);
  pBlock->bEnds = 0; /* asking takes longer than looking at one text */
  return columnOther(pCur, pCtx, pBlock);
}

static int vtabColumn(sqlite3_vtab_cursor *pCursor, sqlite3_context *pCtx, int iCol) {
  VtabCursor *pCur = (VtabCursor *)pCursor;
  const ColumnBlock *pBlock = &pCur->aBlock[iCol];
  if (pBlock->iFill != pCur->iFill) return columnGet(pCur, pCtx, iCol);
  return pBlock->xGet(pCur, pCtx, pBlock);
}

static int vtabRowid(sqlite3_vtab_cursor *pCursor, sqlite3_int64 *pRowid) {
  VtabCursor *pCur = (VtabCursor *)pCursor;
  VtabTable *p = (VtabTable *)pCursor->pVtab;
  mmapsync_value v;
  int rc;
  pCur->bRowid = 1;
  if (p->pInfo->rowid < 0) {
    *pRowid = (sqlite3_int64)pCur->row + 1;
    return SQLITE_OK;
  }
  rc = mmapsync_get(p->pTab, pCur->row, p->pInfo->rowid, &v);
  if (rc != MMAPSYNC_OK) return vtabFail(p, rc);
  if (v.type != MMAPSYNC_INTEGER) {
    return vtabError(
        p, SQLITE_CORRUPT_VTAB,
        sqlite3_mprintf("\"%s\": table \"%s\": expected an integer as the rowid of row "
                        "%lld, found none",
                        mmapsync_path(p->pChannel->h), p->zTable, (sqlite3_int64)pCur->row));
  }
  *pRowid = v.u.i;
  return SQLITE_OK;
}

/*
** ALTER TABLE RENAME.  A table that has its name in the channel from its own would look for another one
** after the next connect.
*/
static int vtabRename(sqlite3_vtab *pVtab, const char *zNew) {
  VtabTable *p = (VtabTable *)pVtab;
  if (p->bNamed || sqlite3_stricmp(zNew, p->zTable) == 0) return SQLITE_OK;
  return vtabError(p, SQLITE_ERROR,
                   sqlite3_mprintf("cannot rename to \"%s\": expected a table made USING "
                                   "mmapsync(path, table), found mmapsync(path)",
                                   zNew));
}

int vtabRegister(sqlite3 *db, Registry *p) {
  /* Headers of SQLite before 3.44 do not have its last method, and it stands behind those that they have.  A host
  ** that does not know it does not look there. */
  static const struct {
    sqlite3_module module;
    int (*xIntegrity)(sqlite3_vtab *, const char *, const char *, int, char **);
  } newest = {
#if SQLITE_VERSION_NUMBER < 3044000
    .xIntegrity = vtabIntegrity,
#else
    .module.xIntegrity = vtabIntegrity,
#endif
    .module.iVersion = 4,
    .module.xCreate = vtabCreate,
    .module.xConnect = vtabConnect,
    .module.xBestIndex = vtabBestIndex,
    .module.xDisconnect = vtabDisconnect,
    .module.xDestroy = vtabDisconnect,
    .module.xOpen = vtabOpen,
    .module.xClose = vtabClose,
    .module.xFilter = vtabFilter,
    .module.xNext = vtabNext,
    .module.xEof = vtabEof,
    .module.xColumn = vtabColumn,
    .module.xRowid = vtabRowid,
    .module.xRename = vtabRename,
  };
  registryRef(p);
  return sqlite3_create_module_v2(db, "mmapsync", &newest.module, p, registryUnref);
}
