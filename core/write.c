#define _GNU_SOURCE
/*
** write.c - the writer's half of the protocol.  W1 to W8 are those of state.h; W3 is in drain.c.
**
** A write is open from mmapsync_write_begin() to its commit or abort, and what it needs to know
** meanwhile stands in h->writer.  Everything that can fail comes before the switch (but for the last
** sync of a durable channel), and up to there nothing of the snapshot in force has changed, so a failure
** is undone by cutting off what the file has grown by, or by giving up the new file, and giving the lock
** back.  The snapshot before it is not brought back: W4 and W5 overwrite it.  Only a reader by counter who
** has outlived the grace time can still look at that, and it loses it whether the write is committed or
** not; so `reset` is kept for the next result if it is not.  In steady state (the file is long enough, the
** lock is held or not asked for, no reader is in the way) a write makes no system call but to read the
** clock, and every 2 ms one more (pins.h, WINDOW).
**
** REPLACING.  A file is replaced by a new one when readers still hold it after the grace time, and also to
** make it smaller, when it is far longer than the last three snapshots: what readers have mapped cannot be cut
** off under them.  Otherwise the two files are reused in place, since the first touch of a fresh page costs
** more than writing to one that is there.
**
** SEQUENCE.  One more than the largest of: the active trailer's; the one the other file carried
** before; P_writer's; what this handle has published or read.  P_writer's matters when the active snapshot
** has no trailer, because a writer of another kind published it; the last after a channel was removed and
** made anew under a handle's hands.
**
** VERSION WORD.  A reader that finds the word it knows takes the bytes to be those it knows, and
** readers of another kind look at nothing else.  So a file never carries one word twice in a row for
** different bytes: if the word of a new payload is the one its file carried before, and the full hash
** is not (or is not known), the word's hash bits are changed.
*/
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "handle.h"
#include "sys.h"
#include "version.h"

/* How often the state file is opened again because it was removed before it could be locked. */
#define LOCK_ROUNDS  16

/* A data file that is so many times longer than what it is needed for, and longer than that by so much, is
** made anew. */
#define SHRINK_TIMES 4
#define SHRINK_LEAST ((size_t)1 << 20)

/* ---- the lock --------------------------------------------------------------------------------- */

/*
** W1.  Opens the state file, or makes it, and takes the lock as the options say.  The lock is on the
** file, not on its name: when it is taken, the name must still lead to this file, or else two writers
** could each hold the lock of another file of that name.
*/
static int writeLock(mmapsync *h) {
  HandleWriter *w = &h->writer;
  int rc, err, round, fresh;

  w->drain.nheld = 0;
  for (round = 0; round < LOCK_ROUNDS; round++) {
    fresh = 0;
    /* What was opened to read may have been opened for no more than that. */
    if (h->state && !h->state->writable) handleDetach(h);
    if (!h->state) {
      rc = stateOpen(h, 1);
      if (rc != MMAPSYNC_OK) return rc;
      fresh = 1;
    }
    if (h->opt.lock != MMAPSYNC_LOCK_NONE && !w->locked) {
      if (sysLock(h->state->fd, LOCK_EX | LOCK_NB) != 0) {
        err = errno;
        if (!h->state->shared) handleDetach(h);
        if (err != EWOULDBLOCK) return handleSystem(h, h->state_name, "lock", err);
        return handleError(h, MMAPSYNC_BUSY, "\"%s\": another writer holds the lock",
                           h->state_name);
      }
      w->locked = 1;
      fresh = 1;
      /* Until now another writer may have changed the files. */
      w->file[0].trusted = w->file[1].trusted = 0;
    }
    if (fresh) w->pid = (uint32_t)getpid();
    if (fresh && !stateIsCurrent(h)) {
      handleDetach(h);
      continue;
    }
    if (!h->state->shared) {
      rc = stateFinish(h);
      if (rc != MMAPSYNC_OK) {
        handleDetach(h);
        return rc;
      }
    }
    rc = drainOpen(h, fresh);
    if (rc == MMAPSYNC_OK && fresh) {
      /* relaxed: for people */
      atomic_store_explicit(&w->drain.page.shared->pid, w->pid, memory_order_relaxed);
    }
    /* Who takes the lock the next time begins anew. */
    if (rc != MMAPSYNC_OK) handleUnlock(h);
    return rc;
  }
  return stateVanished(h);
}

