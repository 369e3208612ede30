#define _GNU_SOURCE
/*
** mutate.c - changes to a table image that leave most of it sound.
**
** Bytes that are changed blindly mostly break the header, or hit the values of a text; behind the checks of
** imageopen.c nothing then gets.  So this knows what image.h says.  It finds the records of the directory and
** changes one field of one of them, to what is next to it, what another record has there, an end of the payload,
** or anything; swaps or copies records; changes single elements of the buffers that a record names (row numbers,
** offsets, codes, hash buckets); makes the image longer, or of many chunks.  At last the few numbers without which nothing is looked
** at are put right again, most of the time.
**
** An image may be damaged already when it comes: every record is looked for within the bytes there are.
*/
#include "mutate.h"

#include "fuzz.h"
#include "image.h"

/* ---- records ---------------------------------------------------------------------------------- */

typedef struct Field {
  uint16_t at;
  uint16_t bytes;
} Field;

#define FIELD(type, name)                                                                          \
  { offsetof(type, name), sizeof(((type *)0)->name) }

static const Field headerFields[] = {
    FIELD(ImageHeader, format), FIELD(ImageHeader, required),  FIELD(ImageHeader, ntables),
    FIELD(ImageHeader, bytes),  FIELD(ImageHeader, dir),       FIELD(ImageHeader, dir_bytes),
    FIELD(ImageHeader, rows),   FIELD(ImageHeader, byteorder), FIELD(ImageHeader, strings)};
static const Field tableFields[] = {
    FIELD(DirTable, name),     FIELD(DirTable, rows),  FIELD(DirTable, columns),
    FIELD(DirTable, keys),     FIELD(DirTable, flags), FIELD(DirTable, rowid),
    FIELD(DirTable, ncolumns), FIELD(DirTable, nkeys), FIELD(DirTable, chunk_shift)};
static const Field columnFields[] = {FIELD(DirColumn, name),      FIELD(DirColumn, type),
                                     FIELD(DirColumn, collation), FIELD(DirColumn, chunks),
                                     FIELD(DirColumn, nulls),     FIELD(DirColumn, flags),
                                     FIELD(DirColumn, types)};
static const Field chunkFields[] = {
    FIELD(DirChunk, encoding), FIELD(DirChunk, width),     FIELD(DirChunk, flags),
    FIELD(DirChunk, nulls),    FIELD(DirChunk, base),      FIELD(DirChunk, max),
    FIELD(DirChunk, data),     FIELD(DirChunk, null_bits), FIELD(DirChunk, aux),
    FIELD(DirChunk, heap),     FIELD(DirChunk, heap_bytes)};
static const Field keyFields[] = {FIELD(DirKey, name),        FIELD(DirKey, parts),
                                  FIELD(DirKey, nparts),      FIELD(DirKey, flags),
                                  FIELD(DirKey, order),       FIELD(DirKey, search),
                                  FIELD(DirKey, search_kind), FIELD(DirKey, order_width),
                                  FIELD(DirKey, base),        FIELD(DirKey, search_bytes)};
static const Field partFields[] = {FIELD(DirPart, column), FIELD(DirPart, collation),
                                   FIELD(DirPart, desc), FIELD(DirPart, distinct)};

enum { HEADER, TABLE, COLUMN, CHUNK, KEY, PART, KINDS };

static const struct {
  const Field *fields;
  unsigned n;
  size_t bytes;
} kinds[KINDS] = {
    {headerFields, sizeof(headerFields) / sizeof(Field), sizeof(ImageHeader)},
    {tableFields, sizeof(tableFields) / sizeof(Field), sizeof(DirTable)},
    {columnFields, sizeof(columnFields) / sizeof(Field), sizeof(DirColumn)},
    {chunkFields, sizeof(chunkFields) / sizeof(Field), sizeof(DirChunk)},
    {keyFields, sizeof(keyFields) / sizeof(Field), sizeof(DirKey)},
    {partFields, sizeof(partFields) / sizeof(Field), sizeof(DirPart)},
};

typedef struct Mutation {
  uint8_t *image;
  size_t n;
  Dice dice;
  uint64_t rows; /* of the table last looked at */
} Mutation;

/* Record i of a list that stands at `at` of the directory: its place in the image; 0 if there is none. */
static size_t recordAt(const Mutation *m, uint64_t at, uint64_t i, size_t bytes) {
  ImageHeader hdr;
  memcpy(&hdr, m->image, sizeof(hdr));
  if (hdr.dir > m->n || at > m->n || i > m->n) return 0;
  at += hdr.dir + i * bytes;
  return at <= m->n && bytes <= m->n - at ? at : 0;
}

