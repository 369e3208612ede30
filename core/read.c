/*
** read.c - the reader's half of the protocol.  R1 to R6 and P1 to P6 are those of state.h.
**
** MAPPING.  A read that finds its file mapped, and long enough, makes no system call.  Otherwise the
** claim is given back, the file is mapped, and the read enters again from the top: the rule is that a
** pin protects only mappings made before the claim.  Nothing replaces a data file by another while
** readers are counted in (they could not be told), so a mapping made under the claim would be of the
** right bytes too; the rule is kept all the same where it is cheap, because it bounds how long a claim
** is held, and a publish waits for claims and not for mmap().  A writer that publishes ever larger
** payloads, each just when the last was mapped, could so keep a reader from entering for as long as it
** likes.  After READ_ROUNDS tries the reader therefore keeps its claim and maps under it: the file it
** holds cannot grow, shrink or change while it is held, so that mapping fits.
**
** TRUST.  A mapping serves a version word if it shows that word's trailer.  If it does not, the payload
** is either another writer's, which has none, or the mapping is not of the file at the path (somebody
** removed that file, and a writer made it anew).  So a word whose trailer is not found sends the reader
** to dataMap() once, which looks.
*/
#include <assert.h>
#include <string.h>

#include "handle.h"
#include "version.h"

/* Tries to enter with the file mapped beforehand. */
#define READ_ROUNDS   3

/* Tries to subtract one reader only from what is not 0, before it is subtracted at once. */
#define LEAVE_ROUNDS  4

/* A counter from here up was taken below 0, by a reader that does not look; what it is set to then. */
#define COUNT_BELOW_0 (UINT32_C(1) << 31)
#define COUNT_UNKNOWN (UINT32_C(1) << 30)

/* Tries to compare a payload with its hash before a newer one takes its place. */
#define VERIFY_ROUNDS 8

/* ---- claims ----------------------------------------------------------------------------------- */

/* Adds one reader to file `index`; the claim of R2 and R4. */
static void readClaim(StateShared *s, unsigned index) {
  /* sequentially consistent: pairs with the switch in writeFinish() and the load of the counter in
  ** writeWait() */
  uint32_t n = atomic_fetch_add_explicit(&s->readers[index], 1, memory_order_seq_cst);
  if (n >= COUNT_BELOW_0) {
    /* Ours may be the one that made it 0.  An exchange and not a store: that would end the chain from
    ** earlier readers' release to the writer. */
    atomic_exchange_explicit(&s->readers[index], COUNT_UNKNOWN, memory_order_seq_cst);
  }
}

/* Takes one reader away from file `index`; R6.  Not below 0: a writer may have set it to 0. */
static void readLeave(StateShared *s, unsigned index) {
  uint32_t n = atomic_load_explicit(&s->readers[index], memory_order_relaxed);
  int round;
  for (round = 0; round < LEAVE_ROUNDS; round++) {
    if (n == 0) return;
    /* release: pairs with the load of the counter in writeWait(), so that our reads of the file end
    ** before the writer's stores to it begin */
    if (atomic_compare_exchange_weak_explicit(&s->readers[index], &n, n - 1, memory_order_release,
                                              memory_order_relaxed)) {
      return;
    }
  }
  /* Many come and go: no more tries, so that this ends.  release: as above */
  if (atomic_fetch_sub_explicit(&s->readers[index], 1, memory_order_release) == 0) {
    atomic_fetch_add_explicit(&s->readers[index], 1, memory_order_relaxed);
  }
}

/* R1 to R4.  Returns the version word of the view, whose file is claimed; or 0, with no claim. */
static uint64_t readEnter(StateShared *s) {
  /* A hint which counter to raise; what was stored with it is not looked at. */
  uint64_t v = atomic_load_explicit(&s->version, memory_order_relaxed);
  uint64_t w;

  if (v == 0) return 0;
  readClaim(s, versionIndex(v));
  /* sequentially consistent: comes after the claim, for all parties; and acquires what the switch in
  ** writeFinish() released */
  w = atomic_load_explicit(&s->version, memory_order_seq_cst);
  if (versionIndex(w) == versionIndex(v) && w != 0) return w;

  readClaim(s, 1 - versionIndex(v));
  w = atomic_load_explicit(&s->version, memory_order_seq_cst);
  readLeave(s, 1 - versionIndex(w));
  if (w == 0) readLeave(s, 0); /* somebody reset the channel */
  return w;
}

/*
** Whether the claim of a view was voided: the grace time of a write ended, and the file was
** overwritten or is being overwritten.  Told as state.h says.
*/
static int readVoided(const DataMap *map, const mmapsync_view *view) {
  const TrailerShared *t;
  /* relaxed, all: what is looked for was stored long ago, or it is the gap that state.h admits */
  uint64_t now = atomic_load_explicit(&map->state->shared->version, memory_order_relaxed);
  if (now != view->version && versionIndex(now) == map->index) return 1;
  if (view->sequence == 0) return 0;
  t = dataTrailer(map, view->size);
  assert(t);
  return atomic_load_explicit(&t->word[TRAILER_VERSION_WORD], memory_order_relaxed) !=
             view->version ||
         atomic_load_explicit(&t->word[TRAILER_SEQUENCE_WORD], memory_order_relaxed) !=
             view->sequence;
}

