#define _GNU_SOURCE
/*
** readers.c - mmapsync_readers(): who reads a channel, for people.
**
** Slots tell all about their owners.  Of locks the kernel tells only that there is one, and on which byte;
** of counters there is only the number.  P_readers and P_writer are read and not mapped, so whatever happens to
** them meanwhile is no harm (slots.h, APART).  The look disturbs nobody and holds nothing still: a pin may end, and
** another begin, between two lines.
*/
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "handle.h"
#include "sys.h"

typedef struct Readers {
  mmapsync_reader *out;
  size_t n;     /* room */
  size_t count; /* readers */
} Readers;

static void readersAdd(Readers *r, const mmapsync_reader *one) {
  if (r->count < r->n) r->out[r->count] = *one;
  r->count++;
}

void readersSlot(const Slot *slot, uint32_t number, uint64_t word, mmapsync_reader *out) {
  uint64_t name[SLOT_NAME_MAX / 8];
  size_t i;

  _Static_assert(sizeof(out->program) == SLOT_NAME_MAX, "the name fits");
  memset(out, 0, sizeof(*out));
  out->kind = MMAPSYNC_PIN_SLOT;
  out->alive = 1;
  out->slot = number;
  out->pins[0] = (uint32_t)(word & 1);
  out->pins[1] = (uint32_t)(word >> 1 & 1);
  /* relaxed, all: for people */
  out->pid = atomic_load_explicit(&slot->pid, memory_order_relaxed);
  out->attached_ns = atomic_load_explicit(&slot->attached_ns, memory_order_relaxed);
  if (word & SLOT_MASK) {
    out->pinned_ns = atomic_load_explicit(&slot->pinned_ns, memory_order_relaxed);
  }
  for (i = 0; i < SLOT_NAME_MAX / 8; i++) {
    name[i] = atomic_load_explicit(&slot->program[i], memory_order_relaxed);
  }
  memcpy(out->program, name, sizeof(out->program));
  out->program[sizeof(out->program) - 1] = 0;
}

static int readersSlots(mmapsync *h, Readers *r) {
  Slots slots = {.fd = -1};
  uint32_t k, used;
  /* An open file of its own: this handle's own slot has a living owner, too. */
  int rc = slotsOpen(h, &slots, 0);
  if (rc == MMAPSYNC_NOTFOUND) return MMAPSYNC_OK; /* a channel of the crate */
  if (rc != MMAPSYNC_OK) return rc;
  rc = slotsUsed(h, &slots, &used);
  for (k = 0; rc == MMAPSYNC_OK && k < used; k++) {
    const Slot *slot;
    uint64_t word;
    mmapsync_reader one;
    int alive;
    rc = slotsAt(h, &slots, k, 0, &slot);
    if (rc != MMAPSYNC_OK) break;
    word = atomic_load_explicit(&slot->word, memory_order_relaxed);
    readersSlot(slot, k, word, &one);
    if (one.pid == 0 && one.pins[0] + one.pins[1] == 0) continue;
    alive = slotsAlive(&slots, k);
    if (alive < 0) rc = handleSystem(h, h->readers_name, "look for a lock", errno);
    one.alive = alive;
    if (rc == MMAPSYNC_OK) readersAdd(r, &one);
  }
  slotsClose(&slots);
  return rc;
}

static int readersLocks(mmapsync *h, Readers *r) {
  PageShared page;
  int fd = -1;
  int rc = pageLook(h, &fd, &page);
  unsigned i;
  if (rc == MMAPSYNC_NOTFOUND) return MMAPSYNC_OK;
  for (i = 0; rc == MMAPSYNC_OK && i < 2; i++) {
    mmapsync_reader one = {.kind = MMAPSYNC_PIN_LOCK, .alive = 1};
    int held = sysBytesHeld(fd, PAGE_PIN_FILE(i), (off_t)1 << 32);
    if (held < 0) rc = handleSystem(h, h->writer_name, "look for a lock", errno);
    if (held <= 0) continue;
    one.pins[i] = 1;
    readersAdd(r, &one);
  }
  if (fd >= 0) sysClose(fd);
  return rc;
}

static void readersCounters(const uint32_t counters[2], Readers *r) {
  mmapsync_reader one = {.kind = MMAPSYNC_PIN_COUNTER, .alive = 1};
  int i;
  for (i = 0; i < 2; i++) {
    one.pins[i] = counters[i];
  }
  if (one.pins[0] != 0 || one.pins[1] != 0) readersAdd(r, &one);
}

int mmapsync_readers(mmapsync *h, mmapsync_reader *out, size_t n, size_t *count) {
  Readers r = {.out = out, .n = n};
  uint32_t counters[2];
  int rc = mmapsync_counters(h, counters);
  *count = 0;
  if (rc == MMAPSYNC_OK) rc = readersSlots(h, &r);
  if (rc == MMAPSYNC_OK) rc = readersLocks(h, &r);
  if (rc != MMAPSYNC_OK) return rc;
  readersCounters(counters, &r);
  *count = r.count;
  return MMAPSYNC_OK;
}
