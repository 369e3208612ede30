/*
** check_fault.h - system calls that fail: what fault_check.c puts in the table of sys.h.
**
** One kind of call at a time fails, as `fault` says.  Each failure is looked at: what file it was about, and
** whether the act at hand (`acting`) can do without it.  The file's name is asked of /proc where the call has
** only a descriptor or an address.
*/
#ifndef CHECK_FAULT_H
#define CHECK_FAULT_H

#include "check.h"

#include <sys/file.h>
#include <sys/mman.h>
#include <time.h>

#include "page.h"
#include "sys.h"

/* ---- faults ----------------------------------------------------------------------------------- */

/* What a call is about: the files of the channel, its folder, two files of the kernel, memory that is no
** file, a lock in the state file.  FILE_OPEN_RW is added for an open that asks for writing. */
enum {
  FILE_OTHER,
  FILE_STATE,
  FILE_DATA,
  FILE_NEW,
  FILE_WRITER,
  FILE_READERS,
  FILE_FOLDER,
  FILE_BOOT,
  FILE_TIME,
  FILE_NONE
};

/* The call of one kind that fails: the nth from now, and all after it if it lasts. */
static struct {
  const char *name;
  SysFunction original;
  int error;
  int code; /* what it comes to, if it is not absorbed */
  int lasts;
  long nth;
  long calls;
  long fatal; /* failures that were not to be absorbed */
  int spared; /* one that only perhaps is */
  long looks; /* calls of this kind for data files */
} fault;

/* What the act of the scenario is, as far as it matters to what can be done without. */
static struct {
  int reads;    /* it is a reader; otherwise a writer */
  int pins;     /* options.pins of it */
  int attached; /* it has read before */
  int trusts;   /* a writer that has the data files open */
  int replaces;
  int builds;
} acting;

static int fileOf(const char *name) {
  static const struct {
    const char *ending;
    int file;
  } files[] = {{"_state", FILE_STATE},    {"_data_0", FILE_DATA},    {"_data_1", FILE_DATA},
               {"_data_0_new", FILE_NEW}, {"_data_1_new", FILE_NEW}, {"_writer", FILE_WRITER},
               {"_readers", FILE_READERS}};
  size_t i, n = strlen(checkPath);
  if (strcmp(name, checkFolder) == 0) return FILE_FOLDER;
  if (strcmp(name, "/proc/sys/kernel/random/boot_id") == 0) return FILE_BOOT;
  if (strcmp(name, "/proc/self/ns/time") == 0) return FILE_TIME;
  for (i = 0; strncmp(name, checkPath, n) == 0 && i < sizeof(files) / sizeof(files[0]); i++) {
    if (strcmp(name + n, files[i].ending) == 0) return files[i].file;
  }
  return FILE_OTHER;
}

static int fileOfFd(int fd) {
  char link[64], name[PATH_MAX + 32], *gone;
  ssize_t n;
  if (fd < 0) return FILE_NONE;
  snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
  n = readlink(link, name, sizeof(name) - 1);
  if (n < 0) return FILE_OTHER;
  name[n] = 0;
  gone = strstr(name, " (deleted)");
  if (gone) *gone = 0;
  return fileOf(name);
}

/* What can be done without:
**
**   - the boot's id and the time namespace's number;
**   - for a reader that may choose how to pin, P_readers, unless memory is short: it pins by locks;
**     P_writer, if it is not permitted: it counts itself in; writing the state, if that is not: it then
**     pins by slot or lock;
**   - the look of a writer at a file that it has open: it opens it again, which fails next if all do; and at
**     the active file, if that is missing or no file: the next publish mends the channel, and P_writer has
**     the sequence. */
static int faultAbsorbed(int file, int writes) {
  int open_ = strcmp(fault.name, "open") == 0;
  int choose = acting.reads && acting.pins == MMAPSYNC_PIN_AUTO;
  if (fault.code == MMAPSYNC_OK || file == FILE_BOOT || file == FILE_TIME) return 1;
  if (choose && file == FILE_READERS && fault.code != MMAPSYNC_NOMEM) return 1;
  if (acting.reads && file == FILE_WRITER && fault.code == MMAPSYNC_PERM) {
    return choose || acting.pins == MMAPSYNC_PIN_COUNTER;
  }
  if (!acting.reads && file == FILE_DATA && open_ && !writes && fault.code == MMAPSYNC_CANTOPEN) {
    return 1;
  }
  if (acting.reads && acting.pins != MMAPSYNC_PIN_COUNTER && open_ && file == FILE_STATE &&
      writes && fault.code == MMAPSYNC_PERM) {
    return 1;
  }
  return 0;
}

