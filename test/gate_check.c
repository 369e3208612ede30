#define _GNU_SOURCE
/*
** gate_check.c - the short way into a read: mmapsync_enter() and mmapsync_leave(), and mmapsync_read() when it meets
** what it met before.
**
** What is pinned is asked of a second handle, which looks at the slots as a writer does.  Each case first opens the
** gate of its reader, by a read that is over (gate.h), and then has something come in between: another view, a
** call of any other kind, a publish by the same handle, a child.
*/
#include "check_peer.h"
#include "pins.h"

#include "handle.h"

/* A reader whose gate is open, for snapshot `number` of the channel, which is in data file number % 2. */
static mmapsync *readerWarm(uint64_t number) {
  mmapsync *h = openReader(MMAPSYNC_PIN_SLOT);
  READS(h, number);
  CHECK(h->head.gate->state == GATE_OPEN || h->head.gate->state == GATE_CALL);
  return h;
}

/* Which files are pinned, bit i for data file i, but by nobody whose pin is of a file that lost its name. */
static unsigned pinned(mmapsync *look) {
  mmapsync_reader readers[CHECK_READERS];
  size_t i, n = checkReaders(__LINE__, look, readers);
  unsigned mask = 0;
  for (i = 0; i < n; i++) mask |= (readers[i].pins[0] ? 1u : 0u) | (readers[i].pins[1] ? 2u : 0u);
  return mask;
}

/* The data file of a view. */
static unsigned fileOf(const mmapsync_view *view) { return 1u << (view->version & 1); }

#define ENTERS(h, view, number)                                                                    \
  do {                                                                                             \
    OK((h), mmapsync_enter((h), (view)));                                                          \
    WHOLE(*(view), (number));                                                                      \
  } while (0)

/* A view by either way: entered, or by mmapsync_read() into *read; and its end. */
enum { BY_READ, BY_ENTER };

static const mmapsync_view *viewBegin(mmapsync *h, int by, mmapsync_view *read, uint64_t number) {
  const mmapsync_view *view = read;
  if (by == BY_ENTER) {
    ENTERS(h, &view, number);
  } else {
    OK(h, mmapsync_read(h, read));
    WHOLE(read, number);
  }
  return view;
}

static void viewEnd(mmapsync *h, int by, mmapsync_view *read) {
  if (by == BY_ENTER) {
    mmapsync_leave(h);
  } else {
    mmapsync_release(h, read);
  }
}

/* ---- by itself ---------------------------------------------------------------------------------- */

/* Of all kinds of pin, and in a handle that was never used. */
static void entersAs(int kind) {
  mmapsync *w = openWriter(GRACE_MS), *h = openReader(kind);
  const mmapsync_view *view, *inner;
  mmapsync_view read;
  uint64_t i, round;

  mmapsync_leave(h); /* of nothing */
  FAILS(h, mmapsync_enter(h, &view), MMAPSYNC_EMPTY, "\"%s\": nothing published yet", checkPath);
  mmapsync_leave(h);
  for (i = 1; i <= 4; i++) {
    PUBLISH(w, i, 100 * i, NULL);
    for (round = 0; round < 3; round++) {
      ENTERS(h, &view, i);
      CHECK(view->pin == (uint32_t)kind && view->sequence == i && view->kind == MMAPSYNC_KIND_RAW);
      CHECK(view->switched == (round == 0));
      CHECK(pinned(w) == fileOf(view));
      mmapsync_leave(h);
      CHECK(pinned(w) == 0);
      OK(h, mmapsync_read(h, &read));
      WHOLE(&read, i);
      CHECK(!read.switched && read.version == view->version && read.hash == view->hash);
      CHECK(pinned(w) == fileOf(&read));
      mmapsync_release(h, &read);
      mmapsync_release(h, &read); /* it is over: nothing */
      CHECK(pinned(w) == 0);
    }
    ENTERS(h, &view, i);
    ENTERS(h, &inner, i);
    CHECK(inner == view);
    mmapsync_leave(h);
    CHECK(pinned(w) == fileOf(view));
    mmapsync_leave(h);
    mmapsync_leave(h);
    CHECK(pinned(w) == 0);
  }
  mmapsync_close(h);
  mmapsync_close(w);
}
static void caseEnters(void) { eachKind(entersAs); }

