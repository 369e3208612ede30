#define _GNU_SOURCE
/*
** pins.c - the three kinds of pin: attaching, entering, leaving.  See pins.h, and state.h for R1 to R6.
*/
#include "pins.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "handle.h"
#include "sys.h"
#include "version.h"

/* Tries to subtract one reader only from what is not 0, before it is subtracted at once. */
#define LEAVE_ROUNDS  4

/* A counter from here up was taken below 0, by a reader that does not look; what it is set to then. */
#define COUNT_BELOW_0 (UINT32_C(1) << 31)
#define COUNT_UNKNOWN (UINT32_C(1) << 30)

/* ---- by lock ------------------------------------------------------------------------------------ */

static PinLock *lockFind(const State *s, unsigned index, uint32_t value) {
  uint32_t i;
  for (i = 0; i < s->nlocks; i++) {
    if (s->locks[i].index == index && s->locks[i].value == value) return &s->locks[i];
  }
  return NULL;
}

static int lockSet(const State *s, short type, off_t at) {
  return sysBytesLock(s->page.fd, type, at, 1);
}

/* Makes sure that the byte is locked. */
static int lockClaim(mmapsync *h, unsigned index, uint32_t value) {
  State *s = h->state;
  PinLock *more;
  if (lockFind(s, index, value)) return MMAPSYNC_OK;
  more = realloc(s->locks, (s->nlocks + 1) * sizeof(*more));
  if (!more) return handleNomem(h);
  s->locks = more;
  /* A read lock meets no conflict: nobody places write locks here.  The caller's fence comes after it, and
  ** pairs with those in sysBytesHeld(). */
  if (lockSet(s, F_RDLCK, PAGE_PIN_FILE(index) + (off_t)value) != 0) {
    return handleSystem(h, h->writer_name, "lock", errno);
  }
  more = &s->locks[s->nlocks++];
  more->index = index;
  more->value = value;
  more->views = 0;
  return MMAPSYNC_OK;
}

/* Unlocks the byte, if no view has locked it. */
static void lockDrop(State *s, unsigned index, uint32_t value) {
  PinLock *lock = lockFind(s, index, value);
  if (!lock || lock->views != 0) return;
  atomic_thread_fence(memory_order_seq_cst); /* our reads of the file end before */
  (void)lockSet(s, F_UNLCK, PAGE_PIN_FILE(index) + (off_t)value);
  *lock = s->locks[--s->nlocks];
}

static int lockEnter(mmapsync *h, const uint32_t note[2], uint64_t *version) {
  State *s = h->state;
  uint64_t v = atomic_load_explicit(&s->shared->version, memory_order_relaxed);
  uint64_t w;
  unsigned i = versionIndex(v);
  int rc;

  *version = 0;
  if (v == 0) return MMAPSYNC_OK;
  rc = lockClaim(h, i, note[i]);
  if (rc != MMAPSYNC_OK) return rc;
  /* As in slotEnter(), twice. */
  atomic_thread_fence(memory_order_seq_cst);
  w = atomic_load_explicit(&s->shared->version, memory_order_seq_cst);
  if (versionIndex(w) != i && w != 0) {
    rc = lockClaim(h, 1 - i, note[1 - i]);
    atomic_thread_fence(memory_order_seq_cst);
    w = atomic_load_explicit(&s->shared->version, memory_order_seq_cst);
    if (rc != MMAPSYNC_OK || versionIndex(w) != i) lockDrop(s, i, note[i]);
    if (rc == MMAPSYNC_OK && versionIndex(w) == i) lockDrop(s, 1 - i, note[1 - i]);
  }
  if (w == 0) {
    lockDrop(s, 0, note[0]);
    lockDrop(s, 1, note[1]);
  }
  if (rc == MMAPSYNC_OK) *version = w;
  return rc;
}

/* The presence lock, and the wait until no writer goes without a look at locks. */
static int lockAttach(mmapsync *h) {
  State *s = h->state;
  uint64_t start, now;

  if (lockSet(s, F_RDLCK, PAGE_PRESENCE) != 0) {
    return handleSystem(h, h->writer_name, "lock", errno);
  }
  s->pins->present = 1;
  atomic_thread_fence(memory_order_seq_cst);
  /* sequentially consistent: pairs with the store in drainWindow() */
  if (atomic_load_explicit(&s->page.shared->window, memory_order_seq_cst) == 0) return MMAPSYNC_OK;
  start = now = sysSteadyClock();
  while (now - start <= WINDOW_NS) {
    sysSleep(WINDOW_NS - (now - start) + 1);
    now = sysSteadyClock();
  }
  return MMAPSYNC_OK;
}

/* ---- by counter --------------------------------------------------------------------------------- */

