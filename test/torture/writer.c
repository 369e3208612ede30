#define _GNU_SOURCE
/*
** writer.c - writers: one that publishes without pause, and one that competes with it now and then.
**
** A publish is timed if nothing disturbed it: no sleep of marks.c, no signal, no stop, no other thread that took
** its processor.  From its time are
** taken away what it says it waited for readers, and its own work: the slowest of some publishes of that size
** on the channel before the readers came, the first of which made the files longer.  What is left is "beyond
** its own work".
*/
#include "torture.h"

#include <stdlib.h>

#define HUGE_MOST  ((size_t)17 << 20)
#define ROWS_MOST  (TORTURE_TSAN ? 300 : 2000)
#define QUIET_RUNS 5

typedef struct Writer {
  mmapsync *h;
  uint64_t *bytes; /* room for the largest payload */
  uint64_t last;   /* sequence */
  int doubted;     /* a grace time may have been over since the last result */
  int sprint;
} Writer;

static void writerOpen(Writer *w, int lock) {
  mmapsync_options opt;
  mmapsync_options_init(&opt);
  opt.grace_ms = T->grace_ms;
  opt.lock = lock;
  /* The thread sanitizer does not see what pread() has read. */
  if (!T->threads) opt.trust = chance(2) ? MMAPSYNC_TRUST_COPY : MMAPSYNC_TRUST_MAP;
  if (mmapsync_open(T->path, &opt, &w->h) != MMAPSYNC_OK) broken("open: %s", mmapsync_errmsg(w->h));
  w->doubted = 0;
}

/* In place, in steps, and perhaps given up in the end: then the sequence is 0. */
static int writeInPlace(Writer *w, size_t size, uint64_t number, mmapsync_result *done) {
  size_t room = chance(2) ? size : 64, at = 0, end;
  void *data;
  int rc = mmapsync_write_begin(w->h, room, &data), alone = 0;

  if (rc == MMAPSYNC_OK) {
    alone = 1;
    aloneBegin(&T->writing, "have a write open");
  }
  while (rc == MMAPSYNC_OK && at < size) {
    end = room < size ? room : size;
    payloadFill(data, at, end, size, number);
    at = end;
    jitter();
    if (at < size) {
      room *= 4;
      rc = mmapsync_write_grow(w->h, room, &data);
    }
  }
  if (alone) aloneEnd(&T->writing);
  if (rc != MMAPSYNC_OK) return rc;
  if (chance(16) == 0 && !w->sprint) {
    mmapsync_write_abort(w->h);
    done->sequence = 0;
    atomic_fetch_add(&T->aborted, 1);
    return MMAPSYNC_OK;
  }
  return mmapsync_write_commit(w->h, size, MMAPSYNC_KIND_RAW, done);
}

static int writeSort(const Writer *w) {
  uint64_t r = chance(1000);
  if (w->sprint) return r < 950 ? CLASS_TINY : CLASS_PAGE;
  if (r < 200) return CLASS_TINY;
  if (r < 400) return CLASS_PAGE;
  if (r < 600) return CLASS_MIDDLE;
  if (r < 690) return CLASS_BIG;
  if (r < 700) return CLASS_HUGE;
  return CLASS_IMAGE;
}

/* One write of that class; *ns is how long it took. */
static int writeOne(Writer *w, int sort, mmapsync_result *done, uint64_t *ns) {
  uint64_t number = atomic_fetch_add_explicit(&T->numbers, 1, memory_order_relaxed) + 1, start;
  size_t size = payloadSize(sort);
  int rc, whole = sort != CLASS_IMAGE && chance(2);

  if (whole) payloadFill(w->bytes, 0, size, size, number);
  doubtBegin();
  start = now();
  if (sort == CLASS_IMAGE) {
    rc = imagePublish(w->h, number, 1 + chance(ROWS_MOST), done);
  } else if (whole) {
    rc = mmapsync_write(w->h, w->bytes, size, done);
  } else {
    rc = writeInPlace(w, size, number, done);
  }
  *ns = now() - start;
  w->doubted |= doubtEnd();
  return rc;
}

static void writerTime(const mmapsync_result *done, int sort, uint64_t ns) {
  uint64_t own = (uint64_t)done->waited_ms * NS_PER_MS + T->work[sort];
  uint64_t beyond = ns > own ? ns - own : 0;
  raiseTo(&T->worst_wait, done->waited_ms);
  raiseTo(&T->worst_beyond, beyond);
  histogramAdd(T->beyond, beyond);
  atomic_fetch_add_explicit(&T->publishes_timed, 1, memory_order_relaxed);
}

