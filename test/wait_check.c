#define _GNU_SOURCE
/*
** wait_check.c - mmapsync_wait(): who sleeps is woken, and who does not costs the writer nothing.
**
** A waiter that is meant to be woken is given a futex() that never times out: it returns when the writer
** wakes it, or not at all.  A waiter that nobody wakes must come without that.  What the writer does is
** counted.
*/
#include "check_peer.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>

#include "slots.h"
#include "sys.h"
#include "version.h"

/* ---- in place of futex() ------------------------------------------------------------------------ */

static long wakes; /* calls of this process to wake */

static long futexCount(uint32_t *word, int operation, uint32_t value, const struct timespec *t) {
  if ((operation & FUTEX_CMD_MASK) == FUTEX_WAKE) wakes++;
  return syscall(SYS_futex, word, operation, value, t, NULL, 0);
}

static long futexForEver(uint32_t *word, int operation, uint32_t value, const struct timespec *t) {
  (void)t;
  return syscall(SYS_futex, word, operation, value, NULL, NULL, 0);
}

static mmapsync *prepareForEver(void) {
  sysSet("futex", (SysFunction)futexForEver);
  return NULL;
}

/* Waits until a reader has said that it sleeps until the next publish. */
static void sleeps(void) {
  int fd = open(fileName("_readers"), O_RDONLY);
  uint32_t waiting = 0;
  CHECK(fd >= 0);
  while (!waiting) {
    CHECK(pread(fd, &waiting, sizeof(waiting), (off_t)offsetof(SlotsShared, waiting)) ==
          (ssize_t)sizeof(waiting));
    sched_yield();
  }
  close(fd);
}

/* ---- waiting ------------------------------------------------------------------------------------ */

static void caseWoken(void) {
  mmapsync *w = openWriter(1000);
  PeerMessage m;
  uint64_t i;
  Peer p;

  PUBLISH(w, 1, 100, NULL);
  p = peerStartWith(MMAPSYNC_PIN_AUTO, prepareForEver);
  m = peerAsk(&p, PEER_WAIT, 0, 0); /* is there already */
  CHECK(m.rc == MMAPSYNC_OK && m.sequence == 1);
  for (i = 1; i < 200; i++) {
    peerTell(&p, PEER_WAIT, 0, i);
    if (i % 4) sleeps(); /* or is just about to */
    PUBLISH(w, i + 1, 100, NULL);
    m = peerHear(&p);
    CHECK(m.rc == MMAPSYNC_OK && m.sequence == i + 1);
  }
  /* for a number that is not the next */
  peerTell(&p, PEER_WAIT, 0, i + 2);
  for (; i < 203; i++) {
    sleeps();
    PUBLISH(w, i + 1, 100, NULL);
  }
  m = peerHear(&p);
  CHECK(m.rc == MMAPSYNC_OK && m.sequence == 203);
  peerEnd(&p);
  mmapsync_close(w);
}

static void caseWokenAll(void) {
  mmapsync *w = openWriter(1000);
  PeerMessage m;
  Peer p[6];
  uint64_t round;
  int i;

  PUBLISH(w, 1, 100, NULL);
  for (i = 0; i < 6; i++) p[i] = peerStartWith(MMAPSYNC_PIN_SLOT, prepareForEver);
  for (round = 1; round < 50; round++) {
    for (i = 0; i < 6; i++) peerTell(&p[i], PEER_WAIT, 0, round);
    sleeps();
    PUBLISH(w, round + 1, 100, NULL);
    for (i = 0; i < 6; i++) {
      m = peerHear(&p[i]);
      CHECK(m.rc == MMAPSYNC_OK && m.sequence == round + 1);
    }
  }
  for (i = 0; i < 6; i++) peerEnd(&p[i]);
  mmapsync_close(w);
}

