/*
** imageopen.c - checks the directory of a table image and decodes it into private memory.
**
** This is the gate of image.h's last paragraph: behind it, no number of the directory is looked at
** again.  Each record is copied out of the mapping first and checked in the copy, so that a publisher
** who changes bytes under our eyes gains nothing.  The names are copied too.
**
** One allocation holds the decoded form.  Each record in the directory asks for about its own size here,
** so that the whole is a small multiple of the directory; one that shares records to ask for more is
** refused.
*/
#include "image.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "handle.h"
#include "order.h"
#include "shared.h"

/* Most memory for each byte of the directory.  A key of one column takes most: 72 bytes there, and 232
** here. */
#define ARENA_FACTOR 8

struct mmapsync_image {
  mmapsync_view of; /* what it was made from; mmapsync_image_fits() compares */
  int ntables;
  mmapsync_table *tables;
};

/* What decoding needs at hand: the mapped bytes, their checked header, and where to put things. */
typedef struct Decoder {
  mmapsync *h;
  const uint8_t *payload;
  uint64_t size;
  ImageHeader hdr;
  const char *strings; /* private copy of the names, ends with a NUL of ours */
  uint64_t nstrings;
  uint8_t *arena; /* NULL while only measuring */
  size_t used;
  size_t room;
} Decoder;

static int damaged(const Decoder *d, const char *what) {
  return handleError(d->h, MMAPSYNC_CORRUPT, "\"%s\": damaged table image: %s", mmapsync_path(d->h),
                     what);
}

/* n bytes at offset `at` of the payload, aligned and behind the header. */
static int bufferOk(const Decoder *d, uint64_t at, uint64_t n) {
  return at >= sizeof(ImageHeader) && at % IMAGE_ALIGN == 0 && at <= d->size && n <= d->size - at;
}

/* n records of `each` bytes at offset `at` of the directory. */
static int recordsOk(const Decoder *d, uint64_t at, uint64_t n, uint64_t each) {
  return at <= d->hdr.strings && n <= (d->hdr.strings - at) / each;
}

static void fetchRecord(const Decoder *d, uint64_t at, uint64_t i, void *out, size_t each) {
  sharedCopy(out, d->payload + d->hdr.dir + at + i * each, each);
}

static const char *stringAt(const Decoder *d, uint64_t at) {
  return at < d->nstrings ? &d->strings[at] : NULL;
}

/* Room for n things of `each` bytes, in *out.  The measuring pass only counts, and gives NULL.  The
** other one finds what was counted, unless the directory has changed in between. */
static int arenaTake(Decoder *d, uint64_t n, size_t each, void *out) {
  size_t bytes = ((size_t)n * each + 63) & ~(size_t)63;
  void *p = NULL;
  if (d->used + bytes > ARENA_FACTOR * d->hdr.dir_bytes + 4096) {
    return damaged(d, "its records are shared");
  }
  if (d->arena) {
    if (bytes > d->room - d->used) return damaged(d, "it changes while it is read");
    p = d->arena + d->used;
  }
  d->used += bytes;
  memcpy(out, &p, sizeof(p)); /* out is the address of a pointer of any type */
  return MMAPSYNC_OK;
}

uint64_t chunkCount(uint64_t rows, uint32_t shift) {
  return (rows >> shift) + ((rows & ((UINT64_C(1) << shift) - 1)) != 0);
}

uint64_t chunkRows(uint64_t rows, uint32_t shift, uint64_t chunk) {
  uint64_t first = chunk << shift, full = UINT64_C(1) << shift;
  return rows - first < full ? rows - first : full;
}

uint64_t sparseCounts(uint64_t n) { return ((n + 63) / 64 * 2 + 63) & ~UINT64_C(63); }

void chunkDecode(Chunk *out, const DirChunk *in, const uint8_t *payload, uint64_t rows) {
  out->data = in->data ? payload + in->data : NULL;
  out->null_bits = in->null_bits ? payload + in->null_bits : NULL;
  out->aux = in->aux ? payload + in->aux : NULL;
  out->heap = in->heap ? payload + in->heap : NULL;
  out->heap_bytes = in->heap_bytes;
  out->base = in->base;
  if ((in->encoding == CHUNK_TEXT || in->encoding == CHUNK_BLOB) && !(in->flags & CHUNK_EVEN)) {
    out->base = 0;
  }
  out->max = in->max;
  out->encoding = in->encoding;
  out->width = in->width;
  out->flags = in->flags;
  out->stored = (uint32_t)rows - in->nulls;
}

