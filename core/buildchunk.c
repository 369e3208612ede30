/*
** buildchunk.c - a column of one chunk: staged values -> the narrowest encoding that holds them.
**
** image.h describes the encodings.  The choice needs one look at the values (types, least and greatest)
** and, for text, a dictionary tried first: it wins where values repeat, and gives up as soon as it sees
** that they do not, so that text without repeats costs a hash for a part of the rows only.
*/
#include "build.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "hash.h"

#define SPARSE_LEAST 32 /* rows of a chunk in which NULLs are worth leaving out */

static double asReal(uint64_t bits) {
  double r;
  memcpy(&r, &bits, sizeof(r));
  return r;
}

static int isNull(const StageColumn *s, uint64_t i) { return s->type[i] == MMAPSYNC_NULL; }

/* Reserves and starts a buffer of n bytes; its offset in *at.  May move the payload. */
static int bufferStart(mmapsync_builder *b, uint64_t n, uint64_t *at) {
  int rc = buildReserve(b, n);
  if (rc == MMAPSYNC_OK) *at = buildTake(b, n);
  return rc;
}

/* The bitmap of NULL rows, if there are any; behind `before` bytes of room. */
static int nullsPut(mmapsync_builder *b, const StageColumn *s, uint64_t n, uint64_t before,
                    DirChunk *out) {
  uint64_t i, bytes = before + (n + 63) / 64 * 8;
  uint8_t *bits;
  if (s->nulls == 0) return MMAPSYNC_OK;
  if (bufferStart(b, bytes, &out->null_bits) != MMAPSYNC_OK) return b->rc;
  memset(b->payload + out->null_bits, 0, bytes);
  out->null_bits += before;
  bits = b->payload + out->null_bits;
  for (i = 0; i < n; i++) {
    if (isNull(s, i)) bits[i >> 3] |= (uint8_t)(1u << (i & 7));
  }
  return MMAPSYNC_OK;
}

/* The counts before the bitmap of a SPARSE chunk; takes the NULL rows out of the stage, whose `n` rows are at an
** end with this.  How many are left. */
static uint64_t sparsePut(mmapsync_builder *b, StageColumn *s, uint64_t n, DirChunk *out) {
  uint16_t *counts;
  uint64_t i, m = 0;
  if (nullsPut(b, s, n, sparseCounts(n), out) != MMAPSYNC_OK) return 0;
  out->flags = CHUNK_SPARSE;
  counts = (uint16_t *)(void *)(b->payload + out->null_bits);
  for (i = 0; i < n; i++) {
    if ((i & 63) == 0) *(counts - 1 - i / 64) = (uint16_t)m; /* fewer than 2^16 where it counts */
    if (isNull(s, i)) continue;
    s->type[m] = s->type[i];
    s->bits[m] = s->bits[i];
    s->len[m] = s->len[i];
    m++;
  }
  return m;
}

static void storeWidth(uint8_t *data, int width, uint64_t i, uint64_t x) {
  switch (width) {
  case 1: data[i] = (uint8_t)x; break;
  case 2: ((uint16_t *)(void *)data)[i] = (uint16_t)x; break;
  case 4: ((uint32_t *)(void *)data)[i] = (uint32_t)x; break;
  default: ((uint64_t *)(void *)data)[i] = x; break;
  }
}

static int intEncode(mmapsync_builder *b, const StageColumn *s, uint64_t n, DirChunk *out) {
  int64_t min = INT64_MAX, max = INT64_MIN;
  uint64_t i, range;
  int sequence = s->nulls == 0;
  for (i = 0; i < n; i++) {
    int64_t x = (int64_t)s->bits[i];
    if (isNull(s, i)) continue;
    if (x < min) min = x;
    if (x > max) max = x;
    if (s->bits[i] != s->bits[0] + i) sequence = 0;
  }
  range = (uint64_t)max - (uint64_t)min;
  if (range != n - 1) sequence = 0; /* it went round: from the greatest integer to the least */
  out->encoding = CHUNK_INT;
  out->base = min;
  out->max = max;
  if (range == 0 || sequence) {
    if (range) out->flags |= CHUNK_SEQUENCE;
    return MMAPSYNC_OK;
  }
  out->width = range <= UINT8_MAX ? 1 : range <= UINT16_MAX ? 2 : range <= UINT32_MAX ? 4 : 8;
  if (bufferStart(b, n * out->width, &out->data) != MMAPSYNC_OK) return b->rc;
  for (i = 0; i < n; i++) {
    uint64_t x = isNull(s, i) ? 0 : s->bits[i] - (uint64_t)min;
    storeWidth(b->payload + out->data, out->width, i, x);
  }
  return MMAPSYNC_OK;
}