static void writerResult(Writer *w, const mmapsync_result *done, int sort) {
  size_t held;
  if (done->sequence <= w->last) {
    broken("published sequence %llu after %llu", (unsigned long long)done->sequence,
           (unsigned long long)w->last);
  }
  w->last = done->sequence;
  raiseTo(&T->published, done->sequence);
  atomic_fetch_add_explicit(&T->publishes, 1, memory_order_relaxed);
  if (sort == CLASS_IMAGE) atomic_fetch_add_explicit(&T->images, 1, memory_order_relaxed);
  if (done->replaced) atomic_fetch_add(&T->replaced, 1);
  if (done->reset) atomic_fetch_add(&T->resets, 1);
  atomic_fetch_add_explicit(&T->held, done->held, memory_order_relaxed);
  (void)mmapsync_held(w->h, &held);
  if (done->reset && T->threads) broken("reset a counter in threads mode");
  if (done->replaced && held == 0) broken("replaced a file that nobody held");
  /* Else the check of counter readers would excuse too little, and this be no fault of theirs. */
  if ((done->reset || done->replaced) && !w->doubted) {
    broken("gave readers up before the grace time was over: waited %u ms of %u", done->waited_ms,
           T->grace_ms);
  }
  w->doubted = 0;
}

static void writerPass(Writer *w) {
  uint32_t stops = atomic_load(&T->lane[self.lane].stops);
  unsigned before = disturbed;
  mmapsync_result done;
  uint64_t turns, ns;
  int rc, sort, timed;

  w->sprint = gaitSprint(gait());
  marksOn = chance(w->sprint ? 16 : 2) == 0;
  sort = writeSort(w);
  timed = !w->sprint || chance(8) == 0;
  turns = timed ? preempted() : 0;
  rc = writeOne(w, sort, &done, &ns);
  atomic_fetch_add_explicit(&T->lane[self.lane].seat[0].beat, 1, memory_order_relaxed);
  if (rc == MMAPSYNC_BUSY) {
    atomic_fetch_add_explicit(&T->busy, 1, memory_order_relaxed);
    sleepNs(100 * NS_PER_US);
  } else if (rc != MMAPSYNC_OK) {
    broken("write: code %d, %s", rc, mmapsync_errmsg(w->h));
  } else if (done.sequence != 0) {
    if (timed && disturbed == before && turns == preempted() &&
        stops == atomic_load(&T->lane[self.lane].stops)) {
      writerTime(&done, sort, ns);
    }
    writerResult(w, &done, sort);
  }
  if (!w->sprint) jitter();
}

static int writerStopped(void) { return atomic_load_explicit(&T->stop, memory_order_relaxed) != 0; }

void writerRun(int competes) {
  Writer w = {.bytes = malloc(HUGE_MOST)};
  uint64_t n;

  if (!w.bytes) broken("out of memory");
  while (!writerStopped() && w.bytes) {
    if (competes) {
      sleepNs(chance(100 * NS_PER_MS));
      atomic_fetch_add_explicit(&T->lane[self.lane].seat[0].beat, 1, memory_order_relaxed);
    }
    n = competes ? 1 + chance(20) : chance(3000);
    writerOpen(&w, competes || chance(2) ? MMAPSYNC_LOCK_WRITE : MMAPSYNC_LOCK_HOLD);
    while (n-- > 0 && !writerStopped()) writerPass(&w);
    mmapsync_close(w.h);
  }
  free(w.bytes);
}

/* ---- a quiet channel ---------------------------------------------------------------------------- */

/* Publishes some of each class, small ones first, and notes the slowest of each in T->work. */
void writerQuiet(void) {
  Writer w = {.bytes = malloc(HUGE_MOST)};
  mmapsync_result done;
  uint64_t ns;
  int sort, i, rc = MMAPSYNC_OK;

  if (!w.bytes) {
    broken("out of memory");
    return;
  }
  marksOn = 0;
  writerOpen(&w, MMAPSYNC_LOCK_WRITE);
  for (sort = 0; sort < CLASS_COUNT; sort++) {
    for (i = 0; i < QUIET_RUNS && rc == MMAPSYNC_OK;) {
      done.sequence = 0;
      rc = writeOne(&w, sort, &done, &ns);
      if (rc != MMAPSYNC_OK || done.sequence == 0) continue;
      if (ns > T->work[sort]) T->work[sort] = ns;
      writerResult(&w, &done, sort);
      i++;
    }
  }
  if (rc != MMAPSYNC_OK) broken("write: %s", mmapsync_errmsg(w.h));
  mmapsync_close(w.h);
  free(w.bytes);
  marksOn = 1;
}

/* The last publishes, when all is over.  Who was killed or has left costs nothing, but for dead counter
** readers, of whom the first may have to wait and say `reset`. */
void writerLast(void) {
  static const char text[] = "the last snapshot of all, when nobody is left";
  mmapsync_result done;
  Writer w = {0};
  int i, rc;

  marksOn = 0;
  writerOpen(&w, MMAPSYNC_LOCK_WRITE);
  for (i = 0; i < 4; i++) {
    rc = mmapsync_write(w.h, text, sizeof(text) - 1, &done);
    if (rc != MMAPSYNC_OK) {
      broken("last write: code %d, %s", rc, mmapsync_errmsg(w.h));
    } else if (done.replaced || (done.waited_ms != 0 && !done.reset)) {
      broken("last write %d: waited %u ms for nobody, replaced %d", i, done.waited_ms,
             done.replaced);
    } else if (i >= 2 && (done.waited_ms != 0 || done.reset)) {
      broken("last write %d: waited %u ms, reset %d", i, done.waited_ms, done.reset);
    }
  }
  mmapsync_close(w.h);
}
