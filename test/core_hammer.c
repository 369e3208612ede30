#define _GNU_SOURCE
/*
** core_hammer.c - readers and writers of one channel at full speed, with data that checks itself.
**
**     core_hammer SECONDS THREADS PATH
**
** THREADS reader threads and two reader processes, each with a handle of its own, by slot, lock and counter
** in turn, read without pause, now and then nested; one to three writer threads publish payloads of all sizes by turns, whole and in
** place; one more writer is a process that is killed every few milliseconds, wherever it is, and
** started again.  The last line is
**
**     reads N publishes N torn N
**
** and the exit code is 0 only if nothing was torn and none of the promises below was broken.
**
** THE DATA.  Each word of a payload names its snapshot and its place: word i is name + i * HAMMER_STEP,
** where the name holds who wrote it, their how manyeth it is, and how many words there are.  So a word
** of another snapshot, a shift, or a wrong length shows, whatever the moment.
**
** PROMISES.  A view is whole for as long as it is held.  No sequence goes back; views of one sequence are
** equal; `switched` is right.  No write needs to reset a counter or to replace a file, since all readers are
** faster than the grace time.  No pin is left.  The sequence has risen by the number of publishes, but for those of
** which a killed writer could not tell.
**
** CHANCE.  Time goes in two gaits by turns.  At a walk, payloads are of all sizes, and readers and
** writers sleep and yield at random while they hold a view or a write.  At a sprint, payloads are a few
** words and nobody waits: the calls of the library are then most of what is done, and what interrupts a
** reader finds it between two instructions of them.  Readers are interrupted all the time, by signals
** whose handler naps for as long as many publishes take; also there where a reader has found a file and
** has not claimed it yet.
**
** THREAD SANITIZER.  It orders accesses by address, and each handle maps the files anew; so in that build
** all mappings of a file are made one, and only threads run.  It does not know flock() either, nor the locks
** of bytes that pins are: those are given the edges of a lock.
*/
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "mmapsync.h"
#include "sys.h"

#if defined(__SANITIZE_THREAD__)
#define HAMMER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HAMMER_TSAN 1
#endif
#endif
#ifndef HAMMER_TSAN
#define HAMMER_TSAN 0
#endif

#define HAMMER_STEP      UINT64_C(0x9e3779b97f4a7c15)
#define HAMMER_WORDS     (HAMMER_TSAN ? 3000 : 30000) /* of the largest payload */
#define HAMMER_GRACE_MS  20000
#define HAMMER_PROCESSES 2
#define HAMMER_THREADS   64

/* What all threads and processes count; shared memory. */
typedef struct Tally {
  _Atomic uint64_t reads;
  _Atomic uint64_t publishes;
  _Atomic uint64_t torn;
  _Atomic uint64_t broken; /* any other promise */
  _Atomic uint64_t kills;
} Tally;

