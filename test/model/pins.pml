/* ---- how much --------------------------------------------------------------------------------- */

#ifndef PUBS
#define PUBS 3
#endif
#ifndef READS
#define READS 2
#endif
#ifndef WDEATHS
#define WDEATHS 1
#endif
#ifndef RDEATHS
#define RDEATHS 1
#endif
#ifndef RSTOPS
#define RSTOPS 0
#endif
#ifndef ABORTS
#define ABORTS 0
#endif
#ifndef WRITERS
#define WRITERS 1
#endif

#define SLOT    1
#define COUNTER 2
#define LOCK    3
#ifndef K0
#define K0 SLOT
#endif
#ifndef K1
#define K1 0
#endif
#define HAS(k) (K0 == k || K1 == k)

#define NS 2
#define NG (2 + PUBS + WDEATHS + ABORTS)

#define BIT(i)   (1 << (i))
#define AT(x, y) ((x) * 2 + (y))

/* ---- what is shared --------------------------------------------------------------------------- */

/* P_state */
bit vIdx;
byte vId = 1;
#if HAS(COUNTER)
byte counter[2];
#endif

/* The data files. */
byte path[2];
byte first[NG];
byte second[NG];

/* P_writer */
byte replaced[2];

/* P_readers */
byte slotN[NS];
byte slotMask[NS];
bit slotLock[NS];
byte slotsUsed;

/* In the kernel. */
#if HAS(LOCK)
byte lockOn[4];
#endif
byte writerLock;

/* ---- what readers keep to themselves, global because assertions and forget() speak of it ------- */

byte map[4];
byte note[4];
byte viewFile[4];
byte viewGen[4];
byte viewId[4];

/* ---- what nobody knows: bounds and ghosts ----------------------------------------------------- */

byte lastId = 1;
byte published;
byte rdied, rstopped, wdied, aborted;
#if HAS(COUNTER)
bit counted[4];
bit voided[4];
#endif
hidden byte x;

#define REFERS(g)                                                                                  \
  (path[0] == g || path[1] == g || map[0] == g + 1 || map[1] == g + 1 || map[2] == g + 1 ||        \
   map[3] == g + 1 || viewGen[0] == g + 1 || viewGen[1] == g + 1 || viewGen[2] == g + 1 ||         \
   viewGen[3] == g + 1)

inline forget() {
  x = 0;
  do
  :: x < NG ->
    if
    :: !REFERS(x) -> first[x] = 0; second[x] = 0
    :: else
    fi;
    x++
  :: else -> break
  od;
  x = 0
}

#if HAS(COUNTER)
#define VOIDED(r) ((r -> K1 : K0) == COUNTER && voided[AT(r, viewFile[AT(r, 0)])])
#else
#define VOIDED(r) false
#endif

/* C1, at a reader's entry and leave. */
#define WHOLE(r, e)                                                                                \
  (VOIDED(r) || (first[viewGen[AT(r, e)] - 1] == viewId[AT(r, e)] &&                               \
                 second[viewGen[AT(r, e)] - 1] == viewId[AT(r, e)]))

/* C1, in between: nobody who was promised that these bytes stay holds them. */
#define FREE(g, r, e) (viewGen[AT(r, e)] != g + 1 || viewId[AT(r, e)] == 0 || VOIDED(r))
#define UNTOUCHED(g)                                                                               \
  assert(FREE(g, 0, 0) && FREE(g, 0, 1) && FREE(g, 1, 0) && FREE(g, 1, 1))

/* ---- reader ----------------------------------------------------------------------------------- */

#define HELD                                                                                       \
  ((viewGen[AT(r, 0)] -> BIT(viewFile[AT(r, 0)]) : 0) |                                            \
   (viewGen[AT(r, 1)] -> BIT(viewFile[AT(r, 1)]) : 0))

#define VIEWS ((viewGen[AT(r, 0)] != 0) + (viewGen[AT(r, 1)] != 0))

#define PIN(mask)                                                                                  \
  slotN[s] = n;                                                                                    \
  slotMask[s] = mask

