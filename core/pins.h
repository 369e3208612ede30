/*
** pins.h - how a reader says which data file it reads: by slot, by lock or by counter.
**
** The protocol, and why it is right, is in state.h; this is the part of it that differs between the kinds
** of pin.  A kind is chosen when a handle first reads ("attaches"):
**
**     slot      a word of shared memory of the reader's own (slots.h).  Needs write permission on
**               P_readers.  A claim is one store, with a full barrier; a leave is one store
**     lock      an OFD read lock on a byte that stands for data file i as of replaced[i] (page.h).  Needs
**               only read permission.  A claim and a leave are a system call each
**     counter   readers[i] of the state, as the mmap-sync crate has it.  Needs write permission on P_state.
**               For snapshots that a writer of that kind has published, since it looks at nothing else
**
** options.pins forces one.  Otherwise it follows the snapshot met: one with our trailer is read by slot,
** or by lock if P_readers may not be written; one without by counter.  A handle may so hold views of
** several kinds for a while; each view knows by what it was pinned.
**
** NESTED VIEWS.  A handle may hold many views.  Of a slot, bit i is set while any view of file i is held;
** of a lock, the byte is locked while any view that locked it is held; a counter counts them all.  A view by
** slot whose file was replaced, as this handle finds when it maps the new one, needs no bit any more.
**
** FORK.  What a handle knows of its pins stands in memory that the kernel wipes in a child
** (MADV_WIPEONFORK), so a child finds itself not attached, for no more than a look at what it needs
** anyway, and attaches anew, with open files of its own.  The parent's slot and locks are untouched by
** what the child does.  But they belong to open files that the child has descriptors of too: if the parent
** dies while it pins, they stay until its children have ended, or have called exec(), or have used or
** closed their copy of the handle.  Such a pin is treated as that of a reader who is slow.  Where the
** kernel does not wipe, every read asks for the process' id instead.
**
** WINDOW.  To look for lock pins costs the writer a system call a publish, more than all the rest of a
** small one.  A writer that keeps the lock for long (LOCK_HOLD) may do without it in a burst:
**
**     writer, publish:   if it has a window of its own, and now is before its end: no look at locks.  Otherwise
**                        end = now + WINDOW_NS; window = end; then look for a lock on the presence byte.  None:
**                        nobody can hold a lock pin, and the window is its own until `end`.  One: window = 0;
**                        look at the locks of the file
**     reader, attach:    lock the presence byte; if window is not 0, sleep for WINDOW_NS
**
** The store of `window` and the lock are Dekker's pattern: either the writer sees the lock, or the reader
** sees a window.  It then sleeps until that is over: the writer read its clock before it stored, and the
** reader sleeps after it loaded, for as long as a window lasts.  (The time stored is not compared with the
** reader's clock, which may be another in another time namespace.  That a window is one of long ago, of a
** writer that died, costs the reader one such sleep.)  From then on every publish looks: let a reader's claim
** be on file i, which its last look at the version found active.  Whoever overwrites i later has first switched
** to the other file, and starts the publish that overwrites i after that.  At that start it reads the clock,
** later than the reader has slept, and so finds its window over.  A writer that takes the lock has no window,
** whatever stands in P_writer.
*/
#ifndef MMAPSYNC_PINS_H
#define MMAPSYNC_PINS_H

#include <stdatomic.h>
#include <stdint.h>
#include <unistd.h>

#include "mmapsync.h"
#include "slots.h"
#include "state.h"
#include "sys.h"
#include "version.h"

/* How long a writer may go without a look at lock pins: a reader that attaches waits so long, once. */
#define WINDOW_NS UINT64_C(2000000)

/* A byte of P_writer that is locked, and for how many views; 0: for the claim in progress. */
typedef struct PinLock {
  unsigned index; /* data file */
  uint32_t value; /* of replaced[index] when it was mapped */
  uint32_t views;
} PinLock;

/* What a handle knows of its pins, in memory that is wiped in a child.  All 0: not attached. */
typedef struct Pins {
  struct mmapsync_gate gate; /* gate.h */
  int kind;       /* by what the next view is pinned: MMAPSYNC_PIN_..., or 0: ask pinsAttach() */
  uint32_t alive; /* the process that attached; 0 in a child */
  Slot *slot;     /* NULL: no slot is claimed */
  uint64_t
      word; /* the slot's pin word without the claim in progress, or as it will be (slotSay()) */
  uint32_t said[2];    /* the notes in that word */
  uint32_t held[2];    /* views pinned by the slot, of each file */
  uint32_t counted[2]; /* views pinned by counter */
  uint32_t number;     /* of the slot */
  uint32_t present;    /* 1: the presence byte is locked */
  int chosen;          /* kind, also where it is asked for at each read */
  uint64_t tried;      /* the version word for which another kind was looked for in vain */
} Pins;

