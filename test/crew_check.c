#define _GNU_SOURCE
/*
** crew_check.c - keys that several threads build at the same time.
**
** The bytes of an image, and the sentence of a failure, are those of one thread, whatever happens: all threads that
** were asked for, fewer, none to be had; memory that runs out in one of them; a build that is stopped.  `make tsan`
** runs this too.
*/
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include "build.h"
#include "check_image.h"

/* ---- threads and memory that are refused ----------------------------------------------------------- */

#define REFUSES (!CHECK_SANITIZED) /* a sanitizer has its own of both */

static pthread_t self;
static int threadsLeft = 1000000; /* before pthread_create() fails */
static int memoryFails;           /* in all threads but the first */

#if REFUSES && defined(__GLIBC__)
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
static int memoryNow(void) { return memoryFails && !pthread_equal(pthread_self(), self); }
void *malloc(size_t n) { return memoryNow() ? NULL : __libc_malloc(n); }
void *calloc(size_t n, size_t each) { return memoryNow() ? NULL : __libc_calloc(n, each); }

typedef int (*CreateFunction)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
int pthread_create(pthread_t *out, const pthread_attr_t *attr, void *(*run)(void *), void *arg) {
  CreateFunction create;
  void *p = dlsym(RTLD_NEXT, "pthread_create");
  if (threadsLeft-- <= 0) return EAGAIN;
  memcpy(&create, &p, sizeof(p));
  return create(out, attr, run, arg);
}

/* Processors there are; 0: all that this machine has; -1: the kernel does not tell; -2: it says that there are none. */
static int processors;
int sched_getaffinity(pid_t pid, size_t n, cpu_set_t *set) {
  typedef int (*AffinityFunction)(pid_t, size_t, cpu_set_t *);
  AffinityFunction affinity;
  void *p = dlsym(RTLD_NEXT, "sched_getaffinity");
  int i;
  memcpy(&affinity, &p, sizeof(p));
  if (processors == 0) return affinity(pid, n, set);
  CPU_ZERO(set);
  for (i = 0; i < processors; i++) CPU_SET((size_t)i, set);
  return processors != -1 ? 0 : -1;
}

static int attributesFail;
int pthread_attr_init(pthread_attr_t *attr) {
  int (*init)(pthread_attr_t *);
  void *p = dlsym(RTLD_NEXT, "pthread_attr_init");
  memcpy(&init, &p, sizeof(p));
  return attributesFail ? ENOMEM : init(attr);
}
#else
static int processors, attributesFail;
#endif

/* ---- a table with many keys ------------------------------------------------------------------------ */

#define KEYS 6

static const mmapsync_part_def parts[KEYS][2] = {{{.column = 0}},
                                                 {{.column = 1}},
                                                 {{.column = 2}, {.column = 1, .desc = 1}},
                                                 {{.column = 1, .collation = MMAPSYNC_NOCASE}},
                                                 {{.column = 2, .desc = 1}},
                                                 {{.column = 2}, {.column = 0}}};
static const uint32_t flags[KEYS] = {MMAPSYNC_KEY_ORDERED | MMAPSYNC_KEY_UNIQUE,
                                     MMAPSYNC_KEY_UNIQUE,
                                     0,
                                     MMAPSYNC_KEY_UNIQUE,
                                     0,
                                     MMAPSYNC_KEY_UNIQUE};

/* What a build is given. */
typedef struct Task {
  uint64_t rows, sort_rows;
  int threads;
  int twice;   /* from this key on, keys that claim to be unique are not; 0: all are */
  int helpers; /* out: how many there were */
} Task;

static int stopAt, asked; /* the call of progress that stops, or 0; and how many there were */

static int progress(void *arg) {
  (void)arg;
  CHECK(pthread_equal(pthread_self(), self)); /* never from a helper */
  return ++asked == stopAt;
}

static mmapsync *handleOf(int threads) {
  mmapsync_options opt;
  mmapsync *h;
  mmapsync_options_init(&opt);
  CHECK(opt.threads == 0);
  opt.threads = threads;
  opt.progress = progress;
  OK(h, mmapsync_open(checkPath, &opt, &h));
  return h;
}

