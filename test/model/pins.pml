/*
** pins.pml - a model of how readers and a writer keep out of each other's way, for spin.
**
** One writer that may die at any step (another then takes its lock), or two writers, and two readers
** that may die at any step and come back.  run.sh has spin visit every reachable state of this, for each
** kind of pin and for mixes of them; and has it visit the same with one rule of the protocol broken,
** which must fail.  Publishes, reads and deaths may go on for ever, where run.sh does not bound them.
**
** WHAT IS SHOWN.
**
**     C1   A view by slot or by lock is of the bytes that the version word it was entered with names,
**          all of them written, and none of them changes until the view is left: the assertions in
**          take() and touchOne().  So is a view by counter, until a reset of the counter, or a release
**          that such a reset led astray, has voided it.
**     C2   An entry makes at most two claims, whatever writers do: seen in the shape of reader(), which
**          has no way back to a claim but by a new mapping.
**     C3   The writer never waits for what may not happen.  A reader may stop for good at any step
**          (RSTOPS), and the writer goes on: otherwise spin reports the state in which nobody can do
**          anything.  Nor does it go round without ever publishing: with LIVE, everybody else is done,
**          dead or stopped at some time, and spin looks for a cycle without a switch.  A writer that
**          may die again and again can always do something, so in both its deaths are bounded.
**     C4   C1 and C3 hold after a writer's death at any step.
**     C5   A dead reader costs no grace time: at slotWait, only a reader whose slot is locked lets it
**          pass; and where readers die for good the writer still goes on.  A reader that has stopped for
**          good (ONCE) costs one grace time for each file, whichever writer publishes, and one more for
**          each death of a writer and each publish given up: the assertion in LATE.
**     C6   Only the owner of the lock switches: the assertion at the switch.
**
** WHAT STANDS FOR WHAT.
**
**     vIdx               the version word.  Its index is all that the protocol looks at
**     counter[i]         readers[i] of P_state
**     replaced[i]        the field of P_writer; odd while file i is being replaced
**     from[i]            the field of P_writer: what replaced[i] was after the last rename of file i that
**                        is known of.  Pins by smaller notes are of older files
**     window             the field of P_writer, a time: 1 if that is ahead of the clock, 0 if not
**     slotMask, slotNote the pin word: the mask, and its owner's notes of both files at its newest claim
**     slotLock           the byte lock of a slot, which the kernel drops when its owner dies
**     slotsUsed          how many slots were ever claimed; a reader raises it before its first claim
**     lockOn[r, i] - 1   the value x of reader r's OFD read lock on (file i, x); lockOn 0: it has none
**     present[r]         reader r's OFD read lock on the presence byte
**     writerLock         flock on P_state
**     map, note          a reader's cached mapping, and the value of replaced[i] noted before it was
**                        made
**     seen               of the writer: the mask of the pin word it looks at
**     mine               of the writer: its own copy of the time in `window` is ahead of the clock
**
** THE PROTOCOL, as modelled.  In parentheses the mutants, each of which breaks the rule it stands at.
**
**   Reader
**     attach  by slot: take the byte lock of a slot; clear the mask; raise slotsUsed if the slot is beyond
**             it (USED_NEVER).  MAPPED_FIRST: with both files mapped
**             before, as by a handle that pinned in another way until then
**             By lock: take the presence lock and keep it (PRESENCE_DROPPED: until the wait is over)
**             for as long as there may be lock pins; then load window (LOAD_EARLY: load first); wait
**             until the clock is past it (NO_WAIT).  No second look at it
**     enter   v = version.  Claim file v: store bit v beside the bits held, with the notes of both files
**             (SAID_AT_MAPPING: they are stored when they are taken, and not here; UNSAID: not those of files
**             that are not mapped yet).  w = version (NO_RECHECK).  If it names the other file: store both
**             bits, w = version, store the bits without the other's (CLAIM_MOVED: store the other bit, no
**             third look).
**             By lock likewise: lock (file, value noted with its mapping); the second claim is one more
**             lock.  By counter likewise
**     check   the mapping of file w is good if its note is replaced[w] as it is now, after the last look
**             at the version (CHECK_EARLY: before it).  If it is not: drop the claim, note replaced,
**             map (NOTE_LATE: map, note), enter again from the top (MAP_AFTER_CLAIM: use it)
**     gate    with GATE, a reader by slot that has no view may instead begin with a claim on a file of
**             which it has had a view since it attached, without the first look (GATE_FIRST: also one of
**             which it had not).  w = version (GATE_BLIND); if that names the other file, or the mapping
**             is not good (GATE_UNCHECKED), drop the claim and enter from the top
**     under   instead of that, with MAP_UNDER: map while the claim is held, if replaced is what was
**             noted before the claim was made, and still is after the mapping.  Right only with the
**             raise on both sides of the rename: fails with RAISE_ALWAYS
**     leave   store the bits of the views that are left; unlock; take out of the counter
**
**   Writer
**     lock    take the writer's lock (LOCK_IGNORED); if replaced[inactive] is odd, raise it (NO_RAISE).
**             From before it has no window
**     window  if the clock is before its own copy of the time (TRUST: of the time in the field; KEEP_MINE:
**             even if it gave the lock back meanwhile): this publish does not look for lock pins.
**             Otherwise it may store a time (MINE_LATER: and count its own from a later one), and then
**             look for the presence lock (LOOK_FIRST: before it stores; NO_LOOK).  Nobody there: this
**             publish does not look either.  Somebody: store 0, no window of its own (KEPT_OPEN), look
**     scan    for each slot below slotsUsed: load the word.  Bit i clear, or the note of i below from[i]:
**             next, or first, in case that its owner is dead, what follows now.  Owner's lock gone (DEAD_WAITS: not looked at): compare-and-swap the mask away
**             (CLEAR_PLAIN: by a store; NO_CLEAR), look at it again.  The masks alone are compared: where
**             that is right, to compare the notes, too, is.
**             Otherwise wait until the word has changed, and look at it again (SKIP_CHANGED: take the
**             reader for gone), or until the owner's lock is gone, or the grace time is over (NO_GRACE:
**             for ever).  After that the file must be replaced (GRACE_RESET: is not)
**     locks   any read lock on (file i, from[i]) or above (LOCK_CURRENT: on (file i, replaced[i]) only):
**             wait, and after the grace time replace
**     counter wait, and after the grace time store 0
**     replace raise replaced[i] to odd; rename the new file over the name; raise it to even
**             (RAISE_BEFORE: both before; RAISE_LATE: after the switch).  Only now from[i] = replaced[i]
**             (FROM_EARLY: with the first raise; FROM_NEVER; FROM_ONE: one for both files; FROM_OWN: each
**             writer has its own, from when it takes the lock).  A rename that fails, with ABORTS, is raised
**             around likewise, and leaves from[i] as it is (FROM_FAILED: does not); so does a writer that
**             raises what it found odd when it took the lock (FROM_LOCK: does not)
**     write   if nothing is to be replaced write in place: two steps
**     switch  store the version
**
** Variants that are right.  RAISE_ALWAYS is a simpler rule: a writer raises replaced[inactive] whenever
** it takes the lock, and once after a rename.  But then all readers map a file anew after each publish of
** a writer that takes the lock for each.
**
** COUNTER_BLIND is a reader of the mmap-sync crate, which does not know `replaced`: it fails, even with
** a second look at the version, where a writer replaces files.
**
** WHAT IS LEFT OUT.  Sequential consistency is taken for granted: all accesses above are sequentially
** consistent atomics in the code, and system calls with a full fence on the side where the atomic is (a
** release suffices for leave: what it must not pass are the reads before it).  One clock serves all.  A
** dead reader's locks go all at once.  Growing and shrinking in place, synchronizing to disk, futexes,
** fork, removal of a channel, and writers of another kind are not modelled.  The lock pins of one reader
** do not nest: two views under one lock must be counted by the handle.
**
** WHY THE MODEL IS FINITE.  Values that only rise are known by what can still be told of them:
**
**   - Contents.  A file is the one at the name (NOW) or an older one (OLD), which nobody ever writes
**     again.  So a mapping is none, NOW or OLD; a rename turns NOW into OLD.  Whether it shows the
**     snapshot that was looked at is told by ghosts: look, same and good.  They say what numbered
**     contents would say, without the numbers.
**   - replaced.  What matters of a value noted earlier is whether it is the newest, or not below
**     from[i], or below; renumber() keeps these three apart, and so from[i] need not change.
**   - The clock.  A time is over or it is not.  When it is over is chosen as late as somebody sees it:
**     the writer, when it does not go by its own copy although it has one, and a reader whose wait ends.
**     A reader that loaded a time which the field no longer holds may go on at any moment.
**
** A program is a chain of STEP()s, each of which is taken at once; before each the process may die.
*/
#include "ghosts.pml"

