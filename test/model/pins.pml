/* HEAD */

#define SLOT    1
#define COUNTER 2
#define LOCK    3

/* ---- what is checked: set by run.tcl ------------------------------------------------------------ */

#ifndef K0
#define K0 SLOT
#endif
#ifndef K1
#define K1 0
#endif
#ifndef WRITERS
#define WRITERS 1
#endif
#define ANY 255
#ifndef PUBS
#define PUBS ANY
#endif
#ifndef READS
#define READS ANY
#endif
#ifndef WDEATHS
#define WDEATHS ANY
#endif
#ifndef RDEATHS
#define RDEATHS ANY
#endif
#ifndef RSTOPS
#define RSTOPS 0
#endif
#ifndef ABORTS
#define ABORTS 0
#endif

#define HAS(k)       (K0 == k || K1 == k)
#define MAY(done, n) (n == ANY || done < n)
#define DID(done, n) done = done + (n != ANY)

#if K0 == SLOT && K1 == SLOT
#define NS 2
#else
#define NS 1
#endif

#define NONE     255
#define BIT(i)   (1 << (i))
#define AT(x, y) ((x) * 2 + (y))

/* ---- what is shared --------------------------------------------------------------------------- */

/* P_state */
bit vIdx;
#if HAS(COUNTER)
byte counter[2];
#endif

/* P_writer */
byte replaced[2];

/* P_readers */
#if HAS(SLOT)
byte slotN[NS];
byte slotMask[NS];
byte slotsUsed = 1;
#endif

/* In the kernel: byte locks on slots; read locks of lock pins, as the value of replaced + 1; flock. */
#if HAS(SLOT)
bit slotLock[NS];
#endif
#if HAS(LOCK)
byte lockOn[4];
#endif
byte writerLock;

/* ---- what its owner keeps to itself, global because ghosts and renaming speak of it ------------- */

/* Of readers: AT(reader, file), and AT(reader, view) for views. */
byte map[4];
byte note[4];
byte viewFile[4];
byte view[4];

/* Of writers: AT(AT(writer, file), slot) and AT(writer, file). */
#if HAS(SLOT)
byte seenK[WRITERS];
byte seenN[WRITERS];
byte seenMask[WRITERS];
byte newN[WRITERS * 2];
byte newMask[WRITERS * 2];
byte remN[WRITERS * 4];
byte remMask[WRITERS * 4];
#endif
#if HAS(LOCK)
byte from[WRITERS * 2];
#endif

/* ---- what nobody knows: bounds and ghosts ------------------------------------------------------- */

byte published, rdied, rstopped, wdied, aborted;
byte look[2];
bit same[2];
bit good[2];
#if HAS(COUNTER)
bit counted[4];
bit voided[4];
bit newer[2];
bit gone[2];
bit left[2];
#endif
hidden byte x;

/* ---- names that are used again ------------------------------------------------------------------ */

/* Renumbers the values of replaced[i] that anybody remembers, in order: 0, 1, 2, ..., each times 2,
** plus 1 while a rename is going on. */
#if HAS(LOCK)
#define LOCK_TOKEN(i, t)                                                                           \
  ((lockOn[AT(0, i)] + 1) / 2 == t + 1 || (lockOn[AT(1, i)] + 1) / 2 == t + 1 ||                   \
   from[AT(0, i)] / 2 == t || from[AT(WRITERS - 1, i)] / 2 == t)
#define LOCK_DOWN(i)                                                                               \
  DOWN(lockOn[AT(0, i)], 2 * x + 2);                                                               \
  DOWN(lockOn[AT(1, i)], 2 * x + 2);                                                               \
  DOWN(from[AT(0, i)], 2 * x + 1);                                                                 \
  DOWN_SECOND(i)
#if WRITERS == 2
#define DOWN_SECOND(i) DOWN(from[AT(1, i)], 2 * x + 1);
#else
#define DOWN_SECOND(i)
#endif
#else
#define LOCK_TOKEN(i, t) false
#define LOCK_DOWN(i)
#endif
#define DOWN(a, least)                                                                             \
  if                                                                                               \
  :: a > least && a != NONE -> a = a - 2                                                           \
  :: else                                                                                          \
  fi

