/*
** check.h - what the test programs of the core share: cases, checks, and a scratch channel.
**
** A program is a table of cases and a main() that calls checkMain().  It is run as
**
**     NAME FOLDER            all its cases, in a folder that exists
**     NAME FOLDER CASE...    these
**     NAME list              prints their names
**
** and prints for each case `ok CASE`, `ok CASE (skipped: why)` or `not ok CASE: why`.  The exit code
** is 1 if any failed.
**
** Each case runs in a process of its own, with the scratch channel removed and the umask 0, and ends
** at its first failed check.  So a crash or a hang is a failed case like any other, a case may change
** its user, its streams or its mounts as it likes, and none inherits what another left behind.  A case
** that ends well must have closed as many descriptors as it opened.
*/
#ifndef CHECK_H
#define CHECK_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mmapsync.h"

#define CHECK_SECONDS 120 /* a case that takes longer hangs */

/* Whether a sanitizer of memory or threads is compiled in: it has malloc() for itself, and is slow. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CHECK_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define CHECK_SANITIZED 1
#endif
#endif
#ifndef CHECK_SANITIZED
#define CHECK_SANITIZED 0
#endif

/* The counters of `make coverage` are written by exit(), and lost where a child ends in another way. */
#if defined(MMAPSYNC_COVERAGE)
void __gcov_dump(void);
#define CHECK_COUNTED 1
#define _exit(code)   (__gcov_dump(), _exit(code))
#else
#define CHECK_COUNTED 0
#endif

typedef struct CheckCase {
  const char *name;
  void (*run)(void);
} CheckCase;

static char checkFolder[PATH_MAX]; /* absolute, without symbolic links */
static char checkPath[PATH_MAX];   /* of the scratch channel */
static const char *checkName;      /* of the case */
static char checkAbout[128];       /* which of many things a case is trying, if it says */

/* ---- the end of a case ------------------------------------------------------------------------ */

enum { CHECK_OK = 0, CHECK_FAILED = 40, CHECK_SKIPPED = 41 };

static inline void checkFail(int line, const char *fmt, ...)
    __attribute__((noreturn, format(printf, 2, 3)));
static inline void checkFail(int line, const char *fmt, ...) {
  va_list args;
  printf("not ok %s: line %d: %s%s", checkName, line, checkAbout, checkAbout[0] ? ": " : "");
  va_start(args, fmt);
  vprintf(fmt, args);
  va_end(args);
  printf("\n");
  fflush(stdout);
  _exit(CHECK_FAILED);
}

/* Ends a case that this machine, or this user, cannot run. */
static inline void checkSkip(const char *why) {
  printf("ok %s (skipped: %s)\n", checkName, why);
  fflush(stdout);
  _exit(CHECK_SKIPPED);
}

/* ---- checks ----------------------------------------------------------------------------------- */