/* No system call to wake when nobody waits; one when somebody does. */
static void caseCounted(void) {
  mmapsync *w = openWriter(1000), *h = openReader(MMAPSYNC_PIN_SLOT);
  uint64_t i;
  Peer p, l;

  sysSet("futex", (SysFunction)futexCount);
  PUBLISH(w, 1, 100, NULL);
  READS(h, 1);
  p = peerStart(MMAPSYNC_PIN_SLOT);
  l = peerStart(MMAPSYNC_PIN_LOCK);
  PEER_PINS(&p, 0, 1);
  PEER_RELEASES(&p, 0);
  PEER_PINS(&l, 0, 1);
  PEER_RELEASES(&l, 0);
  for (i = 2; i < 20; i++) PUBLISH(w, i, 100, NULL);
  CHECK(wakes == 0);
  for (; i < 30; i++) {
    peerTell(&p, PEER_WAIT, 0, i - 1);
    sleeps();
    CHECK(wakes == 0);
    PUBLISH(w, i, 100, NULL);
    CHECK(wakes == 1);
    CHECK(peerHear(&p).sequence == i);
    wakes = 0;
  }
  PUBLISH(w, i, 100, NULL); /* all have got what they waited for */
  CHECK(wakes == 0);
  /* Who died while it waited costs one call, once. */
  peerTell(&p, PEER_WAIT, 0, i);
  sleeps();
  peerKill(&p);
  PUBLISH(w, ++i, 100, NULL);
  CHECK(wakes == 1);
  PUBLISH(w, ++i, 100, NULL);
  CHECK(wakes == 1);
  wakes = 0;
  /* Who may not write P_readers looks by itself. */
  peerTell(&l, PEER_WAIT, 0, i);
  PUBLISH(w, ++i, 100, NULL);
  CHECK(peerHear(&l).sequence == i);
  CHECK(wakes == 0);
  peerEnd(&l);
  mmapsync_close(h);
  mmapsync_close(w);
}

