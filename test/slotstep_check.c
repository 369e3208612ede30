#define _GNU_SOURCE
/*
** slotstep_check.c - readers by slot and by lock, one machine instruction at a time.
**
** As in step_check.c a child reads under ptrace(), and is stopped after its 1st instruction, its 2nd, ...  What
** these kinds of pin promise is more than counters can, and is tried with a grace time of a millisecond, so that
** each publish that meets the reader leaves it its file:
**
**     reading  (half of the times by mmapsync_enter(), in line) after up to three publishes, and perhaps one that is begun, it goes on.  Its view must be whole,
**              and still be so after three more publishes; and nobody is ever given up
**     leaving  publishes at each instruction of a release; after it, nobody is in the way
**     reset    the state names nothing as published, from each instruction of a read to its end
**     dying    killed at each instruction of a read, it must not delay the next two publishes, whose grace time
**              is longer than a case may take
*/
#include "check_step.h"

#define GRACE_MS 1

/* Of leaving and dying, which have fewer ways to go wrong, not every instruction. */
#define SPARSE   (3 * STRIDE)

static mmapsync *reader; /* the child's */
static mmapsync_view view;
static int readCode;
static int pins;
static int entering; /* by mmapsync_enter() */
static const mmapsync_view *entered;

static void readingPrepare(void) {
  mmapsync *writer = channelOpenGrace(GRACE_MS);
  int i;
  reader = channelOpenPins(pins);
  for (i = 0; i < 2; i++) {
    OK(reader, mmapsync_read(reader, &view));
    mmapsync_release(reader, &view);
    if (i == 0) publish(writer);
  }
  mmapsync_close(writer);
}
static void readingCall(void) {
  readCode = entering ? mmapsync_enter(reader, &entered) : mmapsync_read(reader, &view);
}
static void leavingCall(void) {
  if (entering) {
    mmapsync_leave(reader);
  } else {
    mmapsync_release(reader, &view);
  }
}
/* What came in the meantime is checked when all is done: the parent has published again. */
static void readingAfter(void) {
  OK(reader, readCode);
  CHECK(payloadWhole(entering ? entered : &view));
  leavingCall();
  mmapsync_close(reader);
}
static void leavingPrepare(void) {
  readingPrepare();
  readingCall();
  OK(reader, readCode);
}
static void leavingAfter(void) { mmapsync_close(reader); }

static pid_t begin(void (*prepare)(void), void (*call)(void), void (*after)(void)) {
  pid_t pid = stepStart(prepare, call, after);
  sequence++; /* it has published once */
  return pid;
}

static mmapsync *writerBegin(uint32_t grace_ms) {
  mmapsync *writer;
  stepSetUp();
  channelRemove();
  sequence = 0;
  writer = channelOpenGrace(grace_ms);
  publish(writer);
  publish(writer);
  return writer;
}

/* A publish in two halves, with the child's call going on between them. */
static void publishBegin(mmapsync *writer) {
  void *data;
  OK(writer, mmapsync_write_begin(writer, 128, &data));
  memset(data, 0xee, 128);
}
static void publishEnd(mmapsync *writer) {
  mmapsync_result result;
  void *data;
  OK(writer, mmapsync_write_grow(writer, 128, &data));
  payloadFill(data, sequence + 1);
  OK(writer, mmapsync_write_commit(writer, payloadSize(sequence + 1), MMAPSYNC_KIND_RAW, &result));
  CHECK(result.reset == 0);
  sequence++;
}

static void reading(int publishes, int begun) {
  mmapsync *writer = writerBegin(GRACE_MS);
  long n;
  int i, on;
  for (n = 0, on = 1; on; n += STRIDE) {
    pid_t pid = begin(readingPrepare, readingCall, readingAfter);
    snprintf(checkAbout, sizeof(checkAbout), "%d publishes, %d begun, at instruction %ld",
             publishes, begun, n);
    on = step(pid, n);
    for (i = 0; i < publishes; i++) CHECK(publish(writer) == 0);
    if (begun) publishBegin(writer);
    stepRest(pid);
    if (begun) publishEnd(writer);
    for (i = 0; i < 3; i++) CHECK(publish(writer) == 0);
    stepEnd(pid);
  }
  CHECK(n > 20);
  mmapsync_close(writer);
}

static void caseReading(void) {
  pins = MMAPSYNC_PIN_SLOT;
  for (entering = 0; entering < 2; entering++) {
    reading(entering, 1);
    reading(2 + entering, !entering);
  }
}