static Tally *tally;
static const char *path;
static uint64_t endTime;

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void broken(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void broken(const char *fmt, ...) {
  va_list args;
  if (atomic_fetch_add(&tally->broken, 1) >= 10) return; /* the first few tell enough */
  va_start(args, fmt);
  fprintf(stderr, "core_hammer: ");
  vfprintf(stderr, fmt, args);
  fprintf(stderr, "\n");
  va_end(args);
}

/* ---- chance ----------------------------------------------------------------------------------- */

static uint64_t chance(uint64_t *seed, uint64_t n) {
  *seed ^= *seed << 13;
  *seed ^= *seed >> 7;
  *seed ^= *seed << 17;
  return *seed % n;
}

/* The gait of this thread, from the clock. */
static _Thread_local int sprint;
static void gait(void) { sprint = (int)(now() >> 26 & 1); }

/* At a walk, gives way to others, sometimes for longer. */
static void jitter(uint64_t *seed) {
  uint64_t r;
  if (sprint) return;
  r = chance(seed, 64);
  if (r == 0) sched_yield();
  if (r == 1) nanosleep(&(struct timespec){0, (long)chance(seed, 200000)}, NULL);
}

static void nap(int sig) {
  int err = errno;
  (void)sig;
  nanosleep(&(struct timespec){0, 300000}, NULL);
  errno = err;
}

/* ---- payloads --------------------------------------------------------------------------------- */

static uint64_t payloadName(uint64_t who, uint64_t number, uint64_t words) {
  return who << 56 | (number & 0xffffffff) << 24 | words;
}

/* Whether all words of a view are of one snapshot. */
static int payloadWhole(const mmapsync_view *view, uint64_t *seed) {
  const uint64_t *word = view->data;
  uint64_t i, n = view->size / 8, name = n ? word[0] : 0;
  int whole = view->size % 8 == 0 && (name & 0xffffff) == n;
  for (i = 0; i < n; i++) {
    if (word[i] != name + i * HAMMER_STEP) whole = 0;
    if (i % 512 == 0) jitter(seed);
  }
  return whole;
}

/* ---- readers ---------------------------------------------------------------------------------- */

/* One read, with another inside it now and then.  *last is the sequence this handle read last. */
static void readOnce(mmapsync *h, uint64_t *seed, uint64_t *last) {
  mmapsync_view view, nested;
  int rc = mmapsync_read(h, &view), inside = 0;

  if (rc == MMAPSYNC_EMPTY) return;
  if (rc != MMAPSYNC_OK) {
    broken("read: %s", mmapsync_errmsg(h));
    return;
  }
  if (view.sequence < *last) broken("the sequence went back");
  if (view.switched != (view.sequence != *last)) broken("switched is %d", view.switched);
  *last = view.sequence;
  if (chance(seed, 16) == 0) {
    jitter(seed);
    inside = mmapsync_read(h, &nested) == MMAPSYNC_OK;
    if (!inside) broken("nested read: %s", mmapsync_errmsg(h));
  }
  if (!payloadWhole(&view, seed)) atomic_fetch_add(&tally->torn, 1);
  if (inside) {
    if (nested.sequence < view.sequence) broken("a nested read is older");
    if (nested.sequence == view.sequence && nested.version != view.version) {
      broken("one sequence has two version words");
    }
    *last = nested.sequence;
    if (chance(seed, 2)) {
      mmapsync_release(h, &view);
      if (!payloadWhole(&nested, seed)) atomic_fetch_add(&tally->torn, 1);
      mmapsync_release(h, &nested);
    } else {
      mmapsync_release(h, &nested);
      if (!payloadWhole(&view, seed)) atomic_fetch_add(&tally->torn, 1);
      mmapsync_release(h, &view);
    }
  } else {
    mmapsync_release(h, &view);
  }
}

static void *readerRun(void *who) {
  uint64_t seed = (uint64_t)(uintptr_t)who * 7919 + 1, last = 0, n = 0;
  mmapsync_options opt;
  mmapsync *h;

  mmapsync_options_init(&opt);
  opt.verify = (uintptr_t)who % 2 ? MMAPSYNC_VERIFY_SNAPSHOT : MMAPSYNC_VERIFY_NEVER;
  opt.pins = MMAPSYNC_PIN_SLOT + (int)((uintptr_t)who / 2 % 3);
  if (mmapsync_open(path, &opt, &h) != MMAPSYNC_OK) {
    broken("open: %s", mmapsync_errmsg(h));
  } else {
    while (now() < endTime) {
      gait();
      for (n = 0; n < (sprint ? 256 : 16); n++) readOnce(h, &seed, &last);
      atomic_fetch_add(&tally->reads, n);
    }
  }
  mmapsync_close(h);
  return NULL;
}

/* ---- writers ---------------------------------------------------------------------------------- */

/* Publishes a payload that grows while it is written; or gives it up. */
static int writeInPlace(mmapsync *h, uint64_t *seed, uint64_t name, uint64_t words,
                        mmapsync_result *done) {
  uint64_t i, room = 8;
  void *data;
  int rc = mmapsync_write_begin(h, room * 8, &data);

  for (i = 0; rc == MMAPSYNC_OK && i < words; i++) {
    if (i == room) {
      room *= 2;
      rc = mmapsync_write_grow(h, room * 8, &data);
      if (rc != MMAPSYNC_OK) break;
    }
    ((uint64_t *)data)[i] = name + i * HAMMER_STEP;
    if (i % 512 == 0) jitter(seed);
  }
  if (rc == MMAPSYNC_OK && chance(seed, 8) == 0) {
    mmapsync_write_abort(h);
    done->sequence = 0;
    return MMAPSYNC_OK;
  }
  if (rc != MMAPSYNC_OK) return rc;
  return mmapsync_write_commit(h, words * 8, MMAPSYNC_KIND_RAW, done);
}

static void *writerRun(void *who) {
  uint64_t seed = (uint64_t)(uintptr_t)who * 104729 + now() % 1000003, last = 0, number = 0;
  uint64_t *bytes = malloc(HAMMER_WORDS * sizeof(*bytes));
  mmapsync_options opt;
  mmapsync *h;

  mmapsync_options_init(&opt);
  opt.grace_ms = HAMMER_GRACE_MS;
  if (mmapsync_open(path, &opt, &h) != MMAPSYNC_OK) broken("open: %s", mmapsync_errmsg(h));
  while (now() < endTime && mmapsync_path(h)[0]) {
    uint64_t i, words = chance(&seed, sprint ? 16 : chance(&seed, 4) ? 100 : HAMMER_WORDS);
    uint64_t name = payloadName((uintptr_t)who, ++number, words);
    mmapsync_result done;
    int rc;

    gait();
    if (chance(&seed, 2)) {
      for (i = 0; i < words; i++) bytes[i] = name + i * HAMMER_STEP;
      rc = mmapsync_write(h, bytes, words * 8, &done);
    } else {
      rc = writeInPlace(h, &seed, name, words, &done);
    }
    if (rc == MMAPSYNC_BUSY) {
      sched_yield();
      continue;
    }
    if (rc != MMAPSYNC_OK) {
      broken("write: %s", mmapsync_errmsg(h));
      break;
    }
    if (done.sequence != 0) {
      atomic_fetch_add(&tally->publishes, 1);
      if (done.sequence <= last) broken("a writer's sequence did not rise");
      if (done.reset) broken("a write reset the counter of %u ms", done.waited_ms);
      if (done.replaced) broken("a write replaced a file after %u ms", done.waited_ms);
      last = done.sequence;
    }
    jitter(&seed);
  }
  free(bytes);
  mmapsync_close(h);
  return NULL;
}

/* ---- processes -------------------------------------------------------------------------------- */

/* A child that does not outlive us, whatever becomes of us. */
static pid_t child(void) {
  pid_t parent = getpid(), pid = fork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
  }
  return pid;
}

