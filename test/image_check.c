#define _GNU_SOURCE
/*
** image_check.c - table images through the C API: building, reading, looking up, and every refusal.
**
** Reads like the part of mmapsync.h that it follows: values, definitions, rows, keys.  How values are
** stored is encoding_check.c's; images that lie are damage_check.c's; random tables are image_model.c's.
*/
#include "check_image.h"

#include <math.h>

/* ---- building and reading --------------------------------------------------------------------- */

/* Two tables in one snapshot, and all that is told of them. */
static void caseTables(void) {
  static const mmapsync_column_def cols[] = {
      {.name = "Sku", .type = "TEXT", .collation = "NOCASE"},
      {.name = "cents", .type = "INTEGER"},
      {.name = "\xc3\xbc \"'", .flags = MMAPSYNC_COLUMN_HIDDEN}};
  static const mmapsync_part_def bySku[] = {{.column = 0, .collation = MMAPSYNC_NOCASE}};
  static const mmapsync_part_def byBoth[] = {{.column = 1, .desc = 1}, {.column = 0}};
  static const mmapsync_key_def keys[] = {
      {.name = "sku",
       .flags = MMAPSYNC_KEY_UNIQUE | MMAPSYNC_KEY_PRIMARY | MMAPSYNC_KEY_NOTNULL,
       .parts = bySku,
       .nparts = 1},
      {.name = "both", .parts = byBoth, .nparts = 2}};
  static const mmapsync_table_def prices = {.name = "Prices",
                                            .columns = cols,
                                            .ncolumns = 3,
                                            .keys = keys,
                                            .nkeys = 2,
                                            .rowid = 2,
                                            .flags = MMAPSYNC_TABLE_VIEW};
  mmapsync *h = channelOpen();
  mmapsync_table_def empty = table(2, NULL, 0);
  mmapsync_builder *b;
  mmapsync_result done;
  const mmapsync_table_info *about;
  const mmapsync_column_info *column;
  const mmapsync_key_info *key;
  Opened o;

  OK(h, mmapsync_build_begin(h, &b));
  OK(h, mmapsync_build_table(b, &prices));
  OK(h, mmapsync_build_text(b, "A-17", 4));
  OK(h, mmapsync_build_int(b, 1299));
  OK(h, mmapsync_build_int(b, 1));
  OK(h, mmapsync_build_row(b));
  OK(h, mmapsync_build_text(b, "B-2", 3));
  OK(h, mmapsync_build_null(b));
  OK(h, mmapsync_build_int(b, 5));
  OK(h, mmapsync_build_row(b));
  OK(h, mmapsync_build_table(b, &empty));
  OK(h, mmapsync_build_commit(b, &done));
  CHECK(done.rows == 2 && done.tables == 2 && done.sequence == 1);

  openImage(&o, h);
  CHECK(o.view.kind == MMAPSYNC_KIND_IMAGE && o.view.size == done.size);
  CHECK(mmapsync_table_count(o.image) == 2);
  CHECK(!mmapsync_table_at(o.image, 2) && !mmapsync_table_at(o.image, -1));
  CHECK(mmapsync_table_find(o.image, "pRICES") == o.t); /* without case */
  CHECK(mmapsync_table_find(o.image, "T") == mmapsync_table_at(o.image, 1));
  CHECK(!mmapsync_table_find(o.image, "price") && !mmapsync_table_find(o.image, ""));

  about = mmapsync_table_about(o.t);
  CHECK(strcmp(about->name, "Prices") == 0 && about->rows == 2 && about->ncolumns == 3);
  CHECK(about->nkeys == 2 && about->rowid == 2 && about->flags == MMAPSYNC_TABLE_VIEW);
  CHECK(about->bytes > 0);

  column = mmapsync_column_about(o.t, 0);
  CHECK(strcmp(column->name, "Sku") == 0 && strcmp(column->type, "TEXT") == 0);
  CHECK(strcmp(column->collation, "NOCASE") == 0 && column->nulls == 0);
  CHECK(column->flags == MMAPSYNC_COLUMN_CLEAN);
  CHECK(column->types == 1u << MMAPSYNC_TEXT && strcmp(column->encoding, "text") == 0);
  column = mmapsync_column_about(o.t, 1);
  CHECK(strcmp(column->collation, "BINARY") == 0 && column->nulls == 1);
  CHECK(column->types == (1u << MMAPSYNC_INTEGER | 1u << MMAPSYNC_NULL));
  column = mmapsync_column_about(o.t, 2);
  CHECK(strcmp(column->type, "") == 0 && column->flags == MMAPSYNC_COLUMN_HIDDEN);
  CHECK(mmapsync_column_find(o.t, "SKU") == 0 && mmapsync_column_find(o.t, "cents") == 1);
  CHECK(mmapsync_column_find(o.t, "\xc3\xbc \"'") == 2 && mmapsync_column_find(o.t, "no") == -1);

  key = mmapsync_key_about(o.t, 0);
  CHECK(strcmp(key->name, "sku") == 0 && key->flags == keys[0].flags && key->nparts == 1);
  CHECK(key->parts[0].collation == MMAPSYNC_NOCASE && strcmp(key->search, "hash") == 0);
  key = mmapsync_key_about(o.t, 1);
  CHECK(key->nparts == 2 && key->parts[0].column == 1 && key->parts[0].desc == 1);
  CHECK(key->parts[1].column == 0 && key->flags == 0 && strcmp(key->search, "sorted") == 0);

  about = mmapsync_table_about(mmapsync_table_at(o.image, 1));
  CHECK(about->rows == 0 && about->ncolumns == 2 && about->nkeys == 0 && about->rowid == -1);
  closeImage(&o);
  mmapsync_close(h);
}

