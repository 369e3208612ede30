#define _GNU_SOURCE
/*
** step_check.c - counters and the writer, one machine instruction at a time.
**
** A child process reads or writes under ptrace(), single-stepped, and its parent looks, publishes or
** begins to write at every stop.  So what is promised "at any instruction" is tried at each of them, and
** not left to chance as in the torture.  Slots and locks are in slotstep_check.c:
**
**     reader   it is stopped after its 1st instruction, its 2nd, ...; then there is every kind of
**              publish, done or begun; then it goes on.  Its view must be whole, and must be counted
**     leaving  the same for a release: the counters must come back to 0
**     writer   at every stop readers find the old snapshot whole, or the new one, and once they have
**              found the new one never the old; and the channel as it is at that moment (a copy of it,
**              for the lock of a dead writer is gone) can be written and read
*/
#include "check_step.h"
#include "state.h"
#include "sys.h"

#define GRACE_MS 1

/* ---- a reader --------------------------------------------------------------------------------- */

static mmapsync *reader; /* the child's */
static mmapsync_view view;
static int readCode;

/* It reads from both files, for which it publishes once: what follows makes no system call. */
static void readerPrepare(void) {
  mmapsync *writer = channelOpen();
  int i;
  reader = channelOpenPins(MMAPSYNC_PIN_COUNTER);
  for (i = 0; i < 2; i++) {
    OK(reader, mmapsync_read(reader, &view));
    mmapsync_release(reader, &view);
    if (i == 0) publish(writer);
  }
  mmapsync_close(writer);
}
static pid_t readerStart(void (*prepare)(void), void (*call)(void), void (*after)(void)) {
  pid_t pid = stepStart(prepare, call, after);
  sequence++;
  return pid;
}
static void readerCall(void) { readCode = mmapsync_read(reader, &view); }
static void readerAfter(void) {
  OK(reader, readCode);
  if (!shared->voided) CHECK(payloadWhole(&view));
  mmapsync_release(reader, &view);
  mmapsync_close(reader);
}

/* Readers of the file that the next write needs. */
static uint32_t inTheWay(mmapsync *look) {
  uint32_t readers[2];
  OK(look, mmapsync_counters(look, readers));
  return readers[sequence % 2];
}

/* The two halves of a publish.  The first gives 1 if readers had to be given up. */
static int publishBegin(mmapsync *writer, mmapsync *look) {
  int given = inTheWay(look) != 0;
  void *data;
  OK(writer, mmapsync_write_begin(writer, 128, &data));
  memset(data, 0xee, 128);
  return given;
}
static void publishEnd(mmapsync *writer) {
  void *data;
  OK(writer, mmapsync_write_grow(writer, 128, &data));
  payloadFill(data, sequence + 1);
  OK(writer, mmapsync_write_commit(writer, payloadSize(sequence + 1), MMAPSYNC_KIND_RAW, NULL));
  sequence++;
}

/* The reader holds its view: one of the next two writes needs that file, and must find it claimed. */
static void readerPinned(mmapsync *writer, mmapsync *look) {
  mmapsync_view newest;
  uint32_t readers[2];

  OK(look, mmapsync_counters(look, readers));
  CHECK(readers[0] + readers[1] == 1);
  OK(look, mmapsync_read(look, &newest));
  CHECK(payloadWhole(&newest) && newest.sequence == sequence);
  mmapsync_release(look, &newest);
  if (!inTheWay(look)) CHECK(publish(writer) == 0);
  CHECK(inTheWay(look) == 1);
}

static void readerBegin(mmapsync **writer, mmapsync **look) {
  channelRemove();
  sequence = 0;
  *writer = channelOpenGrace(GRACE_MS);
  *look = channelOpenPins(MMAPSYNC_PIN_COUNTER);
  publish(*writer);
  publish(*writer);
}

/* At each instruction, up to three publishes, and then perhaps one that is begun. */
static void readerDisturbed(int publishes, int begun) {
  mmapsync *writer, *look;
  long n;
  int i, on;
  pid_t pid;

  readerBegin(&writer, &look);
  for (n = 0, on = 1; on; n += STRIDE) {
    snprintf(checkAbout, sizeof(checkAbout), "%d publishes, %d begun, at instruction %ld",
             publishes, begun, n);
    pid = readerStart(readerPrepare, readerCall, readerAfter);
    on = step(pid, n);
    for (i = 0; i < publishes; i++) shared->voided |= publish(writer);
    if (begun) shared->voided |= publishBegin(writer, look);
    stepRest(pid);
    if (begun) publishEnd(writer);
    if (!shared->voided) readerPinned(writer, look);
    stepEnd(pid);
    COUNTS(look, 0, 0);
  }
  CHECK(n > 20);
  mmapsync_close(look);
  mmapsync_close(writer);
}

