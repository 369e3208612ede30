/*
** fault.h - calls that fail on demand: the replacements for the table of sys.h, and for malloc() and its kin.
**
** fault_check.c sweeps the C interface with them, testfixture.c lends them to tests in Tcl.  What includes this
** defines faultNow(), which is told of each call that is made while faultInstall() has the replacements in
** place, and says whether that one fails.  It is told as much of the call as may matter to it.
**
** faultCalls[] says what each kind of call may give, and which code of the core that comes to where it matters:
** MMAPSYNC_OK where it never does.  These are the errors that the manual pages know, but for those that only a
** mistake of ours could bring (EBADF, EFAULT), and of those that come to the same some.
**
** MEMORY.  Programs that use this are linked with FAULT_WRAP (Makefile): then what the core asks of malloc() comes
** here first, with or without a sanitizer, and what libraries ask of it for themselves does not.
** faultMemory.live counts what has not been given back.
*/
#ifndef FAULT_H
#define FAULT_H

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "mmapsync.h"
#include "sys.h"

/* What one call is about. */
typedef struct FaultPlace {
  const char *call;         /* its name in the table */
  const char *name;         /* of the file, if it is given one; otherwise NULL */
  int fd;                   /* if it is given one; otherwise -1 */
  const void *p;            /* of the mapping, if it is given one */
  int flags;                /* of an open, a flock, a fcntl, a mmap, a futex */
  const struct flock *lock; /* of a fcntl */
} FaultPlace;

/* The error that this call gives; 0: it is made. */
static int faultNow(const FaultPlace *at);

/* No error number: a read that gives fewer bytes than there are. */
#define FAULT_SHORT 1000

#define FAULT_AT(...)                                                                              \
  int error = faultNow(&(FaultPlace){__VA_ARGS__});                                                \
  if (error) errno = error

/* ---- memory ----------------------------------------------------------------------------------- */

static struct {
  long nth;   /* the request that fails; 0: none does */
  int lasts;  /* and all after it */
  long calls; /* requests since faultMemorySet() */
  long failed;
  long live; /* blocks that have not been given back */
} faultMemory;

static void faultMemorySet(long nth, int lasts) {
  faultMemory.nth = nth;
  faultMemory.lasts = lasts;
  faultMemory.calls = faultMemory.failed = 0;
}

static int faultMemoryNow(void) {
  faultMemory.calls++;
  if (faultMemory.nth == 0 || faultMemory.calls < faultMemory.nth ||
      (faultMemory.calls > faultMemory.nth && !faultMemory.lasts)) {
    return 0;
  }
  faultMemory.failed++;
  errno = ENOMEM;
  return 1;
}

void *__real_malloc(size_t);
void *__real_calloc(size_t, size_t);
void *__real_realloc(void *, size_t);
void *__real_aligned_alloc(size_t, size_t);
void __real_free(void *);
void *__wrap_malloc(size_t);
void *__wrap_calloc(size_t, size_t);
void *__wrap_realloc(void *, size_t);
void *__wrap_aligned_alloc(size_t, size_t);
void __wrap_free(void *);

static void *faultCount(void *p) {
  if (p) faultMemory.live++;
  return p;
}
void *__wrap_malloc(size_t n) { return faultMemoryNow() ? NULL : faultCount(__real_malloc(n)); }
void *__wrap_calloc(size_t n, size_t each) {
  return faultMemoryNow() ? NULL : faultCount(__real_calloc(n, each));
}
void *__wrap_realloc(void *p, size_t n) {
  if (faultMemoryNow()) return NULL;
  return p ? __real_realloc(p, n) : faultCount(__real_realloc(p, n));
}
void *__wrap_aligned_alloc(size_t to, size_t n) {
  return faultMemoryNow() ? NULL : faultCount(__real_aligned_alloc(to, n));
}
void __wrap_free(void *p) {
  if (p) faultMemory.live--;
  __real_free(p);
}

/* ---- system calls ----------------------------------------------------------------------------- */

static int faultOpen(const char *name, int flags, mode_t mode) {
  FAULT_AT(.call = "open", .name = name, .fd = -1, .flags = flags);
  return error ? -1 : open(name, flags, mode);
}

/* A close or an munmap that says it failed has done its work all the same. */
static int faultClose(int fd) {
  int rc = close(fd);
  FAULT_AT(.call = "close", .fd = -1);
  return error ? -1 : rc;
}
static int faultUnmap(void *p, size_t n) {
  int rc = munmap(p, n);
  FAULT_AT(.call = "munmap", .fd = -1);
  return error ? -1 : rc;
}

