/*
** check_step.h - a child that is single-stepped, for tests of what is promised "at any instruction".
**
** The child prepares, stops, makes one call under ptrace() and stops again; its parent lets it go on for as
** many instructions as it likes and does meanwhile what might disturb it.  Payloads name their sequence in
** every word, so that any mix of two shows.
**
** Only for x86-64: elsewhere a step may come between the two halves of an atomic operation and undo it.
*/
#ifndef CHECK_STEP_H
#define CHECK_STEP_H

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <time.h>

#include "check.h"

/* Instructions from one stop of a reader to the next.  A sanitizer makes many of one, and a fork slow; and so does
** what counts branches.  What these are there for shows at some of them too. */
#define STRIDE (CHECK_SANITIZED ? 17 : CHECK_COUNTED ? 19 : 1)

/* What parent and child share. */
typedef struct Shared {
  volatile int done; /* the child has made the call */
  volatile int
      voided; /* to the child: the grace time ended meanwhile, so expect nothing of the view */
} Shared;

static Shared *shared;

/* ---- payloads that name their sequence -------------------------------------------------------- */

static uint64_t sequence; /* of the last publish */

static inline size_t payloadSize(uint64_t of) { return 8 * (size_t)(5 + of % 3); }

static inline void payloadFill(uint64_t *word, uint64_t of) {
  size_t i;
  for (i = 0; i < payloadSize(of) / 8; i++) word[i] = of;
}

static inline int payloadWhole(const mmapsync_view *view) {
  const uint64_t *word = view->data;
  size_t i, whole = view->sequence != 0 && view->size == payloadSize(view->sequence);
  for (i = 0; whole && i < view->size / 8; i++) whole = word[i] == view->sequence;
  return (int)whole;
}

/* Publishes the next one.  1 if readers had to be given up. */
static inline int publish(mmapsync *h) {
  uint64_t word[16];
  mmapsync_result result;
  payloadFill(word, sequence + 1);
  OK(h, mmapsync_write(h, word, payloadSize(sequence + 1), &result));
  CHECK(result.sequence == sequence + 1);
  sequence++;
  return result.reset;
}

/* ---- stepping --------------------------------------------------------------------------------- */

/* Starts a child that does `prepare`, stops, makes the call and stops again. */
static inline pid_t stepStart(void (*prepare)(void), void (*call)(void), void (*after)(void)) {
  pid_t pid;
  int status = 0;

  shared->done = shared->voided = 0;
  pid = fork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) _exit(77);
    prepare();
    raise(SIGSTOP);
    call();
    shared->done = 1;
    raise(SIGSTOP);
    after();
    _exit(0);
  }
  CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) checkSkip("no right to trace a child");
  CHECK(WIFSTOPPED(status));
  return pid;
}

/* Whether it stopped as it should, and not for a crash. */
static inline int stepStopped(int status) {
  return WIFSTOPPED(status) && (WSTOPSIG(status) == SIGTRAP || WSTOPSIG(status) == SIGSTOP);
}

/* Lets it go on for n instructions.  0 if the call was over before that. */
static inline int step(pid_t pid, long n) {
  int status;
  for (; n > 0 && !shared->done; n--) {
    CHECK(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0);
    CHECK(waitpid(pid, &status, 0) == pid && stepStopped(status));
  }
  return !shared->done;
}

/* Lets it run to its next stop after the call. */
static inline void stepRest(pid_t pid) {
  int status;
  while (!shared->done) {
    CHECK(ptrace(PTRACE_CONT, pid, NULL, NULL) == 0);
    CHECK(waitpid(pid, &status, 0) == pid && stepStopped(status));
  }
}

/* Lets it do what it does after the call, and end. */
static inline void stepEnd(pid_t pid) {
  int status;
  do {
    CHECK(ptrace(PTRACE_CONT, pid, NULL, NULL) == 0);
    CHECK(waitpid(pid, &status, 0) == pid);
  } while (stepStopped(status));
  if (status != 0) checkFail(__LINE__, "status %x", (unsigned)status);
}

static inline void stepSetUp(void) {
#if !defined(__x86_64__) || defined(__SANITIZE_THREAD__)
  checkSkip("only for x86-64, without the thread sanitizer");
#endif
  shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(shared != MAP_FAILED);
}

/* ---- the channel as it is at a stop ------------------------------------------------------------ */

/* Goes to a channel beside the scratch channel, or with "" back. */
static inline void channelTurn(const char *to) {
  size_t n = strlen(checkFolder);
  snprintf(checkPath + n, sizeof(checkPath) - n, "/check%s", to);
}

/* A child that is to be stepped through a write does one elsewhere first, so that the C library has found its
** functions; the other removes what that made. */
static inline void warmMake(void) {
  mmapsync *elsewhere;
  channelTurn("-warm");
  elsewhere = channelOpen();
  WRITE(elsewhere, "one");
  WRITE(elsewhere, "two");
  mmapsync_close(elsewhere);
  channelTurn("");
}
static inline void warmRemove(void) {
  channelTurn("-warm");
  channelRemove();
  channelTurn("");
}

/* All bytes of the channel's files, or what there is of them. */
#define IMAGE_FILE 4160
typedef struct Image {
  ssize_t size[CHECK_ENDINGS];
  char bytes[CHECK_ENDINGS][IMAGE_FILE];
} Image;

static inline void imageTake(Image *image) {
  size_t i;
  memset(image, 0, sizeof(*image));
  for (i = 0; i < CHECK_ENDINGS; i++) {
    int fd = open(fileName(checkEndings[i]), O_RDONLY);
    image->size[i] = fd < 0 ? -1 : read(fd, image->bytes[i], IMAGE_FILE);
    CHECK(image->size[i] < IMAGE_FILE);
    if (fd >= 0) close(fd);
  }
}

/* Makes a copy of the channel, writes and reads it, and removes it; whoever read the channel is dead there. */
static inline void imageUse(const Image *image, uint32_t grace_ms) {
  mmapsync *h;
  size_t i;
  channelTurn("-copy");
  channelRemove();
  for (i = 0; i < CHECK_ENDINGS; i++) {
    if (image->size[i] >= 0) filePut(checkEndings[i], image->bytes[i], (size_t)image->size[i]);
  }
  h = channelOpenGrace(grace_ms);
  WRITE(h, "after the death of a writer");
  HOLDS(h, "after the death of a writer");
  WRITE(h, "and again");
  HOLDS(h, "and again");
  OK(h, mmapsync_verify(h));
  PINS(h, 0, 0);
  CHECK(fileCount() == 5);
  mmapsync_close(h);
  channelRemove();
  channelTurn("");
}

#endif
