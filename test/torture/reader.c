/*
** reader.c - readers of all kinds of pin, and what they check.
**
** Each view must be whole; hold the newest snapshot, or a newer one than was known to be published when the
** read began; not be older than the last of this handle; say `switched` rightly; be the same snapshot as any
** other view of that sequence; and be whole still, and the same, at its end, however long it was held.  Of
** slots and locks this holds always, whatever is stopped and killed.
**
** DOUBT.  Of counters it holds for as long as no read of anybody's outlasts the grace time, from the claim to
** its end; after that, a writer sets the counter to 0, and for a while a counter may tell less than there
** are (state.h).  To check no less than what is promised:
**
**   - a writer raises T->doubt when its clock tells it that the grace time of a wait is over, which is before
**     it sets a counter to 0; and again when that publish has ended.  If it dies, the supervisor does;
**   - a view by counter that was torn is excused only if `doubt` has risen since before its read began;
**   - reads by counter only begin while doubt == healed.  The supervisor sets `healed` to the value that
**     `doubt` had before it saw each seat of a counter reader empty.  With nobody inside, no counter tells
**     less than there are, so what follows starts with counters that are right, or tell more.
**
** Excused views are told in the totals as `voided`.
*/
#define _GNU_SOURCE
#include "torture.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* How often, in 1000 reads at a walk, a view is held for long, has others inside it, is forked under; how
** often a handle is closed and opened anew; how often it waits for the next snapshot instead. */
typedef struct Role {
  const char *name;
  int pins;
  unsigned seats; /* threads of the process, each with its handle */
  unsigned hold, nest, fork, attach, wait;
  int verify;
  int trust;
} Role;

static const Role roles[] = {
    {"slot", MMAPSYNC_PIN_SLOT, 3, 0, 20, 0, 1, 0, MMAPSYNC_VERIFY_NEVER, 0},
    {"slot-hold", MMAPSYNC_PIN_SLOT, 2, 8, 200, 0, 0, 0, MMAPSYNC_VERIFY_NEVER, 0},
    {"slot-fork", MMAPSYNC_PIN_SLOT, 1, 1, 100, 30, 10, 0, MMAPSYNC_VERIFY_NEVER, 0},
    {"slot-attach", MMAPSYNC_PIN_SLOT, 2, 0, 50, 0, 500, 0, MMAPSYNC_VERIFY_NEVER, 0},
    {"slot-wait", MMAPSYNC_PIN_SLOT, 1, 0, 0, 0, 5, 900, MMAPSYNC_VERIFY_NEVER, 0},
    {"lock", MMAPSYNC_PIN_LOCK, 2, 0, 50, 0, 1, 0, MMAPSYNC_VERIFY_NEVER, 0},
    {"lock-hold", MMAPSYNC_PIN_LOCK, 1, 8, 200, 0, 0, 50, MMAPSYNC_VERIFY_NEVER, 0},
    {"lock-fork", MMAPSYNC_PIN_LOCK, 1, 1, 100, 30, 300, 0, MMAPSYNC_VERIFY_NEVER, 0},
    {"counter", MMAPSYNC_PIN_COUNTER, 1, 0, 0, 0, 1, 0, MMAPSYNC_VERIFY_NEVER, 0},
    {"counter-hold", MMAPSYNC_PIN_COUNTER, 2, 2, 100, 0, 5, 0, MMAPSYNC_VERIFY_NEVER, 0},
    {"auto-verify", MMAPSYNC_PIN_AUTO, 1, 2, 50, 0, 20, 50, MMAPSYNC_VERIFY_SNAPSHOT, 0},
    {"copy", MMAPSYNC_PIN_AUTO, 1, 8, 100, 10, 50, 50, MMAPSYNC_VERIFY_SNAPSHOT,
     MMAPSYNC_TRUST_COPY},
};

#define NEST_MOST  4
#define HOLD_MOST  5   /* grace times */
#define SPRINT     512 /* reads between two looks at the gait */
#define STOP_LOOK  (5 * NS_PER_MS)
#define CHILD_ENDS 10 /* seconds */

int readerRoles(void) { return (int)(sizeof(roles) / sizeof(roles[0])); }
const char *readerName(unsigned role) { return roles[role].name; }
unsigned readerSeats(unsigned role) { return roles[role].seats; }
int readerCounts(unsigned role) { return roles[role].pins == MMAPSYNC_PIN_COUNTER; }

/* One handle that reads. */
typedef struct Reader {
  const Role *role;
  Seat *seat;
  mmapsync *h;
  const mmapsync_view
      *entered; /* the copy of what was entered, and is to be left; NULL: nothing was */
  int sprint;
  uint64_t last_sequence; /* of the last read, and the number of that snapshot */
  uint64_t last_number;
  uint64_t handle_sequence; /* the same since the handle was opened, for `switched` */
  uint32_t doubt;           /* at the start of the outermost read */
} Reader;

