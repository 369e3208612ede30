/*
** buildkeys.c - the keys of a finished table: order, proof of uniqueness, search structure.
**
** image.h describes what is built.  The table's rows are in the data file by now, so keys are built by
** reading them back through the same mmapsync_get() that readers use.  What all keys may need is reserved
** before one is written, in one piece; that may move the mapping, so what is decoded of the table is
** placed anew after it, and nothing moves while keys are built.
**
** Each key is a piece of work that depends on no other, so the keys of a large table are built by several threads
** (buildcrew.c), each in its own part of what was reserved.
**
** A key that claims the order of the rows is checked against them, row by row: what readers rely on is
** never taken on trust.
**
** NOR ARE THE ROWS.  Whoever may write to the data file can change what is read back from it, at any moment
** before the switch as well as after it.  Whatever of it counts as a place or a number of things is read once and
** checked, so this ends in a wrong image or in a failure, and leads nowhere else.
*/
#include "build.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "always.h"
#include "order.h"

#define HASH_FILL                                                                                  \
  8.4 /* entries a bucket of 12 gets on average: an eighth of the buckets run over */

/* ---- sentences ------------------------------------------------------------------------------- */

/* Bytes of the UTF-8 character at z, of which n are left; 0 if there is none, or none to print. */
static int charBytes(const uint8_t *z, uint32_t n) {
  uint32_t i, k = z[0] < 0x80 ? 1 : z[0] >= 0xf0 ? 4 : z[0] >= 0xe0 ? 3 : 2;
  if (z[0] < 0x20 || z[0] == 0x7f || (z[0] >= 0x80 && z[0] < 0xc2) || z[0] > 0xf4 || k > n)
    return 0;
  for (i = 1; i < k; i++) {
    if ((z[i] & 0xc0) != 0x80) return 0;
  }
  return (int)k;
}

/* The beginning of a text, fit for a sentence: what cannot be printed becomes a question mark. */
static int printText(char *z, size_t room, const mmapsync_value *v) {
  const uint8_t *p = v->u.p;
  char zText[48] = "";
  uint32_t i = 0;
  int n = 0;
  while (i < v->n && n < 40) {
    int k = charBytes(p + i, v->n - i);
    if (k == 0) zText[n++] = '?';
    memcpy(zText + n, p + i, (size_t)k);
    n += k;
    i += k ? (uint32_t)k : 1;
  }
  return snprintf(z, room, "'%.*s%s'", n, zText, i < v->n ? "..." : "");
}

static int printValue(char *z, size_t room, const mmapsync_value *v) {
  switch (v->type) {
  case MMAPSYNC_INTEGER: return snprintf(z, room, "%lld", (long long)v->u.i);
  case MMAPSYNC_REAL: return snprintf(z, room, "%.17g", v->u.r);
  case MMAPSYNC_TEXT: return printText(z, room, v);
  case MMAPSYNC_BLOB: return snprintf(z, room, "a blob of %u bytes", v->n);
  default: return snprintf(z, room, "NULL");
  }
}

/* The key's columns, or the values it has in a row, as "(a, b)". */
static void printKey(char *z, size_t room, const mmapsync_table *t, const Key *k, uint64_t row) {
  size_t at = 0;
  int p, n;
  for (p = 0; p < k->info.nparts && at + 1 < room; p++) {
    int c = k->parts[p].column;
    mmapsync_value v;
    n = snprintf(z + at, room - at, "%s", p ? ", " : "(");
    at += (size_t)n < room - at ? (size_t)n : room - at - 1;
    if (row == NO_ROW) {
      n = snprintf(z + at, room - at, "%s", t->columns[c].info.name);
    } else {
      n = mmapsync_get(t, row, c, &v) == MMAPSYNC_OK ? printValue(z + at, room - at, &v) : 0;
    }
    at += (size_t)n < room - at ? (size_t)n : room - at - 1;
  }
  if (at + 1 < room) snprintf(z + at, room - at, ")");
}