/* Starts a writer, kills it, and so on. */
static void killWriters(void) {
  uint64_t seed = 42;
  while (now() < endTime) {
    pid_t pid = child();
    if (pid == 0) {
      writerRun((void *)(uintptr_t)200);
      _exit(0);
    }
    nanosleep(&(struct timespec){0, (long)(1000000 + chance(&seed, 20000000))}, NULL);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    atomic_fetch_add(&tally->kills, 1);
  }
}

/* ---- under the thread sanitizer --------------------------------------------------------------- */

#if HAMMER_TSAN
#define SHARED_BYTES ((size_t)64 << 20)

static pthread_mutex_t sharedMutex = PTHREAD_MUTEX_INITIALIZER;
static struct {
  ino_t inode;
  void *base;
} shared[16];

/* One mapping a file, longer than it will ever be, for all handles. */
static void *sharedMap(void *p, size_t n, int prot, int flags, int fd, off_t at) {
  struct stat st;
  void *base = MAP_FAILED;
  int i;
  if (fd < 0) return mmap(p, n, prot, flags, fd, at);
  if (fstat(fd, &st) != 0) return base;
  pthread_mutex_lock(&sharedMutex);
  for (i = 0; i < 16 && shared[i].base && shared[i].inode != st.st_ino; i++) {
  }
  if (i < 16 && !shared[i].base) {
    shared[i].inode = st.st_ino;
    shared[i].base = mmap(NULL, SHARED_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  }
  if (i < 16) base = shared[i].base;
  pthread_mutex_unlock(&sharedMutex);
  return base;
}

static int sharedUnmap(void *p, size_t n) {
  (void)p, (void)n;
  return 0;
}

static void *sharedRemap(void *p, size_t was, size_t n, int flags) {
  (void)was, (void)n, (void)flags;
  return p;
}

static _Atomic int lockEdge;
static int sharedLock(int fd, int operation) {
  int rc;
  if (operation == LOCK_UN) atomic_fetch_add_explicit(&lockEdge, 1, memory_order_release);
  rc = flock(fd, operation);
  if (rc == 0) (void)atomic_load_explicit(&lockEdge, memory_order_acquire);
  return rc;
}

/* A lock that is gone when the writer looks for it was given back before. */
static int sharedBytes(int fd, int command, struct flock *lock) {
  int rc;
  if (lock->l_type == F_UNLCK) atomic_fetch_add_explicit(&lockEdge, 1, memory_order_release);
  rc = fcntl(fd, command, lock);
  if (rc == 0) (void)atomic_load_explicit(&lockEdge, memory_order_acquire);
  return rc;
}

static void sharedSet(void) {
  sysSet("fcntl", (SysFunction)sharedBytes);
  sysSet("mmap", (SysFunction)sharedMap);
  sysSet("munmap", (SysFunction)sharedUnmap);
  sysSet("mremap", (SysFunction)sharedRemap);
  sysSet("flock", (SysFunction)sharedLock);
}
#else
static void sharedSet(void) {}
#endif

/* ---- all of it -------------------------------------------------------------------------------- */

/* The newest sequence; 0 if there is none.  With `last`, nobody may be reading. */
static uint64_t sequenceNow(int last) {
  mmapsync_reader reader[HAMMER_THREADS];
  size_t i, n = 0;
  uint64_t sequence = 0;
  mmapsync *h;
  int rc = mmapsync_open(path, NULL, &h);
  if (rc == MMAPSYNC_OK) rc = mmapsync_sequence(h, &sequence);
  if (rc == MMAPSYNC_OK && last) rc = mmapsync_verify(h);
  if (rc == MMAPSYNC_OK && last) rc = mmapsync_readers(h, reader, HAMMER_THREADS, &n);
  if (rc != MMAPSYNC_OK && (last || rc != MMAPSYNC_EMPTY)) broken("%s", mmapsync_errmsg(h));
  for (i = 0; i < n && i < HAMMER_THREADS; i++) {
    if (reader[i].pins[0] == 0 && reader[i].pins[1] == 0) continue;
    broken("a pin of kind %d is left: %u and %u", reader[i].kind, reader[i].pins[0],
           reader[i].pins[1]);
  }
  mmapsync_close(h);
  return sequence;
}

int main(int argc, char **argv) {
  pthread_t thread[HAMMER_THREADS + 3];
  pid_t process[HAMMER_PROCESSES + 1];
  uint64_t first, rise, publishes, kills, seed = 1;
  int i, readers, writers, processes = 0, started = 0, status;

  if (argc != 4 || atof(argv[1]) <= 0 || atoi(argv[2]) < 1 || atoi(argv[2]) > HAMMER_THREADS) {
    fprintf(stderr, "usage: core_hammer SECONDS THREADS PATH\n");
    return 2;
  }
  readers = atoi(argv[2]);
  writers = readers < 3 ? 1 : readers < 6 ? 2 : 3;
  path = argv[3];
  tally = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (tally == MAP_FAILED) return 2;
  sharedSet();
  first = sequenceNow(0);
  endTime = now() + (uint64_t)(atof(argv[1]) * 1e9);

  sigaction(SIGUSR1, &(struct sigaction){.sa_handler = nap}, NULL);
  if (!HAMMER_TSAN) {
    for (; processes <= HAMMER_PROCESSES; processes++) {
      process[processes] = child();
      if (process[processes] == 0) {
        if (processes < HAMMER_PROCESSES) {
          readerRun((void *)(uintptr_t)(100 + processes));
        } else {
          killWriters();
        }
        _exit(0);
      }
    }
  }
  for (i = 0; i < readers + writers; i++) {
    void *who = (void *)(uintptr_t)(i + 1);
    if (pthread_create(&thread[started], NULL, i < readers ? readerRun : writerRun, who) == 0) {
      started++;
    } else {
      broken("cannot start a thread");
    }
  }
  while (now() < endTime) {
    /* Readers come first in both; one that has ended is still ours to name until it is waited for. */
    i = (int)chance(&seed, (uint64_t)(readers + HAMMER_PROCESSES));
    if (i < readers && i < started) pthread_kill(thread[i], SIGUSR1);
    if (i >= readers && processes) kill(process[i - readers], SIGUSR1);
    nanosleep(&(struct timespec){0, 1000000}, NULL);
  }
  for (i = 0; i < started; i++) pthread_join(thread[i], NULL);
  for (i = 0; i < processes; i++) {
    if (waitpid(process[i], &status, 0) != process[i] || status != 0) {
      broken("a process ended with status %d", status);
    }
  }

  publishes = atomic_load(&tally->publishes);
  kills = atomic_load(&tally->kills);
  rise = sequenceNow(1) - first;
  if (rise < publishes || rise > publishes + kills) {
    broken("the sequence rose by %llu in %llu publishes and %llu kills", (unsigned long long)rise,
           (unsigned long long)publishes, (unsigned long long)kills);
  }
  printf("%d reader threads, %d reader processes, %d writers, %llu more killed\n", readers,
         HAMMER_TSAN ? 0 : HAMMER_PROCESSES, writers, (unsigned long long)kills);
  printf("reads %llu publishes %llu torn %llu\n", (unsigned long long)atomic_load(&tally->reads),
         (unsigned long long)publishes, (unsigned long long)atomic_load(&tally->torn));
  return atomic_load(&tally->torn) || atomic_load(&tally->broken) || publishes == 0;
}