/* Whether a chunk of n rows has every buffer its encoding reads. */
static int chunkOk(const Decoder *d, const DirChunk *c, uint64_t n) {
  int w = c->width;
  /* Those it does not read, too: a pointer to outside the payload is not even made. */
  if (c->data > d->size || c->aux > d->size || c->heap > d->size) return 0;
  if (c->null_bits && !bufferOk(d, c->null_bits, (n + 7) / 8)) return 0;
  if (c->nulls > n) return 0;
  if (c->flags & CHUNK_SPARSE) {
    if (c->null_bits < sizeof(ImageHeader) + sparseCounts(n) || c->encoding == CHUNK_MIXED ||
        !bufferOk(d, c->null_bits, (n + 63) / 64 * 8)) {
      return 0;
    }
    n -= c->nulls;
  }
  switch (c->encoding) {
  case CHUNK_NULLS: return w == 0; /* there is no data: nobody is to look for a row's place in it */
  case CHUNK_INT:
    if (w == 0) return 1;
    return (w == 1 || w == 2 || w == 4 || w == 8) && bufferOk(d, c->data, n * (uint64_t)w);
  case CHUNK_REAL: return w == 0 || (w == 8 && bufferOk(d, c->data, n * 8));
  case CHUNK_TEXT:
  case CHUNK_BLOB:
    if (c->flags & CHUNK_EVEN &&
        (c->base < 1 || (n != 0 && (uint64_t)c->base > c->heap_bytes / n))) {
      return 0;
    }
    return (w == 2 || w == 4) && bufferOk(d, c->data, (n + 1) * (uint64_t)w) &&
           bufferOk(d, c->heap, c->heap_bytes);
  case CHUNK_DICT:
    return (w == 1 || w == 2) && bufferOk(d, c->data, n * (uint64_t)w) && c->base >= 0 &&
           c->base <= UINT16_MAX + 1 && bufferOk(d, c->aux, ((uint64_t)c->base + 1) * 4) &&
           bufferOk(d, c->heap, c->heap_bytes);
  case CHUNK_MIXED: return bufferOk(d, c->data, n * 16) && bufferOk(d, c->aux, n);
  default: return 0;
  }
}

static const char *encodingName(const DirChunk *c) {
  if (c->flags & CHUNK_SPARSE) return "sparse";
  switch (c->encoding) {
  case CHUNK_NULLS: return "null";
  case CHUNK_INT:
    if (c->flags & CHUNK_SEQUENCE) return "sequence";
    return c->width == 0   ? "constant"
           : c->width == 1 ? "int8"
           : c->width == 2 ? "int16"
           : c->width == 4 ? "int32"
                           : "int64";
  case CHUNK_REAL: return c->width ? "real" : "constant";
  case CHUNK_TEXT: return "text";
  case CHUNK_BLOB: return "blob";
  case CHUNK_DICT: return c->width == 1 ? "dict8" : "dict16";
  default: return "mixed";
  }
}

/* A bound of a chunk of numbers; of type NULL if there is none to speak of. */
static mmapsync_value boundOf(const DirChunk *c, int64_t bits) {
  mmapsync_value v = {.type = c->encoding == CHUNK_INT ? MMAPSYNC_INTEGER : MMAPSYNC_REAL,
                      .u.i = bits};
  if (v.type == MMAPSYNC_REAL) memcpy(&v.u.r, &bits, sizeof(bits));
  if (orderIsNull(&v)) v.type = MMAPSYNC_NULL;
  return v;
}

/* Widens the column's bounds by those of a chunk; *numbers becomes 0 if it has none. */
static void boundsWiden(mmapsync_column_info *info, const DirChunk *c, int *numbers) {
  mmapsync_value min, max;
  if (c->encoding == CHUNK_NULLS) return;
  if (c->encoding != CHUNK_INT && c->encoding != CHUNK_REAL) {
    *numbers = 0;
    return;
  }
  min = boundOf(c, c->base);
  max = boundOf(c, c->max);
  if (min.type == MMAPSYNC_NULL || max.type == MMAPSYNC_NULL) *numbers = 0;
  if (orderIsNull(&info->min) || mmapsync_compare(&min, &info->min, 0) < 0) info->min = min;
  if (orderIsNull(&info->max) || mmapsync_compare(&max, &info->max, 0) > 0) info->max = max;
}