static int faultAt(int file, int writes) {
  if (++fault.calls < fault.nth || (fault.calls > fault.nth && !fault.lasts)) return 0;
  if (!faultAbsorbed(file, writes)) fault.fatal++;
  errno = fault.error;
  return 1;
}

static int faultOpen(const char *name, int flags, mode_t mode) {
  if (faultAt(fileOf(name), (flags & O_ACCMODE) == O_RDWR)) return -1;
  return ((int (*)(const char *, int, mode_t))fault.original)(name, flags, mode);
}

/* A close or an munmap that says it failed has done its work all the same. */
static int faultClose(int fd) {
  int rc = ((int (*)(int))fault.original)(fd);
  return faultAt(FILE_NONE, 0) ? -1 : rc;
}
static int faultUnmap(void *p, size_t n) {
  int rc = ((int (*)(void *, size_t))fault.original)(p, n);
  return faultAt(FILE_NONE, 0) ? -1 : rc;
}

static ssize_t faultRead(int fd, void *to, size_t n) {
  if (faultAt(fileOfFd(fd), 0)) return -1;
  return ((ssize_t(*)(int, void *, size_t))fault.original)(fd, to, n);
}

static ssize_t faultReadAt(int fd, void *to, size_t n, off_t at) {
  if (faultAt(fileOfFd(fd), 0)) return -1;
  return ((ssize_t(*)(int, void *, size_t, off_t))fault.original)(fd, to, n, at);
}
static ssize_t faultWriteAt(int fd, const void *from, size_t n, off_t at) {
  if (faultAt(fileOfFd(fd), 1)) return -1;
  return ((ssize_t(*)(int, const void *, size_t, off_t))fault.original)(fd, from, n, at);
}

/* A writer's first look at a data file is at one that it has open. */
static int faultFstat(int fd, struct stat *out) {
  int file = fileOfFd(fd);
  int spare = file == FILE_DATA && acting.trusts && fault.looks++ == 0;
  if (faultAt(spare ? FILE_TIME : file, 0)) return -1;
  return ((int (*)(int, struct stat *))fault.original)(fd, out);
}

static int faultStat(const char *name, struct stat *out) {
  if (faultAt(fileOf(name), 0)) return -1;
  return ((int (*)(const char *, struct stat *))fault.original)(name, out);
}

static int faultRename(const char *from, const char *to) {
  CHECK(fileOf(from) == FILE_NEW && fileOf(to) == FILE_DATA);
  if (faultAt(fileOf(from), 0)) return -1;
  return ((int (*)(const char *, const char *))fault.original)(from, to);
}

/* Only what stands where a new file must go has to be removed; what else is swept can stay. */
static int faultUnlink(const char *name) {
  CHECK(fileOf(name) == FILE_NEW);
  if (faultAt(acting.replaces ? FILE_NEW : FILE_TIME, 0)) return -1;
  return ((int (*)(const char *))fault.original)(name);
}

static int faultChmod(int fd, mode_t mode) {
  CHECK(fileOfFd(fd) == FILE_NEW);
  return faultAt(FILE_NEW, 0) ? -1 : ((int (*)(int, mode_t))fault.original)(fd, mode);
}

static int faultChown(int fd, uid_t owner, gid_t group) {
  CHECK(fileOfFd(fd) == FILE_NEW);
  return faultAt(FILE_NEW, 0) ? -1 : ((int (*)(int, uid_t, gid_t))fault.original)(fd, owner, group);
}

