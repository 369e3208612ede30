#define _GNU_SOURCE
/*
** grace_check.c - readers that are slow, stuck or dead, and what a write does about them.
**
** Each kind of pin has its own promise.  A view by slot or by lock keeps its snapshot for as long as it is
** held, a reader that died costs nothing, and nobody waits twice for the same view.  A view by counter loses
** its snapshot when the grace time is over, and one that died costs a write its grace time.  What readers
** see at each instruction is step_check.c's.  How it is run: check.h.
*/
#include "check.h"

#include <signal.h>

#include "version.h"

#define GRACE 40

/* The kinds of pin that keep a view's snapshot for as long as it is held. */
static const int keeping[] = {MMAPSYNC_PIN_SLOT, MMAPSYNC_PIN_LOCK};

/* A write waits for a reader no longer than it takes. */
static void graceShort(int pins) {
  mmapsync *writer = channelOpenGrace(60000);
  mmapsync_result done;
  pid_t pid;
  int status, ready[2];
  char byte;

  channelRemove();
  WRITE(writer, "one");
  CHECK(pipe(ready) == 0);
  pid = fork();
  if (pid == 0) {
    mmapsync *reader = channelOpenPins(pins);
    mmapsync_view view;
    OK(reader, mmapsync_read(reader, &view));
    CHECK(write(ready[1], "r", 1) == 1);
    usleep(30000);
    SHOWS(&view, "one");
    mmapsync_release(reader, &view);
    _exit(0);
  }
  CHECK(read(ready[0], &byte, 1) == 1);
  WRITE(writer, "two");
  OK(writer, mmapsync_write(writer, "three", 5, &done));
  CHECK(done.reset == 0 && done.replaced == 0 && done.held == 0 && done.waited_ms < 60000);
  CHECK(waitpid(pid, &status, 0) == pid && status == 0);
  PINS(writer, 0, 0);
  close(ready[0]);
  close(ready[1]);
  mmapsync_close(writer);
}

static void caseGraceShort(void) {
  graceShort(MMAPSYNC_PIN_SLOT);
  graceShort(MMAPSYNC_PIN_LOCK);
  graceShort(MMAPSYNC_PIN_COUNTER);
}

/* A reader of this kind that holds a view of "one" and is killed. */
static void readAndDie(int pins) {
  mmapsync_view view;
  int status;
  pid_t pid = fork();
  if (pid == 0) {
    mmapsync *reader = channelOpenPins(pins);
    OK(reader, mmapsync_read(reader, &view));
    SHOWS(&view, "one");
    kill(getpid(), SIGKILL);
  }
  CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
}

/* A reader that died while counted in costs one write its grace time, and that write says so. */
static void caseGraceDead(void) {
  mmapsync *writer = channelOpenGrace(GRACE);
  mmapsync_result done;
  size_t count;

  WRITE(writer, "one");
  readAndDie(MMAPSYNC_PIN_COUNTER);
  COUNTS(writer, 1, 0);
  OK(writer, mmapsync_write(writer, "two", 3, &done)); /* nobody reads the other file */
  CHECK(done.reset == 0 && done.waited_ms == 0 && done.held == 0);
  OK(writer, mmapsync_write(writer, "three", 5, &done));
  CHECK(done.reset == 1 && done.replaced == 0 && done.waited_ms >= GRACE && done.held == 1);
  CHECK(mmapsync_held(writer, &count)[0].kind == MMAPSYNC_PIN_COUNTER && count == 1);
  COUNTS(writer, 0, 0);
  OK(writer, mmapsync_write(writer, "four", 4, &done));
  OK(writer, mmapsync_write(writer, "five", 4, &done));
  CHECK(done.reset == 0 && done.waited_ms == 0);
  HOLDS(writer, "five");
  mmapsync_close(writer);
}