/* Ends a write, or a begin that failed: gives up a new file, or cuts the file back to `length` bytes; gives
** the lock back. */
static void writeEnd(mmapsync *h, size_t length) {
  HandleWriter *w = &h->writer;
  int forked = handleForked(h); /* what a child has is only a copy */
  int swept = 1;
  if (!forked && w->renewed) {
    swept = dataForget(h, w->index);
  } else if (!forked && w->file[w->index].fd >= 0) {
    dataTrim(&w->file[w->index], length);
  }
  if (forked) {
    w->told = w->shown = 0;
  } else {
    progressEnd(h, swept);
  }
  w->renewed = 0;
  if (h->opt.lock != MMAPSYNC_LOCK_HOLD) handleUnlock(h);
  w->open = 0;
}

/* ---- begin ------------------------------------------------------------------------------------ */

/* The trailer of the active snapshot, in the mapping this handle writes through if it reaches that far;
** otherwise mapped as a reader would.  *valid is 0 if it has none, as that of another kind of writer, or
** was cut off with the end of its file. */
static int writeActive(mmapsync *h, Trailer *t, int *valid) {
  HandleWriter *w = &h->writer;
  DataFile *f = &w->file[1 - w->index];
  size_t size = versionSize(w->active);

  *valid = 0;
  if (w->active == 0) return MMAPSYNC_OK;
  if (dataReaches(h, 1 - w->index, trailerEnd(size))) {
    *valid = trailerLoad((TrailerShared *)(void *)(f->base + trailerAt(size)), w->active, t);
    if (*valid) return MMAPSYNC_OK;
  }
  return readActive(h, w->active, t, valid);
}

