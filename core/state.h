/*
** state.h - the state file, and the protocol that readers and writers of a channel follow.
**
** This is the file that owns the protocol: read.c, gate.h, pins.c, write.c and drain.c are its parts, and what they
** say about order they say by the numbers used here.  test/model/ holds a model of it, which `make model`
** checks exhaustively, with and without each of its rules.
**
** THE FILE.  P_state has exactly 16 bytes, in the machine's byte order, mapped shared by all parties:
**
**     offset 0   u64  version      which data file is active, its payload's size and hash (version.h)
**     offset 8   u32  readers[0]   how many reads of P_data_0 are going on, of those that count
**     offset 12  u32  readers[1]   the same for P_data_1
**
** The layout is that of the mmap-sync crate, whose readers and writers may share a channel with ours.
** The crate resets a state file of any other size, so nothing may ever be added to it: what else readers and
** writers tell each other is in P_writer (page.h) and P_readers (slots.h).  We are more careful with it: an
** empty file is one whose creator died, or is still at work, and is finished under the writer's lock; a file
** of another size was not made by either of us and is refused, not wiped.
**
** WHO WRITES WHAT.
**
**     version      the writer that holds the writer's lock; one store a publish, W7.
**     readers[i]   any reader that counts: +1 to enter, -1 to leave, atomically; to 2^30 if it finds that
**                  it was taken below 0, R2.  The writer: to 0, only for the file that is not active, only
**                  after the grace time, W3.
**     a slot's word
**                  its owner: R2, R4, R6.  The writer: W3, when the owner is dead, by compare-and-swap.
**     P_writer     the writer that holds the lock: replaced[i] in W1 and W6; from[i] in W6, and to 0 in
**                  W3; window in W3; the rest at any time, for people.
**     payload and trailer of the file named P_data_i
**                  the writer that holds the lock, only while i is not active, only from W4 to W7.
**     the name P_data_i
**                  the same, W6.  A file that has lost its name is never written to again.
**
** READER.
**
**     R0  for a file that is not mapped, or not well: note[i] = replaced[i]; open P_data_i and map it.
**         No claim is held meanwhile (but see MAPPING in read.c)
**     R1  v = version; 0 means that nothing was published yet.  (It says which file to claim first, and no more.
**         The short way, gate.h, does without: v is the word of a view that it has had by this slot)
**     R2  claim idx(v): by slot, the word becomes one with both notes and bit idx(v), beside the bits of views
**         that are held; by lock, a read lock on the byte of (idx(v), note[idx(v)]); by counter,
**         readers[idx(v)] += 1, and if it was 2^31 or more before, readers[idx(v)] = 2^30
**     R3  w = version
**         idx(w) == idx(v): the snapshot is w, go to R5
**     R4  otherwise claim the other file, too (by slot: both bits); w = version; take back the claim
**         on the file that w does not name: the snapshot is w
**     R5  replaced[idx(w)] == note[idx(w)], the one that the claim was made with: the view is w, in the
**         mapping made in R0.  Otherwise take back the claim and go to R0
**     R6  to leave: by slot, clear the bit unless another view of the file is held (those of a file that this
**         handle has found to have lost its name do not count); by lock, likewise; by
**         counter, -1, but never below 0, and not if the claim was voided (below)
**
** WRITER.
**
**     W1  take the writer's lock: flock(LOCK_EX | LOCK_NB) on P_state.  Where replaced[i] is odd, raise it:
**         a predecessor died when it was about to rename, or had just renamed, the file
**     W2  v = version; i = the file that v does not name (0 if v is 0).  For a durable channel, sync
**         what v names, and the state, unless they are known to be on the disk.  Reserve room in i on
**         the device, so that a full disk is met before anything has changed
**     W3  wait for the pins on i, at most the grace time in all (drain.c):
**         slot     bit i set, and the note of i in the word not below from[i]: if its byte lock is gone its
**                  owner is dead: clear the bits by compare-and-swap, no wait.  Otherwise wait.  Grace over:
**                  the file must be replaced.  (Where the note is below, a dead owner's bits go, too, now
**                  and then.  A slot without an owner whose word goes on changing then is
**                  passed over: a claim made after W2 need not be waited for, see C1, 3.)
**         lock     a lock on a byte of (i, from[i]) or above: wait.  Grace over: the same.  (In a burst of
**                  publishes this look can be left out: pins.h, WINDOW)
**         counter  not 0: wait.  Grace over: readers[i] = 0, and the result says `reset`
**         Before that, if from[i] > replaced[i], from[i] = 0: the count has gone round, or is damaged
**     W4  wipe the trailer that file i carried; or, to replace it, make a new file, P_data_i_new
**     W5  write the payload
**     W6  write the trailer; for a durable channel, sync the file.  To replace: raise replaced[i] (now it
**         is odd), rename the new file to P_data_i, raise replaced[i]; and if the rename was made,
**         from[i] = replaced[i].  For a durable channel, sync the folder
**     W7  version = the new word                                the switch
**     W8  wake who waits for it; for a durable channel, sync the state; give the lock back
**
** ORDER.  All accesses to shared fields in R1 to R5, W1 to W3, W6 and W7 are sequentially consistent, so they
** stand in one order S on which all parties agree; a lock on a byte is placed and asked for by system calls,
** which the kernel orders among themselves, and with a full fence beside each they stand in S too.  What pairs with what:
**
**     R2/R4 then R3/R4  |  W7 then W3 of the next write    Dekker's pattern: either the reader's last
**                                                          look sees the switch, or the writer sees the
**                                                          claim
**     R0 then R5        |  the raises of W6, around the rename    a mapping of a file that has lost its name
**                                                          is not taken for one of the file at the name
**     W5, W6 -> W7      |  R3/R4 -> reads    release to acquire through `version`: who sees the word sees
**                                            the bytes
**     reads -> R6       |  W3 -> W4, W5      release to acquire through the word, the lock or the counter:
**                                            reads end before the bytes change.  A later R2 or R6 of
**                                            another reader does not break this for counters: an atomic
**                                            add or exchange continues a release
**     W7 -> W1          |  W1 -> W2          the lock: a writer sees what earlier writers stored
**
** THE CLAIMS, AND WHY THEY HOLD.
**
**  C1  A reader that holds a view sees the same bytes until it releases it, however long that takes (by
**      slot and by lock; what counters promise is below).  Let the view be of w, naming file i, by a claim
**      c, in a mapping of the file F.
**      1. F is the file at the name P_data_i at R5, or was when the look at `version` was made.  It was
**         opened by that name after the note.  Had a rename come between the note and R5, one of the raises
**         around it would lie between them too, but for one case: the note was taken after the first raise,
**         is odd, and R5 comes before the second.  Then the writer of this replace was between W6 and W7
**         all the time from the note to R5, i was not active, and the last look would have named the other
**         file.  (If that writer died, W1 of the next makes the second raise before anything else.)
**      2. When the last look was made, c stood, and i was active.  Whoever stores to the file at that name
**         afterwards has first found i not active in a W2, later in S than the switch to the other file,
**         which is later than the look.  So its W3 comes after c in S, and sees it, or its end.
**      3. A writer that had passed its W3 before c was made, and writes to i, is one for which i is not
**         active from before c until its W7.  The last look named i, so it came after that W7, and the
**         writing was over.
**      4. If W3 finds c over, the reads are over.  If it finds the owner dead, likewise.  If it gives up, F is
**         replaced: nobody stores to it any more, and it lives as long as it is mapped.
**      5. If W3 passes over c, the word it has met has a note below from[i], or c's lock is on a value below it.
**         The note of c is no higher: the word is that of c or of a later claim, and an owner's notes only
**         rise (6).  Now let a replace have set from[i] to x: x - 1 and x were its raises, the rename
**         came between them, and the note of c is at most x - 1.  If it is less, it was taken before the
**         first raise; R5 found it in force, so R5, and the mapping before it, came before the rename: F is
**         the file that lost its name then, or an earlier one.  It is not x - 1, for then note, last look and
**         R5 lay between the raises, as in 1: but i was not active.  From then on F is not written to,
**         whoever writes and however many times.  A writer that dies before it has stored from[i], or whose
**         rename failed, leaves an older one, by which more pins count, not fewer.
**      6. A slot has one note for each file, for all views of its owner.  It is that of the newest claim, and
**         no lower than those of the views: while a handle has a view of i it has i mapped, and takes a new
**         note of it only for a newer mapping, or when it finds the old one good still.  It may be higher, and
**         then an older view would be waited for needlessly; but a handle that maps another file at the name
**         drops the bit of such views before its next claim.  Who has nothing mapped says 0, and has no view
**         to lose.  Bits and notes are one word: a slot that has a new owner, or whose file was damaged, says
**         what is right from the next store on.
**      7. If the handle itself has dropped c's bit, it has found another file at the name: F is not written to.
**      8. A compare-and-swap that clears a dead owner's bits takes nothing from a new one.  The word it expects
**         has bit i.  Who takes the slot after the writer has met that word, and so after W2, finds the other
**         file active in each look at `version`, R1 included, until W7; so bit i is not in its words.  (By the
**         short way v is from a look that it has made with this slot.)
**  C2  Entering and leaving are wait-free: R1 to R5 are at most three loads of `version`, two claims, one
**      taken back and a load of replaced[i].  A counter's -1 is a few tries to subtract from what is not 0;
**      if other readers spoil them all, it subtracts at once, and adds again if it went below 0.  The short way
**      adds a claim and its end, once, where it finds that it does not lead there.  R0 is
**      system calls; it comes again only if the file has grown past what is mapped, or was replaced, since.
**  C3  A publish ends within the grace time and its own work, whatever readers do: W3 is the only wait, the
**      grace time is one for all pins, and when it is over each slot costs one more look.
**  C4  A writer that dies anywhere leaves the last snapshot readable: until W7 nothing of the active file, of
**      its name or of `version` has changed, and W7 is one store.  The kernel drops its lock.  The next
**      writer finds the same file inactive; its trailer names a word that is not in force, or is wiped or
**      torn and fails its checksum.  A replace that was cut off leaves P_data_i_new, which the next writer
**      removes, or the new file at the name of the inactive one, and an odd replaced[i], which W1 raises.  A
**      file that is longer than it need be does no harm.  Who waits for a wake that never came looks again
**      by itself (wait.c).
**      Of a durable channel the same holds when the machine dies.  What the disk's copy of the state
**      names is the word in force, which W2 has made sure of before W4 changes the other file, or from
**      W7 on the new one, whose bytes and name W6 has put there before.  (A writer that is not durable neither
**      gives this promise nor keeps that of a durable one before it.)  What readers have told each other,
**      slots, counters, replaced[i], from[i], may come back from the disk in any state: no mapping and no byte
**      lock outlives the machine, so slots are dead, and any value of replaced[i] will do, and of from[i] any
**      that is not above it (W3).  A stale counter costs a grace time, once.  And a reader that finds that the
**      machine went down since the last publish (P_writer has the boot) compares the snapshot with its hash
**      before it trusts it.
**  C5  A reader that dies costs the next publish nothing: the kernel drops the byte lock of its slot, or its
**      lock pins, when it ends, and W3 asks the kernel.  (A new owner of the slot who stands still before it
**      has cleared the word looks like one who is slow.  An open file is shared with children that were
**      forked: pins.h, FORK.)  One that lives and holds on costs one grace time for each file that it pins,
**      whoever publishes: the replace that follows it leaves its notes below from[i].  (One more for a writer
**      that dies, or fails, between the wait and the store of from[i].)  It is not so for counters.
**  C6  One writer at a time, among those that take the lock, by the kernel's word; the second is told BUSY.
**  C7  A reader that may not write the state cannot change what others see: it needs no more than to write
**      P_readers, or only to read (pins.h), and data files are opened read-only by every reader.  One that may
**      write P_readers can void the pins in it, or cut the file short, which kills who looks there (SIGBUS; a
**      writer can do without: slots.h, APART);
**      where readers distrust each other they get read permission only, and pin by locks, which only the
**      kernel holds.  One that may write P_state is trusted like a writer.  What a payload says is never
**      believed further than the mapping reaches (image.h).  All of it is at the head of handle.c.
**
** COUNTERS.  A counter does not say whose it is; all that follows comes from this, and a slot or a lock
** of each reader's own is the cure.  A reader that counts and dies between R2 and R6 looks like one that is
** slow, and costs one publish its whole grace time.
**
** A reader that counts and is slower than the grace time loses its claim: its file is overwritten while it
** reads (the crate's rule; the crate's readers cannot be told to move).  Such a claim is voided.  When the
** reader leaves, it must not take away the claim of somebody else, who came after the reset.  It can tell:
** what voids a claim is followed by W4, so if `version` now names the same file by another word, or the
** trailer of the snapshot is no longer the one that was read, the claim is gone, and R6 does nothing.  A
** writer that stops between the reset and W4 at the very moment of R6 leaves a gap of a few instructions in
** this; and a publish of the crate, which has no W4, or one of ours by a handle that cannot know what the
** file carried because the crate published last, can only be told by the word.  Where R6 does subtract, it
** stops at 0: below it lies 4294967295, which the next writer would wait for in vain.
**
** A reader that stands still between R2 and R3 or R4 for longer than the grace time, while two publishes
** go by, has lost its claim before it has a view, and cannot tell: the word it then finds is right, and
** so is the file.  At R3 it takes for claimed what is not, and gets a view that the next write to its
** file does not wait for.  At R4 it takes back a claim on the other file that is no longer its own; if
** somebody else has claimed that file since, it is theirs, and it is they who are not waited for.  So
** a process that is stopped at the wrong instruction can cost another one its protection, once.
**
** The crate's readers subtract without a look, at 0 too.  One that is late may take away a claim of
** somebody else, as above; or it leaves 4294967295, of which the next claim would make 0: for a writer,
** nobody.  Hence the second half of R2: who adds to a counter that is below 0 sets it to 2^30.  From
** there the claims and leaves that there can be do not reach 0, so the next writer waits out its grace
** time, and resets it; and it does not matter whether one reader does this, or several at once.  It
** comes before the look of R3 or R4, as C1 asks of a claim.
**
** THE CRATE'S READERS look at `version` once, R1 and R2 without R3: one that loses the processor between the two, for
** two publishes, and comes back in W4 to W6 of its file, reads what is half written, whoever writes; or so much of
** a newer snapshot as the older one had bytes.  And they do not look at replaced[i]: one that has a file mapped
** goes on with that mapping when the file was replaced, and reads old bytes by a new word, until the payload outgrows
** it.  So a channel that they read should be written with MMAPSYNC_FOREIGN_BUSY, which replaces nothing and resets
** nothing.  And its writers look at neither slots nor locks: a view of ours of a snapshot that one of our writers
** published, held over two publishes of the crate's, is overwritten.  Nor do they notice a file that was replaced, to
** which they then write in vain.  A channel should have writers of one kind at a time.
**
** A process of the crate that opens the state file between its making and its 16 bytes, a reader too, sets it to 0
** when it has mapped it, and does not look whether anybody was quicker.  So may a first publish, of whatever kind of
** writer, come to naught, if a reader of the crate stood still at that moment; the next one is there again, with the
** next sequence.  test/interop.test shows what is said in these paragraphs with the crate itself.
*/
#ifndef MMAPSYNC_STATE_H
#define MMAPSYNC_STATE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "page.h"
#include "slots.h"