/* With a private copy there is nothing to pin. */
static void caseCopy(void) {
  mmapsync *w = openWriter(GRACE_MS);
  mmapsync *h = openTrust(MMAPSYNC_TRUST_COPY, MMAPSYNC_PIN_AUTO, MMAPSYNC_LOCK_WRITE, GRACE_MS);
  mmapsync_options opt;
  const mmapsync_view *view;
  uint64_t i;
  for (i = 1; i <= 4; i++) {
    PUBLISH(w, i, 100 * i, NULL);
    ENTERS(h, &view, i);
    CHECK(view->pin == MMAPSYNC_PIN_AUTO && pinned(w) == 0);
    mmapsync_leave(h);
  }
  opt = *mmapsync_options_of(h);
  opt.trust = MMAPSYNC_TRUST_MAP;
  OK(h, mmapsync_configure(h, &opt));
  READS(h, 4);
  CHECK(h->head.gate->state != GATE_SHUT);
  mmapsync_close(h);
  mmapsync_close(w);
}

/* What is entered is waited for, left its file, and whole; what is left is not. */
static void heldBy(int by) {
  mmapsync *w = openWriter(GRACE_MS), *h;
  const mmapsync_view *view;
  mmapsync_view read;
  mmapsync_result r;
  uint64_t number, i;

  filesRemove();
  PUBLISH(w, 1, 100, NULL);
  h = readerWarm(1);
  for (number = 1; number < 20; number += 4) {
    READS(h, number);
    view = viewBegin(h, by, &read, number);
    PUBLISH(w, number + 1, 100, &r);
    FREE(&r);
    PUBLISH(w, number + 2, 100, &r);
    REPLACED(&r);
    for (i = 3; i < 5; i++) {
      PUBLISH(w, number + i, 100, &r);
      FREE(&r);
      WHOLE(view, number);
    }
    viewEnd(h, by, &read);
  }
  READS(h, number);
  READS(h, number);
  PUBLISH(w, number + 1, 100, &r);
  FREE(&r);
  PUBLISH(w, number + 2, 100, &r);
  FREE(&r);
  mmapsync_close(h);
  mmapsync_close(w);
}
static void caseHeld(void) {
  heldBy(BY_READ);
  heldBy(BY_ENTER);
}

/* The gate compares the sequence too: after A, B and A again the version word is what it was. */
static void caseSameWord(void) {
  mmapsync *w = openWriter(GRACE_MS), *h = NULL;
  const mmapsync_view *view;
  uint64_t word = 0, i;
  for (i = 1; i <= 9; i++) {
    PUBLISH(w, i % 2, 100, NULL);
    if (i % 2 == 0) continue;
    if (!h) h = readerWarm(1);
    ENTERS(h, &view, 1);
    CHECK((word == 0 || view->version == word) && view->sequence == i);
    CHECK(view->switched == (i != 1));
    word = view->version;
    mmapsync_leave(h);
    ENTERS(h, &view, 1);
    CHECK(view->sequence == i && !view->switched);
    mmapsync_leave(h);
  }
  mmapsync_close(h);
  mmapsync_close(w);
}

