#define _GNU_SOURCE
/*
** drain.c - the writer waits until nobody reads the file that it is about to write.  W3 of state.h.
**
** Three kinds of pin are looked for, one after the other, within one grace time: slots, locks, counters.
** Most often there is none, and then this costs a look at each slot in use, a line of memory each, and at
** the clock.  A pin that is met is waited for: a few looks at once, since most reads take less than a
** microsecond; then sleeps of a microsecond and up to a millisecond.
**
** DEAD.  Whose byte lock is gone has died, and its pin is cleared without a wait: by compare-and-swap from
** the exact word that was seen, so that a new owner who claims meanwhile keeps its pin.  With the lock newly
** taken that is done, too, for who died when it had been left its file, so that mmapsync_readers() does not show
** it for ever; a writer that keeps the lock does not ask for it again.
**
** STUCK.  Who still pins when the grace time is over keeps the file, and the write goes to a new one
** (replace).  The pin then stands for a file that has no name any more, and delays no later publish, of
** whatever writer: what it was made with, the value of replaced[i] that its slot tells or its lock is placed on,
** is below from[i] of P_writer.  That is stored only after the rename: a write that is given up before has not
** taken the name away.  A pin of this very handle is stuck at once, since nobody would end it while we wait.
**
** Counters cannot be told from each other, nor their readers be trusted to notice a new file: those of the
** crate do not.  So a counter that is not 0 when the grace time is over is set to 0, as the crate does it,
** or the write is given up (options.foreign).
*/
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/file.h>

#include "handle.h"
#include "sys.h"
#include "version.h"

/* Looks at a pin before the first sleep, and what is done between them. */
#define LOOKS         64

/* The sleeps, in ns: the first, and the longest.  The longest is how late a death may be noticed. */
#define WAIT_SHORTEST 1000u
#define WAIT_LONGEST  1000000u

/* The wait of one write. */
typedef struct Drain {
  unsigned index; /* the file that is to be written */
  uint64_t grace; /* ns */
  uint64_t start; /* 0: nobody was waited for yet */
  uint64_t pause; /* ns */
  unsigned looks;
  int over;      /* the grace time is */
  uint32_t from; /* pins with an older note do not count */
} Drain;

static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

/* Waits a little, or finds the grace time over.  OK or INTERRUPT. */
static int drainPause(mmapsync *h, Drain *d) {
  uint64_t spent;
  int rc;

  if (d->looks < LOOKS) {
    d->looks++;
    relax();
    return MMAPSYNC_OK;
  }
  if (d->start == 0) {
    d->start = sysSteadyClock();
    d->pause = WAIT_SHORTEST;
    progressShow(h, MMAPSYNC_PHASE_WAITING);
  }
  spent = sysSteadyClock() - d->start;
  if (spent >= d->grace) {
    d->over = 1;
    return MMAPSYNC_OK;
  }
  rc = handleProgress(h);
  if (rc != MMAPSYNC_OK) return rc;
  sysSleep(d->pause < d->grace - spent ? d->pause : d->grace - spent);
  d->pause = d->pause < WAIT_LONGEST / 2 ? 2 * d->pause : WAIT_LONGEST;
  return MMAPSYNC_OK;
}

/* ---- who held ----------------------------------------------------------------------------------- */

static mmapsync_reader *heldAdd(mmapsync *h, int kind) {
  HandleDrain *drain = &h->writer.drain;
  mmapsync_reader *r =
      &drain->held[drain->nheld < MMAPSYNC_HELD_MOST ? drain->nheld : MMAPSYNC_HELD_MOST];
  drain->nheld++;
  memset(r, 0, sizeof(*r));
  r->kind = kind;
  r->alive = 1;
  return r;
}

const mmapsync_reader *mmapsync_held(const mmapsync *h, size_t *count) {
  const HandleDrain *drain = &h->writer.drain;
  *count = drain->nheld < MMAPSYNC_HELD_MOST ? drain->nheld : MMAPSYNC_HELD_MOST;
  return drain->held;
}

/* ---- slots -------------------------------------------------------------------------------------- */

/* From which note on a pin of the file counts.  0, that is all of them, if the count has gone round or the page
** was damaged; and it stays so until the next replace, or else replaced[i] could rise past what stands there. */
static uint32_t drainFrom(const HandleDrain *drain, unsigned index) {
  _Atomic uint32_t *shared = &drain->page.shared->from[index];
  /* relaxed, both: no other process writes here */
  uint32_t from = atomic_load_explicit(shared, memory_order_relaxed);
  if (from <= pageReplaced(&drain->page, index)) return from;
  atomic_store_explicit(shared, 0, memory_order_relaxed);
  return 0;
}

/* Clears a dead owner's pin.  0 if the word is another by now: a new owner's, most likely.  Apart it is passed over:
** a new owner comes too late to be waited for (state.h, C1, 8). */
static int drainClear(Slots *slots, uint32_t k, uint64_t word) {
  if (slots->apart) return 1;
  /* sequentially consistent, and acquires: the dead one's reads are over */
  return atomic_compare_exchange_strong_explicit(&slots->shared->slot[k].word, &word,
                                                 word & ~SLOT_MASK, memory_order_seq_cst,
                                                 memory_order_relaxed);
}

