#define _GNU_SOURCE
/*
** copy.c - reading a private copy of each snapshot, for who does not trust those who may write the channel's files.
**
** A process that looks at a mapped page past the end of its file gets the signal SIGBUS, and ends.  Who may write a
** file may cut it short at any moment, so no check before the look helps; and a handler for that signal belongs to
** the program, not to a library in it.  Nor do bytes stand still that are mapped: what is checked here may be another
** when SQLite looks at it again.  So with MMAPSYNC_TRUST_COPY a reader maps no file at all.  It
**
**     1. reads the state, 16 bytes;
**     2. opens the data file that it names, and reads the trailer behind the payload;
**     3. is done, if that is the trailer of the copy it has;
**     4. reads the payload into memory of its own, and compares that with the trailer's hash.
**
** All by pread(), of which the worst that can come is an error or fewer bytes than there should be.  What is then
** served is one process' own: it stays as it is, whoever does what to the files, and it is what some publisher
** has published under that version, for its trailer names the version, and its hash is right.  (One who writes a
** trailer and the hash that goes with it is a publisher; that its image may lie is known to imageopen.c.)
**
** Steps 1 and 2 are made for every read, and cost some microseconds.  Step 4 is made once a snapshot, and costs
** what it takes to copy and hash it, and its size in memory, in each process; the copy before it gives its memory,
** unless it is still in use.  (Memory sealed against shrinking, memfd_create(), would need no copy.  But it has no name that
** a reader could open, so a process would have to hand it out; and the seal can be had from a publisher only, who
** is the one not to be trusted.)
**
** PINS.  None is needed for the bytes to be right.  But a publisher who is quick overwrites them before they are
** copied, and that shows as a wrong hash under a version that has changed: then all is done again.  From the third
** time on the reader pins the file as one that pins by locks does (pins.h), which is done with a descriptor alone,
** so that honest writers wait; they also wait for it no longer than the grace time.  The order that state.h asks for
** is not kept to the letter here, since nothing but the number of rounds depends on it.
**
** A payload without a trailer, of the mmap-sync crate, has no hash to compare with, and is refused.
*/
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "handle.h"
#include "hash.h"
#include "sys.h"
#include "version.h"

/* How often a snapshot that has gone in the meantime is tried again, and how often without a pin. */
#define COPY_ROUNDS  32
#define COPY_FREE    2

/* Memory that is so many times what is needed is not kept. */
#define SPARE_TIMES  4

/* Bytes read and hashed, while they are in a core's cache; and from one question whether to go on to the next. */
#define COPY_CHUNK   ((size_t)128 << 10)
#define COPY_STRETCH ((size_t)16 << 20)

void copyForget(mmapsync *h) {
  dataUnref(h->copy);
  h->copy = NULL;
}

/* ---- pins ------------------------------------------------------------------------------------------- */

/* Pins data file `index` until the descriptor is closed; -1: not so.  That it cannot be had is no failure. */
static int copyPin(mmapsync *h, unsigned index) {
  PageShared page;
  int fd = -1;
  off_t at;

  if (pageLook(h, &fd, &page) != MMAPSYNC_OK) return -1;
  at = PAGE_PIN_FILE(index) +
       (off_t)atomic_load_explicit(&page.replaced[index], memory_order_relaxed);
  if (sysBytesLock(fd, F_RDLCK, PAGE_PRESENCE, 1) == 0) {
    (void)pageLook(h, NULL, &page);
    if (atomic_load_explicit(&page.window, memory_order_relaxed) != 0) sysSleep(WINDOW_NS + 1);
    (void)sysBytesLock(fd, F_RDLCK, at, 1);
  }
  return fd;
}

/* ---- the trailer and the payload -------------------------------------------------------------------- */

/* The data file of `version`, which is long enough for its payload. */
static int copyOpen(mmapsync *h, uint64_t version, int *fd, struct stat *st) {
  const char *name = h->data_name[versionIndex(version)];
  int rc = handleOpen(h, name, O_RDONLY, 0, fd, st, NULL);
  if (rc == MMAPSYNC_NOTFOUND) {
    return handleError(h, MMAPSYNC_CANTOPEN, "\"%s\": missing, but the state says it is in use",
                       name);
  }
  return rc;
}

