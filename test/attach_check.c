#define _GNU_SOURCE
/*
** attach_check.c - attaching and what becomes of it: crowds, fork, exec, threads.
**
** Whether a reader lives is a question that the kernel answers, by a lock that goes with the last descriptor of
** an open file.  The cases make such descriptors go, or stay, in all the ways there are, and ask that a view
** is what it was for as long as it is held, that the dead cost nothing, that their slots are used again, and
** that what a child does with its copy of a handle is no matter of its parent's.
*/
#include "check_peer.h"

#include <pthread.h>
#include <sys/resource.h>

#include "sys.h"

/* ---- crowds ------------------------------------------------------------------------------------- */

#define CROWD       5000
#define CROWD_PARTS 20 /* processes, at most */
#define HANDLE_FDS  3  /* descriptors of a handle that reads by slot */

static int crowdShare; /* readers of each process */

/* Attaches them all, and gives one more handle to be told what to do. */
static mmapsync *prepareCrowd(void) {
  int i;
  for (i = 0; i < crowdShare - 1; i++) {
    mmapsync *h = openReader(MMAPSYNC_PIN_SLOT);
    READS(h, 1);
  }
  return openReader(MMAPSYNC_PIN_SLOT);
}

/* A reader that comes, reads, and dies; it may pin meanwhile. */
static void comeAndDie(int pinning) {
  int status = 0;
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    mmapsync *h = openReader(MMAPSYNC_PIN_SLOT);
    mmapsync_view view;
    if (mmapsync_read(h, &view) != MMAPSYNC_OK) _exit(1);
    if (!pinning) mmapsync_release(h, &view);
    _exit(0);
  }
  CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

static void caseCrowd(void) {
  mmapsync *w = openWriter(20);
  mmapsync_reader *readers = calloc(CROWD + 64, sizeof(*readers));
  mmapsync_result r;
  struct rlimit limit;
  Peer p[CROWD_PARTS];
  size_t i, n, alive;
  long long size;
  int parts;

  CHECK(readers && getrlimit(RLIMIT_NOFILE, &limit) == 0);
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
  CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  parts = 5;
  while (parts <= CROWD_PARTS && (rlim_t)(CROWD / parts + 100) * HANDLE_FDS > limit.rlim_cur)
    parts++;
  if (parts > CROWD_PARTS) checkSkip("too few open files are permitted");
  crowdShare = CROWD / parts;
  PUBLISH(w, 1, 100, NULL);
  for (i = 0; i < (size_t)parts; i++) p[i] = peerStartWith(MMAPSYNC_PIN_SLOT, prepareCrowd);
  for (i = 0; i < (size_t)parts; i++) PEER_PINS(&p[i], 0, 1);
  OK(w, mmapsync_readers(w, readers, CROWD + 64, &n));
  CHECK(n == (size_t)(parts * crowdShare) && slotsEver() == n);
  for (i = 0; i < n; i++) CHECK(readers[i].alive && readers[i].slot == i);
  PUBLISH(w, 2, 100, &r);
  FREE(&r);
  PUBLISH(w, 3, 100, &r);
  CHECK(r.replaced == 1 && r.held == (uint32_t)parts);
  PUBLISH(w, 4, 100, &r);
  FREE(&r);
  PUBLISH(w, 5, 100, &r);
  FREE(&r);
  for (i = 0; i < (size_t)parts; i++) {
    PEER_RELEASES(&p[i], 0);
    PEER_PINS(&p[i], 0, 5);
  }
  for (i = 0; i < (size_t)parts; i++) peerKill(&p[i]);
  PUBLISH(w, 6, 100, &r);
  FREE(&r);
  PUBLISH(w, 7, 100, &r);
  FREE(&r);
  OK(w, mmapsync_readers(w, readers, CROWD + 64, &n));
  for (i = 0, alive = 0; i < n; i++) alive += (size_t)readers[i].alive;
  CHECK(n == (size_t)(parts * crowdShare) && alive == 0);
  size = fileSize("_readers");
  for (i = 0; i < 1000; i++) comeAndDie(i % 2);
  CHECK(fileSize("_readers") == size && slotsEver() == n);
  PUBLISH(w, 8, 100, &r);
  FREE(&r);
  PUBLISH(w, 9, 100, &r);
  FREE(&r);
  free(readers);
  mmapsync_close(w);
}

