#define _GNU_SOURCE
/*
** crash_check.c - a writer, or a reader, that is killed before and after each of its system calls in turn.
**
** A child publishes, or attaches and reads, with functions of this file in the table of system calls (sys.h).
** They count, and at the nth of their marks, one before and one after each call, the child kills itself: the
** 1st, the 2nd, ..., until a run completes.  The marks also part what the publish does in memory: the rename
** from the switch, and the switch from the wake.  After each death
**
**     - a handle that comes now, and one that was attached with its files mapped, find the snapshot from
**       before, whole, or the new one; and the later the death, never again the one from before;
**     - the view of a reader that was in the writer's way is what it was, before and after what comes next;
**     - the next publish works, waits for nobody but that reader, and numbers its snapshot one higher than
**       the one in force; no new file is left over; whoever waited for it is woken.
**
** Sleeps of the child only move its clock, so a grace time costs no time, and the marks are the same in each
** run.  step_check.c does the same between any two instructions, for publishes without readers.
*/
#include "check_peer.h"

#include <sched.h>
#include <sys/file.h>
#include <time.h>

#include "slots.h"
#include "sys.h"
#include "version.h"

/* ---- dying at a mark ---------------------------------------------------------------------------- */

static long markNow;   /* marks passed */
static long markFatal; /* the one to die at */
static time_t clockAhead_s;
static long clockAhead_ns;

static void mark(void) {
  if (++markNow == markFatal) raise(SIGKILL);
}

static int crashOpen(const char *name, int flags, mode_t mode) {
  int rc;
  mark();
  rc = open(name, flags, mode);
  mark();
  return rc;
}

/* A function for the table that marks, calls, and marks. */
#define CRASH_CALL(type, name, call, parameters, arguments)                                        \
  static type name parameters {                                                                    \
    type rc;                                                                                       \
    mark();                                                                                        \
    rc = call arguments;                                                                           \
    mark();                                                                                        \
    return rc;                                                                                     \
  }
CRASH_CALL(int, crashClose, close, (int fd), (fd))
CRASH_CALL(ssize_t, crashRead, read, (int fd, void *to, size_t n), (fd, to, n))
CRASH_CALL(ssize_t, crashReadAt, pread, (int fd, void *to, size_t n, off_t at), (fd, to, n, at))
CRASH_CALL(ssize_t, crashWriteAt, pwrite, (int fd, const void *from, size_t n, off_t at),
           (fd, from, n, at))
CRASH_CALL(int, crashFstat, fstat, (int fd, struct stat *out), (fd, out))
CRASH_CALL(int, crashStat, stat, (const char *name, struct stat *out), (name, out))
CRASH_CALL(int, crashTruncate, ftruncate, (int fd, off_t length), (fd, length))
CRASH_CALL(int, crashReserve, posix_fallocate, (int fd, off_t at, off_t n), (fd, at, n))
CRASH_CALL(void *, crashMap, mmap, (void *p, size_t n, int prot, int flags, int fd, off_t at),
           (p, n, prot, flags, fd, at))
CRASH_CALL(void *, crashRemap, mremap, (void *p, size_t was, size_t n, int flags),
           (p, was, n, flags))
CRASH_CALL(int, crashUnmap, munmap, (void *p, size_t n), (p, n))
CRASH_CALL(int, crashSync, fsync, (int fd), (fd))
CRASH_CALL(int, crashSyncData, fdatasync, (int fd), (fd))
CRASH_CALL(int, crashLock, flock, (int fd, int operation), (fd, operation))
CRASH_CALL(int, crashRename, rename, (const char *from, const char *to), (from, to))
CRASH_CALL(int, crashUnlink, unlink, (const char *name), (name))
CRASH_CALL(int, crashChmod, fchmod, (int fd, mode_t mode), (fd, mode))
CRASH_CALL(int, crashChown, fchown, (int fd, uid_t owner, gid_t group), (fd, owner, group))
CRASH_CALL(int, crashBytes, fcntl, (int fd, int command, struct flock *lock), (fd, command, lock))
CRASH_CALL(char *, crashRealPath, realpath, (const char *name, char *out), (name, out))
CRASH_CALL(int, crashAdvise, madvise, (void *p, size_t n, int advice), (p, n, advice))

typedef long (*FutexFunction)(uint32_t *, int, uint32_t, const struct timespec *);
static FutexFunction futexOriginal;
CRASH_CALL(long, crashFutex, futexOriginal,
           (uint32_t * word, int operation, uint32_t value, const struct timespec *t),
           (word, operation, value, t))