/* Any record of this kind. */
static size_t recordPick(Mutation *m, int kind) {
  ImageHeader hdr;
  DirTable t;
  DirColumn c;
  DirKey k;
  uint64_t chunks;
  size_t at;

  if (kind == HEADER) return 0;
  memcpy(&hdr, m->image, sizeof(hdr));
  at = recordAt(m, 0, dice(&m->dice, hdr.ntables), sizeof(t));
  if (at == 0 || kind == TABLE) return at;
  memcpy(&t, m->image + at, sizeof(t));
  m->rows = t.rows;
  if (kind == COLUMN || kind == CHUNK) {
    at = recordAt(m, t.columns, dice(&m->dice, t.ncolumns), sizeof(c));
    if (at == 0 || kind == COLUMN) return at;
    memcpy(&c, m->image + at, sizeof(c));
    chunks = t.rows >> (t.chunk_shift & 31);
    return recordAt(m, c.chunks, dice(&m->dice, chunks + 1), sizeof(DirChunk));
  }
  at = recordAt(m, t.keys, dice(&m->dice, t.nkeys), sizeof(k));
  if (at == 0 || kind == KEY) return at;
  memcpy(&k, m->image + at, sizeof(k));
  return recordAt(m, k.parts, dice(&m->dice, k.nparts), sizeof(DirPart));
}

/* ---- changes ---------------------------------------------------------------------------------- */

static uint64_t numberAt(const Mutation *m, size_t at, size_t bytes) {
  uint64_t x = 0;
  memcpy(&x, m->image + at,
         bytes); /* of a machine whose low byte comes first; others mutate less well */
  return x;
}

/* Something else for a number. */
static uint64_t numberElse(Mutation *m, uint64_t x, size_t bytes) {
  Dice *d = &m->dice;
  switch (dice(d, 14)) {
  case 0: return x + 1;
  case 1: return x - 1;
  case 2: return 0;
  case 3: return x ^ UINT64_C(1) << dice(d, 8 * bytes);
  case 4: return dice(d, 8);
  case 5: return (m->n & ~(uint64_t)63) - 64 * dice(d, 4);
  case 6: return m->n + dice(d, 3) - 1;
  case 7: return UINT64_MAX >> dice(d, 3);
  case 8: return x + 64;
  case 9: return x - 64;
  case 10: return m->rows + dice(d, 3) - 1;
  case 11: return diceWord(d) >> dice(d, 64);
  case 12: return x * 2;
  default: return x / 2;
  }
}

static void changeField(Mutation *m) {
  static const uint8_t likely[] = {HEADER, TABLE, TABLE, COLUMN, CHUNK, CHUNK,
                                   CHUNK,  CHUNK, CHUNK, KEY,    KEY,   PART};
  int kind = likely[dice(&m->dice, sizeof(likely))];
  const Field *f = &kinds[kind].fields[dice(&m->dice, kinds[kind].n)];
  size_t at = recordPick(m, kind), other = recordPick(m, kind);
  uint64_t x;

  if (kind != HEADER && at == 0) return;
  x = numberElse(m, numberAt(m, at + f->at, f->bytes), f->bytes);
  if (other != 0 && dice(&m->dice, 3) == 0) x = numberAt(m, other + f->at, f->bytes);
  memcpy(m->image + at + f->at, &x, f->bytes);
}

/* One record becomes another, or both change places. */
static void changeRecords(Mutation *m) {
  int kind = (int)(TABLE + dice(&m->dice, KINDS - TABLE));
  size_t a = recordPick(m, kind), b = recordPick(m, kind);
  uint8_t was[64];
  if (a == 0 || b == 0) return;
  memcpy(was, m->image + a, kinds[kind].bytes);
  memmove(m->image + a, m->image + b, kinds[kind].bytes); /* they may overlap */
  if (dice(&m->dice, 2)) memcpy(m->image + b, was, kinds[kind].bytes);
}

/* An element of a buffer. */
static void changeElement(Mutation *m) {
  uint64_t buffer, width, n, at, x;
  int kind = dice(&m->dice, 3) ? CHUNK : KEY;
  size_t record = recordPick(m, kind);

  if (record == 0) return;
  if (kind == CHUNK) {
    DirChunk c;
    memcpy(&c, m->image + record, sizeof(c));
    switch (dice(&m->dice, 4)) {
    case 0: buffer = c.null_bits, width = 1, n = m->rows / 8 + 1; break;
    case 1: buffer = c.aux, width = c.encoding == CHUNK_MIXED ? 1 : 4, n = m->rows + 1; break;
    case 2: buffer = c.heap, width = 1, n = c.heap_bytes; break;
    default: buffer = c.data, width = c.encoding == CHUNK_MIXED ? 8 : c.width, n = m->rows + 1;
    }
  } else {
    DirKey k;
    memcpy(&k, m->image + record, sizeof(k));
    buffer = dice(&m->dice, 2) ? k.order : k.search;
    width = buffer == k.order ? k.order_width : dice(&m->dice, 2) ? 4 : 1;
    n = buffer == k.order ? m->rows : k.search_bytes / width;
  }
  if (width > 8 || width == 0 || buffer == 0 || buffer >= m->n) return;
  if (n > 1 << 16) n = 1 << 16;
  at = buffer + dice(&m->dice, n ? n : 1) * width;
  if (at > m->n || width > m->n - at) return;
  x = numberElse(m, numberAt(m, at, width), width);
  memcpy(m->image + at, &x, width);
}

