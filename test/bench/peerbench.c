/*
** peerbench.c - does what it is told, as often as it is told, and says how long that took.
**
**     peerbench mmapsync|lmdb FOLDER
**
** It stands beside cratebench (crate/src/main.rs), which does the same with the mmap-sync crate: peers.tcl has
** several of them at once and tells them in turn what to do, so that what disturbs the machine disturbs all, and none
** of them is in another's process.  A command is a line on standard input, and so is its answer on standard output,
** "<nanoseconds> <operations>", of processor time but where it says otherwise:
**
**     write SIZE N     publishes N payloads of SIZE bytes, each made in place
**     raw SIZE N       the same with payloads that are there and have to be copied
**     read SIZE N      enters and leaves N reads of what was published last
**     checked SIZE N   the same by a handle that compares each snapshot with its hash
**     view SIZE N      N reads by a view that is filled in and released
**     spin MS          for MS milliseconds by the clock, enters and leaves reads of the smallest payload
**     once MS          publishes one small payload with a grace time of MS; by the clock
**     hold             enters a read and stays in it; answers when it is in
**
** and the end of standard input is its end.  With lmdb there is spin alone: a transaction that is renewed and reset.
** The channels are FOLDER/mmapsync-SIZE; other processes may be told to read what this one has published.
*/
#define _GNU_SOURCE
#include "bench.h"
#include "lmdbitems.h"
#include "loops.h"

#include <string.h>

#define SMALL 36u /* the payload of the crate's own benchmark */
#define BLOCK 1000u

/* A channel, by the size of its payloads, and what was opened of it. */
typedef struct Channel {
  size_t size;
  char path[4096];
  char *data;
  uint64_t serial;
  mmapsync *writer;
  mmapsync *reader[2]; /* the second compares hashes */
} Channel;

static const char *folder;
static Channel channels[8];
static int nchannel;

static Channel *channelOf(size_t size) {
  Channel *c;
  if (size < sizeof(c->serial)) benchFail("a payload of %zu bytes", size);
  for (c = channels; c < channels + nchannel; c++) {
    if (c->size == size) return c;
  }
  if (nchannel == (int)(sizeof(channels) / sizeof(channels[0]))) benchFail("too many sizes");
  c = &channels[nchannel++];
  c->size = size;
  c->data = malloc(size);
  if (!c->data ||
      snprintf(c->path, sizeof(c->path), "%s/mmapsync-%zu", folder, size) >= (int)sizeof(c->path)) {
    benchFail("out of memory, or the path is too long");
  }
  loopFill(c->data, size);
  return c;
}

static mmapsync *writerOf(Channel *c) {
  mmapsync_options opt;
  mmapsync_options_init(&opt);
  opt.lock = MMAPSYNC_LOCK_HOLD;
  if (!c->writer) c->writer = loopOpen(c->path, &opt);
  return c->writer;
}

static mmapsync *readerOf(Channel *c, int checked) {
  mmapsync_options opt;
  mmapsync_options_init(&opt);
  if (checked) opt.verify = MMAPSYNC_VERIFY_SNAPSHOT;
  if (!c->reader[checked]) c->reader[checked] = loopOpen(c->path, &opt);
  return c->reader[checked];
}

/* The first byte of what was published last. */
static unsigned char firstOf(mmapsync *h) {
  mmapsync_view view;
  loopCheck(h, mmapsync_read(h, &view), "read");
  unsigned char first = *(const unsigned char *)view.data;
  mmapsync_release(h, &view);
  return first;
}

/* ---- the commands: each gives nanoseconds, and may change the number of operations -------------------- */

static uint64_t writes(size_t size, uint64_t n, int inPlace) {
  Channel *c = channelOf(size);
  mmapsync *h = writerOf(c);
  uint64_t t = benchSpent();
  if (inPlace) {
    loopBuilds(h, c->data, size, n, &c->serial);
  } else {
    loopWrites(h, c->data, size, n, &c->serial);
  }
  t = benchSpent() - t;
  loopStamp(c->data, c->serial);
  loopExpect(h, c->data, size);
  return t;
}

static uint64_t doWrite(size_t size, uint64_t *n) { return writes(size, *n, 1); }

static uint64_t doRaw(size_t size, uint64_t *n) { return writes(size, *n, 0); }