static int happens(unsigned often) { return often != 0 && chance(1000) < often; }

static int stopped(void) { return atomic_load_explicit(&T->stop, memory_order_relaxed) != 0; }

/* ---- DOUBT -------------------------------------------------------------------------------------- */

/* 0 if everybody is told to stop. */
static int doubtEnter(Reader *r) {
  if (r->role->pins != MMAPSYNC_PIN_COUNTER) return 1;
  for (;;) {
    atomic_store(&r->seat->inside, 1);
    r->doubt = atomic_load(&T->doubt);
    if (atomic_load(&T->healed) == r->doubt) return 1;
    atomic_store(&r->seat->inside, 0);
    if (stopped()) return 0;
    atomic_fetch_add_explicit(&r->seat->beat, 1, memory_order_relaxed);
    sleepNs(200 * NS_PER_US);
  }
}

static void doubtLeave(Reader *r) {
  if (r->role->pins == MMAPSYNC_PIN_COUNTER) atomic_store(&r->seat->inside, 0);
}

static int doubtful(const Reader *r) {
  return r->role->pins == MMAPSYNC_PIN_COUNTER && atomic_load(&T->doubt) != r->doubt;
}

/* ---- checks ------------------------------------------------------------------------------------- */

/* A view that is not what it should be: an excused one is counted, another ends all. */
static void torn(const Reader *r, const mmapsync_view *v, const char *when, const char *what) {
  static const char *kinds[] = {"auto", "slot", "lock", "counter"};
  if (doubtful(r)) {
    atomic_fetch_add(&T->voided, 1);
    return;
  }
  atomic_fetch_add(&T->torn, 1);
  broken("TORN %s: %s\n"
         "  pinned by %s, data file %d, version %016llx, sequence %llu, %zu bytes at %p, kind %u, "
         "pid %u\n"
         "  newest known sequence %llu, files replaced %llu times, resets %llu",
         when, what, kinds[v->pin & 3], (int)(v->version & 1), (unsigned long long)v->version,
         (unsigned long long)v->sequence, v->size, v->data, v->kind, v->pid,
         (unsigned long long)atomic_load(&T->published),
         (unsigned long long)atomic_load(&T->replaced),
         (unsigned long long)atomic_load(&T->resets));
}

/* Checks the bytes.  The number of the snapshot, 0 if it was excused. */
static uint64_t viewCheck(const Reader *r, const mmapsync_view *v, uint64_t number,
                          const char *when) {
  Finding f;
  if (r->sprint && v->size > 5000) return number;
  payloadCheck(r->h, v, &f);
  if (!f.what[0] && number != 0 && f.number != number) {
    snprintf(f.what, sizeof(f.what), "expected snapshot %llu, found %llu whole",
             (unsigned long long)number, (unsigned long long)f.number);
  }
  if (!f.what[0]) return f.number;
  torn(r, v, when, f.what);
  return 0;
}

/* Half of the outermost views are the handle's own; within one of those, mmapsync_enter() would give it again. */
static int viewEnter(Reader *r, mmapsync_view *v) {
  const mmapsync_view *view;
  int rc;
  if (r->entered || chance(2)) return mmapsync_read(r->h, v);
  rc = mmapsync_enter(r->h, &view);
  if (rc != MMAPSYNC_OK) return rc;
  r->entered = v;
  *v = *view;
  return rc;
}

static void viewLeave(Reader *r, mmapsync_view *v) {
  if (r->entered == v) {
    r->entered = NULL;
    mmapsync_leave(r->h);
  } else {
    mmapsync_release(r->h, v);
  }
}