/* ---- views ------------------------------------------------------------------------------------ */

/* Whether the mapping may serve `version`, whose file is claimed; if so, h->about is of it. */
static int readShows(mmapsync *h, const DataMap *map, uint64_t version) {
  HandleAbout *about = &h->about;
  size_t size = versionSize(version);
  const TrailerShared *t;
  uint64_t word;

  if (!map || size > map->length) return 0;
  t = dataTrailer(map, size);
  /* relaxed: readEnter() has acquired */
  word = t ? atomic_load_explicit(&t->word[TRAILER_SEQUENCE_WORD], memory_order_relaxed) : 0;
  if (about->version == version && about->word == word) return 1;

  about->version = 0;
  about->valid = t && trailerLoad(t, version, &about->trailer);
  if (!about->valid) {
    if (map->checked != version) return 0;
    memset(&about->trailer, 0, sizeof(about->trailer));
    about->trailer.kind = MMAPSYNC_KIND_RAW;
  }
  about->word = word;
  about->version = version;
  if (about->trailer.sequence > h->writer.last) h->writer.last = about->trailer.sequence;
  return 1;
}

static int readNothing(mmapsync *h) {
  return handleError(h, MMAPSYNC_EMPTY, "\"%s\": nothing published yet", h->path);
}

/*
** Whether the channel was removed since this handle opened its state, and perhaps made anew.  If so, the
** state is given up: what is at the path now is another channel's.  A write that is open belongs to the
** state it began under, and keeps it.
*/
static int readGone(mmapsync *h) {
  if (h->writer.open || stateIsCurrent(h)) return 0;
  handleDetach(h);
  return 1;
}

/* Pins the newest snapshot and fills in all of *view but `switched`.  Leaves h->about of it. */
static int readPin(mmapsync *h, mmapsync_view *view) {
  StateShared *s;
  DataMap *map;
  uint64_t version;
  unsigned index;
  int rc, round, shows;

  view->map = NULL;
  for (round = 0;; round++) {
    if (!h->state) {
      rc = stateOpen(h, 0);
      if (rc != MMAPSYNC_OK) return rc;
    }
    s = h->state->shared;
    version = readEnter(s);
    if (version == 0) {
      if (round < READ_ROUNDS && readGone(h)) continue;
      return readNothing(h);
    }
    index = versionIndex(version);
    map = h->maps[index];
    if (readShows(h, map, version)) break;
    if (round < READ_ROUNDS) {
      readLeave(s, index);
      rc = dataMap(h, index, version);
      /* After the file was opened: while the state is the one at its path, the file was, too. */
      if (readGone(h)) continue;
      if (rc != MMAPSYNC_OK) return rc;
      continue;
    }
    rc = dataMap(h, index, version);
    if (rc == MMAPSYNC_OK && !h->writer.open && !stateIsCurrent(h)) {
      rc = handleError(h, MMAPSYNC_IOERR, "\"%s\": removed as often as it was made", h->state_name);
    }
    if (rc != MMAPSYNC_OK) {
      readLeave(s, index);
      return rc;
    }
    map = h->maps[index];
    shows = readShows(h, map, version);
    assert(shows); /* dataMap() has mapped the payload and noted the word */
    (void)shows;
    break;
  }
  map->refs++;
  view->map = map;
  view->data = map->base;
  view->size = versionSize(version);
  view->version = version;
  view->sequence = h->about.trailer.sequence;
  view->time_ns = h->about.trailer.time_ns;
  view->hash = h->about.trailer.hash;
  view->kind = h->about.trailer.kind;
  view->pid = h->about.trailer.pid;
  view->switched = 0;
  return MMAPSYNC_OK;
}

/* The trailer of `version`, the active snapshot.  The caller holds the writer's lock, which keeps it
** active, and claims nothing.  *valid is 0 if it has none, or if its file is missing or too short:
** a channel that was damaged is mended by the next publish. */
int readActive(mmapsync *h, uint64_t version, Trailer *out, int *valid) {
  unsigned index = versionIndex(version);
  int rc;

  *valid = 0;
  /* Even if a mapping is there: its file may have been cut short. */
  rc = dataMap(h, index, version);
  if (rc == MMAPSYNC_CORRUPT || rc == MMAPSYNC_CANTOPEN) return MMAPSYNC_OK;
  if (rc != MMAPSYNC_OK || !readShows(h, h->maps[index], version)) return rc;
  *valid = h->about.valid;
  *out = h->about.trailer;
  return MMAPSYNC_OK;
}

/* When a pinned snapshot is compared with its hash. */
enum { CHECK_OPTION, CHECK_ALWAYS };