static int keyFail(mmapsync_builder *b, int rc, const mmapsync_table *t, const Key *k, uint64_t row,
                   const char *zWhat) {
  char zColumns[160], zValues[200];
  printKey(zColumns, sizeof(zColumns), t, k, NO_ROW);
  printKey(zValues, sizeof(zValues), t, k, row);
  return buildFail(b, rc, "\"%s\": table \"%s\": %s in key %s: %s", mmapsync_path(b->h),
                   t->info.name, zWhat, zColumns, zValues);
}

/* ---- the table as readers will see it -------------------------------------------------------- */

static void decodedFree(mmapsync_table *t) {
  int i;
  for (i = 0; i < t->info.ncolumns; i++) free(t->columns[i].chunks);
  free(t->columns);
}

/* Points what is decoded at the payload, which may have moved since the last time. */
static void decodedPlace(const mmapsync_builder *b, const BuildTable *bt, mmapsync_table *t) {
  uint32_t c;
  uint64_t i;
  t->payload = b->payload;
  t->size = b->used;
  for (c = 0; c < bt->dir.ncolumns; c++) {
    const BuildColumn *bc = &bt->columns[c];
    Chunk *chunks = t->columns[c].chunks;
    for (i = 0; chunks && i < bc->nchunks; i++) {
      chunkDecode(&chunks[i], &bc->chunks[i], b->payload, chunkRows(t->rows, t->chunk_shift, i));
    }
  }
}

/* Decodes those columns of a table that is still being built which its keys read. */
static int decodedOpen(mmapsync_builder *b, const BuildTable *bt, mmapsync_table *t) {
  uint32_t c, k, p;
  memset(t, 0, sizeof(*t));
  t->rows = bt->dir.rows;
  t->chunk_shift = bt->dir.chunk_shift;
  t->chunk_mask = (UINT64_C(1) << bt->dir.chunk_shift) - 1;
  t->info.name = buildTableName(b, bt);
  t->info.rows = bt->dir.rows;
  t->info.ncolumns = (int)bt->dir.ncolumns;
  t->columns = calloc(bt->dir.ncolumns, sizeof(Column));
  if (t->columns == NULL) return buildNoMemory(b);
  for (c = 0; c < bt->dir.ncolumns; c++) {
    t->columns[c].info.name = b->strings + bt->columns[c].dir.name;
    t->columns[c].info.types = bt->columns[c].dir.types;
    t->columns[c].info.nulls = bt->columns[c].dir.nulls;
  }
  for (k = 0; k < bt->dir.nkeys; k++) {
    for (p = 0; p < bt->keys[k].dir.nparts; p++) {
      Column *out = &t->columns[c = bt->keys[k].parts[p].column];
      if (out->chunks) continue;
      out->chunks = aligned_alloc(64, (bt->columns[c].nchunks + 1) * sizeof(Chunk));
      if (out->chunks == NULL) {
        decodedFree(t);
        return buildNoMemory(b);
      }
    }
  }
  decodedPlace(b, bt, t);
  return MMAPSYNC_OK;
}

/* ---- a key as a piece of work ---------------------------------------------------------------- */

/* Of one key: what is built, where, and what came of it.  Its bytes are written where they would stand if no key
** needed less than was planned for; keyPlace() moves them to where they belong. */
typedef struct KeyWork {
  Key k;
  DirKey *dir; /* `order` and `search` are where they are written */
  uint64_t *differ;
  int unfit; /* entries of the hash would stand too far from where they are looked for */
  int rc;
  uint64_t row;      /* the one that broke a rule, ... */
  const char *zRule; /* ... and which, or NULL */
} KeyWork;

/* Of all keys of a table. */
typedef struct KeysWork {
  const mmapsync_table *t;
  uint8_t *payload;
  uint64_t most; /* rows that each thread sorts at once */
  KeyWork *keys;
} KeysWork;

static int keyBreaks(KeyWork *w, int rc, uint64_t row, const char *zRule) {
  w->row = row;
  w->zRule = zRule;
  return rc;
}

/* ---- order and uniqueness -------------------------------------------------------------------- */