inline raiseN(i) {
#if !defined(NO_N)
  if
#ifdef REENTER_SAME_N
  :: again
#endif
#ifdef NESTED_SAME_N
  :: (HELD & BIT(i)) != 0
#endif
  :: else -> n++
  fi;
#endif
  again = 1
}

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

/* The claim on file i beside what is held; on both; and a claim given back, `mask` being left. */
#define CLAIM(i)                                                                                   \
  if                                                                                               \
  :: kind == SLOT -> raiseN(i); PIN(HELD | BIT(i))                                                 \
  :: kind == COUNTER -> count(i)                                                                   \
  :: kind == LOCK -> LOCKS(i, note[AT(r, i)] + 1)                                                  \
  fi
#define CLAIM_TOO(i)                                                                               \
  if                                                                                               \
  :: kind == SLOT -> PIN(3)                                                                        \
  :: kind == COUNTER -> count(i)                                                                   \
  :: kind == LOCK -> LOCKS(i, note[AT(r, i)] + 1)                                                  \
  fi
#define DROP(i, mask)                                                                              \
  if                                                                                               \
  :: kind == SLOT -> PIN(mask)                                                                     \
  :: kind == COUNTER -> uncount(i)                                                                 \
  :: kind == LOCK -> LOCKS(i, 0)                                                                   \
  fi

inline take() {
  viewFile[AT(r, e)] = w;
  viewGen[AT(r, e)] = map[AT(r, w)];
  viewId[AT(r, e)] = id;
  assert(WHOLE(r, e));
  v = 0;
  w = 0;
  id = 0;
  again = 0;
  reads++
}

inline unview() {
  viewFile[AT(r, e)] = 0;
  viewGen[AT(r, e)] = 0;
  viewId[AT(r, e)] = 0
}

#define MORTAL                                                                                     \
  ::atomic { rdied < RDEATHS -> rdied++; goto died }                                               \
  ::atomic { rstopped < RSTOPS -> rstopped++; goto stopped }

#ifdef CHECK_EARLY
#define REPLACED(i) early[i]
#else
#define REPLACED(i) replaced[i]
#endif

proctype reader(bit r; byte kind) {
  byte n, s, reads, id, rr;
  bit v, w, e, again;
#ifdef CHECK_EARLY
  byte early[2];
#endif

  if
  :: kind == SLOT && r == 1 -> skip
  :: else -> goto idle
  fi;

attach:
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
  :: d_step { PIN(0) }
  MORTAL
  fi;
#ifndef USED_LATE
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

idle:
  if
  :: atomic { reads < READS && VIEWS == 0 -> e = 0; goto enter }
#ifdef NEST
  :: atomic { reads < READS && VIEWS == 1 -> e = (viewGen[AT(r, 0)] != 0); goto enter }
#endif
  :: atomic { viewGen[AT(r, 0)] -> e = 0; goto leave }
  :: atomic { viewGen[AT(r, 1)] -> e = 1; goto leave }
  :: reads == READS && VIEWS == 0 -> goto done
  MORTAL
  fi;

enter:
#ifdef NO_RECHECK
  if
  :: d_step { v = vIdx; id = vId }
  MORTAL
  fi;
#else
  if
  :: v = vIdx
  MORTAL
  fi;
#endif
  if
  :: atomic { kind == LOCK && !map[AT(r, v)] -> note[AT(r, v)] = replaced[v] }
  :: atomic { !(kind == LOCK && !map[AT(r, v)]) -> goto claim1 }
  MORTAL
  fi;
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
  d_step { early[0] = replaced[0]; early[1] = replaced[1] };
#endif
  if
  :: d_step { w = vIdx; id = vId }
  MORTAL
  fi;
  if
  :: w == v -> goto check
  :: else
  fi;
#ifdef CLAIM_MOVED
  d_step { DROP(v, HELD | BIT(w)); CLAIM_TOO(w); PIN(HELD | BIT(w)) };
  goto check;
#endif
  if
  :: atomic { kind == LOCK && !map[AT(r, w)] -> note[AT(r, w)] = replaced[w] }
  :: atomic { !(kind == LOCK && !map[AT(r, w)]) -> goto claim2 }
  MORTAL
  fi;
claim2:
  if
  :: d_step { CLAIM_TOO(w) }
  MORTAL
  fi;
#ifdef CHECK_EARLY
  d_step { early[0] = replaced[0]; early[1] = replaced[1] };
#endif
  if
  :: d_step { w = vIdx; id = vId }
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
      :: map[AT(r, w)] && note[AT(r, w)] == REPLACED(w) -> d_step { take() }; goto idle
#ifdef MAP_UNDER
      :: !map[AT(r, w)] && note[AT(r, w)] == REPLACED(w) -> goto under
      :: note[AT(r, w)] != REPLACED(w) -> note[AT(r, w)] = REPLACED(w)
#else
      :: else
#endif
      fi
    }
  MORTAL
  fi;