#if HAS(LOCK) || defined(CHECK_EARLY)
inline renumber(i) {
  x = 0;
  do
  :: x < replaced[i] / 2 ->
    if
    :: note[AT(0, i)] / 2 == x || note[AT(1, i)] / 2 == x || LOCK_TOKEN(i, x) -> x++
    :: else ->
      DOWN(replaced[i], 2 * x + 1);
      DOWN(note[AT(0, i)], 2 * x + 1);
      DOWN(note[AT(1, i)], 2 * x + 1);
      LOCK_DOWN(i)
    fi
  :: else -> break
  od;
  x = 0
}
#else
/* Without lock pins only one thing matters of a note: whether it is the value of now. */
#define CURRENT_NOTE(r, i)                                                                         \
  if                                                                                               \
  :: note[AT(r, i)] != replaced[i] -> note[AT(r, i)] = NONE; map[AT(r, i)] = 0                     \
  :: else                                                                                          \
  fi
inline renumber(i) {
  CURRENT_NOTE(0, i);
  CURRENT_NOTE(1, i);
  if
  :: replaced[i] > 1 ->
    DOWN(replaced[i], 1);
    DOWN(note[AT(0, i)], 1);
    DOWN(note[AT(1, i)], 1)
  :: else
  fi
}
#endif

/* ---- C1 ----------------------------------------------------------------------------------------- */

#define NOW 1
#define OLD 2

#if HAS(COUNTER)
#define VOIDED(r)    ((r -> K1 : K0) == COUNTER && (left[r] || voided[AT(r, viewFile[AT(r, 0)])]))
#define VOID(r, i)   ((r -> K1 : K0) == COUNTER && voided[AT(r, i)])
#define GONE(r, i)   gone[r] = gone[r] || (viewFile[AT(r, 0)] == i && view[AT(r, 0)] == NOW)
#define NEWER(r, i)  newer[r] = newer[r] || (viewFile[AT(r, 0)] == i && view[AT(r, 0)] != 0)
#else
#define VOIDED(r)    false
#define VOID(r, i)   false
#define GONE(r, i)   skip
#define NEWER(r, i)  skip
#endif

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

/* Another file takes the name of i. */
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

/* The last look at the version: it named file i. */
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

/* ---- claims -------------------------------------------------------------------------------------- */

#define HELD                                                                                       \
  ((view[AT(r, 0)] -> BIT(viewFile[AT(r, 0)]) : 0) |                                            \
   (view[AT(r, 1)] -> BIT(viewFile[AT(r, 1)]) : 0))

#define VIEWS ((view[AT(r, 0)] != 0) + (view[AT(r, 1)] != 0))

#if HAS(SLOT)
/* Forgets what writer `me` remembers of slot s: it speaks of an n that never comes again. */
#define OUTDATED(me)                                                                               \
  remN[AT(AT(me, 0), s)] = 0;                                                                      \
  remMask[AT(AT(me, 0), s)] = 0;                                                                   \
  remN[AT(AT(me, 1), s)] = 0;                                                                      \
  remMask[AT(AT(me, 1), s)] = 0
#define N_KNOWN(me, y) ((seenK[me] == s && seenN[me] == y) || newN[AT(me, s)] == y)

inline risenN() {
#ifdef COUNT_N
  n++
#else
  x = 1;
  do
  :: N_KNOWN(0, x) || N_KNOWN(WRITERS - 1, x) -> x++
  :: else -> break
  od;
  n = x;
  x = 0;
#ifndef REMEMBER_MASK
  OUTDATED(0);
#if WRITERS == 2
  OUTDATED(1);
#endif
#endif
#endif
}

inline raiseN(i) {
#ifndef NO_N
  if
#ifdef REENTER_SAME_N
  :: again
#endif
#ifdef NESTED_SAME_N
  :: (HELD & BIT(i)) != 0
#endif
  :: else -> risenN()
  fi;
#endif
  again = 1
}