/* Every value comes back as it was, by type and by bits; text and blobs have a NUL behind them. */
static void caseValues(void) {
  const mmapsync_value values[] = {integer(0),
                                   integer(-1),
                                   integer(INT64_MAX),
                                   integer(INT64_MIN),
                                   null(),
                                   real(0.0),
                                   real(-0.0),
                                   real(1.5),
                                   real(1e308 * 10),
                                   real(-5e-324),
                                   text(""),
                                   text("abc"),
                                   text("\xff\xfe\x80"),
                                   {.type = MMAPSYNC_TEXT, .n = 5, .u.p = "a\0b\0c"},
                                   blob("", 0),
                                   blob("\0\1\2", 3),
                                   blob("abc", 3),
                                   null()};
  mmapsync_value nan = real(NAN), v;
  mmapsync *h = channelOpen();
  Opened o;
  int i, first, n;

  /* All in one column; then each in a column by itself, so that each encoding of its own is met. */
  for (first = -1; first < COUNT_OF(values); first++) {
    const mmapsync_value *from = first < 0 ? values : &values[first];
    n = first < 0 ? COUNT_OF(values) : 1;
    OK(h, publishOne(h, NULL, from, n));
    openImage(&o, h);
    CHECK(mmapsync_table_about(o.t)->rows == (uint64_t)n);
    for (i = 0; i < n; i++) {
      CHECK(mmapsync_get(o.t, (uint64_t)i, 0, &v) == MMAPSYNC_OK && same(&v, &from[i]));
      if (v.type >= MMAPSYNC_TEXT) CHECK(((const char *)v.u.p)[v.n] == 0);
    }
    CHECK(mmapsync_get(o.t, (uint64_t)n, 0, &v) == MMAPSYNC_MISUSE);
    CHECK(mmapsync_get(o.t, 0, 1, &v) == MMAPSYNC_MISUSE);
    CHECK(mmapsync_get(o.t, 0, -1, &v) == MMAPSYNC_MISUSE);
    closeImage(&o);
  }
  /* A column is clean if it holds text, and this no NUL byte. */
  for (i = 0; i < 4; i++) {
    mmapsync_value some[20];
    for (n = 0; n < COUNT_OF(some); n++) some[n] = n % 3 ? text("clean text") : null();
    if (i == 1) some[19] = (mmapsync_value){.type = MMAPSYNC_TEXT, .n = 3, .u.p = "a\0b"};
    if (i == 2) some[7] = (mmapsync_value){.type = MMAPSYNC_TEXT, .n = 1, .u.p = "\0"};
    for (n = 0; i == 3 && n < COUNT_OF(some); n++) some[n] = blob("abc", 3);
    OK(h, publishOne(h, NULL, some, COUNT_OF(some)));
    openImage(&o, h);
    CHECK(mmapsync_column_about(o.t, 0)->flags == (i == 0 ? MMAPSYNC_COLUMN_CLEAN : 0));
    closeImage(&o);
  }
  /* NaN is no value of SQLite's: it becomes NULL, as there. */
  OK(h, publishOne(h, NULL, &nan, 1));
  openImage(&o, h);
  CHECK(mmapsync_get(o.t, 0, 0, &v) == MMAPSYNC_OK && v.type == MMAPSYNC_NULL);
  closeImage(&o);
  mmapsync_close(h);
}