/* Nor is it enough: the mapping may be of a file that was replaced by one with the same bytes.  `itself`: because the
** reader itself held the first, for which the gate is opened after that. */
static void sameWordReplaced(int itself) {
  mmapsync *w = openWriter(0), *h, *holds;
  const mmapsync_view *view;
  mmapsync_view first, other;
  mmapsync_result r;

  filesRemove();
  PUBLISH(w, 1, 100, NULL);
  h = itself ? openReader(MMAPSYNC_PIN_SLOT) : readerWarm(1);
  holds = openReader(MMAPSYNC_PIN_SLOT);
  OK(h, mmapsync_read(h, &first));
  if (!itself) {
    mmapsync_release(h, &first);
    OK(holds, mmapsync_read(holds, &other));
  }
  PUBLISH(w, 2, 100, NULL);
  PUBLISH(w, 1, 100, &r);
  CHECK(r.replaced == 1);
  if (itself) mmapsync_release(h, &first);
  ENTERS(h, &view, 1);
  CHECK(view->version == first.version && view->sequence == 3);
  mmapsync_leave(h);
  if (!itself) mmapsync_release(holds, &other);
  mmapsync_close(holds);
  mmapsync_close(h);
  mmapsync_close(w);
}
static void caseSameWordReplaced(void) {
  sameWordReplaced(0);
  sameWordReplaced(1);
}

/* A gate that does not lead to the newest snapshot is tried once: it is shut, and leaves nothing pinned. */
static void caseOnce(void) {
  mmapsync *w = openWriter(GRACE_MS), *h;
  const mmapsync_view *view;
  PUBLISH(w, 1, 100, NULL);
  h = readerWarm(1);
  PUBLISH(w, 2, 100, NULL);
  CHECK(!mmapsync_gate_enter(&h->head));
  CHECK(h->head.gate->state == GATE_SHUT && h->head.out == 0 && pinned(w) == 0);
  ENTERS(h, &view, 2);
  CHECK(pinned(w) == fileOf(view));
  mmapsync_leave(h);
  CHECK(h->head.gate->state != GATE_SHUT);
  mmapsync_close(h);
  mmapsync_close(w);
}

/* Somebody resets the channel: nothing is there, and nothing is pinned.  When the word is back, so is all. */
static void caseReset(void) {
  mmapsync *w = openWriter(GRACE_MS), *h;
  const mmapsync_view *view;
  uint64_t word, nothing = 0;
  PUBLISH(w, 1, 100, NULL);
  h = readerWarm(1);
  CHECK(fileGet("_state", &word, sizeof(word)) == sizeof(word));
  filePoke("_state", 0, &nothing, sizeof(nothing));
  FAILS(h, mmapsync_enter(h, &view), MMAPSYNC_EMPTY, "\"%s\": nothing published yet", checkPath);
  filePoke("_state", 0, &word, sizeof(word));
  CHECK(pinned(w) == 0);
  ENTERS(h, &view, 1);
  mmapsync_leave(h);
  mmapsync_close(h);
  mmapsync_close(w);
}

/* The channel is removed under the view, and the reader itself makes it anew: the view is what it was. */
static void removedBy(int by) {
  mmapsync *w = openWriter(GRACE_MS), *h;
  const mmapsync_view *view;
  mmapsync_view read;

  filesRemove();
  PUBLISH(w, 1, 100, NULL);
  mmapsync_close(w);
  h = readerWarm(1);
  view = viewBegin(h, by, &read, 1);
  filesRemove();
  PUBLISH(h, 7, 200, NULL);
  PUBLISH(h, 8, 200, NULL);
  PUBLISH(h, 9, 200, NULL);
  WHOLE(view, 1);
  viewEnd(h, by, &read);
  READS(h, 9);
  READS(h, 9);
  CHECK(pinned(h) == 0);
  mmapsync_close(h);
}
static void caseRemoved(void) {
  removedBy(BY_READ);
  removedBy(BY_ENTER);
}

/* The channel is removed for good, and the handle notices it in a wait: what was prepared has gone with the state. */
static void caseRemovedWait(void) {
  mmapsync *w = openWriter(GRACE_MS), *h;
  mmapsync_view read;
  uint64_t newer;
  PUBLISH(w, 1, 100, NULL);
  mmapsync_close(w);
  h = readerWarm(1);
  OK(h, mmapsync_read(h, &read));
  filesRemove();
  CHECK(mmapsync_wait(h, 1, 1, &newer) == MMAPSYNC_TIMEOUT);
  CHECK(h->state == NULL);
  WHOLE(&read, 1);
  mmapsync_release(h, &read);
  CHECK(h->head.gate->state == GATE_SHUT);
  FAILS(h, mmapsync_read(h, &read), MMAPSYNC_EMPTY, "\"%s\": nothing published yet", checkPath);
  mmapsync_close(h);
}

