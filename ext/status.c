/*
** status.c - mmapsync_status(path), mmapsync_tables(path), mmapsync_columns(path), mmapsync_readers(path).
**
** Four table-valued functions that tell what is in a channel, and who reads it.  One implementation serves
** them all: a StatusKind says which columns a function has, how many rows it gives, and how to make one
** value.  To SQLite each is an eponymous virtual table whose last column, hidden, is the path.
**
** A cursor pins each channel whose snapshot it is asked about, and keeps the pins until it is closed, so that
** all rows of a statement speak of one snapshot, that of the tables it may be joined with.  Readers are looked
** at once for each channel, before the pin: the question itself is not among those who hold a snapshot.
** Other cursors of this connection on the channel are, those of the same statement too.
**
** A rowid is the number of the path, as it was written, and the number of the row: with an OR, SQLite tells
** by the rowids which rows it has given already, and they may be of several channels.
**
** They may be used in views, as monitoring wants it, unless the schema is not trusted.
*/
#define _GNU_SOURCE
#include "ext.h"

#include <assert.h>
#include <string.h>
#include <time.h>

/* Of a rowid; no image has so many columns, which take more than a byte each. */
#define STATUS_ROW_BITS 40

/* What a function looks at. */
#define LOOK_READERS    1
#define LOOK_SNAPSHOT   2
#define LOOK_IMAGE      4 /* with the snapshot: table images only */
#define LOOK_PROGRESS   8 /* with the snapshot, or in place of it */

/* Readers for which there is room at first, and how often it is made to fit. */
#define READERS_ROOM    16
#define READERS_TRIES   4

typedef struct StatusCursor StatusCursor;

typedef struct StatusKind {
  const char *zName;  /* of the function */
  const char *zTable; /* its declaration */
  int iPath;          /* the hidden column, the last */
  int mLook;          /* LOOK_... */
  /* Goes to the next row, the first after xFilter; sets pCur->bEof behind the last. */
  void (*xRow)(StatusCursor *pCur);
  void (*xValue)(StatusCursor *pCur, sqlite3_context *pCtx, int iCol);
} StatusKind;

/* A path as it was written; kept for its number. */
typedef struct StatusPath StatusPath;
struct StatusPath {
  StatusPath *pNext;
  sqlite3_int64 iPath;
  char *zPath;
};

/* What a module is registered with. */
typedef struct StatusModule {
  Registry *pRegistry;
  const StatusKind *pKind;
  StatusPath *pPaths; /* all that were asked about, the newest first; owned */
} StatusModule;

typedef struct StatusTable {
  sqlite3_vtab base;
  StatusModule *pModule;
} StatusTable;

/* A channel that a cursor was asked about. */
typedef struct StatusPin StatusPin;
struct StatusPin {
  StatusPin *pNext;
  Channel *pChannel;
  int bPinned;
  mmapsync_reader *aReader; /* all readers, as they were just before; owned */
  int nReader;
  int bReader;                /* they could be looked at */
  mmapsync_progress progress; /* of the publish that goes on */
};

struct StatusCursor {
  sqlite3_vtab_cursor base;
  StatusPin *pPins; /* all there are; owned */
  StatusPin *pPin;  /* of the channel asked about now, or NULL: there is nothing to tell */
  const StatusPath *pPath;
  int bEof;
  sqlite3_int64 iRow; /* counts from 1 */
  int iTable, iCol;   /* where it stands in the image */
};

/* ---- mmapsync_status ---------------------------------------------------------------------------- */

static void statusRow(StatusCursor *pCur) { pCur->bEof = pCur->iRow > 1; }

