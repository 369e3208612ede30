#define _GNU_SOURCE
/*
** gatewalk_check.c - the short way into a read, among whatever else may be done with a handle, in any order.
**
** A handle is led through calls that are drawn at random: reads and entries, ended in any order, options, publishes by
** itself and by another, channels that are removed and made anew, and children that go on with their copy and whose
** children do.  After each step every view must be whole, and what the handle says and counts must be what the views
** that are held take:
**
**     the slot's word has the bit of each view that needs it, and no other; before and after fork()
**     h->views are the views, but for one that is out by the gate; the gate is open only if there is none
*/
#include "check_peer.h"
#include "check_random.h"
#include "pins.h"

#include "handle.h"
#include "sys.h"

#define WALK_VIEWS 4
#define WALK_DEPTH 3 /* of entries, and of children */
#define WALK_GENS  4096
#define WALK_WORDS 3000 /* of a payload, at most */

/* What all processes of a walk know. */
typedef struct World {
  uint64_t number;            /* of the payload published last */
  uint64_t newest[WALK_GENS]; /* the same, of each channel that was made under the name */
  uint32_t gen;               /* the channel that is there now */
  uint64_t shortWays;
} World;

typedef struct Held {
  mmapsync_view view;
  uint64_t number;
  int inherited; /* by a child */
} Held;

typedef struct Walk {
  mmapsync *h, *w;
  Held held[WALK_VIEWS];
  int n;
  const mmapsync_view *entered;
  uint64_t enteredNumber;
  int enteredInherited;
  int depth;    /* of entries */
  uint32_t gen; /* the oldest channel that h may still have open */
  int children; /* how deep this process is */
  int grows;
} Walk;

static World *world;

/* What a read gave is the newest of a channel that the handle may have open. */
static uint64_t walkFound(Walk *k, const mmapsync_view *view) {
  uint64_t number = payloadNumber(view->data, view->size);
  uint32_t g;
  for (g = k->gen; g <= world->gen && world->newest[g] != number; g++) {
  }
  if (g > world->gen) {
    checkFail(__LINE__, "expected %llu, found %llu", (unsigned long long)world->newest[world->gen],
              (unsigned long long)number);
  }
  k->gen = g;
  return number;
}

static void walkPublish(Walk *k, mmapsync *h) {
  static uint64_t word[WALK_WORDS];
  size_t words = k->grows ? 10 + below(WALK_WORDS - 10) : 100;
  payloadFill(word, ++world->number, words);
  OK(h, mmapsync_write(h, word, words * sizeof(*word), NULL));
  world->newest[world->gen] = world->number;
  if (h == k->h) k->gen = world->gen;
}

/* ---- what must be so after each step ------------------------------------------------------------ */

static void walkNeeds(const Walk *k, const mmapsync_view *view, uint64_t number, int inherited,
                      uint64_t *mask) {
  const DataMap *map = view->map;
  WHOLE(view, number);
  CHECK(map);
  if (view->pin != MMAPSYNC_PIN_SLOT || inherited || map->orphan) return;
  CHECK(!pinsForked(map->state));
  CHECK(map->state->pins->slot->word >> map->index & 1);
  if (map->state == k->h->state) *mask |= UINT64_C(1) << map->index;
}

static void walkCheck(const Walk *k) {
  const mmapsync *h = k->h;
  const struct mmapsync_gate *g = h->head.gate;
  uint64_t mask = 0;
  int i;
  for (i = 0; i < k->n; i++) {
    walkNeeds(k, &k->held[i].view, k->held[i].number, k->held[i].inherited, &mask);
  }
  if (k->depth) walkNeeds(k, k->entered, k->enteredNumber, k->enteredInherited, &mask);
  if (h->state && !pinsForked(h->state) && h->state->pins->slot) {
    uint64_t word = h->state->pins->slot->word & SLOT_MASK;
    if (k->grows ? (k->n + k->depth == 0 && word != 0) : word != mask) {
      checkFail(__LINE__, "expected pins %d, found %d", (int)mask, (int)word);
    }
  }
  CHECK(h->views + (h->head.out != 0) == (uint32_t)k->n + (k->depth != 0));
  if (g->state == GATE_OPEN || g->state == GATE_CALL) CHECK(k->n + k->depth == 0);
  if (g->state == GATE_ENTERED || g->state == GATE_COPIED) CHECK(h->head.out == g->state);
  if (h->head.out != 0) world->shortWays++;
  CHECK(h->head.out == 0 || k->n + (k->depth != 0) == 1);
}