#define PIN(mask)                                                                                  \
  slotN[s] = n;                                                                                    \
  slotMask[s] = mask
#define SLOT_CLAIM(i)    raiseN(i); PIN(HELD | BIT(i))
#define SLOT_CLAIM_TOO() PIN(3)
#define SLOT_DROP(mask)  PIN(mask)
#else
#define SLOT_CLAIM(i)    skip
#define SLOT_CLAIM_TOO() skip
#define SLOT_DROP(mask)  skip
#endif

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
  :: kind == LOCK -> LOCKS(i, 0); renumber(i)                                                      \
  fi

/* ---- reader -------------------------------------------------------------------------------------- */

#define MORTAL                                                                                     \
  ::atomic { MAY(rdied, RDEATHS) -> DID(rdied, RDEATHS); goto died }                               \
  ::atomic { rstopped < RSTOPS -> rstopped++; goto stopped }

#ifdef NO_RECHECK
#define LOOK                                                                                       \
  v = vIdx;                                                                                        \
  LOOKED(v)
#else
#define LOOK v = vIdx
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

#ifdef CHECK_EARLY
#define SHOWS(i) (map[AT(r, i)] && early[i])
#else
#define SHOWS(i) (map[AT(r, i)] && note[AT(r, i)] == replaced[i])
#endif

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
  again = 0;
  DID(reads, READS)
}

inline unview(f) {
  viewFile[AT(r, f)] = 0;
  view[AT(r, f)] = 0
}

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
  byte n, s, reads;
  bit v, w, e, again;
#ifdef CHECK_EARLY
  bit early[2];
#endif

  if
  :: kind == SLOT && r == 1
  :: else -> n = (kind == SLOT && view[0]); goto idle
  fi;

attach:
#if HAS(SLOT)
  if
  :: d_step {
      s = 0;
      do
      :: slotLock[s] -> s++
      :: else -> break
      od;
      slotLock[s] = 1
    }
  MORTAL
  fi;
  if
#ifdef OWNER_ZERO
  :: n = 0
#else
  :: n = slotN[s]
#endif
  MORTAL
  fi;
  if
#ifdef OWNER_NO_CLEAR
  :: skip
#else
  :: d_step { PIN(0) }
#endif
  MORTAL
  fi;
#ifndef USED_NEVER
  if
  :: d_step {
      if
      :: slotsUsed <= s -> slotsUsed = s + 1
      :: else
      fi
    }
  MORTAL
  fi;
#endif
#endif

idle:
  if
  :: atomic { MAY(reads, READS) && VIEWS == 0 -> e = 0; LOOK; NOTED(v, noteV, claim1) }
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

enter:
  if
  :: atomic { LOOK; NOTED(v, noteV, claim1) }
  MORTAL
  fi;
#if HAS(LOCK)
noteV:
  if
  :: d_step { note[AT(r, v)] = replaced[v]; renumber(v) }
  MORTAL
  fi;
#endif

claim1:
  if
  :: d_step { CLAIM(v) }
  MORTAL
  fi;
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
  if
  :: d_step { PIN(HELD | BIT(w)) };
    goto check
  MORTAL
  fi;
#endif

#if HAS(LOCK)
noteW:
  if
  :: d_step { note[AT(r, w)] = replaced[w]; renumber(w) }
  MORTAL
  fi;
#endif
claim2:
  if
  :: d_step { CLAIM_TOO(w); v = 0; w = 0 }
  MORTAL
  fi;
#ifdef CHECK_EARLY
  d_step { early[0] = (note[AT(r, 0)] == replaced[0]); early[1] = (note[AT(r, 1)] == replaced[1]) };
#endif
  if
  :: d_step { w = vIdx; LOOKED(w) }
  MORTAL
  fi;
  if
  :: d_step { DROP(1 - w, HELD | BIT(w)) }
  MORTAL
  fi;