/* A slot whose pin does not count.  If its owner is dead, nobody is to be shown as a reader for ever. */
static int drainLeft(mmapsync *h, uint32_t k, uint64_t word) {
  Slots *slots = &h->writer.drain.slots;
  int alive;
  if (slots->apart) return MMAPSYNC_OK;
  alive = slotsAlive(slots, k);
  if (alive < 0) return handleSystem(h, h->readers_name, "look for a lock", errno);
  if (!alive) (void)drainClear(slots, k, word);
  return MMAPSYNC_OK;
}

static int drainSlots(mmapsync *h, Drain *d) {
  HandleDrain *drain = &h->writer.drain;
  const Pins *own = h->state->pins;
  uint64_t bit = UINT64_C(1) << d->index;
  uint32_t k, used;
  int rc = slotsUsed(h, &drain->slots, &used);

  for (k = 0; rc == MMAPSYNC_OK && k < used; k++) {
    int again;
    for (again = 0;; again = 1) {
      const Slot *slot;
      uint64_t word;
      int alive = 1, mine;
      rc = slotsAt(h, &drain->slots, k, again, &slot);
      if (rc != MMAPSYNC_OK) return rc;
      /* sequentially consistent: comes after the load of the version word in writePrepare(); pairs with
      ** the claim in slotEnter(), and acquires what slotLeave() released.  (Of a copy it is what slotsRead()
      ** says.) */
      word = atomic_load_explicit(&slot->word, memory_order_seq_cst);
      if (!(word & bit)) break;
      if (drain->slots.apart && !again) continue; /* slots.h, APART, 3 */
      mine = own->slot && own->number == k;
      if (slotNote(word, d->index) < d->from / 2) { /* half of each: slots.h */
        if (drain->fresh && !mine) rc = drainLeft(h, k, word);
        break;
      }
      if (!mine && d->looks >= LOOKS) alive = slotsAlive(&drain->slots, k);
      if (alive < 0) return handleSystem(h, h->readers_name, "look for a lock", errno);
      if (!alive) {
        if (drainClear(&drain->slots, k, word)) break;
        /* If it goes on like this it is damage; a claim that was made after our load of the version word need
        ** not be waited for. */
        if (d->over) break;
        rc = drainPause(h, d);
        if (rc != MMAPSYNC_OK) break;
        continue;
      }
      if (mine || d->over) {
        readersSlot(slot, k, word, heldAdd(h, MMAPSYNC_PIN_SLOT));
        h->writer.renew = h->writer.replaced = 1;
        break;
      }
      rc = drainPause(h, d);
      if (rc != MMAPSYNC_OK) break;
    }
  }
  drain->fresh = 0;
  return rc;
}

/* ---- locks -------------------------------------------------------------------------------------- */

/* Whether this write may do without a look at lock pins; pins.h, WINDOW.  1, 0, or -1 with errno. */
static int drainWindow(mmapsync *h) {
  HandleDrain *drain = &h->writer.drain;
  PageShared *page = drain->page.shared;
  uint64_t now;
  int there;

  if (h->opt.lock != MMAPSYNC_LOCK_HOLD) return 0;
  now = sysSteadyClock();
  if (now < drain->window) return 1;
  /* sequentially consistent: pairs with the load in lockAttach() */
  atomic_store_explicit(&page->window, now + WINDOW_NS, memory_order_seq_cst);
  there = sysBytesHeld(drain->page.fd, PAGE_PRESENCE, 1);
  if (there == 0) {
    drain->window = now + WINDOW_NS;
    return 1;
  }
  drain->window = 0;
  atomic_store_explicit(&page->window, 0, memory_order_seq_cst);
  return there < 0 ? -1 : 0;
}

static int drainLocks(mmapsync *h, Drain *d) {
  HandleDrain *drain = &h->writer.drain;
  int there, rc, skip = drainWindow(h);

  while (skip == 0) {
    /* Its fences pair with the ones beside lockClaim(), in lockAttach() and in lockDrop(). */
    there = sysBytesHeld(drain->page.fd, PAGE_PIN_FILE(d->index) + (off_t)d->from,
                         ((off_t)1 << 32) - (off_t)d->from);
    if (there < 0) skip = -1;
    if (there <= 0) break;
    if (d->over || pinsOwnLock(h->state, d->index, d->from)) {
      heldAdd(h, MMAPSYNC_PIN_LOCK)->pins[d->index] = 1;
      h->writer.renew = h->writer.replaced = 1;
      break;
    }
    rc = drainPause(h, d);
    if (rc != MMAPSYNC_OK) return rc;
  }
  if (skip < 0) return handleSystem(h, h->writer_name, "look for a lock", errno);
  return MMAPSYNC_OK;
}

/* ---- counters ----------------------------------------------------------------------------------- */