/* Among the living, a dead slot is found before long: the file does not grow without end. */
static void caseReuse(void) {
  mmapsync *w = openWriter(20), *living[40];
  mmapsync_result r;
  int i;

  PUBLISH(w, 1, 100, NULL);
  for (i = 0; i < 40; i++) {
    living[i] = openReader(MMAPSYNC_PIN_SLOT);
    READS(living[i], 1);
  }
  for (i = 0; i < 500; i++) comeAndDie(1);
  CHECK(slotsEver() <= 48);
  for (i = 0; i < 40; i += 2) mmapsync_close(living[i]);
  for (i = 0; i < 40; i += 2) {
    living[i] = openReader(MMAPSYNC_PIN_SLOT); /* what was given back comes first */
    READS(living[i], 1);
  }
  CHECK(slotsEver() <= 48);
  for (i = 2; i < 6; i++) {
    PUBLISH(w, (uint64_t)i, 100, &r);
    FREE(&r);
  }
  for (i = 0; i < 40; i++) {
    READS(living[i], 5);
    mmapsync_close(living[i]);
  }
  mmapsync_close(w);
}

/* ---- fork and exec ------------------------------------------------------------------------------ */

/* Lets two processes take turns. */
static int turnTo[2], turnFrom[2];

static void turnsOpen(void) {
  CHECK(pipe2(turnTo, O_CLOEXEC) == 0 && pipe2(turnFrom, O_CLOEXEC) == 0);
}
static void turnsClose(void) {
  close(turnTo[0]);
  close(turnTo[1]);
  close(turnFrom[0]);
  close(turnFrom[1]);
}
static void turnGive(const int *pipefd) { CHECK(write(pipefd[1], "x", 1) == 1); }
static void turnAwait(const int *pipefd) {
  char c;
  CHECK(read(pipefd[0], &c, 1) == 1);
}

static void childEnded(pid_t pid) {
  int status = 0;
  CHECK(waitpid(pid, &status, 0) == pid);
  if (WIFEXITED(status) && WEXITSTATUS(status) == CHECK_FAILED)
    _exit(CHECK_FAILED); /* it has told */
  if (status != 0) checkFail(__LINE__, "a child ended with status %x", (unsigned)status);
}