/* Adds one reader to file `index`; the claim of R2 and R4. */
static void counterClaim(StateShared *s, unsigned index) {
  /* sequentially consistent: pairs with the switch in writeFinish() and the load of the counter in
  ** drainCounters() */
  uint32_t n = atomic_fetch_add_explicit(&s->readers[index], 1, memory_order_seq_cst);
  if (n >= COUNT_BELOW_0) {
    /* Ours may be the one that made it 0.  An exchange and not a store: that would end the chain from
    ** earlier readers' release to the writer. */
    atomic_exchange_explicit(&s->readers[index], COUNT_UNKNOWN, memory_order_seq_cst);
  }
}

/* Takes one reader away from file `index`; R6.  Not below 0: a writer may have set it to 0. */
static void counterLeave(StateShared *s, unsigned index) {
  uint32_t n = atomic_load_explicit(&s->readers[index], memory_order_relaxed);
  int round;
  for (round = 0; round < LEAVE_ROUNDS; round++) {
    if (n == 0) return;
    /* release: pairs with the load of the counter in drainCounters(), so that our reads of the file end
    ** before the writer's stores to it begin */
    if (atomic_compare_exchange_weak_explicit(&s->readers[index], &n, n - 1, memory_order_release,
                                              memory_order_relaxed)) {
      return;
    }
  }
  /* Many come and go: no more tries, so that this ends.  release: as above */
  if (atomic_fetch_sub_explicit(&s->readers[index], 1, memory_order_release) == 0) {
    atomic_fetch_add_explicit(&s->readers[index], 1, memory_order_relaxed);
  }
}

/* R1 to R4.  Returns the version word of the view, whose file is claimed; or 0, with no claim. */
static uint64_t counterEnter(StateShared *s) {
  /* A hint which counter to raise; what was stored with it is not looked at. */
  uint64_t v = atomic_load_explicit(&s->version, memory_order_relaxed);
  uint64_t w;

  if (v == 0) return 0;
  counterClaim(s, versionIndex(v));
  /* sequentially consistent: comes after the claim, for all parties; and acquires what the switch in
  ** writeFinish() released */
  w = atomic_load_explicit(&s->version, memory_order_seq_cst);
  if (versionIndex(w) == versionIndex(v) && w != 0) return w;

  counterClaim(s, 1 - versionIndex(v));
  w = atomic_load_explicit(&s->version, memory_order_seq_cst);
  counterLeave(s, 1 - versionIndex(w));
  if (w == 0) counterLeave(s, 0); /* somebody reset the channel */
  return w;
}

/* ---- attaching ---------------------------------------------------------------------------------- */