#define CHECK(x)                                                                                   \
  do {                                                                                             \
    if (!(x)) checkFail(__LINE__, "%s", #x);                                                       \
  } while (0)

/* A call on the handle h that must work. */
#define OK(h, call)                                                                                \
  do {                                                                                             \
    int rc_ = (call);                                                                              \
    if (rc_ != MMAPSYNC_OK) {                                                                      \
      checkFail(__LINE__, "%s: code %d, %s", #call, rc_, mmapsync_errmsg(h));                      \
    }                                                                                              \
  } while (0)

/* A call on the handle h that must fail with this code and exactly this sentence. */
#define FAILS(h, call, code, ...)                                                                  \
  do {                                                                                             \
    int rc_ = (call);                                                                              \
    checkSentence(__LINE__, (h), rc_, (code), __VA_ARGS__);                                        \
  } while (0)

static inline void checkSentence(int line, const mmapsync *h, int rc, int code, const char *fmt,
                                 ...) __attribute__((format(printf, 5, 6)));
static inline void checkSentence(int line, const mmapsync *h, int rc, int code, const char *fmt,
                                 ...) {
  static char want[3 * PATH_MAX];
  va_list args;
  va_start(args, fmt);
  vsnprintf(want, sizeof(want), fmt, args);
  va_end(args);
  if (rc != code || strcmp(mmapsync_errmsg(h), want) != 0) {
    checkFail(line, "expected code %d <%s>, found code %d <%s>", code, want, rc,
              rc == MMAPSYNC_OK ? "" : mmapsync_errmsg(h));
  }
}

/* ---- the scratch channel ---------------------------------------------------------------------- */

/* The name of one of its files, by its ending.  Good until the fourth call after. */
static inline const char *fileName(const char *ending) {
  static char names[4][PATH_MAX + 16];
  static int turn;
  turn = (turn + 1) % 4;
  snprintf(names[turn], sizeof(names[turn]), "%s%s", checkPath, ending);
  return names[turn];
}

/* The endings of all names that files of a channel may have. */
static const char *const checkEndings[] = {"_state",   "_data_0",     "_data_1",    "_writer",
                                           "_readers", "_data_0_new", "_data_1_new"};
#define CHECK_ENDINGS (sizeof(checkEndings) / sizeof(checkEndings[0]))

/* Removes whatever stands at that name. */
static inline void fileRemove(const char *ending) {
  const char *name = fileName(ending);
  if (unlink(name) != 0 && (errno == EISDIR || errno == EPERM)) rmdir(name);
}

static inline void channelRemove(void) {
  size_t i;
  for (i = 0; i < CHECK_ENDINGS; i++) fileRemove(checkEndings[i]);
}

/* Makes a file of exactly these bytes, as another program would. */
static inline void filePut(const char *ending, const void *bytes, size_t n) {
  int fd = open(fileName(ending), O_RDWR | O_CREAT | O_TRUNC, 0660);
  CHECK(fd >= 0 && write(fd, bytes, n) == (ssize_t)n);
  close(fd);
}

/* Changes bytes of a file where they are. */
static inline void filePoke(const char *ending, off_t at, const void *bytes, size_t n) {
  int fd = open(fileName(ending), O_RDWR);
  CHECK(fd >= 0 && pwrite(fd, bytes, n, at) == (ssize_t)n);
  close(fd);
}

/* Reads up to n bytes of a file; how many there were. */
static inline size_t fileGet(const char *ending, void *bytes, size_t n) {
  int fd = open(fileName(ending), O_RDONLY);
  ssize_t got = fd < 0 ? -1 : read(fd, bytes, n);
  CHECK(got >= 0);
  close(fd);
  return (size_t)got;
}

/* Bytes of a file, or -1 if it is not there; its permissions. */
static inline long long fileSize(const char *ending) {
  struct stat st;
  return lstat(fileName(ending), &st) == 0 ? (long long)st.st_size : -1;
}
static inline unsigned fileMode(const char *ending) {
  struct stat st;
  return lstat(fileName(ending), &st) == 0 ? (unsigned)(st.st_mode & 07777) : 0;
}

/* How many files the channel has. */
static inline int fileCount(void) {
  size_t i;
  int n = 0;
  for (i = 0; i < CHECK_ENDINGS; i++) n += fileSize(checkEndings[i]) != -1;
  return n;
}

/* A handle of the scratch channel; with a grace time, for a case that waits one out; one that pins its
** views in this way. */
static inline mmapsync *channelOpen(void) {
  mmapsync *h;
  OK(h, mmapsync_open(checkPath, NULL, &h));
  return h;
}
static inline mmapsync *channelOpenGrace(uint32_t grace_ms) {
  mmapsync_options opt;
  mmapsync *h;
  mmapsync_options_init(&opt);
  opt.grace_ms = grace_ms;
  OK(h, mmapsync_open(checkPath, &opt, &h));
  return h;
}
static inline mmapsync *channelOpenPins(int pins) {
  mmapsync_options opt;
  mmapsync *h;
  mmapsync_options_init(&opt);
  opt.pins = pins;
  OK(h, mmapsync_open(checkPath, &opt, &h));
  return h;
}

/* Publishes a text, and checks that a view or the newest snapshot is one. */
#define WRITE(h, text) OK(h, mmapsync_write((h), (text), strlen(text), NULL))
#define SHOWS(view, text)                                                                          \
  CHECK((view)->size == strlen(text) && memcmp((view)->data, (text), strlen(text)) == 0)
#define HOLDS(h, text)                                                                             \
  do {                                                                                             \
    mmapsync_view view_;                                                                           \
    OK(h, mmapsync_read((h), &view_));                                                             \
    SHOWS(&view_, text);                                                                           \
    mmapsync_release((h), &view_);                                                                 \
  } while (0)

/* Checks the counters of the state file: how many reads of each data file are counted in. */
#define COUNTS(h, of0, of1)                                                                        \
  do {                                                                                             \
    uint32_t readers_[2];                                                                          \
    OK(h, mmapsync_counters((h), readers_));                                                       \
    if (readers_[0] != (of0) || readers_[1] != (of1)) {                                            \
      checkFail(__LINE__, "expected readers %d %d, found %u %u", (of0), (of1), readers_[0],        \
                readers_[1]);                                                                      \
    }                                                                                              \
  } while (0)

/* Checks how many readers pin each data file, of all kinds and dead ones too: a handle with a slot is one,
** however many views it holds; all that lock a file are one; of counters each read is one. */
#define PINS(h, of0, of1) checkPins(__LINE__, (h), (of0), (of1))

/* All readers of the channel, into out[CHECK_READERS]; how many. */
#define CHECK_READERS     256
static inline size_t checkReaders(int line, mmapsync *h, mmapsync_reader *out) {
  size_t count;
  int rc = mmapsync_readers(h, out, CHECK_READERS, &count);
  if (rc != MMAPSYNC_OK) checkFail(line, "readers: code %d, %s", rc, mmapsync_errmsg(h));
  if (count > CHECK_READERS) checkFail(line, "expected few readers, found %zu", count);
  return count;
}

static inline void checkPins(int line, mmapsync *h, uint32_t of0, uint32_t of1) {
  mmapsync_reader r[CHECK_READERS];
  uint32_t pins[2] = {0, 0};
  size_t i, count = checkReaders(line, h, r);
  for (i = 0; i < count; i++) {
    pins[0] += r[i].pins[0];
    pins[1] += r[i].pins[1];
  }
  if (pins[0] != of0 || pins[1] != of1) {
    checkFail(line, "expected pins %u %u, found %u %u", of0, of1, pins[0], pins[1]);
  }
}

/* ---- the program ------------------------------------------------------------------------------ */

static inline int checkDescriptors(void) {
  int fd, n = 0;
  for (fd = 0; fd < 256; fd++) n += fcntl(fd, F_GETFD) >= 0;
  return n;
}

/* Runs one case in a child.  1 if it failed. */
static inline int checkRun(const CheckCase *c) {
  int status, before;
  pid_t pid;

  checkName = c->name;
  channelRemove();
  fflush(stdout);
  pid = fork();
  if (pid == 0) {
    alarm(CHECK_SECONDS);
    umask(0);
    before = checkDescriptors();
    c->run();
    if (checkDescriptors() != before) {
      checkFail(0, "%d descriptors before, %d after", before, checkDescriptors());
    }
    exit(CHECK_OK); /* not _exit(): a sanitizer looks for leaks now */
  }
  if (pid < 0 || waitpid(pid, &status, 0) != pid) {
    printf("not ok %s: cannot run it: %s\n", c->name, strerror(errno));
    return 1;
  }
  channelRemove();
  if (WIFSIGNALED(status)) {
    printf("not ok %s: killed by signal %d\n", c->name, WTERMSIG(status));
    return 1;
  }
  switch (WEXITSTATUS(status)) {
  case CHECK_OK: printf("ok %s\n", c->name); return 0;
  case CHECK_SKIPPED: return 0;
  case CHECK_FAILED: return 1;
  default: printf("not ok %s: exit code %d\n", c->name, WEXITSTATUS(status)); return 1;
  }
}

/* `cases` ends with one without a name. */
static inline int checkMain(int argc, char **argv, const CheckCase *cases) {
  const CheckCase *c;
  int i, known, failed = 0;

  if (argc == 2 && strcmp(argv[1], "list") == 0) {
    for (c = cases; c->name; c++) puts(c->name);
    return 0;
  }
  if (argc < 2 || !realpath(argv[1], checkFolder)) {
    fprintf(stderr, "usage: %s list | FOLDER [CASE...]\n", argv[0]);
    return 2;
  }
  if (snprintf(checkPath, sizeof(checkPath), "%s/check", checkFolder) >= PATH_MAX - 64) return 2;
  for (i = 2; i < argc; i++) {
    for (c = cases, known = 0; c->name; c++) known |= strcmp(c->name, argv[i]) == 0;
    if (!known) printf("not ok %s: no such case\n", argv[i]);
    failed |= !known;
  }
  for (c = cases; c->name; c++) {
    for (i = 2; i < argc && strcmp(c->name, argv[i]) != 0; i++) {
    }
    if (argc == 2 || i < argc) failed |= checkRun(c);
  }
  return failed;
}

#endif