/* Builds it; what the commit gives. */
static int build(mmapsync *h, Task *task) {
  mmapsync_key_def keys[KEYS];
  mmapsync_table_def def = table(3, keys, KEYS);
  mmapsync_builder *b;
  uint64_t i;
  char text[32];
  int k, rc;

  for (k = 0; k < KEYS; k++) {
    keys[k] = (mmapsync_key_def){.name = "k", .flags = flags[k], .parts = parts[k], .nparts = 1};
    keys[k].nparts += k == 2 || k == 5;
    if (task->twice && k >= task->twice &&
        k < 5) { /* from the least number on, and from the greatest */
      keys[k].flags = MMAPSYNC_KEY_UNIQUE;
      keys[k].nparts = 1;
    }
  }
  asked = 0;
  OK(h, mmapsync_build_begin(h, &b));
  b->sort_rows = task->sort_rows;
  b->crew_rows = 2;
  mmapsync_build_table(b, &def);
  for (i = 0; i < task->rows; i++) {
    snprintf(text, sizeof(text), "text %08llu", (unsigned long long)(i * 7919 % 1000003));
    mmapsync_build_int(b, (int64_t)i * 3 + (int64_t)(i / 7));
    mmapsync_build_text(b, text, strlen(text));
    if (i % 11 == 0) {
      mmapsync_build_null(b);
    } else {
      mmapsync_build_int(b, (int64_t)(i * 31 % 100));
    }
    mmapsync_build_row(b);
  }
  mmapsync_build_end(b);
  task->helpers = (int)b->helpers;
  rc = mmapsync_build_commit(b, NULL);
  return rc;
}

/* ---- the cases ------------------------------------------------------------------------------------- */

/* The newest snapshot's bytes; to be freed. */
static uint8_t *bytesOfNewest(mmapsync *h, size_t *n) {
  mmapsync_view view;
  uint8_t *copy;
  OK(h, mmapsync_read(h, &view));
  copy = malloc(view.size);
  memcpy(copy, view.data, *n = view.size);
  mmapsync_release(h, &view);
  return copy;
}

/* Images are the same in every byte: of short tables, whose orders are moved together; of long ones; of those that
** are sorted in runs. */
static void caseSame(void) {
  static const Task tasks[] = {{.rows = 1, .sort_rows = 100000},
                               {.rows = 3000, .sort_rows = 100000},
                               {.rows = 3000, .sort_rows = 2000},
                               {.rows = 70000, .sort_rows = 300000},
                               {.rows = 70000, .sort_rows = 50000}};
  int i, threads, most = 0;
  self = pthread_self();
  for (i = 0; i < COUNT_OF(tasks); i++) {
    uint8_t *one = NULL;
    size_t nOne = 0;
    for (threads = 1; threads <= MMAPSYNC_THREADS_MOST; threads++) {
      mmapsync *h = handleOf(threads);
      Task task = tasks[i];
      size_t n;
      uint8_t *bytes;
      snprintf(checkAbout, sizeof(checkAbout), "task %d, %d threads", i, threads);
      OK(h, build(h, &task));
      bytes = bytesOfNewest(h, &n);
      CHECK(task.helpers < threads);
      if (task.helpers > most) most = task.helpers;
      if (threads == 1) {
        one = bytes;
        nOne = n;
      } else {
        CHECK(n == nOne && memcmp(bytes, one, n) == 0);
        free(bytes);
      }
      OK(h, mmapsync_verify(h));
      mmapsync_close(h);
    }
    free(one);
  }
  CHECK(most == MMAPSYNC_THREADS_MOST - 1);
}

/* As many threads as the memory is for. */
static void caseMemory(void) {
  static const struct {
    uint64_t rows, sort_rows;
    int helpers;
  } some[] = {{1000, 1000, 0}, {1000, 2000, 1}, {1000, 3999, 2}, {1000, 4000, 3}, {1000, 999, 3},
              {1000, 500, 2},  {1000, 334, 1},  {1000, 333, 0},  {1000, 100, 0},  {1, 1000, 0}};
  mmapsync *h;
  int i;
  self = pthread_self();
  h = handleOf(MMAPSYNC_THREADS_MOST);
  for (i = 0; i < COUNT_OF(some); i++) {
    Task task = {.rows = some[i].rows, .sort_rows = some[i].sort_rows};
    OK(h, build(h, &task));
    snprintf(checkAbout, sizeof(checkAbout), "%d: %d", i, task.helpers);
    CHECK(task.helpers == some[i].helpers);
  }
  mmapsync_close(h);
}

/* Of keys that fail the first is told of, in the same words. */
static void caseFirstFailure(void) {
  char sentence[PATH_MAX + 200] = "";
  int threads, twice;
  self = pthread_self();
  for (twice = 2; twice <= 4; twice += 2) {
    for (threads = 1; threads <= MMAPSYNC_THREADS_MOST; threads++) {
      mmapsync *h = handleOf(threads);
      Task task = {.rows = 50000, .sort_rows = 400000, .twice = twice};
      WRITE(h, "before");
      CHECK(build(h, &task) == MMAPSYNC_CONSTRAINT);
      if (threads == 1) snprintf(sentence, sizeof(sentence), "%s", mmapsync_errmsg(h));
      CHECK(strstr(sentence, "duplicate in key (c): (") != NULL);
      CHECK(strcmp(sentence, mmapsync_errmsg(h)) == 0);
      HOLDS(h, "before");
      mmapsync_close(h);
    }
  }
}