/* One that died with a slot or a lock costs nothing: its death is known.  The grace time is so long that a
** wait for it would be found out by the alarm of this case. */
static void caseGraceDeadKnown(void) {
  mmapsync *writer;
  mmapsync_result done;
  mmapsync_reader r[CHECK_READERS];
  size_t i;

  for (i = 0; i < 2; i++) {
    channelRemove();
    writer = channelOpenGrace(60 * CHECK_SECONDS * 1000);
    WRITE(writer, "one");
    readAndDie(keeping[i]);
    if (keeping[i] == MMAPSYNC_PIN_SLOT) {
      CHECK(checkReaders(__LINE__, writer, r) == 1 && r[0].alive == 0 && r[0].pins[0] == 1);
    } else {
      CHECK(checkReaders(__LINE__, writer, r) == 0); /* the kernel has dropped it */
    }
    WRITE(writer, "two");
    OK(writer, mmapsync_write(writer, "three", 5, &done));
    CHECK(done.reset == 0 && done.replaced == 0 && done.held == 0);
    PINS(writer, 0, 0);
    HOLDS(writer, "three");
    mmapsync_close(writer);
  }
}

/* A counted reader that outlived the grace time leaves without taking anybody's claim, nor below 0. */
static void caseGraceLate(void) {
  mmapsync *writer = channelOpenGrace(GRACE), *late = channelOpenPins(MMAPSYNC_PIN_COUNTER);
  mmapsync *other = channelOpenPins(MMAPSYNC_PIN_COUNTER);
  mmapsync_result done;
  mmapsync_view slow, view;

  WRITE(writer, "one");
  OK(late, mmapsync_read(late, &slow));
  WRITE(writer, "two");
  OK(writer, mmapsync_write(writer, "three", 5, &done));
  CHECK(done.reset == 1 && done.replaced == 0);
  mmapsync_release(late, &slow);
  COUNTS(writer, 0, 0);

  OK(late, mmapsync_read(late, &slow)); /* three, in file 0 */
  WRITE(writer, "four");
  OK(writer, mmapsync_write(writer, "five", 4, &done));
  CHECK(done.reset == 1);
  OK(other, mmapsync_read(other, &view)); /* five, in file 0 */
  COUNTS(writer, 1, 0);
  mmapsync_release(late, &slow);
  COUNTS(writer, 1, 0);
  SHOWS(&view, "five");
  mmapsync_release(other, &view);
  COUNTS(writer, 0, 0);

  /* The same where the file has become the inactive one again. */
  OK(late, mmapsync_read(late, &slow)); /* five, in file 0 */
  WRITE(writer, "six");
  OK(writer, mmapsync_write(writer, "seven", 5, &done));
  CHECK(done.reset == 1);
  OK(other, mmapsync_read(other, &view)); /* seven, in file 0 */
  WRITE(writer, "eight");
  COUNTS(writer, 1, 0);
  mmapsync_release(late, &slow);
  COUNTS(writer, 1, 0);
  mmapsync_release(other, &view);
  COUNTS(writer, 0, 0);
  HOLDS(late, "eight");
  mmapsync_close(other);
  mmapsync_close(late);
  mmapsync_close(writer);
}

static ino_t fileNode(const char *ending) {
  struct stat st;
  CHECK(stat(fileName(ending), &st) == 0);
  return st.st_ino;
}

