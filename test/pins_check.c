#define _GNU_SOURCE
/*
** pins_check.c - pins, and what a writer does about them.
**
** Most readers are processes of their own (check_peer.h) that hold views while the test publishes, and are killed
** and stopped meanwhile.  Of each publish it is known beforehand what it has to tell: who is alive and pins
** the file is waited for, for one grace time, and keeps the file (`replaced`), or loses its count (`reset`);
** who is dead, or was left the file already by whatever writer, costs nothing, and `waited_ms` is then 0 to the
** millisecond, however busy the machine is.  In every case the views must be what they were.
*/
#include "check_peer.h"

/* ---- views that are held ------------------------------------------------------------------------ */

static void viewOutlives(int kind) {
  mmapsync *w = openWriter(GRACE_MS), *fresh = openReader(MMAPSYNC_PIN_AUTO);
  mmapsync_result r;
  Peer p;
  uint64_t i;

  PUBLISH(w, 1, 100, &r);
  p = peerStart(kind);
  PEER_PINS(&p, 0, 1);
  for (i = 2; i <= 12; i++) {
    PUBLISH(w, i, i % 2 ? 1 + 997 * i : 3, &r);
    if (i == 3) {
      REPLACED(&r);
      CHECK(r.held == 1);
    } else {
      FREE(&r);
      CHECK(r.held == 0);
    }
    PEER_HOLDS(&p, 0);
    READS(fresh, i);
  }
  PEER_RELEASES(&p, 0);
  PEER_PINS(&p, 0, 12);
  PEER_RELEASES(&p, 0);
  peerEnd(&p);
  mmapsync_close(w);
  mmapsync_close(fresh);
}
static void caseOutlives(void) { eachKind(viewOutlives); }

/* What mmapsync_readers() says is pinned, of one kind: bit i for data file i. */
static unsigned pinnedBy(mmapsync *h, int kind) {
  mmapsync_reader readers[16];
  size_t i, n;
  unsigned mask = 0;
  OK(h, mmapsync_readers(h, readers, 16, &n));
  CHECK(n <= 16);
  for (i = 0; i < n; i++) {
    if (readers[i].kind == kind)
      mask |= (readers[i].pins[0] ? 1u : 0u) | (readers[i].pins[1] ? 2u : 0u);
  }
  return mask;
}