/* Whether the rows stand in the key's order, as it claims.  differ[p] counts the neighbours that differ in
** part p first. */
static int orderCheck(const Leave *leave, const mmapsync_table *t, KeyWork *w) {
  const Key *k = &w->k;
  uint64_t row;
  int rc = MMAPSYNC_OK;
  for (row = 1; row < t->rows; row++) {
    int part = 0, c = keyCompareRows(t, k, &part, row - 1, row, &rc);
    if (rc != MMAPSYNC_OK) return rc;
    if (c > 0) return keyBreaks(w, MMAPSYNC_MISUSE, row, "rows are not in order");
    if (c == 0 && (k->info.flags & MMAPSYNC_KEY_UNIQUE) && !keyHasNull(t, k, row)) {
      return keyBreaks(w, MMAPSYNC_CONSTRAINT, row, "duplicate");
    }
    if (c) w->differ[part]++;
    if ((row & 0xffff) == 0 && leaveAsk(leave) != MMAPSYNC_OK) return MMAPSYNC_INTERRUPT;
  }
  return MMAPSYNC_OK;
}

static int nullCheck(const mmapsync_table *t, KeyWork *w) {
  const Key *k = &w->k;
  uint64_t row;
  int p, any = 0;
  for (p = 0; p < k->info.nparts; p++) any |= t->columns[k->parts[p].column].info.nulls > 0;
  if (!any || !(k->info.flags & MMAPSYNC_KEY_NOTNULL)) return MMAPSYNC_OK;
  for (row = 0; row < t->rows && !keyHasNull(t, k, row); row++) {
  }
  if (row == t->rows) return MMAPSYNC_CORRUPT; /* it has been counted, and is there no more */
  return keyBreaks(w, MMAPSYNC_CONSTRAINT, row, "NULL");
}

/* ---- search structures ----------------------------------------------------------------------- */

/* Whether the key is one ordered, rising column of integers only; then its least and greatest.  There are rows. */
static int keyIntegers(const mmapsync_table *t, const Key *k, int64_t *min, int64_t *max) {
  const Column *c = &t->columns[k->parts[0].column];
  uint64_t n = chunkCount(t->rows, t->chunk_shift);
  if (k->info.nparts != 1 || k->parts[0].desc || !(k->info.flags & MMAPSYNC_KEY_ORDERED)) return 0;
  if (c->info.types != 1u << MMAPSYNC_INTEGER) return 0;
  *min = c->chunks[0].base; /* the rows rise, so the first chunk has the least */
  *max = c->chunks[n - 1].max;
  return 1;
}

/* Chooses the search structure: its kind, and its bytes. */
static void searchPlan(const mmapsync_table *t, const Key *k, DirKey *out) {
  int64_t min, max;
  out->search_kind = SEARCH_SORTED;
  if (!(k->info.flags & MMAPSYNC_KEY_UNIQUE) || t->rows == 0) return;
  if (keyIntegers(t, k, &min, &max)) {
    uint64_t range = (uint64_t)max - (uint64_t)min, lines = range / RANK_BITS + 1;
    out->base = min;
    if (range == t->rows - 1) {
      out->search_kind = SEARCH_DIRECT;
      return;
    }
    if (lines <= t->rows / 16 + 1) { /* up to 4 bytes a row: less than a hash, and faster */
      out->search_kind = SEARCH_RANK;
      out->search_bytes = lines * 64;
      return;
    }
  }
  out->search_kind = SEARCH_HASH;
  out->search_bytes = ((uint64_t)((double)t->rows / HASH_FILL) + 1) * 64;
}

static int rankBuild(const mmapsync_table *t, const Key *k, uint8_t *search, const DirKey *dk) {
  uint64_t row, line, n = dk->search_bytes / 64;
  uint32_t before = 0;
  memset(search, 0, dk->search_bytes);
  for (row = 0; row < t->rows; row++) {
    mmapsync_value v;
    uint64_t x, bit;
    int rc = mmapsync_get(t, row, k->parts[0].column, &v);
    /* NEVER: keyIntegers() has seen that all chunks are of integers, which whatever bytes stand for */
    if (NEVER(rc != MMAPSYNC_OK || v.type != MMAPSYNC_INTEGER)) return MMAPSYNC_CORRUPT;
    x = (uint64_t)v.u.i - (uint64_t)dk->base;
    if (x / RANK_BITS >= n) return MMAPSYNC_CORRUPT;
    bit = x % RANK_BITS + 32;
    search[x / RANK_BITS * 64 + bit / 8] |= (uint8_t)(1u << (bit % 8));
  }
  for (line = 0; line < n; line++) {
    uint64_t w, aWord[8];
    uint32_t here = 0;
    memcpy(aWord, search + line * 64, 64);
    for (w = 0; w < 8; w++) here += (uint32_t)__builtin_popcountll(aWord[w]);
    memcpy(search + line * 64, &before, sizeof(before));
    before += here;
  }
  return MMAPSYNC_OK;
}

