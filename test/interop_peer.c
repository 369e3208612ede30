#define _GNU_SOURCE
/*
** interop_peer.c - our C interface as a process that a test drives: test/interop.test.
**
**     interop_peer PATH [OPTION=VALUE ...]
**
** PATH names the channel; options are those of mmapsync.h by their number: grace, foreign, lock, pins, trust.  Commands
** come in on stdin, a line each, and are answered with a line each, `error CODE: ...` if one fails; at the end of
** stdin the process ends.  test/interop/src/main.rs answers the same ones by the mmap-sync crate, but for those of one
** side:
**
**     put FILE                   publishes the bytes of a file
**     bytes FILE                 reads the payload into a file, and tells about it
**     load N WORDS               publishes a load: below
**     churn N WORDS PAUSE        publishes those from 1 to N, with a pause of so many microseconds after each.  With
**                                WORDS below 0 their number differs, and is at most that
**     scan N PAUSE               reads such until it meets N
**     hold, peek, release        a view that lasts over several commands
**     begin SIZE, commit, abort  a write that is open meanwhile
**     version, sequence          of the newest snapshot
**     wait SEQUENCE MS           until there is a newer one
**
** LOAD.  It is what rkyv 0.7 makes of
**
**     struct Load { n: u64, words: Vec<u64>, check: u64 }
**
** the words first and the structure itself last; all bytes follow from n, and those of two loads cannot pass for one's:
**
**     offset -24   u64  n
**            -16   i32  where the words are, counted from this field
**            -12   u32  how many there are; word i is n * STEP ^ i
**             -8   u64  ~n
*/
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mmapsync.h"

#define STEP     UINT64_C(0x9E3779B97F4A7C15)
#define ROOT     24

/* A scan gives up when what it waits for has not come for so long, in seconds. */
#define PATIENCE 60

static mmapsync *h;
static mmapsync_view held;
static int holds;

static void answerError(int rc) { printf("error %d: %s\n", rc, mmapsync_errmsg(h)); }

static void pauseUs(long us) {
  struct timespec t = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
  if (us > 0) (void)nanosleep(&t, NULL);
}

static time_t now(void) {
  struct timespec t;
  (void)clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec;
}

static size_t loadSize(uint64_t words) { return words * 8 + ROOT; }

static void loadPack(uint8_t *out, uint64_t n, uint64_t words) {
  uint8_t *root = out + words * 8;
  uint64_t i, check = ~n;
  int32_t at = (int32_t)(-(int64_t)(words * 8) - 8);
  uint32_t count = (uint32_t)words;
  for (i = 0; i < words; i++) {
    uint64_t word = (n * STEP) ^ i;
    memcpy(out + i * 8, &word, 8);
  }
  memcpy(root, &n, 8);
  memcpy(root + 8, &at, 4);
  memcpy(root + 12, &count, 4);
  memcpy(root + 16, &check, 8);
}

/* Its n, or 0 if it is not whole. */
static uint64_t loadWhole(const mmapsync_view *view) {
  const uint8_t *first = view->data, *root;
  uint64_t n, check, i;
  int32_t at;
  uint32_t count;

  if (view->size < ROOT) return 0;
  root = first + view->size - ROOT;
  memcpy(&n, root, 8);
  memcpy(&at, root + 8, 4);
  memcpy(&count, root + 12, 4);
  memcpy(&check, root + 16, 8);
  if (check != ~n || count == 0 || loadSize(count) != view->size) return 0;
  if (root + 8 + at != first) return 0;
  for (i = 0; i < count; i++) {
    uint64_t word;
    memcpy(&word, first + i * 8, 8);
    if (word != ((n * STEP) ^ i)) return 0;
  }
  return n;
}

static int loadPublish(uint64_t n, uint64_t words, mmapsync_result *done) {
  void *to;
  int rc = mmapsync_write_begin(h, loadSize(words), &to);
  if (rc != MMAPSYNC_OK) return rc;
  loadPack(to, n, words);
  return mmapsync_write_commit(h, loadSize(words), MMAPSYNC_KIND_RAW, done);
}

static void answerWritten(int rc, const mmapsync_result *done) {
  if (rc != MMAPSYNC_OK) {
    answerError(rc);
  } else {
    printf("written: %" PRIu64 " bytes | reset: %s | replaced: %s\n", (uint64_t)done->size,
           done->reset ? "true" : "false", done->replaced ? "true" : "false");
  }
}

