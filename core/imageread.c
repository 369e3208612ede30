/*
** imageread.c - values out of a table image.
**
** mmapsync_get() reads one line of the decoded directory and then the value's own lines, and allocates
** nothing; mmapsync_get_many() does so once for all rows of a chunk.  How values are stored is known to
** imagevalue.h, which keys and filters use as well.
*/
#include "image.h"

#include <assert.h>
#include <string.h>

#include "imagevalue.h"
#include "order.h"

int mmapsync_get(const mmapsync_table *t, uint64_t row, int column, mmapsync_value *out) {
  if (row >= t->rows || column < 0 || column >= t->info.ncolumns) return MMAPSYNC_MISUSE;
  return chunkValue(t, &t->columns[column].chunks[row >> t->chunk_shift], row & t->chunk_mask, out);
}

/* Those of n rows that stand in the chunk of rows[0]: how many there are, one behind the other. */
static uint32_t rowsTogether(const mmapsync_table *t, const uint32_t *rows, uint32_t n) {
  uint64_t chunk = rows[0] >> t->chunk_shift;
  uint32_t i = 1;
  while (i < n && rows[i] >> t->chunk_shift == chunk && rows[i] < t->rows) i++;
  return i;
}

static void intsGet(const Chunk *k, uint64_t mask, const uint32_t *rows, uint32_t n,
                    mmapsync_value *out) {
  uint32_t i;
#define INTS(word)                                                                                 \
  for (i = 0; i < n; i++) {                                                                        \
    out[i].type = MMAPSYNC_INTEGER;                                                                \
    out[i].n = 0;                                                                                  \
    out[i].u.i =                                                                                   \
        (int64_t)((uint64_t)k->base + ((const word *)(const void *)k->data)[rows[i] & mask]);      \
  }
  switch (k->width) {
  case 1: INTS(uint8_t) break;
  case 2: INTS(uint16_t) break;
  case 4: INTS(uint32_t) break;
  default: INTS(uint64_t) break;
  }
#undef INTS
}

static void sequenceGet(const Chunk *k, uint64_t mask, const uint32_t *rows, uint32_t n,
                        mmapsync_value *out) {
  uint32_t i;
  for (i = 0; i < n; i++) {
    out[i].type = MMAPSYNC_INTEGER;
    out[i].n = 0;
    out[i].u.i = (int64_t)((uint64_t)k->base + (rows[i] & mask));
  }
}

static void realsGet(const Chunk *k, uint64_t mask, const uint32_t *rows, uint32_t n,
                     mmapsync_value *out) {
  uint32_t i;
  for (i = 0; i < n; i++) {
    out[i].type = MMAPSYNC_REAL;
    out[i].n = 0;
    memcpy(&out[i].u.r, k->data + 8 * (rows[i] & mask), 8);
  }
}

/* Texts of one length. */
static void evensGet(const Chunk *k, uint64_t mask, const uint32_t *rows, uint32_t n,
                     mmapsync_value *out) {
  uint32_t i;
  for (i = 0; i < n; i++) {
    out[i].type = MMAPSYNC_TEXT;
    out[i].n = (uint32_t)(k->base - 1);
    out[i].u.p = k->heap + (rows[i] & mask) * (uint64_t)k->base;
  }
}

/* Texts between offsets of 2 or 4 bytes. */
static int textsGet(const Chunk *k, uint64_t mask, const uint32_t *rows, uint32_t n,
                    mmapsync_value *out) {
  uint32_t i;
  uint64_t bad = 0;
#define TEXTS(word)                                                                                \
  for (i = 0; i < n; i++) {                                                                        \
    const word *at = (const word *)(const void *)k->data + (rows[i] & mask);                       \
    uint64_t from = SHARED_LOAD(at), to = SHARED_LOAD(at + 1);                                     \
    bad |= (uint64_t)(from >= to) | (uint64_t)(to > k->heap_bytes);                                \
    out[i].type = MMAPSYNC_TEXT;                                                                   \
    out[i].n = (uint32_t)(to - from - 1);                                                          \
    out[i].u.p = k->heap + from;                                                                   \
  }
  if (k->width == 2) {
    TEXTS(uint16_t)
  } else {
    TEXTS(uint32_t)
  }
#undef TEXTS
  return bad ? MMAPSYNC_CORRUPT : MMAPSYNC_OK;
}

static int dictsGet(const Chunk *k, uint64_t mask, const uint32_t *rows, uint32_t n,
                    mmapsync_value *out) {
  const uint32_t *aux = (const uint32_t *)(const void *)k->aux;
  uint64_t most = (uint64_t)k->base;
  uint32_t i;
  uint64_t bad = 0;
#define DICTS(word)                                                                                \
  for (i = 0; i < n; i++) {                                                                        \
    uint64_t x = SHARED_LOAD((const word *)(const void *)k->data + (rows[i] & mask)), from, to;    \
    if (x >= most) return MMAPSYNC_CORRUPT;                                                        \
    from = SHARED_LOAD(aux + x);                                                                   \
    to = SHARED_LOAD(aux + x + 1);                                                                 \
    bad |= (uint64_t)(from >= to) | (uint64_t)(to > k->heap_bytes);                                \
    out[i].type = MMAPSYNC_TEXT;                                                                   \
    out[i].n = (uint32_t)(to - from - 1);                                                          \
    out[i].u.p = k->heap + from;                                                                   \
  }
  if (k->width == 1) {
    DICTS(uint8_t)
  } else {
    DICTS(uint16_t)
  }
#undef DICTS
  return bad ? MMAPSYNC_CORRUPT : MMAPSYNC_OK;
}

