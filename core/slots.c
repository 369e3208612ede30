#define _GNU_SOURCE
/*
** slots.c - P_readers: claiming a slot, and looking at all of them.  Layout and rules: slots.h.
**
** CLAIMING.  A slot may be taken over when the lock on its byte can be had.  To find one without asking
** the kernel about each: first those whose pid is 0, which their owners gave back; then a few whose owners
** may have died, a few more with each search (header.probe), so that the dead are found in the end and a
** crowd of living readers does not make every attach slow; then a new one behind the last.
**
** SIGNATURE.  The layout of both P_writer and P_readers, as a number: raised by hand when the meaning of a
** field changes, and by itself when a size or an offset does.
*/
#include "slots.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "handle.h"
#include "page.h"
#include "sys.h"

#define SLOTS_MODE    0660
#define SLOTS_MAGIC   "mmapsrd" /* and its NUL */

/* Raised when readers and writers of two builds would not understand each other's pins. */
#define LAYOUT_FORMAT UINT64_C(2)

/* Slots of the dead that one search asks the kernel about. */
#define PROBE_MOST    16u

/* Slots that are somebody's, though they look free, before a search gives up: as many may attach at this moment,
** or else somebody holds what he does not use. */
#define TAKEN_MOST    4096u

/* The file grows by this much. */
#define GROW_STEP     4096u

uint64_t slotsLayout(void) {
  return LAYOUT_FORMAT << 48 | (uint64_t)sizeof(Slot) << 32 |
         (uint64_t)offsetof(SlotsShared, slot) << 16 | (uint64_t)offsetof(PageShared, sequence);
}

static uint64_t slotsMagic(void) {
  uint64_t magic;
  memcpy(&magic, SLOTS_MAGIC, sizeof(magic));
  return magic;
}

static size_t slotsEnd(uint32_t number) {
  return offsetof(SlotsShared, slot) + ((size_t)number + 1) * SLOT_SIZE;
}

/* Slots that a mapping, or a file, of so many bytes has. */
static uint32_t slotsIn(size_t bytes) {
  size_t n = bytes < offsetof(SlotsShared, slot) ? 0 : bytes / SLOT_SIZE - 1;
  return n < SLOTS_MOST ? (uint32_t)n : SLOTS_MOST;
}

static int slotsLock(const Slots *s, uint32_t number, short type) {
  return sysBytesLock(s->fd, type, (off_t)number, 1);
}

int slotsAlive(const Slots *s, uint32_t number) { return sysBytesHeld(s->fd, (off_t)number, 1); }

/* Maps as far as the file reaches, and at least the header and one slot. */
static int slotsMap(mmapsync *h, Slots *s) {
  struct stat st;
  size_t length;
  void *p;

  if (sysFstat(s->fd, &st) != 0) return handleSystem(h, h->readers_name, "look at", errno);
  length = (size_t)st.st_size;
  if (length > slotsEnd(SLOTS_MOST - 1)) length = slotsEnd(SLOTS_MOST - 1);
  if (s->apart && (length >= slotsEnd(0) || !s->look)) {
    s->mapped = length; /* too short is mended by the writer, again and again if need be */
    return MMAPSYNC_OK;
  }
  if (length < slotsEnd(0)) {
    return handleError(h, MMAPSYNC_CORRUPT, "\"%s\": expected at least %zu bytes, found %lld",
                       h->readers_name, slotsEnd(0), (long long)st.st_size);
  }
  if (s->shared && length == s->mapped) return MMAPSYNC_OK;
  p = s->shared ? sysRemap(s->shared, s->mapped, length)
                : sysMap(length, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd);
  if (!p) return handleSystem(h, h->readers_name, "map", errno);
  s->shared = p;
  s->mapped = length;
  return MMAPSYNC_OK;
}

/* Makes the file reach to the end of slot `number`, and maps it. */
static int slotsGrow(mmapsync *h, Slots *s, uint32_t number) {
  size_t want = (slotsEnd(number) + GROW_STEP - 1) & ~(size_t)(GROW_STEP - 1);
  struct stat st;
  int err;
  if (sysFstat(s->fd, &st) != 0) return handleSystem(h, h->readers_name, "look at", errno);
  if ((uint64_t)st.st_size < want) {
    /* Only ever makes the file longer, so it does not matter how many do this at once. */
    err = sysReserve(s->fd, 0, (off_t)want);
    if (err) return handleRoom(h, h->readers_name, want, err);
  }
  return slotsEnd(number) <= s->mapped ? MMAPSYNC_OK : slotsMap(h, s);
}