/* Whether this process is another than the one that opened the state, a child of it. */
static inline int pinsForked(const State *s) {
  return s->wipes ? s->pins->alive == 0 : s->pins->alive != (uint32_t)getpid();
}

/* ---- by slot: in line.  Most reads go by gate.h, and not even come here ----------------------------- */

/* What claims from now on say of the handle's mappings: they are of files as they were at these values of
** replaced[]. */
static inline void slotSay(Pins *p, const uint32_t note[2]) {
  p->said[0] = note[0];
  p->said[1] = note[1];
  p->word = slotNotes(note) | (p->word & SLOT_MASK);
}

/* R1 to R4.  Returns the version word of the snapshot, whose file is claimed; or 0, with no claim. */
static inline uint64_t slotEnter(const State *s) {
  Pins *p = s->pins;
  /* A hint which bit to set; what was stored with it is not looked at. */
  uint64_t v = atomic_load_explicit(&s->shared->version, memory_order_relaxed);
  uint64_t word = p->word | UINT64_C(1)
                                << versionIndex(v); /* and the bits of views that are held */
  uint64_t w;

  if (v == 0) return 0;
  /* sequentially consistent: before the look that follows, for all parties; pairs with the switch in
  ** writeFinish() and the look at the word in drainSlots() */
  atomic_store_explicit(&p->slot->word, word, memory_order_seq_cst);
  /* sequentially consistent: comes after the claim; and acquires what the switch released */
  w = atomic_load_explicit(&s->shared->version, memory_order_seq_cst);
  if (versionIndex(w) != versionIndex(v) || w == 0) {
    atomic_store_explicit(&p->slot->word, word | SLOT_MASK, memory_order_seq_cst);
    w = atomic_load_explicit(&s->shared->version, memory_order_seq_cst);
    word = w ? p->word | UINT64_C(1) << versionIndex(w) : p->word;
    /* release: whatever was read under the bit that goes, if anything */
    atomic_store_explicit(&p->slot->word, word, memory_order_release);
  }
  p->word = word;
  return w;
}

/* R6, and to take back a claim: the bit goes, unless views of the file are held. */
static inline void slotLeave(Pins *p, unsigned index) {
  if (p->held[index] != 0) return;
  p->word &= ~(UINT64_C(1) << index);
  /* release: pairs with the look in drainSlots(), so that our reads of the file end before the writer's
  ** stores to it begin */
  atomic_store_explicit(&p->slot->word, p->word, memory_order_release);
}

/* Notes since when views are held: to a tick of the clock, which is enough for people and much quicker to ask for,
** but not before the slot was had. */
static inline void slotStamp(Pins *p) {
  /* relaxed: for people */
  uint64_t had = atomic_load_explicit(&p->slot->attached_ns, memory_order_relaxed);
  uint64_t now = sysWallTick();
  atomic_store_explicit(&p->slot->pinned_ns, now < had ? had : now, memory_order_relaxed);
}

/* Makes a claim by slot a view's; with `stamp`, says so. */
static inline void slotKeep(Pins *p, unsigned index, int stamp) {
  if (stamp && p->held[0] + p->held[1] == 0) slotStamp(p);
  p->held[index]++;
}

/* ---- all kinds ------------------------------------------------------------------------------------ */

/* Makes s->pins, not attached.  0, or -1 with errno. */
int pinsNew(State *s);

/* Gives back all that a handle has to pin with. */
void pinsFree(State *s);

/* Chooses a kind and readies it, where s->pins->kind is 0, or no longer suits (`foreign`: the newest
** snapshot, `version`, is without our trailer; the first time it is 0).  PERM if no kind is permitted;
** CORRUPT for another layout; others. */
int pinsAttach(struct mmapsync *h, int foreign, uint64_t version);

/* Enters a read by the kind in force.  OK with the version word of the snapshot that is pinned, or 0 if
** nothing is published (and nothing pinned).  note[i] is the value of replaced[i] noted before the
** handle's mapping of file i was made, or is to be made.  Fails for lock pins only. */
int pinsEnter(struct mmapsync *h, const uint32_t note[2], uint64_t *version);

/* Takes back the claim that pinsEnter() made on the file of `version`. */
void pinsDrop(State *s, unsigned index, const uint32_t note[2]);

/* Makes that claim a view's, which must have `version` set. */
void pinsKeep(struct mmapsync *h, struct mmapsync_view *view, const uint32_t note[2]);

/* Ends the claim of a view by lock or counter, unless it was voided; see readVoided() and state.h. */
void pinsLeave(State *s, const struct mmapsync_view *view, int voided);

/* Whether this handle itself pins data file `index` by lock with a value from `from` on. */
int pinsOwnLock(const State *s, unsigned index, uint32_t from);

#endif