/* What a row is looked for by. */
typedef struct HashEntry {
  uint64_t bucket;
  uint8_t tag;
  uint8_t null; /* NULL in the key: it equals nothing, so nobody looks for it */
} HashEntry;

static int hashEntry(const mmapsync_table *t, const Key *k, uint64_t row, uint64_t nbucket,
                     HashEntry *out) {
  uint64_t h = 0;
  int p;
  out->null = 0;
  for (p = 0; p < k->info.nparts; p++) {
    mmapsync_value v;
    int rc = mmapsync_get(t, row, k->parts[p].column, &v);
    if (rc != MMAPSYNC_OK) return rc;
    out->null |= v.type == MMAPSYNC_NULL;
    h = orderHash(&v, k->parts[p].collation, h);
  }
  out->bucket = (h >> 32) * nbucket >> 32;
  out->tag = (uint8_t)h;
  return MMAPSYNC_OK;
}

/* Enters a row; 0 if it would stand too far from where it is looked for. */
static int hashPut(HashBucket *bucket, uint64_t nbucket, const HashEntry *e, uint64_t row) {
  uint64_t at = e->bucket, reach = 0;
  uint32_t used;
  /* A load of its own, so that what is checked is what is used. */
  while ((used = __atomic_load_n(&bucket[at].used, __ATOMIC_RELAXED)) >= HASH_SLOTS) {
    if (++reach == HASH_REACH) return 0;
    at = at + 1 < nbucket ? at + 1 : 0;
  }
  bucket[at].tag[used] = e->tag;
  bucket[at].row[used] = (uint32_t)row;
  bucket[at].used = used + 1;
  return 1;
}

#define HASH_BATCH 32 /* rows whose buckets are asked for together */

/* *unfit becomes 1 if some entry would stand too far from where it is looked for. */
static int hashBuild(const Leave *leave, const mmapsync_table *t, const Key *k, uint8_t *search,
                     const DirKey *dk, int *unfit) {
  HashBucket *bucket = (HashBucket *)(void *)search;
  uint64_t row, i, n = dk->search_bytes / 64;
  memset(search, 0, dk->search_bytes);
  for (row = 0; row < t->rows && !*unfit; row += HASH_BATCH) {
    HashEntry e[HASH_BATCH];
    uint64_t m = t->rows - row < HASH_BATCH ? t->rows - row : HASH_BATCH;
    for (i = 0; i < m; i++) {
      int rc = hashEntry(t, k, row + i, n, &e[i]);
      if (rc != MMAPSYNC_OK) return rc;
      __builtin_prefetch(&bucket[e[i].bucket], 1);
    }
    for (i = 0; i < m && !*unfit; i++) {
      if (!e[i].null) *unfit = !hashPut(bucket, n, &e[i], row + i);
    }
    if ((row & 0xffff) == 0 && leaveAsk(leave) != MMAPSYNC_OK) return MMAPSYNC_INTERRUPT;
  }
  return MMAPSYNC_OK;
}

/* ---- one key --------------------------------------------------------------------------------- */

static void keyDescribe(const mmapsync_builder *b, const BuildKey *bk, Key *k,
                        mmapsync_part_def *parts) {
  uint32_t p;
  memset(k, 0, sizeof(*k));
  for (p = 0; p < bk->dir.nparts; p++) {
    parts[p].column = (int)bk->parts[p].column;
    parts[p].collation = bk->parts[p].collation;
    parts[p].desc = bk->parts[p].desc;
  }
  k->parts = parts;
  k->info.name = b->strings + bk->dir.name;
  k->info.flags = bk->dir.flags;
  k->info.parts = parts;
  k->info.nparts = (int)bk->dir.nparts;
}