static void forkInView(int kind) {
  mmapsync *w = openWriter(20), *h = openReader(kind), *other = openReader(MMAPSYNC_PIN_AUTO);
  mmapsync_reader readers[8];
  mmapsync_result r;
  mmapsync_view view, fresh;
  size_t n;
  pid_t pid;

  turnsOpen();
  PUBLISH(w, 1, 100, NULL);
  OK(h, mmapsync_read(h, &view));
  PUBLISH(w, 2, 200, NULL);
  fflush(stdout);
  pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    WHOLE(&view, 1);
    OK(h, mmapsync_read(h, &fresh)); /* attaches anew */
    WHOLE(&fresh, 2);
    CHECK(fresh.pin == (uint32_t)kind && fresh.switched);
    turnGive(turnFrom);
    turnAwait(turnTo);
    mmapsync_release(h, &view); /* the parent's */
    mmapsync_release(h, &fresh);
    READS(h, 2);
    turnGive(turnFrom);
    turnAwait(turnTo);
    PUBLISH(w, 3, 300, &r);
    CHECK(r.replaced == 1 && r.sequence == 3);
    READS(h, 3);
    mmapsync_close(h);
    mmapsync_close(w);
    mmapsync_close(other);
    _exit(0);
  }
  turnAwait(turnFrom);
  OK(other, mmapsync_readers(other, readers, 8, &n));
  if (kind == MMAPSYNC_PIN_SLOT) {
    CHECK(n == 2 && readers[0].pid == (uint32_t)getpid() && readers[1].pid == (uint32_t)pid);
    CHECK(readers[0].pins[0] == 1 && readers[0].pins[1] == 0 && readers[0].alive);
    CHECK(readers[1].pins[0] == 0 && readers[1].pins[1] == 1 && readers[1].alive);
  } else {
    CHECK(n == 2 && readers[0].pins[0] && readers[1].pins[1]); /* a lock on each file */
  }
  turnGive(turnTo);
  turnAwait(turnFrom);
  OK(other, mmapsync_readers(other, readers, 8, &n));
  CHECK(n >= 1 && readers[0].pins[0] == 1 && readers[0].alive); /* not ended by the child */
  WHOLE(&view, 1);
  turnGive(turnTo);
  childEnded(pid);
  WHOLE(&view, 1);
  OK(other, mmapsync_readers(other, readers, 8, &n));
  CHECK(n >= 1 && readers[0].pins[0] == 1 && readers[0].alive);
  READS(other, 3);
  PUBLISH(w, 4, 100, &r);
  FREE(&r);
  PUBLISH(w, 5, 100, &r);
  FREE(&r); /* the child has paid */
  PUBLISH(w, 6, 100, &r);
  FREE(&r);
  PUBLISH(w, 7, 100, &r);
  FREE(&r);
  WHOLE(&view, 1);
  mmapsync_release(h, &view);
  READS(h, 7);
  mmapsync_close(h);
  mmapsync_close(other);
  mmapsync_close(w);
  turnsClose();
}
static void caseFork(void) { eachKind(forkInView); }

static int adviseNever(void *p, size_t n, int advice) {
  (void)p;
  (void)n;
  (void)advice;
  errno = EINVAL;
  return -1;
}

/* Where the kernel does not wipe memory in a child, every read asks who we are. */
static void caseForkUnwiped(void) {
  sysSet("madvise", (SysFunction)adviseNever);
  eachKind(forkInView);
  sysSet("madvise", NULL);
}

/* A child has copies of its parent's open files.  As long as it does nothing with them a dead parent's pin is
** that of a slow reader; it ends when the child uses or closes its copy of the handle, or ends. */
static void parentDies(int kind, int how) {
  mmapsync *w = openWriter(20);
  mmapsync_result r;
  int status = 0;
  pid_t pid;

  turnsOpen();
  PUBLISH(w, 1, 100, NULL);
  fflush(stdout);
  pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    mmapsync *h = openReader(kind);
    mmapsync_view view;
    OK(h, mmapsync_read(h, &view));
    if (fork() == 0) {
      close(turnTo[1]);
      close(turnFrom[0]);
      mmapsync_close(w);
      turnGive(turnFrom);
      turnAwait(turnTo);
      if (how == 0) {
        READS(h, 4);
        mmapsync_release(h, &view);
      } else if (how == 1) {
        mmapsync_release(h, &view);
        mmapsync_close(h);
      } else {
        _exit(0);
      }
      turnGive(turnFrom);
      turnAwait(turnTo);
      _exit(0);
    }
    turnAwait(turnTo);
    _exit(0);
  }
  close(turnFrom[1]);
  turnAwait(turnFrom);
  CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid);
  PUBLISH(w, 2, 100, &r);
  FREE(&r);
  PUBLISH(w, 3, 100, &r);
  CHECK(r.replaced == 1 && r.held == 1);
  PUBLISH(w, 4, 100, &r);
  FREE(&r);
  turnGive(turnTo);
  if (how < 2) {
    turnAwait(turnFrom);
  } else {
    char c;
    CHECK(read(turnFrom[0], &c, 1) == 0); /* the child has ended */
  }
  mmapsync_close(w);
  w = openWriter(20); /* one that remembers nothing */
  PUBLISH(w, 5, 100, &r);
  FREE(&r);
  PUBLISH(w, 6, 100, &r);
  FREE(&r);
  if (how < 2) turnGive(turnTo);
  turnFrom[1] = -1;
  turnsClose();
  mmapsync_close(w);
}
static void parentDiesUsed(int kind) { parentDies(kind, 0); }
static void parentDiesClosed(int kind) { parentDies(kind, 1); }
static void parentDiesEnded(int kind) { parentDies(kind, 2); }
static void caseParentDies(void) {
  eachKind(parentDiesUsed);
  eachKind(parentDiesClosed);
  eachKind(parentDiesEnded);
}