/* A view by slot or by lock outlives any number of publishes.  The first that needs its file waits the grace
** time out and goes to a new file; later ones do not wait for it. */
static void graceHeld(int pins) {
  mmapsync *writer = channelOpenGrace(GRACE), *late = channelOpenPins(pins), *other = channelOpen();
  const mmapsync_reader *held;
  mmapsync_result done;
  mmapsync_view slow, view;
  mmapsync_reader r[CHECK_READERS];
  char text[24];
  ino_t node[2];
  size_t count;
  int i;

  channelRemove();
  WRITE(writer, "one");
  OK(late, mmapsync_read(late, &slow));
  CHECK(slow.pin == (uint32_t)pins);
  WRITE(writer, "two");
  node[0] = fileNode("_data_0");
  node[1] = fileNode("_data_1");
  HOLDS(other, "two"); /* has both mapped, soon of another file */
  OK(writer, mmapsync_write(writer, "three", 5, &done));
  CHECK(done.reset == 0 && done.replaced == 1 && done.held == 1 && done.waited_ms >= GRACE);
  CHECK(done.sequence == 3 && versionIndex(done.version) == 0);
  held = mmapsync_held(writer, &count);
  CHECK(count == 1 && held[0].kind == pins && held[0].alive == 1);
  CHECK(held[0].pins[0] == 1 && held[0].pins[1] == 0);
  CHECK(held[0].pid == (pins == MMAPSYNC_PIN_SLOT ? (uint32_t)getpid() : 0));
  CHECK(fileNode("_data_0") != node[0] && fileNode("_data_1") == node[1]);
  CHECK(fileCount() == 5 && fileMode("_data_0") == 0640);
  node[0] = fileNode("_data_0");
  SHOWS(&slow, "one");
  HOLDS(other, "three");

  for (i = 4; i < 20; i++) {
    snprintf(text, sizeof(text), "number %d", i);
    OK(writer, mmapsync_write(writer, text, strlen(text), &done));
    CHECK(done.reset == 0 && done.replaced == 0 && done.held == 0 && done.waited_ms == 0);
    HOLDS(other, text);
    SHOWS(&slow, "one");
  }
  CHECK(fileNode("_data_0") == node[0] && fileNode("_data_1") == node[1]); /* reused as ever */

  /* The same handle sees what is new, and holds both. */
  OK(late, mmapsync_read(late, &view));
  SHOWS(&view, "number 19");
  SHOWS(&slow, "one");
  mmapsync_release(late, &slow);
  SHOWS(&view, "number 19");
  mmapsync_release(late, &view);
  PINS(writer, 0, 0);
  OK(writer, mmapsync_write(writer, "last", 4, &done));
  CHECK(done.reset == 0 && done.replaced == 0 && done.waited_ms == 0);
  HOLDS(late, "last");
  CHECK(checkReaders(__LINE__, writer, r) == (pins == MMAPSYNC_PIN_SLOT ? 2 : 1));
  mmapsync_close(other);
  mmapsync_close(late);
  mmapsync_close(writer);
}

static void caseGraceHeld(void) {
  graceHeld(MMAPSYNC_PIN_SLOT);
  graceHeld(MMAPSYNC_PIN_LOCK);
}

/* The same while the handle that holds goes on reading. */
static void caseGraceHeldReads(void) {
  mmapsync *writer, *late;
  mmapsync_result done;
  mmapsync_view slow, view;
  char text[24];
  size_t i;
  int k;

  for (i = 0; i < 2; i++) {
    channelRemove();
    writer = channelOpenGrace(GRACE);
    late = channelOpenPins(keeping[i]);
    WRITE(writer, "one");
    OK(late, mmapsync_read(late, &slow));
    WRITE(writer, "two");
    WRITE(writer, "three"); /* to a new file */
    for (k = 4; k < 12; k++) {
      OK(late, mmapsync_read(late, &view));
      SHOWS(&slow, "one");
      mmapsync_release(late, &view);
      snprintf(text, sizeof(text), "number %d", k);
      OK(writer, mmapsync_write(writer, text, strlen(text), &done));
      snprintf(checkAbout, sizeof(checkAbout), "pin kind %d, publish %d", keeping[i], k);
      CHECK(done.reset == 0 && done.replaced == 0 && done.waited_ms == 0);
      HOLDS(late, text);
    }
    SHOWS(&slow, "one");
    mmapsync_release(late, &slow);
    PINS(writer, 0, 0);
    mmapsync_close(late);
    mmapsync_close(writer);
  }
}

/* A handle does not wait for itself. */
static void caseGraceOwn(void) {
  mmapsync *h;
  mmapsync_options opt;
  mmapsync_result done;
  mmapsync_view view;
  size_t i;

  for (i = 0; i < 2; i++) {
    channelRemove();
    mmapsync_options_init(&opt);
    opt.pins = keeping[i];
    opt.grace_ms = 60 * CHECK_SECONDS * 1000;
    OK(h, mmapsync_open(checkPath, &opt, &h));
    WRITE(h, "one");
    OK(h, mmapsync_read(h, &view));
    WRITE(h, "two");
    OK(h, mmapsync_write(h, "three", 5, &done));
    CHECK(done.reset == 0 && done.replaced == 1 && done.held == 1);
    SHOWS(&view, "one");
    HOLDS(h, "three");
    mmapsync_release(h, &view);
    PINS(h, 0, 0);
    mmapsync_close(h);
  }
}

