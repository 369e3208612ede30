/*
** build.c - publishing tables: rows in, table image out, straight into the data file.
**
** Rows arrive in one pass, in an order the caller vouches for, with no count given beforehand.  They are
** staged until a chunk is full (buildstage.c); then each column of the chunk is encoded (buildchunk.c)
** behind what the data file holds already.  When a table ends its keys are built (buildkeys.c); when the
** image ends the directory is written, then the header.
**
** GROWTH.  The file is reserved (posix_fallocate, in write.c) before it is written to, an eighth more
** than is there each time, so that a growing file costs few system calls and a full disk is an error and
** not a signal.  The commit gives back what was reserved in vain.
*/
#include "build.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "order.h"

#define FIRST_RESERVE (UINT64_C(64) << 10)

int(buildFail)(mmapsync_builder *b, int rc, const char *fmt, ...) {
  char zText[HANDLE_MESSAGE_MAX];
  va_list ap;
  assert(b->rc == MMAPSYNC_OK); /* after the first failure nobody comes here */
  va_start(ap, fmt);
  vsnprintf(zText, sizeof(zText), fmt, ap);
  va_end(ap);
  b->rc = rc;
  return handleError(b->h, rc, "%s", zText);
}

int(buildNoMemory)(mmapsync_builder *b) {
  assert(b->rc == MMAPSYNC_OK);
  return b->rc = handleNomem(b->h);
}

const char *buildTableName(const mmapsync_builder *b, const BuildTable *t) {
  return b->strings + t->dir.name;
}

int buildTableFail(mmapsync_builder *b, int rc, const char *zTable, const char *zWhat) {
  return buildFail(b, rc, "\"%s\": table \"%s\": %s", mmapsync_path(b->h), zTable, zWhat);
}

/* ---- the payload ----------------------------------------------------------------------------- */

int buildReserve(mmapsync_builder *b, uint64_t n) {
  uint64_t need = b->used + n + IMAGE_ALIGN, want;
  void *p;
  int rc;
  if (need <= b->room) return MMAPSYNC_OK;
  want = b->room + b->room / 8;
  if (want < need) want = need;
  rc = writeGrow(b->h, want, &p);
  if ((rc == MMAPSYNC_FULL || rc == MMAPSYNC_TOOBIG) && want > need)
    rc = writeGrow(b->h, want = need, &p);
  if (rc != MMAPSYNC_OK) return b->rc = rc;
  b->payload = p;
  b->room = want;
  return MMAPSYNC_OK;
}

uint64_t buildTake(mmapsync_builder *b, uint64_t n) {
  uint64_t at = (b->used + IMAGE_ALIGN - 1) & ~(uint64_t)(IMAGE_ALIGN - 1);
  assert(at + n <= b->room);
  memset(b->payload + b->used, 0, at - b->used); /* the same data gives the same bytes */
  b->used = at + n;
  return at;
}

/* Keeps a name; its offset in *at. */
static int stringKeep(mmapsync_builder *b, const char *z, uint64_t *at) {
  size_t n = strlen(z) + 1;
  if (n > b->strings_room - b->strings_bytes) {
    size_t room = (b->strings_room + n) * 2;
    char *p = realloc(b->strings, room);
    if (p == NULL) return buildNoMemory(b);
    b->strings = p;
    b->strings_room = room;
  }
  memcpy(b->strings + b->strings_bytes, z, n);
  *at = b->strings_bytes;
  b->strings_bytes += n;
  return MMAPSYNC_OK;
}

/* ---- tables ---------------------------------------------------------------------------------- */

static void tableFree(BuildTable *t) {
  uint32_t i;
  for (i = 0; t->columns && i < t->dir.ncolumns; i++) free(t->columns[i].chunks);
  for (i = 0; t->keys && i < t->dir.nkeys; i++) free(t->keys[i].parts);
  free(t->columns);
  free(t->keys);
}

/* Why a definition cannot be built, or NULL. */
static const char *definitionFault(const mmapsync_table_def *def) {
  int i, p, ordered = 0;
  if (def->name == NULL) return "it has no name";
  if (def->ncolumns < 1) return "it has no columns";
  if (def->nkeys < 0) return "it has fewer than no keys";
  if (def->rowid < -1 || def->rowid >= def->ncolumns) return "its rowid is not one of its columns";
  for (i = 0; i < def->ncolumns; i++) {
    if (def->columns[i].name == NULL) return "a column has no name";
  }
  for (i = 0; i < def->nkeys; i++) {
    const mmapsync_key_def *k = &def->keys[i];
    if (k->name == NULL || k->nparts < 1) return "a key has no name or no columns";
    ordered += (k->flags & MMAPSYNC_KEY_ORDERED) != 0;
    for (p = 0; p < k->nparts; p++) {
      if (k->parts[p].column < 0 || k->parts[p].column >= def->ncolumns) {
        return "a key names a column that is not there";
      }
      if (!orderCollationOk(k->parts[p].collation)) return "a key has an unknown collation";
    }
  }
  return ordered > 1 ? "two keys claim the order of its rows" : NULL;
}