static void doPut(const char *file) {
  mmapsync_result done = {0};
  FILE *f = fopen(file, "rb");
  long size = -1;
  void *to = NULL;
  int rc;

  if (f && fseek(f, 0, SEEK_END) == 0) size = ftell(f);
  if (size < 0) {
    printf("error: cannot read \"%s\"\n", file);
    if (f) (void)fclose(f);
    return;
  }
  rewind(f);
  rc = mmapsync_write_begin(h, (size_t)size, &to);
  if (rc == MMAPSYNC_OK && fread(to, 1, (size_t)size, f) != (size_t)size) {
    mmapsync_write_abort(h);
    printf("error: cannot read \"%s\"\n", file);
  } else {
    if (rc == MMAPSYNC_OK) rc = mmapsync_write_commit(h, (size_t)size, MMAPSYNC_KIND_RAW, &done);
    answerWritten(rc, &done);
  }
  (void)fclose(f);
}

static const char *pinName(uint32_t pin) {
  static const char *const names[] = {"copy", "slot", "lock", "counter"};
  return pin < 4 ? names[pin] : "?";
}

static void doBytes(const char *file) {
  mmapsync_view view;
  FILE *f;
  int rc = mmapsync_read(h, &view);
  if (rc != MMAPSYNC_OK) {
    answerError(rc);
    return;
  }
  f = fopen(file, "wb");
  if (!f || fwrite(view.data, 1, view.size, f) != view.size) {
    printf("error: cannot write \"%s\"\n", file);
  } else {
    printf("read %zu kind %u sequence %" PRIu64 " pin %s switched %s\n", view.size,
           (unsigned)view.kind, view.sequence, pinName(view.pin), view.switched ? "true" : "false");
  }
  if (f) (void)fclose(f);
  mmapsync_release(h, &view);
}

static void doChurn(uint64_t n, long words, long pause) {
  mmapsync_result done = {0};
  uint64_t i, resets = 0, replaced = 0;
  for (i = 1; i <= n; i++) {
    uint64_t most = (uint64_t)labs(words);
    int rc = loadPublish(i, words > 0 ? most : i * STEP % most + 1, &done);
    if (rc != MMAPSYNC_OK) {
      answerError(rc);
      return;
    }
    resets += (uint64_t)done.reset;
    replaced += (uint64_t)done.replaced;
    pauseUs(pause);
  }
  printf("published %" PRIu64 " resets %" PRIu64 " replaced %" PRIu64 "\n", n, resets, replaced);
}

static void doScan(uint64_t n, long pause) {
  uint64_t reads = 0, torn = 0, back = 0, switched = 0, last = 0;
  time_t since = now();

  while (last != n) {
    mmapsync_view view;
    uint64_t found;
    int rc = mmapsync_read(h, &view);
    if (rc != MMAPSYNC_OK) {
      answerError(rc);
      return;
    }
    reads++;
    switched += (uint64_t)view.switched;
    found = loadWhole(&view);
    if (found == 0) {
      torn++;
    } else {
      if (found < last) back++;
      if (found != last) since = now();
      last = found;
    }
    mmapsync_release(h, &view);
    if (now() - since > PATIENCE) {
      printf("error: no %" PRIu64 " after %" PRIu64 "\n", n, last);
      return;
    }
    pauseUs(pause);
  }
  printf("last %" PRIu64 " torn %" PRIu64 " back %" PRIu64 " reads %" PRIu64 " switched %" PRIu64
         "\n",
         last, torn, back, reads, switched);
}

static void doPeek(void) {
  uint64_t n = holds ? loadWhole(&held) : 0;
  if (!holds) {
    printf("error: nothing is held\n");
  } else if (n == 0) {
    printf("holds what is torn\n");
  } else {
    printf("holds %" PRIu64 "\n", n);
  }
}

static void doHold(void) {
  int rc = mmapsync_read(h, &held);
  holds = rc == MMAPSYNC_OK;
  if (holds) {
    doPeek();
  } else {
    answerError(rc);
  }
}

static void doNumber(int rc, uint64_t number) {
  if (rc == MMAPSYNC_OK) {
    printf("%" PRIu64 "\n", number);
  } else {
    answerError(rc);
  }
}

