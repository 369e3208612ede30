/*
** read.c - the reader's half of the protocol.  R1 to R6 are those of state.h; claims are made by pins.c.
**
** MAPPING.  A pin protects only mappings made before the claim: it stands for the file at the path, and a
** mapping that was made earlier may be of a file that was replaced since.  So a reader notes replaced[i],
** maps the file, claims, looks at the version word for the last time, and then compares the note with
** replaced[i] as it is now.  If it is another, or nothing is mapped, or the mapping is too short, the claim
** is given back, and all of it is done again from the top; in steady state none of it makes a system call.
**
** A writer that publishes ever larger payloads, each just when the last was mapped, could so keep a reader
** from entering for as long as it likes.  After READ_ROUNDS tries the reader therefore keeps its claim and
** maps under it: if replaced[i] is what was noted before the claim, and still is after the mapping, then the
** file was replaced neither before nor meanwhile, and will not be overwritten while the claim is held.  It is that
** note that the claim was made with, not one of an older mapping: the handle's mapping has it, or there is none.
**
** TRUST.  A mapping serves a version word if it shows that word's trailer.  If it does not, the payload
** is either another writer's, which has none, or the mapping is not of the file at the path (somebody
** removed that file, and a writer made it anew).  So a word whose trailer is not found sends the reader
** to dataMap() once, which looks.
**
** KIND.  A snapshot without a trailer was published by a writer that knows nothing of slots and locks, and
** one with a trailer by a writer that waits for those with more patience than for counters.  So a reader that
** meets the other sort than it is attached for attaches anew, and enters again.
*/
#include <assert.h>
#include <string.h>

#include "handle.h"
#include "sys.h"
#include "version.h"

/* Tries to enter with the file mapped beforehand. */
#define READ_ROUNDS   3

/* Tries to enter at all: honest writers need far fewer, since each that is in the way has published meanwhile. */
#define ENTER_ROUNDS  10000

/* How often a channel that is removed, or seems to be, under a read's hands is opened anew before that is an error. */
#define READ_REMOVED  16

/* Tries to compare a payload with its hash before a newer one takes its place. */
#define VERIFY_ROUNDS 8

/* ---- views ------------------------------------------------------------------------------------ */