static void caseReadingByLock(void) {
  pins = MMAPSYNC_PIN_LOCK;
  reading(1, 1);
  reading(2, 0);
}

static void leaving(void) {
  mmapsync *writer = writerBegin(GRACE_MS);
  uint64_t word[16];
  mmapsync_result result;
  long n;
  int i, on, publishes;
  for (publishes = 0; publishes <= 2; publishes += 2) {
    for (n = 0, on = 1; on; n += SPARSE) {
      pid_t pid = begin(leavingPrepare, leavingCall, leavingAfter);
      snprintf(checkAbout, sizeof(checkAbout), "%d publishes at instruction %ld", publishes, n);
      on = step(pid, n);
      for (i = 0; i < publishes; i++) CHECK(publish(writer) == 0);
      stepRest(pid);
      for (i = 0; i < 2; i++) {
        payloadFill(word, sequence + 1);
        OK(writer, mmapsync_write(writer, word, payloadSize(sequence + 1), &result));
        CHECK(result.replaced == 0 && result.reset == 0 && result.held == 0);
        sequence++;
      }
      stepEnd(pid);
    }
    CHECK(n > 10);
  }
  mmapsync_close(writer);
}

static void caseLeaving(void) {
  pins = MMAPSYNC_PIN_SLOT;
  for (entering = 0; entering < 2; entering++) leaving();
}

static void caseLeavingByLock(void) {
  pins = MMAPSYNC_PIN_LOCK;
  leaving();
}

static void dying(void) {
  mmapsync *writer = writerBegin(1000 * 2 * CHECK_SECONDS);
  uint64_t word[16];
  mmapsync_result result;
  long n;
  int i, on, status;
  for (n = 0, on = 1; on; n += SPARSE) {
    pid_t pid = begin(readingPrepare, readingCall, readingAfter);
    snprintf(checkAbout, sizeof(checkAbout), "at instruction %ld", n);
    on = step(pid, n);
    CHECK(kill(pid, SIGKILL) == 0);
    CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
    for (i = 0; i < 2; i++) {
      payloadFill(word, sequence + 1);
      OK(writer, mmapsync_write(writer, word, payloadSize(sequence + 1), &result));
      CHECK(result.replaced == 0 && result.reset == 0 && result.held == 0);
      sequence++;
    }
  }
  CHECK(n > 20);
  mmapsync_close(writer);
}

static void caseDying(void) {
  pins = MMAPSYNC_PIN_SLOT;
  for (entering = 0; entering < 2; entering++) dying();
}

static void caseDyingByLock(void) {
  pins = MMAPSYNC_PIN_LOCK;
  dying();
}

/* Somebody who does not keep to the protocol resets the channel, for a moment: the reader has its view, or has found
** nothing published, and in neither case leaves a pin. */
static void resetAfter(void) {
  if (readCode == MMAPSYNC_EMPTY) readingCall();
  OK(reader, readCode);
  CHECK(payloadWhole(entering ? entered : &view));
  leavingCall();
}

static void resetting(int stride) {
  static const uint64_t nothing;
  mmapsync *writer = writerBegin(GRACE_MS);
  uint64_t word;
  long n;
  int on;
  for (n = 0, on = 1; on; n += stride) {
    pid_t pid = begin(readingPrepare, readingCall, resetAfter);
    snprintf(checkAbout, sizeof(checkAbout), "at instruction %ld", n);
    on = step(pid, n);
    CHECK(fileGet("_state", &word, sizeof(word)) == sizeof(word));
    filePoke("_state", 0, &nothing, sizeof(nothing));
    stepRest(pid);
    filePoke("_state", 0, &word, sizeof(word));
    stepEnd(pid);
    PINS(writer, 0, 0);
    CHECK(publish(writer) == 0);
    CHECK(publish(writer) == 0);
  }
  CHECK(n > 20);
  mmapsync_close(writer);
}

static void caseReset(void) {
  pins = MMAPSYNC_PIN_SLOT;
  for (entering = 0; entering < 2; entering++) resetting(STRIDE);
  entering = 0;
  pins = MMAPSYNC_PIN_COUNTER;
  resetting(STRIDE);
}

static const CheckCase cases[] = {
    {"reading", caseReading},
    {"reading-by-lock", caseReadingByLock},
    {"leaving", caseLeaving},
    {"leaving-by-lock", caseLeavingByLock},
    {"reset", caseReset},
    {"dying", caseDying},
    {"dying-by-lock", caseDyingByLock},
    {NULL, NULL},
};

int main(int argc, char **argv) { return checkMain(argc, argv, cases); }