/* Builds one key, in whatever thread. */
static int keyBuild(void *arg, uint32_t i, const Leave *leave) {
  const KeysWork *all = arg;
  const mmapsync_table *t = all->t;
  KeyWork *w = &all->keys[i];
  DirKey *dk = w->dir;
  uint8_t *search = all->payload + dk->search;
  uint64_t dup_a, dup_b;
  int rc = nullCheck(t, w);
  if (rc == MMAPSYNC_OK && (w->k.info.flags & MMAPSYNC_KEY_ORDERED)) {
    rc = orderCheck(leave, t, w);
  } else if (rc == MMAPSYNC_OK && t->rows > 0) {
    rc = keySort(leave, all->most, t, &w->k, (uint32_t *)(void *)(all->payload + dk->order),
                 w->differ, &dup_a, &dup_b);
    if (rc == MMAPSYNC_OK && dup_a != NO_ROW && (w->k.info.flags & MMAPSYNC_KEY_UNIQUE)) {
      rc = keyBreaks(w, MMAPSYNC_CONSTRAINT, dup_b, "duplicate");
    }
  }
  if (rc == MMAPSYNC_OK && dk->search_kind == SEARCH_RANK) rc = rankBuild(t, &w->k, search, dk);
  if (rc == MMAPSYNC_OK && dk->search_kind == SEARCH_HASH) {
    rc = hashBuild(leave, t, &w->k, search, dk, &w->unfit);
  }
  return w->rc = rc;
}

/* ---- all keys -------------------------------------------------------------------------------- */

/* Chooses the search structures, and reserves and divides what all keys may need. */
static int keysPlan(mmapsync_builder *b, const BuildTable *bt, mmapsync_table *t, KeysWork *all) {
  uint64_t bytes = 0;
  uint32_t i;
  int rc;
  for (i = 0; i < bt->dir.nkeys; i++) {
    KeyWork *w = &all->keys[i];
    searchPlan(t, &w->k, w->dir);
    if (!(w->k.info.flags & MMAPSYNC_KEY_ORDERED)) bytes += t->rows * 4;
    bytes += w->dir->search_bytes + 2 * IMAGE_ALIGN;
  }
  rc = buildReserve(b, bytes);
  if (rc != MMAPSYNC_OK) return rc;
  for (i = 0; i < bt->dir.nkeys; i++) {
    KeyWork *w = &all->keys[i];
    if (!(w->k.info.flags & MMAPSYNC_KEY_ORDERED) && t->rows > 0) {
      w->dir->order = buildTake(b, t->rows * 4);
    }
    if (w->dir->search_bytes) w->dir->search = buildTake(b, w->dir->search_bytes);
  }
  decodedPlace(b, bt, t);
  all->payload = b->payload;
  return MMAPSYNC_OK;
}

/* Puts a sorted order where it belongs, with half the bytes if its row numbers have no more. */
static void orderPlace(mmapsync_builder *b, uint64_t rows, DirKey *dk) {
  const uint8_t *from = b->payload + dk->order;
  uint8_t *to;
  uint64_t i;
  dk->order_width = rows > UINT16_MAX + 1 ? 4 : 2;
  dk->order = buildTake(b, rows * dk->order_width);
  to = b->payload + dk->order;
  if (dk->order_width == 4) {
    memmove(to, from, rows * 4);
    return;
  }
  for (i = 0; i < rows; i++) { /* never ahead of what is read */
    uint32_t row;
    uint16_t narrow;
    memcpy(&row, from + 4 * i, 4);
    narrow = (uint16_t)row;
    memcpy(to + 2 * i, &narrow, 2);
  }
}

/* Moves what was built of a key down to behind what is there: those before it may have needed less. */
static void keyPlace(mmapsync_builder *b, uint64_t rows, const KeyWork *w) {
  DirKey *dk = w->dir;
  const uint8_t *from = b->payload + dk->search;
  if (dk->order) orderPlace(b, rows, dk);
  if (w->unfit) { /* keys made to collide: binary search does not care */
    dk->search_kind = SEARCH_SORTED;
    dk->search = dk->search_bytes = 0;
  }
  if (dk->search_bytes == 0) return;
  dk->search = buildTake(b, dk->search_bytes);
  if (b->payload + dk->search != from) memmove(b->payload + dk->search, from, dk->search_bytes);
}