static int realEncode(mmapsync_builder *b, const StageColumn *s, uint64_t n, DirChunk *out) {
  uint64_t i, first = 0, min, max;
  int same = 1;
  while (isNull(s, first)) first++;
  min = max = s->bits[first];
  for (i = first; i < n; i++) {
    if (isNull(s, i)) continue;
    if (s->bits[i] != s->bits[first]) same = 0; /* by bits: -0.0 is not 0.0 */
    if (asReal(s->bits[i]) < asReal(min)) min = s->bits[i];
    if (asReal(s->bits[i]) > asReal(max)) max = s->bits[i];
  }
  out->encoding = CHUNK_REAL;
  out->base = (int64_t)min;
  out->max = (int64_t)max;
  if (same) return MMAPSYNC_OK;
  out->width = 8;
  if (bufferStart(b, n * 8, &out->data) != MMAPSYNC_OK) return b->rc;
  for (i = 0; i < n; i++) {
    storeWidth(b->payload + out->data, 8, i, isNull(s, i) ? 0 : s->bits[i]);
  }
  return MMAPSYNC_OK;
}

/* ---- text and blobs -------------------------------------------------------------------------- */

static int heapPut(mmapsync_builder *b, const void *heap, uint64_t bytes, DirChunk *out) {
  if (bufferStart(b, bytes, &out->heap) != MMAPSYNC_OK) return b->rc;
  out->heap_bytes = bytes;
  if (bytes) memcpy(b->payload + out->heap, heap, bytes);
  return MMAPSYNC_OK;
}

static int bytesEncode(mmapsync_builder *b, const StageColumn *s, uint64_t n, int encoding,
                       DirChunk *out) {
  uint64_t i, step = n > 1 ? s->bits[1] : s->heap_bytes, even = n * step == s->heap_bytes;
  out->encoding = (uint8_t)encoding;
  out->width = s->heap_bytes <= UINT16_MAX ? 2 : 4;
  if (bufferStart(b, (n + 1) * out->width, &out->data) != MMAPSYNC_OK) return b->rc;
  for (i = 0; i < n; i++) {
    even &= s->bits[i] == i * step;
    storeWidth(b->payload + out->data, out->width, i, s->bits[i]);
  }
  storeWidth(b->payload + out->data, out->width, n, s->heap_bytes);
  if (even) {
    out->flags |= CHUNK_EVEN;
    out->base = (int64_t)step;
  }
  return heapPut(b, s->heap, s->heap_bytes, out);
}

/* The distinct texts of a chunk, in the order they came. */
typedef struct Dict {
  uint32_t *slot;  /* hash table: entry + 1, or 0 */
  uint32_t nslots; /* a power of two */
  uint32_t *row;   /* [entries] the first row with that text */
  uint16_t *code;  /* [rows] */
  uint32_t n, most;
  uint64_t heap_bytes;
} Dict;

/* The entry of row i's text, a new one if need be; 0 if there would be more than d->most. */
static int dictAdd(Dict *d, const StageColumn *s, uint64_t i) {
  const uint8_t *z = s->heap + s->bits[i];
  uint32_t n = s->len[i];
  uint64_t at = hashBytes(z, n) & (d->nslots - 1);
  for (; d->slot[at]; at = (at + 1) & (d->nslots - 1)) {
    uint32_t e = d->slot[at] - 1, r = d->row[e];
    if (s->len[r] == n && memcmp(s->heap + s->bits[r], z, n) == 0) {
      d->code[i] = (uint16_t)e;
      return 1;
    }
  }
  if (d->n == d->most) return 0;
  d->row[d->n] = (uint32_t)i;
  d->code[i] = (uint16_t)d->n;
  d->slot[at] = ++d->n;
  d->heap_bytes += n + 1;
  return 1;
}

static int dictPut(mmapsync_builder *b, const Dict *d, const StageColumn *s, uint64_t n,
                   DirChunk *out) {
  uint64_t i, at = 0;
  out->encoding = CHUNK_DICT;
  out->width = d->n <= UINT8_MAX + 1 ? 1 : 2;
  out->base = (int64_t)d->n;
  if (bufferStart(b, n * out->width, &out->data) != MMAPSYNC_OK ||
      bufferStart(b, ((uint64_t)d->n + 1) * 4, &out->aux) != MMAPSYNC_OK ||
      bufferStart(b, d->heap_bytes, &out->heap) != MMAPSYNC_OK) {
    return b->rc;
  }
  out->heap_bytes = d->heap_bytes;
  for (i = 0; i < n; i++) storeWidth(b->payload + out->data, out->width, i, d->code[i]);
  for (i = 0; i < d->n; i++) {
    uint32_t r = d->row[i];
    storeWidth(b->payload + out->aux, 4, i, at);
    memcpy(b->payload + out->heap + at, s->heap + s->bits[r], s->len[r] + 1u);
    at += s->len[r] + 1u;
  }
  storeWidth(b->payload + out->aux, 4, d->n, at);
  return MMAPSYNC_OK;
}

