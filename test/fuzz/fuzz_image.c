#define _GNU_SOURCE
/*
** fuzz_image.c - fuzzer: table images and trailers of anybody's making, read through the C interface and in SQL.
**
** An input is 16 bytes that say how, and then a payload:
**
**     0  mode    bit 0: the trailer's hash is another.  Bit 1: the payload's last 64 bytes are the trailer, as they
**                are, but for what bits 2 (the version word) and 3 (its checksum) put right.  Bit 4: the data file
**                is shorter than its payload.  Bit 5: it is raw bytes
**     1  verify  when the payload is compared with its hash, MMAPSYNC_VERIFY_...
**     8  seed    of what is asked
**
** The payload is put into the data file of a channel, with a trailer and a version word as they should be, and
** everything in it is asked for: first in a copy on the heap of exactly its size, then through virtual tables.
** All answers must be right, or say that the image is damaged; what they are is no matter, for a payload may
** hold any rows.
*/
#include <assert.h>
#include <sqlite3.h>

#include "fuzz.h"
#include "data.h"
#include "hash.h"
#include "image.h"
#include "mutate.h"
#include "version.h"

#define FUZZ_MOST     16384 /* bytes of an input; run.sh reads this line */

#define CONTROL       16 /* bytes before the payload */
#define MODE_HASH     1
#define MODE_TRAILER  2
#define MODE_VERSION  4
#define MODE_CHECK    8
#define MODE_SHORT    16
#define MODE_RAW      32

#define ROWS_LOOKED   48 /* of each table, from both ends */
#define COLUMNS_ASKED 6
#define SQL_ASKED     8

int sqlite3_mmapsync_init(sqlite3 *db, char **pzErrMsg, const sqlite3_api_routines *pApi);

static int fdState, fdData;
static uint64_t readSum; /* of what was read, so that it is read */

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  mmapsync *h;
  int i;
  (void)argc;
  (void)argv;
  fuzzBegin();
  sqlite3_auto_extension((void (*)(void))sqlite3_mmapsync_init);
  FUZZ_CHECK(mmapsync_open(fuzzPath, NULL, &h) == MMAPSYNC_OK);
  for (i = 0; i < 2; i++) FUZZ_CHECK(mmapsync_write(h, "x", 1, NULL) == MMAPSYNC_OK);
  mmapsync_close(h);
  fdState = open(fuzzFile("state"), O_RDWR | O_CLOEXEC);
  fdData = open(fuzzFile("data_0"), O_RDWR | O_CLOEXEC);
  FUZZ_CHECK(fdState >= 0 && fdData >= 0);
  return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t most, unsigned seed) {
  Dice d = {seed};
  uint64_t turn = dice(&d, 32);
  if (n <= CONTROL) return LLVMFuzzerMutate(data, n, most);
  if (turn == 0) {
    data[0] = (uint8_t)(1u << dice(&d, 8));
    if (dice(&d, 2)) data[0] |= (uint8_t)diceWord(&d);
    return n;
  }
  if (turn == 1) data[0] = 0;
  if (turn == 2) data[1] = (uint8_t)dice(&d, 3);
  if (turn < 8) {
    uint64_t x = diceWord(&d);
    memcpy(data + 8, &x, 8);
  }
  return CONTROL + mutateImage(data + CONTROL, n - CONTROL, most - CONTROL, diceWord(&d));
}

/* ---- the channel ------------------------------------------------------------------------------ */

static void channelPut(uint8_t mode, const uint8_t *payload, size_t n) {
  static uint64_t sequence = 100; /* only to tell snapshots apart */
  Trailer t = {.kind = mode & MODE_RAW ? MMAPSYNC_KIND_RAW : MMAPSYNC_KIND_IMAGE};
  uint64_t state[2] = {0, 0};
  size_t length;
  int raw = mode & MODE_TRAILER && n >= TRAILER_SIZE;

  if (raw) n -= TRAILER_SIZE;
  t.hash = hashBytes(payload, n) ^ (mode & MODE_HASH ? 1 : 0);
  state[0] = versionMake(0, n, t.hash | 1);
  t.sequence = sequence++;
  t.version = state[0];
  memcpy(t.magic, "mmapsync", 8);
  t.format = TRAILER_FORMAT;
  if (raw) {
    memcpy(&t, payload + n, sizeof(t));
    if (mode & MODE_VERSION) t.version = state[0];
  }
  if (!raw || mode & MODE_CHECK) t.check = hashBytes(&t, offsetof(Trailer, check));
  length = trailerEnd(n);
  if (mode & MODE_SHORT) length = n - n / 3;
  FUZZ_CHECK(ftruncate(fdData, 0) == 0 && ftruncate(fdData, (off_t)length) == 0);
  FUZZ_CHECK(pwrite(fdData, payload, n < length ? n : length, 0) >= 0);
  if (length == trailerEnd(n)) {
    FUZZ_CHECK(pwrite(fdData, &t, sizeof(t), (off_t)trailerAt(n)) == sizeof(t));
  }
  guardLength = length;
  guardFrom = n < length ? n : length;
  guardTo = length > n ? trailerAt(n) : length;
  FUZZ_CHECK(pwrite(fdState, state, sizeof(state), 0) == sizeof(state));
}

