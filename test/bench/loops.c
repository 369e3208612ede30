/*
** loops.c - what is done to a channel over and over.  See loops.h.
*/
#define _GNU_SOURCE
#include "loops.h"
#include "bench.h"

#include <string.h>

/* Where a value goes that must be computed although no one looks at it. */
static volatile uint64_t sink;

void loopCheck(mmapsync *h, int rc, const char *what) {
  if (rc != MMAPSYNC_OK) benchFail("%s: %s", what, h ? mmapsync_errmsg(h) : mmapsync_errstr(rc));
}

mmapsync *loopOpen(const char *channel, const mmapsync_options *opt) {
  mmapsync *h = NULL;
  int rc = mmapsync_open(channel, opt, &h);
  loopCheck(h, rc, "open");
  return h;
}

void loopReads(mmapsync *h, uint64_t n, unsigned char first) {
  uint64_t sum = 0;
  for (uint64_t i = 0; i < n; i++) {
    mmapsync_view view;
    int rc = mmapsync_read(h, &view);
    if (rc != MMAPSYNC_OK) loopCheck(h, rc, "read");
    sum += *(const unsigned char *)view.data;
    mmapsync_release(h, &view);
  }
  if (sum != n * first) benchFail("read: wrong bytes");
  sink = sum;
}

void loopEnters(mmapsync *h, uint64_t n, unsigned char first) {
  uint64_t sum = 0;
  for (uint64_t i = 0; i < n; i++) {
    const mmapsync_view *view;
    int rc = mmapsync_enter(h, &view);
    if (rc != MMAPSYNC_OK) loopCheck(h, rc, "enter");
    sum += *(const unsigned char *)view->data;
    mmapsync_leave(h);
  }
  if (sum != n * first) benchFail("enter: wrong bytes");
  sink = sum;
}

void loopFill(char *data, size_t size) {
  uint64_t seed = size;
  for (size_t i = 0; i + sizeof(uint64_t) <= size; i += sizeof(uint64_t)) {
    uint64_t x = benchRandom(&seed);
    memcpy(data + i, &x, sizeof(x));
  }
}

void loopStamp(char *data, uint64_t n) { memcpy(data, &n, sizeof(n)); }

void loopWrites(mmapsync *h, char *data, size_t size, uint64_t n, uint64_t *serial) {
  for (uint64_t i = 0; i < n; i++) {
    loopStamp(data, ++*serial);
    int rc = mmapsync_write(h, data, size, NULL);
    if (rc != MMAPSYNC_OK) loopCheck(h, rc, "write");
  }
}

void loopBuilds(mmapsync *h, const char *data, size_t size, uint64_t n, uint64_t *serial) {
  for (uint64_t i = 0; i < n; i++) {
    void *to;
    int rc = mmapsync_write_begin(h, size, &to);
    if (rc != MMAPSYNC_OK) loopCheck(h, rc, "write");
    loopStamp(to, ++*serial);
    memcpy((char *)to + sizeof(*serial), data + sizeof(*serial), size - sizeof(*serial));
    rc = mmapsync_write_commit(h, size, MMAPSYNC_KIND_RAW, NULL);
    if (rc != MMAPSYNC_OK) loopCheck(h, rc, "write");
  }
}

void loopExpect(mmapsync *h, const char *data, size_t size) {
  mmapsync_view view;
  loopCheck(h, mmapsync_read(h, &view), "read");
  if (view.size != size || memcmp(view.data, data, size) != 0) benchFail("write: wrong bytes");
  mmapsync_release(h, &view);
}