static uint64_t reads(size_t size, uint64_t n, int checked,
                      void (*loop)(mmapsync *h, uint64_t n, unsigned char first)) {
  mmapsync *h = readerOf(channelOf(size), checked);
  unsigned char first = firstOf(h);
  uint64_t t = benchSpent();
  loop(h, n, first);
  return benchSpent() - t;
}

static uint64_t doRead(size_t size, uint64_t *n) { return reads(size, *n, 0, loopEnters); }

static uint64_t doChecked(size_t size, uint64_t *n) { return reads(size, *n, 1, loopEnters); }

static uint64_t doView(size_t size, uint64_t *n) { return reads(size, *n, 0, loopReads); }

static uint64_t doSpin(size_t millis, uint64_t *n) {
  mmapsync *h = readerOf(channelOf(SMALL), 0);
  unsigned char first = firstOf(h);
  uint64_t t = benchSpent(), end = benchNow() + millis * 1000000u;
  do {
    loopEnters(h, BLOCK, first);
    *n += BLOCK;
  } while (benchNow() < end);
  return benchSpent() - t;
}

static uint64_t doSpinLmdb(size_t millis, uint64_t *n) {
  static int open;
  if (!open) {
    char path[4096];
    snprintf(path, sizeof(path), "%s/lmdb", folder);
    lmdbOpen(path, 0);
    lmdbBegin();
    lmdbReset();
    open = 1;
  }
  uint64_t t = benchSpent(), end = benchNow() + millis * 1000000u;
  do {
    for (unsigned i = 0; i < BLOCK; i++) {
      lmdbRenew();
      lmdbReset();
    }
    *n += BLOCK;
  } while (benchNow() < end);
  return benchSpent() - t;
}

static uint64_t doOnce(size_t millis, uint64_t *n) {
  Channel *c = channelOf(SMALL);
  mmapsync *h = writerOf(c);
  mmapsync_options opt = *mmapsync_options_of(h);
  opt.grace_ms = (uint32_t)millis;
  loopCheck(h, mmapsync_configure(h, &opt), "configure");
  *n = 1;
  uint64_t t = benchNow();
  loopWrites(h, c->data, SMALL, 1, &c->serial);
  return benchNow() - t;
}

static uint64_t doHold(size_t none, uint64_t *n) {
  static mmapsync_view view;
  mmapsync *h = readerOf(channelOf(SMALL), (int)none);
  *n = 1;
  loopCheck(h, mmapsync_read(h, &view), "read");
  return 0;
}

static const struct {
  const char *name;
  int words; /* behind it */
  uint64_t (*work)(size_t a, uint64_t *n);
} commands[] = {
    {"write", 2, doWrite},     {"raw", 2, doRaw},   {"read", 2, doRead},
    {"checked", 2, doChecked}, {"view", 2, doView}, {"spin", 1, doSpin},
    {"once", 1, doOnce},       {"hold", 0, doHold}, {"lmdb spin", 1, doSpinLmdb},
};

static void obey(const char *line, int lmdb) {
  char name[32], known[16];
  unsigned long long a = 0, b = 0;
  int words = sscanf(line, "%15s %llu %llu", known, &a, &b) - 1;
  snprintf(name, sizeof(name), "%s%s", lmdb ? "lmdb " : "", words < 0 ? "" : known);
  for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
    if (strcmp(name, commands[i].name) != 0 || words != commands[i].words) continue;
    uint64_t n = b, ns = commands[i].work((size_t)a, &n);
    printf("%llu %llu\n", (unsigned long long)ns, (unsigned long long)n);
    fflush(stdout);
    return;
  }
  benchFail("no such command: %s", line);
}

int main(int argc, char **argv) {
  char line[256];
  int lmdb = argc == 3 && strcmp(argv[1], "lmdb") == 0;
  if (argc != 3 || (!lmdb && strcmp(argv[1], "mmapsync") != 0)) {
    benchFail("usage: peerbench mmapsync|lmdb FOLDER");
  }
  if (lmdb && !lmdbBuilt()) benchFail("built without LMDB: liblmdb-dev is missing");
  folder = argv[2];
  while (fgets(line, sizeof(line), stdin)) {
    line[strcspn(line, "\n")] = 0;
    obey(line, lmdb);
  }
  for (int i = 0; i < nchannel; i++) {
    mmapsync_close(channels[i].writer);
    mmapsync_close(channels[i].reader[0]);
    mmapsync_close(channels[i].reader[1]);
    free(channels[i].data);
  }
  if (lmdb) lmdbClose();
  return 0;
}