static int crashSleep(const struct timespec *t, struct timespec *left) {
  (void)left;
  mark();
  clockAhead_s += t->tv_sec;
  clockAhead_ns += t->tv_nsec;
  if (clockAhead_ns >= 1000000000) {
    clockAhead_ns -= 1000000000;
    clockAhead_s++;
  }
  return 0;
}

/* Stands still but for the sleeps. */
static int crashClock(clockid_t clock, struct timespec *t) {
  mark();
  if (clock != CLOCK_MONOTONIC) return clock_gettime(clock, t);
  t->tv_sec = 1000 + clockAhead_s;
  t->tv_nsec = clockAhead_ns;
  return 0;
}

static const struct {
  const char *name;
  SysFunction fn;
} crashCalls[] = {
    {"open", (SysFunction)crashOpen},         {"close", (SysFunction)crashClose},
    {"read", (SysFunction)crashRead},         {"fstat", (SysFunction)crashFstat},
    {"stat", (SysFunction)crashStat},         {"ftruncate", (SysFunction)crashTruncate},
    {"mmap", (SysFunction)crashMap},          {"posix_fallocate", (SysFunction)crashReserve},
    {"mremap", (SysFunction)crashRemap},      {"munmap", (SysFunction)crashUnmap},
    {"fsync", (SysFunction)crashSync},        {"fdatasync", (SysFunction)crashSyncData},
    {"flock", (SysFunction)crashLock},        {"rename", (SysFunction)crashRename},
    {"unlink", (SysFunction)crashUnlink},     {"fchmod", (SysFunction)crashChmod},
    {"fchown", (SysFunction)crashChown},      {"fcntl", (SysFunction)crashBytes},
    {"madvise", (SysFunction)crashAdvise},    {"futex", (SysFunction)crashFutex},
    {"nanosleep", (SysFunction)crashSleep},   {"clock_gettime", (SysFunction)crashClock},
    {"realpath", (SysFunction)crashRealPath}, {"pread", (SysFunction)crashReadAt},
    {"pwrite", (SysFunction)crashWriteAt},
};

/* From now on the calls of this process count, and the one at mark n is its last. */
static void crashAt(long n) {
  size_t i;
  markNow = 0;
  markFatal = n;
  futexOriginal = (FutexFunction)sysGet("futex");
  for (i = 0; i < sizeof(crashCalls) / sizeof(*crashCalls); i++) {
    if (sysSet(crashCalls[i].name, crashCalls[i].fn) != 0) _exit(3);
  }
}

/* A call that has been added to the table must be added here. */
static void caseAllCalls(void) {
  size_t k;
  int i;
  for (i = 0; sysName(i); i++) {
    for (k = 0; k < sizeof(crashCalls) / sizeof(*crashCalls); k++) {
      if (strcmp(crashCalls[k].name, sysName(i)) == 0) break;
    }
    if (k == sizeof(crashCalls) / sizeof(*crashCalls) && strcmp(sysName(i), "dup") != 0) {
      checkFail(__LINE__, "%s is not called by way of this file", sysName(i));
    }
  }
}

/* ---- sorts of publish --------------------------------------------------------------------------- */

#define WORDS_HUGE ((size_t)1 << 18) /* 2 MiB: long enough to be cut back */

typedef struct Sort {
  int before;  /* snapshots that are there; the first of them huge, if it shrinks */
  int warm;    /* snapshots that the handle that dies has published itself before */
  int durable; /* options.durable */
  int lock;    /* MMAPSYNC_LOCK_... */
  int stuck;   /* a kind of pin: a reader holds the file that is to be written */
  int own;     /* so does the writer's process */
  int waiter;  /* somebody sleeps until the next publish */
  int grows;   /* it is done in place, and grows while it is written */
  int shrinks;
  size_t words; /* of the snapshot that is published */
} Sort;

static int unsaid; /* runs that ended between a rename and what tells readers and writers of it */

