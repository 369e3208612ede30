#define _GNU_SOURCE
/*
** sys.c - the table of system calls and its wrappers.  See sys.h.
**
** The entries have different types; the table keeps them all as one function type and each wrapper
** casts its own back before the call.  open(), mremap() and fcntl() take a variable number of
** arguments, which a function pointer of a fixed type must not be called as, so they go through small
** functions with a fixed list; so does futex(), which the C library does not have.
*/
#include "sys.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int fixedOpen(const char *name, int flags, mode_t mode) { return open(name, flags, mode); }

static void *fixedRemap(void *p, size_t was, size_t n, int flags) {
  return mremap(p, was, n, flags);
}

static int fixedDup(int fd, int lowest) { return fcntl(fd, F_DUPFD_CLOEXEC, lowest); }

static int fixedBytes(int fd, int command, struct flock *lock) { return fcntl(fd, command, lock); }

static long fixedFutex(uint32_t *word, int operation, uint32_t value, const struct timespec *time) {
  return syscall(SYS_futex, word, operation, value, time, NULL, 0);
}

typedef int (*OpenFunction)(const char *, int, mode_t);
typedef int (*CloseFunction)(int);
typedef ssize_t (*ReadFunction)(int, void *, size_t);
typedef ssize_t (*ReadAtFunction)(int, void *, size_t, off_t);
typedef ssize_t (*WriteAtFunction)(int, const void *, size_t, off_t);
typedef int (*FstatFunction)(int, struct stat *);
typedef int (*StatFunction)(const char *, struct stat *);
typedef int (*TruncateFunction)(int, off_t);
typedef int (*ReserveFunction)(int, off_t, off_t);
typedef void *(*MapFunction)(void *, size_t, int, int, int, off_t);
typedef void *(*RemapFunction)(void *, size_t, size_t, int);
typedef int (*UnmapFunction)(void *, size_t);
typedef int (*SyncFunction)(int);
typedef int (*LockFunction)(int, int);
typedef int (*SleepFunction)(const struct timespec *, struct timespec *);
typedef int (*ClockFunction)(clockid_t, struct timespec *);
typedef int (*DupFunction)(int, int);
typedef int (*RenameFunction)(const char *, const char *);
typedef int (*UnlinkFunction)(const char *);
typedef int (*ChmodFunction)(int, mode_t);
typedef int (*ChownFunction)(int, uid_t, gid_t);
typedef int (*BytesFunction)(int, int, struct flock *);
typedef int (*AdviseFunction)(void *, size_t, int);
typedef long (*FutexFunction)(uint32_t *, int, uint32_t, const struct timespec *);
typedef char *(*RealPathFunction)(const char *, char *);

enum {
  SYS_OPEN,
  SYS_CLOSE,
  SYS_FSTAT,
  SYS_STAT,
  SYS_TRUNCATE,
  SYS_RESERVE,
  SYS_MAP,
  SYS_REMAP,
  SYS_UNMAP,
  SYS_SYNC,
  SYS_SYNC_DATA,
  SYS_LOCK,
  SYS_SLEEP,
  SYS_CLOCK,
  SYS_DUP,
  SYS_RENAME,
  SYS_UNLINK,
  SYS_READ,
  SYS_READ_AT,
  SYS_WRITE_AT,
  SYS_CHMOD,
  SYS_CHOWN,
  SYS_BYTES,
  SYS_ADVISE,
  SYS_FUTEX,
  SYS_REALPATH,
  SYS_COUNT
};

static struct {
  const char *name;
  SysFunction now;
  SysFunction original;
} sysTable[SYS_COUNT] = {
#define SYS_ENTRY(name, fn)                                                                        \
  { name, (SysFunction)(fn), (SysFunction)(fn) }
    [SYS_OPEN] = SYS_ENTRY("open", fixedOpen),
    [SYS_CLOSE] = SYS_ENTRY("close", close),
    [SYS_FSTAT] = SYS_ENTRY("fstat", fstat),
    [SYS_STAT] = SYS_ENTRY("stat", stat),
    [SYS_TRUNCATE] = SYS_ENTRY("ftruncate", ftruncate),
    [SYS_RESERVE] = SYS_ENTRY("posix_fallocate", posix_fallocate),
    [SYS_MAP] = SYS_ENTRY("mmap", mmap),
    [SYS_REMAP] = SYS_ENTRY("mremap", fixedRemap),
    [SYS_UNMAP] = SYS_ENTRY("munmap", munmap),
    [SYS_SYNC] = SYS_ENTRY("fsync", fsync),
    [SYS_SYNC_DATA] = SYS_ENTRY("fdatasync", fdatasync),
    [SYS_LOCK] = SYS_ENTRY("flock", flock),
    [SYS_SLEEP] = SYS_ENTRY("nanosleep", nanosleep),
    [SYS_CLOCK] = SYS_ENTRY("clock_gettime", clock_gettime),
    [SYS_DUP] = SYS_ENTRY("dup", fixedDup),
    [SYS_RENAME] = SYS_ENTRY("rename", rename),
    [SYS_UNLINK] = SYS_ENTRY("unlink", unlink),
    [SYS_READ] = SYS_ENTRY("read", read),
    [SYS_READ_AT] = SYS_ENTRY("pread", pread),
    [SYS_WRITE_AT] = SYS_ENTRY("pwrite", pwrite),
    [SYS_CHMOD] = SYS_ENTRY("fchmod", fchmod),
    [SYS_CHOWN] = SYS_ENTRY("fchown", fchown),
    [SYS_BYTES] = SYS_ENTRY("fcntl", fixedBytes),
    [SYS_ADVISE] = SYS_ENTRY("madvise", madvise),
    [SYS_FUTEX] = SYS_ENTRY("futex", fixedFutex),
    [SYS_REALPATH] = SYS_ENTRY("realpath", realpath),
#undef SYS_ENTRY
};