static int columnDecode(Decoder *d, const DirTable *dt, uint64_t c, Column *out) {
  DirColumn dc;
  uint64_t i, n = chunkCount(dt->rows, dt->chunk_shift);
  Chunk *chunks;
  const char *encoding = "null";
  unsigned kinds = 0;
  int rc, numbers = 1;
  fetchRecord(d, dt->columns, c, &dc, sizeof(dc));
  if (!recordsOk(d, dc.chunks, n, sizeof(DirChunk))) {
    return damaged(d, "a column's chunks lie outside the directory");
  }
  rc = arenaTake(d, n, sizeof(Chunk), &chunks);
  if (rc != MMAPSYNC_OK || !d->arena) return rc;
  for (i = 0; i < n; i++) {
    DirChunk k;
    fetchRecord(d, dc.chunks, i, &k, sizeof(k));
    if (!chunkOk(d, &k, chunkRows(dt->rows, dt->chunk_shift, i))) {
      return damaged(d, "a column's buffer lies outside the payload");
    }
    chunkDecode(&chunks[i], &k, d->payload, chunkRows(dt->rows, dt->chunk_shift, i));
    boundsWiden(&out->info, &k, &numbers);
    if (k.encoding != CHUNK_NULLS) kinds |= 1u << k.encoding;
    if (i == 0) {
      encoding = encodingName(&k);
    } else if (strcmp(encoding, encodingName(&k)) != 0) {
      encoding = "varied";
    }
  }
  out->chunks = chunks;
  out->numbers = kinds == 1u << CHUNK_INT ? CHUNK_INT : kinds == 1u << CHUNK_REAL ? CHUNK_REAL : 0;
  out->info.name = stringAt(d, dc.name);
  out->info.type = stringAt(d, dc.type);
  out->info.collation = stringAt(d, dc.collation);
  out->info.flags = dc.flags;
  out->info.types = dc.types;
  out->info.nulls = dc.nulls;
  out->info.bytes = dc.bytes;
  out->info.encoding = encoding;
  if (d->hdr.format == 1 && dc.types & 1u << MMAPSYNC_TEXT) {
    out->info.types |= MMAPSYNC_TYPES_NUMERIC_TEXT; /* it does not tell: it may be */
  }
  if (!numbers) out->info.min.type = out->info.max.type = MMAPSYNC_NULL;
  if (!out->info.name || !out->info.type || !out->info.collation) {
    return damaged(d, "a column's name lies outside the directory");
  }
  return MMAPSYNC_OK;
}

/* Whether the search structure is one that find can follow. */
static int searchOk(const Decoder *d, const DirTable *dt, const DirKey *k) {
  uint64_t nline = k->search_bytes / 64;
  switch (k->search_kind) {
  case SEARCH_SORTED: return 1;
  case SEARCH_DIRECT: return k->order == 0 && k->nparts == 1;
  case SEARCH_RANK:
    return k->order == 0 && k->nparts == 1 && nline > 0 && bufferOk(d, k->search, nline * 64);
  case SEARCH_HASH:
    return nline > 0 && nline <= UINT32_MAX && dt->rows > 0 && bufferOk(d, k->search, nline * 64);
  default: return 0;
  }
}