static int writeSyncFolder(mmapsync *h) {
  int fd, err = 0;
  fd = sysOpen(h->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  if (fd < 0) return handleSystem(h, h->folder, "open", errno);
  /* Some file systems have nothing to sync in a folder, and say EINVAL. */
  if (sysSync(fd) != 0 && errno != EINVAL) err = errno;
  sysClose(fd);
  if (err) return handleSystem(h, h->folder, "sync", err);
  h->writer.folder_synced = 1;
  return MMAPSYNC_OK;
}

/*
** For a durable channel: puts the snapshot in force on the disk, with its file's name and the word that
** names it, unless it is known to be there.  A power failure leaves what the disk's copy of the state
** names.  If that is an older word (because the last writer was not durable, or died before W8), it may
** name the very file that W4 and W5 change.  `sequence` is that of the snapshot in force, 0 if unknown.
*/
static int writeSyncActive(mmapsync *h, uint64_t sequence) {
  HandleWriter *w = &h->writer;
  const char *name = h->data_name[1 - w->index];
  struct stat st;
  int fd, err = 0, rc;

  if (sequence != 0 && w->active == w->synced && sequence == w->synced_sequence) return MMAPSYNC_OK;
  rc = handleOpen(h, name, O_RDONLY, 0, &fd, &st, NULL);
  if (rc == MMAPSYNC_OK) {
    if (sysSyncData(fd) != 0) err = errno;
    sysClose(fd);
    if (err) return handleSystem(h, name, "sync", err);
  } else if (rc != MMAPSYNC_NOTFOUND && rc != MMAPSYNC_CANTOPEN) {
    return rc; /* a file that is missing is mended by this publish */
  }
  rc = writeSyncFolder(h);
  if (rc != MMAPSYNC_OK) return rc;
  if (sysSyncData(h->state->fd) != 0) return handleSystem(h, h->state_name, "sync", errno);
  w->synced = sequence ? w->active : 0;
  w->synced_sequence = sequence;
  return MMAPSYNC_OK;
}

/* Whether the file that is to be written is far longer than this write, the snapshot in force and the one it
** carried need.  A file that readers of the crate may have mapped stays: they do not notice a new one. */
static int writeShrinks(const mmapsync *h, size_t reserve) {
  const HandleWriter *w = &h->writer;
  size_t active = versionSize(w->active), carried = versionSize(w->carried);
  size_t need = reserve > active ? reserve : active;
  if (carried > need) need = carried;
  need = trailerEnd(need);
  return !w->foreign && h->opt.foreign != MMAPSYNC_FOREIGN_BUSY && w->active != 0 &&
         w->carried != 0 && w->before > SHRINK_LEAST &&
         w->before - SHRINK_LEAST > SHRINK_TIMES * need;
}

/* W2 to W4, with the lock held. */
static int writePrepare(mmapsync *h, size_t reserve) {
  HandleWriter *w = &h->writer;
  DataFile *f;
  TrailerShared *old = NULL;
  Trailer t;
  uint64_t known;
  size_t size = 0;
  int rc, valid;

  /* sequentially consistent: the looks at pins in drainWait() come after it, and so after the switch that
  ** made our file the inactive one */
  w->active = atomic_load_explicit(&h->state->shared->version, memory_order_seq_cst);
  w->index = w->active ? 1 - versionIndex(w->active) : 0;
  f = &w->file[w->index];
  w->before = SIZE_MAX; /* nothing to cut off yet */

  rc = writeActive(h, &t, &valid);
  if (rc == MMAPSYNC_OK && h->opt.durable && w->active != 0) {
    rc = writeSyncActive(h, valid ? t.sequence : 0);
  }
  if (rc == MMAPSYNC_OK) rc = dataOpen(h, w->index);
  if (rc != MMAPSYNC_OK) return rc;
  w->before = f->length;
  w->carried = f->word;
  if (valid) {
    w->carried = t.previous;
    if (t.sequence > w->last) w->last = t.sequence;
  }
  if (versionIndex(w->carried) != w->index) w->carried = 0;
  known = atomic_load_explicit(&w->drain.page.shared->sequence, memory_order_relaxed);
  if (known > w->last && known < SEQUENCE_MOST) w->last = known;

  /* Reserve and map as far as the old trailer, too. */
  if (w->carried && trailerEnd(versionSize(w->carried)) <= f->length) {
    size = versionSize(w->carried);
    rc = dataReserve(h, w->index, reserve > size ? reserve : size);
    if (rc == MMAPSYNC_OK) old = (TrailerShared *)(void *)(f->base + trailerAt(size));
  } else {
    rc = dataReserve(h, w->index, reserve);
  }
  if (rc != MMAPSYNC_OK) return rc;

  w->carried_known = old && trailerLoad(old, w->carried, &t);
  if (w->carried_known) {
    w->carried_hash = t.hash;
    if (t.sequence > w->last) w->last = t.sequence;
  }
  rc = drainWait(h);
  if (rc != MMAPSYNC_OK) return rc;
  if (!w->renew && writeShrinks(h, reserve)) w->renew = 1;
  if (w->renew) {
    progressTell(h, MMAPSYNC_PHASE_WRITING);
    rc = dataReplace(h, w->index, w->before, reserve);
    if (rc == MMAPSYNC_OK) {
      w->renewed = 1;
      w->before = 0;
    } else if (w->replaced) {
      return rc;
    }
  }
  /* A file that is only too long can be written to as it is. */
  if (!w->renewed && w->carried_known) trailerWipe(old);
  w->sequence = w->last + 1;
  w->limit = reserve;
  return MMAPSYNC_OK;
}

static int writeTooBig(mmapsync *h, size_t n) {
  return handleError(h, MMAPSYNC_TOOBIG,
                     "\"%s\": payload too big: expected at most %llu bytes, found %zu",
                     mmapsync_path(h), (unsigned long long)VERSION_SIZE_MAX, n);
}

static int writeNotOpen(mmapsync *h) {
  return handleError(h, MMAPSYNC_MISUSE, "\"%s\": no write is open", mmapsync_path(h));
}

/* A builder's write is the builder's: a commit from outside would publish half an image, and leave the
** builder writing into the active file. */
static int writeBuilding(mmapsync *h) {
  return handleError(h, MMAPSYNC_MISUSE, "\"%s\": a table image is being built", h->path);
}

static int writeBegin(mmapsync *h, size_t reserve, void **data) {
  HandleWriter *w = &h->writer;
  int rc;

  if (handleForked(h)) {
    rc = handleChild(h);
    if (rc != MMAPSYNC_OK) return rc;
  }
  if (h->builder) return writeBuilding(h);
  if (w->open) return handleError(h, MMAPSYNC_MISUSE, "\"%s\": a write is open", h->path);
  if (reserve > VERSION_SIZE_MAX) return writeTooBig(h, reserve);
  rc = writeLock(h);
  if (rc != MMAPSYNC_OK) return rc;
  rc = writePrepare(h, reserve);
  if (rc != MMAPSYNC_OK) {
    writeEnd(h, w->before);
    return rc;
  }
  w->open = 1;
  *data = w->file[w->index].base;
  return MMAPSYNC_OK;
}

int mmapsync_write_begin(mmapsync *h, size_t reserve, void **data) {
  int rc;
  handleBegin(h, "mmapsync_write_begin");
  rc = writeBegin(h, reserve, data);
  if (rc == MMAPSYNC_OK && reserve >= PROGRESS_LEAST) {
    progressShow(h, MMAPSYNC_PHASE_WRITING);
  } else if (rc == MMAPSYNC_OK) {
    progressTell(h, MMAPSYNC_PHASE_WRITING);
  }
  handleEnd(h);
  return rc;
}

int writeGrow(mmapsync *h, size_t reserve, void **data) {
  HandleWriter *w = &h->writer;
  int rc;

  if (!w->open || handleForked(h)) return writeNotOpen(h);
  if (reserve > VERSION_SIZE_MAX) return writeTooBig(h, reserve);
  if (reserve > w->limit) {
    rc = dataReserve(h, w->index, reserve);
    if (rc != MMAPSYNC_OK) return rc;
    w->limit = reserve;
  }
  *data = w->file[w->index].base;
  return MMAPSYNC_OK;
}

int mmapsync_write_grow(mmapsync *h, size_t reserve, void **data) {
  return h->builder ? writeBuilding(h) : writeGrow(h, reserve, data);
}

void writeAbort(mmapsync *h) {
  if (h->writer.open) writeEnd(h, h->writer.before);
}

void mmapsync_write_abort(mmapsync *h) {
  if (h->builder) {
    (void)writeBuilding(h);
  } else {
    writeAbort(h);
  }
}

/* ---- commit ----------------------------------------------------------------------------------- */

/*
** The new file takes the name, and readers are told that their mappings are of another.  The two raises of
** replaced[i] are sequentially consistent, and pair with pageReplaced() in readPin(): who maps the file by
** its name between them cannot tell which file it got, and so notes an odd number, which does not last.
*/
static int writeReplace(mmapsync *h) {
  HandleWriter *w = &h->writer;
  PageShared *page = w->drain.page.shared;
  _Atomic uint32_t *replaced = &page->replaced[w->index];
  uint32_t n = atomic_load_explicit(replaced, memory_order_relaxed);
  int rc;

  atomic_store_explicit(replaced, n + 1, memory_order_seq_cst);
  rc = dataRename(h, w->index);
  atomic_store_explicit(replaced, n + 2, memory_order_seq_cst);
  if (rc != MMAPSYNC_OK) return rc;
  w->renewed = 0;
  /* Last: who dies before this leaves pins to be waited for that need not be, and never the other way round. */
  atomic_store_explicit(&page->from[w->index], n + 2, memory_order_seq_cst);
  return MMAPSYNC_OK;
}

/* W6 to W8: publishes the first `size` bytes, whose hash is `hash`. */
static int writeFinish(mmapsync *h, size_t size, uint32_t kind, uint64_t hash,
                       mmapsync_result *out) {
  HandleWriter *w = &h->writer;
  DataFile *f = &w->file[w->index];
  uint64_t word = versionMake(w->index, size, hash);
  size_t keep = (trailerEnd(size) + h->page - 1) & ~(h->page - 1);
  mmapsync_result result = {0};
  Trailer t = {0};
  char reason[128];
  int rc = MMAPSYNC_OK, waiting;

  if (word == w->carried && !(w->carried_known && hash == w->carried_hash)) {
    word = versionPerturb(word);
  }
  assert(word != 0); /* version.h */
  t.kind = (uint16_t)kind;
  t.pid = w->pid;
  t.version = word;
  t.sequence = w->sequence;
  t.hash = hash;
  t.time_ns = sysWallClock();
  t.previous = w->active;
  trailerStore((TrailerShared *)(void *)(f->base + trailerAt(size)), &t);
  dataTrim(f, keep > w->before ? keep : w->before);
  if (h->opt.durable && sysSyncData(f->fd) != 0) {
    rc = handleSystem(h, h->data_name[w->index], "sync", errno);
  }
  if (rc == MMAPSYNC_OK && w->renewed) rc = writeReplace(h);
  if (rc == MMAPSYNC_OK && h->opt.durable && !w->folder_synced) rc = writeSyncFolder(h);
  if (rc != MMAPSYNC_OK) {
    writeEnd(h, w->before);
    return rc;
  }

  waiting = drainWaiting(h);
  /* sequentially consistent, the switch: pairs with the second look in slotEnter(), lockEnter() and
  ** counterEnter(), which also acquire the payload and the trailer it releases */
  atomic_store_explicit(&h->state->shared->version, word, memory_order_seq_cst);
  drainWake(h, waiting);
  f->word = word;
  w->last = w->sequence;
  /* relaxed, both: for the next writer, and for who attaches later */
  atomic_store_explicit(&w->drain.page.shared->sequence, w->sequence, memory_order_relaxed);
  if (w->boot == 0) w->boot = pageBoot();
  atomic_store_explicit(&w->drain.page.shared->boot, w->boot, memory_order_relaxed);
  result.sequence = w->sequence;
  result.version = word;
  result.size = size;
  result.waited_ms = w->waited_ms;
  result.reset = w->reset;
  result.replaced = w->replaced;
  result.held = w->drain.nheld;
  w->reset = 0;
  if (out) *out = result;
  /* Readers have it by now, so this failure alone does not leave things as they were. */
  if (h->opt.durable && sysSyncData(h->state->fd) != 0) {
    rc = handleError(h, MMAPSYNC_IOERR, "\"%s\": published, but cannot sync: %s", h->state_name,
                     handleReason(errno, reason, sizeof(reason)));
  } else if (h->opt.durable) {
    w->synced = word;
    w->synced_sequence = w->sequence;
  }
  writeEnd(h, SIZE_MAX);
  return rc;
}

int writeCommit(mmapsync *h, size_t size, uint32_t kind, mmapsync_result *out) {
  HandleWriter *w = &h->writer;
  uint64_t hash = 0;
  int rc = MMAPSYNC_OK;

  if (!w->open || handleForked(h)) return writeNotOpen(h);
  if (size > w->limit) {
    rc = handleError(h, MMAPSYNC_MISUSE,
                     "\"%s\": expected at most the %zu bytes handed out, found %zu", h->path,
                     w->limit, size);
  } else if (kind == 0 || kind > UINT16_MAX) {
    rc = handleError(h, MMAPSYNC_MISUSE, "\"%s\": no such kind of payload: %u", h->path, kind);
  } else {
    if (size >= PROGRESS_LEAST) progressShow(h, MMAPSYNC_PHASE_HASHING);
    rc = handleHash(h, NULL, w->file[w->index].base, size, &hash);
  }
  if (rc != MMAPSYNC_OK) {
    writeAbort(h);
    return rc;
  }
  return writeFinish(h, size, kind, hash, out);
}

int mmapsync_write_commit(mmapsync *h, size_t size, uint32_t kind, mmapsync_result *out) {
  int rc;
  handleBegin(h, "mmapsync_write_commit");
  rc = h->builder ? writeBuilding(h) : writeCommit(h, size, kind, out);
  handleEnd(h);
  return rc;
}

static int writeWhole(mmapsync *h, const void *data, size_t n, mmapsync_result *out) {
  uint64_t hash = 0;
  void *to;
  int rc;

  assert(data || n == 0);
  rc = writeBegin(h, n, &to);
  if (rc != MMAPSYNC_OK) return rc;
  if (n >= PROGRESS_LEAST) progressShow(h, MMAPSYNC_PHASE_WRITING);
  rc = handleHash(h, to, data, n, &hash);
  if (rc != MMAPSYNC_OK) {
    writeAbort(h);
    return rc;
  }
  return writeFinish(h, n, MMAPSYNC_KIND_RAW, hash, out);
}

int mmapsync_write(mmapsync *h, const void *data, size_t n, mmapsync_result *out) {
  int rc;
  handleBegin(h, "mmapsync_write");
  rc = writeWhole(h, data, n, out);
  handleEnd(h);
  return rc;
}
