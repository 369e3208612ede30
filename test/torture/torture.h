/*
** torture.h - what the parts of the torture share.  What it does, and how to read its figures: torture.c.
**
**     torture.c   the supervisor: starts, kills, stops and wakes; looks after hangs; the last checks
**     payload.c   snapshots that check themselves
**     reader.c    readers of all kinds
**     writer.c    writers
**     marks.c     the system-call table: random sleeps; one address a file for the thread sanitizer
*/
#ifndef TORTURE_H
#define TORTURE_H

#include <limits.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "mmapsync.h"
#include "sys.h"

#if defined(__SANITIZE_THREAD__)
#define TORTURE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TORTURE_TSAN 1
#endif
#endif
#ifndef TORTURE_TSAN
#define TORTURE_TSAN 0
#endif

#define NS_PER_US  UINT64_C(1000) /* the others are in sys.h */

#define LANES_MOST 24
#define SEATS_MOST 3
#define HISTOGRAM  40 /* bucket b counts what is below 2^b ns, and not below 2^(b-1) */

/* Sizes of payloads. */
enum { CLASS_TINY, CLASS_PAGE, CLASS_MIDDLE, CLASS_BIG, CLASS_HUGE, CLASS_IMAGE, CLASS_COUNT };

/* One handle's place.  Written by who sits there; `inside` also by the supervisor when he is dead. */
typedef struct Seat {
  _Atomic uint64_t beat;   /* rises while it gets on */
  _Atomic uint32_t inside; /* counter readers: 1 from before a read until after its end */
} Seat;

/* A process, or in threads mode a thread: who sits there is started again when killed, and has the next
** serial number.  Written by the supervisor. */
typedef struct Lane {
  _Atomic uint32_t stops;  /* raised before it is stopped, and before it goes on */
  _Atomic uint32_t doomed; /* the serial number that was, or is just being, killed */
  Seat seat[SEATS_MOST];
} Lane;

/* What all processes share. */
typedef struct Torture {
  char path[PATH_MAX]; /* of the channel */
  uint64_t seed;
  uint32_t grace_ms;
  int threads;                /* threads only */
  uint64_t work[CLASS_COUNT]; /* ns that a publish takes when nobody reads */
  _Atomic uint32_t stop;      /* everybody ends */
  _Atomic uint32_t failed;    /* somebody has found a fault, and told of it */
  _Atomic uint32_t doubt;     /* DOUBT, in reader.c */
  _Atomic uint32_t healed;
  _Atomic uint64_t holder;  /* lane + 1 and serial number of who has the writer's lock; 0: nobody */
  _Atomic uint64_t writing; /* the same of who has a write open */
  _Atomic uint64_t published; /* the highest sequence that a writer was told */
  _Atomic uint64_t numbers;   /* of snapshots: each has its own */
  Lane lane[LANES_MOST];

  /* The tally. */
  _Atomic uint64_t reads, publishes, images, aborted, busy, kills, stops, naps, replaced, resets,
      held;
  _Atomic uint64_t nested, forks, attaches, waits, voided, torn;
  _Atomic uint64_t worst_wait, worst_beyond, worst_entry[4]; /* ms, ns, ns of each kind of pin */
  _Atomic uint64_t publishes_timed, entries_timed;
  _Atomic uint64_t beyond[HISTOGRAM], entry[HISTOGRAM];
} Torture;

extern Torture *T;

/* Who this thread is. */
typedef struct Self {
  unsigned lane, seat, serial;
  const char *name; /* of its role */
  uint64_t chance;  /* the state of its generator */
} Self;

extern _Thread_local Self self;

/* ---- torture.c ---- */

uint64_t now(void);
uint64_t chance(uint64_t n); /* 0 ... n-1 */
uint64_t gait(void);         /* counts up */
int gaitSprint(uint64_t phase);
int laneSprints(unsigned lane, uint64_t phase); /* whether its readers have a part in it */
void sleepNs(uint64_t ns);
uint64_t preempted(void); /* how often the scheduler took this thread's processor away */
void raiseTo(_Atomic uint64_t *most, uint64_t value);
void histogramAdd(_Atomic uint64_t *buckets, uint64_t ns);

/* A promise is broken: tells so, once, and ends this process and in the end all.  In threads mode it returns. */
void broken(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Who sits in a lane, until it is told to stop. */
void readerRun(unsigned role);
void writerRun(int competes);
/* For the supervisor: before the readers come, and when they have gone. */
void writerQuiet(void);
void writerLast(void);

/* The roles of readers; -1 for lanes beyond them. */
int readerRoles(void);
const char *readerName(unsigned role);
unsigned readerSeats(unsigned role);
int readerCounts(unsigned role); /* by counter */

/* ---- payload.c ---- */

/* What a check of a view found. */
typedef struct Finding {
  uint64_t number; /* of the snapshot */
  char what[256];  /* "" if it is whole */
} Finding;

size_t payloadSize(int sort); /* by chance, of that class */
void payloadFill(void *to, size_t from, size_t until, size_t size, uint64_t number);
void payloadCheck(mmapsync *h, const mmapsync_view *view, Finding *out);

/* Publishes a table image of so many rows. */
int imagePublish(mmapsync *h, uint64_t number, uint64_t rows, mmapsync_result *done);

/* ---- marks.c ---- */

/* This thread's random sleeps: on or off; how often it slept or napped, and how often it mapped a file.
** A time in which `disturbed` rose is not measured. */
extern _Thread_local int marksOn;
extern _Thread_local volatile unsigned disturbed;
extern _Thread_local unsigned mapped;

/* The writer's side of DOUBT: a publish begins; it has ended (1 if its grace time may have been over). */
void doubtBegin(void);
int doubtEnd(void);

/* This thread has come to where nobody else may be, and leaves. */
void aloneBegin(_Atomic uint64_t *who, const char *what);
void aloneEnd(_Atomic uint64_t *who);

void jitter(void); /* perhaps sleeps or yields */
void marksSet(void);

#endif