/* The child's part: publishes payload `number`, and dies at mark n. */
static void writerDies(const Sort *s, uint64_t number, long n) {
  mmapsync_options opt;
  mmapsync *h, *own = NULL;
  mmapsync_view view;
  uint64_t i;

  mmapsync_options_init(&opt);
  opt.grace_ms = 3;
  opt.durable = s->durable;
  opt.lock = s->lock;
  OK(h, mmapsync_open(checkPath, &opt, &h));
  for (i = number - (uint64_t)s->warm; i < number; i++) {
    PUBLISH(h, i, 100, NULL);
    if (s->own && !own && i + 2 == number) {
      own = openReader(MMAPSYNC_PIN_SLOT);
      OK(own, mmapsync_read(own, &view));
    }
  }
  crashAt(n);
  if (s->grows) {
    uint64_t *word;
    void *data;
    OK(h, mmapsync_write_begin(h, 80, &data));
    OK(h, mmapsync_write_grow(h, 8 * s->words, &data));
    word = data;
    payloadFill(word, number, s->words);
    OK(h, mmapsync_write_commit(h, 8 * s->words, MMAPSYNC_KIND_RAW, NULL));
  } else {
    PUBLISH(h, number, s->words, NULL);
  }
  _exit(0);
}

/* Publishes; who pins the file that is written is in the way, and nobody else.  Returns the files that are
** still pinned by their names. */
static unsigned publishAfter(mmapsync *h, uint64_t number, uint64_t sequence, unsigned pinned) {
  mmapsync_result r;
  PUBLISH(h, number, 120, &r);
  CHECK(r.sequence == sequence);
  CHECK(r.reset == 0);
  if (pinned >> versionIndex(r.version) & 1) {
    CHECK(r.replaced == 1 && r.held == 1);
  } else {
    FREE(&r);
  }
  CHECK(fileSize("_data_0_new") < 0 && fileSize("_data_1_new") < 0);
  return pinned & ~(1u << versionIndex(r.version));
}

/* Waits until a reader has said that it sleeps. */
static void waiterSleeps(void) {
  const off_t at = (off_t)offsetof(SlotsShared, waiting);
  int fd = open(fileName("_readers"), O_RDONLY);
  uint32_t waiting = 0;
  CHECK(fd >= 0);
  while (!waiting) {
    CHECK(pread(fd, &waiting, sizeof(waiting), at) == (ssize_t)sizeof(waiting));
    sched_yield();
  }
  close(fd);
}

/* What is there after the death: `old` or `new`; 1 if it is the new one.  An old one of 0 is none. */
static int found(mmapsync *h, uint64_t old, uint64_t new, uint64_t *sequence) {
  mmapsync_view view;
  uint64_t number;
  int rc = mmapsync_read(h, &view);
  *sequence = 0;
  if (rc == MMAPSYNC_EMPTY && old == 0) return 0;
  if (rc != MMAPSYNC_OK) checkFail(__LINE__, "code %d, %s", rc, mmapsync_errmsg(h));
  number = payloadNumber(view.data, view.size);
  if (number != new && (number != old || old == 0)) {
    checkFail(__LINE__, "expected payload %llu or %llu, found %llu", (unsigned long long)old,
              (unsigned long long)new, (unsigned long long)number);
  }
  *sequence = view.sequence;
  CHECK(view.sequence == number);
  mmapsync_release(h, &view);
  OK(h, mmapsync_verify(h));
  return number == new;
}

/* Of the files that were pinned, those whose pins the next publish must wait for: the dead writer had not said
** that they have lost the name. */
static unsigned stillPinned(unsigned pinned) {
  PageShared *page;
  unsigned i;
  if (pinned == 0) return 0; /* there may be no P_writer */
  page = pageNow(PROT_READ);
  for (i = 0; i < 2; i++) {
    if (atomic_load(&page->from[i]) != 0) pinned &= ~(1u << i);
    if (atomic_load(&page->replaced[i]) & 1)
      unsaid += fileSize(i ? "_data_1_new" : "_data_0_new") < 0;
  }
  munmap(page, PAGE_SIZE_BYTES);
  return pinned;
}

