/*
** check_image.h - what the test programs of table images share: values, a table of one column, an image.
*/
#ifndef CHECK_IMAGE_H
#define CHECK_IMAGE_H

#include "check.h"

static inline mmapsync_value integer(int64_t i) {
  mmapsync_value v = {.type = MMAPSYNC_INTEGER, .u.i = i};
  return v;
}
static inline mmapsync_value real(double r) {
  mmapsync_value v = {.type = MMAPSYNC_REAL, .u.r = r};
  return v;
}
static inline mmapsync_value text(const char *z) {
  mmapsync_value v = {.type = MMAPSYNC_TEXT, .n = (uint32_t)strlen(z), .u.p = z};
  return v;
}
static inline mmapsync_value blob(const void *p, uint32_t n) {
  mmapsync_value v = {.type = MMAPSYNC_BLOB, .n = n, .u.p = p};
  return v;
}
static inline mmapsync_value null(void) {
  mmapsync_value v = {.type = MMAPSYNC_NULL};
  return v;
}

static inline int put(mmapsync_builder *b, const mmapsync_value *v) {
  switch (v->type) {
  case MMAPSYNC_INTEGER: return mmapsync_build_int(b, v->u.i);
  case MMAPSYNC_REAL: return mmapsync_build_real(b, v->u.r);
  case MMAPSYNC_TEXT: return mmapsync_build_text(b, v->u.p, v->n);
  case MMAPSYNC_BLOB: return mmapsync_build_blob(b, v->u.p, v->n);
  default: return mmapsync_build_null(b);
  }
}

static inline int same(const mmapsync_value *a, const mmapsync_value *b) {
  if (a->type != b->type) return 0;
  switch (a->type) {
  case MMAPSYNC_NULL: return 1;
  case MMAPSYNC_INTEGER: return a->u.i == b->u.i;
  case MMAPSYNC_REAL: return memcmp(&a->u.r, &b->u.r, sizeof(double)) == 0;
  default: return a->n == b->n && memcmp(a->u.p, b->u.p, a->n) == 0;
  }
}

/* The definition of a table "t" with columns a, b, c, ... and these keys. */
static inline mmapsync_table_def table(int ncolumns, const mmapsync_key_def *keys, int nkeys) {
  static const mmapsync_column_def letters[] = {{.name = "a"}, {.name = "b"}, {.name = "c"}};
  mmapsync_table_def def = {.name = "t",
                            .columns = letters,
                            .ncolumns = ncolumns,
                            .keys = keys,
                            .nkeys = nkeys,
                            .rowid = -1};
  return def;
}

/* A key on column a. */
static inline mmapsync_key_def keyA(uint32_t flags) {
  static const mmapsync_part_def partA[] = {{.column = 0}};
  mmapsync_key_def key = {.name = "ka", .flags = flags, .parts = partA, .nparts = 1};
  return key;
}

/* Publishes one table of one column with one key, and opens what was published. */
typedef struct Opened {
  mmapsync *h;
  mmapsync_view view;
  mmapsync_image *image;
  const mmapsync_table *t;
} Opened;

static inline int publishOne(mmapsync *h, const mmapsync_key_def *key, const mmapsync_value *v,
                             int n) {
  mmapsync_table_def def = table(1, key, key ? 1 : 0);
  mmapsync_builder *b;
  int i;
  OK(h, mmapsync_build_begin(h, &b));
  mmapsync_build_table(b, &def);
  for (i = 0; i < n; i++) {
    put(b, &v[i]);
    mmapsync_build_row(b);
  }
  return mmapsync_build_commit(b, NULL);
}

static inline void openImage(Opened *o, mmapsync *h) {
  o->h = h;
  OK(h, mmapsync_read(h, &o->view));
  OK(h, mmapsync_image_open(h, &o->view, &o->image));
  o->t = mmapsync_table_at(o->image, 0);
}

static inline void closeImage(Opened *o) {
  mmapsync_image_close(o->image);
  mmapsync_release(o->h, &o->view);
}

#define COUNT_OF(a) ((int)(sizeof(a) / sizeof((a)[0])))

#endif