static ssize_t faultRead(int fd, void *to, size_t n) {
  FAULT_AT(.call = "read", .fd = fd);
  if (error == FAULT_SHORT) return read(fd, to, n > 5 ? 5 : 0);
  return error ? -1 : read(fd, to, n);
}

static ssize_t faultReadAt(int fd, void *to, size_t n, off_t at) {
  FAULT_AT(.call = "pread", .fd = fd);
  return error ? -1 : pread(fd, to, n, at);
}
static ssize_t faultWriteAt(int fd, const void *from, size_t n, off_t at) {
  FAULT_AT(.call = "pwrite", .fd = fd, .flags = O_RDWR);
  return error ? -1 : pwrite(fd, from, n, at);
}

static int faultFstat(int fd, struct stat *out) {
  FAULT_AT(.call = "fstat", .fd = fd);
  return error ? -1 : fstat(fd, out);
}

static int faultStat(const char *name, struct stat *out) {
  FAULT_AT(.call = "stat", .name = name, .fd = -1);
  return error ? -1 : stat(name, out);
}

static char *faultRealPath(const char *name, char *out) {
  FAULT_AT(.call = "realpath", .name = name, .fd = -1);
  return error ? NULL : realpath(name, out);
}

static int faultRename(const char *from, const char *to) {
  FAULT_AT(.call = "rename", .name = from, .fd = -1);
  return error ? -1 : rename(from, to);
}

static int faultUnlink(const char *name) {
  FAULT_AT(.call = "unlink", .name = name, .fd = -1);
  return error ? -1 : unlink(name);
}

static int faultChmod(int fd, mode_t mode) {
  FAULT_AT(.call = "fchmod", .fd = fd);
  return error ? -1 : fchmod(fd, mode);
}

static int faultChown(int fd, uid_t owner, gid_t group) {
  FAULT_AT(.call = "fchown", .fd = fd);
  return error ? -1 : fchown(fd, owner, group);
}

static int faultTruncate(int fd, off_t length) {
  FAULT_AT(.call = "ftruncate", .fd = fd);
  return error ? -1 : ftruncate(fd, length);
}

/* Gets hold of a part, as some file systems do before they find that the rest is not to be had. */
static int faultReserve(int fd, off_t at, off_t n) {
  FAULT_AT(.call = "posix_fallocate", .fd = fd);
  if (!error) return posix_fallocate(fd, at, n);
  if (error != EINTR && n > 4096) (void)posix_fallocate(fd, at, n / 2);
  return error;
}

static void *faultMap(void *p, size_t n, int prot, int flags, int fd, off_t at) {
  FAULT_AT(.call = "mmap", .fd = fd, .flags = flags);
  return error ? MAP_FAILED : mmap(p, n, prot, flags, fd, at);
}

static void *faultRemap(void *p, size_t was, size_t n, int flags) {
  FAULT_AT(.call = "mremap", .fd = -1, .p = p);
  return error ? MAP_FAILED : mremap(p, was, n, flags);
}

static int faultAdvise(void *p, size_t n, int advice) {
  FAULT_AT(.call = "madvise", .fd = -1, .p = p);
  return error ? -1 : madvise(p, n, advice);
}

static int faultSync(int fd) {
  FAULT_AT(.call = "fsync", .fd = fd);
  return error ? -1 : fsync(fd);
}

static int faultSyncData(int fd) {
  FAULT_AT(.call = "fdatasync", .fd = fd);
  return error ? -1 : fdatasync(fd);
}

/* Giving a lock back does not fail; nor does that of a byte. */
static int faultLock(int fd, int operation) {
  if (operation != LOCK_UN) {
    FAULT_AT(.call = "flock", .fd = fd, .flags = operation);
    if (error) return -1;
  }
  return flock(fd, operation);
}
static int faultBytes(int fd, int command, struct flock *lock) {
  if (lock->l_type != F_UNLCK) {
    FAULT_AT(.call = "fcntl", .fd = fd, .flags = command, .lock = lock);
    if (error) return -1;
  }
  return fcntl(fd, command, lock);
}

static int faultSleep(const struct timespec *t, struct timespec *left) {
  FAULT_AT(.call = "nanosleep", .fd = -1);
  return error ? -1 : nanosleep(t, left);
}

static int faultClock(clockid_t clock, struct timespec *t) {
  FAULT_AT(.call = "clock_gettime", .fd = -1);
  return error ? -1 : clock_gettime(clock, t);
}

