/*
** marks.c - the system-call table: random sleeps at every system call that matters, and what the thread
** sanitizer takes.
**
** SLEEPS.  The wrappers below sleep or yield before and after the call, by chance.  So a rename is far from
** the raises of replaced[] around it, a mapping from the claim that it is for, a lock from the look at what
** it protects.  Between two instructions of the core there is no mark: there it is signals that tear readers
** and writers apart (torture.c).
**
** ALONE.  Two writers who have the lock at once, or have a write open at once, are a fault.  Who was killed
** does so no longer, though he could not say so; hence Lane.doomed.
**
** CLOCK.  In threads mode no grace time is over while a reader by counter is inside a read: until it has left,
** the writer's clock stands still.  Else such a reader, whom the scheduler kept waiting, would lose its snapshot
** by the crate's rule, and the sanitizer would rightly report what is permitted (reader.c, DOUBT).  Who enters
** after the writer was told the time counts itself in on the other file.
**
** THREAD SANITIZER.  It knows a place of memory by its address, and every handle maps the files anew; it
** would find nothing and warn of nothing.  So in that build the first mapping of a file (by device and
** inode) is made long enough for all times, readable and writable, and everyone who maps that file gets this
** address, until the last has unmapped it.  Then the atomics of the core are one place for all threads, and
** payloads, which are plain memory, are checked: any access that the protocol does not order is a data race
** to it, whether or not the bytes were torn in that run.  What it cannot see:
**   - system calls.  A lock pin is ordered by the kernel; here each unlock, and each close, releases an
**     atomic that the writer's look at locks acquires.  That order is so presumed, not proved;
**   - atomic_thread_fence().  The core's fences stand beside system calls of lock pins, which are given
**     their order as said, and add nothing that it would miss;
**   - the version word as a hint (relaxed) and orders weaker than x86's are checked as C11 says, but only
**     on the paths that were run.
** Nothing here may order what the core does not: the table of mappings is kept by code that the sanitizer
** does not look into.  (It still orders what malloc() does, and a thread's start and end.)
*/
#define _GNU_SOURCE
#include "torture.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "page.h"
#include "sys.h"

_Thread_local int marksOn = 1;
_Thread_local volatile unsigned disturbed;
_Thread_local unsigned mapped;

/* Once in `often` something happens; mostly it yields, now and then it sleeps long. */
static void mark(uint64_t often) {
  int err = errno;
  uint64_t r;
  if (!marksOn || chance(often) != 0) return;
  disturbed++;
  r = chance(32);
  if (r < 20) {
    sched_yield();
  } else if (r < 31) {
    sleepNs(chance(200 * NS_PER_US));
  } else {
    sleepNs(chance(3 * NS_PER_MS));
  }
  errno = err;
}

void jitter(void) { mark(256); }

/* ---- one mapping a file, for the thread sanitizer ----------------------------------------------- */

#if TORTURE_TSAN
#define UNSEEN    __attribute__((no_sanitize("thread"), noinline))
#define ONE_BYTES ((size_t)64 << 20)
#define ONE_MOST  512

static struct One {
  dev_t device;
  ino_t inode;
  void *base; /* NULL: free */
  unsigned refs;
  _Atomic unsigned edge;
} one[ONE_MOST];

/* To the sanitizer, to map is to write all of the memory: whoever is given the same must come after.  So a
** thread that maps a file is ordered after what the first did before; once for each that maps it. */
static void oneMade(struct One *o) { atomic_fetch_add_explicit(&o->edge, 1, memory_order_release); }
static void oneGiven(struct One *o) { (void)atomic_load_explicit(&o->edge, memory_order_acquire); }

static int oneLocked;
UNSEEN static void oneLock(void) {
  while (__atomic_exchange_n(&oneLocked, 1, __ATOMIC_ACQUIRE)) syscall(SYS_sched_yield);
}
UNSEEN static void oneUnlock(void) { __atomic_store_n(&oneLocked, 0, __ATOMIC_RELEASE); }

/* The descriptor may be for reading only. */
UNSEEN static void *oneMake(int fd) {
  char name[32];
  void *base = MAP_FAILED;
  int both;
  snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
  both = open(name, O_RDWR | O_CLOEXEC);
  if (both < 0) return base;
  base = mmap(NULL, ONE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, both, 0);
  close(both);
  return base;
}

