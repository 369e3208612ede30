#define _GNU_SOURCE
/*
** progress.c - how far a publish is: told by its writer in P_writer, looked at by anybody.
**
** The writer stores plain numbers as it goes, a few times a second at most, and they mean nothing to the
** protocol: they are for people who ask why there is no new snapshot yet.  So all accesses here are relaxed,
** but for the table's name, which takes several words: `turn` is odd while it changes, and a reader that finds
** it odd, or changed meanwhile, looks again.
**
** ALIVE.  Numbers stay when their writer dies.  So a publish that takes long holds a lock on a byte of P_writer
** (PAGE_PUBLISHING) while it lasts, and what stands in the page counts only while somebody holds it: the
** kernel drops it when the writer ends, however it ends.  It costs two system calls.  Small publishes, which
** are over before anybody could look, do without: those of less than PROGRESS_LEAST bytes, unless they have
** to sleep for a reader.
**
** One mark serves the next writer too: `started_ns`, which is set before a publish leaves anything that would
** have to be tidied up after its death (drainOpen() in drain.c), and taken back at its end.
*/
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "handle.h"
#include "sys.h"

#define NAME_ROUNDS 4

/* ---- the writer ----------------------------------------------------------------------------------- */

static void progressName(PageShared *page, const char *name) {
  uint64_t word[PAGE_NAME_MAX / 8] = {0};
  size_t i, n = strlen(name);
  uint32_t turn = atomic_load_explicit(&page->turn, memory_order_relaxed) | 1;

  if (n >= PAGE_NAME_MAX) { /* cut between characters */
    n = PAGE_NAME_MAX - 1;
    while (n > 0 && ((uint8_t)name[n] & 0xc0) == 0x80) n--;
  }
  memcpy(word, name, n);
  atomic_store_explicit(&page->turn, turn, memory_order_relaxed);
  /* release: the odd turn comes before the words; pairs with the acquire in progressRead() */
  atomic_thread_fence(memory_order_release);
  for (i = 0; i < PAGE_NAME_MAX / 8; i++) {
    atomic_store_explicit(&page->table[i], word[i], memory_order_relaxed);
  }
  /* release: the words come before; pairs with the first load in progressRead() */
  atomic_store_explicit(&page->turn, turn + 1, memory_order_release);
}

void progressTell(mmapsync *h, uint32_t phase) {
  HandleWriter *w = &h->writer;
  PageShared *page = w->drain.page.shared;
  if (!w->told) {
    atomic_store_explicit(&page->done, 0, memory_order_relaxed);
    atomic_store_explicit(&page->rows, 0, memory_order_relaxed);
    if (atomic_load_explicit(&page->table[0], memory_order_relaxed) != 0) progressName(page, "");
    atomic_store_explicit(&page->started_ns, sysWallClock(), memory_order_relaxed);
    w->told = 1;
  }
  atomic_store_explicit(&page->phase, phase, memory_order_relaxed);
}

void progressShow(mmapsync *h, uint32_t phase) {
  HandleWriter *w = &h->writer;
  progressTell(h, phase);
  /* That it cannot be had is no harm: nobody is told. */
  if (!w->shown) {
    w->shown = sysBytesLock(w->drain.page.fd, F_WRLCK, PAGE_PUBLISHING, 1) == 0;
  }
}

void progressTable(mmapsync *h, const char *name) {
  PageShared *page = h->writer.drain.page.shared;
  atomic_store_explicit(&page->rows, 0, memory_order_relaxed);
  progressName(page, name);
}

void progressDone(mmapsync *h, uint64_t rows, uint64_t bytes) {
  PageShared *page = h->writer.drain.page.shared;
  atomic_store_explicit(&page->rows, rows, memory_order_relaxed);
  atomic_store_explicit(&page->done, bytes, memory_order_relaxed);
}

void progressEnd(mmapsync *h, int swept) {
  HandleWriter *w = &h->writer;
  PageShared *page = w->drain.page.shared;
  if (w->told) {
    atomic_store_explicit(&page->phase, MMAPSYNC_PHASE_IDLE, memory_order_relaxed);
    if (swept) atomic_store_explicit(&page->started_ns, 0, memory_order_relaxed);
  }
  if (w->shown) (void)sysBytesLock(w->drain.page.fd, F_UNLCK, PAGE_PUBLISHING, 1);
  w->told = w->shown = 0;
}

/* ---- who asks --------------------------------------------------------------------------------------- */

/* The page as it is now, read and not mapped; NOTFOUND if it was cut off since. */
static int progressPage(mmapsync *h, int fd, PageShared *out) {
  ssize_t got = sysReadAt(fd, out, sizeof(*out), 0);
  if (got < 0) return handleSystem(h, h->writer_name, "read", errno);
  return got == (ssize_t)sizeof(*out) ? MMAPSYNC_OK : MMAPSYNC_NOTFOUND;
}

/* What the page says; the table's name is "" if it changes all the while. */
static int progressRead(mmapsync *h, int fd, PageShared *out, char name[PAGE_NAME_MAX]) {
  PageShared after;
  uint32_t turn;
  int round, rc;
  name[0] = 0;
  for (round = 0; round < NAME_ROUNDS; round++) {
    rc = progressPage(h, fd, out);
    /* The kernel copies upwards: `turn` before the name.  acquire: pairs with the stores in progressName() */
    atomic_thread_fence(memory_order_acquire);
    if (rc == MMAPSYNC_OK) rc = progressPage(h, fd, &after);
    if (rc != MMAPSYNC_OK) return rc;
    turn = atomic_load_explicit(&out->turn, memory_order_relaxed);
    if (turn == atomic_load_explicit(&after.turn, memory_order_relaxed) && !(turn & 1)) {
      memcpy(name, (const void *)out->table, PAGE_NAME_MAX);
      name[PAGE_NAME_MAX - 1] = 0;
      break;
    }
  }
  return MMAPSYNC_OK;
}

int mmapsync_publishing(mmapsync *h, mmapsync_progress *out) {
  PageShared page;
  const PageShared *p = &page;
  int fd = -1, held, rc = pageLook(h, &fd, &page);

  _Static_assert(sizeof(out->table) == PAGE_NAME_MAX, "the name fits");
  memset(out, 0, sizeof(*out));
  if (rc == MMAPSYNC_NOTFOUND) return MMAPSYNC_OK; /* a channel of the crate, or none */
  if (rc != MMAPSYNC_OK) return rc;
  held = sysBytesHeld(fd, PAGE_PUBLISHING, 1);
  if (held < 0) rc = handleSystem(h, h->writer_name, "look for a lock", errno);
  if (held > 0) rc = progressRead(h, fd, &page, out->table);
  if (rc == MMAPSYNC_NOTFOUND) {
    rc = MMAPSYNC_OK;
  } else if (held > 0 && rc == MMAPSYNC_OK) {
    out->phase = (int)atomic_load_explicit(&p->phase, memory_order_relaxed);
    out->pid = atomic_load_explicit(&p->pid, memory_order_relaxed);
    out->started_ns = atomic_load_explicit(&p->started_ns, memory_order_relaxed);
    out->rows = atomic_load_explicit(&p->rows, memory_order_relaxed);
    out->bytes = atomic_load_explicit(&p->done, memory_order_relaxed);
    if (out->phase < MMAPSYNC_PHASE_IDLE || out->phase > MMAPSYNC_PHASE_HASHING) {
      out->phase = MMAPSYNC_PHASE_WRITING; /* of a newer build */
    }
  }
  sysClose(fd);
  return rc;
}