int pinsNew(State *s) {
  Pins *p = sysMap(sizeof(*p), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  if (!p) return -1;
  s->wipes = sysWipeOnFork(p, sizeof(*p)) == 0;
  p->alive = (uint32_t)getpid();
  s->pins = p;
  return 0;
}

void pinsFree(State *s) {
  Pins *p = s->pins;
  /* In a child the slot and the locks are the parent's, which closing a descriptor does not touch. */
  if (p->slot && !pinsForked(s)) slotsRelease(&s->slots, p->number);
  slotsClose(&s->slots);
  pageClose(&s->page);
  free(s->locks);
  sysUnmap(p, sizeof(*p));
}

/* Readies a kind of pin.  OK, or why it cannot be had; NOTFOUND if its file is missing. */
static int attachKind(mmapsync *h, int kind) {
  State *s = h->state;
  Pins *p = s->pins;
  int rc;

  switch (kind) {
  case MMAPSYNC_PIN_SLOT:
    if (p->slot) return MMAPSYNC_OK;
    if (!s->page.shared) return MMAPSYNC_NOTFOUND;
    rc = slotsClaim(h, &s->slots, &p->number);
    if (rc != MMAPSYNC_OK) return rc;
    p->slot = &s->slots.shared->slot[p->number];
    p->word = 0;
    return MMAPSYNC_OK;
  case MMAPSYNC_PIN_LOCK:
    if (!s->page.shared) return MMAPSYNC_NOTFOUND;
    return p->present ? MMAPSYNC_OK : lockAttach(h);
  default:
    assert(kind == MMAPSYNC_PIN_COUNTER);
    if (s->writable) return MMAPSYNC_OK;
    return handleError(h, MMAPSYNC_PERM,
                       "\"%s\": permission denied: a reader of this channel must be able to count "
                       "itself in",
                       h->state_name);
  }
}

static void attachUse(State *s, int kind, uint64_t version) {
  s->pins->chosen = kind;
  s->pins->tried = version;
  /* Where the kernel does not wipe, every read comes by here. */
  s->pins->kind = s->wipes ? kind : 0;
}

int pinsAttach(mmapsync *h, int foreign, uint64_t version) {
  State *s = h->state;
  int rc = MMAPSYNC_OK, kind = h->opt.pins, denied = 0;

  assert(!pinsForked(s));
  if (!s->page.shared) {
    rc = pageOpen(h, &s->page);
    /* Who may not read it can still count itself in, and be given up when the grace time is over. */
    if (rc == MMAPSYNC_PERM && (kind == MMAPSYNC_PIN_AUTO || kind == MMAPSYNC_PIN_COUNTER)) {
      rc = MMAPSYNC_NOTFOUND;
      denied = 1;
    }
    if (rc != MMAPSYNC_OK && rc != MMAPSYNC_NOTFOUND) return rc;
    if (rc == MMAPSYNC_OK) {
      /* Compared with its hash before it is trusted. */
      uint64_t boot = atomic_load_explicit(&s->page.shared->boot, memory_order_relaxed);
      s->unsure = boot != pageBoot();
    }
  }
  if (kind != MMAPSYNC_PIN_AUTO) {
    rc = attachKind(h, kind);
    if (rc == MMAPSYNC_NOTFOUND) {
      rc = s->page.shared
               ? handleError(h, MMAPSYNC_CANTOPEN,
                             "\"%s\": missing: only locks and counters can pin here",
                             h->readers_name)
               : handleError(h, MMAPSYNC_CANTOPEN, "\"%s\": missing: only counters can pin here",
                             h->writer_name);
    }
  } else if (foreign || !s->page.shared) {
    kind = MMAPSYNC_PIN_COUNTER;
    rc = attachKind(h, kind);
    /* If it could not read P_writer, that is what it should be given. */
    if (rc == MMAPSYNC_PERM && denied) (void)pageOpen(h, &s->page);
  } else {
    kind = MMAPSYNC_PIN_SLOT;
    rc = attachKind(h, kind);
    if (rc != MMAPSYNC_OK && rc != MMAPSYNC_NOMEM) {
      /* Not permitted, damaged, full, missing: what a reader without any rights can do will do. */
      kind = MMAPSYNC_PIN_LOCK;
      rc = attachKind(h, kind);
    }
  }
  if (rc == MMAPSYNC_OK) attachUse(s, kind, version);
  return rc;
}

/* ---- entering and leaving ----------------------------------------------------------------------- */

int pinsEnter(mmapsync *h, const uint32_t note[2], uint64_t *version) {
  State *s = h->state;
  switch (s->pins->chosen) {
  case MMAPSYNC_PIN_SLOT:
    slotSay(s->pins, note);
    *version = slotEnter(s);
    return MMAPSYNC_OK;
  case MMAPSYNC_PIN_COUNTER: *version = counterEnter(s->shared); return MMAPSYNC_OK;
  default: return lockEnter(h, note, version);
  }
}

void pinsDrop(State *s, unsigned index, const uint32_t note[2]) {
  switch (s->pins->chosen) {
  case MMAPSYNC_PIN_SLOT: slotLeave(s->pins, index); break;
  case MMAPSYNC_PIN_COUNTER: counterLeave(s->shared, index); break;
  default: lockDrop(s, index, note[index]); break;
  }
}

void pinsKeep(mmapsync *h, mmapsync_view *view, const uint32_t note[2]) {
  State *s = h->state;
  Pins *p = s->pins;
  unsigned index = versionIndex(view->version);
  view->pin = (uint32_t)p->chosen;
  view->noted = note[index];
  switch (p->chosen) {
  case MMAPSYNC_PIN_SLOT: slotKeep(p, index, h->opt.stamp); break;
  case MMAPSYNC_PIN_COUNTER: p->counted[index]++; break;
  default: lockFind(s, index, note[index])->views++; break;
  }
}

void pinsLeave(State *s, const mmapsync_view *view, int voided) {
  Pins *p = s->pins;
  unsigned index = versionIndex(view->version);
  PinLock *lock;

  if (pinsForked(s)) return; /* the parent's view: its pin is the parent's, too */
  switch (view->pin) {
  case MMAPSYNC_PIN_COUNTER:
    assert(p->counted[index] > 0);
    p->counted[index]--;
    if (!voided) counterLeave(s->shared, index);
    break;
  default:
    lock = lockFind(s, index, view->noted);
    assert(lock && lock->views > 0);
    lock->views--;
    lockDrop(s, index, view->noted);
    break;
  }
}

int pinsOwnLock(const State *s, unsigned index, uint32_t from) {
  uint32_t i;
  for (i = 0; i < s->nlocks; i++) {
    assert(s->locks[i].views != 0); /* no claim is in progress */
    if (s->locks[i].index == index && s->locks[i].value >= from) return 1;
  }
  return 0;
}