static int faultTruncate(int fd, off_t length) {
  return faultAt(fileOfFd(fd), 0) ? -1 : ((int (*)(int, off_t))fault.original)(fd, length);
}

/* Gets hold of a part, as some file systems do before they find that the rest is not to be had.  A builder that
** is refused room asks again for what it needs now, if it had asked for more: either may come of it. */
static int faultReserve(int fd, off_t at, off_t n) {
  int (*original)(int, off_t, off_t) = (int (*)(int, off_t, off_t))fault.original;
  int file = fileOfFd(fd);
  int spare = file == FILE_DATA && acting.builds && fault.looks++ > 0 &&
              fault.calls + 1 == fault.nth &&
              (fault.code == MMAPSYNC_FULL || fault.code == MMAPSYNC_TOOBIG);
  if (!faultAt(spare ? FILE_TIME : file, 0)) return original(fd, at, n);
  fault.spared |= spare;
  if (fault.error != EINTR && n > 4096) (void)original(fd, at, n / 2);
  return fault.error;
}

/* Memory that is no file can only be short. */
static void *faultMap(void *p, size_t n, int prot, int flags, int fd, off_t at) {
  if ((fd >= 0 || fault.error == ENOMEM) && faultAt(fileOfFd(fd), 0)) return MAP_FAILED;
  return ((void *(*)(void *, size_t, int, int, int, off_t))fault.original)(p, n, prot, flags, fd,
                                                                           at);
}

/* Which file it is of, /proc knows; here it matters only whether it is P_readers. */
static void *faultRemap(void *p, size_t was, size_t n, int flags) {
  char line[PATH_MAX + 200];
  unsigned long from;
  int file = FILE_OTHER;
  FILE *f = fopen("/proc/self/maps", "r");
  while (f && fgets(line, sizeof(line), f)) {
    if (sscanf(line, "%lx-", &from) != 1 || from != (unsigned long)(uintptr_t)p) continue;
    if (strchr(line, '\n')) *strchr(line, '\n') = 0;
    if (strchr(line, '/')) file = fileOf(strchr(line, '/'));
  }
  if (f) fclose(f);
  if (faultAt(file, 0)) return MAP_FAILED;
  return ((void *(*)(void *, size_t, size_t, int))fault.original)(p, was, n, flags);
}

static int faultAdvise(void *p, size_t n, int advice) {
  return faultAt(FILE_NONE, 0) ? -1 : ((int (*)(void *, size_t, int))fault.original)(p, n, advice);
}

static int faultSync(int fd) {
  return faultAt(fileOfFd(fd), 0) ? -1 : ((int (*)(int))fault.original)(fd);
}

/* Giving a lock back does not fail; nor does that of a byte.  EAGAIN is what is said of a slot that is
** another's. */
static int faultLock(int fd, int operation) {
  if (operation != LOCK_UN && faultAt(FILE_STATE, 0)) return -1;
  return ((int (*)(int, int))fault.original)(fd, operation);
}
static int faultBytes(int fd, int command, struct flock *lock) {
  int slot = command == F_OFD_SETLK && lock->l_type == F_WRLCK;
  if (lock->l_type != F_UNLCK && (slot || fault.error != EAGAIN) && faultAt(fileOfFd(fd), 0)) {
    /* Where that lock cannot be had, nobody is told of the publish, which goes on. */
    if (command == F_OFD_SETLK && lock->l_start == PAGE_PUBLISHING) fault.fatal--;
    return -1;
  }
  return ((int (*)(int, int, struct flock *))fault.original)(fd, command, lock);
}

static int faultSleep(const struct timespec *t, struct timespec *left) {
  if (faultAt(FILE_NONE, 0)) return -1;
  return ((int (*)(const struct timespec *, struct timespec *))fault.original)(t, left);
}

static int faultClock(clockid_t clock, struct timespec *t) {
  if (faultAt(FILE_NONE, 0)) return -1;
  return ((int (*)(clockid_t, struct timespec *))fault.original)(clock, t);
}

