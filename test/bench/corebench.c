/*
** corebench.c - what the synchronizer itself costs, without SQLite and without table images.
**
**     corebench FOLDER [ROUNDS]
**
** Each work stands beside something everyone knows, done in the same run in the same folder:
**
**   read         enter and leave a read of 36 bytes, touching one of them, by each kind of pin, and by a view that
**                is filled in and released.  Beside it: an atomic add and an atomic subtract on one shared word, which is
**                the least that any scheme pays whose readers count themselves in and out; and an exchange
**                and a store of a word of one's own, the least where they do not.
**   read2        the same while a second process does the same.
**   write36      publish 36 bytes, the writer's lock held throughout.  Beside it: one pwrite() of 36
**                bytes to an open file; and the membarrier() that it goes without (gate.h).
**   write4K ...  publish 4 KB, 1 MB, 64 MB.  Beside it: memcpy() of as much into two mapped files in
**                turn, all pages touched before.
**
** Times are processor time, of this process, so that what else the machine does should not count.
**
** Every read checks the byte it sees and every write is read back once, so nothing can be skipped.
*/
#define _GNU_SOURCE
#include "bench.h"
#include "loops.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define READS        1000000u /* a round of reads */
#define WRITES_SMALL 300000u  /* a round of writes of 36 bytes */
#define BARRIERS     100000u
#define SMALL        36u
#define SEVEN        7u /* what the bytes are that are read */

/* What two processes share to run side by side. */
typedef struct Shared {
  _Alignas(64) _Atomic uint64_t word; /* the word that readers of a counting scheme hit */
  _Alignas(64) _Atomic int ready;     /* the second process is in its loop */
  _Atomic int stop;                   /* it should leave */
} Shared;

static Shared *shared;
static char channel[3800];
static char folder[3000];

static mmapsync *openChannel(int lock, int pins) {
  mmapsync_options opt;
  mmapsync_options_init(&opt);
  opt.lock = lock;
  opt.pins = pins;
  return loopOpen(channel, &opt);
}

/* ---- reads ---------------------------------------------------------------------------------- */

static void countLoop(uint32_t n) {
  for (uint32_t i = 0; i < n; i++) {
    atomic_fetch_add(&shared->word, 1);
    atomic_fetch_sub(&shared->word, 1);
  }
}

/* A word of one's own, in memory that nobody else stores to; the look that follows is at one that all share. */
static _Alignas(64) _Atomic uint64_t own;

static void exchangeLoop(uint32_t n) {
  for (uint32_t i = 0; i < n; i++) {
    atomic_store_explicit(&own, 1, memory_order_seq_cst);
    if (atomic_load_explicit(&shared->word, memory_order_seq_cst) == UINT64_MAX) abort();
    atomic_store_explicit(&own, 0, memory_order_release);
  }
}

/* What is timed: the kinds of pin, each with a handle of its own, and the least that each scheme pays. */
typedef struct Engine {
  const char *name;
  int pins;                 /* MMAPSYNC_PIN_..., or 0: without a handle, by ... */
  void (*bare)(uint32_t n); /* ... this loop */
  int view;                 /* by a view that is filled in */
  uint32_t reads;
  mmapsync *h;
} Engine;

static Engine engines[] = {
    {"slot", MMAPSYNC_PIN_SLOT, NULL, 0, READS, NULL},
    {"view", MMAPSYNC_PIN_SLOT, NULL, 1, READS, NULL},
    {"counter", MMAPSYNC_PIN_COUNTER, NULL, 0, READS, NULL},
    {"lock", MMAPSYNC_PIN_LOCK, NULL, 0, READS / 20, NULL},
    {"count", 0, countLoop, 0, READS, NULL},
    {"exchange", 0, exchangeLoop, 0, READS, NULL},
};
#define ENGINES ((int)(sizeof(engines) / sizeof(engines[0])))