/* Reads, and checks what is known of the view at once.  1 if there is one. */
static int viewOpen(Reader *r, mmapsync_view *v, uint64_t *number) {
  uint64_t known = atomic_load(&T->published), start, spent;
  uint32_t stops = atomic_load(&T->lane[self.lane].stops);
  unsigned before = disturbed, maps = mapped;
  int rc, timed = !r->sprint || chance(32) == 0;
  uint64_t same = 0, turns = timed ? preempted() : 0;

  start = timed ? now() : 0;
  rc = viewEnter(r, v);
  spent = timed ? now() - start : 0;
  if (rc == MMAPSYNC_EMPTY && known == 0) return 0;
  if (rc == MMAPSYNC_BUSY && r->role->verify != MMAPSYNC_VERIFY_NEVER) return 0;
  if (rc != MMAPSYNC_OK) {
    broken("read: code %d, %s", rc, mmapsync_errmsg(r->h));
    return 0;
  }
  if (timed && disturbed == before && mapped == maps && turns == preempted() &&
      stops == atomic_load(&T->lane[self.lane].stops) && r->role->verify == MMAPSYNC_VERIFY_NEVER) {
    raiseTo(&T->worst_entry[v->pin & 3], spent);
    histogramAdd(T->entry, spent);
    atomic_fetch_add_explicit(&T->entries_timed, 1, memory_order_relaxed);
  }
  if (v->sequence == 0) {
    torn(r, v, "at entry", "a snapshot without a trailer");
    *number = 0;
    return 1;
  }
  if (v->sequence < known) {
    broken("stale: read sequence %llu after %llu was published", (unsigned long long)v->sequence,
           (unsigned long long)known);
  }
  if (v->sequence < r->last_sequence) {
    broken("the sequence went back from %llu to %llu", (unsigned long long)r->last_sequence,
           (unsigned long long)v->sequence);
  }
  if (v->switched != (v->sequence != r->handle_sequence)) {
    broken("switched is %d for sequence %llu after %llu", v->switched,
           (unsigned long long)v->sequence, (unsigned long long)r->handle_sequence);
  }
  if (v->sequence == r->last_sequence) same = r->last_number;
  jitter();
  *number = viewCheck(r, v, same, "at entry");
  r->last_sequence = r->handle_sequence = v->sequence;
  r->last_number = *number;
  return 1;
}

static void viewClose(Reader *r, mmapsync_view *v, uint64_t number, const char *when) {
  if (number) viewCheck(r, v, number, when);
  viewLeave(r, v);
}

/* ---- what happens in a view --------------------------------------------------------------------- */

/* Sleeps, for up to several grace times, and looks at the bytes all the while. */
static void viewHold(const Reader *r, const mmapsync_view *v, uint64_t number) {
  uint64_t most = HOLD_MOST * T->grace_ms * NS_PER_MS, end, left, at;

  /* Not so long that it may be voided: the thread sanitizer does not know DOUBT. */
  if (T->threads && r->role->pins == MMAPSYNC_PIN_COUNTER) most /= 4 * HOLD_MOST;
  end = now() + chance(most);
  while (number && (at = now()) < end && !stopped()) {
    left = end - at < STOP_LOOK ? end - at : STOP_LOOK;
    sleepNs(left);
    number = viewCheck(r, v, number, "while held");
    atomic_fetch_add_explicit(&r->seat->beat, 1, memory_order_relaxed);
  }
}

/*
** A child has our view and our handle.  The view holds for as long as it has our descriptors, even if we
** are killed meanwhile; once it has used its handle, for as long as we live.
*/
static void viewFork(Reader *r, mmapsync_view *v, uint64_t number) {
  pid_t parent = getpid(), pid = fork();
  mmapsync_view own;
  uint64_t other;
  Finding f;
  int status, late = (int)chance(2);

  if (pid < 0) {
    broken("cannot fork");
    return;
  }
  if (pid != 0) {
    atomic_fetch_add(&T->forks, 1);
    if (late) viewCheck(r, v, number, "beside a child");
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    viewCheck(r, v, number, "after a child");
    return;
  }
  alarm(CHILD_ENDS);
  self.chance += (uint64_t)getpid();
  sleepNs(chance(late ? 60 * NS_PER_MS : 2 * NS_PER_MS));
  viewCheck(r, v, number, "in a child");
  if (r->role->trust == MMAPSYNC_TRUST_MAP) r->handle_sequence = 0; /* it is to attach anew */
  if (viewOpen(r, &own, &other)) {
    viewClose(r, &own, other, "in a child, by its own pin");
    payloadCheck(r->h, v, &f);
    if (f.what[0] || f.number != number) {
      /* The kernel drops a dead process' locks a little before it tells its children. */
      sleepNs(100 * NS_PER_MS);
      if (getppid() == parent) torn(r, v, "in a child that has attached anew", f.what);
    }
  }
  viewLeave(r, v);
  mmapsync_close(r->h);
  _exit(0);
}

/* Some views, one within the other, released in any order. */
static void readNested(Reader *r) {
  mmapsync_view view[NEST_MOST];
  uint64_t number[NEST_MOST];
  size_t i, n, most = 2 + (size_t)chance(NEST_MOST - 1);

  for (n = 0; n < most; n++) {
    if (!viewOpen(r, &view[n], &number[n])) break;
    if (chance(2)) sleepNs(chance(3 * NS_PER_MS));
  }
  if (n && happens(r->role->hold * 4)) viewHold(r, &view[0], number[0]);
  while (n > 0) {
    i = (size_t)chance(n);
    viewClose(r, &view[i], number[i], "at the end of a nested view");
    n--;
    if (r->entered == &view[n]) r->entered = &view[i];
    view[i] = view[n];
    number[i] = number[n];
    jitter();
  }
  atomic_fetch_add_explicit(&T->nested, 1, memory_order_relaxed);
}