/* ---- what is shared -------------------------------------------------------------------------- */

/* P_state */
bit vIdx;
#if HAS(COUNTER)
byte counter[2];
#endif

/* P_writer */
byte replaced[2] = NEWEST;
#if KEEPS
#ifdef FROM_ONE
byte from[2];
#else
byte from[2] = SINCE;
#endif
#endif
#ifdef WINDOW
bit window;
#endif

/* P_readers, and byte locks on it. */
#if HAS(SLOT)
byte slotMask[NS];
byte slotNote[NS * 2]; /* AT(slot, file) */
byte slotsUsed = 1;
bit slotLock[NS];
#endif

/* Locks of the kernel on P_writer and P_state.  writerLock: its owner's number plus 1. */
#if HAS(LOCK)
byte lockOn[4];
#endif
#ifdef WINDOW
bit present[2];
#endif
byte writerLock;

/* ---- what its owner keeps to itself, global because ghosts.pml speaks of it ------------------ */

/* Of readers: AT(reader, file), and AT(reader, view) for views, of which a reader may have two. */
byte map[4];
byte note[4];
byte viewFile[4];
byte view[4];

/* Of writers: one each. */
#ifdef WINDOW
bit mine[WRITERS];
#endif

/* ---- claims ---------------------------------------------------------------------------------- */