/* ---- steps -------------------------------------------------------------------------------------- */

static void walkRelease(Walk *k) {
  int i = (int)below((uint64_t)k->n);
  mmapsync_view gone;
  k->n--;
  gone = k->held[i].view;
  k->held[i] = k->held[k->n];
  mmapsync_release(k->h, &gone);
  CHECK(gone.map == NULL);
}

static void walkEnter(Walk *k) {
  const mmapsync_view *view;
  OK(k->h, mmapsync_enter(k->h, &view));
  if (k->depth++ == 0) {
    k->entered = view;
    k->enteredInherited = 0;
    k->enteredNumber = walkFound(k, view);
  }
  CHECK(view == k->entered);
}

static void walkLeave(Walk *k) {
  mmapsync_leave(k->h);
  if (k->depth > 0) k->depth--;
}

static void walkOption(Walk *k) {
  mmapsync_options opt = *mmapsync_options_of(k->h);
  switch (below(4)) {
  case 0: opt.stamp = !opt.stamp; break;
  case 1: opt.verify = (int)below(3); break;
  case 2: opt.trust = below(8) == 0 ? MMAPSYNC_TRUST_COPY : MMAPSYNC_TRUST_MAP; break;
  default: /* not by counter: such a view may be lost */
    opt.pins = below(4) == 0 ? MMAPSYNC_PIN_LOCK : (int)below(2);
    break;
  }
  OK(k->h, mmapsync_configure(k->h, &opt));
}

/* Somebody removes all files, and the other handle makes the channel anew; or h itself does. */
static void walkRemove(Walk *k) {
  if (world->gen + 1 == WALK_GENS) return;
  filesRemove();
  world->gen++;
  walkPublish(k, below(2) ? k->h : k->w);
}

static void walkOther(Walk *k) {
  uint64_t number, version;
  size_t n;
  void *data;
  switch (below(7)) {
  case 0: OK(k->h, mmapsync_sequence(k->h, &number)); break;
  case 1: OK(k->h, mmapsync_wait(k->h, 0, 0, &number)); break;
  case 2: OK(k->h, mmapsync_verify(k->h)); break;
  case 3: OK(k->h, mmapsync_version(k->h, &version)); break;
  case 4: OK(k->h, mmapsync_readers(k->h, NULL, 0, &n)); break;
  case 5:
    OK(k->h, mmapsync_write_begin(k->h, 100, &data));
    mmapsync_write_abort(k->h);
    k->gen = world->gen;
    break;
  default:
    if (k->depth) OK(k->h, mmapsync_verify_view(k->h, k->entered));
    break;
  }
}

static void walkEnd(Walk *k) {
  while (k->n + k->depth > 0) {
    if (k->n > 0 && (k->depth == 0 || below(2))) {
      walkRelease(k);
    } else {
      walkLeave(k);
    }
    walkCheck(k);
  }
  mmapsync_close(k->h);
  mmapsync_close(k->w);
}

static void walkSteps(Walk *k, int steps);

static void walkFork(const Walk *parent) {
  int status, i;
  pid_t pid;
  if (parent->children == WALK_DEPTH) return;
  fflush(stdout);
  pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    Walk k = *parent;
    k.children++;
    k.enteredInherited = 1;
    for (i = 0; i < k.n; i++) k.held[i].inherited = 1;
    randomState += (uint64_t)k.children * 77777;
    walkCheck(&k);
    walkSteps(&k, (int)below(30));
    if (below(2)) walkEnd(&k);
    _exit(0);
  }
  CHECK(waitpid(pid, &status, 0) == pid);
  if (status != 0) checkFail(__LINE__, "a child ended with status %x", (unsigned)status);
}