static void answer(char *line) {
  const char *command = strtok(line, " \n");
  const char *arg[3] = {"", "", ""};
  mmapsync_result done = {0};
  uint64_t number = 0;
  size_t size;
  void *to;
  char *next;
  int i, rc;

  for (i = 0; i < 3 && (next = strtok(NULL, " \n")) != NULL; i++) arg[i] = next;
  if (!command) {
    printf("error: no command\n");
  } else if (strcmp(command, "put") == 0) {
    doPut(arg[0]);
  } else if (strcmp(command, "bytes") == 0) {
    doBytes(arg[0]);
  } else if (strcmp(command, "load") == 0) {
    rc = loadPublish(strtoull(arg[0], NULL, 10), strtoull(arg[1], NULL, 10), &done);
    answerWritten(rc, &done);
  } else if (strcmp(command, "churn") == 0) {
    doChurn(strtoull(arg[0], NULL, 10), atol(arg[1]), atol(arg[2]));
  } else if (strcmp(command, "scan") == 0) {
    doScan(strtoull(arg[0], NULL, 10), atol(arg[1]));
  } else if (strcmp(command, "hold") == 0) {
    doHold();
  } else if (strcmp(command, "peek") == 0) {
    doPeek();
  } else if (strcmp(command, "release") == 0) {
    doPeek();
    if (holds) mmapsync_release(h, &held);
    holds = 0;
  } else if (strcmp(command, "begin") == 0) {
    size = (size_t)strtoull(arg[0], NULL, 10);
    rc = mmapsync_write_begin(h, size, &to);
    if (rc == MMAPSYNC_OK) memset(to, 0xEE, size);
    doNumber(rc, size);
  } else if (strcmp(command, "commit") == 0) {
    size = (size_t)strtoull(arg[0], NULL, 10);
    rc = mmapsync_write_commit(h, size, MMAPSYNC_KIND_RAW, &done);
    answerWritten(rc, &done);
  } else if (strcmp(command, "abort") == 0) {
    mmapsync_write_abort(h);
    printf("ok\n");
  } else if (strcmp(command, "version") == 0) {
    rc = mmapsync_version(h, &number);
    doNumber(rc, number);
  } else if (strcmp(command, "sequence") == 0) {
    rc = mmapsync_sequence(h, &number);
    doNumber(rc, number);
  } else if (strcmp(command, "wait") == 0) {
    rc = mmapsync_wait(h, strtoull(arg[0], NULL, 10), (uint32_t)strtoul(arg[1], NULL, 10), &number);
    doNumber(rc, number);
  } else {
    printf("error: no such command: %s\n", command);
  }
}

/* 0 if there is no such option. */
static int option(mmapsync_options *opt, const char *text) {
  const char *value = strchr(text, '=');
  int n = value ? atoi(value + 1) : 0;
  if (!value) return 0;
  if (strncmp(text, "grace=", 6) == 0) {
    opt->grace_ms = (uint32_t)n;
  } else if (strncmp(text, "foreign=", 8) == 0) {
    opt->foreign = n;
  } else if (strncmp(text, "lock=", 5) == 0) {
    opt->lock = n;
  } else if (strncmp(text, "pins=", 5) == 0) {
    opt->pins = n;
  } else if (strncmp(text, "trust=", 6) == 0) {
    opt->trust = n;
  } else {
    return 0;
  }
  return 1;
}

int main(int argc, char **argv) {
  mmapsync_options opt;
  char line[4096];
  int i, rc;

  mmapsync_options_init(&opt);
  for (i = 2; i < argc; i++) {
    if (!option(&opt, argv[i])) argc = 0;
  }
  if (argc < 2) {
    fprintf(stderr, "usage: interop_peer PATH [OPTION=VALUE ...]\n");
    return 2;
  }
  rc = mmapsync_open(argv[1], &opt, &h);
  if (rc != MMAPSYNC_OK) {
    fprintf(stderr, "%s\n", h ? mmapsync_errmsg(h) : mmapsync_errstr(rc));
    mmapsync_close(h);
    return 1;
  }
  while (fgets(line, sizeof(line), stdin)) {
    answer(line);
    (void)fflush(stdout);
  }
  if (holds) mmapsync_release(h, &held);
  mmapsync_close(h);
  return 0;
}