static void engineLoop(const Engine *e, mmapsync *h, uint32_t n) {
  if (e->bare) {
    e->bare(n);
  } else if (e->view) {
    loopReads(h, n, SEVEN);
  } else {
    loopEnters(h, n, SEVEN);
  }
}

/* Runs the same loop in a second process until stopped. */
static pid_t startSecond(const Engine *e) {
  atomic_store(&shared->ready, 0);
  atomic_store(&shared->stop, 0);
  pid_t parent = getpid();
  pid_t pid = fork();
  if (pid < 0) benchFail("fork: %s", strerror(errno));
  if (pid > 0) {
    while (!atomic_load(&shared->ready)) {
      if (waitpid(pid, NULL, WNOHANG) == pid) benchFail("the second process ended early");
      sched_yield();
    }
    return pid;
  }
  mmapsync *h = openChannel(MMAPSYNC_LOCK_WRITE, e->pins);
  engineLoop(e, h, 1);
  atomic_store(&shared->ready, 1);
  while (!atomic_load(&shared->stop) && getppid() == parent) engineLoop(e, h, 1000);
  mmapsync_close(h);
  _exit(0);
}

static void stopSecond(pid_t pid) {
  int status = 0;
  atomic_store(&shared->stop, 1);
  if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    benchFail("the second process failed");
  }
}

static void timeReads(const Engine *e, const char *work, int round, int two) {
  pid_t pid = two ? startSecond(e) : 0;
  uint64_t t = benchSpent();
  engineLoop(e, e->h, e->reads);
  t = benchSpent() - t;
  if (pid) stopSecond(pid);
  benchTime(work, e->name, round, t, e->reads);
}

static void benchReads(int rounds) {
  char seven[SMALL];
  memset(seven, SEVEN, sizeof(seven));
  mmapsync *h = openChannel(MMAPSYNC_LOCK_WRITE, MMAPSYNC_PIN_AUTO);
  loopCheck(h, mmapsync_write(h, seven, sizeof(seven), NULL), "write");
  mmapsync_close(h);
  for (int k = 0; k < ENGINES; k++) {
    Engine *e = &engines[k];
    if (e->pins) e->h = openChannel(MMAPSYNC_LOCK_WRITE, e->pins);
    engineLoop(e, e->h, e->reads / 10);
    if (e->pins && mmapsync_pin_kind(e->h) != e->pins)
      benchFail("%s: another kind of pin", e->name);
  }
  for (int i = 0; i < rounds; i++) {
    for (int k = 0; k < ENGINES; k++) {
      const Engine *e = &engines[i % 2 ? ENGINES - 1 - k : k];
      timeReads(e, "read", i, 0);
      timeReads(e, "read2", i, 1);
    }
  }
  for (int k = 0; k < ENGINES; k++) mmapsync_close(engines[k].h);
}

/* ---- writes --------------------------------------------------------------------------------- */

/* Publishes n times, and reads the last back, outside the time that it gives. */
static uint64_t timeWrites(mmapsync *h, char *data, size_t size, uint32_t n, uint64_t *serial) {
  uint64_t t = benchSpent();
  loopWrites(h, data, size, n, serial);
  t = benchSpent() - t;
  loopExpect(h, data, size);
  return t;
}

/* Makes the two files that the plain copies go to. */
static void openFiles(int fd[2]) {
  for (int i = 0; i < 2; i++) {
    char path[sizeof(folder) + 16];
    snprintf(path, sizeof(path), "%s/plain_%d", folder, i);
    fd[i] = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd[i] < 0) benchFail("\"%s\": %s", path, strerror(errno));
  }
}