static int keyDecode(Decoder *d, const DirTable *dt, uint64_t i, Key *out) {
  static const char *const azSearch[] = {"sorted", "direct", "rank", "hash"};
  DirKey dk;
  size_t each = d->hdr.format == 1 ? DIRPART_1 : sizeof(DirPart);
  uint32_t p;
  mmapsync_part_def *parts;
  uint64_t *distinct;
  int rc;
  fetchRecord(d, dt->keys, i, &dk, sizeof(dk));
  if (dk.nparts == 0 || dk.nparts > INT32_MAX || !recordsOk(d, dk.parts, dk.nparts, each)) {
    return damaged(d, "a key's parts lie outside the directory");
  }
  rc = arenaTake(d, dk.nparts, sizeof(*parts), &parts);
  if (rc == MMAPSYNC_OK) rc = arenaTake(d, dk.nparts, sizeof(*distinct), &distinct);
  if (rc != MMAPSYNC_OK || !d->arena) return rc;
  for (p = 0; p < dk.nparts; p++) {
    DirPart dp = {.distinct = 0};
    fetchRecord(d, dk.parts, p, &dp, each);
    if (dp.column >= dt->ncolumns || !orderCollationOk(dp.collation)) {
      return damaged(d, "a key names a column or a collation that is not there");
    }
    parts[p].column = (int)dp.column;
    parts[p].collation = dp.collation;
    parts[p].desc = dp.desc != 0;
    distinct[p] = dp.distinct < dt->rows ? dp.distinct : dt->rows;
  }
  if (dk.order_width == 0) dk.order_width = 4;
  if (!searchOk(d, dt, &dk) || (dk.order_width != 2 && dk.order_width != 4) ||
      (dk.order && !bufferOk(d, dk.order, dt->rows * dk.order_width)) ||
      (!dk.order && !(dk.flags & MMAPSYNC_KEY_ORDERED) && dt->rows > 1)) {
    return damaged(d, "a key's buffer lies outside the payload");
  }
  out->order = dk.order ? d->payload + dk.order : NULL;
  out->order_width = (int)dk.order_width;
  out->search = dk.search_kind >= SEARCH_RANK ? d->payload + dk.search : NULL;
  out->nsearch = dk.search_bytes / 64;
  out->base = dk.base;
  out->search_kind = (int)dk.search_kind;
  out->parts = parts;
  out->info.name = stringAt(d, dk.name);
  out->info.flags = dk.flags & KEY_FLAGS;
  out->info.parts = parts;
  out->info.distinct = distinct;
  out->info.nparts = (int)dk.nparts;
  out->info.bytes = dk.search_bytes + (dk.order ? dt->rows * dk.order_width : 0);
  out->info.search = azSearch[dk.search_kind];
  if (!out->info.name) return damaged(d, "a key's name lies outside the directory");
  return MMAPSYNC_OK;
}

static int tableDecode(Decoder *d, uint64_t i, mmapsync_table *out) {
  DirTable dt;
  Column *columns = NULL;
  Key *keys = NULL;
  uint32_t j;
  int rc;
  fetchRecord(d, 0, i, &dt, sizeof(dt));
  if (dt.rows > IMAGE_MAX_ROWS || dt.chunk_shift > 31 || dt.ncolumns == 0 ||
      dt.ncolumns > IMAGE_MAX_COLS || dt.rowid >= (int32_t)dt.ncolumns || dt.rowid < -1 ||
      !recordsOk(d, dt.columns, dt.ncolumns, sizeof(DirColumn)) || dt.nkeys > INT32_MAX ||
      !recordsOk(d, dt.keys, dt.nkeys, sizeof(DirKey))) {
    return damaged(d, "a table's record is out of bounds");
  }
  rc = arenaTake(d, dt.ncolumns, sizeof(Column), &columns);
  if (rc == MMAPSYNC_OK) rc = arenaTake(d, dt.nkeys, sizeof(Key), &keys);
  for (j = 0; rc == MMAPSYNC_OK && j < dt.ncolumns; j++) {
    rc = columnDecode(d, &dt, j, columns ? &columns[j] : NULL);
  }
  for (j = 0; rc == MMAPSYNC_OK && j < dt.nkeys; j++) {
    rc = keyDecode(d, &dt, j, keys ? &keys[j] : NULL);
  }
  if (rc != MMAPSYNC_OK || !d->arena) return rc;
  assert(out != NULL);
  out->payload = d->payload;
  out->size = d->size;
  out->rows = dt.rows;
  out->chunk_shift = dt.chunk_shift;
  out->chunk_mask = (UINT64_C(1) << dt.chunk_shift) - 1;
  out->columns = columns;
  out->keys = keys;
  out->info.name = stringAt(d, dt.name);
  out->info.rows = dt.rows;
  out->info.bytes = dt.bytes;
  out->info.ncolumns = (int)dt.ncolumns;
  out->info.nkeys = (int)dt.nkeys;
  out->info.rowid = dt.rowid;
  out->info.flags = dt.flags;
  if (!out->info.name) return damaged(d, "a table's name lies outside the directory");
  return MMAPSYNC_OK;
}