miss:
#ifdef MAP_AFTER_CLAIM
  note[AT(r, w)] = replaced[w];
  d_step { map[AT(r, w)] = path[w] + 1; forget() };
  d_step { take() };
  goto idle;
#endif
#ifdef MAP_UNDER
  if
  :: d_step { DROP(w, HELD); map[AT(r, w)] = 0; forget(); v = 0; w = 0; id = 0 }
  MORTAL
  fi;
  goto enter;

under:
  if
  :: d_step { map[AT(r, w)] = path[w] + 1; forget() }
  MORTAL
  fi;
  goto check;
#endif
  if
  :: d_step { DROP(w, HELD); v = 0; id = 0 }
  MORTAL
  fi;
#ifdef NOTE_LATE
  if
  :: d_step { map[AT(r, w)] = path[w] + 1; forget() }
  MORTAL
  fi;
  note[AT(r, w)] = replaced[w];
  w = 0;
  goto enter;
#endif
  if
  :: note[AT(r, w)] = replaced[w]
  MORTAL
  fi;
  if
  :: d_step { map[AT(r, w)] = path[w] + 1; forget(); w = 0 }
  MORTAL
  fi;
  goto enter;

leave:
#ifdef USED_LATE
  d_step {
    if
    :: slotsUsed <= s -> slotsUsed = s + 1
    :: else
    fi
  };
#endif
  if
  :: kind == COUNTER -> goto leaveCounter
  :: else
  fi;
  if
  :: d_step {
      assert(WHOLE(r, e));
      w = viewFile[AT(r, e)];
      unview();
      DROP(w, HELD);
      forget();
      w = 0;
      e = 0
    }
  MORTAL
  fi;
  goto idle;

leaveCounter:
#if HAS(COUNTER)
  atomic {
    assert(WHOLE(r, e));
    id = viewId[AT(r, e)];
    w = viewFile[AT(r, e)];
    viewId[AT(r, e)] = 0;
    if
    :: vIdx == w && vId != id -> d_step { counted[AT(r, w)] = 0; voided[AT(r, w)] = 0 }; goto left
    :: else
    fi
  };
  if
  :: atomic {
      first[viewGen[AT(r, e)] - 1] != id ->
      d_step { counted[AT(r, w)] = 0; voided[AT(r, w)] = 0 };
      goto left
    }
  :: first[viewGen[AT(r, e)] - 1] == id -> skip
  MORTAL
  fi;
  if
  :: d_step { uncount(w) }
  MORTAL
  fi;
left:
  if
  :: d_step {
    unview();
    forget();
    w = 0;
    e = 0;
    id = 0
  }
  fi;
  goto idle;
#endif

died:
  if
  :: d_step {
    if
    :: kind == SLOT -> slotLock[s] = 0
    :: else
    fi;
    LOCKS(0, 0);
    LOCKS(1, 0);
#if HAS(COUNTER)
    counted[AT(r, 0)] = 0;
    counted[AT(r, 1)] = 0;
    voided[AT(r, 0)] = 0;
    voided[AT(r, 1)] = 0;
#endif
    map[AT(r, 0)] = 0;
    map[AT(r, 1)] = 0;
    note[AT(r, 0)] = 0;
    note[AT(r, 1)] = 0;
    e = 0;
    unview();
    e = 1;
    unview();
    forget();
    n = 0;
    s = 0;
    v = 0;
    w = 0;
    e = 0;
    id = 0;
    again = 0
  }
  fi;
  if
  :: reads == READS -> goto done
  :: reads < READS && kind == SLOT -> goto attach
  :: reads < READS && kind != SLOT -> goto idle
  fi;