/* ---- with something in between ------------------------------------------------------------------ */

/* Calls on a handle while a view of its own is out. */
static void callSequence(mmapsync *h) {
  uint64_t sequence;
  OK(h, mmapsync_sequence(h, &sequence));
}
static void callVersion(mmapsync *h) {
  uint64_t version;
  OK(h, mmapsync_version(h, &version));
}
static void callVerify(mmapsync *h) { OK(h, mmapsync_verify(h)); }
static void callWait(mmapsync *h) {
  uint64_t newer;
  OK(h, mmapsync_wait(h, 0, 0, &newer));
}
static void callRead(mmapsync *h) {
  mmapsync_view view;
  OK(h, mmapsync_read(h, &view));
  mmapsync_release(h, &view);
}
static void callEnter(mmapsync *h) {
  const mmapsync_view *view;
  OK(h, mmapsync_enter(h, &view));
  mmapsync_leave(h);
}
static void callConfigure(mmapsync *h) {
  mmapsync_options opt = *mmapsync_options_of(h);
  opt.stamp = !opt.stamp;
  OK(h, mmapsync_configure(h, &opt));
}
static void callByLock(mmapsync *h) {
  mmapsync_options opt = *mmapsync_options_of(h);
  opt.pins = MMAPSYNC_PIN_LOCK;
  OK(h, mmapsync_configure(h, &opt));
  callRead(h);
  opt.pins = MMAPSYNC_PIN_SLOT;
  OK(h, mmapsync_configure(h, &opt));
}
static void callByCopy(mmapsync *h) {
  mmapsync_options opt = *mmapsync_options_of(h);
  opt.trust = MMAPSYNC_TRUST_COPY;
  OK(h, mmapsync_configure(h, &opt));
  callRead(h);
}
static void callAbort(mmapsync *h) {
  void *data;
  OK(h, mmapsync_write_begin(h, 100, &data));
  mmapsync_write_abort(h);
}
static void callReaders(mmapsync *h) {
  size_t n;
  OK(h, mmapsync_readers(h, NULL, 0, &n));
}

static void (*const calls[])(mmapsync *) = {
    callSequence, callVersion,   callVerify, callWait,   callRead,  callEnter,
    callReaders,  callConfigure, callByLock, callByCopy, callAbort,
};

/* The view outlives the call, and two publishes after it; and after it nothing is pinned. */
static void interrupted(void (*call)(mmapsync *), int by) {
  mmapsync *w = openWriter(GRACE_MS), *h;
  const mmapsync_view *view;
  mmapsync_view read;
  mmapsync_result r;

  filesRemove();
  PUBLISH(w, 1, 100, NULL);
  PUBLISH(w, 2, 100, NULL);
  h = readerWarm(2);
  view = viewBegin(h, by, &read, 2);
  PUBLISH(w, 3, 100, NULL);
  mmapsync_close(w); /* gives the lock back */
  call(h);
  w = openWriter(GRACE_MS);
  CHECK(pinned(w) & fileOf(view));
  PUBLISH(w, 4, 100, &r);
  REPLACED(&r);
  PUBLISH(w, 5, 100, &r);
  FREE(&r);
  WHOLE(view, 2);
  viewEnd(h, by, &read);
  CHECK(pinned(w) == 0);
  READS(h, 5);
  CHECK(pinned(w) == 0);
  PUBLISH(w, 6, 100, &r);
  FREE(&r);
  PUBLISH(w, 7, 100, &r);
  FREE(&r);
  READS(h, 7);
  mmapsync_close(h);
  mmapsync_close(w);
}

static void caseInterrupted(void) {
  size_t i;
  for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
    snprintf(checkAbout, sizeof(checkAbout), "call %zu", i);
    interrupted(calls[i], BY_READ);
    interrupted(calls[i], BY_ENTER);
  }
}