/* No tables; a table without rows, with keys. */
static void caseNothing(void) {
  mmapsync *h = channelOpen();
  mmapsync_key_def keys[] = {keyA(MMAPSYNC_KEY_UNIQUE), keyA(MMAPSYNC_KEY_ORDERED), keyA(0)};
  mmapsync_table_def def = table(1, keys, 3);
  mmapsync_value v = integer(1);
  mmapsync_builder *b;
  mmapsync_result done;
  uint64_t lo, hi, row;
  Opened o;
  int k;

  OK(h, mmapsync_build_begin(h, &b));
  OK(h, mmapsync_build_commit(b, &done));
  CHECK(done.tables == 0 && done.rows == 0);
  openImage(&o, h);
  CHECK(mmapsync_table_count(o.image) == 0 && !o.t && !mmapsync_table_find(o.image, "t"));
  closeImage(&o);

  OK(h, mmapsync_build_begin(h, &b));
  OK(h, mmapsync_build_table(b, &def));
  OK(h, mmapsync_build_commit(b, &done));
  CHECK(done.tables == 1 && done.rows == 0);
  openImage(&o, h);
  CHECK(mmapsync_get(o.t, 0, 0, &v) == MMAPSYNC_MISUSE);
  for (k = 0; k < 3; k++) {
    CHECK(mmapsync_find_all(o.t, k, &v, 1, &lo, &hi) == MMAPSYNC_OK && lo == 0 && hi == 0);
    CHECK(mmapsync_find_all(o.t, k, NULL, 0, &lo, &hi) == MMAPSYNC_OK && lo == 0 && hi == 0);
    CHECK(mmapsync_key_row(o.t, k, 0, &row) == MMAPSYNC_MISUSE);
  }
  CHECK(mmapsync_find(o.t, 0, &v, 1, &row) == MMAPSYNC_NOTFOUND);
  CHECK(mmapsync_find(o.t, 1, &v, 1, &row) == MMAPSYNC_MISUSE); /* not unique */
  closeImage(&o);
  mmapsync_close(h);
}

/* ---- refusals of the builder ------------------------------------------------------------------ */

/* Begins an image, and expects that the table is refused with this sentence, as all that follows. */
#define TABLE_REFUSED(h, def, ...)                                                                 \
  do {                                                                                             \
    mmapsync_builder *b_;                                                                          \
    OK(h, mmapsync_build_begin((h), &b_));                                                         \
    FAILS(h, mmapsync_build_table(b_, (def)), MMAPSYNC_MISUSE, __VA_ARGS__);                       \
    FAILS(h, mmapsync_build_int(b_, 1), MMAPSYNC_MISUSE, __VA_ARGS__);                             \
    FAILS(h, mmapsync_build_row(b_), MMAPSYNC_MISUSE, __VA_ARGS__);                                \
    FAILS(h, mmapsync_build_commit(b_, NULL), MMAPSYNC_MISUSE, __VA_ARGS__);                       \
  } while (0)

static void caseBadDefinition(void) {
  static const mmapsync_part_def noColumn[] = {{.column = 3}};
  static const mmapsync_part_def noCollation[] = {{.column = 0, .collation = 3}};
  static const mmapsync_part_def belowColumns[] = {{.column = -1}};
  static const mmapsync_part_def belowCollations[] = {{.column = 0, .collation = -1}};
  static const mmapsync_column_def noName[] = {{.name = "a"}, {.name = NULL}};
  mmapsync *h = channelOpen();
  mmapsync_key_def keys[2] = {keyA(MMAPSYNC_KEY_ORDERED), keyA(MMAPSYNC_KEY_ORDERED)};
  mmapsync_table_def def;

  WRITE(h, "before");
#define T_SAYS "\"%s\": table \"t\": "
  def = table(0, NULL, 0);
  TABLE_REFUSED(h, &def, T_SAYS "it has no columns", checkPath);
  def = table(3, keys, -1);
  TABLE_REFUSED(h, &def, T_SAYS "it has fewer than no keys", checkPath);
  def = table(3, NULL, 0);
  def.rowid = -2;
  TABLE_REFUSED(h, &def, T_SAYS "its rowid is not one of its columns", checkPath);
  def = table(3, NULL, 0);
  def.name = NULL;
  TABLE_REFUSED(h, &def, "\"%s\": table \"\": it has no name", checkPath);
  def = table(3, NULL, 0);
  def.rowid = 3;
  TABLE_REFUSED(h, &def, T_SAYS "its rowid is not one of its columns", checkPath);
  def = table(2, NULL, 0);
  def.columns = noName;
  TABLE_REFUSED(h, &def, T_SAYS "a column has no name", checkPath);
  def = table(3, keys, 2);
  TABLE_REFUSED(h, &def, T_SAYS "two keys claim the order of its rows", checkPath);
  def = table(3, keys, 1);
  keys[0].name = NULL;
  TABLE_REFUSED(h, &def, T_SAYS "a key has no name or no columns", checkPath);
  keys[0] = keyA(0);
  keys[0].nparts = 0;
  TABLE_REFUSED(h, &def, T_SAYS "a key has no name or no columns", checkPath);
  keys[0].nparts = 1;
  keys[0].parts = noColumn;
  TABLE_REFUSED(h, &def, T_SAYS "a key names a column that is not there", checkPath);
  keys[0].parts = belowColumns;
  TABLE_REFUSED(h, &def, T_SAYS "a key names a column that is not there", checkPath);
  keys[0].parts = noCollation;
  TABLE_REFUSED(h, &def, T_SAYS "a key has an unknown collation", checkPath);
  keys[0].parts = belowCollations;
  TABLE_REFUSED(h, &def, T_SAYS "a key has an unknown collation", checkPath);
#undef T_SAYS
  HOLDS(h, "before");
  mmapsync_close(h);
}