stopped:
  end: false;

done:
  skip
}

/* ---- writer ----------------------------------------------------------------------------------- */

#define WMORTAL ::atomic { wdied < WDEATHS -> wdied++; goto died }

#define STUCK(r)                                                                                   \
  (lockOn[AT(r, i)] > LOWEST && lockOn[AT(r, i)] - 1 <= replaced[i])
#ifdef LOCK_CURRENT
#define LOWEST replaced[i]
#else
#define LOWEST from[i]
#endif

#ifdef REMEMBER_GLOBAL
#define MEMORY(i) AT(0, k)
#else
#define MEMORY(i) AT(i, k)
#endif

#ifdef REMEMBER_MASK
#define SAME (remMask[MEMORY(i)] == m)
#else
#ifdef REMEMBER_N
#define SAME (remMask[MEMORY(i)] != 0 && remN[MEMORY(i)] == m_n)
#else
#define SAME (remMask[MEMORY(i)] == m && remN[MEMORY(i)] == m_n)
#endif
#endif

/* What stood in the slots that were stuck stands for older bytes from now on. */
inline remember() {
  k = 0;
  do
  :: k < NS ->
    if
    :: newMask[k] -> remN[MEMORY(i)] = newN[k]; remMask[MEMORY(i)] = newMask[k]
    :: else
    fi;
    newN[k] = 0;
    newMask[k] = 0;
    k++
  :: else -> break
  od;
  k = 0
}

inline writeForget() {
  k = 0;
  do
  :: k < NS -> newN[k] = 0; newMask[k] = 0; k++
  :: else -> break
  od;
  k = 0;
  i = 0;
  g = 0;
  m = 0;
  m_n = 0;
  over = 0;
  rep = 0
}