/* ---- asking through the C interface -------------------------------------------------------------- */

static void readBytes(const void *p, size_t n) {
  const uint8_t *z = p;
  while (n--) readSum += *z++;
}

static void onlyCorrupt(int rc) {
  if (rc != MMAPSYNC_OK && rc != MMAPSYNC_CORRUPT) fuzzDefect("code %d", rc);
}

static void readValue(const mmapsync_value *v) {
  FUZZ_CHECK(v->type <= MMAPSYNC_BLOB);
  if (v->type >= MMAPSYNC_TEXT) readBytes(v->u.p, v->n);
  if (v->type == MMAPSYNC_TEXT) readBytes((const char *)v->u.p + v->n, 1);
}

/* Something to compare a column with. */
static mmapsync_value anyValue(const mmapsync_table *t, int c, Dice *d) {
  static const int64_t ints[] = {0,   1,     -1,        5,         127,      255,
                                 256, 65536, INT32_MAX, INT64_MAX, INT64_MIN};
  static const double reals[] = {0.0, -0.0, 0.5, 5.0, -1.5, 1e300, 9007199254740992.0};
  static const char *const texts[] = {"", "a", "A ", "name 7", "odd", "zzzzzzzzzz"};
  uint64_t rows = mmapsync_table_about(t)->rows;
  mmapsync_value v = {.type = MMAPSYNC_NULL};
  switch (dice(d, 6)) {
  case 0:
    v.type = MMAPSYNC_INTEGER;
    v.u.i = ints[dice(d, sizeof(ints) / sizeof(*ints))];
    break;
  case 1:
    v.type = MMAPSYNC_REAL;
    v.u.r = reals[dice(d, sizeof(reals) / sizeof(*reals))];
    break;
  case 2:
    v.type = dice(d, 4) ? MMAPSYNC_TEXT : MMAPSYNC_BLOB;
    v.u.p = texts[dice(d, sizeof(texts) / sizeof(*texts))];
    v.n = (uint32_t)strlen(v.u.p);
    break;
  case 3: break;
  default:
    if (rows == 0 || mmapsync_get(t, dice(d, rows), c, &v) != MMAPSYNC_OK) v.type = MMAPSYNC_NULL;
  }
  return v;
}

static void readRow(const mmapsync_table *t, uint64_t row) {
  mmapsync_value v;
  int c, n = mmapsync_table_about(t)->ncolumns;
  for (c = 0; c < n && c < 40; c++) {
    int rc = mmapsync_get(t, row, c, &v);
    onlyCorrupt(rc);
    if (rc == MMAPSYNC_OK) readValue(&v);
  }
}

/* All of a run that row is in, as far as it is simple. */
static void readRun(const mmapsync_table *t, uint64_t row, int c) {
  mmapsync_run run;
  uint64_t i, rows;
  if (mmapsync_run_of(t, row, c, &run) != MMAPSYNC_OK) fuzzDefect("no run for a row");
  FUZZ_CHECK(run.row <= row && row - run.row < run.rows);
  FUZZ_CHECK(run.row + run.rows <= mmapsync_table_about(t)->rows);
  rows = run.rows < 4096 ? run.rows : 4096;
  if (run.null_bits) readBytes(run.null_bits, (rows + 7) / 8);
  switch (run.kind) {
  case MMAPSYNC_RUN_INT8: readBytes(run.data, rows); break;
  case MMAPSYNC_RUN_INT16:
  case MMAPSYNC_RUN_TEXT16: readBytes(run.data, 2 * rows); break;
  case MMAPSYNC_RUN_INT32:
  case MMAPSYNC_RUN_TEXT32: readBytes(run.data, 4 * rows); break;
  case MMAPSYNC_RUN_INT64:
  case MMAPSYNC_RUN_REAL: readBytes(run.data, 8 * rows); break;
  case MMAPSYNC_RUN_DICT8:
  case MMAPSYNC_RUN_DICT16: {
    uint64_t width = run.kind == MMAPSYNC_RUN_DICT8 ? 1 : 2;
    readBytes(run.data, width * rows);
    for (i = 0; i < (uint64_t)run.base && i < 300; i++) readBytes(&run.aux[i], 8);
    break;
  }
  default: break;
  }
  if (run.kind >= MMAPSYNC_RUN_TEXT16) {
    readBytes(run.heap, run.heap_bytes < 4096 ? run.heap_bytes : 4096);
  }
}