/* More bytes before the directory, for offsets to lead to. */
static void changeLength(Mutation *m, size_t most) {
  ImageHeader hdr;
  size_t more = 64 * (1 + dice(&m->dice, 8));
  memcpy(&hdr, m->image, sizeof(hdr));
  if (hdr.dir > m->n || hdr.dir < sizeof(hdr) || more > most - m->n) return;
  memmove(m->image + hdr.dir + more, m->image + hdr.dir, m->n - hdr.dir);
  memset(m->image + hdr.dir, (int)dice(&m->dice, 4) * 85, more);
  m->n += more;
  hdr.dir += more;
  memcpy(m->image, &hdr, sizeof(hdr));
}

/* The rows of a table in many chunks: as many records, all with the buffers of its columns' first ones.  Small seeds
** have one chunk a column, and what goes from one to the next would hardly ever be run. */
static void changeChunks(Mutation *m, size_t most) {
  ImageHeader hdr;
  DirTable t;
  DirColumn c;
  DirChunk k;
  size_t record = recordPick(m, TABLE), table, at, from, more, n, i, j;

  if (record == 0) return;
  memcpy(&hdr, m->image, sizeof(hdr));
  memcpy(&t, m->image + record, sizeof(t));
  if (t.rows == 0 || t.rows > 4096 || t.ncolumns > 64) return;
  t.chunk_shift = (uint32_t)(2 + dice(&m->dice, 5));
  table = record;
  n = (size_t)(t.rows >> t.chunk_shift) + 1;
  more = n * t.ncolumns * sizeof(k);
  if (hdr.strings > m->n || hdr.dir > m->n - hdr.strings || more > most - m->n) return;
  at = (size_t)(hdr.dir + hdr.strings);
  memcpy(m->image + table, &t, sizeof(t));
  memmove(m->image + at + more, m->image + at, m->n - at);
  m->n += more;
  for (i = 0; i < t.ncolumns; i++) {
    record = recordAt(m, t.columns, i, sizeof(c));
    if (record == 0) break;
    memcpy(&c, m->image + record, sizeof(c));
    from = recordAt(m, c.chunks, 0, sizeof(k));
    if (from == 0) break;
    memcpy(&k, m->image + from, sizeof(k));
    if (k.nulls > 1) k.nulls = (uint32_t)dice(&m->dice, 1u << t.chunk_shift);
    for (j = 0; j < n; j++) {
      memcpy(m->image + at + (i * n + j) * sizeof(k), &k, sizeof(k));
      if (k.encoding == CHUNK_INT && dice(&m->dice, 2))
        k.base = (int64_t)((uint64_t)k.base + dice(&m->dice, 64) - 20);
    }
    c.chunks = hdr.strings + i * n * sizeof(k);
    memcpy(m->image + record, &c, sizeof(c));
  }
  hdr.strings += more;
  hdr.dir_bytes += more;
  memcpy(m->image, &hdr, sizeof(hdr));
}

/* What is looked at before all else. */
static void mend(Mutation *m) {
  ImageHeader hdr;
  memcpy(&hdr, m->image, sizeof(hdr));
  memcpy(hdr.magic, IMAGE_MAGIC, sizeof(hdr.magic));
  hdr.byteorder = IMAGE_BYTEORDER;
  if (hdr.format != 1) hdr.format = MMAPSYNC_FORMAT;
  hdr.required = 0;
  hdr.bytes = m->n;
  if (hdr.dir > m->n) hdr.dir = m->n / 2;
  if (hdr.dir_bytes > m->n - hdr.dir) hdr.dir_bytes = m->n - hdr.dir;
  if (hdr.strings > hdr.dir_bytes) hdr.strings = hdr.dir_bytes;
  memcpy(m->image, &hdr, sizeof(hdr));
}

size_t mutateImage(uint8_t *image, size_t n, size_t most, uint64_t seed) {
  Mutation m = {.image = image, .n = n, .dice = {seed}};
  int more = 1 + (int)dice(&m.dice, 4);

  if (n < sizeof(ImageHeader)) return LLVMFuzzerMutate(image, n, most);
  for (; more > 0; more--) {
    switch (dice(&m.dice, 16)) {
    case 0: m.n = LLVMFuzzerMutate(image, m.n, most); break;
    case 1:
      if (dice(&m.dice, 2)) {
        changeLength(&m, most);
      } else {
        changeChunks(&m, most);
      }
      break;
    case 2:
    case 3: changeRecords(&m); break;
    case 4:
    case 5:
    case 6:
    case 7: changeElement(&m); break;
    default: changeField(&m);
    }
    if (m.n < sizeof(ImageHeader)) return m.n;
  }
  if (dice(&m.dice, 16)) mend(&m);
  return m.n;
}