/* Takes the header out of the mapping and checks all of it. */
static int headerDecode(Decoder *d) {
  ImageHeader *p = &d->hdr;
  if (d->size < sizeof(*p)) return damaged(d, "shorter than its header");
  sharedCopy(p, d->payload, sizeof(*p));
  if (memcmp(p->magic, IMAGE_MAGIC, sizeof(p->magic)) != 0) return damaged(d, "no magic");
  if (p->byteorder != IMAGE_BYTEORDER) {
    return handleError(d->h, MMAPSYNC_CORRUPT,
                       "\"%s\": table image of the other byte order: publish it on this machine",
                       mmapsync_path(d->h));
  }
  if (p->format < 1 || p->format > MMAPSYNC_FORMAT || p->required != 0) {
    return handleError(d->h, MMAPSYNC_CORRUPT,
                       "\"%s\": table image of format %u with features %u: this library reads "
                       "formats 1 to %d: upgrade it",
                       mmapsync_path(d->h), (unsigned)p->format, (unsigned)p->required,
                       MMAPSYNC_FORMAT);
  }
  if (p->bytes != d->size) return damaged(d, "its length is not the payload's");
  if (!bufferOk(d, p->dir, p->dir_bytes) || p->strings > p->dir_bytes || p->ntables > INT32_MAX ||
      !recordsOk(d, 0, p->ntables, sizeof(DirTable))) {
    return damaged(d, "the directory lies outside the payload");
  }
  return MMAPSYNC_OK;
}

/* Both passes: the first counts the memory the second fills. */
static int directoryDecode(Decoder *d, mmapsync_image **out) {
  uint32_t i;
  mmapsync_image *image = NULL;
  mmapsync_table *tables = NULL;
  char *strings = NULL;
  int rc = arenaTake(d, 1, sizeof(*image), &image);
  if (rc == MMAPSYNC_OK) rc = arenaTake(d, d->hdr.ntables, sizeof(*tables), &tables);
  if (rc == MMAPSYNC_OK) {
    rc = arenaTake(d, d->hdr.dir_bytes - d->hdr.strings + 1, 1, &strings);
  }
  if (rc == MMAPSYNC_OK && d->arena) {
    d->nstrings = d->hdr.dir_bytes - d->hdr.strings;
    sharedCopy(strings, d->payload + d->hdr.dir + d->hdr.strings, d->nstrings);
    strings[d->nstrings] = 0;
    d->strings = strings;
    image->ntables = (int)d->hdr.ntables;
    image->tables = tables;
    *out = image;
  }
  for (i = 0; rc == MMAPSYNC_OK && i < d->hdr.ntables; i++) {
    rc = tableDecode(d, i, tables ? &tables[i] : NULL);
  }
  return rc;
}

int mmapsync_image_open(mmapsync *h, const mmapsync_view *view, mmapsync_image **out) {
  Decoder d = {.h = h, .payload = view->data, .size = view->size};
  int rc;
  *out = NULL;
  if (view->kind > MMAPSYNC_KIND_IMAGE) {
    return handleError(h, MMAPSYNC_MISUSE,
                       "\"%s\": holds a payload of kind %u: this library reads tables of kind %d: "
                       "upgrade it, if these are tables",
                       mmapsync_path(h), view->kind, MMAPSYNC_KIND_IMAGE);
  }
  if (view->kind != MMAPSYNC_KIND_IMAGE) {
    return handleError(h, MMAPSYNC_MISUSE, "\"%s\": holds raw bytes, not tables", mmapsync_path(h));
  }
  if (view->map && view->map->holes) return damaged(&d, "its file is mostly holes");
  rc = headerDecode(&d);
  if (rc == MMAPSYNC_OK) rc = directoryDecode(&d, out);
  if (rc != MMAPSYNC_OK) return rc;
  d.room = d.used;
  d.used = 0;
  d.arena = aligned_alloc(64, d.room);
  if (d.arena == NULL) return handleNomem(h);
  memset(d.arena, 0, d.room);
  rc = directoryDecode(&d, out);
  if (rc != MMAPSYNC_OK) {
    free(d.arena);
    *out = NULL;
    return rc;
  }
  (*out)->of = *view;
  return MMAPSYNC_OK;
}

void mmapsync_image_close(mmapsync_image *image) { free(image); /* the arena starts with it */ }

int mmapsync_image_fits(const mmapsync_image *image, const mmapsync_view *view) {
  const mmapsync_view *of = &image->of;
  return of->data == view->data && of->size == view->size && of->version == view->version &&
         of->sequence == view->sequence && of->hash == view->hash && of->time_ns == view->time_ns;
}

int mmapsync_table_count(const mmapsync_image *image) { return image->ntables; }

const mmapsync_table *mmapsync_table_at(const mmapsync_image *image, int i) {
  return i >= 0 && i < image->ntables ? &image->tables[i] : NULL;
}