/* Two tables of one name, compared without case. */
static void caseSameName(void) {
  mmapsync *h = channelOpen();
  mmapsync_table_def def = table(1, NULL, 0);
  mmapsync_builder *b;

  OK(h, mmapsync_build_begin(h, &b));
  OK(h, mmapsync_build_table(b, &def));
  def.name = "T";
  FAILS(h, mmapsync_build_table(b, &def), MMAPSYNC_MISUSE,
        "\"%s\": table \"T\": there is one of that name already", checkPath);
  mmapsync_build_abort(b);
  mmapsync_close(h);
}

/* A row with too few values, with too many, not ended; values without a table. */
static void caseBadRow(void) {
  mmapsync *h = channelOpen();
  mmapsync_table_def def = table(2, NULL, 0), other = table(1, NULL, 0);
  mmapsync_builder *b;

  other.name = "u";
  WRITE(h, "before");
#define BEGIN(def)                                                                                 \
  OK(h, mmapsync_build_begin(h, &b));                                                              \
  OK(h, mmapsync_build_table(b, def))
  BEGIN(&def);
  OK(h, mmapsync_build_int(b, 1));
  FAILS(h, mmapsync_build_row(b), MMAPSYNC_MISUSE, "\"%s\": a row with 1 values: expected 2",
        checkPath);
  FAILS(h, mmapsync_build_int(b, 1), MMAPSYNC_MISUSE, "\"%s\": a row with 1 values: expected 2",
        checkPath);
  mmapsync_build_abort(b);

  BEGIN(&def);
  FAILS(h, mmapsync_build_row(b), MMAPSYNC_MISUSE, "\"%s\": a row with 0 values: expected 2",
        checkPath);
  mmapsync_build_abort(b);

  BEGIN(&def);
  OK(h, mmapsync_build_int(b, 1));
  OK(h, mmapsync_build_int(b, 2));
  FAILS(h, mmapsync_build_text(b, "12", 2), MMAPSYNC_MISUSE, "\"%s\": a value too many", checkPath);
  mmapsync_build_abort(b);

  BEGIN(&def);
  OK(h, mmapsync_build_int(b, 1));
  FAILS(h, mmapsync_build_table(b, &other), MMAPSYNC_MISUSE,
        "\"%s\": table \"t\": its last row is not ended", checkPath);
  mmapsync_build_abort(b);

  BEGIN(&def);
  OK(h, mmapsync_build_int(b, 1));
  OK(h, mmapsync_build_int(b, 2));
  FAILS(h, mmapsync_build_commit(b, NULL), MMAPSYNC_MISUSE,
        "\"%s\": table \"t\": its last row is not ended", checkPath);

  OK(h, mmapsync_build_begin(h, &b));
  FAILS(h, mmapsync_build_null(b), MMAPSYNC_MISUSE, "\"%s\": a value before any table", checkPath);
  mmapsync_build_abort(b);
  OK(h, mmapsync_build_begin(h, &b));
  FAILS(h, mmapsync_build_row(b), MMAPSYNC_MISUSE, "\"%s\": a row before any table", checkPath);
  mmapsync_build_abort(b);

  BEGIN(&def);
  FAILS(h, mmapsync_build_blob(b, "x", UINT32_MAX), MMAPSYNC_TOOBIG,
        "\"%s\": table \"t\": a value over 4 GB", checkPath);
  mmapsync_build_abort(b);
#undef BEGIN
  HOLDS(h, "before");
  mmapsync_close(h);
}

/* A builder is the handle's open write, which nobody else may touch, and ends with the handle. */
static void caseBuilderEnds(void) {
  mmapsync *h = channelOpen(), *other = channelOpen();
  mmapsync_table_def def = table(1, NULL, 0);
  mmapsync_builder *b, *second;
  mmapsync_value v;
  void *data;
  Opened o;

  WRITE(other, "before");
  OK(h, mmapsync_build_begin(h, &b));
  OK(h, mmapsync_build_table(b, &def));
#define BUILDING "\"%s\": a table image is being built", checkPath
  FAILS(h, mmapsync_build_begin(h, &second), MMAPSYNC_MISUSE, BUILDING);
  CHECK(second == NULL);
  FAILS(h, mmapsync_write(h, "x", 1, NULL), MMAPSYNC_MISUSE, BUILDING);
  FAILS(h, mmapsync_write_begin(h, 1, &data), MMAPSYNC_MISUSE, BUILDING);
  FAILS(h, mmapsync_write_grow(h, 1, &data), MMAPSYNC_MISUSE, BUILDING);
  FAILS(h, mmapsync_write_commit(h, 1, MMAPSYNC_KIND_RAW, NULL), MMAPSYNC_MISUSE, BUILDING);
  mmapsync_write_abort(h); /* neither */
#undef BUILDING
  FAILS(other, mmapsync_build_begin(other, &second), MMAPSYNC_BUSY,
        "\"%s_state\": another writer holds the lock", checkPath);
  HOLDS(h, "before");
  OK(h, mmapsync_build_int(b, 42));
  OK(h, mmapsync_build_row(b));
  OK(h, mmapsync_build_commit(b, NULL));
  openImage(&o, other);
  CHECK(mmapsync_get(o.t, 0, 0, &v) == MMAPSYNC_OK && v.u.i == 42);
  closeImage(&o);

  WRITE(other, "before");
  OK(h, mmapsync_build_begin(h, &b));
  mmapsync_build_abort(b);
  mmapsync_build_abort(NULL);
  OK(other, mmapsync_build_begin(other, &b));
  OK(other, mmapsync_build_table(b, &def));
  OK(other, mmapsync_build_int(b, 1));
  OK(other, mmapsync_build_row(b));
  mmapsync_close(other);
  HOLDS(h, "before");
  WRITE(h, "after");
  HOLDS(h, "after");
  mmapsync_close(h);
}