static int faultDup(int fd, int lowest) {
  FAULT_AT(.call = "dup", .fd = fd);
  return error ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, lowest);
}

static long faultFutex(uint32_t *word, int operation, uint32_t value, const struct timespec *time) {
  FAULT_AT(.call = "futex", .fd = -1, .flags = operation);
  return error ? -1 : syscall(SYS_futex, word, operation, value, time, NULL, 0);
}

/* Whether a call can give that error at all: memory that is no file can only be short; EAGAIN is what is said of a
** slot that is another's. */
static int faultFits(const FaultPlace *at, int error) {
  if (strcmp(at->call, "mmap") == 0) return at->fd >= 0 || error == ENOMEM;
  if (strcmp(at->call, "fcntl") != 0 || error != EAGAIN) return 1;
  return at->flags == F_OFD_SETLK && at->lock->l_type == F_WRLCK;
}

#define FAULT_GIVES 10

static const struct FaultCall {
  const char *name;
  SysFunction fn;
  struct {
    int error, code;
  } gives[FAULT_GIVES]; /* up to the first error that is 0 */
} faultCalls[] = {
    {"open",
     (SysFunction)faultOpen,
     {{EACCES, MMAPSYNC_PERM},
      {EROFS, MMAPSYNC_PERM},
      {EMFILE, MMAPSYNC_IOERR},
      {ENFILE, MMAPSYNC_IOERR},
      {ENOMEM, MMAPSYNC_NOMEM},
      {ENOSPC, MMAPSYNC_FULL},
      {ELOOP, MMAPSYNC_CANTOPEN},
      {ENXIO, MMAPSYNC_CANTOPEN},
      {EINTR, MMAPSYNC_OK}}},
    {"dup", (SysFunction)faultDup, {{EMFILE, MMAPSYNC_IOERR}, {EINTR, MMAPSYNC_OK}}},
    {"close", (SysFunction)faultClose, {{EIO, MMAPSYNC_OK}, {EINTR, MMAPSYNC_OK}}},
    {"read",
     (SysFunction)faultRead,
     {{EIO, MMAPSYNC_OK}, {EINTR, MMAPSYNC_OK}, {FAULT_SHORT, MMAPSYNC_OK}}},
    {"pread",
     (SysFunction)faultReadAt,
     {{EIO, MMAPSYNC_IOERR}, {ENOMEM, MMAPSYNC_NOMEM}, {EINTR, MMAPSYNC_OK}}},
    {"pwrite",
     (SysFunction)faultWriteAt,
     {{EIO, MMAPSYNC_IOERR},
      {ENOSPC, MMAPSYNC_FULL},
      {EDQUOT, MMAPSYNC_FULL},
      {EINTR, MMAPSYNC_OK}}},
    {"fstat",
     (SysFunction)faultFstat,
     {{EIO, MMAPSYNC_IOERR}, {ENOMEM, MMAPSYNC_NOMEM}, {EINTR, MMAPSYNC_OK}}},
    {"stat",
     (SysFunction)faultStat,
     {{EIO, MMAPSYNC_IOERR},
      {EACCES, MMAPSYNC_PERM},
      {ENOMEM, MMAPSYNC_NOMEM},
      {EINTR, MMAPSYNC_OK}}},
    {"realpath",
     (SysFunction)faultRealPath,
     {{EACCES, MMAPSYNC_PERM},
      {EIO, MMAPSYNC_IOERR},
      {ENOMEM, MMAPSYNC_NOMEM},
      {ENAMETOOLONG, MMAPSYNC_TOOBIG},
      {ENOENT, MMAPSYNC_CANTOPEN},
      {ENOTDIR, MMAPSYNC_CANTOPEN},
      {ELOOP, MMAPSYNC_CANTOPEN}}},
    {"rename",
     (SysFunction)faultRename,
     {{EACCES, MMAPSYNC_PERM},
      {EPERM, MMAPSYNC_PERM},
      {EROFS, MMAPSYNC_PERM},
      {ENOSPC, MMAPSYNC_FULL},
      {EDQUOT, MMAPSYNC_FULL},
      {ENOMEM, MMAPSYNC_NOMEM},
      {EIO, MMAPSYNC_IOERR}}},
    {"unlink",
     (SysFunction)faultUnlink,
     {{EACCES, MMAPSYNC_PERM},
      {EROFS, MMAPSYNC_PERM},
      {EISDIR, MMAPSYNC_CANTOPEN},
      {EBUSY, MMAPSYNC_IOERR},
      {EIO, MMAPSYNC_IOERR},
      {ENOENT, MMAPSYNC_OK}}},
    {"fchmod",
     (SysFunction)faultChmod,
     {{EPERM, MMAPSYNC_PERM}, {EROFS, MMAPSYNC_PERM}, {EIO, MMAPSYNC_IOERR}, {EINTR, MMAPSYNC_OK}}},
    {"fchown",
     (SysFunction)faultChown,
     {{EPERM, MMAPSYNC_PERM},
      {EDQUOT, MMAPSYNC_FULL},
      {EIO, MMAPSYNC_IOERR},
      {EINTR, MMAPSYNC_OK}}},
    {"ftruncate",
     (SysFunction)faultTruncate,
     {{EIO, MMAPSYNC_OK}, {EPERM, MMAPSYNC_OK}, {EINTR, MMAPSYNC_OK}}},
    {"posix_fallocate",
     (SysFunction)faultReserve,
     {{ENOSPC, MMAPSYNC_FULL},
      {EDQUOT, MMAPSYNC_FULL},
      {EFBIG, MMAPSYNC_TOOBIG},
      {EIO, MMAPSYNC_IOERR},
      {EOPNOTSUPP, MMAPSYNC_IOERR},
      {EINTR, MMAPSYNC_OK}}},
    {"mmap",
     (SysFunction)faultMap,
     {{ENOMEM, MMAPSYNC_NOMEM},
      {EACCES, MMAPSYNC_PERM},
      {EAGAIN, MMAPSYNC_IOERR},
      {ENODEV, MMAPSYNC_IOERR}}},
    {"mremap",
     (SysFunction)faultRemap,
     {{ENOMEM, MMAPSYNC_NOMEM}, {EAGAIN, MMAPSYNC_IOERR}, {EFAULT, MMAPSYNC_IOERR}}},
    {"munmap", (SysFunction)faultUnmap, {{ENOMEM, MMAPSYNC_OK}}},
    {"madvise", (SysFunction)faultAdvise, {{EINVAL, MMAPSYNC_OK}, {ENOMEM, MMAPSYNC_OK}}},
    {"fsync",
     (SysFunction)faultSync,
     {{EIO, MMAPSYNC_IOERR}, {ENOSPC, MMAPSYNC_FULL}, {EINVAL, MMAPSYNC_OK}, {EINTR, MMAPSYNC_OK}}},
    {"fdatasync",
     (SysFunction)faultSyncData,
     {{EIO, MMAPSYNC_IOERR},
      {ENOSPC, MMAPSYNC_FULL},
      {EDQUOT, MMAPSYNC_FULL},
      {EINTR, MMAPSYNC_OK}}},
    {"flock",
     (SysFunction)faultLock,
     {{EWOULDBLOCK, MMAPSYNC_BUSY}, {ENOLCK, MMAPSYNC_IOERR}, {EINTR, MMAPSYNC_OK}}},
    {"fcntl",
     (SysFunction)faultBytes,
     {{ENOLCK, MMAPSYNC_IOERR},
      {EINVAL, MMAPSYNC_IOERR},
      {EIO, MMAPSYNC_IOERR},
      {EAGAIN, MMAPSYNC_OK},
      {EINTR, MMAPSYNC_OK}}},
    {"nanosleep", (SysFunction)faultSleep, {{EINTR, MMAPSYNC_OK}}},
    {"clock_gettime", (SysFunction)faultClock, {{EINVAL, MMAPSYNC_OK}}},
    {"futex",
     (SysFunction)faultFutex,
     {{EAGAIN, MMAPSYNC_OK},
      {EINTR, MMAPSYNC_OK},
      {ETIMEDOUT, MMAPSYNC_OK},
      {ENOSYS, MMAPSYNC_OK}}},
    {NULL, NULL, {{0, 0}}},
};

/* Puts the replacement of one call in place, or of all if name is NULL; and takes all away. */
static void faultInstall(const char *name) {
  const struct FaultCall *call;
  for (call = faultCalls; call->name; call++) {
    if (!name || strcmp(name, call->name) == 0) sysSet(call->name, call->fn);
  }
}
static void faultRestore(void) { sysSet(NULL, NULL); }

/* The entry of that name, or NULL. */
static const struct FaultCall *faultFind(const char *name) {
  const struct FaultCall *call = faultCalls;
  while (call->name && strcmp(call->name, name) != 0) call++;
  return call->name ? call : NULL;
}

#endif