/* With options.foreign BUSY nothing is reset and nothing replaced: the write is given up. */
static void caseGraceBusy(void) {
  mmapsync_options opt;
  mmapsync *writer, *reader;
  mmapsync_view view;
  int pins;

  mmapsync_options_init(&opt);
  opt.grace_ms = 1;
  opt.foreign = MMAPSYNC_FOREIGN_BUSY;
  for (pins = MMAPSYNC_PIN_SLOT; pins <= MMAPSYNC_PIN_COUNTER; pins++) {
    channelRemove();
    OK(writer, mmapsync_open(checkPath, &opt, &writer));
    reader = channelOpenPins(pins);
    WRITE(writer, "one");
    OK(reader, mmapsync_read(reader, &view));
    WRITE(writer, "two");
    if (pins == MMAPSYNC_PIN_COUNTER) {
      FAILS(writer, mmapsync_write(writer, "three", 5, NULL), MMAPSYNC_BUSY,
            "\"%s\": 1 counted in still read the older snapshot", checkPath);
    } else {
      FAILS(writer, mmapsync_write(writer, "three", 5, NULL), MMAPSYNC_BUSY,
            "\"%s\": a reader still holds the older snapshot, and the file may not be replaced",
            checkPath);
    }
    PINS(writer, 1, 0);
    SHOWS(&view, "one");
    HOLDS(writer, "two");
    mmapsync_release(reader, &view);
    WRITE(writer, "three");
    HOLDS(reader, "three");
    mmapsync_close(reader);
    mmapsync_close(writer);
  }
}

/* With a grace time of 0 nobody is waited for. */
static void caseGraceNone(void) {
  mmapsync *writer, *reader;
  mmapsync_result done;
  mmapsync_view view;
  int pins, counted;

  for (pins = MMAPSYNC_PIN_SLOT; pins <= MMAPSYNC_PIN_COUNTER; pins++) {
    channelRemove();
    counted = pins == MMAPSYNC_PIN_COUNTER;
    writer = channelOpenGrace(0);
    reader = channelOpenPins(pins);
    WRITE(writer, "one");
    OK(reader, mmapsync_read(reader, &view));
    WRITE(writer, "two");
    OK(writer, mmapsync_write(writer, "three", 5, &done));
    CHECK(done.reset == counted && done.replaced == !counted && done.waited_ms < 1000);
    if (!counted) SHOWS(&view, "one");
    mmapsync_release(reader, &view);
    PINS(reader, 0, 0);
    mmapsync_close(reader);
    mmapsync_close(writer);
  }
}

/* Of more readers that hold than a result has room for, the first are told, and how many there are: of all kinds. */
static void caseHeldMost(void) {
  mmapsync *writer = channelOpenGrace(0), *h[MMAPSYNC_HELD_MOST + 2];
  mmapsync_view view[MMAPSYNC_HELD_MOST + 2];
  mmapsync_result done;
  const mmapsync_reader *held;
  size_t i, count;

  WRITE(writer, "one");
  for (i = 0; i < MMAPSYNC_HELD_MOST + 2; i++) {
    h[i] = channelOpenPins(i < MMAPSYNC_HELD_MOST    ? MMAPSYNC_PIN_SLOT
                           : i == MMAPSYNC_HELD_MOST ? MMAPSYNC_PIN_LOCK
                                                     : MMAPSYNC_PIN_COUNTER);
    OK(h[i], mmapsync_read(h[i], &view[i]));
  }
  WRITE(writer, "two");
  OK(writer, mmapsync_write(writer, "three", 5, &done));
  CHECK(done.replaced && done.reset && done.held == MMAPSYNC_HELD_MOST + 2);
  held = mmapsync_held(writer, &count);
  CHECK(count == MMAPSYNC_HELD_MOST);
  for (i = 0; i < count; i++) CHECK(held[i].kind == MMAPSYNC_PIN_SLOT && held[i].pins[0] == 1);
  for (i = 0; i < MMAPSYNC_HELD_MOST + 2; i++) {
    if (i <= MMAPSYNC_HELD_MOST) SHOWS(&view[i], "one");
    mmapsync_release(h[i], &view[i]);
    mmapsync_close(h[i]);
  }
  HOLDS(writer, "three");
  mmapsync_close(writer);
}

