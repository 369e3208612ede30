#!/bin/sh
#
# run.sh [folder] - checks pins.pml with spin, exhaustively.  Needs spin and a C compiler.
#
# Each line of the list below is a check: what must come of it, its name, the macros that make it.  "holds"
# must be searched to the end without an error.  Of the others, each is the protocol with one of its rules
# broken, and must break the claim that stands there, in the way that pins.pml says under WHAT IS SHOWN:
# were it to hold, the model would be too weak to tell.
#
#     C1   a view shows what it should not: an assertion in take() or touchOne()
#     C3   the writer is stuck (an invalid end state), or with -DLIVE goes round without a publish
#     C5   a reader that has stopped for good is waited for again: the assertion in LATE
#     C6   a writer switches without the lock: the assertion at the switch
#
# Everything is built in the folder given, or in one that is removed at the end.  Of a check that went
# wrong the generated search and its trail stay there, if the folder was given.  JOBS searches go on at a
# time (as many as there are processors), none of them in more than MEGABYTES (4000) of memory.
#
set -u
JOBS=${JOBS:-$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)}
MEGABYTES=${MEGABYTES:-4000}
CC=${CC:-cc}
HERE=$(cd "$(dirname "$0")" && pwd) || exit 1

# Few of everything, where the search would have no end otherwise; and everybody done but the writer.
FEW='-DPUBS=2 -DREADS=2 -DRDEATHS=1 -DWDEATHS=1'
ONCE='-DONCE -DRSTOPS=1 -DWDEATHS=1 -DABORTS=1'
LIVE='-DLIVE -DREADS=2 -DRDEATHS=1 -DRSTOPS=1 -DWDEATHS=1'