/*
** A time as SQLite's own functions read it: 2024-02-29T12:34:56.789Z.
*/
static void resultTime(sqlite3_context *pCtx, uint64_t ns) {
  time_t sec = (time_t)(ns / 1000000000u);
  char zTime[40];
  struct tm tm;
  if (ns == 0) return;       /* NULL */
  (void)gmtime_r(&sec, &tm); /* works until 64 bits of ns end, in 2554 */
  sqlite3_snprintf((int)sizeof(zTime), zTime, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
                   tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                   (int)(ns / 1000000u % 1000u));
  sqlite3_result_text(pCtx, zTime, -1, SQLITE_TRANSIENT);
}

static void resultAge(sqlite3_context *pCtx, uint64_t ns) {
  struct timespec now = {0};
  int64_t age;
  if (ns == 0) return;                       /* NULL */
  (void)clock_gettime(CLOCK_REALTIME, &now); /* every Linux has that clock */
  age = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 - (int64_t)(ns / 1000000u);
  sqlite3_result_int64(pCtx, age < 0 ? 0 : age); /* the clock may have been set back */
}

/*
** All pins of the living on a data file.  Of locks it is only known that there are some, which is told as 1.
*/
static void resultPins(sqlite3_context *pCtx, const StatusPin *pPin, int iFile) {
  sqlite3_int64 n = 0;
  int i;
  if (!pPin->bReader) return; /* NULL */
  for (i = 0; i < pPin->nReader; i++) {
    if (pPin->aReader[i].alive) n += pPin->aReader[i].pins[iFile];
  }
  sqlite3_result_int64(pCtx, n);
}

/*
** NULL, all of it, if nobody publishes.
*/
static void resultProgress(sqlite3_context *pCtx, const mmapsync_progress *p, int iCol) {
  static const char *const azPhase[] = {NULL, "waiting", "writing", "indexing", "hashing"};
  if (p->phase == MMAPSYNC_PHASE_IDLE) return;
  switch (iCol) {
  case 0: sqlite3_result_text(pCtx, azPhase[p->phase], -1, SQLITE_STATIC); break;
  case 1:
    if (p->table[0] != '\0') sqlite3_result_text(pCtx, p->table, -1, SQLITE_TRANSIENT);
    break;
  case 2: sqlite3_result_int64(pCtx, (sqlite3_int64)p->rows); break;
  case 3: sqlite3_result_int64(pCtx, (sqlite3_int64)p->bytes); break;
  case 4: resultTime(pCtx, p->started_ns); break;
  default:
    assert(iCol == 5);
    sqlite3_result_int64(pCtx, p->pid);
    break;
  }
}

/*
** The first publish of a channel can be watched before there is a snapshot.
*/
static void statusValue(StatusCursor *pCur, sqlite3_context *pCtx, int iCol) {
  const mmapsync_view *pView = &pCur->pPin->pChannel->view;
  if (iCol > 10) {
    resultProgress(pCtx, &pCur->pPin->progress, iCol - 11);
    return;
  }
  if (!pCur->pPin->bPinned) return; /* NULL */
  switch (iCol) {
  case 0: sqlite3_result_int64(pCtx, (sqlite3_int64)pView->sequence); break;
  case 1: sqlite3_result_int64(pCtx, (sqlite3_int64)pView->version); break;
  case 2: sqlite3_result_int(pCtx, (int)(pView->version & 1)); break;
  case 3: sqlite3_result_int64(pCtx, (sqlite3_int64)pView->size); break;
  case 4: sqlite3_result_int64(pCtx, (sqlite3_int64)(pView->version >> 40)); break;
  case 5:
    sqlite3_result_text(pCtx, pView->kind == MMAPSYNC_KIND_IMAGE ? "tables" : "raw", -1,
                        SQLITE_STATIC);
    break;
  case 6: resultTime(pCtx, pView->time_ns); break;
  case 7: resultAge(pCtx, pView->time_ns); break;
  case 8:
    if (pView->pid != 0) sqlite3_result_int64(pCtx, pView->pid);
    break;
  default:
    assert(iCol == 9 || iCol == 10);
    resultPins(pCtx, pCur->pPin, iCol - 9);
    break;
  }
}