/* One run, which dies at mark n.  0 if it completed; *renewed is what the one before found. */
static int crashOnce(const Sort *s, long n, int *renewed) {
  mmapsync *base = openWriter(0), *attached = openReader(MMAPSYNC_PIN_AUTO);
  mmapsync *stuck = NULL, *next, *late, *locks;
  mmapsync_view view, none;
  uint64_t number, new = (uint64_t)(s->before + s->warm) + 1, sequence, other;
  unsigned pinned = 0;
  int status = 0, is, i;
  Peer waiter = {0, -1, -1};
  pid_t pid;

  snprintf(checkAbout, sizeof(checkAbout), "mark %ld", n);
  filesRemove();
  if (!s->before) CHECK(mmapsync_read(attached, &none) == MMAPSYNC_EMPTY);
  for (number = 1; number <= (uint64_t)s->before; number++) {
    PUBLISH(base, number, s->shrinks && number == 1 ? WORDS_HUGE : 100, NULL);
    READS(attached, number);
    if (s->stuck && number == (uint64_t)s->before - 1) {
      stuck = openReader(s->stuck);
      OK(stuck, mmapsync_read(stuck, &view));
      pinned = 1u << versionIndex(view.version);
    }
  }
  mmapsync_close(base);
  if (s->waiter) {
    waiter = peerStart(MMAPSYNC_PIN_SLOT);
    peerTell(&waiter, PEER_WAIT, 0, new - 1);
    waiterSleeps();
  }
  fflush(stdout);
  pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    alarm(60);
    writerDies(s, new, n);
  }
  CHECK(waitpid(pid, &status, 0) == pid);
  if (WIFSIGNALED(status)) {
    CHECK(WTERMSIG(status) == SIGKILL);
  } else {
    CHECK(status == 0);
  }

  late = openReader(MMAPSYNC_PIN_AUTO);
  locks = openReader(MMAPSYNC_PIN_AUTO);
  is = found(late, new - 1, new, &sequence);
  CHECK(found(attached, new - 1, new, &other) == is && other == sequence);
  CHECK(is >= *renewed && (status != 0 || is));
  *renewed = is;
  if (stuck) WHOLE(&view, s->before - 1);
  pinned = stillPinned(pinned);
  CHECK(!is || pinned == 0);
  next = openWriter(2);
  for (i = 1; i <= 3; i++) {
    pinned = publishAfter(next, sequence + (uint64_t)i, sequence + (uint64_t)i, pinned);
    READS(attached, sequence + (uint64_t)i);
    READS(late, sequence + (uint64_t)i);
    if (stuck) WHOLE(&view, s->before - 1);
  }
  if (s->waiter) {
    PeerMessage m = peerHear(&waiter);
    CHECK(m.rc == MMAPSYNC_OK && m.sequence >= new);
    peerEnd(&waiter);
  }
  if (stuck) {
    mmapsync_release(stuck, &view);
    READS(stuck, sequence + 3);
    mmapsync_close(stuck);
  }
  publishAfter(next, sequence + 4, sequence + 4, 0);
  READS(locks, sequence + 4);
  publishAfter(next, sequence + 5, sequence + 5, 0);
  READS(attached, sequence + 5);
  CHECK(!s->shrinks || (fileSize("_data_0") < 1 << 20 && fileSize("_data_1") < 1 << 20));
  mmapsync_close(next);
  mmapsync_close(locks);
  mmapsync_close(late);
  mmapsync_close(attached);
  checkAbout[0] = 0;
  return status != 0;
}

/* All runs of a sort.  `least`: marks there must be, so that a sort that does not do what it is for shows. */
static void sweep(const Sort *s, long least) {
  int renewed = 0;
  long n = 1;
  unsaid = 0;
  while (crashOnce(s, n, &renewed)) n++;
  CHECK(renewed && n > least && (unsaid != 0) == (s->stuck != 0));
}

#define SORT(name, least, ...)                                                                     \
  static void name(void) { sweep(&(const Sort){__VA_ARGS__}, least); }

SORT(caseFirst, 40, .words = 100)
SORT(caseFirstDurable, 45, .words = 100, .durable = 1)
SORT(caseFirstGrows, 40, .words = 50000, .grows = 1)
SORT(caseFresh, 20, .before = 2, .words = 100)
SORT(caseSteady, 8, .before = 2, .warm = 2, .words = 100)
SORT(caseSteadyHold, 2, .before = 2, .warm = 2, .words = 100, .lock = MMAPSYNC_LOCK_HOLD)
SORT(caseGrows, 10, .before = 2, .warm = 2, .words = 50000)
SORT(caseGrowsInPlace, 10, .before = 2, .warm = 1, .words = 50000, .grows = 1)
SORT(caseDurable, 20, .before = 2, .words = 100, .durable = 1)
SORT(caseDurableWarm, 12, .before = 2, .warm = 2, .words = 100, .durable = 1)
SORT(caseStuckSlot, 40, .before = 2, .words = 100, .stuck = MMAPSYNC_PIN_SLOT)
SORT(caseStuckLock, 40, .before = 2, .words = 100, .stuck = MMAPSYNC_PIN_LOCK)
SORT(caseStuckDurable, 40, .before = 2, .words = 100, .stuck = MMAPSYNC_PIN_SLOT, .durable = 1)
SORT(caseStuckGrows, 40, .before = 2, .words = 50000, .stuck = MMAPSYNC_PIN_SLOT, .grows = 1)
SORT(caseStuckOwn, 14, .before = 2, .warm = 2, .words = 100, .own = 1)
SORT(caseShrinks, 24, .before = 4, .words = 100, .shrinks = 1)
SORT(caseWaiter, 20, .before = 2, .words = 100, .waiter = 1)
SORT(caseWaiterDurable, 20, .before = 2, .words = 100, .waiter = 1, .durable = 1)