#if HAS(SLOT)
/* What the word says beside the mask: the notes of the mappings there are. */
#ifdef UNSAID
#define SAYS(i) (map[AT(r, i)] == 0 -> slotNote[AT(s, i)] : note[AT(r, i)])
#else
#define SAYS(i) (note[AT(r, i)] == NONE -> BEFORE : note[AT(r, i)])
#endif
#define SAY                                                                                        \
  slotNote[AT(s, 0)] = SAYS(0);                                                                    \
  slotNote[AT(s, 1)] = SAYS(1)
#ifdef SAID_AT_MAPPING
#define SAY_CLAIM skip
#else
#define SAY_CLAIM SAY
#endif
#define SLOT_CLAIM(i)    SAY_CLAIM; slotMask[s] = HELD | BIT(i)
#define SLOT_CLAIM_TOO() slotMask[s] = 3
#define SLOT_DROP(mask)  slotMask[s] = mask
#else
#define SLOT_CLAIM(i)    skip
#define SLOT_CLAIM_TOO() skip
#define SLOT_DROP(mask)  skip
#endif

#if HAS(LOCK)
#define LOCKS(i, y) lockOn[AT(r, i)] = y
#else
#define LOCKS(i, y) skip
#endif

#define CLAIM(i)                                                                                   \
  if                                                                                               \
  :: kind == SLOT -> SLOT_CLAIM(i)                                                                 \
  :: kind == COUNTER -> count(i)                                                                   \
  :: kind == LOCK -> LOCKS(i, note[AT(r, i)] + 1)                                                  \
  fi
/* The second claim of an entry; of file 1 - i there is one already. */
#define CLAIM_TOO(i)                                                                               \
  if                                                                                               \
  :: kind == SLOT -> SLOT_CLAIM_TOO()                                                              \
  :: kind == COUNTER -> count(i)                                                                   \
  :: kind == LOCK -> LOCKS(i, note[AT(r, i)] + 1)                                                  \
  fi
