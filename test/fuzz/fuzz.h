/*
** fuzz.h - what the fuzzers share: bytes to decide by, a scratch channel, and mappings whose ends are guarded.
**
** A fuzzer is a program of libFuzzer: it is given bytes, does what they say, and is watched by the address,
** leak and undefined-behaviour sanitizers, a limit of time and one of memory.  What should never be, but is
** nothing a sanitizer sees, it reports with fuzzDefect(), which aborts; libFuzzer then keeps the bytes.  They
** belong into seeds/, where each run, `make fuzz SECONDS=0` too, tries them again.
**
** The same bytes must always do the same: every input starts from a channel, handles and connections of its
** own, or from what no input changes.
**
** GUARDS.  A mapping ends at a page, a file anywhere, and a read of what lies between is no fault to the
** kernel.  So mmap() of the core is replaced by one which tells the address sanitizer that bytes behind the
** file's end are not to be touched.
*/
#ifndef FUZZ_H
#define FUZZ_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sanitizer/asan_interface.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mmapsync.h"
#include "sys.h"

/* What libFuzzer calls, and what it lets us call. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerInitialize(int *argc, char ***argv);
size_t LLVMFuzzerMutate(uint8_t *data, size_t n, size_t most);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t most, unsigned seed);

/* Says what is wrong and ends the program in the way that libFuzzer takes for a crash. */
static inline void fuzzDefect(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
static inline void fuzzDefect(const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  fprintf(stderr, "\n==== defect: ");
  vfprintf(stderr, fmt, args);
  fprintf(stderr, "\n");
  va_end(args);
  abort();
}

#define FUZZ_CHECK(x)                                                                              \
  do {                                                                                             \
    if (!(x)) fuzzDefect("%s:%d: %s", __FILE__, __LINE__, #x);                                     \
  } while (0)

/* ---- decisions -------------------------------------------------------------------------------- */

/* Bytes that are taken from the front; when there are none left, zeros come. */
typedef struct Take {
  const uint8_t *p;
  size_t n;
} Take;

static inline uint8_t takeByte(Take *t) {
  if (t->n == 0) return 0;
  t->n--;
  return *t->p++;
}

/* A number below n, of at most 2^16. */
static inline unsigned takeBelow(Take *t, unsigned n) {
  unsigned x = takeByte(t);
  if (n > 256) x = x << 8 | takeByte(t);
  return n ? x % n : 0;
}

static inline uint64_t takeWord(Take *t) {
  uint64_t x = 0;
  int i;
  for (i = 0; i < 8; i++) x |= (uint64_t)takeByte(t) << 8 * i;
  return x;
}

/* Text up to a NUL or the end, as a string of its own; the caller frees it. */
static inline char *takeText(Take *t) {
  size_t n = strnlen((const char *)t->p, t->n);
  char *z = malloc(n + 1);
  memcpy(z, t->p, n);
  z[n] = 0;
  t->p += n < t->n ? n + 1 : n;
  t->n -= n < t->n ? n + 1 : n;
  return z;
}

/* Random numbers from a seed, where no bytes are left to decide by. */
typedef struct Dice {
  uint64_t x;
} Dice;

static inline uint64_t diceWord(Dice *d) {
  uint64_t z = d->x += UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
  return z ^ z >> 31;
}

static inline uint64_t dice(Dice *d, uint64_t n) { return n ? diceWord(d) % n : 0; }

/* ---- a scratch folder, in memory if there is one ------------------------------------------------- */

static char fuzzFolder[64];
static char fuzzPath[80]; /* of the channel in it */
static pid_t fuzzOwner;

static const char *const fuzzFiles[] = {"state",   "data_0",     "data_1",     "writer",
                                        "readers", "data_0_new", "data_1_new", NULL};

/* The name of a file of the channel; good until the next call. */
static inline const char *fuzzFile(const char *which) {
  static char name[sizeof(fuzzPath) + 16];
  snprintf(name, sizeof(name), "%s_%s", fuzzPath, which);
  return name;
}

static inline void fuzzRemove(void) {
  int i;
  for (i = 0; fuzzFiles[i]; i++) unlink(fuzzFile(fuzzFiles[i]));
}

static inline void fuzzEnd(void) {
  if (getpid() != fuzzOwner) return;
  fuzzRemove();
  rmdir(fuzzFolder);
}

/* Writes a file of the channel. */
static inline void fuzzWrite(const char *which, const void *p, size_t n) {
  int fd = open(fuzzFile(which), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0 || write(fd, p, n) != (ssize_t)n) fuzzDefect("cannot write %s", fuzzFile(which));
  close(fd);
}

/* ---- guards ----------------------------------------------------------------------------------- */

/* In mappings of files of `guardLength` bytes, those from guardFrom up to guardTo are nobody's, too. */
static size_t guardLength, guardFrom, guardTo;

static long fuzzMaps; /* mappings that there are */

static inline size_t fuzzPages(size_t n) { return (n + 4095) & ~(size_t)4095; }

static void *fuzzMap(void *at, size_t n, int prot, int flags, int fd, off_t from) {
  struct stat st;
  char *p = mmap(at, n, prot, flags, fd, from);
  if (p == MAP_FAILED) return p;
  if (!(flags & MAP_FIXED)) fuzzMaps++; /* otherwise in the place of one that there is */
  ASAN_UNPOISON_MEMORY_REGION(p, fuzzPages(n));
  if (fd >= 0 && !(prot & PROT_WRITE) && fstat(fd, &st) == 0 && (size_t)st.st_size < n) {
    ASAN_POISON_MEMORY_REGION(p + st.st_size, fuzzPages(n) - (size_t)st.st_size);
  } else {
    ASAN_POISON_MEMORY_REGION(p + n, fuzzPages(n) - n);
  }
  if (fd >= 0 && n == guardLength && guardFrom < guardTo) {
    ASAN_POISON_MEMORY_REGION(p + guardFrom, guardTo - guardFrom);
  }
  return p;
}

static int fuzzUnmap(void *p, size_t n) {
  fuzzMaps--;
  ASAN_UNPOISON_MEMORY_REGION(p, fuzzPages(n));
  return munmap(p, n);
}

static void *fuzzRemap(void *p, size_t was, size_t n, int flags) {
  ASAN_UNPOISON_MEMORY_REGION(p, fuzzPages(was));
  return mremap(p, was, n, flags);
}

/* What an input that has ended must have left as it was: descriptors and mappings.  */
typedef struct FuzzOpen {
  int descriptors;
  long maps;
} FuzzOpen;

static inline FuzzOpen fuzzOpen(void) {
  FuzzOpen o = {0, fuzzMaps};
  int fd;
  for (fd = 0; fd < 64; fd++) o.descriptors += fcntl(fd, F_GETFD) >= 0;
  return o;
}

static inline void fuzzClosed(FuzzOpen was) {
  FuzzOpen is = fuzzOpen();
  if (is.descriptors != was.descriptors) {
    fuzzDefect("%d descriptors, before %d", is.descriptors, was.descriptors);
  }
  if (is.maps != was.maps) fuzzDefect("%ld mappings, before %ld", is.maps, was.maps);
}

/* Every program begins with this. */
static inline void fuzzBegin(void) {
  struct stat st;
  const char *in =
      stat("/dev/shm", &st) == 0 && access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
  snprintf(fuzzFolder, sizeof(fuzzFolder), "%s/mmapsync-fuzz-XXXXXX", in);
  if (mkdtemp(fuzzFolder) == NULL) fuzzDefect("cannot make %s", fuzzFolder);
  snprintf(fuzzPath, sizeof(fuzzPath), "%s/c", fuzzFolder);
  fuzzOwner = getpid();
  atexit(fuzzEnd);
  sysSet("mmap", (SysFunction)fuzzMap);
  sysSet("munmap", (SysFunction)fuzzUnmap);
  sysSet("mremap", (SysFunction)fuzzRemap);
}

#endif
