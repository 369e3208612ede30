#define _GNU_SOURCE
/*
** torture.c - does a reader ever see a torn snapshot, or a writer wait for the dead?  Readers and writers of
** one channel, killed, stopped and delayed at random, with data that checks itself.
**
**     torture FOLDER SECONDS [SEED] [threads]
**
** WHO.  Reader processes of every kind of pin (reader.c), some with several threads, that read nested, hold
** views for several grace times, fork under a view, attach and detach, wait for the next snapshot; a writer
** that publishes without pause, now with P_readers mapped and now apart (slots.h), payloads of 36 bytes to 17 MB and table images (payload.c, writer.c); a second
** that competes for the lock now and then.  This process, the supervisor, sends SIGKILL and starts the dead
** again, SIGSTOP and some time later SIGCONT, and SIGUSR1, whose handler naps.  So everybody is interrupted
** between any two instructions, for a moment or for several grace times.  System calls are delayed
** as well (marks.c).  Time goes in two gaits, of 67 and 134 ms by turns: at a walk all of this; at a sprint readers and
** the writer do nothing but read and publish a few words, so that what interrupts them finds them in the core.
**
** The grace time is short, so that files are replaced often.  All choices come from the seed, which is
** printed; what the scheduler makes of them is another matter.
**
** WHAT.  Each view is checked as reader.c says.  Also: a grace time that is given up too early; two writers
** at once; who does not get on for HANG_S seconds; who ends in another way than by our hand.  In the end:
** every process is reaped; the sequence has risen by the publishes made; a last one
** waits for nobody; no pin and no slot is left to anyone alive; this
** process has no more descriptors than before.  The first fault is told and ends all, with exit code 1.
**
** FIGURES.  The last three lines.  `voided` are views by counter that outlived a grace time, as they may (reader.c).
** `wait` is the longest time a publish says it waited for readers, beside the grace time it was given;
** `beyond` the longest time a publish took beyond that and beyond its own work (writer.c), `entry` the
** longest mmapsync_read() for each kind of pin.  Of all these, only times count that we did not disturb and in
** which the scheduler took no processor away from the thread, and of reads only those that mapped no file.
** What is left of the machine in them is interrupts, the hypervisor, and how late a sleeper wakes where there
** are far more threads than processors.  So the time that 99 and 99.9 in 100 stayed below stands beside, to
** the next power of two.  None of them is a reason to fail.
**
** THREADS.  With `threads` the roles are threads of this process, without signals and forks: for the thread
** sanitizer, which cannot look into other processes.  marks.c says what it sees.  A data race that it reports
** is a fault.  Views by counter are never voided there (marks.c, CLOCK), so `resets` and `voided` are 0.
*/
#include "torture.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GRACE_MS         25
#define GRACE_THREADS_MS 200
#define HANG_S           20
#define FRESH_MS         50 /* for so long after its start anybody may be stopped and killed */
#define FORKED_S         15
#define END_S            10 /* how long ending may take */
#define STOPPED_MOST     3  /* at once */

/* Means, in ms, of the time between two acts, and the longest a process is stopped. */
#define KILL_EVERY       60
#define STOP_EVERY       20
#define NAP_EVERY        1
#define STOP_LONG        (6 * GRACE_MS)
#define NAP_LONG         (3 * GRACE_MS)

/* The lanes after those of the readers; and the supervisor's own. */
#define LANE_WRITER      ((unsigned)readerRoles())
#define LANE_SECOND      (LANE_WRITER + 1)
#define LANE_COUNT       (LANE_WRITER + 2)
#define LANE_OWN         (LANES_MOST - 1)

Torture *T;
_Thread_local Self self;

/* What the supervisor knows of a lane's process. */
typedef struct Job {
  pid_t pid; /* 0: none */
  unsigned serial;
  uint64_t wake; /* when it is to go on; 0: it is not stopped */
  uint64_t started;
  uint64_t beat[SEATS_MOST];  /* at the last look, */
  uint64_t since[SEATS_MOST]; /* and since when it has not risen */
} Job;

static Job job[LANES_MOST];
static unsigned stoppedNow;
static volatile sig_atomic_t interrupted;

/* ---- helpers of all ----------------------------------------------------------------------------- */

uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t gait(void) { return now() >> 26; }

int gaitSprint(uint64_t phase) { return phase % 3 != 0; }

int laneSprints(unsigned lane, uint64_t phase) {
  return gaitSprint(phase) && (phase + lane) % 8 == 0;
}

uint64_t chance(uint64_t n) {
  uint64_t x = self.chance;
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  self.chance = x;
  return n ? (x * UINT64_C(0x2545f4914f6cdd1d) >> 16) % n : 0;
}

void sleepNs(uint64_t ns) {
  struct timespec t = {(time_t)(ns / NS_PER_S), (long)(ns % NS_PER_S)};
  nanosleep(&t, NULL);
}

uint64_t preempted(void) {
  struct rusage use;
  getrusage(RUSAGE_THREAD, &use);
  return (uint64_t)use.ru_nivcsw;
}

void raiseTo(_Atomic uint64_t *most, uint64_t value) {
  uint64_t was = atomic_load(most);
  while (was < value && !atomic_compare_exchange_weak(most, &was, value)) {
  }
}

void histogramAdd(_Atomic uint64_t *buckets, uint64_t ns) {
  unsigned b = ns ? 64 - (unsigned)__builtin_clzll(ns) : 0;
  if (b >= HISTOGRAM) b = HISTOGRAM - 1;
  atomic_fetch_add_explicit(&buckets[b], 1, memory_order_relaxed);
}

/* Below which power of two, in us, so many in 1000 of the times lie. */
static double histogramBelow(_Atomic uint64_t *buckets, uint64_t permille) {
  uint64_t all = 0, sum = 0;
  unsigned b;
  for (b = 0; b < HISTOGRAM; b++) all += atomic_load(&buckets[b]);
  for (b = 0; b < HISTOGRAM; b++) {
    sum += atomic_load(&buckets[b]);
    if (sum * 1000 >= all * permille) break;
  }
  return (double)(UINT64_C(1) << b) / 1000;
}

void broken(const char *fmt, ...) {
  va_list args;
  char text[2048];
  int n, supervisor = self.lane == LANE_OWN;

  if (atomic_exchange(&T->failed, 1) == 0) {
    n = snprintf(
        text, sizeof(text), "torture: seed %llu: %s (lane %u seat %u serial %u pid %d):\n  ",
        (unsigned long long)T->seed, self.name, self.lane, self.seat, self.serial, getpid());
    va_start(args, fmt);
    vsnprintf(text + n, sizeof(text) - (size_t)n - 1, fmt, args);
    va_end(args);
    strcat(text, "\n");
    if (write(STDERR_FILENO, text, strlen(text)) < 0) _exit(1);
  }
  atomic_store(&T->stop, 1);
  if (!T->threads && !supervisor) _exit(1);
}

/* ---- lanes -------------------------------------------------------------------------------------- */

static const char *laneName(unsigned lane) {
  if (lane < LANE_WRITER) return readerName(lane);
  return lane == LANE_WRITER ? "writer" : lane == LANE_SECOND ? "second-writer" : "supervisor";
}

static void laneSit(unsigned lane, unsigned serial) {
  self.lane = lane;
  self.serial = serial;
  self.seat = 0;
  self.name = laneName(lane);
  self.chance = (T->seed + lane * 1000003u + serial) * UINT64_C(0x9e3779b97f4a7c15) | 1;
}

static void laneRun(unsigned lane) {
  if (lane < LANE_WRITER) {
    readerRun(lane);
  } else {
    writerRun(lane == LANE_SECOND);
  }
}

static void nap(int sig) {
  int err = errno;
  uint64_t r = now() / 64; /* not chance(): it may be what was interrupted */
  (void)sig;
  disturbed++;
  sleepNs(r % 64 == 0 ? r / 64 % (NAP_LONG * NS_PER_MS) : r / 64 % (NS_PER_MS / 4));
  errno = err;
}

static unsigned laneSeats(unsigned lane) {
  return lane < LANE_WRITER && !T->threads ? readerSeats(lane) : 1;
}

/* From now on it is to get on. */
static void laneFresh(unsigned lane) {
  unsigned i;
  for (i = 0; i < SEATS_MOST; i++) job[lane].since[i] = now();
}