UNSEEN static void *oneMap(void *p, size_t n, int prot, int flags, int fd, off_t at) {
  struct stat st;
  struct One *o, *room = NULL;
  void *base = MAP_FAILED;

  if (fd < 0 || !(flags & MAP_SHARED) || n > ONE_BYTES) return mmap(p, n, prot, flags, fd, at);
  if (fstat(fd, &st) != 0) return base;
  oneLock();
  for (o = one; o < one + ONE_MOST; o++) {
    if (o->base && o->device == st.st_dev && o->inode == st.st_ino) break;
    if (!o->base && !room) room = o;
  }
  if (o < one + ONE_MOST) {
    o->refs++;
    base = o->base;
    oneGiven(o);
  } else if (room) {
    base = oneMake(fd);
    if (base != MAP_FAILED) {
      room->device = st.st_dev;
      room->inode = st.st_ino;
      room->base = base;
      room->refs = 1;
      oneMade(room);
    }
  }
  oneUnlock();
  return base;
}

UNSEEN static int oneUnmap(void *p, size_t n) {
  struct One *o;
  int rc = 0;
  oneLock();
  for (o = one; o < one + ONE_MOST && o->base != p; o++) {
  }
  if (o == one + ONE_MOST) {
    rc = munmap(p, n);
  } else if (--o->refs == 0) {
    rc = munmap(p, ONE_BYTES);
    o->base = NULL;
  }
  oneUnlock();
  return rc;
}

UNSEEN static void *oneRemap(void *p, size_t was, size_t n, int flags) {
  (void)was, (void)flags;
  if (n > ONE_BYTES) return MAP_FAILED;
  return p;
}

/* What the kernel orders: the writer's lock, and lock pins. */
static _Atomic unsigned lockEdge, pinEdge;
static void edgeRelease(_Atomic unsigned *edge) {
  atomic_fetch_add_explicit(edge, 1, memory_order_release);
}
static void edgeAcquire(_Atomic unsigned *edge) {
  (void)atomic_load_explicit(edge, memory_order_acquire);
}
#else
static _Atomic unsigned lockEdge, pinEdge;
static void edgeRelease(_Atomic unsigned *edge) { (void)edge; }
static void edgeAcquire(_Atomic unsigned *edge) { (void)edge; }
#define oneMap   mmap
#define oneUnmap munmap
static void *oneRemap(void *p, size_t was, size_t n, int flags) { return mremap(p, was, n, flags); }
#endif

/* ---- the writer's side of DOUBT ----------------------------------------------------------------- */

static _Thread_local int doubtful; /* 1: in a publish; 2: its grace time may be over */
static _Thread_local uint64_t doubtStart;

void doubtBegin(void) {
  doubtful = 1;
  doubtStart = 0;
}

int doubtEnd(void) {
  int was = doubtful == 2;
  if (was) atomic_fetch_add(&T->doubt, 1);
  doubtful = 0;
  return was;
}

/* The writer learns from this clock that the grace time is over.  The first look at it in a publish is not
** after the start of the wait. */
static void doubtClock(const struct timespec *t) {
  uint64_t at = (uint64_t)t->tv_sec * NS_PER_S + (uint64_t)t->tv_nsec;
  if (doubtful == 0) return;
  if (doubtStart == 0) doubtStart = at;
  if (doubtful == 1 && at - doubtStart >= (uint64_t)T->grace_ms * NS_PER_MS) {
    doubtful = 2;
    atomic_fetch_add(&T->doubt, 1);
  }
}

/* CLOCK, at the head.  1 if *t was put back to what this publish was told before. */
static int clockHeld(struct timespec *t) {
  static _Thread_local struct timespec told;
  uint64_t at = (uint64_t)t->tv_sec * NS_PER_S + (uint64_t)t->tv_nsec;
  unsigned lane;

  if (T->threads && doubtful == 1 && doubtStart != 0 &&
      at - doubtStart >= (uint64_t)T->grace_ms * NS_PER_MS) {
    for (lane = 0; lane < (unsigned)readerRoles(); lane++) {
      /* relaxed: nothing may be ordered here that the core does not order */
      if (atomic_load_explicit(&T->lane[lane].seat[0].inside, memory_order_relaxed)) {
        *t = told;
        return 1;
      }
    }
  }
  told = *t;
  return 0;
}

/* ---- alone -------------------------------------------------------------------------------------- */