check:
  if
  :: atomic {
      if
      :: SHOWS(w) -> d_step { take() }; goto idle
#ifdef MAP_UNDER
      :: !map[AT(r, w)] && note[AT(r, w)] == replaced[w] -> goto under
      :: note[AT(r, w)] != replaced[w] -> d_step { note[AT(r, w)] = replaced[w]; renumber(w) }
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
  if
  :: d_step { DROP(w, HELD); map[AT(r, w)] = 0; w = 0 }
  MORTAL
  fi;
  goto enter;
under:
  if
  :: d_step { MAPPED(w) }
  MORTAL
  fi;
  goto check;
#elif defined(MAP_AFTER_CLAIM)
  d_step { note[AT(r, w)] = replaced[w]; renumber(w) };
  d_step { MAPPED(w) };
  d_step { take() };
  goto idle;
#elif defined(NOTE_LATE)
  if
  :: d_step { DROP(w, HELD) }
  MORTAL
  fi;
  if
  :: d_step { MAPPED(w) }
  MORTAL
  fi;
  d_step { note[AT(r, w)] = replaced[w]; renumber(w); w = 0 };
  goto enter;
#else
  if
  :: d_step { DROP(w, HELD) }
  MORTAL
  fi;
  if
  :: d_step { note[AT(r, w)] = replaced[w]; renumber(w) }
  MORTAL
  fi;
  if
  :: d_step { MAPPED(w); renumber(w); w = 0 }
  MORTAL
  fi;
  goto enter;
#endif

#if HAS(COUNTER)
leaveCounter:
  if
  :: d_step { left[r] = 1 }
  MORTAL
  fi;
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
  if
  :: d_step { uncount(w) }
  MORTAL
  fi;
given:
  atomic {
    skip;
    d_step { unview(0); w = 0; newer[r] = 0; gone[r] = 0; left[r] = 0 };
    goto idle
  };
#else
leaveCounter:
#endif

died:
  atomic {
    skip;
    d_step {
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
      LOCKS(0, 0);
      LOCKS(1, 0);
      renumber(0);
      renumber(1);
      n = 0;
      s = 0;
      v = 0;
      w = 0;
      e = 0;
      again = 0
    };
    if
    :: !MAY(reads, READS) -> goto done
    :: MAY(reads, READS) && kind == SLOT -> goto attach
    :: MAY(reads, READS) && kind != SLOT -> goto idle
    fi
  };

stopped:
end:
  false;

done:
  skip
}

/* ---- writer --------------------------------------------------------------------------------------- */

#define WMORTAL ::atomic { MAY(wdied, WDEATHS) -> DID(wdied, WDEATHS); goto died }

#if HAS(LOCK)
#ifdef LOCK_CURRENT
#define LOWEST replaced[i]
#else
#define LOWEST from[AT(me, i)]
#endif
#define STUCK(r) (lockOn[AT(r, i)] > LOWEST && lockOn[AT(r, i)] <= replaced[i] + 1)
#endif

#ifdef REMEMBER_GLOBAL
#define MEMORY(i) AT(AT(me, 0), k)
#else
#define MEMORY(i) AT(AT(me, i), k)
#endif

#if defined(REMEMBER_MASK)
#define SAME (remMask[MEMORY(i)] == seenMask[me])
#elif defined(REMEMBER_N)
#define SAME (remMask[MEMORY(i)] && remN[MEMORY(i)] == seenN[me])
#else
#define SAME (remMask[MEMORY(i)] == seenMask[me] && remN[MEMORY(i)] == seenN[me])
#endif

#if HAS(SLOT)
#ifdef REMEMBER_MASK
#define CURRENT true
#else
#define CURRENT (newN[AT(me, k)] == slotN[k])
#endif

