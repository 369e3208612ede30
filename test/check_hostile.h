/*
** check_hostile.h - neighbours who may write a channel's files, and do so at random.
**
** SCRIBBLE.  The files are mapped and stored to without a pause, 1 to 8 bytes at a time, mostly near the places where
** lengths and offsets stand: numbers that are worth trying, random ones, and now and then what was there at first,
** so that readers get on.
**
** CUT.  A file is made shorter, or empty, and after a moment as long as it was, with the bytes that it had, or
** without.
**
** Both end with their parent, or when their time is over, and put back what they found.
*/
#ifndef CHECK_HOSTILE_H
#define CHECK_HOSTILE_H

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define HOSTILE_FILES 8

typedef struct Hostile {
  uint64_t seed;
  int n;
  struct {
    int fd;
    size_t size;
    uint8_t *map;  /* SCRIBBLE */
    uint8_t *good; /* what it held */
  } file[HOSTILE_FILES];
} Hostile;

static inline uint64_t hostileRandom(Hostile *p) { /* xorshift64* */
  p->seed ^= p->seed >> 12;
  p->seed ^= p->seed << 25;
  p->seed ^= p->seed >> 27;
  return p->seed * UINT64_C(2685821657736338717);
}
static inline uint64_t hostileBelow(Hostile *p, uint64_t n) { return (hostileRandom(p) >> 11) % n; }

static inline double hostileNow(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A random number, or the one in the environment: to be shown when something is wrong. */
static inline uint64_t hostileSeed(void) {
  const char *z = getenv("MMAPSYNC_SEED");
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return z && *z ? strtoull(z, NULL, 10) | 1
                 : ((uint64_t)t.tv_nsec * 1000003u ^ (uint64_t)t.tv_sec) | 1;
}

/* 0, or -1 if it cannot be opened and read. */
static inline int hostileOpen(Hostile *p, const char *name) {
  struct stat st;
  int fd = open(name, O_RDWR | O_CLOEXEC);
  if (fd < 0 || fstat(fd, &st) != 0 || st.st_size == 0 || p->n == HOSTILE_FILES) return -1;
  p->file[p->n].fd = fd;
  p->file[p->n].size = (size_t)st.st_size;
  p->file[p->n].good = malloc((size_t)st.st_size);
  p->file[p->n].map = NULL;
  if (!p->file[p->n].good ||
      pread(fd, p->file[p->n].good, (size_t)st.st_size, 0) != (ssize_t)st.st_size) {
    return -1;
  }
  p->n++;
  return 0;
}

static inline uint64_t hostileValue(Hostile *p, size_t size) {
  static const uint64_t edges[] = {0,
                                   1,
                                   2,
                                   63,
                                   64,
                                   255,
                                   4095,
                                   4096,
                                   65535,
                                   65536,
                                   INT32_MAX,
                                   UINT32_MAX,
                                   INT64_MAX,
                                   UINT64_MAX,
                                   UINT64_C(1) << 38,
                                   UINT64_C(1) << 63};
  switch (hostileBelow(p, 4)) {
  case 0: return edges[hostileBelow(p, sizeof(edges) / sizeof(edges[0]))];
  case 1: return size - 128 + hostileBelow(p, 256);
  case 2: return hostileBelow(p, size);
  default: return hostileRandom(p);
  }
}

/* One store. */
static inline void hostileScribble(Hostile *p) {
  int i = (int)hostileBelow(p, (uint64_t)p->n);
  size_t size = p->file[i].size, width = (size_t)1 << hostileBelow(p, 4), at;
  uint64_t x = hostileValue(p, size);
  switch (hostileBelow(p, 3)) {
  case 0: at = hostileBelow(p, size < 64 ? size : 64); break; /* a header */
  case 1:
    at = size < 4096 ? 0 : size - 4096; /* a directory, a trailer */
    at += hostileBelow(p, size - at);
    break;
  default: at = hostileBelow(p, size); break;
  }
  at &= ~(width - 1);
  if (at + width > size) return;
  if (hostileBelow(p, 2)) memcpy(&x, p->file[i].good + at, width);
  /* Whole: as one who knows what he does would store. */
  switch (width) {
  case 1: __atomic_store_n(p->file[i].map + at, (uint8_t)x, __ATOMIC_RELAXED); break;
  case 2:
    __atomic_store_n((uint16_t *)(void *)(p->file[i].map + at), (uint16_t)x, __ATOMIC_RELAXED);
    break;
  case 4:
    __atomic_store_n((uint32_t *)(void *)(p->file[i].map + at), (uint32_t)x, __ATOMIC_RELAXED);
    break;
  default: __atomic_store_n((uint64_t *)(void *)(p->file[i].map + at), x, __ATOMIC_RELAXED); break;
  }
  /* A while in which all is as it was, from time to time. */
  if (hostileBelow(p, 4096) == 0) {
    for (i = 0; i < p->n; i++) memcpy(p->file[i].map, p->file[i].good, p->file[i].size);
    usleep(200);
  }
}

static inline int hostilePutBack(const Hostile *p, int i) {
  return ftruncate(p->file[i].fd, (off_t)p->file[i].size) == 0 &&
         pwrite(p->file[i].fd, p->file[i].good, p->file[i].size, 0) == (ssize_t)p->file[i].size;
}

static inline void hostileCut(Hostile *p) {
  int i = (int)hostileBelow(p, (uint64_t)p->n);
  size_t size = p->file[i].size;
  off_t to = hostileBelow(p, 3) == 0 ? 0 : (off_t)hostileBelow(p, size);
  if (ftruncate(p->file[i].fd, to) != 0) return;
  if (hostileBelow(p, 2)) usleep((useconds_t)hostileBelow(p, 300));
  if (hostileBelow(p, 4) == 0) {
    (void)!ftruncate(p->file[i].fd, (off_t)size); /* zeros */
    usleep(50);
  }
  (void)hostilePutBack(p, i);
  if (hostileBelow(p, 2)) usleep((useconds_t)hostileBelow(p, 300));
}

/* 0, or -1.  `cut`: how; until `end`, or until the process that `parent` is the number of has ended. */
static inline int hostileRun(Hostile *p, int cut, double end, pid_t parent) {
  int i;
  if (p->n == 0) return -1;
  for (i = 0; i < p->n && !cut; i++) {
    p->file[i].map =
        mmap(NULL, p->file[i].size, PROT_READ | PROT_WRITE, MAP_SHARED, p->file[i].fd, 0);
    if (p->file[i].map == MAP_FAILED) return -1;
  }
  while (hostileNow() < end && getppid() == parent) {
    for (i = 0; i < 64; i++) {
      if (cut) {
        hostileCut(p);
      } else {
        hostileScribble(p);
      }
    }
  }
  for (i = 0; i < p->n; i++) {
    if (!hostilePutBack(p, i)) return -1;
  }
  return 0;
}

#endif
