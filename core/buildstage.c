/*
** buildstage.c - values and rows, staged until a chunk of them can be encoded.
**
** CHUNKS.  All chunks of a table but the last have 2^chunk_shift rows, so that a row number finds its
** chunk by a shift.  The shift starts from the number of columns: at most 2^20 values are staged, 13 bytes
** each.  If the texts and blobs of the first chunk come to more than STAGE_BYTES before it is full, it is
** cut at the last power of two, and that becomes the table's chunk: tables of long rows have short
** chunks, and every column keeps its own narrow encoding.
**
** LARGE VALUES.  Rows that grow later in a table, or single huge values, cannot change the chunk any more.
** What would bring the staged bytes over STAGE_MOST goes to the data file at once, and only its place is
** staged; such a column's chunk becomes MIXED.  So the publisher needs some 40 MB beyond the image,
** whatever the rows are, plus what sorting takes afterwards (buildsort.c), when staging is given back.
*/
#include "build.h"

#include <stdlib.h>
#include <string.h>

#include "order.h"

#define STAGE_CELLS (UINT64_C(1) << 20)  /* values in a chunk */
#define STAGE_BYTES (UINT64_C(12) << 20) /* of texts and blobs in the first chunk */
#define STAGE_MOST  (UINT64_C(20) << 20) /* of texts and blobs in any */
#define STAGE_KEEP  (UINT64_C(24) << 20) /* of heaps kept from chunk to chunk */
#define STAGE_SMALL 16                   /* a value this short is always staged */
#define MAX_SHIFT   16
#define MIN_SHIFT   6 /* a chunk of fewer rows costs more to describe than it saves */

/* ---- memory ---------------------------------------------------------------------------------- */

uint32_t stageShift(uint32_t ncolumns) {
  uint32_t shift = MAX_SHIFT;
  while ((UINT64_C(1) << shift) * ncolumns > STAGE_CELLS) shift--;
  return shift;
}

static void heapsFree(mmapsync_builder *b) {
  uint32_t c;
  for (c = 0; c < b->stage_cols; c++) {
    free(b->stage[c].heap);
    b->stage[c].heap = NULL;
    b->stage[c].heap_used = b->stage[c].heap_room = 0;
  }
}

void stageRelease(mmapsync_builder *b) {
  heapsFree(b);
  free(b->cells);
  b->cells = NULL;
  b->staged = b->staged_bytes = 0;
}

/* The arrays of all columns live in one block; untouched pages of it cost nothing. */
int stageOpen(mmapsync_builder *b, uint32_t n, uint32_t shift) {
  size_t rows = (size_t)1 << shift;
  uint8_t *p;
  uint32_t i;
  if (n > b->stage_cols) {
    StageColumn *s = realloc(b->stage, n * sizeof(*s));
    if (s == NULL) return buildNoMemory(b);
    memset(s + b->stage_cols, 0, (n - b->stage_cols) * sizeof(*s));
    b->stage = s;
    b->stage_cols = n;
  }
  p = b->cells = malloc(rows * n * (8 + 4 + 1));
  if (p == NULL) return buildNoMemory(b);
  for (i = 0; i < n; i++, p += rows * 8) b->stage[i].bits = (uint64_t *)(void *)p;
  for (i = 0; i < n; i++, p += rows * 4) b->stage[i].len = (uint32_t *)(void *)p;
  for (i = 0; i < n; i++, p += rows) b->stage[i].type = p;
  b->staged = b->staged_bytes = 0;
  b->column = 0;
  return MMAPSYNC_OK;
}

/* ---- from the stage to the data file --------------------------------------------------------- */

/* Whether a staged value has its bytes in the staging heap. */
static int inHeap(uint8_t type) { return type == MMAPSYNC_TEXT || type == MMAPSYNC_BLOB; }

/* Counts what the first n rows of a column hold. */
static void stageCount(StageColumn *s, uint64_t n) {
  uint64_t i;
  s->types = s->nulls = s->far = 0;
  s->heap_bytes = 0;
  for (i = 0; i < n; i++) {
    uint8_t type = s->type[i];
    s->types |= 1u << (type & ~STAGE_FAR);
    s->nulls += type == MMAPSYNC_NULL;
    s->far += (type & STAGE_FAR) != 0;
    if (inHeap(type)) s->heap_bytes += s->len[i] + 1u;
  }
}

/* How many of n bytes are zero: in words, of which each byte counts up to 255. */
static uint64_t zeroCount(const uint8_t *p, size_t n) {
  const uint64_t m7 = UINT64_C(0x7f7f7f7f7f7f7f7f), m1 = UINT64_C(0x0101010101010101);
  uint64_t count = 0;
  while (n >= 8) {
    size_t words = n / 8 < 255 ? n / 8 : 255;
    uint64_t sums = 0;
    n -= 8 * words;
    for (; words > 0; words--, p += 8) {
      uint64_t w;
      memcpy(&w, p, 8);
      sums += ~((((w & m7) + m7) | w) >> 7) & m1;
    }
    sums = (sums & UINT64_C(0x00ff00ff00ff00ff)) + (sums >> 8 & UINT64_C(0x00ff00ff00ff00ff));
    count += sums * UINT64_C(0x0001000100010001) >> 48;
  }
  for (; n > 0; n--) count += *p++ == 0;
  return count;
}