static const StatusKind statusKind = {
    "mmapsync_status",
    "CREATE TABLE x(sequence INTEGER, version INTEGER, idx INTEGER, size INTEGER, checksum "
    "INTEGER, "
    "kind TEXT, published_at TEXT, age_ms INTEGER, writer INTEGER, readers_0 INTEGER, "
    "readers_1 INTEGER, publishing TEXT, publishing_table TEXT, publishing_rows INTEGER, "
    "publishing_bytes INTEGER, publishing_since TEXT, publishing_by INTEGER, path TEXT HIDDEN)",
    17,
    LOOK_READERS | LOOK_SNAPSHOT | LOOK_PROGRESS,
    statusRow,
    statusValue,
};

/* ---- mmapsync_tables ---------------------------------------------------------------------------- */

static const mmapsync_table *cursorTable(const StatusCursor *pCur) {
  return mmapsync_table_at(pCur->pPin->pChannel->pImage, pCur->iTable);
}

static void tablesRow(StatusCursor *pCur) {
  pCur->iTable = (int)pCur->iRow - 1;
  pCur->bEof = pCur->iTable >= mmapsync_table_count(pCur->pPin->pChannel->pImage);
}

/*
** The keys in the words of SQL: PRIMARY KEY(sku), UNIQUE(a,b), INDEX(c COLLATE NOCASE DESC).  A
** collation is told where it is not the column's own; the key of a rowid that no column shows is left
** out.
*/
static void resultKeys(sqlite3_context *pCtx, const mmapsync_table *pTab) {
  sqlite3_str *pStr = sqlite3_str_new(sqlite3_context_db_handle(pCtx));
  int nKey = mmapsync_table_about(pTab)->nkeys;
  char *zKeys;
  int k, i, bFailed;
  for (k = 0; k < nKey; k++) {
    const mmapsync_key_info *pKey = mmapsync_key_about(pTab, k);
    const char *zKind = "INDEX";
    if ((pKey->flags & MMAPSYNC_KEY_UNIQUE) != 0) zKind = "UNIQUE";
    if ((pKey->flags & MMAPSYNC_KEY_PRIMARY) != 0) zKind = "PRIMARY KEY";
    if ((pKey->flags & MMAPSYNC_KEY_ROWID) != 0 &&
        (mmapsync_column_about(pTab, pKey->parts[0].column)->flags & MMAPSYNC_COLUMN_HIDDEN) != 0) {
      continue;
    }
    if (sqlite3_str_length(pStr) > 0) sqlite3_str_appendall(pStr, ", ");
    sqlite3_str_appendf(pStr, "%s(", zKind);
    for (i = 0; i < pKey->nparts; i++) {
      const mmapsync_part_def *pPart = &pKey->parts[i];
      const mmapsync_column_info *pCol = mmapsync_column_about(pTab, pPart->column);
      sqlite3_str_appendf(pStr, "%s%s", i == 0 ? "" : ",", pCol->name);
      if (sqlite3_stricmp(pCol->collation, valueCollationName(pPart->collation)) != 0) {
        sqlite3_str_appendf(pStr, " COLLATE %s", valueCollationName(pPart->collation));
      }
      if (pPart->desc) sqlite3_str_appendall(pStr, " DESC");
    }
    sqlite3_str_appendchar(pStr, 1, ')');
  }
  bFailed = sqlite3_str_errcode(pStr) != SQLITE_OK;
  zKeys = sqlite3_str_finish(pStr);
  if (bFailed) {
    sqlite3_result_error_nomem(pCtx);
  } else {
    sqlite3_result_text(pCtx, zKeys == NULL ? "" : zKeys, -1, SQLITE_TRANSIENT);
  }
  sqlite3_free(zKeys);
}

