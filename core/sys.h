/*
** sys.h - every system call the core makes, through one replaceable table.  (But for getpid() and sysconf(),
** which cannot fail as they are used.)
**
** A test can put a function of its own in place of any entry, and so make the Nth open, mmap or
** posix_fallocate fail, stall, or look at the world between two steps.  sys.c holds the table, the
** typed wrappers below, and the one place where a call that a signal cut short is made again: no
** caller sees EINTR but from sysSleep().
**
** The wrappers return what the calls do, with errno; sysReserve() returns an error number, as
** posix_fallocate() does.
*/
#ifndef MMAPSYNC_SYS_H
#define MMAPSYNC_SYS_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

#define SYS_LARGE ((size_t)2 << 20) /* bytes of a large page, where pages have 4096 */

int sysOpen(const char *name, int flags, mode_t mode); /* never gives descriptor 0, 1 or 2 */
int sysClose(int fd);
ssize_t sysRead(int fd, void *to, size_t n);
ssize_t sysReadAt(int fd, void *to, size_t n, off_t at);          /* pread */
ssize_t sysWriteAt(int fd, const void *from, size_t n, off_t at); /* pwrite */
int sysFstat(int fd, struct stat *out);
int sysStat(const char *name, struct stat *out);
int sysRealPath(const char *name, char *out); /* realpath() into out[PATH_MAX]; 0, or -1 */
int sysRename(const char *from, const char *to);
int sysUnlink(const char *name);
int sysChmod(int fd, mode_t mode);              /* fchmod */
int sysChown(int fd, uid_t owner, gid_t group); /* fchown */
int sysTruncate(int fd, off_t length);
int sysReserve(int fd, off_t at, off_t n);
void *sysMap(size_t n, int prot, int flags, int fd); /* NULL on failure, not MAP_FAILED */
void *sysMapGuarded(size_t n, size_t page, int fd, void **region, size_t *mapped); /* below */
void *sysRemap(void *p, size_t was, size_t n); /* may move; NULL on failure */
int sysUnmap(void *p, size_t n);
int sysSync(int fd);
int sysSyncData(int fd);
int sysLock(int fd, int operation);                                               /* flock */
int sysBytesLock(int fd, short type, off_t at, off_t n);                          /* below */
int sysBytesHeld(int fd, off_t at, off_t n);                                      /* below */
int sysWipeOnFork(void *p, size_t n);                                             /* madvise */
int sysFutex(_Atomic uint32_t *word, int operation, uint32_t value, uint64_t ns); /* below */
void sysSleep(uint64_t ns);    /* or less, if a signal comes */
uint64_t sysWallClock(void);   /* ns since 1970, UTC */
uint64_t sysWallTick(void);    /* the same as of the last tick, some ms ago; a fifth of its time */
uint64_t sysSteadyClock(void); /* ns since some moment; never goes back */

/*
** sysBytesLock() places an OFD lock of `type` (F_RDLCK, F_WRLCK, or F_UNLCK to take it away) on n bytes from
** `at` on, of the open file behind fd, or fails if another open file has one in the way.  sysBytesHeld() says
** whether any other has: 1, 0, or -1 with errno.  The kernel may answer "none" without taking a lock of its own,
** so the order is made here: a full fence stands before that look, and one after it.
**
** sysMapGuarded() maps n bytes, 1 at least, of a file for reading, and a page of zeros behind them that nobody can
** write to: who looks there for the end of a text finds one.  *region and *mapped are for sysUnmap().  What is large
** is mapped at a multiple of SYS_LARGE, so that the kernel can map it by large pages, if the file has those: a tmpfs
** that was mounted with huge=within_size or always.
**
** sysFutex() is FUTEX_WAIT for at most ns, while *word is value, or FUTEX_WAKE of at most `value`
** sleepers, in any process that has the word mapped.
*/

/*
** For tests.  The names are those of the C library: open, close, fstat, stat, ftruncate,
** posix_fallocate, mmap, mremap, munmap, fsync, fdatasync, flock, nanosleep, clock_gettime, dup, rename,
** unlink, read, pread, pwrite, fchmod, fchown, fcntl, madvise, futex, realpath.  A replacement has the type of the original, except that
** open takes all three arguments, mremap four, dup is `int (*)(int fd, int lowest)`, fcntl is
** `int (*)(int fd, int command, struct flock *)`, and futex is
** `long (*)(uint32_t *, int operation, uint32_t value, const struct timespec *)`.  Not to be used while another thread is in the core.
*/
typedef void (*SysFunction)(void);

/* Puts `fn` in the place of `name`, or the original if fn is NULL.  With name NULL, puts back all
** originals.  0, or -1 if there is no such name. */
int sysSet(const char *name, SysFunction fn);

/* What is in that place now; NULL if there is no such name. */
SysFunction sysGet(const char *name);

/* The i-th name, i = 0, 1, ...; NULL after the last. */
const char *sysName(int i);

#endif
