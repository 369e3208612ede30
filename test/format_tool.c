/*
** format_tool.c - a channel's bytes, read through the C interface or turned into those of another version.
**
**     format_tool dump PATH            all tables, as test/fixture/rows.tcl writes them; looks every row up by
**                                      every key
**     format_tool become PATH WHAT     makes of the active snapshot what another version would have left there,
**                                      with the right hashes:
**         format N       an image of format N
**         required N     an image with these required features
**         byteorder      an image of the other byte order
**         trailer N      a trailer of format N
**         kind N         a payload of kind N
**         layout N       P_writer and P_readers of layout N
**         machine        all files as a machine of the other byte order writes them
**
** What is turned must be the channel of nobody else at the time.
*/
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data.h"
#include "hash.h"
#include "image.h"
#include "mmapsync.h"
#include "page.h"
#include "slots.h"
#include "version.h"

static void fail(const char *what) {
  fprintf(stderr, "%s\n", what);
  exit(1);
}

/* ---- dump ------------------------------------------------------------------------------------- */

static void printBytes(char letter, const mmapsync_value *v) {
  const uint8_t *z = v->u.p;
  uint32_t i;
  putchar(letter);
  if (v->n <= 64) {
    for (i = 0; i < v->n; i++) printf("%02X", z[i]);
    return;
  }
  for (i = 1; i < v->n && z[i] == z[0]; i++) {
  }
  if (i < v->n) {
    printf("several");
  } else {
    printf("*%u %02X", v->n, z[0]);
  }
}

static void printValue(const mmapsync_value *v) {
  switch (v->type) {
  case MMAPSYNC_NULL: printf("NULL"); break;
  case MMAPSYNC_INTEGER: printf("i%" PRId64, v->u.i); break;
  case MMAPSYNC_REAL: printf("r%.10g", v->u.r); break;
  case MMAPSYNC_TEXT: printBytes('t', v); break;
  default: printBytes('b', v); break;
  }
}

/* A row by one of its keys: by the whole key, if it is unique; in the order of the key in any case. */
static void lookup(const mmapsync_table *t, int k, uint64_t row) {
  const mmapsync_key_info *key = mmapsync_key_about(t, k);
  mmapsync_value v[8];
  uint64_t lo, hi, found, pos;
  int p, null = 0;
  if (key->nparts > 8) fail("a key of more parts than expected");
  for (p = 0; p < key->nparts; p++) {
    if (mmapsync_get(t, row, key->parts[p].column, &v[p]) != MMAPSYNC_OK) fail("get");
    null |= v[p].type == MMAPSYNC_NULL;
  }
  if (key->flags & MMAPSYNC_KEY_UNIQUE) {
    int rc = mmapsync_find(t, k, v, key->nparts, &found);
    if (null ? rc != MMAPSYNC_NOTFOUND : rc != MMAPSYNC_OK || found != row) fail("find");
    v[0].type = MMAPSYNC_BLOB; /* no key has this value */
    v[0].u.p = "not there";
    v[0].n = 9;
    if (mmapsync_find(t, k, v, key->nparts, &found) != MMAPSYNC_NOTFOUND) fail("find in vain");
    if (mmapsync_get(t, row, key->parts[0].column, &v[0]) != MMAPSYNC_OK) fail("get");
  }
  if (mmapsync_find_all(t, k, v, key->nparts, &lo, &hi) != MMAPSYNC_OK) fail("find_all");
  for (pos = lo; pos < hi; pos++) {
    if (mmapsync_key_row(t, k, pos, &found) != MMAPSYNC_OK) fail("key_row");
    if (found == row) return;
  }
  if (!null) fail("a row is not where its key says");
}

static void dumpTable(const mmapsync_table *t) {
  const mmapsync_table_info *about = mmapsync_table_about(t);
  mmapsync_value v;
  uint64_t row;
  int c, k;
  printf("%s", about->name);
  for (c = 0; c < about->ncolumns; c++) {
    const mmapsync_column_info *column = mmapsync_column_about(t, c);
    if (!(column->flags & MMAPSYNC_COLUMN_HIDDEN)) printf(" %s", column->name);
  }
  printf("\n");
  for (row = 0; row < about->rows; row++) {
    for (c = 0; c < about->ncolumns; c++) {
      if (mmapsync_column_about(t, c)->flags & MMAPSYNC_COLUMN_HIDDEN) continue;
      if (mmapsync_get(t, row, c, &v) != MMAPSYNC_OK) fail("get");
      if (c) putchar('|');
      printValue(&v);
    }
    printf("\n");
    for (k = 0; k < about->nkeys; k++) lookup(t, k, row);
  }
}