static int slotsForeign(mmapsync *h, const char *what, uint64_t want, uint64_t found) {
  return handleError(h, MMAPSYNC_CORRUPT, "\"%s\": damaged: expected %s %016llx, found %016llx",
                     h->readers_name, what, (unsigned long long)want, (unsigned long long)found);
}

/* pread() of what others store to: its loads stand between two fences. */
static ssize_t slotsRead(const Slots *s, void *to, size_t n, off_t at) {
  ssize_t got;
  atomic_thread_fence(memory_order_seq_cst);
  got = sysReadAt(s->fd, to, n, at);
  atomic_thread_fence(memory_order_seq_cst);
  return got;
}

/* Whether the header is one of ours. */
static int slotsCheck(mmapsync *h, const Slots *s) {
  SlotsShared copy = {0};
  const SlotsShared *p = s->shared;
  uint64_t magic, layout;
  if (s->apart) {
    if (slotsRead(s, &copy, sizeof(copy), 0) < 0) {
      return handleSystem(h, h->readers_name, "read", errno);
    }
    p = &copy;
  }
  /* acquire: pairs with the release in slotsMend() */
  magic = atomic_load_explicit(&p->magic, memory_order_acquire);
  layout = atomic_load_explicit(&p->layout, memory_order_relaxed);
  if (magic != slotsMagic()) return slotsForeign(h, "magic", slotsMagic(), magic);
  if (layout != slotsLayout()) return slotsForeign(h, "layout", slotsLayout(), layout);
  return MMAPSYNC_OK;
}

/* ---- a reader's own slot ------------------------------------------------------------------------ */

static void slotsStamp(Slot *slot) {
  uint64_t name[SLOT_NAME_MAX / 8] = {0};
  const char *program = program_invocation_short_name;
  size_t i, n = strlen(program);
  memcpy(name, program, n < SLOT_NAME_MAX ? n : SLOT_NAME_MAX - 1);
  /* relaxed, all: for people */
  for (i = 0; i < SLOT_NAME_MAX / 8; i++) {
    atomic_store_explicit(&slot->program[i], name[i], memory_order_relaxed);
  }
  atomic_store_explicit(&slot->attached_ns, sysWallClock(), memory_order_relaxed);
  atomic_store_explicit(&slot->pinned_ns, 0, memory_order_relaxed);
  atomic_store_explicit(&slot->pid, (uint32_t)getpid(), memory_order_relaxed);
}

/* Raises `used` to n, unless it is as much, or somebody else raises it at this moment: then it looks again. */
static void slotsRaise(SlotsShared *p, uint32_t n) {
  uint32_t used;
  while ((used = atomic_load_explicit(&p->used, memory_order_seq_cst)) < n) {
    (void)atomic_compare_exchange_strong_explicit(&p->used, &used, n, memory_order_seq_cst,
                                                  memory_order_relaxed);
  }
}

/* With the lock on its byte had: makes the slot ours. */
static void slotsTake(Slots *s, uint32_t number) {
  SlotsShared *p = s->shared;
  Slot *slot = &p->slot[number];
  /* What a dead owner left pinned is over. */
  atomic_store_explicit(&slot->word, 0, memory_order_seq_cst);
  slotsStamp(slot);
  /* sequentially consistent: before the slot's first claim, for the writer's look in drainSlots(), also if another
  ** owner has raised it far enough */
  slotsRaise(p, number + 1);
  /* Our first look at the version comes after this, though it is no more than a hint; state.h, C1, 8. */
  atomic_thread_fence(memory_order_seq_cst);
}

/* Tries to take a slot below `used`.  1, or 0 if there is none to be found in a hurry. */
static int slotsReuse(Slots *s, uint32_t used, uint32_t *number) {
  SlotsShared *p = s->shared;
  uint32_t i, k, probe, taken = 0;

  for (k = 0; k < used && taken < TAKEN_MOST; k++) {
    if (atomic_load_explicit(&p->slot[k].pid, memory_order_relaxed) != 0) continue;
    if (slotsLock(s, k, F_WRLCK) == 0) {
      *number = k;
      return 1;
    }
    taken++;
  }
  probe = atomic_load_explicit(&p->probe, memory_order_relaxed);
  for (i = 0; i < PROBE_MOST && i < used; i++) {
    k = (probe % used + i) % used; /* whatever stands there */
    if (slotsLock(s, k, F_WRLCK) == 0) {
      *number = k;
      break;
    }
    if (errno != EAGAIN) i = PROBE_MOST; /* no locks to be had: slotsClaim() says why */
  }
  atomic_store_explicit(&p->probe, used ? (probe + i) % used : 0, memory_order_relaxed);
  return i < PROBE_MOST && i < used;
}