static void readOnce(Reader *r) {
  unsigned before = disturbed;
  mmapsync_view view;
  uint64_t number;

  if (!viewOpen(r, &view, &number)) {
    sleepNs(NS_PER_MS);
    return;
  }
  if (r->sprint) {
    /* We napped in the core, or nearly so.  If that has cost us our claim, the bytes will tell. */
    if (disturbed != before) sleepNs(chance(NS_PER_MS / 2));
  } else {
    jitter();
    if (number && happens(r->role->hold)) viewHold(r, &view, number);
    if (number && !T->threads && happens(r->role->fork)) viewFork(r, &view, number);
  }
  viewClose(r, &view, number, "at its end");
}

/* ---- the handle --------------------------------------------------------------------------------- */

static void readerOpen(Reader *r) {
  mmapsync_options opt;
  mmapsync_options_init(&opt);
  opt.pins = r->role->pins;
  opt.verify = r->role->verify;
  opt.trust = r->role->trust;
  opt.stamp = (int)chance(2);
  if (mmapsync_open(T->path, &opt, &r->h) != MMAPSYNC_OK) broken("open: %s", mmapsync_errmsg(r->h));
  r->handle_sequence = 0;
  atomic_fetch_add_explicit(&T->attaches, 1, memory_order_relaxed);
}

static void readerWait(Reader *r) {
  uint64_t newer = 0, after = r->last_sequence, known = atomic_load(&T->published);
  int rc = mmapsync_wait(r->h, after, (uint32_t)(1 + chance(40)), &newer);
  if (rc == MMAPSYNC_OK && (newer <= after || newer < known)) {
    broken("waited for more than %llu, and %llu is known, but was told %llu",
           (unsigned long long)after, (unsigned long long)known, (unsigned long long)newer);
  } else if (rc == MMAPSYNC_TIMEOUT && known > after) {
    broken("nothing newer than %llu was found, but %llu was published", (unsigned long long)after,
           (unsigned long long)known);
  } else if (rc != MMAPSYNC_OK && rc != MMAPSYNC_TIMEOUT) {
    broken("wait: code %d, %s", rc, mmapsync_errmsg(r->h));
  }
  atomic_fetch_add_explicit(&T->waits, 1, memory_order_relaxed);
}

/* At a walk all sorts of things are done; at a sprint, small payloads are read without pause, by one or two
** processes in turn: if all had something to do, the writer would seldom have a processor. */
static void readerPass(Reader *r) {
  uint64_t phase = gait();
  int i, reads = 1;

  r->sprint = gaitSprint(phase);
  marksOn = !r->sprint;
  if (r->sprint && laneSprints(self.lane, phase)) {
    reads = SPRINT;
  } else if (r->sprint || chance(2)) {
    sleepNs(chance(NS_PER_MS));
  }
  if (happens(r->role->attach)) {
    mmapsync_close(r->h);
    readerOpen(r);
  }
  if (happens(r->role->wait)) readerWait(r);
  if (!doubtEnter(r)) return;
  if (!r->sprint && happens(r->role->nest)) {
    readNested(r);
  } else {
    for (i = 0; i < reads; i++) readOnce(r);
    atomic_fetch_add_explicit(&T->reads, (uint64_t)i, memory_order_relaxed);
  }
  doubtLeave(r);
  atomic_fetch_add_explicit(&r->seat->beat, 1, memory_order_relaxed);
}

static void readerSeat(unsigned role) {
  Reader r = {.role = &roles[role], .seat = &T->lane[self.lane].seat[self.seat]};
  readerOpen(&r);
  while (!stopped()) readerPass(&r);
  mmapsync_close(r.h);
}

typedef struct Start {
  Self self;
  unsigned role;
} Start;

static void *readerThread(void *arg) {
  Start *start = arg;
  self = start->self;
  readerSeat(start->role);
  return NULL;
}

void readerRun(unsigned role) {
  unsigned i, n = T->threads ? 1 : roles[role].seats;
  pthread_t thread[SEATS_MOST];
  Start start[SEATS_MOST];

  for (i = 1; i < n; i++) {
    start[i].self = self;
    start[i].self.seat = i;
    start[i].self.chance += i * UINT64_C(0x9e3779b97f4a7c15);
    start[i].role = role;
    if (pthread_create(&thread[i], NULL, readerThread, &start[i]) != 0)
      broken("cannot start a thread");
  }
  readerSeat(role);
  for (i = 1; i < n; i++) pthread_join(thread[i], NULL);
}