/* Three views of one handle, on both files, two of one snapshot, ended in each order, with the first publishes
** after each of them; whatever is left is whole, and the writer leaves alone just the files that are still
** pinned, once. */
static void viewsNested(int kind) {
  static const int order[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
  int i, j, k;

  for (i = 0; i < 18; i++) {
    const int *ends = order[i / 3];
    mmapsync *w = openWriter(0), *h = openReader(kind);
    mmapsync_view view[3];
    int held[3] = {1, 1, 1};
    uint64_t number = 2;
    filesRemove();
    PUBLISH(w, 1, 100, NULL);
    OK(h, mmapsync_read(h, &view[0]));
    PUBLISH(w, 2, 200, NULL);
    OK(h, mmapsync_read(h, &view[1]));
    OK(h, mmapsync_read(h, &view[2]));
    CHECK(view[0].pin == (uint32_t)kind && (view[0].version & 1) != (view[1].version & 1));
    CHECK(view[1].version == view[2].version && pinnedBy(w, kind) == 3);
    mmapsync_close(w);
    for (j = 0; j < 3; j++) {
      unsigned pinned = 0;
      mmapsync_release(h, &view[ends[j]]);
      held[ends[j]] = 0;
      for (k = 0; k < 3; k++) {
        if (held[k]) pinned |= 1u << (view[k].version & 1);
      }
      w = openWriter(0);
      READS(w, number);
      CHECK(pinnedBy(w, kind) == pinned);
      for (k = 0; k < 2 && j >= i % 3; k++) {
        mmapsync_result r;
        PUBLISH(w, number + 1, 50 + number, &r);
        number++;
        WAITED(&r, 0u, j == i % 3 && (pinned >> (r.version & 1) & 1), 0);
      }
      for (k = 0; k < 3; k++) {
        if (held[k]) WHOLE(&view[k], k == 0 ? 1 : 2);
      }
      mmapsync_close(w);
    }
    READS(h, number);
    mmapsync_close(h);
  }
}
static void caseNested(void) { eachKind(viewsNested); }

static void caseNestedCounter(void) {
  mmapsync *w = openWriter(GRACE_MS), *h = openReader(MMAPSYNC_PIN_COUNTER);
  mmapsync_view a, b, c;
  PUBLISH(w, 1, 100, NULL);
  OK(h, mmapsync_read(h, &a));
  PUBLISH(w, 2, 100, NULL);
  OK(h, mmapsync_read(h, &b));
  OK(h, mmapsync_read(h, &c));
  COUNTS(h, 1, 2);
  CHECK(pinnedBy(w, MMAPSYNC_PIN_COUNTER) == 3);
  mmapsync_release(h, &b);
  COUNTS(h, 1, 1);
  mmapsync_release(h, &a);
  COUNTS(h, 0, 1);
  WHOLE(&c, 2);
  mmapsync_release(h, &c);
  COUNTS(h, 0, 0);
  mmapsync_close(h);
  mmapsync_close(w);
}

static void handlesTwo(int kind) {
  mmapsync *w = openWriter(GRACE_MS), *a = openReader(kind), *b = openReader(kind);
  mmapsync_reader readers[4];
  mmapsync_view va, vb;
  mmapsync_result r;
  size_t n;

  PUBLISH(w, 1, 100, NULL);
  OK(a, mmapsync_read(a, &va));
  OK(b, mmapsync_read(b, &vb));
  OK(w, mmapsync_readers(w, readers, 4, &n));
  if (kind == MMAPSYNC_PIN_SLOT) {
    CHECK(n == 2 && readers[0].slot != readers[1].slot);
    CHECK(readers[0].pid == (uint32_t)getpid() && readers[1].pid == (uint32_t)getpid());
  } else {
    CHECK(n == 1 && readers[0].pins[0] == 1); /* the kernel tells no more */
  }
  PUBLISH(w, 2, 100, &r);
  FREE(&r);
  mmapsync_release(a, &va);
  PUBLISH(w, 3, 100, &r);
  REPLACED(&r);
  WHOLE(&vb, 1);
  READS(a, 3);
  mmapsync_close(a);
  WHOLE(&vb, 1);
  PUBLISH(w, 4, 100, &r);
  FREE(&r);
  PUBLISH(w, 5, 100, &r);
  FREE(&r);
  WHOLE(&vb, 1);
  mmapsync_release(b, &vb);
  mmapsync_close(b);
  mmapsync_close(w);
}
static void caseHandles(void) { eachKind(handlesTwo); }

/* Nobody would end the view while its own handle waits for it. */
static void ownView(int kind) {
  mmapsync *h = openWith(FOREVER_MS, kind, MMAPSYNC_LOCK_WRITE);
  mmapsync *other = openReader(MMAPSYNC_PIN_AUTO);
  mmapsync_result r;
  mmapsync_view view;
  uint64_t i;

  PUBLISH(h, 1, 100, NULL);
  OK(h, mmapsync_read(h, &view));
  for (i = 2; i < 9; i++) {
    PUBLISH(h, i, 100 * i, &r);
    WAITED(&r, 0u, i == 3, 0);
    WHOLE(&view, 1);
    READS(other, i);
  }
  mmapsync_release(h, &view);
  READS(h, i - 1);
  mmapsync_close(other);
  mmapsync_close(h);
}
static void caseOwnView(void) { eachKind(ownView); }

/* ---- readers that die, stop, and leave ---------------------------------------------------------- */

/* Grace 2000: what the issue promises for it. */
static void readerKilled(int kind) {
  mmapsync *w = openWriter(2000);
  mmapsync_result r;
  uint64_t i;
  int round;

  PUBLISH(w, 1, 100, NULL);
  for (round = 0, i = 1; round < 5; round++) {
    Peer p = peerStart(kind);
    PEER_PINS(&p, 0, i);
    PEER_PINS(&p, 1, i);
    PUBLISH(w, ++i, 100, NULL);
    if (round % 2) PEER_PINS(&p, 2, i); /* both files */
    peerKill(&p);
    CHECK(kind != MMAPSYNC_PIN_SLOT || pinnedBy(w, kind) != 0);
    PUBLISH(w, ++i, 100, &r);
    CHECK(r.waited_ms < 5 && !r.replaced && !r.reset && r.held == 0);
    PUBLISH(w, ++i, 100, &r);
    CHECK(r.waited_ms < 5 && !r.replaced && !r.reset && r.held == 0);
    CHECK(pinnedBy(w, kind) == 0);
  }
  mmapsync_close(w);
}
static void caseKilled(void) { eachKind(readerKilled); }

static void readerStopped(int kind) {
  mmapsync *w = openWriter(GRACE_MS);
  mmapsync_result r;
  uint64_t i;
  Peer p;

  PUBLISH(w, 1, 3000, NULL);
  p = peerStart(kind);
  PEER_PINS(&p, 0, 1);
  peerStop(&p);
  for (i = 2; i <= 12; i++) {
    PUBLISH(w, i, i * 500, &r);
    if (i == 3) {
      REPLACED(&r);
    } else {
      FREE(&r);
    }
  }
  peerTell(&p, PEER_LOOK, 0, 0);
  CHECK(kill(p.pid, SIGCONT) == 0);
  CHECK(peerHear(&p).whole);
  PUBLISH(w, i, 100, &r);
  FREE(&r);
  PEER_RELEASES(&p, 0);
  PEER_PINS(&p, 0, i);
  PEER_RELEASES(&p, 0);
  PUBLISH(w, ++i, 100, &r);
  FREE(&r);
  PUBLISH(w, ++i, 100, &r);
  FREE(&r);
  peerEnd(&p);
  mmapsync_close(w);
}
static void caseStopped(void) { eachKind(readerStopped); }

/* What options.progress does to the reader that a publish waits for. */
static Peer waitedFor;
static int waitedHow; /* PEER_RELEASE, SIGKILL or SIGSTOP; 0: has been done */

static int progressLeave(void *arg) {
  (void)arg;
  if (waitedHow == PEER_RELEASE) peerTell(&waitedFor, PEER_RELEASE, 0, 0);
  if (waitedHow == SIGKILL) kill(waitedFor.pid, SIGKILL);
  waitedHow = 0;
  return 0;
}

static void leavesWhile(int kind) {
  static const int ways[] = {PEER_RELEASE, SIGKILL};
  mmapsync_options opt;
  mmapsync *w;
  mmapsync_result r;
  uint64_t i = 1;
  size_t k;

  mmapsync_options_init(&opt);
  opt.grace_ms = FOREVER_MS;
  opt.progress = progressLeave;
  OK(w, mmapsync_open(checkPath, &opt, &w));
  PUBLISH(w, i, 100, NULL);
  for (k = 0; k < 2; k++) {
    waitedFor = peerStart(kind);
    PEER_PINS(&waitedFor, 0, i);
    PUBLISH(w, ++i, 100, NULL);
    waitedHow = ways[k];
    PUBLISH(w, ++i, 100, &r);
    CHECK(waitedHow == 0); /* it was waited for, */
    CHECK(!r.replaced && !r.reset && r.held == 0 && r.waited_ms < FOREVER_MS);
    if (ways[k] == PEER_RELEASE) {
      CHECK(peerHear(&waitedFor).whole);
      peerEnd(&waitedFor);
    } else {
      int status = 0;
      CHECK(waitpid(waitedFor.pid, &status, 0) == waitedFor.pid && WIFSIGNALED(status));
      close(waitedFor.to);
      close(waitedFor.from);
    }
  }
  mmapsync_close(w);
}
static void caseLeaves(void) { eachKind(leavesWhile); }

/* A wait can be stopped; the view is whole, and the next publish finds it anew. */
static int progressStop(void *arg) {
  (void)arg;
  return 1;
}

static void waitStopped(int kind) {
  mmapsync_options opt;
  mmapsync *w;
  mmapsync_result r;
  Peer p;

  mmapsync_options_init(&opt);
  opt.grace_ms = FOREVER_MS;
  OK(w, mmapsync_open(checkPath, &opt, &w));
  PUBLISH(w, 1, 100, NULL);
  p = peerStart(kind);
  PEER_PINS(&p, 0, 1);
  PUBLISH(w, 2, 100, NULL);
  opt.progress = progressStop;
  OK(w, mmapsync_configure(w, &opt));
  FAILS(w, payloadWrite(w, 3, 100, NULL), MMAPSYNC_INTERRUPT, "interrupted");
  PEER_HOLDS(&p, 0);
  READS(w, 2);
  opt.progress = NULL;
  opt.grace_ms = GRACE_MS;
  OK(w, mmapsync_configure(w, &opt));
  PUBLISH(w, 3, 100, &r);
  REPLACED(&r);
  CHECK(r.sequence == 3);
  PEER_RELEASES(&p, 0);
  peerEnd(&p);
  mmapsync_close(w);
}
static void caseStoppedWait(void) { eachKind(waitStopped); }

static void graceNone(int kind) {
  mmapsync *w = openWriter(0);
  mmapsync_result r;
  Peer p;
  PUBLISH(w, 1, 100, NULL);
  p = peerStart(kind);
  PEER_PINS(&p, 0, 1);
  PUBLISH(w, 2, 100, &r);
  FREE(&r);
  PUBLISH(w, 3, 100, &r);
  WAITED(&r, 0u, 1, 0);
  CHECK(r.held == 1);
  PEER_RELEASES(&p, 0);
  peerEnd(&p);
  mmapsync_close(w);
}
static void caseGraceNone(void) { eachKind(graceNone); }

/* A writer in a process of its own, which publishes once and ends. */
static mmapsync *writerFresh(void) { return openWriter(GRACE_MS); }
static void publishFresh(uint64_t number, mmapsync_result *r) {
  Peer p = peerStartWith(0, writerFresh);
  PeerMessage m = peerAsk(&p, PEER_PUBLISH, 0, number);
  CHECK(m.rc == MMAPSYNC_OK);
  *r = m.result;
  peerEnd(&p);
}

/* Whoever publishes: each time another process; another handle; one that has published before. */
static void stoppedForAll(int kind) {
  mmapsync *old = openWriter(GRACE_MS), *w;
  mmapsync_result r;
  uint64_t i, paid = 0;
  Peer a = peerStart(kind), b = peerStart(kind);

  PUBLISH(old, 1, 100, NULL);
  PEER_PINS(&a, 0, 1);
  PUBLISH(old, 2, 100, NULL);
  PEER_PINS(&b, 0, 2);
  peerStop(&a);
  peerStop(&b);
  for (i = 3; i < 15; i++) {
    if (i % 3 == 0) {
      publishFresh(i, &r);
    } else if (i % 3 == 1) {
      w = openWriter(GRACE_MS);
      PUBLISH(w, i, 100 * i, &r);
      mmapsync_close(w);
    } else {
      PUBLISH(old, i, 100, &r);
    }
    if (i < 5) {
      REPLACED(&r);
      CHECK(r.held == 1);
      paid++;
    } else {
      FREE(&r);
      CHECK(r.held == 0);
    }
  }
  CHECK(paid == 2);
  CHECK(kill(a.pid, SIGCONT) == 0 && kill(b.pid, SIGCONT) == 0);
  PEER_HOLDS(&a, 0);
  PEER_HOLDS(&b, 0);
  /* They read on, and are waited for again, each view once. */
  PEER_PINS(&a, 1, 14);
  publishFresh(15, &r);
  FREE(&r);
  publishFresh(16, &r);
  REPLACED(&r);
  for (i = 17; i < 21; i++) {
    publishFresh(i, &r);
    FREE(&r);
  }
  PEER_RELEASES(&b, 0);
  PEER_RELEASES(&a, 1);
  PEER_RELEASES(&a, 0);
  PEER_PINS(&a, 0, 20);
  PEER_RELEASES(&a, 0);
  peerEnd(&a);
  peerEnd(&b);
  mmapsync_close(old);
}
static void caseStoppedForAll(void) { eachKind(stoppedForAll); }

/* Who dies after it was left its file is not shown as a reader of it for ever. */
static void caseLeftDies(void) {
  mmapsync *w = openWith(GRACE_MS, MMAPSYNC_PIN_AUTO, MMAPSYNC_LOCK_HOLD), *next;
  mmapsync_result r;
  Peer p = peerStart(MMAPSYNC_PIN_SLOT);

  PUBLISH(w, 1, 100, NULL);
  PEER_PINS(&p, 0, 1);
  PUBLISH(w, 2, 100, NULL);
  PUBLISH(w, 3, 100, &r);
  REPLACED(&r);
  mmapsync_close(w);
  next = openWriter(GRACE_MS);
  PUBLISH(next, 4, 100, NULL);
  PUBLISH(next, 5, 100, &r);
  FREE(&r);
  CHECK(pinnedBy(next, MMAPSYNC_PIN_SLOT) == 1);
  PEER_HOLDS(&p, 0);
  peerKill(&p);
  PUBLISH(next, 6, 100, NULL);
  PUBLISH(next, 7, 100, &r);
  FREE(&r);
  CHECK(pinnedBy(next, MMAPSYNC_PIN_SLOT) == 0);
  mmapsync_close(next);
}

/* A handle that has mapped the files before it claims a slot, which belonged to one that was left its file: the
** slot says what was noted for its own mappings. */
static void caseSlotTaken(void) {
  mmapsync_options opt;
  mmapsync *w = openWriter(GRACE_MS), *h, *gone = openReader(MMAPSYNC_PIN_SLOT);
  mmapsync_view view;
  mmapsync_result r;
  uint64_t i = 1;
  int round;

  PUBLISH(w, i, 100, NULL);
  OK(gone, mmapsync_read(gone, &view));
  PUBLISH(w, ++i, 100, NULL);
  PUBLISH(w, ++i, 100, &r);
  REPLACED(&r);
  mmapsync_release(gone, &view);
  mmapsync_close(gone);
  for (round = 0; round < 2; round++) {
    opt = *mmapsync_options_of(w);
    opt.pins = round ? MMAPSYNC_PIN_LOCK : MMAPSYNC_PIN_COUNTER;
    OK(h, mmapsync_open(checkPath, &opt, &h));
    READS(h, i);
    PUBLISH(w, ++i, 100, NULL);
    READS(h, i);
    opt.pins = MMAPSYNC_PIN_SLOT;
    OK(h, mmapsync_configure(h, &opt));
    if (i % 2 == 0) PUBLISH(w, ++i, 100, NULL);
    OK(h, mmapsync_read(h, &view));
    CHECK(view.pin == MMAPSYNC_PIN_SLOT && slotsEver() == 1);
    PUBLISH(w, i + 1, 100, &r);
    FREE(&r);
    PUBLISH(w, i + 2, 100, &r);
    REPLACED(&r);
    WHOLE(&view, i);
    i += 2;
    mmapsync_release(h, &view);
    mmapsync_close(h);
  }
  mmapsync_close(w);
}

static void twoStuck(int kind) {
  mmapsync *w = openWriter(GRACE_MS);
  mmapsync_result r;
  uint64_t i;
  Peer a = peerStart(kind), b = peerStart(kind);

  PUBLISH(w, 1, 100, NULL);
  PEER_PINS(&a, 0, 1);
  PUBLISH(w, 2, 300, NULL);
  PEER_PINS(&b, 0, 2);
  peerStop(&a);
  for (i = 3; i < 12; i++) {
    PUBLISH(w, i, 100, &r);
    if (i == 3 || i == 4) {
      REPLACED(&r);
      CHECK(r.held == 1);
    } else {
      FREE(&r);
    }
    PEER_HOLDS(&b, 0);
  }
  CHECK(kill(a.pid, SIGCONT) == 0);
  PEER_RELEASES(&a, 0);
  PEER_RELEASES(&b, 0);
  peerEnd(&a);
  peerEnd(&b);
  mmapsync_close(w);
}
static void caseTwoStuck(void) { eachKind(twoStuck); }

/* A stuck reader that reads on: its slot gets new pin words, but as long as it has not mapped the new file at the
** name they say that the older view is of an older one; then they no longer have its bit.  So it costs one grace
** time for each view, and no more. */
static void stuckNests(int kind) {
  mmapsync *w = openWriter(GRACE_MS);
  mmapsync_result r;
  uint64_t i;
  Peer p = peerStart(kind);

  PUBLISH(w, 1, 100, NULL);
  PEER_PINS(&p, 0, 1);
  PUBLISH(w, 2, 200, NULL);
  PUBLISH(w, 3, 300, &r);
  REPLACED(&r);
  PUBLISH(w, 4, 400, &r);
  FREE(&r);
  PEER_PINS(&p, 1, 4);
  for (i = 5; i < 14; i++) {
    PUBLISH(w, i, 100 * i, &r);
    if (i == 6) {
      REPLACED(&r);
    } else {
      FREE(&r);
    }
    PEER_HOLDS(&p, 0);
    PEER_HOLDS(&p, 1);
  }
  PEER_RELEASES(&p, 0);
  PUBLISH(w, i, 100, &r);
  FREE(&r);
  PEER_HOLDS(&p, 1);
  PUBLISH(w, ++i, 100, &r);
  FREE(&r);
  PEER_RELEASES(&p, 1);
  peerEnd(&p);
  mmapsync_close(w);
}
static void caseStuckNests(void) { eachKind(stuckNests); }

/* Until a write is committed the name of the file is still the reader's. */
static void abortedWrite(int kind) {
  mmapsync *w = openWriter(GRACE_MS);
  mmapsync_builder *b;
  mmapsync_result r;
  void *data;
  Peer p = peerStart(kind);
  int i;

  PUBLISH(w, 1, 100, NULL);
  PEER_PINS(&p, 0, 1);
  PUBLISH(w, 2, 100, NULL);
  for (i = 0; i < 4; i++) {
    if (i == 3) {
      OK(w, mmapsync_build_begin(w, &b));
      mmapsync_build_abort(b);
    } else {
      OK(w, mmapsync_write_begin(w, 5000, &data));
      memset(data, 0xee, 5000);
      if (i == 0) mmapsync_write_abort(w);
      if (i == 1) CHECK(mmapsync_write_commit(w, 5001, 1, NULL) == MMAPSYNC_MISUSE);
      if (i == 2) {
        OK(w, mmapsync_write_grow(w, 100000, &data));
        memset(data, 0xee, 100000);
        mmapsync_write_abort(w);
      }
    }
    CHECK(fileSize("_data_0_new") < 0 && fileSize("_data_1_new") < 0);
    PEER_HOLDS(&p, 0);
    READS(w, 2);
  }
  PUBLISH(w, 3, 100, &r);
  REPLACED(&r);
  PEER_HOLDS(&p, 0);
  PUBLISH(w, 4, 100, &r);
  FREE(&r);
  PUBLISH(w, 5, 100, &r);
  FREE(&r);
  PEER_RELEASES(&p, 0);
  peerEnd(&p);
  mmapsync_close(w);
}
static void caseAborted(void) { eachKind(abortedWrite); }

/* ---- counters ----------------------------------------------------------------------------------- */

static void caseCounter(void) {
  mmapsync *w = openWriter(GRACE_MS);
  const mmapsync_reader *held;
  mmapsync_result r;
  size_t n;
  Peer p = peerStart(MMAPSYNC_PIN_COUNTER), q = peerStart(MMAPSYNC_PIN_COUNTER);

  PUBLISH(w, 1, 100, NULL);
  PEER_PINS(&p, 0, 1);
  PEER_PINS(&q, 0, 1);
  COUNTS(w, 2, 0);
  PUBLISH(w, 2, 100, &r);
  FREE(&r);
  PUBLISH(w, 3, 100, &r);
  CHECK(r.reset == 1 && r.replaced == 0 && r.waited_ms >= GRACE_MS && r.held == 1);
  held = mmapsync_held(w, &n);
  CHECK(n == 1 && held[0].kind == MMAPSYNC_PIN_COUNTER && held[0].pins[0] == 2);
  CHECK(held[0].pins[1] == 0 && held[0].pid == 0);
  COUNTS(w, 0, 0);
  PUBLISH(w, 4, 100, &r);
  FREE(&r);
  CHECK(r.held == 0);
  mmapsync_held(w, &n);
  CHECK(n == 0);
  CHECK(!peerAsk(&p, PEER_RELEASE, 0, 0).whole); /* it has lost it, as it was told */
  COUNTS(w, 0, 0);
  PEER_PINS(&p, 0, 4);
  PEER_RELEASES(&p, 0);
  COUNTS(w, 0, 0);
  peerEnd(&p);
  peerKill(&q);
  mmapsync_close(w);
}

static void caseForeignBusy(void) {
  mmapsync_options opt;
  mmapsync *w;
  mmapsync_result r;
  uint64_t i;
  int k;

  mmapsync_options_init(&opt);
  opt.grace_ms = GRACE_MS;
  opt.foreign = MMAPSYNC_FOREIGN_BUSY;
  OK(w, mmapsync_open(checkPath, &opt, &w));
  PUBLISH(w, 1, 100, NULL);
  for (k = 0, i = 1; k < 3; k++) {
    Peer p = peerStart(k == 0 ? MMAPSYNC_PIN_COUNTER : safeKinds[k - 1]);
    PEER_PINS(&p, 0, i);
    PUBLISH(w, ++i, 100, NULL);
    if (k == 0) {
      FAILS(w, payloadWrite(w, i + 1, 100, NULL), MMAPSYNC_BUSY,
            "\"%s\": 1 counted in still read the older snapshot", checkPath);
      COUNTS(w, i == 2 ? 1 : 0, i == 2 ? 0 : 1);
    } else {
      FAILS(w, payloadWrite(w, i + 1, 100, NULL), MMAPSYNC_BUSY,
            "\"%s\": a reader still holds the older snapshot, and the file may not be replaced",
            checkPath);
    }
    CHECK(fileSize("_data_0_new") < 0 && fileSize("_data_1_new") < 0);
    READS(w, i);
    PEER_HOLDS(&p, 0);
    PEER_RELEASES(&p, 0);
    PUBLISH(w, ++i, 100, &r);
    FREE(&r);
    CHECK(r.sequence == i);
    peerEnd(&p);
  }
  mmapsync_close(w);
}

/* ---- who reads ---------------------------------------------------------------------------------- */

static void caseHeld(void) {
  mmapsync *w = openWriter(GRACE_MS), *many[18];
  mmapsync_view view[18];
  const mmapsync_reader *held;
  mmapsync_result r;
  size_t i, n;
  Peer p = peerStart(MMAPSYNC_PIN_SLOT), q = peerStart(MMAPSYNC_PIN_SLOT);

  PUBLISH(w, 1, 100, NULL);
  PEER_PINS(&p, 0, 1);
  PEER_PINS(&q, 0, 1);
  PUBLISH(w, 2, 100, NULL);
  PUBLISH(w, 3, 100, &r);
  REPLACED(&r);
  held = mmapsync_held(w, &n);
  CHECK(n == 2 && r.held == 2);
  for (i = 0; i < 2; i++) {
    CHECK(held[i].kind == MMAPSYNC_PIN_SLOT && held[i].alive && held[i].slot == i);
    CHECK(held[i].pins[0] == 1 && held[i].pins[1] == 0 && held[i].attached_ns != 0);
    CHECK(strncmp(held[i].program, program_invocation_short_name, 15) == 0);
  }
  CHECK(held[0].pid == (uint32_t)p.pid && held[1].pid == (uint32_t)q.pid);
  for (i = 0; i < 18; i++) {
    many[i] = openReader(MMAPSYNC_PIN_SLOT);
    OK(many[i], mmapsync_read(many[i], &view[i]));
  }
  PUBLISH(w, 4, 100, &r);
  FREE(&r);
  mmapsync_held(w, &n);
  CHECK(n == 0 && r.held == 0);
  PUBLISH(w, 5, 100, &r);
  REPLACED(&r);
  held = mmapsync_held(w, &n);
  CHECK(r.held == 18 && n == MMAPSYNC_HELD_MOST);
  for (i = 0; i < n; i++) CHECK(held[i].slot == i + 2 && held[i].pid == (uint32_t)getpid());
  for (i = 0; i < 18; i++) {
    WHOLE(&view[i], 3);
    mmapsync_release(many[i], &view[i]);
    mmapsync_close(many[i]);
  }
  peerKill(&p);
  peerKill(&q);
  mmapsync_close(w);
}

static void caseReaders(void) {
  mmapsync *w = openWriter(GRACE_MS), *none = openReader(MMAPSYNC_PIN_AUTO), *h;
  mmapsync_reader readers[8];
  mmapsync_options opt;
  mmapsync_view view;
  size_t n = 99;
  Peer p, q, l, c;

  FAILS(none, mmapsync_readers(none, readers, 8, &n), MMAPSYNC_EMPTY,
        "\"%s\": nothing published yet", checkPath);
  PUBLISH(w, 1, 100, NULL);
  OK(w, mmapsync_readers(w, readers, 8, &n));
  CHECK(n == 0);
  p = peerStart(MMAPSYNC_PIN_SLOT);
  q = peerStart(MMAPSYNC_PIN_SLOT);
  l = peerStart(MMAPSYNC_PIN_LOCK);
  c = peerStart(MMAPSYNC_PIN_COUNTER);
  PEER_PINS(&p, 0, 1);
  PEER_PINS(&q, 0, 1);
  PEER_PINS(&l, 0, 1);
  PUBLISH(w, 2, 100, NULL);
  PEER_PINS(&c, 0, 2);
  PEER_PINS(&c, 1, 2);
  PEER_PINS(&c, 2, 2);
  peerKill(&q);
  OK(w, mmapsync_readers(w, readers, 8, &n));
  CHECK(n == 4);
  CHECK(readers[0].kind == MMAPSYNC_PIN_SLOT && readers[0].alive && readers[0].slot == 0);
  CHECK(readers[0].pid == (uint32_t)p.pid && readers[0].pins[0] == 1 && readers[0].pins[1] == 0);
  CHECK(readers[0].attached_ns != 0 && readers[0].pinned_ns == 0 && readers[0].program[0]);
  CHECK(readers[1].kind == MMAPSYNC_PIN_SLOT && !readers[1].alive && readers[1].slot == 1);
  CHECK(readers[1].pid == (uint32_t)q.pid && readers[1].pins[0] == 1);
  CHECK(readers[2].kind == MMAPSYNC_PIN_LOCK && readers[2].alive);
  CHECK(readers[2].pins[0] == 1 && readers[2].pins[1] == 0);
  CHECK(readers[3].kind == MMAPSYNC_PIN_COUNTER && readers[3].alive);
  CHECK(readers[3].pins[0] == 0 && readers[3].pins[1] == 3);
  memset(readers, 0xee, sizeof(readers));
  OK(w, mmapsync_readers(w, readers, 2, &n)); /* less room than readers */
  CHECK(n == 4 && readers[1].slot == 1 && readers[2].slot == 0xeeeeeeee);
  OK(w, mmapsync_readers(w, NULL, 0, &n));
  CHECK(n == 4);
  peerKill(&p);
  peerKill(&l); /* the kernel has dropped its lock */
  PEER_RELEASES(&c, 0);
  PEER_RELEASES(&c, 1);
  PEER_RELEASES(&c, 2);
  peerEnd(&c);
  OK(w, mmapsync_readers(w, readers, 8, &n));
  CHECK(n == 2 && !readers[0].alive && !readers[1].alive);

  mmapsync_options_init(&opt);
  opt.stamp = 1;
  OK(h, mmapsync_open(checkPath, &opt, &h));
  OK(h, mmapsync_read(h, &view));
  OK(h, mmapsync_readers(h, readers, 8, &n));
  CHECK(n == 2 && readers[0].alive && readers[0].pid == (uint32_t)getpid());
  CHECK(readers[0].pinned_ns >= readers[0].attached_ns && readers[0].attached_ns > view.time_ns);
  mmapsync_release(h, &view);
  OK(h, mmapsync_readers(h, readers, 8, &n));
  CHECK(n == 2 && readers[0].pinned_ns == 0 && readers[0].pins[1] == 0);
  mmapsync_close(h);
  OK(w, mmapsync_readers(w, readers, 8, &n));
  CHECK(n == 1 && readers[0].slot == 1);
  mmapsync_close(w);
  mmapsync_close(none);
}

/* ---- a writer that looks for locks only now and then -------------------------------------------- */

#define HAMMER_SECONDS 2

typedef struct Hammer {
  _Atomic int stop;
  _Atomic uint64_t published, attached, held, torn, failed;
} Hammer;

static void hammerWrite(Hammer *t) {
  mmapsync *w = openWith(1, MMAPSYNC_PIN_AUTO, MMAPSYNC_LOCK_HOLD);
  uint64_t i, word[64];
  for (i = 1; !atomic_load(&t->stop); i++) {
    size_t words = 1 + i % 64;
    payloadFill(word, i, words);
    if (mmapsync_write(w, word, 8 * words, NULL) != MMAPSYNC_OK) atomic_fetch_add(&t->failed, 1);
    atomic_fetch_add(&t->published, 1);
  }
  mmapsync_close(w);
}

/* Attaches, reads, and holds its view while the files go round. */
static void hammerRead(Hammer *t, int kind) {
  while (!atomic_load(&t->stop)) {
    mmapsync *h = openReader(kind);
    mmapsync_view view;
    uint64_t number, then;
    int rc = mmapsync_read(h, &view);
    if (rc == MMAPSYNC_EMPTY) {
      mmapsync_close(h);
      continue;
    }
    if (rc != MMAPSYNC_OK) {
      atomic_fetch_add(&t->failed, 1);
      fprintf(stderr, "pins_check: %s\n", mmapsync_errmsg(h));
      mmapsync_close(h);
      continue;
    }
    number = payloadNumber(view.data, view.size);
    if (number == 0) atomic_fetch_add(&t->torn, 1);
    then = atomic_load(&t->published);
    while (atomic_load(&t->published) < then + 4 && !atomic_load(&t->stop)) {
      if (payloadNumber(view.data, view.size) != number) break;
    }
    if (payloadNumber(view.data, view.size) != number) atomic_fetch_add(&t->torn, 1);
    if (atomic_load(&t->published) >= then + 4) atomic_fetch_add(&t->held, 1);
    mmapsync_release(h, &view);
    mmapsync_close(h);
    atomic_fetch_add(&t->attached, 1);
  }
}

static void caseWindow(void) {
  Hammer *t = mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pid_t pid[4], parent = getpid();
  int i, status = 0;

  CHECK(t != MAP_FAILED);
  for (i = 0; i < 4; i++) {
    pid[i] = fork();
    CHECK(pid[i] >= 0);
    if (pid[i] == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != parent) _exit(3);
      if (i == 0) hammerWrite(t);
      if (i > 0) hammerRead(t, i < 3 ? MMAPSYNC_PIN_LOCK : MMAPSYNC_PIN_SLOT);
      _exit(0);
    }
  }
  sleep(HAMMER_SECONDS);
  /* and for as long as a busy machine takes to have something to show */
  while (atomic_load(&t->published) < 100 || atomic_load(&t->held) < 10) usleep(1000);
  atomic_store(&t->stop, 1);
  for (i = 0; i < 4; i++) CHECK(waitpid(pid[i], &status, 0) == pid[i] && status == 0);
  if (atomic_load(&t->torn) || atomic_load(&t->failed)) {
    checkFail(__LINE__, "%llu torn, %llu failed, of %llu views while %llu were published",
              (unsigned long long)atomic_load(&t->torn),
              (unsigned long long)atomic_load(&t->failed),
              (unsigned long long)atomic_load(&t->attached),
              (unsigned long long)atomic_load(&t->published));
  }
  munmap(t, sizeof(*t));
}