/* Gives the claim on i back; what is left of a pin word is `mask`. */
#define DROP(i, mask)                                                                              \
  if                                                                                               \
  :: kind == SLOT -> SLOT_DROP(mask)                                                               \
  :: kind == COUNTER -> uncount(i)                                                                 \
  :: kind == LOCK -> LOCKS(i, 0)                                                                   \
  fi

/* ---- reader ---------------------------------------------------------------------------------- */

#define MORTAL                                                                                     \
  ::atomic { MAY(rdied, RDEATHS) -> DID(rdied, RDEATHS); goto died }                               \
  ::atomic { rstopped < RSTOPS -> rstopped++; goto stopped }

#define STEP(...)                                                                                  \
  if                                                                                               \
  :: d_step { __VA_ARGS__ }                                                                        \
  MORTAL                                                                                           \
  fi

#ifdef NO_RECHECK
#define LOOK                                                                                       \
  v = vIdx;                                                                                        \
  LOOKED(v)
#else
#define LOOK v = vIdx
#endif

#ifdef SAID_AT_MAPPING
#define NOTE(i)                                                                                    \
  note[AT(r, i)] = replaced[i];                                                                    \
  if                                                                                               \
  :: kind == SLOT && has -> SAY                                                                    \
  :: else                                                                                          \
  fi;                                                                                              \
  renumber(i)
#else
#define NOTE(i)                                                                                    \
  note[AT(r, i)] = replaced[i];                                                                    \
  renumber(i)
#endif
#ifdef SAID_AT_MAPPING
#define HAS_SLOT has = 1
#else
#define HAS_SLOT skip
#endif

/* A lock is named by the value of replaced[i] noted with the mapping; without one, by its value now. */
#if HAS(LOCK)
#define NOTED(i, noting, claim)                                                                    \
  if                                                                                               \
  :: kind == LOCK && !map[AT(r, i)] -> goto noting                                                 \
  :: else -> goto claim                                                                            \
  fi
#else
#define NOTED(i, noting, claim) goto claim
#endif

#if defined(CHECK_EARLY)
#define SHOWS(i) (map[AT(r, i)] && early[i])
#elif defined(COUNTER_BLIND)
#define SHOWS(i) (map[AT(r, i)] && (kind == COUNTER || note[AT(r, i)] == replaced[i]))
#else
#define SHOWS(i) (map[AT(r, i)] && note[AT(r, i)] == replaced[i])
#endif

inline unview(f) {
  viewFile[AT(r, f)] = 0;
  view[AT(r, f)] = 0
}

/* Leaves view e. */
#define LEAVE                                                                                      \
  w = viewFile[AT(r, e)];                                                                          \
  if                                                                                               \
  :: kind == COUNTER -> goto leaveCounter                                                          \
  :: else                                                                                          \
  fi;                                                                                              \
  d_step {                                                                                         \
    unview(e);                                                                                     \
    DROP(w, HELD);                                                                                 \
    w = 0;                                                                                         \
    e = 0                                                                                          \
  };                                                                                               \
  goto idle