/* The reader publishes itself, and does not wait for itself. */
static void publishesBy(int by) {
  mmapsync *w = openWriter(0), *h, *look;
  const mmapsync_view *view;
  mmapsync_view read;
  mmapsync_result r;
  uint64_t i;

  filesRemove();
  PUBLISH(w, 1, 100, NULL);
  mmapsync_close(w);
  look = openReader(MMAPSYNC_PIN_AUTO);
  h = openWith(FOREVER_MS, MMAPSYNC_PIN_SLOT, MMAPSYNC_LOCK_HOLD);
  READS(h, 1);
  view = viewBegin(h, by, &read, 1);
  for (i = 2; i < 6; i++) {
    PUBLISH(h, i, 100, &r);
    WAITED(&r, 0u, i == 3, 0);
    WHOLE(view, 1);
    READS(look, i);
  }
  viewEnd(h, by, &read);
  READS(h, 5);
  CHECK(pinned(look) == 0);
  PUBLISH(h, 6, 100, &r);
  FREE(&r);
  mmapsync_close(h);
  mmapsync_close(look);
}
static void casePublishes(void) {
  publishesBy(BY_READ);
  publishesBy(BY_ENTER);
}

/* Views of one handle, of which the first went through the gate, ended in either order. */
static void caseTwo(void) {
  mmapsync *w = openWriter(GRACE_MS), *h;
  const mmapsync_view *entered;
  mmapsync_view view[2];
  int first, newer;
  for (first = 0; first < 4; first++) {
    for (newer = 0; newer < 2; newer++) {
      filesRemove();
      mmapsync_close(w);
      w = openWriter(GRACE_MS);
      PUBLISH(w, 1, 100, NULL);
      h = readerWarm(1);
      if (first < 2) {
        OK(h, mmapsync_read(h, &view[0]));
      } else {
        ENTERS(h, &entered, 1);
      }
      if (newer) PUBLISH(w, 2, 100, NULL);
      OK(h, mmapsync_read(h, &view[1]));
      WHOLE(&view[1], newer ? 2 : 1);
      CHECK(pinned(w) == (newer ? 3u : fileOf(&view[1])));
      if (first == 0) mmapsync_release(h, &view[0]);
      if (first == 2) mmapsync_leave(h);
      if (first == 1 || first == 3) {
        unsigned rest = first == 1 ? fileOf(&view[0]) : fileOf(entered);
        mmapsync_release(h, &view[1]);
        CHECK(pinned(w) == rest);
        if (first == 1) mmapsync_release(h, &view[0]);
        if (first == 3) mmapsync_leave(h);
      } else {
        CHECK(pinned(w) == fileOf(&view[1]));
        mmapsync_release(h, &view[1]);
      }
      CHECK(pinned(w) == 0);
      READS(h, newer ? 2 : 1);
      mmapsync_close(h);
    }
  }
  mmapsync_close(w);
}

/* A child has its parent's view: what it does with it, or with its handle, changes nothing for the parent. */
static void forkedBy(int by, int what) {
  mmapsync *w = openWriter(GRACE_MS), *h;
  const mmapsync_view *view, *own;
  mmapsync_view read;
  mmapsync_result r;
  int status;
  pid_t pid;

  filesRemove();
  PUBLISH(w, 1, 100, NULL);
  h = readerWarm(1);
  view = viewBegin(h, by, &read, 1);
  pid = fork();
  if (pid == 0) {
    if (what == 1) {
      /* Through the gate of its own, with the inherited view beside it. */
      READS(h, 1);
      READS(h, 1);
      WHOLE(view, 1);
      if (by == BY_READ) ENTERS(h, &own, 1);
      if (by == BY_READ) mmapsync_leave(h);
    }
    viewEnd(h, by, &read);
    CHECK(h->views == 0);
    READS(h, 1);
    READS(h, 1);
    CHECK(h->views == 0 && h->head.gate->state != GATE_SHUT);
    mmapsync_close(h);
    _exit(0);
  }
  CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
  CHECK(pinned(w) == fileOf(view));
  PUBLISH(w, 2, 100, NULL);
  PUBLISH(w, 3, 100, &r);
  REPLACED(&r);
  PUBLISH(w, 4, 100, NULL);
  WHOLE(view, 1);
  viewEnd(h, by, &read);
  CHECK(pinned(w) == 0);
  READS(h, 4);
  mmapsync_close(h);
  mmapsync_close(w);
}
static void caseForked(void) {
  int what;
  for (what = 0; what < 2; what++) {
    forkedBy(BY_READ, what);
    forkedBy(BY_ENTER, what);
  }
}