int mmapsync_get_many(const mmapsync_table *t, const uint32_t *rows, uint32_t n, int column,
                      mmapsync_value *out) {
  uint32_t i, m;
  if (column < 0 || column >= t->info.ncolumns) return MMAPSYNC_MISUSE;
  for (; n > 0; n -= m, rows += m, out += m) {
    const Chunk *k;
    if (rows[0] >= t->rows) return MMAPSYNC_MISUSE;
    m = rowsTogether(t, rows, n);
    k = &t->columns[column].chunks[rows[0] >> t->chunk_shift];
    if (k->encoding == CHUNK_INT && k->width && !k->null_bits) {
      intsGet(k, t->chunk_mask, rows, m, out);
    } else if (k->encoding == CHUNK_INT && k->flags & CHUNK_SEQUENCE && !k->null_bits) {
      sequenceGet(k, t->chunk_mask, rows, m, out);
    } else if (k->encoding == CHUNK_REAL && k->width && !k->null_bits) {
      realsGet(k, t->chunk_mask, rows, m, out);
    } else if (k->encoding == CHUNK_TEXT && !k->null_bits && k->base) {
      evensGet(k, t->chunk_mask, rows, m, out);
    } else if (k->encoding == CHUNK_TEXT && !k->null_bits) {
      int rc = textsGet(k, t->chunk_mask, rows, m, out);
      if (rc != MMAPSYNC_OK) return rc;
    } else if (k->encoding == CHUNK_DICT && !k->null_bits) {
      int rc = dictsGet(k, t->chunk_mask, rows, m, out);
      if (rc != MMAPSYNC_OK) return rc;
    } else {
      for (i = 0; i < m; i++) {
        int rc = chunkValue(t, k, rows[i] & t->chunk_mask, &out[i]);
        if (rc != MMAPSYNC_OK) return rc;
      }
    }
  }
  return MMAPSYNC_OK;
}

/* What mmapsync_run says of a chunk's encoding. */
static int runKind(const Chunk *k) {
  if (k->flags & CHUNK_SPARSE) return MMAPSYNC_RUN_NONE;
  switch (k->encoding) {
  case CHUNK_INT:
    switch (k->width) {
    case 0: return k->flags & CHUNK_SEQUENCE ? MMAPSYNC_RUN_SEQUENCE : MMAPSYNC_RUN_NONE;
    case 1: return MMAPSYNC_RUN_INT8;
    case 2: return MMAPSYNC_RUN_INT16;
    case 4: return MMAPSYNC_RUN_INT32;
    default: return MMAPSYNC_RUN_INT64;
    }
  case CHUNK_REAL: return k->width ? MMAPSYNC_RUN_REAL : MMAPSYNC_RUN_NONE;
  case CHUNK_TEXT: return k->width == 2 ? MMAPSYNC_RUN_TEXT16 : MMAPSYNC_RUN_TEXT32;
  case CHUNK_DICT: return k->width == 1 ? MMAPSYNC_RUN_DICT8 : MMAPSYNC_RUN_DICT16;
  default: return MMAPSYNC_RUN_NONE;
  }
}

int mmapsync_run_of(const mmapsync_table *t, uint64_t row, int column, mmapsync_run *out) {
  uint64_t chunk = row >> t->chunk_shift;
  const Chunk *k;
  if (row >= t->rows || column < 0 || column >= t->info.ncolumns) return MMAPSYNC_MISUSE;
  k = &t->columns[column].chunks[chunk];
  out->data = k->data;
  out->null_bits = k->null_bits;
  out->aux = (const uint32_t *)(const void *)k->aux;
  out->heap = (const char *)k->heap;
  out->heap_bytes = k->heap_bytes;
  out->base = k->base;
  out->row = row & ~t->chunk_mask;
  out->rows = chunkRows(t->rows, t->chunk_shift, chunk);
  out->kind = runKind(k);
  return MMAPSYNC_OK;
}

const mmapsync_table_info *mmapsync_table_about(const mmapsync_table *t) { return &t->info; }

const mmapsync_column_info *mmapsync_column_about(const mmapsync_table *t, int c) {
  assert(c >= 0 && c < t->info.ncolumns);
  return &t->columns[c].info;
}

const mmapsync_key_info *mmapsync_key_about(const mmapsync_table *t, int k) {
  assert(k >= 0 && k < t->info.nkeys);
  return &t->keys[k].info;
}

int mmapsync_column_find(const mmapsync_table *t, const char *name) {
  int c;
  for (c = 0; c < t->info.ncolumns; c++) {
    if (orderSameName(t->columns[c].info.name, name)) return c;
  }
  return -1;
}

const mmapsync_table *mmapsync_table_find(const mmapsync_image *image, const char *name) {
  int i, n = mmapsync_table_count(image);
  for (i = 0; i < n; i++) {
    const mmapsync_table *t = mmapsync_table_at(image, i);
    if (orderSameName(t->info.name, name)) return t;
  }
  return NULL;
}