static void tablesValue(StatusCursor *pCur, sqlite3_context *pCtx, int iCol) {
  const mmapsync_table *pTab = cursorTable(pCur);
  const mmapsync_table_info *pInfo = mmapsync_table_about(pTab);
  const char *zSource = "table";
  int i, nShown = 0;
  switch (iCol) {
  case 0: sqlite3_result_text(pCtx, pInfo->name, -1, SQLITE_TRANSIENT); break;
  case 1: sqlite3_result_int64(pCtx, (sqlite3_int64)pInfo->rows); break;
  case 2:
    for (i = 0; i < pInfo->ncolumns; i++) {
      if ((mmapsync_column_about(pTab, i)->flags & MMAPSYNC_COLUMN_HIDDEN) == 0) nShown++;
    }
    sqlite3_result_int(pCtx, nShown);
    break;
  case 3: sqlite3_result_int64(pCtx, (sqlite3_int64)pInfo->bytes); break;
  case 4: resultKeys(pCtx, pTab); break;
  case 5:
    if (pInfo->rowid >= 0) {
      sqlite3_result_text(pCtx, mmapsync_column_about(pTab, pInfo->rowid)->name, -1,
                          SQLITE_TRANSIENT);
    }
    break;
  default:
    assert(iCol == 6);
    if ((pInfo->flags & MMAPSYNC_TABLE_WITHOUT_ROWID) != 0) zSource = "table without rowid";
    if ((pInfo->flags & MMAPSYNC_TABLE_VIEW) != 0) zSource = "view";
    sqlite3_result_text(pCtx, zSource, -1, SQLITE_STATIC);
    break;
  }
}

static const StatusKind tablesKind = {
    "mmapsync_tables",
    "CREATE TABLE x(name TEXT, rows INTEGER, columns INTEGER, bytes INTEGER, keys TEXT, rowid "
    "TEXT, "
    "source TEXT, path TEXT HIDDEN)",
    7,
    LOOK_SNAPSHOT | LOOK_IMAGE,
    tablesRow,
    tablesValue,
};

/* ---- mmapsync_columns --------------------------------------------------------------------------- */

static void columnsRow(StatusCursor *pCur) {
  int nTable = mmapsync_table_count(pCur->pPin->pChannel->pImage);
  if (pCur->iRow == 1) {
    pCur->iTable = 0;
    pCur->iCol = 0;
  } else {
    pCur->iCol++;
  }
  while (pCur->iTable < nTable && pCur->iCol >= mmapsync_table_about(cursorTable(pCur))->ncolumns) {
    pCur->iTable++;
    pCur->iCol = 0;
  }
  pCur->bEof = pCur->iTable >= nTable;
}

/*
** The position of a column in the primary key, from 1; 0: it is not in it.
*/
static int primaryPosition(const mmapsync_table *pTab, int c) {
  int nKey = mmapsync_table_about(pTab)->nkeys;
  int k, i;
  for (k = 0; k < nKey; k++) {
    const mmapsync_key_info *pKey = mmapsync_key_about(pTab, k);
    if ((pKey->flags & MMAPSYNC_KEY_PRIMARY) == 0) continue;
    for (i = 0; i < pKey->nparts; i++) {
      if (pKey->parts[i].column == c) return i + 1;
    }
  }
  return 0;
}

static void columnsValue(StatusCursor *pCur, sqlite3_context *pCtx, int iCol) {
  const mmapsync_table *pTab = cursorTable(pCur);
  const mmapsync_column_info *pCol = mmapsync_column_about(pTab, pCur->iCol);
  const char *zText = NULL;
  switch (iCol) {
  case 0: zText = mmapsync_table_about(pTab)->name; break;
  case 1: sqlite3_result_int(pCtx, pCur->iCol); break;
  case 2: zText = pCol->name; break;
  case 3: zText = pCol->type; break;
  case 4: zText = pCol->collation; break;
  case 5: zText = pCol->encoding; break;
  case 6: sqlite3_result_int64(pCtx, (sqlite3_int64)pCol->nulls); break;
  case 7: sqlite3_result_int64(pCtx, (sqlite3_int64)pCol->bytes); break;
  case 8: sqlite3_result_int(pCtx, primaryPosition(pTab, pCur->iCol)); break;
  case 9: sqlite3_result_int(pCtx, (pCol->flags & MMAPSYNC_COLUMN_HIDDEN) != 0); break;
  default:
    assert(iCol == 10);
    sqlite3_result_int(pCtx, (pCol->flags & MMAPSYNC_COLUMN_NOTNULL) != 0);
    break;
  }
  if (zText != NULL) sqlite3_result_text(pCtx, zText, -1, SQLITE_TRANSIENT);
}