/* A writer with a view of its own, of a file that has lost its name: nobody waits for that one any more, neither
** for its slot, nor, where another reader locks the new file, for its lock. */
static void caseOwnLeft(void) {
  size_t i;
  for (i = 0; i < 2; i++) {
    mmapsync_options opt;
    mmapsync *h, *other = channelOpenPins(keeping[i]);
    mmapsync_view own, newer, view;
    mmapsync_result done;
    size_t count;

    channelRemove();
    mmapsync_options_init(&opt);
    opt.grace_ms = GRACE;
    opt.pins = keeping[i];
    OK(h, mmapsync_open(checkPath, &opt, &h));
    WRITE(h, "one");
    OK(h, mmapsync_read(h, &own));
    WRITE(h, "two");
    OK(h, mmapsync_write(h, "three", 5, &done)); /* nobody would end it while we wait */
    CHECK(done.replaced && done.waited_ms == 0 && done.held == 1);
    WRITE(h, "four");
    OK(h, mmapsync_write(h, "five", 4, &done));
    CHECK(!done.replaced && done.held == 0);
    OK(other, mmapsync_read(other, &view));
    WRITE(h, "six");
    OK(h, mmapsync_read(h, &newer));
    OK(h, mmapsync_write(h, "seven", 5, &done));
    CHECK(done.replaced && done.waited_ms >= GRACE && done.held == 1);
    CHECK(mmapsync_held(h, &count)->kind == keeping[i] && count == 1);
    SHOWS(&own, "one");
    SHOWS(&view, "five");
    SHOWS(&newer, "six");
    mmapsync_release(h, &newer);
    mmapsync_release(other, &view);
    mmapsync_release(h, &own);
    HOLDS(h, "seven");
    PINS(h, 0, 0);
    mmapsync_close(other);
    mmapsync_close(h);
  }
}

/* The wait for those that are counted in can be ended, too. */
static int stopSecond(void *arg) { return ++*(int *)arg == 2; }

static void caseCounterStopped(void) {
  mmapsync *writer, *late = channelOpenPins(MMAPSYNC_PIN_COUNTER);
  mmapsync_options opt;
  mmapsync_view view;
  int calls = 0;

  mmapsync_options_init(&opt);
  opt.grace_ms = 60 * CHECK_SECONDS * 1000;
  opt.progress = stopSecond;
  opt.progress_arg = &calls;
  OK(writer, mmapsync_open(checkPath, &opt, &writer));
  WRITE(writer, "one");
  OK(late, mmapsync_read(late, &view));
  WRITE(writer, "two");
  FAILS(writer, mmapsync_write(writer, "three", 5, NULL), MMAPSYNC_INTERRUPT, "interrupted");
  SHOWS(&view, "one");
  COUNTS(writer, 1, 0);
  HOLDS(writer, "two");
  mmapsync_release(late, &view);
  WRITE(writer, "three");
  mmapsync_close(late);
  mmapsync_close(writer);
}

/* A view by counter that was given up, and then the same bytes come to its file again: the word is what it was, and
** only the sequence tells that the count there now is another's. */
static void caseCounterSameWord(void) {
  mmapsync *writer = channelOpenGrace(1);
  mmapsync *late = channelOpenPins(MMAPSYNC_PIN_COUNTER);
  mmapsync *other = channelOpenPins(MMAPSYNC_PIN_COUNTER);
  mmapsync_result done;
  mmapsync_view view, newer;

  WRITE(writer, "one");
  OK(late, mmapsync_read(late, &view));
  WRITE(writer, "two");
  OK(writer, mmapsync_write(writer, "one", 3, &done));
  CHECK(done.reset == 1 && done.version == view.version && done.sequence == 3);
  OK(other, mmapsync_read(other, &newer));
  COUNTS(writer, 1, 0);
  mmapsync_release(late, &view);
  COUNTS(writer, 1, 0);
  mmapsync_release(other, &newer);
  COUNTS(writer, 0, 0);
  mmapsync_close(other);
  mmapsync_close(late);
  mmapsync_close(writer);
}

static const CheckCase cases[] = {
    {"short", caseGraceShort},
    {"dead", caseGraceDead},
    {"dead_known", caseGraceDeadKnown},
    {"late", caseGraceLate},
    {"held", caseGraceHeld},
    {"held_reads", caseGraceHeldReads},
    {"own", caseGraceOwn},
    {"busy", caseGraceBusy},
    {"none", caseGraceNone},
    {"held_most", caseHeldMost},
    {"own_left", caseOwnLeft},
    {"counter_stopped", caseCounterStopped},
    {"counter_same_word", caseCounterSameWord},
    {NULL, NULL},
};

int main(int argc, char **argv) { return checkMain(argc, argv, cases); }
