/*
** soak.h - what the writer and the readers of the load soak agree on: snapshots whose contents follow from their
** sequence, and a file in which each process counts what it does.
**
** Snapshot n holds
**
**     raw bytes, if soakRaw(n): "raw n " and then so many times z as soakPad(n) says; otherwise the tables
**     meta(n)                          one row
**     a(id, seq, v, name [, x])        soakRows(n) rows, id from 0 on; seq is n; v is soakV(n, id); name is
**                                      "r<n>-<id>"; x, which is there if soakHasX(n), is 1000 n + id
**     b(id, seq, w)                    if soakHasB(n): SOAK_B_ROWS rows; w is 3 n + id
**
** So of any answer it can be said whether it is right, whole, and of one snapshot.
*/
#ifndef SOAK_H
#define SOAK_H

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define SOAK_B_ROWS 20
#define SOAK_PAD    3000000 /* bytes of the largest */
#define SOAK_MOST   1024    /* processes, at most; number 0 is the writer */

static inline int soakRaw(int64_t n) { return n % 41 == 0; }
static inline int soakHasX(int64_t n) { return n / 16 % 2 == 0; }
static inline int soakHasB(int64_t n) { return n / 24 % 2 == 0; }
static inline int64_t soakRows(int64_t n) { return 50 + n % 50; }
static inline int64_t soakV(int64_t n, int64_t id) { return (n * 7919 + id * 104729) % 1000003; }
/* Mostly little; now and then some megabytes, after which the file is made smaller again. */
static inline int64_t soakPad(int64_t n) { return n % 205 == 0 ? SOAK_PAD : n % 5000; }

/* What a process counts; the driver reads it as so many 64-bit numbers. */
enum {
  SOAK_TURNS,    /* a reader's: waits and what it asks after them; the writer's publishes */
  SOAK_ANSWERS,  /* answers found right; the writer's replaced files */
  SOAK_REFUSALS, /* errors that had to come; the writer's milliseconds of waiting */
  SOAK_OPENS,    /* connections and handles opened */
  SOAK_TIMEOUTS, /* waits that ended without a snapshot */
  SOAK_SEQUENCE, /* the newest that was seen */
  SOAK_WRONG,
  SOAK_LATE, /* the writer's: publishes that could not begin in time */
  SOAK_COUNTS
};

/* The counts of process `number`, in the file that the driver has made. */
static inline uint64_t *soakCounts(const char *path, int number) {
  int fd = open(path, O_RDWR | O_CLOEXEC);
  void *p = fd < 0 ? MAP_FAILED
                   : mmap(NULL, SOAK_MOST * SOAK_COUNTS * sizeof(uint64_t), PROT_READ | PROT_WRITE,
                          MAP_SHARED, fd, 0);
  if (p == MAP_FAILED || number < 0 || number >= SOAK_MOST) {
    fprintf(stderr, "%s: cannot count there\n", path);
    exit(2);
  }
  close(fd);
  return (uint64_t *)p + (size_t)number * SOAK_COUNTS;
}

#endif