proctype reader(bit r; byte kind) {
  byte s, reads;
  bit v, w, e; /* the two looks at the version; which view */
#ifdef SAID_AT_MAPPING
  bit has; /* a slot */
#endif
#ifdef GATE
  byte had; /* files of which it has had a view: bits */
#endif
#ifdef CHECK_EARLY
  bit early[2];
#endif

  if
  :: kind == SLOT && r == 1
#ifdef WINDOW
  :: kind == LOCK && view[AT(r, 0)] == 0 -> goto attachLock
#endif
  :: else -> HAS_SLOT; goto idle
  fi;

attach:
#if HAS(SLOT)
#ifdef MAPPED_FIRST
  STEP(NOTE(0); NOTE(1));
  STEP(MAPPED(0); MAPPED(1));
#endif
  if
  :: d_step {
      s = 0;
      do
      :: slotLock[s] -> s++
      :: else -> break
      od;
      slotLock[s] = 1
    }
  fi;
  STEP(slotMask[s] = 0; HAS_SLOT);
#ifdef GATE_FIRST
  had = 3;
#endif
#ifndef USED_NEVER
  STEP(
      if
      :: slotsUsed <= s -> slotsUsed = s + 1
      :: else
      fi);
#endif
#endif

#ifdef WINDOW
  goto idle;
attachLock:
#ifdef LOAD_EARLY
  STEP(waits[r] = window);
  STEP(present[r] = 1);
#else
  STEP(present[r] = 1);
  STEP(waits[r] = window);
#endif
#ifdef NO_WAIT
  STEP(waits[r] = 0);
#else
  STEP(
      if
      :: waits[r] -> PASSED
      :: else
      fi);
#endif
#ifdef PRESENCE_DROPPED
  present[r] = 0;
#endif
#endif

idle:
  if
  :: atomic { MAY(reads, READS) && VIEWS == 0 -> e = 0; LOOK; NOTED(v, noteV, claim1) }
#ifdef GATE
  :: atomic { kind == SLOT && MAY(reads, READS) && VIEWS == 0 && (had & 1) -> e = 0; v = 0; goto gate }
  :: atomic { kind == SLOT && MAY(reads, READS) && VIEWS == 0 && (had & 2) -> e = 0; v = 1; goto gate }
#endif
#ifdef NEST
  :: atomic { kind == SLOT && MAY(reads, READS) && VIEWS == 1 ->
      e = (view[AT(r, 0)] != 0); LOOK; goto claim1 }
#endif
  :: atomic { view[AT(r, 0)] -> e = 0; LEAVE }
#ifdef NEST
  :: atomic { view[AT(r, 1)] -> e = 1; LEAVE }
#endif
  :: atomic { !MAY(reads, READS) && VIEWS == 0 -> goto done }
  MORTAL
  fi;

#ifdef GATE
gate:
  STEP(CLAIM(v));
  if
  :: atomic {
      w = vIdx;
      if
#ifdef GATE_BLIND
      :: true -> d_step { w = v; LOOKED(vIdx); v = 0 }
#else
      :: w == v -> d_step { LOOKED(w); v = 0 }
      :: else -> d_step { w = 0; v = 0 }; goto gateBack
#endif
      fi
    }
  MORTAL
  fi;
  if
#ifdef GATE_UNCHECKED
  :: atomic { d_step { take() }; goto idle }
#else
  :: atomic { SHOWS(w) -> d_step { take() }; goto idle }
  :: atomic { !SHOWS(w) -> UNLOOKED; w = 0 }
#endif
  MORTAL
  fi;
gateBack:
  STEP(SLOT_DROP(0));
#endif

enter:
  if
  :: atomic { LOOK; NOTED(v, noteV, claim1) }
  MORTAL
  fi;
#if HAS(LOCK)
noteV:
  STEP(NOTE(v));
#endif

claim1:
  STEP(CLAIM(v));
#ifdef NO_RECHECK
  w = v;
  goto check;
#endif
#ifdef CHECK_EARLY
  d_step { early[0] = (note[AT(r, 0)] == replaced[0]); early[1] = (note[AT(r, 1)] == replaced[1]) };
#endif
  if
  :: atomic {
      w = vIdx;
      if
      :: w == v -> d_step { LOOKED(w); v = 0 }; goto check
#ifdef CLAIM_MOVED
      :: else -> d_step { LOOKED(w); v = 0 }; goto moved
#else
      :: else -> NOTED(w, noteW, claim2)
#endif
      fi
    }
  MORTAL
  fi;
#ifdef CLAIM_MOVED
moved:
  STEP(slotMask[s] = HELD | BIT(w));
  goto check;
#endif

#if HAS(LOCK)
noteW:
  STEP(NOTE(w));
#endif
claim2:
  STEP(CLAIM_TOO(w); v = 0; w = 0);
#ifdef CHECK_EARLY
  d_step { early[0] = (note[AT(r, 0)] == replaced[0]); early[1] = (note[AT(r, 1)] == replaced[1]) };
#endif
  STEP(w = vIdx; LOOKED(w));
  STEP(DROP(1 - w, HELD | BIT(w)));

check:
  if
  :: atomic {
      if
#ifdef GATE
      :: SHOWS(w) -> d_step { had = had | BIT(w); take() }; goto idle
#else
      :: SHOWS(w) -> d_step { take() }; goto idle
#endif
#ifdef MAP_UNDER
      :: !map[AT(r, w)] && note[AT(r, w)] == replaced[w] -> goto under
      :: note[AT(r, w)] != replaced[w] -> d_step { NOTE(w) }
#else
      :: else
#endif
      fi;
#ifndef MAP_AFTER_CLAIM
      UNLOOKED
#endif
    }
  MORTAL
  fi;

#if defined(MAP_UNDER)
  STEP(DROP(w, HELD); map[AT(r, w)] = 0; w = 0);
  goto enter;
under:
  STEP(MAPPED(w));
  goto check;
#elif defined(MAP_AFTER_CLAIM)
  d_step { NOTE(w) };
  d_step { MAPPED(w) };
  d_step { take() };
  goto idle;
#elif defined(NOTE_LATE)
  STEP(DROP(w, HELD));
  STEP(MAPPED(w));
  d_step { NOTE(w); w = 0 };
  goto enter;
#else
  STEP(DROP(w, HELD));
  STEP(NOTE(w));
  STEP(MAPPED(w); renumber(w); w = 0);
  goto enter;
#endif

/* By counter: does not take itself out of what it can tell was reset. */
leaveCounter:
#if HAS(COUNTER)
  STEP(left[r] = 1);
  if
  :: atomic { newer[r] -> counted[AT(r, w)] = 0; voided[AT(r, w)] = 0; goto given }
  :: !newer[r]
  MORTAL
  fi;
  if
  :: atomic { gone[r] -> counted[AT(r, w)] = 0; voided[AT(r, w)] = 0; goto given }
  :: !gone[r]
  MORTAL
  fi;
  STEP(uncount(w));
given:
  atomic {
    skip;
    d_step { unview(0); w = 0; newer[r] = 0; gone[r] = 0; left[r] = 0 };
    goto idle
  };
#endif

died:
  atomic {
    skip;
#ifdef GATE
    d_step { readerDies(); had = 0 };
#else
    d_step { readerDies() };
#endif
    if
    :: !MAY(reads, READS) -> goto done
    :: MAY(reads, READS) && kind == SLOT -> goto attach
#ifdef WINDOW
    :: MAY(reads, READS) && kind == LOCK -> goto attachLock
    :: MAY(reads, READS) && kind == COUNTER -> goto idle
#else
    :: MAY(reads, READS) && kind != SLOT -> goto idle
#endif
    fi
  };

stopped:
end:
  false;

done:
  skip
}