/* exec() closes the descriptors, and so ends the pins. */
static void readerExecs(int kind) {
  mmapsync *w = openWriter(100000);
  mmapsync_result r;
  int exec[2], in[2], status = 0;
  char c;
  pid_t pid;

  CHECK(pipe2(exec, O_CLOEXEC) == 0 && pipe2(in, O_CLOEXEC) == 0);
  PUBLISH(w, 1, 100, NULL);
  fflush(stdout);
  pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    mmapsync *h = openReader(kind);
    mmapsync_view view;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (mmapsync_read(h, &view) != MMAPSYNC_OK || dup2(in[0], 0) != 0) _exit(1);
    execlp("cat", "cat", (char *)NULL);
    _exit(2);
  }
  close(exec[1]);
  close(in[0]);
  CHECK(read(exec[0], &c, 1) == 0); /* closed by the exec */
  PUBLISH(w, 2, 100, &r);
  FREE(&r);
  PUBLISH(w, 3, 100, &r);
  FREE(&r);
  close(in[1]);
  CHECK(waitpid(pid, &status, 0) == pid && status == 0);
  close(exec[0]);
  mmapsync_close(w);
}
static void caseExec(void) { eachKind(readerExecs); }

/* A child that ends its copy of a handle leaves the parent its lock, its open write and its image. */
static void caseForkWriter(void) {
  mmapsync *w = openWith(20, MMAPSYNC_PIN_AUTO, MMAPSYNC_LOCK_HOLD), *second = openWriter(20);
  mmapsync_builder *b;
  mmapsync_result r;
  mmapsync_view view;
  void *data;
  pid_t pid;

  PUBLISH(w, 1, 100, NULL);
  OK(w, mmapsync_write_begin(w, 800, &data));
  payloadFill(data, 2, 100);
  fflush(stdout);
  pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    CHECK(mmapsync_pin_kind(w) == MMAPSYNC_PIN_AUTO);
    FAILS(w, mmapsync_write_grow(w, 8000, &data), MMAPSYNC_MISUSE, "\"%s\": no write is open",
          checkPath); /* it is the parent's */
    FAILS(w, mmapsync_write_commit(w, 800, MMAPSYNC_KIND_RAW, NULL), MMAPSYNC_MISUSE,
          "\"%s\": no write is open", checkPath);
    FAILS(w, payloadWrite(w, 9, 10, NULL), MMAPSYNC_BUSY,
          "\"%s_state\": another writer holds the lock", checkPath);
    READS(w, 1);
    mmapsync_close(w);
    _exit(0);
  }
  childEnded(pid);
  FAILS(second, payloadWrite(second, 9, 10, NULL), MMAPSYNC_BUSY,
        "\"%s_state\": another writer holds the lock", checkPath);
  OK(w, mmapsync_write_commit(w, 800, MMAPSYNC_KIND_RAW, &r));
  CHECK(r.sequence == 2);
  READS(second, 2);
  OK(w, mmapsync_build_begin(w, &b));
  pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    FAILS(w, payloadWrite(w, 9, 10, NULL), MMAPSYNC_MISUSE,
          "\"%s\": a table image is being built by the parent of this process", checkPath);
    FAILS(w, mmapsync_read(w, &view), MMAPSYNC_MISUSE,
          "\"%s\": a table image is being built by the parent of this process", checkPath);
    mmapsync_close(w);
    _exit(0);
  }
  childEnded(pid);
  OK(w, mmapsync_build_commit(b, &r));
  CHECK(r.sequence == 3);
  mmapsync_close(second);
  mmapsync_close(w);
}