static int copyShort(mmapsync *h, uint64_t version, uint64_t found) {
  return handleError(h, MMAPSYNC_CORRUPT, "\"%s\": expected at least %zu bytes, found %llu",
                     h->data_name[versionIndex(version)], versionSize(version),
                     (unsigned long long)found);
}

static int copyTrailer(mmapsync *h, int fd, const struct stat *st, uint64_t version, Trailer *out) {
  const char *name = h->data_name[versionIndex(version)];
  size_t size = versionSize(version);
  TrailerShared t;
  ssize_t got;

  if ((uint64_t)st->st_size < size) return copyShort(h, version, (uint64_t)st->st_size);
  got = sysReadAt(fd, &t, sizeof(t), (off_t)trailerAt(size));
  if (got < 0) return handleSystem(h, name, "read", errno);
  if (got == (ssize_t)sizeof(t)) {
    if (trailerLoad(&t, version, out)) return MMAPSYNC_OK;
    if (trailerNewer(out, version)) return dataNewer(h, versionIndex(version), out->format);
  }
  return handleError(h, MMAPSYNC_CORRUPT,
                     "\"%s\": no valid trailer: only a snapshot with its hash can be copied", name);
}

/* Memory for a copy: that of the one before, if nobody uses it any more and it fits, since fresh pages cost more than
** what is read to them.  A page behind the copy is zero: data.h, GUARD. */
static DataMap *copyRoom(mmapsync *h, size_t size) {
  size_t need = (size + h->page - 1) / h->page * h->page + h->page;
  DataMap *map = h->copy;
  void *base;

  h->copy = NULL;
  if (map && map->refs == 1 && map->mapped >= need && map->mapped / SPARE_TIMES <= need) {
    memset((uint8_t *)(uintptr_t)map->base + size, 0, need - size);
    map->length = size;
    return map;
  }
  dataUnref(map);
  map = calloc(1, sizeof(*map));
  if (!map) return NULL;
  base = sysMap(need, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  if (!base) {
    free(map);
    return NULL;
  }
  map->refs = 1;
  map->length = size;
  map->mapped = need;
  map->base = map->region = base;
  return map;
}

/* Reads `size` bytes to `to`, and their hash.  *got is how many there were. */
static int copyBytes(mmapsync *h, int fd, uint8_t *to, size_t size, const char *name, size_t *got,
                     uint64_t *hash) {
  size_t stretch = 0;
  Hash state;

  hashStart(&state);
  for (*got = 0; *got < size;) {
    size_t n = size - *got < COPY_CHUNK ? size - *got : COPY_CHUNK;
    ssize_t k = sysReadAt(fd, to + *got, n, (off_t)*got);
    if (k < 0) return handleSystem(h, name, "read", errno);
    if (k == 0) break;
    hashMore(&state, to + *got, (size_t)k);
    *got += (size_t)k;
    stretch += (size_t)k;
    if (stretch >= COPY_STRETCH) {
      int rc = handleProgress(h);
      if (rc != MMAPSYNC_OK) return rc;
      stretch = 0;
    }
  }
  *hash = hashEnd(&state);
  return MMAPSYNC_OK;
}

/* Makes h->copy one of the snapshot whose trailer is *t, in the open file. */
static int copyMake(mmapsync *h, int fd, const struct stat *st, const Trailer *t) {
  const char *name = h->data_name[versionIndex(t->version)];
  size_t got, size = versionSize(t->version);
  uint64_t hash = 0;
  DataMap *map;
  int rc;

  if (dataHoles((uint64_t)st->st_size, (uint64_t)st->st_blocks)) {
    return handleError(h, MMAPSYNC_CORRUPT, "\"%s\": damaged: mostly holes", name);
  }
  map = copyRoom(h, size);
  if (!map) return handleNomem(h);
  rc = copyBytes(h, fd, (uint8_t *)(uintptr_t)map->base, size, name, &got, &hash);
  if (rc == MMAPSYNC_OK && got < size) {
    rc = copyShort(h, t->version, got);
  } else if (rc == MMAPSYNC_OK && hash != t->hash) {
    rc = handleError(h, MMAPSYNC_CORRUPT, "\"%s\": damaged: expected hash %016llx, found %016llx",
                     name, (unsigned long long)t->hash, (unsigned long long)hash);
  }
  if (rc != MMAPSYNC_OK) {
    dataUnref(map);
    return rc;
  }
  h->copy = map;
  h->copied = *t;
  return MMAPSYNC_OK;
}

/* ---- rounds ------------------------------------------------------------------------------------------ */

/* What is wanted of the newest snapshot. */
enum { WANT_TRAILER, WANT_COPY, WANT_ANEW };

static int copyTry(mmapsync *h, uint64_t version, int want, Trailer *out) {
  struct stat st;
  int fd, rc = copyOpen(h, version, &fd, &st);
  if (rc != MMAPSYNC_OK) return rc;
  rc = copyTrailer(h, fd, &st, version, out);
  if (rc == MMAPSYNC_OK && want != WANT_TRAILER &&
      (want == WANT_ANEW || !h->copy || memcmp(out, &h->copied, sizeof(*out)) != 0)) {
    rc = copyMake(h, fd, &st, out);
  }
  sysClose(fd);
  return rc;
}

/* The version word in force, which is not 0. */
static int copyVersion(mmapsync *h, uint64_t *version) {
  StateShared state;
  int rc = stateLook(h, &state);
  if (rc == MMAPSYNC_OK) *version = atomic_load_explicit(&state.version, memory_order_relaxed);
  if (rc == MMAPSYNC_OK && *version == 0) {
    rc = handleError(h, MMAPSYNC_EMPTY, "\"%s\": nothing published yet", h->path);
  }
  return rc;
}

/* Whether a failure may come of another snapshot's being in force by now. */
static int copyPassed(int rc) { return rc == MMAPSYNC_CORRUPT || rc == MMAPSYNC_CANTOPEN; }

static int copyNewest(mmapsync *h, int want, Trailer *out) {
  char message[HANDLE_MESSAGE_MAX];
  uint64_t version, now;
  int round, rc, pin;

  for (round = 0; round < COPY_ROUNDS; round++) {
    rc = copyVersion(h, &version);
    if (rc != MMAPSYNC_OK) return rc;
    pin = -1;
    if (round >= COPY_FREE && want != WANT_TRAILER) {
      pin = copyPin(h, versionIndex(version));
      rc = copyVersion(h, &version); /* pinned or not: at worst there is another round */
    }
    if (rc == MMAPSYNC_OK) rc = copyTry(h, version, want, out);
    if (pin >= 0) sysClose(pin);
    if (!copyPassed(rc)) return rc;
    memcpy(message, h->message, sizeof(message));
    if (copyVersion(h, &now) != MMAPSYNC_OK || now != version) continue;
    memcpy(h->message, message, sizeof(message));
    return rc;
  }
  return handleError(h, MMAPSYNC_BUSY, "\"%s\": published anew faster than it can be copied",
                     h->path);
}

/* ---- for read.c -------------------------------------------------------------------------------------- */

int copyLook(mmapsync *h, uint64_t *version, uint64_t *sequence) {
  Trailer t;
  int rc = copyNewest(h, WANT_TRAILER, &t);
  if (rc != MMAPSYNC_OK) return rc;
  *version = t.version;
  *sequence = t.sequence;
  return MMAPSYNC_OK;
}

int copyRead(mmapsync *h, int anew, mmapsync_view *view) {
  HandleAbout *about = &h->about;
  Trailer t;
  int rc;

  view->map = NULL;
  rc = copyNewest(h, anew ? WANT_ANEW : WANT_COPY, &t);
  if (rc != MMAPSYNC_OK) return rc;
  about->version = t.version;
  about->word = t.sequence;
  about->valid = 1;
  about->trailer = t;
  if (t.sequence > h->writer.last) h->writer.last = t.sequence;
  h->copy->refs++;
  view->map = h->copy;
  view->data = h->copy->base;
  view->size = h->copy->length;
  view->version = t.version;
  view->sequence = t.sequence;
  view->time_ns = t.time_ns;
  view->hash = t.hash;
  view->kind = t.kind;
  view->pid = t.pid;
  view->switched = 0;
  view->pin = MMAPSYNC_PIN_AUTO;
  view->noted = 0;
  h->views++;
  return MMAPSYNC_OK;
}
