/*
** ghosts.pml - the part of the model of pins.pml that no program has: what run.sh may set, what is
** asserted, how values that only rise are kept small, what a death takes along.  pins.pml includes it at
** its top, and explains it; much of what follows speaks of variables that are declared there.
*/

/* ---- what run.sh may set --------------------------------------------------------------------- */

/* K0 and K1: how reader 0 and reader 1 pin. K1 = 0: there is no reader 1. */
#define SLOT    1
#define COUNTER 2
#define LOCK    3
#ifndef K0
#define K0 SLOT
#endif
#ifndef K1
#define K1 0
#endif
#ifndef WRITERS
#define WRITERS 1
#endif

/* How often a thing may happen, of all parties together but for READS.  ANY: without a bound. */
#define ANY 255
#ifndef PUBS
#define PUBS ANY /* publishes */
#endif
#ifndef READS
#define READS ANY /* views, of each reader */
#endif
#ifndef WDEATHS
#define WDEATHS ANY /* deaths of a writer */
#endif
#ifndef RDEATHS
#define RDEATHS ANY /* deaths of a reader */
#endif
#ifndef RSTOPS
#define RSTOPS 0 /* readers that stop for good and do not die */
#endif
#ifndef ABORTS
#define ABORTS 0 /* publishes given up after the wait for readers */
#endif

#define HAS(k)       (K0 == k || K1 == k)
#define KEEPS        (HAS(SLOT) || HAS(LOCK))
#define MAY(done, n) (n == ANY || done < n)
#define DID(done, n) done = done + (n != ANY)

byte published, rdied, rstopped, wdied, aborted;

/* Slots there are. */
#if K0 == SLOT && K1 == SLOT
#define NS 2
#else
#define NS 1
#endif

#define BIT(i)   (1 << (i))
#define AT(x, y) ((x) * 2 + (y)) /* arrays have one dimension */
#define NONE     255

/* The bits of the views that reader r has, and how many these are. */
#define HELD                                                                                       \
  ((view[AT(r, 0)] -> BIT(viewFile[AT(r, 0)]) : 0) | (view[AT(r, 1)] -> BIT(viewFile[AT(r, 1)]) : 0))
#define VIEWS ((view[AT(r, 0)] != 0) + (view[AT(r, 1)] != 0))


/* ---- C1: what a view shows ------------------------------------------------------------------- */

/* What a mapping shows: none, the file at the name, or one that has lost the name. */
#define NOW 1
#define OLD 2

/* Of a reader's last look at the version: which file it named, plus 1; whether that file is still at
** the name, and nobody has stored to it since; whether the mapping is that file, likewise. */
byte look[2];
bit same[2];
bit good[2];

#define LOOKED(i)                                                                                  \
  look[r] = i + 1;                                                                                 \
  same[r] = 1;                                                                                     \
  good[r] = (map[AT(r, i)] == NOW)
#define UNLOOKED                                                                                   \
  look[r] = 0;                                                                                     \
  same[r] = 0;                                                                                     \
  good[r] = 0
#define MAPPED(i)                                                                                  \
  map[AT(r, i)] = NOW;                                                                             \
  good[r] = (look[r] == i + 1 && same[r])

/* Counters: which a reader is counted in by; which of these a reset has voided.  newer, gone: what a
** leaving reader can tell of a reset, that something was published since it entered, and that its file
** was overwritten; left: it is about to take itself out. */
#if HAS(COUNTER)
bit counted[4];
bit voided[4];
bit newer[2];
bit gone[2];
bit left[2];
#define VOIDED(r)   ((r -> K1 : K0) == COUNTER && (left[r] || voided[AT(r, viewFile[AT(r, 0)])]))
#define VOID(r, i)  ((r -> K1 : K0) == COUNTER && voided[AT(r, i)])
#define GONE(r, i)  gone[r] = gone[r] || (viewFile[AT(r, 0)] == i && view[AT(r, 0)] == NOW)
#define NEWER(r, i) newer[r] = newer[r] || (viewFile[AT(r, 0)] == i && view[AT(r, 0)] != 0)
#else
#define VOIDED(r)   false
#define VOID(r, i)  false
#define GONE(r, i)  skip
#define NEWER(r, i) skip
#endif