static const StatusKind columnsKind = {
    "mmapsync_columns",
    "CREATE TABLE x(table_name TEXT, cid INTEGER, name TEXT, type TEXT, collation TEXT, "
    "encoding TEXT, nulls INTEGER, bytes INTEGER, key INTEGER, hidden INTEGER, not_null INTEGER, "
    "path TEXT HIDDEN)",
    11,
    LOOK_SNAPSHOT | LOOK_IMAGE,
    columnsRow,
    columnsValue,
};

/* ---- mmapsync_readers --------------------------------------------------------------------------- */

static void readersRow(StatusCursor *pCur) { pCur->bEof = pCur->iRow > pCur->pPin->nReader; }

static void readersValue(StatusCursor *pCur, sqlite3_context *pCtx, int iCol) {
  const mmapsync_reader *p = &pCur->pPin->aReader[pCur->iRow - 1];
  switch (iCol) {
  case 0: sqlite3_result_text(pCtx, channelPinNames[p->kind], -1, SQLITE_STATIC); break;
  case 1:
    if (p->kind == MMAPSYNC_PIN_SLOT) sqlite3_result_int64(pCtx, p->slot);
    break;
  case 2:
    if (p->pid != 0) sqlite3_result_int64(pCtx, p->pid);
    break;
  case 3:
    if (p->program[0] != '\0') sqlite3_result_text(pCtx, p->program, -1, SQLITE_TRANSIENT);
    break;
  case 4: sqlite3_result_int(pCtx, p->alive); break;
  case 5:
  case 6: sqlite3_result_int64(pCtx, p->pins[iCol - 5]); break;
  case 7: resultAge(pCtx, p->pinned_ns); break;
  default:
    assert(iCol == 8);
    resultTime(pCtx, p->attached_ns);
    break;
  }
}

static const StatusKind readersKind = {
    "mmapsync_readers",
    "CREATE TABLE x(kind TEXT, slot INTEGER, pid INTEGER, program TEXT, alive INTEGER, "
    "pins_0 INTEGER, pins_1 INTEGER, held_ms INTEGER, attached_at TEXT, path TEXT HIDDEN)",
    9,
    LOOK_READERS,
    readersRow,
    readersValue,
};

/* ---- the module --------------------------------------------------------------------------------- */

static int statusConnect(sqlite3 *db, void *pAux, int argc, const char *const *argv,
                         sqlite3_vtab **ppVtab, char **pzErr) {
  StatusModule *pModule = pAux;
  StatusTable *p;
  int rc = sqlite3_declare_vtab(db, pModule->pKind->zTable);
  (void)argc;
  (void)argv;
  (void)pzErr;
  if (rc != SQLITE_OK) return rc;
  p = sqlite3_malloc64(sizeof(*p));
  if (p == NULL) return SQLITE_NOMEM;
  memset(p, 0, sizeof(*p));
  p->pModule = pModule;
  *ppVtab = &p->base;
  return SQLITE_OK;
}

static int statusDisconnect(sqlite3_vtab *pVtab) {
  sqlite3_free(pVtab);
  return SQLITE_OK;
}