/* options.progress ends a build too. */
static int stopSecond(void *arg) { return ++*(int *)arg >= 2; }

static void caseBuildInterrupt(void) {
  mmapsync_options opt;
  mmapsync *h;
  mmapsync_key_def key = keyA(MMAPSYNC_KEY_UNIQUE);
  mmapsync_table_def def = table(1, &key, 1);
  mmapsync_builder *b;
  int i, calls = 0, rc = MMAPSYNC_OK;

  mmapsync_options_init(&opt);
  opt.progress = stopSecond;
  opt.progress_arg = &calls;
  OK(h, mmapsync_open(checkPath, &opt, &h));
  WRITE(h, "before");
  OK(h, mmapsync_build_begin(h, &b));
  mmapsync_build_table(b, &def);
  for (i = 0; i < 200000 && rc == MMAPSYNC_OK; i++) {
    mmapsync_build_int(b, 200000 - i);
    rc = mmapsync_build_row(b);
  }
  CHECK(rc == MMAPSYNC_INTERRUPT && calls == 2);
  FAILS(h, mmapsync_build_commit(b, NULL), MMAPSYNC_INTERRUPT, "interrupted");
  HOLDS(h, "before");
  mmapsync_close(h);
}

/* ---- keys ------------------------------------------------------------------------------------- */

