#define _GNU_SOURCE
/*
** wait.c - mmapsync_wait(): sleeping until a newer snapshot is in force.
**
** A waiter sleeps on the low half of the version word, which every switch changes, because the bit of the
** data file is in it (futex).  Before that it sets P_readers' `waiting` to 1.  The writer sets it to 0 before its
** switch, looks at it once more after it, and wakes all if it was 1 either time; each that has not got what it
** waits for sets it again.  When nobody waits the writer makes no system call.  A waiter that dies has cost one
** wake too many.
**
** The store of `waiting` and the kernel's look at the word, in the waiter, against the switch and the second look
** at `waiting`, in the writer, are Dekker's pattern: a publish is either seen before the sleep or ends it.  A 1
** that was stored by who waits for the switch after this one must not be taken away with this one's; it was
** stored after this switch was seen, and so after the writer set it to 0.
**
** Who may not write P_readers, or waits for a writer of another kind, or for a channel that is not there yet,
** is woken by nobody: it sleeps in short slices and looks again.  So does everybody every WAIT_SLICE, to ask
** options.progress, because channels are removed and made anew, and because a word may come back: two publishes
** between the look and the sleep can bring the word that was looked at, if the bytes are the same again.
*/
#include <errno.h>
#include <linux/futex.h>

#include "handle.h"
#include "sys.h"
#include "version.h"

/* The longest sleep, in ns; and the longest of one whom no writer wakes. */
#define WAIT_SLICE   UINT64_C(50000000)
#define WAIT_UNHEARD UINT64_C(2000000)

/* Looks once: OK if there is a newer snapshot, or TIMEOUT.  *word is the version word that was looked at, 0
** if there is none. */
static int waitLook(mmapsync *h, uint64_t sequence, uint64_t *newer, uint64_t *word) {
  uint64_t found = 0, at = 0;
  int rc = readLook(h, &at, &found);

  *word = 0;
  if (rc == MMAPSYNC_EMPTY) return MMAPSYNC_TIMEOUT;
  if (rc != MMAPSYNC_OK) return rc;
  *word = at;
  if (found == 0 ? at == h->waited_version : found <= sequence) return MMAPSYNC_TIMEOUT;
  h->waited_version = at;
  *newer = found;
  return MMAPSYNC_OK;
}

/* Sleeps for at most ns, or until `word` is no longer the version word. */
static void waitSleep(mmapsync *h, uint64_t word, uint64_t ns) {
  State *s = h->state;
  int apart = h->opt.trust == MMAPSYNC_TRUST_COPY; /* nothing is looked at that is mapped */
  int heard = s && !apart && s->pins->slot && h->about.valid;

  if (!heard && ns > WAIT_UNHEARD) ns = WAIT_UNHEARD;
  if (!s || apart || word == 0) {
    sysSleep(ns);
    return;
  }
  if (heard) {
    /* sequentially consistent: pairs with the look in drainWake() */
    atomic_store_explicit(&s->slots.shared->waiting, 1, memory_order_seq_cst);
  }
  if (sysFutex(stateLow(s->shared), FUTEX_WAIT, (uint32_t)word, ns) == 0) return;
  /* Some kernels, and guards before them, have no futexes. */
  if (errno != EAGAIN && errno != EINTR && errno != ETIMEDOUT) {
    sysSleep(ns < WAIT_UNHEARD ? ns : WAIT_UNHEARD);
  }
}

int mmapsync_wait(mmapsync *h, uint64_t sequence, uint32_t timeout_ms, uint64_t *newer) {
  uint64_t start = sysSteadyClock(), limit = (uint64_t)timeout_ms * NS_PER_MS;
  uint64_t spent = 0, left, word;
  int rc;

  for (;;) {
    rc = waitLook(h, sequence, newer, &word);
    if (rc != MMAPSYNC_TIMEOUT) return rc;
    rc = handleProgress(h);
    if (rc != MMAPSYNC_OK) return rc;
    left = WAIT_SLICE;
    if (timeout_ms != UINT32_MAX) {
      spent = sysSteadyClock() - start;
      if (spent >= limit) {
        return handleError(h, MMAPSYNC_TIMEOUT, "\"%s\": nothing newer within %u ms", h->path,
                           timeout_ms);
      }
      if (limit - spent < left) left = limit - spent;
    }
    waitSleep(h, word, left);
    if (h->state && h->opt.trust == MMAPSYNC_TRUST_MAP && !h->writer.open && !stateIsCurrent(h)) {
      handleDetach(h);
    }
  }
}