static int dump(const char *path) {
  mmapsync *h = NULL;
  mmapsync_view view;
  mmapsync_image *image;
  int i, rc = mmapsync_open(path, NULL, &h);
  if (rc == MMAPSYNC_OK) rc = mmapsync_verify(h);
  if (rc == MMAPSYNC_OK) rc = mmapsync_read(h, &view);
  if (rc == MMAPSYNC_OK) {
    rc = mmapsync_image_open(h, &view, &image);
    if (rc == MMAPSYNC_OK) {
      for (i = 0; i < mmapsync_table_count(image); i++) dumpTable(mmapsync_table_at(image, i));
      mmapsync_image_close(image);
    }
    mmapsync_release(h, &view);
  }
  if (rc != MMAPSYNC_OK) printf("code %d: %s\n", rc, mmapsync_errmsg(h));
  mmapsync_close(h);
  return rc != MMAPSYNC_OK;
}

/* ---- become ----------------------------------------------------------------------------------- */

typedef struct File {
  uint8_t *p;
  size_t n;
} File;

static File fileMap(const char *path, const char *ending) {
  char name[4096];
  struct stat st;
  File f;
  int fd;
  snprintf(name, sizeof(name), "%s%s", path, ending);
  fd = open(name, O_RDWR);
  if (fd < 0 || fstat(fd, &st) != 0) fail(name);
  f.n = (size_t)st.st_size;
  f.p = mmap(NULL, f.n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (f.p == MAP_FAILED) fail(name);
  close(fd);
  return f;
}

/* Turns each number of `width` bytes between two offsets round. */
static void turn(uint8_t *p, size_t from, size_t to, size_t width) {
  size_t at, i;
  for (at = from; at < to; at += width) {
    for (i = 0; i < width / 2; i++) {
      uint8_t b = p[at + i];
      p[at + i] = p[at + width - 1 - i];
      p[at + width - 1 - i] = b;
    }
  }
}

static void turnHeader(uint8_t *payload) {
  turn(payload, offsetof(ImageHeader, byteorder), offsetof(ImageHeader, bytes), 4);
  turn(payload, offsetof(ImageHeader, bytes), sizeof(ImageHeader), 8);
}

static void trailerSeal(Trailer *t, const uint8_t *payload, size_t size) {
  t->hash = hashBytes(payload, size);
  t->check = hashBytes(t, offsetof(Trailer, check));
}

static int become(const char *path, const char *what, unsigned long n) {
  File state = fileMap(path, "_state"), data, writer, readers;
  Trailer *t;
  ImageHeader *hdr;
  uint64_t word;
  size_t size;
  memcpy(&word, state.p, sizeof(word));
  size = versionSize(word);
  data = fileMap(path, versionIndex(word) ? "_data_1" : "_data_0");
  writer = fileMap(path, "_writer");
  readers = fileMap(path, "_readers");
  if (trailerEnd(size) > data.n) fail("no trailer");
  hdr = (ImageHeader *)(void *)data.p;
  t = (Trailer *)(void *)(data.p + trailerAt(size));
  if (strcmp(what, "format") == 0) {
    hdr->format = (uint32_t)n;
  } else if (strcmp(what, "required") == 0) {
    hdr->required = (uint32_t)n;
  } else if (strcmp(what, "byteorder") == 0) {
    turnHeader(data.p);
  } else if (strcmp(what, "trailer") == 0) {
    t->format = (uint16_t)n;
  } else if (strcmp(what, "kind") == 0) {
    t->kind = (uint16_t)n;
  } else if (strcmp(what, "layout") == 0) {
    writer.p[14] = readers.p[14] = (uint8_t)n; /* the low byte of the part raised by hand */
  } else if (strcmp(what, "machine") == 0) {
    turnHeader(data.p);
  } else {
    fail("become what?");
  }
  trailerSeal(t, data.p, size);
  if (strcmp(what, "machine") == 0) {
    uint8_t *p = (uint8_t *)t;
    turn(p, offsetof(Trailer, format), offsetof(Trailer, pid), 2);
    turn(p, offsetof(Trailer, pid), offsetof(Trailer, version), 4);
    turn(p, offsetof(Trailer, version), offsetof(Trailer, check), 8);
    t->check = hashBytes(t, offsetof(Trailer, check));
    turn(p, offsetof(Trailer, check), sizeof(*t), 8);
    turn(state.p, 0, 8, 8);
    turn(state.p, 8, 16, 4);
    turn(writer.p, offsetof(PageShared, layout), offsetof(PageShared, replaced), 8);
    turn(writer.p, offsetof(PageShared, sequence), offsetof(PageShared, pid), 8);
    turn(writer.p, offsetof(PageShared, pid), offsetof(PageShared, rows), 4);
    turn(readers.p, offsetof(SlotsShared, layout), offsetof(SlotsShared, used), 8);
    turn(readers.p, offsetof(SlotsShared, used), offsetof(SlotsShared, unused1), 4);
  }
  return 0;
}

int main(int argc, char **argv) {
  if (argc == 3 && strcmp(argv[1], "dump") == 0) return dump(argv[2]);
  if (argc >= 4 && strcmp(argv[1], "become") == 0) {
    return become(argv[2], argv[3], argc > 4 ? strtoul(argv[4], NULL, 10) : 0);
  }
  fail("usage: format_tool dump PATH | become PATH WHAT ?N?");
}