static const CheckCase cases[] = {
    {"a-view-outlives-any-number-of-publishes", caseOutlives},
    {"nested-views-end-in-any-order", caseNested},
    {"nested-views-by-counter", caseNestedCounter},
    {"two-handles-in-one-process", caseHandles},
    {"a-handle-that-publishes-under-its-own-view", caseOwnView},
    {"a-reader-that-is-killed-costs-nothing", caseKilled},
    {"a-stopped-reader-costs-one-grace-once", caseStopped},
    {"a-reader-that-leaves-or-dies-ends-the-wait", caseLeaves},
    {"a-wait-can-be-interrupted", caseStoppedWait},
    {"no-grace-replaces-at-once", caseGraceNone},
    {"two-stuck-readers-on-different-files", caseTwoStuck},
    {"stopped-readers-cost-one-grace-whoever-publishes", caseStoppedForAll},
    {"a-reader-that-was-left-its-file-dies", caseLeftDies},
    {"a-slot-taken-by-a-handle-that-has-mapped", caseSlotTaken},
    {"a-stuck-reader-reads-on", caseStuckNests},
    {"an-aborted-write-leaves-the-reader-its-file", caseAborted},
    {"a-counter-is-reset", caseCounter},
    {"foreign-busy-refuses", caseForeignBusy},
    {"who-held-is-told", caseHeld},
    {"who-reads-is-told", caseReaders},
    {"lock-readers-attach-in-a-burst", caseWindow},
    {NULL, NULL},
};

int main(int argc, char **argv) { return checkMain(argc, argv, cases); }