/*
** The path must be given: idxNum is 1 where it is.  Where it depends on a table that this plan reads
** later, the plan is refused.  Where there is no path at all the plan is made very dear rather than
** refused, because a better one may come (path = 'a' OR path = 'b'); if none does, xFilter says what is
** missing.
*/
static int statusBestIndex(sqlite3_vtab *pVtab, sqlite3_index_info *pInfo) {
  const StatusKind *pKind = ((StatusTable *)pVtab)->pModule->pKind;
  int unusable = 0;
  int i;
  for (i = 0; i < pInfo->nConstraint; i++) {
    const struct sqlite3_index_constraint *pCons = &pInfo->aConstraint[i];
    if (pCons->iColumn != pKind->iPath || pCons->op != SQLITE_INDEX_CONSTRAINT_EQ) continue;
    if (!pCons->usable) {
      unusable = 1;
      continue;
    }
    pInfo->aConstraintUsage[i].argvIndex = 1;
    pInfo->aConstraintUsage[i].omit = 1; /* the column gives back the very text */
    pInfo->idxNum = 1;
    pInfo->estimatedCost = 100;
    pInfo->estimatedRows = (pKind->mLook & LOOK_PROGRESS) != 0 ? 1 : 25;
    return SQLITE_OK;
  }
  if (unusable) return SQLITE_CONSTRAINT;
  pInfo->idxNum = 0;
  pInfo->estimatedCost = 1e90;
  pInfo->estimatedRows = 1000000;
  return SQLITE_OK;
}

static int statusOpen(sqlite3_vtab *pVtab, sqlite3_vtab_cursor **ppCursor) {
  StatusCursor *pCur = sqlite3_malloc64(sizeof(*pCur));
  (void)pVtab;
  if (pCur == NULL) return SQLITE_NOMEM;
  memset(pCur, 0, sizeof(*pCur));
  pCur->bEof = 1;
  *ppCursor = &pCur->base;
  return SQLITE_OK;
}

static void pinFree(StatusPin *p) {
  if (p->bPinned) channelUnpin(p->pChannel);
  sqlite3_free(p->aReader);
  sqlite3_free(p);
}

static int statusClose(sqlite3_vtab_cursor *pCursor) {
  StatusCursor *pCur = (StatusCursor *)pCursor;
  while (pCur->pPins != NULL) {
    StatusPin *pPin = pCur->pPins;
    pCur->pPins = pPin->pNext;
    pinFree(pPin);
  }
  sqlite3_free(pCur);
  return SQLITE_OK;
}

/*
** Looks at the readers of a channel.  They come and go meanwhile; some of those that come may be missed.
*/
static int pinReaders(StatusPin *p, int *prcCore) {
  size_t nRoom = READERS_ROOM, n = 0;
  int i;
  for (i = 0; i < READERS_TRIES; i++) {
    mmapsync_reader *aNew = sqlite3_realloc64(p->aReader, sizeof(*aNew) * nRoom);
    if (aNew == NULL) return SQLITE_NOMEM;
    p->aReader = aNew;
    *prcCore = mmapsync_readers(p->pChannel->h, p->aReader, nRoom, &n);
    if (*prcCore != MMAPSYNC_OK) return SQLITE_OK;
    p->nReader = (int)(n < nRoom ? n : nRoom);
    if (n <= nRoom) break;
    nRoom = n + READERS_ROOM;
  }
  p->bReader = 1;
  return SQLITE_OK;
}