/* In and out.  Not below 0: whoever takes away what a reset has taken already takes it from another. */
#if HAS(COUNTER)
inline count(i) {
  counter[i]++;
  counted[AT(r, i)] = 1;
  voided[AT(r, i)] = 0
}
inline uncount(i) {
  if
  :: counter[i] > 0 ->
    counter[i]--;
    if
    :: voided[AT(r, i)] && counted[AT(1 - r, i)] -> voided[AT(1 - r, i)] = 1
    :: else
    fi
  :: else
  fi;
  counted[AT(r, i)] = 0;
  voided[AT(r, i)] = 0
}
#else
inline count(i) { skip }
inline uncount(i) { skip }
#endif

/* A view is made, of what the last look at the version named. */
inline take() {
  assert(good[r] || VOID(r, w));
  viewFile[AT(r, e)] = w;
  view[AT(r, e)] = map[AT(r, w)];
#if HAS(COUNTER)
  newer[r] = 0;
  gone[r] = !good[r];
#endif
  UNLOOKED;
  v = 0;
  w = 0;
  e = 0;
  DID(reads, READS)
}

/* A store to the file that is at the name of i. */
#define HOLDS(r, e, i) (view[AT(r, e)] == NOW && viewFile[AT(r, e)] == i)
inline touchOne(r, i) {
  assert(!HOLDS(r, 0, i) || VOIDED(r));
  assert(!HOLDS(r, 1, i));
  GONE(r, i);
  if
  :: look[r] == i + 1 ->
    same[r] = 0;
    good[r] = good[r] && map[AT(r, i)] == OLD
  :: else
  fi
}
inline touch(i) {
  touchOne(0, i);
  touchOne(1, i)
}

/* A new file takes the name of i. */
inline moveOne(r, i) {
  if
  :: map[AT(r, i)] == NOW -> map[AT(r, i)] = OLD
  :: else
  fi;
  if
  :: HOLDS(r, 0, i) -> view[AT(r, 0)] = OLD
  :: else
  fi;
  if
  :: HOLDS(r, 1, i) -> view[AT(r, 1)] = OLD
  :: else
  fi;
  if
  :: look[r] == i + 1 -> same[r] = 0
  :: else
  fi
}
inline move(i) {
  moveOne(0, i);
  moveOne(1, i)
}

/* ---- replaced: what only rises, of a file ---------------------------------------------------- */

/* The value of now, or that plus 1 if it is odd; an older one that is not below from[i]; one below. */
#define NEWEST 4
#define SINCE  2
#define BEFORE 0

/* A mapping whose note is of no use is of no use itself: where the rules are kept. */
#if defined(CHECK_EARLY) || defined(NOTE_LATE) || defined(COUNTER_BLIND)
#define NO_MAP(r, i) skip
#else
#define NO_MAP(r, i) map[AT(r, i)] = 0
#endif

/* replaced[i] or from[i] has risen, or a note has gone: makes the values small again. */
#if KEEPS
#define CLASSIFY(a, one)                                                                           \
  if                                                                                               \
  :: a == replaced[i] + one -> a = NEWEST + (replaced[i] & 1) + one                                \
  :: a != replaced[i] + one && a != NONE && a >= one && a >= from[i] + one -> a = SINCE + one      \
  :: a != replaced[i] + one && a >= one && a < from[i] + one -> a = BEFORE + one                   \
  :: else                                                                                          \
  fi
#define CLASSIFY_NOTE(r, k, i)                                                                     \
  CLASSIFY(note[AT(r, i)], 0);                                                                     \
  if                                                                                               \
  :: k != LOCK && (note[AT(r, i)] | 1) != (NEWEST | 1) ->                                          \
    note[AT(r, i)] = (k == COUNTER -> NONE : note[AT(r, i)]);                                      \
    NO_MAP(r, i)                                                                                   \
  :: else                                                                                          \
  fi
inline renumber(i) {
  CLASSIFY_NOTE(0, K0, i);
  CLASSIFY_NOTE(1, K1, i);
#if HAS(SLOT)
  CLASSIFY(slotNote[AT(0, i)], 0);
#if NS == 2
  CLASSIFY(slotNote[AT(1, i)], 0);
#endif
#endif
#if HAS(LOCK)
  CLASSIFY(lockOn[AT(0, i)], 1);
  CLASSIFY(lockOn[AT(1, i)], 1);
#endif
  if
  :: from[i] -> from[i] = SINCE
  :: else
  fi;
  replaced[i] = NEWEST + (replaced[i] & 1)
}
#else
#define CLASSIFY(r, i)                                                                             \
  if                                                                                               \
  :: note[AT(r, i)] == replaced[i] -> note[AT(r, i)] = NEWEST + (replaced[i] & 1)                  \
  :: else -> note[AT(r, i)] = NONE; NO_MAP(r, i)                                                   \
  fi
