/*
** slots.h - P_readers: what readers tell the writer.
**
** The file is a header of 64 bytes and then slots of 64 bytes, each a cache line, so that no two readers
** ever store to one line.  It grows by whole pages and never shrinks.  A handle that reads claims a slot
** when it attaches, and keeps it.
**
**     offset 0  u64  magic     "mmapsrd" and a NUL
**            8  u64  layout    as in P_writer
**           16  u32  used      slots that were ever claimed; only rises.  The writer looks at no more
**           20  u32  waiting   1: somebody sleeps until the next publish; a writer sets it to 0 before its
**                              switch, and wakes all after it (wait.c)
**           24  u32  probe     where the next search for a dead slot goes on
**
** and of a slot:
**
**            0  u64  word      the pin word.  Bits 0 and 1, the mask: bit i says "I read data file i".  Bits 2 to
**                              32, and 33 to 63: half of what the owner noted of replaced[0], and of
**                              replaced[1] (page.h), before it made its newest mapping of that file.  A pin by
**                              a note below from[i] is of a file that has lost its name.  Half, so that all is
**                              one word: from[i] is even, and so nothing is lost
**            8  u32  pid       of the owner, in its PID namespace; 0: nobody's.  For people, and a hint
**                              where a free slot is to be found
**           12  u32  unused
**           16  u64  attached_ns  since when it is the owner's, wall clock: for people
**           24  u64  pinned_ns    since when mask is not 0, to a tick of the clock, if the owner says so
**                              (options.stamp)
**           32  u8[16] program    the owner's name, NUL-terminated: for people
**           48  16 bytes unused
**
** OWNER.  Slot k is whose OFD write lock is on byte k of the file.  The kernel drops it when the last
** descriptor of that open file is closed: when its owner ends, however it ends, in whatever PID
** namespace.  So "is it alive" is a question of fact, and neither a pid that was reused nor a clock can
** answer it wrongly.  (A child that was forked keeps its parent's descriptors open; see pins.h, FORK.)
**
** WHO WRITES WHAT.
**
**     word      the owner: plain stores, as pins.h says.  The writer, only when the lock on the byte is
**               gone: compare-and-swap from the exact word it saw to the same with mask 0.  A new owner's
**               claim makes that fail (state.h, C1, 8).  It takes over nothing of what it finds.
**     the rest of a slot
**               the owner.
**     used      whoever claims a slot at or beyond it: raised before that slot's first claim.
**     waiting   who waits: to 1.  The writer: to 0.
**
** DAMAGE.  Whoever may write this file can void the pins in it; that is what file permissions are for
** (readers who may not write it pin by locks).  If the header is no longer ours, the writer restores it
** and takes every slot that the file has room for as used.  A file that was cut short is made longer
** again by the next writer who takes the lock; who has the missing part mapped and touches it before
** that is killed by the kernel (SIGBUS), as with the data files.  Whatever numbers stand there, nobody looks beyond
** what he has mapped, or for longer than the file has slots.
**
** APART.  This is the only file that readers write to and the writer looks at.  A writer that does not trust them
** (MMAPSYNC_TRUST_COPY), and who only looks, like mmapsync_readers(), does not map it, but reads it: pread() of a
** part that was cut off gives fewer bytes, and no signal.  It costs the writer a system call for 64 slots with each
** publish.  This is enough for W3 of state.h:
**     1. Before each pread() stands a full fence, and one after it.  So the kernel's loads come after the writer's
**        load of `version` (and after the switch of the publish before), and before its stores to the file, as
**        loads of its own would.  The reader's half of Dekker's pattern is what it is: either its last look at
**        `version` sees the switch, or these loads see the claim.
**     2. Copying need not be atomic: a word that is stored meanwhile may come out with some bytes new and
**        some old.  The bits of the mask are in one byte.  So a claim, or its end, is seen or not, and what is
**        seen of a claim that was made before the pread() began is that it was.  (A word that it stored later
**        instead, to claim both files or another view, has the bit too, or is its end.)
**     3. The notes fill the other bytes.  So where the bit is set the word is read a second time, and only that counts.
**        While a writer waits nobody else raises replaced[i], so an owner's note of file i changes once at
**        most meanwhile, to what replaced[i] is.  If the second copy is torn between two notes, that change was
**        made after the first copy, and so was the claim that comes with it or after it: such a claim need not be
**        waited for (C1, 3).  If the first was, the second is whole.
**     4. `used` is not looked at: all slots that the file has are.
**     5. What is only read cannot be cleared by compare-and-swap.  A dead owner's bits stay until somebody takes the
**        slot, or a writer that maps the file comes by; each publish asks the kernel for its lock, and passes it over.
**     6. `waiting` is neither read nor cleared: sleepers are woken after each switch.
*/
#ifndef MMAPSYNC_SLOTS_H
#define MMAPSYNC_SLOTS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct mmapsync;