int slotsClaim(mmapsync *h, Slots *s, uint32_t *number) {
  struct stat st;
  uint32_t used, k;
  int rc;

  assert(!s->shared);
  rc = handleOpen(h, h->readers_name, O_RDWR, 0, &s->fd, &st, NULL);
  if (rc != MMAPSYNC_OK) return rc;
  rc = slotsMap(h, s);
  if (rc == MMAPSYNC_OK) rc = slotsCheck(h, s);
  if (rc != MMAPSYNC_OK) goto failed;

  used = atomic_load_explicit(&s->shared->used, memory_order_relaxed);
  if (used > slotsIn(s->mapped)) used = slotsIn(s->mapped);
  if (slotsReuse(s, used, number)) {
    slotsTake(s, *number);
    return MMAPSYNC_OK;
  }
  for (k = used; k < SLOTS_MOST && k - used < TAKEN_MOST; k++) {
    rc = slotsGrow(h, s, k);
    if (rc != MMAPSYNC_OK) goto failed;
    if (slotsLock(s, k, F_WRLCK) == 0) {
      slotsTake(s, k);
      *number = k;
      return MMAPSYNC_OK;
    }
    if (errno != EAGAIN) { /* which Linux says of a slot that is another's */
      rc = handleSystem(h, h->readers_name, "lock", errno);
      goto failed;
    }
  }
  if (k < SLOTS_MOST) {
    rc = handleError(h, MMAPSYNC_FULL, "\"%s\": expected a free slot, found %u locked",
                     h->readers_name, TAKEN_MOST);
  } else {
    rc = handleError(h, MMAPSYNC_FULL, "\"%s\": expected at most %u readers", h->readers_name,
                     SLOTS_MOST);
  }

failed:
  slotsClose(s);
  return rc;
}

void slotsRelease(Slots *s, uint32_t number) {
  Slot *slot = &s->shared->slot[number];
  /* release: pairs with the look in drainSlots() */
  atomic_store_explicit(&slot->word, 0, memory_order_release);
  atomic_store_explicit(&slot->pid, 0, memory_order_relaxed);
  /* By hand: a child may have a descriptor of this open file, too. */
  (void)slotsLock(s, number, F_UNLCK);
}

/* ---- all slots ---------------------------------------------------------------------------------- */

/* The same as slotsMend() does below, with pwrite(). */
static int slotsMendApart(mmapsync *h, Slots *s, int created) {
  SlotsShared head = {0};
  ssize_t put;
  size_t before;
  int rc = MMAPSYNC_OK;
  do {
    before = s->mapped;
    atomic_store_explicit(&head.magic, slotsMagic(), memory_order_relaxed);
    atomic_store_explicit(&head.layout, slotsLayout(), memory_order_relaxed);
    atomic_store_explicit(&head.used, created ? 0 : slotsIn(before), memory_order_relaxed);
    put = sysWriteAt(s->fd, &head, sizeof(head), 0);
    if (put != (ssize_t)sizeof(head)) {
      return handleSystem(h, h->readers_name, "write", put < 0 ? errno : ENOSPC);
    }
    created = 0;
    rc = slotsMap(h, s);
    /* Longer now: a reader may have raised `used` meanwhile, which is not to be taken back. */
  } while (rc == MMAPSYNC_OK && s->mapped > before);
  return rc;
}

/* Makes the header, or makes it anew; the caller holds the writer's lock. */
static int slotsMend(mmapsync *h, Slots *s, int created) {
  int rc = s->mapped ? MMAPSYNC_OK : slotsGrow(h, s, 0);
  if (rc != MMAPSYNC_OK) return rc;
  rc = slotsCheck(h, s);
  if (rc != MMAPSYNC_CORRUPT) return rc;
  /* Whoever may have had a slot here must still be found: all that the file has room for. */
  rc = slotsMap(h, s);
  if (rc == MMAPSYNC_OK && s->apart) return slotsMendApart(h, s, created);
  if (rc != MMAPSYNC_OK) return rc;
  slotsRaise(s->shared, created ? 0 : slotsIn(s->mapped));
  atomic_store_explicit(&s->shared->layout, slotsLayout(), memory_order_relaxed);
  /* release: pairs with the acquire in slotsCheck() */
  atomic_store_explicit(&s->shared->magic, slotsMagic(), memory_order_release);
  return MMAPSYNC_OK;
}