/* ---- writer ---------------------------------------------------------------------------------- */

#define WMORTAL ::atomic { MAY(wdied, WDEATHS) -> DID(wdied, WDEATHS); goto died }

#define WSTEP(...)                                                                                 \
  if                                                                                               \
  :: d_step { __VA_ARGS__ }                                                                        \
  WMORTAL                                                                                          \
  fi

#ifdef LOCK_IGNORED
#define FREE true
#else
#define FREE (writerLock == 0)
#endif

/* What stands for the number of the other file's. */
#ifdef FROM_ONE
#define ONE (from[1 - i] != 0)
#else
#define ONE false
#endif

/* Lock pins of reader r that file i may not be overwritten under. */
#if HAS(LOCK)
#ifdef LOCK_CURRENT
#define LOWEST replaced[i]
#else
#define LOWEST from[i]
#endif
#define STUCK(r) (lockOn[AT(r, i)] > LOWEST && !ONE)
#endif

#ifdef WINDOW
#define NOBODY (present[0] == 0 && present[1] == 0)
#ifdef TRUST
#define OPEN window
#else
#define OPEN mine[me]
#endif
#endif

#if HAS(SLOT)
/* Slot k has a pin that counts. */
#define COUNTS(k) ((slotMask[k] & BIT(i)) && slotNote[AT(k, i)] >= from[i] && !ONE)

/* While it waits. */
#define CHANGED(k) (slotMask[k] != seen || !COUNTS(k))

/* A dead owner's pin goes. */
#if defined(NO_CLEAR)
#define CLEAR skip
#else
#define CLEAR slotMask[k] = 0
#endif