/* Whether a text or blob of the first n rows that is in the staging heap holds a NUL byte, beside that behind
** each. */
static int heapHasNul(const StageColumn *s, uint64_t n) {
  uint64_t i, count = 0;
  for (i = 0; i < n; i++) count += inHeap(s->type[i]) != 0;
  return count > 0 && zeroCount(s->heap, s->heap_bytes) > count;
}

/* Moves what stands behind the first n of a column's `staged` rows to the front. */
static void stageShiftDown(StageColumn *s, uint64_t n, uint64_t staged) {
  uint64_t i, left = staged - n;
  size_t gone = s->heap_bytes;
  memmove(s->type, s->type + n, left);
  memmove(s->len, s->len + n, left * sizeof(*s->len));
  memmove(s->bits, s->bits + n, left * sizeof(*s->bits));
  if (s->heap_used > gone) memmove(s->heap, s->heap + gone, s->heap_used - gone);
  s->heap_used -= gone;
  for (i = 0; i < left; i++) {
    if (inHeap(s->type[i]) || s->type[i] == MMAPSYNC_NULL) s->bits[i] -= gone;
  }
}

static int columnFlush(mmapsync_builder *b, BuildColumn *bc, StageColumn *s, uint64_t n) {
  uint64_t from = b->used;
  int rc;
  if (bc->nchunks == bc->room) {
    uint64_t room = bc->room ? bc->room * 2 : 4;
    DirChunk *p = realloc(bc->chunks, room * sizeof(*p));
    if (p == NULL) return buildNoMemory(b);
    bc->chunks = p;
    bc->room = room;
  }
  stageCount(s, n);
  if (s->nulls > 0 && (bc->dir.flags & MMAPSYNC_COLUMN_NOTNULL)) {
    return buildFail(b, MMAPSYNC_CONSTRAINT, "\"%s\": table \"%s\": NULL in column \"%s\"",
                     mmapsync_path(b->h), buildTableName(b, b->open), b->strings + bc->dir.name);
  }
  if (!bc->nul) bc->nul = heapHasNul(s, n);
  rc = chunkEncode(b, s, n, &bc->chunks[bc->nchunks]);
  if (rc != MMAPSYNC_OK) return rc;
  bc->nchunks++;
  bc->dir.nulls += s->nulls;
  bc->dir.types |= s->types;
  bc->dir.flags &= ~(uint32_t)MMAPSYNC_COLUMN_CLEAN;
  if (!bc->nul && bc->dir.types & 1u << MMAPSYNC_TEXT) bc->dir.flags |= MMAPSYNC_COLUMN_CLEAN;
  bc->dir.bytes += b->used - from;
  stageShiftDown(s, n, b->staged);
  return MMAPSYNC_OK;
}

/* Encodes the first n rows as a chunk and keeps the rest. */
static int chunkFlush(mmapsync_builder *b, uint64_t n) {
  BuildTable *t = b->open;
  uint64_t room = 0;
  uint32_t c;
  b->staged_bytes = 0;
  for (c = 0; c < t->dir.ncolumns; c++) {
    int rc = columnFlush(b, &t->columns[c], &b->stage[c], n);
    if (rc != MMAPSYNC_OK) return rc;
    b->staged_bytes += b->stage[c].heap_used;
    room += b->stage[c].heap_room;
  }
  b->staged -= n;
  progressDone(b->h, t->dir.rows, b->used);
  if (b->staged == 0 && room > STAGE_KEEP) heapsFree(b);
  return handleProgress(b->h) == MMAPSYNC_OK ? MMAPSYNC_OK : (b->rc = MMAPSYNC_INTERRUPT);
}

int stageFlush(mmapsync_builder *b) { return b->staged ? chunkFlush(b, b->staged) : MMAPSYNC_OK; }

/* Makes the first chunk end at the last power of two, if its rows turn out to be long. */
static int chunkNarrow(mmapsync_builder *b) {
  BuildTable *t = b->open;
  uint32_t shift = t->dir.chunk_shift;
  while (b->staged >> shift == 0) shift--;
  if (shift < MIN_SHIFT) return MMAPSYNC_OK;
  t->dir.chunk_shift = shift;
  return chunkFlush(b, UINT64_C(1) << shift);
}

/* ---- values ---------------------------------------------------------------------------------- */

/* The column the next value goes to, or NULL with the failure set. */
static StageColumn *stageNext(mmapsync_builder *b, uint32_t type) {
  StageColumn *s;
  if (b->rc != MMAPSYNC_OK) return NULL;
  if (b->open == NULL || b->column >= b->open->dir.ncolumns) {
    buildFail(b, MMAPSYNC_MISUSE, "\"%s\": a value %s", mmapsync_path(b->h),
              b->open ? "too many" : "before any table");
    return NULL;
  }
  s = &b->stage[b->column++];
  s->type[b->staged] = (uint8_t)type;
  s->len[b->staged] = 0;
  return s;
}

