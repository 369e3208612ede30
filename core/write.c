#define _GNU_SOURCE
/*
** write.c - the writer's half of the protocol.  W1 to W8 and P1 to P6 are those of state.h.
**
** A write is open from mmapsync_write_begin() to its commit or abort, and what it needs to know
** meanwhile stands in h->writer.  Everything that can fail comes before the switch (but for the last
** sync of a durable channel), and up to there nothing of the snapshot in force has changed, so a failure
** is undone by cutting off what the file has grown by and giving the lock back.  The snapshot before it
** is not brought back: W4 and W5 overwrite it.  Only a reader who has outlived the grace time can still
** look at that, and it loses it whether the write is committed or not; so `reset` is kept for the next
** result if it is not.  In steady state (the file is long enough, the lock is held or not asked for, no
** reader is in the way) a write makes no system call but to read the clock.
**
** SEQUENCE.  One more than the largest of: the active trailer's; the one the other file carried
** before; what this handle has published or read.  The last matters when the active snapshot has no
** trailer, because a writer of another kind published it, and after a channel was removed and made
** anew under a handle's hands.  Neither helps a handle that is new after a writer of another kind: it
** finds no trailer behind the active payload, nor, since only that would tell where, the one in the
** other file.  It starts at 1 again.
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
#define LOCK_ROUNDS   16

/* The sleeps of a writer that waits for readers, in ns: the first, and the longest. */
#define WAIT_SHORTEST 1000u
#define WAIT_LONGEST  10000000u

#define NS_PER_MS     1000000u

/* ---- the lock --------------------------------------------------------------------------------- */

/*
** W1.  Opens the state file, or makes it, and takes the lock as the options say.  The lock is on the
** file, not on its name: when it is taken, the name must still lead to this file, or else two writers
** could each hold the lock of another file of that name.
*/
static int writeLock(mmapsync *h) {
  HandleWriter *w = &h->writer;
  int rc, err, round, fresh;

  for (round = 0; round < LOCK_ROUNDS; round++) {
    fresh = 0;
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
    if (h->state->shared) return MMAPSYNC_OK;
    rc = stateFinish(h);
    if (rc != MMAPSYNC_OK) handleDetach(h);
    return rc;
  }
  return handleError(h, MMAPSYNC_IOERR, "\"%s\": removed as often as it was made", h->state_name);
}

/* Ends a write, or a begin that failed: cuts the file back to `length` bytes, gives the lock back. */
static void writeEnd(mmapsync *h, size_t length) {
  HandleWriter *w = &h->writer;
  if (w->file[w->index].fd >= 0) dataTrim(h, w->index, length);
  if (h->opt.lock != MMAPSYNC_LOCK_HOLD) handleUnlock(h);
  w->open = 0;
}

/* ---- begin ------------------------------------------------------------------------------------ */

/* W3.  Waits until nobody reads the file that is to be written, or sets its counter to 0 when the
** grace time is over. */
static int writeWait(mmapsync *h) {
  HandleWriter *w = &h->writer;
  _Atomic uint32_t *readers = &h->state->shared->readers[w->index];
  uint64_t grace = (uint64_t)h->opt.grace_ms * NS_PER_MS;
  uint64_t pause = WAIT_SHORTEST;
  uint64_t start, spent;
  int rc = MMAPSYNC_OK;

  w->waited_ms = 0;
  /* sequentially consistent: pairs with the claim and the second look in readEnter(); it also
  ** acquires what readLeave() released */
  if (atomic_load_explicit(readers, memory_order_seq_cst) == 0) return MMAPSYNC_OK;

  start = sysSteadyClock();
  for (;;) {
    spent = sysSteadyClock() - start;
    if (spent >= grace) {
      /* acquire: as above, of those that left in the last moment */
      if (atomic_exchange_explicit(readers, 0, memory_order_seq_cst) != 0) w->reset = 1;
      break;
    }
    rc = handleProgress(h);
    if (rc != MMAPSYNC_OK) break;
    sysSleep(pause < grace - spent ? pause : grace - spent);
    pause = pause < WAIT_LONGEST / 2 ? 2 * pause : WAIT_LONGEST;
    if (atomic_load_explicit(readers, memory_order_seq_cst) == 0) break;
  }
  spent = sysSteadyClock() - start;
  w->waited_ms = (uint32_t)((spent + NS_PER_MS / 2) / NS_PER_MS);
  return rc;
}

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

