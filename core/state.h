/*
** state.h - the state file, and the protocol that readers and writers follow through it.
**
** This is the file that owns the protocol: read.c and write.c are its two halves, and what they say
** about order they say by the numbers used here.
**
** THE FILE.  P_state has exactly 16 bytes, in the machine's byte order, mapped shared and writable by
** all parties:
**
**     offset 0   u64  version      which data file is active, its payload's size and hash (version.h)
**     offset 8   u32  readers[0]   how many reads of P_data_0 are going on
**     offset 12  u32  readers[1]   the same for P_data_1
**
** The layout is that of the mmap-sync crate, whose readers and writers may share a channel with ours.
** The crate resets a state file of any other size, so nothing may ever be added to it.  We are more
** careful: an empty file is one whose creator died, or is still at work, and is finished under the
** writer's lock; a file of another size was not made by either of us and is refused, not wiped.
**
** WHO WRITES WHAT.
**
**     version      the writer that holds the writer's lock; one store a publish, W7.
**     readers[i]   any reader: +1 to enter, -1 to leave, atomically; to 2^30 if it finds that it was
**                  taken below 0, R2.  The writer: to 0, only for the file that is not active, only
**                  after the grace time, W3.
**     payload and trailer of data file i
**                  the writer that holds the lock, only while i is not active, only from W4 to W7.
**
** READER.
**
**     R1  v = version; 0 means that nothing was published yet
**     R2  readers[idx(v)] += 1                                  the claim
**         if it was 2^31 or more before: readers[idx(v)] = 2^30
**     R3  w = version
**         idx(w) == idx(v): the view is w, go to R5
**     R4  otherwise readers[idx(w)] += 1 as in R2; w = version; readers[the file w does not name] -= 1
**     R5  read the bytes that w names
**     R6  readers[idx(w)] -= 1, but never below 0, and not if the claim was voided (below)
**
** At most two claims, whatever writers do: after R4 both files are claimed, so whichever of them the
** last look at `version` names is ours.  A file that has to be mapped is mapped between R6 and R1 of
** the next try, or, after a few tries, under the claim; read.c says why either is right.
**
** WRITER.
**
**     W1  take the writer's lock: flock(LOCK_EX | LOCK_NB) on P_state
**     W2  v = version; i = the file that v does not name (0 if v is 0).  For a durable channel, sync
**         what v names, and the state, unless they are known to be on the disk.  Reserve room in i on
**         the device, so that a full disk is met before anything has changed
**     W3  wait until readers[i] is 0: look at once, then sleep 1 us, 2 us, ... 10 ms, at most the
**         grace time in all.  If it is over, readers[i] = 0 and the result says `reset`
**     W4  wipe the trailer that file i carried
**     W5  write the payload
**     W6  write the trailer; for a durable channel, sync the file and its folder
**     W7  version = the new word                                the switch
**     W8  for a durable channel, sync the state; give the lock back
**
** ORDER.  All accesses to the three shared fields in R1 to R4, W2, W3 and W7 are sequentially
** consistent, so they stand in one order S on which all parties agree.  What pairs with what:
**
**     R2 then R3/R4  |  W7 then W3 of the next write    Dekker's pattern: either the reader's second
**                                                       look sees the switch, or the writer sees the
**                                                       claim
**     W5, W6 -> W7   |  R3/R4 -> R5    release to acquire through `version`: who sees the word sees
**                                      the bytes
**     R5 -> R6       |  W3 -> W4, W5   release to acquire through readers[i]: reads end before the
**                                      bytes change.  A later R2 or R6 of another reader does not
**                                      break this: an atomic add or exchange continues a release
**     W7 -> W1       |  W1 -> W2       the lock: a writer sees what earlier writers stored
**
** WHAT THIS PROMISES, AND WHY.
**
**  P1  A view is never of a file that is being written, if no read lasts longer than the grace time: no
**      read of anybody's, counted from its R2 to its R6.  Let the last look at `version` (R3 or R4) have
**      read w, naming file i.  The claim on i precedes that look in S.  A writer that changes file i
**      must first have stored a word naming the other file, and that store follows the look in S,
**      because the look did not read it; then somebody's W2 finds i inactive, and the W3 after it
**      follows in S too, so it sees the claim, and waits.
**      A write that was going on when the claim was made either is the one whose W7 stored w, and is
**      over; or writes to the other file.
**  P2  Entering and leaving are wait-free: R1 to R4 are at most three loads, two adds, two exchanges and
**      a subtraction as in R6, and that is a few tries to subtract from what is not 0; if other readers
**      spoil them all, it subtracts at once, and adds again if it went below 0.  (Mapping is a system
**      call, at most a few times for a publish, and only if the file has grown past what is mapped.)
**  P3  A publish ends within the grace time and its own work, whatever readers do: W3 is the only
**      wait, and is bounded.
**  P4  A writer that dies anywhere leaves the last snapshot readable: until W7 nothing of the active
**      file or of `version` has changed, and W7 is one store.  The kernel drops its lock.  The next
**      writer finds the same file inactive; its trailer names a word that is not in force, or is
**      wiped or torn and fails its checksum.  A file that is longer than it need be does no harm.
**      Of a durable channel the same holds when the machine dies.  What the disk's copy of the state
**      names is the word in force, which W2 has made sure of before W4 changes the other file, or from
**      W7 on the new one, whose bytes W6 has put there before.  (A writer that is not durable neither
**      gives this promise nor keeps that of a durable one before it.)
**  P5  One writer at a time, among those that take the lock, by the kernel's word.
**  P6  A reader cannot make a writer lose its place, nor write to a data file: it opens them
**      read-only.  It can spoil the counters, as anybody may who can write P_state.
**
** WHAT IT DOES NOT PROMISE.  A counter does not say whose it is; all that follows comes from this, and
** only a place of its own for each reader would cure it.  A reader that died between R2 and R6 looks
** like one that is slow, and costs one publish its whole grace time.
**
** A reader that is slower than the grace time loses its claim: its file is overwritten while it reads
** (the crate's rule; it cannot be told to move).  Such a claim is voided.  When the reader leaves, it
** must not take away the claim of somebody else, who came after the reset.  It can tell: what voids a claim is followed
** by W4, so if `version` now names the same file by another word, or the trailer of the snapshot is
** no longer the one that was read, the claim is gone, and R6 does nothing.  A writer that stops
** between the reset and W4 at the very moment of R6 leaves a gap of a few instructions in this; and
** a publish of the crate, which has no W4, or one of ours by a handle that cannot know what the file
** carried because the crate published last, can only be told by the word.  Where R6 does subtract, it
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
** comes before the look of R3 or R4, as P1 asks of a claim.
*/
#ifndef MMAPSYNC_STATE_H
#define MMAPSYNC_STATE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct mmapsync;

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
** An open state file.  A handle holds one, and so does every mapping made while it was in force: if
** somebody removes a channel and makes it anew, a view of the old one must still leave through the
** old counters.
*/
typedef struct State {
  int fd;
  int refs;
  dev_t device;
  ino_t inode;
  StateShared *shared; /* NULL: the file is still empty; only a writer keeps such a one */
} State;

/* Opens the channel's state into h->state, which is NULL.  For a reader (create 0), EMPTY if there is
** none or it is unfinished.  A writer (create 1) makes it if there is none; `shared` may then be NULL,
** until stateFinish(). */
int stateOpen(struct mmapsync *h, int create);

/* Gives an empty state file its 16 bytes and maps it.  The caller holds the writer's lock. */
int stateFinish(struct mmapsync *h);

/* Whether the open state file is still the one that its name leads to.  1 or 0. */
int stateIsCurrent(const struct mmapsync *h);

State *stateRef(State *s);
void stateUnref(State *s);

#endif