static void caseReader(void) {
  stepSetUp();
  readerDisturbed(0, 1);
  readerDisturbed(1, 0);
  readerDisturbed(1, 1);
  readerDisturbed(2, 0);
  readerDisturbed(2, 1);
  readerDisturbed(3, 0);
}

/*
** A writer between its look at the counter and its first store (W3 and W4 of state.h) is stopped there by
** its own clock, which it reads if it had to wait; so it is made to wait, for a view that is released
** in its sleep.  What is done in the gap is the rest of the child's read.
*/
static struct {
  mmapsync *look; /* holds the view */
  mmapsync_view view;
  pid_t pid;
  int slept;
} gap;

static int gapSleep(const struct timespec *t, struct timespec *left) {
  if (gap.slept) return nanosleep(t, left);
  gap.slept = 1;
  mmapsync_release(gap.look, &gap.view);
  return 0;
}

static int gapClock(clockid_t clock, struct timespec *t) {
  if (gap.slept && !inTheWay(gap.look)) stepRest(gap.pid);
  return clock_gettime(clock, t);
}

/* A reader whose file is taken from it just before it claims it, and then, at each instruction after
** that, the other one too: this is what it needs two claims and a look after each for. */
static void caseReaderChased(void) {
  mmapsync *writer;
  mmapsync_options opt;
  uint32_t readers[2] = {0, 0};
  long claim, n;
  int on;

  stepSetUp();
  readerBegin(&writer, &gap.look);
  opt = *mmapsync_options_of(writer);
  gap.pid = readerStart(readerPrepare, readerCall, readerAfter);
  for (claim = 0; readers[0] + readers[1] == 0; claim++) {
    CHECK(step(gap.pid, 1));
    OK(gap.look, mmapsync_counters(gap.look, readers));
  }
  stepRest(gap.pid);
  stepEnd(gap.pid);

  for (n = 0, on = 1; on; n += STRIDE) {
    snprintf(checkAbout, sizeof(checkAbout), "at instruction %ld, and %ld after", claim - 1, n);
    gap.pid = readerStart(readerPrepare, readerCall, readerAfter);
    CHECK(step(gap.pid, claim - 1));
    CHECK(publish(writer) == 0);
    OK(gap.look, mmapsync_read(gap.look, &gap.view));
    CHECK(publishBegin(writer, gap.look) == 0);
    on = step(gap.pid, n);
    publishEnd(writer);
    if (inTheWay(gap.look) > 1) shared->voided = 1;
    opt.grace_ms = shared->voided ? GRACE_MS : 60000; /* it ends with the view */
    OK(writer, mmapsync_configure(writer, &opt));
    gap.slept = 0;
    sysSet("nanosleep", (SysFunction)gapSleep);
    sysSet("clock_gettime", (SysFunction)gapClock);
    publishBegin(writer, gap.look);
    sysSet(NULL, NULL);
    CHECK(gap.slept || shared->voided);
    if (!gap.slept) mmapsync_release(gap.look, &gap.view);
    stepRest(gap.pid);
    publishEnd(writer);
    if (!shared->voided) readerPinned(writer, gap.look);
    stepEnd(gap.pid);
    COUNTS(gap.look, 0, 0);
  }
  CHECK(n > 10);
  mmapsync_close(gap.look);
  mmapsync_close(writer);
}

/* ---- a reader that leaves --------------------------------------------------------------------- */

static void leavingPrepare(void) {
  readerPrepare();
  OK(reader, mmapsync_read(reader, &view));
}
static void leavingCall(void) { mmapsync_release(reader, &view); }
static void leavingAfter(void) { mmapsync_close(reader); }

static void caseLeaving(void) {
  mmapsync *writer, *look;
  long n;
  int i, on, publishes;
  pid_t pid;

  stepSetUp();
  writer = channelOpenGrace(GRACE_MS);
  look = channelOpenPins(MMAPSYNC_PIN_COUNTER);
  publish(writer);
  publish(writer);
  for (publishes = 0; publishes <= 3; publishes++) {
    for (n = 0, on = 1; on; n += STRIDE) {
      snprintf(checkAbout, sizeof(checkAbout), "%d publishes at instruction %ld", publishes, n);
      pid = readerStart(leavingPrepare, leavingCall, leavingAfter);
      on = step(pid, n);
      for (i = 0; i < publishes; i++) publish(writer);
      stepRest(pid);
      stepEnd(pid);
      COUNTS(look, 0, 0);
    }
    CHECK(n > 10);
  }
  mmapsync_close(look);
  mmapsync_close(writer);
}