/*
** Looks at what a function wants of a channel.  *pbEmpty: nothing was published there, and nothing is pinned.
*/
static int pinLook(StatusPin *p, int mLook, int *pbEmpty, char **pzErr) {
  uint64_t version;
  int rcCore = mmapsync_version(p->pChannel->h, &version);
  int rc = SQLITE_OK;
  if (rcCore == MMAPSYNC_OK && (mLook & LOOK_READERS) != 0) {
    rc = pinReaders(p, &rcCore);
    /* Who may read the snapshot, but not who reads it, is told the rest. */
    if (rcCore == MMAPSYNC_PERM && (mLook & LOOK_SNAPSHOT) != 0) rcCore = MMAPSYNC_OK;
  }
  *pbEmpty = rcCore == MMAPSYNC_EMPTY;
  if (rc != SQLITE_OK) return rc;
  if (!*pbEmpty && rcCore != MMAPSYNC_OK) return channelFail(p->pChannel, rcCore, pzErr);
  if ((mLook & LOOK_PROGRESS) != 0) {
    rcCore = mmapsync_publishing(p->pChannel->h, &p->progress);
    if (rcCore != MMAPSYNC_OK && rcCore != MMAPSYNC_PERM) {
      return channelFail(p->pChannel, rcCore, pzErr);
    }
  }
  if (*pbEmpty) return SQLITE_OK;
  if ((mLook & LOOK_SNAPSHOT) == 0) return SQLITE_OK;
  rc = channelPin(p->pChannel, (mLook & LOOK_IMAGE) != 0, pzErr);
  p->bPinned = rc == SQLITE_OK;
  return rc;
}

/*
** Makes pPin what the cursor knows of a channel; it stays NULL if nothing was published there.
*/
static int cursorPin(StatusCursor *pCur, Channel *pChannel, int mLook, char **pzErr) {
  StatusPin *pPin;
  int bEmpty = 0;
  int rc;
  pCur->pPin = NULL;
  for (pPin = pCur->pPins; pPin != NULL; pPin = pPin->pNext) {
    if (pPin->pChannel == pChannel) {
      pCur->pPin = pPin;
      return SQLITE_OK;
    }
  }
  pPin = sqlite3_malloc64(sizeof(*pPin));
  if (pPin == NULL) return SQLITE_NOMEM;
  memset(pPin, 0, sizeof(*pPin));
  pPin->pChannel = pChannel;
  rc = pinLook(pPin, mLook, &bEmpty, pzErr);
  if (rc != SQLITE_OK || (bEmpty && pPin->progress.phase == MMAPSYNC_PHASE_IDLE)) {
    pinFree(pPin);
    return rc;
  }
  pPin->pNext = pCur->pPins;
  pCur->pPins = pPin;
  pCur->pPin = pPin;
  return SQLITE_OK;
}

/*
** Makes pPath the cursor's path, which takes zPath over.
*/
static int cursorPath(StatusCursor *pCur, StatusModule *pModule, char *zPath) {
  StatusPath *p = pModule->pPaths;
  while (p != NULL && strcmp(p->zPath, zPath) != 0) p = p->pNext;
  if (p != NULL) {
    sqlite3_free(zPath);
  } else {
    p = sqlite3_malloc64(sizeof(*p));
    if (p == NULL) {
      sqlite3_free(zPath);
      return SQLITE_NOMEM;
    }
    p->zPath = zPath;
    p->pNext = pModule->pPaths;
    p->iPath = p->pNext == NULL ? 0 : p->pNext->iPath + 1;
    pModule->pPaths = p;
  }
  pCur->pPath = p;
  return SQLITE_OK;
}