/* W2 to W4, with the lock held. */
static int writePrepare(mmapsync *h, size_t reserve) {
  HandleWriter *w = &h->writer;
  DataFile *f;
  TrailerShared *old = NULL;
  Trailer t;
  size_t size = 0;
  int rc, valid;

  /* sequentially consistent: the look at the counter in writeWait() comes after it, and so after the
  ** switch that made our file the inactive one */
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
  rc = writeWait(h);
  if (rc != MMAPSYNC_OK) return rc;
  if (w->carried_known) trailerWipe(old);
  w->sequence = w->last + 1;
  w->limit = reserve;
  return MMAPSYNC_OK;
}

static int writeTooBig(mmapsync *h, size_t n) {
  return handleError(h, MMAPSYNC_TOOBIG,
                     "\"%s\": payload too big: expected at most %llu bytes, found %zu", h->path,
                     (unsigned long long)VERSION_SIZE_MAX, n);
}

static int writeNotOpen(mmapsync *h) {
  return handleError(h, MMAPSYNC_MISUSE, "\"%s\": no write is open", mmapsync_path(h));
}

/* A builder's write is the builder's: a commit from outside would publish half an image, and leave the
** builder writing into the active file. */
static int writeBuilding(mmapsync *h) {
  return handleError(h, MMAPSYNC_MISUSE, "\"%s\": a table image is being built", h->path);
}

int mmapsync_write_begin(mmapsync *h, size_t reserve, void **data) {
  HandleWriter *w = &h->writer;
  int rc;

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

int writeGrow(mmapsync *h, size_t reserve, void **data) {
  HandleWriter *w = &h->writer;
  int rc;

  if (!w->open) return writeNotOpen(h);
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

/* A child that ends its copy of a handle must not cut off what its parent is writing to. */
void writeAbort(mmapsync *h) {
  if (h->writer.open) writeEnd(h, handleForked(h) ? SIZE_MAX : h->writer.before);
}

void mmapsync_write_abort(mmapsync *h) {
  if (h->builder) {
    (void)writeBuilding(h);
  } else {
    writeAbort(h);
  }
}

/* ---- commit ----------------------------------------------------------------------------------- */

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
  int rc = MMAPSYNC_OK;

  if (word == 0 || (word == w->carried && !(w->carried_known && hash == w->carried_hash))) {
    word = versionPerturb(word, w->carried);
  }
  t.kind = (uint16_t)kind;
  t.pid = w->pid;
  t.version = word;
  t.sequence = w->sequence;
  t.hash = hash;
  t.time_ns = sysWallClock();
  t.previous = w->active;
  trailerStore((TrailerShared *)(void *)(f->base + trailerAt(size)), &t);
  dataTrim(h, w->index, keep > w->before ? keep : w->before);
  if (h->opt.durable) {
    if (!w->folder_synced) rc = writeSyncFolder(h);
    if (rc == MMAPSYNC_OK && sysSyncData(f->fd) != 0) {
      rc = handleSystem(h, h->data_name[w->index], "sync", errno);
    }
    if (rc != MMAPSYNC_OK) {
      writeEnd(h, w->before);
      return rc;
    }
  }

  /* sequentially consistent, the switch: pairs with the second look in readEnter(), which also
  ** acquires the payload and the trailer it releases */
  atomic_store_explicit(&h->state->shared->version, word, memory_order_seq_cst);
  f->word = word;
  w->last = w->sequence;
  result.sequence = w->sequence;
  result.version = word;
  result.size = size;
  result.waited_ms = w->waited_ms;
  result.reset = w->reset;
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

  if (!w->open) return writeNotOpen(h);
  if (size > w->limit) {
    rc = handleError(h, MMAPSYNC_MISUSE,
                     "\"%s\": expected at most the %zu bytes handed out, found %zu", h->path,
                     w->limit, size);
  } else if (kind == 0 || kind > UINT16_MAX) {
    rc = handleError(h, MMAPSYNC_MISUSE, "\"%s\": no such kind of payload: %u", h->path, kind);
  } else {
    rc = handleHash(h, NULL, w->file[w->index].base, size, &hash);
  }
  if (rc != MMAPSYNC_OK) {
    writeAbort(h);
    return rc;
  }
  return writeFinish(h, size, kind, hash, out);
}

int mmapsync_write_commit(mmapsync *h, size_t size, uint32_t kind, mmapsync_result *out) {
  return h->builder ? writeBuilding(h) : writeCommit(h, size, kind, out);
}

int mmapsync_write(mmapsync *h, const void *data, size_t n, mmapsync_result *out) {
  uint64_t hash = 0;
  void *to;
  int rc;

  assert(data || n == 0);
  rc = mmapsync_write_begin(h, n, &to);
  if (rc != MMAPSYNC_OK) return rc;
  rc = handleHash(h, to, data, n, &hash);
  if (rc != MMAPSYNC_OK) {
    writeAbort(h);
    return rc;
  }
  return writeFinish(h, n, MMAPSYNC_KIND_RAW, hash, out);
}