int mmapsync_build_null(mmapsync_builder *b) {
  StageColumn *s = stageNext(b, MMAPSYNC_NULL);
  if (s == NULL) return b->rc;
  s->bits[b->staged] = s->heap_used; /* an offset array must not fall */
  return MMAPSYNC_OK;
}

int mmapsync_build_int(mmapsync_builder *b, int64_t value) {
  StageColumn *s = stageNext(b, MMAPSYNC_INTEGER);
  if (s == NULL) return b->rc;
  s->bits[b->staged] = (uint64_t)value;
  return MMAPSYNC_OK;
}

int mmapsync_build_real(mmapsync_builder *b, double value) {
  StageColumn *s;
  if (value != value) return mmapsync_build_null(b); /* NaN is NULL, as in SQLite */
  s = stageNext(b, MMAPSYNC_REAL);
  if (s == NULL) return b->rc;
  memcpy(&s->bits[b->staged], &value, sizeof(value));
  return MMAPSYNC_OK;
}

/* Makes room for n more bytes in a column's staging heap. */
static int heapRoom(mmapsync_builder *b, StageColumn *s, size_t n) {
  size_t room;
  uint8_t *p;
  if (n <= s->heap_room - s->heap_used) return MMAPSYNC_OK;
  room = s->heap_room + s->heap_room / 2 + n + 64;
  p = realloc(s->heap, room);
  if (p == NULL) return buildNoMemory(b);
  s->heap = p;
  s->heap_room = room;
  return MMAPSYNC_OK;
}

static int stageBytes(mmapsync_builder *b, uint32_t type, const void *bytes, size_t n) {
  StageColumn *s = stageNext(b, type);
  uint8_t *to;
  if (s == NULL) return b->rc;
  if (n >= UINT32_MAX) {
    return buildTableFail(b, MMAPSYNC_TOOBIG, buildTableName(b, b->open), "a value over 4 GB");
  }
  s->len[b->staged] = (uint32_t)n;
  if (n > STAGE_SMALL && b->staged_bytes + n > STAGE_MOST) {
    if (buildReserve(b, n + 1) != MMAPSYNC_OK) return b->rc;
    to = b->payload + b->used;
    s->bits[b->staged] = b->used;
    s->type[b->staged] |= STAGE_FAR;
    b->used += n + 1;
    b->open->columns[b->column - 1].dir.bytes += n + 1;
    if (memchr(bytes, 0, n)) b->open->columns[b->column - 1].nul = 1;
  } else {
    if (heapRoom(b, s, n + 1) != MMAPSYNC_OK) return b->rc;
    to = s->heap + s->heap_used;
    s->bits[b->staged] = s->heap_used;
    s->heap_used += n + 1;
    b->staged_bytes += n + 1;
  }
  if (n) memcpy(to, bytes, n);
  to[n] = 0;
  return MMAPSYNC_OK;
}

/* Notes whether the text looks like a number, until one of the column has. */
static void numericNote(mmapsync_builder *b, const uint8_t *z, size_t n) {
  uint32_t *types;
  if (n == 0 || z[0] > '9' || (z[0] < '0' && !strchr("+-. \t\n\v\f\r", z[0]))) return;
  if (b->open == NULL || b->column >= b->open->dir.ncolumns) return;
  types = &b->open->columns[b->column].dir.types;
  if (!(*types & MMAPSYNC_TYPES_NUMERIC_TEXT) && orderNumericText(z, n)) {
    *types |= MMAPSYNC_TYPES_NUMERIC_TEXT;
  }
}

int mmapsync_build_text(mmapsync_builder *b, const void *bytes, size_t n) {
  numericNote(b, bytes, n);
  return stageBytes(b, MMAPSYNC_TEXT, bytes, n);
}

int mmapsync_build_blob(mmapsync_builder *b, const void *bytes, size_t n) {
  return stageBytes(b, MMAPSYNC_BLOB, bytes, n);
}

int mmapsync_build_row(mmapsync_builder *b) {
  BuildTable *t = b->open;
  if (b->rc != MMAPSYNC_OK) return b->rc;
  if (t == NULL) {
    return buildFail(b, MMAPSYNC_MISUSE, "\"%s\": a row before any table", mmapsync_path(b->h));
  }
  if (b->column != t->dir.ncolumns) {
    return buildFail(b, MMAPSYNC_MISUSE, "\"%s\": a row with %u values: expected %u",
                     mmapsync_path(b->h), b->column, t->dir.ncolumns);
  }
  if (t->dir.rows == IMAGE_MAX_ROWS) {
    return buildTableFail(b, MMAPSYNC_TOOBIG, buildTableName(b, t), "more than 4294967294 rows");
  }
  b->column = 0;
  t->dir.rows++;
  if (++b->staged >> t->dir.chunk_shift) return chunkFlush(b, b->staged);
  if (b->staged_bytes > STAGE_BYTES && t->columns[0].nchunks == 0) return chunkNarrow(b);
  return MMAPSYNC_OK;
}