/* What a key refuses names the table, its columns and the values. */
static void caseConstraints(void) {
  static const mmapsync_part_def partsAB[] = {{.column = 0}, {.column = 1}};
  static const mmapsync_part_def noCase[] = {{.column = 0, .collation = MMAPSYNC_NOCASE}};
  mmapsync_value dup[] = {text("A-17"), text("B-2"), text("A-17")};
  mmapsync_value folded[] = {text("x"), text("abc"), text("ABC")};
  mmapsync_value numbers[] = {integer(3), real(2.5), real(3.0)};
  mmapsync_value blobs[] = {blob("abc", 3), blob("abc", 3)};
  mmapsync_value nulls[] = {null(), null(), integer(1)};
  mmapsync_value falling[] = {integer(1), integer(3), integer(2)};
  mmapsync_value twice[] = {integer(1), integer(3), integer(3)};
  mmapsync *h = channelOpen();
  mmapsync_key_def key = keyA(MMAPSYNC_KEY_UNIQUE);
  mmapsync_table_def def;
  mmapsync_column_def notNull;
  mmapsync_builder *b;
  char longText[100];
  int i;

  WRITE(h, "before");
#define T_SAYS "\"%s\": table \"t\": "
  FAILS(h, publishOne(h, &key, dup, 3), MMAPSYNC_CONSTRAINT,
        T_SAYS "duplicate in key (a): ('A-17')", checkPath);
  FAILS(h, publishOne(h, &key, numbers, 3), MMAPSYNC_CONSTRAINT, T_SAYS "duplicate in key (a): (3)",
        checkPath);
  FAILS(h, publishOne(h, &key, blobs, 2), MMAPSYNC_CONSTRAINT,
        T_SAYS "duplicate in key (a): (a blob of 3 bytes)", checkPath);
  memset(longText, 'z', sizeof(longText));
  dup[0] = dup[1] = blob(longText, sizeof(longText));
  dup[0].type = dup[1].type = MMAPSYNC_TEXT;
  FAILS(h, publishOne(h, &key, dup, 2), MMAPSYNC_CONSTRAINT,
        T_SAYS "duplicate in key (a): ('%.40s...')", checkPath, longText);
  OK(h, publishOne(h, &key, folded, 3));
  key.parts = noCase;
  WRITE(h, "before");
  FAILS(h, publishOne(h, &key, folded, 3), MMAPSYNC_CONSTRAINT,
        T_SAYS "duplicate in key (a): ('ABC')", checkPath);

  key = keyA(MMAPSYNC_KEY_UNIQUE | MMAPSYNC_KEY_NOTNULL);
  FAILS(h, publishOne(h, &key, nulls, 3), MMAPSYNC_CONSTRAINT, T_SAYS "NULL in key (a): (NULL)",
        checkPath);
  key = keyA(MMAPSYNC_KEY_NOTNULL);
  FAILS(h, publishOne(h, &key, nulls, 3), MMAPSYNC_CONSTRAINT, T_SAYS "NULL in key (a): (NULL)",
        checkPath);
  key = keyA(MMAPSYNC_KEY_ORDERED);
  FAILS(h, publishOne(h, &key, falling, 3), MMAPSYNC_MISUSE,
        T_SAYS "rows are not in order in key (a): (2)", checkPath);
  key = keyA(MMAPSYNC_KEY_ORDERED | MMAPSYNC_KEY_UNIQUE);
  FAILS(h, publishOne(h, &key, twice, 3), MMAPSYNC_CONSTRAINT, T_SAYS "duplicate in key (a): (3)",
        checkPath);

  /* A column that is NOT NULL, without a key. */
  def = table(1, NULL, 0);
  notNull = def.columns[0];
  notNull.flags = MMAPSYNC_COLUMN_NOTNULL;
  def.columns = &notNull;
  OK(h, mmapsync_build_begin(h, &b));
  OK(h, mmapsync_build_table(b, &def));
  OK(h, mmapsync_build_int(b, 7));
  OK(h, mmapsync_build_row(b));
  OK(h, mmapsync_build_null(b));
  OK(h, mmapsync_build_row(b));
  FAILS(h, mmapsync_build_end(b), MMAPSYNC_CONSTRAINT, T_SAYS "NULL in column \"a\"", checkPath);
  mmapsync_build_abort(b);

  /* Two columns; and the failure of the first table shows when the second begins. */
  key = keyA(MMAPSYNC_KEY_UNIQUE);
  key.parts = partsAB;
  key.nparts = 2;
  def = table(2, &key, 1);
  OK(h, mmapsync_build_begin(h, &b));
  OK(h, mmapsync_build_table(b, &def));
  for (i = 0; i < 2; i++) {
    OK(h, mmapsync_build_int(b, 7));
    OK(h, mmapsync_build_text(b, "x", 1));
    OK(h, mmapsync_build_row(b));
  }
  def.name = "u";
  FAILS(h, mmapsync_build_table(b, &def), MMAPSYNC_CONSTRAINT,
        T_SAYS "duplicate in key (a, b): (7, 'x')", checkPath);
  mmapsync_build_abort(b);
#undef T_SAYS
  HOLDS(h, "before");

  /* Without NOTNULL, rows with NULL in a unique key are as many as one likes. */
  key = keyA(MMAPSYNC_KEY_UNIQUE);
  OK(h, publishOne(h, &key, nulls, 3));
  key = keyA(MMAPSYNC_KEY_UNIQUE | MMAPSYNC_KEY_ORDERED);
  OK(h, publishOne(h, &key, nulls, 3));
  mmapsync_close(h);
}

/* The four search structures find what is there, by integer and by real, and nothing else. */
static void caseFind(void) {
  enum { N = 5000 };
  static const struct {
    const char *search;
    int64_t step;
    uint32_t flags;
  } kinds[] = {{"direct", 1, MMAPSYNC_KEY_UNIQUE | MMAPSYNC_KEY_ORDERED},
               {"rank", 3, MMAPSYNC_KEY_UNIQUE | MMAPSYNC_KEY_ORDERED},
               {"hash", 100003, MMAPSYNC_KEY_UNIQUE | MMAPSYNC_KEY_ORDERED},
               {"hash", 1, MMAPSYNC_KEY_UNIQUE},
               {"sorted", 1, 0}};
  mmapsync_value *values = calloc(N, sizeof(*values)), none = null(), v;
  mmapsync *h = channelOpen();
  uint64_t row, lo, hi;
  Opened o;
  int i, kind, unique;

  for (kind = 0; kind < COUNT_OF(kinds); kind++) {
    mmapsync_key_def key = keyA(kinds[kind].flags);
    for (i = 0; i < N; i++) values[i] = integer(i * kinds[kind].step - 700);
    OK(h, publishOne(h, &key, values, N));
    openImage(&o, h);
    CHECK(strcmp(mmapsync_key_about(o.t, 0)->search, kinds[kind].search) == 0);
    unique = (kinds[kind].flags & MMAPSYNC_KEY_UNIQUE) != 0;
    for (i = -1; i <= N; i++) {
      int there = i >= 0 && i < N;
      v = integer(i * kinds[kind].step - 700);
      if (i % 2) v = real((double)v.u.i); /* the same number */
      CHECK(mmapsync_find_all(o.t, 0, &v, 1, &lo, &hi) == MMAPSYNC_OK);
      CHECK(hi - lo == (uint64_t)there);
      if (there) CHECK(mmapsync_key_row(o.t, 0, lo, &row) == MMAPSYNC_OK && row == (uint64_t)i);
      if (!unique) continue;
      CHECK(mmapsync_find(o.t, 0, &v, 1, &row) == (there ? MMAPSYNC_OK : MMAPSYNC_NOTFOUND));
      if (there) CHECK(row == (uint64_t)i);
      v = real((double)(i * kinds[kind].step - 700) + 0.5);
      CHECK(mmapsync_find(o.t, 0, &v, 1, &row) == MMAPSYNC_NOTFOUND);
    }
    CHECK(mmapsync_find(o.t, 0, &none, 1, &row) == (unique ? MMAPSYNC_NOTFOUND : MMAPSYNC_MISUSE));
    v = text("1");
    CHECK(mmapsync_find(o.t, 0, &v, 1, &row) == (unique ? MMAPSYNC_NOTFOUND : MMAPSYNC_MISUSE));
    v = integer(INT64_MIN);
    CHECK(mmapsync_find(o.t, 0, &v, 1, &row) == (unique ? MMAPSYNC_NOTFOUND : MMAPSYNC_MISUSE));
    v = real(1e300);
    CHECK(mmapsync_find(o.t, 0, &v, 1, &row) == (unique ? MMAPSYNC_NOTFOUND : MMAPSYNC_MISUSE));
    closeImage(&o);
  }
  free(values);
  mmapsync_close(h);
}

