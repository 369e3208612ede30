#define _GNU_SOURCE
/*
** keys_check.c - keys that are built side by side, and while another process writes into the data file.
*/
#include <signal.h>

#include "build.h"
#include "check_random.h"

#define ROWS 70000 /* more than have narrow row numbers */

static mmapsync *openWith(int threads, int (*progress)(void *), void *arg) {
  mmapsync_options opt;
  mmapsync *h;
  mmapsync_options_init(&opt);
  opt.threads = threads;
  opt.progress = progress;
  opt.progress_arg = arg;
  OK(h, mmapsync_open(checkPath, &opt, &h));
  return h;
}

/* An ordered key with gaps, a hash, texts that tie far behind, numbers of two kinds.  Two rows are equal in column b
** if `dup` says so. */
static int publish(mmapsync *h, int dup) {
  static const mmapsync_part_def a[] = {{.column = 0}}, b[] = {{.column = 1}};
  static const mmapsync_part_def cb[] = {{.column = 2, .collation = MMAPSYNC_NOCASE},
                                         {.column = 1, .desc = 1}};
  const mmapsync_key_def keys[] = {
      {.name = "a", .flags = MMAPSYNC_KEY_UNIQUE | MMAPSYNC_KEY_ORDERED, .parts = a, .nparts = 1},
      {.name = "b", .flags = MMAPSYNC_KEY_UNIQUE | MMAPSYNC_KEY_NOTNULL, .parts = b, .nparts = 1},
      {.name = "cb", .parts = cb, .nparts = 2},
      {.name = "b2", .flags = MMAPSYNC_KEY_UNIQUE, .parts = b, .nparts = 1}};
  mmapsync_table_def def = table(3, keys, 4);
  mmapsync_builder *builder;
  int64_t i;
  int rc = mmapsync_build_begin(h, &builder);
  if (rc != MMAPSYNC_OK) return rc;
  builder->side_rows = 0;
  mmapsync_build_table(builder, &def);
  for (i = 0; i < ROWS; i++) {
    char z[64];
    int64_t x = dup && i == ROWS - 1 ? 7 : i * 7919 % ROWS;
    int n = snprintf(z, sizeof(z), "%d some text before what differs %d", (int)(i % 50),
                     (int)(i % 999));
    mmapsync_build_int(builder, i * 2);
    if (x % 2) {
      mmapsync_build_int(builder, x);
    } else {
      mmapsync_build_real(builder, (double)x + 0.5);
    }
    mmapsync_build_text(builder, z, (size_t)n);
    mmapsync_build_row(builder);
  }
  return mmapsync_build_commit(builder, NULL);
}

/* However many threads there are, the image is the same. */
static void caseSame(void) {
  uint8_t *first = NULL;
  uint64_t size = 0;
  int threads;
  for (threads = 1; threads <= MMAPSYNC_THREADS_MAX; threads++) {
    mmapsync *h = openWith(threads, NULL, NULL);
    mmapsync_view view;
    OK(h, publish(h, 0));
    OK(h, mmapsync_read(h, &view));
    if (threads == 1) {
      first = malloc(size = view.size);
      memcpy(first, view.data, size);
    }
    CHECK(view.size == size && memcmp(view.data, first, size) == 0);
    mmapsync_release(h, &view);
    mmapsync_close(h);
  }
  free(first);
}

/* Two keys do not hold: the first of them is told of, and the snapshot before stays. */
static void caseDuplicate(void) {
  int threads;
  for (threads = 1; threads <= MMAPSYNC_THREADS_MAX; threads++) {
    mmapsync *h = openWith(threads, NULL, NULL);
    WRITE(h, "before");
    FAILS(h, publish(h, 1), MMAPSYNC_CONSTRAINT, "\"%s\": table \"t\": duplicate in key (b): (7)",
          checkPath);
    HOLDS(h, "before");
    mmapsync_close(h);
  }
}

static int countdown(void *arg) { return --*(int *)arg < 0; }

/* Whenever the host wants to stop, all threads do. */
static void caseInterrupt(void) {
  int most, rc = MMAPSYNC_INTERRUPT;
  for (most = 0; rc == MMAPSYNC_INTERRUPT; most++) {
    int left = most;
    mmapsync *h = openWith(3, countdown, &left);
    rc = publish(h, 0);
    CHECK(rc == MMAPSYNC_OK || strcmp(mmapsync_errmsg(h), "interrupted") == 0);
    mmapsync_close(h);
  }
  CHECK(rc == MMAPSYNC_OK && most > 3);
}

static void caseOption(void) {
  mmapsync_options opt;
  mmapsync *h;
  mmapsync_options_init(&opt);
  opt.threads = MMAPSYNC_THREADS_MAX + 1;
  CHECK(mmapsync_open(checkPath, &opt, &h) == MMAPSYNC_MISUSE);
  CHECK(strcmp(mmapsync_errmsg(h), "option threads: expected 0 to 4, found 5") == 0);
  mmapsync_close(h);
}

/* Writes anything anywhere into both data files, until it is killed. */
static void scribble(void) {
  uint64_t i;
  for (i = 0;; i++) {
    int fd = open(fileName(i % 2 ? "_data_0" : "_data_1"), O_RDWR);
    struct stat st;
    int k;
    for (k = 0; fd >= 0 && k < 2000; k++) {
      uint64_t word = k % 3 ? rnd() : UINT64_MAX >> below(64);
      if (k % 100 == 0 && fstat(fd, &st) != 0) break;
      if (st.st_size < 4096) break;
      if (pwrite(fd, &word, 8, (off_t)below((uint64_t)st.st_size / 8) * 8) < 0) break;
    }
    if (fd >= 0) close(fd);
  }
}

/* Whatever stands there when it is read back, nothing is worse than a refusal. */
static void caseScribbled(void) {
  mmapsync *h = openWith(2, NULL, NULL);
  int i, refused = 0;
  pid_t pid;
  OK(h, publish(h, 0));
  OK(h, publish(h, 0));
  pid = fork();
  if (pid == 0) scribble();
  for (i = 0; i < 30; i++) {
    int rc = publish(h, 0);
    CHECK(rc == MMAPSYNC_OK || rc == MMAPSYNC_CORRUPT || rc == MMAPSYNC_CONSTRAINT ||
          rc == MMAPSYNC_MISUSE);
    if (rc == MMAPSYNC_CORRUPT) {
      CHECK(strstr(mmapsync_errmsg(h), "changed while it was written"));
    }
    refused += rc != MMAPSYNC_OK;
  }
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
  CHECK(refused > 0);
  OK(h, publish(h, 0));
  mmapsync_close(h);
}

static const CheckCase cases[] = {{"same", caseSame},           {"duplicate", caseDuplicate},
                                  {"interrupt", caseInterrupt}, {"option", caseOption},
                                  {"scribbled", caseScribbled}, {NULL, NULL}};

int main(int argc, char **argv) { return checkMain(argc, argv, cases); }