static void readFilter(const mmapsync_table *t, int c, Dice *d) {
  uint64_t rows = mmapsync_table_about(t)->rows, at, count, from;
  int ncolumns = mmapsync_table_about(t)->ncolumns;
  mmapsync_value v[12], out[MMAPSYNC_FILTER_ROWS];
  uint32_t found[MMAPSYNC_FILTER_ROWS], got, i;
  mmapsync_term terms[2];
  mmapsync_filter *f;
  int rc, n = 1 + (int)dice(d, 2), turns;

  memset(terms, 0, sizeof(terms));
  for (i = 0; i < 12; i++) v[i] = anyValue(t, c, d);
  for (i = 0; i < 2; i++) {
    terms[i].column = i ? (int)dice(d, (uint64_t)ncolumns) : c;
    terms[i].op = (int)(MMAPSYNC_EQ + dice(d, MMAPSYNC_IN));
    terms[i].collation = (int)dice(d, 3);
    terms[i].values = v + (i ? 3 : 0);
    terms[i].nvalues = terms[i].op == MMAPSYNC_IN ? 2 + (int)dice(d, 8) : 1;
  }
  if (mmapsync_filter_open(t, terms, n, &f) != MMAPSYNC_OK) fuzzDefect("no filter");
  from = rows > 4096 && dice(d, 2) ? rows - 2048 : 0;
  for (at = from, turns = 0; at < rows && turns < 4; turns++) {
    uint64_t was = at;
    rc = mmapsync_filter_next(f, &at, rows, found, &got);
    onlyCorrupt(rc);
    if (rc != MMAPSYNC_OK) break;
    FUZZ_CHECK(got <= MMAPSYNC_FILTER_ROWS && at > was && at <= rows);
    for (i = 0; i < got; i++) {
      FUZZ_CHECK(found[i] >= was && found[i] < at && (i == 0 || found[i] > found[i - 1]));
    }
    rc = mmapsync_get_many(t, found, got, c, out);
    onlyCorrupt(rc);
    if (rc == MMAPSYNC_OK) {
      for (i = 0; i < got; i++) readValue(&out[i]);
    }
    if (got > 0) { /* whose answer may be another: a chunk's bounds may lie */
      rc = mmapsync_filter_row(f, found[0]);
      FUZZ_CHECK(rc == 0 || rc == 1 || rc == -MMAPSYNC_CORRUPT);
    }
  }
  for (at = rows, turns = 0; at > from && turns < 2; turns++) {
    uint64_t was = at;
    rc = mmapsync_filter_prev(f, from, &at, found, &got);
    onlyCorrupt(rc);
    if (rc != MMAPSYNC_OK) break;
    FUZZ_CHECK(got <= MMAPSYNC_FILTER_ROWS && at < was && at >= from);
    for (i = 0; i < got; i++) FUZZ_CHECK(found[i] >= at && found[i] < was);
  }
  rc = mmapsync_filter_row(f, rows ? dice(d, rows) : 0);
  FUZZ_CHECK(rc == 0 || rc == 1 || rc == -MMAPSYNC_CORRUPT);
  at = from;
  rc = mmapsync_filter_count(f, &at, from + 4096, &count);
  onlyCorrupt(rc);
  if (rc == MMAPSYNC_OK) FUZZ_CHECK(count <= 4096);
  mmapsync_filter_close(f);
}