static void walkSteps(Walk *k, int steps) {
  while (steps-- > 0) {
    /* Mostly one view after the other: else the gate is never open. */
    int most = below(8) ? 1 : WALK_VIEWS;
    uint64_t step = below(100);
    if (step < 25 && k->n + k->depth < most && k->n < WALK_VIEWS) {
      Held *to = &k->held[k->n];
      OK(k->h, mmapsync_read(k->h, &to->view));
      to->number = walkFound(k, &to->view);
      to->inherited = 0;
      k->n++;
    } else if (step < 45 && k->n > 0) {
      walkRelease(k);
    } else if (step < 65 && k->n + k->depth < most && k->depth < WALK_DEPTH) {
      walkEnter(k);
    } else if (step < 82) {
      walkLeave(k); /* of nothing, too */
    } else if (step < 88) {
      walkPublish(k, below(4) ? k->w : k->h);
    } else if (step < 92) {
      walkOther(k);
    } else if (step < 96) {
      walkOption(k);
    } else if (step < 97) {
      walkRemove(k);
    } else if (step < 99) {
      walkFork(k);
    }
    walkCheck(k);
  }
}

static int walkNoWipe(void *p, size_t n, int advice) {
  (void)p;
  (void)n;
  (void)advice;
  errno = EINVAL;
  return -1;
}

/* Some emulators take any advice, and do nothing. */
static int walkTakesAny(void *p, size_t n, int advice) {
  (void)p;
  (void)n;
  (void)advice;
  return 0;
}

static void walkFrom(uint64_t seed, int grows) {
  Walk k = {.grows = grows};
  filesRemove();
  memset(world, 0, sizeof(*world));
  randomState = UINT64_C(0x2545f4914f6cdd1d) ^ seed * UINT64_C(0x9e3779b97f4a7c15);
  snprintf(checkAbout, sizeof(checkAbout), "walk %llu", (unsigned long long)seed);
  k.w = openWriter(0);
  k.h = openWith(0, MMAPSYNC_PIN_SLOT, MMAPSYNC_LOCK_WRITE);
  walkPublish(&k, k.w);
  walkSteps(&k, 400);
  walkEnd(&k);
}

/* So many walks, or as many as the environment's WALKS says; how many steps had a view out by the gate. */
static uint64_t walks(uint64_t from, int grows) {
  const char *more = getenv("WALKS");
  uint64_t i, n = more ? strtoull(more, NULL, 10) : 20, ways = 0;
  if (more) alarm(0);
  world = mmap(NULL, sizeof(*world), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(world != MAP_FAILED);
  for (i = 0; i < n; i++) {
    walkFrom(from + i, grows);
    ways += world->shortWays;
  }
  return ways;
}

static void caseWalk(void) { CHECK(walks(1, 0) > 1000); }
static void caseGrows(void) { CHECK(walks(1000000, 1) > 1000); }

/* Where the kernel does not wipe in a child, the gate is never open. */
static void caseNoWipe(void) {
  CHECK(sysSet("madvise", (SysFunction)walkNoWipe) == 0);
  CHECK(walks(2000000, 0) == 0);
}
static void caseTakesAny(void) {
  CHECK(sysSet("madvise", (SysFunction)walkTakesAny) == 0);
  CHECK(walks(3000000, 0) == 0);
}

static const CheckCase cases[] = {
    {"walk", caseWalk},          {"grows", caseGrows}, {"no-wipe", caseNoWipe},
    {"takes-any", caseTakesAny}, {NULL, NULL},
};

int main(int argc, char **argv) { return checkMain(argc, argv, cases); }
