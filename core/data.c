#define _GNU_SOURCE
/*
** data.c - data files: trailers, mappings for readers, files for writers.  What they are: data.h.
**
** ROOM.  A store to a mapped page that has no block behind it kills the process with SIGBUS when the
** device is full, so a writer never hands out a byte that is not reserved: dataReserve() has the
** device set the blocks aside (posix_fallocate), for the payload and its trailer, before the range is
** mapped.  That a file is long enough proves nothing, since it may have holes that somebody's
** ftruncate() made; so a handle reserves the whole range the first time it uses a file, and remembers.
**
** LENGTH.  A look at a mapped page past the file's end kills, too.  A writer sees to it that a file it
** has not looked after, because others held the lock meanwhile, is still as long as it was before it
** touches it.  A reader cannot: who cuts off what readers have mapped kills them, unless they read private copies
** (copy.c).
**
** A reader touches no more of a file than the snapshot it has pinned and its trailer take.  So whatever a
** write in progress has added to the file's end can be cut off again.
*/
#include "data.h"

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

#define DATA_MODE    0640

/* Bytes reserved in one system call.  A signal may undo all that a call has done (on tmpfs it does), and
** then it is made again: in steps, a process whose timer ticks gets on, and can be told to stop. */
#define RESERVE_STEP ((size_t)64 << 20)

static const char trailerMagic[8] = {'m', 'm', 'a', 'p', 's', 'y', 'n', 'c'};

/* What an empty file is "mapped" to: mmap() refuses a length of 0, and a view's data is not NULL. */
static const _Alignas(64) uint8_t dataNothing[64] = {0};

/* ---- trailers --------------------------------------------------------------------------------- */

static uint64_t trailerCheck(const Trailer *t) { return hashBytes(t, offsetof(Trailer, check)); }

int trailerLoad(const TrailerShared *from, uint64_t version, Trailer *out) {
  uint64_t copy[TRAILER_SIZE / 8];
  size_t i;
  for (i = 0; i < TRAILER_SIZE / 8; i++) {
    /* relaxed: the acquire load of the version word in slotEnter() and its like came before */
    copy[i] = atomic_load_explicit(&from->word[i], memory_order_relaxed);
  }
  memcpy(out, copy, sizeof(*out));
  return memcmp(out->magic, trailerMagic, sizeof(trailerMagic)) == 0 &&
         out->format == TRAILER_FORMAT && out->version == version &&
         out->sequence - 1 < SEQUENCE_MOST - 1 && out->check == trailerCheck(out);
}

int trailerNewer(const Trailer *t, uint64_t version) {
  return memcmp(t->magic, trailerMagic, sizeof(trailerMagic)) == 0 && t->format > TRAILER_FORMAT &&
         t->version == version;
}

int dataNewer(mmapsync *h, unsigned index, unsigned format) {
  return handleError(h, MMAPSYNC_CORRUPT,
                     "\"%s\": snapshot with a trailer of format %u: this library reads format %d: "
                     "upgrade it",
                     h->data_name[index], format, TRAILER_FORMAT);
}

void trailerStore(TrailerShared *to, Trailer *t) {
  uint64_t copy[TRAILER_SIZE / 8];
  size_t i;
  memcpy(t->magic, trailerMagic, sizeof(trailerMagic));
  t->format = TRAILER_FORMAT;
  t->check = trailerCheck(t);
  memcpy(copy, t, sizeof(copy));
  for (i = 0; i < TRAILER_SIZE / 8; i++) {
    /* relaxed: the store of the version word in writeFinish() comes after */
    atomic_store_explicit(&to->word[i], copy[i], memory_order_relaxed);
  }
}

void trailerWipe(TrailerShared *to) {
  size_t i;
  for (i = 0; i < TRAILER_SIZE / 8; i++) {
    atomic_store_explicit(&to->word[i], 0, memory_order_relaxed);
  }
}

/* ---- mappings --------------------------------------------------------------------------------- */

int dataHoles(uint64_t size, uint64_t blocks) {
  /* No blocks at all: a file system that does not tell. */
  return size > HOLES_LEAST && blocks != 0 && blocks < size / 512 / HOLES_TIMES;
}

void dataOrphan(mmapsync *h, unsigned index) {
  DataMap *map = h->maps[index];
  map->orphan = 1;
  h->state->pins->held[index] -= map->held;
}