static void readKey(const mmapsync_table *t, int k, Dice *d) {
  const mmapsync_key_info *key = mmapsync_key_about(t, k);
  uint64_t rows = mmapsync_table_about(t)->rows, lo, hi, row, many[8];
  mmapsync_value v[8 * 4], bound;
  uint32_t some[64], i;
  int p, n, rc, turn;

  readBytes(key->name, strlen(key->name));
  readBytes(key->search, strlen(key->search));
  for (p = 0; p < key->nparts && p < 64; p++) {
    FUZZ_CHECK(key->parts[p].column >= 0 &&
               key->parts[p].column < mmapsync_table_about(t)->ncolumns);
    FUZZ_CHECK(key->distinct[p] <= rows);
  }
  for (turn = 0; turn < 8 && rows > 0; turn++) {
    onlyCorrupt(mmapsync_key_row(t, k, dice(d, rows), &row));
  }
  n = rows < 64 ? (int)rows : 64;
  rc = mmapsync_key_rows(t, k, rows - (uint64_t)n, (uint32_t)n, some);
  onlyCorrupt(rc);
  for (i = 0; i < (uint32_t)n && rc == MMAPSYNC_OK; i++) FUZZ_CHECK(some[i] < rows);
  if (key->nparts > 4) return;
  for (turn = 0; turn < 6; turn++) {
    row = rows ? dice(d, rows) : 0;
    for (p = 0; p < 8 * 4; p++) v[p] = anyValue(t, key->parts[p % key->nparts].column, d);
    for (p = 0; p < key->nparts && rows > 0 && turn % 2; p++) {
      if (mmapsync_get(t, row, key->parts[p].column, &v[p]) != MMAPSYNC_OK) return;
    }
    n = (int)dice(d, (uint64_t)key->nparts + 1);
    rc = mmapsync_find_all(t, k, v, n, &lo, &hi);
    onlyCorrupt(rc);
    if (rc == MMAPSYNC_OK) FUZZ_CHECK(lo <= hi && hi <= rows);
    n = (int)dice(d, (uint64_t)key->nparts);
    bound = anyValue(t, key->parts[n].column, d);
    rc = mmapsync_find_range(t, k, v, n, dice(d, 3) ? &v[n] : NULL, (int)dice(d, 2),
                             dice(d, 3) ? &bound : NULL, (int)dice(d, 2), &lo, &hi);
    onlyCorrupt(rc);
    if (rc == MMAPSYNC_OK) FUZZ_CHECK(lo <= hi && hi <= rows);
    if (!(key->flags & MMAPSYNC_KEY_UNIQUE)) continue;
    rc = mmapsync_find(t, k, v, key->nparts, &row);
    if (rc != MMAPSYNC_NOTFOUND) onlyCorrupt(rc);
    if (rc == MMAPSYNC_OK) FUZZ_CHECK(row < rows);
    rc = mmapsync_find_many(t, k, v, 8, many);
    onlyCorrupt(rc);
    for (p = 0; p < 8 && rc == MMAPSYNC_OK; p++) {
      FUZZ_CHECK(many[p] < rows || many[p] == UINT64_MAX);
    }
  }
}

static void readTable(const mmapsync_table *t, Dice *d) {
  const mmapsync_table_info *about = mmapsync_table_about(t);
  uint64_t row;
  int c, k, turn;

  readBytes(about->name, strlen(about->name));
  for (c = 0; c < about->ncolumns && c < 200; c++) {
    const mmapsync_column_info *column = mmapsync_column_about(t, c);
    readBytes(column->name, strlen(column->name));
    readBytes(column->type, strlen(column->type));
    readBytes(column->collation, strlen(column->collation));
    readBytes(column->encoding, strlen(column->encoding));
    FUZZ_CHECK(column->min.type <= MMAPSYNC_REAL && column->max.type <= MMAPSYNC_REAL);
  }
  for (row = 0; row < about->rows && row < ROWS_LOOKED; row++) readRow(t, row);
  for (; row < about->rows && row < 2 * ROWS_LOOKED; row++)
    readRow(t, about->rows - 1 - row + ROWS_LOOKED);
  for (turn = 0; turn < COLUMNS_ASKED; turn++) {
    c = (int)dice(d, (uint64_t)about->ncolumns);
    readFilter(t, c, d);
    if (about->rows > 0) readRun(t, dice(d, about->rows), c);
  }
  for (k = 0; k < about->nkeys && k < 6; k++) readKey(t, k, d);
}

static void readImage(mmapsync *h, const mmapsync_view *view, Dice *d) {
  mmapsync_image *image;
  int i, rc = mmapsync_image_open(h, view, &image);
  if (rc != MMAPSYNC_OK) {
    onlyCorrupt(rc);
    FUZZ_CHECK(!image && strstr(mmapsync_errmsg(h), fuzzPath));
    return;
  }
  for (i = 0; i < mmapsync_table_count(image) && i < 4; i++)
    readTable(mmapsync_table_at(image, i), d);
  mmapsync_image_close(image);
}