checks() {
  grep '|' <<LIST
Two readers, of one kind and of two.  All die: at any step, but few times, with few publishes and reads.
Nobody dies, or the writer only: any number of publishes and reads.  The longest searches come first.
Lock and counter is not here: what it adds to the others is that the writer waits for one, then the other.
holds | slot and lock with windows, all die | -DK0=LOCK -DK1=SLOT -DWINDOW $FEW
holds | slot and lock, nobody dies | -DK1=LOCK -DRDEATHS=0 -DWDEATHS=0
holds | slot and slot, writer dies | -DK1=SLOT -DRDEATHS=0
holds | lock and lock with windows, all die | -DK0=LOCK -DK1=LOCK -DWINDOW $FEW
holds | slot and slot, all die | -DK1=SLOT $FEW
holds | slot and counter, all die | -DK1=COUNTER $FEW
holds | slot and counter, nobody dies | -DK1=COUNTER -DRDEATHS=0 -DWDEATHS=0
holds | counter and counter, readers die once | -DK0=COUNTER -DK1=COUNTER -DRDEATHS=1

One reader, which dies and comes back, and a writer that dies, as often as they like.
holds | slot | -DK0=SLOT
holds | slot, nested views | -DNEST
holds | slot, through the gate | -DGATE
holds | slot, through the gate, nested views | -DGATE -DNEST
holds | slot, through the gate, two writers | -DGATE -DWRITERS=2
holds | slot, publishes given up | -DABORTS=ANY
holds | slot, nested views, publishes given up | -DNEST -DABORTS=ANY
holds | slot, two writers | -DWRITERS=2
holds | lock with windows | -DK0=LOCK -DWINDOW
holds | lock with windows, publishes given up | -DK0=LOCK -DWINDOW -DABORTS=ANY
holds | lock with windows, two writers | -DK0=LOCK -DWINDOW -DWRITERS=2
holds | counter, reader dies twice | -DK0=COUNTER -DRDEATHS=2

C3 and C5: a reader stops for good, or dies for good.
holds | slot, reader stops for good | -DRSTOPS=1 -DWDEATHS=1
holds | slot, reader dies for good | -DREADS=2 -DRDEATHS=1 -DWDEATHS=1
holds | slot, writer goes on | $LIVE
holds | slot, through the gate, writer goes on | -DGATE $LIVE
holds | lock with windows, reader stops for good | -DK0=LOCK -DWINDOW -DRSTOPS=1 -DWDEATHS=1
holds | lock with windows, writer goes on | -DK0=LOCK -DWINDOW $LIVE
holds | counter, reader stops for good | -DK0=COUNTER -DRDEATHS=1 -DRSTOPS=1 -DWDEATHS=1
holds | counter, writer goes on | -DK0=COUNTER $LIVE
holds | slot, stopped reader waited for once | $ONCE
holds | slot, the same by two writers | $ONCE -DWRITERS=2
holds | slot, the same with nested views | $ONCE -DNEST
holds | slot, the same through the gate | $ONCE -DGATE
holds | lock, stopped reader waited for once | -DK0=LOCK $ONCE
holds | lock, the same by two writers | -DK0=LOCK $ONCE -DWRITERS=2

Other rules that are right.
holds | slot taken by who has mapped | -DMAPPED_FIRST
holds | slot, two writers, raised at each lock | -DWRITERS=2 -DRAISE_ALWAYS
holds | slot, nested views, mapped under the claim | -DNEST -DMAP_UNDER
holds | lock, raised at each lock | -DK0=LOCK -DRAISE_ALWAYS
holds | lock, mapped under the claim | -DK0=LOCK -DMAP_UNDER

Rules of entering a read.
C1 | no second look at the version | -DNO_RECHECK
C1 | the same, by lock | -DK0=LOCK -DNO_RECHECK
C1 | the same, by counter | -DK0=COUNTER -DRDEATHS=2 -DNO_RECHECK
C1 | claim moved without another look | -DCLAIM_MOVED
C1 | gate: no look at the version | -DGATE -DGATE_BLIND
C1 | gate: mapping not compared | -DGATE -DGATE_UNCHECKED
C1 | gate: before the slot has had a view | -DGATE -DMAPPED_FIRST -DGATE_FIRST
C1 | slots in use not announced | -DK1=SLOT -DUSED_NEVER

Rules of mapping, and of replacing a file.
C1 | mapping made after the claim is used | -DMAP_AFTER_CLAIM
C1 | grace over: overwritten instead of replaced | -DGRACE_RESET
C1 | the same, by lock | -DK0=LOCK -DGRACE_RESET
C1 | replaced not raised with the lock taken | -DNO_RAISE
C1 | the same, raised once only | -DNO_RAISE -DRAISE_ALWAYS
C1 | the same, by lock | -DK0=LOCK -DNO_RAISE
C1 | replaced raised after the switch | -DRAISE_LATE
C1 | replaced raised before the rename only | -DRAISE_BEFORE
C1 | mapped under the claim, raised once only | -DMAP_UNDER -DRAISE_ALWAYS
C1 | replaced noted after the mapping | -DNOTE_LATE
C1 | replaced compared before the last look | -DCHECK_EARLY
C1 | the same, by lock | -DK0=LOCK -DCHECK_EARLY
C1 | only the newest lock looked at | -DK0=LOCK -DLOCK_CURRENT
C1 | counter reader that does not know replaced | -DK1=COUNTER -DRDEATHS=1 -DCOUNTER_BLIND

Rules of what the slots say, and of where the writer begins to count.
C1 | notes said when mapping, not with each claim | -DMAPPED_FIRST -DSAID_AT_MAPPING
C1 | mapped under a claim that did not say the note | -DMAP_UNDER -DUNSAID
C1 | from set before the rename | -DFROM_EARLY
C1 | the same, by lock | -DK0=LOCK -DFROM_EARLY
C1 | from set though the rename failed | -DABORTS=ANY -DFROM_FAILED
C1 | the same, by lock | -DK0=LOCK -DABORTS=ANY -DFROM_FAILED
C1 | from set with the lock taken | -DFROM_LOCK
C1 | one from for both files | -DFROM_ONE
C1 | the same, by lock | -DK0=LOCK -DFROM_ONE
C5 | from not set | $ONCE -DFROM_NEVER
C5 | from known to its writer only | $ONCE -DWRITERS=2 -DFROM_OWN
C5 | the same, by lock | -DK0=LOCK $ONCE -DWRITERS=2 -DFROM_OWN

Rules of the scan.
C1 | a word that changed is taken for gone | -DSKIP_CHANGED
C1 | dead slot cleared by a plain store | -DCLEAR_PLAIN
C3 | dead slot not cleared | -DNO_CLEAR $LIVE
C3 | dead readers waited for | -DREADS=2 -DRDEATHS=1 -DWDEATHS=1 -DDEAD_WAITS
C3 | live readers waited for without end | -DRSTOPS=1 -DWDEATHS=1 -DNO_GRACE
C6 | lock not waited for | -DWRITERS=2 -DLOCK_IGNORED

Rules of the window.
C1 | window not waited for | -DK0=LOCK -DWINDOW -DNO_WAIT
C1 | window loaded before the presence lock | -DK0=LOCK -DWINDOW -DLOAD_EARLY
C1 | presence lock dropped after the wait | -DK0=LOCK -DWINDOW -DPRESENCE_DROPPED
C1 | presence looked for before window is stored | -DK0=LOCK -DWINDOW -DLOOK_FIRST
C1 | presence not looked for | -DK0=LOCK -DWINDOW -DNO_LOOK
C1 | window kept though somebody is there | -DK0=LOCK -DWINDOW -DKEPT_OPEN
C1 | own time later than the one stored | -DK0=LOCK -DWINDOW -DMINE_LATER
C1 | window of a predecessor trusted | -DK0=LOCK -DWINDOW -DTRUST
C1 | own window trusted with the lock taken anew | -DK0=LOCK -DWINDOW -DWRITERS=2 -DKEEP_MINE
LIST
}