#ifdef DEAD_WAITS
#define OWNED(k) true
#else
#define OWNED(k) slotLock[k]
#endif

#endif

proctype writer(bit me) {
  byte k, used;
  byte seen; /* the mask of the slot that it looks at */
  bit i;    /* the file that is not active */
  bit over; /* the grace time is over */
  bit rep;  /* the file must be replaced */
  bit free; /* there are no lock pins that this publish must look for */

lock:
  if
  :: atomic { !MAY(published, PUBS) -> goto finished }
  :: atomic { MAY(published, PUBS) && FREE -> writerLock = me + 1 }
  fi;
#ifdef FROM_OWN
  WSTEP(from[0] = 0; from[1] = 0; renumber(0); renumber(1));
#endif
#ifndef NO_RAISE
#ifdef RAISE_ALWAYS
  WSTEP(replaced[1 - vIdx] = (replaced[1 - vIdx] | 1) + 1; renumber(1 - vIdx));
#else
  WSTEP(
      if
      :: replaced[1 - vIdx] & 1 ->
        replaced[1 - vIdx]++;
#ifdef FROM_LOCK
        from[1 - vIdx] = replaced[1 - vIdx];
#endif
        renumber(1 - vIdx)
      :: else
      fi);
#endif
#endif

begin:
#ifdef WINDOW
  if
  :: d_step { OPEN -> i = 1 - vIdx; free = 1 }; goto scan
  :: d_step {
      i = 1 - vIdx;
      if
      :: mine[me] -> PASSED
      :: else
      fi
    }
  WMORTAL
  fi;
  if
  :: goto scan /* it may open a window, and need not */
#ifdef LOOK_FIRST
  :: d_step { NOBODY -> free = 1 }
#else
  :: d_step { STORE_WINDOW(1); mine[me] = 1 }
#endif
  WMORTAL
  fi;
  if
#if defined(LOOK_FIRST)
  :: d_step { STORE_WINDOW(1); mine[me] = 1 }; goto scan
#elif defined(NO_LOOK)
  :: d_step { free = 1 }; goto scan
#elif defined(MINE_LATER)
  :: d_step { NOBODY -> mine[me] = 1; free = 1 }; goto scan
#else
  :: d_step { NOBODY -> free = 1 }; goto scan
#endif
#ifdef KEPT_OPEN
  :: d_step { !NOBODY -> skip }; goto scan
#else
  :: d_step { !NOBODY -> mine[me] = 0 }
#endif
  WMORTAL
  fi;
  WSTEP(STORE_WINDOW(0));
scan:
#endif
#if HAS(SLOT)
  WSTEP(i = 1 - vIdx; used = slotsUsed; k = 0);
slot:
  if
  :: atomic {
      k < used ->
      if
      :: d_step { !COUNTS(k) -> k++ }; goto slot
      :: d_step { !COUNTS(k) && (slotMask[k] & BIT(i)) -> seen = slotMask[k] }; goto outlived
      :: COUNTS(k) -> seen = slotMask[k]
      fi
    }
  :: atomic { k >= used -> k = 0; used = 0; goto slotsDone }
  WMORTAL
  fi;
  if
  :: d_step {
      OWNED(k) && over ->
      seen = 0;
      rep = 1;
      k++
    };
    goto slot
  :: atomic { OWNED(k) && !over -> goto slotWait }
  :: atomic { !OWNED(k) -> skip }
  WMORTAL
  fi;
clear:
#ifdef CLEAR_PLAIN
  WSTEP(slotMask[k] = 0; seen = 0);
#else
  WSTEP(
      if
      :: slotMask[k] == seen -> CLEAR
      :: else
      fi;
      seen = 0);
#endif
  goto slot;

outlived:
  if
  :: d_step { OWNED(k) -> seen = 0; k++ }; goto slot
  :: atomic { !OWNED(k) -> goto clear }
  WMORTAL
  fi;

slotWait:
  if
  :: d_step {
      CHANGED(k) ->
#ifdef SKIP_CHANGED
      k++;
#endif
      seen = 0
    };
    goto slot
#ifndef DEAD_WAITS
  :: d_step { !CHANGED(k) && !slotLock[k] -> seen = 0 }; goto slot
#endif
#ifndef NO_GRACE
  :: d_step { !CHANGED(k) && slotLock[k] -> LATE; over = 1; seen = 0 }; goto slot
#endif
  WMORTAL
  fi;
slotsDone:
#else
  i = 1 - vIdx;
#endif

#if HAS(LOCK)
  if
  :: atomic { free || (!STUCK(0) && !STUCK(1)) -> skip }
  :: d_step { !free && (STUCK(0) || STUCK(1)) -> LATE; over = 1; rep = 1 }
  WMORTAL
  fi;
#endif

#if HAS(COUNTER)
  if
  :: atomic { counter[i] == 0 -> goto countersDone }
  :: atomic { counter[i] > 0 -> over = 1 }
  WMORTAL
  fi;
  WSTEP(
      counter[i] = 0;
      if
      :: counted[AT(0, i)] -> voided[AT(0, i)] = 1
      :: else
      fi;
      if
      :: counted[AT(1, i)] -> voided[AT(1, i)] = 1
      :: else
      fi);
countersDone:
#endif

#if ABORTS
  if
  :: atomic { MAY(aborted, ABORTS) -> DID(aborted, ABORTS); d_step { clean() }; goto begin }
  :: true
  fi;
#endif
  if
#ifdef GRACE_RESET
  :: true -> goto inPlace
#else
  :: rep
  :: !rep -> goto inPlace
#endif
  fi;

  over = 0;
#ifdef RAISE_BEFORE
#define RAISE (replaced[i] | 1) + 1
#else
#define RAISE replaced[i] + 1
#endif
#if !defined(RAISE_ALWAYS) || defined(RAISE_BEFORE)
#ifdef FROM_EARLY
  WSTEP(replaced[i] = RAISE; from[i] = replaced[i]; renumber(i));
#else
  WSTEP(replaced[i] = RAISE; renumber(i));
#endif
#endif
#if ABORTS
  /* The rename fails. */
  if
  :: d_step {
      MAY(aborted, ABORTS) ->
      DID(aborted, ABORTS);
      replaced[i] = (replaced[i] | 1) + 1;
#ifdef FROM_FAILED
      from[i] = replaced[i];
#endif
      renumber(i);
      clean()
    };
    goto begin
  :: true
  fi;
#endif
  WSTEP(move(i));
#ifndef RAISE_LATE
#ifndef RAISE_BEFORE
  WSTEP(replaced[i] = (replaced[i] | 1) + 1; renumber(i));
#endif
#if KEEPS && !defined(FROM_NEVER)
  WSTEP(from[i] = replaced[i]; renumber(i));
#endif
#endif
  goto switch;

inPlace:
  WSTEP(over = 0; touch(i));
  WSTEP(touch(i));

switch:
progress:
  if
  :: d_step {
      assert(writerLock == me + 1);
      vIdx = i;
      NEWER(0, i);
      NEWER(1, i);
      DID(published, PUBS);
#ifndef RAISE_LATE
      clean()
#endif
    }
  WMORTAL
  fi;
#ifdef RAISE_LATE
  WSTEP(
      if
      :: rep -> replaced[i] = (replaced[i] | 1) + 1; from[i] = replaced[i]; renumber(i)
      :: else
      fi;
      clean());
#endif
#if WRITERS == 2
#if defined(WINDOW) && !defined(KEEP_MINE)
  WSTEP(writerLock = 0; mine[me] = 0);
#else
  WSTEP(writerLock = 0);
#endif
  goto lock;
#else
  if
  :: MAY(published, PUBS) -> goto begin
  :: else -> goto finished
  fi;
#endif

died:
  atomic {
    skip;
    d_step { writerDies() };
    goto lock
  };

finished:
  skip
}

/* ---- the start ------------------------------------------------------------------------------- */

init {
  atomic {
    start();
    run reader(0, K0);
#if K1
    run reader(1, K1);
#endif
    run writer(0);
#if WRITERS == 2
    run writer(1);
#endif
  }
}