inline renumber(i) {
  CLASSIFY(0, i);
  CLASSIFY(1, i);
  replaced[i] = NEWEST + (replaced[i] & 1)
}
#endif

/* ---- window: a time -------------------------------------------------------------------------- */

/* waits[r]: the time that reader r has loaded is the one that the field holds still, not yet over. */
#ifdef WINDOW
bit waits[2];
#define STORE_WINDOW(x)                                                                            \
  window = x;                                                                                      \
  waits[0] = 0;                                                                                    \
  waits[1] = 0
/* The clock has passed the time in the field, which all see from now on. */
#define PASSED                                                                                     \
  STORE_WINDOW(0);                                                                                 \
  mine[0] = 0;                                                                                     \
  mine[WRITERS - 1] = 0
#endif

/* ---- ONCE: what a reader that has stopped for good costs ------------------------------------- */

/* Grace times that ended since, for each file.  A writer that dies may have to leave its successor the wait. */
#ifdef ONCE
byte late[2];
#define LATE                                                                                       \
  if                                                                                               \
  :: rstopped == RSTOPS && !over -> late[i]++; assert(late[i] <= 1 + wdied + aborted)              \
  :: else                                                                                          \
  fi
#else
#define LATE skip
#endif

/* ---- deaths ---------------------------------------------------------------------------------- */

/* What is a reader's own is gone, its locks with it.  Its pin word and its counts stay. */
inline readerDies() {
  map[AT(r, 0)] = 0;
  map[AT(r, 1)] = 0;
  note[AT(r, 0)] = NONE;
  note[AT(r, 1)] = NONE;
  UNLOOKED;
  unview(0);
  unview(1);
#if HAS(SLOT)
  if
  :: kind == SLOT -> slotLock[s] = 0
  :: else
  fi;
#endif
#if HAS(COUNTER)
  counted[AT(r, 0)] = 0;
  counted[AT(r, 1)] = 0;
  voided[AT(r, 0)] = 0;
  voided[AT(r, 1)] = 0;
  newer[r] = 0;
  gone[r] = 0;
  left[r] = 0;
#endif
#if HAS(LOCK)
  lockOn[AT(r, 0)] = 0;
  lockOn[AT(r, 1)] = 0;
#endif
#ifdef WINDOW
  present[r] = 0;
  waits[r] = 0;
#endif
  renumber(0);
  renumber(1);
#ifdef SAID_AT_MAPPING
  has = 0;
#endif
  s = 0;
  v = 0;
  w = 0;
  e = 0
}

/* What a writer keeps for one publish only. */
inline clean() {
  i = 0;
  over = 0;
  rep = 0;
  free = 0
}

/* Likewise a writer's.  What it has stored stays, half done. */
inline writerDies() {
  if
  :: writerLock == me + 1 -> writerLock = 0
  :: else
  fi;
  clean();
  used = 0;
#if HAS(SLOT)
  seen = 0;
  k = 0;
#endif
#ifdef WINDOW
  mine[me] = 0;
#endif
  renumber(0);
  renumber(1)
}

/* ---- the start ------------------------------------------------------------------------------- */

/* Reader 0 has mapped both files.  It has no view, or one of the file that is not active. */
inline start() {
  map[AT(0, 0)] = NOW;
  map[AT(0, 1)] = NOW;
  note[AT(0, 0)] = NEWEST;
  note[AT(0, 1)] = NEWEST;
  note[AT(1, 0)] = NONE;
  note[AT(1, 1)] = NONE;
#if HAS(SLOT)
  slotLock[0] = (K0 == SLOT);
  slotNote[AT(0, 0)] = NEWEST;
  slotNote[AT(0, 1)] = NEWEST;
#endif
  if
  :: true
  :: true ->
    viewFile[AT(0, 0)] = 1;
    view[AT(0, 0)] = NOW;
#if K0 == SLOT
    slotMask[0] = BIT(1)
#elif K0 == COUNTER
    counter[1] = 1;
    counted[AT(0, 1)] = 1
#else
#ifdef WINDOW
    present[0] = 1;
#endif
    lockOn[AT(0, 1)] = NEWEST + 1
#endif
  fi;
}