proctype writer(byte me) {
  byte k, g, m, m_n, used;
  bit i, over, rep;
  byte remN[4], remMask[4], newN[NS], newMask[NS];
  byte from[2];

lock:
  if
  :: atomic { published == PUBS -> goto finished }
  :: atomic { published < PUBS && writerLock == 0 -> writerLock = me + 1 }
  fi;
#ifdef ODD
#ifndef NO_RAISE
  if
  :: atomic { replaced[1 - vIdx] & 1 -> replaced[1 - vIdx]++ }
  :: atomic { !(replaced[1 - vIdx] & 1) -> skip }
  WMORTAL
  fi;
#endif
#else
#ifndef NO_RAISE
  if
  :: replaced[1 - vIdx]++
  WMORTAL
  fi;
#endif
#endif

begin:
  if
  :: d_step { i = 1 - vIdx; used = slotsUsed; k = 0 }
  WMORTAL
  fi;

#if HAS(SLOT)
slot:
#ifdef TEST_FIRST
  if
  :: d_step { k < used -> g = slotLock[k] }
  :: k >= used -> goto slotsDone
  WMORTAL
  fi;
#endif
  if
  :: d_step { k < used -> m = slotMask[k]; m_n = slotN[k] }
  :: k >= used -> goto slotsDone
  WMORTAL
  fi;
  if
  :: d_step { (m & BIT(i)) == 0 || SAME -> k++ }; goto slot
  :: else
  fi;
#ifdef TEST_FIRST
#define OWNED g
#else
#define OWNED slotLock[k]
#endif
  if
  :: atomic { OWNED && over -> newN[k] = m_n; newMask[k] = m; rep = 1; k++; goto slot }
  :: atomic { OWNED && !over -> goto slotWait }
  :: atomic { !(OWNED) -> skip }
  WMORTAL
  fi;
  if
#ifdef CLEAR_PLAIN
  :: d_step { slotMask[k] = 0; slotN[k] = m_n }
#else
  :: d_step {
      if
      :: slotMask[k] == m && slotN[k] == m_n ->
        slotMask[k] = 0;
#ifdef CLEAR_ZERO
        slotN[k] = 0
#endif
      :: else
      fi
    }
#endif
  WMORTAL
  fi;
  goto slot;

slotWait:
  if
  :: atomic { slotMask[k] != m || slotN[k] != m_n ->
#ifdef SKIP_CHANGED
      k++;
#endif
      goto slot }
  :: atomic { slotMask[k] == m && slotN[k] == m_n && !slotLock[k] -> goto slot }
  :: atomic { slotMask[k] == m && slotN[k] == m_n && slotLock[k] -> over = 1; goto slot }
  WMORTAL
  fi;

slotsDone:
  if
  :: d_step { k = 0; m = 0; m_n = 0; g = 0; used = 0 }
  fi;
#endif

#if HAS(LOCK)
locks:
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
  :: atomic { aborted < ABORTS -> aborted++; d_step { writeForget() }; goto begin }
  :: skip
  fi;
#endif
  if
#ifdef GRACE_RESET
  :: true -> goto inPlace
#else
  :: rep -> skip
  :: !rep -> goto inPlace
#endif
  fi;

#if defined(ODD) || defined(RAISE_BEFORE)
  if
  :: replaced[i]++
  WMORTAL
  fi;
#endif
  if
  :: d_step {
      g = 0;
      do
      :: REFERS(g) -> g++
      :: else -> break
      od;
      assert(g < NG);
      lastId++;
      first[g] = lastId;
      second[g] = lastId;
      path[i] = g;
      forget()
    }
  WMORTAL
  fi;
#if !defined(RAISE_BEFORE) && !defined(RAISE_LATE)
  if
  :: replaced[i]++
  WMORTAL
  fi;
#endif
#if !defined(REMEMBER_EARLY) && !defined(REMEMBER_LATE)
  d_step { remember(); from[i] = replaced[i] };
#endif
  goto switch;

inPlace:
  if
  :: d_step { g = path[i]; UNTOUCHED(g); lastId++; first[g] = 0 }
  WMORTAL
  fi;
  if
  :: d_step { UNTOUCHED(g); second[g] = lastId }
  WMORTAL
  fi;
  if
  :: d_step { UNTOUCHED(g); first[g] = lastId }
  WMORTAL
  fi;

switch:
  if
  :: d_step { assert(writerLock == me + 1); vIdx = i; vId = lastId; published++ }
  WMORTAL
  fi;
#ifdef RAISE_LATE
  replaced[i] = replaced[i] + rep;
#endif
#ifdef REMEMBER_LATE
  atomic {
    if
    :: rep ->
      k = 0;
      do
      :: k < NS -> if :: newMask[k] -> newN[k] = slotN[k]; newMask[k] = slotMask[k] :: else fi; k++
      :: else -> break
      od;
      d_step { remember() }
    :: else
    fi
  };
#endif
  d_step { writeForget() };
#ifdef LOCK_EACH
  if
  :: writerLock = 0
  WMORTAL
  fi;
  goto lock;
#else
  if
  :: published < PUBS -> goto begin
  :: else -> goto finished
  fi;
#endif

died:
  if
  :: d_step {
    writeForget();
    k = 0;
    do
    :: k < 4 -> remN[k] = 0; remMask[k] = 0; k++
    :: else -> break
    od;
    k = 0;
    from[0] = 0;
    from[1] = 0;
    used = 0;
    if
    :: writerLock == me + 1 -> writerLock = 0
    :: else
    fi
  }
  fi;
  goto lock;

finished:
  if
  :: d_step {
    writeForget();
    k = 0;
    do
    :: k < 4 -> remN[k] = 0; remMask[k] = 0; k++
    :: else -> break
    od;
    k = 0;
    from[0] = 0;
    from[1] = 0
  }
  fi
}

init {
  atomic {
    path[1] = 1;
    first[0] = 1;
    second[0] = 1;
#if K0 == SLOT
    slotLock[0] = 1;
    slotsUsed = 1;
#endif
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
