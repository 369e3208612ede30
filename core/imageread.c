/*
** imageread.c - values out of a table image.
**
** mmapsync_get() is the one way to a value; everything above (keys, the virtual table, a C program)
** goes through it or through the decoded chunks it uses.  It reads one line of the decoded directory
** and then the value's own lines, and allocates nothing.
*/
#include "image.h"

#include <assert.h>
#include <string.h>

#include "order.h"

static uint64_t loadWidth(const uint8_t *data, int width, uint64_t i) {
  switch (width) {
  case 1: return data[i];
  case 2: return ((const uint16_t *)(const void *)data)[i];
  case 4: return ((const uint32_t *)(const void *)data)[i];
  default: return ((const uint64_t *)(const void *)data)[i];
  }
}

/* A text or blob between two offsets of a heap, less its NUL. */
static int heapValue(const Chunk *k, uint64_t from, uint64_t to, uint32_t type,
                     mmapsync_value *out) {
  if (from >= to || to > k->heap_bytes) return MMAPSYNC_CORRUPT;
  out->type = type;
  out->n = (uint32_t)(to - from - 1);
  out->u.p = k->heap + from;
  return MMAPSYNC_OK;
}

static int dictValue(const Chunk *k, uint64_t code, mmapsync_value *out) {
  uint64_t from, to;
  if (code >= (uint64_t)k->base) return MMAPSYNC_CORRUPT;
  from = loadWidth(k->aux, 4, code);
  to = loadWidth(k->aux, 4, code + 1);
  return heapValue(k, from, to, MMAPSYNC_TEXT, out);
}

static int mixedValue(const mmapsync_table *t, const Chunk *k, uint64_t r, mmapsync_value *out) {
  uint64_t a = loadWidth(k->data, 8, 2 * r);
  uint64_t n = loadWidth(k->data, 8, 2 * r + 1);
  out->type = k->aux[r];
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

int mmapsync_get(const mmapsync_table *t, uint64_t row, int column, mmapsync_value *out) {
  const Chunk *k;
  uint64_t r = row & t->chunk_mask;
  if (row >= t->rows || column < 0 || column >= t->info.ncolumns) return MMAPSYNC_MISUSE;
  k = &t->columns[column].chunks[row >> t->chunk_shift];
  out->n = 0;
  if (k->null_bits && (k->null_bits[r >> 3] >> (r & 7) & 1)) {
    out->type = MMAPSYNC_NULL;
    return MMAPSYNC_OK;
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
  case CHUNK_TEXT:
    return heapValue(k, loadWidth(k->data, k->width, r), loadWidth(k->data, k->width, r + 1),
                     MMAPSYNC_TEXT, out);
  case CHUNK_BLOB:
    return heapValue(k, loadWidth(k->data, k->width, r), loadWidth(k->data, k->width, r + 1),
                     MMAPSYNC_BLOB, out);
  case CHUNK_DICT: return dictValue(k, loadWidth(k->data, k->width, r), out);
  case CHUNK_MIXED: return mixedValue(t, k, r, out);
  default: assert(0 && "chunkOk() lets no other encoding through"); return MMAPSYNC_CORRUPT;
  }
}

int mmapsync_get_many(const mmapsync_table *t, const uint32_t *rows, uint32_t n, int column,
                      mmapsync_value *out) {
  uint32_t i;
  int rc = MMAPSYNC_OK;
  for (i = 0; i < n && rc == MMAPSYNC_OK; i++) rc = mmapsync_get(t, rows[i], column, &out[i]);
  return rc;
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