/* A handle that is closed within an entry leaves nothing behind: of the first kind, by the gate, counted, and in a child,
** which has no descriptor of its parent's open files then. */
static void caseClosed(void) {
  mmapsync *w = openWriter(GRACE_MS), *h;
  const mmapsync_view *view;
  int how, status, before;
  pid_t pid;
  PUBLISH(w, 1, 100, NULL);
  before = checkDescriptors();
  for (how = 0; how < 4; how++) {
    h = how == 0 ? openReader(MMAPSYNC_PIN_SLOT) : readerWarm(1);
    ENTERS(h, &view, 1);
    if (how == 2) ENTERS(h, &view, 1);
    if (how == 3) {
      pid = fork();
      if (pid == 0) {
        mmapsync_close(h);
        CHECK(checkDescriptors() == before);
        _exit(0);
      }
      CHECK(waitpid(pid, &status, 0) == pid && status == 0);
      CHECK(pinned(w) == fileOf(view));
    }
    mmapsync_close(h);
    CHECK(pinned(w) == 0 && checkDescriptors() == before);
  }
  mmapsync_close(w);
}

/* A child whose parent stood in the gate goes on with a handle of its own for good. */
static void caseForkedIdle(void) {
  mmapsync *w = openWriter(GRACE_MS), *h;
  const mmapsync_view *view;
  int status;
  pid_t pid;
  PUBLISH(w, 1, 100, NULL);
  h = readerWarm(1);
  pid = fork();
  if (pid == 0) {
    ENTERS(h, &view, 1); /* the gate is shut here */
    mmapsync_leave(h);
    ENTERS(h, &view, 1);
    CHECK(slotsEver() == 2);
    mmapsync_leave(h);
    mmapsync_close(h);
    _exit(0);
  }
  CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
  ENTERS(h, &view, 1);
  CHECK(pinned(w) == fileOf(view));
  mmapsync_leave(h);
  mmapsync_close(h);
  mmapsync_close(w);
}

/* ---- options ------------------------------------------------------------------------------------ */

/* With options.stamp it is told since when. */
static void caseStamp(void) {
  mmapsync *w = openWriter(GRACE_MS), *h;
  mmapsync_options opt;
  mmapsync_reader reader;
  const mmapsync_view *view;
  uint64_t last = 0, i;
  size_t n;
  PUBLISH(w, 1, 100, NULL);
  h = readerWarm(1);
  opt = *mmapsync_options_of(h);
  opt.stamp = 1;
  OK(h, mmapsync_configure(h, &opt));
  for (i = 0; i < 4; i++) {
    ENTERS(h, &view, 1);
    OK(w, mmapsync_readers(w, &reader, 1, &n));
    CHECK(n == 1 && reader.pinned_ns >= last && reader.pinned_ns >= reader.attached_ns);
    if (i >= 2) CHECK(reader.pinned_ns > last); /* also by the way through the gate */
    last = reader.pinned_ns;
    mmapsync_leave(h);
    sysSleep(20000000); /* more than a tick of the clock */
  }
  mmapsync_close(h);
  mmapsync_close(w);
}