/* Lookups by a part of a key, in rising and falling order, and their misuse. */
static void caseFindAll(void) {
  static const mmapsync_part_def parts[] = {{.column = 0, .collation = MMAPSYNC_NOCASE},
                                            {.column = 1, .desc = 1}};
  static const mmapsync_key_def key = {
      .name = "k", .flags = MMAPSYNC_KEY_UNIQUE, .parts = parts, .nparts = 2};
  static const struct {
    const char *a;
    int64_t b;
  } rows[] = {{"b", 1}, {"B", 2}, {"a", 5}, {"b", 3}, {"c", 1}};
  static const uint64_t order[] = {2, 3, 1, 0, 4}; /* a5, b3, B2, b1, c1 */
  mmapsync_table_def def = table(2, &key, 1);
  mmapsync *h = channelOpen();
  mmapsync_value v[2];
  mmapsync_builder *b;
  uint64_t lo, hi, row;
  Opened o;
  int i;

  OK(h, mmapsync_build_begin(h, &b));
  OK(h, mmapsync_build_table(b, &def));
  for (i = 0; i < COUNT_OF(rows); i++) {
    OK(h, mmapsync_build_text(b, rows[i].a, 1));
    OK(h, mmapsync_build_int(b, rows[i].b));
    OK(h, mmapsync_build_row(b));
  }
  OK(h, mmapsync_build_commit(b, NULL));
  openImage(&o, h);
  for (i = 0; i < COUNT_OF(order); i++) {
    CHECK(mmapsync_key_row(o.t, 0, (uint64_t)i, &row) == MMAPSYNC_OK && row == order[i]);
  }
  v[0] = text("B");
  CHECK(mmapsync_find_all(o.t, 0, v, 1, &lo, &hi) == MMAPSYNC_OK && lo == 1 && hi == 4);
  v[1] = integer(2);
  CHECK(mmapsync_find_all(o.t, 0, v, 2, &lo, &hi) == MMAPSYNC_OK && lo == 2 && hi == 3);
  CHECK(mmapsync_find(o.t, 0, v, 2, &row) == MMAPSYNC_OK && row == 1);
  CHECK(mmapsync_find_all(o.t, 0, v, 0, &lo, &hi) == MMAPSYNC_OK && lo == 0 && hi == 5);
  v[1] = null(); /* equals nothing */
  CHECK(mmapsync_find_all(o.t, 0, v, 2, &lo, &hi) == MMAPSYNC_OK && lo == hi);
  CHECK(mmapsync_find(o.t, 0, v, 2, &row) == MMAPSYNC_NOTFOUND);

  CHECK(mmapsync_find(o.t, 0, v, 1, &row) == MMAPSYNC_MISUSE); /* not all of its parts */
  CHECK(mmapsync_find(o.t, 1, v, 2, &row) == MMAPSYNC_MISUSE); /* no such key */
  CHECK(mmapsync_find(o.t, -1, v, 2, &row) == MMAPSYNC_MISUSE);
  CHECK(mmapsync_find_all(o.t, 0, v, 3, &lo, &hi) == MMAPSYNC_MISUSE);
  CHECK(mmapsync_find_all(o.t, 0, v, -1, &lo, &hi) == MMAPSYNC_MISUSE);
  CHECK(mmapsync_find_all(o.t, 1, v, 1, &lo, &hi) == MMAPSYNC_MISUSE);
  CHECK(mmapsync_key_row(o.t, 0, 5, &row) == MMAPSYNC_MISUSE);
  CHECK(mmapsync_key_row(o.t, 1, 0, &row) == MMAPSYNC_MISUSE);
  closeImage(&o);
  mmapsync_close(h);
}