static int statusFilter(sqlite3_vtab_cursor *pCursor, int idxNum, const char *idxStr, int argc,
                        sqlite3_value **argv) {
  StatusCursor *pCur = (StatusCursor *)pCursor;
  StatusModule *pModule = ((StatusTable *)pCursor->pVtab)->pModule;
  char *zPath = NULL;
  Channel *pChannel = NULL;
  char *zErr = NULL;
  int rc;
  (void)idxStr;
  (void)argc;
  pCur->bEof = 1;
  pCur->iRow = 0;
  pCur->pPin = NULL;
  if (idxNum == 0) {
    zErr = sqlite3_mprintf("%s: expected a path", pModule->pKind->zName);
    rc = zErr == NULL ? SQLITE_NOMEM : SQLITE_ERROR;
  } else {
    assert(argc == 1);
    if (sqlite3_value_type(argv[0]) == SQLITE_NULL) return SQLITE_OK; /* equals no path */
    rc = functionText(pModule->pKind->zName, "a path", argv[0], &zPath, &zErr);
    if (rc == SQLITE_OK) rc = channelGet(pModule->pRegistry, zPath, &pChannel, &zErr);
    if (rc == SQLITE_OK) {
      rc = cursorPath(pCur, pModule, zPath);
    } else {
      sqlite3_free(zPath);
    }
    if (rc == SQLITE_OK) rc = cursorPin(pCur, pChannel, pModule->pKind->mLook, &zErr);
  }
  if (rc == SQLITE_OK && pCur->pPin != NULL) {
    pCur->iRow = 1;
    pModule->pKind->xRow(pCur);
  }
  if (rc != SQLITE_OK) {
    sqlite3_free(pCursor->pVtab->zErrMsg);
    pCursor->pVtab->zErrMsg = zErr;
  }
  return rc;
}

static int statusNext(sqlite3_vtab_cursor *pCursor) {
  StatusCursor *pCur = (StatusCursor *)pCursor;
  pCur->iRow++;
  ((StatusTable *)pCursor->pVtab)->pModule->pKind->xRow(pCur);
  return SQLITE_OK;
}

static int statusEof(sqlite3_vtab_cursor *pCursor) { return ((StatusCursor *)pCursor)->bEof; }

static int statusColumn(sqlite3_vtab_cursor *pCursor, sqlite3_context *pCtx, int iCol) {
  StatusCursor *pCur = (StatusCursor *)pCursor;
  const StatusKind *pKind = ((StatusTable *)pCursor->pVtab)->pModule->pKind;
  if (iCol == pKind->iPath) {
    sqlite3_result_text(pCtx, pCur->pPath->zPath, -1, SQLITE_TRANSIENT);
  } else {
    pKind->xValue(pCur, pCtx, iCol);
  }
  return SQLITE_OK;
}

static int statusRowid(sqlite3_vtab_cursor *pCursor, sqlite3_int64 *pRowid) {
  const StatusCursor *pCur = (StatusCursor *)pCursor;
  *pRowid = pCur->pPath->iPath << STATUS_ROW_BITS | pCur->iRow;
  return SQLITE_OK;
}

static void statusModuleFree(void *pArg) {
  StatusModule *p = pArg;
  while (p->pPaths != NULL) {
    StatusPath *pPath = p->pPaths;
    p->pPaths = pPath->pNext;
    sqlite3_free(pPath->zPath);
    sqlite3_free(pPath);
  }
  registryUnref(p->pRegistry);
  sqlite3_free(p);
}

int statusRegister(sqlite3 *db, Registry *p) {
  static const StatusKind *const apKind[] = {&statusKind, &tablesKind, &columnsKind, &readersKind};
  /* No xCreate: these exist without being created, and only so. */
  static const sqlite3_module module = {
      .xConnect = statusConnect,
      .xBestIndex = statusBestIndex,
      .xDisconnect = statusDisconnect,
      .xOpen = statusOpen,
      .xClose = statusClose,
      .xFilter = statusFilter,
      .xNext = statusNext,
      .xEof = statusEof,
      .xColumn = statusColumn,
      .xRowid = statusRowid,
  };
  int rc = SQLITE_OK;
  size_t i;
  for (i = 0; rc == SQLITE_OK && i < sizeof(apKind) / sizeof(apKind[0]); i++) {
    StatusModule *pModule = sqlite3_malloc64(sizeof(*pModule));
    if (pModule == NULL) return SQLITE_NOMEM;
    pModule->pRegistry = p;
    pModule->pKind = apKind[i];
    pModule->pPaths = NULL;
    registryRef(p);
    rc = sqlite3_create_module_v2(db, apKind[i]->zName, &module, pModule, statusModuleFree);
  }
  return rc;
}