/* Each snapshot is compared once, when it is met first, and then goes through the gate. */
static void caseVerify(void) {
  mmapsync *w = openWriter(GRACE_MS), *h = openReader(MMAPSYNC_PIN_SLOT);
  mmapsync_options opt = *mmapsync_options_of(h);
  const mmapsync_view *view;
  uint64_t bad = 77;
  opt.verify = MMAPSYNC_VERIFY_SNAPSHOT;
  OK(h, mmapsync_configure(h, &opt));
  PUBLISH(w, 1, 100, NULL);
  ENTERS(h, &view, 1);
  mmapsync_leave(h);
  CHECK(h->head.gate->state != GATE_SHUT);
  ENTERS(h, &view, 1);
  mmapsync_leave(h);
  PUBLISH(w, 2, 100, NULL);
  filePoke("_data_1", 80, &bad, sizeof(bad));
  CHECK(mmapsync_enter(h, &view) == MMAPSYNC_CORRUPT);
  CHECK(mmapsync_enter(h, &view) == MMAPSYNC_CORRUPT);
  CHECK(pinned(w) == 0);
  PUBLISH(w, 3, 100, NULL);
  ENTERS(h, &view, 3);
  mmapsync_leave(h);
  ENTERS(h, &view, 3);
  mmapsync_leave(h);
  mmapsync_close(h);
  mmapsync_close(w);
}

/* It is asked for while a view is out that was not compared: the next one is. */
static void caseVerifyNow(void) {
  mmapsync *w = openWriter(GRACE_MS), *h;
  mmapsync_options opt;
  const mmapsync_view *view;
  uint64_t bad = 77;
  PUBLISH(w, 1, 100, NULL);
  h = readerWarm(1);
  opt = *mmapsync_options_of(h);
  opt.verify = MMAPSYNC_VERIFY_SNAPSHOT;
  ENTERS(h, &view, 1);
  filePoke("_data_0", 80, &bad, sizeof(bad));
  OK(h, mmapsync_configure(h, &opt));
  mmapsync_leave(h);
  CHECK(mmapsync_enter(h, &view) == MMAPSYNC_CORRUPT);
  mmapsync_close(h);
  mmapsync_close(w);
}

/* A payload without our trailer, read by slot because that is asked for, has no sequence by which its coming back could
** be told: the gate stays shut, and a read by the long way is as right. */
static void caseForeign(void) {
  mmapsync *w = openWriter(GRACE_MS), *h;
  const mmapsync_view *view;
  uint64_t i, word;
  PUBLISH(w, 1, 100, NULL);
  PUBLISH(w, 2, 100, NULL);
  h = readerWarm(2);
  for (i = 0; i < 3; i++) {
    word = versionMake(i % 2, 8, 7 + i);
    filePoke(i % 2 ? "_data_1" : "_data_0", 0, &word, sizeof(word));
    filePoke("_state", 0, &word, sizeof(word));
    OK(h, mmapsync_enter(h, &view));
    CHECK(view->pin == MMAPSYNC_PIN_SLOT && view->sequence == 0 && view->size == 8);
    CHECK(memcmp(view->data, &word, 8) == 0 && pinned(w) == fileOf(view));
    mmapsync_leave(h);
    CHECK(pinned(w) == 0 && h->head.gate->state == GATE_SHUT);
  }
  mmapsync_close(h);
  mmapsync_close(w);
}

static const CheckCase cases[] = {
    {"enters", caseEnters},
    {"copy", caseCopy},
    {"held", caseHeld},
    {"same-word", caseSameWord},
    {"same-word-replaced", caseSameWordReplaced},
    {"once", caseOnce},
    {"reset", caseReset},
    {"removed", caseRemoved},
    {"removed-wait", caseRemovedWait},
    {"interrupted", caseInterrupted},
    {"publishes", casePublishes},
    {"two", caseTwo},
    {"forked", caseForked},
    {"closed", caseClosed},
    {"forked-idle", caseForkedIdle},
    {"stamp", caseStamp},
    {"verify", caseVerify},
    {"verify-now", caseVerifyNow},
    {"foreign", caseForeign},
    {NULL, NULL},
};

int main(int argc, char **argv) { return checkMain(argc, argv, cases); }