static int columnStart(mmapsync_builder *b, BuildColumn *c, const mmapsync_column_def *def) {
  int rc = stringKeep(b, def->name, &c->dir.name);
  if (rc == MMAPSYNC_OK) rc = stringKeep(b, def->type ? def->type : "", &c->dir.type);
  if (rc == MMAPSYNC_OK) {
    rc = stringKeep(b, def->collation ? def->collation : "BINARY", &c->dir.collation);
  }
  c->dir.flags = def->flags & ~(uint32_t)MMAPSYNC_COLUMN_CLEAN;
  return rc;
}

static int keyStart(mmapsync_builder *b, BuildKey *k, const mmapsync_key_def *def) {
  int p, rc = stringKeep(b, def->name, &k->dir.name);
  if (rc != MMAPSYNC_OK) return rc;
  k->parts = calloc((size_t)def->nparts, sizeof(DirPart));
  if (k->parts == NULL) return buildNoMemory(b);
  k->dir.flags = def->flags & KEY_FLAGS;
  k->dir.nparts = (uint32_t)def->nparts;
  for (p = 0; p < def->nparts; p++) {
    k->parts[p].column = (uint32_t)def->parts[p].column;
    k->parts[p].collation = (uint16_t)def->parts[p].collation;
    k->parts[p].desc = def->parts[p].desc != 0;
  }
  return MMAPSYNC_OK;
}

/* Ends the table that takes rows, if there is one. */
static int tableEnd(mmapsync_builder *b) {
  BuildTable *t = b->open;
  int rc;
  if (b->rc != MMAPSYNC_OK || t == NULL) return b->rc;
  if (b->column != 0)
    return buildTableFail(b, MMAPSYNC_MISUSE, buildTableName(b, t), "its last row is not ended");
  rc = stageFlush(b);
  stageRelease(b); /* sorting wants the memory */
  progressTell(b->h, MMAPSYNC_PHASE_INDEXING);
  if (rc == MMAPSYNC_OK) rc = keysBuild(b, t);
  t->dir.bytes = b->used - t->dir.bytes;
  b->open = NULL;
  progressTable(b->h, ""); /* the next may take a while to give its first row */
  progressTell(b->h, MMAPSYNC_PHASE_WRITING);
  return rc;
}

int mmapsync_build_end(mmapsync_builder *b) { return tableEnd(b); }

int mmapsync_build_table(mmapsync_builder *b, const mmapsync_table_def *def) {
  const char *zFault = definitionFault(def);
  BuildTable *t;
  uint32_t i;
  int rc = tableEnd(b);
  if (rc != MMAPSYNC_OK) return rc;
  if (zFault) return buildTableFail(b, MMAPSYNC_MISUSE, def->name ? def->name : "", zFault);
  if (def->ncolumns > IMAGE_MAX_COLS) {
    return buildTableFail(b, MMAPSYNC_TOOBIG, def->name, "more than 32767 columns");
  }
  for (i = 0; i < b->ntables; i++) {
    if (orderSameName(buildTableName(b, &b->tables[i]), def->name)) {
      return buildTableFail(b, MMAPSYNC_MISUSE, def->name, "there is one of that name already");
    }
  }
  if (b->ntables == b->tables_room) {
    uint32_t room = b->tables_room ? b->tables_room * 2 : 8;
    BuildTable *p = realloc(b->tables, room * sizeof(*p));
    if (p == NULL) return buildNoMemory(b);
    b->tables = p;
    b->tables_room = room;
  }
  t = &b->tables[b->ntables++];
  memset(t, 0, sizeof(*t));
  t->dir.ncolumns = (uint32_t)def->ncolumns;
  t->dir.nkeys = (uint32_t)def->nkeys;
  t->dir.rowid = def->rowid;
  t->dir.flags = def->flags;
  t->dir.bytes = b->used; /* where it starts; tableEnd() makes it a length */
  t->dir.chunk_shift = stageShift(t->dir.ncolumns);
  t->columns = calloc(t->dir.ncolumns, sizeof(*t->columns));
  t->keys = calloc(t->dir.nkeys + 1, sizeof(*t->keys)); /* one more: none is no NULL */
  if (!t->columns || !t->keys) return buildNoMemory(b);
  rc = stringKeep(b, def->name, &t->dir.name);
  for (i = 0; rc == MMAPSYNC_OK && i < t->dir.ncolumns; i++) {
    rc = columnStart(b, &t->columns[i], &def->columns[i]);
  }
  for (i = 0; rc == MMAPSYNC_OK && i < t->dir.nkeys; i++) {
    rc = keyStart(b, &t->keys[i], &def->keys[i]);
  }
  if (rc == MMAPSYNC_OK) rc = stageOpen(b, t->dir.ncolumns, t->dir.chunk_shift);
  if (rc == MMAPSYNC_OK) {
    b->open = t;
    progressTable(b->h, def->name);
    progressShow(b->h, MMAPSYNC_PHASE_WRITING);
  }
  return rc;
}

/* ---- begin, commit, abort -------------------------------------------------------------------- */