static int faultDup(int fd, int lowest) {
  return faultAt(fileOfFd(fd), 0) ? -1 : ((int (*)(int, int))fault.original)(fd, lowest);
}

static long faultFutex(uint32_t *word, int operation, uint32_t value, const struct timespec *time) {
  if (faultAt(FILE_NONE, 0)) return -1;
  return ((long (*)(uint32_t *, int, uint32_t, const struct timespec *))fault.original)(
      word, operation, value, time);
}

/* What each call may give, and what becomes of it. */
static const struct FaultCall {
  const char *name;
  SysFunction fn;
  struct {
    int error, code;
  } gives[8]; /* up to the first error that is 0 */
} faultCalls[] = {
    {"open",
     (SysFunction)faultOpen,
     {{EACCES, MMAPSYNC_PERM},
      {EROFS, MMAPSYNC_PERM},
      {EMFILE, MMAPSYNC_IOERR},
      {ENOSPC, MMAPSYNC_FULL},
      {ELOOP, MMAPSYNC_CANTOPEN},
      {ENXIO, MMAPSYNC_CANTOPEN},
      {EINTR, MMAPSYNC_OK}}},
    {"dup", (SysFunction)faultDup, {{EMFILE, MMAPSYNC_IOERR}, {EINTR, MMAPSYNC_OK}}},
    {"close", (SysFunction)faultClose, {{EIO, MMAPSYNC_OK}, {EINTR, MMAPSYNC_OK}}},
    {"read", (SysFunction)faultRead, {{EIO, MMAPSYNC_OK}, {EINTR, MMAPSYNC_OK}}},
    {"pread",
     (SysFunction)faultReadAt,
     {{EIO, MMAPSYNC_IOERR}, {ENOMEM, MMAPSYNC_NOMEM}, {EINTR, MMAPSYNC_OK}}},
    {"pwrite",
     (SysFunction)faultWriteAt,
     {{EIO, MMAPSYNC_IOERR}, {ENOSPC, MMAPSYNC_FULL}, {EINTR, MMAPSYNC_OK}}},
    {"fstat", (SysFunction)faultFstat, {{EIO, MMAPSYNC_IOERR}, {EINTR, MMAPSYNC_OK}}},
    {"stat", (SysFunction)faultStat, {{EIO, MMAPSYNC_OK}, {EACCES, MMAPSYNC_OK}}},
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
    {"ftruncate", (SysFunction)faultTruncate, {{EIO, MMAPSYNC_OK}, {EPERM, MMAPSYNC_OK}}},
    {"posix_fallocate",
     (SysFunction)faultReserve,
     {{ENOSPC, MMAPSYNC_FULL},
      {EDQUOT, MMAPSYNC_FULL},
      {EFBIG, MMAPSYNC_TOOBIG},
      {EOPNOTSUPP, MMAPSYNC_IOERR},
      {EINTR, MMAPSYNC_OK}}},
    {"mmap",
     (SysFunction)faultMap,
     {{ENOMEM, MMAPSYNC_NOMEM}, {EACCES, MMAPSYNC_PERM}, {ENODEV, MMAPSYNC_IOERR}}},
    {"mremap", (SysFunction)faultRemap, {{ENOMEM, MMAPSYNC_NOMEM}, {EFAULT, MMAPSYNC_IOERR}}},
    {"munmap", (SysFunction)faultUnmap, {{ENOMEM, MMAPSYNC_OK}}},
    {"madvise", (SysFunction)faultAdvise, {{EINVAL, MMAPSYNC_OK}, {ENOMEM, MMAPSYNC_OK}}},
    {"fsync",
     (SysFunction)faultSync,
     {{EIO, MMAPSYNC_IOERR}, {EINVAL, MMAPSYNC_OK}, {EINTR, MMAPSYNC_OK}}},
    {"fdatasync", (SysFunction)faultSync, {{EIO, MMAPSYNC_IOERR}, {EINTR, MMAPSYNC_OK}}},
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

#endif
