/*
** channel.c - the channels of one database connection.
**
** Every function and virtual table of a connection finds its channel here, so that they share one
** core handle, one pin and one decoded image for it.  The pin is what makes a statement see one
** snapshot: it is counted, taken when the count leaves zero and given back when it returns there.
** Whoever pins in between shares the snapshot that is pinned, however many newer ones there are.
**
** A channel is found in two steps.  First by the path exactly as it was written: each spelling that
** was resolved once is remembered as an alias, so a call with a path costs a few string compares and
** no system call.  Then, for a new spelling, by the absolute path that the core makes of it: so
** '/dev/shm/x' and './x' are the same Channel.  Only absolute spellings become aliases, because what
** a relative one means changes with chdir().
**
** The decoded image outlives its pin.  Most statements find the snapshot that the last one saw, and
** mmapsync_image_fits() tells so in a few instructions; only a new snapshot is decoded anew, and then
** Channel.iImage rises, which tells the virtual tables to match their columns again.
**
** mmapsync_pin() is one of those who pin: while its pins last, whatever this connection reads of the channel
** is of one snapshot, over as many statements as it likes.  nKept counts them, because closing the connection
** gives back those that are left.
**
** A registry counts its users because SQLite ends functions and modules one by one, in no order that
** it promises; virtual tables count too.  When the last is gone no cursor can be open, so no pins are left
** but those of mmapsync_pin().
*/
#include "ext.h"

#include <assert.h>
#include <string.h>

typedef struct Alias Alias;
struct Alias {
  Alias *pNext;
  Channel *pChannel;
  char zPath[1]; /* as written; the object is allocated as long as it needs */
};

struct Registry {
  sqlite3 *db;
  int nUser;          /* functions, modules and virtual tables */
  Channel *pChannels; /* owned */
  Alias *pAliases;    /* owned */
  VtabTable *pTables; /* each leaves before it gives its use of the registry back */
};

Registry *registryNew(sqlite3 *db) {
  Registry *p = sqlite3_malloc64(sizeof(*p));
  if (p != NULL) {
    memset(p, 0, sizeof(*p));
    p->db = db;
    p->nUser = 1;
  }
  return p;
}

void registryRef(Registry *p) {
  assert(p->nUser > 0);
  p->nUser++;
}

sqlite3 *registryDb(Registry *p) { return p->db; }

int registryUtf16(Registry *p, int *pbUtf16) {
  sqlite3_stmt *pStmt = NULL;
  const char *z = NULL;
  int rc = sqlite3_prepare_v2(p->db, "PRAGMA encoding", -1, &pStmt, NULL);
  if (rc == SQLITE_OK && sqlite3_step(pStmt) == SQLITE_ROW) {
    z = (const char *)sqlite3_column_text(pStmt, 0);
  }
  *pbUtf16 = z == NULL || sqlite3_stricmp(z, "UTF-8") != 0; /* without an answer, the careful one */
  return rc == SQLITE_OK ? sqlite3_finalize(pStmt) : rc; /* which tells of what failed meanwhile */
}

VtabTable **registryTables(Registry *p) { return &p->pTables; }

const char *const channelPinNames[] = {[MMAPSYNC_PIN_AUTO] = "auto",
                                       [MMAPSYNC_PIN_SLOT] = "slot",
                                       [MMAPSYNC_PIN_LOCK] = "lock",
                                       [MMAPSYNC_PIN_COUNTER] = "counter",
                                       NULL};

static void channelFree(Channel *p) {
  assert(p->nPin == p->nKept);
  if (p->nPin > 0) mmapsync_release(p->h, &p->view);
  mmapsync_image_close(p->pImage);
  mmapsync_close(p->h);
  sqlite3_free(p);
}

void registryUnref(void *pArg) {
  Registry *p = pArg;
  assert(p->nUser > 0);
  if (--p->nUser > 0) return;
  while (p->pAliases != NULL) {
    Alias *pAlias = p->pAliases;
    p->pAliases = pAlias->pNext;
    sqlite3_free(pAlias);
  }
  while (p->pChannels != NULL) {
    Channel *pChannel = p->pChannels;
    p->pChannels = pChannel->pNext;
    channelFree(pChannel);
  }
  sqlite3_free(p);
}

int channelRc(int rcCore) {
  switch (rcCore) {
  case MMAPSYNC_OK: return SQLITE_OK;
  case MMAPSYNC_BUSY: return SQLITE_BUSY;
  case MMAPSYNC_PERM: return SQLITE_PERM;
  case MMAPSYNC_FULL: return SQLITE_FULL;
  case MMAPSYNC_IOERR: return SQLITE_IOERR;
  case MMAPSYNC_NOMEM: return SQLITE_NOMEM;
  case MMAPSYNC_TOOBIG: return SQLITE_TOOBIG;
  case MMAPSYNC_CORRUPT: return SQLITE_CORRUPT_VTAB;
  case MMAPSYNC_CONSTRAINT: return SQLITE_CONSTRAINT;
  case MMAPSYNC_INTERRUPT: return SQLITE_INTERRUPT;
  case MMAPSYNC_CANTOPEN: return SQLITE_CANTOPEN;
  default: return SQLITE_ERROR;
  }
}