/* SQLite's order: NULL, numbers by value, text under its collation, blobs. */
static void caseCompare(void) {
  const mmapsync_value rising[] = {null(),
                                   real(-INFINITY),
                                   integer(INT64_MIN),
                                   real(-9007199254740993.0),
                                   integer(-1),
                                   real(-0.5),
                                   integer(0),
                                   real(0.5),
                                   real(9007199254740992.0),
                                   integer(9007199254740993), /* as a double, the one before */
                                   integer(INT64_MAX),
                                   real(9223372036854775808.0),
                                   real(INFINITY),
                                   text(""),
                                   text("A"),
                                   text("AA"),
                                   text("a"),
                                   text("\xc3\xa4"),
                                   blob("", 0),
                                   blob("A", 1)};
  mmapsync_value a, b;
  int i, j, c;

  for (i = 0; i < COUNT_OF(rising); i++) {
    for (j = 0; j < COUNT_OF(rising); j++) {
      c = mmapsync_compare(&rising[i], &rising[j], MMAPSYNC_BINARY);
      snprintf(checkAbout, sizeof(checkAbout), "%d with %d", i, j);
      CHECK((c > 0) - (c < 0) == (i > j) - (i < j));
    }
  }
#define COMPARES(x, y, collation) (a = (x), b = (y), mmapsync_compare(&a, &b, MMAPSYNC_##collation))
  CHECK(COMPARES(real(-0.0), integer(0), BINARY) == 0);
  CHECK(COMPARES(text("abc"), text("ABC"), NOCASE) == 0);
  CHECK(COMPARES(text("abc"), text("ABCD"), NOCASE) < 0);
  CHECK(COMPARES(text("\xc3\xa4"), text("\xc3\x84"), NOCASE) != 0); /* A-Z only */
  CHECK(COMPARES(text("abc  "), text("abc"), RTRIM) == 0);
  CHECK(COMPARES(text("  "), text(""), RTRIM) == 0);
  CHECK(COMPARES(text("abc"), text("ABC"), RTRIM) > 0);
  CHECK(COMPARES(blob("abc", 3), blob("ABC", 3), NOCASE) > 0); /* blobs have no collation */
#undef COMPARES
}

/* ---- an image and its view ---------------------------------------------------------------------- */

/* An image may be kept while no view is held, and used again under a view that it fits. */
static void caseImageFits(void) {
  mmapsync *h = channelOpen(), *writer = channelOpen();
  mmapsync_value one = integer(1), v;
  mmapsync_view view;
  Opened o;

  OK(writer, publishOne(writer, NULL, &one, 1));
  openImage(&o, h);
  CHECK(mmapsync_image_fits(o.image, &o.view));
  mmapsync_release(h, &o.view);
  OK(h, mmapsync_read(h, &view));
  CHECK(mmapsync_image_fits(o.image, &view));
  CHECK(mmapsync_get(o.t, 0, 0, &v) == MMAPSYNC_OK && v.u.i == 1);
  mmapsync_release(h, &view);
  OK(writer, publishOne(writer, NULL, &one, 1)); /* the same bytes, in the other file */
  OK(h, mmapsync_read(h, &view));
  CHECK(!mmapsync_image_fits(o.image, &view));
  mmapsync_release(h, &view);
  OK(writer, publishOne(writer, NULL, &one, 1)); /* the same bytes, in the same file */
  OK(h, mmapsync_read(h, &view));
  CHECK(!mmapsync_image_fits(o.image, &view));
  /* Anything that tells snapshots apart is enough: */
#define OTHER(field, value)                                                                        \
  do {                                                                                             \
    mmapsync_view other = o.view;                                                                  \
    other.field = (value);                                                                         \
    CHECK(mmapsync_image_fits(o.image, &o.view) && !mmapsync_image_fits(o.image, &other));         \
  } while (0)
  OTHER(data, &one);
  OTHER(size, o.view.size + 1);
  OTHER(version, o.view.version ^ 1);
  OTHER(sequence, o.view.sequence + 1);
  OTHER(hash, o.view.hash ^ 1);
  OTHER(time_ns, o.view.time_ns - 1);
#undef OTHER
  mmapsync_release(h, &view);
  mmapsync_image_close(o.image);
  mmapsync_image_close(NULL);
  mmapsync_close(writer);
  mmapsync_close(h);
}

static const CheckCase cases[] = {
    {"tables", caseTables},
    {"values", caseValues},
    {"nothing", caseNothing},
    {"bad_definition", caseBadDefinition},
    {"same_name", caseSameName},
    {"bad_row", caseBadRow},
    {"builder_ends", caseBuilderEnds},
    {"build_interrupt", caseBuildInterrupt},
    {"constraints", caseConstraints},
    {"find", caseFind},
    {"find_all", caseFindAll},
    {"compare", caseCompare},
    {"image_fits", caseImageFits},
    {NULL, NULL},
};

int main(int argc, char **argv) { return checkMain(argc, argv, cases); }