int dataMap(mmapsync *h, unsigned index, uint64_t version, uint32_t replaced) {
  const char *name = h->data_name[index];
  size_t size = versionSize(version);
  DataMap *old = h->maps[index];
  DataMap *map = NULL;
  struct stat st;
  size_t length;
  void *base;
  int fd, rc;

  assert(h->state && index == versionIndex(version));
  rc = handleOpen(h, name, O_RDONLY, 0, &fd, &st, NULL);
  if (rc == MMAPSYNC_NOTFOUND) {
    return handleError(h, MMAPSYNC_CANTOPEN, "\"%s\": missing, but the state says it is in use",
                       name);
  }
  if (rc != MMAPSYNC_OK) return rc;

  if ((uint64_t)st.st_size < size) {
    rc = handleError(h, MMAPSYNC_CORRUPT, "\"%s\": expected at least %zu bytes, found %lld", name,
                     size, (long long)st.st_size);
    goto done;
  }
  length = trailerEnd(size);
  if ((uint64_t)st.st_size < length) length = (size_t)st.st_size;
  /* A mapping that ends past the file's end is of a file that was cut short: a look there kills. */
  if (old && handleSame(&st, old->device, old->inode) && old->length >= length &&
      old->length <= (uint64_t)st.st_size) {
    old->checked = version;
    old->replaced = replaced;
    goto done;
  }

  map = malloc(sizeof(*map));
  if (!map) {
    rc = handleNomem(h);
    goto done;
  }
  map->mapped = 0;
  base = length ? sysMapGuarded(length, h->page, fd, &map->region, &map->mapped) : NULL;
  if (length && !base) {
    rc = handleSystem(h, name, "map", errno);
    free(map);
    goto done;
  }
  map->refs = 1;
  map->held = 0;
  map->orphan = 0;
  map->index = index;
  map->state = stateRef(h->state);
  map->base = base ? base : dataNothing;
  map->length = length;
  map->holes = dataHoles((uint64_t)st.st_size, (uint64_t)st.st_blocks);
  map->device = st.st_dev;
  map->inode = st.st_ino;
  map->checked = version;
  map->replaced = replaced;
  if (old && !handleSame(&st, old->device, old->inode)) dataOrphan(h, index);
  h->maps[index] = map;
  h->prepared = 0;
  h->about.version = 0; /* it may have been of the file's other mapping */
  dataUnref(old);

done:
  sysClose(fd);
  return rc;
}

void dataUnmap(DataMap *map) {
  if (map->mapped) sysUnmap(map->region, map->mapped);
  stateUnref(map->state);
  free(map);
}

/* ---- files ------------------------------------------------------------------------------------ */

/* Closes a file that is no longer the one at its path.  One that was cut short must be reserved again,
** and what it carried is gone. */
static void dataCheck(mmapsync *h, unsigned index) {
  DataFile *f = &h->writer.file[index];
  struct stat st;

  if (sysStat(h->data_name[index], &st) != 0 || !handleSame(&st, f->device, f->inode)) {
    dataClose(f);
    return;
  }
  f->length = (size_t)st.st_size;
  if (f->reserved > f->length) {
    f->reserved = 0;
    f->word = 0;
  }
  f->trusted = 1;
}

int dataOpen(mmapsync *h, unsigned index) {
  DataFile *f = &h->writer.file[index];
  struct stat st;
  int rc, created = 0;

  if (f->fd >= 0 && !f->trusted) dataCheck(h, index);
  if (f->fd >= 0) return MMAPSYNC_OK;
  rc = handleOpen(h, h->data_name[index], O_RDWR, DATA_MODE, &f->fd, &st, &created);
  if (rc != MMAPSYNC_OK) return rc;
  if (created) h->writer.folder_synced = 0;
  f->device = st.st_dev;
  f->inode = st.st_ino;
  f->base = NULL;
  f->mapped = 0;
  f->length = (size_t)st.st_size;
  f->reserved = 0;
  f->word = 0;
  f->trusted = 1;
  return MMAPSYNC_OK;
}

int dataReaches(mmapsync *h, unsigned index, size_t end) {
  const DataFile *f = &h->writer.file[index];
  struct stat st;
  if (f->fd < 0 || end > f->mapped) return 0;
  if (f->trusted) return end <= f->length;
  return sysFstat(f->fd, &st) == 0 && st.st_nlink != 0 && (uint64_t)st.st_size >= end;
}