/* The same among a crowd: another reader is counted in at each instruction, so that the number never is what it was
** when it was looked at.  `n`: after so many instructions a writer resets it, and all those know that. */
static void leavingCrowd(mmapsync *look, StateShared *state, long n) {
  _Atomic uint32_t *counter;
  uint32_t others = 0;
  long at = 0;
  pid_t pid = readerStart(leavingPrepare, leavingCall, leavingAfter);
  counter = &state->readers[1 - sequence % 2];
  CHECK(atomic_load(counter) == 1);
  while (step(pid, 1) && at != n) {
    atomic_fetch_add(counter, 1);
    others++;
    at++;
  }
  if (at == n) {
    atomic_store(counter, 0);
    others = 0;
  }
  stepRest(pid);
  stepEnd(pid);
  CHECK(atomic_load(counter) == others);
  atomic_store(counter, 0);
  COUNTS(look, 0, 0);
}

static void caseLeavingCrowd(void) {
  mmapsync *writer, *look;
  StateShared *state;
  long n, last;
  int fd;

  stepSetUp();
  readerBegin(&writer, &look);
  CHECK((fd = open(fileName("_state"), O_RDWR)) >= 0);
  state = mmap(NULL, STATE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  CHECK(state != MAP_FAILED);
  leavingCrowd(look, state, -1);
  for (n = 1, last = 400 * STRIDE; n < last; n += (STRIDE + 1) / 2) leavingCrowd(look, state, n);
  munmap(state, STATE_SIZE);
  close(fd);
  mmapsync_close(look);
  mmapsync_close(writer);
}

/* ---- a writer --------------------------------------------------------------------------------- */

static mmapsync *writerOfChild;

static void writerPrepare(void) {
  warmMake();
  writerOfChild = channelOpen();
}
static void writerCall(void) { publish(writerOfChild); }
static void writerAfter(void) { mmapsync_close(writerOfChild); }

/* Steps a writer through the publish after `before` of them. */
static void writerStepped(int before) {
  static Image image, last;
  /* These read by lock, which changes no file. */
  mmapsync *held = channelOpenPins(MMAPSYNC_PIN_LOCK), *fresh, *writer = channelOpen();
  mmapsync_view now;
  uint64_t found = 0;
  long n, changes = 0;
  int i, rc;
  pid_t pid;

  sequence = 0;
  channelRemove();
  for (i = 0; i < before; i++) publish(writer);
  found = sequence;
  memset(&last, 0, sizeof(last));
  pid = stepStart(writerPrepare, writerCall, writerAfter);
  for (n = 0; step(pid, 1); n++) {
    snprintf(checkAbout, sizeof(checkAbout), "%d before, at instruction %ld", before, n);
    rc = mmapsync_read(held, &now);
    if (rc == MMAPSYNC_EMPTY) {
      CHECK(found == 0);
    } else {
      OK(held, rc);
      CHECK(payloadWhole(&now) && now.sequence >= found && now.sequence <= sequence + 1);
      found = now.sequence;
      mmapsync_release(held, &now);
    }
    imageTake(&image);
    if (memcmp(&image, &last, sizeof(image)) == 0) continue;
    changes++;
    last = image;
    fresh = channelOpenPins(MMAPSYNC_PIN_LOCK);
    rc = mmapsync_verify(fresh);
    if (rc != MMAPSYNC_EMPTY || found != 0) OK(fresh, rc);
    mmapsync_close(fresh);
    imageUse(&image, 1000);
  }
  CHECK(n > 100 && changes >= 10);
  stepEnd(pid);
  OK(held, mmapsync_read(held, &now));
  CHECK(payloadWhole(&now) && now.sequence == sequence + 1);
  mmapsync_release(held, &now);
  COUNTS(held, 0, 0);
  mmapsync_close(held);
  mmapsync_close(writer);
  warmRemove();
}

static void caseWriter(void) {
  stepSetUp();
  writerStepped(0); /* the files are made */
  writerStepped(1);
  writerStepped(2); /* file 0 is written over */
  writerStepped(5);
}

static const CheckCase cases[] = {
    {"reader", caseReader},   {"reader_chased", caseReaderChased},
    {"leaving", caseLeaving}, {"leaving_crowd", caseLeavingCrowd},
    {"writer", caseWriter},   {NULL, NULL},
};

int main(int argc, char **argv) { return checkMain(argc, argv, cases); }