static void askCore(uint8_t verify, Dice *d) {
  mmapsync_options opt;
  mmapsync_view view, copy;
  mmapsync *h;
  void *exact = NULL;
  int rc;

  mmapsync_options_init(&opt);
  opt.verify = verify % 3;
  FUZZ_CHECK(mmapsync_open(fuzzPath, &opt, &h) == MMAPSYNC_OK);
  rc = mmapsync_read(h, &view);
  onlyCorrupt(rc);
  if (rc == MMAPSYNC_OK) {
    FUZZ_CHECK(view.size == guardFrom);
    copy = view;
    if (posix_memalign(&exact, 64, view.size ? view.size : 1) != 0) abort();
    memcpy(exact, view.data, view.size);
    copy.data = exact;
    if (view.kind == MMAPSYNC_KIND_IMAGE) readImage(h, &copy, d);
    free(exact);
    mmapsync_release(h, &view);
    onlyCorrupt(mmapsync_verify(h));
  }
  mmapsync_close(h);
}

/* ---- asking in SQL ---------------------------------------------------------------------------- */

static const char *const shapes[] = {
    "SELECT * FROM %t",
    "SELECT count(*), count(%a), min(%a), max(%a) FROM %t",
    "SELECT %a, %b FROM %t WHERE %a = %v",
    "SELECT * FROM %t WHERE %a > %v AND %a <= %v",
    "SELECT %b FROM %t WHERE %a IN (%v, %v, %v, NULL)",
    "SELECT count(*) FROM %t WHERE %a IS NOT %v AND %b <> %v",
    "SELECT %a FROM %t ORDER BY %a DESC LIMIT 20",
    "SELECT %a, %b FROM %t ORDER BY %a, %b",
    "SELECT DISTINCT %a FROM %t",
    "SELECT %a, count(*), sum(%b) FROM %t GROUP BY %a",
    "SELECT x.%a, y.%b FROM %t x JOIN %t y ON x.%a = y.%a LIMIT 50",
    "SELECT x.%a FROM %t x LEFT JOIN %t y ON y.%b = x.%a AND y.%a > %v",
    "SELECT * FROM %t WHERE %a LIKE 'n%%' OR %b GLOB 'o*'",
    "SELECT * FROM %t WHERE %a IS NULL",
    "SELECT %a FROM %t WHERE %b IS NOT NULL ORDER BY %b",
    "SELECT * FROM %t WHERE %a = (SELECT max(%a) FROM %t)",
    "SELECT rowid, * FROM %t WHERE rowid BETWEEN 3 AND 30",
    "SELECT * FROM %t WHERE rowid = %v",
    "SELECT * FROM %t WHERE %a = %v AND %b >= %v ORDER BY %b DESC",
    "SELECT quote(%a), hex(%b), length(%a) FROM %t",
    "SELECT count(*) FROM %t WHERE %a > %v OR %b < %v",
    "SELECT %a FROM %t LIMIT 5 OFFSET 7",
    "SELECT * FROM %t WHERE (%a, %b) = (%v, %v)",
    "SELECT * FROM %t x WHERE EXISTS(SELECT 1 FROM %t y WHERE y.%a = x.%b AND y.%b IS NOT %v)",
};

static const char *const values[] = {"0",           "1",    "5",     "-1",   "12",
                                     "2.5",         "'5'",  "'a'",   "odd",  "'name 7'",
                                     "'name 12  '", "''",   "x'6e'", "NULL", "9223372036854775807",
                                     "1e300",       "'odd'"};

/* Enough: a table may have billions of rows. */
static int sqlEnough(void *arg) { return --*(int *)arg < 0; }

static void sqlRun(sqlite3 *db, const char *sql, int *budget) {
  sqlite3_stmt *stmt = NULL;
  int c, rows = 0;
  *budget = 400;
  if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK) {
    while (sqlite3_step(stmt) == SQLITE_ROW && rows++ < 400) {
      for (c = 0; c < sqlite3_column_count(stmt); c++) {
        const void *p = sqlite3_column_type(stmt, c) == SQLITE_TEXT ? sqlite3_column_text(stmt, c)
                                                                    : sqlite3_column_blob(stmt, c);
        if (p) readBytes(p, (size_t)sqlite3_column_bytes(stmt, c));
      }
    }
  }
  sqlite3_finalize(stmt);
}