#define SYS_CALL(type, which) ((type)sysTable[which].now)

/* Makes a call that returns -1 with errno again for as long as a signal cuts it short. */
#define SYS_RETRY(rc, call)                                                                        \
  do {                                                                                             \
    (rc) = (call);                                                                                 \
  } while ((rc) == -1 && errno == EINTR)

/*
** A program may have closed its standard streams.  A channel file must not become one of them: the
** next message somebody prints would land in it.
*/
int sysOpen(const char *name, int flags, mode_t mode) {
  int fd, err, low;
  SYS_RETRY(fd, SYS_CALL(OpenFunction, SYS_OPEN)(name, flags, mode));
  if (fd < 0 || fd > STDERR_FILENO) return fd;
  low = fd;
  SYS_RETRY(fd, SYS_CALL(DupFunction, SYS_DUP)(low, STDERR_FILENO + 1));
  err = errno;
  sysClose(low);
  errno = err;
  return fd;
}

/* Not made again: on Linux the descriptor is gone even if a signal came. */
int sysClose(int fd) { return SYS_CALL(CloseFunction, SYS_CLOSE)(fd); }

ssize_t sysRead(int fd, void *to, size_t n) {
  ssize_t got;
  SYS_RETRY(got, SYS_CALL(ReadFunction, SYS_READ)(fd, to, n));
  return got;
}

ssize_t sysReadAt(int fd, void *to, size_t n, off_t at) {
  ssize_t got;
  SYS_RETRY(got, SYS_CALL(ReadAtFunction, SYS_READ_AT)(fd, to, n, at));
  return got;
}

ssize_t sysWriteAt(int fd, const void *from, size_t n, off_t at) {
  ssize_t put;
  SYS_RETRY(put, SYS_CALL(WriteAtFunction, SYS_WRITE_AT)(fd, from, n, at));
  return put;
}

int sysFstat(int fd, struct stat *out) {
  int rc;
  SYS_RETRY(rc, SYS_CALL(FstatFunction, SYS_FSTAT)(fd, out));
  return rc;
}

int sysStat(const char *name, struct stat *out) {
  int rc;
  SYS_RETRY(rc, SYS_CALL(StatFunction, SYS_STAT)(name, out));
  return rc;
}

int sysRealPath(const char *name, char *out) {
  return SYS_CALL(RealPathFunction, SYS_REALPATH)(name, out) ? 0 : -1;
}

int sysRename(const char *from, const char *to) {
  return SYS_CALL(RenameFunction, SYS_RENAME)(from, to);
}

int sysUnlink(const char *name) { return SYS_CALL(UnlinkFunction, SYS_UNLINK)(name); }

int sysChmod(int fd, mode_t mode) {
  int rc;
  SYS_RETRY(rc, SYS_CALL(ChmodFunction, SYS_CHMOD)(fd, mode));
  return rc;
}

int sysChown(int fd, uid_t owner, gid_t group) {
  int rc;
  SYS_RETRY(rc, SYS_CALL(ChownFunction, SYS_CHOWN)(fd, owner, group));
  return rc;
}

int sysTruncate(int fd, off_t length) {
  int rc;
  SYS_RETRY(rc, SYS_CALL(TruncateFunction, SYS_TRUNCATE)(fd, length));
  return rc;
}

int sysReserve(int fd, off_t at, off_t n) {
  int err;
  do {
    err = SYS_CALL(ReserveFunction, SYS_RESERVE)(fd, at, n);
  } while (err == EINTR);
  return err;
}

void *sysMap(size_t n, int prot, int flags, int fd) {
  void *p = SYS_CALL(MapFunction, SYS_MAP)(NULL, n, prot, flags, fd, 0);
  return p == MAP_FAILED ? NULL : p;
}

