#define _GNU_SOURCE
/*
** wait.c - what may take long: writes, and mmapsync_wait(path, sequence, timeout_ms).
**
** INTERRUPT.  sqlite3_interrupt() tells statements to stop, and the core knows of none.  So while a call into
** it lasts, its options.progress runs a statement that does nothing: it fails once the connection is
** interrupted, on every version of SQLite.  The channel has these options from slowStart() to slowEnd().
**
** BUSY TIMEOUT.  Where another writer has the lock, a write is tried again until the connection's own busy
** timeout is over, which PRAGMA busy_timeout tells; a busy handler of another sort cannot be called from here,
** and counts as none.  That writer was met before the write had done or read anything, so nothing has to be
** taken back.  The sleeps are short and grow, as those of SQLite do.  Where on_foreign_reader is 'busy', BUSY can
** also mean that readers were waited for, for the whole grace time: then that was patience enough.
**
** MMAPSYNC_WAIT looks past the connection's own pins: who holds a snapshot is told of newer ones.  It is
** SQLITE_DIRECTONLY because a schema that somebody else wrote must not get to put a connection to sleep.
*/
#include "ext.h"

#include <assert.h>
#include <string.h>
#include <time.h>

/* The sleeps between two tries, in ms: the first, and the longest. */
#define PAUSE_SHORTEST 1
#define PAUSE_LONGEST  25

#define NS_PER_MS      ((sqlite3_int64)1000000)

/* ---- shared by all slow calls ------------------------------------------------------------------- */

static int slowTick(void *pArg) {
  Slow *p = pArg;
  int rc = sqlite3_step(p->pTick);
  (void)sqlite3_reset(p->pTick);
  return rc == SQLITE_INTERRUPT;
}

int slowStart(Slow *p, Channel *pChannel, const mmapsync_options *pOpt, char **pzErr) {
  sqlite3 *db = registryDb(pChannel->pRegistry);
  mmapsync_options opt = *pOpt;
  int rc;
  memset(p, 0, sizeof(*p));
  p->pChannel = pChannel;
  rc = sqlite3_prepare_v2(db, "SELECT 1", -1, &p->pTick, NULL);
  if (rc != SQLITE_OK) {
    *pzErr = sqlite3_mprintf("%s", sqlite3_errmsg(db));
    return *pzErr == NULL ? SQLITE_NOMEM : rc;
  }
  opt.progress = slowTick;
  opt.progress_arg = p;
  rc = mmapsync_configure(pChannel->h, &opt);
  if (rc != MMAPSYNC_OK) return channelFail(pChannel, rc, pzErr);
  p->bSet = 1;
  return SQLITE_OK;
}

int slowLook(Slow *p, Channel *pChannel, char **pzErr) {
  memset(p, 0, sizeof(*p));
  if (mmapsync_options_of(pChannel->h)->progress == slowTick) return SQLITE_OK;
  return slowStart(p, pChannel, &pChannel->opt, pzErr);
}

void slowEnd(Slow *p) {
  if (p->bSet) {
    int rc = mmapsync_configure(p->pChannel->h, &p->pChannel->opt);
    assert(rc == MMAPSYNC_OK); /* no write is open any more */
    (void)rc;
  }
  sqlite3_finalize(p->pTick);
}

/* ---- the busy timeout --------------------------------------------------------------------------- */

static sqlite3_int64 slowClock(void) {
  struct timespec t = {0, 0};
  (void)clock_gettime(CLOCK_MONOTONIC, &t);
  return (sqlite3_int64)t.tv_sec * 1000000000 + t.tv_nsec;
}

/*
** The connection's busy timeout; 0 if it has none, or does not tell.
*/
static int slowTimeout(sqlite3 *db) {
  sqlite3_stmt *pStmt = NULL;
  int n = 0;
  if (sqlite3_prepare_v2(db, "PRAGMA busy_timeout", -1, &pStmt, NULL) == SQLITE_OK) {
    (void)sqlite3_step(pStmt);
    n = sqlite3_column_int(pStmt, 0); /* 0 where there is no row */
  }
  sqlite3_finalize(pStmt);
  return n;
}