/*
** Whether the claim of a view by counter was voided: the grace time of a write ended, and the file was
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

/* Whether the mapping may serve `version`, whose file is claimed; if so, h->about is of it. */
static int readShows(mmapsync *h, const DataMap *map, uint64_t version) {
  HandleAbout *about = &h->about;
  size_t size = versionSize(version);
  const TrailerShared *t;
  uint64_t word;

  if (size > map->length) return 0;
  t = dataTrailer(map, size);
  /* relaxed: pinsEnter() has acquired */
  word = t ? atomic_load_explicit(&t->word[TRAILER_SEQUENCE_WORD], memory_order_relaxed) : 0;
  if (about->version == version && about->word == word) return 1;

  about->version = 0;
  about->valid = t && trailerLoad(t, version, &about->trailer);
  if (!about->valid) {
    int newer = t && trailerNewer(&about->trailer, version) ? about->trailer.format : 0;
    if (map->checked != version) return 0;
    memset(&about->trailer, 0, sizeof(about->trailer));
    about->trailer.kind = MMAPSYNC_KIND_RAW;
    about->trailer.format = (uint16_t)newer; /* not 0: it is refused */
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

/* pinsAttach(); what is not permitted is tried from the start by the next read, since it may be by then. */
static int readAttach(mmapsync *h, int foreign, uint64_t version) {
  int rc = pinsAttach(h, foreign, version);
  if (rc == MMAPSYNC_PERM && !h->writer.open) handleDetach(h);
  return rc;
}

/* The state, opened if need be, and this process' own; attached, once something was published. */
static int readReady(mmapsync *h) {
  int rc = MMAPSYNC_OK;
  if (handleForked(h)) rc = handleChild(h);
  if (rc == MMAPSYNC_OK && !h->state) rc = stateOpen(h, 0);
  if (rc != MMAPSYNC_OK || h->state->pins->chosen) return rc;
  /* relaxed: only whether there is anything */
  if (atomic_load_explicit(&h->state->shared->version, memory_order_relaxed) == 0) return rc;
  return readAttach(h, 0, 0);
}

/* A snapshot that only a newer library can read is not passed off as another writer's bytes.  A writer publishes
** over it as over those. */
static int readNewer(mmapsync *h, unsigned index) {
  if (h->about.trailer.format <= TRAILER_FORMAT) return MMAPSYNC_OK;
  return dataNewer(h, index, h->about.trailer.format);
}

/* Whether the handle is attached for a snapshot of another sort than the one in h->about. */
static int readMisfit(const mmapsync *h, uint64_t version) {
  const Pins *p = h->state->pins;
  if (h->opt.pins != MMAPSYNC_PIN_AUTO || p->tried == version) return 0;
  if (h->about.trailer.format > TRAILER_FORMAT) return 0; /* it is refused in any case */
  return h->about.valid ? p->chosen == MMAPSYNC_PIN_COUNTER : p->chosen != MMAPSYNC_PIN_COUNTER;
}

/* After dataMap(), with no claim: the slot's bit goes if it stood for views of a file that has lost its name.  The
** next claim says the new mapping's note, by which they would be waited for. */
static void readOrphans(mmapsync *h, unsigned index) {
  if (h->state->pins->slot) slotLeave(h->state->pins, index);
}

/* Whether what was found at the path may be another snapshot's file: the claim was given back before. */
static int readMoved(const mmapsync *h, unsigned index, uint64_t version, uint32_t note) {
  return pageReplaced(&h->state->page, index) != note ||
         atomic_load_explicit(&h->state->shared->version, memory_order_seq_cst) != version;
}

/* What is to be done about a snapshot that h->maps cannot show: maps it.  The claim was given back. */
static int readMap(mmapsync *h, unsigned index, uint64_t version, uint32_t note[2]) {
  int rc;
  note[index] = pageReplaced(&h->state->page, index);
  rc = dataMap(h, index, version, note[index]);
  readOrphans(h, index);
  /* After the file was opened: while the state is the one at its path, the file was, too. */
  if (readGone(h)) return MMAPSYNC_OK;
  if (!readMoved(h, index, version, note[index])) return rc;
  if (h->maps[index])
    h->maps[index]->checked = 0; /* it may be of the next snapshot, half written */
  return MMAPSYNC_OK;
}

int readPin(mmapsync *h, mmapsync_view *view) {
  uint32_t note[2] = {0, 0};
  int noted[2] = {0, 0}; /* by this call, of this state */
  DataMap *map;
  uint64_t version;
  unsigned index;
  int rc, round, i;

  gateShut(h);
  if (h->opt.trust == MMAPSYNC_TRUST_COPY) return copyRead(h, 0, view);
  view->map = NULL;
  for (round = 0; round < ENTER_ROUNDS; round++) {
    if (!h->state) {
      if (round > READ_REMOVED) return stateVanished(h);
      noted[0] = noted[1] = 0;
    }
    if (!h->state || !h->state->pins->kind) {
      rc = readReady(h);
      if (rc != MMAPSYNC_OK) return rc;
    }
    version = 0;
    if (h->state->pins->chosen) {
      for (i = 0; i < 2; i++) {
        if (h->maps[i]) note[i] = h->maps[i]->replaced;
      }
      rc = pinsEnter(h, note, &version);
      if (rc != MMAPSYNC_OK) return rc;
    }
    if (version == 0) {
      if (round < READ_ROUNDS && readGone(h)) continue;
      return readNothing(h);
    }
    index = versionIndex(version);
    map = h->maps[index];
    /* The note that was said with the claim is compared, after the last look at the version. */
    if (map && note[index] == pageReplaced(&h->state->page, index) && readShows(h, map, version)) {
      if (!readMisfit(h, version)) break;
      pinsDrop(h->state, index, note);
      rc = readAttach(h, !h->about.valid, version);
      if (rc != MMAPSYNC_OK) return rc;
      continue;
    }
    if (round >= READ_ROUNDS && noted[index] &&
        note[index] == pageReplaced(&h->state->page, index)) {
      rc = dataMap(h, index, version, note[index]);
      if (rc == MMAPSYNC_OK && !h->writer.open && !stateIsCurrent(h)) rc = stateVanished(h);
      map = h->maps[index];
      if (rc == MMAPSYNC_OK && note[index] == pageReplaced(&h->state->page, index)) {
        (void)readShows(h, map, version); /* it does */
        if (!readMisfit(h, version)) break;
      }
      pinsDrop(h->state, index, note);
      if (rc != MMAPSYNC_OK && !readMoved(h, index, version, note[index])) return rc;
      continue;
    }
    pinsDrop(h->state, index, note);
    rc = readMap(h, index, version, note);
    noted[index] = 1;
    if (rc != MMAPSYNC_OK) return rc;
  }
  if (round == ENTER_ROUNDS) {
    return handleError(h, MMAPSYNC_BUSY, "\"%s\": changes faster than it can be read", h->path);
  }
  rc = readNewer(h, index);
  if (rc != MMAPSYNC_OK) {
    pinsDrop(h->state, index, note);
    return rc;
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
  pinsKeep(h, view, note);
  if (view->pin == MMAPSYNC_PIN_SLOT) map->held++;
  h->views++;
  return MMAPSYNC_OK;
}

/* The trailer of `version`, the active snapshot.  The caller holds the writer's lock, which keeps it
** active, and claims nothing.  *valid is 0 if it has none, or if its file is missing or too short:
** a channel that was damaged is mended by the next publish. */
int readActive(mmapsync *h, uint64_t version, Trailer *out, int *valid) {
  unsigned index = versionIndex(version);
  int rc;

  gateShut(h);
  *valid = 0;
  /* Even if a mapping is there: its file may have been cut short. */
  rc = dataMap(h, index, version, pageReplaced(&h->state->page, index));
  readOrphans(h, index);
  if (rc == MMAPSYNC_CORRUPT || rc == MMAPSYNC_CANTOPEN) return MMAPSYNC_OK;
  if (rc != MMAPSYNC_OK) return rc;
  (void)readShows(h, h->maps[index],
                  version); /* it does: dataMap() has looked at this version's file */
  *valid = h->about.valid;
  *out = h->about.trailer;
  return MMAPSYNC_OK;
}

/* When a pinned snapshot is compared with its hash. */
enum { CHECK_OPTION, CHECK_ALWAYS };

static int readWantsCheck(const mmapsync *h, const mmapsync_view *view, int check) {
  if (check == CHECK_ALWAYS || h->state->unsure) return 1;
  if (h->opt.verify == MMAPSYNC_VERIFY_ATTACH) return h->checked_version == 0;
  return view->version != h->checked_version || view->sequence != h->checked_sequence;
}

static int readWrongHash(mmapsync *h, const mmapsync_view *view, uint64_t found) {
  return handleError(h, MMAPSYNC_CORRUPT, "\"%s\": damaged: expected hash %016llx, found %016llx",
                     h->data_name[versionIndex(view->version)], (unsigned long long)view->hash,
                     (unsigned long long)found);
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
        rc = readWrongHash(h, view, hash);
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
    h->state->unsure = 0;
    return MMAPSYNC_OK;
  }
  return handleError(h, MMAPSYNC_BUSY, "\"%s\": published anew faster than it can be compared",
                     h->path);
}

/* ---- public ----------------------------------------------------------------------------------- */

int readFirst(mmapsync *h, mmapsync_view *view) {
  int rc = readPin(h, view);
  if (rc == MMAPSYNC_OK && h->opt.trust == MMAPSYNC_TRUST_MAP &&
      (h->opt.verify != MMAPSYNC_VERIFY_NEVER || h->state->unsure)) {
    mmapsync_release(h, view);
    rc = readChecked(h, CHECK_OPTION, view);
  }
  if (rc != MMAPSYNC_OK) return rc;
  if (h->about.version != h->last_version || h->about.trailer.sequence != h->last_sequence) {
    view->switched = 1;
    h->last_version = h->about.version;
    h->last_sequence = h->about.trailer.sequence;
  }
  gatePrepare(h, view);
  return MMAPSYNC_OK;
}

void readRelease(mmapsync *h, mmapsync_view *view) {
  DataMap *map = view->map;
  gateShut(h); /* in a child, this counts it */
  view->map = NULL;
  if (!map->state) {
    /* a private copy: nothing pins it */
  } else if (view->pin != MMAPSYNC_PIN_SLOT) {
    pinsLeave(map->state, view, view->pin == MMAPSYNC_PIN_COUNTER && readVoided(map, view));
  } else {
    map->held--;
    if (!map->orphan && map->state->pins->slot && !pinsForked(map->state)) {
      map->state->pins->held[map->index]--;
      slotLeave(map->state->pins, map->index);
    }
  }
  dataUnref(map);
  h->views--;
  gateOpen(h);
}

int mmapsync_pin_kind(const mmapsync *h) {
  return h->state && !pinsForked(h->state) ? h->state->pins->chosen : MMAPSYNC_PIN_AUTO;
}

/* The state, opened if need be, once something was published; its version word in *version. */
static int readVersion(mmapsync *h, uint64_t *version) {
  StateShared now;
  int rc, round;
  if (h->opt.trust == MMAPSYNC_TRUST_COPY) {
    rc = stateLook(h, &now);
    if (rc == MMAPSYNC_OK) *version = atomic_load_explicit(&now.version, memory_order_relaxed);
    return rc == MMAPSYNC_OK && *version == 0 ? readNothing(h) : rc;
  }
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
int readLook(mmapsync *h, uint64_t *version, uint64_t *sequence) {
  mmapsync_view view;
  int rc;
  if (h->opt.trust == MMAPSYNC_TRUST_COPY) return copyLook(h, version, sequence);
  rc = readPin(h, &view);
  if (rc != MMAPSYNC_OK) return rc;
  *version = view.version;
  *sequence = view.sequence;
  mmapsync_release(h, &view);
  return MMAPSYNC_OK;
}

int mmapsync_sequence(mmapsync *h, uint64_t *sequence) {
  uint64_t version;
  return readLook(h, &version, sequence);
}

int mmapsync_verify(mmapsync *h) {
  mmapsync_view view;
  int rc = h->opt.trust == MMAPSYNC_TRUST_COPY ? copyRead(h, 1, &view)
                                               : readChecked(h, CHECK_ALWAYS, &view);
  if (rc == MMAPSYNC_OK) mmapsync_release(h, &view);
  return rc;
}

int mmapsync_verify_view(mmapsync *h, const mmapsync_view *view) {
  uint64_t hash;
  int rc;
  if (view->sequence == 0) return MMAPSYNC_OK; /* of another writer: there is none */
  rc = handleHash(h, NULL, view->data, view->size, &hash);
  return rc == MMAPSYNC_OK && hash != view->hash ? readWrongHash(h, view, hash) : rc;
}

int mmapsync_counters(mmapsync *h, uint32_t readers[2]) {
  StateShared now;
  uint64_t word;
  int i, rc;
  if (h->opt.trust == MMAPSYNC_TRUST_COPY) {
    rc = stateLook(h, &now);
    if (rc == MMAPSYNC_OK && now.version == 0) rc = readNothing(h);
  } else {
    rc = readVersion(h, &word);
  }
  if (rc != MMAPSYNC_OK) return rc;
  for (i = 0; i < 2; i++) {
    readers[i] = atomic_load_explicit(
        h->opt.trust == MMAPSYNC_TRUST_COPY ? &now.readers[i] : &h->state->shared->readers[i],
        memory_order_relaxed);
  }
  return MMAPSYNC_OK;
}