/* Tries a dictionary; *done says whether it was worth it.  Worth it is: at most a quarter of the rows
** are distinct, and the bytes are at most three quarters of those without it. */
static int dictEncode(mmapsync_builder *b, const StageColumn *s, uint64_t n, DirChunk *out,
                      int *done) {
  Dict d = {.nslots = 64};
  uint64_t i, plain = (n + 1) * 4 + s->heap_bytes;
  int fits = 1, rc = MMAPSYNC_OK;
  *done = 0;
  d.most = (uint32_t)(n / 4);
  if (d.most == 0) return MMAPSYNC_OK;
  while (d.nslots < d.most * 2) d.nslots *= 2;
  d.slot = calloc(d.nslots, sizeof(*d.slot));
  d.row = malloc(d.most * sizeof(*d.row));
  d.code = calloc(n, sizeof(*d.code));
  if (!d.slot || !d.row || !d.code) rc = buildNoMemory(b);
  for (i = 0; rc == MMAPSYNC_OK && fits && i < n; i++) {
    if (!isNull(s, i)) fits = dictAdd(&d, s, i);
  }
  if (rc == MMAPSYNC_OK && fits &&
      d.heap_bytes + d.n * 4 + n * (d.n <= 256 ? 1 : 2) <= plain / 4 * 3) {
    rc = dictPut(b, &d, s, n, out);
    *done = 1;
  }
  free(d.slot);
  free(d.row);
  free(d.code);
  return rc;
}

static int mixedEncode(mmapsync_builder *b, const StageColumn *s, uint64_t n, DirChunk *out) {
  uint64_t i;
  uint8_t *data, *types;
  out->encoding = CHUNK_MIXED;
  out->width = 8;
  if (heapPut(b, s->heap, s->heap_bytes, out) != MMAPSYNC_OK ||
      bufferStart(b, n * 16, &out->data) != MMAPSYNC_OK ||
      bufferStart(b, n, &out->aux) != MMAPSYNC_OK) {
    return b->rc;
  }
  data = b->payload + out->data;
  types = b->payload + out->aux;
  for (i = 0; i < n; i++) {
    uint32_t type = s->type[i] & ~(uint32_t)STAGE_FAR;
    uint64_t x = s->bits[i];
    if (type >= MMAPSYNC_TEXT && !(s->type[i] & STAGE_FAR)) x += out->heap;
    if (type == MMAPSYNC_NULL) x = 0;
    types[i] = (uint8_t)type;
    storeWidth(data, 8, 2 * i, x);
    storeWidth(data, 8, 2 * i + 1, s->len[i]);
  }
  return MMAPSYNC_OK;
}

int chunkEncode(mmapsync_builder *b, StageColumn *s, uint64_t n, DirChunk *out) {
  uint32_t types = s->types & ~(1u << MMAPSYNC_NULL), nulls = s->nulls;
  int rc = MMAPSYNC_OK, done = 0, sparse = n >= SPARSE_LEAST && nulls >= n / 2;
  memset(out, 0, sizeof(*out));
  out->nulls = s->nulls;
  if (types == 0) {
    out->encoding = CHUNK_NULLS;
    return MMAPSYNC_OK;
  }
  if (s->far || (types & (types - 1))) return mixedEncode(b, s, n, out);
  if (sparse) {
    n = sparsePut(b, s, n, out);
    s->nulls = 0;
    if (n == 0) rc = b->rc;
  }
  if (rc == MMAPSYNC_OK && types == 1u << MMAPSYNC_TEXT) rc = dictEncode(b, s, n, out, &done);
  if (rc != MMAPSYNC_OK) return rc;
  if (types == 1u << MMAPSYNC_INTEGER) {
    rc = intEncode(b, s, n, out);
  } else if (types == 1u << MMAPSYNC_REAL) {
    rc = realEncode(b, s, n, out);
  } else if (!done) {
    rc = bytesEncode(b, s, n, types == 1u << MMAPSYNC_TEXT ? CHUNK_TEXT : CHUNK_BLOB, out);
  }
  if (rc == MMAPSYNC_OK && !sparse) rc = nullsPut(b, s, n, 0, out);
  s->nulls = nulls;
  return rc;
}