#define SLOT_SIZE     64
#define SLOT_NAME_MAX 16
/* More readers than this have to pin by locks. */
#define SLOTS_MOST    (1u << 20)

#define SLOT_MASK     UINT64_C(3)

typedef struct Slot {
  _Atomic uint64_t word;
  _Atomic uint32_t pid;
  uint32_t unused0;
  _Atomic uint64_t attached_ns;
  _Atomic uint64_t pinned_ns;
  _Atomic uint64_t program[SLOT_NAME_MAX / 8];
  uint64_t unused1[2];
} Slot;

/* The notes as they stand in a word, and half of one as it stands there. */
static inline uint64_t slotNotes(const uint32_t note[2]) {
  return (uint64_t)(note[0] / 2) << 2 | (uint64_t)(note[1] / 2) << 33;
}
static inline uint32_t slotNote(uint64_t word, unsigned index) {
  return (uint32_t)(word >> (2 + 31 * index)) & (UINT32_MAX / 2);
}

typedef struct SlotsShared {
  _Atomic uint64_t magic;
  _Atomic uint64_t layout;
  _Atomic uint32_t used;
  _Atomic uint32_t waiting;
  _Atomic uint32_t probe;
  uint32_t unused0;
  uint64_t unused1[4];
  Slot slot[];
} SlotsShared;

_Static_assert(sizeof(Slot) == SLOT_SIZE && offsetof(SlotsShared, slot) == SLOT_SIZE,
               "a slot is one cache line, and so is the header");

/* The file as one party has it open: a reader for its own slot, a writer to look at all.  They are two
** open files even within one handle, since nobody sees the locks of his own open file. */
typedef struct Slots {
  int fd;              /* -1: not open */
  SlotsShared *shared; /* NULL likewise */
  size_t mapped;       /* bytes */
  int look;            /* by who only looks */
  int apart;           /* not mapped, but read; `mapped` is how long the file was found to be */
  Slot *copy;          /* apart: SLOTS_COPIED slots as they were read, the first being ... */
  uint32_t first;      /* ... this one; UINT32_MAX: none were */
} Slots;

#define SLOTS_COPIED 64u

/* What a build takes for granted of P_writer and P_readers; see SIGNATURE in slots.c. */
uint64_t slotsLayout(void);

/* Reader: opens the file and claims a slot, whose number goes to *number.  NOTFOUND, without a
** sentence, if there is no file; PERM if it may not be written; CORRUPT if its header is not ours; FULL
** if there are too many slots or no room; others of handleSystem().  On failure *s is closed. */
int slotsClaim(struct mmapsync *h, Slots *s, uint32_t *number);

/* Reader: gives the slot back: mask 0, pid 0, lock gone. */
void slotsRelease(Slots *s, uint32_t number);

/* Opens the file to look at all slots, apart, for which read permission is enough; with `make` for a writer, who
** holds the writer's lock, and makes or mends it; apart if its handle trusts nobody. */
int slotsOpen(struct mmapsync *h, Slots *s, int make);

/* Makes the file as long again as it was when it was mapped, and its header ours.  As slotsOpen(). */
int slotsHeal(struct mmapsync *h, Slots *s);

/* How many slots there are to look at, mapped as far as that.  OK, or why they cannot be mapped. */
int slotsUsed(struct mmapsync *h, Slots *s, uint32_t *used);

/* A slot below that number, to look at; with `again`, as it is now also if it is not mapped.  OK, or IOERR. */
int slotsAt(struct mmapsync *h, Slots *s, uint32_t number, int again, const Slot **out);

/* Whether slot `number` has a living owner other than this very open file.  1, or 0, or -1 with errno. */
int slotsAlive(const Slots *s, uint32_t number);

void slotsClose(Slots *s);

#endif
