#define _GNU_SOURCE /* CPU_COUNT */
/*
** buildcrew.c - pieces of work on a few threads.
**
** The keys of a large table are built at the same time, as far as there are processors, memory and keys.  What
** comes out is the same in every byte: each piece of work has its own place, and there are no others it could
** depend on.
**
** The caller's thread takes pieces as well, and only it calls options.progress: between its own, and while it waits
** for the last.  The others, the helpers, live no longer than the call.  They take no signal, make no system call
** of sys.h, touch nothing of the handle, and look at `stop` where the caller's thread would ask.  Without helpers
** (none wanted, none to be had) the pieces are done one after the other.
**
** Pieces are begun in their order, and after one has failed no more are.  So of all that fail the first is always
** among those that were done, and the failure that is told is the same as without helpers.
*/
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>

#include "build.h"

#define STACK_BYTES ((size_t)1 << 20)
#define ASK_NS      10000000 /* how often progress is called while helpers are waited for */

typedef struct Crew {
  CrewWork work;
  void *arg;
  uint32_t n; /* pieces */
  _Atomic uint32_t
      next; /* the next one; only counts, so relaxed: what helpers find was there before them */
  _Atomic int stop; /* progress has said so */
  pthread_mutex_t lock;
  pthread_cond_t ended;
  int working; /* helpers that have not ended; under the lock */
} Crew;

int leaveAsk(const Leave *leave) {
  int rc = MMAPSYNC_OK;
  if (atomic_load_explicit(leave->stop, memory_order_relaxed)) return MMAPSYNC_INTERRUPT;
  if (leave->h) rc = handleProgress(leave->h);
  if (rc != MMAPSYNC_OK) atomic_store_explicit(leave->stop, 1, memory_order_relaxed);
  return rc;
}

int crewThreads(const mmapsync_builder *b) {
  cpu_set_t set;
  int n = b->h->opt.threads;
  if (n > 0) return n;
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  n = CPU_COUNT(&set);
  return n < 1 ? 1 : n > MMAPSYNC_THREADS_MOST ? MMAPSYNC_THREADS_MOST : n;
}

static void crewTake(Crew *c, const Leave *leave) {
  uint32_t i;
  while (!atomic_load_explicit(&c->stop, memory_order_relaxed) &&
         (i = atomic_fetch_add_explicit(&c->next, 1, memory_order_relaxed)) < c->n) {
    if (c->work(c->arg, i, leave) != MMAPSYNC_OK) {
      atomic_store_explicit(&c->next, c->n, memory_order_relaxed);
    }
  }
}

static void *helperMain(void *arg) {
  Crew *c = arg;
  Leave leave = {.stop = &c->stop};
  crewTake(c, &leave);
  pthread_mutex_lock(&c->lock);
  c->working--;
  pthread_cond_signal(&c->ended);
  pthread_mutex_unlock(&c->lock);
  return NULL;
}

/* Starts up to n helpers; how many there are. */
static int helpersStart(Crew *c, pthread_t *helper, int n) {
  pthread_attr_t attr;
  sigset_t all, before;
  int i;
  if (n <= 0 || pthread_attr_init(&attr) != 0) return 0;
  pthread_attr_setstacksize(&attr, STACK_BYTES);
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before); /* helpers have the mask of who starts them */
  for (i = 0; i < n; i++) {
    pthread_mutex_lock(&c->lock);
    c->working++;
    pthread_mutex_unlock(&c->lock);
    if (pthread_create(&helper[i], &attr, helperMain, c) == 0) continue;
    pthread_mutex_lock(&c->lock);
    c->working--;
    pthread_mutex_unlock(&c->lock);
    break;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attr);
  return i;
}

static void helpersWait(Crew *c, const Leave *leave) {
  pthread_mutex_lock(&c->lock);
  while (c->working > 0) {
    uint64_t end = sysWallClock() + ASK_NS;
    struct timespec until = {.tv_sec = (time_t)(end / NS_PER_S), .tv_nsec = (long)(end % NS_PER_S)};
    pthread_cond_timedwait(&c->ended, &c->lock, &until);
    if (c->working == 0) break;
    pthread_mutex_unlock(&c->lock);
    (void)leaveAsk(leave);
    pthread_mutex_lock(&c->lock);
  }
  pthread_mutex_unlock(&c->lock);
}

int crewRun(mmapsync_builder *b, int threads, uint32_t n, CrewWork work, void *arg) {
  Crew c = {.work = work,
            .arg = arg,
            .n = n,
            .lock = PTHREAD_MUTEX_INITIALIZER,
            .ended = PTHREAD_COND_INITIALIZER};
  Leave leave = {.h = b->h, .stop = &c.stop};
  pthread_t helper[MMAPSYNC_THREADS_MOST];
  int i, helpers;
  if ((uint32_t)threads > n) threads = (int)n;
  helpers = helpersStart(&c, helper, threads - 1);
  crewTake(&c, &leave);
  helpersWait(&c, &leave);
  for (i = 0; i < helpers; i++) pthread_join(helper[i], NULL);
  b->helpers += (uint32_t)helpers;
  return c.stop ? MMAPSYNC_INTERRUPT : MMAPSYNC_OK;
}