/* Sets blocks aside up to `want`; what was begun in vain is for the caller to cut off. */
static int dataFill(mmapsync *h, unsigned index, size_t want, size_t size) {
  DataFile *f = &h->writer.file[index];
  const char *name = h->data_name[index];
  struct stat st;
  size_t n;
  int err, rc = MMAPSYNC_OK;

  while (rc == MMAPSYNC_OK && f->reserved < want) {
    n = want - f->reserved < RESERVE_STEP ? want - f->reserved : RESERVE_STEP;
    err = sysReserve(f->fd, (off_t)f->reserved, (off_t)n);
    if (err) {
      /* Some file systems keep what they got hold of. */
      if (sysFstat(f->fd, &st) == 0) f->length = (size_t)st.st_size;
      return handleRoom(h, name, size, err);
    }
    f->reserved += n;
    if (f->length < f->reserved) f->length = f->reserved;
    if (f->reserved < want) rc = handleProgress(h);
  }
  return rc;
}

int dataReserve(mmapsync *h, unsigned index, size_t size) {
  DataFile *f = &h->writer.file[index];
  size_t want = (trailerEnd(size) + h->page - 1) & ~(h->page - 1);
  size_t before = f->length;
  void *base;
  int rc;

  assert(f->fd >= 0 && size <= VERSION_SIZE_MAX);
  rc = dataFill(h, index, want, size);
  if (rc == MMAPSYNC_OK && want > f->mapped) {
    base = f->base ? sysRemap(f->base, f->mapped, want)
                   : sysMap(want, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd);
    if (base) {
      f->base = base;
      f->mapped = want;
    } else {
      rc = handleSystem(h, h->data_name[index], "map", errno);
    }
  }
  if (rc != MMAPSYNC_OK) dataTrim(f, before);
  return rc;
}

/* A failure is no harm: the file stays longer than it need be. */
void dataTrim(DataFile *f, size_t length) {
  if (f->length <= length || sysTruncate(f->fd, (off_t)length) != 0) return;
  f->length = length;
  if (f->reserved > length) f->reserved = length;
}

/* Makes the new file, into *f, with what readers must find at the name: who may read it.  That this cannot be
** had is a failure: readers who can no longer open the file would be a greater one. */
static int dataMake(mmapsync *h, unsigned index, DataFile *f) {
  const char *name = h->new_name[index];
  struct stat old, st;
  int rc, created = 0;

  if (sysFstat(h->writer.file[index].fd, &old) != 0) {
    return handleSystem(h, h->data_name[index], "look at", errno);
  }
  if (sysUnlink(name) != 0 && errno != ENOENT) return handleSystem(h, name, "remove", errno);
  rc = handleOpen(h, name, O_RDWR, DATA_MODE, &f->fd, &st, &created);
  if (rc != MMAPSYNC_OK) return rc;
  if (((st.st_uid != old.st_uid || st.st_gid != old.st_gid) &&
       sysChown(f->fd, old.st_uid, old.st_gid) != 0) ||
      ((st.st_mode ^ old.st_mode) & 07777 && sysChmod(f->fd, old.st_mode & 07777) != 0)) {
    return handleSystem(h, name, "give owner and permissions to", errno);
  }
  f->device = st.st_dev;
  f->inode = st.st_ino;
  f->length = (size_t)st.st_size;
  f->trusted = 1;
  return MMAPSYNC_OK;
}

int dataReplace(mmapsync *h, unsigned index, size_t length, size_t size) {
  DataFile *f = &h->writer.file[index];
  DataFile made = {.fd = -1}, old = *f;
  int rc = dataMake(h, index, &made);

  if (rc == MMAPSYNC_OK) {
    *f = made;
    rc = dataReserve(h, index, size);
    made = *f;
    *f = old;
  }
  if (rc != MMAPSYNC_OK) {
    dataClose(&made);
    (void)sysUnlink(h->new_name[index]); /* it may have been made before something failed */
    return rc;
  }
  dataTrim(f, length);
  dataClose(f);
  *f = made;
  return MMAPSYNC_OK;
}

int dataRename(mmapsync *h, unsigned index) {
  if (sysRename(h->new_name[index], h->data_name[index]) != 0) {
    return handleSystem(h, h->new_name[index], "rename", errno);
  }
  h->writer.folder_synced = 0;
  return MMAPSYNC_OK;
}

int dataForget(mmapsync *h, unsigned index) {
  dataClose(&h->writer.file[index]);
  return sysUnlink(h->new_name[index]) == 0 || errno == ENOENT;
}

void dataSweep(mmapsync *h) {
  (void)sysUnlink(h->new_name[0]);
  (void)sysUnlink(h->new_name[1]);
}

void dataClose(DataFile *f) {
  if (f->fd < 0) return;
  if (f->base) sysUnmap(f->base, f->mapped);
  sysClose(f->fd);
  f->fd = -1;
  f->base = NULL;
}