/* What was read in the slots that are stuck stands for older bytes from now on. */
inline remember() {
  k = 0;
  do
  :: k < NS ->
    if
    :: newMask[AT(me, k)] ->
      if
      :: CURRENT ->
        remN[MEMORY(i)] = newN[AT(me, k)];
        remMask[MEMORY(i)] = newMask[AT(me, k)]
      :: else
      fi
    :: else
    fi;
    newN[AT(me, k)] = 0;
    newMask[AT(me, k)] = 0;
    k++
  :: else -> break
  od;
  k = 0
}
#define UNSEE                                                                                      \
  seenK[me] = NONE;                                                                                \
  seenN[me] = 0;                                                                                   \
  seenMask[me] = 0

inline unlearn() {
  k = 0;
  do
  :: k < NS -> newN[AT(me, k)] = 0; newMask[AT(me, k)] = 0; k++
  :: else -> break
  od;
  k = 0
}
#else
inline remember() { skip }
inline unlearn() { skip }
#endif

inline clean() {
  unlearn();
  i = 0;
  over = 0;
  rep = 0
}

proctype writer(bit me) {
  byte k, used;
  bit i, over, rep;

lock:
  if
  :: atomic { !MAY(published, PUBS) -> goto finished }
  :: atomic { MAY(published, PUBS) && writerLock == 0 -> writerLock = me + 1 }
  fi;
#ifndef NO_RAISE
  if
#ifdef RAISE_ALWAYS
  :: d_step { replaced[1 - vIdx] = (replaced[1 - vIdx] | 1) + 1; renumber(1 - vIdx) }
#else
  :: d_step {
      if
      :: replaced[1 - vIdx] & 1 -> replaced[1 - vIdx]++; renumber(1 - vIdx)
      :: else
      fi
    }
#endif
  WMORTAL
  fi;
#endif

begin:
#if HAS(SLOT)
  if
  :: d_step { i = 1 - vIdx; used = slotsUsed; k = 0 }
  WMORTAL
  fi;
slot:
  if
  :: atomic {
      k < used ->
      d_step { seenK[me] = k; seenN[me] = slotN[k]; seenMask[me] = slotMask[k] };
      if
      :: d_step { (seenMask[me] & BIT(i)) == 0 || SAME -> UNSEE; k++ }; goto slot
      :: else
      fi
    }
  :: atomic { k >= used -> k = 0; used = 0; goto slotsDone }
  WMORTAL
  fi;
  if
  :: d_step {
      slotLock[k] && over ->
      newN[AT(me, k)] = seenN[me];
      newMask[AT(me, k)] = seenMask[me];
      UNSEE;
      rep = 1;
      k++
    };
    goto slot
  :: atomic { slotLock[k] && !over -> goto slotWait }
  :: atomic { !slotLock[k] -> skip }
  WMORTAL
  fi;
  if
#ifdef CLEAR_PLAIN
  :: d_step { slotMask[k] = 0; slotN[k] = seenN[me]; UNSEE }
#else
  :: d_step {
      if
      :: slotMask[k] == seenMask[me] && slotN[k] == seenN[me] ->
        slotMask[k] = 0;
#ifdef CLEAR_ZERO
        slotN[k] = 0
#endif
      :: else
      fi;
      UNSEE
    }
#endif
  WMORTAL
  fi;
  goto slot;

slotWait:
  if
  :: d_step { slotMask[k] != seenMask[me] || slotN[k] != seenN[me] ->
#ifdef SKIP_CHANGED
      k++;
#endif
      UNSEE };
    goto slot
  :: d_step { slotMask[k] == seenMask[me] && slotN[k] == seenN[me] && !slotLock[k] -> UNSEE };
    goto slot
  :: d_step { slotMask[k] == seenMask[me] && slotN[k] == seenN[me] && slotLock[k] -> over = 1; UNSEE };
    goto slot
  WMORTAL
  fi;
slotsDone:
#else
  i = 1 - vIdx;
#endif

#if HAS(LOCK)
  if
  :: atomic { !STUCK(0) && !STUCK(1) -> skip }
  :: atomic { STUCK(0) || STUCK(1) -> over = 1; rep = 1 }
  WMORTAL
  fi;
#endif

#if HAS(COUNTER)
  if
  :: atomic { counter[i] == 0 -> goto countersDone }
  :: atomic { counter[i] > 0 -> over = 1 }
  WMORTAL
  fi;
  if
  :: d_step {
      counter[i] = 0;
      if
      :: counted[AT(0, i)] -> voided[AT(0, i)] = 1
      :: else
      fi;
      if
      :: counted[AT(1, i)] -> voided[AT(1, i)] = 1
      :: else
      fi
    }
  WMORTAL
  fi;
countersDone:
#endif

#ifdef REMEMBER_EARLY
  d_step { remember() };
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
  if
  :: d_step { replaced[i] = RAISE; renumber(i) }
  WMORTAL
  fi;
#endif
  if
  :: d_step { move(i) }
  WMORTAL
  fi;
  if
  :: d_step {
#ifndef RAISE_LATE
#ifndef RAISE_BEFORE
      replaced[i] = (replaced[i] | 1) + 1;
#endif
#if HAS(LOCK)
      from[AT(me, i)] = replaced[i];
#endif
      renumber(i);
#endif
#if !defined(REMEMBER_EARLY) && !defined(REMEMBER_LATE)
      remember()
#endif
    }
  WMORTAL
  fi;
  goto switch;

inPlace:
  if
  :: d_step { over = 0; touch(i) }
  WMORTAL
  fi;
  if
  :: d_step { touch(i) }
  WMORTAL
  fi;

switch:
  if
  :: d_step {
      assert(writerLock == me + 1);
      vIdx = i;
      NEWER(0, i);
      NEWER(1, i);
      DID(published, PUBS);
#if !defined(RAISE_LATE) && !defined(REMEMBER_LATE)
      clean()
#endif
    }
  WMORTAL
  fi;
#ifdef RAISE_LATE
  if
  :: d_step {
      if
      :: rep -> replaced[i] = (replaced[i] | 1) + 1; renumber(i)
      :: else
      fi;
      clean()
    }
  WMORTAL
  fi;
#endif
#ifdef REMEMBER_LATE
  if
  :: d_step {
      k = 0;
      do
      :: k < NS ->
        if
        :: newMask[AT(me, k)] -> newN[AT(me, k)] = slotN[k]; newMask[AT(me, k)] = slotMask[k]
        :: else
        fi;
        k++
      :: else -> break
      od;
      remember();
      clean()
    }
  WMORTAL
  fi;
#endif
#if WRITERS == 2
  if
  :: writerLock = 0
  WMORTAL
  fi;
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
    d_step {
      if
      :: writerLock == me + 1 -> writerLock = 0
      :: else
      fi;
      clean();
      used = 0;
#if HAS(SLOT)
      UNSEE;
      do
      :: k < 4 -> remN[AT(AT(me, 0), k)] = 0; remMask[AT(AT(me, 0), k)] = 0; k++
      :: else -> break
      od;
      k = 0;
#endif
#if HAS(LOCK)
      from[AT(me, 0)] = 0;
      from[AT(me, 1)] = 0;
#endif
      renumber(0);
      renumber(1)
    };
    goto lock
  };

finished:
  skip
}

/* ---- the start -------------------------------------------------------------------------------------- */

init {
  atomic {
    map[AT(0, 0)] = NOW;
    map[AT(0, 1)] = NOW;
    note[AT(1, 0)] = NONE;
    note[AT(1, 1)] = NONE;
#if HAS(SLOT)
    seenK[0] = NONE;
    seenK[WRITERS - 1] = NONE;
    slotLock[0] = (K0 == SLOT);
#endif
    if
    :: true
    :: true ->
      viewFile[AT(0, 0)] = 1;
      view[AT(0, 0)] = NOW;
#if K0 == SLOT
      slotN[0] = 1;
      slotMask[0] = BIT(1)
#elif K0 == COUNTER
      counter[1] = 1;
      counted[AT(0, 1)] = 1
#else
      lockOn[AT(0, 1)] = 1
#endif
    fi;
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
