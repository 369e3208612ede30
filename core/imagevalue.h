/*
** imagevalue.h - values out of a decoded chunk.
**
** What mmapsync_get() and all that reads many values share, inlined into each.  What is read from the mapping is
** read once, and checked before it is followed: image.h says why, shared.h how.
*/
#ifndef MMAPSYNC_IMAGEVALUE_H
#define MMAPSYNC_IMAGEVALUE_H

#include <assert.h>
#include <string.h>

#include "image.h"
#include "shared.h"

static inline uint64_t loadWidth(const uint8_t *data, int width, uint64_t i) {
  switch (width) {
  case 1: return SHARED_LOAD(data + i);
  case 2: return SHARED_LOAD((const uint16_t *)(const void *)data + i);
  case 4: return SHARED_LOAD((const uint32_t *)(const void *)data + i);
  default: return SHARED_LOAD((const uint64_t *)(const void *)data + i);
  }
}

/* A text or blob between two offsets of a heap, less its NUL. */
static inline int heapValue(const Chunk *k, uint64_t from, uint64_t to, uint32_t type,
                            mmapsync_value *out) {
  if (from >= to || to > k->heap_bytes) return MMAPSYNC_CORRUPT;
  out->type = type;
  out->n = (uint32_t)(to - from - 1);
  out->u.p = k->heap + from;
  return MMAPSYNC_OK;
}

/* Text or blob number r of a chunk of those. */
static inline int bytesValue(const Chunk *k, uint64_t r, uint32_t type, mmapsync_value *out) {
  if (k->base == 0) {
    return heapValue(k, loadWidth(k->data, k->width, r), loadWidth(k->data, k->width, r + 1), type,
                     out);
  }
  out->type = type;
  out->n = (uint32_t)(k->base - 1);
  out->u.p = k->heap + r * (uint64_t)k->base; /* chunkOk() has looked where the last one ends */
  return MMAPSYNC_OK;
}

static inline int dictValue(const Chunk *k, uint64_t code, mmapsync_value *out) {
  uint64_t from, to;
  if (code >= (uint64_t)k->base) return MMAPSYNC_CORRUPT;
  from = loadWidth(k->aux, 4, code);
  to = loadWidth(k->aux, 4, code + 1);
  return heapValue(k, from, to, MMAPSYNC_TEXT, out);
}

static inline int mixedValue(const mmapsync_table *t, const Chunk *k, uint64_t r,
                             mmapsync_value *out) {
  uint64_t a = loadWidth(k->data, 8, 2 * r);
  uint64_t n = loadWidth(k->data, 8, 2 * r + 1);
  out->type = SHARED_LOAD(k->aux + r);
  switch (out->type) {
  case MMAPSYNC_NULL: return MMAPSYNC_OK;
  case MMAPSYNC_INTEGER: out->u.i = (int64_t)a; return MMAPSYNC_OK;
  case MMAPSYNC_REAL: memcpy(&out->u.r, &a, sizeof(a)); return MMAPSYNC_OK;
  case MMAPSYNC_TEXT:
  case MMAPSYNC_BLOB:
    if (n > UINT32_MAX || a >= t->size || n >= t->size - a) return MMAPSYNC_CORRUPT;
    out->n = (uint32_t)n;
    out->u.p = t->payload + a;
    return MMAPSYNC_OK;
  default: out->type = MMAPSYNC_NULL; return MMAPSYNC_CORRUPT;
  }
}

/* 64 rows of a bitmap, from row 64 * w on: bit i of the word is row i's. */
static inline uint64_t bitsWord(const uint8_t *bits, uint64_t w) {
  uint64_t x = SHARED_LOAD((const uint64_t *)(const void *)bits + w);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  x = __builtin_bswap64(x);
#endif
  return x;
}

/* Of a SPARSE chunk: the place in data of row r, or where it would be if it were not NULL.  Not checked. */
static inline uint64_t sparsePlace(const Chunk *k, uint64_t r) {
  const uint16_t *counts = (const uint16_t *)(const void *)k->null_bits;
  uint64_t below;
  assert(k->null_bits != NULL); /* chunkOk() */
  below = ~bitsWord(k->null_bits, r >> 6) & ((UINT64_C(1) << (r & 63)) - 1);
  return SHARED_LOAD(counts - 1 - (r >> 6)) + (uint64_t)__builtin_popcountll(below);
}

/* The value of row r of the chunk; r must be one of its rows. */
static inline int chunkValue(const mmapsync_table *t, const Chunk *k, uint64_t r,
                             mmapsync_value *out) {
  out->n = 0;
  if (k->null_bits && (k->null_bits[r >> 3] >> (r & 7) & 1)) {
    out->type = MMAPSYNC_NULL;
    return MMAPSYNC_OK;
  }
  if (k->flags & CHUNK_SPARSE) {
    r = sparsePlace(k, r);
    if (r >= k->stored) {
      out->type = MMAPSYNC_NULL;
      return MMAPSYNC_CORRUPT;
    }
  }
  switch (k->encoding) {
  case CHUNK_NULLS: out->type = MMAPSYNC_NULL; return MMAPSYNC_OK;
  case CHUNK_INT: {
    uint64_t x = k->width ? loadWidth(k->data, k->width, r) : k->flags & CHUNK_SEQUENCE ? r : 0;
    out->type = MMAPSYNC_INTEGER;
    out->u.i = (int64_t)((uint64_t)k->base + x);
    return MMAPSYNC_OK;
  }
  case CHUNK_REAL:
    out->type = MMAPSYNC_REAL;
    memcpy(&out->u.r, k->width ? (const void *)(k->data + 8 * r) : (const void *)&k->base, 8);
    return MMAPSYNC_OK;
  case CHUNK_TEXT: return bytesValue(k, r, MMAPSYNC_TEXT, out);
  case CHUNK_BLOB: return bytesValue(k, r, MMAPSYNC_BLOB, out);
  case CHUNK_DICT: return dictValue(k, loadWidth(k->data, k->width, r), out);
  default:
    assert(k->encoding == CHUNK_MIXED); /* chunkOk() lets no other through */
    return mixedValue(t, k, r, out);
  }
}

/* Asks for the line where the value of a row stands, or, of a text, where it is told of; with `again`, for what
** that line leads to. */
static inline void valuePrefetch(const mmapsync_table *t, int column, uint64_t row, int again) {
  const Chunk *k = &t->columns[column].chunks[row >> t->chunk_shift];
  uint64_t r = row & t->chunk_mask, from;
  if (k->flags & CHUNK_SPARSE) {
    if (!again) __builtin_prefetch(k->null_bits + r / 8);
    if (!again || (r = sparsePlace(k, r)) >= k->stored) return;
  }
  if (k->encoding == CHUNK_TEXT && k->base) {
    if (!again) __builtin_prefetch(k->heap + r * (uint64_t)k->base);
  } else if (!again) {
    if (k->width) __builtin_prefetch(k->data + r * (k->encoding == CHUNK_MIXED ? 16 : k->width));
  } else if (k->encoding == CHUNK_TEXT || k->encoding == CHUNK_BLOB) {
    from = loadWidth(k->data, k->width, r);
    if (from < k->heap_bytes) __builtin_prefetch(k->heap + from);
  }
}

#endif