void *sysMapGuarded(size_t n, size_t page, int fd, void **region, size_t *mapped) {
  size_t align = n >= SYS_LARGE ? SYS_LARGE : page;
  size_t whole = (n + page - 1) / page * page + page + (align - page);
  void *base, *at, *p = sysMap(whole, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
  int err;
  if (!p) return NULL;
  at = (void *)(((uintptr_t)p + align - 1) / align * align);
  base = SYS_CALL(MapFunction, SYS_MAP)(at, n, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0);
  err = errno;
  *region = p;
  *mapped = whole;
  if (base != at) { /* it failed; or a test has put it elsewhere */
    (void)sysUnmap(p, whole);
    *region = base;
    *mapped = n;
  }
  errno = err;
  return base == MAP_FAILED ? NULL : base;
}

void *sysRemap(void *p, size_t was, size_t n) {
  p = SYS_CALL(RemapFunction, SYS_REMAP)(p, was, n, MREMAP_MAYMOVE);
  return p == MAP_FAILED ? NULL : p;
}

int sysUnmap(void *p, size_t n) { return SYS_CALL(UnmapFunction, SYS_UNMAP)(p, n); }

int sysSync(int fd) {
  int rc;
  SYS_RETRY(rc, SYS_CALL(SyncFunction, SYS_SYNC)(fd));
  return rc;
}

int sysSyncData(int fd) {
  int rc;
  SYS_RETRY(rc, SYS_CALL(SyncFunction, SYS_SYNC_DATA)(fd));
  return rc;
}

int sysLock(int fd, int operation) {
  int rc;
  SYS_RETRY(rc, SYS_CALL(LockFunction, SYS_LOCK)(fd, operation));
  return rc;
}

static int bytesCall(int fd, int command, short *type, off_t at, off_t n) {
  struct flock lock = {0}; /* the kernel wants l_pid to be 0 */
  int rc;
  lock.l_type = *type;
  lock.l_whence = SEEK_SET;
  lock.l_start = at;
  lock.l_len = n;
  SYS_RETRY(rc, SYS_CALL(BytesFunction, SYS_BYTES)(fd, command, &lock));
  *type = lock.l_type;
  return rc;
}

int sysBytesLock(int fd, short type, off_t at, off_t n) {
  return bytesCall(fd, F_OFD_SETLK, &type, at, n);
}

int sysBytesHeld(int fd, off_t at, off_t n) {
  short type = F_WRLCK; /* which any other would be in the way of */
  int rc;
  atomic_thread_fence(memory_order_seq_cst);
  rc = bytesCall(fd, F_OFD_GETLK, &type, at, n);
  atomic_thread_fence(memory_order_seq_cst);
  return rc != 0 ? -1 : type != F_UNLCK;
}

int sysWipeOnFork(void *p, size_t n) {
  AdviseFunction advise = SYS_CALL(AdviseFunction, SYS_ADVISE);
  /* Emulators that take any advice and follow none (user-mode QEMU, for long) take this one, too, which does not
  ** exist. */
  if (advise(p, n, -1) == 0) {
    errno = ENOSYS;
    return -1;
  }
  return advise(p, n, MADV_WIPEONFORK);
}

int sysFutex(_Atomic uint32_t *word, int operation, uint32_t value, uint64_t ns) {
  struct timespec t;
  t.tv_sec = (time_t)(ns / 1000000000u);
  t.tv_nsec = (long)(ns % 1000000000u);
  /* The kernel compares and sleeps on the word as it stands in memory, which is all that an _Atomic of
  ** this size is. */
  return (int)SYS_CALL(FutexFunction, SYS_FUTEX)((uint32_t *)(void *)word, operation, value,
                                                 operation == FUTEX_WAIT ? &t : NULL);
}

void sysSleep(uint64_t ns) {
  struct timespec t;
  t.tv_sec = (time_t)(ns / 1000000000u);
  t.tv_nsec = (long)(ns % 1000000000u);
  (void)SYS_CALL(SleepFunction, SYS_SLEEP)(&t, NULL);
}

/* Both clocks exist on every Linux, so the call cannot fail; a test's replacement may, and then the
** time is 0. */
static uint64_t clockRead(clockid_t clock) {
  struct timespec t = {0, 0};
  (void)SYS_CALL(ClockFunction, SYS_CLOCK)(clock, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t sysWallClock(void) { return clockRead(CLOCK_REALTIME); }
uint64_t sysWallTick(void) { return clockRead(CLOCK_REALTIME_COARSE); }
uint64_t sysSteadyClock(void) { return clockRead(CLOCK_MONOTONIC); }

static int tableFind(const char *name) {
  int i;
  for (i = 0; i < SYS_COUNT; i++) {
    if (strcmp(sysTable[i].name, name) == 0) return i;
  }
  return -1;
}

int sysSet(const char *name, SysFunction fn) {
  int i;
  if (!name) {
    assert(!fn);
    for (i = 0; i < SYS_COUNT; i++) sysTable[i].now = sysTable[i].original;
    return 0;
  }
  i = tableFind(name);
  if (i < 0) return -1;
  sysTable[i].now = fn ? fn : sysTable[i].original;
  return 0;
}

SysFunction sysGet(const char *name) {
  int i = tableFind(name);
  return i < 0 ? (SysFunction)NULL : sysTable[i].now;
}

const char *sysName(int i) { return i >= 0 && i < SYS_COUNT ? sysTable[i].name : NULL; }