static uint64_t steadyNow(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void timesOut(int kind) {
  mmapsync *w = openWriter(1000), *h = openReader(kind);
  uint64_t newer = 77, start;

  PUBLISH(w, 1, 100, NULL);
  FAILS(h, mmapsync_wait(h, 1, 0, &newer), MMAPSYNC_TIMEOUT, "\"%s\": nothing newer within 0 ms",
        checkPath);
  start = steadyNow();
  FAILS(h, mmapsync_wait(h, 1, 80, &newer), MMAPSYNC_TIMEOUT, "\"%s\": nothing newer within 80 ms",
        checkPath);
  CHECK(steadyNow() - start >= 80000000u);
  FAILS(h, mmapsync_wait(h, 1000, 1, &newer), MMAPSYNC_TIMEOUT, "\"%s\": nothing newer within 1 ms",
        checkPath);
  CHECK(newer == 77);
  OK(h, mmapsync_wait(h, 0, 0, &newer));
  CHECK(newer == 1);
  PUBLISH(w, 2, 100, NULL);
  OK(h, mmapsync_wait(h, 1, 0, &newer));
  CHECK(newer == 2);
  READS(h, 2);
  mmapsync_close(h);
  mmapsync_close(w);
}
static void caseTimeout(void) { eachKind(timesOut); }

static void caseTimeoutNothing(void) {
  mmapsync *h = openReader(MMAPSYNC_PIN_AUTO);
  uint64_t newer;
  FAILS(h, mmapsync_wait(h, 0, 10, &newer), MMAPSYNC_TIMEOUT, "\"%s\": nothing newer within 10 ms",
        checkPath);
  filePut("_state", "", 0); /* begun, and not finished */
  FAILS(h, mmapsync_wait(h, 0, 10, &newer), MMAPSYNC_TIMEOUT, "\"%s\": nothing newer within 10 ms",
        checkPath);
  mmapsync_close(h);
}

/* A timeout is a result like the others, and has words. */
static void caseTimeoutName(void) {
  CHECK(strcmp(mmapsync_errstr(MMAPSYNC_TIMEOUT), mmapsync_errstr(-1)) != 0);
}

static int progressCount(void *arg) { return --*(int *)arg == 0; }

static void interrupted(int kind) {
  mmapsync *w = openWriter(1000), *h;
  mmapsync_options opt;
  uint64_t newer;
  int left = 3;

  PUBLISH(w, 1, 100, NULL);
  mmapsync_options_init(&opt);
  opt.pins = kind;
  opt.progress = progressCount;
  opt.progress_arg = &left;
  OK(h, mmapsync_open(checkPath, &opt, &h));
  FAILS(h, mmapsync_wait(h, 1, UINT32_MAX, &newer), MMAPSYNC_INTERRUPT, "interrupted");
  CHECK(left == 0);
  left = 3;
  FAILS(h, mmapsync_wait(h, 1, UINT32_MAX, &newer), MMAPSYNC_INTERRUPT, "interrupted");
  READS(h, 1);
  mmapsync_close(h);
  mmapsync_close(w);
}
static void caseInterrupt(void) { eachKind(interrupted); }

/* The first snapshot of a channel that is not there when the wait begins; the waiter then is as any other. */
static void caseFirst(void) {
  mmapsync *w;
  PeerMessage m;
  Peer p[3];
  int i;

  for (i = 0; i < 3; i++) {
    p[i] = peerStart(MMAPSYNC_PIN_AUTO);
    peerTell(&p[i], PEER_WAIT, 0, 0);
  }
  w = openWriter(1000);
  PUBLISH(w, 1, 100, NULL);
  for (i = 0; i < 3; i++) {
    m = peerHear(&p[i]);
    CHECK(m.rc == MMAPSYNC_OK && m.sequence == 1);
    CHECK(peerAsk(&p[i], PEER_KIND, 0, 0).pin == MMAPSYNC_PIN_SLOT);
    peerTell(&p[i], PEER_WAIT, 0, 1);
  }
  sleeps();
  PUBLISH(w, 2, 100, NULL);
  for (i = 0; i < 3; i++) {
    CHECK(peerHear(&p[i]).sequence == 2);
    peerEnd(&p[i]);
  }
  mmapsync_close(w);
}

/* A channel that is removed and made anew while somebody waits. */
static void caseAnew(void) {
  mmapsync *w = openWriter(1000);
  PeerMessage m;
  Peer p;

  PUBLISH(w, 1, 100, NULL);
  mmapsync_close(w);
  p = peerStart(MMAPSYNC_PIN_AUTO);
  CHECK(peerAsk(&p, PEER_WAIT, 0, 0).sequence == 1);
  filesRemove();
  peerTell(&p, PEER_WAIT, 0, 0);
  m = peerHear(&p); /* it has all it needs mapped, and stays with the old one */
  CHECK(m.rc == MMAPSYNC_OK && m.sequence == 1);
  peerEnd(&p);
}

/* Payload `number` as a writer of another kind would publish it: no trailer, nobody woken. */
static void publishForeign(uint64_t number) {
  uint64_t word[50], version;
  uint32_t none[2] = {0, 0};
  unsigned index = (unsigned)(number & 1);
  payloadFill(word, number, 50);
  version = versionMake(index, sizeof(word), number * 1234567);
  filePut(index ? "_data_1" : "_data_0", word, sizeof(word));
  if (fileSize("_state") < 0) {
    filePut("_state", none, sizeof(none));
    filePoke("_state", sizeof(none), none, sizeof(none));
  }
  filePoke("_state", 0, &version, sizeof(version));
}

static void caseForeign(void) {
  PeerMessage m;
  uint64_t i;
  Peer p = peerStart(MMAPSYNC_PIN_AUTO);

  publishForeign(1);
  m = peerAsk(&p, PEER_WAIT, 0, 0);
  CHECK(m.rc == MMAPSYNC_OK && m.sequence == 0);
  CHECK(peerAsk(&p, PEER_KIND, 0, 0).pin == MMAPSYNC_PIN_COUNTER);
  for (i = 2; i < 8; i++) {
    peerTell(&p, PEER_WAIT, 0, 0);
    publishForeign(i);
    m = peerHear(&p);
    CHECK(m.rc == MMAPSYNC_OK && m.sequence == 0);
    PEER_PINS(&p, 0, i);
    PEER_RELEASES(&p, 0);
  }
  peerEnd(&p);
}

/* The one that was told of is not told of again. */
static void caseForeignOnce(void) {
  mmapsync *h = openReader(MMAPSYNC_PIN_AUTO);
  uint64_t newer;
  publishForeign(1);
  OK(h, mmapsync_wait(h, 0, 0, &newer));
  CHECK(newer == 0);
  FAILS(h, mmapsync_wait(h, 0, 5, &newer), MMAPSYNC_TIMEOUT, "\"%s\": nothing newer within 5 ms",
        checkPath);
  publishForeign(2);
  OK(h, mmapsync_wait(h, 0, 0, &newer));
  FAILS(h, mmapsync_wait(h, 0, 0, &newer), MMAPSYNC_TIMEOUT, "\"%s\": nothing newer within 0 ms",
        checkPath);
  mmapsync_close(h);
}

/* Who waits where nothing can wake it, looks by itself: a channel that is made, and not published to yet. */
static void caseUnpublished(void) {
  static const uint64_t nothing[2] = {0, 0};
  mmapsync *h = openReader(MMAPSYNC_PIN_AUTO), *w;
  uint64_t newer;

  filePut("_state", nothing, sizeof(nothing));
  FAILS(h, mmapsync_wait(h, 0, 5, &newer), MMAPSYNC_TIMEOUT, "\"%s\": nothing newer within 5 ms",
        checkPath);
  w = openWriter(1000);
  PUBLISH(w, 1, 100, NULL);
  OK(h, mmapsync_wait(h, 0, 1000, &newer));
  CHECK(newer == 1);
  mmapsync_close(h);
  mmapsync_close(w);
}

/* Who has a slot, and then meets a writer of another kind, who wakes nobody. */
static void caseForeignAfter(void) {
  mmapsync *h = openReader(MMAPSYNC_PIN_AUTO), *w = openWriter(1000);
  uint64_t newer, i;

  PUBLISH(w, 1, 100, NULL);
  OK(h, mmapsync_wait(h, 0, 0, &newer));
  for (i = 2; i < 4; i++) {
    publishForeign(i);
    OK(h, mmapsync_wait(h, 1, 0, &newer));
    CHECK(newer == 0);
    FAILS(h, mmapsync_wait(h, 1, 5, &newer), MMAPSYNC_TIMEOUT, "\"%s\": nothing newer within 5 ms",
          checkPath);
  }
  PUBLISH(w, 4, 100, NULL);
  OK(h, mmapsync_wait(h, 1, 0, &newer));
  CHECK(newer == 2);
  mmapsync_close(h);
  mmapsync_close(w);
}

/* A writer that waits for another one: with a write of its own open, and trusting nobody. */
static void caseWriterWaits(void) {
  mmapsync *w = openWriter(1000), *apart, *other = openWriter(1000);
  uint64_t newer;
  void *data;

  PUBLISH(w, 1, 100, NULL);
  OK(w, mmapsync_write_begin(w, 80, &data));
  FAILS(w, mmapsync_wait(w, 1, 5, &newer), MMAPSYNC_TIMEOUT, "\"%s\": nothing newer within 5 ms",
        checkPath);
  payloadFill(data, 2, 10);
  OK(w, mmapsync_write_commit(w, 80, MMAPSYNC_KIND_RAW, NULL));
  OK(w, mmapsync_wait(w, 1, 0, &newer));
  CHECK(newer == 2);
  apart = openTrust(MMAPSYNC_TRUST_COPY, MMAPSYNC_PIN_AUTO, MMAPSYNC_LOCK_WRITE, 1000);
  PUBLISH(apart, 3, 100, NULL);
  FAILS(apart, mmapsync_wait(apart, 3, 5, &newer), MMAPSYNC_TIMEOUT,
        "\"%s\": nothing newer within 5 ms", checkPath);
  PUBLISH(other, 4, 100, NULL);
  OK(apart, mmapsync_wait(apart, 3, 1000, &newer));
  CHECK(newer == 4);
  mmapsync_close(apart);
  mmapsync_close(other);
  mmapsync_close(w);
}

/* mmapsync_wait() looks again, whatever the kernel says of its sleep. */
static int futexError;
static mmapsync *futexWriter; /* publishes in the sleep */
static long futexFails(uint32_t *word, int operation, uint32_t value, const struct timespec *time) {
  (void)word, (void)value, (void)time;
  if (operation == FUTEX_WAIT && futexWriter) {
    mmapsync *w = futexWriter;
    futexWriter = NULL;
    WRITE(w, "two");
  }
  errno = futexError;
  return -1;
}

static void caseWaitFutex(void) {
  static const int errors[] = {EAGAIN, EINTR, ETIMEDOUT, ENOSYS};
  mmapsync *h, *writer;
  uint64_t sequence;
  size_t i;

  for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
    channelRemove();
    h = channelOpen();
    writer = channelOpen();
    WRITE(writer, "one");
    OK(h, mmapsync_wait(h, 0, 1000, &sequence));
    CHECK(sequence == 1);
    futexError = errors[i];
    sysSet("futex", (SysFunction)futexFails);
    FAILS(h, mmapsync_wait(h, 1, 5, &sequence), MMAPSYNC_TIMEOUT,
          "\"%s\": nothing newer within 5 ms", checkPath);
    futexWriter = writer;
    OK(h, mmapsync_wait(h, 1, UINT32_MAX, &sequence));
    CHECK(sequence == 2 && !futexWriter);
    sysSet(NULL, NULL);
    PINS(h, 0, 0);
    mmapsync_close(writer);
    mmapsync_close(h);
  }
}

static const CheckCase cases[] = {
    {"who-waits-is-woken", caseWoken},
    {"all-who-wait-are-woken", caseWokenAll},
    {"the-writer-calls-only-if-somebody-waits", caseCounted},
    {"timeout", caseTimeout},
    {"timeout-without-a-channel", caseTimeoutNothing},
    {"timeout-has-a-name", caseTimeoutName},
    {"interrupt", caseInterrupt},
    {"first-snapshot", caseFirst},
    {"removed-channel", caseAnew},
    {"writer-of-another-kind", caseForeign},
    {"writer-of-another-kind-once", caseForeignOnce},
    {"not-published-yet", caseUnpublished},
    {"writer-of-another-kind-after-ours", caseForeignAfter},
    {"a-writer-waits", caseWriterWaits},
    {"whatever-the-kernel-says", caseWaitFutex},
    {NULL, NULL},
};

int main(int argc, char **argv) { return checkMain(argc, argv, cases); }