/* ---- threads ------------------------------------------------------------------------------------ */

#ifdef MMAPSYNC_DEBUG
static void *readElsewhere(void *h) {
  mmapsync_view view;
  (void)mmapsync_read(h, &view);
  return NULL;
}

/* Called in the middle of a publish that waits. */
static int progressElsewhere(void *arg) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, readElsewhere, *(mmapsync **)arg) == 0)
    pthread_join(thread, NULL);
  return 1;
}
#endif

static void caseTwoThreads(void) {
#ifdef MMAPSYNC_DEBUG
  static char said[8192], want[2 * PATH_MAX];
  mmapsync_options opt;
  mmapsync *h, *reader;
  mmapsync_view view;
  size_t n = 0;
  ssize_t got;
  int err[2], status = 0;
  pid_t pid;

  CHECK(pipe2(err, O_CLOEXEC) == 0);
  mmapsync_options_init(&opt);
  opt.progress = progressElsewhere;
  opt.progress_arg = &h;
  OK(h, mmapsync_open(checkPath, &opt, &h));
  PUBLISH(h, 1, 100, NULL);
  reader = openReader(MMAPSYNC_PIN_AUTO);
  OK(reader, mmapsync_read(reader, &view));
  PUBLISH(h, 2, 100, NULL);
  fflush(stdout);
  pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    dup2(err[1], STDERR_FILENO);
    (void)payloadWrite(h, 3, 100, NULL);
    _exit(0);
  }
  close(err[1]);
  while (n < sizeof(said) - 1 && (got = read(err[0], said + n, sizeof(said) - 1 - n)) > 0) {
    n += (size_t)got;
  }
  close(err[0]);
  CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
  snprintf(want, sizeof(want),
           "mmapsync: mmapsync_read: another thread is in a call on this handle (\"%s\")\n",
           checkPath);
  if (strcmp(said, want) != 0) checkFail(__LINE__, "found <%s>", said);
  mmapsync_release(reader, &view);
  mmapsync_close(reader);
  mmapsync_close(h);
#else
  checkSkip("only where MMAPSYNC_DEBUG is defined");
#endif
}

static void *readByTurn(void *arg) {
  mmapsync *h = arg;
  mmapsync_view view;
  if (mmapsync_read(h, &view) == MMAPSYNC_OK) mmapsync_release(h, &view);
  return NULL;
}

/* One after the other they may. */
static void caseThreadsByTurn(void) {
  mmapsync *h = openWriter(20);
  pthread_t thread;
  int i;
  for (i = 1; i < 5; i++) {
    PUBLISH(h, (uint64_t)i, 100, NULL);
    CHECK(pthread_create(&thread, NULL, readByTurn, h) == 0 && pthread_join(thread, NULL) == 0);
    READS(h, i);
  }
  mmapsync_close(h);
}

static const CheckCase cases[] = {
    {"five-thousand-readers", caseCrowd},
    {"dead-slots-are-reused-among-living", caseReuse},
    {"fork-in-a-view", caseFork},
    {"fork-in-a-view-memory-not-wiped", caseForkUnwiped},
    {"a-parent-dies-and-its-child-lives", caseParentDies},
    {"exec-in-a-view", caseExec},
    {"fork-in-a-write", caseForkWriter},
    {"two-threads-at-once", caseTwoThreads},
    {"two-threads-by-turns", caseThreadsByTurn},
    {NULL, NULL},
};

int main(int argc, char **argv) { return checkMain(argc, argv, cases); }