int slotsOpen(mmapsync *h, Slots *s, int make) {
  struct stat st;
  int rc, created = 0;

  assert(!s->shared);
  s->look = !make;
  s->apart = s->look || h->opt.trust == MMAPSYNC_TRUST_COPY;
  s->first = UINT32_MAX;
  s->mapped = 0;
  assert(!s->copy);
  if (s->apart) {
    s->copy = malloc(SLOTS_COPIED * sizeof(*s->copy));
    if (!s->copy) return handleNomem(h);
  }
  rc = handleOpen(h, h->readers_name, make ? O_RDWR : O_RDONLY, make ? SLOTS_MODE : 0, &s->fd, &st,
                  &created);
  if (rc != MMAPSYNC_OK) {
    slotsClose(s);
    return rc;
  }
  if (created) h->writer.folder_synced = 0;
  if (make) {
    rc = slotsMend(h, s, created);
  } else {
    rc = slotsMap(h, s);
    if (rc == MMAPSYNC_OK) rc = slotsCheck(h, s);
  }
  if (rc != MMAPSYNC_OK) slotsClose(s);
  return rc;
}

int slotsHeal(mmapsync *h, Slots *s) {
  Slots made = {.fd = -1};
  struct stat st;
  int err;
  if (sysFstat(s->fd, &st) != 0) return handleSystem(h, h->readers_name, "look at", errno);
  if (st.st_nlink == 0) {
    /* Removed by somebody who should not have done so: readers that come now claim slots in a new one. */
    err = slotsOpen(h, &made, 1);
    if (err != MMAPSYNC_OK) return err;
    slotsClose(s);
    *s = made;
    return MMAPSYNC_OK;
  }
  if ((uint64_t)st.st_size < s->mapped) {
    err = sysReserve(s->fd, 0, (off_t)s->mapped);
    if (err) return handleRoom(h, h->readers_name, s->mapped, err);
  }
  return slotsMend(h, s, 0);
}

int slotsUsed(mmapsync *h, Slots *s, uint32_t *used) {
  int rc;
  if (s->apart) {
    s->first = UINT32_MAX;
    rc = slotsMap(h, s);
    *used = slotsIn(s->mapped);
    return rc;
  }
  if (atomic_load_explicit(&s->shared->magic, memory_order_relaxed) != slotsMagic()) {
    rc = slotsHeal(h, s);
    if (rc != MMAPSYNC_OK) return rc;
  }
  /* sequentially consistent: comes after the load of the version word that made our file the inactive
  ** one, and pairs with the raise in slotsTake() */
  *used = atomic_load_explicit(&s->shared->used, memory_order_seq_cst);
  if (*used <= slotsIn(s->mapped)) return MMAPSYNC_OK;
  rc = slotsMap(h, s);
  if (rc == MMAPSYNC_OK && *used > slotsIn(s->mapped)) *used = slotsIn(s->mapped); /* damaged */
  return rc;
}

int slotsAt(mmapsync *h, Slots *s, uint32_t number, int again, const Slot **out) {
  uint32_t from = number - number % SLOTS_COPIED, n = SLOTS_COPIED;
  Slot *to = s->copy;
  ssize_t got;

  *out = s->apart ? &s->copy[number - from] : &s->shared->slot[number];
  if (!s->apart || (s->first == from && !again)) return MMAPSYNC_OK;
  if (s->first == from) { /* this one again */
    to += number - from;
    from = number;
    n = 1;
  } else {
    s->first = from;
  }
  got = slotsRead(s, to, n * SLOT_SIZE, (off_t)(slotsEnd(from) - SLOT_SIZE));
  if (got < 0) {
    s->first = UINT32_MAX;
    return handleSystem(h, h->readers_name, "read", errno);
  }
  /* What is not there any more pins nothing. */
  memset((char *)to + got, 0, n * SLOT_SIZE - (size_t)got);
  return MMAPSYNC_OK;
}

void slotsClose(Slots *s) {
  if (s->shared) sysUnmap(s->shared, s->mapped);
  if (s->fd >= 0) sysClose(s->fd);
  free(s->copy);
  s->shared = NULL;
  s->copy = NULL;
  s->mapped = 0;
  s->fd = -1;
}