static void laneStart(unsigned lane) {
  Job *j = &job[lane];
  pid_t parent = getpid();

  j->serial++;
  j->started = now();
  laneFresh(lane);
  fflush(stdout);
  j->pid = fork();
  if (j->pid != 0) {
    if (j->pid < 0) broken("cannot fork: %s", strerror(errno));
    return;
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  signal(SIGINT, SIG_IGN);
  signal(SIGTERM, SIG_DFL);
  laneSit(lane, j->serial);
  laneRun(lane);
  exit(atomic_load(&T->failed) != 0);
}

static void laneWake(unsigned lane) {
  Job *j = &job[lane];
  if (j->wake == 0) return;
  j->wake = 0;
  laneFresh(lane);
  stoppedNow--;
  atomic_fetch_add(&T->lane[lane].stops, 1);
  if (j->pid) kill(j->pid, SIGCONT);
}

static void laneKill(unsigned lane) {
  atomic_store(&T->lane[lane].doomed, job[lane].serial);
  kill(job[lane].pid, SIGKILL);
  atomic_fetch_add(&T->kills, 1);
}

/* Who has ended: what it leaves of DOUBT is settled, and it is started again. */
static void laneEnded(unsigned lane, int status) {
  Job *j = &job[lane];
  int killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL &&
               atomic_load(&T->lane[lane].doomed) == j->serial;
  unsigned i;

  laneWake(lane);
  j->pid = 0;
  if (!killed && !atomic_load(&T->stop)) {
    broken("%s (lane %u serial %u) ended with %s %d", laneName(lane), lane, j->serial,
           WIFSIGNALED(status) ? "signal" : "code",
           WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
  } else if (!killed && status != 0) {
    broken("%s (lane %u serial %u) ended badly at the end: status %x", laneName(lane), lane,
           j->serial, (unsigned)status);
  }
  if (lane >= LANE_WRITER) atomic_fetch_add(&T->doubt, 1);
  for (i = 0; i < SEATS_MOST; i++) atomic_store(&T->lane[lane].seat[i].inside, 0);
  if (!atomic_load(&T->stop)) laneStart(lane);
}

/* Reaps all who have ended, grandchildren too, whose parents were killed. */
static void lanesReap(void) {
  unsigned lane;
  int status;
  pid_t pid;

  while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
    for (lane = 0; lane < LANE_COUNT && job[lane].pid != pid; lane++) {
    }
    if (lane < LANE_COUNT) {
      laneEnded(lane, status);
    } else if (status != 0) {
      broken("a forked reader ended with status %x", (unsigned)status);
    }
  }
}

/* ---- the supervisor's acts ---------------------------------------------------------------------- */

/* reader.c, DOUBT. */
static void doubtHeal(void) {
  uint32_t doubt = atomic_load(&T->doubt);
  unsigned lane, i;
  if (atomic_load(&T->healed) == doubt) return;
  for (lane = 0; lane < LANE_WRITER; lane++) {
    if (!readerCounts(lane)) continue;
    for (i = 0; i < SEATS_MOST; i++) {
      if (atomic_load(&T->lane[lane].seat[i].inside)) return;
    }
  }
  atomic_store(&T->healed, doubt);
}

/* Whose turn it is: the writer's as often as a reader's. */
static unsigned laneAny(void) {
  unsigned lane = (unsigned)chance(LANE_COUNT + 2);
  return lane < LANE_COUNT ? lane : LANE_WRITER;
}

/* Whether all its threads got on since the last look at them.  Who does not is left alone, since a signal might
** be what gets it on, and hide that it hangs. */
static int laneMoves(unsigned lane) {
  unsigned i, n = laneSeats(lane);
  if (now() - job[lane].started < FRESH_MS * NS_PER_MS) return 1;
  for (i = 0; i < n && atomic_load(&T->lane[lane].seat[i].beat) != job[lane].beat[i]; i++) {
  }
  return i == n;
}

static void actStop(void) {
  unsigned lane = laneAny();
  Job *j = &job[lane];
  if (!j->pid || j->wake || stoppedNow >= STOPPED_MOST || !laneMoves(lane)) return;
  atomic_fetch_add(&T->lane[lane].stops, 1);
  if (kill(j->pid, SIGSTOP) != 0) return;
  j->wake = now() + (chance(3) ? chance(2 * NS_PER_MS) : chance(STOP_LONG * NS_PER_MS)) + 1;
  stoppedNow++;
  atomic_fetch_add(&T->stops, 1);
}

/* The writer is killed less often than it is stopped: it takes a while to get going. */
static void actKill(void) {
  unsigned lane = (unsigned)chance(LANE_COUNT);
  if (job[lane].pid && (job[lane].wake || laneMoves(lane))) laneKill(lane);
}

static void actNap(unsigned lane) {
  if (!job[lane].pid || job[lane].wake || !laneMoves(lane)) return;
  kill(job[lane].pid, SIGUSR1);
  atomic_fetch_add(&T->naps, 1);
}

/* Tells of who does not get on. */
static void lanesWatch(void) {
  unsigned lane, i;
  uint64_t beat, at = now();
  for (lane = 0; lane < LANE_COUNT; lane++) {
    Job *j = &job[lane];
    for (i = 0; i < laneSeats(lane); i++) {
      beat = atomic_load(&T->lane[lane].seat[i].beat);
      if (beat != j->beat[i] || j->wake) {
        j->beat[i] = beat;
        j->since[i] = at;
      } else if (at - j->since[i] > HANG_S * NS_PER_S) {
        broken("HANG: %s (lane %u seat %u pid %d) has not got on for %d s", laneName(lane), lane, i,
               (int)j->pid, HANG_S);
        return;
      }
    }
  }
}

static void supervise(uint64_t end) {
  uint64_t at, kills = 0, stops = 0, watch = 0;
  unsigned lane;

  for (lane = 0; lane < LANE_COUNT; lane++) laneStart(lane);
  while ((at = now()) < end && !interrupted && !atomic_load(&T->stop)) {
    lanesReap();
    doubtHeal();
    for (lane = 0; lane < LANE_COUNT; lane++) {
      if (job[lane].wake && job[lane].wake <= at) laneWake(lane);
    }
    if (at >= stops) {
      actStop();
      stops = at + chance(2 * STOP_EVERY * NS_PER_MS);
    }
    if (at >= kills) {
      actKill();
      kills = at + chance(2 * KILL_EVERY * NS_PER_MS);
    }
    actNap(laneAny());
    /* Who sprints now is where a moment counts. */
    for (lane = 0; lane < LANE_WRITER; lane++) {
      if (laneSprints(lane, gait())) actNap(lane);
    }
    if (at >= watch) {
      lanesWatch();
      watch = at + NS_PER_S / 4;
    }
    sleepNs(chance((gaitSprint(gait()) ? 1u : 2u) * NAP_EVERY * NS_PER_MS));
  }
}

/* Kills all children there are. */
static void forkedKill(void) {
  char name[64];
  FILE *f;
  int pid;
  snprintf(name, sizeof(name), "/proc/self/task/%d/children", (int)getpid());
  f = fopen(name, "r");
  while (f && fscanf(f, "%d", &pid) == 1) kill(pid, SIGKILL);
  if (f) fclose(f);
}

/* Waits for forked readers whose parents were killed: they end within seconds, by their alarm at the latest. */
static void forkedEnd(uint64_t end) {
  int status, late = end == 0;
  pid_t pid;
  while ((pid = waitpid(-1, &status, WNOHANG)) >= 0) {
    if (pid > 0 && status != 0 && !late)
      broken("a forked reader ended with status %x", (unsigned)status);
    if (pid > 0) continue;
    if (now() >= end) {
      if (end && !late) broken("HANG: a forked reader does not end");
      late = 1;
      forkedKill();
    }
    sleepNs(NS_PER_MS);
  }
}

/* Everybody ends by himself, or is ended. */
static void lanesEnd(void) {
  uint64_t end = now() + END_S * NS_PER_S;
  unsigned lane, left;

  atomic_store(&T->stop, 1);
  if (interrupted || atomic_load(&T->failed)) end = 0;
  for (;;) {
    for (lane = 0, left = 0; lane < LANE_COUNT; lane++) {
      laneWake(lane);
      left += job[lane].pid != 0;
    }
    if (left == 0 || now() >= end) break;
    lanesReap();
    doubtHeal();
    sleepNs(NS_PER_MS);
  }
  for (lane = 0; lane < LANE_COUNT; lane++) {
    if (!job[lane].pid) continue;
    if (end)
      broken("HANG: %s (lane %u, pid %d) does not end", laneName(lane), lane, (int)job[lane].pid);
    laneKill(lane);
  }
  forkedEnd(end ? now() + FORKED_S * NS_PER_S : 0);
}

/* ---- threads ------------------------------------------------------------------------------------ */

static void *laneThread(void *arg) {
  unsigned lane = (unsigned)(uintptr_t)arg;
  laneSit(lane, 1);
  laneRun(lane);
  return NULL;
}

static void threadsRun(uint64_t end) {
  pthread_t thread[LANES_MOST];
  uint64_t watch = 0;
  unsigned lane, n = 0;

  for (lane = 0; lane < LANE_COUNT; lane++, n++) {
    laneFresh(lane);
    if (pthread_create(&thread[n], NULL, laneThread, (void *)(uintptr_t)lane) != 0) {
      broken("cannot start a thread");
      break;
    }
  }
  while (now() < end && !interrupted && !atomic_load(&T->stop)) {
    doubtHeal();
    if (now() >= watch) {
      lanesWatch();
      watch = now() + NS_PER_S / 4;
    }
    sleepNs(NS_PER_MS);
  }
  atomic_store(&T->stop, 1);
  for (lane = 0; lane < n; lane++) pthread_join(thread[lane], NULL);
}

/* ---- the channel, at the beginning and at the end ----------------------------------------------- */

static void channelRemove(void) {
  static const char *endings[] = {"_state",      "_data_0", "_data_1", "_data_0_new",
                                  "_data_1_new", "_writer", "_readers"};
  char name[PATH_MAX + 16];
  size_t i;
  for (i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
    snprintf(name, sizeof(name), "%s%s", T->path, endings[i]);
    unlink(name);
  }
}

static unsigned descriptors(void) {
  DIR *d = opendir("/proc/self/fd");
  unsigned n = 0;
  if (!d) return 0;
  while (readdir(d)) n++;
  closedir(d);
  return n;
}

/* A snapshot is there and whole; and after the last publishes nobody is marked as reading. */
static void channelLast(void) {
  mmapsync_reader reader[64];
  size_t i, n = 0;
  mmapsync_view view;
  Finding f;
  mmapsync *h;
  int rc = mmapsync_open(T->path, NULL, &h);

  if (rc == MMAPSYNC_OK) rc = mmapsync_verify(h);
  if (rc == MMAPSYNC_OK) rc = mmapsync_read(h, &view);
  if (rc != MMAPSYNC_OK) {
    broken("at the end: code %d, %s", rc, mmapsync_errmsg(h));
    mmapsync_close(h);
    return;
  }
  payloadCheck(h, &view, &f);
  if (f.what[0]) broken("TORN at the end: %s", f.what);
  if (view.sequence < atomic_load(&T->published)) broken("at the end: an old snapshot");
  /* Each publish has its number; of some, a writer that was killed could not tell. */
  if (view.sequence < atomic_load(&T->publishes) ||
      view.sequence > atomic_load(&T->publishes) + atomic_load(&T->kills)) {
    broken("at the end: sequence %llu after %llu publishes and %llu kills",
           (unsigned long long)view.sequence, (unsigned long long)atomic_load(&T->publishes),
           (unsigned long long)atomic_load(&T->kills));
  }
  mmapsync_release(h, &view);
  mmapsync_close(h);

  writerLast();
  rc = mmapsync_open(T->path, NULL, &h);
  if (rc == MMAPSYNC_OK) rc = mmapsync_readers(h, reader, 64, &n);
  if (rc != MMAPSYNC_OK) broken("at the end: code %d, %s", rc, mmapsync_errmsg(h));
  for (i = 0; i < n && i < 64; i++) {
    if (reader[i].alive || reader[i].pins[0] || reader[i].pins[1]) {
      broken("at the end: kind %d slot %u pid %u alive %d pins %u %u", reader[i].kind,
             reader[i].slot, reader[i].pid, reader[i].alive, reader[i].pins[0], reader[i].pins[1]);
    }
  }
  mmapsync_close(h);
}

/* ---- the program -------------------------------------------------------------------------------- */

static void interrupt(int sig) { interrupted = sig; }

static void totals(double seconds) {
#define U(field) ((unsigned long long)atomic_load(&T->field))
  printf("nested %llu images %llu aborted %llu busy %llu naps %llu forks %llu attaches %llu waits "
         "%llu "
         "held %llu\n",
         U(nested), U(images), U(aborted), U(busy), U(naps), U(forks), U(attaches), U(waits),
         U(held));
  printf("wait %llu ms of %u; beyond: worst %.3f ms, 99%% < %.3f ms of %llu; entry: worst slot "
         "%.1f us lock "
         "%.1f us counter %.1f us, 99.9%% < %.1f us of %llu\n",
         U(worst_wait), T->grace_ms, (double)U(worst_beyond) / 1e6,
         histogramBelow(T->beyond, 990) / 1000, U(publishes_timed), (double)U(worst_entry[1]) / 1e3,
         (double)U(worst_entry[2]) / 1e3, (double)U(worst_entry[3]) / 1e3,
         histogramBelow(T->entry, 999), U(entries_timed));
  printf("seconds %.1f reads %llu publishes %llu kills %llu stops %llu replaced %llu resets %llu "
         "voided "
         "%llu torn %llu\n",
         seconds, U(reads), U(publishes), U(kills), U(stops), U(replaced), U(resets), U(voided),
         U(torn));
#undef U
}

int main(int argc, char **argv) {
  char folder[PATH_MAX];
  uint64_t start;
  unsigned before;
  double seconds = argc > 2 ? atof(argv[2]) : 0;
  int i;

  if (argc < 3 || argc > 5 || seconds <= 0 || !realpath(argv[1], folder)) {
    fprintf(stderr, "usage: %s FOLDER SECONDS [SEED] [threads]\n", argv[0]);
    return 2;
  }
  T = mmap(NULL, sizeof(*T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (T == MAP_FAILED) return 2;
  T->seed = now() % 1000000;
  T->threads = TORTURE_TSAN;
  for (i = 3; i < argc; i++) {
    if (strcmp(argv[i], "threads") == 0) {
      T->threads = 1;
    } else {
      T->seed = strtoull(argv[i], NULL, 10);
    }
  }
  T->grace_ms = T->threads ? GRACE_THREADS_MS : GRACE_MS;
  if (snprintf(T->path, sizeof(T->path), "%.*s/torture%d", PATH_MAX - 64, folder, getpid()) < 0)
    return 2;
  printf("torture: seed %llu, %s, grace %u ms\n", (unsigned long long)T->seed,
         T->threads ? "threads" : "processes", T->grace_ms);
  fflush(stdout);
  sigaction(SIGINT, &(struct sigaction){.sa_handler = interrupt}, NULL);
  sigaction(SIGTERM, &(struct sigaction){.sa_handler = interrupt}, NULL);
  sigaction(SIGHUP, &(struct sigaction){.sa_handler = interrupt}, NULL);
  sigaction(SIGUSR1, &(struct sigaction){.sa_handler = nap},
            NULL); /* children have it from the start */
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  laneSit(LANE_OWN, 1);
  marksSet();
  before = descriptors();

  start = now();
  writerQuiet();
  if (!atomic_load(&T->failed)) {
    if (T->threads) {
      threadsRun(start + (uint64_t)(seconds * 1e9));
    } else {
      supervise(start + (uint64_t)(seconds * 1e9));
      lanesEnd();
    }
  }
  if (!atomic_load(&T->failed) && !interrupted) {
    channelLast();
    if (descriptors() != before) broken("%u descriptors before, %u after", before, descriptors());
    if (atomic_load(&T->reads) == 0 || atomic_load(&T->publishes) == 0) broken("nothing was done");
  }
  channelRemove();
  totals((double)(now() - start) / 1e9);
  if (interrupted) return 128 + interrupted;
  return atomic_load(&T->failed) != 0;
}