/* Stopped at each moment at which progress is called, until a build is not.  How many there are depends on how
** the pieces fall to threads; those before there is more than one do not. */
static void caseStop(void) {
  Task task = {.rows = 70000, .sort_rows = 300000};
  int threads;
  self = pthread_self();
  for (threads = 1; threads <= MMAPSYNC_THREADS_MOST; threads++) {
    mmapsync *h = handleOf(threads);
    int rc, stopped = 0;
    WRITE(h, "before");
    for (stopAt = 1;; stopAt++) {
      rc = build(h, &task);
      if (asked < stopAt) break;
      CHECK(rc == MMAPSYNC_INTERRUPT && strcmp(mmapsync_errmsg(h), "interrupted") == 0);
      HOLDS(h, "before");
      stopped++;
    }
    OK(h, rc);
    CHECK(stopped >= (threads == 1 ? 5 : 2));
    mmapsync_close(h);
  }
}

/* Threads that cannot be had are done without. */
static void caseNoThreads(void) {
  mmapsync *h;
  uint8_t *one = NULL, *bytes;
  size_t n, nOne = 0;
  int left;
  if (!REFUSES) checkSkip("pthread_create belongs to a sanitizer");
  self = pthread_self();
  h = handleOf(MMAPSYNC_THREADS_MOST);
  for (left = MMAPSYNC_THREADS_MOST - 1; left >= 0; left--) {
    Task task = {.rows = 3000, .sort_rows = 100000};
    threadsLeft = left;
    OK(h, build(h, &task));
    CHECK(task.helpers == left);
    bytes = bytesOfNewest(h, &n);
    if (!one) {
      one = bytes;
      nOne = n;
    } else {
      CHECK(n == nOne && memcmp(bytes, one, n) == 0);
      free(bytes);
    }
  }
  free(one);
  mmapsync_close(h);
}

/* Memory that runs out in a helper. */
static void caseNoMemory(void) {
  mmapsync *h;
  int i, failed = 0;
  if (!REFUSES) checkSkip("malloc belongs to a sanitizer");
  self = pthread_self();
  h = handleOf(MMAPSYNC_THREADS_MOST);
  WRITE(h, "before");
  for (i = 0; i < 100 && failed < 5; i++) {
    Task task = {.rows = 3000, .sort_rows = 100000};
    int rc;
    memoryFails = 1;
    rc = build(h, &task);
    memoryFails = 0;
    if (rc == MMAPSYNC_OK) { /* the first thread was faster with all keys that need any */
      WRITE(h, "before");
      continue;
    }
    failed++;
    CHECK(rc == MMAPSYNC_NOMEM && strcmp(mmapsync_errmsg(h), "out of memory") == 0);
    HOLDS(h, "before");
  }
  CHECK(failed == 5);
  mmapsync_close(h);
}

/* Without an option there are as many threads as processors, four at most; one where that cannot be told. */
static void caseProcessors(void) {
  static const struct {
    int processors, helpers;
  } some[] = {{1, 0}, {2, 1}, {4, 3}, {64, 3}, {-1, 0}, {-2, 0}};
  mmapsync *h;
  int i;
  if (!REFUSES) checkSkip("these belong to a sanitizer");
  self = pthread_self();
  h = handleOf(0);
  for (i = 0; i < COUNT_OF(some); i++) {
    Task task = {.rows = 3000, .sort_rows = 100000};
    processors = some[i].processors;
    OK(h, build(h, &task));
    CHECK(task.helpers == some[i].helpers);
  }
  attributesFail = 1;
  processors = 4;
  {
    Task task = {.rows = 3000, .sort_rows = 100000};
    OK(h, build(h, &task));
    CHECK(task.helpers == 0);
  }
  processors = attributesFail = 0;
  mmapsync_close(h);
}

/* Options that are none. */
static void caseOption(void) {
  mmapsync_options opt;
  mmapsync *h;
  self = pthread_self();
  h = handleOf(0);
  opt = *mmapsync_options_of(h);
  opt.threads = -1;
  FAILS(h, mmapsync_configure(h, &opt), MMAPSYNC_MISUSE,
        "option threads: expected 0 to 4, found -1");
  opt.threads = 5;
  FAILS(h, mmapsync_configure(h, &opt), MMAPSYNC_MISUSE,
        "option threads: expected 0 to 4, found 5");
  mmapsync_close(h);
}

static const CheckCase cases[] = {
    {"same", caseSame},
    {"memory", caseMemory},
    {"first_failure", caseFirstFailure},
    {"stop", caseStop},
    {"no_threads", caseNoThreads},
    {"no_memory", caseNoMemory},
    {"processors", caseProcessors},
    {"option", caseOption},
    {NULL, NULL},
};

int main(int argc, char **argv) { return checkMain(argc, argv, cases); }