/* ---- readers ------------------------------------------------------------------------------------ */

/* A reader that dies anywhere from its first call to its last: the next publishes cost nothing. */
static void readersDie(int kind, int nested, long least) {
  long n;
  int status = 1;
  for (n = 1; status != 0; n++) {
    mmapsync *w = openWriter(60000), *h;
    mmapsync_view view[2];
    mmapsync_result r;
    uint64_t i;
    pid_t pid;

    snprintf(checkAbout, sizeof(checkAbout), "mark %ld", n);
    filesRemove();
    PUBLISH(w, 1, 100, NULL);
    PUBLISH(w, 2, 100, NULL);
    fflush(stdout);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
      alarm(60);
      crashAt(n);
      h = openReader(kind);
      OK(h, mmapsync_read(h, &view[0]));
      if (nested) {
        OK(w, payloadWrite(w, 3, 100, NULL));
        OK(h, mmapsync_read(h, &view[1]));
        mmapsync_release(h, &view[0]);
        mmapsync_release(h, &view[1]);
      } else {
        mmapsync_release(h, &view[0]);
      }
      mmapsync_close(h);
      _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(status == 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
    OK(w, mmapsync_sequence(w, &i));
    for (i++; i <= 6; i++) {
      PUBLISH(w, i, 100, &r);
      FREE(&r);
    }
    h = openReader(MMAPSYNC_PIN_AUTO);
    OK(h, mmapsync_read(h, &view[0]));
    WHOLE(&view[0], 6);
    CHECK(view[0].pin == MMAPSYNC_PIN_SLOT);
    mmapsync_release(h, &view[0]);
    mmapsync_close(h);
    mmapsync_close(w);
  }
  checkAbout[0] = 0;
  CHECK(n > least);
}
static void caseReaderSlot(void) { readersDie(MMAPSYNC_PIN_SLOT, 0, 20); }
static void caseReaderSlotNested(void) { readersDie(MMAPSYNC_PIN_SLOT, 1, 30); }
static void caseReaderLock(void) { readersDie(MMAPSYNC_PIN_LOCK, 0, 20); }
static void caseReaderLockNested(void) { readersDie(MMAPSYNC_PIN_LOCK, 1, 30); }

static const CheckCase cases[] = {
    {"all-system-calls-are-marked", caseAllCalls},
    {"first-publish", caseFirst},
    {"first-publish-durable", caseFirstDurable},
    {"first-publish-that-grows", caseFirstGrows},
    {"publish-by-a-new-handle", caseFresh},
    {"steady-publish", caseSteady},
    {"steady-publish-lock-held", caseSteadyHold},
    {"growing-publish", caseGrows},
    {"growing-publish-in-place", caseGrowsInPlace},
    {"durable-publish", caseDurable},
    {"durable-publish-steady", caseDurableWarm},
    {"publish-over-a-stuck-slot", caseStuckSlot},
    {"publish-over-a-stuck-lock", caseStuckLock},
    {"publish-over-a-stuck-slot-durable", caseStuckDurable},
    {"publish-over-a-stuck-slot-that-grows", caseStuckGrows},
    {"publish-over-the-writers-own-view", caseStuckOwn},
    {"shrinking-publish", caseShrinks},
    {"publish-with-a-waiter", caseWaiter},
    {"publish-with-a-waiter-durable", caseWaiterDurable},
    {"reader-by-slot", caseReaderSlot},
    {"reader-by-slot-nested", caseReaderSlotNested},
    {"reader-by-lock", caseReaderLock},
    {"reader-by-lock-nested", caseReaderLockNested},
    {NULL, NULL},
};

int main(int argc, char **argv) { return checkMain(argc, argv, cases); }
