#define _GNU_SOURCE
/*
** gate.c - the short way into a read: preparing, opening and shutting it, and what is not in line.  See gate.h.
*/
#include "gate.h"

#include <assert.h>
#include <stddef.h>

#include "handle.h"
#include "version.h"

_Static_assert(offsetof(struct mmapsync, head) == 0,
               "mmapsync_enter() finds the head by the handle");
_Static_assert(GATE_SHUT == 0 && GATE_OPEN == 1 && GATE_ENTERED == 3, "mmapsync.h has the numbers");

struct mmapsync_gate gateNone;

/* ---- preparing and opening -------------------------------------------------------------------- */

void gatePrepare(mmapsync *h, const mmapsync_view *view) {
  if (view->pin != MMAPSYNC_PIN_SLOT || !h->about.valid || h->views != 1) return;
  assert(h->about.version == view->version && h->maps[view->map->index] == view->map);
  h->head.view = *view;
  h->head.view.switched = 0;
  h->prepared = 1;
}

/* What mmapsync.h looks at is declared there without the atomic types of C11, for compilers of C++. */
static const uint64_t *gatePlace(const _Atomic uint64_t *p) {
  return (const uint64_t *)(const void *)p;
}

void gateOpen(mmapsync *h) {
  const mmapsync_view *view = &h->head.view;
  const DataMap *map = view->map;
  State *s = h->state;
  Pins *p;
  struct mmapsync_gate *g;

  if (!h->prepared || h->views != 0) return;
  /* Where the kernel does not wipe, kind is 0. */
  p = s->pins;
  if (p->kind != MMAPSYNC_PIN_SLOT) return;
  assert(h->maps[map->index] == map && map->state == s && (p->word & SLOT_MASK) == 0);
  g = &p->gate;
  g->version = gatePlace(&s->shared->version);
  g->word = (uint64_t *)(void *)&p->slot->word;
  g->out = p->word;
  g->in = p->word | UINT64_C(1) << map->index;
  g->replaced = (const uint32_t *)(const void *)&s->page.shared->replaced[map->index];
  /* What the claim says is compared: a note that readPin() took for this mapping, or an older one. */
  g->noted = p->said[map->index];
  g->sequence = gatePlace(&dataTrailer(map, view->size)->word[TRAILER_SEQUENCE_WORD]);
#ifdef MMAPSYNC_DEBUG
  g->idle = GATE_CALL;
#else
  g->idle = h->opt.stamp ? GATE_CALL : GATE_OPEN;
#endif
  g->state = g->idle;
  h->head.gate = g;
}

void gateShut(mmapsync *h) {
  struct mmapsync_gate *g = h->head.gate;
  DataMap *map = h->head.view.map;

  if (g->state != GATE_SHUT) g->state = GATE_SHUT; /* gateNone is not written to */
  if (h->head.out == 0) return;
  if (h->head.out == GATE_ENTERED) {
    h->entry = h->head.view; /* which stays as it is: nothing is prepared while a view is counted */
    h->entered = &h->head.view;
    h->entries = 1;
  }
  h->head.out = 0;
  h->views++;
  map->refs++;
  map->held++;
  /* In a child that is the parent's no longer, and nothing to it. */
  map->state->pins->held[map->index]++;
  map->state->pins->word |= UINT64_C(1) << map->index;
}

/* ---- public ----------------------------------------------------------------------------------- */

int mmapsync_read(mmapsync *h, mmapsync_view *view) {
  struct mmapsync_gate *g = h->head.gate;
  int rc = MMAPSYNC_OK;
  handleBegin(h, "mmapsync_read");
  if ((g->state == GATE_OPEN || g->state == GATE_CALL) && mmapsync_gate_enter(&h->head)) {
    if (h->opt.stamp) slotStamp(h->state->pins);
    g->state = h->head.out = GATE_COPIED;
    *view = h->head.view;
  } else {
    rc = readFirst(h, view);
  }
  handleEnd(h);
  return rc;
}

void mmapsync_release(mmapsync *h, mmapsync_view *view) {
  struct mmapsync_gate *g = h->head.gate;
  if (!view->map) return;
  handleBegin(h, "mmapsync_release");
  if (g->state == GATE_COPIED) {
    view->map = NULL;
    g->state = g->idle;
    h->head.out = 0;
    /* R6; as in slotLeave() */
    __atomic_store_n(g->word, g->out, __ATOMIC_RELEASE);
  } else {
    readRelease(h, view);
  }
  handleEnd(h);
}

int mmapsync_enter_slow(mmapsync *h, const mmapsync_view **view) {
  int rc = MMAPSYNC_OK;
  handleBegin(h, "mmapsync_enter");
  if (h->head.out == GATE_ENTERED) gateShut(h);
  if (h->entries == 0) {
    rc = mmapsync_read(h, &h->entry);
    h->entered = &h->entry;
  }
  if (rc == MMAPSYNC_OK) {
    h->entries++;
    *view = h->entered;
  }
  handleEnd(h);
  return rc;
}

void mmapsync_leave_slow(mmapsync *h) {
  handleBegin(h, "mmapsync_leave");
  if (h->head.out == GATE_ENTERED) gateShut(h); /* in a child */
  if (h->entries > 0 && --h->entries == 0) mmapsync_release(h, &h->entry);
  handleEnd(h);
}