int slowAgain(Slow *p, int rcCore, char **pzErr) {
  Channel *pChannel = p->pChannel;
  sqlite3_int64 nLeft, nPause;
  struct timespec pause = {0, 0};
  size_t nHeld;

  (void)mmapsync_held(pChannel->h, &nHeld);
  if (rcCore != MMAPSYNC_BUSY || nHeld > 0) {
    return channelFail(pChannel, rcCore, pzErr);
  }
  if (p->nBusy++ == 0) {
    p->nTimeout = slowTimeout(registryDb(pChannel->pRegistry));
    p->nPause = PAUSE_SHORTEST;
    p->iStart = slowClock();
  }
  nLeft = p->nTimeout * NS_PER_MS - (slowClock() - p->iStart);
  if (nLeft <= 0) return channelFail(pChannel, rcCore, pzErr);
  if (slowTick(p)) {
    *pzErr = sqlite3_mprintf("interrupted");
    return SQLITE_INTERRUPT;
  }
  nPause = p->nPause * NS_PER_MS;
  pause.tv_nsec = (long)(nPause < nLeft ? nPause : nLeft);
  (void)nanosleep(&pause, NULL); /* woken early, it tries early */
  p->nPause = p->nPause < PAUSE_LONGEST / 2 ? 2 * p->nPause : PAUSE_LONGEST;
  return SQLITE_OK;
}

/* ---- mmapsync_wait ------------------------------------------------------------------------------ */

/*
** The sequence that is known already: NULL and 0 are none.
*/
static int waitSequence(const char *zFunc, sqlite3_value *pVal, uint64_t *pOut, char **pzErr) {
  int eType = sqlite3_value_numeric_type(pVal);
  *pOut = 0;
  if (eType == SQLITE_NULL) return SQLITE_OK;
  if (eType == SQLITE_INTEGER && sqlite3_value_int64(pVal) >= 0) {
    *pOut = (uint64_t)sqlite3_value_int64(pVal);
    return SQLITE_OK;
  }
  return functionExpected(zFunc, "a sequence", pVal, pzErr);
}

/*
** How long to wait; below 0 for ever.
*/
static int waitTimeout(const char *zFunc, sqlite3_value *pVal, uint32_t *pOut, char **pzErr) {
  if (sqlite3_value_numeric_type(pVal) == SQLITE_INTEGER) {
    sqlite3_int64 n = sqlite3_value_int64(pVal);
    if (n < (sqlite3_int64)UINT32_MAX) {
      *pOut = n < 0 ? UINT32_MAX : (uint32_t)n;
      return SQLITE_OK;
    }
  }
  return functionExpected(zFunc, "milliseconds up to 4294967294, or -1 for ever", pVal, pzErr);
}

/*
** mmapsync_wait(path, sequence, timeout_ms)
*/
static void waitFunc(sqlite3_context *pCtx, int argc, sqlite3_value **argv) {
  static const char zFunc[] = "mmapsync_wait";
  Channel *pChannel = NULL;
  char *zErr = NULL;
  uint64_t sequence = 0, newer = 0;
  uint32_t timeout = 0;
  int bNewer = 0;
  int rc = functionChannel(pCtx, zFunc, argv[0], &pChannel, &zErr);
  (void)argc;
  if (rc == SQLITE_OK) rc = waitSequence(zFunc, argv[1], &sequence, &zErr);
  if (rc == SQLITE_OK) rc = waitTimeout(zFunc, argv[2], &timeout, &zErr);
  if (rc == SQLITE_OK) {
    Slow slow;
    rc = slowStart(&slow, pChannel, &pChannel->opt, &zErr);
    if (rc == SQLITE_OK) {
      int rcCore = mmapsync_wait(pChannel->h, sequence, timeout, &newer);
      bNewer = rcCore == MMAPSYNC_OK;
      if (!bNewer && rcCore != MMAPSYNC_TIMEOUT) rc = channelFail(pChannel, rcCore, &zErr);
    }
    slowEnd(&slow);
  }
  if (rc != SQLITE_OK) {
    functionFail(pCtx, rc, zErr);
  } else if (bNewer) {
    sqlite3_result_int64(pCtx, (sqlite3_int64)newer);
  }
}

int waitRegister(sqlite3 *db, Registry *p) {
  return functionAdd(db, p, "mmapsync_wait", 3, SQLITE_DIRECTONLY, waitFunc);
}