int mmapsync_build_begin(mmapsync *h, mmapsync_builder **out) {
  mmapsync_builder *b = calloc(1, sizeof(*b));
  void *p;
  int rc;
  *out = NULL;
  if (b == NULL) return handleNomem(h);
  b->h = h;
  rc = mmapsync_write_begin(h, FIRST_RESERVE, &p);
  if (rc != MMAPSYNC_OK) {
    free(b);
    return rc;
  }
  b->payload = p;
  b->room = FIRST_RESERVE;
  b->used = sizeof(ImageHeader);
  b->sort_rows = SORT_ROWS;
  b->crew_rows = CREW_ROWS;
  h->builder = b; /* so that closing the handle ends it */
  *out = b;
  return MMAPSYNC_OK;
}

static void builderFree(mmapsync_builder *b) {
  uint32_t i;
  b->h->builder = NULL;
  for (i = 0; i < b->ntables; i++) tableFree(&b->tables[i]);
  stageRelease(b);
  free(b->tables);
  free(b->strings);
  free(b->stage);
  free(b);
}

/* Copies n records into the directory at *to. */
static uint64_t dirPut(mmapsync_builder *b, uint64_t dir, uint64_t *to, const void *p, uint64_t n,
                       size_t each) {
  uint64_t at = *to;
  if (n) memcpy(b->payload + dir + at, p, n * each);
  *to += n * each;
  return at;
}

/* One table's columns, keys, chunks and parts; its own record goes to the front. */
static void dirPutTable(mmapsync_builder *b, uint64_t dir, uint32_t i, uint64_t *to) {
  BuildTable *t = &b->tables[i];
  uint64_t first = i * sizeof(DirTable);
  uint32_t j;
  for (j = 0; j < t->dir.ncolumns; j++) {
    BuildColumn *c = &t->columns[j];
    c->dir.chunks = dirPut(b, dir, to, c->chunks, c->nchunks, sizeof(DirChunk));
  }
  for (j = 0; j < t->dir.nkeys; j++) {
    BuildKey *k = &t->keys[j];
    k->dir.parts = dirPut(b, dir, to, k->parts, k->dir.nparts, sizeof(DirPart));
  }
  t->dir.columns = *to;
  for (j = 0; j < t->dir.ncolumns; j++) {
    dirPut(b, dir, to, &t->columns[j].dir, 1, sizeof(DirColumn));
  }
  t->dir.keys = *to;
  for (j = 0; j < t->dir.nkeys; j++) dirPut(b, dir, to, &t->keys[j].dir, 1, sizeof(DirKey));
  dirPut(b, dir, &first, &t->dir, 1, sizeof(DirTable));
}

static int directoryWrite(mmapsync_builder *b, uint64_t *rows) {
  ImageHeader hdr = {
      .byteorder = IMAGE_BYTEORDER, .format = MMAPSYNC_FORMAT, .ntables = b->ntables};
  uint64_t bytes = b->ntables * sizeof(DirTable) + b->strings_bytes, to;
  uint32_t i, j;
  for (i = 0; i < b->ntables; i++) {
    BuildTable *t = &b->tables[i];
    for (j = 0; j < t->dir.ncolumns; j++) {
      bytes += sizeof(DirColumn) + t->columns[j].nchunks * sizeof(DirChunk);
    }
    for (j = 0; j < t->dir.nkeys; j++) {
      bytes += sizeof(DirKey) + t->keys[j].dir.nparts * sizeof(DirPart);
    }
    hdr.rows += t->dir.rows;
  }
  if (buildReserve(b, bytes) != MMAPSYNC_OK) return b->rc;
  hdr.dir = buildTake(b, bytes);
  hdr.dir_bytes = bytes;
  to = b->ntables * sizeof(DirTable);
  for (i = 0; i < b->ntables; i++) dirPutTable(b, hdr.dir, i, &to);
  hdr.strings = dirPut(b, hdr.dir, &to, b->strings, b->strings_bytes, 1);
  assert(to == bytes);
  memcpy(hdr.magic, IMAGE_MAGIC, sizeof(hdr.magic));
  hdr.bytes = b->used;
  memcpy(b->payload, &hdr, sizeof(hdr));
  *rows = hdr.rows;
  return MMAPSYNC_OK;
}

int mmapsync_build_commit(mmapsync_builder *b, mmapsync_result *out) {
  mmapsync_result result;
  uint64_t rows = 0;
  int rc = tableEnd(b);
  if (rc == MMAPSYNC_OK) rc = directoryWrite(b, &rows);
  if (rc == MMAPSYNC_OK) {
    rc = writeCommit(b->h, b->used, MMAPSYNC_KIND_IMAGE, &result);
  } else {
    writeAbort(b->h);
  }
  if (rc == MMAPSYNC_OK && out) {
    *out = result;
    out->rows = rows;
    out->tables = b->ntables;
  }
  builderFree(b);
  return rc;
}

void mmapsync_build_abort(mmapsync_builder *b) {
  if (b == NULL) return;
  writeAbort(b->h);
  builderFree(b);
}