struct mmapsync;
struct PinLock;
struct Pins;

#define STATE_SIZE 16

/* The file, as it is mapped.  Who writes which field, and when: above. */
typedef struct StateShared {
  _Atomic uint64_t version;
  _Atomic uint32_t readers[2];
} StateShared;

_Static_assert(sizeof(StateShared) == STATE_SIZE, "the state has 16 bytes");
_Static_assert(offsetof(StateShared, readers) == 8, "the counters follow the version");
_Static_assert(sizeof(_Atomic uint64_t) == 8 && sizeof(_Atomic uint32_t) == 4, "plain layout");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_LONG_LOCK_FREE == 2 &&
                   ATOMIC_INT_LOCK_FREE == 2,
               "a lock hidden in this process would not keep other processes out");

/*
** An open channel: the state file, and what a reader pins with.  A handle holds one, and so does every
** mapping made while it was in force: if somebody removes a channel and makes it anew, a view of the old
** one must still leave by the old slot, lock or counter.
*/
typedef struct State {
  int fd;
  int refs;
  int writable; /* the file may be written to: counters can pin */
  dev_t device;
  ino_t inode;
  StateShared *shared;   /* NULL: the file is still empty; only a writer keeps such a one */
  Page page;             /* P_writer, read-only; a lock pin's descriptor */
  Slots slots;           /* P_readers, if a slot was claimed */
  struct Pins *pins;     /* pins.h; wiped in a child */
  struct PinLock *locks; /* lock pins */
  uint32_t nlocks;
  int wipes; /* *pins is wiped in a child */
  int unsure; /* the machine went down since the newest snapshot was published, and it was not compared yet */
} State;

/* The half of the version word that every switch changes, for the kernel to sleep on. */
static inline _Atomic uint32_t *stateLow(StateShared *s) {
  return (_Atomic uint32_t *)(void *)((char *)s + 4 * (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__));
}

/* Opens the channel's state into h->state, which is NULL.  For a reader (create 0), EMPTY if there is
** none or it is unfinished; read-only if no more is permitted.  A writer (create 1) makes it if there is none; `shared` may then be NULL,
** until stateFinish(). */
int stateOpen(struct mmapsync *h, int create);

/* Reads what the state file at the path says now, without mapping it.  EMPTY; CORRUPT; others of handleOpen(). */
int stateLook(struct mmapsync *h, StateShared *out);

/* Gives an empty state file its 16 bytes and maps it.  The caller holds the writer's lock. */
int stateFinish(struct mmapsync *h);

/* Whether the open state file is still the one that its name leads to.  1; or 0, also if that cannot be told. */
int stateIsCurrent(struct mmapsync *h);

/* The failure of who was told 0 too often: the code and the sentence for what the last look found. */
int stateVanished(struct mmapsync *h);

State *stateRef(State *s);
void stateUnref(State *s);

#endif