static int drainCounters(mmapsync *h, Drain *d) {
  HandleWriter *w = &h->writer;
  _Atomic uint32_t *readers = &h->state->shared->readers[d->index];
  int busy = h->opt.foreign == MMAPSYNC_FOREIGN_BUSY;
  uint32_t n;
  int rc;

  for (;;) {
    /* sequentially consistent, both: pairs with the claim and the second look in counterEnter(); it also
    ** acquires what counterLeave() released */
    n = d->over && !busy ? atomic_exchange_explicit(readers, 0, memory_order_seq_cst)
                         : atomic_load_explicit(readers, memory_order_seq_cst);
    if (n == 0) return MMAPSYNC_OK;
    w->foreign = 1;
    if (d->over) break;
    rc = drainPause(h, d);
    if (rc != MMAPSYNC_OK) return rc;
  }
  heldAdd(h, MMAPSYNC_PIN_COUNTER)->pins[d->index] = n;
  if (busy) {
    return handleError(h, MMAPSYNC_BUSY, "\"%s\": %u counted in still read the older snapshot",
                       h->path, n);
  }
  w->reset = 1;
  return MMAPSYNC_OK;
}

/* ---- for write.c -------------------------------------------------------------------------------- */

/* The page and the slots, and what a predecessor that died has left of its work.  `fresh`: the lock was just
** taken. */
int drainOpen(mmapsync *h, int fresh) {
  HandleDrain *drain = &h->writer.drain;
  PageShared *page;
  int i, rc = MMAPSYNC_OK;

  if (!drain->page.shared) {
    rc = pageMake(h, &drain->page);
    if (rc == MMAPSYNC_OK) rc = slotsOpen(h, &drain->slots, 1);
    if (rc != MMAPSYNC_OK) {
      pageClose(&drain->page);
      return rc;
    }
    fresh = 1;
  } else if (fresh) {
    rc = slotsHeal(h, &drain->slots);
    if (rc != MMAPSYNC_OK) return rc;
  }
  if (!fresh) return MMAPSYNC_OK;
  drain->fresh = 1;
  drain->window = 0;
  page = drain->page.shared;
  for (i = 0; i < 2; i++) {
    uint32_t n = pageReplaced(&drain->page, (unsigned)i);
    /* Odd: a predecessor died when it had renamed the file, or was about to.  No mapping that was made
    ** until now is of a file we can be sure of.  sequentially consistent: as in writeReplace() */
    if (n & 1) atomic_store_explicit(&page->replaced[i], n + 1, memory_order_seq_cst);
  }
  /* relaxed: no other process writes here, and this is no news to readers */
  if (atomic_load_explicit(&page->started_ns, memory_order_relaxed) != 0) {
    dataSweep(h);
    atomic_store_explicit(&page->phase, MMAPSYNC_PHASE_IDLE, memory_order_relaxed);
    atomic_store_explicit(&page->started_ns, 0, memory_order_relaxed);
  }
  return MMAPSYNC_OK;
}

int drainWait(mmapsync *h) {
  HandleWriter *w = &h->writer;
  Drain d = {.index = w->index, .grace = h->opt.grace_ms * NS_PER_MS};
  uint64_t spent;
  int rc;

  w->waited_ms = 0;
  w->renew = w->replaced = 0;
  w->drain.nheld = 0;
  d.from = drainFrom(&w->drain, d.index);
  rc = drainSlots(h, &d);
  if (rc == MMAPSYNC_OK) rc = drainLocks(h, &d);
  if (rc == MMAPSYNC_OK && w->replaced && h->opt.foreign == MMAPSYNC_FOREIGN_BUSY) {
    rc = handleError(
        h, MMAPSYNC_BUSY,
        "\"%s\": a reader still holds the older snapshot, and the file may not be replaced",
        h->path);
  }
  if (rc == MMAPSYNC_OK) rc = drainCounters(h, &d);
  if (d.start != 0) {
    spent = sysSteadyClock() - d.start;
    w->waited_ms = (uint32_t)((spent + NS_PER_MS / 2) / NS_PER_MS);
  }
  return rc;
}

int drainWaiting(mmapsync *h) {
  SlotsShared *slots = h->writer.drain.slots.shared;
  if (!slots) return 1; /* apart: all are woken */
  /* relaxed: mostly nobody waits, and then this should cost no more than a load */
  if (atomic_load_explicit(&slots->waiting, memory_order_relaxed) == 0) return 0;
  atomic_store_explicit(&slots->waiting, 0, memory_order_seq_cst);
  return 1;
}

void drainWake(mmapsync *h, int waiting) {
  SlotsShared *slots = h->writer.drain.slots.shared;
  /* sequentially consistent: comes after the switch; pairs with the store in waitSleep().  Who set it since
  ** drainWaiting() may have done so for the next switch, so it stays. */
  uint32_t since = slots ? atomic_load_explicit(&slots->waiting, memory_order_seq_cst) : 0;
  if (((uint32_t)waiting | since) == 0) return;
  (void)sysFutex(stateLow(h->state->shared), FUTEX_WAKE, INT_MAX, 0);
}

void drainClose(mmapsync *h) {
  HandleDrain *drain = &h->writer.drain;
  pageClose(&drain->page);
  slotsClose(&drain->slots);
  memset(drain, 0, sizeof(*drain));
  drain->page.fd = drain->slots.fd = -1;
}