/* How many different values the first parts have together: in sorted order, one more than there are
** neighbours that differ in them. */
static void distinctPut(BuildKey *bk, uint64_t rows, const uint64_t *differ) {
  uint64_t n = rows > 0;
  uint32_t p;
  for (p = 0; p < bk->dir.nparts; p++) bk->parts[p].distinct = n += differ[p];
}

/* How many threads: as many as sort what memory there is for in one piece each; or, of what has to be sorted in
** runs, as many as can merge them, 4 bytes a row each. */
static int crewSize(const mmapsync_builder *b, uint64_t rows) {
  uint64_t n = (uint64_t)crewThreads(b), most = b->sort_rows;
  if (rows < b->crew_rows) return 1;
  if (rows > most) most *= SORT_BYTES / 4;
  while (n > 1 && rows * n > most) n--;
  return (int)n;
}

/* The failure of the first key that has one. */
static int keysFail(mmapsync_builder *b, const KeysWork *all, uint32_t n) {
  uint32_t i;
  for (i = 0; i < n && all->keys[i].rc == MMAPSYNC_OK; i++) {
  }
  if (i < n) {
    const KeyWork *w = &all->keys[i];
    if (w->zRule) return keyFail(b, w->rc, all->t, &w->k, w->row, w->zRule);
    if (w->rc == MMAPSYNC_NOMEM) return buildNoMemory(b);
    assert(w->rc == MMAPSYNC_CORRUPT);
    /* we have written what can be read */
    return buildTableFail(b, w->rc, all->t->info.name, "changed while it was written");
  }
  return MMAPSYNC_OK;
}

/* The keys as they are to be built; 0 if memory is out. */
static int keysDescribe(const mmapsync_builder *b, BuildTable *bt, KeyWork *w) {
  uint32_t i;
  for (i = 0; i < bt->dir.nkeys; i++) {
    BuildKey *bk = &bt->keys[i];
    mmapsync_part_def *parts = calloc(bk->dir.nparts, sizeof(*parts));
    assert(bk->dir.nparts > 0);
    w[i].differ = calloc(bk->dir.nparts, sizeof(*w[i].differ));
    w[i].dir = &bk->dir;
    w[i].k.parts = parts;
    if (!parts || !w[i].differ) return 0;
    keyDescribe(b, bk, &w[i].k, parts);
  }
  return 1;
}

int keysBuild(mmapsync_builder *b, BuildTable *bt) {
  mmapsync_table t;
  KeysWork all = {.t = &t};
  uint32_t i, n = bt->dir.nkeys;
  uint64_t used = b->used;
  int threads = crewSize(b, bt->dir.rows), rc = decodedOpen(b, bt, &t);
  if (rc != MMAPSYNC_OK) return rc;
  all.keys = calloc(n + 1, sizeof(*all.keys)); /* one more: none is no NULL */
  if (!all.keys || !keysDescribe(b, bt, all.keys)) rc = buildNoMemory(b);
  if (rc == MMAPSYNC_OK) rc = keysPlan(b, bt, &t, &all);
  if (rc == MMAPSYNC_OK) {
    all.most = b->sort_rows / (uint64_t)threads;
    rc = crewRun(b, threads, n, keyBuild, &all);
    if (rc == MMAPSYNC_OK) rc = keysFail(b, &all, n);
  }
  b->used = used;
  for (i = 0; rc == MMAPSYNC_OK && i < n; i++) {
    keyPlace(b, t.rows, &all.keys[i]);
    distinctPut(&bt->keys[i], t.rows, all.keys[i].differ);
  }
  for (i = 0; all.keys && i < n; i++) {
    free(all.keys[i].k.parts);
    free(all.keys[i].differ);
  }
  free(all.keys);
  decodedFree(&t);
  if (rc != MMAPSYNC_OK) b->rc = rc; /* the next call must not go on */
  return rc;
}