/* The names of what an attached table has, quoted; at most `most`. */
static int sqlNames(sqlite3 *db, const char *sql, const char *table, char **az, int most) {
  sqlite3_stmt *stmt = NULL;
  int n = 0;
  if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK) return 0;
  if (table) sqlite3_bind_text(stmt, 1, table, -1, SQLITE_STATIC);
  while (n < most && sqlite3_step(stmt) == SQLITE_ROW) {
    const char *z = (const char *)sqlite3_column_text(stmt, 0);
    az[n] = z ? sqlite3_mprintf("%s", z) : NULL;
    if (az[n]) n++;
  }
  sqlite3_finalize(stmt);
  return n;
}

/* A shape with names and values in it. */
static char *sqlShape(const char *shape, const char *table, char **az, int n, Dice *d) {
  sqlite3_str *s = sqlite3_str_new(NULL);
  const char *a = az[dice(d, (uint64_t)n)], *b = az[dice(d, (uint64_t)n)];
  for (; *shape; shape++) {
    if (*shape != '%') {
      sqlite3_str_appendchar(s, 1, *shape);
      continue;
    }
    switch (*++shape) {
    case 't': sqlite3_str_appendf(s, "temp.\"%w\"", table); break;
    case 'a': sqlite3_str_appendf(s, "\"%w\"", a); break;
    case 'b': sqlite3_str_appendf(s, "\"%w\"", b); break;
    case 'v': sqlite3_str_appendall(s, values[dice(d, sizeof(values) / sizeof(*values))]); break;
    default: sqlite3_str_appendchar(s, 1, *shape);
    }
  }
  return sqlite3_str_finish(s);
}

static void askSql(uint8_t verify, Dice *d) {
  static const char *const channel[] = {"SELECT mmapsync_verify('%s')",
                                        "SELECT * FROM mmapsync_tables('%s')",
                                        "SELECT * FROM mmapsync_columns('%s')",
                                        "SELECT * FROM mmapsync_status('%s')",
                                        "SELECT mmapsync_sequence('%s')",
                                        "SELECT mmapsync_read('%s')",
                                        "SELECT mmapsync_pin('%s')",
                                        "SELECT mmapsync_attach('%s')"};
  static const char *const when[] = {"never", "attach", "snapshot"};
  char *tables[3], *columns[12], *sql;
  sqlite3 *db;
  int i, n, ncolumns, turn, budget = 0;

  FUZZ_CHECK(sqlite3_open(":memory:", &db) == SQLITE_OK);
  sqlite3_progress_handler(db, 100, sqlEnough, &budget);
  sql = sqlite3_mprintf("SELECT mmapsync_config('%s','verify','%s')", fuzzPath, when[verify % 3]);
  sqlRun(db, sql, &budget);
  sqlite3_free(sql);
  for (i = 0; i < (int)(sizeof(channel) / sizeof(*channel)); i++) {
    sql = sqlite3_mprintf(channel[i], fuzzPath);
    sqlRun(db, sql, &budget);
    sqlite3_free(sql);
  }
  budget = 400;
  n = sqlNames(db, "SELECT name FROM temp.sqlite_schema", NULL, tables, 3);
  for (i = 0; i < n; i++) {
    budget = 400;
    ncolumns =
        sqlNames(db, "SELECT name FROM pragma_table_info(?1,'temp')", tables[i], columns, 12);
    for (turn = 0; turn < SQL_ASKED && ncolumns > 0; turn++) {
      sql = sqlShape(shapes[dice(d, sizeof(shapes) / sizeof(*shapes))], tables[i], columns,
                     ncolumns, d);
      sqlRun(db, sql, &budget);
      sqlite3_free(sql);
    }
    while (ncolumns > 0) sqlite3_free(columns[--ncolumns]);
    sqlite3_free(tables[i]);
  }
  sqlRun(db, "PRAGMA integrity_check", &budget);
  FUZZ_CHECK(sqlite3_close(db) == SQLITE_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  FuzzOpen was = fuzzOpen();
  Dice d;
  if (n < CONTROL) return 0;
  memcpy(&d.x, data + 8, 8);
  channelPut(data[0], data + CONTROL, n - CONTROL);
  askCore(data[1], &d);
  askSql(data[1], &d);
  fuzzClosed(was);
  return 0;
}