static uint64_t me(void) { return (uint64_t)(self.lane + 1) << 32 | self.serial; }

void aloneBegin(_Atomic uint64_t *who, const char *what) {
  uint64_t other = 0;
  const Lane *lane;
  if (atomic_compare_exchange_strong_explicit(who, &other, me(), memory_order_relaxed,
                                              memory_order_relaxed)) {
    return;
  }
  lane = &T->lane[(other >> 32) - 1];
  if (atomic_load(&lane->doomed) < (uint32_t)other) {
    broken("two writers %s at once: this one, and lane %u serial %u", what,
           (unsigned)(other >> 32) - 1, (unsigned)other);
  }
  atomic_store_explicit(who, me(), memory_order_relaxed);
}

void aloneEnd(_Atomic uint64_t *who) {
  uint64_t mine = me();
  /* Unless another is there, who rightly took us for dead. */
  atomic_compare_exchange_strong_explicit(who, &mine, 0, memory_order_relaxed,
                                          memory_order_relaxed);
}

/* ---- the calls ---------------------------------------------------------------------------------- */

static int markClock(clockid_t clock, struct timespec *out) {
  int rc;
  mark(512);
  rc = clock_gettime(clock, out);
  if (clock == CLOCK_MONOTONIC && !clockHeld(out)) doubtClock(out);
  return rc;
}

static int markBytes(int fd, int command, struct flock *lock) {
  int rc;
  mark(16);
  if (command == F_OFD_SETLK && lock->l_type == F_UNLCK) edgeRelease(&pinEdge);
  rc = fcntl(fd, command, lock);
  if (command == F_OFD_GETLK && lock->l_start >= PAGE_PRESENCE) edgeAcquire(&pinEdge);
  mark(16);
  return rc;
}

static int markClose(int fd) {
  edgeRelease(&pinEdge);
  return close(fd);
}

static void *markMap(void *p, size_t n, int prot, int flags, int fd, off_t at) {
  mark(4);
  mapped++;
  p = oneMap(p, n, prot, flags, fd, at);
  mark(4);
  return p;
}

static void *markRemap(void *p, size_t was, size_t n, int flags) {
  mark(4);
  return oneRemap(p, was, n, flags);
}

static int markUnmap(void *p, size_t n) {
  mark(8);
  return oneUnmap(p, n);
}

static int markOpen(const char *name, int flags, mode_t mode) {
  int fd;
  mark(8);
  fd = open(name, flags, mode);
  mark(8);
  return fd;
}

static int markRename(const char *from, const char *to) {
  int rc;
  mark(2);
  rc = rename(from, to);
  mark(2);
  return rc;
}

static int markTruncate(int fd, off_t n) {
  int rc;
  mark(4);
  rc = ftruncate(fd, n);
  mark(4);
  return rc;
}

static int markReserve(int fd, off_t at, off_t n) {
  int rc;
  mark(8);
  rc = posix_fallocate(fd, at, n);
  mark(8);
  return rc;
}

static long markFutex(uint32_t *word, int operation, uint32_t value, const struct timespec *time) {
  mark(4);
  return syscall(SYS_futex, word, operation, value, time, NULL, 0);
}

static int markLock(int fd, int operation) {
  int rc;
  mark(16);
  if (operation == LOCK_UN) {
    aloneEnd(&T->holder);
    edgeRelease(&lockEdge);
  }
  rc = flock(fd, operation);
  if (rc == 0 && operation != LOCK_UN) {
    edgeAcquire(&lockEdge);
    aloneBegin(&T->holder, "hold the lock");
  }
  mark(16);
  return rc;
}

void marksSet(void) {
  sysSet("clock_gettime", (SysFunction)markClock);
  sysSet("fcntl", (SysFunction)markBytes);
  sysSet("close", (SysFunction)markClose);
  sysSet("mmap", (SysFunction)markMap);
  sysSet("mremap", (SysFunction)markRemap);
  sysSet("munmap", (SysFunction)markUnmap);
  sysSet("open", (SysFunction)markOpen);
  sysSet("rename", (SysFunction)markRename);
  sysSet("ftruncate", (SysFunction)markTruncate);
  sysSet("posix_fallocate", (SysFunction)markReserve);
  sysSet("futex", (SysFunction)markFutex);
  sysSet("flock", (SysFunction)markLock);
}