static void benchSmallWrites(int rounds) {
  char data[SMALL] = {0};
  uint64_t serial = 0;
  int fd[2];
  openFiles(fd);
  mmapsync *h = openChannel(MMAPSYNC_LOCK_HOLD, MMAPSYNC_PIN_AUTO);
  timeWrites(h, data, sizeof(data), 1000, &serial);
  int barrier = syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0;
  for (int i = 0; i < rounds; i++) {
    for (int k = 0; k < 2; k++) {
      if ((k ^ i) & 1) {
        uint64_t t = benchSpent();
        for (uint32_t j = 0; j < WRITES_SMALL; j++) {
          loopStamp(data, ++serial);
          if (pwrite(fd[j & 1], data, sizeof(data), 0) != (ssize_t)sizeof(data)) {
            benchFail("pwrite: %s", strerror(errno));
          }
        }
        benchTime("write36", "pwrite", i, benchSpent() - t, WRITES_SMALL);
      } else {
        uint64_t t = timeWrites(h, data, sizeof(data), WRITES_SMALL, &serial);
        benchTime("write36", "mmapsync", i, t, WRITES_SMALL);
      }
    }
  }
  /* Nobody else runs here that is registered: it is the call and no interrupt, which is the best case. */
  for (int i = 0; i < rounds && barrier; i++) {
    uint64_t t = benchSpent();
    for (uint32_t j = 0; j < BARRIERS; j++) {
      if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0) != 0) {
        benchFail("membarrier: %s", strerror(errno));
      }
    }
    benchTime("write36", "membarrier", i, benchSpent() - t, BARRIERS);
  }
  mmapsync_close(h);
  close(fd[0]);
  close(fd[1]);
}

static void benchWrites(const char *work, size_t size, uint32_t n, int rounds) {
  uint64_t serial = 0;
  int fd[2];
  char *map[2];
  char *data = malloc(size);
  if (!data) benchFail("out of memory");
  loopFill(data, size);
  openFiles(fd);
  for (int i = 0; i < 2; i++) {
    int rc = posix_fallocate(fd[i], 0, (off_t)size);
    if (rc != 0) benchFail("no room for %zu bytes in \"%s\": %s", size, folder, strerror(rc));
    map[i] = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd[i], 0);
    if (map[i] == MAP_FAILED) benchFail("mmap: %s", strerror(errno));
    memcpy(map[i], data, size);
  }
  mmapsync *h = openChannel(MMAPSYNC_LOCK_HOLD, MMAPSYNC_PIN_AUTO);
  timeWrites(h, data, size, 4, &serial);
  for (int i = 0; i < rounds; i++) {
    for (int k = 0; k < 2; k++) {
      if ((k ^ i) & 1) {
        uint64_t t = benchSpent();
        for (uint32_t j = 0; j < n; j++) {
          loopStamp(data, ++serial);
          memcpy(map[j & 1], data, size);
          atomic_signal_fence(memory_order_seq_cst); /* each copy is to be made */
        }
        benchTime(work, "memcpy", i, benchSpent() - t, n);
        if (memcmp(map[(n - 1) & 1], data, size) != 0) benchFail("memcpy: wrong bytes");
      } else {
        benchTime(work, "mmapsync", i, timeWrites(h, data, size, n, &serial), n);
      }
    }
  }
  mmapsync_close(h);
  for (int i = 0; i < 2; i++) {
    munmap(map[i], size);
    close(fd[i]);
  }
  free(data);
}

int main(int argc, char **argv) {
  int rounds = argc > 2 ? atoi(argv[2]) : 7;
  if (argc < 2 || rounds < 1) benchFail("usage: corebench FOLDER [ROUNDS]");
  if (snprintf(folder, sizeof(folder), "%s", argv[1]) >= (int)sizeof(folder)) {
    benchFail("path too long");
  }
  snprintf(channel, sizeof(channel), "%s/core", folder);
  shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) benchFail("mmap: %s", strerror(errno));
  benchReads(rounds);
  benchSmallWrites(rounds);
  benchWrites("write4K", 4096, 20000, rounds);
  benchWrites("write1M", 1 << 20, 200, rounds);
  benchWrites("write64M", 64 << 20, 4, rounds);
  return 0;
}