static int readWantsCheck(const mmapsync *h, const mmapsync_view *view, int check) {
  if (check == CHECK_ALWAYS) return 1;
  if (h->opt.verify == MMAPSYNC_VERIFY_NEVER) return 0;
  if (h->opt.verify == MMAPSYNC_VERIFY_ATTACH) return h->checked_version == 0;
  return view->version != h->checked_version || view->sequence != h->checked_sequence;
}

/*
** Pins the newest snapshot and compares it with its hash, if that is wanted.
**
** A comparison may outlast the grace time, and then meet bytes of a write that goes on.  So a wrong
** hash is believed when the same snapshot, by word and sequence, is found once more: had its file been
** overwritten, it could not come back.  If another is found, that one is compared.
*/
static int readChecked(mmapsync *h, int check, mmapsync_view *view) {
  uint64_t hash = 0, badVersion = 0, badSequence = 0;
  int rc, round;

  for (round = 0; round < VERIFY_ROUNDS; round++) {
    rc = readPin(h, view);
    if (rc != MMAPSYNC_OK || !readWantsCheck(h, view, check)) return rc;
    if (view->sequence != 0) {
      if (view->version == badVersion && view->sequence == badSequence) {
        rc = handleError(h, MMAPSYNC_CORRUPT,
                         "\"%s\": damaged: expected hash %016llx, found %016llx",
                         h->data_name[versionIndex(view->version)], (unsigned long long)view->hash,
                         (unsigned long long)hash);
        mmapsync_release(h, view);
        return rc;
      }
      rc = handleHash(h, NULL, view->data, view->size, &hash);
      if (rc != MMAPSYNC_OK || hash != view->hash) {
        badVersion = view->version;
        badSequence = view->sequence;
        mmapsync_release(h, view);
        if (rc != MMAPSYNC_OK) return rc;
        continue;
      }
    }
    h->checked_version = view->version;
    h->checked_sequence = view->sequence;
    return MMAPSYNC_OK;
  }
  return handleError(h, MMAPSYNC_BUSY, "\"%s\": published anew faster than it can be compared",
                     h->path);
}

/* ---- public ----------------------------------------------------------------------------------- */

int mmapsync_read(mmapsync *h, mmapsync_view *view) {
  int rc = h->opt.verify == MMAPSYNC_VERIFY_NEVER ? readPin(h, view)
                                                  : readChecked(h, CHECK_OPTION, view);
  if (rc != MMAPSYNC_OK) return rc;
  /* From `about`, which stands still, rather than from the view: a load that spans two stores just
  ** made, as compilers like to make of this, stalls for longer than all the rest takes. */
  if (h->about.version != h->last_version || h->about.trailer.sequence != h->last_sequence) {
    view->switched = 1;
    h->last_version = h->about.version;
    h->last_sequence = h->about.trailer.sequence;
  }
  return MMAPSYNC_OK;
}

void mmapsync_release(mmapsync *h, mmapsync_view *view) {
  DataMap *map = view->map;
  (void)h;
  if (!map) return;
  view->map = NULL;
  if (!readVoided(map, view)) readLeave(map->state->shared, map->index);
  dataUnref(map);
}

/* The state, opened if need be, once something was published; its version word in *version. */
static int readVersion(mmapsync *h, uint64_t *version) {
  int rc, round;
  for (round = 0;; round++) {
    if (!h->state) {
      rc = stateOpen(h, 0);
      if (rc != MMAPSYNC_OK) return rc;
    }
    /* acquire: who learns of a word here and reads then, reads no older one */
    *version = atomic_load_explicit(&h->state->shared->version, memory_order_acquire);
    if (*version != 0) return MMAPSYNC_OK;
    if (round == READ_ROUNDS || !readGone(h)) return readNothing(h);
  }
}

int mmapsync_version(mmapsync *h, uint64_t *version) {
  uint64_t word;
  int rc = readVersion(h, &word);
  if (rc == MMAPSYNC_OK) *version = word;
  return rc;
}

/* The sequence stands in the trailer, which is only held still by a pin. */
int mmapsync_sequence(mmapsync *h, uint64_t *sequence) {
  mmapsync_view view;
  int rc = readPin(h, &view);
  if (rc != MMAPSYNC_OK) return rc;
  *sequence = view.sequence;
  mmapsync_release(h, &view);
  return MMAPSYNC_OK;
}

int mmapsync_verify(mmapsync *h) {
  mmapsync_view view;
  int rc = readChecked(h, CHECK_ALWAYS, &view);
  if (rc == MMAPSYNC_OK) mmapsync_release(h, &view);
  return rc;
}

int mmapsync_counters(mmapsync *h, uint32_t readers[2]) {
  uint64_t word;
  int i, rc = readVersion(h, &word);
  if (rc != MMAPSYNC_OK) return rc;
  for (i = 0; i < 2; i++) {
    readers[i] = atomic_load_explicit(&h->state->shared->readers[i], memory_order_relaxed);
  }
  return MMAPSYNC_OK;
}