# What the search in pan.out found: holds, C1, C3, C5, C6, or a sentence.
outcome() {
  if grep -q '^pan:1: assertion violated (*writerLock' pan.out; then
    echo C6
  elif grep -q '^pan:1: assertion violated (*late' pan.out; then
    echo C5
  elif grep -q '^pan:1: assertion violated' pan.out; then
    echo C1
  elif grep -Eq '^pan:1: (invalid end state|non-progress cycle)' pan.out; then
    echo C3
  elif grep -q 'errors: 0$' pan.out &&
       ! grep -Eiq 'too small|memlim|interrupted|out of memory|not completed' pan.out; then
    echo holds
  else
    echo "not searched to the end: $(grep -E '^pan:|^error' pan.out | head -n 1)"
  fi
}

# The check of line $2, in the new folder $1: prints its outcome, and leaves it there too.
check() {
  want=${2%% |*}; rest=${2#*| }
  name=${rest%% |*}; macros=${rest##*| }
  case $macros in
  *-DLIVE*) search=-DNP; cycles=-l ;;
  *) search=-DSAFETY; cycles= ;;
  esac
  # Of the small searches, which are most, the compiler takes longer than the search: it need not try hard.  The large
  # ones take a third longer with their states compressed, and fit as they are.
  case $want$macros in
  holds*-DK1=*) build=-O2; depth=6000000 ;;
  *) build='-O0 -DCOLLAPSE'; depth=600000 ;;
  esac
  cd "$1" || return
  # shellcheck disable=SC2086
  if spin -a $macros ../pins.pml >built.out 2>&1 &&
     $CC $build -w $search -DMEMLIM="$MEGABYTES" -o pan pan.c >>built.out 2>&1; then
    ./pan $cycles -m$depth >pan.out 2>&1 &
    pan=$!
    wait $pan
    pan=
    found=$(outcome)
  else
    found="not built: $(head -n 3 built.out)"
  fi
  states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' pan.out 2>/dev/null)
  if [ "$found" = "$want" ]; then verdict=ok; else verdict=FAILED; fi
  printf '%-6s %-5s  %-47s %11s states\n' $verdict "$want" "$name" "${states:-0}"
  if [ $verdict = ok ]; then
    rm -f pan* ./*.out ./*.trail
    : >ok
  else
    printf '       found: %s\n       see: cd "%s" && spin -k pins.pml.trail -p -g %s ../pins.pml\n' \
      "$found" "$1" "$macros"
  fi
}

# Does whatever no other worker has begun: who makes the folder, does the check.
worker() {
  pan=
  trap 'test -z "$pan" || kill $pan; exit 1' TERM
  number=100
  while IFS= read -r line; do
    number=$((number + 1))
    mkdir "$OUT/check$number" 2>/dev/null || continue
    check "$OUT/check$number" "$line"
  done <"$OUT/list"
}

for tool in spin "${CC%% *}"; do
  if ! command -v "$tool" >/dev/null; then
    echo "run.sh: $tool is not installed" >&2
    exit 1
  fi
done
if [ $# -gt 0 ]; then
  mkdir -p "$1" && OUT=$(cd "$1" && pwd) || exit 1
  rm -rf "$OUT"/check[0-9][0-9][0-9]
else
  OUT=$(mktemp -d) || exit 1
  trap 'rm -rf "$OUT"' EXIT
fi
cp "$HERE/pins.pml" "$HERE/ghosts.pml" "$OUT" && checks >"$OUT/list" || exit 1

workers=
trap 'kill $workers; wait; exit 1' INT TERM HUP
while [ "$JOBS" -gt 0 ]; do
  worker &
  workers="$workers $!"
  JOBS=$((JOBS - 1))
done
wait

total=$(grep -c . "$OUT/list")
passed=$(find "$OUT" -path '*/check[0-9][0-9][0-9]/ok' | grep -c .)
echo "$passed passed, $((total - passed)) failed"
[ "$total" -gt 0 ] && [ "$passed" -eq "$total" ]