int channelFail(Channel *p, int rcCore, char **pzErr) {
  assert(rcCore != MMAPSYNC_OK);
  *pzErr = sqlite3_mprintf("%s", mmapsync_errmsg(p->h));
  return *pzErr == NULL ? SQLITE_NOMEM : channelRc(rcCore);
}

/*
** Remembers a spelling.  Without memory for it the next call resolves the path again, which does no
** harm.
*/
static void aliasAdd(Registry *p, const char *zPath, Channel *pChannel) {
  size_t n = strlen(zPath);
  Alias *pAlias = sqlite3_malloc64(sizeof(*pAlias) + n);
  if (pAlias == NULL) return;
  memcpy(pAlias->zPath, zPath, n + 1);
  pAlias->pChannel = pChannel;
  pAlias->pNext = p->pAliases;
  p->pAliases = pAlias;
}

/*
** Opens a handle for zPath and gives the Channel of the same absolute path, which is new if there was
** none.
*/
static int channelOpen(Registry *p, const char *zPath, Channel **ppChannel, char **pzErr) {
  Channel *pChannel;
  Channel *pNew = sqlite3_malloc64(sizeof(*pNew));
  int rc;
  if (pNew == NULL) return SQLITE_NOMEM;
  memset(pNew, 0, sizeof(*pNew));
  pNew->pRegistry = p;
  mmapsync_options_init(&pNew->opt);
  pNew->opt.stamp = 1; /* mmapsync_readers() tells for how long a snapshot is held */
  rc = mmapsync_open(zPath, &pNew->opt, &pNew->h);
  if (rc != MMAPSYNC_OK) {
    if (pNew->h == NULL) {
      *pzErr = sqlite3_mprintf("%s", mmapsync_errstr(rc));
      rc = channelRc(rc);
    } else {
      rc = channelFail(pNew, rc, pzErr);
    }
    channelFree(pNew);
    return rc;
  }
  for (pChannel = p->pChannels; pChannel != NULL; pChannel = pChannel->pNext) {
    if (strcmp(mmapsync_path(pChannel->h), mmapsync_path(pNew->h)) == 0) break;
  }
  if (pChannel != NULL) {
    channelFree(pNew);
  } else {
    pChannel = pNew;
    pChannel->pNext = p->pChannels;
    p->pChannels = pChannel;
  }
  *ppChannel = pChannel;
  return SQLITE_OK;
}

int channelGet(Registry *p, const char *zPath, Channel **ppChannel, char **pzErr) {
  const Alias *pAlias;
  int rc;
  *ppChannel = NULL;
  for (pAlias = p->pAliases; pAlias != NULL; pAlias = pAlias->pNext) {
    if (strcmp(pAlias->zPath, zPath) == 0) {
      *ppChannel = pAlias->pChannel;
      return SQLITE_OK;
    }
  }
  rc = channelOpen(p, zPath, ppChannel, pzErr);
  if (rc == SQLITE_OK && zPath[0] == '/') aliasAdd(p, zPath, *ppChannel);
  return rc;
}

/*
** Makes pImage the decoded directory of the pinned snapshot.
*/
static int channelImage(Channel *p, char **pzErr) {
  int rc;
  /* Kinds that are not known the core refuses, in a sentence of its own. */
  if (p->view.kind == MMAPSYNC_KIND_RAW) {
    *pzErr = sqlite3_mprintf("\"%s\": holds raw bytes, not tables", mmapsync_path(p->h));
    return *pzErr == NULL ? SQLITE_NOMEM : SQLITE_ERROR;
  }
  if (p->pImage != NULL && mmapsync_image_fits(p->pImage, &p->view)) return SQLITE_OK;
  mmapsync_image_close(p->pImage);
  p->pImage = NULL;
  p->iImage++; /* also when opening fails: what was known of the old image is void */
  rc = mmapsync_image_open(p->h, &p->view, &p->pImage);
  if (rc != MMAPSYNC_OK) {
    p->pImage = NULL;
    return channelFail(p, rc, pzErr);
  }
  return SQLITE_OK;
}

int channelPin(Channel *p, int wantImage, char **pzErr) {
  int rc = SQLITE_OK;
  if (p->nPin == 0) {
    int rcCore = mmapsync_read(p->h, &p->view);
    if (rcCore != MMAPSYNC_OK) return channelFail(p, rcCore, pzErr);
  }
  p->nPin++;
  if (wantImage) {
    rc = channelImage(p, pzErr);
    if (rc != SQLITE_OK) channelUnpin(p);
  }
  return rc;
}

void channelUnpin(Channel *p) {
  assert(p->nPin > 0);
  if (--p->nPin == 0) mmapsync_release(p->h, &p->view);
}
