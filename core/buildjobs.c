/*
** buildjobs.c - the keys of a long table, built side by side.
**
** Each key is a job of its own: it reads what of the table is in the data file by then, and writes to a place that
** was taken for it before (buildkeys.c).  So jobs share nothing that changes, but for the wish to stop, and in
** whatever order they end the image is the same.
**
** THREADS.  The publisher's own thread takes jobs like the others, then waits for them.  Helpers exist from the
** first job of a table to its last; they block all signals, so that the host's handlers run in threads of the
** host; they make no call but of malloc() and free().  The handle, its sentence and the host's progress function
** belong to the publisher's thread: what a helper finds stays in its job.  If a thread cannot be made, there is
** one less, and at last the publisher's alone, which is the serial way.
**
** MEMORY.  Sorting may have as much as b->sort_rows says, whoever sorts: each thread gets its share.
*/
#define _GNU_SOURCE /* CPU_COUNT, pthread_timedjoin_np */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>

#include "build.h"

#define WAIT_NS (20 * NS_PER_MS) /* between two looks whether to go on */

typedef struct Jobs {
  KeyJob *jobs;
  uint32_t n;
  _Atomic uint32_t next; /* the first job that nobody has taken */
  atomic_int stop;
} Jobs;

int jobsThreads(const mmapsync_builder *b, uint32_t n) {
  int most = b->h->opt.threads;
  cpu_set_t set;
  if (most == 0) {
    most = MMAPSYNC_THREADS_MAX;
    if (sched_getaffinity(0, sizeof(set), &set) != 0) return 1; /* more than 1024 cores: no harm */
    if (most > CPU_COUNT(&set)) most = CPU_COUNT(&set);
  }
  return (uint32_t)most > n ? (int)n : most;
}

int jobProgress(KeyJob *job) {
  int rc = MMAPSYNC_OK;
  if (!job->aside) {
    rc = handleProgress(job->b->h);
    if (rc != MMAPSYNC_OK && job->stop) atomic_store_explicit(job->stop, 1, memory_order_relaxed);
  } else if (atomic_load_explicit(job->stop, memory_order_relaxed)) {
    rc = MMAPSYNC_INTERRUPT;
  }
  return rc;
}

static void jobsTake(Jobs *p, int aside) {
  uint32_t i;
  /* relaxed: the jobs were there before the threads, and are looked at when these are joined */
  while ((i = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed)) < p->n) {
    p->jobs[i].aside = aside;
    jobRun(&p->jobs[i]);
  }
}

static void *jobsHelp(void *arg) {
  jobsTake(arg, 1);
  return NULL;
}

/* Waits for a helper, and asks the host meanwhile whether to go on. */
static int jobsJoin(Jobs *p, pthread_t thread, int rc) {
  for (;;) {
    uint64_t until = sysWallClock() + WAIT_NS;
    struct timespec t = {.tv_sec = (time_t)(until / (1000 * NS_PER_MS)),
                         .tv_nsec = (long)(until % (1000 * NS_PER_MS))};
    if (pthread_timedjoin_np(thread, NULL, &t) == 0) return rc;
    if (rc == MMAPSYNC_OK) rc = handleProgress(p->jobs[0].b->h);
    if (rc != MMAPSYNC_OK) atomic_store_explicit(&p->stop, 1, memory_order_relaxed);
  }
}

void jobsRun(KeyJob *jobs, uint32_t n, int threads) {
  Jobs shared = {.jobs = jobs, .n = n};
  pthread_t helper[MMAPSYNC_THREADS_MAX];
  sigset_t all, old;
  uint32_t i;
  int nhelper = 0, rc = MMAPSYNC_OK;
  if (threads > 1) {
    for (i = 0; i < n; i++) {
      jobs[i].stop = &shared.stop;
      jobs[i].sort_rows = jobs[i].sort_rows / (uint32_t)threads + 1;
    }
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* helpers get it from here */
    while (nhelper < threads - 1 &&
           pthread_create(&helper[nhelper], NULL, jobsHelp, &shared) == 0) {
      nhelper++;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
  }
  jobsTake(&shared, 0);
  while (nhelper > 0) rc = jobsJoin(&shared, helper[--nhelper], rc);
  if (rc != MMAPSYNC_OK) { /* the first to be told of */
    jobs[0].rc = rc;
    jobs[0].zWhat = NULL;
  }
}
