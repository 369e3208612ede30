/*
** bench.h - what the benchmark programs share: a clock, a generator, and the lines they print.
**
** A program prints one fact a line, fields apart by a tab, and judges nothing.  measured.tcl takes them in, and gives
** medians and ratios; tables.tcl lays them out, and knows what was aimed at:
**
**     case  <work>  <title, for people>
**     time  <work>  <engine>  <round>  <nanoseconds per operation>
**     fact  <name>  <value>
**
** Engines are run in turns within a round (A B C, then C B A), so that what disturbs the machine
** disturbs all of them, and a ratio is taken within a round.  Where nothing waits for anybody, time is processor
** time, so that ratios hold on a machine that is busy with something else.
*/
#ifndef BENCH_H
#define BENCH_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Nanoseconds on a clock that only goes forward. */
static inline uint64_t benchNow(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Nanoseconds of processor time that this process has had.  For work that waits for nothing it is what a
** clock on the wall shows on a machine that does nothing else. */
static inline uint64_t benchSpent(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* A sequence of 64-bit numbers that depends on *s alone (splitmix64). */
static inline uint64_t benchRandom(uint64_t *s) {
  uint64_t z = (*s += UINT64_C(0x9e3779b97f4a7c15));
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

static inline void benchCaseName(const char *work, const char *title) {
  printf("case\t%s\t%s\n", work, title);
}

static inline void benchTime(const char *work, const char *engine, int round, uint64_t ns,
                             uint64_t ops) {
  printf("time\t%s\t%s\t%d\t%.3f\n", work, engine, round, (double)ns / (double)ops);
  fflush(stdout);
}

static inline void benchFact(const char *name, uint64_t value) {
  printf("fact\t%s\t%llu\n", name, (unsigned long long)value);
  fflush(stdout);
}

/* Ends the program with a sentence. */
#if defined(__GNUC__)
__attribute__((format(printf, 1, 2), noreturn))
#endif
static inline void
benchFail(const char *format, ...) {
  va_list ap;
  va_start(ap, format);
  vfprintf(stderr, format, ap);
  va_end(ap);
  fputc('\n', stderr);
  exit(1);
}

#endif
